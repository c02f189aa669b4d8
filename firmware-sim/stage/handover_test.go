package stage_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/record"
	"loket/kiosk/session"
	"loket/queue/station"
)

const selfService = "nl-residence-permit-self-service"

// withDesk gives a running centre with a self-service kiosk and a desk, and somebody who is signed in at the console.
func withDesk(t *testing.T, o stage.Options) (context.Context, *stage.Centre, *stage.Staff) {
	t.Helper()
	o.Policy, o.Desk = selfService, true
	ctx, c := prepared(t, o)
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	password, err := c.Account(ctx, "attendant", "attendant")
	if err != nil {
		t.Fatal(err)
	}
	staff, err := c.SignIn(ctx, "attendant", password)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, c, staff
}

// atDesk puts an attendant beside the desk until the test ends. staff may be nil.
func atDesk(ctx context.Context, t *testing.T, c *stage.Centre, staff *stage.Staff) {
	t.Helper()
	a := &stage.Attendant{Kiosk: c.Counter}
	if staff != nil {
		a.Code = staff.Code
	}
	ctx, stop := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = a.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-gone
	})
}

// confirmed starts a ticket's session at the kiosk with its code, and confirms who it is.
func confirmed(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket) {
	t.Helper()
	if _, err := c.Kiosk.Do(ctx, api.Command{Start: &api.Start{Code: string(issued.Code)}}); err != nil {
		t.Fatal(err)
	}
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Confirmed, By: session.Screen})
}

// begun has the session of a new ticket begun and confirmed at the kiosk.
func begun(ctx context.Context, t *testing.T, c *stage.Centre) station.IssuedTicket {
	t.Helper()
	issued := ticket(ctx, t, c)
	confirmed(ctx, t, c, issued)
	return issued
}

// reviewed has a session at the kiosk with everything captured.
func reviewed(ctx context.Context, t *testing.T, c *stage.Centre) station.IssuedTicket {
	t.Helper()
	issued := begun(ctx, t, c)
	waitAt(ctx, t, c.Kiosk, "the review", func(st api.Status) bool { return in(st, session.Reviewing) })
	return issued
}

func in(st api.Status, state session.State) bool {
	return st.Session != nil && st.Session.State == state
}

// staffSay is what the attendant at a kiosk says.
func staffSay(kind session.Kind) session.Event {
	return session.Event{Kind: kind, By: session.Attendant}
}

// order orders something at the console.
func order(ctx context.Context, t *testing.T, staff *stage.Staff, at string, members map[string]any) error {
	t.Helper()
	members["id"] = strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()[:8])) + time.Now().Format("150405.000000")[7:]
	return staff.Order(ctx, at, members)
}

func TestASelfServiceSessionIsVerifiedAndSealedAtADesk(t *testing.T) {
	ctx, c, staff := withDesk(t, stage.Options{})
	issued := reviewed(ctx, t, c)
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Approved, By: session.Screen})
	id := sessionOf(ctx, t, c.Kiosk, issued)
	if err := order(ctx, t, staff, stage.StationName, map[string]any{"move": map[string]string{"session": id, "target": stage.DeskName}}); err != nil {
		t.Fatal(err)
	}
	waitAt(ctx, t, c.Kiosk, "the end at the kiosk", func(st api.Status) bool {
		return st.Session == nil && st.LastEnd != nil && st.LastEnd.End == string(session.HandedOver)
	})
	atDesk(ctx, t, c, staff)
	m := completedAtDesk(ctx, t, c, issued)
	if m.Session != id || m.Station != stage.DeskName || len(m.Comparisons) != 2 || !m.Comparisons[0].Same || !m.Comparisons[1].Same {
		t.Errorf("the record is of %s at %s with %+v", m.Session, m.Station, m.Comparisons)
	}
	if slices.ContainsFunc(m.Decisions, func(d record.Decision) bool { return d.Kind == string(session.Override) }) {
		t.Error("somebody had to override")
	}
	serials := map[bool]bool{}
	for _, d := range m.Devices {
		serials[strings.Contains(d.Serial, "DESK")] = true
	}
	if len(serials) != 2 {
		t.Errorf("the record names the devices of one station alone: %+v", m.Devices)
	}
}

func TestAFingerIsExceptedAtAKioskAndAnotherCapturedAtADesk(t *testing.T) {
	ctx, c, staff := withDesk(t, stage.Options{Reaction: time.Second}) // there is time to ask for help before the fingers are there
	issued := begun(ctx, t, c)
	waitAt(ctx, t, c.Kiosk, "the fingers", func(st api.Status) bool {
		if !in(st, session.Capturing) {
			return false
		}
		step, _ := st.Session.Current()
		return step.Modality == biometric.Finger
	})
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Help, By: session.Screen})
	waitAt(ctx, t, c.Kiosk, "assistance", func(st api.Status) bool { return in(st, session.Assistance) })
	atDesk(ctx, t, c, staff)
	id := sessionOf(ctx, t, c.Kiosk, issued)
	except := map[string]any{"session": id, "exceptions": []biometric.Exception{{Position: biometric.RightIndex, Reason: biometric.Missing, Permanent: true}}}
	if err := order(ctx, t, staff, stage.StationName, map[string]any{"except": except}); err != nil {
		t.Fatal(err)
	}
	if err := order(ctx, t, staff, stage.StationName, map[string]any{"move": map[string]string{"session": id, "target": stage.DeskName}}); err != nil {
		t.Fatal(err)
	}
	m := completedAtDesk(ctx, t, c, issued)
	if line := m.Ledger[biometric.RightIndex-1]; line.Reason != biometric.Missing || !line.Permanent {
		t.Errorf("the ledger says %+v", line)
	}
	if m.Ledger[biometric.RightThumb-1].Reason != biometric.Captured || m.Ledger[biometric.LeftIndex-1].Reason != biometric.Captured {
		t.Errorf("captured was %+v", m.Ledger)
	}
}

func TestAnOverrideNeedsAReasonAndSomebodyWhoSaysWhoTheyAre(t *testing.T) {
	ctx, c, staff := withDesk(t, stage.Options{})
	issued, err := c.Book(ctx, stage.Booking{Reference: "face-only", Asked: []biometric.Modality{biometric.Face}}) // no print to compare
	if err != nil {
		t.Fatal(err)
	}
	confirmed(ctx, t, c, issued)
	waitAt(ctx, t, c.Kiosk, "the review", func(st api.Status) bool { return in(st, session.Reviewing) })
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Approved, By: session.Screen})
	e := staffSay(session.Moved)
	e.Target = stage.DeskName
	say(ctx, t, c.Kiosk, issued, e)
	waitAt(ctx, t, c.Counter, "a comparison by eye", func(st api.Status) bool {
		return st.Verification != nil && st.Verification.State == api.VerifyByEye
	})
	code, err := staff.Code(ctx)
	if err != nil {
		t.Fatal(err)
	}
	id := sessionOf(ctx, t, c.Counter, issued)
	override := func(code, reason string) error {
		_, err := c.Counter.Do(ctx, api.Command{Session: id, Code: code, Event: &session.Event{Kind: session.Override, By: session.Attendant,
			Reason: reason}})
		return err
	}
	for name, try := range map[string][2]string{"without a code": {"", "the same face"}, "with another code": {"0123456789", "the same face"}} {
		if err := override(try[0], try[1]); err == nil {
			t.Errorf("an override %s counts", name)
		}
	}
	if err := override(code, ""); err == nil {
		t.Error("an override without a reason counts")
	}
	if err := override(code, "the same face"); err == nil {
		t.Error("a code counts twice")
	}
	if code, err = staff.Code(ctx); err != nil {
		t.Fatal(err)
	}
	if err := override(code, "the same face"); err != nil {
		t.Fatal(err)
	}
	m := completedAtDesk(ctx, t, c, issued)
	last := m.Decisions[len(m.Decisions)-1]
	if last.Kind != string(session.Override) || last.Reason != "the same face" || !strings.HasPrefix(last.Attendant, "ac_") {
		t.Errorf("the record says %+v", last)
	}
}

func TestScriptsDoWhatAnAttendantDoes(t *testing.T) {
	ctx, c, staff := withDesk(t, stage.Options{})
	issued, err := c.Book(ctx, stage.Booking{Reference: "face-only", Asked: []biometric.Modality{biometric.Face}}) // no print to compare
	if err != nil {
		t.Fatal(err)
	}
	confirmed(ctx, t, c, issued)
	waitAt(ctx, t, c.Kiosk, "the review", func(st api.Status) bool { return in(st, session.Reviewing) })
	code := func() string {
		code, err := staff.Code(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/desk",
		Setup: func(e *testscript.Env) error {
			for k, v := range map[string]string{"KIOSK": c.Socket(), "DESK": c.DeskSocket(), "TICKET": issued.ID, "CODE1": code(), "PATH": bin + ":" + os.Getenv("PATH")} {
				e.Setenv(k, v)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Setenv("CODE", code()) },
			"approved": func(*testscript.TestScript, bool, []string) {
				say(ctx, t, c.Counter, issued, session.Event{Kind: session.Approved, By: session.Screen})
			},
			"completed": func(*testscript.TestScript, bool, []string) { completedAtDesk(ctx, t, c, issued) },
			"byeye": func(*testscript.TestScript, bool, []string) {
				waitAt(ctx, t, c.Counter, "a comparison by eye", func(st api.Status) bool { return st.Verification != nil })
			},
		},
	})
}

func TestADeskThatIsNotReadyIsSentNothing(t *testing.T) {
	ctx, c, staff := withDesk(t, stage.Options{})
	issued := reviewed(ctx, t, c)
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Help, By: session.Screen})
	c.Procs[stage.DeskSim].Kill()
	waitAt(ctx, t, c.Counter, "the desk to miss its devices", func(st api.Status) bool { return !st.Ready })
	e := staffSay(session.Moved)
	for _, e.Target = range []string{stage.DeskName, stage.StationName, "desk-99"} {
		_, err := c.Kiosk.Do(ctx, api.Command{Event: &e})
		var refused *api.Error
		if !errors.As(err, &refused) {
			t.Errorf("moving to %s gives %v", e.Target, err)
		}
		err = order(ctx, t, staff, stage.StationName, map[string]any{"move": map[string]string{"session": sessionOf(ctx, t, c.Kiosk, issued), "target": e.Target}})
		if err == nil {
			t.Errorf("the console moved a session to %s", e.Target)
		}
	}
	// Nothing was lost by trying: it goes on where it was.
	say(ctx, t, c.Kiosk, issued, staffSay(session.Resumed))
	waitAt(ctx, t, c.Kiosk, "the review", func(st api.Status) bool { return in(st, session.Reviewing) })
}

// completedAtDesk waits until the desk has sealed and delivered the ticket's record, audits the centre and opens the record.
func completedAtDesk(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket) record.Manifest {
	t.Helper()
	m := deliveredAtDesk(ctx, t, c, issued)
	settled(ctx, t, c, issued)
	sound(ctx, t, c, issued)
	return m
}

// deliveredAtDesk does so for a ticket that the kiosk, which is asked whether the queue knows, may never have held.
func deliveredAtDesk(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket) record.Manifest {
	t.Helper()
	waitAt(ctx, t, c.Counter, "the delivery at the desk", func(st api.Status) bool {
		return st.Session == nil && st.LastEnd != nil && st.LastEnd.Ticket == issued.ID && st.LastEnd.Record != "" && st.Outbox.Pending == 0
	})
	st, err := c.Counter.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := openRecord(t, c, stage.DeskName, st.LastEnd.Record)
	defer r.Wipe()
	return r.Manifest
}

// say says something about the session of a ticket at a station.
func say(ctx context.Context, t *testing.T, at *api.Client, issued station.IssuedTicket, e session.Event) {
	t.Helper()
	if _, err := at.Do(ctx, api.Command{Event: &e, Session: sessionOf(ctx, t, at, issued)}); err != nil {
		t.Fatalf("%s: %v", e.Kind, err)
	}
}

func sessionOf(ctx context.Context, t *testing.T, at *api.Client, issued station.IssuedTicket) string {
	t.Helper()
	st, err := at.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if st.Session == nil || st.Session.Ticket != issued.ID {
		t.Fatalf("the ticket's session is not there: %+v", st.Session)
	}
	return st.Session.ID
}
