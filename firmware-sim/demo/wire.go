package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/sync/errgroup"
)

// maxPresented bounds what devices may send in a checked run.
const maxPresented = 512 << 20

// wiretap stands between a kiosk and its devices and keeps everything that the devices send: what was presented to them, as
// they gave it out. It speaks just enough USB/IP to take headers out.
type wiretap struct {
	mu      sync.Mutex
	streams []*stream
	size    int64
}

// stream is what came from one endpoint of one connection.
type stream struct{ data []byte }

// run passes connections on to address until ctx ends. A byte that it could not keep is an error: then nothing is proved.
func (w *wiretap) run(ctx context.Context, l net.Listener, address func() string) error {
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	group.Go(func() error {
		for {
			conn, err := l.Accept()
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return fmt.Errorf("listening to the devices: %w", err)
			}
			group.Go(func() error { return w.pass(ctx, conn, address()) })
		}
	})
	return group.Wait()
}

// pass passes one connection on, both ways, and ends it when either side does.
func (w *wiretap) pass(ctx context.Context, kiosk net.Conn, address string) error {
	defer kiosk.Close()
	devices, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil // the kiosk sees that nobody is there
	}
	defer devices.Close()
	end := func() { _, _ = kiosk.Close(), devices.Close() }
	stop := context.AfterFunc(ctx, end)
	defer stop()
	c := &conversation{tap: w, asked: map[uint32]uint32{}, streams: map[uint32]*stream{}}
	group := new(errgroup.Group)
	group.Go(func() error { defer end(); return broken(c.commands(kiosk, devices)) })
	group.Go(func() error { defer end(); return broken(c.answers(devices, kiosk)) })
	return group.Wait()
}

// errLost means that the wiretap no longer understands what passes.
var errLost = errors.New("what passes is not understood")

// broken is nil for the end of a connection, however it came about.
func broken(err error) error {
	if errors.Is(err, errLost) {
		return fmt.Errorf("listening to the devices: %w", err)
	}
	return nil
}

// conversation is one USB/IP connection.
type conversation struct {
	tap     *wiretap
	mu      sync.Mutex
	asked   map[uint32]uint32 // the endpoints of transfers that are not answered, by sequence number
	streams map[uint32]*stream
}

// USB/IP's numbers that matter here. An endpoint counts as one of the way out with a bit that is none of its number.
const (
	opImport     = 0x8003
	opImported   = 0x0003
	helloLength  = 8
	busIDLength  = 32
	recordLength = 312
	headLength   = 48
	cmdSubmit    = 1
	cmdUnlink    = 2
	retSubmit    = 3
	retUnlink    = 4
	toHost       = 1
	outward      = 1 << 31
)

// greet passes on how a connection begins: its code must be want and rest bytes follow. Anything else is passed on to its end.
func greet(r io.Reader, w io.Writer, want uint16, rest int64) error {
	var hello [helloLength]byte
	if err := pass(r, w, hello[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint16(hello[2:]) != want || binary.BigEndian.Uint32(hello[4:]) != 0 {
		_, err := io.Copy(w, r)
		return errors.Join(err, io.EOF)
	}
	_, err := io.CopyN(w, r, rest)
	return err
}

// pass fills b and passes it on.
func pass(r io.Reader, w io.Writer, b []byte) error {
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// commands passes on what the kiosk sends. What a transfer is for is noted before the device can answer it.
func (c *conversation) commands(r io.Reader, w io.Writer) error {
	if err := greet(r, w, opImport, busIDLength); err != nil {
		return err
	}
	for {
		var h [headLength]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return err
		}
		command, sequence, endpoint, payload := word(h, 0), word(h, 1), word(h, 4), int64(word(h, 6))
		switch {
		case command == cmdUnlink:
			payload = 0
		case command != cmdSubmit || endpoint > 15:
			return fmt.Errorf("%w: command %d to endpoint %d", errLost, command, endpoint)
		default:
			if word(h, 3) == toHost {
				payload = 0
			} else {
				endpoint |= outward
			}
			c.mu.Lock()
			c.asked[sequence] = endpoint
			c.mu.Unlock()
		}
		if _, err := w.Write(h[:]); err != nil {
			return err
		}
		if _, err := io.CopyN(w, r, payload); err != nil {
			return err
		}
	}
}

func word(h [headLength]byte, i int) uint32 { return binary.BigEndian.Uint32(h[4*i:]) }

// answers passes on what the devices send, and keeps what came through endpoints other than the first, which only controls.
func (c *conversation) answers(r io.Reader, w io.Writer) error {
	if err := greet(r, w, opImported, recordLength); err != nil {
		return err
	}
	for {
		var h [headLength]byte
		if err := pass(r, w, h[:]); err != nil {
			return err
		}
		if word(h, 0) == retUnlink {
			continue
		}
		c.mu.Lock()
		endpoint, asked := c.asked[word(h, 1)]
		delete(c.asked, word(h, 1))
		c.mu.Unlock()
		if word(h, 0) != retSubmit || !asked {
			return fmt.Errorf("%w: answer %d to a transfer that was asked for: %v", errLost, word(h, 0), asked)
		}
		if endpoint&outward != 0 {
			continue
		}
		if err := c.keep(endpoint, io.TeeReader(r, w), int64(word(h, 6))); err != nil {
			return err
		}
	}
}

// keep reads n bytes from one endpoint, or as many as come.
func (c *conversation) keep(endpoint uint32, r io.Reader, n int64) error {
	if endpoint == 0 {
		_, err := io.CopyN(io.Discard, r, n)
		return err
	}
	c.tap.mu.Lock()
	c.tap.size += n
	over := c.tap.size > maxPresented
	c.tap.mu.Unlock()
	if over {
		return fmt.Errorf("%w: the devices sent more than %d MB, which is more than this check holds", errLost, maxPresented>>20)
	}
	data := make([]byte, n)
	came, err := io.ReadFull(r, data)
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	s := c.streams[endpoint]
	if s == nil {
		s = &stream{}
		c.streams[endpoint] = s
		c.tap.streams = append(c.tap.streams, s)
	}
	s.data = append(s.data, data[:came]...)
	return err
}

// presented gives what the devices sent. It is called when nothing passes any more.
func (w *wiretap) presented() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all [][]byte
	for _, s := range w.streams {
		all = append(all, s.data)
	}
	return all
}
