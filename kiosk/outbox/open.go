package outbox

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"loket/kiosk/record"
)

// refusal is why a record was refused, as it is kept beside the record.
type refusal struct {
	Code   string    `json:"code"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Codes of records that this station itself will not send.
const (
	codeNoDocket = "no-docket"
	codeDamaged  = "damaged"
)

// Open makes the folder, sweeps what was never committed, ends the purges that a crash cut short, and takes up the rest. It
// starts nothing.
func (o *Outbox) Open() error {
	o.wake = make(chan struct{}, 1)
	o.entries, o.sessions = map[record.ID]*entry{}, map[string]record.ID{}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("opening the outbox: %w", err)
	}
	if err := o.sweepPartials(); err != nil {
		return fmt.Errorf("opening the outbox: %w", err)
	}
	found, err := o.scan()
	if err != nil {
		return err
	}
	for id, has := range found {
		if err := o.take(id, has); err != nil {
			return fmt.Errorf("opening the outbox: record %.12s: %w", id, err)
		}
	}
	o.forget()
	if err := o.syncDir(); err != nil {
		return fmt.Errorf("opening the outbox: %w", err)
	}
	return nil
}

func (o *Outbox) sweepPartials() error {
	files, err := os.ReadDir(o.Dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), partialSuffix) {
			continue
		}
		o.log().Info("sweeping a record that was not committed")
		if err := os.Remove(filepath.Join(o.Dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// take decides what a record's files mean.
func (o *Outbox) take(id record.ID, has map[string]bool) error {
	receipted := has[receiptSuffix] && has[receiptSigSuffix]
	switch {
	case !has[sealedSuffix] && receipted:
		if _, d, err := o.loadDocket(id); err == nil {
			o.sessions[d.Session] = id
		}
		return nil
	case !has[sealedSuffix]:
		o.log().Info("sweeping a docket without a record", "record", id)
		return o.remove(id, docketSuffix, docketSigSuffix, receiptSuffix, receiptSigSuffix, refusedSuffix)
	}
	e := o.read(id)
	o.entries[id] = e
	if e.Docket.Session != "" {
		o.sessions[e.Docket.Session] = id
	}
	if !receipted {
		return o.remove(id, receiptSuffix, receiptSigSuffix) // a half
	}
	return o.resume(e)
}

// resume ends a purge that stopped after the receipt was written.
func (o *Outbox) resume(e *entry) error {
	var receipt record.SignedReceipt
	var err error
	if receipt.JSON, receipt.Sig, err = o.loadSigned(e.Docket.Record, receiptSuffix); err != nil {
		return err
	}
	if _, err := receipt.Verify(o.ReceiptKeys, e.Docket); err != nil {
		o.log().Warn("a receipt on disk does not verify: the record is sent again", "record", e.Docket.Record, "err", err)
		return o.remove(e.Docket.Record, receiptSuffix, receiptSigSuffix)
	}
	return o.purge(e, receipt)
}

// read takes up a sealed record. One that can't be sent is kept and shown, never deleted.
func (o *Outbox) read(id record.ID) *entry {
	e := &entry{Entry: Entry{Docket: record.Docket{Record: id}, State: Pending, Since: o.now()}}
	info, err := os.Stat(o.path(id, sealedSuffix))
	if err == nil {
		e.Docket.Size, e.Docket.Time = info.Size(), info.ModTime()
	}
	signed, docket, err := o.loadDocket(id)
	switch {
	case err != nil:
		e.set(Refused, codeNoDocket, fmt.Sprintf("its docket can't be read: %v (hint: keep the file and call the service)", err), o.now())
		return e
	case info == nil || info.Size() != docket.Size:
		e.set(Refused, codeDamaged, "its file does not have the size that its docket gives (hint: look for a failing disk)", o.now())
	}
	e.Docket, e.signed = docket, signed
	var r refusal
	if data, err := readSmall(o.path(id, refusedSuffix)); err == nil && json.Unmarshal(data, &r) == nil {
		e.State, e.Code, e.Reason, e.Since = Refused, r.Code, r.Reason, r.At
	}
	return e
}

// forget removes dockets and receipts of records that were purged long ago. The journal still has them.
func (o *Outbox) forget() {
	keep := o.Keep
	if keep == 0 {
		keep = 30 * 24 * time.Hour
	}
	found, err := o.scan()
	if err != nil {
		o.log().Error("forgetting old receipts", "err", err)
		return
	}
	for id, has := range found {
		info, err := os.Stat(o.path(id, receiptSuffix))
		if err != nil || has[sealedSuffix] || o.now().Sub(info.ModTime()) < keep {
			continue
		}
		_, docket, err := o.loadDocket(id)
		if err == nil {
			o.release(docket.Session)
		}
		if err := o.remove(id, docketSuffix, docketSigSuffix, receiptSuffix, receiptSigSuffix); err != nil {
			o.log().Error("forgetting an old receipt", "record", id, "err", err)
		}
	}
}
