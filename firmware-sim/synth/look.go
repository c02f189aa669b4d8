package synth

import (
	"math"
)

// Hair is how somebody's head is covered.
type Hair string

// The styles of hair.
const (
	ShortHair Hair = "short"
	LongHair  Hair = "long"
	NoHair    Hair = "bald"
	Scarf     Hair = "scarf" // a head covering that leaves the face free
)

// look is everything about a person that can be seen and does not change.
type look struct {
	shape
	hair                            Hair
	skin, hairColour, cloth         vec // linear
	iris, scarf                     vec
	browThickness, stubble, hairTop float32
	grain                           noise
	collar                          bool
}

// Colours of people, in sRGB.
var (
	skins = [][3]float64{{236, 200, 178}, {226, 184, 156}, {210, 164, 132}, {188, 138, 104}, {158, 110, 80}, {122, 82, 60}, {96, 66, 50}}
	hairs = [][3]float64{{34, 27, 25}, {52, 38, 31}, {84, 58, 41}, {128, 94, 60}, {172, 138, 92}, {128, 126, 124}}
	eyes  = [][3]float64{{74, 50, 34}, {92, 66, 42}, {98, 110, 122}, {86, 104, 84}}
	dyes  = [][3]float64{{46, 60, 84}, {92, 42, 48}, {58, 76, 66}, {70, 66, 74}, {120, 116, 108}, {148, 126, 92}, {40, 44, 50}}
)

// pick returns a colour of a list, between two neighbours of it.
func pick(list [][3]float64, at float64) vec {
	i := min(int(at*float64(len(list)-1)), len(list)-2)
	t := at*float64(len(list)-1) - float64(i)
	var c [3]float32
	for k := range c {
		c[k] = linear(list[i][k]*(1-t) + list[i+1][k]*t)
	}
	return vec{c[0], c[1], c[2]}
}

// linear undoes the sRGB curve (IEC 61966-2-1) of a value from 0 to 255.
func linear(v float64) float32 {
	v /= 255
	if v <= 0.04045 {
		return float32(v / 12.92)
	}
	return float32(math.Pow((v+0.055)/1.055, 2.4))
}

// look draws somebody's appearance.
func (who Person) look() look {
	r := newRand(uint64(who), 'k')
	about := func(sd float64) float32 { return float32(1 + limit(sd*r.NormFloat64(), 2*sd)) }
	tone := r.Float64()
	l := look{
		shape: shape{width: about(0.035), jaw: about(0.06), nose: about(0.08), noseWidth: about(0.1) + float32(0.1*tone),
			lips: about(0.12) + float32(0.2*tone), eyes: about(0.05), brow: about(0.2)},
		skin:          pick(skins, tone),
		browThickness: about(0.18),
		grain:         noise(r.Uint64()),
		iris:          pick(eyes, r.Float64()*(1-tone*0.8)),
		cloth:         pick(dyes, r.Float64()),
		scarf:         pick(dyes, r.Float64()),
		collar:        r.Float64() < 0.5,
		hairTop:       float32(8 * r.Float64()),
	}
	l.hairColour = pick(hairs, r.Float64()*(1-0.75*tone))
	if r.Float64() < 0.12 {
		l.hairColour = pick(hairs, 1)
	}
	switch v := r.Float64(); {
	case v < 0.46:
		l.hair = ShortHair
	case v < 0.82:
		l.hair = LongHair
	case v < 0.92:
		l.hair = Scarf
	default:
		l.hair = NoHair
	}
	if l.hair == ShortHair || l.hair == NoHair {
		l.stubble = float32(math.Max(0, r.Float64()-0.45))
		l.jaw += 0.05
	} else {
		l.browThickness *= 0.75
		l.lips += 0.12
	}
	l.lips = min(l.lips, 1.5)
	return l
}
