package kiosk

import (
	"cmp"
	"errors"
	"fmt"

	"loket/drivers"
	"loket/kiosk/acquire"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/plan"
)

// nextSteps are what each of three people does about a device: five faults, five next steps for each.
type nextSteps struct{ applicant, staff, technician string }

func stepsFor(verdict string) nextSteps {
	switch verdict {
	case "unplugged":
		return nextSteps{
			applicant:  "The device is not connected. Leave the cables as they are; someone comes to help you.",
			staff:      "push the plug in at both ends; the session goes on by itself. If that does not help, take the person to a desk",
			technician: "check the cable at both ends and the device's own power switch; it is used again as soon as it is seen",
		}
	case "off":
		return nextSteps{
			applicant:  "The device has no power. Please wait; someone comes to switch it on.",
			staff:      "switch the device on, and the power strip that it hangs on",
			technician: "switch the device or its hub port on; an over-current port stays off until the cause is gone",
		}
	case "hung":
		return nextSteps{
			applicant:  "The device does not react. Take your hands off it and wait a moment: it is being started again.",
			staff:      "wait half a minute; if it is not back by then, unplug the device for ten seconds and plug it in again",
			technician: "unplug the device for ten seconds and plug it in again; if it hangs again, replace it",
		}
	case "crashed":
		return nextSteps{
			applicant:  "The device made a mistake. What you have done so far is kept; you can try again in a moment.",
			staff:      "let the person try again; after the third time take them to a desk and call a technician",
			technician: "it is being reset; if this returns, exchange the cable first, then the device",
		}
	case "held":
		return nextSteps{
			applicant:  "The device is busy with something else. Please wait until someone has freed it.",
			staff:      "close whatever else uses the device on this machine; where you can't, take the person to a desk and call a technician",
			technician: "end the program that holds the device, or the desktop service that grabbed it",
		}
	case verdictUnfit:
		return nextSteps{
			applicant:  "The fingerprint scanner here is not made for this. Someone comes to take you to another place.",
			staff:      "take the person to a station or desk with another fingerprint scanner; nothing here is broken",
			technician: "connect a scanner that is large and fine enough for the station's policy; kioskctl devices says what this one lacks",
		}
	}
	return nextSteps{}
}

// verdictUnfit is said of a device that works, and that the station's policy does not take.
const verdictUnfit = "unfit"

// fit says with a [*plan.UnfitError] that the station's policy does not take a device.
func (d *Daemon) fit(i drivers.Info) error {
	if i.Kind != drivers.KindFingerprint || d.policy.Finger == nil {
		return nil
	}
	return acquire.Fit(plan.Step{Modality: biometric.Finger, Sensor: &d.policy.Finger.Sensor}, i)
}

// judged lists the devices. One that works and does not fit has a verdict that says so, and why.
func (d *Daemon) judged() []drivers.Status {
	list := d.registry.List()
	for i, s := range list {
		if s.State != drivers.StateReady && s.State != drivers.StateLeased {
			continue
		}
		if err := d.fit(s.Info); err != nil {
			list[i].Verdict, list[i].Detail = verdictUnfit, err.Error()
		}
	}
	return list
}

// unfit explains that all fingerprint scanners that could work do not fit; nil where one may.
func unfit(list []drivers.Status) *api.Problem {
	var p *api.Problem
	for _, s := range list {
		switch {
		case s.Kind != drivers.KindFingerprint:
		case s.Verdict == verdictUnfit:
			p = &api.Problem{Code: "device-" + verdictUnfit, Text: fmt.Sprintf("%s: %s", s.Kind, s.Detail), Hint: stepsFor(verdictUnfit).technician}
		case s.State == drivers.StateReady, s.State == drivers.StateLeased, s.State == drivers.StateOpening:
			return nil
		}
	}
	return p
}

// givenUp is a technician's next step where the registry has none left.
const givenUp = "everything was tried and it is left alone now: plug it in anew, or run kioskctl self-test; if it fails again, replace it"

// denied is their next step where the system keeps the device from the daemon.
const denied = "a udev rule must give kioskd's group the device; the driver's README has it"

// stepsOf gives the next steps for a device as it stands.
func stepsOf(s drivers.Status) nextSteps {
	steps := stepsFor(s.Verdict)
	switch {
	case s.Rung == drivers.RungGivenUp:
		steps.technician = givenUp
		steps.staff = "unplug the device for ten seconds and plug it in again; if it is not back then, take the person to a desk and call a technician"
	case s.Verdict == "held" && s.Owner != "":
		steps.technician = fmt.Sprintf("end %s, which holds the device, or the desktop service that started it", s.Owner)
	case s.State == drivers.StateFaulted && s.Verdict == "":
		steps = nextSteps{applicant: "The device can't be used here. Someone comes to help you.",
			staff: "take the person to a desk and call a technician", technician: denied}
	}
	return steps
}

// deviceStatus is a registry entry as the API shows it.
func deviceStatus(s drivers.Status) api.Device {
	steps := stepsOf(s)
	d := api.Device{
		Identity: s.Identity.String(), Kind: string(s.Kind), Driver: s.Info.Driver, Model: s.Info.Model, Serial: s.Info.Serial,
		Firmware: s.Info.Firmware, State: string(s.State), Verdict: s.Verdict, Detail: s.Detail,
		Hint: steps.technician, StaffHint: steps.staff, ApplicantHint: steps.applicant,
		Owner: s.Owner, Rung: string(s.Rung), Also: s.Also, Simulated: s.Info.Simulated, Since: s.Since,
	}
	if !s.NextTry.IsZero() {
		d.NextTry = &s.NextTry
	}
	return d
}

// deviceProblem explains a kind of device that the station needs and lacks.
func deviceProblem(kind drivers.Kind, fault error) api.Problem {
	verdict, hint := drivers.Verdict(fault), ""
	if errors.Is(fault, drivers.ErrDenied) {
		verdict, hint = "denied", denied
	}
	return api.Problem{Code: "device-" + verdict, Text: fmt.Sprintf("%s: %v", kind, fault), Hint: cmp.Or(hint, stepsFor(verdict).technician)}
}
