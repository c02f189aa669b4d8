package kiosk

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"loket/drivers"
	"loket/drivers/usb"
)

func TestEachVerdictGivesEachOfThreePeopleAStepOfTheirOwn(t *testing.T) {
	seen := map[string]string{}
	for _, verdict := range []string{"unplugged", "off", "hung", "crashed", "held"} {
		d := deviceStatus(drivers.Status{State: drivers.StateFaulted, Verdict: verdict})
		for who, step := range map[string]string{"applicant": d.ApplicantHint, "attendant": d.StaffHint, "technician": d.Hint} {
			if step == "" {
				t.Errorf("%s: the %s is told nothing", verdict, who)
			}
			if other := seen[step]; other != "" {
				t.Errorf("%s, %s: the same step as for %s", verdict, who, other)
			}
			seen[step] = verdict + ", " + who
		}
	}
	if ready := deviceStatus(drivers.Status{State: drivers.StateReady}); ready.Hint+ready.StaffHint+ready.ApplicantHint != "" {
		t.Errorf("a ready device comes with steps: %+v", ready)
	}
}

func TestStepsFollowWhatIsKnown(t *testing.T) {
	up := deviceStatus(drivers.Status{State: drivers.StateFaulted, Verdict: "hung", Rung: drivers.RungGivenUp})
	if !strings.Contains(up.Hint, "self-test") || up.NextTry != nil {
		t.Errorf("given up: %+v", up)
	}
	held := deviceStatus(drivers.Status{State: drivers.StateFaulted, Verdict: "held", Owner: "gphoto2 (process 4711)"})
	if !strings.Contains(held.Hint, "gphoto2 (process 4711)") {
		t.Errorf("held: %+v", held)
	}
	barred := deviceStatus(drivers.Status{State: drivers.StateFaulted, Detail: "no permission"})
	if !strings.Contains(barred.Hint, "udev") || barred.StaffHint == "" || barred.ApplicantHint == "" {
		t.Errorf("not allowed: %+v", barred)
	}
	for fault, want := range map[error]string{
		drivers.ErrHung: "device-hung",
		&drivers.HeldError{Identity: usb.Identity{}, Owner: "cheese"}: "device-held",
		fmt.Errorf("%w: EACCES", drivers.ErrDenied):                   "device-denied",
	} {
		if p := deviceProblem(drivers.KindCamera, fault); p.Code != want || p.Hint == "" || !strings.Contains(p.Text, fault.Error()) {
			t.Errorf("%v is %+v", fault, p)
		}
	}
	if errors.Is(drivers.ErrDenied, drivers.ErrHeld) {
		t.Error("not allowed is not held")
	}
}
