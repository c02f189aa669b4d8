package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// hidden gives a haystack with a piece somewhere in other bytes.
func hidden(piece []byte, before int) *haystack {
	return newHaystack([]text{{program: "a", path: "/f", disk: true, data: bytes.Join([][]byte{noise(7, before), piece, noise(8, 5000)}, nil)}})
}

func TestTheShortestPieceIsFoundInEveryCodingAndAtEveryPlace(t *testing.T) {
	sample := noise(1, 4000)
	for at := 1000; at < 1006; at++ {
		// 24 characters of what is written in base64 at any alignment to the sample, and of hexadecimal digits.
		std, url := base64.StdEncoding.EncodeToString(sample[at-3:at+60]), base64.RawURLEncoding.EncodeToString(sample[at-3:at+60])
		digits := hex.EncodeToString(sample[at : at+60])
		for cut := range 4 {
			for coded, piece := range map[string]string{
				"as it is": string(sample[at : at+24]), "in base64": std[4+cut : 28+cut], "in base64, URL": url[4+cut : 28+cut],
				"in hexadecimal digits": digits[cut : 24+cut], "in hexadecimal digits, capital": strings.ToUpper(digits[cut : 24+cut]),
			} {
				hits := hidden([]byte("\n"+piece+"\n"), 2000+cut).search(sample)
				if len(hits) != 1 || !strings.HasPrefix(coded, hits[0].coded) {
					t.Errorf("a piece %s, cut at %d, gives %v", coded, cut, hits)
				}
			}
		}
	}
}

func TestAHitSaysWhereAndNotWhat(t *testing.T) {
	sample := bytes.Repeat([]byte("secretly-"), 10)
	hits := hidden(sample[:24], 100).search(sample)
	if len(hits) != 1 || hits[0].offset != 100 || hits[0].inSample != 0 {
		t.Fatalf("the hits are %v", hits)
	}
	if s := hits[0].String(); s != "a wrote as it is into /f, byte 100" {
		t.Errorf("it says %q", s)
	}
	hits = hidden([]byte(" "+base64.StdEncoding.EncodeToString(sample[:30])+" "), 100).search(sample)
	if len(hits) != 1 || hits[0].offset != 101 {
		t.Errorf("in base64 the hits are %v", hits)
	}
}

func TestWhatIsNotTellingIsNotFound(t *testing.T) {
	flat := append(bytes.Repeat([]byte{255}, 5000), []byte("ABCDEF")...)
	for name, data := range map[string][]byte{
		"23 bytes":                noise(1, 4000)[100:123],
		"few different bytes":     flat[4000:],
		"few different digits":    []byte(hex.EncodeToString(flat[4000:4900])),
		"few different sextets":   []byte(base64.StdEncoding.EncodeToString(flat[4000:4900])),
		"nothing at all":          nil,
		"other noise":             noise(3, 4000),
		"other noise in base64":   []byte(base64.StdEncoding.EncodeToString(noise(3, 4000))),
		"a digest of other bytes": []byte(someID),
	} {
		h := hidden(append(append([]byte("\n"), data...), '\n'), 500)
		if hits := h.search(noise(1, 4000)); len(hits) > 0 {
			t.Errorf("%s is found: %v", name, hits)
		}
		if hits := h.search(flat[:5000]); len(hits) > 0 {
			t.Errorf("%s is found in a flat picture: %v", name, hits)
		}
	}
}

func TestShortSamplesAndTextsAreNoTrouble(t *testing.T) {
	for n := range 30 {
		newHaystack([]text{{data: noise(1, n)}, {data: []byte(strings.Repeat("a", n))}}).search(noise(1, n))
	}
}
