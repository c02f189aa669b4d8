package stage_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/binary"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"

	"filippo.io/age"

	"loket/drivers/usb/usbtest/umockdev"
	"loket/firmware-sim/stage"
	"loket/kiosk/api"
	"loket/kiosk/identity"
	"loket/kiosk/record"
)

// An unmodified daemon takes a document photo from a recorded camera and a finger from a recorded reader to a receipt.
func TestRecordedDevicesGoTheWholeWayToAReceipt(t *testing.T) {
	sealed := recordedIntake(t, filepath.Join(recordings(t), "uru4000-4500", "capture.pcapng"))
	photo := part(t, sealed, "face.jpg")
	if want := fromTar(t, filepath.Join(recordings(t), "canon-sx200", "test-photos.tar"), "./DCIM/100CANON/IMG_0001.JPG"); !bytes.Equal(photo, want) {
		t.Errorf("the sealed photograph has %d bytes and is not the %d bytes that the camera holds", len(photo), len(want))
	}
	finger := pixels(t, part(t, sealed, "fingers/02.png"))
	reference, err := os.ReadFile(filepath.Join(recordings(t), "uru4000-4500", "capture.png"))
	if err != nil {
		t.Fatal(err)
	}
	if n := differing(t, finger, pixels(t, reference)); n != 0 {
		t.Errorf("%d pixels of the sealed finger differ from the reference image", n)
	}
}

// What the wire says is what is sealed: one byte of it is one pixel.
func TestRecordedByteThatIsFlippedChangesItsPixelAlone(t *testing.T) {
	whole := filepath.Join(recordings(t), "uru4000-4500", "capture.pcapng")
	before := pixels(t, part(t, recordedIntake(t, whole), "fingers/02.png"))
	after := pixels(t, part(t, recordedIntake(t, flipped(t, whole)), "fingers/02.png"))
	if n := differing(t, before, after); n != 1 {
		t.Errorf("a flipped byte changes %d pixels", n)
	}
}

// recordings gives the folder of recorded devices.
func recordings(t *testing.T) string {
	t.Helper()
	t.Attr("fixtures", "usb")
	dir := os.Getenv("LOKET_FIXTURES")
	if dir == "" {
		t.Skip("LOKET_FIXTURES is not set: the recordings are not here")
	}
	if _, err := exec.LookPath("umockdev-run"); err != nil {
		t.Skip("umockdev-run is not here (hint: apt-get install umockdev)")
	}
	if !withC(t) {
		t.Skip("kioskd was built without cgo: it has no kernel bus (hint: CGO_ENABLED=1)")
	}
	return filepath.Join(dir, "usb")
}

// withC reports whether this test, and so the kioskd that it built, was built with cgo.
func withC(t *testing.T) bool {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "CGO_ENABLED" {
			return s.Value == "1"
		}
	}
	return ok && os.Getenv("CGO_ENABLED") != "0"
}

// recordedIntake runs one intake with the recorded devices and opens what was sealed.
func recordedIntake(t *testing.T, reader string) *record.Record {
	t.Helper()
	bed := umockdev.Bed{
		Devices: []string{"uru4000-4500/device", "canon-sx200/canon-powershot-sx200.umockdev"},
		Pcap:    map[string]string{"uru4000-4500/device": reader},
		Ioctl:   map[string]string{"/dev/bus/usb/001/011": "canon-sx200/canon-powershot-sx200.ioctl"},
	}
	wrap, err := bed.Command(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, c := opened(t, stage.Options{
		Policy: "device-test",
		Wrap:   map[string][]string{stage.Kioskd: wrap},
		Station: map[string]any{"buses": []string{"kernel"},
			"device_test": map[string]any{"seed": 0x51ea2124, "document": 0x01900011}},
	})
	return intake(ctx, t, c)
}

// intake serves one ticket and opens what was sealed.
func intake(ctx context.Context, t *testing.T, c *stage.Centre) *record.Record {
	t.Helper()
	issued := ticket(ctx, t, c)
	if _, err := c.Kiosk.Do(ctx, api.Command{Start: &api.Start{Ticket: issued.ID}}); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, c, "the receipt", func(st api.Status) bool {
		return st.LastEnd != nil && st.LastEnd.Record != "" && st.Outbox.Pending == 0
	})
	settled(ctx, t, c, issued)
	sound(ctx, t, c, issued)
	return openOne(ctx, t, c, issued.ID)
}

// openOne opens the record of a ticket with the service's key.
func openOne(ctx context.Context, t *testing.T, c *stage.Centre, ticket string) *record.Record {
	t.Helper()
	trace, err := c.Trace(ctx, ticket)
	if err != nil {
		t.Fatal(err)
	}
	return openRecord(t, c, stage.StationName, trace.Queue.Ticket.Record)
}

// openRecord opens a record that a station made.
func openRecord(t *testing.T, c *stage.Centre, station, id string) *record.Record {
	t.Helper()
	keys, err := os.ReadFile(c.PKI.Path("service.age"))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := age.ParseIdentities(bytes.NewReader(keys))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := identity.LoadCertificate(c.PKI.Path(station + ".crt"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(c.Dir, "central", "records", id+".age"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := record.Open(f, ids, cert.PublicKey.(*ecdsa.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func part(t *testing.T, r *record.Record, name string) []byte {
	t.Helper()
	for _, p := range r.Parts {
		if p.Name == name {
			return p.Data
		}
	}
	t.Fatalf("the record has no %s", name)
	return nil
}

func fromTar(t *testing.T, archive, name string) []byte {
	t.Helper()
	out, err := exec.Command("tar", "xOf", archive, name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func pixels(t *testing.T, data []byte) image.Image {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// differing counts the pixels in which two pictures differ. A row that only one of them has must be there as paper.
func differing(t *testing.T, a, b image.Image) int {
	t.Helper()
	if a.Bounds().Dx() != b.Bounds().Dx() || a.Bounds().Dy() != b.Bounds().Dy() {
		t.Fatalf("the pictures are %v and %v", a.Bounds(), b.Bounds())
	}
	n := 0
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			r1, _, _, _ := a.At(a.Bounds().Min.X+x, a.Bounds().Min.Y+y).RGBA()
			r2, _, _, _ := b.At(b.Bounds().Min.X+x, b.Bounds().Min.Y+y).RGBA()
			if r1 != r2 {
				n++
			}
		}
	}
	return n
}

// flipped copies a recording with one byte of its image flipped: the largest packet is the image.
func flipped(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at, size := 0, 0
	for o := 0; o+12 <= len(data); {
		length := int(binary.LittleEndian.Uint32(data[o+4:]))
		if length < 12 || o+length > len(data) {
			t.Fatalf("the recording has no block at byte %d", o)
		}
		if length > size {
			at, size = o, length
		}
		o += length
	}
	data[at+28+64+60005] ^= 0x10 // past the block's head and usbmon's
	copied := filepath.Join(t.TempDir(), "flipped.pcapng")
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}
