package acquire

import (
	"slices"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/finger"
)

// lacking is which fingers of a slap do not lie on the glass. It is told only where several live pictures, or an image, agree: a
// wrong name is worse than none.
type lacking struct {
	which []biometric.FingerPosition // that are told
	guess []biometric.FingerPosition // of the last pictures
	times int                        // that they said so, one after the other
}

// steadyGlimpses is how many live pictures have to agree. While a hand comes down its fingers land one after the other.
const steadyGlimpses = 4

// lack names the fingers that do not lie there, in addition to what the scanner says. They stay named while the hand comes back
// for the next attempt.
func (c *capture) lack(p drivers.Progress) (biometric.Hint, []biometric.FingerPosition) {
	l := &c.lacking
	switch {
	case p.Hint == biometric.HintFingerMissing:
		l.glimpse(c.absent(p))
		return p.Hint, l.which
	case p.Hint == biometric.HintPlace && p.Fingers == 0 && len(l.which) > 0:
		return biometric.HintFingerMissing, l.which
	case p.Hint == biometric.HintHoldStill, p.Hint == biometric.HintTooMany:
		*l = lacking{}
	}
	return p.Hint, nil
}

// absent looks at a live picture for the fingers that are not there; nobody where that can't be told.
func (c *capture) absent(p drivers.Progress) []biometric.FingerPosition {
	s := c.device.Sensor
	kind, without := slapOf(c.wanted)
	if p.Preview == nil || s == nil || s.Width == 0 || kind == 0 {
		return nil
	}
	return finger.Glimpse(p.Preview, s.PPI*p.Preview.Rect.Dx()/s.Width, kind, without, p.Fingers)
}

// glimpse takes in what one live picture says.
func (l *lacking) glimpse(which []biometric.FingerPosition) {
	if !slices.Equal(which, l.guess) {
		l.guess, l.times = which, 0
	}
	if l.times++; l.times >= steadyGlimpses {
		l.which = which
	}
}

// told takes in what an image says.
func (l *lacking) told(s sight) { *l = lacking{which: s.which} }

// after is who is still named at the end of an attempt without an image.
func (l *lacking) after(h biometric.Hint) []biometric.FingerPosition {
	if h != biometric.HintFingerMissing {
		*l = lacking{}
	}
	return l.which
}
