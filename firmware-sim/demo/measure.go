package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"loket/firmware-sim/stage"
)

type measureCmd struct {
	Idle    time.Duration `help:"How long to watch an idle kioskd." default:"20s"`
	Settle  time.Duration `help:"How long to leave it alone before." default:"5s"`
	Starts  int           `help:"How often to start kioskd." default:"5"`
	Intakes int           `help:"How many intakes." default:"5"`
}

// Run prints one line for each figure, in the form of a benchmark's: docs/performance.md has the goals.
func (m *measureCmd) Run(ctx context.Context, c *cli) error {
	centre, err := stage.New(stage.Options{Dir: c.Out, Bin: c.Bin, Policy: "nl-residence-permit"})
	if err != nil {
		return err
	}
	defer centre.KillAll()
	if err := centre.StartAll(ctx); err != nil {
		return err
	}
	for _, measure := range []func(context.Context, *stage.Centre) error{m.idle, m.ready, m.machine} {
		if err := measure(ctx, centre); err != nil {
			return fmt.Errorf("%w (hint: the logs are in %s)", err, filepath.Join(c.Out, "logs"))
		}
	}
	return centre.StopAll()
}

// idle measures a kioskd that is ready and has nothing to do.
func (m *measureCmd) idle(ctx context.Context, centre *stage.Centre) error {
	if !wait(ctx, m.Settle) {
		return ctx.Err()
	}
	pid := centre.Procs[stage.Kioskd].PID()
	before, err := processorTime(pid)
	if err != nil {
		return err
	}
	began := time.Now()
	if !wait(ctx, m.Idle) {
		return ctx.Err()
	}
	after, err := processorTime(pid)
	if err != nil {
		return err
	}
	share := float64(after-before) / float64(time.Since(began))
	resident, err := residentBytes(pid)
	if err != nil {
		return err
	}
	fmt.Printf("BenchmarkKioskdIdle 1 %.2f %%core %.1f MB\n", 100*share, float64(resident)/1e6)
	return nil
}

// ready measures from the start of the process until its status says ready, with the line to the queue up and all devices open.
func (m *measureCmd) ready(ctx context.Context, centre *stage.Centre) error {
	var all []time.Duration
	for range m.Starts {
		if err := centre.Procs[stage.Kioskd].Stop(); err != nil {
			return err
		}
		began := time.Now()
		if err := centre.Start(stage.Kioskd); err != nil {
			return err
		}
		if err := centre.Ready(ctx); err != nil {
			return err
		}
		all = append(all, time.Since(began))
	}
	took, err := median(all)
	if err != nil {
		return err
	}
	fmt.Printf("BenchmarkKioskdReady 1 %.3f s\n", took.Seconds())
	return nil
}

// machine measures what intakes take besides the simulated person's own time.
func (m *measureCmd) machine(ctx context.Context, centre *stage.Centre) error {
	intakes, err := (&demoCmd{N: m.Intakes}).serve(ctx, centre)
	if err != nil {
		return err
	}
	var own []time.Duration
	for _, i := range intakes {
		own = append(own, i.Took-i.Person)
	}
	took, err := median(own)
	if err != nil {
		return err
	}
	fmt.Printf("\nBenchmarkIntakeMachine 1 %.3f s\n", took.Seconds())
	return nil
}

// median gives the measurement in the middle.
func median(all []time.Duration) (time.Duration, error) {
	if len(all) == 0 {
		return 0, errors.New("measuring: nothing was measured")
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2], nil
}

// tick is the unit of processor time in /proc, the same on every Linux that Go runs on.
const tick = time.Second / 100

// processorTime is what a process has used so far, in user and system mode.
func processorTime(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the processor time: %w", err)
	}
	return parseProcessorTime(string(data))
}

// parseProcessorTime reads fields 14 and 15 of proc_pid_stat(5). The second field is a name that may hold anything.
func parseProcessorTime(stat string) (time.Duration, error) {
	_, rest, ok := cutLast(stat, ")")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, errors.New("reading the processor time: the line has another form")
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return 0, fmt.Errorf("reading the processor time: %w", err)
	}
	return time.Duration(user+system) * tick, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// residentBytes is the memory that a process has in use.
func residentBytes(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory in use: %w", err)
	}
	return parseResident(string(data))
}

// parseResident reads the line "VmRSS:   12345 kB", whose kB are 1024 bytes.
func parseResident(status string) (int64, error) {
	_, rest, ok := strings.Cut(status, "VmRSS:")
	number, _, unit := strings.Cut(strings.TrimSpace(rest), " kB")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || !unit || err != nil {
		return 0, errors.New("reading the memory in use: there is no VmRSS")
	}
	return n << 10, nil
}
