package kiosk

import (
	"context"
	"errors"

	"loket/kiosk/api"
	"loket/kiosk/journal"
	"loket/queue/station"
)

// Trace is one chain as a station tells it: what the station itself knows and, where it answers, what the queue knows.
type Trace struct {
	Station *journal.Chain `json:"station,omitempty"`
	Queue   *station.Chain `json:"queue,omitempty"`
	Note    string         `json:"note,omitempty"` // why a part is missing
}

// trace follows an id through the station's journal and the queue.
func (d *Daemon) trace(ctx context.Context, id string) (api.Reply, error) {
	var t Trace
	chain, err := d.journal.Trace(id)
	switch {
	case err == nil:
		t.Station = &chain
		id = chain.Ticket
	case !errors.Is(err, journal.ErrUnknown):
		return api.Reply{}, err
	}
	known, err := d.queue.Chain(ctx, id)
	switch {
	case err == nil:
		t.Queue = &known
	case station.RefusedAs(err, station.ProblemUnknown):
		t.Note = "the queue knows no such chain"
	default:
		t.Note = "the queue did not answer: " + err.Error()
	}
	if t.Station == nil && t.Queue == nil {
		return api.Reply{}, &api.Error{Code: "unknown", Text: "no chain has this id: " + t.Note,
			Hint: "give the id of a ticket, a session or a record; eight digits of a record are enough"}
	}
	return result(t)
}
