package finger

import (
	"cmp"
	"math"
	"slices"
)

// blob is a patch of skin: a fingertip, a middle phalanx, or both where no joint shows.
type blob struct {
	label      int16
	cells      int
	x, y       float64 // middle, mm
	xx, yy, xy float64 // covariance of its cells, mm2
	coherence  float64
	amplitude  float64      // mean, grey levels
	outline    [][2]float64 // its convex hull, mm
}

// area is in mm2.
func (b blob) area(g *glass) float64 { return float64(b.cells) * g.mm * g.mm }

// reach is how far b extends from its middle in a direction, mm.
func (b blob) reach(dx, dy float64) float64 {
	var most float64
	for _, p := range b.outline {
		most = max(most, (p[0]-b.x)*dx+(p[1]-b.y)*dy)
	}
	return most
}

// axis is the direction of b's long axis: degrees clockwise from upwards, -90 up to 90; and the half lengths of both axes, mm.
func (b blob) axis() (degrees, long, short float64) {
	root := math.Hypot((b.xx-b.yy)/2, b.xy)
	mid := (b.xx + b.yy) / 2
	a := 0.5 * math.Atan2(2*b.xy, b.xx-b.yy) // from the x axis, clockwise as y runs down
	degrees = turned(2*(a*180/math.Pi+90)) / 2
	return degrees, 2 * math.Sqrt(max(mid+root, 0)), 2 * math.Sqrt(max(mid-root, 0))
}

// Patches of skin smaller than these are no fingers, nor is what has no direction.
const (
	leastArea      = 22   // mm2
	leastShare     = 0.12 // of the largest patch
	leastCoherence = 0.22
	mostBlobs      = 16 // patches that are looked at
)

// Two patches are one where what joins them is this wide, against the narrower of them; in patches that are large for a
// finger a shallower waist is enough to part them into pieces that are fingers of their own.
const (
	neck       = 0.8
	waist      = 0.96
	largeArea  = 500 // mm2
	largeShare = 1.6 // of the median of three patches or more
	pieceArea  = 110 // mm2
	pieceShare = 0.3 // of the patch
	pieceWidth = 0.8 // of the median patch
)

// blobs finds the patches of skin, largest first, and labels their cells.
func (g *glass) blobs() []blob {
	depth := g.depth(g.skin())
	g.label = g.divide(depth, neck)
	all := g.worth(g.measure())
	usual := 0.0
	if len(all) > 2 {
		usual = all[len(all)/2].area(g)
	}
	for _, b := range all {
		if b.area(g) > largeArea || usual > 0 && b.area(g) > largeShare*usual {
			g.part(b, depth, pieceWidth*medianWidth(all))
		}
	}
	all = g.worth(g.measure())
	g.outline(all)
	return all
}

// worth drops what is no finger, and sorts the rest by size.
func (g *glass) worth(all []blob) []blob {
	slices.SortStableFunc(all, func(a, b blob) int { return cmp.Compare(b.cells, a.cells) })
	if len(all) == 0 {
		return nil
	}
	least := max(leastArea, leastShare*all[0].area(g))
	all = slices.DeleteFunc(all, func(b blob) bool { return b.area(g) < least || b.coherence < leastCoherence })
	return all[:min(len(all), mostBlobs)]
}

func medianWidth(all []blob) float64 {
	widths := make([]float64, len(all))
	for i, b := range all {
		widths[i] = 2 * shortHalf(b)
	}
	return median(widths)
}

// part gives the pieces of a patch labels of their own, where at least two are large and so many mm wide, as fingers are.
func (g *glass) part(b blob, depth []int32, wide float64) {
	own := make([]int32, len(depth))
	for i, l := range g.label {
		if l == b.label {
			own[i] = depth[i]
		}
	}
	apart := *g
	apart.label = g.divide(own, waist)
	least := max(pieceArea, pieceShare*b.area(g))
	pieces := slices.DeleteFunc(apart.measure(), func(p blob) bool { return p.area(g) < least || 2*shortHalf(p) < wide })
	next := slices.Max(g.label)
	if len(pieces) < 2 || int(next)+len(pieces) > math.MaxInt16 {
		return
	}
	for i, l := range apart.label {
		if l != 0 {
			k := slices.IndexFunc(pieces, func(p blob) bool { return p.label == l })
			g.label[i] = []int16{0, b.label, next + int16(k)}[min(k+1, 2)]
		}
	}
}

// divide labels patches by flooding from the deepest cells: patches that meet stay apart where their neck is narrow.
func (g *glass) divide(depth []int32, neck float64) []int16 {
	label := make([]int16, len(depth))
	parent, peak := []int16{0}, []int32{0}
	root := func(l int16) int16 {
		for parent[l] != l {
			l = parent[l]
		}
		return l
	}
	for _, i := range deepest(depth) {
		var mine int16
		g.around(int(i), func(j int) {
			if label[j] == 0 {
				return
			}
			other := root(label[j])
			switch {
			case mine == 0 || mine == other:
				mine = other
			case float64(depth[i]) >= neck*float64(min(peak[mine], peak[other])):
				if peak[other] > peak[mine] {
					mine, other = other, mine
				}
				parent[other] = mine
			case peak[other] > peak[mine]:
				mine = other
			}
		})
		if mine == 0 && len(parent) < math.MaxInt16 {
			mine = int16(len(parent))
			parent, peak = append(parent, mine), append(peak, depth[i])
		}
		label[i] = mine
	}
	for i, l := range label {
		label[i] = root(l)
	}
	return label
}

// deepest lists the cells of a mask, the deepest first (a counting sort).
func deepest(depth []int32) []int32 {
	var most int32
	for _, d := range depth {
		most = max(most, d)
	}
	if most == 0 {
		return nil
	}
	start := make([]int32, most+2)
	for _, d := range depth {
		start[most-d+1]++
	}
	for d := range most {
		start[d+1] += start[d]
	}
	order := make([]int32, len(depth))
	for i, d := range depth {
		order[start[most-d]] = int32(i)
		start[most-d]++
	}
	return order[:start[most-1]]
}

// measure sums up the labelled cells.
func (g *glass) measure() []blob {
	index := map[int16]int{}
	var all []blob
	for i, l := range g.label {
		if l == 0 {
			continue
		}
		k, ok := index[l]
		if !ok {
			k = len(all)
			index[l] = k
			all = append(all, blob{label: l})
		}
		b := &all[k]
		x, y := g.at(i)
		b.cells++
		b.x += x
		b.y += y
		b.xx += x * x
		b.yy += y * y
		b.xy += x * y
		b.coherence += g.coherence(i)
		b.amplitude += float64(g.amplitude[i])
	}
	for k := range all {
		b := &all[k]
		n := float64(b.cells)
		b.x, b.y, b.coherence, b.amplitude = b.x/n, b.y/n, b.coherence/n, b.amplitude/n
		b.xx, b.yy, b.xy = b.xx/n-b.x*b.x, b.yy/n-b.y*b.y, b.xy/n-b.x*b.y
	}
	return all
}

// at is the middle of a cell in mm from the corner of the image.
func (g *glass) at(i int) (x, y float64) {
	return (float64(i%g.w) + 0.5) * g.mm, (float64(i/g.w) + 0.5) * g.mm
}
