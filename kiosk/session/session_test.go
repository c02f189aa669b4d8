package session

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/plan"
)

const (
	supervised  = "nl-residence-permit"
	selfService = "nl-residence-permit-self-service"
)

func noon() time.Time { return time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC) }

// planOf makes an adult's plan after edits of the policy's text, given as pairs.
func planOf(t testing.TB, id string, asked []biometric.Modality, edits ...string) plan.Plan {
	t.Helper()
	data, err := os.ReadFile("../plan/policies/" + id + ".json")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(edits...).Replace(string(data))
	policy, err := plan.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(policy, plan.Subject{BirthDate: time.Date(1990, 5, 4, 0, 0, 0, 0, time.UTC), Asked: asked}, noon())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func faceAndFingers() []biometric.Modality {
	return []biometric.Modality{biometric.Face, biometric.Finger}
}

func begin(t testing.TB, p plan.Plan, in State) Session {
	t.Helper()
	s, err := New(Start{ID: "se_1", Ticket: "tk_1", Attempt: 1, Plan: p, State: in, At: noon()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// by gives an event all that its sender must bring.
func (s Session) by(a Actor, k Kind) Event {
	e := Event{Kind: k, By: a, At: s.Since.Add(time.Hour), Entry: s.Entry, Reason: "said so", Target: "desk-1", Record: "r1", Verdict: "unplugged"}
	if a == Attendant {
		e.Attendant = "att-7"
	}
	return e
}

// outcome is what a capture of the current step brings, with the fingers that it holds.
func (s Session) outcome(held []biometric.FingerPosition, pad biometric.PADResult) *biometric.Outcome {
	step, _ := s.Current()
	q := biometric.Quality{Score: 42, Algorithm: "loket-basic", Version: "1"}
	o := &biometric.Outcome{Step: step.ID, Modality: step.Modality, Captured: held}
	for _, f := range held {
		o.Findings = append(o.Findings, biometric.Finding{Position: f, Quality: q, Enough: true})
	}
	o.Attempts = []biometric.Attempt{{Step: step.ID, Modality: step.Modality, Wanted: step.Want, Number: 1, PAD: biometric.PAD{Result: pad}}}
	return o
}

// captured is the acceptance of all that the current step wants.
func (s Session) captured() Event {
	e := s.by(Device, Accepted)
	step, _ := s.Current()
	e.Outcome = s.outcome(step.Want, biometric.PADPassed)
	return e
}

func (s Session) excepting(f biometric.FingerPosition, why biometric.Reason, permanent bool) Event {
	e := s.by(Attendant, Excepted)
	e.Exceptions = []biometric.Exception{{Position: f, Reason: why, Permanent: permanent}}
	return e
}

// after applies events that must all be accepted.
func after(t testing.TB, s Session, events ...func(Session) Event) Session {
	t.Helper()
	for _, make := range events {
		e := make(s)
		n, err := s.Next(e)
		if err != nil {
			t.Fatal(err)
		}
		s = n
	}
	return s
}

func send(a Actor, k Kind) func(Session) Event { return func(s Session) Event { return s.by(a, k) } }

func capture(s Session) Event { return s.captured() }

func except(f biometric.FingerPosition, why biometric.Reason, permanent bool) func(Session) Event {
	return func(s Session) Event { return s.excepting(f, why, permanent) }
}

func expect(t *testing.T, s Session, state State, end End) {
	t.Helper()
	if s.State != state || s.End != end {
		t.Fatalf("the session is in %q %q, not in %q %q", s.State, s.End, state, end)
	}
}

func wants(t *testing.T, s Session, fingers ...biometric.FingerPosition) {
	t.Helper()
	step, _ := s.Current()
	if !slices.Equal(step.Want, fingers) {
		t.Fatalf("wanted are %v, not %v", step.Want, fingers)
	}
}

func TestAnIntakeGoesFromCallToRecord(t *testing.T) {
	s := begin(t, planOf(t, supervised, faceAndFingers()), Called)
	s = after(t, s, send(Screen, Arrived), send(Screen, Confirmed))
	expect(t, s, Capturing, "")
	s = after(t, s, capture)
	wants(t, s, biometric.RightIndex, biometric.LeftIndex)
	s = after(t, s, capture, send(Screen, Approved), send(Station, Sealed))
	expect(t, s, Ended, Completed)
	if s.Record != "r1" || s.Ledger[1].Reason != biometric.Captured || s.Ledger[1].Quality.Score != 42 {
		t.Errorf("record %q, ledger %+v", s.Record, s.Ledger[1])
	}
	if r := s.Results(); len(r) != 2 || len(r[1].Attempts) != 1 {
		t.Errorf("results: %+v", r)
	}
}

func TestAnExceptedFingerIsReplacedByTheNextOfItsHand(t *testing.T) {
	s := after(t, begin(t, planOf(t, supervised, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, send(Screen, Help),
		except(biometric.RightIndex, biometric.Missing, true))
	expect(t, s, Capturing, "")
	wants(t, s, biometric.RightThumb, biometric.LeftIndex)
	s = after(t, s, send(Screen, Help), except(biometric.RightThumb, biometric.Bandaged, false))
	wants(t, s, biometric.RightMiddle, biometric.LeftIndex)
	s = after(t, s, send(Screen, Help), except(biometric.RightMiddle, biometric.Damaged, true), send(Screen, Help), except(biometric.RightRing, biometric.Refused, false))
	wants(t, s, biometric.LeftIndex)
	s = after(t, s, capture)
	expect(t, s, Reviewing, "")
	if s.FollowUp || len(s.Results()[1].Excepted) != 4 || s.Results()[1].Excepted[0].Attendant != "att-7" {
		t.Errorf("follow-up %v, results %+v", s.FollowUp, s.Results()[1])
	}
}

func TestATemporaryReasonUnderSelfServiceLeadsToAFurtherAppointment(t *testing.T) {
	s := after(t, begin(t, planOf(t, selfService, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, send(Screen, Help),
		except(biometric.RightIndex, biometric.Bandaged, false))
	expect(t, s, Assistance, "")
	if !s.FollowUp {
		t.Error("nobody is told of a further appointment")
	}
	s = after(t, s, send(Attendant, Resumed))
	wants(t, s, biometric.LeftIndex)
}

func TestFingersAreMarkedBeforeTheyAreAskedFor(t *testing.T) {
	s := after(t, begin(t, planOf(t, supervised, faceAndFingers()), Confirming), send(Screen, Help), except(biometric.LeftIndex, biometric.Missing, true))
	expect(t, s, Confirming, "")
	s = after(t, s, send(Screen, Confirmed), capture)
	wants(t, s, biometric.RightIndex, biometric.LeftThumb)
}

func TestASignatureCanBeExceptedAsAWhole(t *testing.T) {
	s := after(t, begin(t, planOf(t, supervised, []biometric.Modality{biometric.Signature}), Confirming), send(Screen, Confirmed), send(Screen, Help),
		except(0, biometric.Damaged, true))
	expect(t, s, Reviewing, "")
	if r := s.Results(); len(r) != 1 || len(r[0].Excepted) != 1 {
		t.Errorf("results: %+v", r)
	}
	s = after(t, begin(t, planOf(t, supervised, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, send(Screen, Help))
	if _, err := s.Next(s.excepting(0, biometric.Refused, true)); err == nil {
		t.Error("all fingers were excepted without naming one")
	}
}

func TestWhatAnInterruptedCaptureHoldsIsKept(t *testing.T) {
	p := planOf(t, supervised, faceAndFingers())
	for _, how := range []func(Session) Event{send(Device, Faulted), send(Screen, Help), send(Device, Rejected)} {
		s := after(t, begin(t, p, Confirming), send(Screen, Confirmed), capture, func(s Session) Event {
			e := how(s)
			e.Outcome = s.outcome([]biometric.FingerPosition{biometric.RightIndex}, biometric.PADPassed)
			return e
		}, send(Attendant, Resumed))
		wants(t, s, biometric.LeftIndex)
		s = after(t, s, capture)
		expect(t, s, Reviewing, "")
		o := s.Outcomes[1]
		if !slices.Equal(o.Captured, []biometric.FingerPosition{biometric.RightIndex, biometric.LeftIndex}) || len(o.Findings) != 2 {
			t.Errorf("held is %+v", o)
		}
		if n := s.Attempts[len(s.Attempts)-1].Number; n != 2 || s.Results()[1].Attempts[1].Number != 2 {
			t.Errorf("the second attempt has number %d", n)
		}
	}
}

func TestAFaultBeforeTheFirstAttemptCallsStaff(t *testing.T) {
	s := after(t, begin(t, planOf(t, supervised, faceAndFingers()), Confirming), send(Screen, Confirmed), func(s Session) Event {
		e := s.by(Device, Faulted)
		e.Outcome = &biometric.Outcome{}
		return e
	})
	expect(t, s, Assistance, "")
	if s.Verdict != "unplugged" {
		t.Errorf("the verdict is %q", s.Verdict)
	}
}

func TestRejectionsStartAgainAsOftenAsThePolicySays(t *testing.T) {
	rejected := func(pad biometric.PADResult) func(Session) Event {
		return func(s Session) Event {
			e := s.by(Device, Rejected)
			e.Outcome = s.outcome(nil, pad)
			return e
		}
	}
	s := after(t, begin(t, planOf(t, selfService, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, rejected(biometric.PADNotAvailable))
	expect(t, s, Capturing, "")
	s = after(t, s, rejected(biometric.PADNotAvailable))
	expect(t, s, Assistance, "")

	s = after(t, begin(t, planOf(t, selfService, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, rejected(biometric.PADAlarm))
	expect(t, s, Assistance, "")
	if !s.Alarm {
		t.Error("staff do not learn of the alarm")
	}
	if s = after(t, s, send(Attendant, Resumed)); s.Alarm {
		t.Error("the alarm outlives the assistance")
	}
}

func TestKioskCapturesAreVerifiedEvenWhereTheDesksPolicyAsksForNone(t *testing.T) {
	kiosk := after(t, begin(t, planOf(t, selfService, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, capture, send(Screen, Help), send(Attendant, Moved))
	expect(t, kiosk, Ended, HandedOver)
	desk, err := Continue(kiosk, Continuation{State: Assistance, Plan: planOf(t, supervised, faceAndFingers()), At: noon().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	desk = after(t, desk, send(Attendant, Resumed), send(Attendant, Approved))
	expect(t, desk, Verifying, "")
	again := after(t, desk, send(Device, Failed))
	wants(t, again, biometric.RightIndex, biometric.LeftIndex)
	again = after(t, again, capture, send(Attendant, Approved))
	expect(t, again, Sealing, "")
	if len(again.Results()[1].Attempts) != 2 {
		t.Error("the kiosk's attempts are forgotten")
	}
	expect(t, after(t, desk, send(Device, Verified)), Sealing, "")
	expect(t, after(t, desk, send(Attendant, Override)), Sealing, "")
}

func TestWhatASelfServiceKioskCapturedIsVerifiedWhateverItSays(t *testing.T) {
	kiosk := after(t, begin(t, planOf(t, selfService, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, func(s Session) Event {
		e := s.captured()
		e.Outcome.Forced = true
		return e
	}, send(Screen, Help), send(Attendant, Moved))
	kiosk.Verify, kiosk.Plan.Supervised, kiosk.Plan.Verification = nil, true, plan.VerifyNone
	c := Continuation{State: Assistance, Plan: planOf(t, supervised, faceAndFingers()), Unwatched: true, At: noon()}
	s, err := Continue(kiosk, c)
	if err != nil {
		t.Fatal(err)
	}
	s = after(t, s, send(Attendant, Resumed), send(Attendant, Approved))
	expect(t, s, Verifying, "")
	wants(t, after(t, s, send(Device, Verified)), biometric.RightIndex, biometric.LeftIndex) // they were below their threshold

	c.Unwatched = false
	if s, err = Continue(kiosk, c); err != nil {
		t.Fatal(err)
	}
	expect(t, after(t, s, send(Attendant, Resumed), send(Attendant, Approved)), Sealing, "")
}

func TestWhatCantBeReadAtTheDeskIsCapturedAgainAlone(t *testing.T) {
	kiosk := after(t, begin(t, planOf(t, selfService, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, capture, send(Screen, Approved), send(Attendant, Moved))
	c := Continuation{State: Verifying, Plan: planOf(t, supervised, faceAndFingers()), Unwatched: true, Unreadable: []string{"fingers"}, At: noon()}
	if _, err := Continue(kiosk, c); err == nil {
		t.Error("prints that are not there are verified")
	}
	c.State = Assistance
	s, err := Continue(kiosk, c)
	if err != nil {
		t.Fatal(err)
	}
	if s.Verdict != VerdictUnreadable || len(s.Outcomes) != 1 || len(s.Attempts) != 2 {
		t.Errorf("verdict %q, %d outcomes, %d attempts", s.Verdict, len(s.Outcomes), len(s.Attempts))
	}
	s = after(t, s, send(Attendant, Resumed))
	wants(t, s, biometric.RightIndex, biometric.LeftIndex)
	expect(t, after(t, s, capture, send(Attendant, Approved)), Sealing, "")
}

func TestALedgerThatIsNotWhatIsHeldIsRefused(t *testing.T) {
	good := after(t, reached(t, selfService), capture)
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Session){
		"held by nothing": func(s *Session) { s.Ledger[9].Reason = biometric.Captured },
		"still owed":      func(s *Session) { s.Ledger[1].Reason = biometric.Owed },
		"held twice": func(s *Session) {
			s.Outcomes[0].Captured = append(s.Outcomes[0].Captured, s.Outcomes[0].Captured[0])
		},
	} {
		s := good.clone()
		change(&s)
		if err := s.Check(); err == nil {
			t.Errorf("%s: nobody noticed", name)
		}
	}
}

func TestOnlyUnprotectedCapturesAreVerifiedWhereThePolicySaysSo(t *testing.T) {
	p := planOf(t, supervised, faceAndFingers(), `"verification": "none"`, `"verification": "without-pad"`)
	for pad, state := range map[biometric.PADResult]State{biometric.PADPassed: Sealing, biometric.PADNotAvailable: Verifying} {
		s := after(t, begin(t, p, Confirming), send(Screen, Confirmed), capture, func(s Session) Event {
			e := s.captured()
			e.Outcome.Attempts[0].PAD.Result = pad
			return e
		}, send(Screen, Approved))
		expect(t, s, state, "")
	}
}

func TestARecaptureDropsWhatItNames(t *testing.T) {
	reviewing := after(t, begin(t, planOf(t, supervised, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, capture)
	s := after(t, reviewing, func(s Session) Event {
		e := s.by(Screen, Recapture)
		e.Steps = []string{"fingers"}
		return e
	})
	expect(t, s, Capturing, "")
	wants(t, s, biometric.RightIndex, biometric.LeftIndex)
	if len(s.Outcomes) != 1 || s.Ledger[1].Reason != biometric.Owed || len(s.Attempts) != 2 {
		t.Errorf("held %+v, attempts %d", s.Outcomes, len(s.Attempts))
	}
	s = after(t, s, capture)
	expect(t, s, Reviewing, "")
	e := s.by(Screen, Recapture)
	e.Steps = []string{"iris"}
	if _, err := s.Next(e); err == nil {
		t.Error("a step that holds nothing was captured again")
	}
}

func TestTimeIsExtendedTenTimesAndWarnedOfBefore(t *testing.T) {
	s := begin(t, planOf(t, supervised, faceAndFingers()), Confirming)
	d, ok := s.Deadline(time.Time{})
	if !ok || d.End.Sub(d.Warn) < 20*time.Second || d.Extensions < 10 || !d.End.Equal(noon().Add(90*time.Second)) {
		t.Fatalf("deadline %+v", d)
	}
	early := s.by(Timer, TimedOut)
	early.At = d.End.Add(-time.Nanosecond)
	if _, err := s.Next(early); !errors.Is(err, ErrOutOfPlace) {
		t.Errorf("a time-out before its time gives %v", err)
	}
	for range d.Extensions {
		s = after(t, s, func(s Session) Event {
			e := s.by(Screen, Extended)
			e.At = s.Since.Add(time.Minute)
			return e
		})
	}
	if _, err := s.Next(s.by(Screen, Extended)); err == nil {
		t.Error("the time was extended without end")
	}
	if d, _ = s.Deadline(time.Time{}); !d.End.Equal(noon().Add(10*time.Minute + 90*time.Second)) {
		t.Errorf("after ten minutes of extensions the time ends at %v", d.End)
	}
	active := s.Since.Add(time.Minute)
	if d, _ = s.Deadline(active); !d.End.Equal(active.Add(90 * time.Second)) {
		t.Errorf("activity does not start the time anew: %v", d.End)
	}
}

func TestOnlyAnAttendantSaysThatSomebodyLeaves(t *testing.T) {
	s := after(t, begin(t, planOf(t, "nl-residence-permit", faceAndFingers()), Confirming), send(Screen, Confirmed))
	for _, by := range []Actor{Screen, Attendant} {
		e := s.by(by, Cancel)
		e.Final = true
		if n, err := s.Next(e); err != nil || n.Final != (by == Attendant) || n.End != Cancelled {
			t.Errorf("by %s: final %v, %s, %v", by, n.Final, n.End, err)
		}
	}
}

func TestLateAnswersCountForNothing(t *testing.T) {
	s := after(t, begin(t, planOf(t, supervised, faceAndFingers()), Confirming), send(Screen, Confirmed))
	late := s.captured()
	s = after(t, s, send(Screen, Help), send(Attendant, Resumed))
	if _, err := s.Next(late); !errors.Is(err, ErrOutOfPlace) {
		t.Errorf("a capture of an earlier entry gives %v", err)
	}
}

func TestEventsMustBringWhatTheirKindNeeds(t *testing.T) {
	capturing := after(t, begin(t, planOf(t, supervised, faceAndFingers()), Confirming), send(Screen, Confirmed))
	assistance := after(t, capturing, send(Screen, Help))
	verifying := after(t, begin(t, planOf(t, selfService, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, capture, send(Screen, Approved))
	sealing := after(t, verifying, send(Device, Verified))
	for name, c := range map[string]struct {
		in   Session
		by   Actor
		kind Kind
		less func(*Event)
	}{
		"an attendant without a name":          {assistance, Attendant, Resumed, func(e *Event) { e.Attendant = "" }},
		"an event without a time":              {assistance, Attendant, Resumed, func(e *Event) { e.At = time.Time{} }},
		"an acceptance without an outcome":     {capturing, Device, Accepted, func(*Event) {}},
		"a rejection without an outcome":       {capturing, Device, Rejected, func(*Event) {}},
		"an outcome of another step":           {capturing, Device, Accepted, func(e *Event) { e.Outcome = &biometric.Outcome{Step: "fingers", Modality: biometric.Finger} }},
		"a finger of a face":                   {capturing, Device, Accepted, func(e *Event) { e.Outcome = capturing.outcome([]biometric.FingerPosition{2}, "") }},
		"a fault without a verdict":            {capturing, Device, Faulted, func(e *Event) { e.Verdict = "" }},
		"an exception of nothing":              {assistance, Attendant, Excepted, func(*Event) {}},
		"an exception of a finger not owed":    {assistance, Attendant, Excepted, func(e *Event) { e.Exceptions = []biometric.Exception{{Position: 5, Reason: biometric.Missing}} }},
		"an exception without a reason":        {assistance, Attendant, Excepted, func(e *Event) { e.Exceptions = []biometric.Exception{{Position: 2, Reason: biometric.Captured}} }},
		"an exception of no finger":            {assistance, Attendant, Excepted, func(e *Event) { e.Exceptions = []biometric.Exception{{Position: 46, Reason: biometric.Missing}} }},
		"age, which is not an attendant's say": {assistance, Attendant, Excepted, func(e *Event) { e.Exceptions = []biometric.Exception{{Position: 2, Reason: biometric.AgeExempt}} }},
		"a move to nowhere":                    {assistance, Attendant, Moved, func(e *Event) { e.Target = "" }},
		"an override without a reason":         {verifying, Attendant, Override, func(e *Event) { e.Reason = "" }},
		"a seal without a record":              {sealing, Station, Sealed, func(e *Event) { e.Record = "" }},
	} {
		e := c.in.by(c.by, c.kind)
		c.less(&e)
		if _, err := c.in.Next(e); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestSessionsBeginOnlyWhereTheyMay(t *testing.T) {
	p := planOf(t, supervised, faceAndFingers())
	for _, state := range []State{Capturing, Assistance, Reviewing, Verifying, Sealing, Ended, ""} {
		if _, err := New(Start{ID: "se_1", Ticket: "tk_1", Attempt: 1, Plan: p, State: state, At: noon()}); err == nil {
			t.Errorf("a session began in %q", state)
		}
	}
	live := after(t, begin(t, p, Confirming), send(Screen, Confirmed), capture, send(Screen, Help))
	if _, err := Continue(live, Continuation{State: Assistance, At: noon()}); err == nil {
		t.Error("a session that was not handed over was continued")
	}
	moved := after(t, live, send(Attendant, Moved))
	if _, err := Continue(moved, Continuation{State: Verifying, At: noon()}); err == nil {
		t.Error("a session with a step to do was continued in verifying")
	}
	if _, err := Continue(moved, Continuation{State: Reviewing, At: noon()}); err == nil {
		t.Error("a session was continued in reviewing")
	}
	if _, err := Continue(moved, Continuation{State: Assistance, Plan: planOf(t, supervised, faceAndFingers()[1:]), At: noon()}); err == nil {
		t.Error("a plan without the captured step was adopted")
	}
	s, err := Continue(moved, Continuation{State: Assistance, At: noon()})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, after(t, s, send(Attendant, Resumed)), biometric.RightIndex, biometric.LeftIndex)
}

func TestSessionsSurviveJSON(t *testing.T) {
	s := after(t, begin(t, planOf(t, selfService, nil), Called), send(Screen, Arrived), send(Screen, Confirmed), capture, send(Screen, Help),
		except(biometric.RightIndex, biometric.Missing, true))
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Session
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(s, back) {
		t.Errorf("the session does not survive JSON: %v\n%s", err, data)
	}
}

func TestWhatADeskComparedIsRemembered(t *testing.T) {
	verifying := after(t, begin(t, planOf(t, selfService, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, capture, send(Screen, Approved))
	compared := func(kind Kind, same bool) func(Session) Event {
		return func(s Session) Event {
			e := s.by(Device, kind)
			e.Comparisons = []biometric.Comparison{{Position: biometric.RightIndex, Same: same}}
			return e
		}
	}
	if s := after(t, verifying, compared(Verified, true)); s.State != Sealing || len(s.Comparisons) != 1 || !s.Comparisons[0].Same {
		t.Errorf("%s with %+v", s.State, s.Comparisons)
	}
	again := after(t, verifying, compared(Failed, false))
	if again.State != Capturing || len(again.Comparisons) != 1 || len(verifying.Comparisons) != 0 {
		t.Errorf("%s with %+v", again.State, again.Comparisons)
	}
	faulted := after(t, verifying, send(Device, Faulted))
	if expect(t, faulted, Assistance, ""); faulted.Verdict == "" {
		t.Error("staff do not learn why nothing could be compared")
	}
	expect(t, after(t, faulted, send(Attendant, Resumed)), Verifying, "")
}

func TestASessionFromOutsideIsHeldToItsPlan(t *testing.T) {
	good := after(t, begin(t, planOf(t, supervised, faceAndFingers()), Confirming), send(Screen, Confirmed), capture, capture)
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Session){
		"no ticket":          func(s *Session) { s.Ticket = "" },
		"another schema":     func(s *Session) { s.Plan.Schema = "loket/plan/2" },
		"a step too far":     func(s *Session) { s.Step = len(s.Plan.Steps) + 1 },
		"a step before all":  func(s *Session) { s.Step = -1 },
		"a shuffled ledger":  func(s *Session) { s.Ledger[0], s.Ledger[1] = s.Ledger[1], s.Ledger[0] },
		"two outcomes":       func(s *Session) { s.Outcomes = append(slices.Clone(s.Outcomes), s.Outcomes[0]) },
		"an outcome of none": func(s *Session) { s.Outcomes = []biometric.Outcome{{Step: "iris", Modality: biometric.Face}} },
		"no finger wanted": func(s *Session) {
			s.Plan.Steps = slices.Clone(s.Plan.Steps)
			s.Plan.Steps[1].Want = []biometric.FingerPosition{11}
		},
	} {
		s := good.clone()
		change(&s)
		if s.Check() == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestStaffAreCalledWhereOneFingerWasShownTwiceInTwoPlaces(t *testing.T) {
	showing := func(times int, wanted ...[]biometric.FingerPosition) func(Session) Event {
		return func(s Session) Event {
			e := s.by(Device, Rejected)
			e.Outcome = s.outcome(nil, biometric.PADPassed)
			e.Outcome.Attempts = nil
			for i := range times {
				e.Outcome.Attempts = append(e.Outcome.Attempts, biometric.Attempt{Step: e.Outcome.Step, Hint: biometric.HintSameFinger, Wanted: wanted[i%len(wanted)]})
			}
			return e
		}
	}
	pair, right, left := []biometric.FingerPosition{2, 7}, []biometric.FingerPosition{2}, []biometric.FingerPosition{7}
	for _, c := range []struct {
		name    string
		policy  string
		event   func(Session) Event
		state   State
		verdict string
	}{
		{"once it goes on by itself", selfService, showing(1, pair), Capturing, ""},
		{"twice staff are called", selfService, showing(2, pair), Assistance, VerdictSameFinger},
		{"once each for two fingers it goes on", selfService, showing(2, right, left), Capturing, ""},
		{"with an attendant it is an attempt like others", supervised, showing(2, pair), Assistance, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := after(t, begin(t, planOf(t, c.policy, []biometric.Modality{biometric.Finger}), Confirming), send(Screen, Confirmed), c.event)
			if s.State != c.state || s.Verdict != c.verdict {
				t.Errorf("%s, %q", s.State, s.Verdict)
			}
		})
	}
}

// reached is the supervised session that captures fingers.
func reached(t *testing.T, id string) Session {
	return after(t, begin(t, planOf(t, id, []biometric.Modality{biometric.Finger}), Confirming), send(Screen, Confirmed))
}

func TestAFingerThatWasGivenUpIsOfPoorQualityAndAnotherStandsInForIt(t *testing.T) {
	s := reached(t, supervised)
	e := s.by(Device, Accepted)
	e.Outcome = s.outcome([]biometric.FingerPosition{biometric.RightMiddle, biometric.LeftIndex}, biometric.PADPassed)
	if _, err := s.Next(e); err == nil {
		t.Error("a finger that nothing was given up for counts")
	}
	e.Outcome.GivenUp = []biometric.FingerPosition{biometric.RightIndex, biometric.RightThumb}
	s, err := s.Next(e)
	if err != nil || s.State != Reviewing {
		t.Fatalf("%s, %v", s.State, err)
	}
	for f, want := range map[biometric.FingerPosition]biometric.Reason{biometric.RightIndex: biometric.PoorQuality, biometric.RightThumb: biometric.PoorQuality,
		biometric.RightMiddle: biometric.Captured, biometric.LeftIndex: biometric.Captured, biometric.RightRing: biometric.NotOwed} {
		if got := s.Ledger[f-1].Reason; got != want {
			t.Errorf("%v is %q", f, got)
		}
	}
	s = after(t, s, send(Screen, Recapture))
	if step, _ := s.Current(); !slices.Equal(step.Want, []biometric.FingerPosition{biometric.RightIndex, biometric.LeftIndex}) || s.Ledger[biometric.RightThumb-1].Reason != biometric.NotOwed {
		t.Errorf("captured again are %v", step.Want)
	}
}

func TestStandInsAreThoseThatNothingExcepts(t *testing.T) {
	s := after(t, reached(t, supervised), send(Attendant, Help), except(biometric.RightIndex, biometric.Missing, true))
	step, _ := s.Current()
	if want := []biometric.FingerPosition{biometric.RightMiddle, biometric.RightRing}; step.Want[0] != biometric.RightThumb || !slices.Equal(step.Fallback[biometric.RightThumb], want) {
		t.Errorf("wanted %v, instead of the thumb %v", step.Want, step.Fallback[biometric.RightThumb])
	}
}

func TestAnAttendantVetoesBothWaysAndSaysWhy(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy string
		change func(*Event)
		well   bool
		state  State
	}{
		{"the best so far", supervised, nil, true, Reviewing},
		{"without a reason", supervised, func(e *Event) { e.Reason = "" }, false, ""},
		{"without a name", supervised, func(e *Event) { e.Attendant = "" }, false, ""},
		{"of no step", supervised, func(e *Event) { e.Steps = nil }, false, ""},
		{"of another step", supervised, func(e *Event) { e.Steps = []string{"face"} }, false, ""},
		{"of the screen", supervised, func(e *Event) { e.By = Screen }, false, ""},
		{"where nothing was captured", supervised, func(e *Event) { e.Outcome = nil }, true, Capturing},
		{"at self-service", selfService, nil, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := reached(t, c.policy)
			e := s.by(Attendant, Override)
			step, _ := s.Current()
			e.Steps, e.Outcome = []string{step.ID}, s.outcome(step.Want, biometric.PADPassed)
			e.Outcome.Forced = true
			if c.change != nil {
				c.change(&e)
			}
			n, err := s.Next(e)
			if (err == nil) != c.well || c.well && n.State != c.state {
				t.Fatalf("%s, %v", n.State, err)
			}
			if c.well && (n.Decisions[0].Kind != Override || n.Decisions[0].Reason != "said so" || c.state == Reviewing && !n.Outcomes[0].Forced) {
				t.Errorf("noted is %+v", n.Decisions)
			}
		})
	}
	s := after(t, reached(t, supervised), capture)
	why := s.by(Attendant, Recapture)
	why.Reason = ""
	if _, err := s.Next(why); err == nil {
		t.Error("an attendant rejects a capture without a reason")
	}
	if s = after(t, s, send(Attendant, Recapture)); s.State != Capturing || s.Decisions[0].Reason != "said so" {
		t.Errorf("%s, %+v", s.State, s.Decisions)
	}
	s = after(t, s, capture, send(Screen, Help), send(Attendant, Recapture))
	if s.State != Capturing || len(s.Outcomes) != 0 {
		t.Errorf("%s with %d outcomes", s.State, len(s.Outcomes))
	}
}

func TestAnOverrideOfACaptureNeverCountsForAComparison(t *testing.T) {
	s := after(t, reached(t, selfService), capture, send(Screen, Approved))
	e := s.by(Attendant, Override)
	e.Steps = []string{"fingers"}
	if n, err := s.Next(e); s.State != Verifying || !errors.Is(err, ErrOutOfPlace) {
		t.Errorf("%s to %s, %v", s.State, n.State, err)
	}
}

func TestWhatStayedBelowItsThresholdAtSelfServiceIsCapturedAgainAtTheDesk(t *testing.T) {
	forced := func(s Session) Event {
		e := s.captured()
		e.Outcome.Forced = true
		return e
	}
	desk := planOf(t, supervised, []biometric.Modality{biometric.Finger})
	for name, decided := range map[string]func(Session) Event{"compared": send(Device, Verified), "by eye": send(Attendant, Override)} {
		t.Run(name, func(t *testing.T) {
			kiosk := after(t, reached(t, selfService), forced, send(Screen, Approved), send(Attendant, Moved))
			s, err := Continue(kiosk, Continuation{State: Verifying, Plan: desk, At: noon()})
			if err != nil {
				t.Fatal(err)
			}
			s = after(t, s, decided)
			wants(t, s, biometric.RightIndex, biometric.LeftIndex)
			s = after(t, s, forced, send(Screen, Approved))
			expect(t, s, Sealing, "")
		})
	}
	good := after(t, reached(t, selfService), capture, send(Screen, Approved), send(Attendant, Moved))
	s, err := Continue(good, Continuation{State: Verifying, Plan: desk, At: noon()})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, after(t, s, send(Device, Verified)), Sealing, "")
}
