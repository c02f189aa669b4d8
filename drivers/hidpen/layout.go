package hidpen

import (
	"errors"
	"fmt"
	"math"

	"loket/drivers"
	"loket/drivers/hid"
)

// Usages of pens (HID Usage Tables 1.4, clauses 4 and 16).
const (
	usageX         hid.Usage = 0x01_0030
	usageY         hid.Usage = 0x01_0031
	usageDigitizer hid.Usage = 0x0d_0001
	usagePen       hid.Usage = 0x0d_0002
	usagePressure  hid.Usage = 0x0d_0030
	usageInRange   hid.Usage = 0x0d_0032
	usageInvert    hid.Usage = 0x0d_003c
	usageTip       hid.Usage = 0x0d_0042
)

// The sizes that a pad may have, in hundredths of a millimetre: what is smaller is no place to sign, what is larger no pad.
const (
	leastSide = 500
	mostSide  = 40000
)

// layout is where a pad's report says what.
type layout struct {
	hid.Descriptor
	report   uint8
	tip      hid.Slot
	inRange  hid.Slot // in range; none where the pad does not tell
	invert   hid.Slot // the pen's other end; none where the pad does not tell
	pressure scale    // 1 to 1000; none where the pad does not tell
	x, y     axis
}

// axis is one direction of a pad.
type axis struct {
	scale
	size int // hundredths of a millimetre
}

// scale is a value with what it may be.
type scale struct {
	hid.Slot
	logical hid.Range
}

var errNoPen = errors.New("its report descriptor describes no pen")

// newLayout finds the first report of a pen with a tip and a place.
func newLayout(d hid.Descriptor) (layout, error) {
	for _, f := range d.Fields {
		if f.Application != usagePen && f.Application != usageDigitizer {
			continue
		}
		l := layout{Descriptor: d, report: f.Report}
		var ok bool
		if l.tip, _, ok = d.Slot(f.Report, usageTip); !ok {
			continue
		}
		l.inRange, _, _ = d.Slot(f.Report, usageInRange)
		l.invert, _, _ = d.Slot(f.Report, usageInvert)
		if at, f, ok := d.Slot(f.Report, usagePressure); ok && f.Logical.Max > f.Logical.Min {
			l.pressure = scale{at, f.Logical}
		}
		var err error
		if l.x, err = newAxis(d, f.Report, usageX, "X"); err == nil {
			l.y, err = newAxis(d, f.Report, usageY, "Y")
		}
		return l, err
	}
	return layout{}, errNoPen
}

func newAxis(d hid.Descriptor, report uint8, want hid.Usage, name string) (axis, error) {
	at, f, ok := d.Slot(report, want)
	if !ok || f.Logical.Max <= f.Logical.Min {
		return axis{}, fmt.Errorf("its report descriptor has no %s with a range", name)
	}
	unit, ok := f.Unit.Hundredths()
	size := unit * float64(f.Physical.Max-f.Physical.Min)
	if !ok || size < leastSide || size > mostSide {
		return axis{}, fmt.Errorf("its report descriptor does not say how large %s is, in centimetres or inches from 5 mm to 400 mm", name)
	}
	return axis{scale{at, f.Logical}, int(math.Round(size))}, nil
}

// value reads a value; ok is false where it is outside of what means something, which is how a device says that it knows none.
func (s scale) value(body []byte) (v int, ok bool) {
	raw := s.Element(body, 0)
	v = int(raw)
	if s.logical.Min < 0 { // it has a sign
		shift := 32 - s.Size
		v = int(int32(raw<<shift) >> shift)
	}
	return v, v >= s.logical.Min && v <= s.logical.Max
}

// place is a value in hundredths of a millimetre.
func (a axis) place(body []byte) (int, bool) {
	v, ok := a.value(body)
	n := float64(v-a.logical.Min) / float64(a.logical.Max-a.logical.Min)
	return int(math.Round(n * float64(a.size))), ok
}

// force is a pressure from 1 to 1000; 0 where the pad tells none.
func (l layout) force(body []byte) int {
	if l.pressure.Count == 0 {
		return 0
	}
	v, ok := l.pressure.value(body)
	if !ok {
		return 0
	}
	return max(1, 1000*(v-l.pressure.logical.Min)/(l.pressure.logical.Max-l.pressure.logical.Min))
}

// read reads a report; ok is false for reports that tell nothing of the pen. A tip that touches no known place counts as lifted, and
// so does the pen's other end.
func (l layout) read(report []byte) (e drivers.PenEvent, ok bool, err error) {
	id, body, err := l.Split(report)
	if err != nil || id != l.report {
		return e, false, err
	}
	set := func(s hid.Slot) bool { return s.Count > 0 && s.Element(body, 0) != 0 }
	if !set(l.tip) || set(l.invert) || l.inRange.Count > 0 && !set(l.inRange) {
		return e, true, nil
	}
	x, knownX := l.x.place(body)
	y, knownY := l.y.place(body)
	if !knownX || !knownY {
		return e, true, nil
	}
	return drivers.PenEvent{Down: true, X: x, Y: y, Force: l.force(body)}, true, nil
}
