package kiosk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
	"loket/kiosk/api"
)

// echoed is an open echo as a capture device.
type echoed struct{ usb.Device }

func (e echoed) Info() drivers.Info { return drivers.Info{USB: e.Device.Info()} }

// tape keeps what is written and tells of every write.
type tape struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (t *tape) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case t.news <- struct{}{}:
	default:
	}
	return t.text.Write(b)
}

func (t *tape) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// until waits until the tape has that on it.
func (t *tape) until(tt *testing.T, what string) {
	tt.Helper()
	for late := time.After(20 * time.Second); !strings.Contains(t.String(), what); {
		select {
		case <-t.news:
		case <-late:
			tt.Fatalf("no %q on\n%s", what, t.String())
		}
	}
}

// echoing is a station whose one device is an echo of that kind, its registry running.
func echoing(t *testing.T, kind drivers.Kind) *bench {
	t.Helper()
	b := newBench(t)
	b.Recorder = func(w io.Writer, clear int, digest bool, limit int64) Recording {
		return usbtest.Record(w, usbtest.RecordOptions{Clear: clear, Digest: digest, Limit: limit})
	}
	b.registry = &drivers.Registry{Buses: []usb.Bus{usbtest.Attach(usbtest.NewEcho("E1"))}, Poll: 10 * time.Millisecond, Drivers: []drivers.Driver{{
		Name: "echo", Kind: kind, Match: func(usb.Info) bool { return true },
		Open: func(_ context.Context, dev usb.Device) (drivers.Device, error) { return echoed{dev}, dev.Claim(0, 0) },
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.registry.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	for late := time.After(20 * time.Second); ; {
		changed := b.registry.Changed()
		if s, ok := b.device(echo); ok && s.State == drivers.StateReady {
			return b
		}
		select {
		case <-changed:
		case <-late:
			t.Fatal("the device never is ready")
		}
	}
}

const echo = "1209:ec0e/E1"

// use leases the echo and sends a command and a sample to and fro.
func use(t *testing.T, b *bench, kind drivers.Kind) {
	t.Helper()
	lease, err := b.registry.Lease(t.Context(), kind, "test")
	check(t, err)
	defer lease.Release(nil)
	dev := lease.Device.(echoed)
	for _, message := range []string{"command", strings.Repeat("a whole finger ", 20)} {
		if _, err := dev.Transfer(t.Context(), usbtest.EchoOut, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if n, err := dev.Transfer(t.Context(), usbtest.EchoIn, make([]byte, 512)); n != len(message) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
}

func TestADeviceIsRecordedWithoutItsSamples(t *testing.T) {
	for kind, want := range map[drivers.Kind][]string{
		drivers.KindFingerprint: {"out 01 7: 636f6d6d616e64\n", "in 81 512: 300 sha256:"},
		drivers.KindCodeReader:  {"out 01 7: 7 hidden\n", "in 81 512: 300 hidden\n"},
	} {
		t.Run(string(kind), func(t *testing.T) {
			b := echoing(t, kind)
			out := &tape{news: make(chan struct{}, 1)}
			done := make(chan error, 1)
			go func() { done <- b.RecordUSB(t.Context(), api.RecordQuery{Device: echo}, out) }()
			out.until(t, "loket-usb 1")
			use(t, b, kind)
			if err := b.RecordUSB(t.Context(), api.RecordQuery{Device: echo}, io.Discard); err == nil || !strings.Contains(err.Error(), "recorded already") {
				t.Errorf("a second recording gives %v", err)
			}
			if _, err := b.Do(t.Context(), api.Caller{Roles: []api.Role{api.RoleScreen}}, api.Command{StopRecording: &api.RecordQuery{Device: echo}}); err == nil {
				t.Error("a screen ended the recording")
			}
			check(t, b.stopRecording(echo))
			check(t, <-done)
			rec, err := usbtest.ReadRecording(strings.NewReader(out.String()))
			check(t, err)
			if len(rec.Transfers) != 4 || rec.Info.Serial != "E1" {
				t.Errorf("%d transfers with %+v", len(rec.Transfers), rec.Info)
			}
			for _, line := range want {
				if !strings.Contains(out.String(), line) {
					t.Errorf("no %q in\n%s", line, out.String())
				}
			}
			use(t, b, kind) // the device goes on, and nothing of it is written any more
			if strings.Count(out.String(), "\n") != strings.Count(out.String()[:strings.Index(out.String(), "# stopped")], "\n")+1 {
				t.Errorf("it goes on:\n%s", out.String())
			}
			check(t, again(t, b)) // and can be recorded again
		})
	}
}

// again records for a moment.
func again(t *testing.T, b *bench) error {
	out := &tape{news: make(chan struct{}, 1)}
	err := b.RecordUSB(t.Context(), api.RecordQuery{Device: echo, For: 50 * time.Millisecond}, out)
	if !strings.HasSuffix(out.String(), "# stopped\n") {
		t.Errorf("the recording is\n%s", out.String())
	}
	return err
}

func TestARecordingBeginsWhileNoSessionIsInProgress(t *testing.T) {
	b := echoing(t, drivers.KindFingerprint)
	var e *api.Error
	b.starting = true
	if err := b.RecordUSB(t.Context(), api.RecordQuery{Device: echo}, io.Discard); !errors.As(err, &e) || e.Code != "busy" {
		t.Errorf("during a session it gives %v", err)
	}
	b.starting = false
	if err := b.RecordUSB(t.Context(), api.RecordQuery{Device: "1:1/2"}, io.Discard); !errors.As(err, &e) || e.Code != "no-device" {
		t.Errorf("an unknown device gives %v", err)
	}
	if err := b.stopRecording(echo); !errors.As(err, &e) || e.Code != "no-recording" {
		t.Errorf("ending none gives %v", err)
	}
	if b.testing != 0 {
		t.Error("the station waits for something")
	}
}

func TestASlowReaderEndsItsRecordingAndHoldsUpNobody(t *testing.T) {
	out := make(outlet, 3)
	rec := usbtest.Record(out, usbtest.RecordOptions{})
	bus := usbtest.Attach(usbtest.NewEcho("E1"))
	dev, err := rec.Bus(bus).Open(t.Context(), usb.Identity{Vendor: 0x1209, Product: 0xec0e, Serial: "E1"})
	check(t, err)
	defer dev.Close()
	check(t, dev.Claim(0, 0))
	for range 10 {
		_, err := dev.Transfer(t.Context(), usbtest.EchoOut, []byte("x"))
		check(t, err)
	}
	var text strings.Builder
	if err := out.copy(t.Context(), rec, &text); !errors.Is(err, errSlow) || !strings.Contains(text.String(), "# broken off: ") {
		t.Errorf("it ends with %v:\n%s", err, text.String())
	}
}
