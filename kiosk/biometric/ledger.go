package biometric

import (
	"fmt"
	"slices"
)

// FingerPosition is a finger or a combined plain impression, as ANSI/NIST-ITL 1-2011 Update 2015, table 12, numbers them.
type FingerPosition int

// Single fingers 1 to 10 and the combined impressions that this project captures.
const (
	RightThumb  FingerPosition = 1
	RightIndex  FingerPosition = 2
	RightMiddle FingerPosition = 3
	RightRing   FingerPosition = 4
	RightLittle FingerPosition = 5
	LeftThumb   FingerPosition = 6
	LeftIndex   FingerPosition = 7
	LeftMiddle  FingerPosition = 8
	LeftRing    FingerPosition = 9
	LeftLittle  FingerPosition = 10

	RightFour  FingerPosition = 13
	LeftFour   FingerPosition = 14
	BothThumbs FingerPosition = 15
	BothIndex  FingerPosition = 46 // right and left index fingers, "2-7"
)

var positionNames = [...]string{1: "right-thumb", "right-index", "right-middle", "right-ring", "right-little",
	"left-thumb", "left-index", "left-middle", "left-ring", "left-little"}

// Fingers lists the ten single fingers in the standard's order.
func Fingers() []FingerPosition {
	return []FingerPosition{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
}

// Single reports whether p is one finger.
func (p FingerPosition) Single() bool { return p >= RightThumb && p <= LeftLittle }

// Right reports whether p is a finger of the right hand.
func (p FingerPosition) Right() bool { return p >= RightThumb && p <= RightLittle }

// Parts lists the fingers of a combined impression in the standard's order; nil for anything else.
func (p FingerPosition) Parts() []FingerPosition {
	switch p {
	case RightFour:
		return []FingerPosition{RightIndex, RightMiddle, RightRing, RightLittle}
	case LeftFour:
		return []FingerPosition{LeftIndex, LeftMiddle, LeftRing, LeftLittle}
	case BothThumbs:
		return []FingerPosition{RightThumb, LeftThumb}
	case BothIndex:
		return []FingerPosition{RightIndex, LeftIndex}
	}
	return nil
}

// ParseSlap reads the name of a combined impression: "right-four", "left-four", "thumbs" or "index-pair".
func ParseSlap(name string) (FingerPosition, error) {
	switch name {
	case "right-four":
		return RightFour, nil
	case "left-four":
		return LeftFour, nil
	case "thumbs":
		return BothThumbs, nil
	case "index-pair":
		return BothIndex, nil
	}
	return 0, fmt.Errorf("reading slap %q: no such combined impression (hint: right-four, left-four, thumbs, index-pair)", name)
}

// String gives "right-index"; a combined or unknown position gives its number.
func (p FingerPosition) String() string {
	if p.Single() {
		return positionNames[p]
	}
	return fmt.Sprintf("position-%d", int(p))
}

// ParseFinger reads the name of a single finger, "right-index".
func ParseFinger(name string) (FingerPosition, error) {
	if i := slices.Index(positionNames[:], name); i > 0 {
		return FingerPosition(i), nil
	}
	return 0, fmt.Errorf("reading finger %q: no such finger; names run from right-thumb to left-little", name)
}

// Reason is the state of one finger in the ledger.
type Reason string

// The states of a finger. Missing, bandaged, damaged, poor quality, age-exempt and refused need a permanence; the others
// have none.
const (
	Owed        Reason = "owed" // not captured yet: no line of a sealed record
	Captured    Reason = "captured"
	OnFile      Reason = "on-file"
	NotOwed     Reason = "not-owed"
	Missing     Reason = "missing"
	Bandaged    Reason = "bandaged"
	Damaged     Reason = "damaged"
	PoorQuality Reason = "poor-quality"
	AgeExempt   Reason = "age-exempt"
	Refused     Reason = "refused"
)

// Excepting reports whether r is a reason not to capture a finger that is owed.
func (r Reason) Excepting() bool {
	return slices.Contains([]Reason{Missing, Bandaged, Damaged, PoorQuality, AgeExempt, Refused}, r)
}

// Valid reports whether r is one of the reasons above.
func (r Reason) Valid() bool {
	return r.Excepting() || r == Owed || r == Captured || r == OnFile || r == NotOwed
}

// Entry is one finger's line in the ledger.
type Entry struct {
	Position  FingerPosition `json:"position"`
	Reason    Reason         `json:"reason"`
	Permanent bool           `json:"permanent,omitempty"` // only where Reason is an exception
	Quality   *Quality       `json:"quality,omitempty"`   // only where Reason is captured
}

// Ledger is the ten-finger ledger: one entry a finger, in the order of [Fingers]. It is the same on screen, in the API, in
// the record and on the contact sheet.
type Ledger [10]Entry

// NewLedger returns a ledger in which nothing is owed.
func NewLedger() Ledger {
	var l Ledger
	for i, p := range Fingers() {
		l[i] = Entry{Position: p, Reason: NotOwed}
	}
	return l
}

// Set writes the line of one single finger.
func (l *Ledger) Set(e Entry) error {
	if !e.Position.Single() || !e.Reason.Valid() {
		return fmt.Errorf("writing the ledger: %v cannot be %q", e.Position, e.Reason)
	}
	l[e.Position-1] = e
	return nil
}

// Check reports the first line that is out of order, unknown or contradicts itself.
func (l Ledger) Check() error {
	for i, e := range l {
		switch {
		case e.Position != FingerPosition(i+1):
			return fmt.Errorf("checking the ledger: line %d is %v", i+1, e.Position)
		case !e.Reason.Valid():
			return fmt.Errorf("checking the ledger: %v has unknown reason %q", e.Position, e.Reason)
		case e.Permanent && !e.Reason.Excepting():
			return fmt.Errorf("checking the ledger: %v is %q and permanent at once", e.Position, e.Reason)
		case e.Quality != nil && e.Reason != Captured:
			return fmt.Errorf("checking the ledger: %v is %q and has a quality", e.Position, e.Reason)
		}
	}
	return nil
}
