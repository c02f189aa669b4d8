// Package nb1010 drives the NEXT Biometrics NB-1010-U, a sensor for one finger.
//
// The one idea: the sensor answers each command with packets in a fixed order, so the driver counts what it is still owed.
// After an operation that was cut off, exactly that is read and thrown away before the next begins. The protocol's facts are
// in README.md.
package nb1010

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
	"loket/kiosk/biometric"
)

// Where the protocol lives.
const (
	vendor, product = 0x298d, 0x1010

	endpointOut uint8 = 0x02
	endpointIn  uint8 = 0x83

	wholePackets = 576 // room for the longest packet, in whole packets of the bus
)

// Time limits.
const (
	answerLimit = time.Second            // of one transfer
	drainLimit  = 200 * time.Millisecond // of silence after which nothing more is owed
	pollEvery   = 20 * time.Millisecond
)

// Driver returns the driver of this protocol.
func Driver() drivers.Driver {
	return drivers.Driver{Name: "nb1010", Kind: drivers.KindFingerprint, Match: match, Open: open}
}

func match(i usb.Info) bool { return i.Vendor == vendor && i.Product == product }

// sensor is an open sensor. Whoever has the turn has all fields below it.
type sensor struct {
	dev  usb.Device
	info drivers.Info
	turn drivers.Turn

	owed   int  // packets that may still come
	dirty  bool // endpoints may be halted, and packets may come that nobody waits for
	proven bool // a command was answered well since packets may have come that nobody waits for
	taken  bool // the finger that was there last was captured
}

func open(ctx context.Context, dev usb.Device) (drivers.Device, error) {
	if err := dev.Claim(0, 0); err != nil {
		_ = dev.Close()
		return nil, drivers.Fault(ctx, "opening the sensor", err)
	}
	i := dev.Info()
	return &sensor{
		dev: dev, turn: drivers.NewTurn(),
		info: drivers.Info{
			USB: i, Driver: "nb1010", Kind: drivers.KindFingerprint, Vendor: "NEXT Biometrics", Model: "NB-1010-U", Serial: i.Serial,
			Firmware: i.Version(), Simulated: i.Simulated(),
			Sensor: &drivers.Sensor{Width: width, Height: height, PPI: ppi, Fingers: 1},
		},
	}, nil
}

// Info describes the sensor. It has no serial number, and no firmware version but the device release of its descriptor.
func (s *sensor) Info() drivers.Info { return s.info }

// Close closes the device; what runs ends with [drivers.ErrUnplugged].
func (s *sensor) Close() error { return s.dev.Close() }

// SelfTest asks for the finger level: the protocol has no test of its own.
func (s *sensor) SelfTest(ctx context.Context) (drivers.SelfTest, error) {
	if err := s.turn.Take(ctx); err != nil {
		return drivers.SelfTest{}, err
	}
	defer s.turn.Give()
	level, err := s.level(ctx)
	if err != nil {
		s.dirty = true
		return drivers.SelfTest{}, drivers.Fault(ctx, "testing the sensor", err)
	}
	return drivers.SelfTest{Passed: true, Checks: []drivers.Test{{Name: "answers", Passed: true, Detail: fmt.Sprintf("finger level %d", level)}}}, nil
}

// Capture waits for a finger and returns what lay on the sensor. A finger that was captured already has to leave first.
func (s *sensor) Capture(ctx context.Context, want []biometric.FingerPosition, watch func(drivers.Progress)) (drivers.Image, error) {
	if len(want) != 1 || !want[0].Single() {
		return drivers.Image{}, fmt.Errorf("capturing %v: the sensor takes one single finger", want)
	}
	if err := s.turn.Take(ctx); err != nil {
		return drivers.Image{}, err
	}
	defer s.turn.Give()
	if watch == nil {
		watch = func(drivers.Progress) {}
	}
	img, err := s.run(ctx, watch)
	if err != nil {
		s.dirty = true
		img.Wipe()
		return drivers.Image{}, drivers.Fault(ctx, "capturing a finger", err)
	}
	return img, nil
}

func (s *sensor) run(ctx context.Context, watch func(drivers.Progress)) (drivers.Image, error) {
	if s.taken {
		if err := s.await(ctx, false, func() { watch(drivers.Progress{Hint: biometric.HintLiftNow, Fingers: 1}) }); err != nil {
			return drivers.Image{}, err
		}
		s.taken = false
	}
	if err := s.await(ctx, true, func() { watch(drivers.Progress{Hint: biometric.HintPlace}) }); err != nil {
		return drivers.Image{}, err
	}
	watch(drivers.Progress{Hint: biometric.HintHoldStill, Fingers: 1})
	img, err := s.fetch(ctx)
	if err != nil {
		return img, err
	}
	s.taken = true
	watch(drivers.Progress{Hint: biometric.HintPresentationOK, Fingers: 1})
	return img, nil
}

// await polls until a finger is there, or until none is, and calls meanwhile each time that it is not so yet.
func (s *sensor) await(ctx context.Context, there bool, meanwhile func()) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		level, err := s.level(ctx)
		if err != nil || (level > fingerAbove) == there {
			return err
		}
		meanwhile()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// level asks how much of a finger is there.
func (s *sensor) level(ctx context.Context) (byte, error) {
	return s.ask(ctx, commandFinger(), codeIsThere, 0)
}

// fetch takes an image.
func (s *sensor) fetch(ctx context.Context) (drivers.Image, error) {
	img := drivers.Image{Gray: image.NewGray(image.Rect(0, 0, width, height)), PPI: ppi, PAD: biometric.PAD{Result: biometric.PADNotAvailable}}
	if _, err := s.ask(ctx, commandReady(), codeAnswer, 0); err != nil {
		return img, err
	}
	if _, err := s.ask(ctx, commandImage(), codeAnswer, packets); err != nil {
		return img, err
	}
	var buf [rowsSize]byte
	defer clear(buf[:])
	for i := range packets {
		n, err := s.receive(ctx, buf[:])
		if err == nil {
			err = decodeRows(buf[:n], i, img.Gray.Pix)
		}
		if err != nil {
			return img, err
		}
	}
	return img, nil
}

// ask runs a command and returns the value of its answer, which more packets will follow. Where the first answer of all is
// wrong, a program that had the sensor before may have left packets behind: they are read, and the command is run again.
func (s *sensor) ask(ctx context.Context, command []byte, answer byte, more int) (byte, error) {
	if err := s.recover(ctx); err != nil {
		return 0, err
	}
	value, err := s.exchange(ctx, command, answer, more)
	if err != nil && !s.proven && drivers.Verdict(drivers.Fault(ctx, "", err)) == "crashed" {
		s.dirty, s.owed = true, packets+2
		if err := s.recover(ctx); err != nil {
			return 0, err
		}
		value, err = s.exchange(ctx, command, answer, more)
	}
	if err != nil {
		return 0, fmt.Errorf("running command %02x: %w", command[1], err)
	}
	s.proven = true
	return value, nil
}

func (s *sensor) exchange(ctx context.Context, command []byte, answer byte, more int) (byte, error) {
	s.owed = 1 + more
	n, err := s.transfer(ctx, answerLimit, endpointOut, command)
	if err != nil {
		return 0, err
	}
	if n != len(command) {
		return 0, fmt.Errorf("sending %d bytes: only %d were taken", len(command), n)
	}
	var buf [answerSize]byte
	if n, err = s.receive(ctx, buf[:]); err != nil {
		return 0, err
	}
	return decodeAnswer(buf[:n], answer, command[2])
}

// receive reads one packet that is owed.
func (s *sensor) receive(ctx context.Context, buf []byte) (int, error) {
	n, err := s.transfer(ctx, answerLimit, endpointIn, buf)
	if err != nil {
		return 0, err
	}
	s.owed--
	return n, nil
}

// transfer runs one transfer, and once more after a stall whose halt could be cleared.
func (s *sensor) transfer(ctx context.Context, limit time.Duration, endpoint uint8, buf []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	n, err := s.dev.Transfer(ctx, endpoint, buf)
	if errors.Is(err, usb.ErrStall) && usb.ClearHalts(ctx, s.dev, endpoint) == nil {
		n, err = s.dev.Transfer(ctx, endpoint, buf)
	}
	return n, err
}

// recover brings the sensor back to where it waits for a command, after an operation that was cut off.
func (s *sensor) recover(ctx context.Context) error {
	if !s.dirty {
		return nil
	}
	if err := usb.ClearHalts(ctx, s.dev, endpointOut, endpointIn); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	var buf [wholePackets]byte
	defer clear(buf[:])
	for ; s.owed > 0; s.owed-- {
		_, err := s.transfer(ctx, drainLimit, endpointIn, buf[:])
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			s.proven = false // it may have been slow
			break
		}
		if err != nil && !errors.Is(err, usb.ErrOverflow) {
			return fmt.Errorf("reading what was left over: %w", err)
		}
	}
	s.owed, s.dirty = 0, false
	return nil
}
