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
	size    int
}

// stream is what came from one endpoint of one connection.
type stream struct {
	endpoint uint32
	data     []byte
}

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
	c := &conversation{tap: w, in: map[uint32]uint32{}, streams: map[uint32]*stream{}}
	group := new(errgroup.Group)
	group.Go(func() error { defer end(); return c.follow(kiosk, devices, c.command) })
	group.Go(func() error { defer end(); return c.follow(devices, kiosk, c.answer) })
	return group.Wait()
}

// conversation is one USB/IP connection.
type conversation struct {
	tap     *wiretap
	mu      sync.Mutex
	in      map[uint32]uint32 // endpoints of transfers from the device, by sequence number
	streams map[uint32]*stream
}

// follow copies from src to dst. read sees the same bytes.
func (c *conversation) follow(src io.Reader, dst io.Writer, read func(io.Reader) error) error {
	see, copied := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		err := read(see)
		_, _ = io.Copy(io.Discard, see)
		failed <- err
	}()
	_, _ = io.Copy(io.MultiWriter(copied, dst), src)
	_ = copied.Close()
	if err := <-failed; err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("listening to the devices: %w", err)
	}
	return nil
}

// USB/IP's numbers that matter here.
const (
	opImport     = 0x8003
	opImported   = 0x0003
	recordLength = 312
	cmdSubmit    = 1
	retSubmit    = 3
	toHost       = 1
)

// command reads what the kiosk sends.
func (c *conversation) command(r io.Reader) error {
	var hello [8]byte
	if _, err := io.ReadFull(r, hello[:]); err != nil || binary.BigEndian.Uint16(hello[2:]) != opImport {
		return err
	}
	if _, err := io.CopyN(io.Discard, r, 32); err != nil {
		return err
	}
	for {
		var h [48]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return err
		}
		word := func(i int) uint32 { return binary.BigEndian.Uint32(h[4*i:]) }
		if word(0) != cmdSubmit {
			continue
		}
		if word(3) == toHost {
			c.mu.Lock()
			c.in[word(1)] = word(4)
			c.mu.Unlock()
			continue
		}
		if _, err := io.CopyN(io.Discard, r, int64(word(6))); err != nil {
			return err
		}
	}
}

// answer reads what the devices send, and keeps what came through endpoints other than the first, which only controls.
func (c *conversation) answer(r io.Reader) error {
	var hello [8]byte
	if _, err := io.ReadFull(r, hello[:]); err != nil || binary.BigEndian.Uint16(hello[2:]) != opImported || binary.BigEndian.Uint32(hello[4:]) != 0 {
		return err
	}
	if _, err := io.CopyN(io.Discard, r, recordLength); err != nil {
		return err
	}
	for {
		var h [48]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return err
		}
		word := func(i int) uint32 { return binary.BigEndian.Uint32(h[4*i:]) }
		c.mu.Lock()
		endpoint, in := c.in[word(1)]
		delete(c.in, word(1))
		c.mu.Unlock()
		if word(0) != retSubmit || !in {
			continue
		}
		if err := c.keep(endpoint, r, int64(word(6))); err != nil {
			return err
		}
	}
}

// keep reads n bytes from one endpoint.
func (c *conversation) keep(endpoint uint32, r io.Reader, n int64) error {
	if endpoint == 0 {
		_, err := io.CopyN(io.Discard, r, n)
		return err
	}
	c.tap.mu.Lock()
	c.tap.size += int(n)
	over := c.tap.size > maxPresented
	c.tap.mu.Unlock()
	if over {
		return fmt.Errorf("the devices sent more than %d MB, which is more than this check holds", maxPresented>>20)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	s := c.streams[endpoint]
	if s == nil {
		s = &stream{endpoint: endpoint}
		c.streams[endpoint] = s
		c.tap.streams = append(c.tap.streams, s)
	}
	s.data = append(s.data, data...)
	return nil
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
