package usbtest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"loket/drivers/usb"
)

// IoctlOptions says what device a recording of ioctls is of, and how it was made.
type IoctlOptions struct {
	Info        usb.Info
	Descriptors []byte
	// Merged says that the traffic of several runs was recorded into one file. The recording that comes back is played
	// loosely then: see [Recording].
	Merged bool
}

// ReadIoctl reads what umockdev-record wrote of a device's usbdevfs ioctls. Only reaped transfers count; an exchange is a
// transfer to the device with those from it that follow. Errors name the line.
func ReadIoctl(r io.Reader, o IoctlOptions) (*Recording, error) {
	rec := &Recording{Info: o.Info, Merged: o.Merged}
	if err := rec.describe(o.Descriptors); err != nil {
		return nil, fmt.Errorf("reading the recording of ioctls: %w", err)
	}
	p := &parser{in: bufio.NewReader(r), rec: rec}
	depth := -1
	for {
		text, err := p.raw()
		if err == io.EOF {
			break
		}
		if err == nil {
			depth, err = p.ioctl(text, depth)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the recording of ioctls, line %d: %w", p.line, err)
		}
	}
	if n := len(rec.Transfers); n > 0 {
		rec.Transfers[n-1].leaf = true
	}
	return rec, nil
}

// raw gives the next line that says something, with the blanks at its start.
func (p *parser) raw() (string, error) {
	for {
		p.line++
		text, err := p.whole()
		if err != nil && (err != io.EOF || text == "") {
			return "", err
		}
		if s := strings.TrimSpace(text); s != "" && s[0] != '#' && s[0] != '@' {
			return strings.TrimRight(text, " \r\n"), nil
		}
	}
}

// ioctl reads one line. A line is the child of the line before it that has one blank less; depth is of the line before.
func (p *parser) ioctl(text string, depth int) (int, error) {
	f := strings.Fields(text)
	level := len(text) - len(strings.TrimLeft(text, " "))
	if level > depth+1 {
		return 0, errors.New("indented deeper than any line before it allows")
	}
	if n := len(p.rec.Transfers); n > 0 && level <= depth {
		p.rec.Transfers[n-1].leaf = true
	}
	switch {
	case f[0] != "USBDEVFS_REAPURB" && f[0] != "USBDEVFS_REAPURBNDELAY":
		if !strings.HasPrefix(f[0], "USBDEVFS_") {
			return 0, fmt.Errorf("%.40q is no ioctl of usbdevfs", f[0])
		}
		return level, nil
	case len(f) < 9 || len(f) > 10:
		return 0, errors.New("a transfer has nine or ten fields")
	case len(p.rec.Transfers) >= maxTransfers:
		return 0, fmt.Errorf("more than %d transfers", maxTransfers)
	}
	t, err := p.reaped(f[1:])
	if err != nil {
		return 0, err
	}
	t.Line, t.Ended = p.line, len(p.rec.Transfers)+1
	p.rec.Transfers = append(p.rec.Transfers, t)
	return level, nil
}

// reaped reads a transfer: result, type, endpoint, status, flags, length, actual length, errors and bytes.
func (p *parser) reaped(f []string) (Transfer, error) {
	var v [8]int64
	for i := range v {
		n, err := strconv.ParseInt(f[i], 10, 32)
		if err != nil {
			return Transfer{}, fmt.Errorf("%.40q is no number", f[i])
		}
		v[i] = n
	}
	var b []byte
	if len(f) == 9 {
		var err error
		if b, err = hex.DecodeString(f[8]); err != nil {
			return Transfer{}, errors.New("the bytes are none")
		}
	}
	kind, endpoint, status, length, actual := v[1], v[2], v[3], v[5], v[6]
	if p.payload += len(b); p.payload > maxRecording {
		return Transfer{}, fmt.Errorf("more than %d bytes in all", maxRecording)
	}
	if v[0] != 0 || endpoint < 0 || endpoint > 255 || endpoint&0x70 != 0 || length < 0 || length > maxPayload || actual < 0 || actual > length {
		return Transfer{}, errors.New("a field is out of its bounds")
	}
	t := Transfer{Endpoint: uint8(endpoint), Length: int(length), Count: int(actual), Outcome: linuxOutcome(int32(-status))}
	switch {
	case kind == monControl:
		return controlURB(t, b)
	case kind != monBulk && kind != monInterrupt:
		return t, fmt.Errorf("a transfer of type %d, which recordings don't have", kind)
	case endpoint >= 0x80:
		t.Kind = InTransfer
	default:
		t.Kind = OutTransfer
	}
	if t.in() && len(b) != t.Count || !t.in() && len(b) != t.Length {
		return t, fmt.Errorf("%d bytes where %d of %d should be", len(b), t.Count, t.Length)
	}
	t.Payload = inClear(b)
	return t, nil
}

// controlURB takes the setup stage off the start of a control transfer's buffer.
func controlURB(t Transfer, b []byte) (Transfer, error) {
	if t.Length < 8 || len(b) < 8 {
		return t, errors.New("a control transfer without its setup stage")
	}
	le := binary.LittleEndian
	t.Kind, t.Endpoint = ControlTransfer, 0
	t.Setup = usb.Setup{RequestType: b[0], Request: b[1], Value: le.Uint16(b[2:]), Index: le.Uint16(b[4:]), Length: le.Uint16(b[6:])}
	t.Length -= 8
	b = b[8:]
	if t.in() && len(b) >= t.Count {
		b = b[:t.Count]
	}
	if int(t.Setup.Length) != t.Length || t.in() && len(b) != t.Count || !t.in() && len(b) != t.Length || t.Count > t.Length {
		return t, errors.New("a control transfer's lengths differ")
	}
	t.Payload = inClear(b)
	return t, nil
}

const maxDescription = 1 << 20 // bytes

// ReadUmockdev reads the description of a USB device that umockdev-record wrote: its numbers, strings and descriptors. The
// file's first device counts, which is the one that was recorded.
func ReadUmockdev(r io.Reader) (usb.Info, []byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDescription+1))
	if err == nil && len(b) > maxDescription {
		err = fmt.Errorf("more than %d bytes", maxDescription)
	}
	if err != nil {
		return usb.Info{}, nil, fmt.Errorf("reading the description: %w", err)
	}
	first, _, _ := bytes.Cut(b, []byte("\n\n"))
	var rec Recording
	for n, line := range strings.Split(string(first), "\n") {
		if err := rec.attribute(line); err != nil {
			return usb.Info{}, nil, fmt.Errorf("reading the description, line %d: %w", n+1, err)
		}
	}
	if len(rec.Descriptors) == 0 {
		return usb.Info{}, nil, errors.New("reading the description: the device has no descriptors")
	}
	return rec.Info, rec.Descriptors, nil
}

// attribute takes one line of a description: kind, blank, name=value.
func (r *Recording) attribute(line string) error {
	kind, rest, _ := strings.Cut(line, ": ")
	name, value, _ := strings.Cut(rest, "=")
	value = strings.TrimSuffix(value, `\n`)
	if kind == "P" {
		r.Info.SysfsPath, r.Info.Port = "/sys"+rest, path.Base(rest)
		return nil
	}
	if kind == "H" && name == "descriptors" {
		b, err := hex.DecodeString(value)
		if err != nil || len(b) > maxDescriptor {
			return errors.New("the descriptors are no bytes, or too many")
		}
		return r.describe(b)
	}
	if kind != "A" || len(value) > maxName {
		return nil
	}
	switch name {
	case "manufacturer":
		r.Info.Manufacturer = value
	case "product":
		r.Info.ProductName = value
	case "serial":
		r.Info.Serial = value
	case "speed":
		r.Info.Speed = map[string]usb.Speed{"1.5": usb.LowSpeed, "12": usb.FullSpeed, "480": usb.HighSpeed}[value]
		if r.Info.Speed == "" {
			r.Info.Speed = usb.SuperSpeed
		}
	}
	return nil
}
