package ptpcam

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf16"
)

// The packets of PTP over TCP (ISO 15740:2013 refers to CIPA DC-005: PTP-IP): length of the whole packet, type, body.
const (
	ipInitCommand    = 1
	ipInitCommandAck = 2
	ipInitEvent      = 3
	ipInitEventAck   = 4
	ipInitFail       = 5
	ipRequest        = 6
	ipResponse       = 7
	ipEvent          = 8
	ipStartData      = 9
	ipData           = 10
	ipCancel         = 11
	ipEndData        = 12
	ipPing           = 13
	ipPong           = 14

	ipVersion   = 0x00010000
	ipHead      = 8         // bytes of length and type
	ipLongest   = 64 << 10  // bytes of a packet from the other side
	ipDataOut   = 2         // data phase of a request that brings data
	ipMostOut   = 1 << 20   // bytes of it that are read and dropped
	ipPart      = 256 << 10 // bytes of a data packet that goes out
	ipGreeting  = 5 * time.Second
	ipWrite     = 10 * time.Second
	ipMostConns = 8

	failBusy   = 2 // reasons of ipInitFail
	failReason = 3
)

var errPacket = errors.New("ptp-ip: not a packet that belongs here")

// readPacket reads one packet. What is longer than any that belongs here is an error before it is read.
func readPacket(r io.Reader) (kind uint32, body []byte, err error) {
	var head [ipHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.LittleEndian.Uint32(head[:])
	kind = binary.LittleEndian.Uint32(head[4:])
	if length < ipHead || length > ipLongest {
		return 0, nil, fmt.Errorf("%w: type %d of %d bytes", errPacket, kind, length)
	}
	body = make([]byte, length-ipHead)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

// packetOf writes the head of a packet and the start of its body; more bytes of the body follow it.
func packetOf(kind uint32, body []byte, more int) []byte {
	d := make(dataset, 0, ipHead+len(body))
	d.u32(uint32(ipHead + len(body) + more))
	d.u32(kind)
	return append(d, body...)
}

// parseInitCommand reads the greeting of whoever wants the camera: 16 bytes that name it, its name, a version.
func parseInitCommand(b []byte) (name string, err error) {
	if len(b) < 16+2+4 || len(b)%2 != 0 || binary.LittleEndian.Uint32(b[len(b)-4:])>>16 != ipVersion>>16 {
		return "", fmt.Errorf("%w: a greeting of %d bytes", errPacket, len(b))
	}
	var units []uint16
	for b := b[16 : len(b)-4]; len(b) > 0; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	if units[len(units)-1] != 0 {
		return "", fmt.Errorf("%w: a greeting whose name has no end", errPacket)
	}
	return string(utf16.Decode(units[:len(units)-1])), nil
}

// parseRequest reads an operation: data phase, code, transaction, parameters.
func parseRequest(b []byte) (q request, dataOut bool, err error) {
	le := binary.LittleEndian
	if len(b) < 10 || len(b) > 10+4*maxParams || (len(b)-10)%4 != 0 {
		return q, false, fmt.Errorf("%w: an operation of %d bytes", errPacket, len(b))
	}
	q = request{code: le.Uint16(b[4:]), transaction: le.Uint32(b[6:])}
	for i, rest := 0, b[10:]; len(rest) > 0; i, rest = i+1, rest[4:] {
		q.params[i] = le.Uint32(rest)
	}
	return q, le.Uint32(b) == ipDataOut, nil
}

// network is the camera's end of one PTP/IP connection: two TCP connections of the same number.
type network struct {
	number uint32
	ctx    context.Context // ends with it
	end    context.CancelFunc
}

// ServeIP answers PTP/IP on a listener until ctx ends. Whoever is connected has the camera for itself: over USB it is busy
// then, and while a session is open over USB nobody is let in. The protocol has no authentication: a listener that is not on
// loopback is refused.
func (d *Device) ServeIP(ctx context.Context, ln net.Listener) error {
	if at, ok := ln.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		return fmt.Errorf("serving PTP/IP on %s: this is not a loopback address (hint: use 127.0.0.1)", ln.Addr())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	room := make(chan struct{}, ipMostConns)
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("serving PTP/IP: %w", err)
		}
		select {
		case room <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		conns.Go(func() {
			defer func() { <-room }()
			d.serveConn(ctx, conn)
		})
	}
}

// serveConn greets one TCP connection and serves what it turns out to be.
func (d *Device) serveConn(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetReadDeadline(time.Now().Add(ipGreeting))
	c := &ipConn{device: d, conn: conn, in: bufio.NewReader(conn)}
	kind, body, err := readPacket(c.in)
	if err != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	switch kind {
	case ipInitCommand:
		c.commands(ctx, body)
	case ipInitEvent:
		c.events(body)
	default:
		_ = c.send(ipInitFail, binary.LittleEndian.AppendUint32(nil, failReason))
	}
}

// ipConn is one TCP connection.
type ipConn struct {
	device *Device
	conn   net.Conn
	in     *bufio.Reader

	writing sync.Mutex
}

// send writes one packet, its body in parts.
func (c *ipConn) send(kind uint32, body []byte, parts ...[]byte) error {
	more := 0
	for _, p := range parts {
		more += len(p)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(ipWrite))
	all := append(net.Buffers{packetOf(kind, body, more)}, parts...)
	_, err := all.WriteTo(c.conn)
	return err
}

// admit gives the camera to a connection, if it is free.
func (d *Device) admit(ctx context.Context) *network {
	defer d.lock()()
	if d.network != nil || d.core.session != 0 {
		return nil
	}
	d.lastNumber++
	d.network = &network{number: d.lastNumber}
	d.network.ctx, d.network.end = context.WithCancel(ctx)
	return d.network
}

// dismiss takes the camera back: its session ends, its photographs stay.
func (d *Device) dismiss(n *network) {
	n.end()
	defer d.lock()()
	d.network = nil
	d.core.reset()
	d.stir()
}

// connection finds the connection of that number.
func (d *Device) connection(number uint32) *network {
	defer d.lock()()
	if d.network == nil || d.network.number != number {
		return nil
	}
	return d.network
}

// commands serves the first of the two connections: operations, one after the other.
func (c *ipConn) commands(ctx context.Context, greeting []byte) {
	le := binary.LittleEndian
	if _, err := parseInitCommand(greeting); err != nil {
		_ = c.send(ipInitFail, le.AppendUint32(nil, failReason))
		return
	}
	n := c.device.admit(ctx)
	if n == nil {
		_ = c.send(ipInitFail, le.AppendUint32(nil, failBusy))
		return
	}
	defer c.device.dismiss(n)
	var ack dataset
	ack.u32(n.number)
	ack = append(ack, c.device.guid()...)
	for _, u := range utf16.Encode([]rune(model)) {
		ack.u16(u)
	}
	ack.u16(0)
	ack.u32(ipVersion)
	err := c.send(ipInitCommandAck, ack)
	for err == nil {
		var kind uint32
		var body []byte
		if kind, body, err = readPacket(c.in); err == nil {
			err = c.command(n.ctx, kind, body)
		}
	}
}

// guid names the camera: the same for the same serial number.
func (d *Device) guid() []byte {
	sum := sha256.Sum256([]byte("ptpcam " + d.core.serial))
	return sum[:16]
}

// command answers one packet.
func (c *ipConn) command(ctx context.Context, kind uint32, body []byte) error {
	switch kind {
	case ipPing:
		return c.send(ipPong, nil)
	case ipCancel:
		return nil // what it names has been answered
	case ipRequest:
	default:
		return errPacket
	}
	q, dataOut, err := parseRequest(body)
	if err == nil && dataOut {
		err = c.skipData(q.transaction)
	}
	if err != nil {
		return err
	}
	a, err := c.device.perform(ctx, q)
	if err != nil {
		return err
	}
	if a.data != nil {
		if err := c.give(q.transaction, a.data); err != nil {
			return err
		}
	}
	var b dataset
	b.u16(a.code)
	b.u32(q.transaction)
	for _, p := range a.params {
		b.u32(p)
	}
	return c.send(ipResponse, b)
}

// skipData reads the data that comes with an operation: none here needs any.
func (c *ipConn) skipData(transaction uint32) error {
	for total := 0; total < ipMostOut; {
		kind, body, err := readPacket(c.in)
		switch {
		case err != nil:
			return err
		case kind != ipStartData && kind != ipData && kind != ipEndData || len(body) < 4 || binary.LittleEndian.Uint32(body) != transaction:
			return errPacket
		case kind == ipEndData:
			return nil
		}
		total += ipHead + len(body)
	}
	return errPacket
}

// perform runs an operation and waits until its answer is ready.
func (d *Device) perform(ctx context.Context, q request) (answer, error) {
	unlock := d.lock()
	a := d.core.handle(q)
	wait := a.ready.Sub(d.core.now())
	d.stir()
	unlock()
	if a.ready.IsZero() || wait <= 0 {
		return a, ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return a, nil
	case <-ctx.Done():
		return a, ctx.Err()
	}
}

// give sends a payload: its size, then packets of bounded size.
func (c *ipConn) give(transaction uint32, parts [][]byte) error {
	total := 0
	for _, p := range parts {
		total += len(p)
	}
	var start, id dataset
	start.u32(transaction)
	start.u64(uint64(total))
	id.u32(transaction)
	if err := c.send(ipStartData, start); err != nil {
		return err
	}
	for _, p := range parts {
		for len(p) > 0 {
			n := min(len(p), ipPart)
			kind := uint32(ipData)
			if total -= n; total == 0 {
				kind = ipEndData
			}
			if err := c.send(kind, id, p[:n]); err != nil {
				return err
			}
			if p = p[n:]; total == 0 {
				return nil
			}
		}
	}
	return c.send(ipEndData, id)
}

// events serves the second of the two connections: events go out, questions whether the camera is there come in.
func (c *ipConn) events(body []byte) {
	le := binary.LittleEndian
	var n *network
	if len(body) == 4 {
		n = c.device.connection(le.Uint32(body))
	}
	if n == nil {
		_ = c.send(ipInitFail, le.AppendUint32(nil, failReason))
		return
	}
	defer context.AfterFunc(n.ctx, func() { _ = c.conn.Close() })()
	ctx, cancel := context.WithCancel(n.ctx)
	var writer sync.WaitGroup
	defer writer.Wait()
	defer cancel()
	if c.send(ipInitEventAck, nil) != nil {
		return
	}
	writer.Go(func() {
		defer c.conn.Close()
		for c.tell(ctx) == nil {
		}
	})
	for {
		kind, _, err := readPacket(c.in)
		if err == nil && kind == ipPing {
			err = c.send(ipPong, nil)
		}
		if err != nil {
			return
		}
	}
}

// tell waits for an event and sends it.
func (c *ipConn) tell(ctx context.Context) error {
	var e event
	_, err := c.device.await(ctx, func(time.Time) (int, bool, error) {
		var ok bool
		e, ok = c.device.core.nextEvent()
		return 0, ok, nil
	})
	if err != nil {
		return err
	}
	var b dataset
	b.u16(e.code)
	b.u32(e.transaction)
	for _, p := range e.eventParams() {
		b.u32(p)
	}
	return c.send(ipEvent, b)
}
