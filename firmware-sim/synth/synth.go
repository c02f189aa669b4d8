// Package synth makes the people of the simulation: fingerprints, slaps and faces that belong to nobody.
//
// The one idea: everything follows from numbers. A seed and a handful of parameters give the same picture on every machine,
// so a test can know the truth about what a device saw, and no real person's biometrics are ever needed. Fingers follow
// the SFinGe method (Cappelli, Maio, Maltoni, "Synthetic fingerprint generation", 2004); faces are a shaded parametric
// head in a plain booth. Pictures can also be read from files, and are then placed as they are.
package synth

import (
	"math"
	"math/rand/v2"
)

// Position is a single finger, 1 (right thumb) to 10 (left little), as ANSI/NIST-ITL 1-2011 Update 2015, table 12, numbers
// them.
type Position int

// The ten fingers.
const (
	RightThumb Position = iota + 1
	RightIndex
	RightMiddle
	RightRing
	RightLittle
	LeftThumb
	LeftIndex
	LeftMiddle
	LeftRing
	LeftLittle
)

// Valid reports whether p is one of the ten fingers.
func (p Position) Valid() bool { return p >= RightThumb && p <= LeftLittle }

// Right reports whether p belongs to the right hand.
func (p Position) Right() bool { return p <= RightLittle }

// digit gives 0 for thumbs to 4 for little fingers.
func (p Position) digit() int { return (int(p) - 1) % 5 }

// newRand returns the random source of one purpose: equal numbers give equal sequences.
func newRand(seed uint64, purpose ...uint64) *rand.Rand {
	h := mix(seed)
	for _, p := range purpose {
		h = mix(h ^ p)
	}
	return rand.New(rand.NewPCG(h, mix(h)))
}

// mix scatters the bits of x (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// noise is a smooth random field over the plane, -1 to 1, with features of about one unit.
type noise uint64

func (n noise) at(x, y float32) float32 {
	ix, iy := floor(x), floor(y)
	tx, ty := x-float32(ix), y-float32(iy)
	tx, ty = tx*tx*(3-2*tx), ty*ty*(3-2*ty)
	top := lerp(n.knot(ix, iy), n.knot(ix+1, iy), tx)
	bottom := lerp(n.knot(ix, iy+1), n.knot(ix+1, iy+1), tx)
	return lerp(top, bottom, ty)
}

// knot is the value of the field at a whole point.
func (n noise) knot(x, y int32) float32 {
	h := mix(uint64(n) ^ uint64(uint32(x))<<32 ^ uint64(uint32(y)))
	return float32(h>>40)/float32(1<<23) - 1
}

// floor is the whole number at or below v.
func floor(v float32) int32 {
	i := int32(v)
	if float32(i) > v {
		i--
	}
	return i
}

func lerp(a, b, t float32) float32 { return a + (b-a)*t }

func clamp(v, lo, hi float32) float32 { return min(max(v, lo), hi) }

// smoothstep rises from 0 at lo to 1 at hi; with lo above hi it falls.
func smoothstep(lo, hi, v float32) float32 {
	t := clamp((v-lo)/(hi-lo), 0, 1)
	return t * t * (3 - 2*t)
}

func radians(degrees float64) float64 { return degrees * math.Pi / 180 }
