package usbtest

import (
	"context"
	"errors"
	"sync"

	"loket/drivers/usb"
)

// Failure is how a transfer fails.
type Failure string

// The failures. An IN transfer is spoilt on its way to the driver, an OUT transfer on its way to the device.
const (
	Stall   Failure = "stall"   // not run; a bulk or interrupt endpoint stays stalled until its halt is cleared
	Gone    Failure = "gone"    // not run; the device is closed below and everything on it ends with usb.ErrGone
	Hang    Failure = "hang"    // not run; ends with its context, with Close or with the device
	Short   Failure = "short"   // half of it is through, and that count is returned
	Long    Failure = "long"    // bytes are added; an IN transfer without room for them gives usb.ErrOverflow, a control OUT transfer stalls
	Garbled Failure = "garbled" // the first byte and every 61st byte after it has one bit flipped
)

// Failures lists every failure.
func Failures() []Failure { return []Failure{Stall, Gone, Hang, Short, Long, Garbled} }

// extra is how many bytes Long adds at most.
const extra = 17

// FaultBus is a bus that fails one transfer.
type FaultBus struct {
	usb.Bus

	mu   sync.Mutex
	seen int
	at   int // the transfer to fail, counted like seen; 0 for none
	how  Failure
	hit  bool
}

// Fault puts a bus in between that fails the n-th transfer that a driver runs over devices opened through it, control, bulk and
// interrupt transfers counted together from 1 in the order in which they are called. With n = 0 it only counts.
func Fault(bus usb.Bus, n int, how Failure) *FaultBus { return &FaultBus{Bus: bus, at: n, how: how} }

// Arm makes the n-th transfer from now fail.
func (b *FaultBus) Arm(n int, how Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at, b.how, b.hit = b.seen+n, how, false
}

// Count returns how many transfers were called.
func (b *FaultBus) Count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen
}

// Hit reports whether the transfer to fail was called.
func (b *FaultBus) Hit() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hit
}

// next counts a transfer and says how it fails, "" for not at all.
func (b *FaultBus) next() Failure {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen++
	if b.seen != b.at || b.how == "" {
		return ""
	}
	b.hit = true
	return b.how
}

// Open opens a device of the bus below.
func (b *FaultBus) Open(ctx context.Context, id usb.Identity) (usb.Device, error) {
	dev, err := b.Bus.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	f := &faultDevice{Device: dev, bus: b, ended: make(chan struct{}), halted: map[uint8]bool{}}
	if r, ok := dev.(usb.Resetter); ok {
		return &faultResetter{f, r}, nil
	}
	return f, nil
}

type faultDevice struct {
	usb.Device
	bus *FaultBus

	mu     sync.Mutex
	gone   bool
	closed bool
	ended  chan struct{} // closed at the first of the two
	halted map[uint8]bool
}

// faultResetter is a faultDevice over a device that can reset.
type faultResetter struct {
	*faultDevice
	below usb.Resetter
}

func (d *faultResetter) ClearHalt(ctx context.Context, endpoint uint8) error {
	if err := d.why(d.below.ClearHalt(ctx, endpoint)); err != nil {
		return err
	}
	d.clear(endpoint)
	return nil
}

func (d *faultResetter) Reset(ctx context.Context) error {
	if err := d.why(d.below.Reset(ctx)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halted = map[uint8]bool{}
	return nil
}

func (d *faultDevice) clear(endpoint uint8) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.halted, endpoint)
}

func (d *faultDevice) Claim(iface, alt uint8) error { return d.why(d.Device.Claim(iface, alt)) }

func (d *faultDevice) Close() error {
	d.end(false)
	return d.Device.Close()
}

// end notes that the device is closed, or that it is gone.
func (d *faultDevice) end(gone bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.gone && !d.closed {
		close(d.ended)
	}
	d.gone = d.gone || gone
	d.closed = d.closed || !gone
}

// why gives the error of a device that failed as gone: it is closed below, and the driver must not see that.
func (d *faultDevice) why(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(err, usb.ErrClosed) && d.gone && !d.closed {
		return usb.ErrGone
	}
	return err
}

func (d *faultDevice) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	if len(data) < int(s.Length) {
		return d.Device.Control(ctx, s, data) // which refuses it
	}
	n, err := d.run(ctx, 0, s.In(), data[:s.Length], func(data []byte) (int, error) {
		if !s.In() && len(data) != int(s.Length) { // a setup stage can't lie about its data
			if len(data) > int(s.Length) {
				return 0, usb.ErrStall
			}
			s.Length = uint16(len(data))
		}
		return d.Device.Control(ctx, s, data)
	})
	if err == nil && s.RequestType == 2 && s.Request == usb.RequestClearFeature && s.Value == 0 {
		d.clear(uint8(s.Index))
	}
	return n, err
}

func (d *faultDevice) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	return d.run(ctx, endpoint, endpoint&0x80 != 0, data, func(data []byte) (int, error) {
		return d.Device.Transfer(ctx, endpoint, data)
	})
}

// run runs a transfer, or what is left of it.
func (d *faultDevice) run(ctx context.Context, endpoint uint8, in bool, data []byte, transfer func([]byte) (int, error)) (int, error) {
	how := d.bus.next()
	if err := d.refuse(endpoint); err != nil {
		return 0, err
	}
	switch {
	case how == Stall:
		d.halt(endpoint)
		return 0, usb.ErrStall
	case how == Gone:
		d.end(true)
		_ = d.Device.Close()
		return 0, d.why(usb.ErrClosed)
	case how == Hang:
		return 0, d.hang(ctx)
	case how != "" && !in:
		return d.spoilOut(how, data, transfer)
	}
	n, err := transfer(data)
	if how != "" && err == nil {
		return spoilIn(how, data, n)
	}
	return n, d.why(err)
}

// refuse gives the error of an endpoint that a failure has halted, if the device is there.
func (d *faultDevice) refuse(endpoint uint8) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.halted[endpoint] && !d.gone && !d.closed {
		return usb.ErrStall
	}
	return nil
}

func (d *faultDevice) halt(endpoint uint8) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if endpoint != 0 {
		d.halted[endpoint] = true
	}
}

func (d *faultDevice) hang(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.ended:
		return d.why(usb.ErrClosed)
	}
}

func spoilIn(how Failure, data []byte, n int) (int, error) {
	switch how {
	case Short:
		return n / 2, nil
	case Garbled:
		garble(data[:n])
	case Long:
		if n == len(data) {
			return n, usb.ErrOverflow
		}
		tail := data[n:min(len(data), n+extra)]
		copy(tail, noise(len(tail)))
		return n + len(tail), nil
	}
	return n, nil
}

func (d *faultDevice) spoilOut(how Failure, data []byte, transfer func([]byte) (int, error)) (int, error) {
	sent := append([]byte(nil), data...)
	switch how {
	case Short:
		sent = sent[:len(sent)/2]
	case Garbled:
		garble(sent)
	case Long:
		sent = append(sent, noise(extra)...)
	}
	n, err := transfer(sent)
	return min(n, len(data)), d.why(err)
}

// garble flips bits, the same ones at every call.
func garble(b []byte) {
	for i := 0; i < len(b); i += 61 {
		b[i] ^= 1 << (i / 61 % 8)
	}
}

// noise makes bytes that look like nothing.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(0x2545f491)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}
