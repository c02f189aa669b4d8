//go:build cgo && linux

package libusb

// #include <dirent.h>
// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"loket/drivers/usb"
)

// sysfs is where the kernel describes its USB devices.
const sysfs = "/sys/bus/usb/devices"

// maxDescriptors bounds the descriptors of one device: the kernel's own bound on a configuration is 64 KiB.
const maxDescriptors = 128 << 10

// attached is a device as the kernel describes it, without its being opened.
type attached struct {
	info usb.Info
	desc []byte // device descriptor and first configuration
	bad  error  // why the descriptors can't be used
	node node
}

// node is the device's place among the device nodes. The kernel gives a device a new address whenever it is plugged in.
type node struct{ bus, address uint8 }

// path is the device node that libusb opens.
func (n node) path() string { return fmt.Sprintf("/dev/bus/usb/%03d/%03d", n.bus, n.address) }

// enumerate asks the kernel what is attached now: no list is kept that could be stale, and no device is disturbed. A machine
// without USB has nothing attached. Root hubs are left out.
func enumerate() ([]attached, error) {
	names, err := entries(sysfs)
	if errors.Is(err, syscall.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", sysfs, err)
	}
	var list []attached
	for _, name := range names {
		if strings.HasPrefix(name, "usb") || strings.Contains(name, ":") {
			continue
		}
		if a, ok := describe(name); ok {
			list = append(list, a)
		}
	}
	return list, nil
}

// describe reads one device; false where it is unplugged meanwhile.
func describe(name string) (attached, bool) {
	dir := path.Join(sysfs, name)
	bus, err1 := strconv.ParseUint(attribute(dir, "busnum"), 10, 8)
	address, err2 := strconv.ParseUint(attribute(dir, "devnum"), 10, 8)
	real, err3 := realpath(dir)
	raw, err4 := readFile(path.Join(dir, "descriptors"), maxDescriptors)
	if errors.Join(err1, err2, err3, err4) != nil {
		return attached{}, false
	}
	a := attached{node: node{uint8(bus), uint8(address)}}
	layout, err := usb.ParseDescriptors(raw)
	a.info = layout.Device
	if err != nil {
		a.bad = err
	} else {
		a.desc = raw[:18+int(binary.LittleEndian.Uint16(raw[20:]))]
	}
	a.info.Manufacturer, a.info.ProductName = attribute(dir, "manufacturer"), attribute(dir, "product")
	a.info.Serial, a.info.Speed = attribute(dir, "serial"), speed(attribute(dir, "speed"))
	a.info.Bus, a.info.Port, a.info.SysfsPath = usb.KernelBus, name, real
	a.info.Address = uint32(bus)<<16 | uint32(address)
	return a, true
}

// speed reads the kernel's Mbit/s.
func speed(text string) usb.Speed {
	switch text {
	case "":
		return ""
	case "1.5":
		return usb.LowSpeed
	case "12":
		return usb.FullSpeed
	case "480":
		return usb.HighSpeed
	}
	return usb.SuperSpeed
}

// attribute reads a small text file; "" where there is none.
func attribute(dir, name string) string {
	b, err := readFile(path.Join(dir, name), 4096)
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSuffix(string(b), "\n"), "\ufffd")
}

// readFile reads the first bytes of a file, as the C library sees it.
func readFile(file string, limit int) ([]byte, error) {
	name := C.CString(file)
	defer C.free(unsafe.Pointer(name))
	buf := C.malloc(C.size_t(limit))
	defer C.free(buf)
	n, err := C.loket_read(name, buf, C.size_t(limit))
	if n < 0 {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return C.GoBytes(buf, C.int(n)), nil
}

// realpath follows symbolic links, as the C library sees them.
func realpath(file string) (string, error) {
	name := C.CString(file)
	defer C.free(unsafe.Pointer(name))
	real, err := C.realpath(name, nil)
	if real == nil {
		return "", fmt.Errorf("following %s: %w", file, err)
	}
	defer C.free(unsafe.Pointer(real))
	return C.GoString(real), nil
}

// entries lists a folder, as the C library sees it.
func entries(folder string) ([]string, error) {
	name := C.CString(folder)
	defer C.free(unsafe.Pointer(name))
	dir, err := C.opendir(name)
	if dir == nil {
		return nil, err
	}
	defer C.closedir(dir)
	var names []string
	for e := C.readdir(dir); e != nil; e = C.readdir(dir) {
		if n := C.GoString(&e.d_name[0]); n != "." && n != ".." {
			names = append(names, n)
		}
	}
	return names, nil
}
