package ansinist

import (
	"slices"
	"unicode/utf8"
)

// Indices of character sets in 1.015 DCS (table 4 of Update 2015).
const (
	setASCII = 0
	setUTF8  = 3
)

// characters holds the texts of a record to the character sets that 1.015 DCS names beside 7-bit ASCII. Fields that users define may
// hold anything in records of images.
func (p *parser) characters(c scope) error {
	if c.record.Type != 2 && c.record.Type < 10 {
		return nil
	}
	sets := c.file.sets()
	for _, f := range c.record.Fields {
		ours := c.record.Type > 2 && f.Number >= 200 && f.Number < 900
		switch {
		case ours || ascii(f.Value):
		case len(sets) == 0:
			return p.fail(f.Number, "it must be of 7-bit characters, since field 1.015 DCS names no other character set")
		case len(sets) == 1 && sets[0] == setUTF8 && !utf8.Valid(f.Value):
			return p.fail(f.Number, "it must be UTF-8, the only character set that field 1.015 DCS names, and is not")
		}
	}
	return nil
}

// sets lists the character sets that a file names, without ASCII.
func (f File) sets() []int {
	field, _ := f.Records[0].Field(15)
	var list []int
	for _, items := range field.Subfields() {
		if n, ok := digits(items[0]); ok && items[0] != "" && n != setASCII && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}
