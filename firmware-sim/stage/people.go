package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/session"
)

// Attendant is the scripted member of staff who stands beside the kiosk: what an applicant and an attendant would touch on
// screens is sent for them. Run follows one kiosk until ctx ends, over every restart of its daemon.
type Attendant struct {
	Kiosk *api.Client
	// Pseudonym is the id under which decisions are made.
	Pseudonym string
	// Desk is where a session is moved that must be verified elsewhere; empty for nowhere.
	Desk string
	// Code gives a one-time code of the console, for decisions that need one; nil for none.
	Code func(ctx context.Context) (string, error)
	// Except is tried when a device or a person can't go on; nil resumes.
	Except func(api.Status) []biometric.Exception
	// Seen is called with each status before it is acted on; it may be nil.
	Seen func(api.Status)
}

// Run acts until ctx ends.
func (a *Attendant) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := a.Kiosk.Watch(ctx, func(st api.Status) error {
			if e, act := a.answer(st); act {
				if a.Seen != nil {
					a.Seen(st)
				}
				c := api.Command{Event: &e, Session: st.Session.ID}
				if e.Kind == session.Override {
					var err error
					if c.Code, err = a.Code(ctx); err != nil {
						return err
					}
				}
				_, err := a.Kiosk.Do(ctx, c)
				var refused *api.Error
				if err != nil && !errors.As(err, &refused) {
					return err
				}
			}
			return nil
		})
		if ctx.Err() == nil && err != nil {
			pause(ctx, 20*time.Millisecond) // the daemon is starting
		}
	}
	return ctx.Err()
}

// answer says what people do about a status.
func (a *Attendant) answer(st api.Status) (session.Event, bool) {
	if st.Session == nil {
		return session.Event{}, false
	}
	screen := session.Event{By: session.Screen}
	staff := session.Event{By: session.Attendant, Attendant: a.Pseudonym}
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
