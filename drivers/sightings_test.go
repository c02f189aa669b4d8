package drivers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
)

// known gives "identity state" of every device, separated by commas.
func known(r *drivers.Registry) string {
	synctest.Wait()
	var list []string
	for _, s := range r.List() {
		list = append(list, fmt.Sprintf("%s %s", s.Identity, s.State))
	}
	return strings.Join(list, ", ")
}

func wantKnown(t *testing.T, r *drivers.Registry, want string) {
	t.Helper()
	time.Sleep(time.Second)
	if got := known(r); got != want {
		t.Fatalf("the registry knows %q, want %q", got, want)
	}
}

func TestADeviceWithoutSerialNumberLeavesNoGhostBehind(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plugInto("1-1", "")
		wantKnown(t, r, "1209:0001@1-1 ready")
		s.unplug()
		wantKnown(t, r, "1209:0001@1-1 unplugged")
		s.plugInto("1-2", "")
		wantKnown(t, r, "1209:0001@1-2 ready")
		s.unplug()
		s.plugInto("1-3", "") // moved between two looks
		wantKnown(t, r, "1209:0001@1-3 ready")
		s.unplug()
		s.plugInto("1-1", "")
		wantKnown(t, r, "1209:0001@1-1 ready")
	})
}

func TestADeviceThatCallsItselfAnotherEachTimeFillsNoMemory(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plugInto("1-9", "constant")
		for i := range 100 {
			s.plugInto("1-1", fmt.Sprintf("name %03d", i))
			time.Sleep(time.Second)
			s.unplugFrom("1-1")
			time.Sleep(time.Second)
		}
		synctest.Wait()
		list := r.List()
		if len(list) != 65 || list[0].Identity.Serial != "constant" || list[1].Identity.Serial != "name 036" || list[64].Identity.Serial != "name 099" {
			t.Errorf("%d are known, the first %v and %v", len(list), list[0].Identity, list[1].Identity)
		}
	})
}

func TestOneOfTwoLikeDevicesIsMissedForAWhile(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plugInto("1-1", "")
		s.plugInto("1-2", "")
		wantKnown(t, r, "1209:0001@1-1 ready, 1209:0001@1-2 ready")
		s.unplugFrom("1-2")
		wantKnown(t, r, "1209:0001@1-1 ready, 1209:0001@1-2 unplugged")
		s.unplugFrom("1-1")
		wantKnown(t, r, "1209:0001@1-1 unplugged, 1209:0001@1-2 unplugged")
		s.plugInto("1-1", "")
		wantKnown(t, r, "1209:0001@1-1 ready, 1209:0001@1-2 unplugged")
		time.Sleep(10 * time.Minute)
		wantKnown(t, r, "1209:0001@1-1 ready")
	})
}

func TestADeviceWhoseSerialNumberBecomesKnownLeavesNoGhostBehind(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.failWith(usb.ErrBusy) // another program has it: its strings can't be read
		s.plugInto("1-1", "")
		wantKnown(t, r, "1209:0001@1-1 faulted")
		s.failWith(nil)
		s.unplug()
		s.plugInto("1-1", "A")
		wantKnown(t, r, "1209:0001/A ready")
	})
}

func TestADeviceWithSerialNumberIsMissedForADay(t *testing.T) {
	s := &shelf{}
	looking(t, time.Minute, []usb.Bus{s}, func(ctx context.Context, r *drivers.Registry) {
		s.plugInto("1-1", "A")
		wantLater(t, r, "1209:0001/A ready")
		s.unplug()
		time.Sleep(23 * time.Hour)
		wantLater(t, r, "1209:0001/A unplugged")
		s.plugInto("1-7", "A")
		wantLater(t, r, "1209:0001/A ready")
		s.unplug()
		s.plugInto("1-1", "B") // a spare one
		wantLater(t, r, "1209:0001/A unplugged, 1209:0001/B ready")
		time.Sleep(25 * time.Hour)
		wantLater(t, r, "1209:0001/B ready")
	})
}

func wantLater(t *testing.T, r *drivers.Registry, want string) {
	t.Helper()
	time.Sleep(2 * time.Minute)
	wantKnown(t, r, want)
}

func TestTheBusThatStandsFirstWins(t *testing.T) {
	first, second := &shelf{name: "kernel"}, &shelf{name: "usbip"}
	watchingBuses(t, []usb.Bus{first, second}, func(ctx context.Context, r *drivers.Registry) {
		where := func() string {
			s := state(t, r, drivers.StateReady, "")
			return s.Info.USB.Bus + " " + strings.Join(s.Also, ",")
		}
		second.plugInto("1-1", "A")
		time.Sleep(time.Second)
		l := lease(ctx, t, r, "me")
		first.plugInto("3-2", "A")
		time.Sleep(time.Second)
		if got := r.List(); len(got) != 1 || ended(l) || !slices.Equal(got[0].Also, []string{"kernel 3-2"}) {
			t.Fatalf("a device in use was exchanged for its double: %+v", got)
		}
		l.Release(nil)
		if got := where(); got != "usbip kernel 3-2" {
			t.Errorf("used where it was open already: %s", got)
		}
		second.unplug()
		time.Sleep(time.Second)
		if got := where(); got != "kernel " {
			t.Errorf("then used at %s", got)
		}
		first.unplug()
		time.Sleep(time.Second)
		state(t, r, drivers.StateUnplugged, "unplugged")
		second.change(func() { second.listErr = errors.New("not yet") })
		second.plugInto("1-1", "A")
		first.plugInto("3-2", "A")
		time.Sleep(time.Second)
		second.change(func() { second.listErr = nil })
		time.Sleep(time.Second)
		if got := where(); got != "kernel usbip 1-1" {
			t.Errorf("seen on both, used at %s", got)
		}
	})
}

func TestAReplugBetweenTwoLooksIsNoticed(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		l := lease(ctx, t, r, "me")
		s.unplug()
		s.plug("A")
		time.Sleep(time.Second)
		if !ended(l) {
			t.Fatal("the lease of the device that was still holds")
		}
		if again := lease(ctx, t, r, "me"); again.Device == l.Device {
			t.Error("the closed device was leased again")
		}
	})
}

func TestAnUnplugEndsAnOpeningThatHangs(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.change(func() { s.stuck = true })
		s.plug("A")
		time.Sleep(time.Second)
		state(t, r, drivers.StateOpening, "")
		s.unplug()
		time.Sleep(time.Second)
		state(t, r, drivers.StateUnplugged, "unplugged")
		s.change(func() { s.stuck = false })
		s.plug("A")
		time.Sleep(time.Second)
		state(t, r, drivers.StateReady, "")
	})
}

func TestOneListThatFailsUnplugsNothing(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		l := lease(ctx, t, r, "me")
		s.change(func() { s.hiccups = 1 })
		time.Sleep(time.Second)
		if ended(l) {
			t.Error("one bad answer ended a capture")
		}
		s.change(func() { s.listErr = errors.New("for good") })
		time.Sleep(time.Second)
		state(t, r, drivers.StateUnplugged, "unplugged")
	})
}

func TestABusThatHangsDelaysNoOther(t *testing.T) {
	s := &shelf{}
	watchingBuses(t, []usb.Bus{stuckBus{}, s}, func(ctx context.Context, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		state(t, r, drivers.StateReady, "")
	})
}

// stuckBus answers nothing.
type stuckBus struct{}

func (stuckBus) Devices(ctx context.Context) ([]usb.Info, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (stuckBus) Open(ctx context.Context, _ usb.Identity) (usb.Device, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
