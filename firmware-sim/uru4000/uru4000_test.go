package uru4000

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
)

// fixture opens a file of the recorded reader.
func fixture(t *testing.T, name string) *os.File {
	t.Helper()
	t.Attr("fixtures", "usb")
	dir := os.Getenv("LOKET_FIXTURES")
	if dir == "" {
		t.Skip("LOKET_FIXTURES is not set: the recordings are not here")
	}
	f, err := os.Open(filepath.Join(dir, "usb", "uru4000-4500", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestDescribesItselfAsTheRecordedReader(t *testing.T) {
	want, descriptors, err := usbtest.ReadUmockdev(fixture(t, "device"))
	if err != nil {
		t.Fatal(err)
	}
	d := New(Options{Serial: want.Serial})
	if !bytes.Equal(d.Descriptors(), descriptors) {
		t.Errorf("% x, want\n% x", d.Descriptors(), descriptors)
	}
	got := d.Info()
	if got.Manufacturer != want.Manufacturer || got.Serial != want.Serial || got.Speed != want.Speed {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestConfigurationHasOneInterfaceAndTwoEndpoints(t *testing.T) {
	d := New(Options{})
	if size := binary.LittleEndian.Uint16(d.Descriptors()[20:]); size != 32 || len(d.Descriptors()) != 18+32 {
		t.Errorf("a configuration of %d bytes", size)
	}
	layout, err := usb.ParseDescriptors(d.Descriptors())
	if err != nil {
		t.Fatal(err)
	}
	same := func(a, b usb.Endpoint) bool {
		return a.Address == b.Address && a.Type == b.Type && a.MaxPacket == b.MaxPacket && a.Interval == b.Interval
	}
	want := []usb.Endpoint{{Address: 0x81, Type: usb.InterruptType, MaxPacket: 64, Interval: 8}, {Address: 0x82, Type: usb.BulkType, MaxPacket: 64}}
	if s := layout.Settings; len(s) != 1 || s[0].Interface != (usb.Interface{Class: 255, SubClass: 255, Protocol: 255}) || !slices.EqualFunc(s[0].Endpoints, want, same) {
		t.Errorf("%+v", layout.Settings)
	}
}

// TestSendsTheRecordedImageByteForByte gives the finger of the recording to a reader with its key.
func TestSendsTheRecordedImageByteForByte(t *testing.T) {
	rec, err := usbtest.ReadPcapng(fixture(t, "capture.pcapng"), usbtest.PcapngOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(rec.Transfers, func(x usbtest.Transfer) bool { return x.Endpoint == endpointImage })
	want := rec.Transfers[at].Payload.Data
	m, err := png.Decode(fixture(t, "capture.png"))
	if err != nil {
		t.Fatal(err)
	}
	finger := image.NewGray(m.Bounds())
	for i := range finger.Pix {
		v, _, _, _ := m.At(i%Width, i/Width).RGBA()
		finger.Pix[i] = uint8(v >> 8)
	}
	blocks := []Block{{Scrambled, 72}, {0, 1}, {Scrambled, 49}, {RowsAbsent, 1}, {0, 1}, {Scrambled, 49}, {0, 1}, {Scrambled, 116}}
	got := encodeImage(finger, blocks, 0, &[256]uint32{0x05ae28f2 ^ 0x51ea2124})
	if !bytes.Equal(got[:7], want[:7]) || !bytes.Equal(got[16:32], want[16:32]) {
		t.Errorf("the head is\n% x, want\n% x", got[:headSize], want[:headSize])
	}
	if !bytes.Equal(got[headSize+1:], want[headSize+1:]) { // the very first byte is none
		t.Error("the rows are others")
	}
}

// host speaks to a reader as a driver would, without being one.
type host struct {
	*testing.T
	*Device
}

func (h host) read(register uint16, n int) []byte {
	h.Helper()
	b := make([]byte, n)
	if got, err := h.Control(h.Context(), usb.Setup{RequestType: 0xc0, Request: 4, Value: register, Length: uint16(n)}, b); got != n || err != nil {
		h.Fatalf("reading register %02x: %d, %v", register, got, err)
	}
	return b
}

func (h host) write(register uint16, b ...byte) {
	h.Helper()
	if n, err := h.Control(h.Context(), usb.Setup{RequestType: 0x40, Request: 4, Value: register, Length: uint16(len(b))}, b); n != len(b) || err != nil {
		h.Fatalf("writing register %02x: %d, %v", register, n, err)
	}
}

// reports reads what is there.
func (h host) reports() []uint16 {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), time.Millisecond)
	defer cancel()
	var list []uint16
	for {
		var b [64]byte
		n, err := h.Transfer(ctx, endpointReport, b[:])
		if err != nil {
			return list
		}
		if n != reportSize {
			h.Errorf("a report of %d bytes", n)
		}
		list = append(list, binary.BigEndian.Uint16(b[:]))
	}
}

func TestPowerComesOnceItWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := host{t, New(Options{})}
		if got := h.reports(); got != nil {
			t.Errorf("before anything: %04x", got)
		}
		h.write(registerStatus, 0x81)
		h.write(registerStatus, 0x01)
		if got := h.reports(); !slices.Equal(got, []uint16{0x56aa, 0x56aa, 0x56aa}) {
			t.Errorf("powered up: %04x", got)
		}
		if got := h.read(registerStatus, 1); got[0]&0x80 != 0 {
			t.Errorf("status %02x", got)
		}
		if got := h.read(registerInfo, 16); len(got) != 16 {
			t.Errorf("register f0: % x", got)
		}
	})
}

func TestFingerIsReportedInTheModeThatAwaitsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := host{t, New(Options{})}
		h.Present(Presentation{})
		h.Lift()
		h.write(registerMode, modeAwaitOff)
		h.write(registerMode, modeAwaitOn)
		if g := h.Guidance(); g != (Guidance{Armed: true}) {
			t.Errorf("%+v", g)
		}
		changed := h.Changed()
		h.Present(Presentation{})
		h.Present(Presentation{}) // another finger without a lift
		h.write(registerMode, modeAwaitOff)
		<-changed
		if g := h.Guidance(); g != (Guidance{Lift: true}) {
			t.Errorf("%+v", g)
		}
		h.Lift()
		h.write(registerMode, modeOff)
		h.Present(Presentation{})
		if got := h.reports(); !slices.Equal(got, []uint16{0x0200, 0x0101, 0x0200}) {
			t.Errorf("%04x", got)
		}
	})
}

func TestImageGoesOutInOneTransferThatWasAskedForBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := host{t, New(Options{})}
		h.Present(Presentation{})
		got := make(chan int)
		go func() {
			n, _ := h.Transfer(t.Context(), endpointImage, make([]byte, 111424))
			got <- n
		}()
		synctest.Wait()
		h.write(registerMode, modeCapture)
		if n := <-got; n != 111040 {
			t.Errorf("%d bytes", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n, err := h.Transfer(ctx, endpointImage, make([]byte, 64)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("and then %d bytes more, %v", n, err)
		}
	})
}

func TestImageInPartsEndsWithNoBytes(t *testing.T) {
	h := host{t, New(Options{})}
	h.write(registerMode, modeCapture)
	total := 0
	for {
		n, err := h.Transfer(t.Context(), endpointImage, make([]byte, 320))
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			break
		}
	}
	if total != 111040 {
		t.Errorf("%d bytes", total)
	}
}

func TestKeysGoOut(t *testing.T) {
	h := host{t, New(Options{Key: 0xdeadbeef})}
	h.write(registerSeed, 0, 0x78, 0x56, 0x34, 0x12)
	if got := h.read(registerKey, 4); binary.LittleEndian.Uint32(got) != 0xdeadbeef^0x12345678 {
		t.Errorf("% x", got)
	}
	h.write(registerSeed, 1, 0, 0, 0, 0)
	if got := h.read(registerKey, 4); binary.LittleEndian.Uint32(got) == 0xdeadbeef {
		t.Error("two images have one key")
	}
}

func TestWrongRequestsStall(t *testing.T) {
	d := New(Options{})
	for _, s := range []usb.Setup{
		{RequestType: 0xc0, Request: 5, Value: 7, Length: 1}, {RequestType: 0x80, Request: 4, Value: 7, Length: 1}, {RequestType: 0xc0, Request: 4, Value: 8, Length: 1},
		{RequestType: 0x40, Request: 4, Value: 7, Length: 2}, {RequestType: 0x40, Request: 4, Value: 0x4e, Length: 1}, {RequestType: 0x40, Request: 4, Value: 0x33, Length: 4},
		{RequestType: 0x40, Request: 4, Value: 0xf0, Length: 16}, {RequestType: 0xc0, Request: 4, Value: 7, Length: 100},
	} {
		if n, err := d.Control(t.Context(), s, make([]byte, 16)); !errors.Is(err, usb.ErrStall) {
			t.Errorf("%+v: %d, %v", s, n, err)
		}
	}
}

func TestNothingHappensWithoutPower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := host{t, New(Options{})}
		h.Present(Presentation{})
		h.write(registerStatus, 0x81)
		h.write(registerMode, modeAwaitOn)
		if got := h.reports(); got != nil {
			t.Errorf("reports %04x", got)
		}
		h.BusReset()
		if got := h.read(registerStatus, 1); got[0] != 1 {
			t.Errorf("status %02x after a bus reset", got)
		}
	})
}

func TestBlocksThatAreNoImagePanic(t *testing.T) {
	for _, blocks := range [][]Block{{{0, 200}}, {{0, 200}, {0, 91}}, {{Scrambled | NoKeyUpdate, 145}, {0, 145}}, slices.Repeat([]Block{{0, 18}}, 16)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v was taken", blocks)
				}
			}()
			New(Options{Blocks: blocks})
		}()
	}
}
