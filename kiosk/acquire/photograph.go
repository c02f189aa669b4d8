package acquire

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/face"
	"loket/kiosk/plan"
	"loket/kiosk/record/picture"
)

// MeasureReencoded is 1 in the measures of a photograph that broke the policy's limits and was encoded anew.
const MeasureReencoded = "reencoded"

// photo is one photograph.
type photo struct {
	data   []byte
	report face.Report
	enough bool
	slip   bool // the view was right in all that the person can mend, and the photograph is not: they blinked
}

// photograph takes photographs by the step's rules and keeps the best; of equals the newer. One that is sufficient is the last, unless the
// person blinked: then it is taken once more.
func (c *capture) photograph(camera drivers.Camera) (Result, error) {
	var best *photo
	slipped := false
	for made := 0; c.more(made); made++ {
		got, err := c.shoot(camera)
		switch {
		case errors.Is(err, errAlarm):
			best.wipe()
			return c.result(biometric.Rejected), nil
		case err != nil && c.judge(err) == ended:
			return c.stopped(best)
		case err != nil && c.judge(err) == faulted:
			return c.develop(best, biometric.Faulted, err)
		case err != nil:
			c.pause()
		}
		again := got != nil && got.slip && !slipped
		slipped = slipped || again
		if best = best.or(got); best != nil && best.enough && !again {
			return c.develop(best, biometric.Accepted, nil)
		}
	}
	switch {
	case c.outer.Err() != nil:
		return c.stopped(best)
	case best != nil && (best.enough || c.step.Rules.AtLimit == plan.KeepBest):
		return c.develop(best, biometric.Accepted, nil)
	}
	return c.develop(best, biometric.Rejected, nil)
}

// stillSize asks a camera how large its photographs will be; zero where it does not tell. A camera that fails says so again when it is used.
func stillSize(ctx context.Context, camera drivers.Camera) image.Point {
	s, ok := camera.(drivers.StillSizer)
	if !ok {
		return image.Point{}
	}
	width, height, err := s.StillSize(ctx)
	if err != nil {
		return image.Point{}
	}
	return image.Pt(width, height)
}

// stopped ends a capture from outside. An attendant may accept the best so far.
func (c *capture) stopped(best *photo) (Result, error) {
	if c.accepted() {
		return c.develop(best, biometric.Accepted, nil)
	}
	return c.develop(best, biometric.Ended, c.outer.Err())
}

func (p *photo) wipe() {
	if p != nil {
		clear(p.data)
	}
}

// or keeps the better of two and overwrites the other; of equals the newer, q.
func (p *photo) or(q *photo) *photo {
	switch {
	case q == nil:
		return p
	case p == nil:
		return q
	case slices.Compare(p.rank(), q.rank()) > 0:
		q.wipe()
		return p
	}
	p.wipe()
	return q
}

// rank orders photographs: sufficient ones first, then by how many mandatory and how many optional criteria hold (BSI TR-03121-3 v6.0: the
// best shot), then by the score, which tells apart what an analyser without criteria judges.
func (p *photo) rank() []int {
	enough, mandatory, optional := 0, 0, 0
	if p.enough {
		enough = 1
	}
	for _, j := range p.report.Judgements {
		switch {
		case j.Verdict != biometric.Pass:
		case j.Mandatory:
			mandatory++
		default:
			optional++
		}
	}
	return []int{enough, mandatory, optional, p.report.Quality.Score}
}

// develop turns the best photograph into a sample. The file stays as the camera made it unless it breaks the plan's limits, or has
// something between its segments for which a desk or a record would refuse it later.
func (c *capture) develop(p *photo, status biometric.Result, fault error) (Result, error) {
	r := c.result(status)
	if p == nil || status != biometric.Accepted && !p.enough {
		p.wipe()
		return r, fault
	}
	s := biometric.Sample{Modality: biometric.Face, MediaType: "image/jpeg", Data: picture.Tidy(p.data),
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
	s.Quality.Measures = with(s.Quality.Measures, MeasureReencoded, 1)
	return nil
}

// shoot waits for a good view and takes one photograph.
func (c *capture) shoot(camera drivers.Camera) (*photo, error) {
	a := biometric.Attempt{Started: c.now(), Result: biometric.Rejected}
	if c.still.X == 0 {
		c.still = stillSize(c.ctx, camera)
	}
	right, err := c.view(camera)
	if err != nil {
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
	p.slip = right && p.enough && p.report.Mend
	if p.enough && !p.slip {
		a.Result, a.Hint = biometric.Accepted, biometric.HintNone
	}
	c.remember(a)
	if a.Result != biometric.Accepted {
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

// look judges a photograph. Where the step has criteria, a portrait by its geometry is cut out first, and the camera's file is
// overwritten. What can't be judged is the camera's doing, never a score.
func (c *capture) look(data []byte) (*photo, error) {
	var want face.Want
	if i := c.step.Image; i != nil {
		want = face.Want{MinWidth: i.MinWidth, MinHeight: i.MinHeight, Criteria: c.step.Criteria}
	}
	report, err := c.face.Analyse(data, want)
	if err != nil {
		return nil, fmt.Errorf("judging the photograph: %w: %w", drivers.ErrCrashed, err)
	}
	c.still = image.Pt(report.Width, report.Height)
	if len(report.Faces) == 1 && len(want.Criteria) > 0 {
		var portrait []byte
		portrait, report, err = c.portrait(data, report, want)
		if err != nil {
			return nil, err
		}
		data = portrait
	}
	return &photo{data: data, report: report, enough: report.Meets && report.Quality.Score >= c.step.Threshold}, nil
}

// portrait cuts a portrait out and judges it. Where there is no room for one, the photograph stays as it is and its report says so.
func (c *capture) portrait(data []byte, report face.Report, want face.Want) ([]byte, face.Report, error) {
	portrait, _, _, err := face.Portrait(data, report.Faces[0], c.geometry())
	var room *face.RoomError
	if errors.As(err, &room) {
		report.Meets, report.Hint = false, room.Hint
		return data, report, nil
	}
	if err != nil {
		return nil, report, fmt.Errorf("judging the photograph: %w", err)
	}
	cut, err := c.face.Analyse(portrait, want)
	if err != nil {
		clear(portrait)
		return nil, report, fmt.Errorf("judging the photograph: %w", err)
	}
	clear(data)
	cut.Quality.Measures = with(cut.Quality.Measures, MeasureReencoded, 1)
	return portrait, cut, nil
}

// with is a copy of measures and one more.
func with(measures map[string]float64, name string, value float64) map[string]float64 {
	all := map[string]float64{name: value}
	for k, v := range measures {
		if k != name {
			all[k] = v
		}
	}
	return all
}
