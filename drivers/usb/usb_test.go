package usb_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"loket/drivers/usb"
)

// gadget answers as its fields say.
type gadget struct {
	desc     []byte
	speed    usb.Speed
	control  func(usb.Setup, []byte) (int, error)
	transfer func(context.Context, uint8, []byte) (int, error)
}

func (g *gadget) Info() usb.Info {
	return usb.Info{Manufacturer: "maker", ProductName: "product", Serial: "S1", Speed: g.speed, Bus: usb.KernelBus, Vendor: 1}
}
func (g *gadget) Descriptors() []byte { return g.desc }
func (g *gadget) Control(_ context.Context, s usb.Setup, data []byte) (int, error) {
	return g.control(s, data)
}
func (g *gadget) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	return g.transfer(ctx, endpoint, data)
}

var descriptors = []byte{
	18, 1, 0, 2, 0xef, 2, 1, 64, 0x34, 0x12, 0x78, 0x56, 0x02, 0x01, 1, 2, 0, 1,
	9, 2, 64, 0, 2, 5, 0, 0xa0, 50,
	9, 4, 0, 0, 2, 6, 1, 1, 0,
	7, 5, 0x81, 2, 0, 2, 0,
	7, 5, 0x02, 2, 0, 2, 0,
	9, 4, 1, 0, 0, 3, 0, 0, 0,
	9, 4, 1, 1, 1, 3, 0, 0, 0,
	5, 0x24, 1, 2, 3, // class-specific
	7, 5, 0x83, 3, 8, 0x08, 4, // 8 bytes, one additional transaction
	2, 0x30,
}

// sample returns a copy of descriptors with the right total length.
func sample() []byte {
	d := bytes.Clone(descriptors)
	d[20] = byte(len(d) - 18)
	return d
}

func newPort(t *testing.T, g *gadget) *usb.Port {
	t.Helper()
	if g.desc == nil {
		g.desc = sample()
	}
	p, err := usb.NewPort(g)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDescriptorsAreRead(t *testing.T) {
	d := sample()
	l, err := usb.ParseDescriptors(d)
	if err != nil {
		t.Fatal(err)
	}
	if l.Device.Vendor != 0x1234 || l.Device.Product != 0x5678 || l.Device.Release != 0x0102 || l.Configuration != 5 ||
		l.SelfPowered || !l.RemoteWakeup || len(l.Device.Interfaces) != 2 || len(l.Settings) != 3 {
		t.Errorf("read %+v", l)
	}
	s, ok := l.Setting(1, 1)
	if want := (usb.Endpoint{Address: 0x83, Type: usb.InterruptType, MaxPacket: 8, Burst: 2, Interval: 4}); !ok || len(s.Endpoints) != 1 || s.Endpoints[0] != want {
		t.Errorf("setting 1 of interface 1 is %+v", s)
	}
	if l.Alternates(1) != 2 || l.Alternates(2) != 0 {
		t.Error("alternate settings miscounted")
	}
}

func TestBadDescriptorsAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(d []byte) []byte{
		"nothing":                        func([]byte) []byte { return nil },
		"a device descriptor alone":      func(d []byte) []byte { return d[:18] },
		"a short configuration":          func(d []byte) []byte { return d[:40] },
		"a configuration of no length":   func(d []byte) []byte { d[20] = 0; return d },
		"a descriptor of no length":      func(d []byte) []byte { d[27] = 0; return d },
		"a descriptor beyond the end":    func(d []byte) []byte { d[27] = 250; return d },
		"an endpoint before interfaces":  func(d []byte) []byte { d[28] = 5; return d },
		"an interface that is too short": func(d []byte) []byte { d[27] = 2; d[29] = 7; return d },
	} {
		d := sample()
		if _, err := usb.ParseDescriptors(spoil(d)); err == nil || !strings.HasPrefix(err.Error(), "parsing descriptors:") {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

func TestStringsGoThereAndBack(t *testing.T) {
	for _, s := range []string{"", "SIM-1", "Löket 指紋 🖐", strings.Repeat("x", 126)} {
		if got, err := usb.DecodeString(usb.EncodeString(s)); got != s || err != nil {
			t.Errorf("%q comes back as %q, %v", s, got, err)
		}
	}
	if b := usb.EncodeString(strings.Repeat("x", 500)); len(b) != 254 || b[0] != 254 {
		t.Errorf("a long string has %d bytes", len(b))
	}
}

func TestAPortAnswersStandardRequests(t *testing.T) {
	asked := 0
	g := &gadget{speed: usb.HighSpeed, control: func(s usb.Setup, data []byte) (int, error) { asked++; return 0, usb.ErrStall }}
	g.desc = sample()
	p := newPort(t, g)
	get := func(s usb.Setup) ([]byte, error) {
		b := make([]byte, s.Length)
		n, err := p.Control(t.Context(), s, b)
		return b[:n], err
	}
	for _, c := range []struct {
		name  string
		setup usb.Setup
		want  []byte
	}{
		{"device", usb.Setup{RequestType: 0x80, Request: 6, Value: 0x0100, Length: 64}, g.desc[:18]},
		{"its first bytes", usb.Setup{RequestType: 0x80, Request: 6, Value: 0x0100, Length: 8}, g.desc[:8]},
		{"configuration", usb.Setup{RequestType: 0x80, Request: 6, Value: 0x0200, Length: 255}, g.desc[18:]},
		{"languages", usb.Setup{RequestType: 0x80, Request: 6, Value: 0x0300, Length: 255}, []byte{4, 3, 9, 4}},
		{"maker", usb.Setup{RequestType: 0x80, Request: 6, Value: 0x0301, Index: 0x0409, Length: 255}, usb.EncodeString("maker")},
		{"product", usb.Setup{RequestType: 0x80, Request: 6, Value: 0x0302, Index: 0x0409, Length: 255}, usb.EncodeString("product")},
		{"qualifier", usb.Setup{RequestType: 0x80, Request: 6, Value: 0x0600, Length: 10}, []byte{10, 6, 0, 2, 0xef, 2, 1, 64, 1, 0}},
		{"configuration before it is set", usb.Setup{RequestType: 0x80, Request: 8, Length: 1}, []byte{0}},
		{"setting it", usb.Setup{Request: 9, Value: 5}, nil},
		{"configuration after", usb.Setup{RequestType: 0x80, Request: 8, Length: 1}, []byte{5}},
		{"setting an interface", usb.Setup{RequestType: 1, Request: 11, Value: 1, Index: 1}, nil},
		{"which setting", usb.Setup{RequestType: 0x81, Request: 10, Index: 1, Length: 1}, []byte{1}},
		{"status of the device", usb.Setup{RequestType: 0x80, Length: 2}, []byte{0, 0}},
		{"status of an interface", usb.Setup{RequestType: 0x81, Index: 1, Length: 2}, []byte{0, 0}},
		{"halting an endpoint", usb.Setup{RequestType: 2, Request: 3, Index: 0x83}, nil},
		{"its status", usb.Setup{RequestType: 0x82, Index: 0x83, Length: 2}, []byte{1, 0}},
		{"clearing it", usb.Setup{RequestType: 2, Request: 1, Index: 0x83}, nil},
		{"its status again", usb.Setup{RequestType: 0x82, Index: 0x83, Length: 2}, []byte{0, 0}},
	} {
		if got, err := get(c.setup); err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: % x, %v; want % x", c.name, got, err, c.want)
		}
	}
	if asked != 0 {
		t.Errorf("the firmware was asked %d times", asked)
	}
	for _, s := range []usb.Setup{
		{RequestType: 0x80, Request: 6, Value: 0x0201, Length: 9},
		{Request: 9, Value: 6},
		{RequestType: 1, Request: 11, Value: 9},
		{RequestType: 0x81, Request: 10, Index: 7, Length: 1},
		{RequestType: 0x82, Index: 0x85, Length: 2},
		{RequestType: 2, Request: 1, Index: 0x85},
	} {
		if _, err := get(s); !errors.Is(err, usb.ErrStall) {
			t.Errorf("%+v gives %v", s, err)
		}
	}
	if asked != 0 {
		t.Errorf("the firmware was asked %d times", asked)
	}
	for _, s := range []usb.Setup{
		{RequestType: 0x81, Request: 6, Value: 0x2200, Length: 64}, // a HID report descriptor
		{RequestType: 0x80, Request: 6, Value: 0x03ee, Length: 18},
		{RequestType: 0xa1, Request: 1, Length: 8},
	} {
		asked = 0
		if _, err := get(s); !errors.Is(err, usb.ErrStall) || asked != 1 {
			t.Errorf("%+v gives %v, asked %d times", s, err, asked)
		}
	}
}

func TestAPortSaysOnlyWhatAHostCouldRead(t *testing.T) {
	g := &gadget{desc: sample()}
	i := newPort(t, g).Info()
	if i.Serial != "" || i.Manufacturer != "maker" || i.Bus != "" || i.Vendor != 0x1234 {
		t.Errorf("it says %+v", i)
	}
}

func TestAPortHoldsFirmwareToTheWire(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     int
		err   error
		want  int
		wrong error
	}{
		{"as asked", 8, nil, 8, nil},
		{"babble", 9, nil, 8, usb.ErrOverflow},
		{"less than nothing", -1, nil, 0, usb.ErrStall},
		{"an error", 3, errors.New("short of memory"), 0, usb.ErrStall},
		{"gone", 0, usb.ErrGone, 0, usb.ErrGone},
		{"a time-out of its own", 0, context.DeadlineExceeded, 0, usb.ErrStall},
	} {
		g := &gadget{desc: sample()}
		g.control = func(usb.Setup, []byte) (int, error) { return c.n, c.err }
		g.transfer = func(context.Context, uint8, []byte) (int, error) { return c.n, c.err }
		p := newPort(t, g)
		n, err := p.Control(t.Context(), usb.Setup{RequestType: 0xc0, Length: 8}, make([]byte, 8))
		if n != c.want || !errors.Is(err, c.wrong) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s on control: %d, %v", c.name, n, err)
		}
		n, err = p.Transfer(t.Context(), 0x81, make([]byte, 8))
		if n != c.want || !errors.Is(err, c.wrong) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s on bulk: %d, %v", c.name, n, err)
		}
	}
}

func TestSimulatedIsNotDecidedByTheName(t *testing.T) {
	for _, c := range []struct {
		info usb.Info
		want bool
	}{
		{usb.Info{Bus: usb.KernelBus, SysfsPath: "/sys/devices/pci0000:00/usb1/1-1"}, false},
		{usb.Info{Bus: usb.KernelBus, Serial: "SIM-1"}, true},
		{usb.Info{Bus: usb.KernelBus, SysfsPath: "/sys/devices/platform/vhci_hcd.0/usb3/3-1"}, true},
		{usb.Info{Bus: "usbip", Serial: "REAL-1"}, true},
		{usb.Info{}, true},
	} {
		if got := c.info.Simulated(); got != c.want {
			t.Errorf("%+v simulated: %v", c.info, got)
		}
	}
}

func FuzzParseDescriptors(f *testing.F) {
	d := sample()
	f.Add(d)
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := usb.ParseDescriptors(b)
		if err != nil {
			return
		}
		p, err := usb.NewPort(&gadget{desc: b, control: func(usb.Setup, []byte) (int, error) { return 0, nil }})
		if err != nil {
			t.Fatal(err)
		}
		for value := range uint16(8) {
			_, _ = p.Control(t.Context(), usb.Setup{RequestType: 0x80, Request: 6, Value: value << 8, Length: 512}, make([]byte, 512))
		}
		c := usb.Claims{Layout: l}
		for _, s := range l.Settings {
			if _, err := c.Claim(s.Number, s.Alternate); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzDecodeString(f *testing.F) {
	f.Add(usb.EncodeString("Löket"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := usb.DecodeString(b); err == nil && !utf8.ValidString(s) {
			t.Fatalf("%q", s)
		}
	})
}

func TestIDsAreReadAsListed(t *testing.T) {
	if v, p, err := usb.ParseIDs("056a:00a8"); err != nil || v != 0x056a || p != 0x00a8 {
		t.Errorf("%04x:%04x, %v", v, p, err)
	}
	for _, bad := range []string{"", ":", "056a", "056a:", ":00a8", "056a:10000", "x:y", "1:2:3", "-1:2"} {
		if v, p, err := usb.ParseIDs(bad); err == nil {
			t.Errorf("%q is %04x:%04x", bad, v, p)
		}
	}
	if v := (usb.Info{Release: 0x0103}).Version(); v != "1.03" {
		t.Errorf("version %q", v)
	}
}
