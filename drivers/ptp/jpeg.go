package ptp

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// jpegEnd walks the markers of the JPEG at the start of b (ITU-T T.81, annex B) and returns where it ends. It decodes
// nothing: it finds pictures that are cut, joined or overwritten, not pixels that are wrong.
func jpegEnd(b []byte) (int, error) {
	if !bytes.HasPrefix(b, []byte{0xff, 0xd8}) {
		return 0, fmt.Errorf("reading a picture that does not start as one: %w", ErrNotJPEG)
	}
	var frame, scan bool
	for at := 2; ; {
		marker, next, ok := nextMarker(b, at)
		if !ok {
			return 0, fmt.Errorf("reading a picture with no marker at byte %d of %d: %w", at, len(b), ErrNotJPEG)
		}
		at = next
		switch {
		case marker == 0xd9 && frame && scan:
			return at, nil
		case marker == 0xd9 || marker == 0xd8 || marker <= 0x01 || marker >= 0xd0 && marker <= 0xd7:
			return 0, fmt.Errorf("reading a picture with marker %02x at byte %d: %w", marker, at, ErrNotJPEG)
		}
		if at+2 > len(b) {
			return 0, fmt.Errorf("reading a picture that is cut: %w", ErrNotJPEG)
		}
		length := int(binary.BigEndian.Uint16(b[at:]))
		if length < 2 || at+length > len(b) {
			return 0, fmt.Errorf("reading a picture that is cut: %w", ErrNotJPEG)
		}
		at += length
		frame = frame || marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc
		if marker == 0xda {
			scan = true
			at = scanEnd(b, at)
		}
	}
}

// nextMarker reads the marker at a place, fill bytes passed over, and returns what follows it.
func nextMarker(b []byte, at int) (marker byte, next int, ok bool) {
	if at >= len(b) || b[at] != 0xff {
		return 0, 0, false
	}
	for at < len(b) && b[at] == 0xff {
		at++
	}
	if at >= len(b) {
		return 0, 0, false
	}
	return b[at], at + 1, true
}

// scanEnd passes over entropy-coded data: it ends at a marker that is neither a stuffed zero nor a restart.
func scanEnd(b []byte, at int) int {
	for at < len(b) {
		i := bytes.IndexByte(b[at:], 0xff)
		if i < 0 || at+i+1 >= len(b) {
			return len(b)
		}
		at += i
		if m := b[at+1]; m != 0 && (m < 0xd0 || m > 0xd7) {
			return at
		}
		at += 2
	}
	return at
}

// liveFrame finds the picture in the data of a live view: the camera's own head comes before it, padding may come after.
func liveFrame(b []byte) ([]byte, error) {
	const longestHead = 4096
	start := bytes.Index(b[:min(len(b), longestHead)], []byte{0xff, 0xd8, 0xff})
	if start < 0 {
		return nil, fmt.Errorf("finding the picture in a live view frame of %d bytes: %w", len(b), ErrNotJPEG)
	}
	end, err := jpegEnd(b[start:])
	if err != nil {
		return nil, err
	}
	return b[start : start+end], nil
}
