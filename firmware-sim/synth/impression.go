package synth

import (
	"cmp"
	"image"
	"math"
)

// Touch is how a finger meets the glass. The zero value is a clean print of a clean finger.
type Touch struct {
	Pressure float64 // -1 light to 1 hard: thin to thick ridges, small to large contact
	Moisture float64 // -1 dry to 1 wet: broken to flooded ridges; skin that is drier or wetter still lies beyond
	Noise    float64 // scale of blobs, specks and fading: 0 none, 1 usual, 2.6 poor
	Plastic  float64 // how far the skin is twisted: 0 not, 1 usual
}

// Usual returns an everyday touch.
func Usual(seed uint64) Touch {
	r := newRand(seed, 't')
	return Touch{
		Pressure: limit(0.25*r.NormFloat64(), 0.6),
		Moisture: limit(0.2*r.NormFloat64(), 0.5),
		Noise:    0.6 + 0.3*r.Float64(),
		Plastic:  1,
	}
}

// Dry returns a touch of skin so dry that its ridges are thin and broken all over: a print that no policy takes.
func Dry(seed uint64) Touch {
	t := Usual(seed)
	t.Moisture, t.Pressure, t.Noise = -1.3, -1.1, 5.5
	return t
}

// Wet returns a touch of skin so wet that its ridges run together: a print that no policy takes.
func Wet(seed uint64) Touch {
	t := Usual(seed)
	t.Moisture, t.Pressure, t.Noise = 1.6, 0.8, 1.5
	return t
}

func limit(v, bound float64) float64 { return min(max(v, -bound), bound) }

// Impress presses a finger once, alone: FingerWidth by FingerHeight at 500 ppi, 8 bit, ridges dark on white. The seed moves
// it: a shift of 7 px and a turn of 4 degrees (standard deviations).
func (m *Master) Impress(t Touch, seed uint64) *image.Gray {
	r := newRand(seed, 'i')
	dst := newGlass(FingerWidth, FingerHeight)
	x := FingerWidth/2 + limit(7*r.NormFloat64(), 20)
	y := FingerHeight/2 + limit(7*r.NormFloat64(), 20)
	m.press(dst, placing{x: x, y: y, turn: limit(4*r.NormFloat64(), 12), size: 1, seed: seed}, t)
	return dst
}

// newGlass is glass that nothing touches: white.
func newGlass(w, h int) *image.Gray {
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = 255
	}
	return g
}

// placing is where a finger lies on a piece of glass.
type placing struct {
	slot Position // whose place it is in a slap
	x, y float64  // px, the middle of the contact
	turn float64  // degrees, clockwise
	size float64  // of the contact: 1 is an index finger's
	seed uint64

	long         float64 // how long the contact is for its size; 0: 1
	faint        float64 // share of the ink that is lost everywhere
	fade, fadeTo float64 // share that is lost at one edge besides, and where that is (radians from the right, clockwise)
	phalanx      bool    // the middle phalanx shows too
}

// length is how long the contact is for its size.
func (at placing) length() float64 { return cmp.Or(at.long, 1) }

// strength is the share of ink that is left at (nx, ny), in units of the contact's half size.
func (at placing) strength(nx, ny float64) float32 {
	along := nx*math.Cos(at.fadeTo) + ny*math.Sin(at.fadeTo)
	return float32((1 - at.faint) * (1 - at.fade*float64(smoothstep(0.1, 1, float32(along)))))
}

// contact is the area of skin that touches, in the finger's own frame around its middle.
type contact struct {
	halfW, halfH float64
	edge         noise
}

// inside is 1 where the skin touches and falls to 0 over a soft, wavy edge.
func (c contact) inside(x, y float32) float32 {
	nx, ny := x/float32(c.halfW), y/float32(c.halfH)
	if ny < 0 {
		nx *= 1 - 0.12*ny // the tip is rounder
	}
	nx, ny = abs(nx), abs(ny)
	d := nx*nx*sqrt(nx) + ny*ny*sqrt(ny) // a super-ellipse of power 2.5
	if d > 1.35 {
		return 0
	}
	d += 0.07*c.edge.at(x/40, y/40) + 0.04*c.edge.at(x/9, y/9)
	return smoothstep(1.04, 0.9, d)
}

func sqrt(v float32) float32 { return float32(math.Sqrt(float64(v))) }

func abs(v float32) float32 {
	if v < 0 {
		return -v
	}
	return v
}

// press prints the finger into dst and returns the box of its contact, cut to dst.
func (m *Master) press(dst *image.Gray, at placing, t Touch) image.Rectangle {
	r := newRand(at.seed, 'p')
	c := contact{
		halfW: at.size * (158 + 10*t.Pressure + 3*r.NormFloat64()),
		halfH: at.size * at.length() * (222 + 12*t.Pressure + 4*r.NormFloat64()),
		edge:  noise(r.Uint64()),
	}
	skin := newSkin(t, r.Uint64())
	shiftX, shiftY := 7*r.NormFloat64(), 8+7*r.NormFloat64()
	twist := plastic{turn: radians(t.Plastic * 2.2 * r.NormFloat64()),
		dx: t.Plastic * 3 * r.NormFloat64(), dy: t.Plastic * 4 * r.NormFloat64()}
	sin, cos := math.Sincos(radians(at.turn))
	reach := math.Hypot(c.halfW, c.halfH) * 0.95
	reachX := math.Min(reach, math.Abs(cos)*c.halfW*1.15+math.Abs(sin)*c.halfH*1.15)
	reachY := math.Min(reach*1.1, math.Abs(sin)*c.halfW*1.15+math.Abs(cos)*c.halfH*1.15)
	area := image.Rect(int(at.x-reachX)-2, int(at.y-reachY)-2, int(at.x+reachX)+3, int(at.y+reachY)+3).Intersect(dst.Rect)
	ink := newField(max(area.Dx(), 0), max(area.Dy(), 0))
	var box image.Rectangle
	for py := area.Min.Y; py < area.Max.Y; py++ {
		for px := area.Min.X; px < area.Max.X; px++ {
			dx, dy := float64(px)-at.x, float64(py)-at.y
			qx, qy := dx*cos+dy*sin, dy*cos-dx*sin
			touch := c.inside(float32(qx), float32(qy))
			if touch == 0 {
				continue
			}
			if touch > 0.5 {
				box = box.Union(image.Rect(px, py, px+1, py+1))
			}
			mx, my := twist.move(qx/c.halfW, qy/c.halfH, qx, qy)
			v := m.at(float32(mx+FingerWidth/2+shiftX), float32(my+FingerHeight/2+shiftY))
			ink.v[(py-area.Min.Y)*ink.w+px-area.Min.X] = touch * at.strength(qx/c.halfW, qy/c.halfH) * skin.ink(v, float32(mx), float32(my))
		}
	}
	ink.blur()
	ink.darken(dst, area.Min)
	return box
}

// at samples the ridge pattern between its points, -1 to 1. Beyond the pattern there is no ridge.
func (m *Master) at(x, y float32) float32 {
	if !(x >= 0 && y >= 0 && x < FingerWidth-1 && y < FingerHeight-1) {
		return -1
	}
	ix, iy := int(x), int(y)
	i := iy*FingerWidth + ix
	tx, ty := x-float32(ix), y-float32(iy)
	top := lerp(float32(m.ridges[i]), float32(m.ridges[i+1]), tx)
	bottom := lerp(float32(m.ridges[i+FingerWidth]), float32(m.ridges[i+FingerWidth+1]), tx)
	return lerp(top, bottom, ty) / 127
}

// plastic is the distortion of skin whose middle sticks to the glass while the finger turns and slides (Cappelli, Maio,
// Maltoni 2001).
type plastic struct{ turn, dx, dy float64 }

// move returns where on the finger the point (x, y) of the contact lies; nx and ny are the same point in units of the
// contact's half size.
func (p plastic) move(nx, ny, x, y float64) (mx, my float64) {
	slip := float64(smoothstep(0.35, 1.25, float32(math.Hypot(nx, ny)))) // 0 where skin sticks, 1 where it slides freely
	a := p.turn * slip
	return x - a*y + p.dx*slip, y + a*x + p.dy*slip
}

// skin turns ridge values into ink.
type skin struct {
	bias           float32 // thicker (positive) or thinner ridges
	breaks, flood  float32 // shares of dry and of wet
	scale          float32 // of the noise
	coarse, fine   noise
	fading, specks noise
}

func newSkin(t Touch, seed uint64) skin {
	return skin{
		bias:   float32(0.4*t.Pressure + 0.4*t.Moisture),
		breaks: float32(math.Max(0, -t.Moisture)), flood: float32(math.Max(0, t.Moisture)),
		scale:  float32(t.Noise),
		coarse: noise(mix(seed)), fine: noise(mix(seed + 1)),
		fading: noise(mix(seed + 2)), specks: noise(mix(seed + 3)),
	}
}

// ink is how dark a point with ridge value v is, 0 to 1.
func (s skin) ink(v, x, y float32) float32 {
	blobs := s.coarse.at(x/17, y/17)
	grain := s.fine.at(x/3.1, y/3.1)
	level := v + s.bias + s.scale*(0.28*blobs+0.42*grain) + s.flood*(0.25+0.5*blobs)
	ink := clamp(0.5+1.1*level, 0, 1)
	if s.breaks > 0 {
		ink *= 1 - s.breaks*smoothstep(0.05, 0.35, s.specks.at(x/4.3, y/4.3)+0.3*blobs)
	}
	if s.scale > 0 {
		ink *= 1 - 0.75*s.pore(x, y)
	}
	dark := 0.9 + clamp(0.25*s.scale, 0, 0.6)*(0.4*s.fading.at(x/95, y/95)-0.15)
	return ink * clamp(dark, 0.25, 1)
}

// pore is 1 in the middle of a sweat pore and 0 away from all.
func (s skin) pore(x, y float32) float32 {
	const cell = 10
	cx, cy := floor(x/cell), floor(y/cell)
	h := mix(uint64(s.specks) ^ uint64(uint32(cx))<<32 ^ uint64(uint32(cy)))
	dx := x - (float32(cx)+0.15+0.7*float32(h&0xff)/255)*cell
	dy := y - (float32(cy)+0.15+0.7*float32(h>>8&0xff)/255)*cell
	return smoothstep(1.7, 0.4, sqrt(dx*dx+dy*dy))
}

// blur softens f by a 3x3 binomial filter, as a lens does.
func (f *field) blur() {
	if f.w < 3 || f.h < 3 {
		return
	}
	row := make([]float32, f.w)
	for y := range f.h {
		line := f.v[y*f.w : (y+1)*f.w]
		copy(row, line)
		for x := 1; x < f.w-1; x++ {
			line[x] = (row[x-1] + 2*row[x] + row[x+1]) / 4
		}
	}
	above := make([]float32, f.w)
	copy(above, f.v[:f.w])
	for y := 1; y < f.h-1; y++ {
		line, below := f.v[y*f.w:(y+1)*f.w], f.v[(y+1)*f.w:(y+2)*f.w]
		for x := range line {
			old := line[x]
			line[x] = (above[x] + 2*old + below[x]) / 4
			above[x] = old
		}
	}
}

// darken lays ink on glass, its corner at p. Where two fingers meet, the darker one stays.
func (f *field) darken(dst *image.Gray, p image.Point) {
	for y := range f.h {
		line := dst.Pix[dst.PixOffset(p.X, p.Y+y):]
		for x := range f.w {
			line[x] = min(line[x], uint8(255.5-255*clamp(f.v[y*f.w+x], 0, 1)))
		}
	}
}
