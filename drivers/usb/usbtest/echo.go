package usbtest

import (
	"context"
	"slices"
	"sync"

	"loket/drivers/usb"
)

// The endpoints of an [Echo].
const (
	EchoOut    uint8 = 0x01 // bulk: what goes in here
	EchoIn     uint8 = 0x81 // bulk: comes out here, message by message
	EchoEvent  uint8 = 0x82 // interrupt: what Event was given
	EchoSink   uint8 = 0x04 // bulk, alternate setting 1 of interface 1: swallows everything
	EchoSource uint8 = 0x84 // bulk, alternate setting 1 of interface 1: fills every buffer, as memory has it
)

// The vendor requests of an [Echo].
const (
	EchoStore uint8 = 1 // OUT: keeps the data
	EchoLoad  uint8 = 2 // IN: gives it back
	EchoWait  uint8 = 3 // IN: answers never; ends with its context
	EchoFail  uint8 = 4 // either: stalls
	EchoLeave uint8 = 5 // either: the gadget unplugs itself
)

// Echo is a gadget that gives back what it gets. It must be made by [NewEcho].
type Echo struct {
	serial string
	// Started gets the endpoint of every call on EchoIn and EchoEvent, and 0 for every EchoWait, once it waits. It has
	// room for many; what nobody takes is dropped.
	Started chan uint8

	events chan []byte

	mu       sync.Mutex
	stored   []byte
	messages []message
	more     chan struct{}
	stalls   map[uint8]int
	resets   int
}

// message is what is left of one message.
type message struct {
	data []byte
	zero bool // ends with a transfer of zero bytes where it ends with the buffer
}

// NewEcho makes an echo gadget with that serial number; an empty one leaves the device without.
func NewEcho(serial string) *Echo {
	return &Echo{
		serial:  serial,
		Started: make(chan uint8, 64),
		events:  make(chan []byte, 64),
		more:    make(chan struct{}, 1),
		stalls:  map[uint8]int{},
	}
}

// Info describes the gadget.
func (e *Echo) Info() usb.Info {
	return usb.Info{Manufacturer: "Löket", ProductName: "Echo", Serial: e.serial, Speed: usb.HighSpeed}
}

// Descriptors describes interface 0 with the echo, and interface 1 with sink and source in its second setting.
func (e *Echo) Descriptors() []byte {
	serial := byte(3)
	if e.serial == "" {
		serial = 0
	}
	d := []byte{18, 1, 0, 2, 0xff, 0, 0, 64, 0x09, 0x12, 0x0e, 0xec, 0x10, 0x01, 1, 2, serial, 1}
	c := []byte{
		9, 2, 0, 0, 2, 1, 0, 0xc0, 50,
		9, 4, 0, 0, 3, 0xff, 1, 2, 0,
		7, 5, EchoOut, 2, 0, 2, 0,
		7, 5, EchoIn, 2, 0, 2, 0,
		7, 5, EchoEvent, 3, 8, 0, 4,
		9, 4, 1, 0, 0, 0xff, 3, 4, 0,
		9, 4, 1, 1, 2, 0xff, 3, 4, 0,
		7, 5, EchoSink, 2, 0, 2, 0,
		7, 5, EchoSource, 2, 0, 2, 0,
	}
	c[2] = byte(len(c))
	return append(d, c...)
}

// Event makes the interrupt endpoint answer once.
func (e *Echo) Event(data []byte) { e.events <- slices.Clone(data) }

// Stall makes the next transfer on an endpoint stall. It has no effect on a transfer that waits already.
func (e *Echo) Stall(endpoint uint8) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stalls[endpoint]++
}

// Resets counts the bus resets, of which attaching is one.
func (e *Echo) Resets() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.resets
}

// BusReset drops messages that nobody fetched.
func (e *Echo) BusReset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resets++
	e.messages = nil
}

func (e *Echo) started(endpoint uint8) {
	select {
	case e.Started <- endpoint:
	default:
	}
}

// Control answers the vendor requests and stalls every other.
func (e *Echo) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case s.RequestType == 0x40 && s.Request == EchoStore:
		e.stored = slices.Clone(data)
		return len(data), nil
	case s.RequestType == 0xc0 && s.Request == EchoLoad:
		return copy(data, e.stored), nil
	case s.RequestType == 0xc0 && s.Request == EchoWait:
		e.started(0)
		e.mu.Unlock()
		<-ctx.Done()
		e.mu.Lock()
		return 0, ctx.Err()
	case s.Request == EchoLeave:
		return 0, usb.ErrGone
	}
	return 0, usb.ErrStall
}

// Transfer echoes.
func (e *Echo) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	if e.stalled(endpoint) {
		return 0, usb.ErrStall
	}
	switch endpoint {
	case EchoSink, EchoSource:
		return len(data), nil
	case EchoOut:
		e.put(data)
		return len(data), nil
	case EchoEvent:
		e.started(endpoint)
		select {
		case b := <-e.events:
			return copy(data, b), nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	e.started(endpoint)
	for {
		if n, ok := e.take(data); ok {
			return n, nil
		}
		select {
		case <-e.more:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (e *Echo) stalled(endpoint uint8) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stalls[endpoint] == 0 {
		return false
	}
	e.stalls[endpoint]--
	return true
}

func (e *Echo) put(data []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.messages = append(e.messages, message{data: slices.Clone(data), zero: len(data) > 0 && len(data)%512 == 0})
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// take moves the next part of the oldest message. A message that ends with a whole packet where the buffer ends stays for
// one more transfer, of zero bytes.
func (e *Echo) take(buf []byte) (int, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.messages) == 0 {
		return 0, false
	}
	m := &e.messages[0]
	n := copy(buf, m.data)
	m.data = m.data[n:]
	if len(m.data) > 0 || (m.zero && n == len(buf)) {
		return n, true
	}
	e.messages = e.messages[1:]
	return n, true
}
