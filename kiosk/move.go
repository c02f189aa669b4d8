package kiosk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/failpoint"
	"loket/kiosk/handover"
	"loket/kiosk/journal"
	"loket/kiosk/record"
	"loket/kiosk/session"
	"loket/queue"
	"loket/queue/station"
)

// move hands the session in progress over to the event's target and waits until it is there or stays. In between nothing else
// happens to it. It goes on by the daemon's time and not the caller's: once it is sent, only the queue knows where it is.
func (d *Daemon) move(id string, e session.Event) error {
	moved, devices, err := d.freeze(id, e)
	if err != nil {
		return err
	}
	end, err := d.handOver(d.ctx, moved, devices)
	if d.ctx.Err() != nil {
		return d.ctx.Err() // the next start asks where it is
	}
	if err == nil && !end.Moved {
		err = &api.Error{Code: "not-moved", Text: moved.Target + " did not take the session: " + end.Reason, Hint: "choose another desk, or go on here"}
	}
	return d.thaw(moved, err)
}

// freeze holds the session still and gives it as it will be when it has moved.
func (d *Daemon) freeze(id string, e session.Event) (session.Session, []record.DeviceInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.cur == nil || id != "" && d.cur.session.ID != id:
		return session.Session{}, nil, noSession()
	case d.cur.moving != "":
		return session.Session{}, nil, beingMoved(d.cur.moving)
	case e.Target == d.identity.Name:
		return session.Session{}, nil, &api.Error{Code: "out-of-place", Text: "the session is here already", Hint: "name another station"}
	case d.outbox.Has(d.cur.session.ID): // another station would make a second one
		return session.Session{}, nil, &api.Error{Code: "out-of-place", Text: "a record of the session may be on this station's disk",
			Hint: "let a technician look at the disk; the next start of the station finds out"}
	}
	e.At = d.now()
	next, err := d.cur.session.Next(e)
	if err != nil {
		return session.Session{}, nil, outOfPlace(err)
	}
	d.cur.moving = e.Target
	d.cur.stop()
	d.cur.verified = nil
	d.touch()
	return next, slices.SortedFunc(maps.Values(d.cur.devices), byIdentity), nil
}

func byIdentity(a, b record.DeviceInfo) int { return strings.Compare(a.Identity, b.Identity) }

func noSession() error {
	return &api.Error{Code: "no-session", Text: "that session is not in progress here", Hint: "kioskctl session show tells what is"}
}

func beingMoved(target string) error {
	return &api.Error{Code: "out-of-place", Text: "the session is being moved to " + target, Hint: "wait a moment"}
}

// thaw ends the session that moved, or lets it go on here where err says that it did not.
func (d *Daemon) thaw(moved session.Session, err error) error {
	if err != nil {
		if e := d.journal.Moving(moved.ID, ""); e != nil {
			d.log.Error("writing the journal", "err", e)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cur.moving = ""
	d.touch()
	if err == nil {
		d.step(moved)
		return nil
	}
	d.log.Warn("a session was not moved", "session", moved.ID, "to", moved.Target, "err", err)
	if d.cur.session.State == session.Verifying {
		d.enter()
	}
	return err
}

// handOver seals the session for its target and has the queue relay it. Without an error the answer says where the session is.
func (d *Daemon) handOver(ctx context.Context, s session.Session, devices []record.DeviceInfo) (station.HandoverEnd, error) {
	id := queue.NewID("ho")
	sealed, err := d.sealFor(ctx, id, s, devices)
	if err != nil {
		return station.HandoverEnd{}, err
	}
	failpoint.Hit("move.sealed")
	if err := d.journal.Moving(s.ID, s.Target); err != nil {
		return station.HandoverEnd{}, err
	}
	failpoint.Hit("move.journalled")
	p := station.HandOverParams{Ticket: s.Ticket, Session: s.ID, Attempt: s.Attempt, Target: s.Target}
	end, err := d.queue.HandOver(ctx, id, p, sealed)
	failpoint.Hit("move.answered")
	if err != nil {
		end, err = d.withdraw(ctx, id, p, err)
	}
	return end, err
}

// withdraw asks until the queue says where a session is whose hand-over was not answered well.
func (d *Daemon) withdraw(ctx context.Context, id string, p station.HandOverParams, cause error) (station.HandoverEnd, error) {
	for wait := firstReportWait; ; wait = min(2*wait, lastReportWait) {
		end, err := d.queue.Withdraw(ctx, id, p)
		switch {
		case err == nil && !end.Moved:
			return end, refused(cause)
		case err == nil:
			return end, nil
		case settled(err): // the queue has no such ticket any more
			return station.HandoverEnd{Moved: true}, nil
		}
		d.log.Warn("asking where a session is", "session", p.Session, "err", err)
		if sleep(ctx, wait); ctx.Err() != nil {
			return station.HandoverEnd{}, ctx.Err()
		}
	}
}

// sealFor gives the bundle of a session that moves, sealed to a key that its target signed.
func (d *Daemon) sealFor(ctx context.Context, id string, s session.Session, devices []record.DeviceInfo) ([]byte, error) {
	signed, err := d.queue.HandoverKey(ctx, s.Target)
	if err != nil {
		return nil, refused(err)
	}
	offer, err := handover.SignedOffer(signed).Verify(d.identity, s.Target, d.now())
	if err != nil {
		d.log.Error("a key for a hand-over does not check", "station", s.Target, "err", err)
		return nil, &api.Error{Code: "bad-key", Text: err.Error(), Hint: "let a technician look at this: whoever relays the key may have exchanged it"}
	}
	failpoint.Hit("move.key")
	var sealed []byte
	err = d.vault.steps(func(samples []handover.Sample) error {
		b := handover.Bundle{ID: id, Session: s, Devices: devices, Samples: samples}
		sealed, err = b.Bytes(d.identity, offer, d.now())
		return err
	})
	return sealed, err
}

// settleMoves asks where the sessions are that were being handed over when the daemon ended. Their captures are gone from here.
func (d *Daemon) settleMoves(ctx context.Context) error {
	unfinished, err := d.journal.Unfinished()
	if err != nil {
		return err
	}
	for _, u := range unfinished {
		if u.Target == "" || u.Record != "" {
			continue
		}
		if err := d.settleMove(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// settleMove reports one such session as handed over. Where its target does not have it, the queue takes it for lost.
func (d *Daemon) settleMove(ctx context.Context, u journal.Unfinished) error {
	e := station.Event{Event: queue.EventHandedOver, Session: u.Session, Attempt: u.Attempt, Target: u.Target, At: d.now()}
	effect, err := d.queue.Report(ctx, u.Ticket, e)
	if err != nil && !settled(err) {
		return fmt.Errorf("asking where session %s is: %w", u.Session, err)
	}
	end := journal.End{Kind: endLost}
	if err == nil && effect.Ticket.Session == u.Session {
		end.Kind = string(session.HandedOver)
	}
	d.log.Warn("a session was being moved when this station failed", "session", u.Session, "to", u.Target, "end", end.Kind)
	now := d.now()
	return errors.Join(d.journal.EndSession(u.Session, end, now), d.journal.MarkReported(u.Session, now))
}

// keyAge is how long a key is offered that nobody used.
const keyAge = time.Hour

// offerKeys offers a key for as long as the station is a desk, and another one now and then, until ctx ends.
func (d *Daemon) offerKeys(ctx context.Context) error {
	if !d.Desk {
		<-ctx.Done()
		return ctx.Err()
	}
	tick := time.NewTicker(keyAge)
	defer tick.Stop()
	for {
		d.mu.Lock()
		err := d.renewKey()
		d.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// renewKey offers a new key; the old one opens nothing more. The mutex is held.
func (d *Daemon) renewKey() error {
	key, err := handover.NewKey()
	if err != nil {
		return err
	}
	offer, err := key.Offer(d.identity, d.now())
	if err != nil {
		return err
	}
	d.offered = key
	return d.link.SetKey(station.HandoverKey(offer))
}

// useKey gives the key that is offered, and offers another one.
func (d *Daemon) useKey() (*handover.Key, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := d.offered
	if key == nil {
		return nil, errors.New("no key was offered yet")
	}
	return key, d.renewKey()
}
