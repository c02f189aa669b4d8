package wsq

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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

// gray reads a picture of LOKET_FIXTURES.
func gray(t testing.TB, name string) *image.Gray {
	t.Helper()
	data := fixture(t, name)
	var w, h, most int
	if _, err := fmt.Sscanf(string(data[:20]), "P5\n%d %d\n%d\n", &w, &h, &most); err != nil || most != 255 {
		t.Fatalf("%s: %v", name, err)
	}
	return &image.Gray{Pix: data[len(data)-w*h:], Stride: w, Rect: image.Rect(0, 0, w, h)}
}

// psnr compares two pictures, in decibels.
func psnr(a, b *image.Gray) float64 {
	sum := 0.0
	for i, v := range a.Pix {
		d := float64(v) - float64(b.Pix[i])
		sum += d * d
	}
	return 10 * math.Log10(255*255*float64(len(a.Pix))/sum)
}

func TestEncodingIsAsGoodAndAsSmallAsTheReferences(t *testing.T) {
	for _, o := range oracles(t) {
		img := gray(t, "synthetic/"+o.name+".pgm")
		data, err := Encode(img, Options{})
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		got := psnr(img, back.Gray)
		size := float64(len(data)) / float64(o.bytes)
		if math.Abs(got-o.psnr) > 0.15 || math.Abs(size-1) > 0.03 {
			t.Errorf("%s: %.2f dB in %d bytes, the reference has %.2f dB in %d", o.name, got, len(data), o.psnr, o.bytes)
		}
	}
}

// part is a segment with what follows it up to the next marker.
type part struct {
	mark byte
	body []byte
}

// parts takes a sound file apart.
func parts(t testing.TB, data []byte) (list []part) {
	t.Helper()
	r := reader{data: data}
	for {
		mark, err := r.marker()
		if err != nil {
			t.Fatal(err)
		}
		if mark == markEOI {
			return list
		}
		if mark == markSOI {
			continue
		}
		from := r.at
		if _, err := r.segment(mark); err != nil {
			t.Fatal(err)
		}
		if mark == markSOB {
			for b := (bitReader{data: data, at: r.at}); !b.ended; r.at = b.at {
				b.fill()
				b.count = 0
			}
		}
		list = append(list, part{mark, data[from:r.at]})
	}
}

// whole puts a file together.
func whole(list []part) []byte {
	out := []byte{0xff, markSOI}
	for _, p := range list {
		out = append(append(out, 0xff, p.mark), p.body...)
	}
	return append(out, 0xff, markEOI)
}

func only(list []part, marks ...byte) (some []part) {
	for _, p := range list {
		if slices.Contains(marks, p.mark) {
			some = append(some, p)
		}
	}
	return some
}

func TestCodesAndCoefficientsAreTheReferencesByteForByte(t *testing.T) {
	for _, o := range oracles(t) {
		data, err := Encode(gray(t, "synthetic/"+o.name+".pgm"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		coded := []byte{markDHT, markSOB, markSOF}
		got, want := only(parts(t, data), coded...), only(parts(t, fixture(t, "synthetic/wsq/"+o.name+".wsq")), coded...)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the blocks differ from the reference's", o.name)
		}
	}
}
