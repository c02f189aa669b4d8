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
)

// confirm makes sure that a candidate is a face, by looking again finely and with another cascade, and finds its eyes.
func (f *finder) confirm(c *found) bool {
	view := frame{middle: c.middle, angle: c.angle, step: c.side / patchBox, width: patchSide, height: patchSide}
	f.pyramid.sample(&f.patch, view)
	stretch(&f.patch)
	other := f.detector.Detect(f.second, &f.patch, cascade.Options{Neighbours: -1, MinSide: 120, MaxSide: 190})
	if len(other) < leastOther {
		return false
	}
	again := f.detector.Detect(f.first, &f.patch, cascade.Options{Step: 1.05, Neighbours: -1, MinSide: 70, MaxSide: 140})
	if len(again) < leastAgain {
		return false
	}
	c.sure = math.Sqrt(float64(len(again) * len(other)))
	eyes := f.roughEyes()
	for i := range eyes {
		eyes[i] = view.to(eyes[i])
	}
	c.eyes = f.irises(f.irises(eyes))
	return true
}

// roughEyes asks the cascades for eyes where they may be in the patch. Where they find none the usual place stands.
func (f *finder) roughEyes() [2]point {
	strip := image.Rect(25, 40, 175, 110)
	part := f.patch.SubImage(strip).(*image.Gray)
	part.Rect = part.Rect.Sub(strip.Min)
	usual := [2]point{{patchSide/2 - eyeApart/2, eyeLine}, {patchSide/2 + eyeApart/2, eyeLine}}
	var sums [2]point
	var weights [2]float64
	for _, c := range []*cascade.Cascade{f.openEye, f.anyEye} {
		for _, o := range f.detector.Detect(c, part, cascade.Options{Neighbours: 1, MinSide: 20, MaxSide: 50}) {
			at := point{float64(o.Min.X+o.Max.X-1)/2 + float64(strip.Min.X), float64(o.Min.Y+o.Max.Y-1)/2 + float64(strip.Min.Y)}
			for i, u := range usual {
				if far := at.distance(u); far < eyeFar {
					w := float64(o.Hits) * math.Exp(-far*far/(2*8*8))
					sums[i], weights[i] = sums[i].add(at.times(w)), weights[i]+w
				}
			}
		}
	}
	for i := range usual {
		if weights[i] > 0 {
			usual[i] = sums[i].times(1 / weights[i])
		}
	}
	return usual
}

// Irises are looked for in a patch that is laid along the eyes, 80 px from one to the other; an iris is then about 15 px wide.
const (
	irisApart  = 80
	irisWidth  = 160
	irisHeight = 72
	irisRadius = 7.5
	irisReach  = 12 // px from the centre to the edges that vote
	irisAside  = 12 // px that the centre may lie from where it is expected
	irisAbove  = 9
	lidWeight  = 0.2 // of edges above and below, which are the lids', against those at the sides
)

// irises finds the middles of the irises near two eyes: where edges around a dark round spot point to.
func (f *finder) irises(eyes [2]point) [2]point {
	across := eyes[1].sub(eyes[0])
	view := frame{middle: eyes[0].middle(eyes[1]), angle: math.Atan2(across.y, across.x),
		step: max(math.Hypot(across.x, across.y), 1) / irisApart, width: irisWidth, height: irisHeight}
	f.pyramid.sample(&f.patch, view)
	f.votes.prepare(&f.patch)
	for i := range eyes {
		expected := view.from(eyes[i])
		eyes[i] = view.to(f.votes.centre(expected))
	}
	return eyes
}

// votes finds centres by the votes of edges, after the means of gradients of Timm and Barth (VISAPP 2011): the product of the
// direction from the centre to an edge and of the edge's own direction is 1 where the edge belongs to a circle about it.
type votes struct {
	width, height int
	soft          []float64 // grey levels, smoothed
	gx, gy        []float64 // their slope
	row           []float64
}

func (v *votes) wipe() {
	clear(v.soft)
	clear(v.gx)
	clear(v.gy)
	clear(v.row)
}

func (v *votes) prepare(img *image.Gray) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	v.width, v.height = w, h
	for _, s := range []*[]float64{&v.soft, &v.gx, &v.gy, &v.row} {
		*s = append((*s)[:0], make([]float64, w*h)...)
	}
	kernel := [5]float64{0.4, 0.24, 0.054, 0.006, 0} // a Gaussian of one pixel
	at := func(s []float64, x, y int) float64 { return s[min(max(y, 0), h-1)*w+min(max(x, 0), w-1)] }
	for i, p := range img.Pix {
		v.soft[i] = float64(p)
	}
	v.open(math.Min)
	v.open(math.Max)
	for y := range h {
		for x := range w {
			sum := kernel[0] * at(v.soft, x, y)
			for k := 1; k < 4; k++ {
				sum += kernel[k] * (at(v.soft, x-k, y) + at(v.soft, x+k, y))
			}
			v.row[y*w+x] = sum
		}
	}
	for y := range h {
		for x := range w {
			sum := kernel[0] * at(v.row, x, y)
			for k := 1; k < 4; k++ {
				sum += kernel[k] * (at(v.row, x, y-k) + at(v.row, x, y+k))
			}
			v.soft[y*w+x] = sum
		}
	}
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*w + x
			v.gx[i], v.gy[i] = (v.soft[i+1]-v.soft[i-1])/2, (v.soft[i+w]-v.soft[i-w])/2
		}
	}
}

// glint is how far from its middle a reflection in the eye reaches, px.
const glint = 2

// open takes the least or the greatest level around every pixel; both in turn remove bright spots that are no larger than glints.
func (v *votes) open(of func(a, b float64) float64) {
	w, h := v.width, v.height
	for y := range h {
		for x := range w {
			m := v.soft[y*w+x]
			for k := max(x-glint, 0); k <= min(x+glint, w-1); k++ {
				m = of(m, v.soft[y*w+k])
			}
			v.row[y*w+x] = m
		}
	}
	for y := range h {
		for x := range w {
			m := v.row[y*w+x]
			for k := max(y-glint, 0); k <= min(y+glint, h-1); k++ {
				m = of(m, v.row[k*w+x])
			}
			v.soft[y*w+x] = m
		}
	}
}

// centre is the place near the expected one that most edges point away from.
func (v *votes) centre(expected point) point {
	x0, y0 := int(math.Round(expected.x)), int(math.Round(expected.y))
	size := 2*irisAside + 1
	scores := make([]float64, 0, size*(2*irisAbove+1))
	best := 0.0
	for y := y0 - irisAbove; y <= y0+irisAbove; y++ {
		for x := x0 - irisAside; x <= x0+irisAside; x++ {
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
			sum = sum.add(point{float64(x0 - irisAside + i%size), float64(y0 - irisAbove + i/size)}.times(w))
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
	for y := max(cy-irisReach, 1); y <= min(cy+irisReach, v.height-2); y++ {
		for x := max(cx-irisReach, 1); x <= min(cx+irisReach, v.width-2); x++ {
			dx, dy := float64(x-cx), float64(y-cy)
			i := y*v.width + x
			along := dx*v.gx[i] + dy*v.gy[i]
			if along <= 0 {
				continue
			}
			r := math.Hypot(dx, dy)
			length := math.Hypot(v.gx[i], v.gy[i])
			cosine := along / (r * length)
			off := (r - irisRadius) / 3
			aside := lidWeight + (1-lidWeight)*dx*dx/(r*r)
			sum += aside * cosine * cosine * length * math.Exp(-off*off/2) / max(r, 3)
		}
	}
	return sum * (280 - v.soft[cy*v.width+cx])
}
