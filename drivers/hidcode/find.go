package hidcode

import (
	"context"
	"errors"
	"fmt"

	"loket/drivers/hid"
	"loket/drivers/usb"
)

// Of the HID class (HID 1.11, clauses 4.2, 4.3, 7.1 and 7.2).
const (
	subclassBoot     uint8 = 1
	protocolKeyboard uint8 = 1
	requestSetIdle   uint8 = 0x0a
	requestSetProto  uint8 = 0x0b
	protocolBoot           = 0
	classToInterface uint8 = 0x21
)

// find finds the interface that codes come from, and makes it ready: a scanner's own reports where there are any, else what a
// keyboard types.
func (r *reader) find(ctx context.Context, m Model) error {
	list, err := hid.Functions(r.dev.Descriptors())
	if err != nil {
		return err
	}
	var keyboard *hid.Function
	var typing hid.Descriptor
	for _, f := range list {
		if err := r.dev.Claim(f.Number, 0); err != nil {
			return err
		}
		d, err := f.Describe(ctx, r.dev)
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
func types(f hid.Function, d hid.Descriptor) bool {
	return f.SubClass == subclassBoot && f.Protocol == protocolKeyboard || bootShaped(d)
}

// use takes the codes from an interface. The buffer is a whole number of packets.
func (r *reader) use(f hid.Function, codes assembler) {
	r.in, r.codes, r.buf = f.In.Address, codes, f.Buffer(codes.room())
}

// prepare puts a keyboard into its boot protocol and has it report changes alone. A keyboard whose own reports have the same shape
// may refuse the first, any keyboard the second.
func (r *reader) prepare(ctx context.Context, f hid.Function, d hid.Descriptor) error {
	boot := usb.Setup{RequestType: classToInterface, Request: requestSetProto, Value: protocolBoot, Index: uint16(f.Number)}
	if _, err := hid.Control(ctx, r.dev, boot, nil); err != nil && !(errors.Is(err, usb.ErrStall) && bootShaped(d)) {
		return fmt.Errorf("setting the boot protocol: %w", err)
	}
	idle := usb.Setup{RequestType: classToInterface, Request: requestSetIdle, Index: uint16(f.Number)}
	if _, err := hid.Control(ctx, r.dev, idle, nil); err != nil && !errors.Is(err, usb.ErrStall) {
		return fmt.Errorf("setting the idle rate: %w", err)
	}
	return nil
}
