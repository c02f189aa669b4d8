package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"loket/firmware-sim/synth"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/biometric/pgm"
)

func TestFingersAreJudgedEachAndTheOthersStillWhereOneIsNone(t *testing.T) {
	library := synth.Library{Dir: "../../../build/fingers"}
	master, err := library.Master(synth.Person(3).Finger(synth.RightIndex))
	if err != nil {
		t.Fatal(err)
	}
	clean := written(t, "clean.pgm", pgm.Encode(master.Impress(synth.Usual(1), 1)))
	wet := written(t, "wet.pgm", pgm.Encode(master.Impress(synth.Wet(1), 1)))
	empty := written(t, "empty.pgm", []byte("P2\n3 3\n255\n255 255 255 255 255 255 255 255 255\n"))
	code, out, notes := ctl("--json", "finger", "quality", clean, empty, clean+".none", wet)
	var got []judged
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 1 || len(got) != 4 || !strings.Contains(notes, "2 of 4") {
		t.Fatalf("%d %s %s %v", code, out, notes, err)
	}
	for i, path := range []string{clean, empty, clean + ".none", wet} {
		j, fails := got[i], i == 1 || i == 2
		if j.File != path || (j.Error != "") != fails || (j.Score == nil) != fails || (len(j.Measures) == 0) != fails {
			t.Errorf("%s: %+v", path, j)
		}
		if fails {
			continue
		}
		if j.Algorithm != finger.Algorithm || j.Version != finger.Version || !slices.Equal(j.Own, finger.OwnMeasures()) {
			t.Errorf("%s: %+v", path, j)
		}
		for _, name := range finger.MeasureNames() {
			if _, ok := j.Measures[name]; !ok {
				t.Errorf("%s: %s is missing", path, name)
			}
		}
	}
	if *got[0].Score < 60 || *got[3].Score >= 30 || got[3].Hint != "too-wet" {
		t.Errorf("clean %d, wet %d (%s)", *got[0].Score, *got[3].Score, got[3].Hint)
	}
}

func TestAScoreStandsBesideItsWords(t *testing.T) {
	library := synth.Library{Dir: "../../../build/fingers"}
	master, err := library.Master(synth.Person(3).Finger(synth.RightIndex))
	if err != nil {
		t.Fatal(err)
	}
	clean := written(t, "clean.pgm", pgm.Encode(master.Impress(synth.Usual(1), 1)))
	model := written(t, "model.json", []byte(`{"format": "loket-finger-quality-model/1", "algorithm": "of-the-site", "version": "7", "trees": [[{"value": 33}]]}`))
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{clean}, 0, "of 100, very good (loket-nfiq2-estimate 1)"},
		{[]string{"--model", model, clean}, 0, "33 of 100, enough (of-the-site 7)"},
		{[]string{"--model", clean, clean}, 1, "reading a quality model"},
		{[]string{"--model", model + ".none", clean}, 1, "no such file"},
	} {
		code, out, notes := ctl(append([]string{"finger", "quality"}, c.args...)...)
		if code != c.code || !strings.Contains(out+notes, c.says) {
			t.Errorf("%v: %d %s %s", c.args, code, out, notes)
		}
		if c.code == 0 && (!strings.Contains(out, "our own minutiae") || strings.Count(out, "\n") < 15) {
			t.Error(out)
		}
	}
}
