package kiosk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"loket/kiosk/failpoint"
	"loket/kiosk/journal"
	"loket/kiosk/record"
	"loket/kiosk/session"
	"loket/queue"
	"loket/queue/station"
)

// endLost is the end of a session whose daemon died, or that the queue did not learn of. Its captures are gone.
const endLost = "lost"

// recover reads what an earlier run of the daemon left, and tells the centre again what it may have missed.
func (d *Daemon) recover() error {
	dockets, err := d.catchUp()
	if err != nil {
		return err
	}
	for _, docket := range dockets {
		if err := d.retell(docket); err != nil {
			return err
		}
	}
	return nil
}

// catchUp brings the journal up to what happened, while no session is in progress, and gives the dockets of committed records.
// A session with a committed record is completed, whatever else was written; every other one that is open in the journal is
// lost.
func (d *Daemon) catchUp() ([]record.Docket, error) {
	committed, err := d.outbox.Committed()
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	var dockets []record.Docket
	for _, signed := range committed {
		docket, err := signed.Docket()
		if err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		// A journal that was lost learns of the session again.
		if err := d.journal.BeginSession(docket.Session, docket.Ticket, docket.Attempt, docket.Time); err != nil {
			return nil, err
		}
		if err := d.journal.AddDocket(signed); err != nil {
			return nil, err
		}
		dockets = append(dockets, docket)
	}
	return dockets, d.endUnfinished()
}

// endUnfinished ends the sessions that began and have no end in the journal.
func (d *Daemon) endUnfinished() error {
	unfinished, err := d.journal.Unfinished()
	if err != nil {
		return err
	}
	for _, u := range unfinished {
		if u.Target != "" && u.Record == "" {
			continue // the queue says where it is
		}
		end := journal.End{Kind: string(session.Completed), Record: string(u.Record)}
		if u.Record == "" {
			end.Kind = endLost
			d.log.Warn("a session was lost with its captures", "session", u.Session, "ticket", u.Ticket, "attempt", u.Attempt)
		}
		if err := d.journal.EndSession(u.Session, end, d.now()); err != nil {
			return err
		}
	}
	return nil
}

// retell tells the centre again what it may have missed of a record. It keeps each fact once.
func (d *Daemon) retell(docket record.Docket) error {
	d.tellFact(station.FactSealed, docket, "", docket.Time)
	chain, err := d.journal.Trace(docket.Session)
	if err != nil {
		return err
	}
	for _, link := range chain.Sessions {
		if link.Session == docket.Session && link.Receipt != nil {
			d.tellFact(station.FactReceipted, docket, "", link.Receipt.Custody)
		}
	}
	return nil
}

// kickReports makes the reporter look now.
func (d *Daemon) kickReports() {
	select {
	case d.reports <- struct{}{}:
	default:
	}
}

// report tells the queue how sessions ended, in their order, until ctx ends. It asks again until the queue has answered.
func (d *Daemon) report(ctx context.Context) error {
	wait := firstReportWait
	for {
		err := d.reconcile(ctx)
		if err == nil {
			wait = firstReportWait
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-d.reports:
			}
			continue
		}
		d.log.Warn("telling the queue", "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.reports:
		case <-time.After(wait):
		}
		wait = min(2*wait, lastReportWait)
	}
}

const (
	firstReportWait = 100 * time.Millisecond
	lastReportWait  = 10 * time.Second
)

// reconcile sends what the queue does not know yet, and gives back tickets that it believes to be here and that are not.
func (d *Daemon) reconcile(ctx context.Context) error {
	d.mu.Lock()
	done, busy := d.reconciled, d.starting || d.cur != nil
	d.mu.Unlock()
	if !done && !busy {
		if _, err := d.catchUp(); err != nil { // with an end that the journal did not take when it came
			return err
		}
		if err := d.settleMoves(ctx); err != nil {
			return err
		}
	}
	if err := d.tellAll(ctx); err != nil || done || busy {
		return err
	}
	return d.giveBack(ctx)
}

// tellAll reports what the queue does not know yet. One report that it will not hear does not hold up the others.
func (d *Daemon) tellAll(ctx context.Context) error {
	reports, err := d.journal.Unreported()
	if err != nil {
		return err
	}
	var untold []error
	for _, r := range reports {
		err := d.tell(ctx, r)
		if err != nil && !station.Refused(err) {
			return err
		}
		untold = append(untold, err)
	}
	return errors.Join(untold...)
}

// settled reports whether an answer of the queue is about the ticket itself and will be the same tomorrow. A refusal of the
// caller or of the message is neither: it passes when the certificate or the version is mended.
func settled(err error) bool {
	return station.RefusedAs(err, station.ProblemUnknown) || station.RefusedAs(err, station.ProblemElsewhere) ||
		station.RefusedAs(err, station.ProblemStale) || station.RefusedAs(err, station.ProblemOutOfPlace)
}

// tell reports one end. What the queue has settled is noted and not repeated.
func (d *Daemon) tell(ctx context.Context, r journal.Report) error {
	e := station.Event{Event: queue.Kind(r.Kind), Session: r.Session, Attempt: r.Attempt, Record: r.Record, FollowUp: r.FollowUp, Target: r.Target, Final: r.Final, At: r.At}
	effect, err := d.queue.Report(ctx, r.Ticket, e)
	switch {
	case settled(err):
		d.log.Error("the queue refused a report", "session", r.Session, "ticket", r.Ticket, "end", r.Kind, "err", err)
	case err != nil:
		return err
	default:
		d.log.Info("reported", "session", r.Session, "ticket", r.Ticket, "end", r.Kind, "effect", effect.Effect)
	}
	failpoint.Hit("report.answered")
	return d.journal.MarkReported(r.Session, d.now())
}

// giveBack hands tickets back that were called for this station and never came to a session.
func (d *Daemon) giveBack(ctx context.Context) error {
	tickets, err := d.queue.Tickets(ctx)
	if err != nil {
		return err
	}
	for _, t := range tickets {
		d.mu.Lock()
		here := d.cur != nil && d.cur.session.Ticket == t.ID
		d.mu.Unlock()
		if here {
			continue
		}
		lost := station.Event{Event: queue.EventLost, Session: t.Session, Attempt: t.Attempt, At: d.now()}
		if _, err := d.queue.Report(ctx, t.ID, lost); err != nil && !settled(err) {
			return err
		}
	}
	d.mu.Lock()
	d.reconciled = true
	d.touch()
	d.mu.Unlock()
	return nil
}
