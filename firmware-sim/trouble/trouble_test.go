package trouble

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers/usb"
)

// echo is a device that always answers the same.
type echo struct{ resets int }

func (e *echo) Info() usb.Info      { return usb.Info{Vendor: 1} }
func (e *echo) Descriptors() []byte { return []byte{18} }
func (e *echo) BusReset()           { e.resets++ }

func (e *echo) Control(_ context.Context, _ usb.Setup, data []byte) (int, error) {
	return copy(data, "12345678"), nil
}

func (e *echo) Transfer(_ context.Context, endpoint uint8, data []byte) (int, error) {
	if endpoint&0x80 == 0 {
		return len(data), nil
	}
	return copy(data, "12345678"), nil
}

func read(g *Gadget, ctx context.Context) (string, error) {
	data := make([]byte, 8)
	n, err := g.Transfer(ctx, 0x81, data)
	return string(data[:n]), err
}

func TestWithoutTroubleTheDeviceAnswers(t *testing.T) {
	g := Wrap(&echo{})
	if got, err := read(g, t.Context()); got != "12345678" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if g.Info().Vendor != 1 || len(g.Descriptors()) != 1 {
		t.Error("it is not itself")
	}
}

func TestAHungDeviceAnswersNothingUntilItRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Wrap(&echo{})
		g.Set(Hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := read(g, ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		g.SetFor(Hang, time.Second)
		start := time.Now()
		if got, err := read(g, t.Context()); got != "12345678" || err != nil || time.Since(start) != time.Second {
			t.Errorf("%q, %v after %v", got, err, time.Since(start))
		}
		g.SetFor(Hang, time.Second)
		g.Set(Stall) // the older timer ends nothing
		time.Sleep(2 * time.Second)
		if g.Kind() != Stall {
			t.Errorf("now %q", g.Kind())
		}
	})
}

func TestStallGarbageAndShort(t *testing.T) {
	g := Wrap(&echo{})
	g.Set(Stall)
	if _, err := read(g, t.Context()); !errors.Is(err, usb.ErrStall) {
		t.Errorf("stall: %v", err)
	}
	if _, err := g.Control(t.Context(), usb.Setup{RequestType: 0xc1, Length: 8}, make([]byte, 8)); !errors.Is(err, usb.ErrStall) {
		t.Errorf("stall of control: %v", err)
	}
	g.Set(Garbage)
	if got, err := read(g, t.Context()); got == "12345678" || len(got) != 8 || err != nil {
		t.Errorf("garbage: %q, %v", got, err)
	}
	out := []byte("out")
	if _, err := g.Transfer(t.Context(), 1, out); err != nil || !bytes.Equal(out, []byte("out")) {
		t.Errorf("garbage changed what was sent: %q %v", out, err)
	}
	g.Set(Short)
	if got, _ := read(g, t.Context()); got != "1234" {
		t.Errorf("short: %q", got)
	}
}

func TestAResetMendsWhatItMends(t *testing.T) {
	e := &echo{}
	g := Wrap(e)
	g.SetUntilReset(Hang)
	g.BusReset()
	if g.Kind() != None || e.resets != 1 {
		t.Errorf("after a reset: %q, told %d times", g.Kind(), e.resets)
	}
	g.Set(Hang)
	g.BusReset()
	if g.Kind() != Hang {
		t.Error("a reset mended what it should not")
	}
}

func TestParse(t *testing.T) {
	for _, k := range Kinds() {
		if got, err := Parse(string(k)); got != k || err != nil {
			t.Errorf("%s: %v", k, err)
		}
	}
	if _, err := Parse("smoke"); err == nil {
		t.Error("smoke is known")
	}
}
