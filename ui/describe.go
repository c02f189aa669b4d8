package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/plan"
	"loket/kiosk/session"
)

// Describe computes the page of a view. It has no other input: the same view gives the same page.
func Describe(v View) Page {
	d := describer{View: v, texts: v.Words.in(languageOf(v.Local.Language).Tag)}
	p := d.page()
	return p
}

// describer computes one page.
type describer struct {
	View
	*texts
}

func (d describer) page() Page {
	p := d.choose()
	if p.Key == "" {
		p.Key = p.ID
	}
	p.Key += "/" + d.tag
	p.Tools = d.tools(p)
	if st := d.Status; st != nil {
		p.Number = st.Number
		if st.Demo {
			p.Demo = d.say("demo", nil)
		}
	}
	if languageOf(d.tag).Voice == "" {
		p.Note = d.say("voice-none", nil)
	}
	return p
}

func (d describer) choose() Page {
	if d.Status == nil {
		return d.plain("offline", PictureWait)
	}
	if p, ok := d.warning(); ok {
		return p
	}
	switch d.Local.Page {
	case "languages":
		return d.languages()
	case "help":
		return d.help()
	}
	if s := d.Status.Session; s != nil {
		return d.session(*s)
	}
	if !d.Local.Over.IsZero() {
		return d.over()
	}
	if len(d.Status.Problems) > 0 {
		return d.closed(d.Status.Problems)
	}
	switch {
	case d.Local.Page == "code":
		return d.code()
	case !d.Status.Ready:
		return d.plain("busy", PictureWait)
	}
	return d.attract()
}

// plain is a page of a title and a text, by its id.
func (d describer) plain(id string, picture Picture) Page {
	return Page{ID: id, Title: d.say(id+"-title", nil), Lines: []string{d.say(id+"-text", nil)}, Picture: picture}
}

// then is the local state after something was pressed.
func (d describer) then(change func(*Local)) Local {
	l := d.Local
	l.Touched, l.Refused = d.Now, ""
	change(&l)
	return l
}

func (d describer) stay() Local { return d.then(func(*Local) {}) }

// event is a command that tells the session what the person did.
func event(e session.Event) *api.Command {
	e.By = session.Screen
	return &api.Command{Event: &e}
}

// action is a button with a message for its label.
func (d describer) action(label string, icon Icon, command *api.Command, then Local) *Action {
	d.pin(command)
	return &Action{ID: label, Label: d.say(label, nil), Icon: icon, Command: command, Then: then}
}

// pin names the session on the screen in what is said to it, so that a late touch never reaches the next person's.
func (d describer) pin(command *api.Command) {
	if command != nil && command.Event != nil && d.Status != nil && d.Status.Session != nil {
		command.Session = d.Status.Session.ID
	}
}

// tools are on every page, in the same order.
func (d describer) tools(p Page) []Action {
	help := Action{ID: "tool-help", Icon: IconHelp, Then: d.then(func(l *Local) { l.Page = "help" })}
	if s := d.Status; s != nil && s.Session != nil && takesHelp(s.Session.State) {
		help.Command, help.Then = event(session.Event{Kind: session.Help}), d.then(func(l *Local) { l.Page = "" })
		d.pin(help.Command)
	}
	help.Disabled = p.ID == "help" || p.ID == "assistance" || strings.HasPrefix(p.ID, "fault-") && d.Local.Session != ""
	list := []Action{
		help,
		{ID: "tool-language", Icon: IconLanguage, Disabled: p.ID == "languages", Then: d.then(func(l *Local) { l.Page = "languages" })},
		{ID: "tool-size", Icon: IconSize, On: d.Local.Size > 0, Then: d.then(func(l *Local) { l.Size = (l.Size + 1) % 3 })},
		{ID: "tool-contrast", Icon: IconContrast, On: d.Local.High, Then: d.then(func(l *Local) { l.High = !l.High })},
		{ID: "tool-repeat", Icon: IconRepeat, Then: d.then(func(l *Local) { l.again++ })},
	}
	for i := range list {
		list[i].Label = d.say(list[i].ID, nil)
	}
	return list
}

func takesHelp(s session.State) bool {
	return slices.Contains([]session.State{session.Confirming, session.Capturing, session.Reviewing, session.Verifying}, s)
}

func (d describer) attract() Page {
	p := Page{ID: "attract", Title: d.say("attract-title", nil), Lines: []string{d.say("attract-text", nil)},
		Note: d.say("attract-keys", nil)}
	p.Options = d.choices(func(l *Local) { l.Page = "code" })
	return p
}

func (d describer) choices(then func(*Local)) []Action {
	var list []Action
	for _, l := range Languages() {
		list = append(list, Action{ID: "language-" + l.Tag, Label: l.Name, Language: l.Tag, On: d.Local.Language == l.Tag,
			Then: d.then(func(x *Local) { x.Language = l.Tag; then(x) })})
	}
	return list
}

func (d describer) languages() Page {
	p := Page{ID: "languages", Title: d.say("languages-title", nil)}
	p.Options = d.choices(func(l *Local) { l.Page = "" })
	p.Others = []Action{*d.action("back", IconBack, nil, d.then(func(l *Local) { l.Page = "" }))}
	return p
}

func (d describer) help() Page {
	p := d.plain("help", PictureStaff)
	p.Note = d.say("attract-keys", nil)
	p.Primary = d.action("back", IconBack, nil, d.then(func(l *Local) { l.Page = "" }))
	return p
}

func (d describer) code() Page {
	l := d.Local
	p := Page{ID: "code", Title: d.say("code-title", nil), Lines: []string{d.say("code-text", nil)},
		Field: &Field{Text: l.Code, Length: CodeLength, Spoken: d.say("code-field", map[string]any{
			"Done": d.number(len(l.Code)), "All": d.number(CodeLength)})}}
	for _, k := range codeKeys {
		p.Keys = append(p.Keys, Action{ID: "key-" + string(k), Face: string(k), Label: string(k),
			Disabled: l.Sending || len(l.Code) >= CodeLength, Then: d.then(func(l *Local) { l.Code += string(k) })})
	}
	erase := d.action("code-erase", IconErase, nil, d.then(func(l *Local) { l.Code = l.Code[:max(len(l.Code)-1, 0)] }))
	erase.Disabled = l.Sending || l.Code == ""
	p.Keys = append(p.Keys, *erase)
	p.Primary = d.action("code-primary", IconForward, &api.Command{Start: &api.Start{Code: l.Code}}, d.then(func(l *Local) { l.Sending = true }))
	p.Primary.Disabled = l.Sending || len(l.Code) < CodeLength
	p.Others = []Action{*d.action("back", IconBack, nil, d.then(func(l *Local) { l.Page, l.Code = "", "" }))}
	switch l.Refused {
	case "":
	case "queue-unreachable":
		p.Hint = d.say("code-unreachable", nil)
	default:
		p.Hint = d.say("code-wrong", nil)
	}
	if l.Sending {
		p.Hint = d.say("code-checking", nil)
	}
	if p.Hint != "" {
		p.Lines = nil
	}
	return p
}

// closed says why nobody can begin here. A device's verdict has a page of its own.
func (d describer) closed(problems []api.Problem) Page {
	for _, x := range problems {
		if v, ok := strings.CutPrefix(x.Code, "device-"); ok && isVerdict(v) {
			p := d.fault(v)
			p.Lines = append(p.Lines, d.say("fault-desk", nil))
			return p
		}
	}
	return d.plain("closed", PictureDesk)
}

func isVerdict(v string) bool {
	return slices.Contains([]string{"unplugged", "off", "hung", "crashed", "held", "unfit"}, v)
}

func (d describer) fault(verdict string) Page { return d.plain("fault-"+verdict, Picture(verdict)) }

func (d describer) session(s session.Session) Page {
	switch s.State {
	case session.Called:
		return d.called()
	case session.Confirming:
		if d.Local.Page == "today" {
			return d.today(s)
		}
		return d.confirm()
	case session.Capturing:
		if d.Local.Page == "stop" {
			return d.stop()
		}
		return d.capture(s)
	case session.Reviewing:
		return d.review(s)
	case session.Verifying:
		return d.verifying(s)
	case session.Sealing:
		return d.plain("sealing", PictureLock)
	}
	return d.assistance(s)
}

func (d describer) called() Page {
	number := d.Status.Number
	return Page{ID: "called", Title: d.say("called-title", map[string]any{"Number": number}), Lines: []string{d.say("called-text", nil)},
		Picture: PictureTicket, Primary: d.action("called-primary", IconCheck, event(session.Event{Kind: session.Arrived}), d.stay())}
}

func (d describer) confirm() Page {
	p := Page{ID: "confirm", Title: d.say("confirm-title", nil), Lines: []string{d.say("confirm-notice", nil)}, Picture: PicturePerson}
	if c := d.Status.Confirm; c != nil {
		p.Private = append(p.Private, d.say("confirm-initials", map[string]any{"Initials": isolate(c.Initials)}))
		if month, day, ok := birthday(c.Birthday); ok {
			p.Private = append(p.Private, d.say("confirm-birthday", map[string]any{"Day": d.number(day), "Month": d.say("month-"+month, nil)}))
		}
	}
	p.Primary = d.action("confirm-primary", IconCheck, nil, d.then(func(l *Local) { l.Page = "today" }))
	p.Others = []Action{*d.action("confirm-decline", IconClose, event(session.Event{Kind: session.Decline}), d.stay())}
	return p
}

// isolate keeps the signs of a foreign text with it, whichever way the line runs (UAX #9, FSI and PDI).
func isolate(s string) string { return "\u2068" + s + "\u2069" }

// birthday reads "02-01": month and day.
func birthday(s string) (month string, day int, ok bool) {
	t, err := time.Parse("01-02", s)
	if err != nil && s == "02-29" {
		return "02", 29, true
	}
	return t.Format("01"), t.Day(), err == nil
}

// today is the second half of confirming: what is owed and why, before anything is captured.
func (d describer) today(s session.Session) Page {
	p := Page{ID: "today", Title: d.say("today-title", nil), Picture: PictureList}
	stale := false
	for _, r := range s.Plan.Reasons {
		stale = stale || r.Code == plan.CodeOnFileStale || r.Code == plan.CodeOnFileBirthday
	}
	fingers := 0
	for _, step := range s.Plan.Steps {
		fingers += len(step.Want)
	}
	for _, step := range s.Plan.Steps {
		var line string
		if step.Modality == biometric.Finger {
			line = d.count("today-finger", fingers)
		} else {
			line = d.say("today-"+string(step.Modality), nil)
		}
		if !slices.Contains(p.Lines, line) {
			p.Lines = append(p.Lines, line)
		}
	}
	why := "why-asked"
	if stale {
		why = "why-stale"
	}
	if len(s.Plan.Steps) == 0 {
		why = "today-nothing"
	}
	p.Note = strings.Join(append([]string{d.say(why, nil)}, d.notOwed(s.Plan)...), " ")
	p.Steps = d.steps(s)
	p.Primary = d.action("today-primary", IconForward, event(session.Event{Kind: session.Confirmed}), d.stay())
	p.Others = []Action{*d.action("back", IconBack, nil, d.then(func(l *Local) { l.Page = "" }))}
	return p
}

// notOwed says what is left out, and why.
func (d describer) notOwed(p plan.Plan) []string {
	ids := map[plan.Code]string{plan.CodeOnFile: "have-", plan.CodeAgeExempt: "exempt-", plan.CodeByPhotoForm: "exempt-", plan.CodeBelowSigningAge: "exempt-"}
	var lines []string
	for _, r := range p.Reasons {
		owed := slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Modality == r.Modality })
		if prefix := ids[r.Code]; prefix != "" && r.Modality.Valid() && !owed {
			if line := d.say(prefix+string(r.Modality), nil); !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// steps marks the way: each kind of capture once, then the review.
func (d describer) steps(s session.Session) []Step {
	var kinds []string
	current := -1
	for i, step := range s.Plan.Steps {
		if k := string(step.Modality); !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
		if s.State == session.Capturing && i == s.Step {
			current = slices.Index(kinds, string(step.Modality))
		}
	}
	if s.Plan.Review {
		kinds = append(kinds, "review")
	}
	switch s.State {
	case session.Reviewing:
		current = len(kinds) - 1
	case session.Verifying, session.Sealing:
		current = len(kinds)
	}
	var list []Step
	for i, k := range kinds {
		name := d.say("step-"+k, nil)
		list = append(list, Step{Name: name, Done: i < current, Current: i == current,
			Spoken: d.say("step-line", map[string]any{"Now": d.number(i + 1), "All": d.number(len(kinds)), "Name": name})})
	}
	return list
}

func (d describer) capture(s session.Session) Page {
	step, _ := s.Current()
	var p Page
	if g := d.Status.Guidance; g != nil && g.Step == step.ID && len(g.Wanted) > 0 {
		step.Want = g.Wanted
	}
	switch step.Modality {
	case biometric.Finger:
		p = d.fingers(step)
	case biometric.Signature:
		p = d.signature(s, step)
	default:
		p = d.plain("face", PictureFace)
		p.Seen = d.say("face-view", nil)
	}
	p.Key = fmt.Sprintf("%s/%s/%v", p.ID, step.ID, step.Want)
	p.Steps = d.steps(s)
	if g := d.Status.Guidance; g != nil && g.Step == step.ID {
		d.hint(&p, *g)
	}
	p.Others = append(p.Others,
		*d.action("stop", IconClose, nil, d.then(func(l *Local) { l.Page = "stop" })),
		*d.action("cannot", IconHelp, event(session.Event{Kind: session.Help, Reason: "cannot"}), d.stay()),
	)
	return p
}

// verifying sends people from a kiosk to the desk, and asks at the desk for the finger that is compared.
func (d describer) verifying(s session.Session) Page {
	v := d.Status.Verification
	if v == nil || v.Position == 0 {
		return d.plain("verifying", PictureDesk)
	}
	step := plan.Step{Want: []biometric.FingerPosition{v.Position}}
	if g := d.Status.Guidance; g != nil {
		step.ID = g.Step
	}
	p := d.fingers(step)
	p.Key = fmt.Sprintf("%s/verifying/%v/%d", p.ID, v.Position, v.Matched)
	p.Steps = d.steps(s)
	if g := d.Status.Guidance; g != nil {
		d.hint(&p, *g)
	}
	return p
}

// hint says what to do better. Fingers that do not lie there are named, and marked in the drawing.
func (d describer) hint(p *Page, g api.Guidance) {
	if g.Hint == biometric.HintNone {
		return
	}
	p.Hint = d.say("hint-"+string(g.Hint), nil)
	if g.Hint == biometric.HintFingerMissing && len(g.Which) > 0 {
		p.Absent, p.Hint = g.Which, d.say("hint-finger-also", d.named(g.Which))
		p.Seen += ". " + d.say("fingers-absent", d.named(g.Which))
	}
}

// named is the field of a message that lists fingers.
func (d describer) named(fingers []biometric.FingerPosition) map[string]any {
	var names []string
	for _, f := range fingers {
		names = append(names, d.say("finger-"+f.String(), nil))
	}
	return map[string]any{"Fingers": d.list(names)}
}

func (d describer) fingers(step plan.Step) (p Page) {
	which := d.named(step.Want)
	p = Page{ID: "fingers", Title: d.say("fingers-title", nil), Lines: []string{d.say("fingers-text", which)}, Picture: PictureGlass,
		Seen: d.say("fingers-view", nil) + ". " + d.say("fingers-hands", which), Wanted: step.Want, Lamp: LampPlace}
	defer func() { p.LampText = d.say("lamp-"+string(p.Lamp), nil) }()
	if g := d.Status.Guidance; g != nil && g.Step == step.ID {
		p.Lamp = lampOf(*g)
	}
	return p
}

// signature is written on the screen, or on a pad where the station has one. It is done when the person says so.
func (d describer) signature(s session.Session, step plan.Step) Page {
	p := d.plain("signature", PictureInk)
	p.Seen = d.say("signature-view", nil)
	pad := d.Status.Guidance != nil && d.Status.Guidance.Step == step.ID && d.Status.Guidance.Pad
	if pad {
		p.Picture, p.Lines = PicturePad, []string{d.say("signature-pad", nil)}
	}
	p.Primary = d.action("signature-primary", IconCheck, &api.Command{Session: s.ID, Sign: &api.Sign{}}, d.then(func(l *Local) { l.Inked = 0 }))
	p.Primary.Disabled = !pad && d.Local.Inked == 0
	again := d.action("signature-again", IconErase, &api.Command{Session: s.ID, Sign: &api.Sign{Again: true}}, d.then(func(l *Local) { l.Inked = 0 }))
	again.Disabled = p.Primary.Disabled
	p.Others = append(p.Others, *again)
	return p
}

// lampOf is what the scanner's lamp says at this guidance.
func lampOf(g api.Guidance) Lamp {
	switch g.Hint {
	case biometric.HintLiftNow, biometric.HintLiftAndRepeat, biometric.HintPresentationOK:
		return LampLift
	case biometric.HintHoldStill:
		return LampHold
	case biometric.HintTooDry, biometric.HintTooWet, biometric.HintWrongFinger, biometric.HintWrongHand, biometric.HintUpsideDown,
		biometric.HintSameFinger, biometric.HintTooMany, biometric.HintFingerMissing:
		return LampPlace // once more, and better, or all of them
	}
	if g.Fingers > 0 {
		return LampHold
	}
	return LampPlace
}

func (d describer) stop() Page {
	p := d.plain("stop", PictureCross)
	p.Primary = d.action("stop-no", IconBack, nil, d.then(func(l *Local) { l.Page = "" }))
	p.Others = []Action{*d.action("stop-yes", IconClose, event(session.Event{Kind: session.Cancel}), d.then(func(l *Local) { l.Page = "" }))}
	return p
}

func (d describer) review(s session.Session) Page {
	p := d.plain("review", PictureHands)
	again := map[biometric.Modality][]string{}
	var order []biometric.Modality
	for _, o := range s.Outcomes {
		if len(again[o.Modality]) == 0 {
			order = append(order, o.Modality)
		}
		again[o.Modality] = append(again[o.Modality], o.Step)
	}
	for _, m := range order {
		if m != biometric.Finger {
			p.Lines = append(p.Lines, d.say("got-"+string(m), nil))
		}
		p.Others = append(p.Others, *d.action("review-"+string(m), IconBack, event(session.Event{Kind: session.Recapture, Steps: again[m]}), d.stay()))
	}
	if s.FollowUp {
		p.Note = d.say("follow-up", nil)
	}
	d.ledger(&p, s.Ledger)
	p.Steps = d.steps(s)
	p.Primary = d.action("review-primary", IconCheck, event(session.Event{Kind: session.Approved}), d.stay())
	return p
}

func (d describer) ledger(p *Page, l biometric.Ledger) {
	p.Ledger, p.Names, p.Seen = &l, map[biometric.FingerPosition]string{}, d.say("review-hands", nil)
	seen := map[biometric.Reason]bool{}
	for _, e := range l {
		if !seen[e.Reason] {
			seen[e.Reason] = true
			p.Legend = append(p.Legend, Legend{e.Position, d.say("reason-"+string(e.Reason), nil)})
		}
		p.Names[e.Position] = d.say("ledger-line", map[string]any{"Finger": d.say("finger-"+e.Position.String(), nil),
			"Reason": d.say("reason-"+string(e.Reason), nil)})
	}
}

func (d describer) assistance(s session.Session) Page {
	if isVerdict(s.Verdict) {
		p := d.fault(s.Verdict)
		p.Lines = append(p.Lines, d.say("fault-kept", nil))
		return p
	}
	return d.plain("assistance", PictureStaff)
}

// over is shown for a while after a session's end.
func (d describer) over() Page {
	var p Page
	switch end := d.Local.Ended; end {
	case "":
		p = d.plain("lost", PictureDesk)
	case string(session.Completed):
		p = d.plain("done", PictureDone)
		p.Good = true
		p.Lines = append(p.Lines, d.say("done-next", nil))
		if d.Local.Follow {
			p.Lines = append(p.Lines, d.say("follow-up", nil))
		}
	default:
		p = d.plain(endPage(end), PictureDesk)
	}
	p.Primary = d.action("done-primary", IconCheck, nil, Local{Touched: d.Now, again: d.Local.again})
	return p
}

func endPage(end string) string {
	switch session.End(end) {
	case session.Declined, session.Abandoned, session.NoShow, session.HandedOver:
		return end
	}
	return "cancelled"
}

// warning is shown for the last while before time runs out, over whatever else is there.
func (d describer) warning() (Page, bool) {
	left, extend, ok := d.left()
	if !ok {
		return Page{}, false
	}
	seconds := int((left + time.Second - 1) / time.Second)
	p := Page{ID: "warning", Title: d.say("warning-title", nil), Lines: []string{d.count("warning-text", seconds)}, Picture: PictureClock}
	p.Primary = d.action("warning-primary", IconCheck, extend, d.stay())
	return p, true
}

// left tells how long the person still has, if that is little, and how more time is asked for.
func (d describer) left() (time.Duration, *api.Command, bool) {
	st := d.Status
	if s := st.Session; s != nil {
		if st.Deadline == nil || s.State == session.Called {
			return 0, nil, false
		}
		warn := max(time.Duration(s.Plan.TimeLimits.WarningSeconds)*time.Second, minWarn)
		left := st.Deadline.Sub(d.Now)
		return max(left, 0), event(session.Event{Kind: session.Extended}), left <= warn
	}
	if d.Local.Page == "" && d.Local.Choice == (Choice{}) || !d.Local.Over.IsZero() {
		return 0, nil, false
	}
	left := idleLimit - d.Now.Sub(d.Local.Touched)
	return max(left, 0), nil, left <= idleWarn
}
