package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/outbox"
)

type outboxCmd struct {
	Retry bool   `help:"Try to send the waiting records now."`
	Again string `help:"Send a refused record again, because the cause is gone." placeholder:"RECORD"`
}

// Run prints the outbox.
func (o outboxCmd) Run(c *call) error {
	var list []outbox.Entry
	if err := c.ask(api.Command{Outbox: &api.OutboxQuery{Retry: o.Retry, Again: o.Again}}, &list); err != nil {
		return err
	}
	return c.print(list, func() {
		if len(list) == 0 {
			fmt.Fprintln(c.out, "The outbox is empty: every sealed record has its receipt.")
			return
		}
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "RECORD\tTICKET\tSIZE\tSTATE\tSINCE\tWHY")
		for _, e := range list {
			fmt.Fprintf(w, "%.12s\t%s\t%d\t%s\t%s\t%s\n", e.Docket.Record, e.Docket.Ticket, e.Docket.Size, e.State,
				e.Docket.Time.Local().Format(time.TimeOnly), e.Reason)
		}
		_ = w.Flush()
	})
}
