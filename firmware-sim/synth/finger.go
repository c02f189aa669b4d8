package synth

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Class is the ridge pattern class of a finger (Henry's, with the tented arch apart).
type Class string

// The pattern classes.
const (
	Arch       Class = "arch"
	TentedArch Class = "tented-arch"
	LeftLoop   Class = "left-loop"
	RightLoop  Class = "right-loop"
	Whorl      Class = "whorl"
)

// Classes lists the pattern classes.
func Classes() []Class { return []Class{Arch, TentedArch, LeftLoop, RightLoop, Whorl} }

// Finger names a finger: the same values are the same finger for ever.
type Finger struct {
	Seed  uint64
	Class Class
}

// Person names somebody: a face and ten fingers that follow from one number.
type Person uint64

// Finger returns the finger at position p. Classes occur about as often as in a population: mostly loops that open towards
// the little finger, a quarter of whorls, few arches.
func (who Person) Finger(p Position) Finger {
	r := newRand(uint64(who), 'f', uint64(p))
	ulnar, radial := RightLoop, LeftLoop
	if !p.Right() {
		ulnar, radial = radial, ulnar
	}
	class := ulnar
	switch v := r.Float64(); {
	case v < 0.26:
		class = Whorl
	case v < 0.31:
		class = Arch
	case v < 0.35:
		class = TentedArch
	case v < 0.38, v < 0.46 && p.digit() == 1: // index fingers have radial loops more often
		class = radial
	}
	return Finger{Seed: r.Uint64(), Class: class}
}

// The frame of a master and of a single impression, in pixels at PPI. The class recipes are written for it.
const (
	FingerWidth  = 416
	FingerHeight = 560
	PPI          = 500
)

// point is a place in the master's frame, y downwards.
type point struct{ x, y float64 }

// flow is the geometry of a finger's ridges: where they run and how far apart they are.
type flow struct {
	cores, deltas []singularity
	arch          bool
	bend          float64 // how high an arch rises
	period        float64 // px, mean
	wave          noise
}

// singularity is a core or a delta with its correction of the zero-pole model (Vizcaya and Gerhardt 1996): a piecewise
// linear distortion of the angle around it.
type singularity struct {
	point
	knots [8]float64
}

// newFlow draws the singularities of a finger.
func newFlow(f Finger) (flow, error) {
	r := newRand(f.Seed, 'm')
	fl := flow{period: 9 + 0.4*r.NormFloat64(), wave: noise(r.Uint64()), bend: 1.2 + 0.15*r.NormFloat64()}
	core := func(x, y, jitter float64) {
		fl.cores = append(fl.cores, newSingularity(r, x, y, jitter))
	}
	delta := func(x, y, jitter float64) {
		fl.deltas = append(fl.deltas, newSingularity(r, x, y, jitter))
	}
	switch f.Class {
	case Arch:
		fl.arch = true
	case TentedArch:
		core(208, 250, 6)
		delta(fl.cores[0].x, fl.cores[0].y+130, 6)
	case LeftLoop:
		core(200, 250, 12)
		delta(fl.cores[0].x+110, fl.cores[0].y+150, 15)
	case RightLoop:
		core(FingerWidth-200, 250, 12)
		delta(fl.cores[0].x-110, fl.cores[0].y+150, 15)
	case Whorl:
		core(208, 215, 8)
		core(208, 285, 8)
		delta(75, 410, 15)
		delta(341, 410, 15)
	default:
		return flow{}, fmt.Errorf("drawing a finger: class %q is unknown (hint: one of %v)", f.Class, Classes())
	}
	return fl, nil
}

func newSingularity(r *rand.Rand, x, y, jitter float64) singularity {
	s := singularity{point: point{x + jitter*r.NormFloat64(), y + jitter*r.NormFloat64()}}
	for i := range s.knots {
		s.knots[i] = 0.18 * r.NormFloat64()
	}
	return s
}

// angle is the direction from s to (x, y), y upwards, with the correction of s.
func (s singularity) angle(x, y float64) float64 {
	a := math.Atan2(s.y-y, x-s.x)
	at := (a + math.Pi) / (2 * math.Pi) * float64(len(s.knots))
	i := int(at)
	t := at - float64(i)
	n := len(s.knots)
	return a + s.knots[i%n]*(1-t) + s.knots[(i+1)%n]*t
}

// orientation is the direction of the ridge at (x, y): radians, anticlockwise from the x axis, 0 up to pi.
func (fl flow) orientation(x, y float64) float64 {
	var sum float64
	if fl.arch {
		rise := math.Sin(math.Pi * math.Pow(min(max(y/FingerHeight, 0), 1), 1.3))
		sum = math.Atan(fl.bend * rise * math.Cos(math.Pi*x/FingerWidth))
	}
	for _, c := range fl.cores {
		sum += c.angle(x, y) / 2
	}
	for _, d := range fl.deltas {
		sum -= d.angle(x, y) / 2
	}
	if len(fl.cores) > 0 { // towards the tip, ridges follow its outline
		tip := float64(smoothstep(float32(fl.cores[0].y), float32(fl.cores[0].y-180), float32(y)))
		sum += math.Atan(0.55 * tip * math.Cos(math.Pi*x/FingerWidth))
	}
	sum = math.Mod(sum, math.Pi)
	if sum < 0 {
		sum += math.Pi
	}
	return sum
}

// periodAt is the distance from ridge to ridge at (x, y) in px: wider above the core and below the delta.
func (fl flow) periodAt(x, y float64) float64 {
	above, below := 170.0, 400.0
	if len(fl.cores) > 0 {
		above, below = fl.cores[0].y-60, fl.deltas[0].y+10
	}
	wide := float64(smoothstep(float32(above), float32(above-120), float32(y)))
	wide += float64(smoothstep(float32(below), float32(below+120), float32(y)))
	return fl.period + 0.9*wide + 0.6*float64(fl.wave.at(float32(x)/90, float32(y)/90))
}
