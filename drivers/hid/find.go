package hid

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"loket/drivers/usb"
)

// Class is the class of HID interfaces (HID 1.11, clause 4.1).
const Class uint8 = 3

// Of the HID class (clause 7.1).
const (
	descriptorHID     uint8 = 0x21
	descriptorReport  uint8 = 0x22
	standardFromIface uint8 = 0x81
)

// Function is one HID interface with an endpoint for reports.
type Function struct {
	usb.Interface
	In         usb.Endpoint
	Descriptor int // length of its report descriptor
}

// Functions finds the HID interfaces in a device's descriptors: first alternate settings with an interrupt IN endpoint and a
// report descriptor.
func Functions(b []byte) ([]Function, error) {
	layout, err := usb.ParseDescriptors(b)
	if err != nil {
		return nil, err
	}
	lengths := reportLengths(b)
	var list []Function
	for _, s := range layout.Settings {
		if s.Class != Class || s.Alternate != 0 || lengths[s.Number] == 0 {
			continue
		}
		for _, e := range s.Endpoints {
			if e.In() && e.Type == usb.InterruptType && e.MaxPacket > 0 {
				list = append(list, Function{s.Interface, e, lengths[s.Number]})
				break
			}
		}
	}
	return list, nil
}

// reportLengths reads the HID descriptors (clause 6.2.1), which stand behind the descriptors of their interfaces.
func reportLengths(b []byte) map[uint8]int {
	lengths := map[uint8]int{}
	iface := -1
	for len(b) >= 2 && b[0] >= 2 && int(b[0]) <= len(b) {
		d := b[:b[0]]
		b = b[b[0]:]
		switch {
		case d[1] == usb.DescriptorInterface && len(d) >= 9:
			iface = -1
			if d[3] == 0 {
				iface = int(d[2])
			}
		case d[1] == descriptorHID && iface >= 0 && len(d) >= 9 && d[6] == descriptorReport:
			lengths[uint8(iface)] = int(binary.LittleEndian.Uint16(d[7:]))
		}
	}
	return lengths
}

// Describe fetches and reads the interface's report descriptor. The interface has been claimed.
func (f Function) Describe(ctx context.Context, dev usb.Device) (Descriptor, error) {
	if f.Descriptor > MaxDescriptor {
		return Descriptor{}, fmt.Errorf("reading the report descriptor: it has %d bytes, more than %d", f.Descriptor, MaxDescriptor)
	}
	b := make([]byte, f.Descriptor)
	s := usb.Setup{RequestType: standardFromIface, Request: usb.RequestGetDescriptor, Value: uint16(descriptorReport) << 8,
		Index: uint16(f.Number), Length: uint16(len(b))}
	n, err := Control(ctx, dev, s, b)
	if err != nil {
		return Descriptor{}, fmt.Errorf("fetching the report descriptor: %w", err)
	}
	if n != len(b) {
		return Descriptor{}, fmt.Errorf("fetching the report descriptor: %d bytes and not %d", n, len(b))
	}
	return Parse(b)
}

// Buffer makes room for a report of the interface: a whole number of packets.
func (f Function) Buffer(room int) []byte {
	packets := max(1, (room+f.In.MaxPacket-1)/f.In.MaxPacket)
	return make([]byte, packets*f.In.MaxPacket)
}

// Control runs a request, once more after a stall: a stall of endpoint 0 ends with the next request.
func Control(ctx context.Context, dev usb.Device, s usb.Setup, data []byte) (int, error) {
	n, err := dev.Control(ctx, s, data)
	if errors.Is(err, usb.ErrStall) {
		n, err = dev.Control(ctx, s, data)
	}
	return n, err
}

// Report waits for a report. A stall is cleared once.
func Report(ctx context.Context, dev usb.Device, endpoint uint8, buf []byte) ([]byte, error) {
	n, err := dev.Transfer(ctx, endpoint, buf)
	if errors.Is(err, usb.ErrStall) && ClearHalt(ctx, dev, endpoint) == nil {
		n, err = dev.Transfer(ctx, endpoint, buf)
	}
	return buf[:n], err
}

// ClearHalt clears an endpoint's halt, where the bus can.
func ClearHalt(ctx context.Context, dev usb.Device, endpoint uint8) error {
	if d, ok := dev.(usb.Resetter); ok {
		return d.ClearHalt(ctx, endpoint)
	}
	return errors.ErrUnsupported
}
