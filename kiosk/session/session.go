// Package session is the state machine of one capture session.
//
// The one idea: [Session.Next] computes, the daemon enters. The machine has no clock, no device and no lock; a session is a
// value that can be written as JSON, time comes with each event, and an event that is out of place is an error that changes
// nothing. It holds outcomes, never a sample. The table is [Table]; docs/session.md draws it.
package session

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/plan"
)

// State is where a session stands.
type State string

// The states. Ended is the only one that accepts nothing; [Session.End] says how.
const (
	Called     State = "called"
	Confirming State = "confirming"
	Capturing  State = "capturing"
	Assistance State = "assistance"
	Reviewing  State = "reviewing"
	Verifying  State = "verifying"
	Sealing    State = "sealing"
	Ended      State = "ended"
)

// End is how a session ended; empty while it lives.
type End string

// The ends.
const (
	Completed  End = "completed"
	Declined   End = "declined"
	Abandoned  End = "abandoned"
	NoShow     End = "no-show"
	HandedOver End = "handed-over"
	Cancelled  End = "cancelled"
)

// Kind is what happened.
type Kind string

// The events.
const (
	Arrived   Kind = "arrived"
	Recalled  Kind = "recalled"
	Confirmed Kind = "confirmed"
	Decline   Kind = "declined"
	Help      Kind = "help"
	TimedOut  Kind = "timed-out"
	Extended  Kind = "extended" // the person asked for more time
	Cancel    Kind = "cancel"
	Accepted  Kind = "accepted"
	Rejected  Kind = "rejected"
	Faulted   Kind = "faulted"
	Resumed   Kind = "resumed"
	Excepted  Kind = "excepted"
	Moved     Kind = "moved"
	Approved  Kind = "approved"
	Recapture Kind = "recapture"
	Verified  Kind = "verified"
	Failed    Kind = "failed"
	Override  Kind = "override"
	Sealed    Kind = "sealed"
)

// Actor is who sends an event.
type Actor string

// The actors.
const (
	Screen    Actor = "screen"    // the capture subject
	Attendant Actor = "attendant" // staff, personally identified
	Device    Actor = "device"    // a capture or comparison that the daemon ran
	Timer     Actor = "timer"
	Queue     Actor = "queue"
	Station   Actor = "station" // the daemon itself
)

// VerdictSameFinger says why staff are called where nothing is broken: one finger was shown in two places, twice.
const VerdictSameFinger = "same-finger"

// VerdictUnreadable says why staff are called at a desk where nothing is broken: a capture that came from another station can't
// be read here and is taken again.
const VerdictUnreadable = "unreadable"

// Event is one thing that happened. Fields that its kind does not use are ignored.
type Event struct {
	Kind Kind      `json:"kind"`
	By   Actor     `json:"by"`
	At   time.Time `json:"at"`
	// Entry is the session's Entry when the device or timer was started. What devices and timers say of an entry that is
	// over is refused, so a late answer never counts for the wrong capture.
	Entry int `json:"entry,omitempty"`
	// Attendant is the pseudonymous id of who decides; attendants always give it.
	Attendant string `json:"attendant,omitempty"`
	// Reason is given with override, and with recapture by an attendant; it may be with cancel, moved and help.
	Reason string `json:"reason,omitempty"`
	// Final comes with cancel by an attendant: the person leaves; otherwise their ticket waits again.
	Final bool `json:"final,omitempty"`
	// Outcome comes with accepted and rejected, and with faulted and help where there were attempts. A capture that was not
	// accepted may name fingers whose sufficient samples the daemon keeps. One without a step counts as none.
	Outcome *biometric.Outcome `json:"outcome,omitempty"`
	// Verdict names the fault of a faulted event: "unplugged", "off", "hung", "crashed", "held", or a word of the station's.
	Verdict string `json:"verdict,omitempty"`
	// Exceptions come with excepted. Position zero excepts the whole current step, where that is no finger step.
	Exceptions []biometric.Exception `json:"exceptions,omitempty"`
	// Steps come with recapture: which to do again; none means all. An override of a capture names its step.
	Steps []string `json:"steps,omitempty"`
	// Target comes with moved: the receiving station.
	Target string `json:"target,omitempty"`
	// Comparisons come with verified and failed: what the desk compared.
	Comparisons []biometric.Comparison `json:"comparisons,omitempty"`
	// Record comes with sealed: the record's id.
	Record string `json:"record,omitempty"`
}

// Decision is what an attendant decided, under a pseudonymous id.
type Decision struct {
	Kind      Kind      `json:"kind"`
	State     State     `json:"state"` // in which it was made
	Attendant string    `json:"attendant"`
	Reason    string    `json:"reason,omitempty"`
	At        time.Time `json:"at"`
}

// Skip is a step that is excepted as a whole.
type Skip struct {
	Step      string              `json:"step"`
	Exception biometric.Exception `json:"exception"`
}

// Session is one attempt at one ticket. The zero value is not usable: see [New] and [Continue].
type Session struct {
	ID      string    `json:"id"`
	Ticket  string    `json:"ticket"`
	Attempt int       `json:"attempt"` // at the ticket, 1 and up
	Plan    plan.Plan `json:"plan"`
	Started time.Time `json:"started"`

	State  State     `json:"state"`
	End    End       `json:"end,omitempty"`
	Entry  int       `json:"entry"`            // counts entries into states
	Since  time.Time `json:"since"`            // of the last entry or extension
	Extra  int       `json:"extra,omitempty"`  // extensions used since the last entry
	Step   int       `json:"step"`             // index of the current step while capturing, or where assistance returns to
	Resume State     `json:"resume,omitempty"` // where assistance returns to

	Ledger     biometric.Ledger      `json:"ledger"`
	Outcomes   []biometric.Outcome   `json:"outcomes"` // one a step at most, in the order of first capture
	Attempts   []biometric.Attempt   `json:"attempts"` // all there were, numbered within their step
	Exceptions []biometric.Exception `json:"exceptions,omitempty"`
	Skipped    []Skip                `json:"skipped,omitempty"`    // steps other than fingers that are excepted
	Verify     []string              `json:"verify,omitempty"`     // steps whose captures must be verified at a counter
	Weak       []string              `json:"weak,omitempty"`       // finger steps that stayed below the threshold at self-service: see verified
	Rejections map[string]int        `json:"rejections,omitempty"` // by step
	FollowUp   bool                  `json:"follow_up,omitempty"`  // a further appointment is needed
	Decisions  []Decision            `json:"decisions,omitempty"`

	Comparisons []biometric.Comparison `json:"comparisons,omitempty"` // at desks

	Verdict string `json:"verdict,omitempty"` // of the fault that led to assistance, VerdictSameFinger or VerdictUnreadable
	Alarm   bool   `json:"alarm,omitempty"`   // a presentation-attack alarm led to assistance: for staff only
	Target  string `json:"target,omitempty"`  // of a hand-over
	Final   bool   `json:"final,omitempty"`   // cancelled, and the person leaves
	Record  string `json:"record,omitempty"`  // of a completed session
}

// Start is what a session begins with.
type Start struct {
	ID      string
	Ticket  string
	Attempt int
	Plan    plan.Plan
	State   State // [Called] or [Confirming]
	At      time.Time
}

// New begins a session that the queue called, or whose code was scanned here.
func New(s Start) (Session, error) {
	switch {
	case s.State != Called && s.State != Confirming:
		return Session{}, fmt.Errorf("starting a session: it can't start in %q", s.State)
	case s.ID == "" || s.Ticket == "" || s.Attempt < 1:
		return Session{}, errors.New("starting a session: it needs an id, a ticket and an attempt")
	case s.Plan.Schema != plan.Schema:
		return Session{}, fmt.Errorf("starting a session: a plan of schema %q is not known", s.Plan.Schema)
	}
	return Session{
		ID: s.ID, Ticket: s.Ticket, Attempt: s.Attempt, Plan: s.Plan, Started: s.At,
		State: s.State, Entry: 1, Since: s.At, Ledger: s.Plan.Ledger,
		Outcomes: []biometric.Outcome{}, Attempts: []biometric.Attempt{},
	}, nil
}

// Continuation says how a session goes on that was handed over.
type Continuation struct {
	State State // [Assistance] or [Verifying]
	// Plan is the receiving station's own, which takes the place of the first; it must have the steps that were captured. The
	// first stays where it is zero.
	Plan plan.Plan
	// Unwatched: no attendant watched the captures, whatever the session says of them. All are to be verified.
	Unwatched bool
	// Unreadable are steps whose samples can't be used here. They are captured again, and staff are told.
	Unreadable []string
	At         time.Time
}

// Continue begins where an accepted bundle left off. Good captures, exceptions and decisions are kept.
func Continue(bundle Session, c Continuation) (Session, error) {
	switch {
	case bundle.End != HandedOver:
		return Session{}, errors.New("continuing a session: it was not handed over")
	case c.State != Assistance && c.State != Verifying:
		return Session{}, fmt.Errorf("continuing a session: it can't start in %q", c.State)
	}
	s := bundle.clone()
	if c.Plan.Schema != "" {
		if err := s.adopt(c.Plan); err != nil {
			return Session{}, fmt.Errorf("continuing a session: %w", err)
		}
	}
	s.drop(func(o biometric.Outcome) bool { return slices.Contains(c.Unreadable, o.Step) })
	if c.Unwatched {
		s.unwatched()
	}
	next, open := s.open()
	s.Step = next
	if open && c.State == Verifying {
		return Session{}, fmt.Errorf("continuing a session: step %q is still to do, so there is nothing to verify yet", s.Plan.Steps[next].ID)
	}
	if s.Resume == "" || s.Resume == Sealing || open && s.Resume != Confirming {
		s.Resume = Capturing
	}
	s.End, s.Target = "", ""
	s.enter(c.State, c.At)
	if len(c.Unreadable) > 0 {
		s.Verdict = VerdictUnreadable
	}
	return s, nil
}

// unwatched has all that is held verified, and what is below its threshold captured again after.
func (s *Session) unwatched() {
	s.Verify, s.Weak = nil, weak(s.Outcomes)
	for _, o := range s.Outcomes {
		if o.Modality != biometric.Signature {
			s.Verify = append(s.Verify, o.Step)
		}
	}
}

// adopt takes over another plan; what was captured, excepted or found on file stays.
func (s *Session) adopt(p plan.Plan) error {
	for _, o := range s.Outcomes {
		if err := fits(o, p); err != nil {
			return err
		}
	}
	if p.Supervised && !s.Plan.Supervised {
		s.Weak = weak(s.Outcomes)
	}
	held := s.Ledger
	s.Plan, s.Ledger = p, p.Ledger
	for i, e := range held {
		if e.Reason == biometric.Captured || e.Reason.Excepting() && e.Reason != biometric.AgeExempt {
			s.Ledger[i] = e
		}
	}
	s.settle()
	return nil
}

// weak lists the finger steps that hold something below its threshold.
func weak(outcomes []biometric.Outcome) (steps []string) {
	for _, o := range outcomes {
		if o.Modality == biometric.Finger && o.Forced {
			steps = append(steps, o.Step)
		}
	}
	return steps
}

// fits reports whether a plan could have led to an outcome.
func fits(o biometric.Outcome, p plan.Plan) error {
	i := slices.IndexFunc(p.Steps, func(st plan.Step) bool { return st.ID == o.Step && st.Modality == o.Modality })
	if i < 0 {
		return fmt.Errorf("the plan of this station has no step %q", o.Step)
	}
	for _, f := range slices.Concat(o.Captured, o.GivenUp) {
		if !concerns(p.Steps[i], f) {
			return fmt.Errorf("the plan of this station has no use for %v", f)
		}
	}
	return nil
}

// concerns reports whether a step wants f, or could take it instead of a finger that it wants.
func concerns(step plan.Step, f biometric.FingerPosition) bool {
	for _, w := range step.Want {
		if w == f || slices.Contains(step.Fallback[w], f) {
			return true
		}
	}
	return false
}

// Results lists what each step came to, in the plan's order and for the record: what is held, every attempt there was, and
// who excepted what. Steps that nobody has come to are left out.
func (s Session) Results() []biometric.Outcome {
	results := []biometric.Outcome{}
	for _, step := range s.Plan.Steps {
		r := biometric.Outcome{Step: step.ID, Modality: step.Modality}
		i := slices.IndexFunc(s.Outcomes, func(o biometric.Outcome) bool { return o.Step == step.ID })
		if i >= 0 {
			r = s.Outcomes[i]
		}
		r.Attempts, r.Excepted = []biometric.Attempt{}, nil
		for _, a := range s.Attempts {
			if a.Step == step.ID {
				r.Attempts = append(r.Attempts, a)
			}
		}
		for _, x := range s.Exceptions {
			if concerns(step, x.Position) {
				r.Excepted = append(r.Excepted, x)
			}
		}
		for _, k := range s.Skipped {
			if k.Step == step.ID {
				r.Excepted = append(r.Excepted, k.Exception)
			}
		}
		if i >= 0 || len(r.Attempts)+len(r.Excepted) > 0 {
			results = append(results, r)
		}
	}
	return results
}

// Current is the step that is being captured, with the fingers that are wanted now: without those held already, and with
// fallback fingers in place of excepted ones. False where every step is done.
func (s Session) Current() (plan.Step, bool) {
	if s.Step >= len(s.Plan.Steps) || s.done(s.Step) {
		return plan.Step{}, false
	}
	step := s.Plan.Steps[s.Step]
	step.Want, step.Fallback = s.want(step), s.standIns(step)
	return step, true
}

// standIns lists, for each finger that is wanted now, those that may stand in for it from here on.
func (s Session) standIns(step plan.Step) map[biometric.FingerPosition][]biometric.FingerPosition {
	var all map[biometric.FingerPosition][]biometric.FingerPosition
	for _, f := range step.Want {
		c, ok := s.candidate(step, f)
		line := append([]biometric.FingerPosition{f}, step.Fallback[f]...)
		i := slices.Index(line, c)
		if !ok || s.Ledger[c-1].Reason != biometric.Owed || i+1 == len(line) {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(line[i+1:]), func(o biometric.FingerPosition) bool { return s.Ledger[o-1].Reason != biometric.NotOwed })
		if len(others) == 0 {
			continue
		}
		if all == nil {
			all = map[biometric.FingerPosition][]biometric.FingerPosition{}
		}
		all[c] = others
	}
	return all
}

// Live reports whether the session goes on.
func (s Session) Live() bool { return s.End == "" }

// want lists the fingers of a step that are still to be captured.
func (s Session) want(step plan.Step) []biometric.FingerPosition {
	var want []biometric.FingerPosition
	for _, f := range step.Want {
		if c, ok := s.candidate(step, f); ok && s.Ledger[c-1].Reason == biometric.Owed {
			want = append(want, c)
		}
	}
	return want
}

// candidate is the finger that stands for f: itself, or the first fallback that nothing excepts. None where all are excepted,
// or where a temporary reason leads to a further appointment.
func (s Session) candidate(step plan.Step, f biometric.FingerPosition) (biometric.FingerPosition, bool) {
	for _, c := range append([]biometric.FingerPosition{f}, step.Fallback[f]...) {
		e := s.Ledger[c-1]
		if !e.Reason.Excepting() {
			return c, true
		}
		if s.temporary(e) {
			return 0, false
		}
	}
	return 0, false
}

// temporary reports whether a finger's reason leads to a further appointment instead of another finger.
func (s Session) temporary(e biometric.Entry) bool {
	return s.Plan.Temporary == plan.FollowUp && !e.Permanent && e.Reason != biometric.AgeExempt
}

// done reports whether a step needs nothing more.
func (s Session) done(i int) bool {
	step := s.Plan.Steps[i]
	if slices.ContainsFunc(s.Skipped, func(k Skip) bool { return k.Step == step.ID }) {
		return true
	}
	if step.Modality == biometric.Finger {
		return len(s.want(step)) == 0
	}
	return slices.ContainsFunc(s.Outcomes, func(o biometric.Outcome) bool { return o.Step == step.ID })
}

// open finds the first step that is not done; the number of steps and false where there is none.
func (s Session) open() (int, bool) {
	for i := range s.Plan.Steps {
		if !s.done(i) {
			return i, true
		}
	}
	return len(s.Plan.Steps), false
}

// settle writes the ledger's lines that follow from exceptions: stand-ins become owed, and the need of a further appointment.
func (s *Session) settle() {
	s.FollowUp = false
	for _, step := range s.Plan.Steps {
		for _, f := range step.Want {
			c, ok := s.candidate(step, f)
			if ok && s.Ledger[c-1].Reason == biometric.NotOwed {
				s.Ledger[c-1].Reason = biometric.Owed
			}
			for _, other := range append([]biometric.FingerPosition{f}, step.Fallback[f]...) {
				s.FollowUp = s.FollowUp || s.Ledger[other-1].Reason.Excepting() && s.temporary(s.Ledger[other-1])
			}
		}
	}
}

// enter makes a state the current one.
func (s *Session) enter(to State, at time.Time) {
	s.State, s.Since, s.Extra = to, at, 0
	s.Entry++
	if to != Assistance && to != Ended {
		s.Resume, s.Verdict, s.Alarm = "", "", false
	}
}

// clone copies what Next may write to.
func (s Session) clone() Session {
	s.Outcomes = slices.Clone(s.Outcomes)
	s.Attempts = slices.Clone(s.Attempts)
	s.Exceptions = slices.Clone(s.Exceptions)
	s.Skipped = slices.Clone(s.Skipped)
	s.Verify = slices.Clone(s.Verify)
	s.Weak = slices.Clone(s.Weak)
	s.Decisions = slices.Clone(s.Decisions)
	s.Comparisons = slices.Clone(s.Comparisons)
	s.Rejections = maps.Clone(s.Rejections)
	return s
}
