package face

import (
	"image"
	"math"
)

// point is a place in a picture, px; the middle of the first pixel is (0, 0).
type point struct{ x, y float64 }

func (p point) add(q point) point        { return point{p.x + q.x, p.y + q.y} }
func (p point) sub(q point) point        { return point{p.x - q.x, p.y - q.y} }
func (p point) times(f float64) point    { return point{p.x * f, p.y * f} }
func (p point) middle(q point) point     { return p.add(q).times(0.5) }
func (p point) distance(q point) float64 { return math.Hypot(p.x-q.x, p.y-q.y) }

// frame is a square grid laid over a picture: where its middle lies, how far it is turned (clockwise, radians), and how many
// px of the picture one of its own pixels covers.
type frame struct {
	middle point
	angle  float64
	step   float64
	width  int
	height int
}

// to brings a place in the frame into the picture.
func (f frame) to(p point) point {
	sin, cos := math.Sincos(f.angle)
	u, v := (p.x-float64(f.width-1)/2)*f.step, (p.y-float64(f.height-1)/2)*f.step
	return point{f.middle.x + cos*u - sin*v, f.middle.y + sin*u + cos*v}
}

// from brings a place in the picture into the frame.
func (f frame) from(p point) point {
	sin, cos := math.Sincos(f.angle)
	d := p.sub(f.middle)
	u, v := (cos*d.x+sin*d.y)/f.step, (cos*d.y-sin*d.x)/f.step
	return point{u + float64(f.width-1)/2, v + float64(f.height-1)/2}
}

// pyramid is a picture's grey levels, and each level again at half the size.
type pyramid struct {
	levels []plane
}

// build fills the pyramid. The first level stays the picture's own; the others reuse their memory.
func (p *pyramid) build(luma plane) {
	if len(p.levels) == 0 {
		p.levels = append(p.levels, plane{})
	}
	p.levels[0] = luma
	n := 1
	for ; min(luma.width, luma.height) >= 64; n++ {
		if n == len(p.levels) {
			p.levels = append(p.levels, plane{})
		}
		p.levels[n].halve(luma)
		luma = p.levels[n]
	}
	p.levels = p.levels[:n]
}

// wipe overwrites the copies.
func (p *pyramid) wipe() {
	if len(p.levels) == 0 {
		return
	}
	p.levels[0] = plane{}
	for _, l := range p.levels[1:cap(p.levels)] {
		clear(l.pix)
	}
}

// halve makes p the means of two by two pixels each.
func (p *plane) halve(from plane) {
	w, h := from.width/2, from.height/2
	if cap(p.pix) < w*h {
		p.pix = make([]uint8, w*h)
	}
	*p = plane{p.pix[:w*h], w, w, h}
	for y := range h {
		upper, lower := from.pix[2*y*from.stride:][:2*w], from.pix[(2*y+1)*from.stride:][:2*w]
		row := p.pix[y*w:][:w]
		for x := range row {
			row[x] = uint8((uint(upper[2*x]) + uint(upper[2*x+1]) + uint(lower[2*x]) + uint(lower[2*x+1]) + 2) / 4)
		}
	}
}

// sample fills img with what a frame covers, from the level that is just fine enough. Beyond the picture its border goes on.
func (p *pyramid) sample(img *image.Gray, f frame) {
	if n := f.width * f.height; cap(img.Pix) < n {
		img.Pix = make([]uint8, n)
	} else {
		img.Pix = img.Pix[:n]
	}
	img.Stride, img.Rect = f.width, image.Rect(0, 0, f.width, f.height)
	level, scale := 0, 1.0
	for ; level+1 < len(p.levels) && f.step >= 2*scale; level++ {
		scale *= 2
	}
	l := p.levels[level]
	sin, cos := math.Sincos(f.angle)
	dx, dy := fixed(cos*f.step/scale), fixed(sin*f.step/scale)
	for y := range f.height {
		start := f.to(point{0, float64(y)})
		u, v := fixed((start.x+0.5)/scale-0.5), fixed((start.y+0.5)/scale-0.5)
		row := img.Pix[y*f.width:][:f.width]
		for x := range row {
			row[x] = l.between(u, v)
			u, v = u+dx, v+dy
		}
	}
}

// fixed has 16 bits behind the point.
func fixed(v float64) int { return int(math.Round(v * 65536)) }

// between is the level at a place given with 16 bits behind the point, linear between four pixels.
func (p plane) between(u, v int) uint8 {
	x, y := u>>16, v>>16
	if uint(x) >= uint(p.width-1) || uint(y) >= uint(p.height-1) {
		return p.pix[min(max(y, 0), p.height-1)*p.stride+min(max(x, 0), p.width-1)]
	}
	a, b := u>>8&0xff, v>>8&0xff
	at := y*p.stride + x
	upper := int(p.pix[at])*(256-a) + int(p.pix[at+1])*a
	lower := int(p.pix[at+p.stride])*(256-a) + int(p.pix[at+p.stride+1])*a
	return uint8((upper*(256-b) + lower*b + 1<<15) >> 16)
}

// stretch spreads the grey levels of a picture between its darkest and brightest hundredth over the whole range.
func stretch(img *image.Gray) {
	var counts [256]int
	for _, v := range img.Pix {
		counts[v]++
	}
	low, high := quantile(counts, 0.01), quantile(counts, 0.99)
	if high <= low {
		return
	}
	var to [256]uint8
	for v := range to {
		to[v] = uint8(min(max((v-low)*255/(high-low), 0), 255))
	}
	for i, v := range img.Pix {
		img.Pix[i] = to[v]
	}
}
