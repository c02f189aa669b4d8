package usbtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
)

func TestARecordedBusKeepsTheContractOfABus(t *testing.T) {
	usbtest.Suite(t, func(t *testing.T, e *usbtest.Echo) usbtest.Rig {
		b := usbtest.Attach(e)
		var text bytes.Buffer
		r := usbtest.Record(&text, usbtest.RecordOptions{Clear: 16, Digest: true})
		t.Cleanup(func() {
			if err := r.Stop(); err != nil {
				t.Error(err)
			}
			if text.Len() == 0 {
				return // nothing was opened
			}
			rec, err := usbtest.ReadRecording(&text)
			if err != nil {
				t.Fatal(err)
			}
			if rec.Info.Product != 0xec0e || len(rec.Descriptors) == 0 {
				t.Errorf("the recording is of %+v", rec.Info)
			}
		})
		return usbtest.Rig{Bus: r.Bus(b), Other: r.Bus(b), Unplug: func() { b.Unplug(e) }, Plug: func() { b.Plug(e) }}
	})
}

// talk is a driver with a bit of everything: control both ways, messages, a wait for an event while others run, a stall that
// is cleared, a read that it gives up.
func talk(ctx context.Context, dev usb.Device, event func()) error {
	if err := dev.Claim(0, 0); err != nil {
		return err
	}
	waits := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		b := make([]byte, 8)
		n, err := dev.Transfer(ctx, usbtest.EchoEvent, b)
		if err == nil && string(b[:n]) != "event" {
			err = fmt.Errorf("the event is %q", b[:n])
		}
		waits <- err
	}()
	<-begun
	synctest.Wait()
	if _, err := roundTrip(ctx, dev, 300); err != nil {
		return err
	}
	if _, err := dev.Control(ctx, usb.Setup{RequestType: 0xc0, Request: usbtest.EchoFail, Length: 4}, make([]byte, 4)); !errors.Is(err, usb.ErrStall) {
		return fmt.Errorf("the stall gives %w", err)
	}
	if err := dev.(usb.Resetter).ClearHalt(ctx, usbtest.EchoOut); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := dev.Transfer(short, usbtest.EchoIn, make([]byte, 512)); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the wait gives %w", err)
	}
	event()
	return <-waits
}

// record runs talk over an echo and returns its recording.
func record(t *testing.T, o usbtest.RecordOptions) string {
	t.Helper()
	e := usbtest.NewEcho("E1")
	var text strings.Builder
	r := usbtest.Record(&text, o)
	dev := open(t, r.Bus(usbtest.Attach(e)))
	if err := talk(t.Context(), dev, func() { e.Event([]byte("event")) }); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(dev.Close(), r.Stop()); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

const recorded = `loket-usb 1
device 1209:ec0e release 0110 speed high
manufacturer "Löket"
product "Echo"
serial "E1"
descriptors DESCRIPTORS
2 control 40 01 0000 0000 2: 6162
3 out 01 300: BYTES
4 in 81 512: BYTES
5 control c0 04 0000 0000 4: - stall
6 clear-halt 01:
7 in 81 512: - cancelled
1<7 in 82 8: 6576656e74
# stopped
`

func want(bytes string) string {
	return strings.NewReplacer("DESCRIPTORS", fmt.Sprintf("%x", usbtest.NewEcho("E1").Descriptors()), "BYTES", bytes).Replace(recorded)
}

func TestARecordingHasOneTransferALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got := record(t, usbtest.RecordOptions{Clear: usbtest.InClear}); got != want(strings.Repeat("55", 300)) {
			t.Errorf("the recording is\n%s", got)
		}
	})
}

func TestLongPayloadsStandInARecordingByTheirDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got := record(t, usbtest.RecordOptions{Clear: 16, Digest: true}); got != want("300 sha256:a46fff699b89559897b4cc349a8c10a6ef1156e0ea3b35b1737cbe0497492b57") {
			t.Errorf("the recording is\n%s", got)
		}
	})
}

func TestWithoutAWordNoPayloadIsInClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := record(t, usbtest.RecordOptions{})
		for _, line := range []string{"2 control 40 01 0000 0000 2: 2 hidden\n", "4 in 81 512: 300 hidden\n", "1<7 in 82 8: 5 hidden\n"} {
			if !strings.Contains(got, line) {
				t.Errorf("no %q in\n%s", line, got)
			}
		}
	})
}

func TestADriverPlaysAgainstItsRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, clear := range []int{usbtest.InClear, 16} {
			p, err := usbtest.Playback(strings.NewReader(record(t, usbtest.RecordOptions{Clear: clear, Digest: true})))
			if err != nil {
				t.Fatal(err)
			}
			p.Supply(bytes.Repeat([]byte{0x55}, 300))
			dev := open(t, p)
			if err := talk(t.Context(), dev, func() {}); err != nil {
				t.Error(err)
			}
			if err := errors.Join(dev.Close(), p.Done()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAMessageIsHiddenToItsEnd(t *testing.T) {
	for _, c := range []struct {
		name    string
		message []byte
		buffers []int
		want    []string
	}{
		{"with a short rest", bytes.Repeat([]byte("secret"), 87), []int{512, 512}, []string{"512 sha256:", "10 hidden"}},
		{"with a rest that was asked for", bytes.Repeat([]byte("secret"), 87), []int{512, 10}, []string{"512 sha256:", "10 hidden"}},
		{"of whole packets", bytes.Repeat([]byte{7}, 1024), []int{512, 512, 512}, []string{"512 sha256:", "512 sha256:", "-"}},
		{"of zeros", make([]byte, 20), []int{512}, []string{"20 hidden"}},
		{"that ends in few bytes", append([]byte("abcdefghijklmnopqrstuvwxyz"), make([]byte, 500)...), []int{512, 512}, []string{"512 sha256:", "14 hidden"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := usbtest.NewEcho("E1")
			var text strings.Builder
			r := usbtest.Record(&text, usbtest.RecordOptions{Clear: 16, Digest: true})
			dev := open(t, r.Bus(usbtest.Attach(e)))
			defer dev.Close()
			if _, err := dev.Transfer(t.Context(), usbtest.EchoOut, c.message); err != nil {
				t.Fatal(err)
			}
			for _, size := range c.buffers {
				if _, err := dev.Transfer(t.Context(), usbtest.EchoIn, make([]byte, size)); err != nil {
					t.Fatal(err)
				}
			}
			// What comes next is another message.
			if _, err := dev.Transfer(t.Context(), usbtest.EchoOut, []byte("next")); err != nil {
				t.Fatal(err)
			}
			if _, err := dev.Transfer(t.Context(), usbtest.EchoIn, make([]byte, 512)); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(text.String(), "\n")
			lines = lines[len(lines)-1-len(c.buffers)-2:]
			for i, want := range append(c.want, "", "6e657874") {
				if _, got, _ := strings.Cut(lines[i], ": "); !strings.HasPrefix(got, want) {
					t.Errorf("line %q: want %s", lines[i], want)
				}
			}
		})
	}
}

func TestARecordingEndsAtItsLimitAndTheDeviceGoesOn(t *testing.T) {
	e := usbtest.NewEcho("E1")
	var text strings.Builder
	r := usbtest.Record(&text, usbtest.RecordOptions{Clear: usbtest.InClear, Limit: 2000})
	dev := open(t, r.Bus(usbtest.Attach(e)))
	defer dev.Close()
	for range 20 {
		if got, err := roundTrip(t.Context(), dev, 100); len(got) != 100 || err != nil {
			t.Fatalf("%d, %v", len(got), err)
		}
	}
	<-r.Done()
	if text.Len() > 2500 || !strings.HasSuffix(text.String(), "# stopped at its limit\n") {
		t.Errorf("%d characters: %s", text.Len(), text.String())
	}
	if _, err := usbtest.ReadRecording(strings.NewReader(text.String())); err != nil {
		t.Error(err)
	}
}

// deaf fails after some writes.
type deaf struct{ left int }

var errDeaf = errors.New("nobody listens")

func (d *deaf) Write(b []byte) (int, error) {
	if d.left--; d.left < 0 {
		return 0, errDeaf
	}
	return len(b), nil
}

func TestARecordingEndsWithItsWriterAndTheDeviceGoesOn(t *testing.T) {
	r := usbtest.Record(&deaf{left: 2}, usbtest.RecordOptions{})
	dev := open(t, r.Bus(usbtest.Attach(usbtest.NewEcho("E1"))))
	defer dev.Close()
	for range 3 {
		if _, err := roundTrip(t.Context(), dev, 10); err != nil {
			t.Fatal(err)
		}
	}
	<-r.Done()
	if err := r.Stop(); !errors.Is(err, errDeaf) {
		t.Errorf("it ended with %v", err)
	}
}

func TestARecordingGoesOnWhenTheDeviceIsOpenedAgain(t *testing.T) {
	var text strings.Builder
	r := usbtest.Record(&text, usbtest.RecordOptions{Clear: usbtest.InClear})
	bus := r.Bus(usbtest.Attach(usbtest.NewEcho("E1")))
	for range 2 {
		dev := open(t, bus)
		if _, err := roundTrip(t.Context(), dev, 10); err != nil {
			t.Fatal(err)
		}
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
	}
	p, err := usbtest.Playback(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		dev := open(t, p)
		if _, err := roundTrip(t.Context(), dev, 10); err != nil {
			t.Error(err)
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := p.Done(); err != nil {
		t.Error(err)
	}
}
