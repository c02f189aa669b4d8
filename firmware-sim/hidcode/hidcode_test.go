package hidcode

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"loket/drivers/usb"
)

func fetch(t *testing.T, d *Device) []byte {
	t.Helper()
	b := make([]byte, posReport)
	n, err := d.Transfer(t.Context(), endpointReports, b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestALongCodeGoesOverSeveralReports(t *testing.T) {
	d := New(Options{})
	text := strings.Repeat("K7Q2M9X4TB", 12)
	if err := d.ScanAs("]d2", text); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for i, n := range []byte{56, 56, 8} {
		r := fetch(t, d)
		more := byte(1)
		if i == 2 {
			more = 0
		}
		if len(r) != 64 || r[0] != 2 || r[1] != n || string(r[2:5]) != "]d2" || r[63] != more {
			t.Errorf("report %d: % x", i, r)
		}
		got = append(got, r[5:5+n]...)
	}
	if string(got) != text {
		t.Errorf("%q", got)
	}
}

func TestAWedgePressesAndReleasesEachKey(t *testing.T) {
	for end, opt := range map[byte]Options{0x28: {Wedge: true}, 0x2b: {Wedge: true, Tab: true}} {
		d := New(opt)
		if err := d.Scan("a<\n1"); err != nil {
			t.Fatal(err)
		}
		for _, want := range [][2]byte{{0, 0x04}, {2, 0x36}, {0, end}, {0, 0x1e}, {0, end}} {
			if r := fetch(t, d); len(r) != 8 || r[0] != want[0] || r[2] != want[1] {
				t.Errorf("% x, want %v", r, want)
			}
			if r := fetch(t, d); !bytes.Equal(r, make([]byte, 8)) {
				t.Errorf("% x is no release", r)
			}
		}
	}
}

func TestWhatCanNotBeShownIsRefused(t *testing.T) {
	if New(Options{Wedge: true}).Scan("é") == nil || New(Options{Wedge: true}).Scan("\x00") == nil {
		t.Error("a key that no keyboard has was pressed")
	}
	if New(Options{}).ScanAs("Q1", "a") == nil {
		t.Error("a symbology that is none was told")
	}
	d := New(Options{})
	for d.Scan(strings.Repeat("x", 56*1000)) == nil {
	}
	if d.Scanned() != 4 {
		t.Errorf("%d codes were kept", d.Scanned())
	}
	d.BusReset()
	if err := d.Scan("a"); err != nil || d.Scanned() != 5 {
		t.Errorf("after a reset: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	fetch(t, d)
	cancel()
	if _, err := d.Transfer(ctx, endpointReports, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("an empty queue: %v", err)
	}
}

func TestRequestsOfTheClass(t *testing.T) {
	scanner, wedge := New(Options{}), New(Options{Wedge: true})
	ask := func(d *Device, s usb.Setup) ([]byte, error) {
		b := make([]byte, s.Length)
		n, err := d.Control(t.Context(), s, b)
		return b[:n], err
	}
	for name, c := range map[string]struct {
		d     *Device
		setup usb.Setup
		want  []byte
	}{
		"HID descriptor":           {scanner, usb.Setup{RequestType: 0x81, Request: 6, Value: 0x2100, Length: 9}, []byte{9, 0x21, 0x11, 1, 0, 1, 0x22, byte(len(posDescriptor)), 0}},
		"report descriptor":        {scanner, usb.Setup{RequestType: 0x81, Request: 6, Value: 0x2200, Length: 255}, posDescriptor},
		"of a keyboard":            {wedge, usb.Setup{RequestType: 0x81, Request: 6, Value: 0x2200, Length: 255}, keyboardDescriptor},
		"idle rate":                {wedge, usb.Setup{RequestType: 0xa1, Request: 2, Length: 1}, []byte{0}},
		"setting it":               {wedge, usb.Setup{RequestType: 0x21, Request: 0x0a, Value: 0}, nil},
		"protocol":                 {wedge, usb.Setup{RequestType: 0xa1, Request: 3, Length: 1}, []byte{1}},
		"lamps":                    {wedge, usb.Setup{RequestType: 0x21, Request: 9, Value: 0x0200, Length: 1}, []byte{0}},
		"idle rate of the scanner": {scanner, usb.Setup{RequestType: 0xa1, Request: 2, Length: 1}, []byte{0}},
	} {
		if got, err := ask(c.d, c.setup); err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: % x, %v", name, got, err)
		}
	}
	if _, err := ask(wedge, usb.Setup{RequestType: 0x21, Request: 0x0b, Value: 0}); err != nil {
		t.Error(err)
	}
	if got, err := ask(wedge, usb.Setup{RequestType: 0xa1, Request: 3, Length: 1}); err != nil || got[0] != 0 {
		t.Errorf("the boot protocol: %v, %v", got, err)
	}
	for _, s := range []usb.Setup{
		{RequestType: 0x21, Request: 0x0b}, {RequestType: 0x21, Request: 9, Length: 1}, {RequestType: 0x81, Request: 6, Value: 0x2300, Length: 9},
		{RequestType: 0x81, Request: 6, Value: 0x2200, Index: 1, Length: 9}, {RequestType: 0xc0, Request: 1, Length: 9},
	} {
		if _, err := ask(scanner, s); !errors.Is(err, usb.ErrStall) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
