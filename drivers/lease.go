package drivers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"loket/drivers/usb"
)

// leaseTime is how long a lease lasts that nobody renews, where the registry names no other.
const leaseTime = 10 * time.Second

// ErrLost is a lease that ended before its owner gave it back: it ran out, was taken over, or the device left.
var ErrLost = errors.New("lease lost")

// HeldError is an [ErrHeld] that says by whom.
type HeldError struct {
	Identity usb.Identity
	Owner    string
	Token    uint64 // of the lease to take over; 0 where another program holds the device
}

// Error names the owner.
func (e *HeldError) Error() string { return fmt.Sprintf("%v: %s", ErrHeld, e.Owner) }

// Unwrap says that it is an [ErrHeld].
func (e *HeldError) Unwrap() error { return ErrHeld }

// Lease is the right of one owner to use one device. It ends when it is released, when it ran out without being renewed, when
// it is taken over, or with the device. A lease that ends before it is released closes the device under its owner: no device is used by
// two. Its methods may be called from several goroutines.
type Lease struct {
	Device Device
	Owner  string
	Token  uint64 // another for each lease: what [Registry.TakeOver] compares

	registry *Registry
	entry    *entry
	until    time.Time
	held     context.Context // while it lasts the lease does too; may be nil
	ended    chan struct{}
	ready    chan error // of a lease that waits for its device
}

// Ended is closed when the lease has ended.
func (l *Lease) Ended() <-chan struct{} { return l.ended }

// Renew makes the lease last for another term. Error: [ErrLost].
func (l *Lease) Renew() error {
	r := l.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.entry.lease != l {
		return fmt.Errorf("renewing the lease of %s: %w", l.entry.status.Identity, ErrLost)
	}
	l.until = r.now().Add(r.term())
	return nil
}

// Hold renews the lease for as long as ctx lasts: a use that ends with ctx needs nothing else. One that goes on after that has
// a term to come to its end.
func (l *Lease) Hold(ctx context.Context) {
	l.registry.mu.Lock()
	defer l.registry.mu.Unlock()
	l.held = ctx
}

// Release gives the device back. err is how its last use ended: nil proves that the device is well; a fault closes it, and the
// registry brings it back; anything else says nothing. Release of a lease that has ended does nothing.
func (l *Lease) Release(err error) {
	r := l.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	e := l.entry
	if e.lease != l {
		return
	}
	defer r.kick()
	if Verdict(err) != "" {
		r.drop(e)
		r.failed(e, err)
		return
	}
	if err == nil {
		e.ladder.restart()
	}
	r.endLease(e)
	r.set(e, StateReady, nil)
}

// Lease gives owner a ready device of that kind. Where there is none it waits until ctx ends for one that is being opened,
// and otherwise returns the fault of the device that comes closest, a [*HeldError] where one is leased.
func (r *Registry) Lease(ctx context.Context, kind Kind, owner string) (*Lease, error) {
	return r.LeaseFit(ctx, kind, func(Info) error { return nil }, owner)
}

// LeaseFit does the same among the devices that fit takes. A device that it does not take is passed over; what it says of it is
// the error where no other is known. One that was never open is not judged.
func (r *Registry) LeaseFit(ctx context.Context, kind Kind, fit func(Info) error, owner string) (*Lease, error) {
	return r.lease(ctx, "a "+string(kind), func(e *entry) bool { return e.driver.Kind == kind }, fit, owner)
}

// LeaseDevice does the same for one device, by its identity.
func (r *Registry) LeaseDevice(ctx context.Context, id usb.Identity, owner string) (*Lease, error) {
	return r.lease(ctx, id.String(), func(e *entry) bool { return e.status.Identity == id }, func(Info) error { return nil }, owner)
}

func (r *Registry) lease(ctx context.Context, what string, meant func(*entry) bool, fit func(Info) error, owner string) (*Lease, error) {
	for {
		changed := r.Changed()
		lease, wait, err := r.tryLease(meant, fit, owner)
		if lease != nil {
			return lease, nil
		}
		err = fmt.Errorf("leasing %s: %w", what, err)
		if !wait {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-changed:
		}
	}
}

// tryLease returns a lease, or why there is none now and whether waiting may help.
func (r *Registry) tryLease(meant func(*entry) bool, fit func(Info) error, owner string) (lease *Lease, wait bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	closest := nothing
	err = fmt.Errorf("%w: none was seen", ErrUnplugged)
	for _, e := range r.sorted() {
		if !meant(e) {
			continue
		}
		if why := e.judge(fit); why != nil {
			if closest < unfit {
				closest, err = unfit, why
			}
			continue
		}
		if e.status.State == StateReady {
			lease := r.newLease(e, owner)
			r.grant(e, lease)
			return lease, false, nil
		}
		if d := distance(e); d > closest {
			closest, err = d, faultOf(e)
		}
	}
	return nil, closest == opening, err
}

// How close a device comes to being ready: the closest one's fault is told.
const (
	nothing = iota
	unfit
	absent
	faulted
	inUse
	opening
)

// judge says why a device that is or was open does not fit.
func (e *entry) judge(fit func(Info) error) error {
	if e.device == nil && e.status.Info.Sensor == nil {
		return nil
	}
	return fit(e.status.Info)
}

func distance(e *entry) int {
	switch {
	case e.heir != nil || e.status.State == StateLeased:
		return inUse
	case e.status.State == StateOpening, e.status.State == StateFaulted && e.ladder.quiet():
		return opening
	case e.status.State == StateFaulted:
		return faulted
	}
	return absent
}

// faultOf gives the error behind a status.
func faultOf(e *entry) error {
	holder := e.lease
	if e.heir != nil {
		holder = e.heir
	}
	s := e.status
	switch {
	case holder != nil:
		return &HeldError{Identity: s.Identity, Owner: holder.Owner, Token: holder.Token}
	case s.Verdict == Verdict(ErrHeld) && s.Owner != "":
		return &HeldError{Identity: s.Identity, Owner: s.Owner}
	case s.State == StateOpening:
		return fmt.Errorf("%w: it is being opened", ErrHung)
	}
	for _, f := range []error{ErrOff, ErrUnplugged, ErrHung, ErrCrashed, ErrHeld} {
		if Verdict(f) == s.Verdict {
			return f
		}
	}
	return fmt.Errorf("%w: %s", ErrDenied, s.Detail)
}

func (r *Registry) newLease(e *entry, owner string) *Lease {
	r.tokens++
	return &Lease{Owner: owner, Token: r.tokens, registry: r, entry: e, ended: make(chan struct{}), ready: make(chan error, 1)}
}

// grant makes a lease the one that holds an open device. The mutex is held.
func (r *Registry) grant(e *entry, l *Lease) {
	l.Device, l.until = e.device, r.now().Add(r.term())
	e.lease, e.heir = l, nil
	e.status.Owner = l.Owner
	r.set(e, StateLeased, nil)
}

// endLease ends the lease of an entry, if there is one. The mutex is held.
func (r *Registry) endLease(e *entry) {
	if e.lease != nil {
		close(e.lease.ended)
	}
	e.lease, e.status.Owner = nil, ""
}

// TakeOver takes a device from the owner of the lease with that token: compare and swap, so of two that try one gets it and the
// other a [*HeldError] with the new token. The device is closed under the old owner and opened anew; TakeOver waits for that
// until ctx ends. Where the old owner gave it back meanwhile, this is [Registry.LeaseDevice].
func (r *Registry) TakeOver(ctx context.Context, id usb.Identity, token uint64, owner string) (*Lease, error) {
	heir, err := r.inherit(id, token, owner)
	if err != nil {
		return nil, fmt.Errorf("taking over %s: %w", id, err)
	}
	if heir == nil {
		return r.LeaseDevice(ctx, id, owner)
	}
	r.kick()
	select {
	case err = <-heir.ready:
	case <-ctx.Done():
		if err = r.disinherit(heir); err != nil {
			break
		}
		err = <-heir.ready
	}
	if err != nil {
		return nil, fmt.Errorf("taking over %s: %w", id, err)
	}
	return heir, nil
}

// inherit makes an heir of owner where token still is that of the lease, and takes the device from the lease. It returns
// nil where nobody holds the device.
func (r *Registry) inherit(id usb.Identity, token uint64, owner string) (*Lease, error) {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[id]
	if e == nil || e.lease == nil && e.heir == nil {
		return nil, nil
	}
	if e.heir != nil || e.lease.Token != token {
		return nil, faultOf(e)
	}
	heir := r.newLease(e, owner)
	r.drop(e)
	e.heir, e.status.Owner = heir, owner
	e.ladder.next = r.now()
	r.set(e, StateOpening, nil)
	return heir, nil
}

// disinherit gives up waiting; nil where the device came just then.
func (r *Registry) disinherit(heir *Lease) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if heir.entry.heir != heir {
		return nil
	}
	heir.entry.heir, heir.entry.status.Owner = nil, ""
	return fmt.Errorf("%w: it was not opened again in time", ErrHung)
}

// fail tells an heir that the device does not come. The mutex is held.
func (e *entry) fail(err error) {
	if e.heir != nil {
		e.heir.ready <- err
		e.heir, e.status.Owner = nil, ""
	}
}

// expire ends a lease that ran out: the device is closed and opened anew. The mutex is held.
func (r *Registry) expire(e *entry) {
	if e.lease == nil {
		return
	}
	now := r.now()
	if e.lease.held != nil && e.lease.held.Err() == nil {
		e.lease.until = now.Add(r.term())
	}
	if now.Before(e.lease.until) {
		return
	}
	if r.Log != nil {
		r.Log.Warn("a lease ran out", "identity", e.status.Identity.String(), "owner", e.lease.Owner)
	}
	r.drop(e)
	e.ladder.next = now
	r.set(e, StateOpening, nil)
}

func (r *Registry) term() time.Duration { return cmp.Or(r.LeaseTime, leaseTime) }

// sorted gives the entries in the order of their identities. The mutex is held.
func (r *Registry) sorted() []*entry {
	list := make([]*entry, 0, len(r.entries))
	for _, e := range r.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry) int { return cmp.Compare(a.status.Identity.String(), b.status.Identity.String()) })
	return list
}
