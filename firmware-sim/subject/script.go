package subject

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"loket/firmware-sim/synth"
	"loket/firmware-sim/trouble"
)

// Verb is what an event does.
type Verb string

// The verbs of a scenario; docs/scenarios.md explains each.
const (
	VerbNext       Verb = "next"        // the next presentation differs in a way
	VerbPresent    Verb = "present"     // fingers go on the glass now
	VerbOffer      Verb = "offer"       // the finger for a reader that does not say which
	VerbLift       Verb = "lift"        // fingers leave the glass now
	VerbMove       Verb = "move"        // fingers on the glass slip, or the head moves
	VerbPose       Verb = "pose"        // how the person sits before the lens
	VerbLeave      Verb = "leave"       // the person walks away
	VerbNextPerson Verb = "next-person" // another person comes
	VerbPerson     Verb = "person"      // a certain person comes
	VerbByHand     Verb = "by-hand"     // somebody else moves the hand: fingers come by events alone
	VerbByItself   Verb = "by-itself"   // the hand follows the lamps again
	VerbUnplug     Verb = "unplug"
	VerbReplug     Verb = "replug"
	VerbTrouble    Verb = "trouble" // hang, stall, garbage, short, long, slow
	VerbRecover    Verb = "recover"
	VerbLampOut    Verb = "lamp-out" // a lamp of the booth goes out, or both
	VerbLampOn     Verb = "lamp-on"  // all lamps of the booth are on again
	VerbScan       Verb = "scan"     // the person shows a code or a document
	VerbSign       Verb = "sign"     // the person signs on the pad
	VerbReaction   Verb = "reaction" // how long the person takes
	VerbWait       Verb = "wait"
	VerbRepeat     Verb = "repeat"
)

// Way is how a presentation differs from what was asked for.
type Way string

// The ways. Those that need another picture are not open to fingers from files.
const (
	Good        Way = "good" // not at all
	WrongFinger Way = "wrong-finger"
	SameFinger  Way = "same-finger"
	WrongHand   Way = "wrong-hand"
	UpsideDown  Way = "upside-down"
	OneLess     Way = "one-less"
	OneMore     Way = "one-more"
	Dry         Way = "dry"
	Wet         Way = "wet"
	Light       Way = "light"
	Hard        Way = "hard"
	Noisy       Way = "noisy"
	Rotated     Way = "rotated"
	PADAlarm    Way = "pad-alarm"
	NoJudgement Way = "pad-none"
)

// ways maps the words of a scenario to ways; some have two names.
var ways = map[string]Way{
	"good": Good, "wrong-finger": WrongFinger, "same-finger": SameFinger, "wrong-hand": WrongHand, "upside-down": UpsideDown,
	"one-less": OneLess, "three-of-four": OneLess, "one-of-two": OneLess, "one-more": OneMore, "dry": Dry, "wet": Wet,
	"light": Light, "hard": Hard, "noisy": Noisy, "rotated": Rotated, "pad-alarm": PADAlarm, "pad-none": NoJudgement,
}

// Device names one of the simulated devices.
type Device string

// The devices.
const (
	Scanner Device = "scanner"
	Camera  Device = "camera"
	Reader  Device = "reader"
	Pad     Device = "pad"
)

// Pose is a word for how a person sits before the lens.
type Pose string

// The poses. Turn, tilt and nod take degrees.
const (
	Look      Pose = "look" // straight, as asked; undoes every other
	Turn      Pose = "turn"
	Tilt      Pose = "tilt"
	Nod       Pose = "nod"
	EyesShut  Pose = "eyes-shut"
	MouthOpen Pose = "mouth-open"
	TooFar    Pose = "too-far"
	TooClose  Pose = "too-close"
	OffCentre Pose = "off-centre"
	Dark      Pose = "dark"
	Bright    Pose = "bright"
	SideLight Pose = "side-light"
	Blurred   Pose = "blurred"
	TwoPeople Pose = "two-people"
)

// poses maps each pose to the degrees that it has where none are given; NaN where it takes none.
var poses = map[Pose]float64{Look: math.NaN(), Turn: 20, Tilt: 20, Nod: 18, EyesShut: math.NaN(), MouthOpen: math.NaN(),
	TooFar: math.NaN(), TooClose: math.NaN(), OffCentre: math.NaN(), Dark: math.NaN(), Bright: math.NaN(),
	SideLight: math.NaN(), Blurred: math.NaN(), TwoPeople: math.NaN()}

// Condition is what a scenario can wait for.
type Condition string

// The conditions.
const (
	Armed    Condition = "armed"    // the scanner waits for fingers
	Placed   Condition = "placed"   // fingers lie on the glass
	LiftLamp Condition = "lift"     // the scanner wants the fingers off
	Idle     Condition = "idle"     // the scanner waits for nothing and the camera does not look
	Watching Condition = "watching" // the camera looks
)

var conditions = []Condition{Armed, Placed, LiftLamp, Idle, Watching}

// Event is one line of a scenario.
type Event struct {
	Line    int // from 1; 0 where it came alone
	Verb    Verb
	Ways    []Way            // next, present
	Fingers []synth.Position // present, offer
	Pose    Pose             // pose
	Degrees float64          // pose
	Device  Device           // unplug, replug, trouble, recover
	Trouble trouble.Kind
	Text    string        // scan
	Out     [2]bool       // lamp-out: at the left and the right of the picture
	Times   int           // trouble: transfers that it touches; repeat: rounds more; 0 is without end; person: which
	For     time.Duration // wait, reaction
	Until   Condition     // wait
}

// Scenario is a script: events in order.
type Scenario struct {
	Name   string
	Events []Event
}

// The bounds of a script, so that no input takes memory without end.
const (
	maxScript = 1 << 20
	maxEvents = 10000
	maxWait   = time.Hour
)

// Parse reads a scenario: one event a line, "#" begins a comment. Errors name the line.
func Parse(name, text string) (Scenario, error) {
	if len(text) > maxScript {
		return Scenario{}, fmt.Errorf("reading scenario %s: longer than %d bytes", name, maxScript)
	}
	s := Scenario{Name: name}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		e, err := parseEvent(line)
		if err != nil {
			return Scenario{}, fmt.Errorf("reading scenario %s, line %d: %w", name, n, err)
		}
		if len(s.Events) > 0 && s.Events[len(s.Events)-1].Verb == VerbRepeat {
			return Scenario{}, fmt.Errorf("reading scenario %s, line %d: nothing can follow repeat (hint: make repeat the last line)", name, n)
		}
		if len(s.Events) >= maxEvents {
			return Scenario{}, fmt.Errorf("reading scenario %s, line %d: more than %d events", name, n, maxEvents)
		}
		e.Line = n
		s.Events = append(s.Events, e)
	}
	if err := s.endless(); err != nil {
		return Scenario{}, fmt.Errorf("reading scenario %s: %w", name, err)
	}
	return s, nil
}

// endless refuses a script that would repeat without ever waiting.
func (s Scenario) endless() error {
	if len(s.Events) == 0 || s.Events[len(s.Events)-1].Verb != VerbRepeat {
		return nil
	}
	if !slices.ContainsFunc(s.Events, func(e Event) bool { return e.Verb == VerbWait && (e.For > 0 || e.Until != "") }) {
		return errors.New("it repeats and never waits (hint: add a wait)")
	}
	return nil
}

// ParseEvent reads one event.
func ParseEvent(line string) (Event, error) {
	line, _, _ = strings.Cut(line, "#")
	if strings.TrimSpace(line) == "" || strings.ContainsAny(line, "\n\r") {
		return Event{}, errors.New("reading an event: it must be one line (hint: docs/scenarios.md lists the events)")
	}
	e, err := parseEvent(line)
	if err != nil {
		return Event{}, fmt.Errorf("reading an event: %w", err)
	}
	if e.Verb == VerbRepeat {
		return Event{}, errors.New("reading an event: repeat has a meaning in scenarios only")
	}
	return e, nil
}

// parseEvent reads a line that is not blank.
func parseEvent(line string) (Event, error) {
	words := strings.Fields(line)
	verb, rest := words[0], words[1:]
	if _, ok := ways[verb]; ok {
		return parseNext(words)
	}
	if _, ok := poses[Pose(verb)]; ok {
		return parsePose(Pose(verb), rest)
	}
	if k, err := trouble.Parse(verb); err == nil {
		return parseTrouble(k, rest)
	}
	switch Verb(verb) {
	case VerbPresent:
		return parsePresent(rest)
	case VerbOffer:
		return parseOffer(rest)
	case VerbLift, VerbMove, VerbLeave, VerbNextPerson, VerbByHand, VerbByItself, VerbSign, VerbLampOn:
		return Event{Verb: Verb(verb)}, nothingAfter(verb, rest)
	case VerbUnplug, VerbReplug, VerbRecover:
		d, rest, err := parseDevice(verb, rest)
		if err != nil {
			return Event{}, err
		}
		return Event{Verb: Verb(verb), Device: d}, nothingAfter(verb, rest)
	case VerbLampOut:
		return parseLamp(rest)
	case VerbScan:
		return parseScan(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), verb)))
	case VerbPerson:
		if len(rest) != 1 {
			return Event{}, fmt.Errorf("%s wants a number (hint: person 2)", verb)
		}
		n, err := parseCount(rest[0])
		return Event{Verb: VerbPerson, Times: n}, err
	case VerbReaction:
		if len(rest) != 1 {
			return Event{}, fmt.Errorf("%s wants one time (hint: reaction 300ms)", verb)
		}
		d, err := parseTime(rest[0])
		return Event{Verb: VerbReaction, For: d}, err
	case VerbWait:
		return parseWait(rest)
	case VerbRepeat:
		return parseRepeat(rest)
	}
	return Event{}, fmt.Errorf("%q is no event (hint: docs/scenarios.md lists the events)", verb)
}

func nothingAfter(verb string, rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("%q follows %s, which takes nothing more", rest[0], verb)
	}
	return nil
}

func parseNext(words []string) (Event, error) {
	e := Event{Verb: VerbNext}
	for _, word := range words {
		way, ok := ways[word]
		if !ok {
			return Event{}, fmt.Errorf("%q is no way to present fingers (hint: one event a line)", word)
		}
		e.Ways = append(e.Ways, way)
	}
	return e, nil
}

func parsePresent(words []string) (Event, error) {
	e := Event{Verb: VerbPresent}
	for _, word := range words {
		if way, ok := ways[word]; ok {
			e.Ways = append(e.Ways, way)
			continue
		}
		p, err := synth.ParsePosition(word)
		if err != nil {
			return Event{}, err
		}
		if slices.Contains(e.Fingers, p) {
			return Event{}, fmt.Errorf("%s is named twice", p)
		}
		e.Fingers = append(e.Fingers, p)
	}
	if len(e.Fingers) == 0 {
		return Event{}, errors.New("present names no finger (hint: present right-index left-index)")
	}
	return e, nil
}

func parseOffer(words []string) (Event, error) {
	if len(words) != 1 {
		return Event{}, errors.New("offer wants one finger (hint: offer left-thumb)")
	}
	p, err := synth.ParsePosition(words[0])
	return Event{Verb: VerbOffer, Fingers: []synth.Position{p}}, err
}

func parsePose(pose Pose, rest []string) (Event, error) {
	e := Event{Verb: VerbPose, Pose: pose, Degrees: poses[pose]}
	if math.IsNaN(e.Degrees) {
		e.Degrees = 0
		return e, nothingAfter(string(pose), rest)
	}
	if len(rest) > 1 {
		return Event{}, nothingAfter(string(pose)+" "+rest[0], rest[1:])
	}
	if len(rest) == 1 {
		d, err := strconv.ParseFloat(rest[0], 64)
		if err != nil || !(d >= -60 && d <= 60) {
			return Event{}, fmt.Errorf("%s wants degrees from -60 to 60, not %q", pose, rest[0])
		}
		e.Degrees = d
	}
	return e, nil
}

// parseLamp reads which lamp goes out: left or right, both where it is not said.
func parseLamp(words []string) (Event, error) {
	e := Event{Verb: VerbLampOut, Out: [2]bool{true, true}}
	if len(words) == 0 {
		return e, nil
	}
	side := slices.Index([]string{"left", "right"}, words[0])
	if side < 0 {
		return Event{}, fmt.Errorf("%s wants left or right, not %q", VerbLampOut, words[0])
	}
	e.Out[1-side] = false
	return e, nothingAfter(words[0], words[1:])
}

func parseDevice(verb string, rest []string) (Device, []string, error) {
	if len(rest) > 0 && slices.Contains([]Device{Scanner, Camera, Reader, Pad}, Device(rest[0])) {
		return Device(rest[0]), rest[1:], nil
	}
	return "", nil, fmt.Errorf("%s wants a device (hint: %s scanner, camera, reader or pad)", verb, verb)
}

func parseTrouble(k trouble.Kind, rest []string) (Event, error) {
	d, rest, err := parseDevice(string(k), rest)
	if err != nil {
		return Event{}, err
	}
	e := Event{Verb: VerbTrouble, Trouble: k, Device: d}
	if len(rest) == 0 {
		return e, nil
	}
	e.Times, err = parseCount(rest[0])
	if err != nil {
		return Event{}, err
	}
	return e, nothingAfter(rest[0], rest[1:])
}

// parseScan reads what is shown: one word, or a text in double quotes with the escapes of Go, \n for the line ends of a document.
func parseScan(text string) (Event, error) {
	if strings.HasPrefix(text, `"`) {
		plain, err := strconv.Unquote(text)
		if err != nil {
			return Event{}, errors.New("scan wants a text whose quotes end (hint: scan \"one line\\nanother\")")
		}
		text = plain
	} else if len(strings.Fields(text)) != 1 {
		return Event{}, errors.New("scan wants one word, or a text in quotes (hint: scan K7Q2M9X4TB)")
	}
	return Event{Verb: VerbScan, Text: text}, nil
}

func parseWait(rest []string) (Event, error) {
	if len(rest) != 1 {
		return Event{}, errors.New("wait wants a time or a condition (hint: wait 2s, or wait armed)")
	}
	if c := Condition(rest[0]); slices.Contains(conditions, c) {
		return Event{Verb: VerbWait, Until: c}, nil
	}
	d, err := parseTime(rest[0])
	if err != nil {
		return Event{}, fmt.Errorf("%w, or one of %v", err, conditions)
	}
	return Event{Verb: VerbWait, For: d}, nil
}

func parseTime(word string) (time.Duration, error) {
	d, err := time.ParseDuration(word)
	if err != nil || d < 0 || d > maxWait {
		return 0, fmt.Errorf("%q is no time up to %v (hint: 300ms, 2s, 1m)", word, maxWait)
	}
	return d, nil
}

func parseRepeat(rest []string) (Event, error) {
	e := Event{Verb: VerbRepeat}
	if len(rest) == 0 {
		return e, nil
	}
	n, err := parseCount(rest[0])
	if err != nil {
		return Event{}, err
	}
	e.Times = n
	return e, nothingAfter("repeat "+rest[0], rest[1:])
}

func parseCount(word string) (int, error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > 1e6 {
		return 0, fmt.Errorf("%q is no number from 1 to 1000000", word)
	}
	return n, nil
}
