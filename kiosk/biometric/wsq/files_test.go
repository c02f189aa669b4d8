package wsq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"math"
	"slices"
	"strings"
	"testing"
)

// ridges is a made-up picture: waves that bend, on white.
func ridges(w, h int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			dx, dy := float64(x)-float64(w)*0.4, float64(y)-float64(h)*0.6
			far := math.Hypot(dx, dy*0.8)
			m.Pix[y*w+x] = uint8(150 + 90*math.Sin(far*0.7+0.001*dx*dy))
		}
	}
	return m
}

func encoded(t testing.TB, img *image.Gray, rate float64) []byte {
	t.Helper()
	data, err := Encode(img, Options{Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decoded(t testing.TB, data []byte) Image {
	t.Helper()
	img, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestEverySizeComesBack(t *testing.T) {
	sizes := [][2]int{{255, 301}, {64, 1000}, {357, 392}, {640, 480}, {1, 700}, {700, 1}, {33, 34}}
	for i := 1; i <= 40; i++ {
		sizes = append(sizes, [2]int{i, i}, [2]int{i, 41 - i})
	}
	for _, s := range sizes {
		img := ridges(s[0], s[1])
		back := decoded(t, encoded(t, img, 8))
		if back.Gray.Rect != img.Rect || back.Width != s[0] || back.Height != s[1] {
			t.Fatalf("%v came back as %v", s, back.Gray.Rect)
		}
		least := 35.
		if max(s[0], s[1]) <= 40 {
			least = 29 // nothing but edges
		}
		if got := psnr(img, back.Gray); got < least {
			t.Errorf("%v at 8 bits a pixel: %.1f dB", s, got)
		}
	}
}

func TestFlatPicturesComeBackAsTheyWere(t *testing.T) {
	for _, v := range []uint8{0, 1, 128, 255} {
		img := image.NewGray(image.Rect(0, 0, 50, 60))
		for i := range img.Pix {
			img.Pix[i] = v
		}
		if back := decoded(t, encoded(t, img, 0)); !bytes.Equal(back.Gray.Pix, img.Pix) {
			t.Errorf("a flat %d came back as %d", v, back.Gray.Pix[0])
		}
	}
}

func TestAPartOfAPictureIsEncodedAsIfItStoodAlone(t *testing.T) {
	all := ridges(200, 150)
	part := all.SubImage(image.Rect(20, 10, 130, 120)).(*image.Gray)
	alone := image.NewGray(image.Rect(0, 0, 110, 110))
	for y := range 110 {
		copy(alone.Pix[y*110:][:110], all.Pix[(y+10)*200+20:])
	}
	if !bytes.Equal(encoded(t, part, 0), encoded(t, alone, 0)) {
		t.Error("the parts differ")
	}
}

func TestAFileSaysWhoMadeItAndThatItIsNotCertified(t *testing.T) {
	img := ridges(60, 70)
	data, err := Encode(img, Options{Rate: 2.25, PPI: 1000})
	if err != nil {
		t.Fatal(err)
	}
	h, err := DecodeConfig(data)
	if err != nil || h.Width != 60 || h.Height != 70 || h.PPI != 1000 || h.Rate != 2.25 || h.Software != 0 || h.Algorithm != 2 {
		t.Errorf("%+v, %v", h, err)
	}
	if len(h.Comments) != 2 || !strings.Contains(h.Comments[1], "not certified") || !strings.HasPrefix(h.Comments[0], "NIST_COM 9\nPIX_WIDTH 60\n") {
		t.Errorf("%q", h.Comments)
	}
}

// rebuilt codes the coefficients of a picture again, in another way.
func rebuilt(t *testing.T, img *image.Gray, how func(head []byte, blocks [3][]int16) []byte) Image {
	t.Helper()
	e, err := newEncoder(img, Options{})
	if err != nil {
		t.Fatal(err)
	}
	head := whole(only(parts(t, e.encode(UsualRate)), markCOM, markDTT, markDQT, markSOF))
	blocks := quantise(e.binned, e.layout, e.plane, e.width, binsFor(e.variances, UsualRate))
	return decoded(t, append(how(head[:len(head)-2], blocks), 0xff, markEOI))
}

func TestOtherEncodersFilesAreRead(t *testing.T) {
	img := ridges(200, 190)
	want := decoded(t, encoded(t, img, 0)).Gray.Pix
	for name, how := range map[string]func(out []byte, blocks [3][]int16) []byte{
		"a table changed before every block": func(out []byte, blocks [3][]int16) []byte {
			for _, b := range blocks {
				out = appendBlocks(out, 3, b)
			}
			return out
		},
		"one block": func(out []byte, blocks [3][]int16) []byte {
			return appendBlocks(out, 7, slices.Concat(blocks[0], blocks[1], blocks[2]))
		},
		"many blocks": func(out []byte, blocks [3][]int16) []byte {
			return appendBlocks(out, 1, slices.Collect(slices.Chunk(slices.Concat(blocks[0], blocks[1], blocks[2]), 777))...)
		},
		"comments and fill bytes between": func(out []byte, blocks [3][]int16) []byte {
			for i, b := range blocks {
				out = appendSegment(append(out, 0xff, 0xff), markCOM, []byte("between"))
				out = appendBlocks(out, byte(i), b)
			}
			return out
		},
		"both tables in one segment": func(out []byte, blocks [3][]int16) []byte {
			one := parts(t, append(appendBlocks([]byte{0xff, markSOI}, 0, blocks[0]), 0xff, markEOI))
			two := parts(t, append(appendBlocks([]byte{0xff, markSOI}, 1, blocks[1:]...), 0xff, markEOI))
			out = appendSegment(out, markDHT, slices.Concat(one[0].body[2:], two[0].body[2:]))
			rest := whole(slices.Concat(one[1:], two[1:]))
			return append(out, rest[2:len(rest)-2]...)
		},
		"restart markers": func(out []byte, blocks [3][]int16) []byte {
			out = appendSegment(out, markDRI, []byte{0x03, 0xe8})
			for i, b := range blocks {
				out = appendBlocks(out, byte(i), restarting(b)...)
				out = joined(out)
			}
			return out
		},
	} {
		if got := rebuilt(t, img, how); !bytes.Equal(got.Gray.Pix, want) {
			t.Errorf("%s: the pixels differ", name)
		}
	}
}

// restarting cuts a block into intervals, and joined puts a restart marker where the interval's block header was.
func restarting(block []int16) [][]int16 { return slices.Collect(slices.Chunk(block, 1000)) }

func joined(out []byte) []byte {
	at, count := bytes.LastIndex(out, []byte{0xff, markDHT}), byte(0)
	first := at + bytes.Index(out[at:], []byte{0xff, markSOB}) + 5
	made := append([]byte{}, out[:first]...)
	for rest := out[first:]; ; {
		next := bytes.Index(rest, []byte{0xff, markSOB, 0, 3})
		if next < 0 {
			return append(made, rest...)
		}
		made = append(append(made, rest[:next]...), 0xff, markRST|count%8)
		rest, count = rest[next+5:], count+1
	}
}

func TestLargeCoefficientsAndLongRunsAreCoded(t *testing.T) {
	block := []int16{0, 75, -74, 255, -255, 256, -256, 32767, -32767, 74, -73}
	block = append(block, make([]int16, 101)...)
	block = append(append(block, 1), make([]int16, 300)...)
	block = append(append(block, 2), make([]int16, 70000)...)
	block = append(block, 3)
	block = append(block, make([]int16, 1<<17)...)
	q := &quantisers{}
	q.bin[0] = 1
	c := &cursor{plane: make([]float32, len(block)), pitch: len(block), layout: &layout{}, quant: q, band: -1, left: len(block)}
	c.layout.bands[0] = rect{0, 0, len(block), 1}
	r := reader{data: append(appendBlocks(nil, 0, block), 0xff, markEOI)}
	var tables [maxTables]*codes
	for range 2 {
		mark, _ := r.marker()
		f, err := r.segment(mark)
		if err != nil {
			t.Fatal(err)
		}
		if mark == markDHT {
			if err := parseCodes(f, &tables); err != nil || tables[0].prepare() != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.read(&bitReader{data: r.data, at: r.at}, tables[0]); err != nil || c.left != 0 {
		t.Fatalf("%d left, %v", c.left, err)
	}
	for i, v := range block {
		if c.plane[i] != float32(v) {
			t.Fatalf("coefficient %d is %v, not %d", i, c.plane[i], v)
		}
	}
}

func TestEveryCutFileIsAnError(t *testing.T) {
	data := encoded(t, ridges(50, 40), 0)
	for n := range data {
		if _, err := Decode(data[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(data), err)
		}
	}
}

func TestDamagedFilesAreReadOrRefusedAndNothingElse(t *testing.T) {
	data := encoded(t, ridges(50, 40), 0)
	for i := range data {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(data)
			bad[i] ^= flip
			if h, err := DecodeConfig(bad); err != nil || h.Width*h.Height > 1<<16 {
				continue
			}
			if _, err := Decode(bad); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
	}
}

// changed alters the body of the first segment of a kind.
func changed(t *testing.T, data []byte, mark byte, change func(body []byte)) []byte {
	list := parts(t, bytes.Clone(data))
	i := slices.IndexFunc(list, func(p part) bool { return p.mark == mark })
	change(list[i].body)
	return whole(list)
}

func TestWhatCanNotBeIsRefused(t *testing.T) {
	data := encoded(t, ridges(50, 40), 0)
	for name, bad := range map[string][]byte{
		"no WSQ":              []byte("\x89PNG\r\n\x1a\n"),
		"empty":               {},
		"a huge picture":      changed(t, data, markSOF, func(b []byte) { binary.BigEndian.PutUint32(b[4:], 0xffffffff) }),
		"a picture of no row": changed(t, data, markSOF, func(b []byte) { b[4], b[5] = 0, 0 }),
		"too few bits":        changed(t, data, markSOF, func(b []byte) { b[4] = 1 }),
		"too many bits":       changed(t, data, markSOF, func(b []byte) { b[5] /= 2 }),
		"too many codes":      changed(t, data, markDHT, func(b []byte) { b[3] += 9; b[10]-- }),
		"a table of nowhere":  changed(t, data, markDHT, func(b []byte) { b[2] = 8 }),
		"a missing table":     changed(t, data, markSOB, func(b []byte) { b[2] = 5 }),
		"two frames":          whole(append(only(parts(t, data), markSOF), parts(t, data)...)),
		"no frame":            whole(only(parts(t, data), markDTT, markDQT)),
		"no filters":          whole(only(parts(t, data), markDQT, markSOF, markDHT, markSOB)),
		"no bins":             whole(only(parts(t, data), markDTT, markSOF, markDHT, markSOB)),
		"bins of no width":    changed(t, data, markDQT, func(b []byte) { b[5] += 20 }),
		"no bin about zero":   changed(t, data, markDQT, func(b []byte) { b[8] += 20 }),
		"a filter of nothing": changed(t, data, markDTT, func(b []byte) { b[5] += 15 }),
		"bins in between":     whole(append(parts(t, data), only(parts(t, data), markDQT)...)),
		"an unknown segment":  whole(append([]part{{0xc0, []byte{0, 2}}}, parts(t, data)...)),
		"endless comments":    whole(append(slices.Repeat([]part{{markCOM, []byte{0, 2}}}, 257), parts(t, data)...)),
		"a long segment":      whole(append([]part{{markDRI, []byte{0, 5, 0, 0, 0}}}, parts(t, data)...)),
	} {
		if _, err := Decode(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsNextToNothingIsNotCalculatedWith(t *testing.T) {
	if math.Float32bits(leastPart) != leastBits {
		t.Errorf("the bits of %g are %#x", leastPart, math.Float32bits(leastPart))
	}
	least := float32(leastPart)
	a, b := []float32{1e-45, -least, 3, -1e-38}, []float32{math.SmallestNonzeroFloat32, -1e-13, float32(math.Inf(-1))}
	got := make([]float32, 7)
	weave(got, a, b)
	if want := []float32{0, 0, -least, 0, 3, float32(math.Inf(-1)), 0}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestWhatIsNoPictureIsNotEncoded(t *testing.T) {
	ok := ridges(9, 9)
	for name, run := range map[string]func() error{
		"nil":            func() error { _, err := Encode(nil, Options{}); return err },
		"no pixels":      func() error { _, err := Encode(image.NewGray(image.Rectangle{}), Options{}); return err },
		"too long":       func() error { _, err := Encode(image.NewGray(image.Rect(0, 0, 70000, 1)), Options{}); return err },
		"no rate":        func() error { _, err := Encode(ok, Options{Rate: math.NaN()}); return err },
		"a negative one": func() error { _, err := Encode(ok, Options{Rate: -1}); return err },
		"no ratio":       func() error { _, err := EncodeRatio(ok, Options{}, 20, 10); return err },
	} {
		if run() == nil {
			t.Errorf("%s was encoded", name)
		}
	}
}

func TestTheRateFollowsTheRatio(t *testing.T) {
	for _, name := range []string{"f101_1", "f105_2", "f109_1"} {
		img := gray(t, "synthetic/"+name+".pgm")
		for _, limits := range [][2]float64{{10, 20}, {10, 12}, {30, 33}, {4, 5}} {
			got, err := EncodeRatio(img, Options{}, limits[0], limits[1])
			if err != nil {
				t.Fatal(err)
			}
			is := float64(len(img.Pix)) / float64(len(got.Data))
			if is != got.Ratio || is < limits[0] || is > limits[1] {
				t.Errorf("%s between %v: %.2f:1 (says %.2f) at %.3f", name, limits, is, got.Ratio, got.Rate)
			}
			if back := decoded(t, got.Data); math.Abs(back.Rate-got.Rate) > 1e-6 {
				t.Errorf("the file says %v bits a pixel, made it was at %v", back.Rate, got.Rate)
			}
		}
	}
	flat := image.NewGray(image.Rect(0, 0, 400, 400))
	if got, err := EncodeRatio(flat, Options{}, 10, 20); !errors.Is(err, ErrRatio) || got.Ratio < 20 || decoded(t, got.Data).Width != 400 {
		t.Errorf("a picture of nothing: %.1f:1, %v", got.Ratio, err)
	}
}

func TestConcurrentUseGivesTheSame(t *testing.T) {
	img := ridges(120, 130)
	want := encoded(t, img, 0)
	done := make(chan []byte)
	for range 4 {
		go func() {
			data, _ := Encode(img, Options{})
			done <- data
		}()
	}
	for range 4 {
		if got := <-done; !bytes.Equal(got, want) {
			t.Error("it differs")
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, ridges(40, 50), 0))
	f.Add(encoded(f, ridges(1, 1), 8))
	f.Add(encoded(f, ridges(33, 8), 2.25))
	f.Add(encoded(f, image.NewGray(image.Rect(0, 0, 8, 8)), 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := DecodeConfig(data)
		if err == nil && h.Width*h.Height > 1<<18 {
			return // bounded, and tested; here it would only be slow
		}
		img, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
			return
		}
		if len(img.Gray.Pix) != img.Width*img.Height || img.Width != h.Width {
			t.Errorf("%v is not %d x %d", img.Gray.Rect, img.Width, img.Height)
		}
	})
}

func FuzzEncode(f *testing.F) {
	f.Add([]byte{0, 255, 3, 8, 100, 7}, uint8(3), 0.75)
	f.Add(ridges(40, 40).Pix, uint8(40), 8.)
	f.Fuzz(func(t *testing.T, pix []byte, width uint8, rate float64) {
		w := max(int(width), 1)
		h := min(len(pix)/w, 256)
		if h == 0 {
			return
		}
		img := &image.Gray{Pix: pix[:w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}
		data, err := Encode(img, Options{Rate: rate})
		if err != nil {
			return
		}
		if back, err := Decode(data); err != nil || back.Gray.Rect != img.Rect {
			t.Errorf("%d x %d at %v: %v", w, h, rate, err)
		}
	})
}

// padded lengthens the filters of a file to 32 coefficients that count for nothing.
func padded(t *testing.T, data []byte) []byte {
	t.Helper()
	list := parts(t, bytes.Clone(data))
	i := slices.IndexFunc(list, func(p part) bool { return p.mark == markDTT })
	body := []byte{0, 0, 31, 29}
	half := []byte{0, 0, 0, 0, 0, 0}
	body = append(body, 0, 0, 0, 0, 0, 1)
	body = append(body, bytes.Repeat(half, 15)...)
	body = append(body, 0, 0, 0, 0, 0, 1)
	body = append(body, bytes.Repeat(half, 14)...)
	binary.BigEndian.PutUint16(body, uint16(len(body)))
	list[i].body = body
	return whole(list)
}

func TestWhatTakesTooLongIsRefused(t *testing.T) {
	file := func(w, h int) []byte {
		return changed(t, encoded(t, ridges(50, 40), 0), markSOF, func(b []byte) {
			binary.BigEndian.PutUint16(b[4:], uint16(h))
			binary.BigEndian.PutUint16(b[6:], uint16(w))
		})
	}
	const says = "takes too long"
	for _, c := range []struct {
		name string
		data []byte
		long bool
	}{
		{"a whole card at the FBI's filters", file(4096, 4096), false},
		{"a slap at the longest filters", padded(t, file(1600, 1500)), false},
		{"a whole card at the longest filters", padded(t, file(4000, 4000)), true},
	} {
		if _, err := Decode(c.data); err == nil || strings.Contains(err.Error(), says) != c.long {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
