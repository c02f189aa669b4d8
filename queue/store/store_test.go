package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"loket/kiosk/biometric"
	"loket/queue"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

func open(t testing.TB, opts Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "queue.db"), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func guest(reference string, services ...string) Guest {
	g := Guest{Reference: reference, Name: "Ada " + reference, BirthDate: "1990-02-01"}
	for _, id := range services {
		g.Services = append(g.Services, Wanted{Service: id, Letter: queue.Letter{Asked: []biometric.Modality{biometric.Face}, OnFile: []queue.OnFile{}}})
	}
	return g
}

// fill puts one appointment of n persons and gives their tickets.
func fill(t testing.TB, s *Store, ref string, n int) []queue.Ticket {
	t.Helper()
	a := Appointment{Owner: "appointments", Ref: ref}
	for i := range n {
		a.Guests = append(a.Guests, guest(fmt.Sprintf("%s-V%04d", ref, i), "residence-permit"))
	}
	b, _, err := s.Put(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return b.Tickets
}

func session(n int) string { return fmt.Sprintf("se_%016s", strings.Repeat(string(rune('a'+n)), 16)) }

func record(n int) string { return fmt.Sprintf("%064x", n) }

func TestATicketIsCalledOnceWhoeverAsks(t *testing.T) {
	s := open(t, Options{})
	const tickets, callers = 60, 20
	fill(t, s, "x", tickets)
	var mu sync.Mutex
	var work sync.WaitGroup
	by := map[string]string{}
	for c := range callers {
		work.Go(func() {
			station := fmt.Sprintf("kiosk-%02d", c)
			for n := 0; ; n++ {
				v, err := s.Call(t.Context(), station, Request{ID: fmt.Sprintf("request-%d", n)})
				if errors.Is(err, ErrNobody) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if other, ok := by[v.Ticket.ID]; ok {
					t.Errorf("ticket %s went to %s and %s", v.Ticket.ID, other, station)
				}
				by[v.Ticket.ID] = station
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if len(by) != tickets {
		t.Errorf("%d of %d tickets were called", len(by), tickets)
	}
}

func TestOneCertainTicketGoesToOneOfTwentyCallers(t *testing.T) {
	s := open(t, Options{})
	id := fill(t, s, "x", 1)[0].ID
	var work sync.WaitGroup
	got := make(chan string, 20)
	for c := range 20 {
		work.Go(func() {
			_, err := s.Call(t.Context(), fmt.Sprintf("kiosk-%02d", c), Request{ID: "request", Ticket: id})
			switch {
			case err == nil:
				got <- "got"
			case !errors.Is(err, queue.ErrElsewhere):
				t.Error(err)
			}
		})
	}
	work.Wait()
	if len(got) != 1 {
		t.Errorf("%d callers got the ticket", len(got))
	}
}

func TestARepeatedRequestGivesTheSameTicketUntilItMovesOn(t *testing.T) {
	s := open(t, Options{})
	fill(t, s, "x", 2)
	first, err := s.Call(t.Context(), "kiosk-1", Request{ID: "request-1"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Call(t.Context(), "kiosk-1", Request{ID: "request-1"})
	if err != nil || again.Ticket.ID != first.Ticket.ID {
		t.Errorf("again gave %v, %v", again.Ticket.ID, err)
	}
	other, err := s.Call(t.Context(), "kiosk-2", Request{ID: "request-1"})
	if err != nil || other.Ticket.ID == first.Ticket.ID {
		t.Errorf("the same request id of another station gave %v, %v", other.Ticket.ID, err)
	}
	report(t, s, first.Ticket.ID, queue.Event{Kind: queue.EventAbandoned, Station: "kiosk-1", Session: session(0), Attempt: 1}, queue.Applied)
	if _, err := s.Call(t.Context(), "kiosk-1", Request{ID: "request-1"}); !errors.Is(err, queue.ErrStale) {
		t.Errorf("after the ticket moved on: %v", err)
	}
	if _, err := s.Call(t.Context(), "kiosk-1", Request{ID: "request-2"}); !errors.Is(err, ErrNobody) {
		t.Errorf("a parked ticket was called: %v", err)
	}
}

func report(t *testing.T, s *Store, ticket string, e queue.Event, want queue.Effect) queue.Ticket {
	t.Helper()
	e.At = s.now()
	got, effect, err := s.Report(t.Context(), ticket, e)
	if err != nil || effect != want {
		t.Fatalf("reporting %s: effect %q, %v; want %q", e.Kind, effect, err, want)
	}
	return got
}

func TestALostTicketIsNextWithItsAttemptCountedUpOnce(t *testing.T) {
	s := open(t, Options{})
	tickets := fill(t, s, "x", 3)
	v, err := s.Call(t.Context(), "kiosk-1", Request{ID: "r1", Ticket: tickets[2].ID})
	if err != nil {
		t.Fatal(err)
	}
	e := queue.Event{Station: "kiosk-1", Session: session(0), Attempt: 1}
	e.Kind = queue.EventStarted
	report(t, s, v.Ticket.ID, e, queue.Applied)
	report(t, s, v.Ticket.ID, e, queue.Applied)
	e.Kind = queue.EventLost
	report(t, s, v.Ticket.ID, e, queue.Applied)
	report(t, s, v.Ticket.ID, e, queue.Stale)
	next, err := s.Call(t.Context(), "kiosk-2", Request{ID: "r2"})
	if err != nil || next.Ticket.ID != tickets[2].ID || next.Ticket.Attempt != 2 {
		t.Errorf("next is %v at attempt %d, %v; want the lost one at 2", next.Ticket.ID, next.Ticket.Attempt, err)
	}
	e.Kind = queue.EventStarted
	if _, _, err := s.Report(t.Context(), v.Ticket.ID, e); !errors.Is(err, queue.ErrElsewhere) {
		t.Errorf("a late start at the first station: %v", err)
	}
	chain, err := s.Chain(t.Context(), session(0))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range chain.Events {
		kinds = append(kinds, e.Kind)
	}
	if want := []string{"issued", "called", "started", "lost", "called"}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("the chain has %v, want %v", kinds, want)
	}
}

func TestASecondRecordIsAConflictThatIsKept(t *testing.T) {
	s := open(t, Options{})
	id := fill(t, s, "x", 1)[0].ID
	call := func(station, request string) {
		if _, err := s.Call(t.Context(), station, Request{ID: request}); err != nil {
			t.Fatal(err)
		}
	}
	call("kiosk-1", "r1")
	report(t, s, id, queue.Event{Kind: queue.EventLost, Station: "kiosk-1", Attempt: 1}, queue.Applied)
	call("kiosk-2", "r2")
	late := queue.Event{Kind: queue.EventCompleted, Station: "kiosk-1", Session: session(0), Attempt: 1, Record: record(1)}
	if got := report(t, s, id, late, queue.Conflict); got.State != queue.Called {
		t.Errorf("the ticket is %s, though kiosk-2 is at it", got.State)
	}
	report(t, s, id, late, queue.Conflict)
	second := queue.Event{Kind: queue.EventCompleted, Station: "kiosk-2", Session: session(1), Attempt: 2, Record: record(2)}
	if got := report(t, s, id, second, queue.Conflict); got.State != queue.Done || got.Record != record(2) {
		t.Errorf("the ticket is %s with %s", got.State, got.Record)
	}
	report(t, s, id, second, queue.Conflict)
	clashes, err := s.Clashes(t.Context())
	if err != nil || len(clashes) != 2 || clashes[1].Reason != "late" || clashes[0].Reason != "second-record" || clashes[0].Other != record(1) {
		t.Errorf("conflicts: %+v, %v", clashes, err)
	}
}

func TestTwoVisitsOfOnePersonMakeAConflictWithinHalfAYear(t *testing.T) {
	c := &clock{t: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	s := open(t, Options{Now: c.now})
	complete := func(ref string, n int, want queue.Effect) {
		b, _, err := s.Put(t.Context(), Appointment{Owner: "a", Ref: ref, Guests: []Guest{guest("V-1", "residence-permit")}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Call(t.Context(), "kiosk-1", Request{ID: ref}); err != nil {
			t.Fatal(err)
		}
		report(t, s, b.Tickets[0].ID, queue.Event{Kind: queue.EventCompleted, Station: "kiosk-1", Session: session(n), Attempt: 1, Record: record(n)}, want)
	}
	complete("first", 1, queue.Applied)
	c.add(24 * time.Hour)
	complete("second", 2, queue.Conflict)
	c.add(queue.OneRecordIn)
	complete("third", 3, queue.Applied)
}

func TestFiveWrongCodesPauseEntryAtThatStationAndTellStaff(t *testing.T) {
	c := &clock{t: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	var seen []Event
	s := open(t, Options{Now: c.now, Watch: func(e Event) { seen = append(seen, e) }})
	code := fill(t, s, "x", 1)[0].Code
	seen = nil
	for n := range queue.WrongTries {
		_, err := s.CheckIn(t.Context(), "kiosk-1", "ABCDEFGHJK")
		if last := n == queue.WrongTries-1; errors.As(err, new(*PausedError)) != last || errors.Is(err, ErrUnknown) == last {
			t.Errorf("try %d: %v", n+1, err)
		}
	}
	if len(seen) != 1 || seen[0].Kind != KindEntryPaused || seen[0].Station != "kiosk-1" {
		t.Errorf("staff were told %+v", seen)
	}
	if _, err := s.CheckIn(t.Context(), "kiosk-1", string(code)); !errors.As(err, new(*PausedError)) {
		t.Errorf("the right code while paused: %v", err)
	}
	if err := s.ResumeEntry(t.Context(), "kiosk-1", "staff-1"); err != nil {
		t.Fatal(err)
	}
	v, err := s.CheckIn(t.Context(), "kiosk-1", strings.ToLower(string(code[:5]))+" - "+string(code[5:]))
	if err != nil || v.Ticket.State != queue.Called || v.Ticket.Station != "kiosk-1" {
		t.Errorf("after staff resumed: %v, %v", v.Ticket, err)
	}
	if _, err := s.CheckIn(t.Context(), "kiosk-2", string(code)); !errors.Is(err, queue.ErrElsewhere) {
		t.Errorf("the same code at another station: %v", err)
	}
	if again, err := s.CheckIn(t.Context(), "kiosk-1", string(code)); err != nil || again.Ticket.ID != v.Ticket.ID {
		t.Errorf("the same code again: %v, %v", again.Ticket, err)
	}
}

func TestAnAppointmentPutAgainChangesNothing(t *testing.T) {
	var seen []Event
	s := open(t, Options{Watch: func(e Event) { seen = append(seen, e) }})
	a := Appointment{Owner: "a", Ref: "family-1", Guests: []Guest{guest("V-1", "residence-permit"), guest("V-2", "residence-permit")}}
	a.Guests[1].Services[0].Letter = queue.Letter{} // unknown, which must come back as unknown
	first, created, err := s.Put(t.Context(), a)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	n := len(seen)
	second, created, err := s.Put(t.Context(), a)
	if err != nil || created || !reflect.DeepEqual(first, second) || len(seen) != n {
		t.Errorf("again: created %v, %v\n%#v\n%#v", created, err, first.Visit, second.Visit)
	}
	if l := second.Tickets[0].Letter; l.OnFile == nil || len(l.OnFile) != 0 {
		t.Errorf("nothing on file became %#v", l.OnFile)
	}
	if l := second.Tickets[1].Letter; l.OnFile != nil || l.Asked != nil {
		t.Errorf("an unknown letter became %#v", l)
	}
	other, created, err := s.Put(t.Context(), Appointment{Owner: "b", Ref: "family-1", Guests: a.Guests})
	if err != nil || !created || other.Visit.ID == first.Visit.ID {
		t.Errorf("another system's reference is its own: %v, %v", created, err)
	}
}

func TestAnAppointmentThatChangesWithdrawsAndRestores(t *testing.T) {
	s := open(t, Options{})
	all := []Guest{guest("V-1", "residence-permit"), guest("V-2", "residence-permit"), guest("V-3", "residence-permit")}
	put := func(guests ...Guest) []queue.Ticket {
		b, _, err := s.Put(t.Context(), Appointment{Owner: "a", Ref: "family", Guests: guests})
		if err != nil {
			t.Fatal(err)
		}
		return b.Tickets
	}
	before := put(all...)
	if _, err := s.Call(t.Context(), "kiosk-1", Request{ID: "r", Ticket: before[1].ID}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Decide(t.Context(), before[0].ID, Decision{Act: queue.ActCancel, Author: "staff-1"}); err != nil {
		t.Fatal(err)
	}
	state := func(tickets []queue.Ticket, id string) queue.State {
		for _, k := range tickets {
			if k.ID == id {
				return k.State
			}
		}
		return "gone"
	}
	after := put(all[0])
	if got := state(after, before[2].ID); got != queue.Cancelled {
		t.Errorf("a withdrawn ticket is %s", got)
	}
	if got := state(after, before[1].ID); got != queue.Called {
		t.Errorf("a ticket that a station is at became %s", got)
	}
	after = put(all...)
	if got := state(after, before[2].ID); got != queue.Waiting {
		t.Errorf("a restored ticket is %s", got)
	}
	if got := state(after, before[0].ID); got != queue.Cancelled {
		t.Errorf("a ticket that staff cancelled is %s", got)
	}
}

func TestAnAppointmentThatCannotBeIsRefusedWhole(t *testing.T) {
	s := open(t, Options{})
	for name, break_ := range map[string]func(*Appointment){
		"nobody":           func(a *Appointment) { a.Guests = nil },
		"unknown service":  func(a *Appointment) { a.Guests[1].Services[0].Service = "haircut" },
		"same person":      func(a *Appointment) { a.Guests[1].Reference = a.Guests[0].Reference },
		"no birth date":    func(a *Appointment) { a.Guests[1].BirthDate = "1990-02-30" },
		"not born":         func(a *Appointment) { a.Guests[1].BirthDate = "2990-02-01" },
		"unknown modality": func(a *Appointment) { a.Guests[1].Services[0].Letter.Asked = []biometric.Modality{"dna"} },
		"no source": func(a *Appointment) {
			a.Guests[1].Services[0].Letter.OnFile = []queue.OnFile{{Modality: biometric.Face}}
		},
		"twice": func(a *Appointment) { a.Guests[1].Services = append(a.Guests[1].Services, a.Guests[1].Services[0]) },
	} {
		a := Appointment{Owner: "a", Ref: "r", Guests: []Guest{guest("V-1", "residence-permit"), guest("V-2", "residence-permit")}}
		break_(&a)
		_, _, err := s.Put(t.Context(), a)
		if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "Ada") || strings.Contains(err.Error(), "V-1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	snap, err := s.Snapshot(t.Context())
	if err != nil || len(snap.Tickets) != 0 {
		t.Errorf("%d tickets were issued, %v", len(snap.Tickets), err)
	}
}

func TestThoseWhoComeLaterAreNotCalledEarly(t *testing.T) {
	c := &clock{t: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	s := open(t, Options{Now: c.now, Early: 15 * time.Minute})
	for i, at := range []time.Duration{time.Hour, 10 * time.Minute} {
		a := Appointment{Owner: "a", Ref: fmt.Sprint(i), At: c.t.Add(at), Guests: []Guest{guest("V-1", "residence-permit")}}
		if _, _, err := s.Put(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	v, err := s.Call(t.Context(), "kiosk-1", Request{ID: "1"})
	if err != nil || v.Ticket.Number != "A002" {
		t.Errorf("called %s, %v; want the earlier appointment", v.Ticket.Number, err)
	}
	if _, err := s.Call(t.Context(), "kiosk-1", Request{ID: "2"}); !errors.Is(err, ErrNobody) {
		t.Errorf("who comes in an hour was called: %v", err)
	}
}

func TestOnePersonIsNotCalledToTwoStations(t *testing.T) {
	services := []queue.Service{queue.ResidencePermit(), {ID: "registration", Name: "Registration", Prefix: "M", Organisation: "municipality"}}
	s := open(t, Options{Services: services})
	if _, _, err := s.Put(t.Context(), Appointment{Owner: "a", Ref: "1", Guests: []Guest{guest("V-1", "registration", "residence-permit")}}); err != nil {
		t.Fatal(err)
	}
	v, err := s.Call(t.Context(), "kiosk-1", Request{ID: "1"})
	if err != nil || v.Ticket.Service != "registration" {
		t.Fatalf("the first service is %s, %v", v.Ticket.Service, err)
	}
	if _, err := s.Call(t.Context(), "kiosk-2", Request{ID: "1", Services: []string{"residence-permit"}}); !errors.Is(err, ErrNobody) {
		t.Errorf("called beside: %v", err)
	}
	report(t, s, v.Ticket.ID, queue.Event{Kind: queue.EventCompleted, Station: "kiosk-1", Session: session(0), Attempt: 1, Record: record(1)}, queue.Applied)
	if v, err = s.Call(t.Context(), "kiosk-2", Request{ID: "2", Services: []string{"residence-permit"}}); err != nil || v.Ticket.Number != "A001" {
		t.Errorf("then: %s, %v", v.Ticket.Number, err)
	}
}

func TestFactsAreKeptOnceAndTheChainIsFoundFromEachEnd(t *testing.T) {
	s := open(t, Options{})
	id := fill(t, s, "x", 1)[0].ID
	if _, err := s.Call(t.Context(), "kiosk-1", Request{ID: "1"}); err != nil {
		t.Fatal(err)
	}
	report(t, s, id, queue.Event{Kind: queue.EventCompleted, Station: "kiosk-1", Session: session(0), Attempt: 1, Record: record(7)}, queue.Applied)
	fact := Fact{Kind: "receipted", Ticket: id, Session: session(0), Attempt: 1, Record: record(7), At: s.now()}
	for range 2 {
		if err := s.AddFact(t.Context(), "kiosk-1", fact); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddFact(t.Context(), "kiosk-2", fact); !errors.Is(err, ErrUnknown) {
		t.Errorf("a fact of a ticket that was never there: %v", err)
	}
	fact.Ticket = queue.NewID(queue.TicketID)
	fact.Record = record(8)
	if err := s.AddFact(t.Context(), "kiosk-1", fact); !errors.Is(err, ErrUnknown) {
		t.Errorf("a fact of no ticket: %v", err)
	}
	for _, from := range []string{id, session(0), record(7)} {
		c, err := s.Chain(t.Context(), from)
		if err != nil || c.Ticket.ID != id || len(c.Events) != 4 {
			t.Errorf("from %s: %v with %d events, %v", from, c.Ticket, len(c.Events), err)
		}
	}
	for _, from := range []string{"", "x", session(1), record(9), queue.NewID(queue.TicketID)} {
		if _, err := s.Chain(t.Context(), from); !errors.Is(err, ErrUnknown) {
			t.Errorf("from %q: %v", from, err)
		}
	}
}

func TestOneStationDoesNotFillTheFileWithFacts(t *testing.T) {
	s := open(t, Options{})
	id := fill(t, s, "x", 1)[0].ID
	if _, err := s.Call(t.Context(), "kiosk-1", Request{ID: "1"}); err != nil {
		t.Fatal(err)
	}
	fact := Fact{Kind: "refused", Ticket: id, Session: session(0), Attempt: 1, Record: record(7), At: s.now()}
	kept := 0
	for i := range 2 * maxFacts {
		fact.Detail = fmt.Sprint("for the ", i, "th reason")
		switch err := s.AddFact(t.Context(), "kiosk-1", fact); {
		case err == nil:
			kept++
		case !errors.Is(err, ErrUnknown):
			t.Fatal(err)
		}
	}
	if kept != maxFacts {
		t.Errorf("%d facts of one ticket are kept", kept)
	}
}

func TestEventsAreToldInOrderAndMatchTheFile(t *testing.T) {
	var seen []Event
	s := open(t, Options{Watch: func(e Event) { seen = append(seen, e) }})
	fill(t, s, "x", 30)
	var work sync.WaitGroup
	for c := range 10 {
		work.Go(func() {
			for n := range 3 {
				if _, err := s.Call(t.Context(), fmt.Sprintf("kiosk-%d", c), Request{ID: fmt.Sprint(n)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	filed, err := s.EventsAfter(t.Context(), 0, 1000)
	if err != nil || !reflect.DeepEqual(seen, filed) {
		t.Errorf("told %d events, filed %d, %v", len(seen), len(filed), err)
	}
	snap, err := s.Snapshot(t.Context())
	if err != nil || snap.Sequence != filed[len(filed)-1].Sequence || len(snap.Tickets) != 30 {
		t.Errorf("snapshot at %d with %d tickets, %v", snap.Sequence, len(snap.Tickets), err)
	}
}

func TestTheQueueIsThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	for n := range 2 {
		s, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			fill(t, s, "x", 1)
		} else if v, err := s.Call(t.Context(), "kiosk-1", Request{ID: "1"}); err != nil || v.Ticket.Number != "A001" {
			t.Errorf("after reopening: %v, %v", v.Ticket, err)
		}
		var mode, sync string
		if err := s.writer.QueryRowContext(t.Context(), "SELECT (SELECT * FROM pragma_journal_mode), (SELECT * FROM pragma_synchronous)").Scan(&mode, &sync); err != nil || mode != "wal" || sync != "2" {
			t.Errorf("journal %s, synchronous %s, %v", mode, sync, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnErrorInOneChangeUndoesNothingOfTheOthers(t *testing.T) {
	s := open(t, Options{})
	var work sync.WaitGroup
	s.turn <- struct{}{} // hold the turn, so that all share one commit
	for c := range 10 {
		work.Go(func() {
			a := Appointment{Owner: "a", Ref: fmt.Sprint(c), Guests: []Guest{guest(fmt.Sprint("V-", c), "residence-permit")}}
			if c%3 == 0 {
				if _, _, err := s.Decide(t.Context(), queue.NewID(queue.TicketID), Decision{Act: queue.ActPark}); !errors.Is(err, ErrUnknown) {
					t.Error(err)
				}
			} else if _, _, err := s.Put(t.Context(), a); err != nil {
				t.Error(err)
			}
		})
	}
	for {
		s.mu.Lock()
		n := len(s.jobs)
		s.mu.Unlock()
		if n == 10 {
			break
		}
		runtime.Gosched()
	}
	<-s.turn
	work.Wait()
	snap, err := s.Snapshot(t.Context())
	if err != nil || len(snap.Tickets) != 6 {
		t.Errorf("%d tickets, %v; want 6", len(snap.Tickets), err)
	}
}

// A model of one ticket beside the store: whatever is reported in whatever order, no record is dropped and none is kept twice
// without a conflict.
func TestWhateverIsReportedNoRecordVanishes(t *testing.T) {
	s := open(t, Options{})
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		id := fill(t, s, fmt.Sprint("run", run), 1)[0].ID
		reported := map[string]bool{}
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			station := rapid.SampledFrom([]string{"kiosk-1", "kiosk-2"}).Draw(r, "station")
			switch rapid.IntRange(0, 2).Draw(r, "what") {
			case 0:
				_, _ = s.Call(t.Context(), station, Request{ID: queue.NewID("rq"), Ticket: id}) // a refusal is fine
			case 1:
				act := rapid.SampledFrom([]queue.Act{queue.ActPark, queue.ActRecall, queue.ActRequeue, queue.ActNoShow}).Draw(r, "act")
				_, _, _ = s.Decide(t.Context(), id, Decision{Act: act, Author: "staff"}) // a refusal is fine
			case 2:
				kind := rapid.SampledFrom([]queue.Kind{queue.EventStarted, queue.EventCompleted, queue.EventLost, queue.EventAbandoned}).Draw(r, "kind")
				n := rapid.IntRange(1, 3).Draw(r, "attempt")
				e := queue.Event{Kind: kind, Station: station, Session: session(n), Attempt: n, At: s.now()}
				if kind == queue.EventCompleted {
					e.Record = record(run*100 + n)
					reported[e.Record] = true
				}
				if _, _, err := s.Report(t.Context(), id, e); err != nil && kind == queue.EventCompleted {
					r.Fatalf("a record was refused: %v", err)
				}
			}
		}
		c, err := s.Chain(t.Context(), id)
		if err != nil {
			r.Fatal(err)
		}
		kept := map[string]bool{}
		for _, clash := range c.Clashes {
			kept[clash.Record] = true
		}
		if c.Ticket.Record != "" {
			kept[c.Ticket.Record] = true
		}
		if !reflect.DeepEqual(kept, reported) {
			r.Fatalf("reported %v, kept %v", reported, kept)
		}
		if len(reported) > 1 && len(c.Clashes) < len(reported)-1 {
			r.Fatalf("%d records and %d conflicts", len(reported), len(c.Clashes))
		}
	})
}
