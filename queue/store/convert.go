package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"loket/queue"
	"loket/queue/store/db"
)

// View is a ticket with its person.
type View struct {
	Ticket queue.Ticket
	Person queue.Person
}

func fromTime(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func fromPerson(p db.Person) queue.Person {
	return queue.Person{ID: p.ID, Visit: p.Visit, Reference: p.Reference, Name: p.Name, BirthDate: queue.Date(p.BirthDate)}
}

func fromTicket(t db.Ticket) (queue.Ticket, error) {
	ticket := queue.Ticket{
		ID: t.ID, Number: t.Number, Code: queue.Code(t.Code), Visit: t.Visit, Person: t.Person, Service: t.Service,
		State: queue.State(t.State), Rank: queue.Rank(t.Rank), Due: fromTime(t.Due), Order: t.Ord, Attempt: int(t.Attempt),
		Station: t.Station, Session: t.Session, Record: t.Record, FollowUp: t.FollowUp != 0, Changed: fromTime(t.Changed),
	}
	err := errors.Join(fromJSON(t.Asked, &ticket.Letter.Asked), fromJSON(t.OnFile, &ticket.Letter.OnFile))
	if err != nil {
		return queue.Ticket{}, fmt.Errorf("reading ticket %s: %w", t.ID, err)
	}
	return ticket, nil
}

func fromRow(t db.Ticket, p db.Person) (View, error) {
	ticket, err := fromTicket(t)
	return View{Ticket: ticket, Person: fromPerson(p)}, err
}

func fromEvent(e db.Event) Event {
	return Event{Sequence: e.Sequence, At: fromTime(e.At), Kind: e.Kind, Ticket: e.Ticket, Attempt: int(e.Attempt), Station: e.Station,
		Session: e.Session, Record: e.Record, Author: e.Author, Detail: e.Detail, Was: queue.State(e.Was)}
}

func fromClash(c db.Clash) queue.Clash {
	return queue.Clash{ID: c.ID, Ticket: c.Ticket, Reason: c.Reason, Record: c.Record, Session: c.Session, Attempt: int(c.Attempt),
		Station: c.Station, Other: c.Other, At: fromTime(c.At)}
}

// columns writes a letter.
func columns(l queue.Letter) (asked, onFile sql.NullString, err error) {
	if asked, err = toJSON(l.Asked); err == nil {
		onFile, err = toJSON(l.OnFile)
	}
	return asked, onFile, err
}

// toJSON writes a list, null for nil: unknown is not nothing.
func toJSON[T any](list []T) (sql.NullString, error) {
	if list == nil {
		return sql.NullString{}, nil
	}
	data, err := json.Marshal(list)
	return sql.NullString{String: string(data), Valid: true}, err
}

func fromJSON[T any](s sql.NullString, list *[]T) error {
	if !s.Valid {
		return nil
	}
	*list = []T{}
	return json.Unmarshal([]byte(s.String), list)
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
