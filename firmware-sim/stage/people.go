package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"loket/firmware-sim/subject"
	"loket/firmware-sim/synth"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/ink"
	"loket/kiosk/session"
)

// Attendant is the scripted member of staff who stands beside the kiosk: what an applicant and an attendant would touch on
// screens is sent for them. Run follows one kiosk until ctx ends, over every restart of its daemon.
type Attendant struct {
	Kiosk *api.Client
	// Desk is where a session is moved that must be verified elsewhere; empty for nowhere.
	Desk string
	// Code gives a one-time code of the console, for decisions that need one; nil for none.
	Code func(ctx context.Context) (string, error)
	// Control is the address of the simulated devices, whose person signs; empty for the first person of all, on the screen.
	Control string
	// Except is tried when a device or a person can't go on; nil resumes.
	Except func(api.Status) []biometric.Exception
	// Seen is called with each status before it is acted on; it may be nil.
	Seen func(api.Status)

	signed string // what was signed on a pad last: session, entry and attempt
}

// Run acts until ctx ends.
func (a *Attendant) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := a.Kiosk.Watch(ctx, func(st api.Status) error {
			c, act, err := a.command(ctx, st)
			if err != nil || !act {
				return err
			}
			if a.Seen != nil {
				a.Seen(st)
			}
			_, err = a.Kiosk.Do(ctx, c)
			var refused *api.Error
			if err != nil && !errors.As(err, &refused) {
				return err
			}
			return nil
		})
		if ctx.Err() == nil && err != nil {
			pause(ctx, 20*time.Millisecond) // the daemon is starting
		}
	}
	return ctx.Err()
}

// command is what people have a station do about a status.
func (a *Attendant) command(ctx context.Context, st api.Status) (c api.Command, act bool, err error) {
	if signing(st) {
		c.Session = st.Session.ID
		c.Sign, err = a.sign(ctx, st)
		return c, c.Sign != nil, err
	}
	e, act := a.answer(st)
	if !act {
		return c, false, nil
	}
	c.Session, c.Event = st.Session.ID, &e
	if e.Kind == session.Override {
		c.Code, err = a.Code(ctx)
	}
	return c, true, err
}

// signing says that a signature is waited for.
func signing(st api.Status) bool {
	if st.Session == nil || st.Session.State != session.Capturing || st.Guidance == nil {
		return false
	}
	step, open := st.Session.Current()
	return open && step.Modality == biometric.Signature && st.Guidance.Step == step.ID
}

// sign signs as the person at the devices does: on the screen, or on the pad, there once in each attempt.
func (a *Attendant) sign(ctx context.Context, st api.Status) (*api.Sign, error) {
	if st.Guidance.Pad {
		this := fmt.Sprint(st.Session.ID, st.Session.Entry, st.Guidance.Attempt)
		if a.signed == this {
			return nil, nil
		}
		if err := event(ctx, a.Control, "sign"); err != nil {
			return nil, err
		}
		a.signed = this
		return &api.Sign{}, nil
	}
	who := synth.Person(1)
	if a.Control != "" {
		at, err := state(ctx, a.Control)
		if err != nil {
			return nil, err
		}
		who = subject.Who(at.Seed, at.Person)
	}
	k := Signature(who)
	return &api.Sign{Ink: &k}, nil
}

// Signature is what somebody of the simulation writes on a screen.
func Signature(who synth.Person) ink.Ink {
	k := ink.Ink{Width: 100 * synth.ScribbleWidth, Height: 100 * synth.ScribbleHeight}
	for _, s := range who.Scribble() {
		var stroke ink.Stroke
		for _, p := range s {
			stroke = append(stroke, ink.Point{X: int(100 * p.X), Y: int(100 * p.Y), T: int(1000 * p.T)})
		}
		k.Strokes = append(k.Strokes, stroke)
	}
	return k
}

// answer says what people do about a status.
func (a *Attendant) answer(st api.Status) (session.Event, bool) {
	if st.Session == nil {
		return session.Event{}, false
	}
	screen := session.Event{By: session.Screen}
	staff := session.Event{By: session.Attendant}
	switch st.Session.State {
	case session.Called:
		screen.Kind = session.Arrived
		return screen, true
	case session.Confirming:
		screen.Kind = session.Confirmed
		return screen, true
	case session.Reviewing:
		screen.Kind = session.Approved
		return screen, true
	case session.Verifying:
		byEye := st.Verification != nil && st.Verification.State == api.VerifyByEye
		staff.Kind, staff.Reason = session.Override, "compared by eye at the desk"
		if !st.Desk {
			staff.Kind, staff.Reason, staff.Target = session.Moved, "", a.Desk
		}
		return staff, st.Moving == "" && (st.Desk && byEye && a.Code != nil || !st.Desk && a.Desk != "")
	case session.Assistance:
		if a.Except != nil {
			if x := a.Except(st); len(x) > 0 {
				staff.Kind, staff.Exceptions = session.Excepted, x
				return staff, true
			}
		}
		staff.Kind = session.Resumed
		return staff, len(st.Problems) == 0 && st.Moving == ""
	}
	return session.Event{}, false
}

// Accompany has the same person stand at the desk as at the kiosk, until ctx ends.
func (c *Centre) Accompany(ctx context.Context) error {
	at := 1
	for ctx.Err() == nil {
		err := c.Kiosk.Watch(ctx, func(st api.Status) error {
			if st.Session == nil {
				return nil
			}
			kiosk, err := state(ctx, c.Control())
			if err != nil || kiosk.Person == at {
				return err
			}
			at = kiosk.Person
			return event(ctx, c.DeskControl(), fmt.Sprintf("person %d", at))
		})
		if ctx.Err() == nil && err != nil {
			pause(ctx, 20*time.Millisecond) // something is starting
		}
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Intake is one applicant's way through.
type Intake struct {
	Reference string
	Ticket    string
	Session   string
	Record    string
	End       string
	Took      time.Duration // from the call to the receipt
	Person    time.Duration // of it, the simulated person's own time
}

// String gives the chain in one line.
func (i Intake) String() string {
	return fmt.Sprintf("%s -> %s -> %.12s… -> receipt", i.Ticket, i.Session, i.Record)
}
