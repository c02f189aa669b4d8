//go:build cgo && linux

package libusb_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"loket/drivers/usb"
	"loket/drivers/usb/libusb"
	"loket/drivers/usb/usbip"
	"loket/drivers/usb/usbtest"
)

// vhci is where the kernel takes in devices over USB/IP.
const vhci = "/sys/devices/platform/vhci_hcd.0"

// needKernel skips where the kernel takes in no devices from us.
func needKernel(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile(vhci+"/attach", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("the kernel takes in no simulated device here: %v (hint: make test-kernel boots one that does)", err)
	}
	f.Close()
}

// plug makes the kernel enumerate a gadget and returns when it has.
func plug(t testing.TB, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := append([]byte{0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0}, "1-1"...)
	if _, err := conn.Write(append(request, make([]byte, 32-3)...)); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, 8+312)
	if _, err := io.ReadFull(conn, reply); err != nil || binary.BigEndian.Uint32(reply[4:]) != 0 {
		t.Fatalf("importing: % x, %v", reply[:8], err)
	}
	bus, dev := binary.BigEndian.Uint32(reply[8+256+32:]), binary.BigEndian.Uint32(reply[8+256+32+4:])
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	attach := fmt.Sprintf("0 %d %d 3", file.Fd(), bus<<16|dev)
	if err := os.WriteFile(vhci+"/attach", []byte(attach), 0); err != nil {
		t.Fatalf("attaching: %v", err)
	}
	until(t, "the kernel has configured the device", func() bool { return configured() == 1 })
}

// configured counts the devices at the simulated hub that the kernel has brought up.
func configured() int {
	list, _ := new(libusb.Bus).Devices(context.Background())
	n := 0
	for _, i := range list {
		if b, _ := os.ReadFile(i.SysfsPath + "/bConfigurationValue"); i.Simulated() && len(bytes.TrimSpace(b)) > 0 {
			if _, err := os.Stat(fmt.Sprintf("%s/%s:1.0", i.SysfsPath, i.Port)); err == nil {
				n++
			}
		}
	}
	return n
}

// unplugged waits until the kernel has nothing left of the device, and its port is free.
func unplugged(t testing.TB) {
	t.Helper()
	until(t, "the kernel has seen the unplugging", func() bool {
		status, _ := os.ReadFile(vhci + "/status")
		list, _ := new(libusb.Bus).Devices(context.Background())
		return !slices.ContainsFunc(list, usb.Info.Simulated) && !strings.Contains(string(status), "0000 006") // 4 is free, 6 is in use
	})
}

func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// attach serves a gadget and plugs it into the kernel. in plugs it in again, out unplugs it; the end of the test does too.
func attach(t testing.TB, g usb.Gadget) (in, out func()) {
	t.Helper()
	needKernel(t)
	server := usbip.NewServer(nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		unplugged(t)
	})
	in = func() {
		if err := server.Export("1-1", g); err != nil {
			t.Fatal(err)
		}
		plug(t, ln.Addr().String())
	}
	in()
	return in, func() {
		if err := server.Unexport("1-1"); err != nil {
			t.Error(err)
		}
		unplugged(t)
	}
}

func TestTheKernelsBusKeepsTheContractOfABus(t *testing.T) {
	needKernel(t)
	usbtest.Suite(t, func(t *testing.T, e *usbtest.Echo) usbtest.Rig {
		in, out := attach(t, e)
		bus := new(libusb.Bus)
		return usbtest.Rig{Bus: bus, Other: bus, Plug: in, Unplug: out, Deaf: true} // vhci_hcd keeps resets to itself
	})
}

// wedge is the firmware of a keyboard that types what it is told.
type wedge struct {
	typed chan []byte
	asked chan usb.Setup // class requests, with the first byte of their data in Length
}

// wedgeReport describes eight bytes in and one byte out (HID 1.11, appendix B.1).
var wedgeReport = []byte{
	0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02,
	0x95, 0x01, 0x75, 0x08, 0x81, 0x03, 0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02, 0x95, 0x01, 0x75, 0x03,
	0x91, 0x03, 0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x25, 0x65, 0x05, 0x07, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00, 0xc0,
}

func (w *wedge) Info() usb.Info {
	return usb.Info{Manufacturer: "Nobody", ProductName: "Wedge", Serial: "W1", Speed: usb.HighSpeed}
}

func (w *wedge) Descriptors() []byte {
	return []byte{
		18, 1, 0, 2, 0, 0, 0, 64, 0x09, 0x12, 0x02, 0xc0, 0, 1, 1, 2, 3, 1,
		9, 2, 34, 0, 1, 1, 0, 0x80, 50,
		9, 4, 0, 0, 1, 3, 1, 1, 0,
		9, 0x21, 0x11, 1, 0, 1, 0x22, byte(len(wedgeReport)), 0,
		7, 5, 0x81, 3, 8, 0, 6,
	}
}

func (w *wedge) Control(_ context.Context, s usb.Setup, data []byte) (int, error) {
	switch {
	case s.RequestType == 0x81 && s.Request == usb.RequestGetDescriptor && s.Value == 0x2200:
		return copy(data, wedgeReport), nil
	case s.RequestType == 0xa1 && s.Request == 1 && s.Value>>8 == 3: // a feature report
		return copy(data, "\x01feature"), nil
	case s.RequestType == 0x21 && s.Request == 0x55:
		return 0, usb.ErrStall
	case s.RequestType == 0x21:
		if len(data) > 0 {
			s.Length = uint16(data[len(data)-1])
		}
		select {
		case w.asked <- s:
		default:
		}
		return len(data), nil
	}
	return 0, usb.ErrStall
}

func (w *wedge) Transfer(ctx context.Context, _ uint8, data []byte) (int, error) {
	select {
	case report := <-w.typed:
		return copy(data, report), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// driverOf names the kernel driver that has an interface of a device.
func driverOf(i usb.Info) string {
	link, _ := os.Readlink(fmt.Sprintf("%s/%s:1.0/driver", i.SysfsPath, i.Port))
	return path.Base(link)
}

func TestTheKernelsKeyboardIsBorrowedAndGivenBack(t *testing.T) {
	w := &wedge{typed: make(chan []byte, 100), asked: make(chan usb.Setup, 100)}
	_, out := attach(t, w)
	bus := new(libusb.Bus)
	info := find(t, bus, 0x1209)
	until(t, "the kernel has bound its driver", func() bool { return driverOf(info) == "usbhid" })
	for range 3 {
		d, err := bus.Open(t.Context(), info.Identity())
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Claim(0, 0); err != nil {
			t.Fatal(err)
		}
		if got := driverOf(info); got != "usbfs" {
			t.Errorf("while it is claimed its driver is %q", got)
		}
		exerciseWedge(t, w, d)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if got := driverOf(info); got != "usbhid" {
			t.Errorf("after Close its driver is %q", got)
		}
	}
	d, err := bus.Open(t.Context(), info.Identity())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Claim(0, 0); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := d.Transfer(context.Background(), 0x81, make([]byte, 8))
		failed <- err
	}()
	out()
	if err := <-failed; !errors.Is(err, usb.ErrGone) {
		t.Errorf("unplugging gives %v", err)
	}
}

// exerciseWedge types, reads, writes, cancels and resets.
func exerciseWedge(t *testing.T, w *wedge, d usb.Device) {
	t.Helper()
	b := make([]byte, 255)
	descriptor := usb.Setup{RequestType: 0x81, Request: usb.RequestGetDescriptor, Value: 0x2200, Length: 255}
	if n, err := d.Control(t.Context(), descriptor, b); err != nil || !bytes.Equal(b[:n], wedgeReport) {
		t.Errorf("the report descriptor is % x, %v", b[:n], err)
	}
	keys := func() {
		t.Helper()
		for key := range byte(20) {
			w.typed <- []byte{0, 0, 4 + key, 0, 0, 0, 0, 0}
			if n, err := d.Transfer(t.Context(), 0x81, b[:8]); n != 8 || b[2] != 4+key || err != nil {
				t.Errorf("key %d gives % x, %v", key, b[:n], err)
			}
		}
	}
	keys()
	for len(w.asked) > 0 {
		<-w.asked
	}
	if n, err := d.Control(t.Context(), usb.Setup{RequestType: 0x21, Request: 9, Value: 0x0200, Length: 1}, []byte{5}); n != 1 || err != nil {
		t.Errorf("setting the lamps gives %d, %v", n, err)
	}
	if s := <-w.asked; s.Value != 0x0200 || s.Length != 5 {
		t.Errorf("the firmware was asked %+v", s)
	}
	if n, err := d.Control(t.Context(), usb.Setup{RequestType: 0xa1, Request: 1, Value: 0x0301, Length: 64}, b); err != nil || string(b[:n]) != "\x01feature" {
		t.Errorf("the feature report is %q, %v", b[:n], err)
	}
	waiting := make(chan error, 1)
	go func() {
		report := make([]byte, 8)
		n, err := d.Transfer(t.Context(), 0x81, report)
		if err == nil && (n != 8 || report[2] != 99) {
			err = fmt.Errorf("the report is % x", report[:n])
		}
		waiting <- err
	}()
	for _, s := range []usb.Setup{{RequestType: 0x21, Request: 0x0a}, {RequestType: 0x21, Request: 0x0b, Value: 1}} {
		if n, err := d.Control(t.Context(), s, nil); n != 0 || err != nil {
			t.Errorf("request %02x gives %d, %v", s.Request, n, err)
		}
		if got := <-w.asked; got != s {
			t.Errorf("the firmware was asked %+v, not %+v", got, s)
		}
	}
	if _, err := d.Control(t.Context(), usb.Setup{RequestType: 0x21, Request: 0x55}, nil); !errors.Is(err, usb.ErrStall) {
		t.Errorf("a request that the firmware does not know: %v", err)
	}
	w.typed <- []byte{0, 0, 99, 0, 0, 0, 0, 0}
	if err := <-waiting; err != nil {
		t.Errorf("a transfer that waited all the while: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := d.Transfer(ctx, 0x81, b[:8]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a time-out gives %v", err)
	}
	for doing, err := range map[string]error{
		"Reset":     d.(usb.Resetter).Reset(t.Context()),
		"ClearHalt": d.(usb.Resetter).ClearHalt(t.Context(), 0x81),
	} {
		if err != nil {
			t.Errorf("%s: %v", doing, err)
		}
	}
	keys()
}

func TestTheKernelsDeviceThatIsHeldNamesItsHolder(t *testing.T) {
	bus := new(libusb.Bus)
	if os.Getenv("LOKET_HOLD") != "" { // the other program
		open(t, 0x1209)
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	attach(t, usbtest.NewEcho("E1"))
	other := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	other.Env = append(os.Environ(), "LOKET_HOLD=1")
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("the other program says %q, %v", line, err)
	}
	d, err := bus.Open(t.Context(), find(t, bus, 0x1209).Identity())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var busy *usb.BusyError
	if err := d.Claim(0, 0); !errors.As(err, &busy) || busy.Holder != fmt.Sprintf("program (process %d)", other.Process.Pid) {
		t.Errorf("claiming what another holds: %v", err)
	}
	stdin.Close()
	if err := other.Wait(); err != nil {
		t.Error(err)
	}
	if err := d.Claim(0, 0); err != nil {
		t.Errorf("claiming it when it is free: %v", err)
	}
}

// The foreign device here is qemu's own loudspeaker: 192 bytes every millisecond.
func TestAForeignLoudspeakerIsStreamedTo(t *testing.T) {
	bus := new(libusb.Bus)
	list, err := bus.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(i usb.Info) bool { return i.Vendor == 0x46f4 && i.Product == 2 })
	if i < 0 {
		t.Skip("no such device here (hint: make test-kernel boots a machine that has it)")
	}
	d, err := bus.Open(t.Context(), list[i].Identity())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	speaker := d.(usb.Isochronous)
	if err := speaker.Stream(t.Context(), 0x01, nil); !errors.Is(err, usb.ErrNotFound) {
		t.Errorf("streaming before the claim: %v", err)
	}
	if err := d.Claim(1, 1); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	packets := 0
	fill := func(packet []byte, _ error) (int, error) {
		if packets++; packets > 500 {
			return 0, enough
		}
		return min(192, len(packet)), nil
	}
	if err := speaker.Stream(t.Context(), 0x01, fill); err != enough {
		t.Errorf("streaming ends with %v after %d packets", err, packets)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	packets = 0
	err = speaker.Stream(ctx, 0x01, func(packet []byte, _ error) (int, error) { return min(192, len(packet)), nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("streaming until a time-out ends with %v", err)
	}
	failed := make(chan error, 1)
	running := make(chan struct{}, 1000)
	go func() {
		failed <- speaker.Stream(context.Background(), 0x01, func(packet []byte, _ error) (int, error) {
			select {
			case running <- struct{}{}:
			default:
			}
			return min(192, len(packet)), nil
		})
	}()
	<-running
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, usb.ErrClosed) {
		t.Errorf("closing gives %v", err)
	}
}
