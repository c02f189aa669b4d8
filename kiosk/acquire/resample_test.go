package acquire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// waves is a picture of stripes, so many pixels from one to the next.
func waves(width, height int, period float64, down bool) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			at := x
			if down {
				at = y
			}
			m.Pix[y*m.Stride+x] = uint8(math.Round(128 + 100*math.Sin(2*math.Pi*(float64(at)+0.5)/period)))
		}
	}
	return m
}

// swing is how far the middle of a picture goes from dark to bright.
func swing(m *image.Gray) int {
	least, most := 255, 0
	for y := m.Rect.Dy() / 4; y < m.Rect.Dy()*3/4; y++ {
		for x := m.Rect.Dx() / 4; x < m.Rect.Dx()*3/4; x++ {
			v := int(m.GrayAt(x, y).Y)
			least, most = min(least, v), max(most, v)
		}
	}
	return most - least
}

func TestRidgesStayAndWhatIsTooFineGoes(t *testing.T) {
	for _, down := range []bool{false, true} {
		for _, c := range []struct {
			from        int
			period      float64 // px of the finer image
			least, most int     // of 200
		}{
			{1000, 18, 196, 202},    // ridges, 0.46 mm from one to the next
			{1000, 7.3, 185, 202},   // pores and the like
			{1000, 3, 0, 10},        // finer than the coarser image can show: would come back as a pattern that is not there
			{1000, 2.2, 0, 3},       //
			{512, 9.2, 194, 202},    // ridges
			{2000, 36, 196, 202},    //
			{1999, 4.0001, 0, 3},    //
			{1000, 1000000, 0, 202}, // flat
		} {
			out := resample(waves(600, 600, c.period, down), c.from, 500)
			if want := (600*500 + c.from/2) / c.from; out.Rect != image.Rect(0, 0, want, want) {
				t.Errorf("%d: %v", c.from, out.Rect)
			}
			if got := swing(out); got < c.least || got > c.most {
				t.Errorf("stripes of %v px at %d ppi swing by %d, not %d to %d", c.period, c.from, got, c.least, c.most)
			}
		}
	}
}

func TestResampledStripesLieWhereTheyLay(t *testing.T) {
	want := waves(400, 10, 9, false)
	got := resample(waves(800, 20, 18, false), 1000, 500)
	for i, v := range got.Pix {
		if x := i % 400; x > 5 && x < 395 && math.Abs(float64(v)-float64(want.Pix[i])) > 4 {
			t.Fatalf("pixel %d is %d, not %d", x, v, want.Pix[i])
		}
	}
}

func TestFlatStaysFlatAndExtremesStayInBounds(t *testing.T) {
	for _, v := range []uint8{0, 1, 127, 254, 255} {
		m := image.NewGray(image.Rect(0, 0, 31, 17))
		for i := range m.Pix {
			m.Pix[i] = v
		}
		for _, from := range []int{506, 512, 777, 1000, 4000} {
			out := resample(m, from, 500)
			if i := slices.IndexFunc(out.Pix, func(p uint8) bool { return p != v }); i >= 0 {
				t.Errorf("a flat %d at %d ppi has a %d", v, from, out.Pix[i])
			}
		}
	}
	edge := image.NewGray(image.Rect(0, 0, 200, 200))
	for i := range edge.Pix {
		edge.Pix[i] = uint8(255 * (i / 100 % 2))
	}
	out := resample(edge, 1000, 500)
	if out.Pix[20] != 0 || out.Pix[80] != 255 {
		t.Errorf("beside an edge: %d", out.Pix[:100])
	}
}

func TestOnePixelIsResampled(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 1, 1))
	m.Pix[0] = 9
	if out := resample(m, 4000, 500); len(out.Pix) != 1 || out.Pix[0] != 9 {
		t.Errorf("%v", out)
	}
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
	box := image.Rect(101, 100, 801, 900)
	return drivers.Image{Gray: m, PPI: l.sensor.PPI, Fingers: []drivers.FingerBox{{Box: box}}}, nil
}

func TestFinerScannersAreBroughtToThePolicysScale(t *testing.T) {
	st := supervised(t)
	st.Want = st.Want[:1]
	l := &lens{sensor: drivers.Sensor{Width: 1000, Height: 1000, PPI: 1000, Fingers: 1}, finger: waves(1000, 1000, 18, true)}
	r, err := (&Acquirer{}).Capture(t.Context(), st, l, nil)
	if err != nil || r.Status != biometric.Accepted || len(r.Samples) != 1 {
		t.Fatalf("%s, %d samples, %v", r.Status, len(r.Samples), err)
	}
	s := r.Samples[0]
	img, err := png.Decode(bytes.NewReader(s.Data))
	if err != nil {
		t.Fatal(err)
	}
	if s.PPI != 500 || s.Width != 351 || s.Height != 400 || img.Bounds() != image.Rect(0, 0, 351, 400) {
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
		l := &lens{sensor: drivers.Sensor{Width: 1000, Height: 1000, PPI: ppi, Fingers: 1}, finger: waves(1000, 1000, 18, true)}
		r, err := (&Acquirer{}).Capture(t.Context(), step(t, "device-test", "finger"), l, nil)
		if err != nil || len(r.Samples) != 1 {
			t.Fatalf("%d ppi: %s, %v", ppi, r.Status, err)
		}
		s := r.Samples[0]
		if _, said := s.Quality.Measures[MeasureResampledFrom]; s.PPI != ppi || s.Width != 700 || s.Height != 800 || said {
			t.Errorf("%d ppi, %d x %d, %v", s.PPI, s.Width, s.Height, s.Quality.Measures)
		}
		r.Wipe()
	}
}

func TestUnfitScannersDoNotCaptureForEnrolment(t *testing.T) {
	for _, sensor := range []drivers.Sensor{{Width: 256, Height: 180, PPI: 385, Fingers: 1}, {Width: 384, Height: 290, PPI: 512, Fingers: 1}, {}} {
		l := &lens{sensor: sensor, finger: waves(1000, 1000, 18, true)}
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

func FuzzResample(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6}, uint8(2), uint16(1000))
	f.Add([]byte{255}, uint8(1), uint16(4000))
	f.Fuzz(func(t *testing.T, pix []byte, width uint8, from uint16) {
		w := int(width)
		ppi := max(int(from)%4000, 506)
		if w == 0 || len(pix) < w || len(pix) > 1<<14 {
			return
		}
		h := len(pix) / w
		m := &image.Gray{Pix: pix[:w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}
		out := resample(m, ppi, 500)
		if out.Rect.Dx() > w || out.Rect.Dy() > h || out.Rect.Empty() {
			t.Error(fmt.Sprint(m.Rect, ppi, out.Rect))
		}
	})
}

func BenchmarkResample(b *testing.B) {
	m := waves(3200, 3000, 18, true)
	b.SetBytes(int64(len(m.Pix)))
	for b.Loop() {
		resample(m, 1000, 500)
	}
}
