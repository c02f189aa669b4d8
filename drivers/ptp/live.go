package ptp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"loket/drivers"
)

// errNoLiveView says that the camera has no live view that this driver knows.
var errNoLiveView = fmt.Errorf("showing the live view: this camera announces none that is known here: %w "+
	"(hint: use a camera with operations 9201, 9202 and 9203)", errors.ErrUnsupported)

// Frames runs the live view. Its sequence numbers count the frames that arrived: the protocol does not tell which the
// camera left out. A camera without live view gives an error that is [errors.ErrUnsupported] and no fault. A fault that shows while the live view
// ends comes before the error of fn.
func (c *camera) Frames(ctx context.Context, fn func(drivers.Frame) error) error {
	if !c.device.can(opStartLiveView, opEndLiveView, opGetLiveViewImage) {
		return errNoLiveView
	}
	return c.run(ctx, "showing the live view", func(ctx context.Context) error {
		return c.watch(ctx, fn)
	})
}

func (c *camera) watch(ctx context.Context, fn func(drivers.Frame) error) error {
	if err := c.startLive(ctx); err != nil {
		return err
	}
	b := &buffer{limit: maxFrame}
	defer b.wipe()
	for n := uint64(1); ; n++ {
		jpeg, err := c.frame(ctx, b)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if err := fn(drivers.Frame{JPEG: jpeg, Sequence: n}); err != nil {
			return cmp.Or(c.endLive(ctx), error(&callbackError{err}))
		}
	}
}

// startLive starts the live view and waits until the camera is ready for it.
func (c *camera) startLive(ctx context.Context) error {
	c.live = true
	if err := c.whileBusy(ctx, opStartLiveView); err != nil {
		return err
	}
	if c.device.can(opDeviceReady) {
		return c.whileBusy(ctx, opDeviceReady)
	}
	return nil
}

func (c *camera) endLive(ctx context.Context) error {
	r, err := c.link.do(ctx, nil, opEndLiveView)
	switch {
	case err != nil:
		return err
	case r.code != rcOK && r.code != rcNotInLiveView:
		return &ResponseError{Operation: opEndLiveView, Code: r.code}
	}
	c.live = false
	return nil
}

// frame fetches one picture of the live view. A camera that ended the live view by itself, as many do after a while, is
// started again once.
func (c *camera) frame(ctx context.Context, b *buffer) ([]byte, error) {
	started := false
	for deadline := time.Now().Add(busyLimit); ; {
		r, err := c.link.do(ctx, b, opGetLiveViewImage)
		switch {
		case err != nil:
			return nil, err
		case r.code == rcOK && !r.data:
			return nil, fmt.Errorf("reading a live view frame without data: %w", ErrShort)
		case r.code == rcOK:
			return liveFrame(b.b)
		case r.code == rcNotInLiveView && !started:
			started = true
			if err := c.startLive(ctx); err != nil {
				return nil, err
			}
			continue
		case r.code != rcDeviceBusy:
			return nil, &ResponseError{Operation: opGetLiveViewImage, Code: r.code}
		case time.Now().After(deadline):
			return nil, fmt.Errorf("waiting for a live view frame: %w", context.DeadlineExceeded)
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return nil, err
		}
	}
}
