// Package ptpcam is the firmware of a still camera that speaks the Picture Transfer Protocol (ISO 15740:2013).
//
// The one idea: everything that the camera ever shows was made before, by whoever calls [Device.Show]; the firmware only
// moves bytes, so live view costs a copy. The responder knows operations, the store and time, and nothing of USB; this file
// and framing.go put it behind the Still Image class (6/1/1), ptpip.go puts it on a TCP port. Live view uses the
// vendor operations 9201, 9202, 9203 and 90C8 that photographic software knows.
package ptpcam

import (
	"cmp"
	"sync"
	"time"

	"loket/drivers/usb"
)

// What the camera says it is. The numbers are of the test space of pid.codes.
const (
	Vendor  uint16 = 0x1209
	Product uint16 = 0x0002

	manufacturer = "Loket"
	model        = "Portrait camera"
	version      = "1.0"
	release      = 0x0100
)

// The endpoints.
const (
	EndpointIn    uint8 = 0x81 // bulk
	EndpointOut   uint8 = 0x02 // bulk
	EndpointEvent uint8 = 0x83 // interrupt
)

// Options makes a camera; the zero value is a usable one.
type Options struct {
	Serial   string           // "SIM-PTP-1" where empty
	Exposure time.Duration    // from the shutter to the photo in the store; 40 ms where zero
	Rate     int              // live view frames a second; 30 where zero
	Now      func() time.Time // time.Now where nil
}

// Scene is what lies before the lens. The camera keeps the slices: they must not change afterwards.
type Scene struct {
	Still  []byte   // JPEG of a photograph; none is a dark picture
	Frames [][]byte // JPEGs of the live view, 1280 x 720, shown one after the other and over again; none is a dark picture
}

// Device is a camera. It implements [usb.Gadget] and [usb.BusResetter]; all its methods may be called from several
// goroutines at once. It runs no goroutine of its own but in [Device.ServeIP], and does nothing while nobody asks.
type Device struct {
	mu       sync.Mutex
	core     responder
	link     framing
	network  *network      // who has the camera over the network; nil for nobody
	wake     chan struct{} // closed at every change
	changed  chan struct{} // closed when Watching changes
	watching bool

	lastNumber uint32 // of a connection over the network
}

// New makes a camera that sees nothing yet.
func New(o Options) *Device {
	d := &Device{wake: make(chan struct{}), changed: make(chan struct{})}
	d.core = responder{
		serial:   cmp.Or(o.Serial, "SIM-PTP-1"),
		exposure: cmp.Or(o.Exposure, 40*time.Millisecond),
		interval: time.Second / time.Duration(cmp.Or(o.Rate, 30)),
		now:      o.Now,
	}
	if o.Now == nil {
		d.core.now = time.Now
	}
	return d
}

// Show puts a scene before the lens: the next live view frame and the next photograph show it.
func (d *Device) Show(s Scene) {
	defer d.lock()()
	d.core.show(s)
}

// Watching reports whether the camera looks: its live view runs or a photograph is being taken.
func (d *Device) Watching() bool {
	defer d.lock()()
	return d.watching
}

// Changed returns a channel that is closed when [Device.Watching] next changes.
func (d *Device) Changed() <-chan struct{} {
	defer d.lock()()
	return d.changed
}

// Keep puts a photograph into the camera's store, as if it had been taken before, and returns its handle. The camera keeps
// the slice.
func (d *Device) Keep(jpeg []byte) uint32 {
	defer d.lock()()
	return d.core.keep(measure(jpeg))
}

// Stored returns how many photographs lie in the camera's store.
func (d *Device) Stored() int {
	defer d.lock()()
	return len(d.core.photos)
}

// lock takes the mutex, lets what is due happen, and returns what gives the mutex back and tells of changes.
func (d *Device) lock() func() {
	d.mu.Lock()
	d.core.advance()
	d.tell()
	return func() {
		d.tell()
		d.mu.Unlock()
	}
}

func (d *Device) tell() {
	if now := d.core.live || d.core.pending != nil; now != d.watching {
		d.watching = now
		close(d.changed)
		d.changed = make(chan struct{})
	}
}

// stir wakes every transfer that waits. The caller holds the mutex.
func (d *Device) stir() {
	close(d.wake)
	d.wake = make(chan struct{})
}

// Info describes the camera.
func (d *Device) Info() usb.Info {
	return usb.Info{
		Vendor: Vendor, Product: Product, Release: release,
		Manufacturer: manufacturer, ProductName: model, Serial: d.core.serial, Speed: usb.HighSpeed,
		Interfaces: []usb.Interface{{Class: 6, SubClass: 1, Protocol: 1}},
	}
}

// Descriptors describes one interface of the Still Image class with its three endpoints.
func (d *Device) Descriptors() []byte {
	le := func(v uint16) (byte, byte) { return byte(v), byte(v >> 8) }
	v0, v1 := le(Vendor)
	p0, p1 := le(Product)
	r0, r1 := le(release)
	return []byte{
		18, usb.DescriptorDevice, 0, 2, 0, 0, 0, 64, v0, v1, p0, p1, r0, r1, 1, 2, 3, 1,
		9, usb.DescriptorConfiguration, 39, 0, 1, 1, 0, 0xc0, 1,
		9, usb.DescriptorInterface, 0, 0, 3, 6, 1, 1, 0,
		7, usb.DescriptorEndpoint, EndpointIn, 2, 0, 2, 0,
		7, usb.DescriptorEndpoint, EndpointOut, 2, 0, 2, 0,
		7, usb.DescriptorEndpoint, EndpointEvent, 3, eventPacket, 0, 7,
	}
}

// BusReset ends the session, drops what nobody fetched, and keeps the photographs.
func (d *Device) BusReset() {
	defer d.lock()()
	d.restart()
}

// restart brings the USB side back to its start; a session over the network goes on. The caller holds the mutex.
func (d *Device) restart() {
	if d.network == nil {
		d.core.reset()
	}
	d.link = framing{}
	d.stir()
}
