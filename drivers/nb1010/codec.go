package nb1010

import (
	"encoding/binary"
	"fmt"
)

var le = binary.LittleEndian

// The sensor.
const (
	width, height = 256, 180
	ppi           = 385
)

// Codes: the second byte of a packet.
const (
	codeFinger  byte = 0x38 // is there a finger?
	codeReady   byte = 0x0d
	codeImage   byte = 0x12
	codeIsThere byte = 0x37 // answers codeFinger
	codeAnswer  byte = 0x20 // answers the others
	codeRows    byte = 0x21
)

// Tags: the third byte of a command, which comes back in its answer.
const (
	tagFinger byte = 1
	tagReady  byte = 3
	tagImage  byte = 4
)

const (
	headSize   = 8
	answerSize = 16
	rowsHead   = 25
	rowsSize   = 540 // head, two lines, three bytes more
	linesEach  = 2
	packets    = height / linesEach

	fingerAbove = 0x30 // the level that a finger exceeds
)

// encodeCommand makes a command.
func encodeCommand(code, tag byte, argument ...byte) []byte {
	b := []byte{0x80, code, tag, 0}
	b = le.AppendUint32(b, uint32(headSize+len(argument)))
	return append(b, argument...)
}

// The three commands.
func commandFinger() []byte { return encodeCommand(codeFinger, tagFinger) }
func commandReady() []byte  { return encodeCommand(codeReady, tagReady, 0, 4, 0, 0) }
func commandImage() []byte {
	argument := make([]byte, 24)
	argument[0], argument[20] = 2, 0x20
	return encodeCommand(codeImage, tagImage, argument...)
}

// decodeHead checks how a packet begins and that it has the size that it says.
func decodeHead(b []byte, code, tag byte, size int) error {
	switch {
	case len(b) != size:
		return fmt.Errorf("decoding a packet: %d bytes instead of %d", len(b), size)
	case b[0] != 0x80 || b[1] != code || b[2] != tag || b[3] != 0:
		return fmt.Errorf("decoding a packet: it begins with % x", b[:4])
	case le.Uint32(b[4:]) != uint32(size):
		return fmt.Errorf("decoding a packet of %d bytes: it says %d", size, le.Uint32(b[4:]))
	}
	return nil
}

// decodeAnswer returns the value of an answer; of one to codeFinger it is the level.
func decodeAnswer(b []byte, code, tag byte) (byte, error) {
	if err := decodeHead(b, code, tag, answerSize); err != nil {
		return 0, err
	}
	return b[12], nil
}

// decodeRows copies the two lines of packet number i, from 0, to their place in pix, which holds the whole image.
func decodeRows(b []byte, i int, pix []byte) error {
	if err := decodeHead(b, codeRows, 0, rowsSize); err != nil {
		return err
	}
	more := i+1 < packets
	switch {
	case le.Uint32(b[16:]) != uint32(linesEach*i+1):
		return fmt.Errorf("decoding lines %d and %d: they are numbered from %d", linesEach*i+1, linesEach*i+2, le.Uint32(b[16:]))
	case le.Uint32(b[20:]) != width:
		return fmt.Errorf("decoding a line: it is %d pixels wide", le.Uint32(b[20:]))
	case (b[12] != 0) != more:
		return fmt.Errorf("decoding lines %d and %d: the mark of the last lines is wrong", linesEach*i+1, linesEach*i+2)
	}
	copy(pix[i*linesEach*width:(i+1)*linesEach*width], b[rowsHead:])
	return nil
}
