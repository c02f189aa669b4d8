//go:build cgo && linux

package libusb_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"loket/drivers/usb/libusb"
	"loket/drivers/usb/usbtest"
)

// block is the size of one transfer, and of one write of the bare copy.
const block = 64 << 10

// The bridge, the kernel and USB/IP behind it, beside a bare copy over loopback on the same machine: in a virtual machine
// only the ratio says something.
func BenchmarkKernelBulkIn(b *testing.B)  { benchKernel(b, usbtest.EchoSource) }
func BenchmarkKernelBulkOut(b *testing.B) { benchKernel(b, usbtest.EchoSink) }

func benchKernel(b *testing.B, endpoint uint8) {
	attach(b, usbtest.NewEcho("E1"))
	bus := new(libusb.Bus)
	list, err := bus.Devices(b.Context())
	if err != nil || len(list) != 1 {
		b.Fatalf("the kernel has %d devices, %v", len(list), err)
	}
	dev, err := bus.Open(b.Context(), list[0].Identity())
	if err != nil {
		b.Fatal(err)
	}
	defer dev.Close()
	if err := dev.Claim(1, 1); err != nil {
		b.Fatal(err)
	}
	bare := bareCopy(b)
	buf := make([]byte, block)
	b.SetBytes(block)
	for b.Loop() {
		if n, err := dev.Transfer(b.Context(), endpoint, buf); n != block || err != nil {
			b.Fatalf("moved %d, %v", n, err)
		}
	}
	rate := float64(b.N) * block / b.Elapsed().Seconds()
	b.ReportMetric(rate/bare, "of-bare")
	b.ReportMetric(bare/1e6, "bare-MB/s")
}

// bareCopy measures a plain copy over a loopback connection, block by block and one way: bytes a second.
func bareCopy(b *testing.B) float64 {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	const blocks = 1024
	var sender sync.WaitGroup
	defer sender.Wait()
	sender.Go(func() {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write(make([]byte, blocks*block))
	})
	conn, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, block)
	start := time.Now()
	for range blocks {
		if _, err := io.ReadFull(conn, buf); err != nil {
			b.Fatal(err)
		}
	}
	return blocks * block / time.Since(start).Seconds()
}
