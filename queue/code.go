package queue

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"time"
)

// Code is the secret that a person brings and a station scans: 10 characters, 50 random bits. It redacts itself in logs and
// formatted output; JSON carries it as it is.
type Code string

// codeDigits leaves out what people take for another character: I, L, O and U.
const codeDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const codeLength = 10

// NewCode makes a code.
func NewCode() Code {
	var b [codeLength]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = codeDigits[b[i]%32]
	}
	return Code(b[:])
}

// ErrNoCode is the error of something that can't be a code.
var ErrNoCode = errors.New("reading a code: it is not one")

// ParseCode reads a code as people type it: case, spaces and hyphens don't matter, O is 0, I and L are 1.
func ParseCode(typed string) (Code, error) {
	if len(typed) > 64 {
		return "", ErrNoCode
	}
	clean := strings.NewReplacer(" ", "", "-", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(typed))
	if len(clean) != codeLength || strings.Trim(clean, codeDigits) != "" {
		return "", ErrNoCode
	}
	return Code(clean), nil
}

// LogValue keeps the code out of logs.
func (Code) LogValue() slog.Value { return slog.StringValue("code, redacted") }

// String keeps the code out of formatted output.
func (c Code) String() string { return c.LogValue().String() }

// GoString keeps the code out of %#v.
func (c Code) GoString() string { return c.String() }

// The rule for wrong codes.
const (
	WrongTries = 5               // in a row, from one station
	EntryPause = 5 * time.Minute // how long entry then rests there, unless staff resume it
)

// Entry is what is remembered of code entry at one station.
type Entry struct {
	Station string
	Wrong   int       // wrong tries in a row
	Paused  time.Time // until then no code is tried
}

// Open reports whether a code may be tried now.
func (e Entry) Open(now time.Time) bool { return !now.Before(e.Paused) }

// Tried counts a try at a time when entry is open. It reports whether this very try pauses entry, which staff are told.
func (e Entry) Tried(right bool, now time.Time) (next Entry, paused bool) {
	if right {
		return Entry{Station: e.Station}, false
	}
	e.Wrong++
	if e.Wrong < WrongTries {
		return e, false
	}
	return Entry{Station: e.Station, Paused: now.Add(EntryPause)}, true
}
