package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"loket/kiosk/identity"
	"loket/queue"
	"loket/queue/station"
	"loket/queue/store"
)

// stations has the handlers of the generated routes.
type stations struct{ *Server }

var _ ServerInterface = (*stations)(nil)

const (
	kiosk        = identity.RoleKiosk
	desk         = identity.RoleDesk
	appointments = identity.RoleAppointments
)

// PutAppointment makes an appointment be as described.
func (s *stations) PutAppointment(w http.ResponseWriter, r *http.Request, ref string) {
	var body station.Appointment
	peer, err := asked(w, r, &body, appointments)
	if err == nil {
		err = checkAppointment(ref, body)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	a := store.Appointment{Owner: peer.Name, Ref: ref, At: body.At}
	for _, p := range body.Persons {
		g := store.Guest{Reference: p.Reference, Name: p.Name, BirthDate: p.BirthDate}
		for _, sv := range p.Services {
			g.Services = append(g.Services, store.Wanted{Service: sv.Service, Letter: queue.Letter{Asked: sv.Asked, OnFile: sv.OnFile}})
		}
		a.Guests = append(a.Guests, g)
	}
	booking, created, err := s.Store.Put(r.Context(), a)
	switch {
	case err != nil:
		refuse(w, err)
	case created:
		reply(w, http.StatusCreated, visit(booking))
	default:
		reply(w, http.StatusOK, visit(booking))
	}
}

var refForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// checkAppointment holds a body to the sizes of the API; the store checks what it says.
func checkAppointment(ref string, a station.Appointment) error {
	if !refForm.MatchString(ref) {
		return invalid("the appointment's reference is not 1 to 64 of A-Z, a-z, 0-9, point, hyphen and underscore")
	}
	if len(a.Persons) > 500 {
		return invalid("more than 500 persons")
	}
	for _, p := range a.Persons {
		if err := errors.Join(text("reference", p.Reference, 64), text("name", p.Name, 200)); err != nil {
			return err
		}
		if len(p.Services) > 16 {
			return invalid("more than 16 services for one person")
		}
		for _, sv := range p.Services {
			if len(sv.OnFile) > 64 {
				return invalid("more than 64 samples on file")
			}
			for _, f := range sv.OnFile {
				if err := text("source", f.Source, 200); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func visit(b store.Booking) station.Visit {
	v := station.Visit{ID: b.Visit.ID, Ref: b.Visit.Ref, At: b.Visit.At, Persons: []station.VisitPerson{}}
	for _, p := range b.Visit.Persons {
		person := station.VisitPerson{ID: p.ID, Reference: p.Reference, Tickets: []station.IssuedTicket{}}
		for _, t := range b.Tickets {
			if t.Person == p.ID {
				person.Tickets = append(person.Tickets, station.IssuedTicket{ID: t.ID, Number: t.Number, Code: t.Code, Service: t.Service,
					State: t.State, Attempt: t.Attempt, Record: t.Record, FollowUp: t.FollowUp})
			}
		}
		v.Persons = append(v.Persons, person)
	}
	return v
}

// CheckIn takes a person's code.
func (s *stations) CheckIn(w http.ResponseWriter, r *http.Request) {
	var body station.CheckIn
	peer, err := asked(w, r, &body, kiosk, desk)
	if err == nil {
		err = length("code", string(body.Code), 64)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	v, err := s.Store.CheckIn(r.Context(), peer.Name, string(body.Code))
	s.ticket(w, peer, v, err)
}

// ticket answers with a ticket as the caller may see it.
func (s *stations) ticket(w http.ResponseWriter, peer identity.Peer, v store.View, err error) {
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, ticket(v, peer.Role))
}

func ticket(v store.View, role identity.Role) station.Ticket {
	t := v.Ticket
	out := station.Ticket{
		ID: t.ID, Number: t.Number, Service: t.Service, State: t.State, Attempt: t.Attempt, Station: t.Station, Session: t.Session,
		Record: t.Record, FollowUp: t.FollowUp, Asked: t.Letter.Asked, OnFile: t.Letter.OnFile, Changed: t.Changed,
		Subject: station.Subject{Reference: v.Person.Reference, BirthDate: v.Person.BirthDate, Initials: v.Person.Initials()},
	}
	if role == desk {
		out.Subject.Name = v.Person.Name
	}
	return out
}

func ticketState(t queue.Ticket) station.TicketState {
	return station.TicketState{ID: t.ID, Number: t.Number, Service: t.Service, State: t.State, Attempt: t.Attempt, Station: t.Station,
		Session: t.Session, Record: t.Record, FollowUp: t.FollowUp}
}

// Call calls a ticket.
func (s *stations) Call(w http.ResponseWriter, r *http.Request) {
	var body station.Call
	peer, err := asked(w, r, &body, kiosk, desk)
	if err == nil {
		err = checkCall(body)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	v, err := s.Store.Call(r.Context(), peer.Name, store.Request{ID: body.RequestID, Services: body.Services, Ticket: body.Ticket})
	if errors.Is(err, store.ErrNobody) {
		reply(w, http.StatusNoContent, nil)
		return
	}
	s.ticket(w, peer, v, err)
}

func checkCall(c station.Call) error {
	switch {
	case len(c.RequestID) < 8 || len(c.RequestID) > 64:
		return invalid("request_id needs 8 to 64 bytes")
	case len(c.Services) > 32:
		return invalid("more than 32 services")
	case c.Ticket != "" && !queue.ValidID(c.Ticket, queue.TicketID):
		return invalid("ticket is not tk_ and 16 characters")
	}
	return nil
}

// GetTicket shows one ticket: to a kiosk only while it has it.
func (s *stations) GetTicket(w http.ResponseWriter, r *http.Request, id string) {
	peer, err := caller(r, kiosk, desk)
	if err != nil {
		refuse(w, err)
		return
	}
	v, err := s.Store.Ticket(r.Context(), id)
	if err == nil && peer.Role == kiosk && v.Ticket.Station != peer.Name {
		err = fmt.Errorf("reading ticket %s: %w", id, store.ErrUnknown)
	}
	s.ticket(w, peer, v, err)
}

// Report takes note of the start or the end of a session.
func (s *stations) Report(w http.ResponseWriter, r *http.Request, id string) {
	var body station.Event
	peer, err := asked(w, r, &body, kiosk, desk)
	if err == nil && (body.At.IsZero() || len(body.Target) > 64) {
		err = invalid("at is missing, or target is too long")
	}
	e := queue.Event{Kind: body.Event, Station: peer.Name, Session: body.Session, Attempt: body.Attempt, Record: body.Record,
		FollowUp: body.FollowUp, Target: body.Target, Final: body.Final, At: body.At}
	if err == nil {
		if wrong := e.Check(); wrong != nil {
			err = invalid(wrong.Error())
		}
	}
	if err != nil {
		refuse(w, err)
		return
	}
	t, effect, err := s.Store.Report(r.Context(), id, e)
	if err != nil {
		refuse(w, err)
		return
	}
	s.Log.Info("session reported", "ticket", t, "event", e.Kind, "session", e.Session, "station", peer.Name, "effect", effect)
	reply(w, http.StatusOK, station.Effect{Effect: effect, Ticket: ticketState(t)})
}

// Decide carries out what an attendant at a station decided.
func (s *stations) Decide(w http.ResponseWriter, r *http.Request, id string) {
	var body station.Decision
	peer, err := asked(w, r, &body, kiosk, desk)
	if err == nil {
		err = length("attendant", body.Attendant, 64)
	}
	if err == nil && len(body.Reason) > 200 {
		err = invalid("reason needs 200 bytes at most")
	}
	if err == nil && peer.Role == kiosk {
		err = s.mine(r.Context(), id, peer.Name)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	before, after, err := s.Store.Decide(r.Context(), id, store.Decision{Act: body.Decision, Author: body.Attendant, Station: peer.Name, Reason: body.Reason})
	if err == nil && before.Ticket.Station != peer.Name {
		s.follow(before.Ticket, body)
	}
	s.ticket(w, peer, after, err)
}

// mine refuses a kiosk that does not have the ticket.
func (s *stations) mine(ctx context.Context, id, name string) error {
	v, err := s.Store.Ticket(ctx, id)
	if err == nil && v.Ticket.Station != name {
		err = fmt.Errorf("ticket %s: %w", id, store.ErrUnknown)
	}
	return err
}

// follow tells the station that had a ticket what was decided elsewhere. The decision holds whether or not the station hears it.
func (s *Server) follow(t queue.Ticket, d station.Decision) {
	session := s.sessionAt(t)
	if !t.Held() || session == "" {
		return
	}
	c := station.Command{ID: queue.NewID("cm"), Author: d.Attendant, Expires: time.Now().Add(commandLimit)}
	if d.Decision == queue.ActRecall {
		c.Recall = &station.SessionCommand{Session: session}
	} else {
		c.Cancel = &station.CancelSession{Session: session, Reason: d.Reason}
	}
	s.work.Go(func() {
		answer, err := s.hub.Send(s.base, t.Station, c)
		if err != nil || !answer.Done {
			s.Log.Warn("a station did not follow a decision", "station", t.Station, "session", session, "verb", c.Verb(), "reason", answer.Reason, "err", err)
		}
	})
}

// sessionAt finds the session that a station has for a ticket.
func (s *Server) sessionAt(t queue.Ticket) string {
	for _, st := range s.hub.Stations() {
		if st.Name == t.Station && st.Status != nil && st.Status.Session != nil && st.Status.Session.Ticket == t.ID {
			return st.Status.Session.ID
		}
	}
	return t.Session
}

// StationTickets lists what the caller was called for or serves.
func (s *stations) StationTickets(w http.ResponseWriter, r *http.Request) {
	peer, err := caller(r, kiosk, desk)
	if err != nil {
		refuse(w, err)
		return
	}
	views, err := s.Store.AtStation(r.Context(), peer.Name)
	if err != nil {
		refuse(w, err)
		return
	}
	list := make([]station.Ticket, 0, len(views))
	for _, v := range views {
		list = append(list, ticket(v, peer.Role))
	}
	reply(w, http.StatusOK, list)
}

// ResumeEntry lets codes be entered again.
func (s *stations) ResumeEntry(w http.ResponseWriter, r *http.Request, name string) {
	var body station.ResumeEntry
	_, err := asked(w, r, &body, desk)
	if err == nil {
		err = errors.Join(length("attendant", body.Attendant, 64), length("station", name, 64))
	}
	if err == nil {
		err = s.Store.ResumeEntry(r.Context(), name, body.Attendant)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusNoContent, nil)
}

// Link runs the line of a station.
func (s *stations) Link(w http.ResponseWriter, r *http.Request) {
	peer, err := caller(r, kiosk, desk)
	if err != nil {
		refuse(w, err)
		return
	}
	if a, ok := w.(*answer); ok {
		a.status, w = http.StatusSwitchingProtocols, a.ResponseWriter // which the line takes over
	}
	s.hub.Serve(w, r, peer)
}

// Chain tells what is known of a ticket, session or record.
func (s *stations) Chain(w http.ResponseWriter, r *http.Request, id string) {
	peer, err := caller(r, kiosk, desk, appointments)
	if err != nil {
		refuse(w, err)
		return
	}
	c, err := s.Store.Chain(r.Context(), id)
	if err == nil {
		err = s.mayTrace(r.Context(), peer, c)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, chain(c))
}

// mayTrace refuses a chain that a caller has nothing to do with, as if it were not there.
func (s *stations) mayTrace(ctx context.Context, peer identity.Peer, c store.Chain) error {
	may, err := true, error(nil)
	switch {
	case peer.Role == appointments:
		may = c.Owner == peer.Name
	case peer.Role == kiosk && c.Ticket.Station != peer.Name:
		may, err = s.Store.WasAt(ctx, c.Ticket.ID, peer.Name)
	}
	if err == nil && !may {
		err = fmt.Errorf("tracing: %w", store.ErrUnknown)
	}
	return err
}

func chain(c store.Chain) station.Chain {
	out := station.Chain{Visit: c.Ticket.Visit, Person: c.Ticket.Person, Ticket: ticketState(c.Ticket),
		Facts: []station.ChainFact{}, Conflicts: []station.Conflict{}}
	for _, e := range c.Events {
		out.Facts = append(out.Facts, station.ChainFact{Sequence: e.Sequence, At: e.At, Kind: e.Kind, Attempt: e.Attempt,
			Station: e.Station, Session: e.Session, Record: e.Record, Author: e.Author, Detail: e.Detail})
	}
	for _, k := range c.Clashes {
		out.Conflicts = append(out.Conflicts, station.Conflict{Ticket: k.Ticket, Reason: k.Reason, Record: k.Record, Other: k.Other,
			Session: k.Session, Attempt: k.Attempt, Station: k.Station, At: k.At})
	}
	return out
}

// Health says whether the queue can serve.
func (s *stations) Health(w http.ResponseWriter, r *http.Request) {
	if err := s.Store.Ping(r.Context()); err != nil {
		refuse(w, fmt.Errorf("asking the store: %w", err))
		return
	}
	reply(w, http.StatusOK, station.Health{Status: "ok", Version: s.Version})
}
