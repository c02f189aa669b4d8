package stage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/record"
	"loket/kiosk/session"
	"loket/queue/station"
)

// poor is how fingers come that no policy takes.
const poor = "dry"

// fingersOnly starts a session in which fingers alone are owed, with somebody whose next presentations come in these ways.
func fingersOnly(ctx context.Context, t *testing.T, c *stage.Centre, ways ...string) station.IssuedTicket {
	t.Helper()
	issued, err := c.Book(ctx, stage.Booking{Reference: c.NextReference(), Asked: []biometric.Modality{biometric.Finger}})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ways {
		if err := c.Event(ctx, w); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(ctx, t, c, "a kiosk that is free", func(st api.Status) bool { return st.Ready })
	confirmed(ctx, t, c, issued)
	return issued
}

// waits gives the session when it waits for somebody: for the person who looks at it, or for staff.
func waits(ctx context.Context, t *testing.T, c *stage.Centre) session.Session {
	t.Helper()
	var s session.Session
	waitFor(ctx, t, c, "the end of the capture", func(st api.Status) bool {
		if !in(st, session.Reviewing) && !in(st, session.Assistance) {
			return false
		}
		s = *st.Session
		return true
	})
	return s
}

// sendAway ends a session that waits for somebody.
func sendAway(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket) {
	t.Helper()
	say(ctx, t, c.Kiosk, issued, staffSay(session.Cancel))
}

// hinted is what the attempts of a session were told, in their order; "-" for nothing.
func hinted(s session.Session) string {
	var all []string
	for _, a := range s.Attempts {
		hint := string(a.Hint)
		if hint == "" {
			hint = "-"
		}
		all = append(all, hint)
	}
	return strings.Join(all, " ")
}

// captured lists the fingers that a session holds.
func captured(s session.Session) string {
	var all []biometric.FingerPosition
	for _, e := range s.Ledger {
		if e.Reason == biometric.Captured {
			all = append(all, e.Position)
		}
	}
	return fmt.Sprint(all)
}

// rule is what follows where somebody's fingers come in these ways.
type rule struct {
	name    string
	ways    []string
	state   session.State
	hints   string
	held    string
	verdict string
	alarm   bool
}

func (r rule) try(ctx context.Context, t *testing.T, c *stage.Centre) {
	issued := fingersOnly(ctx, t, c, r.ways...)
	s := waits(ctx, t, c)
	if s.State != r.state || r.hints != "" && hinted(s) != r.hints || captured(s) != r.held || s.Verdict != r.verdict || s.Alarm != r.alarm {
		t.Errorf("%s after %q, held %s, verdict %q, alarm %v", s.State, hinted(s), captured(s), s.Verdict, s.Alarm)
	}
	sendAway(ctx, t, c, issued)
}

const bothIndexFingers = "[right-index left-index]"

func TestRulesAtAStationWithAnAttendant(t *testing.T) {
	t.Parallel()
	ctx, c := prepared(t, stage.Options{})
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	for _, r := range []rule{
		{"the same finger once", []string{"same-finger", "good"}, session.Reviewing, "same-finger -", bothIndexFingers, "", false},
		{"from the far side", []string{"upside-down", "good"}, session.Reviewing, "upside-down -", bothIndexFingers, "", false},
		{"one of two", []string{"one-less", "good"}, session.Reviewing, "finger-missing -", bothIndexFingers, "", false},
		{"an alarm", []string{"pad-alarm", "good"}, session.Reviewing, "lift-and-repeat -", bothIndexFingers, "", false},
		{"alarms thrice", []string{"pad-alarm", "pad-alarm", "pad-alarm"}, session.Assistance, "lift-and-repeat lift-and-repeat lift-and-repeat", "[]", "", true},
		{"the same finger thrice", []string{"same-finger", "same-finger", "same-finger"}, session.Assistance, "same-finger same-finger same-finger", "[]", "", false},
	} {
		t.Run(r.name, func(t *testing.T) { r.try(ctx, t, c) })
	}
	t.Run("a finger that is never good", func(t *testing.T) { neverGood(ctx, t, c) })
	t.Run("a finger that is missing", func(t *testing.T) { missing(ctx, t, c) })
	t.Run("vetoes", func(t *testing.T) { vetoes(ctx, t, c) }) // the hand stays still after them
}

// neverGood shows both index fingers three times in vain, and both thumbs well.
func neverGood(ctx context.Context, t *testing.T, c *stage.Centre) {
	issued := fingersOnly(ctx, t, c, poor, poor, poor, "good", "good")
	s := waits(ctx, t, c)
	if s.State != session.Reviewing || len(s.Attempts) != 5 || s.Outcomes[0].Forced {
		t.Errorf("%s after %q, forced %v", s.State, hinted(s), s.Outcomes[0].Forced)
	}
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Approved, By: session.Screen})
	m := completed(ctx, t, c, issued)
	for f, want := range map[biometric.FingerPosition]biometric.Reason{biometric.RightIndex: biometric.PoorQuality, biometric.LeftIndex: biometric.PoorQuality,
		biometric.RightThumb: biometric.Captured, biometric.LeftThumb: biometric.Captured} {
		if m.Ledger[f-1].Reason != want {
			t.Errorf("%v is %q in the record", f, m.Ledger[f-1].Reason)
		}
	}
}

// missing takes an index finger out that is not there; the thumb stands in.
func missing(ctx context.Context, t *testing.T, c *stage.Centre) {
	issued := fingersOnly(ctx, t, c, "by-hand")
	e := staffSay(session.Help)
	say(ctx, t, c.Kiosk, issued, e)
	waits(ctx, t, c)
	e = staffSay(session.Excepted)
	e.Exceptions = []biometric.Exception{{Position: biometric.RightIndex, Reason: biometric.Missing, Permanent: true}}
	say(ctx, t, c.Kiosk, issued, e)
	if err := c.Event(ctx, "by-itself"); err != nil {
		t.Fatal(err)
	}
	waits(ctx, t, c)
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Approved, By: session.Screen})
	m := completed(ctx, t, c, issued)
	if m.Ledger[biometric.RightIndex-1].Reason != biometric.Missing || m.Ledger[biometric.RightThumb-1].Reason != biometric.Captured {
		t.Errorf("the record's ledger says %+v", m.Ledger)
	}
}

// vetoes accepts what is not sufficient, and rejects what is.
func vetoes(ctx context.Context, t *testing.T, c *stage.Centre) {
	staff := signedIn(ctx, t, c)
	issued := fingersOnly(ctx, t, c, "by-hand")
	if err := c.Event(ctx, "present right-index left-index "+poor); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, c, "the second attempt", func(st api.Status) bool { return st.Guidance != nil && st.Guidance.Attempt == 2 })
	accept := session.Event{Kind: session.Override, By: session.Attendant, Steps: []string{"fingers"}, Reason: "worn by work"}
	id := sessionOf(ctx, t, c.Kiosk, issued)
	if _, err := c.Kiosk.Do(ctx, api.Command{Session: id, Event: &accept}); err == nil {
		t.Error("somebody who does not say who they are accepts a capture")
	}
	code, err := staff.Code(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kiosk.Do(ctx, api.Command{Session: id, Event: &accept, Code: code}); err != nil {
		t.Fatal(err)
	}
	if s := waits(ctx, t, c); s.State != session.Reviewing || captured(s) != bothIndexFingers || !s.Outcomes[0].Forced {
		t.Errorf("%s after %q, held %s", s.State, hinted(s), captured(s))
	}
	again := func(reason string) error {
		return order(ctx, t, staff, stage.StationName, map[string]any{"recapture": map[string]string{"session": id, "reason": reason}})
	}
	if err := again(""); err == nil {
		t.Error("a capture is rejected without a reason")
	}
	for _, what := range []string{"lift", "present right-index left-index " + poor} {
		if err := c.Event(ctx, what); err != nil {
			t.Fatal(err)
		}
	}
	if err := again("a bystander's hand"); err != nil {
		t.Fatal(err)
	}
	second := map[string]string{"session": id, "step": "fingers", "reason": "worn, again"}
	waitFor(ctx, t, c, "the second attempt", func(st api.Status) bool { return st.Guidance != nil && st.Guidance.Attempt == 2 })
	if err := order(ctx, t, staff, stage.StationName, map[string]any{"accept": second}); err == nil || !strings.Contains(err.Error(), "one-time code") {
		t.Errorf("whoever does not see the image accepts it from the console: %v", err)
	}
	accept.Reason = second["reason"]
	if code, err = staff.Code(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kiosk.Do(ctx, api.Command{Session: id, Event: &accept, Code: code}); err != nil {
		t.Fatal(err)
	}
	waits(ctx, t, c)
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Approved, By: session.Screen})
	m := completed(ctx, t, c, issued)
	var said []string
	for _, d := range m.Decisions {
		said = append(said, d.Kind+": "+d.Reason)
	}
	if want := []string{"override: worn by work", "recapture: a bystander's hand", "override: worn, again"}; !slices.Equal(said, want) || slices.ContainsFunc(m.Decisions, func(d record.Decision) bool { return !strings.HasPrefix(d.Attendant, "ac_") }) {
		t.Errorf("the record says %q: %+v", said, m.Decisions)
	}
}

func TestAttendantsAtADeskDecideAboutCapturesAtTheConsole(t *testing.T) {
	t.Parallel()
	ctx, c, staff := withDesk(t, stage.Options{})
	issued, err := c.Book(ctx, stage.Booking{Reference: c.NextReference(), Asked: []biometric.Modality{biometric.Finger}})
	if err != nil {
		t.Fatal(err)
	}
	show := func(lines ...string) {
		for _, line := range lines {
			if err := c.DeskEvent(ctx, line); err != nil {
				t.Fatal(err)
			}
		}
	}
	ordered := func(verb string, members map[string]string) {
		if err := order(ctx, t, staff, stage.DeskName, map[string]any{verb: members}); err != nil {
			t.Fatal(err)
		}
	}
	reviewing := func() {
		waitAt(ctx, t, c.Counter, "the end of the capture", func(st api.Status) bool { return in(st, session.Reviewing) })
	}
	show("by-hand")
	ordered("call", map[string]string{"ticket": issued.ID})
	say(ctx, t, c.Counter, issued, session.Event{Kind: session.Arrived, By: session.Screen})
	say(ctx, t, c.Counter, issued, session.Event{Kind: session.Confirmed, By: session.Screen})
	id := sessionOf(ctx, t, c.Counter, issued)
	show("present right-index left-index " + poor)
	waitAt(ctx, t, c.Counter, "the second attempt", func(st api.Status) bool { return st.Guidance != nil && st.Guidance.Attempt == 2 })
	ordered("accept", map[string]string{"session": id, "step": "fingers", "reason": "worn by work"})
	reviewing()
	ordered("recapture", map[string]string{"session": id, "step": "fingers", "reason": "a bystander's hand"})
	show("lift", "present right-index left-index")
	reviewing()
	say(ctx, t, c.Counter, issued, session.Event{Kind: session.Approved, By: session.Screen})
	m := deliveredAtDesk(ctx, t, c, issued)
	if len(m.Decisions) != 2 || m.Decisions[0].Kind != string(session.Override) || m.Decisions[1].Reason != "a bystander's hand" || !strings.HasPrefix(m.Decisions[0].Attendant, "ac_") {
		t.Errorf("the record says %+v", m.Decisions)
	}
	if q := m.Ledger[biometric.RightIndex-1]; q.Reason != biometric.Captured {
		t.Errorf("the ledger says %+v", q)
	}
}

// signedIn gives an attendant at the console.
func signedIn(ctx context.Context, t *testing.T, c *stage.Centre) *stage.Staff {
	t.Helper()
	password, err := c.Account(ctx, "attendant", "attendant")
	if err != nil {
		t.Fatal(err)
	}
	staff, err := c.SignIn(ctx, "attendant", password)
	if err != nil {
		t.Fatal(err)
	}
	return staff
}

// completed waits until the kiosk has sealed and delivered the ticket's record, and opens it.
func completed(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket) record.Manifest {
	t.Helper()
	var id string
	waitFor(ctx, t, c, "the delivery", func(st api.Status) bool {
		if st.Session != nil || st.LastEnd == nil || st.LastEnd.Ticket != issued.ID || st.Outbox.Pending > 0 {
			return false
		}
		id = st.LastEnd.Record
		return id != ""
	})
	r := openRecord(t, c, stage.StationName, id)
	defer r.Wipe()
	return r.Manifest
}

func TestRulesAtSelfService(t *testing.T) {
	t.Parallel()
	ctx, c, staff := withDesk(t, stage.Options{})
	for _, r := range []rule{
		{"the same finger once", []string{"same-finger", "good"}, session.Reviewing, "same-finger -", bothIndexFingers, "", false},
		{"the same finger twice", []string{"same-finger", "same-finger"}, session.Assistance, "same-finger same-finger", "[]", session.VerdictSameFinger, false},
		{"from the far side", []string{"upside-down", "good"}, session.Reviewing, "upside-down -", bothIndexFingers, "", false},
		{"an alarm", []string{"pad-alarm"}, session.Assistance, "call-attendant", "[]", "", true},
	} {
		t.Run(r.name, func(t *testing.T) { r.try(ctx, t, c) })
	}
	t.Run("somebody else at the desk", func(t *testing.T) { somebodyElse(ctx, t, c, staff) })
}

// finishedAtDesk approves what a kiosk captured, moves it to the desk and waits for the record.
func finishedAtDesk(ctx context.Context, t *testing.T, c *stage.Centre, staff *stage.Staff, issued station.IssuedTicket) record.Manifest {
	t.Helper()
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Approved, By: session.Screen})
	move := staffSay(session.Moved)
	move.Target = stage.DeskName
	say(ctx, t, c.Kiosk, issued, move)
	atDesk(ctx, t, c, staff)
	return completedAtDesk(ctx, t, c, issued)
}

// somebodyElse comes to the desk with a session that another person began: the comparison fails, and all is captured again.
func somebodyElse(ctx context.Context, t *testing.T, c *stage.Centre, staff *stage.Staff) {
	issued := fingersOnly(ctx, t, c)
	if s := waits(ctx, t, c); s.State != session.Reviewing {
		t.Fatalf("the kiosk did not capture: %s %q", s.State, hinted(s))
	}
	if err := c.DeskEvent(ctx, "person 2"); err != nil {
		t.Fatal(err)
	}
	m := finishedAtDesk(ctx, t, c, staff, issued)
	if len(m.Comparisons) != 1 || m.Comparisons[0].Same {
		t.Errorf("the comparisons were %+v", m.Comparisons)
	}
	last := m.Attempts[len(m.Attempts)-1]
	if !strings.Contains(last.Device, "DESK") || m.Ledger[biometric.RightIndex-1].Reason != biometric.Captured {
		t.Errorf("the desk did not capture again: last was %s", last.Device)
	}
}

func TestAtTheTimeLimitTheBestIsKeptAndTheDeskCapturesAgain(t *testing.T) {
	t.Parallel()
	ctx, c, staff := withDesk(t, stage.Options{Reaction: time.Second})
	began := time.Now()
	issued := fingersOnly(ctx, t, c, slices.Repeat([]string{poor}, 40)...)
	s := waits(ctx, t, c)
	if s.State != session.Reviewing || captured(s) != bothIndexFingers || len(s.Attempts) < 4 || !s.Outcomes[0].Forced {
		t.Errorf("%s after %q, held %s", s.State, hinted(s), captured(s))
	}
	if took, limit := time.Since(began), s.Plan.Steps[0].Limit(); took < limit {
		t.Errorf("it took %v, the limit is %v", took, limit)
	}
	m := finishedAtDesk(ctx, t, c, staff, issued)
	for _, f := range []biometric.FingerPosition{biometric.RightIndex, biometric.LeftIndex} {
		if q := m.Ledger[f-1].Quality; q == nil || q.Score < s.Plan.Steps[0].Thresholds[f] {
			t.Errorf("%v is held as the kiosk had it: %+v", f, q)
		}
	}
}

func TestRulesOfTenPrints(t *testing.T) {
	t.Parallel()
	const all = "[right-thumb right-index right-middle right-ring right-little left-thumb left-index left-middle left-ring left-little]"
	for policy, steps := range map[string]int{"nl-ten-print": 3, "nl-ten-print-thumbs-apart": 4} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			ctx, c := prepared(t, stage.Options{Policy: policy})
			if err := c.StartAll(ctx); err != nil {
				t.Fatal(err)
			}
			further := strings.Repeat(" -", steps-1)
			for _, r := range []rule{
				{"the other hand", []string{"wrong-hand", "good"}, session.Reviewing, "wrong-hand -" + further, all, "", false},
				{"from the far side", []string{"upside-down", "good"}, session.Reviewing, "upside-down -" + further, all, "", false},
				{"three of four", []string{"three-of-four", "good"}, session.Reviewing, "finger-missing -" + further, all, "", false},
			} {
				t.Run(r.name, func(t *testing.T) { r.try(ctx, t, c) })
			}
			if policy == "nl-ten-print" {
				t.Run("the screen is told which finger is missing", func(t *testing.T) { lacks(ctx, t, c) })
			}
		})
	}
}

// lacks lays three fingers of four on the glass, and then all.
func lacks(ctx context.Context, t *testing.T, c *stage.Centre) {
	issued := fingersOnly(ctx, t, c, "by-hand")
	if err := c.Event(ctx, "present right-index right-middle right-little"); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, c, "the name of the missing finger", func(st api.Status) bool {
		return st.Guidance != nil && slices.Equal(st.Guidance.Which, []biometric.FingerPosition{biometric.RightRing})
	})
	for _, line := range []string{"lift", "by-itself"} {
		if err := c.Event(ctx, line); err != nil {
			t.Fatal(err)
		}
	}
	if s := waits(ctx, t, c); s.State != session.Reviewing {
		t.Errorf("all fingers lie there, and it is %s after %q", s.State, hinted(s))
	}
	sendAway(ctx, t, c, issued)
}
