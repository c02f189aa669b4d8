// Package hidcode is the firmware of a simulated code reader: a point-of-sale scanner, or a keyboard wedge.
//
// The one idea: what a person shows becomes reports at once, and the reports wait for a host. A host that was not there when a
// code was shown gets it later, as with a real reader that has a memory; a bus reset empties that memory.
package hidcode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"loket/drivers/usb"
)

// Options describe one reader. The zero value is a point-of-sale scanner.
type Options struct {
	Serial string // "SIM-CODE-1" where empty
	Wedge  bool   // it types what it reads, on a US keyboard
	Tab    bool   // a wedge ends each line with Tab; else with Enter
}

// maxQueue is how many reports wait for a host; a code that does not fit is refused, as by a reader whose memory is full.
const maxQueue = 4096

// Device is a reader. It must be made by [New]; its methods may be called from several goroutines at once.
type Device struct {
	opt Options

	mu      sync.Mutex
	queue   [][]byte
	scanned int // codes since it was made
	boot    bool
	idle    byte
	more    chan struct{} // holds a token when there may be reports
}

var _ usb.Gadget = (*Device)(nil)

// New makes a reader that has read nothing.
func New(opt Options) *Device {
	opt.Serial = cmp.Or(opt.Serial, "SIM-CODE-1")
	return &Device{opt: opt, more: make(chan struct{}, 1)}
}

// Scan shows a code to the reader, a QR code to a scanner. Line feeds in it are line ends of a document reader.
func (d *Device) Scan(text string) error { return d.ScanAs("]Q1", text) }

// ScanAs shows a code of a symbology, an AIM identifier of three characters. A wedge tells no symbology.
func (d *Device) ScanAs(symbology, text string) error {
	reports, err := d.reports(symbology, text)
	if err != nil {
		return fmt.Errorf("scanning: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue)+len(reports) > maxQueue {
		return errors.New("scanning: the reader's memory is full (hint: nothing fetches its reports)")
	}
	d.queue = append(d.queue, reports...)
	d.scanned++
	d.signal()
	return nil
}

// Report queues a report as it is, for what firmware should not send.
func (d *Device) Report(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, append([]byte(nil), b...))
	d.signal()
}

// Scanned tells how many codes the reader has read.
func (d *Device) Scanned() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.scanned
}

func (d *Device) reports(symbology, text string) ([][]byte, error) {
	if d.opt.Wedge {
		return d.keystrokes(text)
	}
	if len(symbology) != 3 || !strings.HasPrefix(symbology, "]") {
		return nil, fmt.Errorf("%q is no AIM identifier (hint: ]Q1)", symbology)
	}
	return split(symbology, text), nil
}

// signal leaves a token for whoever waits. The mutex is held.
func (d *Device) signal() {
	select {
	case d.more <- struct{}{}:
	default:
	}
}

// Info describes the reader.
func (d *Device) Info() usb.Info {
	i := usb.Info{Vendor: 0x1209, Product: 0x0003, Release: 0x0100, Manufacturer: "loket", ProductName: "Simulated code reader",
		Serial: d.opt.Serial, Speed: usb.FullSpeed}
	if d.opt.Wedge {
		i.Product, i.ProductName = 0x0004, "Simulated keyboard wedge"
	}
	return i
}

const endpointReports uint8 = 0x81

// Descriptors describes the device and its one configuration: one HID interface, with the HID descriptor between interface and
// endpoint (HID 1.11, clause 7.1).
func (d *Device) Descriptors() []byte {
	product, subclass, protocol, packet := byte(0x03), byte(0), byte(0), byte(posReport)
	if d.opt.Wedge {
		product, subclass, protocol, packet = 0x04, 1, 1, bootReport
	}
	n := len(d.reportDescriptor())
	return []byte{
		18, 1, 0x00, 0x02, 0, 0, 0, 64, 0x09, 0x12, product, 0x00, 0x00, 0x01, 1, 2, 3, 1,
		9, 2, 34, 0, 1, 1, 0, 0x80, 100,
		9, 4, 0, 0, 1, 3, subclass, protocol, 0,
		9, 0x21, 0x11, 0x01, 0, 1, 0x22, byte(n), byte(n >> 8),
		7, 5, endpointReports, 3, packet, 0, 8,
	}
}

func (d *Device) reportDescriptor() []byte {
	if d.opt.Wedge {
		return keyboardDescriptor
	}
	return posDescriptor
}

// BusReset forgets what no host has fetched.
func (d *Device) BusReset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue, d.boot, d.idle = nil, false, 0
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
			return copy(data, d.reportDescriptor()), nil
		}
	case [2]uint8{0x21, 0x0a}: // SET_IDLE
		d.idle = byte(s.Value >> 8)
		return 0, nil
	case [2]uint8{0xa1, 0x02}: // GET_IDLE
		return copy(data, []byte{d.idle}), nil
	case [2]uint8{0x21, 0x0b}: // SET_PROTOCOL
		if d.opt.Wedge && s.Value <= 1 {
			d.boot = s.Value == 0
			return 0, nil
		}
	case [2]uint8{0xa1, 0x03}: // GET_PROTOCOL
		if d.opt.Wedge {
			protocol := byte(1)
			if d.boot {
				protocol = 0
			}
			return copy(data, []byte{protocol}), nil
		}
	case [2]uint8{0x21, 0x09}: // SET_REPORT: the lamps of a keyboard
		if d.opt.Wedge {
			return len(data), nil
		}
	}
	return 0, usb.ErrStall
}

// Transfer waits for a report.
func (d *Device) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	if endpoint != endpointReports {
		return 0, usb.ErrStall
	}
	for {
		if n, ok := d.fetch(ctx, data); ok {
			return n, nil
		}
		select {
		case <-d.more:
		case <-ctx.Done():
			d.mu.Lock()
			d.signal() // the token may have been taken by this call
			d.mu.Unlock()
			return 0, ctx.Err()
		}
	}
}

// fetch moves a report, unless the host has given up. One that is longer than the host's buffer is babble.
func (d *Device) fetch(ctx context.Context, data []byte) (int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 || ctx.Err() != nil {
		return 0, false
	}
	report := d.queue[0]
	d.queue = d.queue[1:]
	copy(data, report)
	return len(report), true
}
