package hidcode

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Bounds of a report descriptor, so that no device takes memory or time without end. Real ones are far below.
const (
	maxDescriptor = 4096 // bytes
	maxFields     = 512
	maxUsages     = 512 // of one main item
	maxDepth      = 16  // collections in collections, and pushed states
	maxReportBits = 8 * 1024
)

// usage is a usage with its page in the upper half (HID 1.11, clause 6.2.2.8).
type usage uint32

func (u usage) page() uint16 { return uint16(u >> 16) }

// usages is a range of usages, ends included.
type usages struct{ first, last usage }

// field is what one Input item lays down: count elements of size bits, one after the other.
type field struct {
	report      uint8 // report ID; 0 where the device has none
	offset      int   // bits from the start of the report, its ID byte not counted
	size, count int
	constant    bool
	variable    bool // each element has a usage of its own; else each holds the number of a usage
	usages      []usages
	application usage // of the collection around it
}

// has reports the first element with a usage, and how many in a row have it.
func (f field) has(want usage) (first, n int) {
	if !f.variable || f.constant {
		return 0, 0
	}
	for i := range f.count {
		switch {
		case f.usage(i) == want && n == 0:
			first, n = i, 1
		case f.usage(i) == want:
			n++
		case n > 0:
			return first, n
		}
	}
	return first, n
}

// usage is the usage of an element of a variable field: the last one stands for all that follow it.
func (f field) usage(element int) usage {
	for _, r := range f.usages {
		n := int(r.last-r.first) + 1
		if element < n {
			return r.first + usage(element)
		}
		element -= n
	}
	if len(f.usages) == 0 {
		return 0
	}
	return f.usages[len(f.usages)-1].last
}

// descriptor is what a report descriptor says of input reports.
type descriptor struct {
	numbered bool // reports begin with their ID
	fields   []field
	bits     map[uint8]int // length of each input report, without the ID byte
}

// size is the length of a report in bytes, with its ID; 0 where there is no such report.
func (d descriptor) size(report uint8) int {
	bits, ok := d.bits[report]
	if !ok {
		return 0
	}
	n := (bits + 7) / 8
	if d.numbered {
		n++
	}
	return n
}

// The items of a report descriptor: type and tag in the place that the prefix has for them (clauses 6.2.2.4, 6.2.2.7, 6.2.2.8).
const (
	itemInput         = 0x80
	itemOutput        = 0x90
	itemFeature       = 0xb0
	itemCollection    = 0xa0
	itemEndCollection = 0xc0

	itemUsagePage   = 0x04
	itemReportSize  = 0x74
	itemReportID    = 0x84
	itemReportCount = 0x94
	itemPush        = 0xa4
	itemPop         = 0xb4

	itemUsage        = 0x08
	itemUsageMinimum = 0x18
	itemUsageMaximum = 0x28

	itemLong = 0xfe
)

// global is the item state that lasts from one main item to the next.
type global struct {
	page        uint16
	size, count int
	report      uint8
}

// local is the item state that one main item uses up.
type local struct {
	usages  []mention
	minimum *mention
}

// mention is a usage, or a range of them, as it was written: with its page, or with the page that holds at the main item.
type mention struct {
	first, last uint32
	paged       bool
}

type parser struct {
	global
	local
	stack       []global
	collections []usage // the application collection's usage, for each open collection
	out         descriptor
}

// parseDescriptor reads a report descriptor (HID 1.11, clause 6.2.2).
func parseDescriptor(b []byte) (descriptor, error) {
	if len(b) > maxDescriptor {
		return descriptor{}, fmt.Errorf("parsing the report descriptor: it has %d bytes, more than %d", len(b), maxDescriptor)
	}
	p := parser{out: descriptor{bits: map[uint8]int{}}}
	for at := 0; at < len(b); {
		prefix := b[at]
		size := int(prefix & 3)
		if size == 3 {
			size = 4
		}
		if prefix == itemLong { // none is defined: passed over
			if at+3 > len(b) {
				return descriptor{}, errCut
			}
			size = 2 + int(b[at+1])
		}
		at++
		if at+size > len(b) {
			return descriptor{}, errCut
		}
		if prefix != itemLong {
			if err := p.item(prefix&0xfc, b[at:at+size]); err != nil {
				return descriptor{}, fmt.Errorf("parsing the report descriptor at byte %d: %w", at-1, err)
			}
		}
		at += size
	}
	if len(p.collections) > 0 {
		return descriptor{}, errors.New("parsing the report descriptor: a collection has no end")
	}
	return p.out, nil
}

var errCut = errors.New("parsing the report descriptor: its last item is cut off")

func (p *parser) item(kind byte, data []byte) error {
	var wide [4]byte
	copy(wide[:], data)
	value := binary.LittleEndian.Uint32(wide[:])
	switch kind {
	case itemUsagePage:
		if value > 0xffff {
			return errors.New("a usage page of more than 16 bits")
		}
		p.page = uint16(value)
	case itemReportSize, itemReportCount:
		if value > maxReportBits {
			return errors.New("a report beyond all bounds")
		}
		if kind == itemReportSize {
			p.size = int(value)
		} else {
			p.count = int(value)
		}
	case itemReportID:
		return p.number(value)
	case itemPush:
		if len(p.stack) == maxDepth {
			return errors.New("too many pushed states")
		}
		p.stack = append(p.stack, p.global)
	case itemPop:
		if len(p.stack) == 0 {
			return errors.New("a pop without a push")
		}
		p.global, p.stack = p.stack[len(p.stack)-1], p.stack[:len(p.stack)-1]
	case itemUsage, itemUsageMinimum, itemUsageMaximum:
		return p.mention(kind, mention{value, value, len(data) == 4})
	case itemInput, itemOutput, itemFeature, itemCollection, itemEndCollection:
		err := p.main(kind, value)
		p.local = local{}
		return err
	}
	return nil
}

// number begins the report with an ID. Once one report has an ID, all have.
func (p *parser) number(id uint32) error {
	if id == 0 || id > 0xff {
		return errors.New("a report ID that is none")
	}
	if !p.out.numbered && len(p.out.fields) > 0 {
		return errors.New("a report ID after fields without one")
	}
	p.report, p.out.numbered = uint8(id), true
	return nil
}

// mention notes a usage, or the end of a range of usages.
func (p *parser) mention(kind byte, m mention) error {
	if len(p.usages) == maxUsages {
		return errors.New("too many usages")
	}
	switch kind {
	case itemUsage:
		p.usages = append(p.usages, m)
	case itemUsageMinimum:
		p.minimum = &m
	case itemUsageMaximum:
		if p.minimum == nil || m.first < p.minimum.first || m.paged != p.minimum.paged || m.first>>16 != p.minimum.first>>16 {
			return errors.New("a range of usages that has no beginning")
		}
		p.usages = append(p.usages, mention{p.minimum.first, m.last, m.paged})
		p.minimum = nil
	}
	return nil
}

func (p *parser) main(kind byte, value uint32) error {
	switch kind {
	case itemCollection:
		return p.collect(value)
	case itemEndCollection:
		if len(p.collections) == 0 {
			return errors.New("the end of a collection that has no beginning")
		}
		p.collections = p.collections[:len(p.collections)-1]
	case itemInput:
		return p.input(value)
	}
	return nil
}

// collect opens a collection. Collections inside an application collection belong to it.
func (p *parser) collect(kind uint32) error {
	if len(p.collections) == maxDepth {
		return errors.New("too many collections in each other")
	}
	const application = 1
	var around usage
	if len(p.collections) > 0 {
		around = p.collections[len(p.collections)-1]
	}
	if kind == application {
		around = 0
		if named := p.resolve(); len(named) > 0 {
			around = named[0].first
		}
	}
	p.collections = append(p.collections, around)
	return nil
}

// resolve gives the usages of a main item their pages.
func (p *parser) resolve() []usages {
	var list []usages
	for _, m := range p.usages {
		page := usage(0)
		if !m.paged {
			page = usage(p.page) << 16
		}
		list = append(list, usages{page | usage(m.first), page | usage(m.last)})
	}
	return list
}

// input adds a field to its report.
func (p *parser) input(flags uint32) error {
	if p.size*p.count == 0 {
		return nil
	}
	if len(p.collections) == 0 {
		return errors.New("a field outside of any collection")
	}
	at := p.out.bits[p.report]
	if p.size > maxReportBits/p.count || at+p.size*p.count > maxReportBits {
		return errors.New("a report beyond all bounds")
	}
	if len(p.out.fields) == maxFields {
		return errors.New("too many fields")
	}
	p.out.fields = append(p.out.fields, field{report: p.report, offset: at, size: p.size, count: p.count, constant: flags&1 != 0,
		variable: flags&2 != 0, usages: p.resolve(), application: p.collections[len(p.collections)-1]})
	p.out.bits[p.report] = at + p.size*p.count
	return nil
}
