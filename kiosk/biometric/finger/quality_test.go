package finger

import (
	"bytes"
	"errors"
	"image"
	"math"
	"strings"
	"testing"

	"loket/firmware-sim/synth"
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
				v = base + depth*math.Sin((float64(x)*0.6+float64(y)*0.8)*2*math.Pi/9+float64(x*y)/20000) + noise*(float64(seed>>16)/65536-0.5)
			}
			img.Pix[y*img.Stride+x] = uint8(min(max(v, 0), 255))
		}
	}
	return img
}

func analyse(t testing.TB, img *image.Gray, ppi int) Report {
	t.Helper()
	r, err := Analyser{}.Analyse(img, ppi)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// grown grows a few fingers of the generator.
func grown(t testing.TB) (all []*synth.Master) {
	t.Helper()
	lib := masters()
	for _, p := range []synth.Position{synth.RightIndex, synth.LeftThumb} {
		m, err := lib.Master(synth.Person(7).Finger(p))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// smear moves an image by so many pixels while it is taken.
func smear(img *image.Gray, by int) *image.Gray {
	out := image.NewGray(img.Rect)
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			sum := 0
			for k := range by {
				sum += int(img.Pix[min(max(y+k-by/2, 0), img.Rect.Dy()-1)*img.Stride+x])
			}
			out.Pix[y*out.Stride+x] = uint8(sum / by)
		}
	}
	return out
}

// toned maps grey levels to whiteness plus share of them.
func toned(img *image.Gray, whiteness, share float64) *image.Gray {
	out := image.NewGray(img.Rect)
	for i, p := range img.Pix {
		out.Pix[i] = uint8(whiteness + share*float64(p))
	}
	return out
}

func TestCleanFingersScoreHighAndPoorOnesSayWhy(t *testing.T) {
	for _, m := range grown(t) {
		for seed := range uint64(3) {
			clean := m.Impress(synth.Usual(seed), seed)
			for _, c := range []struct {
				name        string
				img         *image.Gray
				least, most int
				hint        biometric.Hint
			}{
				{"clean", clean, 60, 100, biometric.HintNone},
				{"dry", m.Impress(synth.Dry(seed), seed), 0, 29, biometric.HintTooDry},
				{"wet", m.Impress(synth.Wet(seed), seed), 0, 29, biometric.HintTooWet},
				{"moved", smear(clean, 41), 0, 60, biometric.HintHoldStill},
				{"faint", toned(clean, 255*0.9, 0.1), 0, 100, biometric.HintPressHarder},
				{"black", toned(clean, 0, 0.2), 0, 100, biometric.HintPressLess},
			} {
				r := analyse(t, c.img, 500)
				if s := r.Quality.Score; r.Empty || s < c.least || s > c.most || r.Hint != c.hint {
					t.Errorf("%s: score %d, hint %q, empty %v", c.name, s, r.Hint, r.Empty)
				}
				if r.Quality.Algorithm != Algorithm || r.Quality.Version != Version {
					t.Errorf("%s: the score is said to be %s's %s", c.name, r.Quality.Algorithm, r.Quality.Version)
				}
			}
		}
	}
}

func TestWhereThereIsNoFingerThereIsNoScore(t *testing.T) {
	for _, c := range []struct {
		name string
		img  *image.Gray
		hint biometric.Hint
	}{
		{"empty glass", ridges(416, 560, 255, 0, 0), biometric.HintPlace},
		{"dust", ridges(416, 560, 254, 0, 4), biometric.HintPlace},
		{"one grey", ridges(4, 4, 100, 0, 0), biometric.HintPlace},
		{"a fingertip's edge", ridges(130, 160, 140, 90, 10), biometric.HintCentre},
		{"less than a block", ridges(20, 30, 140, 90, 10), biometric.HintCentre},
	} {
		if r := analyse(t, c.img, 500); !r.Empty || r.Hint != c.hint || r.Quality.Algorithm != "" || r.Quality.Score != 0 {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	if r := analyse(t, ridges(240, 300, 140, 90, 10), 500); r.Empty || r.Hint != biometric.HintCentre {
		t.Errorf("a small print: %q, empty %v", r.Hint, r.Empty)
	}
}

func TestScoresFallWithTheNoiseOfTheGenerator(t *testing.T) {
	for i, m := range grown(t) {
		for seed := range uint64(3) {
			var scores []int
			for noise := 0.0; noise <= 6; noise++ {
				scores = append(scores, analyse(t, m.Impress(synth.Touch{Noise: noise}, seed), 500).Quality.Score)
			}
			for j := range len(scores) - 1 {
				if scores[j+1] > scores[j] {
					t.Errorf("finger %d: scores %v rise", i, scores)
				}
			}
			if first, last := scores[0], scores[len(scores)-1]; first-last < 40 {
				t.Errorf("finger %d: scores %v hardly fall", i, scores)
			}
		}
	}
}

func TestAnotherScaleIsJudgedLikeFiveHundred(t *testing.T) {
	for _, m := range grown(t) {
		img := m.Impress(synth.Usual(1), 1)
		want := analyse(t, img, 500).Quality.Score
		for _, ppi := range []int{496, 505} {
			if got := analyse(t, img, ppi).Quality.Score; got != want {
				t.Errorf("at %d ppi: %d, not %d", ppi, got, want)
			}
		}
		for _, ppi := range []int{385, 512, 1000} {
			other := enlarge(img, 500, max(ppi, 500))
			if ppi < 500 {
				other = Resample(img, 500, ppi)
			}
			if got := analyse(t, other, ppi).Quality.Score; got < want-10 || got > want+10 {
				t.Errorf("at %d ppi: %d, not about %d", ppi, got, want)
			}
		}
	}
}

func TestWhatCannotBeJudgedIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		img *image.Gray
		ppi int
	}{
		"no image":              {nil, 500},
		"no pixels":             {image.NewGray(image.Rect(0, 0, 0, 9)), 500},
		"no resolution":         {image.NewGray(image.Rect(0, 0, 9, 9)), 0},
		"too coarse":            {image.NewGray(image.Rect(0, 0, 9, 9)), 200},
		"too many":              {&image.Gray{Rect: image.Rect(0, 0, 1<<14, 1<<14), Stride: 1 << 14}, 500},
		"too many once at 500":  {&image.Gray{Rect: image.Rect(0, 0, 1<<12, 1<<12), Stride: 1 << 12}, 400},
		"larger than an int is": {&image.Gray{Rect: image.Rect(0, 0, math.MaxInt, math.MaxInt)}, 500},
	} {
		if r, err := (Analyser{}).Analyse(c.img, c.ppi); err == nil || r.Quality.Score != 0 || r.Quality.Algorithm != "" {
			t.Errorf("%s gives %+v, %v", name, r, err)
		}
	}
}

func TestMoreThanAFingerIsNotMeasured(t *testing.T) {
	for _, size := range []image.Point{{910, 500}, {500, 1110}} {
		r, err := Analyser{}.Analyse(ridges(size.X, size.Y, 140, 90, 10), 500)
		if err == nil || errors.Is(err, ErrTooLittle) || r.Quality.Algorithm != "" {
			t.Errorf("%v: %+v, %v", size, r, err)
		}
	}
}

func TestMinutiaeAreTakenWhereTheyAreAskedFor(t *testing.T) {
	asks := read(t, strings.Replace(forest, "OCL_Bin10_Mean", MeasureMinutiae, 1))
	for _, m := range grown(t) {
		img := m.Impress(synth.Usual(2), 2)
		for _, a := range []Analyser{{}, {Minutiae: true}, {Model: asks}} {
			r, err := a.Analyse(img, 500)
			if err != nil {
				t.Fatal(err)
			}
			q := r.Quality.Measures
			n, counted := q[MeasureMinutiae]
			if counted != (a.Minutiae || a.Model != nil) {
				t.Errorf("%+v: counted is %v", a, counted)
			}
			if inside := q[MeasureMinutiaeCentre]; counted && (n < 20 || n > 120 || inside < 5 || inside > n) {
				t.Errorf("%v minutiae, %v about the middle", n, inside)
			}
			for _, name := range []string{MeasureMinutiaeOnGrey, MeasureMinutiaeOnRidges} {
				if share := q[name]; counted && (share <= 0 || share > 1) {
					t.Errorf("%s is %v", name, share)
				}
			}
		}
	}
}

func FuzzAnalyse(f *testing.F) {
	f.Add([]byte("ridges and valleys"), uint16(7), uint8(3), uint8(2), uint16(500))
	f.Add(bytes.Repeat([]byte{0, 255, 7}, 4000), uint16(113), uint8(0), uint8(0), uint16(1000))
	f.Add(ridges(200, 240, 140, 90, 10).Pix, uint16(199), uint8(0), uint8(0), uint16(400))
	f.Fuzz(func(t *testing.T, pix []byte, width uint16, left, top uint8, ppi uint16) {
		w := int(width%512) + 1
		img := &image.Gray{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, len(pix)/w)}
		img, ok := img.SubImage(image.Rect(int(left), int(top), w, len(pix)/w)).(*image.Gray)
		if !ok {
			return
		}
		before := bytes.Clone(pix)
		r, err := Analyser{Minutiae: true}.Analyse(img, int(ppi))
		if s := r.Quality.Score; s < 0 || s > 100 || (err != nil || r.Empty) && s != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		for name, v := range r.Quality.Measures {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s is %v", name, v)
			}
		}
		if !bytes.Equal(pix, before) {
			t.Error("the image was changed")
		}
	})
}
