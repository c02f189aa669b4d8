package acquire

import (
	"cmp"
	"image"
	"slices"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/plan"
)

// part is one finger of an image.
type part struct {
	position biometric.FingerPosition
	image    *image.Gray // a copy
}

// parts cuts an image into the wanted fingers. What is wrong with the hand is told by the hint, with the fingers that the hint
// speaks of where they are known; then there are no parts.
func (c *capture) parts(img drivers.Image, want []biometric.FingerPosition) ([]part, biometric.Hint, []biometric.FingerPosition, error) {
	if img.Gray == nil {
		return nil, biometric.HintPlace, nil, nil
	}
	kind, absent := slapOf(want)
	if kind != 0 && (len(img.Fingers) == 0 || c.step.Slaps == plan.SlapsSegmented) {
		return segmented(img, kind, absent)
	}
	boxes, hint := boxesOf(img, len(want))
	if kind != 0 && c.step.Slaps == plan.SlapsChecked {
		seen, missing, err := checked(img, kind, absent)
		if err != nil {
			return nil, biometric.HintNone, nil, err
		}
		if seen != biometric.HintNone || hint == biometric.HintFingerMissing {
			return nil, cmp.Or(seen, hint), missing, nil
		}
	}
	if hint != biometric.HintNone {
		return nil, hint, nil, nil
	}
	order := slices.SortedFunc(slices.Values(want), func(a, b biometric.FingerPosition) int { return cmp.Compare(place(a), place(b)) })
	var parts []part
	for i, box := range boxes {
		parts = append(parts, part{position: order[i], image: crop(img.Gray, box)})
	}
	return parts, biometric.HintNone, nil, nil
}

// slapOf finds the combined impression that shows these fingers, and which of its fingers they leave out; zero where there is
// none, or where one finger is no slap.
func slapOf(want []biometric.FingerPosition) (kind biometric.FingerPosition, absent []biometric.FingerPosition) {
	if len(want) < 2 {
		return 0, nil
	}
	for _, kind := range []biometric.FingerPosition{biometric.BothIndex, biometric.BothThumbs, biometric.RightFour, biometric.LeftFour} {
		absent := slices.DeleteFunc(kind.Parts(), func(f biometric.FingerPosition) bool { return slices.Contains(want, f) })
		if len(absent)+len(want) == len(kind.Parts()) {
			return kind, absent
		}
	}
	return 0, nil
}

// segmented cuts fingers out of a slap as they are named there.
func segmented(img drivers.Image, kind biometric.FingerPosition, absent []biometric.FingerPosition) ([]part, biometric.Hint, []biometric.FingerPosition, error) {
	seen, err := finger.Segment(img.Gray, cmp.Or(img.PPI, 500), kind, absent)
	if err != nil {
		return nil, biometric.HintNone, nil, wrapAnalysis(err)
	}
	hint, which := seen.Hint()
	if hint != biometric.HintNone {
		seen.Wipe()
		return nil, hint, which, nil
	}
	var parts []part
	for _, f := range seen.Fingers {
		parts = append(parts, part{position: f.Position, image: f.Image})
	}
	return parts, biometric.HintNone, nil, nil
}

// checked tells of a hand that is certainly the other one, or certainly comes from the far side, and the fingers that do
// not lie there.
func checked(img drivers.Image, kind biometric.FingerPosition, absent []biometric.FingerPosition) (biometric.Hint, []biometric.FingerPosition, error) {
	seen, err := finger.Segment(img.Gray, cmp.Or(img.PPI, 500), kind, absent)
	if err != nil {
		return biometric.HintNone, nil, wrapAnalysis(err)
	}
	defer seen.Wipe()
	switch hint, which := seen.Hint(); {
	case seen.Confidence < finger.Unsure:
	case hint == biometric.HintUpsideDown, hint == biometric.HintWrongHand:
		return hint, nil, nil
	case hint == biometric.HintFingerMissing:
		return biometric.HintNone, which, nil
	}
	return biometric.HintNone, nil, nil
}
