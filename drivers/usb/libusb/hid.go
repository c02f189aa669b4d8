//go:build cgo && linux

package libusb

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
	"unsafe"

	"loket/drivers/usb"
)

// The class requests of HID 1.11, clause 7.2, and its descriptor types, clause 7.1.
const (
	classHID         = 3
	getReport        = 0x01
	setReport        = 0x09
	reportOutput     = 2
	reportFeature    = 3
	descriptorReport = 0x22
)

const (
	// pause is how often hidapi is asked for a report. Asking it to wait would tie the wait to the clock on the wall.
	pause = 4 * time.Millisecond
	// patience bounds the wait for hidapi to close: where the device vanished at the moment of opening, it never does.
	patience = 2 * time.Second
)

// hidapi guards the library's one context in this process: it is dropped with the last device, because it would give the
// next one a stale list.
var hidapi struct {
	sync.Mutex
	open int
}

// hid is a claimed HID interface. It belongs to hidapi, the module's own interface for such devices, which collects reports
// on a thread of its own; transfers on its endpoints and its class requests are translated. Nothing is in hidapi when it is
// closed.
type hid struct {
	d       *device
	iface   uint8
	in, out usb.Endpoint // out has address 0 where there is none

	report    []byte // the report descriptor
	reportErr error  // why there is none

	reading chan struct{} // holds one token: one transfer collects reports at a time

	mu   sync.RWMutex // held for writing to open and close
	dev  *C.hid_device
	away bool // lent to [hid.aside]: dev comes back
}

// suitsHID reports whether hidapi serves all of an interface.
func suitsHID(l usb.Layout, s usb.Setting) bool {
	in, out := 0, 0
	for _, e := range s.Endpoints {
		switch {
		case e.Type != usb.InterruptType:
			return false
		case e.In():
			in++
		default:
			out++
		}
	}
	return s.Class == classHID && l.Alternates(s.Number) == 1 && in == 1 && out <= 1
}

func (d *device) newHID(s usb.Setting) *hid {
	h := &hid{d: d, iface: s.Number, reading: make(chan struct{}, 1)}
	for _, e := range s.Endpoints {
		if e.In() {
			h.in = e
		} else {
			h.out = e
		}
	}
	return h
}

// open gives a claimed interface to hidapi, and reads its report descriptor first: hidapi does not tell it. The claim is gone
// afterwards, also where it fails.
func (h *hid) open() error {
	h.report, h.reportErr = h.readDescriptor()
	C.libusb_release_interface(h.d.handle, C.int(h.iface))
	return h.enter()
}

// readDescriptor asks the device for its report descriptor, for a second at most.
func (h *hid) readDescriptor() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	b := make([]byte, maxControl)
	n, err := h.d.control(ctx, usb.Setup{RequestType: 0x81, Request: usb.RequestGetDescriptor, Value: descriptorReport << 8, Index: uint16(h.iface),
		Length: maxControl}, b)
	return b[:n], err
}

// enter gives the interface to hidapi. Its name for it is made of bus, address and interface.
func (h *hid) enter() error {
	name := C.CString(fmt.Sprintf("%04x:%04x:%02x", h.d.node.bus, h.d.node.address, h.iface))
	defer C.free(unsafe.Pointer(name))
	h.mu.Lock()
	defer h.mu.Unlock()
	hidapi.Lock()
	defer hidapi.Unlock()
	h.dev = C.hid_open_path(name)
	switch {
	case h.dev != nil:
		hidapi.open++
		return nil
	case !h.d.present():
		return usb.ErrGone
	}
	if hidapi.open == 0 {
		C.hid_exit()
	}
	return busy(h.d.node)
}

// leave takes the interface from hidapi.
func (h *hid) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	dev := h.dev
	if dev == nil {
		return
	}
	h.dev = nil
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		C.hid_close(dev)
		hidapi.Lock()
		defer hidapi.Unlock()
		if hidapi.open--; hidapi.open == 0 {
			C.hid_exit()
		}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C: // the goroutine stays with what hidapi leaks
	}
}

// aside runs f while hidapi does not have the interface, claimed by the device's own handle where f needs that. Reports that hidapi
// had collected are lost. The caller holds d.claiming.
func (h *hid) aside(claimed bool, f func() error) error {
	h.setAway(true)
	defer h.setAway(false)
	h.leave()
	if claimed {
		if _, err := h.d.take(h.iface); err != nil {
			return err
		}
	}
	err := f()
	if claimed {
		C.libusb_release_interface(h.d.handle, C.int(h.iface))
	}
	if e := h.enter(); e != nil {
		return e
	}
	return err
}

func (h *hid) setAway(away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = away
}

// read collects reports as a transfer on the endpoint would: until data is full or a packet is short.
func (h *hid) read(ctx context.Context, data []byte) (int, error) {
	if err := h.d.begin(); err != nil {
		return 0, err
	}
	defer h.d.end()
	select {
	case h.reading <- struct{}{}:
		defer func() { <-h.reading }()
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-h.d.closing:
		return 0, usb.ErrClosed
	}
	size := max(h.in.MaxPacket, 1)
	buf := C.malloc(C.size_t(size))
	defer C.free(buf)
	defer C.loket_wipe(buf, C.size_t(size))
	for got := 0; got < len(data); {
		n, err := h.next(ctx, buf, size)
		if err != nil {
			return got, err
		}
		fits := copy(data[got:], unsafe.Slice((*byte)(buf), n))
		got += fits
		if fits < n {
			return got, usb.ErrOverflow
		}
		if n < size {
			return got, nil
		}
	}
	return len(data), nil
}

// next waits for one report of at most size bytes.
func (h *hid) next(ctx context.Context, buf unsafe.Pointer, size int) (int, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-h.d.closing:
			return 0, usb.ErrClosed
		case <-timer.C:
		}
		switch n := h.poll(buf, size); {
		case n > 0:
			return n, nil
		case n < 0:
			return 0, h.d.onTheWire(ctx, "reading reports")
		}
		timer.Reset(pause)
	}
}

// poll returns the size of the report that it took from hidapi, 0 where there is none, -1 where none will come.
func (h *hid) poll(buf unsafe.Pointer, size int) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	switch {
	case h.dev == nil && h.away:
		return 0
	case h.dev == nil:
		return -1
	}
	return int(C.hid_read_timeout(h.dev, (*C.uchar)(buf), C.size_t(size), 0))
}

// write sends a report over the OUT endpoint.
func (h *hid) write(ctx context.Context, data []byte) (int, error) {
	return h.send(ctx, "writing a report", append([]byte{0}, data...), len(data), func(dev *C.hid_device, p *C.uchar, n C.size_t) C.int {
		return C.hid_write(dev, p, n)
	})
}

// control runs a request to the interface: by hidapi what is a report, and what it does not know while it stands aside.
func (h *hid) control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	kind, id := uint8(s.Value>>8), uint8(s.Value)
	report := data
	if id == 0 {
		report = append([]byte{0}, data...) // hidapi wants the number of the report first, and strips a 0
	}
	switch {
	case s.RequestType == 0x81 && s.Request == usb.RequestGetDescriptor && kind == descriptorReport:
		return copy(data, h.report), h.reportErr
	case s.RequestType == 0x21 && s.Request == setReport && kind == reportOutput:
		return h.send(ctx, "writing an output report", report, len(data), func(dev *C.hid_device, p *C.uchar, n C.size_t) C.int {
			return C.hid_write(dev, p, n)
		})
	case s.RequestType == 0x21 && s.Request == setReport && kind == reportFeature:
		return h.send(ctx, "writing a feature report", report, len(data), func(dev *C.hid_device, p *C.uchar, n C.size_t) C.int {
			return C.hid_send_feature_report(dev, p, n)
		})
	case s.RequestType == 0xa1 && s.Request == getReport && kind == reportFeature && len(data) > 0:
		return h.feature(ctx, id, data)
	}
	return h.other(ctx, s, data)
}

// other runs a request that hidapi does not know.
func (h *hid) other(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	buf, n := slices.Clone(data), 0 // the caller has data back when ctx ends
	err := h.d.slowly(ctx, func() error {
		h.d.claiming.Lock()
		defer h.d.claiming.Unlock()
		return h.aside(true, func() (err error) {
			n, err = h.d.control(ctx, s, buf)
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	if s.In() {
		copy(data, buf[:n])
	}
	return n, nil
}

// send hands a report to hidapi; size is what the caller sees as sent.
func (h *hid) send(ctx context.Context, doing string, report []byte, size int, f func(*C.hid_device, *C.uchar, C.size_t) C.int) (int, error) {
	if len(report) == 0 {
		return 0, fmt.Errorf("%s: it is empty", doing)
	}
	report = slices.Clone(report) // the caller has its buffer back when ctx ends, whether or not it was written
	err := h.d.slowly(ctx, func() error {
		buf := C.CBytes(report)
		defer C.free(buf)
		defer C.loket_wipe(buf, C.size_t(len(report)))
		return h.ask(ctx, doing, func() C.int { return f(h.dev, (*C.uchar)(buf), C.size_t(len(report))) })
	})
	if err != nil {
		return 0, err
	}
	return size, nil
}

// feature reads a feature report.
func (h *hid) feature(ctx context.Context, id uint8, data []byte) (int, error) {
	size := len(data)
	if id == 0 {
		size++
	}
	var answer []byte
	err := h.d.slowly(ctx, func() error {
		buf := C.calloc(1, C.size_t(size))
		defer C.free(buf)
		*(*byte)(buf) = id
		return h.ask(ctx, "reading a feature report", func() C.int {
			n := C.hid_get_feature_report(h.dev, (*C.uchar)(buf), C.size_t(size))
			if n > 0 {
				answer = C.GoBytes(buf, min(n, C.int(size)))
			}
			return n
		})
	})
	if err != nil {
		return 0, err
	}
	if id == 0 && len(answer) > 0 {
		answer = answer[1:]
	}
	return copy(data, answer), nil
}

// ask runs a call of hidapi's, which says no more than that it failed.
func (h *hid) ask(ctx context.Context, doing string, f func() C.int) error {
	h.d.claiming.Lock() // hidapi is not aside
	defer h.d.claiming.Unlock()
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.dev == nil {
		return fmt.Errorf("%s: %w", doing, usb.ErrGone)
	}
	if f() < 0 {
		return h.d.onTheWire(ctx, doing)
	}
	return nil
}
