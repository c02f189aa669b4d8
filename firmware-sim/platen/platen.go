// Package platen is the person's side of a simulated reader for one finger: what lies on it, and what the person can know of
// the capture.
//
// The one idea: a reader's firmware embeds a [Platen] and shares its mutex, so that a finger that comes or goes and what the
// host does are seen one after the other.
package platen

import (
	"image"
	"sync"
)

// Presentation is what a person does with a finger: it lies still until the next one, or until Lift.
type Presentation struct {
	// Image is what the sensor sees, ridges dark. Its upper left corner is placed on that of the sensor as it is; the rest of
	// the sensor is white, and what lies beyond it is not seen.
	Image *image.Gray
}

// Guidance is what a person can know of the capture: what the reader's lamp tells, or a screen beside one that has no lamp.
type Guidance struct {
	Armed bool // the host waits for a finger, or takes its image
	Lift  bool // the host has the image of the finger that lies there
}

// Platen is a sensor's surface. It must be made by [New]. Methods whose names end in Held want its mutex held, the others
// take it.
type Platen struct {
	sync.Mutex
	size  image.Rectangle
	ppi   int
	moved func()

	finger  *image.Gray // nil for none; not changed once it is here
	told    Guidance
	changed chan struct{}
}

// New makes a surface with nothing on it, of a size in pixels. moved is called with the mutex held when a finger has come, was
// replaced, or has gone; it works out the guidance.
func New(width, height, ppi int, moved func()) *Platen {
	return &Platen{size: image.Rect(0, 0, width, height), ppi: ppi, moved: moved, changed: make(chan struct{})}
}

// Size is the sensor's size in pixels, and how many of them make an inch.
func (p *Platen) Size() (image.Rectangle, int) { return p.size, p.ppi }

// Present puts a finger on the reader, in place of one that lies there. The image is copied.
func (p *Platen) Present(shown Presentation) {
	seen := image.NewGray(p.size)
	for i := range seen.Pix {
		seen.Pix[i] = 255
	}
	if shown.Image != nil {
		from := shown.Image.Bounds()
		for y := range min(from.Dy(), p.size.Dy()) {
			copy(seen.Pix[y*seen.Stride:][:min(from.Dx(), seen.Stride)], shown.Image.Pix[shown.Image.PixOffset(from.Min.X, from.Min.Y+y):])
		}
	}
	p.put(seen)
}

// Lift takes the finger off the reader.
func (p *Platen) Lift() { p.put(nil) }

func (p *Platen) put(finger *image.Gray) {
	p.Lock()
	defer p.Unlock()
	p.finger = finger
	p.moved()
}

// FingerHeld is what the sensor sees, nil for nothing. It is not to be changed.
func (p *Platen) FingerHeld() *image.Gray { return p.finger }

// GuidanceHeld is the guidance now.
func (p *Platen) GuidanceHeld() Guidance { return p.told }

// TellHeld changes the guidance.
func (p *Platen) TellHeld(g Guidance) {
	if g != p.told {
		p.told = g
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// Guidance returns what the person can know now. To follow it, take [Platen.Changed] first.
func (p *Platen) Guidance() Guidance {
	p.Lock()
	defer p.Unlock()
	return p.told
}

// Changed returns a channel that is closed at the next change of [Platen.Guidance].
func (p *Platen) Changed() <-chan struct{} {
	p.Lock()
	defer p.Unlock()
	return p.changed
}
