package ptp_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"loket/drivers"
	"loket/drivers/driverstest"
	"loket/drivers/ptp"
	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
	"loket/firmware-sim/ptpcam"
)

// openAs opens the one device of a bus with a driver.
func openAs(t testing.TB, driver drivers.Driver, bus usb.Bus) drivers.Camera {
	t.Helper()
	infos, err := bus.Devices(t.Context())
	if err != nil || len(infos) != 1 {
		t.Fatalf("listing the bus: %v, %v", infos, err)
	}
	raw, err := bus.Open(t.Context(), infos[0].Identity())
	if err != nil {
		t.Fatal(err)
	}
	dev, err := driver.Open(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev.(drivers.Camera)
}

// recorded opens a file of the recorded camera.
func recorded(t *testing.T, name string) io.Reader {
	t.Helper()
	t.Attr("fixtures", "usb/canon-sx200")
	root := os.Getenv("LOKET_FIXTURES")
	f, err := os.Open(filepath.Join(root, "usb", "canon-sx200", name))
	if root == "" || err != nil {
		t.Skip("skipped: no recording of a real camera (set LOKET_FIXTURES to the folder that holds usb/canon-sx200)")
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// canon is the recorded camera.
func canon(t *testing.T) *usbtest.Player {
	t.Helper()
	info, descriptors, err := usbtest.ReadUmockdev(recorded(t, "canon-powershot-sx200.umockdev"))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := usbtest.ReadIoctl(recorded(t, "canon-powershot-sx200.ioctl"), usbtest.IoctlOptions{Info: info, Descriptors: descriptors, Merged: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := usbtest.Play(rec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// onCard reads the photographs that lay on the recorded camera's card.
func onCard(t *testing.T) map[string][]byte {
	t.Helper()
	m := map[string][]byte{}
	for r := tar.NewReader(recorded(t, "test-photos.tar")); ; {
		h, err := r.Next()
		if err == io.EOF {
			return m
		}
		if err == nil {
			m[filepath.Base(h.Name)], err = io.ReadAll(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestARecordedCanonGivesItsPhotographsByteForByte(t *testing.T) {
	player, want := canon(t), onCard(t)
	synctest.Test(t, func(t *testing.T) {
		cam := openAs(t, ptp.Options{Document: 0x01900011}.Driver(), player)
		first, err := cam.Still(t.Context())
		if err != nil || !bytes.Equal(first.Encoded, want["IMG_0001.JPG"]) {
			t.Errorf("the document has %d bytes, %v", len(first.Encoded), err)
		}
		second, err := cam.(ptp.Library).Download(t.Context(), 0x01900021)
		if err != nil || !bytes.Equal(second.Encoded, want["IMG_0002.JPG"]) {
			t.Errorf("the other photograph has %d bytes, %v", len(second.Encoded), err)
		}
		if len(first.Encoded) == 0 || first.MediaType != "image/jpeg" {
			t.Errorf("the document is %q", first.MediaType)
		}
		if i := cam.Info(); i.Model != "Canon PowerShot SX200 IS" || i.Firmware != "1-6.0.1.0" {
			t.Errorf("the camera is %+v", i)
		}
		if err := errors.Join(cam.Close(), player.Done()); err != nil {
			t.Error(err)
		}
	})
}

func TestARecordedCanonListsItsStore(t *testing.T) {
	player := canon(t)
	synctest.Test(t, func(t *testing.T) {
		cam := openAs(t, ptp.Driver(), player)
		list, err := cam.(ptp.Library).Objects(t.Context())
		if err != nil || len(list) != 4 {
			t.Fatalf("it lists %+v, %v", list, err)
		}
		for i, want := range []ptp.Object{
			{Handle: 0x00080000, Store: 0x10001, Folder: true, Format: 0x3001, Name: "DCIM", Taken: list[0].Taken},
			{Handle: 0x01900000, Parent: 0x00080000, Store: 0x10001, Folder: true, Format: 0x3001, Name: "100CANON", Taken: list[1].Taken},
			{Handle: 0x01900011, Parent: 0x01900000, Store: 0x10001, Format: 0x3801, Size: 68182, Width: list[2].Width, Height: list[2].Height, Name: "IMG_0001.JPG", Taken: list[2].Taken},
			{Handle: 0x01900021, Parent: 0x01900000, Store: 0x10001, Format: 0x3801, Size: 89334, Width: list[3].Width, Height: list[3].Height, Name: "IMG_0002.JPG", Taken: list[3].Taken},
		} {
			if list[i] != want {
				t.Errorf("object %d is %+v, not %+v", i, list[i], want)
			}
		}
		if _, err := cam.Still(t.Context()); !errors.Is(err, errors.ErrUnsupported) || drivers.Verdict(err) != "" {
			t.Errorf("a photograph gives %v", err)
		}
		if err := errors.Join(cam.Close(), player.Done()); err != nil {
			t.Error(err)
		}
	})
}

func TestADocumentStaysInTheStore(t *testing.T) {
	s := scene(t)
	synctest.Test(t, func(t *testing.T) {
		d := camera(s)
		d.Keep(s.Frames[1])
		handle := d.Keep(s.Frames[0])
		cam := openAs(t, ptp.Options{Document: handle}.Driver(), usbtest.Attach(d))
		for range 2 {
			m, err := cam.Still(t.Context())
			if err != nil || !bytes.Equal(m.Encoded, s.Frames[0]) {
				t.Errorf("%d bytes, %v", len(m.Encoded), err)
			}
		}
		if d.Stored() != 2 || d.Watching() {
			t.Errorf("%d photographs are in the store", d.Stored())
		}
	})
}

func TestADocumentThatIsNotThereIsNoFault(t *testing.T) {
	s := scene(t)
	synctest.Test(t, func(t *testing.T) {
		d := camera(s)
		cam := openAs(t, ptp.Options{Document: 1}.Driver(), usbtest.Attach(d))
		if _, err := cam.Still(t.Context()); !errors.Is(err, ptp.ErrNoObject) || drivers.Verdict(err) != "" {
			t.Errorf("it gives %v", err)
		}
		d.Keep(s.Still)
		if m, err := cam.Still(t.Context()); err != nil || !bytes.Equal(m.Encoded, s.Still) {
			t.Errorf("once it is there: %d bytes, %v", len(m.Encoded), err)
		}
	})
}

func TestSuiteOfDocuments(t *testing.T) {
	document := picture(64, 48, 5)
	driverstest.Run(t, driverstest.Config{
		Driver: ptp.Options{Document: 1}.Driver(),
		New: func() driverstest.Subject {
			d := ptpcam.New(ptpcam.Options{})
			d.Keep(document)
			return driverstest.Subject{Gadget: d}
		},
		Capture: func(ctx context.Context, dev drivers.Device) (drivers.Image, error) {
			return dev.(drivers.Camera).Still(ctx)
		},
		Reference:  drivers.Image{Encoded: document, MediaType: "image/jpeg"},
		NoChecksum: true,
	})
}
