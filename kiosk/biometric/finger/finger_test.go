package finger

import (
	"bytes"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"testing"

	"loket/kiosk/biometric"
)

// ridges draws parallel ridges of nine pixels in an ellipse; depth is how dark they are, noise how broken.
func ridges(w, h int, base, depth, noise float64) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	seed := uint32(1)
	for y := range h {
		for x := range w {
			seed = seed*1664525 + 1013904223
			v := 255.0
			dx, dy := float64(x-w/2)/float64(w)*2.2, float64(y-h/2)/float64(h)*2.2
			if dx*dx+dy*dy < 1 {
				v = base + depth*math.Sin((float64(x)*0.6+float64(y)*0.8)*2*math.Pi/9) + noise*(float64(seed>>16)/65536-0.5)
			}
			img.Pix[y*img.Stride+x] = uint8(min(max(v, 0), 255))
		}
	}
	return img
}

func analyse(t testing.TB, img *image.Gray, ppi int) Report {
	t.Helper()
	r, err := Basic{}.Analyse(img, ppi)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClearFingersScoreHighAndPoorOnesSayWhy(t *testing.T) {
	for _, c := range []struct {
		name string
		img  *image.Gray
		good bool
		hint biometric.Hint
	}{
		{"clear", ridges(416, 560, 140, 90, 10), true, ""},
		{"faint", ridges(416, 560, 225, 14, 2), false, biometric.HintPressHarder},
		{"wet", ridges(416, 560, 45, 40, 5), true, biometric.HintPressLess},
		{"noise alone", ridges(416, 560, 140, 0, 200), false, biometric.HintHoldStill},
		{"a fingertip's edge", ridges(130, 160, 140, 90, 10), false, biometric.HintCentre},
		{"nothing", ridges(416, 560, 255, 0, 0), false, biometric.HintPlace},
	} {
		r := analyse(t, c.img, 500)
		if (r.Quality.Score >= 30) != c.good || r.Hint != c.hint {
			t.Errorf("%s: score %d, hint %q, %v", c.name, r.Quality.Score, r.Hint, r.Quality.Measures)
		}
		if r.Empty != (c.name == "nothing") {
			t.Errorf("%s: empty is %v", c.name, r.Empty)
		}
	}
}

func TestScoresFallWithNoise(t *testing.T) {
	last := 101
	for noise := 0.0; noise <= 400; noise += 50 {
		s := analyse(t, ridges(416, 560, 140, 60, noise), 500).Quality.Score
		if s > last {
			t.Errorf("at noise %v the score rises from %d to %d", noise, last, s)
		}
		last = s
	}
}

func TestWhatCannotBeJudgedIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		img *image.Gray
		ppi int
	}{
		"no image":      {nil, 500},
		"no pixels":     {image.NewGray(image.Rect(0, 0, 0, 9)), 500},
		"no resolution": {image.NewGray(image.Rect(0, 0, 9, 9)), 0},
		"too many":      {&image.Gray{Rect: image.Rect(0, 0, 1<<14, 1<<14), Stride: 1 << 14}, 500},
	} {
		if r, err := (Basic{}).Analyse(c.img, c.ppi); err == nil || r.Quality.Score != 0 {
			t.Errorf("%s gives %+v, %v", name, r, err)
		}
	}
}

func TestPrintsOfAnotherMakerAreUsable(t *testing.T) {
	t.Attr("fixtures", "fingers/nist")
	dir := os.Getenv("LOKET_FIXTURES")
	files, _ := filepath.Glob(dir + "/fingers/nist/*.pgm")
	if dir == "" || len(files) == 0 {
		t.Skip("LOKET_FIXTURES holds no fingers: nothing to judge")
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var w, h, most int
		if _, err := fmt.Fscanf(bytes.NewReader(data), "P5\n%d %d\n%d", &w, &h, &most); err != nil {
			t.Fatal(err)
		}
		img := &image.Gray{Pix: data[len(data)-w*h:], Stride: w, Rect: image.Rect(0, 0, w, h)}
		if r := analyse(t, img, 500); r.Quality.Score < 30 {
			t.Errorf("%s: %+v", filepath.Base(f), r)
		}
	}
}

func FuzzAnalyse(f *testing.F) {
	f.Add([]byte("ridges and valleys"), uint16(7), uint8(3), uint8(2), uint16(500))
	f.Add(bytes.Repeat([]byte{0, 255, 7}, 4000), uint16(113), uint8(0), uint8(0), uint16(1000))
	f.Fuzz(func(t *testing.T, pix []byte, width uint16, left, top uint8, ppi uint16) {
		w := int(width%512) + 1
		img := &image.Gray{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, len(pix)/w)}
		img, ok := img.SubImage(image.Rect(int(left), int(top), w, len(pix)/w)).(*image.Gray)
		if !ok {
			return
		}
		before := bytes.Clone(pix)
		r, err := Basic{}.Analyse(img, int(ppi))
		if err == nil && (r.Quality.Score < 0 || r.Quality.Score > Best) {
			t.Errorf("%+v", r)
		}
		if !bytes.Equal(pix, before) {
			t.Error("the image was changed")
		}
	})
}

func BenchmarkAnalyse(b *testing.B) {
	img := ridges(416, 560, 140, 90, 10)
	for b.Loop() {
		analyse(b, img, 500)
	}
}
