package drivers_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
)

// shelf is a bus whose devices a test plugs and unplugs.
type shelf struct {
	mu    sync.Mutex
	infos map[usb.Identity]usb.Info
	fail  error // what the next opens end with
	opens int
}

func (s *shelf) plug(serial string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.infos == nil {
		s.infos = map[usb.Identity]usb.Info{}
	}
	info := usb.Info{Vendor: 0x1209, Product: 1, Serial: serial, Bus: "attach"}
	s.infos[info.Identity()] = info
}

func (s *shelf) unplug() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.infos)
}

func (s *shelf) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *shelf) Devices(context.Context) ([]usb.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []usb.Info
	for _, i := range s.infos {
		list = append(list, i)
	}
	return list, nil
}

func (s *shelf) Open(_ context.Context, id usb.Identity) (usb.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	if s.fail != nil {
		return nil, s.fail
	}
	return rawDevice{info: s.infos[id]}, nil
}

type rawDevice struct {
	usb.Device
	info usb.Info
}

func (d rawDevice) Info() usb.Info { return d.info }
func (d rawDevice) Close() error   { return nil }

type scanner struct{ info drivers.Info }

func (s *scanner) Info() drivers.Info { return s.info }
func (s *scanner) Close() error       { return nil }

func scannerDriver() drivers.Driver {
	return drivers.Driver{
		Name: "shelf", Kind: drivers.KindFingerprint,
		Match: func(i usb.Info) bool { return i.Vendor == 0x1209 },
		Open: func(_ context.Context, dev usb.Device) (drivers.Device, error) {
			return &scanner{drivers.Info{USB: dev.Info(), Kind: drivers.KindFingerprint}}, nil
		},
	}
}

// watching runs a registry over a shelf inside a synctest bubble.
func watching(t *testing.T, test func(ctx context.Context, s *shelf, r *drivers.Registry)) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		r := &drivers.Registry{Buses: []usb.Bus{s}, Drivers: []drivers.Driver{scannerDriver()}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		test(ctx, s, r)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func state(t *testing.T, r *drivers.Registry, want drivers.State, verdict string) {
	t.Helper()
	synctest.Wait()
	list := r.List()
	if len(list) != 1 || list[0].State != want || list[0].Verdict != verdict {
		t.Fatalf("the registry holds %+v, want one device %s with verdict %q", list, want, verdict)
	}
}

func TestADeviceIsSeenWithinASecondAndLeftWithinASecond(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		state(t, r, drivers.StateReady, "")
		s.unplug()
		time.Sleep(time.Second)
		state(t, r, drivers.StateUnplugged, "unplugged")
		s.plug("A")
		time.Sleep(time.Second)
		state(t, r, drivers.StateReady, "")
	})
}

func TestALeaseHasOneOwnerAtATime(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		lease, err := r.Lease(ctx, drivers.KindFingerprint, "first")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Lease(ctx, drivers.KindFingerprint, "second"); !errors.Is(err, drivers.ErrHeld) {
			t.Errorf("a second lease gave %v, want held", err)
		}
		lease.Release(nil)
		lease.Release(fmt.Errorf("late: %w", drivers.ErrHung))
		state(t, r, drivers.StateReady, "")
		if _, err := r.Lease(ctx, drivers.KindFingerprint, "second"); err != nil {
			t.Errorf("after the release: %v", err)
		}
	})
}

func TestAFaultedDeviceIsOpenedAnew(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		lease, err := r.Lease(ctx, drivers.KindFingerprint, "first")
		if err != nil {
			t.Fatal(err)
		}
		s.failWith(context.DeadlineExceeded)
		lease.Release(fmt.Errorf("capturing: %w", drivers.ErrCrashed))
		state(t, r, drivers.StateFaulted, "hung")
		if _, err := r.Lease(ctx, drivers.KindFingerprint, "next"); !errors.Is(err, drivers.ErrHung) {
			t.Errorf("leasing a hung scanner gave %v", err)
		}
		s.failWith(nil)
		time.Sleep(time.Minute)
		state(t, r, drivers.StateReady, "")
	})
}

func TestAnUnpluggedDeviceEndsItsLease(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.plug("A")
		time.Sleep(time.Second)
		lease, err := r.Lease(ctx, drivers.KindFingerprint, "first")
		if err != nil {
			t.Fatal(err)
		}
		s.unplug()
		time.Sleep(time.Second)
		s.plug("A")
		time.Sleep(time.Second)
		lease.Release(fmt.Errorf("capturing: %w", drivers.ErrUnplugged)) // of the device that was
		state(t, r, drivers.StateReady, "")
	})
}

func TestAFailingDeviceIsTriedWithBackOff(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		s.failWith(usb.ErrBusy)
		s.plug("A")
		time.Sleep(10 * time.Minute)
		state(t, r, drivers.StateFaulted, "held")
		if s.opens > 40 {
			t.Errorf("%d tries to open in ten minutes", s.opens)
		}
	})
}

func TestLeasingWithoutADeviceSaysUnplugged(t *testing.T) {
	watching(t, func(ctx context.Context, s *shelf, r *drivers.Registry) {
		synctest.Wait()
		if _, err := r.Lease(ctx, drivers.KindCamera, "me"); !errors.Is(err, drivers.ErrUnplugged) {
			t.Errorf("leasing a camera gave %v", err)
		}
		missing := r.Missing([]drivers.Kind{drivers.KindCamera})
		if !errors.Is(missing[drivers.KindCamera], drivers.ErrUnplugged) {
			t.Errorf("missing: %v", missing)
		}
	})
}
