package uru4000

import (
	"bytes"
	"context"
	"errors"
	"image"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/driverstest"
	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
	sim "loket/firmware-sim/uru4000"
	"loket/kiosk/biometric"
)

var rightIndex = []biometric.FingerPosition{biometric.RightIndex}

// print is a picture in which no two lines are alike. Its left edge is white: a pixel there can get lost.
func print(seed uint64) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, width, height))
	r := rand.New(rand.NewPCG(seed, 2))
	for i := range m.Pix {
		m.Pix[i] = uint8(r.Uint32())
		if i%width == 0 {
			m.Pix[i] = 255
		}
	}
	return m
}

// reference is what a capture of a picture gives: row 122, counted from below, is not sent.
func reference(m *image.Gray) drivers.Image {
	m = &image.Gray{Pix: slices.Clone(m.Pix), Stride: m.Stride, Rect: m.Rect}
	copy(m.Pix[(height-1-122)*width:][:width], m.Pix[(height-1-123)*width:])
	return drivers.Image{Gray: m, PPI: 512, PAD: biometric.PAD{Result: biometric.PADNotAvailable}}
}

// person stands before a reader: puts a finger there when asked and lifts it when told to, unless she has left.
type person struct {
	reader *sim.Device
	finger *image.Gray
	left   bool
}

func (p *person) come() { p.left = false; p.reader.Lift() }

func (p *person) leave() { p.left = true; p.reader.Lift() }

func (p *person) follow(now drivers.Progress) {
	switch {
	case now.Hint == biometric.HintLiftNow:
		p.reader.Lift()
	case now.Hint == biometric.HintPlace && !p.left:
		p.reader.Present(sim.Presentation{Image: p.finger})
	}
}

func TestDriverPassesTheSuite(t *testing.T) {
	finger := print(1)
	var p person // who stands before the reader that was made last
	driverstest.Run(t, driverstest.Config{
		Driver: Driver(),
		New: func() driverstest.Subject {
			p = person{reader: sim.New(sim.Options{}), finger: finger}
			return driverstest.Subject{Gadget: p.reader, Present: p.come, Leave: p.leave}
		},
		Capture: func(ctx context.Context, dev drivers.Device) (drivers.Image, error) {
			return dev.(drivers.FingerprintScanner).Capture(ctx, rightIndex, p.follow)
		},
		Reference:  reference(finger),
		NoChecksum: true,
	})
}

// attach opens a reader in process.
func attach(t *testing.T, opt sim.Options) (*sim.Device, *reader) {
	t.Helper()
	d := sim.New(opt)
	dev := driverstest.OpenOn(t, Driver(), usbtest.Attach(d))
	return d, dev.(*reader)
}

func TestEveryImageHasItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dev := attach(t, sim.Options{})
		defer dev.Close()
		for i := range uint64(300) { // more than there are numbers of keys
			p := person{reader: d, finger: print(i)}
			img, err := dev.Capture(t.Context(), rightIndex, p.follow)
			if err != nil || !bytes.Equal(img.Gray.Pix, reference(p.finger).Gray.Pix) {
				t.Fatalf("image %d: %v", i, err)
			}
		}
	})
}

func TestRowsComeInAnyWay(t *testing.T) {
	for _, blocks := range [][]sim.Block{
		{{Rows: 145}, {Rows: 145}},
		{{Flags: sim.Scrambled, Rows: 145}, {Flags: sim.Scrambled, Rows: 145}},
		{{Flags: sim.NoKeyUpdate, Rows: 90}, {Flags: sim.Scrambled, Rows: 200}},
		{{Flags: sim.Scrambled, Rows: 20}, {Flags: sim.NoKeyUpdate, Rows: 3}, {Flags: sim.Scrambled, Rows: 100}, {Rows: 7}, {Flags: sim.Scrambled, Rows: 160}},
		{{Flags: sim.Scrambled, Rows: 20}, {Flags: sim.Scrambled | sim.NextKey, Rows: 100}, {Flags: sim.NextKey, Rows: 10}, {Flags: sim.Scrambled, Rows: 160}},
		{{Flags: sim.NextKey, Rows: 145}, {Rows: 145}},
	} {
		synctest.Test(t, func(t *testing.T) {
			d, dev := attach(t, sim.Options{Blocks: blocks})
			defer dev.Close()
			p := person{reader: d, finger: print(1)}
			img, err := dev.Capture(t.Context(), rightIndex, p.follow)
			if err != nil || !bytes.Equal(img.Gray.Pix, p.finger.Pix) {
				t.Errorf("%v: %v", blocks, err)
			}
		})
	}
}

func TestSubjectIsGuided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dev := attach(t, sim.Options{})
		defer dev.Close()
		p := person{reader: d, finger: print(1)}
		var hints []biometric.Hint
		var lamp []sim.Guidance
		var acts sync.WaitGroup
		_, err := dev.Capture(t.Context(), rightIndex, func(now drivers.Progress) {
			if hints = append(hints, now.Hint); now.Hint == biometric.HintHoldStill {
				return
			}
			acts.Go(func() { // as somebody who takes a while
				time.Sleep(30 * time.Second)
				lamp = append(lamp, d.Guidance())
				p.follow(now)
			})
		})
		acts.Wait()
		want := []biometric.Hint{biometric.HintPlace, biometric.HintHoldStill, biometric.HintLiftNow, biometric.HintPresentationOK}
		if err != nil || !slices.Equal(hints, want) || !slices.Equal(lamp, []sim.Guidance{{Armed: true}, {Lift: true}, {}}) {
			t.Errorf("hints %q, lamp %v, %v", hints, lamp, err)
		}
	})
}

// deafDevice loses its mode, or its power, while it waits.
type deafDevice struct {
	usb.Device
	asked  int
	status byte
	forget func()
}

func (d *deafDevice) Control(ctx context.Context, s usb.Setup, b []byte) (int, error) {
	n, err := d.Device.Control(ctx, s, b)
	if s == readRegister(registerStatus, 1) && err == nil {
		if d.asked++; d.asked > 2 {
			b[0] |= d.status
		}
	}
	if s == writeRegister(registerMode, 1) && b[0] == modeAwaitOn && d.forget != nil {
		d.forget()
		d.forget = nil
	}
	return n, err
}

func TestReaderThatForgotItsModeIsReminded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dev := attach(t, sim.Options{})
		defer dev.Close()
		p := person{reader: d, finger: print(1)}
		below := dev.dev
		off := func() { _, _ = below.Control(t.Context(), writeRegister(registerMode, 1), []byte{modeOff}) }
		dev.dev = &deafDevice{Device: below, forget: off}
		if _, err := dev.Capture(t.Context(), rightIndex, p.follow); err != nil {
			t.Error(err)
		}
	})
}

func TestReaderOnStandbyIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dev := attach(t, sim.Options{})
		defer dev.Close()
		below := dev.dev
		dev.dev = &deafDevice{Device: below, status: standby}
		if _, err := dev.Capture(t.Context(), rightIndex, nil); !errors.Is(err, drivers.ErrOff) {
			t.Errorf("standby while it waits: %v", err)
		}
		dev.dev = &deafDevice{Device: below, status: standby, asked: 1}
		if _, err := dev.Capture(t.Context(), rightIndex, nil); !errors.Is(err, drivers.ErrOff) {
			t.Errorf("standby after power up: %v", err)
		}
	})
}

func TestSeedIsFixedOnlyWhereItIsGiven(t *testing.T) {
	random, fixed := &reader{}, &reader{opt: Options{Seed: 0x51ea2124}}
	if first, second := random.seed(), random.seed(); first == second || fixed.seed() != 0x51ea2124 {
		t.Error("the seed is not what it should be")
	}
}

func TestImpossibleWishesAreRefused(t *testing.T) {
	_, dev := attach(t, sim.Options{})
	for _, want := range [][]biometric.FingerPosition{nil, {biometric.BothIndex}, {1, 2}, {0}, {-1}} {
		if _, err := dev.Capture(t.Context(), want, nil); err == nil || drivers.Verdict(err) != "" {
			t.Errorf("wanting %v: %v", want, err)
		}
	}
}
