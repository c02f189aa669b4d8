package driverstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
)

// trouble is one thing that can happen to a transfer.
type trouble string

const (
	none   trouble = "nothing"
	unplug trouble = "unplug"           // the device leaves the bus
	flip   trouble = "flipped bit"      // one, in the middle of what comes through
	dead   trouble = "stall that stays" // clearing the halt does not help
	cancel trouble = "cancel"           // the caller's context ends
	shut   trouble = "close"            // somebody closes the device

	stall   = trouble(usbtest.Stall)
	hang    = trouble(usbtest.Hang)
	short   = trouble(usbtest.Short)
	long    = trouble(usbtest.Long)
	garbled = trouble(usbtest.Garbled)
)

// ofBus reports whether the bus in between makes the trouble.
func (t trouble) ofBus() bool {
	return t == stall || t == hang || t == short || t == long || t == garbled
}

// breaker is an opened device in which one transfer goes wrong. It counts control transfers too, and requests that clear a
// halt only where the driver makes them itself.
type breaker struct {
	usb.Device
	bus *usbtest.FaultBus

	mu     sync.Mutex
	kind   trouble
	at     int    // the transfer that goes wrong, from 0
	act    func() // what unplug, cancel and shut do
	count  int
	did    bool   // the trouble reached the driver
	in     bool   // it was an answer that went wrong
	where  string // which transfer it was
	broken int    // the endpoint that stalls for good; -1 for none
}

func newBreaker(d usb.Device, bus *usbtest.FaultBus) *breaker {
	b := &breaker{Device: d, bus: bus}
	b.arm(none, -1, nil)
	return b
}

// arm makes one transfer go wrong, the at-th from now.
func (b *breaker) arm(kind trouble, at int, act func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kind, b.at, b.act = kind, at, act
	b.count, b.did, b.in, b.where, b.broken = 0, false, false, "no transfer", -1
	if kind.ofBus() {
		b.bus.Arm(at+1, usbtest.Failure(kind))
	} else {
		b.bus.Arm(0, "")
	}
}

// happened tells how many transfers there were, and whether the trouble reached the driver at all, in an answer, and where.
func (b *breaker) happened() (count int, did, in bool, where string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count, b.did, b.in, b.where
}

// next counts a transfer and returns what is to go wrong with it.
func (b *breaker) next(endpoint uint8, in bool, what string) trouble {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.count
	b.count++
	if i == b.at {
		b.in, b.where = in, fmt.Sprintf("transfer %d, %s", i, what)
		if b.kind == dead {
			b.broken = int(endpoint)
		}
		return b.kind
	}
	if b.broken == int(endpoint) {
		return dead
	}
	return none
}

func (b *breaker) reached() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.did = true
}

// Control runs a control transfer, broken where it is its turn.
func (b *breaker) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	what := fmt.Sprintf("control request %02x %02x", s.RequestType, s.Request)
	return b.run(0, s.In(), what, data, func(data []byte) (int, error) { return b.Device.Control(ctx, s, data) })
}

// Transfer runs a bulk or interrupt transfer, broken where it is its turn.
func (b *breaker) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	what := fmt.Sprintf("endpoint %02x", endpoint)
	in := endpoint&0x80 != 0
	return b.run(endpoint, in, what, data, func(data []byte) (int, error) { return b.Device.Transfer(ctx, endpoint, data) })
}

func (b *breaker) run(endpoint uint8, in bool, what string, data []byte, transfer func([]byte) (int, error)) (int, error) {
	kind := b.next(endpoint, in, what)
	switch kind {
	case unplug, cancel, shut:
		b.act()
		b.reached()
	case dead:
		b.reached()
		return 0, usb.ErrStall
	}
	if kind == flip && !in {
		data = slices.Clone(data)
		flipBit(data)
	}
	n, err := transfer(data)
	if (kind.ofBus() || kind == flip) && felt(kind, n, err) {
		b.reached()
	}
	if kind == flip && in {
		flipBit(data[:n])
	}
	return n, err
}

func flipBit(b []byte) {
	if len(b) > 0 {
		b[len(b)/2] ^= 0x10
	}
}

// felt reports whether a driver that got this back can know of the trouble. It may give up a transfer that it no longer
// needs: only running into its deadline tells that one hung.
func felt(kind trouble, n int, err error) bool {
	switch kind {
	case stall:
		return true
	case hang:
		return errors.Is(err, context.DeadlineExceeded)
	}
	return err == nil && (n > 0 || kind == long) || errors.Is(err, usb.ErrOverflow) || errors.Is(err, usb.ErrStall)
}

// ClearHalt clears a halt; one that stays comes back with the next transfer.
func (b *breaker) ClearHalt(ctx context.Context, endpoint uint8) error {
	if r, ok := b.Device.(usb.Resetter); ok {
		return r.ClearHalt(ctx, endpoint)
	}
	return fmt.Errorf("clearing a halt: %w", errors.ErrUnsupported)
}

// Reset resets the device; what is broken stays broken.
func (b *breaker) Reset(ctx context.Context) error {
	if r, ok := b.Device.(usb.Resetter); ok {
		return r.Reset(ctx)
	}
	return fmt.Errorf("resetting: %w", errors.ErrUnsupported)
}
