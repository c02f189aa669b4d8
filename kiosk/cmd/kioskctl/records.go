package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
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
	Field string `json:"field"`
	Name  string `json:"name,omitempty"`
	Value string `json:"value"`
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
		return err
	}
	sum := sha256.Sum256(data)
	s.Bytes, s.SHA256 = len(data), hex.EncodeToString(sum[:])
	return c.print(s, func() { c.record(s) })
}

// show recognises a file by how it begins.
func show(data []byte) (shown, error) {
	switch {
	case bytes.HasPrefix(data, []byte("1.")):
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
	case bytes.HasPrefix(data, []byte("age-encryption.org/")):
		return shown{}, errors.New("showing a record: it is sealed (hint: opener opens it, where the service's private key is)")
	}
	return shown{}, errors.New("showing a record: it is none of ANSI/NIST-ITL, ISO/IEC 19794-4 and -5:2005, ISO/IEC 39794-4 and -5:2019, manifest, docket, receipt and tar")
}

// record prints a file for people.
func (c *call) record(s shown) {
	fmt.Fprintf(c.out, "%s\n%d bytes, sha256 %s\n", strings.TrimSpace(s.Format+" "+s.Edition), s.Bytes, s.SHA256)
	for _, part := range s.Records {
		fmt.Fprintf(c.out, "\n%s\n", part.Title)
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		for _, f := range part.Fields {
			if f.Name != "" {
				fmt.Fprintf(w, "  %s\t%s\t%s\n", f.Field, f.Name, f.Value)
			} else {
				fmt.Fprintf(w, "  %s\t%s\n", f.Field, f.Value)
			}
		}
		_ = w.Flush()
	}
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
		part := section{Title: fmt.Sprintf("record %d: Type-%d", i+1, r.Type)}
		for _, x := range r.Fields {
			name := ansinist.Name(r.Type, x.Number)
			if name == "" && ours && r.Type == 2 {
				name = record.DomainName(x.Number)
			}
			part.Fields = append(part.Fields, row{fmt.Sprintf("%d.%03d", r.Type, x.Number), name, itemised(x)})
		}
		if r.Image != nil {
			part.Fields = append(part.Fields, row{fmt.Sprintf("%d.%03d", r.Type, ansinist.ImageField(r.Type)), "DATA", pictured(r.Image)})
		}
		s.Records = append(s.Records, part)
	}
	return s, nil
}

// itemised writes subfields and items with commas and semicolons for their separators.
func itemised(f ansinist.Field) string {
	var subs []string
	for _, items := range f.Subfields() {
		subs = append(subs, strings.Join(items, ", "))
	}
	return plain(strings.Join(subs, "; "))
}

// numbered lists the fields of a binary record.
func numbered(pairs ...any) []row {
	var rows []row
	for i := 0; i+1 < len(pairs); i += 2 {
		rows = append(rows, row{Field: fmt.Sprint(pairs[i]), Value: fmt.Sprint(pairs[i+1])})
	}
	return rows
}

func showFaces19794(data []byte) (shown, error) {
	faces, err := iso19794.ParseFaces(data)
	if err != nil {
		return shown{}, err
	}
	s := shown{Format: "ISO/IEC 19794-5:2005", Edition: "face image data"}
	for i, f := range faces {
		s.Records = append(s.Records, section{fmt.Sprintf("face %d", i+1), numbered("gender", f.Gender, "eye colour", f.Eyes, "hair colour", f.Hair,
			"properties", fmt.Sprintf("%06x", f.Properties), "expression", f.Expression, "pose", f.Pose, "pose uncertainty", f.Uncertainty,
			"feature points", len(f.Points), "image type", f.Kind, "size", fmt.Sprintf("%d x %d", f.Width, f.Height), "colour space", f.ColourSpace,
			"source", f.Source, "device", f.Device, "image", pictured(f.Image))})
	}
	return s, nil
}

func showFingers19794(data []byte) (shown, error) {
	r, err := iso19794.ParseFingers(data)
	if err != nil {
		return shown{}, err
	}
	unit := map[byte]string{1: "pixels an inch", 2: "pixels a centimetre"}[r.Unit]
	s := shown{Format: "ISO/IEC 19794-4:2005", Edition: "finger image data", Records: []section{{"header", numbered("device", r.Device, "acquisition level", r.Level,
		"scanned at", fmt.Sprintf("%d x %d %s", r.ScanX, r.ScanY, unit), "images at", fmt.Sprintf("%d x %d %s", r.ImageX, r.ImageY, unit),
		"pixel depth", r.Depth, "compression", r.Compression)}}}
	for i, v := range r.Views {
		s.Records = append(s.Records, section{fmt.Sprintf("image %d", i+1), numbered("position", v.Position, "view", fmt.Sprintf("%d of %d", v.Number, v.Count),
			"impression", v.Impression, "size", fmt.Sprintf("%d x %d", v.Width, v.Height), "image", pictured(v.Image))})
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
		s.Records = append(s.Records, section{fmt.Sprintf("representation %d", f.ID), numbered("format", f.Format, "kind", said(f.Kind),
			"size", fmt.Sprintf("%d x %d", f.Width, f.Height), "colour space", said(f.ColourSpace), "captured", f.Captured.Format("2006-01-02T15:04:05Z"),
			"other elements", fmt.Sprint(f.Other), "image", pictured(f.Image))})
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
		s.Records = append(s.Records, section{fmt.Sprintf("representation %d", i+1), numbered("position", f.Position, "impression", f.Impression, "format", f.Format,
			"pixels an inch", f.PPI, "lossy", f.Lossy, "captured", f.Captured.Format("2006-01-02T15:04:05Z"), "missing", fmt.Sprint(f.Missing),
			"other elements", fmt.Sprint(f.Other), "image", pictured(f.Image))})
	}
	return s, nil
}

func versionOf(v iso39794.Version) string {
	return fmt.Sprintf("(generation %d, %d)", v.Generation, v.Year)
}

// said writes a code that may not be there.
func said(code int) string {
	if code < 0 {
		return "not said"
	}
	return fmt.Sprint(code)
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
