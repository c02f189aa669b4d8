//go:build cgo && linux

package libusb_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"loket/drivers/usb"
	"loket/drivers/usb/libusb"
	"loket/drivers/usb/usbtest/umockdev"
)

// reader is an invented keyboard wedge that answers as the recording says, over and over and without any pause. hidapi never gets
// to close such a device, so Close takes as long as it has patience.
func reader(t *testing.T, recording string) umockdev.Bed {
	t.Helper()
	folder, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return umockdev.Bed{
		Devices: []string{filepath.Join(folder, "reader.umockdev")},
		Ioctl:   map[string]string{"/dev/bus/usb/003/007": filepath.Join(folder, recording)},
	}
}

func TestReportsOfACodeReaderAreTransfers(t *testing.T) {
	umockdev.Run(t, reader(t, "reader.ioctl"), func(t *testing.T) {
		d := open(t, 0x1209)
		if id := d.Info().Identity(); id.String() != "1209:c001/R-7" || d.Info().Port != "3-2.1" || d.Info().Speed != usb.LowSpeed {
			t.Errorf("the reader is %+v", d.Info())
		}
		one, two := make([]byte, 8), make([]byte, 16)
		if n, err := d.Transfer(t.Context(), 0x81, one); n != 8 || err != nil || !bytes.Equal(one, []byte{0, 0, 4, 0, 0, 0, 0, 0}) {
			t.Fatalf("the first report: % x, %v", one[:n], err)
		}
		if n, err := d.Transfer(t.Context(), 0x81, two); n != 16 || err != nil || two[8] != 2 {
			t.Fatalf("two reports in one transfer: % x, %v", two[:n], err)
		}
		if n, err := d.Transfer(t.Context(), 0x81, one[:4]); n != 4 || !errors.Is(err, usb.ErrOverflow) {
			t.Errorf("a report that does not fit: %d, %v", n, err)
		}
		if n, err := d.Transfer(t.Context(), 0x81, nil); n != 0 || err != nil {
			t.Errorf("an empty buffer: %d, %v", n, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := d.Transfer(t.Context(), 0x81, one); !errors.Is(err, usb.ErrClosed) {
			t.Errorf("a transfer after Close: %v", err)
		}
	})
}

// An empty recording refuses the first transfer, as a device does that vanishes just then.
func TestAReaderThatVanishesWhileItIsOpenedCanBeClosed(t *testing.T) {
	umockdev.Run(t, reader(t, "silent.ioctl"), func(t *testing.T) {
		var bus libusb.Bus
		id := find(t, &bus, 0x1209).Identity()
		d, err := bus.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Claim(0, 0); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}
