package stage_test

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"net/http"
	"testing"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/wsq"
	"loket/kiosk/handover"
	"loket/kiosk/identity"
	"loket/kiosk/plan"
	"loket/kiosk/session"
	"loket/queue"
	"loket/queue/station"
)

// liar is a self-service kiosk that somebody has broken into: it has the kiosk's key, and says what it likes.
type liar struct {
	*testing.T
	as    *identity.Identity
	queue *station.Client
}

func newLiar(t *testing.T, c *stage.Centre) *liar {
	t.Helper()
	c.Procs[stage.Kioskd].Kill()
	as, err := c.PKI.Identity(stage.StationName)
	if err != nil {
		t.Fatal(err)
	}
	line := &http.Transport{TLSClientConfig: as.Client(identity.RoleQueue)}
	t.Cleanup(line.CloseIdleConnections)
	return &liar{t, as, &station.Client{BaseURL: c.Stations(), HTTP: &http.Client{Transport: line}}}
}

func (l *liar) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// captured is a session that says that an attendant saw everything, and that nothing has to be verified.
func (l *liar) captured(ctx context.Context, issued station.IssuedTicket) session.Session {
	l.Helper()
	ticket, err := l.queue.CheckIn(ctx, string(issued.Code))
	l.must(err)
	policy, err := plan.LoadPolicy(selfService)
	l.must(err)
	now := time.Now()
	birth, err := ticket.Subject.BirthDate.Time(time.UTC)
	l.must(err)
	owed, err := plan.Make(policy, plan.Subject{BirthDate: birth, Asked: []biometric.Modality{biometric.Face, biometric.Finger}}, now)
	l.must(err)
	s, err := session.New(session.Start{ID: queue.NewID("se"), Ticket: ticket.ID, Attempt: ticket.Attempt, Plan: owed, State: session.Confirming, At: now})
	l.must(err)
	_, err = l.queue.Report(ctx, ticket.ID, station.Event{Event: queue.EventStarted, Session: s.ID, Attempt: s.Attempt, At: now})
	l.must(err)
	next := func(e session.Event) {
		e.At, e.Entry = now, s.Entry
		s, err = s.Next(e)
		l.must(err)
	}
	next(session.Event{Kind: session.Confirmed, By: session.Screen})
	for step, ok := s.Current(); ok; step, ok = s.Current() {
		next(session.Event{Kind: session.Accepted, By: session.Device, Outcome: &biometric.Outcome{Step: step.ID, Modality: step.Modality, Captured: step.Want}})
	}
	next(session.Event{Kind: session.Help, By: session.Screen})
	next(session.Event{Kind: session.Moved, By: session.Attendant, Attendant: "uid-0", Target: stage.DeskName})
	s.Verify, s.Plan.Supervised, s.Plan.Verification = nil, true, plan.VerifyNone
	return s
}

// handsOver hands a session over with prints that nobody of flesh and blood made.
func (l *liar) handsOver(ctx context.Context, s session.Session, spoil func([]byte) []byte) {
	l.Helper()
	b := handover.Bundle{ID: queue.NewID("ho"), Session: s}
	var face bytes.Buffer
	l.must(jpeg.Encode(&face, image.NewRGBA(image.Rect(0, 0, 827, 1063)), nil))
	for _, o := range s.Outcomes {
		if o.Modality == biometric.Face {
			b.Samples = append(b.Samples, handover.Sample{Step: o.Step, Sample: biometric.Sample{Modality: biometric.Face, MediaType: "image/jpeg",
				Width: 827, Height: 1063, Data: face.Bytes()}})
		}
		for _, f := range o.Captured {
			img := image.NewGray(image.Rect(0, 0, 400, 500))
			for i := range img.Pix {
				img.Pix[i] = uint8(((i/400 + i%400/(2+int(f)%3)) % 9) * 28)
			}
			data, err := wsq.Encode(img, wsq.Options{})
			l.must(err)
			b.Samples = append(b.Samples, handover.Sample{Step: o.Step, Sample: biometric.Sample{Modality: biometric.Finger, Position: f,
				MediaType: wsq.MediaType, Width: 400, Height: 500, PPI: 500, Data: spoil(data)}})
		}
	}
	key, err := l.queue.HandoverKey(ctx, stage.DeskName)
	l.must(err)
	offer, err := handover.SignedOffer(key).Verify(l.as, stage.DeskName, time.Now())
	l.must(err)
	sealed, err := b.Bytes(l.as, offer, time.Now())
	l.must(err)
	end, err := l.queue.HandOver(ctx, b.ID, station.HandOverParams{Ticket: s.Ticket, Session: s.ID, Attempt: s.Attempt, Target: stage.DeskName}, sealed)
	l.must(err)
	if !end.Moved {
		l.Fatalf("it was not taken: %s", end.Reason)
	}
}

func TestAKioskThatSaysThatNothingNeedsVerifyingIsNotBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		spoil    func([]byte) []byte
		compared int
	}{
		"with prints of somebody else":      {func(b []byte) []byte { return b }, 1},
		"with prints that can't be decoded": {func(b []byte) []byte { return append(b[:len(b)/2:len(b)/2], 0xff, 0xa1) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, centre, staff := withDesk(t, stage.Options{})
			l := newLiar(t, centre)
			issued := ticket(ctx, t, centre)
			l.handsOver(ctx, l.captured(ctx, issued), c.spoil)
			atDesk(ctx, t, centre, staff)
			m := deliveredAtDesk(ctx, t, centre, issued)
			if len(m.Comparisons) != c.compared || c.compared > 0 && m.Comparisons[0].Same {
				t.Errorf("compared: %+v", m.Comparisons)
			}
			captures := 0
			for _, a := range m.Attempts {
				if a.Modality == biometric.Finger && a.Result == biometric.Accepted {
					captures++
				}
			}
			if captures != 1 {
				t.Errorf("fingers were captured %d times at the desk", captures)
			}
		})
	}
}
