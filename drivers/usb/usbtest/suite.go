package usbtest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"loket/drivers/usb"
)

// patience is how long the suite waits for what must happen, before it fails.
const patience = 20 * time.Second

// Rig is an echo gadget on the bus under test.
type Rig struct {
	Bus   usb.Bus
	Other usb.Bus // sees the same devices from another program; may be Bus
	// Unplug takes the gadget off the bus, Plug puts it back.
	Unplug, Plug func()
	// Deaf says that a reset of the bus is not carried to the gadget.
	Deaf bool
}

// Suite proves that a bus and its devices keep the contracts of [usb.Bus], [usb.Device] and [usb.Resetter]. The function
// makes a fresh rig with the gadget plugged in.
func Suite(t *testing.T, rig func(*testing.T, *Echo) Rig) {
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"a device is listed with its strings, numbers and interfaces", (*suite).lists},
		{"a device without serial number is known by its port", (*suite).port},
		{"a device that is not there can't be opened", (*suite).notFound},
		{"a device has one owner", (*suite).busy},
		{"listing leaves an open device alone", (*suite).listsOpen},
		{"descriptors are those of the device", (*suite).descriptors},
		{"endpoints work only in claimed interfaces", (*suite).claims},
		{"control transfers move data both ways", (*suite).control},
		{"a stalled control transfer harms no other", (*suite).controlStall},
		{"bulk messages of every size come back whole", (*suite).sizes},
		{"an IN transfer ends with the first short packet", (*suite).short},
		{"a message is read in parts of whole packets", (*suite).parts},
		{"a buffer too small for the packet overflows", (*suite).overflow},
		{"transfers on several endpoints wait at the same time", (*suite).together},
		{"transfers on one endpoint are answered in their order", (*suite).order},
		{"a transfer ends with its context and the next one works", (*suite).cancel},
		{"a stall lasts until its halt is cleared", (*suite).stall},
		{"a reset keeps what was claimed", (*suite).reset},
		{"unplugging ends what waits and what comes", (*suite).unplug},
		{"a gadget can leave by itself", (*suite).leave},
		{"closing ends what waits and what comes", (*suite).close},
	} {
		t.Run(c.name, func(t *testing.T) {
			serial := "E1"
			if c.name == "a device without serial number is known by its port" {
				serial = ""
			}
			s := &suite{T: t, echo: NewEcho(serial)}
			s.Rig = rig(t, s.echo)
			var cancel context.CancelFunc
			s.ctx, cancel = context.WithTimeout(context.Background(), patience)
			defer cancel()
			c.test(s)
		})
	}
}

type suite struct {
	*testing.T
	Rig
	echo *Echo
	ctx  context.Context
}

func (s *suite) only() usb.Info {
	s.Helper()
	list, err := s.Bus.Devices(s.ctx)
	if err != nil || len(list) != 1 {
		s.Fatalf("Devices gives %v, %v; want one device", list, err)
	}
	return list[0]
}

// open opens the gadget and claims its first interface.
func (s *suite) open() usb.Device {
	s.Helper()
	dev, err := s.Bus.Open(s.ctx, s.only().Identity())
	if err != nil {
		s.Fatalf("Open: %v", err)
	}
	s.Cleanup(func() { dev.Close() })
	if err := dev.Claim(0, 0); err != nil {
		s.Fatalf("Claim: %v", err)
	}
	return dev
}

func (s *suite) want(doing string, err, want error) {
	s.Helper()
	if !errors.Is(err, want) || (want == nil && err != nil) {
		s.Errorf("%s gives %v, want %v", doing, err, want)
	}
}

func (s *suite) send(dev usb.Device, data []byte) {
	s.Helper()
	if n, err := dev.Transfer(s.ctx, EchoOut, data); n != len(data) || err != nil {
		s.Fatalf("sending %d bytes gives %d, %v", len(data), n, err)
	}
}

func (s *suite) receive(dev usb.Device, size int) []byte {
	s.Helper()
	buf := make([]byte, size)
	n, err := dev.Transfer(s.ctx, EchoIn, buf)
	if err != nil {
		s.Fatalf("receiving %d bytes gives %d, %v", size, n, err)
	}
	return buf[:n]
}

// result is how a call ended.
type result struct {
	n   int
	err error
}

// pending starts a call and returns when the gadget has got it.
func (s *suite) pending(call func() (int, error)) <-chan result {
	s.Helper()
	c := make(chan result, 1)
	go func() {
		n, err := call()
		c <- result{n, err}
	}()
	s.started()
	return c
}

func (s *suite) started() {
	s.Helper()
	select {
	case <-s.echo.Started:
	case <-s.ctx.Done():
		s.Fatal("the gadget never got the transfer")
	}
}

func (s *suite) ended(c <-chan result) result {
	s.Helper()
	select {
	case r := <-c:
		return r
	case <-s.ctx.Done():
		s.Fatal("the call never ended")
	}
	return result{}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func (s *suite) lists() {
	got := s.only()
	if got.Port == "" || got.Bus == "" || (got.Bus == usb.KernelBus) != (got.SysfsPath != "") || !got.Simulated() {
		s.Errorf("bus %q, port %q, path %q", got.Bus, got.Port, got.SysfsPath)
	}
	ports := got.Port
	got.Port, got.Bus, got.SysfsPath = "", "", ""
	want := usb.Info{
		Vendor: 0x1209, Product: 0xec0e, Release: 0x0110, Class: 0xff, Manufacturer: "Löket", ProductName: "Echo", Serial: "E1",
		Speed: usb.HighSpeed, Interfaces: []usb.Interface{{Number: 0, Class: 0xff, SubClass: 1, Protocol: 2}, {Number: 1, Class: 0xff, SubClass: 3, Protocol: 4}},
	}
	if !slices.Equal(got.Interfaces, want.Interfaces) {
		s.Errorf("interfaces %v, want %v", got.Interfaces, want.Interfaces)
	}
	got.Interfaces, want.Interfaces = nil, nil
	if got.Identity() != want.Identity() || got.Manufacturer != want.Manufacturer || got.ProductName != want.ProductName ||
		got.Release != want.Release || got.Class != want.Class || got.Speed != want.Speed {
		s.Errorf("listed %+v\nwant %+v", got, want)
	}
	if dev := s.open(); dev.Info().Port != ports || dev.Info().Serial != "E1" {
		s.Errorf("the open device says %+v", dev.Info())
	}
	s.Unplug()
	if list, err := s.Bus.Devices(s.ctx); len(list) != 0 || err != nil {
		s.Errorf("an empty bus lists %v, %v", list, err)
	}
}

func (s *suite) port() {
	id := s.only().Identity()
	if id.Serial != "" || id.Port == "" {
		s.Errorf("identity %+v", id)
	}
	s.send(s.open(), []byte("hello"))
}

func (s *suite) notFound() {
	id := s.only().Identity()
	for _, wrong := range []usb.Identity{
		{Vendor: id.Vendor, Product: id.Product, Serial: "E2"},
		{Vendor: id.Vendor, Product: id.Product + 1, Serial: "E1"},
		{Vendor: id.Vendor, Product: id.Product, Port: "9-9"},
	} {
		dev, err := s.Bus.Open(s.ctx, wrong)
		s.want("opening "+wrong.String(), err, usb.ErrNotFound)
		if dev != nil {
			s.Errorf("opening %s gives a device", wrong)
		}
	}
	s.open()
}

func (s *suite) busy() {
	dev, id := s.open(), s.only().Identity()
	_, err := s.Bus.Open(s.ctx, id)
	s.want("the second Open", err, usb.ErrBusy)
	_, err = s.Other.Open(s.ctx, id)
	s.want("another program's Open", err, usb.ErrBusy)
	s.want("Close", dev.Close(), nil)
	again, err := s.Other.Open(s.ctx, id)
	s.want("Open after Close", err, nil)
	if err == nil {
		again.Close()
	}
}

func (s *suite) listsOpen() {
	dev := s.open()
	s.send(dev, []byte("before"))
	for _, bus := range []usb.Bus{s.Bus, s.Other, s.Bus, s.Other} {
		if list, err := bus.Devices(s.ctx); err != nil || len(list) != 1 {
			s.Errorf("Devices gives %v, %v", list, err)
		}
	}
	if s.only().Serial != "E1" {
		s.Error("the owner's bus has forgotten the serial number")
	}
	if got := s.receive(dev, 512); string(got) != "before" {
		s.Errorf("received %q", got)
	}
}

func (s *suite) descriptors() {
	if got := s.open().Descriptors(); !bytes.Equal(got, s.echo.Descriptors()) {
		s.Errorf("descriptors % x\nwant % x", got, s.echo.Descriptors())
	}
}

func (s *suite) claims() {
	dev := s.open()
	s.want("claiming an unknown interface", dev.Claim(7, 0), usb.ErrNotFound)
	s.want("claiming an unknown setting", dev.Claim(0, 1), usb.ErrNotFound)
	for _, endpoint := range []uint8{EchoSink, EchoSource, 0x00, 0x80, 0x8f, 0x7f} {
		_, err := dev.Transfer(s.ctx, endpoint, make([]byte, 512))
		s.want("using an endpoint of no claimed interface", err, usb.ErrNotFound)
	}
	s.want("claiming interface 1", dev.Claim(1, 0), nil)
	_, err := dev.Transfer(s.ctx, EchoSink, make([]byte, 512))
	s.want("using an endpoint of another setting", err, usb.ErrNotFound)
	s.want("claiming setting 1", dev.Claim(1, 1), nil)
	if n, err := dev.Transfer(s.ctx, EchoSink, make([]byte, 1000)); n != 1000 || err != nil {
		s.Errorf("the sink took %d, %v", n, err)
	}
	if n, err := dev.Transfer(s.ctx, EchoSource, make([]byte, 4096)); n != 4096 || err != nil {
		s.Errorf("the source gave %d, %v", n, err)
	}
}

func (s *suite) control() {
	dev := s.open()
	for _, size := range []int{0, 1, 64, 65, 4096} {
		n, err := dev.Control(s.ctx, usb.Setup{RequestType: 0x40, Request: EchoStore, Length: uint16(size)}, pattern(size))
		if n != size || err != nil {
			s.Errorf("storing %d bytes gives %d, %v", size, n, err)
		}
		buf := make([]byte, 4096)
		n, err = dev.Control(s.ctx, usb.Setup{RequestType: 0xc0, Request: EchoLoad, Length: uint16(len(buf))}, buf)
		if err != nil || !bytes.Equal(buf[:n], pattern(size)) {
			s.Errorf("loading %d bytes gives %d, %v", size, n, err)
		}
	}
	if _, err := dev.Control(s.ctx, usb.Setup{RequestType: 0xc0, Request: EchoLoad, Length: 8}, make([]byte, 7)); err == nil {
		s.Error("a buffer shorter than Length is accepted")
	}
	status := make([]byte, 2)
	if n, err := dev.Control(s.ctx, usb.Setup{RequestType: 0x80, Length: 2}, status); n != 2 || err != nil || status[0] != 1 {
		s.Errorf("GET_STATUS gives %v, %d, %v", status, n, err)
	}
}

func (s *suite) controlStall() {
	dev := s.open()
	_, err := dev.Control(s.ctx, usb.Setup{RequestType: 0xc0, Request: EchoFail, Length: 4}, make([]byte, 4))
	s.want("a failing request", err, usb.ErrStall)
	_, err = dev.Control(s.ctx, usb.Setup{RequestType: 0x40, Request: EchoStore}, nil)
	s.want("the next request", err, nil)
	s.send(dev, []byte("on"))
}

func (s *suite) sizes() {
	dev := s.open()
	for _, size := range []int{0, 1, 511, 512, 513, 1024, 4095, 65536, 65537, 1 << 20} {
		s.send(dev, pattern(size))
		room := size + 512 - size%512
		if got := s.receive(dev, room); !bytes.Equal(got, pattern(size)) {
			s.Errorf("of %d bytes %d came back, or others", size, len(got))
		}
	}
	s.send(dev, pattern(1024))
	if got := s.receive(dev, 1024); len(got) != 1024 {
		s.Errorf("received %d bytes", len(got))
	}
	if got := s.receive(dev, 1024); len(got) != 0 {
		s.Errorf("the zero-length packet had %d bytes", len(got))
	}
}

func (s *suite) short() {
	dev := s.open()
	s.send(dev, []byte("one"))
	s.send(dev, []byte("two"))
	for _, want := range []string{"one", "two"} {
		if got := s.receive(dev, 4096); string(got) != want {
			s.Errorf("received %q, want %q", got, want)
		}
	}
}

func (s *suite) parts() {
	dev := s.open()
	s.send(dev, pattern(1300))
	var got []byte
	for _, size := range []int{512, 512, 276} {
		part := s.receive(dev, size)
		if len(part) != size {
			s.Errorf("a part has %d bytes instead of %d", len(part), size)
		}
		got = append(got, part...)
	}
	if !bytes.Equal(got, pattern(1300)) {
		s.Error("the parts are not the message")
	}
}

func (s *suite) overflow() {
	dev := s.open()
	s.send(dev, pattern(300))
	buf := make([]byte, 100)
	n, err := dev.Transfer(s.ctx, EchoIn, buf)
	s.want("reading 300 bytes into 100", err, usb.ErrOverflow)
	if n != 100 || !bytes.Equal(buf, pattern(300)[:100]) {
		s.Errorf("%d bytes of it fitted", n)
	}
	s.send(dev, []byte("next"))
	if got := s.receive(dev, 512); string(got) != "next" {
		s.Errorf("the next message is %q", got)
	}
}

func (s *suite) together() {
	dev := s.open()
	event, in := make([]byte, 8), make([]byte, 512)
	gotEvent := s.pending(func() (int, error) { return dev.Transfer(s.ctx, EchoEvent, event) })
	gotIn := s.pending(func() (int, error) { return dev.Transfer(s.ctx, EchoIn, in) })
	if _, err := dev.Control(s.ctx, usb.Setup{RequestType: 0x40, Request: EchoStore, Length: 3}, []byte("ctl")); err != nil {
		s.Errorf("control meanwhile: %v", err)
	}
	s.send(dev, []byte("bulk"))
	if r := s.ended(gotIn); r.err != nil || string(in[:r.n]) != "bulk" {
		s.Errorf("bulk gives %q, %v", in[:r.n], r.err)
	}
	s.echo.Event([]byte("event"))
	if r := s.ended(gotEvent); r.err != nil || string(event[:r.n]) != "event" {
		s.Errorf("interrupt gives %q, %v", event[:r.n], r.err)
	}
}

func (s *suite) order() {
	dev := s.open()
	a, b := make([]byte, 512), make([]byte, 512)
	first := s.pending(func() (int, error) { return dev.Transfer(s.ctx, EchoIn, a) })
	second := make(chan result, 1)
	go func() {
		n, err := dev.Transfer(s.ctx, EchoIn, b)
		second <- result{n, err}
	}()
	s.send(dev, []byte("first"))
	if r := s.ended(first); r.err != nil || string(a[:r.n]) != "first" {
		s.Errorf("the first gets %q, %v", a[:r.n], r.err)
	}
	s.send(dev, []byte("second"))
	if r := s.ended(second); r.err != nil || string(b[:r.n]) != "second" {
		s.Errorf("the second gets %q, %v", b[:r.n], r.err)
	}
}

func (s *suite) cancel() {
	dev := s.open()
	for _, call := range []func(context.Context) (int, error){
		func(ctx context.Context) (int, error) { return dev.Transfer(ctx, EchoIn, make([]byte, 512)) },
		func(ctx context.Context) (int, error) { return dev.Transfer(ctx, EchoEvent, make([]byte, 8)) },
		func(ctx context.Context) (int, error) {
			return dev.Control(ctx, usb.Setup{RequestType: 0xc0, Request: EchoWait, Length: 8}, make([]byte, 8))
		},
	} {
		ctx, cancel := context.WithCancel(s.ctx)
		c := s.pending(func() (int, error) { return call(ctx) })
		cancel()
		s.want("cancelling", s.ended(c).err, context.Canceled)
		_, err := call(ctx)
		s.want("an ended context", err, context.Canceled)
		ctx, cancel = context.WithTimeout(s.ctx, time.Millisecond)
		_, err = call(ctx)
		s.want("a time-out", err, context.DeadlineExceeded)
		cancel()
	}
	s.send(dev, []byte("after"))
	if got := s.receive(dev, 512); string(got) != "after" {
		s.Errorf("received %q", got)
	}
	s.echo.Event([]byte("after"))
	if n, err := dev.Transfer(s.ctx, EchoEvent, make([]byte, 8)); n != 5 || err != nil {
		s.Errorf("the next event gives %d, %v", n, err)
	}
}

func (s *suite) stall() {
	dev := s.open()
	s.echo.Stall(EchoOut)
	for range 3 {
		_, err := dev.Transfer(s.ctx, EchoOut, []byte("x"))
		s.want("sending into a stall", err, usb.ErrStall)
	}
	halted := make([]byte, 2)
	_, err := dev.Control(s.ctx, usb.Setup{RequestType: 0x82, Index: uint16(EchoOut), Length: 2}, halted)
	if err != nil || halted[0] != 1 {
		s.Errorf("GET_STATUS of the endpoint gives %v, %v", halted, err)
	}
	_, err = dev.Control(s.ctx, usb.Setup{RequestType: 2, Request: usb.RequestClearFeature, Index: uint16(EchoOut)}, nil)
	s.want("CLEAR_FEATURE", err, nil)
	s.send(dev, []byte("x"))
	s.echo.Stall(EchoIn)
	_, err = dev.Transfer(s.ctx, EchoIn, make([]byte, 512))
	s.want("receiving from a stall", err, usb.ErrStall)
	r, ok := dev.(usb.Resetter)
	if !ok {
		s.Skip("this bus can't reset")
	}
	s.want("ClearHalt", r.ClearHalt(s.ctx, EchoIn), nil)
	if got := s.receive(dev, 512); string(got) != "x" {
		s.Errorf("received %q", got)
	}
}

func (s *suite) reset() {
	dev := s.open()
	r, ok := dev.(usb.Resetter)
	if !ok {
		s.Skip("this bus can't reset")
	}
	s.want("claiming setting 1", dev.Claim(1, 1), nil)
	s.echo.Stall(EchoOut)
	_, err := dev.Transfer(s.ctx, EchoOut, []byte("x"))
	s.want("sending into a stall", err, usb.ErrStall)
	before := s.echo.Resets()
	s.want("Reset", r.Reset(s.ctx), nil)
	if s.echo.Resets() <= before && !s.Deaf {
		s.Error("the gadget was not told of the reset")
	}
	s.send(dev, []byte("x"))
	if n, err := dev.Transfer(s.ctx, EchoSink, make([]byte, 10)); n != 10 || err != nil {
		s.Errorf("the claimed setting after a reset gives %d, %v", n, err)
	}
}

// waiting starts a bulk and an interrupt transfer.
func (s *suite) waiting(dev usb.Device) []<-chan result {
	return []<-chan result{
		s.pending(func() (int, error) { return dev.Transfer(s.ctx, EchoIn, make([]byte, 512)) }),
		s.pending(func() (int, error) { return dev.Transfer(s.ctx, EchoEvent, make([]byte, 8)) }),
	}
}

// allWaiting starts one transfer of each kind.
func (s *suite) allWaiting(dev usb.Device) []<-chan result {
	return append(s.waiting(dev), s.pending(func() (int, error) {
		return dev.Control(s.ctx, usb.Setup{RequestType: 0xc0, Request: EchoWait, Length: 8}, make([]byte, 8))
	}))
}

// dead checks that every call on dev gives that error at once.
func (s *suite) dead(dev usb.Device, want error) {
	s.Helper()
	_, err := dev.Transfer(s.ctx, EchoIn, make([]byte, 512))
	s.want("Transfer", err, want)
	_, err = dev.Transfer(s.ctx, EchoOut, []byte("x"))
	s.want("Transfer out", err, want)
	_, err = dev.Control(s.ctx, usb.Setup{RequestType: 0x80, Length: 2}, make([]byte, 2))
	s.want("Control", err, want)
	s.want("Claim", dev.Claim(1, 1), want)
	if r, ok := dev.(usb.Resetter); ok {
		s.want("ClearHalt", r.ClearHalt(s.ctx, EchoIn), want)
		s.want("Reset", r.Reset(s.ctx), want)
	}
}

func (s *suite) unplug() {
	dev, id := s.open(), s.only().Identity()
	calls := s.allWaiting(dev)
	s.Unplug()
	for _, c := range calls {
		s.want("a transfer at unplug", s.ended(c).err, usb.ErrGone)
	}
	s.dead(dev, usb.ErrGone)
	_, err := s.Bus.Open(s.ctx, id)
	s.want("opening what is unplugged", err, usb.ErrNotFound)
	s.Plug()
	again, err := s.Bus.Open(s.ctx, id)
	if err != nil {
		s.Fatalf("opening after a replug, the old device not closed: %v", err)
	}
	defer again.Close()
	s.want("Claim", again.Claim(0, 0), nil)
	s.send(again, []byte("back"))
	s.dead(dev, usb.ErrGone)
	s.want("Close of the gone device", dev.Close(), nil)
	s.dead(dev, usb.ErrClosed)
	if got := s.receive(again, 512); string(got) != "back" {
		s.Errorf("received %q", got)
	}
}

func (s *suite) leave() {
	dev, id := s.open(), s.only().Identity()
	calls := s.waiting(dev)
	_, err := dev.Control(s.ctx, usb.Setup{RequestType: 0x40, Request: EchoLeave}, nil)
	if err == nil {
		s.Error("the gadget left and the request succeeded")
	}
	for _, c := range calls {
		s.want("a transfer when the gadget leaves", s.ended(c).err, usb.ErrGone)
	}
	s.dead(dev, usb.ErrGone)
	dev.Close()
	_, err = s.Bus.Open(s.ctx, id)
	s.want("opening what has left", err, usb.ErrNotFound)
}

func (s *suite) close() {
	dev := s.open()
	calls := s.allWaiting(dev)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { s.want("Close", dev.Close(), nil) })
	}
	for _, c := range calls {
		s.want("a transfer at Close", s.ended(c).err, usb.ErrClosed)
	}
	both.Wait()
	s.dead(dev, usb.ErrClosed)
	s.want("Close again", dev.Close(), nil)
	if len(dev.Descriptors()) == 0 || dev.Info().Vendor == 0 {
		s.Error("a closed device has forgotten what it is")
	}
}
