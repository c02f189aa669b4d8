// Package hidpen is the firmware of a simulated signature pad: a pen digitizer of the USB Human Interface Device class.
//
// The one idea: what somebody writes becomes reports, each at the moment when the pen was there, and the reports wait for a host.
// Whoever begins to write anew begins on an empty pad: what nobody has fetched of an earlier signature is gone.
package hidpen

import (
	"cmp"
	"context"
	"sync"
	"time"

	"loket/drivers/usb"
	"loket/firmware-sim/synth"
)

// The size of the pad, in millimetres.
const (
	Width  = 100
	Height = 50
)

// maxQueue is how many reports wait for a host; what is written beyond that is lost.
const maxQueue = 16384

// Options describe one pad.
type Options struct {
	Serial string // "SIM-PEN-1" where empty
}

// Device is a pad. It must be made by [New]; its methods may be called from several goroutines at once.
type Device struct {
	opt Options

	mu     sync.Mutex
	queue  []report
	signed int // signatures since it was made
	idle   byte
	more   chan struct{} // holds a token when there may be reports
}

// report is what the pad has to say, and from when on.
type report struct {
	at   time.Time
	data []byte
}

var _ usb.Gadget = (*Device)(nil)

// New makes a pad that nobody has written on.
func New(opt Options) *Device {
	opt.Serial = cmp.Or(opt.Serial, "SIM-PEN-1")
	return &Device{opt: opt, more: make(chan struct{}, 1)}
}

// Write writes strokes in the middle of the pad, from now on and as quickly as their times say; points are those of a field of
// [synth.ScribbleWidth] by [synth.ScribbleHeight] millimetres. It returns at once, with how long the writing takes.
func (d *Device) Write(strokes [][]synth.PenPoint) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.queue, d.signed = nil, d.signed+1
	var last time.Duration
	add := func(after time.Duration, data []byte) {
		if len(d.queue) < maxQueue {
			d.queue = append(d.queue, report{now.Add(after), data})
		}
		last = after
	}
	for _, s := range strokes {
		for i, p := range s {
			at := time.Duration(p.T * float64(time.Second))
			if i == 0 {
				add(at, encode(hovering, p))
			}
			add(at, encode(touching, p))
			if i == len(s)-1 {
				add(at, encode(hovering, p))
			}
		}
	}
	add(last, encode(away, synth.PenPoint{}))
	d.signal()
	return last
}

// Report queues a report as it is, for what firmware should not send.
func (d *Device) Report(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, report{time.Now(), append([]byte(nil), b...)})
	d.signal()
}

// Signed tells how often somebody has written on the pad.
func (d *Device) Signed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.signed
}

// signal leaves a token for whoever waits. The mutex is held.
func (d *Device) signal() {
	select {
	case d.more <- struct{}{}:
	default:
	}
}

// Info describes the pad.
func (d *Device) Info() usb.Info {
	return usb.Info{Vendor: 0x1209, Product: 0x0005, Release: 0x0100, Manufacturer: "loket", ProductName: "Simulated signature pad",
		Serial: d.opt.Serial, Speed: usb.FullSpeed}
}

const endpointReports uint8 = 0x81

// Descriptors describes the device and its one configuration: one HID interface, with the HID descriptor between interface and
// endpoint (HID 1.11, clause 7.1).
func (d *Device) Descriptors() []byte {
	n := len(penDescriptor)
	return []byte{
		18, 1, 0x00, 0x02, 0, 0, 0, 64, 0x09, 0x12, 0x05, 0x00, 0x00, 0x01, 1, 2, 3, 1,
		9, 2, 34, 0, 1, 1, 0, 0x80, 100,
		9, 4, 0, 0, 1, 3, 0, 0, 0,
		9, 0x21, 0x11, 0x01, 0, 1, 0x22, byte(n), byte(n >> 8),
		7, 5, endpointReports, 3, penReport, 0, 4,
	}
}

// BusReset forgets what no host has fetched.
func (d *Device) BusReset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue, d.idle = nil, 0
}

// Control answers the requests of the HID class (clause 7.2) and for its descriptors.
func (d *Device) Control(_ context.Context, s usb.Setup, data []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.Index != 0 {
		return 0, usb.ErrStall
	}
	switch [2]uint8{s.RequestType, s.Request} {
	case [2]uint8{0x81, usb.RequestGetDescriptor}:
		switch s.Value {
		case 0x2100:
			return copy(data, d.Descriptors()[36:45]), nil
		case 0x2200:
			return copy(data, penDescriptor), nil
		}
	case [2]uint8{0x21, 0x0a}: // SET_IDLE
		d.idle = byte(s.Value >> 8)
		return 0, nil
	case [2]uint8{0xa1, 0x02}: // GET_IDLE
		return copy(data, []byte{d.idle}), nil
	}
	return 0, usb.ErrStall
}

// Transfer waits for a report.
func (d *Device) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	if endpoint != endpointReports {
		return 0, usb.ErrStall
	}
	for {
		n, wait, ok := d.fetch(ctx, data)
		if ok {
			return n, nil
		}
		if err := d.rest(ctx, wait); err != nil {
			return 0, err
		}
	}
}

// rest waits until there may be a report: for the time that is left, or for whatever is written next.
func (d *Device) rest(ctx context.Context, wait time.Duration) error {
	var due <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-d.more:
		return nil
	case <-due:
		return nil
	case <-ctx.Done():
		d.mu.Lock()
		d.signal() // the token may have been taken by this call
		d.mu.Unlock()
		return ctx.Err()
	}
}

// fetch moves a report whose time has come, unless the host has given up; else it tells how long that still takes, 0 for nobody
// knows. A report that is longer than the host's buffer is babble.
func (d *Device) fetch(ctx context.Context, data []byte) (n int, wait time.Duration, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 || ctx.Err() != nil {
		return 0, 0, false
	}
	if wait = time.Until(d.queue[0].at); wait > 0 {
		return 0, wait, false
	}
	r := d.queue[0].data
	d.queue = d.queue[1:]
	copy(data, r)
	return len(r), 0, true
}
