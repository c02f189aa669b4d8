package drivers_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
)

// shelf is a bus whose devices a test plugs and unplugs.
type shelf struct {
	mu       sync.Mutex
	name     string // of the bus
	infos    []usb.Info
	fail     error // what the next opens end with
	stuck    bool  // opens hang until their context ends
	listErr  error
	hiccups  int  // lists that fail
	dark     bool // its ports have no power
	opens    int
	plugs    uint32
	cures    []string      // what was done to devices, in order
	curedBy  string        // the cure after which fail is forgotten
	resetAt  []time.Time   // resets and power cycles
	resetNew bool          // a reset makes the device enumerate anew
	closing  time.Duration // how long a device takes to close
}

// plug plugs a device with a serial number into a port of its own.
func (s *shelf) plug(serial string) { s.plugInto("port-"+serial, serial) }

func (s *shelf) plugInto(port, serial string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plugs++
	s.infos = append(s.infos, usb.Info{Vendor: 0x1209, Product: 1, Serial: serial, Bus: cmp.Or(s.name, "attach"), Port: port, Address: s.plugs})
}

func (s *shelf) unplug() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.infos = nil
}

func (s *shelf) unplugFrom(port string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.infos = slices.DeleteFunc(s.infos, func(i usb.Info) bool { return i.Port == port })
}

func (s *shelf) failWith(err error) {
	s.change(func() { s.fail = err })
}

func (s *shelf) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *shelf) Devices(context.Context) ([]usb.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hiccups > 0 {
		s.hiccups--
		return nil, errors.New("a moment")
	}
	if s.listErr != nil {
		return nil, s.listErr
	}
	return slices.Clone(s.infos), nil
}

func (s *shelf) Open(ctx context.Context, id usb.Identity) (usb.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	if s.stuck {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return nil, ctx.Err()
	}
	if errors.Is(s.fail, usb.ErrBusy) || errors.Is(s.fail, os.ErrPermission) {
		return nil, s.fail
	}
	for _, i := range s.infos {
		if i.Identity() == id {
			return &rawDevice{info: i, bus: s}, nil
		}
	}
	return nil, usb.ErrNotFound
}

// cure notes what is done to a device.
func (s *shelf) cure(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cures = append(s.cures, what)
	if s.curedBy == what {
		s.fail = nil
	}
	if what != "clear-halt" {
		s.resetAt = append(s.resetAt, time.Now())
	}
	if what == "reset" && s.resetNew {
		s.plugs++
		for i := range s.infos {
			s.infos[i].Address = s.plugs
		}
	}
}

// hubbed is a shelf behind a hub that switches ports.
type hubbed struct{ *shelf }

func (h hubbed) Powered(context.Context, string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.dark, nil
}

func (h hubbed) CyclePower(context.Context, string) error {
	h.cure("power")
	return nil
}

type rawDevice struct {
	usb.Device
	info usb.Info
	bus  *shelf
}

func (d *rawDevice) Info() usb.Info { return d.info }
func (d *rawDevice) Close() error   { return nil }
func (d *rawDevice) Reset(context.Context) error {
	d.bus.cure("reset")
	return nil
}
func (d *rawDevice) ClearHalt(context.Context, uint8) error {
	d.bus.cure("clear-halt")
	return nil
}

// Descriptors are those of a device with one interface and one endpoint.
func (d *rawDevice) Descriptors() []byte {
	return []byte{18, 1, 0, 2, 0, 0, 0, 64, 0x09, 0x12, 1, 0, 0, 1, 0, 0, 0, 1,
		9, 2, 25, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 1, 0xff, 0, 0, 0, 7, 5, 0x81, 2, 64, 0, 0}
}

type scanner struct {
	info   drivers.Info
	bus    *shelf
	closed chan struct{}
	once   sync.Once
}

func (s *scanner) Info() drivers.Info { return s.info }
func (s *scanner) Close() error {
	s.once.Do(func() { close(s.closed) })
	var takes time.Duration
	s.bus.change(func() { takes = s.bus.closing })
	time.Sleep(takes)
	return nil
}

func scannerDriver() drivers.Driver {
	return drivers.Driver{
		Name: "shelf", Kind: drivers.KindFingerprint,
		Match: func(i usb.Info) bool { return i.Vendor == 0x1209 },
		Open: func(_ context.Context, dev usb.Device) (drivers.Device, error) {
			bus := dev.(*rawDevice).bus
			bus.mu.Lock()
			defer bus.mu.Unlock()
			if bus.fail != nil {
				return nil, bus.fail
			}
			return &scanner{info: drivers.Info{USB: dev.Info(), Kind: drivers.KindFingerprint}, bus: bus, closed: make(chan struct{})}, nil
		},
	}
}

// watching runs a registry over a shelf inside a synctest bubble.
func watching(t *testing.T, test func(ctx context.Context, s *shelf, r *drivers.Registry)) {
	s := &shelf{}
	watchingBuses(t, []usb.Bus{s}, func(ctx context.Context, r *drivers.Registry) { test(ctx, s, r) })
}

func watchingBuses(t *testing.T, buses []usb.Bus, test func(ctx context.Context, r *drivers.Registry)) {
	looking(t, 0, buses, test)
}

// looking lets the registry look at its buses so often.
func looking(t *testing.T, poll time.Duration, buses []usb.Bus, test func(ctx context.Context, r *drivers.Registry)) {
	synctest.Test(t, func(t *testing.T) {
		r := &drivers.Registry{Buses: buses, Drivers: []drivers.Driver{scannerDriver()}, Poll: poll}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Run ended with %v", err)
			}
		}()
		test(ctx, r)
	})
}

func state(t *testing.T, r *drivers.Registry, want drivers.State, verdict string) drivers.Status {
	t.Helper()
	synctest.Wait()
	list := r.List()
	if len(list) != 1 || list[0].State != want || list[0].Verdict != verdict {
		t.Fatalf("the registry holds %+v, want one device %s with verdict %q", list, want, verdict)
	}
	return list[0]
}

// lease leases a scanner that must be there.
func lease(ctx context.Context, t *testing.T, r *drivers.Registry, owner string) *drivers.Lease {
	t.Helper()
	l, err := r.Lease(ctx, drivers.KindFingerprint, owner)
	if err != nil {
		t.Fatal(err)
	}
	return l
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
