package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"loket/queue"
	"loket/queue/store/db"
)

// Ticket reads one ticket with its person.
func (s *Store) Ticket(ctx context.Context, id string) (View, error) {
	row, err := s.read.TicketByID(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return View{}, fmt.Errorf("reading ticket %s: %w", id, ErrUnknown)
	}
	if err != nil {
		return View{}, fmt.Errorf("reading ticket %s: %w", id, err)
	}
	return fromRow(row.Ticket, row.Person)
}

// AtStation lists the tickets that a station was called for or serves.
func (s *Store) AtStation(ctx context.Context, station string) ([]View, error) {
	rows, err := s.read.TicketsAtStation(ctx, station)
	if err != nil {
		return nil, fmt.Errorf("reading the tickets of %s: %w", station, err)
	}
	views := make([]View, 0, len(rows))
	for _, row := range rows {
		v, err := fromRow(row.Ticket, row.Person)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

// WasAt reports whether a station ever had to do with a ticket.
func (s *Store) WasAt(ctx context.Context, ticket, station string) (bool, error) {
	return s.read.WasAtStation(ctx, db.WasAtStationParams{Ticket: ticket, Station: station})
}

// Snapshot is the queue at one moment: all tickets that are not through, and the number of the last event in it.
type Snapshot struct {
	Sequence int64
	Tickets  []View
}

// Snapshot reads the queue as a live view begins with it.
func (s *Store) Snapshot(ctx context.Context) (Snapshot, error) {
	tx, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return Snapshot{}, fmt.Errorf("reading the queue: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	q := s.read.WithTx(tx)
	sequence, err := q.LastSequence(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("reading the queue: %w", err)
	}
	rows, err := q.OpenTickets(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("reading the queue: %w", err)
	}
	snap := Snapshot{Sequence: sequence, Tickets: make([]View, 0, len(rows))}
	for _, row := range rows {
		v, err := fromRow(row.Ticket, row.Person)
		if err != nil {
			return Snapshot{}, err
		}
		snap.Tickets = append(snap.Tickets, v)
	}
	return snap, nil
}

// EventsAfter reads up to limit events that followed a sequence number.
func (s *Store) EventsAfter(ctx context.Context, sequence int64, limit int) ([]Event, error) {
	rows, err := s.read.EventsAfter(ctx, db.EventsAfterParams{Sequence: sequence, Limit: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	return fromEvents(rows), nil
}

func fromEvents(rows []db.Event) []Event {
	events := make([]Event, 0, len(rows))
	for _, row := range rows {
		events = append(events, fromEvent(row))
	}
	return events
}

// Clashes lists the newest conflicts, a thousand at most.
func (s *Store) Clashes(ctx context.Context) ([]queue.Clash, error) {
	rows, err := s.read.Clashes(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading conflicts: %w", err)
	}
	return fromClashes(rows), nil
}

func fromClashes(rows []db.Clash) []queue.Clash {
	clashes := make([]queue.Clash, 0, len(rows))
	for _, row := range rows {
		clashes = append(clashes, fromClash(row))
	}
	return clashes
}

// Fact is what a station tells of a record.
type Fact struct {
	Kind    string
	Ticket  string
	Session string
	Attempt int
	Record  string
	Detail  string
	At      time.Time
}

// maxFacts is how much one station may tell of one ticket: a record has four facts, and a few more for each refusal.
const maxFacts = 64

// AddFact keeps what a station tells of a record, once however often it is told. One of an unknown ticket, or of one that the
// station never had, is [ErrUnknown], and so is one too many.
func (s *Store) AddFact(ctx context.Context, station string, f Fact) error {
	err := s.change(ctx, func(ctx context.Context, tx *tx) error {
		known, err := tx.FactKnown(ctx, db.FactKnownParams{Kind: f.Kind, Record: f.Record, Station: station, Detail: f.Detail})
		if err != nil || known {
			return err
		}
		if _, err := tx.ticket(ctx, f.Ticket); err != nil {
			return err
		}
		had, err := tx.WasAtStation(ctx, db.WasAtStationParams{Ticket: f.Ticket, Station: station})
		if err == nil && !had {
			err = fmt.Errorf("ticket %s was never at %s: %w", f.Ticket, station, ErrUnknown)
		}
		if err == nil {
			err = tx.roomForFact(ctx, station, f)
		}
		if err != nil {
			return err
		}
		return tx.happened(ctx, Event{At: f.At, Kind: f.Kind, Ticket: f.Ticket, Attempt: f.Attempt, Station: station,
			Session: f.Session, Record: f.Record, Detail: f.Detail})
	})
	if err != nil {
		return fmt.Errorf("keeping what %s tells of a record: %w", station, err)
	}
	return nil
}

// roomForFact refuses a fact where its station has told very many of that ticket: the queue's file is not one station's to fill.
func (t *tx) roomForFact(ctx context.Context, station string, f Fact) error {
	events, err := t.EventsOfTicket(ctx, f.Ticket)
	if err != nil {
		return err
	}
	told := 0
	for _, e := range events {
		if e.Station == station && e.Record != "" {
			told++
		}
	}
	if told >= maxFacts {
		return fmt.Errorf("%s has told too much of ticket %s: %w", station, f.Ticket, ErrUnknown)
	}
	return nil
}

// Chain is all that is known of a ticket, its sessions and records.
type Chain struct {
	View
	Owner   string // the appointment system
	Events  []Event
	Clashes []queue.Clash
}

// Chain finds a chain by any id in it: of a ticket, a session or a record.
func (s *Store) Chain(ctx context.Context, id string) (Chain, error) {
	ticket, err := s.ticketOf(ctx, id)
	if err != nil {
		return Chain{}, fmt.Errorf("tracing %s: %w", id, err)
	}
	c := Chain{}
	if c.View, err = s.Ticket(ctx, ticket); err != nil {
		return Chain{}, fmt.Errorf("tracing %s: %w", id, err)
	}
	if c.Owner, err = s.read.OwnerOfVisit(ctx, c.Ticket.Visit); err != nil {
		return Chain{}, fmt.Errorf("tracing %s: %w", id, err)
	}
	events, err := s.read.EventsOfTicket(ctx, ticket)
	if err != nil {
		return Chain{}, fmt.Errorf("tracing %s: %w", id, err)
	}
	clashes, err := s.read.ClashesOfTicket(ctx, ticket)
	if err != nil {
		return Chain{}, fmt.Errorf("tracing %s: %w", id, err)
	}
	c.Events, c.Clashes = fromEvents(events), fromClashes(clashes)
	return c, nil
}

func (s *Store) ticketOf(ctx context.Context, id string) (string, error) {
	ticket, err := id, error(nil)
	switch {
	case queue.ValidID(id, queue.TicketID):
	case queue.ValidID(id, "se"):
		ticket, err = s.read.TicketOfSession(ctx, id)
	case queue.ValidRecord(id):
		ticket, err = s.read.TicketOfRecord(ctx, id)
	default:
		err = fmt.Errorf("%w: it is no id of a ticket, session or record", ErrUnknown)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknown
	}
	return ticket, err
}
