// Package plan decides which samples a person owes today, and by which rules they are captured.
//
// The one idea: a policy is a table of data, the plan is computed from it, the person's age, what the letter asks for and what
// is on file, and every decision in it has a reason that can be read. The same input gives the same plan, byte for byte; it
// goes into the record. See docs/policies.md.
package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"loket/kiosk/biometric"
)

// Schema names the form in which a [Plan] is written.
const Schema = "loket/plan/1"

// Subject is what the plan needs to know of a person.
type Subject struct {
	BirthDate time.Time // the calendar day counts, in the time's own location
	// Asked is what the letter asks for. Nil means that the letter is not known: then the policy alone decides.
	Asked []biometric.Modality
	// OnFile is what the authority holds. Nil means unknown, which is not the same as nothing: an empty slice.
	OnFile []OnFile
}

// OnFile is one sample that the authority holds.
type OnFile struct {
	Modality biometric.Modality       `json:"modality"`
	Position biometric.FingerPosition `json:"position,omitempty"` // zero: all fingers that the policy wants
	Date     time.Time                `json:"date"`               // zero: unknown, and so never fresh
	Source   string                   `json:"source"`
}

// Plan is what one person owes today. It holds no personal data but what follows from an age band.
type Plan struct {
	Schema       string           `json:"schema"`
	Policy       Ref              `json:"policy"`
	Day          string           `json:"day"` // the day it holds for, "2006-01-02"
	Supervised   bool             `json:"supervised"`
	Steps        []Step           `json:"steps"`
	Ledger       biometric.Ledger `json:"ledger"` // owed, on-file, age-exempt or not-owed
	Reasons      []Reason         `json:"reasons"`
	Review       bool             `json:"review"`
	Verification Verification     `json:"verification"`
	Exceptions   Exceptions       `json:"exceptions"`
	Temporary    Temporary        `json:"temporary"`
	TimeLimits   TimeLimits       `json:"time_limits"`
	Files        []string         `json:"files,omitempty"` // for other systems, as the policy names them
}

// Ref names the policy that a plan follows.
type Ref struct {
	ID            string `json:"id"`
	Version       string `json:"version"`
	Digest        string `json:"digest"`
	LegalBasis    string `json:"legal_basis"` // the articles in force, joined by "; "
	RetentionDays int    `json:"retention_days"`
}

// Step is one thing to capture.
type Step struct {
	ID       string             `json:"id"` // "face", "fingers", "signature"
	Modality biometric.Modality `json:"modality"`
	Rules    Rules              `json:"rules"`

	Want       []biometric.FingerPosition                              `json:"want,omitempty"`       // presented together
	Fallback   map[biometric.FingerPosition][]biometric.FingerPosition `json:"fallback,omitempty"`   // instead of a wanted finger, in this order
	Thresholds map[biometric.FingerPosition]int                        `json:"thresholds,omitempty"` // all ten fingers
	Best       Best                                                    `json:"best,omitempty"`
	Sensor     *SensorRule                                             `json:"sensor,omitempty"` // nil: every scanner serves
	Uniqueness Uniqueness                                              `json:"uniqueness,omitempty"`
	Slaps      Slaps                                                   `json:"slaps,omitempty"`

	Threshold int          `json:"threshold,omitempty"` // faces
	Image     *ImageLimits `json:"image,omitempty"`     // faces
	Lossless  bool         `json:"lossless,omitempty"`

	Compression *CompressionRule      `json:"compression,omitempty"` // fingers; nil: without loss
	Criteria    []biometric.Criterion `json:"criteria,omitempty"`    // faces
	Wait        *FaceWait             `json:"wait,omitempty"`        // faces
}

// Patience is how long a person before the camera is waited for: until what is mandatory holds, and then for what is optional.
func (s Step) Patience() (mandatory, optional time.Duration) {
	w := FaceWait{waitMandatory, waitOptional}
	if s.Wait != nil {
		w = *s.Wait
	}
	return time.Duration(w.MandatorySeconds) * time.Second, time.Duration(w.OptionalSeconds) * time.Second
}

// Limit is the time that the capture may take from its start; zero where attempts are counted.
func (s Step) Limit() time.Duration { return time.Duration(s.Rules.LimitSeconds) * time.Second }

// Code is why something is owed or not.
type Code string

// The codes of a plan.
const (
	CodeOwed            Code = "owed"
	CodeAskedByPolicy   Code = "letter-unknown"       // the policy alone decides what is asked
	CodeOnFileUnknown   Code = "on-file-unknown"      // nobody said what is on file
	CodeNotAsked        Code = "not-asked"            // the letter does not ask for it
	CodeNoLegalBasis    Code = "legal-basis-off"      // Article is out of force
	CodeOnFile          Code = "on-file"              // fresh enough
	CodeOnFileStale     Code = "on-file-too-old"      // taken too many months ago
	CodeOnFileBirthday  Code = "on-file-before-age"   // Age was reached since
	CodeOnFileUndated   Code = "on-file-undated"      // never fresh
	CodeOnFileFuture    Code = "on-file-in-future"    // dated after today: not believed
	CodeAgeExempt       Code = "age-exempt"           // younger than Age: no prints
	CodeByPhotoForm     Code = "photo-by-form"        // younger than Age: the photograph comes by form
	CodeBelowSigningAge Code = "below-signing-age"    // younger than Age
	CodeNotInPolicy     Code = "not-in-policy"        // asked for, but the policy has no rules for it
	CodeVerification    Code = "verify-at-counter"    // captures are verified before they are sealed
	CodeFollowUpIfTemp  Code = "follow-up-if-injured" // a temporary reason leads to a further appointment
)

// Reason is one decision of the plan.
type Reason struct {
	Code     Code                     `json:"code"`
	Modality biometric.Modality       `json:"modality,omitempty"`
	Position biometric.FingerPosition `json:"position,omitempty"`
	Article  string                   `json:"article,omitempty"` // the id of a legal basis
	Age      int                      `json:"age,omitempty"`     // years
	Date     string                   `json:"date,omitempty"`    // of the sample on file
	Source   string                   `json:"source,omitempty"`
}

// String gives a line for technicians: "finger right-index: on-file-too-old 2026-01-02".
func (r Reason) String() string {
	var where, what []string
	if r.Modality != "" {
		where = append(where, string(r.Modality))
	}
	if r.Position != 0 {
		where = append(where, r.Position.String())
	}
	what = append(what, string(r.Code))
	if r.Article != "" {
		what = append(what, r.Article)
	}
	if r.Age != 0 {
		what = append(what, fmt.Sprint(r.Age))
	}
	if r.Date != "" {
		what = append(what, r.Date)
	}
	if len(where) == 0 {
		return strings.Join(what, " ")
	}
	return strings.Join(where, " ") + ": " + strings.Join(what, " ")
}

// Make computes the plan of one person for one calendar day. A plan without steps is no error: nothing is owed.
func Make(p Policy, s Subject, today time.Time) (Plan, error) {
	birth, day := date(s.BirthDate), date(today)
	switch {
	case p.digest == "":
		return Plan{}, errors.New("making a plan: the policy was not parsed")
	case s.BirthDate.IsZero():
		return Plan{}, errors.New("making a plan: the date of birth is not known (hint: staff enter it from the document)")
	case birth.After(day):
		return Plan{}, errors.New("making a plan: the date of birth lies after today (hint: check it against the document)")
	}
	for _, m := range s.Asked {
		if !m.Valid() {
			return Plan{}, fmt.Errorf("making a plan: the letter asks for %q, which nobody captures", m)
		}
	}
	m := maker{policy: p, subject: s, birth: birth, today: day}
	m.plan = Plan{
		Schema: Schema, Policy: p.Ref(), Day: day.Format(time.DateOnly), Supervised: p.Supervised,
		Steps: []Step{}, Ledger: biometric.NewLedger(), Reasons: []Reason{},
		Review: p.Review, Verification: p.Verification, Exceptions: p.Exceptions, Temporary: p.Temporary, TimeLimits: p.TimeLimits, Files: p.Files,
	}
	if err := m.make(); err != nil {
		return Plan{}, fmt.Errorf("making a plan: %w", err)
	}
	return m.plan, nil
}

// Ref names the policy, with the articles that are in force.
func (p Policy) Ref() Ref {
	var basis []string
	for _, a := range p.LegalBasis {
		if a.InForce {
			basis = append(basis, a.Reference)
		}
	}
	return Ref{ID: p.ID, Version: p.Version, Digest: p.digest, LegalBasis: strings.Join(basis, "; "), RetentionDays: p.RetentionDays}
}

// maker holds one computation.
type maker struct {
	policy       Policy
	subject      Subject
	birth, today time.Time
	plan         Plan
}

func (m *maker) make() error {
	if m.subject.Asked == nil {
		m.because(Reason{Code: CodeAskedByPolicy})
	}
	if m.subject.OnFile == nil {
		m.because(Reason{Code: CodeOnFileUnknown})
	}
	for _, x := range m.subject.Asked {
		if !slices.Contains(m.policy.Order, x) {
			m.because(Reason{Code: CodeNotInPolicy, Modality: x})
		}
	}
	for _, x := range m.policy.Order {
		if err := m.modality(x); err != nil {
			return err
		}
	}
	if m.plan.Verification != VerifyNone {
		m.because(Reason{Code: CodeVerification})
	}
	if m.plan.Temporary == FollowUp {
		m.because(Reason{Code: CodeFollowUpIfTemp})
	}
	return nil
}

func (m *maker) because(r Reason) { m.plan.Reasons = append(m.plan.Reasons, r) }

func (m *maker) modality(x biometric.Modality) error {
	if m.subject.Asked != nil && !slices.Contains(m.subject.Asked, x) {
		m.because(Reason{Code: CodeNotAsked, Modality: x})
		return nil
	}
	if a, off := m.policy.off(x); off {
		m.because(Reason{Code: CodeNoLegalBasis, Modality: x, Article: a})
		return nil
	}
	switch x {
	case biometric.Face:
		m.face(m.policy.Face)
	case biometric.Signature:
		m.signature(m.policy.Signature)
	case biometric.Finger:
		return m.fingers(m.policy.Finger)
	}
	return nil
}

// off names the first article out of force that covers x.
func (p Policy) off(x biometric.Modality) (string, bool) {
	for _, a := range p.LegalBasis {
		if !a.InForce && slices.Contains(a.Covers, x) {
			return a.ID, true
		}
	}
	return "", false
}

func (m *maker) face(p *FacePolicy) {
	if Age(m.birth, m.today) < p.FromAge {
		m.because(Reason{Code: CodeByPhotoForm, Modality: biometric.Face, Age: p.FromAge})
		return
	}
	if m.onFile(biometric.Face, 0) {
		return
	}
	m.because(Reason{Code: CodeOwed, Modality: biometric.Face})
	image := p.Image
	m.plan.Steps = append(m.plan.Steps, Step{ID: "face", Modality: biometric.Face, Rules: p.Rules, Threshold: p.Threshold, Image: &image, Criteria: p.Criteria, Wait: p.Wait})
}

func (m *maker) signature(p *SignaturePolicy) {
	if Age(m.birth, m.today) < p.FromAge {
		m.because(Reason{Code: CodeBelowSigningAge, Modality: biometric.Signature, Age: p.FromAge})
		return
	}
	if m.onFile(biometric.Signature, 0) {
		return
	}
	m.because(Reason{Code: CodeOwed, Modality: biometric.Signature})
	m.plan.Steps = append(m.plan.Steps, Step{ID: "signature", Modality: biometric.Signature, Rules: p.Rules, Lossless: p.Lossless})
}

func (m *maker) fingers(p *FingerPolicy) error {
	young := Age(m.birth, m.today) < p.FromAge
	if young {
		m.because(Reason{Code: CodeAgeExempt, Modality: biometric.Finger, Age: p.FromAge})
	}
	for _, g := range p.Groups {
		step, err := p.step(g)
		if err != nil {
			return err
		}
		step.Want, err = m.owed(step.Want, young)
		if err != nil {
			return err
		}
		if len(step.Want) > 0 {
			m.plan.Steps = append(m.plan.Steps, step)
		}
	}
	return m.otherFingersOnFile()
}

// owed writes the ledger's lines for fingers that the policy wants and returns those that are owed.
func (m *maker) owed(want []biometric.FingerPosition, young bool) ([]biometric.FingerPosition, error) {
	var owed []biometric.FingerPosition
	for _, f := range want {
		line := biometric.Entry{Position: f, Reason: biometric.Owed}
		switch {
		case young:
			line.Reason = biometric.AgeExempt
		case m.onFile(biometric.Finger, f):
			line.Reason = biometric.OnFile
		default:
			m.because(Reason{Code: CodeOwed, Modality: biometric.Finger, Position: f})
			owed = append(owed, f)
		}
		if err := m.plan.Ledger.Set(line); err != nil {
			return nil, err
		}
	}
	return owed, nil
}

// otherFingersOnFile marks fingers that are fresh on file although nobody wants them.
func (m *maker) otherFingersOnFile() error {
	for _, o := range m.subject.OnFile {
		if o.Modality != biometric.Finger || !o.Position.Single() || m.plan.Ledger[o.Position-1].Reason != biometric.NotOwed {
			continue
		}
		if code, _ := m.fresh(o); code != CodeOnFile {
			continue
		}
		if err := m.plan.Ledger.Set(biometric.Entry{Position: o.Position, Reason: biometric.OnFile}); err != nil {
			return err
		}
	}
	return nil
}

// onFile reports whether a sample on file still serves, and says why for the newest that concerns it.
func (m *maker) onFile(x biometric.Modality, f biometric.FingerPosition) bool {
	var best *Reason
	for _, o := range m.subject.OnFile {
		if o.Modality != x || (o.Position != 0 && o.Position != f) {
			continue
		}
		code, age := m.fresh(o)
		r := Reason{Code: code, Modality: x, Position: f, Age: age, Source: o.Source}
		if !o.Date.IsZero() {
			r.Date = date(o.Date).Format(time.DateOnly)
		}
		if best == nil || better(r, *best) {
			best = &r
		}
	}
	if best == nil {
		return false
	}
	m.because(*best)
	return best.Code == CodeOnFile
}

// better prefers a fresh sample, then the newest; of equals the first stays.
func better(a, b Reason) bool {
	if fresh := a.Code == CodeOnFile; fresh != (b.Code == CodeOnFile) {
		return fresh
	}
	return a.Date > b.Date
}

// fresh judges one sample on file; the age is the birthday that made it stale.
func (m *maker) fresh(o OnFile) (Code, int) {
	taken := date(o.Date)
	switch {
	case o.Date.IsZero():
		return CodeOnFileUndated, 0
	case taken.After(m.today):
		return CodeOnFileFuture, 0
	}
	for _, age := range m.policy.Renewal.AgainAtAges {
		if Age(m.birth, taken) < age && Age(m.birth, m.today) >= age {
			return CodeOnFileBirthday, age
		}
	}
	if !m.today.Before(addMonths(taken, m.policy.Renewal.FreshMonths)) {
		return CodeOnFileStale, 0
	}
	return CodeOnFile, 0
}

// step builds a finger step with positions instead of names.
func (p *FingerPolicy) step(g Group) (Step, error) {
	sensor := p.Sensor
	s := Step{ID: g.ID, Modality: biometric.Finger, Rules: p.Rules, Best: g.Best, Lossless: p.Lossless, Sensor: &sensor, Compression: p.Compression,
		Uniqueness: p.Uniqueness, Slaps: p.Slaps,
		Thresholds: map[biometric.FingerPosition]int{}}
	for _, f := range biometric.Fingers() {
		s.Thresholds[f] = p.Thresholds[kind(f)]
	}
	for _, name := range g.Want {
		f, err := biometric.ParseFinger(name)
		if err != nil {
			return Step{}, err
		}
		s.Want = append(s.Want, f)
		if others := p.fallback(f); len(others) > 0 {
			if s.Fallback == nil {
				s.Fallback = map[biometric.FingerPosition][]biometric.FingerPosition{}
			}
			s.Fallback[f] = others
		}
	}
	return s, nil
}

// fallback lists the fingers of the same hand that may stand in for f. A finger that the policy wants anyway never does.
func (p *FingerPolicy) fallback(f biometric.FingerPosition) []biometric.FingerPosition {
	var wanted []string
	for _, g := range p.Groups {
		wanted = append(wanted, g.Want...)
	}
	var others []biometric.FingerPosition
	for _, k := range p.Fallback {
		for _, o := range biometric.Fingers() {
			if o.Right() == f.Right() && kind(o) == k && !slices.Contains(wanted, o.String()) {
				others = append(others, o)
			}
		}
	}
	return others
}

// kind names a finger without its hand: "index".
func kind(f biometric.FingerPosition) string {
	_, k, _ := strings.Cut(f.String(), "-")
	return k
}

// Age is the number of birthdays from birth to day. Who was born on 29 February has a birthday on 1 March in common years.
func Age(birth, day time.Time) int {
	birth, day = date(birth), date(day)
	years := day.Year() - birth.Year()
	if day.Before(birth.AddDate(years, 0, 0)) {
		years--
	}
	return years
}

// addMonths keeps the day of the month, or takes the last one where the month is shorter.
func addMonths(t time.Time, n int) time.Time {
	moved := t.AddDate(0, n, 0)
	if moved.Day() != t.Day() {
		moved = moved.AddDate(0, 0, -moved.Day())
	}
	return moved
}

// date is the calendar day of t in its own location, at midnight UTC.
func date(t time.Time) time.Time {
	y, mo, d := t.Date()
	return time.Date(y, mo, d, 0, 0, 0, 0, time.UTC)
}
