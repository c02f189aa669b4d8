package central_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"loket/kiosk/outbox"
	"loket/kiosk/record"
)

// gate is a Pusher that waits until it may.
type gate struct {
	outbox.Pusher
	open chan struct{}
}

func (g gate) Push(ctx context.Context, d record.SignedDocket, sealed io.ReadSeeker) (record.SignedReceipt, error) {
	select {
	case <-g.open:
	case <-ctx.Done():
		return record.SignedReceipt{}, ctx.Err()
	}
	return g.Pusher.Push(ctx, d, sealed)
}

// delivered is a log in which only "record delivered" counts.
type delivered struct {
	slog.Handler
	signal chan struct{}
}

func (d delivered) Enabled(context.Context, slog.Level) bool { return true }

func (d delivered) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "record delivered" {
		d.signal <- struct{}{}
	}
	return nil
}

// backlog is how many records wait when the line comes up.
const backlog = 8

// BenchmarkPush pushes a backlog of records of 2 MiB from an outbox to their receipts, synced on both sides, and beside it
// copies the same bytes and syncs each copy. xref is our rate over the copy's.
func BenchmarkPush(b *testing.B) {
	s := serve(b, false)
	k := s.kiosk(b, "kiosk-01")
	o, dir := k.box(b, b.TempDir()), b.TempDir()
	done := delivered{slog.DiscardHandler, make(chan struct{})}
	o.Log = slog.New(done)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	pusher := gate{k.pusher(), make(chan struct{})}
	go func() { ended <- o.Run(ctx, pusher) }()
	var ours, theirs time.Duration
	b.SetBytes(backlog * 2 << 20)
	n := 0
	for b.Loop() {
		b.StopTimer()
		for range backlog {
			n++
			id := k.put(b, o, n, 2<<20/3)
			start := time.Now()
			if err := plainCopy(filepath.Join(o.Dir, string(id)+".age"), filepath.Join(dir, string(id))); err != nil {
				b.Fatal(err)
			}
			theirs += time.Since(start)
		}
		b.StartTimer()
		start := time.Now()
		go func() {
			for range backlog {
				pusher.open <- struct{}{}
			}
		}()
		for range backlog {
			<-done.signal
		}
		ours += time.Since(start)
	}
	b.ReportMetric(float64(theirs)/float64(ours), "xref")
	cancel()
	<-ended
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
