package hidcode

import (
	"fmt"
	"strings"
)

// A scanner's report: ID, byte count, symbology identifier, data, and in the last byte whether the next report goes on.
const (
	posID     = 2
	posData   = 56
	posReport = 64

	bootReport = 8
)

// posDescriptor describes that report (HID Point of Sale Usage Tables 1.02, clause 3.2).
var posDescriptor = []byte{
	0x05, 0x8c, // usage page: bar code scanner
	0x09, 0x02, // usage: bar code scanner
	0xa1, 0x01, // application collection
	0x09, 0x12, //  usage: scanned data report
	0xa1, 0x02, //  logical collection
	0x85, posID, //   report ID
	0x15, 0x00, //    logical minimum 0
	0x26, 0xff, 0x00, // logical maximum 255
	0x75, 0x08, //    elements of 8 bits
	0x95, 0x01, //    one
	0x05, 0x01, //    usage page: generic desktop
	0x09, 0x3b, //    usage: byte count
	0x81, 0x02, //    input: data, variable
	0x05, 0x8c, //    usage page: bar code scanner
	0x95, 0x03, //    three
	0x09, 0xfb, //    usages: symbology identifier 1, 2, 3
	0x09, 0xfc,
	0x09, 0xfd,
	0x81, 0x02, //    input: data, variable
	0x95, posData, // 56
	0x09, 0xfe, //    usage: decoded data
	0x82, 0x02, 0x01, // input: data, variable, buffered bytes
	0x95, 0x02, //    two
	0x81, 0x03, //    input: constant
	0x95, 0x01, //    one
	0x75, 0x01, //    of 1 bit
	0x25, 0x01, //    logical maximum 1
	0x09, 0xff, //    usage: decoded data continued
	0x81, 0x02, //    input: data, variable
	0x95, 0x07, //    seven
	0x81, 0x03, //    input: constant
	0xc0, //         end of the logical collection
	0xc0, //        end of the application collection
}

// keyboardDescriptor describes the reports of the boot protocol (HID 1.11, appendix B.1).
var keyboardDescriptor = []byte{
	0x05, 0x01, // usage page: generic desktop
	0x09, 0x06, // usage: keyboard
	0xa1, 0x01, // application collection
	0x05, 0x07, //  usage page: keyboard
	0x19, 0xe0, //  usages: left control to right GUI
	0x29, 0xe7,
	0x15, 0x00, //  logical minimum 0
	0x25, 0x01, //  logical maximum 1
	0x75, 0x01, //  elements of 1 bit
	0x95, 0x08, //  eight
	0x81, 0x02, //  input: data, variable
	0x75, 0x08, //  8 bits
	0x95, 0x01, //  one
	0x81, 0x01, //  input: constant
	0x05, 0x08, //  usage page: LEDs
	0x19, 0x01, //  usages: num lock to kana
	0x29, 0x05,
	0x75, 0x01, //  1 bit
	0x95, 0x05, //  five
	0x91, 0x02, //  output: data, variable
	0x75, 0x03, //  3 bits
	0x95, 0x01, //  one
	0x91, 0x01, //  output: constant
	0x05, 0x07, //  usage page: keyboard
	0x19, 0x00, //  usages: none to application
	0x29, 0x65,
	0x15, 0x00, //  logical minimum 0
	0x25, 0x65, //  logical maximum 101
	0x75, 0x08, //  8 bits
	0x95, 0x06, //  six
	0x81, 0x00, //  input: data, array
	0xc0, //        end of the application collection
}

// split cuts a code into a scanner's reports. A text of no characters is one report.
func split(symbology, text string) [][]byte {
	text = strings.ReplaceAll(text, "\n", "\r")
	var list [][]byte
	for {
		n := min(len(text), posData)
		r := make([]byte, posReport)
		r[0], r[1] = posID, byte(n)
		copy(r[2:], symbology)
		copy(r[5:], text[:n])
		if text = text[n:]; text != "" {
			r[posReport-1] = 1
		}
		if list = append(list, r); text == "" {
			return list
		}
	}
}

// keystroke is a key of the US layout: its usage of page 07, and whether shift is held.
type keystroke struct {
	key   byte
	shift bool
}

// shifted and plain list the characters of the keys from 2D to 38 and of the digits, where they are not regular.
const (
	plainKeys   = "-=[]\\\x00;'`,./"
	shiftedKeys = "_+{}|\x00:\"~<>?"
	overDigits  = "!@#$%^&*()"
)

// key finds the keystroke of a character.
func key(c rune) (keystroke, bool) {
	switch {
	case c >= 'a' && c <= 'z':
		return keystroke{byte(0x04 + c - 'a'), false}, true
	case c >= 'A' && c <= 'Z':
		return keystroke{byte(0x04 + c - 'A'), true}, true
	case c >= '1' && c <= '9':
		return keystroke{byte(0x1e + c - '1'), false}, true
	case c == '0':
		return keystroke{0x27, false}, true
	case c == '\n':
		return keystroke{0x28, false}, true
	case c == '\t':
		return keystroke{0x2b, false}, true
	case c == ' ':
		return keystroke{0x2c, false}, true
	case c == 0:
		return keystroke{}, false
	}
	if i := strings.IndexRune(overDigits, c); i >= 0 {
		return keystroke{byte(0x1e + i), true}, true
	}
	if i := strings.IndexRune(plainKeys, c); i >= 0 {
		return keystroke{byte(0x2d + i), false}, true
	}
	i := strings.IndexRune(shiftedKeys, c)
	return keystroke{byte(0x2d + i), true}, i >= 0
}

// keystrokes types a text: a report with each key down, and one with all keys up. The code, and each line of a document, ends
// with the terminator.
func (d *Device) keystrokes(text string) ([][]byte, error) {
	end := "\n"
	if d.opt.Tab {
		end = "\t"
	}
	text = strings.ReplaceAll(text, "\n", end) + end
	var list [][]byte
	for _, c := range text {
		k, ok := key(c)
		if !ok {
			return nil, fmt.Errorf("a keyboard has no key for character %U", c)
		}
		down := make([]byte, bootReport)
		if k.shift {
			down[0] = 0x02
		}
		down[2] = k.key
		list = append(list, down, make([]byte, bootReport))
	}
	return list, nil
}
