package ptpcam

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// colourful makes a JPEG that is recognised.
func colourful(width, height int, shade uint8) []byte {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.Set(x, y, color.RGBA{uint8(x), uint8(y), shade, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// overIP serves a camera on a port of its own.
func overIP(t testing.TB, d *Device) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no loopback network: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.ServeIP(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("serving ended with %v", err)
		}
	})
	return ln.Addr().String()
}

// initiator is the other side of a connection, by its bytes.
type initiator struct {
	testing.TB
	net.Conn
}

func dial(t testing.TB, address string) *initiator {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &initiator{t, conn}
}

func (i *initiator) put(s string) {
	i.Helper()
	if _, err := i.Write(unhex(i, s)); err != nil {
		i.Fatal(err)
	}
}

// get reads one packet whole.
func (i *initiator) get() []byte {
	i.Helper()
	head := make([]byte, 8)
	if _, err := io.ReadFull(i, head); err != nil {
		i.Fatal(err)
	}
	b := append(head, make([]byte, binary.LittleEndian.Uint32(head)-8)...)
	if _, err := io.ReadFull(i, b[8:]); err != nil {
		i.Fatal(err)
	}
	return b
}

func (i *initiator) want(s string) {
	i.Helper()
	if got, want := i.get(), unhex(i, s); !bytes.Equal(got, want) {
		i.Fatalf("got % x, want % x", got, want)
	}
}

const (
	greeting = "20000000 01000000 000102030405060708090a0b0c0d0e0f 4100 0000 00000100"
	open     = "16000000 06000000 01000000 0210 00000000 01000000"
	opened0k = "0e000000 07000000 0120 00000000"
)

// connected is the number that a greeting was answered with.
func (i *initiator) connected() uint32 {
	i.Helper()
	i.put(greeting)
	ack := i.get()
	if len(ack) != 8+4+16+2*len("Portrait camera")+2+4 || ack[4] != 2 || !bytes.HasSuffix(ack, unhex(i, "72006100 0000 00000100")) {
		i.Fatalf("the greeting is answered with % x", ack)
	}
	return binary.LittleEndian.Uint32(ack[8:])
}

// The vectors below are written by hand from CIPA DC-005 (PTP-IP), clause 2.3.

func TestAConversationOverIPByTheLayout(t *testing.T) {
	d := New(Options{Exposure: time.Millisecond})
	d.Show(Scene{Still: colourful(64, 48, 1)})
	address := overIP(t, d)
	c, e := dial(t, address), dial(t, address)
	number := c.connected()
	if number != 1 {
		t.Errorf("the connection has number %d", number)
	}
	e.put("0c000000 03000000 01000000")
	e.want("08000000 04000000")
	c.put(open)
	c.want(opened0k)
	c.put("12000000 06000000 01000000 0410 01000000")
	c.want("14000000 09000000 01000000 0800000000000000")
	c.want("14000000 0c000000 01000000 01000000 01000100")
	c.want("0e000000 07000000 0120 01000000")
	c.put("1a000000 06000000 01000000 0e10 02000000 00000000 00000000")
	c.want("0e000000 07000000 0120 02000000")
	e.want("12000000 08000000 0240 02000000 01000000")
	e.want("0e000000 08000000 0d40 02000000")
	e.put("08000000 0d000000")
	e.want("08000000 0e000000")
	c.put("16000000 06000000 02000000 1610 03000000 03500000") // an operation that brings data
	c.put("14000000 09000000 03000000 0100000000000000" + "0d000000 0c000000 03000000 07")
	c.want("0e000000 07000000 0520 03000000")
	c.put("0c000000 0b000000 03000000") // a cancel that comes too late
	c.put("16000000 06000000 01000000 ffff 04000000 01000000")
	c.want("0e000000 07000000 0520 04000000")
}

func TestOneHasTheCameraOverIP(t *testing.T) {
	d := New(Options{})
	address := overIP(t, d)
	first := dial(t, address)
	first.connected()
	second := dial(t, address)
	second.put(greeting)
	second.want("0c000000 05000000 02000000")
	first.put(open)
	first.want(opened0k)
	usb := &host{TB: t, d: d, next: 1}
	usb.want(rcDeviceBusy, opOpenSession, 1)
	d.BusReset()
	first.put("12000000 06000000 01000000 0410 01000000")
	first.want("14000000 09000000 01000000 0800000000000000")
	first.Close()
	for { // the camera is free once it has seen the end
		if _, code := usb.ask(opOpenSession, 1); code == rcOK {
			break
		}
	}
	third := dial(t, address)
	third.put(greeting)
	third.want("0c000000 05000000 02000000")
}

func TestMalformedPacketsEndTheConnection(t *testing.T) {
	address := overIP(t, New(Options{}))
	for name, c := range map[string]struct {
		greet bool
		send  string
	}{
		"a packet of no length":          {false, "00000000 01000000"},
		"a packet of too much":           {false, "ffffffff 01000000"},
		"an event before any connection": {false, "0c000000 03000000 07000000"},
		"an operation before a greeting": {false, open},
		"a greeting of another version":  {false, "20000000 01000000 000102030405060708090a0b0c0d0e0f 4100 0000 00000200"},
		"a name without an end":          {false, "20000000 01000000 000102030405060708090a0b0c0d0e0f 4100 4100 00000100"},
		"a greeting twice":               {true, greeting},
		"an operation with a half":       {true, "14000000 06000000 01000000 0210 00000000 0100"},
		"data without an operation":      {true, "0c000000 0c000000 00000000"},
		"data of another operation":      {true, "12000000 06000000 02000000 1610 03000000" + "0c000000 0c000000 04000000"},
	} {
		t.Run(name, func(t *testing.T) {
			i := dial(t, address)
			if c.greet {
				for i.put(greeting); i.get()[4] == ipInitFail; i.put(greeting) { // the last one has not quite gone
					i = dial(t, address)
				}
			}
			i.put(c.send)
			if rest, err := io.ReadAll(i); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") || len(rest) > 12 {
				t.Errorf("it answers % x, %v", rest, err)
			}
		})
	}
}

func TestPTPIPStaysOnLoopback(t *testing.T) {
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Skipf("no network: %v", err)
	}
	defer ln.Close()
	if err := New(Options{}).ServeIP(t.Context(), ln); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("every address gives %v", err)
	}
}

func FuzzPTPIP(f *testing.F) {
	f.Add(unhex(f, greeting))
	f.Add(unhex(f, open))
	f.Add(unhex(f, "1a000000 06000000 01000000 0e10 02000000 00000000 00000000 08000000 0d000000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for r := bytes.NewReader(b); ; {
			kind, body, err := readPacket(r)
			if err != nil {
				return
			}
			if len(body) > len(b) {
				t.Fatalf("%d bytes gave a packet of %d", len(b), len(body))
			}
			switch kind {
			case ipInitCommand:
				if name, err := parseInitCommand(body); err == nil && len(name) > 3*len(body) {
					t.Errorf("the name is %q", name)
				}
			case ipRequest:
				q, _, err := parseRequest(body)
				if again := packetOf(ipRequest, body, 0); err == nil && !bytes.HasSuffix(again, body) {
					t.Errorf("%+v is written as % x", q, again)
				}
			}
		}
	})
}

// gphoto2 runs the photographer's tool against a camera in a folder of its own and returns what it said. It is a foreign
// witness: nothing of it is ours.
func gphoto2(t *testing.T, address, dir string, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("gphoto2")
	if err != nil {
		t.Skip("skipped: gphoto2 is not here (apt-get install gphoto2)")
	}
	_, port, _ := net.SplitHostPort(address)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"--port", "ptpip:127.0.0.1:" + port + ":" + port}, args...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("gphoto2 %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestGphoto2UsesTheCameraOverIP(t *testing.T) {
	still, kept := colourful(320, 240, 1), colourful(160, 120, 2)
	d := New(Options{Serial: "SIM-PTP-7"})
	d.Show(Scene{Still: still, Frames: [][]byte{colourful(1280, 720, 3), colourful(1280, 720, 4)}})
	d.Keep(kept)
	address := overIP(t, d)
	t.Run("--summary", func(t *testing.T) {
		out := gphoto2(t, address, t.TempDir(), "--summary")
		for _, want := range []string{"Manufacturer: Loket", "Model: Portrait camera", "Serial Number: SIM-PTP-7", "Memory card"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
	})
	t.Run("--list-files", func(t *testing.T) {
		if out := gphoto2(t, address, t.TempDir(), "--list-files"); !strings.Contains(out, "LOK_0001.JPG") || !strings.Contains(out, "160x120") {
			t.Errorf("it lists\n%s", out)
		}
	})
	t.Run("--capture-image-and-download", func(t *testing.T) {
		dir := t.TempDir()
		out := gphoto2(t, address, dir, "--capture-image-and-download", "--filename", "photo.jpg")
		got, err := os.ReadFile(filepath.Join(dir, "photo.jpg")) // its exit code says nothing
		if err != nil || !bytes.Equal(got, still) {
			t.Errorf("the file has %d bytes and not %d, or others: %v\n%s", len(got), len(still), err, out)
		}
		if d.Stored() != 1 {
			t.Errorf("%d photographs are in the store", d.Stored())
		}
	})
	t.Run("--capture-preview", func(t *testing.T) {
		dir := t.TempDir()
		out := gphoto2(t, address, dir, "--capture-preview", "--filename", "p.jpg")
		files, _ := filepath.Glob(filepath.Join(dir, "*.jpg"))
		if len(files) != 1 {
			t.Fatalf("files %v\n%s", files, out)
		}
		got, err := os.ReadFile(files[0])
		if err != nil || !bytes.Equal(got, colourful(1280, 720, 3)) && !bytes.Equal(got, colourful(1280, 720, 4)) {
			t.Errorf("the preview has %d bytes, %v", len(got), err)
		}
		for late := time.After(10 * time.Second); ; { // the end of the connection ends it
			changed := d.Changed()
			if !d.Watching() {
				break
			}
			select {
			case <-changed:
			case <-late:
				t.Fatal("the live view goes on")
			}
		}
	})
}
