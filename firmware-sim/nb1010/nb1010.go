// Package nb1010 is the firmware of a simulated NEXT Biometrics NB-1010-U, a sensor for one finger.
//
// The one idea: the person's side (what lies on the sensor) and the host's side (commands out, answers and rows in) meet in
// one queue of packets under one mutex. Nothing runs while nothing happens. The facts that it follows are in the README of
// the driver, drivers/nb1010.
package nb1010

import (
	"image"
	"sync"

	"loket/drivers/usb"
)

// The sensor's size in pixels.
const (
	Width  = 256
	Height = 180
)

// Options describe one sensor. The zero value is a good one.
type Options struct {
	Serial string // a real one has none
}

// Presentation is what a person does with a finger: it lies still until the next one, or until Lift.
type Presentation struct {
	// Image is what the sensor sees, ridges dark. Its upper left corner is placed on that of the sensor as it is; the rest of
	// the sensor sees nothing and gives white, and what lies beyond it is not seen.
	Image *image.Gray
}

// Guidance is what a person can know of the capture. The sensor has no lamps: it is what a screen beside it would say.
type Guidance struct {
	Waiting bool // the host asks for a finger and none is there
	Lift    bool // the host has the image of the finger on the sensor
}

// Device is a sensor. It must be made by [New]; its methods may be called from several goroutines at once.
type Device struct {
	opt Options

	mu     sync.Mutex
	finger *image.Gray // nil for none; not changed once it is here
	ready  bool        // the host asked for an image
	queue  [][]byte    // packets that the host has not fetched
	wake   chan struct{}

	told    Guidance
	changed chan struct{}
}

var (
	_ usb.Gadget      = (*Device)(nil)
	_ usb.BusResetter = (*Device)(nil)
)

// New makes a sensor with nothing on it.
func New(opt Options) *Device {
	return &Device{opt: opt, wake: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Present puts a finger on the sensor, in place of one that lies there. The image is copied.
func (d *Device) Present(p Presentation) {
	seen := image.NewGray(image.Rect(0, 0, Width, Height))
	for i := range seen.Pix {
		seen.Pix[i] = 255
	}
	if p.Image != nil {
		from := p.Image.Bounds()
		for y := range min(from.Dy(), Height) {
			copy(seen.Pix[y*Width:][:min(from.Dx(), Width)], p.Image.Pix[p.Image.PixOffset(from.Min.X, from.Min.Y+y):])
		}
	}
	d.put(seen)
}

// Lift takes the finger off the sensor.
func (d *Device) Lift() { d.put(nil) }

func (d *Device) put(finger *image.Gray) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finger = finger
	d.tell(Guidance{Waiting: d.told.Waiting && finger == nil})
}

// Guidance returns what the person can know now. To follow it, take [Device.Changed] first.
func (d *Device) Guidance() Guidance {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.told
}

// Changed returns a channel that is closed at the next change of [Device.Guidance].
func (d *Device) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// tell changes the guidance. The mutex is held.
func (d *Device) tell(g Guidance) {
	if g != d.told {
		d.told = g
		close(d.changed)
		d.changed = make(chan struct{})
	}
}
