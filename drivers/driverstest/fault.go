package driverstest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"loket/drivers/usb"
)

// trouble is one thing that can happen to a transfer.
type trouble string

const (
	none    trouble = "nothing"
	unplug  trouble = "unplug"
	hang    trouble = "hang"
	stall   trouble = "stall"            // the endpoint is halted until the halt is cleared
	dead    trouble = "stall that stays" // clearing the halt does not help
	short   trouble = "short"
	long    trouble = "long"
	garbled trouble = "garbled"
	cancel  trouble = "cancel" // the caller's context ends
	shut    trouble = "close"  // somebody closes the device
)

// breaker is an opened device in which one transfer goes wrong. Transfers are counted from the last call of arm, control
// transfers and refused ones included; standard requests that clear a halt are not.
type breaker struct {
	usb.Device
	closed chan struct{}
	once   sync.Once

	mu     sync.Mutex
	kind   trouble
	at     int    // the transfer that goes wrong
	act    func() // what unplug, cancel and shut do
	count  int
	did    bool           // the trouble reached the driver
	in     bool           // it was an answer that went wrong
	where  string         // which transfer it was
	halted map[uint8]bool // endpoints that stall
	broken map[uint8]bool // endpoints that stall for good
}

func newBreaker(d usb.Device) *breaker {
	b := &breaker{Device: d, closed: make(chan struct{})}
	b.arm(none, -1, nil)
	return b
}

// arm makes the at-th transfer from now on go wrong.
func (b *breaker) arm(kind trouble, at int, act func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kind, b.at, b.act = kind, at, act
	b.count, b.did, b.in, b.where = 0, false, false, "no transfer"
	b.halted, b.broken = map[uint8]bool{}, map[uint8]bool{}
}

// happened tells how many transfers there were, and whether the trouble reached the driver in an answer or at all.
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
	switch {
	case b.broken[endpoint], b.halted[endpoint]:
		return stall
	case i != b.at:
		return none
	}
	b.in, b.where = in, fmt.Sprintf("transfer %d, %s", i, what)
	return b.kind
}

func (b *breaker) reached() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.did = true
}

// Control runs a control transfer, broken where it is its turn.
func (b *breaker) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	what := fmt.Sprintf("control request %02x %02x", s.RequestType, s.Request)
	return b.run(ctx, 0, s.In(), what, data, func(ctx context.Context, data []byte) (int, error) {
		s.Length = min(s.Length, uint16(len(data)))
		return b.Device.Control(ctx, s, data)
	})
}

// Transfer runs a bulk or interrupt transfer, broken where it is its turn.
func (b *breaker) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	what := fmt.Sprintf("endpoint %02x", endpoint)
	return b.run(ctx, endpoint, endpoint&0x80 != 0, what, data, func(ctx context.Context, data []byte) (int, error) {
		return b.Device.Transfer(ctx, endpoint, data)
	})
}

type transfer func(ctx context.Context, data []byte) (int, error)

func (b *breaker) run(ctx context.Context, endpoint uint8, in bool, what string, data []byte, do transfer) (int, error) {
	kind := b.next(endpoint, in, what)
	switch kind {
	case none:
		return do(ctx, data)
	case unplug, cancel, shut:
		b.act()
		b.reached()
		return do(ctx, data)
	case hang:
		return b.hang(ctx)
	case stall, dead:
		b.halt(endpoint, kind)
		return 0, usb.ErrStall
	}
	if in {
		return b.answer(ctx, kind, data, do)
	}
	return b.command(ctx, kind, data, do)
}

// hang does nothing until the driver gives up. Only running into a deadline counts: a driver may give up what it no longer
// needs.
func (b *breaker) hang(ctx context.Context) (int, error) {
	select {
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			b.reached()
		}
		return 0, ctx.Err()
	case <-b.closed:
		return 0, usb.ErrClosed
	}
}

func (b *breaker) halt(endpoint uint8, kind trouble) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.did = true
	if endpoint != 0 {
		b.halted[endpoint] = true
	}
	if kind == dead {
		b.broken[endpoint] = true
	}
}

// answer breaks what the device sent.
func (b *breaker) answer(ctx context.Context, kind trouble, data []byte, do transfer) (int, error) {
	n, err := do(ctx, data)
	if err != nil || n == 0 {
		return n, err
	}
	b.reached()
	switch kind {
	case short:
		clear(data[n/2 : n])
		return n / 2, nil
	case garbled:
		data[n/2] ^= 0x10
		return n, nil
	default: // long
		if n == len(data) {
			return n, usb.ErrOverflow
		}
		data[n] = 0x5a
		return n + 1, nil
	}
}

// command breaks what the driver sends. No driver can be made to send more than it has.
func (b *breaker) command(ctx context.Context, kind trouble, data []byte, do transfer) (int, error) {
	if kind == long || len(data) == 0 {
		return do(ctx, data)
	}
	b.reached()
	if kind == short {
		return do(ctx, data[:len(data)/2])
	}
	sent := append([]byte(nil), data...)
	sent[len(sent)/2] ^= 0x10
	return do(ctx, sent)
}

// ClearHalt clears a halt, if it is one that can be cleared.
func (b *breaker) ClearHalt(ctx context.Context, endpoint uint8) error {
	b.mu.Lock()
	mine := b.halted[endpoint]
	if !b.broken[endpoint] {
		delete(b.halted, endpoint)
	}
	b.mu.Unlock()
	r, ok := b.Device.(usb.Resetter)
	switch {
	case ok:
		return r.ClearHalt(ctx, endpoint)
	case mine:
		return nil
	}
	return errors.New("clearing a halt: this bus can't")
}

// Reset resets the device; what is broken stays broken.
func (b *breaker) Reset(ctx context.Context) error {
	b.mu.Lock()
	b.halted = map[uint8]bool{}
	b.mu.Unlock()
	if r, ok := b.Device.(usb.Resetter); ok {
		return r.Reset(ctx)
	}
	return errors.New("resetting: this bus can't")
}

// Close ends what hangs and closes the device.
func (b *breaker) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Device.Close()
}
