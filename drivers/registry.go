package drivers

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
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
	StateFaulted   State = "faulted"   // on the bus and not usable: Verdict says why
	StateUnplugged State = "unplugged" // seen before, not on any bus now
)

// Status is one device as technicians see it.
type Status struct {
	Identity usb.Identity `json:"identity"`
	Kind     Kind         `json:"kind"`
	State    State        `json:"state"`
	Verdict  string       `json:"verdict,omitempty"` // one of the five faults, as [Verdict] names them
	Detail   string       `json:"detail,omitempty"`  // the error behind the verdict
	Owner    string       `json:"owner,omitempty"`   // who holds the lease
	Since    time.Time    `json:"since"`             // of State
	Info     Info         `json:"info"`              // as far as it is known
}

// Registry knows every device of a station: it watches the buses, opens what a driver matches, leases devices to one owner
// at a time, and brings back what failed. The zero value needs Buses and Drivers.
type Registry struct {
	Buses   []usb.Bus
	Drivers []Driver
	Log     *slog.Logger
	Poll    time.Duration // how often buses are listed; 500 ms where zero
	Now     func() time.Time

	mu      sync.Mutex
	entries map[usb.Identity]*entry
	changed chan struct{}
	wake    chan struct{}
	opening sync.WaitGroup
}

// entry is one device that was seen at least once. Its fields are guarded by the registry's mutex.
type entry struct {
	info    usb.Info
	bus     usb.Bus
	driver  Driver
	device  Device
	status  Status
	lease   *Lease
	present bool
	tries   int
	nextTry time.Time
}

const (
	openLimit  = 5 * time.Second
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Run watches the buses until ctx ends and then closes every device.
func (r *Registry) Run(ctx context.Context) error {
	r.init()
	defer r.closeAll()
	poll := time.NewTicker(cmp.Or(r.Poll, 500*time.Millisecond))
	defer poll.Stop()
	for {
		r.scan(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		case <-r.wake:
		}
	}
}

// List returns what the registry knows, in the order of identities.
func (r *Registry) List() []Status {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Status, 0, len(r.entries))
	for _, e := range r.entries {
		list = append(list, e.status)
	}
	slices.SortFunc(list, func(a, b Status) int { return cmp.Compare(a.Identity.String(), b.Identity.String()) })
	return list
}

// Changed returns a channel that is closed at the next change of [Registry.List].
func (r *Registry) Changed() <-chan struct{} {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Lease is the right of one owner to use one device.
type Lease struct {
	Device Device
	Owner  string

	registry *Registry
	entry    *entry
}

// Lease gives owner a ready device of that kind. Where there is none it waits until ctx ends for one that is being opened,
// and otherwise returns the fault of the device that comes closest.
func (r *Registry) Lease(ctx context.Context, kind Kind, owner string) (*Lease, error) {
	for {
		changed := r.Changed()
		lease, wait, err := r.tryLease(kind, owner)
		if err == nil || !wait {
			return lease, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-changed:
		}
	}
}

// tryLease returns a lease, or why there is none now and whether waiting may help.
func (r *Registry) tryLease(kind Kind, owner string) (lease *Lease, wait bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err = fmt.Errorf("leasing a %s: %w: none was seen", kind, ErrUnplugged)
	for _, e := range r.entries {
		if e.driver.Kind != kind {
			continue
		}
		switch e.status.State {
		case StateReady:
			e.lease = &Lease{Device: e.device, Owner: owner, registry: r, entry: e}
			e.status.Owner = owner
			r.setState(e, StateLeased, nil)
			return e.lease, false, nil
		case StateLeased:
			err = fmt.Errorf("leasing the %s: %w: in use by %s", kind, ErrHeld, e.status.Owner)
		case StateOpening:
			wait = true
		case StateFaulted, StateUnplugged:
			if !wait {
				err = fmt.Errorf("leasing the %s: %w", kind, faultOf(e.status))
			}
		}
	}
	return nil, wait, err
}

// faultOf gives the sentinel error behind a status.
func faultOf(s Status) error {
	for _, f := range []error{ErrOff, ErrUnplugged, ErrHung, ErrCrashed, ErrHeld} {
		if Verdict(f) == s.Verdict {
			return f
		}
	}
	return ErrUnplugged
}

// Release gives the device back. err is how its last use ended: a fault closes the device, and the registry opens it anew.
// The second Release does nothing.
func (l *Lease) Release(err error) {
	r := l.registry
	r.mu.Lock()
	if l.entry.lease != l {
		r.mu.Unlock()
		return
	}
	var broken Device
	if Verdict(err) != "" {
		broken = r.fault(l.entry, err)
	} else {
		l.entry.lease, l.entry.status.Owner = nil, ""
		r.setState(l.entry, StateReady, nil)
	}
	r.mu.Unlock()
	if broken != nil {
		_ = broken.Close()
		r.kick()
	}
}

// fault takes an entry out of use and returns its device for closing. The first new try comes at once.
func (r *Registry) fault(e *entry, err error) Device {
	device := e.device
	e.device, e.lease, e.status.Owner = nil, nil, ""
	if e.present {
		r.setState(e, StateFaulted, err)
	} else {
		r.setState(e, StateUnplugged, ErrUnplugged)
	}
	return device
}

// setState writes the state and tells those who wait for a change. The mutex is held.
func (r *Registry) setState(e *entry, s State, err error) {
	detail := ""
	if err != nil {
		detail = err.Error()
	}
	if e.status.State == s && e.status.Detail == detail {
		return
	}
	e.status.State, e.status.Verdict, e.status.Detail = s, Verdict(err), detail
	e.status.Since = r.now()
	close(r.changed)
	r.changed = make(chan struct{})
	if r.Log != nil {
		r.Log.Info("device", "identity", e.status.Identity.String(), "kind", e.status.Kind, "state", s, "verdict", e.status.Verdict, "detail", detail)
	}
}

// scan lists the buses once, opens what is new or due for another try and closes what has gone.
func (r *Registry) scan(ctx context.Context) {
	seen := map[usb.Identity]bool{}
	for _, bus := range r.Buses {
		infos, err := bus.Devices(ctx)
		if err != nil && r.Log != nil {
			r.Log.Debug("listing a bus", "err", err)
		}
		for _, info := range infos {
			if driver, ok := r.match(info); ok && !seen[info.Identity()] {
				seen[info.Identity()] = true
				r.see(ctx, bus, info, driver)
			}
		}
	}
	r.dropMissing(seen)
}

func (r *Registry) match(info usb.Info) (Driver, bool) {
	i := slices.IndexFunc(r.Drivers, func(d Driver) bool { return d.Match(info) })
	if i < 0 {
		return Driver{}, false
	}
	return r.Drivers[i], true
}

// see notes that a device is on a bus and opens it where that is due.
func (r *Registry) see(ctx context.Context, bus usb.Bus, info usb.Info, driver Driver) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := info.Identity()
	e := r.entries[id]
	if e == nil {
		e = &entry{status: Status{Identity: id, Kind: driver.Kind, Info: Info{USB: info, Driver: driver.Name, Kind: driver.Kind,
			Vendor: info.Manufacturer, Model: info.ProductName, Serial: info.Serial, Simulated: info.Simulated()}}}
		r.entries[id] = e
	}
	if !e.present {
		e.tries, e.nextTry = 0, time.Time{}
	}
	e.bus, e.info, e.driver, e.present = bus, info, driver, true
	if e.device != nil || e.status.State == StateOpening || r.now().Before(e.nextTry) {
		return
	}
	r.setState(e, StateOpening, nil)
	r.opening.Go(func() { r.open(ctx, e, bus, info.Identity(), driver) })
}

// open opens one device; it runs beside the scan because a sick device may take its time.
func (r *Registry) open(ctx context.Context, e *entry, bus usb.Bus, id usb.Identity, driver Driver) {
	octx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	raw, err := bus.Open(octx, id)
	var device Device
	if err == nil {
		device, err = driver.Open(octx, raw)
	}
	if ctx.Err() != nil {
		if device != nil {
			_ = device.Close()
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		e.tries++
		e.nextTry = r.now().Add(min(firstRetry<<min(e.tries-1, 10), lastRetry))
		r.setState(e, StateFaulted, Fault(ctx, "opening", err))
		return
	}
	e.tries, e.device, e.status.Info = 0, device, device.Info()
	r.setState(e, StateReady, nil)
}

// dropMissing marks what no bus lists any more. A bus that can't be listed has no devices: its own trouble is told by them.
func (r *Registry) dropMissing(seen map[usb.Identity]bool) {
	var gone []Device
	r.mu.Lock()
	for id, e := range r.entries {
		if seen[id] || !e.present || e.status.State == StateOpening {
			continue
		}
		e.present = false
		if d := r.fault(e, ErrUnplugged); d != nil {
			gone = append(gone, d)
		}
	}
	r.mu.Unlock()
	for _, d := range gone {
		_ = d.Close()
	}
}

func (r *Registry) closeAll() {
	r.opening.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if e.device != nil {
			_ = e.device.Close()
			e.device = nil
		}
	}
}

func (r *Registry) init() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries == nil {
		r.entries = map[usb.Identity]*entry{}
		r.changed = make(chan struct{})
		r.wake = make(chan struct{}, 1)
	}
}

func (r *Registry) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Registry) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// Missing returns, for each wanted kind without a device that is ready or in use, the fault that explains it.
func (r *Registry) Missing(want []Kind) map[Kind]error {
	missing := map[Kind]error{}
	for _, kind := range want {
		missing[kind] = ErrUnplugged
	}
	for _, s := range r.List() {
		switch {
		case s.State == StateReady, s.State == StateLeased, s.State == StateOpening:
			delete(missing, s.Kind)
		case missing[s.Kind] != nil:
			missing[s.Kind] = faultOf(s)
		}
	}
	return missing
}
