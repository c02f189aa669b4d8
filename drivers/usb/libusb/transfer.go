//go:build cgo && linux

package libusb

// #include "bridge.h"
import "C"

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"

	"loket/drivers/usb"
)

// slice is how long one wait in C lasts at most before ctx is looked at again.
const slice = 100 * time.Millisecond

// maxTransfer bounds one transfer; the kernel's own bound on all that are pending is lower by default.
const maxTransfer = 64 << 20

// maxControl is the kernel's bound on the data of a control transfer.
const maxControl = 4096

// What libusb says of a transfer that has ended.
const (
	statusCompleted = 0
	statusCancelled = 3
	statusStall     = 4
	statusNoDevice  = 5
	statusOverflow  = 6
)

// typeCode gives libusb's number of a transfer type (USB 2.0, table 9-13).
func typeCode(t usb.TransferType) uint8 {
	switch t {
	case usb.IsochronousType:
		return 1
	case usb.BulkType:
		return 2
	case usb.InterruptType:
		return 3
	}
	return 0
}

func (d *device) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	if len(data) < int(s.Length) {
		return 0, fmt.Errorf("running a control transfer of %d bytes with a buffer of %d", s.Length, len(data))
	}
	if s.Length > maxControl {
		return 0, fmt.Errorf("running a control transfer of %d bytes: above %d", s.Length, maxControl)
	}
	data = data[:s.Length]
	if s.RequestType&0x1f == 1 {
		if h := d.hidOf(uint8(s.Index)); h != nil {
			return h.control(ctx, s, data)
		}
	}
	return d.control(ctx, s, data)
}

// control runs a control transfer at the kernel.
func (d *device) control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	buf := make([]byte, 8, 8+len(data))
	buf[0], buf[1] = s.RequestType, s.Request
	binary.LittleEndian.PutUint16(buf[2:], s.Value)
	binary.LittleEndian.PutUint16(buf[4:], s.Index)
	binary.LittleEndian.PutUint16(buf[6:], s.Length)
	if s.In() {
		return d.run(ctx, usb.ControlType, 0, buf, data)
	}
	buf = append(buf, data...)
	defer clear(buf)
	return d.run(ctx, usb.ControlType, 0, buf, nil)
}

func (d *device) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	if err := d.stopped(context.Background()); err != nil {
		return 0, err
	}
	e, err := d.claims.Endpoint(endpoint)
	if err != nil {
		return 0, err
	}
	if len(data) > maxTransfer {
		return 0, fmt.Errorf("transferring %d bytes at once: above %d", len(data), maxTransfer)
	}
	switch h := d.hidAt(endpoint); {
	case h != nil && e.In():
		return h.read(ctx, data)
	case h != nil:
		return h.write(ctx, data)
	case e.In():
		return d.run(ctx, e.Type, endpoint, nil, data)
	}
	return d.run(ctx, e.Type, endpoint, data, nil)
}

// run runs one transfer: out goes out, what comes lands in in. Of a control transfer out begins with the setup packet.
func (d *device) run(ctx context.Context, t usb.TransferType, endpoint uint8, out, in []byte) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := d.begin(); err != nil {
		return 0, err
	}
	defer d.end()
	size := len(out) + len(in)
	call := C.loket_call_new(d.handle, C.uint8_t(typeCode(t)), C.uint8_t(endpoint), C.int(size), 0, 0)
	if call == nil {
		return 0, failure("transferring", errNoMemory)
	}
	defer C.loket_call_free(call)
	buffer := unsafe.Slice((*byte)(call.transfer.buffer), max(size, 1))
	copy(buffer, out)
	if r := C.loket_call_submit(call); r < 0 {
		return 0, d.notSubmitted(ctx, endpoint, r)
	}
	stopped := d.wait(ctx, call)
	n := min(max(int(call.transfer.actual_length), 0), size)
	if t == usb.ControlType {
		n = min(n, size-8)
		buffer = buffer[8:]
	}
	if in != nil {
		copy(in, buffer[:min(n, len(in))])
	}
	return n, d.outcome(ctx, endpoint, int(call.transfer.status), stopped)
}

// notSubmitted gives the error for a transfer that the kernel did not take.
func (d *device) notSubmitted(ctx context.Context, endpoint uint8, r C.int) error {
	doing := fmt.Sprintf("submitting a transfer on endpoint %02x", endpoint)
	if r == -1 {
		return d.onTheWire(ctx, doing)
	}
	return failure(doing, r)
}

// wait returns when the transfer has ended, which it makes it do when ctx ends or the device closes; it then says which.
func (d *device) wait(ctx context.Context, call *C.struct_loket_call) error {
	var stopped error
	for {
		switch r := C.loket_call_wait(d.context, call, C.int(slice/time.Millisecond)); {
		case r == 1:
			return stopped
		case r < 0 && r != -10: // not a mere signal
			time.Sleep(time.Millisecond)
		}
		if stopped == nil {
			if stopped = d.stopped(ctx); stopped != nil {
				C.libusb_cancel_transfer(call.transfer)
			}
		}
	}
}

// outcome turns the status of a transfer into an error. stopped is why it was cancelled, if it was.
func (d *device) outcome(ctx context.Context, endpoint uint8, status int, stopped error) error {
	switch {
	case status == statusCompleted:
		return nil
	case status == statusNoDevice:
		return usb.ErrGone
	case stopped != nil:
		return stopped
	case status == statusStall:
		return usb.ErrStall
	case status == statusOverflow:
		return usb.ErrOverflow
	}
	return d.onTheWire(ctx, fmt.Sprintf("transferring on endpoint %02x", endpoint))
}
