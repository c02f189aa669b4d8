package face

import (
	"testing"

	"loket/firmware-sim/synth"
	"loket/kiosk/biometric"
)

func TestSyntheticPeopleAreSeenAsTheySit(t *testing.T) {
	a := analyser(t)
	g := permit()
	for _, c := range []struct {
		scene synth.Scene
		fails string
	}{
		{synth.Scene{Who: 7000}, ""}, {synth.Scene{Who: 7002}, ""},
		{synth.Scene{Who: 9005}, ""}, {synth.Scene{Who: 9028}, ""}, // of the darkest skin
		{synth.Scene{Who: 9005, Light: 0.35}, Exposure},
		{synth.Scene{Who: 7001, MouthOpen: 1}, MouthClosed},
		{synth.Scene{Who: 7003, MouthOpen: 0.7}, MouthClosed},
		{synth.Scene{Who: 7001, EyesShut: 1}, EyesOpen},
		{synth.Scene{Who: 7002, EyesShut: 1}, EyesOpen},
	} {
		img, err := Decode(encode(t, c.scene.Render().Image, 92))
		if err != nil {
			t.Fatal(err)
		}
		r := a.Judge(img, Want{Criteria: criteria(), Portrait: &g})
		for _, j := range r.Judgements {
			switch {
			case len(r.Faces) != 1, j.Name == Background:
			case (j.Verdict == biometric.Fail) != (j.Name == c.fails):
				t.Errorf("%+v: %s is %s, %.3f", c.scene, j.Name, j.Verdict, j.Value)
			}
		}
		if len(r.Faces) != 1 {
			t.Errorf("%+v: %d faces", c.scene, len(r.Faces))
		}
	}
}
