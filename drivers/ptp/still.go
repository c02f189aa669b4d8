package ptp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"loket/drivers"
)

// exposeLimit is how long a camera may take from the shutter to the photograph in its store.
const exposeLimit = 8 * time.Second

// errNoShutter says that the camera can't be made to take a photograph.
var errNoShutter = fmt.Errorf("taking a photograph: this camera announces no capture by a host: %w "+
	"(hint: use a camera with operation 100E)", errors.ErrUnsupported)

var errNoSize = fmt.Errorf("asking for the size of photographs: this camera does not tell: %w", errors.ErrUnsupported)

// StillSize asks for the property ImageSize, 5003, a text like "1920x1080". A camera that has no such property, or a text of
// another kind in it, gives an error that is [errors.ErrUnsupported].
func (c *camera) StillSize(ctx context.Context) (width, height int, err error) {
	if c.document != 0 || !slices.Contains(c.device.properties, propImageSize) {
		return 0, 0, errNoSize
	}
	err = c.run(ctx, "asking for the size of photographs", func(ctx context.Context) error {
		b := &buffer{limit: maxDataset}
		if _, err := c.link.must(ctx, b, opGetDevicePropDesc, uint32(propImageSize)); err != nil {
			return err
		}
		p, err := parseProperty(b.b)
		if err == nil {
			width, height = parseSize(p.current.text)
		}
		return err
	})
	if err == nil && width == 0 {
		err = errNoSize
	}
	return width, height, err
}

// maxSide bounds the sides that a camera may claim, px.
const maxSide = 1 << 16

// parseSize reads "WxH"; zeros for anything else.
func parseSize(text string) (width, height int) {
	w, h, _ := strings.Cut(text, "x")
	width, wrong := strconv.Atoi(w)
	height, alsoWrong := strconv.Atoi(h)
	if wrong != nil || alsoWrong != nil || width < 1 || height < 1 || width > maxSide || height > maxSide {
		return 0, 0
	}
	return width, height
}

// Still takes a photograph, fetches it and deletes it from the camera. A photograph that can't be deleted is not returned
// either. A camera without remote shutter gives an error that is [errors.ErrUnsupported] and no fault. A camera that was
// opened for a document gives that, and leaves it where it is.
func (c *camera) Still(ctx context.Context) (drivers.Image, error) {
	if c.document != 0 {
		return c.Download(ctx, c.document)
	}
	if !c.device.can(opInitiateCapture, opDeleteObject) {
		return drivers.Image{}, errNoShutter
	}
	var m drivers.Image
	err := c.run(ctx, "taking a photograph", func(ctx context.Context) error {
		var err error
		m, err = c.photograph(ctx)
		return err
	})
	if err != nil {
		m.Wipe()
	}
	return m, err
}

func (c *camera) photograph(ctx context.Context) (drivers.Image, error) {
	before, err := c.objects(ctx)
	if err != nil {
		return drivers.Image{}, err
	}
	if len(before) == 0 {
		c.left.mark(c.link.dev.Info().Identity(), true)
	}
	c.shot = before
	if err := c.whileBusy(ctx, opInitiateCapture, 0, 0); err != nil {
		return drivers.Image{}, err
	}
	handle, err := c.added(ctx, before)
	if err != nil {
		return drivers.Image{}, err
	}
	m, err := c.fetch(ctx, handle)
	if err != nil {
		return drivers.Image{}, err
	}
	return m, c.remove(ctx)
}

// added waits for the event that names an object that was not there before. An event that does not name this capture can
// be old, from an object that was deleted since: it counts where its object is in the store.
func (c *camera) added(ctx context.Context, before map[uint32]bool) (uint32, error) {
	shutter := c.link.current
	ctx, cancel := context.WithTimeout(ctx, exposeLimit)
	defer cancel()
	for {
		e, err := c.link.event(ctx)
		switch {
		case err != nil:
			return 0, err
		case e.code == eventStoreFull:
			return 0, &ResponseError{Operation: opInitiateCapture, Code: rcStoreFull}
		case e.code != eventObjectAdded || len(e.params) == 0 || before[e.params[0]]:
			continue
		case e.transaction == shutter:
			return e.params[0], nil
		}
		now, err := c.objects(ctx)
		if err != nil {
			return 0, err
		}
		if now[e.params[0]] {
			return e.params[0], nil
		}
	}
}

// fetch reads the photograph behind a handle.
func (c *camera) fetch(ctx context.Context, handle uint32) (drivers.Image, error) {
	o, err := c.describeObject(ctx, handle)
	if err != nil {
		return drivers.Image{}, err
	}
	return c.object(ctx, handle, o)
}

// remove deletes every object that was not there before the photograph, and looks whether it is gone.
func (c *camera) remove(ctx context.Context) error {
	if n, err := c.sweep(ctx); err != nil || n == 0 {
		return err
	}
	switch n, err := c.sweep(ctx); {
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("deleting the photograph: it is still on the camera: %w", ErrGarbled)
	}
	c.done()
	return nil
}

// done notes that the store is as it was.
func (c *camera) done() {
	c.shot = nil
	c.left.mark(c.link.dev.Info().Identity(), false)
}

// sweep deletes what was not there before the photograph and returns how many objects that were.
func (c *camera) sweep(ctx context.Context) (int, error) {
	now, err := c.objects(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for handle := range now {
		if c.shot[handle] {
			continue
		}
		n++
		r, err := c.link.do(ctx, nil, opDeleteObject, handle)
		if err == nil && r.code != rcOK && r.code != rcInvalidObjectHandle {
			err = &ResponseError{Operation: opDeleteObject, Code: r.code}
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// settle ends a capture that nobody waits for any more: what it puts into the store is deleted. A camera that can't say
// whether it still takes a photograph is given time.
func (c *camera) settle(ctx context.Context) error {
	swept := false
	for deadline := time.Now().Add(busyLimit); ; {
		busy, err := c.exposing(ctx, swept)
		if err != nil {
			return err
		}
		n, err := c.sweep(ctx)
		late := time.Now().After(deadline)
		switch {
		case err != nil:
			return err
		case n == 0 && (!busy || late):
			c.done()
			return nil
		case late:
			return fmt.Errorf("deleting photographs that nobody wants: there are ever more: %w", ErrGarbled)
		}
		swept = swept || n > 0
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// exposing reports whether the camera may be taking a photograph. One that can't say may be, unless the photograph came.
func (c *camera) exposing(ctx context.Context, came bool) (bool, error) {
	if !c.device.can(opDeviceReady) {
		return !came, nil
	}
	r, err := c.link.do(ctx, nil, opDeviceReady)
	if err == nil && r.code != rcOK && r.code != rcDeviceBusy {
		err = &ResponseError{Operation: opDeviceReady, Code: r.code}
	}
	return r.code == rcDeviceBusy, err
}
