package plan

import (
	"errors"
	"strings"
	"testing"
)

func enrolment() SensorRule {
	return SensorRule{Purpose: ForEnrolment, PPI: 500, Tolerance: 1, MinWidth: 16, MinHeight: 20, Finer: true}
}

func TestSensorsAreJudgedForEnrolment(t *testing.T) {
	for _, c := range []struct {
		why                string
		width, height, ppi int
		says               string // nothing: it serves
		scale              int
	}{
		{"four fingers", 1600, 1500, 500, "", 500},
		{"just large enough", 315, 394, 500, "", 500},
		{"too narrow by a pixel", 314, 394, 500, "15.95 x 20.02 mm are less than 16 x 20 mm", 500},
		{"too low by a pixel", 315, 393, 500, "are less than 16 x 20 mm", 500},
		{"within one per cent below", 1600, 1500, 495, "", 495},
		{"beyond one per cent below", 1600, 1500, 494, "494 pixels an inch are less than 500 (within 1 %)", 494},
		{"within one per cent above", 1600, 1500, 505, "", 505},
		{"beyond one per cent above", 1600, 1500, 506, "", 500},
		{"twice as fine", 3200, 3000, 1000, "", 500},
		{"absurdly fine", 32000, 30000, 9999, "can't be true", 500},
		{"a NEXT NB-1010-U", 256, 180, 385, "385 pixels an inch are less than 500 (within 1 %), and 16.89 x 11.88 mm are less than 16 x 20 mm", 385},
		{"a U.are.U 4500", 384, 290, 512, "19.05 x 14.39 mm are less than 16 x 20 mm", 500},
		{"one that tells nothing", 0, 0, 0, "does not tell", 0},
	} {
		err := enrolment().Judge(c.width, c.height, c.ppi)
		var unfit *UnfitError
		if (c.says == "") != (err == nil) || err != nil && (!errors.As(err, &unfit) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "enrolment")) {
			t.Errorf("%s: %v, not %q", c.why, err, c.says)
		}
		if got := enrolment().Scale(c.ppi); got != c.scale {
			t.Errorf("%s: images are kept at %d, not %d", c.why, got, c.scale)
		}
	}
}

func TestFinerSensorsServeWhereThePolicySaysSo(t *testing.T) {
	r := enrolment()
	r.Finer = false
	if err := r.Judge(3200, 3000, 1000); err == nil || !strings.Contains(err.Error(), "1000 pixels an inch are not 500") {
		t.Errorf("%v", err)
	}
}

func TestEverySensorServesForVerification(t *testing.T) {
	for _, r := range []SensorRule{{}, {Purpose: ForVerification}} {
		if err := r.Judge(256, 180, 385); err != nil || r.Scale(385) != 385 || r.Scale(1000) != 1000 {
			t.Errorf("%+v: %v", r, err)
		}
	}
	r := SensorRule{Purpose: ForVerification, MinWidth: 17}
	if err := r.Judge(256, 180, 385); err == nil || !strings.Contains(err.Error(), "verification") || strings.Contains(err.Error(), "hint") {
		t.Errorf("a rule for verification that is stricter: %v", err)
	}
}

func TestPoliciesForEnrolmentAskForEnough(t *testing.T) {
	for _, c := range []struct{ before, after string }{
		{`"ppi": 500`, `"ppi": 499`}, {`"tolerance_percent": 1`, `"tolerance_percent": 2`}, {`"min_width_mm": 16`, `"min_width_mm": 15`},
		{`"min_height_mm": 20`, `"min_height_mm": 19`}, {`"purpose": "enrolment", "ppi": 500`, `"purpose": "enrolment"`}, {`"purpose": "enrolment"`, `"purpose": "fun"`},
		{`"sensor": {`, `"censor": {`},
	} {
		if _, err := edited(t, supervised, c.before, c.after); err == nil || !strings.Contains(err.Error(), "sensor") && !strings.Contains(err.Error(), "enrolment") {
			t.Errorf("%s: %v", c.after, err)
		}
	}
	if _, err := edited(t, supervised, `"purpose": "enrolment", "ppi": 500`, `"purpose": "verification", "ppi": 300`); err != nil {
		t.Error(err)
	}
	for id, want := range map[string]Purpose{supervised: ForEnrolment, selfService: ForEnrolment, "device-test": ForVerification} {
		if got := load(t, id).Finger.Sensor.Purpose; got != want {
			t.Errorf("%s is for %s", id, got)
		}
	}
}
