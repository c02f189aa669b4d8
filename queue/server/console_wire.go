package server

import (
	"context"
	"slices"
	"time"

	"loket/kiosk/biometric"
	"loket/queue"
	"loket/queue/station"
	"loket/queue/store"
)

// The console's messages: docs/api/console.yaml describes them. They are closed types without a place for a sample, a thumbnail
// or a code.

type consoleSession struct {
	Account string             `json:"account"`
	Login   string             `json:"login"`
	Roles   []queue.Membership `json:"roles"`
	Idle    time.Time          `json:"idle"`
	Ends    time.Time          `json:"ends"`
	Centre  string             `json:"centre"`
	Demo    bool               `json:"demo"`
	Locking bool               `json:"locking"`
	// Assisting: may help with sessions, and so decide at a station with a one-time code.
	Assisting bool             `json:"assisting"`
	Services  []consoleService `json:"services"`
}

type consoleService struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Organisation string `json:"organisation"`
}

type consoleTicket struct {
	ID        string      `json:"id"`
	Number    string      `json:"number"`
	Service   string      `json:"service"`
	State     queue.State `json:"state"`
	Attempt   int         `json:"attempt"`
	Front     bool        `json:"front,omitempty"`
	Due       time.Time   `json:"due"`
	Changed   time.Time   `json:"changed"`
	Station   string      `json:"station,omitempty"`
	Session   string      `json:"session,omitempty"`
	Record    string      `json:"record,omitempty"`
	FollowUp  bool        `json:"follow_up,omitempty"`
	Initials  string      `json:"initials"`
	Name      string      `json:"name,omitempty"`
	Reference string      `json:"reference,omitempty"`
	May       []string    `json:"may"`
}

type consoleStation struct {
	Name      string                  `json:"name"`
	Role      string                  `json:"role"`
	Demo      bool                    `json:"demo,omitempty"`
	Connected bool                    `json:"connected"`
	Since     time.Time               `json:"since"`
	Ready     bool                    `json:"ready"`
	Locked    bool                    `json:"locked,omitempty"`
	Takes     bool                    `json:"takes,omitempty"` // a session can be moved there now
	Pending   int                     `json:"pending"`
	Refused   int                     `json:"refused"`
	Problems  []station.Trouble       `json:"problems"`
	Warnings  []station.Trouble       `json:"warnings"` // it works all the same
	Devices   []station.DeviceVerdict `json:"devices"`
	Session   *consoleSitting         `json:"session,omitempty"`
}

// consoleSitting is a session at a station. Whoever may not see its ticket sees that someone is there, and whether help is
// wanted.
type consoleSitting struct {
	Help     bool              `json:"help"`
	Since    time.Time         `json:"since"`
	State    string            `json:"state,omitempty"`
	ID       string            `json:"id,omitempty"`
	Ticket   string            `json:"ticket,omitempty"`
	Number   string            `json:"number,omitempty"`
	Attempt  int               `json:"attempt,omitempty"`
	Step     string            `json:"step,omitempty"`
	Verdict  string            `json:"verdict,omitempty"`
	Deadline *time.Time        `json:"deadline,omitempty"`
	Assist   bool              `json:"assist,omitempty"`
	Ledger   *biometric.Ledger `json:"ledger,omitempty"`
	Target   string            `json:"target,omitempty"`
	Held     []string          `json:"held,omitempty"` // steps that can be captured again, for whoever may help

	Verification *station.Verification `json:"verification,omitempty"`
}

type consoleChain struct {
	Ticket    consoleTicket       `json:"ticket"`
	Facts     []station.ChainFact `json:"facts"`
	Conflicts []consoleConflict   `json:"conflicts"`
}

type consoleConflict struct {
	Ticket  string    `json:"ticket"`
	Number  string    `json:"number"`
	Reason  string    `json:"reason"`
	Record  string    `json:"record"`
	Other   string    `json:"other,omitempty"`
	Station string    `json:"station,omitempty"`
	At      time.Time `json:"at"`
}

type consoleEvent struct {
	Kind    string    `json:"kind"`
	At      time.Time `json:"at"`
	Station string    `json:"station,omitempty"`
	Author  string    `json:"author,omitempty"`
}

// consoleMessage is one message of a live view. The first is a snapshot; then sequences follow each other without a gap, and a
// message with nothing in it is about something that this account does not see.
type consoleMessage struct {
	Sequence uint64           `json:"sequence"`
	Snapshot *consoleSnapshot `json:"snapshot,omitempty"`
	Station  *consoleStation  `json:"station,omitempty"`
	Ticket   *consoleTicket   `json:"ticket,omitempty"`
	Event    *consoleEvent    `json:"event,omitempty"`
}

type consoleSnapshot struct {
	Time      time.Time         `json:"time"`
	Stations  []consoleStation  `json:"stations"`
	Tickets   []consoleTicket   `json:"tickets"`
	Conflicts []consoleConflict `json:"conflicts"`
}

// organisation gives who answers for a service; nobody for one that the centre does not offer any more.
func (s *Server) organisation(service string) string {
	for _, x := range s.Store.Services() {
		if x.ID == service {
			return x.Organisation
		}
	}
	return ""
}

// sees reports whether an account sees a ticket at all.
func (c *Console) sees(a queue.Account, t queue.Ticket) bool {
	return a.May(queue.SeeTicket, c.organisation(t.Service))
}

// ticketFor gives a ticket as an account may see it.
func (c *Console) ticketFor(a queue.Account, v store.View) consoleTicket {
	t := v.Ticket
	out := consoleTicket{ID: t.ID, Number: t.Number, Service: t.Service, State: t.State, Attempt: t.Attempt, Front: t.Rank == queue.Front,
		Due: t.Due, Changed: t.Changed, Station: t.Station, Session: t.Session, Record: t.Record, FollowUp: t.FollowUp,
		Initials: v.Person.Initials(), May: c.mayDo(a, t)}
	if a.May(queue.SeeName, c.organisation(t.Service)) {
		out.Name, out.Reference = v.Person.Name, v.Person.Reference
	}
	return out
}

// mayDo lists what an account may do with a ticket now: "call" and decisions.
func (c *Console) mayDo(a queue.Account, t queue.Ticket) []string {
	may := []string{}
	if t.State == queue.Waiting && a.May(queue.Queueing, c.organisation(t.Service)) {
		may = append(may, "call")
	}
	for _, act := range []queue.Act{queue.ActRecall, queue.ActPark, queue.ActNoShow, queue.ActRequeue, queue.ActCancel} {
		if c.mayDecide(a, t, act) {
			may = append(may, string(act))
		}
	}
	return may
}

// mayDecide holds a decision to the rights of an account and the rules of the queue. Taking a ticket from a station that has
// begun takes someone who knows that the station is lost.
func (c *Console) mayDecide(a queue.Account, t queue.Ticket, act queue.Act) bool {
	right := queue.Queueing
	if act == queue.ActRequeue && t.State == queue.Serving {
		right = queue.Requeuing
	}
	if !a.May(right, c.organisation(t.Service)) {
		return false
	}
	_, err := t.Decide(act, time.Time{})
	return err == nil
}

// stationFor gives a station as an account may see it.
func (c *Console) stationFor(ctx context.Context, a queue.Account, s station.StationState) (consoleStation, error) {
	out := consoleStation{Name: s.Name, Role: string(s.Role), Demo: s.Demo, Connected: s.Connected, Since: s.Since,
		Problems: []station.Trouble{}, Warnings: []station.Trouble{}, Devices: []station.DeviceVerdict{}}
	if s.Verdicts != nil {
		out.Devices = append(out.Devices, s.Verdicts.Devices...)
	}
	if s.Status == nil {
		return out, nil
	}
	out.Ready, out.Locked, out.Pending, out.Refused = s.Status.Ready, s.Status.Locked, s.Status.Pending, s.Status.Refused
	out.Takes = takes(s)
	out.Problems = append(out.Problems, s.Status.Problems...)
	out.Warnings = append(out.Warnings, s.Status.Warnings...)
	if s.Status.Session == nil {
		return out, nil
	}
	var err error
	out.Session, err = c.sittingFor(ctx, a, s)
	return out, err
}

func (c *Console) sittingFor(ctx context.Context, a queue.Account, s station.StationState) (*consoleSitting, error) {
	at := s.Status.Session
	out := &consoleSitting{Help: at.Help, Since: at.Since}
	v, err := c.Store.Ticket(ctx, at.Ticket)
	if unknown(err) || (err == nil && !c.sees(a, v.Ticket)) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	out.State, out.ID, out.Ticket, out.Number, out.Attempt = at.State, at.ID, at.Ticket, v.Ticket.Number, at.Attempt
	out.Step, out.Verdict, out.Deadline, out.Target, out.Verification = at.Step, at.Verdict, at.Deadline, at.Target, at.Verification
	organisation := c.organisation(v.Ticket.Service)
	if out.Assist = a.May(queue.Assisting, organisation); out.Assist {
		out.Held = at.Held
	}
	if l := s.Ledger; l != nil && l.Session == at.ID && a.May(queue.SeeLedger, organisation) {
		out.Ledger = &l.Ledger
	}
	return out, nil
}

// conflictsFor lists the conflicts that an account may see.
func (c *Console) conflictsFor(ctx context.Context, a queue.Account, clashes []queue.Clash) ([]consoleConflict, error) {
	out := []consoleConflict{}
	for _, k := range clashes[:min(len(clashes), 100)] {
		v, err := c.Store.Ticket(ctx, k.Ticket)
		if err != nil {
			return nil, err
		}
		if c.sees(a, v.Ticket) {
			out = append(out, consoleConflict{Ticket: k.Ticket, Number: v.Ticket.Number, Reason: k.Reason, Record: k.Record, Other: k.Other, Station: k.Station, At: k.At})
		}
	}
	return out, nil
}

// chainFor gives a chain as an account may see it. Which fingers were excepted is the ledger's to say.
func (c *Console) chainFor(ctx context.Context, a queue.Account, from store.Chain) (consoleChain, error) {
	out := consoleChain{Ticket: c.ticketFor(a, from.View), Facts: chain(from).Facts}
	if !a.May(queue.SeeLedger, c.organisation(from.Ticket.Service)) {
		for i := range out.Facts {
			if out.Facts[i].Kind == store.KindOrdered {
				out.Facts[i].Detail = ""
			}
		}
	}
	var err error
	out.Conflicts, err = c.conflictsFor(ctx, a, slices.Clone(from.Clashes))
	return out, err
}
