package hidcode

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"loket/drivers"
	"loket/kiosk/biometric"
	"loket/kiosk/mrz"
)

// message is what a reader sent from the beginning of a code to its end.
type message struct {
	text      string
	symbology string
	bad       error // why it is no code
}

var (
	errTooLong = fmt.Errorf("it is longer than %d bytes", drivers.MaxCode)
	errControl = errors.New("it holds a control character")
	errNotUTF8 = errors.New("it is no UTF-8")
)

// code makes a code of a message. Line ends behind it are the reader's own and left out; false where nothing is left.
func (m message) code(today time.Time) (drivers.Code, bool, error) {
	if m.bad != nil {
		return drivers.Code{}, false, unusable(m.bad)
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(m.text)
	text = strings.TrimRight(text, "\n\t")
	c := drivers.Code{Text: text, Symbology: m.symbology}
	if mrz.Looks(text) {
		d, err := mrz.Parse(text, today)
		if err == nil {
			c.Document = &d
		}
		c.Misread = err
		return c, true, nil
	}
	switch {
	case text == "":
		return drivers.Code{}, false, nil
	case !utf8.ValidString(text):
		return drivers.Code{}, false, unusable(errNotUTF8)
	case strings.ContainsFunc(text, unicode.IsControl):
		return drivers.Code{}, false, unusable(errControl)
	}
	return c, true, nil
}

// unusable is a code that the reader read well and nobody can use.
func unusable(why error) error {
	return fmt.Errorf("reading a code: %w: %w", why, &drivers.RetryError{Hint: biometric.HintShowAgain})
}
