package acquire

import (
	"context"
	"errors"
	"fmt"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/face"
	"loket/kiosk/plan"
)

// MeasureReencoded is 1 in the measures of a photograph that broke the policy's limits and was encoded anew.
const MeasureReencoded = "reencoded"

// photo is one photograph.
type photo struct {
	data   []byte
	report face.Report
	enough bool
}

// photograph takes photographs by the step's rules and keeps the best; of equals the newer.
func (c *capture) photograph(camera drivers.Camera) (Result, error) {
	var best *photo
	for made := 0; c.more(made); made++ {
		got, err := c.shoot(camera)
		switch {
		case errors.Is(err, errAlarm):
			best.wipe()
			return c.result(biometric.Rejected), nil
		case err != nil && c.judge(err) == ended:
			return c.develop(best, biometric.Ended, c.outer.Err())
		case err != nil && c.judge(err) == faulted:
			return c.develop(best, biometric.Faulted, err)
		case err != nil:
			c.pause()
		}
		if best = best.or(got); best != nil && best.enough {
			return c.develop(best, biometric.Accepted, nil)
		}
	}
	switch {
	case c.outer.Err() != nil:
		return c.develop(best, biometric.Ended, c.outer.Err())
	case best != nil && c.step.Rules.AtLimit == plan.KeepBest:
		return c.develop(best, biometric.Accepted, nil)
	}
	return c.develop(best, biometric.Rejected, nil)
}

func (p *photo) wipe() {
	if p != nil {
		clear(p.data)
	}
}

// or keeps the better of two and overwrites the other.
func (p *photo) or(q *photo) *photo {
	switch {
	case q == nil:
		return p
	case p == nil:
		return q
	case p.enough == q.enough && p.report.Quality.Score > q.report.Quality.Score, p.enough && !q.enough:
		q.wipe()
		return p
	}
	p.wipe()
	return q
}

// develop turns the best photograph into a sample. The file stays as the camera made it unless it breaks the plan's limits.
func (c *capture) develop(p *photo, status biometric.Result, fault error) (Result, error) {
	r := c.result(status)
	if p == nil || status != biometric.Accepted && !p.enough {
		p.wipe()
		return r, fault
	}
	s := biometric.Sample{Modality: biometric.Face, MediaType: "image/jpeg", Data: p.data,
		Width: p.report.Width, Height: p.report.Height, Quality: p.report.Quality}
	if err := c.fit(&s); err != nil {
		s.Wipe()
		return c.result(biometric.Faulted), err
	}
	r.Samples = []biometric.Sample{s}
	r.Outcome.Findings = []biometric.Finding{{Quality: s.Quality, Enough: p.enough}}
	r.Outcome.Forced = !p.enough
	return r, fault
}

// fit encodes a sample anew where it is larger than the plan allows, and notes it.
func (c *capture) fit(s *biometric.Sample) error {
	if c.step.Image == nil {
		return nil
	}
	limits := face.Fit{MaxWidth: c.step.Image.MaxWidth, MaxHeight: c.step.Image.MaxHeight, MaxBytes: c.step.Image.MaxBytes}
	if limits.Fits(len(s.Data), s.Width, s.Height) {
		return nil
	}
	shrunk, width, height, err := face.Shrink(s.Data, limits)
	if err != nil {
		return err
	}
	clear(s.Data)
	s.Data, s.Width, s.Height = shrunk, width, height
	measures := map[string]float64{MeasureReencoded: 1}
	for k, v := range s.Quality.Measures {
		measures[k] = v
	}
	s.Quality.Measures = measures
	return nil
}

// shoot waits for a good view and takes one photograph.
func (c *capture) shoot(camera drivers.Camera) (*photo, error) {
	a := biometric.Attempt{Started: c.now(), Result: biometric.Rejected}
	if err := c.view(camera); err != nil {
		return nil, c.missed(a, err)
	}
	img, err := camera.Still(c.ctx)
	if err != nil {
		img.Wipe()
		return nil, c.missed(a, err)
	}
	a.PAD = worst(img.PAD, nil)
	if a.PAD.Result == biometric.PADAlarm {
		img.Wipe()
		return nil, c.alarm(a)
	}
	p, err := c.look(img.Encoded)
	if err != nil {
		img.Wipe()
		a.Result = biometric.Faulted
		c.remember(a)
		return nil, err
	}
	a.Qualities = []biometric.Finding{{Quality: p.report.Quality, Enough: p.enough}}
	a.Hint = p.report.Hint
	if p.enough {
		a.Result, a.Hint = biometric.Accepted, biometric.HintNone
	}
	c.remember(a)
	if !p.enough {
		c.tell(Progress{Hint: a.Hint})
	}
	return p, nil
}

// missed remembers an attempt without a photograph.
func (c *capture) missed(a biometric.Attempt, err error) error {
	var again *drivers.RetryError
	switch c.judge(err) {
	case ended:
		a.Result = biometric.Ended
	case faulted:
		a.Result = biometric.Faulted
	case retry:
		errors.As(err, &again)
		a.Hint = again.Hint
		c.tell(Progress{Hint: a.Hint})
	}
	c.remember(a)
	return err
}

// look judges a photograph. What can't be judged is the camera's doing, never a score.
func (c *capture) look(data []byte) (*photo, error) {
	var want face.Want
	if i := c.step.Image; i != nil {
		want = face.Want{MinWidth: i.MinWidth, MinHeight: i.MinHeight}
	}
	report, err := c.face.Analyse(data, want)
	if err != nil {
		return nil, fmt.Errorf("judging the photograph: %w: %w", drivers.ErrCrashed, err)
	}
	return &photo{data: data, report: report, enough: report.Meets && report.Quality.Score >= c.step.Threshold}, nil
}

// errSteady ends a live view that shows what is wanted.
var errSteady = errors.New("the view is steady")

// view runs the live view until some frames in a row are good, or patience ends. A camera without live view is taken as it is.
func (c *capture) view(camera drivers.Camera) error {
	ctx, cancel := context.WithTimeout(c.ctx, c.patience)
	defer cancel()
	good := 0
	err := camera.Frames(ctx, func(f drivers.Frame) error {
		report, err := c.face.Analyse(f.JPEG, face.Want{})
		good++
		if err != nil || report.Quality.Score < c.step.Threshold {
			good = 0
		}
		c.tell(Progress{Frame: f.JPEG, Hint: report.Hint})
		if good >= c.steady {
			return errSteady
		}
		return nil
	})
	switch {
	case err == nil, errors.Is(err, errSteady), errors.Is(err, errors.ErrUnsupported):
		return nil
	case ctx.Err() != nil && c.ctx.Err() == nil && drivers.Verdict(err) == "":
		return nil
	}
	return err
}
