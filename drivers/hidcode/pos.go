package hidcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"loket/drivers"
)

// Usages of point-of-sale scanners (HID Point of Sale Usage Tables 1.02, clause 3) and the byte count that they borrow from the
// Generic Desktop page (HID Usage Tables 1.4, clause 4).
const (
	pageScanner = 0x8c

	usageByteCount     usage = 0x01_003b
	usageSymbology1    usage = pageScanner<<16 | 0xfb
	usageSymbology2    usage = pageScanner<<16 | 0xfc
	usageSymbology3    usage = pageScanner<<16 | 0xfd
	usageDecodedData   usage = pageScanner<<16 | 0xfe
	usageDataContinued usage = pageScanner<<16 | 0xff
)

// slot is where elements with one usage lie in a report.
type slot struct{ offset, size, count int }

// element reads the i-th element: little-endian, from the lowest bit.
func (s slot) element(report []byte, i int) uint32 {
	var v uint32
	at := s.offset + i*s.size
	for bit := range s.size {
		if report[(at+bit)/8]&(1<<((at+bit)%8)) != 0 {
			v |= 1 << bit
		}
	}
	return v
}

// slot finds the elements of a report with a usage; those after the first gap are left out.
func (d descriptor) slot(report uint8, want usage) (slot, bool) {
	for _, f := range d.fields {
		if f.report != report || f.size > 32 {
			continue
		}
		if first, n := f.has(want); n > 0 {
			return slot{f.offset + first*f.size, f.size, n}, true
		}
	}
	return slot{}, false
}

// scanned is the layout of a report with decoded data.
type scanned struct {
	data      slot
	count     slot // of one element; of none where the report has no byte count
	more      slot // the same
	symbology []slot
}

// part is what one report brings.
type part struct {
	data      []byte
	symbology string
	more      bool
}

// scanner assembles codes from the reports of a point-of-sale scanner.
type scanner struct {
	descriptor
	reports map[uint8]scanned

	begun     bool
	data      []byte
	symbology string
	tooLong   bool
}

// newScanner finds the reports with decoded data; false where there are none.
func newScanner(d descriptor) (*scanner, bool) {
	s := &scanner{descriptor: d, reports: map[uint8]scanned{}}
	for _, f := range d.fields {
		if f.application.page() != pageScanner {
			continue
		}
		var l scanned
		var ok bool
		if l.data, ok = d.slot(f.report, usageDecodedData); !ok || l.data.size != 8 {
			continue
		}
		l.count, _ = d.slot(f.report, usageByteCount)
		l.more, _ = d.slot(f.report, usageDataContinued)
		for _, u := range []usage{usageSymbology1, usageSymbology2, usageSymbology3} {
			if at, ok := d.slot(f.report, u); ok && at.size == 8 {
				l.symbology = append(l.symbology, at)
			}
		}
		s.reports[f.report] = l
	}
	return s, len(s.reports) > 0
}

// room is the length of the longest report.
func (s *scanner) room() int {
	most := 0
	for id := range s.bits {
		most = max(most, s.size(id))
	}
	return most
}

// pending reports whether a code has begun and not ended.
func (s *scanner) pending() bool { return s.begun }

// reset forgets the code that has begun.
func (s *scanner) reset() { s.begun, s.data, s.symbology, s.tooLong = false, nil, "", false }

// silent is what a scanner does that stops in the middle of a code: it has failed.
func (s *scanner) silent() ([]message, error) {
	return nil, fmt.Errorf("waiting for the rest of a code: %w", context.DeadlineExceeded)
}

// take takes a report.
func (s *scanner) take(report []byte) ([]message, error) {
	id := uint8(0)
	if s.numbered && len(report) > 0 {
		id = report[0]
	}
	size := s.size(id)
	switch {
	case size == 0:
		return nil, fmt.Errorf("reading a report: the device announced none with ID %d (hint: it announced %v)", id, slices.Sorted(maps.Keys(s.bits)))
	case len(report) != size:
		return nil, fmt.Errorf("reading report %d: %d bytes and not %d", id, len(report), size)
	}
	layout, ok := s.reports[id]
	if !ok {
		return nil, nil // status and the like
	}
	if s.numbered {
		report = report[1:]
	}
	p, err := layout.decode(report)
	if err != nil {
		return nil, fmt.Errorf("reading report %d: %w", id, err)
	}
	return s.add(p)
}

// add puts a part behind those before it.
func (s *scanner) add(p part) ([]message, error) {
	if s.begun && p.symbology != s.symbology {
		return nil, errors.New("reading a code: its parts are of two symbologies")
	}
	s.begun, s.symbology = true, p.symbology
	if s.tooLong = s.tooLong || len(s.data)+len(p.data) > drivers.MaxCode; !s.tooLong {
		s.data = append(s.data, p.data...)
	}
	if p.more {
		return nil, nil
	}
	m := message{text: string(s.data), symbology: s.symbology}
	if s.tooLong {
		m = message{bad: errTooLong}
	}
	s.reset()
	return []message{m}, nil
}

// decode reads a report without its ID. The report has the length that the descriptor says.
func (l scanned) decode(report []byte) (part, error) {
	n := l.data.count
	if l.count.count > 0 {
		if n = int(l.count.element(report, 0)); n > l.data.count {
			return part{}, fmt.Errorf("it counts %d bytes of data and has room for %d", n, l.data.count)
		}
	}
	p := part{data: make([]byte, n), more: l.more.count > 0 && l.more.element(report, 0) != 0}
	for i := range p.data {
		p.data[i] = byte(l.data.element(report, i))
	}
	if l.count.count == 0 {
		p.data = bytes.TrimRight(p.data, "\x00")
	}
	var id []byte
	for _, at := range l.symbology {
		id = append(id, byte(at.element(report, 0)))
	}
	id = bytes.TrimRight(id, "\x00")
	if bytes.ContainsFunc(id, func(r rune) bool { return r < '!' || r > '~' }) {
		return part{}, errors.New("its symbology identifier is no text")
	}
	p.symbology = string(id)
	return p, nil
}
