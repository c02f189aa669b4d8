package record_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"filippo.io/age"

	"loket/kiosk/record"
	"loket/kiosk/record/recordtest"
)

// BenchmarkSeal seals records of 2 MiB, and beside it the same bytes with stock age. xref is our rate over age's.
func BenchmarkSeal(b *testing.B) {
	key := recordtest.Key(b)
	recipients, _ := recordtest.Recipients(b)
	r := recordtest.Record(1, 2<<20/3, key)
	plain := written(b, r)
	b.SetBytes(int64(len(plain)))
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		if err := (record.AgeSealer{Recipients: recipients}).Seal(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		between := time.Now()
		ours += between.Sub(start)
		b.StopTimer()
		start = time.Now()
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
		theirs += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(theirs)/float64(ours), "xref")
}
