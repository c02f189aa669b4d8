package kiosk

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
	"loket/kiosk/api"
)

const (
	recordFor    = 10 * time.Minute // where nobody says how long
	recordMost   = time.Hour
	recordLimit  = 32 << 20        // characters
	recordClear  = 32              // bytes of a message that stands in a recording as it is
	recordLines  = 4096            // that wait for whoever reads them
	recordReopen = 6 * time.Second // for the device to be opened anew before sessions may start again
)

// Recording is a recording of USB traffic in progress.
type Recording interface {
	// Device wraps the device whose traffic is recorded.
	Device(usb.Device) usb.Device
	// Done is closed when the recording has ended.
	Done() <-chan struct{}
	// Stop ends it. The error is why it ended before, if that was no end it should have.
	Stop() error
}

// RecordUSB records what runs over a device for a technician. The device is opened anew for it, so it can't begin during a
// session; sessions that begin later are recorded as any other use. No sample, code or document stands in a recording: what is
// longer than commands and answers are stands there by length and digest, and of devices that read, sign or print nothing but
// lengths does.
func (d *Daemon) RecordUSB(ctx context.Context, q api.RecordQuery, w io.Writer) error {
	if d.Recorder == nil {
		return &api.Error{Code: "no-recorder", Text: "this daemon is built without a recorder"}
	}
	s, ok := d.device(q.Device)
	if !ok {
		return &api.Error{Code: "no-device", Text: fmt.Sprintf("no device %q was seen here", q.Device), Hint: "kioskctl devices lists them"}
	}
	out := make(outlet, recordLines)
	clear, digest := 0, false
	if s.Kind == drivers.KindCamera || s.Kind == drivers.KindFingerprint {
		clear, digest = recordClear, true
	}
	rec := d.Recorder(out, clear, digest, recordLimit)
	untap, err := d.tap(ctx, s, rec)
	if err != nil {
		return err
	}
	defer untap()
	d.log.Info("recording usb traffic", "device", q.Device)
	ctx, cancel := context.WithTimeout(ctx, min(cmp.Or(q.For, recordFor), recordMost))
	defer cancel()
	_, err = fmt.Fprintf(w, "# recorded by kioskd %s at %s\n", d.Version, d.now().UTC().Format(time.RFC3339))
	if err == nil {
		err = out.copy(ctx, rec, w)
	}
	d.log.Info("recorded usb traffic", "device", q.Device, "err", err)
	return err
}

// tap puts a recording between a device and its driver, and waits until the device is open again. No session starts meanwhile.
func (d *Daemon) tap(ctx context.Context, s drivers.Status, rec Recording) (untap func(), err error) {
	if err := d.beginTest(); err != nil {
		return nil, err
	}
	defer d.endTest()
	open := make(chan struct{}, 1)
	wrap := func(dev usb.Device) usb.Device {
		select {
		case open <- struct{}{}:
		default:
		}
		return rec.Device(dev)
	}
	end, err := d.registry.Tap(s.Identity, 0, wrap)
	var held *drivers.HeldError
	if errors.As(err, &held) && held.Owner == codeOwner {
		end, err = d.registry.Tap(s.Identity, held.Token, wrap)
	}
	switch {
	case errors.Is(err, drivers.ErrTapped):
		return nil, &api.Error{Code: "busy", Text: "this device is being recorded already", Hint: "end the other recording first"}
	case err != nil:
		return nil, err
	}
	d.recorded(s.Identity, rec)
	d.reopened(ctx, s.Identity, open)
	return func() {
		end()
		_ = rec.Stop() // it told its error when it ended
		d.recorded(s.Identity, nil)
	}, nil
}

// reopened waits until a device is open through the tap and ready, or has failed.
func (d *Daemon) reopened(ctx context.Context, id usb.Identity, open <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, recordReopen)
	defer cancel()
	select {
	case <-open:
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		changed := d.registry.Changed()
		if s, ok := d.device(id.String()); !ok || s.State != drivers.StateOpening {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// recorded notes which recording a device has; nil for none.
func (d *Daemon) recorded(id usb.Identity, rec Recording) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.recordings == nil {
		d.recordings = map[string]Recording{}
	}
	if rec == nil {
		delete(d.recordings, id.String())
		return
	}
	d.recordings[id.String()] = rec
}

// stopRecording ends the recording of a device.
func (d *Daemon) stopRecording(device string) error {
	d.mu.Lock()
	rec := d.recordings[device]
	d.mu.Unlock()
	if rec == nil {
		return &api.Error{Code: "no-recording", Text: fmt.Sprintf("nothing is recorded of a device %q", device)}
	}
	return rec.Stop()
}

// outlet takes lines from transfers, which must not wait for whoever reads them.
type outlet chan []byte

var errSlow = errors.New("whoever reads the recording is too slow")

// Write queues a line.
func (o outlet) Write(line []byte) (int, error) {
	select {
	case o <- bytes.Clone(line):
		return len(line), nil
	default:
		return 0, errSlow
	}
}

// copy writes the lines to w until the recording has ended, which the end of ctx brings about.
func (o outlet) copy(ctx context.Context, rec Recording, w io.Writer) error {
	for {
		select {
		case line := <-o:
			if _, err := w.Write(line); err != nil {
				return err
			}
		case <-ctx.Done():
			return o.rest(rec, w)
		case <-rec.Done():
			return o.rest(rec, w)
		}
	}
}

// rest ends a recording and writes what is left of it.
func (o outlet) rest(rec Recording, w io.Writer) error {
	ended := rec.Stop()
	for {
		select {
		case line := <-o:
			if _, err := w.Write(line); err != nil {
				return err
			}
			continue
		default:
		}
		if ended != nil {
			fmt.Fprintf(w, "# broken off: %v\n", ended)
		}
		return ended
	}
}
