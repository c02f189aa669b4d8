package acquire

import (
	"errors"
	"image"
	"math"
	"slices"
	"testing"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/wsq"
	"loket/kiosk/plan"
)

// like is how far two pictures differ, in decibels.
func like(a, b *image.Gray) float64 {
	sum := 0.0
	for i, v := range a.Pix {
		d := float64(v) - float64(b.Pix[i])
		sum += d * d
	}
	return 10 * math.Log10(255*255*float64(len(a.Pix))/max(sum, 1))
}

// bent is a picture of stripes that turn, under noise, as a finger has them.
func bent(width, height int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, width, height))
	seed := uint32(1)
	for i := range m.Pix {
		x, y := float64(i%width), float64(i/width)
		seed = seed*1664525 + 1013904223
		m.Pix[i] = uint8(128 + 90*math.Sin(0.7*math.Hypot(x-200, 0.7*(y-260))) + float64(seed>>28))
	}
	return m
}

func TestAFingerIsCompressedOnceByThePolicysRule(t *testing.T) {
	img := bent(416, 560)
	s := shot{position: biometric.LeftIndex, image: img, ppi: 500}
	for _, limits := range [][2]float64{{10, 20}, {10, 11}, {19, 20}} {
		rule := &plan.CompressionRule{Format: "wsq", Rate: 0.75, LeastRatio: limits[0], MostRatio: limits[1]}
		sample, err := (&capture{step: plan.Step{Compression: rule}, encoder: wsqEncoder{}}).sample(s)
		if err != nil || sample.MediaType != "image/x-wsq" || sample.Compression == nil {
			t.Fatalf("%s, %v", sample.MediaType, err)
		}
		back, err := wsq.Decode(sample.Data)
		if err != nil || back.PPI != 500 || sample.Width != back.Width || sample.Height != back.Height {
			t.Fatalf("%+v, %v", back.Header, err)
		}
		ratio := float64(len(img.Pix)) / float64(len(sample.Data))
		if c := sample.Compression; math.Abs(c.Ratio-ratio) > 0.005 || ratio < limits[0] || ratio > limits[1] || c.Algorithm != "loket-wsq" || c.Version != "1" {
			t.Errorf("%+v, %.2f:1", c, ratio)
		}
		if db := like(img, back.Gray); db < 25 {
			t.Errorf("%.1f:1 gives %.1f dB", ratio, db)
		}
	}
}

// refusing is an encoder that fails.
type refusing struct{ err error }

func (r refusing) Compress(*image.Gray, int, plan.CompressionRule) ([]byte, biometric.Compression, error) {
	return nil, biometric.Compression{}, r.err
}

func TestAnotherEncoderIsPluggedIn(t *testing.T) {
	st := supervised(t)
	st.Want = st.Want[:1]
	finger := func() *lens {
		return &lens{sensor: drivers.Sensor{Width: 1000, Height: 1000, PPI: 500, Fingers: 1}, finger: fingerprint(1000, 1000, 9)}
	}
	broken := errors.New("the licence is gone")
	r, err := (&Acquirer{Encoder: refusing{broken}}).Capture(t.Context(), st, finger(), nil)
	if !errors.Is(err, broken) || r.Status != biometric.Faulted || len(r.Samples) != 0 {
		t.Errorf("%s, %d samples, %v", r.Status, len(r.Samples), err)
	}
	r, err = (&Acquirer{Encoder: refusing{wsq.ErrRatio}}).Capture(t.Context(), st, finger(), nil)
	if err != nil || len(r.Samples) != 1 || r.Samples[0].MediaType != "image/png" || r.Samples[0].Compression != nil {
		t.Errorf("where no rate gives the ratio the image is not kept without loss: %s, %v", r.Status, err)
	}
	r.Wipe()
}

func TestAnImageOfNothingLosesNothing(t *testing.T) {
	rule := &plan.CompressionRule{Format: "wsq", Rate: 0.75, LeastRatio: 10, MostRatio: 20}
	s := shot{position: biometric.RightIndex, image: image.NewGray(image.Rect(0, 0, 400, 400)), ppi: 500}
	sample, err := (&capture{step: plan.Step{Compression: rule}, encoder: wsqEncoder{}}).sample(s)
	if err != nil || sample.MediaType != "image/png" || slices.Max(s.image.Pix) != 0 {
		t.Errorf("%s, %v", sample.MediaType, err)
	}
}
