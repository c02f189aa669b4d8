package finger

import (
	"cmp"
	"math"
	"slices"
)

// How pairs of minutiae are put together.
const (
	pairsEach   = 4   // candidates that a minutia may have at first
	mostPairs   = 160 // candidates in all
	relaxRounds = 8
	leastPairs  = 3 // that must agree
)

// How far apart minutiae may be that should lie together: standard deviations and limits.
const (
	nearPlace    = 0.30 // mm, before one finger is laid on the other
	nearStretch  = 0.07 // mm more for each mm from where it is seen: skin stretches
	nearTurn     = 0.35 // radians
	closePlace   = 0.20 // mm, afterwards
	closeTurn    = 0.30 // radians
	reachPlace   = 0.70 // mm, at most
	reachTurn    = 0.50 // radians, at most
	overlapSpare = 0.30 // mm around what was seen of the other finger
)

// couple is a minutia of each template that may be the same.
type couple struct {
	a, b     int
	alike    float64 // of their surroundings
	turn     float64 // radians from a to b
	sin, cos float64
	support  float64 // how well the others agree
}

// compare gives the score of two constellations.
func (c constellation) compare(o constellation) float64 {
	couples := c.candidates(o)
	relax(couples, c, o)
	agreed := agree(couples, c, o)
	if len(agreed) < leastPairs {
		return 0
	}
	fit := newFit(agreed, c, o)
	return c.score(o, fit, c.extend(o, fit))
}

// candidates are the pairs whose surroundings are most alike.
func (c constellation) candidates(o constellation) []couple {
	var all []couple
	for i := range c.stars {
		var best [pairsEach]couple
		for j := range o.stars {
			p := couple{a: i, b: j, alike: c.surrounds[i].alike(&o.surrounds[j])}
			for k := range best {
				if p.alike > best[k].alike {
					p, best[k] = best[k], p
				}
			}
		}
		for _, p := range best {
			if p.alike > 0 {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, func(p, q couple) int { return cmp.Compare(q.alike, p.alike) })
	all = all[:min(len(all), mostPairs)]
	for i := range all {
		p := &all[i]
		p.turn = o.stars[p.b].angle - c.stars[p.a].angle
		p.sin, p.cos = math.Sincos(p.turn)
	}
	return all
}

// fits says how well two couples agree on how one finger lies on the other, 0 to 1.
func (p *couple) fits(q *couple, c, o *constellation) float64 {
	turned := math.Remainder(p.turn-q.turn, 2*math.Pi)
	if math.Abs(turned) > 2*nearTurn || p.a == q.a || p.b == q.b {
		return 0
	}
	ax, ay := c.stars[q.a].x-c.stars[p.a].x, c.stars[q.a].y-c.stars[p.a].y
	bx, by := o.stars[q.b].x-o.stars[p.b].x, o.stars[q.b].y-o.stars[p.b].y
	// seen from either, the other lies where the turn of both, in the mean, puts it
	sin, cos := p.sin+q.sin, p.cos+q.cos
	norm := math.Hypot(sin, cos)
	sin, cos = sin/norm, cos/norm
	ex, ey := ax*cos-ay*sin-bx, ax*sin+ay*cos-by
	far := math.Hypot(ax, ay)
	along := math.Abs(far - math.Hypot(bx, by))
	across := math.Hypot(ex, ey)
	return bell(along/(nearPlace+nearStretch*far)) * bell(across/(nearPlace+3*nearStretch*far)) * bell(turned/nearTurn)
}

// relax lets couples support each other: what agrees with many that are supported themselves comes out on top (spectral
// matching, Leordeanu and Hebert 2005).
func relax(couples []couple, c, o constellation) {
	n := len(couples)
	links := make([]float64, n*n)
	for i := range couples {
		couples[i].support = couples[i].alike
		for j := range i {
			v := couples[i].fits(&couples[j], &c, &o)
			links[i*n+j], links[j*n+i] = v, v
		}
	}
	next := make([]float64, n)
	for range relaxRounds {
		var norm float64
		for i := range couples {
			sum := couples[i].alike * couples[i].support
			for j, v := range links[i*n : (i+1)*n] {
				sum += v * couples[j].support
			}
			next[i] = sum
			norm = max(norm, sum)
		}
		if norm == 0 {
			return
		}
		for i := range couples {
			couples[i].support = next[i] / norm
		}
	}
}

// agree picks couples, the best supported first, each minutia once, all of which agree with the first.
func agree(couples []couple, c, o constellation) []couple {
	slices.SortFunc(couples, func(p, q couple) int { return cmp.Compare(q.support, p.support) })
	usedA, usedB := make([]bool, len(c.stars)), make([]bool, len(o.stars))
	var out []couple
	for _, p := range couples {
		if usedA[p.a] || usedB[p.b] || p.support < 0.05 {
			continue
		}
		if len(out) > 0 && out[0].fits(&p, &c, &o) < 0.05 {
			continue
		}
		usedA[p.a], usedB[p.b] = true, true
		out = append(out, p)
	}
	return out
}

// fit lays one finger on another: a turn and a shift, and what the skin around each anchor is off.
type fit struct {
	sin, cos, turn float64
	dx, dy         float64
	anchors        []anchor
}

// anchor is a place at which the shift is known better.
type anchor struct{ x, y, dx, dy, weight float64 }

// newFit finds the turn and shift under which couples lie best on each other, by least squares.
func newFit(couples []couple, c, o constellation) fit {
	var ax, ay, bx, by, sum float64
	for _, p := range couples {
		a, b := c.stars[p.a], o.stars[p.b]
		ax, ay, bx, by = ax+p.support*a.x, ay+p.support*a.y, bx+p.support*b.x, by+p.support*b.y
		sum += p.support
	}
	ax, ay, bx, by = ax/sum, ay/sum, bx/sum, by/sum
	var dot, wedge float64
	for _, p := range couples {
		a, b := c.stars[p.a], o.stars[p.b]
		dot += p.support * ((a.x-ax)*(b.x-bx) + (a.y-ay)*(b.y-by))
		wedge += p.support * ((a.x-ax)*(b.y-by) - (a.y-ay)*(b.x-bx))
	}
	f := fit{turn: math.Atan2(wedge, dot)}
	f.sin, f.cos = math.Sincos(f.turn)
	f.dx, f.dy = bx-(ax*f.cos-ay*f.sin), by-(ax*f.sin+ay*f.cos)
	for _, p := range couples {
		a, b := c.stars[p.a], o.stars[p.b]
		x, y := f.rigid(a.x, a.y)
		f.anchors = append(f.anchors, anchor{a.x, a.y, b.x - x, b.y - y, p.support})
	}
	return f
}

func (f fit) rigid(x, y float64) (float64, float64) {
	return x*f.cos - y*f.sin + f.dx, x*f.sin + y*f.cos + f.dy
}

// place is where a point of the first finger lies on the second: where turn and shift put it, and as far off that as the
// anchors around it are.
func (f fit) place(x, y float64) (float64, float64) {
	const reach, calm = 2.0, 0.5 // mm; weight of no correction
	var dx, dy float64
	sum := calm
	for _, a := range f.anchors {
		w := a.weight * bell(math.Hypot(a.x-x, a.y-y)/reach)
		sum += w
		dx += w * a.dx
		dy += w * a.dy
	}
	px, py := f.rigid(x, y)
	return px + dx/sum, py + dy/sum
}

// union is a pair of minutiae that lie on each other, and how closely, 0 to 1.
type union struct {
	a, b  int
	close float64
}

// extend pairs all minutiae that lie on each other, the closest first.
func (c constellation) extend(o constellation, f fit) []union {
	var all []union
	for i, a := range c.stars {
		x, y := f.place(a.x, a.y)
		for j, b := range o.stars {
			d := math.Hypot(b.x-x, b.y-y)
			turned := math.Remainder(b.angle-a.angle-f.turn, 2*math.Pi)
			if d < reachPlace && math.Abs(turned) < reachTurn {
				all = append(all, union{i, j, bell(d/closePlace) * bell(turned/closeTurn)})
			}
		}
	}
	slices.SortFunc(all, func(p, q union) int { return cmp.Compare(q.close, p.close) })
	usedA, usedB := make([]bool, len(c.stars)), make([]bool, len(o.stars))
	var out []union
	for _, u := range all {
		if !usedA[u.a] && !usedB[u.b] {
			usedA[u.a], usedB[u.b] = true, true
			out = append(out, u)
		}
	}
	return out
}

const (
	scoreScale = 31.0 // puts one score in a thousand of different fingers at [Threshold]
	mostFaint  = 2.5  // how much more the scores of faint prints count, at most
)

// score weighs the pairs, by how closely they lie on each other and how alike they are around, against all that was seen of
// either finger where the other was seen too: a clear minutia without its like speaks against, one that may be a speck doesn't.
// The form is that of a logistic regression on the logarithms of three sums, its weights rounded. Dividing by the mean weight of
// what was seen keeps the scores of different fingers alike, however faint the prints are, but for those of no ridges at all.
func (c constellation) score(o constellation, f fit, pairs []union) float64 {
	var all, clear float64
	for _, u := range pairs {
		alike := c.surrounds[u.a].alike(&o.surrounds[u.b])
		all += u.close * alike
		clear += u.close * alike * alike * math.Sqrt(c.stars[u.a].weight*o.stars[u.b].weight)
	}
	n, weight := c.overlap(o, f)
	weight = max(weight, 1)
	return scoreScale * all * math.Sqrt(clear/weight) * min(n/weight, mostFaint)
}

// overlap counts the minutiae of both that lie where the other finger was seen too, and adds up their weights.
func (c constellation) overlap(o constellation, f fit) (n, weight float64) {
	for _, a := range c.stars {
		if x, y := f.place(a.x, a.y); o.outline.holds(x, y, overlapSpare) {
			n++
			weight += a.weight
		}
	}
	for _, b := range o.stars {
		dx, dy := b.x-f.dx, b.y-f.dy
		if c.outline.holds(dx*f.cos+dy*f.sin, dy*f.cos-dx*f.sin, overlapSpare) {
			n++
			weight += b.weight
		}
	}
	return n, weight
}
