package finger

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// The surroundings of a minutia are described as a minutia cylinder-code (Cappelli, Ferrara, Maltoni, "Minutia Cylinder-Code",
// 2010), in its form with one bit a cell: in the frame of the minutia, which cells of place and direction have a minutia near.
const (
	cellsAcross   = 8
	cellLayers    = 6
	surroundReach = 3.6  // mm, radius
	placeSpread   = 0.48 // mm, standard deviation of where a neighbour may lie
	turnSpread    = 0.65 // radians, of how it may be turned
	cellFull      = 0.35 // from this much on, a cell is set
	leastSeen     = 20   // cells of a layer that two surroundings must share
	hullMargin    = 1.5  // mm around the outermost minutiae that still count as seen
)

const (
	surroundCell  = 2 * surroundReach / cellsAcross // mm
	surroundWords = cellsAcross * cellsAcross * cellLayers / 64
)

// surround holds one word a layer of directions: a bit a cell.
type surround struct {
	set  [surroundWords]uint64
	seen uint64 // cells of each layer that lie on the part of the finger that was seen
}

// surround describes what is around minutia i.
func (c *constellation) surround(i int) surround {
	const reach = surroundReach + 2*placeSpread
	me := c.stars[i]
	var value [cellLayers][cellsAcross * cellsAcross]float64
	for j, other := range c.stars {
		dx, dy := other.x-me.x, other.y-me.y
		if j == i || dx*dx+dy*dy > reach*reach {
			continue
		}
		u, v := dx*me.cos+dy*me.sin, dy*me.cos-dx*me.sin
		across, firstX := near(u/surroundCell+cellsAcross/2.0-0.5, placeSpread/surroundCell, cellsAcross)
		up, firstY := near(v/surroundCell+cellsAcross/2.0-0.5, placeSpread/surroundCell, cellsAcross)
		strength := math.Sqrt(other.weight)
		for layer := range cellLayers {
			turned := math.Remainder(other.angle-me.angle-2*math.Pi*float64(layer)/cellLayers, 2*math.Pi)
			if math.Abs(turned) > 2.5*turnSpread {
				continue
			}
			share := bell(turned/turnSpread) * strength
			for y, b := range up {
				for x, a := range across {
					if a > 0 && b > 0 {
						value[layer][(firstY+y)*cellsAcross+firstX+x] += share * a * b
					}
				}
			}
		}
	}
	s := surround{seen: c.seen(me)}
	for layer := range cellLayers {
		for k, v := range value[layer] {
			if v >= cellFull {
				s.set[layer] |= 1 << k
			}
		}
		s.set[layer] &= s.seen
	}
	return s
}

// near says how near the cells around place at, counted in cells, are to it, and which of n the first of them is. Beyond three
// spreads a cell is 0.
func near(at, spread float64, n int) (shares [4]float64, first int) {
	first = min(max(int(math.Floor(at))-1, 0), n-len(shares))
	for k := range shares {
		if d := (float64(first+k) - at) / spread; math.Abs(d) < 3 {
			shares[k] = bell(d)
		}
	}
	return shares, first
}

// seen says which cells around a minutia lie on the part of the finger that was seen.
func (c *constellation) seen(me star) uint64 {
	var cells uint64
	for k := range cellsAcross * cellsAcross {
		u := (float64(k%cellsAcross) - (cellsAcross-1)/2.0) * surroundCell
		v := (float64(k/cellsAcross) - (cellsAcross-1)/2.0) * surroundCell
		if u*u+v*v > surroundReach*surroundReach {
			continue
		}
		if c.outline.holds(me.x+u*me.cos-v*me.sin, me.y+u*me.sin+v*me.cos, hullMargin) {
			cells |= 1 << k
		}
	}
	return cells
}

// bell is the normal curve, 1 at its top.
func bell(v float64) float64 { return math.Exp(-v * v / 2) }

// alike compares surroundings where both were seen, 0 to 1.
func (s *surround) alike(other *surround) float64 {
	seen := s.seen & other.seen
	if bits.OnesCount64(seen) < leastSeen {
		return 0
	}
	var mine, theirs, differ int
	for i, word := range s.set {
		a, b := word&seen, other.set[i]&seen
		mine += bits.OnesCount64(a)
		theirs += bits.OnesCount64(b)
		differ += bits.OnesCount64(a ^ b)
	}
	if mine == 0 || theirs == 0 {
		return 0
	}
	return 1 - math.Sqrt(float64(differ))/(math.Sqrt(float64(mine))+math.Sqrt(float64(theirs)))
}

// outline is the convex hull of minutiae, anticlockwise.
type outline []star

func newOutline(stars []star) outline {
	points := slices.Clone(stars)
	slices.SortFunc(points, func(a, b star) int { return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y)) })
	points = slices.CompactFunc(points, func(a, b star) bool { return a.x == b.x && a.y == b.y })
	if len(points) < 3 {
		return outline(points)
	}
	var hull outline
	for range 2 {
		first := len(hull)
		for _, p := range points {
			for len(hull) >= first+2 && cross(hull[len(hull)-2], hull[len(hull)-1], p) <= 0 {
				hull = hull[:len(hull)-1]
			}
			hull = append(hull, p)
		}
		hull = hull[:len(hull)-1]
		slices.Reverse(points)
	}
	return hull
}

// cross is positive where the way from a over b to p turns left.
func cross(a, b, p star) float64 { return (b.x-a.x)*(p.y-a.y) - (b.y-a.y)*(p.x-a.x) }

// holds reports whether a point lies within an outline that is wider by margin (mm).
func (o outline) holds(x, y, margin float64) bool {
	for i, a := range o {
		b := o[(i+1)%len(o)]
		length := math.Hypot(b.x-a.x, b.y-a.y)
		if length > 0 && ((b.x-a.x)*(y-a.y)-(b.y-a.y)*(x-a.x))/length < -margin {
			return false
		}
	}
	return len(o) > 0
}
