// Package drivers turns USB devices into capture devices.
//
// The one idea: whatever the protocol, the daemon sees a fingerprint scanner, a camera, a code reader, a signature pad or a
// printer, and two kinds of trouble: a [RetryError] that the capture subject mends, and one of five faults that staff or a
// technician mend. Each protocol is one folder below; package all lists them.
package drivers

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"time"

	"loket/drivers/usb"
	"loket/kiosk/biometric"
)

// Kind is what a device does for an intake.
type Kind string

// The kinds of device.
const (
	KindFingerprint Kind = "fingerprint-scanner"
	KindCamera      Kind = "camera"
	KindCodeReader  Kind = "code-reader"
	KindSignature   Kind = "signature-pad"
	KindPrinter     Kind = "printer"
)

// Info describes an opened device, for the record and for technicians.
type Info struct {
	USB       usb.Info `json:"usb"`
	Driver    string   `json:"driver"`
	Kind      Kind     `json:"kind"`
	Vendor    string   `json:"vendor"`
	Model     string   `json:"model"`
	Serial    string   `json:"serial"`
	Firmware  string   `json:"firmware"`
	Simulated bool     `json:"simulated"`
	Sensor    *Sensor  `json:"sensor,omitempty"` // fingerprint scanners only
}

// Sensor is the capture area of a fingerprint scanner.
type Sensor struct {
	Width   int `json:"width"`   // px
	Height  int `json:"height"`  // px
	PPI     int `json:"ppi"`     // pixels an inch
	Fingers int `json:"fingers"` // how many fingers it takes at once
}

// Device is an opened capture device. One goroutine captures at a time; Close may come from any, ends what is pending, and
// does nothing the second time.
type Device interface {
	Info() Info
	Close() error
}

// FingerprintScanner captures plain impressions.
type FingerprintScanner interface {
	Device
	// Capture waits for the wanted single fingers, which the subject presents together, and returns what lay on the glass.
	// It returns promptly with ctx.Err() when ctx ends, and the next Capture works. watch is called from the capturing
	// goroutine and must not block; nil is allowed. Errors: [*RetryError] or one of the five faults.
	Capture(ctx context.Context, want []biometric.FingerPosition, watch func(Progress)) (Image, error)
}

// Camera gives a live view and stills.
type Camera interface {
	Device
	// Frames runs the live view and calls fn for each frame until ctx ends (it then returns ctx.Err()) or fn returns an
	// error (it then returns that). A frame is valid during the call only.
	Frames(ctx context.Context, fn func(Frame) error) error
	// Still takes one photograph. It may be called after Frames has returned.
	Still(ctx context.Context) (Image, error)
}

// SignaturePad tells what is written on it.
type SignaturePad interface {
	Device
	// Area is the size of what is written on, in hundredths of a millimetre.
	Area() (width, height int)
	// Strokes calls fn for everything that the pen does until ctx ends (it then returns ctx.Err()) or fn returns an error (it then
	// returns that). Silence is no fault. Errors: one of the five faults.
	Strokes(ctx context.Context, fn func(PenEvent) error) error
}

// PenEvent is where a pen is, or that it was lifted.
type PenEvent struct {
	Down  bool          // false: the pen was lifted, and nothing else counts
	X, Y  int           // hundredths of a millimetre from the left and upper edges, within the area
	Force int           // 1 to 1000 of what the pad can tell; 0 where it tells none
	At    time.Duration // since Strokes began
}

// StillSizer is the power of a camera that knows how large its photographs will be. It is found by type assertion.
type StillSizer interface {
	// StillSize is width and height, px; errors.ErrUnsupported where the camera does not tell.
	StillSize(ctx context.Context) (width, height int, err error)
}

// SelfTester is the power of a device that can test itself. It is found by type assertion.
type SelfTester interface {
	SelfTest(ctx context.Context) (SelfTest, error)
}

// SelfTest is the result of a device's own test.
type SelfTest struct {
	Passed bool   `json:"passed"`
	Checks []Test `json:"checks"`
}

// Test is one line of a self-test.
type Test struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Detail string `json:"detail,omitempty"`
}

// Image is what a device captured.
type Image struct {
	Gray      *image.Gray // fingerprint scanners: 8 bit, ridges dark; nil for cameras
	Encoded   []byte      // cameras: the file as the camera made it
	MediaType string      // of Encoded
	PPI       int         // of Gray
	Fingers   []FingerBox // where the scanner saw fingers, left to right as it faces the subject
	PAD       biometric.PAD
}

// Wipe overwrites the pixels and empties the image.
func (m *Image) Wipe() {
	if m.Gray != nil {
		clear(m.Gray.Pix)
	}
	clear(m.Encoded)
	*m = Image{}
}

// FingerBox is one finger on the glass.
type FingerBox struct {
	Box image.Rectangle // px in the captured image
	PAD biometric.PAD
}

// Frame is one picture of a live view.
type Frame struct {
	JPEG     []byte // baseline JPEG
	Sequence uint64 // counts frames that the device made, dropped ones included
}

// Progress is what happens during a capture: guidance for the subject, never a decision.
type Progress struct {
	Hint    biometric.Hint
	Fingers int         // how many fingers lie on the glass
	Preview *image.Gray // valid during the call; nil where there is none
}

// Driver opens the devices of one protocol.
type Driver struct {
	Name  string // the folder's name
	Kind  Kind
	Match func(usb.Info) bool
	// Open takes over dev, and closes it where it fails.
	Open func(ctx context.Context, dev usb.Device) (Device, error)
}

// The five faults. Each has a next step of its own; which one holds is decided by evidence, never guessed.
var (
	ErrUnplugged = errors.New("device unplugged or off")
	ErrOff       = errors.New("device switched off")
	ErrHung      = errors.New("device does not answer")
	ErrCrashed   = errors.New("device answers wrongly")
	ErrHeld      = errors.New("device held by another program")
)

// ErrDenied is no fault of a device: the system does not let this program open it. It carries no verdict.
var ErrDenied = errors.New("device may not be opened by this program")

// RetryError says that the capture subject can do better. The device is fine and the next Capture works.
type RetryError struct{ Hint biometric.Hint }

// Error names the hint.
func (e *RetryError) Error() string { return fmt.Sprintf("capture not usable: %s", e.Hint) }

// Fault turns an error of a bus into one of the five faults: a deadline that the driver set itself is passed as
// [context.DeadlineExceeded] and means hung; a stall that got this far survived a clear halt and means crashed. An error
// that already is a fault, a [*RetryError] or the end of ctx goes through as it is.
func Fault(ctx context.Context, doing string, err error) error {
	var retry *RetryError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &retry), Verdict(err) != "":
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: %w: %w", doing, ErrDenied, err)
	case errors.Is(err, usb.ErrGone), errors.Is(err, usb.ErrNotFound), errors.Is(err, usb.ErrClosed):
		return fmt.Errorf("%s: %w: %w", doing, ErrUnplugged, err)
	case errors.Is(err, usb.ErrBusy):
		return fmt.Errorf("%s: %w: %w", doing, ErrHeld, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: %w", doing, ErrHung, err)
	default:
		return fmt.Errorf("%s: %w: %w", doing, ErrCrashed, err)
	}
}

// Verdict names the fault that err carries: "unplugged", "off", "hung", "crashed", "held", or "" for none.
func Verdict(err error) string {
	for _, f := range []struct {
		err  error
		name string
	}{{ErrOff, "off"}, {ErrUnplugged, "unplugged"}, {ErrHung, "hung"}, {ErrCrashed, "crashed"}, {ErrHeld, "held"}} {
		if errors.Is(err, f.err) {
			return f.name
		}
	}
	return ""
}
