package ptpcam

import (
	"context"
	"encoding/binary"
	"time"

	"loket/drivers/usb"
)

const (
	packet      = 512 // bytes in a bulk packet at high speed
	eventPacket = 64  // bytes in a packet of the interrupt endpoint
)

// The class requests (ISO 15740:2013, annex D.5.2).
const (
	requestCancel        = 0x64
	requestExtendedEvent = 0x65
	requestReset         = 0x66
	requestStatus        = 0x67

	toInterface   = 0x21
	fromInterface = 0xa1
)

// message is a container on its way to the host.
type message struct {
	parts [][]byte
	ready time.Time // not before
	zero  bool      // what is left is the zero-length packet that ends a whole number of packets
	whole bool      // the container is a whole number of packets
}

// framing is the state of the USB binding: at most one transaction, in containers.
type framing struct {
	in          []message
	transaction uint32 // of the last command
	busy        int    // how many more status requests answer Device_Busy after a cancel
}

// send queues a container.
func (f *framing) send(ready time.Time, parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	f.in = append(f.in, message{parts: parts, ready: ready, whole: n%packet == 0})
}

// take moves the next part of the first container.
func (f *framing) take(data []byte) int {
	m := &f.in[0]
	n := 0
	for len(m.parts) > 0 && n < len(data) {
		c := copy(data[n:], m.parts[0])
		n += c
		if m.parts[0] = m.parts[0][c:]; len(m.parts[0]) == 0 {
			m.parts = m.parts[1:]
		}
	}
	switch {
	case len(m.parts) > 0:
	case m.whole && !m.zero && n == len(data):
		m.zero = true
	default:
		f.in = f.in[1:]
	}
	return n
}

// Transfer answers the three endpoints. A command that comes before the last response was fetched waits, as it would before
// a camera whose buffer is full. A malformed command stalls.
func (d *Device) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	switch endpoint {
	case EndpointOut:
		return d.await(ctx, func(time.Time) (int, bool, error) { return d.receive(data) })
	case EndpointIn:
		return d.await(ctx, func(now time.Time) (int, bool, error) { return d.transmit(data, now) })
	case EndpointEvent:
		return d.await(ctx, func(time.Time) (int, bool, error) { return d.notify(data) })
	}
	return 0, usb.ErrStall
}

// await tries again at every change and whenever something becomes due, until try is done or ctx ends.
func (d *Device) await(ctx context.Context, try func(now time.Time) (n int, done bool, err error)) (int, error) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		unlock := d.lock()
		now := d.core.now() // one for both, or what becomes due in between is missed
		n, done, err := try(now)
		wake, due := d.wake, d.due(now)
		unlock()
		if done || err != nil {
			return n, err
		}
		timer.Reset(due)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
	}
}

// due is the time from now until something can change by itself. The caller holds the mutex.
func (d *Device) due(now time.Time) time.Duration {
	wait := time.Hour
	if at := d.core.due(); !at.IsZero() {
		wait = min(wait, at.Sub(now))
	}
	if len(d.link.in) > 0 && d.link.in[0].ready.After(now) {
		wait = min(wait, d.link.in[0].ready.Sub(now))
	}
	return wait
}

// receive takes a command. It is shorter than a packet, so it comes in one transfer or not at all.
func (d *Device) receive(data []byte) (int, bool, error) {
	if len(d.link.in) > 0 {
		return 0, false, nil
	}
	if len(data) == 0 {
		return 0, true, nil
	}
	q, ok := parseCommand(data)
	if !ok {
		return 0, false, usb.ErrStall
	}
	d.answer(q)
	return len(data), true, nil
}

// answer runs an operation and queues its data and response. Whoever has the camera over the network has it alone.
func (d *Device) answer(q request) {
	a := say(rcDeviceBusy)
	if d.network == nil {
		a = d.core.handle(q)
	}
	d.link.transaction = q.transaction
	if a.data != nil {
		n := 0
		for _, p := range a.data {
			n += len(p)
		}
		d.link.send(a.ready, append([][]byte{header(blockData, q.code, q.transaction, n)}, a.data...)...)
	}
	d.link.send(a.ready, container(blockResponse, a.code, q.transaction, a.params...))
	d.stir()
}

// transmit gives bytes of the first container that waits.
func (d *Device) transmit(data []byte, now time.Time) (int, bool, error) {
	f := &d.link
	if len(f.in) == 0 || f.in[0].ready.After(now) {
		return 0, false, nil
	}
	n := f.take(data)
	if len(f.in) == 0 {
		d.stir()
	}
	return n, true, nil
}

// notify gives the oldest event.
func (d *Device) notify(data []byte) (int, bool, error) {
	if d.network != nil {
		return 0, false, nil
	}
	e, ok := d.core.nextEvent()
	if !ok {
		return 0, false, nil
	}
	return copy(data, container(blockEvent, e.code, e.transaction, e.eventParams()...)), true, nil
}

// eventParams lists the parameters that an event of that code has.
func (e event) eventParams() []uint32 {
	if e.code == eventObjectAdded {
		return []uint32{e.param}
	}
	return nil
}

// Control answers the class requests and stalls every other.
func (d *Device) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	defer d.lock()()
	switch {
	case s.RequestType == toInterface && s.Request == requestCancel:
		return d.cancel(data)
	case s.RequestType == toInterface && s.Request == requestReset:
		d.restart()
		return 0, nil
	case s.RequestType == fromInterface && s.Request == requestStatus:
		return copy(data, d.status()), nil
	case s.RequestType == fromInterface && s.Request == requestExtendedEvent:
		return copy(data, d.extendedEvent()), nil
	}
	return 0, usb.ErrStall
}

// cancel drops the transaction that the host names (annex D.5.2.2). The next status says that the camera is still at it.
func (d *Device) cancel(data []byte) (int, error) {
	le := binary.LittleEndian
	if len(data) != 6 || le.Uint16(data) != cancelTransaction {
		return 0, usb.ErrStall
	}
	if le.Uint32(data[2:]) == d.link.transaction {
		d.link.in, d.link.busy = nil, 1
	}
	d.stir()
	return len(data), nil
}

// status is the dataset of annex D.5.2.5: its length and a response code.
func (d *Device) status() []byte {
	code := uint16(rcOK)
	if d.link.busy > 0 {
		d.link.busy--
		code = rcDeviceBusy
	}
	var b dataset
	b.u16(4)
	b.u16(code)
	return b
}

// extendedEvent is the dataset of annex D.5.2.3 for the last event: code, transaction, parameters with their sizes.
func (d *Device) extendedEvent() []byte {
	e := d.core.lastEvent
	var b dataset
	b.u16(e.code)
	b.u32(e.transaction)
	b.u16(uint16(len(e.eventParams())))
	for _, p := range e.eventParams() {
		b.u16(4)
		b.u32(p)
	}
	return b
}
