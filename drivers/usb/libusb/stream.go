//go:build cgo && linux

package libusb

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"unsafe"

	"loket/drivers/usb"
)

// ahead is how many transfers of a stream are under way at once.
const ahead = 8

// stream is an isochronous endpoint at work.
type stream struct {
	d        *device
	endpoint usb.Endpoint
	room     int // bytes of one packet
	packets  int // in a transfer
	fn       func([]byte, error) (int, error)
}

// Stream runs an isochronous endpoint; see [usb.Isochronous].
func (d *device) Stream(ctx context.Context, endpoint uint8, fn func(packet []byte, lost error) (int, error)) error {
	if err := d.begin(); err != nil {
		return err
	}
	defer d.end()
	e, err := d.claims.Isochronous(endpoint)
	if err != nil {
		return err
	}
	s := stream{d: d, endpoint: e, room: e.MaxPacket * e.Burst, packets: 8, fn: fn}
	if d.info.Speed != usb.FullSpeed {
		s.packets = 32 // of 125 us and more
	}
	return s.run(ctx)
}

// run keeps the transfers going round, and waits for all of them at the end.
func (s stream) run(ctx context.Context) error {
	if s.room == 0 {
		return fmt.Errorf("streaming endpoint %02x: it has no bandwidth in this setting (hint: claim another): %w", s.endpoint.Address, usb.ErrNotFound)
	}
	var calls []*C.struct_loket_call // submitted, in order
	defer func() {
		for _, c := range calls {
			C.libusb_cancel_transfer(c.transfer)
		}
		for _, c := range calls {
			_ = s.d.wait(context.Background(), c)
			C.loket_call_free(c)
		}
	}()
	for range ahead {
		c := C.loket_call_new(s.d.handle, C.uint8_t(typeCode(usb.IsochronousType)), C.uint8_t(s.endpoint.Address), C.int(s.packets*s.room),
			C.int(s.packets), C.int(s.room))
		if c == nil {
			return failure("streaming", errNoMemory)
		}
		if err := s.submit(ctx, c); err != nil {
			C.loket_call_free(c)
			return err
		}
		calls = append(calls, c)
	}
	for {
		c := calls[0]
		stopped := s.d.wait(ctx, c)
		if err := s.d.outcome(ctx, s.endpoint.Address, int(c.transfer.status), stopped); err != nil {
			return err
		}
		if stopped != nil {
			return stopped
		}
		if err := s.received(c); err != nil {
			return err
		}
		if err := s.submit(ctx, c); err != nil {
			calls = calls[1:]
			C.loket_call_free(c)
			return err
		}
		calls = append(calls[1:], c)
	}
}

// submit hands a transfer to the kernel, of an OUT endpoint with what fn puts into it: its packets stand close together.
func (s stream) submit(ctx context.Context, c *C.struct_loket_call) error {
	if !s.endpoint.In() {
		buffer, n := s.buffer(c), 0
		for i := range s.packets {
			size, err := s.fn(buffer[n:n+s.room], nil)
			if err != nil {
				return err
			}
			size = min(max(size, 0), s.room)
			C.loket_call_packet(c, C.int(i)).length = C.uint(size)
			n += size
		}
		c.transfer.length = C.int(n)
	}
	if r := C.loket_call_submit(c); r < 0 {
		return s.d.notSubmitted(ctx, s.endpoint.Address, r)
	}
	return nil
}

// received hands the packets of an IN transfer to fn: each stands where its room begins.
func (s stream) received(c *C.struct_loket_call) error {
	if !s.endpoint.In() {
		return nil
	}
	buffer := s.buffer(c)
	for i := range s.packets {
		p := C.loket_call_packet(c, C.int(i))
		var lost error
		switch p.status {
		case statusCompleted:
		case statusNoDevice:
			return usb.ErrGone
		case statusOverflow:
			lost = usb.ErrOverflow
		case statusStall:
			lost = usb.ErrStall
		default:
			lost = errWire
		}
		if _, err := s.fn(buffer[i*s.room:][:min(int(p.actual_length), s.room)], lost); err != nil {
			return err
		}
	}
	return nil
}

func (s stream) buffer(c *C.struct_loket_call) []byte {
	return unsafe.Slice((*byte)(c.transfer.buffer), s.packets*s.room)
}
