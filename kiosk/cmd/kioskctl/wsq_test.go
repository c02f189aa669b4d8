package main

import (
	"bytes"
	"encoding/json"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"loket/kiosk/biometric/pgm"
	"loket/kiosk/biometric/wsq"
)

func TestAFingerIsCompressedAndReadAgain(t *testing.T) {
	in := written(t, "f.png", pngOf(t, ramp(120, 90), 39370))
	folder := t.TempDir()
	packed, plain := filepath.Join(folder, "f.wsq"), filepath.Join(folder, "f.pgm")
	code, out, notes := ctl("--json", "wsq", "encode", "--rate", "2.25", in, packed)
	var made encodedReport
	if err := json.Unmarshal([]byte(out), &made); err != nil || code != 0 || made.Width != 60 || made.PPI != 500 || made.Resampled != 1000 ||
		made.Rate != 2.25 || made.Certified || made.Algorithm != "loket-wsq" {
		t.Fatalf("%d %s %s %v", code, out, notes, err)
	}
	code, out, notes = ctl("--json", "wsq", "decode", packed, plain)
	var read decodedReport
	if err := json.Unmarshal([]byte(out), &read); err != nil || code != 0 || read.Height != 45 || read.PPI != 500 || read.Rate != 2.25 || len(read.Comments) != 2 {
		t.Fatalf("%d %s %s %v", code, out, notes, err)
	}
	data, err := os.ReadFile(packed)
	if err != nil || len(data) != made.Bytes {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	want, err := wsq.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(plain); err != nil || !bytes.Equal(got, pgm.Encode(want.Gray)) {
		t.Errorf("the pixels are others: %v", err)
	}
	if code, out, _ := ctl("finger", "info", packed); code != 0 || out != "wsq, 60 x 45 px, 500 ppi (as the file says)\n" {
		t.Errorf("%d %q", code, out)
	}
	code, out, notes = ctl("wsq", "encode", packed, filepath.Join(folder, "again.wsq"))
	if code != 0 || !strings.Contains(out, "60 x 45 px at 500 ppi") || !strings.Contains(notes, "second loss") || !strings.Contains(notes, "not certified") {
		t.Errorf("%d %q %q", code, out, notes)
	}
}

func TestTheInputIsNeverWrittenOver(t *testing.T) {
	in := written(t, "f.pgm", pgm.Encode(ramp(60, 50)))
	link := in + ".wsq"
	if err := os.Symlink(in, link); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(in)
	for _, out := range []string{in, link, filepath.Dir(in) + "/./f.pgm"} {
		if code, _, notes := ctl("wsq", "encode", in, out); code != 1 || !strings.Contains(notes, "it is the input") {
			t.Errorf("%s: %d %q", out, code, notes)
		}
	}
	if after, _ := os.ReadFile(in); !bytes.Equal(before, after) {
		t.Error("the input has changed")
	}
	packed := filepath.Join(t.TempDir(), "f.wsq")
	if code, _, notes := ctl("wsq", "encode", in, packed); code != 0 {
		t.Fatal(notes)
	}
	if code, _, notes := ctl("wsq", "decode", packed, packed); code != 1 || !strings.Contains(notes, "it is the input") {
		t.Errorf("%d %q", code, notes)
	}
}

func TestWhatCanNotBeConvertedSaysWhy(t *testing.T) {
	in := written(t, "f.pgm", pgm.Encode(image.NewGray(image.Rect(0, 0, 9, 9))))
	out := filepath.Join(t.TempDir(), "out")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"wsq", "decode", in, out}, "not a sound WSQ file"},
		{[]string{"wsq", "decode", in + ".none", out}, "no such file"},
		{[]string{"wsq", "encode", "--rate", "99", in, out}, "0.75 is usual"},
		{[]string{"wsq", "encode", in, filepath.Join(out, "deeper")}, "no such file"},
		{[]string{"wsq", "encode", "--ppi", "72", in, out}, "--ppi 500"},
	} {
		if code, _, notes := ctl(c.args...); code != 1 || !strings.Contains(notes, c.says) {
			t.Errorf("%v: %d %q", c.args, code, notes)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%v left a file", c.args)
		}
	}
}
