//go:build cgo && linux

package libusb

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"loket/drivers/usb"
)

// device is an open device. It has a libusb context of its own, so that nothing of another device, and no list of an
// earlier day, can get in its way.
type device struct {
	info    usb.Info
	desc    []byte
	node    node
	claims  usb.Claims
	context *C.libusb_context
	handle  *C.libusb_device_handle
	release func()        // tells the bus
	closing chan struct{} // closed by Close: whatever is pending ends

	claiming sync.Mutex // one Claim, ClearHalt or Reset at a time

	mu    sync.Mutex
	ended bool           // Close has begun
	calls sync.WaitGroup // what still uses handle; added to under mu while not ended
	held  map[uint8]*held
}

// held is a claimed interface.
type held struct {
	kernel bool // a kernel driver had it
	hid    *hid // nil unless hidapi has it
}

// newDevice opens what was enumerated and puts it into its first configuration.
func newDevice(a attached, release func()) (*device, error) {
	layout, err := usb.ParseDescriptors(a.desc)
	if err != nil {
		return nil, err
	}
	d := &device{info: a.info, desc: a.desc, node: a.node, release: release, closing: make(chan struct{}), held: map[uint8]*held{}}
	d.claims.Layout = layout
	if r := C.loket_open(C.uint8_t(a.node.bus), C.uint8_t(a.node.address), &d.context, &d.handle); r < 0 {
		return nil, refused(a.node, r)
	}
	if err := d.configure(); err != nil {
		C.libusb_close(d.handle)
		C.libusb_exit(d.context)
		return nil, err
	}
	return d, nil
}

// configure sets the first configuration where the kernel has chosen another or none.
func (d *device) configure() error {
	want := C.int(d.claims.Layout.Configuration)
	var now C.int
	if r := C.libusb_get_configuration(d.handle, &now); r == 0 && now == want {
		return nil
	}
	switch r := C.libusb_set_configuration(d.handle, want); r {
	case 0:
		return nil
	case errBusy:
		return fmt.Errorf("configuring %s: %w", d.node.path(), busy(d.node))
	default:
		return failure("configuring "+d.node.path(), r)
	}
}

func (d *device) Info() usb.Info      { return d.info }
func (d *device) Descriptors() []byte { return slices.Clone(d.desc) }

// begin admits a call that uses the handle; end must follow where it returns nil.
func (d *device) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return usb.ErrClosed
	}
	d.calls.Add(1)
	return nil
}

func (d *device) end() { d.calls.Done() }

// Close ends what is pending, waits for it, gives the interfaces back to the kernel's drivers and closes the handle.
func (d *device) Close() error {
	d.mu.Lock()
	if d.ended {
		d.mu.Unlock()
		return nil
	}
	d.ended = true
	d.mu.Unlock()
	close(d.closing)
	d.calls.Wait()
	for iface, h := range d.held {
		if h.hid != nil {
			h.hid.leave()
		} else {
			C.libusb_release_interface(d.handle, C.int(iface))
		}
		d.giveBack(iface, h.kernel)
	}
	C.libusb_close(d.handle)
	C.libusb_exit(d.context)
	d.release()
	return nil
}

// Claim takes an interface. A kernel driver that has it is detached; what another program has stays there. The device is
// told of the setting where there is a choice; that, and no more than 5 s of it, is the time that Claim may take.
func (d *device) Claim(iface, alt uint8) error {
	if err := d.begin(); err != nil {
		return err
	}
	defer d.end()
	d.claiming.Lock()
	defer d.claiming.Unlock()
	setting, ok := d.claims.Layout.Setting(iface, alt)
	if !ok {
		return fmt.Errorf("claiming interface %d, alternate setting %d: %w", iface, alt, usb.ErrNotFound)
	}
	if err := d.hold(setting); err != nil {
		return fmt.Errorf("claiming interface %d: %w", iface, err)
	}
	tell, err := d.claims.Claim(iface, alt)
	if err != nil || !tell {
		return err
	}
	if r := C.libusb_set_interface_alt_setting(d.handle, C.int(iface), C.int(alt)); r < 0 {
		return failure(fmt.Sprintf("setting interface %d to %d", iface, alt), r)
	}
	return nil
}

// hold takes an interface where it is not held yet. The caller holds d.claiming.
func (d *device) hold(s usb.Setting) error {
	if _, ok := d.held[s.Number]; ok {
		return nil
	}
	kernel, err := d.take(s.Number)
	if err != nil {
		return err
	}
	h := &held{kernel: kernel}
	if suitsHID(d.claims.Layout, s) {
		h.hid = d.newHID(s)
		if err := h.hid.open(); err != nil {
			d.giveBack(s.Number, kernel)
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held[s.Number] = h
	return nil
}

// take claims an interface at the kernel and reports whether it took it from a kernel driver.
func (d *device) take(iface uint8) (kernel bool, err error) {
	r := C.libusb_claim_interface(d.handle, C.int(iface))
	if r == errBusy && C.libusb_kernel_driver_active(d.handle, C.int(iface)) == 1 {
		C.libusb_set_auto_detach_kernel_driver(d.handle, 1) // detaches and claims in one step
		r = C.libusb_claim_interface(d.handle, C.int(iface))
		C.libusb_set_auto_detach_kernel_driver(d.handle, 0)
		kernel = r == 0
	}
	switch r {
	case 0:
		return kernel, nil
	case errBusy:
		return false, busy(d.node)
	}
	return false, failure("asking the kernel", r)
}

// giveBack lets the kernel's driver have an interface again, if it had it.
func (d *device) giveBack(iface uint8, kernel bool) {
	if kernel {
		C.libusb_attach_kernel_driver(d.handle, C.int(iface))
	}
}

// hidOf returns the HID side of a claimed interface.
func (d *device) hidOf(iface uint8) *hid {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.held[iface]; h != nil {
		return h.hid
	}
	return nil
}

// hidAt returns the HID interface that has the endpoint.
func (d *device) hidAt(endpoint uint8) *hid {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.held {
		if h.hid != nil && (h.hid.in.Address == endpoint || h.hid.out.Address == endpoint && endpoint != 0) {
			return h.hid
		}
	}
	return nil
}

// ClearHalt clears a stalled endpoint. The kernel gives the device 5 s; where ctx ends first, the rest of them passes unseen.
func (d *device) ClearHalt(ctx context.Context, endpoint uint8) error {
	return d.slowly(ctx, func() error {
		d.claiming.Lock()
		defer d.claiming.Unlock()
		clear := func() error {
			if r := C.libusb_clear_halt(d.handle, C.uchar(endpoint)); r < 0 {
				return failure(fmt.Sprintf("clearing the halt of endpoint %02x", endpoint), r)
			}
			return nil
		}
		if h := d.hidAt(endpoint); h != nil {
			return h.aside(true, clear)
		}
		return clear()
	})
}

// Reset resets the device's port. Claims and settings are kept; a device that comes back as another is [usb.ErrGone].
func (d *device) Reset(ctx context.Context) error {
	return d.slowly(ctx, func() error {
		d.claiming.Lock()
		defer d.claiming.Unlock()
		reset := d.reset
		for _, h := range d.held {
			if h.hid != nil {
				inner := reset
				reset = func() error { return h.hid.aside(false, inner) }
			}
		}
		return reset()
	})
}

// reset does it and puts the settings back, which a reset takes to 0.
func (d *device) reset() error {
	switch r := C.libusb_reset_device(d.handle); r {
	case 0:
	case errNotFound:
		return fmt.Errorf("resetting: the device came back as another: %w", usb.ErrGone)
	default:
		return failure("resetting", r)
	}
	for iface, alt := range d.claims.Claimed() {
		if alt == 0 {
			continue
		}
		if r := C.libusb_set_interface_alt_setting(d.handle, C.int(iface), C.int(alt)); r < 0 {
			return failure(fmt.Sprintf("setting interface %d to %d", iface, alt), r)
		}
	}
	return nil
}

// slowly runs what the kernel can't be made to give up. It returns when ctx ends or the device closes; f is then waited for
// by Close.
func (d *device) slowly(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.begin(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer d.end()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-d.closing:
		return usb.ErrClosed
	}
}

// stopped says why a call must not wait any longer: nil while it may.
func (d *device) stopped(ctx context.Context) error {
	select {
	case <-d.closing:
		return usb.ErrClosed
	default:
		return ctx.Err()
	}
}

// vanishing is how long the kernel may take to notice that a device was unplugged: until then its transfers fail on the
// wire.
const vanishing = 300 * time.Millisecond

// onTheWire tells an unplugged device from a bad cable, by whether the kernel still has it.
func (d *device) onTheWire(ctx context.Context, doing string) error {
	for began := time.Now(); d.present(); time.Sleep(20 * time.Millisecond) {
		if err := d.stopped(ctx); err != nil {
			return err
		}
		if time.Since(began) > vanishing {
			return fmt.Errorf("%s: %w", doing, errWire)
		}
	}
	return fmt.Errorf("%s: %w", doing, usb.ErrGone)
}

// present reports whether the kernel still has this device at its place.
func (d *device) present() bool {
	a, ok := describe(d.info.Port)
	return ok && a.node == d.node
}
