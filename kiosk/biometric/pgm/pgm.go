// Package pgm reads and writes portable graymaps, the plainest files that hold an 8-bit grey image.
//
// The one idea: the pixels and nothing else, so that two programs can be compared byte for byte. It keeps to the pgm(5) page of
// Netpbm.
package pgm

import (
	"errors"
	"fmt"
	"image"
)

// Bounds of a picture that is read.
const (
	MaxSide   = 20000 // px
	MaxPixels = 40 << 20
)

// Is reports whether a file begins as a portable graymap does.
func Is(data []byte) bool {
	return len(data) >= 2 && data[0] == 'P' && (data[1] == '2' || data[1] == '5')
}

// Encode writes an image as a raw portable graymap (P5) of 8 bits.
func Encode(img *image.Gray) []byte {
	size := img.Rect.Size()
	out := fmt.Appendf(make([]byte, 0, size.X*size.Y+32), "P5\n%d %d\n255\n", size.X, size.Y)
	for y := range size.Y {
		out = append(out, img.Pix[y*img.Stride:][:size.X]...)
	}
	return out
}

// Decode reads a portable graymap, raw (P5) or plain (P2), with comments and any maximal value; 8 bits come out. What
// follows the first picture is ignored. Its size is bounded before memory is taken.
func Decode(data []byte) (*image.Gray, error) {
	h, err := readHeader(data)
	if err != nil {
		return nil, fmt.Errorf("reading PGM: %w", err)
	}
	if h.plain {
		return h.decodePlain(data)
	}
	return h.decodeRaw(data)
}

// header is what stands before the pixels.
type header struct {
	plain      bool
	w, h, maxv int
	pixels     int // offset of what follows the header
}

func readHeader(data []byte) (header, error) {
	if !Is(data) {
		return header{}, errors.New("it begins with neither P5 nor P2")
	}
	h := header{plain: data[1] == '2'}
	at := 2
	for _, field := range []struct {
		name string
		to   *int
		max  int
	}{{"width", &h.w, MaxSide}, {"height", &h.h, MaxSide}, {"maximal value", &h.maxv, 65535}} {
		v, next, err := nextNumber(data, at)
		if err != nil {
			return header{}, fmt.Errorf("its %s: %w", field.name, err)
		}
		if v < 1 || v > field.max {
			return header{}, fmt.Errorf("its %s is %d, not 1 to %d", field.name, v, field.max)
		}
		*field.to, at = v, next
	}
	if h.w*h.h > MaxPixels {
		return header{}, fmt.Errorf("%dx%d is more than %d pixels", h.w, h.h, MaxPixels)
	}
	if at >= len(data) || !isSpace(data[at]) {
		return header{}, errors.New("it ends within its header")
	}
	h.pixels = at + 1
	return h, nil
}

// nextNumber reads the decimal number that follows white space and comments from offset at.
func nextNumber(data []byte, at int) (v, next int, err error) {
	comment := false
	for at < len(data) && (comment || isSpace(data[at]) || data[at] == '#') {
		if data[at] == '#' {
			comment = true
		} else if data[at] == '\n' || data[at] == '\r' {
			comment = false
		}
		at++
	}
	start := at
	for at < len(data) && data[at] >= '0' && data[at] <= '9' && at-start < 7 {
		v = v*10 + int(data[at]-'0')
		at++
	}
	if at == start {
		return 0, 0, errors.New("no number there")
	}
	return v, at, nil
}

func isSpace(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' }

func (h header) decodeRaw(data []byte) (*image.Gray, error) {
	width := 1
	if h.maxv > 255 {
		width = 2
	}
	raw := data[h.pixels:]
	if need := h.w * h.h * width; len(raw) < need {
		return nil, fmt.Errorf("reading PGM: %d of %d bytes of pixels (hint: the file is cut short)", len(raw), need)
	}
	img := image.NewGray(image.Rect(0, 0, h.w, h.h))
	for i := range img.Pix {
		v := int(raw[i*width])
		if width == 2 {
			v = v<<8 | int(raw[i*2+1])
		}
		img.Pix[i] = h.scale(v)
	}
	return img, nil
}

func (h header) decodePlain(data []byte) (*image.Gray, error) {
	if len(data)-h.pixels < h.w*h.h { // a digit each at the least
		return nil, errors.New("reading PGM: fewer numbers than pixels (hint: the file is cut short)")
	}
	img := image.NewGray(image.Rect(0, 0, h.w, h.h))
	at := h.pixels
	for i := range img.Pix {
		v, next, err := nextNumber(data, at)
		if err != nil {
			return nil, fmt.Errorf("reading PGM: pixel %d of %d: %w", i, len(img.Pix), err)
		}
		img.Pix[i], at = h.scale(v), next
	}
	return img, nil
}

// scale brings a value to 8 bits; with a maximal value of 255 it is what it was.
func (h header) scale(v int) uint8 {
	v = min(v, h.maxv)
	return uint8((v*255 + h.maxv/2) / h.maxv)
}
