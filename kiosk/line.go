package kiosk

import (
	"context"
	"fmt"
	"time"

	"loket/drivers"
	"loket/kiosk/api"
	"loket/kiosk/outbox"
	"loket/kiosk/record"
	"loket/kiosk/session"
	"loket/queue/station"
)

// show keeps the centre's picture of the station up to date until ctx ends.
func (d *Daemon) show(ctx context.Context) error {
	for {
		st, changed := d.Status()
		d.link.SetStatus(d.lineStatus(st))
		d.link.SetVerdicts(verdicts(d.judged()))
		if s := st.Session; s != nil {
			if err := d.link.SetLedger(s.ID, s.Ticket, s.Attempt, s.Ledger); err != nil {
				d.log.Error("showing the ledger", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (d *Daemon) lineStatus(st api.Status) station.Status {
	line := station.Status{Ready: st.Ready, Pending: st.Outbox.Pending, Refused: st.Outbox.Refused, Locked: st.Locked, At: d.now()}
	for _, p := range st.Problems {
		line.Problems = append(line.Problems, station.Trouble(p))
	}
	for _, w := range st.Warnings {
		line.Warnings = append(line.Warnings, station.Trouble{Code: w.Code, Text: w.Text, Hint: w.StaffHint})
	}
	if s := st.Session; s != nil {
		line.Session = &station.SessionStatus{ID: s.ID, Ticket: s.Ticket, Attempt: s.Attempt, State: string(s.State), Verdict: s.Verdict,
			Help: d.helpWanted(st), Since: s.Since, Deadline: st.Deadline, Target: st.Moving, Verification: verification(st.Verification)}
		if step, ok := s.Current(); ok {
			line.Session.Step = step.ID
		}
		for _, o := range s.Outcomes {
			line.Session.Held = append(line.Session.Held, o.Step)
		}
	}
	return line
}

// helpWanted: nobody goes on by themselves from verifying at a kiosk, nor at a desk where nothing can be compared.
func (d *Daemon) helpWanted(st api.Status) bool {
	switch st.Session.State {
	case session.Assistance:
		return true
	case session.Verifying:
		return !d.Desk || st.Verification != nil && st.Verification.State == api.VerifyByEye
	}
	return false
}

func verification(v *api.Verification) *station.Verification {
	if v == nil {
		return nil
	}
	return &station.Verification{State: v.State, Matched: v.Matched, Of: v.Of}
}

func verdicts(list []drivers.Status) []station.DeviceVerdict {
	var out []station.DeviceVerdict
	for _, s := range list {
		v := deviceStatus(s)
		out = append(out, station.DeviceVerdict{Identity: v.Identity, Kind: v.Kind, Model: v.Model, State: v.State, Verdict: v.Verdict,
			Detail: v.Detail, Hint: v.Hint, Simulated: v.Simulated, Since: v.Since})
	}
	return out
}

// obey carries out what the centre orders, one command after the other, until ctx ends.
func (d *Daemon) obey(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-d.link.Commands():
			if c.Move != nil { // it waits for another station, which may wait for this one
				d.work.Go(func() { d.carryOut(ctx, c) })
				continue
			}
			d.carryOut(ctx, c)
		}
	}
}

// carryOut obeys one order and answers it.
func (d *Daemon) carryOut(ctx context.Context, c station.Command) {
	answer := station.Answer{Command: c.ID, Done: true}
	if err := d.command(ctx, c); err != nil {
		answer.Done, answer.Reason = false, err.Error()
	}
	if err := d.link.Answer(answer); err != nil {
		d.log.Warn("answering a command", "err", err)
	}
}

// command carries out one order. An order for a session that is not here any more is refused.
func (d *Daemon) command(ctx context.Context, c station.Command) error {
	e := session.Event{By: session.Attendant, Attendant: c.Author}
	switch {
	case c.Call != nil:
		return d.start(ctx, api.Start{Ticket: c.Call.Ticket, RequestID: c.ID})
	case c.Recall != nil:
		e.Kind = session.Recalled
	case c.Cancel != nil:
		e.Kind, e.Reason, e.Final = session.Cancel, c.Cancel.Reason, c.Cancel.Final
		return d.send(c.Cancel.Session, e, nil)
	case c.Except != nil:
		e.Kind, e.Exceptions = session.Excepted, c.Except.Exceptions
	case c.Resume != nil:
		e.Kind = session.Resumed
	case c.Override != nil:
		e.Kind, e.Reason = session.Override, c.Override.Reason
	case c.Accept != nil:
		e.Kind, e.Steps, e.Reason = session.Override, []string{c.Accept.Step}, c.Accept.Reason
		if d.interrupt(c.Accept.Session, e) {
			return nil
		}
	case c.Recapture != nil:
		e.Kind, e.Reason = session.Recapture, c.Recapture.Reason
		if c.Recapture.Step != "" {
			e.Steps = []string{c.Recapture.Step}
		}
	case c.Move != nil:
		e.Kind, e.Target = session.Moved, c.Move.Target
		return d.move(c.Move.Session, e)
	case c.Take != nil:
		return d.take(ctx, *c.Take)
	case c.Lock != nil:
		d.setLocked(c.Lock.Locked)
		return nil
	default:
		return fmt.Errorf("carrying out %q: this station can't", c.Verb())
	}
	return d.send(c.Session(), e, nil)
}

func (d *Daemon) setLocked(locked bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.locked = locked
	d.touch()
}

// receipted is the outbox's word that a record arrived: it is journalled before the sealed file is deleted.
func (d *Daemon) receipted(docket record.SignedDocket, receipt record.SignedReceipt) error {
	if err := d.journal.AddReceipt(docket, receipt); err != nil {
		return err
	}
	k, err := docket.Docket()
	if err != nil {
		return err
	}
	r, err := receipt.Receipt()
	if err != nil {
		return err
	}
	d.tellFact(station.FactReceipted, k, "", r.Custody)
	return nil
}

// tellFact adds a link of the chain to what the centre sees.
func (d *Daemon) tellFact(kind string, k record.Docket, detail string, at time.Time) {
	err := d.link.Tell(station.Fact{Kind: kind, Ticket: k.Ticket, Session: k.Session, Attempt: k.Attempt, Record: string(k.Record), Detail: detail, At: at})
	if err != nil {
		d.log.Error("telling the queue", "err", err)
	}
}

// refusals tells the centre once of each record that the central service refused.
func (d *Daemon) refusals(told map[record.ID]bool) {
	for _, e := range d.outbox.List() {
		if e.State == outbox.Refused && !told[e.Docket.Record] {
			told[e.Docket.Record] = true
			d.tellFact(station.FactRefused, e.Docket, e.Code+": "+e.Reason, e.Since)
		}
	}
}
