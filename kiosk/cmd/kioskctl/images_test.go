package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"loket/kiosk/biometric/pgm"
)

// ramp is a small picture in which no row is like another.
func ramp(w, h int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = uint8(i%w*3 + i/w*7)
	}
	return m
}

// pngOf encodes a picture, with a scale where perMetre is not 0.
func pngOf(t *testing.T, img image.Image, perMetre uint32) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	if perMetre == 0 {
		return out.Bytes()
	}
	chunk := binary.BigEndian.AppendUint32([]byte("pHYs"), perMetre)
	chunk = append(binary.BigEndian.AppendUint32(chunk, perMetre), 1)
	whole := append([]byte{}, out.Bytes()[:33]...)
	whole = append(append(whole, 0, 0, 0, 9), chunk...)
	whole = binary.BigEndian.AppendUint32(whole, crc32.ChecksumIEEE(chunk))
	return append(whole, out.Bytes()[33:]...)
}

// written puts bytes into a file of the test's own.
func written(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ctl runs a command line.
func ctl(args ...string) (code int, out, notes string) {
	var stdout, stderr strings.Builder
	code = run(args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestFingerImagesAreReadFromEveryFormat(t *testing.T) {
	gray := ramp(40, 30)
	coloured := image.NewRGBA(gray.Rect)
	for i, v := range gray.Pix {
		coloured.Set(i%40, i/40, color.Gray{Y: v})
	}
	for name, c := range map[string]struct {
		data []byte
		flag int
		ppi  int
	}{
		"pgm":             {pgm.Encode(gray), 0, 500},
		"pgm, a flag":     {pgm.Encode(gray), 300, 300},
		"png":             {pngOf(t, gray, 0), 0, 500},
		"png with scale":  {pngOf(t, gray, 15157), 0, 385},
		"png at 500":      {pngOf(t, gray, 19685), 0, 500},
		"png, overridden": {pngOf(t, gray, 39370), 500, 500},
		"png in colour":   {pngOf(t, coloured, 0), 0, 500},
		"nearly 500":      {pngOf(t, gray, 19880), 0, 505},
	} {
		img, ppi, err := imageFlags{PPI: c.flag}.read(written(t, "finger", c.data))
		if err != nil || ppi != c.ppi || img.Rect != gray.Rect || !bytes.Equal(img.Pix, gray.Pix) {
			t.Errorf("%s: %d ppi, %v", name, ppi, err)
		}
	}
}

func TestFinerFingerImagesAreBroughtTo500(t *testing.T) {
	img, ppi, err := imageFlags{}.read(written(t, "f.png", pngOf(t, ramp(80, 60), 39370)))
	if err != nil || ppi != 500 || img.Rect != image.Rect(0, 0, 40, 30) {
		t.Errorf("%v at %d ppi, %v", img.Rect, ppi, err)
	}
}

func TestWhatIsNoFingerImageIsRefused(t *testing.T) {
	deep := image.NewGray16(image.Rect(0, 0, 4, 4))
	for name, c := range map[string]struct {
		data []byte
		hint string
	}{
		"a text":       {[]byte("hello"), "neither PGM, PNG nor WSQ"},
		"empty":        {nil, "neither PGM, PNG nor WSQ"},
		"16 bits":      {pngOf(t, deep, 0), "8 bit grey"},
		"see-through":  {pngOf(t, image.NewNRGBA(deep.Rect), 0), "transparency"},
		"screen scale": {pngOf(t, ramp(4, 4), 2835), "--ppi 500"},
		"cut short":    {pngOf(t, ramp(4, 4), 0)[:60], ""},
		"huge":         {[]byte("P5 19999 19999 255 "), "pixels"},
	} {
		_, _, err := imageFlags{}.read(written(t, "file", c.data))
		if err == nil || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := (imageFlags{}).read(filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestFingerInfoSaysWhatAFileHolds(t *testing.T) {
	path := written(t, "f.png", pngOf(t, ramp(40, 30), 39370))
	if code, out, notes := ctl("finger", "info", path); code != 0 || out != "png, 40 x 30 px, 1000 ppi (as the file says)\n" {
		t.Errorf("%d %q %q", code, out, notes)
	}
	code, out, _ := ctl("--json", "finger", "info", "--ppi", "512", path)
	var got imageFile
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got.PPI != 512 || got.From != "flag" || got.Format != "png" {
		t.Errorf("%d %s %v", code, out, err)
	}
	if code, _, notes := ctl("finger", "info", path+"x"); code != 1 || !strings.Contains(notes, "kioskctl: reading ") {
		t.Errorf("%d %q", code, notes)
	}
}

func FuzzFingerImages(f *testing.F) {
	f.Add([]byte("P5\n3 2\n255\n\x00\x80\xff\x07\x08\x09"))
	f.Add([]byte(pngSignature + "\x00\x00\x00\x09pHYs\x00\x00\x4c\xe5\x00\x00\x4c\xe5\x01\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if file, err := decodeImage(data); err == nil && len(file.gray.Pix) > pgm.MaxPixels {
			t.Errorf("%v is beyond the bound", file.gray.Rect)
		}
	})
}
