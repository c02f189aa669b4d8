package synth

import (
	"math"
)

// Places on a head at rest, in millimetres from the middle between the eyes. The head looks along +z.
const (
	eyeX     = 31.5
	eyeZ     = 84
	mouthY   = -74
	crownY   = 122
	chinY    = -121
	shoulder = -190
)

// curve is a smooth function given by its values at rising places.
type curve []struct{ at, v float32 }

func (c curve) value(x float32) float32 {
	if x <= c[0].at {
		return c[0].v
	}
	for i := 1; i < len(c); i++ {
		if x < c[i].at {
			return c.between(i, (x-c[i-1].at)/(c[i].at-c[i-1].at))
		}
	}
	return c[len(c)-1].v
}

// between follows a Catmull-Rom spline from knot i-1 to knot i.
func (c curve) between(i int, t float32) float32 {
	p0, p1, p2, p3 := c[max(i-2, 0)].v, c[i-1].v, c[i].v, c[min(i+1, len(c)-1)].v
	return p1 + 0.5*t*(p2-p0+t*(2*p0-5*p1+4*p2-p3+t*(3*(p1-p2)+p3-p0)))
}

// The outline of a head from chin to crown: half its width, and how far it reaches forward and back.
var (
	headWidth = curve{{chinY, 0}, {-119, 17}, {-113, 29}, {-103, 40}, {-88, 51}, {-70, 60}, {-45, 66.5}, {-20, 71}, {10, 73.5},
		{40, 75}, {65, 72}, {88, 62}, {104, 46}, {115, 27}, {120, 12}, {crownY, 0}}
	headFront = curve{{chinY, 50}, {-119, 68}, {-113, 79}, {-103, 84}, {-90, 82}, {-75, 84}, {-55, 84}, {-20, 84}, {0, 84},
		{18, 87}, {45, 86}, {70, 76}, {90, 60}, {105, 38}, {115, 15}, {crownY, -10}}
	headBack = curve{{chinY, 30}, {-100, 10}, {-85, -20}, {-60, -58}, {-20, -88}, {30, -100}, {65, -94}, {90, -76}, {108, -50},
		{118, -26}, {crownY, -10}}
)

// shape is what differs in form between people; 1 is the average.
type shape struct {
	width, jaw, nose, noseWidth, lips, eyes, brow float32
}

// surface returns the point of a head in direction u (0 to 1 around it, from behind over its right side, front and left
// side) at height v (0 crown to 1 chin).
func (s shape) surface(u, v float32) vec {
	y := crownY - (crownY-chinY)*rounded(v)
	phi := float64(aroundHead(u))
	sin, cos := math.Sincos(phi)
	w, front, back := headWidth.value(y), headFront.value(y), headBack.value(y)
	w *= lerp(1, s.jaw, smoothstep(-20, -80, y)) * s.width
	middle := (front + back) / 2 * smoothstep(-130, -40, y) // the widest place lies between front and back
	middle = min(middle, front-5) - 6
	x := w * power(float32(sin), 0.92)
	depth := front - middle
	if cos < 0 {
		depth = middle - back
	}
	p := vec{x, y, middle + depth*power(float32(cos), 0.86)}
	if cos > 0 {
		p.z += s.relief(p.x, p.y) * smoothstep(0, 0.35, float32(cos))
	}
	return p
}

// rounded spaces the rows of a head so that crown and chin get more of them.
func rounded(v float32) float32 {
	return 0.35*(0.5-0.5*float32(math.Cos(math.Pi*float64(v)))) + 0.65*v
}

// aroundHead turns 0..1 into an angle with most of its steps in front.
func aroundHead(u float32) float32 {
	t := float64(2*u - 1)
	return float32(math.Pi * (0.45*t + 0.55*t*t*t))
}

// power raises the size of v to e and keeps its sign.
func power(v, e float32) float32 {
	p := float32(math.Pow(float64(abs(v)), float64(e)))
	if v < 0 {
		return -p
	}
	return p
}

// bump is a Gaussian hill at (cx, cy).
func bump(x, y, cx, cy, sx, sy float32) float32 {
	dx, dy := (x-cx)/sx, (y-cy)/sy
	d := dx*dx + dy*dy
	if d > 18 {
		return 0
	}
	return float32(math.Exp(float64(-d / 2)))
}

// relief is how far the features of a face stand out at (x, y), mm.
func (s shape) relief(x, y float32) float32 {
	side := abs(x)
	z := s.noseRelief(x, y)
	z -= 7.5 * bump(side, y, eyeX-2, 3, 15, 9)                  // sockets
	z += 5.5 * s.eyes * bump(side, y, eyeX, 0, 11, 7.5)         // eyeballs under their lids
	z -= 1.2 * bump(side, y, eyeX, -13, 13, 3)                  // below the eyes
	z += 3.2 * s.brow * bump(side, y, 27, 17, 18, 6)            // brow
	z += 4 * bump(side, y, 46, -27, 15, 15)                     // cheekbones
	z += 4.5 * bump(x, y, 0, mouthY, 24, 20)                    // muzzle
	z += 3.2 * s.lips * bump(x, y, 0, mouthY+5, 15, 3.4)        // upper lip
	z += 4.2 * s.lips * bump(x, y, 0, mouthY-6.5, 13, 4)        // lower lip
	z -= 2.4 * bump(x, y, 0, mouthY, 12, 1.6)                   // seam
	z -= 1.6 * bump(side, y, 25, mouthY, 4, 4)                  // corners
	z -= 1.2 * bump(x, y, 0, -60, 3, 6)                         // philtrum
	z -= 2.6 * bump(x, y, 0, mouthY-16, 15, 4)                  // above the chin
	z += 5 * bump(x, y, 0, -104, 16, 10)                        // chin
	return z - 1.4*bump(side, y, 21+0.35*(-52-y), -56, 3.5, 13) // from nose to mouth
}

// noseRelief is the nose: a bridge that rises to the tip, wings, and a sharp end below.
func (s shape) noseRelief(x, y float32) float32 {
	tip := float32(-42) * (0.5 + 0.5*s.nose)
	if y > 14 || y < tip-22 {
		return 0
	}
	down := clamp((6-y)/(6-tip), 0, 1)
	wide := lerp(6.5, 10.5, down*down) * (0.4 + 0.6*s.noseWidth)
	height := lerp(1, 19*s.nose, down*down*(1.6-0.6*down)) * smoothstep(14, 2, y)
	end := smoothstep(tip-15, tip-3, y)
	z := height * end * bump(x, 0, 0, 0, wide, 1)
	z += 4 * s.nose * bump(x, y, 0, tip-1, 7.5, 7) * end
	z += 8 * bump(abs(x), y, 13.5*s.noseWidth, tip-7, 5.2, 5.5) * smoothstep(tip-16, tip-10, y)
	return z - 2.5*bump(abs(x), y, 6.5, tip-13.5, 3.2, 2.2) // nostrils
}

// ear returns a point of an ear; side is -1 or 1.
func (s shape) ear(side float32) func(u, v float32) vec {
	return func(u, v float32) vec {
		sinU, cosU := math.Sincos(2 * math.Pi * float64(u) * float64(side))
		sinV, cosV := math.Sincos(math.Pi * float64(v))
		y := 31 * float32(cosV)
		ring := float32(sinV) * (1 + 0.15*float32(cosV))
		x, z := 8*ring*float32(sinU), 16*ring*float32(cosU)
		rim := smoothstep(0.55, 0.95, sqrt(z*z/256+y*y/961))
		return vec{side*(74*s.width-0.25*z+0.1*(y-20)) + x*(0.6+0.4*rim), -12 + y - 0.12*z, -14 + z + 0.14*y}
	}
}

// The neck and the body below it: half widths, and the middles and depths of their cross-sections, by height.
var (
	neckWidth = curve{{-260, 104}, {-205, 80}, {-180, 62}, {-158, 53}, {-120, 50}, {-60, 50}}
	bodyWidth = curve{{-700, 232}, {-480, 228}, {-330, 222}, {-280, 212}, {-250, 196}, {-224, 168}, {-206, 134}, {-192, 104},
		{-180, 78}, {-164, 52}}
	bodyDepth = curve{{-700, 135}, {-400, 128}, {-280, 108}, {-230, 90}, {-205, 74}, {-185, 60}, {-164, 44}}
)

func neck(u, v float32) vec {
	y := -60 - 190*v
	sin, cos := math.Sincos(math.Pi * float64(2*u-1))
	w := neckWidth.value(y)
	return vec{w * float32(sin), y, -22 + 0.95*w*float32(cos)}
}

func body(u, v float32) vec {
	y := -164 - 536*v*v
	sin, cos := math.Sincos(math.Pi * float64(2*u-1))
	return vec{bodyWidth.value(y) * power(float32(sin), 0.9), y, -25 + bodyDepth.value(y)*power(float32(cos), 0.8)}
}
