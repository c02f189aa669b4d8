package main

import (
	"fmt"

	"loket/kiosk/api"
	"loket/kiosk/session"
)

type startCmd struct {
	Ticket string `help:"The ticket's id." xor:"who" required:"" placeholder:"tk_…"`
	Code   string `help:"The ticket's code as scanned." xor:"who" required:"" placeholder:"CODE"`
	Next   bool   `help:"Call whoever is next in the queue." xor:"who" required:""`
}

// Run starts a session.
func (s startCmd) Run(c *call) error {
	reply, err := c.client.Do(c.ctx, api.Command{Start: &api.Start{Ticket: s.Ticket, Code: s.Code, Next: s.Next}})
	if err != nil {
		return err
	}
	return c.session(reply.Status)
}

type showCmd struct{}

// Run prints the session.
func (showCmd) Run(c *call) error {
	st, err := c.client.Status(c.ctx)
	if err != nil {
		return err
	}
	return c.session(&st)
}

type cancelCmd struct {
	Reason string `help:"Why, for the record of decisions."`
}

// Run cancels the session.
func (x cancelCmd) Run(c *call) error {
	st, err := c.client.Status(c.ctx)
	if err != nil {
		return err
	}
	e := session.Event{Kind: session.Help, By: session.Attendant, Reason: x.Reason}
	cmd := api.Command{Event: &e}
	if st.Session != nil {
		cmd.Session = st.Session.ID
	}
	if st.Session != nil && st.Session.State == session.Confirming {
		// While a person is asked who they are, staff step in before they cancel.
		if _, err := c.client.Do(c.ctx, cmd); err != nil {
			return err
		}
	}
	e.Kind = session.Cancel
	reply, err := c.client.Do(c.ctx, cmd)
	if err != nil {
		return err
	}
	return c.session(reply.Status)
}

func (c *call) session(st *api.Status) error {
	return c.print(st.Session, func() {
		s := st.Session
		if s == nil {
			fmt.Fprintln(c.out, "No session is in progress.")
			if e := st.LastEnd; e != nil {
				fmt.Fprintf(c.out, "The last one, %s, ended %s.\n", e.Session, e.End)
			}
			return
		}
		fmt.Fprintf(c.out, "%s  ticket %s (%s), attempt %d\nstate  %s\n", s.ID, st.Number, s.Ticket, s.Attempt, s.State)
		if s.Verdict != "" {
			fmt.Fprintf(c.out, "staff are called: %s\n", s.Verdict)
		}
		if st.Moving != "" {
			fmt.Fprintf(c.out, "moving to %s\n", st.Moving)
		}
		if v := st.Verification; v != nil {
			c.verification(v)
		}
		if g := st.Guidance; g != nil {
			fmt.Fprintf(c.out, "step   %s, attempt %d, hint %q\n", g.Step, g.Attempt, g.Hint)
		}
	})
}
