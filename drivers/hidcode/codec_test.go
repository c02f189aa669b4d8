package hidcode

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"loket/drivers"
	"loket/drivers/hid"
	"loket/drivers/usb"
	sim "loket/firmware-sim/hidcode"
)

// described fetches the report descriptor of a simulated reader.
func described(t testing.TB, opt sim.Options) []byte {
	t.Helper()
	b := make([]byte, hid.MaxDescriptor)
	n, err := sim.New(opt).Control(context.Background(), usb.Setup{RequestType: 0x81, Request: 6, Value: 0x2200, Length: uint16(len(b))}, b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func parsed(t testing.TB, b []byte) hid.Descriptor {
	t.Helper()
	d, err := hid.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAScannersDescriptorIsRead(t *testing.T) {
	s, ok := newScanner(parsed(t, described(t, sim.Options{})))
	if !ok || !s.Numbered || len(s.reports) != 1 || s.room() != 64 {
		t.Fatalf("%+v", s)
	}
	l := s.reports[2]
	want := scanned{data: hid.Slot{Offset: 32, Size: 8, Count: 56}, count: hid.Slot{Offset: 0, Size: 8, Count: 1}, more: hid.Slot{Offset: 496, Size: 1, Count: 1}, symbology: []hid.Slot{{Offset: 8, Size: 8, Count: 1}, {Offset: 16, Size: 8, Count: 1}, {Offset: 24, Size: 8, Count: 1}}}
	if l.data != want.data || l.count != want.count || l.more != want.more || !slices.Equal(l.symbology, want.symbology) {
		t.Errorf("%+v", l)
	}
	if bootShaped(s.Descriptor) {
		t.Error("a scanner is taken for a keyboard")
	}
}

func TestAKeyboardsDescriptorIsRead(t *testing.T) {
	b := described(t, sim.Options{Wedge: true})
	d := parsed(t, b)
	if _, ok := newScanner(d); ok || !bootShaped(d) || d.Size(0) != 8 {
		t.Errorf("%+v", d)
	}
	if bootShaped(parsed(t, slices.Concat([]byte{0x85, 1}, b))) {
		t.Error("numbered reports are taken for boot reports")
	}
}

// A descriptor with everything that our own readers leave out: push and pop, a long item, usages with pages of their own, a
// range of usages, two reports, elements that don't end with a byte, a 16-bit count.
func TestAnUnusualDescriptorIsRead(t *testing.T) {
	b := []byte{
		0x06, 0x8c, 0x00, 0x09, 0x02, 0xa1, 0x01, // page 8C, application
		0x85, 0x07, 0x75, 0x04, 0x95, 0x01, 0x81, 0x03, // report 7: 4 bits of nothing
		0xa4, 0x75, 0x10, 0x0b, 0x3b, 0x00, 0x01, 0x00, 0x81, 0x02, 0xb4, // pushed: a count of 16 bits; popped: 4 bits again
		0xfe, 0x02, 0x10, 0xaa, 0xbb, // a long item
		0x75, 0x08, 0x95, 0x03, 0x1b, 0xfb, 0x00, 0x8c, 0x00, 0x2b, 0xfd, 0x00, 0x8c, 0x00, 0x81, 0x02, // a range: FB to FD
		0x95, 0x05, 0x09, 0xfe, 0x81, 0x02,
		0x85, 0x09, 0x95, 0x02, 0x09, 0x15, 0x81, 0x02, // report 9: status
		0xc0,
	}
	s, ok := newScanner(parsed(t, b))
	if !ok || s.Size(7) != 1+(4+16+24+40+7)/8 || s.Size(9) != 3 || s.Size(8) != 0 {
		t.Fatalf("%+v", s)
	}
	var report []byte // everything is shifted by four bits
	carry := byte(0)
	raw := slices.Concat([]byte{3, 0}, []byte("]Q1"), []byte("abc"), []byte{0, 0})
	for _, c := range raw {
		report = append(report, carry|c<<4)
		carry = c >> 4
	}
	list, err := s.take(slices.Concat([]byte{7}, report, []byte{carry}))
	if err != nil || len(list) != 1 || list[0] != (message{text: "abc", symbology: "]Q1"}) {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := s.take([]byte{9, 1, 2}); len(list) != 0 || err != nil {
		t.Errorf("a status report gives %v, %v", list, err)
	}
}

// posReport makes a report of the simulated scanner.
func posReport(n int, symbology, data string, more byte) []byte {
	b := make([]byte, 64)
	b[0], b[1], b[63] = 2, byte(n), more
	copy(b[2:], symbology)
	copy(b[5:], data)
	return b
}

func TestAScannersBadReportsAreRefused(t *testing.T) {
	for name, reports := range map[string][][]byte{
		"nothing":                {{}},
		"an unknown ID":          {append([]byte{3}, posReport(3, "]Q1", "abc", 0)[1:]...)},
		"short":                  {posReport(3, "]Q1", "abc", 0)[:63]},
		"long":                   {append(posReport(3, "]Q1", "abc", 0), 0)},
		"a count beyond the end": {posReport(57, "]Q1", "abc", 0)},
		"no text as symbology":   {posReport(3, "]\x01\x02", "abc", 0)},
		"two symbologies":        {posReport(3, "]Q1", "abc", 1), posReport(3, "]Q3", "abc", 0)},
	} {
		s, _ := newScanner(parsed(t, described(t, sim.Options{})))
		var err error
		for _, r := range reports {
			if _, e := s.take(r); e != nil {
				err = e
			}
		}
		if err == nil || strings.Contains(err.Error(), "abc") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWithoutACountTheDataEndsWithTheFirstZeros(t *testing.T) {
	b := []byte{0x05, 0x8c, 0x09, 0x03, 0xa1, 0x01, 0x75, 0x08, 0x95, 0x08, 0x09, 0xfe, 0x81, 0x02, 0xc0}
	s, ok := newScanner(parsed(t, b))
	if !ok {
		t.Fatal("not found")
	}
	if list, err := s.take([]byte("ab\x00c\x00\x00\x00\x00")); err != nil || len(list) != 1 || list[0].text != "ab\x00c" {
		t.Errorf("%v, %v", list, err)
	}
}

// typing is what boot reports type; a test writes a report as its modifiers and its keys.
func typing(t *testing.T, reports ...string) (string, error) {
	t.Helper()
	var k keyboard
	var text []byte
	for _, r := range reports {
		b := make([]byte, 8)
		b[0] = r[0]
		copy(b[2:], r[1:])
		if err := k.typed(b, func(c byte) { text = append(text, c) }); err != nil {
			return string(text), err
		}
	}
	return string(text), nil
}

func TestKeysTypeWhenTheyGoDown(t *testing.T) {
	for name, c := range map[string]struct {
		reports []string
		want    string
	}{
		"one after the other":            {[]string{"\x00\x04", "\x00", "\x00\x05", "\x00"}, "ab"},
		"the same twice":                 {[]string{"\x00\x04", "\x00", "\x00\x04"}, "aa"},
		"held and reported again":        {[]string{"\x00\x04", "\x00\x04", "\x00\x04", "\x00"}, "a"},
		"the next before the first ends": {[]string{"\x00\x04", "\x00\x04\x05", "\x00\x05", "\x00"}, "ab"},
		"two at once":                    {[]string{"\x00\x04\x05", "\x00"}, "ab"},
		"in another order":               {[]string{"\x00\x04\x05", "\x00\x05\x04\x06"}, "abc"},
		"a key twice in a report":        {[]string{"\x00\x04\x04"}, "a"},
		"a gap in the keys":              {[]string{"\x00\x00\x04"}, "a"},
		"left shift":                     {[]string{"\x02\x04", "\x00", "\x00\x04"}, "Aa"},
		"right shift":                    {[]string{"\x20\x36"}, "<"},
		"both":                           {[]string{"\x22\x1e"}, "!"},
		"shift before the key":           {[]string{"\x02", "\x02\x04", "\x02", "\x00"}, "A"},
		"too many keys":                  {[]string{"\x00\x04", "\x00\x01\x01\x01\x01\x01\x01", "\x00\x04", "\x00\x05"}, "ab"},
		"caps lock":                      {[]string{"\x00\x39", "\x00", "\x00\x04", "\x02\x05", "\x00", "\x00\x1e", "\x00\x39", "\x00", "\x00\x04"}, "Ab1a"},
		"num lock":                       {[]string{"\x00\x53", "\x00\x59"}, "1"},
		"the keypad":                     {[]string{"\x00\x59", "\x00\x62", "\x00\x58"}, "10\n"},
		"the key that US lacks":          {[]string{"\x00\x64", "\x00", "\x02\x64"}, "<>"},
		"control":                        {[]string{"\x01\x30"}, "\x00"},
		"AltGr":                          {[]string{"\x40\x14"}, "\x00"},
		"a cursor key":                   {[]string{"\x00\x50"}, "\x00"},
		"a key beyond all":               {[]string{"\x00\xff"}, "\x00"},
		"escape":                         {[]string{"\x00\x29"}, "\x00"},
	} {
		if got, err := typing(t, c.reports...); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, report := range map[string]string{"a failed self-test": "\x00\x02", "an undefined error": "\x00\x03"} {
		if _, err := typing(t, report); err == nil {
			t.Errorf("%s is not told", name)
		}
	}
	if err := new(keyboard).typed(make([]byte, 7), nil); err == nil {
		t.Error("a short report is read")
	}
}

func TestEveryCharacterOfTheSimulatedKeyboardIsUnderstood(t *testing.T) {
	var all strings.Builder
	for c := ' '; c <= '~'; c++ {
		all.WriteRune(c)
	}
	w := newWedge(Enter)
	d := sim.New(sim.Options{Wedge: true})
	if err := d.Scan(all.String()); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8)
	for range 2 * (95 + 1) {
		if _, err := d.Transfer(t.Context(), 0x81, b); err != nil {
			t.Fatal(err)
		}
		if list, err := w.take(b); err != nil {
			t.Fatal(err)
		} else if len(list) > 0 && list[0].text != all.String() {
			t.Errorf("%q", list[0].text)
		}
	}
}

func TestAKeyTogetherWithTheEndSpoilsTheCode(t *testing.T) {
	w := newWedge(Enter)
	for _, keys := range []string{"\x04\x28\x05", "\x04\x28\x05\x58"} {
		list, err := w.take([]byte("\x00\x00" + keys + strings.Repeat("\x00", 6-len(keys))))
		if err != nil || len(list) != 1 || list[0].bad == nil || w.pending() {
			t.Errorf("%+v, %v", list, err)
		}
		w.reset()
	}
}

// gadget is a reader with parts of the simulated one changed.
type gadget struct {
	*sim.Device
	descriptors []byte
	control     func(usb.Setup, []byte) (n int, err error, mine bool)
}

func (g gadget) Descriptors() []byte {
	if g.descriptors != nil {
		return g.descriptors
	}
	return g.Device.Descriptors()
}

func (g gadget) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	if g.control != nil {
		if n, err, mine := g.control(s, data); mine {
			return n, err
		}
	}
	return g.Device.Control(ctx, s, data)
}

func TestKeyboardsMayRefuseWhatTheyNeedNot(t *testing.T) {
	refuse := func(request uint8) func(usb.Setup, []byte) (int, error, bool) {
		return func(s usb.Setup, _ []byte) (int, error, bool) {
			return 0, usb.ErrStall, s.RequestType == 0x21 && s.Request == request
		}
	}
	for _, request := range []uint8{requestSetProto, requestSetIdle} {
		g := gadget{Device: sim.New(sim.Options{Wedge: true}), control: refuse(request)}
		r := attach(t, g, Options{})
		scan(t, g.Device, "K7Q2")
		if c, err := r.Read(t.Context()); err != nil || c.Text != "K7Q2" {
			t.Errorf("request %02x refused: %v", request, err)
		}
	}
}

func TestADeviceThatIsNoReaderSaysSo(t *testing.T) {
	desk := []byte{0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x75, 8, 0x95, 3, 0x81, 2, 0xc0} // a mouse of sorts
	d := sim.New(sim.Options{}).Descriptors()
	binary.LittleEndian.PutUint16(d[43:], uint16(len(desk)))
	g := gadget{Device: sim.New(sim.Options{}), descriptors: d, control: func(s usb.Setup, data []byte) (int, error, bool) {
		return copy(data, desk), nil, s.Request == usb.RequestGetDescriptor
	}}
	if _, err := open(t, g, Options{}); drivers.Verdict(err) != "crashed" || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("%v", err)
	}
}

func FuzzDescriptors(f *testing.F) {
	f.Add(described(f, sim.Options{}))
	f.Add(described(f, sim.Options{Wedge: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := hid.Parse(b)
		if err != nil {
			return
		}
		bootShaped(d)
		s, ok := newScanner(d)
		if !ok {
			return
		}
		for id := range s.Bits {
			report := bytes.Repeat([]byte{0xff}, s.Size(id))
			if s.Numbered {
				report[0] = id
			}
			_, _ = s.take(report)
			clear(report[1:])
			_, _ = s.take(report)
		}
	})
}

// FuzzReports feeds a stream of reports to a scanner and to a wedge.
func FuzzReports(f *testing.F) {
	pos, keys := described(f, sim.Options{}), 8
	f.Add(append(posReport(56, "]Q1", long[:56], 1), posReport(4, "]Q1", "tail", 0)...))
	f.Add([]byte("\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x28\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _ := newScanner(parsed(t, pos))
		for _, c := range []struct {
			assembler
			size int
		}{{s, 64}, {newWedge(Enter), keys}, {newWedge(Tab), keys}} {
			for rest := b; len(rest) > 0; rest = rest[min(len(rest), c.size):] {
				list, err := c.take(rest[:min(len(rest), c.size)])
				if err != nil {
					c.reset()
				}
				for _, m := range list {
					judge(t, m)
				}
			}
			if len(s.data) > drivers.MaxCode {
				t.Fatalf("%d bytes are kept", len(s.data))
			}
			if c.pending() {
				if list, err := c.silent(); err == nil && (len(list) != 1 || c.pending()) {
					t.Fatal("silence ends nothing")
				}
			}
		}
	})
}

// judge checks that whatever came in, a code keeps its contract.
func judge(t *testing.T, m message) {
	t.Helper()
	c, ok, err := m.code(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	var again *drivers.RetryError
	if err != nil {
		if ok || !errors.As(err, &again) {
			t.Fatalf("%v", err)
		}
		return
	}
	if !ok {
		return
	}
	text := strings.ReplaceAll(c.Text, "\n", "")
	lines := c.Document != nil || c.Misread != nil
	if c.Text == "" || len(c.Text) > drivers.MaxCode || !utf8.ValidString(c.Text) || strings.ContainsFunc(text, unicode.IsControl) || !lines && text != c.Text {
		t.Fatalf("a code of %d bytes breaks its contract", len(c.Text))
	}
}
