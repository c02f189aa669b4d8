package ansinist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// part is one field of a binary record's header.
type part struct{ number, size int }

// header lists the fixed fields of a binary record behind LEN and IDC; ok is false where records of the type are tagged.
func header(kind int) (parts []part, ok bool) {
	switch kind {
	case 3, 4, 5, 6: // IMP, FGP, ISR, HLL, VLL, GCA or BCA
		return []part{{3, 1}, {4, 6}, {5, 1}, {6, 2}, {7, 2}, {8, 1}}, true
	case 7: // user-defined throughout
		return nil, true
	case 8: // SIG, SRT, ISR, HLL, VLL
		return []part{{3, 1}, {4, 1}, {5, 1}, {6, 2}, {7, 2}}, true
	}
	return nil, false
}

// maxItems bounds the information items of one field, each of which takes many times the memory of its separator: a bound of ours.
const maxItems = 1 << 16

// noFinger fills the places of FGP in a binary record that no finger needs.
const noFinger = 255

// Parse reads a file and holds it to the rules of the edition that it names. What it returns shares data's bytes. The error is
// an [*Error] but for files that are too large.
func Parse(data []byte) (File, error) {
	if len(data) > MaxFile {
		return File{}, fmt.Errorf("reading an ANSI/NIST file: %d bytes, at most %d are allowed", len(data), MaxFile)
	}
	p := &parser{data: data, record: 1, kind: 1, starts: []int{0}}
	first, err := p.tagged()
	if err != nil {
		return File{}, err
	}
	if p.version, err = p.edition(first); err != nil {
		return File{}, err
	}
	f := File{Version: p.version, Records: []Record{first}}
	content, err := p.content(first)
	if err != nil {
		return File{}, err
	}
	for _, c := range content {
		r, err := p.next(c)
		if err != nil {
			return File{}, err
		}
		f.Records = append(f.Records, r)
	}
	if p.at < len(data) {
		return File{}, p.fail(0, "nothing must follow the last record that field 1.003 CNT lists, and %d bytes do", len(data)-p.at)
	}
	return f, p.judge(f)
}

// parser walks a file.
type parser struct {
	data    []byte
	at      int
	version Version
	record  int // of the record in hand, from 1
	kind    int
	start   int
	starts  []int // of all records so far
}

func (p *parser) fail(field int, rule string, args ...any) error {
	return &Error{Version: p.version, Record: p.record, Type: p.kind, Field: field, Offset: int64(p.start), Rule: fmt.Sprintf(rule, args...)}
}

// edition reads field 1.002, which must be the second.
func (p *parser) edition(r Record) (Version, error) {
	if len(r.Fields) < 2 || r.Fields[1].Number != 2 {
		return "", p.fail(2, "it is mandatory and must be the second field of the file")
	}
	v := Version(r.Fields[1].Value)
	if v.Edition() == "" {
		return "", p.fail(2, "it must be one of 0200, 0201, 0300, 0400, 0500, 0501, 0502, and is none of them")
	}
	return v, nil
}

// entry is one line of the transaction's content: which record follows.
type entry struct{ kind, idc int }

// content reads field 1.003.
func (p *parser) content(r Record) ([]entry, error) {
	f, ok := r.Field(3)
	if !ok {
		return nil, p.fail(3, "it is mandatory")
	}
	subfields := f.Subfields()
	var list []entry
	for i, items := range subfields {
		if len(items) != 2 {
			return nil, p.fail(3, "each subfield must have two information items; subfield %d has %d", i+1, len(items))
		}
		kind, ok1 := digits(items[0])
		second, ok2 := digits(items[1])
		switch {
		case !ok1 || !ok2:
			return nil, p.fail(3, "its information items must be numbers; subfield %d has another", i+1)
		case i == 0 && (kind != 1 || second != len(subfields)-1):
			return nil, p.fail(3, "its first subfield must be 1 and the count of the others, %d, and is %d and %d", len(subfields)-1, kind, second)
		case i > 0 && second > 99:
			return nil, p.fail(3, "an IDC must lie between 0 and 99; subfield %d has %d", i+1, second)
		case i > 0 && !p.knows(kind):
			return nil, p.fail(3, "this edition has no records of Type %d; subfield %d lists one", kind, i+1)
		}
		list = append(list, entry{kind, second})
	}
	if len(list) < 2 {
		return nil, p.fail(3, "a transaction must have a record behind the first")
	}
	return list[1:], nil
}

// knows reports whether the edition has records of a type.
func (p *parser) knows(kind int) bool {
	since := map[int]Version{10: V1997, 13: V2000, 14: V2000, 15: V2000, 16: V2000, 17: V2007, 99: V2007,
		18: V2011, 19: V2011, 20: V2011, 21: V2011, 98: V2011, 11: V2013, 12: V2013, 22: V2013}
	switch {
	case kind == 3, kind == 5, kind == 6: // deprecated in 2011
		return p.version < V2011
	case kind >= 2 && kind <= 9:
		return true
	}
	v, ok := since[kind]
	return ok && p.version >= v
}

// next reads the record that the content announces.
func (p *parser) next(want entry) (Record, error) {
	p.record, p.kind, p.start = p.record+1, want.kind, p.at
	p.starts = append(p.starts, p.at)
	if p.at == len(p.data) {
		return Record{}, p.fail(0, "field 1.003 CNT lists it, and the file ends before it")
	}
	read := p.tagged
	if _, ok := header(want.kind); ok {
		read = p.binary
	}
	r, err := read()
	if err != nil {
		return Record{}, err
	}
	if n, ok := r.Int(2); len(r.Fields) < 2 || r.Fields[1].Number != 2 || !ok {
		return Record{}, p.fail(2, "it is mandatory, a number, and must be the second field of a record")
	} else if n != want.idc {
		return Record{}, p.fail(2, "it must be the IDC that field 1.003 CNT gives for this record, %d, and is %d", want.idc, n)
	}
	return r, nil
}

// tagged reads a record of numbered fields.
func (p *parser) tagged() (Record, error) {
	body, err := p.body()
	if err != nil {
		return Record{}, err
	}
	r := Record{Type: p.kind}
	var seen [imageField + 1]bool
	for {
		number, rest, err := p.tag(body)
		if err != nil {
			return Record{}, err
		}
		if seen[number] {
			return Record{}, p.fail(number, "a field must not occur twice")
		}
		seen[number] = true
		if number == imageField && p.kind >= 10 {
			r.Image = rest
			return r, p.last(rest)
		}
		value, after, more := bytes.Cut(rest, []byte{GS})
		if bytes.IndexByte(value, FS) >= 0 {
			return Record{}, p.fail(number, "FS must only end the record, and field %d.001 LEN says that it goes on", p.kind)
		}
		if n := bytes.Count(value, []byte{RS}) + bytes.Count(value, []byte{US}); n >= maxItems {
			return Record{}, p.fail(number, "at most %d information items are read of one field, and it has %d", maxItems, n+1)
		}
		r.Fields = append(r.Fields, Field{number, value})
		if !more {
			return r, nil
		}
		body = after
	}
}

// last finds a field behind the image.
func (p *parser) last(image []byte) error {
	i := bytes.LastIndexByte(image, GS)
	if i < 0 {
		return nil
	}
	if _, _, err := p.tag(image[i+1:]); err == nil {
		return p.fail(imageField, "it must be the last field of its record, and another follows")
	}
	return nil
}

// body finds the end of a tagged record by its LEN and gives all of it but the FS.
func (p *parser) body() ([]byte, error) {
	rest := p.data[p.at:]
	number, after, err := p.tag(rest)
	if err != nil {
		return nil, err
	}
	if number != 1 {
		return nil, p.fail(1, "it must be the first field of a record")
	}
	end := slices.IndexFunc(after[:min(len(after), 11)], func(b byte) bool { return b == GS || b == FS })
	if end < 0 {
		return nil, p.fail(1, "it must be a number of at most ten digits, ended by GS")
	}
	n, ok := digits(after[:end])
	switch {
	case !ok || end == 0:
		return nil, p.fail(1, "it must be a number")
	case n > len(rest):
		return nil, p.fail(1, "it must be the length of the record, and says %d bytes where %d are left in the file", n, len(rest))
	case n < len(rest)-len(after)+end+1 || rest[n-1] != FS:
		return nil, p.fail(1, "it must count every byte of the record up to its FS; no FS stands at the end of %d bytes", n)
	}
	p.at += n
	return rest[:n-1], nil
}

// tag reads "14.006:" and checks its type. Leading zeros of the number, or their absence, are of no account: 1.01 and 1.001 are
// one.
func (p *parser) tag(b []byte) (number int, rest []byte, err error) {
	colon := bytes.IndexByte(b[:min(len(b), 16)], ':')
	dot := bytes.IndexByte(b[:max(colon, 0)], '.')
	if dot < 0 {
		return 0, nil, p.fail(0, "each field must begin with the number of its type, a period, its own number and a colon")
	}
	kind, ok1 := digits(b[:dot])
	number, ok2 := digits(b[dot+1 : colon])
	switch {
	case !ok1 || !ok2 || dot == 0 || number < 1 || number > imageField:
		return 0, nil, p.fail(0, "a field's number must be its type, a period and a number from 1 to 999")
	case kind != p.kind:
		return 0, nil, p.fail(0, "a record of this type must stand here; a field of Type %d does", kind)
	}
	return number, b[colon+1:], nil
}

// binary reads a record with a header of fixed size.
func (p *parser) binary() (Record, error) {
	rest := p.data[p.at:]
	parts, _ := header(p.kind)
	size := 5
	for _, f := range parts {
		size += f.size
	}
	if len(rest) < size {
		return Record{}, p.fail(1, "a record of this type has a header of %d bytes, and %d are left in the file", size, len(rest))
	}
	n := int(binary.BigEndian.Uint32(rest))
	if n < size || n > len(rest) {
		return Record{}, p.fail(1, "it must be the length of the record, %d to %d bytes here, and is %d", size, len(rest), n)
	}
	r := Record{Type: p.kind, Fields: []Field{Text(1, fmt.Sprint(n)), Text(2, fmt.Sprint(rest[4]))}, Image: rest[size:n]}
	at := 5
	for _, f := range parts {
		value, err := p.number(f, rest[at:at+f.size])
		if err != nil {
			return Record{}, err
		}
		r.Fields, at = append(r.Fields, Text(f.number, value)), at+f.size
	}
	p.at += n
	return r, nil
}

// number writes a field of a binary header in digits. Six bytes are finger positions.
func (p *parser) number(f part, b []byte) (string, error) {
	switch f.size {
	case 1:
		return fmt.Sprint(b[0]), nil
	case 2:
		return fmt.Sprint(binary.BigEndian.Uint16(b)), nil
	}
	fingers := b
	for len(fingers) > 0 && fingers[len(fingers)-1] == noFinger {
		fingers = fingers[:len(fingers)-1]
	}
	if len(fingers) == 0 || bytes.IndexByte(fingers, noFinger) >= 0 {
		return "", p.fail(f.number, "it must give one position at least, and 255 only behind the last")
	}
	var out []byte
	for i, x := range fingers {
		if i > 0 {
			out = append(out, US)
		}
		out = fmt.Append(out, x)
	}
	return string(out), nil
}
