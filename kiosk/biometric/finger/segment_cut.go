package finger

import (
	"image"
	"math"
	"slices"
)

// margin is how far around a contact its pixels are kept, and the white border of its image, mm.
const margin = 1.0

// exact is the turn below which pixels are copied as they are, degrees.
const exact = 1.0

// cut takes a fingertip out of the slap: upright, from the tip to the first joint, white around.
func (g *glass) cut(img *image.Gray, t tip) Fingertip {
	for _, straight := range []float64{0, 180} {
		if math.Abs(turned(t.angle-straight)) < exact {
			t.angle = straight
		}
	}
	c := g.frame(t)
	return Fingertip{Position: t.position, Angle: t.angle, Image: c.take(img, g), Centre: c.centre(), Corners: c.corners(), Box: c.box()}
}

// crop is a turned rectangle of the source: pixel (i, j) of the upright image lies at x + i cos - j sin, y + i sin + j cos.
type crop struct {
	label    int16
	x, y     float64 // px in the source, the middle of the upright image's first pixel
	cos, sin float64
	w, h     int
}

// frame finds the rectangle around a fingertip.
func (g *glass) frame(t tip) crop {
	sin, cos := math.Sincos(t.angle * math.Pi / 180)
	left, right, top, bottom := g.extent(t, sin, cos)
	px := g.mm / float64(g.side) // mm a pixel
	c := crop{label: t.label, cos: cos, sin: sin, w: int((right-left)/px) + 1, h: int((bottom-top)/px) + 1}
	if t.angle == 0 || t.angle == 180 {
		c.cos, c.sin = math.Round(cos), math.Round(sin)
	}
	c.x = (t.x+left*cos-top*sin)/px - 0.5
	c.y = (t.y+left*sin+top*cos)/px - 0.5
	if c.sin == 0 {
		c.x, c.y = math.Round(c.x), math.Round(c.y)
	}
	c.x += float64(g.min.X)
	c.y += float64(g.min.Y)
	return c
}

// extent is the rectangle around a fingertip in its own frame, mm from its middle, y towards the joint.
func (g *glass) extent(t tip, sin, cos float64) (left, right, top, bottom float64) {
	rows := g.rows(t, sin, cos)
	end := rows.joint(2 * shortHalf(t.blob))
	left, right, top, bottom = math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for i, l := range g.label {
		if l != t.label {
			continue
		}
		x, y := g.at(i)
		dx, dy := x-t.x, y-t.y
		fx, fy := dx*cos+dy*sin, dy*cos-dx*sin
		if fy > end {
			continue
		}
		left, right = min(left, fx), max(right, fx)
		top, bottom = min(top, fy), max(bottom, fy)
	}
	return left - margin, right + margin, top - margin, min(bottom+margin, max(end, top))
}

func shortHalf(b blob) float64 {
	_, _, short := b.axis()
	return short
}

// rows holds how much ink lies across a finger, in steps of a cell from the tip down.
type rows struct {
	from, step float64 // mm
	ink        []float64
}

func (g *glass) rows(t tip, sin, cos float64) rows {
	reach := t.reach(sin, cos) + t.reach(cos, sin) + 6
	r := rows{from: -reach, step: g.mm, ink: make([]float64, int(2*reach/g.mm)+1)}
	for i, l := range g.label {
		if l != t.label {
			continue
		}
		x, y := g.at(i)
		k := int(((y-t.y)*cos - (x-t.x)*sin - r.from) / r.step)
		if k >= 0 && k < len(r.ink) {
			r.ink[k] += max(255-float64(g.mean[i]), 0)
		}
	}
	return r
}

// A fingertip's contact is hardly longer than this, against its width.
const (
	jointFrom = 0.95 // the joint lies further down than this
	longest   = 1.75 // and is taken to lie here where it doesn't show in a longer contact
	bearable  = 1.95
)

// joint is where a finger of this width ends at its first joint: a gap in its ink, or what anatomy says.
func (r rows) joint(width float64) float64 {
	first := slices.IndexFunc(r.ink, func(v float64) bool { return v > 0 })
	last := len(r.ink) - 1
	for last >= 0 && r.ink[last] == 0 {
		last--
	}
	if first < 0 {
		return math.Inf(1)
	}
	at := func(k int) float64 { return r.from + float64(k+1)*r.step }
	from := first + int(jointFrom*width/r.step)
	if from >= last {
		return at(last) + margin
	}
	usual := median(r.ink[first:from])
	for k := from; k < last; k++ {
		beyond := r.ink[min(k+1, last):min(k+1+int(6/r.step), last)]
		if r.ink[k] < 0.5*usual && len(beyond) > 0 && slices.Max(beyond) > max(0.7*usual, 1.5*r.ink[k]) {
			return at(k)
		}
	}
	if long := float64(last-first) * r.step; long > bearable*width {
		return at(first) + longest*width
	}
	return at(last) + margin
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func (c crop) point(i, j float64) (x, y float64) {
	return c.x + i*c.cos - j*c.sin, c.y + i*c.sin + j*c.cos
}

func (c crop) centre() [2]float64 {
	x, y := c.point(float64(c.w-1)/2, float64(c.h-1)/2)
	return [2]float64{x, y}
}

func (c crop) corners() [4]image.Point {
	var out [4]image.Point
	for k, p := range [4][2]int{{0, 0}, {c.w - 1, 0}, {c.w - 1, c.h - 1}, {0, c.h - 1}} {
		x, y := c.point(float64(p[0]), float64(p[1]))
		out[k] = image.Pt(int(math.Round(x)), int(math.Round(y)))
	}
	return out
}

// box is the upright rectangle around the corners.
func (c crop) box() image.Rectangle {
	var r image.Rectangle
	for _, p := range c.corners() {
		r = r.Union(image.Rect(p.X, p.Y, p.X+1, p.Y+1))
	}
	return r
}

// take turns the rectangle upright. What belongs to another finger, or lies off the glass, is white.
func (c crop) take(img *image.Gray, g *glass) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, c.w, c.h))
	weights := newCubic()
	for j := range c.h {
		row := out.Pix[j*out.Stride : j*out.Stride+c.w]
		for i := range row {
			row[i] = 255
			x, y := c.point(float64(i), float64(j))
			ix, iy := int(math.Floor(x)), int(math.Floor(y))
			if p := image.Pt(ix, iy); !p.In(img.Rect) || !g.owns(c.label, p) {
				continue
			}
			if c.sin == 0 {
				row[i] = img.Pix[img.PixOffset(ix, iy)]
				continue
			}
			row[i] = weights.at(img, ix, iy, x-float64(ix), y-float64(iy))
		}
	}
	return out
}

// owns reports whether a pixel belongs to a patch or to the margin around it.
func (g *glass) owns(label int16, p image.Point) bool {
	x, y := min((p.X-g.min.X)/g.side, g.w-1), min((p.Y-g.min.Y)/g.side, g.h-1)
	return g.territory[y*g.w+x] == label
}

// outline finds the convex hulls of patches, and gives every patch the cells within its own, as a fingertip is convex, and
// those around it as far as the margin reaches. A cell that two patches want is the nearer one's.
func (g *glass) outline(blobs []blob) {
	g.territory = make([]int16, len(g.label))
	var edge []int
	for k := range blobs {
		b := &blobs[k]
		left, right := g.hull(b.label)
		for _, p := range slices.Concat(left, right) {
			x, y := g.at(p.Y*g.w + p.X)
			b.outline = append(b.outline, [2]float64{x, y})
		}
		for _, i := range g.within(left, right) {
			if g.label[i] == b.label || g.label[i] == 0 && g.territory[i] == 0 {
				g.territory[i] = b.label
				edge = append(edge, i)
			}
		}
	}
	for range int(math.Ceil(margin / g.mm)) {
		var next []int
		for _, i := range edge {
			g.around(i, func(j int) {
				if g.territory[j] == 0 && g.label[j] == 0 {
					g.territory[j] = g.territory[i]
					next = append(next, j)
				}
			})
		}
		edge = next
	}
}

// hull is the convex hull of a patch: the cells at the corners of its two sides, from top to bottom.
func (g *glass) hull(label int16) (left, right []image.Point) {
	for y := range g.h {
		row := g.label[y*g.w : (y+1)*g.w]
		first := slices.Index(row, label)
		if first < 0 {
			continue
		}
		last := g.w - 1
		for row[last] != label {
			last--
		}
		left = bend(left, image.Pt(first, y), 1)
		right = bend(right, image.Pt(last, y), -1)
	}
	return left, right
}

// within lists the cells between the sides of a hull.
func (g *glass) within(left, right []image.Point) []int {
	var cells []int
	for y := range g.h {
		from, ok := between(left, y)
		to, _ := between(right, y)
		for x := int(math.Ceil(from)); ok && x <= int(to); x++ {
			cells = append(cells, y*g.w+x)
		}
	}
	return cells
}

// bend adds a point to one side of a hull, from top to bottom, and drops those that it makes hollow.
func bend(side []image.Point, p image.Point, sign int) []image.Point {
	for len(side) >= 2 {
		a, b := side[len(side)-2], side[len(side)-1]
		if ab, ap := b.Sub(a), p.Sub(a); sign*(ab.X*ap.Y-ab.Y*ap.X) < 0 {
			break
		}
		side = side[:len(side)-1]
	}
	return append(side, p)
}

// between is where a side of a hull crosses a row.
func between(side []image.Point, y int) (x float64, ok bool) {
	for i, p := range side {
		if p.Y == y {
			return float64(p.X), true
		}
		if p.Y > y && i > 0 {
			a := side[i-1]
			return float64(a.X) + float64((p.X-a.X)*(y-a.Y))/float64(p.Y-a.Y), true
		}
		if p.Y > y {
			break
		}
	}
	return 0, false
}

// cubic holds the weights of Keys' cubic convolution (a = -1/2) for steps of 1/32 pixel.
type cubic [33][4]float32

func newCubic() *cubic {
	var k cubic
	for i := range k {
		t := float32(i) / 32
		k[i] = [4]float32{((2-t)*t - 1) * t / 2, ((3*t-5)*t*t + 2) / 2, ((4-3*t)*t + 1) * t / 2, (t - 1) * t * t / 2}
	}
	return &k
}

// at interpolates between pixels; beyond the border the outermost go on.
func (k *cubic) at(img *image.Gray, x, y int, fx, fy float64) uint8 {
	wx, wy := &k[int(fx*32+0.5)], &k[int(fy*32+0.5)]
	b := img.Rect
	var sum float32
	if x > b.Min.X && y > b.Min.Y && x+2 < b.Max.X && y+2 < b.Max.Y {
		at := (y-1-b.Min.Y)*img.Stride + x - 1 - b.Min.X
		for j := range 4 {
			p := img.Pix[at : at+4 : at+4]
			sum += wy[j] * (wx[0]*float32(p[0]) + wx[1]*float32(p[1]) + wx[2]*float32(p[2]) + wx[3]*float32(p[3]))
			at += img.Stride
		}
	} else {
		for j := range 4 {
			for i := range 4 {
				px := min(max(x-1+i, b.Min.X), b.Max.X-1)
				py := min(max(y-1+j, b.Min.Y), b.Max.Y-1)
				sum += wy[j] * wx[i] * float32(img.Pix[img.PixOffset(px, py)])
			}
		}
	}
	return uint8(min(max(sum+0.5, 0), 255))
}
