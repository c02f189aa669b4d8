// Package driverstest holds the suite that every driver passes.
//
// The one idea: a good capture is counted in transfers, then made again with each transfer going wrong in each way, on every
// transport that a simulated device can have. Whatever happened, the driver says which of the five faults it was, or
// gives the reference image bit for bit, and the next capture works. In process the suite runs inside a testing/synctest
// bubble: time is the bubble's own, and a goroutine that is left behind fails the test.
package driverstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
)

// Config is what the suite needs to know of a driver.
type Config struct {
	Driver drivers.Driver
	// New makes a fresh device with whoever stands before it.
	New func() Subject
	// Capture makes one capture as the daemon would, live view included, and returns what [Config.Reference] shows.
	Capture func(ctx context.Context, dev drivers.Device) (drivers.Image, error)
	// Reference is what every good capture returns: image or file, scale, fingers, presentation attack detection.
	Reference drivers.Image
	// NoChecksum says that the protocol has no checksums: a garbled answer then may go unseen, and is allowed to spoil the
	// image or to look like silence.
	NoChecksum bool
	NoSerial   bool // the device has no serial number
	Silent     bool // the device says nothing while nobody uses it: silence is no fault, unless something had begun
}

// Subject is a device with whoever stands before it.
type Subject struct {
	Gadget  usb.Gadget
	Present func() // called before each capture: a good one follows; nil where nothing has to be done
	Leave   func() // after it a capture waits for ever; nil where no capture ever waits
}

const (
	patience    = 20 * time.Second       // ends a capture that the suite can't bring to its end
	impatience  = 3 * time.Second        // the same where silence is no fault, and so may well have to be ended
	wait        = 500 * time.Millisecond // of a capture for somebody who does not come
	promptly    = 250 * time.Millisecond // a cancelled capture has returned by then
	networkRuns = 40                     // transfers, at most, that go wrong of each kind over USB/IP; every one does in process
	slowRuns    = 3                      // the same for troubles that take real time
	networkLoad = 1600                   // transfers, about, that one kind of trouble may take over USB/IP
)

// troubles are the ways in which a transfer goes wrong, in the order in which they are tried.
var troubles = []trouble{unplug, stall, dead, short, long, garbled, flip, hang, cancel, shut}

// Run runs the suite.
func Run(t *testing.T, cfg Config) {
	for _, tr := range []struct {
		name    string
		bubble  bool
		network bool
	}{{name: "in process", bubble: true}, {name: "over USB-IP", network: true}} {
		t.Run(tr.name, func(t *testing.T) {
			test := func(name string, f func(*bench)) {
				t.Run(name, func(t *testing.T) {
					run := func(t *testing.T) {
						b := newBench(t, cfg, tr.network)
						f(b)
						b.stop()
					}
					if tr.bubble {
						synctest.Test(t, run)
					} else {
						run(t)
					}
				})
			}
			runAll(test, tr.network)
		})
	}
}

func runAll(test func(string, func(*bench)), network bool) {
	test("describes itself", describes)
	test("captures the reference", captures)
	test("waits until the context ends", waits)
	test("passes its self-test", selfTests)
	test("is closed twice", closesTwice)
	test("is held by one", isHeld)
	test("meets every trouble while it is opened", opensInTrouble)
	if !network { // where the machine's own time would be measured
		test("returns promptly whenever it is cancelled", cancelsPromptly)
	}
	for _, kind := range troubles {
		runs := 0 // every transfer
		if network {
			runs = networkRuns
			if kind == hang {
				runs = slowRuns
			}
		}
		test(fmt.Sprintf("meets %s at every transfer", kind), func(b *bench) { b.everyTransfer(kind, runs) })
	}
}

func describes(b *bench) {
	info := b.open().Info()
	if info.Driver != b.cfg.Driver.Name || info.Kind != b.cfg.Driver.Kind {
		b.Errorf("the device says driver %q and kind %q, not %q and %q", info.Driver, info.Kind, b.cfg.Driver.Name, b.cfg.Driver.Kind)
	}
	if !info.Simulated {
		b.Error("a simulated device does not say so")
	}
	if info.Vendor == "" || info.Model == "" || info.Firmware == "" || (info.Serial == "") != b.cfg.NoSerial {
		b.Errorf("vendor, model, firmware or serial number is not as it should be: %+v", info)
	}
	if info.Kind == drivers.KindFingerprint && (info.Sensor == nil || info.Sensor.PPI == 0) {
		b.Error("the sensor's size and resolution are not known")
	}
}

func captures(b *bench) {
	dev := b.open()
	for range 3 {
		b.captureWell(dev)
	}
}

// waits ends a capture that waits for somebody.
func waits(b *bench) {
	if b.subject.Leave == nil {
		b.Skip("no capture of this device ever waits")
	}
	dev := b.open()
	b.subject.Leave()
	ctx, cancelCtx := context.WithCancel(b.Context())
	defer cancelCtx()
	b.breaker.arm(none, -1, nil)
	var start time.Time
	timer := time.AfterFunc(wait, func() { start = time.Now(); cancelCtx() })
	defer timer.Stop()
	_, err := b.cfg.Capture(ctx, dev)
	if !errors.Is(err, context.Canceled) {
		b.Errorf("a cancelled capture that waited ended with %v", err)
	}
	b.prompt(start)
	b.captureWell(dev)
}

func selfTests(b *bench) {
	dev := b.open()
	tester, ok := dev.(drivers.SelfTester)
	if !ok {
		b.Skip("the device can't test itself")
	}
	result, err := tester.SelfTest(b.Context())
	if err != nil || !result.Passed || len(result.Checks) == 0 {
		b.Errorf("self-test: %+v, %v", result, err)
	}
	b.captureWell(dev)
}

func closesTwice(b *bench) {
	dev := b.open()
	b.captureWell(dev)
	for range 2 {
		if err := dev.Close(); err != nil {
			b.Errorf("closing: %v", err)
		}
	}
	if _, err := b.capture(b.Context(), dev); err == nil {
		b.Error("a closed device captured")
	}
	b.captureWell(b.open())
}

func isHeld(b *bench) {
	dev := b.open()
	info := b.find()
	if raw, err := b.plug.bus.Open(b.Context(), info.Identity()); err == nil {
		_ = raw.Close()
		b.Error("a device in use was opened a second time")
	} else if v := drivers.Verdict(drivers.Fault(b.Context(), "opening", err)); v != "held" {
		b.Errorf("opening a device in use: %v is %q", err, v)
	}
	b.captureWell(dev)
}

// opensInTrouble breaks one transfer of opening after the other. Whatever happened, opening anew works.
func opensInTrouble(b *bench) {
	id := b.find().Identity()
	open := func(n int, how usbtest.Failure) (int, error) {
		bus := usbtest.Fault(b.plug.bus, n, how)
		raw, err := bus.Open(b.Context(), id)
		if err != nil {
			b.Fatalf("opening on the bus: %v", err)
		}
		dev, err := b.cfg.Driver.Open(b.Context(), raw)
		if err == nil {
			err = dev.Close()
		}
		return bus.Count(), err
	}
	count, err := open(0, "")
	if err != nil {
		b.Fatalf("opening: %v", err)
	}
	for _, how := range usbtest.Failures() {
		want := map[usbtest.Failure]string{usbtest.Gone: "unplugged", usbtest.Hang: "hung"}[how]
		if b.network && how == usbtest.Hang {
			continue // takes real time, and does the same in process
		}
		for n := 1; n <= count; n++ {
			_, err := open(n, how)
			if v := drivers.Verdict(err); err != nil && (v == "" || want != "" && v != want) { // closing may go through transfers too
				b.Errorf("%s at transfer %d of %d while it is opened: %q: %v", how, n, count, v, err)
			}
		}
	}
	b.captureWell(b.open())
}

// everyTransfer breaks one transfer of a capture after the other; with a number of runs, so many of them.
func (b *bench) everyTransfer(kind trouble, runs int) {
	dev := b.open()
	b.captureWell(dev)
	b.captureWell(dev) // how the first ended may have left work to do, once
	count, _, _, _ := b.breaker.happened()
	step := 1
	if runs > 0 {
		runs = min(runs, max(slowRuns, networkLoad/max(count, 1)))
		step = max(1, (count+runs-1)/runs)
	}
	reached, first := 0, 0
	if kind == hang && b.network && b.cfg.Silent {
		first = step // before it nothing has begun: that is the test of waiting
	}
	for at := first; at < count && !b.Failed(); at += step {
		var did bool
		if dev, did = b.meet(dev, kind, at); did {
			reached++
		}
	}
	if reached == 0 {
		b.Errorf("%s: none of %d transfers was one that it reaches", kind, count)
	}
}

// meet makes one transfer of a capture go wrong, judges how the capture ended, and captures again. It returns the device
// to go on with, and whether the trouble reached the driver.
func (b *bench) meet(dev drivers.Device, kind trouble, at int) (drivers.Device, bool) {
	ctx, cancelCtx := context.WithTimeout(b.Context(), b.patience())
	defer cancelCtx()
	start, closed := time.Now(), make(chan error, 1)
	b.breaker.arm(kind, at, map[trouble]func(){
		unplug: b.plug.unplug,
		cancel: func() { start = time.Now(); cancelCtx() },
		shut:   func() { go func() { closed <- dev.Close() }() },
	}[kind])
	img, err := b.capture(ctx, dev)
	_, did, in, where := b.breaker.happened()
	if wrong := b.judge(kind, did, in, img, err); wrong != "" {
		b.Errorf("%s at %s: %s", kind, where, wrong)
	}
	if kind == cancel {
		b.prompt(start)
	}
	if !did {
		return dev, false
	}
	switch kind {
	case shut:
		if err := <-closed; err != nil {
			b.Errorf("%s at %s: closing: %v", kind, where, err)
		}
		dev = b.open()
	case unplug:
		_ = dev.Close()
		b.plug.replug()
		dev = b.open()
	}
	b.breaker.arm(none, -1, nil)
	b.captureWell(dev)
	if b.Failed() {
		b.Logf("the above happened with or after %s at %s, which ended with %v", kind, where, err)
	}
	return dev, true
}

// judge tells what is wrong with how a capture ended.
func (b *bench) judge(kind trouble, did, in bool, img drivers.Image, err error) string {
	var retry *drivers.RetryError
	verdict := drivers.Verdict(err)
	if err == nil {
		defer img.Wipe()
		verdict = "a good capture"
		if !b.same(img) {
			verdict = "another image"
		}
	} else if errors.Is(err, context.Canceled) {
		verdict = "cancelled"
	} else if verdict == "" && errors.Is(err, context.DeadlineExceeded) && b.cfg.Silent {
		verdict = "waiting"
	} else if errors.As(err, &retry) {
		verdict = "try again"
	}
	allowed := allowed(kind, did, in, b.cfg.NoChecksum)
	if b.cfg.Silent && slices.Contains(allowed, "hung") {
		allowed = append(allowed, "waiting")
	}
	if slices.Contains(allowed, verdict) || kind == shut && err != nil {
		return ""
	}
	return fmt.Sprintf("ended as %q and not as any of %q: %v", verdict, allowed, err)
}

// allowed lists how a capture may end. A driver that mends what went wrong, and gives the reference image, is welcome to,
// save where a wrong answer has to be seen.
func allowed(kind trouble, did, in, noChecksum bool) []string {
	const good = "a good capture"
	verdict := map[trouble]string{unplug: "unplugged", stall: "crashed", dead: "crashed", short: "crashed", long: "crashed",
		garbled: "crashed", flip: "crashed", hang: "hung", cancel: "cancelled", shut: "unplugged"}[kind]
	switch {
	case !did, kind == stall, kind == shut:
		return []string{verdict, good}
	case (kind == garbled || kind == flip) && noChecksum:
		return []string{verdict, good, "hung", "another image", "try again"}
	case (kind == short || kind == long || kind == garbled || kind == flip) && !in: // the device may well refuse to answer such a command
		return []string{verdict, good, "hung"}
	case kind == short && noChecksum:
		return []string{verdict, "hung"}
	}
	return []string{verdict}
}

// prompt checks that a cancelled capture returned in time. Over a network the machine's own time would be measured.
func (b *bench) prompt(start time.Time) {
	if took := time.Since(start); !b.network && took > promptly {
		b.Errorf("a cancelled capture took %v to return", took)
	}
}

// captureWell makes a capture that must be good.
func (b *bench) captureWell(dev drivers.Device) {
	b.Helper()
	b.breaker.arm(none, -1, nil)
	img, err := b.capture(b.Context(), dev)
	defer img.Wipe()
	if err != nil {
		b.Errorf("a capture with nothing in its way: %v", err)
	} else if !b.same(img) {
		b.Error("a capture with nothing in its way did not give the reference image")
	}
}

func (b *bench) capture(ctx context.Context, dev drivers.Device) (drivers.Image, error) {
	if b.subject.Present != nil {
		b.subject.Present()
	}
	ctx, cancel := context.WithTimeout(ctx, b.patience())
	defer cancel()
	return b.cfg.Capture(ctx, dev)
}

func (b *bench) patience() time.Duration {
	if b.cfg.Silent {
		return impatience
	}
	return patience
}

// same compares an image with the reference, pixel for pixel.
func (b *bench) same(img drivers.Image) bool {
	want := b.cfg.Reference
	if (img.Gray == nil) != (want.Gray == nil) || !bytes.Equal(img.Encoded, want.Encoded) || img.MediaType != want.MediaType ||
		img.PPI != want.PPI || img.PAD != want.PAD || !slices.Equal(img.Fingers, want.Fingers) {
		return false
	}
	if want.Gray == nil {
		return true
	}
	size, wantSize := img.Gray.Bounds(), want.Gray.Bounds()
	if size.Dx() != wantSize.Dx() || size.Dy() != wantSize.Dy() {
		return false
	}
	for y := range size.Dy() {
		a := img.Gray.Pix[img.Gray.PixOffset(size.Min.X, size.Min.Y+y):][:size.Dx()]
		if !bytes.Equal(a, want.Gray.Pix[want.Gray.PixOffset(wantSize.Min.X, wantSize.Min.Y+y):][:size.Dx()]) {
			return false
		}
	}
	return true
}
