package kiosk

import (
	"context"
	"errors"
	"sync"
	"time"

	"loket/drivers"
	"loket/kiosk/api"
)

const (
	codeOwner    = "check-in"       // of the leases on code readers; a self-test takes them over
	startLimit   = 20 * time.Second // of starting a session with a code
	betweenCodes = time.Second      // after one that could not be read: a reader that babbles must not keep the station busy
	longestCode  = 64               // characters of a ticket's code, as the queue takes them
)

// codes reads what people show to the code readers, until ctx ends. Each reader is held for as long as it works: a code that is
// shown while a session is in progress must not wait in the reader and start one later.
func (d *Daemon) codes(ctx context.Context) error {
	var reading sync.WaitGroup
	defer reading.Wait()
	noWait, cancel := context.WithCancel(ctx) // a reader that is being opened is leased when it is ready: that is a change
	cancel()
	for {
		changed := d.registry.Changed()
		for {
			lease, err := d.registry.Lease(noWait, drivers.KindCodeReader, codeOwner)
			if err != nil {
				break
			}
			reading.Go(func() { d.readCodes(ctx, lease) })
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// readCodes reads one reader until it has read a code well, fails, is taken over or ctx ends.
func (d *Daemon) readCodes(ctx context.Context, lease *drivers.Lease) {
	lease.Hold(ctx)
	reader, ok := lease.Device.(drivers.CodeReader)
	if !ok {
		d.log.Error("a driver's code reader reads no codes", "driver", lease.Device.Info().Driver)
		select {
		case <-lease.Ended():
		case <-ctx.Done():
		}
		return
	}
	for {
		code, err := reader.Read(ctx)
		var again *drivers.RetryError
		if errors.As(err, &again) {
			d.log.Info("a code that can't be used", "err", err)
			d.scanned(code, &api.Error{Code: "unreadable", Text: "what was shown could not be read", Hint: "show it again, flat and steady"})
			sleep(ctx, betweenCodes)
			continue
		}
		lease.Release(err)
		if err == nil {
			d.scanned(code, d.startWith(ctx, code))
		}
		return
	}
}

// startWith starts a session with a code that was shown, as a caller of the API would. The queue counts wrong codes.
func (d *Daemon) startWith(ctx context.Context, code drivers.Code) error {
	switch {
	case code.Misread != nil:
		return &api.Error{Code: "misread-document", Text: code.Misread.Error(), Hint: "show the document again; staff can look the ticket up"}
	case code.Document != nil:
		return &api.Error{Code: "document", Text: "a document was shown where a ticket's code is asked for", Hint: "show the code of the letter or the phone"}
	case len(code.Text) > longestCode:
		return &api.Error{Code: "no-code", Text: "what was shown is no ticket's code", Hint: "show the code of the letter or the phone"}
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return d.start(ctx, api.Start{Code: code.Text})
}

// scanned shows what came of a code, and nothing of the code.
func (d *Daemon) scanned(code drivers.Code, err error) {
	scan := &api.Scan{At: d.now()}
	if err != nil && !errors.As(err, &scan.Refused) {
		scan.Refused = &api.Error{Code: "failed", Text: err.Error()}
	}
	if scan.Refused != nil {
		d.log.Info("a code started no session", "symbology", code.Symbology, "code", scan.Refused.Code, "err", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastScan = scan
	d.touch()
}
