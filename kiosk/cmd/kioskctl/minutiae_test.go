package main

import (
	"encoding/json"
	"strings"
	"testing"

	"loket/firmware-sim/synth"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/biometric/pgm"
)

// pressed writes one impression of somebody's finger.
func pressed(t *testing.T, who synth.Person, seed uint64) string {
	t.Helper()
	library := synth.Library{Dir: "../../../build/fingers"}
	m, err := library.Master(who.Finger(synth.RightIndex))
	if err != nil {
		t.Fatal(err)
	}
	return written(t, "finger.pgm", pgm.Encode(m.Impress(synth.Usual(seed), seed)))
}

func TestMinutiaeAreCountedAndListed(t *testing.T) {
	file := pressed(t, 1, 2)
	code, out, notes := ctl("--json", "finger", "minutiae", file)
	var got struct {
		Width, Height, PPI, Count int
		Minutiae                  []minutia
	}
	if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil {
		t.Fatalf("%d %s %v", code, notes, err)
	}
	if got.Width != synth.FingerWidth || got.Height != synth.FingerHeight || got.PPI != 500 || got.Count < 20 || got.Count != len(got.Minutiae) {
		t.Fatalf("%dx%d px, %d ppi, %d minutiae, %d listed", got.Width, got.Height, got.PPI, got.Count, len(got.Minutiae))
	}
	for _, m := range got.Minutiae {
		if m.X < 0 || m.X >= got.Width || m.Y < 0 || m.Y >= got.Height || m.Angle < 0 || m.Angle >= 360 || m.Quality < 1 || m.Quality > 100 ||
			m.Type != finger.RidgeEnding && m.Type != finger.Bifurcation {
			t.Errorf("one of them is %+v", m)
		}
	}
	_, text, _ := ctl("finger", "minutiae", file)
	if lines := strings.Count(text, "\n"); lines != got.Count+1 {
		t.Errorf("%d minutiae take %d lines", got.Count, lines)
	}
}

func TestTwoFilesAreOfOneFingerOrNot(t *testing.T) {
	file := pressed(t, 1, 2)
	for _, c := range []struct {
		other string
		same  bool
		says  string
	}{
		{pressed(t, 1, 3), true, "the same finger: score "},
		{pressed(t, 2, 3), false, "not shown to be the same finger: score "},
	} {
		code, out, notes := ctl("--json", "finger", "compare", file, c.other)
		var got struct {
			Score, Threshold float64
			Same             bool
		}
		if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil {
			t.Fatalf("%d %s %v", code, notes, err)
		}
		if got.Same != c.same || got.Threshold != finger.Threshold || (got.Score >= got.Threshold) != c.same {
			t.Errorf("%+v", got)
		}
		if _, text, _ := ctl("finger", "compare", file, c.other); !strings.HasPrefix(text, c.says) {
			t.Errorf("it says %q", text)
		}
	}
}

func TestWhatIsNoFingerImageIsNotCompared(t *testing.T) {
	file := written(t, "text.pgm", []byte("no picture"))
	for _, args := range [][]string{{"minutiae", file}, {"compare", file, file}} {
		if code, _, notes := ctl(append([]string{"finger"}, args...)...); code != 1 || !strings.Contains(notes, "hint:") {
			t.Errorf("%v: %d %s", args, code, notes)
		}
	}
}
