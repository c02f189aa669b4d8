package main

import (
	"fmt"
	"text/tabwriter"
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
	if st.Session != nil {
		fmt.Fprintf(c.out, "session   %s, %s, ticket %s\n", st.Session.ID, st.Session.State, st.Number)
	} else {
		fmt.Fprintln(c.out, "session   none")
	}
	if e := st.LastEnd; e != nil {
		fmt.Fprintf(c.out, "last      %s, %s at %s\n", e.Session, e.End, e.At.Local().Format(time.TimeOnly))
	}
	fmt.Fprintf(c.out, "outbox    %d to send, %d refused\n", st.Outbox.Pending, st.Outbox.Refused)
	fmt.Fprintf(c.out, "queue     %s\n", map[bool]string{true: "connected", false: "not connected"}[st.QueueLink])
	c.devices(st.Devices)
}

type devicesCmd struct{}

// Run prints the devices.
func (devicesCmd) Run(c *call) error {
	st, err := c.client.Status(c.ctx)
	if err != nil {
		return err
	}
	return c.print(st.Devices, func() { c.devices(st.Devices) })
}

func (c *call) devices(list []api.Device) {
	if len(list) == 0 {
		fmt.Fprintln(c.out, "devices   none seen (hint: check cables and power)")
		return
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DEVICE\tKIND\tMODEL\tFIRMWARE\tSTATE\tSINCE")
	for _, d := range list {
		state := d.State
		if d.Verdict != "" {
			state += ": " + d.Verdict
		}
		if d.Simulated {
			state += " (simulated)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", d.Identity, d.Kind, d.Model, d.Firmware, state, d.Since.Local().Format(time.TimeOnly))
	}
	_ = w.Flush()
	for _, d := range list {
		if d.Hint != "" {
			fmt.Fprintf(c.out, "  ! %s: %s\n    next: %s\n", d.Identity, d.Detail, d.Hint)
		}
	}
}
