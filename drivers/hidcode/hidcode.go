// Package hidcode drives code readers of the USB Human Interface Device class: point-of-sale scanners (usage page 8C) and
// keyboard wedges, which type what they read.
//
// The one idea: a report goes in and, sooner or later, a whole code comes out; whatever is between the two is pure and bounded.
// A reader that says nothing is well, one that stops in the middle of a code is not. After a fault or a cancelled Read what is
// left of a code is fetched and thrown away, so that no half of one is ever taken for a whole.
package hidcode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"loket/drivers"
	"loket/drivers/hid"
	"loket/drivers/usb"
)

// Time limits.
const (
	requestLimit = 2 * time.Second        // of a control request
	silenceLimit = time.Second            // between two reports of one code
	settleLimit  = 100 * time.Millisecond // of fetching the rest of a code that was cut off
	skipGap      = 50 * time.Millisecond  // of silence means that the rest does not come any more
)

// Model is a reader of a maker that the driver does not know, or one that ends its codes in its own way.
type Model struct {
	Vendor, Product uint16
	Terminator      Terminator // of a keyboard wedge; Enter where empty
}

// ParseModel reads "13ba:0018" or "13ba:0018/tab".
func ParseModel(s string) (Model, error) {
	ids, end, ended := strings.Cut(s, "/")
	m := Model{Terminator: Enter}
	if ended {
		m.Terminator = Terminator(end)
	}
	var err error
	if m.Vendor, m.Product, err = usb.ParseIDs(ids); err == nil && m.Terminator != Enter && m.Terminator != Tab {
		err = fmt.Errorf("no reader ends codes with %.40q", end)
	}
	if err != nil {
		return Model{}, fmt.Errorf("reading the code reader %.40q: %w (hint: 13ba:0018, or 13ba:0018/tab where the reader ends codes with Tab)", s, err)
	}
	return m, nil
}

// Options say which readers there are. The zero value knows the makers.
type Options struct {
	Models []Model          // besides those of known makers, or in place of what is known of them
	Now    func() time.Time // for the years of documents; time.Now where nil
}

// makers make code readers and no keyboards (vendor numbers as usb.ids lists them).
var makers = [...]uint16{
	0x0536, // Hand Held Products (Honeywell)
	0x05e0, // Symbol Technologies (Zebra)
	0x05f9, // PSC Scanning (Datalogic)
	0x065a, // Optoelectronics (Opticon)
	0x0c2e, // Metrologic Instruments (Honeywell)
	0x0db5, // Access IS
	0x1eab, // Newland
}

// The simulated readers, in the test space of pid.codes.
const (
	testVendor         = 0x1209
	testScanner uint16 = 0x0003
	testWedge   uint16 = 0x0004
)

// Driver returns the driver of these readers with default options.
func Driver() drivers.Driver { return New(Options{}) }

// New returns the driver of these readers.
func New(opt Options) drivers.Driver {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return drivers.Driver{Name: "hidcode", Kind: drivers.KindCodeReader, Match: opt.match, Open: opt.open}
}

// match goes by maker or model, for a keyboard wedge looks like any keyboard, and a keyboard is not to be taken away.
func (o Options) match(i usb.Info) bool {
	if !slices.ContainsFunc(i.Interfaces, func(f usb.Interface) bool { return f.Class == hid.Class }) {
		return false
	}
	_, named := o.model(i)
	return named || slices.Contains(makers[:], i.Vendor) || i.Vendor == testVendor && (i.Product == testScanner || i.Product == testWedge)
}

func (o Options) model(i usb.Info) (Model, bool) {
	at := slices.IndexFunc(o.Models, func(m Model) bool { return m.Vendor == i.Vendor && m.Product == i.Product })
	if at < 0 {
		return Model{Terminator: Enter}, false
	}
	return o.Models[at], true
}

// assembler makes codes of reports.
type assembler interface {
	room() int                      // length of the longest report
	take([]byte) ([]message, error) // a report in, the codes that end with it out
	pending() bool                  // a code has begun
	silent() ([]message, error)     // nothing came for a while though one has begun
	reset()                         // what has begun will not go on
}

// reader is an open reader. Whoever has the turn has all fields below it.
type reader struct {
	dev  usb.Device
	info drivers.Info
	now  func() time.Time
	turn drivers.Turn

	in    uint8 // endpoint
	codes assembler
	ready []message
	stale bool // the end of a code that was cut off may still come
	buf   []byte
}

var _ drivers.CodeReader = (*reader)(nil)

func (o Options) open(ctx context.Context, dev usb.Device) (drivers.Device, error) {
	r := &reader{dev: dev, now: o.Now, turn: drivers.NewTurn()}
	model, _ := o.model(dev.Info())
	limited, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	if err := r.find(limited, model); err != nil {
		_ = dev.Close()
		return nil, drivers.Fault(ctx, "opening the code reader", err)
	}
	i := dev.Info()
	r.info = drivers.Info{USB: i, Driver: "hidcode", Kind: drivers.KindCodeReader, Vendor: i.Manufacturer, Model: i.ProductName, Serial: i.Serial,
		Firmware: i.Version(), Simulated: i.Simulated()}
	return r, nil
}

// Info describes the reader.
func (r *reader) Info() drivers.Info { return r.info }

// Close closes the device; a Read ends with [drivers.ErrUnplugged].
func (r *reader) Close() error { return r.dev.Close() }

// Read waits for the next code.
func (r *reader) Read(ctx context.Context) (drivers.Code, error) {
	if err := r.turn.Take(ctx); err != nil {
		return drivers.Code{}, err
	}
	defer r.turn.Give()
	if err := r.skip(ctx); err != nil {
		return drivers.Code{}, err
	}
	for {
		m, err := r.next(ctx)
		if err != nil {
			r.settle(ctx, err)
			return drivers.Code{}, drivers.Fault(ctx, "reading a code", err)
		}
		if c, ok, err := m.code(r.now()); ok || err != nil {
			return c, err
		}
	}
}

// next waits for the next message.
func (r *reader) next(ctx context.Context) (message, error) {
	for len(r.ready) == 0 {
		report, err := r.report(ctx)
		if err == nil {
			r.ready, err = r.codes.take(report)
		} else if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			r.ready, err = r.codes.silent()
		}
		if err != nil {
			return message{}, err
		}
	}
	m := r.ready[0]
	r.ready = r.ready[1:]
	return m, nil
}

// report waits for a report: for ever, or until a code that has begun should have gone on. A stall is cleared once.
func (r *reader) report(ctx context.Context) ([]byte, error) {
	if r.codes.pending() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, silenceLimit)
		defer cancel()
	}
	return hid.Report(ctx, r.dev, r.in, r.buf)
}

// settle throws away what is left of a code that will not be read to its end: what comes up to that end, for as long as the limit
// allows. What is still coming then, or can't be fetched now, the next Read skips.
func (r *reader) settle(ctx context.Context, why error) {
	begun := r.codes.pending()
	cut := begun || ctx.Err() == nil
	r.codes.reset()
	r.ready = nil
	if !cut || errors.Is(why, usb.ErrGone) || errors.Is(why, usb.ErrClosed) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
	defer cancel()
	var last time.Time // that something came
	for {
		n, err := r.dev.Transfer(ctx, r.in, r.buf)
		if err != nil && !errors.Is(err, usb.ErrOverflow) {
			r.stale = begun && (time.Since(last) < skipGap || !errors.Is(err, context.DeadlineExceeded))
			break
		}
		last = time.Now()
		if ended, _ := r.codes.take(r.buf[:n]); len(ended) > 0 {
			break
		}
	}
	r.codes.reset()
}

// skip throws away what comes at once, up to the end of a code that was cut off. It returns an error only where ctx ends.
func (r *reader) skip(ctx context.Context) error {
	if !r.stale {
		return nil
	}
	for halts := 0; r.stale; {
		soon, cancel := context.WithTimeout(ctx, skipGap)
		n, err := r.dev.Transfer(soon, r.in, r.buf)
		cancel()
		switch {
		case err == nil:
			ended, _ := r.codes.take(r.buf[:n])
			r.stale = len(ended) == 0
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, usb.ErrStall) && halts == 0 && hid.ClearHalt(ctx, r.dev, r.in) == nil:
			halts++
		default:
			r.stale = false
		}
	}
	r.codes.reset()
	return nil
}
