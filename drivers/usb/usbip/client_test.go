package usbip

import (
	"context"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
)

var echoID = usb.Identity{Vendor: 0x1209, Product: 0xec0e, Serial: "E1"}

// fake is a USB/IP server that behaves until its device is configured; then script decides. script gets every message that
// comes afterwards and the connection to answer on; false ends the connection.
func fake(t testing.TB, script func(conn net.Conn, p pdu, data []byte) bool) *Bus {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				fakeConn(conn, script)
			})
		}
	})
	return &Bus{Addr: ln.Addr().String()}
}

func fakeConn(conn net.Conn, script func(net.Conn, pdu, []byte) bool) {
	port, err := usb.NewPort(usbtest.NewEcho("E1"))
	if err != nil {
		return
	}
	rec := describe(port)
	rec.busid, rec.bus, rec.dev = "1-1", 1, 2
	var buf [pduSize]byte
	if _, err := io.ReadFull(conn, buf[:opSize]); err != nil {
		return
	}
	if o, _ := decodeOp(buf[:]); o.code == opRequest|opReply {
		_, _ = conn.Write(appendList(op{code: opReply}.append(nil), []listed{{record: rec}}))
		return
	}
	_, _ = io.ReadFull(conn, buf[:busidSize])
	_, _ = conn.Write(rec.append(op{code: opImport}.append(nil)))
	configured := false
	for {
		if _, err := io.ReadFull(conn, buf[:]); err != nil {
			return
		}
		p, err := decodePDU(buf[:])
		if err != nil {
			return
		}
		var data []byte
		if p.command == cmdSubmit && !p.in {
			data = make([]byte, p.length)
			_, _ = io.ReadFull(conn, data)
		}
		setup := decodeSetup(p.setup)
		if configured {
			if !script(conn, p, data) {
				return
			}
			continue
		}
		configured = setup.Request == usb.RequestSetConfiguration
		answer := make([]byte, p.length)
		n, err := port.Control(context.Background(), setup, answer)
		_, _ = conn.Write(append(pdu{command: retSubmit, seq: p.seq, status: statusOf(err), length: n}.append(nil), answer[:n]...))
	}
}

func openEcho(t testing.TB, b *Bus) usb.Device {
	t.Helper()
	dev, err := b.Open(context.Background(), echoID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	if err := dev.Claim(0, 0); err != nil {
		t.Fatal(err)
	}
	return dev
}

func TestAServerThatLiesIsFoundOut(t *testing.T) {
	for name, answer := range map[string]func(p pdu) []byte{
		"an answer to nothing":    func(p pdu) []byte { return pdu{command: retSubmit, seq: p.seq + 1}.append(nil) },
		"an unlink of nothing":    func(p pdu) []byte { return pdu{command: retUnlink, seq: p.seq}.append(nil) },
		"a request":               func(p pdu) []byte { return pdu{command: cmdUnlink, seq: p.seq}.append(nil) },
		"more than was asked for": func(p pdu) []byte { return pdu{command: retSubmit, seq: p.seq, length: p.length + 1}.append(nil) },
		"a huge length":           func(p pdu) []byte { return pdu{command: retSubmit, seq: p.seq, length: 0x7fffffff}.append(nil) },
		"a negative length":       func(p pdu) []byte { return pdu{command: retSubmit, seq: p.seq, length: -1}.append(nil) },
		"isochronous packets":     func(p pdu) []byte { return pdu{command: retSubmit, seq: p.seq, packets: 3}.append(nil) },
		"a million packets":       func(p pdu) []byte { return pdu{command: retSubmit, seq: p.seq, packets: 1e6}.append(nil) },
		"garbage":                 func(pdu) []byte { return []byte(strings.Repeat("garbage!", 6)) },
		"an answer and the same again": func(p pdu) []byte {
			b := pdu{command: retSubmit, seq: p.seq}.append(nil)
			return append(b, b...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dev := openEcho(t, fake(t, func(conn net.Conn, p pdu, _ []byte) bool {
				_, err := conn.Write(answer(p))
				return err == nil
			}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			buf := make([]byte, 512)
			var err error
			for err == nil {
				_, err = dev.Transfer(ctx, usbtest.EchoIn, buf)
			}
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("it gives %v", err)
			}
			if _, again := dev.Transfer(ctx, usbtest.EchoIn, buf); !errors.Is(again, ErrProtocol) {
				t.Errorf("and then %v", again)
			}
		})
	}
}

func TestAConnectionLostInTheMiddleOfDataMeansGone(t *testing.T) {
	dev := openEcho(t, fake(t, func(conn net.Conn, p pdu, _ []byte) bool {
		_, _ = conn.Write(append(pdu{command: retSubmit, seq: p.seq, length: 512}.append(nil), "partly"...))
		return false
	}))
	if _, err := dev.Transfer(t.Context(), usbtest.EchoIn, make([]byte, 512)); !errors.Is(err, usb.ErrGone) {
		t.Errorf("it gives %v", err)
	}
}

func TestErrnosAreTold(t *testing.T) {
	for errno, want := range map[int32]error{
		errnoPIPE: usb.ErrStall, errnoNODEV: usb.ErrGone, errnoSHUTDOWN: usb.ErrGone, errnoOVERFLOW: usb.ErrOverflow,
		errnoTIMEDOUT: context.DeadlineExceeded, errnoREMOTEIO: nil, 0: nil,
	} {
		dev := openEcho(t, fake(t, func(conn net.Conn, p pdu, _ []byte) bool {
			_, err := conn.Write(append(pdu{command: retSubmit, seq: p.seq, status: -errno, length: 2}.append(nil), "ab"...))
			return err == nil
		}))
		buf := make([]byte, 512)
		if n, err := dev.Transfer(t.Context(), usbtest.EchoIn, buf); !errors.Is(err, want) || n != 2 || string(buf[:2]) != "ab" {
			t.Errorf("errno %d gives %d, %v", errno, n, err)
		}
		dev.Close()
	}
}

func TestASilentServerHoldsNobody(t *testing.T) {
	var unlinks atomic.Int32
	dev := openEcho(t, fake(t, func(_ net.Conn, p pdu, _ []byte) bool {
		if p.command == cmdUnlink {
			unlinks.Add(1)
		}
		return true
	}))
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := dev.Transfer(ctx, usbtest.EchoIn, make([]byte, 512)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("IN gives %v", err)
			}
			if _, err := dev.Transfer(ctx, usbtest.EchoOut, make([]byte, 512)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("OUT gives %v", err)
			}
		})
	}
	calls.Wait()
	pending := make(chan error, 1)
	go func() {
		_, err := dev.Control(t.Context(), usb.Setup{RequestType: 0x80, Length: 2}, make([]byte, 2))
		pending <- err
	}()
	dev.Close()
	if err := <-pending; !errors.Is(err, usb.ErrClosed) {
		t.Errorf("after Close it gives %v", err)
	}
	if unlinks.Load() == 0 {
		t.Error("nothing was unlinked")
	}
}

func TestAServerThatReadsNothingHoldsNobody(t *testing.T) {
	release := make(chan struct{})
	dev := openEcho(t, fake(t, func(net.Conn, pdu, []byte) bool {
		<-release
		return false
	}))
	defer close(release)
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			data := make([]byte, 8<<20)
			if _, err := dev.Transfer(ctx, usbtest.EchoOut, data); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("OUT gives %v", err)
			}
			for i := range data {
				data[i] = 1 // the caller has its buffer back: the race detector looks on
			}
		})
	}
	calls.Wait()
	dev.Close()
}

func TestASilentServerIsBoundedInMemory(t *testing.T) {
	d := &device{wake: make(chan struct{}, 1), calls: map[uint32]*call{}, unlinks: map[uint32]uint32{}}
	var err error
	for range 2 * maxGivenUp {
		var c *call
		if c, err = d.submit(pdu{in: true}, nil); err != nil {
			break
		}
		if _, err := d.pending(); err != nil {
			t.Fatal(err)
		}
		d.unlink(c)
		d.giveUp(c)
	}
	if !errors.Is(err, context.DeadlineExceeded) || len(d.calls) > maxGivenUp {
		t.Errorf("%d transfers are remembered, %v", len(d.calls), err)
	}
}

func TestALateAnswerIsNotLost(t *testing.T) {
	var held pdu
	dev := openEcho(t, fake(t, func(conn net.Conn, p pdu, _ []byte) bool {
		if p.command == cmdSubmit {
			held = p
			return true
		}
		b := append(pdu{command: retSubmit, seq: held.seq, length: 4}.append(nil), "late"...)
		_, err := conn.Write(pdu{command: retUnlink, seq: p.seq}.append(b))
		return err == nil
	}))
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		buf := make([]byte, 512)
		if n, err := dev.Transfer(ctx, usbtest.EchoIn, buf); err != nil || string(buf[:n]) != "late" {
			t.Errorf("an answer that came with the cancellation gives %q, %v", buf[:n], err)
		}
		cancel()
	}
}

func TestNobodyAtTheOtherEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &Bus{Addr: ln.Addr().String(), Timeout: 20 * time.Millisecond}
	var slow net.Error
	if _, err := b.Devices(t.Context()); !errors.As(err, &slow) || !slow.Timeout() {
		t.Errorf("a server that never answers gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Devices(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled listing gives %v", err)
	}
	ln.Close()
	if _, err := b.Devices(t.Context()); err == nil || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("no server gives %v", err)
	}
	if _, err := b.Open(t.Context(), echoID); err == nil || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("no server gives %v", err)
	}
}

func TestStringsAreReadOnceAndNeverFromADeviceInUse(t *testing.T) {
	e := usbtest.NewEcho("E1")
	s := NewServer(nil)
	if err := s.Export("3-1.4", e); err != nil {
		t.Fatal(err)
	}
	ctx, addr := t.Context(), listen(t, s)
	owner, watcher := &Bus{Addr: addr}, &Bus{Addr: addr}
	dev, err := owner.Open(ctx, echoID)
	if err != nil {
		t.Fatal(err)
	}
	resets := e.Resets()
	list, err := watcher.Devices(ctx)
	if err != nil || len(list) != 1 || list[0].Serial != "" || list[0].Port != "3-1.4" || e.Resets() != resets {
		t.Errorf("a device in use is listed as %+v, %v", list, err)
	}
	if list, err = owner.Devices(ctx); err != nil || list[0].Serial != "E1" || e.Resets() != resets {
		t.Errorf("its owner lists it as %+v, %v", list, err)
	}
	dev.Close()
	for list[0].Serial == "" || e.Resets() == resets { // the server notices a moment later
		if list, err = watcher.Devices(ctx); err != nil || len(list) != 1 {
			t.Fatalf("a free device is listed as %+v, %v", list, err)
		}
	}
	resets = e.Resets()
	for range 5 {
		if list, err = watcher.Devices(ctx); err != nil || list[0].Serial != "E1" || e.Resets() != resets {
			t.Errorf("a known device is listed as %+v, %v, after %d imports", list, err, e.Resets()-resets)
		}
	}
	if err := s.Unexport("3-1.4"); err != nil {
		t.Fatal(err)
	}
	if err := s.Export("3-1.4", usbtest.NewEcho("E2")); err != nil {
		t.Fatal(err)
	}
	if list, err = watcher.Devices(ctx); err != nil || len(list) != 1 || list[0].Serial != "E2" {
		t.Errorf("another device in the same port is listed as %+v, %v", list, err)
	}
}

// The usbip tool is a witness that shares no code with this package.
func TestTheUsbipToolListsTheDevices(t *testing.T) {
	tool, err := exec.LookPath("usbip")
	if err != nil {
		if tool, err = exec.LookPath("/usr/sbin/usbip"); err != nil {
			t.Skip("SKIPPED: the usbip tool is not installed (hint: apt-get install usbip)")
		}
	}
	s := NewServer(nil)
	for _, busid := range []string{"1-1", "1-2.3"} {
		if err := s.Export(busid, usbtest.NewEcho("E1")); err != nil {
			t.Fatal(err)
		}
	}
	_, port, _ := net.SplitHostPort(listen(t, s))
	out, err := exec.CommandContext(t.Context(), tool, "--tcp-port", port, "list", "-r", "127.0.0.1").CombinedOutput()
	if err != nil {
		t.Fatalf("usbip: %v\n%s", err, out)
	}
	for _, want := range []string{"1-1:", "1-2.3:", "(1209:ec0e)", "/sys/devices/virtual/usbip/1-1", "0 - ", "1 - ", "(ff/01/02)", "(ff/03/04)"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("usbip does not say %q:\n%s", want, out)
		}
	}
}

func FuzzClient(f *testing.F) {
	f.Add(pdu{command: retSubmit, seq: 1, length: 4}.append(nil))
	f.Add(append(pdu{command: retSubmit, seq: 1, length: 4}.append(nil), "data"...))
	f.Add(pdu{command: retUnlink, seq: 1, status: -104}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		here, there := net.Pipe()
		d := newDevice(here, 7)
		var ends sync.WaitGroup
		ends.Go(func() { _, _ = io.CopyN(io.Discard, there, pduSize); _, _ = there.Write(b); there.Close() })
		buf := make([]byte, 64)
		n, err := d.Control(t.Context(), usb.Setup{RequestType: 0x80, Length: 64}, buf)
		if err == nil && (n < 0 || n > len(buf)) {
			t.Errorf("moved %d", n)
		}
		_ = d.Close()
		ends.Wait()
	})
}
