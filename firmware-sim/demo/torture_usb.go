package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/biometric"
	"loket/kiosk/session"
)

type tortureUSBCmd struct {
	Cycles int    `help:"How often a plug is pulled." default:"1000"`
	Seed   uint64 `help:"Of the moments at which it is." default:"1"`
}

// Limits of a run.
const (
	cycleLimit  = 20 * time.Second
	warmUpShare = 10 // one part of so many cycles is done before the first figures are taken
	hotplug     = time.Second
	enoughPulls = 20 // in a phase, to say whether they come in time
)

// Run is `make torture-usb`.
func (t *tortureUSBCmd) Run(ctx context.Context, c *cli) error {
	began := time.Now()
	r, err := newUSBTorture(ctx, c, t.Seed)
	if err != nil {
		return err
	}
	defer r.centre.KillAll()
	err = r.run(ctx, t.Cycles)
	if err == nil {
		err = r.judge(ctx, t.Cycles)
	}
	r.stop()
	if err != nil {
		return fmt.Errorf("%w (hint: the logs are in %s)", err, filepath.Join(c.Out, "logs"))
	}
	fmt.Printf("nothing grew, no ghost, every verdict right; %d whole intakes got through in between; %s in all\n",
		r.intakes, time.Since(began).Round(time.Second))
	return r.centre.StopAll()
}

// usbTorture pulls the plugs of a centre's devices, in every phase of their use.
type usbTorture struct {
	centre  *stage.Centre
	sim     simControl
	watch   *statusWatch
	metrics string
	random  *rand.Rand
	stop    func() // ends watch and attendant

	phases  []*phaseCount // in order of appearance
	cycles  int
	wanted  int
	intakes int
	tickets []string
	warm    int // cycles of the warm-up
	first   figures
	slowest map[string]time.Duration // what took longest, by what it was
}

// phaseCount is how often a plug was pulled in one phase.
type phaseCount struct {
	name string
	n    int
	late int // the phase was over when the plug was pulled
}

func newUSBTorture(ctx context.Context, c *cli, seed uint64) (*usbTorture, error) {
	metrics, err := freePort()
	if err != nil {
		return nil, err
	}
	centre, err := stage.New(stage.Options{Dir: c.Out, Bin: c.Bin, Policy: "nl-residence-permit", Reaction: 200 * time.Millisecond,
		Env: map[string][]string{stage.Kioskd: {"LOKET_KIOSKD_METRICS=" + metrics}}})
	if err != nil {
		return nil, err
	}
	if err := centre.StartAll(ctx); err != nil {
		centre.KillAll()
		return nil, err
	}
	r := &usbTorture{centre: centre, sim: simControl{centre.Control()}, metrics: "http://" + metrics + "/metrics",
		random: rand.New(rand.NewPCG(seed, 1)), slowest: map[string]time.Duration{}}
	r.watch, r.stop = follow(ctx, centre)
	return r, nil
}

// run pulls plugs at rest and during intakes until it was done often enough; the last intake comes to its receipt.
func (r *usbTorture) run(ctx context.Context, cycles int) error {
	r.wanted, r.warm = cycles, cycles/warmUpShare
	for r.cycles < r.wanted {
		if err := r.round(ctx); err != nil {
			return fmt.Errorf("after %d cycles: %w", r.cycles, err)
		}
		f, err := r.measure(ctx)
		if err != nil {
			return err
		}
		if r.first == (figures{}) && r.cycles >= r.warm {
			if r.first, err = r.settled(ctx, figures{}); err != nil {
				return err
			}
		}
		fmt.Printf("  %4d cycles, %d intakes: %s\n", r.cycles, r.intakes, f)
	}
	return nil
}

// round pulls each plug at rest, and then takes a person through whose devices fail in every phase.
func (r *usbTorture) round(ctx context.Context) error {
	for _, device := range []string{scanner, camera} {
		for _, pull := range []func(context.Context, string) error{r.atRest, r.opening, r.blink} {
			if err := r.limited(ctx, func(ctx context.Context) error { return pull(ctx, device) }); err != nil {
				return err
			}
		}
	}
	return r.intake(ctx)
}

func (r *usbTorture) limited(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, cycleLimit)
	defer cancel()
	return do(ctx)
}

// intake takes one person from ticket to receipt through one failure after the other.
func (r *usbTorture) intake(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ticket, err := r.centre.Ticket(ctx, r.centre.NextReference())
	if err != nil {
		return err
	}
	r.tickets = append(r.tickets, ticket.ID)
	if err := r.sim.do(ctx, "leave"); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() {
		_, err := r.centre.Serve(ctx, ticket, false, nil)
		served <- err
	}()
	err = r.failures(ctx, ticket.ID)
	if err != nil {
		cancel()
		<-served
		return err
	}
	if err := r.sim.do(ctx, "look"); err != nil {
		return err
	}
	select {
	case err = <-served:
	case <-time.After(intakeLimit):
		cancel()
		err = errors.Join(fmt.Errorf("the intake of ticket %s did not come to its end; %s", ticket.ID, describe(r.watch.status())), <-served)
	}
	if err == nil {
		r.intakes++
	}
	return err
}

// failures pulls plugs during the photograph, takes one, and pulls plugs during the fingers.
func (r *usbTorture) failures(ctx context.Context, ticket string) error {
	for _, p := range slices.Concat(facePhases(), facePhases()) {
		if err := r.limited(ctx, func(ctx context.Context) error { return r.during(ctx, ticket, biometric.Face, p) }); err != nil {
			return err
		}
	}
	if err := r.limited(ctx, func(ctx context.Context) error { return r.photograph(ctx, ticket) }); err != nil {
		return err
	}
	for _, p := range slices.Concat(fingerPhases(), fingerPhases()) {
		if err := r.limited(ctx, func(ctx context.Context) error { return r.during(ctx, ticket, biometric.Finger, p) }); err != nil {
			return err
		}
	}
	return nil
}

// count notes a cycle.
func (r *usbTorture) count(name string, late bool) {
	r.cycles++
	var c *phaseCount
	for _, p := range r.phases {
		if p.name == name {
			c = p
		}
	}
	if c == nil {
		c = &phaseCount{name: name}
		r.phases = append(r.phases, c)
	}
	c.n++
	if late {
		c.late++
	}
}

// took keeps the longest time of its kind.
func (r *usbTorture) took(what string, since time.Time) {
	r.slowest[what] = max(r.slowest[what], time.Since(since))
}

// judge compares with the figures after the warm-up, and has the centre audited from outside.
func (r *usbTorture) judge(ctx context.Context, cycles int) error {
	last, err := r.settled(ctx, r.first)
	if err != nil {
		return err
	}
	r.summary(cycles, last)
	var wrong []string
	wrong = append(wrong, r.watch.wrong()...)
	wrong = append(wrong, last.grown(r.first)...)
	for what, took := range r.slowest {
		if took > hotplug {
			wrong = append(wrong, fmt.Sprintf("%s took up to %v", what, took.Round(time.Millisecond)))
		}
	}
	for _, p := range r.phases {
		if p.n >= enoughPulls && p.late > p.n/2 {
			wrong = append(wrong, fmt.Sprintf("%s: %d of %d plugs were pulled too late to be in it", p.name, p.late, p.n))
		}
	}
	audit, err := r.centre.Audit(ctx, r.tickets)
	if err != nil {
		return err
	}
	wrong = append(wrong, audit.Broken...)
	if audit.Done != r.intakes {
		wrong = append(wrong, fmt.Sprintf("%d intakes got through and %d tickets are done", r.intakes, audit.Done))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d rules are broken:\n  %s\n(hint: the machine stood still for up to %v; with much else to do it simulates devices that hang)",
			len(wrong), strings.Join(wrong, "\n  "), r.watch.stoodStill().Round(time.Millisecond))
	}
	return nil
}

func (r *usbTorture) summary(cycles int, last figures) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%d of %d cycles\tpulled\ttoo late\n", r.cycles, cycles)
	for _, p := range r.phases {
		fmt.Fprintf(w, "  %s\t%d\t%d\n", p.name, p.n, p.late)
	}
	for _, what := range []string{unplugSeen, replugSeen} {
		fmt.Fprintf(w, "%s\t%v at most\n", what, r.slowest[what].Round(time.Millisecond))
	}
	fmt.Fprintf(w, "after %d cycles\t%s\nat the end\t%s\n", r.warm, r.first, last)
	fmt.Fprintf(w, "the machine stood still\t%v at most\n", r.watch.stoodStill().Round(time.Millisecond))
	_ = w.Flush()
	fmt.Print(b.String())
}

// inCapture reports whether the ticket's session is capturing that.
func inCapture(s *session.Session, ticket string, m biometric.Modality) bool {
	if s == nil || s.Ticket != ticket || s.State != session.Capturing {
		return false
	}
	step, ok := s.Current()
	return ok && step.Modality == m
}
