// Package wsq reads and writes WSQ, the format in which fingerprints at 500 pixels an inch are exchanged: IAFIS-IC-0110(V3.1), "WSQ
// Gray-scale Fingerprint Image Compression Specification" (FBI, October 2010).
//
// The one idea: the arithmetic is part of the format. A picture is a scale and a shift, 64 wavelet subbands, a bin width for each,
// and Huffman codes; every sum is taken in single precision and in one order, so that [Decode] gives the pixels that NIST's
// reference implementation gives, bit for bit, on every machine.
//
// [Encode] follows the same specification, but it is not certified by the FBI: its files carry the software implementation
// number 0, which is nobody's, and say so in a comment. Where certification is asked for, plug in an encoder that has it.
//
// All working memory that held anything of a picture is overwritten before a function returns.
package wsq

import (
	"errors"
	"fmt"
	"image"
)

// MaxPixels bounds the pictures that are read and written: four times a whole hand at 500 pixels an inch.
const MaxPixels = 1 << 24

// maxWork bounds pixels times filter coefficients: [MaxPixels] with the FBI's filters of 9 and 7, 4,194,304 with two of 32.
const maxWork = MaxPixels * (9 + 7)

// Header is what stands beside the pixels of a file.
type Header struct {
	Width, Height int
	PPI           int      // pixels an inch; 0 where the file does not say
	Rate          float64  // bits a pixel that the encoder aimed at; 0 where the file does not say
	Algorithm     uint8    // the encoder's number (Ev of the frame header): 1 or 2 so far
	Software      uint16   // the implementation's number, given by the FBI with a certificate; 0: none
	Comments      []string // comment segments as they stand there, NISTCOM among them
}

// Image is a decoded file. The caller owns the pixels.
type Image struct {
	Header
	Gray *image.Gray
}

// ErrCorrupt is what every error of a file that is not WSQ, or is damaged, wraps.
var ErrCorrupt = errors.New("not a sound WSQ file")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}

// Is reports whether a file begins as WSQ does.
func Is(data []byte) bool {
	return len(data) >= 3 && data[0] == 0xff && data[1] == markSOI && data[2] == 0xff
}

// Decode reads a file. A picture of n pixels takes 9n bytes of memory, n of them for the result; its size is checked before any
// of it is taken. It keeps no part of data but comments. What follows the end of the picture is ignored.
func Decode(data []byte) (Image, error) {
	d := decoder{reader: reader{data: data}}
	if err := d.run(); err != nil {
		return Image{}, fmt.Errorf("decoding WSQ: %w", err)
	}
	return Image{Header: d.head, Gray: d.picture()}, nil
}

// DecodeConfig reads what stands before the picture, without reading the picture.
func DecodeConfig(data []byte) (Header, error) {
	d := decoder{reader: reader{data: data}, headerOnly: true}
	if err := d.run(); err != nil {
		return Header{}, fmt.Errorf("reading WSQ's header: %w", err)
	}
	return d.head, nil
}
