// Package iso19794 writes and reads the first edition of two biometric interchange formats: face image data, ISO/IEC 19794-5:2005
// ("FAC", version "010"), and finger image data, ISO/IEC 19794-4:2005 ("FIR", version "010").
//
// The one idea: every byte of these records has one place, so whatever does not fit its place is refused with the clause that it
// breaks. What the writer writes the reader reads to the same values. The second editions (2011) have other headers and are refused.
package iso19794

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Formats, as the first four bytes of a record name them.
const (
	FaceFormat   = "FAC\x00"
	FingerFormat = "FIR\x00"
	version      = "010\x00"
)

// MaxRecord bounds what is read and written, in bytes.
const MaxRecord = 64 << 20

// The standards, as errors name them.
const (
	faceStandard   = "ISO/IEC 19794-5:2005"
	fingerStandard = "ISO/IEC 19794-4:2005"
)

// Error is a rule that a record breaks.
type Error struct {
	Standard string
	Clause   string
	Offset   int // of the field, in bytes
	Field    string
	Rule     string
}

// Error names the standard with its edition, the place, the field, the rule and the clause.
func (e *Error) Error() string {
	return fmt.Sprintf("reading an %s record: %s at byte %d: %s (clause %s)", e.Standard, e.Field, e.Offset, e.Rule, e.Clause)
}

// cursor reads fields one after the other and keeps the first error.
type cursor struct {
	standard string
	clause   string
	data     []byte
	at       int
	err      error
}

func (c *cursor) fail(at int, field, rule string, args ...any) {
	if c.err == nil {
		c.err = &Error{c.standard, c.clause, at, field, fmt.Sprintf(rule, args...)}
	}
}

// take gives the next n bytes.
func (c *cursor) take(n int, field string) []byte {
	if c.err == nil && n > len(c.data)-c.at {
		c.fail(c.at, field, "%d bytes are needed, %d are left", n, len(c.data)-c.at)
	}
	if c.err != nil {
		return make([]byte, min(n, 8))
	}
	c.at += n
	return c.data[c.at-n : c.at : c.at]
}

// number reads a big-endian number of 1 to 6 bytes that must lie in a range.
func (c *cursor) number(bytes int, field string, low, high uint64) uint64 {
	n := uint64(0)
	for _, b := range c.take(bytes, field) {
		n = n<<8 | uint64(b)
	}
	switch {
	case c.err == nil && low == high && n != low:
		c.fail(c.at-bytes, field, "it must be %d, and is %d", low, n)
	case c.err == nil && (n < low || n > high):
		c.fail(c.at-bytes, field, "it must be a number from %d to %d, and is %d", low, high, n)
	}
	return n
}

func (c *cursor) byte(field string, low, high byte) byte {
	return byte(c.number(1, field, uint64(low), uint64(high)))
}

func (c *cursor) short(field string, low, high uint16) uint16 {
	return uint16(c.number(2, field, uint64(low), uint64(high)))
}

// code reads one byte that must be one of a few.
func (c *cursor) code(field string, allowed func(byte) bool) byte {
	b := c.byte(field, 0, 255)
	if c.err == nil && !allowed(b) {
		c.fail(c.at-1, field, "%d is not among the codes of this field", b)
	}
	return b
}

// word reads a fixed text.
func (c *cursor) word(field, want string) {
	at := c.at
	if got := string(c.take(len(want), field)); c.err == nil && got != want {
		c.fail(at, field, "it must be %q, and is %q", trim(want), trim(got))
	}
}

func trim(s string) string { return strings.TrimSuffix(s, "\x00") }

// upTo allows codes from 0 to a last one, and more.
func upTo(last byte, more ...byte) func(byte) bool {
	return func(b byte) bool {
		for _, m := range more {
			if b == m {
				return true
			}
		}
		return b <= last
	}
}

// orVendor allows what upTo allows, and codes from 128 on, which are left to vendors.
func orVendor(last byte) func(byte) bool {
	return func(b byte) bool { return b <= last || b >= 128 }
}

func put16(b []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(b, v) }

func put32(b []byte, v int) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

// checked gives a record that its reader accepts, or the reason why it is none.
func checked(data []byte, err error) ([]byte, error) {
	if err != nil {
		clear(data)
		return nil, fmt.Errorf("writing a record: %w", err)
	}
	return data, nil
}
