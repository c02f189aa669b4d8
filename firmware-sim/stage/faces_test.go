package stage_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/face"
	"loket/kiosk/plan"
	"loket/kiosk/record"
	"loket/kiosk/session"
)

// longer than a view must be good for, so that a photograph which nothing holds back is taken meanwhile.
const longer = time.Second

// beforeTheCamera is a scenario in which one thing is wrong with what it sees, what the person is told meanwhile, and the criterion
// that the photograph would miss.
type beforeTheCamera struct {
	scenario  string
	hint      biometric.Hint
	criterion string
}

func TestAPersonIsToldWhatTheCameraMissesAndIsPhotographedWhenItIsMended(t *testing.T) {
	t.Parallel()
	if _, err := face.Open(face.Cascades); errors.Is(err, face.ErrNoCascades) {
		t.Skip("OpenCV's cascades are not here (hint: apt-get install opencv-data)")
	}
	ctx, c := prepared(t, stage.Options{Sim: []string{"--stepped", "--reaction", "0s"}})
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	for _, b := range []beforeTheCamera{
		{"turned-head", biometric.HintLookStraight, face.Yaw},
		{"eyes-shut", biometric.HintOpenEyes, face.EyesOpen},
		{"tilted-head", biometric.HintHeadUpright, face.Roll},
		{"mouth-open", biometric.HintCloseMouth, face.MouthClosed},
		{"too-far", biometric.HintComeCloser, face.EyeDistance},
		{"too-close", biometric.HintStepBack, face.HeadHeight},
		{"off-centre", biometric.HintMiddle, face.Horizontal},
		{"dark", biometric.HintTooDark, face.Exposure},
		{"bright", biometric.HintTooBright, face.Exposure},
		{"blurred", biometric.HintOutOfFocus, face.Focus},
		{"two-people", biometric.HintSeveralFaces, face.Faces},
		{"nobody", biometric.HintNoFace, face.Faces},
	} {
		t.Run(b.scenario, func(t *testing.T) { b.try(ctx, t, c) })
	}
}

// try has somebody come for a photograph who plays the scenario. The simulated time stands still while it lasts.
func (b beforeTheCamera) try(ctx context.Context, t *testing.T, c *stage.Centre) {
	issued, err := c.Book(ctx, stage.Booking{Reference: c.NextReference(), Asked: []biometric.Modality{biometric.Face}})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, c, "a kiosk that is free", func(st api.Status) bool { return st.Ready })
	b.pose(ctx, t, c)
	if _, err := c.Kiosk.Do(ctx, api.Command{Start: &api.Start{Code: string(issued.Code)}}); err != nil {
		t.Fatal(err)
	}
	id := sessionOf(ctx, t, c.Kiosk, issued)
	t.Cleanup(func() { // where it failed, for the next
		cancel := staffSay(session.Cancel)
		_, _ = c.Kiosk.Do(context.WithoutCancel(ctx), api.Command{Event: &cancel, Session: id})
	})
	began := time.Now()
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Confirmed, By: session.Screen})
	told := b.hinted(ctx, t, c, began)
	waitFor(ctx, t, c, "the photograph", func(st api.Status) bool {
		if err := c.Step(ctx, 2*time.Second); err != nil {
			t.Fatal(err)
		}
		return in(st, session.Reviewing)
	})
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Approved, By: session.Screen})
	m := completed(ctx, t, c, issued)
	if last := m.Attempts[len(m.Attempts)-1]; told {
		b.judged(t, m)
	} else if last.Result != biometric.Accepted {
		t.Errorf("the attempts were %+v", m.Attempts)
	}
}

// pose plays the scenario as far as to where it waits for the camera.
func (b beforeTheCamera) pose(ctx context.Context, t *testing.T, c *stage.Centre) {
	if err := c.Play(ctx, b.scenario); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, c, "the pose", func(api.Status) bool {
		line, err := c.Line(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return line == waitsAt
	})
}

// waitsAt is the line at which each of the scenarios waits for the camera, after what it says and a pose.
const waitsAt = 3

// hinted waits until the person has been told for a while, all that time without a photograph. On a machine that is so slow that the
// policy waits no longer, it reports false: a photograph is right then.
func (b beforeTheCamera) hinted(ctx context.Context, t *testing.T, c *stage.Centre, began time.Time) (told bool) {
	var since time.Time
	waitFor(ctx, t, c, "the hint", func(st api.Status) bool {
		g := st.Guidance
		if g != nil && g.Attempt > 1 || !in(st, session.Capturing) {
			if waited := time.Since(began); waited < b.wait(t) {
				t.Fatalf("a photograph was taken after %v: %+v", waited, g)
			}
			if since.IsZero() {
				t.Errorf("the person was never told %q", b.hint)
			}
			t.Logf("the policy's wait was over before the person was told for %v", longer)
			return true
		}
		if since.IsZero() && g != nil && g.Hint == b.hint {
			since = time.Now()
		}
		told = !since.IsZero() && time.Since(since) >= longer
		return told
	})
	return told
}

// wait is how long the policy waits for the criterion at least.
func (b beforeTheCamera) wait(t *testing.T) time.Duration {
	p, err := plan.LoadPolicy(stage.DeskPolicy) // the kiosk's, too
	if err != nil {
		t.Fatal(err)
	}
	for _, criterion := range p.Face.Criteria {
		if criterion.Name == b.criterion && !criterion.Mandatory {
			return time.Duration(p.Face.Wait.OptionalSeconds) * time.Second
		}
	}
	return time.Duration(p.Face.Wait.MandatorySeconds) * time.Second
}

// judged makes sure that the record holds one photograph, which no longer misses the criterion.
func (b beforeTheCamera) judged(t *testing.T, m record.Manifest) {
	if len(m.Attempts) != 1 || m.Attempts[0].Result != biometric.Accepted {
		t.Fatalf("the attempts were %+v", m.Attempts)
	}
	var owed plan.Plan
	if err := json.Unmarshal(m.Plan, &owed); err != nil {
		t.Fatal(err)
	}
	for _, step := range owed.Steps {
		for _, criterion := range step.Criteria {
			if v, ok := m.Attempts[0].Qualities[0].Quality.Measures[criterion.Name]; criterion.Name == b.criterion && (!ok || !criterion.Holds(v)) {
				t.Errorf("%s is %.3f in the record (%s)", criterion.Name, v, criterion.Limits())
			}
		}
	}
}
