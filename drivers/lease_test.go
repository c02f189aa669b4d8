package drivers_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
)

// ended reports whether a lease has ended.
func ended(l *drivers.Lease) bool {
	synctest.Wait()
	select {
	case <-l.Ended():
		return true
	default:
		return false
	}
}

func holder(t *testing.T, err error) *drivers.HeldError {
	t.Helper()
	var held *drivers.HeldError
	if !errors.As(err, &held) || !errors.Is(err, drivers.ErrHeld) {
		t.Fatalf("the error is %v, want one that says who holds the device", err)
	}
	return held
}

func TestAForgottenLeaseRunsOut(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		forgotten := lease(ctx, t, r, "first")
		old := forgotten.Device.(*scanner)
		_, err := r.Lease(ctx, drivers.KindFingerprint, "second")
		if held := holder(t, err); held.Owner != "first" || held.Token != forgotten.Token {
			t.Errorf("held is %+v", held)
		}
		time.Sleep(11 * time.Second)
		if !ended(forgotten) {
			t.Fatal("the lease still holds")
		}
		<-old.closed // its owner, whoever that is, can do nothing with it any more
		second := lease(ctx, t, r, "second")
		if second.Device == forgotten.Device {
			t.Error("two owners have one device")
		}
		forgotten.Release(fmt.Errorf("late: %w", drivers.ErrCrashed))
		if err := forgotten.Renew(); !errors.Is(err, drivers.ErrLost) {
			t.Errorf("renewing a lost lease gives %v", err)
		}
		if got := state(t, r, drivers.StateLeased, ""); got.Owner != "second" {
			t.Errorf("the owner is %q", got.Owner)
		}
	})
}

func TestALeaseLastsWhileItIsRenewed(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		l := lease(ctx, t, r, "first")
		for range 20 {
			time.Sleep(9 * time.Second)
			if err := l.Renew(); err != nil {
				t.Fatal(err)
			}
		}
		use, end := context.WithCancel(ctx)
		l.Hold(use)
		time.Sleep(10 * time.Minute)
		if ended(l) {
			t.Fatal("a lease that was held ended")
		}
		end()
		time.Sleep(9 * time.Second)
		if ended(l) {
			t.Error("the use had no term to come to its end")
		}
		time.Sleep(2 * time.Second)
		if !ended(l) {
			t.Error("a lease whose use has ended goes on")
		}
		state(t, r, drivers.StateReady, "")
	})
}

func TestALeaseIsTakenOverByOneOfThoseWhoTry(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		s.change(func() { s.closing = 100 * time.Millisecond })
		time.Sleep(time.Second)
		l := lease(ctx, t, r, "old")
		id := usb.Identity{Vendor: 0x1209, Product: 1, Serial: "A"}
		type result struct {
			lease *drivers.Lease
			err   error
		}
		results := make(chan result)
		for i := range 5 {
			go func() {
				got, err := r.TakeOver(ctx, id, l.Token, fmt.Sprintf("new-%d", i))
				results <- result{got, err}
			}()
		}
		var winner *drivers.Lease
		for range 5 {
			switch got := <-results; {
			case got.err != nil:
				holder(t, got.err)
			case winner != nil:
				t.Errorf("%s and %s both took the device over", winner.Owner, got.lease.Owner)
			default:
				winner = got.lease
			}
		}
		if winner == nil || !ended(l) || winner.Device == l.Device || ended(winner) {
			t.Fatalf("the winner is %+v", winner)
		}
		if _, err := r.TakeOver(ctx, id, l.Token, "late"); holder(t, err).Token != winner.Token {
			t.Errorf("an old token gives %v", err)
		}
		winner.Release(nil)
		again, err := r.TakeOver(ctx, id, winner.Token, "next")
		if err != nil || again.Owner != "next" {
			t.Errorf("taking over what was given back: %+v, %v", again, err)
		}
	})
}

func TestATakeOverEndsWithItsContextOrItsDevice(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		id := usb.Identity{Vendor: 0x1209, Product: 1, Serial: "A"}
		l := lease(ctx, t, r, "old")
		s.change(func() { s.closing = time.Minute })
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := r.TakeOver(short, id, l.Token, "new"); !errors.Is(err, drivers.ErrHung) {
			t.Errorf("a device that does not come back: %v", err)
		}
		time.Sleep(time.Minute)
		l = lease(ctx, t, r, "old")
		done := make(chan error)
		go func() {
			_, err := r.TakeOver(ctx, id, l.Token, "new")
			done <- err
		}()
		time.Sleep(time.Second)
		s.unplug()
		if err := <-done; !errors.Is(err, drivers.ErrUnplugged) {
			t.Errorf("a device that was unplugged meanwhile: %v", err)
		}
		if _, err := r.LeaseDevice(ctx, id, "new"); !errors.Is(err, drivers.ErrUnplugged) {
			t.Errorf("leasing it then: %v", err)
		}
		s.change(func() { s.closing = 0 })
	})
}

func TestAnotherProgramThatHoldsADeviceIsNamed(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.failWith(fmt.Errorf("claiming: %w", &usb.BusyError{Holder: "gphoto2 (process 4711)"}))
		s.plug("A")
		time.Sleep(time.Second)
		if got := state(t, r, drivers.StateFaulted, "held"); got.Owner != "gphoto2 (process 4711)" {
			t.Errorf("the owner is %q", got.Owner)
		}
		_, err := r.Lease(ctx, drivers.KindFingerprint, "me")
		if held := holder(t, err); held.Owner != "gphoto2 (process 4711)" || held.Token != 0 {
			t.Errorf("held is %+v", held)
		}
		s.failWith(nil)
		time.Sleep(time.Minute)
		if got := state(t, r, drivers.StateReady, ""); got.Owner != "" {
			t.Errorf("a free device belongs to %q", got.Owner)
		}
		if len(s.cures) != 0 {
			t.Errorf("a device that another program holds was treated: %v", s.cures)
		}
	})
}

func TestADeviceLeasedByIdentityIsThatOne(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		s.plug("B")
		time.Sleep(time.Second)
		l, err := r.LeaseDevice(ctx, usb.Identity{Vendor: 0x1209, Product: 1, Serial: "B"}, "me")
		if err != nil || l.Device.Info().USB.Serial != "B" {
			t.Fatalf("the lease is %+v, %v", l, err)
		}
		if other := lease(ctx, t, r, "me"); other.Device.Info().USB.Serial != "A" {
			t.Error("the other scanner is not free")
		}
	})
}

func TestADeviceThatDoesNotFitIsPassedOver(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		coarse := errors.New("too coarse")
		fit := func(i drivers.Info) error {
			if i.USB.Serial == "A" {
				return coarse
			}
			return nil
		}
		s.plug("A")
		time.Sleep(time.Second)
		if _, err := r.LeaseFit(ctx, drivers.KindFingerprint, fit, "me"); !errors.Is(err, coarse) {
			t.Errorf("the only one does not fit: %v", err)
		}
		s.plug("B")
		time.Sleep(time.Second)
		l, err := r.LeaseFit(ctx, drivers.KindFingerprint, fit, "me")
		if err != nil || l.Device.Info().USB.Serial != "B" {
			t.Fatalf("the lease is %+v, %v", l, err)
		}
		if _, err := r.LeaseFit(ctx, drivers.KindFingerprint, fit, "other"); holder(t, err).Owner != "me" {
			t.Errorf("the one that fits is leased: %v", err)
		}
		l.Release(nil)
		s.unplugFrom("port-B")
		time.Sleep(time.Minute)
		if _, err := r.LeaseFit(ctx, drivers.KindFingerprint, fit, "me"); !errors.Is(err, drivers.ErrUnplugged) {
			t.Errorf("the one that fits was unplugged: %v", err)
		}
		if l := lease(ctx, t, r, "me"); l.Device.Info().USB.Serial != "A" {
			t.Error("what does not fit one use does not fit another")
		}
	})
}
