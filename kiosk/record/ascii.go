package record

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// ascii writes a text in 7-bit characters, for readers that know no others: letters lose their marks, "é" becomes "e", and what has
// no such form becomes "?".
func ascii(s string) string {
	s = strings.NewReplacer("ß", "ss", "æ", "ae", "Æ", "AE", "œ", "oe", "Œ", "OE", "ø", "o", "Ø", "O", "đ", "d", "Đ", "D", "ð", "d", "Ð", "D",
		"þ", "th", "Þ", "TH", "ł", "l", "Ł", "L", "ħ", "h", "Ħ", "H", "ı", "i", "‘", "'", "’", "'", "“", `"`, "”", `"`, "–", "-", "—", "-").Replace(s)
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case r > unicode.MaxASCII:
			return '?'
		}
		return r
	}, norm.NFKD.String(s))
}
