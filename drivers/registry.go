package drivers

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"loket/drivers/usb"
)

// State is where a device stands between the socket and a capture.
type State string

// The states of a device in the registry.
const (
	StateOpening   State = "opening"   // seen on the bus, not yet answering
	StateReady     State = "ready"     // open and free
	StateLeased    State = "leased"    // open and in use by Owner
	StateFaulted   State = "faulted"   // on the bus and not usable: Verdict says why, Rung what is done about it
	StateUnplugged State = "unplugged" // seen before, not on any bus now
)

// Status is one device as technicians see it.
type Status struct {
	Identity usb.Identity `json:"identity"`
	Kind     Kind         `json:"kind"`
	State    State        `json:"state"`
	Verdict  string       `json:"verdict,omitempty"` // one of the five faults, as [Verdict] names them
	Detail   string       `json:"detail,omitempty"`  // the error behind the verdict
	Owner    string       `json:"owner,omitempty"`   // who holds the lease, or the program that holds the device
	Rung     Rung         `json:"rung,omitempty"`    // how far the registry went to bring it back, until a good use
	NextTry  time.Time    `json:"next_try,omitzero"` // of a faulted device
	Also     []string     `json:"also,omitempty"`    // other places where a device of this identity is seen, and not used
	Since    time.Time    `json:"since"`             // of State and Verdict
	Info     Info         `json:"info"`              // as far as it is known
}

// Registry knows every device of a station: it watches the buses, opens what a driver matches, leases devices to one owner
// at a time, and brings back what failed. The zero value needs Buses and Drivers.
//
// A device is one identity, wherever it is plugged in: where two places show the same one, the one in use stays, else the
// bus that stands first in Buses wins, and on a bus the place that is listed first. A device that was unplugged stays known until
// it is clear that it is not missing: see forget.
type Registry struct {
	Buses     []usb.Bus
	Drivers   []Driver
	Log       *slog.Logger
	Poll      time.Duration // how often buses are listed; 250 ms where zero
	LeaseTime time.Duration // how long a lease lasts that is not renewed; 10 s where zero
	Now       func() time.Time

	mu      sync.Mutex
	entries map[usb.Identity]*entry
	lists   [][]usb.Info // what each bus listed last
	tokens  uint64       // given out
	stopped bool
	changed chan struct{} // closed at the next change of the list
	relist  chan struct{} // closed to have the buses listed now
	wake    chan struct{} // something is due
	work    sync.WaitGroup
}

// entry is one device that was seen at least once. Its fields are guarded by the registry's mutex.
type entry struct {
	status  Status
	at      place
	driver  Driver
	present bool
	gone    time.Time          // not present since
	first   time.Time          // known since
	busy    bool               // being opened or closed beside the registry's loop
	cancel  context.CancelFunc // of the opening under way; nil where there is none
	device  Device             // open
	lease   *Lease
	heir    *Lease // gets the device when it is open again
	tap     *tap   // what its transfers go through; nil for nothing
	ladder  ladder
}

const (
	openLimit = 5 * time.Second
	defPoll   = 250 * time.Millisecond
)

// Run watches the buses until ctx ends and then closes every device.
func (r *Registry) Run(ctx context.Context) error {
	r.init()
	var watches sync.WaitGroup
	for i := range r.Buses {
		watches.Go(func() { r.watch(ctx, i) })
	}
	tick := time.NewTicker(r.poll())
	defer tick.Stop()
	for ctx.Err() == nil {
		r.tend(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-r.wake:
		}
	}
	watches.Wait()
	r.closeAll()
	return ctx.Err()
}

func (r *Registry) poll() time.Duration { return cmp.Or(r.Poll, defPoll) }

// List returns what the registry knows, in the order of identities.
func (r *Registry) List() []Status {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Status, 0, len(r.entries))
	for _, e := range r.sorted() {
		list = append(list, e.status)
	}
	return list
}

// Changed returns a channel that is closed at the next change of [Registry.List].
func (r *Registry) Changed() <-chan struct{} {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Missing returns, for each wanted kind without a device that is ready, in use or being opened, the fault that explains it.
func (r *Registry) Missing(want []Kind) map[Kind]error {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := map[Kind]error{}
	for _, kind := range want {
		closest := nothing
		missing[kind] = ErrUnplugged
		for _, e := range r.sorted() {
			if e.driver.Kind != kind {
				continue
			}
			if s := e.status.State; s == StateReady || s == StateLeased || s == StateOpening {
				delete(missing, kind)
				break
			}
			if d := distance(e); d > closest {
				closest, missing[kind] = d, faultOf(e)
			}
		}
	}
	return missing
}

// Revive has a faulted device tried again at once and from the foot of the ladder, given up or not. It reports whether the
// device is known. Resets stay as rare as they are.
func (r *Registry) Revive(id usb.Identity) bool {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[id]
	if e == nil {
		return false
	}
	if e.status.State == StateFaulted {
		e.ladder.restart()
		r.set(e, StateOpening, nil)
		r.kick()
	}
	return true
}

// tend does what is due: leases run out, devices are opened, what is no device any more is forgotten.
func (r *Registry) tend(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.forget(now)
	for _, e := range r.entries {
		r.expire(e)
		if e.status.State == StateReady && e.status.Rung != "" && now.Sub(e.ladder.last) > calm {
			e.ladder.restart()
			r.set(e, StateReady, nil)
		}
		if e.present && e.device == nil && !e.busy && e.ladder.due(now) {
			r.open(ctx, e, now)
		}
	}
}

// open opens a device; that runs beside the loop, because a sick device may take its time. The mutex is held.
func (r *Registry) open(ctx context.Context, e *entry, now time.Time) {
	rung := e.ladder.take(now)
	if e.ladder.quiet() {
		r.set(e, StateOpening, nil)
	}
	attempt, cancel := context.WithTimeout(ctx, openLimit)
	e.busy, e.cancel = true, cancel
	at, bus, id, driver, tap := e.at, r.Buses[e.at.bus], e.status.Identity, e.driver, e.tap
	r.work.Go(func() {
		defer cancel()
		device, err := openWith(attempt, bus, id, at.port, driver, rung, tap)
		r.opened(ctx, e, at, tap, device, err)
	})
}

// opened takes the result of an opening. One that the device did not wait for is closed.
func (r *Registry) opened(ctx context.Context, e *entry, at place, tap *tap, device Device, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.kick()
	untapped := e.tap != nil && e.tap != tap // since the opening began
	if stale := !e.present || e.at != at || ctx.Err() != nil || untapped; stale {
		if device != nil {
			r.mu.Unlock()
			_ = device.Close()
			r.mu.Lock()
		}
		e.busy, e.cancel = false, nil
		if untapped {
			e.ladder.next = r.now()
		}
		return
	}
	e.busy, e.cancel = false, nil
	switch {
	case errors.Is(err, errDark):
		e.ladder.next = r.now().Add(time.Second)
	case err != nil:
		r.failed(e, Fault(ctx, "opening", err))
	default:
		e.device, e.status.Info, e.status.Owner = device, device.Info(), ""
		e.ladder.waits = 0
		if heir := e.heir; heir != nil {
			r.grant(e, heir)
			heir.ready <- nil
			return
		}
		r.set(e, StateReady, nil)
	}
}

// failed notes a fault of a device that is on its bus, and what to do about it. The mutex is held.
func (r *Registry) failed(e *entry, err error) {
	_, power := r.Buses[e.at.bus].(usb.PortPower)
	e.ladder.fault(r.now(), errors.Is(err, ErrHung) || errors.Is(err, ErrCrashed), power)
	e.fail(err)
	e.status.Owner = ""
	var busy *usb.BusyError
	if errors.As(err, &busy) {
		e.status.Owner = busy.Holder
	}
	r.set(e, StateFaulted, err)
	if errors.Is(err, ErrUnplugged) {
		r.look()
	}
}

// drop ends the lease of an entry and closes its device, which may take a while. The mutex is held.
func (r *Registry) drop(e *entry) {
	r.endLease(e)
	device := e.device
	if device == nil || r.stopped {
		return // closeAll closes it
	}
	e.device, e.busy = nil, true
	r.work.Go(func() {
		_ = device.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		e.busy = false
		r.kick()
	})
}

// set writes the state and tells those who wait for a change. The mutex is held.
func (r *Registry) set(e *entry, s State, err error) {
	before := e.status
	e.status.State, e.status.Verdict, e.status.Detail = s, Verdict(err), ""
	if err != nil {
		e.status.Detail = err.Error()
	}
	e.status.Rung, e.status.NextTry = e.ladder.rung, time.Time{}
	if s == StateFaulted && e.ladder.rung != RungGivenUp {
		e.status.NextTry = e.ladder.next
	}
	if before.State != s || before.Verdict != e.status.Verdict {
		e.status.Since = r.now()
	}
	r.tell(e, before)
}

// tell wakes those who wait for a change, if there is one. The mutex is held.
func (r *Registry) tell(e *entry, before Status) {
	if reflect.DeepEqual(before, e.status) {
		return
	}
	r.touch()
	s := e.status
	if r.Log != nil && (before.State != s.State || before.Verdict != s.Verdict || before.Rung != s.Rung) {
		r.Log.Info("device", "identity", s.Identity.String(), "kind", s.Kind, "state", s.State, "verdict", s.Verdict, "rung", s.Rung, "detail", s.Detail)
	}
}

func (r *Registry) touch() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// closeAll closes what is open, when nothing else is under way any more.
func (r *Registry) closeAll() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.work.Wait()
	r.mu.Lock()
	var open []Device
	for _, e := range r.entries {
		r.endLease(e)
		e.fail(ErrUnplugged)
		if e.device != nil {
			open = append(open, e.device)
			e.device = nil
		}
	}
	r.mu.Unlock()
	for _, device := range open {
		_ = device.Close()
	}
}

func (r *Registry) init() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries == nil {
		r.entries = map[usb.Identity]*entry{}
		r.lists = make([][]usb.Info, len(r.Buses))
		r.changed, r.relist, r.wake = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	}
}

// kick has tend run soon.
func (r *Registry) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// look has the buses listed now. The mutex is held.
func (r *Registry) look() {
	close(r.relist)
	r.relist = make(chan struct{})
}

func (r *Registry) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}
