package ansinist

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// text bounds a text, in characters.
func text(limit int) check {
	return func(_ scope, f Field) string {
		if utf8.RuneCount(f.Value) > limit {
			return fmt.Sprintf("it must have at most %d characters", limit)
		}
		return ""
	}
}

// one demands a value without subfields and items.
func one(_ scope, f Field) string {
	if bytes.ContainsAny(f.Value, string([]rune{RS, US})) {
		return "it must be one value, without separators"
	}
	return ""
}

// impression checks how a print was made (table 7): soles came with 2011, moving fingers with Update 2015.
func impression(c scope, f Field) string {
	n, ok := digits(f.Value)
	switch {
	case !ok:
	case n <= 8 || n >= 10 && n <= 15 || n >= 20 && n <= 29, c.version >= V2011 && n >= 30 && n <= 39, c.version >= V2015 && n >= 40 && n <= 43:
		return ""
	}
	return "it must be an impression type: 0 to 8, 10 to 15 or 20 to 29, since 2011 also 30 to 39, since Update 2015 also 40 to 43"
}

// comment is longer in 2007 and before, where nothing bounds it but the record.
func comment(c scope, f Field) string {
	if c.version < V2011 {
		return ""
	}
	return text(126)(c, f)
}

func makeModelSerial(_ scope, f Field) string {
	subs := f.Subfields()
	ok := len(subs) == 1 && len(subs[0]) == 3
	for i := 0; ok && i < 3; i++ {
		n := utf8.RuneCountInString(subs[0][i])
		ok = n >= 1 && n <= 50
	}
	if !ok {
		return "it must be make, model and serial number, of 1 to 50 characters each"
	}
	return ""
}

// hash checks the digest of an image, which is the image's own.
func hash(c scope, f Field) string {
	digest, err := hex.DecodeString(string(f.Value))
	if err != nil || len(digest) != sha256.Size {
		return "it must be a SHA-256 in 64 hexadecimal digits"
	}
	if sum := sha256.Sum256(c.record.Image); c.record.Image != nil && string(digest) != string(sum[:]) {
		return "it must be the SHA-256 of the image, and is another's"
	}
	return ""
}

func monitored(c scope, f Field) string {
	return oneOf("CONTROLLED", "ASSISTED", "OBSERVED", "UNATTENDED", "UNKNOWN")(c, f)
}

func eyeColour(c scope, f Field) string {
	return oneOf("BLK", "BLU", "BRO", "GRY", "GRN", "HAZ", "MAR", "MUL", "PNK", "XXX")(c, f)
}

func hairColour(c scope, f Field) string {
	return list(oneOf("XXX", "BAL", "BLK", "BLN", "BLO", "BRO", "GRY", "RED", "SDY", "WHI", "BLU", "GRN", "ONG", "PNK", "PLE"))(c, f)
}

// angle is a whole number of degrees, to the left and to the right.
func angle(_ scope, f Field) string {
	if n, ok := digits(strings.TrimLeft(string(f.Value), "+-")); !ok || n > 180 || len(f.Value) > 4 {
		return "it must be an angle from -180 to +180"
	}
	return ""
}
