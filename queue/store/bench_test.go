package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const benchCallers = 20

// BenchmarkTicketCalls compares calls by 20 callers with raw SQL on the same schema and driver: the ratio is calls a second here
// by calls a second there. Raw SQL writes the same three rows of a call, each call its own transaction, and nothing else: no
// rules, no person, no events for watchers.
func BenchmarkTicketCalls(b *testing.B) {
	b.Run("against-raw-sql", func(b *testing.B) {
		n := max(b.N, 1000)
		ours, raw := time.Duration(0), time.Duration(0)
		for range 3 { // by turns, so that other load hits both
			ours += timeOurs(b, n/3+1)
			raw += timeRaw(b, n/3+1)
		}
		b.ReportMetric(raw.Seconds()/ours.Seconds(), "ratio")
		b.ReportMetric(float64(n)/ours.Seconds(), "calls/s")
		b.ReportMetric(float64(n)/raw.Seconds(), "raw-calls/s")
	})
}

// fillBench makes n waiting tickets in a file and closes it.
func fillBench(b *testing.B, n int) string {
	path := filepath.Join(b.TempDir(), "queue.db")
	s, err := Open(b.Context(), path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	for at := 0; at < n; at += 500 {
		fill(b, s, fmt.Sprint("visit", at), min(500, n-at))
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// share has 20 callers make n calls, and gives the time that it took.
func share(b *testing.B, n int, call func(caller string, n int) error) time.Duration {
	calls := make(chan int, n)
	for i := range n {
		calls <- i
	}
	close(calls)
	start := time.Now()
	var work sync.WaitGroup
	for c := range benchCallers {
		work.Go(func() {
			for i := range calls {
				if err := call(fmt.Sprintf("kiosk-%02d", c), i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	return time.Since(start)
}

func timeOurs(b *testing.B, n int) time.Duration {
	s, err := Open(b.Context(), fillBench(b, n), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	return share(b, n, func(caller string, i int) error {
		_, err := s.Call(b.Context(), caller, Request{ID: fmt.Sprint("request-", i)})
		return err
	})
}

func timeRaw(b *testing.B, n int) time.Duration {
	dsn, err := dataSource(fillBench(b, n))
	if err != nil {
		b.Fatal(err)
	}
	raw, err := sql.Open("sqlite", dsn+"&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	raw.SetMaxOpenConns(1)
	var statements []*sql.Stmt
	for _, text := range []string{
		`UPDATE tickets SET state = 'called', station = ?1, changed = ?2 WHERE id =
		 (SELECT id FROM tickets WHERE state = 'waiting' ORDER BY rank, due, ord LIMIT 1) RETURNING id`,
		`INSERT INTO calls (station, request, ticket, attempt) VALUES (?, ?, ?, 1)`,
		`INSERT INTO events (at, kind, ticket, attempt, station) VALUES (?, 'called', ?, 1, ?)`,
	} {
		st, err := raw.PrepareContext(b.Context(), text)
		if err != nil {
			b.Fatal(err)
		}
		defer st.Close()
		statements = append(statements, st)
	}
	return share(b, n, func(caller string, i int) error { return rawCall(b.Context(), raw, statements, caller, i) })
}

func rawCall(ctx context.Context, raw *sql.DB, st []*sql.Stmt, caller string, i int) error {
	tx, err := raw.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	var id string
	now := time.Now().UnixMilli()
	if err := tx.StmtContext(ctx, st[0]).QueryRowContext(ctx, caller, now).Scan(&id); err != nil {
		return err
	}
	if _, err := tx.StmtContext(ctx, st[1]).ExecContext(ctx, caller, fmt.Sprint("request-", i), id); err != nil {
		return err
	}
	if _, err := tx.StmtContext(ctx, st[2]).ExecContext(ctx, now, id, caller); err != nil {
		return err
	}
	return tx.Commit()
}
