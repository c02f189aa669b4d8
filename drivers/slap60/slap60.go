// Package slap60 drives four-finger enrolment scanners that speak the slap60 protocol (docs/protocols/slap60.md).
//
// The one idea: every operation begins with a resync, so nothing that went wrong before, on either side, matters to it; and
// every byte that comes back is under a checksum and a counter, so nothing that goes wrong during it is missed.
package slap60

import (
	"context"
	"errors"
	"fmt"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
)

// Where the protocol lives.
const (
	vendor, product = 0x1209, 0x0001

	endpointCommand  uint8 = 0x01
	endpointResponse uint8 = 0x81
	endpointEvent    uint8 = 0x82
)

// Time limits.
const (
	answerLimit   = 2 * time.Second        // of an exchange
	selfTestLimit = 10 * time.Second       // of that with SELF-TEST
	quitLimit     = 150 * time.Millisecond // of putting the scanner to rest after a capture that did not end well
)

// Driver returns the driver of this protocol.
func Driver() drivers.Driver {
	return drivers.Driver{Name: "slap60", Kind: drivers.KindFingerprint, Match: match, Open: open}
}

// match looks at the interface too: the product number belongs to a test space that others use.
func match(i usb.Info) bool {
	return i.Vendor == vendor && i.Product == product && len(i.Interfaces) == 1 &&
		i.Interfaces[0] == usb.Interface{Class: 0xff, SubClass: 0x53, Protocol: 0x36}
}

// scanner is an open scanner. Whoever has the turn has all fields below it.
type scanner struct {
	dev  usb.Device
	info drivers.Info
	turn drivers.Turn

	id       identity
	detector string
	counter  uint32
	token    uint16
	dirty    bool   // endpoints may be halted
	buf      []byte // of responses
}

func open(ctx context.Context, dev usb.Device) (drivers.Device, error) {
	s := &scanner{dev: dev, turn: drivers.NewTurn(), dirty: true}
	if err := s.hello(ctx); err != nil {
		_ = dev.Close()
		return nil, drivers.Fault(ctx, "opening the scanner", err)
	}
	return s, nil
}

// hello finds out what was opened.
func (s *scanner) hello(ctx context.Context) error {
	if err := s.dev.Claim(0, 0); err != nil {
		return err
	}
	if err := s.resync(ctx); err != nil {
		return err
	}
	r, err := s.exchange(ctx, cmdIdentity, nil, identitySize)
	if err != nil {
		return err
	}
	if s.id, err = decodeIdentity(r.payload); err != nil {
		return err
	}
	if r, err = s.exchange(ctx, cmdFirmware, nil, firmwareSize); err != nil {
		return err
	}
	version, detector, err := decodeFirmware(r.payload)
	if err != nil {
		return err
	}
	s.detector = detector
	s.info = drivers.Info{
		USB: s.dev.Info(), Driver: "slap60", Kind: drivers.KindFingerprint, Vendor: s.id.maker, Model: s.id.model, Serial: s.id.serial,
		Firmware: version, Simulated: s.dev.Info().Simulated(),
		Sensor: &drivers.Sensor{Width: s.id.width, Height: s.id.height, PPI: s.id.ppi, Fingers: s.id.fingers},
	}
	return nil
}

// Info describes the scanner as it described itself when it was opened.
func (s *scanner) Info() drivers.Info { return s.info }

// Close closes the device; what runs ends with [drivers.ErrUnplugged].
func (s *scanner) Close() error { return s.dev.Close() }

// SelfTest has the scanner test itself.
func (s *scanner) SelfTest(ctx context.Context) (drivers.SelfTest, error) {
	const doing = "testing the scanner"
	if err := s.turn.Take(ctx); err != nil {
		return drivers.SelfTest{}, err
	}
	defer s.leave()
	result, err := s.selfTest(ctx)
	if err != nil {
		s.quit(ctx, err)
		return drivers.SelfTest{}, drivers.Fault(ctx, doing, err)
	}
	return result, nil
}

func (s *scanner) selfTest(ctx context.Context) (drivers.SelfTest, error) {
	if err := s.resync(ctx); err != nil {
		return drivers.SelfTest{}, err
	}
	r, err := s.exchangeWithin(ctx, selfTestLimit, cmdSelfTest, nil, 4+4*maxChecks)
	if err != nil {
		return drivers.SelfTest{}, err
	}
	return decodeSelfTest(r.payload)
}

// leave wipes what was transferred and lets the next operation run.
func (s *scanner) leave() {
	clear(s.buf)
	s.turn.Give()
}

// resync makes the scanner forget everything; the next command has counter 1.
func (s *scanner) resync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	if s.dirty {
		if err := usb.ClearHalts(ctx, s.dev, endpointCommand, endpointResponse, endpointEvent); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	s.token++
	setup := usb.Setup{RequestType: 0xc1, Request: 0x01, Value: s.token, Length: 16}
	var answer [16]byte
	n, err := s.dev.Control(ctx, setup, answer[:])
	if errors.Is(err, usb.ErrStall) { // a stall of endpoint 0 ends with the next request
		n, err = s.dev.Control(ctx, setup, answer[:])
	}
	if err != nil {
		return fmt.Errorf("resyncing: %w", err)
	}
	if err := decodeResync(answer[:n], s.token); err != nil {
		return err
	}
	s.counter, s.dirty = 0, false
	return nil
}

// exchange runs one command; room is the size of the greatest payload that may come back. The response's payload is valid
// until the next exchange.
func (s *scanner) exchange(ctx context.Context, code uint8, payload []byte, room int) (response, error) {
	return s.exchangeWithin(ctx, answerLimit, code, payload, room)
}

// exchangeWithin repeats the command once after a stall, as the protocol provides for.
func (s *scanner) exchangeWithin(ctx context.Context, limit time.Duration, code uint8, payload []byte, room int) (response, error) {
	s.counter++
	frame := encodeCommand(code, s.counter, payload)
	r, err := s.attempt(ctx, limit, frame, room)
	if errors.Is(err, usb.ErrStall) && usb.ClearHalts(ctx, s.dev, endpointCommand, endpointResponse) == nil {
		r, err = s.attempt(ctx, limit, frame, room)
	}
	if err != nil {
		return r, fmt.Errorf("running command %02x: %w", code, err)
	}
	return r, nil
}

// attempt sends a frame and reads what comes back.
func (s *scanner) attempt(ctx context.Context, limit time.Duration, frame []byte, room int) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	n, err := s.dev.Transfer(ctx, endpointCommand, frame)
	if err != nil {
		return response{}, err
	}
	if n != len(frame) {
		return response{}, fmt.Errorf("sending %d bytes: only %d were taken", len(frame), n)
	}
	const packet = 512
	size := ((frameSize+room)/packet + 1) * packet // with room for the short packet that ends a response
	if len(s.buf) < size {
		clear(s.buf)
		s.buf = make([]byte, size)
	}
	n, err = s.dev.Transfer(ctx, endpointResponse, s.buf[:size])
	if err != nil {
		return response{}, err
	}
	return decodeResponse(s.buf[:n], frame[3], le.Uint32(frame[4:]))
}

// quit puts the scanner to rest after an operation that ended with err. What it can't do now, the next operation does.
func (s *scanner) quit(ctx context.Context, err error) {
	s.dirty = true
	if errors.Is(err, usb.ErrGone) || errors.Is(err, usb.ErrClosed) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quitLimit)
	defer cancel()
	_ = s.resync(ctx)
}
