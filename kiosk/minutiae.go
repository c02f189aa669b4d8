package kiosk

import (
	"image"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/finger"
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
