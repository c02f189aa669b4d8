package ptp

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"loket/drivers"
)

const (
	enoughFree    = 64 << 20 // bytes
	enoughBattery = 20       // percent
	maxStores     = 4        // that are looked at
)

// SelfTest asks the camera who it is, for room in its store and for its battery, and fetches one frame of the live view.
// It takes no photograph.
func (c *camera) SelfTest(ctx context.Context) (drivers.SelfTest, error) {
	t := drivers.SelfTest{Passed: true}
	err := c.run(ctx, "testing the camera", func(ctx context.Context) error {
		for _, test := range []struct {
			name string
			run  func(context.Context) (string, error)
		}{
			{"identity", c.testIdentity}, {"store", c.testStore}, {"battery", c.testBattery}, {"live view", c.testLive},
		} {
			detail, err := test.run(ctx)
			failed := failedTest("")
			if err != nil && !errors.As(err, &failed) {
				return fmt.Errorf("%s: %w", test.name, err)
			}
			if err != nil {
				detail = string(failed)
			}
			t.Checks = append(t.Checks, drivers.Test{Name: test.name, Passed: err == nil, Detail: detail})
			t.Passed = t.Passed && err == nil
		}
		return nil
	})
	if err != nil {
		return drivers.SelfTest{}, err
	}
	return t, nil
}

// failedTest is why a test did not pass on a camera that answers well.
type failedTest string

func (f failedTest) Error() string { return string(f) }

func (c *camera) testIdentity(ctx context.Context) (string, error) {
	b := &buffer{limit: maxDataset}
	if _, err := c.link.must(ctx, b, opGetDeviceInfo); err != nil {
		return "", err
	}
	d, err := parseDeviceInfo(b.b)
	if err != nil {
		return "", err
	}
	if d.serial != c.device.serial || d.model != c.device.model || d.version != c.device.version {
		return "", failedTest("the camera describes itself otherwise than when it was opened")
	}
	return fmt.Sprintf("%s, firmware %s", d.model, d.version), nil
}

// testStore wants room for a photograph in one of the first stores.
func (c *camera) testStore(ctx context.Context) (string, error) {
	ids, err := c.stores(ctx)
	if err != nil {
		return "", err
	}
	b := &buffer{limit: maxDataset}
	var free uint64
	for _, id := range ids[:min(len(ids), maxStores)] {
		if _, err := c.link.must(ctx, b, opGetStorageInfo, id); err != nil {
			return "", err
		}
		s, err := parseStorageInfo(b.b)
		if err != nil {
			return "", err
		}
		if s.access == 0 {
			free = max(free, s.free)
		}
	}
	detail := fmt.Sprintf("%d MiB free", free>>20)
	if free < enoughFree {
		return "", failedTest(detail + " (hint: empty the camera's memory card, or put one in that can be written)")
	}
	return detail, nil
}

func (c *camera) testBattery(ctx context.Context) (string, error) {
	if !slices.Contains(c.device.properties, propBatteryLevel) {
		return "the camera does not tell", nil
	}
	b := &buffer{limit: maxDataset}
	if _, err := c.link.must(ctx, b, opGetDevicePropDesc, uint32(propBatteryLevel)); err != nil {
		return "", err
	}
	p, err := parseProperty(b.b)
	if err != nil {
		return "", err
	}
	detail := fmt.Sprintf("%d %%", p.current.number)
	if p.current.number < enoughBattery {
		return "", failedTest(detail + " (hint: connect the camera's power supply)")
	}
	return detail, nil
}

func (c *camera) testLive(ctx context.Context) (string, error) {
	if !c.device.can(opStartLiveView, opEndLiveView, opGetLiveViewImage) {
		return "the camera has none", nil
	}
	if err := c.startLive(ctx); err != nil {
		return "", err
	}
	b := &buffer{limit: maxFrame}
	defer b.wipe()
	jpeg, err := c.frame(ctx, b)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("a frame of %d bytes", len(jpeg)), c.endLive(ctx)
}
