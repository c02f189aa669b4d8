package kiosk

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"loket/drivers"
	"loket/drivers/usb"
	"loket/kiosk/plan"
)

func TestEachVerdictGivesEachOfThreePeopleAStepOfTheirOwn(t *testing.T) {
	seen := map[string]string{}
	for _, verdict := range []string{"unplugged", "off", "hung", "crashed", "held", "unfit"} {
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

func TestAScannerThatThePolicyDoesNotTakeIsExplained(t *testing.T) {
	policy, err := plan.LoadPolicy("nl-residence-permit")
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{policy: policy}
	small := drivers.Info{Kind: drivers.KindFingerprint, Sensor: &drivers.Sensor{Width: 384, Height: 290, PPI: 512, Fingers: 1}}
	fault := fmt.Errorf("leasing a fingerprint-scanner: %w", d.fit(small))
	if got := verdict(fault); got != "unfit" || !strings.Contains(fault.Error(), "19.05 x 14.39 mm are less than") {
		t.Errorf("verdict %q: %v", got, fault)
	}
	good := small
	good.Sensor = &drivers.Sensor{Width: 1600, Height: 1500, PPI: 500, Fingers: 4}
	if err := errors.Join(d.fit(good), d.fit(drivers.Info{Kind: drivers.KindCamera})); err != nil {
		t.Error(err)
	}
	for err, want := range map[error]string{fmt.Errorf("%w: late", drivers.ErrHung): "hung", errors.New("odd"): "failed"} {
		if got := verdict(err); got != want {
			t.Errorf("%v is %q", err, got)
		}
	}
}

func TestAStationWhoseScannersDoNotFitSaysSo(t *testing.T) {
	scanner := func(state drivers.State, verdict string) drivers.Status {
		return drivers.Status{Kind: drivers.KindFingerprint, State: state, Verdict: verdict, Detail: "too small (hint: another)"}
	}
	no := scanner(drivers.StateReady, "unfit")
	if p := unfit([]drivers.Status{no}); p == nil || p.Code != "device-unfit" || p.Hint == "" || !strings.Contains(p.Text, "too small") {
		t.Errorf("%+v", p)
	}
	for _, other := range []drivers.State{drivers.StateReady, drivers.StateLeased, drivers.StateOpening} {
		if p := unfit([]drivers.Status{scanner(other, ""), no}); p != nil {
			t.Errorf("beside one that fits and is %s: %+v", other, p)
		}
	}
	if p := unfit([]drivers.Status{{Kind: drivers.KindCamera, State: drivers.StateReady}}); p != nil {
		t.Errorf("a station without scanners: %+v", p)
	}
}
