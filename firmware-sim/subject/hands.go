package subject

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"

	"loket/firmware-sim/slap60"
	"loket/firmware-sim/synth"
)

// deed is what a hand is about to do.
type deed string

const (
	rest    deed = ""
	present deed = "present"
	lift    deed = "lift"
)

// hands follows the lamps of the scanner.
func (s *Subject) hands(ctx context.Context) <-chan struct{} {
	g, told := s.opt.Scanner.Lamps()
	if s.note(Scanner, g.Armed) {
		if err := s.NextPerson(ctx); err != nil {
			s.fail("fetching the next person", err)
		}
	}
	do := s.wish(g)
	if do == rest {
		return told
	}
	if s.react(ctx) != nil {
		return told
	}
	_, told = s.opt.Scanner.Lamps()
	if err := s.act(do); err != nil {
		s.fail("presenting fingers", err)
		until(ctx, told) // the same fingers would fail again
	}
	return nil
}

// until waits for a device to tell something new.
func until(ctx context.Context, told <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-told:
	}
}

// act does what was wished for, if it still is.
func (s *Subject) act(do deed) error {
	s.hand.Lock()
	defer s.hand.Unlock()
	g, _ := s.opt.Scanner.Lamps()
	if s.wish(g) != do {
		return nil
	}
	if do == lift {
		s.leaveGlass()
		return nil
	}
	if g.Single {
		s.look(func() { g.Wanted = []synth.Position{s.offer} })
	}
	return s.present(g.Wanted, s.takeWays(), false)
}

// wish is what a cooperative person would do now, and keeps the stopwatch.
func (s *Subject) wish(g Lamps) deed {
	s.mu.Lock()
	defer s.mu.Unlock()
	on := len(s.glass.fingers) > 0
	s.human.waits(Scanner, g.Armed && (!on || g.Lift) && !s.unplug[Scanner])
	switch {
	case s.away || s.unplug[Scanner]:
		return rest
	case on && (g.Lift || !s.glass.held && (!g.Armed || g.Again != s.glass.again)):
		return lift
	case !on && !s.byHand && g.Armed && !g.Lift && (g.Single || len(g.Wanted) > 0):
		return present
	}
	return rest
}

// takeWays takes how the coming presentation is to differ.
func (s *Subject) takeWays() (ways []Way) {
	s.update(func() {
		if len(s.next) > 0 {
			ways, s.next = s.next[0], s.next[1:]
		}
	})
	return ways
}

// lift empties the glass.
func (s *Subject) lift() {
	s.hand.Lock()
	defer s.hand.Unlock()
	s.leaveGlass()
}

// leaveGlass empties the glass. The hand is held.
func (s *Subject) leaveGlass() {
	s.update(func() { s.glass = placed{} })
	s.opt.Scanner.Lift()
}

// hold puts fingers on the glass that stay there whatever the lamps ask for.
func (s *Subject) hold(fingers []synth.Position, ways []Way) error {
	s.hand.Lock()
	defer s.hand.Unlock()
	return s.present(fingers, ways, true)
}

// present puts the asked fingers on the glass, in these ways. The hand is held.
func (s *Subject) present(asked []synth.Position, ways []Way, held bool) error {
	var seed uint64
	s.look(func() { seed = s.opt.Seed<<20 + s.shown })
	shown, fingers, err := s.lay(asked, ways, seed)
	if err != nil {
		return err
	}
	g, _ := s.opt.Scanner.Lamps()
	s.update(func() {
		s.shown++
		s.glass = placed{fingers: fingers, ways: ways, asked: asked, held: held, again: g.Again}
		s.human.waits(Scanner, false)
	})
	s.opt.Scanner.Present(shown)
	return nil
}

// lay makes the picture of fingers on the glass.
func (s *Subject) lay(asked []synth.Position, ways []Way, seed uint64) (Laid, []synth.Position, error) {
	slots, instead := choose(asked, ways)
	if len(slots) == 0 {
		return Laid{}, nil, errors.New("no finger is left to present (hint: one-less needs two at least)")
	}
	var glass *image.Gray
	var where []synth.Placed
	var err error
	if s.opt.Fingers != nil {
		glass, where, err = s.layFiles(slots, instead, ways)
	} else {
		glass, where, err = s.opt.Library.Slap(slap(s.who(), slots, instead, ways, seed))
	}
	if err != nil {
		return Laid{}, nil, err
	}
	p := Laid{Image: glass}
	var fingers []synth.Position
	for i, f := range where {
		p.Fingers = append(p.Fingers, slap60.Contact{Box: f.Box, PAD: padScore(ways, seed+uint64(i))})
		fingers = append(fingers, f.Position)
	}
	return p, fingers, nil
}

// padScore is what presentation attack detection says of a finger.
func padScore(ways []Way, seed uint64) int {
	switch {
	case slices.Contains(ways, NoJudgement):
		return 0
	case slices.Contains(ways, PADAlarm):
		return 12
	}
	return 88 + int(seed*7%11)
}

// choose decides which fingers lie where, when these were asked for.
func choose(asked []synth.Position, ways []Way) (slots []synth.Position, instead map[synth.Position]synth.Position) {
	slots, instead = slices.Clone(asked), map[synth.Position]synth.Position{}
	for _, way := range ways {
		switch {
		case len(slots) == 0:
		case way == OneLess:
			slots = slots[:len(slots)-1]
		case way == OneMore:
			slots = append(slots, neighbour(slots))
		case way == WrongHand:
			for i, p := range slots {
				slots[i] = otherHand(p)
			}
		case way == WrongFinger:
			instead[slots[0]] = neighbour(slots)
		case way == SameFinger && len(slots) > 1:
			instead[slots[1]] = slots[0]
		}
	}
	return slots, instead
}

// neighbour is a finger beside the first of these that is not one of them.
func neighbour(fingers []synth.Position) synth.Position {
	first := fingers[0]
	for _, d := range []synth.Position{1, -1, 2, 3, 4, -2, -3, -4} {
		if p := first + d; p.Valid() && p.Right() == first.Right() && !slices.Contains(fingers, p) {
			return p
		}
	}
	return otherHand(first)
}

func otherHand(p synth.Position) synth.Position {
	if p.Right() {
		return p + 5
	}
	return p - 5
}

// slap describes a presentation of synthetic fingers.
func slap(who synth.Person, slots []synth.Position, instead map[synth.Position]synth.Position, ways []Way, seed uint64) synth.Slap {
	out := synth.Slap{Who: who, Fingers: slots, Instead: instead, Seed: seed, Touch: synth.Usual(seed)}
	for _, way := range ways {
		switch way {
		case Dry:
			out.Touch = synth.Dry(seed)
		case Wet:
			out.Touch = synth.Wet(seed)
		case Light:
			out.Touch.Pressure = -1
		case Hard:
			out.Touch.Pressure = 1
		case Noisy:
			out.Touch.Noise = 2.6
		case Rotated:
			out.Rotation = 30
		case UpsideDown:
			out.UpsideDown = true
		}
	}
	return out
}

// layFiles places fingers from files. They are what they are: no way can change their skin.
func (s *Subject) layFiles(slots []synth.Position, instead map[synth.Position]synth.Position, ways []Way) (*image.Gray, []synth.Placed, error) {
	for _, way := range ways {
		if slices.Contains([]Way{Dry, Wet, Light, Hard, Noisy, Rotated}, way) {
			return nil, nil, fmt.Errorf("fingers from files can't be presented %s (hint: leave the files out)", way)
		}
	}
	files := map[synth.Position]synth.FingerFile{}
	for _, slot := range slots {
		from := slot
		if other, ok := instead[slot]; ok {
			from = other
		}
		if f, ok := s.opt.Fingers[from]; ok {
			files[slot] = f
		}
	}
	if len(files) == 0 {
		return nil, nil, fmt.Errorf("no file stands for %v (hint: add files; docs/scenarios.md says which file is which finger)", fingerNames(slots))
	}
	glass, where, err := synth.PlaceFiles(files)
	if err != nil {
		return nil, nil, err
	}
	for i, f := range where {
		if other, ok := instead[f.Position]; ok {
			where[i].Position = other
		}
	}
	if slices.Contains(ways, UpsideDown) {
		slices.Reverse(glass.Pix) // the whole glass turned by half: rows and columns both run backwards
		for i, f := range where {
			where[i].Box = image.Rect(glass.Rect.Dx()-f.Box.Max.X, glass.Rect.Dy()-f.Box.Max.Y,
				glass.Rect.Dx()-f.Box.Min.X, glass.Rect.Dy()-f.Box.Min.Y)
		}
	}
	return glass, where, nil
}
