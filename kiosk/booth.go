package kiosk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"loket/drivers"
	"loket/kiosk/api"
	"loket/kiosk/biometric/face"
)

const (
	boothOwner    = "booth-test"     // of the lease on the camera; a self-test takes it over
	boothLimit    = 20 * time.Second // of one look at the booth, with opening the camera
	boothUnseen   = time.Minute      // until the next look where nothing could be judged
	boothUnmended = 5 * time.Minute  // and where something is wrong
	clockLook     = time.Minute      // how often the clock is looked at: it may be set meanwhile
	lightSettles  = 5                // frames that a camera may take to set its exposure
)

// dayClock is a time of day: hours and minutes since midnight.
type dayClock struct {
	hour, minute int
	on           bool
}

// parseDayStart reads "07:30", or "off".
func parseDayStart(text string) (dayClock, error) {
	if text == "" || text == "off" {
		return dayClock{}, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return dayClock{}, fmt.Errorf("%q is no time of day (hint: 07:30, or off)", text)
	}
	return dayClock{hour: t.Hour(), minute: t.Minute(), on: true}, nil
}

// of gives that time on the day of t, in t's zone, and of the day after where days is 1.
func (c dayClock) of(t time.Time, days int) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day()+days, c.hour, c.minute, 0, 0, t.Location())
}

// dayStart looks at the empty booth when the day starts, or when the station does where that is later, and then from time to time
// until all is well, until ctx ends. A session is never disturbed: the booth waits for its end.
func (d *Daemon) dayStart(ctx context.Context) error {
	clock, err := parseDayStart(d.Config.DayStart)
	if err != nil {
		return fmt.Errorf("day_start: %w", err)
	}
	if !clock.on {
		<-ctx.Done()
		return ctx.Err()
	}
	due := clock.of(d.now(), 0)
	for d.waitUntil(ctx, due) && d.waitIdle(ctx) {
		booth, err := d.lookAtBooth(ctx)
		if err == nil {
			d.found(booth)
		}
		due = clock.next(d.now(), booth)
	}
	return ctx.Err()
}

// noLiveView is why a booth can't be judged that no later look will change.
const noLiveView = "the camera has no live view"

// next is when the booth is looked at again.
func (c dayClock) next(now time.Time, b api.Booth) time.Time {
	switch today := c.of(now, 0); {
	case b.State == api.BoothFailed:
		return now.Add(boothUnmended)
	case b.State != api.BoothPassed && b.Detail != noLiveView:
		return now.Add(boothUnseen)
	case today.After(now):
		return today
	}
	return c.of(now, 1)
}

// waitUntil waits for a time of the wall clock. False where ctx ends first.
func (d *Daemon) waitUntil(ctx context.Context, due time.Time) bool {
	for ctx.Err() == nil {
		left := due.Sub(d.now())
		if left <= 0 {
			return true
		}
		sleep(ctx, min(left, clockLook))
	}
	return false
}

// waitIdle waits until nobody is served and no device tests itself. False where ctx ends first.
func (d *Daemon) waitIdle(ctx context.Context) bool {
	for ctx.Err() == nil {
		d.mu.Lock()
		idle, changed := d.idle(), d.changed
		d.mu.Unlock()
		if idle {
			return true
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
	return false
}

// idle: nobody is served. The mutex is held.
func (d *Daemon) idle() bool { return d.cur == nil && !d.starting && d.testing == 0 }

// errServed ends a look at the booth because a session begins.
var errServed = errors.New("somebody is served")

func (d *Daemon) unserved() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.idle() {
		return errServed
	}
	return nil
}

// lookAtBooth judges the empty booth in the camera's live view. No frame is kept. What ends it without a result is the error; what
// keeps the camera from showing anything is told in the booth.
func (d *Daemon) lookAtBooth(ctx context.Context) (api.Booth, error) {
	limited, cancel := context.WithTimeout(ctx, boothLimit)
	defer cancel()
	lease, err := d.anyCamera(limited)
	if err != nil {
		return d.unjudged("no camera can be used: " + err.Error()), ctx.Err()
	}
	lease.Hold(limited)
	camera, ok := lease.Device.(drivers.Camera)
	if !ok {
		lease.Release(nil)
		return d.unjudged(noLiveView), nil
	}
	booth, err := d.testLight(limited, camera, d.unserved)
	lease.Release(err)
	switch {
	case errors.Is(err, errServed):
		return api.Booth{}, err
	case err != nil:
		return d.unjudged(err.Error()), ctx.Err()
	}
	return booth, nil
}

// anyCamera waits for a camera that works, until ctx ends: a station that starts has not seen its own yet.
func (d *Daemon) anyCamera(ctx context.Context) (*drivers.Lease, error) {
	for {
		changed := d.registry.Changed()
		lease, err := d.registry.Lease(ctx, drivers.KindCamera, boothOwner)
		if err == nil {
			return lease, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-changed:
		}
	}
}

func (d *Daemon) unjudged(why string) api.Booth {
	return api.Booth{State: api.BoothNotAvailable, At: d.now(), Detail: why}
}

// testLight judges light and background in the live view. While somebody stands there it can't. It ends where stop gives an error.
func (d *Daemon) testLight(ctx context.Context, camera drivers.Camera, stop func() error) (booth api.Booth, err error) {
	enough := errors.New("enough frames")
	var judged error
	frames := 0
	err = camera.Frames(ctx, func(f drivers.Frame) error {
		if err := stop(); err != nil {
			return err
		}
		if frames++; frames < lightSettles {
			return nil
		}
		booth, judged = d.judgeLight(f.JPEG)
		return enough
	})
	switch {
	case errors.Is(err, enough):
		return booth, judged
	case errors.Is(err, errors.ErrUnsupported):
		return d.unjudged(noLiveView), nil
	}
	return api.Booth{}, err
}

func (d *Daemon) judgeLight(jpeg []byte) (api.Booth, error) {
	if d.acquirer != nil && d.acquirer.Face != nil {
		if report, err := d.acquirer.Face.Analyse(jpeg, face.Want{}); err == nil && len(report.Faces) > 0 {
			return d.unjudged("somebody stands before the camera"), nil
		}
	}
	checks, err := face.Booth(jpeg)
	if err != nil {
		return api.Booth{}, err
	}
	booth := api.Booth{State: api.BoothPassed, At: d.now()}
	for _, c := range checks {
		booth.Checks = append(booth.Checks, api.Check(c))
		if !c.Passed {
			booth.State = api.BoothFailed
		}
	}
	return booth, nil
}

// found notes how the booth is. What was found wrong stays until it is seen to be right.
func (d *Daemon) found(b api.Booth) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := ""
	if d.booth != nil {
		before = d.booth.State
	}
	if before == api.BoothFailed && b.State == api.BoothNotAvailable {
		return
	}
	if b.State != before {
		d.logBooth(b)
	}
	d.booth = &b
	d.touch()
}

func (d *Daemon) logBooth(b api.Booth) {
	for _, w := range boothWarnings(&b) {
		d.log.Warn("light", "code", w.Code, "detail", w.Text)
	}
	d.log.Info("light", "state", b.State, "detail", b.Detail)
}

// boothJudged is when the booth was judged last, in seconds since 1970.
func (d *Daemon) boothJudged() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.booth == nil || d.booth.State == api.BoothNotAvailable {
		return 0
	}
	return float64(d.booth.At.Unix())
}

// boothFailed counts the checks of light and background that failed.
func (d *Daemon) boothFailed() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return float64(len(boothWarnings(d.booth)))
}

// boothWarnings are what a booth that failed needs.
func boothWarnings(b *api.Booth) []api.Warning {
	if b == nil {
		return nil
	}
	var list []api.Warning
	for _, c := range b.Checks {
		if c.Passed {
			continue
		}
		w := boothWarning(c.Name)
		w.Text = c.Detail
		list = append(list, w)
	}
	return list
}

// boothWarning gives code and next steps of a check that failed.
func boothWarning(check string) api.Warning {
	const again = "; it is looked at again by itself, or by kioskctl self-test camera"
	switch check {
	case face.CheckLamps:
		return api.Warning{Code: "booth-lamps", Hint: "replace the lamp, or clean the lens, or mend the camera's exposure" + again,
			StaffHint: "see whether all lamps of the booth are on and nothing covers the lens; if that does not help, send people to another place and call a technician"}
	case face.CheckSides:
		return api.Warning{Code: "booth-sides", Hint: "replace the lamp on the darker side, or turn the booth away from the window" + again,
			StaffHint: "draw the curtain of the window beside the booth and see whether the lamps on both sides are on"}
	}
	return api.Warning{Code: "booth-background", Hint: "clear the wall behind the person's place, and light it evenly" + again,
		StaffHint: "take away what stands or hangs behind the person's place"}
}
