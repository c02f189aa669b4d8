package usb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

// The descriptor types of USB 2.0, table 9-5.
const (
	DescriptorDevice        uint8 = 1
	DescriptorConfiguration uint8 = 2
	DescriptorString        uint8 = 3
	DescriptorInterface     uint8 = 4
	DescriptorEndpoint      uint8 = 5
	DescriptorQualifier     uint8 = 6
)

// TransferType is how an endpoint moves data (USB 2.0, table 9-13).
type TransferType string

// The transfer types.
const (
	ControlType     TransferType = "control"
	IsochronousType TransferType = "isochronous"
	BulkType        TransferType = "bulk"
	InterruptType   TransferType = "interrupt"
)

// Endpoint is one endpoint of an interface.
type Endpoint struct {
	Address   uint8 // bit 7 is the direction
	Type      TransferType
	MaxPacket int // bytes in a packet
	Burst     int // packets in a microframe: 1, up to 3 at high-bandwidth endpoints
	Interval  uint8
}

// In reports whether data runs from device to host.
func (e Endpoint) In() bool { return e.Address&0x80 != 0 }

// Setting is one alternate setting of an interface.
type Setting struct {
	Interface
	Alternate uint8
	Endpoints []Endpoint
}

// Layout is what the descriptors of a device say.
type Layout struct {
	Device        Info // numbers and interfaces; no strings, speed, bus or port
	Manufacturer  uint8
	Product       uint8
	Serial        uint8 // the three are string indices; 0 for none
	Configuration uint8 // the value that SET_CONFIGURATION takes
	SelfPowered   bool
	RemoteWakeup  bool
	Settings      []Setting
}

// ParseDescriptors reads a device descriptor followed by one whole configuration, the form of [Device.Descriptors].
// Unknown descriptors are passed over; bytes after the configuration are ignored.
func ParseDescriptors(b []byte) (Layout, error) {
	var l Layout
	if len(b) < 18 || b[0] != 18 || b[1] != DescriptorDevice {
		return l, errors.New("parsing descriptors: no device descriptor of 18 bytes at the start")
	}
	l.Device = Info{
		Vendor:  binary.LittleEndian.Uint16(b[8:]),
		Product: binary.LittleEndian.Uint16(b[10:]),
		Release: binary.LittleEndian.Uint16(b[12:]),
		Class:   b[4], SubClass: b[5], Protocol: b[6],
	}
	l.Manufacturer, l.Product, l.Serial = b[14], b[15], b[16]
	c := b[18:]
	if len(c) < 9 || c[0] < 9 || c[1] != DescriptorConfiguration {
		return l, errors.New("parsing descriptors: no configuration after the device descriptor")
	}
	total := int(binary.LittleEndian.Uint16(c[2:]))
	if total < 9 || total > len(c) {
		return l, fmt.Errorf("parsing descriptors: the configuration has %d bytes and says %d", len(c), total)
	}
	l.Configuration = c[5]
	l.SelfPowered, l.RemoteWakeup = c[7]&0x40 != 0, c[7]&0x20 != 0
	return l, l.parseSettings(c[:total])
}

func (l *Layout) parseSettings(c []byte) error {
	for len(c) > 0 {
		if len(c) < 2 || c[0] < 2 || int(c[0]) > len(c) {
			return errors.New("parsing descriptors: a descriptor is longer than its configuration")
		}
		d := c[:c[0]]
		c = c[c[0]:]
		switch {
		case d[1] == DescriptorInterface && len(d) >= 9:
			s := Setting{Interface: Interface{Number: d[2], Class: d[5], SubClass: d[6], Protocol: d[7]}, Alternate: d[3]}
			l.Settings = append(l.Settings, s)
			if s.Alternate == 0 {
				l.Device.Interfaces = append(l.Device.Interfaces, s.Interface)
			}
		case d[1] == DescriptorEndpoint && len(d) >= 7:
			if len(l.Settings) == 0 {
				return errors.New("parsing descriptors: an endpoint before the first interface")
			}
			s := &l.Settings[len(l.Settings)-1]
			s.Endpoints = append(s.Endpoints, parseEndpoint(d))
		case d[1] == DescriptorInterface, d[1] == DescriptorEndpoint:
			return fmt.Errorf("parsing descriptors: descriptor type %d of %d bytes is too short", d[1], len(d))
		}
	}
	return nil
}

func parseEndpoint(d []byte) Endpoint {
	types := [4]TransferType{ControlType, IsochronousType, BulkType, InterruptType}
	size := binary.LittleEndian.Uint16(d[4:])
	return Endpoint{
		Address:   d[2],
		Type:      types[d[3]&3],
		MaxPacket: int(size & 0x7ff),
		Burst:     1 + int(size>>11&3),
		Interval:  d[6],
	}
}

// Setting returns an alternate setting of an interface.
func (l Layout) Setting(iface, alt uint8) (Setting, bool) {
	for _, s := range l.Settings {
		if s.Number == iface && s.Alternate == alt {
			return s, true
		}
	}
	return Setting{}, false
}

// Alternates returns how many alternate settings an interface has; 0 where there is no such interface.
func (l Layout) Alternates(iface uint8) int {
	n := 0
	for _, s := range l.Settings {
		if s.Number == iface {
			n++
		}
	}
	return n
}

// EncodeString makes a string descriptor in UTF-16LE (USB 2.0, clause 9.6.7). What is beyond 126 code units is cut off.
func EncodeString(s string) []byte {
	units := utf16.Encode([]rune(s))
	if len(units) > 126 {
		units = units[:126]
	}
	b := []byte{byte(2 + 2*len(units)), DescriptorString}
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// DecodeString reads a string descriptor; what is no valid UTF-16 becomes U+FFFD.
func DecodeString(b []byte) (string, error) {
	if len(b) < 2 || b[1] != DescriptorString || int(b[0]) > len(b) || b[0] < 2 {
		return "", errors.New("parsing descriptors: no string descriptor")
	}
	var units []uint16
	for b = b[2:b[0]]; len(b) >= 2; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	return string(utf16.Decode(units)), nil
}
