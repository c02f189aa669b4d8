package uru4000

import (
	"context"
	"encoding/binary"

	"loket/drivers/usb"
)

var le = binary.LittleEndian

// Endpoints.
const (
	endpointReport uint8 = 0x81
	endpointImage  uint8 = 0x82
)

// Registers, and the vendor request that reads and writes them.
const (
	request = 4

	registerStatus = 0x07
	registerSeed   = 0x33
	registerKey    = 0x34
	registerMode   = 0x4e
	registerInfo   = 0xf0
)

// Values of registerStatus.
const (
	powered byte = 0x01
	standby byte = 0x80
)

// Values of registerMode.
const (
	modeAwaitOn  byte = 0x10
	modeAwaitOff byte = 0x12
	modeCapture  byte = 0x20
	modeOff      byte = 0x70
)

// Reports.
const (
	reportSize = 64

	reportPower uint16 = 0x56aa
	reportOn    uint16 = 0x0101
	reportOff   uint16 = 0x0200

	powerReports = 3 // how often the recorded reader said that it has power
	maxReports   = 16
)

// Info describes the reader.
func (d *Device) Info() usb.Info {
	return usb.Info{Vendor: 0x05ba, Product: 0x000a, Release: 0x0103, Manufacturer: "DigitalPersona, Inc.",
		ProductName: "U.are.U® 4500 Fingerprint Reader", Serial: d.opt.Serial, Speed: usb.FullSpeed}
}

// Descriptors describes the device and its one configuration.
func (d *Device) Descriptors() []byte {
	return []byte{
		18, 1, 0x00, 0x02, 0, 0, 0, 64, 0xba, 0x05, 0x0a, 0x00, 0x03, 0x01, 1, 2, 3, 1,
		9, 2, 32, 0, 1, 1, 0, 0x80, 100,
		9, 4, 0, 0, 2, 0xff, 0xff, 0xff, 0,
		7, 5, endpointReport, 3, 64, 0, 8,
		7, 5, endpointImage, 2, 64, 0, 0,
	}
}

// BusReset forgets the host that was attached. The keys go on.
func (d *Device) BusReset() {
	d.Lock()
	defer d.Unlock()
	d.forget()
	d.status, d.mode = powered, modeOff
	d.tell()
}

// forget drops what waits to be fetched. The mutex is held.
func (d *Device) forget() {
	clear(d.image)
	d.image, d.sent, d.reports = nil, 0, nil
}

// Control reads or writes a register. What is none stalls.
func (d *Device) Control(_ context.Context, s usb.Setup, data []byte) (int, error) {
	if s.RequestType&^0x80 != 0x40 || s.Request != request || s.Index != 0 || int(s.Length) > len(data) {
		return 0, usb.ErrStall
	}
	d.Lock()
	defer d.Unlock()
	defer d.tell()
	data = data[:s.Length]
	if s.In() {
		answer := d.read(s.Value)
		if answer == nil {
			return 0, usb.ErrStall
		}
		return copy(data, answer), nil
	}
	if !d.write(s.Value, data) {
		return 0, usb.ErrStall
	}
	return len(data), nil
}

// read returns a register; nil where there is none.
func (d *Device) read(register uint16) []byte {
	switch register {
	case registerStatus:
		return []byte{d.status}
	case registerMode:
		return []byte{d.mode}
	case registerKey:
		return le.AppendUint32(nil, d.asked)
	case registerInfo:
		return []byte{0x1a, 0x0a, 0x1a, 0x0a, 0x01, 0x15, 0, 0, 0, 0x20, 0, 0x10, 0x8b, 0x21, 0x11, 0x30}
	}
	return nil
}

// write sets a register, and reports whether it took the value.
func (d *Device) write(register uint16, data []byte) bool {
	switch {
	case register == registerStatus && len(data) == 1:
		d.power(data[0])
		return true
	case register == registerSeed && len(data) == 5:
		d.asked = d.keys[data[0]] ^ le.Uint32(data[1:])
		return true
	case register == registerMode && len(data) == 1:
		return d.enter(data[0])
	}
	return false
}

// power switches between standby and work.
func (d *Device) power(status byte) {
	was := d.status
	d.status = status
	switch {
	case status&standby != 0:
		d.forget()
		d.mode = modeOff
	case was&standby != 0:
		for range powerReports {
			d.report(reportPower)
		}
	}
}

// enter changes the mode.
func (d *Device) enter(mode byte) bool {
	switch mode {
	case modeAwaitOn, modeAwaitOff, modeCapture, modeOff:
	default:
		return false
	}
	if d.status&standby != 0 && mode != modeOff {
		return true // nothing happens: there is no power
	}
	d.mode = mode
	switch mode {
	case modeCapture:
		d.take()
	case modeOff:
		clear(d.image)
		d.image, d.sent = nil, 0
	default:
		d.feel()
	}
	return true
}

// feel reports the finger that the mode waits for, on or off, if it is so. The mutex is held.
func (d *Device) feel() {
	switch {
	case d.mode == modeAwaitOn && d.FingerHeld() != nil:
		d.report(reportOn)
	case d.mode == modeAwaitOff && d.FingerHeld() == nil:
		d.report(reportOff)
	}
}

// report queues a report; where too many wait the oldest is dropped. The mutex is held.
func (d *Device) report(kind uint16) {
	var r [reportSize]byte
	binary.BigEndian.PutUint16(r[:], kind)
	if len(d.reports) == maxReports {
		d.reports = d.reports[1:]
	}
	d.reports = append(d.reports, r)
	signal(d.reportReady)
}

// take takes the image of what lies on the reader. The mutex is held.
func (d *Device) take() {
	clear(d.image)
	d.image, d.sent = encodeImage(d.FingerHeld(), d.opt.Blocks, d.next, &d.keys), 0
	d.next++
	signal(d.imageReady)
}

// Transfer waits for a report or an image.
func (d *Device) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	switch endpoint {
	case endpointReport:
		return wait(ctx, d.reportReady, func() (int, bool) { return d.takeReport(data) })
	case endpointImage:
		return wait(ctx, d.imageReady, func() (int, bool) { return d.takeImage(data) })
	}
	return 0, usb.ErrStall
}

// wait calls take until it has something.
func wait(ctx context.Context, ready <-chan struct{}, take func() (int, bool)) (int, error) {
	for {
		if n, ok := take(); ok {
			return n, nil
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// signal leaves a token for whoever waits.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (d *Device) takeReport(data []byte) (int, bool) {
	d.Lock()
	defer d.Unlock()
	if len(d.reports) == 0 {
		return 0, false
	}
	n := copy(data, d.reports[0][:])
	d.reports = d.reports[1:]
	return n, true
}

// takeImage moves the image, or as much as there is room for. One that ends where data ends is followed by a transfer of no
// bytes: an image is always whole packets.
func (d *Device) takeImage(data []byte) (int, bool) {
	d.Lock()
	defer d.Unlock()
	if d.image == nil {
		return 0, false
	}
	n := copy(data, d.image[d.sent:])
	if d.sent += n; d.sent == len(d.image) && (n < len(data) || n == 0) {
		clear(d.image)
		d.image, d.sent = nil, 0
	}
	return n, true
}
