package cascade

import (
	"image"
	"math"
)

// Options say where and how finely to look. The zero value looks everywhere at steps of 1.1, and one hit makes an object.
type Options struct {
	Step       float64 // from one scale to the next; 0: 1.1
	Neighbours int     // an object needs more hits than this; below 0: hits are not joined
	MinSide    int     // px; the smallest object, 0: the window's
	MaxSide    int     // px; the largest, 0: the picture's
	Middles    Span    // where the middles of objects may lie; nil: anywhere
	Coarse     bool    // look at every second place only, at every scale: a quarter of the work, and of the hits
}

// Span gives where in a row of a picture something may be: from one column to another, and nowhere if that is smaller.
type Span func(y float64) (from, to float64)

// Object is a rectangle in which something was found, and how many hits were joined to it.
type Object struct {
	image.Rectangle
	Hits int
}

// Detector evaluates cascades and keeps its buffers for the next time. The zero value works. It serves one goroutine at a
// time; [Detector.Wipe] overwrites what is left in it of a picture.
type Detector struct {
	level   plane
	sum     []uint32 // integral image, one row and column more than the picture
	square  []uint32 // the same of squares, modulo 2^32
	tilted  []uint32 // the same of triangles
	columns []sampleAt
	hits    []image.Rectangle

	haar   []placedHaar
	lbp    []placedLBP
	stumps []stump
	norm   [4]int
}

// Wipe overwrites the buffers.
func (d *Detector) Wipe() {
	clear(d.level.pix)
	clear(d.sum)
	clear(d.square)
	clear(d.tilted)
}

// Detect finds the objects that a cascade was trained on, in no order that matters. It only reads the picture.
func (d *Detector) Detect(c *Cascade, img *image.Gray, o Options) []Object {
	if o.Step <= 1.001 {
		o.Step = 1.1
	}
	d.hits = d.hits[:0]
	size := img.Bounds().Size()
	for factor := 1.0; ; factor *= o.Step {
		w, h := round(float64(c.Width)*factor), round(float64(c.Height)*factor)
		if w > size.X || h > size.Y || o.MaxSide > 0 && max(w, h) > o.MaxSide {
			break
		}
		if min(w, h) >= o.MinSide {
			d.scan(c, img, float32(factor), o)
		}
	}
	objects := join(d.hits, o.Neighbours)
	for i := range objects { // scaled and rounded, a window at the edge may reach a pixel or two beyond it
		objects[i].Rectangle = objects[i].Intersect(image.Rectangle{Max: size})
	}
	return objects
}

// scan evaluates all windows of one scale. Below twice the window's size every second place is enough, and beside a place
// that the first stage refuses one more is left out.
func (d *Detector) scan(c *Cascade, img *image.Gray, scale float32, o Options) {
	size := img.Bounds().Size()
	d.shrink(img, round(float64(float32(size.X)/scale)), round(float64(float32(size.Y)/scale)))
	d.integrate(c)
	d.place(c)
	step := 2
	if scale >= 2 && !o.Coarse {
		step = 1
	}
	stride := d.level.width + 1
	w, h := round(float64(float32(c.Width)*scale)), round(float64(float32(c.Height)*scale))
	for y := 0; y < d.level.height+1-c.Height; y += step {
		first, last := d.columnsOf(c, y, step, scale, o.Middles)
		for x := first; x < last; x += step {
			switch d.run(c, y*stride+x) {
			case passed:
				at := image.Pt(round(float64(float32(x)*scale)), round(float64(float32(y)*scale)))
				d.hits = append(d.hits, image.Rectangle{at, at.Add(image.Pt(w, h))})
			case 0:
				x += step
			}
		}
	}
}

// columnsOf gives the windows of a row that may hold an object, on the grid of a step: from the first to before the last.
func (d *Detector) columnsOf(c *Cascade, y, step int, scale float32, middles Span) (first, last int) {
	last = d.level.width + 1 - c.Width
	if middles == nil {
		return 0, last
	}
	from, to := middles((float64(y) + float64(c.Height)/2) * float64(scale))
	at := func(column float64) int { return int(column/float64(scale) - float64(c.Width)/2) }
	return max(at(from), 0) / step * step, min(at(to)+1, last)
}

// What a window comes to besides the number of the stage that refused it.
const (
	passed = -1
	flat   = -2 // too little contrast to ask
)

// run evaluates the window whose upper left corner is at an index of the integral image.
func (d *Detector) run(c *Cascade, at int) int {
	var norm float32
	if c.kind == kindHaar {
		var ok bool
		if norm, ok = d.contrast(c, at); !ok {
			return flat
		}
	}
	for i, s := range c.stages {
		var holds bool
		if c.stumps {
			holds = d.askStumps(c.trees[s.first:s.last], d.stumps[s.first:s.last], s.threshold, d.sum[at:])
		} else {
			holds = d.ask(c, s, at, norm)
		}
		if !holds {
			return i
		}
	}
	return passed
}

// sureBy is by how much a sum must be beyond a threshold, whatever follows, for the rest of a stage to be left out: more than its
// rounding can come to.
const sureBy = 1e-3

// ask reports whether a window passes a stage.
func (d *Detector) ask(c *Cascade, s stage, at int, norm float32) bool {
	var total float32
	for i := s.first; i < s.last; i++ {
		t := &c.trees[i]
		if c.kind == kindLBP {
			total += d.askLBP(c, t, at)
		} else {
			total += d.askHaar(c, t, at, norm)
		}
		switch {
		case total+t.most < s.threshold-sureBy:
			return false
		case total+t.least > s.threshold+sureBy:
			return true
		}
	}
	return total >= s.threshold
}

// stump is a tree of one pattern with all that it needs in one place.
type stump struct {
	at          placedLBP
	set         [8]uint32
	left, right float32
}

// askStumps is ask for a stage of nothing but stumps. It is where the search of a frame spends its time.
func (d *Detector) askStumps(trees []tree, stumps []stump, threshold float32, sum []uint32) bool {
	var total float32
	for i := range stumps {
		p := &stumps[i]
		v := p.at.pattern(sum)
		if p.set[v>>5]&(1<<(v&31)) != 0 {
			total += p.left
		} else {
			total += p.right
		}
		switch t := &trees[i]; {
		case total+t.most < threshold-sureBy:
			return false
		case total+t.least > threshold+sureBy:
			return true
		}
	}
	return total >= threshold
}

// askLBP follows one tree to its leaf.
func (d *Detector) askLBP(c *Cascade, t *tree, at int) float32 {
	for next := int32(0); ; {
		n := &c.nodes[t.node+next]
		v := d.lbp[n.feature].pattern(d.sum[at:])
		if next = n.right; n.set[v>>5]&(1<<(v&31)) != 0 {
			next = n.left
		}
		if next <= 0 {
			return c.leaves[t.leaf-next]
		}
	}
}

// askHaar follows one tree to its leaf.
func (d *Detector) askHaar(c *Cascade, t *tree, at int, norm float32) float32 {
	for next := int32(0); ; {
		n := &c.nodes[t.node+next]
		left := d.haar[n.feature].value(d, at)*norm < n.threshold
		if next = n.right; left {
			next = n.left
		}
		if next <= 0 {
			return c.leaves[t.leaf-next]
		}
	}
}

// contrast is one over the standard deviation times the area of the window within its outermost pixels, and whether that
// deviation reaches ten grey levels.
func (d *Detector) contrast(c *Cascade, at int) (norm float32, ok bool) {
	n := d.norm
	sum := float64(int32(d.sum[at+n[0]] - d.sum[at+n[1]] - d.sum[at+n[2]] + d.sum[at+n[3]]))
	squares := float64(d.square[at+n[0]] - d.square[at+n[1]] - d.square[at+n[2]] + d.square[at+n[3]])
	pixels := float64((c.Width - 2) * (c.Height - 2))
	f := pixels*squares - sum*sum
	if f <= 0 {
		return 1, false
	}
	norm = float32(1 / math.Sqrt(f))
	return norm, pixels*float64(norm) < 0.1
}

// placedHaar is a feature as indices of the integral image.
type placedHaar struct {
	corners [3][4]int32
	weights [3]float32
	tilted  bool
}

// value is the weighted sum of the rectangles.
func (p *placedHaar) value(d *Detector, at int) float32 {
	s := d.sum
	if p.tilted {
		s = d.tilted
	}
	s = s[at:]
	v := p.weights[0]*total(s, &p.corners[0]) + p.weights[1]*total(s, &p.corners[1])
	if p.weights[2] != 0 {
		v += p.weights[2] * total(s, &p.corners[2])
	}
	return v
}

func total(s []uint32, c *[4]int32) float32 {
	return float32(int32(s[c[0]] - s[c[1]] - s[c[2]] + s[c[3]]))
}

// placedLBP is the sixteen corners of a pattern's blocks, row by row.
type placedLBP [16]int32

// pattern compares the eight outer blocks with the middle one, clockwise from the upper left, the first in the highest bit. It is
// where the time goes, so it is written out.
func (p *placedLBP) pattern(s []uint32) uint8 {
	_ = s[p[15]] // the last of them
	a0, a1, a2, a3 := s[p[0]], s[p[1]], s[p[2]], s[p[3]]
	b0, b1, b2, b3 := s[p[4]], s[p[5]], s[p[6]], s[p[7]]
	c0, c1, c2, c3 := s[p[8]], s[p[9]], s[p[10]], s[p[11]]
	d0, d1, d2, d3 := s[p[12]], s[p[13]], s[p[14]], s[p[15]]
	middle := b1 - b2 - c1 + c2
	return atLeast(a0-a1-b0+b1, middle)<<7 | atLeast(a1-a2-b1+b2, middle)<<6 | atLeast(a2-a3-b2+b3, middle)<<5 |
		atLeast(b2-b3-c2+c3, middle)<<4 | atLeast(c2-c3-d2+d3, middle)<<3 | atLeast(c1-c2-d1+d2, middle)<<2 |
		atLeast(c0-c1-d0+d1, middle)<<1 | atLeast(b0-b1-c0+c1, middle)
}

// atLeast is 1 where a block is at least as bright as another, else 0, without a branch. Sums of blocks stay below 2^32.
func atLeast(a, b uint32) uint8 { return uint8((uint64(b) - uint64(a) - 1) >> 63) }

// place turns a cascade's features into indices for the picture's width at this scale.
func (d *Detector) place(c *Cascade) {
	stride := int32(d.level.width + 1)
	d.haar, d.lbp = d.haar[:0], d.lbp[:0]
	for _, f := range c.haar {
		p := placedHaar{weights: f.weights, tilted: f.tilted}
		for i, a := range f.areas {
			p.corners[i] = a.corners(stride, f.tilted)
		}
		d.haar = append(d.haar, p)
	}
	for _, f := range c.lbp {
		var p placedLBP
		for i := range p {
			p[i] = int32(f.x+i%4*f.w) + stride*int32(f.y+i/4*f.h)
		}
		d.lbp = append(d.lbp, p)
	}
	d.stumps = d.stumps[:0]
	if c.stumps {
		for _, t := range c.trees {
			n := &c.nodes[t.node]
			d.stumps = append(d.stumps, stump{d.lbp[n.feature], n.set, c.leaves[t.leaf-n.left], c.leaves[t.leaf-n.right]})
		}
	}
	for i, v := range (area{1, 1, c.Width - 2, c.Height - 2}).corners(stride, false) {
		d.norm[i] = int(v)
	}
}

// corners are the indices of an area's four corners: the sum is the first less the next two and the last.
func (a area) corners(stride int32, tilted bool) [4]int32 {
	at := func(x, y int) int32 { return int32(x) + stride*int32(y) }
	if tilted {
		return [4]int32{at(a.x, a.y), at(a.x-a.h, a.y+a.h), at(a.x+a.w, a.y+a.w), at(a.x+a.w-a.h, a.y+a.w+a.h)}
	}
	return [4]int32{at(a.x, a.y), at(a.x+a.w, a.y), at(a.x, a.y+a.h), at(a.x+a.w, a.y+a.h)}
}
