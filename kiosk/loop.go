package kiosk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"loket/kiosk/acquire"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/failpoint"
	"loket/kiosk/journal"
	"loket/kiosk/record"
	"loket/kiosk/session"
	"loket/queue/station"
)

// running is the session in progress with what the daemon needs around it. The daemon's mutex guards it.
type running struct {
	session  session.Session
	ticket   station.Ticket
	active   time.Time          // when the person was last seen to act
	stop     context.CancelFunc // ends the work of the current entry
	keep     func()             // ends the capture of the current entry and has its best accepted
	timer    *time.Timer        // of the current state's deadline; nil where it has none
	guidance *api.Guidance
	devices  map[string]record.DeviceInfo // that were used, by identity
	pending  *session.Event               // said during a capture, applied when the capture has ended
	moving   string                       // the station that it is being handed over to; nothing else happens meanwhile
	verified *api.Verification            // how far the comparison at this desk is
	brought  []biometric.FingerPosition   // that another station captured
	written  chan acquire.Written         // what the person says of a signature; nil while none is written
}

func (r *running) stopTimer() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

// send applies an event to the session with that id, or to whichever is in progress where id is empty, and enters the state
// that follows. Samples that come with the event are kept if it counts and wiped if not.
func (d *Daemon) send(id string, e session.Event, samples []biometric.Sample) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur == nil || id != "" && d.cur.session.ID != id {
		wipe(samples)
		return noSession()
	}
	if d.cur.moving != "" {
		wipe(samples)
		return beingMoved(d.cur.moving)
	}
	if e.At.IsZero() {
		e.At = d.now()
	}
	next, err := d.cur.session.Next(e)
	if err != nil {
		wipe(samples)
		return outOfPlace(err)
	}
	if e.Outcome != nil {
		d.vault.add(e.Outcome.Step, samples)
	}
	d.step(next)
	return nil
}

func outOfPlace(err error) error {
	if errors.Is(err, session.ErrOutOfPlace) {
		return &api.Error{Code: "out-of-place", Text: err.Error(), Hint: "kioskctl session show tells where the session stands"}
	}
	return err
}

// step makes next the session in progress. Only an entry into a state starts work; an extension just moves the deadline.
func (d *Daemon) step(next session.Session) {
	before := d.cur.session
	if said := d.cur.pending; said != nil { // it may have come when the capture had just ended
		if after, err := next.Next(*said); err == nil {
			next = after
		}
	}
	d.cur.session = next
	d.vault.retain(next.Outcomes)
	if next.Entry != before.Entry {
		d.cur.stop()
		d.cur.guidance, d.cur.pending, d.cur.verified = nil, nil, nil
		d.log.Info("session", "session", next.ID, "state", next.State, "from", before.State, "verdict", next.Verdict)
		d.enter()
	} else {
		d.setTimer()
	}
	d.touch()
}

// enter starts what the current state does.
func (d *Daemon) enter() {
	s := d.cur.session
	failpoint.Hit("session." + string(s.State))
	if !s.Live() {
		d.finish()
		return
	}
	ctx, end := context.WithCancelCause(d.ctx)
	d.cur.stop, d.cur.keep, d.cur.active = func() { end(nil) }, func() { end(acquire.ErrKeep) }, time.Time{}
	d.setTimer()
	switch s.State {
	case session.Capturing:
		if step, ok := s.Current(); ok {
			d.work.Go(func() { d.capture(ctx, s, step) })
		}
	case session.Verifying:
		if d.Desk {
			d.work.Go(func() { d.verify(ctx, s) })
		}
	case session.Sealing:
		ticket, devices := d.cur.ticket, maps.Clone(d.cur.devices)
		d.work.Go(func() { d.seal(s, ticket, devices) })
	}
}

// finish ends the session in progress: its samples are wiped, its end is journalled and told to the queue.
func (d *Daemon) finish() {
	s := d.cur.session
	d.cur.stopTimer()
	d.vault.wipe()
	d.previews.clear()
	now := d.now()
	end := journal.End{Kind: string(s.End), Record: s.Record, FollowUp: s.FollowUp, Final: s.Final}
	if err := d.journal.EndSession(s.ID, end, now); err != nil {
		d.log.Error("writing the journal", "err", err)
		d.reconciled = false // nobody is served before the journal has it, and the queue knows
	}
	failpoint.Hit("session.journalled")
	d.lastEnd = &api.End{Session: s.ID, Ticket: s.Ticket, End: string(s.End), Record: s.Record, At: now}
	d.cur = nil
	d.kickReports()
}

// setTimer waits for the deadline of the current state.
func (d *Daemon) setTimer() {
	d.cur.stopTimer()
	s := d.cur.session
	deadline, limited := s.Deadline(d.cur.active)
	if !limited {
		return
	}
	d.cur.timer = time.AfterFunc(deadline.End.Sub(d.now()), func() { d.timedOut(s.ID, s.Entry) })
}

// timedOut ends a state that nobody acted in, unless the person acted since the timer was set.
func (d *Daemon) timedOut(id string, entry int) {
	d.mu.Lock()
	if d.cur == nil || d.cur.session.ID != id || d.cur.session.Entry != entry {
		d.mu.Unlock()
		return
	}
	if deadline, ok := d.cur.session.Deadline(d.cur.active); ok && d.now().Before(deadline.End) {
		d.setTimer()
		d.mu.Unlock()
		return
	}
	d.mu.Unlock()
	if err := d.send(id, session.Event{Kind: session.TimedOut, By: session.Timer, Entry: entry}, nil); err != nil {
		d.log.Debug("timer", "err", err)
	}
}

// seen notes that the person acts, so that no time limit runs against them.
func (d *Daemon) seen(s session.Session, g api.Guidance) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur == nil || d.cur.session.ID != s.ID || d.cur.session.Entry != s.Entry {
		return
	}
	if g.Fingers > 0 || d.cur.guidance != nil && d.cur.guidance.Hint != g.Hint {
		d.cur.active = d.now()
	}
	if d.cur.guidance == nil || !reflect.DeepEqual(*d.cur.guidance, g) {
		d.cur.guidance = &g
		d.touch()
	}
}

// touch tells those who watch the status that it changed. The mutex is held.
func (d *Daemon) touch() {
	d.sequence++
	close(d.changed)
	d.changed = make(chan struct{})
}

// event checks what a local caller may say, and says it to the session with that id, or to whichever is in progress where id is
// empty. The screen speaks for the applicant, technicians as attendants.
func (d *Daemon) event(as api.Caller, id string, e session.Event) error {
	if e.Outcome != nil || e.Entry != 0 || !e.At.IsZero() || e.Record != "" || e.Verdict != "" || len(e.Comparisons) > 0 {
		return &api.Error{Code: "forbidden", Text: "outcomes, entries, times, records, comparisons and verdicts are the daemon's own to say"}
	}
	needed := map[session.Actor]api.Role{session.Screen: api.RoleScreen, session.Attendant: api.RoleTechnician}[e.By]
	if !as.Is(needed) {
		return &api.Error{Code: "forbidden", Text: fmt.Sprintf("this user can't speak as %q", e.By),
			Hint: "the screen speaks for the applicant, technicians as attendants"}
	}
	if e.By == session.Screen && id == "" {
		return &api.Error{Code: "bad-command", Text: "what an applicant says names their session", Hint: "set the command's session to the one in the status"}
	}
	if e.Kind == session.Moved {
		return d.move(id, e)
	}
	if (e.Kind == session.Help || e.Kind == session.Override) && d.interrupt(id, e) {
		return nil
	}
	return d.send(id, e, nil)
}

// interrupt ends the capture in progress so that what it has done so far comes with the event. False where there is none, or
// where the event would not count.
func (d *Daemon) interrupt(id string, e session.Event) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur == nil || id != "" && d.cur.session.ID != id || d.cur.session.State != session.Capturing {
		return false
	}
	e.At = d.now()
	if _, err := d.cur.session.Next(e); err != nil {
		return false
	}
	if d.cur.pending == nil {
		d.cur.pending = &e
		if e.Kind == session.Override {
			d.cur.keep()
		} else {
			d.cur.stop()
		}
	}
	return true
}

// interrupted gives the event that ended a capture; nil where it was something else.
func (d *Daemon) interrupted(s session.Session) *session.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur == nil || d.cur.session.ID != s.ID || d.cur.session.Entry != s.Entry {
		return nil
	}
	return d.cur.pending
}
