package driverstest

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// Vector is one test vector of a protocol document.
type Vector struct {
	Kind   string            // the second word of the block's first line
	Fields map[string]string // what the bytes mean
	Bytes  []byte
}

// Vectors reads the test vectors out of a protocol document. A vector is a fenced block whose first line is "```vector KIND",
// followed by lines "field: value" and by lines of hexadecimal digits, in which blanks don't count.
func Vectors(t testing.TB, file string) []Vector {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "\n```vector ")[1:]
	var all []Vector
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "\n```")
		kind, rest, _ := strings.Cut(block, "\n")
		v := Vector{Kind: kind, Fields: map[string]string{}}
		for line := range strings.Lines(rest) {
			if name, value, ok := strings.Cut(line, ":"); ok {
				v.Fields[name] = strings.TrimSpace(value)
				continue
			}
			b, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
			if err != nil {
				t.Fatalf("%s: vector %s: %v", file, kind, err)
			}
			v.Bytes = append(v.Bytes, b...)
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no vectors", file)
	}
	return all
}
