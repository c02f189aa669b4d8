// Package trouble makes firmware misbehave.
//
// The one idea: a [Gadget] stands before any other gadget and spoils what it answers, whatever its protocol, from one moment
// to the next. Standard requests are the bus's, so a device in trouble still enumerates, as crashed firmware behind a
// separate USB controller does.
package trouble

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"loket/drivers/usb"
)

// Kind is what is wrong.
type Kind string

// The kinds of trouble. Garbage, Short and Long touch what the device sends, and so IN transfers only; the others touch every
// transfer. A transfer that waits for the device when trouble comes is touched too, when the device answers it.
const (
	Hang    Kind = "hang"    // never answers; Clear lets it go on
	Stall   Kind = "stall"   // stalls
	Garbage Kind = "garbage" // as many bytes as there should be, all wrong
	Short   Kind = "short"   // half of the bytes
	Long    Kind = "long"    // more bytes than there should be; where the host asked for no more it is babble
	Slow    Kind = "slow"    // every answer comes late
)

// Kinds lists every kind.
func Kinds() []Kind { return []Kind{Hang, Stall, Garbage, Short, Long, Slow} }

// Parse reads a kind by its name.
func Parse(s string) (Kind, error) {
	var names []string
	for _, k := range Kinds() {
		if s == string(k) {
			return k, nil
		}
		names = append(names, string(k))
	}
	return "", fmt.Errorf("reading a kind of trouble: %q is none of %s", s, strings.Join(names, ", "))
}

// Trouble is what is wrong, and for how long.
type Trouble struct {
	Kind      Kind
	Transfers int           // how many transfers it touches; 0 for all until Clear
	Delay     time.Duration // of Slow; 0 means 1 s
}

// extra is how many bytes Long adds.
const extra = 17

// Gadget is a gadget that can be in trouble. It must be made by [New]. Its methods may be called from several goroutines at
// once.
type Gadget struct {
	below usb.Gadget

	mu      sync.Mutex
	now     Trouble       // Kind is empty where all is well
	left    int           // transfers it still touches; negative for no limit
	touched int           // since Set
	cleared chan struct{} // closed when now ends by Set or Clear
}

// New puts trouble before a gadget. All is well at first.
func New(g usb.Gadget) *Gadget { return &Gadget{below: g, cleared: make(chan struct{})} }

// Set makes trouble, in place of what there was.
func (g *Gadget) Set(t Trouble) {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.cleared)
	g.cleared = make(chan struct{})
	g.now, g.left, g.touched = t, t.Transfers, 0
	if t.Transfers <= 0 {
		g.left = -1
	}
	if t.Delay <= 0 {
		g.now.Delay = time.Second
	}
}

// Clear ends the trouble. What hangs goes on as if nothing had been.
func (g *Gadget) Clear() { g.Set(Trouble{}) }

// Touched returns how many transfers the present trouble has touched.
func (g *Gadget) Touched() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.touched
}

// Info describes the gadget below.
func (g *Gadget) Info() usb.Info { return g.below.Info() }

// Descriptors are those of the gadget below.
func (g *Gadget) Descriptors() []byte { return g.below.Descriptors() }

// BusReset tells the gadget below. It mends nothing: that is for Clear.
func (g *Gadget) BusReset() {
	if r, ok := g.below.(usb.BusResetter); ok {
		r.BusReset()
	}
}

// Control answers or misbehaves.
func (g *Gadget) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	return g.run(ctx, s.In(), data, func(ctx context.Context) (int, error) { return g.below.Control(ctx, s, data) })
}

// Transfer answers or misbehaves.
func (g *Gadget) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	return g.run(ctx, endpoint&0x80 != 0, data, func(ctx context.Context) (int, error) { return g.below.Transfer(ctx, endpoint, data) })
}

// take touches a transfer, if there is trouble for it.
func (g *Gadget) take(in bool) (Trouble, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch g.now.Kind {
	case "":
		return Trouble{}, nil
	case Garbage, Short, Long:
		if !in {
			return Trouble{}, nil
		}
	}
	if g.left == 0 {
		return Trouble{}, nil
	}
	g.left--
	g.touched++
	return g.now, g.cleared
}

// run runs a transfer of the gadget below, with the trouble that there is before it or else, for data that goes to the
// host, with the trouble that there is after it.
func (g *Gadget) run(ctx context.Context, in bool, data []byte, transfer func(context.Context) (int, error)) (int, error) {
	t, cleared := g.take(in)
	if err := before(ctx, t, cleared); err != nil {
		return 0, err
	}
	n, err := transfer(ctx)
	if err != nil || !in {
		return n, err
	}
	if t.Kind == "" {
		t, cleared = g.take(in)
		if err := before(ctx, t, cleared); err != nil {
			return 0, err
		}
	}
	return spoil(t, data, n), nil
}

// before does what trouble does to a transfer apart from its data.
func before(ctx context.Context, t Trouble, cleared <-chan struct{}) error {
	switch t.Kind {
	case Stall:
		return usb.ErrStall
	case Hang:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-cleared:
		}
	case Slow:
		timer := time.NewTimer(t.Delay)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-cleared:
		case <-timer.C:
		}
	}
	return nil
}

// spoil does what trouble does to n bytes of data, and returns how many there are then. More than len(data) is babble, as
// a [usb.Gadget] says it.
func spoil(t Trouble, data []byte, n int) int {
	switch t.Kind {
	case Garbage:
		noise(data[:n])
	case Short:
		return n / 2
	case Long:
		noise(data[n:min(len(data), n+extra)])
		return n + extra
	}
	return n
}

// noise fills b with bytes that look like nothing, the same ones at every call.
func noise(b []byte) {
	x := uint32(0x9e3779b9)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
}
