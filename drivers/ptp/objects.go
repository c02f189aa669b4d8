package ptp

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"loket/drivers"
)

const (
	maxObjects = 4096
	maxDepth   = 8 // folders within folders

	formatFolder uint16 = 0x3001 // association
	anyParent    uint32 = 0xffffffff

	vendorCanon       uint16 = 0x04a9
	opCanonObjectInfo uint16 = 0x9021
)

// ErrNoObject says that the camera's store does not hold what was asked for. It is no fault of the camera.
var ErrNoObject = errors.New("camera has no such object (hint: list the camera's objects, and configure the handle of one of them)")

// Object is one thing in a camera's store.
type Object struct {
	Handle uint32
	Parent uint32 // handle of its folder; 0 in the root
	Store  uint32
	Folder bool
	Format uint16 // clause 6.3: 3801 is EXIF/JPEG
	Size   uint32 // bytes
	Width  uint32 // px; 0 where it is no picture
	Height uint32 // px
	Name   string
	Taken  string // as the camera wrote it: YYYYMMDDThhmmss
}

// Library is the power of every camera that this driver opens to list its store and to hand out what lies there. It is
// found by type assertion. Nothing in the store is changed.
type Library interface {
	// Objects lists every store anew, folders before what lies in them.
	Objects(ctx context.Context) ([]Object, error)
	// Download fetches a photograph by its handle, as the camera made it. Handles are those of the last listing, which is
	// made where there is none. Errors: [ErrNoObject], or one of the five faults.
	Download(ctx context.Context, handle uint32) (drivers.Image, error)
}

var _ Library = (*camera)(nil)

// Objects lists every store.
func (c *camera) Objects(ctx context.Context) ([]Object, error) {
	var list []Object
	err := c.run(ctx, "listing the camera's store", func(ctx context.Context) error {
		err := c.list(ctx)
		list = slices.Clone(c.listed)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Download fetches a photograph by its handle.
func (c *camera) Download(ctx context.Context, handle uint32) (drivers.Image, error) {
	var m drivers.Image
	err := c.run(ctx, "fetching a photograph from the store", func(ctx context.Context) error {
		var err error
		m, err = c.download(ctx, handle)
		return err
	})
	if err != nil {
		m.Wipe()
	}
	return m, err
}

func (c *camera) download(ctx context.Context, handle uint32) (drivers.Image, error) {
	if c.listed == nil {
		if err := c.list(ctx); err != nil {
			return drivers.Image{}, err
		}
	}
	i := slices.IndexFunc(c.listed, func(o Object) bool { return o.Handle == handle })
	if i < 0 || c.listed[i].Folder {
		c.listed = nil // the next try looks again
		return drivers.Image{}, &callbackError{fmt.Errorf("fetching object %08x: %w", handle, ErrNoObject)}
	}
	m, err := c.object(ctx, handle, objectInfo{format: c.listed[i].Format, size: c.listed[i].Size})
	var refused *ResponseError
	if errors.As(err, &refused) && refused.Code == rcInvalidObjectHandle {
		c.listed = nil
		return m, &callbackError{fmt.Errorf("fetching object %08x: %w", handle, ErrNoObject)}
	}
	return m, err
}

// list walks every store from its root. A card that is changed meanwhile is an error; the next listing finds the other one.
func (c *camera) list(ctx context.Context) error {
	c.listed = nil
	stores, err := c.stores(ctx)
	if err != nil {
		return err
	}
	w := &walk{camera: c, seen: map[uint32]bool{}}
	for _, store := range stores[:min(len(stores), maxStores)] {
		if store&0xffff == 0 {
			continue // a slot without a card (clause 5.4.1)
		}
		roots, err := c.handles(ctx, store, anyParent)
		if err != nil {
			return err
		}
		now, err := c.stores(ctx)
		if err != nil {
			return err
		}
		if !slices.Equal(now, stores) {
			return fmt.Errorf("listing a store that is no longer the same: %w", ErrGarbled)
		}
		if err := w.visit(ctx, store, 0, roots, 0); err != nil {
			return err
		}
	}
	c.listed = w.list
	if c.listed == nil {
		c.listed = []Object{}
	}
	return nil
}

// walk is a listing in progress.
type walk struct {
	*camera
	list []Object
	seen map[uint32]bool
}

// visit describes the objects of one folder, each with what lies in it.
func (w *walk) visit(ctx context.Context, store, parent uint32, handles []uint32, depth int) error {
	for _, handle := range handles {
		if w.seen[handle] || len(w.list) >= maxObjects || depth >= maxDepth {
			return fmt.Errorf("listing a store with an object in two places, more than %d objects or folders %d deep: %w", maxObjects, maxDepth, ErrTooBig)
		}
		w.seen[handle] = true
		o, err := w.describeObject(ctx, handle)
		if err != nil {
			return err
		}
		if err := w.askCanon(ctx, store, parent, handle); err != nil {
			return err
		}
		w.list = append(w.list, Object{Handle: handle, Parent: parent, Store: store, Folder: o.format == formatFolder, Format: o.format,
			Size: o.size, Width: o.width, Height: o.height, Name: o.filename, Taken: o.taken})
		if o.format != formatFolder {
			continue
		}
		inside, err := w.handles(ctx, store, handle)
		if err == nil {
			err = w.visit(ctx, store, handle, inside, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// askCanon asks a Canon for its own description of an object, as its maker's software does after the standard one. Only
// that it is of the same object matters; a camera that refuses need not tell.
func (c *camera) askCanon(ctx context.Context, store, parent, handle uint32) error {
	if c.link.dev.Info().Vendor != vendorCanon || !c.device.can(opCanonObjectInfo) {
		return nil
	}
	b := &buffer{limit: maxDataset}
	r, err := c.link.do(ctx, b, opCanonObjectInfo, store, 0, parent, handle)
	if err != nil || r.code != rcOK {
		return err
	}
	f := &fields{b: b.b}
	if got := f.u32(); f.err == nil && got != handle {
		return fmt.Errorf("reading the description of object %08x for that of %08x: %w", got, handle, ErrGarbled)
	}
	return f.err
}

func (c *camera) stores(ctx context.Context) ([]uint32, error) {
	b := &buffer{limit: maxDataset}
	if _, err := c.link.must(ctx, b, opGetStorageIDs); err != nil {
		return nil, err
	}
	f := &fields{b: b.b}
	return f.handles(), f.err
}

// handles lists what lies in one folder of a store.
func (c *camera) handles(ctx context.Context, store, parent uint32) ([]uint32, error) {
	b := &buffer{limit: maxDataset}
	if _, err := c.link.must(ctx, b, opGetObjectHandles, store, 0, parent); err != nil {
		return nil, err
	}
	f := &fields{b: b.b}
	return f.handles(), f.err
}

// describeObject asks what an object is.
func (c *camera) describeObject(ctx context.Context, handle uint32) (objectInfo, error) {
	b := &buffer{limit: maxDataset}
	if _, err := c.link.must(ctx, b, opGetObjectInfo, handle); err != nil {
		return objectInfo{}, err
	}
	o, err := parseObjectInfo(b.b)
	if err != nil {
		return o, fmt.Errorf("reading the description of an object: %w", err)
	}
	return o, nil
}

// object fetches an object that has to be a photograph, into a buffer of its announced size.
func (c *camera) object(ctx context.Context, handle uint32, o objectInfo) (drivers.Image, error) {
	switch {
	case o.format != formatEXIF && o.format != formatJFIF:
		return drivers.Image{}, fmt.Errorf("fetching an object of format %04x: %w (hint: set the camera to JPEG only)", o.format, ErrNotJPEG)
	case o.size > maxPhoto:
		return drivers.Image{}, fmt.Errorf("fetching a photograph of %d bytes: %w (hint: set the camera to a smaller image)", o.size, ErrTooBig)
	case o.size < minPhoto:
		return drivers.Image{}, fmt.Errorf("fetching a photograph of %d bytes: %w", o.size, ErrNotJPEG)
	}
	data := &buffer{limit: int(o.size)}
	_, err := c.link.must(ctx, data, opGetObject, handle)
	if err == nil && len(data.b) != int(o.size) {
		err = fmt.Errorf("fetching %d of %d bytes: %w", len(data.b), o.size, ErrShort)
	}
	if err == nil {
		_, err = jpegEnd(data.b)
	}
	if err != nil {
		data.wipe()
		return drivers.Image{}, err
	}
	return drivers.Image{Encoded: data.b, MediaType: "image/jpeg"}, nil
}
