package nb1010

import (
	"bytes"
	"context"
	"image"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"loket/drivers"
	"loket/drivers/driverstest"
	"loket/drivers/usb/usbtest"
	sim "loket/firmware-sim/nb1010"
	"loket/kiosk/biometric"
)

var rightIndex = []biometric.FingerPosition{biometric.RightIndex}

// print is a picture in which no two lines are alike.
func print(seed uint64) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, width, height))
	r := rand.New(rand.NewPCG(seed, 2))
	for i := range m.Pix {
		m.Pix[i] = uint8(r.Uint32())
	}
	return m
}

// person stands before a sensor: puts a finger there when asked and lifts it when told to, unless she has left.
type person struct {
	sensor *sim.Device
	finger *image.Gray
	left   bool
}

func (p *person) come() { p.left = false; p.sensor.Lift() }

func (p *person) leave() { p.left = true; p.sensor.Lift() }

func (p *person) follow(now drivers.Progress) {
	switch {
	case now.Hint == biometric.HintLiftNow:
		p.sensor.Lift()
	case now.Hint == biometric.HintPlace && !p.left:
		p.sensor.Present(sim.Presentation{Image: p.finger})
	}
}

func TestDriverPassesTheSuite(t *testing.T) {
	finger := print(1)
	var p person // who stands before the sensor that was made last
	driverstest.Run(t, driverstest.Config{
		Driver: Driver(),
		New: func() driverstest.Subject {
			p = person{sensor: sim.New(sim.Options{}), finger: finger}
			return driverstest.Subject{Gadget: p.sensor, Present: p.come, Leave: p.leave}
		},
		Capture: func(ctx context.Context, dev drivers.Device) (drivers.Image, error) {
			return dev.(drivers.FingerprintScanner).Capture(ctx, rightIndex, p.follow)
		},
		Reference:  reference(finger),
		NoChecksum: true,
		NoSerial:   true,
	})
}

func reference(finger *image.Gray) drivers.Image {
	return drivers.Image{Gray: finger, PPI: 385, PAD: biometric.PAD{Result: biometric.PADNotAvailable}}
}

// attach opens a sensor in process.
func attach(t *testing.T) (*sim.Device, *sensor) {
	t.Helper()
	d := sim.New(sim.Options{})
	dev := driverstest.OpenOn(t, Driver(), usbtest.Attach(d))
	return d, dev.(*sensor)
}

func TestSameFingerIsNotCapturedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dev := attach(t)
		defer dev.Close()
		d.Present(sim.Presentation{Image: print(1)})
		if _, err := dev.Capture(t.Context(), rightIndex, nil); err != nil {
			t.Fatal(err)
		}
		if !d.Guidance().Lift {
			t.Error("nobody says that the finger may leave")
		}
		p := person{sensor: d, finger: print(2)}
		var hints []biometric.Hint
		img, err := dev.Capture(t.Context(), rightIndex, func(now drivers.Progress) {
			if n := len(hints); n == 0 || hints[n-1] != now.Hint {
				hints = append(hints, now.Hint)
			}
			p.follow(now)
		})
		want := []biometric.Hint{biometric.HintLiftNow, biometric.HintPlace, biometric.HintHoldStill, biometric.HintPresentationOK}
		if err != nil || !slices.Equal(hints, want) || !bytes.Equal(img.Gray.Pix, p.finger.Pix) {
			t.Errorf("hints %q, %v", hints, err)
		}
	})
}

func TestWhatAnotherProgramLeftBehindIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dev := attach(t)
		defer dev.Close()
		d.Present(sim.Presentation{Image: print(1)})
		for _, c := range [][]byte{commandFinger(), commandReady(), commandImage()} {
			if _, err := dev.dev.Transfer(t.Context(), endpointOut, c); err != nil {
				t.Fatal(err)
			}
		}
		var answer [answerSize]byte
		if _, err := dev.dev.Transfer(t.Context(), endpointIn, answer[:]); err != nil {
			t.Fatal(err)
		}
		img, err := dev.Capture(t.Context(), rightIndex, nil)
		if err != nil || !bytes.Equal(img.Gray.Pix, print(1).Pix) {
			t.Errorf("the capture after a program that was killed: %v", err)
		}
	})
}

func TestImpossibleWishesAreRefused(t *testing.T) {
	_, dev := attach(t)
	for _, want := range [][]biometric.FingerPosition{nil, {biometric.BothIndex}, {1, 2}, {0}, {-1}} {
		if _, err := dev.Capture(t.Context(), want, nil); err == nil || drivers.Verdict(err) != "" {
			t.Errorf("wanting %v: %v", want, err)
		}
	}
}
