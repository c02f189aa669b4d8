package finger

import (
	"bytes"
	"fmt"
	"image"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"loket/firmware-sim/synth"
	"loket/kiosk/biometric"
)

// slapMasters keeps grown fingers between runs, where everything that is made lies.
func slapMasters() *synth.Library { return &synth.Library{Dir: "../../../build/fingers"} }

// laid is a slap of which everything is known.
type laid struct {
	image *image.Gray
	kind  biometric.FingerPosition // what lies there
	asked biometric.FingerPosition
	truth []synth.Placed
	down  bool
}

// people is how many persons the slaps are of; ten fingers each.
const people = 6

// lay presses slap number n: any kind, turned by up to 45 degrees, fingers missing, the wrong hand, upside down, on good and
// on bad glass.
func lay(t testing.TB, fingers *synth.Library, n uint64) laid {
	t.Helper()
	r := rand.New(rand.NewPCG(n, 1))
	kinds := []biometric.FingerPosition{biometric.RightFour, biometric.LeftFour, biometric.RightFour, biometric.LeftFour,
		biometric.BothThumbs, biometric.BothIndex}
	l := laid{kind: kinds[r.IntN(len(kinds))], down: r.Float64() < 0.25}
	l.asked = l.kind
	var there []synth.Position
	for _, p := range l.kind.Parts() {
		there = append(there, synth.Position(p))
	}
	if len(there) == 4 && r.Float64() < 0.3 {
		k := r.IntN(4)
		there = slices.Delete(there, k, k+1)
	}
	if l.kind == biometric.RightFour && r.Float64() < 0.3 {
		l.asked = biometric.LeftFour
	} else if l.kind == biometric.LeftFour && r.Float64() < 0.3 {
		l.asked = biometric.RightFour
	}
	touch := []func(uint64) synth.Touch{synth.Usual, synth.Usual, synth.Usual, synth.Usual, synth.Usual, synth.Usual, synth.Dry, synth.Wet}
	s := synth.Slap{Who: synth.Person(r.IntN(people)), Fingers: there, UpsideDown: l.down, Touch: touch[r.IntN(len(touch))](n),
		Lifelike: &synth.Lifelike{Vary: 1, Phalanges: max(r.Float64()-0.5, 0), Fading: r.Float64(), Dirt: r.Float64(), Salt: r.Float64(), Halo: r.Float64()}}
	for range 50 {
		s.Seed, s.Rotation = r.Uint64(), 90*r.Float64()-45
		var err error
		if l.image, l.truth, err = fingers.Slap(s); err == nil {
			return l
		}
	}
	t.Fatal("slap", n, "does not fit on the glass")
	return l
}

// verdict is what of a slap was read rightly.
type verdict struct{ named, hand, upright bool }

func (l laid) judge(s Segmentation) verdict {
	want := map[biometric.FingerPosition]Hand{biometric.RightFour: HandRight, biometric.LeftFour: HandLeft,
		biometric.BothThumbs: HandBoth, biometric.BothIndex: HandBoth}
	v := verdict{len(s.Fingers) == len(l.truth), s.Hand == want[l.kind] && s.WrongHand == (l.kind != l.asked), s.UpsideDown == l.down}
	for _, p := range l.truth {
		v.named = v.named && slices.ContainsFunc(s.Fingers, func(f Fingertip) bool {
			mid := p.Box.Min.Add(p.Box.Max).Div(2)
			return int(f.Position) == int(p.Position) && math.Hypot(f.Centre[0]-float64(mid.X), f.Centre[1]-float64(mid.Y)) < 110
		})
	}
	return v
}

func segment(t testing.TB, img *image.Gray, kind biometric.FingerPosition, absent ...biometric.FingerPosition) Segmentation {
	t.Helper()
	s, err := Segment(img, 500, kind, absent)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSlapsAreReadAsTheyWereLaid(t *testing.T) {
	fingers, all := slapMasters(), 16
	if testing.Short() {
		all = 4
	}
	for n := range all {
		l := lay(t, fingers, uint64(n)<<8) // other slaps than those of the benchmark
		s := segment(t, l.image, l.asked)
		if got := l.judge(s); got != (verdict{true, true, true}) {
			t.Errorf("slap %d of %v, asked for %v: %+v, %d fingers, turned by %.0f", n, l.kind, l.asked, got, len(s.Fingers), s.Angle)
		}
		for _, f := range s.Fingers {
			whole(t, f, l.image)
		}
	}
}

// whole checks what holds for every fingertip.
func whole(t *testing.T, f Fingertip, source *image.Gray) {
	t.Helper()
	w, h := f.Image.Rect.Dx(), f.Image.Rect.Dy()
	if w > 700 || h > 900 || h < w*3/4 {
		t.Errorf("%v is %dx%d", f.Position, w, h)
	}
	for i, p := range f.Corners {
		next := f.Corners[(i+1)%4]
		long := float64([2]int{w - 1, h - 1}[i%2])
		if d := math.Hypot(float64(next.X-p.X), float64(next.Y-p.Y)); math.Abs(d-long) > 1.5 {
			t.Errorf("%v: its image is %dx%d, an edge %.1f long in the source", f.Position, w, h, d)
		}
		if !p.In(f.Box) {
			t.Errorf("%v: corner %v is not in %v", f.Position, p, f.Box)
		}
	}
	if f.Box.Intersect(source.Rect).Empty() {
		t.Errorf("%v lies off the glass: %v", f.Position, f.Box)
	}
	for _, corner := range []int{0, w - 1, len(f.Image.Pix) - 1} {
		if f.Image.Pix[corner] < 200 {
			t.Errorf("%v: a corner is %d, not white", f.Position, f.Image.Pix[corner])
		}
	}
}

func TestAHandThatIsNotTurnedKeepsItsPixels(t *testing.T) {
	l := synth.Slap{Who: 1, Fingers: []synth.Position{synth.LeftIndex, synth.RightIndex}, Touch: synth.Usual(3), Seed: 3}
	img, _, err := slapMasters().Slap(l)
	if err != nil {
		t.Fatal(err)
	}
	g := newGlass(img, 500)
	b := g.blobs()[0]
	f := g.cut(img, tip{blob: b, angle: 0.7})
	if f.Angle != 0 {
		t.Fatalf("turned by %v", f.Angle)
	}
	for y := range f.Image.Rect.Dy() {
		for x := range f.Image.Rect.Dx() {
			at := f.Corners[0].Add(image.Pt(x, y))
			if v := f.Image.GrayAt(x, y).Y; v != 255 && v != img.GrayAt(at.X, at.Y).Y {
				t.Fatalf("pixel (%d,%d) is %d, in the source %d", x, y, v, img.GrayAt(at.X, at.Y).Y)
			}
		}
	}
}

func TestThreeOfFourSayWhichIsMissing(t *testing.T) {
	fingers := slapMasters()
	for _, kind := range []biometric.FingerPosition{biometric.RightFour, biometric.LeftFour} {
		for _, gone := range kind.Parts() {
			var there []synth.Position
			for _, p := range kind.Parts() {
				if p != gone {
					there = append(there, synth.Position(p))
				}
			}
			img, _, err := fingers.Slap(synth.Slap{Who: 2, Fingers: there, Touch: synth.Usual(5), Seed: 5, Rotation: 20, Lifelike: &synth.Lifelike{Vary: 0.5}})
			if err != nil {
				t.Fatal(err)
			}
			if s := segment(t, img, kind); !slices.Equal(s.Missing, []biometric.FingerPosition{gone}) || s.WrongHand || s.TooMany {
				t.Errorf("without %v: missing %v, wrong hand %v", gone, s.Missing, s.WrongHand)
			}
			if s := segment(t, img, kind, gone); len(s.Missing) > 0 || len(s.Fingers) != 3 || s.TooMany {
				t.Errorf("without %v, which is known: missing %v, %d fingers", gone, s.Missing, len(s.Fingers))
			}
			if s := segment(t, img, kind, kind.Parts()[:2]...); !s.TooMany {
				t.Errorf("three fingers of two are not too many")
			}
		}
	}
}

func TestOneOfAPairIsNamedByItsSide(t *testing.T) {
	fingers := slapMasters()
	for _, c := range []struct{ there, missing synth.Position }{{synth.RightIndex, synth.LeftIndex}, {synth.LeftIndex, synth.RightIndex}} {
		both, placed, err := fingers.Slap(synth.Slap{Who: 1, Fingers: []synth.Position{synth.RightIndex, synth.LeftIndex}, Touch: synth.Usual(4), Seed: 4})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range placed {
			if p.Position == c.missing {
				blank(both, p.Box.Inset(-20))
			}
		}
		s := segment(t, both, biometric.BothIndex)
		if len(s.Fingers) != 1 || int(s.Fingers[0].Position) != int(c.there) || len(s.Missing) != 1 || int(s.Missing[0]) != int(c.missing) {
			t.Errorf("%v alone: %d fingers, missing %v", c.there, len(s.Fingers), s.Missing)
		}
	}
}

func blank(img *image.Gray, r image.Rectangle) {
	r = r.Intersect(img.Rect)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			img.Pix[img.PixOffset(x, y)] = 255
		}
	}
}

func TestEmptyGlassHasNoFingers(t *testing.T) {
	noisy := image.NewGray(image.Rect(0, 0, 800, 750))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noisy.Pix {
		noisy.Pix[i] = uint8(235 + r.IntN(20))
	}
	white := image.NewGray(image.Rect(0, 0, 30, 9))
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	for name, img := range map[string]*image.Gray{"noise": noisy, "white": white, "black": image.NewGray(image.Rect(0, 0, 1600, 1500)),
		"one pixel": image.NewGray(image.Rect(7, 8, 8, 9))} {
		s := segment(t, img, biometric.LeftFour)
		if len(s.Fingers) != 0 || len(s.Missing) != 4 || s.WrongHand || s.UpsideDown || s.TooMany {
			t.Errorf("%s: %d fingers, %d missing, hand %q", name, len(s.Fingers), len(s.Missing), s.Hand)
		}
	}
}

func TestWhatIsNoSlapIsAnError(t *testing.T) {
	glass := image.NewGray(image.Rect(0, 0, 64, 64))
	for name, c := range map[string]struct {
		img  *image.Gray
		ppi  int
		kind biometric.FingerPosition
	}{
		"no image":      {nil, 500, biometric.RightFour},
		"no pixels":     {image.NewGray(image.Rect(0, 0, 9, 0)), 500, biometric.RightFour},
		"too many":      {&image.Gray{Rect: image.Rect(0, 0, 1<<14, 1<<14), Stride: 1 << 14}, 500, biometric.RightFour},
		"no resolution": {glass, 0, biometric.RightFour},
		"one finger":    {glass, 500, biometric.RightIndex},
		"no kind":       {glass, 500, 0},
	} {
		if _, err := Segment(c.img, c.ppi, c.kind, nil); err == nil {
			t.Errorf("%s is segmented", name)
		}
	}
}

func TestASegmentationIsWipedAndNeverPrinted(t *testing.T) {
	l := lay(t, slapMasters(), 0)
	s := segment(t, l.image, l.asked)
	pix := s.Fingers[0].Image.Pix
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "f", s.Fingers[0])
	for _, text := range []string{log.String(), fmt.Sprintf("%v %+v %#v", s, s, s), fmt.Sprintf("%v %+v %#v", s.Fingers[0], s.Fingers[0], s.Fingers)} {
		if strings.Contains(text, "Pix") || !strings.Contains(text, "redacted") || len(text) > 600 {
			t.Errorf("printed: %.200s", text)
		}
	}
	s.Wipe()
	if s.Fingers != nil || slices.ContainsFunc(pix, func(p uint8) bool { return p != 0 }) {
		t.Error("something is left")
	}
}

func TestASegmentationSaysWhatWouldHelp(t *testing.T) {
	some, gone := []Fingertip{{}}, []biometric.FingerPosition{biometric.LeftRing}
	for _, c := range []struct {
		s    Segmentation
		hint biometric.Hint
		of   []biometric.FingerPosition
	}{
		{Segmentation{Missing: gone}, biometric.HintPlace, nil},
		{Segmentation{Fingers: some}, biometric.HintNone, nil},
		{Segmentation{Fingers: some, Missing: gone}, biometric.HintFingerMissing, gone},
		{Segmentation{Fingers: some, TooMany: true, UpsideDown: true}, biometric.HintTooMany, nil},
		{Segmentation{Fingers: some, UpsideDown: true, Missing: gone}, biometric.HintUpsideDown, nil},
		{Segmentation{Fingers: some, WrongHand: true, Confidence: 0.9}, biometric.HintWrongHand, nil},
		{Segmentation{Fingers: some, WrongHand: true, Confidence: 0.4}, biometric.HintLiftAndRepeat, nil},
	} {
		if hint, of := c.s.Hint(); hint != c.hint || !slices.Equal(of, c.of) {
			t.Errorf("%q of %v instead of %q of %v", hint, of, c.hint, c.of)
		}
	}
}

func FuzzSegment(f *testing.F) {
	f.Add(bytes.Repeat([]byte{255, 0, 9}, 7000), uint16(150), uint8(0), uint8(0), uint16(500), uint8(13))
	f.Add(ridges(200, 260, 140, 90, 10).Pix, uint16(199), uint8(3), uint8(5), uint16(250), uint8(15))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 0, 255, 255, 255, 255}, 5000), uint16(199), uint8(0), uint8(0), uint16(250), uint8(14)) // skin from border to border
	f.Add([]byte{1}, uint16(0), uint8(0), uint8(0), uint16(1000), uint8(46))
	f.Fuzz(func(t *testing.T, pix []byte, width uint16, left, top uint8, ppi uint16, kind uint8) {
		w := int(width%1024) + 1
		img := &image.Gray{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, len(pix)/w)}
		img, ok := img.SubImage(image.Rect(int(left), int(top), w, len(pix)/w)).(*image.Gray)
		if !ok {
			return
		}
		before := bytes.Clone(pix)
		s, err := Segment(img, int(ppi), biometric.FingerPosition(kind), []biometric.FingerPosition{biometric.FingerPosition(left % 11)})
		if !bytes.Equal(pix, before) {
			t.Error("the image was changed")
		}
		if err != nil {
			return
		}
		if len(s.Fingers) > 4 || !(s.Confidence >= 0 && s.Confidence <= 1) || math.Abs(s.Angle) > 180 {
			t.Errorf("%d fingers, confidence %v, angle %v", len(s.Fingers), s.Confidence, s.Angle)
		}
		for _, f := range s.Fingers {
			if size := f.Image.Rect.Size(); size.X*size.Y > 9*(img.Rect.Dx()+200)*(img.Rect.Dy()+200) || !f.Position.Single() {
				t.Errorf("%v is %v of a slap of %v", f.Position, size, img.Rect.Size())
			}
		}
	})
}

// BenchmarkSegmentSlaps segments one generated slap an iteration, another one each time, and counts what was read rightly:
// -benchtime 500x is the set that docs/segmentation.md speaks of. cpu-ms is time of one core, whatever else runs there.
func BenchmarkSegmentSlaps(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fingers := slapMasters()
	var named, hand, upright, n float64
	var busy time.Duration
	for b.Loop() {
		b.StopTimer()
		l := lay(b, fingers, uint64(n)+1)
		b.StartTimer()
		before := threadTime(b)
		s := segment(b, l.image, l.asked)
		busy += threadTime(b) - before
		b.StopTimer()
		v := l.judge(s)
		for count, holds := range map[*float64]bool{&n: true, &named: v.named, &hand: v.hand, &upright: v.upright} {
			if holds {
				*count++
			}
		}
		if v != (verdict{true, true, true}) {
			b.Logf("slap %v of %v, asked for %v: %+v", n, l.kind, l.asked, v)
		}
		s.Wipe()
		b.StartTimer()
	}
	b.ReportMetric(100*named/n, "%named")
	b.ReportMetric(100*hand/n, "%hand")
	b.ReportMetric(100*upright/n, "%upright")
	b.ReportMetric(busy.Seconds()*1000/n, "cpu-ms")
}

// threadTime is how long this thread has run.
func threadTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
