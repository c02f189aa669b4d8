package usbtest_test

import (
	"bytes"
	"context"
	"errors"
	"math/bits"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
)

func open(t *testing.T, b usb.Bus) usb.Device {
	t.Helper()
	dev, err := b.Open(t.Context(), usb.Identity{Vendor: 0x1209, Product: 0xec0e, Serial: "E1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Claim(0, 0); err != nil {
		t.Fatal(err)
	}
	return dev
}

// roundTrip is a driver of three transfers: it stores something, sends a message and reads it.
func roundTrip(ctx context.Context, dev usb.Device, size int) ([]byte, error) {
	if _, err := dev.Control(ctx, usb.Setup{RequestType: 0x40, Request: usbtest.EchoStore, Length: 2}, []byte("ab")); err != nil {
		return nil, err
	}
	if _, err := dev.Transfer(ctx, usbtest.EchoOut, bytes.Repeat([]byte{0x55}, size)); err != nil {
		return nil, err
	}
	buf := make([]byte, 512)
	n, err := dev.Transfer(ctx, usbtest.EchoIn, buf)
	return buf[:n], err
}

func TestAFaultBusKeepsTheContractUntilItFails(t *testing.T) {
	usbtest.Suite(t, func(t *testing.T, e *usbtest.Echo) usbtest.Rig {
		b := usbtest.Attach(e)
		f := usbtest.Fault(b, 0, "")
		return usbtest.Rig{Bus: f, Other: f, Unplug: func() { b.Unplug(e) }, Plug: func() { b.Plug(e) }}
	})
}

func TestFaultFailsTheNthTransferAndNoOther(t *testing.T) {
	good := bytes.Repeat([]byte{0x55}, 100)
	for _, how := range usbtest.Failures() {
		for n := 1; n <= 3; n++ {
			synctest.Test(t, func(t *testing.T) {
				e := usbtest.NewEcho("E1")
				f := usbtest.Fault(usbtest.Attach(e), n, how)
				dev := open(t, f)
				defer dev.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				got, err := roundTrip(ctx, dev, len(good))
				if !f.Hit() {
					t.Errorf("%s at %d was not hit", how, n)
				}
				want := map[usbtest.Failure]error{usbtest.Stall: usb.ErrStall, usbtest.Gone: usb.ErrGone, usbtest.Hang: context.DeadlineExceeded}[how]
				if how == usbtest.Long && n == 1 {
					want = usb.ErrStall
				}
				if !errors.Is(err, want) {
					t.Errorf("%s at %d gives %v, want %v", how, n, err, want)
				}
				checkSpoilt(t, how, n, got, good)
				if how == usbtest.Gone {
					dev.Close()
					dev = open(t, f)
					defer dev.Close()
				} else if err := dev.(usb.Resetter).Reset(t.Context()); err != nil {
					t.Error(err)
				}
				if got, err := roundTrip(t.Context(), dev, len(good)); err != nil || !bytes.Equal(got, good) {
					t.Errorf("after %s at %d the driver gets %d bytes, %v", how, n, len(got), err)
				}
			})
		}
	}
}

func checkSpoilt(t *testing.T, how usbtest.Failure, n int, got, good []byte) {
	t.Helper()
	if n == 1 {
		return
	}
	switch how {
	case usbtest.Short:
		if !bytes.Equal(got, good[:50]) {
			t.Errorf("short at %d gives %d bytes", n, len(got))
		}
	case usbtest.Long:
		if len(got) != 117 || !bytes.HasPrefix(got, good) {
			t.Errorf("long at %d gives %d bytes", n, len(got))
		}
	case usbtest.Garbled:
		flipped := 0
		for i := range got {
			flipped += bits.OnesCount8(got[i] ^ good[i])
		}
		if len(got) != 100 || flipped != 2 {
			t.Errorf("garbled at %d flips %d bits of %d bytes", n, flipped, len(got))
		}
	}
}

func TestAFailedEndpointStaysStalledUntilItIsCleared(t *testing.T) {
	f := usbtest.Fault(usbtest.Attach(usbtest.NewEcho("E1")), 0, "")
	dev := open(t, f)
	defer dev.Close()
	f.Arm(1, usbtest.Stall)
	for range 3 {
		if _, err := dev.Transfer(t.Context(), usbtest.EchoOut, []byte("x")); !errors.Is(err, usb.ErrStall) {
			t.Errorf("it gives %v", err)
		}
	}
	if _, err := dev.Control(t.Context(), usb.Setup{RequestType: 2, Request: 1, Index: uint16(usbtest.EchoOut)}, nil); err != nil {
		t.Error(err)
	}
	if _, err := dev.Transfer(t.Context(), usbtest.EchoOut, []byte("x")); err != nil {
		t.Errorf("after CLEAR_FEATURE it gives %v", err)
	}
	if f.Count() != 5 {
		t.Errorf("%d transfers were counted", f.Count())
	}
}

func TestLongWithoutRoomOverflows(t *testing.T) {
	f := usbtest.Fault(usbtest.Attach(usbtest.NewEcho("E1")), 2, usbtest.Long)
	dev := open(t, f)
	defer dev.Close()
	if _, err := dev.Transfer(t.Context(), usbtest.EchoOut, make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	if n, err := dev.Transfer(t.Context(), usbtest.EchoIn, make([]byte, 512)); n != 512 || !errors.Is(err, usb.ErrOverflow) {
		t.Errorf("it gives %d, %v", n, err)
	}
}

func TestGoneEndsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := usbtest.Fault(usbtest.Attach(usbtest.NewEcho("E1")), 2, usbtest.Gone)
		dev := open(t, f)
		waits := make(chan error, 1)
		go func() {
			_, err := dev.Transfer(t.Context(), usbtest.EchoEvent, make([]byte, 8))
			waits <- err
		}()
		synctest.Wait()
		for range 2 {
			if _, err := dev.Transfer(t.Context(), usbtest.EchoOut, []byte("x")); !errors.Is(err, usb.ErrGone) {
				t.Errorf("it gives %v", err)
			}
		}
		if err := <-waits; !errors.Is(err, usb.ErrGone) {
			t.Errorf("what waited gives %v", err)
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
		if _, err := dev.Transfer(t.Context(), usbtest.EchoOut, []byte("x")); !errors.Is(err, usb.ErrClosed) {
			t.Errorf("after Close it gives %v", err)
		}
	})
}
