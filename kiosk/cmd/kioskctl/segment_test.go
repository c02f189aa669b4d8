package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"loket/firmware-sim/synth"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/pgm"
)

func TestASlapIsCutIntoFilesNamedByPosition(t *testing.T) {
	fingers := synth.Library{Dir: "../../../build/fingers"}
	img, _, err := fingers.Slap(synth.Slap{Who: 1, Fingers: []synth.Position{synth.LeftIndex, synth.LeftMiddle, synth.LeftLittle},
		Touch: synth.Usual(2), Seed: 2, UpsideDown: true, Lifelike: &synth.Lifelike{}})
	if err != nil {
		t.Fatal(err)
	}
	slap, dir := written(t, "slap.pgm", pgm.Encode(img)), filepath.Join(t.TempDir(), "out")
	code, out, notes := ctl("--json", "finger", "segment", "--kind", "left-four", slap, dir)
	var got segmented
	if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil {
		t.Fatalf("%d %s %v", code, notes, err)
	}
	if got.Hand != "left" || got.WrongHand || !got.UpsideDown || len(got.Fingers) != 3 || len(got.Missing) != 1 || got.Missing[0].Name != "left-ring" {
		t.Errorf("%+v", got)
	}
	for _, f := range got.Fingers {
		data, err := os.ReadFile(f.File)
		if err != nil {
			t.Fatal(err)
		}
		cut, err := pgm.Decode(data)
		if err != nil || cut.Rect.Dx() != f.Width || cut.Rect.Dy() != f.Height || f.Box.Right-f.Box.Left < 150 {
			t.Errorf("%s: %v, %+v", f.Name, err, f.Box)
		}
	}
	names, _ := filepath.Glob(dir + "/*")
	if want := []string{dir + "/07.pgm", dir + "/08.pgm", dir + "/10.pgm"}; !slices.Equal(names, want) {
		t.Errorf("%v", names)
	}
	code, out, notes = ctl("finger", "segment", "--kind", "right-four", "--absent", "right-ring", slap, dir)
	if code != 0 || !strings.Contains(out, "wrong hand\nupside down\n") || !strings.Contains(out, biometric.LeftLittle.String()) {
		t.Errorf("%d %s %s", code, out, notes)
	}
}

func TestASlapThatIsNoneIsRefused(t *testing.T) {
	slap := written(t, "slap.pgm", pgm.Encode(ramp(40, 30)))
	for _, args := range [][]string{
		{"--kind", "right-ear", slap, t.TempDir()},
		{"--kind", "thumbs", "--absent", "nose", slap, t.TempDir()},
		{"--kind", "thumbs", "--ppi", "150", slap, t.TempDir()},
		{"--kind", "thumbs", slap + ".none", t.TempDir()},
		{"--kind", "thumbs", slap, filepath.Join(slap, "below")},
	} {
		if code, out, notes := ctl(append([]string{"finger", "segment"}, args...)...); code == 0 || out != "" || notes == "" {
			t.Errorf("%v: %d %q %q", args, code, out, notes)
		}
	}
}
