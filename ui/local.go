package ui

import (
	"time"

	"loket/kiosk/api"
	"loket/kiosk/session"
)

// CodeLength is how many characters a code has.
const CodeLength = 10

// codeKeys are the characters of codes, in the order of the screen's keyboard. Codes have no I, L, O and U.
const codeKeys = "1234567890ABCDEFGHJKMNPQRSTVWXYZ"

// Limits of the screens that belong to no session; those of sessions come from the policy. EN 301 549 V3.2.1 asks for at
// least 20 seconds of warning.
const (
	idleLimit = 90 * time.Second
	idleWarn  = 30 * time.Second
	doneLimit = 45 * time.Second
	minWarn   = 20 * time.Second
)

// Choice is what the present person chose for the screen. It is forgotten with the person.
type Choice struct {
	Language string // empty: not chosen
	Size     int    // of text: 0, 1 or 2
	High     bool   // high contrast
}

// Local is what the screen remembers by itself. It holds nothing of a person but the code while it is typed.
type Local struct {
	Choice
	Page    string // laid over what the status says: "languages", "help", "code", "today" or "stop"
	Code    string // typed so far
	Sending bool   // the code is being looked up
	Refused string // the daemon's word for why a command was refused
	Session string // the session that is shown, or was shown last
	State   session.State
	Entry   int
	Inked   int       // points that were written of a signature
	Follow  bool      // that session needs a further appointment
	Ended   string    // how that session ended, since the daemon said so; it may forget
	Over    time.Time // when it was seen to be over; zero while it lives
	Touched time.Time // when the person last acted
	again   int       // counts requests to read aloud once more
}

// Follow gives what the screen remembers after it has seen a status. A new session begins with what its person chose before;
// whatever else was chosen is forgotten when nobody stands there any more.
func (l Local) after(st *api.Status, now time.Time) Local {
	if l.Touched.IsZero() {
		l.Touched = now
	}
	if st == nil {
		return l
	}
	s := st.Session
	switch {
	case s != nil && s.ID != l.Session:
		l = Local{Choice: l.Choice, Session: s.ID, State: s.State, Entry: s.Entry, Touched: now, again: l.again}
	case s != nil && s.Entry != l.Entry:
		l.Page, l.Refused, l.State, l.Entry, l.Follow, l.Inked, l.Touched = "", "", s.State, s.Entry, s.FollowUp, 0, now
	case s == nil && l.Session != "" && l.Over.IsZero():
		l.Page, l.Over, l.Touched = "", now, now
	}
	if s != nil {
		l.Over, l.Ended = time.Time{}, ""
		return l
	}
	if e := st.LastEnd; e != nil && e.Session == l.Session {
		l.Ended = e.End
	}
	limit := idleLimit
	if !l.Over.IsZero() {
		limit = doneLimit
	}
	if now.Sub(l.Touched) >= limit && (l.Page != "" || l.Session != "" || l.Choice != Choice{}) {
		return Local{Touched: now, again: l.again}
	}
	return l
}

// Refusal takes in the daemon's answer to a command.
func (l Local) answered(code string) Local {
	l.Sending, l.Refused = false, code
	return l
}
