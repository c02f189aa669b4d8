package finger

import (
	"math"

	"loket/kiosk/biometric"
)

// A fingertip's ridges arch over its core towards the tip, run flat across the joint, and meet in deltas between the two. So
// the directions of the ridges, compared with those of model fingertips, tell which end is up. Models are the pattern classes
// in the zero-pole form of Sherlock and Monro (1993): theta = 1/2 (sum of angles about cores - sum about deltas).

// The models cover so many mm around the middle of a contact, in steps of one.
const (
	flowWide, flowHigh   = 8, 12 // half the sides of what is compared
	flowSlideX, flowLift = 2, 4  // how far a pattern may lie off the middle
	flowW, flowH         = 2*(flowWide+flowSlideX) + 1, 2*(flowHigh+flowLift) + 1
)

// template holds the doubled directions of a model's ridges, cosine and sine, and to which side its loop opens: -1 to the
// left, 1 to the right, 0 for a pattern that is no loop.
type template struct {
	ridges [flowW * flowH][2]float32
	opens  int
}

// pole is a core or a delta, mm from the middle of the contact, y downwards.
type pole struct{ x, y float64 }

// newTemplates draws the models.
func newTemplates() []template {
	var all []template
	for _, bend := range []float64{0.6, 1.1} {
		all = append(all, arch(bend))
	}
	core := pole{0, -2}
	for _, reach := range []float64{0.75, 1, 1.35} {
		all = append(all, zeroPole(0, []pole{core}, []pole{{0, core.y + 6.6*reach}}))
		for _, tilt := range []float64{-0.3, 0, 0.3} {
			for _, x := range []float64{-5.6, 5.6} {
				loop := zeroPole(tilt, []pole{core}, []pole{{x * reach, core.y + 7.6*reach}})
				loop.opens = int(math.Copysign(1, -x))
				all = append(all, loop)
			}
			sin, cos := math.Sincos(1.7 * tilt)
			half := 2.6*reach - 1
			pair := []pole{{-half * sin, core.y - half*cos}, {half * sin, core.y + half*cos}}
			all = append(all, zeroPole(0, pair, []pole{{-7.2, core.y + 9*reach}, {7.2, core.y + 9*reach}}))
		}
	}
	return all
}

func draw(direction func(x, y float64) float64) template {
	var t template
	for i := range t.ridges {
		x, y := float64(i%flowW-flowW/2), float64(i/flowW-flowH/2)
		sin, cos := math.Sincos(2 * direction(x, y))
		t.ridges[i] = [2]float32{float32(cos), float32(sin)}
	}
	return t
}

// zeroPole is a pattern with these cores and deltas, its ridges turned by tilt (radians, anticlockwise) above the delta.
func zeroPole(tilt float64, cores, deltas []pole) template {
	return draw(func(x, y float64) float64 {
		a := tilt * min(max((deltas[0].y-y)/6, 0), 1)
		for _, c := range cores {
			a += math.Atan2(c.y-y, x-c.x) / 2
		}
		for _, d := range deltas {
			a -= math.Atan2(d.y-y, x-d.x) / 2
		}
		return a
	})
}

// arch is a pattern without a core: flat at the joint, bent in the middle.
func arch(bend float64) template {
	return draw(func(x, y float64) float64 {
		rise := math.Sin(math.Pi * math.Pow(min(max((y+14)/28, 0), 1), 1.3))
		return math.Atan(bend * rise * math.Cos(math.Pi*(x+10.5)/21))
	})
}

// field holds doubled ridge directions around the middle of a contact in its finger's frame, weighted by how sure they are.
type field [(2*flowWide + 1) * (2*flowHigh + 1)][2]float32

// flow measures the ridges of a patch, its tip turned up.
func (g *glass) flow(b blob, angle float64) (f field, weight float64) {
	sin, cos := math.Sincos(angle * math.Pi / 180)
	sin2, cos2 := math.Sincos(2 * angle * math.Pi / 180)
	for i := range f {
		x, y := float64(i%(2*flowWide+1)-flowWide), float64(i/(2*flowWide+1)-flowHigh)
		cx, cy := int((b.x+x*cos-y*sin)/g.mm), int((b.y+x*sin+y*cos)/g.mm)
		if cx < 0 || cy < 0 || cx >= g.w || cy >= g.h || g.label[cy*g.w+cx] != b.label {
			continue
		}
		j := cy*g.w + cx
		d, c := float64(g.wxx[j]-g.wyy[j]), 2*float64(g.wxy[j])
		sum := float64(g.wxx[j] + g.wyy[j])
		if sum == 0 {
			continue
		}
		// The gradient runs across the ridge, and y down: the ridge's doubled direction is the gradient's, negated and
		// mirrored; turning the finger upright adds twice its angle.
		rc, rs := -d/sum, c/sum
		f[i] = [2]float32{float32(rc*cos2 - rs*sin2), float32(rc*sin2 + rs*cos2)}
		weight += math.Hypot(rc, rs)
	}
	return f, weight
}

// agreement is how well a field agrees with the best of the models, -1 to 1, with those whose loops open to the left and to
// the right, and with ridges that run straight across.
type agreement struct{ best, left, right, flat float64 }

func (f *field) match(models []template, weight float64) agreement {
	if weight == 0 {
		return agreement{}
	}
	a := agreement{best: -1, left: -1, right: -1}
	for _, v := range f {
		a.flat += float64(v[0]) / weight
	}
	for k := range models {
		m := &models[k]
		most := -1.0
		for dy := -flowLift; dy <= flowLift; dy += 2 {
			for dx := -flowSlideX; dx <= flowSlideX; dx += 2 {
				most = max(most, f.against(m, dx, dy)/weight)
			}
		}
		a.best = max(a.best, most)
		switch m.opens {
		case -1:
			a.left = max(a.left, most)
		case 1:
			a.right = max(a.right, most)
		}
	}
	return a
}

func (f *field) against(m *template, dx, dy int) float64 {
	var sum float32
	for y := range 2*flowHigh + 1 {
		row := m.ridges[(y+flowLift+dy)*flowW+flowSlideX+dx:][:2*flowWide+1]
		for x, v := range f[y*(2*flowWide+1):][:2*flowWide+1] {
			sum += v[0]*row[x][0] + v[1]*row[x][1]
		}
	}
	return float64(sum)
}

// What the ridges say, in logarithms of odds.
const (
	flowWeight = 30  // for the agreement of a finger
	ulnar      = 0.8 // for a loop that opens towards the little finger, as 19 of 20 loops do; radial loops say the contrary
	radial     = 0.3 // the same on index fingers, where one loop in three is radial
	mostLoops  = 1   // for all fingers together: it decides where nothing else does
	loopSure   = 0.04
)

// flows judges fingertips by their ridges, each patch at each turn once.
type flows struct {
	g      *glass
	models []template
	known  map[[2]int]agreement
}

// score is how well the ridges of fingertips and of what lies below them fit a reading.
func (f *flows) score(fingers []tip) float64 {
	var sum, loops float64
	for _, t := range fingers {
		a := f.of(t.blob, t.angle)
		sum += flowWeight * a.best
		loops += a.loopOdds(t.position)
		for _, b := range t.below {
			sum += flowWeight * f.of(b, t.angle).flat
		}
	}
	return sum + min(max(loops, -mostLoops), mostLoops)
}

func (f *flows) of(b blob, angle float64) agreement {
	key := [2]int{int(b.label), int(math.Round(angle / 2))}
	a, ok := f.known[key]
	if !ok {
		field, weight := f.g.flow(b, 2*math.Round(angle/2))
		a = field.match(f.models, weight)
		f.known[key] = a
	}
	return a
}

// loopOdds is what the side to which a finger's loop opens says of the hand.
func (a agreement) loopOdds(p biometric.FingerPosition) float64 {
	if max(a.left, a.right) < a.best-0.01 || math.Abs(a.left-a.right) < loopSure {
		return 0
	}
	odds := ulnar
	if p == biometric.RightIndex || p == biometric.LeftIndex {
		odds = radial
	}
	if (a.right > a.left) != p.Right() {
		return -odds
	}
	return odds
}
