package stage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
	"loket/kiosk/session"
	"loket/queue/station"
)

// deaths are the places where a process may die in the middle of a hand-over, in their order.
func deaths() map[string][]string {
	return map[string][]string{
		stage.Kioskd: {"move.key", "move.sealed", "move.journalled", "move.answered", "session.ended", "session.journalled", "report.answered"},
		stage.Deskd:  {"take.fetched", "take.opened", "take.journalled", "take.accepted", "session.assistance"},
		stage.Queued: {"handover.stored", "handover.accepting", "handover.accepted"},
	}
}

// alone lists who dies with a process: nobody, and the other end.
func alone(process string) []string {
	switch process {
	case stage.Kioskd:
		return []string{"", stage.Deskd}
	case stage.Deskd:
		return []string{"", stage.Kioskd}
	}
	return []string{""}
}

// mortal builds the programs that die at a failpoint, beside the others.
func mortal(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-buildvcs=false", "-tags", "failpoints", "-o", dir, "loket/kiosk/cmd/kioskd", "loket/queue/cmd/queued")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building with failpoints: %v\n%s", err, out)
	}
	for _, name := range []string{"central", "firmware-sim"} {
		if err := os.Symlink(filepath.Join(bin, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Whoever dies in a hand-over, wherever, alone or with the other end, or at a moment that nobody chose: the session is at exactly
// one station or its ticket waits, and in the end there is one record.
func TestASessionSurvivesADeathAtEveryStepOfItsHandOver(t *testing.T) {
	dir := mortal(t)
	_, c := prepared(t, stage.Options{Policy: selfService, Desk: true})
	c.Bin = dir
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	var tickets []string
	for _, process := range []string{stage.Kioskd, stage.Deskd, stage.Queued} {
		for _, point := range deaths()[process] {
			for _, also := range alone(process) {
				name := process + " at " + point
				if also != "" {
					name += ", and " + also
				}
				if !t.Run(name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
					defer cancel()
					tickets = append(tickets, dies(ctx, t, c, process, point, also))
				}) {
					return
				}
			}
		}
	}
	random := rand.New(rand.NewPCG(1, 0))
	for i := range randomDeaths() {
		process, after := []string{stage.Kioskd, stage.Deskd, stage.Queued}[i%3], time.Duration(random.IntN(120))*time.Millisecond
		if !t.Run(fmt.Sprintf("%s after %v", process, after), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
			defer cancel()
			tickets = append(tickets, falls(ctx, t, c, process, after))
		}) {
			return
		}
	}
	audit, err := c.Audit(ctx, tickets)
	if err != nil {
		t.Fatal(err)
	}
	if audit.Done != len(tickets) || len(audit.Broken) > 0 {
		t.Errorf("%d of %d tickets are done; broken: %q", audit.Done, len(tickets), audit.Broken)
	}
	t.Logf("%d deaths, %d tickets done with exactly one intact record", len(tickets), audit.Done)
}

// randomDeaths is how many processes die at a moment that nobody chose: six, or as LOKET_DEATHS says.
func randomDeaths() int {
	if n, err := strconv.Atoi(os.Getenv("LOKET_DEATHS")); err == nil {
		return n
	}
	return 6
}

// falls has a process die some time after a hand-over began, and takes the person through all the same.
func falls(ctx context.Context, t *testing.T, c *stage.Centre, process string, after time.Duration) string {
	alive(ctx, t, c)
	issued := reviewed(ctx, t, c)
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Approved, By: session.Screen})
	id, moved := moves(ctx, t, c, issued)
	time.Sleep(after)
	again(ctx, t, c, process)
	<-moved
	alive(ctx, t, c)
	where := at(ctx, t, c, issued, id)
	t.Logf("the session is %s", where)
	through(ctx, t, c, issued, where)
	return issued.ID
}

// moves begins a hand-over of the ticket's session. The channel tells of its end.
func moves(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket) (id string, moved <-chan error) {
	t.Helper()
	id = sessionOf(ctx, t, c.Kiosk, issued)
	e := staffSay(session.Moved)
	e.Target = stage.DeskName
	ended := make(chan error, 1)
	go func() {
		_, err := c.Kiosk.Do(ctx, api.Command{Event: &e, Session: id})
		ended <- err
	}()
	return id, ended
}

// dies has one process die at a point of a hand-over, and perhaps the other end with it, and takes the person through all the same.
func dies(ctx context.Context, t *testing.T, c *stage.Centre, process, point, also string) string {
	again(ctx, t, c, process, "LOKET_FAILPOINT="+point)
	alive(ctx, t, c)
	issued := reviewed(ctx, t, c)
	if point == "session.assistance" || process != stage.Kioskd {
		say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Help, By: session.Screen})
	} else {
		say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Approved, By: session.Screen})
	}
	id, moved := moves(ctx, t, c, issued)
	select {
	case <-c.Procs[process].Done():
	case <-ctx.Done():
		t.Fatalf("%s never came to %s", process, point)
	}
	if also != "" {
		c.Procs[also].Kill()
		again(ctx, t, c, also)
	}
	again(ctx, t, c, process)
	select {
	case <-moved:
	case <-ctx.Done():
		t.Fatal("the kiosk never knew where the session was")
	}
	alive(ctx, t, c)
	where := at(ctx, t, c, issued, id)
	t.Logf("the session is %s", where)
	through(ctx, t, c, issued, where)
	return issued.ID
}

// again starts a process anew.
func again(ctx context.Context, t *testing.T, c *stage.Centre, process string, env ...string) {
	t.Helper()
	c.Procs[process].Kill()
	c.Env = map[string][]string{process: env}
	defer func() { c.Env = nil }()
	if err := c.Start(process); err != nil {
		t.Fatal(err)
	}
}

// alive waits until both stations know where everything is.
func alive(ctx context.Context, t *testing.T, c *stage.Centre) {
	t.Helper()
	for _, client := range []*api.Client{c.Kiosk, c.Counter} {
		waitAt(ctx, t, client, "a station that works", func(st api.Status) bool {
			return st.QueueLink && st.Moving == "" && (st.Ready || st.Session != nil)
		})
	}
}

// at says where a session is, and fails where it is at two places or at none.
func at(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket, id string) string {
	t.Helper()
	for ctx.Err() == nil {
		kiosk, desk := has(ctx, t, c.Kiosk, id), has(ctx, t, c.Counter, id)
		trace, err := c.Trace(ctx, issued.ID)
		if err != nil || trace.Queue == nil {
			continue
		}
		ticket := trace.Queue.Ticket
		switch {
		case kiosk && desk:
			t.Fatalf("the session is at both stations; the ticket is %s at %s", ticket.State, ticket.Station)
		case kiosk && ticket.Station == stage.StationName && ticket.Session == id:
			return stage.StationName
		case desk && ticket.Station == stage.DeskName && ticket.Session == id:
			return stage.DeskName
		case !kiosk && !desk && ticket.State == "waiting" && ticket.Attempt == 2:
			return "waiting"
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("nobody knows where the session is: %v", ctx.Err())
	return ""
}

func has(ctx context.Context, t *testing.T, at *api.Client, id string) bool {
	t.Helper()
	st, err := at.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return st.Session != nil && st.Session.ID == id
}

// through takes the person to a record from wherever they are.
func through(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket, where string) {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	gone := make(chan struct{}, 2)
	for _, a := range []*stage.Attendant{{Kiosk: c.Kiosk, Desk: stage.DeskName}, {Kiosk: c.Counter}} {
		go func() {
			_ = a.Run(ctx)
			gone <- struct{}{}
		}()
	}
	defer func() {
		stop()
		<-gone
		<-gone
	}()
	if where == "waiting" {
		if _, err := c.Kiosk.Do(ctx, api.Command{Start: &api.Start{Code: string(issued.Code)}}); err != nil {
			t.Fatal(fmt.Errorf("starting the second attempt: %w", err))
		}
	}
	waitAt(ctx, t, c.Counter, "the delivery at the desk", func(st api.Status) bool {
		return st.Session == nil && st.LastEnd != nil && st.LastEnd.Ticket == issued.ID && st.LastEnd.Record != "" && st.Outbox.Pending == 0
	})
	settled(ctx, t, c, issued)
}

func TestEveryStepOfAHandOverHasItsDeath(t *testing.T) {
	hit := regexp.MustCompile(`failpoint\.Hit\("((?:move|take|handover)\.\w+)"\)`)
	var inSources, walked []string
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range hit.FindAllSubmatch(text, -1) {
			inSources = append(inSources, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, points := range deaths() {
		for _, p := range points {
			if kind, _, _ := strings.Cut(p, "."); slices.Contains([]string{"move", "take", "handover"}, kind) {
				walked = append(walked, p)
			}
		}
	}
	slices.Sort(inSources)
	slices.Sort(walked)
	if !slices.Equal(inSources, walked) {
		t.Errorf("in the sources: %v\nwalked through: %v", inSources, walked)
	}
}
