package hidcode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"loket/drivers/usb"
)

// Of the HID class (HID 1.11, clauses 4.2, 4.3, 7.1 and 7.2).
const (
	classHID          uint8 = 3
	subclassBoot      uint8 = 1
	protocolKeyboard  uint8 = 1
	descriptorHID     uint8 = 0x21
	descriptorReport  uint8 = 0x22
	requestSetIdle    uint8 = 0x0a
	requestSetProto   uint8 = 0x0b
	protocolBoot            = 0
	classToInterface  uint8 = 0x21
	standardFromIface uint8 = 0x81
)

// function is one HID interface with an endpoint for reports.
type function struct {
	usb.Interface
	in         usb.Endpoint
	descriptor int // length of its report descriptor
}

// functions finds the HID interfaces in a device's descriptors: first alternate settings with an interrupt IN endpoint and a
// report descriptor.
func functions(b []byte) ([]function, error) {
	layout, err := usb.ParseDescriptors(b)
	if err != nil {
		return nil, err
	}
	lengths := reportLengths(b)
	var list []function
	for _, s := range layout.Settings {
		if s.Class != classHID || s.Alternate != 0 || lengths[s.Number] == 0 {
			continue
		}
		for _, e := range s.Endpoints {
			if e.In() && e.Type == usb.InterruptType && e.MaxPacket > 0 {
				list = append(list, function{s.Interface, e, lengths[s.Number]})
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

// find finds the interface that codes come from, and makes it ready: a scanner's own reports where there are any, else what a
// keyboard types.
func (r *reader) find(ctx context.Context, m Model) error {
	list, err := functions(r.dev.Descriptors())
	if err != nil {
		return err
	}
	var keyboard *function
	var typing descriptor
	for _, f := range list {
		if err := r.dev.Claim(f.Number, 0); err != nil {
			return err
		}
		d, err := r.describe(ctx, f)
		if err != nil {
			return err
		}
		if s, ok := newScanner(d); ok {
			r.use(f, s)
			return nil
		}
		if keyboard == nil && types(f, d) {
			keyboard, typing = &f, d
		}
	}
	if keyboard == nil {
		return errors.New("it has neither reports of a scanner nor a keyboard (hint: set the reader to USB HID POS or to USB keyboard)")
	}
	r.use(*keyboard, newWedge(m.Terminator))
	return r.prepare(ctx, *keyboard, typing)
}

// types reports whether an interface is a keyboard that can be read.
func types(f function, d descriptor) bool {
	return f.SubClass == subclassBoot && f.Protocol == protocolKeyboard || bootShaped(d)
}

// use takes the codes from an interface. The buffer is a whole number of packets.
func (r *reader) use(f function, codes assembler) {
	packets := max(1, (codes.room()+f.in.MaxPacket-1)/f.in.MaxPacket)
	r.in, r.codes, r.buf = f.in.Address, codes, make([]byte, packets*f.in.MaxPacket)
}

// describe fetches and reads a report descriptor.
func (r *reader) describe(ctx context.Context, f function) (descriptor, error) {
	if f.descriptor > maxDescriptor {
		return descriptor{}, fmt.Errorf("reading the report descriptor: it has %d bytes, more than %d", f.descriptor, maxDescriptor)
	}
	b := make([]byte, f.descriptor)
	s := usb.Setup{RequestType: standardFromIface, Request: usb.RequestGetDescriptor, Value: uint16(descriptorReport) << 8,
		Index: uint16(f.Number), Length: uint16(len(b))}
	n, err := r.control(ctx, s, b)
	if err != nil {
		return descriptor{}, fmt.Errorf("fetching the report descriptor: %w", err)
	}
	if n != len(b) {
		return descriptor{}, fmt.Errorf("fetching the report descriptor: %d bytes and not %d", n, len(b))
	}
	return parseDescriptor(b)
}

// control runs a request, once more after a stall: a stall of endpoint 0 ends with the next request.
func (r *reader) control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	n, err := r.dev.Control(ctx, s, data)
	if errors.Is(err, usb.ErrStall) {
		n, err = r.dev.Control(ctx, s, data)
	}
	return n, err
}

// prepare puts a keyboard into its boot protocol and has it report changes alone. A keyboard whose own reports have the same shape
// may refuse the first, any keyboard the second.
func (r *reader) prepare(ctx context.Context, f function, d descriptor) error {
	boot := usb.Setup{RequestType: classToInterface, Request: requestSetProto, Value: protocolBoot, Index: uint16(f.Number)}
	if _, err := r.control(ctx, boot, nil); err != nil && !(errors.Is(err, usb.ErrStall) && bootShaped(d)) {
		return fmt.Errorf("setting the boot protocol: %w", err)
	}
	idle := usb.Setup{RequestType: classToInterface, Request: requestSetIdle, Index: uint16(f.Number)}
	if _, err := r.control(ctx, idle, nil); err != nil && !errors.Is(err, usb.ErrStall) {
		return fmt.Errorf("setting the idle rate: %w", err)
	}
	return nil
}
