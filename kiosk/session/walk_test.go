package session

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"loket/kiosk/biometric"
	"loket/kiosk/plan"
)

func states() []State {
	return []State{Called, Confirming, Capturing, Assistance, Reviewing, Verifying, Sealing, Ended}
}

func ends() []End { return []End{Completed, Declined, Abandoned, NoShow, HandedOver, Cancelled} }

func kinds() []Kind {
	return []Kind{Arrived, Recalled, Confirmed, Decline, Help, TimedOut, Extended, Cancel, Accepted, Rejected, Faulted, Resumed,
		Excepted, Moved, Approved, Recapture, Verified, Failed, Override, Sealed}
}

func actors() []Actor { return []Actor{Screen, Attendant, Device, Timer, Queue, Station} }

// everything lists every event that could come now, sensible or not.
func everything(s Session) []Event {
	var all []Event
	for _, k := range kinds() {
		for _, a := range actors() {
			all = append(all, s.by(a, k))
		}
	}
	for _, r := range Table() {
		if r.From == s.State {
			all = append(all, s.variants(s.by(r.By[0], r.On))...)
		}
	}
	late := s.by(Device, Accepted)
	late.Entry--
	return append(all, late, Event{}, Event{Kind: "unheard-of", By: Screen, At: noon()})
}

func (s Session) variants(e Event) []Event {
	var all []Event
	add := func(change func(*Event)) {
		v := e
		change(&v)
		all = append(all, v)
	}
	step, _ := s.Current()
	switch e.Kind {
	case Accepted, Rejected, Faulted, Help:
		add(func(v *Event) { v.Outcome = s.outcome(nil, biometric.PADNotAvailable) })
		add(func(v *Event) { v.Outcome = s.outcome(nil, biometric.PADAlarm) })
		add(func(v *Event) { v.Outcome = s.outcome(step.Want, biometric.PADPassed) })
		if e.Kind == Accepted && !s.Plan.Supervised {
			add(func(v *Event) { v.Outcome = s.outcome(step.Want, biometric.PADPassed); v.Outcome.Forced = true })
		}
		if len(step.Want) > 1 {
			add(func(v *Event) { v.Outcome = s.outcome(step.Want[:1], biometric.PADNotAvailable) })
		}
	case Excepted:
		for _, f := range []biometric.FingerPosition{0, biometric.RightIndex, biometric.RightThumb, biometric.LeftIndex, biometric.LeftLittle} {
			add(func(v *Event) {
				v.Exceptions = []biometric.Exception{{Position: f, Reason: biometric.Missing, Permanent: true}}
			})
		}
		add(func(v *Event) {
			v.Exceptions = []biometric.Exception{{Position: biometric.RightIndex, Reason: biometric.Bandaged}}
		})
	case Override:
		for _, held := range [][]biometric.FingerPosition{nil, step.Want} {
			for _, pad := range []biometric.PADResult{biometric.PADNotAvailable, biometric.PADPassed} {
				add(func(v *Event) {
					v.By, v.Attendant, v.Steps = Attendant, "att-7", []string{step.ID}
					v.Outcome = s.outcome(held, pad)
					if step.Modality != biometric.Finger {
						v.Outcome.Findings = []biometric.Finding{{}}
					}
				})
			}
		}
	case Recapture:
		add(func(v *Event) { v.Steps = []string{"fingers"} })
	}
	return all
}

// key leaves out what only counts or dates.
func key(s Session) string {
	k := fmt.Sprint(s.State, s.End, s.Step, s.Resume, s.Verify, s.Weak, s.FollowUp, len(s.Skipped), s.Plan.Policy.Digest, len(s.Plan.Steps))
	for _, step := range s.Plan.Steps {
		k += fmt.Sprint(min(s.Rejections[step.ID], step.Rules.Again+1))
	}
	for _, e := range s.Ledger {
		k += fmt.Sprint(e.Reason, e.Permanent)
	}
	for _, o := range s.Outcomes {
		k += fmt.Sprint(o.Step, o.Captured, o.Forced && !s.Plan.Supervised)
	}
	return k
}

type edge struct {
	from State
	on   Kind
	to   State
	end  End
}

// walk is all that can happen.
type walk struct {
	t     *testing.T
	next  map[string][]string // by key
	seen  map[string]Session
	edges map[edge]bool
	todo  []Session
}

func (w *walk) visit(s Session) string {
	k := key(s)
	if _, ok := w.seen[k]; !ok {
		w.seen[k] = s
		w.todo = append(w.todo, s)
	}
	return k
}

func (w *walk) run() {
	for len(w.todo) > 0 {
		s := w.todo[0]
		w.todo = w.todo[1:]
		w.expand(s)
	}
}

func (w *walk) expand(s Session) {
	before, err := json.Marshal(s)
	if err != nil {
		w.t.Fatal(err)
	}
	from := key(s)
	for _, e := range everything(s) {
		n, err := s.Next(e)
		if err != nil {
			if differs(n, s) {
				w.t.Fatalf("%s by %s in %s is an error and changes something", e.Kind, e.By, s.State)
			}
			continue
		}
		if !s.Live() {
			w.t.Fatalf("an ended session accepts %s by %s", e.Kind, e.By)
		}
		if problem := soundStep(s, e, n); problem != "" {
			w.t.Fatalf("%s by %s in %s to %s: %s", e.Kind, e.By, s.State, n.State, problem)
		}
		w.edges[edge{s.State, e.Kind, n.State, n.End}] = true
		w.next[from] = append(w.next[from], w.visit(n))
		if n.End == HandedOver {
			w.receive(n)
		}
	}
	now, err := json.Marshal(s)
	if err != nil || string(now) != string(before) {
		w.t.Fatalf("the events in %s changed the session that they were applied to", s.State)
	}
}

// differs compares everything that a step of the machine sets; what it shares with its predecessor is compared as JSON.
func differs(a, b Session) bool {
	lengths := func(s Session) [6]int {
		return [6]int{len(s.Outcomes), len(s.Attempts), len(s.Exceptions), len(s.Decisions), len(s.Rejections), len(s.Comparisons)}
	}
	return a.State != b.State || a.End != b.End || a.Entry != b.Entry || !a.Since.Equal(b.Since) || a.Extra != b.Extra ||
		a.Step != b.Step || a.Resume != b.Resume || a.Ledger != b.Ledger || lengths(a) != lengths(b)
}

// receive continues a bundle wherever it may be continued.
func (w *walk) receive(bundle Session) {
	received := false
	for _, in := range states() {
		if s, err := Continue(bundle, Continuation{State: in, At: noon()}); err == nil {
			received = true
			w.visit(s)
		}
	}
	if !bundle.Plan.Supervised && len(weak(bundle.Outcomes)) > 0 {
		own := planOf(w.t, supervised, []biometric.Modality{biometric.Finger}, `"fallback": ["thumb", "middle", "ring"]`, `"fallback": []`)
		for _, in := range states() {
			if s, err := Continue(bundle, Continuation{State: in, Plan: own, At: noon()}); err == nil {
				w.visit(s)
			}
		}
	}
	if !received {
		w.t.Fatal("a session was handed over that nobody can continue")
	}
}

// soundStep says what is wrong with a step of the machine, if anything is.
func soundStep(s Session, e Event, n Session) string {
	entered := n.Entry - s.Entry
	step, open := n.Current()
	owed := slices.ContainsFunc(n.Ledger[:], func(l biometric.Entry) bool { return l.Reason == biometric.Owed })
	switch {
	case e.Kind == Extended && entered != 0, e.Kind != Extended && entered != 1:
		return fmt.Sprintf("it enters %d states", entered)
	case n.Ledger.Check() != nil:
		return n.Ledger.Check().Error()
	case n.held() != nil:
		return n.held().Error()
	case (n.State == Ended) != (n.End != ""):
		return "state and end contradict each other"
	case n.State == Capturing && (!open || step.Modality == biometric.Finger && len(step.Want) == 0):
		return "there is nothing to capture"
	case slices.Contains([]State{Reviewing, Verifying, Sealing}, n.State) && owed, n.End == Completed && owed:
		return "a finger is still owed"
	case n.State == Assistance && n.Resume == "":
		return "nobody knows where to go on"
	case len(n.Attempts) < len(s.Attempts):
		return "attempts are forgotten"
	case e.By == Attendant && len(n.Decisions) != len(s.Decisions)+1:
		return "the decision is not noted"
	}
	return ""
}

// plans are those that between them use every rule of the machine, and are small enough to walk through.
func plans(t *testing.T) []plan.Plan {
	fallback := `"fallback": ["thumb", "middle", "ring"]`
	thumbs := []string{fallback, `"fallback": ["thumb"]`}
	noReview := []string{fallback, `"fallback": []`, `"review": true`, `"review": false`, `"verification": "none"`, `"verification": "without-pad"`}
	only := func(m ...biometric.Modality) []biometric.Modality { return append([]biometric.Modality{}, m...) }
	return []plan.Plan{
		planOf(t, supervised, only(biometric.Finger), thumbs...),
		planOf(t, supervised, only(biometric.Face, biometric.Finger), noReview...),
		planOf(t, supervised, only(biometric.Face, biometric.Signature)),
		planOf(t, selfService, only(biometric.Finger)),
		planOf(t, selfService, only(biometric.Face)),
		planOf(t, supervised, only()),
		planOf(t, supervised, only(), noReview...),
	}
}

func everyWalk(t *testing.T) *walk {
	w := &walk{t: t, next: map[string][]string{}, seen: map[string]Session{}, edges: map[edge]bool{}}
	for _, p := range plans(t) {
		w.visit(begin(t, p, Called))
		w.visit(begin(t, p, Confirming))
	}
	w.run()
	return w
}

func TestTheWholeMachine(t *testing.T) {
	w := everyWalk(t)
	t.Logf("%d sessions, %d kinds of step", len(w.seen), len(w.edges))
	t.Run("every state and every end is reached", w.reachesAll)
	t.Run("every live session can end", w.canEnd)
	t.Run("the table says what happens, and all of it happens", w.agreesWithTable)
}

func (w *walk) reachesAll(t *testing.T) {
	for _, state := range states() {
		if !w.any(func(s Session) bool { return s.State == state }) {
			t.Errorf("%s is never reached", state)
		}
	}
	for _, end := range ends() {
		if !w.any(func(s Session) bool { return s.End == end }) {
			t.Errorf("no session ends as %s", end)
		}
	}
}

func (w *walk) any(is func(Session) bool) bool {
	for _, s := range w.seen {
		if is(s) {
			return true
		}
	}
	return false
}

// canEnd walks backwards from the ends.
func (w *walk) canEnd(t *testing.T) {
	before := map[string][]string{}
	for from, all := range w.next {
		for _, to := range all {
			before[to] = append(before[to], from)
		}
	}
	can := map[string]bool{}
	var todo []string
	for k, s := range w.seen {
		if !s.Live() {
			todo = append(todo, k)
		}
	}
	for len(todo) > 0 {
		k := todo[0]
		if todo = todo[1:]; !can[k] {
			can[k] = true
			todo = append(todo, before[k]...)
		}
	}
	for k, s := range w.seen {
		if !can[k] {
			t.Errorf("a session in %s can't end: %s", s.State, k)
		}
	}
}

func (w *walk) agreesWithTable(t *testing.T) {
	said := map[edge]bool{}
	for _, r := range Table() {
		for _, to := range r.To {
			said[edge{r.From, r.On, to, ""}] = true
		}
		if r.Ends != "" {
			said[edge{r.From, r.On, Ended, r.Ends}] = true
		}
	}
	for e := range w.edges {
		if !said[e] {
			t.Errorf("%s in %s leads to %s %s, which the table does not say", e.on, e.from, e.to, e.end)
		}
	}
	for e := range said {
		if !w.edges[e] {
			t.Errorf("%s in %s never leads to %s %s, though the table says so", e.on, e.from, e.to, e.end)
		}
	}
}

func TestNobodySpeaksForAnother(t *testing.T) {
	for _, r := range Table() {
		for _, a := range actors() {
			s := begin(t, planOf(t, supervised, nil), Called)
			s.State = r.From
			_, err := s.rule(s.by(a, r.On))
			if allowed := slices.Contains(r.By, a); allowed != (err == nil) {
				t.Errorf("%s by %s in %s: %v", r.On, a, r.From, err)
			}
		}
	}
}

func TestAnySequenceOfEventsKeepsTheMachineSound(t *testing.T) {
	all := plans(t)
	rapid.Check(t, func(rt *rapid.T) {
		p := rapid.SampledFrom(all).Draw(rt, "plan")
		in := rapid.SampledFrom([]State{Called, Confirming}).Draw(rt, "start")
		s, err := New(Start{ID: "se_1", Ticket: "tk_1", Attempt: 1, Plan: p, State: in, At: noon()})
		if err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 60).Draw(rt, "events") {
			e := rapid.SampledFrom(everything(s)).Draw(rt, "event")
			e.At = e.At.Add(time.Duration(rapid.IntRange(0, 100).Draw(rt, "later")) * time.Second)
			n, err := s.Next(e)
			if err != nil {
				continue
			}
			if problem := soundStep(s, e, n); problem != "" {
				rt.Fatal(problem)
			}
			s = throughJSON(rt, n)
		}
	})
}

func throughJSON(t *rapid.T, s Session) Session {
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Session
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back
}
