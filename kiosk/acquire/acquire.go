// Package acquire captures one step of a plan.
//
// The one idea: [Acquirer.Capture] runs attempts at a device until the plan's rules say that it is enough, and returns what to
// remember apart from what to keep. Supervised steps count attempts, unsupervised ones run against a time limit; the best is
// kept as the plan says; every image that is not handed over is overwritten before Capture returns (BSI TR-03121-3 v6.0, volumes 2 and 6).
package acquire

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/face"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/plan"
)

// FingerAnalyser judges the image of one finger. It only reads the image.
type FingerAnalyser interface {
	Analyse(img *image.Gray, ppi int) (finger.Report, error)
}

// FaceAnalyser judges a photograph. It only reads the file. An error says that the file is none.
type FaceAnalyser interface {
	Analyse(jpeg []byte, want face.Want) (face.Report, error)
}

// Acquirer captures steps. The zero value works. It holds nothing between captures.
type Acquirer struct {
	Finger   FingerAnalyser   // nil: finger.Analyser
	Face     FaceAnalyser     // nil: face.Basic
	Comparer FingerComparer   // nil: minutiae, as package finger compares them
	Encoder  FingerEncoder    // nil: our own, which is not certified
	Now      func() time.Time // stamps attempts; nil: time.Now
	Steady   time.Duration    // for how long the live view is good before a photograph is taken; 0: half a second
	Former   []Print          // fingers of the same person that were captured before; only read
}

// Result is what a capture came to. The caller owns the samples and wipes them.
type Result struct {
	// Status: Accepted holds all that the step wants. Rejected, Faulted and Ended hold what is sufficient so far, if anything;
	// a presentation-attack alarm leaves nothing.
	Status  biometric.Result
	Outcome biometric.Outcome
	Samples []biometric.Sample
}

// Wipe overwrites and drops the samples.
func (r *Result) Wipe() {
	for i := range r.Samples {
		r.Samples[i].Wipe()
	}
	r.Samples = nil
}

// Progress is what happens during a capture: guidance and pictures, never a decision. It is valid during the call only.
type Progress struct {
	Attempt int                        // 1 and up
	Hint    biometric.Hint             // empty for none
	Fingers int                        // how many lie on the glass
	Which   []biometric.FingerPosition // that the hint speaks of; none in particular where empty; only read
	Wanted  []biometric.FingerPosition // that belong on the glass now; only read
	Preview *image.Gray                // of a fingerprint scanner; nil where there is none
	Frame   []byte                     // of a camera's live view, JPEG; nil where there is none
}

// ErrKeep is the cause with which a capture's context ends where an attendant accepts the best so far, sufficient or not: it is
// handed over as Accepted.
var ErrKeep = errors.New("an attendant accepts the best so far")

// Capture runs one step to its end on a [drivers.FingerprintScanner] or [drivers.Camera]. step.Want is what is still wanted.
// watch is called from this goroutine and must not block; nil is allowed.
//
// The error is nil for Accepted and Rejected; for Faulted it is the device's, one of the five faults, or says why a kept image
// could not be encoded; for Ended it is ctx.Err(). The result's outcome holds all attempts in every case. Capture returns as promptly as the device does when ctx ends.
func (a *Acquirer) Capture(ctx context.Context, step plan.Step, device drivers.Device, watch func(Progress)) (Result, error) {
	c := &capture{
		step: step, device: device.Info(), watch: watch,
		finger: a.Finger, face: a.Face, comparer: a.Comparer, encoder: a.Encoder, now: a.Now, steady: a.Steady,
		former: a.Former, attempts: []biometric.Attempt{}, repeats: map[biometric.FingerPosition]int{},
	}
	c.defaults()
	limited := ctx
	if limit := step.Limit(); limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	c.outer, c.ctx = ctx, limited
	scanner, isScanner := device.(drivers.FingerprintScanner)
	camera, isCamera := device.(drivers.Camera)
	switch {
	case step.Modality == biometric.Finger && isScanner:
		return c.fingers(scanner)
	case step.Modality == biometric.Face && isCamera:
		return c.photograph(camera)
	}
	return c.result(biometric.Faulted), fmt.Errorf("capturing %s: a %s can't do it", step.Modality, c.device.Kind)
}

// capture is one run of a step.
type capture struct {
	step     plan.Step
	device   drivers.Info
	watch    func(Progress)
	finger   FingerAnalyser
	face     FaceAnalyser
	comparer FingerComparer
	encoder  FingerEncoder
	now      func() time.Time
	steady   time.Duration
	still    image.Point // px of the camera's photographs, as it says until there is one; zero where they are not known

	outer, ctx context.Context // the caller's, and the same with the step's limit
	attempts   []biometric.Attempt
	shown      int // fingers that the device saw at most during the current attempt

	former  []Print                          // of earlier captures
	kept    slap                             // of the groups of this capture that are done
	wanted  []biometric.FingerPosition       // of the group that is being captured
	lacking lacking                          // fingers that do not lie there
	givenUp []biometric.FingerPosition       // for which another finger was kept
	repeats map[biometric.FingerPosition]int // how often a finger lay in two places, by the first finger of the group
}

func (c *capture) defaults() {
	if c.finger == nil {
		c.finger = finger.Analyser{}
	}
	if c.face == nil {
		c.face = face.Basic{}
	}
	if c.comparer == nil {
		c.comparer = minutiae{}
	}
	if c.encoder == nil {
		c.encoder = wsqEncoder{}
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.steady == 0 {
		c.steady = time.Second / 2
	}
}

// verdict is what an error of a device means for the capture.
type verdict int

const (
	retry   verdict = iota // the subject can do better
	over                   // the step's limit is reached
	ended                  // the caller's context ended
	faulted                // the device can't go on
)

func (c *capture) judge(err error) verdict {
	var again *drivers.RetryError
	switch {
	case c.outer.Err() != nil:
		return ended
	case errors.As(err, &again):
		return retry
	case drivers.Verdict(err) != "":
		return faulted
	case c.ctx.Err() != nil:
		return over
	}
	return faulted
}

// tell passes progress on.
func (c *capture) tell(p Progress) {
	p.Attempt, p.Wanted = len(c.attempts)+1, c.wanted
	if c.watch != nil {
		c.watch(p)
	}
}

// more reports whether the rules allow another attempt.
func (c *capture) more(made int) bool {
	return c.ctx.Err() == nil && (c.step.Rules.Attempts == 0 || made < c.step.Rules.Attempts)
}

// remember adds an attempt to what the record will hold.
func (c *capture) remember(a biometric.Attempt) {
	a.Step, a.Modality = c.step.ID, c.step.Modality
	a.Number, a.Ended = len(c.attempts)+1, c.now()
	a.Device = c.device.Driver + " " + c.device.USB.Identity().String()
	if a.PAD.Result == "" {
		a.PAD.Result = biometric.PADNotAvailable
	}
	c.attempts = append(c.attempts, a)
}

// accepted reports whether an attendant accepts what there is.
func (c *capture) accepted() bool { return errors.Is(context.Cause(c.outer), ErrKeep) }

// result begins what Capture returns.
func (c *capture) result(status biometric.Result) Result {
	return Result{Status: status, Outcome: biometric.Outcome{Step: c.step.ID, Modality: c.step.Modality, Attempts: c.attempts}}
}

// worst is the detection result of a whole capture: an alarm anywhere counts, and so does a part without detection.
func worst(whole biometric.PAD, parts []drivers.FingerBox) biometric.PAD {
	w := whole
	for _, p := range parts {
		switch {
		case w.Result == biometric.PADAlarm:
			return w
		case p.PAD.Result == biometric.PADAlarm, w.Result == "" || w.Result == biometric.PADNotAvailable && p.PAD.Result != "":
			w = p.PAD
		case p.PAD.Result == biometric.PADPassed && w.Result == biometric.PADPassed && p.PAD.Score < w.Score:
			w = p.PAD
		}
	}
	return w
}
