package plan

import (
	"errors"
	"fmt"
	"strings"
)

// Purpose is what fingerprints are captured for.
type Purpose string

// The purposes.
const (
	ForEnrolment    Purpose = "enrolment"    // they go into a record of a person
	ForVerification Purpose = "verification" // they are compared, or tested, and enrol nobody
)

// What a sensor must have at least to enrol (BSI TR-03121-3 v6.0, volumes 2 and 6).
const (
	leastPPI      = 500 // pixels an inch
	mostTolerance = 1   // percent of it
	leastWidthMM  = 16
	leastHeightMM = 20
	finestPPI     = 4000
	micrometres   = 25400 // an inch
)

// SensorRule says which fingerprint scanners serve, and at which scale their images are kept. The zero value takes every
// scanner and keeps what it gives.
type SensorRule struct {
	Purpose   Purpose `json:"purpose"`
	PPI       int     `json:"ppi,omitempty"`               // pixels an inch at which images are kept; 0: the scanner's own
	Tolerance int     `json:"tolerance_percent,omitempty"` // of PPI, within which a scanner has that scale
	MinWidth  int     `json:"min_width_mm,omitempty"`
	MinHeight int     `json:"min_height_mm,omitempty"`
	Finer     bool    `json:"finer,omitempty"` // a finer scanner serves too: its images are brought to PPI. Coarser ones never do
}

// UnfitError says why a scanner does not serve.
type UnfitError struct {
	Purpose Purpose
	Why     []string // "385 pixels an inch are less than 500", …
}

// Error is one sentence and a next step.
func (e *UnfitError) Error() string {
	s := fmt.Sprintf("this fingerprint scanner does not serve for %s: %s", e.Purpose, strings.Join(e.Why, ", and "))
	if e.Purpose == ForEnrolment {
		s += " (hint: connect a scanner made for enrolment; this one may serve where a policy is for verification)"
	}
	return s
}

// Judge says with an [*UnfitError] that a scanner does not serve. Its size is in pixels; zeros are not known.
func (r SensorRule) Judge(width, height, ppi int) error {
	var why []string
	switch {
	case r.PPI == 0 && r.MinWidth == 0 && r.MinHeight == 0:
		return nil
	case width <= 0 || height <= 0 || ppi <= 0:
		why = append(why, "it does not tell its size and resolution")
	default:
		why = append(r.judgeScale(ppi), r.judgeSize(width, height, ppi)...)
	}
	if why == nil {
		return nil
	}
	return &UnfitError{Purpose: r.Purpose, Why: why}
}

func (r SensorRule) judgeScale(ppi int) []string {
	switch {
	case r.PPI == 0 || r.near(ppi):
		return nil
	case ppi < r.PPI:
		return []string{fmt.Sprintf("%d pixels an inch are less than %d (within %d %%)", ppi, r.PPI, r.Tolerance)}
	case !r.Finer:
		return []string{fmt.Sprintf("%d pixels an inch are not %d (within %d %%)", ppi, r.PPI, r.Tolerance)}
	case ppi > finestPPI:
		return []string{fmt.Sprintf("%d pixels an inch can't be true", ppi)}
	}
	return nil
}

func (r SensorRule) judgeSize(width, height, ppi int) []string {
	if width*micrometres >= r.MinWidth*1000*ppi && height*micrometres >= r.MinHeight*1000*ppi {
		return nil
	}
	mm := func(px int) float64 { return float64(px) * micrometres / 1000 / float64(ppi) }
	return []string{fmt.Sprintf("%.2f x %.2f mm are less than %d x %d mm", mm(width), mm(height), r.MinWidth, r.MinHeight)}
}

// near reports whether a scanner has the rule's scale.
func (r SensorRule) near(ppi int) bool {
	return max(ppi-r.PPI, r.PPI-ppi)*100 <= r.PPI*r.Tolerance
}

// Scale is the scale at which the images of a scanner are kept. It is never finer than the scanner's own.
func (r SensorRule) Scale(ppi int) int {
	if r.PPI == 0 || ppi < r.PPI || r.near(ppi) {
		return ppi
	}
	return r.PPI
}

// check refuses a rule that enrols with less than the profile asks for.
func (r SensorRule) check() error {
	if r.Purpose != ForEnrolment {
		return nil
	}
	if r.PPI < leastPPI || r.Tolerance > mostTolerance || r.MinWidth < leastWidthMM || r.MinHeight < leastHeightMM {
		return errors.New("enrolment needs sensors of 500 pixels an inch (within 1 %) and 16 x 20 mm at least")
	}
	return nil
}
