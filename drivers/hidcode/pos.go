package hidcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"loket/drivers"
	"loket/drivers/hid"
)

// Usages of point-of-sale scanners (HID Point of Sale Usage Tables 1.02, clause 3) and the byte count that they borrow from the
// Generic Desktop page (HID Usage Tables 1.4, clause 4).
const (
	pageScanner = 0x8c

	usageByteCount     hid.Usage = 0x01_003b
	usageSymbology1    hid.Usage = pageScanner<<16 | 0xfb
	usageSymbology2    hid.Usage = pageScanner<<16 | 0xfc
	usageSymbology3    hid.Usage = pageScanner<<16 | 0xfd
	usageDecodedData   hid.Usage = pageScanner<<16 | 0xfe
	usageDataContinued hid.Usage = pageScanner<<16 | 0xff
)

// scanned is the layout of a report with decoded data.
type scanned struct {
	data      hid.Slot
	count     hid.Slot // of one element; of none where the report has no byte count
	more      hid.Slot // the same
	symbology []hid.Slot
}

// part is what one report brings.
type part struct {
	data      []byte
	symbology string
	more      bool
}

// scanner assembles codes from the reports of a point-of-sale scanner.
type scanner struct {
	hid.Descriptor
	reports map[uint8]scanned

	begun     bool
	data      []byte
	symbology string
	tooLong   bool
}

// newScanner finds the reports with decoded data; false where there are none.
func newScanner(d hid.Descriptor) (*scanner, bool) {
	s := &scanner{Descriptor: d, reports: map[uint8]scanned{}}
	for _, f := range d.Fields {
		if f.Application.Page() != pageScanner {
			continue
		}
		var l scanned
		var ok bool
		if l.data, _, ok = d.Slot(f.Report, usageDecodedData); !ok || l.data.Size != 8 {
			continue
		}
		l.count, _, _ = d.Slot(f.Report, usageByteCount)
		l.more, _, _ = d.Slot(f.Report, usageDataContinued)
		for _, u := range []hid.Usage{usageSymbology1, usageSymbology2, usageSymbology3} {
			if at, _, ok := d.Slot(f.Report, u); ok && at.Size == 8 {
				l.symbology = append(l.symbology, at)
			}
		}
		s.reports[f.Report] = l
	}
	return s, len(s.reports) > 0
}

// room is the length of the longest report.
func (s *scanner) room() int { return s.Room() }

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
	id, body, err := s.Split(report)
	if err != nil {
		return nil, err
	}
	layout, ok := s.reports[id]
	if !ok {
		return nil, nil // status and the like
	}
	p, err := layout.decode(body)
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
	n := l.data.Count
	if l.count.Count > 0 {
		if n = int(l.count.Element(report, 0)); n > l.data.Count {
			return part{}, fmt.Errorf("it counts %d bytes of data and has room for %d", n, l.data.Count)
		}
	}
	p := part{data: make([]byte, n), more: l.more.Count > 0 && l.more.Element(report, 0) != 0}
	for i := range p.data {
		p.data[i] = byte(l.data.Element(report, i))
	}
	if l.count.Count == 0 {
		p.data = bytes.TrimRight(p.data, "\x00")
	}
	var id []byte
	for _, at := range l.symbology {
		id = append(id, byte(at.Element(report, 0)))
	}
	id = bytes.TrimRight(id, "\x00")
	if bytes.ContainsFunc(id, func(r rune) bool { return r < '!' || r > '~' }) {
		return part{}, errors.New("its symbology identifier is no text")
	}
	p.symbology = string(id)
	return p, nil
}
