package finger

import (
	"image"
	"math/rand/v2"
	"slices"
	"testing"

	"loket/firmware-sim/synth"
	"loket/kiosk/biometric"
)

// coarse is what a scanner sends while it waits: squares of ten pixels in one.
func coarse(img *image.Gray) *image.Gray {
	const f = 10
	out := image.NewGray(image.Rect(0, 0, img.Rect.Dx()/f, img.Rect.Dy()/f))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			sum := 0
			for j := range f {
				for _, p := range img.Pix[img.PixOffset(x*f, y*f+j):][:f] {
					sum += int(p)
				}
			}
			out.Pix[y*out.Stride+x] = uint8(sum / (f * f))
		}
	}
	return out
}

// lessOne presses a slap from which a finger is missing, turned by up to 20 degrees.
func lessOne(t testing.TB, fingers *synth.Library, n uint64) (img *image.Gray, kind, missing biometric.FingerPosition) {
	t.Helper()
	r := rand.New(rand.NewPCG(n, 2))
	kind = []biometric.FingerPosition{biometric.RightFour, biometric.LeftFour}[r.IntN(2)]
	parts := kind.Parts()
	missing = parts[r.IntN(len(parts))]
	var there []synth.Position
	for _, p := range parts {
		if p != missing {
			there = append(there, synth.Position(p))
		}
	}
	touch := []func(uint64) synth.Touch{synth.Usual, synth.Usual, synth.Usual, synth.Dry, synth.Wet}[r.IntN(5)]
	s := synth.Slap{Who: synth.Person(r.IntN(people)), Fingers: there, Touch: touch(n), Lifelike: &synth.Lifelike{Vary: 1, Fading: r.Float64(), Dirt: r.Float64(), Salt: r.Float64(), Halo: r.Float64()}}
	for range 50 {
		s.Seed, s.Rotation = r.Uint64(), 40*r.Float64()-20
		img, _, err := fingers.Slap(s)
		if err == nil {
			return img, kind, missing
		}
	}
	t.Fatal("slap", n, "does not fit on the glass")
	return nil, 0, 0
}

func TestALivePictureTellsWhichFingerIsMissing(t *testing.T) {
	fingers, all := slapMasters(), 24
	if testing.Short() {
		all = 8
	}
	named := 0
	for n := range all {
		img, kind, missing := lessOne(t, fingers, uint64(n))
		switch got := Glimpse(coarse(img), 50, kind, nil, 3); {
		case slices.Equal(got, []biometric.FingerPosition{missing}):
			named++
		case len(got) > 0:
			t.Errorf("slap %d lacks the %v, and %v is named", n, missing, got)
		}
	}
	t.Logf("%d of %d were named", named, all)
	if named < all*4/5 {
		t.Errorf("of %d fingers that are missing %d were named", all, named)
	}
}

// pressed is the coarse picture of some fingers of person 1.
func pressed(t testing.TB, fingers ...synth.Position) *image.Gray {
	t.Helper()
	img, _, err := slapMasters().Slap(synth.Slap{Who: 1, Seed: 3, Touch: synth.Usual(3), Fingers: fingers})
	if err != nil {
		t.Fatal(err)
	}
	return coarse(img)
}

func TestALivePictureNamesNobodyWhereThatIsNotSure(t *testing.T) {
	right := []synth.Position{synth.RightIndex, synth.RightMiddle, synth.RightRing, synth.RightLittle}
	three := pressed(t, right[:3]...)
	empty := image.NewGray(three.Rect)
	for i := range empty.Pix {
		empty.Pix[i] = 240
	}
	for name, got := range map[string][]biometric.FingerPosition{
		"an empty glass":              Glimpse(empty, 50, biometric.RightFour, nil, 1),
		"nothing that a scanner sees": Glimpse(three, 50, biometric.RightFour, nil, 0),
		"another count":               Glimpse(three, 50, biometric.RightFour, nil, 2),
		"all that are there":          Glimpse(three, 50, biometric.RightFour, []biometric.FingerPosition{biometric.RightLittle}, 3),
		"one of four":                 Glimpse(pressed(t, synth.RightMiddle), 50, biometric.RightFour, nil, 1),
		"no slap":                     Glimpse(three, 50, biometric.RightThumb, nil, 3),
		"no picture":                  Glimpse(nil, 50, biometric.RightFour, nil, 3),
		"too coarse":                  Glimpse(three, 5, biometric.RightFour, nil, 3),
	} {
		if len(got) > 0 {
			t.Errorf("%s: %v is named", name, got)
		}
	}
	if got := Glimpse(three, 50, biometric.RightFour, nil, 3); !slices.Equal(got, []biometric.FingerPosition{biometric.RightLittle}) {
		t.Errorf("the right little finger is missing, and %v is named", got)
	}
}

func FuzzGlimpse(f *testing.F) {
	f.Add([]byte{200, 20, 200, 20}, uint8(2), uint16(50), uint8(13), uint8(3))
	f.Fuzz(func(_ *testing.T, pix []byte, width uint8, ppi uint16, kind, seen uint8) {
		w := int(width) + 1
		img := &image.Gray{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, len(pix)/w)}
		Glimpse(img, int(ppi), biometric.FingerPosition(kind), nil, int(seen))
	})
}

func BenchmarkGlimpse(b *testing.B) {
	img := pressed(b, synth.LeftIndex, synth.LeftMiddle, synth.LeftLittle)
	for b.Loop() {
		Glimpse(img, 50, biometric.LeftFour, nil, 3)
	}
}
