package central

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"loket/kiosk/failpoint"
	"loket/kiosk/record"
)

// What follows a record's id in the names of the store.
const (
	sealedSuffix     = ".age"
	docketSuffix     = ".docket.json"
	docketSigSuffix  = ".docket.json.sig"
	receiptSuffix    = ".receipt.json"
	receiptSigSuffix = ".receipt.json.sig"
	tempSuffix       = ".tmp"
)

func (c *Central) path(id record.ID, suffix string) string {
	return filepath.Join(c.Dir, recordsDir, string(id)+suffix)
}

// finalise ends an upload of which all bytes are there: check the hash, sync, rename, sync, sign the receipt. It may be called
// any number of times, from any of its three callers, and gives the same receipt.
func (c *Central) finalise(id string) (record.SignedReceipt, error) {
	upload, err := c.files.GetUpload(context.Background(), id)
	if err != nil {
		return record.SignedReceipt{}, err
	}
	info, err := upload.GetInfo(context.Background())
	if err != nil {
		return record.SignedReceipt{}, err
	}
	signed, d, err := docketOf(info)
	if err != nil {
		return record.SignedReceipt{}, err
	}
	unlock := c.ending.lock(string(d.Record))
	defer unlock()
	if receipt, err := c.storedLocked(signed, d); err != nil || receipt != nil {
		if err == nil {
			err = c.files.drop(id)
		}
		return deref(receipt), err
	}
	failpoint.Hit("central.received")
	if err := c.accept(id, signed, d); err != nil {
		return record.SignedReceipt{}, err
	}
	failpoint.Hit("central.stored")
	receipt, err := c.sign(d)
	if err != nil {
		return record.SignedReceipt{}, err
	}
	failpoint.Hit("central.receipted")
	c.log().Info("record received", "record", d.Record, "station", d.Station, "centre", d.Centre, "session", d.Session, "bytes", d.Size)
	c.observe("received", d.Size)
	return receipt, c.files.drop(id)
}

func deref(r *record.SignedReceipt) record.SignedReceipt {
	if r == nil {
		return record.SignedReceipt{}
	}
	return *r
}

// accept checks the bytes and moves them into the store, durably. What is refused is deleted: the station still has it.
func (c *Central) accept(id string, signed record.SignedDocket, d record.Docket) error {
	sum, err := c.files.digest(id, d.Size)
	if err != nil {
		return err
	}
	if sum != string(d.Record) {
		return errors.Join(refusal(http.StatusUnprocessableEntity, "bad-hash", "what arrived is not the record that the docket names",
			"the station compares its own file and sends it again if that is intact"), c.files.drop(id))
	}
	if err := c.take(d); err != nil {
		c.conflict(signed, d)
		return errors.Join(err, c.files.drop(id))
	}
	if err := c.move(id, signed, d); err != nil {
		c.giveUp(d)
		return err
	}
	return nil
}

// giveUp frees what take reserved, unless the record is in the store all the same.
func (c *Central) giveUp(d record.Docket) {
	if _, err := os.Stat(c.path(d.Record, sealedSuffix)); err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.claims, claimOf(d))
}

// move syncs the bytes beside the docket, then renames all of it into the store and syncs the folder.
func (c *Central) move(id string, signed record.SignedDocket, d record.Docket) error {
	err := together(
		func() error { return syncFile(c.files.data(id)) },
		func() error { return prepare(c.path(d.Record, docketSigSuffix), signed.Sig) },
		func() error { return prepare(c.path(d.Record, docketSuffix), signed.JSON) },
	)
	if err != nil {
		return err
	}
	return inOrder(
		func() error { return commit(c.path(d.Record, docketSigSuffix)) },
		func() error { return commit(c.path(d.Record, docketSuffix)) },
		func() error { return os.Rename(c.files.data(id), c.path(d.Record, sealedSuffix)) },
		c.syncRecords,
	)
}

// sign signs the receipt for a record that is in the store, and keeps it. The time of custody is when the last byte was
// written, which was synced with the file: a receipt that a power cut loses is signed again and says the same. So it need not
// be synced itself before the station has it.
func (c *Central) sign(d record.Docket) (record.SignedReceipt, error) {
	info, err := os.Stat(c.path(d.Record, sealedSuffix))
	if err != nil {
		return record.SignedReceipt{}, err
	}
	receipt, err := d.Receipt(c.Key, info.ModTime())
	if err != nil {
		return record.SignedReceipt{}, err
	}
	return receipt, inOrder(
		func() error { return replace(c.path(d.Record, receiptSigSuffix), receipt.Sig) },
		func() error { return replace(c.path(d.Record, receiptSuffix), receipt.JSON) },
	)
}

// stored gives the receipt of a record that is in the store, nil where it is not. A receipt that a crash prevented is signed
// now.
func (c *Central) stored(signed record.SignedDocket, d record.Docket) (*record.SignedReceipt, error) {
	unlock := c.ending.lock(string(d.Record))
	defer unlock()
	return c.storedLocked(signed, d)
}

// storedLocked is stored with the record's lock held.
func (c *Central) storedLocked(signed record.SignedDocket, d record.Docket) (*record.SignedReceipt, error) {
	if _, err := os.Stat(c.path(d.Record, sealedSuffix)); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	known, _, err := c.loadDocket(d.Record)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // a power cut took the docket: the record is as good as not here, and comes again
	}
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(known.JSON, signed.JSON) {
		return nil, differs()
	}
	receipt, err := c.loadReceipt(d)
	if err != nil {
		receipt, err = c.sign(d)
	}
	return &receipt, err
}

// loadReceipt reads a receipt of ours. One that is not whole is as good as none.
func (c *Central) loadReceipt(d record.Docket) (record.SignedReceipt, error) {
	var receipt record.SignedReceipt
	var err error
	if receipt.JSON, receipt.Sig, err = c.load(d.Record, receiptSuffix); err != nil {
		return receipt, err
	}
	own, ok := c.Key.Public().(*ecdsa.PublicKey)
	if !ok {
		return receipt, errors.New("reading a receipt: the key that signs is not ECDSA")
	}
	_, err = receipt.Verify([]*ecdsa.PublicKey{own}, d)
	return receipt, err
}

// loadDocket reads the docket of a record in the store.
func (c *Central) loadDocket(id record.ID) (record.SignedDocket, record.Docket, error) {
	var signed record.SignedDocket
	var err error
	if signed.JSON, signed.Sig, err = c.load(id, docketSuffix); err != nil {
		return signed, record.Docket{}, err
	}
	d, err := signed.Docket()
	if err == nil && d.Record != id {
		err = fmt.Errorf("reading the docket of %.12s: it names another record", id)
	}
	return signed, d, err
}

func (c *Central) load(id record.ID, suffix string) (json, sig []byte, err error) {
	if json, err = os.ReadFile(c.path(id, suffix)); err != nil {
		return nil, nil, err
	}
	sig, err = os.ReadFile(c.path(id, suffix+".sig"))
	return json, sig, err
}

// readRecords learns what the store holds, and signs the receipts that a crash prevented.
func (c *Central) readRecords() error {
	files, err := os.ReadDir(filepath.Join(c.Dir, recordsDir))
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), tempSuffix) {
			if err := os.Remove(filepath.Join(c.Dir, recordsDir, f.Name())); err != nil {
				return err
			}
		}
	}
	for _, f := range files {
		name, isRecord := strings.CutSuffix(f.Name(), sealedSuffix)
		if !isRecord {
			continue
		}
		if err := c.readRecord(record.ID(name)); err != nil {
			c.log().Error("reading a record of the store", "record", name, "err", err)
		}
	}
	return nil
}

func (c *Central) readRecord(id record.ID) error {
	signed, d, err := c.loadDocket(id)
	if err != nil {
		return err
	}
	if err := c.take(d); err != nil {
		return err
	}
	_, err = c.stored(signed, d)
	return err
}

// finishUploads finishes the uploads of which all bytes are there: tusd will not call its hook for them again. Data without
// an announcement, and announcements that can't be read, are swept.
func (c *Central) finishUploads() error {
	files, err := os.ReadDir(c.files.Path)
	if err != nil {
		return err
	}
	for _, f := range files {
		id := strings.TrimSuffix(f.Name(), ".info")
		if err := c.finishUpload(id); err != nil {
			c.log().Warn("finishing an upload", "upload", id, "err", err)
		}
	}
	return nil
}

func (c *Central) finishUpload(id string) error {
	upload, err := c.files.GetUpload(context.Background(), id)
	if err != nil {
		return c.files.drop(id)
	}
	info, err := upload.GetInfo(context.Background())
	if err != nil {
		return err
	}
	if info.Offset < info.Size {
		return c.forget(id)
	}
	_, err = c.finalise(id)
	return err
}

// abandoned is how long an upload may lie without a new byte.
const abandoned = 30 * 24 * time.Hour

// forget deletes an unfinished upload that its station has given up.
func (c *Central) forget(id string) error {
	if info, err := os.Stat(c.files.data(id)); err != nil || c.now().Sub(info.ModTime()) < abandoned {
		return err
	}
	c.log().Info("sweeping an abandoned upload", "upload", id)
	return c.files.drop(id)
}

// inOrder runs steps until one fails.
func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// together runs all steps at once and waits for them: syncs that overlap cost little more than one.
func together(steps ...func() error) error {
	errs := make([]error, len(steps))
	var group sync.WaitGroup
	for i, step := range steps {
		group.Go(func() { errs[i] = step() })
	}
	group.Wait()
	return errors.Join(errs...)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (c *Central) syncRecords() error {
	d, err := os.Open(filepath.Join(c.Dir, recordsDir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// prepare writes a file beside its place and syncs it; commit puts it there.
func prepare(path string, data []byte) error {
	f, err := os.OpenFile(path+tempSuffix, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func commit(path string) error { return os.Rename(path+tempSuffix, path) }

// replace puts a file in its place in one step, without syncing it.
func replace(path string, data []byte) error {
	if err := os.WriteFile(path+tempSuffix, data, 0o600); err != nil {
		return err
	}
	return commit(path)
}
