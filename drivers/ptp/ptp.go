// Package ptp drives still cameras that speak the Picture Transfer Protocol (ISO 15740:2013) over USB.
//
// The one idea: a camera is trusted with nothing. Every answer is held to its transaction, its announced length and a
// bound; what does not fit is an error that says how, the camera is brought back to the start of a transaction before the
// next, and no photograph that was taken here is left in its store. Operations, containers and datasets follow ISO
// 15740:2013, the USB binding its annex D.
package ptp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
)

const (
	maxDataset = 256 << 10 // bytes of a dataset
	maxFrame   = 4 << 20   // bytes of a live view frame
	maxPhoto   = 32 << 20  // bytes of a photograph
	minPhoto   = 128       // bytes of a photograph

	openLimit   = 4 * time.Second
	tidyLimit   = 200 * time.Millisecond // for leaving a camera clean when an operation ended before its time
	repairLimit = 6 * time.Second        // for the same before the next operation
	busyLimit   = 2 * time.Second        // for a camera that says that it is busy
)

// Options says what cameras are used for; the zero value takes photographs.
type Options struct {
	// Document is the handle of an object in the camera's store. Where it is set, Still downloads that object and takes no
	// photograph: a document that was photographed before, on a camera without remote shutter.
	Document uint32
}

// Driver opens every camera with an interface of the Still Image class (6/1/1), to take photographs.
func Driver() drivers.Driver { return Options{}.Driver() }

// Driver opens every camera with an interface of the Still Image class (6/1/1). Each is also a [Library].
func (o Options) Driver() drivers.Driver {
	left := &leftovers{}
	return drivers.Driver{
		Name:  "ptp",
		Kind:  drivers.KindCamera,
		Match: func(i usb.Info) bool { return slices.ContainsFunc(i.Interfaces, stillImage) },
		Open: func(ctx context.Context, dev usb.Device) (drivers.Device, error) {
			own, cancel := context.WithTimeout(ctx, openLimit)
			defer cancel()
			c, err := open(own, dev, left, o.Document)
			if err != nil {
				_ = dev.Close()
				return nil, drivers.Fault(ctx, "opening the camera", err)
			}
			return c, nil
		},
	}
}

// leftovers remembers cameras that vanished while a photograph was in a store that had been empty: what lies there when
// they come back is that photograph.
type leftovers struct {
	mu   sync.Mutex
	seen map[usb.Identity]bool
}

func (l *leftovers) mark(id usb.Identity, owed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[usb.Identity]bool{}
	}
	l.seen[id] = owed
}

func (l *leftovers) has(id usb.Identity) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[id]
}

// camera is an open camera. It implements [drivers.Camera], [drivers.SelfTester] and [drivers.StillSizer].
type camera struct {
	link *link
	info drivers.Info
	left *leftovers

	document uint32 // what Still downloads; 0 to take a photograph

	turn    drivers.Turn
	closing context.Context
	close   context.CancelFunc
	once    sync.Once

	// For whoever has the turn.
	device deviceInfo
	live   bool            // live view may be running
	listed []Object        // of this session; nil before the first listing
	shot   map[uint32]bool // a photograph of ours may be in the store; these objects are not ours; nil for none
}

var (
	_ drivers.Camera     = (*camera)(nil)
	_ drivers.SelfTester = (*camera)(nil)
	_ drivers.StillSizer = (*camera)(nil)
)

// open starts a session. What an earlier owner left half done is cleared away once.
func open(ctx context.Context, dev usb.Device, left *leftovers, document uint32) (*camera, error) {
	l, err := newLink(dev)
	if err != nil {
		return nil, err
	}
	c := &camera{link: l, left: left, document: document, turn: drivers.NewTurn()}
	c.closing, c.close = context.WithCancel(context.Background())
	if err = c.start(ctx); err != nil && ctx.Err() == nil && !lost(err) {
		l.dirty = true
		if again := errors.Join(c.ready(ctx), c.start(ctx)); again != nil {
			return nil, fmt.Errorf("%w (the first try: %v)", again, err)
		}
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if left.has(dev.Info().Identity()) {
		c.shot = map[uint32]bool{}
	}
	c.info = c.describe(dev.Info())
	return c, nil
}

// start opens the session and asks who the camera is.
func (c *camera) start(ctx context.Context) error {
	if err := c.openSession(ctx); err != nil {
		return err
	}
	b := &buffer{limit: maxDataset}
	if _, err := c.link.must(ctx, b, opGetDeviceInfo); err != nil {
		return err
	}
	var err error
	if c.device, err = parseDeviceInfo(b.b); err != nil {
		return fmt.Errorf("reading the device's description: %w", err)
	}
	return nil
}

// openSession opens the session; one that is open already is another owner's and is closed first.
func (c *camera) openSession(ctx context.Context) error {
	c.listed = nil
	r, err := c.link.do(ctx, nil, opOpenSession, sessionID)
	if err == nil && r.code == rcSessionAlreadyOpen {
		if _, err = c.link.do(ctx, nil, opCloseSession); err == nil {
			r, err = c.link.do(ctx, nil, opOpenSession, sessionID)
		}
	}
	if err == nil && r.code != rcOK {
		err = &ResponseError{Operation: opOpenSession, Code: r.code}
	}
	c.link.session = err == nil
	return err
}

func (c *camera) describe(i usb.Info) drivers.Info {
	return drivers.Info{
		USB: i, Driver: "ptp", Kind: drivers.KindCamera,
		Vendor: either(c.device.manufacturer, i.Manufacturer), Model: either(c.device.model, i.ProductName),
		Serial: either(i.Serial, c.device.serial), Firmware: c.device.version, Simulated: i.Simulated(),
	}
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Info describes the camera.
func (c *camera) Info() drivers.Info { return c.info }

// Close ends what is pending, leaves the camera clean as far as it lets itself, and releases it.
func (c *camera) Close() error {
	var err error
	c.once.Do(func() {
		c.close()
		ctx, cancel := context.WithTimeout(context.Background(), 2*tidyLimit)
		defer cancel()
		if c.turn.Take(ctx) == nil { // else it was called out of a callback
			c.part(ctx)
			c.turn.Give()
		}
		err = c.link.dev.Close()
	})
	return err
}

// part says goodbye: no live view, no photograph, no session.
func (c *camera) part(ctx context.Context) {
	if c.ready(ctx) == nil && c.link.session {
		_, _ = c.link.do(ctx, nil, opCloseSession)
	}
}

// run gives f the camera, at the start of a transaction, and leaves the camera clean whatever comes of it.
func (c *camera) run(parent context.Context, doing string, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()
	if err := c.turn.Take(ctx); err != nil {
		return c.fault(parent, doing, err)
	}
	defer c.turn.Give()
	err := ctx.Err()
	if err == nil {
		err = c.repair(ctx)
	}
	if err == nil {
		err = f(ctx)
	}
	c.tidy(ctx, err)
	return c.fault(parent, doing, err)
}

// fault words what an operation came to: its own end, the end of the device, or a verdict.
func (c *camera) fault(parent context.Context, doing string, err error) error {
	var own *callbackError
	switch {
	case errors.As(err, &own):
		return own.error
	case err != nil && parent.Err() == nil && c.closing.Err() != nil:
		err = usb.ErrClosed
	}
	return drivers.Fault(parent, doing, err)
}

// callbackError is what a caller's function returned: it goes back as it came.
type callbackError struct{ error }

// tidy leaves the camera clean after an operation, in little time: what it does not get done is the next operation's.
func (c *camera) tidy(ctx context.Context, err error) {
	if lost(err) || !c.link.dirty && !c.live && c.shot == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyLimit)
	defer cancel()
	_ = c.ready(ctx)
}

// repair is ready with all the time that a camera may need.
func (c *camera) repair(ctx context.Context) error {
	if !c.link.dirty && !c.live && c.shot == nil && c.link.session {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, repairLimit)
	defer cancel()
	return c.ready(ctx)
}

// ready brings the camera to rest: no transaction, a session, no live view, no photograph of ours.
func (c *camera) ready(ctx context.Context) error {
	if c.link.dirty {
		if err := c.link.recover(ctx); err != nil {
			return err
		}
	}
	if !c.link.session {
		if err := c.openSession(ctx); err != nil {
			return err
		}
	}
	if c.live {
		if err := c.endLive(ctx); err != nil {
			return err
		}
	}
	if c.shot != nil {
		return c.settle(ctx)
	}
	return nil
}

// whileBusy runs an operation again for as long as the camera says that it is busy, within bounds.
func (c *camera) whileBusy(ctx context.Context, op uint16, params ...uint32) error {
	for deadline := time.Now().Add(busyLimit); ; {
		r, err := c.link.do(ctx, nil, op, params...)
		switch {
		case err != nil:
			return err
		case r.code == rcOK:
			return nil
		case r.code != rcDeviceBusy:
			return &ResponseError{Operation: op, Code: r.code}
		case time.Now().After(deadline):
			return fmt.Errorf("waiting for a busy camera: %w", context.DeadlineExceeded)
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// objects is the set of handles of everything in every store.
func (c *camera) objects(ctx context.Context) (map[uint32]bool, error) {
	list, err := c.handles(ctx, 0xffffffff, 0)
	set := make(map[uint32]bool, len(list))
	for _, h := range list {
		set[h] = true
	}
	return set, err
}
