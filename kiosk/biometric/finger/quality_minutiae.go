package finger

import (
	"fmt"
	"image"
)

// Limits of NFIQ 2 for minutiae.
const (
	leastMinutiae = 5   // below, an image is said to hold no fingerprint
	centreSide    = 200 // pixels of the square about the minutiae's middle
	clearBlock    = 80  // per cent of orientation certainty
)

// OwnMeasures lists the measures that bear NFIQ 2's names but rest on [Extract] instead of FingerJet FX, NFIQ 2's extractor.
func OwnMeasures() []string {
	return []string{MeasureMinutiae, MeasureMinutiaeCentre, MeasureMinutiaeOnGrey, MeasureMinutiaeOnRidges}
}

// addMinutiae takes the measures of [OwnMeasures], of the image that was measured; it holds a block at least.
func (m *Measured) addMinutiae(img *image.Gray) error {
	cut := *img
	cut.Pix = img.Pix[img.PixOffset(m.Frame.Min.X, m.Frame.Min.Y):]
	cut.Rect = m.Frame.Sub(m.Frame.Min)
	t, err := Extract(&cut, usualPPI)
	if err != nil {
		return fmt.Errorf("measuring a finger: %w", err)
	}
	defer t.Wipe()
	var middle image.Point
	for _, v := range t.Minutiae {
		middle = middle.Add(image.Pt(v.X, v.Y))
	}
	n := max(len(t.Minutiae), 1)
	square := image.Rect(0, 0, centreSide+1, centreSide+1).Add(middle.Div(n)).Sub(image.Pt(centreSide/2, centreSide/2))
	var central, darker, clear int
	for _, v := range t.Minutiae {
		at := image.Pt(v.X, v.Y)
		if at.In(square) {
			central++
		}
		corner := image.Pt(max(v.X-blockSize/2, 0), max(v.Y-blockSize/2, 0))
		block := image.Rect(0, 0, blockSize, blockSize)
		grey := sumsOf(&cut, block.Add(corner).Intersect(cut.Rect)).mean()
		if d := (m.Measures[MeasureMean] - grey) / m.Deviation; d > 0 && d <= 0.5 {
			darker++
		}
		corner = image.Pt(min(corner.X, cut.Rect.Max.X-blockSize), min(corner.Y, cut.Rect.Max.Y-blockSize))
		if level, ok := gradients(&cut, block.Add(corner)).certainty(); ok && int(level*100+0.5) > clearBlock {
			clear++
		}
	}
	m.Measures[MeasureMinutiae] = float64(len(t.Minutiae))
	m.Measures[MeasureMinutiaeCentre] = float64(central)
	m.Measures[MeasureMinutiaeOnGrey] = float64(darker) / float64(n)
	m.Measures[MeasureMinutiaeOnRidges] = float64(clear) / float64(n)
	return nil
}
