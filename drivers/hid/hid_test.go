package hid

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"loket/drivers/usb"
	sim "loket/firmware-sim/hidcode"
)

// described fetches the report descriptor of a simulated code reader.
func described(t testing.TB) []byte {
	t.Helper()
	b := make([]byte, MaxDescriptor)
	n, err := sim.New(sim.Options{}).Control(context.Background(), usb.Setup{RequestType: 0x81, Request: 6, Value: 0x2200, Length: uint16(len(b))}, b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestABadDescriptorIsRefused(t *testing.T) {
	good := described(t)
	for name, b := range map[string][]byte{
		"cut off":                      good[:len(good)-1],
		"cut in an item":               good[:1],
		"a long item cut off":          {0xfe, 9},
		"too long":                     make([]byte, MaxDescriptor+1),
		"an end without a beginning":   {0xc0},
		"a pop without a push":         {0xb4},
		"pushes without end":           bytes.Repeat([]byte{0xa4}, maxDepth+1),
		"collections without end":      bytes.Repeat([]byte{0xa1, 1}, maxDepth+1),
		"usages without end":           bytes.Repeat([]byte{0x09, 1}, maxUsages+1),
		"report ID 0":                  {0x85, 0},
		"report ID 256":                {0x86, 0, 1},
		"a wide page":                  {0x07, 0, 0, 1, 0},
		"a field outside":              {0x75, 8, 0x95, 1, 0x81, 2},
		"a report beyond all bounds":   {0xa1, 1, 0x76, 0xff, 0x1f, 0x96, 0xff, 0x1f, 0x81, 2, 0xc0},
		"an element beyond all bounds": {0x77, 0, 0, 0, 0x80},
		"many fields":                  slices.Concat([]byte{0xa1, 1, 0x75, 1, 0x95, 1}, bytes.Repeat([]byte{0x81, 2}, maxFields+1), []byte{0xc0}),
		"an ID in the middle":          {0xa1, 1, 0x75, 8, 0x95, 1, 0x81, 2, 0x85, 1, 0x81, 2, 0xc0},
		"a range backwards":            {0x19, 5, 0x29, 4},
		"a range of two pages":         {0x1b, 1, 0, 1, 0, 0x2b, 1, 0, 2, 0},
		"a range without a beginning":  {0x29, 4},
	} {
		if _, err := Parse(b); err == nil || !strings.HasPrefix(err.Error(), "parsing the report descriptor") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInterfacesAreFound(t *testing.T) {
	d := sim.New(sim.Options{}).Descriptors()
	list, err := Functions(d)
	if err != nil || len(list) != 1 || list[0].In.Address != 0x81 || list[0].In.MaxPacket != 64 || list[0].Descriptor != len(described(t)) {
		t.Errorf("%+v, %v", list, err)
	}
	without := slices.Clone(d)
	without[37] = 0x30 // another descriptor in the place of the HID descriptor
	if list, err := Functions(without); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// one gives the field of a descriptor with one element of 16 bits behind items.
func one(t *testing.T, items ...byte) Field {
	t.Helper()
	d, err := Parse(slices.Concat([]byte{0x05, 0x0d, 0x09, 0x02, 0xa1, 0x01, 0x05, 0x01, 0x09, 0x30, 0x75, 16, 0x95, 1}, items, []byte{0x81, 2, 0xc0}))
	if err != nil {
		t.Fatal(err)
	}
	_, f, ok := d.Slot(0, 0x01_0030)
	if !ok || f.Application != 0x0d_0002 {
		t.Fatalf("%+v", d)
	}
	return f
}

func TestValuesHaveRangesAndUnits(t *testing.T) {
	for name, c := range map[string]struct {
		items             []byte
		logical, physical Range
		hundredths        float64 // of the physical maximum
	}{
		"hundredths of a millimetre":      {[]byte{0x15, 0, 0x26, 0x20, 0x4e, 0x35, 0, 0x46, 0x10, 0x27, 0x65, 0x11, 0x55, 0x0d}, Range{0, 20000}, Range{0, 10000}, 10000},
		"thousandths of an inch":          {[]byte{0x15, 0, 0x26, 0x20, 0x4e, 0x46, 0xa0, 0x0f, 0x65, 0x13, 0x55, 0xfd}, Range{0, 20000}, Range{0, 4000}, 10160},
		"a maximum without a sign":        {[]byte{0x15, 0, 0x26, 0xff, 0xff, 0x46, 0xff, 0xff, 0x65, 0x11, 0x55, 0x0d}, Range{0, 65535}, Range{0, 65535}, 65535},
		"values with a sign":              {[]byte{0x16, 0x00, 0x80, 0x26, 0xff, 0x7f, 0x36, 0x18, 0xfc, 0x46, 0xe8, 0x03, 0x65, 0x11}, Range{-32768, 32767}, Range{-1000, 1000}, 1000000},
		"a range that is its own measure": {[]byte{0x15, 0, 0x26, 0x10, 0x27, 0x65, 0x11, 0x55, 0x0d}, Range{0, 10000}, Range{0, 10000}, 10000},
	} {
		f := one(t, c.items...)
		n, ok := f.Unit.Hundredths()
		if got := n * float64(f.Physical.Max); !ok || f.Logical != c.logical || f.Physical != c.physical || got < c.hundredths-0.01 || got > c.hundredths+0.01 {
			t.Errorf("%s: %+v, %f hundredths", name, f, got)
		}
	}
	for _, unit := range []byte{0, 0x12, 0x21, 0x14} {
		if _, ok := one(t, 0x25, 100, 0x65, unit).Unit.Hundredths(); ok {
			t.Errorf("unit %02x is taken for a length", unit)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(described(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if err != nil {
			return
		}
		for id, bits := range d.Bits {
			if bits > maxReportBits || d.Size(id) > maxReportBits/8+1 || d.Size(id) > d.Room() {
				t.Fatalf("report %d has %d bits", id, bits)
			}
			report := bytes.Repeat([]byte{0xff}, d.Size(id))
			if d.Numbered {
				report[0] = id
			}
			_, body, err := d.Split(report)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range d.Fields {
				if at, _, ok := d.Slot(id, x.Usage(0)); ok {
					at.Element(body, at.Count-1)
				}
				x.Unit.Hundredths()
			}
		}
	})
}
