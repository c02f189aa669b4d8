package ui

import (
	"image"
	"math"
	"slices"

	"gioui.org/io/semantic"
	"gioui.org/op/clip"

	"loket/kiosk/biometric"
)

func (c *canvas) faceBox(pic box) box { return box{pic.x, pic.y, pic.w, pic.h} }

// glassBox is the lower part of the picture, beside the lamp; like hands, the glass is not mirrored.
func (c *canvas) glassBox(pic box) box {
	h := pic.h * 48 / 100
	b := box{pic.x, pic.y + pic.h - h, pic.w * 56 / 100, h}
	return b
}

// inkBox is where a signature is written: twice as wide as high, like the field on a form.
func (c *canvas) inkBox(pic box) box {
	h := min(pic.h, pic.w*6/10)
	return box{pic.x, pic.y + (pic.h-h)/2, pic.w, h}
}

// picture draws what stands beside the words.
func (c *canvas) picture(b box) {
	switch c.page.Picture {
	case PictureNone:
	case PictureFace:
		c.faceView(c.faceBox(b))
	case PictureGlass:
		c.fingersView(b)
	case PictureInk, PicturePad:
		c.inkView(c.inkBox(b))
	case PictureHands:
		c.handsView(b)
	case PictureTicket:
		c.ticket(b)
	default:
		c.sign(b)
	}
}

// describe makes a box a node that says what is seen there.
func (c *canvas) describe(b box, txt, description string) {
	if txt == "" {
		return
	}
	defer clip.Rect(c.rect(b)).Push(c.Ops).Pop()
	semantic.LabelOp(txt).Add(c.Ops)
	semantic.DescriptionOp(description).Add(c.Ops)
}

// faceView draws the frame of the live view and where the head belongs.
func (c *canvas) faceView(b box) {
	c.describe(b, c.page.Seen, describeStep)
	c.frame(b, c.colour.Line, 0, 4)
	r := c.rect(b)
	w := r.Dx() * 52 / 100
	h := w * 4 / 3
	oval := image.Rect(r.Min.X+(r.Dx()-w)/2, r.Min.Y+r.Dy()*42/100-h/2, r.Min.X+(r.Dx()+w)/2, r.Min.Y+r.Dy()*42/100+h/2)
	dark, light := Colour{A: 255}, Colour{R: 255, G: 255, B: 255, A: 255}
	c.stroke(clip.Ellipse(oval).Path(c.Ops), dark, float32(c.px(9)))
	c.stroke(clip.Ellipse(oval).Path(c.Ops), light, float32(c.px(5)))
}

// fingersView draws the hands with the fingers to present, the frame of the glass, and the lamp.
func (c *canvas) fingersView(b box) {
	c.describe(b, c.page.Seen, describeStep)
	glass := c.glassBox(b)
	c.hands(box{b.x, b.y, b.w, b.h - glass.h - c.ui.Theme.Space.Gap}, c.lookWanted)
	c.frame(glass, c.colour.Line, 0, 4)
	c.lamp(box{glass.x + glass.w + c.ui.Theme.Space.Gap, glass.y, b.w - glass.w - c.ui.Theme.Space.Gap, glass.h})
}

// lamp draws the scanner's lamp: its colour never speaks alone, an arrow goes with it.
func (c *canvas) lamp(b box) {
	look := map[Lamp][2]Colour{
		LampPlace: {c.colour.Primary, c.colour.OnPrimary},
		LampHold:  {c.colour.Attention, c.colour.OnAttention},
		LampLift:  {c.colour.Good, c.colour.OnGood},
	}
	col, ok := look[c.page.Lamp]
	if !ok {
		return
	}
	c.fill(b, col[0], c.ui.Theme.Space.Radius)
	s := style{size: c.ui.Theme.Type.Small[c.size], bold: true, colour: col[1]}
	words := min(c.height(b.w-12, s, c.page.LampText), b.h/2)
	c.caption(box{b.x + 6, b.y + b.h - words - 10, b.w - 12, words + 4}, s, c.page.LampText)
	p := c.pen(box{b.x + 30, b.y + 24, b.w - 60, b.h - words - 50}, col[1])
	switch c.page.Lamp {
	case LampPlace:
		p.line(10, 50, 8, 50, 66)
		p.line(10, 26, 44, 50, 68, 74, 44)
		p.line(10, 14, 92, 86, 92)
	case LampLift:
		p.line(10, 50, 14, 50, 72)
		p.line(10, 26, 36, 50, 12, 74, 36)
		p.line(10, 14, 92, 86, 92)
	default:
		p.rect(24, 16, 18, 68, 6)
		p.rect(58, 16, 18, 68, 6)
	}
}

// look is how a finger is drawn.
type look struct {
	fill Colour
	mark Icon   // on its tip
	ink  Colour // of the mark
	call bool   // an arrow points to it
	gone bool   // drawn as a stump
}

func (c *canvas) lookWanted(f biometric.FingerPosition) look {
	switch {
	case slices.Contains(c.page.Absent, f):
		return look{fill: c.colour.Attention, call: true}
	case slices.Contains(c.page.Wanted, f): // where some are absent, the arrows point to them alone
		return look{fill: c.colour.Wanted, call: len(c.page.Absent) == 0}
	}
	return look{fill: c.colour.Skin}
}

func (c *canvas) lookLedger(f biometric.FingerPosition) look {
	e := c.page.Ledger[f-1]
	switch e.Reason {
	case biometric.Captured:
		return look{fill: c.colour.Good, mark: IconCheck, ink: c.colour.OnGood}
	case biometric.OnFile:
		return look{fill: c.colour.Skin, mark: IconCheck, ink: c.colour.Text}
	case biometric.Owed:
		return look{fill: c.colour.Wanted, call: true}
	case biometric.NotOwed:
		return look{fill: c.colour.Skin}
	case biometric.Missing:
		return look{fill: c.colour.Skin, mark: IconMinus, ink: c.colour.Text, gone: true}
	}
	return look{fill: c.colour.Attention, mark: IconClose, ink: c.colour.OnAttention}
}

// hands draws both, left at the left in every language, as their owner sees them.
func (c *canvas) hands(b box, of func(biometric.FingerPosition) look) {
	left, right := box{b.x, b.y, b.w / 2, b.h}, box{b.x + b.w/2, b.y, b.w - b.w/2, b.h}
	if c.rtl {
		left, right = right, left
	}
	c.hand(left, false, of)
	c.hand(right, true, of)
}

// A finger is a line from its root to its tip in the drawing of a right hand, in the order of thumb to little finger.
func fingerLines() [5][4]float32 {
	return [5][4]float32{{30, 76, 9, 55}, {33, 56, 29, 24}, {46, 54, 45, 16}, {59, 55, 61, 22}, {70, 60, 77, 36}}
}

const fingerWidth = 11.5

func (c *canvas) hand(b box, right bool, of func(biometric.FingerPosition) look) {
	p := c.pen(b, c.colour.Line)
	p.flip = !right
	lines := fingerLines()
	at := func(i int) biometric.FingerPosition {
		if right {
			return biometric.FingerPosition(i + 1)
		}
		return biometric.FingerPosition(i + 6)
	}
	for _, more := range []float32{3, 0} { // the outline first, as the same shape a little larger
		shape := p
		if more == 0 {
			shape = p.in(c.colour.Skin)
		}
		shape.line(36+more, 47, 70, 54, 70)
		shape.line(32+more, 46, 80, 54, 80)
		for i, l := range lines {
			if of(at(i)).gone {
				l[2], l[3] = l[0]+(l[2]-l[0])/4, l[1]+(l[3]-l[1])/4
			}
			shape.line(fingerWidth+more, l[0], l[1], l[2], l[3])
		}
	}
	for i, l := range lines {
		c.finger(p, l, of(at(i)))
	}
}

// finger draws the upper part of one finger in its state.
func (c *canvas) finger(p pen, l [4]float32, k look) {
	x, y := l[0]+(l[2]-l[0])*0.45, l[1]+(l[3]-l[1])*0.45
	if k.fill != c.colour.Skin && !k.gone {
		p.in(k.fill).line(fingerWidth-1.5, x, y, l[2], l[3])
	}
	if k.mark != IconNone && !k.gone {
		m := p
		m.scale, m.at, m.flip = p.scale*0.09, p.pt(l[2], l[3]), false
		m.at.X, m.at.Y = m.at.X-m.scale*50, m.at.Y-m.scale*50
		m.colour = k.ink
		if k.mark == IconCheck {
			m.line(17, 10, 54, 38, 82, 90, 20)
		} else {
			m.line(17, 16, 16, 84, 84)
			m.line(17, 84, 16, 16, 84)
		}
	}
	if k.call { // an arrow towards the tip
		dx, dy := l[2]-l[0], l[3]-l[1]
		n := 1 / float32(math.Hypot(float64(dx), float64(dy)))
		dx, dy = dx*n, dy*n
		tipX, tipY := l[2]+dx*9, l[3]+dy*9
		p.in(k.fill).area(tipX, tipY, tipX+dx*10-dy*6, tipY+dy*10+dx*6, tipX+dx*10+dy*6, tipY+dy*10-dx*6)
	}
}

// handsView draws the ledger: both hands, and in words what the marks mean. Each finger is a node of its own.
func (c *canvas) handsView(b box) {
	c.describe(b, c.page.Seen, describeStep)
	h := b.h * 52 / 100
	c.hands(box{b.x, b.y, b.w, h}, c.lookLedger)
	w := b.w / 10
	for i, f := range biometric.Fingers() {
		c.describe(box{b.x + i*w, b.y, w, h}, c.page.Names[f], describeStep)
	}
	y := b.y + h
	for _, l := range c.page.Legend {
		s := c.small()
		s.colour = c.colour.Text
		k := c.lookLedger(l.Finger)
		mark := box{b.x + 16, y + 4, 34, 34}
		c.fill(mark, k.fill, 17)
		c.frame(mark, c.colour.Line, 17, 2)
		if k.mark != IconNone {
			c.icon(mark.inset(8), k.mark, k.ink, false)
		}
		glyphs, size := c.shape(b.w-70, s, l.Text)
		text := box{b.x + 64, y, b.w - 70, max(c.dp(size.Y), 40)}
		c.check(box{text.x, text.y, text.w, b.y + b.h - text.y}, size, l.Text)
		c.paint(c.rect(text).Min.Add(image.Pt(0, (c.rect(text).Dy()-size.Y)/2)), glyphs, s.colour)
		y += text.h + 8
	}
}

// ticket draws the number as large as it can be.
func (c *canvas) ticket(b box) {
	card := box{b.x + 20, b.y + b.h/2 - 140, b.w - 40, 260}
	c.fill(card, c.colour.Surface, 24)
	c.frame(card, c.colour.Primary, 24, 8)
	c.caption(card, style{size: c.ui.Theme.Type.Number[c.size], bold: true, colour: c.colour.Text, number: true}, c.page.Number)
}

// sign draws a pictogram in a circle.
func (c *canvas) sign(b box) {
	side := min(b.w, b.h, 420)
	at := box{b.x + (b.w-side)/2, b.y + (b.h-side)/2, side, side}
	ground, ink := c.colour.Surface, c.colour.Text
	if c.page.Good {
		ground, ink = c.colour.Good, c.colour.OnGood
	}
	c.fill(at, ground, side/2)
	c.frame(at, c.colour.Line, side/2, 4)
	c.pictogram(c.pen(at.inset(side/5), ink))
}

func (c *canvas) pictogram(p pen) {
	switch c.page.Picture {
	case PicturePerson:
		p.person(50, 10, 1)
	case PictureStaff:
		p.person(30, 22, 0.72)
		p.in(c.colour.Primary).person(72, 34, 0.6)
		p.in(c.colour.Primary).rect(54, 2, 42, 24, 8)
		p.in(c.colour.Primary).area(66, 24, 78, 24, 70, 34)
	case PictureDesk:
		p.person(50, 4, 0.8)
		p.in(c.colour.Primary).rect(4, 66, 92, 14, 4)
		p.in(c.colour.Primary).rect(12, 78, 76, 18, 2)
	case PictureLock:
		p.arc(50, 40, 22, -180, 0, 9)
		p.line(9, 28, 40, 28, 52)
		p.line(9, 72, 40, 72, 52)
		p.rect(16, 48, 68, 48, 8)
		p.in(c.colour.Surface).circle(50, 68, 8)
		p.in(c.colour.Surface).rect(46, 70, 8, 16, 2)
	case PictureWait:
		p.line(7, 24, 6, 76, 6)
		p.line(7, 24, 94, 76, 94)
		p.line(6, 30, 8, 30, 24, 48, 50, 30, 76, 30, 92)
		p.line(6, 70, 8, 70, 24, 52, 50, 70, 76, 70, 92)
		p.area(36, 88, 64, 88, 50, 70)
		p.area(38, 30, 62, 30, 50, 46)
	case PictureDone:
		p.line(13, 12, 54, 38, 80, 90, 20)
	case PictureClock:
		p.ring(50, 50, 44, 8)
		p.line(8, 50, 24, 50, 52, 70, 64)
	case PictureList:
		p.frame(16, 8, 68, 88, 8, 6)
		p.rect(34, 2, 32, 14, 4)
		for i := range 3 {
			y := 34 + float32(i)*20
			p.in(c.colour.Good).line(5, 27, y, 32, y+5, 41, y-6)
			p.line(5, 52, y, 72, y)
		}
	case PicturePen:
		p.line(4, 6, 92, 94, 92)
		p.line(5, 14, 78, 28, 62, 34, 80, 48, 64, 54, 80)
		p.line(12, 60, 62, 88, 20)
		p.area(50, 76, 54, 60, 64, 68)
	case PictureCross:
		p.ring(50, 50, 44, 8)
		p.line(10, 34, 34, 66, 66)
		p.line(10, 66, 34, 34, 66)
	default:
		c.trouble(p)
	}
}

// trouble draws one sign for each of the faults: they are told apart by shape.
func (c *canvas) trouble(p pen) {
	mark := p.in(c.colour.Trouble)
	switch c.page.Picture {
	case PictureCable:
		p.line(7, 0, 50, 22, 50)
		p.rect(20, 34, 20, 32, 4)
		p.line(6, 40, 42, 48, 42)
		p.line(6, 40, 58, 48, 58)
		p.frame(62, 32, 20, 36, 4, 6)
		p.line(7, 84, 50, 100, 50)
		mark.line(6, 48, 20, 54, 8)
		mark.line(6, 56, 22, 66, 12)
		mark.line(6, 48, 80, 54, 92)
		mark.line(6, 56, 78, 66, 88)
	case PictureOff:
		mark.arc(50, 54, 36, -50, 230, 9)
		mark.line(9, 50, 8, 50, 46)
	case PictureHung:
		p.device()
		for i := range 3 {
			mark.circle(32+float32(i)*18, 40, 6)
		}
	case PictureCrash:
		p.device()
		mark.line(6, 56, 14, 42, 36, 56, 42, 44, 64)
	case PictureUnfit:
		p.device()
		mark.line(6, 40, 30, 60, 50)
		mark.line(6, 60, 30, 40, 50)
	case PictureHeld:
		p.device()
		mark.arc(50, 34, 11, -180, 0, 5)
		mark.rect(34, 34, 32, 24, 4)
	}
}

func (p pen) device() {
	p.frame(8, 12, 84, 56, 6, 6)
	p.rect(40, 68, 20, 14, 0)
	p.rect(24, 82, 52, 8, 4)
}

func (p pen) person(x, y, k float32) {
	p.circle(x, y+18*k, 18*k)
	p.arc(x, y+76*k, 26*k, -180, 0, 14*k)
	p.rect(x-32*k, y+70*k, 64*k, 16*k, 6*k)
	p.circle(x, y+66*k, 20*k)
}
