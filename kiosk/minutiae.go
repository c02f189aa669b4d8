package kiosk

import (
	"fmt"
	"image"

	"loket/kiosk/acquire"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/handover"
	"loket/kiosk/plan"
)

// Minutiae compares prints by their minutiae: [finger.Extract], [finger.Compare].
type Minutiae struct{}

// Compare wipes the templates that it makes.
func (Minutiae) Compare(reference, probe *image.Gray, ppi int) (biometric.Comparison, error) {
	c := biometric.Comparison{Threshold: finger.Threshold, Algorithm: "loket-minutiae", Version: "1"}
	a, err := finger.Extract(reference, ppi)
	if err != nil {
		return c, err
	}
	defer a.Wipe()
	b, err := finger.Extract(probe, ppi)
	if err != nil {
		return c, err
	}
	defer b.Wipe()
	c.Score, err = finger.Compare(a, b)
	c.Same = err == nil && finger.Same(c.Score)
	return c, err
}

// former makes templates of the fingers that are held, for a step that compares them. The caller wipes them.
func (d *Daemon) former(step plan.Step) (prints []acquire.Print, err error) {
	if step.Modality != biometric.Finger || step.Uniqueness == "" {
		return nil, nil
	}
	held := d.vault.copies(func(h handover.Sample) bool { return h.Modality == biometric.Finger })
	defer wipe(held)
	for _, s := range held {
		t, err := template(s)
		if err != nil {
			wipePrints(prints)
			return nil, fmt.Errorf("comparing with the %s that is held: %w", s.Position, err)
		}
		prints = append(prints, acquire.Print{Position: s.Position, Template: t})
	}
	return prints, nil
}

// template extracts what is compared of a print.
func template(s biometric.Sample) (finger.Template, error) {
	img, err := grey(s)
	if err != nil {
		return finger.Template{}, err
	}
	defer clear(img.Pix)
	return finger.Extract(img, s.PPI)
}

func wipePrints(prints []acquire.Print) {
	for i := range prints {
		prints[i].Wipe()
	}
}
