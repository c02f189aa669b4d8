package uru4000

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math/bits"
	"slices"

	"loket/drivers/usb"
)

var le = binary.LittleEndian

// The sensor.
const (
	width, height = 384, 290
	ppi           = 512
)

// Registers.
const (
	registerStatus uint16 = 0x07
	registerSeed   uint16 = 0x33
	registerKey    uint16 = 0x34
	registerMode   uint16 = 0x4e
	registerInfo   uint16 = 0xf0

	infoSize = 16
	standby  = 0x80 // in registerStatus: the reader has no power
)

// Values of registerMode.
const (
	modeAwaitOn  byte = 0x10
	modeAwaitOff byte = 0x12
	modeCapture  byte = 0x20
	modeOff      byte = 0x70
)

// Reports.
const (
	reportSize = 64

	reportPower uint16 = 0x56aa
	reportOn    uint16 = 0x0101
	reportOff   uint16 = 0x0200
)

// Images.
const (
	headSize  = 64
	maxBlocks = 15
	roomSize  = headSize + width*height // what is asked for; rows that are absent make an image shorter

	flagAbsent    byte = 1 << 0 // the rows were not sent
	flagScrambled byte = 1 << 1
	flagKeyStays  byte = 1 << 2 // the key is not moved over these rows
	flagNextKey   byte = 1 << 7 // from these rows on, the key with the next number
)

// readRegister is the request that reads n bytes of a register.
func readRegister(register uint16, n int) usb.Setup {
	return usb.Setup{RequestType: 0xc0, Request: 4, Value: register, Length: uint16(n)}
}

// writeRegister is the request that writes n bytes to a register.
func writeRegister(register uint16, n int) usb.Setup {
	return usb.Setup{RequestType: 0x40, Request: 4, Value: register, Length: uint16(n)}
}

// encodeSeed asks for a key by its number, to be sent under a seed.
func encodeSeed(number byte, seed uint32) []byte {
	return le.AppendUint32([]byte{number}, seed)
}

// decodeKey takes a key from under its seed.
func decodeKey(b []byte, seed uint32) (uint32, error) {
	if len(b) != 4 {
		return 0, fmt.Errorf("decoding a key of %d bytes", len(b))
	}
	return le.Uint32(b) ^ seed, nil
}

// decodeReport says what a report is of.
func decodeReport(b []byte) (uint16, error) {
	if len(b) != reportSize {
		return 0, fmt.Errorf("decoding a report of %d bytes", len(b))
	}
	kind := binary.BigEndian.Uint16(b)
	if !slices.Contains([]uint16{reportPower, reportOn, reportOff}, kind) {
		return 0, fmt.Errorf("decoding a report: its kind %04x is not known", kind)
	}
	return kind, nil
}

// head is how an image is sent.
type head struct {
	key    byte // number of the first key
	blocks []block
}

// block is some rows, in the order in which they come.
type block struct {
	flags byte
	rows  int
}

func (b block) absent() bool    { return b.flags&flagAbsent != 0 }
func (b block) scrambled() bool { return b.flags&flagScrambled != 0 }

// keys lists the numbers of the keys that are needed, in the order in which they are: none where nothing is scrambled.
func (h head) keys() []byte {
	if !slices.ContainsFunc(h.blocks, block.scrambled) {
		return nil
	}
	list := []byte{h.key}
	for _, b := range h.blocks {
		if b.flags&flagNextKey != 0 {
			list = append(list, list[len(list)-1]+1)
		}
	}
	return list
}

// decodeHead reads the head of a whole transfer and checks that the transfer has the rows that it tells of.
func decodeHead(b []byte) (head, error) {
	if len(b) < headSize {
		return head{}, fmt.Errorf("decoding an image of %d bytes", len(b))
	}
	h := head{key: b[6]}
	all, sent := 0, 0
	for i := 0; i < maxBlocks && all < height; i++ {
		x := block{flags: b[16+2*i], rows: int(b[17+2*i])}
		if x.flags&^(flagAbsent|flagScrambled|flagKeyStays|flagNextKey) != 0 || x.scrambled() && x.flags&flagKeyStays != 0 {
			return head{}, fmt.Errorf("decoding an image: rows with flags %02x are not known", x.flags)
		}
		all += x.rows
		if !x.absent() {
			sent += x.rows
		}
		h.blocks = append(h.blocks, x)
	}
	switch lines := int(le.Uint16(b[4:])); {
	case all != height:
		return head{}, fmt.Errorf("decoding an image: %d rows instead of %d", all, height)
	case sent != lines || sent == 0:
		return head{}, fmt.Errorf("decoding an image: %d rows were sent and %d are told of", lines, sent)
	case len(b) != headSize+width*lines:
		return head{}, fmt.Errorf("decoding an image of %d rows: it has %d bytes", lines, len(b))
	}
	return h, nil
}

// step moves a key on by one byte: a shift register to the right, fed by the parity of its taps.
func step(key uint32) uint32 {
	const taps = 0x9248144d
	return key>>1 | uint32(bits.OnesCount32(key&taps)&1)<<31
}

// mask is the byte that a key scrambles with: eight of its bits.
func mask(key uint32) byte {
	return byte(key>>4&1 | key>>8&1<<1 | key>>11&1<<2 | key>>14&1<<3 | key>>18&1<<4 | key>>21&1<<5 | key>>24&1<<6 | key>>29&1<<7)
}

// decodeImage makes the image of a transfer with that head and those of [head.keys]: ridges dark and the right way up. The pixel that
// a scrambled block loses is white. An absent row is shown as the next row that was sent, or the last one where none follows.
func decodeImage(b []byte, h head, keys []uint32) (*image.Gray, error) {
	if len(keys) != len(h.keys()) {
		return nil, fmt.Errorf("decoding an image with %d keys: it has %d", len(keys), len(h.keys()))
	}
	rows := b[headSize:]
	var key uint32
	if len(keys) > 0 {
		key, keys = keys[0], keys[1:]
	}
	img := image.NewGray(image.Rect(0, 0, width, height))
	for at, i := 0, 0; i < len(h.blocks); i++ {
		x := h.blocks[i]
		size := width * x.rows
		if x.flags&flagNextKey != 0 && len(keys) > 0 {
			key, keys = keys[0], keys[1:]
		}
		if x.absent() {
			key = x.pass(key)
			at += x.rows
			continue
		}
		if size > len(rows) || at+x.rows > height {
			clear(img.Pix)
			return nil, errors.New("decoding an image: its head promises more rows than there are")
		}
		key = x.decode(img.Pix[at*width:][:size], rows[:size], key)
		rows, at = rows[size:], at+x.rows
	}
	h.fill(img.Pix)
	slices.Reverse(img.Pix)
	for i, v := range img.Pix {
		img.Pix[i] = 255 - v
	}
	return img, nil
}

// pass moves the key over rows that are not scrambled.
func (x block) pass(key uint32) uint32 {
	if x.flags&flagKeyStays == 0 {
		for range width * x.rows {
			key = step(key)
		}
	}
	return key
}

// decode writes the block's pixels and returns the key for what follows. Scrambled pixels come one byte late.
func (x block) decode(pix, rows []byte, key uint32) uint32 {
	if !x.scrambled() {
		copy(pix, rows)
		return x.pass(key)
	}
	for i := range pix {
		if i+1 < len(rows) {
			pix[i] = rows[i+1] ^ mask(key)
		}
		key = step(key)
	}
	return key
}

// fill copies a neighbour over each absent row. At least one row is there: [decodeHead] saw to it.
func (h head) fill(pix []byte) {
	row := func(i int) []byte { return pix[i*width:][:width] }
	present := make([]bool, 0, height)
	for _, x := range h.blocks {
		for range x.rows {
			present = append(present, !x.absent())
		}
	}
	end := height - 1
	for !present[end] {
		end--
	}
	for i := height - 1; i >= 0; i-- {
		if !present[i] {
			copy(row(i), row(min(i+1, end)))
		}
	}
}
