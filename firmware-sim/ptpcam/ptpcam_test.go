package ptpcam

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"image"
	"image/jpeg"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers/usb"
)

// The vectors below are written by hand from ISO 15740:2013: annex D.3 for containers, D.5.2 for class requests, clause 5.5
// for datasets, 13.3.3 for properties.

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// host asks a camera things by their bytes.
type host struct {
	testing.TB
	d    *Device
	next uint32
}

// send sends a command and returns its transaction.
func (h *host) send(op uint16, params ...uint32) uint32 {
	h.Helper()
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(12+4*len(params)))
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, op)
	b = le.AppendUint32(b, h.next)
	for _, p := range params {
		b = le.AppendUint32(b, p)
	}
	h.next++
	if n, err := h.d.Transfer(h.Context(), EndpointOut, b); n != len(b) || err != nil {
		h.Fatalf("sending %04x: %d, %v", op, n, err)
	}
	return h.next - 1
}

// read reads one container, whatever its length.
func (h *host) read() []byte {
	h.Helper()
	b := make([]byte, 1<<20)
	n, err := h.d.Transfer(h.Context(), EndpointIn, b)
	if err != nil || n < 12 || int(binary.LittleEndian.Uint32(b)) != n {
		h.Fatalf("reading a container: % x, %v", b[:min(n, 32)], err)
	}
	return b[:n]
}

// ask runs an operation and returns its payload and response code.
func (h *host) ask(op uint16, params ...uint32) (payload []byte, code uint16) {
	h.Helper()
	id := h.send(op, params...)
	b := h.read()
	if binary.LittleEndian.Uint16(b[4:]) == 2 {
		payload, b = b[12:], h.read()
	}
	if got := binary.LittleEndian.Uint32(b[8:]); got != id || binary.LittleEndian.Uint16(b[4:]) != 3 {
		h.Fatalf("operation %04x: response % x", op, b)
	}
	return payload, binary.LittleEndian.Uint16(b[6:])
}

// want runs an operation that must answer with that code.
func (h *host) want(code uint16, op uint16, params ...uint32) []byte {
	h.Helper()
	payload, got := h.ask(op, params...)
	if got != code {
		h.Errorf("operation %04x %x answered %04x, not %04x", op, params, got, code)
	}
	return payload
}

func (h *host) event() []byte {
	h.Helper()
	b := make([]byte, 64)
	n, err := h.d.Transfer(h.Context(), EndpointEvent, b)
	if err != nil {
		h.Fatal(err)
	}
	return b[:n]
}

func (h *host) control(requestType, request uint8, data []byte) int {
	h.Helper()
	n, err := h.d.Control(h.Context(), usb.Setup{RequestType: requestType, Request: request, Length: uint16(len(data))}, data)
	if err != nil {
		h.Errorf("class request %02x: %v", request, err)
	}
	return n
}

func at(s string) func() time.Time {
	return func() time.Time {
		t, _ := time.Parse(time.DateTime, s)
		return t.Add(time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
	}
}

func opened(t testing.TB, o Options) *host {
	h := &host{TB: t, d: New(o), next: 1}
	h.want(rcOK, opOpenSession, 1)
	return h
}

func TestDeviceInfoByTheLayout(t *testing.T) {
	h := &host{TB: t, d: New(Options{Serial: "S1"})}
	got := h.want(rcOK, opGetDeviceInfo)
	want := unhex(t, `
		6400 0a000000 6400 00 0000
		11000000 0110 0210 0310 0410 0510 0610 0710 0810 0910 0b10 0e10 1410 1510 c890 0192 0292 0392
		02000000 0240 0d40
		02000000 0150 0350
		01000000 0138  01000000 0138
		06 4c006f006b0065007400 0000
		10 50006f00720074007200610069007400 2000 630061006d00650072006100 0000
		04 3100 2e00 3000 0000
		03 5300 3100 0000`)
	if !bytes.Equal(got, want) {
		t.Errorf("got  % x\nwant % x", got, want)
	}
}

func TestACaptureByTheLayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := opened(t, Options{Exposure: 300 * time.Millisecond, Now: at("2026-01-02 03:04:05")})
		h.want(rcOK, opGetStorageIDs)
		shutter := h.next
		h.want(rcOK, opInitiateCapture, 0, 0)
		h.want(rcDeviceBusy, opDeviceReady)
		h.want(rcDeviceBusy, opInitiateCapture, 0, 0)
		start := time.Now()
		le := binary.LittleEndian
		if got, want := h.event(), slices.Concat(unhex(t, "10000000 0400 0240"), le.AppendUint32(nil, shutter), []byte{1, 0, 0, 0}); !bytes.Equal(got, want) {
			t.Errorf("got event % x, want % x", got, want)
		}
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("the exposure took %v", took)
		}
		if got, want := h.event(), slices.Concat(unhex(t, "0c000000 0400 0d40"), le.AppendUint32(nil, shutter)); !bytes.Equal(got, want) {
			t.Errorf("got event % x, want % x", got, want)
		}
		if got, want := h.want(rcOK, opGetObjectHandles, everything, 0, 0), unhex(t, "01000000 01000000"); !bytes.Equal(got, want) {
			t.Errorf("got handles % x", got)
		}
		photo := h.want(rcOK, opGetObject, 1)
		info := unhex(t, `01000100 0138 0000 00000000 0000 00000000 00000000 00000000 80070000 38040000 18000000 00000000 0000 00000000 00000000
			0d 4c004f004b005f003000300030003100 2e004a0050004700 0000
			10 32003000320036003000310030003200 54003000330030003400300035 00 0000 00 00`)
		le.PutUint32(info[8:], uint32(len(photo)))
		if got := h.want(rcOK, opGetObjectInfo, 1); !bytes.Equal(got, info) {
			t.Errorf("got  % x\nwant % x", got, info)
		}
		h.want(rcOK, opDeleteObject, 1)
		for _, op := range []uint16{opGetObjectInfo, opGetObject, opDeleteObject} {
			h.want(rcInvalidObjectHandle, op, 1)
		}
	})
}

func TestPropertiesByTheLayout(t *testing.T) {
	h := opened(t, Options{})
	for _, c := range []struct {
		op, prop uint16
		want     string
	}{
		{opGetDevicePropDesc, propBatteryLevel, "0150 0200 00 64 64 01 00 64 01"},
		{opGetDevicePropValue, propBatteryLevel, "64"},
		{opGetDevicePropDesc, propImageSize, `0350 ffff 00 0a 3100390032003000780031003000380030000000 0a 3100390032003000780031003000380030000000
			02 0100 0a 3100390032003000780031003000380030000000`},
		{opGetDevicePropValue, propLiveViewStatus, "00"},
	} {
		if got, want := h.want(rcOK, c.op, uint32(c.prop)), unhex(t, c.want); !bytes.Equal(got, want) {
			t.Errorf("%04x of %04x: got % x, want % x", c.op, c.prop, got, want)
		}
	}
	h.want(rcOK, opStartLiveView)
	if got := h.want(rcOK, opGetDevicePropValue, propLiveViewStatus); !bytes.Equal(got, []byte{1}) {
		t.Errorf("live view runs and its property says % x", got)
	}
	h.want(rcDevicePropNotSupported, opGetDevicePropDesc, 0x500d)
}

func TestWrongRequestsAreRefused(t *testing.T) {
	h := &host{TB: t, d: New(Options{})}
	h.want(rcSessionNotOpen, opGetStorageIDs)
	h.want(rcInvalidParameter, opOpenSession, 0)
	h.want(rcOK, opOpenSession, 5)
	h.want(rcSessionAlreadyOpen, opOpenSession, 1)
	h.want(rcOperationNotSupported, 0x100c)
	h.want(rcInvalidStorageID, opGetStorageInfo, 2)
	h.want(rcInvalidStorageID, opGetObjectHandles, 2, 0, 0)
	h.want(rcSpecificationByFormat, opGetObjectHandles, everything, 0x3000, 0)
	h.want(rcInvalidStorageID, opInitiateCapture, 2, 0)
	h.want(rcNotInLiveView, opGetLiveViewImage)
	h.want(rcOK, opCloseSession)
	h.want(rcSessionNotOpen, opCloseSession)
}

func TestTheStoreFillsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := opened(t, Options{})
		for range maxObjects {
			h.want(rcOK, opInitiateCapture, 0, 0)
			time.Sleep(time.Second)
		}
		h.want(rcStoreFull, opInitiateCapture, 0, 0)
		if n := len(h.d.core.events); n > maxEvents {
			t.Errorf("%d events wait for nobody", n)
		}
		h.want(rcOK, opDeleteObject, everything)
		h.want(rcOK, opInitiateCapture, 0, 0)
	})
}

func TestLiveViewIsPacedAndCycles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := opened(t, Options{})
		frames := [][]byte{grey(t, 10), grey(t, 100), grey(t, 200)}
		h.d.Show(Scene{Frames: frames})
		h.want(rcOK, opStartLiveView)
		start := time.Now()
		for i := range 31 {
			p := h.want(rcOK, opGetLiveViewImage)
			if !bytes.Equal(p[liveHeader:], frames[i%3]) {
				t.Fatalf("frame %d is not the scene's", i)
			}
			if !bytes.Equal(p[:4], []byte{0, 64, 0, 48}) {
				t.Fatalf("frame %d says it measures % x", i, p[:4])
			}
		}
		if took := time.Since(start); took.Round(time.Millisecond) != time.Second {
			t.Errorf("30 frames took %v", took)
		}
		time.Sleep(time.Second / 2)
		start = time.Now()
		h.want(rcOK, opGetLiveViewImage)
		if took := time.Since(start); took != 0 {
			t.Errorf("a late host waits another %v", took)
		}
	})
}

// TestAFrameThatBecomesReadyMeanwhileIsSent: the clock goes on between any two looks at it.
func TestAFrameThatBecomesReadyMeanwhileIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := time.Duration(0)
		h := opened(t, Options{Rate: 1000, Now: func() time.Time {
			looks++
			return time.Now().Add(looks * 20 * time.Microsecond)
		}})
		h.want(rcOK, opStartLiveView)
		start := time.Now()
		for i := range 100 {
			time.Sleep(time.Duration(i) * 10 * time.Microsecond)
			h.want(rcOK, opGetLiveViewImage)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("100 frames took %v", took)
		}
	})
}

func grey(t testing.TB, v uint8) []byte {
	m := image.NewGray(image.Rect(0, 0, 64, 48))
	for i := range m.Pix {
		m.Pix[i] = v
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWatchingTellsItsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := opened(t, Options{})
		next := func(want bool) {
			t.Helper()
			if got := h.d.Watching(); got != want {
				t.Errorf("watching is %v", got)
			}
		}
		changes := 0
		seen := func(c <-chan struct{}) {
			<-c
			changes++
		}
		next(false)
		c := h.d.Changed()
		h.want(rcOK, opStartLiveView)
		seen(c)
		next(true)
		c = h.d.Changed()
		h.want(rcOK, opStartLiveView)
		h.want(rcOK, opEndLiveView)
		seen(c)
		next(false)
		c = h.d.Changed()
		h.want(rcOK, opInitiateCapture)
		seen(c)
		c = h.d.Changed()
		h.event()
		seen(c)
		next(false)
		c = h.d.Changed()
		h.want(rcOK, opStartLiveView)
		seen(c)
		c = h.d.Changed()
		h.d.BusReset()
		seen(c)
		next(false)
	})
}

func TestClassRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := opened(t, Options{})
		status := func() string {
			b := make([]byte, 32)
			return hex.EncodeToString(b[:h.control(fromInterface, requestStatus, b)])
		}
		id := h.send(opGetDeviceInfo)
		h.control(toInterface, requestCancel, binary.LittleEndian.AppendUint32([]byte{1, 0x40}, id))
		if a, b := status(), status(); a != "04001920" || b != "04000120" {
			t.Errorf("after a cancel the status is %s, then %s", a, b)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n, err := h.d.Transfer(ctx, EndpointIn, make([]byte, 512)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a cancelled transaction still sends %d bytes, %v", n, err)
		}
		h.want(rcOK, opGetStorageIDs)

		h.want(rcOK, opInitiateCapture)
		h.event()
		b := make([]byte, 32)
		if n := h.control(fromInterface, requestExtendedEvent, b); !bytes.Equal(b[:8], slices.Concat([]byte{0x0d, 0x40}, b[2:6], []byte{0, 0})) || n != 8 {
			t.Errorf("the last event is % x", b[:n])
		}
		h.control(toInterface, requestReset, nil)
		h.want(rcSessionNotOpen, opGetStorageIDs)
		for _, s := range []usb.Setup{{RequestType: 0x21, Request: 0x64, Length: 2}, {RequestType: 0xa1, Request: 0x70}, {RequestType: 0x40, Request: 1}} {
			if _, err := h.d.Control(t.Context(), s, make([]byte, s.Length)); !errors.Is(err, usb.ErrStall) {
				t.Errorf("request %02x %02x: %v", s.RequestType, s.Request, err)
			}
		}
	})
}

// TestOneTransactionAtATime: a second command waits until the first one's response was fetched.
func TestOneTransactionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := opened(t, Options{})
		h.send(opGetStorageIDs)
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.send(opGetStorageIDs)
		}()
		synctest.Wait()
		h.read()
		synctest.Wait()
		select {
		case <-done:
			t.Error("the camera took a command before its last response was fetched")
		default:
		}
		h.read()
		<-done
		h.read()
		h.read()
	})
}

func TestMalformedCommandsStall(t *testing.T) {
	for _, s := range []string{
		"0d000000 0100 0110 01000000 00",
		"0c000000 0200 0110 01000000",
		"0b000000 0100 0110 01000000",
		"ffffffff 0100 0110 01000000",
		"0c000000 0100 0110 01000000 00000000",
		"10000000 0100 0110 01000000",
		"0c000000 0100",
	} {
		h := opened(t, Options{})
		if _, err := h.d.Transfer(t.Context(), EndpointOut, unhex(t, s)); !errors.Is(err, usb.ErrStall) {
			t.Errorf("%s: %v", s, err)
		}
		h.want(rcOK, opGetStorageIDs)
	}
}

// TestAnEmptyPacketIsNoCommand: some hosts end every transfer with one.
func TestAnEmptyPacketIsNoCommand(t *testing.T) {
	h := &host{TB: t, d: New(Options{})}
	if _, err := h.d.Transfer(t.Context(), EndpointOut, nil); err != nil {
		t.Fatal(err)
	}
	h.next = 7
	h.send(opOpenSession, 1)
	if got, want := h.read(), unhex(t, "0c000000 0300 0120 07000000"); !bytes.Equal(got, want) {
		t.Errorf("got % x", got)
	}
}

func FuzzGadget(f *testing.F) {
	f.Add(unhex(f, "10 10000000 0100 0210 00000000 01000000 0c 0c000000 0100 0e10 01000000"))
	f.Add(unhex(f, "0c 0c000000 0100 0110 01000000 81 06 4000"))
	scene := Scene{Still: grey(f, 1), Frames: [][]byte{grey(f, 2)}}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := New(Options{Rate: 1e6, Exposure: time.Nanosecond})
		d.Show(scene)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		buf := make([]byte, 4096)
		for len(b) > 0 {
			n := min(int(b[0]&0x3f), len(b)-1)
			part, control := b[1:1+n], b[0]&0x80 != 0
			b = b[1+n:]
			if control && n >= 2 {
				_, _ = d.Control(context.Background(), usb.Setup{RequestType: part[0], Request: part[1], Length: uint16(n - 2)}, part[2:])
				continue
			}
			if _, done, _ := d.receive(part); !done {
				d.link.in = nil
			}
			for len(d.link.in) > 0 {
				d.link.take(buf)
			}
			_, _ = d.Transfer(ctx, EndpointEvent, buf)
		}
		if n := len(d.core.photos); n > maxObjects {
			t.Errorf("%d photographs in the store", n)
		}
	})
}

// BenchmarkLiveView shows what a frame costs the firmware: a copy.
func BenchmarkLiveView(b *testing.B) {
	h := opened(b, Options{Rate: 1e9})
	frame := append(grey(b, 7), make([]byte, 80_000)...)
	h.d.Show(Scene{Frames: [][]byte{frame}})
	h.want(rcOK, opStartLiveView)
	buf := make([]byte, 1<<20)
	command := unhex(b, "0c000000 0100 0392 01000000")
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		for _, step := range []struct {
			endpoint uint8
			data     []byte
		}{{EndpointOut, command}, {EndpointIn, buf}, {EndpointIn, buf}} {
			if _, err := h.d.Transfer(b.Context(), step.endpoint, step.data); err != nil {
				b.Fatal(err)
			}
		}
	}
}
