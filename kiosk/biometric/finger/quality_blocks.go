package finger

import (
	"image"
	"math"
	"math/bits"
	"math/cmplx"
)

// Sizes of ISO/IEC 29794-4:2024 at 500 pixels an inch, in pixels.
const (
	blockSize   = 32 // of a local region, a square
	slantLong   = 32 // of the region that is turned upright, across the ridges
	slantWide   = 16 // of the same, along the ridges
	blockMargin = 2  // between a region and the image's edge, so that it can be turned
	blockFrame  = blockSize + 2*blockMargin
)

// covariance is that of the grey-level gradients in a region: mean squares across and down, and mean product.
type covariance struct{ xx, yy, xy float64 }

// gradients measures a region. Differences are central, and one-sided at the region's own edges.
func gradients(img *image.Gray, r image.Rectangle) covariance {
	var xx, yy, xy int
	w, h := r.Dx(), r.Dy()
	for y := range h {
		at := img.PixOffset(r.Min.X, r.Min.Y+y)
		row := img.Pix[at : at+w]
		up, down, twice := at, at, 1
		if y > 0 {
			up -= img.Stride
		}
		if y < h-1 {
			down += img.Stride
		}
		if y == 0 || y == h-1 {
			twice = 2
		}
		above, below := img.Pix[up:up+w], img.Pix[down:down+w]
		for x := range row {
			gx := 0
			switch {
			case x > 0 && x < w-1:
				gx = int(row[x+1]) - int(row[x-1])
			case w > 1:
				left := min(x, w-2)
				gx = 2 * (int(row[left+1]) - int(row[left]))
			}
			gy := twice * (int(below[x]) - int(above[x]))
			xx += gx * gx
			yy += gy * gy
			xy += gx * gy
		}
	}
	n := float64(4 * w * h)
	return covariance{float64(xx) / n, float64(yy) / n, float64(xy) / n}
}

// spread is the difference of the eigenvalues.
func (c covariance) spread() float64 {
	return math.Sqrt((c.xx-c.yy)*(c.xx-c.yy) + 4*c.xy*c.xy)
}

// certainty is 1 less the ratio of the eigenvalues; ok is false for a region without any gradient.
func (c covariance) certainty() (level float64, ok bool) {
	largest, least := (c.xx+c.yy+c.spread())/2, (c.xx+c.yy-c.spread())/2
	if largest == 0 {
		return 0, false
	}
	return 1 - least/largest, true
}

// coherence is how far the gradients of a region agree, 0 to 1.
func (c covariance) coherence() float64 {
	if c.xx+c.yy == 0 {
		return 0
	}
	return c.spread() / (c.xx + c.yy)
}

// epsilon is the distance of 1 to the next number.
const epsilon = 0x1p-52

// orientation is the angle by which NFIQ 2 turns a region, in radians, -π/2 to π/2: it takes the product for that of the double
// angle, so that it is not quite the one across the ridges.
func (c covariance) orientation() float64 {
	d := c.xx - c.yy
	n := float64(c.xy*c.xy) + float64(d*d) + epsilon
	return math.Atan2(c.xy/n, d/n) / 2
}

// slant is a region turned so that its ridges stand upright: rows of slantLong pixels across the ridges.
type slant [slantWide][slantLong]uint8

// frame says how NFIQ 2 turns a square of blockFrame pixels: by an angle in radians about the centre of a frame that is wider than
// the square by border on each side, and without moving the result back. The frame shows the image as far as it reaches, and
// black beyond. Its columns become a slant's where lying is true, else its rows.
type frame struct {
	angle  float64
	border int
	lying  bool
}

// turn takes the middle of such a square whose corner is at x, y of the image. Pixels are the nearest; those from outside the
// frame are black.
func (f frame) turn(img *image.Gray, x, y int, dst *slant) {
	t := turning(f.angle, float64(blockFrame/2+f.border))
	var byColumn, byRow [blockFrame][2]int
	for i := range blockFrame {
		v := float64(i)
		byColumn[i] = [2]int{fixed(t.xx * v), fixed(t.yx * v)}
		byRow[i] = [2]int{fixed(float64(t.xy*v)+t.x) + half, fixed(float64(t.yy*v)+t.y) + half}
	}
	long, wide := &byColumn, &byRow
	if f.lying {
		long, wide = wide, long
	}
	known := image.Rect(x, y, x+blockFrame, y+blockFrame).Inset(-f.border).Intersect(img.Rect)
	for j := range dst {
		from := wide[j+(blockFrame-slantWide)/2]
		for i := range dst[j] {
			by := long[i+(blockFrame-slantLong)/2]
			p := image.Pt(x+(from[0]+by[0])>>fraction-f.border, y+(from[1]+by[1])>>fraction-f.border)
			dst[j][i] = 0
			if p.In(known) {
				dst[j][i] = img.Pix[img.PixOffset(p.X, p.Y)]
			}
		}
	}
}

// Positions are fractions of 1<<fraction pixels while a region is turned.
const (
	fraction = 10
	half     = 1 << (fraction - 1)
)

func fixed(v float64) int { return int(math.RoundToEven(v * (1 << fraction))) }

// affine takes a point of the turned region to where it comes from.
type affine struct{ xx, xy, x, yx, yy, y float64 }

// turning turns by an angle in radians about a centre that lies on the diagonal.
func turning(angle, centre float64) affine {
	degrees := angle * (180 / math.Pi)
	s, c := math.Sincos(degrees * (math.Pi / 180))
	x := float64((1-c)*centre) - float64(s*centre)
	y := float64(s*centre) + float64((1-c)*centre)
	d := 1 / (float64(c*c) + float64(s*s))
	t := affine{xx: c * d, xy: -s * d, yx: s * d, yy: c * d}
	t.x = -float64(t.xx*x) - float64(t.xy*y)
	t.y = -float64(t.yx*x) - float64(t.yy*y)
	return t
}

// ridgeLine tells ridges from valleys along a slant: a column darker than the straight line through all columns is a ridge.
type ridgeLine struct {
	ridge [slantLong]bool
	line  [slantLong]float64
}

func (s *slant) ridges() (r ridgeLine) {
	var means [slantLong]float64
	for i := range means {
		sum := 0
		for j := range s {
			sum += int(s[j][i])
		}
		means[i] = float64(sum) / slantWide
	}
	slope, intercept := regression(&means)
	for i := range r.line {
		r.line[i] = float64(float64(i+1)*slope) + intercept
		r.ridge[i] = means[i] < r.line[i]
	}
	return r
}

// regression fits a straight line to values at 1, 2, 3, …; to ten decimals, so that what lies on the line is decided the same
// everywhere.
func regression(v *[slantLong]float64) (slope, intercept float64) {
	const middle = (slantLong + 1) / 2.0
	var mean, product, square float64
	for i, y := range v {
		x := float64(i+1) - middle
		mean += y
		product += x * y
		square += x * x
	}
	mean /= slantLong
	slope = product / square
	return decimals(slope), decimals(mean - float64(slope*middle))
}

func decimals(v float64) float64 { return math.Round(v*1e10) / 1e10 }

// changes lists the columns after which ridge and valley change, counted from zero and less one as NFIQ 2 does.
func (r *ridgeLine) changes(end int) []int {
	list := make([]int, 0, slantLong)
	for i := 1; i < end; i++ {
		if r.ridge[i] != r.ridge[i-1] {
			list = append(list, i-1)
		}
	}
	return list
}

// clarity is the local clarity score of a slant, 0 to 1: how few of its pixels lie on the wrong side of the line. A slant whose
// ridges or valleys are too narrow or too wide on average has none.
func (s *slant) clarity() float64 {
	r := s.ridges()
	changes := r.changes(slantLong)
	if len(changes) == 0 {
		return 0
	}
	var widths [2][]float64 // of valleys, of ridges
	for i, at := range changes {
		w := at
		if i > 0 {
			w -= changes[i-1]
		}
		kind := i % 2
		if r.ridge[0] {
			kind = 1 - kind
		}
		widths[kind] = append(widths[kind], float64(w)/widthScale)
	}
	valley, ridge := mean(widths[0]), mean(widths[1])
	if ridge < 3/widthScale || ridge > 10/widthScale || valley < 2/widthScale || valley > 10/widthScale {
		return 0
	}
	return 1 - (s.wrong(&r, false)+s.wrong(&r, true))/2
}

// widthScale is the width, in pixels, that is taken for 1: five pixels at 125 pixels an inch.
const widthScale = 20.0

// wrong is the share of pixels in the ridges, or in the valleys, that lie on the other's side of the line.
func (s *slant) wrong(r *ridgeLine, ridges bool) float64 {
	all, wrong := 0, 0
	for i, ridge := range r.ridge {
		if ridge != ridges {
			continue
		}
		for j := range s {
			all++
			if (float64(s[j][i]) >= r.line[i]) == ridges {
				wrong++
			}
		}
	}
	return float64(wrong) / float64(all)
}

// mean adds up as OpenCV does, so that a mean that should equal a limit falls on the same side of it.
func mean(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sum, i := 0.0, 0
	for ; i+4 <= len(v); i += 4 {
		sum += v[i] + v[i+1] + v[i+2] + v[i+3]
	}
	for ; i < len(v); i++ {
		sum += v[i]
	}
	return sum * (1 / float64(len(v)))
}

// ratios appends the ratios of ridge to valley width of a slant, from its end to its beginning. The widths that the slant's
// edges cut are left out, and with them the first whole one.
func (s *slant) ratios(list []float64) []float64 {
	r := s.ridges()
	changes := r.changes(slantLong - 1)
	if len(changes) < 4 {
		return list
	}
	first := changes[0] + 1
	invert := r.ridge[first]
	for i := len(changes) - 1; i > 2; i-- {
		ratio := float64(changes[i]-changes[i-1]) / float64(changes[i-1]-changes[i-2])
		odd := (len(changes)-1-i)%2 == 1
		if odd == invert {
			ratio = 1 / ratio
		}
		list = append(list, ratio)
	}
	return list
}

// periodicity is the frequency domain analysis of a slant, 0 to 1: how much of the spectrum of its profile lies in its strongest
// wave and the two beside it.
func (s *slant) periodicity() float64 {
	var profile [slantLong]complex128
	for i := range profile {
		sum := 0
		for j := range s {
			sum += int(s[j][i])
		}
		profile[i] = complex(float64(sum)/slantWide, 0)
	}
	spectrum := fourier(profile)
	var waves [slantLong/2 + 2]float64 // from one wave in the slant on
	strongest, sum := 0, 0.0
	for i := range waves {
		waves[i] = cmplx.Abs(spectrum[i+1])
		if i < slantLong/2 && waves[i] > waves[strongest] {
			strongest = i
		}
		if i < slantLong/2-1 {
			sum += waves[i]
		}
	}
	if strongest == 0 {
		return 1
	}
	return (waves[strongest] + 0.3*(waves[strongest-1]+waves[strongest+1])) / sum
}

// fourier is the discrete Fourier transform. What is constant has no waves at all, not even by rounding.
func fourier(v [slantLong]complex128) [slantLong]complex128 {
	for n := slantLong; n > 1; n /= 2 {
		for i := range n / 2 {
			s, c := math.Sincos(2 * math.Pi * float64(i) / float64(n))
			for at := i; at < slantLong; at += n {
				a, b := v[at], v[at+n/2]
				v[at], v[at+n/2] = a+b, (a-b)*complex(c, -s)
			}
		}
	}
	var out [slantLong]complex128
	for i := range v {
		out[bits.Reverse8(uint8(i))>>3] = v[i]
	}
	return out
}
