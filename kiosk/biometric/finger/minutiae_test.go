package finger

import (
	"bytes"
	"fmt"
	"image"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"loket/kiosk/biometric/pgm"
)

// wavePicture draws level ridges, period px apart, with one more of them on one side of (x, y): to the right where turns is
// 1, to the left where it is -1. phase 0 makes the additional line a ridge, pi a valley. Then everything is turned by angle,
// anticlockwise, about (x, y).
func wavePicture(w, h int, x, y, period, phase, angle float64, turns int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	sin, cos := math.Sincos(angle)
	for i := range img.Pix {
		dx, dy := float64(i%w)-x, float64(i/w)-y
		u, v := dx*cos-dy*sin, dx*sin+dy*cos
		around := math.Atan2(v, u)
		if turns < 0 {
			around = math.Atan2(v, -u)
		}
		img.Pix[i] = uint8(128 - 100*math.Cos(2*math.Pi*v/period+around+phase))
	}
	return img
}

func extracted(t testing.TB, img *image.Gray, ppi int) Template {
	t.Helper()
	template, err := Extract(img, ppi)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func TestAMinutiaIsFoundWhereItIs(t *testing.T) {
	for _, ppi := range []int{300, 500} {
		for degrees := 0.0; degrees < 360; degrees += 40 {
			for kind, phase := range map[MinutiaType]float64{RidgeEnding: 0, Bifurcation: math.Pi} {
				for _, turns := range []int{1, -1} {
					size := 240 * ppi / 500
					x, y := float64(size)*0.52, float64(size)*0.47
					img := wavePicture(size, size, x, y, 9*float64(ppi)/500, phase, degrees*math.Pi/180, turns)
					found := extracted(t, img, ppi).Minutiae
					if len(found) != 1 {
						t.Fatalf("%s at %v degrees, %d ppi: %d minutiae found", kind, degrees, ppi, len(found))
					}
					m := found[0]
					want := degrees * math.Pi / 180
					if turns < 0 {
						want += math.Pi
					}
					far := math.Hypot(float64(m.X)-x, float64(m.Y)-y) * 500 / float64(ppi)
					off := math.Abs(math.Remainder(m.Angle-want, 2*math.Pi))
					if far > 2 || off > 0.15 || m.Type != kind || m.Quality < 50 {
						t.Errorf("%s at (%.0f,%.0f), %.2f rad, %d ppi: found %+v", kind, x, y, turn(want), ppi, m)
					}
				}
			}
		}
	}
}

func TestRidgesThatNeverEndHaveNoMinutiae(t *testing.T) {
	for name, img := range map[string]*image.Gray{
		"level ridges": ridges(300, 300, 140, 90, 0),
		"nothing":      ridges(300, 300, 255, 0, 0),
		"one pixel":    image.NewGray(image.Rect(0, 0, 1, 1)),
	} {
		if found := extracted(t, img, 500).Minutiae; len(found) > 0 {
			t.Errorf("%s: %d minutiae", name, len(found))
		}
	}
}

func TestATemplateKeepsItselfToItself(t *testing.T) {
	secret := Template{Width: 400, Height: 500, PPI: 500, Minutiae: []Minutia{{X: 123, Y: 321, Type: Bifurcation, Quality: 77}}}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("finger", "template", secret)
	fmt.Fprintf(&out, "%v %+v %#v %s", secret, secret, secret, secret)
	if s := out.String(); strings.Contains(s, "123") || strings.Contains(s, "bifurcation") {
		t.Errorf("it says %s", s)
	}
	minutiae := secret.Minutiae
	secret.Wipe()
	if minutiae[0] != (Minutia{}) || secret.Minutiae != nil || secret.PPI != 0 {
		t.Error("something is left")
	}
}

func TestWhatHasNoMinutiaeToExtractIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		img *image.Gray
		ppi int
	}{
		"no image":   {nil, 500},
		"no pixels":  {image.NewGray(image.Rect(0, 0, 0, 9)), 500},
		"too coarse": {image.NewGray(image.Rect(0, 0, 9, 9)), 249},
		"too fine":   {image.NewGray(image.Rect(0, 0, 9, 9)), 1201},
		"too large":  {&image.Gray{Rect: image.Rect(0, 0, 9, 2100), Stride: 9}, 500},
	} {
		if _, err := Extract(c.img, c.ppi); err == nil || !strings.HasPrefix(err.Error(), "extracting minutiae: ") {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

// print500 reads a fixture: an image at 500 ppi.
func print500(t testing.TB, path string) *image.Gray {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	img, err := pgm.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// prints lists fixtures, or skips.
func prints(t testing.TB, pattern string) []string {
	t.Helper()
	dir := os.Getenv("LOKET_FIXTURES")
	files, _ := filepath.Glob(filepath.Join(dir, "fingers", pattern))
	if dir == "" || len(files) == 0 {
		t.Skipf("LOKET_FIXTURES holds no fingers/%s: nothing to compare with", pattern)
	}
	return files
}

// Another maker's minutiae, from another method: those that it is sure of (quality 30 and up) are to be found here too, but
// for the images of which both make little. Its angles point the other way.
func TestMinutiaeLieWhereMindtctFindsThem(t *testing.T) {
	t.Attr("fixtures", "fingers/synthetic")
	var sure, found, turned int
	for _, path := range prints(t, "synthetic/*.pgm") {
		img := print500(t, path)
		ours := extracted(t, img, 500).Minutiae
		name := strings.TrimSuffix(filepath.Base(path), ".pgm") + ".xyt"
		lines, err := os.ReadFile(filepath.Join(filepath.Dir(path), "minutiae", name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(lines)) {
			var x, y, degrees, quality int
			if _, err := fmt.Sscan(line, &x, &y, &degrees, &quality); err != nil {
				t.Fatal(err)
			}
			if quality < 30 {
				continue
			}
			sure++
			if m, far := nearest(ours, x, img.Rect.Dy()-y); far <= 10 {
				found++
				if math.Abs(math.Remainder(m.Angle-float64(degrees)*math.Pi/180-math.Pi, 2*math.Pi)) < math.Pi/6 {
					turned++
				}
			}
		}
	}
	if found*100 < sure*80 || turned*100 < found*95 {
		t.Errorf("of %d minutiae %d are found, %d with their angle", sure, found, turned)
	}
}

// nearest returns the minutia nearest to a point and how far off it is (px).
func nearest(all []Minutia, x, y int) (near Minutia, far float64) {
	far = math.Inf(1)
	for _, m := range all {
		if d := math.Hypot(float64(m.X-x), float64(m.Y-y)); d < far {
			near, far = m, d
		}
	}
	return near, far
}

func FuzzExtract(f *testing.F) {
	f.Add([]byte("ridges and valleys"), uint16(7), uint8(3), uint8(2), uint16(500))
	f.Add(bytes.Repeat([]byte{0, 0, 255, 255, 7}, 4000), uint16(113), uint8(0), uint8(0), uint16(1000))
	f.Add(wavePicture(90, 90, 45, 45, 9, 0, 1, 1).Pix, uint16(89), uint8(0), uint8(0), uint16(500))
	f.Fuzz(func(t *testing.T, pix []byte, width uint16, left, top uint8, ppi uint16) {
		w := int(width%512) + 1
		img := &image.Gray{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, len(pix)/w)}
		img, ok := img.SubImage(image.Rect(int(left), int(top), w, len(pix)/w)).(*image.Gray)
		if !ok {
			return
		}
		before := bytes.Clone(pix)
		template, err := Extract(img, int(ppi))
		if err == nil {
			if _, err := Compare(template, template); err != nil {
				t.Errorf("what was extracted can't be compared: %v", err)
			}
		}
		if !bytes.Equal(pix, before) {
			t.Error("the image was changed")
		}
	})
}
