package station

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"loket/kiosk/biometric"
	"loket/queue"
)

// Limits of the line. A message or list beyond them is refused and the line closed.
const (
	MaxMessage = 64 << 10 // bytes of one message
	maxText    = 400      // bytes of one text
	maxWord    = 128      // bytes of an id or a word
	maxList    = 32       // entries of one list
)

// Up is one message of a station. Exactly one of its members beside Sequence is set.
type Up struct {
	Sequence uint64        `json:"sequence"` // counts what the station had to say since its start; facts are acknowledged by it
	Hello    *Hello        `json:"hello,omitempty"`
	Status   *Status       `json:"status,omitempty"`
	Ledger   *LedgerReport `json:"ledger,omitempty"`
	Verdicts *Verdicts     `json:"verdicts,omitempty"`
	Fact     *Fact         `json:"fact,omitempty"`
	Answer   *Answer       `json:"answer,omitempty"`
	Key      *HandoverKey  `json:"key,omitempty"`
}

// Hello is a station's first message on every line. What the station is called stands in its certificate.
type Hello struct {
	Version string `json:"version"`
	Epoch   string `json:"epoch"` // another one after each start of the station: sequences count anew
}

// Status is where a station stands. It names no one.
type Status struct {
	Ready    bool           `json:"ready"` // can take a ticket now
	Locked   bool           `json:"locked,omitempty"`
	Problems []Trouble      `json:"problems,omitempty"`
	Warnings []Trouble      `json:"warnings,omitempty"` // it works all the same
	Session  *SessionStatus `json:"session,omitempty"`
	Pending  int            `json:"pending"` // sealed records that are not delivered yet
	Refused  int            `json:"refused"` // sealed records that the central service refused
	At       time.Time      `json:"at"`
}

// Trouble is one thing to be mended at a station, in words for whoever mends it.
type Trouble struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// SessionStatus is where a station's session stands.
type SessionStatus struct {
	ID       string     `json:"id"`
	Ticket   string     `json:"ticket"`
	Attempt  int        `json:"attempt"`
	State    string     `json:"state"`
	Step     string     `json:"step,omitempty"`
	Held     []string   `json:"held,omitempty"`    // steps of which something is held: what can be captured again
	Verdict  string     `json:"verdict,omitempty"` // of the fault that it waits for help with
	Help     bool       `json:"help,omitempty"`    // someone should go there
	Since    time.Time  `json:"since"`
	Deadline *time.Time `json:"deadline,omitempty"`
	Target   string     `json:"target,omitempty"` // of a hand-over that is under way
	// Verification is how far the comparison with supervised captures is; nil outside of it.
	Verification *Verification `json:"verification,omitempty"`
}

// Verification is how far a desk's comparison with a kiosk's captures is. It names no finger.
type Verification struct {
	State   string `json:"state"`   // "comparing", "by-eye" where nothing can be compared here
	Matched int    `json:"matched"` // short captures that were found to be of the same finger
	Of      int    `json:"of"`
}

// LedgerReport is the ten-finger ledger of a session, for those in an organisation that may see it.
type LedgerReport struct {
	Session string           `json:"session"`
	Ticket  string           `json:"ticket"`
	Attempt int              `json:"attempt"`
	Ledger  biometric.Ledger `json:"ledger"`
}

// Verdicts is the state of each device of a station.
type Verdicts struct {
	Devices []DeviceVerdict `json:"devices"`
}

// DeviceVerdict is the state of one device.
type DeviceVerdict struct {
	Identity  string    `json:"identity"`
	Kind      string    `json:"kind"`
	Model     string    `json:"model,omitempty"`
	State     string    `json:"state"`
	Verdict   string    `json:"verdict,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	Hint      string    `json:"hint,omitempty"`
	Simulated bool      `json:"simulated,omitempty"`
	Since     time.Time `json:"since"`
}

// The kinds of chain facts.
const (
	FactSealed    = "sealed"    // docket and file are on the station's disk
	FactRefused   = "refused"   // by the central service; Detail says why
	FactReceipted = "receipted" // a receipt was verified
	FactPurged    = "purged"    // the sealed file is deleted
)

// Fact is one thing that happened to a record at a station. It is repeated until the queue has stored it.
type Fact struct {
	Kind    string    `json:"kind"`
	Ticket  string    `json:"ticket"`
	Session string    `json:"session"`
	Attempt int       `json:"attempt"`
	Record  string    `json:"record"`
	Detail  string    `json:"detail,omitempty"`
	At      time.Time `json:"at"`
}

// Answer is a station's one answer to a command.
type Answer struct {
	Command string `json:"command"` // id
	Done    bool   `json:"done"`
	Reason  string `json:"reason,omitempty"` // why not
}

// Down is one message to a station. Exactly one of its members is set.
type Down struct {
	Welcome *Welcome `json:"welcome,omitempty"`
	Stored  *Stored  `json:"stored,omitempty"`
	Command *Command `json:"command,omitempty"`
}

// Welcome is the centre's answer to a hello.
type Welcome struct {
	Station string    `json:"station"` // the name that the centre knows the station by
	Time    time.Time `json:"time"`
}

// Stored acknowledges a fact.
type Stored struct {
	Sequence uint64 `json:"sequence"`
}

// Command is one order to a station, answered once: repeated with the same id it gets the first answer, later than Expires
// it is refused. Exactly one of its verbs is set.
type Command struct {
	ID      string    `json:"id"`
	Author  string    `json:"author"` // pseudonymous id of who gives the order
	Expires time.Time `json:"expires"`
	Sent    time.Time `json:"sent"` // by the clock that Expires was set by, so that the station's own may differ

	Call   *CallTicket     `json:"call,omitempty"`
	Recall *SessionCommand `json:"recall,omitempty"`
	Cancel *CancelSession  `json:"cancel,omitempty"`
	Except *ExceptFingers  `json:"except,omitempty"`
	Resume *SessionCommand `json:"resume,omitempty"`
	Move   *MoveSession    `json:"move,omitempty"`
	Lock   *LockStation    `json:"lock,omitempty"`

	Override  *OverrideVerification `json:"override,omitempty"`
	Accept    *Veto                 `json:"accept,omitempty"`    // the best that a capture in progress has, sufficient or not
	Recapture *Veto                 `json:"recapture,omitempty"` // what is captured well is captured again
	Take      *TakeSession          `json:"take,omitempty"`
}

// CallTicket sends a ticket to a station. The station asks for it with [Client.Call], the command's id as request id, and a
// session begins in called.
type CallTicket struct {
	Ticket string `json:"ticket"`
}

// SessionCommand names the session that a command is for, so that it never hits the next person's.
type SessionCommand struct {
	Session string `json:"session"`
}

// CancelSession ends a session.
type CancelSession struct {
	Session string `json:"session"`
	Reason  string `json:"reason,omitempty"`
	Final   bool   `json:"final,omitempty"` // the person leaves; otherwise the ticket waits again
}

// ExceptFingers takes fingers out of what is owed.
type ExceptFingers struct {
	Session    string                `json:"session"`
	Exceptions []biometric.Exception `json:"exceptions"`
}

// MoveSession hands a session over to another station.
type MoveSession struct {
	Session string `json:"session"`
	Target  string `json:"target"`
}

// OverrideVerification lets a session go on although its captures were not verified.
type OverrideVerification struct {
	Session string `json:"session"`
	Reason  string `json:"reason"`
}

// Veto is an attendant's judgement of a capture against that of the station.
type Veto struct {
	Session string `json:"session"`
	Step    string `json:"step,omitempty"` // that is being captured; of a recapture, none means all
	Reason  string `json:"reason"`
}

// TakeSession tells a station that the queue has a bundle for it: [Client.Bundle] fetches it, [Client.Accept] takes the session.
type TakeSession struct {
	Handover string `json:"handover"`
	From     string `json:"from"`
	Ticket   string `json:"ticket"`
	Session  string `json:"session"`
	Attempt  int    `json:"attempt"`
}

// LockStation keeps a station from taking tickets, or lets it again.
type LockStation struct {
	Locked bool   `json:"locked"`
	Reason string `json:"reason,omitempty"`
}

// Verb names what a command orders: "call", "recall", "cancel", "except", "resume", "move", "lock", "override", "accept",
// "recapture", "take"; "" if it is not exactly one.
func (c Command) Verb() string {
	verb, count := "", 0
	for _, v := range []struct {
		name string
		set  bool
	}{{"call", c.Call != nil}, {"recall", c.Recall != nil}, {"cancel", c.Cancel != nil}, {"except", c.Except != nil},
		{"resume", c.Resume != nil}, {"move", c.Move != nil}, {"lock", c.Lock != nil},
		{"override", c.Override != nil}, {"accept", c.Accept != nil}, {"recapture", c.Recapture != nil}, {"take", c.Take != nil}} {
		if v.set {
			verb, count = v.name, count+1
		}
	}
	if count != 1 {
		return ""
	}
	return verb
}

// Session gives the session that a command is for; "" where it is for the station.
func (c Command) Session() string {
	switch c.Verb() {
	case "recall":
		return c.Recall.Session
	case "cancel":
		return c.Cancel.Session
	case "except":
		return c.Except.Session
	case "resume":
		return c.Resume.Session
	case "move":
		return c.Move.Session
	case "override":
		return c.Override.Session
	case "accept":
		return c.Accept.Session
	case "recapture":
		return c.Recapture.Session
	case "take":
		return c.Take.Session
	}
	return ""
}

// decodeUp reads a station's message.
func decodeUp(data []byte) (Up, error) {
	var m Up
	if err := decode(data, &m); err != nil {
		return Up{}, fmt.Errorf("reading a station's message: %w", err)
	}
	if err := m.check(); err != nil {
		return Up{}, fmt.Errorf("reading a station's message: %w", err)
	}
	return m, nil
}

// decodeDown reads the centre's message.
func decodeDown(data []byte) (Down, error) {
	var m Down
	if err := decode(data, &m); err != nil {
		return Down{}, fmt.Errorf("reading the queue's message: %w", err)
	}
	if err := m.check(); err != nil {
		return Down{}, fmt.Errorf("reading the queue's message: %w", err)
	}
	return m, nil
}

// decode reads exactly one JSON value of known members.
func decode(data []byte, into any) error {
	if len(data) > MaxMessage {
		return errors.New("it is too long")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows it")
	}
	return nil
}

// checker collects what the members of a message break first.
type checker struct{ err error }

func (c *checker) that(ok bool, what string) {
	if !ok && c.err == nil {
		c.err = errors.New(what)
	}
}

func (c *checker) words(words ...string) {
	for _, w := range words {
		c.that(len(w) <= maxWord, "a word in it is too long")
	}
}

func (c *checker) texts(texts ...string) {
	for _, t := range texts {
		c.that(len(t) <= maxText, "a text in it is too long")
	}
}

// veto takes no judgement without a reason.
func (c *checker) veto(v Veto) {
	c.words(v.Step)
	c.texts(v.Reason)
	c.that(v.Reason != "", "a veto needs a reason")
}

func (m Up) check() error {
	c := &checker{}
	count := 0
	for _, set := range []bool{m.Hello != nil, m.Status != nil, m.Ledger != nil, m.Verdicts != nil, m.Fact != nil, m.Answer != nil, m.Key != nil} {
		if set {
			count++
		}
	}
	c.that(count == 1, "it does not say exactly one thing")
	switch {
	case m.Hello != nil:
		c.words(m.Hello.Version, m.Hello.Epoch)
		c.that(m.Hello.Epoch != "", "the epoch is missing")
	case m.Status != nil:
		m.Status.check(c)
	case m.Ledger != nil:
		m.Ledger.check(c)
	case m.Verdicts != nil:
		c.that(len(m.Verdicts.Devices) <= maxList, "too many devices")
		for _, d := range m.Verdicts.Devices {
			c.words(d.Identity, d.Kind, d.Model, d.State, d.Verdict)
			c.texts(d.Detail, d.Hint)
		}
	case m.Fact != nil:
		m.Fact.check(c)
	case m.Answer != nil:
		c.words(m.Answer.Command)
		c.texts(m.Answer.Reason)
		c.that(m.Answer.Command != "", "the answer names no command")
	case m.Key != nil:
		m.Key.check(c)
	}
	return c.err
}

func (s Status) check(c *checker) {
	c.that(len(s.Problems) <= maxList && len(s.Warnings) <= maxList, "too many problems")
	for _, p := range slices.Concat(s.Problems, s.Warnings) {
		c.words(p.Code)
		c.texts(p.Text, p.Hint)
	}
	c.that(s.Pending >= 0 && s.Refused >= 0, "a count is negative")
	if s.Session != nil {
		c.words(s.Session.ID, s.Session.Ticket, s.Session.State, s.Session.Step, s.Session.Verdict, s.Session.Target)
		c.that(s.Session.Attempt >= 1, "attempts count from 1")
		c.that(len(s.Session.Held) <= maxList, "too many steps")
		c.words(s.Session.Held...)
		if v := s.Session.Verification; v != nil {
			c.words(v.State)
			c.that(v.Matched >= 0 && v.Of >= v.Matched, "a comparison counts wrongly")
		}
	}
}

// Bounds of a key for hand-overs. The queue does not read it.
const (
	maxKey   = 8 << 10 // bytes
	maxChain = 4       // certificates
	maxCert  = 4 << 10 // bytes
)

func (k HandoverKey) check(c *checker) {
	c.that(len(k.JSON) > 0 && len(k.JSON) <= maxKey && len(k.Sig) > 0 && len(k.Sig) <= maxWord, "the key is too long or missing")
	c.that(len(k.Chain) > 0 && len(k.Chain) <= maxChain, "the key has no certificate, or too many")
	for _, der := range k.Chain {
		c.that(len(der) <= maxCert, "a certificate is too long")
	}
}

// fit cuts what would be too long for the line.
func (s Status) fit() Status {
	s.Problems, s.Warnings = fitTroubles(s.Problems), fitTroubles(s.Warnings)
	if s.Session != nil {
		at := *s.Session
		at.Target = cut(at.Target, maxWord) // as somebody typed it
		s.Session = &at
	}
	return s
}

func fitTroubles(all []Trouble) []Trouble {
	list := make([]Trouble, 0, min(len(all), maxList))
	for _, p := range all[:min(len(all), maxList)] {
		list = append(list, Trouble{Code: cut(p.Code, maxWord), Text: cut(p.Text, maxText), Hint: cut(p.Hint, maxText)})
	}
	return list
}

// fit cuts what would be too long for the line.
func (v Verdicts) fit() Verdicts {
	devices := make([]DeviceVerdict, 0, min(len(v.Devices), maxList))
	for _, d := range v.Devices[:min(len(v.Devices), maxList)] {
		d.Identity, d.Model = cut(d.Identity, maxWord), cut(d.Model, maxWord)
		d.Detail, d.Hint = cut(d.Detail, maxText), cut(d.Hint, maxText)
		devices = append(devices, d)
	}
	return Verdicts{Devices: devices}
}

func cut(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

func (l LedgerReport) check(c *checker) {
	c.words(l.Session, l.Ticket)
	if err := l.Ledger.Check(); err != nil {
		c.that(false, err.Error())
	}
	for _, e := range l.Ledger {
		if e.Quality == nil {
			continue
		}
		c.words(e.Quality.Algorithm, e.Quality.Version)
		c.that(len(e.Quality.Measures) <= maxList, "too many measures")
		for name := range e.Quality.Measures {
			c.words(name)
		}
	}
}

func (f Fact) check(c *checker) {
	c.that(f.Kind == FactSealed || f.Kind == FactRefused || f.Kind == FactReceipted || f.Kind == FactPurged, "the fact is of no known kind")
	c.that(queue.ValidRecord(f.Record), "the record is not 64 hexadecimal digits")
	c.that(queue.ValidID(f.Ticket, queue.TicketID), "the ticket is not tk_ and 16 characters")
	c.that(f.Attempt >= 1, "attempts count from 1")
	c.words(f.Session)
	c.texts(f.Detail)
}

func (m Down) check() error {
	c := &checker{}
	count := 0
	for _, set := range []bool{m.Welcome != nil, m.Stored != nil, m.Command != nil} {
		if set {
			count++
		}
	}
	c.that(count == 1, "it does not say exactly one thing")
	switch {
	case m.Welcome != nil:
		c.words(m.Welcome.Station)
	case m.Command != nil:
		m.Command.check(c)
	}
	return c.err
}

func (m Command) check(c *checker) {
	c.words(m.ID, m.Author, m.Session())
	c.that(m.ID != "" && m.Author != "", "a command needs an id and an author")
	c.that(m.Verb() != "", "a command orders exactly one thing")
	switch m.Verb() {
	case "call":
		c.that(queue.ValidID(m.Call.Ticket, queue.TicketID), "the ticket is not tk_ and 16 characters")
		return
	case "lock":
		c.texts(m.Lock.Reason)
		return
	case "cancel":
		c.texts(m.Cancel.Reason)
	case "move":
		c.words(m.Move.Target)
		c.that(m.Move.Target != "", "the target is missing")
	case "override":
		c.texts(m.Override.Reason)
		c.that(m.Override.Reason != "", "an override needs a reason")
	case "accept":
		c.veto(*m.Accept)
		c.that(m.Accept.Step != "", "it names no step")
	case "recapture":
		c.veto(*m.Recapture)
	case "take":
		c.words(m.Take.Handover, m.Take.From)
		c.that(m.Take.Handover != "" && m.Take.From != "" && m.Take.Attempt >= 1, "it does not say what to take")
		c.that(queue.ValidID(m.Take.Ticket, queue.TicketID), "the ticket is not tk_ and 16 characters")
	case "except":
		x := m.Except.Exceptions
		c.that(len(x) >= 1 && len(x) <= 10, "it excepts no finger, or too many")
		for _, e := range x {
			c.words(e.Attendant)
			c.that((e.Position == 0 || e.Position.Single()) && e.Reason.Excepting(), "an exception names no finger or no reason")
		}
	}
	c.that(m.Session() != "", "the session is missing")
}

// Check reports what makes a command unusable.
func (m Command) Check() error {
	c := &checker{}
	m.check(c)
	if c.err != nil {
		return fmt.Errorf("checking a command: %w", c.err)
	}
	return nil
}
