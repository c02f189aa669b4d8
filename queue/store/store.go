// Package store keeps a centre's queue in one SQLite file.
//
// The one idea: every change is a transaction on the one writing connection, and callers that come at the same moment share
// one commit. So a ticket is called once, whoever asks, and twenty callers pay for one sync. What happened is written in the
// same transaction as what changed; its sequence number is what live views count by.
//
// The queries stand in queries.sql, the schema in migrations; sqlc makes package db from them.
package store

//go:generate go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"loket/queue"
	"loket/queue/store/db"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options are how a centre runs its queue. The zero value works.
type Options struct {
	Services []queue.Service  // that tickets are issued for; the residence permit alone where nil
	Zone     *time.Location   // where a day begins, for numbers; UTC where nil
	Early    time.Duration    // how long before the appointment someone may be called
	Now      func() time.Time // time.Now where nil
	Cost     Cost             // of a password's hash; a good one where zero
	// Watch is told everything that happened, after it is on disk, in order. It must not wait.
	Watch func(Event)
}

// Event is one thing that happened.
type Event struct {
	Sequence int64
	At       time.Time
	Kind     string // a queue.Kind, a queue.Act, a fact of the line, or one of the kinds below
	Ticket   string
	Attempt  int
	Station  string
	Session  string
	Record   string
	Author   string
	Detail   string
	Was      queue.State // with a decision: what the ticket was before
	Request  string      // with an order: its id
}

// Kinds of events that are no report, decision or fact.
const (
	KindIssued       = "issued"
	KindWithdrawn    = "withdrawn" // by the appointment system
	KindRestored     = "restored"  // by the appointment system
	KindCalled       = "called"
	KindCheckedIn    = "checked-in"
	KindConflict     = "conflict"
	KindEntryPaused  = "entry-paused"
	KindEntryResumed = "entry-resumed"
	KindUndone       = "undone"  // staff took back what Detail names
	KindOrdered      = "ordered" // a station did what staff ordered
)

// Store is an open queue. Its methods may be called from any goroutine.
type Store struct {
	opts     Options
	writer   *sql.DB
	reader   *sql.DB
	prepared *db.Queries // on writer
	read     *db.Queries
	turn     chan struct{} // holds the one right to use the writing connection

	mu   sync.Mutex
	jobs []*job
}

// Errors that callers branch on, beside those of package queue.
var (
	ErrUnknown = errors.New("not known here")
	ErrNobody  = errors.New("nobody waits")
)

// PausedError says that codes are not tried at a station now.
type PausedError struct{ Until time.Time }

// Error says until when.
func (e *PausedError) Error() string {
	return "code entry is paused after too many wrong codes until " + e.Until.Format(time.RFC3339)
}

// Open opens or makes the queue in a file and brings its schema up to date. Nothing is started.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	if opts.Services == nil {
		opts.Services = []queue.Service{queue.ResidencePermit()}
	}
	if opts.Zone == nil {
		opts.Zone = time.UTC
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Cost == (Cost{}) {
		opts.Cost = defaultCost()
	}
	s := &Store{opts: opts, turn: make(chan struct{}, 1)}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the queue %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) error {
	if err := private(path); err != nil {
		return err
	}
	dsn, err := dataSource(path)
	if err != nil {
		return err
	}
	if s.writer, err = sql.Open("sqlite", dsn+"&_txlock=immediate"); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	s.writer.SetConnMaxIdleTime(0)
	if s.reader, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)"); err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(4)
	if err := migrate(ctx, s.writer); err != nil {
		return err
	}
	if s.prepared, err = db.Prepare(ctx, s.writer); err != nil {
		return err
	}
	s.read, err = db.Prepare(ctx, s.reader)
	return err
}

// private makes a new file that no one else can read: it will hold names and codes. SQLite gives the files beside it the same
// mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// dataSource names a file with every pragma in it, so that each pooled connection has them.
func dataSource(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "file", Path: abs}
	return u.String() + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)", nil
}

func migrate(ctx context.Context, to *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(database.DialectSQLite3, to, files)
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bringing the schema up to date: %w (hint: was the file written by a newer queued?)", err)
	}
	return nil
}

// Close closes the file. Nothing may be in progress.
func (s *Store) Close() error {
	var errs []error
	for _, q := range []*db.Queries{s.prepared, s.read} {
		if q != nil {
			errs = append(errs, q.Close())
		}
	}
	for _, d := range []*sql.DB{s.reader, s.writer} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}

// Services lists what tickets are issued for.
func (s *Store) Services() []queue.Service { return s.opts.Services }

// Ping reports whether the file can be read.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.read.LastSequence(ctx)
	return err
}

func (s *Store) now() time.Time { return s.opts.Now().UTC().Truncate(time.Millisecond) }
