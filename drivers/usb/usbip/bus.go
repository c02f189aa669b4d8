package usbip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"loket/drivers/usb"
)

// BusName is what [usb.Info.Bus] says of devices of a [Bus].
const BusName = "usbip"

// defaultTimeout is that of a Bus that names none.
const defaultTimeout = 3 * time.Second

// Bus finds and opens the devices of a USB/IP server. Its fields must not change while it is used.
type Bus struct {
	Addr string // host:port of the server
	// Timeout bounds every step that opens no more than a connection or reads descriptors; 0 means 3 s. Transfers are
	// bounded by their contexts alone.
	Timeout time.Duration

	mu    sync.Mutex // guards known and open
	known map[deviceKey]usb.Info
	open  map[deviceKey]*device

	// enumerating keeps a look at a device's strings from making the same Bus find the device busy.
	enumerating sync.Mutex
}

// deviceKey names a device until it is unplugged.
type deviceKey struct {
	busid string
	devid uint32
}

func (r record) key() deviceKey { return deviceKey{r.busid, r.devid()} }

// Devices lists what the server exports. The protocol's device list has no strings: a device that is new is imported for
// a moment to read them, once for as long as it is plugged in. One that is in use by somebody else is not disturbed and is
// listed without strings, and so with a port for its identity, until it is free.
func (b *Bus) Devices(ctx context.Context) ([]usb.Info, error) {
	b.enumerating.Lock()
	defer b.enumerating.Unlock()
	list, err := b.list(ctx)
	if err != nil {
		return nil, err
	}
	infos := []usb.Info{}
	for _, l := range list {
		info, err := b.look(ctx, l)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	b.forget(list)
	return infos, nil
}

// look describes a listed device, from memory where it can.
func (b *Bus) look(ctx context.Context, l listed) (usb.Info, error) {
	if info, ok := b.remembered(l.key()); ok {
		return info, nil
	}
	d, err := b.attach(ctx, l.record)
	var slow net.Error
	switch {
	case ctx.Err() != nil:
		if err == nil {
			_ = d.Close()
		}
		return usb.Info{}, ctx.Err()
	case errors.As(err, &slow) && slow.Timeout(), errors.Is(err, ErrProtocol):
		b.remember(l.key(), bare(l)) // else every listing would wait for it again
		return bare(l), nil
	case err != nil: // in use, or just unplugged
		return bare(l), nil
	}
	defer d.Close()
	b.remember(l.key(), d.info)
	return d.info, nil
}

// bare is what the device list tells of a device.
func bare(l listed) usb.Info {
	return usb.Info{
		Vendor: l.vendor, Product: l.product, Release: l.release, Class: l.class, SubClass: l.sub, Protocol: l.protocol,
		Speed: decodeSpeed(l.speed), Bus: BusName, Port: l.busid, Address: l.devid(), Interfaces: l.classes,
	}
}

func (b *Bus) remembered(k deviceKey) (usb.Info, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	info, ok := b.known[k]
	return info, ok
}

func (b *Bus) remember(k deviceKey, info usb.Info) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil {
		b.known = map[deviceKey]usb.Info{}
	}
	b.known[k] = info
}

// forget drops what is no longer listed.
func (b *Bus) forget(list []listed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	plugged := map[deviceKey]bool{}
	for _, l := range list {
		plugged[l.key()] = true
	}
	for k := range b.known {
		if !plugged[k] {
			delete(b.known, k)
		}
	}
}

// Open imports a device. A device that was closed, or looked at, a moment ago may still be busy at the server, so Open tries
// for about half a second before it reports [usb.ErrBusy].
func (b *Bus) Open(ctx context.Context, id usb.Identity) (usb.Device, error) {
	for wait := 8 * time.Millisecond; ; wait *= 2 {
		d, err := b.tryOpen(ctx, id)
		if err == nil {
			return d, nil
		}
		err = fmt.Errorf("opening %s: %w", id, err)
		if !errors.Is(err, usb.ErrBusy) || errors.Is(err, errOurs) || wait > 256*time.Millisecond {
			return nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// errOurs is a device that this Bus itself has open.
var errOurs = fmt.Errorf("open in this program: %w", usb.ErrBusy)

func (b *Bus) tryOpen(ctx context.Context, id usb.Identity) (usb.Device, error) {
	b.enumerating.Lock()
	defer b.enumerating.Unlock()
	list, err := b.list(ctx)
	if err != nil {
		return nil, err
	}
	err = usb.ErrNotFound
	for _, l := range list {
		info, known := b.remembered(l.key())
		switch {
		case l.vendor != id.Vendor || l.product != id.Product:
			continue
		case id.Serial == "" && l.busid != id.Port:
			continue
		case id.Serial != "" && known && info.Serial != "" && info.Serial != id.Serial:
			continue
		}
		d, e := b.attach(ctx, l.record)
		if e == nil && d.info.Identity() == id {
			b.hold(l.key(), d)
			return d, nil
		}
		if e == nil {
			b.remember(l.key(), d.info)
			_ = d.Close()
		} else if !errors.Is(e, usb.ErrNotFound) {
			err = e
		}
	}
	return nil, err
}

// hold notes that d is open here.
func (b *Bus) hold(k deviceKey, d *device) {
	b.remember(k, d.info)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		b.open = map[deviceKey]*device{}
	}
	b.open[k] = d
	d.release = func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.open[k] == d {
			delete(b.open, k)
		}
	}
}

// list asks for the device list.
func (b *Bus) list(ctx context.Context) ([]listed, error) {
	conn, done, err := b.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer done()
	if err := ask(conn, opReply, nil); err != nil {
		return nil, b.failed(ctx, "listing devices", err)
	}
	list, err := readList(conn)
	if err != nil {
		return nil, b.failed(ctx, "listing devices", err)
	}
	return list, nil
}

func (b *Bus) failed(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%s at %s: %w", doing, b.Addr, err)
}

// dial connects. Until done is called, the connection fails when ctx ends or the time-out is over.
func (b *Bus) dial(ctx context.Context) (conn net.Conn, done func(), err error) {
	timeout := b.timeout()
	conn, err = (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", b.Addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, fmt.Errorf("connecting to USB/IP: %w (hint: start firmware-sim, or correct the bus's address)", err)
	}
	_ = conn.SetDeadline(time.Now().Add(timeout))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() {
		if stop() {
			_ = conn.SetDeadline(time.Time{})
		}
	}, nil
}

func (b *Bus) timeout() time.Duration {
	if b.Timeout > 0 {
		return b.Timeout
	}
	return defaultTimeout
}

// ask sends a request and reads the head of its reply.
func ask(conn net.Conn, code uint16, body []byte) error {
	if _, err := conn.Write(append(op{code: code | opRequest}.append(nil), body...)); err != nil {
		return err
	}
	var buf [opSize]byte
	if _, err := io.ReadFull(conn, buf[:]); err != nil {
		return err
	}
	reply, err := decodeOp(buf[:])
	switch {
	case err != nil:
		return err
	case reply.code != code:
		return fmt.Errorf("decoding an operation: code %04x instead of %04x", reply.code, code)
	}
	switch reply.status {
	case statusOK:
		return nil
	case statusNA, statusBusy:
		return usb.ErrBusy
	case statusNoDev:
		return usb.ErrNotFound
	}
	return fmt.Errorf("the server says status %d", reply.status)
}

// attach imports a device, reads what it says about itself, and configures it.
func (b *Bus) attach(ctx context.Context, rec record) (*device, error) {
	b.mu.Lock()
	ours := b.open[rec.key()]
	b.mu.Unlock()
	if ours != nil && ours.ended() == nil {
		return nil, errOurs
	}
	conn, done, err := b.dial(ctx)
	if err != nil {
		return nil, err
	}
	if rec, err = importDevice(conn, rec.busid); err != nil {
		done()
		_ = conn.Close()
		return nil, b.failed(ctx, "importing "+rec.busid, err)
	}
	done()
	d := newDevice(conn, rec.devid())
	ctx, cancel := context.WithTimeout(ctx, b.timeout())
	defer cancel()
	if err := d.enumerate(ctx, rec); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

func importDevice(conn net.Conn, busid string) (record, error) {
	if err := ask(conn, opImport, appendText(nil, busid, busidSize)); err != nil {
		return record{busid: busid}, err
	}
	var buf [recordSize]byte
	if _, err := io.ReadFull(conn, buf[:]); err != nil {
		return record{busid: busid}, err
	}
	rec, err := decodeRecord(buf[:])
	if err == nil && rec.busid != busid {
		err = fmt.Errorf("the server imported %q instead: %w", rec.busid, ErrProtocol)
	}
	return rec, err
}

// enumerate reads the descriptors and strings and sets the first configuration.
func (d *device) enumerate(ctx context.Context, rec record) error {
	desc, err := d.readDescriptors(ctx)
	if err != nil {
		return fmt.Errorf("reading descriptors: %w", err)
	}
	layout, err := usb.ParseDescriptors(desc)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrProtocol)
	}
	d.desc, d.claims.Layout, d.info = desc, layout, layout.Device
	d.info.Bus, d.info.Port, d.info.Address, d.info.Speed = BusName, rec.busid, rec.devid(), decodeSpeed(rec.speed)
	for _, text := range []struct {
		index uint8
		field *string
	}{{layout.Manufacturer, &d.info.Manufacturer}, {layout.Product, &d.info.ProductName}, {layout.Serial, &d.info.Serial}} {
		if *text.field, err = d.readString(ctx, text.index); err != nil {
			return fmt.Errorf("reading string %d: %w", text.index, err)
		}
	}
	return d.configure(ctx)
}

func (d *device) readDescriptors(ctx context.Context) ([]byte, error) {
	dev := make([]byte, 18)
	if err := d.descriptor(ctx, usb.DescriptorDevice, 0, 0, dev); err != nil {
		return nil, err
	}
	head := make([]byte, 9)
	if err := d.descriptor(ctx, usb.DescriptorConfiguration, 0, 0, head); err != nil {
		return nil, err
	}
	conf := make([]byte, max(9, binary.LittleEndian.Uint16(head[2:])))
	if err := d.descriptor(ctx, usb.DescriptorConfiguration, 0, 0, conf); err != nil {
		return nil, err
	}
	return append(dev, conf...), nil
}

// descriptor fills b with a descriptor and takes no less.
func (d *device) descriptor(ctx context.Context, kind, index uint8, language uint16, b []byte) error {
	s := usb.Setup{RequestType: 0x80, Request: usb.RequestGetDescriptor, Value: uint16(kind)<<8 | uint16(index), Index: language, Length: uint16(len(b))}
	n, err := d.Control(ctx, s, b)
	if err == nil && n < len(b) {
		err = fmt.Errorf("descriptor type %d has %d bytes instead of %d: %w", kind, n, len(b), ErrProtocol)
	}
	return err
}

// readString reads a string in the device's first language; index 0 is no string, and a device that stalls has none.
func (d *device) readString(ctx context.Context, index uint8) (string, error) {
	if index == 0 {
		return "", nil
	}
	var b [255]byte
	get := func(index uint8, language uint16) (int, error) {
		s := usb.Setup{RequestType: 0x80, Request: usb.RequestGetDescriptor, Value: uint16(usb.DescriptorString)<<8 | uint16(index), Index: language, Length: uint16(len(b))}
		return d.Control(ctx, s, b[:])
	}
	n, err := get(0, 0)
	if err == nil && n >= 4 {
		n, err = get(index, binary.LittleEndian.Uint16(b[2:]))
	}
	if errors.Is(err, usb.ErrStall) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, err := usb.DecodeString(b[:n])
	if err != nil {
		return "", fmt.Errorf("%w: %w", err, ErrProtocol)
	}
	return text, nil
}
