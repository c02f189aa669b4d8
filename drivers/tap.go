package drivers

import (
	"errors"
	"fmt"

	"loket/drivers/usb"
)

// ErrTapped says that what runs over a device goes through somebody else's hands already.
var ErrTapped = errors.New("device is tapped already")

// tap is what the transfers of one device go through.
type tap struct {
	wrap func(usb.Device) usb.Device
}

// on wraps a device where there is a tap.
func (t *tap) on(dev usb.Device) usb.Device {
	if t == nil {
		return dev
	}
	return t.wrap(dev)
}

// Tap has all that runs over a device go through what wrap makes of it, from its next opening on. It brings that opening about:
// a device that is open is closed and opened anew, one that failed is tried at once and from the foot of the ladder. token is
// that of the lease that may be ended for it; 0 for none. The tap lasts over later openings until untap is called, which leaves
// the device that is open as it is. Errors: [usb.ErrNotFound], [ErrTapped], a [*HeldError].
func (r *Registry) Tap(id usb.Identity, token uint64, wrap func(usb.Device) usb.Device) (untap func(), err error) {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[id]
	switch {
	case e == nil:
		err = usb.ErrNotFound
	case e.tap != nil:
		err = ErrTapped
	case e.heir != nil, e.lease != nil && e.lease.Token != token:
		err = faultOf(e)
	}
	if err != nil {
		return nil, fmt.Errorf("tapping %s: %w", id, err)
	}
	t := &tap{wrap: wrap}
	e.tap = t
	r.reopen(e)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if e.tap == t {
			e.tap = nil
		}
	}, nil
}

// reopen closes a device that is open, and has it opened at once. The mutex is held.
func (r *Registry) reopen(e *entry) {
	if !e.present {
		return
	}
	r.drop(e)
	if e.status.State == StateFaulted {
		e.ladder.restart()
	}
	e.ladder.next = r.now()
	r.set(e, StateOpening, nil)
	r.kick()
}
