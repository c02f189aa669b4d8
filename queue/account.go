package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
)

// AccountID is the prefix of account ids, which are the pseudonyms of staff.
const AccountID = "ac"

// Role is what someone of the staff does in an organisation.
type Role string

// The roles.
const (
	ImmigrationOfficer Role = "immigration-officer"
	MunicipalClerk     Role = "municipal-clerk"
	AttendantRole      Role = "attendant"  // of the centre: helps people at kiosks
	Supervisor         Role = "supervisor" // of the centre
)

// Roles lists all roles.
func Roles() []Role { return []Role{ImmigrationOfficer, MunicipalClerk, AttendantRole, Supervisor} }

// Centre is the organisation of attendants and supervisors, who work for everyone who comes.
const Centre = "centre"

// Membership is a role in an organisation.
type Membership struct {
	Role         Role   `json:"role"`
	Organisation string `json:"organisation"`
}

// ParseMembership reads "municipal-clerk@municipality". The organisation of attendants and supervisors is the centre and may be
// left out.
func ParseMembership(text string) (Membership, error) {
	role, organisation, _ := strings.Cut(text, "@")
	m := Membership{Role: Role(role), Organisation: organisation}
	ofCentre := m.Role == AttendantRole || m.Role == Supervisor
	if ofCentre && organisation == "" {
		m.Organisation = Centre
	}
	switch {
	case !slices.Contains(Roles(), m.Role):
		return Membership{}, fmt.Errorf("reading a role: %q is none (hint: one of %v)", role, Roles())
	case m.Organisation == "" || len(m.Organisation) > 64:
		return Membership{}, fmt.Errorf("reading a role: %s needs an organisation (hint: %s@ORGANISATION)", role, role)
	case ofCentre != (m.Organisation == Centre):
		return Membership{}, fmt.Errorf("reading a role: %s@%s is none (hint: attendants and supervisors are of the centre, others are not)", role, organisation)
	}
	return m, nil
}

// Account is someone of the staff. Logs show the id alone.
type Account struct {
	ID       string
	Login    string
	Roles    []Membership
	Disabled bool
}

// LogValue keeps everything but the pseudonym out of logs.
func (a Account) LogValue() slog.Value { return slog.StringValue(a.ID) }

// String keeps everything but the pseudonym out of formatted output.
func (a Account) String() string { return "account " + a.ID }

// GoString keeps everything but the pseudonym out of %#v.
func (a Account) GoString() string { return a.String() }

var loginForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]{1,63}$`)

// Check reports what makes an account unusable.
func (a Account) Check() error {
	switch {
	case !loginForm.MatchString(a.Login):
		return errors.New("checking an account: its login is not 2 to 64 of a-z, 0-9, point, hyphen, underscore and @, letter or digit first")
	case len(a.Roles) == 0:
		return errors.New("checking an account: it has no role")
	}
	for _, m := range a.Roles {
		if _, err := ParseMembership(string(m.Role) + "@" + m.Organisation); err != nil {
			return err
		}
	}
	return nil
}

// Right is something that a role allows.
type Right string

// The rights. Each holds for the tickets of an organisation, or of all where the role is the centre's.
const (
	SeeTicket Right = "see-ticket" // number, state, initials, chain
	SeeName   Right = "see-name"   // name and reference
	SeeLedger Right = "see-ledger" // which fingers, and why not
	Queueing  Right = "queue"      // call, recall, park, no-show, cancel, take back
	Assisting Right = "assist"     // except a finger, resume, move, end a session
	Requeuing Right = "requeue"    // take a ticket from a station that is at it
	Locking   Right = "lock"       // lock a station, let codes be entered again
)

// rights is who may what. The tests hold it to a table of their own.
var rights = map[Role][]Right{
	ImmigrationOfficer: {SeeTicket, SeeName, SeeLedger, Queueing, Assisting},
	MunicipalClerk:     {SeeTicket, SeeName, Queueing},
	AttendantRole:      {SeeTicket, SeeLedger, Queueing, Assisting, Locking},
	Supervisor:         {SeeTicket, SeeLedger, Queueing, Assisting, Locking, Requeuing},
}

// May reports whether a has a right for what an organisation answers for.
func (a Account) May(r Right, organisation string) bool {
	for _, m := range a.Roles {
		if (m.Organisation == organisation || m.Organisation == Centre) && slices.Contains(rights[m.Role], r) {
			return true
		}
	}
	return false
}

// MayAnywhere reports whether a has a right for anything at all.
func (a Account) MayAnywhere(r Right) bool {
	return slices.ContainsFunc(a.Roles, func(m Membership) bool { return slices.Contains(rights[m.Role], r) })
}

// UndoIn is how long a decision can be taken back by whoever made it.
const UndoIn = 2 * time.Minute

// ErrTooLate says that a decision can't be taken back any more.
var ErrTooLate = errors.New("this can't be taken back any more")

// Undo takes back that a ticket was set aside or cancelled: it waits again. One that was called before can't go back to its
// station, so it waits at the front; was says what the ticket had been.
func (t Ticket) Undo(was State, now time.Time) (Ticket, error) {
	switch t.State {
	case Parked, NoShow, Cancelled:
	default:
		return t, fmt.Errorf("taking back a decision on ticket %s: it is %s: %w", t.ID, t.State, ErrOutOfPlace)
	}
	next := t
	next.Changed = now
	switch was {
	case Called:
		next.State, next.Rank = Waiting, Front
	case Parked, NoShow:
		next.State = was
	default:
		next.State = Waiting
	}
	return next, nil
}
