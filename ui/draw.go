package ui

import (
	"gioui.org/io/semantic"
	"gioui.org/op/clip"
)

const headHeight = 56

// touch is the smallest side of a target here: 15 mm where the screen's size is known, and never less than the design's.
func (c *canvas) touch() int {
	least := 88
	if mm := c.ui.PxPerMM; mm > 0 {
		least = max(least, c.dp(int(c.ui.Theme.TargetMM*mm+0.99)))
	}
	return least
}

// parts divides the screen: head, picture, words, tools.
func (c *canvas) parts() (head, picture, words, tools box) {
	sp := c.ui.Theme.Space
	bar := c.touch()
	head = box{sp.Edge, sp.Gap, c.w - 2*sp.Edge, headHeight}
	tools = box{sp.Edge, c.h - bar - sp.Gap, c.w - 2*sp.Edge, bar}
	top := head.y + head.h + sp.Gap
	body := box{sp.Edge, top, c.w - 2*sp.Edge, tools.y - sp.Block - top}
	share := 34
	switch {
	case c.page.Picture == PictureInk || c.page.Picture == PicturePad:
		share = 54
	case c.page.live() || c.page.Picture == PictureHands:
		share = 44
	}
	half := (body.w - sp.Block) * share / 100
	picture = box{body.x, body.y, half, body.h}
	words = box{body.x + half + sp.Block, body.y, body.w - half - sp.Block, body.h}
	return head, picture, words, tools
}

// slotOf is where the live view belongs.
func (c *canvas) slotOf(p Picture) Slot {
	_, pic, _, _ := c.parts()
	switch p {
	case PictureGlass:
		return Slot{p, c.rect(c.glassBox(pic))}
	case PicturePad:
		return Slot{p, c.rect(c.inkBox(pic))}
	}
	return Slot{p, c.rect(c.faceBox(pic))}
}

// all draws the page in the order in which it is read.
func (c *canvas) all() {
	head, picture, words, tools := c.parts()
	c.head(head)
	switch {
	case len(c.page.Keys) > 0:
		c.keyboardPage(box{picture.x, picture.y, words.x + words.w - picture.x, picture.h})
	case len(c.page.Options) > 0:
		c.choicePage(box{picture.x, picture.y, words.x + words.w - picture.x, picture.h})
	default:
		c.words(words)
		c.picture(picture)
		c.actions(words)
	}
	c.tools(tools)
}

// head shows the way and the number.
func (c *canvas) head(b box) {
	sp := c.ui.Theme.Space
	x := b.x
	for _, s := range c.page.Steps {
		st := style{size: c.ui.Theme.Type.Small[min(c.size, 1)], colour: c.colour.Muted, bold: s.Current}
		if s.Current {
			st.colour = c.colour.Text
		}
		w := c.width(st, s.Name) + 44
		c.step(box{x, b.y, w, b.h}, st, s)
		x += w + sp.Block
	}
	end := b.x + b.w
	if n := c.page.Number; n != "" {
		st := style{size: c.ui.Theme.Type.Body[0], bold: true, colour: c.colour.Text, number: true}
		w := c.width(st, n) + 8
		end -= w
		c.label(box{end, b.y + 6, w, b.h}, st, n, "")
		end -= sp.Block
	}
	if d := c.page.Demo; d != "" {
		st := style{size: c.ui.Theme.Type.Small[0], bold: true, colour: c.colour.OnAttention, centre: true}
		w := c.width(st, d) + 2*sp.Gap
		badge := box{end - w, b.y + 6, w, 40}
		c.fill(badge, c.colour.Attention, 20)
		c.describe(badge, d, describeStep)
		c.caption(badge, st, d)
	}
}

// width measures a text on one line.
func (c *canvas) width(s style, txt string) int {
	s.centre = false
	_, size := c.shape(4000, s, txt)
	return c.dp(size.X)
}

func (c *canvas) step(b box, st style, s Step) {
	r := c.rect(b)
	defer clip.Rect(r).Push(c.Ops).Pop()
	semantic.LabelOp(s.Spoken).Add(c.Ops)
	semantic.DescriptionOp(describeStep).Add(c.Ops)
	mark := box{b.x, b.y + b.h/2 - 15, 30, 30}
	switch {
	case s.Done:
		c.fill(mark, c.colour.Good, 15)
		c.icon(mark.inset(5), IconCheck, c.colour.OnGood, false)
	case s.Current:
		c.fill(mark, c.colour.Primary, 15)
		c.fill(mark.inset(9), c.colour.OnPrimary, 6)
	default:
		c.frame(mark, c.colour.Line, 15, 3)
	}
	glyphs, size := c.shape(b.w-40, st, s.Name)
	text := c.rect(box{b.x + 40, b.y, b.w - 40, b.h})
	text.Min.Y += (text.Dy() - size.Y) / 2
	c.paint(text.Min, glyphs, st.colour)
}

// Descriptions tell apart what is spoken and how.
const (
	describePrivate = "private" // into a headset only
	describeHint    = "hint"    // as soon as it changes
	describeStep    = "step"    // not by itself
	describeSecret  = "field"
)

// words draws title, lines, hint and note.
func (c *canvas) words(b box) {
	sp := c.ui.Theme.Space
	room := box{b.x, b.y, b.w, b.h - c.actionsHeight(b)}
	if !c.page.live() && c.page.Picture != PictureHands && c.page.Picture != PictureInk && c.page.Picture != PictureNone {
		room = room.cut(max(room.h-c.wordsHeight(room.w), 0) / 3) // beside a sign, words stand a little above the middle
	}
	room = room.cut(c.label(room, c.title(), c.page.Title, "") + sp.Gap)
	for _, l := range c.page.Private {
		room = room.cut(c.label(room, c.strong(), l, describePrivate) + sp.Tight)
	}
	for i, l := range c.page.Lines {
		x := room
		if c.page.Picture == PictureList {
			c.bullet(room, i)
			x.x, x.w = x.x+56, x.w-56
		}
		h := c.label(x, c.body(), l, "")
		room = room.cut(max(h, 36) + sp.Gap)
	}
	if c.page.Hint != "" {
		room = room.cut(c.hint(room, c.page.Hint) + sp.Gap)
	}
	c.label(room, c.small(), c.page.Note, "")
}

// wordsHeight measures what words draws.
func (c *canvas) wordsHeight(w int) int {
	sp := c.ui.Theme.Space
	h := c.height(w, c.title(), c.page.Title) + sp.Gap + c.height(w, c.small(), c.page.Note)
	for _, l := range c.page.Private {
		h += c.height(w, c.strong(), l) + sp.Tight
	}
	for _, l := range c.page.Lines {
		h += max(c.height(w-56, c.body(), l), 36) + sp.Gap
	}
	if c.page.Hint != "" {
		h += c.height(w-2*sp.Gap-10, c.strong(), c.page.Hint) + sp.Gap + 2*sp.Tight
	}
	return h
}

func (c *canvas) bullet(b box, i int) {
	mark := box{b.x, b.y + 2, 36, 36}
	c.frame(mark, c.colour.Primary, 18, 3)
	c.caption(mark, style{size: 22, bold: true, colour: c.colour.Text}, c.ui.Words.in(c.Locale.Language).number(i+1))
}

// hint draws what to do better in a box that can't be overlooked.
func (c *canvas) hint(b box, txt string) int {
	sp := c.ui.Theme.Space
	s := c.strong()
	inner := box{b.x + sp.Gap + 10, b.y + sp.Tight, b.w - 2*sp.Gap - 10, b.h - 2*sp.Tight}
	h := c.height(inner.w, s, txt) + 2*sp.Tight
	whole := box{b.x, b.y, b.w, h}
	c.fill(whole, c.colour.Surface, sp.Radius)
	c.frame(whole, c.colour.Attention, sp.Radius, 3)
	c.fill(box{b.x, b.y, 12, h}, c.colour.Attention, 6)
	c.label(inner, s, txt, describeHint)
	return h
}

// actionsHeight is the room that the actions take: the primary one across, the others two in a row.
func (c *canvas) actionsHeight(b box) int {
	sp := c.ui.Theme.Space
	h := 0
	if c.page.Primary != nil {
		h += c.touch() + 12 + sp.Gap
	}
	return h + c.otherRows()*(c.touch()+sp.Gap)
}

func (c *canvas) otherRows() int { return (len(c.page.Others) + 1) / 2 }

// actions draws the one thing to do next across the column, the others below it.
func (c *canvas) actions(b box) {
	sp := c.ui.Theme.Space
	y := b.y + b.h - c.actionsHeight(b) + sp.Gap
	if a := c.page.Primary; a != nil {
		c.button(box{b.x, y, b.w, c.touch() + 12}, *a, kindPrimary)
		y += c.touch() + 12 + sp.Gap
	}
	for i := 0; i < len(c.page.Others); i += 2 {
		row := c.page.Others[i:min(i+2, len(c.page.Others))]
		w := (b.w - sp.Gap*(len(row)-1)) / len(row)
		for j, a := range row {
			c.button(box{b.x + j*(w+sp.Gap), y, w, c.touch()}, a, kindPlain)
		}
		y += c.touch() + sp.Gap
	}
}

func (c *canvas) tools(b box) {
	sp := c.ui.Theme.Space
	n := len(c.page.Tools)
	w := (b.w - sp.Gap*(n-1)) / n
	for i, a := range c.page.Tools {
		c.button(box{b.x + i*(w+sp.Gap), b.y, w, b.h}, a, kindTool)
	}
}

// choicePage offers equal choices in a grid; up to four rows of three.
func (c *canvas) choicePage(b box) {
	sp := c.ui.Theme.Space
	if len(c.page.Options) <= 3 {
		b = b.cut(sp.Block)
	}
	centred := func(s style) style { s.centre = true; return s }
	title := centred(c.title())
	title.size = title.size * 5 / 4
	b = b.cut(c.label(b, title, c.page.Title, "") + sp.Tight)
	for _, l := range c.page.Lines {
		b = b.cut(c.label(b, centred(c.body()), l, "") + sp.Gap)
	}
	b = b.cut(sp.Gap)
	n := len(c.page.Options)
	columns := 3
	if n > 9 {
		columns = 4
	}
	rows := (n + columns - 1) / columns
	h := min(150, (b.h-sp.Gap*rows-len(c.page.Others)*(c.touch()+sp.Gap)-60)/rows)
	w := (b.w - sp.Gap*(columns-1)) / columns
	for i, a := range c.page.Options {
		row, col := i/columns, i%columns
		x := b.x + col*(w+sp.Gap)
		if inRow := min(n-row*columns, columns); inRow < columns {
			x += (columns - inRow) * (w + sp.Gap) / 2
		}
		c.button(box{x, b.y + row*(h+sp.Gap), w, max(h, c.touch())}, a, kindChoice)
	}
	b = b.cut(rows*(h+sp.Gap) + sp.Gap)
	for _, a := range c.page.Others {
		c.button(box{b.x + b.w/2 - 160, b.y, 320, c.touch()}, a, kindPlain)
		b = b.cut(c.touch() + sp.Gap)
	}
	c.label(b, centred(c.small()), c.page.Note, "")
}

// keyboardPage has the field and the keys at one side, words and actions at the other.
func (c *canvas) keyboardPage(b box) {
	sp := c.ui.Theme.Space
	const columns = 7
	side := c.touch()
	left := box{b.x, b.y, columns*side + (columns-1)*sp.Tight, b.h}
	right := box{left.x + left.w + sp.Block, b.y, b.w - left.w - sp.Block, b.h}
	c.words(right)
	c.field(box{left.x, left.y, left.w, 84})
	top := left.y + 84 + sp.Tight
	keyHeight := min(side, (b.y+b.h-top-4*sp.Tight)/5)
	for i, k := range c.page.Keys {
		at := box{left.x + i%columns*(side+sp.Tight), top + i/columns*(keyHeight+sp.Tight), side, keyHeight}
		if k.ID == "code-erase" {
			at.w = left.x + left.w - at.x
		}
		if c.rtl { // codes and their keys run from left to right in every language
			at.x = left.x + left.w - (at.x - left.x) - at.w
		}
		c.button(at, k, kindKey)
	}
	c.actions(right)
}

// field shows the places of a code and what is typed so far.
func (c *canvas) field(b box) {
	f := c.page.Field
	if f == nil {
		return
	}
	sp := c.ui.Theme.Space
	func() {
		defer clip.Rect(c.rect(b)).Push(c.Ops).Pop()
		semantic.Editor.Add(c.Ops)
		semantic.LabelOp(f.Spoken).Add(c.Ops)
		semantic.DescriptionOp(describeSecret).Add(c.Ops)
	}()
	mirrored := c.rtl
	w := (b.w - sp.Tight*(f.Length-1)) / f.Length
	for i := range f.Length {
		at := box{b.x + i*(w+sp.Tight), b.y, w, b.h}
		if mirrored { // a code runs from left to right in every language
			at.x = b.x + b.w - (i+1)*w - i*sp.Tight // the box is mirrored once more when it is placed
		}
		border, width := c.colour.Line, 2
		if i == len(f.Text) {
			border, width = c.colour.Primary, 5
		}
		c.fill(at, c.colour.Surface, 8)
		c.frame(at, border, 8, width)
		if i < len(f.Text) {
			c.caption(at, style{size: 40, bold: true, colour: c.colour.Text, number: true}, f.Text[i:i+1])
		}
	}
}
