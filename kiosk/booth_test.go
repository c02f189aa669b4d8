package kiosk

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/ptp"
	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
	"loket/firmware-sim/ptpcam"
	"loket/kiosk/acquire"
	"loket/kiosk/api"
	"loket/kiosk/biometric/face"
)

// wall is an empty booth whose light goes evenly from one grey level at the left to another at the right.
func wall(t *testing.T, left, right int) ptpcam.Scene {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 320, 180))
	for y := range 180 {
		for x := range 320 {
			img.SetGray(x, y, color.Gray{Y: uint8(left + (right-left)*x/320)})
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, nil); err != nil {
		t.Fatal(err)
	}
	return ptpcam.Scene{Still: out.Bytes(), Frames: [][]byte{out.Bytes()}}
}

// passer is an analyser that sees a face where somebody stands.
type passer struct{ there atomic.Bool }

func (p *passer) Analyse([]byte, face.Want) (face.Report, error) {
	if !p.there.Load() {
		return face.Report{}, nil
	}
	return face.Report{Faces: make([]face.Face, 1)}, nil
}

// morning is a station's day with one camera, which begins at midnight.
type morning struct {
	*testing.T
	*Daemon
	camera *ptpcam.Device
	bus    *usbtest.Bus
	passer *passer
	log    *bytes.Buffer
}

// onMorning runs a daemon's registry and its look at the booth inside a bubble.
func onMorning(t *testing.T, dayStart string, test func(m *morning)) {
	synctest.Test(t, func(t *testing.T) {
		m := &morning{T: t, camera: ptpcam.New(ptpcam.Options{Serial: "SIM-1"}), passer: &passer{}, log: &bytes.Buffer{}}
		m.camera.Show(wall(t, 190, 190))
		m.bus = usbtest.Attach(m.camera)
		m.Daemon = &Daemon{log: slog.New(slog.NewTextHandler(m.log, nil)), changed: make(chan struct{}),
			Config:   Config{DayStart: dayStart},
			acquirer: &acquire.Acquirer{Face: m.passer},
			registry: &drivers.Registry{Poll: 5 * time.Second, Buses: []usb.Bus{m.bus}, Drivers: []drivers.Driver{ptp.Driver()}}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		for _, run := range []func(context.Context) error{m.registry.Run, m.dayStart} {
			go func() { ended <- run(ctx) }()
		}
		defer func() {
			cancel()
			for range 2 {
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v", err)
				}
			}
		}()
		test(m)
	})
}

// at waits until a time of the first day.
func (m *morning) at(hour, minute int) {
	now := time.Now()
	time.Sleep(time.Date(now.Year(), now.Month(), now.Day(), hour, minute, 10, 0, now.Location()).Sub(now))
}

// standing gives how the booth was found last, with the codes of the warnings.
func (m *morning) standing() (state, codes string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Daemon.booth != nil {
		state = m.Daemon.booth.State
	}
	var list []string
	for _, w := range boothWarnings(m.Daemon.booth) {
		if w.Text == "" || w.Hint == "" || w.StaffHint == "" {
			m.Errorf("a warning lacks words: %+v", w)
		}
		list = append(list, w.Code)
	}
	slices.Sort(list)
	return state, strings.Join(list, " ")
}

func (m *morning) expect(state, codes string) {
	m.Helper()
	if s, c := m.standing(); s != state || c != codes {
		m.Errorf("at %s the booth is %q with %q, not %q with %q", time.Now().Format(time.TimeOnly), s, c, state, codes)
	}
	if s := m.registry.List(); len(s) == 1 && s[0].Owner != "" {
		m.Errorf("the camera is still held by %s", s[0].Owner)
	}
}

func TestTheBoothIsLookedAtWhenTheDayStarts(t *testing.T) {
	onMorning(t, "07:30", func(m *morning) {
		m.at(7, 29)
		m.expect("", "")
		m.camera.Show(wall(t, 30, 30)) // the lamps are out
		m.at(7, 30)
		m.expect(api.BoothFailed, "booth-lamps")
		if got := strings.Count(m.log.String(), "code=booth-lamps"); got != 1 {
			t.Errorf("the log says it %d times: %s", got, m.log)
		}
		m.camera.Show(wall(t, 190, 190)) // mended
		m.at(7, 34)
		m.expect(api.BoothFailed, "booth-lamps")
		m.at(7, 36)
		m.expect(api.BoothPassed, "")
		m.camera.Show(wall(t, 220, 140)) // the sun comes round: that is the next day's to find
		m.at(23, 59)
		m.expect(api.BoothPassed, "")
		time.Sleep(7*time.Hour + 31*time.Minute)
		m.expect(api.BoothFailed, "booth-background booth-sides")
	})
}

func TestAStationThatStartsLaterLooksAtOnce(t *testing.T) {
	onMorning(t, "00:00", func(m *morning) {
		time.Sleep(2 * time.Minute)
		m.expect(api.BoothPassed, "")
	})
}

func TestTheBoothIsNeverLookedAtWhereThatIsOff(t *testing.T) {
	onMorning(t, "off", func(m *morning) {
		m.at(23, 0)
		m.expect("", "")
	})
}

func TestTheBoothWaitsForTheEndOfASession(t *testing.T) {
	serve := func(m *morning, r *running) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.cur = r
		m.touch()
	}
	onMorning(t, "07:30", func(m *morning) {
		serve(m, &running{})
		m.at(8, 0)
		m.expect("", "")
		if _, err := m.lookAtBooth(m.Context()); !errors.Is(err, errServed) {
			t.Errorf("a look during a session gives %v", err)
		}
		m.expect("", "") // and the camera is free
		serve(m, nil)
		time.Sleep(5 * time.Second)
		m.expect(api.BoothPassed, "")
	})
}

func TestWhatCantBeJudgedIsSaidAndLookedAtAgain(t *testing.T) {
	onMorning(t, "07:30", func(m *morning) {
		m.passer.there.Store(true)
		m.at(7, 30)
		m.expect(api.BoothNotAvailable, "")
		m.passer.there.Store(false)
		m.camera.Show(wall(t, 30, 30))
		m.at(7, 32)
		m.expect(api.BoothFailed, "booth-lamps")
		m.passer.there.Store(true)
		m.at(8, 0)
		m.expect(api.BoothFailed, "booth-lamps") // it is still wrong for all that is known
	})
	onMorning(t, "07:30", func(m *morning) {
		m.bus.Unplug(m.camera)
		m.at(7, 31)
		m.expect(api.BoothNotAvailable, "")
		m.bus.Plug(m.camera)
		m.at(7, 33)
		m.expect(api.BoothPassed, "")
	})
}

func TestATechniciansSelfTestTellsHowTheBoothIs(t *testing.T) {
	onMorning(t, "07:30", func(m *morning) {
		m.camera.Show(wall(t, 30, 30))
		m.at(7, 30)
		m.expect(api.BoothFailed, "booth-lamps")
		m.camera.Show(wall(t, 190, 190))
		reply, err := m.selfTest(m.Context(), m.registry.List()[0].Identity.String())
		if result := tested(t, reply, err); !result.Passed {
			t.Errorf("the self-test gave %+v", result)
		}
		m.expect(api.BoothPassed, "")
	})
}

func TestWhenTheBoothIsLookedAtAgain(t *testing.T) {
	clock := dayClock{hour: 7, minute: 30, on: true}
	day := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		at    time.Duration
		booth api.Booth
		want  time.Duration
	}{
		{8 * time.Hour, api.Booth{State: api.BoothPassed}, 31*time.Hour + 30*time.Minute},
		{7 * time.Hour, api.Booth{State: api.BoothPassed}, 7*time.Hour + 30*time.Minute}, // by a technician, before the day
		{8 * time.Hour, api.Booth{State: api.BoothFailed}, 8*time.Hour + 5*time.Minute},
		{8 * time.Hour, api.Booth{State: api.BoothNotAvailable, Detail: "somebody stands there"}, 8*time.Hour + time.Minute},
		{8 * time.Hour, api.Booth{State: api.BoothNotAvailable, Detail: noLiveView}, 31*time.Hour + 30*time.Minute},
		{8 * time.Hour, api.Booth{}, 8*time.Hour + time.Minute}, // a session came in between
	} {
		if got := clock.next(day.Add(c.at), c.booth); !got.Equal(day.Add(c.want)) {
			t.Errorf("after %v and %+v the next look is at %v", c.at, c.booth, got)
		}
	}
}
