// Package biometric holds the words of an intake: modality, finger position, sample, quality, attempt, outcome, ledger.
//
// The one idea: every part of the chain speaks of the same few values, and each value can be written to a wire or a disk as
// it stands. Terms follow ISO/IEC 2382-37:2022, finger positions ANSI/NIST-ITL 1-2011 Update 2015, table 12.
package biometric

import (
	"fmt"
	"log/slog"
	"time"
)

// Modality is what is captured.
type Modality string

// The modalities of an intake.
const (
	Face      Modality = "face"
	Finger    Modality = "finger"
	Signature Modality = "signature"
)

// Valid reports whether m is one of the modalities above.
func (m Modality) Valid() bool { return m == Face || m == Finger || m == Signature }

// Quality is one judgement of a sample. The score never travels without the algorithm that gave it.
type Quality struct {
	Score     int                `json:"score"`     // 0 (worst) to 100
	Algorithm string             `json:"algorithm"` // who measured
	Version   string             `json:"version"`
	Measures  map[string]float64 `json:"measures,omitempty"`
}

// PADResult is what a presentation-attack detector said of a capture (ISO/IEC 30107-3).
type PADResult string

// The results of presentation-attack detection. The zero value reads as not available.
const (
	PADNotAvailable PADResult = "not-available"
	PADPassed       PADResult = "passed"
	PADAlarm        PADResult = "alarm"
)

// PAD is a presentation-attack detection result with its score, 0 (attack) to 100 (bona fide).
type PAD struct {
	Result    PADResult `json:"result"`
	Score     int       `json:"score"`
	Algorithm string    `json:"algorithm,omitempty"`
}

// Sample is one captured image in the clear. Whoever holds it wipes it: samples live in memory only, and only until they
// are sealed. It redacts itself in logs.
type Sample struct {
	Modality  Modality
	Position  FingerPosition // zero unless Modality is Finger
	MediaType string         // of Data: "image/png", "image/jpeg", …
	Data      []byte         // the encoded image
	Width     int            // px
	Height    int            // px
	PPI       int            // pixels an inch; zero where the image has no scale
	Quality   Quality

	Compression *Compression // nil where an image was not compressed here, or without loss
}

// Compression says how an image was compressed with loss: once, from the uncompressed one.
type Compression struct {
	Algorithm string  `json:"algorithm"` // the encoder's name, as "loket-wsq"
	Version   string  `json:"version"`
	Rate      float64 `json:"rate"`  // bits a pixel that were aimed at
	Ratio     float64 `json:"ratio"` // that came of it: bytes of pixels for each byte
}

// Wipe overwrites the image. The sample is empty afterwards.
func (s *Sample) Wipe() {
	clear(s.Data)
	*s = Sample{}
}

// LogValue keeps the image and its quality out of logs.
func (s Sample) LogValue() slog.Value {
	return slog.StringValue(fmt.Sprintf("%s sample, redacted", s.Modality))
}

// String keeps the image out of formatted output.
func (s Sample) String() string { return s.LogValue().String() }

// GoString keeps the image out of %#v.
func (s Sample) GoString() string { return s.String() }

// Result is how an attempt ended.
type Result string

// The results of an attempt.
const (
	Accepted Result = "accepted"
	Rejected Result = "rejected" // the subject can do better: Hint says how
	Faulted  Result = "faulted"  // the device can't go on
	Ended    Result = "ended"    // the subject or an attendant ended it
)

// Hint is what a capture subject can do better, in one word that screens and speech translate.
type Hint string

// Hints for fingers and faces. The list grows with the measures.
const (
	HintNone           Hint = ""
	HintPressHarder    Hint = "press-harder"
	HintPressLess      Hint = "press-less"
	HintTooDry         Hint = "too-dry"
	HintTooWet         Hint = "too-wet"
	HintCentre         Hint = "centre"
	HintHoldStill      Hint = "hold-still"
	HintFingerMissing  Hint = "finger-missing"
	HintTooMany        Hint = "too-many-fingers"
	HintWrongFinger    Hint = "wrong-finger"
	HintWrongHand      Hint = "wrong-hand"
	HintUpsideDown     Hint = "upside-down"
	HintSameFinger     Hint = "same-finger"
	HintLiftAndRepeat  Hint = "lift-and-repeat"
	HintPlace          Hint = "place"
	HintLiftNow        Hint = "lift-now"
	HintComeCloser     Hint = "come-closer"
	HintStepBack       Hint = "step-back"
	HintLookStraight   Hint = "look-straight"
	HintNoFace         Hint = "no-face"
	HintSeveralFaces   Hint = "several-faces"
	HintTooDark        Hint = "too-dark"
	HintTooBright      Hint = "too-bright"
	HintOutOfFocus     Hint = "out-of-focus"
	HintHeadUpright    Hint = "head-upright"
	HintCloseMouth     Hint = "close-mouth"
	HintOpenEyes       Hint = "open-eyes"
	HintMiddle         Hint = "to-the-middle"
	HintShowAgain      Hint = "show-again" // a code or document that could not be read
	HintSignMore       Hint = "sign-more"  // nothing was written that could be a signature
	HintCallAttendant  Hint = "call-attendant"
	HintPresentationOK Hint = "good"
)

// Attempt is one capture attempt (ISO/IEC 2382-37, 37.06.02) as it is remembered: everything but the image.
type Attempt struct {
	Step      string           `json:"step"` // the plan's name of the step
	Modality  Modality         `json:"modality"`
	Wanted    []FingerPosition `json:"wanted,omitempty"`
	Number    int              `json:"number"` // 1 and up within a step
	Started   time.Time        `json:"started"`
	Ended     time.Time        `json:"ended"`
	Result    Result           `json:"result"`
	Hint      Hint             `json:"hint,omitempty"`
	Qualities []Finding        `json:"qualities,omitempty"`
	PAD       PAD              `json:"pad"`
	Device    string           `json:"device"`
}

// Finding is the quality of one part of a capture: a finger of a slap, or the face.
type Finding struct {
	Position FingerPosition `json:"position,omitempty"`
	Quality  Quality        `json:"quality"`
	Enough   bool           `json:"enough"` // reaches the policy's threshold
}

// Outcome is what a step came to, without any sample: what the session machine, the screen and the record share.
type Outcome struct {
	Step     string           `json:"step"`
	Modality Modality         `json:"modality"`
	Captured []FingerPosition `json:"captured,omitempty"` // fingers now held; empty for a face
	Findings []Finding        `json:"findings,omitempty"` // of what was kept
	Attempts []Attempt        `json:"attempts"`
	Excepted []Exception      `json:"excepted,omitempty"`
	GivenUp  []FingerPosition `json:"given_up,omitempty"` // of poor quality after all attempts: another finger stands in
	Forced   bool             `json:"forced,omitempty"`   // kept below threshold: limit reached or overridden
}

// Exception takes a finger out of what is owed.
type Exception struct {
	Position  FingerPosition `json:"position"`
	Reason    Reason         `json:"reason"`
	Permanent bool           `json:"permanent"`
	Attendant string         `json:"attendant"` // pseudonymous id
}

// Comparison is one verification of a print that is held against a supervised capture of what should be the same finger. The
// score never travels without the algorithm that gave it.
type Comparison struct {
	Position  FingerPosition `json:"position"`
	Same      bool           `json:"same"` // the score reaches the threshold
	Score     float64        `json:"score"`
	Threshold float64        `json:"threshold"`
	Algorithm string         `json:"algorithm"`
	Version   string         `json:"version"`
	Device    string         `json:"device"` // that took the supervised capture
	At        time.Time      `json:"at"`
}
