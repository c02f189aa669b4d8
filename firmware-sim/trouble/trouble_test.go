package trouble_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
	"loket/firmware-sim/trouble"
)

func attach(t *testing.T) (*trouble.Gadget, *usbtest.Echo, usb.Device) {
	t.Helper()
	e := usbtest.NewEcho("E1")
	g := trouble.New(e)
	dev, err := usbtest.Attach(g).Open(t.Context(), usb.Identity{Vendor: 0x1209, Product: 0xec0e, Serial: "E1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Claim(0, 0); err != nil {
		t.Fatal(err)
	}
	return g, e, dev
}

func send(t *testing.T, dev usb.Device, s string) {
	t.Helper()
	if _, err := dev.Transfer(t.Context(), usbtest.EchoOut, []byte(s)); err != nil {
		t.Fatal(err)
	}
}

func TestAGadgetThatIsWellKeepsTheContract(t *testing.T) {
	usbtest.Suite(t, func(t *testing.T, e *usbtest.Echo) usbtest.Rig {
		g := trouble.New(e)
		b := usbtest.Attach(g)
		return usbtest.Rig{Bus: b, Other: b, Unplug: func() { b.Unplug(g) }, Plug: func() { b.Plug(g) }}
	})
}

func TestWhatTheDeviceSendsIsSpoilt(t *testing.T) {
	for kind, check := range map[trouble.Kind]func(got []byte, err error) bool{
		trouble.Garbage: func(got []byte, err error) bool { return err == nil && len(got) == 8 && string(got) != "ABCDEFGH" },
		trouble.Short:   func(got []byte, err error) bool { return err == nil && string(got) == "ABCD" },
		trouble.Long: func(got []byte, err error) bool {
			return err == nil && len(got) == 8+17 && bytes.HasPrefix(got, []byte("ABCDEFGH"))
		},
		trouble.Stall: func(_ []byte, err error) bool { return errors.Is(err, usb.ErrStall) },
	} {
		g, _, dev := attach(t)
		send(t, dev, "ABCDEFGH")
		send(t, dev, "ABCDEFGH")
		g.Set(trouble.Trouble{Kind: kind, Transfers: 1})
		buf := make([]byte, 512)
		n, err := dev.Transfer(t.Context(), usbtest.EchoIn, buf)
		if !check(buf[:n], err) || g.Touched() != 1 {
			t.Errorf("%s gives %q, %v, touching %d", kind, buf[:n], err, g.Touched())
		}
		if err := dev.(usb.Resetter).ClearHalt(t.Context(), usbtest.EchoIn); err != nil {
			t.Error(err)
		}
		if n, err = dev.Transfer(t.Context(), usbtest.EchoIn, buf); err != nil || string(buf[:n]) != "ABCDEFGH" {
			t.Errorf("after %s it gives %q, %v", kind, buf[:n], err)
		}
		dev.Close()
	}
}

func TestLongWithoutRoomIsBabble(t *testing.T) {
	g, _, dev := attach(t)
	defer dev.Close()
	if _, err := dev.Control(t.Context(), usb.Setup{RequestType: 0x40, Request: usbtest.EchoStore, Length: 4}, []byte("abcd")); err != nil {
		t.Fatal(err)
	}
	g.Set(trouble.Trouble{Kind: trouble.Long})
	buf := make([]byte, 4)
	if n, err := dev.Control(t.Context(), usb.Setup{RequestType: 0xc0, Request: usbtest.EchoLoad, Length: 4}, buf); n != 4 || !errors.Is(err, usb.ErrOverflow) {
		t.Errorf("it gives %d, %v", n, err)
	}
}

func TestTroubleLastsForItsTransfers(t *testing.T) {
	g, _, dev := attach(t)
	defer dev.Close()
	g.Set(trouble.Trouble{Kind: trouble.Stall, Transfers: 2})
	load := func() error {
		_, err := dev.Control(t.Context(), usb.Setup{RequestType: 0xc0, Request: usbtest.EchoLoad, Length: 4}, make([]byte, 4))
		return err
	}
	for i, want := range []error{usb.ErrStall, usb.ErrStall, nil, nil} {
		if err := load(); !errors.Is(err, want) {
			t.Errorf("transfer %d gives %v, want %v", i, err, want)
		}
	}
	g.Set(trouble.Trouble{Kind: trouble.Stall})
	for range 5 {
		if err := load(); !errors.Is(err, usb.ErrStall) {
			t.Errorf("it gives %v", err)
		}
	}
	g.Clear()
	if err := load(); err != nil {
		t.Errorf("after Clear it gives %v", err)
	}
	g.Set(trouble.Trouble{Kind: trouble.Garbage, Transfers: 1})
	send(t, dev, "to the device: untouched")
	if g.Touched() != 0 {
		t.Error("garbage touches what the host sends")
	}
}

func TestAHangLastsUntilItIsCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, e, dev := attach(t)
		defer dev.Close()
		events := make(chan string, 1)
		go func() {
			buf := make([]byte, 8)
			n, err := dev.Transfer(t.Context(), usbtest.EchoEvent, buf)
			if err != nil {
				t.Error(err)
			}
			events <- string(buf[:n])
		}()
		synctest.Wait() // it waits for the device before the trouble comes
		g.Set(trouble.Trouble{Kind: trouble.Hang})
		e.Event([]byte("event"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := dev.Transfer(ctx, usbtest.EchoOut, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hung firmware gives %v", err)
		}
		select {
		case got := <-events:
			t.Errorf("hung firmware gave the event %q", got)
		default:
		}
		g.Clear()
		if got := <-events; got != "event" {
			t.Errorf("after Clear it gives %q", got)
		}
		send(t, dev, "on")
	})
}

func TestSlowFirmwareTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, dev := attach(t)
		defer dev.Close()
		for _, delay := range []time.Duration{0, 3 * time.Second} {
			g.Set(trouble.Trouble{Kind: trouble.Slow, Transfers: 1, Delay: delay})
			start := time.Now()
			send(t, dev, "x")
			if got, want := time.Since(start), max(delay, time.Second); got != want {
				t.Errorf("it took %v instead of %v", got, want)
			}
		}
	})
}

func TestKindsHaveNames(t *testing.T) {
	for _, k := range trouble.Kinds() {
		if got, err := trouble.Parse(string(k)); got != k || err != nil {
			t.Errorf("%s is read as %s, %v", k, got, err)
		}
	}
	if _, err := trouble.Parse("rain"); err == nil {
		t.Error("rain is a kind of trouble")
	}
}
