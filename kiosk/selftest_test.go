package kiosk

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	driver "loket/drivers/slap60"
	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
	"loket/firmware-sim/slap60"
	"loket/firmware-sim/trouble"
	"loket/kiosk/api"
)

// scannerOnBench runs a daemon's registry with one scanner inside a bubble.
func scannerOnBench(t *testing.T, test func(ctx context.Context, d *Daemon, g *trouble.Gadget, bus *usbtest.Bus)) {
	synctest.Test(t, func(t *testing.T) {
		g := trouble.New(slap60.New(slap60.Options{Serial: "SIM-1"}))
		bus := usbtest.Attach(g)
		d := &Daemon{log: slog.New(slog.DiscardHandler), changed: make(chan struct{}), capturing: make(chan struct{}, 1),
			registry: &drivers.Registry{Buses: []usb.Bus{bus}, Drivers: []drivers.Driver{driver.Driver()}}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- d.registry.Run(ctx) }()
		defer func() {
			cancel()
			<-done
		}()
		time.Sleep(time.Second)
		test(ctx, d, g, bus)
	})
}

func tested(t *testing.T, reply api.Reply, err error) api.SelfTest {
	t.Helper()
	var result api.SelfTest
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(reply.Result, &result); err != nil {
		t.Fatal(err)
	}
	return result
}

const scannerID = "1209:0001/SIM-1"

func TestADeviceTestsItself(t *testing.T) {
	scannerOnBench(t, func(ctx context.Context, d *Daemon, _ *trouble.Gadget, _ *usbtest.Bus) {
		reply, err := d.selfTest(ctx, scannerID)
		result := tested(t, reply, err)
		if !result.Passed || len(result.Checks) < 3 || result.Device.State != "ready" || result.Device.Owner != "" {
			t.Errorf("the self-test gave %+v", result)
		}
		_, err = d.selfTest(ctx, "1209:0001/NONE")
		var refused *api.Error
		if !errors.As(err, &refused) || refused.Code != "no-device" {
			t.Errorf("an unknown device gives %v", err)
		}
	})
}

func TestASelfTestRevivesADeviceThatWasGivenUp(t *testing.T) {
	scannerOnBench(t, func(ctx context.Context, d *Daemon, g *trouble.Gadget, _ *usbtest.Bus) {
		g.Set(trouble.Trouble{Kind: trouble.Garbage})
		reply, err := d.selfTest(ctx, scannerID)
		if result := tested(t, reply, err); result.Passed || result.Device.Verdict != "crashed" || result.Device.Hint == "" {
			t.Errorf("a scanner that talks rubbish: %+v", result)
		}
		time.Sleep(5 * time.Minute)
		if s := d.registry.List()[0]; s.Rung != drivers.RungGivenUp {
			t.Fatalf("after five minutes the scanner stands at %+v", s)
		}
		g.Clear()
		time.Sleep(time.Hour)
		if s := d.registry.List()[0]; s.State != drivers.StateFaulted {
			t.Errorf("a scanner that was given up is %s", s.State)
		}
		reply, err = d.selfTest(ctx, scannerID)
		if result := tested(t, reply, err); !result.Passed || result.Device.State != "ready" || result.Device.Rung != "" {
			t.Errorf("the scanner is well again, and the self-test says %+v", result)
		}
	})
}

func TestASelfTestAndASessionKeepOutOfEachOthersWay(t *testing.T) {
	scannerOnBench(t, func(ctx context.Context, d *Daemon, _ *trouble.Gadget, _ *usbtest.Bus) {
		d.cur = &running{}
		_, err := d.selfTest(ctx, scannerID)
		var refused *api.Error
		if !errors.As(err, &refused) || refused.Code != "busy" {
			t.Errorf("a self-test during a session gives %v", err)
		}
	})
}

func TestTheNextSessionTakesOverWhatAnEarlierOneForgot(t *testing.T) {
	scannerOnBench(t, func(ctx context.Context, d *Daemon, _ *trouble.Gadget, _ *usbtest.Bus) {
		d.capturing <- struct{}{} // a capture that does not come to its end
		old, err := d.claim(ctx, drivers.KindFingerprint, d.fit, "se_old")
		if err != nil {
			t.Fatal(err)
		}
		old.Hold(ctx)
		began := time.Now()
		if d.turn(ctx) {
			t.Error("two captures have the turn")
		}
		lease, err := d.claim(ctx, drivers.KindFingerprint, d.fit, "se_new")
		if err != nil || lease.Owner != "se_new" || lease.Device == old.Device {
			t.Fatalf("the new session got %+v, %v", lease, err)
		}
		if took := time.Since(began); took > giveBackLimit+time.Second {
			t.Errorf("it waited %v", took)
		}
		<-old.Ended()
	})
}
