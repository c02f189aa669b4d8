package main

import (
	"errors"
	"fmt"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/session"
)

// who says who decides: a member of staff by a one-time code of the console, else this user.
type who struct {
	Code string `help:"One-time code of the console, which says who you are. Without it the decision is noted under your user id." env:"LOKET_CODE" placeholder:"CODE"`
}

// decide sends what an attendant decided about the session in progress.
func (c *call) decide(by who, e session.Event) error {
	st, err := c.client.Status(c.ctx)
	if err != nil {
		return err
	}
	e.By = session.Attendant
	cmd := api.Command{Event: &e, Code: by.Code}
	if st.Session != nil {
		cmd.Session = st.Session.ID
	}
	reply, err := c.client.Do(c.ctx, cmd)
	if err != nil {
		return err
	}
	return c.session(reply.Status)
}

type helpCmd struct {
	who
	Reason string `help:"Why, for the record of decisions."`
}

// Run steps in.
func (x helpCmd) Run(c *call) error {
	return c.decide(x.who, session.Event{Kind: session.Help, Reason: x.Reason})
}

type resumeCmd struct{ who }

// Run lets the session go on.
func (x resumeCmd) Run(c *call) error {
	return c.decide(x.who, session.Event{Kind: session.Resumed})
}

type exceptCmd struct {
	who
	Finger    []string `arg:"" optional:"" help:"right-index and so on; none for a step that is no finger step." placeholder:"FINGER"`
	Reason    string   `required:"" enum:"missing,bandaged,damaged,poor-quality,refused" help:"One of ${enum}."`
	Permanent bool     `help:"It will stay so."`
}

// Run excepts fingers.
func (x exceptCmd) Run(c *call) error {
	e := session.Event{Kind: session.Excepted}
	positions := []biometric.FingerPosition{0}
	if len(x.Finger) > 0 {
		positions = nil
	}
	for _, name := range x.Finger {
		f, err := biometric.ParseFinger(name)
		if err != nil {
			return err
		}
		positions = append(positions, f)
	}
	for _, f := range positions {
		e.Exceptions = append(e.Exceptions, biometric.Exception{Position: f, Reason: biometric.Reason(x.Reason), Permanent: x.Permanent})
	}
	return c.decide(x.who, e)
}

type moveCmd struct {
	who
	Station string `arg:"" help:"The desk." placeholder:"STATION"`
	Reason  string `help:"Why, for the record of decisions."`
}

// Run moves the session and waits until it is there.
func (x moveCmd) Run(c *call) error {
	return c.decide(x.who, session.Event{Kind: session.Moved, Target: x.Station, Reason: x.Reason})
}

type overrideCmd struct {
	Code   string `help:"One-time code of the console, which says who you are." env:"LOKET_CODE" required:"" placeholder:"CODE"`
	Reason string `help:"Why the person is who they are all the same." required:""`
}

// Run overrides a verification.
func (x overrideCmd) Run(c *call) error {
	return c.decide(who{x.Code}, session.Event{Kind: session.Override, Reason: x.Reason})
}

type acceptCmd struct {
	Code   string `help:"One-time code of the console, which says who you are." env:"LOKET_CODE" required:"" placeholder:"CODE"`
	Reason string `help:"Why it can't become better." required:""`
	Step   string `arg:"" help:"The step that is being captured; session show tells which." placeholder:"STEP"`
}

// Run accepts what a capture has so far.
func (x acceptCmd) Run(c *call) error {
	return c.decide(who{x.Code}, session.Event{Kind: session.Override, Steps: []string{x.Step}, Reason: x.Reason})
}

type recaptureCmd struct {
	who
	Step   []string `arg:"" optional:"" help:"The steps; none for all." placeholder:"STEP"`
	Reason string   `help:"Why it is not good." required:""`
}

// Run has steps captured again.
func (x recaptureCmd) Run(c *call) error {
	return c.decide(x.who, session.Event{Kind: session.Recapture, Steps: x.Step, Reason: x.Reason})
}

type verifyCmd struct{}

// errNoVerification is the answer where nothing is being verified.
var errNoVerification = errors.New("nothing is being verified here")

// Run shows how far a verification is.
func (verifyCmd) Run(c *call) error {
	st, err := c.client.Status(c.ctx)
	if err != nil {
		return err
	}
	if st.Verification == nil {
		return errNoVerification
	}
	return c.print(st.Verification, func() { c.verification(st.Verification) })
}

func (c *call) verification(v *api.Verification) {
	fmt.Fprintf(c.out, "verification  %s, %d of %d alike", v.State, v.Matched, v.Of)
	if v.Position != 0 {
		fmt.Fprintf(c.out, ", on the glass next: %s", v.Position)
	}
	fmt.Fprintln(c.out)
}
