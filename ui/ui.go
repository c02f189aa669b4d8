// Package ui is the applicant's screen: what a person sees, hears and presses during an intake.
//
// The one idea: a screen is a function of the daemon's status and of the little that the screen remembers by itself ([Local]).
// [Describe] computes a page as data, [UI] draws it with Gio and turns presses into commands, and what is spoken is read from
// the semantics tree of what is drawn, so that eye and ear get the same. Nothing here opens a window or a device; see
// ui/cmd/kiosk-ui for that. Accessibility follows EN 301 549 V3.2.1, chapter 5.1 (closed functionality).
package ui

import (
	"image"
	"image/color"
	"slices"
	"strings"
	"time"

	"gioui.org/font"
	"gioui.org/io/input"
	"gioui.org/io/key"
	"gioui.org/io/pointer"
	"gioui.org/io/system"
	"gioui.org/layout"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
	"gioui.org/text"
	"gioui.org/unit"
	"gioui.org/widget"

	"loket/kiosk/api"
)

// The design space: lengths in themes count in its units, and the screen is scaled so that it fits.
const (
	designWidth  = 1280
	designHeight = 800
)

// UI draws pages and takes in what is pressed. All its methods belong to one goroutine.
type UI struct {
	Theme Theme
	Words *Words
	Local Local
	// Do sends a command to the daemon. It must not block; the answer comes back through [UI.Answered].
	Do func(api.Command)
	// PxPerMM is how many pixels of the screen lie on a millimetre; zero where it is not known.
	PxPerMM float64

	shaper  *text.Shaper
	buttons map[string]*widget.Clickable
	page    Page
	slot    *Slot
	focused string // the label of what has the focus
	byKeys  bool   // the person moves by keys: the focus goes to what matters on each new page
	shown   string // the id of the page that was drawn last
	ready   bool   // it had something to do next

	ink     board // what is being signed
	notes   []string
	targets []Target
}

// Target is something that can be pressed, where it was drawn.
type Target struct {
	ID      string // of its action
	Rect    image.Rectangle
	Focused bool
}

// New prepares screens with these typefaces (see [LoadFonts]). It draws nothing.
func New(theme Theme, words *Words, faces []font.FontFace) *UI {
	return &UI{Theme: theme, Words: words, buttons: map[string]*widget.Clickable{},
		shaper: text.NewShaper(text.NoSystemFonts(), text.WithCollection(faces))}
}

// Metric gives the scale for a screen of this size: the whole design space fits on it.
func Metric(size image.Point) unit.Metric {
	scale := min(float32(size.X)/designWidth, float32(size.Y)/designHeight)
	return unit.Metric{PxPerDp: scale, PxPerSp: scale}
}

// Update takes in a status (nil while no daemon answers) and what was pressed since, and computes the page.
func (u *UI) Update(gtx layout.Context, st *api.Status) Page {
	u.Local = u.Local.after(st, gtx.Now)
	u.write(gtx)
	view := View{Status: st, Local: u.Local, Now: gtx.Now, Words: u.Words}
	u.page = Describe(view)
	for u.press(gtx, u.page) { // each on the page that the one before it led to: nothing that was pressed fast is lost
		u.Local = u.Local.after(st, gtx.Now)
		view.Local = u.Local
		u.page = Describe(view)
	}
	return u.page
}

// press carries out the first thing that was pressed on the page. What is left is there for the next call.
func (u *UI) press(gtx layout.Context, p Page) bool {
	for _, a := range p.actions() {
		if !a.Disabled && u.clickable(p.ID, a).Clicked(gtx) {
			u.do(a)
			return true
		}
	}
	a, ok := u.typed(gtx, p)
	if ok {
		u.do(a)
	}
	return ok
}

func (u *UI) do(a Action) {
	u.Local = a.Then
	if a.Command == nil || u.Do == nil {
		return
	}
	c := *a.Command
	if c.Sign != nil && u.page.Picture == PictureInk {
		c.Sign = u.ink.signed(c.Sign.Again)
	}
	u.Do(c)
}

// typed finds the key of the on-screen keyboard that was pressed on a real one.
func (u *UI) typed(gtx layout.Context, p Page) (Action, bool) {
	for _, k := range p.Keys {
		name := key.Name(k.Face)
		if k.ID == "code-erase" {
			name = key.NameDeleteBackward
		}
		for {
			e, more := gtx.Event(key.Filter{Name: name, Optional: key.ModShift})
			if !more {
				break
			}
			if e, is := e.(key.Event); is && e.State == key.Press && !k.Disabled {
				return k, true
			}
		}
	}
	return Action{}, false
}

// actions lists all that can be pressed, in the order in which it is reached by keys.
func (p Page) actions() []Action {
	list := slices.Concat(p.Options, p.Keys)
	if p.Primary != nil {
		list = append(list, *p.Primary)
	}
	return slices.Concat(list, p.Others, p.Tools)
}

// Answered takes in how a command ended: nil, or the daemon's refusal.
func (u *UI) Answered(err error) {
	code := ""
	if err != nil {
		code = "failed"
		if e, ok := err.(*api.Error); ok {
			code = e.Code
		}
	}
	u.Local = u.Local.answered(code)
}

// Draw draws the page that [UI.Update] computed and returns where the live view belongs, if anywhere.
func (u *UI) Draw(gtx layout.Context) *Slot {
	u.notes, u.targets, u.focused = nil, nil, ""
	lang := languageOf(u.Local.Language)
	gtx.Locale = localeOf(lang.Tag)
	c := &canvas{Context: gtx, ui: u, page: u.page, colour: u.palette(), size: u.Local.Size, rtl: lang.RightToLeft,
		w: c2(gtx.Constraints.Max.X, gtx.Metric), h: c2(gtx.Constraints.Max.Y, gtx.Metric)}
	u.slot = nil
	if u.page.live() {
		s := c.slotOf(u.page.Picture)
		u.slot = &s
	}
	c.ground(u.slot)
	c.all()
	u.reveal(gtx)
	return u.slot
}

func c2(px int, m unit.Metric) int { return int(float32(px) / m.PxPerDp) }

// ground fills everything but the place of the live view.
func (c *canvas) ground(hole *Slot) {
	all := image.Rectangle{Max: c.Constraints.Max}
	col := color.NRGBA(c.colour.Ground)
	if hole == nil {
		paint.FillShape(c.Ops, col, clip.Rect(all).Op())
		return
	}
	r := hole.Rect
	for _, part := range []image.Rectangle{
		{Min: all.Min, Max: image.Pt(all.Max.X, r.Min.Y)}, {Min: image.Pt(0, r.Max.Y), Max: all.Max},
		{Min: image.Pt(0, r.Min.Y), Max: image.Pt(r.Min.X, r.Max.Y)}, {Min: image.Pt(r.Max.X, r.Min.Y), Max: image.Pt(all.Max.X, r.Max.Y)},
	} {
		paint.FillShape(c.Ops, col, clip.Rect(part).Op())
	}
}

func (u *UI) palette() Palette {
	if u.Local.High {
		return u.Theme.Colours[ContrastHigh]
	}
	return u.Theme.Colours[ContrastStandard]
}

// reveal moves the focus to the one thing to do next, where somebody moves by keys, when a page is new or that has become possible.
func (u *UI) reveal(gtx layout.Context) {
	a := u.page.Primary
	ready, fresh := a != nil && !a.Disabled, u.page.ID != u.shown
	became := ready && (fresh || !u.ready)
	u.shown, u.ready = u.page.ID, ready
	switch {
	case u.byKeys && became:
		gtx.Execute(key.FocusCmd{Tag: u.clickable(u.page.ID, *a)})
	case fresh:
		gtx.Execute(key.FocusCmd{})
	}
}

// Key takes in a key of a keyboard or keypad: Tab and arrows move the focus, everything else goes to whoever has it.
func (u *UI) Key(r *input.Router, name key.Name, mods key.Modifiers, state key.State) {
	u.byKeys = true
	moves := map[key.Name]key.FocusDirection{key.NameLeftArrow: key.FocusLeft, key.NameRightArrow: key.FocusRight,
		key.NameUpArrow: key.FocusUp, key.NameDownArrow: key.FocusDown, key.NameTab: key.FocusForward}
	dir, ok := moves[name]
	if name == key.NameTab && mods.Contain(key.ModShift) {
		dir = key.FocusBackward
	}
	switch {
	case !ok:
		r.Queue(key.Event{Name: name, Modifiers: mods, State: state})
	case state == key.Press:
		r.MoveFocus(dir)
	}
	u.Local.Touched = time.Time{}
}

// Touch takes in a finger or a mouse.
func (u *UI) Touch(r *input.Router, e pointer.Event) {
	u.byKeys = false
	r.Queue(e)
	if e.Kind == pointer.Press {
		u.Local.Touched = time.Time{}
	}
}

func (u *UI) clickable(page string, a Action) *widget.Clickable {
	id := page + "/" + a.ID
	if strings.HasPrefix(a.ID, "tool-") {
		id = a.ID // the same button on every page, so that it keeps the focus
	}
	if u.buttons[id] == nil {
		u.buttons[id] = &widget.Clickable{}
	}
	return u.buttons[id]
}

func (u *UI) note(what string) { u.notes = append(u.notes, what) }

// Page is what was drawn last.
func (u *UI) Page() Page { return u.page }

// Focused is the label of what has the focus; empty where nothing has.
func (u *UI) Focused() string { return u.focused }

// Targets lists what can be pressed on what was drawn last, in the order of drawing.
func (u *UI) Targets() []Target { return u.targets }

// Faults lists what was wrong with the last drawing: texts that did not fit, letters without a glyph. For tests and designers.
func (u *UI) Faults() []string { return u.notes }

func localeOf(tag string) system.Locale {
	l := system.Locale{Language: tag}
	if languageOf(tag).RightToLeft {
		l.Direction = system.RTL
	}
	return l
}
