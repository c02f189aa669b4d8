package usbip

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"loket/drivers/usb"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes follow the layouts of docs.kernel.org/usb/usbip_protocol.
func TestMessagesHaveTheLayoutOfTheProtocol(t *testing.T) {
	for _, c := range []struct {
		name string
		pdu  pdu
		wire string
	}{
		{"an IN control transfer", pdu{
			command: cmdSubmit, seq: 0xd05, devid: 0x1000f, in: true, flags: 0x200, length: 0x40, packets: 0,
			setup: encodeSetup(usb.Setup{RequestType: 0x80, Request: 6, Value: 0x100, Length: 0x40}),
		}, `00000001 00000d05 0001000f 00000001 00000000 00000200 00000040 00000000 00000000 00000000 8006000100004000`},
		{"an interrupt transfer", pdu{command: cmdSubmit, seq: 0xd05, devid: 0x1000f, in: true, endpoint: 1, flags: 0x200, length: 0x40, start: 0xffffffff, interval: 4},
			`00000001 00000d05 0001000f 00000001 00000001 00000200 00000040 ffffffff 00000000 00000004 0000000000000000`},
		{"its answer", pdu{command: retSubmit, seq: 0xd06, status: -32, length: 0x40, packets: noIsoPackets},
			`00000003 00000d06 00000000 00000000 00000000 ffffffe0 00000040 00000000 ffffffff 00000000 0000000000000000`},
		{"an unlink", pdu{command: cmdUnlink, seq: 7, devid: 0x10002, target: 6},
			`00000002 00000007 00010002 00000000 00000000 00000006 00000000 00000000 00000000 00000000 0000000000000000`},
		{"its answer", pdu{command: retUnlink, seq: 7, status: -104},
			`00000004 00000007 00000000 00000000 00000000 ffffff98 00000000 00000000 00000000 00000000 0000000000000000`},
	} {
		want := unhex(t, c.wire)
		if got := c.pdu.append(nil); !bytes.Equal(got, want) {
			t.Errorf("%s is\n% x\nwant\n% x", c.name, got, want)
		}
		if got, err := decodePDU(want); err != nil || got != c.pdu {
			t.Errorf("%s reads as %+v, %v", c.name, got, err)
		}
	}
}

func TestOperationsHaveTheLayoutOfTheProtocol(t *testing.T) {
	if got := (op{code: opRequest | opReply}).append(nil); !bytes.Equal(got, unhex(t, "0111 8005 00000000")) {
		t.Errorf("OP_REQ_DEVLIST is % x", got)
	}
	r := record{
		path: "/sys/x", busid: "1-2", bus: 1, dev: 5, speed: 3, vendor: 0x1209, product: 0x5a60, release: 0x100,
		class: 1, sub: 2, protocol: 3, configuration: 1, configurations: 1, interfaces: 2,
	}
	b := r.append(nil)
	if len(b) != recordSize || !bytes.Equal(b[288:], unhex(t, "00000001 00000005 00000003 1209 5a60 0100 01 02 03 01 01 02")) {
		t.Errorf("the record has %d bytes and ends % x", len(b), b[288:])
	}
	if got, err := decodeRecord(b); got != r || err != nil {
		t.Errorf("it reads as %+v, %v", got, err)
	}
	list := []listed{{r, []usb.Interface{{Class: 6, SubClass: 1, Protocol: 1}, {Number: 1, Class: 255}}}}
	wire := appendList(nil, list)
	if len(wire) != 4+recordSize+8 || !bytes.Equal(wire[4+recordSize:], unhex(t, "06010100 ff000000")) {
		t.Errorf("the list ends % x", wire[recordSize:])
	}
	if got, err := readList(bytes.NewReader(wire)); err != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("it reads as %+v, %v", got, err)
	}
}

func TestSpeedsGoThereAndBack(t *testing.T) {
	for _, s := range []usb.Speed{usb.LowSpeed, usb.FullSpeed, usb.HighSpeed, usb.SuperSpeed} {
		if got := decodeSpeed(encodeSpeed(s)); got != s {
			t.Errorf("%s comes back as %s", s, got)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(pdu{command: cmdSubmit, seq: 1, devid: 2, in: true, endpoint: 3, length: 4, packets: noIsoPackets}.append(nil))
	f.Add(pdu{command: retSubmit, seq: 1, status: -32, length: 4}.append(nil))
	f.Add(pdu{command: cmdUnlink, seq: 1, target: 9}.append(nil))
	f.Add(pdu{command: retUnlink, seq: 1, status: -104}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePDU(b)
		if err != nil {
			return
		}
		if p.length < 0 || p.length > maxTransfer || p.isoPackets() < 0 || p.isoPackets() > maxIso || p.endpoint > 15 {
			t.Fatalf("out of bounds: %+v", p)
		}
		again, err := decodePDU(p.append(nil))
		if err != nil || again != p {
			t.Fatalf("%+v comes back as %+v, %v", p, again, err)
		}
	})
}

func FuzzDeviceList(f *testing.F) {
	f.Add(appendList(nil, []listed{{record{busid: "1-1"}, []usb.Interface{{Class: 6}}}, {record{busid: "1-2", path: "/p"}, nil}}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := readList(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := readList(bytes.NewReader(appendList(nil, list)))
		if err != nil || !reflect.DeepEqual(again, list) {
			t.Fatalf("%+v comes back as %+v, %v", list, again, err)
		}
	})
}

func FuzzOperation(f *testing.F) {
	f.Add(op{code: opImport, status: 1}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := decodeOp(b); err == nil && !bytes.Equal(o.append(nil), b[:opSize]) {
			t.Fatalf("% x comes back as % x", b, o.append(nil))
		}
	})
}
