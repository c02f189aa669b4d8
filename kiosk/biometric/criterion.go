package biometric

import (
	"fmt"
	"strconv"
)

// Criterion is one rule for a photograph: what is measured, between which limits it must lie, and whether the photograph is
// insufficient without. Names and units are those of the analyser, limits those of a policy.
type Criterion struct {
	Name      string   `json:"name"`
	Min       *float64 `json:"min,omitempty"` // nil: no lower limit
	Max       *float64 `json:"max,omitempty"`
	Mandatory bool     `json:"mandatory"`
}

// Holds reports whether a value lies within the limits, which belong to them.
func (c Criterion) Holds(v float64) bool {
	return (c.Min == nil || v >= *c.Min) && (c.Max == nil || v <= *c.Max)
}

// Limits is the rule in a few characters: ">= 120", "-8 to 8".
func (c Criterion) Limits() string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	switch {
	case c.Min != nil && c.Max != nil:
		return fmt.Sprintf("%s to %s", number(*c.Min), number(*c.Max))
	case c.Min != nil:
		return ">= " + number(*c.Min)
	case c.Max != nil:
		return "<= " + number(*c.Max)
	}
	return ""
}

// Verdict is what became of a criterion.
type Verdict string

// The verdicts. What can't be measured is not available, which is neither of the other two.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	NotAvailable Verdict = "not-available"
)
