// Package hidpen drives signature pads that are pens of the USB Human Interface Device class: usage page 0D, digitizers.
//
// The one idea: a pad's report descriptor says where in a report the pen's tip, place and pressure are and how large the pad is, so
// every pad that keeps to the class needs no code of its own. A pad is silent while nobody writes, and that is no fault.
package hidpen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"loket/drivers"
	"loket/drivers/hid"
	"loket/drivers/usb"
)

// requestLimit bounds opening.
const requestLimit = 2 * time.Second

// Model is a pad that a station uses.
type Model struct{ Vendor, Product uint16 }

// ParseModel reads "056a:00a8".
func ParseModel(s string) (Model, error) {
	vendor, product, err := usb.ParseIDs(s)
	if err != nil {
		return Model{}, fmt.Errorf("reading the signature pad %.40q: %w (hint: 056a:00a8)", s, err)
	}
	return Model{vendor, product}, nil
}

// The simulated pad, in the test space of pid.codes.
const (
	testVendor  uint16 = 0x1209
	testProduct uint16 = 0x0005
)

// Options say which pads there are. The zero value knows the simulated one.
type Options struct{ Models []Model }

// Driver returns the driver with default options.
func Driver() drivers.Driver { return New(Options{}) }

// New returns the driver of these pads.
func New(opt Options) drivers.Driver {
	return drivers.Driver{Name: "hidpen", Kind: drivers.KindSignature, Match: opt.match, Open: open}
}

// match goes by model: a screen that is touched and somebody's drawing tablet are digitizers too, and are not to be taken away.
func (o Options) match(i usb.Info) bool {
	if !slices.ContainsFunc(i.Interfaces, func(f usb.Interface) bool { return f.Class == hid.Class }) {
		return false
	}
	m := Model{i.Vendor, i.Product}
	return m == Model{testVendor, testProduct} || slices.Contains(o.Models, m)
}

// pad is an open pad.
type pad struct {
	dev    usb.Device
	info   drivers.Info
	in     uint8 // endpoint
	layout layout
	buf    []byte
}

var _ drivers.SignaturePad = (*pad)(nil)

func open(ctx context.Context, dev usb.Device) (drivers.Device, error) {
	p := &pad{dev: dev}
	limited, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	if err := p.find(limited); err != nil {
		_ = dev.Close()
		return nil, drivers.Fault(ctx, "opening the signature pad", err)
	}
	i := dev.Info()
	p.info = drivers.Info{USB: i, Driver: "hidpen", Kind: drivers.KindSignature, Vendor: i.Manufacturer, Model: i.ProductName, Serial: i.Serial,
		Firmware: i.Version(), Simulated: i.Simulated()}
	return p, nil
}

// find finds the interface that the pen's reports come from.
func (p *pad) find(ctx context.Context) error {
	list, err := hid.Functions(p.dev.Descriptors())
	if err != nil {
		return err
	}
	why := errors.New("it has no interface of the HID class with reports")
	for _, f := range list {
		if err := p.dev.Claim(f.Number, 0); err != nil {
			return err
		}
		d, err := f.Describe(ctx, p.dev)
		if err != nil {
			return err
		}
		l, err := newLayout(d)
		if err == nil {
			p.in, p.layout, p.buf = f.In.Address, l, f.Buffer(d.Room())
			return nil
		}
		why = err
	}
	return fmt.Errorf("%w (hint: the pad must be a pen of the HID class, whatever its maker calls that mode)", why)
}

// Info describes the pad.
func (p *pad) Info() drivers.Info { return p.info }

// Close closes the device; Strokes ends with [drivers.ErrUnplugged].
func (p *pad) Close() error { return p.dev.Close() }

// Area is the size of what is written on.
func (p *pad) Area() (width, height int) { return p.layout.x.size, p.layout.y.size }

// Strokes tells what the pen does.
func (p *pad) Strokes(ctx context.Context, fn func(drivers.PenEvent) error) error {
	began, down := time.Now(), false
	for {
		report, err := hid.Report(ctx, p.dev, p.in, p.buf)
		if err != nil {
			return drivers.Fault(ctx, "reading the pen", err)
		}
		e, ok, err := p.layout.read(report)
		clear(report)
		if err != nil {
			return drivers.Fault(ctx, "reading the pen", err)
		}
		if !ok || !e.Down && !down {
			continue
		}
		down, e.At = e.Down, time.Since(began)
		if err := fn(e); err != nil {
			return err
		}
	}
}
