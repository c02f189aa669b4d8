package finger

import (
	"image"
	"math"
)

// region is where the finger lies, as NFIQ 2 finds it: the darker part after opening the ridges and blurring, twice, without
// holes, and of several parts the one with the largest box.
type region struct {
	inside []bool // by pixel, rows one after the other
	pixels int
	mean   float64           // grey level; 255 without pixels
	blocks []image.Rectangle // squares of blockSize, cut at the edges, that hold at least one pixel
}

// Kernels of the two Gaussian filters: pixels, and their standard deviation.
const (
	firstBlur, firstSigma   = 41, 6.5
	secondBlur, secondSigma = 91, 14
)

func findRegion(img *image.Gray) region {
	size := img.Rect.Size()
	buf := erode(img)
	defer clear(buf)
	threshold := func() {
		level := otsu(buf)
		for i, v := range buf {
			buf[i] = 0
			if v > level {
				buf[i] = 255
			}
		}
	}
	blur(buf, size, gaussian(firstBlur, firstSigma))
	threshold()
	blur(buf, size, gaussian(secondBlur, secondSigma))
	threshold()
	r := region{inside: largest(buf, size)}
	r.measure(img)
	return r
}

// measure counts the pixels and blocks.
func (r *region) measure(img *image.Gray) {
	size := img.Rect.Size()
	sum := 0
	across := (size.X + blockSize - 1) / blockSize
	held := make([]bool, across*((size.Y+blockSize-1)/blockSize))
	for y := range size.Y {
		row := img.Pix[y*img.Stride:][:size.X]
		for x, in := range r.inside[y*size.X:][:size.X] {
			if in {
				r.pixels++
				sum += int(row[x])
				held[y/blockSize*across+x/blockSize] = true
			}
		}
	}
	r.mean = 255
	if r.pixels > 0 {
		r.mean = float64(sum) / float64(r.pixels)
	}
	for i, b := range blocks(img.Rect) {
		if held[i] {
			r.blocks = append(r.blocks, b)
		}
	}
}

// blocks lists the squares of an image, row by row, cut at its edges.
func blocks(r image.Rectangle) []image.Rectangle {
	var list []image.Rectangle
	for y := r.Min.Y; y < r.Max.Y; y += blockSize {
		for x := r.Min.X; x < r.Max.X; x += blockSize {
			list = append(list, image.Rect(x, y, x+blockSize, y+blockSize).Intersect(r))
		}
	}
	return list
}

// erode gives each pixel the darkest grey level of the five by five around it.
func erode(img *image.Gray) []uint8 {
	size := img.Rect.Size()
	const reach = 2
	between, out := make([]uint8, size.X*size.Y), make([]uint8, size.X*size.Y)
	defer clear(between)
	for y := range size.Y {
		row, dst := img.Pix[y*img.Stride:][:size.X], between[y*size.X:][:size.X]
		copy(dst, row)
		for by := 1; by <= min(reach, size.X-1); by++ {
			for x, v := range row[by:] {
				dst[x] = min(dst[x], v)
			}
			for x, v := range row[:size.X-by] {
				dst[x+by] = min(dst[x+by], v)
			}
		}
	}
	copy(out, between)
	for y := range size.Y {
		dst := out[y*size.X:][:size.X]
		for from := max(y-reach, 0); from <= min(y+reach, size.Y-1); from++ {
			for x, v := range between[from*size.X:][:size.X] {
				dst[x] = min(dst[x], v)
			}
		}
	}
	return out
}

// gaussian is a filter kernel in fractions of 256 that adds up to 256: each weight takes over what rounding left of the one
// before, and the middle takes the rest.
func gaussian(size int, sigma float64) []int {
	list, whole := make([]float64, size), 0.0
	for i := range list {
		d := float64(i - size/2)
		list[i] = math.Exp(-d * d / (2 * sigma * sigma))
		whole += list[i]
	}
	kernel := make([]int, size)
	left, sum := 0.0, 0
	for i := range size / 2 {
		v := list[i]/whole*256 + left
		w := int(math.RoundToEven(v))
		left = v - float64(w)
		kernel[i], kernel[size-1-i] = w, w
		sum += 2 * w
	}
	kernel[size/2] = 256 - sum
	return kernel
}

// blur filters an image along both axes and rounds once, at the end. Beyond its edges the image goes on mirrored, the
// outermost pixel not repeated.
//
// The kernel is not applied weight by weight: where it moves on by a pixel, the sum changes by the few places at which
// neighbouring weights differ. Down the columns, four sums share a word; along the rows, two.
func blur(pix []uint8, size image.Point, kernel []int) {
	words := (size.X + 3) / 4
	between := blurDown(pix, size, words, kernel)
	defer clear(between)
	steps, reach := changesOf(kernel), len(kernel)/2
	line := make([]uint64, size.X+2*reach+1)
	defer clear(line)
	for y := 0; y < size.Y; y += 2 {
		upper := between[y*words:][:words]
		lower := upper
		if y+1 < size.Y {
			lower = between[(y+1)*words:][:words]
		}
		for i := range line {
			x := mirror(i-reach-1, size.X)
			s := x % 4 * 16
			line[i] = upper[x/4]>>s&0xffff | lower[x/4]>>s&0xffff<<32
		}
		var sum uint64
		for i, w := range kernel {
			sum += uint64(w) * line[i]
		}
		for x := range size.X {
			for _, s := range steps {
				sum += s.by * line[x+s.at]
			}
			v := sum + 1<<15 + 1<<47
			pix[y*size.X+x] = uint8(v >> 16)
			if y+1 < size.Y {
				pix[(y+1)*size.X+x] = uint8(v >> 48)
			}
		}
	}
}

// blurDown filters down the columns; four columns share a word, 16 bits each.
func blurDown(pix []uint8, size image.Point, words int, kernel []int) []uint64 {
	packed, out := make([]uint64, words*size.Y), make([]uint64, words*size.Y)
	defer clear(packed)
	for y := range size.Y {
		for x, v := range pix[y*size.X:][:size.X] {
			packed[y*words+x/4] |= uint64(v) << (x % 4 * 16)
		}
	}
	row := func(y int) []uint64 { return packed[mirror(y, size.Y)*words:][:words] }
	reach := len(kernel) / 2
	sums := make([]uint64, words)
	defer clear(sums)
	add := func(weight uint64, from []uint64) {
		for i, v := range from {
			sums[i] += weight * v
		}
	}
	for i, w := range kernel {
		add(uint64(w), row(i-reach-1))
	}
	steps := changesOf(kernel)
	for y := range size.Y {
		for _, s := range steps {
			add(s.by, row(y+s.at-reach-1))
		}
		copy(out[y*words:][:words], sums)
	}
	return out
}

// step is a place of a kernel at which it differs from itself moved on by one, and by how much, modulo 2^64.
type step struct {
	at int
	by uint64
}

func changesOf(kernel []int) []step {
	var list []step
	for i := range len(kernel) + 1 {
		by := 0
		if i < len(kernel) {
			by -= kernel[i]
		}
		if i > 0 {
			by += kernel[i-1]
		}
		if by != 0 {
			list = append(list, step{i, uint64(by)})
		}
	}
	return list
}

// mirror brings a position beyond a line's ends back into it.
func mirror(i, size int) int {
	if size == 1 {
		return 0
	}
	for i < 0 || i >= size {
		if i < 0 {
			i = -i
		} else {
			i = 2*size - 2 - i
		}
	}
	return i
}

// otsu is the grey level that parts pixels into two classes whose means lie furthest apart for their sizes (Otsu 1979).
func otsu(pix []uint8) uint8 {
	var counts [256]int
	for _, v := range pix {
		counts[v]++
	}
	scale := 1 / float64(len(pix))
	all := 0.0
	for i, n := range counts {
		all += float64(i) * float64(n)
	}
	all *= scale
	const least = 0x1p-23
	var level, mean, share, most float64
	for i, n := range counts {
		p := float64(n) * scale
		mean *= share
		share += p
		other := 1 - share
		if min(share, other) < least || max(share, other) > 1-least {
			continue
		}
		mean = (mean + float64(i)*p) / share
		apart := mean - (all-share*mean)/other
		if v := share * other * apart * apart; v > most {
			most, level = v, float64(i)
		}
	}
	return uint8(level)
}

// largest closes the holes of what is black and keeps of its parts the one whose box is largest; of equals the first.
func largest(pix []uint8, size image.Point) []bool {
	p := parts{of: make([]int32, len(pix)), size: size}
	for x := range size.X {
		p.fill(pix, x, 255, outside)
		p.fill(pix, x+(size.Y-1)*size.X, 255, outside)
	}
	for y := range size.Y {
		p.fill(pix, y*size.X, 255, outside)
		p.fill(pix, y*size.X+size.X-1, 255, outside)
	}
	for i, v := range pix {
		if v == 255 && p.of[i] != outside {
			pix[i] = 0
		}
	}
	best, most := int32(0), 0
	for i := range pix {
		if box := p.fill(pix, i, 0, int32(i)+1); box.Dx()*box.Dy() > most {
			best, most = int32(i)+1, box.Dx()*box.Dy()
		}
	}
	inside := make([]bool, len(pix))
	for i, part := range p.of {
		inside[i] = part == best && best != 0
	}
	return inside
}

// outside marks what is joined to an edge of the image without being black.
const outside = -1

// parts names, by pixel, the part to which it belongs; zero for none yet.
type parts struct {
	of    []int32
	size  image.Point
	stack []int32
}

// fill names the part that holds a pixel, joined over the sides of pixels of the same level, and returns its box. It does
// nothing where the pixel has another level or a name.
func (p *parts) fill(pix []uint8, at int, level uint8, name int32) image.Rectangle {
	var box image.Rectangle
	visit := func(i int) {
		if pix[i] == level && p.of[i] == 0 {
			p.of[i] = name
			p.stack = append(p.stack, int32(i))
		}
	}
	visit(at)
	for len(p.stack) > 0 {
		i := int(p.stack[len(p.stack)-1])
		p.stack = p.stack[:len(p.stack)-1]
		x, y := i%p.size.X, i/p.size.X
		box = box.Union(image.Rect(x, y, x+1, y+1))
		if x > 0 {
			visit(i - 1)
		}
		if x < p.size.X-1 {
			visit(i + 1)
		}
		if y > 0 {
			visit(i - p.size.X)
		}
		if y < p.size.Y-1 {
			visit(i + p.size.X)
		}
	}
	return box
}
