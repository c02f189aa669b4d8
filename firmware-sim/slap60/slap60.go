// Package slap60 is the firmware of a simulated four-finger enrolment scanner.
//
// The one idea: the person's side (what lies on the glass, what lamps and loudspeaker say) and the host's side (commands,
// responses, events over USB) meet in one small state machine under one mutex. Nothing runs while nothing happens: a
// timer is set only while fingers settle, and everything else answers a call. The protocol is docs/protocols/slap60.md.
package slap60

import (
	"cmp"
	"image"
	"slices"
	"sync"
	"time"

	"loket/drivers/usb"
)

// Options describe one scanner. The zero value is a good one.
type Options struct {
	Serial string        // "SIM-SLAP60-1" where empty
	Settle time.Duration // how long fingers lie still before a capture, where the host leaves it to the device; 100 ms where zero
	Width  int           // px of the glass; 1600 where zero, else 64 to 4096
	Height int           // px of the glass; 1500 where zero, else 64 to 4096
}

// Contact is one finger on the glass.
type Contact struct {
	Box image.Rectangle // px, in the presentation's image
	// PAD is what presentation attack detection says of the finger: 1 (certainly an attack) to 100 (certainly none), below
	// 50 an alarm. 0 is no judgement: the result is then "not available".
	PAD int
}

// Presentation is what a person does with fingers: they lie still until the next one, or until Lift.
type Presentation struct {
	// Image is what the sensor sees, ridges dark. Its upper left corner is placed on that of the glass as it is; the rest of
	// the glass is white, and what lies beyond it is not seen.
	Image   *image.Gray
	Fingers []Contact // in any order; the scanner sees ten at most
}

// Lamp is the state of a finger's lamp.
type Lamp uint8

// The states of a lamp.
const (
	LampOff   Lamp = 0
	LampPlace Lamp = 1
	LampWrong Lamp = 2
	LampGood  Lamp = 3
)

// Tone is what the loudspeaker played last.
type Tone uint8

// The tones.
const (
	ToneNone      Tone = 0
	ToneAttention Tone = 1
	ToneGood      Tone = 2
	ToneTryAgain  Tone = 3
)

// Guidance is what the scanner tells the person.
type Guidance struct {
	Armed  bool     // a capture waits for fingers
	Wanted uint16   // fingers that it asks for: bit 0 the right thumb to bit 9 the left little finger
	Lift   bool     // the fingers on the glass should leave it
	Lamps  [10]Lamp // by finger, in the order of Wanted
	Tone   Tone
	Again  uint32 // how often the loudspeaker has said: try again
}

// Fingers lists the wanted fingers as positions, 1 (right thumb) to 10 (left little finger).
func (g Guidance) Fingers() []uint8 {
	var list []uint8
	for i := range uint8(10) {
		if g.Wanted&(1<<i) != 0 {
			list = append(list, i+1)
		}
	}
	return list
}

// Device is a scanner. It must be made by [New]; its methods may be called from several goroutines at once.
type Device struct {
	opt     Options
	started time.Time
	empty   *image.Gray // the glass with nothing on it; not changed

	mu       sync.Mutex
	glass    *image.Gray // what the sensor sees; not changed once it is here
	contacts []Contact   // left to right
	taken    bool        // these fingers were captured, and the host has the image
	reduced  []byte      // the preview of glass; nil until somebody asks
	failing  []uint8     // checks of the self-test that fail

	link    link
	capture capture
	lamps   [10]Lamp
	tone    Tone
	again   uint32

	told    Guidance
	changed chan struct{}
}

var _ usb.Gadget = (*Device)(nil)

// New makes a scanner with nothing on its glass.
func New(opt Options) *Device {
	opt.Serial = cmp.Or(opt.Serial, "SIM-SLAP60-1")
	opt.Settle = cmp.Or(opt.Settle, 100*time.Millisecond)
	opt.Width = min(max(cmp.Or(opt.Width, 1600), 64), 4096)
	opt.Height = min(max(cmp.Or(opt.Height, 1500), 64), 4096)
	d := &Device{opt: opt, started: time.Now(), changed: make(chan struct{})}
	d.link.ready, d.link.event = make(chan struct{}, 1), make(chan struct{}, 1)
	d.empty = blank(opt.Width, opt.Height)
	d.glass = d.empty
	d.resync()
	return d
}

// blank is a picture of a glass that nothing lies on.
func blank(width, height int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, width, height))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	return m
}

// Present puts fingers on the glass, in place of those that lie there. The image is copied.
func (d *Device) Present(p Presentation) {
	glass := image.NewGray(d.empty.Rect)
	copy(glass.Pix, d.empty.Pix)
	contacts := slices.Clone(p.Fingers)
	if p.Image != nil {
		from := p.Image.Bounds()
		width := min(from.Dx(), d.opt.Width)
		for y := range min(from.Dy(), d.opt.Height) {
			copy(glass.Pix[y*glass.Stride:][:width], p.Image.Pix[p.Image.PixOffset(from.Min.X, from.Min.Y+y):])
		}
		for i := range contacts {
			contacts[i].Box = contacts[i].Box.Sub(from.Min)
		}
	}
	d.put(glass, seen(contacts, glass.Bounds()))
}

// Lift takes all fingers off the glass.
func (d *Device) Lift() { d.put(d.empty, nil) }

// seen is what the scanner finds of contacts: ten at most, on the glass, from left to right.
func seen(contacts []Contact, glass image.Rectangle) []Contact {
	for i := range contacts {
		contacts[i].Box = contacts[i].Box.Intersect(glass)
		contacts[i].PAD = min(max(contacts[i].PAD, 0), 100)
	}
	contacts = slices.DeleteFunc(contacts, func(c Contact) bool { return c.Box.Empty() })
	slices.SortStableFunc(contacts, func(a, b Contact) int {
		return cmp.Compare(a.Box.Min.X+a.Box.Max.X, b.Box.Min.X+b.Box.Max.X)
	})
	return contacts[:min(len(contacts), 10)]
}

// put changes what lies on the glass.
func (d *Device) put(glass *image.Gray, contacts []Contact) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := len(d.contacts)
	d.glass, d.contacts, d.reduced, d.taken = glass, contacts, nil, false
	d.darken()
	d.weigh()
	switch now := len(contacts); {
	case now > before:
		d.emit(eventOn, uint8(now-before), 0)
	case now < before:
		d.emit(eventOff, uint8(before-now), 0)
	}
	d.tell()
}

// darken switches the lamps off when all is over and the fingers have left. The mutex is held.
func (d *Device) darken() {
	if d.capture.state == stateIdle && len(d.contacts) == 0 {
		d.lamps = [10]Lamp{}
	}
}

// Guidance returns what the scanner tells the person now. To follow it, take [Device.Changed] first.
func (d *Device) Guidance() Guidance {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.told
}

// Changed returns a channel that is closed at the next change of [Device.Guidance].
func (d *Device) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// tell works out the guidance. The mutex is held.
func (d *Device) tell() {
	c := &d.capture
	g := Guidance{Lamps: d.lamps, Tone: d.tone, Again: d.again, Wanted: c.mask}
	g.Armed = c.state == stateArmed || c.state == stateSettling || c.state == stateLift
	g.Lift = len(d.contacts) > 0 && (d.taken || c.state == stateCaptured)
	if g != d.told {
		d.told = g
		close(d.changed)
		d.changed = make(chan struct{})
	}
}

// Fail makes checks of the self-test fail, by their numbers in the protocol, until the next Fail; with a failing sensor (2)
// the scanner takes no images.
func (d *Device) Fail(checks ...uint8) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing = slices.Clone(checks)
}
