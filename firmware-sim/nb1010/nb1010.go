// Package nb1010 is the firmware of a simulated NEXT Biometrics NB-1010-U, a sensor for one finger.
//
// The one idea: the person's side (what lies on the sensor) and the host's side (commands out, answers and rows in) meet in
// one queue of packets under one mutex. Nothing runs while nothing happens. The facts that it follows are in the README of
// the driver, drivers/nb1010.
package nb1010

import (
	"loket/drivers/usb"
	"loket/firmware-sim/platen"
)

// The sensor's size in pixels, and its scale.
const (
	Width  = 256
	Height = 180
	PPI    = 385
)

// Options describe one sensor. The zero value is a good one.
type Options struct {
	Serial string // a real one has none
}

// Presentation is what a person does with a finger.
type Presentation = platen.Presentation

// Guidance is what a person can know of the capture. The sensor has no lamps: it is what a screen beside it would say.
type Guidance = platen.Guidance

// Device is a sensor. It must be made by [New]; its methods may be called from several goroutines at once.
type Device struct {
	*platen.Platen
	opt   Options
	ready bool     // the host asked for an image
	queue [][]byte // packets that the host has not fetched
	wake  chan struct{}
}

var (
	_ usb.Gadget      = (*Device)(nil)
	_ usb.BusResetter = (*Device)(nil)
)

// New makes a sensor with nothing on it.
func New(opt Options) *Device {
	d := &Device{opt: opt, wake: make(chan struct{}, 1)}
	d.Platen = platen.New(Width, Height, PPI, d.moved)
	return d
}

// moved follows a finger that has come or gone. The mutex is held.
func (d *Device) moved() {
	if d.FingerHeld() == nil {
		d.TellHeld(Guidance{Armed: d.GuidanceHeld().Armed})
	}
}
