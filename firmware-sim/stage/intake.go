package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"loket/kiosk"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/session"
	"loket/queue"
	"loket/queue/station"

	"encoding/json"
)

// What the queue is told of every applicant besides the reference.
const (
	ApplicantName = "Sim Person"
	ApplicantBorn = "1990-01-02"
)

// Booking is an appointment of one person as a partner's system puts it. What is zero is the simulation's usual person, who owes
// a photograph and fingerprints of the centre's one service, as a walk-in.
type Booking struct {
	Reference, Name, Service string
	Born                     queue.Date
	At                       time.Time
	Asked                    []biometric.Modality
}

// Ticket puts an appointment of the usual person, and returns the ticket. also names what is asked for besides.
func (c *Centre) Ticket(ctx context.Context, reference string, also ...biometric.Modality) (station.IssuedTicket, error) {
	return c.Book(ctx, Booking{Reference: reference, Asked: append([]biometric.Modality{biometric.Face, biometric.Finger}, also...)})
}

// Book puts an appointment, and returns the ticket.
func (c *Centre) Book(ctx context.Context, b Booking) (station.IssuedTicket, error) {
	if len(b.Asked) == 0 {
		b.Asked = []biometric.Modality{biometric.Face, biometric.Finger}
	}
	partner := station.Client{BaseURL: c.url(c.Ports.Queue), HTTP: c.Partner}
	visit, err := partner.PutAppointment(ctx, b.Reference, station.Appointment{At: b.At,
		Persons: []station.AppointmentPerson{{
			Reference: b.Reference, Name: cmp.Or(b.Name, ApplicantName), BirthDate: cmp.Or(b.Born, ApplicantBorn),
			Services: []station.AppointmentService{{Service: cmp.Or(b.Service, queue.ResidencePermit().ID), Asked: b.Asked, OnFile: station.OnFileList{}}},
		}},
	})
	if err != nil {
		return station.IssuedTicket{}, err
	}
	if len(visit.Persons) != 1 || len(visit.Persons[0].Tickets) != 1 {
		return station.IssuedTicket{}, errors.New("putting an appointment: it did not give one ticket")
	}
	return visit.Persons[0].Tickets[0], nil
}

func (c *Centre) url(port int) string { return fmt.Sprintf("https://127.0.0.1:%d", port) }

// Serve starts a session for a ticket at the kiosk and waits until its record is receipted, deleted here and known to the
// queue. progress is called with each state that the session enters; it may be nil.
func (c *Centre) Serve(ctx context.Context, t station.IssuedTicket, byCode bool, progress func(string)) (Intake, error) {
	intake := Intake{Ticket: t.ID}
	began := time.Now()
	person, err := c.PersonTime(ctx)
	if err != nil {
		return intake, err
	}
	start := api.Start{Ticket: t.ID}
	if byCode {
		start = api.Start{Code: string(t.Code)}
	}
	if err := c.startWhenReady(ctx, start); err != nil {
		return intake, err
	}
	if err := c.follow(ctx, c.Kiosk, &intake, progress); err != nil {
		return intake, err
	}
	at := c.Kiosk
	if intake.End == string(session.HandedOver) {
		at = c.Counter
		if err := c.follow(ctx, at, &intake, progress); err != nil {
			return intake, err
		}
	}
	if intake.Record == "" {
		return intake, fmt.Errorf("the session of ticket %s ended %s", intake.Ticket, intake.End)
	}
	if err := c.receipted(ctx, at, &intake); err != nil {
		return intake, err
	}
	after, err := c.PersonTime(ctx)
	intake.Took, intake.Person = time.Since(began), after-person
	return intake, err
}

// startWhenReady starts a session; a station that is just ending the one before is waited for.
func (c *Centre) startWhenReady(ctx context.Context, start api.Start) error {
	for {
		_, err := c.Kiosk.Do(ctx, api.Command{Start: &start})
		var refused *api.Error
		if err == nil || !errors.As(err, &refused) || refused.Code != "busy" {
			return err
		}
		pause(ctx, 5*time.Millisecond)
	}
}

// errSeen ends a watch that has seen what it waited for.
var errSeen = errors.New("seen")

// follow waits until the ticket's session has ended at a station.
func (c *Centre) follow(ctx context.Context, at *api.Client, intake *Intake, progress func(string)) error {
	state := ""
	err := at.Watch(ctx, func(st api.Status) error {
		if s := st.Session; s != nil && s.Ticket == intake.Ticket {
			intake.Session = s.ID
			if now := string(s.State); now != state && progress != nil {
				state = now
				progress(now)
			}
		}
		if e := st.LastEnd; e != nil && e.Ticket == intake.Ticket {
			intake.Session, intake.End, intake.Record = e.Session, e.End, e.Record
			return errSeen
		}
		return nil
	})
	if !errors.Is(err, errSeen) {
		return err
	}
	return nil
}

// receipted waits until the station has deleted the record on a receipt and the queue has heard of it.
func (c *Centre) receipted(ctx context.Context, at *api.Client, intake *Intake) error {
	for {
		trace, err := traceAt(ctx, at, intake.Record)
		if err != nil {
			return err
		}
		if trace.Queue != nil && trace.Queue.Ticket.State == queue.Done && trace.Station != nil {
			for _, link := range trace.Station.Sessions {
				if link.Session == intake.Session && link.Receipt != nil && len(link.Deleted) > 0 {
					return nil
				}
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for the receipt of record %.12s: %w", intake.Record, ctx.Err())
		}
		pause(ctx, 5*time.Millisecond)
	}
}

// Trace asks the kiosk for a chain.
func (c *Centre) Trace(ctx context.Context, id string) (kiosk.Trace, error) {
	return traceAt(ctx, c.Kiosk, id)
}

func traceAt(ctx context.Context, at *api.Client, id string) (kiosk.Trace, error) {
	var t kiosk.Trace
	reply, err := at.Do(ctx, api.Command{Trace: &api.TraceQuery{ID: id}})
	if err != nil {
		return t, err
	}
	err = json.Unmarshal(reply.Result, &t)
	return t, err
}

// NextReference makes a reference that this centre has not used.
func (c *Centre) NextReference() string {
	c.people++
	return fmt.Sprintf("V%09d", 100000000+c.people)
}
