package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"loket/kiosk/failpoint"
	"loket/kiosk/record"
)

// lines is how many records are sent at once: while one waits for a disk, another is on the line.
const lines = 4

// Run sends what is in the outbox, oldest first, a few at a time, until ctx ends; it then returns ctx.Err(). A record whose
// try failed waits, longer each time up to half a minute, and does not hold up the others.
func (o *Outbox) Run(ctx context.Context, p Pusher) error {
	var sending sync.WaitGroup
	defer sending.Wait()
	free := make(chan struct{}, lines)
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case free <- struct{}{}:
		}
		e, wait := o.next()
		if e != nil {
			sending.Go(func() {
				o.send(ctx, p, e)
				<-free
				o.nudge() // there may be a new next time
			})
			continue
		}
		<-free
		if err := o.idle(ctx, wait, day.C); err != nil {
			return err
		}
	}
}

// idle waits until there may be something to do.
func (o *Outbox) idle(ctx context.Context, wait time.Duration, day <-chan time.Time) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-day:
		o.forget()
	case <-o.wake:
	case <-timer.C:
	}
	return nil
}

// next gives the oldest record whose time has come, or how long to wait for one.
func (o *Outbox) next() (*entry, time.Duration) {
	list := o.List()
	o.mu.Lock()
	defer o.mu.Unlock()
	wait := 24 * time.Hour
	for _, shown := range list {
		e := o.entries[shown.Docket.Record]
		if e == nil || e.State != Pending {
			continue
		}
		left := e.NextTry.Sub(o.now())
		if left <= 0 {
			e.set(Sending, "", e.Reason, o.now())
			e.Tries++
			e.NextTry = time.Time{}
			return e, 0
		}
		wait = min(wait, left)
	}
	return nil, wait
}

// send tries one record and decides what follows.
func (o *Outbox) send(ctx context.Context, p Pusher, e *entry) {
	receipt, err := o.push(ctx, p, e)
	if err == nil {
		err = o.accept(e, receipt)
	}
	var refused *RefusedError
	switch {
	case err == nil:
		return
	case ctx.Err() != nil:
		o.mark(e, Pending, "", "")
	case errors.As(err, &refused):
		o.refuse(e, refused)
	default:
		o.log().Warn("sending a record", "record", e.Docket.Record, "try", e.Tries, "err", err)
		o.later(e, err)
	}
}

func (o *Outbox) push(ctx context.Context, p Pusher, e *entry) (record.SignedReceipt, error) {
	f, err := os.Open(o.path(e.Docket.Record, sealedSuffix))
	if err != nil {
		return record.SignedReceipt{}, err
	}
	defer f.Close()
	e.sent.Store(0)
	return p.Push(ctx, e.signed, &tracked{f: f, at: &e.sent})
}

// accept verifies a receipt and purges what it is for. A receipt that does not verify changes nothing.
func (o *Outbox) accept(e *entry, receipt record.SignedReceipt) error {
	if _, err := receipt.Verify(o.ReceiptKeys, e.Docket); err != nil {
		return err
	}
	failpoint.Hit("push.receipted")
	o.mark(e, Receipted, "", "")
	if err := o.storeSigned(e.Docket.Record, receiptSuffix, receipt.JSON, receipt.Sig); err != nil {
		return fmt.Errorf("writing the receipt: %w", explain(err))
	}
	if err := o.syncDir(); err != nil {
		return fmt.Errorf("writing the receipt: %w", err)
	}
	failpoint.Hit("receipt.written")
	return o.purge(e, receipt)
}

// purge notes the receipt and deletes the sealed file, in this order. A deletion that a power cut undoes is done again at the
// next start.
func (o *Outbox) purge(e *entry, receipt record.SignedReceipt) error {
	if o.OnReceipt != nil {
		if err := o.OnReceipt(e.signed, receipt); err != nil {
			return fmt.Errorf("noting the receipt: %w", err)
		}
	}
	failpoint.Hit("receipt.journalled")
	if err := o.remove(e.Docket.Record, sealedSuffix, refusedSuffix); err != nil {
		return fmt.Errorf("deleting the sealed record: %w", err)
	}
	failpoint.Hit("receipt.purged")
	o.mu.Lock()
	delete(o.entries, e.Docket.Record)
	o.mu.Unlock()
	o.log().Info("record delivered", "record", e.Docket.Record, "session", e.Docket.Session, "tries", e.Tries)
	return nil
}

func (o *Outbox) mark(e *entry, s State, code, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e.set(s, code, reason, o.now())
}

// later plans the next try.
func (o *Outbox) later(e *entry, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	wait := lastWait
	if e.Tries < 8 {
		wait = min(lastWait, firstWait<<(e.Tries-1))
	}
	e.set(Pending, "", err.Error(), o.now())
	e.NextTry = o.now().Add(wait)
}

// refuse keeps a refusal beside the record. Bytes that did not arrive as they are here are sent again.
func (o *Outbox) refuse(e *entry, r *RefusedError) {
	if r.Code == CodeBadHash && o.intact(e.Docket.Record) {
		o.later(e, fmt.Errorf("%w: the file here is intact, so it is sent again", r))
		return
	}
	o.log().Error("record refused", "record", e.Docket.Record, "session", e.Docket.Session, "code", r.Code, "err", r)
	kept := refusal{Code: r.Code, Reason: r.Error(), At: o.now()}
	data, err := json.Marshal(kept)
	if err == nil {
		err = errors.Join(o.store(o.path(e.Docket.Record, refusedSuffix), data), o.syncDir())
	}
	if err != nil {
		o.log().Error("keeping a refusal", "record", e.Docket.Record, "err", err) // the service will say it again
	}
	o.mark(e, Refused, kept.Code, kept.Reason)
}

// intact reports whether a sealed file still has its digest.
func (o *Outbox) intact(id record.ID) bool {
	f, err := os.Open(o.path(id, sealedSuffix))
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == string(id)
}

// tracked shows how far a file was read.
type tracked struct {
	f  *os.File
	at interface{ Store(int64) }
	n  int64
}

func (t *tracked) Read(b []byte) (int, error) {
	n, err := t.f.Read(b)
	t.n += int64(n)
	t.at.Store(t.n)
	return n, err
}

func (t *tracked) Seek(offset int64, whence int) (int64, error) {
	n, err := t.f.Seek(offset, whence)
	t.n = n
	t.at.Store(n)
	return n, err
}
