package usbip

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"loket/drivers/usb/usbtest"
)

// block is the size of one transfer, and of one write of the bare copy.
const block = 64 << 10

// bareCopy measures a plain copy over a loopback connection, block by block and one way: bytes a second.
func bareCopy(b *testing.B) float64 {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	const blocks = 4096
	var sender sync.WaitGroup
	defer sender.Wait()
	sender.Go(func() {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, block)
		for range blocks {
			if _, err := conn.Write(buf); err != nil {
				return
			}
		}
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

// benchBulk moves blocks over an endpoint with so many transfers in flight, and reports the rate and its ratio to a bare copy.
func benchBulk(b *testing.B, endpoint uint8, flight int) {
	_, addr := serve(b, usbtest.NewEcho("E1"))
	dev := openEcho(b, &Bus{Addr: addr})
	if err := dev.Claim(1, 1); err != nil {
		b.Fatal(err)
	}
	bare := bareCopy(b)
	b.SetBytes(block)
	b.ResetTimer()
	var hosts sync.WaitGroup
	for i := range flight {
		n := b.N / flight
		if i == 0 {
			n += b.N % flight
		}
		hosts.Go(func() {
			buf := make([]byte, block)
			for range n {
				if moved, err := dev.Transfer(b.Context(), endpoint, buf); moved != block || err != nil {
					b.Errorf("moved %d, %v", moved, err)
					return
				}
			}
		})
	}
	hosts.Wait()
	b.StopTimer()
	rate := float64(b.N) * block / b.Elapsed().Seconds()
	b.ReportMetric(bare/1e6, "bare-MB/s")
	b.ReportMetric(rate/bare, "of-bare")
}

func BenchmarkBulkIn(b *testing.B)         { benchBulk(b, usbtest.EchoSource, 1) }
func BenchmarkBulkOut(b *testing.B)        { benchBulk(b, usbtest.EchoSink, 1) }
func BenchmarkBulkInFlight4(b *testing.B)  { benchBulk(b, usbtest.EchoSource, 4) }
func BenchmarkBulkOutFlight4(b *testing.B) { benchBulk(b, usbtest.EchoSink, 4) }

func BenchmarkSmallEcho(b *testing.B) {
	_, addr := serve(b, usbtest.NewEcho("E1"))
	dev := openEcho(b, &Bus{Addr: addr})
	buf := make([]byte, 512)
	for b.Loop() {
		if _, err := dev.Transfer(b.Context(), usbtest.EchoOut, buf[:16]); err != nil {
			b.Fatal(err)
		}
		if _, err := dev.Transfer(b.Context(), usbtest.EchoIn, buf); err != nil {
			b.Fatal(err)
		}
	}
}
