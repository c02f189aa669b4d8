package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const root = "../../../"

func TestTheDocumentsShowWhatRecordShowPrints(t *testing.T) {
	blocks := 0
	for _, doc := range []string{"docs/ansinist.md", "docs/iso.md"} {
		text, err := os.ReadFile(root + doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, rest := range strings.Split(string(text), "```text\n$ kioskctl record show ")[1:] {
			block, _, _ := strings.Cut(rest, "```")
			file, want, _ := strings.Cut(block, "\n")
			code, out, notes := ctl("record", "show", root+file)
			if code != 0 || out != want {
				t.Errorf("%s shows of %s otherwise than kioskctl does (%d, %s):\n%s", doc, file, code, notes, out)
			}
			blocks++
		}
	}
	if blocks != 5 {
		t.Errorf("%d examples were found", blocks)
	}
}

func TestRecordShowPrintsJSON(t *testing.T) {
	code, out, notes := ctl("--json", "record", "show", root+"kiosk/record/testdata/files/record.an2")
	var s shown
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil || len(s.Records) != 10 || s.Bytes == 0 {
		t.Fatalf("%d, %s, %v", code, notes, err)
	}
	want := row{Field: "2.003", Name: "REF", What: "reference", Value: "V0000000001"}
	if got := s.Records[1].Fields[2]; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	want = row{Field: "14.018", Name: "AMP", What: "fingers not there", Value: "1, XX", Meaning: "right thumb, amputated"}
	if got := s.Records[5].Fields[6]; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestRecordShowReadsManifestDocketReceiptAndTar(t *testing.T) {
	vectors := root + "kiosk/record/testdata/vectors/"
	for file, want := range map[string]string{"docket.json": "loket/docket/1", "receipt.json": "custody", "record.tar": "fingers/02.png"} {
		if code, out, notes := ctl("record", "show", vectors+file); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: %d, %s\n%s", file, code, notes, out)
		}
	}
	if code, _, notes := ctl("record", "show", vectors+"record.age"); code != 1 || !strings.Contains(notes, "it is sealed (hint: opener") {
		t.Errorf("%d, %s", code, notes)
	}
}

func TestADocumentIsShownMemberByMember(t *testing.T) {
	code, out, notes := ctl("record", "show", root+"kiosk/record/testdata/vectors/record.tar")
	for _, want := range []string{"\nsubject\n  reference ", "\ndevices 1\n  identity ", "\nledger 10\n  position "} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%q is missing: %d, %s", want, code, notes)
		}
	}
	code, out, _ = ctl("--json", "record", "show", root+"kiosk/record/testdata/vectors/record.tar")
	if code != 0 || !strings.Contains(out, `"field": "devices.1.identity"`) {
		t.Error("JSON has other names")
	}
}

func TestRecordShowTellsAnImageFromARecord(t *testing.T) {
	good, err := os.ReadFile(root + "kiosk/record/testdata/files/face.iso19794")
	if err != nil {
		t.Fatal(err)
	}
	code, out, notes := ctl("record", "show", written(t, "file", good[46:]))
	if code != 0 || !strings.Contains(out, "an image\n641 bytes") || !strings.Contains(out, "48 x 64") {
		t.Errorf("%d, %s\n%s", code, notes, out)
	}
}

func TestCodesHaveTheirMeaningsBesideThem(t *testing.T) {
	t.Attr("fixtures", "records")
	dir := os.Getenv("LOKET_FIXTURES")
	for file, wants := range map[string][]string{
		"face01.iso2005": {"2  (female)", "00044d  (moustache, beard, mouth open, medical condition)", "3  (smile, mouth open)", "1  (24-bit RGB)"},
		"valid1.1.an2":   {"record 3: Type-4, print, grey, high resolution", "10  (left little)", "19.69  (500 pixels an inch)", "1  (WSQ)"},
		"sign_raw.an2":   {"0  (the subject)", "0  (image, not compressed)"},
	} {
		file = filepath.Join(dir, "records", file)
		if _, err := os.Stat(file); dir == "" || err != nil {
			t.Skip("LOKET_FIXTURES names no folder with records/")
		}
		code, out, notes := ctl("record", "show", file)
		for _, want := range wants {
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("%s: %q is missing: %d, %s", file, want, code, notes)
			}
		}
	}
}

func TestRecordShowReadsFilesOfOtherMakers(t *testing.T) {
	t.Attr("fixtures", "records")
	dir := os.Getenv("LOKET_FIXTURES")
	files, err := filepath.Glob(filepath.Join(dir, "records", "*.*"))
	if dir == "" || err != nil || len(files) == 0 {
		t.Skip("LOKET_FIXTURES names no folder with records/")
	}
	for _, file := range files {
		if code, out, notes := ctl("record", "show", file); code != 0 || !strings.Contains(out, "sha256") {
			t.Errorf("%s: %d, %s", file, code, notes)
		}
	}
}

func TestABadFileEndsInOneAndNamesTheRule(t *testing.T) {
	good, err := os.ReadFile(root + "kiosk/record/testdata/files/record.an2")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ data, want string }{
		"a wrong width":      {strings.Replace(string(good), "14.006:140", "14.006:141", 1), "field 14.006 HLL: it must be the width of the image, 140 pixels, and is 141 (a rule of ANSI/NIST-ITL 1-2011 Update 2015)"},
		"cut":                {string(good[:len(good)-1]), "record 10 (Type-8"},
		"no record at all":   {"GIF89a", "it is none of"},
		"a next step":        {strings.Replace(string(good), "14.006:140", "14.006:141", 1), "(hint: have the file mended where it was made; docs/ansinist.md"},
		"one for ISO":        {"FAC\x00020\x00", "(hint: have the file mended where it was made; docs/iso.md"},
		"another type first": {"2.001:10\x1d2.002:0\x1c", "a record of this type must stand here; a field of Type 2 does"},
		"minutiae":           {"FMR\x00 20\x00\x00\x00", `it begins as format "FMR", version " 20"`},
		"strokes":            {"<?xml version=\"1.0\"?><ink xmlns=\"http://www.w3.org/2003/InkML\">", "a signature as strokes, InkML (hint:"},
		"a signature":        {"\x30\x08\x02\x02\x11\x22\x02\x02\x33\x44", "a detached signature (hint: docs/record.md"},
		"an iris in DER":     {"\x66\x82\x01\x00", "DER tagged [APPLICATION 6] (hint: of ISO/IEC 39794"},
		"nothing":            {"", "it is none of"},
		"another schema":     {`{"schema":"x/1"}`, `schema "x/1" is no manifest`},
		"broken JSON":        {`{"schema":`, "it begins as JSON and is none"},
		"an empty docket":    {`{"schema":"loket/docket/1"}`, "reading the docket"},
		"a broken tar":       {"manifest.json\x00", "reading a record's tar"},
		"a broken face":      {"FAC\x00020\x00", "ISO/IEC 19794-5:2005"},
		"a broken finger":    {"FIR\x00010\x00", "ISO/IEC 19794-4:2005"},
		"broken DER":         {"\x65\x80", "ISO/IEC 39794-5:2019"},
		"broken DER of -4":   {"\x64\x80", "ISO/IEC 39794-4:2019"},
	} {
		if code, out, notes := ctl("record", "show", written(t, "file", []byte(c.data))); code != 1 || out != "" || !strings.Contains(notes, c.want) {
			t.Errorf("%s: %d, %s", name, code, notes)
		}
	}
	if code, _, _ := ctl("record", "show", "/nowhere"); code != 1 {
		t.Errorf("a file that is not there ends in %d", code)
	}
}

func TestABrokenRuleIsJSONForScripts(t *testing.T) {
	good, err := os.ReadFile(root + "kiosk/record/testdata/files/record.an2")
	if err != nil {
		t.Fatal(err)
	}
	file := written(t, "file", []byte(strings.Replace(string(good), "14.006:140", "14.006:141", 1)))
	code, out, notes := ctl("--json", "record", "show", file)
	var r refusal
	if err := json.Unmarshal([]byte(notes), &r); code != 1 || out != "" || err != nil {
		t.Fatalf("%d, %s, %v", code, notes, err)
	}
	if r.Standard != "ANSI/NIST-ITL 1-2011 Update 2015" || r.Place != "record 4 (Type-14, at byte 1622), field 14.006 HLL" ||
		r.Rule != "it must be the width of the image, 140 pixels, and is 141" || r.Hint == "" {
		t.Errorf("%+v", r)
	}
	for file, want := range map[string]string{"FAC\x00020\x00": "ISO/IEC 19794-5:2005, clause 5.4", "\x65\x80": "ISO/IEC 39794-5:2019"} {
		_, _, notes := ctl("--json", "record", "show", written(t, "file", []byte(file)))
		if err := json.Unmarshal([]byte(notes), &r); err != nil || r.Standard != want {
			t.Errorf("%s: %v", notes, err)
		}
	}
}

func TestWhatAFileSaysReachesNoTerminalAsItIs(t *testing.T) {
	good, err := os.ReadFile(root + "kiosk/record/testdata/files/record.an2")
	if err != nil {
		t.Fatal(err)
	}
	code, out, notes := ctl("record", "show", written(t, "file", []byte(strings.Replace(string(good), "V0000000001", "V\x1b[31m00001", 1))))
	if code != 0 || strings.Contains(out, "\x1b") {
		t.Errorf("%d, %q", code, notes)
	}
}
