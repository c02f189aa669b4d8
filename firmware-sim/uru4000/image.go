package uru4000

import (
	"image"
	"math/bits"
)

const headSize = 64

// step moves a key on by one byte: a shift register to the right, fed by the parity of its taps.
func step(key uint32) uint32 {
	const taps = 0x9248144d
	return key>>1 | uint32(bits.OnesCount32(key&taps)&1)<<31
}

// mask is the byte that a key scrambles with: eight of its bits.
func mask(key uint32) byte {
	var m byte
	for i, bit := range [8]uint{4, 8, 11, 14, 18, 21, 24, 29} {
		m |= byte(key>>bit&1) << i
	}
	return m
}

// encodeImage makes the transfer of one image. keys are all that there are, by number.
func encodeImage(finger *image.Gray, blocks []Block, number byte, keys *[256]uint32) []byte {
	key := keys[number]
	_, sent := count(blocks)
	b := make([]byte, headSize, headSize+sent*Width)
	copy(b, []byte{0x10, 0x40, 0x80, 0x01})
	le.PutUint16(b[4:], uint16(sent))
	b[6] = number
	row, held := 0, byte(0) // a scrambled byte goes out one byte late
	for i, block := range blocks {
		b[16+2*i], b[17+2*i] = block.Flags, block.Rows
		if block.Flags&NextKey != 0 {
			number++
			key = keys[number]
		}
		for range block.Rows {
			for x := range Width {
				p := pixel(finger, row, x)
				switch block.Flags & (RowsAbsent | Scrambled) {
				case Scrambled:
					b = append(b, held)
					held = p ^ mask(key)
				case 0:
					b = append(b, p)
					held = mask(key)
				}
				if block.Flags&NoKeyUpdate == 0 {
					key = step(key)
				}
			}
			row++
		}
	}
	return b
}

// pixel is what the sensor reads: it lies upside down, and gives ridges bright.
func pixel(finger *image.Gray, row, x int) byte {
	if finger == nil {
		return 0
	}
	return 255 - finger.Pix[(Height-1-row)*Width+Width-1-x]
}
