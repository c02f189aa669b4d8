package drivers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"loket/drivers/usb"
)

const (
	relistAfter   = 100 * time.Millisecond // a list that failed, or while a device is expected back
	expectedBack  = time.Minute            // a device that was unplugged
	forgetUnnamed = 10 * time.Minute       // an unplugged device without serial number
	forgetNamed   = 24 * time.Hour         // one with
	maxAbsent     = 64                     // unplugged devices that are known at a time
)

// place is where a device is attached, until it enumerates anew.
type place struct {
	bus     int // of the registry's
	port    string
	address uint32
}

// sighting is one device that a bus lists and a driver takes.
type sighting struct {
	place
	info   usb.Info
	driver Driver
}

// watch lists one bus until ctx ends. A list that fails is asked for again before it counts: a bus that can't be listed twice
// has no devices, for they are of no use then.
func (r *Registry) watch(ctx context.Context, bus int) {
	failed := 0
	for ctx.Err() == nil {
		r.mu.Lock()
		relist := r.relist
		r.mu.Unlock()
		infos, err := r.Buses[bus].Devices(ctx)
		wait := r.poll()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failed = 0
			if r.listed(bus, infos) {
				wait = min(wait, relistAfter)
			}
		default:
			if failed++; failed == 1 {
				wait = min(wait, relistAfter)
			} else {
				r.listed(bus, nil)
			}
			if failed == 2 && r.Log != nil {
				r.Log.Warn("a bus can't be listed", "bus", bus, "err", err)
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-relist:
		}
		timer.Stop()
	}
}

// listed takes what a bus lists now, and what follows from that for every device. It reports whether one is expected back.
func (r *Registry) listed(bus int, infos []usb.Info) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lists[bus] = infos
	now := r.now()
	seen := r.sightings()
	for id, e := range r.entries {
		if e.present && seen[id] == nil {
			r.vanish(e, now)
		}
	}
	for id, list := range seen {
		r.appear(id, list, now)
	}
	r.forget(now)
	r.kick()
	for _, e := range r.entries {
		if !e.present && now.Sub(e.gone) < expectedBack {
			return true
		}
	}
	return false
}

// sightings gives what all buses list, by identity and in the order of the buses.
func (r *Registry) sightings() map[usb.Identity][]sighting {
	seen := map[usb.Identity][]sighting{}
	for bus, infos := range r.lists {
		for _, info := range infos {
			if driver, ok := r.match(info); ok {
				id := info.Identity()
				seen[id] = append(seen[id], sighting{place{bus, info.Port, info.Address}, info, driver})
			}
		}
	}
	return seen
}

func (r *Registry) match(info usb.Info) (Driver, bool) {
	i := slices.IndexFunc(r.Drivers, func(d Driver) bool { return d.Match(info) })
	if i < 0 {
		return Driver{}, false
	}
	return r.Drivers[i], true
}

// appear notes that a device is on a bus. The mutex is held.
func (r *Registry) appear(id usb.Identity, list []sighting, now time.Time) {
	e := r.entries[id]
	if e == nil {
		e = &entry{first: now, status: Status{Identity: id}}
		r.entries[id] = e
	}
	s := choose(e, list)
	before := e.status
	e.status.Also = elsewhere(s, list)
	if e.present && e.at == s.place {
		r.tell(e, before)
		return
	}
	if e.present { // plugged in anew between two looks, or seen elsewhere now
		r.leave(e)
	}
	e.present, e.at, e.driver = true, s.place, s.driver
	e.ladder.replugged(now)
	e.status.Kind = s.driver.Kind
	e.status.Info = Info{USB: s.info, Driver: s.driver.Name, Kind: s.driver.Kind, Vendor: s.info.Manufacturer, Model: s.info.ProductName,
		Serial: s.info.Serial, Simulated: s.info.Simulated()}
	if e.ladder.quiet() {
		r.set(e, StateOpening, nil)
	} else {
		r.tell(e, before)
	}
}

// choose tells which of several devices of one identity is used: the one that is, else the one at the same port, else the first.
func choose(e *entry, list []sighting) sighting {
	if e.present {
		for _, s := range list {
			if s.place == e.at {
				return s
			}
		}
		for _, s := range list {
			if s.bus == e.at.bus && s.port == e.at.port {
				return s
			}
		}
	}
	return list[0]
}

// elsewhere names the places of a device that are not used.
func elsewhere(used sighting, list []sighting) []string {
	var also []string
	for _, s := range list {
		if s.place != used.place {
			also = append(also, fmt.Sprintf("%s %s", s.info.Bus, s.info.Port))
		}
	}
	return also
}

// leave ends what is under way with a device that is not where it was. The mutex is held.
func (r *Registry) leave(e *entry) {
	if e.cancel != nil {
		e.cancel()
	}
	r.drop(e)
}

// vanish notes that no bus lists a device any more. The mutex is held.
func (r *Registry) vanish(e *entry, now time.Time) {
	e.present, e.gone, e.status.Also = false, now, nil
	r.leave(e)
	e.fail(ErrUnplugged)
	r.set(e, StateUnplugged, ErrUnplugged)
	if p, ok := r.Buses[e.at.bus].(usb.PortPower); ok && !r.stopped {
		r.work.Go(func() { r.askPower(p, e) })
	}
}

// askPower finds out whether a device is off rather than unplugged. Only its hub can tell.
func (r *Registry) askPower(p usb.PortPower, e *entry) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r.mu.Lock()
	at := e.at
	r.mu.Unlock()
	powered, err := p.Powered(ctx, at.port)
	if err != nil || powered {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !e.present && e.at == at {
		r.set(e, StateUnplugged, fmt.Errorf("%w: its port has no power", ErrOff))
	}
}

// forget drops unplugged devices that nobody misses. A device without serial number is known by its port, so one that was plugged in
// elsewhere, or whose serial number could not be read while another program used it, left an entry behind that nothing
// will ever fill: it is dropped when such a device appears, new, without a serial number or in its own port. One
// that was just taken away is dropped after a while, and those that left first where there are very many: one device can call
// itself another each time it is seen. The mutex is held.
func (r *Registry) forget(now time.Time) {
	var absent []*entry
	for id, e := range r.entries {
		if e.present || e.busy {
			continue
		}
		away := now.Sub(e.gone)
		if id.Serial != "" && away < forgetNamed || id.Serial == "" && away < forgetUnnamed && !r.succeeded(e) {
			absent = append(absent, e)
			continue
		}
		r.remove(id)
	}
	if len(absent) <= maxAbsent {
		return
	}
	slices.SortFunc(absent, func(a, b *entry) int { return b.gone.Compare(a.gone) })
	for _, e := range absent[maxAbsent:] {
		r.remove(e.status.Identity)
	}
}

// remove drops an entry. The mutex is held.
func (r *Registry) remove(id usb.Identity) {
	delete(r.entries, id)
	r.touch()
	if r.Log != nil {
		r.Log.Info("device forgotten", "identity", id.String())
	}
}

// succeeded reports whether another entry is what a device without serial number became.
func (r *Registry) succeeded(old *entry) bool {
	id := old.status.Identity
	for other, e := range r.entries {
		like := other.Vendor == id.Vendor && other.Product == id.Product && e != old && e.present && !e.first.Before(old.gone)
		if like && (other.Serial == "" || e.at.bus == old.at.bus && e.at.port == old.at.port) {
			return true
		}
	}
	return false
}
