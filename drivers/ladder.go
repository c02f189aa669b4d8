package drivers

import (
	"context"
	"errors"
	"slices"
	"time"

	"loket/drivers/usb"
)

// Rung is how far the registry has gone to bring a device back.
type Rung string

// The rungs, from the gentlest on. Only a device that hangs or answers wrongly is cleared, reset or switched: one that another
// program holds is that program's, and is asked for again now and then.
const (
	RungRetry     Rung = "retry"      // opened again
	RungClearHalt Rung = "clear-halt" // the halts of its endpoints cleared
	RungReset     Rung = "reset"      // its port reset
	RungPower     Rung = "port-power" // its port switched off and on, where the hub can
	RungGivenUp   Rung = "given-up"   // left alone until it is plugged in anew or a technician tests it
)

const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
	maxCures   = 3                // resets and power cycles of one device in a minute
	calm       = 10 * time.Minute // without a fault: it starts from the first rung again
	ownReplug  = 8 * time.Second  // after a reset or power cycle a new enumeration is taken for its effect
)

// ladder is what was done to bring a device back, and what comes next. The zero value is a device that never failed.
type ladder struct {
	faults  int       // that a cure may help against, since the last good use
	waits   int       // other faults in a row
	last    time.Time // the last fault
	rung    Rung      // of the next try, or of the last one where the device is back
	pending bool      // the rung's cure is not done yet
	next    time.Time // no try before
	cures   []time.Time
}

// step gives the n-th rung, from 1, and how long to wait before.
func step(n int) (Rung, time.Duration) {
	steps := []struct {
		rung Rung
		wait time.Duration
	}{
		{RungRetry, 0}, {RungRetry, firstRetry}, {RungRetry, time.Second},
		{RungClearHalt, 2 * time.Second},
		{RungReset, 4 * time.Second}, {RungReset, 15 * time.Second},
		{RungPower, lastRetry},
	}
	if n > len(steps) {
		return RungGivenUp, 0
	}
	return steps[n-1].rung, steps[n-1].wait
}

// fault climbs a rung after a fault that a cure may help against, and otherwise waits twice as long as before. Without a bus
// that switches ports there is no such rung.
func (l *ladder) fault(now time.Time, curable, power bool) {
	if l.rung != RungGivenUp && now.Sub(l.last) > calm {
		l.faults, l.waits = 0, 0
	}
	l.last = now
	if !curable {
		l.waits++
		l.rung, l.pending = RungRetry, false
		l.next = now.Add(min(firstRetry<<min(l.waits-1, 10), lastRetry))
		return
	}
	l.waits = 0
	l.faults++
	var wait time.Duration
	l.rung, wait = step(l.faults)
	if l.rung == RungPower && !power {
		l.rung = RungGivenUp
	}
	l.next, l.pending = now.Add(wait), true
	if l.rung == RungReset || l.rung == RungPower {
		l.next = later(l.next, l.allowed(now))
	}
}

// allowed gives the time from which another cure would not be one too many.
func (l *ladder) allowed(now time.Time) time.Time {
	l.cures = slices.DeleteFunc(l.cures, func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	if len(l.cures) < maxCures {
		return now
	}
	return l.cures[len(l.cures)-maxCures].Add(time.Minute)
}

// take gives the cure of the try that begins now.
func (l *ladder) take(now time.Time) Rung {
	if !l.pending {
		return RungRetry
	}
	l.pending = false
	if l.rung == RungReset || l.rung == RungPower {
		l.cures = append(l.cures, now)
	}
	return l.rung
}

// restart begins again at the foot, as after a good use. Resets stay counted, so that no way round the ladder makes a storm.
func (l *ladder) restart() { *l = ladder{cures: l.cures} }

// replugged begins again, unless it was a cure that made the device enumerate anew.
func (l *ladder) replugged(now time.Time) {
	if n := len(l.cures); n == 0 || now.Sub(l.cures[n-1]) >= ownReplug {
		l.restart()
	}
}

// due reports whether it is time for a try.
func (l *ladder) due(now time.Time) bool { return l.rung != RungGivenUp && !now.Before(l.next) }

// quiet reports whether the device is opened for the first time or again at once, which is no news to anybody.
func (l *ladder) quiet() bool { return l.faults <= 1 && l.waits == 0 }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// errDark ends a try that switched the port's power: the device comes back by itself.
var errDark = errors.New("the port's power was switched off and on")

// openWith opens a device of a bus after the cure of a rung. A cure that bus, hub or device don't have is passed over.
func openWith(ctx context.Context, bus usb.Bus, id usb.Identity, port string, driver Driver, rung Rung, tap *tap) (Device, error) {
	if p, ok := bus.(usb.PortPower); ok && rung == RungPower {
		if err := p.CyclePower(ctx, port); err == nil {
			return nil, errDark
		}
	}
	raw, err := bus.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	raw = tap.on(raw)
	if err := cure(ctx, raw, rung); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return driver.Open(ctx, raw)
}

// cure does what a rung needs an open device for. A halt that can't be cleared shows when the driver opens the device.
func cure(ctx context.Context, dev usb.Device, rung Rung) error {
	r, ok := dev.(usb.Resetter)
	switch {
	case !ok:
		return nil
	case rung == RungClearHalt:
		layout, err := usb.ParseDescriptors(dev.Descriptors())
		if err != nil {
			return err
		}
		for _, s := range layout.Settings {
			for _, e := range s.Endpoints {
				_ = r.ClearHalt(ctx, e.Address)
			}
		}
	case rung == RungReset, rung == RungPower:
		return r.Reset(ctx)
	}
	return nil
}
