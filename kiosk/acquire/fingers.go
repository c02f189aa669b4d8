package acquire

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"maps"
	"slices"
	"time"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/plan"
)

// MeasureResampledFrom is, in the measures of a finger, the scanner's pixels an inch, where its image was brought to a coarser
// scale.
const MeasureResampledFrom = "resampled-from-ppi"

// shot is one finger of one attempt.
type shot struct {
	position biometric.FingerPosition
	image    *image.Gray
	ppi      int
	native   int // the scanner's ppi where the image was brought to a coarser scale, else 0
	quality  biometric.Quality
	enough   bool
	template finger.Template // where the policy has fingers compared
}

// slap is what one attempt gave: its fingers in the order of the group.
type slap []shot

func (s slap) wipe() {
	for i := range s {
		s[i].template.Wipe()
		if s[i].image != nil {
			clear(s[i].image.Pix)
			s[i].image = nil
		}
	}
}

func (s slap) enough() bool {
	return len(s) > 0 && !slices.ContainsFunc(s, func(x shot) bool { return !x.enough })
}

// fingers captures group after group: all wanted fingers at once where the scanner takes them, else one after the other.
func (c *capture) fingers(scanner drivers.FingerprintScanner) (Result, error) {
	if err := Fit(c.step, c.device); err != nil {
		return c.result(biometric.Faulted), fmt.Errorf("capturing %s: %w", c.step.Modality, err)
	}
	together := len(c.step.Want)
	if s := c.device.Sensor; s != nil && s.Fingers > 0 {
		together = min(together, s.Fingers)
	}
	for {
		status, err := c.groups(scanner, max(together, 1))
		switch {
		case errors.Is(err, errAnew):
			c.forget()
			continue
		case errors.Is(err, errAlarm), errors.Is(err, errRepeated):
			c.forget()
			return c.result(biometric.Rejected), nil
		}
		if status == biometric.Ended && c.accepted() {
			status, err = biometric.Accepted, nil
		}
		return c.finish(c.kept, status, err)
	}
}

// groups captures all wanted fingers, so many at a time, and keeps the best of each group.
func (c *capture) groups(scanner drivers.FingerprintScanner, together int) (biometric.Result, error) {
	for group := range slices.Chunk(c.step.Want, together) {
		best, status, err := c.group(scanner, group)
		if status == biometric.Accepted || status == biometric.Rejected && err == nil {
			best, status, err = c.fallBack(scanner, best, status)
		}
		c.kept = append(c.kept, best...)
		if status != biometric.Accepted {
			return status, err
		}
	}
	return biometric.Accepted, nil
}

// forget gives up everything that this capture kept.
func (c *capture) forget() {
	c.kept.wipe()
	c.kept, c.givenUp = nil, nil
}

// Fit says with a [*plan.UnfitError] that the step's policy does not take a device: a fingerprint scanner that is too small or
// too coarse for it.
func Fit(step plan.Step, device drivers.Info) error {
	if step.Modality != biometric.Finger || step.Sensor == nil {
		return nil
	}
	s := device.Sensor
	if s == nil {
		s = &drivers.Sensor{}
	}
	return step.Sensor.Judge(s.Width, s.Height, s.PPI)
}

// finish turns what is kept into samples. What was not accepted as a whole is handed over only where it is sufficient.
func (c *capture) finish(kept slap, status biometric.Result, fault error) (Result, error) {
	defer kept.wipe()
	r := c.result(status)
	for _, s := range kept {
		if status != biometric.Accepted && !s.enough {
			continue
		}
		sample, err := c.sample(s)
		if err != nil {
			r.Wipe()
			return c.result(biometric.Faulted), err
		}
		r.Samples = append(r.Samples, sample)
		r.Outcome.Captured = append(r.Outcome.Captured, s.position)
		r.Outcome.Findings = append(r.Outcome.Findings, s.finding())
		r.Outcome.Forced = r.Outcome.Forced || !s.enough
	}
	if len(r.Samples) > 0 {
		r.Outcome.GivenUp = c.givenUp
	}
	return r, fault
}

func (s shot) finding() biometric.Finding {
	return biometric.Finding{Position: s.position, Quality: s.quality, Enough: s.enough}
}

// noteScale says in the measures that the image was brought to a coarser scale.
func (s *shot) noteScale() {
	if s.native == 0 {
		return
	}
	measures := map[string]float64{MeasureResampledFrom: float64(s.native)}
	maps.Copy(measures, s.quality.Measures)
	s.quality.Measures = measures
}

// group captures fingers that are presented together, and returns the best of them.
func (c *capture) group(scanner drivers.FingerprintScanner, want []biometric.FingerPosition) (slap, biometric.Result, error) {
	var best slap
	c.wanted, c.lacking = want, lacking{}
	for made := 0; c.more(made); {
		got, counts, err := c.attempt(scanner, want, best)
		switch {
		case errors.Is(err, errAlarm), errors.Is(err, errAnew), errors.Is(err, errRepeated):
			best.wipe()
			return nil, biometric.Rejected, err
		case errors.Is(err, errSwapped): // which of the two was right, nobody knows
			best.wipe()
			best = nil
		case err != nil && c.judge(err) == ended:
			return best, biometric.Ended, c.outer.Err()
		case err != nil && c.judge(err) == faulted:
			return best, biometric.Faulted, err
		}
		if got.enough() {
			best.wipe()
			return got, biometric.Accepted, nil
		}
		best = c.better(best, got)
		if counts {
			made++
		} else {
			c.pause()
		}
	}
	if c.outer.Err() != nil {
		return best, biometric.Ended, c.outer.Err()
	}
	if best.enough() || len(best) > 0 && c.step.Rules.AtLimit == plan.KeepBest {
		return best, biometric.Accepted, nil
	}
	return best, biometric.Rejected, nil
}

// errAlarm ends a capture on a presentation-attack alarm.
var errAlarm = errors.New("presentation-attack alarm")

// attempt makes one capture attempt; best is the best before it. An attempt in which nothing was presented does not count and is
// not remembered.
func (c *capture) attempt(scanner drivers.FingerprintScanner, want []biometric.FingerPosition, best slap) (got slap, counts bool, err error) {
	c.shown = 0
	a := biometric.Attempt{Wanted: slices.Clone(want), Started: c.now(), Result: biometric.Rejected}
	img, err := scanner.Capture(c.ctx, want, c.guide)
	defer img.Wipe()
	if err != nil {
		return nil, c.failed(a, err), err
	}
	a.PAD = worst(img.PAD, img.Fingers)
	if a.PAD.Result == biometric.PADAlarm {
		return nil, true, c.alarm(a)
	}
	native := c.rescale(&img)
	got, seen, err := c.split(img, want, native)
	if err != nil {
		a.Result = biometric.Faulted
		c.remember(a)
		return nil, true, err
	}
	a.Hint = seen.hint
	c.lacking.told(seen)
	for _, s := range got {
		a.Qualities = append(a.Qualities, s.finding())
	}
	if hint, err := c.unique(got, best); hint != biometric.HintNone || err != nil {
		return nil, true, c.refuse(a, got, hint, err)
	}
	if got.enough() {
		a.Result, a.Hint = biometric.Accepted, biometric.HintNone
	}
	c.remember(a)
	if a.Result == biometric.Rejected {
		c.tell(Progress{Hint: cmp.Or(a.Hint, biometric.HintLiftAndRepeat), Fingers: len(img.Fingers), Which: seen.which})
	}
	return got, true, nil
}

// refuse ends an attempt whose fingers are not the ones that were wanted, or can't be compared, and passes on why.
func (c *capture) refuse(a biometric.Attempt, got slap, hint biometric.Hint, why error) error {
	fingers := len(got)
	got.wipe()
	a.Hint = hint
	if hint == biometric.HintNone {
		a.Result = biometric.Faulted
	}
	c.remember(a)
	c.tell(Progress{Hint: hint, Fingers: fingers})
	return why
}

// guide passes on what the scanner sees.
func (c *capture) guide(p drivers.Progress) {
	c.shown = max(c.shown, p.Fingers)
	hint, which := c.lack(p)
	c.tell(Progress{Hint: hint, Fingers: p.Fingers, Which: which, Preview: p.Preview})
}

// failed remembers an attempt that gave no image, and reports whether it counts.
func (c *capture) failed(a biometric.Attempt, err error) bool {
	var again *drivers.RetryError
	switch c.judge(err) {
	case ended:
		a.Result = biometric.Ended
	case over:
		a.Hint = biometric.HintPlace
		if c.shown == 0 {
			return false
		}
	case faulted:
		a.Result = biometric.Faulted
	case retry:
		errors.As(err, &again)
		which := c.lacking.after(again.Hint)
		if c.tell(Progress{Hint: again.Hint, Fingers: c.shown, Which: which}); c.shown == 0 && !presented(again.Hint) {
			return false
		}
		a.Hint = again.Hint
	}
	c.remember(a)
	return true
}

// presented reports whether a hint can only be given where something lay on the glass.
func presented(h biometric.Hint) bool {
	switch h {
	case biometric.HintNone, biometric.HintPlace, biometric.HintFingerMissing, biometric.HintLiftNow, biometric.HintCallAttendant:
		return false
	}
	return true
}

// alarm answers a presentation-attack alarm: the images of this attempt never count. The subject is not told why.
func (c *capture) alarm(a biometric.Attempt) error {
	if c.step.Rules.PresentationAttack == plan.PADEnds {
		a.Hint = biometric.HintCallAttendant
		c.remember(a)
		return errAlarm
	}
	a.Hint = biometric.HintLiftAndRepeat
	c.remember(a)
	c.tell(Progress{Hint: a.Hint})
	return nil
}

// pause keeps a device that gives up at once from being asked without rest.
func (c *capture) pause() {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	}
}

// rescale brings an image to the scale at which the policy keeps it, and returns the scanner's own where that is another.
func (c *capture) rescale(img *drivers.Image) (native int) {
	from := cmp.Or(img.PPI, 500)
	if c.step.Sensor == nil || img.Gray == nil {
		return 0
	}
	to := c.step.Sensor.Scale(from)
	if to == from {
		return 0
	}
	coarser := finger.Resample(img.Gray, from, to)
	clear(img.Gray.Pix)
	img.Gray, img.PPI = coarser, to
	for i := range img.Fingers {
		img.Fingers[i].Box = scaledBox(img.Fingers[i].Box, from, to)
	}
	return from
}

// scaledBox brings a box to another scale. It never loses a pixel that it held.
func scaledBox(b image.Rectangle, from, to int) image.Rectangle {
	up := func(v int) int { return (v*to + from - 1) / from }
	return image.Rect(b.Min.X*to/from, b.Min.Y*to/from, up(b.Max.X), up(b.Max.Y))
}

// sight is what can be said of an attempt in one word, and of which fingers.
type sight struct {
	hint  biometric.Hint
	which []biometric.FingerPosition
}

// split cuts an image into its fingers and judges each. A wrong number of fingers, or another hand, gives none.
func (c *capture) split(img drivers.Image, want []biometric.FingerPosition, native int) (slap, sight, error) {
	parts, hint, which, err := c.parts(img, want)
	if err != nil || len(parts) == 0 {
		return nil, sight{cmp.Or(hint, biometric.HintPlace), which}, err
	}
	got := make(slap, len(parts))
	for i, p := range parts {
		got[i] = shot{position: p.position, image: p.image, ppi: cmp.Or(img.PPI, 500), native: native}
	}
	for i := range got {
		s := &got[i]
		report, err := c.finger.Analyse(s.image, s.ppi)
		if err != nil || report.Empty {
			got.wipe()
			return nil, sight{hint: cmp.Or(report.Hint, biometric.HintPlace)}, wrapAnalysis(err)
		}
		s.quality, s.enough = report.Quality, report.Quality.Score >= c.step.Thresholds[s.position]
		s.noteScale()
		if !s.enough {
			hint = cmp.Or(hint, report.Hint)
		}
	}
	slices.SortFunc(got, func(a, b shot) int {
		return cmp.Compare(slices.Index(want, a.position), slices.Index(want, b.position))
	})
	return got, sight{hint: hint}, nil
}

// wrapAnalysis: an image that can't be judged is the scanner's doing, never a score.
func wrapAnalysis(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("judging the capture: %w: %w", drivers.ErrCrashed, err)
}

// boxesOf lists where the fingers lie, left to right; a scanner that finds none gives its whole image for a single finger.
func boxesOf(img drivers.Image, want int) ([]image.Rectangle, biometric.Hint) {
	var boxes []image.Rectangle
	for _, f := range img.Fingers {
		boxes = append(boxes, f.Box)
	}
	if len(boxes) == 0 && want == 1 && img.Gray != nil {
		boxes = append(boxes, img.Gray.Rect)
	}
	slices.SortStableFunc(boxes, func(a, b image.Rectangle) int { return cmp.Compare(a.Min.X+a.Max.X, b.Min.X+b.Max.X) })
	if img.Gray != nil {
		for _, b := range boxes {
			if b.Intersect(img.Gray.Rect).Empty() {
				return nil, biometric.HintCentre
			}
		}
	}
	switch {
	case len(boxes) < want:
		return nil, biometric.HintFingerMissing
	case len(boxes) > want:
		return nil, biometric.HintTooMany
	}
	return boxes, biometric.HintNone
}

// place orders fingers from left to right as they lie on the glass: the left hand's little finger first, the thumbs inside.
func place(f biometric.FingerPosition) int {
	if f.Right() {
		return int(f)
	}
	return -int(f)
}

func crop(img *image.Gray, box image.Rectangle) *image.Gray {
	box = box.Intersect(img.Rect)
	out := image.NewGray(image.Rect(0, 0, box.Dx(), box.Dy()))
	for y := range box.Dy() {
		from := img.PixOffset(box.Min.X, box.Min.Y+y)
		copy(out.Pix[y*out.Stride:], img.Pix[from:from+box.Dx()])
	}
	return out
}

// better keeps what the plan calls the best of two and overwrites the other; of equals the newer.
func (c *capture) better(best, got slap) slap {
	switch {
	case len(got) == 0:
		return best
	case len(best) == 0:
		return got
	case c.step.Best == plan.BestSlap:
		if compareSlaps(got, best) < 0 {
			got.wipe()
			return best
		}
		best.wipe()
		return got
	}
	for i := range best {
		if got[i].quality.Score >= best[i].quality.Score {
			best[i], got[i] = got[i], best[i]
		}
	}
	got.wipe()
	return best
}

// compareSlaps compares finger by finger: index, middle, ring, little; the right thumb before the left.
func compareSlaps(a, b slap) int {
	for _, p := range slices.SortedFunc(slices.Values(a), func(x, y shot) int { return cmp.Compare(rank(x.position), rank(y.position)) }) {
		i := slices.IndexFunc(b, func(s shot) bool { return s.position == p.position })
		if d := cmp.Compare(p.quality.Score, b[i].quality.Score); d != 0 {
			return d
		}
	}
	return 0
}

// rank orders index, middle, ring, little, thumb; right before left.
func rank(f biometric.FingerPosition) int {
	return (int(f)+3)%5*2 + map[bool]int{true: 0, false: 1}[f.Right()]
}
