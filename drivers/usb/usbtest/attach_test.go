package usbtest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
)

func TestAttachKeepsTheContractOfABus(t *testing.T) {
	usbtest.Suite(t, func(t *testing.T, e *usbtest.Echo) usbtest.Rig {
		b := usbtest.Attach(e)
		return usbtest.Rig{Bus: b, Other: b, Unplug: func() { b.Unplug(e) }, Plug: func() { b.Plug(e) }}
	})
}

func TestAttachWorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := usbtest.NewEcho("E1")
		b := usbtest.Attach(e)
		dev, err := b.Open(t.Context(), usb.Identity{Vendor: 0x1209, Product: 0xec0e, Serial: "E1"})
		if err != nil {
			t.Fatal(err)
		}
		if err := dev.Claim(0, 0); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := dev.Transfer(ctx, usbtest.EchoIn, make([]byte, 8)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait of an hour ends with %v", err)
		}
		if d := time.Since(start); d != time.Hour {
			t.Errorf("it took %v", d)
		}
		go func() {
			time.Sleep(time.Minute)
			b.Unplug(e)
		}()
		if _, err := dev.Transfer(t.Context(), usbtest.EchoEvent, make([]byte, 8)); !errors.Is(err, usb.ErrGone) {
			t.Errorf("unplugged gives %v", err)
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAPortIsTakenAgainByTheNextGadget(t *testing.T) {
	a, b, c := usbtest.NewEcho("A"), usbtest.NewEcho("B"), usbtest.NewEcho("C")
	bus := usbtest.Attach(a, b)
	bus.Unplug(a)
	bus.Unplug(a)
	if port := bus.Plug(c); port != "1-1" {
		t.Errorf("plugged into %s", port)
	}
	list, err := bus.Devices(t.Context())
	if err != nil || len(list) != 2 || list[0].Serial != "C" || list[1].Port != "1-2" {
		t.Errorf("listed %v, %v", list, err)
	}
}
