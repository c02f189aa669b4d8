package nb1010

import (
	"bytes"
	"image"
	"testing"
	"testing/synctest"

	"loket/drivers"
	"loket/drivers/driverstest"
	"loket/drivers/usb"
	"loket/drivers/usb/libusb"
	"loket/drivers/usb/usbtest"
	"loket/drivers/usb/usbtest/umockdev"
)

// play captures from a recording.
func play(t *testing.T, ioctls []byte) *image.Gray {
	t.Helper()
	info, descriptors, err := usbtest.ReadUmockdev(bytes.NewReader(driverstest.Fixture(t, "nb1010/device")))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := usbtest.ReadIoctl(bytes.NewReader(ioctls), usbtest.IoctlOptions{Info: info, Descriptors: descriptors})
	if err != nil {
		t.Fatal(err)
	}
	player, err := usbtest.Play(rec)
	if err != nil {
		t.Fatal(err)
	}
	m := captureOver(t, player)
	if err := player.Done(); err != nil {
		t.Error(err)
	}
	return m
}

// captureOver captures one finger from the sensor on a bus.
func captureOver(t *testing.T, bus usb.Bus) *image.Gray {
	t.Helper()
	dev := driverstest.OpenOn(t, Driver(), bus)
	defer dev.Close()
	img, err := dev.(drivers.FingerprintScanner).Capture(t.Context(), rightIndex, nil)
	if err != nil {
		t.Fatal(err)
	}
	return img.Gray
}

func TestRecordedTrafficGivesTheReferenceImage(t *testing.T) {
	want := driverstest.GrayFixture(t, "nb1010/capture.png")
	synctest.Test(t, func(t *testing.T) {
		got := play(t, driverstest.Fixture(t, "nb1010/capture.ioctl"))
		if len(driverstest.Differences(got, want)) != 0 {
			t.Errorf("%v, %d pixels differ", got.Rect, len(driverstest.Differences(got, want)))
		}
	})
}

func TestFlippedByteInTheRecordingChangesItsPixel(t *testing.T) {
	want := driverstest.GrayFixture(t, "nb1010/capture.png")
	lines := bytes.Split(driverstest.Fixture(t, "nb1010/capture.ioctl"), []byte("\n"))
	synctest.Test(t, func(t *testing.T) {
		const packet, at = 40, 300 // of the 90, and of the 512 pixels in it
		seen := 0
		for i, line := range lines {
			fields := bytes.Fields(line)
			if len(fields) == 0 || len(fields[len(fields)-1]) != 2*rowsSize {
				continue
			}
			if seen++; seen == packet+1 {
				digit := &lines[i][len(line)-2*rowsSize+2*(rowsHead+at)]
				*digit = "7456301289FEDCBA"[bytes.IndexByte([]byte("0123456789ABCDEF"), *digit)]
			}
		}
		got := driverstest.Differences(play(t, bytes.Join(lines, []byte("\n"))), want)
		if len(got) != 1 || got[0] != image.Pt(at%width, linesEach*packet+at/width) {
			t.Errorf("pixels %v changed", got)
		}
	})
}

// TestRecordedSensorGivesTheReferenceImage goes through libusb to the recorded device.
func TestRecordedSensorGivesTheReferenceImage(t *testing.T) {
	umockdev.Run(t, umockdev.NB1010(), func(t *testing.T) {
		got, want := captureOver(t, &libusb.Bus{}), driverstest.GrayFixture(t, "nb1010/capture.png")
		if len(driverstest.Differences(got, want)) != 0 {
			t.Errorf("%v, %d pixels differ", got.Rect, len(driverstest.Differences(got, want)))
		}
	})
}
