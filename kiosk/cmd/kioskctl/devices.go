package main

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"loket/kiosk/api"
)

type devicesCmd struct{}

// Run prints the devices.
func (devicesCmd) Run(c *call) error {
	st, err := c.client.Status(c.ctx)
	if err != nil {
		return err
	}
	return c.print(st.Devices, func() { c.devices(st.Devices) })
}

// devices prints a table for a person, and under it what is to be done.
func (c *call) devices(list []api.Device) {
	if len(list) == 0 {
		fmt.Fprintln(c.out, "devices   none seen (hint: check cables and power)")
		return
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DEVICE\tKIND\tMODEL\tFIRMWARE\tSTATE\tVERDICT\tSINCE\tOWNER\tRUNG\tSIMULATED")
	for _, d := range list {
		simulated := "no"
		if d.Simulated {
			simulated = "yes"
		}
		cells := []string{d.Identity, d.Kind, d.Model, d.Firmware, d.State, d.Verdict, since(d.Since), d.Owner, d.Rung, simulated}
		for i := range cells {
			cells[i] = cmp.Or(cells[i], "-")
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush()
	for _, d := range list {
		c.trouble(d)
	}
}

// trouble prints why a device can't be used, and what to do.
func (c *call) trouble(d api.Device) {
	if d.Hint != "" {
		fmt.Fprintf(c.out, "  ! %s: %s\n    next: %s\n", d.Identity, d.Detail, d.Hint)
		if d.NextTry != nil {
			fmt.Fprintf(c.out, "    the station tries again (%s) at %s\n", d.Rung, d.NextTry.Local().Format(time.TimeOnly))
		}
	}
	if len(d.Also) > 0 {
		fmt.Fprintf(c.out, "  ! %s is also seen at %s\n    next: if these are two devices, give one another serial number; only one is used\n",
			d.Identity, strings.Join(d.Also, ", "))
	}
}

// since tells a moment of today by its time, an earlier one with its day.
func since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if local := t.Local(); local.Format(time.DateOnly) == time.Now().Format(time.DateOnly) {
		return local.Format(time.TimeOnly)
	}
	return t.Local().Format("2006-01-02 15:04")
}
