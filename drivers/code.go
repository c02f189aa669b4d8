package drivers

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"loket/kiosk/mrz"
)

// CodeReader reads what people show: bar codes, QR codes, documents.
type CodeReader interface {
	Device
	// Read waits for the next code, for as long as nobody shows one: silence is no fault. It returns promptly with ctx.Err()
	// when ctx ends, and the next Read works; of a code that ends or a fault cut off nothing is left over for it. Errors: a
	// [*RetryError] for a code that can't be used, or one of the five faults.
	Read(ctx context.Context) (Code, error)
}

// MaxCode is how long the text of a code is at most, in bytes.
const MaxCode = 512

// Code is what a reader read. It may be a secret or a person's document, and redacts itself wherever it is logged, formatted
// or marshalled.
type Code struct {
	// Text is valid UTF-8 without control characters, [MaxCode] bytes at most, and never empty; the lines of a machine readable
	// zone are separated by line feeds.
	Text      string
	Symbology string        // the AIM identifier, "]Q1" (ISO/IEC 15424:2008); empty where the reader does not tell
	Document  *mrz.Document // nil where Text is no machine readable zone
	Misread   error         // why a text with the shape of one is none, an [*mrz.Error]; nil otherwise
}

const redactedCode = "code, redacted"

// LogValue keeps the code out of logs.
func (Code) LogValue() slog.Value { return slog.StringValue(redactedCode) }

// Format keeps the code out of formatted output, whatever the verb.
func (Code) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedCode) }

// MarshalText keeps the code out of JSON.
func (Code) MarshalText() ([]byte, error) { return []byte(redactedCode), nil }
