// Package recordtest makes records of nobody for tests.
//
// The one idea: everything but the keys follows from a number, so a test can say which record it means.
package recordtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"filippo.io/age"

	"loket/kiosk/biometric"
	"loket/kiosk/record"
)

// PolicyDigest is the digest of the policy that the records name.
const PolicyDigest = "5d41402abc4b2a76b9719d911017c592ae2f1c4be4d64f9f8b3f7f6f0e0c1a2b"

// Created is when the records were made.
func Created() time.Time { return time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC) }

// Key makes a P-256 key.
func Key(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// Recipients makes two hybrid recipients with their identities.
func Recipients(tb testing.TB) ([]age.Recipient, []age.Identity) {
	tb.Helper()
	var recipients []age.Recipient
	var identities []age.Identity
	for range 2 {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			tb.Fatal(err)
		}
		recipients, identities = append(recipients, id.Recipient()), append(identities, id)
	}
	return recipients, identities
}

// Record makes record n: a face and two fingers of size noisy bytes each, signed by key.
func Record(n, size int, key crypto.Signer) *record.Record {
	r := &record.Record{Manifest: Manifest(n), Signer: key}
	noise := mathrand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
	for _, name := range []string{"face.jpg", "fingers/02.png", "fingers/07.png"} {
		data := make([]byte, size)
		_, _ = noise.Read(data) // never fails
		r.Parts = append(r.Parts, record.Part{Name: name, MediaType: mediaType(name), Data: data})
	}
	return r
}

// JPEG makes a photograph of nobody: colours that run, a point in them.
func JPEG(tb testing.TB, w, h int) []byte {
	tb.Helper()
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = byte(i / 4)
	}
	m.Set(1, 1, color.White)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// PNG makes a grey image of nothing.
func PNG(tb testing.TB, w, h int) []byte {
	tb.Helper()
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = byte(i * 7)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func mediaType(name string) string {
	if name == "face.jpg" {
		return "image/jpeg"
	}
	return "image/png"
}

// Manifest makes the manifest of record n.
func Manifest(n int) record.Manifest {
	m := record.Manifest{
		Schema: record.ManifestSchema, Suite: record.SuiteAge,
		Session: fmt.Sprintf("se_%016d", n), Ticket: fmt.Sprintf("tk_%016d", n), Attempt: 1, Service: "residence-permit",
		Centre: "Test centre", Station: "kiosk-01", Created: Created(),
		Subject: record.Subject{Reference: fmt.Sprintf("V%010d", n), BirthDate: "1990-07-01", Established: record.CodeOnly},
		Policy: record.PolicyRef{ID: "nl-residence-permit", Version: "1", Digest: PolicyDigest,
			LegalBasis: "Vw 2000, art. 106a", RetentionDays: 30},
		Software: record.Software{Name: "loket kioskd", Version: "test"},
		Devices:  []record.DeviceInfo{{Identity: "0001:0002:A1", Kind: "camera", Driver: "ptp", Vendor: "Maker", Model: "Model", Serial: "A1", Firmware: "1.0"}},
		Plan:     json.RawMessage(`{"schema":"loket/plan/1"}`),
		Ledger:   biometric.NewLedger(),
	}
	for i, p := range []biometric.FingerPosition{biometric.RightIndex, biometric.LeftIndex} {
		q := biometric.Quality{Score: 60 + i, Algorithm: "test", Version: "1"}
		m.Ledger[p-1] = biometric.Entry{Position: p, Reason: biometric.Captured, Quality: &q}
		m.Attempts = append(m.Attempts, attempt(p, q))
	}
	m.Outcomes = []biometric.Outcome{{Step: "fingers", Modality: biometric.Finger, Attempts: m.Attempts,
		Captured: []biometric.FingerPosition{biometric.RightIndex, biometric.LeftIndex}}}
	return m
}

func attempt(p biometric.FingerPosition, q biometric.Quality) biometric.Attempt {
	return biometric.Attempt{
		Step: "fingers", Modality: biometric.Finger, Wanted: []biometric.FingerPosition{p}, Number: 1,
		Started: Created().Add(-time.Minute), Ended: Created().Add(-50 * time.Second), Result: biometric.Accepted,
		Qualities: []biometric.Finding{{Position: p, Quality: q, Enough: true}}, PAD: biometric.PAD{Result: biometric.PADNotAvailable},
		Device: "0001:0002:A1",
	}
}
