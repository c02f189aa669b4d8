package record_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"filippo.io/age"

	"loket/kiosk/biometric"
	"loket/kiosk/record"
	"loket/kiosk/record/recordtest"
)

// BenchmarkSeal seals records of 2 MiB whose parts were digested when they were captured, and beside it the same bytes with
// stock age. xref is our rate over age's; xref-digests the same where the digests are taken while sealing.
func BenchmarkSeal(b *testing.B) {
	key := recordtest.Key(b)
	recipients, _ := recordtest.Recipients(b)
	cold := recordtest.Record(1, 2<<20/3, key)
	r := &record.Record{Manifest: cold.Manifest, Signer: key}
	for i, s := range []biometric.Sample{{Modality: biometric.Face, MediaType: "image/jpeg"},
		{Modality: biometric.Finger, Position: 2, MediaType: "image/png"}, {Modality: biometric.Finger, Position: 7, MediaType: "image/png"}} {
		s.Data = cold.Parts[i].Data
		part, err := record.PartOf(s)
		if err != nil {
			b.Fatal(err)
		}
		r.Parts = append(r.Parts, part)
	}
	plain := written(b, r)
	seal := func(r *record.Record) time.Duration {
		start := time.Now()
		if err := (record.AgeSealer{Recipients: recipients}).Seal(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	b.SetBytes(int64(len(plain)))
	var ours, oursCold, theirs time.Duration
	for b.Loop() {
		ours += seal(r)
		b.StopTimer()
		oursCold += seal(cold)
		theirs += stock(b, recipients, plain)
		b.StartTimer()
	}
	b.ReportMetric(float64(theirs)/float64(ours), "xref")
	b.ReportMetric(float64(theirs)/float64(oursCold), "xref-digests")
}

// BenchmarkFiles builds the files for other systems of an intake with ten prints; xseal is the time of that over the time of sealing
// the record without them.
func BenchmarkFiles(b *testing.B) {
	m, samples := recordtest.Manifest(1), []biometric.Sample{{Modality: biometric.Face, MediaType: "image/jpeg", Data: recordtest.JPEG(b, 1200, 1600)}}
	m.Ledger = biometric.NewLedger()
	for _, p := range biometric.Fingers() {
		m.Ledger[p-1].Reason = biometric.Captured
		samples = append(samples, biometric.Sample{Modality: biometric.Finger, Position: p, MediaType: "image/png", Data: recordtest.PNG(b, 400, 500), PPI: 500})
	}
	r := &record.Record{Manifest: m, Signer: recordtest.Key(b)}
	for _, s := range samples {
		part, err := record.PartOf(s)
		if err != nil {
			b.Fatal(err)
		}
		r.Parts = append(r.Parts, part)
	}
	recipients, _ := recordtest.Recipients(b)
	var ours, sealing time.Duration
	for b.Loop() {
		start := time.Now()
		parts, err := record.Files(m, samples, []string{record.FileANSINIST, record.FileISO19794, record.FileISO39794})
		if err != nil {
			b.Fatal(err)
		}
		record.WipeParts(parts)
		ours += time.Since(start)
		b.StopTimer()
		start = time.Now()
		if err := (record.AgeSealer{Recipients: recipients}).Seal(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		sealing += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(ours)/float64(sealing), "xseal")
}

// stock seals with nothing but age.
func stock(b *testing.B, recipients []age.Recipient, plain []byte) time.Duration {
	start := time.Now()
	w, err := age.Encrypt(io.Discard, recipients...)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(w, bytes.NewReader(plain)); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}
