package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode"

	"loket/kiosk/biometric"
)

// ManifestSchema names the form of a manifest; docs/schema/manifest.json describes it.
const ManifestSchema = "loket/manifest/1"

// Manifest says what a record holds, of whom, how it came to be and under which rules. The order of its fields is the order
// in the file. It redacts itself in logs.
type Manifest struct {
	Schema    string              `json:"schema"`
	Suite     string              `json:"suite"` // how the record is sealed
	Session   string              `json:"session"`
	Ticket    string              `json:"ticket"`
	Attempt   int                 `json:"attempt"` // at the ticket, 1 and up
	Service   string              `json:"service"`
	Centre    string              `json:"centre"`
	Station   string              `json:"station"`
	Created   time.Time           `json:"created"`
	Simulated bool                `json:"simulated"` // a device of it was not real
	Subject   Subject             `json:"subject"`
	Policy    PolicyRef           `json:"policy"`
	Software  Software            `json:"software"`
	Devices   []DeviceInfo        `json:"devices"`
	Plan      json.RawMessage     `json:"plan"` // what was owed, as the plan's own schema says
	Outcomes  []biometric.Outcome `json:"outcomes"`
	Attempts  []biometric.Attempt `json:"attempts"` // all there were, in the order of time
	Ledger    biometric.Ledger    `json:"ledger"`
	Decisions []Decision          `json:"decisions"`
	Parts     []PartInfo          `json:"parts"` // in the order in which they follow

	Comparisons []biometric.Comparison `json:"comparisons,omitempty"` // of a kiosk's prints with a desk's
}

// Subject is the person. It redacts itself in logs.
type Subject struct {
	Reference   string `json:"reference"`            // V-number or application reference
	BirthDate   string `json:"birth_date,omitempty"` // "2006-01-02"
	Established string `json:"established"`          // how it was made sure who it is
	By          string `json:"by,omitempty"`         // pseudonymous id of who saw a document
}

// How an identity was established.
const (
	CodeOnly     = "code-only"
	DocumentSeen = "document-seen"
	MRZRead      = "mrz"
)

// LogValue keeps the person out of logs.
func (s Subject) LogValue() slog.Value { return slog.StringValue("subject, redacted") }

// String keeps the person out of formatted output.
func (s Subject) String() string { return s.LogValue().String() }

// GoString keeps the person out of %#v.
func (s Subject) GoString() string { return s.String() }

// PolicyRef names the policy that was followed.
type PolicyRef struct {
	ID            string `json:"id"`
	Version       string `json:"version"`
	Digest        string `json:"digest"` // SHA-256 of the policy's file
	LegalBasis    string `json:"legal_basis"`
	RetentionDays int    `json:"retention_days"`
}

// Software is the program that made the record.
type Software struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// DeviceInfo is one device that was used.
type DeviceInfo struct {
	Identity  string `json:"identity"` // as in [biometric.Attempt]'s Device
	Kind      string `json:"kind"`
	Driver    string `json:"driver"`
	Vendor    string `json:"vendor"`
	Model     string `json:"model"`
	Serial    string `json:"serial"`
	Firmware  string `json:"firmware"`
	Simulated bool   `json:"simulated"`
}

// Decision is what an attendant decided, under a pseudonymous id.
type Decision struct {
	Kind      string    `json:"kind"`
	State     string    `json:"state"` // of the session when it was made
	Attendant string    `json:"attendant"`
	Reason    string    `json:"reason,omitempty"`
	At        time.Time `json:"at"`
}

// PartInfo describes one part.
type PartInfo struct {
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`

	Compression *biometric.Compression `json:"compression,omitempty"` // of a print that was compressed with loss
}

// LogValue names the session and nothing of the person.
func (m Manifest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("session", m.Session), slog.String("ticket", m.Ticket), slog.Int("parts", len(m.Parts)))
}

// String keeps the person out of formatted output.
func (m Manifest) String() string { return m.LogValue().String() }

// GoString keeps the person out of %#v.
func (m Manifest) GoString() string { return m.String() }

// Encode checks the manifest and gives the one form in which it is written.
func (m Manifest) Encode() ([]byte, error) {
	m.Created = stamp(m.Created)
	m.Devices = notNil(m.Devices)
	m.Outcomes = notNil(m.Outcomes)
	m.Attempts = notNil(m.Attempts)
	m.Decisions = notNil(m.Decisions)
	m.Parts = notNil(m.Parts)
	if err := m.Check(); err != nil {
		return nil, err
	}
	data, err := encode(m)
	if err != nil {
		return nil, fmt.Errorf("writing the manifest: %w", err)
	}
	if len(data) > MaxManifest {
		return nil, fmt.Errorf("writing the manifest: %d bytes, at most %d are allowed", len(data), MaxManifest)
	}
	return data, nil
}

// DecodeManifest reads a manifest strictly: unknown fields, another order or spelling, and contradictions are refused.
func DecodeManifest(data []byte) (Manifest, error) {
	var m Manifest
	if err := decode(data, MaxManifest, &m); err != nil {
		return Manifest{}, fmt.Errorf("reading the manifest: %w", err)
	}
	if err := m.Check(); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// Check finds what a manifest must not say.
func (m Manifest) Check() error {
	if err := errors.Join(m.checkHead(), m.checkPlan(), m.checkDevices(), m.checkLedger(), m.checkParts()); err != nil {
		return fmt.Errorf("checking the manifest: %w", err)
	}
	return nil
}

func (m Manifest) checkHead() error {
	switch {
	case m.Schema != ManifestSchema:
		return fmt.Errorf("schema %q is not known", clip(m.Schema))
	case m.Suite == "":
		return errors.New("the suite is missing")
	case !word(m.Subject.Reference):
		return errors.New("the subject has no usable reference")
	case m.Subject.Established == "":
		return errors.New("it does not say how the identity was established")
	case !isDigest(m.Policy.Digest) || !word(m.Policy.ID):
		return errors.New("the policy needs an id and a digest")
	case m.Created.IsZero():
		return errors.New("the time is missing")
	}
	if _, err := time.Parse(time.DateOnly, m.Subject.BirthDate); m.Subject.BirthDate != "" && err != nil {
		return errors.New("the date of birth is not a date")
	}
	return checkChain(m.Session, m.Ticket, m.Attempt, m.Service, m.Station, m.Centre)
}

// checkChain checks the ids that a manifest and a docket share.
func checkChain(session, ticket string, attempt int, service, station, centre string) error {
	for what, s := range map[string]string{"session": session, "ticket": ticket, "service": service, "station": station, "centre": centre} {
		if !word(s) {
			return fmt.Errorf("the %s is missing, too long or unprintable", what)
		}
	}
	if attempt < 1 {
		return fmt.Errorf("attempt %d is none", attempt)
	}
	return nil
}

// word reports whether s is one short printable line.
func word(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

func (m Manifest) checkPlan() error {
	if !json.Valid(m.Plan) || !bytes.HasPrefix(m.Plan, []byte("{")) {
		return errors.New("the plan is missing")
	}
	return nil
}

func (m Manifest) checkDevices() error {
	for _, d := range m.Devices {
		if d.Simulated && !m.Simulated {
			return fmt.Errorf("the %s is simulated and the record does not say so", clip(d.Kind))
		}
	}
	return nil
}

// checkLedger holds the ledger to the parts: a finger is captured exactly where its image is there.
func (m Manifest) checkLedger() error {
	if err := m.Ledger.Check(); err != nil {
		return err
	}
	held := map[biometric.FingerPosition]bool{}
	for _, p := range m.Parts {
		at, _ := kindOf(p.Name)
		if at.modality == biometric.Finger && held[at.finger] {
			return fmt.Errorf("%v is there twice", at.finger)
		}
		held[at.finger] = true
	}
	for _, e := range m.Ledger {
		switch {
		case e.Reason == biometric.Owed:
			return fmt.Errorf("%v is still owed", e.Position)
		case (e.Reason == biometric.Captured) != held[e.Position]:
			return fmt.Errorf("the ledger says %q of %v, its image says otherwise", e.Reason, e.Position)
		}
	}
	return nil
}

// compressed reports whether what is said of a compression can be.
func compressed(p PartInfo) bool {
	c := p.Compression
	return p.MediaType == wsqType && word(c.Algorithm) && word(c.Version) && c.Rate > 0 && c.Ratio > 0
}

func (m Manifest) checkParts() error {
	last, total := -1, int64(0)
	for _, p := range m.Parts {
		at, ok := kindOf(p.Name)
		switch {
		case !ok:
			return fmt.Errorf("a record has no place for a part %q", clip(p.Name))
		case rank(p.Name) <= last:
			return fmt.Errorf("part %s is out of order or there twice", p.Name)
		case p.MediaType != at.mediaType:
			return fmt.Errorf("part %s is %s, not %q", p.Name, at.mediaType, clip(p.MediaType))
		case p.Size < 1 || p.Size > MaxPart:
			return fmt.Errorf("part %s has %d bytes, 1 to %d are allowed", p.Name, p.Size, MaxPart)
		case !isDigest(p.SHA256):
			return fmt.Errorf("part %s has no digest", p.Name)
		case p.Compression != nil && !compressed(p):
			return fmt.Errorf("part %s can't have been compressed as it says", p.Name)
		}
		last, total = rank(p.Name), total+p.Size
	}
	if total > MaxRecord {
		return fmt.Errorf("the parts have %d bytes, at most %d are allowed", total, MaxRecord)
	}
	return nil
}
