package acquire

import (
	"errors"
	"image"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"loket/drivers"
	"loket/firmware-sim/synth"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/plan"
)

// named tells fingers by the number in their second pixel; 255 can't be compared.
type named struct{ made []finger.Template }

func (n *named) Extract(img *image.Gray, ppi int) (finger.Template, error) {
	if img.Pix[1] == 255 {
		return finger.Template{}, errors.New("not compared")
	}
	t := finger.Template{Width: int(img.Pix[1]), PPI: ppi, Minutiae: []finger.Minutia{{Quality: 1}}}
	n.made = append(n.made, t)
	return t, nil
}

func (n *named) Same(a, b finger.Template) (bool, error) { return a.Width == b.Width, nil }

// fingersOf shows fingers of these numbers, left to right, all of one score.
func fingersOf(score int, numbers ...int) shown {
	s := shown{seen: len(numbers), pad: biometric.PADPassed, who: numbers}
	for range numbers {
		s.scores = append(s.scores, score)
	}
	return s
}

func hints(r Result) string {
	var all []string
	for _, a := range r.Outcome.Attempts {
		all = append(all, string(a.Hint))
	}
	return strings.Join(all, " ")
}

// In these tables finger 2 is the right index finger and 7 the left, which lies to the left.
func TestAFingerCountsInOnePlaceOnly(t *testing.T) {
	good, twice, swapped := fingersOf(50, 7, 2), fingersOf(50, 2, 2), fingersOf(50, 2, 7)
	for _, c := range []struct {
		name   string
		step   func(testing.TB) plan.Step
		at     int
		former []Print
		shows  []shown
		status biometric.Result
		held   [2]int
		hints  string
	}{
		{"with an attendant the attempt counts", supervised, 0, nil, []shown{twice, good}, biometric.Accepted, [2]int{50, 50}, "same-finger "},
		{"thrice leaves nothing", supervised, 0, nil, []shown{twice}, biometric.Rejected, [2]int{-1, -1}, "same-finger same-finger same-finger"},
		{"the best before it stays", supervised, 0, nil, []shown{fingersOf(20, 7, 2), twice}, biometric.Accepted, [2]int{20, 20}, "too-dry same-finger same-finger"},
		{"by oneself it begins anew", selfService, 0, nil, []shown{twice, good}, biometric.Accepted, [2]int{50, 50}, "same-finger "},
		{"by oneself twice ends it", selfService, 0, nil, []shown{twice, twice, good}, biometric.Rejected, [2]int{-1, -1}, "same-finger same-finger"},
		{"one by one, the first is taken again too", selfService, 1, nil, []shown{fingersOf(40, 2), fingersOf(40, 2), fingersOf(60, 2), fingersOf(70, 7)},
			biometric.Accepted, [2]int{60, 70}, " same-finger  "},
		{"one by one, twice ends it", selfService, 1, nil, []shown{fingersOf(40, 2)}, biometric.Rejected, [2]int{-1, -1}, " same-finger  same-finger"},
		{"a finger of an earlier step", supervised, 0, []Print{{biometric.RightThumb, finger.Template{Width: 7}}}, []shown{good, fingersOf(50, 9, 2)},
			biometric.Accepted, [2]int{50, 50}, "same-finger "},
		{"the same place captured again", supervised, 0, []Print{{biometric.LeftIndex, finger.Template{Width: 7}}}, []shown{good},
			biometric.Accepted, [2]int{50, 50}, ""},
		{"swapped since the attempt before: neither counts", supervised, 0, nil, []shown{fingersOf(20, 7, 2), swapped, fingersOf(10, 7, 2)},
			biometric.Accepted, [2]int{10, 10}, "too-dry wrong-finger too-dry"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, r := &scanner{at: c.at, shows: c.shows}, Result{}
			synctest.Test(t, func(t *testing.T) {
				analyser, comparer := &reader{}, &named{}
				var err error
				r, err = (&Acquirer{Finger: analyser, Comparer: comparer, Former: c.former}).Capture(t.Context(), c.step(t), s, nil)
				if err != nil {
					t.Error(err)
				}
				nothingLeft(t, s, analyser)
				tidy(t, r)
				if slices.ContainsFunc(comparer.made, func(t finger.Template) bool { return t.Minutiae[0] != finger.Minutia{} }) {
					t.Error("a template was not overwritten")
				}
			})
			if r.Status != c.status || scores(r) != c.held || hints(r) != c.hints {
				t.Errorf("%s %v, hints %q", r.Status, scores(r), hints(r))
			}
		})
	}
}

func TestAFingerThatCannotBeComparedIsTheScannersFault(t *testing.T) {
	s := &scanner{shows: []shown{fingersOf(50, 255, 2)}}
	r, err := (&Acquirer{Finger: &reader{}, Comparer: &named{}}).Capture(t.Context(), supervised(t), s, nil)
	if r.Status != biometric.Faulted || !errors.Is(err, drivers.ErrCrashed) || len(r.Samples) != 0 {
		t.Errorf("%s, %v", r.Status, err)
	}
}

func TestWithoutARuleNothingIsCompared(t *testing.T) {
	st := supervised(t)
	st.Uniqueness = ""
	s := &scanner{shows: []shown{fingersOf(50, 255, 255)}}
	r, err := (&Acquirer{Finger: &reader{}, Comparer: &named{}}).Capture(t.Context(), st, s, nil)
	if err != nil || r.Status != biometric.Accepted {
		t.Errorf("%s, %v", r.Status, err)
	}
}

// slapImage is what a scanner gives of a synthetic hand.
func slapImage(t testing.TB, library *synth.Library, hand synth.Slap, boxed bool) drivers.Image {
	t.Helper()
	m, placed, err := library.Slap(hand)
	if err != nil {
		t.Fatal(err)
	}
	img := drivers.Image{Gray: m, PPI: synth.PPI}
	for _, p := range placed {
		if boxed {
			img.Fingers = append(img.Fingers, drivers.FingerBox{Box: p.Box})
		}
	}
	return img
}

func TestHandsThatLieWronglyAreToldByTheirImage(t *testing.T) {
	library := &synth.Library{Dir: "../../build/fingers"}
	right := []synth.Position{synth.RightIndex, synth.RightMiddle, synth.RightRing, synth.RightLittle}
	left := []synth.Position{synth.LeftIndex, synth.LeftMiddle, synth.LeftRing, synth.LeftLittle}
	indexes := []synth.Position{synth.RightIndex, synth.LeftIndex}
	for _, c := range []struct {
		name    string
		kind    biometric.FingerPosition
		fingers []synth.Position
		down    bool
		hint    biometric.Hint
		which   []biometric.FingerPosition
	}{
		{"a right hand", biometric.RightFour, right, false, biometric.HintNone, nil},
		{"the other hand", biometric.RightFour, left, false, biometric.HintWrongHand, nil},
		{"from the far side", biometric.RightFour, right, true, biometric.HintUpsideDown, nil},
		{"without the little finger", biometric.LeftFour, left[:3], false, biometric.HintFingerMissing, []biometric.FingerPosition{biometric.LeftLittle}},
		{"two index fingers", biometric.BothIndex, indexes, false, biometric.HintNone, nil},
		{"two index fingers from the far side", biometric.BothIndex, indexes, true, biometric.HintUpsideDown, nil},
	} {
		for _, way := range []plan.Slaps{"", plan.SlapsChecked, plan.SlapsSegmented} {
			t.Run(c.name+" "+string(way), func(t *testing.T) {
				hand := synth.Slap{Who: 3, Seed: 5, Touch: synth.Usual(5), Fingers: c.fingers, UpsideDown: c.down}
				run := &capture{step: plan.Step{Slaps: way}}
				parts, hint, which, err := run.parts(slapImage(t, library, hand, way == plan.SlapsChecked), c.kind.Parts())
				if err != nil || hint != c.hint || !slices.Equal(which, c.which) || (hint == biometric.HintNone) != (len(parts) == len(c.fingers)) {
					t.Errorf("%d parts, hint %q, %v, %v", len(parts), hint, which, err)
				}
			})
		}
	}
}
