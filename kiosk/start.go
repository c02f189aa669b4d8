package kiosk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/failpoint"
	"loket/kiosk/journal"
	"loket/kiosk/plan"
	"loket/kiosk/record"
	"loket/kiosk/session"
	"loket/queue"
	"loket/queue/station"
)

// start asks the queue for a ticket and begins a session with it.
func (d *Daemon) start(ctx context.Context, s api.Start) error {
	if err := d.reserve(); err != nil {
		return err
	}
	defer d.unreserve()
	ticket, state, err := d.ticket(ctx, s)
	if err != nil {
		return refused(err)
	}
	return d.begin(ctx, ticket, state)
}

// reserve makes sure that a session can start now, and that no other does.
func (d *Daemon) reserve() error {
	if problems := d.problems(); len(problems) > 0 {
		return &api.Error{Code: problems[0].Code, Text: "the station is not ready: " + problems[0].Text, Hint: problems[0].Hint}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur != nil || d.starting || !d.reconciled {
		return &api.Error{Code: "busy", Text: "a session is in progress here", Hint: "kioskctl session show tells where it stands"}
	}
	if d.testing > 0 {
		return &api.Error{Code: "busy", Text: "a device is testing itself", Hint: "that takes some seconds"}
	}
	d.starting = true
	d.touch()
	return nil
}

func (d *Daemon) unreserve() {
	d.mu.Lock()
	d.starting = false
	d.touch()
	d.mu.Unlock()
	d.kickReports()
}

// ticket asks for whoever is next, for a certain ticket, or for the ticket of a code. An answer that was lost on the way is
// asked for again under the same request id; if it stays lost, the ticket is given back before the next session starts.
func (d *Daemon) ticket(ctx context.Context, s api.Start) (station.Ticket, session.State, error) {
	if s.Code != "" {
		t, err := d.queue.CheckIn(ctx, s.Code)
		d.distrust(err)
		return t, session.Confirming, err
	}
	call := station.Call{RequestID: s.RequestID, Ticket: s.Ticket}
	if call.RequestID == "" {
		call.RequestID = queue.NewID("rq")
	}
	for try := 1; ; try++ {
		t, err := d.queue.Call(ctx, call)
		if err == nil || errors.Is(err, station.ErrNobody) || station.Refused(err) || ctx.Err() != nil || try == 3 {
			d.distrust(err)
			return t, session.Called, err
		}
		sleep(ctx, time.Duration(try)*100*time.Millisecond)
	}
}

// distrust asks for a reconciliation where an answer of the queue may have been lost.
func (d *Daemon) distrust(err error) {
	if err == nil || errors.Is(err, station.ErrNobody) || station.Refused(err) || station.RefusedAs(err, station.ProblemEntryPaused) {
		return
	}
	d.mu.Lock()
	d.reconciled = false
	d.mu.Unlock()
	d.kickReports()
}

// refused turns the queue's words into the station's.
func refused(err error) error {
	switch {
	case errors.Is(err, station.ErrNobody):
		return &api.Error{Code: "queue-empty", Text: "nobody waits in the queue", Hint: "check somebody in, or look at the console"}
	case station.RefusedAs(err, station.ProblemEntryPaused):
		return &api.Error{Code: "entry-paused", Text: err.Error()}
	case station.Refused(err):
		return &api.Error{Code: "queue-refused", Text: err.Error()}
	}
	return &api.Error{Code: "queue-unreachable", Text: err.Error(), Hint: "check the network and whether queued runs; a desk can go on by hand meanwhile"}
}

// begin makes a plan for the ticket's person and starts the session. The journal knows of it before the queue does.
func (d *Daemon) begin(ctx context.Context, t station.Ticket, state session.State) error {
	failpoint.Hit("start.answered")
	now := d.now()
	id := queue.NewID("se")
	if err := d.journal.BeginSession(id, t.ID, t.Attempt, now); err != nil {
		d.distrust(err)
		return fmt.Errorf("starting the session: %w", err)
	}
	failpoint.Hit("start.journalled")
	s, err := d.planned(t, state, id, now)
	if err != nil {
		d.giveUp(id, string(session.Cancelled))
		return &api.Error{Code: "no-plan", Text: err.Error(), Hint: "staff correct the ticket's data at the console"}
	}
	started := station.Event{Event: queue.EventStarted, Session: id, Attempt: t.Attempt, At: now}
	if _, err := d.queue.Report(ctx, t.ID, started); err != nil {
		d.giveUp(id, endLost)
		return refused(err)
	}
	failpoint.Hit("start.reported")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cur = &running{session: s, ticket: t, stop: func() {}, devices: map[string]record.DeviceInfo{}}
	d.log.Info("session", "session", s.ID, "ticket", t.ID, "attempt", t.Attempt, "state", s.State)
	d.enter()
	d.touch()
	return nil
}

// planned makes a session with what the person owes.
func (d *Daemon) planned(t station.Ticket, state session.State, id string, now time.Time) (session.Session, error) {
	p, err := d.plan(t, now)
	if err != nil {
		return session.Session{}, err
	}
	return session.New(session.Start{ID: id, Ticket: t.ID, Attempt: t.Attempt, Plan: p, State: state, At: now})
}

// plan computes what the person owes under this station's policy.
func (d *Daemon) plan(t station.Ticket, now time.Time) (plan.Plan, error) {
	birth, err := t.Subject.BirthDate.Time(now.Location())
	if err != nil {
		return plan.Plan{}, err
	}
	subject := plan.Subject{BirthDate: birth, Asked: t.Asked}
	if t.OnFile != nil {
		subject.OnFile = []plan.OnFile{}
	}
	for _, f := range t.OnFile {
		on := plan.OnFile{Modality: f.Modality, Position: f.Position, Source: f.Source}
		if f.Date != "" {
			if on.Date, err = f.Date.Time(now.Location()); err != nil {
				return plan.Plan{}, err
			}
		}
		subject.OnFile = append(subject.OnFile, on)
	}
	return plan.Make(d.policy, subject, now)
}

// giveUp ends a session that never came to its person.
func (d *Daemon) giveUp(id, end string) {
	if err := d.journal.EndSession(id, journal.End{Kind: end}, d.now()); err != nil {
		d.log.Error("writing the journal", "err", err)
	}
	d.kickReports()
}

// confirm is what an applicant is shown to say who they are.
func confirm(s station.Subject) *api.Confirm {
	c := &api.Confirm{Initials: s.Initials}
	if birth, err := s.BirthDate.Time(time.UTC); err == nil {
		c.Birthday = birth.Format("02-01")
	}
	return c
}

// sleep waits, or returns early when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
