package nb1010

import (
	"bytes"
	"context"
	"encoding/binary"

	"loket/drivers/usb"
)

var le = binary.LittleEndian

// Endpoints.
const (
	endpointOut uint8 = 0x02
	endpointIn  uint8 = 0x83
)

// Codes: the second byte of a packet.
const (
	codeFinger  = 0x38 // is there a finger?
	codeReady   = 0x0d
	codeImage   = 0x12
	codeIsThere = 0x37 // answers codeFinger
	codeAnswer  = 0x20 // answers the others
	codeRows    = 0x21
)

const (
	headSize   = 8
	answerSize = 16
	rowsHead   = 25
	rowsSize   = 540 // head, two lines, three bytes more
	linesEach  = 2

	levelNone   = 0x09 // well below the 0x30 that a finger exceeds
	levelFinger = 0xf7
)

// Info describes the sensor.
func (d *Device) Info() usb.Info {
	return usb.Info{Vendor: 0x298d, Product: 0x1010, Release: 0x0001, Manufacturer: "NEXT Biometrics", ProductName: "NB-1010-U",
		Serial: d.opt.Serial, Speed: usb.FullSpeed}
}

// Descriptors describes the device and its one configuration.
func (d *Device) Descriptors() []byte {
	serial := byte(0)
	if d.opt.Serial != "" {
		serial = 3
	}
	return []byte{
		18, 1, 0x00, 0x02, 0, 0, 0, 64, 0x8d, 0x29, 0x10, 0x10, 0x01, 0x00, 1, 2, serial, 1,
		9, 2, 39, 0, 1, 1, 0, 0xa0, 50,
		9, 4, 0, 0, 3, 0, 0, 0, 0,
		7, 5, 0x81, 3, 64, 0, 5,
		7, 5, endpointOut, 2, 64, 0, 0,
		7, 5, endpointIn, 2, 64, 0, 0,
	}
}

// BusReset forgets the host that was attached.
func (d *Device) BusReset() {
	d.Lock()
	defer d.Unlock()
	d.drop()
	d.TellHeld(Guidance{})
}

// drop forgets packets and what they show. The mutex is held.
func (d *Device) drop() {
	for _, p := range d.queue {
		clear(p)
	}
	d.queue, d.ready = nil, false
}

// Control stalls: the sensor knows no requests of its own.
func (d *Device) Control(context.Context, usb.Setup, []byte) (int, error) { return 0, usb.ErrStall }

// Transfer takes a command, or waits for a packet.
func (d *Device) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	switch endpoint {
	case endpointOut:
		return d.accept(data)
	case endpointIn:
		return d.give(ctx, data)
	}
	<-ctx.Done() // the interrupt endpoint never has anything to say
	return 0, ctx.Err()
}

// give waits for a packet and moves it, or as much as there is room for.
func (d *Device) give(ctx context.Context, data []byte) (int, error) {
	for {
		if n, ok := d.take(data); ok {
			return n, nil
		}
		select {
		case <-d.wake:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (d *Device) take(data []byte) (int, bool) {
	d.Lock()
	defer d.Unlock()
	if len(d.queue) == 0 {
		return 0, false
	}
	p := d.queue[0]
	n := copy(data, p)
	clear(p[:n])
	if n < len(p) {
		d.queue[0] = p[n:]
	} else {
		d.queue = d.queue[1:]
	}
	return n, true
}

// accept runs a command. What is none stalls.
func (d *Device) accept(command []byte) (int, error) {
	d.Lock()
	defer d.Unlock()
	packets := d.run(command)
	if packets == nil {
		return 0, usb.ErrStall
	}
	d.queue = append(d.queue, packets...)
	select {
	case d.wake <- struct{}{}:
	default:
	}
	return len(command), nil
}

// run returns the packets that answer a command; nil for one that is not known or out of place.
func (d *Device) run(c []byte) [][]byte {
	if len(c) < headSize || c[0] != 0x80 || c[3] != 0 || int(le.Uint32(c[4:])) != len(c) {
		return nil
	}
	switch {
	case c[1] == codeFinger && len(c) == headSize:
		lift := d.GuidanceHeld().Lift
		d.TellHeld(Guidance{Armed: !lift, Lift: lift})
		if d.FingerHeld() == nil {
			return [][]byte{answer(codeIsThere, c[2], levelNone)}
		}
		return [][]byte{answer(codeIsThere, c[2], levelFinger)}
	case c[1] == codeReady && bytes.Equal(c[headSize:], []byte{0, 4, 0, 0}):
		d.ready = true
		return [][]byte{answer(codeAnswer, c[2], 0)}
	case c[1] == codeImage && d.ready && bytes.Equal(c[headSize:], imageArgument()):
		d.ready = false
		d.TellHeld(Guidance{Lift: d.FingerHeld() != nil})
		return append([][]byte{answer(codeAnswer, c[2], 3)}, d.rows()...)
	}
	return nil
}

// imageArgument is what follows the head of the command for an image.
func imageArgument() []byte {
	b := make([]byte, 24)
	b[0], b[20] = 2, 0x20
	return b
}

func answer(code, tag, value byte) []byte {
	b := make([]byte, answerSize)
	b[0], b[1], b[2], b[4], b[12] = 0x80, code, tag, answerSize, value
	return b
}

// rows cuts what the sensor sees into packets. The mutex is held.
func (d *Device) rows() [][]byte {
	var packets [][]byte
	for line := 0; line < Height; line += linesEach {
		b := make([]byte, rowsSize)
		b[0], b[1] = 0x80, codeRows
		le.PutUint32(b[4:], rowsSize)
		if line+linesEach < Height {
			b[12] = 1
		}
		le.PutUint32(b[16:], uint32(line)+1)
		le.PutUint32(b[20:], Width)
		b[24] = 1
		pixels := b[rowsHead:][:linesEach*Width]
		if d.FingerHeld() == nil {
			for i := range pixels {
				pixels[i] = 255
			}
		} else {
			copy(pixels, d.FingerHeld().Pix[line*Width:])
		}
		packets = append(packets, b)
	}
	return packets
}
