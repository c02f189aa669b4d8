// Package usbtest gives doubles of a USB bus to tests, and the suite that every bus passes.
//
// The one idea: [Attach] plugs firmware into a driver with nothing in between but function calls, channels and contexts, so
// that a whole capture runs inside a testing/synctest bubble; [Fault] breaks exactly one transfer of it; [Record] writes down
// what ran over a bus, and [Playback] is the device that answers so again.
package usbtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"loket/drivers/usb"
)

// Bus is a bus in the memory of this process. The zero value is an empty bus.
type Bus struct {
	mu    sync.Mutex
	slots []*slot // by port number less one; nil is a free port
	plugs uint32  // plugged in so far
}

// slot is a gadget in a port.
type slot struct {
	gadget usb.Gadget
	port   *usb.Port
	info   usb.Info
	ctx    context.Context // ends at unplug
	unplug context.CancelFunc
	holder *device
}

// Attach makes a bus with these gadgets plugged in. It panics where a gadget's descriptors are malformed.
func Attach(gadgets ...usb.Gadget) *Bus {
	b := new(Bus)
	for _, g := range gadgets {
		b.Plug(g)
	}
	return b
}

// Plug plugs a gadget into the lowest free port and returns the port's name. It panics where the gadget's descriptors are
// malformed.
func (b *Bus) Plug(g usb.Gadget) string {
	p, err := usb.NewPort(g)
	if err != nil {
		panic(fmt.Sprintf("usbtest: plugging a gadget: %v", err))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.slots, nil)
	if i < 0 {
		i = len(b.slots)
		b.slots = append(b.slots, nil)
	}
	s := &slot{gadget: g, port: p, info: p.Info()}
	b.plugs++
	s.info.Bus, s.info.Port, s.info.Address = "attach", fmt.Sprintf("1-%d", i+1), b.plugs
	s.ctx, s.unplug = context.WithCancel(context.Background())
	b.slots[i] = s
	return s.info.Port
}

// Unplug takes a gadget off the bus; what is pending on it ends with [usb.ErrGone]. A gadget that isn't plugged is ignored.
func (b *Bus) Unplug(g usb.Gadget) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, s := range b.slots {
		if s != nil && s.gadget == g {
			s.unplug()
			b.slots[i] = nil
		}
	}
}

// Devices lists the plugged gadgets by port.
func (b *Bus) Devices(ctx context.Context) ([]usb.Info, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []usb.Info
	for _, s := range b.slots {
		if s != nil {
			list = append(list, s.info)
		}
	}
	return list, ctx.Err()
}

// Open opens a gadget for one owner.
func (b *Bus) Open(ctx context.Context, id usb.Identity) (usb.Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.slots {
		if s == nil || s.info.Identity() != id {
			continue
		}
		if s.holder != nil {
			return nil, fmt.Errorf("opening %s: %w", id, usb.ErrBusy)
		}
		d := newDevice(b, s)
		s.port.Reset()
		if err := d.configure(ctx); err != nil {
			return nil, fmt.Errorf("opening %s: %w", id, err)
		}
		s.holder = d
		return d, nil
	}
	return nil, fmt.Errorf("opening %s: %w", id, usb.ErrNotFound)
}

// release frees a port that dev held.
func (b *Bus) release(dev *device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if dev.slot.holder == dev {
		dev.slot.holder = nil
	}
}

// device is an open gadget.
type device struct {
	bus    *Bus
	slot   *slot
	claims usb.Claims
	ctx    context.Context // ends at Close
	close  context.CancelFunc
	calls  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	turns  map[uint8]chan struct{} // by endpoint: whoever sent into it has the turn; senders wait in order
}

func newDevice(b *Bus, s *slot) *device {
	d := &device{bus: b, slot: s, turns: map[uint8]chan struct{}{}}
	d.claims.Layout = s.port.Layout()
	d.ctx, d.close = context.WithCancel(context.Background())
	return d
}

func (d *device) configure(ctx context.Context) error {
	_, err := d.slot.port.Control(ctx, usb.SetConfiguration(d.claims.Layout.Configuration), nil)
	return err
}

func (d *device) Info() usb.Info      { return d.slot.info }
func (d *device) Descriptors() []byte { return d.slot.port.Descriptors() }

func (d *device) Claim(iface, alt uint8) error {
	if err := d.ended(); err != nil {
		return err
	}
	tell, err := d.claims.Claim(iface, alt)
	if err != nil || !tell {
		return err
	}
	_, err = d.Control(d.ctx, usb.SetInterface(iface, alt), nil)
	return err
}

func (d *device) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	return d.run(ctx, 0, func(ctx context.Context) (int, error) { return d.slot.port.Control(ctx, s, data) })
}

func (d *device) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	if err := d.ended(); err != nil {
		return 0, err
	}
	if _, err := d.claims.Endpoint(endpoint); err != nil {
		return 0, err
	}
	return d.run(ctx, endpoint, func(ctx context.Context) (int, error) { return d.slot.port.Transfer(ctx, endpoint, data) })
}

// ClearHalt clears a stalled endpoint.
func (d *device) ClearHalt(ctx context.Context, endpoint uint8) error {
	_, err := d.Control(ctx, usb.ClearHalt(endpoint), nil)
	return err
}

// Reset resets the device and brings it back to its configuration and claimed settings.
func (d *device) Reset(ctx context.Context) error {
	if err := errors.Join(d.ended(), ctx.Err()); err != nil {
		return err
	}
	d.slot.port.Reset()
	if err := d.configure(ctx); err != nil {
		return err
	}
	for iface, alt := range d.claims.Claimed() {
		if err := d.Claim(iface, alt); err != nil {
			return err
		}
	}
	return nil
}

// Close ends what is pending, waits for it and frees the port.
func (d *device) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.close()
	d.calls.Wait()
	d.bus.release(d)
	return nil
}

// run gives f its turn on the endpoint, under a context that ends with the caller's, with the device and with the plug.
func (d *device) run(ctx context.Context, endpoint uint8, f func(context.Context) (int, error)) (int, error) {
	turn, err := d.enter(endpoint)
	if err != nil {
		return 0, err
	}
	defer d.calls.Done()
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	defer context.AfterFunc(d.slot.ctx, cancel)()
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-call.Done():
		return 0, d.why(ctx, call.Err())
	}
	n, err := f(call)
	if err == nil {
		return n, nil
	}
	return n, d.why(ctx, err)
}

// enter counts a call that Close has to wait for, and finds the endpoint's turn.
func (d *device) enter(endpoint uint8) (chan struct{}, error) {
	if err := d.ended(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, usb.ErrClosed
	}
	d.calls.Add(1)
	if d.turns[endpoint] == nil {
		d.turns[endpoint] = make(chan struct{}, 1)
	}
	return d.turns[endpoint], nil
}

func (d *device) ended() error {
	switch {
	case d.ctx.Err() != nil:
		return usb.ErrClosed
	case d.slot.ctx.Err() != nil:
		return usb.ErrGone
	}
	return nil
}

// why names the first cause of a failed call; a gadget that says that it is gone is unplugged.
func (d *device) why(ctx context.Context, err error) error {
	if ended := d.ended(); ended != nil {
		return ended
	}
	if errors.Is(err, usb.ErrGone) {
		d.bus.Unplug(d.slot.gadget)
	} else if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
