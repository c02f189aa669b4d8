package usbip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"loket/drivers/usb"
)

// version is that of the protocol, 1.1.1 in binary-coded decimal.
const version = 0x0111

// Operation codes; a reply has the request's code without bit 15.
const (
	opReply   uint16 = 0x0005 // OP_REP_DEVLIST
	opImport  uint16 = 0x0003 // OP_REP_IMPORT
	opRequest uint16 = 0x8000
)

// States of an operation's reply.
const (
	statusOK      uint32 = 0
	statusNA      uint32 = 1 // not available, of old servers also: in use
	statusBusy    uint32 = 2
	statusDevErr  uint32 = 3
	statusNoDev   uint32 = 4
	statusFailure uint32 = 5
)

// Commands of an imported device's connection.
const (
	cmdSubmit uint32 = 1
	cmdUnlink uint32 = 2
	retSubmit uint32 = 3
	retUnlink uint32 = 4
)

// Transfer flags that a submitter's kernel may set (linux/usb.h).
const (
	flagShortNotOK uint32 = 0x0001
	flagZeroPacket uint32 = 0x0040
)

// Sizes in bytes, and the bounds that both ends hold each other to.
const (
	opSize       = 8
	busidSize    = 32
	recordText   = 256 + busidSize // path and bus id at the start of a device record
	recordSize   = 312
	pduSize      = 48
	isoSize      = 16
	maxTransfer  = 16 << 20 // of one transfer, as the kernel's usbfs has it
	maxIso       = 1024     // packets of one isochronous transfer
	maxDevices   = 1024     // in a device list
	noIsoPackets = 0xffffffff
)

// op is the head of a request or reply before a device is imported.
type op struct {
	code   uint16
	status uint32
}

func (o op) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint16(b, o.code)
	return binary.BigEndian.AppendUint32(b, o.status)
}

func decodeOp(b []byte) (op, error) {
	if len(b) < opSize {
		return op{}, errors.New("decoding an operation: too short")
	}
	if v := binary.BigEndian.Uint16(b); v != version {
		return op{}, fmt.Errorf("decoding an operation: version %04x instead of %04x", v, version)
	}
	return op{binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:])}, nil
}

// record describes an exported device.
type record struct {
	path, busid              string
	bus, dev, speed          uint32
	vendor, product, release uint16
	class, sub, protocol     uint8
	configuration            uint8 // the active one's value, 0 for none
	configurations           uint8
	interfaces               uint8
}

func (r record) devid() uint32 { return r.bus<<16 | r.dev&0xffff }

func (r record) append(b []byte) []byte {
	b = appendText(b, r.path, 256)
	b = appendText(b, r.busid, busidSize)
	for _, v := range []uint32{r.bus, r.dev, r.speed} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	for _, v := range []uint16{r.vendor, r.product, r.release} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return append(b, r.class, r.sub, r.protocol, r.configuration, r.configurations, r.interfaces)
}

func decodeRecord(b []byte) (record, error) {
	if len(b) < recordSize {
		return record{}, errors.New("decoding a device record: too short")
	}
	if b[255] != 0 || b[recordText-1] != 0 {
		return record{}, errors.New("decoding a device record: a text in it has no end")
	}
	n := b[recordText:]
	r := record{
		path: text(b[:256]), busid: text(b[256:recordText]),
		bus: binary.BigEndian.Uint32(n), dev: binary.BigEndian.Uint32(n[4:]), speed: binary.BigEndian.Uint32(n[8:]),
		vendor: binary.BigEndian.Uint16(n[12:]), product: binary.BigEndian.Uint16(n[14:]), release: binary.BigEndian.Uint16(n[16:]),
		class: n[18], sub: n[19], protocol: n[20], configuration: n[21], configurations: n[22], interfaces: n[23],
	}
	if r.busid == "" {
		return record{}, errors.New("decoding a device record: no bus id")
	}
	return r, nil
}

// listed is a device record with its interfaces, as a device list has them.
type listed struct {
	record
	classes []usb.Interface // the numbers are not on the wire: they are counted from 0
}

func appendList(b []byte, list []listed) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	for _, l := range list {
		l.interfaces = uint8(len(l.classes))
		b = l.record.append(b)
		for _, i := range l.classes {
			b = append(b, i.Class, i.SubClass, i.Protocol, 0)
		}
	}
	return b
}

// readList reads a device list after its head. What it keeps is bounded by what the peer has sent.
func readList(r io.Reader) ([]listed, error) {
	var buf [recordSize]byte
	if _, err := io.ReadFull(r, buf[:4]); err != nil {
		return nil, fmt.Errorf("reading a device list: %w", err)
	}
	count := binary.BigEndian.Uint32(buf[:])
	if count > maxDevices {
		return nil, fmt.Errorf("reading a device list: %d devices are too many", count)
	}
	var list []listed
	for range count {
		if _, err := io.ReadFull(r, buf[:]); err != nil {
			return nil, fmt.Errorf("reading a device list: %w", err)
		}
		rec, err := decodeRecord(buf[:])
		if err != nil {
			return nil, err
		}
		l := listed{record: rec}
		for n := range rec.interfaces {
			if _, err := io.ReadFull(r, buf[:4]); err != nil {
				return nil, fmt.Errorf("reading a device list: %w", err)
			}
			l.classes = append(l.classes, usb.Interface{Number: n, Class: buf[0], SubClass: buf[1], Protocol: buf[2]})
		}
		list = append(list, l)
	}
	return list, nil
}

func appendText(b []byte, s string, size int) []byte {
	field := make([]byte, size)
	copy(field[:size-1], s)
	return append(b, field...)
}

func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// pdu is one of the four messages of an imported device's connection, without the data that may follow it.
type pdu struct {
	command  uint32
	seq      uint32
	devid    uint32 // 0 in replies
	in       bool   // 0 in replies
	endpoint uint8  // number without direction; 0 in replies

	flags    uint32 // cmdSubmit
	status   int32  // retSubmit, retUnlink: 0 or a negative errno
	length   int    // cmdSubmit: of the buffer; retSubmit: moved
	start    uint32 // start frame
	packets  uint32 // isochronous packets; 0 or noIsoPackets for other transfers
	interval uint32 // cmdSubmit
	errors   uint32 // retSubmit: failed isochronous packets
	setup    [8]byte
	target   uint32 // cmdUnlink: the sequence number to unlink
}

// isoPackets returns how many isochronous packet descriptors follow the data.
func (p pdu) isoPackets() int {
	if p.packets == noIsoPackets {
		return 0
	}
	return int(p.packets)
}

func (p pdu) append(b []byte) []byte {
	direction := uint32(0)
	if p.in {
		direction = 1
	}
	words := [10]uint32{p.command, p.seq, p.devid, direction, uint32(p.endpoint)}
	switch p.command {
	case cmdSubmit:
		copy(words[5:], []uint32{p.flags, uint32(p.length), p.start, p.packets, p.interval})
	case retSubmit:
		copy(words[5:], []uint32{uint32(p.status), uint32(p.length), p.start, p.packets, p.errors})
	case cmdUnlink:
		words[5] = p.target
	case retUnlink:
		words[5] = uint32(p.status)
	}
	for _, w := range words {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return append(b, p.setup[:]...)
}

// decodePDU reads a message and checks every bound that does not depend on what was said before.
func decodePDU(b []byte) (pdu, error) {
	if len(b) < pduSize {
		return pdu{}, errors.New("decoding a message: too short")
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	p := pdu{command: word(0), seq: word(1), devid: word(2), in: word(3) == 1}
	if word(3) > 1 || word(4) > 15 {
		return p, fmt.Errorf("decoding message %d: direction %d, endpoint %d", p.seq, word(3), word(4))
	}
	p.endpoint = uint8(word(4))
	switch p.command {
	case cmdSubmit:
		p.flags, p.interval = word(5), word(9)
		copy(p.setup[:], b[40:])
		return p, p.decodeSize(word(6), word(7), word(8))
	case retSubmit:
		p.status, p.errors = int32(word(5)), word(9)
		return p, p.decodeSize(word(6), word(7), word(8))
	case cmdUnlink:
		p.target = word(5)
		return p, nil
	case retUnlink:
		p.status = int32(word(5))
		return p, nil
	}
	return p, fmt.Errorf("decoding message %d: unknown command %d", p.seq, p.command)
}

func (p *pdu) decodeSize(length, start, packets uint32) error {
	if length > maxTransfer {
		return fmt.Errorf("decoding message %d: a transfer of %d bytes is above %d", p.seq, length, maxTransfer)
	}
	if packets != noIsoPackets && packets > maxIso {
		return fmt.Errorf("decoding message %d: %d isochronous packets are above %d", p.seq, packets, maxIso)
	}
	p.length, p.start, p.packets = int(length), start, packets
	return nil
}

// encodeSetup gives the setup stage as it is on USB, little-endian.
func encodeSetup(s usb.Setup) [8]byte {
	b := [8]byte{s.RequestType, s.Request}
	binary.LittleEndian.PutUint16(b[2:], s.Value)
	binary.LittleEndian.PutUint16(b[4:], s.Index)
	binary.LittleEndian.PutUint16(b[6:], s.Length)
	return b
}

func decodeSetup(b [8]byte) usb.Setup {
	return usb.Setup{
		RequestType: b[0], Request: b[1],
		Value:  binary.LittleEndian.Uint16(b[2:]),
		Index:  binary.LittleEndian.Uint16(b[4:]),
		Length: binary.LittleEndian.Uint16(b[6:]),
	}
}

// speeds are the kernel's numbers (enum usb_device_speed).
func encodeSpeed(s usb.Speed) uint32 {
	switch s {
	case usb.LowSpeed:
		return 1
	case usb.FullSpeed:
		return 2
	case usb.SuperSpeed:
		return 5
	}
	return 3
}

func decodeSpeed(n uint32) usb.Speed {
	switch n {
	case 1:
		return usb.LowSpeed
	case 2:
		return usb.FullSpeed
	case 5, 6:
		return usb.SuperSpeed
	case 3:
		return usb.HighSpeed
	}
	return ""
}
