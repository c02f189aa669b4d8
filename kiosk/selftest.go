package kiosk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"loket/drivers"
	"loket/kiosk/api"
	"loket/kiosk/biometric/face"
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
	if errors.As(err, &held) && held.Owner == codeOwner { // which waits for nobody in particular
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
		var light []drivers.Test
		light, err = d.testLight(ctx, camera)
		tested.Checks = append(tested.Checks, light...)
	}
	lease.Release(err)
	return append(checks, tested.Checks...), err
}

// lightSettles is how many frames a camera may take to set its exposure.
const lightSettles = 5

// testLight judges light and background in the live view. While somebody stands there it can't.
func (d *Daemon) testLight(ctx context.Context, camera drivers.Camera) (checks []drivers.Test, err error) {
	enough := errors.New("enough frames")
	var judged error
	frames := 0
	err = camera.Frames(ctx, func(f drivers.Frame) error {
		if frames++; frames < lightSettles {
			return nil
		}
		checks, judged = d.judgeLight(f.JPEG)
		return enough
	})
	switch {
	case errors.Is(err, enough):
		return checks, judged
	case errors.Is(err, errors.ErrUnsupported):
		return []drivers.Test{{Name: "light", Passed: true, Detail: "not available: the camera has no live view"}}, nil
	}
	return nil, err
}

func (d *Daemon) judgeLight(jpeg []byte) ([]drivers.Test, error) {
	if d.acquirer != nil && d.acquirer.Face != nil {
		if report, err := d.acquirer.Face.Analyse(jpeg, face.Want{}); err == nil && len(report.Faces) > 0 {
			return []drivers.Test{{Name: "light", Passed: true, Detail: "not available: somebody stands before the camera"}}, nil
		}
	}
	booth, err := face.Booth(jpeg)
	var checks []drivers.Test
	for _, c := range booth {
		checks = append(checks, drivers.Test{Name: c.Name, Passed: c.Passed, Detail: c.Detail})
	}
	return checks, err
}
