package finger

import (
	"image"
	"math"
	"slices"
)

// glass holds what segmentation needs of a slap: for cells of about 0.4 mm, how dark they are and how their grey changes.
type glass struct {
	w, h int
	side int     // of a cell, px of the source
	mm   float64 // side of a cell
	min  image.Point

	mean             []float32
	xx, yy, xy       []float32 // covariance of the gradient, over 3x3 cells
	wxx, wyy, wxy    []float32 // the same over 5x5 cells
	amplitude        []float32 // root mean square of the gradient, grey levels, over 3x3 cells
	label, territory []int16   // 1 and up: whose cell it is; territory reaches a margin further
}

// cellSide is the side of a cell in pixels of the shrunk picture, whose scale is about 250 ppi.
const cellSide = 4

// newGlass measures a slap.
func newGlass(img *image.Gray, ppi int) *glass {
	f := max(int(math.Round(float64(ppi)/250)), 1)
	small := shrink(img, f)
	defer clear(small.Pix)
	g := &glass{w: small.Rect.Dx() / cellSide, h: small.Rect.Dy() / cellSide, side: f * cellSide,
		mm: float64(f*cellSide) * mmPerInch / float64(ppi), min: img.Rect.Min}
	n := g.w * g.h
	g.mean = make([]float32, n)
	xx, yy, xy := make([]float32, n), make([]float32, n), make([]float32, n)
	for cy := range g.h {
		for cx := range g.w {
			i := cy*g.w + cx
			g.mean[i], xx[i], yy[i], xy[i] = small.gradients(cx*cellSide, cy*cellSide)
		}
	}
	g.xx, g.yy, g.xy = g.spread(xx, 1), g.spread(yy, 1), g.spread(xy, 1)
	g.wxx, g.wyy, g.wxy = g.spread(xx, 2), g.spread(yy, 2), g.spread(xy, 2)
	g.amplitude = make([]float32, n)
	for i := range g.amplitude {
		g.amplitude[i] = float32(math.Sqrt(float64(g.xx[i] + g.yy[i])))
	}
	return g
}

func (g *glass) wipe() {
	for _, plane := range [][]float32{g.mean, g.xx, g.yy, g.xy, g.wxx, g.wyy, g.wxy, g.amplitude} {
		clear(plane)
	}
}

// small is a shrunk slap.
type small struct{ *image.Gray }

// shrink averages squares of f by f pixels, each without its lightest and its darkest: a speck leaves no trace.
func shrink(img *image.Gray, f int) small {
	w, h := img.Rect.Dx()/f, img.Rect.Dy()/f
	out := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		row := out.Pix[y*out.Stride : y*out.Stride+w]
		if f == 2 {
			at := img.PixOffset(img.Rect.Min.X, img.Rect.Min.Y+2*y)
			halve(row, img.Pix[at:at+2*w], img.Pix[at+img.Stride:at+img.Stride+2*w])
			continue
		}
		for x := range row {
			row[x] = trimmed(img, img.Rect.Min.X+x*f, img.Rect.Min.Y+y*f, f)
		}
	}
	return small{out}
}

// halve is shrink for two rows at a time.
func halve(dst, above, below []uint8) {
	above, below = above[:2*len(dst)], below[:2*len(dst)]
	for x := range dst {
		a, b, c, d := above[2*x], above[2*x+1], below[2*x], below[2*x+1]
		sum := int(a) + int(b) + int(c) + int(d)
		dst[x] = uint8((sum - int(min(a, b, c, d)) - int(max(a, b, c, d))) / 2)
	}
}

func trimmed(img *image.Gray, x, y, f int) uint8 {
	sum, lo, hi := 0, uint8(255), uint8(0)
	for j := range f {
		at := img.PixOffset(x, y+j)
		for _, p := range img.Pix[at : at+f] {
			sum += int(p)
			lo, hi = min(lo, p), max(hi, p)
		}
	}
	if f == 1 {
		return lo
	}
	return uint8((sum - int(lo) - int(hi)) / (f*f - 2))
}

// gradients measures the cell whose corner is (x0, y0): its mean, and the mean products of its central differences.
func (s small) gradients(x0, y0 int) (mean, xx, yy, xy float32) {
	var sum, sxx, syy, sxy int
	last := s.Stride * (s.Rect.Dy() - 1)
	for y := y0; y < y0+cellSide; y++ {
		at := y * s.Stride
		up, down := max(at-s.Stride, 0), min(at+s.Stride, last)
		for x := x0; x < x0+cellSide; x++ {
			left, right := max(x-1, 0), min(x+1, s.Stride-1)
			gx := int(s.Pix[at+right]) - int(s.Pix[at+left])
			gy := int(s.Pix[down+x]) - int(s.Pix[up+x])
			sum += int(s.Pix[at+x])
			sxx += gx * gx
			syy += gy * gy
			sxy += gx * gy
		}
	}
	const n = cellSide * cellSide
	return float32(sum) / n, float32(sxx) / n, float32(syy) / n, float32(sxy) / n
}

// spread averages a plane over squares that reach so many cells each way; beyond the border lies nothing.
func (g *glass) spread(plane []float32, reach int) []float32 {
	out, sums := make([]float32, len(plane)), make([]float32, len(plane))
	for y := range g.h {
		row, to := plane[y*g.w:(y+1)*g.w], sums[y*g.w:(y+1)*g.w]
		for x := range row {
			for _, v := range row[max(x-reach, 0):min(x+reach+1, g.w)] {
				to[x] += v
			}
		}
	}
	scale := 1 / float32((2*reach+1)*(2*reach+1))
	for y := range g.h {
		to := out[y*g.w : (y+1)*g.w]
		for j := max(y-reach, 0); j < min(y+reach+1, g.h); j++ {
			for x, v := range sums[j*g.w : (j+1)*g.w] {
				to[x] += v * scale
			}
		}
	}
	return out
}

// coherence is how far the gradients of a cell and its neighbours agree: 0 not at all, 1 wholly.
func (g *glass) coherence(i int) float64 {
	d, c := float64(g.xx[i]-g.yy[i]), 2*float64(g.xy[i])
	sum := float64(g.xx[i] + g.yy[i])
	if sum == 0 {
		return 0
	}
	return math.Sqrt(d*d+c*c) / sum
}

// Cells of skin differ from the bare glass by lively ridges, or by being dark where wet ridges run together. Between two
// fingers lies a line of cells that are as bright as the glass, even where ridges on both sides make them lively.
const (
	leastAmplitude = 9    // grey levels: below lie noise, smudges and ghosts of older prints
	noiseTimes     = 1.7  // of the noise on the bare glass
	amplitudeShare = 0.22 // of the liveliest cells
	leastDarkness  = 90   // grey levels below the glass
	darknessShare  = 0.12 // of the usual lively cell
	largestHole    = 10   // mm2, that is closed
)

// skin marks the cells that a finger touches.
func (g *glass) skin() []bool {
	if len(g.mean) == 0 {
		return nil
	}
	bare := percentile(g.mean, 0.8)
	still := max(leastAmplitude, noiseTimes*g.noise())
	lively := slices.DeleteFunc(slices.Clone(g.amplitude), func(a float32) bool { return a < still })
	if len(lively) == 0 {
		return make([]bool, len(g.mean))
	}
	least := max(still, amplitudeShare*percentile(lively, 0.85))
	var dark []float32
	for i, a := range g.amplitude {
		if a > least {
			dark = append(dark, bare-g.mean[i])
		}
	}
	leastDrop := float32(darknessShare)
	if len(dark) > 0 {
		leastDrop *= percentile(dark, 0.5)
	}
	raw := make([]float32, len(g.mean))
	for i := range raw {
		drop := bare - g.mean[i]
		if g.amplitude[i] > least && drop > leastDrop || drop > leastDarkness {
			raw[i] = 1
		}
	}
	mask := make([]bool, len(raw))
	for i, share := range g.spread(raw, 1) {
		mask[i] = share > 0.5
	}
	g.fill(mask)
	return mask
}

// noise is the usual amplitude of the brightest third of the cells.
func (g *glass) noise() float32 {
	bright := percentile(g.mean, 0.67)
	var bare []float32
	for i, m := range g.mean {
		if m >= bright {
			bare = append(bare, g.amplitude[i])
		}
	}
	return percentile(bare, 0.5)
}

func percentile(values []float32, share float64) float32 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return sorted[int(share*float64(len(sorted)-1))]
}

// fill closes small holes.
func (g *glass) fill(mask []bool) {
	seen := make([]bool, len(mask))
	var queue []int
	for start := range mask {
		if mask[start] || seen[start] {
			continue
		}
		queue = append(queue[:0], start)
		seen[start] = true
		border := false
		for k := 0; k < len(queue); k++ {
			i := queue[k]
			x, y := i%g.w, i/g.w
			border = border || x == 0 || y == 0 || x == g.w-1 || y == g.h-1
			g.around(i, func(j int) {
				if !mask[j] && !seen[j] {
					seen[j] = true
					queue = append(queue, j)
				}
			})
		}
		if !border && float64(len(queue))*g.mm*g.mm < largestHole {
			for _, i := range queue {
				mask[i] = true
			}
		}
	}
}

// around calls fn for the four neighbours of a cell.
func (g *glass) around(i int, fn func(j int)) {
	x := i % g.w
	if x > 0 {
		fn(i - 1)
	}
	if x < g.w-1 {
		fn(i + 1)
	}
	if i >= g.w {
		fn(i - g.w)
	}
	if i+g.w < g.w*g.h {
		fn(i + g.w)
	}
}

// depth is for each cell of a mask how far it lies from the outside, in thirds of a cell (chamfer 3-4). The border of the
// glass is no outside.
func (g *glass) depth(mask []bool) []int32 {
	far := int32(4 * (g.w + g.h)) // further than any cell can be
	d := make([]int32, len(mask))
	for i, in := range mask {
		if in {
			d[i] = far
		}
	}
	relax := func(i, j int, step int32) { d[i] = min(d[i], d[j]+step) }
	for i := range d {
		x := i % g.w
		if x > 0 {
			relax(i, i-1, 3)
		}
		if i >= g.w {
			relax(i, i-g.w, 3)
			if x > 0 {
				relax(i, i-g.w-1, 4)
			}
			if x < g.w-1 {
				relax(i, i-g.w+1, 4)
			}
		}
	}
	for i := len(d) - 1; i >= 0; i-- {
		x := i % g.w
		if x < g.w-1 {
			relax(i, i+1, 3)
		}
		if i+g.w < len(d) {
			relax(i, i+g.w, 3)
			if x < g.w-1 {
				relax(i, i+g.w+1, 4)
			}
			if x > 0 {
				relax(i, i+g.w-1, 4)
			}
		}
	}
	return d
}
