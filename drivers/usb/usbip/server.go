package usbip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"loket/drivers/usb"
)

// maxConns bounds the connections that a server holds at once; more wait to be accepted.
const maxConns = 64

// helloTime is how long a peer may take to say what it wants.
const helloTime = 10 * time.Second

// Server exports gadgets. Its methods may be called from several goroutines at once, but not from a gadget's own methods.
type Server struct {
	log *slog.Logger

	mu      sync.Mutex
	exports []*export
	devices uint32 // numbers given out
}

// export is a gadget under its bus id.
type export struct {
	record
	port    *usb.Port
	session *session // of the present importer
}

// NewServer makes a server that exports nothing yet; nil for log is silence.
func NewServer(log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{log: log, devices: rand.Uint32N(1 << 15)} // a client must not take a new server's devices for the old one's
}

// Export plugs a gadget in under a bus id of the kernel's form, "1-2.3". It fails where the id is taken or malformed or the
// gadget's descriptors are. A bus id that is exported again gets a new device number.
func (s *Server) Export(busid string, g usb.Gadget) error {
	bus, err := parseBusID(busid)
	if err != nil {
		return fmt.Errorf("exporting a gadget: %w", err)
	}
	port, err := usb.NewPort(g)
	if err != nil {
		return fmt.Errorf("exporting %s: %w", busid, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(busid) != nil {
		return fmt.Errorf("exporting %s: the bus id is taken", busid)
	}
	s.devices++
	e := &export{record: describe(port), port: port}
	e.path, e.busid = "/sys/devices/virtual/usbip/"+busid, busid
	e.bus, e.dev = bus, s.devices&0xffff
	s.exports = append(s.exports, e)
	return nil
}

// parseBusID checks a bus id and returns the number of its bus.
func parseBusID(busid string) (uint32, error) {
	bus, ports, ok := strings.Cut(busid, "-")
	n, err := strconv.ParseUint(bus, 10, 16)
	if !ok || err != nil || len(busid) >= busidSize {
		return 0, fmt.Errorf("bus id %q is not of the form 1-2.3", busid)
	}
	for p := range strings.SplitSeq(ports, ".") {
		if _, err := strconv.ParseUint(p, 10, 8); err != nil {
			return 0, fmt.Errorf("bus id %q is not of the form 1-2.3", busid)
		}
	}
	return uint32(n), nil
}

func describe(p *usb.Port) record {
	i, l := p.Info(), p.Layout()
	return record{
		speed: encodeSpeed(i.Speed), vendor: i.Vendor, product: i.Product, release: i.Release,
		class: i.Class, sub: i.SubClass, protocol: i.Protocol,
		configuration: l.Configuration, configurations: 1, interfaces: uint8(len(i.Interfaces)),
	}
}

// Unexport unplugs what is exported under a bus id: an importer's connection is cut, and Unexport returns when the last call
// to the gadget has. Error: [usb.ErrNotFound].
func (s *Server) Unexport(busid string) error {
	s.mu.Lock()
	e := s.find(busid)
	if e == nil {
		s.mu.Unlock()
		return fmt.Errorf("unplugging %s: %w", busid, usb.ErrNotFound)
	}
	session := s.remove(e)
	s.mu.Unlock()
	if session != nil {
		session.cancel()
		<-session.done
	}
	return nil
}

// remove takes e off the list and returns its session. The caller holds s.mu.
func (s *Server) remove(e *export) *session {
	s.exports = slices.DeleteFunc(s.exports, func(x *export) bool { return x == e })
	return e.session
}

func (s *Server) find(busid string) *export {
	for _, e := range s.exports {
		if e.busid == busid {
			return e
		}
	}
	return nil
}

// Serve serves until ctx ends; it then cuts every connection, waits for every call to a gadget and returns nil. It closes ln,
// and refuses one that doesn't listen on a loopback address: whoever can connect owns the devices.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	if a, ok := ln.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return fmt.Errorf("serving USB/IP on %s: not a loopback address (hint: USB/IP has no authentication; listen on 127.0.0.1)", ln.Addr())
	}
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	free := make(chan struct{}, maxConns)
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serving USB/IP: %w", err)
		}
		conns.Go(func() {
			defer func() { <-free }()
			s.handle(ctx, conn)
		})
	}
}

// handle serves one connection: one device list, or one import and all that follows.
func (s *Server) handle(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(helloTime))
	err := s.greet(ctx, conn)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		s.log.Warn("USB/IP connection ended", "err", err)
	}
}

func (s *Server) greet(ctx context.Context, conn net.Conn) error {
	var buf [busidSize]byte
	if _, err := io.ReadFull(conn, buf[:opSize]); err != nil {
		return err
	}
	o, err := decodeOp(buf[:])
	if err != nil {
		return err
	}
	switch o.code {
	case opRequest | opReply:
		_, err = conn.Write(appendList(op{code: opReply}.append(nil), s.list()))
		return err
	case opRequest | opImport:
		if _, err := io.ReadFull(conn, buf[:]); err != nil {
			return fmt.Errorf("reading which device to import: %w", err)
		}
		return s.serveImport(ctx, conn, text(buf[:]))
	}
	return fmt.Errorf("decoding an operation: unknown code %04x", o.code)
}

// list describes every export, those in use too: a host has to see that they are still plugged in.
func (s *Server) list() []listed {
	s.mu.Lock()
	defer s.mu.Unlock()
	var l []listed
	for _, e := range s.exports {
		l = append(l, listed{e.record, e.port.Info().Interfaces})
	}
	return l
}

func (s *Server) serveImport(ctx context.Context, conn net.Conn, busid string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	ses, rec, status := s.take(busid, conn, cancel)
	reply := op{opImport, status}.append(nil)
	if status != statusOK {
		_, err := conn.Write(reply)
		return err
	}
	defer s.release(busid, ses)
	ses.port.Reset()
	if _, err := conn.Write(rec.append(reply)); err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	s.log.Info("USB/IP device imported", "busid", busid)
	return ses.run(ctx)
}

// take gives an export to a connection, if it is there and free.
func (s *Server) take(busid string, conn net.Conn, cancel context.CancelFunc) (*session, record, uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(busid)
	switch {
	case e == nil:
		return nil, record{}, statusNoDev
	case e.session != nil:
		return nil, record{}, statusBusy
	}
	e.session = newSession(conn, e.port, e.devid(), cancel)
	return e.session, e.record, statusOK
}

// release ends a session. A gadget that said it is gone is unplugged.
func (s *Server) release(busid string, ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.exports {
		if e.session == ses {
			e.session = nil
			if ses.gone.Load() {
				s.remove(e)
			}
		}
	}
	close(ses.done)
	s.log.Info("USB/IP device released", "busid", busid)
}
