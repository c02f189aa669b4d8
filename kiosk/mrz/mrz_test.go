package mrz

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

var today = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// The specimens that Doc 9303 prints: parts 4, 5 and 6 in their appendices, and part 11, appendix D, for long numbers.
const (
	specimenTD3 = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10\n"
	specimenTD2 = "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nD231458907UTO7408122F1204159<<<<<<<6\n"
	specimenTD1 = "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<\n"
	longTD1     = "I<UTOD23145890<7349<<<<<<<<<<<\n3407127M9507122UTO<<<<<<<<<<<2\nSTEVENSON<<PETER<JOHN<<<<<<<<<\n"
	longTD2     = "I<UTOSTEVENSON<<PETER<JOHN<<<<<<<<<<\nD23145890<UTO3407127M95071227349<<<8\n"
)

var eriksson = Document{Code: "I", Issuer: "UTO", Number: "D23145890", Primary: "ERIKSSON", Secondary: "ANNA MARIA", Nationality: "UTO",
	Birth: Date{1974, 8, 12}, Sex: Female, Expiry: Date{2012, 4, 15}}

func with(d Document, change func(*Document)) Document {
	change(&d)
	return d
}

func TestPublishedSpecimensAreRead(t *testing.T) {
	stevenson := Document{Size: TD1, Code: "I", Issuer: "UTO", Number: "D23145890734", Primary: "STEVENSON", Secondary: "PETER JOHN",
		Nationality: "UTO", Birth: Date{1934, 7, 12}, Sex: Male, Expiry: Date{1995, 7, 12}}
	for name, c := range map[string]struct {
		text string
		want Document
	}{
		"a passport": {specimenTD3, with(eriksson, func(d *Document) {
			d.Size, d.Code, d.Number, d.Optional = TD3, "P", "L898902C3", "ZE184226B"
		})},
		"a card":                        {specimenTD1, with(eriksson, func(d *Document) { d.Size = TD1 })},
		"a larger card":                 {specimenTD2, with(eriksson, func(d *Document) { d.Size = TD2 })},
		"a long number on a card":       {longTD1, stevenson},
		"a long number on a large card": {longTD2, with(stevenson, func(d *Document) { d.Size = TD2 })},
	} {
		for how, text := range map[string]string{
			"lines": c.text, "no last line break": strings.TrimSuffix(c.text, "\n"), "carriage returns": strings.ReplaceAll(c.text, "\n", "\r"),
			"both": strings.ReplaceAll(c.text, "\n", "\r\n"), "one text": strings.ReplaceAll(c.text, "\n", ""),
		} {
			got, err := Parse(text, today)
			if err != nil || got != c.want {
				t.Errorf("%s as %s: %v; %s", name, how, err, plain(got))
			}
			if !Looks(text) {
				t.Errorf("%s as %s does not look like a zone", name, how)
			}
		}
	}
}

// plain shows a document of nobody.
func plain(d Document) string {
	type open Document
	return fmt.Sprintf("%+v", open(d))
}

// sealed puts right check digits into the zones below, where they stand as "?".
func sealed(t *testing.T, text string) string {
	t.Helper()
	lines := split(text)
	b := [][]byte{}
	for _, l := range lines {
		b = append(b, []byte(l))
	}
	put := func(line, at int, value string) {
		if b[line-1][at-1] == '?' {
			b[line-1][at-1] = digit(value)
		}
	}
	at := func(line, from, to int) string { return string(b[line-1][from-1 : to]) }
	if len(lines) == 3 {
		put(1, 15, at(1, 6, 14))
		put(2, 7, at(2, 1, 6))
		put(2, 15, at(2, 9, 14))
		put(2, 30, at(1, 6, 30)+at(2, 1, 7)+at(2, 9, 15)+at(2, 19, 29))
	} else {
		w := len(lines[1])
		put(2, 10, at(2, 1, 9))
		put(2, 20, at(2, 14, 19))
		put(2, 28, at(2, 22, 27))
		if w == 44 {
			put(2, 43, at(2, 29, 42))
		}
		put(2, w, at(2, 1, 10)+at(2, 14, 20)+at(2, 22, w-1))
	}
	return string(bytes.Join(b, []byte("\n")))
}

func TestWhatTheStandardAllowsIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Document
	}{
		"no personal number, its check digit a filler": {"PPUTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C3?UTO740812?F120415?<<<<<<<<<<<<<<<?",
			with(eriksson, func(d *Document) { d.Size, d.Code, d.Number = TD3, "PP", "L898902C3" })},
		"no personal number, its check digit a zero": {"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C3?UTO740812?F120415?<<<<<<<<<<<<<<0?",
			with(eriksson, func(d *Document) { d.Size, d.Code, d.Number = TD3, "P", "L898902C3" })},
		"a State of one letter and one name": {"P<D<<ERIKSSON<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<\nL898902C3?D<<740812?<120415?<<<<<<<<<<<<<<<?",
			with(eriksson, func(d *Document) {
				d.Size, d.Code, d.Number, d.Issuer, d.Nationality, d.Secondary, d.Sex = TD3, "P", "L898902C3", "D", "D", "", Unspecified
			})},
		"a filler in the number and a name that fills its field": {
			"I<UTOD23<4589<?<<<<<<<<<<<<<<<\n740812?F120415?UTO<<<<<<<<<<<?\nVAN<DER<BERGHEN<<ANNA<MARIA<JO",
			with(eriksson, func(d *Document) {
				d.Size, d.Number, d.Primary, d.Secondary, d.Truncated = TD1, "D23<4589", "VAN DER BERGHEN", "ANNA MARIA JO", true
			})},
		"optional data": {"I<UTOD23145890?AB<12<<<<<<<<<<\n740812?F120415?UTOXY<9<<<<<<<?\nERIKSSON<<ANNA<MARIA<<<<<<<<<<",
			with(eriksson, func(d *Document) { d.Size, d.Optional, d.Optional2 = TD1, "AB<12", "XY<9" })},
		"optional data after a long number": {"I<UTOD23145890<7349<X9<<<<<<<<\n340712?M950712?UTO<<<<<<<<<<<?\nSTEVENSON<<PETER<JOHN<<<<<<<<<",
			Document{Size: TD1, Code: "I", Issuer: "UTO", Number: "D23145890734", Primary: "STEVENSON", Secondary: "PETER JOHN", Optional: "<X9",
				Nationality: "UTO", Birth: Date{1934, 7, 12}, Sex: Male, Expiry: Date{1995, 7, 12}}},
		"a birthday that is not known": {"I<UTOD23145890?<<<<<<<<<<<<<<<\n7408<<?F120415?UTO<<<<<<<<<<<?\nERIKSSON<<ANNA<MARIA<<<<<<<<<<",
			with(eriksson, func(d *Document) { d.Size, d.Birth.Day = TD1, 0 })},
		"a year alone": {"I<UTOD23145890?<<<<<<<<<<<<<<<\n74<<<<?F120415?UTO<<<<<<<<<<<?\nERIKSSON<<ANNA<MARIA<<<<<<<<<<",
			with(eriksson, func(d *Document) { d.Size, d.Birth = TD1, Date{Year: 1974} })},
		"no birth date": {"I<UTOD23145890?<<<<<<<<<<<<<<<\n<<<<<<?F120415?UTO<<<<<<<<<<<?\nERIKSSON<<ANNA<MARIA<<<<<<<<<<",
			with(eriksson, func(d *Document) { d.Size, d.Birth = TD1, Date{} })},
	} {
		got, err := Parse(sealed(t, c.text), today)
		if err != nil || got != c.want {
			t.Errorf("%s: %v; %s", name, err, plain(got))
		}
	}
}

func TestYearsOfTwoDigits(t *testing.T) {
	for _, c := range []struct {
		birth, expiry string
		wantB, wantE  int
	}{
		{"250301", "260101", 2025, 2026}, // born today
		{"250302", "740101", 1925, 2074}, // tomorrow is a century ago
		{"25<<<<", "750101", 2025, 1975},
		{"000229", "000229", 2000, 2000},
		{"990101", "991231", 1999, 1999},
	} {
		text := fmt.Sprintf("I<UTOD23145890?<<<<<<<<<<<<<<<\n%s?F%s?UTO<<<<<<<<<<<?\nERIKSSON<<ANNA<MARIA<<<<<<<<<<", c.birth, c.expiry)
		d, err := Parse(sealed(t, text), today)
		if err != nil || d.Birth.Year != c.wantB || d.Expiry.Year != c.wantE {
			t.Errorf("%s and %s: %v, %+v %+v", c.birth, c.expiry, err, d.Birth, d.Expiry)
		}
	}
}

func TestAnErrorNamesLineAndField(t *testing.T) {
	change := func(text string, line, at int, to string) string {
		lines := strings.Split(text, "\n")
		lines[line-1] = lines[line-1][:at-1] + to + lines[line-1][at-1+len(to):]
		return strings.Join(lines, "\n")
	}
	for _, c := range []struct{ text, want string }{
		{"", "0 characters"},
		{specimenTD1 + "X\n", "4 lines"},
		{change(specimenTD3, 1, 44, "\n"), "44"},
		{strings.ToLower(specimenTD1), "line 1: character 1 "},
		{change(specimenTD1, 3, 9, " "), "line 3: character 9 "},
		{change(specimenTD1, 2, 29, "é"), "line 2: character 29 "},
		{strings.Replace(specimenTD3, "<10\n", "<0\n", 1), "line 2: 43 characters and not 44"},
		{change(specimenTD3, 1, 1, "V"), "line 1: document code: this is a visa"},
		{change(specimenTD3, 1, 1, "I"), "line 1: document code: it belongs"},
		{change(specimenTD1, 1, 2, "V"), "line 1: document code: its second"},
		{change(specimenTD1, 1, 2, "8"), "line 1: document code: its second"},
		{change(specimenTD3, 1, 3, "<"), "line 1: issuing State:"},
		{change(specimenTD3, 1, 4, "7"), "line 1: issuing State:"},
		{change(specimenTD3, 1, 6, "3"), "line 1: name: it holds a digit"},
		{change(specimenTD3, 1, 6, "<"), "line 1: name: it begins"},
		{change(specimenTD1, 3, 11, "<"), "line 3: name: it has more"},
		{change(specimenTD1, 3, 16, "<<"), "line 3: name: it has more"},
		{change(specimenTD3, 2, 1, "<<<<<<<<<0"), "line 2: document number: it is empty"},
		{change(specimenTD3, 2, 2, "9"), "line 2: document number: its check digit is wrong"},
		{change(specimenTD3, 2, 10, "<"), "line 2: document number: its check digit is no digit"},
		{change(specimenTD1, 1, 15, "O"), "line 1: document number: its check digit is no digit"}, // no guess at a zero
		{change(specimenTD1, 1, 15, "<"), "line 1: document number: its check digit is missing"},
		{change(longTD1, 1, 18, "8"), "line 1: document number: its check digit is wrong"},
		{change(longTD1, 1, 19, "<"), "line 1: document number: its check digit is wrong"},
		{change(longTD1, 1, 17, "<"), "line 1: document number: its check digit is missing"},
		{change(longTD1, 1, 20, "00000000000"), "line 1: document number: it goes on"},
		{change(longTD2, 2, 31, "9"), "line 2: document number: its check digit is wrong"},
		{change(specimenTD3, 2, 11, "U70"), "line 2: nationality:"},
		{change(specimenTD3, 2, 16, "13"), "line 2: date of birth: it is no date"},
		{change(specimenTD3, 2, 14, "7<"), "line 2: date of birth: it is no date"},
		{change(specimenTD3, 2, 14, "7O"), "line 2: date of birth: it is no date"},
		{change(specimenTD3, 2, 19, "3"), "line 2: date of birth: its check digit is wrong"},
		{change(specimenTD3, 2, 21, "X"), "line 2: sex:"},
		{change(specimenTD3, 2, 24, "00"), "line 2: date of expiry: it is no date"},
		{change(specimenTD3, 2, 26, "<<7"), "line 2: date of expiry:"},
		{change(specimenTD3, 2, 29, "Y"), "line 2: personal number: its check digit is wrong"},
		{change(specimenTD3, 2, 43, "<"), "line 2: personal number: its check digit is no digit"},
		{change(specimenTD3, 2, 44, "1"), "line 2: composite: its check digit is wrong"},
		{change(specimenTD2, 2, 29, "B"), "line 2: composite: its check digit is wrong"},
		{change(specimenTD1, 2, 30, "<"), "line 2: composite: its check digit is no digit"},
		{sealed(t, change(change(specimenTD1, 2, 1, "230229?"), 2, 30, "?")), "line 2: date of birth: it is no date"},
		{sealed(t, change(change(specimenTD1, 2, 1, "<<0230?"), 2, 30, "?")), "line 2: date of birth: it is no date"},
		{sealed(t, change(change(specimenTD1, 2, 9, "120431?"), 2, 30, "?")), "line 2: date of expiry: it is no date"},
	} {
		d, err := Parse(c.text, today)
		var as *Error
		if !errors.As(err, &as) || !strings.Contains(err.Error(), c.want) || d != (Document{}) {
			t.Errorf("%q gives %v, want %q", c.text, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "ERIKSSON") || strings.Contains(err.Error(), "D2314")) {
			t.Errorf("an error holds the document: %v", err)
		}
	}
}

// Every character of a field under a check digit, changed to any other that could stand there, is noticed.
func TestCheckDigitsNoticeEveryMisreadCharacterThatTheyCan(t *testing.T) {
	for _, text := range []string{specimenTD1, specimenTD2, specimenTD3, longTD1, longTD2} {
		text = strings.TrimSuffix(text, "\n")
		for i := range text {
			for _, c := range "0123456789" {
				if text[i] < '0' || text[i] > '9' || rune(text[i]) == c {
					continue
				}
				if _, err := Parse(text[:i]+string(c)+text[i+1:], today); err == nil {
					t.Errorf("character %d of %q may be %c", i, text, c)
				}
			}
		}
	}
}

func TestADocumentKeepsItselfOutOfLogs(t *testing.T) {
	d, err := Parse(specimenTD3, today)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("read", "document", d, "pointer", &d, "in", struct{ D Document }{d})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("read", "document", d, "pointer", &d, "in", struct{ D Document }{d})
	fmt.Fprintf(&out, "%v %+v %#v %s %d %x %q %v", d, d, d, d, d, d, d, &d)
	_ = json.NewEncoder(&out).Encode(map[string]any{"d": d})
	for _, secret := range []string{"ERIKSSON", "ANNA", "L898902C3", "1974", "ZE184226B"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q got out: %s", secret, out.String())
		}
	}
}

func TestTheFirstLineTellsHowManyThereAre(t *testing.T) {
	for line, want := range map[string]int{
		strings.Split(specimenTD1, "\n")[0]: 3, strings.Split(specimenTD2, "\n")[0]: 2, strings.Split(specimenTD3, "\n")[0]: 2,
		strings.Split(specimenTD3, "\n")[1]: 0, "": 0, "K7Q2M9X4TB": 0, strings.Repeat("a", 30): 0, strings.Repeat("V", 44): 2,
	} {
		if got := Lines(line); got != want {
			t.Errorf("%q: %d lines", line, got)
		}
	}
	for _, text := range []string{"", "\n", "K7Q2M9X4TB", specimenTD1 + specimenTD1, strings.Split(specimenTD3, "\n")[0], strings.Repeat("I", 30) + "\n\n"} {
		if Looks(text) {
			t.Errorf("%q looks like a zone", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{specimenTD1, specimenTD2, specimenTD3, longTD1, longTD2} {
		f.Add(text)
		f.Add(strings.ReplaceAll(text, "\n", ""))
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text, today)
		if err != nil {
			var as *Error
			if !errors.As(err, &as) || d != (Document{}) {
				t.Fatalf("%v", err)
			}
			return
		}
		if !Looks(text) || d.Number == "" || d.Primary == "" || d.Issuer == "" || d.Expiry.Day == 0 || d.Birth.Year > today.Year() {
			t.Fatalf("%q is %s", text, plain(d))
		}
	})
}
