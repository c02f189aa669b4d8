// Package hid reads what devices of the USB Human Interface Device class say of themselves and of their reports (Device Class
// Definition for HID 1.11).
//
// The one idea: a report descriptor says where in a report the elements with a usage lie and what their values mean, and a driver
// asks for usages and never for bytes.
package hid

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Bounds of a report descriptor, so that no device takes memory or time without end. Real ones are far below.
const (
	MaxDescriptor = 4096 // bytes
	maxFields     = 512
	maxUsages     = 512 // of one main item
	maxDepth      = 16  // collections in collections, and pushed states
	maxReportBits = 8 * 1024
)

// Usage is a usage with its page in the upper half (HID 1.11, clause 6.2.2.8).
type Usage uint32

// Page is the usage's page.
func (u Usage) Page() uint16 { return uint16(u >> 16) }

// Usages is a range of usages, ends included.
type Usages struct{ First, Last Usage }

// Field is what one Input item lays down: Count elements of Size bits, one after the other.
type Field struct {
	Report      uint8 // report ID; 0 where the device has none
	Offset      int   // bits from the start of the report, its ID byte not counted
	Size, Count int
	Constant    bool
	Variable    bool // each element has a usage of its own; else each holds the number of a usage
	Usages      []Usages
	Application Usage // of the collection around it
	Logical     Range // of the values that mean something
	Physical    Range // what they stand for, in Unit; the same as Logical where the device does not tell
	Unit        Unit
}

// Range is what a value is in, ends included.
type Range struct{ Min, Max int }

// Unit is what a physical value is measured in (clause 6.2.2.7): the Unit item, and the power of ten of the Unit Exponent item.
type Unit struct {
	Code     uint32
	Exponent int
}

// Hundredths is how many hundredths of a millimetre a length of one is; ok is false where the unit is no length.
func (u Unit) Hundredths() (n float64, ok bool) {
	const centimetre, inch = 0x11, 0x13 // SI linear and English linear, length to the power of one
	switch u.Code {
	case centimetre:
		return 1000 * math.Pow10(u.Exponent), true
	case inch:
		return 2540 * math.Pow10(u.Exponent), true
	}
	return 0, false
}

// has reports the first element with a usage, and how many in a row have it.
func (f Field) has(want Usage) (first, n int) {
	if !f.Variable || f.Constant {
		return 0, 0
	}
	for i := range f.Count {
		switch {
		case f.Usage(i) == want && n == 0:
			first, n = i, 1
		case f.Usage(i) == want:
			n++
		case n > 0:
			return first, n
		}
	}
	return first, n
}

// Usage is the usage of an element of a variable field: the last one stands for all that follow it.
func (f Field) Usage(element int) Usage {
	for _, r := range f.Usages {
		n := int(r.Last-r.First) + 1
		if element < n {
			return r.First + Usage(element)
		}
		element -= n
	}
	if len(f.Usages) == 0 {
		return 0
	}
	return f.Usages[len(f.Usages)-1].Last
}

// Descriptor is what a report descriptor says of input reports.
type Descriptor struct {
	Numbered bool // reports begin with their ID
	Fields   []Field
	Bits     map[uint8]int // length of each input report, without the ID byte
}

// Size is the length of a report in bytes, with its ID; 0 where there is no such report.
func (d Descriptor) Size(report uint8) int {
	bits, ok := d.Bits[report]
	if !ok {
		return 0
	}
	n := (bits + 7) / 8
	if d.Numbered {
		n++
	}
	return n
}

// Room is the length of the longest report.
func (d Descriptor) Room() int {
	most := 0
	for id := range d.Bits {
		most = max(most, d.Size(id))
	}
	return most
}

// Split takes a report that a device sent apart: its ID, 0 where reports have none, and what follows it. A report that was not
// announced or is not as long as announced is an error.
func (d Descriptor) Split(report []byte) (id uint8, body []byte, err error) {
	if d.Numbered && len(report) > 0 {
		id = report[0]
	}
	size := d.Size(id)
	switch {
	case size == 0:
		return 0, nil, fmt.Errorf("reading a report: the device announced none with ID %d (hint: it announced %v)", id, slices.Sorted(maps.Keys(d.Bits)))
	case len(report) != size:
		return 0, nil, fmt.Errorf("reading report %d: %d bytes and not %d", id, len(report), size)
	case d.Numbered:
		return id, report[1:], nil
	}
	return id, report, nil
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
	itemLogicalMin  = 0x14
	itemLogicalMax  = 0x24
	itemPhysicalMin = 0x34
	itemPhysicalMax = 0x44
	itemExponent    = 0x54
	itemUnit        = 0x64
	itemPush        = 0xa4
	itemPop         = 0xb4

	itemUsage        = 0x08
	itemUsageMinimum = 0x18
	itemUsageMaximum = 0x28

	itemLong = 0xfe
)

// global is the item state that lasts from one main item to the next.
type global struct {
	page              uint16
	size, count       int
	report            uint8
	logical, physical bounds
	unit              Unit
}

// bounds are the ends of a range as they were written: many devices write a maximum without a sign in as few bytes as it takes.
type bounds struct {
	min, max int32
	unsigned uint32 // max, without a sign
}

func (b bounds) resolved() Range {
	if b.max < b.min {
		return Range{int(b.min), int(b.unsigned)}
	}
	return Range{int(b.min), int(b.max)}
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
	collections []Usage // the application collection's usage, for each open collection
	out         Descriptor
}

// Parse reads a report descriptor (HID 1.11, clause 6.2.2).
func Parse(b []byte) (Descriptor, error) {
	if len(b) > MaxDescriptor {
		return Descriptor{}, fmt.Errorf("parsing the report descriptor: it has %d bytes, more than %d", len(b), MaxDescriptor)
	}
	p := parser{out: Descriptor{Bits: map[uint8]int{}}}
	for at := 0; at < len(b); {
		prefix := b[at]
		size := int(prefix & 3)
		if size == 3 {
			size = 4
		}
		if prefix == itemLong { // none is defined: passed over
			if at+3 > len(b) {
				return Descriptor{}, errCut
			}
			size = 2 + int(b[at+1])
		}
		at++
		if at+size > len(b) {
			return Descriptor{}, errCut
		}
		if prefix != itemLong {
			if err := p.item(prefix&0xfc, b[at:at+size]); err != nil {
				return Descriptor{}, fmt.Errorf("parsing the report descriptor at byte %d: %w", at-1, err)
			}
		}
		at += size
	}
	if len(p.collections) > 0 {
		return Descriptor{}, errors.New("parsing the report descriptor: a collection has no end")
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
	case itemLogicalMin, itemLogicalMax, itemPhysicalMin, itemPhysicalMax, itemExponent, itemUnit:
		p.measure(kind, value, len(data))
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

// measure notes what the values of the coming fields mean.
func (p *parser) measure(kind byte, value uint32, size int) {
	signed := int32(value)
	switch size {
	case 1:
		signed = int32(int8(value))
	case 2:
		signed = int32(int16(value))
	}
	switch kind {
	case itemLogicalMin:
		p.logical.min = signed
	case itemLogicalMax:
		p.logical.max, p.logical.unsigned = signed, value
	case itemPhysicalMin:
		p.physical.min = signed
	case itemPhysicalMax:
		p.physical.max, p.physical.unsigned = signed, value
	case itemExponent: // a half byte with a sign
		p.unit.Exponent = int(int8(value<<4)) >> 4
	case itemUnit:
		p.unit.Code = value
	}
}

// number begins the report with an ID. Once one report has an ID, all have.
func (p *parser) number(id uint32) error {
	if id == 0 || id > 0xff {
		return errors.New("a report ID that is none")
	}
	if !p.out.Numbered && len(p.out.Fields) > 0 {
		return errors.New("a report ID after fields without one")
	}
	p.report, p.out.Numbered = uint8(id), true
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
	var around Usage
	if len(p.collections) > 0 {
		around = p.collections[len(p.collections)-1]
	}
	if kind == application {
		around = 0
		if named := p.resolve(); len(named) > 0 {
			around = named[0].First
		}
	}
	p.collections = append(p.collections, around)
	return nil
}

// resolve gives the usages of a main item their pages.
func (p *parser) resolve() []Usages {
	var list []Usages
	for _, m := range p.usages {
		page := Usage(0)
		if !m.paged {
			page = Usage(p.page) << 16
		}
		list = append(list, Usages{page | Usage(m.first), page | Usage(m.last)})
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
	at := p.out.Bits[p.report]
	if p.size > maxReportBits/p.count || at+p.size*p.count > maxReportBits {
		return errors.New("a report beyond all bounds")
	}
	if len(p.out.Fields) == maxFields {
		return errors.New("too many fields")
	}
	f := Field{Report: p.report, Offset: at, Size: p.size, Count: p.count, Constant: flags&1 != 0, Variable: flags&2 != 0,
		Usages: p.resolve(), Application: p.collections[len(p.collections)-1], Logical: p.logical.resolved(), Physical: p.physical.resolved(), Unit: p.unit}
	if f.Physical == (Range{}) {
		f.Physical = f.Logical
	}
	p.out.Fields = append(p.out.Fields, f)
	p.out.Bits[p.report] = at + p.size*p.count
	return nil
}
