package kiosk

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notify tells systemd, where there is one.
func (d *Daemon) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		d.log.Warn("telling systemd", "state", state, "err", err)
	}
}

// watchdog feeds systemd's watchdog for as long as the daemon can say how it is: a lock that is never given back ends that.
func (d *Daemon) watchdog(ctx context.Context) error {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("reading the watchdog's time: %w (hint: WATCHDOG_USEC)", err)
	}
	d.notify(daemon.SdNotifyReady)
	defer d.notify(daemon.SdNotifyStopping)
	if every == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	tick := time.NewTicker(every / 3)
	defer tick.Stop()
	for {
		_, _ = d.Status()
		d.notify(daemon.SdNotifyWatchdog)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
