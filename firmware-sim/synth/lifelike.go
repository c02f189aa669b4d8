package synth

import (
	"image"
	"math"
	"math/rand/v2"
)

// Lifelike makes a slap as a hand leaves it on a glass in use: a hand of some size, fingers of their own length that spread
// and lean, contacts that are not all alike, and what the glass and the sensor add. All shares run from 0 (none) to 1 (as bad
// as it gets).
type Lifelike struct {
	Vary      float64 // how much hands and fingers differ from the average one
	Phalanges float64 // chance of a finger to show its middle phalanx, below the joint
	Fading    float64 // how far contacts lose ink towards one side, and fingers of one hand differ in it
	Dirt      float64 // smudges, and ghosts of prints that lay there before
	Salt      float64 // single black pixels: at most one in a hundred
	Halo      float64 // grey moisture around contacts
}

// By digit, thumb to little finger, of an average hand: from the middle finger's tip down to this one's (px), and from the
// index finger's middle line to this one's.
var (
	tipDrop   = [5]float64{0, 115, 0, 75, 270}
	tipAcross = [5]float64{0, 0, 348, 690, 1010}
	tipSize   = [5]float64{1.1, 1, 1.03, 0.98, 0.83}
	tipLean   = [5]float64{-24, -5, -1, 2, 8}
)

// lay places the fingers of one hand, or a pair of both, around the origin; positions are those of the contacts' middles.
func (l *Lifelike) lay(fingers []Position, r *rand.Rand) []placing {
	hand := 1 + l.Vary*limit(0.06*r.NormFloat64(), 0.1)
	arc, spread := 1+l.Vary*limit(0.3*r.NormFloat64(), 0.55), 1+l.Vary*limit(0.05*r.NormFloat64(), 0.08)
	splay := 0.6 + 0.5*l.Vary*r.NormFloat64()
	at := make([]placing, len(fingers))
	var x float64
	for i, p := range fingers {
		d := p.digit()
		side := 1.0
		if !p.Right() {
			side = -1
		}
		switch {
		case d == 0 || i > 0 && fingers[i-1].Right() != p.Right():
			if i > 0 {
				x += 430 + 180*l.Vary*r.Float64()
			}
		case i > 0:
			x += math.Abs(tipAcross[d]-tipAcross[fingers[i-1].digit()]) * hand * spread
		}
		size := hand * tipSize[d] * (1 + l.Vary*limit(0.04*r.NormFloat64(), 0.08))
		long := 1 + l.Vary*limit(0.07*r.NormFloat64(), 0.15)
		tip := arc*hand*tipDrop[d] + l.Vary*limit(14*r.NormFloat64(), 30)
		at[i] = placing{slot: p, x: x + l.Vary*limit(6*r.NormFloat64(), 12), y: tip + 222*size*long,
			turn: side*splay*tipLean[d] + l.Vary*limit(2.5*r.NormFloat64(), 6), size: size, long: long, seed: r.Uint64(),
			fade: l.Fading * r.Float64(), fadeTo: 2 * math.Pi * r.Float64(), faint: 0.5 * l.Fading * r.Float64(),
			phalanx: r.Float64() < l.Phalanges}
	}
	return at
}

// phalanx prints the middle phalanx of a finger below its joint: ridges that run across, more or less.
func (at placing) pressPhalanx(dst *image.Gray, t Touch) {
	r := newRand(at.seed, 'q')
	c := contact{halfW: at.size * (140 + 8*r.NormFloat64()), halfH: at.size * (95 + 55*r.Float64()), edge: noise(r.Uint64())}
	skin, bend := newSkin(t, r.Uint64()), noise(r.Uint64())
	period, gap := 9.5+0.4*r.NormFloat64(), 18+40*r.Float64()
	sin, cos := math.Sincos(radians(at.turn))
	down := 222*at.size*at.length() + gap + c.halfH
	mx, my := at.x-sin*down, at.y+cos*down
	reach := int(math.Hypot(c.halfW, c.halfH) * 1.2)
	area := image.Rect(int(mx)-reach, int(my)-reach, int(mx)+reach, int(my)+reach).Intersect(dst.Rect)
	ink := newField(max(area.Dx(), 0), max(area.Dy(), 0))
	for i := range ink.v {
		dx, dy := float64(area.Min.X+i%ink.w)-mx, float64(area.Min.Y+i/ink.w)-my
		x, y := float32(dx*cos+dy*sin), float32(dy*cos-dx*sin)
		touch := c.inside(x, y)
		if touch == 0 {
			continue
		}
		phase := float64(y)/period + 1.3*float64(bend.at(x/110, y/60)) + 0.25*float64(bend.at(x/23, 9+y/11))
		ink.v[i] = touch * float32(1-at.faint) * skin.ink(float32(math.Sin(2*math.Pi*phase)), x, y)
	}
	ink.blur()
	ink.darken(dst, area.Min)
}

// soil adds what is on the glass besides fingers, and the sensor's noise.
func (l *Lifelike) soil(dst *image.Gray, at []placing, lib *Library, who Person, r *rand.Rand) error {
	if l.Halo > 0 {
		for _, p := range at {
			p.halo(dst, l.Halo*r.Float64(), 20+50*r.Float64())
		}
	}
	if l.Dirt > 0 {
		if err := l.ghosts(dst, lib, who, r); err != nil {
			return err
		}
		smudge(dst, l.Dirt*35*r.Float64(), noise(r.Uint64()))
	}
	for range int(l.Salt * r.Float64() * 0.01 * float64(len(dst.Pix))) {
		dst.Pix[r.IntN(len(dst.Pix))] = uint8(60 * r.Float64())
	}
	return nil
}

// ghosts lays faint prints of fingers that touched the glass before.
func (l *Lifelike) ghosts(dst *image.Gray, lib *Library, who Person, r *rand.Rand) error {
	for range r.IntN(4) {
		m, err := lib.Master(who.Finger(Position(2 + r.IntN(4))))
		if err != nil {
			return err
		}
		m.press(dst, placing{x: GlassWidth * r.Float64(), y: GlassHeight * r.Float64(), turn: 360 * r.Float64(), size: 0.9,
			seed: r.Uint64(), faint: 1 - 0.13*l.Dirt}, Touch{Noise: 2, Plastic: 1})
	}
	return nil
}

// halo darkens the glass around a contact, less and less over so many px.
func (at placing) halo(dst *image.Gray, share, width float64) {
	w, h := at.size*160+width, at.size*at.length()*225+width
	sin, cos := math.Sincos(radians(at.turn))
	reach := int(math.Hypot(w, h))
	area := image.Rect(int(at.x)-reach, int(at.y)-reach, int(at.x)+reach, int(at.y)+reach).Intersect(dst.Rect)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			dx, dy := float64(x)-at.x, float64(y)-at.y
			d := math.Hypot((dx*cos+dy*sin)/w, (dy*cos-dx*sin)/h)
			i := dst.PixOffset(x, y)
			dst.Pix[i] = min(dst.Pix[i], uint8(255-60*share*float64(smoothstep(1, 0.75, float32(d)))))
		}
	}
}

// smudge darkens the whole glass in clouds, by so many grey levels at most.
func smudge(dst *image.Gray, most float64, clouds noise) {
	for i := range dst.Pix {
		x, y := float32(i%dst.Stride), float32(i/dst.Stride)
		v := clamp(clouds.at(x/260, y/210)+0.4*clouds.at(x/60, 70+y/60), 0, 1)
		dst.Pix[i] -= min(dst.Pix[i], uint8(float32(most)*v))
	}
}
