package finger

import (
	"errors"
	"fmt"
	"image"
	"log/slog"
	"math"
)

// MinutiaType is the kind of a minutia (ISO/IEC 19794-2:2011, 6.4.2).
type MinutiaType string

// The kinds of minutiae. [Extract] tells the first two apart; files of other makers may leave it open.
const (
	RidgeEnding  MinutiaType = "ridge-ending"
	Bifurcation  MinutiaType = "bifurcation"
	OtherMinutia MinutiaType = "other"
)

// Minutia is a place where a ridge ends or divides.
type Minutia struct {
	X, Y int // px, origin top left

	// Angle in radians, anticlockwise from the positive x axis, 0 up to 2 pi: the way the ridge that ends, or the valley
	// that a bifurcation encloses, runs from here (ISO/IEC 19794-2:2011, 6.4.3).
	Angle float64

	Type    MinutiaType
	Quality int // 1 (worst) to 100: how likely it is one, percent; 0 where its maker doesn't say
}

// Template is what a comparison needs of one finger: a sample, as the image is. Whoever holds it wipes it. It redacts itself
// in logs.
type Template struct {
	Width, Height, PPI int // of the image: px, px, px an inch
	Minutiae           []Minutia
}

// Wipe overwrites the minutiae. The template is empty afterwards.
func (t *Template) Wipe() {
	clear(t.Minutiae)
	*t = Template{}
}

const redactedTemplate = "finger minutiae, redacted"

// LogValue keeps the minutiae out of logs.
func (Template) LogValue() slog.Value { return slog.StringValue(redactedTemplate) }

// String keeps the minutiae out of formatted output.
func (Template) String() string { return redactedTemplate }

// GoString keeps the minutiae out of %#v.
func (Template) GoString() string { return redactedTemplate }

// Bounds of what is extracted from, and of what comes out.
const (
	minExtractPPI = 250 // below, ridges of 0.5 mm lie closer than the pixels tell apart
	maxExtractPPI = 1200
	maxExtractMM  = 105 // of a side: a hand
	MaxMinutiae   = 255 // ISO/IEC 19794-2:2011, 8.4.1
)

// Extract finds the minutiae of one finger in 8-bit pixels, ridges dark, at ppi pixels an inch. It follows the phase of the
// ridge pattern: where the ridges around a point don't add up, a ridge begins or ends there (docs/minutiae.md). It reads img
// only, wipes what it made of it, and may be called from several goroutines at once. An image without ridges has no minutiae.
func Extract(img *image.Gray, ppi int) (Template, error) {
	if err := Extractable(img, ppi); err != nil {
		return Template{}, err
	}
	work := normalise(img, ppi)
	defer work.wipe()
	field := newFlow(work)
	defer field.wipe()
	wave := demodulate(work, field)
	defer wave.wipe()
	found := sift(spirals(wave, work), wave, field)
	found = found[:min(len(found), MaxMinutiae)]
	t := Template{Width: img.Rect.Dx(), Height: img.Rect.Dy(), PPI: ppi, Minutiae: make([]Minutia, len(found))}
	for i, s := range found {
		t.Minutiae[i] = s.minutia(float64(ppi)/workPPI, t.Width, t.Height)
	}
	clear(found)
	return t, nil
}

// Extractable reports why [Extract] would refuse an image. It looks at no pixel.
func Extractable(img *image.Gray, ppi int) error {
	switch {
	case img == nil || img.Rect.Empty():
		return errors.New("extracting minutiae: the image has no pixels")
	case ppi < minExtractPPI || ppi > maxExtractPPI:
		return fmt.Errorf("extracting minutiae: ridges can't be followed at %d pixels an inch (hint: %d to %d)", ppi, minExtractPPI, maxExtractPPI)
	}
	if longest := max(img.Rect.Dx(), img.Rect.Dy()); float64(longest)*mmPerInch > float64(maxExtractMM*ppi) {
		return fmt.Errorf("extracting minutiae: an image of %d px at %d pixels an inch is larger than a hand (hint: cut out the finger first)", longest, ppi)
	}
	return nil
}

// minutia brings s to the scale of an image of w by h.
func (s spiral) minutia(scale float64, w, h int) Minutia {
	at := func(v float64, size int) int { return min(max(int(math.Round((v+0.5)*scale-0.5)), 0), size-1) }
	return Minutia{X: at(s.x, w), Y: at(s.y, h), Angle: turn(math.Atan2(-s.dy, s.dx)), Type: s.kind, Quality: s.quality}
}

// turn brings an angle into 0 up to 2 pi.
func turn(a float64) float64 {
	a = math.Mod(a, 2*math.Pi)
	if a < 0 {
		a += 2 * math.Pi
	}
	if a >= 2*math.Pi { // a tiny negative angle rounds up to a full turn
		return 0
	}
	return a
}
