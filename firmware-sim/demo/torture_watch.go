package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
)

// statusWatch follows a kiosk's status and notes whatever no status may show.
type statusWatch struct {
	mu      sync.Mutex
	last    api.Status
	changed chan struct{}
	known   map[string]bool // identities that may be there
	faults  []string
	still   time.Duration // the machine let this process wait so long at most
	err     error         // the watch has ended
}

// follow watches a kiosk, with an attendant beside it, until the returned function is called.
func follow(ctx context.Context, centre *stage.Centre) (*statusWatch, func()) {
	ctx, cancel := context.WithCancel(ctx)
	w := &statusWatch{changed: make(chan struct{}), known: map[string]bool{}}
	var both sync.WaitGroup
	both.Go(func() {
		err := centre.Kiosk.Watch(ctx, func(st api.Status) error {
			w.take(st)
			return nil
		})
		w.end(err)
	})
	both.Go(func() { w.pulse(ctx) })
	attendant := &stage.Attendant{Kiosk: centre.Kiosk}
	both.Go(func() { _ = attendant.Run(ctx) })
	return w, func() {
		cancel()
		both.Wait()
	}
}

// pulse measures for how long the machine stands still: what simulates a device then does not answer either.
func (w *statusWatch) pulse(ctx context.Context) {
	const beat = 50 * time.Millisecond
	for last := time.Now(); wait(ctx, beat); last = time.Now() {
		w.mu.Lock()
		w.still = max(w.still, time.Since(last)-beat)
		w.mu.Unlock()
	}
}

func (w *statusWatch) stoodStill() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.still
}

// maxFaults bounds what is noted.
const maxFaults = 20

// take checks one status. The devices of the first one, when the centre is ready, are all that may ever be there.
func (w *statusWatch) take(st api.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := len(w.known) == 0
	for _, d := range st.Devices {
		switch {
		case first:
			w.known[d.Identity] = true
		case !w.known[d.Identity]:
			w.note("a ghost: %s, %s", d.Identity, d.State)
		}
		if d.Verdict != "" && d.Verdict != "unplugged" {
			w.note("%s is called %s: %s", d.Identity, d.Verdict, d.Detail)
		}
	}
	if len(st.Devices) != len(w.known) {
		w.note("%d devices are listed", len(st.Devices))
	}
	if s := st.Session; s != nil && s.Verdict != "" && s.Verdict != "unplugged" {
		w.note("a session was told %s", s.Verdict)
	}
	w.last = st
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *statusWatch) note(format string, args ...any) {
	if len(w.faults) < maxFaults {
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
}

func (w *statusWatch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = fmt.Errorf("watching the kiosk: %w", err)
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *statusWatch) status() api.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

func (w *statusWatch) wrong() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults
}

// until waits for a status.
func (w *statusWatch) until(ctx context.Context, what string, ok func(api.Status) bool) error {
	for {
		w.mu.Lock()
		st, changed, err := w.last, w.changed, w.err
		w.mu.Unlock()
		if err != nil {
			return err
		}
		if ok(st) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; %s", what, ctx.Err(), describe(st))
		}
	}
}

// describe tells a status in one line.
func describe(st api.Status) string {
	words := []string{"the kiosk says:"}
	for _, d := range st.Devices {
		words = append(words, d.Kind, d.State, d.Verdict)
	}
	if s := st.Session; s != nil {
		words = append(words, "session", string(s.State), s.Verdict)
	}
	return strings.Join(words, " ")
}

// simControl directs the simulated devices and the person.
type simControl struct{ url string }

// do does events, one after the other.
func (s simControl) do(ctx context.Context, events ...string) error {
	for _, e := range events {
		if err := s.post(ctx, "/v1/events", map[string]string{"event": e}); err != nil {
			return err
		}
	}
	return nil
}

// play starts a scenario, which goes on by itself.
func (s simControl) play(ctx context.Context, text string) error {
	return s.post(ctx, "/v1/scenario", map[string]string{"name": "torture", "text": text})
}

// played waits for the end of a scenario.
func (s simControl) played(ctx context.Context) error {
	for {
		resp, err := s.send(ctx, http.MethodGet, "/v1/state", nil)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		var state struct {
			Scenario struct {
				Running bool `json:"running"`
			} `json:"scenario"`
		}
		if err := errors.Join(err, json.Unmarshal(text, &state)); err != nil || !state.Scenario.Running {
			return err
		}
		if !wait(ctx, 5*time.Millisecond) {
			return fmt.Errorf("waiting for the end of a scenario: %w; the simulator says %s", ctx.Err(), text)
		}
	}
}

func (s simControl) post(ctx context.Context, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	resp, err := s.send(ctx, http.MethodPost, path, data)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (s simControl) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("directing the simulated devices: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("directing the simulated devices: %s %s is answered %s", method, path, resp.Status)
	}
	return resp, nil
}

// figures are what must not grow.
type figures struct {
	goroutines, descriptors int
	resident, heap          int64 // bytes; heap is the goal of the next garbage collection, twice what lived at the last one
}

func (f figures) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %.1f MB resident, heap goal %.1f MB", f.goroutines, f.descriptors,
		float64(f.resident)/1e6, float64(f.heap)/1e6)
}

// What figures may differ by without having grown: connections come and go, and the collector works in steps.
const (
	slack      = 3
	slackBytes = 12 << 20
)

// grown names what is more than it was.
func (f figures) grown(before figures) []string {
	var list []string
	for _, x := range []struct {
		what          string
		before, after int64
		slack         int64
	}{
		{"goroutines", int64(before.goroutines), int64(f.goroutines), slack},
		{"descriptors", int64(before.descriptors), int64(f.descriptors), slack},
		{"bytes of resident memory", before.resident, f.resident, slackBytes},
		{"bytes of heap", before.heap, f.heap, slackBytes},
	} {
		if x.after > x.before+x.slack {
			list = append(list, fmt.Sprintf("%s grew from %d to %d", x.what, x.before, x.after))
		}
	}
	return list
}

// settled measures when the daemon has come to rest: nothing has grown since before, or a while is over. Without before it waits
// until two measurements are alike.
func (r *usbTorture) settled(ctx context.Context, before figures) (figures, error) {
	last := before
	for deadline := time.Now().Add(15 * time.Second); ; {
		f, err := r.measure(ctx)
		if err != nil {
			return f, err
		}
		if f.goroutines <= last.goroutines && f.descriptors <= last.descriptors || time.Now().After(deadline) {
			return f, nil
		}
		if before == (figures{}) {
			last = f
		}
		if !wait(ctx, time.Second) {
			return f, ctx.Err()
		}
	}
}

// measure asks the daemon and the system.
func (r *usbTorture) measure(ctx context.Context) (figures, error) {
	var f figures
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.metrics, nil)
	if err != nil {
		return f, err
	}
	req.Close = true // no connection that is counted
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return f, fmt.Errorf("reading the metrics: %w", err)
	}
	defer resp.Body.Close()
	values := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				values[name] = v
			}
		}
	}
	f.goroutines, f.heap = int(values["go_goroutines"]), int64(values["go_memstats_next_gc_bytes"])
	if f.goroutines == 0 || f.heap == 0 {
		return f, errors.Join(errors.New("reading the metrics: they tell no goroutines or no heap"), lines.Err())
	}
	pid := r.centre.Procs[stage.Kioskd].PID()
	if f.resident, err = residentBytes(pid); err != nil {
		return f, err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	f.descriptors = len(open)
	if errors.Is(err, os.ErrPermission) { // kioskd hides its memory, and with it this, from everybody but root
		f.descriptors, err = int(values["process_open_fds"]), nil
	}
	if err != nil {
		return f, fmt.Errorf("counting descriptors: %w", err)
	}
	return f, nil
}

// freePort gives a loopback address that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
