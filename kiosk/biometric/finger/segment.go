package finger

import (
	"errors"
	"fmt"
	"image"
	"log/slog"
	"math"
	"slices"

	"loket/kiosk/biometric"
)

// Hand is the hand that a slap shows.
type Hand string

// The hands. Pairs of thumbs or of index fingers show both.
const (
	HandUnknown Hand = ""
	HandRight   Hand = "right"
	HandLeft    Hand = "left"
	HandBoth    Hand = "both"
)

// Segmentation is what [Segment] found in a slap. Whoever holds it wipes it.
type Segmentation struct {
	Fingers []Fingertip                // from left to right as the upright hand lies, palm down
	Missing []biometric.FingerPosition // wanted, not said to be absent, and not there; ascending
	Angle   float64                    // degrees, clockwise, by which the hand is turned: above -180, up to 180
	Hand    Hand

	WrongHand  bool // a four-finger slap is of the other hand; Fingers are named by what they are, Missing is empty
	UpsideDown bool // the fingertips point towards the person; the images are upright all the same
	TooMany    bool // more fingers lie there than the kind has, less those that are absent

	Confidence float64 // 0 to 1: how far the names, the hand and what is up stand out from the next best reading
}

// Fingertip is one finger of a slap, cut at its first joint.
type Fingertip struct {
	Position biometric.FingerPosition
	Image    *image.Gray // upright, at the scale of the source, white around the finger

	// Where it lies in the source, px. The corners go clockwise from the left end of the tip's edge; they bound the turned
	// rectangle that Image shows (ANSI/NIST-ITL 1-2011 Update 2015, 14.025 ASEG), Box the upright one around it (14.021 SEG).
	// Both may reach over the border of the source by the margin of Image.
	Centre  [2]float64
	Corners [4]image.Point
	Box     image.Rectangle
	Angle   float64 // degrees, clockwise, by which this finger is turned: above -180, up to 180
}

// Unsure is the confidence below which a segmentation tells no one hand from the other.
const Unsure = 0.5

// Hint is what would help the person most, and the fingers that it speaks of.
func (s Segmentation) Hint() (biometric.Hint, []biometric.FingerPosition) {
	switch {
	case len(s.Fingers) == 0:
		return biometric.HintPlace, nil
	case s.TooMany:
		return biometric.HintTooMany, nil
	case s.UpsideDown:
		return biometric.HintUpsideDown, nil
	case s.WrongHand && s.Confidence >= Unsure:
		return biometric.HintWrongHand, nil
	case s.WrongHand:
		return biometric.HintLiftAndRepeat, nil
	case len(s.Missing) > 0:
		return biometric.HintFingerMissing, slices.Clone(s.Missing)
	}
	return biometric.HintNone, nil
}

// Wipe overwrites the images and empties the segmentation.
func (s *Segmentation) Wipe() {
	for i := range s.Fingers {
		if img := s.Fingers[i].Image; img != nil {
			clear(img.Pix)
		}
		s.Fingers[i] = Fingertip{}
	}
	*s = Segmentation{}
}

// LogValue keeps the images out of logs.
func (s Segmentation) LogValue() slog.Value {
	return slog.StringValue(fmt.Sprintf("%d fingertips, redacted", len(s.Fingers)))
}

// String keeps the images out of formatted output.
func (s Segmentation) String() string { return s.LogValue().String() }

// GoString keeps the images out of %#v.
func (s Segmentation) GoString() string { return s.String() }

// LogValue keeps the image out of logs.
func (s Fingertip) LogValue() slog.Value { return slog.StringValue("fingertip, redacted") }

// String keeps the image out of formatted output.
func (s Fingertip) String() string { return s.LogValue().String() }

// GoString keeps the image out of %#v.
func (s Fingertip) GoString() string { return s.String() }

// Resolutions that [Segment] takes, pixels an inch.
const (
	MinSegmentPPI = 200
	MaxSegmentPPI = 2000
)

// Segment finds and names the fingertips of a plain impression: kind is biometric.RightFour, LeftFour, BothThumbs or
// BothIndex, absent lists fingers that are known not to be there. The image is 8-bit, uncompressed, ridges dark, at ppi pixels
// an inch; it is only read. A hand may be turned by 60 degrees either way, and the same upside down.
//
// An image without fingers gives a segmentation without fingers and no error: all that was wanted is missing. Segment may be
// called from several goroutines at once. The caller owns what it returns and wipes it.
func Segment(img *image.Gray, ppi int, kind biometric.FingerPosition, absent []biometric.FingerPosition) (Segmentation, error) {
	if err := segmentable(img, ppi); err != nil {
		return Segmentation{}, fmt.Errorf("segmenting a slap: %w", err)
	}
	wanted := kind.Parts()
	if wanted == nil {
		return Segmentation{}, fmt.Errorf("segmenting a slap: %v is no slap (hint: right-four, left-four, thumbs, index-pair)", kind)
	}
	there := slices.DeleteFunc(wanted, func(p biometric.FingerPosition) bool { return slices.Contains(absent, p) })
	g := newGlass(img, ppi)
	defer g.wipe()
	blobs := g.blobs()
	r := newReader(g, kind, there)
	best := r.read(blobs)
	s := Segmentation{Angle: turned(best.angle), Hand: best.hand, UpsideDown: best.down, Confidence: best.confidence,
		WrongHand: best.hand != r.asked && best.hand != HandUnknown}
	for _, f := range best.fingers {
		s.Fingers = append(s.Fingers, g.cut(img, f))
	}
	found := func(p biometric.FingerPosition) bool {
		return slices.ContainsFunc(s.Fingers, func(f Fingertip) bool { return f.Position == p })
	}
	s.TooMany = best.extra > 0 || !s.WrongHand && len(s.Fingers) > len(there)
	if !s.WrongHand {
		s.Missing = slices.DeleteFunc(there, found)
	}
	return s, nil
}

func segmentable(img *image.Gray, ppi int) error {
	if img == nil || img.Rect.Empty() {
		return errors.New("the image has no pixels")
	}
	if img.Rect.Dx() > MaxPixels || img.Rect.Dx()*img.Rect.Dy() > MaxPixels {
		return fmt.Errorf("%dx%d pixels, at most %d are segmented", img.Rect.Dx(), img.Rect.Dy(), MaxPixels)
	}
	if ppi < MinSegmentPPI || ppi > MaxSegmentPPI {
		return fmt.Errorf("a resolution of %d pixels an inch is not one of %d to %d", ppi, MinSegmentPPI, MaxSegmentPPI)
	}
	return nil
}

// turned brings an angle in degrees to above -180 and up to 180.
func turned(degrees float64) float64 {
	a := math.Mod(degrees, 360)
	switch {
	case a > 180:
		return a - 360
	case a <= -180:
		return a + 360
	}
	return a
}
