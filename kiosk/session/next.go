package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/plan"
)

// ErrOutOfPlace is the error of an event that the current state does not take from its sender.
var ErrOutOfPlace = errors.New("event out of place")

// Rule is one row of the machine's table: in state From, the event On, sent by one of By, leads to one of To or ends as Ends.
type Rule struct {
	From State
	On   Kind
	By   []Actor
	To   []State
	Ends End
}

// Table is the whole machine: what may happen in which state, and who may say so.
func Table() []Rule {
	subject := []Actor{Screen, Attendant}
	attendant := []Actor{Attendant}
	device := []Actor{Device}
	timer := []Actor{Timer}
	station := []Actor{Station}
	asking := []Actor{Screen, Attendant, Station}
	onward := []State{Capturing, Reviewing, Verifying, Sealing}
	return []Rule{
		{From: Called, On: Arrived, By: subject, To: []State{Confirming}},
		{From: Called, On: Recalled, By: []Actor{Attendant, Queue}, To: []State{Called}},
		{From: Called, On: TimedOut, By: timer, Ends: NoShow},
		{From: Called, On: Cancel, By: []Actor{Attendant, Queue}, Ends: Cancelled},

		{From: Confirming, On: Confirmed, By: subject, To: []State{Capturing, Reviewing, Sealing}},
		{From: Confirming, On: Decline, By: subject, Ends: Declined},
		{From: Confirming, On: Help, By: asking, To: []State{Assistance}},
		{From: Confirming, On: Extended, By: subject, To: []State{Confirming}},
		{From: Confirming, On: TimedOut, By: timer, Ends: Abandoned},

		{From: Capturing, On: Accepted, By: device, To: onward},
		{From: Capturing, On: Rejected, By: device, To: []State{Capturing, Assistance}},
		{From: Capturing, On: Faulted, By: []Actor{Device, Station}, To: []State{Assistance}},
		{From: Capturing, On: Override, By: attendant, To: onward},
		{From: Capturing, On: Help, By: asking, To: []State{Assistance}},
		{From: Capturing, On: Extended, By: subject, To: []State{Capturing}},
		{From: Capturing, On: TimedOut, By: timer, Ends: Abandoned},
		{From: Capturing, On: Cancel, By: subject, Ends: Cancelled},

		{From: Assistance, On: Resumed, By: attendant, To: append([]State{Confirming}, onward...)},
		{From: Assistance, On: Excepted, By: attendant, To: append([]State{Confirming, Assistance}, onward...)},
		{From: Assistance, On: Recapture, By: attendant, To: []State{Capturing}},
		{From: Assistance, On: Moved, By: attendant, Ends: HandedOver},
		{From: Assistance, On: Cancel, By: attendant, Ends: Cancelled},

		{From: Reviewing, On: Approved, By: subject, To: []State{Verifying, Sealing}},
		{From: Reviewing, On: Recapture, By: subject, To: []State{Capturing}},
		{From: Reviewing, On: Help, By: asking, To: []State{Assistance}},
		{From: Reviewing, On: Extended, By: subject, To: []State{Reviewing}},
		{From: Reviewing, On: TimedOut, By: timer, Ends: Abandoned},
		{From: Reviewing, On: Cancel, By: subject, Ends: Cancelled},

		{From: Verifying, On: Verified, By: device, To: []State{Sealing, Capturing}},
		{From: Verifying, On: Failed, By: device, To: []State{Capturing}},
		{From: Verifying, On: Faulted, By: device, To: []State{Assistance}},
		{From: Verifying, On: Override, By: attendant, To: []State{Sealing, Capturing}},
		{From: Verifying, On: Moved, By: attendant, Ends: HandedOver},
		{From: Verifying, On: Help, By: asking, To: []State{Assistance}},
		{From: Verifying, On: Cancel, By: subject, Ends: Cancelled},

		{From: Sealing, On: Sealed, By: station, Ends: Completed},
		{From: Sealing, On: Faulted, By: station, To: []State{Assistance}},
	}
}

// Next computes the session after an event. The session that it is called on does not change; an error is also returned
// with it as it was. [ErrOutOfPlace] says that the event does not belong here, now, or to its sender.
func (s Session) Next(e Event) (Session, error) {
	rule, err := s.rule(e)
	if err != nil {
		return s, fmt.Errorf("applying %s by %s in %s: %w", e.Kind, e.By, s.State, err)
	}
	n := s.clone()
	if e.By == Attendant {
		n.Decisions = append(n.Decisions, Decision{Kind: e.Kind, State: s.State, Attendant: e.Attendant, Reason: e.Reason, At: e.At})
	}
	if rule.Ends != "" {
		err = n.finish(e, rule.Ends)
	} else {
		err = n.apply(e)
	}
	if err != nil {
		return s, fmt.Errorf("applying %s by %s in %s: %w", e.Kind, e.By, s.State, err)
	}
	return n, nil
}

// rule finds the row of the table, and checks what every event of its sender must carry.
func (s Session) rule(e Event) (Rule, error) {
	table := Table()
	i := slices.IndexFunc(table, func(r Rule) bool { return r.From == s.State && r.On == e.Kind })
	if i < 0 {
		return Rule{}, ErrOutOfPlace
	}
	r := table[i]
	switch {
	case !slices.Contains(r.By, e.By):
		return Rule{}, fmt.Errorf("%w: it is not theirs to say", ErrOutOfPlace)
	case e.By == Attendant && e.Attendant == "":
		return Rule{}, errors.New("the attendant is not identified (hint: badge, passkey or one-time code)")
	case (e.By == Device || e.By == Timer) && e.Entry != s.Entry:
		return Rule{}, fmt.Errorf("%w: it speaks of entry %d, now is %d", ErrOutOfPlace, e.Entry, s.Entry)
	case e.At.IsZero():
		return Rule{}, errors.New("it carries no time")
	}
	if d, ok := s.Deadline(time.Time{}); e.Kind == TimedOut && ok && e.At.Before(d.End) {
		return Rule{}, fmt.Errorf("%w: the time is not over", ErrOutOfPlace)
	}
	return r, nil
}

func (s *Session) finish(e Event, how End) error {
	switch e.Kind {
	case Cancel:
		s.Final = e.Final && e.By == Attendant
	case Moved:
		if e.Target == "" {
			return errors.New("no station is named to move to")
		}
		s.Target = e.Target
		if s.State == Verifying {
			s.Resume = Verifying
		}
	case Sealed:
		if e.Record == "" {
			return errors.New("no record is named")
		}
		s.Record = e.Record
	}
	s.enter(Ended, e.At)
	s.End = how
	return nil
}

func (s *Session) apply(e Event) error {
	switch e.Kind {
	case Arrived:
		s.enter(Confirming, e.At)
	case Recalled:
		s.enter(Called, e.At)
	case Extended:
		return s.extend(e)
	case Confirmed:
		s.advance(e)
	case Help:
		return s.help(e)
	case Accepted:
		return s.accept(e)
	case Rejected:
		return s.reject(e)
	case Faulted:
		return s.fault(e)
	case Resumed:
		s.resume(e)
	case Excepted:
		return s.except(e)
	case Approved:
		s.afterReview(e)
	case Recapture:
		return s.recapture(e)
	case Verified:
		s.Comparisons = append(s.Comparisons, e.Comparisons...)
		return s.verified(e)
	case Failed:
		s.Comparisons = append(s.Comparisons, e.Comparisons...)
		return s.fail(e)
	case Override:
		return s.override(e)
	}
	return nil
}

// override decides against a comparison, or for the best of a capture before its attempts are used up.
func (s *Session) override(e Event) error {
	switch {
	case e.Reason == "":
		return errors.New("an override needs a reason")
	case s.State == Capturing:
		return s.keep(e)
	case len(e.Steps) > 0:
		return fmt.Errorf("%w: it accepts a capture, and prints are being compared", ErrOutOfPlace)
	}
	return s.verified(e)
}

// verified goes on once it is known whose captures these are: what stayed below its threshold at self-service is captured again
// under the attendant's eyes.
func (s *Session) verified(e Event) error {
	weak := s.Weak
	s.Verify, s.Weak = nil, nil
	if len(weak) == 0 {
		s.enter(Sealing, e.At)
		return nil
	}
	return s.again(e, func(o biometric.Outcome) bool { return slices.Contains(weak, o.Step) })
}

// keep accepts what a capture has, which it interrupts. It names the step, so that it never counts for what came next; what the
// capture had nothing of is captured again.
func (s *Session) keep(e Event) error {
	step, _ := s.Current()
	switch {
	case !s.Plan.Supervised:
		return errors.New("a capture without an attendant is not accepted by one (hint: move the session to a desk)")
	case len(e.Steps) != 1 || e.Steps[0] != step.ID:
		return fmt.Errorf("%w: it must name step %q, which is being captured", ErrOutOfPlace, step.ID)
	}
	if err := s.take(e, false); err != nil {
		return err
	}
	s.settle()
	s.advance(e)
	return nil
}

func (s *Session) extend(e Event) error {
	if s.Extra >= s.Plan.TimeLimits.Extensions {
		return errors.New("the time was extended as often as it can be")
	}
	s.Extra++
	s.Since = e.At
	return nil
}

// advance goes to the next step, or past the last.
func (s *Session) advance(e Event) {
	next, open := s.open()
	s.Step = next
	switch {
	case open:
		s.enter(Capturing, e.At)
	case s.Plan.Review:
		s.enter(Reviewing, e.At)
	default:
		s.afterReview(e)
	}
}

func (s *Session) afterReview(e Event) {
	if s.needsVerification() {
		s.enter(Verifying, e.At)
		return
	}
	s.enter(Sealing, e.At)
}

// needsVerification: of what is to be verified, fingers are; the face only where no finger is held.
func (s Session) needsVerification() bool {
	fingers, kiosk := false, len(s.Verify) > 0
	for _, o := range s.Outcomes {
		if o.Modality == biometric.Finger {
			fingers = true
			if slices.Contains(s.Verify, o.Step) {
				return true
			}
		}
	}
	return kiosk && !fingers
}

// mustVerify applies the policy to one outcome.
func (s Session) mustVerify(o biometric.Outcome) bool {
	switch {
	case o.Modality == biometric.Signature:
		return false
	case s.Plan.Verification == plan.VerifyWithoutPAD:
		return slices.ContainsFunc(o.Attempts, unprotected)
	}
	return s.Plan.Verification == plan.VerifyAlways
}

func unprotected(a biometric.Attempt) bool { return a.PAD.Result != biometric.PADPassed }

// assist calls staff; the session goes on where it was.
func (s *Session) assist(e Event) {
	resume := s.State
	s.enter(Assistance, e.At)
	s.Resume = resume
}

// help calls staff. A capture that it interrupts may bring what it had.
func (s *Session) help(e Event) error {
	if s.State == Capturing {
		if err := s.take(e, false); err != nil {
			return err
		}
	}
	s.assist(e)
	return nil
}

func (s *Session) accept(e Event) error {
	if err := s.take(e, true); err != nil {
		return err
	}
	s.settle()
	if !s.done(s.Step) {
		return errors.New("the outcome leaves fingers out that are wanted")
	}
	s.advance(e)
	return nil
}

// reject starts the step again, as often as the policy says; then, and on a presentation-attack alarm, staff are called.
func (s *Session) reject(e Event) error {
	if err := s.take(e, true); err != nil {
		return err
	}
	if s.done(s.Step) {
		return errors.New("the outcome holds all that is wanted, and yet is rejected")
	}
	step := s.Plan.Steps[s.Step]
	if s.Rejections == nil {
		s.Rejections = map[string]int{}
	}
	s.Rejections[step.ID]++
	alarm := slices.ContainsFunc(e.Outcome.Attempts, func(a biometric.Attempt) bool { return a.PAD.Result == biometric.PADAlarm })
	twice := repeated(step, e.Outcome.Attempts)
	if !alarm && !twice && s.Rejections[step.ID] <= step.Rules.Again {
		s.enter(Capturing, e.At)
		return nil
	}
	s.assist(e)
	if s.Alarm = alarm; twice {
		s.Verdict = VerdictSameFinger
	}
	return nil
}

// repeated reports whether the same fingers were wanted twice in a capture and one of them lay in two places each time, under
// a policy that begins anew only once.
func repeated(step plan.Step, attempts []biometric.Attempt) bool {
	if step.Uniqueness != plan.UniqueRestarts {
		return false
	}
	times := map[string]int{}
	for _, a := range attempts {
		if a.Hint == biometric.HintSameFinger {
			times[fmt.Sprint(a.Wanted)]++
		}
	}
	for _, n := range times {
		if n > 1 {
			return true
		}
	}
	return false
}

func (s *Session) fault(e Event) error {
	if e.Verdict == "" {
		return errors.New("the fault has no verdict")
	}
	if s.State == Capturing {
		if err := s.take(e, false); err != nil {
			return err
		}
	}
	s.assist(e)
	s.Verdict = e.Verdict
	return nil
}

// take adds what a capture brought: its attempts in any case, and what the daemon holds of it.
func (s *Session) take(e Event, needed bool) error {
	if e.Outcome == nil || e.Outcome.Step == "" {
		if needed {
			return errors.New("it brings no outcome")
		}
		return nil
	}
	step, _ := s.Current()
	o := *e.Outcome
	if o.Step != step.ID || o.Modality != step.Modality {
		return fmt.Errorf("it brings an outcome of step %q, now is %q", o.Step, step.ID)
	}
	if err := wanted(step, o); err != nil {
		return err
	}
	o.Attempts = s.renumber(o.Attempts)
	s.Attempts = append(s.Attempts, o.Attempts...)
	if holds := e.Kind == Accepted || len(o.Captured) > 0 || e.Kind == Override && len(o.Findings) > 0; holds {
		s.hold(o)
	}
	return nil
}

// wanted refuses fingers that the step does not want, but for those that stand in for one that was given up.
func wanted(step plan.Step, o biometric.Outcome) error {
	for _, f := range o.GivenUp {
		if !concerns(step, f) {
			return fmt.Errorf("it gives up %v, which is not wanted now", f)
		}
	}
	for _, f := range o.Captured {
		if !slices.Contains(step.Want, f) && !slices.ContainsFunc(o.GivenUp, func(g biometric.FingerPosition) bool { return slices.Contains(step.Fallback[g], f) }) {
			return fmt.Errorf("it brings %v, which is not wanted now", f)
		}
	}
	return nil
}

// renumber continues the numbers of the step's earlier captures.
func (s *Session) renumber(attempts []biometric.Attempt) []biometric.Attempt {
	before := 0
	attempts = slices.Clone(attempts)
	for _, a := range s.Attempts {
		if len(attempts) > 0 && a.Step == attempts[0].Step {
			before = max(before, a.Number)
		}
	}
	for i := range attempts {
		attempts[i].Number = before + i + 1
	}
	return attempts
}

// hold merges an outcome into what is held of its step, and writes the ledger.
func (s *Session) hold(o biometric.Outcome) {
	if s.mustVerify(o) && !slices.Contains(s.Verify, o.Step) {
		s.Verify = append(s.Verify, o.Step)
	}
	for _, f := range o.GivenUp {
		s.Ledger[f-1] = biometric.Entry{Position: f, Reason: biometric.PoorQuality}
	}
	for _, f := range o.Captured {
		line := biometric.Entry{Position: f, Reason: biometric.Captured}
		for _, q := range o.Findings {
			if q.Position == f {
				quality := q.Quality
				line.Quality = &quality
			}
		}
		s.Ledger[f-1] = line
	}
	i := slices.IndexFunc(s.Outcomes, func(h biometric.Outcome) bool { return h.Step == o.Step })
	if i < 0 {
		s.Outcomes = append(s.Outcomes, o)
		return
	}
	h := s.Outcomes[i]
	s.Outcomes[i] = biometric.Outcome{
		Step: h.Step, Modality: h.Modality, Forced: h.Forced || o.Forced,
		Captured: slices.Concat(h.Captured, o.Captured), Findings: slices.Concat(h.Findings, o.Findings),
		Attempts: slices.Concat(h.Attempts, o.Attempts), Excepted: slices.Concat(h.Excepted, o.Excepted),
		GivenUp: slices.Concat(h.GivenUp, o.GivenUp),
	}
}

// resume goes back to where assistance came from.
func (s *Session) resume(e Event) {
	switch s.Resume {
	case Confirming, Reviewing, Verifying, Sealing:
		s.enter(s.Resume, e.At)
	default:
		s.advance(e)
	}
}

// except takes fingers, or a step that is no finger step, out of what is owed.
func (s *Session) except(e Event) error {
	if len(e.Exceptions) == 0 {
		return errors.New("no finger is named")
	}
	if s.Resume == Sealing || s.Resume == Verifying {
		return errors.New("everything is captured; nothing is left to except")
	}
	for _, x := range e.Exceptions {
		x.Attendant = e.Attendant
		if err := s.exceptOne(x); err != nil {
			return err
		}
	}
	s.settle()
	switch {
	case s.Plan.Exceptions == plan.ExceptAndMove:
		resume := s.Resume
		s.enter(Assistance, e.At)
		s.Resume = resume
	case s.Resume == Confirming:
		s.enter(Confirming, e.At)
	default:
		s.advance(e)
	}
	return nil
}

func (s *Session) exceptOne(x biometric.Exception) error {
	if !x.Reason.Excepting() || x.Reason == biometric.AgeExempt {
		return fmt.Errorf("%q is no reason to except", x.Reason)
	}
	if x.Position == 0 {
		return s.skip(x)
	}
	if !x.Position.Single() || !s.mayExcept(x.Position) {
		return fmt.Errorf("%v is not owed and stands in for no finger that is", x.Position)
	}
	s.Ledger[x.Position-1] = biometric.Entry{Position: x.Position, Reason: x.Reason, Permanent: x.Permanent}
	s.Exceptions = append(s.Exceptions, x)
	return nil
}

// skip excepts the current step as a whole.
func (s *Session) skip(x biometric.Exception) error {
	step, open := s.Current()
	if !open || step.Modality == biometric.Finger {
		return errors.New("a finger must be named")
	}
	s.Skipped = append(s.Skipped, Skip{Step: step.ID, Exception: x})
	return nil
}

// mayExcept: f is owed, or could come to stand in for a finger that still is.
func (s Session) mayExcept(f biometric.FingerPosition) bool {
	if s.Ledger[f-1].Reason == biometric.Owed {
		return true
	}
	for _, step := range s.Plan.Steps {
		for _, w := range step.Want {
			c, ok := s.candidate(step, w)
			if ok && s.Ledger[c-1].Reason == biometric.Owed && slices.Contains(step.Fallback[w], f) {
				return s.Ledger[f-1].Reason == biometric.NotOwed
			}
		}
	}
	return false
}

// recapture gives up what some steps hold; without names, all. An attendant who rejects what is sufficient says why.
func (s *Session) recapture(e Event) error {
	switch {
	case e.By == Attendant && e.Reason == "":
		return errors.New("an attendant who has something captured again says why")
	case len(s.Outcomes) == 0:
		return errors.New("nothing is held that could be captured again")
	}
	for _, id := range e.Steps {
		if !slices.ContainsFunc(s.Outcomes, func(o biometric.Outcome) bool { return o.Step == id }) {
			return fmt.Errorf("step %q holds nothing to capture again", id)
		}
	}
	return s.again(e, func(o biometric.Outcome) bool { return len(e.Steps) == 0 || slices.Contains(e.Steps, o.Step) })
}

// fail repeats the enrolment of what was verified: the fingers, or the face where no finger is held.
func (s *Session) fail(e Event) error {
	fingers := slices.ContainsFunc(s.Outcomes, func(o biometric.Outcome) bool { return o.Modality == biometric.Finger })
	return s.again(e, func(o biometric.Outcome) bool {
		return o.Modality == biometric.Finger || !fingers && o.Modality == biometric.Face
	})
}

// again gives up outcomes and goes back to the first step that is open then.
func (s *Session) again(e Event, gone func(biometric.Outcome) bool) error {
	s.drop(gone)
	if _, open := s.open(); !open {
		return errors.New("nothing is held that could be captured again")
	}
	s.advance(e)
	return nil
}

// drop forgets outcomes; attempts are never forgotten.
func (s *Session) drop(gone func(biometric.Outcome) bool) {
	for _, o := range s.Outcomes {
		if !gone(o) {
			continue
		}
		for _, f := range slices.Concat(o.Captured, o.GivenUp) {
			s.Ledger[f-1] = s.Plan.Ledger[f-1]
		}
		delete(s.Rejections, o.Step)
		this := func(id string) bool { return id == o.Step }
		s.Verify, s.Weak = slices.DeleteFunc(s.Verify, this), slices.DeleteFunc(s.Weak, this)
	}
	s.Outcomes = slices.DeleteFunc(s.Outcomes, gone)
	s.settle()
}
