package nb1010

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"loket/drivers"
	"loket/drivers/usb"
	"loket/drivers/usb/libusb"
	"loket/drivers/usb/usbtest"
	"loket/drivers/usb/usbtest/umockdev"
)

// fixture reads a file of the recorded sensor.
func fixture(t *testing.T, name string) []byte {
	t.Helper()
	t.Attr("fixtures", "usb")
	dir := os.Getenv("LOKET_FIXTURES")
	if dir == "" {
		t.Skip("LOKET_FIXTURES is not set: the recordings are not here")
	}
	b, err := os.ReadFile(filepath.Join(dir, "usb", "nb1010", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// capturedBefore is the image that came with the recording.
func capturedBefore(t *testing.T) *image.Gray {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(fixture(t, "capture.png")))
	if err != nil {
		t.Fatal(err)
	}
	gray := image.NewGray(m.Bounds())
	for i := range gray.Pix {
		r, _, _, _ := m.At(i%gray.Stride, i/gray.Stride).RGBA()
		gray.Pix[i] = uint8(r >> 8)
	}
	return gray
}

// play captures from a recording.
func play(t *testing.T, ioctls []byte) *image.Gray {
	t.Helper()
	info, descriptors, err := usbtest.ReadUmockdev(bytes.NewReader(fixture(t, "device")))
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
	infos, err := bus.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		if !Driver().Match(i) {
			continue
		}
		raw, err := bus.Open(t.Context(), i.Identity())
		if err != nil {
			t.Fatal(err)
		}
		dev, err := Driver().Open(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		img, err := dev.(drivers.FingerprintScanner).Capture(t.Context(), rightIndex, nil)
		if err != nil {
			t.Fatal(err)
		}
		return img.Gray
	}
	t.Fatalf("no sensor among %+v", infos)
	return nil
}

// differences lists the pixels in which two images of one size differ.
func differences(a, b *image.Gray) []image.Point {
	var list []image.Point
	for i := range a.Pix {
		if a.Pix[i] != b.Pix[i] {
			list = append(list, image.Pt(i%a.Stride, i/a.Stride))
		}
	}
	return list
}

func TestRecordedTrafficGivesTheReferenceImage(t *testing.T) {
	want := capturedBefore(t)
	synctest.Test(t, func(t *testing.T) {
		got := play(t, fixture(t, "capture.ioctl"))
		if got.Rect != want.Rect || len(differences(got, want)) != 0 {
			t.Errorf("%v, %d pixels differ", got.Rect, len(differences(got, want)))
		}
	})
}

func TestFlippedByteInTheRecordingChangesItsPixel(t *testing.T) {
	want := capturedBefore(t)
	lines := bytes.Split(fixture(t, "capture.ioctl"), []byte("\n"))
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
		got := differences(play(t, bytes.Join(lines, []byte("\n"))), want)
		if len(got) != 1 || got[0] != image.Pt(at%width, linesEach*packet+at/width) {
			t.Errorf("pixels %v changed", got)
		}
	})
}

// TestRecordedSensorGivesTheReferenceImage goes through libusb to the recorded device.
func TestRecordedSensorGivesTheReferenceImage(t *testing.T) {
	umockdev.Run(t, umockdev.NB1010(), func(t *testing.T) {
		got, want := captureOver(t, &libusb.Bus{}), capturedBefore(t)
		if got.Rect != want.Rect || len(differences(got, want)) != 0 {
			t.Errorf("%v, %d pixels differ", got.Rect, len(differences(got, want)))
		}
	})
}
