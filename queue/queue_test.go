package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"loket/kiosk/biometric"
)

var now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

const theSession, theRecord = "se_aaaaaaaaaaaaaaaa", "00000000000000000000000000000000000000000000000000000000000000aa"

// at gives a ticket in a state as it gets there.
func at(s State) Ticket {
	t := Ticket{ID: "tk_aaaaaaaaaaaaaaaa", Number: "A001", Rank: Normal, Attempt: 1, State: s}
	switch s {
	case Called:
		t.Station = "kiosk-1"
	case Serving:
		t.Station, t.Session = "kiosk-1", theSession
	case Done:
		t.Session, t.Record = theSession, theRecord
	}
	return t
}

func event(k Kind) Event {
	e := Event{Kind: k, Station: "kiosk-1", Session: theSession, Attempt: 1, At: now}
	switch k {
	case EventCompleted:
		e.Record = theRecord
	case EventHandedOver:
		e.Target = "desk-1"
	}
	return e
}

func TestEveryReportInEveryState(t *testing.T) {
	kinds := []Kind{EventStarted, EventCompleted, EventDeclined, EventAbandoned, EventNoShow, EventCancelled, EventLost, EventHandedOver}
	held := map[Kind]State{EventStarted: Serving, EventCompleted: Done, EventDeclined: Waiting, EventAbandoned: Parked,
		EventNoShow: NoShow, EventCancelled: Waiting, EventLost: Waiting, EventHandedOver: Waiting}
	for _, s := range States() {
		for _, k := range kinds {
			before := at(s)
			got, effect, err := before.Report(event(k))
			name := fmt.Sprintf("%s while %s", k, s)
			switch {
			case before.Held():
				if got.State != held[k] || effect != Applied || err != nil {
					t.Errorf("%s: %s, %s, %v", name, got.State, effect, err)
				}
				bumped := k != EventStarted && k != EventCompleted
				if (got.Attempt == 2) != bumped {
					t.Errorf("%s: attempt %d", name, got.Attempt)
				}
				if (got.Rank == Front) != (k == EventLost || k == EventHandedOver) {
					t.Errorf("%s: rank %d", name, got.Rank)
				}
			case k == EventStarted:
				if !errors.Is(err, ErrStale) {
					t.Errorf("%s: %v", name, err)
				}
			case k == EventCompleted && s == Done:
				if effect != Applied || err != nil {
					t.Errorf("%s: %s, %v", name, effect, err)
				}
			case k == EventCompleted:
				if got.State != Done || effect != Conflict || err != nil {
					t.Errorf("%s: %s, %s, %v", name, got.State, effect, err)
				}
			case effect != Stale || err != nil || got.State != s:
				t.Errorf("%s: %s, %s, %v", name, got.State, effect, err)
			}
		}
	}
}

func TestAReportAppliesOnce(t *testing.T) {
	for _, k := range []Kind{EventDeclined, EventAbandoned, EventNoShow, EventCancelled, EventLost, EventHandedOver} {
		once, _, err := at(Serving).Report(event(k))
		if err != nil {
			t.Fatal(err)
		}
		twice, effect, err := once.Report(event(k))
		if effect != Stale || err != nil || twice.State != once.State || twice.Attempt != once.Attempt {
			t.Errorf("%s: %s, %v", k, effect, err)
		}
	}
}

func TestAHandedOverTicketLivesOnAtItsTarget(t *testing.T) {
	moved, err := at(Serving).HandOver("kiosk-1", "desk-1", theSession, 1, now)
	if err != nil || moved.Station != "desk-1" || moved.Session != theSession || moved.Attempt != 1 || moved.State != Serving {
		t.Fatalf("%+v, %v", moved, err)
	}
	if again, err := moved.HandOver("kiosk-1", "desk-1", theSession, 1, now); err != nil || again.Station != "desk-1" {
		t.Errorf("handed over again: %+v, %v", again, err)
	}
	if told, effect, err := moved.Report(event(EventHandedOver)); effect != Applied || err != nil || told.Station != "desk-1" {
		t.Errorf("told of by the kiosk: %+v, %s, %v", told, effect, err)
	}
	e := event(EventCompleted)
	e.Station = "desk-1"
	if done, effect, _ := moved.Report(e); done.State != Done || effect != Applied {
		t.Errorf("completed at the desk: %s, %s", done.State, effect)
	}
	if _, effect, _ := moved.Report(event(EventLost)); effect != Stale {
		t.Errorf("lost at the kiosk, late: %s", effect)
	}
}

func TestOnlyTheSessionInProgressIsHandedOver(t *testing.T) {
	for _, s := range States() {
		_, err := at(s).HandOver("kiosk-1", "desk-1", theSession, 1, now)
		if (err == nil) != (s == Serving) {
			t.Errorf("while %s: %v", s, err)
		}
	}
	for name, try := range map[string]func() (Ticket, error){
		"another station": func() (Ticket, error) { return at(Serving).HandOver("kiosk-2", "desk-1", theSession, 1, now) },
		"another session": func() (Ticket, error) { return at(Serving).HandOver("kiosk-1", "desk-1", "se_other", 1, now) },
		"another attempt": func() (Ticket, error) { return at(Serving).HandOver("kiosk-1", "desk-1", theSession, 2, now) },
		"no session":      func() (Ticket, error) { return at(Serving).HandOver("kiosk-1", "desk-1", "", 1, now) },
	} {
		if got, err := try(); err == nil || got.Station != "kiosk-1" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestEveryDecisionInEveryState(t *testing.T) {
	want := map[Act]map[State]State{
		ActRecall:  {Called: Called, Parked: Waiting, NoShow: Waiting},
		ActPark:    {Waiting: Parked, Called: Parked},
		ActNoShow:  {Called: NoShow},
		ActCancel:  {Waiting: Cancelled, Called: Cancelled, Parked: Cancelled, NoShow: Cancelled},
		ActRequeue: {Called: Waiting, Serving: Waiting},
	}
	for act, states := range want {
		for _, s := range States() {
			got, err := at(s).Decide(act, now)
			to, ok := states[s]
			switch {
			case ok && (err != nil || got.State != to):
				t.Errorf("%s while %s: %s, %v", act, s, got.State, err)
			case !ok && (!errors.Is(err, ErrOutOfPlace) || got.State != s):
				t.Errorf("%s while %s: %s, %v", act, s, got.State, err)
			case ok && at(s).Held() && to != Called && got.Attempt != 2:
				t.Errorf("%s while %s: attempt %d, though a station may be at it", act, s, got.Attempt)
			}
		}
	}
	if _, err := at(Waiting).Decide("juggle", now); err == nil {
		t.Error("an unknown decision was taken")
	}
}

func TestOnlyWhoWaitsIsCalledAndACodeBringsBackWhoWasSetAside(t *testing.T) {
	for _, s := range States() {
		_, err := at(s).Call("kiosk-2", now)
		if (err == nil) != (s == Waiting) {
			t.Errorf("calling while %s: %v", s, err)
		}
		_, err = at(s).CheckIn("kiosk-2", now)
		if (err == nil) != (s == Waiting || s == Parked || s == NoShow) {
			t.Errorf("checking in while %s: %v", s, err)
		}
		if at(s).Held() && !errors.Is(err, ErrElsewhere) {
			t.Errorf("checking in elsewhere while %s: %v", s, err)
		}
	}
}

func TestEventsThatLackSomethingAreRefused(t *testing.T) {
	for name, e := range map[string]Event{
		"no kind":       {Session: theSession, Attempt: 1},
		"no session":    {Kind: EventStarted, Attempt: 1},
		"no attempt":    {Kind: EventLost},
		"bad session":   {Kind: EventLost, Session: "x", Attempt: 1},
		"no record":     {Kind: EventCompleted, Session: theSession, Attempt: 1},
		"upper case":    {Kind: EventCompleted, Session: theSession, Attempt: 1, Record: strings.ToUpper(theRecord)},
		"no target":     {Kind: EventHandedOver, Session: theSession, Attempt: 1},
		"target itself": {Kind: EventHandedOver, Session: theSession, Attempt: 1, Station: "a", Target: "a"},
	} {
		if _, _, err := at(Serving).Report(e); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCodesAreReadAsPeopleTypeThem(t *testing.T) {
	seen := map[Code]bool{}
	for range 1000 {
		c := NewCode()
		if seen[c] {
			t.Fatal("a code came twice")
		}
		seen[c] = true
		typed := strings.ToLower(string(c[:5]) + "-" + string(c[5:]))
		typed = strings.NewReplacer("0", "o", "1", "l").Replace(typed)
		if got, err := ParseCode(typed); err != nil || got != c {
			t.Fatalf("typed anew it is another code: %v", err)
		}
	}
	for _, bad := range []string{"", "ABC", "ABCDEFGHJKM", "ABCDEFGHJ!", strings.Repeat(" ", 65) + "ABCDEFGHJK", "ABCDEFGHJU"} {
		if _, err := ParseCode(bad); err == nil {
			t.Errorf("%q is a code", bad)
		}
	}
}

func FuzzParseCode(f *testing.F) {
	f.Add("abcde-fghjk")
	f.Fuzz(func(t *testing.T, typed string) {
		c, err := ParseCode(typed)
		if err != nil {
			return
		}
		if again, err := ParseCode(string(c)); err != nil || again != c {
			t.Errorf("%q read again is another", typed)
		}
	})
}

func TestFiveWrongTriesInARowPauseEntry(t *testing.T) {
	e := Entry{Station: "kiosk-1"}
	for n := 1; n <= WrongTries; n++ {
		var pausing bool
		if e, pausing = e.Tried(false, now); pausing != (n == WrongTries) {
			t.Errorf("try %d: paused %v", n, pausing)
		}
	}
	if e.Open(now) || !e.Open(now.Add(EntryPause)) {
		t.Error("entry does not rest for its time")
	}
	if e, _ = e.Tried(false, now.Add(EntryPause)); e.Wrong != 1 {
		t.Errorf("after the pause a wrong try counts as the %dth", e.Wrong)
	}
	if e, _ = e.Tried(true, now); e.Wrong != 0 {
		t.Error("a right try does not clear the count")
	}
}

func TestIDsHaveTheirForm(t *testing.T) {
	id := NewID(TicketID)
	if !ValidID(id, TicketID) || ValidID(id, VisitID) || ValidID(id+"a", TicketID) || ValidID(strings.ToUpper(id), TicketID) || NewID(TicketID) == id {
		t.Errorf("id %q", id)
	}
}

func TestInitials(t *testing.T) {
	for name, want := range map[string]string{"Ada Lovelace": "A.L.", "anne-marie de Vries": "A.M.D.V.", "": "", " ": "", "Ægir": "Æ.", "محمد علي": "م.ع.", "a b c d e": "A.B.C.D."} {
		if got := (Person{Name: name}).Initials(); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestNamesAndCodesStayOutOfLogs(t *testing.T) {
	var log strings.Builder
	l := slog.New(slog.NewTextHandler(&log, nil))
	p := Person{ID: "pe_x", Name: "Ada Lovelace", Reference: "V-123", BirthDate: "1815-12-10"}
	k := Ticket{ID: "tk_x", Code: "ABCDEFGHJK"}
	l.Info("x", "person", p, "ticket", k, "code", k.Code, "born", p.BirthDate)
	fmt.Fprintf(&log, "%v %+v %#v %s | %v %+v %#v %s | %v %#v", p, p, p, p, k, k, k, k, k.Code, k.Code)
	for _, secret := range []string{"Ada", "V-123", "1815", "ABCDEFGHJK"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log: %s", secret, log.String())
		}
	}
}

func TestALetterThatContradictsItselfIsRefused(t *testing.T) {
	file := OnFile{Modality: biometric.Finger, Position: biometric.LeftIndex, Date: "2025-01-02", Source: "application 1"}
	good := Letter{Asked: []biometric.Modality{biometric.Face, biometric.Finger, biometric.Signature}, OnFile: []OnFile{file}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*OnFile){
		"modality": func(f *OnFile) { f.Modality = "dna" },
		"slap":     func(f *OnFile) { f.Position = biometric.LeftFour },
		"face 3":   func(f *OnFile) { f.Modality, f.Position = biometric.Face, 3 },
		"source":   func(f *OnFile) { f.Source = "" },
		"date":     func(f *OnFile) { f.Date = "2025-13-01" },
	} {
		bad := file
		change(&bad)
		if (Letter{OnFile: []OnFile{bad}}).Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if (Letter{Asked: []biometric.Modality{biometric.Face, biometric.Face}}).Check() == nil {
		t.Error("asked twice: no error")
	}
}

func TestAServiceNeedsIDPrefixAndOrganisation(t *testing.T) {
	if err := ResidencePermit().Check(); err != nil {
		t.Error(err)
	}
	for _, s := range []Service{{}, {ID: "x", Prefix: "a", Organisation: "o"}, {ID: "x", Prefix: "AB", Organisation: "o"}, {ID: "x", Prefix: "A"}} {
		if s.Check() == nil {
			t.Errorf("%+v: no error", s)
		}
	}
}
