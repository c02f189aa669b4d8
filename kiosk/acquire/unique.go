package acquire

import (
	"errors"
	"image"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/plan"
)

// Print is what is compared of a finger that was captured before. It is a sample: whoever made it wipes it.
type Print struct {
	Position biometric.FingerPosition
	Template finger.Template
}

// Wipe overwrites the template.
func (p *Print) Wipe() {
	p.Template.Wipe()
	*p = Print{}
}

// FingerComparer tells fingers apart. It only reads what it is given; templates are the caller's to wipe.
type FingerComparer interface {
	Extract(img *image.Gray, ppi int) (finger.Template, error)
	Same(a, b finger.Template) (bool, error)
}

// sameFinger is the score from which two fingers of one session count as one. Ten prints make 45 pairs: at finger.Threshold,
// which one pair in a thousand passes wrongly, one person in twenty would be told that they showed a finger twice. Half as much
// again no pair of a person's different fingers reached of 24,300, and every pair of one finger of 1,800, soiled ones too: docs/minutiae.md.
const sameFinger = 1.5 * finger.Threshold

// minutiae compares as package finger does.
type minutiae struct{}

func (minutiae) Extract(img *image.Gray, ppi int) (finger.Template, error) {
	return finger.Extract(img, ppi)
}

func (minutiae) Same(a, b finger.Template) (bool, error) {
	score, err := finger.Compare(a, b)
	return score >= sameFinger, err
}

// What a comparison can lead to besides another attempt.
var (
	errSwapped  = errors.New("fingers are not where the attempt before had them")
	errAnew     = errors.New("one finger in two places")
	errRepeated = errors.New("one finger in two places, a second time")
)

// unique holds an attempt against all that was captured before, and its fingers against each other. A finger in two places, or
// where the best attempt so far had another, is told by the error: errAnew, errRepeated or errSwapped; or, where attempts
// count, by the hint alone.
func (c *capture) unique(got, best slap) (biometric.Hint, error) {
	if c.step.Uniqueness == "" || len(got) == 0 {
		return biometric.HintNone, nil
	}
	for i := range got {
		t, err := c.comparer.Extract(got[i].image, got[i].ppi)
		if err != nil {
			return biometric.HintNone, wrapAnalysis(err)
		}
		got[i].template = t
	}
	same, err := c.twice(got)
	switch {
	case err != nil:
		return biometric.HintNone, wrapAnalysis(err)
	case same:
		return biometric.HintSameFinger, c.repeated(got[0].position)
	}
	swapped, err := c.among(got, best.prints())
	if err == nil && swapped {
		return biometric.HintWrongFinger, errSwapped
	}
	return biometric.HintNone, wrapAnalysis(err)
}

// twice reports whether one finger lies in two places of an attempt, or was captured in another place before.
func (c *capture) twice(got slap) (bool, error) {
	for i := range got {
		if same, err := c.among(got[:i], got[i:i+1].prints()); same || err != nil {
			return same, err
		}
	}
	if same, err := c.among(got, c.kept.prints()); same || err != nil {
		return same, err
	}
	return c.among(got, c.former)
}

// among reports whether a finger of an attempt is one of these prints, in another place.
func (c *capture) among(got slap, prints []Print) (bool, error) {
	for _, s := range got {
		for _, p := range prints {
			if p.Position == s.position {
				continue
			}
			if same, err := c.comparer.Same(s.template, p.Template); same || err != nil {
				return same, err
			}
		}
	}
	return false, nil
}

// prints shares the templates of a slap.
func (s slap) prints() []Print {
	var all []Print
	for _, x := range s {
		all = append(all, Print{Position: x.position, Template: x.template})
	}
	return all
}

// repeated notes that a finger was shown in two places, and says what follows.
func (c *capture) repeated(first biometric.FingerPosition) error {
	if c.step.Uniqueness != plan.UniqueRestarts {
		return nil
	}
	if c.repeats[first]++; c.repeats[first] > 1 {
		return errRepeated
	}
	return errAnew
}
