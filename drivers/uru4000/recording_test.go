package uru4000

import (
	"bytes"
	"errors"
	"image"
	"slices"
	"testing"
	"testing/synctest"

	"loket/drivers"
	"loket/drivers/driverstest"
	"loket/drivers/usb"
	"loket/drivers/usb/libusb"
	"loket/drivers/usb/usbtest"
	"loket/drivers/usb/usbtest/umockdev"
)

// recordedSeed is the one that the recording was made with.
const recordedSeed = 0x51ea2124

// play captures from a recording.
func play(t *testing.T, packets []byte) *image.Gray {
	t.Helper()
	info, descriptors, err := usbtest.ReadUmockdev(bytes.NewReader(driverstest.Fixture(t, "uru4000-4500/device")))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := usbtest.ReadPcapng(bytes.NewReader(packets), usbtest.PcapngOptions{Info: info, Descriptors: descriptors})
	if err != nil {
		t.Fatal(err)
	}
	player, err := usbtest.Play(rec)
	if err != nil {
		t.Fatal(err)
	}
	m := captureOver(t, player, recordedSeed)
	if err := player.Done(); err != nil && !onlyALastReportIsLeft(err) {
		t.Error(err)
	}
	return m
}

// onlyALastReportIsLeft passes over the recording's last wait for a report, which was taken back: it begins only where there is
// time for it before the capture ends.
func onlyALastReportIsLeft(err error) bool {
	var m *usbtest.MismatchError
	return errors.As(err, &m) && m.What == "the driver did not run in 81 of 64 bytes"
}

// captureOver captures one finger from the reader on a bus.
func captureOver(t *testing.T, bus usb.Bus, seed uint32) *image.Gray {
	t.Helper()
	dev := driverstest.OpenOn(t, New(Options{Seed: seed}), bus)
	defer dev.Close()
	img, err := dev.(drivers.FingerprintScanner).Capture(t.Context(), rightIndex, nil)
	if err != nil {
		t.Fatal(err)
	}
	return img.Gray
}

func TestRecordedTrafficGivesTheReferenceImage(t *testing.T) {
	want := driverstest.GrayFixture(t, "uru4000-4500/capture.png")
	synctest.Test(t, func(t *testing.T) {
		got := play(t, driverstest.Fixture(t, "uru4000-4500/capture.pcapng"))
		if len(driverstest.Differences(got, want)) != 0 {
			t.Errorf("%v, %d pixels differ", got.Rect, len(driverstest.Differences(got, want)))
		}
	})
}

func TestFlippedByteInTheRecordingChangesThePixelsItMust(t *testing.T) {
	want := driverstest.GrayFixture(t, "uru4000-4500/capture.png")
	packets := driverstest.Fixture(t, "uru4000-4500/capture.pcapng")
	start := bytes.Index(packets, []byte{0x10, 0x40, 0x80, 0x01, 0x21, 0x01}) // the head of the one image
	for _, c := range []struct {
		why  string
		row  int // of those that were sent
		x    int
		want []image.Point // x and row as the reader counts
	}{
		{"a scrambled byte is the pixel before it", 20, 200, []image.Point{{199, 20}}},
		{"behind the absent row everything is one row on", 150, 7, []image.Point{{6, 151}}},
		{"a plain byte is its own pixel", 72, 9, []image.Point{{9, 72}}},
		{"the absent row shows what follows it", 122, 9, []image.Point{{9, 122}, {9, 123}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			changed := slices.Clone(packets)
			changed[start+headSize+c.row*width+c.x] ^= 0x11
			if got := differences(play(t, changed), want); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", c.why, got, c.want)
			}
		})
	}
}

// TestRecordedReaderGivesTheReferenceImage goes through libusb to the recorded device.
func TestRecordedReaderGivesTheReferenceImage(t *testing.T) {
	umockdev.Run(t, umockdev.URU4500(), func(t *testing.T) {
		got, want := captureOver(t, &libusb.Bus{}, recordedSeed), driverstest.GrayFixture(t, "uru4000-4500/capture.png")
		if len(driverstest.Differences(got, want)) != 0 {
			t.Errorf("%v, %d pixels differ", got.Rect, len(driverstest.Differences(got, want)))
		}
	})
}
