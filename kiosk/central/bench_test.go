package central_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"loket/kiosk/record"
	"loket/kiosk/record/recordtest"
)

// BenchmarkPush pushes records of 2 MiB from an outbox to their receipts, synced on both sides, and beside it copies the same
// bytes and syncs the copy. xref is our rate over the copy's.
func BenchmarkPush(b *testing.B) {
	s := serve(b, false)
	s.Now = func() time.Time { return recordtest.Created().Add(time.Hour) }
	k := s.kiosk(b, "kiosk-01")
	o := k.box(b, b.TempDir())
	dir := b.TempDir()
	var ours, theirs time.Duration
	delivered := make(chan struct{})
	o.OnReceipt = func(record.SignedDocket, record.SignedReceipt) error { return nil }
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pusher := k.pusher()
	b.SetBytes(2 << 20)
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		id := k.put(b, o, n, 2<<20/3)
		sealed := filepath.Join(o.Dir, string(id)+".age")
		start := time.Now()
		if err := plainCopy(sealed, filepath.Join(dir, string(id))); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(start)
		b.StartTimer()
		start = time.Now()
		run, stop := context.WithCancel(ctx)
		go func() { _ = o.Run(run, pusher); delivered <- struct{}{} }()
		for len(o.List()) > 0 {
			time.Sleep(20 * time.Microsecond)
		}
		ours += time.Since(start)
		stop()
		<-delivered
	}
	b.ReportMetric(float64(theirs)/float64(ours), "xref")
}

func plainCopy(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	if err := dst.Sync(); err != nil {
		return err
	}
	return dst.Close()
}
