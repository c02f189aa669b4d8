package slap60

import (
	"context"
	"net"
	"testing"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
	"loket/drivers/usb/usbip"
	"loket/drivers/usb/usbtest"
	sim "loket/firmware-sim/slap60"
)

// BenchmarkFetch reads an image that the scanner holds: 2.4 MB under three checksums.
func BenchmarkFetch(b *testing.B) {
	b.Run("in process", func(b *testing.B) {
		d := sim.New(sim.Options{Settle: time.Millisecond})
		benchFetch(b, d, usbtest.Attach(d))
	})
	b.Run("over USB-IP", func(b *testing.B) {
		d := sim.New(sim.Options{Settle: time.Millisecond})
		server := usbip.NewServer(nil)
		if err := server.Export("1-1", d); err != nil {
			b.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Skipf("no loopback network: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- server.Serve(ctx, ln) }()
		defer func() { cancel(); <-done }()
		benchFetch(b, d, &usbip.Bus{Addr: ln.Addr().String()})
	})
}

func benchFetch(b *testing.B, d *sim.Device, bus usb.Bus) {
	infos, err := bus.Devices(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	raw, err := bus.Open(b.Context(), infos[0].Identity())
	if err != nil {
		b.Fatal(err)
	}
	dev, err := open(b.Context(), raw)
	if err != nil {
		b.Fatal(err)
	}
	defer dev.Close()
	s := dev.(*scanner)
	hand := twoFingers(1600, 1500)
	b.SetBytes(1600 * 1500)
	for b.Loop() {
		b.StopTimer()
		d.Present(hand)
		if err := s.resync(b.Context()); err != nil {
			b.Fatal(err)
		}
		w := waiting{scanner: s, mask: 3, count: 2, watch: func(drivers.Progress) {}}
		number, err := w.wait(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		img, err := s.fetch(b.Context(), number)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		img.Wipe()
		b.StartTimer()
	}
}
