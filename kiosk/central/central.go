// Package central is the reference receiver of sealed records: an http.Handler over a folder.
//
// The one idea: a receipt follows the disk. A record is judged by its docket, its hash and the certificate that brought it,
// synced, renamed into the store, synced again, and only then receipted; every step can be done twice with the same end. It
// holds no key that opens a record. See docs/record.md, "Push and receipt".
package central

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	xslog "golang.org/x/exp/slog"

	"loket/kiosk/record"
)

// Central receives records. Set the exported fields, call Open once, then serve it over TLS with client certificates.
type Central struct {
	Dir             string            // the store: uploads/, records/, conflicts/
	Key             crypto.Signer     // signs receipts: ECDSA P-256
	Policies        map[string]string // accepted policies: the digest, and the id that it goes by
	AcceptSimulated bool              // a demonstration's: records of simulated devices, and certificates of a demonstration
	MaxRecord       int64             // bytes; record.MaxRecord where zero
	MaxPartial      int               // unfinished uploads a station; 64 where zero
	Observe         func(outcome string, bytes int64)
	Log             *slog.Logger     // slog.Default where nil
	Now             func() time.Time // time.Now where nil

	mux    *http.ServeMux
	tus    http.Handler
	files  *store
	ending keyed // one finalise a record at a time

	mu     sync.Mutex
	claims map[claim]record.ID // which record was taken for a ticket and service
}

// claim is what only one record may be taken for.
type claim struct{ centre, ticket, service string }

// The folders of the store.
const (
	uploadsDir   = "uploads"
	recordsDir   = "records"
	conflictsDir = "conflicts"
)

// networkTimeout ends an upload whose line has gone silent.
const networkTimeout = 15 * time.Second

// Open makes the folders, reads what the store holds, and finishes what a crash cut short. It starts nothing.
func (c *Central) Open() error {
	for _, d := range []string{uploadsDir, recordsDir, conflictsDir} {
		if err := os.MkdirAll(filepath.Join(c.Dir, d), 0o700); err != nil {
			return fmt.Errorf("opening the store: %w", err)
		}
	}
	if c.Key == nil {
		return errors.New("opening the store: a key that signs receipts is missing")
	}
	c.claims = map[claim]record.ID{}
	c.files = newStore(filepath.Join(c.Dir, uploadsDir))
	if err := c.openTus(); err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	c.routes()
	if err := c.readRecords(); err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	if err := c.finishUploads(); err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	return nil
}

func (c *Central) openTus() error {
	composer := handler.NewStoreComposer()
	composer.UseCore(c.files)
	memorylocker.New().UseIn(composer)
	tus, err := handler.NewHandler(handler.Config{
		StoreComposer:             composer,
		BasePath:                  uploadsPath,
		MaxSize:                   c.maxRecord(),
		DisableDownload:           true,
		DisableTermination:        true,
		DisableConcatenation:      true,
		Cors:                      &handler.CorsConfig{Disable: true},
		Logger:                    xslog.New(xslog.NewTextHandler(io.Discard, nil)),
		NetworkTimeout:            networkTimeout,
		PreFinishResponseCallback: c.arrived,
	})
	if err != nil {
		return err
	}
	c.tus = http.StripPrefix(uploadsPath, tus)
	return nil
}

// arrived is called by tusd when the last byte is written, before it answers.
func (c *Central) arrived(event handler.HookEvent) (handler.HTTPResponse, error) {
	receipt, err := c.finalise(event.Upload.ID)
	if err != nil {
		return handler.HTTPResponse{}, asTus(err)
	}
	return handler.HTTPResponse{Header: receiptHeaders(receipt)}, nil
}

func (c *Central) maxRecord() int64 {
	if c.MaxRecord > 0 {
		return c.MaxRecord
	}
	return record.MaxRecord
}

func (c *Central) maxPartial() int {
	if c.MaxPartial > 0 {
		return c.MaxPartial
	}
	return 64
}

func (c *Central) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Central) log() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.Default()
}

func (c *Central) observe(outcome string, bytes int64) {
	if c.Observe != nil {
		c.Observe(outcome, bytes)
	}
}

// store is tusd's file store, with the bytes of an upload hashed as they arrive.
type store struct {
	filestore.FileStore
	mu      sync.Mutex
	running map[string]*running
}

func newStore(dir string) *store {
	fs := filestore.New(dir)
	fs.DirModePerm, fs.FileModePerm = 0o700, 0o600
	return &store{FileStore: fs, running: map[string]*running{}}
}

// keyed is a lock for each of many names.
type keyed struct {
	mu   sync.Mutex
	held map[string]*keyLock
}

type keyLock struct {
	sync.Mutex
	users int
}

// lock waits for the name and gives the function that frees it.
func (k *keyed) lock(name string) func() {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*keyLock{}
	}
	l := k.held[name]
	if l == nil {
		l = &keyLock{}
		k.held[name] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.held, name)
		}
	}
}
