package record

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"slices"
	"strings"
	"time"

	"golang.org/x/image/draw"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/wsq"
	"loket/kiosk/record/ansinist"
	"loket/kiosk/record/iso19794"
	"loket/kiosk/record/iso39794"
	"loket/kiosk/record/picture"
)

// The files for other systems that a policy may ask for. docs/ansinist.md and docs/iso.md say what stands in them.
const (
	FileANSINIST = "ansi-nist" // record.an2
	FileISO19794 = "iso-19794" // face.iso19794, fingers.iso19794
	FileISO39794 = "iso-39794" // face.iso39794, fingers.iso39794
)

// DomainLOKET names the application domain of record.an2 (DOM, 1.013), of version 1.
const DomainLOKET = "LOKET"

const filesMediaType = "application/octet-stream"

// products gives the numbers under which a file names the algorithms that measured, by the name that a quality carries. Of
// others the file says 65535, and their name in a comment.
func products() map[biometric.Modality]map[string]int {
	return map[biometric.Modality]map[string]int{biometric.Finger: {"loket-basic": 1, "loket-nfiq2-estimate": 3}, biometric.Face: {"loket-basic": 2, "loket-face": 4}}
}

const (
	noVendor     = "0000" // not in the IBIA's register
	otherProduct = 65535
)

// Files builds the files for other systems that want names, out of the samples of one intake and what its manifest says of it.
// They hold copies of the samples: whoever holds them wipes them. Without a face or without fingers the ISO file of that part
// is left out.
func Files(m Manifest, samples []biometric.Sample, want []string) (parts []Part, err error) {
	defer func() {
		if err != nil {
			WipeParts(parts)
			parts, err = nil, fmt.Errorf("building the files for other systems: %w", err)
		}
	}()
	b := builder{m, samples}
	makers := map[string][]struct {
		name string
		make func() ([]byte, error)
	}{
		FileANSINIST: {{"record.an2", b.ansiNIST}},
		FileISO19794: {{"face.iso19794", b.face19794}, {"fingers.iso19794", b.fingers19794}},
		FileISO39794: {{"face.iso39794", b.face39794}, {"fingers.iso39794", b.fingers39794}},
	}
	for _, w := range want {
		if makers[w] == nil {
			return parts, fmt.Errorf("nobody knows files of kind %q", clip(w))
		}
		for _, x := range makers[w] {
			data, err := x.make()
			if err != nil {
				return parts, fmt.Errorf("%s: %w", x.name, err)
			}
			if data != nil {
				parts = append(parts, Part{Name: x.name, MediaType: filesMediaType, Data: data})
			}
		}
	}
	return parts, nil
}

// greyOf decodes a sample that is WSQ or PNG into grey pixels. The caller wipes them.
func greyOf(s biometric.Sample) (*image.Gray, error) {
	if s.MediaType == wsq.MediaType {
		m, err := wsq.Decode(s.Data)
		return m.Gray, err
	}
	m, err := png.Decode(bytes.NewReader(s.Data))
	if err != nil {
		return nil, fmt.Errorf("reading a %s: %w", s.Modality, err)
	}
	if grey, ok := m.(*image.Gray); ok {
		return grey, nil
	}
	grey := image.NewGray(m.Bounds()) // on white, where the image lets it through
	draw.Draw(grey, grey.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(grey, grey.Rect, m, m.Bounds().Min, draw.Over)
	return grey, nil
}

// Describe says in a line what a file for other systems holds, "ANSI/NIST-ITL 1-2011 Update 2015, 10 records", by its name in a
// record. ok is false for parts that are no such file. The error names the rule that the file breaks.
func Describe(p Part) (line string, ok bool, err error) {
	switch p.Name {
	case "record.an2":
		f, err := ansinist.Parse(p.Data)
		return f.Version.Edition() + ", " + counted(len(f.Records), "record"), true, err
	case "face.iso19794":
		faces, err := iso19794.ParseFaces(p.Data)
		return "ISO/IEC 19794-5:2005, " + counted(len(faces), "face"), true, err
	case "fingers.iso19794":
		r, err := iso19794.ParseFingers(p.Data)
		return "ISO/IEC 19794-4:2005, " + counted(len(r.Views), "finger"), true, err
	case "face.iso39794":
		r, err := iso39794.ParseFaces(p.Data)
		return "ISO/IEC 39794-5:2019, " + counted(len(r.Faces), "face"), true, err
	case "fingers.iso39794":
		r, err := iso39794.ParseFingers(p.Data)
		return "ISO/IEC 39794-4:2019, " + counted(len(r.Fingers), "finger"), true, err
	}
	return "", false, nil
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// WipeParts overwrites the data of parts.
func WipeParts(parts []Part) {
	for _, p := range parts {
		clear(p.Data)
	}
}

// builder holds what the files of one record are made of.
type builder struct {
	m       Manifest
	samples []biometric.Sample
}

// of lists the samples of a modality, fingers by position.
func (b builder) of(modality biometric.Modality) []biometric.Sample {
	var list []biometric.Sample
	for _, s := range b.samples {
		if s.Modality == modality {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(x, y biometric.Sample) int { return int(x.Position) - int(y.Position) })
	return list
}

// attempt finds the last attempt that gave a sample. Without one the sample counts as captured when the record was made.
func (b builder) attempt(s biometric.Sample) biometric.Attempt {
	for _, a := range slices.Backward(b.m.Attempts) {
		found := s.Modality != biometric.Finger || slices.ContainsFunc(a.Qualities, func(f biometric.Finding) bool { return f.Position == s.Position })
		if a.Modality == s.Modality && found && a.Result != biometric.Faulted {
			return a
		}
	}
	return biometric.Attempt{Ended: b.m.Created}
}

// device finds what an attempt names: an identity, with or without the driver before it.
func (b builder) device(named string) ansinist.Device {
	for _, d := range b.m.Devices {
		if named == d.Identity || named == d.Driver+" "+d.Identity {
			return ansinist.Device{Make: ascii(d.Vendor), Model: ascii(d.Model), Serial: ascii(d.Serial)}
		}
	}
	return ansinist.Device{}
}

// score names who measured: by number where the product has one, and in words always.
func score(s biometric.Sample) (list []ansinist.Score, comment string) {
	q := s.Quality
	if q.Algorithm == "" {
		return nil, ""
	}
	product, ok := products()[s.Modality][q.Algorithm]
	if !ok {
		product = otherProduct
	}
	return []ansinist.Score{{Value: min(max(q.Score, 0), 100), Vendor: noVendor, Product: product}}, ascii(fmt.Sprintf("quality measured by %s %s", q.Algorithm, q.Version))
}

func (b builder) ansiNIST() ([]byte, error) {
	source := ascii(b.m.Station)
	t := ansinist.Transaction{
		Type: "ENROL", Time: b.m.Created, Destination: "CENTRAL", Originator: agency(source), Control: agency(fmt.Sprintf("%s-%d", b.m.Session, b.m.Attempt)),
		Domain: [2]string{DomainLOKET, "1"}, Texts: b.texts(),
	}
	for _, s := range b.of(biometric.Face) {
		a := b.attempt(s)
		scores, comment := score(s)
		t.Face = &ansinist.Face{Source: source, Captured: a.Ended, Image: s.Data, Scores: scores, Comment: comment, Device: b.device(a.Device)}
	}
	for _, s := range b.of(biometric.Finger) {
		a := b.attempt(s)
		scores, comment := score(s)
		f := ansinist.Finger{Position: s.Position, Source: source, Captured: a.Ended, Image: s.Data, PPI: s.PPI, Comment: comment, Device: b.device(a.Device)}
		for _, x := range scores {
			f.Scores = append(f.Scores, ansinist.FingerScore{Position: s.Position, Score: x})
		}
		t.Fingers = append(t.Fingers, f)
	}
	for _, e := range b.m.Ledger {
		if missing, ok := unprintable(e); ok {
			t.Fingers = append(t.Fingers, ansinist.Finger{Position: e.Position, Source: source, Captured: b.m.Created, Missing: []ansinist.Missing{missing}})
		}
	}
	for _, s := range b.of(biometric.Signature) {
		if s.MediaType != "image/png" { // strokes have no place there
			continue
		}
		signature, err := bits(s)
		if err != nil {
			return nil, err
		}
		defer clear(signature.Bits)
		t.Signature = &signature
	}
	return t.Encode()
}

// agency keeps an identifier to the printable ASCII that Type 1 allows.
func agency(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return '_'
		}
		return r
	}, s)
}

// unprintable says why an owed finger has no image: a finger missing for good is amputated (XX), every other reason makes it unable
// to be printed (UP). Who is exempt by age was asked for nothing.
func unprintable(e biometric.Entry) (ansinist.Missing, bool) {
	return ansinist.Missing{Position: e.Position, Amputated: e.Reason == biometric.Missing && e.Permanent},
		e.Reason.Excepting() && e.Reason != biometric.AgeExempt
}

// domain lists the Type-2 fields of the domain LOKET, version 1, by their mnemonics from 2.003 on.
func domain() []string {
	return []string{"REF", "DOB", "EST", "SVC", "TCK", "SES", "ATT", "CTR", "STN", "POL", "LGB", "SIM", "SFT", "LED"}
}

// DomainName is the mnemonic of a Type-2 field in files of the domain LOKET, "REF"; empty where the domain has no such field.
func DomainName(number int) string {
	if names := domain(); number >= 3 && number < 3+len(names) {
		return names[number-3]
	}
	return ""
}

// texts fills the domain's fields.
func (b builder) texts() []ansinist.Field {
	m := b.m
	var lines [][]string
	for _, e := range m.Ledger {
		lines = append(lines, []string{fmt.Sprint(int(e.Position)), string(e.Reason), permanence(e)})
	}
	values := map[string][][]string{
		"REF": {{m.Subject.Reference}}, "DOB": {{strings.ReplaceAll(m.Subject.BirthDate, "-", "")}}, "EST": {{m.Subject.Established}}, "SVC": {{m.Service}},
		"TCK": {{m.Ticket}}, "SES": {{m.Session}}, "ATT": {{fmt.Sprint(m.Attempt)}}, "CTR": {{m.Centre}}, "STN": {{m.Station}},
		"POL": {{m.Policy.ID, m.Policy.Version, m.Policy.Digest}}, "LGB": {{m.Policy.LegalBasis}},
		"SIM": {{map[bool]string{true: "simulated", false: "real"}[m.Simulated]}}, "SFT": {{m.Software.Name, m.Software.Version}}, "LED": lines,
	}
	var list []ansinist.Field
	for i, name := range domain() {
		for _, items := range values[name] {
			for j := range items {
				items[j] = ascii(items[j])
			}
		}
		if f := ansinist.Items(i+3, values[name]...); len(f.Value) > 0 {
			list = append(list, f)
		}
	}
	return list
}

func permanence(e biometric.Entry) string {
	switch {
	case e.Permanent:
		return "permanent"
	case e.Reason.Excepting():
		return "temporary"
	}
	return "none"
}

// signatureScale is what ISR (8.005) of 0 stands for, in pixels an inch.
const signatureScale = 500

// bits makes a signature's image one of black and white, half way between, at the scale that Type-8 records have. An image without
// a scale, or with a finer one, keeps its size.
func bits(s biometric.Sample) (ansinist.Signature, error) {
	grey, err := greyOf(s)
	if err != nil {
		return ansinist.Signature{}, err
	}
	defer func() { clear(grey.Pix) }()
	if s.PPI > 0 && s.PPI < signatureScale {
		larger := image.NewGray(image.Rect(0, 0, (grey.Rect.Dx()*signatureScale+s.PPI-1)/s.PPI, (grey.Rect.Dy()*signatureScale+s.PPI-1)/s.PPI))
		draw.BiLinear.Scale(larger, larger.Rect, grey, grey.Rect, draw.Src, nil)
		clear(grey.Pix)
		grey = larger
	}
	w, h := grey.Rect.Dx(), grey.Rect.Dy()
	row := (w + 7) / 8
	out := ansinist.Signature{Width: w, Height: h, Bits: make([]byte, row*h), Native: s.PPI > signatureScale}
	for y := range h {
		for x := range w {
			if grey.Pix[y*grey.Stride+x] < 128 {
				out.Bits[y*row+x/8] |= 0x80 >> (x % 8)
			}
		}
	}
	return out, nil
}

// space tells a grey photograph from one in colour.
func space(s biometric.Sample, grey, colour int) (int, error) {
	head, err := picture.Of(s.Data)
	if head.Components == 1 {
		return grey, err
	}
	return colour, err
}

func (b builder) face19794() ([]byte, error) {
	var faces []iso19794.Face
	for _, s := range b.of(biometric.Face) {
		c, err := space(s, 3, 1)
		if err != nil {
			return nil, err
		}
		faces = append(faces, iso19794.Face{ColourSpace: byte(c), Source: 2, Image: s.Data})
	}
	if faces == nil {
		return nil, nil
	}
	return iso19794.EncodeFaces(faces)
}

// fingers19794 writes the prints as they are or, where one is compressed and another is not, all without compression: such a record
// has one coding.
func (b builder) fingers19794() ([]byte, error) {
	samples := b.of(biometric.Finger)
	if len(samples) == 0 {
		return nil, nil
	}
	ppi := samples[0].PPI
	if ppi < 125 || ppi > 1010 || slices.ContainsFunc(samples, func(s biometric.Sample) bool { return s.PPI != ppi }) {
		return nil, errors.New("all fingers of a record must have one scale, of 125 to 1010 pixels an inch")
	}
	coding := samples[0].MediaType
	compression := map[string]iso19794.Compression{wsq.MediaType: iso19794.WSQ, "image/png": iso19794.PNG}[coding]
	if slices.ContainsFunc(samples, func(s biometric.Sample) bool { return s.MediaType != coding }) {
		compression = iso19794.Raw
	}
	n := uint16(ppi)
	r := iso19794.Fingers{Level: level(ppi), Unit: 1, ScanX: n, ScanY: n, ImageX: n, ImageY: n, Depth: 8, Compression: compression}
	defer func() {
		for i := range r.Views {
			if compression == iso19794.Raw {
				clear(r.Views[i].Image)
			}
		}
	}()
	for _, s := range samples {
		v, err := view(s, compression)
		if err != nil {
			return nil, err
		}
		r.Views = append(r.Views, v)
	}
	return r.Encode()
}

func view(s biometric.Sample, c iso19794.Compression) (iso19794.View, error) {
	v := iso19794.View{Position: s.Position, Count: 1, Number: 1, Quality: iso19794.NoQuality, Image: s.Data}
	if c == iso19794.Raw {
		grey, err := greyOf(s)
		if err != nil {
			return v, err
		}
		v.Width, v.Height, v.Image = grey.Rect.Dx(), grey.Rect.Dy(), grey.Pix
		return v, nil
	}
	head, err := picture.Of(s.Data)
	v.Width, v.Height = head.Width, head.Height
	return v, err
}

// level is the image acquisition level of ISO/IEC 19794-4:2005, table 1, with the smallest range of grey values that the table
// has for the scale: nobody measures more.
func level(ppi int) uint16 {
	for _, l := range []struct {
		ppi   int
		level uint16
	}{{990, 40}, {742, 35}, {495, 30}, {247, 20}} {
		if ppi >= l.ppi {
			return l.level
		}
	}
	return 10
}

func (b builder) face39794() ([]byte, error) {
	var faces []iso39794.Face
	for i, s := range b.of(biometric.Face) {
		c, err := space(s, iso39794.Grey8, iso39794.RGB24)
		if err != nil {
			return nil, err
		}
		faces = append(faces, iso39794.Face{ID: i + 1, Image: s.Data, Kind: iso39794.GeneralPurpose, ColourSpace: c, Captured: b.attempt(s).Ended})
	}
	if faces == nil {
		return nil, nil
	}
	return iso39794.EncodeFaces(faces)
}

func (b builder) fingers39794() ([]byte, error) {
	var fingers []iso39794.Finger
	for _, s := range b.of(biometric.Finger) {
		fingers = append(fingers, iso39794.Finger{Position: s.Position, Image: s.Data, Captured: b.attempt(s).Ended.Truncate(time.Second), PPI: s.PPI})
	}
	if fingers == nil {
		return nil, nil
	}
	return iso39794.EncodeFingers(fingers)
}
