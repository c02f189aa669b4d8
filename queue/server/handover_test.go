package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"loket/kiosk/identity"
	"loket/queue"
	"loket/queue/station"
)

// counter is a kiosk that serves a ticket, and a desk that can take it over.
type counter struct {
	*centre
	kiosk, desk *station.Client
	link        *station.Link
	taken       chan station.Command
	p           station.HandOverParams
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{centre: newCentre(t), taken: make(chan station.Command)}
	kiosk, desk := c.authority.issue("kiosk-1", "Centre", "kiosk"), c.authority.issue("desk-1", "Centre", "desk")
	c.kiosk, c.desk = c.client(kiosk), c.client(desk)
	ticket := c.put("one", person("V-1", "Ada Lovelace")).Persons[0].Tickets[0]
	if _, err := c.kiosk.Call(t.Context(), station.Call{RequestID: "request-1", Ticket: ticket.ID}); err != nil {
		t.Fatal(err)
	}
	c.p = station.HandOverParams{Ticket: ticket.ID, Session: queue.NewID("se"), Attempt: 1, Target: "desk-1"}
	if _, err := c.kiosk.Report(t.Context(), ticket.ID, station.Event{Event: queue.EventStarted, Session: c.p.Session, Attempt: 1, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	c.link = &station.Link{URL: c.url, TLS: desk.Client(identity.RoleQueue), Version: "test"}
	if err := c.link.SetKey(station.HandoverKey{JSON: []byte("{}"), Sig: []byte{1}, Chain: [][]byte{{2}}}); err != nil {
		t.Fatal(err)
	}
	c.link.SetStatus(station.Status{Ready: true, At: time.Now()})
	ctx, stop := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = c.link.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-gone
	})
	for range 1000 {
		if _, err := c.kiosk.HandoverKey(t.Context(), "desk-1"); err == nil {
			return c
		}
	}
	t.Fatal("the desk was never free")
	return nil
}

// desks answers the desk's next command with what do says.
func (c *counter) desks(t *testing.T, do func(order station.TakeSession) error) {
	t.Helper()
	go func() {
		o := <-c.link.Commands()
		answer := station.Answer{Command: o.ID, Done: true}
		if err := do(*o.Take); err != nil {
			answer.Done, answer.Reason = false, err.Error()
		}
		_ = c.link.Answer(answer)
	}()
}

func TestASealedBundleIsRelayedAndTheTicketFollowsIt(t *testing.T) {
	c := newCounter(t)
	sealed, id := bytes.Repeat([]byte("sealed"), 100000), queue.NewID("ho")
	c.desks(t, func(o station.TakeSession) error {
		if o != (station.TakeSession{Handover: id, From: "kiosk-1", Ticket: c.p.Ticket, Session: c.p.Session, Attempt: 1}) {
			return fmt.Errorf("the order is %+v", o)
		}
		got, err := c.desk.Bundle(t.Context(), o.Handover)
		if err != nil || !bytes.Equal(got, sealed) {
			return fmt.Errorf("another bundle came: %w", err)
		}
		if _, err := c.kiosk.Bundle(t.Context(), o.Handover); err == nil {
			return errors.New("a kiosk fetched it")
		}
		ticket, err := c.desk.Accept(t.Context(), o.Handover)
		if err == nil && (ticket.Station != "desk-1" || ticket.Session != c.p.Session || ticket.Subject.Name == "") {
			err = fmt.Errorf("the ticket is %+v", ticket)
		}
		return err
	})
	end, err := c.kiosk.HandOver(t.Context(), id, c.p, sealed)
	if err != nil || !end.Moved {
		t.Fatalf("%+v, %v", end, err)
	}
	// It is over: whoever asks again hears the same, and nobody takes it twice.
	if end, err := c.kiosk.Withdraw(t.Context(), id, c.p); err != nil || !end.Moved {
		t.Errorf("asked again: %+v, %v", end, err)
	}
	if _, err := c.desk.Accept(t.Context(), id); !station.RefusedAs(err, station.ProblemStale) {
		t.Errorf("accepted again: %v", err)
	}
	if _, err := c.desk.Bundle(t.Context(), id); !station.RefusedAs(err, station.ProblemUnknown) {
		t.Errorf("fetched again: %v", err)
	}
	if _, err := c.kiosk.HandOver(t.Context(), queue.NewID("ho"), c.p, sealed); !station.Refused(err) {
		t.Errorf("sent again: %v", err)
	}
	effect, err := c.kiosk.Report(t.Context(), c.p.Ticket, station.Event{Event: queue.EventHandedOver, Session: c.p.Session, Attempt: 1, Target: "desk-1", At: time.Now()})
	if err != nil || effect.Effect != queue.Applied || effect.Ticket.Station != "desk-1" {
		t.Errorf("told of: %+v, %v", effect, err)
	}
}

func TestASessionThatNobodyTakesStaysWhereItIs(t *testing.T) {
	c := newCounter(t)
	c.desks(t, func(station.TakeSession) error { return errors.New("it does not open") })
	id := queue.NewID("ho")
	end, err := c.kiosk.HandOver(t.Context(), id, c.p, []byte("sealed"))
	if err != nil || end.Moved || end.Reason != "it does not open" {
		t.Errorf("%+v, %v", end, err)
	}
	if _, err := c.desk.Accept(t.Context(), id); !station.RefusedAs(err, station.ProblemStale) {
		t.Errorf("accepted too late: %v", err)
	}
	ticket, err := c.desk.Ticket(t.Context(), c.p.Ticket)
	if err != nil || ticket.Station != "kiosk-1" || ticket.Session != c.p.Session {
		t.Errorf("the ticket is %v at %s, %v", ticket, ticket.Station, err)
	}
}

func TestAHandOverThatWasWithdrawnDoesNotBeginWhenItsBundleComesLate(t *testing.T) {
	c := newCounter(t)
	c.desks(t, func(o station.TakeSession) error {
		_, err := c.desk.Accept(t.Context(), o.Handover)
		return err
	})
	id := queue.NewID("ho")
	if end, err := c.kiosk.Withdraw(t.Context(), id, c.p); err != nil || end.Moved {
		t.Fatalf("%+v, %v", end, err)
	}
	if end, err := c.kiosk.HandOver(t.Context(), id, c.p, []byte("sealed")); !station.Refused(err) {
		t.Errorf("it began: %+v, %v", end, err)
	}
	if ticket, err := c.kiosk.Ticket(t.Context(), c.p.Ticket); err != nil || ticket.Station != "kiosk-1" {
		t.Errorf("the kiosk goes on with the session, and so does %s, %v", ticket.Station, err)
	}
	if end, err := c.kiosk.HandOver(t.Context(), queue.NewID("ho"), c.p, []byte("sealed")); err != nil || !end.Moved {
		t.Errorf("another one: %+v, %v", end, err)
	}
}

func TestThereIsRoomForABundleBeforeItIsRead(t *testing.T) {
	var r relay
	of := func(from string) *bundle {
		return &bundle{order: station.TakeSession{Handover: queue.NewID("ho"), From: from, Session: queue.NewID("se")}, target: "desk-1"}
	}
	first := of("kiosk-1")
	if !r.add(first) || r.add(of("kiosk-1")) {
		t.Error("a station hands two sessions over at a time")
	}
	if _, err := r.find(first.order.Handover, "desk-1"); err == nil {
		t.Error("what is not here yet is given to the desk")
	}
	for i := 2; r.add(of("kiosk-" + strconv.Itoa(i))); i++ {
	}
	if len(r.bundles) != maxRelayed {
		t.Errorf("%d bundles are read at a time", len(r.bundles))
	}
	now := time.Now()
	if err := r.drop(first.order.Handover, now); err != nil || r.fill(first, []byte("sealed")) || r.add(first) {
		t.Error("it goes on after it was withdrawn")
	}
	for range maxOver - 1 {
		if err := r.drop(queue.NewID("ho"), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.drop(queue.NewID("ho"), now); err == nil {
		t.Error("what ended is remembered without end")
	}
	if err := r.drop(queue.NewID("ho"), now.Add(rememberOver+1)); err != nil || len(r.over) != 1 {
		t.Error("what ended long ago is not forgotten")
	}
}

func TestAHandOverIsForThoseWhoHaveTheSessionAndThoseWhoCanTakeIt(t *testing.T) {
	c := newCounter(t)
	other := c.client(c.authority.issue("kiosk-2", "Centre", "kiosk"))
	partner := c.client(c.authority.issue("partner", "Centre", "appointments"))
	change := func(f func(*station.HandOverParams)) station.HandOverParams {
		p := c.p
		f(&p)
		return p
	}
	for name, try := range map[string]struct {
		as   *station.Client
		p    station.HandOverParams
		data []byte
	}{
		"another kiosk":   {other, c.p, []byte("x")},
		"a partner":       {partner, c.p, []byte("x")},
		"no such desk":    {c.kiosk, change(func(p *station.HandOverParams) { p.Target = "desk-9" }), []byte("x")},
		"to itself":       {c.kiosk, change(func(p *station.HandOverParams) { p.Target = "kiosk-1" }), []byte("x")},
		"another session": {c.kiosk, change(func(p *station.HandOverParams) { p.Session = queue.NewID("se") }), []byte("x")},
		"another attempt": {c.kiosk, change(func(p *station.HandOverParams) { p.Attempt = 2 }), []byte("x")},
		"another ticket":  {c.kiosk, change(func(p *station.HandOverParams) { p.Ticket = queue.NewID("tk") }), []byte("x")},
		"nothing":         {c.kiosk, c.p, nil},
		"too much":        {c.kiosk, c.p, make([]byte, maxBundle+1)},
	} {
		if end, err := try.as.HandOver(t.Context(), queue.NewID("ho"), try.p, try.data); err == nil {
			t.Errorf("%s: %+v", name, end)
		}
	}
	if _, err := partner.HandoverKey(t.Context(), "desk-1"); !station.RefusedAs(err, station.ProblemForbidden) {
		t.Errorf("a partner asks for a key: %v", err)
	}
	if _, err := c.kiosk.Accept(t.Context(), queue.NewID("ho")); !station.RefusedAs(err, station.ProblemForbidden) {
		t.Errorf("a kiosk accepts: %v", err)
	}
	if _, err := c.kiosk.HandoverKey(t.Context(), "kiosk-1"); err == nil {
		t.Error("a kiosk has a key")
	}
}

func TestAOneTimeCodeGivesNoRightThatItsHolderLacksAtTheConsole(t *testing.T) {
	c := newStaffed(t)
	visitor := queue.Membership{Role: queue.ImmigrationOfficer, Organisation: "municipality"}
	if _, err := c.server.Store.AddAccount(t.Context(), queue.Account{Login: "visitor", Roles: []queue.Membership{visitor}}, password); err != nil {
		t.Fatal(err)
	}
	desk := c.client(c.authority.issue("desk-1", "Centre", "desk"))
	use := func(login string) error {
		var answer struct {
			Code string `json:"code"`
		}
		status, body := c.signedIn(login).do("POST", "/api/code", nil)
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		_, err := desk.Identify(t.Context(), answer.Code)
		return err
	}
	if err := use("visitor"); err != nil {
		t.Errorf("where nobody is: %v", err)
	}
	ticket := c.put("one", person("V-1", "Ada Lovelace")).Persons[0].Tickets[0]
	if _, err := desk.Call(t.Context(), station.Call{RequestID: "request-1", Ticket: ticket.ID}); err != nil {
		t.Fatal(err)
	}
	if err := use("visitor"); !station.RefusedAs(err, station.ProblemForbidden) {
		t.Errorf("for a session of another organisation: %v", err)
	}
	if err := use("officer"); err != nil {
		t.Errorf("for one of their own: %v", err)
	}
}

func TestAOneTimeCodeNamesItsHolderOnce(t *testing.T) {
	c := newStaffed(t)
	b := c.signedIn("attendant")
	desk := c.client(c.authority.issue("desk-1", "Centre", "desk"))
	give := func() string {
		var answer struct {
			Code string `json:"code"`
		}
		status, body := b.do("POST", "/api/code", nil)
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		return answer.Code
	}
	first, second := give(), give()
	if _, err := desk.Identify(t.Context(), first); !station.RefusedAs(err, station.ProblemUnknown) {
		t.Errorf("a code that another one replaced: %v", err)
	}
	if who, err := desk.Identify(t.Context(), second); err != nil || !queue.ValidID(who, "ac") {
		t.Errorf("%q, %v", who, err)
	}
	if _, err := desk.Identify(t.Context(), second); !station.RefusedAs(err, station.ProblemUnknown) {
		t.Errorf("a code that was used: %v", err)
	}
	var codes oneTimeCodes
	now := time.Now()
	code, until := codes.give(queue.Account{ID: "ac_1"}, now)
	if _, ok := codes.use(code, until); ok {
		t.Error("a code counts after its time")
	}
	for range wrongCodes + 2 {
		_, _ = desk.Identify(t.Context(), "0000000000")
	}
	if _, err := desk.Identify(t.Context(), give()); station.Refused(err) || err == nil {
		t.Errorf("after many wrong codes a station may go on: %v", err)
	}
	if status, _ := c.signedIn("clerk").do("POST", "/api/code", nil); status != http.StatusForbidden {
		t.Errorf("a clerk got a code: %d", status)
	}
}
