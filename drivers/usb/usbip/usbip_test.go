package usbip

import (
	"context"
	"net"
	"testing"

	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
)

// serve exports gadgets on a free loopback port, as 1-1, 1-2 and so on, until the test ends.
func serve(t testing.TB, gadgets ...usb.Gadget) (*Server, string) {
	t.Helper()
	s := NewServer(nil)
	for i, g := range gadgets {
		if err := s.Export("1-"+string(rune('1'+i)), g); err != nil {
			t.Fatal(err)
		}
	}
	return s, listen(t, s)
}

func listen(t testing.TB, s *Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

func TestTheClientKeepsTheContractOfABus(t *testing.T) {
	usbtest.Suite(t, func(t *testing.T, e *usbtest.Echo) usbtest.Rig {
		s, addr := serve(t, e)
		return usbtest.Rig{
			Bus: &Bus{Addr: addr}, Other: &Bus{Addr: addr},
			Unplug: func() {
				if err := s.Unexport("1-1"); err != nil {
					t.Error(err)
				}
			},
			Plug: func() {
				if err := s.Export("1-1", e); err != nil {
					t.Error(err)
				}
			},
		}
	})
}
