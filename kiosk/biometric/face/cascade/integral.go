package cascade

import (
	"image"
	"math"
)

// plane is grey levels, row by row without gaps.
type plane struct {
	pix           []uint8
	width, height int
}

// round rounds half to even, as OpenCV does.
func round(v float64) int { return int(math.RoundToEven(v)) }

// sampleAt says between which two pixels of a row a sample lies, and how near to the second, in 256 parts.
type sampleAt struct {
	first, second int
	part          uint32
}

// sample places one of n samples on a side of size pixels, middle on middle.
func sample(i, n, size int) sampleAt {
	at := (float64(i)+0.5)*(float64(size)/float64(n)) - 0.5
	first := int(math.Floor(at))
	switch {
	case first < 0:
		return sampleAt{0, 0, 0}
	case first >= size-1:
		return sampleAt{size - 1, size - 1, 0}
	}
	return sampleAt{first, first + 1, uint32(round((at - float64(first)) * 256))}
}

// shrink samples the picture at one scale: linear between four pixels, in whole numbers, rounded once.
func (d *Detector) shrink(img *image.Gray, w, h int) {
	size := img.Bounds().Size()
	d.level = plane{grown(d.level.pix, w*h), w, h}
	d.columns = grown(d.columns, w)
	for x := range d.columns {
		d.columns[x] = sample(x, w, size.X)
	}
	for y := range h {
		s := sample(y, h, size.Y)
		upper, lower := img.Pix[s.first*img.Stride:][:size.X], img.Pix[s.second*img.Stride:][:size.X]
		row := d.level.pix[y*w:][:w]
		for x, c := range d.columns {
			a := uint32(upper[c.first])*(256-c.part) + uint32(upper[c.second])*c.part
			b := uint32(lower[c.first])*(256-c.part) + uint32(lower[c.second])*c.part
			row[x] = uint8((a*(256-s.part) + b*s.part + 1<<15) >> 16)
		}
	}
}

// grown is a slice of n elements whose contents don't matter.
func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// integrate adds up the sampled picture, in the ways that a cascade needs.
func (d *Detector) integrate(c *Cascade) {
	w, h := d.level.width, d.level.height
	stride := w + 1
	d.sum = grown(d.sum, stride*(h+1))
	clear(d.sum[:stride])
	for y := range h {
		above, row := d.sum[y*stride:][:stride], d.sum[(y+1)*stride:][:stride]
		row[0] = 0
		var s uint32
		for x, v := range d.level.pix[y*w:][:w] {
			s += uint32(v)
			row[x+1] = above[x+1] + s
		}
	}
	if c.kind == kindHaar {
		d.integrateSquares()
	}
	if c.tilted {
		d.integrateTilted()
	}
}

func (d *Detector) integrateSquares() {
	w, stride := d.level.width, d.level.width+1
	d.square = grown(d.square, stride*(d.level.height+1))
	clear(d.square[:stride])
	for y := range d.level.height {
		above, row := d.square[y*stride:][:stride], d.square[(y+1)*stride:][:stride]
		row[0] = 0
		var s uint32
		for x, v := range d.level.pix[y*w:][:w] {
			s += uint32(v) * uint32(v)
			row[x+1] = above[x+1] + s
		}
	}
}

// integrateTilted fills in the triangles: entry (x, y) is the sum of the pixels above row y that a right angle opening upwards,
// its tip at pixel (x-1, y-1), takes in. It differs from the one up and to the left by two diagonals, which run to the upper right.
func (d *Detector) integrateTilted() {
	w, h, stride := d.level.width, d.level.height, d.level.width+1
	d.tilted = grown(d.tilted, stride*(h+1))
	clear(d.tilted[:stride])
	before, diagonal := make([]uint32, w+1), make([]uint32, w+1) // from pixels of row y-2, of row y-1
	for y := 1; y <= h; y++ {
		for x, v := range d.level.pix[(y-1)*w:][:w] {
			before[x], diagonal[x] = diagonal[x], uint32(v)
		}
		for x := range w {
			diagonal[x] += before[x+1]
		}
		above, row := d.tilted[(y-1)*stride:][:stride], d.tilted[y*stride:][:stride]
		row[0] = above[0] + before[0]
		for x := 1; x <= w; x++ {
			row[x] = above[x-1] + diagonal[x-1] + before[x-1]
		}
	}
}
