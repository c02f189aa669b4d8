package kiosk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"loket/drivers"
	"loket/kiosk/api"
)

// selfTestLimit bounds a self-test with everything before it.
const selfTestLimit = 60 * time.Second

// selfTest has a device test itself, under a lease like every other use. While it runs no session starts.
func (d *Daemon) selfTest(ctx context.Context, identity string) (api.Reply, error) {
	if err := d.beginTest(); err != nil {
		return api.Reply{}, err
	}
	defer d.endTest()
	ctx, cancel := context.WithTimeout(ctx, selfTestLimit)
	defer cancel()
	before, ok := d.device(identity)
	if !ok {
		return api.Reply{}, &api.Error{Code: "no-device", Text: fmt.Sprintf("no device %q was seen here", identity), Hint: "kioskctl devices lists them"}
	}
	began := d.now()
	checks, err := d.testDevice(ctx, before)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return api.Reply{}, err
	}
	if err != nil {
		checks = append(checks, drivers.Test{Name: "device", Detail: err.Error()})
	}
	test := api.SelfTest{Passed: true, Seconds: d.now().Sub(began).Seconds()}
	for _, c := range checks {
		test.Checks = append(test.Checks, api.Check(c))
		test.Passed = test.Passed && c.Passed
	}
	if after, ok := d.device(identity); ok {
		before = after
	}
	test.Device = deviceStatus(before)
	return result(test)
}

// beginTest makes sure that no session needs the devices.
func (d *Daemon) beginTest() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur != nil || d.starting {
		return &api.Error{Code: "busy", Text: "a session is in progress here", Hint: "try again when it has ended; kioskctl session show tells where it stands"}
	}
	d.testing++
	d.touch()
	return nil
}

func (d *Daemon) endTest() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.testing--
	d.touch()
}

func (d *Daemon) device(identity string) (drivers.Status, bool) {
	list := d.registry.List()
	i := slices.IndexFunc(list, func(s drivers.Status) bool { return s.Identity.String() == identity })
	if i < 0 {
		return drivers.Status{}, false
	}
	return list[i], true
}

// testDevice opens a device again where that is needed, and has it test itself.
func (d *Daemon) testDevice(ctx context.Context, s drivers.Status) ([]drivers.Test, error) {
	d.registry.Revive(s.Identity)
	const owner = "self-test"
	lease, err := d.registry.LeaseDevice(ctx, s.Identity, owner)
	var held *drivers.HeldError
	if errors.As(err, &held) && (held.Owner == codeOwner || held.Owner == boothOwner) { // which wait for nobody
		lease, err = d.registry.TakeOver(ctx, s.Identity, held.Token, owner)
	}
	if err != nil {
		return nil, err
	}
	lease.Hold(ctx)
	info := lease.Device.Info()
	checks := []drivers.Test{{Name: "opens", Passed: true, Detail: fmt.Sprintf("%s, firmware %s", info.Model, info.Firmware)}}
	var tested drivers.SelfTest
	if tester, ok := lease.Device.(drivers.SelfTester); ok {
		tested, err = tester.SelfTest(ctx)
	} else {
		tested.Checks = []drivers.Test{{Name: "own test", Passed: true, Detail: "the device has none"}}
	}
	if camera, ok := lease.Device.(drivers.Camera); ok && err == nil {
		var booth api.Booth
		if booth, err = d.testLight(ctx, camera, func() error { return nil }); err == nil {
			d.found(booth)
			tested.Checks = append(tested.Checks, lightChecks(booth)...)
		}
	}
	lease.Release(err)
	return append(checks, tested.Checks...), err
}

// lightChecks are a booth as lines of a self-test. What can't be judged is no fault of the camera.
func lightChecks(b api.Booth) []drivers.Test {
	if b.State == api.BoothNotAvailable {
		return []drivers.Test{{Name: "light", Passed: true, Detail: "not available: " + b.Detail}}
	}
	var checks []drivers.Test
	for _, c := range b.Checks {
		checks = append(checks, drivers.Test(c))
	}
	return checks
}
