package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"loket/kiosk/failpoint"
	"loket/kiosk/identity"
	"loket/queue"
	"loket/queue/station"
)

// Limits of what is handed over.
const (
	maxBundle     = 32 << 20 // bytes
	maxRelayed    = 4        // bundles at a time
	handoverLimit = 25 * time.Second
	takeLimit     = 20 * time.Second // for the target, of it
)

// What ended is remembered for as long as a call of it may still be on its way: on a line that its sender took for dead long ago.
const (
	rememberOver = idleLimit + readLimit + 2*handoverLimit
	maxOver      = 1 << 14
)

// relay keeps sealed bundles in memory while their targets take them. It can't read them. The zero value works.
type relay struct {
	mu      sync.Mutex
	bundles map[string]*bundle
	over    map[string]time.Time // hand-overs that ended, and when
}

// bundle is one hand-over under way.
type bundle struct {
	order  station.TakeSession
	target string
	data   []byte // nil until all of it is here
}

func (b *bundle) named(from string, p station.HandOverParams) bool {
	return b.target == p.Target && b.order == orderOf(b.order.Handover, from, p)
}

func orderOf(id, from string, p station.HandOverParams) station.TakeSession {
	return station.TakeSession{Handover: id, From: from, Ticket: p.Ticket, Session: p.Session, Attempt: p.Attempt}
}

// add makes room for a bundle, before any of it is read; false where there are too many, one of that station, or where that
// hand-over has ended.
func (r *relay) add(b *bundle) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bundles == nil {
		r.bundles = map[string]*bundle{}
	}
	if _, over := r.over[b.order.Handover]; over || len(r.bundles) >= maxRelayed {
		return false
	}
	for id, other := range r.bundles {
		if id == b.order.Handover || other.order.From == b.order.From {
			return false
		}
	}
	r.bundles[b.order.Handover] = b
	return true
}

// fill gives a bundle its bytes; false where it was withdrawn meanwhile.
func (r *relay) fill(b *bundle, data []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b.data = data
	return r.bundles[b.order.Handover] == b
}

// find gives a bundle to the station that it is for.
func (r *relay) find(id, target string) (*bundle, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.bundles[id]; b != nil && b.target == target && b.data != nil {
		return b, nil
	}
	return nil, refusal(http.StatusNotFound, station.ProblemUnknown, "no such hand-over for this station", "it was withdrawn, or the queue was started anew")
}

// drop ends a hand-over: nobody accepts it any more, nor begins it anew. It waits for an acceptance that is being written.
func (r *relay) drop(id string, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.bundles, id)
	maps.DeleteFunc(r.over, func(_ string, at time.Time) bool { return now.Sub(at) > rememberOver })
	if len(r.over) >= maxOver {
		return refusal(http.StatusServiceUnavailable, station.ProblemUnavailable, "too much was handed over lately", "ask again in a moment")
	}
	if r.over == nil {
		r.over = map[string]time.Time{}
	}
	r.over[id] = now
	return nil
}

// accept runs fn while nobody can drop the bundle.
func (r *relay) accept(id, target string, fn func(*bundle) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bundles[id]
	if b == nil || b.target != target || b.data == nil {
		return refusal(http.StatusConflict, station.ProblemStale, "this hand-over is over", "forget the session; its sender has it, or the queue")
	}
	return fn(b)
}

// HandoverKey passes on the key that a station offers.
func (s *stations) HandoverKey(w http.ResponseWriter, r *http.Request, name string) {
	_, err := caller(r, kiosk, desk)
	var at station.StationState
	if err == nil {
		at, err = s.free(name)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, at.Key)
}

// free gives a desk that can take a session over now.
func (s *Server) free(name string) (station.StationState, error) {
	for _, st := range s.hub.Stations() {
		if st.Name != name {
			continue
		}
		if takes(st) {
			return st, nil
		}
		return st, refusal(http.StatusConflict, problemBusy, fmt.Sprintf("%s can't take a session over now", name), "choose a desk that is free")
	}
	return station.StationState{}, refusal(http.StatusNotFound, station.ProblemUnknown, "no such station", "look at the list of stations")
}

const problemBusy = "urn:loket:problem:busy"

// takes reports whether a station can take a session over now.
func takes(s station.StationState) bool {
	return s.Role == identity.RoleDesk && s.Connected && s.Key != nil && s.Status != nil && s.Status.Ready && s.Status.Session == nil
}

// HandOver relays a session and answers where it is then.
func (s *stations) HandOver(w http.ResponseWriter, r *http.Request, id string, p station.HandOverParams) {
	peer, err := caller(r, kiosk, desk)
	if err == nil {
		err = checkHandover(id, p)
	}
	if err == nil {
		err = s.serving(r.Context(), peer.Name, p)
	}
	if err == nil {
		_, err = s.free(p.Target)
	}
	b := &bundle{order: orderOf(id, peer.Name, p), target: p.Target}
	if err == nil {
		err = s.receive(w, r, b)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	failpoint.Hit("handover.stored")
	reason := s.offerTo(r.Context(), b)
	end, err := s.settle(r.Context(), peer.Name, id, p)
	if err != nil {
		refuse(w, err)
		return
	}
	if !end.Moved {
		end.Reason = cmp.Or(reason, "the desk did not take it")
	}
	s.Log.Info("handed over", "session", p.Session, "from", peer.Name, "to", p.Target, "moved", end.Moved, "reason", end.Reason)
	reply(w, http.StatusOK, end)
}

func checkHandover(id string, p station.HandOverParams) error {
	switch {
	case !queue.ValidID(id, "ho"):
		return invalid("the hand-over is not ho_ and 16 characters")
	case !queue.ValidID(p.Ticket, queue.TicketID) || !queue.ValidID(p.Session, "se"):
		return invalid("ticket or session is missing")
	case p.Attempt < 1:
		return invalid("attempts count from 1")
	}
	return length("target", p.Target, 64)
}

// serving refuses a sender that does not have what it hands over.
func (s *Server) serving(ctx context.Context, from string, p station.HandOverParams) error {
	v, err := s.Store.Ticket(ctx, p.Ticket)
	if err != nil {
		return err
	}
	if v.Ticket.Station == p.Target {
		return refusal(http.StatusConflict, station.ProblemStale, "the target has the session already", "ask with DELETE")
	}
	_, err = v.Ticket.HandOver(from, p.Target, p.Session, p.Attempt, time.Time{})
	return err
}

// receive reads a bundle into the room that there is for it.
func (s *stations) receive(w http.ResponseWriter, r *http.Request, b *bundle) error {
	if !s.relay.add(b) {
		return refusal(http.StatusConflict, problemBusy, "too much is being handed over now, or this is or was already", "try again in a moment")
	}
	data, err := readBundle(w, r)
	if err == nil && !s.relay.fill(b, data) {
		err = refusal(http.StatusConflict, station.ProblemStale, "this hand-over was withdrawn", "hand it over anew")
	}
	if err != nil {
		return errors.Join(err, s.relay.drop(b.order.Handover, time.Now()))
	}
	return nil
}

func readBundle(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBundle))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refusal(http.StatusRequestEntityTooLarge, station.ProblemInvalid, fmt.Sprintf("the bundle is larger than %d bytes", maxBundle), "cancel the session: it can't be moved")
	case err != nil:
		return nil, refusal(http.StatusBadRequest, station.ProblemInvalid, "the bundle ended too soon", "try again")
	case len(data) == 0:
		return nil, invalid("the bundle is empty")
	}
	return data, nil
}

// offerTo tells the target and waits for its answer. What counts is the store; the answer gives the reason.
func (s *Server) offerTo(ctx context.Context, b *bundle) (reason string) {
	order := b.order
	c := station.Command{ID: order.Handover, Author: "queue", Expires: time.Now().Add(takeLimit / 2), Take: &order}
	ctx, cancel := context.WithTimeout(ctx, takeLimit)
	defer cancel()
	answer, err := s.hub.Send(ctx, b.target, c)
	if err != nil {
		s.Log.Warn("a desk did not answer", "station", b.target, "session", order.Session, "err", err)
		return ""
	}
	return answer.Reason
}

// settle ends a hand-over and says where the session is.
func (s *Server) settle(ctx context.Context, from, id string, p station.HandOverParams) (station.HandoverEnd, error) {
	if err := s.relay.drop(id, time.Now()); err != nil {
		return station.HandoverEnd{}, err
	}
	v, err := s.Store.Ticket(ctx, p.Ticket)
	if err != nil {
		return station.HandoverEnd{}, err
	}
	// Whoever took it may be through with it already, or have lost it: either way it is not the sender's any more.
	_, gone := v.Ticket.HandOver(from, from, p.Session, p.Attempt, time.Time{})
	return station.HandoverEnd{Moved: gone != nil}, nil
}

// Withdraw takes a hand-over back, or says that it is done.
func (s *stations) Withdraw(w http.ResponseWriter, r *http.Request, id string, p station.WithdrawParams) {
	peer, err := caller(r, kiosk, desk)
	given := station.HandOverParams(p)
	if err == nil {
		err = checkHandover(id, given)
	}
	if err == nil {
		err = s.sender(id, peer.Name, given)
	}
	var end station.HandoverEnd
	if err == nil {
		end, err = s.settle(r.Context(), peer.Name, id, given)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, end)
}

// sender refuses to withdraw what somebody else hands over.
func (s *Server) sender(id, from string, p station.HandOverParams) error {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	if b := s.relay.bundles[id]; b != nil && !b.named(from, p) {
		return refusal(http.StatusNotFound, station.ProblemUnknown, "no such hand-over of this station", "name what you sent")
	}
	return nil
}

// Bundle gives the sealed bytes to the station that they are for.
func (s *stations) Bundle(w http.ResponseWriter, r *http.Request, id string) {
	peer, err := caller(r, desk)
	var b *bundle
	if err == nil {
		b, err = s.relay.find(id, peer.Name)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b.data) // a caller that is gone asks again, or not
}

// Accept gives the ticket to the station that opened the bundle.
func (s *stations) Accept(w http.ResponseWriter, r *http.Request, id string) {
	peer, err := caller(r, desk)
	if err != nil {
		refuse(w, err)
		return
	}
	var accepted station.Ticket
	err = s.relay.accept(id, peer.Name, func(b *bundle) error {
		v, err := s.Store.HandOver(r.Context(), b.order.Ticket, b.order.From, peer.Name, b.order.Session, b.order.Attempt)
		if err == nil {
			accepted = ticket(v, peer.Role)
		}
		return err
	})
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, accepted)
}
