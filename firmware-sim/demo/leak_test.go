package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// built builds the programs of a centre.
func built(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, target := range [][]string{
		{"-o", dir, "loket/kiosk/cmd/kioskd", "loket/kiosk/cmd/central", "loket/queue/cmd/queued", "loket/firmware-sim"},
		{"-o", filepath.Join(dir, "loket-demo"), "loket/firmware-sim/demo"},
	} {
		if out, err := exec.Command("go", append([]string{"build", "-buildvcs=false"}, target...)...).CombinedOutput(); err != nil {
			t.Fatalf("building the programs: %v\n%s", err, out)
		}
	}
	return dir
}

func TestNothingOfASampleIsWrittenInTheClear(t *testing.T) {
	if err := straceWorks(t.TempDir()); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := &cli{Bin: built(t), Out: filepath.Join(t.TempDir(), "leak")}
	run, err := observe(ctx, c, demoCmd{N: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer run.wipe()
	v, err := run.judge()
	if err != nil {
		t.Fatal(err)
	}
	v.print()
	if err := errors.Join(v.err(), v.durable()); err != nil {
		t.Error(err)
	}
	if err := run.plantAll(ctx); err != nil {
		t.Error(err)
	}
}

func TestATraceWithoutAnEndIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.strace")
	text := stamped(`execve("/bin/x", ["x"], 0x1) = 0`, "12    1.0 +++ exited with 0 +++")
	short := text[:strings.LastIndex(text, "7  ")]
	for name, x := range map[string]struct {
		text string
		want bool
	}{"no file": {}, "nothing": {"7", false}, "only a thread's": {short, false}, "the program's": {text, true}} {
		if x.text != "" {
			if err := os.WriteFile(path, []byte(x.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := ended(path); got != x.want {
			t.Errorf("%s: the end is there: %v", name, got)
		}
		_ = os.Remove(path)
	}
}
