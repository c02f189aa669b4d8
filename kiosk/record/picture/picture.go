// Package picture says what the head of an encoded image says: which coding it has and how large it is.
//
// The one idea: record formats repeat an image's coding and size beside its bytes, and a reader that believes both must compare
// them. Nothing is decoded and nothing is copied. Codings: JPEG (ITU-T T.81, 1992), JPEG 2000 (ITU-T T.800, 2019, annexes A and I),
// PNG (ISO/IEC 15948:2004), WSQ (FBI IAFIS-IC-0110, version 3.1, 2010).
package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Coding names how an image is encoded. The values are media types.
type Coding string

// The codings that are recognised.
const (
	JPEG     Coding = "image/jpeg"
	JPEG2000 Coding = "image/jp2" // in its file format or as a bare codestream
	PNG      Coding = "image/png"
	WSQ      Coding = "image/x-wsq"
)

// Head is what the head of an image says.
type Head struct {
	Coding     Coding
	Width      int // px
	Height     int // px
	Depth      int // bits a sample; of the first component where they differ; of a PNG's palette the bits of an index
	Components int // 1: grey; PNG's palette counts as 3
}

// Of reads the head of an image. It fails where the coding is none of the four or the head is cut or contradicts itself.
func Of(data []byte) (Head, error) {
	for _, known := range []struct {
		magic string
		read  func([]byte) (Head, bool)
	}{
		{"\xff\xd8", jpeg}, {"\xff\xa0", wsq}, {"\x89PNG\r\n\x1a\n", png},
		{"\x00\x00\x00\x0cjP  \r\n\x87\n", jp2}, {"\x00\x00\x00\x0cjP\x1a\x1a\r\n\x87\n", jp2}, // as drafts of T.800 had it
		{"\xff\x4f\xff\x51", codestream},
	} {
		if !bytes.HasPrefix(data, []byte(known.magic)) {
			continue
		}
		h, ok := known.read(data)
		if !ok || h.Width < 1 || h.Height < 1 {
			return Head{}, errors.New("reading an image's head: it is cut short or has no size")
		}
		return h, nil
	}
	return Head{}, errors.New("reading an image's head: it is neither JPEG, JPEG 2000, PNG nor WSQ")
}

// Whole reports whether an image of one of the four codings goes on to its end: EOI, IEND or EOC. An image that was cut does not.
// What stands between head and end is not looked into.
func Whole(data []byte) bool {
	switch h, err := Of(data); {
	case err != nil:
		return false
	case h.Coding == PNG:
		return chunks(data)
	case h.Coding == JPEG2000:
		if boxed, ok := box(data, "jp2c"); ok {
			data = boxed
		}
		return bytes.HasSuffix(data, []byte{0xff, 0xd9})
	case h.Coding == WSQ:
		return scanned(data, 0xa3, 0xa1)
	}
	return scanned(data, 0xda, 0xd9)
}

// scanned reports whether the first scan or block of a JPEG or WSQ is followed by the end of the image. Inside of coded data no byte FF
// stands before one that could be taken for the marker.
func scanned(data []byte, start, end byte) bool {
	rest, ok := segments(data, func(marker byte, _ []byte) bool { return marker == start })
	return ok && bytes.Contains(rest, []byte{0xff, end})
}

// chunks walks a PNG's chunks up to IEND.
func chunks(data []byte) bool {
	for at := 8; at+12 <= len(data); {
		size := int64(binary.BigEndian.Uint32(data[at:]))
		if size > int64(len(data)-at-12) {
			return false
		}
		if string(data[at+4:at+8]) == "IEND" {
			return true
		}
		at += 12 + int(size)
	}
	return false
}

// segments walks the marker segments that follow a two-byte start, as T.81, clause B.1.1, and WSQ lay them out, until found
// returns true. It gives what follows that segment; ok is false where there was none.
func segments(data []byte, found func(marker byte, body []byte) bool) (rest []byte, ok bool) {
	for at := 2; at+4 <= len(data); {
		if data[at] != 0xff {
			return nil, false
		}
		if data[at+1] == 0xff { // a fill byte
			at++
			continue
		}
		size := int(binary.BigEndian.Uint16(data[at+2:]))
		if size < 2 || at+2+size > len(data) {
			return nil, false
		}
		if found(data[at+1], data[at+4:at+2+size]) {
			return data[at+2+size:], true
		}
		at += 2 + size
	}
	return nil, false
}

// jpeg finds the frame header: SOF0 to SOF15 but DHT, JPG and DAC.
func jpeg(data []byte) (h Head, ok bool) {
	_, ok = segments(data, func(marker byte, body []byte) bool {
		if marker < 0xc0 || marker > 0xcf || marker == 0xc4 || marker == 0xc8 || marker == 0xcc || len(body) < 6 {
			return false
		}
		h = Head{Coding: JPEG, Depth: int(body[0]), Height: int(binary.BigEndian.Uint16(body[1:])),
			Width: int(binary.BigEndian.Uint16(body[3:])), Components: int(body[5])}
		return true
	})
	return h, ok
}

// wsq finds the frame header: black, white, height, width.
func wsq(data []byte) (h Head, ok bool) {
	_, ok = segments(data, func(marker byte, body []byte) bool {
		if marker != 0xa2 || len(body) < 6 {
			return false
		}
		h = Head{Coding: WSQ, Depth: 8, Components: 1, Height: int(binary.BigEndian.Uint16(body[2:])), Width: int(binary.BigEndian.Uint16(body[4:]))}
		return true
	})
	return h, ok
}

// png reads IHDR, which must come first.
func png(data []byte) (Head, bool) {
	if len(data) < 33 || !bytes.Equal(data[8:16], []byte("\x00\x00\x00\x0dIHDR")) {
		return Head{}, false
	}
	w, h := binary.BigEndian.Uint32(data[16:]), binary.BigEndian.Uint32(data[20:])
	components := map[byte]int{0: 1, 2: 3, 3: 3, 4: 2, 6: 4}[data[25]]
	return Head{Coding: PNG, Width: int(w), Height: int(h), Depth: int(data[24]), Components: components}, w < 1<<31 && h < 1<<31 && components > 0
}

// jp2 finds the image header box inside the JP2 header box.
func jp2(data []byte) (Head, bool) {
	header, ok := box(data, "jp2h")
	if !ok {
		return Head{}, false
	}
	ihdr, ok := box(header, "ihdr")
	if !ok || len(ihdr) < 11 {
		return Head{}, false
	}
	h, w := binary.BigEndian.Uint32(ihdr), binary.BigEndian.Uint32(ihdr[4:])
	return Head{Coding: JPEG2000, Width: int(w), Height: int(h), Components: int(binary.BigEndian.Uint16(ihdr[8:])), Depth: int(ihdr[10]&0x7f) + 1},
		w < 1<<31 && h < 1<<31
}

// box finds the content of the first box of a kind.
func box(data []byte, kind string) ([]byte, bool) {
	for len(data) >= 8 {
		size, head := uint64(binary.BigEndian.Uint32(data)), uint64(8)
		if size == 1 && len(data) >= 16 {
			size, head = binary.BigEndian.Uint64(data[8:]), 16
		}
		if size == 0 {
			size = uint64(len(data))
		}
		if size < head || size > uint64(len(data)) {
			return nil, false
		}
		if string(data[4:8]) == kind {
			return data[head:size], true
		}
		data = data[size:]
	}
	return nil, false
}

// codestream reads the SIZ marker segment (T.800, clause A.5.1), which must come first.
func codestream(data []byte) (Head, bool) {
	if len(data) < 43 {
		return Head{}, false
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint32(data[i:])) }
	w, h := at(8)-at(16), at(12)-at(20)
	return Head{Coding: JPEG2000, Width: int(w), Height: int(h), Components: int(binary.BigEndian.Uint16(data[40:])), Depth: int(data[42]&0x7f) + 1}, true
}
