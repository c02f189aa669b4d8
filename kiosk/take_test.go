package kiosk

import (
	"image"
	"slices"
	"testing"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/wsq"
	"loket/kiosk/handover"
	"loket/kiosk/plan"
	"loket/kiosk/session"
	"loket/queue/station"
)

// arrived is a bundle with two prints that a self-service kiosk captured, and the ticket that came with it.
func arrived(t *testing.T) (*handover.Bundle, station.Ticket) {
	t.Helper()
	policy, err := plan.LoadPolicy("nl-residence-permit-self-service")
	check(t, err)
	now := time.Now()
	p, err := plan.Make(policy, plan.Subject{BirthDate: now.AddDate(-30, 0, 0), Asked: []biometric.Modality{biometric.Finger}}, now)
	check(t, err)
	s, err := session.New(session.Start{ID: "se_1", Ticket: "tk_1", Attempt: 1, Plan: p, State: session.Confirming, At: now})
	check(t, err)
	next := func(e session.Event) {
		e.At, e.Entry = now, s.Entry
		s, err = s.Next(e)
		check(t, err)
	}
	next(session.Event{Kind: session.Confirmed, By: session.Screen})
	step, _ := s.Current()
	next(session.Event{Kind: session.Accepted, By: session.Device, Outcome: &biometric.Outcome{Step: step.ID, Modality: step.Modality, Captured: step.Want}})
	next(session.Event{Kind: session.Approved, By: session.Screen})
	next(session.Event{Kind: session.Moved, By: session.Attendant, Attendant: "uid-1000", Target: "desk-01"})
	b := &handover.Bundle{ID: "ho_1", Session: s}
	for i, f := range step.Want {
		img := image.NewGray(image.Rect(0, 0, 100, 120))
		for j := range img.Pix {
			img.Pix[j] = uint8(j * (j + i) >> 5)
		}
		data, err := wsq.Encode(img, wsq.Options{})
		check(t, err)
		b.Samples = append(b.Samples, handover.Sample{Step: step.ID, Sample: biometric.Sample{Modality: biometric.Finger, Position: f,
			MediaType: wsq.MediaType, Width: 100, Height: 120, PPI: 500, Data: data}})
	}
	return b, station.Ticket{ID: "tk_1", Attempt: 1, Asked: []biometric.Modality{biometric.Finger},
		Subject: station.Subject{BirthDate: "1990-05-17"}}
}

// desk is a bench that takes sessions over.
func desk(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	var err error
	b.policy, err = plan.LoadPolicy("nl-residence-permit")
	check(t, err)
	b.Desk = true
	return b
}

func TestADeskVerifiesWhatItsOwnRulesSayAndNotTheBundles(t *testing.T) {
	for name, c := range map[string]struct {
		watched bool
		want    int
	}{"from a self-service kiosk": {false, 1}, "from a kiosk beside an attendant": {true, 0}} {
		d := desk(t)
		b, ticket := arrived(t)
		b.Session.Verify = nil
		b.From.Supervised = c.watched
		d.read(b)
		s, err := d.continued(b, ticket)
		if err != nil || s.State != session.Verifying || len(s.Verify) != c.want || s.Verdict != "" {
			t.Errorf("%s: %s, %v to be verified, verdict %q, %v", name, s.State, s.Verify, s.Verdict, err)
		}
	}
}

func TestAPrintThatCantBeReadIsTakenAgainAndTheSessionGoesOn(t *testing.T) {
	for name, spoil := range map[string]func(*biometric.Sample){
		"half a file":              func(s *biometric.Sample) { s.Data = s.Data[:len(s.Data)/2] },
		"another format":           func(s *biometric.Sample) { s.MediaType = "image/jp2" },
		"ten pixels an inch":       func(s *biometric.Sample) { s.PPI = 10 },
		"a million pixels an inch": func(s *biometric.Sample) { s.PPI = 1e6 },
	} {
		d := desk(t)
		b, ticket := arrived(t)
		spoil(&b.Samples[1].Sample)
		samples := slices.Clone(b.Samples)
		d.read(b)
		s, err := d.continued(b, ticket)
		if err != nil || s.State != session.Assistance || s.Verdict != session.VerdictUnreadable || len(s.Outcomes) != 0 || len(b.Samples) != 0 {
			t.Fatalf("%s: %s, verdict %q, %d outcomes, %d samples, %v", name, s.State, s.Verdict, len(s.Outcomes), len(b.Samples), err)
		}
		if slices.ContainsFunc(samples, func(h handover.Sample) bool { return slices.Max(h.Data) != 0 }) {
			t.Errorf("%s: what was refused is not wiped", name)
		}
		s, err = s.Next(session.Event{Kind: session.Resumed, By: session.Attendant, Attendant: "uid-1000", At: time.Now()})
		if step, ok := s.Current(); err != nil || s.State != session.Capturing || !ok || len(step.Want) != 2 {
			t.Errorf("%s: then %s, %v", name, s.State, err)
		}
	}
}

func TestWhatIsComparedIsACopyOfTheVaults(t *testing.T) {
	d := desk(t)
	b, _ := arrived(t)
	d.vault.adopt(b.Samples)
	held := d.vault.copies(func(h handover.Sample) bool { return h.Position == b.Samples[1].Position })
	if len(held) != 1 || !slices.Equal(held[0].Data, b.Samples[1].Data) {
		t.Fatalf("%d copies", len(held))
	}
	wipe(held)
	if slices.Max(b.Samples[1].Data) == 0 {
		t.Error("wiping a copy wipes what is held")
	}
}
