package acquire

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/firmware-sim/synth"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/face"
)

// slow is an analyser that takes its time, and counts how often it is asked at once.
type slow struct {
	takes    time.Duration
	at, most atomic.Int32
	seen     []byte // the first byte of each frame
	mu       sync.Mutex
}

func (s *slow) Analyse(data []byte, _ face.Want) (face.Report, error) {
	s.most.Store(max(s.most.Load(), s.at.Add(1)))
	defer s.at.Add(-1)
	s.mu.Lock()
	s.seen = append(s.seen, data[0])
	s.mu.Unlock()
	time.Sleep(s.takes)
	return face.Report{Meets: true, Quality: biometric.Quality{Score: 90}, Hint: biometric.HintHoldStill}, nil
}

// numbered is a camera whose frames count up, thirty a second.
type numbered struct{ camera }

func (*numbered) Frames(ctx context.Context, fn func(drivers.Frame) error) error {
	for i := byte(0); ; i++ {
		if err := fn(drivers.Frame{JPEG: []byte{i}}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second / 30):
		}
	}
}

func TestPreviewFramesDoNotWaitForTheAnalyserWhichSeesTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		analyser := &slow{takes: 90 * time.Millisecond}
		var shown []time.Duration
		start := time.Now()
		c := &capture{ctx: t.Context(), outer: t.Context(), step: step(t, "nl-residence-permit", "face"), face: analyser, now: time.Now,
			steady: time.Second / 2, patience: 3 * time.Second, watch: func(Progress) { shown = append(shown, time.Since(start)) }}
		if err := c.view(&numbered{}); err != nil {
			t.Fatal(err)
		}
		for i, at := range shown {
			if want := time.Duration(i) * (time.Second / 30); at != want {
				t.Fatalf("frame %d is shown at %v, not %v", i, at, want)
			}
		}
		took := time.Since(start)
		perSecond := float64(len(analyser.seen)) / took.Seconds()
		if analyser.most.Load() != 1 || perSecond < 9 || took < time.Second/2 || took > time.Second/2+4*analyser.takes { // steady, and what was judged before and after
			t.Errorf("%d at once, %.1f frames judged a second, released after %v", analyser.most.Load(), perSecond, took)
		}
		for i := 1; i < len(analyser.seen)-1; i++ { // the last may be one that came when all was over
			if analyser.seen[i] < analyser.seen[i-1]+2 {
				t.Errorf("an old frame was judged: %v", analyser.seen)
			}
		}
	})
}

func TestTheBestShotHasMostMandatoryCriteriaThenMostOptionalThenIsTheNewest(t *testing.T) {
	shot := func(id byte, mandatory, optional int) *photo {
		p := &photo{data: []byte{id}}
		for i := range 6 {
			j := face.Judgement{Verdict: biometric.Fail}
			if j.Mandatory = i < 3; j.Mandatory && i < mandatory || !j.Mandatory && i-3 < optional {
				j.Verdict = biometric.Pass
			}
			p.report.Judgements = append(p.report.Judgements, j)
		}
		return p
	}
	for _, c := range []struct {
		shots []*photo
		best  byte
	}{
		{[]*photo{shot(1, 1, 3), shot(2, 2, 0)}, 2},
		{[]*photo{shot(1, 2, 0), shot(2, 1, 3)}, 1},
		{[]*photo{shot(1, 2, 2), shot(2, 2, 1)}, 1},
		{[]*photo{shot(1, 2, 1), shot(2, 2, 1), shot(3, 2, 1)}, 3},
	} {
		var best *photo
		for _, s := range c.shots {
			best = best.or(s)
		}
		left := slices.DeleteFunc(slices.Clone(c.shots), func(p *photo) bool { return p.data[0] == 0 })
		if best.data[0] != c.best || len(left) != 1 {
			t.Errorf("%d is kept, not %d; %d are not overwritten", best.data[0], c.best, len(left))
		}
	}
}

// sitting is a synthetic person as a camera sees them.
func sitting(t *testing.T, s synth.Scene) (still, view []byte) {
	t.Helper()
	p := s.Render()
	encode := func(img image.Image) []byte {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 92}); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	return encode(p.Image), encode(p.View())
}

func TestAPersonIsPhotographedAsThePolicyAsks(t *testing.T) {
	analyser, err := face.Open(face.Cascades)
	if errors.Is(err, face.ErrNoCascades) {
		t.Skip("OpenCV's cascades are not here (hint: apt-get install opencv-data)")
	}
	if err != nil {
		t.Fatal(err)
	}
	still, view := sitting(t, synth.Scene{Who: 7001, Roll: 5})
	st := step(t, "nl-residence-permit", "face")
	cam := &camera{shots: []taken{{data: still}}, frames: [][]byte{view}}
	r, err := (&Acquirer{Face: analyser}).Capture(t.Context(), st, cam, nil)
	if err != nil || r.Status != biometric.Accepted || len(r.Samples) != 1 || r.Outcome.Forced {
		t.Fatalf("%s, %d samples, forced %v, %v", r.Status, len(r.Samples), r.Outcome.Forced, err)
	}
	s := r.Samples[0]
	m := s.Quality.Measures
	if s.Width < 600 || s.Width > 1200 || s.Height < 800 || len(s.Data) > 375000 || 3*s.Width*s.Height > 20*len(s.Data) ||
		m[face.Roll] > 1.5 || m[face.Roll] < -1.5 || m[face.EyeDistance] < 120 || s.Quality.Algorithm != face.DetectorAlgorithm {
		t.Errorf("%d x %d px, %d bytes, %v", s.Width, s.Height, len(s.Data), m)
	}
	if slices.Max(cam.given[0]) != 0 {
		t.Error("the camera's file was not overwritten")
	}
	r.Wipe()
}
