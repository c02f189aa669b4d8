package kiosk

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/identity"
	"loket/kiosk/journal"
	"loket/kiosk/outbox"
	"loket/kiosk/plan"
	"loket/kiosk/record"
	"loket/kiosk/record/recordtest"
	"loket/kiosk/session"
	"loket/queue"
	"loket/queue/station"
)

// bench is a daemon without devices, with a queue that the test answers for.
type bench struct {
	*Daemon
	mu      sync.Mutex
	told    []station.Event
	answers []station.Problem // to reports, one each; then all are applied
	held    []station.Ticket
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{Daemon: &Daemon{Config: Config{Data: t.TempDir()}, log: slog.New(slog.DiscardHandler), changed: make(chan struct{}),
		reports: make(chan struct{}, 1), previews: newPreviews(), link: &station.Link{}, ctx: t.Context(), identity: &identity.Identity{}}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	b.queue = &station.Client{BaseURL: server.URL, HTTP: server.Client()}
	b.openJournal(t)
	b.outbox = &outbox.Outbox{Dir: b.data("outbox"), Log: b.log}
	if err := b.outbox.Open(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) openJournal(t *testing.T) {
	t.Helper()
	var err error
	if b.journal, err = journal.Open(b.data("journal.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.journal.Close() })
}

// ServeHTTP is the queue.
func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out any = b.held
	if r.Method == http.MethodPost {
		var e station.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			panic(err)
		}
		if len(b.answers) > 0 {
			p := b.answers[0]
			b.answers = b.answers[1:]
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(p.Status)
			_ = json.NewEncoder(w).Encode(p)
			return
		}
		b.told = append(b.told, e)
		out = station.Effect{Effect: queue.Applied}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begun begins a session of record n in the journal.
func (b *bench) begun(t *testing.T, n int) record.Manifest {
	t.Helper()
	m := recordtest.Manifest(n)
	check(t, b.journal.BeginSession(m.Session, m.Ticket, m.Attempt, recordtest.Created()))
	return m
}

func TestAQueueThatTurnsTheStationAwayIsToldAgain(t *testing.T) {
	for name, p := range map[string]station.Problem{
		"certificate": {Type: station.ProblemForbidden, Status: http.StatusForbidden},
		"version":     {Type: station.ProblemInvalid, Status: http.StatusBadRequest},
		"a proxy":     {Type: "about:blank", Status: http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			first, second := b.begun(t, 1), b.begun(t, 2)
			check(t, b.journal.EndSession(first.Session, journal.End{Kind: "completed", Record: strings.Repeat("a", 64)}, recordtest.Created()))
			check(t, b.journal.EndSession(second.Session, journal.End{Kind: "abandoned"}, recordtest.Created().Add(time.Second)))
			b.held = []station.Ticket{{ID: first.Ticket, Session: first.Session, Attempt: 1}}
			b.answers = []station.Problem{p}
			if err := b.reconcile(t.Context()); !station.Refused(err) {
				t.Errorf("a refusal of the caller gives %v", err)
			}
			if len(b.told) != 1 || b.told[0].Session != second.Session {
				t.Errorf("behind a report that is refused, the queue was told %v", b.told)
			}
			b.held = nil
			check(t, b.reconcile(t.Context()))
			if len(b.told) != 2 || b.told[1].Event != queue.EventCompleted || b.told[1].Session != first.Session {
				t.Errorf("then the queue was told %v", b.told)
			}
		})
	}
}

func TestWhatTheQueueHasSettledIsNotToldAgain(t *testing.T) {
	b := newBench(t)
	m := b.begun(t, 1)
	check(t, b.journal.EndSession(m.Session, journal.End{Kind: "abandoned"}, recordtest.Created()))
	b.answers = []station.Problem{{Type: station.ProblemUnknown, Status: http.StatusNotFound}}
	check(t, b.reconcile(t.Context()))
	if left, err := b.journal.Unreported(); err != nil || len(left) != 0 {
		t.Errorf("still to report: %v, %v", left, err)
	}
}

func TestAnEndThatTheJournalDidNotTakeIsToldWhenItDoes(t *testing.T) {
	b := newBench(t)
	m := b.begun(t, 1)
	id, err := b.outbox.Put(
		func(w io.Writer) error { _, err := io.WriteString(w, "sealed"); return err },
		func(id record.ID, size int64) (record.SignedDocket, error) {
			return m.Docket(id, size, recordtest.Created()).Sign(recordtest.Key(t))
		})
	check(t, err)
	b.reconciled = true
	b.held = []station.Ticket{{ID: m.Ticket, Session: m.Session, Attempt: 1}}
	check(t, b.journal.Close()) // as a disk that is full
	b.cur = &running{session: session.Session{ID: m.Session, Ticket: m.Ticket, End: session.Completed, Record: string(id)}, stop: func() {}}
	b.finish()
	if err := b.reconcile(t.Context()); err == nil || len(b.told) != 0 {
		t.Fatalf("without a journal the queue was told %v, %v", b.told, err)
	}
	b.openJournal(t)
	b.held = nil
	check(t, b.reconcile(t.Context()))
	if len(b.told) != 1 || b.told[0].Event != queue.EventCompleted || b.told[0].Record != string(id) || !b.reconciled {
		t.Errorf("then the queue was told %v", b.told)
	}
}

// capturing puts a session that captures in place.
func (b *bench) capturing(t *testing.T) (stopped context.Context) {
	t.Helper()
	policy, err := plan.LoadPolicy("nl-residence-permit")
	check(t, err)
	now := time.Now()
	p, err := plan.Make(policy, plan.Subject{BirthDate: now.AddDate(-30, 0, 0), Asked: []biometric.Modality{biometric.Face}}, now)
	check(t, err)
	s, err := session.New(session.Start{ID: "se_1", Ticket: "tk_1", Attempt: 1, Plan: p, State: session.Confirming, At: now})
	check(t, err)
	s, err = s.Next(session.Event{Kind: session.Confirmed, By: session.Screen, At: now})
	check(t, err)
	if s.State != session.Capturing {
		t.Fatalf("the session is in %s", s.State)
	}
	stopped, stop := context.WithCancel(t.Context())
	b.cur = &running{session: s, stop: stop, devices: map[string]record.DeviceInfo{}}
	t.Cleanup(func() { b.cur.stopTimer() })
	return stopped
}

func TestHelpThatDoesNotCountStopsNoCapture(t *testing.T) {
	b := newBench(t)
	stopped := b.capturing(t)
	err := b.event(as(api.RoleTechnician), "", session.Event{Kind: session.Help, By: session.Attendant}) // by nobody in particular
	if err == nil || stopped.Err() != nil {
		t.Errorf("the answer is %v and the capture has ended: %v", err, stopped.Err())
	}
}

func TestHelpThatComesWhenACaptureHasJustEndedIsGiven(t *testing.T) {
	b := newBench(t)
	b.capturing(t)
	s := b.cur.session
	if err := b.event(as(api.RoleScreen), "", session.Event{Kind: session.Help, By: session.Screen}); err == nil {
		t.Error("a touch that names no session counts")
	}
	check(t, b.event(as(api.RoleScreen), s.ID, session.Event{Kind: session.Help, By: session.Screen}))
	step, _ := s.Current()
	check(t, b.send(s.ID, session.Event{Kind: session.Accepted, By: session.Device, Entry: s.Entry,
		Outcome: &biometric.Outcome{Step: step.ID, Modality: step.Modality}}, nil))
	if got := b.cur.session; got.State != session.Assistance || len(got.Outcomes) != 1 {
		t.Errorf("the session is in %s with %d outcomes", got.State, len(got.Outcomes))
	}
}

// as is a caller with a role; their user id is 1000.
func as(r api.Role) api.Caller { return api.Caller{UID: 1000, Roles: []api.Role{r}} }

func TestNobodyDecidesInAnothersNameAndTheScreenUsesUpNoCode(t *testing.T) {
	b := newBench(t)
	b.capturing(t)
	help := func(name string) *session.Event {
		return &session.Event{Kind: session.Help, By: session.Attendant, Attendant: name}
	}
	for _, x := range []struct {
		as   api.Role
		c    api.Command
		says string
	}{
		{api.RoleTechnician, api.Command{Event: help("ac_aaaaaaaaaaaaaaaa")}, "who"},
		{api.RoleTechnician, api.Command{Event: help("uid-1001")}, "who"},
		{api.RoleTechnician, api.Command{Event: help("attendant-1")}, "who"},
		{api.RoleScreen, api.Command{Event: help("uid-1000"), Code: "0123456789"}, "forbidden"},
	} {
		var e *api.Error
		if _, err := b.Do(t.Context(), as(x.as), x.c); !errors.As(err, &e) || e.Code != x.says || b.cur.session.State != session.Capturing {
			t.Errorf("%s: %v", x.as, err)
		}
	}
	for _, name := range []string{"", "uid-1000"} {
		b.cur.pending = nil
		if err := b.said(t.Context(), as(api.RoleTechnician), api.Command{Event: help(name)}); err != nil || b.cur.pending.Attendant != "uid-1000" {
			t.Errorf("%q decides: %v", name, err)
		}
	}
}

func TestAnEventForAnotherSessionChangesNothing(t *testing.T) {
	b := newBench(t)
	stopped := b.capturing(t)
	for _, kind := range []session.Kind{session.Help, session.Cancel} {
		var e *api.Error
		err := b.event(as(api.RoleScreen), "se_before", session.Event{Kind: kind, By: session.Screen})
		if !errors.As(err, &e) || e.Code != "no-session" || b.cur.session.State != session.Capturing || stopped.Err() != nil {
			t.Errorf("%s gives %v", kind, err)
		}
	}
}

func TestACaptureInProgressIsNotHandedOver(t *testing.T) {
	b := newBench(t)
	b.capturing(t)
	var e *api.Error
	err := b.event(as(api.RoleTechnician), "", session.Event{Kind: session.Moved, By: session.Attendant, Attendant: "a", Target: "desk-1"})
	if !errors.As(err, &e) || e.Code != "out-of-place" || b.cur.moving != "" {
		t.Errorf("handing over what is being captured gives %v", err)
	}
}

func TestASessionThatMayHaveARecordHereIsNotHandedOver(t *testing.T) {
	b := newBench(t)
	b.capturing(t)
	m := recordtest.Manifest(1)
	_, err := b.outbox.Put(func(w io.Writer) error { _, err := io.WriteString(w, "sealed"); return err },
		func(id record.ID, size int64) (record.SignedDocket, error) {
			return m.Docket(id, size, recordtest.Created()).Sign(recordtest.Key(t))
		})
	check(t, err)
	b.cur.session.ID, b.cur.session.State = m.Session, session.Assistance
	_, _, err = b.freeze(m.Session, session.Event{Kind: session.Moved, By: session.Attendant, Attendant: "a", Target: "desk-1"})
	var e *api.Error
	if !errors.As(err, &e) || e.Code != "out-of-place" || b.cur.moving != "" {
		t.Errorf("handing over what is sealed gives %v", err)
	}
}

func TestAScreenStartsWithACodeAlone(t *testing.T) {
	b := newBench(t)
	for _, start := range []api.Start{{Next: true}, {Ticket: "tk_aaaaaaaaaaaaaaaa"}} {
		var e *api.Error
		_, err := b.Do(t.Context(), as(api.RoleScreen), api.Command{Start: &start})
		if !errors.As(err, &e) || e.Code != "forbidden" {
			t.Errorf("a screen that asks for %+v gets %v", start, err)
		}
	}
}

func TestARefusedRecordIsSentAgainWhenStaffSaySo(t *testing.T) {
	b := newBench(t)
	id, err := b.outbox.Put(
		func(w io.Writer) error { _, err := io.WriteString(w, "sealed"); return err },
		func(id record.ID, size int64) (record.SignedDocket, error) {
			return recordtest.Manifest(1).Docket(id, size, recordtest.Created()).Sign(recordtest.Key(t))
		})
	check(t, err)
	refusal := filepath.Join(b.outbox.Dir, string(id)+".refused.json")
	check(t, os.WriteFile(refusal, []byte(`{"code":"unknown-policy","reason":"not accepted"}`), 0o600))
	check(t, b.outbox.Open())
	again := func(id string) error {
		_, err := b.Do(t.Context(), as(api.RoleTechnician), api.Command{Outbox: &api.OutboxQuery{Again: id}})
		return err
	}
	var e *api.Error
	if err := again("0123"); !errors.As(err, &e) || e.Code != "unknown" {
		t.Errorf("a record that is not here gives %v", err)
	}
	check(t, again(string(id)[:8]))
	if got := b.outbox.List()[0].State; got != outbox.Pending {
		t.Errorf("the record is %s", got)
	}
}

func TestAPreviewThatIsTooLargeIsNotDecoded(t *testing.T) {
	p := newPreviews()
	p.watch(1)
	claims := []byte("\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xff\xda\x00\x0c")
	if err := p.face(claims); err == nil || !strings.Contains(err.Error(), "65535 x 65535") {
		t.Errorf("a preview of 65535 x 65535 gives %v", err)
	}
}

func TestADeskAsksForOneFingerOfEachHandThatAnotherStationCaptured(t *testing.T) {
	fingers := func(all ...biometric.FingerPosition) []biometric.FingerPosition { return all }
	for name, c := range map[string]struct{ captured, brought, want []biometric.FingerPosition }{
		"one of each hand":           {fingers(2, 7), fingers(2, 7), fingers(2, 7)},
		"all ten":                    {biometric.Fingers(), biometric.Fingers(), fingers(1, 6)},
		"one hand":                   {fingers(2, 3), fingers(2, 3), fingers(2, 3)},
		"the only one, twice":        {fingers(7), fingers(7), fingers(7, 7)},
		"not what was captured here": {fingers(7, 1), fingers(7), fingers(7, 7)},
		"nothing":                    {fingers(1), nil, nil},
	} {
		s := session.Session{Verify: []string{"fingers"}, Outcomes: []biometric.Outcome{{Step: "face", Modality: biometric.Face},
			{Step: "fingers", Modality: biometric.Finger, Captured: c.captured}}}
		if got := probeFingers(s, c.brought); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What was sealed to a key that was tried before can't be opened: a bundle counts once (package handover has the rest).
func TestAKeyOpensOneBundle(t *testing.T) {
	b := newBench(t)
	b.identity.Signer, b.identity.Certificate.Certificate = recordtest.Key(t), [][]byte{{1}}
	if _, err := b.unseal(station.TakeSession{}, nil); err == nil {
		t.Error("a desk that offers no key opened something")
	}
	b.Daemon.mu.Lock()
	check(t, b.renewKey())
	first := b.offered.ID()
	b.Daemon.mu.Unlock()
	if _, err := b.unseal(station.TakeSession{}, []byte("nothing")); err == nil {
		t.Error("nothing was opened")
	}
	if b.offered.ID() == first {
		t.Error("a key that was tried is offered again")
	}
}

func TestAKioskTakesNothingOver(t *testing.T) {
	b := newBench(t)
	var e *api.Error
	if err := b.command(t.Context(), station.Command{Take: &station.TakeSession{}}); !errors.As(err, &e) || e.Code != "no-desk" {
		t.Errorf("taking over gives %v", err)
	}
}

func TestOnlyADeskRunsAsOneAndNeedsASupervisedPolicy(t *testing.T) {
	for name, c := range map[string]struct {
		desk    bool
		role    identity.Role
		watched bool
		policy  string
		ok      bool
	}{
		"a kiosk":                           {false, identity.RoleKiosk, false, "nl-residence-permit", true},
		"a kiosk beside an attendant":       {false, identity.RoleKiosk, true, "nl-residence-permit", true},
		"a self-service kiosk":              {false, identity.RoleKiosk, false, "nl-residence-permit-self-service", true},
		"a self-service kiosk that is none": {false, identity.RoleKiosk, true, "nl-residence-permit-self-service", false},
		"a desk":                            {true, identity.RoleDesk, true, "nl-residence-permit", true},
		"a desk under self-service":         {true, identity.RoleDesk, true, "nl-residence-permit-self-service", false},
		"a desk with a kiosk's identity":    {true, identity.RoleKiosk, false, "nl-residence-permit", false},
		"a kiosk with a desk's identity":    {false, identity.RoleDesk, true, "nl-residence-permit", false},
	} {
		b := newBench(t)
		var err error
		b.policy, err = plan.LoadPolicy(c.policy)
		check(t, err)
		b.Desk, b.identity.Role, b.identity.Supervised = c.desk, c.role, c.watched
		if err := b.checkPlace(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStaffAreCalledWhereNobodyGoesOnByThemselves(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		desk   bool
		state  session.State
		verify *api.Verification
		help   bool
	}{
		"capturing":               {false, session.Capturing, nil, false},
		"assistance":              {false, session.Assistance, nil, true},
		"verifying at a kiosk":    {false, session.Verifying, nil, true},
		"comparing at a desk":     {true, session.Verifying, &api.Verification{State: api.VerifyComparing}, false},
		"by eye, at a desk":       {true, session.Verifying, &api.Verification{State: api.VerifyByEye}, true},
		"about to compare":        {true, session.Verifying, nil, false},
		"in assistance at a desk": {true, session.Assistance, nil, true},
	} {
		b.Desk = c.desk
		st := api.Status{Session: &session.Session{State: c.state}, Verification: c.verify}
		if line := b.lineStatus(st); line.Session.Help != c.help {
			t.Errorf("%s: %v", name, line.Session.Help)
		}
	}
}
