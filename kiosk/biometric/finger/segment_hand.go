package finger

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"loket/kiosk/biometric"
)

// reading is one way to read the patches of a slap as fingers of a hand.
type reading struct {
	angle      float64 // degrees, clockwise, of the hand; with 180 added where it is upside down
	hand       Hand
	down       bool
	fingers    []tip   // left to right
	extra      int     // columns that are no finger of the hand
	patches    []blob  // that were not taken for dirt
	placed     float64 // score by places and shapes alone
	score      float64
	confidence float64
}

// tip is a fingertip within a reading.
type tip struct {
	blob
	position biometric.FingerPosition
	below    []blob  // of the same finger, further from its tip
	angle    float64 // degrees, clockwise
}

// A hand on the glass, by digit from index to little finger. Lengths are those of an average hand (mm), along the hand's
// own axes: where middle lines lie from the index finger's, and how far tips stay behind the middle finger's. Hands differ
// most in the second, which therefore has a factor of its own.
var (
	across = [4]float64{0, 17.6, 35, 51}
	drop   = [4]float64{5.8, 0, 3.8, 13.5}
	width  = [4]float64{1, 1.03, 0.98, 0.84} // of a contact, against an index finger's
	lean   = [4]float64{-3, -0.5, 1.5, 5}    // degrees, of a right hand
)

// How far fingers stray from that: standard deviations.
const (
	strayAcross = 1.7  // mm
	strayDrop   = 1.8  // mm
	strayWidth  = 0.08 // of its logarithm
	strayLength = 0.12
	strayScale  = 0.13
	strayTurn   = 30 // degrees, of a whole hand
)

// What a reading costs in logarithms of odds.
const (
	costOther   = 1.0 // the other hand
	costDown    = 1.5 // upside down
	costMissing = 3.5 // a finger that is not there
	costBelow   = 1.5 // a middle phalanx
	costExtra   = 9   // a column that is no finger
	mostWidth   = 3   // what a width may cost at most: contacts depend on pressure
	mostLength  = 2   // and a length
	mostOff     = 8   // what one measure may cost at most
)

// reader reads patches as fingers.
type reader struct {
	g     *glass
	kind  biometric.FingerPosition
	asked Hand
	there []biometric.FingerPosition
}

func newReader(g *glass, kind biometric.FingerPosition, there []biometric.FingerPosition) reader {
	r := reader{g: g, kind: kind, asked: HandBoth, there: there}
	switch kind {
	case biometric.RightFour:
		r.asked = HandRight
	case biometric.LeftFour:
		r.asked = HandLeft
	}
	return r
}

// read tries every turn of either hand, both ways up, by the places and shapes of the fingertips, lets the ridges say which
// end is up, and returns the most likely reading.
func (r reader) read(blobs []blob) reading {
	if len(blobs) == 0 {
		return reading{hand: r.asked}
	}
	best := map[string]reading{} // of each naming
	for _, some := range r.leaveOut(blobs) {
		for turn := -72.0; turn <= 72; turn += 3 {
			r.turnedBy(some, turn, best)
		}
	}
	c := r.decide(best)
	for turn := c.angle - 2; turn <= c.angle+2; turn++ {
		finer := map[string]reading{}
		r.turnedBy(choice{c.patches, 0}, math.Mod(turn+270, 180)-90, finer)
		if f, ok := finer[c.names()]; ok && f.score > c.placed {
			f.confidence, f.placed = c.confidence, f.score
			c = f
		}
	}
	return c
}

// choice is some of the patches, and what it costs to take the others for dirt.
type choice struct {
	blobs []blob
	cost  float64
}

// leaveOut takes away the faintest patches, one after the other: ghosts of prints that lay there before.
func (r reader) leaveOut(blobs []blob) []choice {
	const faint, most, costGhost = 0.6, 6, 7
	sorted := slices.SortedStableFunc(slices.Values(blobs), func(a, b blob) int { return cmp.Compare(b.amplitude, a.amplitude) })
	all := []choice{{sorted, 0}}
	usual := sorted[len(sorted)/3].amplitude
	for n := len(sorted) - 1; n > 0 && len(all) <= most; n-- {
		share := sorted[n].amplitude / usual
		if share > faint {
			break
		}
		all = append(all, choice{sorted[:n], all[len(all)-1].cost + costGhost*share*share})
	}
	return all
}

// names tells readings apart.
func (c reading) names() string {
	key := []byte{'u'}
	if c.down {
		key[0] = 'd'
	}
	for _, f := range c.fingers {
		key = append(key, byte('0'+f.position))
	}
	return string(key)
}

// decide adds what the ridges say of the readings that lead, and picks the best.
func (r reader) decide(readings map[string]reading) reading {
	const worth = 14 // readings that lie further behind don't come up again
	var lead [2]float64
	for k := range lead {
		lead[k] = math.Inf(-1)
	}
	for _, c := range readings {
		lead[index(c.down)] = max(lead[index(c.down)], c.score)
	}
	flows := flows{g: r.g, models: newTemplates(), known: map[[2]int]agreement{}}
	best := reading{score: math.Inf(-1)}
	var scores []float64
	for _, key := range slices.Sorted(maps.Keys(readings)) {
		c := readings[key]
		if c.score < lead[index(c.down)]-worth {
			continue
		}
		c.placed = c.score
		c.score += flows.score(c.fingers)
		scores = append(scores, c.score)
		if c.score > best.score {
			best = c
		}
	}
	best.confidence = shareOf(best.score, scores)
	return best
}

// shareOf is how much of the odds of all scores, logarithms, one has.
func shareOf(score float64, all []float64) float64 {
	var sum float64
	for _, s := range all {
		sum += math.Exp(s - score)
	}
	return 1 / sum
}

func index(down bool) int {
	if down {
		return 1
	}
	return 0
}

// turnedBy adds every reading at one turn, either way up, to the best of their names.
func (r reader) turnedBy(some choice, turn float64, best map[string]reading) {
	keep := func(c reading) {
		key := c.names()
		if old, ok := best[key]; !ok || c.score > old.score {
			best[key] = c
		}
	}
	for _, down := range []bool{false, true} {
		base := reading{angle: turn, down: down, patches: some.blobs, score: -some.cost - 0.5*turn*turn/(strayTurn*strayTurn)}
		if down {
			base.angle += 180
			base.score -= costDown
		}
		columns, extra := column(some.blobs, base.angle, r.most())
		base.extra = extra
		base.score -= costExtra * float64(extra)
		for _, c := range columns {
			base.score -= c.costBelow(base.angle)
		}
		if r.asked == HandBoth {
			r.pair(base, columns, keep)
			continue
		}
		for _, hand := range []Hand{HandRight, HandLeft} {
			r.four(base, columns, hand, keep)
		}
	}
}

func (r reader) most() int {
	if r.asked == HandBoth {
		return 2
	}
	return 4
}

// seen is a fingertip in the frame of a hand: u to the right, v to the tips, mm.
type seen struct {
	tip
	u, v, end float64 // middle and tip
}

// column gathers patches that lie behind one another, from left to right, and keeps at most so many: the largest.
func column(blobs []blob, angle float64, most int) (columns []seen, extra int) {
	sin, cos := math.Sincos(angle * math.Pi / 180)
	for _, b := range blobs {
		s := seen{tip: tip{blob: b}, u: b.x*cos + b.y*sin, v: b.x*sin - b.y*cos}
		s.end = s.v + b.reach(sin, -cos)
		columns = append(columns, s)
	}
	slices.SortStableFunc(columns, func(a, b seen) int { return cmp.Compare(b.v, a.v) })
	for i := 0; i < len(columns); i++ {
		for j := i + 1; j < len(columns); {
			if a, b := columns[i], columns[j]; math.Abs(a.u-b.u) < 0.6*max(a.reach(cos, sin), b.reach(cos, sin)) {
				columns[i].below = append(columns[i].below, b.blob)
				columns = slices.Delete(columns, j, j+1)
				continue
			}
			j++
		}
	}
	if extra = max(len(columns)-most, 0); extra > 0 {
		slices.SortStableFunc(columns, func(a, b seen) int { return cmp.Compare(b.cells, a.cells) })
		columns = columns[:most]
	}
	slices.SortStableFunc(columns, func(a, b seen) int { return cmp.Compare(a.u, b.u) })
	return columns, extra
}

// costBelow is what the patches below a fingertip cost: one at a joint's distance little, anything else more.
func (s seen) costBelow(angle float64) float64 {
	if len(s.below) == 0 {
		return 0
	}
	b := s.below[0]
	sin, cos := math.Sincos(angle * math.Pi / 180)
	dv, du := s.v-(b.x*sin-b.y*cos), s.u-(b.x*cos+b.y*sin)
	cost := costBelow + off(dv-17, 5) + off(math.Atan2(du, dv)*180/math.Pi, 8)
	return cost + costExtra*float64(len(s.below)-1)
}

// off is what a measure that strays from its mean costs.
func off(by, stray float64) float64 { return min(0.5*by*by/(stray*stray), mostOff) }

// turnCost is what it costs that a fingertip's long axis points elsewhere than expected. A round contact has no axis.
func (s seen) turnCost(angle float64) float64 {
	axis, long, short := s.axis()
	if short == 0 {
		return mostOff
	}
	stray := 3.6 + 14*math.Exp(-9*(long/short-1))
	return min(off(turned(2*(axis-angle))/2, stray), 4.5)
}

// four reads columns as fingers of one hand, in every way that leaves some out.
func (r reader) four(base reading, columns []seen, hand Hand, fn func(reading)) {
	base.hand = hand
	side := 1.0
	if hand == HandLeft {
		side = -1
	}
	can := []int{0, 1, 2, 3}
	if hand == r.asked {
		if few := slices.DeleteFunc(slices.Clone(can), func(d int) bool { return !slices.Contains(r.there, named(hand, d)) }); len(few) >= len(columns) {
			can = few
		}
	} else {
		base.score -= costOther
	}
	base.score -= costMissing * float64(len(can)-len(columns))
	for set := range 16 {
		digits := slices.DeleteFunc(slices.Clone(can), func(d int) bool { return set>>d&1 == 0 })
		if len(digits) != len(columns) || set>>4 != 0 || missesMore(set, can) {
			continue
		}
		if side < 0 {
			slices.Reverse(digits)
		}
		c := base
		c.score -= misfit(columns, digits, side, base.angle)
		c.fingers = make([]tip, len(columns))
		for i, s := range columns {
			c.fingers[i] = s.named(named(hand, digits[i]), base.angle+side*lean[digits[i]])
		}
		fn(c)
	}
}

// missesMore reports whether a set names digits that are not in can.
func missesMore(set int, can []int) bool {
	for d := range 4 {
		if set>>d&1 == 1 && !slices.Contains(can, d) {
			return true
		}
	}
	return false
}

func named(hand Hand, digit int) biometric.FingerPosition {
	if hand == HandLeft {
		return biometric.LeftIndex + biometric.FingerPosition(digit)
	}
	return biometric.RightIndex + biometric.FingerPosition(digit)
}

// named gives a column its name and its own direction: its long axis as far as it has one, else the expected one.
func (s seen) named(p biometric.FingerPosition, expected float64) tip {
	t := s.tip
	t.position = p
	axis, long, short := s.axis()
	trust := min(max((long/max(short, 0.1)-1.1)/0.25, 0), 1) * 0.75
	by := min(max(turned(2*(axis-expected))/2, -12), 12)
	t.angle = turned(expected + trust*by)
	return t
}

// misfit is what columns cost as these digits.
func misfit(columns []seen, digits []int, side, angle float64) float64 {
	n := float64(len(columns))
	var u, x, w, l, e float64
	for i, s := range columns {
		long, short := s.size()
		u += s.u / n
		x += side * across[digits[i]] / n
		w += short / n
		l += long / n
		e += math.Log(width[digits[i]]) / n
	}
	scale := 0.5 + 0.5*math.Exp(w-e)/8
	num, den := scale/(strayScale*strayScale), 1/(strayScale*strayScale)
	for i, s := range columns {
		dx := side*across[digits[i]] - x
		num += (s.u - u) * dx / (strayAcross * strayAcross)
		den += dx * dx / (strayAcross * strayAcross)
	}
	fitted := num / den
	cost := off(fitted-scale, strayScale)
	for i, s := range columns {
		long, short := s.size()
		expected := math.Log(width[digits[i]]) - e
		cost += off(s.u-u-fitted*(side*across[digits[i]]-x), strayAcross)
		cost += min(off(short-w-expected, strayWidth), mostWidth) + min(off(long-l-expected, strayLength), mostLength)
		cost += s.turnCost(angle + side*lean[digits[i]])
	}
	return cost + arcCost(columns, digits)
}

// size is the logarithms of a contact's half length and half width in mm.
func (s seen) size() (long, short float64) {
	_, long, short = s.axis()
	return math.Log(max(long, 0.1)), math.Log(max(short, 0.1))
}

// arcCost is what it costs that the tips don't lie on the arc of these digits, shallow or deep.
func arcCost(columns []seen, digits []int) float64 {
	n := float64(len(columns))
	best := math.Inf(1)
	for depth := 0.4; depth < 2.2; depth += 0.2 {
		var mean float64
		for i, s := range columns {
			mean += (s.end + depth*drop[digits[i]]) / n
		}
		cost := off(depth-1, 0.5)
		for i, s := range columns {
			cost += off(s.end+depth*drop[digits[i]]-mean, strayDrop)
		}
		best = min(best, cost)
	}
	return best
}

// pair reads columns as one finger of each hand, the left hand's to the left.
func (r reader) pair(base reading, columns []seen, fn func(reading)) {
	base.hand = HandBoth
	left, right, inward := biometric.LeftIndex, biometric.RightIndex, 2.0
	if r.kind == biometric.BothThumbs {
		left, right, inward = biometric.LeftThumb, biometric.RightThumb, 6
	}
	if len(columns) == 2 {
		c := base
		a, b := columns[0], columns[1]
		c.score -= off(a.end-b.end, 7) + a.turnCost(base.angle+inward)/2 + b.turnCost(base.angle-inward)/2
		c.fingers = []tip{a.named(left, base.angle+inward), b.named(right, base.angle-inward)}
		fn(c)
		return
	}
	width := float64(r.g.w) * r.g.mm
	sin, cos := math.Sincos(base.angle * math.Pi / 180)
	middle := width/2*cos + float64(r.g.h)*r.g.mm/2*sin
	for _, s := range columns {
		for k, p := range []biometric.FingerPosition{left, right} {
			c := base
			toLeft := middle - s.u
			if k == 1 {
				toLeft = -toLeft
			}
			if !slices.Contains(r.there, p) {
				c.score -= costMissing
			}
			c.score -= s.turnCost(base.angle) + math.Log1p(math.Exp(-toLeft/6))
			c.fingers = []tip{s.named(p, base.angle)}
			fn(c)
		}
	}
}
