package face

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"slices"
	"testing"

	"loket/kiosk/biometric"
)

// permit is the geometry of a residence permit's photograph.
func permit() Geometry {
	return Geometry{Fit: Fit{MaxWidth: 1200, MaxHeight: 1600, MaxBytes: 375000}, MinWidth: 600, MinHeight: 800}
}

// facing is a face with its eyes so far apart, in px, about a place, turned by degrees.
func facing(x, y, apart, degrees float64) Face {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	return Face{Eyes: [2]Point{{x - cos*apart/2, y - sin*apart/2}, {x + cos*apart/2, y + sin*apart/2}}, Roll: degrees}
}

func TestAPortraitIsLaidAboutAFace(t *testing.T) {
	for _, c := range []struct {
		what          string
		width, height int
		face          Face
		hint          biometric.Hint // nothing: it fits
	}{
		{"well placed", 1920, 1080, facing(960, 450, 170, 0), ""},
		{"turned", 1920, 1080, facing(960, 470, 165, 9), ""},
		{"large, of many pixels", 6000, 4000, facing(3000, 1700, 640, -4), ""},
		{"too far away", 1920, 1080, facing(960, 450, 90, 0), biometric.HintComeCloser},
		{"too near", 1920, 1080, facing(960, 500, 330, 0), biometric.HintStepBack},
		{"at the edge", 1920, 1080, facing(150, 450, 170, 0), biometric.HintMiddle},
		{"too high", 1920, 1080, facing(960, 120, 170, 0), biometric.HintMiddle},
	} {
		g := permit()
		size := image.Pt(c.width, c.height)
		v, err := g.lay(size, c.face)
		var room *RoomError
		if c.hint != "" {
			if !errors.As(err, &room) || room.Hint != c.hint {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		m := map[string]float64{ImageWidth: float64(v.width), ImageHeight: float64(v.height), Roll: c.face.Roll - v.angle*180/math.Pi}
		v.place(m, headOf([2]point{{c.face.Eyes[0].X, c.face.Eyes[0].Y}, {c.face.Eyes[1].X, c.face.Eyes[1].Y}}))
		within := func(name string, low, high float64) {
			if m[name] < low || m[name] > high {
				t.Errorf("%s: %s is %.3f", c.what, name, m[name])
			}
		}
		within(ImageWidth, 600, 1200)
		within(ImageHeight, 800, 1600)
		within(HeadWidth, 0.52, 0.73)
		within(HeadHeight, 0.6, 0.9)
		within(Vertical, 0.32, 0.49)
		within(Horizontal, 0.499, 0.502)
		within(Roll, -0.01, 0.01)
		within(EyeDistance, 120, c.face.Eyes[1].X-c.face.Eyes[0].X+5)
		if ratio := m[ImageWidth] / m[ImageHeight]; math.Abs(ratio-0.75) > 0.002 {
			t.Errorf("%s: proportions %.3f", c.what, ratio)
		}
	}
}

// marked is a picture with a red and a blue spot where the eyes are.
func marked(w, h int, f Face, ratio image.YCbCrSubsampleRatio) *image.YCbCr {
	img := image.NewYCbCr(image.Rect(0, 0, w, h), ratio)
	for y := range h {
		for x := range w {
			img.Y[img.YOffset(x, y)] = uint8(120 + (x*7+y*13)%5)
			img.Cb[img.COffset(x, y)], img.Cr[img.COffset(x, y)] = 128, 128
		}
	}
	for i, e := range f.Eyes {
		r, g, b := color.RGBToYCbCr(uint8(250*(1-i)), 0, uint8(250*i))
		for y := int(e.Y) - 12; y <= int(e.Y)+12; y++ {
			for x := int(e.X) - 12; x <= int(e.X)+12; x++ {
				img.Y[img.YOffset(x, y)], img.Cb[img.COffset(x, y)], img.Cr[img.COffset(x, y)] = r, g, b
			}
		}
	}
	return img
}

func TestAPortraitIsCutOutUprightAndEncodedOnce(t *testing.T) {
	f := facing(900, 560, 280, 8)
	for name, ratio := range map[string]image.YCbCrSubsampleRatio{"4:2:0": image.YCbCrSubsampleRatio420, "4:2:2": image.YCbCrSubsampleRatio422, "4:4:4": image.YCbCrSubsampleRatio444} {
		whole := marked(1800, 1700, f, ratio)
		v, err := permit().lay(whole.Rect.Size(), f)
		if err != nil {
			t.Fatal(err)
		}
		img := cut(whole, v)
		at := func(x, y float64) color.RGBA {
			return color.RGBAModel.Convert(img.At(int(x), int(y))).(color.RGBA)
		}
		unit := 280 / v.step
		y := v.from(point{900, 560}).y
		red, blue := at(float64(v.width)/2-unit/2, y), at(float64(v.width)/2+unit/2, y)
		if red.R < 200 || red.B > 60 || blue.B < 200 || blue.R > 60 {
			t.Errorf("%s: the eyes are not where they should be: %v %v", name, red, blue)
		}
	}
	data := encode(t, marked(1800, 1700, f, image.YCbCrSubsampleRatio420), 95)
	before := bytes.Clone(data)
	portrait, w, h, err := Portrait(data, f, permit())
	if err != nil {
		t.Fatal(err)
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(portrait))
	if err != nil || c.Width != w || c.Height != h || w < 600 || w > 1200 || len(portrait) > 375000 || !bytes.Equal(data, before) {
		t.Errorf("%d x %d, %d bytes, %v", w, h, len(portrait), err)
	}
	if _, _, _, err := Portrait(data, facing(900, 560, 60, 0), permit()); !errors.As(err, new(*RoomError)) {
		t.Errorf("a small face: %v", err)
	}
	tight := permit()
	tight.MaxBytes = 900
	if _, _, _, err := Portrait(data, f, tight); err == nil {
		t.Error("nine hundred bytes were enough")
	}
}

func TestALiveViewIsJudgedAsThePortraitThatItWouldGive(t *testing.T) {
	t.Attr("fixtures", "faces")
	a, img := analyser(t), astronaut(t)
	g := permit()
	g.MinWidth, g.MinHeight = 0, 0
	r := a.Judge(img, Want{Criteria: criteria(), Portrait: &g})
	got := verdicts(r)
	for _, name := range []string{Roll, HeadWidth, HeadHeight, Vertical, Horizontal} {
		if got[name] != biometric.Pass {
			t.Errorf("%s is %s", name, got[name])
		}
	}
	if r = a.Judge(img, Want{Criteria: criteria(), Portrait: new(permit())}); r.Meets || r.Hint != biometric.HintComeCloser {
		t.Errorf("44 px between the eyes give %q, %v", r.Hint, r.Meets)
	}
}

func TestInALiveViewTheRollIsJudgedAsItIsSeenAndTheBackgroundAsItWillBe(t *testing.T) {
	t.Attr("fixtures", "faces")
	a, img := analyser(t), astronaut(t)
	g := permit()
	g.MinWidth, g.MinHeight = 0, 0
	small := func(c biometric.Criterion) bool {
		return c.Name == ImageWidth || c.Name == ImageHeight || c.Name == EyeDistance
	}
	live := Want{Criteria: slices.DeleteFunc(criteria(), small), Portrait: &g}
	tilted, _ := rotated(img, 12)
	r := a.Judge(tilted, live)
	if verdicts(r)[Roll] != biometric.Fail || r.Hint != biometric.HintHeadUpright || r.Meets {
		t.Errorf("a tilted head: roll %.1f, %q", r.Quality.Measures[Roll], r.Hint)
	}
	portrait, _, _, err := Portrait(encode(t, tilted, 95), r.Faces[0], g)
	if err != nil {
		t.Fatal(err)
	}
	if cut, err := a.Analyse(portrait, Want{Criteria: criteria()}); err != nil || verdicts(cut)[Roll] != biometric.Pass || math.Abs(cut.Quality.Measures[Roll]) > 1.5 {
		t.Errorf("its portrait: roll %.1f, %v", cut.Quality.Measures[Roll], err)
	}
	striped := darker(1)(img)
	each(striped, func(x, y int) color.RGBA {
		if x > 400 && x/8%2 == 0 {
			return color.RGBA{255, 255, 255, 255}
		}
		return striped.RGBAAt(x, y)
	})
	before, after := a.Judge(img, live).Quality.Measures[Background], a.Judge(striped, live).Quality.Measures[Background]
	if before != after {
		t.Errorf("what the portrait leaves out changes its background from %.3f to %.3f", before, after)
	}
}
