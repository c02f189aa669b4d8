package hidcode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"loket/drivers"
	"loket/drivers/hid"
	"loket/kiosk/mrz"
)

// Terminator is the key with which a keyboard wedge ends each code.
type Terminator string

// The terminators.
const (
	Enter Terminator = "enter"
	Tab   Terminator = "tab"
)

// Boot keyboard reports (HID 1.11, appendix B.1) and usages of page 07 (HID Usage Tables 1.4, clause 10).
const (
	bootSize = 8 // modifiers, a reserved byte, six keys

	pageKeyboard             = 0x07
	usageKeyboard  hid.Usage = 0x01_0006
	usageModifiers hid.Usage = pageKeyboard<<16 | 0xe0

	keyRollOver  = 0x01 // too many keys are down: the report tells nothing
	keyUndefined = 0x03
	keyA         = 0x04

	modifierShift  = 0x22 // left and right
	modifierOthers = 0xdd // control, alt and GUI, left and right
)

// layout gives the characters of the keys from keyA on, without and with shift, as the US layout has them. The key that US
// keyboards lack is < and >, as on most European ones. A zero is a key that types nothing that a code can hold.
var layout = [2]string{
	"abcdefghijklmnopqrstuvwxyz1234567890\n\x00\x00\t -=[]\\\x00;'`,./" + strings.Repeat("\x00", 27) + "/*-+\n1234567890.<",
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()\n\x00\x00\t _+{}|\x00:\"~<>?" + strings.Repeat("\x00", 27) + "/*-+\n1234567890.>",
}

// Keys that type nothing and mean nothing in a code.
const (
	keyCapsLock   = 0x39
	keyScrollLock = 0x47
	keyNumLock    = 0x53
)

// keyboard turns boot reports into characters. A key types when it goes down: one that is held, and reported again, does not.
type keyboard struct {
	held []byte
	caps bool
}

// errNoText is a key that no text has: a control character, a cursor key.
var errNoText = errors.New("it has a key that types no character")

// typed takes a report and calls put for each character that is typed, with 0 for a key that types none.
func (k *keyboard) typed(report []byte, put func(byte)) error {
	if len(report) != bootSize {
		return fmt.Errorf("reading a keyboard report: %d bytes and not %d", len(report), bootSize)
	}
	keys := report[2:]
	if slices.Contains(keys, keyRollOver) {
		return nil
	}
	before := k.held
	k.held = nil
	for _, key := range keys {
		switch {
		case key == 0, slices.Contains(k.held, key):
			continue
		case key <= keyUndefined:
			return fmt.Errorf("reading a keyboard report: the keyboard reports error %d", key)
		}
		k.held = append(k.held, key)
		if !slices.Contains(before, key) {
			k.press(key, report[0], put)
		}
	}
	return nil
}

func (k *keyboard) press(key, modifiers byte, put func(byte)) {
	switch key {
	case keyCapsLock:
		k.caps = !k.caps
		return
	case keyNumLock, keyScrollLock:
		return
	}
	shift := 0
	if modifiers&modifierShift != 0 {
		shift = 1
	}
	if k.caps && key < keyA+26 {
		shift = 1 - shift
	}
	if i := int(key) - keyA; i < len(layout[shift]) && modifiers&modifierOthers == 0 {
		put(layout[shift][i])
		return
	}
	put(0)
}

// wedge assembles codes from what a keyboard wedge types. Lines that belong to one machine readable zone become one code.
type wedge struct {
	keyboard
	terminator byte

	text  []byte
	bad   error    // of the text
	lines []string // of a zone that has begun
	wait  int      // how many lines it has
}

func newWedge(t Terminator) *wedge {
	if t == Tab {
		return &wedge{terminator: '\t'}
	}
	return &wedge{terminator: '\n'}
}

func (w *wedge) room() int { return bootSize }

func (w *wedge) pending() bool { return len(w.text) > 0 || w.bad != nil || len(w.lines) > 0 }

// reset forgets what was typed and which keys are down.
func (w *wedge) reset() { *w = wedge{terminator: w.terminator} }

// silent is what the typing of a code means that stops before its end: a zone that lacks lines is what it is, a text that
// lacks its terminator is the reader's fault.
func (w *wedge) silent() ([]message, error) {
	if len(w.text) == 0 && w.bad == nil {
		return []message{w.zone()}, nil
	}
	return nil, fmt.Errorf("waiting for the end of a code: %w (hint: set the reader to end each code with the key that the configuration names, enter where it names none)",
		context.DeadlineExceeded)
}

func (w *wedge) take(report []byte) ([]message, error) {
	var list []message
	ended := false
	err := w.typed(report, func(c byte) {
		switch {
		case ended: // no reader presses a key together with the one that ends a code
			list = []message{{bad: errNoText}}
		case c == w.terminator:
			ended = true
			list = w.line()
		case c == 0:
			w.bad = errNoText
		case len(w.text) == drivers.MaxCode:
			w.bad = errTooLong
		default:
			w.text = append(w.text, c)
		}
	})
	return list, err
}

// line ends a line: a code, unless a zone has begun or begins with it.
func (w *wedge) line() []message {
	m := message{text: string(w.text), bad: w.bad}
	w.text, w.bad = nil, nil
	switch {
	case m.bad != nil:
		w.lines = nil
		return []message{m}
	case len(w.lines) == 0 && mrz.Lines(m.text) == 0:
		return []message{m}
	case len(w.lines) == 0:
		w.wait = mrz.Lines(m.text)
	}
	w.lines = append(w.lines, m.text)
	if len(w.lines) < w.wait && len(m.text) == len(w.lines[0]) {
		return nil
	}
	return []message{w.zone()}
}

// zone gives the lines so far as one code.
func (w *wedge) zone() message {
	m := message{text: strings.Join(w.lines, "\n")}
	w.lines = nil
	return m
}

// bootShaped reports whether a keyboard's own reports have the shape of boot reports.
func bootShaped(d hid.Descriptor) bool {
	modifiers, keys := false, false
	for _, f := range d.Fields {
		modifiers = modifiers || f.Variable && f.Offset == 0 && f.Size == 1 && f.Count == 8 && f.Usage(0) == usageModifiers
		keys = keys || !f.Variable && !f.Constant && f.Offset == 16 && f.Size == 8 && f.Count == 6 && f.Usage(0).Page() == pageKeyboard
	}
	return modifiers && keys && !d.Numbered && d.Size(0) == bootSize
}
