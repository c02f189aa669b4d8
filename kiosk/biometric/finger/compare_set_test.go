package finger

import (
	"image"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"loket/firmware-sim/synth"
)

// world is how a set of fingers is pressed. Noise is that of synth.Touch, 0.35 to 2.6, even over the range, whatever else.
type world struct {
	turn float64 // degrees, at most, either way
	cut  int     // px, at most, from the tip
	soil float64 // 0 none; 4 and up drowns, fades and specks ridges, and adds grain
}

// masters keeps the ridges that fingers grew; it can be deleted at any time.
func masters() *synth.Library { return &synth.Library{Dir: "../../../build/fingers"} }

// pressed presses the fingers of people from first on, a number of times each. took is what an extraction takes
// of this thread, in the mean.
func (w world) pressed(t testing.TB, first synth.Person, fingers, times int) (all [][]Template, took time.Duration) {
	t.Helper()
	library := masters()
	all = make([][]Template, fingers)
	for i := range all {
		who := first + synth.Person(i)
		m, err := library.Master(who.Finger(synth.Position(1 + i%10)))
		if err != nil {
			t.Fatal(err)
		}
		for k := range times {
			img := w.impression(m, uint64(who)*100+uint64(k))
			before := threadTime(t)
			all[i] = append(all[i], extracted(t, img, synth.PPI))
			took += (threadTime(t) - before) / time.Duration(fingers*times)
		}
	}
	return all, took
}

// impression presses a finger once.
func (w world) impression(m *synth.Master, seed uint64) *image.Gray {
	r := rand.New(rand.NewPCG(seed, 'w'))
	touch := synth.Usual(r.Uint64())
	touch.Noise = 0.35 + 2.25*r.Float64()
	img := m.Impress(touch, seed)
	if w.soil > 0 {
		soil(img, w.soil, r)
	}
	if w.turn > 0 {
		img = rotated(img, (2*r.Float64()-1)*w.turn*math.Pi/180)
	}
	top := int(float64(w.cut) * r.Float64())
	for i := range img.Pix[:top*img.Stride] {
		img.Pix[i] = 255
	}
	return img
}

// rotated turns an image about its middle, anticlockwise, on white that holds all of it.
func rotated(img *image.Gray, angle float64) *image.Gray {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	side := int(math.Hypot(float64(w), float64(h)))
	out := image.NewGray(image.Rect(0, 0, side, side))
	sin, cos := math.Sincos(angle)
	for i := range out.Pix {
		dx, dy := float64(i%side-side/2), float64(i/side-side/2)
		x, y := dx*cos-dy*sin+float64(w)/2, dx*sin+dy*cos+float64(h)/2
		out.Pix[i] = 255
		if ix, iy := int(math.Floor(x)), int(math.Floor(y)); image.Pt(ix, iy).In(img.Rect) && image.Pt(ix+1, iy+1).In(img.Rect) {
			tx, ty := x-float64(ix), y-float64(iy)
			p := img.Pix[iy*img.Stride+ix:]
			q := p[img.Stride:]
			out.Pix[i] = uint8((float64(p[0])*(1-tx)+float64(p[1])*tx)*(1-ty) + (float64(q[0])*(1-tx)+float64(q[1])*tx)*ty + 0.5)
		}
	}
	return out
}

// blotches is a smooth random field, normal at its knots, which lie cell px apart.
func blotches(cell float64, r *rand.Rand) func(x, y int) float64 {
	const n = 64
	var knots [n * n]float64
	for i := range knots {
		knots[i] = r.NormFloat64()
	}
	return func(x, y int) float64 {
		fx, fy := float64(x)/cell, float64(y)/cell
		ix, iy := int(fx), int(fy)
		tx, ty := fx-float64(ix), fy-float64(iy)
		knot := func(x, y int) float64 { return knots[y%n*n+x%n] }
		return (knot(ix, iy)*(1-tx)+knot(ix+1, iy)*tx)*(1-ty) + (knot(ix, iy+1)*(1-tx)+knot(ix+1, iy+1)*tx)*ty
	}
}

// soil makes a print worse than skin does: areas drowned in ink or faded, white specks of 2 to 5 px, grain.
func soil(img *image.Gray, level float64, r *rand.Rand) {
	drown, fade := blotches(35, r), blotches(45, r)
	w, h := img.Rect.Dx(), img.Rect.Dy()
	for i, p := range img.Pix {
		if p == 255 {
			continue // beside the finger
		}
		ink := float64(255-int(p)) / 255
		ink = min(ink+min(max((drown(i%w, i/w)-1.1)*level, 0), 0.9), 1)
		ink *= 1 - min(max((fade(i%w, i/w)-0.9)*level, 0), 0.85)
		ink += 0.06 * level * r.NormFloat64()
		img.Pix[i] = uint8(255 * (1 - min(max(ink, 0), 1)))
	}
	for range int(900 * level) {
		cx, cy, radius := r.Float64()*float64(w), r.Float64()*float64(h), 1.2+1.3*r.Float64()
		box := image.Rect(int(cx-radius), int(cy-radius), int(cx+radius)+2, int(cy+radius)+2).Intersect(img.Rect)
		for y := box.Min.Y; y < box.Max.Y; y++ {
			for x := box.Min.X; x < box.Max.X; x++ {
				if math.Hypot(float64(x)-cx, float64(y)-cy) < radius {
					img.Pix[y*img.Stride+x] = 255
				}
			}
		}
	}
}

// rates is what scores of known pairs come to.
type rates struct{ genuine, impostor []float64 } // ascending

// scored compares all impressions of each finger with each other, and one of each finger with one of every other. took is
// what a comparison takes of this thread, in the mean.
func scored(t testing.TB, all [][]Template) (r rates, took time.Duration) {
	t.Helper()
	before := threadTime(t)
	for i := range all {
		for k := range all[i] {
			for l := range k {
				r.genuine = append(r.genuine, compared(t, all[i][k], all[i][l]))
			}
		}
		for j := range i {
			r.impostor = append(r.impostor, compared(t, all[i][i%len(all[i])], all[j][j%len(all[j])]))
		}
	}
	took = (threadTime(t) - before) / time.Duration(len(r.genuine)+len(r.impostor))
	slices.Sort(r.genuine)
	slices.Sort(r.impostor)
	return r, took
}

// fnmr is the share of pairs of one finger that score below a threshold: the false non-match rate (ISO/IEC 19795-1:2021).
func (r rates) fnmr(threshold float64) float64 {
	n, _ := slices.BinarySearch(r.genuine, threshold)
	return float64(n) / float64(len(r.genuine))
}

// fmr is the share of pairs of different fingers that score a threshold or more: the false match rate (ISO/IEC 19795-1:2021).
func (r rates) fmr(threshold float64) float64 {
	n, _ := slices.BinarySearch(r.impostor, threshold)
	return float64(len(r.impostor)-n) / float64(len(r.impostor))
}

// equal is the equal error rate: the lowest rate that neither error exceeds at some threshold.
func (r rates) equal() float64 {
	least := 1.0
	for _, threshold := range slices.Concat(r.genuine, r.impostor) {
		least = min(least, max(r.fnmr(threshold), r.fmr(threshold)))
	}
	return least
}

func TestTwentyFingersAreThemselvesAndNoOther(t *testing.T) {
	all, _ := world{turn: 45}.pressed(t, 400, 20, 2)
	r, _ := scored(t, all)
	if r.fnmr(Threshold) > 0.02 || r.fmr(Threshold) > 0.001 {
		t.Errorf("at %v, %.3f of the pairs of one finger fail and %.4f of the others pass", float64(Threshold), r.fnmr(Threshold), r.fmr(Threshold))
	}
}

// The people from testPeople on are for the final figures alone: nothing was ever tuned on them.
const testPeople = 3_000_000

// worlds are those that docs/minutiae.md has figures of.
func worlds() map[string]world {
	return map[string]world{"upright": {}, "turned": {turn: 45, cut: 250}, "soiled": {turn: 20, soil: 6}}
}

// BenchmarkFingers measures errors over LOKET_FINGERS fingers (20 where that isn't set), each pressed three times. The first
// run grows the fingers, half a second each.
func BenchmarkFingers(b *testing.B) {
	for name, w := range worlds() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w.measure(b, benchFingers())
			}
		})
	}
}

func (w world) measure(b *testing.B, fingers int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all, extraction := w.pressed(b, testPeople, fingers, 3)
	r, comparison := scored(b, all)
	b.ReportMetric(100*r.equal(), "%EER")
	b.ReportMetric(100*r.fmr(Threshold), "%FMR")
	b.ReportMetric(100*r.fnmr(Threshold), "%FNMR")
	b.ReportMetric(float64(extraction)/1e6, "ms-extract")
	b.ReportMetric(float64(comparison)/1e6, "ms-compare")
}

// BenchmarkOnePerson measures what tells the fingers of one person apart: LOKET_FINGERS fingers (20 where that isn't set) of people
// with all ten, each pressed three times, and each compared with all of the same person.
func BenchmarkOnePerson(b *testing.B) {
	for name, w := range worlds() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w.measureOnePerson(b, benchFingers()/10)
			}
		})
	}
}

func (w world) measureOnePerson(b *testing.B, people int) {
	var r rates
	for i := range people {
		all := w.hands(b, testPeople+1000+synth.Person(i))
		for f := range all {
			for k := range all[f] {
				for l := range k {
					r.genuine = append(r.genuine, compared(b, all[f][k], all[f][l]))
				}
				for _, other := range slices.Concat(all[:f]...) {
					r.impostor = append(r.impostor, compared(b, all[f][k], other))
				}
			}
		}
	}
	slices.Sort(r.genuine)
	slices.Sort(r.impostor)
	b.ReportMetric(r.impostor[len(r.impostor)-1], "highest-of-two")
	b.ReportMetric(r.impostor[len(r.impostor)*999/1000], "one-in-1000-of-two")
	b.ReportMetric(r.genuine[0], "lowest-of-one")
	for _, threshold := range []float64{1, 1.5, 2, 2.5} {
		b.ReportMetric(1e6*r.fmr(threshold*Threshold), "ppm-false-at-"+strconv.FormatFloat(threshold*Threshold, 'f', 0, 64))
		b.ReportMetric(1e6*r.fnmr(threshold*Threshold), "ppm-missed-at-"+strconv.FormatFloat(threshold*Threshold, 'f', 0, 64))
	}
}

// hands presses all ten fingers of a person three times.
func (w world) hands(t testing.TB, who synth.Person) (all [][]Template) {
	t.Helper()
	library := masters()
	for p := range 10 {
		m, err := library.Master(who.Finger(synth.Position(1 + p)))
		if err != nil {
			t.Fatal(err)
		}
		var presses []Template
		for k := range 3 {
			presses = append(presses, extracted(t, w.impression(m, uint64(who)*100+uint64(10*p+k)), synth.PPI))
		}
		all = append(all, presses)
	}
	return all
}

// benchFingers is how many fingers are measured.
func benchFingers() int {
	if n, err := strconv.Atoi(os.Getenv("LOKET_FINGERS")); err == nil && n >= 10 {
		return n
	}
	return 20
}
