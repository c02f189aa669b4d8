package slap60

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

var le = binary.LittleEndian

// Sizes and marks of the protocol.
const (
	version       = 1
	commandSize   = 16
	maxPayload    = 240
	responseSize  = 20 // and 4 after the payload
	eventSize     = 16
	maxFetch      = 1 << 20
	packetSize    = 512
	requestResync = 0x01
)

var (
	magic       = []byte{0x53, 0x36}
	magicResync = []byte{0x53, 0x36, 0x52, 0x53}
)

// Commands.
const (
	cmdIdentity uint8 = 0x01
	cmdFirmware uint8 = 0x02
	cmdStatus   uint8 = 0x03
	cmdGuide    uint8 = 0x04
	cmdArm      uint8 = 0x05
	cmdPreview  uint8 = 0x06
	cmdImage    uint8 = 0x07
	cmdFetch    uint8 = 0x08
	cmdDone     uint8 = 0x09
	cmdSelfTest uint8 = 0x0a
	cmdCancel   uint8 = 0x0b
)

// status is how a command ended.
type status uint8

const (
	statusOK             status = 0
	statusUnknownCommand status = 1
	statusBadArgument    status = 2
	statusWrongState     status = 3
	statusNoImage        status = 4
	statusOutOfSequence  status = 5
	statusFault          status = 6
)

// state is the state of the device.
type state uint8

const (
	stateIdle     state = 0
	stateArmed    state = 1
	stateLift     state = 2
	stateSettling state = 3
	stateCaptured state = 4
)

// Kinds of event, and the details of a wrong number.
const (
	eventOn       uint8 = 1
	eventOff      uint8 = 2
	eventCaptured uint8 = 3
	eventWrong    uint8 = 4
	eventFault    uint8 = 5

	tooFew  uint8 = 1
	tooMany uint8 = 2
)

// castagnoli returns the CRC-32C of several parts. The table is built once by the standard library.
func castagnoli(parts ...[]byte) uint32 {
	var sum uint32
	for _, p := range parts {
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), p)
	}
	return sum
}

// command is a decoded command.
type command struct {
	code    uint8
	counter uint32
	payload []byte // of the frame it was read from
}

// decodeCommand reads a frame. It fails where the frame is damaged.
func decodeCommand(b []byte) (command, error) {
	switch {
	case len(b) < commandSize:
		return command{}, errors.New("decoding a command: too short")
	case !bytes.Equal(b[:2], magic) || b[2] != version:
		return command{}, errors.New("decoding a command: wrong magic or version")
	case le.Uint32(b[8:]) > maxPayload || int(le.Uint32(b[8:])) != len(b)-commandSize:
		return command{}, errors.New("decoding a command: wrong length")
	case castagnoli(b[:12], b[commandSize:]) != le.Uint32(b[12:]):
		return command{}, errors.New("decoding a command: wrong checksum")
	}
	return command{code: b[3], counter: le.Uint32(b[4:]), payload: b[commandSize:]}, nil
}

// response is what goes before and after a payload.
type response struct {
	code    uint8
	counter uint32
	status  status
	state   state
	events  uint16
}

// appendResponse appends a whole response.
func appendResponse(b []byte, r response, payload []byte) []byte {
	start := len(b)
	b = append(b, magic...)
	b = append(b, version, r.code|0x80)
	b = le.AppendUint32(b, r.counter)
	b = le.AppendUint32(b, uint32(len(payload)))
	b = append(b, byte(r.status), byte(r.state))
	b = le.AppendUint16(b, r.events)
	b = le.AppendUint32(b, castagnoli(b[start:]))
	b = append(b, payload...)
	return le.AppendUint32(b, castagnoli(payload))
}

// event is one message on the interrupt endpoint.
type event struct {
	kind    uint8
	number  uint16
	fingers uint8
	detail  uint8
	state   state
	image   uint32
}

func (e event) encode() (b [eventSize]byte) {
	b[0], b[1] = 0x45, e.kind
	le.PutUint16(b[2:], e.number)
	b[4], b[5], b[6] = e.fingers, e.detail, byte(e.state)
	le.PutUint32(b[8:], e.image)
	le.PutUint32(b[12:], castagnoli(b[:12]))
	return b
}

// encodeResync answers a resync.
func encodeResync(token uint16) (b [16]byte) {
	copy(b[:], magicResync)
	b[4] = version
	le.PutUint16(b[6:], token)
	le.PutUint32(b[12:], castagnoli(b[:12]))
	return b
}

// guide is the payload of GUIDE.
type guide struct {
	lamps [10]Lamp
	tone  Tone
}

func decodeGuide(p []byte) (g guide, ok bool) {
	if len(p) != 12 {
		return guide{}, false
	}
	for i := range g.lamps {
		g.lamps[i] = Lamp(p[i])
		if g.lamps[i] > LampGood {
			return guide{}, false
		}
	}
	g.tone = Tone(p[10])
	return g, g.tone <= ToneTryAgain
}

// arm is the payload of ARM; times are in milliseconds.
type arm struct {
	count            uint8
	mask             uint16
	settle, patience uint16
}

func decodeArm(p []byte) (a arm, ok bool) {
	if len(p) != 8 {
		return arm{}, false
	}
	a = arm{count: p[0], mask: le.Uint16(p[2:]), settle: le.Uint16(p[4:]), patience: le.Uint16(p[6:])}
	bits := 0
	for m := a.mask; m != 0; m &= m - 1 {
		bits++
	}
	return a, a.count >= 1 && a.count <= maxFingers && a.mask < 1<<10 && bits == int(a.count)
}

// fetch is the payload of FETCH.
type fetch struct{ image, offset, length uint32 }

func decodeFetch(p []byte, size int) (f fetch, ok bool) {
	if len(p) != 12 {
		return fetch{}, false
	}
	f = fetch{image: le.Uint32(p), offset: le.Uint32(p[4:]), length: le.Uint32(p[8:])}
	return f, f.length >= 1 && f.length <= maxFetch && uint64(f.offset)+uint64(f.length) <= uint64(size)
}

// appendText appends text in a field of size bytes.
func appendText(b []byte, text string, size int) []byte {
	field := make([]byte, size)
	copy(field, text)
	return append(b, field...)
}
