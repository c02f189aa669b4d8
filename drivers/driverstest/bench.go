package driverstest

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
	"loket/drivers/usb/usbip"
	"loket/drivers/usb/usbtest"
)

// bench is one device on one transport, with what is open on it.
type bench struct {
	*testing.T
	cfg        Config
	network    bool
	subject    Subject
	plug       plug
	breaker    *breaker
	opened     []drivers.Device
	goroutines int
}

// plug is a transport with one gadget on it.
type plug struct {
	bus            usb.Bus
	unplug, replug func()
	stop           func()
}

func newBench(t *testing.T, cfg Config, network bool) *bench {
	b := &bench{T: t, cfg: cfg, network: network, subject: cfg.New(), goroutines: runtime.NumGoroutine()}
	if network {
		b.plug = overNetwork(t, b.subject.Gadget)
	} else {
		b.plug = inProcess(b.subject.Gadget)
	}
	return b
}

func inProcess(g usb.Gadget) plug {
	bus := usbtest.Attach(g)
	return plug{bus: bus, unplug: func() { bus.Unplug(g) }, replug: func() { bus.Plug(g) }, stop: func() {}}
}

func overNetwork(t *testing.T, g usb.Gadget) plug {
	const port = "1-1"
	server := usbip.NewServer(nil)
	export := func() {
		if err := server.Export(port, g); err != nil {
			t.Error(err)
		}
	}
	export()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no loopback network: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, ln) }()
	return plug{
		bus:    &usbip.Bus{Addr: ln.Addr().String()},
		unplug: func() { _ = server.Unexport(port) },
		replug: export,
		stop: func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		},
	}
}

// find looks for the one device on the bus.
func (b *bench) find() usb.Info {
	b.Helper()
	infos, err := b.plug.bus.Devices(b.Context())
	if err != nil || len(infos) != 1 {
		b.Fatalf("listing the bus: %v, %v", infos, err)
	}
	return infos[0]
}

// open opens the device, once that is possible.
func (b *bench) open() drivers.Device {
	b.Helper()
	info := b.find()
	if !b.cfg.Driver.Match(info) {
		b.Fatalf("the driver does not know its device: %+v", info)
	}
	bus := usbtest.Fault(b.plug.bus, 0, "")
	raw, err := bus.Open(b.Context(), info.Identity())
	if err != nil {
		b.Fatalf("opening on the bus: %v", err)
	}
	b.breaker = newBreaker(raw, bus)
	dev, err := b.cfg.Driver.Open(b.Context(), b.breaker)
	if err != nil {
		b.Fatalf("opening: %v", err)
	}
	b.opened = append(b.opened, dev)
	return dev
}

// stop closes everything and counts what is left.
func (b *bench) stop() {
	for _, dev := range b.opened {
		if err := dev.Close(); err != nil {
			b.Errorf("closing: %v", err)
		}
	}
	b.plug.stop()
	if !b.network {
		return // the bubble counts
	}
	for tries := 0; runtime.NumGoroutine() > b.goroutines; tries++ {
		if tries == 2000 {
			stacks := make([]byte, 1<<16)
			b.Errorf("%d goroutines more than before:\n%s", runtime.NumGoroutine()-b.goroutines, stacks[:runtime.Stack(stacks, true)])
			return
		}
		time.Sleep(time.Millisecond)
	}
}
