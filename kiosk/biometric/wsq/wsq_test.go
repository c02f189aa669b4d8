package wsq

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// fixture reads a file of LOKET_FIXTURES/fingers.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	if a, ok := t.(interface{ Attr(key, value string) }); ok {
		a.Attr("fixtures", "fingers")
	}
	folder := os.Getenv("LOKET_FIXTURES")
	if folder == "" {
		t.Skip("LOKET_FIXTURES names no folder with fingers of another maker")
	}
	data, err := os.ReadFile(filepath.Join(folder, "fingers", name))
	if err != nil {
		t.Skipf("LOKET_FIXTURES: %v", err)
	}
	return data
}

// oracle is what the reference says of one image.
type oracle struct {
	name   string
	bytes  int
	psnr   float64
	sha256 string
}

func oracles(t testing.TB) []oracle {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(fixture(t, "synthetic/wsq_oracle.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var list []oracle
	for _, r := range rows[1:] {
		o := oracle{name: r[0], sha256: r[3]}
		if o.bytes, err = strconv.Atoi(r[1]); err != nil {
			t.Fatal(err)
		}
		if o.psnr, err = strconv.ParseFloat(r[2], 64); err != nil {
			t.Fatal(err)
		}
		list = append(list, o)
	}
	return list
}

func TestPixelsAreTheReferencesBitForBit(t *testing.T) {
	for _, o := range oracles(t) {
		img, err := Decode(fixture(t, "synthetic/wsq/"+o.name+".wsq"))
		if err != nil {
			t.Errorf("%s: %v", o.name, err)
			continue
		}
		if sum := sha256.Sum256(img.Gray.Pix); hex.EncodeToString(sum[:]) != o.sha256 {
			t.Errorf("%s differs from the reference", o.name)
		}
		if img.PPI != 500 || img.Rate != 0.75 || len(img.Comments) != 1 || img.Software != 0 || img.Algorithm != 2 {
			t.Errorf("%s: %+v", o.name, img.Header)
		}
	}
	for file, raw := range map[string]string{
		"nist/nist_img.wsq":              "nist/nist_img_dwsq_256x256.raw",
		"nist/SFinGe_Test01_cwsq075.wsq": "nist/SFinGe_Test01_cwsq075_dwsq_416x560.raw",
	} {
		img, err := Decode(fixture(t, file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if want := fixture(t, raw); !bytes.Equal(img.Gray.Pix, want) || !strings.Contains(raw, strconv.Itoa(img.Width)+"x"+strconv.Itoa(img.Height)) {
			t.Errorf("%s differs from the reference", file)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	data := fixture(b, "synthetic/wsq/f101_1.wsq")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
