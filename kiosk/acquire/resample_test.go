package acquire

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"math"
	"slices"
	"strings"
	"testing"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/plan"
)

// fingerprint is a picture of arched ridges in an oval, so many pixels from one to the next.
func fingerprint(width, height int, period float64) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			dx, dy := float64(2*x)/float64(width)-1, float64(2*y)/float64(height)-1
			v := 255.0
			if dx*dx+dy*dy < 0.7 {
				v = 128 + 100*math.Sin(2*math.Pi*(float64(y)+40*dx*dx)/period)
			}
			m.Pix[y*m.Stride+x] = uint8(math.Round(v))
		}
	}
	return m
}

// lens is a scanner for one finger at any resolution.
type lens struct {
	scanner
	sensor drivers.Sensor
	finger *image.Gray
}

func (l *lens) Info() drivers.Info {
	info := l.scanner.Info()
	info.Sensor = &l.sensor
	return info
}

func (l *lens) Capture(context.Context, []biometric.FingerPosition, func(drivers.Progress)) (drivers.Image, error) {
	l.calls++
	m := &image.Gray{Pix: slices.Clone(l.finger.Pix), Stride: l.finger.Stride, Rect: l.finger.Rect}
	l.given = append(l.given, m)
	box := image.Rect(101, 100, 701, 800)
	return drivers.Image{Gray: m, PPI: l.sensor.PPI, Fingers: []drivers.FingerBox{{Box: box}}}, nil
}

func TestFinerScannersAreBroughtToThePolicysScale(t *testing.T) {
	st := supervised(t)
	st.Want, st.Compression = st.Want[:1], nil
	l := &lens{sensor: drivers.Sensor{Width: 1000, Height: 1000, PPI: 1000, Fingers: 1}, finger: fingerprint(1000, 1000, 18)}
	r, err := (&Acquirer{}).Capture(t.Context(), st, l, nil)
	if err != nil || r.Status != biometric.Accepted || len(r.Samples) != 1 {
		t.Fatalf("%s, %d samples, %v", r.Status, len(r.Samples), err)
	}
	s := r.Samples[0]
	img, err := png.Decode(bytes.NewReader(s.Data))
	if err != nil {
		t.Fatal(err)
	}
	if s.PPI != 500 || s.Width != 301 || s.Height != 350 || img.Bounds() != image.Rect(0, 0, 301, 350) {
		t.Errorf("%d ppi, %d x %d, %v", s.PPI, s.Width, s.Height, img.Bounds())
	}
	for where, q := range map[string]biometric.Quality{"sample": s.Quality, "outcome": r.Outcome.Findings[0].Quality,
		"attempt": r.Outcome.Attempts[0].Qualities[0].Quality} {
		if q.Measures[MeasureResampledFrom] != 1000 || len(q.Measures) < 2 {
			t.Errorf("the %s does not say where its pixels come from: %v", where, q.Measures)
		}
	}
	r.Wipe()
	nothingLeft(t, &l.scanner, &reader{})
}

func TestNativeScaleIsKeptWhereThePolicyDoesNotSpeakOfIt(t *testing.T) {
	for _, ppi := range []int{385, 512, 1000} {
		l := &lens{sensor: drivers.Sensor{Width: 1000, Height: 1000, PPI: ppi, Fingers: 1}, finger: fingerprint(1000, 1000, 18)}
		r, err := (&Acquirer{}).Capture(t.Context(), step(t, "device-test", "finger"), l, nil)
		if err != nil || len(r.Samples) != 1 {
			t.Fatalf("%d ppi: %s, %v", ppi, r.Status, err)
		}
		s := r.Samples[0]
		if _, said := s.Quality.Measures[MeasureResampledFrom]; s.PPI != ppi || s.Width != 600 || s.Height != 700 || said {
			t.Errorf("%d ppi, %d x %d, %v", s.PPI, s.Width, s.Height, s.Quality.Measures)
		}
		r.Wipe()
	}
}

func TestUnfitScannersDoNotCaptureForEnrolment(t *testing.T) {
	for _, sensor := range []drivers.Sensor{{Width: 256, Height: 180, PPI: 385, Fingers: 1}, {Width: 384, Height: 290, PPI: 512, Fingers: 1}, {}} {
		l := &lens{sensor: sensor, finger: fingerprint(1000, 1000, 18)}
		r, err := (&Acquirer{}).Capture(t.Context(), supervised(t), l, nil)
		var unfit *plan.UnfitError
		if !errors.As(err, &unfit) || r.Status != biometric.Faulted || l.calls != 0 || drivers.Verdict(err) != "" {
			t.Errorf("%+v: %s, %v", sensor, r.Status, err)
		}
		if err != nil && !strings.Contains(err.Error(), "does not serve for enrolment: ") {
			t.Errorf("no sentence that says why: %v", err)
		}
	}
}
