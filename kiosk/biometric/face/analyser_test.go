package face

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"loket/kiosk/biometric"
)

func analyser(t testing.TB) *Analyser {
	t.Helper()
	a, err := Open(Cascades)
	if errors.Is(err, ErrNoCascades) {
		t.Skip("OpenCV's cascades are not here (hint: apt-get install opencv-data)")
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("LOKET_FIXTURES")
	if dir == "" {
		t.Skip("LOKET_FIXTURES is not set: no pictures to judge")
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Skip(err)
	}
	return data
}

// astronaut is NASA's portrait; its eyes lie at (202,101) and (246,103).
func astronaut(t testing.TB) *image.RGBA {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(fixture(t, "faces/astronaut.png")))
	if err != nil {
		t.Fatal(err)
	}
	out := image.NewRGBA(img.Bounds())
	each(out, func(x, y int) color.RGBA { return color.RGBAModel.Convert(img.At(x, y)).(color.RGBA) })
	return out
}

func each(img *image.RGBA, fn func(x, y int) color.RGBA) {
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			img.SetRGBA(x, y, fn(x, y))
		}
	}
}

// levels applies a function to every channel.
func levels(img *image.RGBA, fn func(channel int, v float64) float64) *image.RGBA {
	out := image.NewRGBA(img.Rect)
	for i, v := range img.Pix {
		out.Pix[i] = 255
		if i%4 < 3 {
			out.Pix[i] = uint8(math.Round(min(max(fn(i%4, float64(v)), 0), 255)))
		}
	}
	return out
}

func darker(f float64) func(*image.RGBA) *image.RGBA {
	return func(img *image.RGBA) *image.RGBA {
		return levels(img, func(_ int, v float64) float64 { return v * f })
	}
}

func tinted(r, g, b float64) func(*image.RGBA) *image.RGBA {
	return func(img *image.RGBA) *image.RGBA {
		return levels(img, func(c int, v float64) float64 { return v * [3]float64{r, g, b}[c] })
	}
}

// mixed lays a colour over the picture.
func mixed(part, r, g, b float64) func(*image.RGBA) *image.RGBA {
	return func(img *image.RGBA) *image.RGBA {
		return levels(img, func(c int, v float64) float64 { return v*(1-part) + part*[3]float64{r, g, b}[c] })
	}
}

// softened blurs with a Gaussian of sigma pixels.
func softened(sigma float64) func(*image.RGBA) *image.RGBA {
	reach := int(math.Ceil(3 * sigma))
	var kernel []float64
	sum := 0.0
	for k := -reach; k <= reach; k++ {
		kernel = append(kernel, math.Exp(-float64(k*k)/(2*sigma*sigma)))
		sum += kernel[len(kernel)-1]
	}
	pass := func(img *image.RGBA, dx, dy int) *image.RGBA {
		out := image.NewRGBA(img.Rect)
		b := img.Rect
		each(out, func(x, y int) color.RGBA {
			var v [3]float64
			for i, w := range kernel {
				px := min(max(x+(i-reach)*dx, 0), b.Dx()-1)
				py := min(max(y+(i-reach)*dy, 0), b.Dy()-1)
				for c := range v {
					v[c] += w / sum * float64(img.Pix[py*img.Stride+4*px+c])
				}
			}
			return color.RGBA{uint8(v[0] + 0.5), uint8(v[1] + 0.5), uint8(v[2] + 0.5), 255}
		})
		return out
	}
	return func(img *image.RGBA) *image.RGBA { return pass(pass(img, 1, 0), 0, 1) }
}

// rotated turns a picture clockwise about its middle; to brings a place along.
func rotated(img *image.RGBA, degrees float64) (out *image.RGBA, to func(Point) Point) {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	w, h := img.Rect.Dx(), img.Rect.Dy()
	mx, my := float64(w-1)/2, float64(h-1)/2
	out = image.NewRGBA(img.Rect)
	each(out, func(x, y int) color.RGBA {
		u, v := float64(x)-mx, float64(y)-my
		u, v = cos*u+sin*v+mx, cos*v-sin*u+my
		px, py := min(max(int(u), 0), w-2), min(max(int(v), 0), h-2)
		a, b := min(max(u-float64(px), 0), 1), min(max(v-float64(py), 0), 1)
		at := func(c int) uint8 {
			p := func(x, y int) float64 { return float64(img.Pix[y*img.Stride+4*x+c]) }
			return uint8((p(px, py)*(1-a)+p(px+1, py)*a)*(1-b) + (p(px, py+1)*(1-a)+p(px+1, py+1)*a)*b + 0.5)
		}
		return color.RGBA{at(0), at(1), at(2), 255}
	})
	return out, func(p Point) Point {
		u, v := p.X-mx, p.Y-my
		return Point{cos*u - sin*v + mx, sin*u + cos*v + my}
	}
}

func limit(v float64) *float64 { return &v }

// criteria are those of the residence permit.
func criteria() []biometric.Criterion {
	between := func(name string, low, high float64) biometric.Criterion {
		return biometric.Criterion{Name: name, Min: limit(low), Max: limit(high), Mandatory: true}
	}
	return []biometric.Criterion{
		between(Faces, 1, 1), between(ImageWidth, 600, 1200), between(ImageHeight, 800, 1600), between(EyeDistance, 120, 9999), between(Roll, -8, 8),
		between(HeadWidth, 0.5, 0.75), between(HeadHeight, 0.6, 0.9), between(Vertical, 0.3, 0.5), between(Horizontal, 0.45, 0.55),
		between(MouthClosed, 0, 0.08), between(Exposure, 140, 250), between(Focus, 0.38, 1), between(ColourSpace, 24, 24), between(GreyDensity, 0.3, 1),
		between(Saturation, 0, 1), between(Yaw, -5, 5), between(Background, 0, 0.1), between(Shadows, 0, 0.35), between(HotSpots, 0, 0.05), {Name: EyesOpen, Min: limit(1)}, {Name: RedEye, Max: limit(0.1)}, {Name: Gaze}, {Name: Pitch},
	}
}

func verdicts(r Report) map[string]biometric.Verdict {
	m := map[string]biometric.Verdict{}
	for _, j := range r.Judgements {
		m[j.Name] = j.Verdict
	}
	return m
}

func off(p Point, x, y float64) float64 { return math.Hypot(p.X-x, p.Y-y) }

func TestAPortraitHasOneFaceWithItsEyes(t *testing.T) {
	t.Attr("fixtures", "faces")
	a := analyser(t)
	r, err := a.Analyse(fixture(t, "faces/astronaut.png"), Want{Criteria: criteria()})
	if err != nil || len(r.Faces) != 1 {
		t.Fatalf("%d faces, %v", len(r.Faces), err)
	}
	e := r.Faces[0].Eyes
	if off(e[0], 202, 101) > 3 || off(e[1], 246, 103) > 3 {
		t.Errorf("eyes %.1f", e)
	}
	if r.Quality.Algorithm != DetectorAlgorithm || r.Quality.Measures[Faces] != 1 {
		t.Errorf("%+v", r.Quality)
	}
}

func TestTurnedPortraitsAreFoundAndTheirRollIsMeasured(t *testing.T) {
	t.Attr("fixtures", "faces")
	a, img := analyser(t), astronaut(t)
	straight := a.Judge(img, Want{}).Faces[0].Roll
	for _, degrees := range []float64{-20, -10, -5, 5, 10, 20} {
		turned, to := rotated(img, degrees)
		r := a.Judge(turned, Want{})
		if len(r.Faces) != 1 {
			t.Errorf("%g degrees: %d faces", degrees, len(r.Faces))
			continue
		}
		f := r.Faces[0]
		left, right := to(Point{202, 101}), to(Point{246, 103})
		if off(f.Eyes[0], left.X, left.Y) > 3 || off(f.Eyes[1], right.X, right.Y) > 3 || math.Abs(f.Roll-straight-degrees) > 1.5 {
			t.Errorf("%g degrees: eyes %.1f, not %.1f %.1f; roll %.1f, straight %.1f", degrees, f.Eyes, left, right, f.Roll, straight)
		}
	}
}

func TestWhatIsDoneToAPortraitChangesItsCriterionAlone(t *testing.T) {
	t.Attr("fixtures", "faces")
	a, img := analyser(t), astronaut(t)
	untouched := verdicts(a.Judge(img, Want{Criteria: criteria()}))
	for _, c := range []struct {
		what    string
		do      func(*image.RGBA) *image.RGBA
		changes string
	}{
		{"blurred a little", softened(1.5), Focus}, {"blurred", softened(2.5), Focus}, {"blurred much", softened(4), Focus},
		{"a little dark", darker(0.5), Exposure}, {"dark", darker(0.35), Exposure}, {"very dark", darker(0.15), Exposure},
		{"warm", tinted(1.1, 0.9, 0.65), Saturation}, {"cold", tinted(0.75, 1, 1.25), Saturation}, {"green", tinted(0.7, 1.15, 0.7), Saturation},
		{"under a red glass", mixed(0.3, 255, 0, 0), Saturation}, {"under a blue glass", mixed(0.3, 0, 60, 255), Saturation},
		{"too bright", darker(1.6), Exposure}, {"in mist", mixed(0.65, 225, 225, 225), GreyDensity},
	} {
		r := a.Judge(c.do(img), Want{Criteria: criteria()})
		if untouched[c.changes] != biometric.Pass || len(r.Faces) != 1 {
			t.Errorf("%s: %d faces; untouched %s is %s", c.what, len(r.Faces), c.changes, untouched[c.changes])
		}
		for name, v := range verdicts(r) {
			if want := map[bool]biometric.Verdict{true: biometric.Fail, false: untouched[name]}[name == c.changes]; v != want {
				t.Errorf("%s: %s is %s, not %s (%.3f)", c.what, name, v, want, r.Quality.Measures[name])
			}
		}
	}
}

// withLids paints skin over the eyes of a face, and a line of lashes below it.
func withLids(img *image.RGBA, eyes ...Point) *image.RGBA {
	out := image.NewRGBA(img.Rect)
	copy(out.Pix, img.Pix)
	for _, e := range eyes {
		for y := -5; y <= 4; y++ {
			for x := -11; x <= 11; x++ {
				shape := math.Sqrt(max(0, 1-float64(x*x)/121))
				if math.Abs(float64(y)) > 5*shape {
					continue
				}
				skin := img.RGBAAt(int(e.X)+x, int(e.Y)+10) // of the cheek below
				if low := int(4 * shape); y == low || y == low-1 {
					skin.R, skin.G, skin.B = skin.R/2, skin.G/2, skin.B/2
				}
				out.SetRGBA(int(e.X)+x, int(e.Y)+y, skin)
			}
		}
	}
	return out
}

func TestShutEyesAreToldFromOpenOnesAndNothingElseChanges(t *testing.T) {
	t.Attr("fixtures", "faces")
	a, img := analyser(t), astronaut(t)
	g := permit()
	g.MinWidth, g.MinHeight = 0, 0
	want := Want{Criteria: criteria(), Portrait: &g}
	open, shut := a.Judge(img, want), a.Judge(withLids(img, Point{202, 101}, Point{246, 103}), want)
	if len(open.Faces) != 1 || len(shut.Faces) != 1 || shut.Hint != biometric.HintOpenEyes && shut.Meets {
		t.Fatalf("%d and %d faces, %q", len(open.Faces), len(shut.Faces), shut.Hint)
	}
	if one := a.Judge(withLids(img, Point{202, 101}), want); verdicts(one)[EyesOpen] != biometric.Pass {
		t.Errorf("one eye is open, and eyes-open is %.2f", one.Quality.Measures[EyesOpen])
	}
	before := verdicts(open)
	for name, v := range verdicts(shut) {
		switch name {
		case EyesOpen:
			if v != biometric.Fail || before[name] != biometric.Pass || !shut.Mend {
				t.Errorf("eyes-open is %s, and %s with lids painted over: %.2f", before[name], v, shut.Quality.Measures[name])
			}
		case Yaw, RedEye: // told from the eyes
			if v != biometric.NotAvailable {
				t.Errorf("%s of a face whose eyes are not seen: %s", name, v)
			}
		default:
			if v != before[name] {
				t.Errorf("%s is %s, not %s: %.3f", name, v, before[name], shut.Quality.Measures[name])
			}
		}
	}
}

// withPupils paints both pupils of a face.
func withPupils(img *image.RGBA, c color.RGBA, eyes ...Point) *image.RGBA {
	out := image.NewRGBA(img.Rect)
	copy(out.Pix, img.Pix)
	for _, e := range eyes {
		for y := -2; y <= 2; y++ {
			for x := -2; x <= 2; x++ {
				if x*x+y*y <= 5 {
					out.SetRGBA(int(e.X)+x, int(e.Y)+y, c)
				}
			}
		}
	}
	return out
}

func TestRedEyesAreTheirCriterionAloneInAnyLight(t *testing.T) {
	t.Attr("fixtures", "faces")
	a, img := analyser(t), astronaut(t)
	before := verdicts(a.Judge(img, Want{Criteria: criteria()}))
	red := withPupils(img, color.RGBA{200, 45, 45, 255}, Point{202, 101}, Point{246, 103})
	for name, v := range verdicts(a.Judge(red, Want{Criteria: criteria()})) {
		if want := map[bool]biometric.Verdict{true: biometric.Fail, false: before[name]}[name == RedEye]; v != want {
			t.Errorf("%s is %s, not %s", name, v, want)
		}
	}
	for what, light := range map[string]func(*image.RGBA) *image.RGBA{"dark": darker(0.3), "warm": tinted(1.1, 0.9, 0.65)} {
		if v := verdicts(a.Judge(light(red), Want{Criteria: criteria()}))[RedEye]; v != biometric.Fail {
			t.Errorf("%s: %s", what, v)
		}
	}
}

func TestATurnedHeadIsFoundWithinAFewFramesOfALiveView(t *testing.T) {
	t.Attr("fixtures", "faces")
	a, img := analyser(t), astronaut(t)
	for _, degrees := range []float64{-25, -18, 0, 18, 25} {
		turned, _ := rotated(img, degrees)
		seen := 0
		for frame := 1; frame <= 4; frame++ {
			seen += len(a.Judge(turned, Want{Frame: frame}).Faces)
		}
		if seen == 0 || degrees == 0 && seen != 4 {
			t.Errorf("%g degrees: seen in %d of four frames", degrees, seen)
		}
	}
}

func TestAFaceIsFollowedAndFoundAgain(t *testing.T) {
	t.Attr("fixtures", "faces")
	a, img := analyser(t), astronaut(t)
	first := a.Judge(img, Want{}).Faces[0]
	moved, to := rotated(img, 4)
	next := a.Judge(moved, Want{Before: &first})
	left, right := to(Point{202, 101}), to(Point{246, 103})
	if len(next.Faces) != 1 || off(next.Faces[0].Eyes[0], left.X, left.Y) > 3 || off(next.Faces[0].Eyes[1], right.X, right.Y) > 3 {
		t.Errorf("moved: %+v, not at %.1f %.1f", next.Faces, left, right)
	}
	far := Face{Eyes: [2]Point{{400, 400}, {450, 400}}}
	if again := a.Judge(img, Want{Before: &far}); len(again.Faces) != 1 || off(again.Faces[0].Eyes[0], 202, 101) > 3 {
		t.Errorf("gone from where it was: %+v", again.Faces)
	}
}

func TestShutEyesAreToldBeforeWhatIsToldByTheEyes(t *testing.T) {
	fails := func(name string, mandatory bool, hint biometric.Hint) Judgement {
		return Judgement{Criterion: biometric.Criterion{Name: name, Mandatory: mandatory}, Verdict: biometric.Fail, Hint: hint}
	}
	shut := fails(EyesOpen, false, biometric.HintOpenEyes)
	for _, first := range []Judgement{fails(Roll, true, biometric.HintHeadUpright), fails(Exposure, true, biometric.HintTooDark)} {
		if got := firstHint([]Judgement{first, shut}); got != biometric.HintOpenEyes {
			t.Errorf("%s and shut eyes: %q", first.Name, got)
		}
		if got := firstHint([]Judgement{first}); got != first.Hint {
			t.Errorf("%s alone: %q", first.Name, got)
		}
	}
	if got := firstHint([]Judgement{fails(Focus, true, biometric.HintOutOfFocus), shut}); got != biometric.HintOutOfFocus {
		t.Errorf("a blurred picture: %q", got)
	}
}

func TestADogIsNoFace(t *testing.T) {
	t.Attr("fixtures", "faces")
	a := analyser(t)
	record := fixture(t, "records/face01.iso2005")
	at := bytes.Index(record, []byte{0xff, 0xd8, 0xff})
	if at < 0 {
		t.Fatal("no JPEG in the record")
	}
	r, err := a.Analyse(record[at:], Want{Criteria: criteria()})
	if err != nil || len(r.Faces) != 0 || r.Hint != biometric.HintNoFace || r.Quality.Score != 0 || r.Meets {
		t.Errorf("%d faces, %q, %v", len(r.Faces), r.Hint, err)
	}
}

func TestWhatCannotBeMeasuredIsNeitherPassedNorFailed(t *testing.T) {
	a := analyser(t)
	r := a.Judge(scene(640, 480, 120), Want{Criteria: criteria()})
	for _, j := range r.Judgements {
		known := j.Name == Faces || j.Name == ImageWidth || j.Name == ImageHeight || j.Name == ColourSpace
		if known == (j.Verdict == biometric.NotAvailable) {
			t.Errorf("%s is %s in a picture of nobody", j.Name, j.Verdict)
		}
	}
}

func TestWithoutCascadesTheNextStepIsTold(t *testing.T) {
	_, err := Open(t.TempDir())
	if !errors.Is(err, ErrNoCascades) || !bytes.Contains([]byte(err.Error()), []byte("hint: apt-get install opencv-data")) {
		t.Error(err)
	}
}

// frame is a live view of 1280x720 with the portrait in it, its face as large as a person's before a kiosk.
func liveView(b *testing.B) []byte {
	img := astronaut(b)
	view := image.NewRGBA(image.Rect(0, 0, 1280, 720))
	each(view, func(x, y int) color.RGBA {
		u, v := 224+(x-640)*45/100, 120+(y-340)*45/100
		return img.RGBAAt(min(max(u, 0), 511), min(max(v, 0), 511))
	})
	return encode(b, view, 85)
}

// cpu is what this process has taken of all cores.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// judging reports the milliseconds of one core that a frame of the live view takes as it comes from a camera, decoding and all.
func judging(b *testing.B, data []byte, faces int, want func(frame int, last Report) Want) {
	a := analyser(b)
	last, err := a.Analyse(data, Want{})
	if err != nil {
		b.Fatal(err)
	}
	before := cpu(b)
	for frame := 1; b.Loop(); frame++ {
		if last, err = a.Analyse(data, want(frame, last)); err != nil || len(last.Faces) != faces {
			b.Fatalf("%d faces, %v", len(last.Faces), err)
		}
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(time.Millisecond)/float64(b.N), "ms")
}

func BenchmarkFaceFrame(b *testing.B) {
	judging(b, liveView(b), 1, func(int, Report) Want { return Want{Criteria: criteria()} })
}

// BenchmarkFaceFrameFollowed is the same where the frame before had the face.
func BenchmarkFaceFrameFollowed(b *testing.B) {
	judging(b, liveView(b), 1, func(_ int, last Report) Want { return Want{Criteria: criteria(), Before: &last.Faces[0]} })
}

// BenchmarkFaceFrameEmpty is the same without anybody in it.
func BenchmarkFaceFrameEmpty(b *testing.B) {
	judging(b, encode(b, scene(1280, 720, 120), 85), 0, func(frame int, _ Report) Want { return Want{Criteria: criteria(), Frame: frame} })
}
