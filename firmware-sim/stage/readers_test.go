package stage_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
	"loket/kiosk/record"
	"loket/kiosk/record/ansinist"
)

// A reader for one finger in place of the scanner goes the whole way to a receipt, with the daemon that ships.
func TestAReaderForOneFingerGoesTheWholeWayToAReceipt(t *testing.T) {
	for name, width := range map[string]int{"uru4000": 384, "nb1010": 256} {
		t.Run(name, func(t *testing.T) {
			ctx, c := opened(t, stage.Options{Policy: "device-test", Sim: []string{"--device", name + ",ptp,hidcode"}})
			finger := pixels(t, part(t, intake(ctx, t, c), "fingers/02.png"))
			if got := finger.Bounds().Dx(); got != width {
				t.Errorf("the sealed finger is %d pixels wide, not the sensor's %d", got, width)
			}
		})
	}
}

func TestAScannerThatFitsIsUsedBesideOneThatDoesNot(t *testing.T) {
	ctx, c := opened(t, stage.Options{Sim: []string{"--device", "slap60,uru4000,ptp,hidcode"}})
	sealed, devices := intake(ctx, t, c), ""
	for _, d := range sealed.Manifest.Devices {
		devices += d.Model + " "
	}
	if strings.Contains(devices, "4500") {
		t.Errorf("the record names %s", devices)
	}
	otherSystemsReadIt(t, sealed)
}

// otherSystemsReadIt holds the files for other systems to what the record says.
func otherSystemsReadIt(t *testing.T, r *record.Record) {
	t.Helper()
	f, err := ansinist.Parse(part(t, r, "record.an2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range f.Records {
		position, _ := x.Int(13)
		if _, known := x.Field(904); x.Type >= 10 && !known {
			t.Errorf("a Type-%d record of record.an2 names no device", x.Type)
		}
		switch {
		case x.Type == 2:
			if reference, _ := x.Field(3); string(reference.Value) != r.Manifest.Subject.Reference {
				t.Error("record.an2 is of another subject")
			}
		case x.Type == 10 && !bytes.Equal(x.Image, part(t, r, "face.jpg")):
			t.Error("record.an2 holds another photograph")
		case x.Type == 14 && x.Image != nil && !bytes.Equal(x.Image, part(t, r, fmt.Sprintf("fingers/%02d.wsq", position))):
			t.Errorf("record.an2 holds another print of finger %d", position)
		}
	}
	if len(f.Records) != 5 {
		t.Errorf("record.an2 has %d records", len(f.Records))
	}
}

func TestAStationWithAScannerThatDoesNotFitSaysWhy(t *testing.T) {
	ctx, c := prepared(t, stage.Options{Sim: []string{"--device", "uru4000,ptp,hidcode"}})
	for _, name := range []string{stage.Central, stage.Queued, stage.Sim, stage.Kioskd} {
		if err := c.Start(name); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(ctx, t, c, "the reason", func(st api.Status) bool {
		for _, p := range st.Problems {
			if p.Code == "device-unfit" {
				return !st.Ready && strings.Contains(p.Text, "mm are less than") && p.Hint != ""
			}
		}
		return false
	})
	st, err := c.Kiosk.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range st.Devices {
		if d.Kind == "fingerprint-scanner" && (d.Verdict != "unfit" || !strings.Contains(d.Detail, "mm are less than") || d.ApplicantHint == "" || d.StaffHint == "") {
			t.Errorf("the scanner: %+v", d)
		}
	}
}
