package finger

import (
	"cmp"
	"math"
	"slices"
)

// The filters that follow ridges: over half a turn, and over the periods.
const (
	followDirections = 48
	followPeriods    = 10
	followReach      = 7 // px at workPPI
)

// carrier is the ridge pattern as a wave: at every point its strength and phase along the normal.
type carrier struct {
	w, h   int
	re, im []float32 // ridges where re is positive
	nx, ny []float32 // the normal, y downwards, one of its two ways; 0 where no ridges are
	period []float32 // px
}

func (c carrier) wipe() {
	clear(c.re)
	clear(c.im)
	clear(c.nx)
	clear(c.ny)
	clear(c.period)
}

// demodulate follows the ridges along the flow.
func demodulate(p prepared, f flow) carrier {
	w, h := p.ridges.w, p.ridges.h
	n := w * h
	c := carrier{w, h, make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)}
	padded := p.ridges.padded(followReach)
	defer clear(padded.v)
	bank := make([]wavelet, followDirections*followPeriods)
	for i, in := range p.depth.v {
		at := f.at(float64(i%w), float64(i/w))
		if in == 0 || at.period == 0 {
			continue
		}
		nx, ny := at.normal()
		filter := follow(bank, math.Atan2(ny, nx), float64(at.period))
		c.re[i], c.im[i] = filter.response(padded, i%w, i/w)
		c.nx[i], c.ny[i], c.period[i] = float32(nx), float32(ny), at.period
	}
	return c
}

// follow picks the filter for a direction between -pi/2 and pi/2 and a period. It makes each when first asked.
func follow(bank []wavelet, phi, period float64) *wavelet {
	d := int(math.Round((phi/math.Pi + 0.5) * followDirections))
	d = min(max(d, 0), followDirections-1)
	t := (period - shortestPeriod) / (longestPeriod - shortestPeriod) * (followPeriods - 1)
	p := min(max(int(math.Round(t)), 0), followPeriods-1)
	filter := &bank[d*followPeriods+p]
	if filter.side == 0 {
		phi = math.Pi * (float64(d)/followDirections - 0.5)
		period = shortestPeriod + (longestPeriod-shortestPeriod)*float64(p)/(followPeriods-1)
		*filter = newWavelet(followReach, phi, period, 0.5*period, 0.65*period)
	}
	return filter
}

// along is the wave at point i, seen with a normal like (nx, ny): where its own runs the other way, the phase does too.
func (c carrier) along(i int, nx, ny float32) complex128 {
	im := c.im[i]
	if c.nx[i]*nx+c.ny[i]*ny < 0 {
		im = -im
	}
	return complex(float64(c.re[i]), float64(im))
}

// spiral is a point around which the phase makes a full turn: on one side of it lies one ridge more than on the other.
type spiral struct {
	x, y     float64 // px at workPPI
	dx, dy   float64 // unit vector, y downwards: to the side with the additional line
	period   float64
	kind     MinutiaType
	strength float64 // of the wave around it
	quality  int     // 1 to 100
}

// borderMargin is how far inside the finger a minutia must lie, in periods: nearer to the border every ridge ends.
const borderMargin = 1.4

// spirals finds every point around which the phase turns.
func spirals(c carrier, p prepared) []spiral {
	var all []spiral
	for y := range c.h - 1 {
		for x := range c.w - 1 {
			i := y*c.w + x
			if p.depth.v[i] < borderMargin*c.period[i] || c.period[i] == 0 {
				continue
			}
			if turns := c.winding(i); turns != 0 {
				all = append(all, c.spiral(i, turns))
			}
		}
	}
	return all
}

// winding counts the turns of the phase around the square of pixels at i, x towards y: -1, 0 or 1. The wave's own advance is
// taken off each step first, so that no step is near half a turn.
func (c carrier) winding(i int) int {
	corners := [4]int{i, i + 1, i + c.w + 1, i + c.w}
	steps := [4][2]float64{{1, 0}, {0, 1}, {-1, 0}, {0, -1}}
	nx, ny := c.nx[i], c.ny[i]
	k := 2 * math.Pi / float64(c.period[i])
	var sum float64
	for j, from := range corners {
		to := corners[(j+1)%4]
		if c.period[to] == 0 {
			return 0
		}
		a, b := c.along(from, nx, ny), c.along(to, nx, ny)
		cross := b * complex(real(a), -imag(a))
		advance := k * (float64(nx)*steps[j][0] + float64(ny)*steps[j][1])
		sum += math.Remainder(math.Atan2(imag(cross), real(cross))-advance, 2*math.Pi)
	}
	return int(math.Round(sum / (2 * math.Pi)))
}

// spiral describes the turn around the square of pixels at i.
func (c carrier) spiral(i, turns int) spiral {
	nx, ny := float64(c.nx[i]), float64(c.ny[i])
	s := spiral{period: float64(c.period[i]), dx: float64(turns) * ny, dy: -float64(turns) * nx}
	s.x, s.y = c.hollow(i)
	side := c.index(s.x+s.dx*s.period, s.y+s.dy*s.period)
	s.kind = RidgeEnding
	if c.re[side] < 0 {
		s.kind = Bifurcation
	}
	s.strength, _ = c.ring(s, 1)
	return s
}

// hollow is the point within the square of pixels at i at which the wave vanishes, by how weak it is at each corner.
func (c carrier) hollow(i int) (x, y float64) {
	var sum float64
	for j, k := range [4]int{i, i + 1, i + c.w, i + c.w + 1} {
		weight := 1 / (math.Hypot(float64(c.re[k]), float64(c.im[k])) + 1e-6)
		sum += weight
		x += weight * float64(j%2)
		y += weight * float64(j/2)
	}
	return float64(i%c.w) + x/sum, float64(i/c.w) + y/sum
}

// index is the pixel nearest to a point.
func (c carrier) index(x, y float64) int {
	ix, iy := min(max(int(math.Round(x)), 0), c.w-1), min(max(int(math.Round(y)), 0), c.h-1)
	return iy*c.w + ix
}

// mostSpirals bounds what a picture of noise costs.
const mostSpirals = 4 * MaxMinutiae

// leastQuality is what a minutia must have.
const leastQuality = 10

// sift gives spirals their quality and keeps those that may be minutiae, the best first. The quality is how many of a hundred
// such spirals are minutiae: a logistic regression on generated fingers, of which it is known where ridges end.
func sift(all []spiral, c carrier, f flow) []spiral {
	slices.SortFunc(all, func(a, b spiral) int { return cmp.Compare(b.strength, a.strength) })
	clear(all[min(len(all), mostSpirals):])
	all = all[:min(len(all), mostSpirals)]
	for i, s := range all {
		p := f.at(s.x, s.y)
		near, _ := c.ring(s, 0.6)
		mean, least := c.ring(s, 1)
		sure := math.Hypot(float64(p.cos), float64(p.sin))
		z := 3.1*near + 10*mean + 5.5*least + 1.4*sure + 0.7*alone(all, i) - 5.5
		all[i].quality = min(max(int(math.Round(100/(1+math.Exp(-z)))), 1), 100)
	}
	all = slices.DeleteFunc(all, func(s spiral) bool { return s.quality < leastQuality })
	slices.SortFunc(all, func(a, b spiral) int { return cmp.Compare(b.quality, a.quality) })
	return all
}

// ring is how strong the wave is around s, so many periods away: in the mean, and where it is weakest.
func (c carrier) ring(s spiral, periods float64) (mean, least float64) {
	const points = 16
	least = math.Inf(1)
	for k := range points {
		sin, cos := math.Sincos(2 * math.Pi * float64(k) / points)
		i := c.index(s.x+periods*s.period*cos, s.y+periods*s.period*sin)
		strength := math.Hypot(float64(c.re[i]), float64(c.im[i]))
		mean += strength / points
		least = min(least, strength)
	}
	return mean, least
}

// alone is how far away, in periods, the next spiral is that turns against spiral i, at most 3. Two that are near are the work
// of a gap or a bridge in a ridge, more often than not.
func alone(all []spiral, i int) float64 {
	s := all[i]
	nearest := 3.0
	for _, o := range all {
		if o.dx*s.dx+o.dy*s.dy < -0.3 {
			nearest = min(nearest, math.Hypot(o.x-s.x, o.y-s.y)/s.period)
		}
	}
	return nearest
}
