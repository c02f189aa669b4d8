package main

import (
	"fmt"
	"time"

	"loket/kiosk/api"
)

type statusCmd struct{}

// Run prints the status.
func (statusCmd) Run(c *call) error {
	st, err := c.client.Status(c.ctx)
	if err != nil {
		return err
	}
	return c.print(st, func() { c.status(st) })
}

func (c *call) status(st api.Status) {
	ready := "ready"
	switch {
	case len(st.Problems) > 0:
		ready = "NOT READY"
	case !st.Ready:
		ready = "busy"
	}
	demo := ""
	if st.Demo {
		demo = ", demonstration"
	}
	fmt.Fprintf(c.out, "%s at %s (%s%s), version %s, up %s\n", st.Station, st.Centre, ready, demo, st.Version,
		time.Since(st.Started).Round(time.Second))
	for _, p := range st.Problems {
		fmt.Fprintf(c.out, "  ! %s\n    next: %s\n", p.Text, p.Hint)
	}
	for _, w := range st.Warnings {
		fmt.Fprintf(c.out, "  ! %s\n    next: %s\n", w.Text, w.Hint)
	}
	if st.Session != nil {
		fmt.Fprintf(c.out, "session   %s, %s, ticket %s\n", st.Session.ID, st.Session.State, st.Number)
	} else {
		fmt.Fprintln(c.out, "session   none")
	}
	if e := st.LastEnd; e != nil {
		fmt.Fprintf(c.out, "last      %s, %s at %s\n", e.Session, e.End, e.At.Local().Format(time.TimeOnly))
	}
	if s := st.LastScan; s != nil && s.Refused != nil {
		fmt.Fprintf(c.out, "code      at %s: %v\n", s.At.Local().Format(time.TimeOnly), s.Refused)
	}
	if b := st.Booth; b != nil {
		fmt.Fprintf(c.out, "light     %s at %s%s\n", b.State, since(b.At), after(b.Detail))
	}
	fmt.Fprintf(c.out, "outbox    %d to send, %d refused\n", st.Outbox.Pending, st.Outbox.Refused)
	fmt.Fprintf(c.out, "queue     %s\n", map[bool]string{true: "connected", false: "not connected"}[st.QueueLink])
	c.devices(st.Devices)
}

// after puts a detail behind what it explains.
func after(detail string) string {
	if detail == "" {
		return ""
	}
	return ": " + detail
}
