package usbtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"loket/drivers/usb"
)

// What pcapng calls things: block types and the link types of usbmon's headers of 48 and 64 bytes.
// https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html and Documentation/usb/usbmon of Linux.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6
	byteOrderMagic = 0x1a2b3c4d

	linkUsbmon48 = 189
	linkUsbmon64 = 220

	maxCapture    = 64 << 20 // bytes of a file
	maxInterfaces = 64
	maxPending    = 4096 // transfers that began and did not end
)

// The transfer types of usbmon.
const (
	monIsochronous = 0
	monInterrupt   = 1
	monControl     = 2
	monBulk        = 3
)

// The errors of Linux that a transfer ends with.
const (
	errnoENOENT      = 2
	errnoEPIPE       = 32
	errnoENODEV      = 19
	errnoEOVERFLOW   = 75
	errnoECONNRESET  = 104
	errnoESHUTDOWN   = 108
	errnoETIMEDOUT   = 110
	errnoEINPROGRESS = 115
)

// PcapngOptions says what of a capture is read.
type PcapngOptions struct {
	// Info and Descriptors are the device's, where they are not in the capture: [ReadUmockdev] finds them.
	Info        usb.Info
	Descriptors []byte
	// Address is the device's number on its bus; with zero the capture must hold one device alone.
	Address uint8
}

// ReadPcapng reads a capture of usbmon in pcapng form (link types 189 and 220, whole payloads). Standard requests are the
// operating system's own and left out, but for descriptors, which are taken where the options have none, and for clearing a
// halt. Errors name the packet.
func ReadPcapng(r io.Reader, o PcapngOptions) (*Recording, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxCapture+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the capture: %w", err)
	case len(b) > maxCapture:
		return nil, fmt.Errorf("reading the capture: more than %d bytes", maxCapture)
	}
	c := &capture{o: o, rec: &Recording{Info: o.Info}, pending: map[uint64]int{}}
	if err := c.blocks(b); err != nil {
		return nil, fmt.Errorf("reading the capture, packet %d: %w", c.packet, err)
	}
	return c.finish()
}

// capture is a capture on its way into a recording.
type capture struct {
	o       PcapngOptions
	rec     *Recording
	order   binary.ByteOrder
	links   []uint16 // of the interfaces of the present section
	packet  int
	pending map[uint64]int // by URB: index of the transfer, or -1 for one that is left out
	seen    uint8          // the device's address; 0 before the first packet
	asked   map[uint64]usb.Setup
	device  []byte // descriptors that were seen
	config  []byte
}

// blocks walks the blocks of all sections.
func (c *capture) blocks(b []byte) error {
	for len(b) > 0 {
		if len(b) < 12 {
			return errors.New("the file ends in a block")
		}
		kind := binary.LittleEndian.Uint32(b) // a section's type reads the same in both orders
		if kind == blockSection {
			if err := c.section(b); err != nil {
				return err
			}
		} else if c.order == nil {
			return errors.New("this is no pcapng file")
		}
		length := c.order.Uint32(b[4:])
		if length < 12 || length%4 != 0 || int64(length) > int64(len(b)) || c.order.Uint32(b[length-4:]) != length {
			return errors.New("a block's length is wrong")
		}
		if err := c.block(c.order.Uint32(b), b[8:length-4]); err != nil {
			return err
		}
		b = b[length:]
	}
	if c.order == nil {
		return errors.New("the file is empty")
	}
	return nil
}

func (c *capture) section(b []byte) error {
	switch {
	case binary.LittleEndian.Uint32(b[8:]) == byteOrderMagic:
		c.order = binary.LittleEndian
	case binary.BigEndian.Uint32(b[8:]) == byteOrderMagic:
		c.order = binary.BigEndian
	default:
		return errors.New("a section has no byte order")
	}
	c.links = nil
	return nil
}

func (c *capture) block(kind uint32, b []byte) error {
	switch kind {
	case blockInterface:
		if len(b) < 8 || len(c.links) >= maxInterfaces {
			return errors.New("an interface is too short, or one too many")
		}
		c.links = append(c.links, c.order.Uint16(b))
	case blockPacket:
		c.packet++
		return c.enhanced(b)
	}
	return nil
}

// enhanced reads a packet block.
func (c *capture) enhanced(b []byte) error {
	if len(b) < 20 {
		return errors.New("the block is too short")
	}
	iface, captured, original := c.order.Uint32(b), c.order.Uint32(b[12:]), c.order.Uint32(b[16:])
	switch {
	case int64(iface) >= int64(len(c.links)):
		return fmt.Errorf("no interface %d", iface)
	case int64(captured) > int64(len(b)-20):
		return errors.New("the packet is longer than its block")
	case captured != original:
		return errors.New("the packet was cut (hint: capture whole packets)")
	}
	header := map[uint16]int{linkUsbmon48: 48, linkUsbmon64: 64}[c.links[iface]]
	if header == 0 {
		return fmt.Errorf("link type %d is not usbmon's", c.links[iface])
	}
	if int(captured) < header {
		return errors.New("the packet is shorter than usbmon's header")
	}
	return c.event(c.event0(b[20:20+captured], header))
}

// monEvent is one packet of usbmon.
type monEvent struct {
	urb      uint64
	kind     byte // S submitted, C ended, E could not be submitted
	transfer uint8
	endpoint uint8
	device   uint8
	noSetup  bool
	setup    []byte
	status   int32
	length   uint32
	data     []byte
	said     uint32 // bytes that data should have
}

// event0 reads the fields of a packet. Usbmon writes them in the byte order of its machine, which is the file's.
func (c *capture) event0(b []byte, header int) monEvent {
	return monEvent{
		urb: c.order.Uint64(b), kind: b[8], transfer: b[9], endpoint: b[10], device: b[11], noSetup: b[14] != 0,
		status: int32(c.order.Uint32(b[28:])), length: c.order.Uint32(b[32:]), said: c.order.Uint32(b[36:]),
		setup: b[40:48], data: b[header:],
	}
}

// event takes one packet into the recording.
func (c *capture) event(e monEvent) error {
	switch {
	case c.o.Address != 0 && e.device != c.o.Address:
		return nil
	case c.o.Address == 0 && c.seen != 0 && e.device != c.seen:
		return fmt.Errorf("the capture has devices %d and %d (hint: choose one by its address)", c.seen, e.device)
	case int64(e.said) != int64(len(e.data)) || e.length > maxPayload:
		return fmt.Errorf("%d bytes where %d of %d should be", len(e.data), e.said, e.length)
	}
	c.seen = e.device
	switch e.kind {
	case 'S':
		return c.submitted(e)
	case 'C', 'E':
		return c.completed(e)
	}
	return fmt.Errorf("an event of kind %02x", e.kind)
}

func (c *capture) submitted(e monEvent) error {
	if _, twice := c.pending[e.urb]; twice || len(c.pending) >= maxPending {
		return errors.New("a transfer begins twice, or too many do")
	}
	t := Transfer{Line: c.packet, Endpoint: e.endpoint, Length: int(e.length)}
	switch {
	case e.transfer == monControl && e.noSetup:
		return errors.New("a control transfer without its setup stage")
	case e.transfer == monControl:
		le := binary.LittleEndian
		t.Kind, t.Endpoint = ControlTransfer, 0
		t.Setup = usb.Setup{RequestType: e.setup[0], Request: e.setup[1], Value: le.Uint16(e.setup[2:]), Index: le.Uint16(e.setup[4:]), Length: le.Uint16(e.setup[6:])}
		if int(t.Setup.Length) != t.Length {
			return errors.New("a control transfer's two lengths differ")
		}
	case e.transfer == monIsochronous:
		return errors.New("an isochronous transfer, which recordings don't have")
	case e.transfer != monBulk && e.transfer != monInterrupt:
		return fmt.Errorf("a transfer of type %d", e.transfer)
	case e.endpoint&0x80 != 0:
		t.Kind = InTransfer
	default:
		t.Kind = OutTransfer
	}
	if !t.in() {
		if len(e.data) != t.Length {
			return errors.New("the bytes that went out are not all there")
		}
		t.Payload = inClear(e.data)
	}
	return c.begin(e.urb, t)
}

// begin adds a transfer, or remembers that it is left out.
func (c *capture) begin(urb uint64, t Transfer) error {
	standard := t.Kind == ControlTransfer && t.Setup.RequestType&0x60 == 0
	switch {
	case standard && t.Setup == usb.ClearHalt(uint8(t.Setup.Index)):
		t = Transfer{Line: t.Line, Kind: HaltCleared, Endpoint: uint8(t.Setup.Index)}
	case standard:
		if c.asked == nil {
			c.asked = map[uint64]usb.Setup{}
		}
		c.asked[urb], c.pending[urb] = t.Setup, -1
		return nil
	}
	if len(c.rec.Transfers) >= maxTransfers {
		return fmt.Errorf("more than %d transfers", maxTransfers)
	}
	c.pending[urb] = len(c.rec.Transfers)
	c.rec.Transfers = append(c.rec.Transfers, t)
	return nil
}

func (c *capture) completed(e monEvent) error {
	i, ok := c.pending[e.urb]
	if !ok {
		return nil // it began before the capture
	}
	delete(c.pending, e.urb)
	if i < 0 {
		c.enumerated(c.asked[e.urb], e)
		delete(c.asked, e.urb)
		return nil
	}
	t := &c.rec.Transfers[i]
	t.Ended, t.Outcome, t.Count = len(c.rec.Transfers), linuxOutcome(-e.status), int(e.length)
	if t.Count > t.Length && t.Kind != HaltCleared {
		return fmt.Errorf("%d bytes moved where %d were the most", t.Count, t.Length)
	}
	if t.in() {
		if len(e.data) != t.Count {
			return errors.New("the bytes that came in are not all there")
		}
		t.Payload = inClear(e.data)
	}
	return nil
}

// linuxOutcome names a status of Linux.
func linuxOutcome(errno int32) Outcome {
	switch errno {
	case 0:
		return Good
	case errnoEPIPE:
		return WasStall
	case errnoENODEV, errnoESHUTDOWN:
		return WasGone
	case errnoEOVERFLOW:
		return WasOverflow
	case errnoENOENT, errnoECONNRESET, errnoETIMEDOUT, errnoEINPROGRESS:
		return WasCancelled
	}
	return WasFailed
}

// enumerated keeps the descriptors that the operating system read.
func (c *capture) enumerated(s usb.Setup, e monEvent) {
	if s.RequestType != 0x80 || s.Request != usb.RequestGetDescriptor || e.status != 0 {
		return
	}
	switch {
	case s.Value == uint16(usb.DescriptorDevice)<<8 && len(e.data) == 18:
		c.device = bytes.Clone(e.data)
	case s.Value == uint16(usb.DescriptorConfiguration)<<8 && len(e.data) > len(c.config):
		c.config = bytes.Clone(e.data)
	}
}

// finish ends what never ended and finds the descriptors.
func (c *capture) finish() (*Recording, error) {
	for _, i := range c.pending {
		if i >= 0 {
			t := &c.rec.Transfers[i]
			t.Ended, t.Outcome, t.Count = len(c.rec.Transfers), WasCancelled, t.Payload.Size
		}
	}
	descriptors := c.o.Descriptors
	if len(descriptors) == 0 {
		descriptors = append(c.device, c.config...)
	}
	if err := c.rec.describe(descriptors); err != nil {
		return nil, fmt.Errorf("reading the capture: %w (hint: give the device's descriptors, the capture has none)", err)
	}
	return c.rec, nil
}
