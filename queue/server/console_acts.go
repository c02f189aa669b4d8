package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"loket/kiosk/identity"
	"loket/queue"
	"loket/queue/station"
	"loket/queue/store"
)

// chain tells one person's way from ticket to receipt.
func (c *Console) chain(w http.ResponseWriter, r *http.Request, who store.Login) {
	from, err := c.Store.Chain(r.Context(), r.PathValue("id"))
	if err == nil && !c.sees(who.Account, from.Ticket) {
		err = fmt.Errorf("tracing: %w", store.ErrUnknown)
	}
	var out consoleChain
	if err == nil {
		out, err = c.chainFor(r.Context(), who.Account, from)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, out)
}

// visible reads a ticket that an account may see; another is as if it were not there.
func (c *Console) visible(ctx context.Context, a queue.Account, id string) (store.View, error) {
	v, err := c.Store.Ticket(ctx, id)
	if err == nil && !c.sees(a, v.Ticket) {
		err = fmt.Errorf("reading ticket %s: %w", id, store.ErrUnknown)
	}
	return v, err
}

func notYours(what string) error {
	return refusal(http.StatusForbidden, station.ProblemForbidden, "your roles do not let you "+what, "ask a supervisor")
}

// decide carries out what staff decided on a ticket.
func (c *Console) decide(w http.ResponseWriter, r *http.Request, who store.Login) {
	var body struct {
		Decision queue.Act `json:"decision"`
		Reason   string    `json:"reason"`
	}
	err := read(w, r, &body)
	if err == nil && len(body.Reason) > 200 {
		err = invalid("reason needs 200 bytes at most")
	}
	var v store.View
	if err == nil {
		v, err = c.visible(r.Context(), who.Account, r.PathValue("id"))
	}
	if err == nil {
		if _, wrong := v.Ticket.Decide(body.Decision, time.Time{}); wrong != nil {
			err = wrong // before any word of rights: it moved on, most likely
		} else if !c.mayDecide(who.Account, v.Ticket, body.Decision) {
			err = notYours("do that with this ticket")
		}
	}
	var before, after store.View
	if err == nil {
		before, after, err = c.Store.Decide(r.Context(), v.Ticket.ID, store.Decision{Act: body.Decision, Author: who.Account.ID, Reason: body.Reason})
	}
	if err != nil {
		refuse(w, err)
		return
	}
	c.follow(before.Ticket, station.Decision{Decision: body.Decision, Attendant: who.Account.ID, Reason: body.Reason})
	reply(w, http.StatusOK, c.ticketFor(who.Account, after))
}

// undo takes back what the caller just decided.
func (c *Console) undo(w http.ResponseWriter, r *http.Request, who store.Login) {
	v, err := c.visible(r.Context(), who.Account, r.PathValue("id"))
	if err == nil && !who.Account.May(queue.Queueing, c.organisation(v.Ticket.Service)) {
		err = notYours("change this ticket")
	}
	if err == nil {
		v, err = c.Store.Undo(r.Context(), v.Ticket.ID, who.Account.ID)
	}
	if errors.Is(err, queue.ErrTooLate) {
		err = refusal(http.StatusConflict, problemTooLate, err.Error(), "look at the ticket and decide anew")
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, c.ticketFor(who.Account, v))
}

// resumeEntry lets codes be entered again at a station.
func (c *Console) resumeEntry(w http.ResponseWriter, r *http.Request, who store.Login) {
	err := length("station", r.PathValue("name"), 64)
	if err == nil && !who.Account.MayAnywhere(queue.Locking) {
		err = notYours("let codes be entered again")
	}
	if err == nil {
		err = c.Store.ResumeEntry(r.Context(), r.PathValue("name"), who.Account.ID)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusNoContent, nil)
}

// consoleCommand is an order to a station. Exactly one verb is set.
type consoleCommand struct {
	ID     string                  `json:"id"` // made by the browser, another one for each order
	Call   *station.CallTicket     `json:"call"`
	Cancel *station.CancelSession  `json:"cancel"`
	Except *station.ExceptFingers  `json:"except"`
	Resume *station.SessionCommand `json:"resume"`
	Move   *station.MoveSession    `json:"move"`
	Lock   *station.LockStation    `json:"lock"`

	Override  *station.OverrideVerification `json:"override"`
	Accept    *station.Veto                 `json:"accept"`
	Recapture *station.Veto                 `json:"recapture"`
}

var orderForm = regexp.MustCompile(`^[A-Za-z0-9-]{8,40}$`)

// orderLimit is how long a station may take to begin with an order. Staff wait for the answer.
const orderLimit = 10 * time.Second

// command sends an order to a station and answers with what the station said. The same id again gives the first answer.
func (c *Console) command(w http.ResponseWriter, r *http.Request, who store.Login) {
	var body consoleCommand
	err := read(w, r, &body)
	if err == nil && !orderForm.MatchString(body.ID) {
		err = invalid("id is not 8 to 40 letters, digits and hyphens")
	}
	if err != nil {
		refuse(w, err)
		return
	}
	order := station.Command{ID: who.Account.ID + "." + body.ID, Author: who.Account.ID, Expires: time.Now().Add(orderLimit), Call: body.Call,
		Cancel: body.Cancel, Except: body.Except, Resume: body.Resume, Move: body.Move, Lock: body.Lock,
		Override: body.Override, Accept: body.Accept, Recapture: body.Recapture}
	if order.Except != nil {
		for i := range order.Except.Exceptions {
			order.Except.Exceptions[i].Attendant = who.Account.ID
		}
	}
	name := r.PathValue("name")
	if wrong := order.Check(); wrong != nil {
		err = invalid(wrong.Error())
	}
	var ticket queue.Ticket
	if err == nil {
		ticket, err = c.mayOrder(r.Context(), who.Account, name, order)
	}
	if err == nil {
		err = c.send(r.Context(), name, order, ticket)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]bool{"done": true})
}

// mayOrder holds an order to the rights of its author, and gives the ticket that it is for. An order is for the session that
// the author saw: another one by now is not touched.
func (c *Console) mayOrder(ctx context.Context, a queue.Account, name string, order station.Command) (queue.Ticket, error) {
	at, ok := c.stationNamed(name)
	switch {
	case !ok:
		return queue.Ticket{}, refusal(http.StatusNotFound, station.ProblemUnknown, "no such station", "look at the list of stations")
	case order.Lock != nil:
		if !a.MayAnywhere(queue.Locking) {
			return queue.Ticket{}, notYours("lock a station")
		}
		return queue.Ticket{}, connectedOnly(at)
	case order.Call != nil:
		v, err := c.visible(ctx, a, order.Call.Ticket)
		if err == nil && !a.May(queue.Queueing, c.organisation(v.Ticket.Service)) {
			err = notYours("call this ticket")
		}
		if err == nil {
			err = connectedOnly(at)
		}
		return v.Ticket, err
	}
	if order.Accept != nil && at.Role != identity.RoleDesk {
		return queue.Ticket{}, refusal(http.StatusForbidden, station.ProblemForbidden, "a capture is accepted where its image is seen, and nobody at the console sees a kiosk's",
			"go there and accept it with a one-time code (kioskctl session accept), or move the session to a desk")
	}
	if order.Move != nil {
		if order.Move.Target == name {
			return queue.Ticket{}, invalid("the target is no other station")
		}
		if _, err := c.free(order.Move.Target); err != nil {
			return queue.Ticket{}, err
		}
	}
	if at.Status == nil || at.Status.Session == nil || at.Status.Session.ID != order.Session() {
		return queue.Ticket{}, refusal(http.StatusConflict, station.ProblemStale, "this session is not at the station any more", "look at the station again")
	}
	v, err := c.visible(ctx, a, at.Status.Session.Ticket)
	if err == nil && !a.May(queue.Assisting, c.organisation(v.Ticket.Service)) {
		err = notYours("help with this session")
	}
	if err == nil {
		err = connectedOnly(at)
	}
	return v.Ticket, err
}

func connectedOnly(s station.StationState) error {
	if s.Connected {
		return nil
	}
	return refusal(http.StatusConflict, problemNoLine, "the station has no line to the queue now", "go there, or try again when it is back")
}

func (c *Console) stationNamed(name string) (station.StationState, bool) {
	for _, s := range c.hub.Stations() {
		if s.Name == name {
			return s, true
		}
	}
	return station.StationState{}, false
}

// send waits for the station's one answer.
func (c *Console) send(ctx context.Context, name string, order station.Command, ticket queue.Ticket) error {
	answer, err := c.hub.Send(ctx, name, order)
	c.Log.Info("ordered", "station", name, "verb", order.Verb(), "account", order.Author, "session", order.Session(), "done", answer.Done, "err", err)
	switch {
	case errors.Is(err, station.ErrNoAnswer):
		return refusal(http.StatusGatewayTimeout, problemUnsure, "the station did not answer: it may have done it or not", "look at the station, or go there")
	case err != nil:
		return fmt.Errorf("sending an order: %w", err)
	case !answer.Done && order.Call != nil:
		return c.notCalled(ctx, name, ticket.ID, answer.Reason)
	case !answer.Done:
		return refusal(http.StatusConflict, problemRefused, "the station refused: "+answer.Reason, "look at the station, or go there")
	case order.Call != nil || ticket.ID == "":
		return nil
	}
	return c.Store.Ordered(ctx, store.Event{Ticket: ticket.ID, Attempt: ticket.Attempt, Station: name, Session: order.Session(),
		Author: order.Author, Request: order.ID, Detail: words(order)})
}

// notCalled says who was quicker, where someone was.
func (c *Console) notCalled(ctx context.Context, name, id, reason string) error {
	v, err := c.Store.Ticket(ctx, id)
	if err != nil {
		return err
	}
	if t := v.Ticket; t.Held() && t.Station != name {
		return refusal(http.StatusConflict, station.ProblemElsewhere, fmt.Sprintf("%s is already called at %s", t.Number, t.Station), "call another ticket")
	}
	return refusal(http.StatusConflict, problemRefused, "the station refused: "+reason, "choose another station, or look what it needs")
}

// words says what was ordered, for the chain: a verb, then what the verb needs, each finger as position:reason:duration. The page
// puts it into the reader's language.
func words(order station.Command) string {
	text := order.Verb()
	switch text {
	case "except":
		for _, e := range order.Except.Exceptions {
			duration := "temporary"
			if e.Permanent {
				duration = "permanent"
			}
			text += fmt.Sprintf(" %d:%s:%s", e.Position, e.Reason, duration)
		}
	case "move":
		text += " " + order.Move.Target
	case "cancel":
		text += strings.TrimRight(" "+order.Cancel.Reason, " ")
	case "override":
		text += " " + order.Override.Reason
	case "accept":
		text += " " + order.Accept.Step + " " + order.Accept.Reason
	case "recapture":
		text += " " + cmp.Or(order.Recapture.Step, "all") + " " + order.Recapture.Reason
	}
	return text
}

func unknown(err error) bool { return errors.Is(err, store.ErrUnknown) }
