package stage_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
)

func TestALampThatIsOutIsSaidBeforeAnybodyIsPhotographed(t *testing.T) {
	t.Parallel()
	ctx, c := prepared(t, stage.Options{Sim: []string{"--no-person"}, Station: map[string]any{"day_start": "00:00"}})
	if err := c.Start(stage.Sim); err != nil {
		t.Fatal(err)
	}
	dark := func(ctx context.Context) error { return c.Event(ctx, "lamp-out left") }
	if err := c.Procs[stage.Sim].Until(ctx, "a booth with a lamp out", dark); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{stage.Central, stage.Queued, stage.Kioskd} {
		if err := c.Start(name); err != nil {
			t.Fatal(err)
		}
	}
	warned := func(code string) func(api.Status) bool {
		return func(st api.Status) bool {
			for _, w := range st.Warnings {
				if w.Code == code {
					return st.Ready && st.Booth.State == api.BoothFailed && w.StaffHint != "" && w.Hint != ""
				}
			}
			return false
		}
	}
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, c, "a warning of light from one side", warned("booth-sides"))
	status := exec.CommandContext(ctx, filepath.Join(bin, "kioskctl"), "status")
	status.Env = append(os.Environ(), "LOKET_SOCKET="+c.Socket())
	if out, err := status.CombinedOutput(); err != nil || !regexp.MustCompile(`(?s)brighter on its right.*next: .*light +failed at `).Match(out) {
		t.Errorf("kioskctl says %v\n%s", err, out)
	}
	if err := c.Event(ctx, "lamp-on"); err != nil {
		t.Fatal(err)
	}
	st, err := c.Kiosk.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range st.Devices {
		if d.Kind != "camera" {
			continue
		}
		if _, err := c.Kiosk.Do(ctx, api.Command{SelfTest: &api.SelfTestQuery{Device: d.Identity}}); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(ctx, t, c, "a booth that is well", func(st api.Status) bool { return st.Booth.State == api.BoothPassed && len(st.Warnings) == 0 })
}
