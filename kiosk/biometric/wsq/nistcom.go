package wsq

import (
	"strconv"
	"strings"
)

// maxComments bounds what a file makes its reader remember.
const maxComments = 256

// comment remembers a comment segment. A NISTCOM is one name and value a line, "NIST_COM" first: the scale and the rate stand there.
func (h *Header) comment(text string) error {
	if len(h.Comments) == maxComments {
		return corrupt("more than %d comments", maxComments)
	}
	h.Comments = append(h.Comments, text)
	if !strings.HasPrefix(text, "NIST_COM") {
		return nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.TrimSpace(value)
		switch name {
		case "PPI":
			if n, err := strconv.Atoi(value); err == nil && n > 0 && n <= 1<<16 {
				h.PPI = n
			}
		case "WSQ_BITRATE":
			if r, err := strconv.ParseFloat(value, 64); err == nil && r > 0 && r <= 8 {
				h.Rate = r
			}
		}
	}
	return nil
}
