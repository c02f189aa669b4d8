// Package queue holds the words and rules of a centre's queue: visits, persons, services, tickets.
//
// The one idea: a rule is a pure function from a ticket and what happened to the ticket as it is then. Nothing here has a
// clock, a lock or a database, so every rule can be tried in every state. Package store keeps the tickets, package server
// lets stations and staff speak to them.
package queue

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"loket/kiosk/biometric"
)

// The prefixes of the queue's ids.
const (
	TicketID = "tk"
	VisitID  = "vi"
	PersonID = "pe"
)

var idDigits = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID makes an id: the prefix, "_" and 16 random characters (80 bits).
func NewID(prefix string) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + "_" + idDigits.EncodeToString(b[:])
}

// ValidID reports whether id has the form of [NewID] with that prefix.
func ValidID(id, prefix string) bool {
	rest, ok := strings.CutPrefix(id, prefix+"_")
	if !ok || len(rest) != 16 {
		return false
	}
	_, err := idDigits.DecodeString(rest)
	return err == nil
}

// Visit is one appointment or walk-in: the persons who come together.
type Visit struct {
	ID           string
	Ref          string    // the appointment system's own reference
	Organisation string    // that made the appointment
	At           time.Time // when they are expected
	Persons      []Person
}

// Person is someone who comes for services. Logs show the id alone.
type Person struct {
	ID        string
	Visit     string // id
	Reference string // V-number or application reference: a citizen service number comes later, if at all
	Name      string
	BirthDate Date
}

// LogValue keeps everything but the id out of logs.
func (p Person) LogValue() slog.Value { return slog.StringValue("person " + p.ID) }

// String keeps everything but the id out of formatted output.
func (p Person) String() string { return p.LogValue().String() }

// GoString keeps everything but the id out of %#v.
func (p Person) GoString() string { return p.String() }

// Initials are what a kiosk shows of a name: the first letter of each of its parts, four at most.
func (p Person) Initials() string {
	var b strings.Builder
	for i, part := range strings.FieldsFunc(p.Name, func(r rune) bool { return unicode.IsSpace(r) || r == '-' }) {
		if i == 4 {
			break
		}
		r, _ := utf8.DecodeRuneInString(part)
		b.WriteRune(unicode.ToUpper(r))
		b.WriteByte('.')
	}
	return b.String()
}

// Date is a calendar day, "2006-01-02".
type Date string

// Time gives the start of the day in loc.
func (d Date) Time(loc *time.Location) (time.Time, error) {
	t, err := time.ParseInLocation(time.DateOnly, string(d), loc)
	if err != nil {
		return time.Time{}, errors.New("reading a date: it is not a day written as 2006-01-02")
	}
	return t, nil
}

// LogValue keeps dates of birth out of logs.
func (Date) LogValue() slog.Value { return slog.StringValue("date, redacted") }

// Service is something that people come for.
type Service struct {
	ID           string `json:"id" koanf:"id"`                     // "residence-permit"
	Name         string `json:"name" koanf:"name"`                 // for staff
	Prefix       string `json:"prefix" koanf:"prefix"`             // one capital letter before a ticket's number
	Organisation string `json:"organisation" koanf:"organisation"` // that answers for it
}

// ResidencePermit is the service that a centre offers where its configuration lists none.
func ResidencePermit() Service {
	return Service{ID: "residence-permit", Name: "Biometrics for a residence permit", Prefix: "A", Organisation: "immigration-service"}
}

// Check reports what is wrong with a configured service.
func (s Service) Check() error {
	switch {
	case s.ID == "" || len(s.ID) > 64:
		return errors.New("checking a service: it needs an id of 64 characters at most")
	case len(s.Prefix) != 1 || s.Prefix[0] < 'A' || s.Prefix[0] > 'Z':
		return fmt.Errorf("checking service %q: its prefix is not one letter from A to Z", s.ID)
	case s.Organisation == "":
		return fmt.Errorf("checking service %q: it names no organisation", s.ID)
	}
	return nil
}

// OnFile is one sample that the authority already holds.
type OnFile struct {
	Modality biometric.Modality       `json:"modality"`
	Position biometric.FingerPosition `json:"position,omitempty"` // zero: all fingers
	Date     Date                     `json:"date,omitempty"`     // when it was taken; empty: unknown
	Source   string                   `json:"source"`
}

// Letter is what the authority's letter says for one person and service. What is owed today follows from it by a policy, at
// the station.
type Letter struct {
	// Asked is what the letter asks for. Nil means that the letter is not known, which is not the same as nothing.
	Asked []biometric.Modality
	// OnFile is what the authority holds. Nil means unknown, which is not the same as nothing: an empty slice.
	OnFile []OnFile
}

// Check reports what makes a letter unusable.
func (l Letter) Check() error {
	for i, m := range l.Asked {
		if !m.Valid() || slices.Contains(l.Asked[:i], m) {
			return fmt.Errorf("checking the letter: it asks for %q, which is unknown or there twice", m)
		}
	}
	for _, f := range l.OnFile {
		switch {
		case !f.Modality.Valid():
			return fmt.Errorf("checking the letter: %q on file is no modality", f.Modality)
		case f.Position != 0 && (f.Modality != biometric.Finger || !f.Position.Single()):
			return fmt.Errorf("checking the letter: %v on file is not a single finger", f.Position)
		case f.Source == "":
			return errors.New("checking the letter: what is on file needs a source")
		}
		if f.Date != "" {
			if _, err := f.Date.Time(time.UTC); err != nil {
				return fmt.Errorf("checking the letter: %w", err)
			}
		}
	}
	return nil
}
