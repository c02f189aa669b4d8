package subject

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"loket/firmware-sim/synth"
	"loket/firmware-sim/trouble"
)

// Do does one event. It returns when the event is done, which for a wait can take long.
func (s *Subject) Do(ctx context.Context, e Event) error {
	switch e.Verb {
	case VerbNext:
		s.update(func() { s.next = append(s.next, slices.Clone(e.Ways)) })
		return nil
	case VerbPresent:
		return s.hold(e.Fingers, e.Ways)
	case VerbOffer:
		s.update(func() { s.offer = e.Fingers[0] })
		return nil
	case VerbLift:
		s.lift()
		return nil
	case VerbMove:
		return s.move()
	case VerbPose:
		return s.strike(e.Pose, e.Degrees)
	case VerbLeave:
		return s.leave()
	case VerbNextPerson:
		return s.NextPerson(ctx)
	case VerbPerson:
		return s.become(ctx, e.Times)
	case VerbByHand, VerbByItself:
		s.update(func() { s.byHand = e.Verb == VerbByHand })
		return nil
	case VerbUnplug, VerbReplug:
		return s.plug(e.Device, e.Verb == VerbReplug)
	case VerbTrouble, VerbRecover:
		return s.trouble(e)
	case VerbLampOut, VerbLampOn:
		return s.light(e.Out)
	case VerbScan:
		return s.show(e.Text)
	case VerbSign:
		return s.sign(ctx)
	case VerbReaction:
		s.update(func() { s.reaction = e.For })
		return nil
	case VerbWait:
		if e.Until != "" {
			return s.await(ctx, e.Until)
		}
		return s.opt.Time.Wait(ctx, e.For)
	}
	return fmt.Errorf("doing %q: it has no meaning here", e.Verb)
}

// move lets the fingers slip on the glass, or the head sway.
func (s *Subject) move() error {
	slipped, err := s.slip()
	if slipped || err != nil {
		return err
	}
	var sitting bool
	s.update(func() {
		sitting = s.sitting
		if s.pose.X > 0 {
			s.pose.X = -0.04
		} else {
			s.pose.X = 0.04
		}
	})
	if !sitting || s.opt.Photo != nil {
		return nil
	}
	return s.sit()
}

// slip puts the fingers on the glass down again, a little elsewhere.
func (s *Subject) slip() (slipped bool, err error) {
	s.hand.Lock()
	defer s.hand.Unlock()
	var on placed
	s.look(func() { on = s.glass })
	if len(on.fingers) == 0 {
		return false, nil
	}
	return true, s.present(on.asked, on.ways, on.held)
}

// leave takes hands and face away until a pose brings the person back.
func (s *Subject) leave() error {
	s.update(func() { s.away = true })
	s.lift()
	return s.rise()
}

// plug pulls a device's plug or puts it back in. Without power a device forgets what it was doing.
func (s *Subject) plug(d Device, in bool) error {
	p := s.opt.Plugs[d]
	act, doing := p.Unplug, "unplugging"
	if in {
		act, doing = p.Replug, "plugging in"
	}
	if act == nil {
		return fmt.Errorf("%s the %s: it has no plug here", doing, d)
	}
	s.cable.Lock()
	defer s.cable.Unlock()
	var out bool
	s.look(func() { out = s.unplug[d] })
	if out != in {
		return nil // it is so already
	}
	if err := act(); err != nil {
		return fmt.Errorf("%s the %s: %w", doing, d, err)
	}
	if !in && p.Trouble != nil {
		p.Trouble.BusReset()
	}
	s.update(func() { s.unplug[d] = !in })
	return nil
}

// show holds a code or a document before the reader. Without power it reads nothing, and says so by not beeping.
func (s *Subject) show(text string) error {
	var out bool
	s.look(func() { out = s.unplug[Reader] })
	if s.opt.Reader == nil || out {
		return errors.New("showing a code: no code reader is plugged in here (hint: replug reader)")
	}
	return s.opt.Reader.Scan(text)
}

// sign has the person sign on the pad. It returns when the pen is lifted for the last time.
func (s *Subject) sign(ctx context.Context) error {
	var out bool
	s.look(func() { out = s.unplug[Pad] })
	if s.opt.Pad == nil || out {
		return errors.New("signing: no signature pad is plugged in here (hint: --device slap60,ptp,hidcode,hidpen)")
	}
	s.human.waits(Pad, true)
	defer s.human.waits(Pad, false)
	return s.opt.Time.Wait(ctx, s.opt.Pad.Write(s.who().Scribble()))
}

func (s *Subject) trouble(e Event) error {
	t := s.opt.Plugs[e.Device].Trouble
	if t == nil {
		return fmt.Errorf("bringing trouble to the %s: it can have none here", e.Device)
	}
	t.Set(trouble.Trouble{Kind: e.Trouble, Transfers: e.Times}) // no kind, to recover
	s.update(func() { s.ill[e.Device] = e })
	return nil
}

// await waits until a condition holds.
func (s *Subject) await(ctx context.Context, c Condition) error {
	for {
		own, camera := s.changes(), s.opt.Camera.Changed()
		_, scanner := s.opt.Scanner.Lamps()
		if s.holds(c) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-own:
		case <-scanner:
		case <-camera:
		}
	}
}

func (s *Subject) holds(c Condition) bool {
	g, _ := s.opt.Scanner.Lamps()
	switch c {
	case Armed:
		return g.Armed
	case Placed:
		var on []synth.Position
		s.look(func() { on = s.glass.fingers })
		return len(on) > 0
	case LiftLamp:
		return g.Lift
	case Watching:
		return s.opt.Camera.Watching()
	case Idle:
		return !g.Armed && !g.Lift && !s.opt.Camera.Watching()
	}
	return false
}

// Start plays a scenario, in place of the one that plays. It takes effect while [Subject.Run] runs.
func (s *Subject) Start(sc Scenario) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupt()
	s.script <- sc
	s.playing = Playing{Name: sc.Name, Running: true}
}

// Stop ends the scenario that plays. What it changed stays changed.
func (s *Subject) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupt()
	s.playing.Running = false
}

// interrupt ends what plays and drops what was to play. The mutex is held.
func (s *Subject) interrupt() {
	if s.stop != nil {
		s.stop()
	}
	select {
	case <-s.script:
	default:
	}
}

// play plays the scenarios that are started until ctx ends.
func (s *Subject) play(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case sc := <-s.script:
			s.perform(ctx, sc)
		}
	}
}

// perform does the events of a scenario in order. One that can't be done is told and passed over.
func (s *Subject) perform(ctx context.Context, sc Scenario) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var overtaken bool
	s.look(func() { s.stop, overtaken = cancel, len(s.script) > 0 || !s.playing.Running })
	if overtaken {
		return
	}
	for round := 0; ; round++ {
		for _, e := range sc.Events {
			if e.Verb == VerbRepeat {
				if e.Times > 0 && round >= e.Times {
					s.ended(ctx)
					return
				}
				break
			}
			s.update(func() { s.playing.Line = e.Line })
			err := s.Do(ctx, e)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				s.fail(fmt.Sprintf("line %d of scenario %s", e.Line, sc.Name), err)
			}
		}
		if len(sc.Events) == 0 || sc.Events[len(sc.Events)-1].Verb != VerbRepeat {
			s.ended(ctx)
			return
		}
	}
}

func (s *Subject) ended(ctx context.Context) {
	s.update(func() {
		if ctx.Err() == nil {
			s.playing.Running = false
		}
	})
}
