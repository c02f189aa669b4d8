package driverstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
)

// muffled is an opened device that can fall silent: from one transfer on nothing is answered.
type muffled struct {
	usb.Device

	mu     sync.Mutex
	count  int
	from   int // the transfer at which act is called, from 0; -1 for none
	silent bool
	act    func()
	closed chan struct{}
	once   sync.Once
}

func newMuffled(dev usb.Device) *muffled {
	return &muffled{Device: dev, from: -1, closed: make(chan struct{})}
}

// arm has act called at the n-th transfer from now, after which the device is silent or answers on.
func (m *muffled) arm(n int, silent bool, act func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count, m.from, m.silent, m.act = 0, n, silent, act
}

// counted returns how many transfers there were since arm.
func (m *muffled) counted() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

// pass counts a transfer, and blocks it where the device is silent.
func (m *muffled) pass(ctx context.Context) error {
	m.mu.Lock()
	i, act := m.count, m.act
	m.count++
	now, silent := i == m.from, m.silent && m.from >= 0 && i >= m.from
	m.mu.Unlock()
	if now {
		act()
	}
	if !silent {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-m.closed:
		return usb.ErrClosed
	}
}

func (m *muffled) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	if err := m.pass(ctx); err != nil {
		return 0, err
	}
	return m.Device.Control(ctx, s, data)
}

func (m *muffled) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	if err := m.pass(ctx); err != nil {
		return 0, err
	}
	return m.Device.Transfer(ctx, endpoint, data)
}

// ClearHalt is a request to the device, and so counts as a transfer.
func (m *muffled) ClearHalt(ctx context.Context, endpoint uint8) error {
	if err := m.pass(ctx); err != nil {
		return err
	}
	if r, ok := m.Device.(usb.Resetter); ok {
		return r.ClearHalt(ctx, endpoint)
	}
	return fmt.Errorf("clearing a halt: %w", errors.ErrUnsupported)
}

// Reset is the hub's doing: it works on a silent device too, and changes nothing.
func (m *muffled) Reset(ctx context.Context) error {
	if r, ok := m.Device.(usb.Resetter); ok {
		return r.Reset(ctx)
	}
	return fmt.Errorf("resetting: %w", errors.ErrUnsupported)
}

func (m *muffled) Close() error {
	m.once.Do(func() { close(m.closed) })
	return m.Device.Close()
}

// use is one thing that a caller can be in when it ends its context.
type use struct {
	name string
	run  func(ctx context.Context, b *bench, raw *muffled) error
}

// uses lists what a device is used for. Each opens the device, which counts where opening is the use.
func uses() []use {
	opened := func(do func(context.Context, *bench, drivers.Device) error) func(context.Context, *bench, *muffled) error {
		return func(ctx context.Context, b *bench, raw *muffled) error {
			act, from, silent := raw.act, raw.from, raw.silent
			raw.arm(-1, false, nil)
			dev, err := b.cfg.Driver.Open(b.Context(), raw)
			if err != nil {
				b.Fatalf("opening: %v", err)
			}
			raw.arm(from, silent, act)
			return do(ctx, b, dev)
		}
	}
	return []use{
		{"opening", func(ctx context.Context, b *bench, raw *muffled) error {
			_, err := b.cfg.Driver.Open(ctx, raw)
			return err
		}},
		{"capturing", opened(func(ctx context.Context, b *bench, dev drivers.Device) error {
			img, err := b.capture(ctx, dev)
			img.Wipe()
			return err
		})},
		{"testing itself", opened(func(ctx context.Context, _ *bench, dev drivers.Device) error {
			if t, ok := dev.(drivers.SelfTester); ok {
				_, err := t.SelfTest(ctx)
				return err
			}
			return nil
		})},
	}
}

// cancelsPromptly ends the context of every use at every transfer, of a device that answers and of one that fell silent just
// before, and then closes the device: each returns in time.
func cancelsPromptly(b *bench) {
	for _, u := range uses() {
		count := b.muffle(u, -1, false)
		for at := 0; at < count && !b.Failed(); at++ {
			b.muffle(u, at, false)
			b.muffle(u, at, true)
		}
	}
	b.captureWell(b.open())
}

// muffle runs a use once, cancelled at a transfer or not at all, and returns how many transfers it took.
func (b *bench) muffle(u use, at int, silent bool) int {
	id := b.find().Identity()
	dev, err := b.plug.bus.Open(b.Context(), id)
	if err != nil {
		b.Fatalf("opening on the bus: %v", err)
	}
	raw := newMuffled(dev)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var ended atomic.Pointer[time.Time] // a use that came to its end before may be over when it is set
	raw.arm(at, silent, func() {
		time.AfterFunc(10*time.Millisecond, func() {
			now := time.Now()
			ended.Store(&now)
			cancel()
		})
	})
	err = u.run(ctx, b, raw)
	where := fmt.Sprintf("%s, cancelled at transfer %d, silent: %v", u.name, at, silent)
	when := ended.Load()
	switch {
	case at < 0 && err != nil:
		b.Fatalf("%s with nothing in its way: %v", u.name, err)
	case silent && err != nil && !errors.Is(err, context.Canceled):
		b.Errorf("%s: ended with %v", where, err)
	case when != nil && time.Since(*when) > promptly:
		b.Errorf("%s: returned after %v", where, time.Since(*when))
	}
	count := raw.counted()
	closing := time.Now()
	_ = raw.Close()
	if took := time.Since(closing); took > promptly {
		b.Errorf("%s: Close took %v", where, took)
	}
	return count
}
