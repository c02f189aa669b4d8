package subject

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"loket/firmware-sim/synth"
	"loket/firmware-sim/trouble"
)

func TestEveryEventIsRead(t *testing.T) {
	for line, want := range map[string]Event{
		"dry":                            {Verb: VerbNext, Ways: []Way{Dry}},
		"wet upside-down # both at once": {Verb: VerbNext, Ways: []Way{Wet, UpsideDown}},
		"three-of-four":                  {Verb: VerbNext, Ways: []Way{OneLess}},
		"present right-index left-index": {Verb: VerbPresent, Fingers: []synth.Position{2, 7}},
		"present right-thumb pad-alarm":  {Verb: VerbPresent, Fingers: []synth.Position{1}, Ways: []Way{PADAlarm}},
		"offer left-thumb":               {Verb: VerbOffer, Fingers: []synth.Position{6}},
		"lift":                           {Verb: VerbLift},
		"move":                           {Verb: VerbMove},
		"look":                           {Verb: VerbPose, Pose: Look},
		"turn":                           {Verb: VerbPose, Pose: Turn, Degrees: 20},
		"turn -12.5":                     {Verb: VerbPose, Pose: Turn, Degrees: -12.5},
		"leave":                          {Verb: VerbLeave},
		"next-person":                    {Verb: VerbNextPerson},
		"unplug scanner":                 {Verb: VerbUnplug, Device: Scanner},
		"lamp-out":                       {Verb: VerbLampOut, Out: [2]bool{true, true}},
		"lamp-out left":                  {Verb: VerbLampOut, Out: [2]bool{true, false}},
		"lamp-out right":                 {Verb: VerbLampOut, Out: [2]bool{false, true}},
		"lamp-on":                        {Verb: VerbLampOn},
		"replug camera":                  {Verb: VerbReplug, Device: Camera},
		"hang scanner":                   {Verb: VerbTrouble, Trouble: trouble.Hang, Device: Scanner},
		"stall camera 3":                 {Verb: VerbTrouble, Trouble: trouble.Stall, Device: Camera, Times: 3},
		"recover scanner":                {Verb: VerbRecover, Device: Scanner},
		"reaction 0s":                    {Verb: VerbReaction},
		"unplug reader":                  {Verb: VerbUnplug, Device: Reader},
		"scan K7Q2M9X4TB # a ticket":     {Verb: VerbScan, Text: "K7Q2M9X4TB"},
		`scan  "two  words\nand more"`:   {Verb: VerbScan, Text: "two  words\nand more"},
		"wait 1m":                        {Verb: VerbWait, For: time.Minute},
		"wait armed":                     {Verb: VerbWait, Until: Armed},
	} {
		got, err := ParseEvent(line)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
}

func TestABadLineIsNamed(t *testing.T) {
	for _, line := range []string{"jump", "dry lift", "present", "present nose", "offer", "offer nose", "offer left-thumb left-index", "present right-index right-index", "lift now",
		"look 3", "lamp-out up", "lamp-out left right", "lamp-on left", "turn far", "turn 400", "turn NaN", "turn 1 2", "unplug", "unplug printer", "hang", "hang scanner 0", "scan", "scan a b", `scan "a`, `scan "a" b`, "hang scanner 1 2",
		"recover", "reaction", "reaction -1s", "wait", "wait long", "wait 2h", "wait 1s 2s", "repeat 0", "repeat many"} {
		_, err := Parse("test", "lift\n\n# nothing\n"+line+"\n")
		if err == nil || !strings.Contains(err.Error(), "test, line 4:") {
			t.Errorf("%q: %v", line, err)
		}
	}
	for name, text := range map[string]string{
		"after repeat": "wait 1s\nrepeat\nlift\n",
		"never waits":  "lift\nrepeat\n",
		"too long":     strings.Repeat("#", maxScript+1),
		"too many":     strings.Repeat("lift\n", maxEvents+1),
	} {
		if _, err := Parse("test", text); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	if _, err := ParseEvent("repeat"); err == nil {
		t.Error("repeat is no event of its own")
	}
}

func TestEveryScenarioThatComesAlongIsRead(t *testing.T) {
	files, _ := filepath.Glob("../scenarios/*.txt")
	if len(files) < 10 {
		t.Fatalf("only %d scenarios", len(files))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sc, err := Parse(filepath.Base(file), string(text))
		if err != nil || len(sc.Events) == 0 {
			t.Errorf("%s: %d events, %v", file, len(sc.Events), err)
		}
		if !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s does not begin by saying what happens", file)
		}
	}
}

func TestTheDocumentNamesEveryWord(t *testing.T) {
	doc, err := os.ReadFile("../../docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for w := range ways {
		words = append(words, w)
	}
	for p := range poses {
		words = append(words, string(p))
	}
	for _, c := range conditions {
		words = append(words, string(c))
	}
	for _, k := range trouble.Kinds() {
		words = append(words, string(k))
	}
	for _, v := range []Verb{VerbPresent, VerbOffer, VerbLift, VerbMove, VerbLeave, VerbNextPerson, VerbUnplug, VerbReplug, VerbRecover,
		VerbReaction, VerbWait, VerbRepeat} {
		words = append(words, string(v))
	}
	for _, w := range words {
		if !strings.Contains(string(doc), "`"+w) {
			t.Errorf("docs/scenarios.md does not name %q", w)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("dry\npresent right-index\nwait 1s\nrepeat 3\n")
	f.Add("turn -10 # aside\nhang scanner 5\nwait armed\nunplug camera")
	f.Fuzz(func(t *testing.T, text string) {
		sc, err := Parse("fuzz", text)
		if err != nil {
			return
		}
		for _, e := range sc.Events {
			if e.Verb == "" || e.Line < 1 || e.For < 0 || e.Degrees != e.Degrees {
				t.Errorf("%+v", e)
			}
		}
	})
}
