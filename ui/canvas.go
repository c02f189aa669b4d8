package ui

import (
	"fmt"
	"image"
	"image/color"

	"gioui.org/f32"
	"gioui.org/font"
	"gioui.org/io/semantic"
	"gioui.org/layout"
	"gioui.org/op"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
	"gioui.org/text"
	"golang.org/x/image/math/fixed"
)

// box is a rectangle in the design space: x runs from where lines of text begin, so it mirrors for right-to-left languages.
type box struct{ x, y, w, h int }

func (b box) inset(by int) box { return box{b.x + by, b.y + by, b.w - 2*by, b.h - 2*by} }

// cut takes h off the top.
func (b box) cut(h int) box { return box{b.x, b.y + h, b.w, b.h - h} }

// canvas draws one page. Everything is placed in the design space and drawn in the order in which it is read.
type canvas struct {
	layout.Context
	ui     *UI
	page   Page
	colour Palette
	size   int  // of text
	rtl    bool // mirrored
	w, h   int  // the design space
}

// Slot is where the live view belongs: nothing is drawn there, so the camera's picture shows through from below.
type Slot struct {
	Picture Picture // face or glass
	Rect    image.Rectangle
}

// px turns a length of the design space into pixels.
func (c *canvas) px(v int) int { return int(float32(v)*c.Metric.PxPerDp + 0.5) }

// rect places a box on the screen, mirrored where the language runs from right to left.
func (c *canvas) rect(b box) image.Rectangle {
	x := b.x
	if c.rtl {
		x = c.w - b.x - b.w
	}
	return image.Rect(c.px(x), c.px(b.y), c.px(x+b.w), c.px(b.y+b.h))
}

func (c *canvas) fill(b box, col Colour, radius int) { c.fillPx(c.rect(b), col, c.px(radius)) }

func (c *canvas) fillPx(r image.Rectangle, col Colour, radius int) {
	paint.FillShape(c.Ops, color.NRGBA(col), clip.UniformRRect(r, min(radius, r.Dx()/2, r.Dy()/2)).Op(c.Ops))
}

// frame draws the border of a box, inside it.
func (c *canvas) frame(b box, col Colour, radius, width int) {
	r, w := c.rect(b), c.px(width)
	r = r.Inset((w + 1) / 2)
	c.stroke(clip.UniformRRect(r, min(c.px(radius), r.Dx()/2, r.Dy()/2)).Path(c.Ops), col, float32(w))
}

func (c *canvas) stroke(p clip.PathSpec, col Colour, width float32) {
	paint.FillShape(c.Ops, color.NRGBA(col), clip.Stroke{Path: p, Width: width}.Op())
}

// style is how a text looks.
type style struct {
	size   int
	bold   bool
	colour Colour
	centre bool
	number bool // Latin digits or codes: laid out from left to right in every language
}

func (c *canvas) title() style {
	return style{size: c.ui.Theme.Type.Title[c.size], bold: true, colour: c.colour.Text}
}
func (c *canvas) body() style {
	return style{size: c.ui.Theme.Type.Body[c.size], colour: c.colour.Text}
}
func (c *canvas) small() style {
	return style{size: c.ui.Theme.Type.Small[c.size], colour: c.colour.Muted}
}
func (c *canvas) strong() style {
	return style{size: c.ui.Theme.Type.Body[c.size], bold: true, colour: c.colour.Text}
}

// label draws a text into a box from its top, makes it a node of the semantics tree, and returns the height that it took. A
// text that does not fit is noted for the tests. The description says what kind of text it is.
func (c *canvas) label(b box, s style, txt, description string) int {
	if txt == "" {
		return 0
	}
	glyphs, size := c.shape(b.w, s, txt)
	ink := inkOf(glyphs)
	c.check(b, image.Pt(size.X, ink.Max.Y), txt)
	r := c.rect(b)
	r.Max.Y = r.Min.Y + size.Y
	defer clip.Rect(r.Inset(-c.px(s.size / 3))).Push(c.Ops).Pop()
	semantic.LabelOp(txt).Add(c.Ops)
	if description != "" {
		semantic.DescriptionOp(description).Add(c.Ops)
	}
	c.paint(r.Min, glyphs, s.colour)
	return c.dp(size.Y)
}

// caption draws a text in the middle of a box without a node of its own: what it belongs to has one.
func (c *canvas) caption(b box, s style, txt string) {
	s.centre = true
	glyphs, size := c.shape(b.w, s, txt)
	ink := inkOf(glyphs)
	c.check(b, image.Pt(size.X, ink.Dy()), txt)
	r := c.rect(b)
	top := (r.Dy() - size.Y) / 2
	if top+ink.Min.Y < 0 || top+ink.Max.Y > r.Dy() {
		top = (r.Dy()-ink.Dy())/2 - ink.Min.Y // a tight box: what is seen stands in the middle
	}
	c.paint(image.Pt(r.Min.X, r.Min.Y+top), glyphs, s.colour)
}

// height measures a text.
func (c *canvas) height(w int, s style, txt string) int {
	if txt == "" {
		return 0
	}
	_, size := c.shape(w, s, txt)
	return c.dp(size.Y)
}

func (c *canvas) dp(px int) int { return int(float32(px)/c.Metric.PxPerDp + 0.99) }

// check notes a text that its box is too small for.
func (c *canvas) check(b box, size image.Point, txt string) {
	if size.X > c.px(b.w)+1 || size.Y > c.px(b.h)+1 {
		c.ui.note(fmt.Sprintf("%s: %q needs %dx%d px and has %dx%d", c.page.ID, txt, size.X, size.Y, c.px(b.w), c.px(b.h)))
	}
}

// shape breaks a text into lines and returns its glyphs with the size that they take.
func (c *canvas) shape(width int, s style, txt string) ([]text.Glyph, image.Point) {
	p := text.Parameters{Font: font.Font{Typeface: "Noto Sans"}, PxPerEm: fixed.I(c.px(s.size)), MaxWidth: c.px(width), MinWidth: c.px(width),
		WrapPolicy: text.WrapWords, Locale: c.Locale, LineHeightScale: 1.25}
	if s.bold {
		p.Font.Weight = font.Bold
	}
	if s.centre {
		p.Alignment = text.Middle
	}
	if s.number {
		p.Locale.Direction = 0
	}
	c.ui.shaper.LayoutString(p, txt)
	var glyphs []text.Glyph
	left, right := fixed.I(1<<20), fixed.I(-1<<20)
	for g, ok := c.ui.shaper.NextGlyph(); ok; g, ok = c.ui.shaper.NextGlyph() {
		// The low 16 bits are the font's own number of the glyph; 0 is the box that stands for what a font lacks.
		if uint16(g.ID) == 0 && g.Advance > 0 && g.Flags&text.FlagParagraphBreak == 0 {
			c.ui.note(fmt.Sprintf("%s: no glyph for a letter of %q", c.page.ID, txt))
		}
		left, right = min(left, g.X), max(right, g.X+g.Advance)
		glyphs = append(glyphs, g)
	}
	if len(glyphs) == 0 {
		return nil, image.Point{}
	}
	// The heights that fonts claim differ by script; lines are as high as the size of their type says.
	em := float32(c.px(s.size))
	shift := int32(em*1.05) - glyphs[0].Y
	for i := range glyphs {
		glyphs[i].Y += shift
	}
	return glyphs, image.Pt((right - left).Ceil(), int(glyphs[len(glyphs)-1].Y)+int(em*0.3))
}

// inkOf is what of a text is seen, from top to bottom.
func inkOf(glyphs []text.Glyph) image.Rectangle {
	r := image.Rectangle{Min: image.Pt(0, 1<<20)}
	for _, g := range glyphs {
		r.Min.Y = min(r.Min.Y, int(g.Y)+g.Bounds.Min.Y.Floor())
		r.Max.Y = max(r.Max.Y, int(g.Y)+g.Bounds.Max.Y.Ceil())
	}
	return r
}

// paint draws glyphs line by line. Gio's shaper puts marks that are combined with a letter on the wrong side, since it takes
// their offset away where it should add it: so the sign is turned before it draws.
func (c *canvas) paint(at image.Point, glyphs []text.Glyph, col Colour) {
	var line []text.Glyph
	for i, g := range glyphs {
		g.Offset.X = -g.Offset.X
		line = append(line, g)
		if g.Flags&text.FlagLineBreak == 0 && i < len(glyphs)-1 {
			continue
		}
		origin := f32.Pt(float32(at.X)+float32(line[0].X)/64, float32(at.Y)+float32(line[0].Y))
		t := op.Affine(f32.AffineId().Offset(origin)).Push(c.Ops)
		paint.FillShape(c.Ops, color.NRGBA(col), clip.Outline{Path: c.ui.shaper.Shape(line)}.Op())
		t.Pop()
		line = line[:0]
	}
}

// kind is how a button looks.
type kind int

const (
	kindPlain kind = iota
	kindPrimary
	kindTool
	kindKey
	kindChoice
)

// button draws something that can be pressed, and makes it a node with a role, a name and a state.
func (c *canvas) button(b box, a Action, k kind) {
	r := c.rect(b)
	click := c.ui.clickable(c.page.ID, a)
	defer op.Offset(r.Min).Push(c.Ops).Pop()
	focused := !a.Disabled && c.Focused(click)
	if focused {
		c.ui.focused = a.Label
	}
	if !a.Disabled {
		c.ui.targets = append(c.ui.targets, Target{ID: a.ID, Rect: r, Focused: focused})
	}
	draw := func(layout.Context) layout.Dimensions {
		semantic.Button.Add(c.Ops)
		semantic.LabelOp(a.Label).Add(c.Ops)
		semantic.SelectedOp(a.On).Add(c.Ops)
		semantic.EnabledOp(!a.Disabled).Add(c.Ops)
		inner := *c
		inner.rtl = false // the box stands already; only its inside is mirrored, by face
		inner.w = b.w
		inner.face(box{0, 0, b.w, b.h}, a, k, c.rtl, click.Pressed())
		return layout.Dimensions{Size: r.Size()}
	}
	gtx := c.Context
	gtx.Constraints = layout.Exact(r.Size())
	if a.Disabled { // takes no input, and stays in the tree
		area := clip.Rect{Max: r.Size()}.Push(c.Ops)
		draw(gtx)
		area.Pop()
	} else {
		click.Layout(gtx, draw)
	}
	if focused {
		ring := image.Rectangle{Max: r.Size()}.Inset(-c.px(c.ui.Theme.Space.Ring) - 1)
		c.stroke(clip.UniformRRect(ring, c.px(c.ui.Theme.Space.Radius+4)).Path(c.Ops), c.colour.Focus, float32(c.px(c.ui.Theme.Space.Ring)))
	}
}

// face draws a button's inside: ground, border, drawing and text.
func (c *canvas) face(b box, a Action, k kind, mirrored, pressed bool) {
	sp, ty := c.ui.Theme.Space, c.ui.Theme.Type
	ground, ink, border := c.colour.Surface, c.colour.Text, c.colour.Line
	s := style{size: ty.Button[c.size], bold: true}
	switch k {
	case kindPrimary:
		ground, ink, border = c.colour.Primary, c.colour.OnPrimary, c.colour.Primary
	case kindTool:
		s = style{size: ty.Tool[c.size]}
	case kindKey:
		s.size = ty.Button[0]
	}
	width := sp.Line
	switch {
	case a.Disabled:
		ground, ink, border = c.colour.Ground, c.colour.Muted, c.colour.Muted
		width = 1
	case pressed || a.On:
		ink, ground = ground, ink
	}
	c.fill(b, ground, sp.Radius)
	c.frame(b, border, sp.Radius, width)
	s.colour = ink
	label := a.Label
	if a.Face != "" {
		label = a.Face
	}
	if a.Language != "" {
		c.Locale = localeOf(a.Language)
	}
	c.inside(b, a.Icon, s, label, ink, mirrored)
}

// inside places a button's drawing and text: the drawing where lines begin, or alone.
func (c *canvas) inside(b box, icon Icon, s style, label string, ink Colour, mirrored bool) {
	sp := c.ui.Theme.Space
	in := box{b.x + sp.Tight, b.y + 2, b.w - 2*sp.Tight, b.h - 4}
	if icon == IconNone {
		c.caption(in, s, label)
		return
	}
	side := min(40, b.h/2)
	mark, rest := box{in.x + sp.Tight, b.y + (b.h-side)/2, side, side}, box{in.x + sp.Tight + side + sp.Tight, in.y, in.w - side - 2*sp.Tight, in.h}
	if mirrored {
		mark.x, rest.x = b.w-mark.x-mark.w, b.w-rest.x-rest.w
	}
	c.icon(mark, icon, ink, mirrored)
	c.caption(rest, s, label)
}
