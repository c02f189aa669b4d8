package drivers_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
)

func TestADeviceThatStaysSickClimbsTheLadderAndIsGivenUp(t *testing.T) {
	s := &shelf{}
	watchingBuses(t, []usb.Bus{hubbed{s}}, func(ctx context.Context, r *drivers.Registry) {
		s.failWith(errors.New("rubbish"))
		s.plug("A")
		time.Sleep(10 * time.Second)
		if got := state(t, r, drivers.StateFaulted, "crashed"); got.Rung != drivers.RungReset || !got.NextTry.After(time.Now()) {
			t.Errorf("after ten seconds the rung is %s, next try %v", got.Rung, got.NextTry)
		}
		time.Sleep(5 * time.Minute)
		if got := state(t, r, drivers.StateFaulted, "crashed"); got.Rung != drivers.RungGivenUp || !got.NextTry.IsZero() {
			t.Errorf("the rung is %s, next try %v", got.Rung, got.NextTry)
		}
		if want := []string{"clear-halt", "reset", "reset", "power"}; !slices.Equal(s.cures, want) {
			t.Errorf("the cures were %v, want %v", s.cures, want)
		}
		tries := s.opens
		time.Sleep(time.Hour)
		if s.opens != tries {
			t.Error("a device that was given up was tried again")
		}
		s.failWith(nil)
		s.unplug()
		time.Sleep(time.Second)
		state(t, r, drivers.StateUnplugged, "unplugged")
		s.plug("A")
		time.Sleep(time.Second)
		if got := state(t, r, drivers.StateReady, ""); got.Rung != "" {
			t.Errorf("plugged in anew it stands on %s", got.Rung)
		}
	})
}

func TestEachCureIsTriedBeforeAHarderOne(t *testing.T) {
	for cure, want := range map[string][]string{
		"clear-halt": {"clear-halt"}, "reset": {"clear-halt", "reset"}, "power": {"clear-halt", "reset", "reset", "power"},
	} {
		s := &shelf{curedBy: cure}
		watchingBuses(t, []usb.Bus{hubbed{s}}, func(ctx context.Context, r *drivers.Registry) {
			s.failWith(context.DeadlineExceeded)
			s.plug("A")
			time.Sleep(5 * time.Minute)
			state(t, r, drivers.StateReady, "")
			if !slices.Equal(s.cures, want) {
				t.Errorf("the cures were %v, want %v", s.cures, want)
			}
		})
	}
}

// A device that opens well and fails in every use must not go round in a circle.
func TestADeviceThatFailsInEveryUseIsGivenUpToo(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		for uses := 0; ; {
			l, err := r.Lease(ctx, drivers.KindFingerprint, "me")
			if errors.Is(err, drivers.ErrCrashed) {
				if got := r.List()[0]; got.Rung == drivers.RungGivenUp {
					break
				}
				time.Sleep(time.Second)
				continue
			}
			if uses++; err != nil || uses > 7 {
				t.Fatalf("after %d uses: %v", uses, err)
			}
			l.Release(fmt.Errorf("capturing: %w", drivers.ErrCrashed))
		}
		if !r.Revive(usb.Identity{Vendor: 0x1209, Product: 1, Serial: "A"}) {
			t.Fatal("the device is not known")
		}
		lease(ctx, t, r, "a technician").Release(nil)
		if got := state(t, r, drivers.StateReady, ""); got.Rung != "" {
			t.Errorf("after a good use it stands on %s", got.Rung)
		}
	})
}

func TestAnEndedUseSaysNothingOfTheDevice(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		lease(ctx, t, r, "me").Release(fmt.Errorf("capturing: %w", drivers.ErrHung))
		lease(ctx, t, r, "me").Release(context.Canceled)
		if got := state(t, r, drivers.StateReady, ""); got.Rung != drivers.RungRetry {
			t.Errorf("the rung is %q", got.Rung)
		}
		time.Sleep(11 * time.Minute)
		if got := state(t, r, drivers.StateReady, ""); got.Rung != "" {
			t.Errorf("after a quiet while the rung is %q", got.Rung)
		}
	})
}

// Whatever happens, and whoever asks, a device is reset and switched three times a minute at most.
func TestThereIsNeverAResetStorm(t *testing.T) {
	s := &shelf{resetNew: true} // each reset looks like a replug
	watchingBuses(t, []usb.Bus{hubbed{s}}, func(ctx context.Context, r *drivers.Registry) {
		s.failWith(errors.New("rubbish"))
		s.plug("A")
		for minute := range 15 {
			for range 12 {
				time.Sleep(5 * time.Second)
				switch minute % 3 {
				case 0: // an impatient technician
					r.Revive(usb.Identity{Vendor: 0x1209, Product: 1, Serial: "A"})
				case 1: // a loose contact
					s.unplug()
					time.Sleep(time.Second)
					s.plug("A")
				}
			}
		}
		synctest.Wait()
		if len(s.resetAt) == 0 {
			t.Fatal("there was no reset at all")
		}
		for i := 3; i < len(s.resetAt); i++ {
			if took := s.resetAt[i].Sub(s.resetAt[i-3]); took < time.Minute {
				t.Errorf("four resets in %v", took)
			}
		}
	})
}

func TestAResetThatLooksLikeAReplugDoesNotStartAgain(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.change(func() { s.resetNew = true })
		s.failWith(errors.New("rubbish"))
		s.plug("A")
		time.Sleep(10 * time.Minute)
		if got := state(t, r, drivers.StateFaulted, "crashed"); got.Rung != drivers.RungGivenUp {
			t.Errorf("the rung is %s", got.Rung)
		}
	})
}

func TestADeviceThatMayNotBeOpenedGetsNoVerdictAndNoReset(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.failWith(fmt.Errorf("opening the node: %w", os.ErrPermission))
		s.plug("A")
		time.Sleep(10 * time.Minute)
		state(t, r, drivers.StateFaulted, "")
		if len(s.cures) > 0 {
			t.Errorf("the cures were %v", s.cures)
		}
		if _, err := r.Lease(ctx, drivers.KindFingerprint, "me"); !errors.Is(err, drivers.ErrDenied) {
			t.Errorf("leasing it gives %v", err)
		}
	})
}

func TestADeviceWithoutPowerIsOffAndNotUnplugged(t *testing.T) {
	s := &shelf{}
	watchingBuses(t, []usb.Bus{hubbed{s}}, func(ctx context.Context, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		s.change(func() { s.dark = true })
		s.unplug()
		time.Sleep(time.Second)
		state(t, r, drivers.StateUnplugged, "off")
		if _, err := r.Lease(ctx, drivers.KindFingerprint, "me"); !errors.Is(err, drivers.ErrOff) {
			t.Errorf("leasing it gives %v", err)
		}
		s.change(func() { s.dark = false })
		s.plug("A")
		time.Sleep(time.Second)
		state(t, r, drivers.StateReady, "")
		s.unplug()
		time.Sleep(time.Second)
		state(t, r, drivers.StateUnplugged, "unplugged")
	})
}
