package acquire

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"sync"
	"time"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/face"
)

// errSteady ends a live view that shows what is wanted, or was waited for long enough.
var errSteady = errors.New("the view is steady")

// noOne is how many times longer patience is while nobody is seen: a photograph of an empty chair helps no one.
const noOne = 2

// view runs the live view until what it shows has been good for a while, or patience ends. A camera without live view is taken as
// it is. Frames are passed on as they come; they are judged beside that, the newest first, and what comes meanwhile is left out. right
// says that what it showed last was good in all that the person can mend.
func (c *capture) view(camera drivers.Camera) (right bool, err error) {
	patience, _ := c.step.Patience()
	ctx, cancel := context.WithTimeout(c.ctx, noOne*patience)
	defer cancel()
	began := c.now()
	w := &watcher{capture: c, changed: make(chan struct{}, 1)}
	var judging sync.WaitGroup
	judging.Go(func() { w.run(ctx) })
	err = camera.Frames(ctx, func(f drivers.Frame) error {
		hint, steady := w.offer(f.JPEG)
		c.tell(Progress{Frame: f.JPEG, Hint: hint})
		if hint == biometric.HintNoFace {
			began = c.now() // patience begins once somebody is there
		}
		if steady || c.now().Sub(began) >= patience {
			return errSteady
		}
		return nil
	})
	cancel()
	judging.Wait()
	w.wipe()
	right = !w.best.since.IsZero()
	switch {
	case err == nil, errors.Is(err, errSteady), errors.Is(err, errors.ErrUnsupported):
		return right, nil
	case ctx.Err() != nil && c.ctx.Err() == nil && drivers.Verdict(err) == "":
		return right, nil
	}
	return false, err
}

// watcher judges frames of a live view one after the other, always the newest.
type watcher struct {
	capture *capture
	changed chan struct{} // a frame is there

	mu     sync.Mutex
	newest []byte    // nil: none since the last
	at     time.Time // when it came
	spare  []byte    // the other buffer
	hint   biometric.Hint
	steady bool

	before *face.Face // of the frame before; run's own
	frames int        // that were judged
	good   spell      // of all that is mandatory
	best   spell      // of that and all that the person can mend
}

// offer puts a copy of a frame up for judgement and gives what is known of those before.
func (w *watcher) offer(jpeg []byte) (hint biometric.Hint, steady bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.newest == nil {
		w.newest, w.spare = w.spare, nil
	}
	clear(w.newest)
	w.newest, w.at = append(w.newest[:0], jpeg...), w.capture.now()
	select {
	case w.changed <- struct{}{}:
	default:
	}
	return w.hint, w.steady
}

// judgeEvery is how often frames are judged at least, where that can be: after a frame the analyser rests for as long as it took, and leaves
// its core to the frames that are shown.
const judgeEvery = time.Second / 10

// run judges until ctx ends.
func (w *watcher) run(ctx context.Context) {
	var took time.Duration
	for {
		wait(ctx, time.After(min(took, judgeEvery-took)))
		wait(ctx, w.changed)
		if ctx.Err() != nil {
			return
		}
		began := time.Now()
		w.mu.Lock()
		frame, at := w.newest, w.at
		w.newest = nil
		w.mu.Unlock()
		good, best, hint := w.judge(frame)
		took = time.Since(began)
		w.mu.Lock()
		w.hint, w.steady = hint, w.lasting(good, best, at)
		clear(frame)
		w.spare = frame[:0]
		w.mu.Unlock()
	}
}

// wait waits for a channel, or until ctx ends.
func wait[T any](ctx context.Context, c <-chan T) {
	select {
	case <-ctx.Done():
	case <-c:
	}
}

// judge looks at one frame: whether all that is mandatory holds, and also all that the person can mend. A frame that can't be judged is
// not good.
func (w *watcher) judge(frame []byte) (good, best bool, hint biometric.Hint) {
	report, err := w.capture.face.Analyse(frame, w.want(frame))
	w.before = nil
	if err != nil {
		return false, false, biometric.HintNone
	}
	if len(report.Faces) == 1 {
		w.before = &report.Faces[0]
	}
	good = report.Meets && report.Quality.Score >= w.capture.step.Threshold
	return good, good && !report.Mend, report.Hint
}

// want is what the next frame must reach, seen after those before.
func (w *watcher) want(frame []byte) face.Want {
	want := w.capture.wantLive(frame, w.before)
	w.frames++
	want.Frame = w.frames
	return want
}

// lasting reports whether frames up to one that came at a time have been good for long enough: all in all, or for as long as the policy
// waits for what is optional.
func (w *watcher) lasting(good, best bool, at time.Time) bool {
	_, optional := w.capture.step.Patience()
	steady := w.capture.steady
	lasts := w.good.goesOn(good, at)
	return w.best.goesOn(best, at) >= steady && best || good && lasts >= max(steady, optional)
}

// spell is a time in which something held without a break.
type spell struct{ since time.Time } // zero: it does not hold

// goesOn gives how long it has held, up to now.
func (s *spell) goesOn(holds bool, now time.Time) time.Duration {
	switch {
	case !holds:
		s.since = time.Time{}
		return 0
	case s.since.IsZero():
		s.since = now
	}
	return now.Sub(s.since)
}

func (w *watcher) wipe() {
	clear(w.newest[:cap(w.newest)])
	clear(w.spare[:cap(w.spare)])
}

// wantLive is what a frame of the live view must reach. How many pixels a photograph will have is judged where the camera tells how much
// larger than a frame that is.
func (c *capture) wantLive(frame []byte, before *face.Face) face.Want {
	want := face.Want{Before: before}
	if c.step.Image == nil || len(c.step.Criteria) == 0 {
		return want
	}
	part := c.part(frame)
	g := c.geometry().Scaled(part)
	want.Portrait = &g
	for _, criterion := range c.step.Criteria {
		switch criterion.Name {
		case face.ImageWidth, face.ImageHeight:
			continue
		case face.EyeDistance:
			criterion = scaled(criterion, part)
		}
		want.Criteria = append(want.Criteria, criterion)
	}
	return want
}

// part is how wide a frame is as a share of a photograph; 0 where that is not known.
func (c *capture) part(frame []byte) float64 {
	if c.still.X == 0 {
		return 0
	}
	config, err := jpeg.DecodeConfig(bytes.NewReader(frame))
	if err != nil {
		return 0
	}
	return float64(config.Width) / float64(c.still.X)
}

// scaled is a criterion for lengths in px that come out as a share of what they will be; for 0 it asks for nothing.
func scaled(c biometric.Criterion, part float64) biometric.Criterion {
	limit := func(v *float64) *float64 {
		if v == nil || part == 0 {
			return nil
		}
		return new(*v * part)
	}
	c.Min, c.Max = limit(c.Min), limit(c.Max)
	return c
}

// geometry is that of the step's photograph.
func (c *capture) geometry() face.Geometry {
	i := c.step.Image
	return face.Geometry{Fit: face.Fit{MaxWidth: i.MaxWidth, MaxHeight: i.MaxHeight, MaxBytes: i.MaxBytes}, MinWidth: i.MinWidth, MinHeight: i.MinHeight}
}
