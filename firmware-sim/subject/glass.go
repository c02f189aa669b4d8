package subject

import (
	"image"

	"golang.org/x/image/draw"

	"loket/firmware-sim/platen"
	"loket/firmware-sim/slap60"
	"loket/firmware-sim/synth"
)

// Lamps is what a fingerprint scanner tells the person.
type Lamps struct {
	Armed  bool             // it waits for fingers
	Lift   bool             // the fingers on it should leave
	Single bool             // it takes one finger, and has no lamp that says which
	Wanted []synth.Position // which it asks for
	Again  uint32           // how often it has said: try again
}

// Laid is what a person lays on a scanner.
type Laid struct {
	Image   *image.Gray // ridges dark, at the scale of package synth
	Fingers []slap60.Contact
}

// Glass is the person's side of a fingerprint scanner.
type Glass interface {
	Lamps() (Lamps, <-chan struct{}) // now, and what is closed at the next change
	Present(Laid)                    // in place of what lies there
	Lift()
}

// ForHand is the glass of a scanner for four fingers.
func ForHand(d *slap60.Device) Glass { return handGlass{d} }

type handGlass struct{ *slap60.Device }

func (h handGlass) Lamps() (Lamps, <-chan struct{}) {
	changed := h.Changed()
	g := h.Guidance()
	l := Lamps{Armed: g.Armed, Lift: g.Lift, Again: g.Again}
	for _, f := range g.Fingers() {
		l.Wanted = append(l.Wanted, synth.Position(f))
	}
	return l, changed
}

func (h handGlass) Present(l Laid) {
	h.Device.Present(slap60.Presentation{Image: l.Image, Fingers: l.Fingers})
}

// ForFinger is the surface of a reader for one finger. It judges no attack, and sees of the first finger what fits on it.
func ForFinger(p *platen.Platen) Glass { return fingerGlass{p} }

type fingerGlass struct{ *platen.Platen }

func (f fingerGlass) Lamps() (Lamps, <-chan struct{}) {
	changed := f.Changed()
	g := f.Guidance()
	return Lamps{Armed: g.Armed, Lift: g.Lift, Single: true}, changed
}

func (f fingerGlass) Present(l Laid) {
	size, ppi := f.Size()
	if len(l.Fingers) > 0 && l.Image != nil {
		l.Image = scaled(l.Image, l.Fingers[0].Box, size, ppi)
	}
	f.Platen.Present(platen.Presentation{Image: l.Image})
}

// scaled cuts what a sensor sees of a finger out of a picture, and brings it to the sensor's scale.
func scaled(m *image.Gray, finger, size image.Rectangle, ppi int) *image.Gray {
	part := image.NewGray(image.Rect(0, 0, size.Dx()*synth.PPI/ppi, size.Dy()*synth.PPI/ppi))
	corner := finger.Min.Add(finger.Max).Sub(part.Rect.Max).Div(2)
	draw.Draw(part, part.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(part, m.Rect.Sub(corner), m, m.Rect.Min, draw.Src)
	seen := image.NewGray(size)
	draw.CatmullRom.Scale(seen, size, part, part.Rect, draw.Src, nil)
	return seen
}
