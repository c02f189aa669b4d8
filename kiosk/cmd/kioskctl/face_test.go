package main

import (
	"encoding/json"
	"image"
	"os"
	"strings"
	"testing"

	"loket/kiosk/biometric/face"
)

func needCascades(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(face.Cascades); err != nil {
		t.Skip("OpenCV's cascades are not here (hint: apt-get install opencv-data)")
	}
}

func TestAPortraitIsCheckedByAPolicysCriteria(t *testing.T) {
	t.Attr("fixtures", "faces")
	needCascades(t)
	portrait := os.Getenv("LOKET_FIXTURES") + "/faces/astronaut.png"
	if _, err := os.Stat(portrait); err != nil {
		t.Skip("LOKET_FIXTURES holds no portrait")
	}
	code, out, notes := ctl("face", "check", portrait, "--policy", "identity-document-live", "--json")
	var p photograph
	if err := json.Unmarshal([]byte(out), &p); err != nil || code != 0 {
		t.Fatalf("%d, %s, %v", code, notes, err)
	}
	if p.Faces != 1 || len(p.Eyes) != 2 || p.Roll == nil || p.Box == nil || p.Algorithm != face.DetectorAlgorithm || p.Policy != "identity-document-live" || p.Digest == "" {
		t.Errorf("%+v", p)
	}
	seen := map[string]criterion{}
	for _, c := range p.Criteria {
		seen[c.Name] = c
	}
	if d := seen[face.EyeDistance]; d.Threshold != ">= 300" || d.Verdict != "fail" || !d.Mandatory || d.Value == nil || d.Hint != "come-closer" {
		t.Errorf("%+v", d)
	}
	if g := seen[face.Gaze]; g.Verdict != "not-available" || g.Value != nil || g.Mandatory {
		t.Errorf("%+v", g)
	}
	_, text, _ := ctl("face", "check", portrait)
	for _, says := range []string{"faces: 1", "eye-distance", ">= 120", "come-closer", "not-available", "by loket-face 1, policy nl-residence-permit"} {
		if !strings.Contains(text, says) {
			t.Errorf("the text does not say %q:\n%s", says, text)
		}
	}
}

func TestWhatIsNoPortraitIsSaid(t *testing.T) {
	needCascades(t)
	nobody := written(t, "nobody.png", pngOf(t, image.NewGray(image.Rect(0, 0, 300, 400)), 0))
	code, out, _ := ctl("face", "check", nobody, "--json")
	var p photograph
	if err := json.Unmarshal([]byte(out), &p); err != nil || code != 0 || p.Faces != 0 || p.Box != nil || p.Hint != "no-face" || p.Score != 0 {
		t.Errorf("%d, %+v, %v", code, p, err)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{written(t, "text", []byte("no picture"))}, "a PNG or a JPEG is wanted"},
		{[]string{nobody, "--cascades", t.TempDir()}, "hint: apt-get install opencv-data"},
		{[]string{nobody, "--policy", "none"}, "known are"},
	} {
		if code, _, notes := ctl(append([]string{"face", "check"}, c.args...)...); code != 1 || !strings.Contains(notes, c.says) {
			t.Errorf("%v: %d, %s", c.args[1:], code, notes)
		}
	}
}
