package stage_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"loket/firmware-sim/stage"
	"loket/firmware-sim/subject"
	"loket/kiosk/acquire"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/ink"
	"loket/kiosk/record"
	"loket/kiosk/record/ansinist"
	"loket/kiosk/session"
	"loket/queue"
	"loket/queue/station"
)

// signer is somebody who owes a signature too.
func signer(ctx context.Context, t *testing.T, c *stage.Centre) station.IssuedTicket {
	t.Helper()
	issued, err := c.Ticket(ctx, c.NextReference(), biometric.Signature)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// atTheSignature has the signer's session where the signature is waited for.
func atTheSignature(ctx context.Context, t *testing.T, c *stage.Centre) station.IssuedTicket {
	t.Helper()
	issued := signer(ctx, t, c)
	confirmed(ctx, t, c, issued)
	waitAt(ctx, t, c.Kiosk, "the signature", func(st api.Status) bool {
		return in(st, session.Capturing) && st.Guidance != nil && st.Guidance.Step == "signature"
	})
	return issued
}

// signedBy tells whether a record holds what the first person wrote, as a picture, as strokes and as a Type-8 record.
func signedBy(t *testing.T, r *record.Record) {
	t.Helper()
	k := stage.Signature(subject.Who(0, 1))
	found := map[string][]byte{}
	for _, p := range r.Parts {
		found[p.Name] = p.Data
	}
	if !bytes.Equal(found["signature.inkml"], k.InkML()) {
		t.Errorf("signature.inkml has %d bytes and is not what was written", len(found["signature.inkml"]))
	}
	if found["signature.png"] == nil || differing(t, pixels(t, found["signature.png"]), k.Draw()) != 0 {
		t.Error("signature.png is not what was written")
	}
	f, err := ansinist.Parse(found["record.an2"])
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(f.Records, func(r ansinist.Record) bool { return r.Type == 8 })
	if i < 0 {
		t.Fatal("record.an2 has no Type-8 record")
	}
	if width, _ := f.Records[i].Int(6); width != (k.Draw().Rect.Dx()*500+ink.PPI-1)/ink.PPI {
		t.Errorf("8.006 HLL is %d", width)
	}
}

// delivered waits until the kiosk has delivered the ticket's record, audits the centre and opens the record.
func delivered(ctx context.Context, t *testing.T, c *stage.Centre, issued station.IssuedTicket) *record.Record {
	t.Helper()
	waitFor(ctx, t, c, "the delivery", func(st api.Status) bool {
		return st.LastEnd != nil && st.LastEnd.Ticket == issued.ID && st.LastEnd.Record != "" && st.Outbox.Pending == 0
	})
	settled(ctx, t, c, issued)
	sound(ctx, t, c, issued)
	return openOne(ctx, t, c, issued.ID)
}

func outcomeOf(m record.Manifest, step string) (biometric.Outcome, bool) {
	i := slices.IndexFunc(m.Outcomes, func(o biometric.Outcome) bool { return o.Step == step })
	if i < 0 {
		return biometric.Outcome{}, false
	}
	return m.Outcomes[i], true
}

func TestAnApplicantSignsOnTheScreenAndTheRecordHoldsIt(t *testing.T) {
	ctx, c := opened(t, stage.Options{})
	issued := signer(ctx, t, c)
	if _, err := c.Serve(ctx, issued, false, nil); err != nil {
		t.Fatal(err)
	}
	sound(ctx, t, c, issued)
	r := openOne(ctx, t, c, issued.ID)
	defer r.Wipe()
	signedBy(t, r)
	if o, ok := outcomeOf(r.Manifest, "signature"); !ok || len(o.Attempts) != 1 || len(o.Findings) != 1 {
		t.Errorf("the record says %+v", o)
	}
	if !slices.ContainsFunc(r.Manifest.Devices, func(d record.DeviceInfo) bool { return d.Driver == "kiosk-ui" }) {
		t.Errorf("the screen is not among the devices: %+v", r.Manifest.Devices)
	}
}

// withPad gives a running centre with a signature pad.
func withPad(t *testing.T) (context.Context, *stage.Centre) {
	t.Helper()
	ctx, c := prepared(t, stage.Options{Sim: []string{"--device", "slap60,ptp,hidpen"}})
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx, c
}

// atPad puts somebody beside the kiosk, whose person signs on the pad, until the test ends.
func atPad(ctx context.Context, t *testing.T, c *stage.Centre) {
	t.Helper()
	a := &stage.Attendant{Kiosk: c.Kiosk, Control: c.Control()}
	gone := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	go func() { gone <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-gone
	})
}

func TestAPadThatIsPulledInTheMiddleOfASignatureLosesNothingElse(t *testing.T) {
	ctx, c := withPad(t)
	issued := atTheSignature(ctx, t, c)
	event := func(line string) {
		t.Helper()
		if err := c.Event(ctx, line); err != nil {
			t.Fatal(err)
		}
	}
	event("unplug pad")
	photographs := 0
	waitAt(ctx, t, c.Kiosk, "the fault", func(st api.Status) bool {
		if !in(st, session.Assistance) || st.Session.Verdict != "unplugged" {
			return false
		}
		for _, a := range st.Session.Attempts {
			if a.Modality == biometric.Face {
				photographs++
			}
		}
		return true
	})
	event("replug pad")
	atPad(ctx, t, c)
	r := delivered(ctx, t, c, issued)
	defer r.Wipe()
	o, _ := outcomeOf(r.Manifest, "signature")
	if len(o.Findings) != 1 || o.Findings[0].Quality.Measures[acquire.MeasureStrokes] != float64(len(subject.Who(1, 1).Scribble())) {
		t.Errorf("the record says %+v", o)
	}
	if face, _ := outcomeOf(r.Manifest, "face"); len(face.Attempts) != photographs || photographs == 0 {
		t.Errorf("the face was captured again: %d attempts, %d before", len(face.Attempts), photographs)
	}
}

func TestAnApplicantSignsOnAPadWhereThereIsOne(t *testing.T) {
	ctx, c := withPad(t)
	atPad(ctx, t, c)
	issued := signer(ctx, t, c)
	if _, err := c.Serve(ctx, issued, false, nil); err != nil {
		t.Fatal(err)
	}
	r := openOne(ctx, t, c, issued.ID)
	defer r.Wipe()
	o, _ := outcomeOf(r.Manifest, "signature")
	strokes := float64(len(subject.Who(1, 1).Scribble()))
	if len(o.Findings) != 1 || o.Findings[0].Quality.Measures[acquire.MeasureStrokes] != strokes || o.Findings[0].Quality.Measures[acquire.MeasureSeconds] < 1 {
		t.Errorf("the record says %+v", o)
	}
	if !slices.ContainsFunc(r.Manifest.Devices, func(d record.DeviceInfo) bool { return d.Driver == "hidpen" && d.Simulated }) {
		t.Errorf("the pad is not among the devices: %+v", r.Manifest.Devices)
	}
	for _, p := range r.Parts {
		if p.Name == "signature.inkml" && !bytes.Contains(p.Data, []byte(`name="F"`)) {
			t.Error("the strokes have no force")
		}
	}
}

func TestWhoCannotSignIsExceptedWithAReasonThatTheRecordKeeps(t *testing.T) {
	ctx, c := prepared(t, stage.Options{})
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	issued := atTheSignature(ctx, t, c)
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Help, By: session.Screen})
	waitAt(ctx, t, c.Kiosk, "assistance", func(st api.Status) bool { return in(st, session.Assistance) })
	e := staffSay(session.Excepted)
	e.Exceptions = []biometric.Exception{{Reason: biometric.Bandaged}}
	say(ctx, t, c.Kiosk, issued, e)
	attend(ctx, t, c, nil)
	r := delivered(ctx, t, c, issued)
	defer r.Wipe()
	for _, p := range r.Parts {
		if strings.HasPrefix(p.Name, "signature") {
			t.Errorf("the record holds %s", p.Name)
		}
	}
	o, _ := outcomeOf(r.Manifest, "signature")
	if len(o.Excepted) != 1 || o.Excepted[0].Reason != biometric.Bandaged || o.Excepted[0].Attendant != fmt.Sprintf("uid-%d", os.Getuid()) {
		t.Errorf("the record says %+v", o)
	}
}

func TestAChildIsNotAskedToSign(t *testing.T) {
	ctx, c := opened(t, stage.Options{})
	born := queue.Date(time.Now().AddDate(-10, 0, 0).Format(time.DateOnly))
	issued, err := c.Book(ctx, stage.Booking{Reference: c.NextReference(), Born: born, Asked: []biometric.Modality{biometric.Face, biometric.Finger, biometric.Signature}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Serve(ctx, issued, false, nil); err != nil {
		t.Fatal(err)
	}
	r := openOne(ctx, t, c, issued.ID)
	defer r.Wipe()
	if o, ok := outcomeOf(r.Manifest, "signature"); ok {
		t.Errorf("a child was asked: %+v", o)
	}
}

func TestASignatureIsHandedOverWithItsSession(t *testing.T) {
	ctx, c, staff := withDesk(t, stage.Options{})
	issued := atTheSignature(ctx, t, c)
	k := stage.Signature(subject.Who(0, 1))
	if _, err := c.Kiosk.Do(ctx, api.Command{Session: sessionOf(ctx, t, c.Kiosk, issued), Sign: &api.Sign{Ink: &k}}); err != nil {
		t.Fatal(err)
	}
	waitAt(ctx, t, c.Kiosk, "the review", func(st api.Status) bool { return in(st, session.Reviewing) })
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Approved, By: session.Screen})
	e := staffSay(session.Moved)
	e.Target = stage.DeskName
	say(ctx, t, c.Kiosk, issued, e)
	atDesk(ctx, t, c, staff)
	m := completedAtDesk(ctx, t, c, issued)
	st, err := c.Counter.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := openRecord(t, c, m.Station, st.LastEnd.Record)
	defer r.Wipe()
	signedBy(t, r)
}
