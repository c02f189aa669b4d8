package finger

import (
	"image"
	"math"
)

// workPPI is the scale at which ridges are followed: about 4.5 px from ridge to ridge.
const workPPI = 250

// plane is a picture at workPPI.
type plane struct {
	w, h int
	v    []float32
}

func newPlane(w, h int) plane { return plane{w, h, make([]float32, w*h)} }

// prepared is an image ready for its ridges to be followed.
type prepared struct {
	ridges plane // ridges positive, mean 0, deviation about 1 around every point of the finger; 0 elsewhere
	depth  plane // px to the nearest point that is not finger; 0 there
}

func (p prepared) wipe() {
	clear(p.ridges.v)
	clear(p.depth.v)
}

// Reaches of the means that find the finger and level it, px at workPPI.
const (
	maskReach  = 6
	levelReach = 8
)

// normalise brings an image to workPPI, finds the finger in it, and levels ink and contrast.
func normalise(img *image.Gray, ppi int) prepared {
	p := prepared{ridges: reduce(img, ppi)}
	finger := mask(p.ridges)
	mean, deviation := level(p.ridges, finger, levelReach)
	for i, in := range finger.v {
		const faint, most = 4, 2.5 // grey levels; deviations
		v := in * (p.ridges.v[i] - mean.v[i]) / (deviation.v[i] + faint)
		p.ridges.v[i] = min(max(v, -most), most)
	}
	p.depth = depth(finger)
	clear(mean.v)
	clear(deviation.v)
	return p
}

// fill is a plane like p of one value.
func fill(p plane, v float32) plane {
	out := newPlane(p.w, p.h)
	for i := range out.v {
		out.v[i] = v
	}
	return out
}

// reduce brings an image to workPPI and turns it over: ink is positive.
func reduce(img *image.Gray, ppi int) plane {
	small := Resample(img, ppi, workPPI)
	defer clear(small.Pix)
	out := newPlane(small.Rect.Dx(), small.Rect.Dy())
	for i := range out.v {
		out.v[i] = float32(255 - int(small.Pix[i]))
	}
	return out
}

// level returns mean and standard deviation around every point, over the points of in (1 or 0) alone.
func level(p, in plane, reach int) (mean, deviation plane) {
	weight := box(in, reach)
	defer clear(weight.v)
	masked, squares := newPlane(p.w, p.h), newPlane(p.w, p.h)
	for i, v := range p.v {
		masked.v[i] = v * in.v[i]
		squares.v[i] = v * v * in.v[i]
	}
	mean, deviation = box(masked, reach), box(squares, reach)
	clear(masked.v)
	clear(squares.v)
	for i, n := range weight.v {
		if n <= 0 {
			mean.v[i], deviation.v[i] = 0, 0
			continue
		}
		m := mean.v[i] / n
		mean.v[i] = m
		deviation.v[i] = float32(math.Sqrt(float64(max(deviation.v[i]/n-m*m, 0))))
	}
	return mean, deviation
}

// box adds up the square of 2 reach + 1 around every point; beyond the edges is nothing.
func box(p plane, reach int) plane {
	rows, out := newPlane(p.w, p.h), newPlane(p.w, p.h)
	defer clear(rows.v)
	for y := range p.h {
		slide(rows.v[y*p.w:], p.v[y*p.w:], p.w, 1, reach)
	}
	for x := range p.w {
		slide(out.v[x:], rows.v[x:], p.h, p.w, reach)
	}
	return out
}

// slide adds up n values, step apart, in a window of 2 reach + 1.
func slide(out, in []float32, n, step, reach int) {
	var sum float64
	for i := range min(reach, n) {
		sum += float64(in[i*step])
	}
	for i := range n {
		if i+reach < n {
			sum += float64(in[(i+reach)*step])
		}
		if i-reach > 0 {
			sum -= float64(in[(i-reach-1)*step])
		}
		out[i*step] = float32(sum)
	}
}

// mask is 1 where p varies as ridges do, compared with its liveliest tenth, and 0 elsewhere. What is surrounded by ridges counts
// as ridges.
func mask(p plane) plane {
	mean, deviation := level(p, fill(p, 1), maskReach)
	defer clear(mean.v)
	defer clear(deviation.v)
	least := max(0.3*quantile(deviation, 0.9), 5)
	out := newPlane(deviation.w, deviation.h)
	for i, d := range deviation.v {
		if d >= least {
			out.v[i] = 1
		}
	}
	const half = 0.5 * (2*maskReach + 1) * (2*maskReach + 1)
	for i, n := range box(out, maskReach).v {
		out.v[i] = 0
		if n >= half {
			out.v[i] = 1
		}
	}
	return out
}

// quantile is the value that a share q of p, whose values lie between 0 and 255, doesn't exceed.
func quantile(p plane, q float64) float32 {
	var counts [256]int
	for _, v := range p.v {
		counts[min(max(int(v), 0), 255)]++
	}
	left := int(q * float64(len(p.v)))
	for v, n := range counts {
		if left -= n; left < 0 {
			return float32(v)
		}
	}
	return 255
}

// depth is the distance of every point of in (1 or 0) from what is not in it, or beyond the edge: the 3-4 chamfer distance,
// in px.
func depth(in plane) plane {
	const far = 1 << 20
	out := newPlane(in.w, in.h)
	at := func(x, y int) float32 {
		if x < 0 || y < 0 || x >= in.w || y >= in.h {
			return 0
		}
		return out.v[y*in.w+x]
	}
	for i, v := range in.v {
		out.v[i] = v * far
	}
	for y := range in.h {
		for x := range in.w {
			v := min(at(x-1, y-1)+4, at(x, y-1)+3, at(x+1, y-1)+4, at(x-1, y)+3)
			out.v[y*in.w+x] = min(out.v[y*in.w+x], v)
		}
	}
	for y := in.h - 1; y >= 0; y-- {
		for x := in.w - 1; x >= 0; x-- {
			v := min(at(x-1, y+1)+4, at(x, y+1)+3, at(x+1, y+1)+4, at(x+1, y)+3)
			out.v[y*in.w+x] = min(out.v[y*in.w+x], v)
		}
	}
	for i := range out.v {
		out.v[i] /= 3
	}
	return out
}
