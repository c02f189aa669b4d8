package hidpen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/driverstest"
	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
	sim "loket/firmware-sim/hidpen"
	"loket/firmware-sim/synth"
)

// initials are two short strokes, in no time.
func initials() [][]synth.PenPoint {
	var list [][]synth.PenPoint
	for n := range 2 {
		var s []synth.PenPoint
		for i := range 5 {
			s = append(s, synth.PenPoint{X: float64(10 + 20*n + i), Y: float64(10 + 2*i), Force: 0.5})
		}
		list = append(list, s)
	}
	return list
}

var errWritten = errors.New("written")

// written reads until the pen was lifted for the n-th time.
func written(ctx context.Context, p drivers.SignaturePad, n int) ([]drivers.PenEvent, error) {
	var list []drivers.PenEvent
	err := p.Strokes(ctx, func(e drivers.PenEvent) error {
		list = append(list, e)
		if !e.Down {
			n--
		}
		if n == 0 {
			return errWritten
		}
		return nil
	})
	if errors.Is(err, errWritten) {
		err = nil
	}
	return list, err
}

// drawn writes events down, without their times.
func drawn(list []drivers.PenEvent) []byte {
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintln(&b, e.Down, e.X, e.Y, e.Force)
	}
	return []byte(b.String())
}

// reference is what initials are on the pad: 10 mm to the right and 5 mm down.
func reference() []byte {
	var list []drivers.PenEvent
	for _, s := range initials() {
		for _, p := range s {
			list = append(list, drivers.PenEvent{Down: true, X: int(100 * (p.X + 10)), Y: int(100 * (p.Y + 5)), Force: 1000 * 512 / 1023})
		}
		list = append(list, drivers.PenEvent{})
	}
	return drawn(list)
}

func TestPadsPassTheSuite(t *testing.T) {
	driverstest.Run(t, driverstest.Config{
		Driver: Driver(),
		New: func() driverstest.Subject {
			d := sim.New(sim.Options{})
			return driverstest.Subject{Gadget: d, Present: func() { d.Write(initials()) }, Leave: func() { d.Write(nil) }}
		},
		Capture: func(ctx context.Context, dev drivers.Device) (drivers.Image, error) {
			list, err := written(ctx, dev.(drivers.SignaturePad), 2)
			return drivers.Image{Encoded: drawn(list)}, err
		},
		Reference:  drivers.Image{Encoded: reference()},
		NoChecksum: true,
		Silent:     true,
	})
}

// attach opens a pad in process.
func attach(t *testing.T, g usb.Gadget) (drivers.SignaturePad, error) {
	t.Helper()
	bus := usbtest.Attach(g)
	infos, err := bus.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !Driver().Match(infos[0]) {
		t.Fatalf("no match for %+v", infos[0])
	}
	raw, err := bus.Open(t.Context(), infos[0].Identity())
	if err != nil {
		t.Fatal(err)
	}
	dev, err := Driver().Open(t.Context(), raw)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = dev.Close() })
	return dev.(drivers.SignaturePad), nil
}

func TestASignatureTakesAsLongAsItWasWrittenAndAllOfItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sim.New(sim.Options{})
		p, err := attach(t, d)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if w, h := p.Area(); w != 10000 || h != 5000 {
			t.Errorf("the pad is %d by %d", w, h)
		}
		strokes := synth.Person(3).Scribble()
		took := d.Write(strokes)
		list, err := written(t.Context(), p, len(strokes))
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for _, s := range strokes {
			for _, want := range s {
				e := list[i]
				if far := max(e.X-int(100*want.X)-1000, int(100*want.X)+1000-e.X); !e.Down || far > 1 || e.Force < 1 || e.Force > 1000 {
					t.Fatalf("point %d is %+v, want %+v", i, e, want)
				}
				i++
			}
			if list[i].Down {
				t.Fatalf("the pen was not lifted at %d", i)
			}
			i++
		}
		if got := list[len(list)-1].At; got != took || took < time.Second {
			t.Errorf("it took %v and was read as %v", took, got)
		}
	})
}

func TestAPenThatOnlyHoversOrIsTurnedWritesNothing(t *testing.T) {
	for name, reports := range map[string][][]byte{
		"hovers":               {{1, 0x10, 100, 0, 100, 0, 0, 0}},
		"touches out of range": {{1, 0x01, 100, 0, 100, 0, 9, 0}},
		"beyond the edge":      {{1, 0x11, 0x21, 0x4e, 100, 0, 9, 0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := sim.New(sim.Options{})
			p, err := attach(t, d)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			for _, r := range reports {
				d.Report(r)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			list, err := written(ctx, p, 1)
			if len(list) != 0 || !errors.Is(err, context.DeadlineExceeded) || drivers.Verdict(err) != "" {
				t.Errorf("a pen that %s: %v, %v", name, list, err)
			}
		})
	}
}

func TestABadReportIsACrash(t *testing.T) {
	for _, r := range [][]byte{{2, 0, 0, 0, 0, 0, 0, 0}, {1, 0x11}} {
		d := sim.New(sim.Options{})
		p, err := attach(t, d)
		if err != nil {
			t.Fatal(err)
		}
		d.Report(r)
		if _, err := written(t.Context(), p, 1); drivers.Verdict(err) != "crashed" {
			t.Errorf("% x: %v", r, err)
		}
	}
}

// described is a pad with another report descriptor.
type described struct {
	*sim.Device
	report []byte
}

func (g described) Descriptors() []byte {
	d := slices.Clone(g.Device.Descriptors())
	d[43], d[44] = byte(len(g.report)), byte(len(g.report)>>8)
	return d
}

func (g described) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	if s.Request == usb.RequestGetDescriptor && s.Value == 0x2200 {
		return copy(data, g.report), nil
	}
	return g.Device.Control(ctx, s, data)
}

// items is a pen's descriptor of which parts can be replaced.
func items(application byte, unit []byte) []byte {
	return slices.Concat([]byte{0x05, 0x0d, 0x09, application, 0xa1, 1, 0x15, 0, 0x25, 1, 0x75, 1, 0x95, 1, 0x09, 0x42, 0x81, 2, 0x95, 7, 0x81, 3,
		0x75, 8, 0x95, 1, 0x26, 0xff, 0}, unit, []byte{0x05, 1, 0x09, 0x30, 0x81, 2, 0x09, 0x31, 0x81, 2, 0xc0})
}

func TestAPadWithoutPressureInInchesIsRead(t *testing.T) {
	p, err := attach(t, described{sim.New(sim.Options{}), items(0x02, []byte{0x65, 0x13, 0x46, 0x04, 0x00})}) // 4 inches both ways
	if err != nil {
		t.Fatal(err)
	}
	if w, h := p.Area(); w != 10160 || h != 10160 {
		t.Errorf("%d by %d", w, h)
	}
}

func TestWhatIsNoPadSaysSo(t *testing.T) {
	for name, report := range map[string][]byte{
		"a touch screen":        items(0x04, []byte{0x65, 0x13, 0x46, 0x04, 0x00}),
		"a pen without a size":  items(0x02, nil),
		"a pad of two metres":   items(0x02, []byte{0x65, 0x11, 0x46, 200, 0x00}),
		"a pen in degrees":      items(0x02, []byte{0x65, 0x14, 0x46, 0x04, 0x00}),
		"a descriptor cut off":  items(0x02, nil)[:20],
		"a tip without a place": {0x05, 0x0d, 0x09, 2, 0xa1, 1, 0x15, 0, 0x25, 1, 0x75, 8, 0x95, 1, 0x09, 0x42, 0x81, 2, 0xc0},
	} {
		if _, err := attach(t, described{sim.New(sim.Options{}), report}); drivers.Verdict(err) != "crashed" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyNamedDevicesAreTaken(t *testing.T) {
	tablet := usb.Info{Vendor: 0x056a, Product: 0x00a8, Interfaces: []usb.Interface{{Class: 3}}}
	if Driver().Match(tablet) {
		t.Error("somebody's tablet was taken")
	}
	m, err := ParseModel("056a:00A8")
	if err != nil || !New(Options{Models: []Model{m}}).Match(tablet) {
		t.Errorf("a pad that the configuration names was not taken: %v", err)
	}
	for _, text := range []string{"", "056a", "056a:", "056a:10000", "x:y", "1:2/tab"} {
		if _, err := ParseModel(text); err == nil || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestReadmeHasItsHeadings(t *testing.T) { driverstest.Readme(t) }

func FuzzReports(f *testing.F) {
	f.Add(items(0x02, []byte{0x65, 0x13, 0x46, 0x04, 0x00}), []byte{1, 10, 20})
	f.Fuzz(func(t *testing.T, descriptor, report []byte) {
		p, err := attach(t, described{sim.New(sim.Options{}), descriptor})
		if err != nil || len(descriptor) == 0 {
			return
		}
		l := p.(*pad).layout
		report = append(report, make([]byte, l.Size(l.report))...)[:l.Size(l.report)]
		if l.Numbered {
			report[0] = l.report
		}
		e, _, err := l.read(report)
		if w, h := p.Area(); err != nil || e.X < 0 || e.X > w || e.Y < 0 || e.Y > h || e.Force < 0 || e.Force > 1000 {
			t.Fatalf("%+v on %d by %d, %v", e, w, h, err)
		}
	})
}
