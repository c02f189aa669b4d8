package plan

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"loket/kiosk/biometric"
)

// Policy is one table of rules: what a legal regime asks for and how it is captured. docs/policies.md explains every field;
// policies/policy.schema.json bounds them.
type Policy struct {
	ID            string               `json:"id"`
	Version       string               `json:"version"`
	Title         string               `json:"title"`
	Supervised    bool                 `json:"supervised"`
	LegalBasis    []Article            `json:"legal_basis"`
	RetentionDays int                  `json:"retention_days"`
	Renewal       Renewal              `json:"renewal"`
	Order         []biometric.Modality `json:"order"`
	Review        bool                 `json:"review"`
	Verification  Verification         `json:"verification"`
	Exceptions    Exceptions           `json:"exceptions"`
	Temporary     Temporary            `json:"temporary"`
	TimeLimits    TimeLimits           `json:"time_limits"`
	Face          *FacePolicy          `json:"face"`
	Finger        *FingerPolicy        `json:"finger"`
	Signature     *SignaturePolicy     `json:"signature"`
	Files         []string             `json:"files"` // for other systems, beside the samples: "ansi-nist", "iso-19794", "iso-39794"

	digest string
}

// Article is one piece of law with its off switch: what any article out of force covers is not owed.
type Article struct {
	ID        string               `json:"id"`
	Reference string               `json:"reference"`
	Covers    []biometric.Modality `json:"covers"`
	InForce   bool                 `json:"in_force"`
}

// Renewal says when a sample on file still serves.
type Renewal struct {
	FreshMonths int   `json:"fresh_months"`  // younger than this it serves
	AgainAtAges []int `json:"again_at_ages"` // unless one of these birthdays lies between
}

// Verification says when captures are verified at a counter before they are sealed.
type Verification string

// The rules of verification.
const (
	VerifyNone       Verification = "none"
	VerifyWithoutPAD Verification = "without-pad" // where a capture had no presentation-attack detection
	VerifyAlways     Verification = "always"
)

// Exceptions says what follows where an attendant takes a finger out of what is owed.
type Exceptions string

// The rules of exceptions.
const (
	ExceptAndGoOn Exceptions = "go-on"
	ExceptAndMove Exceptions = "move" // staff stay with the session: it is moved to a desk, or resumed by them
)

// Temporary says what a temporary reason leads to. It never exempts.
type Temporary string

// The rules of temporary reasons.
const (
	OtherFingers Temporary = "other-fingers"
	FollowUp     Temporary = "follow-up" // a further appointment, which the ticket carries
)

// TimeLimits bounds how long a session waits for its person (EN 301 549 V3.2.1, clause 9.2.2.1: warned at least 20 s before,
// extended at least 10 times).
type TimeLimits struct {
	CalledSeconds     int `json:"called_seconds"`
	ConfirmSeconds    int `json:"confirm_seconds"`
	InactivitySeconds int `json:"inactivity_seconds"`
	WarningSeconds    int `json:"warning_seconds"`
	Extensions        int `json:"extensions"`
}

// Rules says how a step is captured. Supervised steps count attempts, unsupervised ones run against a time limit.
type Rules struct {
	Attempts           int     `json:"attempts"`            // 0: the time limit counts
	LimitSeconds       int     `json:"limit_seconds"`       // from the start of the capture; 0: attempts count
	AtLimit            AtLimit `json:"at_limit"`            // what becomes of samples below the threshold
	PresentationAttack OnPAD   `json:"presentation_attack"` // what a presentation-attack alarm does
	Again              int     `json:"again"`               // rejections after which the step starts again by itself
}

// AtLimit says what becomes of the best samples where none reached the threshold.
type AtLimit string

// The ends of a limit.
const (
	KeepBest   AtLimit = "keep-best"
	RejectBest AtLimit = "reject"
)

// OnPAD says what a presentation-attack alarm does.
type OnPAD string

// The answers to an alarm.
const (
	PADRejects OnPAD = "reject" // the attempt counts, its images don't
	PADEnds    OnPAD = "end"    // the capture is over, its images are wiped, staff are called
)

// FacePolicy is the face's part of a policy.
type FacePolicy struct {
	FromAge   int         `json:"from_age"` // younger: by photo form
	Rules     Rules       `json:"rules"`
	Threshold int         `json:"threshold"`
	Image     ImageLimits `json:"image"`

	Criteria []biometric.Criterion `json:"criteria,omitempty"` // in the order in which they are told
	Wait     *FaceWait             `json:"wait,omitempty"`     // nil: as [Step.Patience] has it
}

// FaceWait bounds how long a person is told what to do better before a photograph is taken as they are, anew for each
// photograph: nobody is ever kept by a criterion that they can't meet.
type FaceWait struct {
	MandatorySeconds int `json:"mandatory_seconds"` // for what a photograph is insufficient without, from when somebody is seen
	OptionalSeconds  int `json:"optional_seconds"`  // for what they can mend besides, from when all that is mandatory holds
}

// Where a policy does not say how long a person is waited for.
const (
	waitMandatory = 8
	waitOptional  = 4
)

// ImageLimits bounds a photograph. Too small is judged, too large is mended by one re-encoding.
type ImageLimits struct {
	MinWidth  int `json:"min_width"` // px
	MinHeight int `json:"min_height"`
	MaxWidth  int `json:"max_width"`
	MaxHeight int `json:"max_height"`
	MaxBytes  int `json:"max_bytes"`
}

// FingerPolicy is the fingers' part of a policy.
type FingerPolicy struct {
	FromAge    int            `json:"from_age"` // younger: exempt
	Rules      Rules          `json:"rules"`
	Groups     []Group        `json:"groups"`
	Fallback   []string       `json:"fallback"`   // of the same hand, in this order: "thumb", "middle", …
	Thresholds map[string]int `json:"thresholds"` // by kind of finger, on the NFIQ 2 scale
	Lossless   bool           `json:"lossless"`
	Sensor     SensorRule     `json:"sensor"`
	Uniqueness Uniqueness     `json:"uniqueness"` // empty: nothing is compared
	Slaps      Slaps          `json:"slaps"`      // empty: the scanner's word counts

	Compression *CompressionRule `json:"compression"` // nil where Lossless
}

// Uniqueness says what follows where one finger is shown in two places.
type Uniqueness string

// The answers to a finger in two places.
const (
	UniqueRejects  Uniqueness = "reject"  // the attempt counts, its images don't
	UniqueRestarts Uniqueness = "restart" // the capture begins anew, once; a second time it is over, and staff are called
)

// Slaps says who names the fingers of an image that shows several.
type Slaps string

// The two ways besides the scanner's own word.
const (
	SlapsChecked   Slaps = "checked"   // the scanner's boxes count, but a wrong hand or one from the far side is refused
	SlapsSegmented Slaps = "segmented" // fingers are cut out, turned upright and named from the whole image
)

// CompressionRule says how far an image is compressed with loss before it is sealed.
type CompressionRule struct {
	Format     string  `json:"format"`      // "wsq"
	Rate       float64 `json:"rate"`        // bits a pixel to begin with
	LeastRatio float64 `json:"least_ratio"` // bytes of pixels for each byte: the rate is changed until the ratio lies between
	MostRatio  float64 `json:"most_ratio"`
}

// Ratios between which a print that enrols is compressed (BSI TR-03121-3 v6.0: WSQ, 10:1 to 20:1).
const (
	leastRatio = 10
	mostRatio  = 20
)

// checkUniqueness: who enrols nobody needs no comparison, and nobody begins anew under an attendant's eyes.
func (p *FingerPolicy) checkUniqueness(supervised bool) error {
	switch {
	case supervised && p.Uniqueness == UniqueRestarts:
		return errors.New("a capture that begins anew where one finger is shown in two places belongs to unsupervised policies")
	case !supervised && p.Uniqueness == UniqueRejects:
		return errors.New("in an unsupervised policy a capture begins anew where one finger is shown in two places")
	case p.Uniqueness == "" && p.Sensor.Purpose == ForEnrolment && p.fingers() > 1:
		return errors.New("a policy that enrols several fingers says what follows where one is shown in two places")
	}
	return nil
}

func (p *FingerPolicy) fingers() (n int) {
	for _, g := range p.Groups {
		n += len(g.Want)
	}
	return n
}

func (p *FingerPolicy) checkCompression() error {
	c := p.Compression
	switch {
	case p.Lossless != (c == nil):
		return errors.New("fingers are sealed without loss, or there are rules for their compression: one of the two")
	case c == nil:
		return nil
	case c.LeastRatio >= c.MostRatio:
		return errors.New("the least ratio of compression is not below the most")
	case p.Sensor.Purpose == ForEnrolment && (c.LeastRatio < leastRatio || c.MostRatio > mostRatio):
		return fmt.Errorf("prints that enrol are compressed at %d:1 to %d:1", leastRatio, mostRatio)
	}
	return nil
}

// Group is the fingers that are presented together on hardware that can take them.
type Group struct {
	ID   string   `json:"id"`
	Want []string `json:"want"` // "right-index", …
	Best Best     `json:"best"`
}

// Best says how the best of several captures is found.
type Best string

// The two ways.
const (
	BestOfEach Best = "each" // finger by finger, but one capture with all sufficient wins
	BestSlap   Best = "slap" // lexicographic: index, middle, ring, little; the right thumb before the left
)

// SignaturePolicy is the signature's part of a policy.
type SignaturePolicy struct {
	FromAge  int   `json:"from_age"`
	Rules    Rules `json:"rules"`
	Lossless bool  `json:"lossless"`
}

// MaxPolicyBytes is the largest file that [Parse] reads.
const MaxPolicyBytes = 256 << 10

const schemaFile = "policy.schema.json"

//go:embed policies/*.json
var policyFiles embed.FS

// Policies lists the ids of the policies that are built in, in alphabetical order.
func Policies() []string {
	names, _ := fs.Glob(policyFiles, "policies/*.json")
	var ids []string
	for _, n := range names {
		if id := strings.TrimSuffix(strings.TrimPrefix(n, "policies/"), ".json"); id+".json" != schemaFile {
			ids = append(ids, id)
		}
	}
	return ids
}

// LoadPolicy reads a policy that is built in.
func LoadPolicy(id string) (Policy, error) {
	if !slices.Contains(Policies(), id) {
		return Policy{}, fmt.Errorf("loading policy %q: not built in (hint: known are %s)", id, strings.Join(Policies(), ", "))
	}
	data, err := policyFiles.ReadFile("policies/" + id + ".json")
	if err != nil {
		return Policy{}, fmt.Errorf("loading policy %q: %w", id, err)
	}
	p, err := Parse(data)
	if err == nil && p.ID != id {
		err = fmt.Errorf("loading policy %q: its file names itself %q", id, p.ID)
	}
	return p, err
}

// Parse reads a policy file of at most [MaxPolicyBytes], checks it against the schema and against itself, and remembers the
// digest of its bytes.
func Parse(data []byte) (Policy, error) {
	if len(data) > MaxPolicyBytes {
		return Policy{}, fmt.Errorf("parsing a policy: %d bytes, at most %d are allowed", len(data), MaxPolicyBytes)
	}
	if err := validate(data); err != nil {
		return Policy{}, fmt.Errorf("parsing a policy: %w", err)
	}
	var p Policy
	if err := json.Unmarshal(data, &p); err != nil {
		return Policy{}, fmt.Errorf("parsing a policy: %w", err)
	}
	if err := p.check(); err != nil {
		return Policy{}, fmt.Errorf("parsing policy %q: %w", p.ID, err)
	}
	sum := sha256.Sum256(data)
	p.digest = hex.EncodeToString(sum[:])
	return p, nil
}

// Digest is the SHA-256 of the file that the policy was parsed from, in lower-case hexadecimal digits.
func (p Policy) Digest() string { return p.digest }

func validate(data []byte) error {
	schema, err := compileSchema()
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("reading JSON: %w", err)
	}
	return schema.Validate(doc)
}

func compileSchema() (*jsonschema.Schema, error) {
	data, err := policyFiles.ReadFile("policies/" + schemaFile)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaFile, doc); err != nil {
		return nil, err
	}
	return c.Compile(schemaFile)
}

// check finds the contradictions that a schema can't express.
func (p Policy) check() error {
	parts := map[biometric.Modality]*Rules{}
	if p.Face != nil {
		parts[biometric.Face] = &p.Face.Rules
	}
	if p.Finger != nil {
		parts[biometric.Finger] = &p.Finger.Rules
	}
	if p.Signature != nil {
		parts[biometric.Signature] = &p.Signature.Rules
	}
	for _, m := range p.Order {
		if parts[m] == nil {
			return fmt.Errorf("order names %q, which has no rules", m)
		}
		if !slices.ContainsFunc(p.LegalBasis, func(a Article) bool { return slices.Contains(a.Covers, m) }) {
			return fmt.Errorf("no legal basis covers %q", m)
		}
		if err := parts[m].check(p.Supervised); err != nil {
			return fmt.Errorf("rules of %q: %w", m, err)
		}
	}
	if len(parts) != len(p.Order) {
		return errors.New("order leaves out a modality that has rules")
	}
	return errors.Join(p.checkFingers(), p.checkImage(), p.checkWhole())
}

func (r Rules) check(supervised bool) error {
	switch {
	case supervised && r.Attempts == 0:
		return errors.New("a supervised policy counts attempts")
	case !supervised && (r.Attempts != 0 || r.LimitSeconds == 0):
		return errors.New("an unsupervised policy has a time limit instead of attempts")
	case !supervised && r.PresentationAttack != PADEnds:
		return errors.New("in an unsupervised policy a presentation-attack alarm ends the capture")
	}
	return nil
}

func (p Policy) checkWhole() error {
	switch {
	case !p.Supervised && p.Verification == VerifyNone:
		return errors.New("an unsupervised policy needs verification at a counter")
	case p.TimeLimits.WarningSeconds > min(p.TimeLimits.ConfirmSeconds, p.TimeLimits.InactivitySeconds):
		return errors.New("the warning comes before the time limit starts")
	}
	return nil
}

func (p Policy) checkImage() error {
	if p.Face == nil {
		return nil
	}
	if i := p.Face.Image; i.MinWidth > i.MaxWidth || i.MinHeight > i.MaxHeight {
		return errors.New("the image's smallest size is above its largest")
	}
	seen := map[string]bool{}
	for _, c := range p.Face.Criteria {
		if c.Min != nil && c.Max != nil && *c.Min > *c.Max {
			return fmt.Errorf("criterion %s: the lower limit is above the upper", c.Name)
		}
		if seen[c.Name] {
			return fmt.Errorf("criterion %s stands there twice", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}

func (p Policy) checkFingers() error {
	if p.Finger == nil {
		return nil
	}
	if !p.Supervised && len(p.Finger.Fallback) > 0 {
		return errors.New("fallback fingers belong to supervised policies")
	}
	if err := p.Finger.checkUniqueness(p.Supervised); err != nil {
		return err
	}
	ids, fingers := map[string]bool{}, map[string]bool{}
	for _, g := range p.Finger.Groups {
		if ids[g.ID] || g.ID == string(biometric.Face) || g.ID == string(biometric.Signature) {
			return fmt.Errorf("two steps are called %q", g.ID)
		}
		ids[g.ID] = true
		for _, f := range g.Want {
			if fingers[f] {
				return fmt.Errorf("%s is wanted twice", f)
			}
			fingers[f] = true
		}
	}
	return errors.Join(p.Finger.checkCompression(), p.Finger.Sensor.check())
}
