package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/session"
)

// The devices as the simulator names them.
const (
	scanner = "scanner"
	camera  = "camera"
)

// What is timed.
const (
	unplugSeen = "an unplug was seen within"
	replugSeen = "a replug was ready within"
)

// phase is a moment of a capture at which a plug is pulled.
type phase struct {
	name   string
	device string
	jitter time.Duration // later by up to this
	events string        // lead to it; %s is the jitter's wait
}

// facePhases and fingerPhases list the phases of a capture. Their scripts run beside the person, so the plug is out in time.
func facePhases() []phase {
	return []phase{
		{"live view", camera, 300 * time.Millisecond, "wait watching\n%s"},
		{"still", camera, 30 * time.Millisecond, "look\nwait watching\nwait idle\n%s"},
	}
}

func fingerPhases() []phase {
	return []phase{
		{"armed", scanner, 200 * time.Millisecond, "wait armed\n%s"},
		{"fingers placed", scanner, 60 * time.Millisecond, "wait armed\npresent right-index left-index\n%s"},
		{"image transfer", scanner, 4 * time.Millisecond, "wait armed\npresent right-index left-index\nwait lift\n%s"},
	}
}

// script gives the phase's events with the plug at their end.
func (p phase) script(wait time.Duration) string {
	pause := ""
	if wait > 0 {
		pause = "wait " + wait.String()
	}
	return fmt.Sprintf(p.events, pause) + "\nunplug " + p.device + "\n"
}

// atRest pulls a plug that nobody needs, and puts it back.
func (r *usbTorture) atRest(ctx context.Context, device string) error {
	if err := r.pull(ctx, device); err != nil {
		return err
	}
	r.count("at rest, "+device, false)
	return r.replug(ctx, device)
}

// opening pulls the plug of a device that is just being opened: it hangs, so that this takes long enough.
func (r *usbTorture) opening(ctx context.Context, device string) error {
	if err := r.pull(ctx, device); err != nil {
		return err
	}
	if err := r.sim.do(ctx, "hang "+device, "replug "+device); err != nil {
		return err
	}
	if err := r.watch.until(ctx, device+" being opened", func(st api.Status) bool { return deviceState(st, device) == "opening" }); err != nil {
		return err
	}
	if err := r.pull(ctx, device); err != nil {
		return err
	}
	r.count("opening, "+device, false)
	if err := r.sim.do(ctx, "recover "+device); err != nil {
		return err
	}
	return r.replug(ctx, device)
}

// blink pulls a plug and puts it back before anybody can look: the device must be opened anew all the same.
func (r *usbTorture) blink(ctx context.Context, device string) error {
	before := find(r.watch.status(), device)
	began := time.Now()
	if err := r.sim.do(ctx, "unplug "+device, "replug "+device); err != nil {
		return err
	}
	err := r.watch.until(ctx, device+" opened anew", func(st api.Status) bool {
		d := find(st, device)
		return d.State == "ready" && d.Since.After(before.Since)
	})
	r.took(replugSeen, began)
	r.count("out and in at once, "+device, false)
	return err
}

// during pulls a plug in a phase of a ticket's session, once that captures the modality. A session that is past it is left alone.
func (r *usbTorture) during(ctx context.Context, ticket string, m biometric.Modality, p phase) error {
	there, err := r.reach(ctx, ticket, m)
	if err != nil || !there {
		return err
	}
	var wait time.Duration
	if p.jitter > 0 {
		wait = time.Duration(r.random.Int64N(int64(p.jitter))).Round(100 * time.Microsecond)
	}
	if err := r.sim.play(ctx, p.script(wait)); err != nil {
		return err
	}
	err = r.watch.until(ctx, p.device+" unplugged in the phase "+p.name, func(st api.Status) bool {
		return deviceState(st, p.device) == "unplugged" && !inCapture(st.Session, ticket, m)
	})
	if err != nil {
		return err
	}
	st := r.watch.status()
	hit := st.Session != nil && st.Session.State == session.Assistance && st.Session.Verdict == "unplugged"
	r.count(p.name, !hit)
	if err := r.sim.played(ctx); err != nil { // the plug is out, wholly
		return err
	}
	if err := r.sim.do(ctx, "leave"); err != nil {
		return err
	}
	return r.replug(ctx, p.device)
}

// reach waits until a session captures the modality; false where it is past it.
func (r *usbTorture) reach(ctx context.Context, ticket string, m biometric.Modality) (bool, error) {
	there := false
	err := r.watch.until(ctx, fmt.Sprintf("a capture of %s", m), func(st api.Status) bool {
		there = inCapture(st.Session, ticket, m)
		past := m == biometric.Face && inCapture(st.Session, ticket, biometric.Finger) || st.LastEnd != nil && st.LastEnd.Ticket == ticket
		return there || past
	})
	return there, err
}

// photograph lets the person be photographed and sends them away again before they use the scanner.
func (r *usbTorture) photograph(ctx context.Context, ticket string) error {
	for {
		there, err := r.reach(ctx, ticket, biometric.Face)
		if err != nil || !there {
			return err
		}
		if err := r.sim.play(ctx, "wait watching\nlook\nwait idle\nwait 120ms\nleave\n"); err != nil {
			return err
		}
		if err := r.sim.played(ctx); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		err = r.watch.until(short, "the photograph", func(st api.Status) bool { return !inCapture(st.Session, ticket, biometric.Face) })
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// pull pulls a plug and waits until the kiosk knows.
func (r *usbTorture) pull(ctx context.Context, device string) error {
	began := time.Now()
	if err := r.sim.do(ctx, "unplug "+device); err != nil {
		return err
	}
	err := r.watch.until(ctx, device+" unplugged", func(st api.Status) bool { return deviceState(st, device) == "unplugged" })
	r.took(unplugSeen, began)
	return err
}

// replug puts a plug back and waits until the device can be used.
func (r *usbTorture) replug(ctx context.Context, device string) error {
	began := time.Now()
	if err := r.sim.do(ctx, "replug "+device); err != nil {
		return err
	}
	err := r.watch.until(ctx, device+" ready again", func(st api.Status) bool {
		s := deviceState(st, device)
		return s == "ready" || s == "leased"
	})
	r.took(replugSeen, began)
	return err
}

// find gives a device of the status by the simulator's name.
func find(st api.Status, device string) api.Device {
	for _, d := range st.Devices {
		if strings.Contains(d.Kind, device) {
			return d
		}
	}
	return api.Device{}
}

func deviceState(st api.Status, device string) string { return find(st, device).State }
