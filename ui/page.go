package ui

import (
	"time"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
)

// Page is one screen as data: what it says, shows and offers. It is computed from a [View] alone.
type Page struct {
	ID       string
	Key      string // changes when there is something new to read aloud
	Title    string
	Lines    []string // what it says, the first line first
	Private  []string // lines that hold personal data: shown, and spoken into a headset only
	Hint     string   // what to do better right now
	Note     string   // small print
	Field    *Field
	Options  []Action // a grid of equal choices
	Keys     []Action // an on-screen keyboard
	Primary  *Action  // the one thing to do next
	Others   []Action
	Tools    []Action // the same on every page
	Picture  Picture
	Lamp     Lamp
	LampText string
	Wanted   []biometric.FingerPosition // to present now
	Absent   []biometric.FingerPosition // of these, those that do not lie there while others do
	Ledger   *biometric.Ledger
	Names    map[biometric.FingerPosition]string // how each finger's line of the ledger reads
	Legend   []Legend                            // what the marks on the fingers mean
	Seen     string                              // what the picture shows, in words
	Steps    []Step
	Number   string // of the ticket
	Demo     string // said where nothing is real
	Good     bool   // it ended well
}

// Step is one mark of the way through.
type Step struct {
	Name    string
	Spoken  string // "step 1 of 3: photo"
	Done    bool
	Current bool
}

// Legend explains one mark by a finger that has it.
type Legend struct {
	Finger biometric.FingerPosition
	Text   string
}

// Field shows how much of a code is typed.
type Field struct {
	Text   string
	Spoken string // the code is a secret: this is said instead
	Length int
}

// Action is something that can be pressed. It sends a command, leaves the screen in another local state, or both.
type Action struct {
	ID       string
	Label    string // shown and spoken
	Face     string // shown instead of the label, on keys
	Icon     Icon
	Language string // of the label, where it is not the page's
	On       bool   // of a choice that is chosen
	Disabled bool
	Command  *api.Command
	Then     Local
}

// Picture names the drawing of a page.
type Picture string

// The pictures. Face, glass and pad have a live view in them.
const (
	PictureNone   Picture = ""
	PictureFace   Picture = "face"
	PictureGlass  Picture = "glass"
	PictureHands  Picture = "hands" // with the ledger
	PicturePen    Picture = "pen"
	PictureInk    Picture = "ink" // where the person signs, with a finger or a pen
	PicturePad    Picture = "pad" // what they write on a pad
	PictureTicket Picture = "ticket"
	PicturePerson Picture = "person"
	PictureStaff  Picture = "staff"
	PictureLock   Picture = "lock"
	PictureWait   Picture = "wait"
	PictureDone   Picture = "done"
	PictureClock  Picture = "clock"
	PictureDesk   Picture = "desk"
	PictureList   Picture = "list"
	PictureCable  Picture = "unplugged"
	PictureOff    Picture = "off"
	PictureHung   Picture = "hung"
	PictureCrash  Picture = "crashed"
	PictureHeld   Picture = "held"
	PictureUnfit  Picture = "unfit"
	PictureCross  Picture = "cross"
)

// live reports whether the page shows a live view.
func (p Page) live() bool {
	return p.Picture == PictureFace || p.Picture == PictureGlass || p.Picture == PicturePad
}

// Lamp is what the scanner's lamp says, on the screen too; a tone goes with each change.
type Lamp string

// The lamps.
const (
	LampNone  Lamp = ""
	LampPlace Lamp = "place" // put the fingers down
	LampHold  Lamp = "hold"  // they are seen: hold still
	LampLift  Lamp = "lift"  // lift them now
)

// Icon names a small drawing on a button.
type Icon string

// The icons.
const (
	IconNone     Icon = ""
	IconHelp     Icon = "help"
	IconLanguage Icon = "language"
	IconSize     Icon = "size"
	IconContrast Icon = "contrast"
	IconRepeat   Icon = "repeat"
	IconForward  Icon = "forward"
	IconBack     Icon = "back"
	IconCheck    Icon = "check"
	IconErase    Icon = "erase"
	IconClose    Icon = "close"
	IconMinus    Icon = "minus"
)

// View is all that decides what a screen shows.
type View struct {
	Status *api.Status // nil while no daemon answers
	Local  Local
	Now    time.Time
	Words  *Words
}
