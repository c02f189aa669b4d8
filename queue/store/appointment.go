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

// Appointment is a visit as an appointment system describes it.
type Appointment struct {
	Owner  string    // the system, by its certificate
	Ref    string    // its own reference
	At     time.Time // zero: now, and an appointment that exists keeps its time
	Guests []Guest
}

// Guest is one person of an appointment with the services in their order.
type Guest struct {
	Reference string
	Name      string
	BirthDate queue.Date
	Services  []Wanted
}

// Wanted is a service for a guest.
type Wanted struct {
	Service string
	Letter  queue.Letter
}

// Booking is a visit with all its tickets.
type Booking struct {
	Visit   queue.Visit
	Tickets []queue.Ticket
}

// ErrInvalid is the error of an appointment that can't be.
var ErrInvalid = errors.New("not a valid appointment")

// Put makes an appointment be as described: visit, persons and tickets are made, changed or withdrawn. The same appointment
// again changes nothing. created says whether it is new.
func (s *Store) Put(ctx context.Context, a Appointment) (booking Booking, created bool, err error) {
	if err := s.check(a); err != nil {
		return Booking{}, false, fmt.Errorf("putting appointment %s: %w: %w", a.Ref, ErrInvalid, err)
	}
	err = s.change(ctx, func(ctx context.Context, tx *tx) error {
		p := &putting{Store: s, tx: tx, now: s.now()}
		booking, created, err = p.put(ctx, a)
		return err
	})
	if err != nil {
		return Booking{}, false, fmt.Errorf("putting appointment %s: %w", a.Ref, err)
	}
	return booking, created, nil
}

// check finds what is wrong before anything is written.
func (s *Store) check(a Appointment) error {
	if len(a.Guests) == 0 {
		return errors.New("nobody comes")
	}
	references := map[string]bool{}
	for i, g := range a.Guests {
		born, err := g.BirthDate.Time(time.UTC)
		switch {
		case g.Reference == "" || g.Name == "":
			return fmt.Errorf("person %d has no reference or no name", i+1)
		case references[g.Reference]:
			return fmt.Errorf("person %d has the reference of another", i+1)
		case err != nil:
			return fmt.Errorf("person %d: %w", i+1, err)
		case born.After(s.now().AddDate(0, 0, 1)):
			return fmt.Errorf("person %d is not born yet", i+1)
		case len(g.Services) == 0:
			return fmt.Errorf("person %d comes for nothing", i+1)
		}
		references[g.Reference] = true
		if err := s.checkServices(g.Services); err != nil {
			return fmt.Errorf("person %d: %w", i+1, err)
		}
	}
	return nil
}

func (s *Store) checkServices(wanted []Wanted) error {
	seen := map[string]bool{}
	for _, w := range wanted {
		if _, ok := s.service(w.Service); !ok {
			return fmt.Errorf("this centre has no service %q", w.Service)
		}
		if seen[w.Service] {
			return fmt.Errorf("service %q is there twice", w.Service)
		}
		seen[w.Service] = true
		if err := w.Letter.Check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) service(id string) (queue.Service, bool) {
	for _, service := range s.opts.Services {
		if service.ID == id {
			return service, true
		}
	}
	return queue.Service{}, false
}

// putting is one Put within its transaction.
type putting struct {
	*Store
	tx    *tx
	now   time.Time
	visit db.Visit
}

func (p *putting) put(ctx context.Context, a Appointment) (Booking, bool, error) {
	created, err := p.putVisit(ctx, a)
	if err != nil {
		return Booking{}, false, err
	}
	persons, err := p.putPersons(ctx, a.Guests)
	if err != nil {
		return Booking{}, false, err
	}
	if err := p.putTickets(ctx, a.Guests, persons); err != nil {
		return Booking{}, false, err
	}
	booking, err := p.booking(ctx)
	return booking, created, err
}

func (p *putting) putVisit(ctx context.Context, a Appointment) (created bool, err error) {
	at := a.At.UTC().Truncate(time.Millisecond)
	p.visit, err = p.tx.VisitByRef(ctx, db.VisitByRefParams{Owner: a.Owner, Ref: a.Ref})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if a.At.IsZero() {
			at = p.now
		}
		p.visit = db.Visit{ID: queue.NewID(queue.VisitID), Owner: a.Owner, Ref: a.Ref, At: at.UnixMilli()}
		return true, p.tx.InsertVisit(ctx, db.InsertVisitParams(p.visit))
	case err != nil || a.At.IsZero() || at.UnixMilli() == p.visit.At:
		return false, err
	}
	p.visit.At = at.UnixMilli()
	if err := p.tx.SetVisitAt(ctx, db.SetVisitAtParams{At: p.visit.At, ID: p.visit.ID}); err != nil {
		return false, err
	}
	return false, p.tx.SetVisitDue(ctx, db.SetVisitDueParams{Due: p.visit.At, Visit: p.visit.ID})
}

// putPersons gives the id of each guest, by reference.
func (p *putting) putPersons(ctx context.Context, guests []Guest) (map[string]string, error) {
	known, err := p.tx.PersonsOfVisit(ctx, p.visit.ID)
	if err != nil {
		return nil, err
	}
	byReference := map[string]db.Person{}
	for _, person := range known {
		byReference[person.Reference] = person
	}
	ids := map[string]string{}
	for _, g := range guests {
		person, ok := byReference[g.Reference]
		switch {
		case !ok:
			person.ID = queue.NewID(queue.PersonID)
			err = p.tx.InsertPerson(ctx, db.InsertPersonParams{ID: person.ID, Visit: p.visit.ID, Reference: g.Reference, Name: g.Name,
				BirthDate: string(g.BirthDate)})
		case person.Name != g.Name || person.BirthDate != string(g.BirthDate):
			err = p.tx.SetPerson(ctx, db.SetPersonParams{Name: g.Name, BirthDate: string(g.BirthDate), ID: person.ID})
		}
		if err != nil {
			return nil, err
		}
		ids[g.Reference] = person.ID
	}
	return ids, nil
}

// slot is what makes a ticket the same one when an appointment comes again.
type slot struct{ person, service string }

func (p *putting) putTickets(ctx context.Context, guests []Guest, persons map[string]string) error {
	rows, err := p.tx.TicketsOfVisit(ctx, p.visit.ID)
	if err != nil {
		return err
	}
	left := map[slot]db.Ticket{}
	for _, row := range rows {
		left[slot{row.Person, row.Service}] = row
	}
	order := int64(0)
	for _, g := range guests {
		for _, w := range g.Services {
			at := slot{persons[g.Reference], w.Service}
			row, ok := left[at]
			delete(left, at)
			if ok {
				err = p.keep(ctx, row, w, order)
			} else {
				err = p.issue(ctx, at.person, w, order)
			}
			if err != nil {
				return err
			}
			order++
		}
	}
	for _, row := range rows {
		if _, gone := left[slot{row.Person, row.Service}]; gone {
			if err := p.withdraw(ctx, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// issue makes a ticket.
func (p *putting) issue(ctx context.Context, person string, w Wanted, order int64) error {
	service, _ := p.service(w.Service)
	day := fromTime(p.visit.At).In(p.opts.Zone).Format(time.DateOnly)
	count, err := p.tx.Count(ctx, db.CountParams{Prefix: service.Prefix, Day: day})
	if err != nil {
		return err
	}
	asked, onFile, err := columns(w.Letter)
	if err != nil {
		return err
	}
	t := db.InsertTicketParams{
		ID: queue.NewID(queue.TicketID), Number: fmt.Sprintf("%s%03d", service.Prefix, count), Code: string(queue.NewCode()),
		Visit: p.visit.ID, Person: person, Service: w.Service, Asked: asked, OnFile: onFile, State: string(queue.Waiting),
		Rank: int64(queue.Normal), Due: p.visit.At, Ord: order, Attempt: 1, Changed: p.now.UnixMilli(),
	}
	if err := p.tx.InsertTicket(ctx, t); err != nil {
		return fmt.Errorf("issuing a ticket: %w", err)
	}
	return p.tx.happened(ctx, Event{At: p.now, Kind: KindIssued, Ticket: t.ID, Attempt: 1})
}

// keep brings a ticket's letter up to date. One that the appointment system had withdrawn waits again.
func (p *putting) keep(ctx context.Context, row db.Ticket, w Wanted, order int64) error {
	asked, onFile, err := columns(w.Letter)
	if err != nil {
		return err
	}
	if row.Asked != asked || row.OnFile != onFile || row.Ord != order {
		if err := p.tx.SetLetter(ctx, db.SetLetterParams{Asked: asked, OnFile: onFile, Ord: order, ID: row.ID}); err != nil {
			return err
		}
	}
	if row.State != string(queue.Cancelled) || row.Withdrawn == 0 {
		return nil
	}
	return p.mark(ctx, row, queue.Waiting, KindRestored)
}

// withdraw cancels a ticket that the appointment no longer has, where nobody is at it.
func (p *putting) withdraw(ctx context.Context, row db.Ticket) error {
	switch queue.State(row.State) {
	case queue.Waiting, queue.Parked, queue.NoShow:
		return p.mark(ctx, row, queue.Cancelled, KindWithdrawn)
	}
	return nil
}

func (p *putting) mark(ctx context.Context, row db.Ticket, state queue.State, kind string) error {
	t, err := fromTicket(row)
	if err != nil {
		return err
	}
	t.State, t.Changed = state, p.now
	if err := p.tx.setTicket(ctx, t); err != nil {
		return err
	}
	if err := p.tx.SetWithdrawn(ctx, db.SetWithdrawnParams{Withdrawn: toInt(kind == KindWithdrawn), ID: t.ID}); err != nil {
		return err
	}
	return p.tx.happened(ctx, Event{At: p.now, Kind: kind, Ticket: t.ID, Attempt: t.Attempt})
}

func (p *putting) booking(ctx context.Context) (Booking, error) {
	b := Booking{Visit: queue.Visit{ID: p.visit.ID, Ref: p.visit.Ref, Organisation: p.visit.Owner, At: fromTime(p.visit.At)}}
	persons, err := p.tx.PersonsOfVisit(ctx, p.visit.ID)
	if err != nil {
		return Booking{}, err
	}
	for _, row := range persons {
		b.Visit.Persons = append(b.Visit.Persons, fromPerson(row))
	}
	rows, err := p.tx.TicketsOfVisit(ctx, p.visit.ID)
	if err != nil {
		return Booking{}, err
	}
	for _, row := range rows {
		t, err := fromTicket(row)
		if err != nil {
			return Booking{}, err
		}
		b.Tickets = append(b.Tickets, t)
	}
	return b, nil
}
