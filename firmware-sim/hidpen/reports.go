package hidpen

import (
	"encoding/binary"
	"math"

	"loket/firmware-sim/synth"
)

// A report: ID, what the pen does, X and Y in 1/200 mm, pressure.
const (
	penID     = 1
	penReport = 8

	unitsPerMillimetre = 200
	fullPressure       = 1023
)

// What a pen does, as the bits of a report: tip switch, in range.
const (
	away     byte = 0
	hovering byte = 0x10
	touching byte = 0x11
)

// penDescriptor describes that report (HID Usage Tables 1.4, clause 16): 0 to 20000 for 0 to 100.00 mm, 0 to 10000 for 0 to 50.00 mm.
var penDescriptor = []byte{
	0x05, 0x0d, // usage page: digitizers
	0x09, 0x02, // usage: pen
	0xa1, 0x01, // application collection
	0x85, penID, //  report ID
	0x09, 0x20, //  usage: stylus
	0xa1, 0x00, //  physical collection
	0x15, 0x00, //   logical minimum 0
	0x25, 0x01, //   logical maximum 1
	0x75, 0x01, //   elements of 1 bit
	0x95, 0x01, //   one
	0x09, 0x42, //   usage: tip switch
	0x81, 0x02, //   input: data, variable
	0x95, 0x03, //   three
	0x81, 0x03, //   input: constant
	0x95, 0x01, //   one
	0x09, 0x32, //   usage: in range
	0x81, 0x02, //   input: data, variable
	0x95, 0x03, //   three
	0x81, 0x03, //   input: constant
	0xa4,       //   push
	0x05, 0x01, //   usage page: generic desktop
	0x75, 0x10, //   elements of 16 bits
	0x95, 0x01, //   one
	0x65, 0x11, //   unit: centimetres
	0x55, 0x0d, //   to the power of ten of -3
	0x35, 0x00, //   physical minimum 0
	0x26, 0x20, 0x4e, // logical maximum 20000
	0x46, 0x10, 0x27, // physical maximum 10000
	0x09, 0x30, //   usage: X
	0x81, 0x02, //   input: data, variable
	0x26, 0x10, 0x27, // logical maximum 10000
	0x46, 0x88, 0x13, // physical maximum 5000
	0x09, 0x31, //   usage: Y
	0x81, 0x02, //   input: data, variable
	0xb4,       //   pop
	0x75, 0x10, //   elements of 16 bits
	0x95, 0x01, //   one
	0x26, 0xff, 0x03, // logical maximum 1023
	0x09, 0x30, //   usage: tip pressure
	0x81, 0x02, //   input: data, variable
	0xc0, //        end of the physical collection
	0xc0, //       end of the application collection
}

// encode makes a report of where the pen is. The field of a scribble lies in the middle of the pad.
func encode(does byte, p synth.PenPoint) []byte {
	b := make([]byte, penReport)
	b[0], b[1] = penID, does
	if does == away {
		return b
	}
	put := func(at int, v float64, most int) {
		binary.LittleEndian.PutUint16(b[at:], uint16(min(max(int(math.Round(v)), 0), most)))
	}
	put(2, (p.X+(Width-synth.ScribbleWidth)/2)*unitsPerMillimetre, Width*unitsPerMillimetre)
	put(4, (p.Y+(Height-synth.ScribbleHeight)/2)*unitsPerMillimetre, Height*unitsPerMillimetre)
	if does == touching {
		put(6, p.Force*fullPressure, fullPressure)
	}
	return b
}
