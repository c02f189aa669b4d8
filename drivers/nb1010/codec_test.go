package nb1010

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCommandsAreThoseOfTheRecording(t *testing.T) {
	for want, got := range map[string][]byte{
		"8038010008000000":         commandFinger(),
		"800d03000c00000000040000": commandReady(),
		"8012040020000000020000000000000000000000000000000000000020000000": commandImage(),
	} {
		if !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("% x, want %s", got, want)
		}
	}
}

func TestFingerLevelIsRead(t *testing.T) {
	level, err := decodeAnswer(unhex(t, "803701001000000000000000f7000000"), codeIsThere, tagFinger)
	if level != 0xf7 || err != nil {
		t.Errorf("%02x, %v", level, err)
	}
}

// rowsPacket makes packet number i with a pixel value.
func rowsPacket(i int, value byte) []byte {
	b := make([]byte, rowsSize)
	b[0], b[1] = 0x80, codeRows
	le.PutUint32(b[4:], rowsSize)
	if i+1 < packets {
		b[12] = 1
	}
	le.PutUint32(b[16:], uint32(2*i+1))
	le.PutUint32(b[20:], width)
	for j := range 2 * width {
		b[rowsHead+j] = value
	}
	return b
}

func TestRowsLandInTheirPlace(t *testing.T) {
	pix := make([]byte, width*height)
	for i := range packets {
		if err := decodeRows(rowsPacket(i, byte(i+1)), i, pix); err != nil {
			t.Fatal(err)
		}
	}
	for at, v := range pix {
		if int(v) != at/(2*width)+1 {
			t.Fatalf("pixel %d is %d", at, v)
		}
	}
}

func TestWrongPacketsAreRefused(t *testing.T) {
	pix := make([]byte, width*height)
	change := func(at int, v byte) []byte {
		b := rowsPacket(3, 9)
		b[at] ^= v
		return b
	}
	for why, b := range map[string][]byte{
		"short": rowsPacket(3, 9)[:rowsSize-1], "long": append(rowsPacket(3, 9), 0), "empty": nil, "another line": rowsPacket(4, 9),
		"begin": change(0, 1), "code": change(1, 1), "tag": change(2, 1), "size": change(4, 1), "last": change(12, 1), "width": change(20, 1),
	} {
		if err := decodeRows(b, 3, pix); err == nil {
			t.Errorf("%s: not refused", why)
		}
	}
	if !bytes.Equal(pix, make([]byte, len(pix))) {
		t.Error("a refused packet left pixels")
	}
	for _, s := range []string{"", "80", "803701001000000000000000f70000", "803801001000000000000000f7000000", "803702001000000000000000f7000000",
		"803701001100000000000000f7000000", "813701001000000000000000f7000000", "802100001c020000000000000100000001000000"} {
		if _, err := decodeAnswer(unhex(t, s), codeIsThere, tagFinger); err == nil {
			t.Errorf("answer %q: not refused", s)
		}
	}
}

func FuzzPackets(f *testing.F) {
	f.Add(rowsPacket(0, 1), 0)
	f.Add(rowsPacket(packets-1, 7), packets-1)
	f.Add([]byte{0x80, codeIsThere, 1, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0xf7, 0, 0, 0}, 3)
	f.Fuzz(func(t *testing.T, b []byte, i int) {
		_, _ = decodeAnswer(b, codeIsThere, tagFinger)
		i = int(uint(i) % packets)
		pix := make([]byte, width*height)
		if err := decodeRows(b, i, pix); err == nil && !bytes.Equal(pix[2*i*width:][:2*width], b[rowsHead:][:2*width]) {
			t.Error("pixels went elsewhere")
		}
	})
}
