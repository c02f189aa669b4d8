package outbox

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"loket/kiosk/failpoint"
	"loket/kiosk/record"
)

// What follows a record's id in the names of its files.
const (
	sealedSuffix     = ".age"
	docketSuffix     = ".docket.json"
	docketSigSuffix  = docketSuffix + ".sig"
	receiptSuffix    = ".receipt.json"
	receiptSigSuffix = receiptSuffix + ".sig"
	refusedSuffix    = ".refused.json"
	partialSuffix    = ".partial" // after a random name: not committed
)

func (o *Outbox) path(id record.ID, suffix string) string {
	return filepath.Join(o.Dir, string(id)+suffix)
}

// scan lists what files each record has.
func (o *Outbox) scan() (map[record.ID]map[string]bool, error) {
	files, err := os.ReadDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	found := map[record.ID]map[string]bool{}
	for _, f := range files {
		name, suffix, _ := strings.Cut(f.Name(), ".")
		id := record.ID(name)
		if !id.Valid() {
			continue
		}
		if found[id] == nil {
			found[id] = map[string]bool{}
		}
		found[id]["."+suffix] = true
	}
	return found, nil
}

// loadDocket reads a docket with its signature and makes sure that it is the record's.
func (o *Outbox) loadDocket(id record.ID) (record.SignedDocket, record.Docket, error) {
	var s record.SignedDocket
	var err error
	if s.JSON, s.Sig, err = o.loadSigned(id, docketSuffix); err != nil {
		return s, record.Docket{}, err
	}
	d, err := s.Docket()
	if err == nil && d.Record != id {
		err = fmt.Errorf("reading the docket: it names record %.12s", d.Record)
	}
	return s, d, err
}

// loadSigned reads a document and the signature beside it.
func (o *Outbox) loadSigned(id record.ID, suffix string) (json, sig []byte, err error) {
	if json, err = readSmall(o.path(id, suffix)); err != nil {
		return nil, nil, err
	}
	sig, err = readSmall(o.path(id, suffix+".sig"))
	return json, sig, err
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, record.MaxDocket+1))
	if err == nil && len(data) > record.MaxDocket {
		err = fmt.Errorf("reading %s: it is too large", filepath.Base(path))
	}
	return data, err
}

// store writes a new file and syncs it. Its name becomes durable with the next [Outbox.syncDir].
func (o *Outbox) store(path string, data []byte) error {
	f, err := o.newFile(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

// storeSigned stores a document and its signature, at once: syncs that overlap cost little more than one.
func (o *Outbox) storeSigned(id record.ID, suffix string, json, sig []byte) error {
	var errs [2]error
	var group sync.WaitGroup
	group.Go(func() { errs[0] = o.store(o.path(id, suffix+".sig"), sig) })
	group.Go(func() { errs[1] = o.store(o.path(id, suffix), json) })
	group.Wait()
	return errors.Join(errs[:]...)
}

// newFile makes an empty file for the owner alone; one of the same name that an earlier try left is emptied.
func (o *Outbox) newFile(path string) (file, error) {
	if o.create != nil {
		return o.create(path)
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
}

// syncDir makes names durable.
func (o *Outbox) syncDir() error {
	d, err := os.Open(o.Dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// remove deletes files of a record that may be there.
func (o *Outbox) remove(id record.ID, suffixes ...string) error {
	var errs []error
	for _, s := range suffixes {
		if err := os.Remove(o.path(id, s)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// put is one record on its way into the outbox, with what there is to undo.
type put struct {
	o        *Outbox
	partial  string
	reserved bool
	signed   record.SignedDocket
	docket   record.Docket
}

// run does the steps in the order that makes the rename the commit point.
func (p *put) run(seal func(io.Writer) error, docket func(record.ID, int64) (record.SignedDocket, error)) error {
	id, size, err := p.seal(seal)
	if err != nil {
		return err
	}
	failpoint.Hit("outbox.sealed")
	if p.signed, err = docket(id, size); err != nil {
		return fmt.Errorf("making the docket: %w", err)
	}
	if p.docket, err = p.signed.Docket(); err != nil {
		return err
	}
	if p.docket.Record != id || p.docket.Size != size {
		return errors.New("making the docket: it is not of this record")
	}
	if err := p.o.reserve(p.docket.Session, id); err != nil {
		return err
	}
	p.reserved = true
	return p.commit()
}

// seal writes the sealed bytes under a name that the next start sweeps.
func (p *put) seal(seal func(io.Writer) error) (record.ID, int64, error) {
	p.partial = filepath.Join(p.o.Dir, rand.Text()+partialSuffix)
	f, err := p.o.newFile(p.partial)
	if err != nil {
		return "", 0, err
	}
	w := &meter{w: f, hash: sha256.New()}
	if err := seal(w); err != nil {
		return "", 0, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return "", 0, err
	}
	return record.ID(hex.EncodeToString(w.hash.Sum(nil))), w.n, nil
}

func (p *put) commit() error {
	id := p.docket.Record
	if err := p.o.storeSigned(id, docketSuffix, p.signed.JSON, p.signed.Sig); err != nil {
		return err
	}
	if err := p.o.syncDir(); err != nil {
		return err
	}
	failpoint.Hit("outbox.docket")
	if err := os.Rename(p.partial, p.o.path(id, sealedSuffix)); err != nil {
		return err
	}
	failpoint.Hit("outbox.renamed")
	if err := p.o.syncDir(); err != nil {
		return err
	}
	failpoint.Hit("outbox.synced")
	return nil
}

// undo removes what a failed put left. What it can't remove, the next start does.
func (p *put) undo() {
	if p.partial != "" {
		_ = os.Remove(p.partial)
	}
	if !p.reserved {
		return
	}
	err := p.o.remove(p.docket.Record, sealedSuffix)
	if err == nil {
		// Only when the sealed file is gone for good may the session get another record.
		err = errors.Join(p.o.syncDir(), p.o.remove(p.docket.Record, docketSuffix, docketSigSuffix))
	}
	if err != nil {
		p.o.log().Error("undoing a record that could not be kept", "record", p.docket.Record, "err", err)
		return
	}
	p.o.release(p.docket.Session)
}

// meter hashes and counts what goes through it.
type meter struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	m.hash.Write(b[:n])
	m.n += int64(n)
	if err == nil && m.n > record.MaxRecord {
		err = fmt.Errorf("the sealed record is larger than %d bytes", record.MaxRecord)
	}
	return n, err
}
