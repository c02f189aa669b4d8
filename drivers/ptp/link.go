package ptp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"loket/drivers/usb"
)

// How the data of a camera is fetched: first a small buffer, then as many whole packets as fit a large one, then the rest.
const (
	firstRead = 1024
	nextRead  = 65536
)

// How long things may take.
const (
	transferLimit = 2 * time.Second       // one transfer
	drainLimit    = 20 * time.Millisecond // silence after which a camera has nothing more to say
	pollEvery     = 10 * time.Millisecond // status, readiness
	drainMost     = 16 << 20              // bytes that are fetched and dropped before a reset
	sessionID     = 1
	lastID        = 0xfffffffe // of transactions; they start again at 1
)

// The class requests (annex D.5.2).
const (
	requestCancel = 0x64
	requestReset  = 0x66
	requestStatus = 0x67
	cancelCode    = 0x4001
)

// link carries transactions over USB (annex D): a command out, perhaps data in, a response in. One goroutine uses it at a
// time.
type link struct {
	dev    usb.Device
	iface  uint8
	in     usb.Endpoint
	out    usb.Endpoint
	events usb.Endpoint

	next    uint32 // id of the next transaction
	current uint32 // id of the last one
	dirty   bool   // a transaction did not end as it should: recover before the next
	session bool   // one is open, as far as is known
	first   [firstRead]byte
}

// newLink finds the Still Image interface of a device and claims it.
func newLink(dev usb.Device) (*link, error) {
	layout, err := usb.ParseDescriptors(dev.Descriptors())
	if err != nil {
		return nil, err
	}
	for _, s := range layout.Settings {
		if !stillImage(s.Interface) {
			continue
		}
		l := &link{dev: dev, iface: s.Number}
		for _, e := range s.Endpoints {
			switch {
			case e.Type == usb.BulkType && e.In():
				l.in = e
			case e.Type == usb.BulkType:
				l.out = e
			case e.Type == usb.InterruptType && e.In():
				l.events = e
			}
		}
		if l.in.MaxPacket == 0 || l.out.MaxPacket == 0 || l.events.MaxPacket == 0 {
			continue
		}
		return l, dev.Claim(s.Number, s.Alternate)
	}
	return nil, fmt.Errorf("finding a still image interface with its three endpoints: %w", usb.ErrNotFound)
}

// stillImage reports whether an interface is of the Still Image class and speaks PTP.
func stillImage(i usb.Interface) bool { return i.Class == 6 && i.SubClass == 1 && i.Protocol == 1 }

// buffer holds the payload of a data phase. It is used again and wiped at the end: what it holds can be a sample.
type buffer struct {
	limit int // bytes that it takes at the most
	b     []byte
}

// room makes the buffer hold n bytes; what it held is gone.
func (b *buffer) room(n int) []byte {
	if n > cap(b.b) {
		b.wipe()
		b.b = make([]byte, n)
	}
	b.b = b.b[:n]
	return b.b
}

func (b *buffer) wipe() { clear(b.b[:cap(b.b)]) }

// reply is a response.
type reply struct {
	code   uint16
	params []uint32
	data   bool // there was a data phase
}

// ResponseError is a response code that is no success.
type ResponseError struct {
	Operation uint16
	Code      uint16
}

// Error names the operation and the code, and what to do about it where there is something.
func (e *ResponseError) Error() string {
	name, hint := "", ""
	switch e.Code {
	case rcSessionNotOpen:
		name = " (session not open)"
	case rcOperationUnsupported:
		name = " (operation not supported)"
	case rcInvalidObjectHandle:
		name = " (no such object)"
	case rcStoreFull:
		name, hint = " (store full)", " (hint: empty the camera's memory card)"
	case rcDeviceBusy:
		name = " (device busy)"
	}
	return fmt.Sprintf("operation %04x answered %04x%s%s", e.Operation, e.Code, name, hint)
}

// do runs one transaction and returns its response, whatever it says. The payload of a data phase goes into into; nil where
// none may come.
func (l *link) do(ctx context.Context, into *buffer, op uint16, params ...uint32) (reply, error) {
	if err := ctx.Err(); err != nil {
		return reply{}, err
	}
	l.dirty = true
	defer func() { clear(l.first[:]) }()
	if err := l.send(ctx, op, params); err != nil {
		return reply{}, fmt.Errorf("sending operation %04x: %w", op, err)
	}
	r, err := l.receive(ctx, into, op)
	if err != nil {
		return reply{}, fmt.Errorf("reading the answer to operation %04x: %w", op, err)
	}
	l.dirty = false
	return r, nil
}

// must is do for an operation of which only success will do.
func (l *link) must(ctx context.Context, into *buffer, op uint16, params ...uint32) (reply, error) {
	r, err := l.do(ctx, into, op, params...)
	switch {
	case err != nil:
		return r, err
	case r.code != rcOK:
		return r, &ResponseError{Operation: op, Code: r.code}
	case into != nil && !r.data:
		return r, fmt.Errorf("reading the answer to operation %04x without its data: %w", op, ErrShort)
	}
	return r, nil
}

func (l *link) send(ctx context.Context, op uint16, params []uint32) error {
	if op == opOpenSession {
		l.current, l.next = 0, 1 // clause 10.5.2
	} else {
		l.current = l.next
		if l.next++; l.next > lastID {
			l.next = 1
		}
	}
	b := command(op, l.current, params...)
	n, err := l.transfer(ctx, l.out.Address, b)
	if err == nil && n != len(b) {
		err = fmt.Errorf("camera took %d of %d bytes: %w", n, len(b), ErrShort)
	}
	return err
}

func (l *link) receive(ctx context.Context, into *buffer, op uint16) (reply, error) {
	b, h, err := l.head(ctx)
	if err != nil {
		return reply{}, err
	}
	var r reply
	if h.block == blockData {
		switch {
		case into == nil:
			return r, fmt.Errorf("reading data where none belongs: %w", ErrGarbled)
		case h.code != op:
			return r, fmt.Errorf("reading data of operation %04x: %w", h.code, ErrGarbled)
		}
		if err := l.payload(ctx, into, b, h); err != nil {
			return r, err
		}
		r.data = true
		if b, h, err = l.head(ctx); err != nil {
			return r, err
		}
	}
	if h.block != blockResponse {
		return r, fmt.Errorf("reading a container of type %d where a response belongs: %w", h.block, ErrGarbled)
	}
	r.code = h.code
	r.params, err = parseParams(b, h, maxResponse)
	return r, err
}

// head reads the first bytes of a container of the present transaction. A zero-length packet before it ends a data phase of
// whole packets.
func (l *link) head(ctx context.Context) ([]byte, header, error) {
	n, err := l.transfer(ctx, l.in.Address, l.first[:])
	if err == nil && n == 0 {
		n, err = l.transfer(ctx, l.in.Address, l.first[:])
	}
	if err != nil {
		return nil, header{}, err
	}
	b := l.first[:n]
	h, err := parseHeader(b)
	if err == nil && h.transaction != l.current {
		err = fmt.Errorf("reading a container of transaction %d in transaction %d: %w", h.transaction, l.current, ErrTransaction)
	}
	return b, h, err
}

// payload reads what follows the head of a data container. Cameras that send the twelve bytes of the head by themselves
// are understood.
func (l *link) payload(ctx context.Context, into *buffer, b []byte, h header) error {
	total := int64(h.length) - headerSize
	switch {
	case total > int64(into.limit):
		return fmt.Errorf("reading data of %d bytes where %d are the most: %w", total, into.limit, ErrTooBig)
	case int64(len(b)) > int64(h.length):
		return fmt.Errorf("reading %d bytes where there should be %d: %w", len(b), h.length, ErrLong)
	case len(b) != headerSize && len(b) < firstRead && len(b) < int(h.length):
		return fmt.Errorf("reading %d of %d bytes: %w", len(b), h.length, ErrShort)
	}
	p := into.room(int(total))
	rest := p[copy(p, b[headerSize:]):]
	for len(rest) > 0 {
		part := rest[:min(len(rest), nextRead)]
		if len(part) >= l.in.MaxPacket {
			part = part[:len(part)-len(part)%l.in.MaxPacket]
		}
		n, err := l.transfer(ctx, l.in.Address, part)
		switch {
		case errors.Is(err, usb.ErrOverflow):
			return fmt.Errorf("reading the last %d bytes: %w: %w", len(rest), ErrLong, err)
		case err != nil:
			return fmt.Errorf("reading the last %d bytes: %w", len(rest), err)
		case n != len(part):
			return fmt.Errorf("reading the last %d of %d bytes: %w", len(rest), h.length, ErrShort)
		}
		rest = rest[n:]
	}
	return nil
}

// event waits until ctx ends for an event. It reads packet by packet, because events of whole packets end with no short
// one on some cameras.
func (l *link) event(ctx context.Context) (event, error) {
	packet := make([]byte, l.events.MaxPacket)
	var b []byte
	for {
		n, err := l.dev.Transfer(ctx, l.events.Address, packet)
		if errors.Is(err, usb.ErrStall) {
			if err = l.clearHalt(ctx, l.events.Address); err == nil {
				n, err = l.dev.Transfer(ctx, l.events.Address, packet)
			}
		}
		if err != nil {
			return event{}, fmt.Errorf("waiting for an event: %w", err)
		}
		b = append(b, packet[:n]...)
		if len(b) == 0 {
			continue
		}
		h, err := parseHeader(b)
		if err != nil && n == len(packet) && len(b) < headerSize {
			continue
		}
		if err == nil && h.length <= maxEvent && len(b) < int(h.length) && n == len(packet) {
			continue
		}
		e, err := parseEvent(b)
		if err != nil {
			return e, fmt.Errorf("waiting for an event: %w", err)
		}
		return e, nil
	}
}

// transfer runs one bulk transfer within its time. A stall is cleared once, and the transfer tried again where the camera
// says that it still is in the transaction.
func (l *link) transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	n, err := l.once(ctx, endpoint, data)
	if !errors.Is(err, usb.ErrStall) {
		return n, err
	}
	if cleared := l.clearHalt(ctx, endpoint); cleared != nil {
		return 0, errors.Join(err, cleared)
	}
	if code, _, failed := l.status(ctx); failed == nil && code != rcOK && code != rcDeviceBusy {
		return 0, fmt.Errorf("camera gave the transaction up with %04x: %w", code, err)
	}
	return l.once(ctx, endpoint, data)
}

func (l *link) once(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, transferLimit)
	defer cancel()
	return l.dev.Transfer(ctx, endpoint, data)
}

func (l *link) clearHalt(ctx context.Context, endpoint uint8) error {
	ctx, cancel := context.WithTimeout(ctx, transferLimit)
	defer cancel()
	if r, ok := l.dev.(usb.Resetter); ok {
		return r.ClearHalt(ctx, endpoint)
	}
	s := usb.Setup{RequestType: 0x02, Request: usb.RequestClearFeature, Index: uint16(endpoint)}
	_, err := l.dev.Control(ctx, s, nil)
	return err
}

// status asks how the camera is (annex D.5.2.5): a response code, and the endpoints that it halted.
func (l *link) status(ctx context.Context) (code uint16, halted []uint8, err error) {
	ctx, cancel := context.WithTimeout(ctx, transferLimit)
	defer cancel()
	var b [32]byte
	s := usb.Setup{RequestType: 0xa1, Request: requestStatus, Index: uint16(l.iface), Length: uint16(len(b))}
	n, err := l.dev.Control(ctx, s, b[:])
	if err != nil {
		return 0, nil, err
	}
	return parseStatus(b[:n])
}

// parseStatus reads the dataset of annex D.5.2.5.
func parseStatus(b []byte) (code uint16, halted []uint8, err error) {
	le := binary.LittleEndian
	if len(b) < 4 || int(le.Uint16(b)) < 4 || int(le.Uint16(b)) > len(b) {
		return 0, nil, fmt.Errorf("reading a status of %d bytes: %w", len(b), ErrShort)
	}
	for rest := b[4:le.Uint16(b)]; len(rest) >= 4; rest = rest[4:] {
		halted = append(halted, rest[0])
	}
	return le.Uint16(b[2:]), halted, nil
}

// recover brings camera and driver back to the start of a transaction: the camera is told to drop the last one, and what it
// sent already is fetched and dropped. A camera that does not come to rest is reset, and has lost its session.
func (l *link) recover(ctx context.Context) error {
	err := l.cancel(ctx)
	if err == nil {
		err = l.drain(ctx)
	}
	if err != nil && ctx.Err() == nil && !lost(err) {
		err = l.reset(ctx)
	}
	l.dirty = err != nil
	return err
}

func (l *link) reset(ctx context.Context) error {
	l.session = false
	err := l.classRequest(ctx, requestReset, nil)
	if err == nil {
		err = l.drain(ctx)
	}
	if err != nil {
		return fmt.Errorf("resetting the camera: %w", err)
	}
	return nil
}

// lost reports whether the device can't be reached at all any more.
func lost(err error) bool { return errors.Is(err, usb.ErrGone) || errors.Is(err, usb.ErrClosed) }

// cancel drops the last transaction (annex D.5.2.2) and waits until the camera is ready again.
func (l *link) cancel(ctx context.Context) error {
	b := binary.LittleEndian.AppendUint16(nil, cancelCode)
	b = binary.LittleEndian.AppendUint32(b, l.current)
	if err := l.classRequest(ctx, requestCancel, b); err != nil && !errors.Is(err, usb.ErrStall) {
		return fmt.Errorf("cancelling transaction %d: %w", l.current, err)
	}
	for deadline := time.Now().Add(transferLimit); time.Now().Before(deadline); {
		code, halted, err := l.status(ctx)
		switch {
		case errors.Is(err, usb.ErrStall): // a camera that can't tell
			return nil
		case err != nil:
			return fmt.Errorf("asking for the status: %w", err)
		}
		for _, endpoint := range halted {
			if err := l.clearHalt(ctx, endpoint); err != nil {
				return fmt.Errorf("clearing the halt of endpoint %02x: %w", endpoint, err)
			}
		}
		if code != rcDeviceBusy {
			return nil
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
	return fmt.Errorf("waiting for the camera to become ready: %w", context.DeadlineExceeded)
}

func (l *link) classRequest(ctx context.Context, request uint8, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, transferLimit)
	defer cancel()
	s := usb.Setup{RequestType: 0x21, Request: request, Index: uint16(l.iface), Length: uint16(len(data))}
	_, err := l.dev.Control(ctx, s, data)
	return err
}

// drain fetches what the camera still has to say about a transaction that nobody wants, until it is silent.
func (l *link) drain(ctx context.Context) error {
	b := make([]byte, nextRead)
	defer clear(b)
	for dropped := 0; dropped < drainMost; {
		n, err := l.silence(ctx, b)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			return nil
		case errors.Is(err, usb.ErrStall):
			if err := l.clearHalt(ctx, l.in.Address); err != nil {
				return fmt.Errorf("draining the camera: %w", err)
			}
			n = nextRead // clearing for ever is bounded too
		case err != nil:
			return fmt.Errorf("draining the camera: %w", err)
		}
		dropped += max(n, 1024)
	}
	return fmt.Errorf("draining the camera: %w", ErrLong)
}

func (l *link) silence(ctx context.Context, b []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	return l.dev.Transfer(ctx, l.in.Address, b)
}

// sleep waits, or less long where ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
