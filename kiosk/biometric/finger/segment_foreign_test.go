package finger

import (
	"image"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"loket/firmware-sim/synth"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/pgm"
)

// foreign reads the prints of other makers.
func foreign(t testing.TB) []*image.Gray {
	t.Helper()
	dir := os.Getenv("LOKET_FIXTURES")
	files, _ := filepath.Glob(dir + "/fingers/[ns]*/*.pgm")
	if dir == "" || len(files) == 0 {
		t.Skip("LOKET_FIXTURES holds no fingers: nothing to lay on the glass")
	}
	var prints []*image.Gray
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		img, err := pgm.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		prints = append(prints, img)
	}
	return prints
}

// Where fingers lie in a plain hand, thumb to little finger: px down from the middle finger, and size.
var (
	plainDrop = [5]float64{0, 75, 0, 35, 150}
	plainSize = [5]float64{1.05, 0.92, 0.96, 0.92, 0.76}
)

// layForeign lays prints in ellipses on a white glass: slap number n.
func layForeign(prints []*image.Gray, n uint64) laid {
	r := rand.New(rand.NewPCG(n, 9))
	l := laid{kind: []biometric.FingerPosition{biometric.RightFour, biometric.LeftFour, biometric.BothIndex}[r.IntN(3)], down: r.Float64() < 0.3}
	l.asked = l.kind
	if l.kind != biometric.BothIndex && r.Float64() < 0.3 {
		l.asked = biometric.RightFour + biometric.LeftFour - l.kind
	}
	l.image = image.NewGray(image.Rect(0, 0, 1600, 1500))
	for i := range l.image.Pix {
		l.image.Pix[i] = 255
	}
	turn, pitch := 80*r.Float64()-40, 335+25*r.Float64()
	if l.down {
		turn += 180
	}
	fingers := l.kind.Parts()
	slices.SortFunc(fingers, func(a, b biometric.FingerPosition) int { return order(a) - order(b) })
	if len(fingers) == 2 {
		pitch += 150
	}
	sin, cos := math.Sincos(turn * math.Pi / 180)
	for k, p := range fingers {
		d := (int(p) - 1) % 5
		x, y := (float64(k)-float64(len(fingers)-1)/2)*pitch+6*r.NormFloat64(), plainDrop[d]-65+8*r.NormFloat64()
		at := synth.Placed{Position: synth.Position(p), Rotation: turn + 2*r.NormFloat64()}
		mx, my := 800+x*cos-y*sin, 750+x*sin+y*cos
		at.Box = image.Rect(int(mx)-1, int(my)-1, int(mx)+1, int(my)+1)
		stamp(l.image, prints[r.IntN(len(prints))], mx, my, at.Rotation, plainSize[d]*(1+0.03*r.NormFloat64()))
		l.truth = append(l.truth, at)
	}
	return l
}

func order(p biometric.FingerPosition) int {
	if p.Right() {
		return int(p)
	}
	return -int(p)
}

// stamp copies what of a print lies in an ellipse to (cx, cy).
func stamp(glass, print *image.Gray, cx, cy, turn, size float64) {
	sin, cos := math.Sincos(turn * math.Pi / 180)
	for y := -260; y < 260; y++ {
		for x := -260; x < 260; x++ {
			fx, fy := (float64(x)*cos+float64(y)*sin)/size, (float64(y)*cos-float64(x)*sin)/size
			from := image.Pt(int(fx)+print.Rect.Dx()/2, int(fy)+print.Rect.Dy()/2)
			to := image.Pt(int(cx)+x, int(cy)+y)
			if math.Hypot(fx/148, fy/212) <= 1 && from.In(print.Rect) && to.In(glass.Rect) {
				i := glass.PixOffset(to.X, to.Y)
				glass.Pix[i] = min(glass.Pix[i], print.GrayAt(from.X, from.Y).Y)
			}
		}
	}
}

func TestSlapsOfPrintsOfAnotherMakerAreRead(t *testing.T) {
	t.Attr("fixtures", "fingers/nist")
	prints := foreign(t)
	const all = 40
	var right int
	for n := range uint64(all) {
		l := layForeign(prints, n)
		s := segment(t, l.image, l.asked)
		if v := l.judge(s); v == (verdict{true, true, true}) {
			right++
		} else {
			t.Logf("slap %d of %v, asked for %v: %+v", n, l.kind, l.asked, v)
		}
		s.Wipe()
	}
	if right < all*95/100 {
		t.Errorf("%d of %d slaps were read rightly", right, all)
	}
}
