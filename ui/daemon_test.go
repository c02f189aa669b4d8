package ui_test

import (
	"errors"
	"testing"
	"time"

	"gioui.org/f32"
	"gioui.org/font"
	"gioui.org/io/input"
	"gioui.org/io/key"
	"gioui.org/io/pointer"
	"gioui.org/io/semantic"
	"gioui.org/layout"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/plan"
	"loket/kiosk/session"
	"loket/ui"
	"loket/ui/uitest"
)

// daemon answers the screen as kioskd would: with the real machine, and without devices.
type daemon struct {
	t      *testing.T
	status api.Status
	did    []api.Command
	now    time.Time
}

const rightCode = "7KQ2M9TX4B"

func (d *daemon) do(c api.Command) error {
	d.did = append(d.did, c)
	if c.Start != nil {
		return d.start(*c.Start)
	}
	return d.send(*c.Event)
}

func (d *daemon) start(s api.Start) error {
	if s.Code != rightCode {
		return &api.Error{Code: "queue-refused", Text: "no ticket has this code"}
	}
	live, err := session.New(session.Start{ID: "se_walk", Ticket: "tk_walk", Attempt: 1, Plan: d.plan(), State: session.Confirming, At: d.now})
	if err != nil {
		d.t.Fatal(err)
	}
	d.status = api.Status{Session: &live, Number: "A012", Confirm: &api.Confirm{Initials: "A. M.", Birthday: "02-29"}}
	return nil
}

func (d *daemon) plan() plan.Plan {
	policy, err := plan.LoadPolicy("nl-residence-permit-self-service")
	if err != nil {
		d.t.Fatal(err)
	}
	p, err := plan.Make(policy, plan.Subject{BirthDate: d.now.AddDate(-30, 0, 0), Asked: []biometric.Modality{biometric.Face, biometric.Finger}}, d.now)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// send brings an event to the machine. Whatever the person does not do themselves follows at once.
func (d *daemon) send(e session.Event) error {
	if d.status.Session == nil {
		return &api.Error{Code: "no-session"}
	}
	e.At = d.now
	next, err := d.status.Session.Next(e)
	if err != nil {
		return err
	}
	if !next.Live() {
		d.status = api.Status{Ready: true, LastEnd: &api.End{Session: next.ID, End: string(next.End)}}
		return nil
	}
	d.status.Session = &next
	return nil
}

// capture plays the device: the current step succeeds.
func (d *daemon) capture() {
	s := d.status.Session
	step, _ := s.Current()
	o := biometric.Outcome{Step: step.ID, Modality: step.Modality, Attempts: []biometric.Attempt{}}
	if step.Modality == biometric.Finger {
		o.Captured = step.Want
		for _, f := range step.Want {
			o.Findings = append(o.Findings, biometric.Finding{Position: f, Enough: true})
		}
	}
	if err := d.send(session.Event{Kind: session.Accepted, By: session.Device, Entry: s.Entry, Outcome: &o}); err != nil {
		d.t.Fatal(err)
	}
}

// person sits before a screen and a daemon, and has ears.
type person struct {
	*screen
	*daemon
	ears     uitest.Recorder
	narrator *ui.Narrator
	nodes    []input.SemanticNode
}

func newPerson(t *testing.T, faces []font.FontFace) *person {
	d := &daemon{t: t, status: api.Status{Ready: true}, now: uitest.Now()}
	p := &person{screen: newScreen(t, faces), daemon: d}
	p.narrator = &ui.Narrator{Speaker: &p.ears}
	p.Do = func(c api.Command) { p.Answered(d.do(c)) }
	p.look()
	return p
}

// look draws until nothing moves any more and listens.
func (p *person) look() {
	for range 3 {
		p.ops.Reset()
		gtx := layout.Context{Ops: &p.ops, Now: p.now, Metric: ui.Metric(p.size), Source: p.router.Source(), Constraints: layout.Exact(p.size)}
		p.Update(gtx, &p.status)
		p.Draw(gtx)
		p.router.Frame(&p.ops)
		p.nodes = p.router.AppendSemantics(nil)
		p.narrator.Follow(p.UI, p.nodes)
	}
}

func (p *person) press(name key.Name) {
	p.Key(&p.router, name, 0, key.Press)
	p.look()
	p.Key(&p.router, name, 0, key.Release)
	p.look()
}

// find moves on by Tab until the ear hears a name, and presses Enter.
func (p *person) find(t *testing.T, name string) {
	t.Helper()
	for range 60 {
		if p.Focused() == name {
			p.press(key.NameReturn)
			return
		}
		p.press(key.NameTab)
		if p.Focused() != "" && p.ears.Last() != p.Focused() {
			t.Fatalf("the focus is on %q and the ear heard %q", p.Focused(), p.ears.Last())
		}
	}
	t.Fatalf("%q was not found by Tab; the screen is %q", name, p.Page().ID)
}

func (p *person) expect(t *testing.T, id string) {
	t.Helper()
	if got := p.Page().ID; got != id {
		t.Fatalf("the screen is %q instead of %q; heard last: %q", got, id, p.ears.Last())
	}
}

func TestAWholeIntakeByKeysAndEarInEveryLanguage(t *testing.T) {
	faces := fonts(t)
	words, err := ui.NewWords()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range ui.Languages() {
		t.Run(l.Tag, func(t *testing.T) {
			say := func(id string) string { return words.Say(l.Tag, id) }
			p := newPerson(t, faces)
			p.expect(t, "attract")
			p.find(t, l.Name)
			p.expect(t, "code")
			for _, c := range rightCode {
				p.press(key.Name(c))
			}
			p.find(t, say("code-primary"))
			p.expect(t, "confirm")
			p.find(t, say("confirm-primary"))
			p.expect(t, "today")
			p.find(t, say("today-primary"))
			p.expect(t, "face")
			p.capture()
			p.look()
			p.expect(t, "fingers")
			p.capture()
			p.look()
			p.expect(t, "review")
			p.find(t, say("review-primary"))
			p.finish(t)
			p.expect(t, "done")
			p.find(t, say("done-primary"))
			p.expect(t, "attract")
			if (p.Local.Choice != ui.Choice{}) {
				t.Errorf("the next person finds the choices of this one: %+v", p.Local.Choice)
			}
		})
	}
}

// finish verifies where the policy wants it, and seals.
func (p *person) finish(t *testing.T) {
	t.Helper()
	if p.status.Session.State == session.Verifying {
		p.expect(t, "verifying")
		if err := p.send(session.Event{Kind: session.Verified, By: session.Device, Entry: p.status.Session.Entry}); err != nil {
			t.Fatal(err)
		}
		p.look()
	}
	p.expect(t, "sealing")
	if err := p.send(session.Event{Kind: session.Sealed, By: session.Station, Entry: p.status.Session.Entry, Record: "record"}); err != nil {
		t.Fatal(err)
	}
	p.look()
}

func TestAWrongCodeIsSaidAndCanBeMended(t *testing.T) {
	p := newPerson(t, fonts(t))
	p.find(t, "English")
	for range 10 {
		p.press("Z")
	}
	p.find(t, "Next")
	p.expect(t, "code")
	if p.ears.Last() != "This code does not work. Check it and type it again." {
		t.Errorf("the ear heard %q", p.ears.Last())
	}
	for range 10 {
		p.press(key.NameDeleteBackward)
	}
	for _, c := range rightCode {
		p.press(key.Name(c))
	}
	p.find(t, "Next")
	p.expect(t, "confirm")
}

func TestHelpIsOneKeyAwayWhereASessionTakesIt(t *testing.T) {
	p := newPerson(t, fonts(t))
	p.find(t, "English")
	p.find(t, "Help")
	p.expect(t, "help")
	p.find(t, "Back")
	if err := p.start(api.Start{Code: rightCode}); err != nil {
		t.Fatal(err)
	}
	p.look()
	p.find(t, "Help")
	p.expect(t, "assistance")
}

func TestPersonalDataIsSpokenIntoAHeadsetOnly(t *testing.T) {
	for _, headset := range []bool{false, true} {
		p := newPerson(t, fonts(t))
		p.narrator.Headset = headset
		p.find(t, "English")
		if err := p.start(api.Start{Code: rightCode}); err != nil {
			t.Fatal(err)
		}
		p.look()
		if heard := containsAny(p.ears.Said, "29 February"); heard != headset {
			t.Errorf("headset %v: a birthday was heard: %v", headset, heard)
		}
		if containsAny(p.ears.Said, rightCode) {
			t.Error("a code was spoken")
		}
	}
}

func TestTheToneFollowsTheLampAndTheHintIsSpokenAtOnce(t *testing.T) {
	p := newPerson(t, fonts(t))
	p.find(t, "English")
	if err := errors.Join(p.start(api.Start{Code: rightCode}), p.send(session.Event{Kind: session.Confirmed, By: session.Screen})); err != nil {
		t.Fatal(err)
	}
	p.capture()
	p.look()
	p.expect(t, "fingers")
	step, _ := p.status.Session.Current()
	for _, x := range []struct {
		guidance api.Guidance
		tone     ui.Tone
		heard    string
	}{
		{api.Guidance{Step: step.ID, Hint: biometric.HintHoldStill, Fingers: 2}, ui.ToneHold, "Hold still."},
		{api.Guidance{Step: step.ID, Hint: biometric.HintLiftNow, Fingers: 2}, ui.ToneLift, "Good. Lift your fingers now."},
		{api.Guidance{Step: step.ID, Hint: biometric.HintPlace}, ui.TonePlace, "Put your fingers on the glass."},
	} {
		p.status.Guidance = &x.guidance
		p.look()
		if got := p.ears.Tones[len(p.ears.Tones)-1]; got != x.tone || p.ears.Last() != x.heard {
			t.Errorf("%s: tone %q, heard %q", x.guidance.Hint, got, p.ears.Last())
		}
	}
}

func TestBeforeTimeRunsOutOneActionGivesMore(t *testing.T) {
	p := newPerson(t, fonts(t))
	p.find(t, "English")
	if err := p.start(api.Start{Code: rightCode}); err != nil {
		t.Fatal(err)
	}
	end := p.now.Add(25 * time.Second)
	p.status.Deadline = &end
	p.look()
	p.expect(t, "warning")
	if got := p.ears.Tones; len(got) == 0 || got[len(got)-1] != ui.ToneWarning {
		t.Errorf("the warning sounds like %v", got)
	}
	p.press(key.NameReturn) // the focus is there already
	if last := p.did[len(p.did)-1]; last.Event == nil || last.Event.Kind != session.Extended {
		t.Errorf("the daemon got %+v", last)
	}
}

func TestAnIdleScreenIsMadeReadyForTheNextPerson(t *testing.T) {
	p := newPerson(t, fonts(t))
	p.find(t, "English")
	p.press("7")
	p.now = p.now.Add(65 * time.Second)
	p.look()
	p.expect(t, "warning")
	p.find(t, "Yes, I want more time")
	p.expect(t, "code")
	p.now = p.now.Add(2 * time.Minute)
	p.look()
	p.expect(t, "attract")
	if p.Local.Code != "" || p.Local.Language != "" {
		t.Errorf("the next person finds %+v", p.Local)
	}
}

// drag moves a finger over the screen from where it comes down to where it is lifted.
func (p *person) drag(at time.Duration, points ...f32.Point) {
	for i, where := range points {
		at += 10 * time.Millisecond
		e := pointer.Event{Kind: pointer.Move, Source: pointer.Touch, Buttons: pointer.ButtonPrimary, Position: where, Time: at}
		if i == 0 {
			e.Kind = pointer.Press
		}
		p.Touch(&p.router, e)
		p.look()
	}
	p.Touch(&p.router, pointer.Event{Kind: pointer.Release, Source: pointer.Touch, Position: points[len(points)-1], Time: at})
	p.look()
}

func TestASignatureIsWrittenWithAFingerAndSentWhenItIsDone(t *testing.T) {
	p := newPerson(t, fonts(t))
	p.find(t, "English")
	for _, x := range samples(t) {
		if x.Name == "signature" {
			p.status = *x.Status
		}
	}
	p.Do = func(c api.Command) { p.did = append(p.did, c) }
	p.look()
	p.expect(t, "signature")
	if !p.Page().Primary.Disabled {
		t.Error("an empty field counts as a signature")
	}
	p.drag(0, f32.Pt(100, 300), f32.Pt(200, 350), f32.Pt(300, 300), f32.Pt(400, 350))
	p.find(t, "Erase and sign again")
	if last := p.did[len(p.did)-1]; last.Sign == nil || !last.Sign.Again || !p.Page().Primary.Disabled {
		t.Errorf("after erasing: %+v", last)
	}
	p.drag(time.Second, f32.Pt(100, 300), f32.Pt(200, 350), f32.Pt(300, 300))
	p.drag(2*time.Second, f32.Pt(350, 300), f32.Pt(450, 350))
	p.find(t, "Done")
	last := p.did[len(p.did)-1]
	if last.Sign == nil || last.Sign.Ink == nil || last.Session == "" {
		t.Fatalf("the daemon got %+v", last)
	}
	if err := last.Sign.Ink.Check(); err != nil || len(last.Sign.Ink.Strokes) != 2 {
		t.Errorf("%d strokes: %v", len(last.Sign.Ink.Strokes), err)
	}
}

func TestALostSessionIsSaidHonestly(t *testing.T) {
	p := newPerson(t, fonts(t))
	p.find(t, "English")
	if err := p.start(api.Start{Code: rightCode}); err != nil {
		t.Fatal(err)
	}
	p.look()
	p.status = api.Status{Ready: true} // kioskd came back and knows of no session
	p.look()
	p.expect(t, "lost")
}

func TestAGoodEndStaysGoodWhenTheDaemonForgetsIt(t *testing.T) {
	p := newPerson(t, fonts(t))
	p.find(t, "English")
	if err := p.start(api.Start{Code: rightCode}); err != nil {
		t.Fatal(err)
	}
	p.look()
	p.status = api.Status{Ready: true, LastEnd: &api.End{Session: "se_walk", End: string(session.Completed)}}
	p.look()
	p.expect(t, "done")
	p.status = api.Status{Ready: true} // kioskd was started anew
	p.look()
	p.expect(t, "done")
}

func TestTheDaemonsSilenceIsCalm(t *testing.T) {
	p := newPerson(t, fonts(t))
	gtx := layout.Context{Ops: &p.ops, Now: p.now, Metric: ui.Metric(p.size), Source: p.router.Source(), Constraints: layout.Exact(p.size)}
	if got := p.Update(gtx, nil).ID; got != "offline" {
		t.Errorf("without a daemon the screen is %q", got)
	}
}

func TestTabReachesEveryButtonInTheOrderOfReading(t *testing.T) {
	everywhere(t, []int{0}, func(t *testing.T, s *screen, x uitest.Sample, nodes []input.SemanticNode) {
		var want []string
		for _, n := range nodes {
			if n.Desc.Class == semantic.Button && !n.Desc.Disabled {
				want = append(want, n.Desc.Label)
			}
		}
		s.show(x, s.Local.Choice) // a page that was just drawn may still have the focus of its primary action
		s.router.MoveFocus(key.FocusForward)
		first := -1
		for i := range want {
			s.frame(x)
			if first < 0 {
				first = indexOf(want, s.Focused())
			}
			if first < 0 || s.Focused() != want[(first+i)%len(want)] {
				t.Fatalf("after %d steps from %d the focus is on %q; buttons: %q", i, first, s.Focused(), want)
			}
			s.Key(&s.router, key.NameTab, 0, key.Press)
		}
	})
}
