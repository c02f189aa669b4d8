// Package umockdev runs a test in front of recorded devices.
//
// The one idea: umockdev stands between a program and the C library, so a device must be there before the program starts;
// [Run] therefore runs the test binary a second time, under umockdev-run, for the calling test alone. See
// https://github.com/martinpitt/umockdev for the formats of its descriptions and recordings.
package umockdev

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Bed is what the test finds: devices and what they answer. File names are relative to $LOKET_FIXTURES/usb where they are
// not absolute.
type Bed struct {
	Devices []string          // descriptions of devices; of several each one's first, for they may share their hubs
	Ioctl   map[string]string // device node → recording in umockdev's own form (.ioctl)
	Pcap    map[string]string // description → recording of usbmon (.pcapng) of its first device
	Limit   time.Duration     // 30 s where 0: a recording that does not fit hangs
}

// NB1010 is the recorded capture of a NEXT NB-1010-U.
func NB1010() Bed {
	return Bed{Devices: []string{"nb1010/device"}, Ioctl: map[string]string{"/dev/bus/usb/001/003": "nb1010/capture.ioctl"}}
}

// URU4500 is the recorded capture of a DigitalPersona U.are.U 4500.
func URU4500() Bed {
	return Bed{Devices: []string{"uru4000-4500/device"}, Pcap: map[string]string{"uru4000-4500/device": "uru4000-4500/capture.pcapng"}}
}

// Canon is the recorded download from a Canon PowerShot SX200 IS.
func Canon() Bed {
	return Bed{Devices: []string{"canon-sx200/canon-powershot-sx200.umockdev"},
		Ioctl: map[string]string{"/dev/bus/usb/001/011": "canon-sx200/canon-powershot-sx200.ioctl"}}
}

// inside names the test that the second process runs.
const inside = "LOKET_UMOCKDEV_TEST"

// Run runs f in front of the bed. It must be called straight from a test function that does nothing else of note before, as
// that test function runs again in the process in which f runs. Without umockdev, without cgo or without $LOKET_FIXTURES
// (where the bed needs it) the test is skipped with the reason.
func Run(t *testing.T, bed Bed, f func(t *testing.T)) {
	t.Helper()
	bed.noteFixtures(t)
	if os.Getenv(inside) == t.Name() {
		f(t)
		return
	}
	if os.Getenv(inside) != "" {
		t.Skip("another test has this process")
	}
	if !linked {
		t.Skip("this test was built without cgo: umockdev can't stand in front of it (hint: CGO_ENABLED=1)")
	}
	if _, err := exec.LookPath("umockdev-run"); err != nil {
		t.Skip("umockdev-run is not here (hint: apt-get install umockdev)")
	}
	args, err := bed.arguments(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	again(t, bed.limit(), args)
}

// Command gives the beginning of a command line that runs a program in front of the bed; what must be written goes into dir.
func (b Bed) Command(dir string) ([]string, error) {
	args, err := b.arguments(dir)
	if err != nil {
		return nil, err
	}
	return append(append([]string{"umockdev-run"}, args...), "--"), nil
}

// again runs this test in a second process.
func again(t *testing.T, limit time.Duration, args []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	args = append(args, "--", os.Args[0], "-test.run", pattern(t.Name()), "-test.v", "-test.count=1")
	cmd := exec.CommandContext(ctx, "umockdev-run", args...)
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.WaitDelay = time.Second
	contain(cmd)
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%v: the test hangs, or asks for something that was not recorded\n%s", ctx.Err(), out)
	case err != nil:
		t.Fatalf("under umockdev: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name()+" ")):
		t.Skipf("skipped under umockdev:\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
		t.Fatalf("the test did not run under umockdev\n%s", out)
	}
}

// pattern matches one test, or one subtest, and no other.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

func (b Bed) limit() time.Duration {
	if b.Limit > 0 {
		return b.Limit
	}
	return 30 * time.Second
}

// noteFixtures tells those who count tests on fixtures that this is one, and skips without them.
func (b Bed) noteFixtures(t *testing.T) {
	t.Helper()
	files := b.Devices
	for _, f := range b.Ioctl {
		files = append(files[:len(files):len(files)], f)
	}
	for _, f := range files {
		if filepath.IsAbs(f) {
			continue
		}
		t.Attr("fixtures", "usb")
		if os.Getenv("LOKET_FIXTURES") == "" {
			t.Skip("LOKET_FIXTURES is not set: the recordings are not here")
		}
		return
	}
}

// arguments makes umockdev-run's. What must be written goes into dir.
func (b Bed) arguments(dir string) ([]string, error) {
	var args []string
	for i, d := range b.Devices {
		file := resolve(d)
		if len(b.Devices) > 1 {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("reading a device's description: %w", err)
			}
			block, _, _ := bytes.Cut(text, []byte("\n\n"))
			file = filepath.Join(dir, fmt.Sprintf("%d.umockdev", i))
			if err := os.WriteFile(file, append(block, "\n\n"...), 0o600); err != nil {
				return nil, fmt.Errorf("writing a device's description: %w", err)
			}
		}
		args = append(args, "-d", file)
	}
	for node, file := range b.Ioctl {
		args = append(args, "-i", node+"="+resolve(file))
	}
	for device, file := range b.Pcap {
		sysfs, err := first(resolve(device))
		if err != nil {
			return nil, err
		}
		args = append(args, "-p", sysfs+"="+resolve(file))
	}
	return args, nil
}

func resolve(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(os.Getenv("LOKET_FIXTURES"), "usb", file)
}

// first reads the sysfs path of the first device of a description.
func first(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading a device's description: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	device, ok := strings.CutPrefix(line, "P: ")
	if !ok {
		return "", fmt.Errorf("reading a device's description %s: its first line is not P: PATH", file)
	}
	return "/sys" + device, nil
}
