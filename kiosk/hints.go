package kiosk

import (
	"fmt"

	"loket/drivers"
	"loket/kiosk/api"
)

// nextStep says what a technician does about a verdict: five faults, five next steps.
func nextStep(verdict string) string {
	switch verdict {
	case "unplugged":
		return "check the cable at both ends and the device's own power switch; it is used again as soon as it is seen"
	case "off":
		return "switch the device or its hub port on; an over-current port stays off until the cause is gone"
	case "hung":
		return "unplug the device for ten seconds and plug it in again; if it hangs again, replace it"
	case "crashed":
		return "it is being reset; if this returns, exchange the cable first, then the device"
	case "held":
		return "end the program that holds the device, or the desktop service that grabbed it"
	}
	return ""
}

// deviceStatus is a registry entry as the API shows it.
func deviceStatus(s drivers.Status) api.Device {
	return api.Device{
		Identity: s.Identity.String(), Kind: string(s.Kind), Driver: s.Info.Driver, Model: s.Info.Model, Serial: s.Info.Serial,
		Firmware: s.Info.Firmware, State: string(s.State), Verdict: s.Verdict, Detail: s.Detail, Hint: nextStep(s.Verdict),
		Owner: s.Owner, Simulated: s.Info.Simulated, Since: s.Since,
	}
}

// deviceProblem explains a kind of device that the station needs and lacks.
func deviceProblem(kind drivers.Kind, fault error) api.Problem {
	verdict := drivers.Verdict(fault)
	return api.Problem{Code: "device-" + verdict, Text: fmt.Sprintf("%s: %v", kind, fault), Hint: nextStep(verdict)}
}
