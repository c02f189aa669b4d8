package acquire

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/ink"
	"loket/kiosk/plan"
)

// InkAlgorithm and InkVersion name the quality of signatures: that there is enough of one. They are ours and of no standard.
const (
	InkAlgorithm = "loket-ink"
	InkVersion   = "1"
)

// The names of the measures of a signature.
const (
	MeasureStrokes = "strokes"
	MeasureLength  = "length_mm"
	MeasureSeconds = "seconds"
)

// Written is what the person says of their signature: that it is done, or that they begin anew.
type Written struct {
	Again bool
	Ink   *ink.Ink // what was written on the screen; nil where it was written on a pad
}

// Sign captures a signature. It is written on pad, or on the screen where pad is nil, and is done when said says so; a person who
// never says so is the session's to wait for. Nothing that was written is no signature: the attempt counts, and the next one
// begins. Results and errors are those of [Acquirer.Capture]; an accepted signature is two samples, its picture and its strokes.
func (a *Acquirer) Sign(ctx context.Context, step plan.Step, pad drivers.SignaturePad, said <-chan Written, watch func(Progress)) (Result, error) {
	c := &capture{step: step, device: ScreenPad(), watch: watch, now: a.Now, attempts: []biometric.Attempt{}}
	c.defaults()
	c.outer, c.ctx = ctx, ctx
	if pad != nil {
		c.device = pad.Info()
	}
	for made := 0; c.more(made); made++ {
		written, err := c.write(pad, said)
		switch {
		case err != nil && c.judge(err) == ended:
			return c.result(biometric.Ended), ctx.Err()
		case err != nil:
			return c.result(biometric.Faulted), err
		}
		r, err := c.written(&written)
		written.Wipe()
		if err != nil || r.Status == biometric.Accepted {
			return r, err
		}
	}
	if ctx.Err() != nil {
		return c.result(biometric.Ended), ctx.Err()
	}
	return c.result(biometric.Rejected), nil
}

// ScreenPad describes the applicant's screen as what a signature was written on.
func ScreenPad() drivers.Info {
	return drivers.Info{Driver: "kiosk-ui", Kind: drivers.KindSignature, Vendor: "loket", Model: "applicant's screen"}
}

// write waits for one signature.
func (c *capture) write(pad drivers.SignaturePad, said <-chan Written) (ink.Ink, error) {
	if pad == nil {
		return c.onScreen(said)
	}
	p := padded{view: nil}
	p.ink.Width, p.ink.Height = pad.Area()
	if err := p.ink.Check(); !errors.Is(err, ink.ErrEmpty) {
		return ink.Ink{}, fmt.Errorf("writing on a pad: %w: %w", drivers.ErrCrashed, err)
	}
	p.view = p.ink.Draw()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	events := make(chan drivers.PenEvent, 64)
	failed := make(chan error, 1)
	go func() {
		failed <- pad.Strokes(ctx, func(e drivers.PenEvent) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	got, err := c.onPad(&p, events, said, failed)
	cancel()
	if err == nil {
		<-failed
	}
	clear(p.view.Pix)
	return got, err
}

func (c *capture) onScreen(said <-chan Written) (ink.Ink, error) {
	for {
		select {
		case <-c.ctx.Done():
			return ink.Ink{}, c.ctx.Err()
		case w := <-said:
			if !w.Again && w.Ink != nil {
				return *w.Ink, nil
			}
		}
	}
}

// onPad collects strokes until the person is done. failed tells once how the pad ended, and has told so where an error is returned.
func (c *capture) onPad(p *padded, events <-chan drivers.PenEvent, said <-chan Written, failed <-chan error) (ink.Ink, error) {
	show := time.NewTicker(50 * time.Millisecond)
	defer show.Stop()
	for {
		select {
		case err := <-failed:
			p.ink.Wipe()
			return ink.Ink{}, err
		case e := <-events:
			p.take(e)
		case <-show.C:
			if p.changed {
				p.changed = false
				c.tell(Progress{Preview: p.view})
			}
		case w := <-said:
			if !w.Again {
				p.rest(events)
				return p.ink, nil
			}
			p.clear()
		}
	}
}

// padded is what was written on a pad so far, and its picture.
type padded struct {
	ink     ink.Ink
	view    *image.Gray
	down    bool
	began   time.Duration
	changed bool
}

func (p *padded) clear() {
	empty := ink.Ink{Width: p.ink.Width, Height: p.ink.Height}
	p.ink.Wipe()
	clear(p.view.Pix)
	p.ink, p.view, p.down, p.changed = empty, empty.Draw(), false, true
}

// lag is how long what was written before the person was done may still be on its way.
const lag = 100 * time.Millisecond

// rest takes what is still on its way.
func (p *padded) rest(events <-chan drivers.PenEvent) {
	end := time.NewTimer(lag)
	defer end.Stop()
	for {
		select {
		case e := <-events:
			p.take(e)
		case <-end.C:
			return
		}
	}
}

// take adds what the pen does. What is beyond all bounds is left out: the signature is judged as a whole.
func (p *padded) take(e drivers.PenEvent) {
	if !e.Down {
		p.down = false
		return
	}
	k := &p.ink
	if len(k.Strokes) == 0 {
		p.began = e.At
	}
	at := ink.Point{X: min(max(e.X, 0), k.Width), Y: min(max(e.Y, 0), k.Height), T: int((e.At - p.began).Milliseconds()), Force: e.Force}
	if !p.down {
		k.Strokes = append(k.Strokes, nil)
	}
	last := len(k.Strokes) - 1
	if len(k.Strokes) > ink.MaxStrokes || len(k.Strokes[last]) >= ink.MaxPoints/4 {
		return
	}
	from := at
	if p.down {
		from = k.Strokes[last][len(k.Strokes[last])-1]
	}
	k.Strokes[last] = append(k.Strokes[last], at)
	p.down, p.changed = true, true
	ink.Trace(p.view, from, at)
}

// written judges a signature and makes samples of it.
func (c *capture) written(k *ink.Ink) (Result, error) {
	a := biometric.Attempt{Started: c.now(), Result: biometric.Rejected, Hint: biometric.HintSignMore}
	if err := k.Check(); err != nil {
		c.remember(a)
		c.tell(Progress{Hint: biometric.HintSignMore})
		if errors.Is(err, ink.ErrEmpty) {
			return c.result(biometric.Rejected), nil
		}
		return c.result(biometric.Faulted), fmt.Errorf("judging a signature: %w: %w", drivers.ErrCrashed, err)
	}
	q := biometric.Quality{Score: 100, Algorithm: InkAlgorithm, Version: InkVersion, Measures: map[string]float64{
		MeasureStrokes: float64(len(k.Strokes)), MeasureLength: float64(k.Length()) / 100, MeasureSeconds: float64(k.Duration()) / 1000}}
	finding := biometric.Finding{Quality: q, Enough: true}
	a.Result, a.Hint, a.Qualities = biometric.Accepted, biometric.HintNone, []biometric.Finding{finding}
	c.remember(a)
	img := k.Draw()
	defer clear(img.Pix)
	data, err := encodePNG(img, ink.PPI)
	if err != nil {
		return c.result(biometric.Faulted), fmt.Errorf("drawing a signature: %w", err)
	}
	r := c.result(biometric.Accepted)
	r.Outcome.Findings = []biometric.Finding{finding}
	r.Samples = []biometric.Sample{
		{Modality: biometric.Signature, MediaType: "image/png", Data: data, Width: img.Rect.Dx(), Height: img.Rect.Dy(), PPI: ink.PPI, Quality: q},
		{Modality: biometric.Signature, MediaType: ink.MediaType, Data: k.InkML(), Quality: q},
	}
	return r, nil
}
