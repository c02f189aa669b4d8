// Package ink holds what a person wrote: a signature as strokes over time, drawn as an image and written as a vector.
//
// The one idea: strokes are kept as the pad or screen gave them, in hundredths of a millimetre and milliseconds, and everything
// else is computed from them, so a picture and a vector of one signature never disagree. The vector is InkML (W3C Recommendation
// of 20 September 2011). What is written is a sample: it redacts itself in logs, and whoever holds it wipes it.
package ink

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
)

// Bounds of a signature, so that no pad and no screen takes memory without end.
const (
	MaxStrokes = 200
	MaxPoints  = 20000
	MaxSide    = 40000  // hundredths of a millimetre: 40 cm
	MaxTime    = 600000 // ms
	MaxForce   = 1000
	MaxLength  = 5000000 // of all strokes together, hundredths of a millimetre: 50 m
)

// Point is where the pen was.
type Point struct {
	X     int `json:"x"`           // hundredths of a millimetre from the left edge
	Y     int `json:"y"`           // from the upper edge
	T     int `json:"t"`           // milliseconds since the pen first touched
	Force int `json:"f,omitempty"` // 1 to 1000 of what the pad can tell; 0 where it tells none
}

// Stroke is a line from where the pen came down to where it was lifted.
type Stroke []Point

// Ink is one signature.
type Ink struct {
	Width   int      `json:"width"`  // of the area that was written on, hundredths of a millimetre
	Height  int      `json:"height"` // the same
	Strokes []Stroke `json:"strokes"`
}

// ErrEmpty says that nothing was written that could be a signature.
var ErrEmpty = errors.New("nothing was signed")

// minLength is the least length of all strokes together, in hundredths of a millimetre: less is a slip of the hand.
const minLength = 1500

// Check reports what makes an ink unusable: an area or points out of bounds, time that runs backwards, or [ErrEmpty].
func (k Ink) Check() error {
	if k.Width < 1000 || k.Height < 500 || k.Width > MaxSide || k.Height > MaxSide {
		return fmt.Errorf("checking a signature: an area of %d by %d hundredths of a millimetre is none", k.Width, k.Height)
	}
	if len(k.Strokes) > MaxStrokes {
		return fmt.Errorf("checking a signature: more than %d strokes", MaxStrokes)
	}
	points, last := 0, 0
	for _, s := range k.Strokes {
		points += len(s)
		if points > MaxPoints {
			return fmt.Errorf("checking a signature: more than %d points", MaxPoints)
		}
		for _, p := range s {
			switch {
			case p.X < 0 || p.X > k.Width || p.Y < 0 || p.Y > k.Height:
				return errors.New("checking a signature: a point lies outside of the area")
			case p.T < last || p.T > MaxTime:
				return errors.New("checking a signature: its time is out of order")
			case p.Force < 0 || p.Force > MaxForce:
				return errors.New("checking a signature: a force is out of bounds")
			}
			last = p.T
		}
	}
	switch length := k.Length(); {
	case length > MaxLength:
		return fmt.Errorf("checking a signature: its strokes are longer than %d m together", MaxLength/100000)
	case length < minLength:
		return fmt.Errorf("checking a signature: %w", ErrEmpty)
	}
	return nil
}

// Length is the length of all strokes together, in hundredths of a millimetre.
func (k Ink) Length() int {
	var sum float64
	for _, s := range k.Strokes {
		for i := 1; i < len(s); i++ {
			sum += math.Hypot(float64(s[i].X-s[i-1].X), float64(s[i].Y-s[i-1].Y))
		}
	}
	return int(sum)
}

// Duration is the time from the first touch to the last point, in milliseconds.
func (k Ink) Duration() int {
	last := 0
	for _, s := range k.Strokes {
		if len(s) > 0 {
			last = s[len(s)-1].T
		}
	}
	return last
}

// Wipe overwrites the strokes. The ink is empty afterwards.
func (k *Ink) Wipe() {
	for _, s := range k.Strokes {
		clear(s)
	}
	*k = Ink{}
}

const redacted = "signature, redacted"

// LogValue keeps the strokes out of logs.
func (k Ink) LogValue() slog.Value { return slog.StringValue(redacted) }

// String keeps them out of formatted output.
func (k Ink) String() string { return redacted }

// GoString keeps them out of %#v.
func (k Ink) GoString() string { return redacted }
