package hidpen

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers/usb"
	"loket/firmware-sim/synth"
)

func fetch(t *testing.T, d *Device) []byte {
	t.Helper()
	b := make([]byte, penReport)
	n, err := d.Transfer(t.Context(), endpointReports, b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// dot is a stroke of one point, one second after the writing began.
func dot() [][]synth.PenPoint { return [][]synth.PenPoint{{{X: 0, Y: 0, T: 1, Force: 1}}} }

func TestReportsComeWhenThePenIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{})
		began := time.Now()
		if took := d.Write(dot()); took != time.Second {
			t.Errorf("it takes %v", took)
		}
		for _, want := range [][]byte{
			{1, 0x10, 0xd0, 0x07, 0xe8, 0x03, 0, 0}, {1, 0x11, 0xd0, 0x07, 0xe8, 0x03, 0xff, 0x03}, // 10 and 5 mm
			{1, 0x10, 0xd0, 0x07, 0xe8, 0x03, 0, 0}, {1, 0, 0, 0, 0, 0, 0, 0},
		} {
			if got := fetch(t, d); !bytes.Equal(got, want) {
				t.Errorf("% x, want % x", got, want)
			}
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the reports came after %v", took)
		}
	})
}

func TestWhoBeginsAnewBeginsOnAnEmptyPadAndAResetEmptiesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{})
		for range 2 {
			d.Write(dot())
		}
		for range 4 {
			fetch(t, d)
		}
		nothing := func(after string) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if _, err := d.Transfer(ctx, endpointReports, make([]byte, penReport)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after %s there is more: %v", after, err)
			}
		}
		nothing("one signature")
		d.Write(dot())
		d.BusReset()
		nothing("a reset")
		if d.Signed() != 3 {
			t.Errorf("%d signatures", d.Signed())
		}
	})
}

func TestOtherRequestsStall(t *testing.T) {
	d := New(Options{})
	if _, err := d.Control(t.Context(), usb.Setup{RequestType: 0x21, Request: 9}, nil); !errors.Is(err, usb.ErrStall) {
		t.Errorf("SET_REPORT: %v", err)
	}
	if _, err := d.Transfer(t.Context(), 0x82, make([]byte, 8)); !errors.Is(err, usb.ErrStall) {
		t.Errorf("another endpoint: %v", err)
	}
}
