package ui

import (
	"image"
	"time"

	"gioui.org/f32"
	gioevent "gioui.org/io/event"
	"gioui.org/io/pointer"
	"gioui.org/layout"
	"gioui.org/op"
	"gioui.org/op/clip"

	"loket/kiosk/api"
	"loket/kiosk/biometric/ink"
)

// board is where a person signs on the screen, and what they wrote so far.
type board struct {
	size    image.Point // px
	scale   float64     // hundredths of a millimetre a pixel
	strokes []ink.Stroke
	began   time.Duration
	down    bool
}

// usualPxPerMM is that of a screen whose size nobody knows: 10.1 inches, 1280 by 800.
const usualPxPerMM = 5.9

// write takes in what a finger or pen does on the board since the last call.
func (u *UI) write(gtx layout.Context) {
	if u.page.Picture != PictureInk || u.Local.Inked == 0 && len(u.ink.strokes) > 0 {
		u.ink.wipe()
	}
	for {
		e, more := gtx.Event(pointer.Filter{Target: &u.ink, Kinds: pointer.Press | pointer.Drag | pointer.Release | pointer.Cancel})
		if !more {
			return
		}
		if e, ok := e.(pointer.Event); ok && u.page.Picture == PictureInk {
			u.ink.take(e)
			u.Local.Inked, u.Local.Touched = u.ink.points(), gtx.Now
		}
	}
}

func (b *board) points() (n int) {
	for _, s := range b.strokes {
		n += len(s)
	}
	return n
}

func (b *board) take(e pointer.Event) {
	if e.Kind == pointer.Release || e.Kind == pointer.Cancel {
		b.down = false
		return
	}
	if e.Kind == pointer.Drag && !b.down || b.points() >= ink.MaxPoints || len(b.strokes) >= ink.MaxStrokes && e.Kind == pointer.Press {
		return
	}
	if len(b.strokes) == 0 {
		b.began = e.Time
	}
	if e.Kind == pointer.Press {
		b.strokes, b.down = append(b.strokes, nil), true
	}
	last := &b.strokes[len(b.strokes)-1]
	place := func(v float32, most int) int { return int(float64(min(max(v, 0), float32(most))) * b.scale) }
	*last = append(*last, ink.Point{X: place(e.Position.X, b.size.X), Y: place(e.Position.Y, b.size.Y), T: int((e.Time - b.began).Milliseconds())})
}

// signed gives what was written, or begins anew.
func (b *board) signed(again bool) *api.Sign {
	if again {
		b.wipe()
		return &api.Sign{Again: true}
	}
	k := ink.Ink{Width: int(float64(b.size.X)*b.scale) + 1, Height: int(float64(b.size.Y)*b.scale) + 1, Strokes: b.strokes}
	b.strokes, b.down = nil, false // whoever sends it wipes it
	return &api.Sign{Ink: &k}
}

func (b *board) wipe() {
	for _, s := range b.strokes {
		clear(s)
	}
	b.strokes, b.down = nil, false
}

// inkView draws the field for a signature, with what is written in it.
func (c *canvas) inkView(at box) {
	c.describe(at, c.page.Seen, describeStep)
	r := c.rect(at)
	if c.page.Picture == PicturePad {
		c.frame(at, c.colour.Line, 0, 4)
		return
	}
	paper, pen := Colour{R: 255, G: 255, B: 255, A: 255}, Colour{A: 255}
	c.fill(at, paper, 8)
	c.frame(at, c.colour.Line, 8, 3)
	c.fill(box{at.x + at.w/12, at.y + at.h*3/4, at.w * 10 / 12, 2}, Colour{R: 150, G: 150, B: 150, A: 255}, 0)
	perMM := c.ui.PxPerMM
	if perMM == 0 {
		perMM = usualPxPerMM * float64(c.Metric.PxPerDp)
	}
	c.ui.ink.size, c.ui.ink.scale = r.Size(), 100/perMM
	area := clip.Rect(r).Push(c.Ops)
	for _, s := range c.ui.ink.strokes {
		c.stroke(c.line(s, r.Min), pen, float32(c.px(4)))
	}
	area.Pop()
	// The field takes what is written on it: its own origin is the corner of the paper.
	defer op.Offset(r.Min).Push(c.Ops).Pop()
	defer clip.Rect{Max: r.Size()}.Push(c.Ops).Pop()
	gioevent.Op(c.Ops, &c.ui.ink)
}

// line is a stroke as a path; a dot is a short one.
func (c *canvas) line(s ink.Stroke, origin image.Point) clip.PathSpec {
	var p clip.Path
	p.Begin(c.Ops)
	at := func(q ink.Point) f32.Point {
		return f32.Pt(float32(origin.X)+float32(float64(q.X)/c.ui.ink.scale), float32(origin.Y)+float32(float64(q.Y)/c.ui.ink.scale))
	}
	for i, q := range s {
		if i == 0 {
			p.MoveTo(at(q))
			p.LineTo(at(q).Add(f32.Pt(0.5, 0.5)))
			continue
		}
		p.LineTo(at(q))
	}
	return p.End()
}
