// Package api is how the screen, kioskctl and scripts talk to the daemon of their station: a status, commands and preview
// frames over a UNIX socket.
//
// The one idea: the status is a whole snapshot with a sequence number, so whoever connects late or loses the line reads one
// snapshot and is right again; commands are few, typed and answered. The wire is HTTP/1.1 with JSON; the kernel says who
// calls (SO_PEERCRED), and that decides what the caller may do.
package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/ink"
	"loket/kiosk/session"
)

// Role is what a caller may do, by the user id at the other end of the socket.
type Role string

// The roles of local callers. The screen sees frames, speaks for the applicant and starts sessions with a code; a technician
// sees devices, the outbox and chains, and starts and cancels any session. One user id can hold both.
const (
	RoleScreen     Role = "screen"
	RoleTechnician Role = "technician"
)

// Status is all that a screen or a technician shows of a station at one moment. It holds no sample, name or code; initials
// and birthday are there only while the applicant is asked to confirm them.
type Status struct {
	Sequence  uint64           `json:"sequence"`
	Station   string           `json:"station"`
	Centre    string           `json:"centre"`
	Demo      bool             `json:"demo,omitempty"`
	Version   string           `json:"version"`
	Started   time.Time        `json:"started"`
	Ready     bool             `json:"ready"`            // nothing keeps a session from starting: no problem, no session in progress
	Locked    bool             `json:"locked,omitempty"` // by staff
	Problems  []Problem        `json:"problems,omitempty"`
	Warnings  []Warning        `json:"warnings,omitempty"`
	Booth     *Booth           `json:"booth,omitempty"` // as it was found last; nil before it was looked at
	Session   *session.Session `json:"session,omitempty"`
	Confirm   *Confirm         `json:"confirm,omitempty"`
	Number    string           `json:"number,omitempty"` // of the ticket that is being served
	Deadline  *time.Time       `json:"deadline,omitempty"`
	Guidance  *Guidance        `json:"guidance,omitempty"`
	LastEnd   *End             `json:"last_end,omitempty"`
	LastScan  *Scan            `json:"last_scan,omitempty"`
	Devices   []Device         `json:"devices"`
	Outbox    OutboxSummary    `json:"outbox"`
	QueueLink bool             `json:"queue_link"` // the line to the centre's queue is up

	Desk         bool          `json:"desk,omitempty"`   // a staffed desk
	Moving       string        `json:"moving,omitempty"` // the station that the session is being handed over to
	Verification *Verification `json:"verification,omitempty"`
}

// Verification is how far the comparison of a kiosk's prints with supervised captures is at this desk.
type Verification struct {
	State    string                   `json:"state"`              // "comparing", "by-eye" where nothing can be compared here
	Position biometric.FingerPosition `json:"position,omitempty"` // wanted on the scanner now
	Matched  int                      `json:"matched"`            // short captures that were found to be of the same finger
	Of       int                      `json:"of"`
}

// The states of a verification.
const (
	VerifyComparing = "comparing"
	VerifyByEye     = "by-eye"
)

// Problem is one thing that keeps a station from working, in words for whoever mends it.
type Problem struct {
	Code string `json:"code"` // "device-unplugged", "disk-full", "queue-unreachable", …
	Text string `json:"text"`
	Hint string `json:"hint"`
}

// Warning is what keeps no session from starting and should be mended all the same.
type Warning struct {
	Code      string `json:"code"` // "booth-lamps", "booth-sides", "booth-background"
	Text      string `json:"text"`
	Hint      string `json:"hint"`       // a technician's next step
	StaffHint string `json:"staff_hint"` // and staff's
}

// Booth is how light and background were found while nobody stood before the camera.
type Booth struct {
	State  string    `json:"state"`
	At     time.Time `json:"at"`
	Detail string    `json:"detail,omitempty"` // why they could not be judged
	Checks []Check   `json:"checks,omitempty"`
}

// The states of a booth.
const (
	BoothPassed       = "passed"
	BoothFailed       = "failed"
	BoothNotAvailable = "not-available"
)

// Confirm is what an applicant is shown to say "that is me".
type Confirm struct {
	Initials string `json:"initials"`
	Birthday string `json:"birthday"` // "02-01": month and day, no year
}

// Guidance is what the applicant is told during a capture.
type Guidance struct {
	Step    string                     `json:"step"`
	Hint    biometric.Hint             `json:"hint,omitempty"`
	Fingers int                        `json:"fingers,omitempty"` // on the glass now
	Which   []biometric.FingerPosition `json:"which,omitempty"`   // that the hint speaks of; none in particular where empty
	Wanted  []biometric.FingerPosition `json:"wanted,omitempty"`  // that belong on the glass now: one by one on a reader for one finger, or instead of others
	Attempt int                        `json:"attempt"`
	Pad     bool                       `json:"pad,omitempty"` // signatures: a pad is written on, not the screen
}

// End is how the last session here ended.
type End struct {
	Session string    `json:"session"`
	Ticket  string    `json:"ticket"`
	End     string    `json:"end"`
	Record  string    `json:"record,omitempty"`
	At      time.Time `json:"at"`
}

// Scan is what came of the code that was shown last. It holds nothing of the code.
type Scan struct {
	At      time.Time `json:"at"`
	Refused *Error    `json:"refused,omitempty"` // why it started no session; nil where it did
}

// Device is one capture device of the station.
type Device struct {
	Identity  string     `json:"identity"`
	Kind      string     `json:"kind"`
	Driver    string     `json:"driver"`
	Model     string     `json:"model"`
	Serial    string     `json:"serial"`
	Firmware  string     `json:"firmware"`
	State     string     `json:"state"`
	Verdict   string     `json:"verdict,omitempty"` // "unplugged", "off", "hung", "crashed", "held", "unfit"
	Detail    string     `json:"detail,omitempty"`
	Owner     string     `json:"owner,omitempty"` // the session or program that has it
	Rung      string     `json:"rung,omitempty"`  // how far the station went to bring it back; "given-up" is the last
	NextTry   *time.Time `json:"next_try,omitempty"`
	Also      []string   `json:"also,omitempty"` // other places where the same device is seen
	Simulated bool       `json:"simulated"`
	Since     time.Time  `json:"since"`

	// What each of three people does about the verdict.
	Hint          string `json:"hint,omitempty"` // a technician
	StaffHint     string `json:"staff_hint,omitempty"`
	ApplicantHint string `json:"applicant_hint,omitempty"`
}

// SelfTest is how a device's own test went.
type SelfTest struct {
	Device  Device  `json:"device"` // after the test
	Passed  bool    `json:"passed"`
	Checks  []Check `json:"checks"`
	Seconds float64 `json:"seconds"`
}

// Check is one line of a self-test.
type Check struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Detail string `json:"detail,omitempty"`
}

// OutboxSummary counts sealed records that this station still keeps.
type OutboxSummary struct {
	Pending int `json:"pending"`
	Refused int `json:"refused"`
}

// Start asks for a session: for a ticket that lies in the queue by its id or code, or for whoever is next.
type Start struct {
	Ticket    string `json:"ticket,omitempty"`
	Code      string `json:"code,omitempty"` // as scanned; starts in confirming
	Next      bool   `json:"next,omitempty"` // starts in called
	RequestID string `json:"request_id,omitempty"`
}

// Command is one thing to do. Exactly one field is set, but for Session, which may name the session that an event is for: then
// it never hits the next person's; and Code, which says who decides.
type Command struct {
	Session  string         `json:"session,omitempty"`
	Code     string         `json:"code,omitempty"` // one-time code of the console: who speaks as attendant in an event
	Start    *Start         `json:"start,omitempty"`
	Event    *session.Event `json:"event,omitempty"`
	Outbox   *OutboxQuery   `json:"outbox,omitempty"`
	Trace    *TraceQuery    `json:"trace,omitempty"`
	SelfTest *SelfTestQuery `json:"self_test,omitempty"`
	// Sign tells what the person says of the signature that they are writing. It names the session.
	Sign *Sign `json:"sign,omitempty"`
	// StopRecording ends the recording of a device's USB traffic; whoever reads it gets its end.
	StopRecording *RecordQuery `json:"stop_recording,omitempty"`
}

// Sign says that a signature is done, or begun anew. Ink is what was written on the screen; nil where it is on a pad.
type Sign struct {
	Again bool     `json:"again,omitempty"`
	Ink   *ink.Ink `json:"ink,omitempty"`
}

// OutboxQuery asks for the sealed records that the station keeps; Retry tries to send the pending ones now,
// Again the refused one whose id is given, or begins so, because its cause is gone.
type OutboxQuery struct {
	Retry bool   `json:"retry,omitempty"`
	Again string `json:"again,omitempty"`
}

// SelfTestQuery has a device test itself, and is answered with a [SelfTest]. A device that was given up is tried again.
type SelfTestQuery struct {
	Device string `json:"device"` // its identity, as in the status
}

// RecordQuery asks for a recording of a device's USB traffic.
type RecordQuery struct {
	Device string        `json:"device"`        // its identity
	For    time.Duration `json:"for,omitempty"` // how long at the most; ten minutes where zero
}

// TraceQuery asks for the chain that an id belongs to: of a ticket, a session or a record.
type TraceQuery struct {
	ID string `json:"id"`
}

// Reply answers a command: the status after it, or what was asked for.
type Reply struct {
	Status *Status         `json:"status,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// Frame is one preview picture as I420: a full plane of luma, then two planes of chroma at half the width and height.
type Frame struct {
	Modality biometric.Modality
	Sequence uint64
	Width    int // px, even
	Height   int // px, even
	I420     []byte
}

// Caller is who sends a command, as the kernel tells.
type Caller struct {
	UID   uint32
	Roles []Role
}

// Is reports whether the caller has a role.
func (c Caller) Is(r Role) bool { return slices.Contains(c.Roles, r) }

// Name is how a decision of the caller is noted who gives no one-time code: "uid-1000".
func (c Caller) Name() string { return fmt.Sprintf("uid-%d", c.UID) }

// Backend is the daemon as the server sees it. Its methods may be called from several goroutines.
type Backend interface {
	// Status returns the present status and a channel that is closed when it changes.
	Status() (Status, <-chan struct{})
	// Do runs a command. Errors are shown to the caller; an [*Error] keeps its code and hint.
	Do(ctx context.Context, as Caller, c Command) (Reply, error)
	// Frames calls fn with preview frames, newest first and dropping what fn is too slow for, until ctx ends or fn fails.
	Frames(ctx context.Context, fn func(Frame) error) error
	// RecordUSB opens a device anew and writes what runs over it to w as text, until it is stopped, ctx ends or a bound is
	// reached. An error without any text is a refusal.
	RecordUSB(ctx context.Context, q RecordQuery, w io.Writer) error
}

// Error is a refusal that says what to do next.
type Error struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// Error gives the text with its hint.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Text
	}
	return e.Text + " (hint: " + e.Hint + ")"
}
