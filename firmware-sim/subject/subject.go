// Package subject is the person in front of the devices: a cooperative applicant who follows lamps and lens, and the
// scenarios that make an intake go wrong.
//
// The one idea: a person knows nothing of the software that is tested. Like a real one, the subject sees what the devices
// show (which lamps glow, whether the camera looks) and acts on that after a moment; a scenario only says what is to be
// different. The scenario format is docs/scenarios.md.
package subject

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"loket/firmware-sim/hidcode"
	"loket/firmware-sim/hidpen"
	"loket/firmware-sim/ptpcam"
	"loket/firmware-sim/synth"
	"loket/firmware-sim/trouble"
)

// Plug is what can happen to a device from outside. What is nil can't.
type Plug struct {
	Trouble        *trouble.Gadget // told too that the cable was pulled
	Unplug, Replug func() error
}

// Options say who the subject is and what stands before them.
type Options struct {
	Scanner Glass
	Camera  *ptpcam.Device
	Reader  *hidcode.Device // nil for none
	Pad     *hidpen.Device  // nil for none
	Plugs   map[Device]Plug
	Without []Device       // scanner or camera that is not there: as if unplugged for ever
	Library *synth.Library // in memory alone where nil

	Seed     uint64        // of everybody: the first person, the second, …
	Reaction time.Duration // from a lamp to a finger; 300 ms where zero, none where negative
	Absence  time.Duration // devices quiet for this long after a whole intake: the next person comes; 10 s where zero, never where negative
	Alone    bool          // nobody follows lamps and lens: only events act

	Photo   *synth.Photo                        // held before the lens in place of a face
	Fingers map[synth.Position]synth.FingerFile // in place of synthetic ones

	Time Time             // how scenarios and the person wait; Real where nil
	Now  func() time.Time // time.Now where nil
	Log  *slog.Logger     // silent where nil
}

// Subject is the person. It must be made by [New]; its methods may be called from several goroutines at once.
type Subject struct {
	opt Options

	hand  sync.Mutex // held while fingers come and go; before mu
	seat  sync.Mutex // held while somebody sits down or leaves; before mu
	cable sync.Mutex // held while a cable is pulled or put back, until that is noted; before mu

	mu       sync.Mutex
	changed  chan struct{}  // closed at the next change of what follows
	person   int            // 1 and up
	next     [][]Way        // of the coming presentations
	shown    uint64         // presentations so far
	offer    synth.Position // what a reader gets that does not say which finger it wants
	glass    placed
	pose     synth.Scene // without who
	out      [2]bool     // lamps of the booth, as a scene has them
	sitting  bool
	away     bool
	byHand   bool // fingers come by events alone
	reaction time.Duration
	used     map[Device]bool // since this person came
	busy     map[Device]bool
	quiet    time.Time // since when
	playing  Playing
	script   chan Scenario
	stop     context.CancelFunc // ends the scenario that plays
	unplug   map[Device]bool    // pulled out
	ill      map[Device]Event   // the last trouble

	human  stopwatch
	scenes sceneCache
}

// placed is what the person has on the glass.
type placed struct {
	fingers []synth.Position // empty for nothing
	ways    []Way
	asked   []synth.Position
	again   uint32 // tones that said so, before
	held    bool   // by an event: they stay until lift, or until the lamps say so
}

// New makes a subject who does nothing until [Subject.Run].
func New(opt Options) *Subject {
	if opt.Library == nil {
		opt.Library = new(synth.Library)
	}
	if opt.Time == nil {
		opt.Time = Real{}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Reaction == 0 {
		opt.Reaction = 300 * time.Millisecond
	}
	if opt.Absence == 0 {
		opt.Absence = 10 * time.Second
	}
	s := &Subject{opt: opt, changed: make(chan struct{}), person: 1, reaction: max(opt.Reaction, 0), quiet: opt.Now(),
		used: map[Device]bool{}, busy: map[Device]bool{}, unplug: map[Device]bool{}, ill: map[Device]Event{}, script: make(chan Scenario, 1),
		offer: synth.RightIndex, human: stopwatch{now: opt.Now}}
	for _, d := range opt.Without {
		s.unplug[d] = true
	}
	return s
}

// Run lives until ctx ends and returns ctx.Err(). It may be called once.
func (s *Subject) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	wait.Go(func() { s.play(ctx) })
	wait.Go(func() { s.prepare(ctx) })
	if !s.opt.Alone {
		wait.Go(func() { s.follow(ctx, s.hands) })
		wait.Go(func() { s.follow(ctx, s.face) })
	}
	wait.Wait()
	return ctx.Err()
}

// follow runs one part of the person until ctx ends. The part looks and acts, and returns what to wait for; nil is to look
// again at once.
func (s *Subject) follow(ctx context.Context, part func(context.Context) <-chan struct{}) {
	for ctx.Err() == nil {
		own := s.changes()
		told := part(ctx)
		if told == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-told:
		case <-own:
		}
	}
}

// changes returns a channel that is closed when the person does something next.
func (s *Subject) changes() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// update changes the person under the mutex and tells everyone who waits.
func (s *Subject) update(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// look reads the person under the mutex.
func (s *Subject) look(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// react waits as long as a person takes.
func (s *Subject) react(ctx context.Context) error {
	var d time.Duration
	s.look(func() { d = s.reaction })
	return s.opt.Time.Wait(ctx, d)
}

// note follows a device's being busy, to know when one person's intake is over: both devices were used, and then nothing
// happened for a while. It reports whether the next person is due.
func (s *Subject) note(d Device, busy bool) (due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[d] == busy {
		return false
	}
	s.busy[d] = busy
	now := s.opt.Now()
	if busy {
		due = s.opt.Absence > 0 && s.used[Scanner] && s.used[Camera] && now.Sub(s.quiet) >= s.opt.Absence
		s.used[d] = true
	}
	s.quiet = now
	return due
}

// State is what can be told of the person and the devices.
type State struct {
	Person      int      `json:"person"` // 1 and up
	Seed        uint64   `json:"seed"`
	Cooperative bool     `json:"cooperative"`
	Reaction    string   `json:"reaction"`
	HumanMS     int64    `json:"human_ms"` // how long devices waited for the person, in all
	Away        bool     `json:"away"`
	ByHand      bool     `json:"by_hand"` // fingers come by events alone
	Sitting     bool     `json:"sitting"`
	Glass       []string `json:"glass"` // fingers on it
	Shown       uint64   `json:"presentations"`
	Next        int      `json:"next"` // presentations that will differ

	Scanner ScannerState `json:"scanner"`
	Camera  CameraState  `json:"camera"`
	Reader  *ReaderState `json:"reader,omitempty"`
	Pad     *PadState    `json:"pad,omitempty"`
	Playing Playing      `json:"scenario"`
}

// ScannerState is what the scanner tells.
type ScannerState struct {
	Plugged bool         `json:"plugged"`
	Trouble trouble.Kind `json:"trouble,omitempty"`
	Armed   bool         `json:"armed"`
	Lift    bool         `json:"lift"`
	Wanted  []string     `json:"wanted"`
}

// CameraState is what the camera tells.
type CameraState struct {
	Plugged  bool         `json:"plugged"`
	Trouble  trouble.Kind `json:"trouble,omitempty"`
	Watching bool         `json:"watching"`
	Photos   int          `json:"photos"`
}

// ReaderState is what the code reader tells: how many codes it has read, and none of them.
type ReaderState struct {
	Plugged bool         `json:"plugged"`
	Trouble trouble.Kind `json:"trouble,omitempty"`
	Scanned int          `json:"scanned"`
}

// PadState is what the signature pad tells.
type PadState struct {
	Plugged bool         `json:"plugged"`
	Trouble trouble.Kind `json:"trouble,omitempty"`
	Signed  int          `json:"signed"` // how often somebody wrote on it
}

// Playing is how far a scenario is.
type Playing struct {
	Name    string `json:"name,omitempty"`
	Running bool   `json:"running"`
	Line    int    `json:"line,omitempty"`
	Error   string `json:"error,omitempty"` // of the last event that could not be done
}

// State returns the present state.
func (s *Subject) State() State {
	g, _ := s.opt.Scanner.Lamps()
	st := State{
		Seed: s.opt.Seed, Cooperative: !s.opt.Alone, HumanMS: s.human.total().Milliseconds(),
		Scanner: ScannerState{Trouble: s.troubleOf(Scanner), Armed: g.Armed, Lift: g.Lift, Wanted: fingerNames(g.Wanted)},
		Camera:  CameraState{Trouble: s.troubleOf(Camera), Watching: s.opt.Camera.Watching(), Photos: s.opt.Camera.Stored()},
	}
	if r := s.opt.Reader; r != nil {
		st.Reader = &ReaderState{Trouble: s.troubleOf(Reader), Scanned: r.Scanned()}
		s.look(func() { st.Reader.Plugged = !s.unplug[Reader] })
	}
	if p := s.opt.Pad; p != nil {
		st.Pad = &PadState{Trouble: s.troubleOf(Pad), Signed: p.Signed()}
		s.look(func() { st.Pad.Plugged = !s.unplug[Pad] })
	}
	s.look(func() {
		st.Person, st.Reaction, st.Away, st.Sitting, st.ByHand = s.person, s.reaction.String(), s.away, s.sitting, s.byHand
		st.Glass, st.Shown, st.Next, st.Playing = fingerNames(s.glass.fingers), s.shown, len(s.next), s.playing
		st.Scanner.Plugged, st.Camera.Plugged = !s.unplug[Scanner], !s.unplug[Camera]
	})
	return st
}

// troubleOf is what is wrong with a device now.
func (s *Subject) troubleOf(d Device) trouble.Kind {
	t := s.opt.Plugs[d].Trouble
	var e Event
	s.look(func() { e = s.ill[d] })
	if t == nil || e.Times > 0 && t.Touched() >= e.Times {
		return ""
	}
	return e.Trouble
}

// Human is how long devices have waited for the person, in all.
func (s *Subject) Human() time.Duration { return s.human.total() }

func fingerNames(fingers []synth.Position) []string {
	list := make([]string, 0, len(fingers))
	for _, p := range fingers {
		list = append(list, p.String())
	}
	return list
}

// stopwatch runs while anybody waits for the person.
type stopwatch struct {
	now func() time.Time

	mu      sync.Mutex
	waiting []Device
	since   time.Time
	sum     time.Duration
}

// waits says whether d waits for the person.
func (w *stopwatch) waits(d Device, waits bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, d)
	switch {
	case waits && i < 0:
		if len(w.waiting) == 0 {
			w.since = w.now()
		}
		w.waiting = append(w.waiting, d)
	case !waits && i >= 0:
		w.waiting = slices.Delete(w.waiting, i, i+1)
		if len(w.waiting) == 0 {
			w.sum += w.now().Sub(w.since)
		}
	}
}

func (w *stopwatch) total() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) > 0 {
		return w.sum + w.now().Sub(w.since)
	}
	return w.sum
}

// NextPerson sends the present person away and brings another one, who is ready when it returns.
func (s *Subject) NextPerson(ctx context.Context) error {
	var present int
	s.look(func() { present = s.person })
	return s.become(ctx, present+1)
}

// become brings a certain person.
func (s *Subject) become(ctx context.Context, person int) error {
	s.update(func() {
		s.person = person
		s.pose, s.away, s.offer = synth.Scene{}, false, synth.RightIndex
		clear(s.used)
	})
	s.lift()
	if err := s.rise(); err != nil {
		return err
	}
	return s.ready(ctx)
}

// who is the present person.
func (s *Subject) who() synth.Person {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Who(s.opt.Seed, s.person)
}

// Who is the n-th person of those that a seed stands for, from 1.
func Who(seed uint64, n int) synth.Person { return synth.Person(seed*1_000_003 + uint64(n)) }

// prepare draws the first person while nobody has asked for them yet.
func (s *Subject) prepare(ctx context.Context) {
	if err := s.empty(); err != nil {
		s.opt.Log.Warn("the booth could not be drawn", "error", err)
	}
	if err := s.ready(ctx); err != nil && ctx.Err() == nil {
		s.opt.Log.Warn("the person could not be drawn", "error", err)
	}
}

// ready draws what a person is likely to be asked for.
func (s *Subject) ready(ctx context.Context) error {
	var pose synth.Scene
	s.look(func() { pose = s.pose })
	who := s.who()
	if _, err := s.scene(who, pose); err != nil || ctx.Err() != nil || s.opt.Fingers != nil {
		return err
	}
	for _, p := range []synth.Position{synth.RightIndex, synth.LeftIndex} {
		if _, err := s.opt.Library.Master(who.Finger(p)); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// fail keeps what could not be done for the state.
func (s *Subject) fail(doing string, err error) {
	s.opt.Log.Warn(doing+" failed", "error", err)
	s.update(func() { s.playing.Error = fmt.Sprintf("%s: %v", doing, err) })
}
