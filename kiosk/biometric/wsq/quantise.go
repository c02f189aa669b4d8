package wsq

import "math"

// variances measures the subbands that may be kept (part 3, 3.1): in their middle, or as a whole where little is in the middle.
func variances(l *layout, plane []float32, pitch int) (v [keptSubbands]float32) {
	part := middle
	var sum float32
	for _, r := range l.bands[:finest] {
		sum += variance(plane, pitch, middle(r))
	}
	if sum < flatPicture {
		part = func(r rect) rect { return r }
	}
	for i, r := range l.bands[:keptSubbands] {
		v[i] = variance(plane, pitch, part(r))
	}
	return v
}

// The first subbands, which hold what is coarse, come before finest. Where the sum of their variances is less than flatPicture,
// the picture has little in its middle.
const (
	finest      = 4
	flatPicture = 20000
)

// middle is the part of a subband where the finger is, unless there is next to nothing of it.
func middle(r rect) rect {
	if r.w < 4 || r.h < 4 {
		return r
	}
	return rect{r.x + r.w/8, r.y + 9*r.h/32, 3 * r.w / 4, 7 * r.h / 16}
}

// variance sums up in single precision, as all of the format does: that decides which bins come out.
func variance(plane []float32, pitch int, r rect) float32 {
	var sum, squares float32
	for y := r.y; y < r.y+r.h; y++ {
		for _, v := range plane[y*pitch+r.x:][:r.w] {
			sum += v
			squares += float32(v * v)
		}
	}
	n := float32(r.w * r.h)
	if n < 2 {
		return squares // of a picture of a few pixels
	}
	return (squares - float32(sum*sum)/n) / (n - 1)
}

// leastVariance is what a subband needs to be kept at all.
const leastVariance = 1.01

// weight is A of a subband: the larger, the finer its bins.
func weight(band int) float64 {
	switch band {
	case 52, 56:
		return 1.32
	case 54, 57:
		return 1.42
	case 53, 55, 58, 59:
		return 1.08
	}
	return 1
}

// share is the part of the picture's samples that each of a subband's neighbours in size has.
func share(band int) float64 {
	switch {
	case band < finest:
		return 1. / 1024
	case band < 51:
		return 1. / 256
	}
	return 1. / 16
}

const (
	overload     = 2.5   // how many standard deviations the bins of a subband reach on both sides
	zeroBin      = 1.2   // width of the bin about zero, in bins
	binCentre    = 0.44  // where in its bin a value is taken to lie
	widestBin    = 50000 // what a quantisation table can say, with the bin about zero; no sample is half as large
	narrowestBin = 0.25  // with less the coefficients of any picture could need more than 15 bits, and nobody sees a difference
)

// binsFor finds the bin widths that make rate bits a pixel (part 3, 3.2): subbands whose share of the bits comes out as none or
// less leave the sum, and it is taken anew, but keep the width that follows from it.
func binsFor(v [keptSubbands]float32, rate float64) *quantisers {
	q := &quantisers{centre: binCentre}
	var sigma, bin [keptSubbands]float64
	var kept []int
	for i, x := range v {
		if x < leastVariance {
			continue
		}
		sigma[i], bin[i] = math.Sqrt(float64(x)), 1
		if i >= finest {
			bin[i] = 10 / (weight(i) * math.Log(float64(x)))
		}
		kept = append(kept, i)
	}
	all := kept
	var factor float64
	for len(kept) > 0 {
		factor = commonFactor(kept, sigma, bin, rate)
		var still []int
		for _, i := range kept {
			if bin[i]/factor < 2*overload*sigma[i] {
				still = append(still, i)
			}
		}
		if len(still) == len(kept) {
			break
		}
		kept = still
	}
	for _, i := range all {
		q.bin[i] = float32(min(max(bin[i]/factor, narrowestBin), widestBin))
		q.zero[i] = zeroBin * q.bin[i]
	}
	return q
}

// commonFactor is q: what all widths are divided by.
func commonFactor(kept []int, sigma, bin [keptSubbands]float64, rate float64) float64 {
	var sum, logs float64
	for _, i := range kept {
		sum += share(i)
		logs += share(i) * math.Log2(sigma[i]/bin[i])
	}
	return math.Exp2(rate/sum-1) / overload / math.Exp2(logs/sum)
}

// quantise puts samples into bins, subband after subband, and returns the coefficients of each block.
func quantise(out []int16, l *layout, plane []float32, pitch int, q *quantisers) (blocks [3][]int16) {
	for i, limits := range [3][2]int{{0, secondBlock}, {secondBlock, thirdBlock}, {thirdBlock, keptSubbands}} {
		at := 0
		for band := limits[0]; band < limits[1]; band++ {
			if q.bin[band] == 0 {
				continue
			}
			r := l.bands[band]
			for y := r.y; y < r.y+r.h; y++ {
				binLine(out[at:at+r.w], plane[y*pitch+r.x:][:r.w], q.bin[band], q.zero[band]/2)
				at += r.w
			}
		}
		blocks[i], out = out[:at], out[at:]
	}
	return blocks
}

// binLine numbers the bins of a line: 0 is the one about zero, whose half width is zero.
func binLine(out []int16, line []float32, bin, zero float32) {
	for i, v := range line {
		switch {
		case v > zero:
			out[i] = int16(min(float32((v-zero)/bin)+1, math.MaxInt16))
		case v < -zero:
			out[i] = int16(max(float32((v+zero)/bin)-1, -math.MaxInt16))
		default:
			out[i] = 0
		}
	}
}
