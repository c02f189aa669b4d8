package kiosk

import (
	"bytes"
	"slices"
	"sync"

	"loket/kiosk/biometric"
	"loket/kiosk/handover"
)

// vault is the one place where samples of the session in progress are kept in the clear. They leave it into the sealer, and
// are overwritten when the session gives them up and at its every end.
type vault struct {
	mu      sync.Mutex
	samples []handover.Sample
}

// add keeps the samples of a step; those of the same step and positions that were there are overwritten.
func (v *vault) add(step string, samples []biometric.Sample) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range samples {
		v.drop(func(h handover.Sample) bool { return h.Step == step && h.Position == s.Position })
	}
	for _, s := range samples {
		v.samples = append(v.samples, handover.Sample{Step: step, Sample: s})
	}
}

// adopt keeps the samples that another station captured; of what was there nothing is left.
func (v *vault) adopt(samples []handover.Sample) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop(func(handover.Sample) bool { return true })
	v.samples = slices.Clone(samples)
}

// retain overwrites what no outcome holds any more.
func (v *vault) retain(outcomes []biometric.Outcome) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop(func(h handover.Sample) bool {
		return !slices.ContainsFunc(outcomes, func(o biometric.Outcome) bool {
			return o.Step == h.Step && (h.Modality != biometric.Finger || slices.Contains(o.Captured, h.Position))
		})
	})
}

// use calls fn with all samples while the vault is locked. fn keeps nothing.
func (v *vault) use(fn func([]biometric.Sample) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := make([]biometric.Sample, len(v.samples))
	for i, h := range v.samples {
		all[i] = h.Sample
	}
	return fn(all)
}

// steps calls fn with all samples and the steps that they belong to while the vault is locked. fn keeps nothing.
func (v *vault) steps(fn func([]handover.Sample) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return fn(v.samples)
}

// copies gives copies of the samples that are wanted, for work that takes longer than the vault may be locked: whoever locks it
// may hold the daemon's mutex. The caller wipes them.
func (v *vault) copies(wanted func(handover.Sample) bool) []biometric.Sample {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []biometric.Sample
	for _, h := range v.samples {
		if wanted(h) {
			s := h.Sample
			s.Data = bytes.Clone(s.Data)
			all = append(all, s)
		}
	}
	return all
}

// wipe overwrites everything.
func (v *vault) wipe() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop(func(handover.Sample) bool { return true })
}

func (v *vault) drop(gone func(handover.Sample) bool) {
	kept := v.samples[:0]
	for _, h := range v.samples {
		if gone(h) {
			h.Wipe()
			continue
		}
		kept = append(kept, h)
	}
	clear(v.samples[len(kept):])
	v.samples = kept
}

func wipe(samples []biometric.Sample) {
	for i := range samples {
		samples[i].Wipe()
	}
}
