package kiosk

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/failpoint"
	"loket/kiosk/handover"
	"loket/kiosk/record"
	"loket/kiosk/session"
	"loket/queue/station"
)

// take takes over a session that another station sealed for this one. It is here from the moment on at which the queue says so,
// and not a moment earlier.
func (d *Daemon) take(ctx context.Context, order station.TakeSession) error {
	if !d.Desk {
		return &api.Error{Code: "no-desk", Text: "this station is no desk", Hint: "move the session to a desk"}
	}
	if err := d.reserve(); err != nil {
		return err
	}
	defer d.unreserve()
	b, err := d.fetch(ctx, order)
	if err != nil {
		d.log.Error("a hand-over was refused", "session", order.Session, "from", order.From, "err", err)
		return err
	}
	failpoint.Hit("take.opened")
	if err := d.takeIn(ctx, order, b); err != nil {
		b.Wipe()
		return err
	}
	return nil
}

// fetch gets the bundle and opens it with the key that was offered, which opens nothing after that.
func (d *Daemon) fetch(ctx context.Context, order station.TakeSession) (*handover.Bundle, error) {
	sealed, err := d.queue.Bundle(ctx, order.Handover)
	if err != nil {
		return nil, refused(err)
	}
	failpoint.Hit("take.fetched")
	return d.unseal(order, sealed)
}

func (d *Daemon) unseal(order station.TakeSession, sealed []byte) (*handover.Bundle, error) {
	key, err := d.useKey()
	if err != nil {
		return nil, err
	}
	return key.Open(sealed, d.identity, handover.Expected{ID: order.Handover, From: order.From, Ticket: order.Ticket,
		Session: order.Session, Attempt: order.Attempt}, d.now())
}

// takeIn makes the bundle's session the one in progress. Its samples are the vault's from then on.
func (d *Daemon) takeIn(ctx context.Context, order station.TakeSession, b *handover.Bundle) error {
	ticket, err := d.queue.Ticket(ctx, order.Ticket)
	if err != nil {
		return refused(err)
	}
	d.read(b)
	s, err := d.continued(b, ticket)
	if err != nil {
		return err
	}
	if err := d.journal.TakeOver(s.ID, s.Ticket, s.Attempt, d.now()); err != nil {
		return err
	}
	failpoint.Hit("take.journalled")
	if ticket, err = d.accept(order); err != nil {
		if d.ctx.Err() == nil {
			if e := d.journal.NotTaken(s.ID, d.now()); e != nil {
				d.log.Error("writing the journal", "err", e)
			}
		}
		return err
	}
	failpoint.Hit("take.accepted")
	d.resumeHere(s, ticket, b)
	return nil
}

// read refuses what can't be used here of a bundle: a print that could neither be compared nor be put on record. It alone is
// captured again; staff are told.
func (d *Daemon) read(b *handover.Bundle) {
	for _, s := range slices.Clone(b.Samples) {
		if err := readable(s.Sample); err != nil {
			b.Refuse(s.Step, err)
		}
	}
	for step, why := range b.Unreadable {
		d.log.Warn("a capture of another station can't be read", "session", b.Session.ID, "from", b.From.Name, "step", step, "err", why)
	}
}

// readable reports whether a sample's pixels can be read. Photographs and signatures are only looked at by people.
func readable(s biometric.Sample) error {
	if s.Modality != biometric.Finger {
		return nil
	}
	img, err := grey(s)
	if err != nil {
		return err
	}
	defer clear(img.Pix)
	return finger.Extractable(img, s.PPI)
}

// continued gives the session as it goes on here: under this station's rules, verifying where it was. What must be verified is
// decided by the kind of station that it comes from, as its certificate tells, and not by what that station says.
func (d *Daemon) continued(b *handover.Bundle, ticket station.Ticket) (session.Session, error) {
	now := d.now()
	own, err := d.plan(ticket, now)
	if err != nil {
		return session.Session{}, fmt.Errorf("taking over: %w", err)
	}
	c := session.Continuation{State: session.Verifying, Plan: own, Unwatched: !b.From.Supervised,
		Unreadable: slices.Sorted(maps.Keys(b.Unreadable)), At: now}
	if b.Session.Resume == session.Verifying {
		if s, err := session.Continue(b.Session, c); err == nil {
			return s, nil
		}
	}
	c.State = session.Assistance
	return session.Continue(b.Session, c)
}

// accept tells the queue that the session is here, and asks until it has answered. An answer that was lost may have been yes:
// the ticket tells.
func (d *Daemon) accept(order station.TakeSession) (station.Ticket, error) {
	for wait := firstReportWait; ; wait = min(2*wait, lastReportWait) {
		t, err := d.queue.Accept(d.ctx, order.Handover)
		if err == nil {
			return t, nil
		}
		if station.Refused(err) {
			now, unknown := d.queue.Ticket(d.ctx, order.Ticket)
			switch {
			case unknown == nil && now.Station == d.identity.Name && now.Session == order.Session && now.Attempt == order.Attempt:
				return now, nil
			case unknown == nil || settled(unknown):
				return station.Ticket{}, refused(err)
			}
		}
		d.log.Warn("accepting a session", "session", order.Session, "err", err)
		if sleep(d.ctx, wait); d.ctx.Err() != nil {
			return station.Ticket{}, d.ctx.Err()
		}
	}
}

// resumeHere makes the session the one in progress.
func (d *Daemon) resumeHere(s session.Session, t station.Ticket, b *handover.Bundle) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cur = &running{session: s, ticket: t, stop: func() {}, devices: map[string]record.DeviceInfo{}}
	for _, info := range b.Devices {
		d.cur.devices[info.Identity] = info
	}
	for _, sample := range b.Samples {
		if sample.Modality == biometric.Finger {
			d.cur.brought = append(d.cur.brought, sample.Position)
		}
	}
	d.vault.adopt(b.Samples)
	b.Samples = nil
	d.vault.retain(s.Outcomes)
	d.log.Info("session", "session", s.ID, "ticket", t.ID, "attempt", t.Attempt, "state", s.State, "taken", true)
	d.enter()
	d.touch()
}
