package ui

import (
	"image"
	"image/color"
	"math"

	"gioui.org/f32"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
)

// pen draws in a square of 100 by 100 that lies somewhere on the screen. Nothing that it draws is mirrored unless flip is set.
type pen struct {
	c      *canvas
	at     f32.Point
	scale  float32 // px of one unit
	colour Colour
	flip   bool
}

// pen gives one for the largest square in the middle of a box.
func (c *canvas) pen(b box, col Colour) pen {
	r := c.rect(b)
	side := min(r.Dx(), r.Dy())
	return pen{c: c, at: f32.Pt(float32(r.Min.X+(r.Dx()-side)/2), float32(r.Min.Y+(r.Dy()-side)/2)), scale: float32(side) / 100, colour: col}
}

func (p pen) in(col Colour) pen { p.colour = col; return p }

func (p pen) pt(x, y float32) f32.Point {
	if p.flip {
		x = 100 - x
	}
	return f32.Pt(p.at.X+x*p.scale, p.at.Y+y*p.scale)
}

func (p pen) rectPx(x, y, w, h float32) image.Rectangle {
	a, b := p.pt(x, y), p.pt(x+w, y+h)
	return image.Rect(round(a.X), round(a.Y), round(b.X), round(b.Y))
}

func round(v float32) int { return int(math.Round(float64(v))) }

func (p pen) circle(x, y, r float32) {
	paint.FillShape(p.c.Ops, color.NRGBA(p.colour), clip.Ellipse(p.rectPx(x-r, y-r, 2*r, 2*r)).Op(p.c.Ops))
}

func (p pen) ring(x, y, r, width float32) {
	p.c.stroke(clip.Ellipse(p.rectPx(x-r, y-r, 2*r, 2*r)).Path(p.c.Ops), p.colour, width*p.scale)
}

func (p pen) rect(x, y, w, h, radius float32) {
	p.c.fillPx(p.rectPx(x, y, w, h), p.colour, round(radius*p.scale))
}

func (p pen) frame(x, y, w, h, radius, width float32) {
	r := p.rectPx(x, y, w, h)
	p.c.stroke(clip.UniformRRect(r, min(round(radius*p.scale), r.Dx()/2, r.Dy()/2)).Path(p.c.Ops), p.colour, width*p.scale)
}

// path begins a path through points x, y, x, y, …
func (p pen) path(xy []float32) clip.Path {
	var path clip.Path
	path.Begin(p.c.Ops)
	for i := 0; i+1 < len(xy); i += 2 {
		if pt := p.pt(xy[i], xy[i+1]); i == 0 {
			path.MoveTo(pt)
		} else {
			path.LineTo(pt)
		}
	}
	return path
}

// line draws through points x, y, x, y, … with round ends.
func (p pen) line(width float32, xy ...float32) {
	path := p.path(xy)
	p.c.stroke(path.End(), p.colour, width*p.scale)
	for i := 0; i+1 < len(xy); i += 2 {
		p.circle(xy[i], xy[i+1], width/2)
	}
}

// area fills the polygon of points.
func (p pen) area(xy ...float32) {
	path := p.path(xy)
	path.Close()
	paint.FillShape(p.c.Ops, color.NRGBA(p.colour), clip.Outline{Path: path.End()}.Op())
}

// arc draws a part of a circle, angles in degrees clockwise from the right.
func (p pen) arc(x, y, r, from, to, width float32) {
	var xy []float32
	for i := range 25 {
		a := float64(from+(to-from)*float32(i)/24) * math.Pi / 180
		xy = append(xy, x+r*float32(math.Cos(a)), y+r*float32(math.Sin(a)))
	}
	p.line(width, xy...)
}

// icon draws a small picture on a button; arrows follow the direction of the language.
func (c *canvas) icon(b box, i Icon, col Colour, mirrored bool) {
	p := c.pen(b, col)
	p.flip = mirrored && (i == IconForward || i == IconBack)
	switch i {
	case IconHelp:
		p.ring(50, 50, 44, 9)
		p.arc(50, 40, 14, -170, 60, 9)
		p.line(9, 56, 53, 50, 60)
		p.circle(50, 75, 6)
	case IconLanguage:
		p.ring(50, 50, 44, 8)
		p.line(7, 8, 50, 92, 50)
		p.line(7, 50, 8, 50, 92)
		c.stroke(clip.Ellipse(p.rectPx(29, 6, 42, 88)).Path(c.Ops), col, 7*p.scale)
	case IconSize:
		p.line(8, 4, 88, 20, 44, 36, 88)
		p.line(7, 10, 72, 30, 72)
		p.line(10, 42, 88, 68, 12, 94, 88)
		p.line(9, 53, 62, 83, 62)
	case IconContrast:
		p.ring(50, 50, 44, 9)
		for y := float32(-40); y <= 40; y += 4 {
			half := float32(math.Sqrt(float64(42*42 - y*y)))
			p.rect(50, 50+y-2.2, half, 4.6, 0)
		}
	case IconRepeat:
		p.area(8, 36, 26, 36, 50, 14, 50, 86, 26, 64, 8, 64)
		p.arc(50, 50, 22, -45, 45, 8)
		p.arc(50, 50, 40, -45, 45, 8)
	case IconForward, IconBack:
		if i == IconBack {
			p.flip = !p.flip
		}
		p.line(12, 14, 50, 84, 50)
		p.line(12, 56, 20, 86, 50, 56, 80)
	case IconCheck:
		p.line(14, 12, 54, 38, 80, 88, 22)
	case IconErase:
		p.line(8, 4, 50, 30, 18, 94, 18, 94, 82, 30, 82, 4, 50)
		p.line(8, 48, 38, 74, 62)
		p.line(8, 74, 38, 48, 62)
	case IconMinus:
		p.line(14, 16, 50, 84, 50)
	case IconClose:
		p.line(13, 18, 18, 82, 82)
		p.line(13, 82, 18, 18, 82)
	}
}
