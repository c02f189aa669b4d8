package acquire

import (
	"context"
	"errors"
	"sync"
	"time"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/face"
)

// errSteady ends a live view that shows what is wanted, or was waited for long enough.
var errSteady = errors.New("the view is steady")

// noOne is how many times longer patience is while nobody is seen: a photograph of an empty chair helps no one.
const noOne = 5

// view runs the live view until what it shows has been good for a while, or patience ends. A camera without live view is taken as
// it is. Frames are passed on as they come; they are judged beside that, the newest first, and what comes meanwhile is left out.
func (c *capture) view(camera drivers.Camera) error {
	ctx, cancel := context.WithTimeout(c.ctx, noOne*c.patience)
	defer cancel()
	began := c.now()
	w := &watcher{capture: c, changed: make(chan struct{}, 1)}
	var judging sync.WaitGroup
	judging.Go(func() { w.run(ctx) })
	err := camera.Frames(ctx, func(f drivers.Frame) error {
		hint, steady := w.offer(f.JPEG)
		c.tell(Progress{Frame: f.JPEG, Hint: hint})
		if hint == biometric.HintNoFace {
			began = c.now() // patience begins once somebody is there
		}
		if steady || c.now().Sub(began) >= c.patience {
			return errSteady
		}
		return nil
	})
	cancel()
	judging.Wait()
	w.wipe()
	switch {
	case err == nil, errors.Is(err, errSteady), errors.Is(err, errors.ErrUnsupported):
		return nil
	case ctx.Err() != nil && c.ctx.Err() == nil && drivers.Verdict(err) == "":
		return nil
	}
	return err
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
	since  time.Time  // from when on everything was good; zero: it is not
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

// run judges until ctx ends.
func (w *watcher) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.changed:
		}
		w.mu.Lock()
		frame, at := w.newest, w.at
		w.newest = nil
		w.mu.Unlock()
		good, hint := w.judge(frame)
		w.mu.Lock()
		w.hint, w.steady = hint, w.lasting(good, at)
		clear(frame)
		w.spare = frame[:0]
		w.mu.Unlock()
	}
}

// judge looks at one frame. A frame that can't be judged is not good.
func (w *watcher) judge(frame []byte) (good bool, hint biometric.Hint) {
	report, err := w.capture.face.Analyse(frame, w.capture.wantLive(w.before))
	w.before = nil
	if err != nil {
		return false, biometric.HintNone
	}
	if len(report.Faces) == 1 {
		w.before = &report.Faces[0]
	}
	return report.Meets && report.Quality.Score >= w.capture.step.Threshold, report.Hint
}

// lasting reports whether all frames have been good for long enough, up to one that came at a time.
func (w *watcher) lasting(good bool, at time.Time) bool {
	switch {
	case !good:
		w.since = time.Time{}
		return false
	case w.since.IsZero():
		w.since = at
	}
	return at.Sub(w.since) >= w.capture.steady
}

func (w *watcher) wipe() {
	clear(w.newest[:cap(w.newest)])
	clear(w.spare[:cap(w.spare)])
}

// wantLive is what a frame of the live view must reach: what does not hang on how many pixels a photograph will have.
func (c *capture) wantLive(before *face.Face) face.Want {
	want := face.Want{Before: before}
	if c.step.Image == nil || len(c.step.Criteria) == 0 {
		return want
	}
	g := c.geometry()
	g.MinWidth, g.MinHeight = 0, 0
	want.Portrait = &g
	for _, criterion := range c.step.Criteria {
		switch criterion.Name {
		case face.ImageWidth, face.ImageHeight, face.EyeDistance:
			continue
		}
		want.Criteria = append(want.Criteria, criterion)
	}
	return want
}

// geometry is that of the step's photograph.
func (c *capture) geometry() face.Geometry {
	i := c.step.Image
	return face.Geometry{Fit: face.Fit{MaxWidth: i.MaxWidth, MaxHeight: i.MaxHeight, MaxBytes: i.MaxBytes}, MinWidth: i.MinWidth, MinHeight: i.MinHeight}
}
