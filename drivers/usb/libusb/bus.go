//go:build cgo && linux

package libusb

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"

	_ "github.com/karalabe/usb" // carries libusb and hidapi

	"loket/drivers/usb"
)

// Built reports whether this program was built with access to real devices.
const Built = true

// Bus finds and opens the devices of this machine. The zero value is ready; its methods may be called from several
// goroutines at once.
type Bus struct {
	mu   sync.Mutex
	open map[node]bool
}

// Devices lists what is attached, hubs included and root hubs not, without opening anything: it can be called often.
func (b *Bus) Devices(ctx context.Context) ([]usb.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list, err := enumerate()
	if err != nil {
		return nil, err
	}
	infos := make([]usb.Info, 0, len(list))
	for _, a := range list {
		infos = append(infos, a.info)
	}
	return infos, nil
}

// Open opens a device. A kernel driver that holds an interface is detached by Claim and attached again by Close.
func (b *Bus) Open(ctx context.Context, id usb.Identity) (usb.Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list, err := enumerate()
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", id, err)
	}
	err = usb.ErrNotFound
	for _, a := range list {
		if a.info.Identity() != id {
			continue
		}
		var d *device
		if d, err = b.openOne(a); err == nil {
			return d, nil
		}
	}
	return nil, fmt.Errorf("opening %s: %w", id, err)
}

func (b *Bus) openOne(a attached) (*device, error) {
	if a.bad != nil {
		return nil, a.bad
	}
	if !b.take(a.node) {
		return nil, fmt.Errorf("open in this program: %w", usb.ErrBusy)
	}
	d, err := newDevice(a, func() { b.give(a.node) })
	if err != nil {
		b.give(a.node)
		return nil, err
	}
	return d, nil
}

func (b *Bus) take(n node) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[n] {
		return false
	}
	if b.open == nil {
		b.open = map[node]bool{}
	}
	b.open[n] = true
	return true
}

func (b *Bus) give(n node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, n)
}

// The error numbers of libusb.
const (
	errAccess   = -3
	errNoDevice = -4
	errNotFound = -5
	errBusy     = -6
	errOverflow = -8
	errPipe     = -9
	errNoMemory = -11
	errOther    = -99
)

// errWire is a transfer that failed below the protocol: a bad cable or hub, or a device that is on its way out.
var errWire = errors.New("the transfer failed on the wire (hint: try another cable and another port)")

// failure gives the error for one of libusb's numbers.
func failure(doing string, r C.int) error {
	switch r {
	case errNoDevice:
		return fmt.Errorf("%s: %w", doing, usb.ErrGone)
	case errNotFound:
		return fmt.Errorf("%s: %w", doing, usb.ErrNotFound)
	case errBusy:
		return fmt.Errorf("%s: %w", doing, usb.ErrBusy)
	case errOverflow:
		return fmt.Errorf("%s: %w", doing, usb.ErrOverflow)
	case errPipe:
		return fmt.Errorf("%s: %w", doing, usb.ErrStall)
	case errNoMemory:
		return fmt.Errorf("%s: no memory (hint: /sys/module/usbcore/parameters/usbfs_memory_mb bounds it)", doing)
	}
	return fmt.Errorf("%s: libusb says %d", doing, r)
}

// refused gives the error for a device that was not opened.
func refused(n node, r C.int) error {
	switch r {
	case errAccess:
		return fmt.Errorf("opening %s: %w (hint: a udev rule must give this program's group the device; the driver's README has it)", n.path(), os.ErrPermission)
	case errOther:
		return fmt.Errorf("opening %s: libusb can't start (hint: /dev/bus/usb must be there, and a service needs AF_NETLINK)", n.path())
	}
	return failure("opening "+n.path(), r)
}

// busy says who holds an interface, where the system tells.
func busy(n node) error {
	if who := holder(n.path()); who != "" {
		return &usb.BusyError{Holder: who}
	}
	return fmt.Errorf("%w (hint: as root, fuser -v %s tells which)", usb.ErrBusy, n.path())
}

// holder names another process that has the device node open; "" where none is seen.
func holder(node string) string {
	processes, _ := os.ReadDir("/proc")
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		folder := path.Join("/proc", p.Name(), "fd")
		files, _ := os.ReadDir(folder) // not readable, or ended: not seen
		for _, f := range files {
			if target, err := os.Readlink(path.Join(folder, f.Name())); err == nil && target == node {
				name, _ := os.ReadFile(path.Join("/proc", p.Name(), "comm"))
				return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(name)), pid)
			}
		}
	}
	return ""
}
