package synth

import (
	"math"
)

// light is how a scene is lit.
type light struct {
	key, fill    vec // directions to the lamps
	keyI, fillI  float32
	sky, ground  float32
	level        float32
	eyesOpen     float32 // 0 shut to 1 open
	mouthOpen    float32 // mm
	gazeX, gazeY float32 // mm
}

// shade returns the light from a matt surface with a little gloss. Skin scatters: its red reaches round into the shadow.
func (l light) shade(albedo, normal vec, gloss, scatter float32) vec {
	n := normal.unit()
	wrap := func(by float32) float32 {
		key := max(0, (n.dot(l.key)+by)/(1+by))
		fill := max(0, (n.dot(l.fill)+by)/(1+by))
		return l.keyI*key + l.fillI*fill + lerp(l.ground, l.sky, 0.5+0.5*n.y)
	}
	half := l.key.add(vec{0, 0, 1}).unit()
	shine := gloss * l.keyI * power(max(0, n.dot(half)), 18)
	out := vec{albedo.x * wrap(0.3*scatter), albedo.y * wrap(0.12*scatter), albedo.z * wrap(0.08*scatter)}
	return out.add(vec{shine, shine, shine})
}

// cover lays colour over base where a is 1.
func cover(base, colour vec, a float32) vec { return base.mix(colour, clamp(a, 0, 1)) }

func scale(c, by vec) vec { return vec{c.x * by.x, c.y * by.y, c.z * by.z} }

// skinPaint is a face, or the neck and ears that go with it.
type skinPaint struct {
	light
	look
	part string // "head", "neck", "ear"
}

func (p skinPaint) covers(vec) bool { return true }
func (p skinPaint) inside() bool    { return false }

func (p skinPaint) colour(rest, normal vec) vec {
	albedo := p.skin.times(1 + 0.035*p.grain.at(rest.x/5, rest.y/5) + 0.02*p.grain.at(rest.x*0.9, rest.y*0.9))
	switch p.part {
	case "neck":
		if p.hair == Scarf {
			return p.shade(p.scarf.times(0.55), normal, 0, 0)
		}
		dim := lerp(0.42, 1, smoothstep(-112, -188, rest.y))
		return p.shade(albedo.times(dim), normal, 0.01, 1)
	case "ear":
		inner := 1 - 0.35*bump(rest.z, rest.y, -10, -10, 7, 14)
		return p.shade(scale(albedo, vec{1, 0.9, 0.88}).times(inner), normal, 0.02, 1)
	}
	if rest.z < 0 {
		return p.shade(albedo, normal, 0.02, 1)
	}
	albedo = p.complexion(albedo, rest)
	albedo, wet := p.paintLips(albedo, rest)
	lit := p.shade(albedo, normal, 0.035+wet, 1)
	lit = p.paintEyes(lit, rest, normal)
	return p.paintBrows(lit, rest, normal)
}

// complexion is what skin looks like before lamps: redder cheeks and nose, darker hollows, stubble.
func (p skinPaint) complexion(c, at vec) vec {
	side := abs(at.x)
	tip := float32(-42) * (0.5 + 0.5*p.nose)
	blush := 0.8*bump(side, at.y, 44, -34, 16, 14) + 0.6*bump(at.x, at.y, 0, tip, 11, 9)
	c = scale(c, vec{1 + 0.03*blush, 1 - 0.1*blush, 1 - 0.09*blush})
	hollow := 0.2*bump(side, at.y, 17, 1, 6, 8) + 0.13*bump(side, at.y, eyeX, 8, 15, 4.5) +
		0.1*bump(side, at.y, eyeX-4, -12, 12, 4) + 0.16*bump(at.x, at.y, 0, mouthY-15, 13, 3.5) +
		0.24*bump(at.x, at.y, 0, tip-17, 13, 2.6) + 0.1*bump(side, at.y, 15.5, tip-4, 2.2, 6) +
		0.08*bump(side, at.y, 21+0.35*(-52-at.y), -56, 2.5, 10)
	dark := scale(c, vec{0.75, 0.6, 0.55})
	c = cover(c, dark, 2*hollow)
	c = cover(c, vec{0.012, 0.007, 0.006}, 0.9*smoothstep(1.6, 0.4, sqrt(square((side-6.4)/3.4)+square((at.y-tip+14)/1.8))))
	if p.stubble > 0 {
		area := smoothstep(-48, -66, at.y) * (1 - 0.85*bump(at.x, at.y, 0, mouthY-2, 19, 6)) * smoothstep(95, 70, side+0.3*at.y)
		c = cover(c, p.hairColour.mix(p.skin, 0.35), p.stubble*area*(0.75+0.5*p.grain.at(at.x*1.3, at.y*1.3)))
	}
	return c
}

func square(v float32) float32 { return v * v }

// paintLips colours the lips and what is between them.
func (p skinPaint) paintLips(c, at vec) (vec, float32) {
	t := abs(at.x) / 24.5
	if t >= 1.15 || at.y > mouthY+14 || at.y < mouthY-18 {
		return c, 0
	}
	arch := max(0, 1-t*t)
	seam := mouthY + 0.9*float32(math.Cos(float64(at.x)/5.5))*arch + 0.5*t*t
	top := seam + (7.6*arch-1.7*bump(at.x, 0, 0, 0, 3.6, 1))*(0.45+0.55*p.lips)
	bottom := seam - 9.8*power(arch, 0.8)*(0.45+0.55*p.lips)
	red := scale(p.skin, vec{0.82, 0.52, 0.52}).add(vec{0.012, 0, 0})
	if at.y > seam {
		red = red.times(0.84)
	}
	in := smoothstep(0, 1.6, top-at.y) * smoothstep(0, 1.8, at.y-bottom) * smoothstep(1.04, 0.93, t)
	c = cover(c, red, 0.88*in)
	gloss := 0.05 * in * bump(at.x, at.y, 0, seam-5, 9, 2)
	open := smoothstep(0.5, 3, p.mouthOpen)
	inside := open * smoothstep(0, -0.3, at.y-mouthY) * smoothstep(-3.2, -2.9, at.y-mouthY) * smoothstep(1, 0.9, t)
	c = cover(c, vec{0.03, 0.008, 0.008}, inside)
	teeth := inside * smoothstep(-1.35, -1.1, at.y-mouthY) * smoothstep(0.8, 0.6, t)
	c = cover(c, vec{0.42, 0.39, 0.35}, teeth)
	line := (1 - open) * smoothstep(1.1, 0.2, abs(at.y-seam)) * smoothstep(1.08, 0.9, t)
	return cover(c, scale(p.skin, vec{0.2, 0.1, 0.1}), 0.85*line), gloss
}

// paintEyes draws the eyes between their lids, with lashes and the crease above.
func (p skinPaint) paintEyes(c, at, normal vec) vec {
	side := float32(1)
	if at.x < 0 {
		side = -1
	}
	x, y := at.x*side-eyeX, at.y-0.04*(at.x*side-eyeX)-0.4 // outwards from the middle of this eye; outer corners higher
	t := x / (14.5 * p.eyes)
	if abs(t) > 1.3 || y > 16 || y < -12 {
		return c
	}
	arch := power(max(0, 1-t*t), 0.75)
	lower := -4.3 * p.eyes * arch
	upper := lerp(lower+0.3, 5.7*p.eyes*arch*(1-0.12*t), p.eyesOpen)
	crease := lerp(upper+1.5, 9.3*p.eyes*power(max(0, 1-0.7*t*t), 0.8)-0.5, 0.35+0.65*p.eyesOpen)
	c = cover(c, c.times(0.55), 0.75*smoothstep(1.3, 0, abs(y-crease))*smoothstep(1.2, 0.8, abs(t)))
	if y < upper && y > lower && abs(t) < 1 {
		eye := p.eyeball(x*side-p.gazeX, y-0.7-p.gazeY, at, normal)
		eye = eye.times(lerp(0.38, 1, smoothstep(0, 3.4, upper-y)))
		c = cover(c, eye, smoothstep(0, 0.7, upper-y)*smoothstep(0, 0.7, y-lower))
	}
	lash := p.hairColour.times(0.25)
	if abs(t) < 1.06 {
		thick := 1.3 + 0.5*t
		c = cover(c, lash, 0.92*smoothstep(thick, 0.3, abs(y-upper-0.3))*smoothstep(1.06, 0.9, abs(t)))
		c = cover(c, lash, 0.45*smoothstep(0.9, 0.1, abs(y-lower))*smoothstep(1, 0.7, abs(t)))
	}
	return cover(c, scale(p.skin, vec{0.5, 0.2, 0.18}), 0.5*p.eyesOpen*bump(x, y, -14.2*p.eyes, -0.8, 1.6, 1.3))
}

// eyeball is an eye at (x, y) from the middle of its pupil.
func (p skinPaint) eyeball(x, y float32, at, normal vec) vec {
	white := p.shade(vec{0.5, 0.455, 0.43}, normal, 0, 0).times(0.92 - 0.012*abs(x))
	r := sqrt(x*x + y*y)
	angle := float32(math.Atan2(float64(y), float64(x)))
	fibre := 1 + 0.35*p.grain.at(angle*9, r*0.6)
	iris := p.iris.times(fibre * lerp(1.5, 0.75, smoothstep(2, 5.5, r)))
	iris = p.shade(iris, vec{0, 0, 1}, 0, 0).times(0.9)
	c := cover(white, iris.times(0.3), smoothstep(6.5, 5.9, r))
	c = cover(c, iris, smoothstep(5.9, 5.2, r))
	c = cover(c, vec{0.004, 0.004, 0.004}, smoothstep(2.7, 2.2, r))
	glint := smoothstep(1.5, 0.7, sqrt(square(x-4*p.key.x)+square(y-3.2*max(p.key.y, 0.4))))
	return c.add(vec{0.85, 0.85, 0.85}.times(glint * p.keyI))
}

func (p skinPaint) paintBrows(c, at, normal vec) vec {
	t := (abs(at.x) - 12) / 36
	if t < -0.1 || t > 1.1 || at.y < 8 || at.y > 32 {
		return c
	}
	middle := 15.5 + 6.2*float32(math.Sin(math.Pi*float64(clamp(0.08+0.72*t, 0, 1)))) - 1.5*t
	half := 3.6 * p.browThickness * (1 - 0.6*t)
	hairs := 0.85 + 0.35*p.grain.at((abs(at.x)-at.y*0.7)*0.75, at.y*0.22)
	a := smoothstep(half+1.6, half-1.8, abs(at.y-middle)) * smoothstep(-0.06, 0.1, t) * smoothstep(1.06, 0.8, t) * hairs
	return cover(c, p.shade(p.hairColour.times(0.8), normal, 0, 0), 0.88*a)
}

// clothPaint is the body.
type clothPaint struct {
	light
	look
}

func (p clothPaint) covers(vec) bool { return true }
func (p clothPaint) inside() bool    { return false }

func (p clothPaint) colour(at, normal vec) vec {
	if p.hair == Scarf && at.y > -330+0.3*abs(at.x) {
		fold := 1 + 0.14*p.grain.at(at.x/26+at.y/14, at.y/30)
		return p.shade(p.scarf.times(fold), normal, 0, 0)
	}
	fold := 1 + 0.1*p.grain.at(at.x/34, at.y/60) + 0.03*p.grain.at(at.x*1.5, at.y*1.5)
	cloth := p.shade(p.cloth.times(fold), normal, 0, 0)
	edge := sqrt(square(at.x)+square(1.15*(at.y+172))) - 66 // a round neck
	if p.collar {
		edge = (abs(at.x) - 66 - 0.72*(at.y+183)) * 0.8 // an open collar
	}
	if at.z < -30 {
		return cloth
	}
	skin := p.shade(p.skin.times(0.9), normal, 0.01, 1)
	rim := 1 - 0.35*smoothstep(5.5, 4.5, edge)*smoothstep(-0.5, 0.5, edge) - 0.25*smoothstep(1.2, 0, abs(edge-6))
	if p.collar {
		rim = 1 + 0.3*smoothstep(24, 22, edge) - 0.45*smoothstep(1.6, 0, abs(edge-23))
	}
	return cover(skin.times(1-0.35*smoothstep(-9, 0, edge)), cloth.times(rim), smoothstep(-0.8, 0.8, edge))
}

// hairPaint is hair, or a scarf.
type hairPaint struct {
	light
	look
}

// Where hair begins, by the angle from the front (degrees): height in mm above which there is hair.
var (
	shortLine = curve{{0, 68}, {18, 70}, {34, 66}, {46, 52}, {56, 38}, {64, 20}, {72, 2}, {79, -18}, {86, -22}, {91, 4}, {96, 20},
		{112, 16}, {124, -30}, {135, -66}, {180, -82}}
	longLine = curve{{0, 78}, {10, 74}, {24, 62}, {36, 42}, {44, 16}, {49, -34}, {51, -100}, {53, -190}, {180, -190}}
)

// aboveLine is how far a point lies inside the hair, mm.
func (p hairPaint) aboveLine(at vec) float32 {
	if p.hair == Scarf {
		front := smoothstep(-40, 10, at.z)
		return lerp(60, 100*(sqrt(square(at.x/64)+square((at.y+24)/94))-1), front)
	}
	angle := abs(float32(math.Atan2(float64(at.x), float64(at.z+12)))) * 180 / math.Pi
	line := shortLine
	if p.hair == LongHair {
		line = longLine
	}
	return at.y - line.value(angle)
}

func (p hairPaint) inside() bool { return true }

func (p hairPaint) covers(at vec) bool {
	in := p.aboveLine(at)
	if p.hair == Scarf {
		return in > 0
	}
	end := lerp(-235, -186, smoothstep(-5, 25, at.z)) // behind, it falls below the shoulders
	if at.y < end+9*p.grain.at(at.x/3, at.z/3) {
		return false
	}
	if in > 8 {
		return true
	}
	angle := float32(math.Atan2(float64(at.x), float64(at.z+12)))
	return in+3*p.grain.at(angle*60, at.y/14)+2.2*p.grain.at(angle*170, at.y/9) > 0
}

func (p hairPaint) colour(at, normal vec) vec {
	angle := float32(math.Atan2(float64(at.x), float64(at.z+12)))
	if p.hair == Scarf {
		in := p.aboveLine(at)
		fold := 1 + 0.16*p.grain.at(in/9+at.y/50, angle*1.5) - 0.35*smoothstep(7, 0, in)
		return p.shade(p.scarf.times(fold), normal, 0, 0)
	}
	strand := 0.6*p.grain.at(angle*34, at.y/42+at.x/60) + 0.4*p.grain.at(angle*90, at.y/30)
	if at.y > 95 { // over the crown, strands run back from the forehead
		t := smoothstep(95, 112, at.y)
		strand = lerp(strand, 0.6*p.grain.at(at.x/2.4, at.z/40)+0.4*p.grain.at(at.x, at.z/30), t)
	}
	c := p.shade(p.hairColour.times(1+0.5*strand), normal, 0, 0)
	n := normal.unit()
	if n.z < 0 {
		return c
	}
	sheen := power(max(0, 1-abs(n.y-0.55)/0.5), 2) * (0.6 + 0.7*strand) * max(0, n.z)
	c = c.add(p.hairColour.mix(vec{0.5, 0.5, 0.5}, 0.3).times(0.32 * p.keyI * max(0, sheen)))
	if p.hair == LongHair {
		c = c.times(lerp(0.6, 1, smoothstep(-5, 30, p.aboveLine(at))))
	}
	return c
}

// hairSurface is the shell that hair paint lies on.
func (p hairPaint) hairSurface(u, v float32) vec {
	if p.hair == LongHair || p.hair == Scarf {
		return p.hanging(u, v)
	}
	at := p.surface(u, v*0.86)
	out := vec{at.x, (at.y - 20) * 0.75, at.z + 12}.unit()
	in := p.aboveLine(at)
	thick := 1 + (7+0.3*p.hairTop)*smoothstep(-4, 24, in) + p.hairTop*smoothstep(60, 110, at.y)
	thick += 1.3 * p.grain.at(at.x/7, at.y/9+at.z/9) * smoothstep(0, 20, in) * smoothstep(crownY, 108, at.y)
	return at.add(out.times(thick))
}

// hanging is long hair or a scarf: over the head as it is, and from its widest place straight down.
func (p hairPaint) hanging(u, v float32) vec {
	const bottom = -245
	crown := float32(crownY + 10)
	y := crown - (crown-bottom)*(0.25*v*v+0.75*v)
	if v < 0.12 {
		y = crown - (crown-bottom)*v*v*6.5
	}
	phi := float64(aroundHead(u))
	sin, cos := math.Sincos(phi)
	thick := float32(9)
	if p.hair == Scarf {
		thick = 6
	}
	dome := (y - 20) / (crown - 20)
	w, front, back := float32(75), float32(90), float32(-106)
	if dome > 0 {
		r := sqrt(max(0, 1-power(dome, 2.6)))
		w, front, back = w*r, -8+(front+8)*r, -8+(back+8)*r
	} else {
		down := smoothstep(20, -190, y)
		w, front, back = w+4*down, front-30*down, back+40*down
		if p.hair == Scarf {
			w, front = w-14*down, front-8*down
		}
	}
	w = w*p.width + thick*smoothstep(crown, crown-40, y)
	depth := front + 8
	if cos < 0 {
		depth = -back + thick - 8
	}
	at := vec{w * power(float32(sin), 0.92), y, -8 + depth*power(float32(cos), 0.86)}
	wave := 1.6 * p.grain.at(float32(phi)*9, y/34)
	return at.add(vec{float32(sin), 0, float32(cos)}.times(wave))
}
