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
	"loket/kiosk/plan"
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
			steady: time.Second / 2, watch: func(Progress) { shown = append(shown, time.Since(start)) }}
		if _, err := c.view(&numbered{}); err != nil {
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

// person does better with time, at a camera's frames.
type person struct {
	started time.Time
	until   map[biometric.Hint]time.Duration // what is wrong, for how long; what is no fault of the eyes is mandatory
}

func (p *person) Analyse([]byte, face.Want) (face.Report, error) {
	r := face.Report{Meets: true, Quality: biometric.Quality{Score: 90}}
	for hint, until := range p.until {
		if time.Since(p.started) >= until {
			continue
		}
		r.Hint = hint
		if hint == biometric.HintOpenEyes {
			r.Mend = true
		} else {
			r.Meets = false
		}
	}
	return r, nil
}

func TestThePhotographWaitsForWhatThePersonCanMendAsLongAsThePolicySays(t *testing.T) {
	const shut, far, nobody = biometric.HintOpenEyes, biometric.HintComeCloser, biometric.HintNoFace
	for _, c := range []struct {
		name  string
		until map[biometric.Hint]time.Duration
		wait  *plan.FaceWait
		took  time.Duration
	}{
		{"nothing is wrong", nil, nil, 500 * time.Millisecond},
		{"the eyes open", map[biometric.Hint]time.Duration{shut: time.Second}, nil, 1500 * time.Millisecond},
		{"the eyes stay shut", map[biometric.Hint]time.Duration{shut: time.Hour}, nil, 4 * time.Second},
		{"the eyes stay shut once the person is near", map[biometric.Hint]time.Duration{far: 2 * time.Second, shut: time.Hour}, nil, 6 * time.Second},
		{"a policy that waits for nothing that is optional", map[biometric.Hint]time.Duration{shut: time.Hour}, &plan.FaceWait{MandatorySeconds: 3}, 500 * time.Millisecond},
		{"the person stays far", map[biometric.Hint]time.Duration{far: time.Hour}, nil, 8 * time.Second},
		{"another policy", map[biometric.Hint]time.Duration{far: time.Hour}, &plan.FaceWait{MandatorySeconds: 3}, 3 * time.Second},
		{"nobody comes", map[biometric.Hint]time.Duration{nobody: time.Hour}, nil, 16 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				st := step(t, "nl-residence-permit", "face")
				if c.wait != nil {
					st.Wait = c.wait
				}
				v := &capture{ctx: t.Context(), outer: t.Context(), step: st, face: &person{start, c.until}, now: time.Now, steady: time.Second / 2}
				if _, err := v.view(&numbered{}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < c.took || took > c.took+100*time.Millisecond { // three frames
					t.Errorf("released after %v, not %v", took, c.took)
				}
			})
		})
	}
}

// blinker sees open eyes in every frame, and shut ones in the photographs that begin with a 2.
type blinker struct{}

func (blinker) Analyse(data []byte, _ face.Want) (face.Report, error) {
	r := face.Report{Meets: true, Mend: data[0] == 2, Quality: biometric.Quality{Score: 90}}
	if r.Mend {
		r.Hint = biometric.HintOpenEyes
		r.Judgements = []face.Judgement{{Verdict: biometric.Fail}}
	} else {
		r.Judgements = []face.Judgement{{Verdict: biometric.Pass}}
	}
	return r, nil
}

func TestWhoBlinksIsPhotographedOnceMore(t *testing.T) {
	open, shut := taken{data: []byte{1}}, taken{data: []byte{2}}
	for _, c := range []struct {
		name   string
		shots  []taken
		views  [][]byte
		kept   byte
		counts int // attempts
	}{
		{"eyes open", []taken{open}, [][]byte{{1}}, 1, 1},
		{"a blink", []taken{shut, open}, [][]byte{{1}}, 1, 2},
		{"a blink each time", []taken{shut, shut, open}, [][]byte{{1}}, 2, 2},
		{"eyes that are shut before, too", []taken{shut, open}, [][]byte{{2}}, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, err := (&Acquirer{Face: blinker{}}).Capture(t.Context(), step(t, "nl-residence-permit", "face"), &camera{shots: c.shots, frames: c.views}, nil)
				if err != nil || r.Status != biometric.Accepted || r.Outcome.Forced || len(r.Samples) != 1 || r.Samples[0].Data[0] != c.kept || len(r.Outcome.Attempts) != c.counts {
					t.Errorf("%s, %d attempts, forced %v, %v", r.Status, len(r.Outcome.Attempts), r.Outcome.Forced, err)
				}
				r.Wipe()
			})
		})
	}
}

// sized is a camera that tells how large its photographs are.
type sized struct {
	camera
	width, height int
}

func (s *sized) StillSize(context.Context) (int, int, error) {
	if s.width == 0 {
		return 0, 0, errors.ErrUnsupported
	}
	return s.width, s.height, nil
}

func TestSomebodyTooFarForThePhotographIsToldInTheLiveView(t *testing.T) {
	frame := realJPEG(t, 1280, 720, 80)
	for _, c := range []struct {
		camera drivers.Camera
		width  int     // least of a portrait, px of the live view
		eyes   float64 // least distance
	}{
		{&sized{width: 1920, height: 1080}, 400, 80}, {&sized{width: 1280, height: 720}, 600, 120}, {&sized{}, 0, 0}, {&camera{}, 0, 0},
	} {
		v := &capture{step: step(t, "nl-residence-permit", "face"), still: stillSize(t.Context(), c.camera)}
		want := v.wantLive(frame, nil)
		eyes := want.Criteria[slices.IndexFunc(want.Criteria, func(c biometric.Criterion) bool { return c.Name == face.EyeDistance })]
		if want.Portrait.MinWidth != c.width || (eyes.Min == nil) != (c.eyes == 0) || eyes.Min != nil && *eyes.Min != c.eyes {
			t.Errorf("%+v: at least %d px, eyes %s", v.still, want.Portrait.MinWidth, eyes.Limits())
		}
	}
	v := &capture{step: step(t, "nl-residence-permit", "face"), face: judge{}, still: image.Pt(640, 480)}
	if _, err := v.look(photoOf(80, 1).data); err != nil || v.still != image.Pt(800, 1000) {
		t.Errorf("a camera that says otherwise is believed: %v, %v", v.still, err)
	}
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
