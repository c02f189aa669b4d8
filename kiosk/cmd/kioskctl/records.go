package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"loket/kiosk/record"
	"loket/kiosk/record/ansinist"
	"loket/kiosk/record/iso19794"
	"loket/kiosk/record/iso39794"
	"loket/kiosk/record/picture"
)

type recordShowCmd struct {
	File string `arg:"" help:"An ANSI/NIST-ITL file, an ISO/IEC 19794 or 39794 record, a manifest, docket or receipt, or a record's tar."`
}

// shown is what a file holds, image bytes left out.
type shown struct {
	Format  string    `json:"format"`
	Edition string    `json:"edition,omitempty"`
	Bytes   int       `json:"bytes"`
	SHA256  string    `json:"sha256"`
	Records []section `json:"records"`
}

// section is one record of a file, or one part of it.
type section struct {
	Title  string `json:"title"`
	Fields []row  `json:"fields"`
}

// row is one field.
type row struct {
	Field   string `json:"field"`
	Name    string `json:"name,omitempty"`
	What    string `json:"what,omitempty"` // the field in words
	Value   string `json:"value"`
	Meaning string `json:"meaning,omitempty"` // the value in words

	lines []row // a list in lines of their own, for people
}

// Run prints what a file holds. A file that breaks its format's rules is an error that names the rule.
func (r recordShowCmd) Run(c *call) error {
	data, err := readBounded(r.File, record.MaxRecord)
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.File, err)
	}
	defer clear(data)
	s, err := show(data)
	if err != nil {
		return advise(err)
	}
	sum := sha256.Sum256(data)
	s.Bytes, s.SHA256 = len(data), hex.EncodeToString(sum[:])
	return c.print(s, func() { c.record(s) })
}

// show recognises a file by how it begins.
func show(data []byte) (shown, error) {
	switch {
	case regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,4}:`).Match(data):
		return showANSINIST(data)
	case bytes.HasPrefix(data, []byte(iso19794.FaceFormat)):
		return showFaces19794(data)
	case bytes.HasPrefix(data, []byte(iso19794.FingerFormat)):
		return showFingers19794(data)
	case bytes.HasPrefix(data, []byte{iso39794.FaceTag}):
		return showFaces39794(data)
	case bytes.HasPrefix(data, []byte{iso39794.FingerTag}):
		return showFingers39794(data)
	case bytes.HasPrefix(data, []byte("{")):
		return showDocument(data)
	case bytes.HasPrefix(data, []byte("manifest.json\x00")):
		return showTar(data)
	}
	if h, err := picture.Of(data); err == nil {
		return shown{Format: "an image", Records: []section{{string(h.Coding), numbered("size", fmt.Sprintf("%d x %d", h.Width, h.Height),
			"bits a sample", h.Depth, "components", h.Components, "whole", picture.Whole(data))}}}, nil
	}
	return shown{}, unknown(data)
}

// unknown says as much of a file that is no record as its first bytes do.
func unknown(data []byte) error {
	switch {
	case bytes.HasPrefix(data, []byte("age-encryption.org/")):
		return errors.New("showing a record: it is sealed (hint: opener opens it, where the service's private key is)")
	case bytes.HasPrefix(data, []byte("<?xml")) && bytes.Contains(data[:min(len(data), 200)], []byte("InkML")):
		return errors.New("showing a record: it is a signature as strokes, InkML (hint: signature.png beside it shows them)")
	case len(data) > 8 && len(data) < 80 && data[0] == 0x30 && int(data[1]) == len(data)-2:
		return errors.New("showing a record: it is a detached signature (hint: docs/record.md has the openssl command that checks it)")
	case len(data) >= 8 && data[3] == 0 && data[7] == 0:
		return fmt.Errorf("showing a record: it begins as format %q, version %q, of ISO/IEC 19794 (hint: faces, FAC, and finger images, FIR, of the editions of 2005 are read here)",
			plain(string(data[:3])), plain(string(data[4:7])))
	case len(data) > 1 && data[0]&0xe0 == 0x60 && data[1] >= 0x80:
		return fmt.Errorf("showing a record: it begins as DER tagged [APPLICATION %d] (hint: of ISO/IEC 39794 faces, 5, and finger images, 4, are read here)", data[0]&0x1f)
	}
	return errors.New("showing a record: it is none of ANSI/NIST-ITL, ISO/IEC 19794-4 and -5:2005, ISO/IEC 39794-4 and -5:2019, manifest, docket, receipt, tar and image " +
		"(hint: such files begin with 1.001: or 1.01:, FIR, FAC, the bytes 64 or 65, {, and manifest.json; one whose first bytes are lost is not known again)")
}

// refusal is a rule that a file breaks, with the next step.
type refusal struct {
	Text     string `json:"error"`
	Standard string `json:"standard"` // with its edition
	Place    string `json:"place"`
	Rule     string `json:"rule"`
	Hint     string `json:"hint"`
}

// Error is for people.
func (r *refusal) Error() string { return r.Text + " (hint: " + r.Hint + ")" }

// advise adds the next step to what a file breaks.
func advise(err error) error {
	const hint = "have the file mended where it was made; docs/%s says what it is held to"
	var an *ansinist.Error
	var older *iso19794.Error
	var newer *iso39794.Error
	switch {
	case errors.As(err, &an):
		return &refusal{err.Error(), an.Edition(), an.Place(), an.Rule, fmt.Sprintf(hint, "ansinist.md")}
	case errors.As(err, &older):
		return &refusal{err.Error(), older.Standard + ", clause " + older.Clause, fmt.Sprintf("%s at byte %d", older.Field, older.Offset), older.Rule, fmt.Sprintf(hint, "iso.md")}
	case errors.As(err, &newer):
		return &refusal{err.Error(), newer.Standard, fmt.Sprintf("%s at byte %d", newer.Path, newer.Offset), newer.Rule, fmt.Sprintf(hint, "iso.md")}
	}
	return err
}

// record prints a file for people.
func (c *call) record(s shown) {
	fmt.Fprintf(c.out, "%s\n%d bytes, sha256 %s\n", strings.TrimSpace(s.Format+" "+s.Edition), s.Bytes, s.SHA256)
	for _, part := range s.Records {
		for _, block := range part.blocks() {
			fmt.Fprintf(c.out, "\n%s\n", block.Title)
			c.rows(block.Fields)
		}
	}
}

// blocks takes a document apart where its members are members of something: "devices.1.kind" stands under "devices 1" as "kind".
func (s section) blocks() []section {
	list := []section{{Title: s.Title}}
	member := regexp.MustCompile(`^([a-z_]+(?:\.[0-9]+)?)\.(.+)$`)
	for _, f := range s.Fields {
		title, name := s.Title, f.Field
		if m := member.FindStringSubmatch(f.Field); m != nil {
			title, name = strings.ReplaceAll(m[1], ".", " "), m[2]
		}
		if last := list[len(list)-1]; last.Title != title && (len(last.Fields) > 0 || len(list) > 1) {
			list = append(list, section{Title: title})
		} else if last.Title != title {
			list[0].Title = title
		}
		f.Field = name
		list[len(list)-1].Fields = append(list[len(list)-1].Fields, f)
	}
	return list
}

// rows prints fields in columns; which there are depends on the first.
func (c *call) rows(fields []row) {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, f := range fields {
		head := f.Field
		if f.Name+f.What != "" || strings.Contains(f.Field, ".") && tagged(fields) {
			head = fmt.Sprintf("%s\t%s\t%s", f.Field, f.Name, f.What)
		}
		lines := f.lines
		if lines == nil {
			lines = []row{f}
		}
		for _, line := range lines {
			value := line.Value
			if line.Meaning != "" {
				value += "  (" + line.Meaning + ")"
			}
			fmt.Fprintf(w, "  %s\t%s\n", head, value)
			head = strings.Repeat("\t", strings.Count(head, "\t"))
		}
	}
	_ = w.Flush()
}

// tagged reports whether fields have numbers and names.
func tagged(fields []row) bool {
	return slices.ContainsFunc(fields, func(f row) bool { return f.Name != "" })
}

// plain keeps what a file says from doing anything to a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// pictured stands for the bytes of an image.
func pictured(data []byte) string {
	sum := sha256.Sum256(data)
	what := "not compressed"
	if h, err := picture.Of(data); err == nil {
		what = fmt.Sprintf("%s, %d x %d", h.Coding, h.Width, h.Height)
	}
	return fmt.Sprintf("%d bytes, %s, sha256 %s", len(data), what, hex.EncodeToString(sum[:]))
}

func showANSINIST(data []byte) (shown, error) {
	f, err := ansinist.Parse(data)
	if err != nil {
		return shown{}, err
	}
	s := shown{Format: f.Version.Edition(), Edition: "(version " + string(f.Version) + ")"}
	domain, _ := f.Records[0].Field(13)
	ours := domain.Subfields()[0][0] == record.DomainLOKET
	for i, r := range f.Records {
		part := section{Title: fmt.Sprintf("record %d: Type-%d, %s", i+1, r.Type, typeWords(r.Type))}
		for _, x := range r.Fields {
			part.Fields = append(part.Fields, field(r.Type, x, ours && r.Type == 2))
		}
		if r.Image != nil {
			part.Fields = append(part.Fields, row{Field: fmt.Sprintf("%d.%03d", r.Type, ansinist.ImageField(r.Type)), Name: "DATA", What: fieldWords("DATA"), Value: pictured(r.Image)})
		}
		s.Records = append(s.Records, part)
	}
	return s, nil
}

// field shows one field with what it means: its items behind commas, its subfields behind semicolons or, for people, in lines.
func field(kind int, x ansinist.Field, ours bool) row {
	name := ansinist.Name(kind, x.Number)
	r := row{Field: fmt.Sprintf("%d.%03d", kind, x.Number), Name: name, What: fieldWords(name)}
	if ours && name == "" {
		r.Name = record.DomainName(x.Number)
		r.What = domainWords(r.Name)
	}
	var values, meanings []string
	for _, items := range x.Subfields() {
		line := row{Value: plain(strings.Join(items, ", ")), Meaning: meaning(name, kind, items)}
		if name == "CNT" && len(r.lines) > 0 && len(items) == 2 {
			line.Value = fmt.Sprintf("%2s, %s", plain(items[0]), plain(items[1]))
		}
		r.lines = append(r.lines, line)
		values = append(values, plain(strings.Join(items, ", ")))
		if line.Meaning != "" {
			meanings = append(meanings, line.Meaning)
		}
	}
	r.Value, r.Meaning = strings.Join(values, "; "), strings.Join(meanings, "; ")
	if name == "CNT" {
		r.Meaning = "" // it is each record's title
	}
	return r
}

// numbered lists names and values. A value that is a row has a meaning.
func numbered(pairs ...any) []row {
	var rows []row
	for i := 0; i+1 < len(pairs); i += 2 {
		r, ok := pairs[i+1].(row)
		if !ok {
			r.Value = fmt.Sprint(pairs[i+1])
		}
		r.Field = fmt.Sprint(pairs[i])
		rows = append(rows, r)
	}
	return rows
}

// meant is a code with its meaning.
func meant(code any, words string) row { return row{Value: fmt.Sprint(code), Meaning: words} }

// angles writes three codes with commas.
func angles(codes [3]byte) row {
	return meant(fmt.Sprintf("%d, %d, %d", codes[0], codes[1], codes[2]), poseWords(codes))
}

func size(w, h int) string {
	if w == 0 {
		return notSaid
	}
	return fmt.Sprintf("%d x %d", w, h)
}

func showFaces19794(data []byte) (shown, error) {
	faces, err := iso19794.ParseFaces(data)
	if err != nil {
		return shown{}, err
	}
	s := shown{Format: "ISO/IEC 19794-5:2005", Edition: "face image data"}
	for i, f := range faces {
		s.Records = append(s.Records, section{fmt.Sprintf("face %d", i+1), numbered("gender", meant(f.Gender, genderWords(f.Gender)), "eye colour", meant(f.Eyes, eyeWords(f.Eyes)),
			"hair colour", meant(f.Hair, hairWords(f.Hair)), "properties", meant(fmt.Sprintf("%06x", f.Properties), propertyWords(f.Properties)),
			"expression", meant(f.Expression, expressionWords(f.Expression)), "pose", angles(f.Pose), "pose uncertainty", angles(f.Uncertainty),
			"feature points", points(f.Points), "image type", meant(f.Kind, pick(int(f.Kind), "basic", "full frontal", "token frontal", "other")),
			"size", size(f.Width, f.Height), "colour space", meant(f.ColourSpace, pick(int(f.ColourSpace), notSaid, "24-bit RGB", "YUV 4:2:2", "8-bit grey", "other")),
			"source", meant(f.Source, pick(int(f.Source), notSaid, "photograph", "photograph, digital camera", "photograph, scanner", "video frame", "video frame, analogue camera",
				"video frame, digital camera", "unknown")), "device", f.Device, "image", pictured(f.Image))})
	}
	return s, nil
}

// points lists feature points by their MPEG-4 codes.
func points(list []iso19794.Point) row {
	var places []string
	for _, p := range list {
		places = append(places, fmt.Sprintf("%d.%d at %d, %d", p.Code>>4, p.Code&15, p.X, p.Y))
	}
	return meant(len(list), strings.Join(places, "; "))
}

func showFingers19794(data []byte) (shown, error) {
	r, err := iso19794.ParseFingers(data)
	if err != nil {
		return shown{}, err
	}
	unit := map[byte]string{1: "pixels an inch", 2: "pixels a centimetre"}[r.Unit]
	s := shown{Format: "ISO/IEC 19794-4:2005", Edition: "finger image data", Records: []section{{"header", numbered("device", r.Device, "acquisition level", r.Level,
		"scanned at", fmt.Sprintf("%d x %d %s", r.ScanX, r.ScanY, unit), "images at", fmt.Sprintf("%d x %d %s", r.ImageX, r.ImageY, unit),
		"pixel depth", r.Depth, "compression", meant(int(r.Compression), pick(int(r.Compression), "none", "none, bits packed", "WSQ", "JPEG", "JPEG 2000", "PNG")))}}}
	for i, v := range r.Views {
		quality := ""
		if v.Quality == iso19794.NoQuality {
			quality = notSaid
		}
		s.Records = append(s.Records, section{fmt.Sprintf("image %d", i+1), numbered("position", meant(int(v.Position), fingerWords(int(v.Position))), "view", fmt.Sprintf("%d of %d", v.Number, v.Count),
			"quality", meant(v.Quality, quality), "impression", meant(v.Impression, impressionWords(int(v.Impression))), "size", size(v.Width, v.Height), "image", pictured(v.Image))})
	}
	return s, nil
}

func showFaces39794(data []byte) (shown, error) {
	r, err := iso39794.ParseFaces(data)
	if err != nil {
		return shown{}, err
	}
	s := shown{Format: "ISO/IEC 39794-5:2019", Edition: versionOf(r.Version)}
	for _, f := range r.Faces {
		s.Records = append(s.Records, section{fmt.Sprintf("representation %d", f.ID), numbered(
			"format", meant(f.Format, pick(f.Format, "unknown", "other", "JPEG", "JPEG 2000, lossy", "JPEG 2000, lossless", "PNG", "PGM", "PPM")),
			"kind", code(f.Kind, "for travel documents", "general purpose"), "size", size(f.Width, f.Height),
			"colour space", code(f.ColourSpace, "unknown", "other", "24-bit RGB", "48-bit RGB", "YUV 4:2:2", "8-bit grey", "16-bit grey"),
			"captured", when(f.Captured), "other elements", tags(f.Other), "image", pictured(f.Image))})
	}
	return s, nil
}

func showFingers39794(data []byte) (shown, error) {
	r, err := iso39794.ParseFingers(data)
	if err != nil {
		return shown{}, err
	}
	s := shown{Format: "ISO/IEC 39794-4:2019", Edition: versionOf(r.Version)}
	for i, f := range r.Fingers {
		s.Records = append(s.Records, section{fmt.Sprintf("representation %d", i+1), numbered("position", meant(int(f.Position), fingerWords(int(f.Position))),
			"impression", meant(f.Impression, impressionWords(f.Impression)), "format", meant(f.Format, pick(f.Format, "PGM", "WSQ", "JPEG 2000, lossy", "JPEG 2000, lossless", "PNG")),
			"scale", scale(f), "lossy", f.Lossy, "captured", when(f.Captured), "missing", absent(f.Missing), "other elements", tags(f.Other), "image", pictured(f.Image))})
	}
	return s, nil
}

func scale(f iso39794.Finger) string {
	switch {
	case f.PPI > 0:
		return fmt.Sprintf("%d pixels an inch", f.PPI)
	case f.PPCM > 0:
		return fmt.Sprintf("%d pixels a centimetre", f.PPCM)
	}
	return notSaid
}

// absent lists the fingers that an image does not have.
func absent(list []iso39794.Missing) string {
	var words []string
	for _, m := range list {
		why := pick(m.Reason, "reason unknown", "another reason", "amputated", "unable to print", "bandaged", "impaired", "diseased")
		words = append(words, fmt.Sprintf("%d, %d (%s, %s)", int(m.Position), m.Reason, fingerWords(int(m.Position)), why))
	}
	return cmp.Or(strings.Join(words, "; "), "none")
}

// tags lists elements that were not looked into.
func tags(list []int) string {
	var words []string
	for _, tag := range list {
		words = append(words, fmt.Sprintf("[%d]", tag))
	}
	return cmp.Or(strings.Join(words, ", "), "none")
}

func when(t time.Time) string {
	if t.IsZero() {
		return notSaid
	}
	return t.Format("2006-01-02T15:04:05Z")
}

func versionOf(v iso39794.Version) string {
	return fmt.Sprintf("(generation %d, %d)", v.Generation, v.Year)
}

// code is one that may not be there.
func code(n int, words ...string) row {
	if n < 0 {
		return row{Value: notSaid}
	}
	return meant(n, pick(n, words...))
}

// showDocument reads a manifest, a docket or a receipt as strictly as whoever opens records does. Signatures are not looked at.
func showDocument(data []byte) (shown, error) {
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return shown{}, fmt.Errorf("showing a record: it begins as JSON and is none: %w", err)
	}
	var err error
	switch head.Schema {
	case record.ManifestSchema:
		_, err = record.DecodeManifest(data)
	case record.DocketSchema:
		_, err = record.SignedDocket{JSON: data}.Docket()
	case record.ReceiptSchema:
		_, err = record.SignedReceipt{JSON: data}.Receipt()
	default:
		err = fmt.Errorf("showing a record: JSON with schema %q is no manifest, docket or receipt", plain(head.Schema[:min(len(head.Schema), 80)]))
	}
	if err != nil {
		return shown{}, err
	}
	return shown{Format: head.Schema, Records: []section{{"signature not checked", members(data)}}}, nil
}

// members lists what a JSON document says, one line a value, in the order of the document.
func members(data []byte) []row {
	var rows []row
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value func(path string)
	value = func(path string) {
		token, err := d.Token()
		if err != nil {
			return
		}
		switch token {
		case json.Delim('{'):
			for d.More() {
				name, _ := d.Token()
				value(strings.TrimPrefix(fmt.Sprintf("%s.%v", path, name), "."))
			}
			_, _ = d.Token()
		case json.Delim('['):
			for i := 1; d.More(); i++ {
				value(fmt.Sprintf("%s.%d", path, i))
			}
			_, _ = d.Token()
		default:
			rows = append(rows, row{Field: plain(path), Value: plain(fmt.Sprint(token))})
		}
	}
	value("")
	return rows
}

// showTar reads a record that somebody unsealed: all of it is checked but the signature and the seal.
func showTar(data []byte) (shown, error) {
	r, err := record.ReadTar(bytes.NewReader(data))
	if err != nil {
		return shown{}, err
	}
	defer r.Wipe()
	manifest, err := r.Manifest.Encode()
	if err != nil {
		return shown{}, err
	}
	defer clear(manifest)
	s := shown{Format: "a record's tar", Records: []section{{"manifest.json, signature not checked", members(manifest)}}}
	for _, p := range r.Parts {
		part := section{p.Name, []row{{Field: "image", Value: pictured(p.Data)}}}
		if line, ok, err := record.Describe(p); err != nil {
			return shown{}, fmt.Errorf("%s: %w", p.Name, err)
		} else if ok {
			part.Fields = []row{{Field: "holds", Value: line}}
		}
		s.Records = append(s.Records, part)
	}
	return s, nil
}
