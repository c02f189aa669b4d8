package acquire

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"testing"

	"loket/drivers"
	"loket/kiosk/biometric"
)

// platen shows two pictures as two fingers side by side.
type platen struct {
	scanner
	fingers [2]*image.Gray
}

func (p *platen) Capture(context.Context, []biometric.FingerPosition, func(drivers.Progress)) (drivers.Image, error) {
	img := drivers.Image{Gray: image.NewGray(image.Rect(0, 0, 1600, 1500)), PPI: 500}
	for i := range img.Gray.Pix {
		img.Gray.Pix[i] = 255
	}
	for i, finger := range p.fingers {
		size := finger.Rect.Size()
		box := image.Rectangle{Max: size}.Add(image.Pt(100+700*i, 200))
		for y := range size.Y {
			copy(img.Gray.Pix[img.Gray.PixOffset(box.Min.X, box.Min.Y+y):], finger.Pix[y*size.X:(y+1)*size.X])
		}
		img.Fingers = append(img.Fingers, drivers.FingerBox{Box: box})
	}
	return img, nil
}

func TestPrintsOfAnotherMakerGetThroughAtASupervisedStation(t *testing.T) {
	t.Attr("fixtures", "fingers")
	dir := os.Getenv("LOKET_FIXTURES")
	files, _ := filepath.Glob(dir + "/fingers/*/*.pgm")
	if dir == "" || len(files) == 0 {
		t.Skip("LOKET_FIXTURES holds no fingers: nothing to capture")
	}
	read := func(file string, change func(uint8) uint8) *image.Gray {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var w, h, most int
		if _, err := fmt.Fscanf(bytes.NewReader(data), "P5\n%d %d\n%d", &w, &h, &most); err != nil {
			t.Fatal(err)
		}
		img := image.NewGray(image.Rect(0, 0, w, h))
		for i, v := range data[len(data)-w*h:] {
			img.Pix[i] = change(v)
		}
		return img
	}
	for i, f := range files {
		other := files[(i+2)%len(files)] // of another finger: two impressions of one stand beside each other
		for name, change := range map[string]func(uint8) uint8{
			"as it is": func(v uint8) uint8 { return v }, "light": func(v uint8) uint8 { return 200 + v/5 }, "dark": func(v uint8) uint8 { return v / 5 },
		} {
			r, err := (&Acquirer{}).Capture(t.Context(), supervised(t), &platen{fingers: [2]*image.Gray{read(f, change), read(other, change)}}, nil)
			if err != nil || r.Status != biometric.Accepted || len(r.Samples) != 2 {
				t.Errorf("%s, %s: %s, %d samples, %v", filepath.Base(f), name, r.Status, len(r.Samples), err)
			}
			r.Wipe()
		}
	}
}
