// Package golden compares pictures that a test drew with those that somebody looked at.
package golden

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	xdraw "golang.org/x/image/draw"
)

// How far a picture may be from its golden one: another renderer smooths edges otherwise, and nothing else.
const (
	width    = 320
	farOff   = 40    // of 255: a pixel that differs by more is another pixel
	mostFar  = 0.004 // share of other pixels
	mostMean = 1.5   // of 255, the mean difference
)

// Check compares a picture, brought down to 320 px of width, with a file, within a tolerance for other renderers. With update
// the file is written instead.
func Check(t testing.TB, file string, got image.Image, update bool) {
	t.Helper()
	b := got.Bounds()
	small := image.NewRGBA(image.Rect(0, 0, width, b.Dy()*width/b.Dx()))
	xdraw.CatmullRom.Scale(small, small.Rect, got, b, draw.Src, nil)
	if update {
		write(t, file, small)
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (hint: run the test with -update and look at what it writes)", err)
	}
	want, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
	if want.Bounds().Size() != small.Rect.Size() {
		t.Fatalf("%s is %v, drawn was %v", file, want.Bounds().Size(), small.Rect.Size())
	}
	far, sum := 0, 0
	for y := range small.Rect.Dy() {
		for x := range small.Rect.Dx() {
			d := distance(want.At(x, y), small.RGBAAt(x, y))
			sum += d
			if d > farOff {
				far++
			}
		}
	}
	n := float64(small.Rect.Dx() * small.Rect.Dy())
	if share, mean := float64(far)/n, float64(sum)/n; share > mostFar || mean > mostMean {
		t.Errorf("%s: %.2f %% of the pixels are others, the mean difference is %.2f (hint: look at make screens; -update accepts it)", file, 100*share, mean)
	}
}

// distance is the largest difference of two colours in a channel, 0 to 255.
func distance(a, b color.Color) int {
	ar, ag, ab, _ := a.RGBA()
	br, bg, bb, _ := b.RGBA()
	d := func(x, y uint32) int { return max(int(x>>8)-int(y>>8), int(y>>8)-int(x>>8)) }
	return max(d(ar, br), d(ag, bg), d(ab, bb))
}

func write(t testing.TB, file string, img *image.RGBA) {
	t.Helper()
	var out bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestCompression}
	if err := e.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
