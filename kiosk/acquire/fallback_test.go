package acquire

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/plan"
)

func TestAnotherFingerStandsInForOneThatIsNeverGood(t *testing.T) {
	one := func(score int) shown { return shown{scores: []int{score}, seen: 1, pad: biometric.PADPassed} }
	thrice := func(s shown) []shown { return []shown{s, s, s} }
	rightBad := thrice(index(60, 12)) // the left index finger lies to the left
	rightIndex, leftIndex := biometric.RightIndex, biometric.LeftIndex
	thumb, middle, ring := biometric.RightThumb, biometric.RightMiddle, biometric.RightRing
	reject := func(s *plan.Step) { s.Rules.AtLimit = plan.RejectBest }
	for _, c := range []struct {
		name   string
		change func(*plan.Step)
		shows  [][]shown
		status biometric.Result
		held   []biometric.FingerPosition
		gone   []biometric.FingerPosition
		forced bool
	}{
		{"the thumb", nil, [][]shown{rightBad, {one(40)}}, biometric.Accepted,
			[]biometric.FingerPosition{thumb, leftIndex}, []biometric.FingerPosition{rightIndex}, false},
		{"the middle finger, whose threshold is lower", nil, [][]shown{rightBad, thrice(one(25)), {one(25)}}, biometric.Accepted,
			[]biometric.FingerPosition{middle, leftIndex}, []biometric.FingerPosition{rightIndex, thumb}, false},
		{"the ring finger", nil, [][]shown{rightBad, thrice(one(20)), thrice(one(15)), {one(11)}}, biometric.Accepted,
			[]biometric.FingerPosition{ring, leftIndex}, []biometric.FingerPosition{rightIndex, thumb, middle}, false},
		{"none: the highest value", nil, [][]shown{rightBad, thrice(one(9)), thrice(one(19)), thrice(one(8))}, biometric.Accepted,
			[]biometric.FingerPosition{middle, leftIndex}, []biometric.FingerPosition{rightIndex, thumb}, true},
		{"none, and equal values: the index finger", nil, [][]shown{thrice(index(60, 9)), thrice(one(9)), thrice(one(9)), thrice(one(9))}, biometric.Accepted,
			[]biometric.FingerPosition{rightIndex, leftIndex}, nil, true},
		{"none, and the thumb equals the middle finger", nil, [][]shown{thrice(index(60, 8)), thrice(one(9)), thrice(one(9)), thrice(one(9))}, biometric.Accepted,
			[]biometric.FingerPosition{thumb, leftIndex}, []biometric.FingerPosition{rightIndex}, true},
		{"both hands", nil, [][]shown{thrice(index(5, 5)), {one(40)}, {one(50)}}, biometric.Accepted,
			[]biometric.FingerPosition{thumb, biometric.LeftThumb}, []biometric.FingerPosition{rightIndex, leftIndex}, false},
		{"where the best is not kept, one that suffices is", reject, [][]shown{rightBad, {one(40)}}, biometric.Accepted,
			[]biometric.FingerPosition{thumb, leftIndex}, []biometric.FingerPosition{rightIndex}, false},
		{"where the best is not kept and none suffices", reject, [][]shown{rightBad, thrice(one(3)), thrice(one(3)), thrice(one(3))}, biometric.Rejected,
			[]biometric.FingerPosition{leftIndex}, nil, false},
		{"a finger that was never shown is for staff to except", nil, [][]shown{thrice(retrying(biometric.HintFingerMissing, 1))}, biometric.Rejected, nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := step(t, "nl-residence-permit", "fingers")
			if c.change != nil {
				c.change(&st)
			}
			var shows []shown
			for _, s := range c.shows {
				shows = append(shows, s...)
			}
			s := &scanner{shows: shows}
			r, err := run(t, st, s)
			if err != nil || r.Status != c.status || fmt.Sprint(r.Outcome.Captured) != fmt.Sprint(c.held) || fmt.Sprint(r.Outcome.GivenUp) != fmt.Sprint(c.gone) ||
				r.Outcome.Forced != c.forced || s.calls != len(shows) {
				t.Errorf("%s %v, given up %v, forced %v, %d of %d shown, %v", r.Status, r.Outcome.Captured, r.Outcome.GivenUp, r.Outcome.Forced, s.calls, len(shows), err)
			}
		})
	}
}

func TestTheGlassAsksForTheFingerThatStandsIn(t *testing.T) {
	one := shown{scores: []int{40}, seen: 1, pad: biometric.PADPassed}
	bad := index(60, 12)
	var asked []string
	_, err := (&Acquirer{Finger: &reader{}}).Capture(t.Context(), step(t, "nl-residence-permit", "fingers"), &scanner{shows: []shown{bad, bad, bad, one}}, func(p Progress) {
		if now := fmt.Sprint(p.Wanted); len(asked) == 0 || asked[len(asked)-1] != now {
			asked = append(asked, now)
		}
	})
	if want := []string{"[right-index left-index]", "[right-thumb]"}; err != nil || !slices.Equal(asked, want) {
		t.Errorf("asked were %v, %v", asked, err)
	}
}

func TestAnAttendantMayAcceptTheBestSoFar(t *testing.T) {
	for _, c := range []struct {
		name  string
		shows []shown
		held  [2]int
	}{
		{"after two attempts", []shown{index(10, 20), index(15, 5), {hold: true}}, [2]int{20, 15}},
		{"before anything was shown", []shown{{hold: true}}, [2]int{-1, -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, end := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Minute, func() { end(ErrKeep) })
				s, analyser := &scanner{shows: c.shows}, &reader{}
				r, err := (&Acquirer{Finger: analyser}).Capture(ctx, supervised(t), s, nil)
				if err != nil || r.Status != biometric.Accepted || scores(r) != c.held || r.Outcome.Forced != (len(r.Samples) > 0) {
					t.Errorf("%s %v, forced %v, %v", r.Status, scores(r), r.Outcome.Forced, err)
				}
				nothingLeft(t, s, analyser)
				tidy(t, r)
			})
		})
	}
}
