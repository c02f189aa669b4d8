package usbip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"loket/drivers/usb"
)

// What an importer may have under way.
const (
	maxPending = 4096     // transfers
	maxHeld    = 64 << 20 // bytes of OUT data
)

// request 0x23 SET_FEATURE PORT_RESET asks a USB/IP host to reset the device, as the kernel's own host understands it.
const (
	portRequest = 0x23
	portReset   = 4
)

// session is an import: one goroutine reads, one an endpoint runs the transfers, and whoever has an answer writes it.
type session struct {
	conn   net.Conn
	port   *usb.Port
	devid  uint32
	cancel context.CancelFunc // cuts the connection
	done   chan struct{}      // closed when everything has ended
	gone   atomic.Bool        // the gadget unplugged itself
	queues map[uint8]*queue   // by endpoint address; the reader's alone
	work   sync.WaitGroup

	// mu makes leaving the pending set and writing the answer one step. A kernel that got the answers to a submit and to
	// its unlink in the wrong order drops the device.
	mu      sync.Mutex
	pending map[uint32]*urb
	held    int               // bytes of OUT data in pending
	early   map[uint32]uint32 // transfer → the unlink that came before it
	highest uint32            // the last transfer submitted
	any     bool              // there was one
}

// urb is one transfer.
type urb struct {
	pdu
	endpoint uint8 // address with direction; 0 for control
	data     []byte
	ctx      context.Context
	cancel   context.CancelFunc
}

func newSession(conn net.Conn, port *usb.Port, devid uint32, cancel context.CancelFunc) *session {
	return &session{
		conn: conn, port: port, devid: devid, cancel: cancel, done: make(chan struct{}),
		queues: map[uint8]*queue{}, pending: map[uint32]*urb{}, early: map[uint32]uint32{},
	}
}

// run serves the importer until it leaves or ctx ends.
func (s *session) run(ctx context.Context) error {
	defer s.work.Wait()
	defer s.cancel()
	var buf [pduSize]byte
	for {
		if _, err := io.ReadFull(s.conn, buf[:]); err != nil {
			return err
		}
		p, err := decodePDU(buf[:])
		if err != nil {
			return err
		}
		if p.devid != s.devid {
			return fmt.Errorf("serving message %d: it is for device %08x, not %08x", p.seq, p.devid, s.devid)
		}
		switch p.command {
		case cmdSubmit:
			err = s.submit(ctx, p)
		case cmdUnlink:
			err = s.unlink(p)
		default:
			err = fmt.Errorf("serving message %d: command %d is a reply", p.seq, p.command)
		}
		if err != nil {
			return err
		}
	}
}

// submit reads a transfer's data and puts it into its endpoint's queue.
func (s *session) submit(ctx context.Context, p pdu) error {
	u := &urb{pdu: p, endpoint: p.endpoint}
	if p.endpoint != 0 && p.in {
		u.endpoint |= 0x80
	}
	if !p.in {
		s.mu.Lock()
		held := s.held
		s.mu.Unlock()
		if held+p.length > maxHeld {
			return fmt.Errorf("serving message %d: more than %d bytes are under way", p.seq, maxHeld)
		}
		u.data = make([]byte, p.length)
		if _, err := io.ReadFull(s.conn, u.data); err != nil {
			return fmt.Errorf("reading the data of message %d: %w", p.seq, err)
		}
	}
	if n := int64(p.isoPackets()) * isoSize; n > 0 {
		if _, err := io.CopyN(io.Discard, s.conn, n); err != nil {
			return fmt.Errorf("reading the packets of message %d: %w", p.seq, err)
		}
	}
	u.ctx, u.cancel = context.WithCancel(ctx)
	run, err := s.enter(u)
	if err != nil || !run {
		u.cancel()
		return err
	}
	s.queue(ctx, u.endpoint).put(u)
	return nil
}

// enter puts a transfer into the pending set. It reports false where the transfer was unlinked before it came: the kernel
// may send CMD_UNLINK ahead of its own CMD_SUBMIT, and wants one answer, that of the unlink.
func (s *session) enter(u *urb) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[u.seq] != nil {
		return false, fmt.Errorf("serving message %d: its number is in use", u.seq)
	}
	if len(s.pending) >= maxPending {
		return false, fmt.Errorf("serving message %d: more than %d transfers are under way", u.seq, maxPending)
	}
	if s.after(u.seq) {
		s.highest, s.any = u.seq, true
	}
	if by, ok := s.early[u.seq]; ok {
		delete(s.early, u.seq)
		return false, s.write(pdu{command: retUnlink, seq: by, status: -errnoCONNRESET}, nil)
	}
	s.pending[u.seq] = u
	if !u.in {
		s.held += u.length
	}
	return true, nil
}

// after reports whether a transfer's number has not been reached yet; numbers wrap around.
func (s *session) after(seq uint32) bool { return !s.any || int32(seq-s.highest) > 0 }

// unlink takes a transfer back, if it has not been answered.
func (s *session) unlink(p pdu) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.pending[p.target]; u != nil {
		s.leave(u)
		s.queues[u.endpoint].drop(u)
		return s.write(pdu{command: retUnlink, seq: p.seq, status: -errnoCONNRESET}, nil)
	}
	if s.after(p.target) {
		if len(s.early) >= maxPending {
			return fmt.Errorf("serving message %d: more than %d unlinks of transfers that never came", p.seq, maxPending)
		}
		s.early[p.target] = p.seq
		return nil
	}
	return s.write(pdu{command: retUnlink, seq: p.seq}, nil)
}

// leave takes a transfer out of the pending set. The caller holds s.mu and writes the answer before it lets go.
func (s *session) leave(u *urb) {
	delete(s.pending, u.seq)
	if !u.in {
		s.held -= u.length
	}
	u.cancel()
}

// answer writes the answer to a transfer that was not unlinked.
func (s *session) answer(u *urb, n int, err error) error {
	reply := pdu{command: retSubmit, seq: u.seq, status: statusOf(err), length: n}
	if err == nil && u.in && n < u.length && u.flags&flagShortNotOK != 0 {
		reply.status = -errnoREMOTEIO
	}
	var data []byte
	if u.in {
		data = u.data[:n]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[u.seq] != u {
		return nil
	}
	s.leave(u)
	return s.write(reply, data)
}

// write writes a message whole. The caller holds s.mu.
func (s *session) write(p pdu, data []byte) error {
	head := p.append(make([]byte, 0, pduSize))
	if len(data) == 0 {
		_, err := s.conn.Write(head)
		return err
	}
	_, err := (&net.Buffers{head, data}).WriteTo(s.conn)
	return err
}

// queue is what waits for one endpoint.
type queue struct {
	mu   sync.Mutex
	urbs []*urb
	wake chan struct{}
}

// queue returns an endpoint's queue. The first time it starts the goroutine that works it off until ctx ends.
func (s *session) queue(ctx context.Context, endpoint uint8) *queue {
	q := s.queues[endpoint]
	if q == nil {
		q = &queue{wake: make(chan struct{}, 1)}
		s.queues[endpoint] = q
		s.work.Go(func() { s.serveEndpoint(ctx, q) })
	}
	return q
}

func (q *queue) put(u *urb) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.urbs = append(q.urbs, u)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) drop(u *urb) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.urbs = slices.DeleteFunc(q.urbs, func(x *urb) bool { return x == u })
}

// next waits for a transfer; nil at the end of ctx.
func (q *queue) next(ctx context.Context) *urb {
	for {
		q.mu.Lock()
		if len(q.urbs) > 0 {
			u := q.urbs[0]
			q.urbs = slices.Delete(q.urbs, 0, 1)
			q.mu.Unlock()
			return u
		}
		q.mu.Unlock()
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// serveEndpoint runs the transfers of one endpoint, one after the other.
func (s *session) serveEndpoint(ctx context.Context, q *queue) {
	var room []byte // of IN transfers: an answer is written before the next transfer runs
	defer func() { clear(room[:cap(room)]) }()
	for u := q.next(ctx); u != nil; u = q.next(ctx) {
		if u.in {
			room = slices.Grow(room[:0], u.length)[:u.length]
			u.data = room
		}
		n, err := s.transfer(u)
		if errors.Is(err, usb.ErrGone) {
			s.gone.Store(true)
		}
		if err != nil && ctx.Err() != nil {
			return // the connection is cut: the importer must see that and no failed transfer
		}
		if s.answer(u, n, err) != nil || s.gone.Load() {
			s.cancel()
		}
	}
}

// transfer has the gadget answer.
func (s *session) transfer(u *urb) (int, error) {
	switch {
	case u.isoPackets() > 0:
		return 0, errIsochronous
	case u.endpoint == 0:
		return s.control(u)
	}
	n, err := s.port.Transfer(u.ctx, u.endpoint, u.data)
	if err == nil && !u.in && u.flags&flagZeroPacket != 0 && wholePackets(s.port.Layout(), u.endpoint, len(u.data)) {
		_, err = s.port.Transfer(u.ctx, u.endpoint, nil)
	}
	return n, err
}

func (s *session) control(u *urb) (int, error) {
	setup := decodeSetup(u.setup)
	if setup.In() != u.in && setup.Length > 0 || int(setup.Length) > u.length {
		return 0, errors.New("setup stage and transfer disagree")
	}
	if setup.RequestType == portRequest && setup.Request == usb.RequestSetFeature && setup.Value == portReset {
		s.port.Reset()
		return 0, nil
	}
	return s.port.Control(u.ctx, setup, u.data)
}

// wholePackets reports whether the host must end a transfer of n bytes with a zero-length packet where it was asked to.
func wholePackets(l usb.Layout, endpoint uint8, n int) bool {
	for _, s := range l.Settings {
		for _, e := range s.Endpoints {
			if e.Address == endpoint && e.MaxPacket > 0 {
				return n > 0 && n%e.MaxPacket == 0
			}
		}
	}
	return false
}
