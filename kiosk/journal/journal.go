// Package journal remembers what happened at a station: how sessions ended, which records they made, and what entitled the
// station to delete them.
//
// The one idea: one SQLite file, written before anything irreversible follows from it, holding ids and signed documents and
// never a word about a person. From any id in it the whole chain can be read.
package journal

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver

	"loket/kiosk/record"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrUnknown says that an id is in no chain of this station.
var ErrUnknown = errors.New("no such ticket, session or record at this station")

// Journal is a station's journal. Its methods may be called from any goroutine; they return when what they wrote is on disk.
type Journal struct {
	write *sql.DB // one connection
	read  *sql.DB
}

// readers is how many may read at once.
const readers = 4

// Open opens the journal at path, makes it where there is none, and brings it to the present form.
func Open(path string) (*Journal, error) {
	if err := private(path); err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	write, err := pool(path, 1)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	if err := migrate(write); err != nil {
		return nil, fmt.Errorf("opening the journal %s: %w (hint: is the disk full, or the file from a newer version?)", path, errors.Join(err, write.Close()))
	}
	read, err := pool(path, readers)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", errors.Join(err, write.Close()))
	}
	return &Journal{write: write, read: read}, nil
}

// private makes a new file that no one else can read. SQLite gives the files beside it the same mode.
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

// pool opens connections that all have the same pragmas: one given later would reach one of them only.
func pool(path string, size int) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "trusted_schema(0)",
	}}
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

func migrate(db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(context.Background())
	return err
}

// Close ends the journal.
func (j *Journal) Close() error { return errors.Join(j.read.Close(), j.write.Close()) }

// BeginSession notes that a session began. Noting it again changes nothing.
func (j *Journal) BeginSession(session, ticket string, attempt int, at time.Time) error {
	return j.exec("noting the start of session "+session,
		`INSERT INTO sessions (id, ticket, attempt, began) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		session, ticket, attempt, at.UnixMilli())
}

// TakeOver notes that a session which began elsewhere goes on here. One that was here before goes on again, once the queue knows
// how it ended then.
func (j *Journal) TakeOver(session, ticket string, attempt int, at time.Time) error {
	return j.tx("noting the take-over of session "+session, func(tx *sql.Tx) error {
		res, err := tx.Exec(`INSERT INTO sessions (id, ticket, attempt, began) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
			SET began = excluded.began, ended = NULL, end_kind = '', target = '', reported = NULL WHERE reported IS NOT NULL AND record = ''`,
			session, ticket, attempt, at.UnixMilli())
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); n == 1 || err != nil {
			return err
		}
		return errors.New("it was here before, and the queue does not know yet how it ended (hint: try again in a moment)")
	})
}

// NotTaken notes that a session that [Journal.TakeOver] noted never came here after all. The queue knows.
func (j *Journal) NotTaken(session string, at time.Time) error {
	return j.exec("noting that session "+session+" was not taken over",
		`UPDATE sessions SET ended = ?1, end_kind = 'not-taken', reported = ?1 WHERE id = ?2 AND ended IS NULL`, at.UnixMilli(), session)
}

// Moving notes that a session may be at target from now on, whatever happens here; an empty target takes that back.
func (j *Journal) Moving(session, target string) error {
	return j.exec("noting the hand-over of session "+session, `UPDATE sessions SET target = ? WHERE id = ?`, target, session)
}

// End is how a session ended.
type End struct {
	Kind     string // as in package session, or "lost" for one that the station did not survive
	Record   string // the id of the record that it made, if it made one
	FollowUp bool   // a further appointment is needed
	Final    bool   // cancelled, and the person leaves
}

// EndSession notes how a session ended. Noting the same end again changes nothing; another end is an error.
func (j *Journal) EndSession(session string, e End, at time.Time) error {
	return j.tx("noting the end of session "+session, func(tx *sql.Tx) error {
		res, err := tx.Exec(`UPDATE sessions SET ended = ?, end_kind = ?, record = ?, follow_up = ?, final = ? WHERE id = ? AND ended IS NULL`,
			at.UnixMilli(), e.Kind, e.Record, e.FollowUp, e.Final, session)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); n == 1 || err != nil {
			return err
		}
		var kind, rec string
		err = tx.QueryRow(`SELECT end_kind, record FROM sessions WHERE id = ?`, session).Scan(&kind, &rec)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: it never began here", ErrUnknown)
		}
		if err == nil && (kind != e.Kind || rec != e.Record) {
			err = fmt.Errorf("it ended as %q already", kind)
		}
		return err
	})
}

// AddDocket notes a record that was committed. Noting it again changes nothing.
func (j *Journal) AddDocket(d record.SignedDocket) error {
	return j.tx("noting a docket", func(tx *sql.Tx) error {
		_, err := addDocket(tx, d)
		return err
	})
}

func addDocket(tx *sql.Tx, signed record.SignedDocket) (record.Docket, error) {
	d, err := signed.Docket()
	if err != nil {
		return d, err
	}
	_, err = tx.Exec(`INSERT INTO dockets (record, session, ticket, attempt, json, sig) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		d.Record, d.Session, d.Ticket, d.Attempt, signed.JSON, signed.Sig)
	return d, err
}

// AddReceipt notes a verified receipt for the docket's record, and with it what entitles the station to delete the record.
// Noting it again changes nothing.
func (j *Journal) AddReceipt(d record.SignedDocket, r record.SignedReceipt) error {
	return j.tx("noting a receipt", func(tx *sql.Tx) error {
		docket, err := addDocket(tx, d)
		if err != nil {
			return err
		}
		receipt, err := r.Receipt()
		if err != nil {
			return err
		}
		if receipt.Record != docket.Record {
			return errors.New("the receipt is for another record")
		}
		if _, err := tx.Exec(`INSERT INTO receipts (record, json, sig) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, docket.Record, r.JSON, r.Sig); err != nil {
			return err
		}
		return addCertificate(tx, Certificate{Record: docket.Record, Kind: ByReceipt, At: receipt.Custody, JSON: r.JSON, Sig: r.Sig})
	})
}

// What entitles a station to delete a sealed record.
const (
	ByReceipt = "receipt"           // the service holds it
	ByOrder   = "destruction-order" // the law took its basis away
	ByDiscard = "discard"           // a supervisor gave up a refused record
)

// Certificate says why a sealed record was deleted: the signed document that entitled the station to it.
type Certificate struct {
	Record record.ID `json:"record"`
	Kind   string    `json:"kind"`
	At     time.Time `json:"at"`
	JSON   []byte    `json:"-"`
	Sig    []byte    `json:"-"`
}

// AddCertificate notes why a sealed record is deleted, before it is. The record's docket must be noted already. Noting it
// again changes nothing.
func (j *Journal) AddCertificate(c Certificate) error {
	return j.tx("noting a certificate", func(tx *sql.Tx) error { return addCertificate(tx, c) })
}

func addCertificate(tx *sql.Tx, c Certificate) error {
	_, err := tx.Exec(`INSERT INTO certificates (record, kind, at, json, sig) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		c.Record, c.Kind, c.At.UnixMilli(), c.JSON, c.Sig)
	return err
}

// Report is an ended session that the queue has not been told of.
type Report struct {
	Session  string
	Ticket   string
	Attempt  int
	Kind     string
	Record   string
	Target   string // of a hand-over
	FollowUp bool
	Final    bool // cancelled, and the person leaves
	At       time.Time
}

// Unreported lists the ended sessions that the queue has not been told of, oldest first.
func (j *Journal) Unreported() ([]Report, error) {
	return query(j.read, "listing what to report",
		`SELECT id, ticket, attempt, end_kind, record, target, follow_up, final, ended FROM sessions WHERE ended IS NOT NULL AND reported IS NULL ORDER BY ended, id`,
		func(scan func(...any) error) (r Report, err error) {
			var at int64
			err = scan(&r.Session, &r.Ticket, &r.Attempt, &r.Kind, &r.Record, &r.Target, &r.FollowUp, &r.Final, &at)
			r.At = fromMillis(at)
			return r, err
		})
}

// MarkReported notes that the queue knows how a session ended.
func (j *Journal) MarkReported(session string, at time.Time) error {
	return j.exec("noting a report", `UPDATE sessions SET reported = ? WHERE id = ? AND reported IS NULL`, at.UnixMilli(), session)
}

// Unfinished is a session that began and has no end yet.
type Unfinished struct {
	Session string
	Ticket  string
	Attempt int
	Began   time.Time
	Target  string    // where it may have been handed over to
	Record  record.ID // of the docket that names it; empty where none does
}

// Unfinished lists the sessions that began and have no end: after a start, those that the station did not survive. One with a
// docket is completed all the same.
func (j *Journal) Unfinished() ([]Unfinished, error) {
	return query(j.read, "listing unfinished sessions",
		`SELECT s.id, s.ticket, s.attempt, s.began, s.target, coalesce(d.record, '') FROM sessions s LEFT JOIN dockets d ON d.session = s.id
		 WHERE s.ended IS NULL ORDER BY s.began, s.id`,
		func(scan func(...any) error) (u Unfinished, err error) {
			var at int64
			err = scan(&u.Session, &u.Ticket, &u.Attempt, &at, &u.Target, &u.Record)
			u.Began = fromMillis(at)
			return u, err
		})
}

func (j *Journal) exec(doing, stmt string, args ...any) error {
	if _, err := j.write.Exec(stmt, args...); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// tx runs fn in one transaction.
func (j *Journal) tx(doing string, fn func(*sql.Tx) error) error {
	tx, err := j.write.Begin()
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := fn(tx); err != nil {
		return fmt.Errorf("%s: %w", doing, errors.Join(err, tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// query collects the rows of a statement.
func query[T any](db *sql.DB, doing, stmt string, row func(scan func(...any) error) (T, error), args ...any) ([]T, error) {
	rows, err := db.Query(stmt, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := row(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		list = append(list, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return list, nil
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
