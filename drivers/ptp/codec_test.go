package ptp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"loket/drivers/usb"
)

// unhex reads hexadecimal digits; blanks don't count.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors below are written by hand from the layouts of ISO 15740:2013: annex D.3 for containers, clause 5.3 for types,
// 5.5 for datasets and 13.3.3 for properties.

func TestCommandVectors(t *testing.T) {
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{command(opGetDeviceInfo, 1), "0c000000 0100 0110 01000000"},
		{command(opOpenSession, 0, 1), "10000000 0100 0210 00000000 01000000"},
		{command(opGetObjectHandles, 0x01020304, 0xffffffff, 0, 0), "18000000 0100 0710 04030201 ffffffff 00000000 00000000"},
	} {
		if want := unhex(t, c.want); !bytes.Equal(c.got, want) {
			t.Errorf("got % x, want % x", c.got, want)
		}
	}
}

func TestEventVector(t *testing.T) {
	e, err := parseEvent(unhex(t, "10000000 0400 0240 05000000 78563412"))
	if err != nil || e.code != eventObjectAdded || e.transaction != 5 || !slices.Equal(e.params, []uint32{0x12345678}) {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestDeviceInfoVector(t *testing.T) {
	d, err := parseDeviceInfo(unhex(t, `
		6400 0a000000 6400 00 0000
		02000000 0110 0392
		01000000 0240
		01000000 0150
		00000000 01000000 0138
		03 4100 4200 0000
		02 e900 0000
		04 3100 2e00 3000 0000
		03 3dd8 00de 0000`))
	want := deviceInfo{
		extension: 10, operations: []uint16{opGetDeviceInfo, opGetLiveViewImage}, events: []uint16{eventObjectAdded},
		properties: []uint16{propBatteryLevel}, manufacturer: "AB", model: "é", version: "1.0", serial: "😀",
	}
	if err != nil || d.manufacturer != want.manufacturer || d.model != want.model || d.version != want.version || d.serial != want.serial ||
		d.extension != want.extension || !slices.Equal(d.operations, want.operations) || !slices.Equal(d.events, want.events) ||
		!slices.Equal(d.properties, want.properties) {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestStorageInfoVector(t *testing.T) {
	s, err := parseStorageInfo(unhex(t, "0400 0300 0100 0000000002000000 00ca9a3b00000000 ffffffff 02 4100 0000 00"))
	if want := (storageInfo{access: 1, capacity: 1 << 33, free: 1_000_000_000}); err != nil || s != want {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestObjectInfoVector(t *testing.T) {
	o, err := parseObjectInfo(unhex(t, `
		01000100 0138 0000 40420f00
		0838 00100000 a0000000 78000000
		800c0000 60090000 18000000 00009001
		0000 00000000 07000000
		06 4100 2e00 4a00 5000 4700 0000
		05 3200 3000 3200 3600 0000
		00 00`))
	want := objectInfo{storage: 0x00010001, format: formatEXIF, size: 1_000_000, width: 3200, height: 2400, parent: 0x01900000,
		filename: "A.JPG", taken: "2026"}
	if err != nil || o != want {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestASizeIsTwoNumbersWithAnXBetween(t *testing.T) {
	for text, want := range map[string][2]int{"1920x1080": {1920, 1080}, "640x480": {640, 480}, "": {}, "L": {}, "0x5": {}, "1920": {}, "-3x4": {},
		"1920x1080x2": {}, "99999999x2": {}, "1920x": {}} {
		if w, h := parseSize(text); [2]int{w, h} != want {
			t.Errorf("%q is %d x %d", text, w, h)
		}
	}
}

func TestPropertyVectors(t *testing.T) {
	for _, c := range []struct {
		name, bytes string
		want        property
	}{
		{"a range of bytes", "0150 0200 00 64 5a 01 00 64 01",
			property{code: 0x5001, kind: 2, standard: value{number: 100}, current: value{number: 90}, form: formRange,
				values: []value{{}, {number: 100}, {number: 1}}}},
		{"an enumeration of signed words", "1050 0300 01 0000 18fc 02 0200 18fc e803",
			property{code: 0x5010, kind: 3, writable: true, current: value{number: -1000}, form: formEnumeration,
				values: []value{{number: -1000}, {number: 1000}}}},
		{"a text", "0350 ffff 00 02 4100 0000 02 4200 0000 00",
			property{code: 0x5003, kind: 0xffff, standard: value{text: "A"}, current: value{text: "B"}}},
		{"an array", "01d0 0240 00 02000000 0102 00000000 00",
			property{code: 0xd001, kind: 0x4002, standard: value{list: []value{{number: 1}, {number: 2}}}, current: value{list: []value{}}}},
		{"sixteen bytes", "02d0 0a00 00 07000000000000000000000000000080 00000000000000000000000000000000 00",
			property{code: 0xd002, kind: 10, standard: value{number: 7}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseProperty(unhex(t, c.bytes))
			same := got.code == c.want.code && got.kind == c.want.kind && got.writable == c.want.writable && got.form == c.want.form &&
				equal(got.standard, c.want.standard) && equal(got.current, c.want.current) && slices.EqualFunc(got.values, c.want.values, equal)
			if err != nil || !same {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func equal(a, b value) bool {
	return a.number == b.number && a.text == b.text && slices.EqualFunc(a.list, b.list, equal)
}

func TestStatusVectors(t *testing.T) {
	code, halted, err := parseStatus(unhex(t, "0c00 1f20 81000000 02000000"))
	if err != nil || code != rcCancelled || !slices.Equal(halted, []uint8{0x81, 0x02}) {
		t.Errorf("got %04x, % x, %v", code, halted, err)
	}
	for _, bad := range []string{"", "0400", "0300 0120", "0900 0120 81000000"} {
		if _, _, err := parseStatus(unhex(t, bad)); !errors.Is(err, ErrShort) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestBadStringsAreCutAndCleaned(t *testing.T) {
	for _, c := range []struct{ bytes, want string }{
		{"03 4100 0000 4200", "A"},            // ends before its count
		{"02 4100 4200", "AB"},                // no null at the end
		{"05 1b00 4100 0a00 4200 0000", "AB"}, // control characters
		{"04 00d8 4100 00dc 0000", "A"},       // halves of surrogate pairs
		{"04 2000 4100 2000 0000", "A"},       // blanks around it
		{"05 4100 2e20 4200 0f20 0000", "AB"}, // direction overrides
	} {
		f := &fields{b: unhex(t, c.bytes)}
		if got := f.text(); got != c.want || f.err != nil {
			t.Errorf("%s: got %q, %v; want %q", c.bytes, got, f.err, c.want)
		}
	}
}

func sampleJPEG(t testing.TB) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 40, 30)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhereAPictureEnds(t *testing.T) {
	whole := sampleJPEG(t)
	trailed := append(slices.Clone(whole), 0, 1, 2)
	if end, err := jpegEnd(trailed); err != nil || end != len(whole) {
		t.Errorf("got %d, %v; want %d", end, err, len(whole))
	}
	thumbnail := slices.Concat(whole[:2], []byte{0xff, 0xe1, byte((len(whole) + 2) >> 8), byte(len(whole) + 2)}, whole, whole[2:])
	if end, err := jpegEnd(thumbnail); err != nil || end != len(thumbnail) {
		t.Errorf("with a thumbnail in it: got %d, %v; want %d", end, err, len(thumbnail))
	}
	for n := range whole {
		if _, err := jpegEnd(whole[:n]); !errors.Is(err, ErrNotJPEG) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

// TestRecordedDatasets decodes what a real camera sent.
func TestRecordedDatasets(t *testing.T) {
	t.Attr("fixtures", "usb/canon-sx200")
	root := os.Getenv("LOKET_FIXTURES")
	file := filepath.Join(root, "usb", "canon-sx200", "canon-powershot-sx200.ioctl")
	f, err := os.Open(file)
	if root == "" || err != nil {
		t.Skip("skipped: no recording of a real camera (set LOKET_FIXTURES to the folder that holds usb/canon-sx200)")
	}
	defer f.Close()
	infos, names := 0, map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		b, err := hex.DecodeString(words[len(words)-1])
		if err != nil || len(b) < headerSize {
			continue
		}
		h, err := parseHeader(b)
		if err != nil || h.block != blockData || int(h.length) != len(b) {
			continue
		}
		switch h.code {
		case opGetDeviceInfo:
			d, err := parseDeviceInfo(b[headerSize:])
			if err != nil || d.model != "Canon PowerShot SX200 IS" || d.version != "1-6.0.1.0" || d.can(opStartLiveView) || !d.can(opGetObject) {
				t.Fatalf("device: %+v, %v", d, err)
			}
			infos++
		case opGetObjectInfo:
			o, err := parseObjectInfo(b[headerSize:])
			if err != nil {
				t.Fatal(err)
			}
			names[o.filename] = true
		}
	}
	if infos == 0 || !names["IMG_0001.JPG"] || !names["IMG_0002.JPG"] || !names["DCIM"] {
		t.Errorf("found %d device descriptions and the files %v", infos, names)
	}
}

func FuzzDatasets(f *testing.F) {
	for _, s := range []string{
		"6400 0a000000 6400 00 0000 01000000 0110 00000000 00000000 00000000 00000000 00 00 00 00",
		"0150 0200 00 64 5a 01 00 64 01", "0350 ffff 00 02 4100 0000 02 4200 0000 02 ffff",
		"10000000 0400 0240 05000000 78563412", "0c00 1f20 81000000 02000000",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := parseDeviceInfo(b); err == nil && len(d.operations)+len(d.events)+len(d.properties) > len(b) {
			t.Errorf("%d bytes gave %+v", len(b), d)
		}
		_, _ = parseStorageInfo(b)
		_, _ = parseObjectInfo(b)
		if p, err := parseProperty(b); err == nil && len(p.values) > len(b) {
			t.Errorf("%d bytes gave %d values", len(b), len(p.values))
		}
		if e, err := parseEvent(b); err == nil && len(e.params) > 3 {
			t.Errorf("got %+v", e)
		}
		_, _, _ = parseStatus(b)
		fields := &fields{b: b}
		if list := fields.handles(); 4*len(list) > len(b) {
			t.Errorf("%d bytes gave %d handles", len(b), len(list))
		}
	})
}

func FuzzPicture(f *testing.F) {
	f.Add(sampleJPEG(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		if end, err := jpegEnd(b); err == nil && (end > len(b) || !bytes.Equal(b[end-2:end], []byte{0xff, 0xd9})) {
			t.Errorf("a picture of %d bytes ends at %d", len(b), end)
		}
		if frame, err := liveFrame(b); err == nil && len(frame) > len(b) {
			t.Error("a frame longer than its data")
		}
	})
}

// tape is a camera that sends one fuzzed stream on every IN endpoint, in packets of the lengths that the stream itself says.
type tape struct{ b []byte }

func (d *tape) Info() usb.Info           { return usb.Info{} }
func (d *tape) Claim(uint8, uint8) error { return nil }
func (d *tape) Close() error             { return nil }
func (d *tape) Descriptors() []byte      { return nil }
func (d *tape) next(data []byte) (int, error) {
	if len(d.b) == 0 {
		return 0, usb.ErrGone
	}
	n := min(len(data), len(d.b)-1, int(d.b[0])*8)
	copy(data, d.b[1:1+n])
	d.b = d.b[1+n:]
	return n, nil
}

func (d *tape) Control(ctx context.Context, s usb.Setup, data []byte) (int, error) {
	if s.In() {
		return d.next(data)
	}
	return len(data), ctx.Err()
}

func (d *tape) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	if endpoint&0x80 == 0 {
		return len(data), ctx.Err()
	}
	return d.next(data)
}

func FuzzCamera(f *testing.F) {
	answer := unhex(f, "14000000 0200 0910 01000000 0102030405060708")
	f.Add(slices.Concat([]byte{3}, answer, []byte{0, 0, 0, 0}, []byte{2}, unhex(f, "0c000000 0300 0120 01000000"), []byte{0, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 4096
		l := &link{dev: &tape{b}, next: 1,
			in: usb.Endpoint{Address: 0x81, MaxPacket: 64}, out: usb.Endpoint{Address: 2, MaxPacket: 64}, events: usb.Endpoint{Address: 0x83, MaxPacket: 8}}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		into := &buffer{limit: limit}
		if _, err := l.do(ctx, into, opGetObject, 1); err == nil && l.dirty {
			t.Error("a good transaction left the link dirty")
		}
		if cap(into.b) > limit {
			t.Errorf("a buffer of %d bytes", cap(into.b))
		}
		_, _ = l.event(ctx)
		_ = l.recover(ctx)
	})
}
