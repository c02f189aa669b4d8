package finger

import (
	"encoding/binary"
	"image"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"loket/firmware-sim/synth"
	"loket/kiosk/biometric/wsq"
)

func compared(t testing.TB, a, b Template) float64 {
	t.Helper()
	score, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return score
}

func TestFingersOfAnotherMakerAreToldApart(t *testing.T) {
	t.Attr("fixtures", "fingers/synthetic")
	files := prints(t, "synthetic/*.pgm")
	templates := map[string]Template{}
	for _, f := range files {
		templates[strings.TrimSuffix(filepath.Base(f), ".pgm")] = extracted(t, print500(t, f), 500)
	}
	var genuine, passed int
	for a := range templates {
		for b := range templates {
			if a >= b {
				continue
			}
			same := Same(compared(t, templates[a], templates[b]))
			if fingerOf(a) == fingerOf(b) {
				genuine++
				if same {
					passed++
				}
			} else if same {
				t.Errorf("%s passes as %s", a, b)
			}
		}
	}
	if passed*10 < genuine*9 {
		t.Errorf("of %d pairs of one finger %d pass", genuine, passed)
	}
}

// fingerOf is the finger of an impression: f101 of f101_2.
func fingerOf(name string) string {
	finger, _, _ := strings.Cut(name, "_")
	return finger
}

func TestAPrintThatWasCompressedIsFinerOrPartOfItIsStillOfItsFinger(t *testing.T) {
	library := masters()
	for who := range synth.Person(3) {
		m, err := library.Master((400 + who).Finger(synth.RightIndex))
		if err != nil {
			t.Fatal(err)
		}
		reference := extracted(t, m.Impress(synth.Usual(1), 1), synth.PPI)
		probe := m.Impress(synth.Usual(2), 2)
		for name, template := range map[string]Template{
			"compressed": extracted(t, compressed(t, probe), synth.PPI),
			"finer":      extracted(t, twice(probe), 2*synth.PPI),
			"half":       extracted(t, upperHalf(probe), synth.PPI),
			"upside":     extracted(t, rotated(probe, math.Pi), synth.PPI),
		} {
			if score := compared(t, reference, template); !Same(score) {
				t.Errorf("finger %d %s scores %.1f", who, name, score)
			}
		}
	}
}

// compressed is what WSQ at its usual rate leaves of an image.
func compressed(t *testing.T, img *image.Gray) *image.Gray {
	t.Helper()
	data, err := wsq.Encode(img, wsq.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := wsq.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return got.Gray
}

// twice is an image with two pixels by two for each.
func twice(img *image.Gray) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, 2*img.Rect.Dx(), 2*img.Rect.Dy()))
	for i := range out.Pix {
		out.Pix[i] = img.Pix[i/out.Stride/2*img.Stride+i%out.Stride/2]
	}
	return out
}

// upperHalf is an image without its lower half.
func upperHalf(img *image.Gray) *image.Gray {
	return &image.Gray{Pix: img.Pix, Stride: img.Stride, Rect: image.Rect(0, 0, img.Rect.Dx(), img.Rect.Dy()/2)}
}

func TestBothWaysRoundTheScoreIsTheSame(t *testing.T) {
	all, _ := world{}.pressed(t, 400, 2, 2)
	for _, pair := range [][2]Template{{all[0][0], all[0][1]}, {all[0][0], all[1][0]}} {
		if there, back := compared(t, pair[0], pair[1]), compared(t, pair[1], pair[0]); there != back {
			t.Errorf("%v there, %v back", there, back)
		}
	}
}

func TestNothingIsLikeNothing(t *testing.T) {
	empty := Template{Width: 9, Height: 9, PPI: 500}
	one := Template{Width: 9, Height: 9, PPI: 500, Minutiae: []Minutia{{X: 4, Y: 4, Quality: 50}}}
	for _, pair := range [][2]Template{{empty, empty}, {empty, one}, {one, one}} {
		if score := compared(t, pair[0], pair[1]); Same(score) {
			t.Errorf("%d and %d minutiae score %v", len(pair[0].Minutiae), len(pair[1].Minutiae), score)
		}
	}
}

func TestTemplatesThatNobodyExtractedAreRefused(t *testing.T) {
	fine := Template{Width: 9, Height: 9, PPI: 500}
	for name, bad := range map[string]Template{
		"no scale":  {Width: 9, Height: 9},
		"too many":  {Width: 9, Height: 9, PPI: 500, Minutiae: make([]Minutia, MaxMinutiae+1)},
		"outside":   {Width: 9, Height: 9, PPI: 500, Minutiae: []Minutia{{X: 9}}},
		"no angle":  {Width: 9, Height: 9, PPI: 500, Minutiae: []Minutia{{Angle: math.NaN()}}},
		"all zeros": {},
	} {
		if _, err := Compare(fine, bad); err == nil || !strings.HasPrefix(err.Error(), "comparing fingers: ") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Compare(bad, fine); err == nil {
			t.Errorf("%s is taken for the first of a pair", name)
		}
	}
}

// templateOf reads a template from arbitrary bytes: seven a minutia.
func templateOf(data []byte) Template {
	t := Template{Width: 512, Height: 512, PPI: 500}
	for ; len(data) >= 7 && len(t.Minutiae) < MaxMinutiae; data = data[7:] {
		t.Minutiae = append(t.Minutiae, Minutia{
			X: int(binary.LittleEndian.Uint16(data) % 512), Y: int(binary.LittleEndian.Uint16(data[2:]) % 512),
			Angle: float64(int16(binary.LittleEndian.Uint16(data[4:]))) / 1000, Quality: int(int8(data[6])),
		})
	}
	return t
}

func FuzzCompare(f *testing.F) {
	f.Add([]byte("seven b"), []byte("ytes a minutia"))
	f.Add(make([]byte, 7*300), make([]byte, 7*300))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		there, err := Compare(templateOf(a), templateOf(b))
		if err != nil {
			t.Fatal(err)
		}
		back, err := Compare(templateOf(b), templateOf(a))
		if err != nil || there != back || math.IsNaN(there) || there < 0 {
			t.Errorf("%v there, %v back, %v", there, back, err)
		}
	})
}
