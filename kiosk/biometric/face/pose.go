package face

import (
	"math"
)

// yaw estimates how far the head is turned to a side, degrees, positive towards the right of the picture. The nose and the mouth
// stand out before the eyes; when the head turns, the axis about which the middle of the face is symmetric moves away from
// the middle between the eyes. It is rough: lighting from a side moves it too, and heads are not symmetric.
func (f *finder) yaw(h head) float64 {
	const apart, reach = 48, 14 // px of the patch: between the eyes, and that the axis may move
	const protrusion = 0.45     // of the mid-face before the eyes, in eye distances
	v := frame{middle: h.to(0, 0.65), angle: h.angle, step: h.unit / apart, width: 2*apart + 1, height: apart * 9 / 10}
	f.pyramid.sample(&f.patch, v)
	best, scores := 0, [2*reach + 1]float64{}
	for shift := -reach; shift <= reach; shift++ {
		scores[shift+reach] = f.symmetry(apart+shift, apart/2)
		if scores[shift+reach] > scores[best+reach] {
			best = shift
		}
	}
	at := float64(best)
	if best > -reach && best < reach { // the top of a parabola through three
		a, b, c := scores[best+reach-1], scores[best+reach], scores[best+reach+1]
		if d := a - 2*b + c; d < 0 {
			at += (a - c) / (2 * d)
		}
	}
	return math.Asin(min(max(at/apart/protrusion, -1), 1)) * 180 / math.Pi
}

// symmetry correlates the patch left of a column with its mirror image on the right.
func (f *finder) symmetry(axis, reach int) float64 {
	var n, sa, sb, saa, sbb, sab float64
	w := f.patch.Rect.Dx()
	for y := range f.patch.Rect.Dy() {
		row := f.patch.Pix[y*f.patch.Stride:][:w]
		for k := 1; k <= reach; k++ {
			a, b := float64(row[axis-k]), float64(row[axis+k])
			n, sa, sb = n+1, sa+a, sb+b
			saa, sbb, sab = saa+a*a, sbb+b*b, sab+a*b
		}
	}
	va, vb := saa-sa*sa/n, sbb-sb*sb/n
	if va <= 0 || vb <= 0 {
		return 0
	}
	return (sab - sa*sb/n) / math.Sqrt(va*vb)
}

// burnt is the grey level from which on a spot may have lost its colour.
const burnt = 225

// skin compares the halves of the face, and counts what shines on cheeks and nose: spots near white and much brighter than the skin
// about them.
func (f *finder) skin(c colours, h head) (shadows, spots float64) {
	var half [2]float64
	for i, side := range []float64{-0.47, 0.47} {
		levels := f.samples[0][:0]
		h.each(c, box{side - 0.17, 0.3, side + 0.17, 0.8}, func(_, _ float64, rgb [3]float64) { levels = append(levels, luma(rgb)) })
		half[i] = part(levels, 0.5)
		f.samples[0] = levels
	}
	if mean := (half[0] + half[1]) / 2; mean > 0 {
		shadows = math.Abs(half[0]-half[1]) / mean
	}
	levels := f.samples[0][:0]
	h.each(c, box{-0.65, 0.2, 0.65, 0.7}, func(_, _ float64, rgb [3]float64) { levels = append(levels, luma(rgb)) })
	f.samples[0] = levels
	limit, shining := max(1.2*part(levels, 0.5), burnt), 0
	for _, v := range levels {
		if v > limit {
			shining++
		}
	}
	return shadows, float64(shining) / float64(max(len(levels), 1))
}

// background tells how uneven a frame is beside and above the head: the spread of the means of its tiles as a share of their
// mean. False where the picture shows too little of it.
func (f *finder) background(c colours, h head, view frame) (float64, bool) {
	const tile, least = 0.2, 24 // in eye distances, and how many there must be
	means := f.samples[0][:0]
	step := tile * h.unit / view.step
	for y := 0.0; y+step < float64(view.height); y += step {
		for x := 0.0; x+step < float64(view.width); x += step {
			if middle := view.to(point{x + step/2, y + step/2}); h.beside(middle) {
				means = append(means, c.mean(middle, tile*h.unit))
			}
		}
	}
	f.samples[0] = means
	if len(means) < least {
		return 0, false
	}
	low, high := part(means, 0.05), part(means, 0.95)
	return (high - low) / max(high+low, 1), true
}

// mean is the mean grey level of sixteen places in a tile about a middle.
func (c colours) mean(middle point, side float64) float64 {
	sum := 0.0
	for i := range 16 {
		sum += luma(c.at(middle.add(point{float64(i%4) - 1.5, float64(i/4) - 1.5}.times(side / 4))))
	}
	return sum / 16
}
