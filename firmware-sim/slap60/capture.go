package slap60

import (
	"image"
	"slices"
	"time"
)

// attack is the score below which a finger is taken for an attack.
const attack = 50

// What presentation attack detection says.
const (
	padNone   uint8 = 0
	padPassed uint8 = 1
	padAlarm  uint8 = 2
)

// capture is the one capture that may be armed or held.
type capture struct {
	state    state
	count    uint8
	mask     uint16
	settle   time.Duration
	patience time.Duration
	timer    *time.Timer
	turn     uint64 // grows with every change, so that a timer that comes late is known

	image   *image.Gray // held while the state is captured
	sum     uint32      // its CRC-32C
	fingers []Contact
	number  uint32 // of the last image
	images  uint32 // taken so far
}

// weigh looks at what lies on the glass of an armed scanner. The mutex is held.
func (d *Device) weigh() {
	c := &d.capture
	if c.state == stateIdle || c.state == stateCaptured {
		return
	}
	d.stopTimer()
	switch n := len(d.contacts); {
	case n > 0 && d.taken:
		c.state = stateLift
	case n == int(c.count):
		c.state = stateSettling
		d.after(c.settle, d.take)
	case n > 0 && c.patience > 0:
		c.state = stateArmed
		d.after(c.patience, d.complain)
	default:
		c.state = stateArmed
	}
}

// after calls f with the mutex held, unless something changes first.
func (d *Device) after(wait time.Duration, f func()) {
	turn := d.capture.turn
	d.capture.timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.capture.turn == turn {
			f()
			d.tell()
		}
	})
}

func (d *Device) stopTimer() {
	d.capture.turn++
	if d.capture.timer != nil {
		d.capture.timer.Stop()
	}
}

// take holds the image of what lies on the glass.
func (d *Device) take() {
	c := &d.capture
	if slices.Contains(d.failing, checkSensor) {
		d.emit(eventFault, 0, 0)
		return
	}
	c.state, c.image, c.fingers = stateCaptured, d.glass, d.contacts
	c.sum = castagnoli(c.image.Pix)
	c.images++
	if c.number++; c.number == 0 {
		c.number = 1
	}
	d.emit(eventCaptured, 0, c.number)
}

func (d *Device) complain() {
	detail := tooFew
	if len(d.contacts) > int(d.capture.count) {
		detail = tooMany
	}
	d.emit(eventWrong, detail, 0)
}

// disarm ends a capture in any state; the same fingers may be captured again.
func (d *Device) disarm() {
	d.stopTimer()
	c := &d.capture
	c.state, c.count, c.mask, c.image, c.fingers, c.sum = stateIdle, 0, 0, nil, nil, 0
}

// done ends a capture whose image the host has.
func (d *Device) done(p []byte) (status, []byte) {
	switch {
	case len(p) != 4:
		return statusBadArgument, nil
	case d.capture.state != stateCaptured:
		return statusWrongState, nil
	case le.Uint32(p) != d.capture.number:
		return statusNoImage, nil
	}
	if d.glass == d.capture.image {
		d.taken = true
	}
	d.disarm()
	d.darken()
	return statusOK, nil
}

func (d *Device) fetch(p []byte) (status, []byte) {
	c := &d.capture
	if c.state != stateCaptured {
		return statusWrongState, nil
	}
	f, ok := decodeFetch(p, len(c.image.Pix))
	switch {
	case !ok:
		return statusBadArgument, nil
	case f.image != c.number:
		return statusNoImage, nil
	}
	return statusOK, c.image.Pix[f.offset:][:f.length]
}

// describe is the payload of IMAGE.
func (d *Device) describe() []byte {
	c := &d.capture
	result, score := judge(c.fingers)
	b := le.AppendUint32(nil, c.number)
	b = le.AppendUint16(b, uint16(d.opt.Width))
	b = le.AppendUint16(b, uint16(d.opt.Height))
	b = le.AppendUint16(b, resolution)
	b = append(b, result, score)
	b = le.AppendUint32(b, c.sum)
	b = append(b, uint8(len(c.fingers)), 0, 0, 0)
	for _, f := range c.fingers {
		for _, v := range []int{f.Box.Min.X, f.Box.Min.Y, f.Box.Dx(), f.Box.Dy()} {
			b = le.AppendUint16(b, uint16(v))
		}
		result, score := judge([]Contact{f})
		b = append(b, result, score)
	}
	return b
}

// judge gives the presentation attack detection of fingers together: the worst of them, and none where one has none.
func judge(fingers []Contact) (result, score uint8) {
	if len(fingers) == 0 {
		return padNone, 0
	}
	worst := slices.MinFunc(fingers, func(a, b Contact) int { return a.PAD - b.PAD }).PAD
	switch {
	case worst == 0 && !slices.ContainsFunc(fingers, func(c Contact) bool { return c.PAD > 0 && c.PAD < attack }):
		return padNone, 0
	case worst == 0: // one is not judged, another is an attack
		return judge(slices.DeleteFunc(slices.Clone(fingers), func(c Contact) bool { return c.PAD == 0 }))
	case worst < attack:
		return padAlarm, uint8(worst)
	}
	return padPassed, uint8(worst)
}
