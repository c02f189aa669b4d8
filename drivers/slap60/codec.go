package slap60

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"slices"
	"strings"

	"loket/drivers"
	"loket/kiosk/biometric"
)

var le = binary.LittleEndian

const (
	protocolVersion = 1
	headSize        = 20
	frameSize       = headSize + 4 // of a response without payload
	imageHead       = 20
	fingerSize      = 10
	previewHead     = 12
	maxFingersSeen  = 10
	maxChecks       = 16
)

// Commands.
const (
	cmdIdentity uint8 = 0x01
	cmdFirmware uint8 = 0x02
	cmdGuide    uint8 = 0x04
	cmdArm      uint8 = 0x05
	cmdPreview  uint8 = 0x06
	cmdImage    uint8 = 0x07
	cmdFetch    uint8 = 0x08
	cmdDone     uint8 = 0x09
	cmdSelfTest uint8 = 0x0a
	cmdCancel   uint8 = 0x0b
)

// States of the scanner.
const (
	stateIdle     uint8 = 0
	stateLift     uint8 = 2
	stateCaptured uint8 = 4
)

// Kinds of event.
const (
	eventOn       uint8 = 1
	eventOff      uint8 = 2
	eventCaptured uint8 = 3
	eventWrong    uint8 = 4
	eventFault    uint8 = 5

	tooFew uint8 = 1 // detail of eventWrong
)

// Lamps and tones.
const (
	lampPlace uint8 = 1
	lampGood  uint8 = 3

	toneAttention uint8 = 1
	toneGood      uint8 = 2
	toneTryAgain  uint8 = 3
)

func checksum(parts ...[]byte) uint32 {
	var sum uint32
	for _, p := range parts {
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), p)
	}
	return sum
}

// encodeCommand makes the frame of a command.
func encodeCommand(code uint8, counter uint32, payload []byte) []byte {
	b := []byte{0x53, 0x36, protocolVersion, code}
	b = le.AppendUint32(b, counter)
	b = le.AppendUint32(b, uint32(len(payload)))
	b = le.AppendUint32(b, checksum(b, payload))
	return append(b, payload...)
}

// response is a response that was checked.
type response struct {
	status  uint8
	state   uint8
	events  uint16 // number of the last event that the scanner made
	payload []byte // part of what was decoded
}

// decodeResponse checks the response to a command. A response with another status than OK is returned with a statusError.
func decodeResponse(b []byte, code uint8, counter uint32) (response, error) {
	switch {
	case len(b) < frameSize:
		return response{}, fmt.Errorf("decoding a response: %d bytes are too short", len(b))
	case b[0] != 0x53 || b[1] != 0x36 || b[2] != protocolVersion:
		return response{}, fmt.Errorf("decoding a response: it begins with % x", b[:3])
	case checksum(b[:16]) != le.Uint32(b[16:]):
		return response{}, errors.New("decoding a response: wrong checksum of the header")
	case b[3] != code|0x80 || le.Uint32(b[4:]) != counter:
		return response{}, fmt.Errorf("decoding a response: to command %02x number %d, not %02x number %d", b[3], le.Uint32(b[4:]), code, counter)
	case uint64(le.Uint32(b[8:])) != uint64(len(b)-frameSize):
		return response{}, fmt.Errorf("decoding a response: payload of %d bytes instead of %d", len(b)-frameSize, le.Uint32(b[8:]))
	case checksum(b[headSize:len(b)-4]) != le.Uint32(b[len(b)-4:]):
		return response{}, errors.New("decoding a response: wrong checksum of the payload")
	}
	r := response{status: b[12], state: b[13], events: le.Uint16(b[14:]), payload: b[headSize : len(b)-4]}
	if r.status != 0 {
		return r, statusError(r.status)
	}
	return r, nil
}

// statusError is the status of a command that the scanner did not run.
type statusError uint8

func (e statusError) Error() string {
	texts := [...]string{1: "unknown command", "bad argument", "wrong state", "no such image", "out of sequence: a command was lost",
		"fault of the sensor (hint: kioskctl self-test)"}
	if e == 0 || int(e) >= len(texts) {
		return fmt.Sprintf("the scanner refuses: status %02x", uint8(e))
	}
	return "the scanner refuses: " + texts[e]
}

// decodeResync checks the answer to a resync.
func decodeResync(b []byte, token uint16) error {
	if len(b) != 16 || !bytes.Equal(b[:6], []byte{0x53, 0x36, 0x52, 0x53, protocolVersion, stateIdle}) ||
		le.Uint16(b[6:]) != token || checksum(b[:12]) != le.Uint32(b[12:]) {
		return fmt.Errorf("decoding the answer to a resync: % x", b)
	}
	return nil
}

// event is one message of the interrupt endpoint.
type event struct {
	kind    uint8
	number  uint16
	fingers uint8
	detail  uint8
	image   uint32
}

// ends reports whether a capture waits no longer after the event.
func (e event) ends() bool { return e.kind != eventOn && e.kind != eventOff }

func decodeEvent(b []byte) (event, error) {
	if len(b) != 16 || b[0] != 0x45 || checksum(b[:12]) != le.Uint32(b[12:]) {
		return event{}, fmt.Errorf("decoding an event: %d bytes that are none", len(b))
	}
	return event{kind: b[1], number: le.Uint16(b[2:]), fingers: b[4], detail: b[5], image: le.Uint32(b[8:])}, nil
}

// identity is what a scanner says of itself.
type identity struct {
	maker, model, serial string
	width, height, ppi   int
	fingers              int
	previewW, previewH   int
}

const identitySize = 108

func decodeIdentity(p []byte) (identity, error) {
	if len(p) != identitySize {
		return identity{}, fmt.Errorf("decoding an identity of %d bytes", len(p))
	}
	id := identity{
		maker: text(p[:32]), model: text(p[32:64]), serial: text(p[64:96]),
		width: int(le.Uint16(p[96:])), height: int(le.Uint16(p[98:])), ppi: int(le.Uint16(p[100:])),
		fingers:  int(p[102]),
		previewW: int(le.Uint16(p[104:])), previewH: int(le.Uint16(p[106:])),
	}
	sane := func(v, most int) bool { return v >= 1 && v <= most }
	if id.width < 64 || !sane(id.width, 4096) || id.height < 64 || !sane(id.height, 4096) || id.ppi == 0 ||
		!sane(id.fingers, maxFingersSeen) || !sane(id.previewW, id.width) || !sane(id.previewH, id.height) {
		return identity{}, errors.New("decoding an identity: sizes out of range")
	}
	return id, nil
}

const firmwareSize = 32

// decodeFirmware returns the version, "1.0.0", and the name of the presentation attack detector.
func decodeFirmware(p []byte) (version, detector string, err error) {
	if len(p) != firmwareSize {
		return "", "", fmt.Errorf("decoding a firmware version of %d bytes", len(p))
	}
	return fmt.Sprintf("%d.%d.%d", le.Uint16(p), le.Uint16(p[2:]), le.Uint16(p[4:])), text(p[8:]), nil
}

// text reads a field that is padded with zeros.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return strings.ToValidUTF8(s, "?")
}

// encodeGuide is the payload of GUIDE: one lamp state for the fingers of a mask, and a tone.
func encodeGuide(mask uint16, lamp, tone uint8) []byte {
	b := make([]byte, 12)
	for i := range 10 {
		if mask&(1<<i) != 0 {
			b[i] = lamp
		}
	}
	b[10] = tone
	return b
}

// encodeArm is the payload of ARM; times are in milliseconds.
func encodeArm(count int, mask uint16, settle, patience uint16) []byte {
	b := le.AppendUint16([]byte{byte(count), 0}, mask)
	b = le.AppendUint16(b, settle)
	return le.AppendUint16(b, patience)
}

func encodeFetch(image uint32, offset, length int) []byte {
	b := le.AppendUint32(nil, image)
	b = le.AppendUint32(b, uint32(offset))
	return le.AppendUint32(b, uint32(length))
}

// decodePreview returns a picture that shares its pixels with p, and how many fingers it shows.
func decodePreview(p []byte, id identity) (m *image.Gray, fingers int, err error) {
	if len(p) != previewHead+id.previewW*id.previewH || int(le.Uint16(p[6:])) != id.previewW || int(le.Uint16(p[8:])) != id.previewH {
		return nil, 0, fmt.Errorf("decoding a preview of %d bytes", len(p))
	}
	m = &image.Gray{Pix: p[previewHead:], Stride: id.previewW, Rect: image.Rect(0, 0, id.previewW, id.previewH)}
	return m, int(p[4]), nil
}

// picture is what the scanner says of the image that it holds.
type picture struct {
	number  uint32
	sum     uint32
	pad     biometric.PAD
	fingers []drivers.FingerBox
}

func decodePicture(p []byte, id identity, detector string) (picture, error) {
	if len(p) < imageHead || p[16] > maxFingersSeen || len(p) != imageHead+fingerSize*int(p[16]) {
		return picture{}, fmt.Errorf("decoding an image's description of %d bytes", len(p))
	}
	if int(le.Uint16(p[4:])) != id.width || int(le.Uint16(p[6:])) != id.height || int(le.Uint16(p[8:])) != id.ppi {
		return picture{}, errors.New("decoding an image's description: not the size of the glass")
	}
	pad, err := decodePAD(p[10], p[11], detector)
	pic := picture{number: le.Uint32(p), sum: le.Uint32(p[12:]), pad: pad}
	for f := range slices.Chunk(p[imageHead:], fingerSize) {
		corner := image.Pt(int(le.Uint16(f)), int(le.Uint16(f[2:])))
		box := image.Rectangle{Min: corner, Max: corner.Add(image.Pt(int(le.Uint16(f[4:])), int(le.Uint16(f[6:]))))}
		if box.Empty() || !box.In(image.Rect(0, 0, id.width, id.height)) {
			return picture{}, fmt.Errorf("decoding an image's description: a finger at %v", box)
		}
		fingerPAD, fingerErr := decodePAD(f[8], f[9], detector)
		err = errors.Join(err, fingerErr)
		pic.fingers = append(pic.fingers, drivers.FingerBox{Box: box, PAD: fingerPAD})
	}
	return pic, err
}

func decodePAD(result, score uint8, detector string) (biometric.PAD, error) {
	results := [...]biometric.PADResult{biometric.PADNotAvailable, biometric.PADPassed, biometric.PADAlarm}
	if int(result) >= len(results) || score > 100 {
		return biometric.PAD{}, fmt.Errorf("decoding a presentation attack result: %02x with score %d", result, score)
	}
	if result == 0 {
		return biometric.PAD{Result: biometric.PADNotAvailable}, nil
	}
	return biometric.PAD{Result: results[result], Score: int(score), Algorithm: detector}, nil
}

// decodeSelfTest reads the checks of a self-test.
func decodeSelfTest(p []byte) (drivers.SelfTest, error) {
	if len(p) < 4 || p[0] == 0 || p[0] > maxChecks || len(p) != 4+4*int(p[0]) {
		return drivers.SelfTest{}, fmt.Errorf("decoding a self-test of %d bytes", len(p))
	}
	names := [...]string{1: "memory", "sensor", "illumination", "glass", "lamps", "loudspeaker"}
	units := [...]string{1: "errors", "dead pixels", "per mille of nominal", "per mille of the area dirty", "lamps fail", "faults"}
	result := drivers.SelfTest{Passed: true}
	for c := range slices.Chunk(p[4:], 4) {
		check := drivers.Test{Name: fmt.Sprintf("check %d", c[0]), Passed: c[1] == 1, Detail: fmt.Sprint(le.Uint16(c[2:]))}
		if c[0] >= 1 && int(c[0]) < len(names) {
			check.Name = names[c[0]]
			check.Detail += " " + units[c[0]]
		}
		result.Passed = result.Passed && check.Passed
		result.Checks = append(result.Checks, check)
	}
	return result, nil
}
