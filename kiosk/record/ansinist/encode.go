package ansinist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// Encode writes a file. Each record's LEN, and of the first record VER and CNT, are computed; whatever Fields says of them is
// passed over. A file that [Parse] would refuse is not written.
func (f File) Encode() ([]byte, error) {
	if len(f.Records) == 0 || f.Records[0].Type != 1 {
		return nil, fmt.Errorf("writing an ANSI/NIST file: the first record must be of Type 1")
	}
	var out []byte
	for i, r := range f.Records {
		if i == 0 {
			r = f.first()
		}
		if _, ok := header(r.Type); !ok {
			out = appendTagged(out, r)
			continue
		}
		var err error
		if out, err = appendBinary(out, r); err != nil {
			clear(out)
			return nil, fmt.Errorf("writing an ANSI/NIST file: record %d: %w", i+1, err)
		}
	}
	if _, err := Parse(out); err != nil {
		clear(out)
		return nil, fmt.Errorf("writing an ANSI/NIST file: %w", err)
	}
	return out, nil
}

// first is the Type-1 record with VER and CNT as they must be.
func (f File) first() Record {
	content := []string{fmt.Sprintf("1%c%d", US, len(f.Records)-1)}
	for _, r := range f.Records[1:] {
		content = append(content, fmt.Sprintf("%d%c%02d", r.Type, US, r.IDC()))
	}
	fields := []Field{Text(2, string(f.Version)), Text(3, strings.Join(content, string(rune(RS))))}
	for _, x := range f.Records[0].Fields {
		if x.Number > 3 {
			fields = append(fields, x)
		}
	}
	return Record{Type: 1, Fields: fields}
}

// appendTagged writes "14.001:LEN GS 14.002:… FS". LEN counts its own digits.
func appendTagged(out []byte, r Record) []byte {
	size := len(fmt.Sprintf("%d.001:", r.Type))
	var fields []Field
	for _, f := range r.Fields {
		if f.Number > 1 {
			fields = append(fields, f)
			size += len(fmt.Sprintf("%c%d.%03d:", GS, r.Type, f.Number)) + len(f.Value)
		}
	}
	if r.Image != nil {
		fields = append(fields, Field{imageField, r.Image})
		size += len(fmt.Sprintf("%c%d.%03d:", GS, r.Type, imageField)) + len(r.Image)
	}
	size++ // FS
	total := size
	for total != size+len(fmt.Sprint(total)) {
		total = size + len(fmt.Sprint(total))
	}
	out = append(grow(out, total), fmt.Sprintf("%d.001:%d", r.Type, total)...)
	for _, f := range fields {
		out = append(fmt.Appendf(out, "%c%d.%03d:", GS, r.Type, f.Number), f.Value...)
	}
	return append(out, FS)
}

// grow makes room for n more bytes and wipes what it leaves behind.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	larger := append(make([]byte, 0, 2*cap(b)+n), b...)
	clear(b)
	return larger
}

// appendBinary writes a record with a header of fixed size.
func appendBinary(out []byte, r Record) ([]byte, error) {
	parts, _ := header(r.Type)
	head := []byte{0, 0, 0, 0, byte(r.IDC())}
	for _, f := range parts {
		value, ok := r.Field(f.number)
		if !ok {
			return out, fmt.Errorf("field %d.%03d %s is missing", r.Type, f.number, Name(r.Type, f.number))
		}
		b, err := number(value, f.size)
		if err != nil {
			return out, fmt.Errorf("field %d.%03d %s: %w", r.Type, f.number, Name(r.Type, f.number), err)
		}
		head = append(head, b...)
	}
	binary.BigEndian.PutUint32(head, uint32(len(head)+len(r.Image)))
	return append(append(grow(out, len(head)+len(r.Image)), head...), r.Image...), nil
}

// number turns digits into a field of a binary header.
func number(f Field, size int) ([]byte, error) {
	b := bytes.Repeat([]byte{noFinger}, size)
	items := f.Subfields()[0]
	if size == 2 {
		n, ok := digits(items[0])
		if !ok || n > 65535 {
			return nil, fmt.Errorf("it must be a number from 0 to 65535")
		}
		return binary.BigEndian.AppendUint16(nil, uint16(n)), nil
	}
	if len(items) > size {
		return nil, fmt.Errorf("it has room for %d items", size)
	}
	for i, item := range items {
		n, ok := digits(item)
		if !ok || n > 255 {
			return nil, fmt.Errorf("it must be a number from 0 to 255")
		}
		b[i] = byte(n)
	}
	return b, nil
}
