package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"loket/kiosk/api"
)

// Two rounds of `make torture-usb`, with the programs as they are: one to warm up, and one in which nothing may grow.
func TestPlugsArePulledInEveryPhase(t *testing.T) {
	dir := t.TempDir()
	c := &cli{Bin: filepath.Join(dir, "bin"), Out: filepath.Join(dir, "run")}
	if err := os.Mkdir(c.Bin, 0o700); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", c.Bin, "loket/kiosk/cmd/kioskd", "loket/kiosk/cmd/central", "loket/queue/cmd/queued",
		"loket/firmware-sim")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the programs: %v\n%s", err, out)
	}
	if err := (&tortureUSBCmd{Cycles: 17, Seed: 1}).Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestAGhostAndAWrongVerdictAreNoted(t *testing.T) {
	w := &statusWatch{changed: make(chan struct{}), known: map[string]bool{}}
	good := api.Status{Devices: []api.Device{{Identity: "a", State: "ready"}}}
	w.take(good)
	w.take(api.Status{Devices: []api.Device{{Identity: "a", State: "unplugged", Verdict: "unplugged"}}})
	if wrong := w.wrong(); len(wrong) > 0 {
		t.Fatalf("an unplug is wrong: %q", wrong)
	}
	w.take(api.Status{Devices: []api.Device{{Identity: "a", State: "faulted", Verdict: "hung"}, {Identity: "b", State: "unplugged"}}})
	wrong := strings.Join(w.wrong(), "; ")
	for _, want := range []string{"a is called hung", "a ghost: b", "2 devices"} {
		if !strings.Contains(wrong, want) {
			t.Errorf("%q is not in %q", want, wrong)
		}
	}
}

func TestFiguresThatGrewAreNamed(t *testing.T) {
	before := figures{goroutines: 40, descriptors: 25, resident: 30 << 20, heap: 8 << 20}
	if grown := before.grown(before); len(grown) > 0 {
		t.Errorf("nothing grew, and yet %q", grown)
	}
	after := figures{goroutines: 50, descriptors: 35, resident: 60 << 20, heap: 40 << 20}
	if grown := after.grown(before); len(grown) != 4 {
		t.Errorf("four figures grew: %q", grown)
	}
}
