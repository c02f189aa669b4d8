package nb1010

import (
	"bytes"
	"context"
	"errors"
	"image"
	"os"
	"path/filepath"
	"testing"
	"time"

	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
)

// fixture opens a file of the recorded sensor.
func fixture(t *testing.T, name string) *os.File {
	t.Helper()
	t.Attr("fixtures", "usb")
	dir := os.Getenv("LOKET_FIXTURES")
	if dir == "" {
		t.Skip("LOKET_FIXTURES is not set: the recordings are not here")
	}
	f, err := os.Open(filepath.Join(dir, "usb", "nb1010", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func recorded(t *testing.T) *usbtest.Recording {
	t.Helper()
	info, descriptors, err := usbtest.ReadUmockdev(fixture(t, "device"))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := usbtest.ReadIoctl(fixture(t, "capture.ioctl"), usbtest.IoctlOptions{Info: info, Descriptors: descriptors})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestDescribesItselfAsTheRecordedSensor(t *testing.T) {
	rec, d := recorded(t), New(Options{})
	if !bytes.Equal(d.Descriptors(), rec.Descriptors) {
		t.Errorf("% x, want\n% x", d.Descriptors(), rec.Descriptors)
	}
	got, want := d.Info(), rec.Info
	if got.Manufacturer != want.Manufacturer || got.ProductName != want.ProductName || got.Serial != want.Serial || got.Speed != want.Speed {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// rowsOf puts the lines of a recording together.
func rowsOf(rec *usbtest.Recording) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, Width, Height))
	m.Pix = m.Pix[:0]
	for _, x := range rec.Transfers {
		if len(x.Payload.Data) == rowsSize {
			m.Pix = append(m.Pix, x.Payload.Data[rowsHead:rowsHead+linesEach*Width]...)
		}
	}
	return m
}

func TestAnswersByteForByteAsTheRecordedSensor(t *testing.T) {
	rec, d := recorded(t), New(Options{})
	d.Present(Presentation{Image: rowsOf(rec)})
	buf := make([]byte, 576)
	for i, x := range rec.Transfers {
		if x.Endpoint == endpointOut {
			if n, err := d.Transfer(t.Context(), x.Endpoint, x.Payload.Data); n != x.Payload.Size || err != nil {
				t.Fatalf("transfer %d: %d, %v", i, n, err)
			}
			continue
		}
		if got := soon(t, d, buf); !bytes.Equal(got, x.Payload.Data) {
			t.Fatalf("transfer %d is\n% x, want\n% x", i, got, x.Payload.Data)
		}
	}
}

// soon reads a packet that must be there.
func soon(t *testing.T, d *Device, b []byte) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	n, err := d.Transfer(ctx, endpointIn, b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func ask(t *testing.T, d *Device) byte {
	t.Helper()
	if _, err := d.Transfer(t.Context(), endpointOut, []byte{0x80, codeFinger, 1, 0, 8, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	return soon(t, d, make([]byte, 64))[12]
}

func TestFingerIsFeltWhileItIsThere(t *testing.T) {
	d := New(Options{})
	if level := ask(t, d); level > 0x30 || !d.Guidance().Armed {
		t.Errorf("nothing on the sensor: level %02x, %+v", level, d.Guidance())
	}
	d.Present(Presentation{Image: image.NewGray(image.Rect(3, 4, 9, 9))})
	if level := ask(t, d); level <= 0x30 || d.Guidance() != (Guidance{Armed: true}) {
		t.Errorf("a finger on the sensor: level %02x, %+v", level, d.Guidance())
	}
	changed := d.Changed()
	for _, c := range [][]byte{{0x80, codeReady, 3, 0, 12, 0, 0, 0, 0, 4, 0, 0}, append([]byte{0x80, codeImage, 4, 0, 32, 0, 0, 0}, imageArgument()...)} {
		if _, err := d.Transfer(t.Context(), endpointOut, c); err != nil {
			t.Fatal(err)
		}
	}
	<-changed
	if d.Guidance() != (Guidance{Lift: true}) {
		t.Errorf("the host has its image: %+v", d.Guidance())
	}
	d.BusReset()
	d.Lift()
	if level := ask(t, d); level > 0x30 {
		t.Errorf("nothing on the sensor: level %02x", level)
	}
}

func TestWhatIsNoCommandStalls(t *testing.T) {
	d := New(Options{})
	image := append([]byte{0x80, codeImage, 4, 0, 32, 0, 0, 0}, imageArgument()...)
	for _, c := range [][]byte{nil, {0x80}, {0x80, codeFinger, 1, 0, 9, 0, 0, 0}, {0x81, codeFinger, 1, 0, 8, 0, 0, 0}, {0x80, 0x39, 1, 0, 8, 0, 0, 0},
		{0x80, codeFinger, 1, 0, 9, 0, 0, 0, 0}, {0x80, codeReady, 3, 0, 12, 0, 0, 0, 0, 5, 0, 0}, image} {
		if _, err := d.Transfer(t.Context(), endpointOut, c); !errors.Is(err, usb.ErrStall) {
			t.Errorf("% x: %v", c, err)
		}
	}
	if _, err := d.Control(t.Context(), usb.Setup{RequestType: 0xc0}, nil); !errors.Is(err, usb.ErrStall) {
		t.Errorf("a request: %v", err)
	}
}

func TestNewHostFindsNothingLeftOver(t *testing.T) {
	d := New(Options{})
	_ = ask(t, d)
	if _, err := d.Transfer(t.Context(), endpointOut, []byte{0x80, codeFinger, 1, 0, 8, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	d.BusReset()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for _, endpoint := range []uint8{endpointIn, 0x81} {
		if n, err := d.Transfer(ctx, endpoint, make([]byte, 64)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("endpoint %02x gives %d bytes, %v", endpoint, n, err)
		}
	}
}
