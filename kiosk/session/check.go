package session

import (
	"errors"
	"fmt"

	"loket/kiosk/biometric"
	"loket/kiosk/plan"
)

// Bounds of a session that comes from outside.
const (
	maxSteps    = 16
	maxAttempts = 512
)

// Check reports what makes a session that came from outside unusable: what no session that [Session.Next] led to can be.
func (s Session) Check() error {
	if err := s.check(); err != nil {
		return fmt.Errorf("checking a session: %w", err)
	}
	return nil
}

func (s Session) check() error {
	switch {
	case s.ID == "" || s.Ticket == "" || s.Attempt < 1:
		return errors.New("it needs an id, a ticket and an attempt")
	case s.Plan.Schema != plan.Schema:
		return fmt.Errorf("a plan of schema %.40q is not known", s.Plan.Schema)
	case len(s.Plan.Steps) > maxSteps || len(s.Outcomes) > maxSteps || len(s.Skipped) > maxSteps || len(s.Verify) > maxSteps || len(s.Weak) > maxSteps:
		return errors.New("it has too many steps")
	case len(s.Attempts) > maxAttempts || len(s.Exceptions) > maxAttempts || len(s.Decisions) > maxAttempts:
		return errors.New("too much happened in it")
	case s.Step < 0 || s.Step > len(s.Plan.Steps):
		return errors.New("its step is none of the plan's")
	}
	if err := errors.Join(s.Ledger.Check(), s.Plan.Ledger.Check()); err != nil {
		return err
	}
	for _, step := range s.Plan.Steps {
		if err := checkStep(step); err != nil {
			return err
		}
	}
	for i, o := range s.Outcomes {
		for _, before := range s.Outcomes[:i] {
			if before.Step == o.Step {
				return fmt.Errorf("step %.40q has two outcomes", o.Step)
			}
		}
		if err := fits(o, s.Plan); err != nil {
			return err
		}
	}
	return s.held()
}

// held: the ledger calls captured what the outcomes hold, each finger once, and nothing else.
func (s Session) held() error {
	times := map[biometric.FingerPosition]int{}
	for _, o := range s.Outcomes {
		for _, f := range o.Captured {
			times[f]++
		}
	}
	for _, e := range s.Ledger {
		if n := times[e.Position]; n > 1 || (n == 1) != (e.Reason == biometric.Captured) {
			return fmt.Errorf("the ledger calls %v %q, and %d outcomes hold it", e.Position, e.Reason, n)
		}
	}
	return nil
}

func checkStep(step plan.Step) error {
	for _, f := range step.Want {
		if !f.Single() {
			return fmt.Errorf("step %.40q wants %v, which is no finger", step.ID, f)
		}
	}
	for f, others := range step.Fallback {
		for _, other := range append([]biometric.FingerPosition{f}, others...) {
			if !other.Single() {
				return fmt.Errorf("step %.40q falls back on %v, which is no finger", step.ID, other)
			}
		}
	}
	return nil
}
