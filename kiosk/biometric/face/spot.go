package face

import "math"

// A spot is looked for near the middle of an iris, in the patch of the irises.
const (
	spotScale = 4.5 // px, the standard deviation of the Gaussian that is as large as an iris
	spotReach = 13  // px that count around a place
	spotAside = 6   // px that the spot may lie from the middle
	spotAbove = 5
)

// spot tells how dark a round spot near a place is: by how much the level rises to the left and right, or above and below where that is
// less, as a share of the level itself. An iris has both; shut lids have a line of lashes, along which nothing rises. It does not change with
// the brightness of the picture.
func (v *votes) spot(near point) float64 {
	cx, cy := int(math.Round(near.x)), int(math.Round(near.y))
	const across, down = 2*spotAside + 1, 2*(spotAbove+spotReach) + 1
	v.lines = v.lines[:0]
	for y := cy - spotAbove - spotReach; y <= cy+spotAbove+spotReach; y++ {
		for x := cx - spotAside; x <= cx+spotAside; x++ {
			v.lines = append(v.lines, v.along(x, y))
		}
	}
	best := 0.0
	for top := range down - 2*spotReach {
		for x := range across {
			var mean, aside, above float64
			for k := range v.weights {
				l := v.lines[(top+k)*across+x]
				mean += v.weights[k] * l.mean
				aside += v.weights[k] * l.bend
				above += v.bend[k] * l.mean
			}
			if mean > 0 {
				best = max(best, min(aside, above)/mean)
			}
		}
	}
	return best
}

// line is what the levels of a row come to about a place: their mean, and by how much they rise to both sides of it.
type line struct{ mean, bend float64 }

func (v *votes) along(cx, cy int) (l line) {
	row := v.soft[min(max(cy, 0), v.height-1)*v.width:][:v.width]
	for k := range v.weights {
		p := row[min(max(cx+k-spotReach, 0), v.width-1)]
		l.mean += v.weights[k] * p
		l.bend += v.bend[k] * p
	}
	return l
}

// weigh fills in the weights of a Gaussian, and those of its second derivative times its variance.
func (v *votes) weigh() {
	sum := 0.0
	for k := range v.weights {
		x := float64(k-spotReach) / spotScale
		v.weights[k] = math.Exp(-x * x / 2)
		sum += v.weights[k]
	}
	for k := range v.weights {
		x := float64(k-spotReach) / spotScale
		v.weights[k] /= sum
		v.bend[k] = v.weights[k] * (x*x - 1)
	}
}
