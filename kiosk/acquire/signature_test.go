package acquire

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/ink"
	"loket/kiosk/plan"
)

func signing() plan.Step {
	return plan.Step{ID: "signature", Modality: biometric.Signature, Rules: plan.Rules{Attempts: 3}}
}

// name is a line of 40 mm, as a screen gives it.
func name() *ink.Ink {
	k := &ink.Ink{Width: 8000, Height: 3000}
	var s ink.Stroke
	for x := range 40 {
		s = append(s, ink.Point{X: 1000 + 100*x, Y: 1500 + x%7*30, T: 10 * x})
	}
	k.Strokes = []ink.Stroke{s}
	return k
}

// pen is a pad on which somebody writes, until ctx ends or the plug is pulled.
type pen struct {
	events []drivers.PenEvent
	fault  error
	once   sync.Once
	wrote  chan struct{}
}

func (*pen) Info() drivers.Info { return drivers.Info{Driver: "pen", Kind: drivers.KindSignature} }
func (*pen) Close() error       { return nil }
func (*pen) Area() (int, int)   { return 8000, 3000 }

func (p *pen) Strokes(ctx context.Context, fn func(drivers.PenEvent) error) error {
	for _, e := range p.events {
		if err := fn(e); err != nil {
			return err
		}
	}
	p.once.Do(func() { close(p.wrote) })
	if p.fault != nil {
		return p.fault
	}
	<-ctx.Done()
	return ctx.Err()
}

// written gives the events of a line of 40 mm.
func written() []drivers.PenEvent {
	var list []drivers.PenEvent
	for x := range 40 {
		list = append(list, drivers.PenEvent{Down: true, X: 1000 + 100*x, Y: 1500, Force: 400, At: time.Second + time.Duration(10*x)*time.Millisecond})
	}
	return append(list, drivers.PenEvent{})
}

func TestASignatureOnTheScreenIsAPictureAndItsStrokes(t *testing.T) {
	said := make(chan Written, 2)
	said <- Written{Again: true}
	said <- Written{Ink: name()}
	r, err := (&Acquirer{}).Sign(t.Context(), signing(), nil, said, nil)
	if err != nil || r.Status != biometric.Accepted {
		t.Fatalf("%v, %v", r.Status, err)
	}
	if len(r.Samples) != 2 || r.Samples[0].MediaType != "image/png" || r.Samples[1].MediaType != ink.MediaType || r.Samples[0].PPI != 300 {
		t.Errorf("samples: %v", r.Samples)
	}
	if a := r.Outcome.Attempts; len(a) != 1 || a[0].Result != biometric.Accepted || a[0].Qualities[0].Quality.Measures[MeasureLength] < 38 {
		t.Errorf("attempts: %+v", a)
	}
}

func TestNothingWrittenIsNoSignatureAndThreeTimesIsEnough(t *testing.T) {
	said := make(chan Written, 3)
	for range 3 {
		said <- Written{Ink: &ink.Ink{Width: 8000, Height: 3000}}
	}
	var hints []biometric.Hint
	r, err := (&Acquirer{}).Sign(t.Context(), signing(), nil, said, func(p Progress) { hints = append(hints, p.Hint) })
	if err != nil || r.Status != biometric.Rejected || len(r.Samples) != 0 || len(r.Outcome.Attempts) != 3 {
		t.Errorf("%v, %v: %+v", r.Status, err, r.Outcome)
	}
	if len(hints) != 3 || hints[0] != biometric.HintSignMore {
		t.Errorf("hints: %q", hints)
	}
}

func TestASignatureOnAPadIsShownAndDoneWhenThePersonSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pen{events: written(), wrote: make(chan struct{})}
		said := make(chan Written)
		shown := 0
		done := make(chan Result)
		go func() {
			r, err := (&Acquirer{}).Sign(t.Context(), signing(), p, said, func(p Progress) {
				if p.Preview != nil {
					shown++
				}
			})
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
		<-p.wrote
		time.Sleep(time.Second)
		said <- Written{}
		r := <-done
		if r.Status != biometric.Accepted || shown == 0 {
			t.Errorf("%v, shown %d times", r.Status, shown)
		}
	})
}

func TestAPadThatIsPulledIsAFaultAndACancelledSignatureLeavesNothing(t *testing.T) {
	gone := &pen{events: written(), fault: drivers.ErrUnplugged, wrote: make(chan struct{})}
	r, err := (&Acquirer{}).Sign(t.Context(), signing(), gone, nil, nil)
	if r.Status != biometric.Faulted || !errors.Is(err, drivers.ErrUnplugged) || len(r.Samples) > 0 {
		t.Errorf("pulled: %v, %v", r.Status, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := &pen{events: written(), wrote: make(chan struct{})}
	go func() {
		<-p.wrote
		cancel()
	}()
	r, err = (&Acquirer{}).Sign(ctx, signing(), p, nil, nil)
	if r.Status != biometric.Ended || !errors.Is(err, context.Canceled) || len(r.Samples) > 0 {
		t.Errorf("cancelled: %v, %v", r.Status, err)
	}
}
