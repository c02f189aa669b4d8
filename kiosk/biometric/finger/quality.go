package finger

import (
	"errors"
	"fmt"
	"image"
	"math"

	"loket/kiosk/biometric"
)

// Analyser judges fingers by NFIQ 2's measures. The zero value scores them with our own estimate on the NFIQ 2 scale.
type Analyser struct {
	Model    *Model // of the site; nil: our own estimate
	Minutiae bool   // take the measures of [OwnMeasures] too, which takes longer; so it is done for a model that needs them
}

// Scales, in pixels an inch: what is measured, and what is brought to it first.
const (
	usualPPI     = 500
	tolerancePPI = 5
	leastPPI     = 250
	mostPPI      = 4000
)

// Analyse judges one finger: 8-bit pixels, ridges dark, at ppi pixels an inch. An image of another scale than 500 (within 1 %)
// is judged on a copy at 500, which is overwritten afterwards. An image without a finger, or with too little of one, is no error
// but an empty report with a hint; an image that can't be judged is an error, and never a score. It reads img only, and may
// be called from several goroutines at once.
func (a Analyser) Analyse(img *image.Gray, ppi int) (Report, error) {
	if ppi < leastPPI || ppi > mostPPI {
		return Report{}, fmt.Errorf("analysing a finger: an image of %d pixels an inch is not judged", ppi)
	}
	if err := bounded(img, ppi); err != nil {
		return Report{}, fmt.Errorf("analysing a finger: %w", err)
	}
	switch {
	case ppi > usualPPI+tolerancePPI:
		img = Resample(img, ppi, usualPPI)
		defer clear(img.Pix)
	case ppi < usualPPI-tolerancePPI:
		img = enlarge(img, ppi, usualPPI)
		defer clear(img.Pix)
	}
	m, err := Measure(img)
	switch {
	case err == nil && m.blank():
		return Report{Empty: true, Hint: biometric.HintPlace}, nil
	case errors.Is(err, ErrTooLittle), err == nil && m.Foreground < scrap:
		return Report{Empty: true, Hint: m.nothing()}, nil
	case err != nil:
		return Report{}, fmt.Errorf("analysing a finger: %w", err)
	}
	model := a.model()
	if a.Minutiae || model.minutiae {
		if err := m.addMinutiae(img); err != nil {
			return Report{}, fmt.Errorf("analysing a finger: %w", err)
		}
	}
	quality, err := model.Score(m.Measures)
	if err != nil {
		return Report{}, fmt.Errorf("analysing a finger: %w", err)
	}
	return Report{Quality: quality, Hint: m.hint()}, nil
}

func (a Analyser) model() *Model {
	if a.Model != nil {
		return a.Model
	}
	return estimate()
}

// Thresholds of NFIQ 2 for feedback.
const (
	uniformDeviation = 1.0    // grey levels; below, the image shows nothing
	emptyMean        = 250.0  // grey level; above, nothing dark lies on the glass
	leastForeground  = 50_000 // pixels; below, the print is small
)

// scrap is the foreground, in pixels, below which a print is not scored: half a square centimetre. The estimate has seen no
// clear print as small, and would take its clearness for quality.
const scrap = 20_000

// blank reports whether nothing lies on the glass.
func (m Measured) blank() bool {
	return m.Deviation < uniformDeviation || m.Measures[MeasureMean] > emptyMean
}

// nothing is what to say of an image that can't be measured.
func (m Measured) nothing() biometric.Hint {
	if m.blank() || m.Foreground == 0 {
		return biometric.HintPlace
	}
	return biometric.HintCentre
}

// Thresholds of ours for feedback. They part faint, flooded, dry, wet and smeared prints of our generator from its clean ones and
// are no part of NFIQ 2.
const (
	faintGrey      = 235.0 // grey level where the finger lies; above, hardly anything was pressed on
	flatDeviation  = 15.0  // standard deviation of grey levels; below, ridges hardly differ from valleys
	blackGrey      = 50.0  // below, valleys are as dark as ridges
	dryGrey        = 190.0 // above, broken ridges are dry
	wetGrey        = 110.0 // below, broken ridges are flooded
	clearCertainty = 0.70  // orientation certainty level of ridges that are whole
	clearClarity   = 0.72  // local clarity score of ridges that are whole
)

// hint is the one thing that would help most.
func (m Measured) hint() biometric.Hint {
	grey := m.Measures[MeasureRegionMean]
	minutiae, counted := m.Measures[MeasureMinutiae]
	switch {
	case m.Foreground < leastForeground, counted && minutiae < leastMinutiae:
		return biometric.HintCentre
	case grey < blackGrey:
		return biometric.HintPressLess
	case grey > faintGrey || m.Deviation < flatDeviation:
		return biometric.HintPressHarder
	case m.mean(FamilyCertainty) >= clearCertainty && m.mean(FamilyClarity) >= clearClarity:
		return biometric.HintNone
	case grey > dryGrey:
		return biometric.HintTooDry
	case grey < wetGrey:
		return biometric.HintTooWet
	}
	return biometric.HintHoldStill
}

func (m Measured) mean(family string) float64 {
	return m.Measures[family+histogramInfix+histogramMean]
}

// enlarge brings an image to a finer scale, straight between its pixels. It adds nothing that could be seen, and serves to judge
// images of coarse scanners only.
func enlarge(img *image.Gray, from, to int) *image.Gray {
	size := img.Rect.Size()
	out := image.NewGray(image.Rect(0, 0, scaled(size.X, from, to), scaled(size.Y, from, to)))
	columns := spots(out.Rect.Dx(), size.X, from, to)
	for y, row := range spots(out.Rect.Dy(), size.Y, from, to) {
		above, below := img.Pix[row.at*img.Stride:], img.Pix[row.next*img.Stride:]
		for x, c := range columns {
			top := float64(above[c.at])*(1-c.share) + float64(above[c.next])*c.share
			bottom := float64(below[c.at])*(1-c.share) + float64(below[c.next])*c.share
			out.Pix[y*out.Stride+x] = uint8(top*(1-row.share) + bottom*row.share + 0.5)
		}
	}
	return out
}

// spot is a position between two pixels of a line: the share of the next one.
type spot struct {
	at, next int
	share    float64
}

func spots(finer, coarser, from, to int) []spot {
	list := make([]spot, finer)
	for i := range list {
		at := min(max((float64(i)+0.5)*float64(from)/float64(to)-0.5, 0), float64(coarser-1))
		whole := int(math.Floor(at))
		list[i] = spot{whole, min(whole+1, coarser-1), at - float64(whole)}
	}
	return list
}
