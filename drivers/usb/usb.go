// Package usb holds the words that device drivers, buses and simulated firmware share.
//
// The one idea: a driver talks to a [Device] and a piece of firmware answers as a [Gadget]; whatever lies between the two
// (libusb, USB/IP, nothing at all) implements [Bus] and is of equal rank. Field names and numbers follow the Universal
// Serial Bus Specification, Revision 2.0, chapter 9.
package usb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bus is where devices are found. Its methods may be called from several goroutines at once.
type Bus interface {
	// Devices lists what is attached now. An empty list is not an error.
	Devices(ctx context.Context) ([]Info, error)
	// Open opens the device with that identity for one owner. Errors: [ErrNotFound], [ErrBusy], [ErrGone].
	Open(ctx context.Context, id Identity) (Device, error)
}

// Device is an open device in its first configuration.
//
// Control and Transfer may run at the same time in several goroutines; transfers on one endpoint are answered in the
// order in which they were submitted. A transfer ends when the data is through, when ctx ends (its error is then
// ctx.Err()) or when the device fails ([ErrStall], [ErrGone], [ErrOverflow]). Nothing panics and nothing hangs after
// Close: every pending and later call returns [ErrClosed].
type Device interface {
	Info() Info
	// Descriptors returns the device descriptor followed by the whole first configuration, as the device sent them.
	Descriptors() []byte
	// Claim takes an interface in an alternate setting. Errors: [ErrBusy], [ErrNotFound], [ErrGone].
	Claim(iface, alt uint8) error
	// Control runs a control transfer on endpoint 0. Bit 7 of s.RequestType is the direction; data holds s.Length bytes
	// at least; the result is the number of bytes moved. More than 4096 bytes are not carried by every bus.
	Control(ctx context.Context, s Setup, data []byte) (int, error)
	// Transfer moves data over a bulk or interrupt endpoint; bit 7 of endpoint is the direction. An IN transfer ends
	// with the first short packet, so fewer bytes than len(data) are no error. An OUT transfer of a whole number of
	// packets sends no zero-length packet: an empty data does. Only endpoints of claimed interfaces can be used, else
	// [ErrNotFound]; an IN buffer that is no whole number of packets risks [ErrOverflow], beside which the count of the
	// bytes that fitted is returned. A stalled endpoint stays stalled until its halt is cleared.
	Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error)
	// Close releases everything. The second Close does nothing and returns nil.
	Close() error
}

// Resetter is the power of a [Device] whose bus can reset it. It is found by type assertion.
type Resetter interface {
	ClearHalt(ctx context.Context, endpoint uint8) error
	Reset(ctx context.Context) error
}

// Isochronous is the power of a [Device] whose bus can run isochronous endpoints. It is found by type assertion.
type Isochronous interface {
	// Stream keeps an endpoint of a claimed interface busy and calls fn for each packet in the order of the bus, until ctx
	// ends (it then returns ctx.Err()), fn returns an error (it then returns that) or the device fails. Of an IN endpoint
	// packet is what arrived, and lost says why it is damaged or did not come; of an OUT endpoint packet is the room of one
	// packet and fn returns how many bytes of it go out. A packet is valid during the call; an fn that takes longer than a
	// few milliseconds loses packets. One goroutine streams an endpoint at a time.
	Stream(ctx context.Context, endpoint uint8, fn func(packet []byte, lost error) (int, error)) error
}

// Gadget is what firmware answers: the other end of a [Device].
//
// An error from Control is a stall. Transfer blocks for as long as firmware would answer NAK and ends when ctx does; it
// returns one message (or its next part, where data is shorter than the message); [ErrStall] stalls the endpoint,
// [ErrGone] unplugs the device. A message that is a whole number of packets and ends where data ends is followed by a
// transfer of zero bytes. A count beyond len(data) is babble: the host gets [ErrOverflow]. Standard requests
// (descriptors, SET_CONFIGURATION, SET_INTERFACE, GET_STATUS, CLEAR_FEATURE) reach Control only where a [Port] can't
// answer them from Info and Descriptors. Calls on different endpoints come at the same time; on one endpoint they don't.
// A gadget that is also a [BusResetter] is told when a host attaches it.
type Gadget interface {
	Info() Info
	Descriptors() []byte
	Control(ctx context.Context, s Setup, data []byte) (int, error)
	Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error)
}

// Identity names a device across re-enumeration: vendor, product and serial number; a device without serial number is
// known by its port chain instead.
type Identity struct {
	Vendor  uint16 `json:"vendor"`
	Product uint16 `json:"product"`
	Serial  string `json:"serial,omitempty"`
	Port    string `json:"port,omitempty"` // the port chain, "1-2.3"; empty where Serial is not
}

// String gives "1209:5a60/SERIAL" or "1209:5a60@1-2.3".
func (id Identity) String() string {
	s := fmt.Sprintf("%04x:%04x", id.Vendor, id.Product)
	if id.Serial != "" {
		return s + "/" + id.Serial
	}
	return s + "@" + id.Port
}

// Speed is the signalling rate of a device.
type Speed string

// The speeds of USB 2.0, clause 4.2.1, and USB 3.2.
const (
	LowSpeed   Speed = "low"
	FullSpeed  Speed = "full"
	HighSpeed  Speed = "high"
	SuperSpeed Speed = "super"
)

// Interface is the class of one interface (USB 2.0, table 9-12).
type Interface struct {
	Number   uint8 `json:"number"`
	Class    uint8 `json:"class"`
	SubClass uint8 `json:"subclass"`
	Protocol uint8 `json:"protocol"`
}

// Info describes an attached device without opening it.
type Info struct {
	Vendor       uint16 `json:"vendor"`
	Product      uint16 `json:"product"`
	Release      uint16 `json:"release"` // bcdDevice
	Class        uint8  `json:"class"`
	SubClass     uint8  `json:"subclass"`
	Protocol     uint8  `json:"protocol"`
	Manufacturer string `json:"manufacturer,omitempty"`
	ProductName  string `json:"product_name,omitempty"`
	Serial       string `json:"serial,omitempty"`
	Speed        Speed  `json:"speed"`

	Bus        string      `json:"bus"`                  // "kernel", "usbip", "attach"
	Port       string      `json:"port"`                 // the port chain, "1-2.3"
	Address    uint32      `json:"-"`                    // on its bus; another whenever it enumerates anew, 0 where the bus can't tell
	SysfsPath  string      `json:"sysfs_path,omitempty"` // empty off the kernel's bus
	Interfaces []Interface `json:"interfaces,omitempty"` // first alternate settings of the first configuration
}

// KernelBus is the Bus of devices that the operating system's own USB stack enumerated.
const KernelBus = "kernel"

// Identity returns what names the device from one enumeration to the next.
func (i Info) Identity() Identity {
	id := Identity{Vendor: i.Vendor, Product: i.Product, Serial: i.Serial}
	if id.Serial == "" {
		id.Port = i.Port
	}
	return id
}

// Simulated reports whether no real hardware answers. It is decided by what a device can't rename: the bus is not the
// kernel's, or the kernel attached it through vhci_hcd or dummy_hcd. A serial number that begins with SIM- counts too,
// but its absence proves nothing.
func (i Info) Simulated() bool {
	return i.Bus != KernelBus ||
		strings.Contains(i.SysfsPath, "vhci_hcd") || strings.Contains(i.SysfsPath, "dummy_hcd") ||
		strings.HasPrefix(i.Serial, "SIM-")
}

// Version is the release number of a device as its maker means it: "1.03".
func (i Info) Version() string { return fmt.Sprintf("%x.%02x", i.Release>>8, i.Release&0xff) }

// ParseIDs reads vendor and product as lsusb shows them: "056a:00a8".
func ParseIDs(s string) (vendor, product uint16, err error) {
	first, second, _ := strings.Cut(s, ":")
	v, errV := strconv.ParseUint(first, 16, 16)
	p, errP := strconv.ParseUint(second, 16, 16)
	if errV != nil || errP != nil {
		return 0, 0, fmt.Errorf("reading a device's ids: %.40q is no VENDOR:PRODUCT in hexadecimal, as lsusb shows it", s)
	}
	return uint16(v), uint16(p), nil
}

// Setup is the setup stage of a control transfer (USB 2.0, table 9-2).
type Setup struct {
	RequestType uint8
	Request     uint8
	Value       uint16
	Index       uint16
	Length      uint16
}

// In reports whether the data stage runs from device to host.
func (s Setup) In() bool { return s.RequestType&0x80 != 0 }

// Errors of buses and devices. They are compared with errors.Is and carry no verdict on the device as a whole: package
// drivers turns them into one.
var (
	ErrNotFound = errors.New("usb: no such device or interface")
	ErrBusy     = errors.New("usb: held by another program")
	ErrGone     = errors.New("usb: device disconnected")
	ErrStall    = errors.New("usb: endpoint stalled")
	ErrOverflow = errors.New("usb: device sent more than was asked for")
	ErrClosed   = errors.New("usb: device closed")
)
