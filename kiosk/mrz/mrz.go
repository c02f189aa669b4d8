// Package mrz reads the machine readable zone of travel documents, as ICAO Doc 9303, eighth edition, 2021, lays it down: part 4
// for passports (TD3), part 5 for cards (TD1), part 6 for larger cards (TD2), part 3 for what they have in common.
//
// The one idea: a zone is right in every character or it is refused, with the line and the field that is wrong. Nothing is
// guessed: an O is never taken for a 0, and a filler never left out. An error never holds what the zone holds, so it may be
// logged; a [Document] keeps itself out of logs.
package mrz

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// Size is the size of a document, and with it the shape of its zone.
type Size string

// The sizes. Visas (part 7) are not among them.
const (
	TD1 Size = "TD1" // 3 lines of 30 characters
	TD2 Size = "TD2" // 2 lines of 36
	TD3 Size = "TD3" // 2 lines of 44
)

// Sex is what the document says.
type Sex string

// The sexes; in the zone they are F, M and a filler.
const (
	Female      Sex = "F"
	Male        Sex = "M"
	Unspecified Sex = "X"
)

// Document is what a zone says. It redacts itself wherever it is logged, formatted or marshalled.
type Document struct {
	Size        Size
	Code        string // kind of document: "P", "PD", "I", "AC", …
	Issuer      string // issuing State or organisation: a code of part 3, clause 5
	Number      string // of the document; fillers inside it stand for characters that the zone can't write
	Primary     string // primary identifier, mostly the surname; its parts are separated by spaces
	Secondary   string // secondary identifier, mostly given names; empty where there is none
	Truncated   bool   // the name fills its field: the rest of it may be missing
	Nationality string // a code of part 3, clause 5
	Birth       Date
	Sex         Sex
	Expiry      Date   // always whole
	Optional    string // first field for optional data, fillers at its end left out: TD3's personal number
	Optional2   string // second field for optional data, which only TD1 has
}

const redacted = "document, redacted"

// LogValue keeps the document out of logs.
func (Document) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format keeps the document out of formatted output, whatever the verb.
func (Document) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText keeps the document out of JSON.
func (Document) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Date is a date of which parts may be unknown; those are 0.
type Date struct{ Year, Month, Day int }

// Error says what is wrong with a zone. It holds nothing of what the zone says.
type Error struct {
	Line    int    // from 1; 0 for the zone as a whole
	Field   string // empty for a whole line
	Problem string
}

// Error names line, field and problem.
func (e *Error) Error() string {
	where := ""
	if e.Line > 0 {
		where = fmt.Sprintf("line %d: ", e.Line)
	}
	if e.Field != "" {
		where += e.Field + ": "
	}
	return "reading the machine readable zone: " + where + e.Problem
}

// shape is the shape of a zone's lines, and the letters with which the first begins.
type shape struct {
	lines, width int
	size         Size // empty for a visa
	begins       string
}

var shapes = []shape{{3, 30, TD1, "ACI"}, {2, 36, TD2, "ACI"}, {2, 44, TD3, "P"}, {2, 36, "", "V"}, {2, 44, "", "V"}}

// Lines tells how many lines a zone has that begins with this line; 0 where no zone does.
func Lines(first string) int {
	for _, s := range shapes {
		if len(first) == s.width && strings.Contains(s.begins, first[:1]) && strange(first) == 0 {
			return s.lines
		}
	}
	return 0
}

// Looks reports whether a text has the shape of a zone, and so is worth [Parse].
func Looks(text string) bool {
	lines := split(text)
	if n := Lines(lines[0]); n == 0 || len(lines) != n {
		return false
	}
	for _, line := range lines {
		if len(line) != len(lines[0]) || strange(line) != 0 {
			return false
		}
	}
	return true
}

// strange gives the position, from 1, of the first character that no zone holds; 0 where there is none.
func strange(line string) int {
	for i, r := range line {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '<' {
			return i + 1
		}
	}
	return 0
}

// split gives the lines of a text. A text that is as long as a whole zone and has no line breaks is cut into its lines.
func split(text string) []string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	text = strings.TrimSuffix(text, "\n")
	for _, s := range shapes {
		if len(text) == s.lines*s.width && !strings.Contains(text, "\n") {
			var lines []string
			for ; text != ""; text = text[s.width:] {
				lines = append(lines, text[:s.width])
			}
			return lines
		}
	}
	return strings.Split(text, "\n")
}

// Parse reads a zone: lines that end in CR, LF or both, or one text without line breaks. Years have two digits in it: a person
// was born in the last such year that is not after today, and a document expires within the 50 years before today's year or
// the 49 after it. All errors are an [*Error].
func Parse(text string, today time.Time) (Document, error) {
	lines := split(text)
	s, err := shapeOf(lines)
	if err != nil {
		return Document{}, err
	}
	z := zone{lines: lines, today: today}
	d := Document{Size: s.size}
	if s.size == TD1 {
		z.td1(&d)
	} else {
		z.td2or3(&d)
	}
	if z.err != nil {
		return Document{}, z.err
	}
	return d, nil
}

// shapeOf finds the shape of lines, and refuses what has none.
func shapeOf(lines []string) (shape, error) {
	for i, line := range lines {
		if at := strange(line); at > 0 {
			return shape{}, &Error{Line: i + 1, Problem: fmt.Sprintf("character %d is not one of A to Z, 0 to 9 and <", at)}
		}
	}
	known := false
	for _, s := range shapes {
		if len(lines[0]) != s.width || len(lines) != s.lines {
			continue
		}
		known = true
		for i, line := range lines {
			if len(line) != s.width {
				return shape{}, &Error{Line: i + 1, Problem: fmt.Sprintf("%d characters and not %d", len(line), s.width)}
			}
		}
		if !strings.Contains(s.begins, lines[0][:1]) {
			continue
		}
		if s.size == "" {
			return shape{}, &Error{Line: 1, Field: "document code", Problem: "this is a visa, and no travel document"}
		}
		return s, nil
	}
	if known {
		return shape{}, &Error{Line: 1, Field: "document code", Problem: "it belongs to no document of this size"}
	}
	return shape{}, &Error{Problem: fmt.Sprintf("%d lines, the first of %d characters: neither 3 of 30, 2 of 36 nor 2 of 44", len(lines), len(lines[0]))}
}
