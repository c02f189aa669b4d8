package ptp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/ptp"
	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
	"loket/firmware-sim/ptpcam"
)

// liar is a camera that answers some operations with what the test says.
type liar struct {
	*ptpcam.Device
	lies map[uint16]lie // by operation; a lie of nil packets is told once

	mu      sync.Mutex
	packets [][]byte // what the bulk IN endpoint still has to say
	endless []byte   // said over and over again afterwards
}

// lie makes, out of a command, what the bulk IN endpoint says; false leaves the answer to the camera.
type lie func(command []byte) (packets [][]byte, endless []byte, ok bool)

// once tells a lie the first time only.
func once(l lie) lie {
	told := false
	return func(command []byte) ([][]byte, []byte, bool) {
		if told {
			return nil, nil, false
		}
		told = true
		return l(command)
	}
}

// block writes a container that answers a command: its length is that of the payload, save where one is given.
func block(kind, code uint16, command, payload []byte, length ...uint32) []byte {
	le := binary.LittleEndian
	n := uint32(12 + len(payload))
	if len(length) > 0 {
		n = length[0]
	}
	b := le.AppendUint32(nil, n)
	b = le.AppendUint16(b, kind)
	b = le.AppendUint16(b, code)
	b = append(b, command[8:12]...)
	return append(b, payload...)
}

func code(command []byte) uint16 { return binary.LittleEndian.Uint16(command[6:]) }

// data lies with a payload and a good response.
func data(payload []byte, length ...uint32) lie {
	return func(c []byte) ([][]byte, []byte, bool) {
		return [][]byte{block(2, code(c), c, payload, length...), block(3, 0x2001, c, nil)}, nil, true
	}
}

// response lies with a response code.
func response(rc uint16) lie {
	return func(c []byte) ([][]byte, []byte, bool) { return [][]byte{block(3, rc, c, nil)}, nil, true }
}

// raw lies with one container of any kind.
func raw(kind, rc uint16, payload []byte) lie {
	return func(c []byte) ([][]byte, []byte, bool) { return [][]byte{block(kind, rc, c, payload)}, nil, true }
}

func (l *liar) Transfer(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	switch endpoint {
	case ptpcam.EndpointOut:
		if len(data) >= 12 && l.tell(data) {
			return len(data), nil
		}
	case ptpcam.EndpointIn:
		if n, ok := l.say(data); ok {
			return n, nil
		}
	}
	return l.Device.Transfer(ctx, endpoint, data)
}

func (l *liar) tell(command []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	tell := l.lies[code(command)]
	if tell == nil {
		return false
	}
	packets, endless, ok := tell(slices.Clone(command))
	if ok {
		l.packets, l.endless = packets, endless
	}
	return ok
}

func (l *liar) say(data []byte) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.packets) == 0 {
		for n := 0; len(l.endless) > 0 && n < len(data); {
			n += copy(data[n:], l.endless)
		}
		return len(data), len(l.endless) > 0
	}
	n := copy(data, l.packets[0])
	if l.packets[0] = l.packets[0][n:]; len(l.packets[0]) == 0 {
		l.packets = l.packets[1:]
	}
	return n, true
}

// objectInfo writes the dataset for a photograph.
func objectInfo(format uint16, size uint32) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0x00010001)
	b = le.AppendUint16(b, format)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, size)
	b = append(b, make([]byte, 14)...)
	b = le.AppendUint32(b, 640)
	b = le.AppendUint32(b, 480)
	return append(b, make([]byte, 4+4+10+4)...)
}

func TestHostileCameras(t *testing.T) {
	const (
		handles = 0x1007
		info    = 0x1008
		object  = 0x1009
		capture = 0x100e
		live    = 0x9203
	)
	s := scene(t)
	size := uint32(len(s.Still))
	for _, c := range []struct {
		name    string
		op      uint16
		lie     lie
		want    error
		verdict string
	}{
		{"a length of four gigabytes", info, data(nil, 0xffffffff), ptp.ErrTooBig, "crashed"},
		{"a length below its own head", info, data(nil, 11), ptp.ErrGarbled, "crashed"},
		{"handles that are not there", handles, data([]byte{0xff, 0xff, 0xff, 0x3f, 1, 0, 0, 0}), ptp.ErrShort, "crashed"},
		{"handles without end", handles, data(make([]byte, 600), 300<<10), ptp.ErrTooBig, "crashed"},
		{"a photograph of four gigabytes", info, data(objectInfo(0x3801, 0xfffffff0)), ptp.ErrTooBig, "crashed"},
		{"a photograph of ten bytes", info, data(objectInfo(0x3801, 10)), ptp.ErrNotJPEG, "crashed"},
		{"a raw file", info, data(objectInfo(0x3000, 4096)), ptp.ErrNotJPEG, "crashed"},
		{"a description that is cut", info, data(objectInfo(0x3801, size)[:40]), ptp.ErrShort, "crashed"},
		{"a name that runs out of its dataset", info, data(append(objectInfo(0x3801, size)[:52], 255, 0x41, 0)), ptp.ErrShort, "crashed"},
		{"a photograph longer than announced", object, data(s.Still, 12+size+1), ptp.ErrTooBig, "crashed"},
		{"a photograph shorter than announced", object, data(s.Still[:5000]), ptp.ErrShort, "crashed"},
		{"a photograph of noise", object, data(make([]byte, size)), ptp.ErrNotJPEG, "crashed"},
		{"a photograph cut off", object, data(append(slices.Clone(s.Still[:size/2]), make([]byte, size-size/2)...)), ptp.ErrNotJPEG, "crashed"},
		{"success without data", info, response(0x2001), ptp.ErrShort, "crashed"},
		{"data without end", object, func(c []byte) ([][]byte, []byte, bool) {
			return [][]byte{block(2, 0x1009, c, s.Still)}, []byte{0xaa}, true
		}, nil, "crashed"},
		{"data where none belongs", capture, data([]byte{1, 2, 3}), ptp.ErrGarbled, "crashed"},
		{"data of another operation", info, raw(2, 0x1009, []byte{1}), ptp.ErrGarbled, "crashed"},
		{"a command as an answer", info, raw(1, 0x1008, nil), ptp.ErrGarbled, "crashed"},
		{"six parameters", info, raw(3, 0x2001, make([]byte, 24)), ptp.ErrGarbled, "crashed"},
		{"half a parameter", info, raw(3, 0x2001, make([]byte, 2)), ptp.ErrGarbled, "crashed"},
		{"another transaction", info, func(c []byte) ([][]byte, []byte, bool) {
			c[8]++
			return [][]byte{block(3, 0x2001, c, nil)}, nil, true
		}, ptp.ErrTransaction, "crashed"},
		{"an answer of five bytes", info, func([]byte) ([][]byte, []byte, bool) { return [][]byte{{1, 2, 3, 4, 5}}, nil, true }, ptp.ErrShort, "crashed"},
		{"a full card", capture, response(0x200c), nil, "crashed"},
		{"a camera that is busy for ever", capture, response(0x2019), nil, "hung"},
		{"a live view of five gigabytes", live, data(nil, 5<<20), ptp.ErrTooBig, "crashed"},
		{"a live view of noise", live, data(make([]byte, 3000)), ptp.ErrNotJPEG, "crashed"},
		{"a live view that is cut", live, data(s.Frames[0][:9000]), ptp.ErrNotJPEG, "crashed"},
		{"a live view that never starts", live, response(0xa00b), nil, "crashed"},
		{"a live view that is busy for ever", live, response(0x2019), nil, "hung"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &liar{Device: camera(s), lies: map[uint16]lie{}}
				cam := open(t, usbtest.Attach(l))
				use := func() error {
					if c.op == live {
						return look(t.Context(), cam, 1, s)
					}
					m, err := cam.Still(t.Context())
					if err == nil && len(m.Encoded) != len(s.Still) {
						err = fmt.Errorf("a photograph of %d bytes", len(m.Encoded))
					}
					return err
				}
				l.set(c.op, c.lie)
				err := use()
				if err == nil || c.want != nil && !errors.Is(err, c.want) || drivers.Verdict(err) != c.verdict {
					t.Errorf("got %v, a verdict of %q; want %v and %q", err, drivers.Verdict(err), c.want, c.verdict)
				}
				l.set(c.op, nil)
				if err := use(); err != nil {
					t.Errorf("the camera speaks the truth again: %v", err)
				}
				if n := l.Stored(); n != 0 {
					t.Errorf("%d photographs are left", n)
				}
			})
		})
	}
}

// set tells another lie, or the truth where it is nil.
func (l *liar) set(op uint16, tell lie) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lies[op], l.packets, l.endless = tell, nil, nil
}

func TestFullCardSaysWhatToDo(t *testing.T) {
	s := scene(t)
	synctest.Test(t, func(t *testing.T) {
		l := &liar{Device: camera(s), lies: map[uint16]lie{0x100e: response(0x200c)}}
		_, err := open(t, usbtest.Attach(l)).Still(t.Context())
		if err == nil || !strings.Contains(err.Error(), "hint: empty the camera's memory card") {
			t.Errorf("got %v", err)
		}
	})
}

// TestQuirks: what cameras do that is not by the book and still is understood.
func TestQuirks(t *testing.T) {
	s := scene(t)
	for _, c := range []struct {
		name string
		op   uint16
		lie  lie
	}{
		{"the head of the data comes by itself", 0x1009, func(c []byte) ([][]byte, []byte, bool) {
			b := block(2, 0x1009, c, s.Still)
			return [][]byte{b[:12], b[12:], block(3, 0x2001, c, nil)}, nil, true
		}},
		{"busy at first", 0x100e, once(response(0x2019))},
		{"a session is open already", 0x1002, once(response(0x201e))},
		{"live view ended by itself", 0x9203, once(response(0xa00b))},
		{"no live view frame yet", 0x9203, once(response(0x2019))},
		{"a stale answer at opening", 0x1002, once(func(c []byte) ([][]byte, []byte, bool) {
			c[8] = 9
			return [][]byte{block(3, 0x2001, c, nil), block(3, 0x2001, c, nil)}, nil, true
		})},
		{"a live view with padding after it", 0x9203, data(append(append(make([]byte, 384), s.Frames[1]...), make([]byte, 77)...))},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &liar{Device: camera(s), lies: map[uint16]lie{c.op: c.lie}}
				cam := open(t, usbtest.Attach(l))
				if err := look(t.Context(), cam, 1, s); err != nil {
					t.Error(err)
				}
				m, err := cam.Still(t.Context())
				if err != nil || string(m.Encoded) != string(s.Still) {
					t.Errorf("a photograph of %d bytes, %v", len(m.Encoded), err)
				}
			})
		})
	}
}

// TestWholePackets: containers that end with a whole packet or a whole buffer are followed by a zero-length packet.
func TestWholePackets(t *testing.T) {
	base := picture(160, 120, 5)
	synctest.Test(t, func(t *testing.T) {
		d := ptpcam.New(ptpcam.Options{})
		cam := open(t, usbtest.Attach(d))
		for _, size := range []int{8192, 1024 + 65536, 1024 + 2*65536, 1024 + 65536 + 512, 16384 + 1, 16384 - 1, 1024 + 511 + 65536} {
			want := append(slices.Clone(base), make([]byte, size-12-len(base))...)
			d.Show(ptpcam.Scene{Still: want})
			m, err := cam.Still(t.Context())
			if err != nil || string(m.Encoded) != string(want) {
				t.Errorf("a container of %d bytes: %d bytes, %v", size, len(m.Encoded), err)
			}
		}
	})
}

// bare hides the operations of a camera: what is left of the device description announces none.
func bare() lie {
	var b []byte
	b = append(b, 100, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0)
	for range 5 {
		b = append(b, 0, 0, 0, 0)
	}
	return data(append(b, 0, 0, 0, 0))
}

func TestACameraThatCanDoNothingSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &liar{Device: camera(scene(t)), lies: map[uint16]lie{0x1001: bare()}}
		cam := open(t, usbtest.Attach(l))
		_, err := cam.Still(t.Context())
		for _, err := range []error{err, cam.Frames(t.Context(), nil)} {
			if !errors.Is(err, errors.ErrUnsupported) || drivers.Verdict(err) != "" || !strings.Contains(err.Error(), "hint:") {
				t.Errorf("got %v", err)
			}
		}
		if i := cam.Info(); i.Model != "Portrait camera" || i.Vendor != "Loket" {
			t.Errorf("without a description of its own the camera is %+v", i)
		}
	})
}

// TestAPhotographLeftBehindIsDeleted: the cable is pulled while a photograph lies in the store.
func TestAPhotographLeftBehindIsDeleted(t *testing.T) {
	s := scene(t)
	synctest.Test(t, func(t *testing.T) {
		driver := ptp.Driver()
		d := camera(s)
		l := &liar{Device: d}
		bus := usbtest.Attach(l)
		asked := make(chan struct{})
		l.lies = map[uint16]lie{0x1009: once(func([]byte) ([][]byte, []byte, bool) {
			close(asked)
			return nil, nil, true
		})}
		openOn := func() drivers.Device {
			infos, _ := bus.Devices(t.Context())
			raw, err := bus.Open(t.Context(), infos[0].Identity())
			if err != nil {
				t.Fatal(err)
			}
			dev, err := driver.Open(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			return dev
		}
		dev := openOn()
		go func() {
			<-asked
			bus.Unplug(l)
		}()
		if _, err := dev.(drivers.Camera).Still(t.Context()); drivers.Verdict(err) != "unplugged" {
			t.Errorf("pulling the cable: %v", err)
		}
		dev.Close()
		if d.Stored() != 1 {
			t.Fatalf("%d photographs are in the store after the cable was pulled", d.Stored())
		}
		bus.Plug(l)
		dev = openOn()
		if err := look(t.Context(), dev.(drivers.Camera), 1, s); err != nil {
			t.Error(err)
		}
		if n := d.Stored(); n != 0 {
			t.Errorf("%d photographs are in the store after the camera came back", n)
		}
		dev.Close()
	})
}

// TestPhotographsOfOthersStay: what was on the card before is not ours to delete.
func TestPhotographsOfOthersStay(t *testing.T) {
	s := scene(t)
	synctest.Test(t, func(t *testing.T) {
		d := camera(s)
		leave(t, d)
		cam := open(t, usbtest.Attach(d))
		for range 2 {
			if _, err := cam.Still(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := d.Stored(); n != 1 {
			t.Errorf("%d photographs are in the store; one was there before", n)
		}
	})
}

// leave takes a photograph with the camera and leaves it there, as somebody with another program would.
func leave(t *testing.T, d *ptpcam.Device) {
	t.Helper()
	buf := make([]byte, 1024)
	for i, c := range [][]byte{
		{16, 0, 0, 0, 1, 0, 0x02, 0x10, 0, 0, 0, 0, 7, 0, 0, 0},
		{12, 0, 0, 0, 1, 0, 0x0e, 0x10, 1, 0, 0, 0},
	} {
		if _, err := d.Transfer(t.Context(), ptpcam.EndpointOut, c); err != nil {
			t.Fatal(i, err)
		}
		if n, err := d.Transfer(t.Context(), ptpcam.EndpointIn, buf); err != nil || buf[7] != 0x20 || buf[6] != 1 {
			t.Fatalf("command %d: % x, %v", i, buf[:n], err)
		}
	}
	if _, err := d.Transfer(t.Context(), ptpcam.EndpointEvent, buf); err != nil {
		t.Fatal(err)
	}
	d.BusReset()
}

// TestCancelDuringTheExposure: the shutter is open when the capture is cancelled; its photograph must not stay and must
// not be taken for the next one.
func TestCancelDuringTheExposure(t *testing.T) {
	first, second := scene(t), scene(t)
	second.Still = picture(640, 480, 9)
	synctest.Test(t, func(t *testing.T) {
		d := ptpcam.New(ptpcam.Options{Exposure: 700 * time.Millisecond})
		d.Show(first)
		cam := open(t, usbtest.Attach(d))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := cam.Still(ctx); !errors.Is(err, context.DeadlineExceeded) || drivers.Verdict(err) != "" {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > 350*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		d.Show(second)
		m, err := cam.Still(t.Context())
		if err != nil || string(m.Encoded) != string(second.Still) {
			t.Errorf("the photograph after a cancelled one has %d bytes, %v", len(m.Encoded), err)
		}
		if n := d.Stored(); n != 0 {
			t.Errorf("%d photographs are left", n)
		}
	})
}

var _ usb.Gadget = (*liar)(nil)
