package uru4000

import (
	"bytes"
	"image"
	"math/rand/v2"
	"slices"
	"testing"

	"loket/drivers/driverstest"
)

// transferOf makes an image of rows that are sent as blocks say. Blocks are pairs of flags and rows.
func transferOf(blocks ...byte) []byte {
	b := make([]byte, headSize)
	sent := 0
	for i := 0; i < len(blocks); i += 2 {
		if blocks[i]&flagAbsent == 0 {
			sent += int(blocks[i+1])
		}
	}
	copy(b[16:], blocks)
	le.PutUint16(b[4:], uint16(sent))
	r := rand.New(rand.NewPCG(1, 2))
	for range sent * width {
		b = append(b, byte(r.Uint32()))
	}
	return b
}

// good is an image with every kind of block.
func good() []byte {
	return transferOf(flagScrambled, 70, 0, 2, flagAbsent, 1, flagKeyStays, 1, flagAbsent|flagKeyStays, 2, flagScrambled, 210, flagAbsent, 4)
}

func decode(t testing.TB, b []byte, key uint32) *image.Gray {
	t.Helper()
	h, err := decodeHead(b)
	if err != nil {
		t.Fatal(err)
	}
	img, err := decodeImage(b, h, []uint32{key})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// differences lists the pixels in which two images differ, as the reader counts and in the order in which it sends them.
func differences(a, b *image.Gray) []image.Point {
	list := driverstest.Differences(a, b)
	slices.Reverse(list)
	for i, p := range list {
		list[i] = image.Pt(width-1-p.X, height-1-p.Y)
	}
	return list
}

func TestFlippedByteChangesOnlyThePixelsItMust(t *testing.T) {
	b := good()
	before := decode(t, b, 0x544409d6)
	for _, c := range []struct {
		why  string
		row  int // of those that are sent
		x    int
		want []image.Point
	}{
		{"a scrambled byte is the pixel before it", 10, 100, []image.Point{{99, 10}}},
		{"over the end of a row too", 11, 0, []image.Point{{383, 10}}},
		{"the first byte of a scrambled block is none", 0, 0, nil},
		{"a plain byte is its own pixel", 70, 5, []image.Point{{5, 70}}},
		{"the row before an absent one", 71, 6, []image.Point{{6, 71}}},
		{"the row after an absent one is shown twice", 72, 7, []image.Point{{7, 72}, {7, 73}}},
		{"after two absent ones", 73, 8, []image.Point{{7, 74}, {7, 75}, {7, 76}}},
		{"the last row is shown for all that follow", 282, 383, []image.Point{{382, 285}, {382, 286}, {382, 287}, {382, 288}, {382, 289}}},
	} {
		changed := slices.Clone(b)
		changed[headSize+c.row*width+c.x] ^= 0x40
		if got := differences(before, decode(t, changed, 0x544409d6)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.why, got, c.want)
		}
	}
}

func TestTheNextKeyCountsFromItsRowsOn(t *testing.T) {
	b := transferOf(flagScrambled, 100, flagAbsent|flagNextKey, 1, flagScrambled, 89, flagScrambled|flagNextKey, 100)
	b[6] = 255
	h, err := decodeHead(b)
	if err != nil || !slices.Equal(h.keys(), []byte{255, 0, 1}) {
		t.Fatalf("keys %v, %v", h.keys(), err)
	}
	with := func(keys ...uint32) *image.Gray {
		img, err := decodeImage(b, h, keys)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	before := with(7, 8, 9)
	for i, rows := range [][2]int{{0, 100}, {101, 190}, {190, 290}} {
		keys := []uint32{7, 8, 9}
		keys[i] += 1 << 20
		for _, p := range differences(before, with(keys...)) {
			if row := p.Y; (row < rows[0] || row >= rows[1]) && !(row == 100 && i == 1) { // the absent row is shown as the next one
				t.Fatalf("key %d changes row %d", i, row)
			}
		}
		if len(differences(before, with(keys...))) < 30000 {
			t.Errorf("key %d changes little", i)
		}
	}
	for _, keys := range [][]uint32{nil, {7}, {7, 8, 9, 10}} {
		if _, err := decodeImage(b, h, keys); err == nil {
			t.Errorf("%d keys were enough", len(keys))
		}
	}
}

func TestWrongKeyIsSeen(t *testing.T) {
	b := good()
	same := len(decode(t, b, 1).Pix) - len(differences(decode(t, b, 1), decode(t, b, 1<<31)))
	if plain := 10 * width; same > plain+width*height/16 {
		t.Errorf("%d pixels don't depend on the key", same)
	}
}

func TestScrambledBlockLosesItsLastPixel(t *testing.T) {
	img := decode(t, transferOf(flagScrambled, 100, flagScrambled, 190), 7)
	for _, row := range []int{99, 289} {
		if v := img.GrayAt(0, height-1-row).Y; v != 255 {
			t.Errorf("row %d ends with %d", row, v)
		}
	}
}

func TestKeyComesFromUnderItsSeed(t *testing.T) {
	if b := encodeSeed(0, 0x51ea2124); !bytes.Equal(b, []byte{0, 0x24, 0x21, 0xea, 0x51}) {
		t.Errorf("% x", b)
	}
	if key, err := decodeKey([]byte{0xf2, 0x28, 0xae, 0x05}, 0x51ea2124); key != 0x544409d6 || err != nil {
		t.Errorf("%08x, %v", key, err)
	}
	if _, err := decodeKey([]byte{1, 2, 3}, 0); err == nil {
		t.Error("a key of three bytes was taken")
	}
}

func TestMaskFollowsTheRecordedOne(t *testing.T) {
	key := uint32(0x544409d6)
	for i, want := range []byte{23, 160, 65, 3, 217, 160, 64, 37, 152, 96, 82, 132, 184, 96, 139, 20, 248, 196, 3, 252} {
		if mask(key) != want {
			t.Fatalf("mask %d is %d, want %d", i, mask(key), want)
		}
		key = step(key)
	}
}

func TestReportsAreTold(t *testing.T) {
	report := func(b ...byte) []byte { return append(b, make([]byte, reportSize-len(b))...) }
	for want, b := range map[uint16][]byte{reportPower: report(0x56, 0xaa), reportOn: report(1, 1), reportOff: report(2, 0)} {
		if got, err := decodeReport(b); got != want || err != nil {
			t.Errorf("% x: %04x, %v", b[:2], got, err)
		}
	}
	for _, b := range [][]byte{nil, {1, 1}, report(0, 0), report(1, 2), append(report(1, 1), 0)} {
		if _, err := decodeReport(b); err == nil {
			t.Errorf("% x: taken for a report", b)
		}
	}
}

func TestWrongImagesAreRefused(t *testing.T) {
	change := func(at int, v byte) []byte { b := good(); b[at] ^= v; return b }
	for why, b := range map[string][]byte{
		"nothing": nil, "a head": make([]byte, headSize), "short": good()[:len(good())-1], "long": append(good(), 0), "other count": change(4, 1),
		"more rows": change(17, 1), "unknown flag": change(16, 8), "key stays and scrambled": change(16, flagKeyStays),
		"a row that is not sent": change(18, flagAbsent), "no rows": transferOf(flagAbsent, 145, flagAbsent, 145),
		"too many": transferOf(0, 200, 0, 91), "too few": transferOf(0, 200, 0, 89),
	} {
		if _, err := decodeHead(b); err == nil {
			t.Errorf("%s: not refused", why)
		}
	}
}

func FuzzImage(f *testing.F) {
	f.Add(good()[:headSize], uint32(1))
	f.Add(transferOf(0, 145, flagScrambled, 145)[:headSize], uint32(2))
	f.Add([]byte{1, 1}, uint32(3))
	f.Add(transferOf(0, 45, flagScrambled|flagNextKey, 45, flagNextKey, 200)[:headSize], uint32(4))
	rows := make([]byte, width*height)
	f.Fuzz(func(t *testing.T, b []byte, key uint32) {
		_, _ = decodeReport(b)
		_, _ = decodeHead(b)
		if len(b) < headSize {
			return
		}
		b = append(b[:headSize:headSize], rows[:width*min(int(le.Uint16(b[4:])), height)]...)
		h, err := decodeHead(b)
		if err != nil {
			return
		}
		keys := make([]uint32, len(h.keys()))
		for i := range keys {
			keys[i] = key + uint32(i)
		}
		if img, err := decodeImage(b, h, keys); err != nil || img.Rect != image.Rect(0, 0, width, height) {
			t.Errorf("a good head, and then: %v", err)
		}
	})
}

// Keys fall into two kinds that never meet, and the recording has one of them: what libfprint does with the other was found
// with a simulated reader (make test-foreign).
func TestAKeyIsFedByItsFirstAndLastBitToo(t *testing.T) {
	for key, want := range map[uint32]uint32{1: 0x80000000, 0x80000000: 0xc0000000, 0x80000001: 0x40000000, 2: 1, 4: 0x80000002} {
		if got := step(key); got != want {
			t.Errorf("%08x is followed by %08x, want %08x", key, got, want)
		}
	}
}
