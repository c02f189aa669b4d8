package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// State is where a ticket stands.
type State string

// The states of a ticket.
const (
	Waiting   State = "waiting"
	Called    State = "called"    // for a station, which may or may not have begun
	Serving   State = "serving"   // a session is in progress at a station
	Parked    State = "parked"    // set aside: never called unasked
	Done      State = "done"      // a record is committed
	NoShow    State = "no-show"   // called and not there: never called unasked
	Cancelled State = "cancelled" // withdrawn
)

// States lists all states.
func States() []State { return []State{Waiting, Called, Serving, Parked, Done, NoShow, Cancelled} }

// Rank orders waiting tickets before anything else does.
type Rank int

// The ranks.
const (
	Front  Rank = 0 // back through no fault of the person's
	Normal Rank = 1
)

// Ticket calls one person for one service.
type Ticket struct {
	ID      string
	Number  string // shown and spoken: "A012"
	Code    Code
	Visit   string // id
	Person  string // id
	Service string // id
	Letter  Letter

	State    State
	Rank     Rank
	Due      time.Time // then the order of waiting: rank, due, order
	Order    int64
	Attempt  int    // which attempt is next or in progress, 1 and up; a session is one attempt
	Station  string // while called or serving
	Session  string // while serving, and of the record when done
	Record   string // when done
	FollowUp bool   // a further appointment is needed
	Changed  time.Time
}

// LogValue gives what names no one.
func (t Ticket) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", t.ID), slog.String("number", t.Number), slog.String("state", string(t.State)), slog.Int("attempt", t.Attempt))
}

// String keeps the code out of formatted output.
func (t Ticket) String() string { return fmt.Sprintf("ticket %s (%s)", t.ID, t.State) }

// GoString keeps the code out of %#v.
func (t Ticket) GoString() string { return t.String() }

// Held reports whether a station has the ticket.
func (t Ticket) Held() bool { return t.State == Called || t.State == Serving }

// Ends reports whether the ticket is through: done or cancelled.
func (t Ticket) Ends() bool { return t.State == Done || t.State == Cancelled }

// What callers branch on.
var (
	ErrOutOfPlace = errors.New("not possible in the ticket's state")
	ErrElsewhere  = errors.New("another station has the ticket")
	ErrStale      = errors.New("the ticket has moved on")
)

// Call gives a waiting ticket to a station. A ticket that this station was called for stays as it is.
func (t Ticket) Call(station string, now time.Time) (Ticket, error) {
	switch {
	case t.State == Waiting:
		t.State, t.Station, t.Session, t.Changed = Called, station, "", now
		return t, nil
	case t.State == Called && t.Station == station:
		return t, nil
	}
	return t, t.refuse("calling", station)
}

// CheckIn gives the ticket to the station where its person stands. Who was parked or not there asks by this to be served.
func (t Ticket) CheckIn(station string, now time.Time) (Ticket, error) {
	if t.State == Parked || t.State == NoShow {
		t.State = Waiting
	}
	next, err := t.Call(station, now)
	if err != nil {
		return t, t.refuse("checking in", station)
	}
	return next, nil
}

func (t Ticket) refuse(doing, station string) error {
	if t.Held() && t.Station != station {
		return fmt.Errorf("%s ticket %s: %w", doing, t.ID, ErrElsewhere)
	}
	return fmt.Errorf("%s ticket %s: it is %s: %w", doing, t.ID, t.State, ErrOutOfPlace)
}

// Kind is what a station reports of a ticket.
type Kind string

// What a station reports: the start of a session and its ends.
const (
	EventStarted    Kind = "started"
	EventCompleted  Kind = "completed"
	EventDeclined   Kind = "declined"  // "that is not me"
	EventAbandoned  Kind = "abandoned" // nobody acted
	EventNoShow     Kind = "no-show"
	EventCancelled  Kind = "cancelled"
	EventLost       Kind = "lost"        // the station failed and the captures are gone
	EventHandedOver Kind = "handed-over" // to a station that accepted it before
)

// Event is one report of a station. It may come late, twice, or for a session that the queue has given up on.
type Event struct {
	Kind     Kind
	Station  string
	Session  string // may be empty for no-show, cancelled and lost: the station had not begun one
	Attempt  int
	Record   string // with completed
	FollowUp bool   // with completed: the policy wants a further appointment
	Target   string // with handed-over: the receiving station
	Final    bool   // with cancelled: the person leaves; otherwise the ticket waits again
	At       time.Time
}

// Check reports what an event lacks for its kind.
func (e Event) Check() error {
	needsSession := e.Kind != EventNoShow && e.Kind != EventCancelled && e.Kind != EventLost
	switch e.Kind {
	case EventStarted, EventDeclined, EventAbandoned, EventNoShow, EventCancelled, EventLost:
	case EventCompleted:
		if !ValidRecord(e.Record) {
			return errors.New("checking an event: completed needs the record's id, 64 hexadecimal digits")
		}
	case EventHandedOver:
		if e.Target == "" || e.Target == e.Station {
			return errors.New("checking an event: handed-over needs another station as target")
		}
	default:
		return fmt.Errorf("checking an event: %q is none", e.Kind)
	}
	switch {
	case e.Attempt < 1:
		return errors.New("checking an event: attempts count from 1")
	case needsSession && e.Session == "":
		return fmt.Errorf("checking an event: %s needs a session", e.Kind)
	case e.Session != "" && !ValidID(e.Session, "se"):
		return errors.New("checking an event: the session is not se_ and 16 characters")
	}
	return nil
}

// ValidRecord reports whether id has the form of a record's: the SHA-256 of sealed bytes, in lower-case hexadecimal.
func ValidRecord(id string) bool {
	if len(id) != 64 {
		return false
	}
	for _, c := range id {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Effect is what a report did.
type Effect string

// The effects.
const (
	Applied  Effect = "applied"  // the ticket is as reported, now or already before
	Stale    Effect = "stale"    // the ticket has moved on: nothing changed
	Conflict Effect = "conflict" // a record exists that should not: kept and shown to staff
)

// Report applies what a station says. Only a start that comes too late is an error ([ErrStale] or [ErrElsewhere]): the
// station must not go on. A late end changes nothing, but a record is never dropped: it settles a ticket that waits, or is a
// conflict.
func (t Ticket) Report(e Event) (Ticket, Effect, error) {
	if err := e.Check(); err != nil {
		return t, "", err
	}
	if e.Kind == EventCompleted {
		next, effect := t.complete(e)
		return next, effect, nil
	}
	mine := t.Held() && t.Station == e.Station && t.Attempt == e.Attempt && (t.Session == "" || e.Session == "" || t.Session == e.Session)
	if e.Kind == EventStarted {
		return t.start(e, mine)
	}
	if e.Kind == EventHandedOver && t.Session == e.Session && t.Attempt == e.Attempt && t.Station == e.Target {
		return t, Applied, nil // as [Ticket.HandOver] left it
	}
	if !mine {
		return t, Stale, nil
	}
	next := t.leave(e.At)
	switch e.Kind {
	case EventDeclined:
		next.State = Waiting
	case EventAbandoned:
		next.State = Parked
	case EventNoShow:
		next.State = NoShow
	case EventCancelled:
		next.State = Waiting
		if e.Final {
			next.State = Cancelled
		}
	case EventLost, EventHandedOver: // what was handed over to nobody is lost too
		next.State, next.Rank = Waiting, Front
	}
	return next, Applied, nil
}

// HandOver gives a ticket that is being served from one station to another, which has the session from then on. A ticket that
// was given so before stays as it is.
func (t Ticket) HandOver(from, to, session string, attempt int, now time.Time) (Ticket, error) {
	same := t.State == Serving && session != "" && t.Session == session && t.Attempt == attempt
	switch {
	case same && t.Station == to:
		return t, nil
	case same && t.Station == from:
		t.Station, t.Changed = to, now
		return t, nil
	case t.Held() && t.Station != from:
		return t, fmt.Errorf("handing ticket %s over: %w", t.ID, ErrElsewhere)
	}
	return t, fmt.Errorf("handing ticket %s over: %w", t.ID, ErrStale)
}

// start begins a session, or finds it begun.
func (t Ticket) start(e Event, mine bool) (Ticket, Effect, error) {
	switch {
	case mine:
		t.State, t.Session = Serving, e.Session
		t.Changed = e.At
		return t, Applied, nil
	case t.Held() && t.Station != e.Station:
		return t, Stale, fmt.Errorf("starting attempt %d at ticket %s: %w", e.Attempt, t.ID, ErrElsewhere)
	}
	return t, Stale, fmt.Errorf("starting attempt %d at ticket %s: it is %s at attempt %d: %w", e.Attempt, t.ID, t.State, t.Attempt, ErrStale)
}

// complete takes in a committed record.
func (t Ticket) complete(e Event) (Ticket, Effect) {
	if t.State == Done && t.Record == e.Record {
		return t, Applied
	}
	mine := t.Held() && t.Station == e.Station && t.Attempt == e.Attempt && (t.Session == "" || t.Session == e.Session)
	done := t
	done.State, done.Station, done.Session, done.Record, done.FollowUp, done.Changed = Done, "", e.Session, e.Record, e.FollowUp, e.At
	switch {
	case mine:
		return done, Applied
	case t.Held() || t.State == Done:
		return t, Conflict
	}
	return done, Conflict // nobody is at it: calling it again would make a second record
}

// leave takes the ticket from its station. The attempt there is used up, so whatever comes late for it is recognised.
func (t Ticket) leave(now time.Time) Ticket {
	if t.Held() {
		t.Attempt++
	}
	t.Station, t.Session, t.Changed = "", "", now
	return t
}

// Act is what staff do with a ticket.
type Act string

// What staff do.
const (
	ActRecall  Act = "recall"  // called: call again; parked or not there: wait again
	ActPark    Act = "park"    // set aside
	ActNoShow  Act = "no-show" // called and not there
	ActCancel  Act = "cancel"  // withdraw
	ActRequeue Act = "requeue" // take a ticket from a station that is lost: to the front
)

// Decide applies what staff decided. A ticket that is being served can only be requeued: the station may be at it, so whoever
// decides that knows it is lost.
func (t Ticket) Decide(a Act, now time.Time) (Ticket, error) {
	next, ok := t, false
	switch a {
	case ActRecall:
		switch t.State {
		case Called:
			return t, nil
		case Parked, NoShow:
			next.State, next.Changed, ok = Waiting, now, true
		}
	case ActPark:
		next, ok = t.leave(now), t.State == Waiting || t.State == Called
		next.State = Parked
	case ActNoShow:
		next, ok = t.leave(now), t.State == Called
		next.State = NoShow
	case ActCancel:
		next, ok = t.leave(now), t.State == Waiting || t.State == Called || t.State == Parked || t.State == NoShow
		next.State = Cancelled
	case ActRequeue:
		next, ok = t.leave(now), t.Held()
		next.State, next.Rank = Waiting, Front
	default:
		return t, fmt.Errorf("deciding on ticket %s: %q is no decision", t.ID, a)
	}
	if !ok {
		return t, fmt.Errorf("deciding %s on ticket %s: it is %s: %w", a, t.ID, t.State, ErrOutOfPlace)
	}
	return next, nil
}

// OneRecordIn is the time in which a second record for one person and service is a conflict. After six months a new
// application takes new biometrics.
const OneRecordIn = 180 * 24 * time.Hour

// Clash is two records where one should be, kept until staff resolve it.
type Clash struct {
	ID      int64
	Ticket  string
	Reason  string // "late", "other-session", "second-record"
	Record  string // the record that came
	Session string
	Attempt int
	Station string
	Other   string // the record that was there, if any
	At      time.Time
}
