//go:build cgo && linux

package libusb_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"testing"

	"loket/drivers/usb"
	"loket/drivers/usb/libusb"
	"loket/drivers/usb/usbtest/umockdev"
)

func TestAMachineWithoutUSBHasNoDevicesAndNoError(t *testing.T) {
	umockdev.Run(t, umockdev.Bed{}, func(t *testing.T) {
		var bus libusb.Bus
		list, err := bus.Devices(t.Context())
		if len(list) != 0 || err != nil {
			t.Errorf("found %v, %v", list, err)
		}
		if _, err := bus.Open(t.Context(), usb.Identity{Vendor: 1, Product: 2, Port: "1-1"}); !errors.Is(err, usb.ErrNotFound) {
			t.Errorf("opening what is not there: %v", err)
		}
	})
}

// find lists the bus and returns the device with that vendor.
func find(t *testing.T, bus *libusb.Bus, vendor uint16) usb.Info {
	t.Helper()
	list, err := bus.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		if i.Vendor == vendor {
			return i
		}
	}
	t.Fatalf("vendor %04x is not among %+v", vendor, list)
	return usb.Info{}
}

// open opens the device with that vendor and claims its first interface.
func open(t *testing.T, vendor uint16) usb.Device {
	t.Helper()
	var bus libusb.Bus
	d, err := bus.Open(t.Context(), find(t, &bus, vendor).Identity())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Claim(0, 0); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRecordedDevicesAreListedByIdentity(t *testing.T) {
	bed := umockdev.Bed{Devices: append(umockdev.NB1010().Devices, umockdev.Canon().Devices...)}
	umockdev.Run(t, bed, func(t *testing.T) {
		var bus libusb.Bus
		sensor, camera := find(t, &bus, 0x298d), find(t, &bus, 0x04a9)
		if want := (usb.Identity{Vendor: 0x298d, Product: 0x1010, Port: "1-7"}); sensor.Identity() != want {
			t.Errorf("the sensor without serial is %+v", sensor.Identity())
		}
		if sensor.Manufacturer != "NEXT Biometrics" || sensor.ProductName != "NB-1010-U" || sensor.Speed != usb.FullSpeed || sensor.Release != 1 ||
			len(sensor.Interfaces) != 1 || sensor.Bus != usb.KernelBus ||
			sensor.SysfsPath != "/sys/devices/pci0000:00/0000:00:01.3/0000:02:00.0/usb1/1-7" || sensor.Simulated() {
			t.Errorf("the sensor is %+v", sensor)
		}
		if want := (usb.Identity{Vendor: 0x04a9, Product: 0x31c0, Serial: "C767F1C714174C309255F70E4A7B2EE2"}); camera.Identity() != want {
			t.Errorf("the camera is %+v", camera.Identity())
		}
		if camera.Port != "1-1.5.2.3" || camera.Speed != usb.HighSpeed || camera.Interfaces[0] != (usb.Interface{Class: 6, SubClass: 1, Protocol: 1}) {
			t.Errorf("the camera is %+v", camera)
		}
		list, _ := bus.Devices(t.Context())
		for _, i := range list {
			if i.Vendor == 0x1d6b {
				t.Errorf("a root hub is listed: %+v", i)
			}
		}
	})
}

// exchange sends and then reads, each in one transfer.
func exchange(t *testing.T, d usb.Device, out []byte, in int) []byte {
	t.Helper()
	if n, err := d.Transfer(t.Context(), 0x02, out); n != len(out) || err != nil {
		t.Fatalf("sending % x: %d, %v", out, n, err)
	}
	return receive(t, d, in)
}

func receive(t *testing.T, d usb.Device, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	n, err := d.Transfer(t.Context(), 0x83, b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestRecordedSensorAnswersOverBulk(t *testing.T) {
	umockdev.Run(t, umockdev.NB1010(), func(t *testing.T) {
		d := open(t, 0x298d)
		if got := exchange(t, d, []byte{0x80, 0x38, 1, 0, 8, 0, 0, 0}, 16); len(got) != 16 || got[12] <= 0x30 {
			t.Fatalf("is a finger there: % x", got)
		}
		exchange(t, d, []byte{0x80, 0x0d, 3, 0, 12, 0, 0, 0, 0, 4, 0, 0}, 16)
		start := make([]byte, 32)
		copy(start, []byte{0x80, 0x12, 4, 0, 0x20, 0, 0, 0, 2})
		start[28] = 0x20
		exchange(t, d, start, 16)
		for i := range 90 {
			if got := receive(t, d, 540); len(got) != 540 {
				t.Fatalf("part %d has %d bytes", i, len(got))
			}
		}
	})
}

// interrupts waits for one interrupt of the reader after the other, in a goroutine of its own, until there is an error.
func interrupts(ctx context.Context, d usb.Device) (<-chan []byte, <-chan error) {
	came, failed := make(chan []byte, 16), make(chan error, 1)
	go func() {
		for {
			b := make([]byte, 64)
			n, err := d.Transfer(ctx, 0x81, b)
			if err != nil {
				failed <- err
				return
			}
			came <- b[:n]
		}
	}()
	return came, failed
}

func TestRecordedReaderAnswersOverControlWhileAnInterruptIsPending(t *testing.T) {
	umockdev.Run(t, umockdev.URU4500(), func(t *testing.T) {
		d := open(t, 0x05ba)
		if i := d.Info(); i.Serial != "{FB0B9071-2E08-7742-BC16-2FAA247CEF66}" || i.ProductName != "U.are.U\u00ae 4500 Fingerprint Reader" {
			t.Errorf("the reader is %+v", i)
		}
		power, _ := interrupts(t.Context(), d)
		status := usb.Setup{RequestType: 0xc0, Request: 4, Value: 7, Length: 1}
		var register [1]byte
		if n, err := d.Control(t.Context(), status, register[:]); n != 1 || register[0] != 1 || err != nil {
			t.Fatalf("reading the status: %x, %d, %v", register, n, err)
		}
		for _, value := range []byte{0x81, 0x01} {
			register[0] = value
			write := usb.Setup{RequestType: 0x40, Request: 4, Value: 7, Length: 1}
			if n, err := d.Control(t.Context(), write, register[:]); n != 1 || err != nil {
				t.Fatalf("writing the status: %d, %v", n, err)
			}
		}
		if got := <-power; !bytes.HasPrefix(got, []byte{0x56, 0xaa}) || len(got) != 64 {
			t.Errorf("the power interrupt is %q", got)
		}
	})
}

func TestRecordedReaderLetsGoOfWhatIsPending(t *testing.T) {
	umockdev.Run(t, umockdev.URU4500(), func(t *testing.T) {
		d := open(t, 0x05ba)
		ctx, cancel := context.WithCancel(t.Context())
		_, failed := interrupts(ctx, d)
		if _, err := d.Control(t.Context(), usb.Setup{RequestType: 0xc0, Request: 4, Value: 7, Length: 1}, make([]byte, 1)); err != nil {
			t.Fatal(err) // answered only after the interrupt was submitted
		}
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelling gives %v", err)
		}
		_, failed = interrupts(t.Context(), d)
		for range 3 {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-failed; !errors.Is(err, usb.ErrClosed) {
			t.Errorf("closing gives %v", err)
		}
	})
}

func TestRecordedSensorCanBeMisused(t *testing.T) {
	umockdev.Run(t, umockdev.NB1010(), func(t *testing.T) {
		var bus libusb.Bus
		id := find(t, &bus, 0x298d).Identity()
		d, err := bus.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bus.Open(t.Context(), id); !errors.Is(err, usb.ErrBusy) {
			t.Errorf("opening it twice: %v", err)
		}
		if _, err := d.Transfer(t.Context(), 0x83, make([]byte, 16)); !errors.Is(err, usb.ErrNotFound) {
			t.Errorf("a transfer before the claim: %v", err)
		}
		if err := d.Claim(1, 0); !errors.Is(err, usb.ErrNotFound) {
			t.Errorf("claiming an interface that is not there: %v", err)
		}
		if err := errors.Join(d.Claim(0, 0), d.Claim(0, 0)); err != nil {
			t.Errorf("claiming it twice: %v", err)
		}
		if _, err := d.Control(t.Context(), usb.Setup{RequestType: 0xc0, Length: 8}, nil); err == nil {
			t.Error("a control transfer of 8 bytes into nothing went through")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.Transfer(ended, 0x83, make([]byte, 16)); !errors.Is(err, context.Canceled) {
			t.Errorf("a transfer whose context has ended: %v", err)
		}
		if _, err := d.Transfer(t.Context(), 0x02, nil); err == nil {
			t.Error("an empty transfer, which was not recorded, went through")
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		resetter := d.(usb.Resetter)
		for doing, call := range map[string]func() error{
			"transfer": func() error { _, err := d.Transfer(t.Context(), 0x83, make([]byte, 16)); return err },
			"nothing":  func() error { _, err := d.Transfer(t.Context(), 0x83, nil); return err },
			"control":  func() error { _, err := d.Control(t.Context(), usb.Setup{RequestType: 0x80}, nil); return err },
			"claim":    func() error { return d.Claim(0, 0) },
			"reset":    func() error { return resetter.Reset(t.Context()) },
			"clear":    func() error { return resetter.ClearHalt(t.Context(), 0x83) },
			"stream": func() error {
				return d.(usb.Isochronous).Stream(t.Context(), 0x83, func([]byte, error) (int, error) { return 0, nil })
			},
		} {
			if err := call(); !errors.Is(err, usb.ErrClosed) {
				t.Errorf("%s after Close: %v", doing, err)
			}
		}
		again, err := bus.Open(t.Context(), id)
		if err != nil {
			t.Fatalf("opening it after Close: %v", err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestRecordedSensorLeavesNothingBehind(t *testing.T) {
	umockdev.Run(t, umockdev.NB1010(), func(t *testing.T) {
		var bus libusb.Bus
		id := find(t, &bus, 0x298d).Identity()
		descriptors := func() int {
			list, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		cycle := func() {
			d, err := bus.Open(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Claim(0, 0); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
		cycle()
		before, routines := descriptors(), runtime.NumGoroutine()
		for range 100 {
			cycle()
		}
		if after := descriptors(); after > before {
			t.Errorf("%d descriptors have become %d", before, after)
		}
		if after := runtime.NumGoroutine(); after > routines {
			t.Errorf("%d goroutines have become %d", routines, after)
		}
	})
}

func TestRecordedCameraOpensASession(t *testing.T) {
	umockdev.Run(t, umockdev.Canon(), func(t *testing.T) {
		d := open(t, 0x04a9)
		command := binary.LittleEndian.AppendUint32(nil, 16)
		command = append(command, 1, 0, 2, 0x10, 0, 0, 0, 0, 1, 0, 0, 0)
		if n, err := d.Transfer(t.Context(), 0x02, command); n != 16 || err != nil {
			t.Fatalf("sending OpenSession: %d, %v", n, err)
		}
		answer := make([]byte, 1024)
		n, err := d.Transfer(t.Context(), 0x81, answer)
		if err != nil || n < 12 || !bytes.Equal(answer[4:8], []byte{3, 0, 1, 0x20}) {
			t.Fatalf("answer % x, %v", answer[:n], err)
		}
	})
}
