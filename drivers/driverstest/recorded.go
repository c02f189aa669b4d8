package driverstest

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"loket/drivers"
	"loket/drivers/usb"
)

// Fixture reads a file of a recorded device, named below $LOKET_FIXTURES/usb. Without that the test is skipped and says so.
func Fixture(t *testing.T, name string) []byte {
	t.Helper()
	t.Attr("fixtures", "usb")
	dir := os.Getenv("LOKET_FIXTURES")
	if dir == "" {
		t.Skip("LOKET_FIXTURES is not set: the recordings are not here")
	}
	b, err := os.ReadFile(filepath.Join(dir, "usb", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// GrayFixture reads a picture that came with a recording: a PNG that is grey, whatever it is encoded as.
func GrayFixture(t *testing.T, name string) *image.Gray {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(Fixture(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	gray := image.NewGray(m.Bounds())
	for i := range gray.Pix {
		r, _, _, _ := m.At(i%gray.Stride, i/gray.Stride).RGBA()
		gray.Pix[i] = uint8(r >> 8)
	}
	return gray
}

// Differences lists the pixels in which two images differ, row by row. Of images of different sizes it is every pixel of the
// second.
func Differences(a, b *image.Gray) []image.Point {
	var list []image.Point
	for i := range b.Pix {
		if a.Rect != b.Rect || a.Pix[i] != b.Pix[i] {
			list = append(list, image.Pt(i%b.Stride, i/b.Stride))
		}
	}
	return list
}

// OpenOn opens the driver's device on a bus. The test closes it at its end, if it did not before.
func OpenOn(t *testing.T, d drivers.Driver, bus usb.Bus) drivers.Device {
	t.Helper()
	infos, err := bus.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		if !d.Match(i) {
			continue
		}
		raw, err := bus.Open(t.Context(), i.Identity())
		if err != nil {
			t.Fatal(err)
		}
		dev, err := d.Open(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = dev.Close() })
		return dev
	}
	t.Fatalf("no device for %s among %+v", d.Name, infos)
	return nil
}

// Readme checks that a driver's README.md has the headings that technicians find in every one.
func Readme(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, heading := range []string{"Devices", "Protocol", "Quirks", "Access", "How it was recorded"} {
		i := strings.Index(string(b[at:]), "\n## "+heading+"\n")
		if i < 0 {
			t.Fatalf("README.md has no heading %q in its place", heading)
		}
		at += i
	}
}
