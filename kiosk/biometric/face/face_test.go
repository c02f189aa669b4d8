package face

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"testing"

	"loket/kiosk/biometric"
)

// scene is a coloured picture with edges; light moves its grey levels.
func scene(w, h, light int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			v := light + (x/9%2)*60 - (y/13%2)*40
			level := func(d int) uint8 { return uint8(min(max(v+d, 0), 255)) }
			img.SetRGBA(x, y, color.RGBA{level(25), level(0), level(-20), 255})
		}
	}
	return img
}

func encode(t testing.TB, img image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func plain(v uint8) image.Image {
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	for i := range img.Pix {
		img.Pix[i] = v
	}
	return img
}

func blurred(img *image.RGBA) image.Image {
	soft := image.NewRGBA(img.Rect)
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			soft.SetRGBA(x, y, color.RGBA{uint8(40 + x*180/img.Rect.Dx()), uint8(50 + y*160/img.Rect.Dy()), 70, 255})
		}
	}
	return soft
}

func TestGoodPhotographsScoreHighAndBadOnesSayWhy(t *testing.T) {
	for _, c := range []struct {
		name string
		img  image.Image
		good bool
		hint biometric.Hint
	}{
		{"good", scene(640, 480, 120), true, ""},
		{"dark", scene(640, 480, 5), false, biometric.HintTooDark},
		{"burnt", scene(640, 480, 320), false, biometric.HintTooBright},
		{"nothing", plain(128), false, biometric.HintNoFace},
		{"black", plain(0), false, biometric.HintTooDark},
		{"out of focus", blurred(scene(640, 480, 120)), false, biometric.HintOutOfFocus},
	} {
		r, err := Basic{}.Analyse(encode(t, c.img, 90), Want{})
		if err != nil {
			t.Fatal(err)
		}
		if (r.Quality.Score >= 50) != c.good || r.Hint != c.hint {
			t.Errorf("%s: score %d, hint %q, %v", c.name, r.Quality.Score, r.Hint, r.Quality.Measures)
		}
	}
}

func TestSizeIsJudgedApartFromTheScore(t *testing.T) {
	small := encode(t, scene(300, 400, 120), 90)
	r, err := Basic{}.Analyse(small, Want{MinWidth: 600, MinHeight: 800})
	if err != nil || r.Meets || r.Width != 300 || r.Height != 400 || r.Quality.Algorithm != Algorithm {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWhatIsNoPhotographIsAnErrorAndNoScore(t *testing.T) {
	good := encode(t, scene(64, 64, 120), 90)
	var other bytes.Buffer
	if err := png.Encode(&other, scene(8, 8, 100)); err != nil {
		t.Fatal(err)
	}
	huge := bytes.Clone(good)
	at := bytes.Index(huge, []byte{0xff, 0xc0})
	copy(huge[at+5:], []byte{0xff, 0xff, 0xff, 0xff})
	for name, data := range map[string][]byte{"nothing": nil, "half": good[:len(good)/2], "a PNG": other.Bytes(), "a huge one": huge} {
		if r, err := (Basic{}).Analyse(data, Want{}); err == nil || r.Quality.Score != 0 {
			t.Errorf("%s gives %+v, %v", name, r, err)
		}
	}
}

func TestShrinkingFitsOnceAndKeepsWhichWayIsUp(t *testing.T) {
	data := encode(t, scene(1200, 1500, 120), 100)
	exif := append([]byte{0xff, 0xe1, 0, 2 + 6 + 4}, "Exif\x00\x00MM\x00*"...)
	data = append(append(bytes.Clone(data[:2]), exif...), data[2:]...)
	before := bytes.Clone(data)
	for _, fit := range []Fit{{1600, 1600, 400000}, {600, 1600, 1 << 20}, {1600, 300, 60000}} {
		out, w, h, err := Shrink(data, fit)
		if err != nil {
			t.Fatal(err)
		}
		c, err := jpeg.DecodeConfig(bytes.NewReader(out))
		if err != nil || !fit.Fits(len(out), c.Width, c.Height) || c.Width != w || c.Height != h {
			t.Errorf("%+v: %d bytes, %dx%d, %v", fit, len(out), c.Width, c.Height, err)
		}
		if !bytes.Equal(exifOf(out), exif) {
			t.Error("the Exif segment is gone")
		}
	}
	if !bytes.Equal(data, before) {
		t.Error("the original was changed")
	}
	if _, _, _, err := Shrink(data, Fit{1600, 1600, 100}); err == nil {
		t.Error("a hundred bytes were enough")
	}
	if _, _, _, err := Shrink([]byte("no"), Fit{1, 1, 1}); err == nil {
		t.Error("two letters were shrunk")
	}
}

func TestARealPortraitIsGood(t *testing.T) {
	t.Attr("fixtures", "faces")
	dir := os.Getenv("LOKET_FIXTURES")
	if dir == "" {
		t.Skip("LOKET_FIXTURES is not set: no portrait to judge")
	}
	file, err := os.Open(dir + "/faces/astronaut.png")
	if err != nil {
		t.Skip(err)
	}
	defer file.Close()
	img, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := (Basic{}).Analyse(encode(t, img, 95), Want{}); err != nil || r.Quality.Score < 80 || r.Hint != "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzAnalyse(f *testing.F) {
	f.Add(encode(f, scene(64, 48, 120), 80))
	f.Add(encode(f, plain(7), 10))
	var other bytes.Buffer
	if err := png.Encode(&other, scene(40, 50, 100)); err != nil {
		f.Fatal(err)
	}
	f.Add(other.Bytes())
	detector, err := Open(Cascades)
	if err != nil {
		f.Log(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Basic{}.Analyse(data, Want{MinWidth: 10})
		if err == nil && (r.Quality.Score < 0 || r.Quality.Score > 100 || r.Width == 0) {
			t.Errorf("%+v", r)
		}
		if detector != nil {
			r, err := detector.Analyse(data, Want{Portrait: new(permit())})
			if err == nil && (r.Quality.Score < 0 || r.Quality.Score > 100 || r.Width == 0) {
				t.Errorf("%+v", r)
			}
		}
		if _, err := Booth(data); err == nil && len(data) == 0 {
			t.Error("nothing was judged")
		}
		if out, _, _, err := Shrink(data, Fit{MaxWidth: 40, MaxHeight: 40, MaxBytes: 5000}); err == nil && len(out) > 5000 {
			t.Errorf("%d bytes", len(out))
		}
	})
}

func BenchmarkAnalyseFrame(b *testing.B) {
	data := encode(b, scene(1280, 720, 120), 85)
	for b.Loop() {
		if _, err := (Basic{}).Analyse(data, Want{}); err != nil {
			b.Fatal(err)
		}
	}
}
