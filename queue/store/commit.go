package store

import (
	"context"
	"fmt"

	"loket/queue/store/db"
)

// maxBatch is how many changes share a commit at most.
const maxBatch = 64

// job is one change that waits for its commit.
type job struct {
	do     func(ctx context.Context, tx *tx) error
	events []Event
	err    error
	done   chan struct{} // closed when err is set
}

// tx is what a change works on.
type tx struct {
	*db.Queries
	events []Event
}

// happened writes an event; watchers hear of it after the commit.
func (t *tx) happened(ctx context.Context, e Event) error {
	sequence, err := t.InsertEvent(ctx, db.InsertEventParams{
		At: e.At.UnixMilli(), Kind: e.Kind, Ticket: e.Ticket, Attempt: int64(e.Attempt), Station: e.Station,
		Session: e.Session, Record: e.Record, Author: e.Author, Detail: e.Detail, Was: string(e.Was), Request: e.Request,
	})
	if err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	e.Sequence = sequence
	t.events = append(t.events, e)
	return nil
}

// change runs do in a transaction that it may share with others, and returns when it is on disk. An error of do undoes what
// do wrote, and nothing of the others. do may run more than once, the last time counts; once it runs, it is not interrupted.
func (s *Store) change(ctx context.Context, do func(ctx context.Context, tx *tx) error) error {
	j := &job{do: do, done: make(chan struct{})}
	s.mu.Lock()
	s.jobs = append(s.jobs, j)
	s.mu.Unlock()
	for {
		select {
		case <-j.done:
			return j.err
		case <-ctx.Done():
			if s.drop(j) {
				return ctx.Err()
			}
			<-j.done // it is being committed
			return j.err
		case s.turn <- struct{}{}:
			s.run(context.WithoutCancel(ctx), s.take())
			<-s.turn
		}
	}
}

// take takes the jobs that share the next commit.
func (s *Store) take() []*job {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.jobs), maxBatch)
	batch := s.jobs[:n:n]
	s.jobs = append([]*job(nil), s.jobs[n:]...)
	return batch
}

// drop takes back a job that nobody has taken.
func (s *Store) drop(j *job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.jobs {
		if other == j {
			s.jobs = append(s.jobs[:i:i], s.jobs[i+1:]...)
			return true
		}
	}
	return false
}

// run commits the jobs together. Where one fails, each gets a transaction of its own. The turn is held.
func (s *Store) run(ctx context.Context, batch []*job) {
	if len(batch) > 1 {
		if err := s.commit(ctx, batch); err == nil {
			s.finish(batch)
			return
		}
	}
	for _, j := range batch {
		j.err = s.commit(ctx, []*job{j})
		s.finish([]*job{j})
	}
}

func (s *Store) commit(ctx context.Context, batch []*job) error {
	t, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	defer t.Rollback() //nolint:errcheck // after a commit it does nothing
	q := s.prepared.WithTx(t)
	for _, j := range batch {
		tx := &tx{Queries: q}
		if err := j.do(ctx, tx); err != nil {
			return err
		}
		j.events = tx.events
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// finish tells watchers and callers.
func (s *Store) finish(batch []*job) {
	for _, j := range batch {
		if j.err == nil && s.opts.Watch != nil {
			for _, e := range j.events {
				s.opts.Watch(e)
			}
		}
		close(j.done)
	}
}
