package stage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
	"loket/kiosk/outbox"
	"loket/kiosk/session"
	"loket/queue/station"
)

// bin is where the programs under test are.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "loket-stage-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = dir
		build := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "loket/kiosk/cmd/kioskd", "loket/kiosk/cmd/kioskctl",
			"loket/kiosk/cmd/central", "loket/queue/cmd/queued", "loket/firmware-sim")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building the programs: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// limit bounds one test's centre: a minute, and the 30 s of the longest capture.
const limit = time.Minute + 30*time.Second

// prepared gives a centre that is not started.
func prepared(t *testing.T, o stage.Options) (context.Context, *stage.Centre) {
	t.Helper()
	o.Dir, o.Bin = filepath.Join(t.TempDir(), "centre"), bin
	if o.Policy == "" {
		o.Policy = "nl-residence-permit"
	}
	if o.Reaction == 0 {
		o.Reaction = 10 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	c, err := stage.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		c.KillAll()
	})
	return ctx, c
}

// opened gives a running centre with an attendant in it.
func opened(t *testing.T, o stage.Options) (context.Context, *stage.Centre) {
	t.Helper()
	ctx, c := prepared(t, o)
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	attend(ctx, t, c, nil)
	return ctx, c
}

// attend puts an attendant beside the kiosk until the returned function is called or the test ends. seen may be nil.
func attend(ctx context.Context, t *testing.T, c *stage.Centre, seen func(api.Status)) (leave func()) {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = (&stage.Attendant{Kiosk: c.Kiosk, Seen: seen}).Run(ctx)
	}()
	leave = func() {
		stop()
		<-gone
	}
	t.Cleanup(leave)
	return leave
}

func ticket(ctx context.Context, t *testing.T, c *stage.Centre) station.IssuedTicket {
	t.Helper()
	issued, err := c.Ticket(ctx, c.NextReference())
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func TestTechniciansFollowAnIntakeFromTicketToReceipt(t *testing.T) {
	ctx, c := opened(t, stage.Options{})
	issued := ticket(ctx, t, c)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("LOKET_SOCKET", c.Socket())
			e.Setenv("TICKET", issued.ID)
			e.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// receipted waits until the ticket's record is receipted and sets RECORD and SESSION.
			"receipted": func(ts *testscript.TestScript, _ bool, _ []string) {
				for ctx.Err() == nil {
					trace, err := c.Trace(ctx, issued.ID)
					if err == nil && trace.Station != nil && trace.Station.Sessions[0].Receipt != nil {
						ts.Setenv("RECORD", string(trace.Station.Sessions[0].Docket.Record))
						ts.Setenv("SESSION", trace.Station.Sessions[0].Session)
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
				ts.Fatalf("no receipt came: %v", ctx.Err())
			},
		},
	})
}

func TestARecordWaitsForACentralServiceThatIsDownAndIsDeliveredWithoutAHand(t *testing.T) {
	ctx, c := opened(t, stage.Options{})
	c.Procs[stage.Central].Kill()
	issued := ticket(ctx, t, c)
	served := make(chan error, 1)
	go func() {
		_, err := c.Serve(ctx, issued, false, nil)
		served <- err
	}()
	waitFor(ctx, t, c, "a record in the outbox", func(st api.Status) bool { return st.Outbox.Pending == 1 && st.Session == nil })
	if err := c.Start(stage.Central); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	sound(ctx, t, c, issued)
}

func TestAKioskThatIsKilledLosesItsCapturesHonestly(t *testing.T) {
	ctx, c := opened(t, stage.Options{Reaction: time.Minute})
	issued := ticket(ctx, t, c)
	if _, err := c.Kiosk.Do(ctx, api.Command{Start: &api.Start{Ticket: issued.ID}}); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, c, "capturing", func(st api.Status) bool { return st.Session != nil && st.Session.State == session.Capturing })
	c.Procs[stage.Kioskd].Kill()
	if err := c.Start(stage.Kioskd); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	trace, err := c.Trace(ctx, issued.ID)
	if err != nil {
		t.Fatal(err)
	}
	if q := trace.Queue.Ticket; q.State != "waiting" || q.Attempt != 2 || trace.Station.Sessions[0].End != "lost" {
		t.Errorf("the ticket is %s at attempt %d, the session %q", q.State, q.Attempt, trace.Station.Sessions[0].End)
	}
}

func TestAFullDiskIsSaidBeforeACaptureStarts(t *testing.T) {
	ctx, c := prepared(t, stage.Options{Env: map[string][]string{stage.Kioskd: {"LOKET_KIOSKD_MINIMUM_FREE=1152921504606846976"}}})
	for _, name := range []string{stage.Central, stage.Queued, stage.Sim, stage.Kioskd} {
		if err := c.Start(name); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(ctx, t, c, "the problem", func(st api.Status) bool {
		return len(st.Problems) == 1 && st.Problems[0].Code == "disk-full" && st.QueueLink
	})
	issued := ticket(ctx, t, c)
	_, err := c.Kiosk.Do(ctx, api.Command{Start: &api.Start{Ticket: issued.ID}})
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Code != "disk-full" || refused.Hint == "" {
		t.Errorf("starting a session on a full disk gives %v", err)
	}
}

func TestADiskThatFillsDuringACaptureLosesNothing(t *testing.T) {
	ctx, c := prepared(t, stage.Options{Env: map[string][]string{stage.Kioskd: {"LOKET_KIOSKD_MINIMUM_FREE=1"}}, Reaction: time.Second})
	data := filepath.Join(c.Dir, "kiosk")
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=6m", "none", data).CombinedOutput(); err != nil {
		t.Skipf("a small disk can't be mounted here (it needs root): %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", data).Run() })
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	attend(ctx, t, c, nil)
	issued := ticket(ctx, t, c)
	if _, err := c.Kiosk.Do(ctx, api.Command{Start: &api.Start{Ticket: issued.ID}}); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, c, "a capture", func(st api.Status) bool { return st.Session != nil && st.Session.State == session.Capturing })
	filler := filepath.Join(data, "filler")
	fill(t, filler)
	waitFor(ctx, t, c, "a call for staff", func(st api.Status) bool { return st.Session != nil && st.Session.Verdict == "disk-full" })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, c, "the delivery", func(st api.Status) bool {
		return st.LastEnd != nil && st.LastEnd.Record != "" && st.Outbox.Pending == 0
	})
	settled(ctx, t, c, issued)
	sound(ctx, t, c, issued)
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for range 1 << 12 {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
	t.Fatal("the disk does not fill")
}

// settled waits until the queue knows that the ticket is done.
func settled(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket) {
	t.Helper()
	for ctx.Err() == nil {
		if trace, err := c.Trace(ctx, issued.ID); err == nil && trace.Queue != nil && trace.Queue.Ticket.State == "done" {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("the queue never heard: %v", ctx.Err())
}

func TestARealCertificateOpensNoSimulatedBus(t *testing.T) {
	_, c := prepared(t, stage.Options{})
	real, err := stage.NewPKI(t.TempDir(), "Real centre", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := real.Issue(stage.StationName, "kiosk"); err != nil {
		t.Fatal(err)
	}
	c.Env = map[string][]string{stage.Kioskd: {"LOKET_KIOSKD_CERTIFICATE=" + real.Path(stage.StationName+".crt"),
		"LOKET_KIOSKD_KEY=" + real.Path(stage.StationName+".key"), "LOKET_KIOSKD_AUTHORITY=" + real.Path("ca.crt")}}
	if err := c.Start(stage.Kioskd); err != nil {
		t.Fatal(err)
	}
	<-c.Procs[stage.Kioskd].Done()
	if tail := c.Procs[stage.Kioskd].Tail(); !strings.Contains(tail, "simulated bus") {
		t.Errorf("kioskd said %s", tail)
	}
}

func TestARenamedSimulatorIsStillSimulated(t *testing.T) {
	ctx, c := opened(t, stage.Options{Sim: []string{"--serial-prefix", "REAL-"}})
	issued := ticket(ctx, t, c)
	if _, err := c.Serve(ctx, issued, true, nil); err != nil {
		t.Fatal(err)
	}
	trace, err := c.Trace(ctx, issued.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := trace.Station.Sessions[0].Docket; d == nil || !d.Simulated {
		t.Errorf("the docket of a renamed simulator is %+v", d)
	}
}

func TestACentralServiceThatTakesNothingSimulatedRefusesAndTheRecordIsKept(t *testing.T) {
	ctx, c := opened(t, stage.Options{Env: map[string][]string{stage.Central: {"LOKET_CENTRAL_ACCEPT_SIMULATED=false"}}})
	issued := ticket(ctx, t, c)
	if _, err := c.Kiosk.Do(ctx, api.Command{Start: &api.Start{Ticket: issued.ID}}); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, c, "the refusal", func(st api.Status) bool { return st.Outbox.Refused == 1 })
	reply, err := c.Kiosk.Do(ctx, api.Command{Outbox: &api.OutboxQuery{}})
	if err != nil {
		t.Fatal(err)
	}
	var list []outbox.Entry
	if err := json.Unmarshal(reply.Result, &list); err != nil || len(list) != 1 || list[0].State != outbox.Refused || list[0].Reason == "" {
		t.Errorf("the outbox shows %+v, %v", list, err)
	}
}

// Every fault of a device or a person has a scenario. Whatever happens, the person gets through.
func TestEveryScenarioGetsThrough(t *testing.T) {
	faults := map[string]string{"hang": "hung", "garbage": "crashed", "stall": "crashed", "unplug": "unplugged", "unplug-camera": "unplugged"}
	files, err := filepath.Glob("../scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".txt")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, c := prepared(t, stage.Options{Sim: []string{"--scenario", name}})
			if err := c.StartAll(ctx); err != nil {
				t.Fatal(err)
			}
			var seen []string
			leave := attend(ctx, t, c, func(st api.Status) {
				if v := st.Session.Verdict; v != "" && !slices.Contains(seen, v) {
					seen = append(seen, v)
				}
			})
			issued := ticket(ctx, t, c)
			_, err := c.Serve(ctx, issued, false, nil)
			leave()
			if err != nil {
				t.Fatal(err)
			}
			if want := faults[name]; want != "" && !slices.Contains(seen, want) || want == "" && len(seen) > 0 {
				t.Errorf("the verdicts were %q, want %q", seen, want)
			}
			sound(ctx, t, c, issued)
		})
	}
}

// waitFor waits for a status.
func waitFor(ctx context.Context, t *testing.T, c *stage.Centre, what string, ok func(api.Status) bool) {
	t.Helper()
	waitAt(ctx, t, c.Kiosk, what, ok)
}

// waitAt waits for a status of a station.
func waitAt(ctx context.Context, t *testing.T, at *api.Client, what string, ok func(api.Status) bool) {
	t.Helper()
	var last api.Status
	for ctx.Err() == nil {
		st, err := at.Status(ctx)
		if err == nil && ok(st) {
			return
		}
		last = st
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("waiting for %s: %v; the station says %+v", what, ctx.Err(), last)
}

// sound audits the centre: the ticket is done with exactly one intact record.
func sound(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket) {
	t.Helper()
	audit, err := c.Audit(ctx, []string{issued.ID})
	if err != nil {
		t.Fatal(err)
	}
	if audit.Done != 1 || len(audit.Broken) > 0 {
		t.Errorf("%d tickets are done; broken: %s", audit.Done, strings.Join(audit.Broken, "; "))
	}
}
