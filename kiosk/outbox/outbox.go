// Package outbox keeps sealed records on disk until the service that they are for has receipted them.
//
// The one idea: a record is committed by one rename, and gone only by one receipt that verifies. Everything before the rename
// is swept at the next start, everything after it is sent again until the receipt is here. See docs/record.md.
package outbox

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"loket/kiosk/record"
)

// State is where a sealed record stands.
type State string

// The states.
const (
	Pending   State = "pending"   // waits for its turn or its next try
	Sending   State = "sending"   // on the line
	Refused   State = "refused"   // the service said no: kept, and sent again only when staff say so
	Receipted State = "receipted" // the receipt is here; the sealed file goes now
)

// Entry is one sealed record that this station still keeps.
type Entry struct {
	Docket  record.Docket `json:"docket"`
	State   State         `json:"state"`
	Code    string        `json:"code,omitempty"`   // of a refusal
	Reason  string        `json:"reason,omitempty"` // why it is refused, or why the last try failed, in words
	Since   time.Time     `json:"since"`            // of the state
	Tries   int           `json:"tries"`
	NextTry time.Time     `json:"next_try"` // zero where none is planned
	Sent    int64         `json:"sent"`     // bytes of Docket.Size that went out in the present or last try
}

// Pusher brings one sealed record to the service. Push is idempotent: what the service already has it does not get twice. It
// is called from several goroutines, each with another record. An error is temporary unless it is a [*RefusedError]. The
// receipt need not be verified: the outbox does that.
type Pusher interface {
	Push(ctx context.Context, d record.SignedDocket, sealed io.ReadSeeker) (record.SignedReceipt, error)
}

// RefusedError says that the service has judged the record and will not take it.
type RefusedError struct {
	Code   string // "conflict", "unknown-policy", …
	Reason string
	Hint   string
}

// Error gives the reason with its hint.
func (e *RefusedError) Error() string {
	s := fmt.Sprintf("refused (%s): %s", e.Code, e.Reason)
	if e.Hint != "" {
		s += " (hint: " + e.Hint + ")"
	}
	return s
}

// CodeBadHash is the code of a refusal that says that the bytes which arrived are not the record's.
const CodeBadHash = "bad-hash"

// ErrFull says that the disk has no room for a record.
var ErrFull = errors.New("disk full")

// Outbox is a folder of sealed records. Set the exported fields, call Open once, then anything from any goroutine.
type Outbox struct {
	Dir         string
	ReceiptKeys []*ecdsa.PublicKey // pinned keys that sign receipts
	// OnReceipt notes a verified receipt before the sealed file is deleted. It is called again after a crash, and for several
	// records at once; an error keeps the file. It may be nil.
	OnReceipt func(record.SignedDocket, record.SignedReceipt) error
	Keep      time.Duration    // how long dockets and receipts of purged records stay here; 30 days where zero
	Log       *slog.Logger     // slog.Default where nil
	Now       func() time.Time // time.Now where nil

	mu       sync.Mutex
	entries  map[record.ID]*entry
	sessions map[string]record.ID // sessions that have a committed record here
	wake     chan struct{}
	free     func(dir string) (int64, error) // statfs, or a test's
	create   func(path string) (file, error) // os.OpenFile, or a test's
}

// file is what the outbox needs of a file that it writes.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// entry is an Entry with what the sender needs. The outbox's mutex guards it, but for sent.
type entry struct {
	Entry
	signed record.SignedDocket
	sent   atomic.Int64
}

// The waits between tries: doubled from the first to the last.
const (
	firstWait = 250 * time.Millisecond
	lastWait  = 30 * time.Second
)

// Put takes a record into the outbox: seal writes its sealed bytes, docket makes the docket of the id and size that came of
// them. When it returns nil, docket and sealed record are on disk, synced. When it returns an error, nothing of them is left;
// [ErrFull] where the disk is.
func (o *Outbox) Put(seal func(io.Writer) error, docket func(record.ID, int64) (record.SignedDocket, error)) (record.ID, error) {
	p := &put{o: o}
	if err := p.run(seal, docket); err != nil {
		p.undo()
		return "", fmt.Errorf("keeping the sealed record: %w", explain(err))
	}
	o.mu.Lock()
	o.entries[p.docket.Record] = &entry{Entry: Entry{Docket: p.docket, State: Pending, Since: o.now()}, signed: p.signed}
	o.mu.Unlock()
	o.nudge()
	return p.docket.Record, nil
}

// reserve makes sure that a session gets one record.
func (o *Outbox) reserve(session string, id record.ID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sessions == nil {
		return errors.New("the outbox is not open")
	}
	if other, ok := o.sessions[session]; ok {
		return fmt.Errorf("session %s already has record %.12s", session, other)
	}
	o.sessions[session] = id
	return nil
}

// Has reports whether a session has a record here, or may have: one that failed and could not be removed counts until the next
// start has looked.
func (o *Outbox) Has(session string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.sessions[session]
	return ok
}

func (o *Outbox) release(session string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.sessions, session)
}

// explain names a full disk.
func explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %w (hint: free space on the station's disk; what was sealed before is safe)", ErrFull, err)
	}
	return err
}

// Ready reports whether a record of need bytes would find room. Ask before a capture starts; the error is [ErrFull].
func (o *Outbox) Ready(need int64) error {
	free := o.free
	if free == nil {
		free = freeSpace
	}
	n, err := free(o.Dir)
	if err != nil {
		return fmt.Errorf("looking for free space: %w", err)
	}
	if n < need {
		return fmt.Errorf("%w: %d MB are free in the outbox and %d MB are needed (hint: free space on the station's disk, or let the outbox deliver)",
			ErrFull, n>>20, need>>20)
	}
	return nil
}

func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// List lists the sealed records that are still here, oldest first.
func (o *Outbox) List() []Entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]Entry, 0, len(o.entries))
	for _, e := range o.entries {
		shown := e.Entry
		shown.Sent = e.sent.Load()
		list = append(list, shown)
	}
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(a.Docket.Time.Compare(b.Docket.Time), cmp.Compare(a.Docket.Record, b.Docket.Record))
	})
	return list
}

// Kick tries all pending records now.
func (o *Outbox) Kick() {
	o.mu.Lock()
	for _, e := range o.entries {
		if e.State == Pending {
			e.NextTry = time.Time{}
		}
	}
	o.mu.Unlock()
	o.nudge()
}

// Retry sends a refused record again, because staff say that the cause is gone.
func (o *Outbox) Retry(id record.ID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.entries[id]
	if e == nil || e.State != Refused || len(e.signed.JSON) == 0 {
		return fmt.Errorf("sending record %.12s again: it is not a refused record that can be sent", id)
	}
	if err := os.Remove(o.path(id, refusedSuffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("sending record %.12s again: %w", id, err)
	}
	e.set(Pending, "", "", o.now())
	e.NextTry, e.Tries = time.Time{}, 0
	o.nudge()
	return nil
}

// Committed lists the signed dockets of all records that were committed here and are not forgotten yet: those whose sealed
// file or whose receipt is here. A session that one of them names is completed.
func (o *Outbox) Committed() ([]record.SignedDocket, error) {
	names, err := o.scan()
	if err != nil {
		return nil, err
	}
	var list []record.SignedDocket
	for id, has := range names {
		if !has[docketSuffix] || !has[sealedSuffix] && !has[receiptSuffix] {
			continue
		}
		signed, _, err := o.loadDocket(id)
		if err != nil {
			o.log().Error("reading a docket", "record", id, "err", err)
			continue
		}
		list = append(list, signed)
	}
	return list, nil
}

func (e *entry) set(s State, code, reason string, at time.Time) {
	if e.State != s {
		e.Since = at
	}
	e.State, e.Code, e.Reason = s, code, reason
}

func (o *Outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *Outbox) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

func (o *Outbox) log() *slog.Logger {
	if o.Log != nil {
		return o.Log
	}
	return slog.Default()
}
