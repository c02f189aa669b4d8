package stage_test

import (
	"context"
	"testing"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/session"
	"loket/queue/station"
)

const selfService = "nl-residence-permit-self-service"

// withDesk gives a running centre with a self-service kiosk and a desk, and an attendant at the desk.
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
	ctx, stop := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = (&stage.Attendant{Kiosk: c.Counter, Pseudonym: "attendant-2", Code: staff.Code}).Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-gone
	})
	return ctx, c, staff
}

func TestASelfServiceSessionEndsAtADesk(t *testing.T) {
	ctx, c, staff := withDesk(t, stage.Options{})
	_ = staff
	issued := ticket(ctx, t, c)
	if _, err := c.Kiosk.Do(ctx, api.Command{Start: &api.Start{Code: string(issued.Code)}}); err != nil {
		t.Fatal(err)
	}
	say(ctx, t, c, issued, session.Event{Kind: session.Confirmed, By: session.Screen})
	waitFor(ctx, t, c, "the review", func(st api.Status) bool { return st.Session != nil && st.Session.State == session.Reviewing })
	say(ctx, t, c, issued, session.Event{Kind: session.Help, By: session.Screen})
	say(ctx, t, c, issued, session.Event{Kind: session.Resumed, By: session.Attendant, Attendant: "attendant-1"})
	say(ctx, t, c, issued, session.Event{Kind: session.Approved, By: session.Screen})
	say(ctx, t, c, issued, session.Event{Kind: session.Moved, By: session.Attendant, Attendant: "attendant-1", Target: stage.DeskName})
	waitFor(ctx, t, c, "the end at the kiosk", func(st api.Status) bool { return st.LastEnd != nil && st.LastEnd.End == string(session.HandedOver) })
	settled(ctx, t, c, issued)
	delivered(ctx, t, c)
	sound(ctx, t, c, issued)
}

// delivered waits until the desk has delivered its record.
func delivered(ctx context.Context, t *testing.T, c *stage.Centre) {
	t.Helper()
	for ctx.Err() == nil {
		st, err := c.Counter.Status(ctx)
		if err == nil && st.LastEnd != nil && st.LastEnd.Record != "" && st.Outbox.Pending == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("the desk never delivered: %v", ctx.Err())
}

// say says something about the session of a ticket at the kiosk.
func say(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket, e session.Event) {
	t.Helper()
	if _, err := c.Kiosk.Do(ctx, api.Command{Event: &e, Session: sessionOf(ctx, t, c.Kiosk, issued)}); err != nil {
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

var _ = biometric.Finger
