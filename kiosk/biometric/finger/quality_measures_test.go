package finger

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"loket/kiosk/biometric/pgm"
)

// fixture reads a file of the fingers that are not in the tree.
func fixture(t testing.TB, path string) []byte {
	t.Helper()
	dir := os.Getenv("LOKET_FIXTURES")
	data, err := os.ReadFile(filepath.Join(dir, "fingers", path))
	if dir == "" || errors.Is(err, os.ErrNotExist) {
		t.Skipf("LOKET_FIXTURES holds no fingers/%s", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// picture reads an image of the fixtures.
func picture(t testing.TB, path string) *image.Gray {
	t.Helper()
	img, err := pgm.Decode(fixture(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// expected is what NFIQ 2.3 says of an image.
type expected struct {
	file     string
	score    int // -1 where it gave none
	ms       float64
	measures map[string]float64
}

// expectations reads what NFIQ 2.3 says of the fixtures.
func expectations(t testing.TB) (all []expected) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(fixture(t, "synthetic/nfiq2_measures.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		e := expected{file: "synthetic/" + row[0], score: -1, measures: map[string]float64{}}
		for i, name := range rows[0] {
			if v, err := strconv.ParseFloat(row[i], 64); err == nil {
				e.measures[name] = v
			}
		}
		e.ms = e.measures["ms"]
		delete(e.measures, "ms")
		all = append(all, e)
	}
	for i := range 5 {
		name := fmt.Sprintf("nist/SFinGe_Test%02d", i+1)
		e := expected{file: name + ".pgm", measures: map[string]float64{}}
		lines := bufio.NewScanner(bytes.NewReader(fixture(t, name+"_output.txt")))
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			e.measures[name] = v
		}
		e.score = int(e.measures["UnifiedQualityScore"])
		all = append(all, e)
	}
	return all
}

func TestMeasuresAreThoseOfNFIQ2(t *testing.T) {
	t.Attr("fixtures", "fingers/synthetic")
	all, wrong := 0, 0
	for _, e := range expectations(t) {
		m, err := Measure(picture(t, e.file))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range e.measures {
			got, ok := m.Measures[name]
			if !ok {
				continue
			}
			all++
			if math.Abs(got-want) > 1e-3*math.Abs(want) {
				wrong++
				t.Logf("%s: %s is %v, NFIQ 2 says %v", e.file, name, got, want)
			}
		}
	}
	t.Logf("%d of %d values within 0.1 %%", all-wrong, all)
	if wrong*100 > all {
		t.Error("fewer than 99 % agree")
	}
}
