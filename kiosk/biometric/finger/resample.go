package finger

import (
	"image"
	"math"
)

// lobes is how far the filter reaches: three zeros of the sinc on each side (Lanczos).
const lobes = 3

// Weights are fractions of 1<<weightBits; what lies between the two passes has extraBits more than a pixel.
const (
	weightBits = 14
	extraBits  = 6
)

// Resample brings an image from one scale to a coarser one, both in pixels an inch: a low-pass filter below the new scale's
// limit, then fewer pixels. Beyond its edges the image goes on as its outermost pixels. Pixels are summed up in integers. It
// reads img only; from is not less than to.
func Resample(img *image.Gray, from, to int) *image.Gray {
	size := img.Rect.Size()
	columns, rows := kernels(size.X, from, to), kernels(size.Y, from, to)
	between := make([]int32, len(columns)*size.Y)
	defer clear(between)
	for y := range size.Y {
		narrow(between[y*len(columns):][:len(columns)], img.Pix[y*img.Stride:][:size.X], columns)
	}
	out := image.NewGray(image.Rect(0, 0, len(columns), len(rows)))
	sums := make([]int32, len(columns))
	defer clear(sums)
	for y, k := range rows {
		clear(sums)
		for i, w := range k.weights {
			for x, v := range between[k.at(i, size.Y)*len(columns):][:len(columns)] {
				sums[x] += w * v
			}
		}
		for x, sum := range sums {
			out.Pix[y*out.Stride+x] = uint8(min(max((sum+1<<(weightBits+extraBits-1))>>(weightBits+extraBits), 0), 255))
		}
	}
	return out
}

// narrow makes a line of the coarser image, with extraBits more than a pixel has.
func narrow(out []int32, row []uint8, columns []kernel) {
	for x, k := range columns {
		var sum int32
		if k.first >= 0 && k.first+len(k.weights) <= len(row) {
			near := row[k.first:][:len(k.weights)]
			for i, w := range k.weights {
				sum += w * int32(near[i])
			}
		} else {
			for i, w := range k.weights {
				sum += w * int32(row[k.at(i, len(row))])
			}
		}
		out[x] = (sum + 1<<(weightBits-extraBits-1)) >> (weightBits - extraBits)
	}
}

// kernel makes one pixel of the coarser image.
type kernel struct {
	first   int // pixel of the finer image; may lie beyond its edge
	weights []int32
}

// at is the pixel of weight i in a line of so many pixels.
func (k kernel) at(i, size int) int { return min(max(k.first+i, 0), size-1) }

// kernels makes those of a line of so many pixels.
func kernels(size, from, to int) []kernel {
	ratio := float64(from) / float64(to)
	list := make([]kernel, max(scaled(size, from, to), 1))
	for i := range list {
		centre := (float64(i)+0.5)*ratio - 0.5
		first := int(math.Ceil(centre - lobes*ratio))
		last := int(math.Floor(centre + lobes*ratio))
		list[i] = kernel{first: first, weights: weights(first, last, centre, ratio)}
	}
	return list
}

// weights are those of pixels first to last for one that lies at centre. They add up to one.
func weights(first, last int, centre, ratio float64) []int32 {
	values := make([]float64, last-first+1)
	total := 0.0
	for i := range values {
		values[i] = lanczos((float64(first+i) - centre) / ratio)
		total += values[i]
	}
	list := make([]int32, len(values))
	left, most := int32(1<<weightBits), 0
	for i, v := range values {
		list[i] = int32(math.Round(v / total * (1 << weightBits)))
		if left -= list[i]; list[i] > list[most] {
			most = i
		}
	}
	list[most] += left
	return list
}

// lanczos is the sinc under the sinc that is zero at its third zero.
func lanczos(x float64) float64 {
	switch {
	case x == 0:
		return 1
	case math.Abs(x) >= lobes:
		return 0
	}
	x *= math.Pi
	return lobes * math.Sin(x) * math.Sin(x/lobes) / (x * x)
}

// scaled brings a length to another scale, to the nearest pixel.
func scaled(length, from, to int) int {
	return int((2*int64(length)*int64(to) + int64(from)) / (2 * int64(from)))
}
