// Package uru4000 drives the DigitalPersona U.are.U 4500, a reader for one finger.
//
// The one idea: every operation begins by taking the reader's power away and giving it back, so nothing that went wrong before
// matters to it; then one goroutine listens to reports while the operation writes registers, in the order in which a recorded
// reader was seen to take them. The protocol's facts are in README.md.
package uru4000

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
)

// Where the protocol lives.
const (
	vendor, product = 0x05ba, 0x000a

	endpointReport uint8 = 0x81
	endpointImage  uint8 = 0x82
)

// Time limits.
const (
	answerLimit = time.Second            // of one request
	powerLimit  = 2 * time.Second        // from power on to its report
	wakeLimit   = time.Second            // from there until the status agrees
	wakeEvery   = 10 * time.Millisecond  // how often it is looked at
	imageLimit  = 2 * time.Second        // of an image
	silence     = 5 * time.Second        // without reports, after which the reader has to show that it still listens
	quitLimit   = 150 * time.Millisecond // of putting the reader to rest after an operation that did not end well
)

// Options are for tests and recordings. The zero value is what a station uses.
type Options struct {
	// Seed hides the key of an image on its way; zero stands for a random one each time. A fixed seed is what a recording needs
	// to be replayed: whoever reads a configuration allows it for recordings only.
	Seed uint32
}

// Driver returns the driver of this protocol.
func Driver() drivers.Driver { return New(Options{}) }

// New returns the driver with options.
func New(opt Options) drivers.Driver {
	return drivers.Driver{Name: "uru4000", Kind: drivers.KindFingerprint, Match: match,
		Open: func(ctx context.Context, dev usb.Device) (drivers.Device, error) { return open(ctx, dev, opt) }}
}

func match(i usb.Info) bool { return i.Vendor == vendor && i.Product == product }

// reader is an open reader. Whoever has the turn has all fields below it.
type reader struct {
	dev  usb.Device
	opt  Options
	info drivers.Info
	turn drivers.Turn

	dirty bool // endpoints may be halted
	buf   []byte
}

func open(ctx context.Context, dev usb.Device, opt Options) (drivers.Device, error) {
	if err := dev.Claim(0, 0); err != nil {
		_ = dev.Close()
		return nil, drivers.Fault(ctx, "opening the reader", err)
	}
	i := dev.Info()
	return &reader{
		dev: dev, opt: opt, turn: drivers.NewTurn(), buf: make([]byte, roomSize),
		info: drivers.Info{
			USB: i, Driver: "uru4000", Kind: drivers.KindFingerprint, Vendor: "DigitalPersona", Model: cmp.Or(i.ProductName, "U.are.U 4500"),
			Serial: i.Serial, Firmware: i.Version(), Simulated: i.Simulated(),
			Sensor: &drivers.Sensor{Width: width, Height: height, PPI: ppi, Fingers: 1},
		},
	}, nil
}

// Info describes the reader. It knows no firmware version but the device release of its descriptor.
func (r *reader) Info() drivers.Info { return r.info }

// Close closes the device; what runs ends with [drivers.ErrUnplugged].
func (r *reader) Close() error { return r.dev.Close() }

// SelfTest gives the reader power and takes it away: the protocol has no test of its own.
func (r *reader) SelfTest(ctx context.Context) (drivers.SelfTest, error) {
	if err := r.turn.Take(ctx); err != nil {
		return drivers.SelfTest{}, err
	}
	defer r.leave()
	if err := r.selfTest(ctx); err != nil {
		r.quit(ctx, err)
		return drivers.SelfTest{}, drivers.Fault(ctx, "testing the reader", err)
	}
	return drivers.SelfTest{Passed: true, Checks: []drivers.Test{{Name: "power", Passed: true}, {Name: "registers", Passed: true}}}, nil
}

func (r *reader) selfTest(ctx context.Context) error {
	reports, stop := r.listen(ctx)
	defer func() { _ = stop() }()
	if err := r.powerUp(ctx, reports); err != nil {
		return err
	}
	return r.write(ctx, registerMode, modeOff)
}

// leave wipes what was transferred and lets the next operation run.
func (r *reader) leave() {
	clear(r.buf)
	r.turn.Give()
}

// powerUp takes the reader's power away, gives it back, and waits until it is there.
func (r *reader) powerUp(ctx context.Context, reports <-chan sighting) error {
	if r.dirty {
		if err := usb.ClearHalts(ctx, r.dev, endpointReport, endpointImage); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		r.dirty = false
	}
	status, err := r.status(ctx)
	if err != nil {
		return err
	}
	for _, v := range []byte{status | standby, status &^ standby} {
		if err := r.write(ctx, registerStatus, v); err != nil {
			return err
		}
	}
	if err := r.await(ctx, reports, reportPower, powerLimit, modeOff); err != nil {
		return err
	}
	if err := r.awake(ctx); err != nil {
		return err
	}
	_, err = r.read(ctx, registerInfo, infoSize)
	return err
}

// awake waits until the status says that the reader has power.
func (r *reader) awake(ctx context.Context) error {
	for waited := time.Duration(0); ; waited += wakeEvery {
		status, err := r.status(ctx)
		if err != nil || status&standby == 0 {
			return err
		}
		if waited >= wakeLimit {
			return fmt.Errorf("powering up: the reader says that it is on standby: %w", drivers.ErrOff)
		}
		select {
		case <-time.After(wakeEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *reader) status(ctx context.Context) (byte, error) {
	b, err := r.read(ctx, registerStatus, 1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// read reads n bytes of a register.
func (r *reader) read(ctx context.Context, register uint16, n int) ([]byte, error) {
	b := make([]byte, n)
	got, err := r.control(ctx, readRegister(register, n), b)
	if err == nil && got != n {
		err = fmt.Errorf("%d bytes instead of %d", got, n)
	}
	if err != nil {
		return nil, fmt.Errorf("reading register %02x: %w", register, err)
	}
	return b, nil
}

// write writes a register.
func (r *reader) write(ctx context.Context, register uint16, b ...byte) error {
	n, err := r.control(ctx, writeRegister(register, len(b)), b)
	if err == nil && n != len(b) {
		err = fmt.Errorf("%d bytes of %d were taken", n, len(b))
	}
	if err != nil {
		return fmt.Errorf("writing register %02x: %w", register, err)
	}
	return nil
}

// control runs a request, and once more after a stall: that of endpoint 0 ends with the next request.
func (r *reader) control(ctx context.Context, s usb.Setup, b []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	n, err := r.dev.Control(ctx, s, b)
	if errors.Is(err, usb.ErrStall) {
		n, err = r.dev.Control(ctx, s, b)
	}
	return n, err
}

// transfer reads from an endpoint, and once more after a stall whose halt could be cleared.
func (r *reader) transfer(ctx context.Context, endpoint uint8, b []byte) (int, error) {
	n, err := r.dev.Transfer(ctx, endpoint, b)
	if errors.Is(err, usb.ErrStall) && usb.ClearHalts(ctx, r.dev, endpoint) == nil {
		n, err = r.dev.Transfer(ctx, endpoint, b)
	}
	return n, err
}

// seed returns what hides the next key.
func (r *reader) seed() uint32 {
	if r.opt.Seed != 0 {
		return r.opt.Seed
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return le.Uint32(b[:])
}

// quit puts the reader to rest after an operation that ended with err. What it can't do now, the next operation does.
func (r *reader) quit(ctx context.Context, err error) {
	r.dirty = true
	if errors.Is(err, usb.ErrGone) || errors.Is(err, usb.ErrClosed) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quitLimit)
	defer cancel()
	_ = r.write(ctx, registerMode, modeOff)
}
