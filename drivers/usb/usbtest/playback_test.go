package usbtest_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
)

// script is a recording of an echo with these transfers.
func script(t testing.TB, lines ...string) *usbtest.Player {
	t.Helper()
	p, err := usbtest.Playback(strings.NewReader(echoHead() + strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func echoHead() string {
	return fmt.Sprintf("loket-usb 1\n# a comment\n\ndevice 1209:ec0e release 0110 speed high\nserial \"E1\"\ndescriptors %x\n", usbtest.NewEcho("E1").Descriptors())
}

func TestPlaybackTakesNothingButTheRecording(t *testing.T) {
	full := []string{"1 control 40 01 0000 0000 2: 6162", "2 out 01 3: 010203", "3 in 81 512: 0405"}
	store := func(ctx context.Context, dev usb.Device, data string, value uint16) error {
		_, err := dev.Control(ctx, usb.Setup{RequestType: 0x40, Request: 1, Value: value, Length: uint16(len(data))}, []byte(data))
		return err
	}
	send := func(ctx context.Context, dev usb.Device, data ...byte) error {
		_, err := dev.Transfer(ctx, usbtest.EchoOut, data)
		return err
	}
	fetch := func(ctx context.Context, dev usb.Device, size int) error {
		_, err := dev.Transfer(ctx, usbtest.EchoIn, make([]byte, size))
		return err
	}
	for name, c := range map[string]struct {
		driver func(context.Context, usb.Device) error
		want   string
	}{
		"the same": {func(ctx context.Context, dev usb.Device) error {
			return errors.Join(store(ctx, dev, "ab", 0), send(ctx, dev, 1, 2, 3), fetch(ctx, dev, 512))
		}, ""},
		"another byte": {func(ctx context.Context, dev usb.Device) error {
			return errors.Join(store(ctx, dev, "ab", 0), send(ctx, dev, 1, 2, 4))
		}, "line 8: the driver sends other bytes with out 01 of 3 bytes: byte 2 is 04 and not 03"},
		"another length": {func(ctx context.Context, dev usb.Device) error {
			return errors.Join(store(ctx, dev, "ab", 0), send(ctx, dev, 1, 2))
		}, "line 8: the driver runs out 01 of 2 bytes instead of out 01 of 3 bytes"},
		"another buffer": {func(ctx context.Context, dev usb.Device) error {
			return errors.Join(store(ctx, dev, "ab", 0), send(ctx, dev, 1, 2, 3), fetch(ctx, dev, 1024))
		}, "line 9: the driver runs in 81 of 1024 bytes instead of in 81 of 512 bytes"},
		"another setup": {func(ctx context.Context, dev usb.Device) error {
			return store(ctx, dev, "ab", 1)
		}, "line 7: the driver runs control 40 01 0001 0000 of 2 bytes instead of control 40 01 0000 0000 of 2 bytes"},
		"one too many": {func(ctx context.Context, dev usb.Device) error {
			return errors.Join(store(ctx, dev, "ab", 0), send(ctx, dev, 1, 2, 3), fetch(ctx, dev, 512), fetch(ctx, dev, 512))
		}, "the driver runs in 81 of 512 bytes after everything on this endpoint"},
		"one too few": {func(ctx context.Context, dev usb.Device) error {
			return errors.Join(store(ctx, dev, "ab", 0), send(ctx, dev, 1, 2, 3))
		}, "line 9: the driver did not run in 81 of 512 bytes"},
		"a halt cleared": {func(ctx context.Context, dev usb.Device) error {
			return dev.(usb.Resetter).ClearHalt(ctx, 0x81)
		}, "line 7: the driver runs clearing the halt of 81 instead of control"},
		"a reset": {func(ctx context.Context, dev usb.Device) error {
			return dev.(usb.Resetter).Reset(ctx)
		}, "line 7: the driver runs a reset instead of control"},
		"an answer before its question": {func(ctx context.Context, dev usb.Device) error {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			return fetch(ctx, dev, 512)
		}, "line 9: the driver gives up waiting for in 81 of 512 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := script(t, full...)
				dev := open(t, p)
				err := c.driver(t.Context(), dev)
				dev.Close()
				done := p.Done()
				if c.want == "" {
					if err != nil || done != nil {
						t.Errorf("it gives %v, then %v", err, done)
					}
					return
				}
				var m *usbtest.MismatchError
				if !errors.As(done, &m) || !strings.Contains(done.Error(), c.want) {
					t.Errorf("it is done with %v, want %s", done, c.want)
				}
			})
		})
	}
}

func TestPlaybackKeepsWhatCameBeforeWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := script(t, "2 out 01 1: 01", "1<2 in 82 8: aa", "3 in 82 8: bb", "4 in 82 8: - cancelled")
		dev := open(t, p)
		got := make(chan string, 2)
		go func() {
			for range 2 {
				b := make([]byte, 8)
				n, err := dev.Transfer(t.Context(), usbtest.EchoEvent, b)
				got <- fmt.Sprintf("%x %v", b[:n], err)
			}
		}()
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("before it was asked the device said %s", <-got)
		}
		if _, err := dev.Transfer(t.Context(), usbtest.EchoOut, []byte{1}); err != nil {
			t.Fatal(err)
		}
		if a, b := <-got, <-got; a != "aa <nil>" || b != "bb <nil>" {
			t.Errorf("the device said %s, %s", a, b)
		}
		closed := make(chan error)
		go func() {
			_, err := dev.Transfer(t.Context(), usbtest.EchoEvent, make([]byte, 8))
			closed <- err
		}()
		synctest.Wait()
		dev.Close()
		if err := <-closed; !errors.Is(err, usb.ErrClosed) {
			t.Errorf("what waited at Close gives %v", err)
		}
		if err := p.Done(); err != nil {
			t.Error(err)
		}
	})
}

func TestPlaybackFailsAsTheDeviceDid(t *testing.T) {
	p := script(t, "1 in 81 512: - stall", "2 in 81 2: 0102 overflow", "3 out 01 3: 010203 took 2", "4 out 01 1: 01 failed", "5 reset:", "6 in 81 8: - gone")
	dev := open(t, p)
	for _, want := range []struct {
		endpoint uint8
		data     []byte
		n        int
		err      error
	}{
		{0x81, make([]byte, 512), 0, usb.ErrStall}, {0x81, make([]byte, 2), 2, usb.ErrOverflow}, {0x01, []byte{1, 2, 3}, 2, nil},
	} {
		if n, err := dev.Transfer(t.Context(), want.endpoint, want.data); n != want.n || !errors.Is(err, want.err) {
			t.Errorf("%02x gives %d, %v", want.endpoint, n, err)
		}
	}
	if _, err := dev.Transfer(t.Context(), 0x01, []byte{1}); err == nil || errors.As(err, new(*usbtest.MismatchError)) {
		t.Errorf("a failure gives %v", err)
	}
	if err := dev.(usb.Resetter).Reset(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := dev.Transfer(t.Context(), 0x81, make([]byte, 8)); !errors.Is(err, usb.ErrGone) {
		t.Errorf("gone gives %v", err)
	}
	if err := p.Done(); err != nil {
		t.Error(err)
	}
}

func TestAHiddenPayloadHasToBeSupplied(t *testing.T) {
	p := script(t, "1 in 81 512: 40 hidden")
	_, err := open(t, p).Transfer(t.Context(), 0x81, make([]byte, 512))
	if err == nil || !strings.Contains(err.Error(), "hint: Supply gives it") || !errors.Is(p.Done(), err) {
		t.Errorf("it gives %v, then %v", err, p.Done())
	}
}

func TestAPlayerHasOneOwner(t *testing.T) {
	p := script(t)
	dev := open(t, p)
	info := dev.Info()
	if !info.Simulated() || info.Bus != "playback" {
		t.Errorf("it is %+v", info)
	}
	if _, err := p.Open(t.Context(), info.Identity()); !errors.Is(err, usb.ErrBusy) {
		t.Errorf("the second Open gives %v", err)
	}
	if _, err := p.Open(t.Context(), usb.Identity{Vendor: 1}); !errors.Is(err, usb.ErrNotFound) {
		t.Errorf("another identity gives %v", err)
	}
	dev.Close()
	if _, err := dev.Transfer(t.Context(), 0x81, nil); !errors.Is(err, usb.ErrClosed) {
		t.Errorf("after Close it gives %v", err)
	}
	open(t, p).Close()
}

func TestMistakesInARecordingAreNamedWithTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "the file is empty",
		"loket-usb 2\n":                         "line 1: a recording begins with",
		"loket-usb 1\nin 81\n":                  `line 2: "in" stands before the descriptors`,
		"loket-usb 1\n":                         "no descriptors",
		"loket-usb 1\ndevice x\n":               "line 2: this is not device",
		"loket-usb 1\nserial E1\n":              "line 2: a quoted text",
		"loket-usb 1\ndescriptors 00\n":         "line 2: parsing descriptors",
		echoHead() + "1 in 81 8: zz":            `line 7: "zz" is no payload`,
		echoHead() + "1 in 81 8:":               "line 7: no payload",
		echoHead() + "1 in 01 8: -":             "line 7: 01 is no endpoint for it",
		echoHead() + "1 in 81 1: 0102":          "line 7: 2 bytes do not fit a transfer of 1",
		echoHead() + "1 out 01 3: 01":           "line 7: 1 bytes do not fit a transfer of 3",
		echoHead() + "1 in 81 8: 00*9":          `line 7: "00*9" is no run of zeros`,
		echoHead() + "1 in 81 8: - gnoe":        `line 7: "gnoe" is no outcome`,
		echoHead() + "1 in 81 8: 01 took 0":     "line 7: a transfer that goes out",
		echoHead() + "2 in 81 8: 01":            "2 transfers began and 1 ended",
		echoHead() + "1 reset:\n1 reset:":       "line 8: transfer 1 is here twice",
		echoHead() + "2<1 reset:":               `line 7: "2<1" is no number`,
		echoHead() + "1 in 81 99999999: -":      `line 7: "99999999" is no number`,
		echoHead() + "1 in 81 40: 40 sha256:12": "line 7: \"sha256:12\" is no digest",
	} {
		_, err := usbtest.ReadRecording(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %s", text[max(0, len(text)-60):], err, want)
		}
	}
}

// fixture opens a recording of a real device.
func fixture(t testing.TB, name string) *os.File {
	t.Helper()
	if s, ok := t.(*testing.T); ok {
		s.Attr("fixtures", "usb/"+filepath.Dir(name))
	}
	f, err := os.Open(filepath.Join(os.Getenv("LOKET_FIXTURES"), "usb", name))
	if os.Getenv("LOKET_FIXTURES") == "" || errors.Is(err, os.ErrNotExist) {
		t.Skipf("skipped: no recording usb/%s (set LOKET_FIXTURES to the folder that holds usb)", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// described reads umockdev's description of a device.
func described(t testing.TB, name string) (usb.Info, []byte) {
	t.Helper()
	info, descriptors, err := usbtest.ReadUmockdev(fixture(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return info, descriptors
}

// follow is a driver that does what a recording did, everything that waits at the same time, and checks what comes back.
func follow(t *testing.T, rec *usbtest.Recording) {
	t.Helper()
	p, err := usbtest.Play(rec)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := p.Open(t.Context(), rec.Info.Identity())
	if rec.Info.Serial == "" {
		dev, err = p.Open(t.Context(), usb.Identity{Vendor: rec.Info.Vendor, Product: rec.Info.Product, Port: "1-1"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Claim(0, 0); err != nil {
		t.Fatal(err)
	}
	results := make([]chan error, len(rec.Transfers))
	for i, tr := range rec.Transfers {
		for j, before := range rec.Transfers[:i] { // what had ended by then
			if before.Ended <= i && results[j] != nil {
				if err := <-results[j]; err != nil {
					t.Errorf("transfer %d: %v", j+1, err)
				}
				results[j] = nil
			}
		}
		results[i] = make(chan error, 1)
		go func() { results[i] <- again(t.Context(), dev, tr) }()
		synctest.Wait()
	}
	dev.Close()
	if err := p.Done(); err != nil {
		t.Error(err)
	}
}

// again runs a transfer of a recording.
func again(ctx context.Context, dev usb.Device, tr usbtest.Transfer) error {
	data := make([]byte, tr.Length)
	out := tr.Kind == usbtest.OutTransfer || tr.Kind == usbtest.ControlTransfer && !tr.Setup.In()
	if out {
		copy(data, tr.Payload.Data)
	}
	var n int
	var err error
	if tr.Kind == usbtest.ControlTransfer {
		n, err = dev.Control(ctx, tr.Setup, data)
	} else {
		n, err = dev.Transfer(ctx, tr.Endpoint, data)
	}
	if err == nil && (n != tr.Count || !out && !bytes.Equal(data[:n], tr.Payload.Data)) {
		return fmt.Errorf("%d bytes came, or others", n)
	}
	if tr.Outcome != usbtest.Good {
		return nil
	}
	return err
}

// reread writes a recording as text and reads that.
func reread(t *testing.T, rec *usbtest.Recording) *usbtest.Recording {
	t.Helper()
	var text bytes.Buffer
	if _, err := rec.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	again, err := usbtest.ReadRecording(&text)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestTheUareURecordingIsPlayed(t *testing.T) {
	rec, err := usbtest.ReadPcapng(fixture(t, "uru4000-4500/capture.pcapng"), usbtest.PcapngOptions{})
	if err != nil {
		t.Fatal(err)
	}
	info, descriptors := described(t, "uru4000-4500/device")
	if rec.Info.Vendor != 0x05ba || rec.Info.Product != 0x000a || !bytes.Equal(rec.Descriptors, descriptors) || info.Speed != usb.FullSpeed {
		t.Errorf("the device is %+v, described as %+v", rec.Info, info)
	}
	image := rec.Transfers[slices.IndexFunc(rec.Transfers, func(tr usbtest.Transfer) bool { return tr.Endpoint == 0x82 })]
	if len(rec.Transfers) != 18 || image.Length != 111424 || image.Count != 111040 {
		t.Errorf("%d transfers, the image has %d of %d bytes", len(rec.Transfers), image.Count, image.Length)
	}
	for _, rec := range []*usbtest.Recording{rec, reread(t, rec)} {
		synctest.Test(t, func(t *testing.T) { follow(t, rec) })
	}
}

func TestTheNB1010RecordingIsPlayed(t *testing.T) {
	info, descriptors := described(t, "nb1010/device")
	rec, err := usbtest.ReadIoctl(fixture(t, "nb1010/capture.ioctl"), usbtest.IoctlOptions{Info: info, Descriptors: descriptors})
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.Transfers) != 96 || rec.Info.Manufacturer != "NEXT Biometrics" {
		t.Errorf("%d transfers of %+v", len(rec.Transfers), rec.Info)
	}
	for _, rec := range []*usbtest.Recording{rec, reread(t, rec)} {
		synctest.Test(t, func(t *testing.T) { follow(t, rec) })
	}
}

// photos reads the photographs that lie on the recorded camera.
func photos(t testing.TB) map[string][]byte {
	t.Helper()
	m := map[string][]byte{}
	r := tar.NewReader(fixture(t, "canon-sx200/test-photos.tar"))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return m
		}
		if err != nil {
			t.Fatal(err)
		}
		if m[filepath.Base(h.Name)], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAMergedRecordingIsPlayedExchangeByExchange(t *testing.T) {
	info, descriptors := described(t, "canon-sx200/canon-powershot-sx200.umockdev")
	rec, err := usbtest.ReadIoctl(fixture(t, "canon-sx200/canon-powershot-sx200.ioctl"), usbtest.IoctlOptions{Info: info, Descriptors: descriptors, Merged: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := usbtest.Play(rec)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := p.Open(t.Context(), info.Identity())
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Claim(0, 0); err != nil {
		t.Fatal(err)
	}
	command, _ := hex.DecodeString("10000000010009101000000011009001")
	if n, err := dev.Transfer(t.Context(), 0x02, command); n != 16 || err != nil {
		t.Fatalf("the command gives %d, %v", n, err)
	}
	var photo []byte
	for _, size := range []int{1024, 65536, 1536, 98} {
		b := make([]byte, size)
		n, err := dev.Transfer(t.Context(), 0x81, b)
		if err != nil {
			t.Fatal(err)
		}
		photo = append(photo, b[:n]...)
	}
	if want := photos(t)["IMG_0001.JPG"]; !bytes.Equal(photo[12:], want) {
		t.Errorf("the photograph has %d bytes and not %d, or others", len(photo)-12, len(want))
	}
	if err := p.Done(); err == nil || !strings.Contains(err.Error(), "in the middle of an exchange") {
		t.Errorf("without the response it is done with %v", err)
	}
	if n, err := dev.Transfer(t.Context(), 0x81, make([]byte, 1024)); n != 12 || err != nil {
		t.Errorf("the response gives %d, %v", n, err)
	}
	if err := p.Done(); err != nil {
		t.Error(err)
	}
	if _, err := dev.Transfer(t.Context(), 0x81, make([]byte, 1024)); err == nil {
		t.Error("there is more than the exchange")
	}
	if _, err := rec.WriteTo(io.Discard); err == nil {
		t.Error("a merged recording was written")
	}
}

func FuzzReadRecording(f *testing.F) {
	f.Add([]byte(echoHead() + "1 control 40 01 0000 0000 2: 6162\n3 out 01 3: 010203 took 2\n2<3 in 82 8: 01 00*5\n4 in 81 40: 40 sha256:" + strings.Repeat("ab", 32) +
		"\n5 in 81 8: 3 hidden\n6 clear-halt 81: stall\n7 reset:\n8 in 81 8: - cancelled"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := usbtest.ReadRecording(bytes.NewReader(b))
		if err != nil {
			return
		}
		var once, twice bytes.Buffer
		if _, err := rec.WriteTo(&once); err != nil {
			t.Fatal(err)
		}
		again, err := usbtest.ReadRecording(bytes.NewReader(once.Bytes()))
		if err != nil {
			t.Fatalf("what was written is not read: %v\n%s", err, once.String())
		}
		if _, err := again.WriteTo(&twice); err != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Errorf("written again it is another, %v:\n%s\n%s", err, once.String(), twice.String())
		}
		if _, err := usbtest.Play(rec); err != nil {
			t.Error(err)
		}
	})
}

func FuzzReadPcapng(f *testing.F) {
	f.Add(capture(64, submit(1, 'S', 3, 0x81, 8, nil), submit(1, 'C', 3, 0x81, 2, []byte{1, 2})))
	f.Add(capture(48, submit(1, 'S', 2, 0, 2, []byte{1, 2})))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := usbtest.ReadPcapng(bytes.NewReader(b), usbtest.PcapngOptions{Descriptors: usbtest.NewEcho("E1").Descriptors()})
		if err == nil {
			rewritten(t, rec)
		}
	})
}

func FuzzReadIoctl(f *testing.F) {
	f.Add("@DEV x\nUSBDEVFS_GET_CAPABILITIES 0 FD010000\nUSBDEVFS_REAPURB 0 3 2 0 0 2 2 0 0102\n USBDEVFS_REAPURBNDELAY 0 3 129 0 0 8 2 0 0304\n")
	f.Add("USBDEVFS_REAPURB 0 2 0 0 0 9 1 0 C004070000000100AA\n")
	f.Fuzz(func(t *testing.T, s string) {
		rec, err := usbtest.ReadIoctl(strings.NewReader(s), usbtest.IoctlOptions{Descriptors: usbtest.NewEcho("E1").Descriptors()})
		if err == nil {
			rewritten(t, rec)
		}
	})
}

func FuzzReadUmockdev(f *testing.F) {
	f.Add(fmt.Sprintf("P: /devices/usb1/1-7\nH: descriptors=%x\nA: speed=12\\n\nA: serial=E1\n\nP: /x", usbtest.NewEcho("E1").Descriptors()))
	f.Fuzz(func(t *testing.T, s string) {
		_, descriptors, err := usbtest.ReadUmockdev(strings.NewReader(s))
		if err != nil {
			return
		}
		if _, err := usb.ParseDescriptors(descriptors); err != nil {
			t.Error(err)
		}
	})
}

// rewritten checks that an imported recording can be written and read.
func rewritten(t *testing.T, rec *usbtest.Recording) {
	t.Helper()
	var text bytes.Buffer
	if _, err := rec.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	again, err := usbtest.ReadRecording(bytes.NewReader(text.Bytes()))
	if err != nil || len(again.Transfers) != len(rec.Transfers) {
		t.Fatalf("what was written is not read: %v\n%s", err, text.String())
	}
	if _, err := usbtest.Play(rec); err != nil {
		t.Error(err)
	}
}
