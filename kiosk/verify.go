package kiosk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"slices"

	"loket/drivers"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/wsq"
	"loket/kiosk/handover"
	"loket/kiosk/plan"
	"loket/kiosk/session"
)

// Comparer tells whether two prints are of the same finger. It only reads the images.
type Comparer interface {
	Compare(reference, probe *image.Gray, ppi int) (biometric.Comparison, error)
}

// probes is how many short captures a kiosk's prints are verified with.
const probes = 2

// probeAttempts is how often a finger may be put on the glass for one short capture.
const probeAttempts = 2

// errByEye says that nothing here can compare.
var errByEye = errors.New("nothing can be compared here")

// verify compares the kiosk's prints with short captures under the attendant's eyes and tells the session what came of it. Where
// it can't, it waits for the attendant's own judgement.
func (d *Daemon) verify(ctx context.Context, s session.Session) {
	if d.turn(ctx) {
		defer func() { <-d.capturing }()
	}
	wanted := probeFingers(s, d.brought(s.ID))
	if d.Comparer == nil || len(wanted) == 0 {
		d.verifying(s, api.Verification{State: api.VerifyByEye})
		return
	}
	e := session.Event{Kind: session.Verified, By: session.Device, Entry: s.Entry}
	matched := 0
	for _, f := range wanted {
		d.verifying(s, api.Verification{State: api.VerifyComparing, Position: f, Matched: matched, Of: len(wanted)})
		c, err := d.compare(ctx, s, f)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			d.notVerified(s, err)
			return
		}
		e.Comparisons = append(e.Comparisons, c)
		if !c.Same {
			e.Kind = session.Failed
			break
		}
		matched++
	}
	d.log.Info("verified", "session", s.ID, "matched", matched, "of", len(wanted))
	if err := d.send(s.ID, e, nil); err != nil {
		d.log.Debug("verification came too late", "session", s.ID, "err", err)
	}
}

// notVerified says why a comparison did not come about.
func (d *Daemon) notVerified(s session.Session, err error) {
	if errors.Is(err, errByEye) {
		d.log.Warn("prints are compared by eye", "session", s.ID, "err", err)
		d.verifying(s, api.Verification{State: api.VerifyByEye})
		return
	}
	e := session.Event{Kind: session.Faulted, By: session.Device, Entry: s.Entry, Verdict: drivers.Verdict(err)}
	if e.Verdict == "" {
		e.Verdict = "failed"
	}
	d.log.Warn("verifying", "session", s.ID, "verdict", e.Verdict, "err", err)
	if err := d.send(s.ID, e, nil); err != nil {
		d.log.Debug("verification came too late", "session", s.ID, "err", err)
	}
}

// brought gives the fingers that a session came here with.
func (d *Daemon) brought(id string) []biometric.FingerPosition {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur == nil || d.cur.session.ID != id {
		return nil
	}
	return d.cur.brought
}

// probeFingers chooses the fingers of the short captures among those that another station captured and that must be verified: one
// of each hand where there are, the only one twice.
func probeFingers(s session.Session, brought []biometric.FingerPosition) []biometric.FingerPosition {
	var held []biometric.FingerPosition
	for _, o := range s.Outcomes {
		if o.Modality != biometric.Finger || !slices.Contains(s.Verify, o.Step) {
			continue
		}
		for _, f := range o.Captured {
			if slices.Contains(brought, f) {
				held = append(held, f)
			}
		}
	}
	if len(held) == 0 {
		return nil
	}
	first, second := held[0], held[0]
	for _, f := range held[1:] {
		if second == first || second.Right() == first.Right() && f.Right() != first.Right() {
			second = f
		}
	}
	return []biometric.FingerPosition{first, second}[:probes]
}

// compare takes one short capture of a finger and holds it against the kiosk's print.
func (d *Daemon) compare(ctx context.Context, s session.Session, f biometric.FingerPosition) (biometric.Comparison, error) {
	step, ok := probeStep(s, f)
	if !ok {
		return biometric.Comparison{}, errByEye
	}
	result, err := d.captureStep(ctx, s, step)
	defer result.Wipe()
	if err != nil {
		return biometric.Comparison{}, err
	}
	if len(result.Samples) != 1 {
		return biometric.Comparison{Position: f, At: d.now()}, nil // nothing that could be compared was shown
	}
	held := d.vault.copies(func(h handover.Sample) bool { return h.Modality == biometric.Finger && h.Position == f })
	defer wipe(held)
	if len(held) == 0 {
		return biometric.Comparison{}, errByEye
	}
	c, err := compare(d.Comparer, held[0], result.Samples[0])
	c.Position, c.At = f, d.now()
	for _, a := range result.Outcome.Attempts {
		c.Device = a.Device
	}
	return c, err
}

// probeStep makes the step of a short capture from the one that the finger was captured in.
func probeStep(s session.Session, f biometric.FingerPosition) (plan.Step, bool) {
	for _, o := range s.Outcomes {
		i := slices.IndexFunc(s.Plan.Steps, func(st plan.Step) bool { return st.ID == o.Step })
		if o.Modality != biometric.Finger || !slices.Contains(o.Captured, f) || i < 0 {
			continue
		}
		step := s.Plan.Steps[i]
		step.Want, step.Fallback, step.Lossless, step.Compression = []biometric.FingerPosition{f}, nil, true, nil
		step.Uniqueness = "" // the print that it is compared with is one of the former captures
		step.Rules.Attempts, step.Rules.LimitSeconds, step.Rules.AtLimit = probeAttempts, 0, plan.KeepBest
		return step, true
	}
	return plan.Step{}, false
}

// compare compares two prints. What they can't be compared for is errByEye: nothing is wrong with a device.
func compare(by Comparer, reference, probe biometric.Sample) (biometric.Comparison, error) {
	a, err := grey(reference)
	if err != nil {
		return biometric.Comparison{}, err
	}
	defer clear(a.Pix)
	b, err := grey(probe)
	if err != nil {
		return biometric.Comparison{}, err
	}
	defer clear(b.Pix)
	if reference.PPI != probe.PPI {
		return biometric.Comparison{}, fmt.Errorf("one print has %d pixels an inch, the other %d: %w", reference.PPI, probe.PPI, errByEye)
	}
	c, err := by.Compare(a, b, probe.PPI)
	if err != nil {
		return c, fmt.Errorf("%w: %w", errByEye, err)
	}
	return c, nil
}

// grey decodes a finger image.
func grey(s biometric.Sample) (*image.Gray, error) {
	if s.MediaType == wsq.MediaType {
		img, err := wsq.Decode(s.Data)
		return img.Gray, err
	}
	if s.MediaType != "image/png" {
		return nil, fmt.Errorf("reading a print of type %q: %w", s.MediaType, errByEye)
	}
	img, err := png.Decode(bytes.NewReader(s.Data))
	if err != nil {
		return nil, fmt.Errorf("reading a print: %w", err)
	}
	g, ok := img.(*image.Gray)
	if !ok {
		return nil, fmt.Errorf("reading a print that is not grey: %w", errByEye)
	}
	return g, nil
}

// verifying shows how far the comparison is.
func (d *Daemon) verifying(s session.Session, v api.Verification) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur == nil || d.cur.session.ID != s.ID || d.cur.session.Entry != s.Entry {
		return
	}
	d.cur.verified = &v
	d.touch()
}
