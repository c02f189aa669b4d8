package usbtest_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"loket/drivers/usb/usbtest"
)

// A hand-made capture: packets are usbmon's headers of 48 bytes, padded to what the capture says.

// block writes a pcapng block.
func block(kind uint32, body []byte) []byte {
	le := binary.LittleEndian
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	b := le.AppendUint32(nil, kind)
	b = le.AppendUint32(b, uint32(len(body)+12))
	b = append(b, body...)
	return le.AppendUint32(b, uint32(len(body)+12))
}

// submit writes the packet of an event on device 5.
func submit(urb uint64, kind, transfer, endpoint byte, length uint32, data []byte) []byte {
	b := make([]byte, 48)
	le := binary.LittleEndian
	le.PutUint64(b, urb)
	b[8], b[9], b[10], b[11] = kind, transfer, endpoint, 5
	if transfer == 2 {
		copy(b[40:], []byte{0x40, 1, 0, 0, 0, 0, byte(length), byte(length >> 8)})
	}
	le.PutUint32(b[32:], length)
	le.PutUint32(b[36:], uint32(len(data)))
	return append(b, data...)
}

// capture writes a file of packets with headers of that many bytes.
func capture(header int, packets ...[]byte) []byte {
	le := binary.LittleEndian
	b := block(0x0a0d0d0a, append(le.AppendUint32(nil, 0x1a2b3c4d), 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255))
	b = append(b, block(1, []byte{map[int]byte{48: 189, 64: 220}[header], 0, 0, 0, 0, 0, 4, 0})...)
	for _, p := range packets {
		p = append(append(append([]byte{}, p[:48]...), make([]byte, header-48)...), p[48:]...)
		e := make([]byte, 12)
		e = le.AppendUint32(e, uint32(len(p)))
		e = le.AppendUint32(e, uint32(len(p)))
		b = append(b, block(6, append(e, p...))...)
	}
	return b
}

func TestBothHeadersOfUsbmonAreRead(t *testing.T) {
	for _, header := range []int{48, 64} {
		b := capture(header,
			submit(1, 'S', 1, 0x82, 8, nil),
			submit(2, 'S', 2, 0, 2, []byte{1, 2}), submit(2, 'C', 2, 0, 2, nil),
			submit(1, 'C', 1, 0x82, 3, []byte{4, 5, 6}),
			submit(9, 'C', 3, 0x81, 0, nil), // began before the capture
			submit(3, 'S', 3, 0x81, 512, nil))
		rec, err := usbtest.ReadPcapng(bytes.NewReader(b), usbtest.PcapngOptions{Descriptors: usbtest.NewEcho("E1").Descriptors()})
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if _, err := rec.WriteTo(&text); err != nil {
			t.Fatal(err)
		}
		if want := "\n1<2 in 82 8: 040506\n2 control 40 01 0000 0000 2: 0102\n3 in 81 512: - cancelled\n"; !strings.HasSuffix(text.String(), want) {
			t.Errorf("it is read as\n%s", text.String())
		}
	}
}

func TestMistakesInACaptureAreNamedWithTheirPacket(t *testing.T) {
	good := submit(1, 'S', 3, 0x81, 8, nil)
	other := submit(2, 'S', 3, 0x81, 8, nil)
	other[11] = 6
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":                  {nil, "the file is empty"},
		"not pcapng":             {make([]byte, 64), "this is no pcapng file"},
		"cut":                    {capture(64, good)[:100], "length is wrong"},
		"two devices":            {capture(64, good, other), "packet 2: the capture has devices 5 and 6 (hint: choose one by its address)"},
		"a transfer twice":       {capture(64, good, good), "packet 2: a transfer begins twice"},
		"isochronous":            {capture(64, submit(1, 'S', 0, 0x81, 8, nil)), "packet 1: an isochronous transfer"},
		"another kind of event":  {capture(64, submit(1, 'X', 3, 0x81, 8, nil)), "packet 1: an event of kind 58"},
		"data that is missing":   {capture(64, submit(1, 'S', 3, 0x01, 8, []byte{1})), "packet 1: the bytes that went out are not all there"},
		"too much":               {capture(64, good, submit(1, 'C', 3, 0x81, 9, make([]byte, 9))), "packet 2: 9 bytes moved where 8 were the most"},
		"without any descriptor": {capture(64, good), "give the device's descriptors"},
	} {
		_, err := usbtest.ReadPcapng(bytes.NewReader(c.file), usbtest.PcapngOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s gives %v, want %s", name, err, c.want)
		}
	}
	if _, err := usbtest.ReadPcapng(bytes.NewReader(capture(64, good, other)),
		usbtest.PcapngOptions{Address: 6, Descriptors: usbtest.NewEcho("E1").Descriptors()}); err != nil {
		t.Errorf("one device of two: %v", err)
	}
}

func TestMistakesInIoctlsAreNamedWithTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"  USBDEVFS_REAPURB 0 3 2 0 0 1 1 0 01":       "line 1: indented deeper",
		"EVIOCGRAB 0":                                 `line 1: "EVIOCGRAB" is no ioctl of usbdevfs`,
		"USBDEVFS_REAPURB 0 3":                        "line 1: a transfer has nine or ten fields",
		"@DEV x\nUSBDEVFS_REAPURB 0 3 2 0 0 1 1 0 zz": "line 2: the bytes are none",
		"USBDEVFS_REAPURB 0 3 2 0 0 2 2 0 01":         "line 1: 1 bytes where 2 of 2 should be",
		"USBDEVFS_REAPURB 0 0 129 0 0 2 2 0 01":       "line 1: a transfer of type 0",
		"USBDEVFS_REAPURB 0 3 300 0 0 2 2 0 01":       "line 1: a field is out of its bounds",
		"USBDEVFS_REAPURB 0 2 0 0 0 2 2 0 0102":       "line 1: a control transfer without its setup stage",
	} {
		_, err := usbtest.ReadIoctl(strings.NewReader(text), usbtest.IoctlOptions{Descriptors: usbtest.NewEcho("E1").Descriptors()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %s", text, err, want)
		}
	}
}
