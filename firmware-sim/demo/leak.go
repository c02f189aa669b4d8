package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/record"
)

type leakCmd struct {
	N        int    `name:"n" help:"How many people." default:"2"`
	Scenario string `help:"A scenario that the simulated people follow." placeholder:"FILE"`
	Self     bool   `name:"self-service" help:"At a self-service kiosk; sessions are handed over to a desk."`
	Plant    string `help:"Plant one leak in the run: the check must then fail (${enum})." enum:"none,raw,base64,log,temp,name" default:"none"`
}

// traced lists the processes that are watched: all that hold or receive anything of a person.
func (d *demoCmd) traced() []string {
	list := []string{stage.Kioskd, stage.Queued, stage.Central}
	if d.Self {
		list = append(list, stage.Deskd)
	}
	return list
}

// Run is `make leak`.
func (l *leakCmd) Run(ctx context.Context, c *cli) error {
	run, err := observe(ctx, c, demoCmd{N: l.N, Scenario: l.Scenario, Self: l.Self})
	if err != nil {
		return err
	}
	defer run.wipe()
	if l.Plant != "none" {
		if err := run.plant(ctx, l.Plant); err != nil {
			return err
		}
	}
	v, err := run.judge()
	if err != nil {
		return err
	}
	v.print()
	if err := v.err(); err != nil {
		return err
	}
	if err := v.durable(); err != nil {
		return err
	}
	return run.plantAll(ctx)
}

// observed is a run that has ended, with everything that was presented, kept and traced.
type observed struct {
	centre    *stage.Centre
	presented [][]byte
	opened    []*record.Record
	traces    map[string][]string // of each program
}

// observe takes people through a centre whose programs run under strace.
func observe(ctx context.Context, c *cli, people demoCmd) (*observed, error) {
	sim, err := people.sim()
	if err != nil {
		return nil, err
	}
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening to the devices: %w", err)
	}
	defer listen.Close()
	run := &observed{traces: map[string][]string{}}
	dir, err := filepath.Abs(filepath.Join(c.Out, "traces"))
	if err != nil {
		return nil, err
	}
	wrap := map[string][]string{}
	for _, name := range people.traced() {
		run.traces[name] = []string{filepath.Join(dir, name+".strace")}
		wrap[name] = underStrace(run.traces[name][0])
	}
	run.centre, err = stage.New(stage.Options{Dir: c.Out, Bin: c.Bin, Policy: people.policy(), Desk: people.Self, Wrap: wrap, Sim: sim,
		BusPort: listen.Addr().(*net.TCPAddr).Port})
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the traces: %w", err)
	}
	if err := straceWorks(dir); err != nil {
		return nil, err
	}
	tap := &wiretap{}
	if err := run.serve(ctx, tap, listen, people); err != nil {
		return nil, fmt.Errorf("%w (hint: the logs are in %s)", err, filepath.Join(c.Out, "logs"))
	}
	run.presented = tap.presented()
	run.opened, err = records(run.centre)
	if err == nil && len(run.opened) != people.N {
		err = fmt.Errorf("checking the run: %d people came and %d records are there", people.N, len(run.opened))
	}
	return run, err
}

// serve runs the centre with the wiretap between kiosk and devices, and ends both.
func (run *observed) serve(ctx context.Context, tap *wiretap, listen net.Listener, people demoCmd) error {
	tapCtx, stop := context.WithCancel(ctx)
	tapped := make(chan error, 1)
	go func() {
		tapped <- tap.run(tapCtx, listen, func() string { return "127.0.0.1:" + strconv.Itoa(run.centre.Ports.USB) })
	}()
	err := run.intakes(ctx, people)
	stop()
	if err = errors.Join(err, <-tapped); err != nil {
		return err
	}
	return run.flushed(ctx)
}

func (run *observed) intakes(ctx context.Context, people demoCmd) error {
	defer run.centre.KillAll()
	if err := run.centre.StartAll(ctx); err != nil {
		return err
	}
	fmt.Printf("centre up, under strace: %s\n", run.centre.Describe())
	if _, err := people.serve(ctx, run.centre); err != nil {
		return err
	}
	return run.centre.StopAll()
}

// flushed waits until every strace has written its last line.
func (run *observed) flushed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, paths := range run.traces {
		for !ended(paths[len(paths)-1]) {
			if !wait(ctx, 10*time.Millisecond) {
				return fmt.Errorf("waiting for the trace %s to end: %w", paths[len(paths)-1], ctx.Err())
			}
		}
	}
	return nil
}

// ended reports whether a trace tells of the end of the process that it began with.
func ended(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head, tail := make([]byte, 16), make([]byte, 4096)
	if _, err := f.ReadAt(head, 0); err != nil {
		return false
	}
	size, err := f.Seek(0, 2)
	if err != nil {
		return false
	}
	n, _ := f.ReadAt(tail, max(0, size-int64(len(tail))))
	pid, _, _ := bytes.Cut(head, []byte(" "))
	lines := bytes.Split(bytes.TrimSuffix(tail[:n], []byte("\n")), []byte("\n"))
	return slices.ContainsFunc(lines, func(line []byte) bool {
		return bytes.HasPrefix(line, append(pid, ' ')) && bytes.Contains(line, []byte(" +++ "))
	})
}

// wipe overwrites the samples that the run holds.
func (run *observed) wipe() {
	for _, data := range run.presented {
		clear(data)
	}
	for _, r := range run.opened {
		r.Wipe()
	}
}

// verdict is what the traces of a run prove.
type verdict struct {
	*written
	programs map[string]*program
	ids      []string
	forms    int
	searched int64
	found    []string
	took     time.Duration
}

// judge reads the traces and looks for everything that was presented.
func (run *observed) judge() (*verdict, error) {
	root, err := filepath.Abs(run.centre.Dir)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	v := &verdict{written: &written{root: root, opened: map[use]*tally{}}, programs: map[string]*program{}}
	for _, name := range slices.Sorted(maps.Keys(run.traces)) {
		for _, path := range run.traces[name] {
			if v.programs[name], err = v.read(name, path, v.programs[name]); err != nil {
				return nil, err
			}
		}
	}
	if err := v.search(run); err != nil {
		return nil, err
	}
	v.searchSecrets(secrets(run.opened))
	v.ids, err = recordIDs(root)
	v.took = time.Since(began)
	return v, err
}

// read takes in one trace. The steps of a program's first trace are kept; a later one is a leak that was planted.
func (v *verdict) read(name, path string, first *program) (*program, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a trace: %w", err)
	}
	defer f.Close()
	p := v.program(name)
	if err := readTrace(f, p.take); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if first != nil {
		return first, nil
	}
	return p, nil
}

func recordIDs(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, "central", "records", "*.age"))
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".age")
	}
	return files, nil
}

// search looks for every form of every sample.
func (v *verdict) search(run *observed) error {
	hay := newHaystack(v.texts)
	kinds := map[string]int{}
	err := eachForm(run.presented, run.opened, func(f form) {
		v.forms++
		v.searched += int64(len(f.data))
		kinds[f.name]++
		for _, h := range hay.search(f.data) {
			v.found = append(v.found, fmt.Sprintf("%s (%s, from byte %d of it)", h, f.name, h.inSample))
		}
	})
	for _, must := range []string{"what a device sent", "a picture that a device sent, luma plane", "face.jpg", "face.jpg, luma plane", "face.jpg, RGB pixels"} {
		if kinds[must] == 0 && err == nil {
			err = fmt.Errorf("checking the run: there was no %s to look for", must)
		}
	}
	return err
}

// searchSecrets looks for what is known of the applicants where it may not be. The queue's database may hold it, its log not.
func (v *verdict) searchSecrets(list []secret) {
	for _, t := range v.texts {
		if !t.disk || t.program == stage.Queued && !strings.HasSuffix(t.path, ".log") {
			continue
		}
		for _, s := range list {
			if bytes.Contains(t.data, []byte(s.value)) || bytes.Contains(t.data, []byte(hex.EncodeToString([]byte(s.value)))) || inBase64(t.data, s.value) {
				v.found = append(v.found, fmt.Sprintf("%s wrote %s of an applicant into %s", t.program, s.name, t.path))
			}
		}
	}
}

// inBase64 reports whether a short value stands in data as base64, at any alignment.
func inBase64(data []byte, value string) bool {
	c := base64Code()
	for _, r := range runs(data, c) {
		for _, skip := range c.skips {
			if bytes.Contains(c.decode(r, skip), []byte(value)) {
				return true
			}
		}
	}
	return false
}

func (v *verdict) print() {
	fmt.Println("\nopened for writing, and written:")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	keys := make([]use, 0, len(v.opened))
	for k := range v.opened {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b use) int { return strings.Compare(a.program+a.what, b.program+b.what) })
	for _, k := range keys {
		t := v.opened[k]
		fmt.Fprintf(w, "  %s\t%s\topened %d times\t%d writes\t%d kB\t\n", k.program, k.what, t.opens, t.writes, (t.bytes+999)/1000)
	}
	w.Flush()
	fmt.Printf("looked for %d MB of what was presented, in %d forms, in %.1f MB of writes: %.1f s\n", v.searched>>20, v.forms, float64(v.size)/(1<<20),
		v.took.Seconds())
}

// err is nil where nothing leaked.
func (v *verdict) err() error {
	all := slices.Concat(v.findings, v.found)
	if len(all) == 0 {
		fmt.Println("nothing of it was written, and nothing is open for writing that should not be")
		return nil
	}
	return fmt.Errorf("%d findings:\n  %s", len(all), strings.Join(all, "\n  "))
}

// durable checks the order of writes, syncs, renames and answers.
func (v *verdict) durable() error {
	fmt.Println("\nwhat survives a power cut, from the same traces:")
	station, folder := v.programs[stage.Kioskd], "kiosk"
	if desk := v.programs[stage.Deskd]; desk != nil {
		station, folder = desk, "desk" // which seals
	}
	return durable(os.Stdout, station, folder, v.programs[stage.Central], v.ids)
}

// plantAll plants one leak of each kind and makes sure that each is found.
func (run *observed) plantAll(ctx context.Context) error {
	planted := *run
	for _, p := range plants() {
		if err := planted.plant(ctx, p.name); err != nil {
			return err
		}
	}
	v, err := planted.judge()
	if err != nil {
		return err
	}
	fmt.Println("\nplanted leaks:")
	all := slices.Concat(v.findings, v.found)
	for _, p := range plants() {
		i := slices.IndexFunc(all, func(found string) bool { return strings.Contains(found, p.sign) })
		if i < 0 {
			return fmt.Errorf("a planted leak was not found: %s", p.what)
		}
		fmt.Printf("  found: %-54s %s\n", p.what, strings.ReplaceAll(all[i], v.root+"/", ""))
	}
	return nil
}
