package finger

import (
	"image"
	"math"
	"slices"

	"loket/kiosk/biometric"
)

// What a glimpse goes by. In a picture this coarse ridges run together: skin is what is darker than the glass.
const (
	glimpseCell  = 0.4  // mm, the side of a cell at least
	glimpseDrop  = 14   // grey levels below the glass that skin has at least
	glimpseShare = 0.4  // of the drop of the darkest skin
	glimpseTurn  = 36   // degrees that a hand is turned by at most
	glimpseSure  = 0.98 // of all readings together, how much the best has to have
	glimpsePPI   = 40   // pixels an inch: below, fingers run together
)

// Glimpse tells from a coarse live picture of the glass, as scanners send it before they have taken an image, which fingers of
// a slap do not lie there. kind and absent are as for [Segment]; seen is how many fingers the scanner counts. It takes the person
// to have followed the drawing, the hand to be the right one and the right way up: the image will tell. Where places and shapes
// leave a doubt it names nobody. img is only read.
func Glimpse(img *image.Gray, ppi int, kind biometric.FingerPosition, absent []biometric.FingerPosition, seen int) []biometric.FingerPosition {
	wanted := kind.Parts()
	if wanted == nil || img == nil || img.Rect.Empty() || img.Rect.Dx()*img.Rect.Dy() > MaxPixels || ppi < glimpsePPI || ppi > MaxSegmentPPI {
		return nil
	}
	there := slices.DeleteFunc(wanted, func(p biometric.FingerPosition) bool { return slices.Contains(absent, p) })
	g := glimpsed(img, ppi)
	defer g.wipe()
	blobs := g.spots()
	if seen < 1 || seen >= len(there) || len(blobs) != seen {
		return nil
	}
	lie, sure := newReader(g, kind, there).followed(blobs)
	if sure < glimpseSure {
		return nil
	}
	return slices.DeleteFunc(there, func(p biometric.FingerPosition) bool { return slices.Contains(lie, p) })
}

// glimpsed is a glass of which only the brightness is known.
func glimpsed(img *image.Gray, ppi int) *glass {
	f := max(int(math.Ceil(glimpseCell*float64(ppi)/mmPerInch-0.5)), 1)
	small := img
	if f > 1 {
		small = shrink(img, f).Gray
		defer clear(small.Pix)
	}
	g := &glass{w: small.Rect.Dx(), h: small.Rect.Dy(), side: f, mm: float64(f) * mmPerInch / float64(ppi), min: img.Rect.Min}
	n := g.w * g.h
	g.mean, g.xx, g.yy, g.xy, g.amplitude = make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	for y := range g.h {
		at := small.PixOffset(small.Rect.Min.X, small.Rect.Min.Y+y)
		for x, v := range small.Pix[at : at+g.w] {
			g.mean[y*g.w+x] = float32(v)
		}
	}
	return g
}

// spots finds the patches of skin by darkness alone.
func (g *glass) spots() []blob {
	if len(g.mean) == 0 {
		return nil
	}
	bare, darkest := percentile(g.mean, 0.8), percentile(g.mean, 0.02)
	least := max(glimpseDrop, glimpseShare*(bare-darkest))
	raw := make([]float32, len(g.mean))
	for i, m := range g.mean {
		if bare-m > least {
			raw[i] = 1
		}
	}
	mask := make([]bool, len(raw))
	for i, share := range g.spread(raw, 1) {
		mask[i] = share > 0.5
	}
	g.fill(mask)
	g.label = g.divide(g.depth(mask), neck)
	all := g.measure()
	for i := range all {
		all[i].coherence = 1 // nobody can tell
	}
	all = g.worth(all)
	g.outline(all)
	return all
}

// followed reads patches as fingers of the hand that was asked for, upright, and tells how sure that is: the share of its odds.
func (r reader) followed(blobs []blob) (lie []biometric.FingerPosition, sure float64) {
	best := map[string]reading{}
	for turn := -float64(glimpseTurn); turn <= glimpseTurn; turn += 6 {
		r.turnedBy(choice{blobs, 0}, turn, best)
	}
	var lead reading
	lead.score = math.Inf(-1)
	var scores []float64
	for _, c := range best {
		if c.down || c.hand != r.asked || c.extra > 0 || len(c.fingers) != len(blobs) {
			continue
		}
		scores = append(scores, c.score)
		if c.score > lead.score {
			lead = c
		}
	}
	if len(scores) == 0 {
		return nil, 0
	}
	for _, f := range lead.fingers {
		lie = append(lie, f.position)
	}
	return lie, shareOf(lead.score, scores)
}
