package finger

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Threshold is the score at which one pair in a thousand of different fingers passes as the same finger (a false match rate
// of 0.1 %), measured on generated fingers: docs/minutiae.md.
const Threshold = 40

// Same reports whether a score of [Compare] says that both templates are of the same finger.
func Same(score float64) bool { return score >= Threshold }

// Compare tells how much two templates have in common, 0 and up, whichever way either finger was turned or moved. It gives the
// same score both ways round, changes neither, and may be called from several goroutines at once. A template without minutiae
// scores 0 with everything. What was made of the templates is wiped.
func Compare(a, b Template) (score float64, err error) {
	left, err := newConstellation(a)
	if err != nil {
		return 0, fmt.Errorf("comparing fingers: %w", err)
	}
	defer left.wipe()
	right, err := newConstellation(b)
	if err != nil {
		return 0, fmt.Errorf("comparing fingers: %w", err)
	}
	defer right.wipe()
	if left.after(right) {
		left, right = right, left
	}
	return left.compare(right), nil
}

// after orders constellations, so that a pair is always compared the same way round.
func (c constellation) after(o constellation) bool {
	return slices.CompareFunc(c.stars, o.stars, func(a, b star) int {
		return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y), cmp.Compare(a.angle, b.angle), cmp.Compare(a.weight, b.weight))
	}) > 0
}

// star is a minutia on a scale of its own maker's choice.
type star struct {
	x, y     float64 // mm, y upwards
	angle    float64 // radians, anticlockwise
	sin, cos float64 // of angle
	weight   float64 // 0 to 1: how much it counts
}

// weightOf is how much a minutia of a quality counts.
func weightOf(quality int) float64 {
	if quality <= 0 {
		return 0.5 // nobody knows
	}
	return min(float64(quality)/100, 1)
}

// constellation is a template made ready for comparison.
type constellation struct {
	stars     []star
	outline   outline
	surrounds []surround
}

func (c constellation) wipe() {
	clear(c.stars)
	clear(c.outline)
	clear(c.surrounds)
}

// newConstellation checks a template, whoever made it, and describes the surroundings of each minutia.
func newConstellation(t Template) (constellation, error) {
	if t.PPI < minExtractPPI || t.PPI > maxExtractPPI {
		return constellation{}, fmt.Errorf("a template at %d pixels an inch is not known (hint: %d to %d)", t.PPI, minExtractPPI, maxExtractPPI)
	}
	if len(t.Minutiae) > MaxMinutiae {
		return constellation{}, fmt.Errorf("a template of %d minutiae is too large (hint: at most %d)", len(t.Minutiae), MaxMinutiae)
	}
	c := constellation{stars: make([]star, len(t.Minutiae))}
	for i, m := range t.Minutiae {
		if math.IsNaN(m.Angle) || math.IsInf(m.Angle, 0) || m.X < 0 || m.Y < 0 || m.X >= t.Width || m.Y >= t.Height {
			return constellation{}, fmt.Errorf("minutia %d lies outside its image of %dx%d px, or has no angle", i+1, t.Width, t.Height)
		}
		mm := mmPerInch / float64(t.PPI)
		s := star{x: float64(m.X) * mm, y: -float64(m.Y) * mm, angle: m.Angle, weight: weightOf(m.Quality)}
		s.sin, s.cos = math.Sincos(m.Angle)
		c.stars[i] = s
	}
	c.outline = newOutline(c.stars)
	c.surrounds = make([]surround, len(c.stars))
	for i := range c.stars {
		c.surrounds[i] = c.surround(i)
	}
	return c, nil
}
