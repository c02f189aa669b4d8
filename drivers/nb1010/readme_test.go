package nb1010

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeHasItsHeadings: technicians find the same headings for every driver.
func TestReadmeHasItsHeadings(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, heading := range []string{"Devices", "Protocol", "Quirks", "Access", "How it was recorded"} {
		i := strings.Index(string(b[at:]), "\n## "+heading+"\n")
		if i < 0 {
			t.Fatalf("README.md has no heading %q in its place", heading)
		}
		at += i
	}
}
