package usbip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"loket/drivers/usb"
)

// grace is how long a transfer whose context ended waits for the server to say what became of it: what the device sent just
// then is not lost, and the device has stopped when the call returns.
const grace = 100 * time.Millisecond

// maxGivenUp bounds the transfers that a silent server leaves without an answer.
const maxGivenUp = 1024

// device is an imported device: one goroutine writes, one reads.
type device struct {
	conn    net.Conn
	devid   uint32
	info    usb.Info
	desc    []byte
	claims  usb.Claims
	release func() // tells the Bus
	loops   sync.WaitGroup
	wake    chan struct{} // the queue has something, or the device has ended

	mu      sync.Mutex
	calls   map[uint32]*call  // submitted and not answered, given up ones too
	givenUp int               // of calls
	unlinks map[uint32]uint32 // number of an unlink → of its transfer
	queue   []frame           // not yet written, in order
	seq     uint32            // last number used
	err     error             // why the device has ended
	spare   [][]byte          // buffers of OUT data that was written
}

// call is a transfer under way. Its fields are guarded by device.mu until done is closed or the caller has given up.
type call struct {
	seq     uint32
	in      bool
	limit   int    // bytes asked for
	data    []byte // the caller's buffer for IN data; nil when it has given up
	givenUp bool   // nobody waits any more
	written bool   // the server has heard of it, or is about to
	n       int
	err     error
	done    chan struct{}
}

// frame is a message to be written.
type frame struct {
	pdu
	data []byte
}

func newDevice(conn net.Conn, devid uint32) *device {
	d := &device{
		conn: conn, devid: devid, release: func() {}, wake: make(chan struct{}, 1),
		calls: map[uint32]*call{}, unlinks: map[uint32]uint32{},
	}
	d.loops.Go(d.writeLoop)
	d.loops.Go(d.readLoop)
	return d
}

func (d *device) Info() usb.Info      { return d.info }
func (d *device) Descriptors() []byte { return slices.Clone(d.desc) }

// Claim takes an interface. It tells the device only where the interface has a choice of settings, and then waits for its
// answer no longer than the default time-out.
func (d *device) Claim(iface, alt uint8) error {
	if err := d.ended(); err != nil {
		return err
	}
	tell, err := d.claims.Claim(iface, alt)
	if err != nil || !tell {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), defaultTimeout)
	defer cancel()
	_, err = d.Control(ctx, usb.SetInterface(iface, alt), nil)
	return err
}

func (d *device) configure(ctx context.Context) error {
	_, err := d.Control(ctx, usb.SetConfiguration(d.claims.Layout.Configuration), nil)
	return err
}

// ClearHalt clears a stalled endpoint.
func (d *device) ClearHalt(ctx context.Context, endpoint uint8) error {
	_, err := d.Control(ctx, usb.ClearHalt(endpoint), nil)
	return err
}

// Reset asks the server to reset the device's port, then brings the device back to its configuration and claimed settings.
func (d *device) Reset(ctx context.Context) error {
	if _, err := d.Control(ctx, usb.Setup{RequestType: portRequest, Request: usb.RequestSetFeature, Value: portReset}, nil); err != nil {
		return err
	}
	if err := d.configure(ctx); err != nil {
		return err
	}
	for iface, alt := range d.claims.Claimed() {
		if err := d.Claim(iface, alt); err != nil {
			return err
		}
	}
	return nil
}

func (d *device) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	if len(data) < int(s.Length) {
		return 0, fmt.Errorf("running a control transfer of %d bytes with a buffer of %d", s.Length, len(data))
	}
	return d.do(ctx, pdu{in: s.In(), setup: encodeSetup(s)}, data[:s.Length])
}

func (d *device) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	if err := d.ended(); err != nil {
		return 0, err
	}
	e, err := d.claims.Endpoint(endpoint)
	if err != nil {
		return 0, err
	}
	return d.do(ctx, pdu{in: e.In(), endpoint: endpoint & 15, interval: uint32(e.Interval)}, data)
}

// do runs one transfer.
func (d *device) do(ctx context.Context, p pdu, data []byte) (int, error) {
	if len(data) > maxTransfer {
		return 0, fmt.Errorf("transferring %d bytes at once: above %d", len(data), maxTransfer)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c, err := d.submit(p, data)
	if err != nil {
		return 0, err
	}
	select {
	case <-c.done:
		return c.n, c.err
	case <-ctx.Done():
	}
	d.unlink(c)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		d.giveUp(c)
	}
	if errors.Is(c.err, errUnlinked) {
		return 0, ctx.Err()
	}
	return c.n, c.err
}

// submit queues a transfer. OUT data is copied: the caller gets its buffer back when ctx ends, whether or not it was written.
func (d *device) submit(p pdu, data []byte) (*call, error) {
	c := &call{in: p.in, limit: len(data), done: make(chan struct{})}
	if p.in {
		c.data = data
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	if n := max(d.givenUp, len(d.unlinks)); n >= maxGivenUp {
		return nil, fmt.Errorf("submitting a transfer: %d are without an answer: %w", n, context.DeadlineExceeded)
	}
	d.seq++
	c.seq = d.seq
	d.calls[c.seq] = c
	p.command, p.seq, p.devid, p.length = cmdSubmit, c.seq, d.devid, len(data)
	f := frame{pdu: p}
	if !p.in && len(data) > 0 {
		f.data = append(d.buffer(), data...)
	}
	d.enqueue(f)
	return c, nil
}

// buffer finds an empty buffer for OUT data. The caller holds d.mu.
func (d *device) buffer() []byte {
	if n := len(d.spare); n > 0 {
		b := d.spare[n-1]
		d.spare = d.spare[:n-1]
		return b[:0]
	}
	return nil
}

// enqueue hands a message to the writer. The caller holds d.mu.
func (d *device) enqueue(f frame) {
	d.queue = append(d.queue, f)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// unlink asks for a transfer back; one that was not written yet is simply dropped.
func (d *device) unlink(c *call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls[c.seq] != c {
		return
	}
	if !c.written {
		d.queue = slices.DeleteFunc(d.queue, func(f frame) bool { return f.command == cmdSubmit && f.seq == c.seq })
		d.finish(c, errUnlinked)
		return
	}
	d.seq++
	d.unlinks[d.seq] = c.seq
	d.enqueue(frame{pdu: pdu{command: cmdUnlink, seq: d.seq, devid: d.devid, target: c.seq}})
}

// giveUp ends a call whose unlinking the server has not answered. The transfer stays known, for the server may yet answer.
func (d *device) giveUp(c *call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls[c.seq] != c {
		return
	}
	c.data, c.err, c.givenUp = nil, errUnlinked, true
	d.givenUp++
}

// finish ends a call. The caller holds d.mu.
func (d *device) finish(c *call, err error) {
	delete(d.calls, c.seq)
	if c.givenUp {
		d.givenUp--
		return
	}
	c.data, c.err = nil, err
	close(c.done)
}

// ended says why the device can't be used any more.
func (d *device) ended() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// Close ends every call with [usb.ErrClosed] and releases the device.
func (d *device) Close() error {
	d.end(usb.ErrClosed)
	d.loops.Wait()
	d.release()
	return nil
}

// end ends the device and every call. Of several reasons Close is the one that stays, else the first.
func (d *device) end(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil || err == usb.ErrClosed {
		d.err = err
	}
	for _, c := range d.calls {
		d.finish(c, d.err)
	}
	d.queue = nil
	_ = d.conn.Close()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *device) writeLoop() {
	for {
		<-d.wake
		frames, err := d.pending()
		if err != nil {
			return
		}
		for _, f := range frames {
			if err := d.write(f); err != nil {
				d.end(fmt.Errorf("writing to the USB/IP server: %w: %w", usb.ErrGone, err))
				return
			}
		}
	}
}

// pending takes what is to be written.
func (d *device) pending() ([]frame, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	frames := d.queue
	d.queue = nil
	for _, f := range frames {
		if c := d.calls[f.seq]; c != nil && f.command == cmdSubmit {
			c.written = true
		}
	}
	return frames, d.err
}

func (d *device) write(f frame) error {
	head := f.append(make([]byte, 0, pduSize))
	if f.data == nil {
		_, err := d.conn.Write(head)
		return err
	}
	_, err := (&net.Buffers{head, f.data}).WriteTo(d.conn)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.spare) < 4 {
		d.spare = append(d.spare, f.data)
	}
	return err
}

func (d *device) readLoop() {
	room := make([]byte, 128<<10)
	defer clear(room)
	for {
		if err := d.readOne(room); err != nil {
			d.end(err)
			return
		}
	}
}

// readOne reads an answer. Data goes through room, so that a caller that gives up gets its buffer back at once.
func (d *device) readOne(room []byte) error {
	if _, err := io.ReadFull(d.conn, room[:pduSize]); err != nil {
		return fmt.Errorf("reading from the USB/IP server: %w: %w", usb.ErrGone, err)
	}
	p, err := decodePDU(room)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	switch p.command {
	case retSubmit:
		return d.answered(p, room)
	case retUnlink:
		return d.unlinked(p)
	}
	return fmt.Errorf("%w: message %d is command %d", ErrProtocol, p.seq, p.command)
}

func (d *device) answered(p pdu, room []byte) error {
	d.mu.Lock()
	c := d.calls[p.seq]
	known := c != nil && c.written
	d.mu.Unlock()
	switch {
	case !known:
		return d.endedOr(fmt.Errorf("%w: an answer to transfer %d, which was not asked for", ErrProtocol, p.seq))
	case p.length > c.limit:
		return fmt.Errorf("%w: transfer %d of %d bytes is answered with %d", ErrProtocol, p.seq, c.limit, p.length)
	case p.isoPackets() > 0:
		return fmt.Errorf("%w: transfer %d is answered with isochronous packets", ErrProtocol, p.seq)
	}
	if c.in {
		if err := d.receive(c, p.length, room); err != nil {
			return fmt.Errorf("reading from the USB/IP server: %w: %w", usb.ErrGone, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls[p.seq] == c {
		c.n = p.length
		d.finish(c, errorOf(p.status))
	}
	return nil
}

// endedOr prefers the reason for which the device has ended already.
func (d *device) endedOr(err error) error {
	if e := d.ended(); e != nil {
		return e
	}
	return err
}

// receive reads n bytes into the caller's buffer, as long as the caller is there.
func (d *device) receive(c *call, n int, room []byte) error {
	for done := 0; done < n; {
		part := room[:min(len(room), n-done)]
		if _, err := io.ReadFull(d.conn, part); err != nil {
			return err
		}
		d.mu.Lock()
		if c.data != nil {
			copy(c.data[done:], part)
		}
		d.mu.Unlock()
		done += len(part)
	}
	return nil
}

// unlinked takes the answer to an unlink. Status 0 says that the transfer was answered before.
func (d *device) unlinked(p pdu) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	target, ok := d.unlinks[p.seq]
	if !ok {
		return fmt.Errorf("%w: an answer to unlink %d, which was not asked for", ErrProtocol, p.seq)
	}
	delete(d.unlinks, p.seq)
	if c := d.calls[target]; c != nil && p.status != 0 {
		d.finish(c, errUnlinked)
	}
	return nil
}
