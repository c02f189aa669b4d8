package face

import "math"

// A pupil that flash light comes back from is bright and far redder than skin.
const (
	pupil      = 0.06 // radius of what is looked at, in eye distances
	redBright  = 0.5  // of the cheeks' red
	redBeyond  = 0.25 // by which a colour is redder than the cheeks'
	floorShare = 0.02 // of the face's pixels, which nothing but a veil of light makes brighter
)

// redEyes is the share of the redder pupil that is red. What lies over the whole face, a veil of light, is taken off first: it would turn
// every dark eye red.
func (f *finder) redEyes(c colours, h head) float64 {
	floor := f.floor(c, h)
	var cheeks [3]float64
	n := 0.0
	h.cheeks(c, func(rgb [3]float64) {
		for i, v := range rgb {
			cheeks[i] += max(v-floor[i], 0)
		}
		n++
	})
	for i := range cheeks {
		cheeks[i] /= n
	}
	share := 0.0
	for _, side := range []float64{-0.5, 0.5} {
		red, all := 0.0, 0.0
		h.each(c, box{side - pupil, -pupil, side + pupil, pupil}, func(x, y float64, rgb [3]float64) {
			if math.Hypot(x-side, y) > pupil {
				return
			}
			for i := range rgb {
				rgb[i] = max(rgb[i]-floor[i], 0)
			}
			if all++; rgb[0] > redBright*cheeks[0] && redness(rgb) > redness(cheeks)+redBeyond {
				red++
			}
		})
		share = max(share, red/max(all, 1))
	}
	return share
}

// redness is by how much red exceeds the other channels, as a share of it.
func redness(rgb [3]float64) float64 {
	return (rgb[0] - max(rgb[1], rgb[2])) / max(rgb[0], 1)
}

// floor is the level of each channel that next to nothing in the face lies below.
func (f *finder) floor(c colours, h head) (level [3]float64) {
	for i := range level {
		f.samples[i] = f.samples[i][:0]
	}
	h.each(c, box{-0.75, -0.4, 0.75, 1.5}, func(_, _ float64, rgb [3]float64) {
		for i, v := range rgb {
			f.samples[i] = append(f.samples[i], v)
		}
	})
	for i := range level {
		level[i] = part(f.samples[i], floorShare)
	}
	return level
}
