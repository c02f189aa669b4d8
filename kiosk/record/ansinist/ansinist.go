// Package ansinist writes and reads the traditional encoding of ANSI/NIST-ITL, "Data Format for the Interchange of Fingerprint,
// Facial & Other Biometric Information" (NIST Special Publication 500-290, edition 3: ANSI/NIST-ITL 1-2011 Update 2015).
//
// The one idea: a file is a list of records and a record a list of numbered fields, whatever its type; a table of rules says what
// each edition of the standard demands of them. The reader refuses a file with the rule and the edition that it breaks, and the
// writer writes nothing that the reader would refuse. It writes version 0502; it reads every edition since 1993.
package ansinist

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// Separators of the traditional encoding (Annex B).
const (
	FS = 0x1c // ends a record
	GS = 0x1d // between fields
	RS = 0x1e // between subfields
	US = 0x1f // between information items
)

// MaxFile bounds what is read and written, in bytes.
const MaxFile = 64 << 20

// imageField is the number of the field that holds the image of a tagged record. It is the last one.
const imageField = 999

// Version is the content of field 1.002: the edition that a file follows. Later editions compare as greater.
type Version string

// The editions.
const (
	V1993 Version = "0200"
	V1997 Version = "0201"
	V2000 Version = "0300"
	V2007 Version = "0400"
	V2011 Version = "0500"
	V2013 Version = "0501"
	V2015 Version = "0502"
)

// Edition names the standard that a version stands for; empty where there is none. ANSI/NIST-ITL 2-2008 is the XML form of
// 2007's content and shares its number.
func (v Version) Edition() string {
	return map[Version]string{
		V1993: "ANSI/NIST-CSL 1-1993", V1997: "ANSI/NIST-ITL 1a-1997", V2000: "ANSI/NIST-ITL 1-2000", V2007: "ANSI/NIST-ITL 1-2007",
		V2011: "ANSI/NIST-ITL 1-2011", V2013: "ANSI/NIST-ITL 1-2011 Update 2013", V2015: "ANSI/NIST-ITL 1-2011 Update 2015",
	}[v]
}

// File is one transaction. The first record is of Type 1.
type File struct {
	Version Version
	Records []Record
}

// Record is one logical record. It redacts itself in logs.
type Record struct {
	Type   int
	Fields []Field // in the order of the file; the image is not among them
	Image  []byte  // field 999 of a tagged record, the last field of a binary one; nil where there is none
}

// Field is one field. The header of a binary record (Types 3 to 8) is given as fields too, under the numbers that Update 2013
// gave them, with numbers as decimal digits.
type Field struct {
	Number int
	Value  []byte // subfields and items with their separators
}

// Text makes a field of text.
func Text(number int, value string) Field { return Field{number, []byte(value)} }

// Subfields takes a field apart: its subfields, and the information items of each.
func (f Field) Subfields() [][]string {
	var list [][]string
	for _, sub := range bytes.Split(f.Value, []byte{RS}) {
		var items []string
		for _, item := range bytes.Split(sub, []byte{US}) {
			items = append(items, string(item))
		}
		list = append(list, items)
	}
	return list
}

// Field finds a field by its number.
func (r Record) Field(number int) (Field, bool) {
	i := slices.IndexFunc(r.Fields, func(f Field) bool { return f.Number == number })
	if i < 0 {
		return Field{}, false
	}
	return r.Fields[i], true
}

// Int reads a field that is one number.
func (r Record) Int(number int) (int, bool) {
	f, ok := r.Field(number)
	if !ok {
		return 0, false
	}
	return digits(f.Value)
}

// IDC is the record's information designation character (field 002). A Type-1 record has none and gives 0.
func (r Record) IDC() int {
	if r.Type == 1 {
		return 0
	}
	n, _ := r.Int(2)
	return n
}

// LogValue keeps the content out of logs.
func (r Record) LogValue() slog.Value {
	return slog.StringValue(fmt.Sprintf("Type-%d record, redacted", r.Type))
}

// String keeps the content out of formatted output.
func (r Record) String() string { return r.LogValue().String() }

// GoString keeps the content out of %#v.
func (r Record) GoString() string { return r.String() }

// Name is the mnemonic of a field, "HLL"; empty where the standard has none or this package does not know it.
func Name(kind, number int) string {
	for _, r := range rules(kind) {
		if r.number == number {
			return r.name
		}
	}
	if number == ImageField(kind) {
		return "DATA"
	}
	return ""
}

// ImageField is the number of the field that [Record]'s Image stands for; 0 for types without images.
func ImageField(kind int) int {
	switch {
	case kind >= 10:
		return imageField
	case kind >= 3 && kind <= 6:
		return 9
	}
	return map[int]int{7: 3, 8: 8}[kind]
}

// Error is a rule that a file breaks. It never holds what a text field says.
type Error struct {
	Version Version // of the file; empty where it breaks a rule before it says so
	Record  int     // from 1
	Type    int
	Field   int   // 0 for the record as a whole
	Offset  int64 // of the record in the file, in bytes
	Rule    string
}

// Error names the place, the rule and the edition.
func (e *Error) Error() string {
	return fmt.Sprintf("reading an ANSI/NIST file: %s: %s (a rule of %s)", e.Place(), e.Rule, e.Edition())
}

// Edition names the edition whose rule it is.
func (e *Error) Edition() string {
	if edition := e.Version.Edition(); edition != "" {
		return edition
	}
	return "every edition of ANSI/NIST-ITL"
}

// Place names the record and the field.
func (e *Error) Place() string {
	where := fmt.Sprintf("record %d (Type-%d, at byte %d)", e.Record, e.Type, e.Offset)
	if e.Field > 0 {
		where += strings.TrimSuffix(fmt.Sprintf(", field %d.%03d %s", e.Type, e.Field, Name(e.Type, e.Field)), " ")
	}
	return where
}

// digits reads a number that is written in nothing but digits.
func digits[T ~string | ~[]byte](s T) (int, bool) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(string(s))
	return n, err == nil && len(s) <= 10
}
