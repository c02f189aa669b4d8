package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"loket/kiosk/failpoint"
	"loket/queue"
	"loket/queue/store/db"
)

// setTicket writes what can change of a ticket.
func (t *tx) setTicket(ctx context.Context, k queue.Ticket) error {
	return t.SetTicket(ctx, db.SetTicketParams{
		State: string(k.State), Rank: int64(k.Rank), Attempt: int64(k.Attempt), Station: k.Station, Session: k.Session,
		Record: k.Record, FollowUp: toInt(k.FollowUp), Changed: k.Changed.UnixMilli(), ID: k.ID,
	})
}

// ticket reads one ticket.
func (t *tx) ticket(ctx context.Context, id string) (View, error) {
	row, err := t.TicketByID(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return View{}, fmt.Errorf("ticket %s: %w", id, ErrUnknown)
	}
	if err != nil {
		return View{}, err
	}
	return fromRow(row.Ticket, row.Person)
}

// Request is a station's call for a ticket.
type Request struct {
	ID       string   // the station's own; the same again gives the same ticket
	Services []string // only these; all where empty
	Ticket   string   // this one; the next where empty
}

// Call gives the next ticket, or a certain one, to a station. [ErrNobody] says that nobody waits. A request whose ticket has
// moved on since is [queue.ErrStale].
func (s *Store) Call(ctx context.Context, station string, r Request) (View, error) {
	var view View
	var refused error // of the rules: nothing to undo
	err := s.change(ctx, func(ctx context.Context, tx *tx) error {
		var err error
		view, refused, err = s.call(ctx, tx, station, r)
		failpoint.Hit("queue.calling")
		return err
	})
	if err = errors.Join(err, refused); err != nil {
		return View{}, fmt.Errorf("calling for %s: %w", station, err)
	}
	failpoint.Hit("queue.called")
	return view, nil
}

func (s *Store) call(ctx context.Context, tx *tx, station string, r Request) (v View, refused, err error) {
	known, err := tx.CallByRequest(ctx, db.CallByRequestParams{Station: station, Request: r.ID})
	if err == nil {
		return called(ctx, tx, station, known)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return View{}, nil, err
	}
	v, err = s.choose(ctx, tx, r)
	if errors.Is(err, ErrNobody) || errors.Is(err, ErrUnknown) {
		return View{}, err, nil
	}
	if err != nil {
		return View{}, nil, err
	}
	next, refused := v.Ticket.Call(station, s.now())
	if refused != nil {
		return View{}, refused, nil
	}
	fresh := v.Ticket.State != queue.Called
	v.Ticket = next
	if fresh {
		if err := s.give(ctx, tx, next, KindCalled); err != nil {
			return View{}, nil, err
		}
	}
	return v, nil, tx.InsertCall(ctx, db.InsertCallParams{Station: station, Request: r.ID, Ticket: next.ID, Attempt: int64(next.Attempt)})
}

// called answers a call that was answered before.
func called(ctx context.Context, tx *tx, station string, known db.CallByRequestRow) (v View, refused, err error) {
	v, err = tx.ticket(ctx, known.Ticket)
	if err != nil {
		return View{}, nil, err
	}
	if t := v.Ticket; !t.Held() || t.Station != station || t.Attempt != int(known.Attempt) {
		return View{}, fmt.Errorf("repeating the call for ticket %s: %w", t.ID, queue.ErrStale), nil
	}
	return v, nil, nil
}

// choose finds the ticket that a request is for.
func (s *Store) choose(ctx context.Context, tx *tx, r Request) (View, error) {
	if r.Ticket != "" {
		return tx.ticket(ctx, r.Ticket)
	}
	callable := s.now().Add(s.opts.Early).UnixMilli()
	var row db.NextTicketRow
	var err error
	if len(r.Services) == 0 {
		row, err = tx.NextTicket(ctx, callable)
	} else {
		var of db.NextTicketOfRow
		of, err = tx.NextTicketOf(ctx, db.NextTicketOfParams{Callable: callable, Services: r.Services})
		row = db.NextTicketRow(of)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return View{}, ErrNobody
	}
	if err != nil {
		return View{}, err
	}
	return fromRow(row.Ticket, row.Person)
}

// give writes that a station got a ticket.
func (s *Store) give(ctx context.Context, tx *tx, t queue.Ticket, kind string) error {
	if err := tx.setTicket(ctx, t); err != nil {
		return err
	}
	return tx.happened(ctx, Event{At: t.Changed, Kind: kind, Ticket: t.ID, Attempt: t.Attempt, Station: t.Station})
}

// CheckIn gives the ticket of a code to the station where it was scanned or typed. [ErrUnknown] counts as a wrong try, and
// after too many the error is a [*PausedError].
func (s *Store) CheckIn(ctx context.Context, station, typed string) (View, error) {
	code, badCode := queue.ParseCode(typed)
	var view View
	var refused error
	err := s.change(ctx, func(ctx context.Context, tx *tx) error {
		now := s.now()
		entry, err := tx.entry(ctx, station)
		if err != nil {
			return err
		}
		if refused = paused(entry, now); refused != nil {
			return nil
		}
		row, err := tx.TicketByCode(ctx, string(code))
		if badCode != nil || errors.Is(err, sql.ErrNoRows) {
			refused, err = s.wrongCode(ctx, tx, entry, now)
			return err
		}
		if err != nil {
			return err
		}
		if err := tx.forgive(ctx, entry); err != nil {
			return err
		}
		if view, err = fromRow(row.Ticket, row.Person); err != nil {
			return err
		}
		var next queue.Ticket
		if next, refused = view.Ticket.CheckIn(station, now); refused != nil {
			return nil
		}
		fresh := view.Ticket.State != queue.Called
		view.Ticket = next
		if !fresh {
			return nil
		}
		err = s.give(ctx, tx, next, KindCheckedIn)
		failpoint.Hit("queue.calling")
		return err
	})
	if err = errors.Join(err, refused); err != nil {
		return View{}, fmt.Errorf("checking in at %s: %w", station, err)
	}
	failpoint.Hit("queue.called")
	return view, nil
}

func (t *tx) entry(ctx context.Context, station string) (queue.Entry, error) {
	row, err := t.Entry(ctx, station)
	if errors.Is(err, sql.ErrNoRows) {
		return queue.Entry{Station: station}, nil
	}
	if err != nil {
		return queue.Entry{}, err
	}
	return queue.Entry{Station: station, Wrong: int(row.Wrong), Paused: fromTime(row.Paused)}, nil
}

func paused(e queue.Entry, now time.Time) error {
	if e.Open(now) {
		return nil
	}
	return &PausedError{Until: e.Paused}
}

// wrongCode counts a wrong try, and tells staff where it pauses entry.
func (s *Store) wrongCode(ctx context.Context, tx *tx, e queue.Entry, now time.Time) (refused, err error) {
	next, pausing := e.Tried(false, now)
	err = tx.SetEntry(ctx, db.SetEntryParams{Station: next.Station, Wrong: int64(next.Wrong), Paused: next.Paused.UnixMilli()})
	if err != nil || !pausing {
		return fmt.Errorf("the code: %w", ErrUnknown), err
	}
	return &PausedError{Until: next.Paused}, tx.happened(ctx, Event{At: now, Kind: KindEntryPaused, Station: e.Station})
}

// forgive forgets wrong tries after a right one.
func (t *tx) forgive(ctx context.Context, e queue.Entry) error {
	if e.Wrong == 0 && e.Paused.IsZero() {
		return nil
	}
	_, err := t.ClearEntry(ctx, e.Station)
	return err
}

// ResumeEntry lets codes be entered again at a station, as staff decided.
func (s *Store) ResumeEntry(ctx context.Context, station, author string) error {
	err := s.change(ctx, func(ctx context.Context, tx *tx) error {
		rows, err := tx.ClearEntry(ctx, station)
		if err != nil || rows == 0 {
			return err
		}
		return tx.happened(ctx, Event{At: s.now(), Kind: KindEntryResumed, Station: station, Author: author})
	})
	if err != nil {
		return fmt.Errorf("resuming code entry at %s: %w", station, err)
	}
	return nil
}

// Report applies what a station says of a session at a ticket.
func (s *Store) Report(ctx context.Context, ticket string, e queue.Event) (queue.Ticket, queue.Effect, error) {
	var next queue.Ticket
	var effect queue.Effect
	var refused error
	err := s.change(ctx, func(ctx context.Context, tx *tx) error {
		view, err := tx.ticket(ctx, ticket)
		if err != nil {
			return err
		}
		e.At = e.At.UTC().Truncate(time.Millisecond)
		if next, effect, refused = view.Ticket.Report(e); refused != nil {
			return nil
		}
		if e.Kind == queue.EventCompleted {
			if effect, err = s.committed(ctx, tx, view, e, effect); err != nil {
				return err
			}
		}
		if !same(next, view.Ticket) {
			if err := s.reported(ctx, tx, next, e); err != nil {
				return err
			}
		}
		failpoint.Hit("queue.reporting")
		return nil
	})
	if err = errors.Join(err, refused); err != nil {
		return queue.Ticket{}, "", fmt.Errorf("reporting %s of ticket %s: %w", e.Kind, ticket, err)
	}
	failpoint.Hit("queue.reported")
	return next, effect, nil
}

// same reports whether a report changed nothing that is kept.
func same(a, b queue.Ticket) bool {
	return a.State == b.State && a.Rank == b.Rank && a.Attempt == b.Attempt && a.Station == b.Station && a.Session == b.Session &&
		a.Record == b.Record && a.FollowUp == b.FollowUp
}

func (s *Store) reported(ctx context.Context, tx *tx, next queue.Ticket, e queue.Event) error {
	next.Changed = s.now()
	if err := tx.setTicket(ctx, next); err != nil {
		return err
	}
	return tx.happened(ctx, Event{At: e.At, Kind: string(e.Kind), Ticket: next.ID, Attempt: e.Attempt, Station: e.Station,
		Session: e.Session, Record: e.Record, Detail: e.Target})
}

// committed keeps a record that a station reported, and a conflict where it should not exist.
func (s *Store) committed(ctx context.Context, tx *tx, v View, e queue.Event, effect queue.Effect) (queue.Effect, error) {
	known, err := tx.ClashKnown(ctx, db.ClashKnownParams{Ticket: v.Ticket.ID, Record: e.Record})
	if err != nil {
		return "", err
	}
	if known {
		return queue.Conflict, nil // reported again
	}
	other, err := tx.OtherRecord(ctx, db.OtherRecordParams{Reference: v.Person.Reference, Service: v.Ticket.Service, Record: e.Record,
		At: s.now().Add(-queue.OneRecordIn).UnixMilli()})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	err = tx.InsertRecord(ctx, db.InsertRecordParams{Record: e.Record, Ticket: v.Ticket.ID, Reference: v.Person.Reference,
		Service: v.Ticket.Service, At: s.now().UnixMilli()})
	if err != nil {
		return "", err
	}
	if other == "" && effect != queue.Conflict {
		return effect, nil
	}
	if other != "" && v.Ticket.Record == e.Record {
		return effect, nil // the first of the two, reported again
	}
	return queue.Conflict, s.clash(ctx, tx, v.Ticket, e, other)
}

func (s *Store) clash(ctx context.Context, tx *tx, t queue.Ticket, e queue.Event, other string) error {
	reason := "second-record"
	switch {
	case other != "":
	case e.Attempt < t.Attempt:
		reason = "late"
	default:
		reason = "other-session"
	}
	now := s.now()
	_, err := tx.InsertClash(ctx, db.InsertClashParams{Ticket: t.ID, Reason: reason, Record: e.Record, Session: e.Session,
		Attempt: int64(e.Attempt), Station: e.Station, Other: other, At: now.UnixMilli()})
	if err != nil {
		return err
	}
	return tx.happened(ctx, Event{At: now, Kind: KindConflict, Ticket: t.ID, Attempt: e.Attempt, Station: e.Station,
		Session: e.Session, Record: e.Record, Detail: reason})
}

// Decision is what staff decide on a ticket.
type Decision struct {
	Act     queue.Act
	Author  string // pseudonymous id
	Station string // where it was decided; empty for the console
	Reason  string
}

// Decide applies a decision. It returns the ticket as it was and as it is.
func (s *Store) Decide(ctx context.Context, ticket string, d Decision) (before, after View, err error) {
	var refused error
	err = s.change(ctx, func(ctx context.Context, tx *tx) error {
		view, err := tx.ticket(ctx, ticket)
		if err != nil {
			return err
		}
		before, after = view, view
		now := s.now()
		if after.Ticket, refused = view.Ticket.Decide(d.Act, now); refused != nil {
			return nil
		}
		if err := tx.setTicket(ctx, after.Ticket); err != nil {
			return err
		}
		return tx.happened(ctx, Event{At: now, Kind: string(d.Act), Ticket: ticket, Attempt: view.Ticket.Attempt, Station: d.Station,
			Session: view.Ticket.Session, Author: d.Author, Detail: d.Reason,
			Was: view.Ticket.State})
	})
	if err = errors.Join(err, refused); err != nil {
		return View{}, View{}, fmt.Errorf("deciding %s: %w", d.Act, err)
	}
	return before, after, nil
}

// HandOver gives a ticket that is being served to another station, which has accepted its session. Done already, it changes
// nothing.
func (s *Store) HandOver(ctx context.Context, ticket, from, to, session string, attempt int) (View, error) {
	var view View
	var refused error
	err := s.change(ctx, func(ctx context.Context, tx *tx) error {
		var err error
		if view, err = tx.ticket(ctx, ticket); err != nil {
			return err
		}
		var next queue.Ticket
		if next, refused = view.Ticket.HandOver(from, to, session, attempt, s.now()); refused != nil || same(next, view.Ticket) {
			return nil
		}
		view.Ticket = next
		if err := tx.setTicket(ctx, next); err != nil {
			return err
		}
		err = tx.happened(ctx, Event{At: next.Changed, Kind: string(queue.EventHandedOver), Ticket: next.ID, Attempt: attempt, Station: from,
			Session: session, Detail: to})
		failpoint.Hit("handover.accepting")
		return err
	})
	if err = errors.Join(err, refused); err != nil {
		return View{}, err
	}
	failpoint.Hit("handover.accepted")
	return view, nil
}
