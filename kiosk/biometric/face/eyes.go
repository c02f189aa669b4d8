package face

import (
	"image"
	"math"

	"loket/kiosk/biometric/face/cascade"
)

// A face is looked at in a patch in which the box of the proposing cascade is 100 px wide. In a face that looks straight the eyes
// are then about half the box apart and a quarter of it above its middle.
const (
	patchSide  = 200
	patchBox   = 100
	eyeApart   = 52 // px of the patch
	eyeLine    = 72
	eyeFar     = 17 // how far from there an eye may be
	leastAgain = 8  // hits of the proposing cascade in the patch, looked at finely
	leastOther = 3  // hits of the confirming cascade
	sureEnough = 25 // above which a face looks straight at the angle at which it was found
	turnStep   = 12 * math.Pi / 180
	turnMargin = 1.3               // by which another angle must be surer
	rollSlack  = 5 * math.Pi / 180 // that the eye line may differ from the angle before the eyes are sought again
)

// confirm makes sure that a candidate is a face, by looking again finely and with another cascade, and finds its eyes. Where it is
// not very sure the head may be turned: then it looks at other angles and keeps one that is clearly better.
func (f *finder) confirm(c *found) bool {
	best := *c
	best.sure = f.certainty(best)
	if best.sure < sureEnough {
		for _, by := range []float64{-turnStep, turnStep} {
			other := *c
			other.angle += by
			if other.sure = f.certainty(other); other.sure > turnMargin*best.sure {
				best = other
			}
		}
	}
	if best.sure == 0 {
		return false
	}
	*c = best
	f.findEyes(c)
	if roll := headOf(c.eyes).angle; math.Abs(roll-c.angle) > rollSlack {
		c.angle = roll
		f.findEyes(c)
	}
	return true
}

// tooSoft is the focus below which open eyes look like shut ones.
const tooSoft = 0.3

// findEyes finds the eyes of a face at its angle. Where no open eyes are seen there is nothing to go by: they are then taken to be where they
// mostly are. In a picture that is much out of focus nobody's eyes are held to be shut.
func (f *finder) findEyes(c *found) {
	view := f.lay(*c)
	rough, hits := f.roughEyes()
	eyes, _ := f.irises(view.both(rough), irisAside, irisAbove)
	eyes, spot := f.irises(eyes, irisAgain, irisAgain)
	c.eyes, c.open = eyes, openness(hits, spot)
	switch {
	case c.open >= 1:
	case f.focus(headOf(eyes)) < tooSoft:
		c.open = 1
	default:
		c.eyes = view.both(usualEyes())
	}
}

// usualEyes are where eyes mostly are in a patch.
func usualEyes() [2]point {
	return [2]point{{patchSide/2 - eyeApart/2, eyeLine}, {patchSide/2 + eyeApart/2, eyeLine}}
}

// both brings two places in a frame into the picture.
func (f frame) both(p [2]point) [2]point { return [2]point{f.to(p[0]), f.to(p[1])} }

// What two open eyes come to at least, mostly, and how much of both together there is where they are hardly open.
const (
	hitsOpen   = 50  // of the two cascades for eyes
	spotOpen   = 0.1 // darkness of the darker iris
	hardlyOpen = 1.4
)

// openness joins two signs of open eyes: how many hits cascades for eyes have, and how dark and round a spot is where an iris should be. Below
// 1 the eyes are shut, or can't be seen.
func openness(hits int, spot float64) float64 {
	return (math.Log1p(float64(hits))/math.Log(hitsOpen) + spot/spotOpen) / hardlyOpen
}

// lay brings a candidate into the patch.
func (f *finder) lay(c found) frame {
	view := frame{middle: c.middle, angle: c.angle, step: c.side / patchBox, width: patchSide, height: patchSide}
	f.pyramid.sample(&f.patch, view)
	stretch(&f.patch)
	return view
}

// certainty is the mean of the hits of both cascades in the patch, 0 where either has too few for a face.
func (f *finder) certainty(c found) float64 {
	f.lay(c)
	other := f.detector.Detect(f.second, &f.patch, cascade.Options{Neighbours: -1, MinSide: 125, MaxSide: 185})
	if len(other) < leastOther {
		return 0
	}
	again := f.detector.Detect(f.first, &f.patch, cascade.Options{Step: 1.05, Neighbours: -1, MinSide: 80, MaxSide: 125})
	if len(again) < leastAgain {
		return 0
	}
	return math.Sqrt(float64(len(again) * len(other)))
}

// eyeLook is one way to look for an eye.
type eyeLook struct {
	cascade *cascade.Cascade
	how     cascade.Options
	counts  int // each of its hits
}

// eyeLooks are the ways: finely with one cascade, and coarsely with another, whose hits stand for as many more.
func (f *finder) eyeLooks() []eyeLook {
	return []eyeLook{
		{f.anyEye, cascade.Options{Step: 1.15, MinSide: 22, MaxSide: 46}, 1},
		{f.openEye, cascade.Options{Step: 1.3, MinSide: 24, MaxSide: 46, Coarse: true}, 3},
	}
}

// roughEyes asks the cascades for eyes where they may be in the patch, and tells how many hits they have in all. Where they find none the
// usual place stands. The second cascade has a say in the place only where the first finds nothing.
func (f *finder) roughEyes() (eyes [2]point, hits int) {
	eyes = usualEyes()
	for i, usual := range eyes {
		about := image.Rect(int(usual.x)-32, int(usual.y)-29, int(usual.x)+32, int(usual.y)+29)
		part := f.patch.SubImage(about).(*image.Gray)
		part.Rect = part.Rect.Sub(about.Min)
		var sum point
		var weight float64
		for _, look := range f.eyeLooks() {
			known := weight > 0
			for _, o := range f.detector.Detect(look.cascade, part, look.how) {
				at := point{float64(o.Min.X+o.Max.X-1)/2 + float64(about.Min.X), float64(o.Min.Y+o.Max.Y-1)/2 + float64(about.Min.Y)}
				far := at.distance(usual)
				if far >= eyeFar {
					continue
				}
				if hits += look.counts * o.Hits; !known {
					w := float64(o.Hits) * math.Exp(-far*far/(2*8*8))
					sum, weight = sum.add(at.times(w)), weight+w
				}
			}
		}
		if weight > 0 {
			eyes[i] = sum.times(1 / weight)
		}
	}
	return eyes, hits
}

// Irises are looked for in a patch that is laid along the eyes, 80 px from one to the other; an iris is then about 15 px wide.
const (
	irisApart  = 80
	irisWidth  = 160
	irisHeight = 72
	irisRadius = 7.5
	irisReach  = 12 // px from the centre to the edges that vote
	irisAside  = 12 // px that the centre may lie from where it is expected at first
	irisAbove  = 9
	irisAgain  = 5   // the same when it is sought again
	lidWeight  = 0.2 // of edges above and below, which are the lids', against those at the sides
)

// irises finds the middles of the irises near two eyes: where edges around a dark round spot point to. spot is how dark the darker one is.
func (f *finder) irises(eyes [2]point, aside, above int) (irises [2]point, spot float64) {
	across := eyes[1].sub(eyes[0])
	view := frame{middle: eyes[0].middle(eyes[1]), angle: math.Atan2(across.y, across.x),
		step: max(math.Hypot(across.x, across.y), 1) / irisApart, width: irisWidth, height: irisHeight}
	f.pyramid.sample(&f.patch, view)
	f.votes.prepare(&f.patch)
	for i := range eyes {
		centre := f.votes.centre(view.from(eyes[i]), aside, above)
		irises[i], spot = view.to(centre), max(spot, f.votes.spot(centre))
	}
	return irises, spot
}

// votes finds centres by the votes of edges, after the means of gradients of Timm and Barth (VISAPP 2011): the product of the
// direction from the centre to an edge and of the edge's own direction is 1 where the edge belongs to a circle about it.
type votes struct {
	width, height int
	soft          []float64 // grey levels, smoothed
	row           []float64
	edges         []edge
	rays          []ray                    // to the pixels about a centre, row by row
	weights, bend [2*spotReach + 1]float64 // of a Gaussian, and of its second derivative
	lines         []line
}

func (v *votes) wipe() {
	clear(v.soft)
	clear(v.row)
	clear(v.edges)
	clear(v.lines[:cap(v.lines)])
}

func (v *votes) prepare(img *image.Gray) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	v.width, v.height = w, h
	if len(v.rays) == 0 {
		v.aim()
		v.weigh()
	}
	if len(v.soft) != w*h {
		v.soft, v.row, v.edges = make([]float64, w*h), make([]float64, w*h), make([]edge, w*h)
	}
	for i, p := range img.Pix {
		v.soft[i] = float64(p)
	}
	v.pass(func(s *[7]float64) float64 { return min(s[1], s[2], s[3], s[4], s[5]) })
	v.pass(func(s *[7]float64) float64 { return max(s[1], s[2], s[3], s[4], s[5]) })
	v.pass(func(s *[7]float64) float64 {
		return 0.4*s[3] + 0.24*(s[2]+s[4]) + 0.054*(s[1]+s[5]) + 0.006*(s[0]+s[6])
	})
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*w + x
			e := edge{x: (v.soft[i+1] - v.soft[i-1]) / 2, y: (v.soft[i+w] - v.soft[i-w]) / 2}
			e.inverse = 1 / max(math.Hypot(e.x, e.y), 1e-6)
			v.edges[i] = e
		}
	}
}

// pass replaces every level by what fn makes of it and three on either side, first along the rows, then along the columns. The least
// and then the greatest of five remove bright spots that are no larger than reflections in an eye.
func (v *votes) pass(fn func(*[7]float64) float64) {
	along := func(from, to []float64, n, step int) {
		var s [7]float64
		for k := range s {
			s[k] = from[min(max(k-3, 0), n-1)*step]
		}
		for i := range n {
			to[i*step] = fn(&s)
			copy(s[:], s[1:])
			s[6] = from[min(i+4, n-1)*step]
		}
	}
	for y := range v.height {
		along(v.soft[y*v.width:], v.row[y*v.width:], v.width, 1)
	}
	for x := range v.width {
		along(v.row[x:], v.soft[x:], v.height, v.width)
	}
}

// centre is the place that most edges point away from, so near the expected one.
func (v *votes) centre(expected point, aside, above int) point {
	x0, y0 := int(math.Round(expected.x)), int(math.Round(expected.y))
	size := 2*aside + 1
	scores := make([]float64, 0, size*(2*above+1))
	best := 0.0
	for y := y0 - above; y <= y0+above; y++ {
		for x := x0 - aside; x <= x0+aside; x++ {
			s := v.score(x, y)
			far := math.Hypot(float64(x)-expected.x, 1.3*(float64(y)-expected.y))
			s *= math.Exp(-far * far / (2 * 8 * 8))
			scores = append(scores, s)
			best = max(best, s)
		}
	}
	var sum point
	var weight float64
	for i, s := range scores {
		if s > 0.85*best {
			w := s - 0.85*best
			sum = sum.add(point{float64(x0 - aside + i%size), float64(y0 - above + i/size)}.times(w))
			weight += w
		}
	}
	if weight == 0 {
		return expected
	}
	return sum.times(1 / weight)
}

// score adds up the edges around a place, those at the distance of an iris's rim most, and counts dark places more.
func (v *votes) score(cx, cy int) float64 {
	if cx < 1 || cy < 1 || cx >= v.width-1 || cy >= v.height-1 {
		return 0
	}
	sum := 0.0
	for dy := max(-irisReach, 1-cy); dy <= min(irisReach, v.height-2-cy); dy++ {
		rays := v.rays[(dy+irisReach)*(2*irisReach+1):]
		edges := v.edges[(cy+dy)*v.width:]
		for dx := max(-irisReach, 1-cx); dx <= min(irisReach, v.width-2-cx); dx++ {
			r, e := &rays[dx+irisReach], &edges[cx+dx]
			if along := r.x*e.x + r.y*e.y; along > 0 {
				sum += r.weight * along * along * e.inverse
			}
		}
	}
	return sum * (280 - v.soft[cy*v.width+cx])
}

// edge is the slope of the grey levels at a pixel, and one over its length.
type edge struct{ x, y, inverse float64 }

// ray leads from a centre to a pixel near it: its direction, and what an edge there counts.
type ray struct{ x, y, weight float64 }

// aim fills in the rays.
func (v *votes) aim() {
	for dy := -irisReach; dy <= irisReach; dy++ {
		for dx := -irisReach; dx <= irisReach; dx++ {
			x, y := float64(dx), float64(dy)
			r := max(math.Hypot(x, y), 0.5)
			off := (r - irisRadius) / 3
			aside := lidWeight + (1-lidWeight)*x*x/(r*r)
			v.rays = append(v.rays, ray{x / r, y / r, aside * math.Exp(-off*off/2) / max(r, 3)})
		}
	}
}
