package ansinist

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/record/picture"
)

// Transaction is one file as an intake makes it: who sends what to whom, the texts of its domain, and the samples. All times are
// written in UTC.
type Transaction struct {
	Type        string    // TOT, 1.004: what the domain calls this kind of transaction
	Time        time.Time // DAT and GMT, 1.005 and 1.014
	Destination string    // DAI, 1.007
	Originator  string    // ORI, 1.008
	Control     string    // TCN, 1.009: unique for the originator
	Domain      [2]string // DOM, 1.013: name and version; empty for none
	Texts       []Field   // Type 2, numbers 3 and up
	Face        *Face
	Fingers     []Finger
	Signature   *Signature
}

// Device is make, model and serial number of what captured (field 904); empty where it is not known.
type Device struct{ Make, Model, Serial string }

// Score is a quality with the identity of its algorithm. A vendor is four hexadecimal digits of the IBIA's register; "0000" for one
// that is not registered there. The product is the vendor's own number, 1 to 65535.
type Score struct {
	Value   int // 0 to 100, 254: not tried, 255: failed
	Vendor  string
	Product int
}

// Face is a Type-10 record.
type Face struct {
	Source   string // SRC, 10.004
	Captured time.Time
	Image    []byte // JPEG, JPEG 2000 or PNG
	Profile  int    // SAP, 10.013; 0 claims none
	Scores   []Score
	Comment  string // COM, 10.038
	Device   Device
}

// Finger is a Type-14 record: an image of one finger or of several, or none and the reason for it.
type Finger struct {
	Position   biometric.FingerPosition // FGP, 14.013
	Impression int                      // IMP, 14.003; 0 is live-scan plain
	Source     string
	Captured   time.Time
	Image      []byte // WSQ, PNG, JPEG or JPEG 2000; nil where Missing says why
	PPI        int    // pixels an inch; 0: not known
	Missing    []Missing
	Comment    string // COM, 14.020
	Segments   []Segment
	NFIQ       []FingerScore // NQM, 14.022: NIST's own NFIQ, of which only Value counts: 1 (best) to 5
	Located    []FingerScore // SQM, 14.023: how sure a segment's place is
	Scores     []FingerScore // FQM, 14.024
	Device     Device
}

// Missing is a finger that can't be printed.
type Missing struct {
	Position  biometric.FingerPosition
	Amputated bool // XX; else UP, unable to print
}

// Segment is one finger's place inside an image of several, in pixels; right and bottom lie outside.
type Segment struct {
	Position                 biometric.FingerPosition
	Left, Right, Top, Bottom int
}

// FingerScore is the quality of one finger.
type FingerScore struct {
	Position biometric.FingerPosition
	Score
}

// Signature is a Type-8 record: an image of one bit a pixel.
type Signature struct {
	Width, Height int    // px
	Bits          []byte // rows of whole bytes, the first pixel in the highest bit, 1 is black
	Native        bool   // ISR, 8.005: scanned at more than 500 pixels an inch
}

// Encode writes the transaction by ANSI/NIST-ITL 1-2011 Update 2015.
func (t Transaction) Encode() ([]byte, error) {
	f := File{Version: V2015, Records: []Record{t.first(), t.second()}}
	if t.Face != nil {
		r, err := t.Face.record(len(f.Records) - 1)
		if err != nil {
			return nil, err
		}
		f.Records = append(f.Records, r)
	}
	for _, finger := range t.Fingers {
		r, err := finger.record(len(f.Records) - 1)
		if err != nil {
			return nil, err
		}
		f.Records = append(f.Records, r)
	}
	if t.Signature != nil {
		f.Records = append(f.Records, t.Signature.record(len(f.Records)-1))
	}
	return f.Encode()
}

// fields collects fields and leaves out those that are empty.
type fields []Field

func (f *fields) add(number int, value string) {
	if value != "" {
		*f = append(*f, Text(number, value))
	}
}

func (f *fields) items(number int, items ...string) {
	if strings.Join(items, "") != "" {
		f.add(number, strings.Join(items, string(rune(US))))
	}
}

func (f *fields) number(number, value int) { f.add(number, fmt.Sprint(value)) }

func (t Transaction) first() Record {
	var f fields
	at := t.Time.UTC()
	f.add(4, t.Type)
	f.add(5, at.Format("20060102"))
	f.add(7, t.Destination)
	f.add(8, t.Originator)
	f.add(9, t.Control)
	f.add(11, "00.00") // no Type-4 records
	f.add(12, "00.00")
	f.items(13, t.Domain[:]...)
	f.add(14, at.Format("20060102150405Z"))
	if t.international() {
		f.items(15, "003", "UTF-8")
	}
	return Record{Type: 1, Fields: f}
}

// international reports whether a text needs more than 7-bit ASCII.
func (t Transaction) international() bool {
	var texts []string
	for _, x := range t.Texts {
		texts = append(texts, string(x.Value))
	}
	said := func(d Device, more ...string) { texts = append(append(texts, d.Make, d.Model, d.Serial), more...) }
	if t.Face != nil {
		said(t.Face.Device, t.Face.Source, t.Face.Comment)
	}
	for _, x := range t.Fingers {
		said(x.Device, x.Source, x.Comment)
	}
	return slices.ContainsFunc(texts, func(s string) bool { return !ascii(s) })
}

func ascii[T ~string | ~[]byte](b T) bool {
	return !slices.ContainsFunc([]byte(b), func(c byte) bool { return c >= 0x80 })
}

func (t Transaction) second() Record {
	f := fields{Text(2, "00")}
	return Record{Type: 2, Fields: append(f, t.Texts...)}
}

// Items makes a field of subfields and their items. What would be taken for a separator becomes a space, an item without text
// beside others "none".
func Items(number int, subfields ...[]string) Field {
	var f fields
	for _, items := range subfields {
		for i := range items {
			if items[i] = clean(items[i], maxText); items[i] == "" && len(items) > 1 {
				items[i] = "none"
			}
		}
	}
	f.subfields(number, subfields)
	if len(f) == 0 {
		return Field{Number: number}
	}
	return f[0]
}

const maxText = 1000 // characters of one item of text

// clean keeps separators and control characters out of a value and bounds its length in characters.
func clean(s string, limit int) string {
	r := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
	return strings.TrimSpace(string(r[:min(len(r), limit)]))
}

func (f *fields) device(d Device) {
	if d.Make+d.Model+d.Serial == "" {
		return
	}
	known := func(s string) string { return cmp.Or(clean(s, 50), "unknown") }
	f.items(904, known(d.Make), known(d.Model), known(d.Serial))
}

func (s Score) items() []string {
	return []string{fmt.Sprint(s.Value), s.Vendor, fmt.Sprint(s.Product)}
}

// image writes size, scale and compression.
func (f *fields) image(h picture.Head, ppi int, last string) {
	scale, unit := fmt.Sprint(ppi), "1"
	if ppi == 0 { // not known: the ratio of a pixel's sides
		scale, unit = "1", "0"
	}
	f.number(6, h.Width)
	f.number(7, h.Height)
	f.add(8, unit)
	f.add(9, scale)
	f.add(10, scale)
	f.add(11, map[picture.Coding]string{picture.JPEG: "JPEGB", picture.JPEG2000: "JP2", picture.PNG: "PNG", picture.WSQ: "WSQ20"}[h.Coding])
	f.add(12, last)
}

func (x Face) record(idc int) (Record, error) {
	head, err := picture.Of(x.Image)
	if err != nil {
		return Record{}, fmt.Errorf("writing a Type-10 record: %w", err)
	}
	space := "SRGB"
	if head.Components == 1 {
		space = "GRAY"
	}
	f := fields{Text(2, fmt.Sprintf("%02d", idc)), Text(3, "FACE")}
	f.add(4, clean(x.Source, 64))
	f.add(5, x.Captured.UTC().Format("20060102"))
	f.image(head, 0, space)
	f.number(13, x.Profile)
	var scores [][]string
	for _, s := range x.Scores {
		scores = append(scores, s.items())
	}
	f.subfields(24, scores)
	f.add(38, clean(x.Comment, 126))
	f.device(x.Device)
	f.add(992, "00")
	return Record{Type: 10, Fields: f, Image: x.Image}, nil
}

func (f *fields) subfields(number int, list [][]string) {
	var subs []string
	for _, items := range list {
		subs = append(subs, strings.Join(items, string(rune(US))))
	}
	f.add(number, strings.Join(subs, string(rune(RS))))
}

func (x Finger) record(idc int) (Record, error) {
	f := fields{Text(2, fmt.Sprintf("%02d", idc))}
	f.number(3, x.Impression)
	f.add(4, clean(x.Source, 64))
	f.add(5, x.Captured.UTC().Format("20060102"))
	r := Record{Type: 14}
	if x.Image != nil {
		head, err := picture.Of(x.Image)
		if err != nil {
			return Record{}, fmt.Errorf("writing a Type-14 record: %w", err)
		}
		if head.Components != 1 {
			return Record{}, errors.New("writing a Type-14 record: a print has one component, grey")
		}
		r.Image = x.Image
		f.image(head, x.PPI, fmt.Sprint(head.Depth))
	}
	f.number(13, int(x.Position))
	f.subfields(18, missing(x.Missing))
	f.add(20, clean(x.Comment, 126))
	f.subfields(21, segmentItems(x.Segments))
	var ranks [][]string
	for _, s := range x.NFIQ {
		ranks = append(ranks, []string{fmt.Sprint(int(s.Position)), fmt.Sprint(s.Value)})
	}
	f.subfields(22, ranks)
	f.subfields(23, scoreItems(x.Located))
	f.subfields(24, scoreItems(x.Scores))
	f.device(x.Device)
	r.Fields = f
	return r, nil
}

func missing(list []Missing) (out [][]string) {
	for _, m := range list {
		out = append(out, []string{fmt.Sprint(int(m.Position)), map[bool]string{true: "XX", false: "UP"}[m.Amputated]})
	}
	return out
}

func segmentItems(list []Segment) (out [][]string) {
	for _, s := range list {
		out = append(out, strings.Fields(fmt.Sprint(int(s.Position), s.Left, s.Right, s.Top, s.Bottom)))
	}
	return out
}

func scoreItems(list []FingerScore) (out [][]string) {
	for _, s := range list {
		out = append(out, append([]string{fmt.Sprint(int(s.Position))}, s.items()...))
	}
	return out
}

func (x Signature) record(idc int) Record {
	f := fields{Text(2, fmt.Sprint(idc)), Text(3, "0"), Text(4, "0"), Text(5, map[bool]string{true: "1", false: "0"}[x.Native])}
	f.number(6, x.Width)
	f.number(7, x.Height)
	return Record{Type: 8, Fields: f, Image: x.Bits}
}
