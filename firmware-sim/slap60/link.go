package slap60

import (
	"bytes"
	"context"

	"loket/drivers/usb"
)

// Endpoints.
const (
	endpointCommand  uint8 = 0x01
	endpointResponse uint8 = 0x81
	endpointEvent    uint8 = 0x82
)

const maxEvents = 16

// link is the host's side: what was asked last, and what waits to be fetched.
type link struct {
	next   uint32 // counter of the next command
	last   []byte // the last command that was run
	answer []byte // its response
	sent   int    // bytes of answer that were fetched
	unread bool   // there is more to fetch

	events []event
	number uint16 // of the last event

	ready chan struct{} // holds a token when answer may be fetched
	event chan struct{} // the same for events
}

// Info describes the scanner.
func (d *Device) Info() usb.Info {
	return usb.Info{Vendor: 0x1209, Product: 0x0001, Release: 0x0100, Manufacturer: maker, ProductName: model, Serial: d.opt.Serial,
		Speed: usb.HighSpeed}
}

// Descriptors describes the device and its one configuration.
func (d *Device) Descriptors() []byte {
	return []byte{
		18, 1, 0x00, 0x02, 0, 0, 0, 64, 0x09, 0x12, 0x01, 0x00, 0x00, 0x01, 1, 2, 3, 1,
		9, 2, 39, 0, 1, 1, 0, 0x80, 250,
		9, 4, 0, 0, 3, 0xff, 0x53, 0x36, 0,
		7, 5, endpointCommand, 2, 0x00, 0x02, 0,
		7, 5, endpointResponse, 2, 0x00, 0x02, 0,
		7, 5, endpointEvent, 3, 64, 0, 4,
	}
}

// BusReset forgets the host that was attached.
func (d *Device) BusReset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resync()
}

// Control answers RESYNC and stalls every other request.
func (d *Device) Control(_ context.Context, s usb.Setup, data []byte) (int, error) {
	if s.RequestType != 0xc1 || s.Request != requestResync || s.Index != 0 || s.Length != 16 {
		return 0, usb.ErrStall
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resync()
	b := encodeResync(s.Value)
	return copy(data, b[:]), nil
}

// Transfer takes a command, or waits for a response or an event.
func (d *Device) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	switch endpoint {
	case endpointCommand:
		return d.accept(data)
	case endpointResponse:
		return wait(ctx, d.link.ready, func() (int, bool) { return d.takeAnswer(data) })
	case endpointEvent:
		return wait(ctx, d.link.event, func() (int, bool) { return d.takeEvent(data) })
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

// accept takes a command, runs it and makes its response ready.
func (d *Device) accept(frame []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.link
	if len(l.last) > 0 && bytes.Equal(frame, l.last) {
		d.offer()
		return len(frame), nil
	}
	c, err := decodeCommand(frame)
	if err != nil || l.unread {
		return 0, usb.ErrStall
	}
	clear(l.answer)
	if c.counter != l.next {
		l.last = nil
		l.answer = d.respond(c, statusOutOfSequence, nil)
	} else {
		l.next++
		l.last = append(l.last[:0], frame...)
		st, payload := d.run(c)
		l.answer = d.respond(c, st, payload)
	}
	d.offer()
	d.tell()
	return len(frame), nil
}

func (d *Device) respond(c command, st status, payload []byte) []byte {
	r := response{code: c.code, counter: c.counter, status: st, state: d.capture.state, events: d.link.number}
	return appendResponse(d.link.answer[:0], r, payload)
}

// offer makes the response ready from its start. The mutex is held.
func (d *Device) offer() {
	d.link.sent, d.link.unread = 0, true
	signal(d.link.ready)
}

// takeAnswer moves the next part of the response. One that is a whole number of packets, and ends where the buffer does, is
// followed by a transfer of no bytes.
func (d *Device) takeAnswer(data []byte) (int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.link
	if !l.unread {
		return 0, false
	}
	n := copy(data, l.answer[l.sent:])
	l.sent += n
	l.unread = l.sent < len(l.answer) || n == len(data) && n > 0 && len(l.answer)%packetSize == 0
	return n, true
}

// emit queues an event; where too many wait the oldest is dropped. The mutex is held.
func (d *Device) emit(kind, detail uint8, image uint32) {
	l := &d.link
	l.number++
	if len(l.events) == maxEvents {
		l.events = l.events[1:]
	}
	l.events = append(l.events, event{kind: kind, number: l.number, fingers: uint8(len(d.contacts)), detail: detail,
		state: d.capture.state, image: image})
	signal(l.event)
}

func (d *Device) takeEvent(data []byte) (int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.link
	if len(l.events) == 0 {
		return 0, false
	}
	b := l.events[0].encode()
	l.events = l.events[1:]
	return copy(data, b[:]), true
}

// resync drops everything that came from the host. The mutex is held, save in New.
func (d *Device) resync() {
	clear(d.link.answer)
	d.link.next, d.link.last, d.link.answer, d.link.sent, d.link.unread = 1, nil, d.link.answer[:0], 0, false
	d.link.events, d.link.number = nil, 0
	d.lamps, d.tone = [10]Lamp{}, ToneNone
	d.disarm()
	d.tell()
}
