package ptp_test

import (
	"context"
	"net"
	"testing"

	"loket/drivers/usb/usbip"
	"loket/firmware-sim/ptpcam"
)

// overNetwork exports a camera and returns the bus that finds it.
func overNetwork(b *testing.B, d *ptpcam.Device) *usbip.Bus {
	b.Helper()
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
	b.Cleanup(func() {
		cancel()
		<-done
	})
	return &usbip.Bus{Addr: ln.Addr().String()}
}

// unpaced is a camera that never makes its host wait.
func unpaced(s ptpcam.Scene) *ptpcam.Device {
	d := ptpcam.New(ptpcam.Options{Exposure: 1, Rate: 1e9})
	d.Show(s)
	return d
}

func BenchmarkFramesOverUSBIP(b *testing.B) {
	s := scene(b)
	cam := open(b, overNetwork(b, unpaced(s)))
	b.SetBytes(int64(len(s.Frames[0])))
	b.ResetTimer()
	if err := look(b.Context(), cam, b.N, s); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkStillOverUSBIP(b *testing.B) {
	s := scene(b)
	cam := open(b, overNetwork(b, unpaced(s)))
	b.SetBytes(int64(len(s.Still)))
	for b.Loop() {
		m, err := cam.Still(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		m.Wipe()
	}
}
