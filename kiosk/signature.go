package kiosk

import (
	"context"
	"errors"
	"slices"

	"loket/drivers"
	"loket/kiosk/acquire"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/ink"
	"loket/kiosk/plan"
	"loket/kiosk/record"
	"loket/kiosk/session"
)

// signature captures a signature on the station's pad, or on the screen where it has none.
func (d *Daemon) signature(ctx context.Context, s session.Session, step plan.Step) (acquire.Result, error) {
	said := make(chan acquire.Written, 4)
	if !d.writing(s, said) {
		return acquire.Result{}, context.Canceled
	}
	defer d.writing(s, nil)
	lease, err := d.pad(ctx, s.ID)
	if err != nil {
		return acquire.Result{}, err
	}
	if lease == nil {
		d.seen(s, api.Guidance{Step: step.ID, Attempt: 1})
		d.noteDevice(s.ID, "screen", deviceInfo(acquire.ScreenPad()))
		return d.acquirer.Sign(ctx, step, nil, said, func(p acquire.Progress) { d.guide(s, step, p) })
	}
	lease.Hold(ctx)
	d.used(s.ID, lease.Device.Info())
	pad, ok := lease.Device.(drivers.SignaturePad)
	if !ok {
		err := errors.New("capturing a signature: the device is no pad")
		lease.Release(err)
		return acquire.Result{}, err
	}
	d.seen(s, api.Guidance{Step: step.ID, Attempt: 1, Pad: true})
	result, err := d.acquirer.Sign(ctx, step, pad, said, func(p acquire.Progress) {
		d.previews.grey(biometric.Signature, p.Preview)
		d.seen(s, api.Guidance{Step: step.ID, Hint: p.Hint, Attempt: p.Attempt, Pad: true})
	})
	lease.Release(err)
	d.previews.clear()
	return result, err
}

// pad leases the station's signature pad; nil where it has none.
func (d *Daemon) pad(ctx context.Context, owner string) (*drivers.Lease, error) {
	if !slices.ContainsFunc(d.registry.List(), func(x drivers.Status) bool { return x.Kind == drivers.KindSignature }) {
		return nil, nil
	}
	return d.claim(ctx, drivers.KindSignature, func(drivers.Info) error { return nil }, owner)
}

// writing opens and closes the way by which the person says that they are done. False where the session has gone on.
func (d *Daemon) writing(s session.Session, said chan acquire.Written) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur == nil || d.cur.session.ID != s.ID || d.cur.session.Entry != s.Entry {
		return false
	}
	d.cur.written = said
	return true
}

// noteDevice notes something that is no USB device for the session's record.
func (d *Daemon) noteDevice(id, name string, info record.DeviceInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur != nil && d.cur.session.ID == id {
		info.Identity = name
		d.cur.devices[name] = info
	}
}

// sign takes in what the applicant says of their signature.
func (d *Daemon) sign(as api.Caller, id string, w api.Sign) error {
	if !as.Is(api.RoleScreen) {
		return &api.Error{Code: "forbidden", Text: "the applicant signs, at the screen or on the pad"}
	}
	if w.Ink != nil {
		if err := w.Ink.Check(); err != nil && !errors.Is(err, ink.ErrEmpty) {
			w.Ink.Wipe()
			return &api.Error{Code: "bad-command", Text: err.Error()}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur == nil || d.cur.session.ID != id || d.cur.written == nil {
		return &api.Error{Code: "out-of-place", Text: "no signature is written here now", Hint: "kioskctl session show tells where the session stands"}
	}
	d.cur.active = d.now()
	select {
	case d.cur.written <- acquire.Written{Again: w.Again, Ink: w.Ink}:
		return nil
	default:
		return &api.Error{Code: "busy", Text: "the signature is being looked at"}
	}
}
