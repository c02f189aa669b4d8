package drivers_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
)

// counter wraps devices by counting them.
type counter struct{ wrapped atomic.Int64 }

func (c *counter) wrap(dev usb.Device) usb.Device {
	c.wrapped.Add(1)
	return dev
}

func (c *counter) n() int { return int(c.wrapped.Load()) }

// opened counts the openings of a shelf.
func (s *shelf) opened() (n int) {
	s.change(func() { n = s.opens })
	return n
}

var shelved = usb.Identity{Vendor: 0x1209, Product: 1, Serial: "A"}

func TestATappedDeviceIsOpenedAnewThroughTheTap(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		var c counter
		untap, err := r.Tap(shelved, 0, c.wrap)
		if err != nil {
			t.Fatal(err)
		}
		state(t, r, drivers.StateReady, "")
		if c.n() != 1 || s.opened() != 2 {
			t.Errorf("tapped %d times in %d openings", c.n(), s.opened())
		}
		if _, err := r.Tap(shelved, 0, c.wrap); !errors.Is(err, drivers.ErrTapped) {
			t.Errorf("a second tap gives %v", err)
		}
		s.unplug()
		time.Sleep(time.Second)
		s.plug("A")
		time.Sleep(time.Second)
		if state(t, r, drivers.StateReady, ""); c.n() != 2 {
			t.Errorf("plugged in again it is tapped %d times", c.n())
		}
		untap()
		untap()
		synctest.Wait()
		if s.opened() != 3 {
			t.Errorf("untapped, it was opened %d times", s.opened())
		}
		lease(ctx, t, r, "a").Release(drivers.ErrCrashed)
		time.Sleep(time.Minute)
		if state(t, r, drivers.StateReady, ""); c.n() != 2 {
			t.Errorf("opened again it is tapped %d times", c.n())
		}
	})
}

func TestATapEndsNoLeaseButTheOneItNames(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		l := lease(ctx, t, r, "session")
		var c counter
		_, err := r.Tap(shelved, 0, c.wrap)
		if held := holder(t, err); held.Owner != "session" || c.n() != 0 {
			t.Errorf("it gives %+v, tapped %d times", held, c.n())
		}
		if _, err = r.Tap(shelved, l.Token, c.wrap); err != nil || !ended(l) {
			t.Errorf("with the token it gives %v", err)
		}
		if state(t, r, drivers.StateReady, ""); c.n() != 1 {
			t.Errorf("tapped %d times", c.n())
		}
		if _, err := r.Tap(usb.Identity{Vendor: 1}, 0, c.wrap); !errors.Is(err, usb.ErrNotFound) {
			t.Errorf("an unknown device gives %v", err)
		}
	})
}

func TestADeviceThatDoesNotOpenIsTappedToo(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.failWith(context.DeadlineExceeded)
		s.plug("A")
		time.Sleep(time.Hour)
		before := s.opened()
		var c counter
		if _, err := r.Tap(shelved, 0, c.wrap); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if opens := s.opened() - before; opens == 0 || c.n() != opens {
			t.Errorf("of %d openings %d were tapped", opens, c.n())
		}
	})
}

func TestATapDuringTheOpeningHasItOpenedOnceMore(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.change(func() { s.stuck = true })
		s.plug("A")
		time.Sleep(time.Second)
		var c counter
		if _, err := r.Tap(shelved, 0, c.wrap); err != nil {
			t.Fatal(err)
		}
		s.change(func() { s.stuck = false })
		time.Sleep(10 * time.Second)
		if state(t, r, drivers.StateReady, ""); c.n() != 1 {
			t.Errorf("tapped %d times", c.n())
		}
	})
}
