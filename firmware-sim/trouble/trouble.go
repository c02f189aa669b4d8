// Package trouble makes a gadget misbehave the way broken hardware does.
//
// The one idea: a wrapper stands between the bus and the firmware and spoils what passes, so that any device can hang,
// stall, or answer rubbish without knowing of it. Descriptors stay readable: a sick device still shows up in a list.
package trouble

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"loket/drivers/usb"
)

// Kind is what is wrong with a device.
type Kind string

// The kinds of trouble.
const (
	None    Kind = ""
	Hang    Kind = "hang"    // nothing is answered
	Stall   Kind = "stall"   // every endpoint stalls, again after each clear
	Garbage Kind = "garbage" // answers come with flipped bits
	Short   Kind = "short"   // answers lose their end
)

// Kinds lists every trouble.
func Kinds() []Kind { return []Kind{Hang, Stall, Garbage, Short} }

// Parse reads the name of a trouble.
func Parse(name string) (Kind, error) {
	if k := Kind(name); slices.Contains(Kinds(), k) {
		return k, nil
	}
	var all []string
	for _, k := range Kinds() {
		all = append(all, string(k))
	}
	return None, fmt.Errorf("reading trouble %q: unknown (hint: one of %s)", name, strings.Join(all, ", "))
}

// Gadget is a device in trouble, or not. It must be made by [Wrap]; its methods may be called from several goroutines at
// once.
type Gadget struct {
	inner usb.Gadget

	mu         sync.Mutex
	kind       Kind
	untilReset bool
	timer      *time.Timer
	changed    chan struct{} // closed when the trouble changes
}

var (
	_ usb.Gadget      = (*Gadget)(nil)
	_ usb.BusResetter = (*Gadget)(nil)
)

// Wrap returns g with no trouble yet.
func Wrap(g usb.Gadget) *Gadget { return &Gadget{inner: g, changed: make(chan struct{})} }

// Set brings trouble until the next Set; Set(None) ends it.
func (g *Gadget) Set(k Kind) { g.set(k, false, 0) }

// SetFor brings trouble that passes by itself after d.
func (g *Gadget) SetFor(k Kind, d time.Duration) { g.set(k, false, d) }

// SetUntilReset brings trouble that ends when the host resets or reopens the device.
func (g *Gadget) SetUntilReset(k Kind) { g.set(k, true, 0) }

// Kind returns the present trouble.
func (g *Gadget) Kind() Kind {
	k, _ := g.now()
	return k
}

func (g *Gadget) now() (Kind, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kind, g.changed
}

func (g *Gadget) set(k Kind, untilReset bool, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
	g.kind, g.untilReset = k, untilReset
	close(g.changed)
	g.changed = make(chan struct{})
	if d <= 0 {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		g.mu.Lock()
		current := g.timer == timer
		g.mu.Unlock()
		if current {
			g.Set(None)
		}
	})
	g.timer = timer
}

// BusReset tells the device, and ends trouble that a reset mends.
func (g *Gadget) BusReset() {
	g.mu.Lock()
	mended := g.untilReset
	g.mu.Unlock()
	if mended {
		g.Set(None)
	}
	if r, ok := g.inner.(usb.BusResetter); ok {
		r.BusReset()
	}
}

// Info is the device's.
func (g *Gadget) Info() usb.Info { return g.inner.Info() }

// Descriptors are the device's.
func (g *Gadget) Descriptors() []byte { return g.inner.Descriptors() }

// Control passes a request on, or spoils it.
func (g *Gadget) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	return g.spoil(ctx, s.In(), data, func() (int, error) { return g.inner.Control(ctx, s, data) })
}

// Transfer passes data on, or spoils it.
func (g *Gadget) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	return g.spoil(ctx, endpoint&0x80 != 0, data, func() (int, error) { return g.inner.Transfer(ctx, endpoint, data) })
}

// spoil runs one call to the device under the trouble that there is. Trouble that comes while the device thinks spoils its
// answer.
func (g *Gadget) spoil(ctx context.Context, in bool, data []byte, call func() (int, error)) (int, error) {
	if err := g.wake(ctx); err != nil {
		return 0, err
	}
	if g.Kind() == Stall {
		return 0, usb.ErrStall
	}
	n, err := call()
	if err != nil {
		return n, err
	}
	if err := g.wake(ctx); err != nil {
		return 0, err
	}
	switch k := g.Kind(); {
	case k == Stall:
		return 0, usb.ErrStall
	case k == Garbage && in:
		for i := 0; i < n; i += 3 {
			data[i] ^= 0x5a
		}
	case k == Short && in:
		n /= 2
	}
	return n, nil
}

// wake returns when the device does not hang.
func (g *Gadget) wake(ctx context.Context) error {
	for {
		kind, changed := g.now()
		if kind != Hang {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
