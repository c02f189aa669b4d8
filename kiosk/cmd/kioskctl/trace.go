package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/journal"
	"loket/queue/station"
)

type traceCmd struct {
	ID string `arg:"" help:"The id of a ticket, a session or a record (its first eight digits are enough)."`
}

// chain is the daemon's answer (kiosk.Trace; the daemon itself is not linked in here).
type chain struct {
	Station *journal.Chain `json:"station,omitempty"`
	Queue   *station.Chain `json:"queue,omitempty"`
	Note    string         `json:"note,omitempty"`
}

// Run prints a chain.
func (t traceCmd) Run(c *call) error {
	var trace chain
	if err := c.ask(api.Command{Trace: &api.TraceQuery{ID: t.ID}}, &trace); err != nil {
		return err
	}
	return c.print(trace, func() { c.trace(trace) })
}

func (c *call) trace(t chain) {
	if q := t.Queue; q != nil {
		fmt.Fprintf(c.out, "ticket    %s, number %s, %s, attempt %d\n", q.Ticket.ID, q.Ticket.Number, q.Ticket.State, q.Ticket.Attempt)
		w := tabwriter.NewWriter(c.out, 10, 0, 2, ' ', 0)
		for _, f := range q.Facts {
			fmt.Fprintf(w, "  queue\t%s\t%s\t%s\t%s\n", clock(f.At), f.Kind, f.Station, f.Session)
		}
		_ = w.Flush()
		for _, x := range q.Conflicts {
			fmt.Fprintf(c.out, "  ! conflict: record %.12s (%s), staff decide at the console\n", x.Record, x.Reason)
		}
	} else if t.Station != nil {
		fmt.Fprintf(c.out, "ticket    %s\n", t.Station.Ticket)
	}
	if t.Station != nil {
		for _, l := range t.Station.Sessions {
			c.link(l)
		}
	}
	if t.Note != "" {
		fmt.Fprintln(c.out, "note     ", t.Note)
	}
}

// link prints one session with what became of its record.
func (c *call) link(l journal.Link) {
	end := l.End
	if end == "" {
		end = "in progress"
	}
	fmt.Fprintf(c.out, "session   %s, attempt %d, %s\n", l.Session, l.Attempt, end)
	for _, step := range []struct {
		what string
		at   *time.Time
	}{{"began", l.Began}, {"ended", l.Ended}, {"told the queue", l.Reported}} {
		if step.at != nil {
			fmt.Fprintf(c.out, "  %s  %s\n", clock(*step.at), step.what)
		}
	}
	if d := l.Docket; d != nil {
		fmt.Fprintf(c.out, "record    %s\n  %s  sealed, %d bytes, policy %s\n", d.Record, clock(d.Time), d.Size, d.Policy.ID)
	}
	if r := l.Receipt; r != nil {
		fmt.Fprintf(c.out, "receipt   %s  in custody of the central service, key %s\n", clock(r.Custody), r.KeyID)
	}
	for _, x := range l.Deleted {
		fmt.Fprintf(c.out, "purged    %s  on %s\n", clock(x.At), x.Kind)
	}
}

func clock(t time.Time) string { return t.Local().Format("15:04:05.000") }
