package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
)

type tortureCmd struct {
	Kills int    `help:"Random kills after every failpoint was hit." default:"200"`
	Seed  uint64 `help:"Of the random kills." default:"1"`
}

// failpoints are the places where each process is killed once. A test holds them against the sources.
func failpoints() map[string][]string {
	return map[string][]string{
		stage.Kioskd: {
			"start.answered", "start.journalled", "start.reported",
			"session.called", "session.confirming", "session.capturing", "session.capturing:2", "session.reviewing", "session.sealing",
			"outbox.sealed", "outbox.docket", "outbox.renamed", "outbox.synced",
			"session.ended", "session.journalled", "report.answered",
			"push.created", "push.sent", "push.receipted", "receipt.written", "receipt.journalled", "receipt.purged",
		},
		stage.Queued:  {"queue.calling", "queue.called", "queue.reporting", "queue.reporting:2", "queue.reported", "queue.reported:2"},
		stage.Central: {"central.received", "central.stored", "central.receipted"},
	}
}

// Limits of a torture run.
const (
	pointLimit  = 30 * time.Second
	settleLimit = 60 * time.Second
	enough      = 3 // tickets that wait at any time
)

// Run is `make torture`.
func (t *tortureCmd) Run(ctx context.Context, c *cli) error {
	centre, err := stage.New(stage.Options{Dir: c.Out, Bin: c.Bin, Policy: "nl-residence-permit", Reaction: time.Millisecond})
	if err != nil {
		return err
	}
	defer centre.KillAll()
	if err := centre.StartAll(ctx); err != nil {
		return err
	}
	r := &torture{centre: centre, random: rand.New(rand.NewPCG(t.Seed, 0))}
	stop := r.traffic(ctx)
	err = r.run(ctx, t.Kills)
	stop()
	if err != nil {
		return fmt.Errorf("%w (hint: the logs are in %s)", err, filepath.Join(c.Out, "logs"))
	}
	return r.judge(ctx)
}

// torture is one run.
type torture struct {
	centre *stage.Centre
	random *rand.Rand

	mu      sync.Mutex
	tickets []string
	paused  bool
	lastErr error
}

// traffic keeps tickets coming and sessions starting, over every restart, until the returned function is called.
func (r *torture) traffic(ctx context.Context) func() {
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	attendant := &stage.Attendant{Kiosk: r.centre.Kiosk}
	work.Go(func() { _ = attendant.Run(ctx) })
	work.Go(func() {
		for ctx.Err() == nil {
			r.feed(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	return func() {
		stop()
		work.Wait()
	}
}

// feed issues a ticket if few wait and starts a session if none is in progress. Its errors are what torture is about.
func (r *torture) feed(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r.mu.Lock()
	paused := r.paused
	r.mu.Unlock()
	st, err := r.centre.Kiosk.Status(ctx)
	if err != nil || paused || st.Session != nil || !st.Ready {
		return
	}
	_, err = r.centre.Kiosk.Do(ctx, api.Command{Start: &api.Start{Next: true}})
	var refused *api.Error
	if errors.As(err, &refused) && refused.Code == "queue-empty" {
		err = r.issue(ctx, enough)
	}
	r.mu.Lock()
	r.lastErr = err
	r.mu.Unlock()
}

// issue puts appointments. One whose answer was lost is put again: it is the same one then.
func (r *torture) issue(ctx context.Context, n int) error {
	for range n {
		r.mu.Lock()
		reference := fmt.Sprintf("V%09d", 200000001+len(r.tickets))
		r.mu.Unlock()
		t, err := r.centre.Ticket(ctx, reference)
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.tickets = append(r.tickets, t.ID)
		r.mu.Unlock()
	}
	return nil
}

func (r *torture) run(ctx context.Context, kills int) error {
	points := failpoints()
	for _, name := range []string{stage.Kioskd, stage.Queued, stage.Central} {
		for _, point := range points[name] {
			if err := r.at(ctx, name, point); err != nil {
				return err
			}
		}
	}
	fmt.Printf("every failpoint was hit; now %d random kills\n", kills)
	for i := range kills {
		name := []string{stage.Kioskd, stage.Kioskd, stage.Queued, stage.Central}[r.random.IntN(4)]
		if !wait(ctx, time.Duration(r.random.IntN(700))*time.Millisecond) {
			return ctx.Err()
		}
		r.centre.Procs[name].Kill()
		if err := r.centre.Start(name); err != nil {
			return err
		}
		if (i+1)%20 == 0 {
			fmt.Printf("  %d kills, %d tickets issued\n", i+1, r.issued())
		}
	}
	return r.settle(ctx)
}

// at has one process killed at one failpoint and everything recover.
func (r *torture) at(ctx context.Context, name, point string) error {
	ctx, cancel := context.WithTimeout(ctx, pointLimit)
	defer cancel()
	r.centre.Procs[name].Kill()
	r.centre.Env = map[string][]string{name: {"LOKET_FAILPOINT=" + point}}
	err := r.centre.Start(name)
	r.centre.Env = nil
	if err != nil {
		return err
	}
	select {
	case <-r.centre.Procs[name].Done():
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		return fmt.Errorf("%s never came to the failpoint %s: %w; the last refusal was: %v", name, point, ctx.Err(), r.lastErr)
	}
	if err := r.centre.Start(name); err != nil {
		return err
	}
	if err := r.progress(ctx); err != nil {
		return fmt.Errorf("after %s died at %s: %w", name, point, err)
	}
	fmt.Printf("  %-8s killed at %-22s recovered\n", name, point)
	return nil
}

// progress waits until another session is completed.
func (r *torture) progress(ctx context.Context) error {
	first := ""
	for {
		st, err := r.centre.Kiosk.Status(ctx)
		if err == nil && st.LastEnd != nil && st.LastEnd.Record != "" {
			if first == "" {
				first = st.LastEnd.Session
			} else if first != st.LastEnd.Session {
				return nil
			}
		}
		if !wait(ctx, 10*time.Millisecond) {
			return errors.Join(ctx.Err(), err, r.last())
		}
	}
}

func (r *torture) last() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastErr
}

func (r *torture) issued() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tickets)
}

// settle lets the last session end, the outbox empty and the queue hear of everything.
func (r *torture) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	r.mu.Lock()
	r.paused = true
	r.mu.Unlock()
	for calm := 0; calm < 20; {
		st, err := r.centre.Kiosk.Status(ctx)
		if err == nil && st.Ready && st.Outbox.Pending == 0 && st.QueueLink {
			calm++
		} else {
			calm = 0
		}
		if !wait(ctx, 20*time.Millisecond) {
			return fmt.Errorf("settling: %w: %v, %+v", ctx.Err(), err, st.Problems)
		}
	}
	return nil
}

// judge compares from outside.
func (r *torture) judge(ctx context.Context) error {
	audit, err := r.centre.Audit(ctx, r.tickets)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d tickets issued: %d done with exactly one intact record, %d back in the queue; %d records in custody\n",
		len(r.tickets), audit.Done, audit.Waiting, audit.Records)
	if len(audit.Broken) > 0 {
		return fmt.Errorf("%d rules are broken:\n  %s", len(audit.Broken), strings.Join(audit.Broken, "\n  "))
	}
	fmt.Println("0 lost, 0 doubled, 0 left over")
	return r.centre.StopAll()
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
