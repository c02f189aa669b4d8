package kiosk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"loket/drivers"
	"loket/kiosk/acquire"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/plan"
	"loket/kiosk/session"
)

const (
	leaseLimit    = 10 * time.Second // of the wait for a device that is being opened
	giveBackLimit = 2 * time.Second  // of the wait for a capture that was stopped; drivers take 250 ms at most
)

// capture runs one step on a device and tells the session how it ended. It gives the device back before it tells. A capture
// that was stopped may still be giving its device back: the next one waits for that, for a while.
func (d *Daemon) capture(ctx context.Context, s session.Session, step plan.Step) {
	if d.turn(ctx) {
		defer func() { <-d.capturing }()
	}
	result, err := d.captureStep(ctx, s, step)
	if ctx.Err() != nil {
		d.captureStopped(s, result)
		return
	}
	e := session.Event{Kind: session.Accepted, By: session.Device, Entry: s.Entry, Outcome: &result.Outcome}
	switch {
	case err != nil:
		e.Kind, e.Verdict = session.Faulted, verdict(err)
		d.log.Warn("capture", "session", s.ID, "step", step.ID, "verdict", e.Verdict, "err", err)
	case result.Status != biometric.Accepted:
		e.Kind = session.Rejected
	}
	if err := d.send(s.ID, e, result.Samples); err != nil {
		d.log.Debug("capture came too late", "session", s.ID, "step", step.ID, "err", err)
	}
}

// verdict names why a capture can't go on: one of the five faults, "unfit" for a scanner that the policy does not take, or
// "failed".
func verdict(err error) string {
	var unfit *plan.UnfitError
	if errors.As(err, &unfit) {
		return verdictUnfit
	}
	return cmp.Or(drivers.Verdict(err), "failed")
}

// captureStopped ends a capture that something else ended. Where somebody asked for help, what was good so far is kept.
func (d *Daemon) captureStopped(s session.Session, result acquire.Result) {
	e := d.interrupted(s)
	if e == nil {
		wipe(result.Samples)
		return
	}
	e.Outcome = &result.Outcome
	if err := d.send(s.ID, *e, result.Samples); err != nil {
		d.log.Warn("what ended a capture came too late", "session", s.ID, "kind", e.Kind, "err", err)
	}
}

func (d *Daemon) captureStep(ctx context.Context, s session.Session, step plan.Step) (acquire.Result, error) {
	if step.Modality == biometric.Signature {
		return d.signature(ctx, s, step)
	}
	kind, ok := map[biometric.Modality]drivers.Kind{biometric.Face: drivers.KindCamera, biometric.Finger: drivers.KindFingerprint}[step.Modality]
	if !ok {
		return acquire.Result{}, fmt.Errorf("capturing %s: no kind of device takes it", step.Modality)
	}
	former, err := d.former(step)
	if err != nil {
		return acquire.Result{}, err
	}
	defer wipePrints(former)
	lease, err := d.claim(ctx, kind, func(i drivers.Info) error { return acquire.Fit(step, i) }, s.ID)
	if err != nil {
		return acquire.Result{}, err
	}
	lease.Hold(ctx)
	d.used(s.ID, lease.Device.Info())
	acquirer := *d.acquirer
	acquirer.Former = former
	result, err := acquirer.Capture(ctx, step, lease.Device, func(p acquire.Progress) { d.guide(s, step, p) })
	lease.Release(err)
	d.previews.clear()
	return result, err
}

// turn waits until no other capture runs. False where one does not come to its end: its device is taken from it.
func (d *Daemon) turn(ctx context.Context) bool {
	timer := time.NewTimer(giveBackLimit)
	defer timer.Stop()
	select {
	case d.capturing <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// claim leases a device that fits for a session. One session runs at a time, so a lease that another still has was forgotten.
func (d *Daemon) claim(ctx context.Context, kind drivers.Kind, fit func(drivers.Info) error, owner string) (*drivers.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseLimit)
	defer cancel()
	lease, err := d.registry.LeaseFit(ctx, kind, fit, owner)
	var held *drivers.HeldError
	if !errors.As(err, &held) || held.Token == 0 {
		return lease, err
	}
	d.log.Warn("taking over a device", "identity", held.Identity.String(), "from", held.Owner, "for", owner)
	return d.registry.TakeOver(ctx, held.Identity, held.Token, owner)
}

// guide shows what happens during a capture.
func (d *Daemon) guide(s session.Session, step plan.Step, p acquire.Progress) {
	if p.Frame != nil {
		if err := d.previews.face(p.Frame); err != nil {
			d.log.Debug("preview", "err", err)
		}
	}
	d.previews.grey(step.Modality, p.Preview)
	d.seen(s, api.Guidance{Step: step.ID, Hint: p.Hint, Fingers: p.Fingers, Which: slices.Clone(p.Which), Wanted: p.Wanted, Attempt: p.Attempt})
}

// used notes a device for the session's record.
func (d *Daemon) used(id string, info drivers.Info) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur != nil && d.cur.session.ID == id {
		d.cur.devices[info.USB.Identity().String()] = deviceInfo(info)
	}
}
