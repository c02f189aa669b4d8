package synth

import (
	"math"
)

// field is a plane of ridge values: 1 on a ridge, -1 in a valley, 0 where nothing has grown.
type field struct {
	w, h int
	v    []float32
}

func newField(w, h int) *field { return &field{w: w, h: h, v: make([]float32, w*h)} }

// at samples the field between its points; outside it is -1, valley.
func (f *field) at(x, y float32) float32 {
	if !(x >= 0 && y >= 0 && x < float32(f.w-1) && y < float32(f.h-1)) {
		return -1
	}
	ix, iy := int(x), int(y)
	tx, ty := x-float32(ix), y-float32(iy)
	row := f.v[iy*f.w+ix:]
	below := f.v[(iy+1)*f.w+ix:]
	return lerp(lerp(row[0], row[1], tx), lerp(below[0], below[1], tx), ty)
}

// The filter bank has this many directions and periods.
const (
	directions = 64
	periods    = 12
	minPeriod  = 7.4 // px at 500 ppi
	maxPeriod  = 11.4
)

// bank holds one ridge filter for each direction and period: a cosine across the ridge under a round Gaussian, without a
// mean and with absolute weights that sum to one.
type bank struct {
	radius int
	taps   [][]float32 // directions x periods filters of (2 radius + 1) squared
}

// newBank makes the filters for ridges that are scale times as far apart as at 500 ppi.
func newBank(radius int, scale float64) bank {
	b := bank{radius: radius}
	for d := range directions {
		for p := range periods {
			period := scale * (minPeriod + (maxPeriod-minPeriod)*float64(p)/(periods-1))
			b.taps = append(b.taps, ridgeFilter(radius, math.Pi*float64(d)/directions, period))
		}
	}
	return b
}

func ridgeFilter(radius int, direction, period float64) []float32 {
	side := 2*radius + 1
	taps := make([]float64, side*side)
	sin, cos := math.Sincos(direction)
	s := 0.42 * period
	var sum, weight float64
	for i := range taps {
		x, y := float64(i%side-radius), float64(i/side-radius)
		across := x*sin + y*cos // y runs downwards
		g := math.Exp(-(x*x + y*y) / (2 * s * s))
		taps[i] = g * math.Cos(2*math.Pi*across/period)
		sum += taps[i]
		weight += g
	}
	var l1 float64
	for i := range taps {
		x, y := float64(i%side-radius), float64(i/side-radius)
		taps[i] -= sum / weight * math.Exp(-(x*x+y*y)/(2*s*s))
		l1 += math.Abs(taps[i])
	}
	out := make([]float32, len(taps))
	for i := range taps {
		out[i] = float32(taps[i] / l1)
	}
	return out
}

// choose returns, for each point of a plane of w by h that is scaled down by shrink, which filter of a bank grows its
// ridges.
func (fl flow) choose(w, h int, shrink float64) []uint16 {
	out := make([]uint16, w*h)
	for i := range out {
		x, y := float64(i%w)*shrink, float64(i/w)*shrink
		d := int(math.Round(fl.orientation(x, y)/math.Pi*directions)) % directions
		p := int(math.Round((fl.periodAt(x, y) - minPeriod) / (maxPeriod - minPeriod) * (periods - 1)))
		out[i] = uint16(d*periods + min(max(p, 0), periods-1))
	}
	return out
}

// grow runs one round of the filters over f into next and returns the share of points that are ridge or valley by now and
// the mean squared change.
func (b bank) grow(f, next *field, which []uint16) (active, change float64) {
	const gain = 6
	side := 2*b.radius + 1
	padded, stride := f.padded(b.radius)
	var n int
	var sum float64
	for y := range f.h {
		for x := range f.w {
			i := y*f.w + x
			taps := b.taps[which[i]]
			var acc float32
			for row := range side {
				acc += dot(taps[row*side:(row+1)*side], padded[(y+row)*stride+x:])
			}
			v := clamp(gain*acc, -1, 1)
			if v > 0.5 || v < -0.5 {
				n++
			}
			d := float64(v - f.v[i])
			sum += d * d
			next.v[i] = v
		}
	}
	total := float64(len(f.v))
	return float64(n) / total, sum / total
}

// dot multiplies a row of taps with the values that follow.
func dot(taps, values []float32) float32 {
	values = values[:len(taps)]
	var a, b float32
	i := 0
	for ; i+1 < len(taps); i += 2 {
		a += taps[i] * values[i]
		b += taps[i+1] * values[i+1]
	}
	return a + b + taps[i]*values[i] // the number of taps is odd
}

// padded returns f with a border in which the outermost values go on.
func (f *field) padded(border int) (values []float32, stride int) {
	stride = f.w + 2*border
	values = make([]float32, stride*(f.h+2*border))
	for y := range f.h + 2*border {
		row := values[y*stride : (y+1)*stride]
		from := f.v[min(max(y-border, 0), f.h-1)*f.w:][:f.w]
		copy(row[border:], from)
		for i := range border {
			row[i], row[stride-1-i] = from[0], from[f.w-1]
		}
	}
	return values, stride
}

// ridges grows the master pattern of a finger: some dots on an empty plane, then rounds of filters until ridges fill it. It
// grows at half the scale, where a round costs a sixteenth, and sharpens at full scale. Minutiae arise by themselves
// where growing ridges meet.
func ridges(f Finger) (*field, error) {
	fl, err := newFlow(f)
	if err != nil {
		return nil, err
	}
	const seeds, maxRounds, sharpen = 120, 60, 3
	w, h := FingerWidth/2, FingerHeight/2
	small, next := newField(w, h), newField(w, h)
	r := newRand(f.Seed, 's')
	for range seeds {
		small.v[(1+r.IntN(h-2))*w+1+r.IntN(w-2)] = 1
	}
	coarse, which := newBank(7, 0.5), fl.choose(w, h, 2)
	for range maxRounds {
		active, change := coarse.grow(small, next, which)
		small, next = next, small
		if active > 0.9 && change < 0.002 {
			break
		}
	}
	full, next := newField(FingerWidth, FingerHeight), newField(FingerWidth, FingerHeight)
	for i := range full.v {
		x, y := float32(i%FingerWidth)/2, float32(i/FingerWidth)/2
		full.v[i] = small.at(min(x, float32(w)-1.01), min(y, float32(h)-1.01))
	}
	fine, which := newBank(11, 1), fl.choose(FingerWidth, FingerHeight, 1)
	for range sharpen {
		fine.grow(full, next, which)
		full, next = next, full
	}
	return full, nil
}
