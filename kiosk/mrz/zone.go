package mrz

import (
	"strings"
	"time"
)

// zone is a zone on its way into a document: characters and the number of lines are right. Its first error stays.
type zone struct {
	lines []string
	today time.Time
	err   error
}

func (z *zone) fail(line int, field, problem string) {
	if z.err == nil {
		z.err = &Error{Line: line, Field: field, Problem: problem}
	}
}

// at gives the characters from and to which are counted as the standard does: from 1, both included.
func (z *zone) at(line, from, to int) string { return z.lines[line-1][from-1 : to] }

// td1 reads a card: part 5, clause 4.2.2.
func (z *zone) td1(d *Document) {
	z.head(d)
	d.Number, d.Optional = z.number(1, 6, 16, 30)
	d.Birth = z.birth(2, 1)
	d.Sex = z.sex(2, 8)
	d.Expiry = z.expiry(2, 9)
	d.Nationality = z.state(2, "nationality", z.at(2, 16, 18))
	d.Optional2 = strings.TrimRight(z.at(2, 19, 29), "<")
	z.name(d, 3, z.lines[2])
	z.check(2, "composite", 30, z.at(1, 6, 30)+z.at(2, 1, 7)+z.at(2, 9, 15)+z.at(2, 19, 29))
}

// td2or3 reads a passport (part 4, clause 4.2.2) or a larger card (part 6, clause 4.2.2), which differ in optional data only.
func (z *zone) td2or3(d *Document) {
	z.head(d)
	z.name(d, 1, z.lines[0][5:])
	width := len(z.lines[1])
	if d.Size == TD3 {
		d.Number = z.filled(2, "document number", z.at(2, 1, 9))
		z.check(2, "document number", 10, z.at(2, 1, 9))
		d.Optional = z.personal()
	} else {
		d.Number, d.Optional = z.number(2, 1, 29, 35)
	}
	d.Nationality = z.state(2, "nationality", z.at(2, 11, 13))
	d.Birth = z.birth(2, 14)
	d.Sex = z.sex(2, 21)
	d.Expiry = z.expiry(2, 22)
	z.check(2, "composite", width, z.at(2, 1, 10)+z.at(2, 14, 20)+z.at(2, 22, width-1))
}

// head reads the document code and the issuer.
func (z *zone) head(d *Document) {
	code := z.at(1, 1, 2)
	switch second := code[1]; {
	case second >= '0' && second <= '9':
		z.fail(1, "document code", "its second character is a digit")
	case second == 'V' && d.Size != TD3:
		z.fail(1, "document code", "its second character is V, which is kept for visas")
	}
	d.Code = strings.TrimRight(code, "<")
	d.Issuer = z.state(1, "issuing State", z.at(1, 3, 5))
}

// state reads a code of one to three letters.
func (z *zone) state(line int, field, code string) string {
	trimmed := strings.TrimRight(code, "<")
	if trimmed == "" || strings.ContainsAny(trimmed, "0123456789<") {
		z.fail(line, field, "it is no code of one to three letters")
	}
	return trimmed
}

// filled reads a field that must not be empty.
func (z *zone) filled(line int, field, value string) string {
	trimmed := strings.TrimRight(value, "<")
	if trimmed == "" {
		z.fail(line, field, "it is empty")
	}
	return trimmed
}

// number reads a document number that begins at a position and the optional data between two others. A number of more than
// nine characters has a filler in the place of its check digit, and goes on in the optional data: the rest of the number, its
// check digit, and a filler (part 5, clause 4.2.4, and part 6, clause 4.2.2).
func (z *zone) number(line, from, optional, last int) (number, rest string) {
	const field = "document number"
	begin, data := z.at(line, from, from+8), z.at(line, optional, last)
	if z.at(line, from+9, from+9) != "<" {
		z.check(line, field, from+9, begin)
		return z.filled(line, field, begin), strings.TrimRight(data, "<")
	}
	end := strings.IndexByte(data, '<')
	if end < 0 {
		z.fail(line, field, "it goes on in the optional data, and no filler ends it")
		return "", ""
	}
	if end < 2 || strings.HasSuffix(begin, "<") {
		z.fail(line, field, "its check digit is missing")
		return "", ""
	}
	number = begin + data[:end-1]
	z.compare(line, field, data[end-1], number)
	return number, strings.TrimRight(data[end:], "<")
}

// personal reads a passport's personal number, whose check digit may be a filler where there is none.
func (z *zone) personal() string {
	const field = "personal number"
	value := z.at(2, 29, 42)
	if strings.Trim(value, "<") != "" || z.at(2, 43, 43) != "<" {
		z.check(2, field, 43, value)
	}
	return strings.TrimRight(value, "<")
}

// name reads the name field: part 3, clauses 4.6 and 4.7.
func (z *zone) name(d *Document, line int, value string) {
	const field = "name"
	d.Truncated = !strings.HasSuffix(value, "<")
	primary, secondary, two := strings.Cut(strings.TrimRight(value, "<"), "<<")
	switch {
	case strings.ContainsAny(value, "0123456789"):
		z.fail(line, field, "it holds a digit")
	case primary == "", primary[0] == '<':
		z.fail(line, field, "it begins with a filler")
	case two && (secondary[0] == '<' || strings.Contains(secondary, "<<")):
		z.fail(line, field, "it has more than two parts, or too many fillers between them")
	}
	d.Primary = strings.ReplaceAll(primary, "<", " ")
	d.Secondary = strings.ReplaceAll(secondary, "<", " ")
}

func (z *zone) sex(line, at int) Sex {
	switch c := z.at(line, at, at); c {
	case "F", "M":
		return Sex(c)
	case "<":
		return Unspecified
	}
	z.fail(line, "sex", "it is none of F, M and <")
	return ""
}

// birth reads a date of birth and its check digit. What is unknown of it is fillers (part 3, clause 4.8).
func (z *zone) birth(line, at int) Date {
	const field = "date of birth"
	d := z.date(line, field, at)
	z.check(line, field, at+6, z.at(line, at, at+5))
	if d.Year < 0 {
		d.Year = 0
		z.exists(line, field, d)
		return d
	}
	d.Year += z.today.Year() / 100 * 100
	if time.Date(d.Year, time.Month(max(d.Month, 1)), max(d.Day, 1), 0, 0, 0, 0, z.today.Location()).After(z.today) {
		d.Year -= 100
	}
	z.exists(line, field, d)
	return d
}

// expiry reads a date of expiry and its check digit.
func (z *zone) expiry(line, at int) Date {
	const field = "date of expiry"
	d := z.date(line, field, at)
	z.check(line, field, at+6, z.at(line, at, at+5))
	if d.Year < 0 || d.Month == 0 || d.Day == 0 {
		z.fail(line, field, "a part of it is missing")
	}
	if z.err != nil {
		return Date{}
	}
	now := z.today.Year()
	d.Year += now / 100 * 100
	switch {
	case d.Year > now+49:
		d.Year -= 100
	case d.Year < now-50:
		d.Year += 100
	}
	z.exists(line, field, d)
	return d
}

// date reads year (of two digits, -1 where unknown), month and day.
func (z *zone) date(line int, field string, at int) Date {
	d := Date{Year: z.pair(line, field, at, 0, 99), Month: z.pair(line, field, at+2, 1, 12), Day: z.pair(line, field, at+4, 1, 31)}
	d.Month, d.Day = max(d.Month, 0), max(d.Day, 0)
	return d
}

// pair reads two digits within bounds, or two fillers as -1.
func (z *zone) pair(line int, field string, at, least, most int) int {
	s := z.at(line, at, at+1)
	if s == "<<" {
		return -1
	}
	tens, ones := s[0]-'0', s[1]-'0'
	n := int(tens)*10 + int(ones)
	if tens > 9 || ones > 9 || n < least || n > most {
		z.fail(line, field, "it is no date")
		return -1
	}
	return n
}

// exists refuses a day that its month does not have. Where the year is unknown the month has its most days.
func (z *zone) exists(line int, field string, d Date) {
	if d.Month == 0 || d.Day == 0 {
		return
	}
	if t := time.Date(d.Year, time.Month(d.Month), d.Day, 0, 0, 0, 0, time.UTC); t.Day() != d.Day {
		z.fail(line, field, "it is no date")
	}
}

// check compares the check digit at a position with the one that is right for a value.
func (z *zone) check(line int, field string, at int, value string) {
	z.compare(line, field, z.lines[line-1][at-1], value)
}

func (z *zone) compare(line int, field string, got byte, value string) {
	switch {
	case got < '0' || got > '9':
		z.fail(line, field, "its check digit is no digit")
	case got != digit(value):
		z.fail(line, field, "its check digit is wrong")
	}
}

// digit computes a check digit: weights 7, 3, 1 from the left, modulo 10 (part 3, clause 4.9).
func digit(value string) byte {
	weights := [3]int{7, 3, 1}
	sum := 0
	for i := range len(value) {
		v := 0
		switch c := value[i]; {
		case c >= '0' && c <= '9':
			v = int(c - '0')
		case c >= 'A' && c <= 'Z':
			v = int(c-'A') + 10
		}
		sum += v * weights[i%3]
	}
	return byte('0' + sum%10)
}
