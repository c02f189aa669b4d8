// Package uitest has one sample of every screen, for tests of the screens and for `make screens`.
//
// The one idea: a screen that is not among the samples is not tested, so the tests compare this list with what
// [ui.Describe] can give.
package uitest

import (
	"fmt"
	"slices"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/plan"
	"loket/kiosk/session"
	"loket/ui"
)

// Sample is one situation that a screen is drawn for.
type Sample struct {
	Name   string // the page's id, with what is special about it behind a point
	Status *api.Status
	Local  ui.Local
}

// Now is the moment of all samples.
func Now() time.Time { return time.Date(2026, 3, 2, 10, 30, 0, 0, time.UTC) }

// View gives the sample in a language.
func (s Sample) View(words *ui.Words, language string, size int, high bool) ui.View {
	l := s.Local
	l.Choice = ui.Choice{Language: language, Size: size, High: high}
	return ui.View{Status: s.Status, Local: l, Now: Now(), Words: words}
}

// Samples lists every screen.
func Samples() ([]Sample, error) {
	p, err := newPlan(30)
	if err != nil {
		return nil, err
	}
	young, err := newPlan(4)
	if err != nil {
		return nil, err
	}
	m := maker{plan: p}
	m.idle()
	m.begin(young)
	m.capture()
	m.end()
	m.trouble()
	return m.list, nil
}

// newPlan makes the plan of somebody of that age who owes everything.
func newPlan(age int) (plan.Plan, error) {
	policy, err := plan.LoadPolicy("nl-residence-permit-self-service")
	if err != nil {
		return plan.Plan{}, err
	}
	return plan.Make(policy, plan.Subject{BirthDate: Now().AddDate(-age, 0, 0), OnFile: []plan.OnFile{}}, Now())
}

type maker struct {
	plan plan.Plan
	list []Sample
}

func (m *maker) add(name string, st *api.Status, l ui.Local) {
	if l.Touched.IsZero() {
		l.Touched = Now()
	}
	m.list = append(m.list, Sample{Name: name, Status: st, Local: l})
}

func status() *api.Status {
	return &api.Status{Sequence: 1, Station: "kiosk-01", Centre: "centre", Demo: true, Ready: true, QueueLink: true}
}

func (m *maker) idle() {
	m.add("attract", status(), ui.Local{})
	m.add("languages", status(), ui.Local{Page: "languages"})
	m.add("help", status(), ui.Local{Page: "help"})
	m.add("code", status(), ui.Local{Page: "code", Code: "7KQ2"})
	m.add("code.complete", status(), ui.Local{Page: "code", Code: "7KQ2M9TX4B"})
	m.add("code.wrong", status(), ui.Local{Page: "code", Code: "7KQ2M9TX4B", Refused: "queue-refused"})
	m.add("code.unreachable", status(), ui.Local{Page: "code", Code: "7KQ2M9TX4B", Refused: "queue-unreachable"})
	m.add("code.sending", status(), ui.Local{Page: "code", Code: "7KQ2M9TX4B", Sending: true})
	m.add("offline", nil, ui.Local{})
	busy := status()
	busy.Ready = false
	m.add("busy", busy, ui.Local{})
}

// session is a status with a session in a state.
func (m *maker) session(state session.State, change func(*api.Status, *session.Session)) (*api.Status, ui.Local) {
	st := status()
	st.Ready, st.Number = false, "A012"
	s := session.Session{ID: "se_sample", Ticket: "tk_sample", Attempt: 1, Plan: m.plan, State: state, Entry: 2, Since: Now(), Ledger: m.plan.Ledger}
	if change != nil {
		change(st, &s)
	}
	st.Session = &s
	return st, ui.Local{Session: s.ID, State: state, Entry: s.Entry}
}

func (m *maker) in(name string, state session.State, change func(*api.Status, *session.Session)) {
	st, l := m.session(state, change)
	m.add(name, st, l)
}

func (m *maker) begin(young plan.Plan) {
	m.in("called", session.Called, nil)
	confirm := func(st *api.Status, _ *session.Session) {
		st.Confirm = &api.Confirm{Initials: "A. M.", Birthday: "02-29"}
	}
	m.in("confirm", session.Confirming, confirm)
	st, l := m.session(session.Confirming, confirm)
	l.Page = "today"
	m.add("today", st, l)
	st, l = m.session(session.Confirming, func(_ *api.Status, s *session.Session) { s.Plan, s.Ledger = young, young.Ledger })
	l.Page = "today"
	m.add("today.child", st, l)
	m.in("warning", session.Confirming, func(st *api.Status, _ *session.Session) {
		end := Now().Add(23 * time.Second)
		st.Deadline = &end
	})
}

// step gives the index of the first step of a modality.
func (m *maker) step(x biometric.Modality) int {
	for i, s := range m.plan.Steps {
		if s.Modality == x {
			return i
		}
	}
	return 0
}

func (m *maker) guided(x biometric.Modality, h biometric.Hint, fingers int) func(*api.Status, *session.Session) {
	return func(st *api.Status, s *session.Session) {
		s.Step = m.step(x)
		if x == biometric.Finger {
			m.captured(s)
		}
		st.Guidance = &api.Guidance{Step: m.plan.Steps[s.Step].ID, Hint: h, Fingers: fingers, Attempt: 1}
	}
}

// captured gives a session a face.
func (m *maker) captured(s *session.Session) {
	face := m.plan.Steps[m.step(biometric.Face)]
	s.Outcomes = append(s.Outcomes, biometric.Outcome{Step: face.ID, Modality: biometric.Face})
}

func (m *maker) capture() {
	m.in("face", session.Capturing, m.guided(biometric.Face, biometric.HintNone, 0))
	for _, h := range []biometric.Hint{biometric.HintComeCloser, biometric.HintSeveralFaces, biometric.HintTooDark, biometric.HintPresentationOK} {
		m.in("face."+string(h), session.Capturing, m.guided(biometric.Face, h, 0))
	}
	m.in("fingers", session.Capturing, m.guided(biometric.Finger, biometric.HintPlace, 0))
	for _, h := range []biometric.Hint{biometric.HintHoldStill, biometric.HintLiftNow, biometric.HintTooDry, biometric.HintWrongHand, biometric.HintUpsideDown} {
		m.in("fingers."+string(h), session.Capturing, m.guided(biometric.Finger, h, 2))
	}
	m.in("fingers.missing", session.Capturing, func(st *api.Status, s *session.Session) {
		four := plan.Step{ID: "right-four", Modality: biometric.Finger, Want: biometric.RightFour.Parts()}
		m.captured(s)
		s.Plan.Steps = append(slices.Clone(s.Plan.Steps[:1]), four)
		s.Step = 1
		st.Guidance = &api.Guidance{Step: four.ID, Hint: biometric.HintFingerMissing, Fingers: 3, Wanted: four.Want, Which: []biometric.FingerPosition{biometric.RightRing}, Attempt: 1}
	})
	signing := func(pad bool) func(*api.Status, *session.Session) {
		return func(st *api.Status, s *session.Session) {
			s.Plan.Steps = []plan.Step{{ID: "signature", Modality: biometric.Signature}}
			st.Guidance = &api.Guidance{Step: "signature", Attempt: 1, Pad: pad}
		}
	}
	m.in("signature", session.Capturing, signing(false))
	m.in("signature.pad", session.Capturing, signing(true))
	st, l := m.session(session.Capturing, m.guided(biometric.Face, biometric.HintNone, 0))
	l.Page = "stop"
	m.add("stop", st, l)
	m.in("review", session.Reviewing, func(_ *api.Status, s *session.Session) { m.fingers(s); s.FollowUp = false })
	m.in("review.exceptions", session.Reviewing, func(_ *api.Status, s *session.Session) {
		m.fingers(s)
		s.FollowUp = true
		s.Ledger[biometric.LeftIndex-1] = biometric.Entry{Position: biometric.LeftIndex, Reason: biometric.Missing, Permanent: true}
		s.Ledger[biometric.LeftMiddle-1] = biometric.Entry{Position: biometric.LeftMiddle, Reason: biometric.Bandaged}
		s.Ledger[biometric.LeftThumb-1] = biometric.Entry{Position: biometric.LeftThumb, Reason: biometric.OnFile}
	})
	m.in("verifying", session.Verifying, nil)
	m.in("sealing", session.Sealing, nil)
}

func (m *maker) fingers(s *session.Session) {
	m.captured(s)
	step := m.plan.Steps[m.step(biometric.Finger)]
	s.Outcomes = append(s.Outcomes, biometric.Outcome{Step: step.ID, Modality: biometric.Finger, Captured: step.Want})
	for _, f := range step.Want {
		s.Ledger[f-1] = biometric.Entry{Position: f, Reason: biometric.Captured}
	}
}

func (m *maker) end() {
	for _, end := range []session.End{session.Completed, session.Declined, session.Abandoned, session.NoShow, session.HandedOver, session.Cancelled} {
		st := status()
		st.LastEnd = &api.End{Session: "se_sample", Ticket: "tk_sample", End: string(end), At: Now()}
		name := string(end)
		if end == session.Completed {
			name = "done"
		}
		m.add(name, st, ui.Local{Session: "se_sample", Over: Now()})
	}
	m.add("lost", status(), ui.Local{Session: "se_sample", Over: Now()})
}

func (m *maker) trouble() {
	m.in("assistance", session.Assistance, nil)
	for _, v := range []string{"unplugged", "off", "hung", "crashed", "held", "unfit"} {
		m.in("fault-"+v, session.Assistance, func(_ *api.Status, s *session.Session) { s.Verdict = v })
		st := status()
		st.Ready, st.Problems = false, []api.Problem{{Code: "device-" + v, Text: "a device is missing", Hint: "see to it"}}
		m.add(fmt.Sprintf("fault-%s.idle", v), st, ui.Local{})
	}
	st := status()
	st.Ready, st.Problems = false, []api.Problem{{Code: "locked", Text: "staff have locked this station", Hint: "staff unlock it"}}
	m.add("closed", st, ui.Local{})
}

// Recorder is a [ui.Speaker] that remembers what it was asked to say.
type Recorder struct {
	Said   []string
	Tones  []ui.Tone
	Hushed int
}

// Say remembers a text.
func (r *Recorder) Say(_, text string) { r.Said = append(r.Said, text) }

// Hush counts.
func (r *Recorder) Hush() { r.Hushed++ }

// Sound remembers a tone.
func (r *Recorder) Sound(t ui.Tone) { r.Tones = append(r.Tones, t) }

// Last is what was said last.
func (r *Recorder) Last() string {
	if len(r.Said) == 0 {
		return ""
	}
	return r.Said[len(r.Said)-1]
}
