// Package finger judges images of fingers.
//
// The one idea: an analyser takes one finger's pixels and gives a score that names who measured, the measures behind it, and
// the one hint that would help the person most. [Basic] is the first of them; finer measures (ISO/IEC 29794-4) take its place
// behind the same method.
package finger

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"

	"loket/kiosk/biometric"
)

// Report is what an analyser says of one finger.
type Report struct {
	Quality biometric.Quality
	Hint    biometric.Hint // empty where there is nothing to do better
	Empty   bool           // there is no finger in the image
}

// Basic judges by foreground area, contrast and orientation certainty. Its score is its own and no NFIQ 2 score; it is scaled
// so that the thresholds of policies, which mean that scale, part usable from noisy fingers. It gives at most [Best]: it
// can't tell good from excellent.
type Basic struct{}

// Algorithm and Version name the scores of [Basic].
const (
	Algorithm = "loket-basic"
	Version   = "1"
)

// Best is the highest score that [Basic] gives.
const Best = 75

// The names of the measures of [Basic].
const (
	MeasureArea        = "foreground_mm2"
	MeasureContrast    = "contrast"              // mean standard deviation within a block, grey levels
	MeasureOrientation = "orientation_certainty" // mean over the foreground, 0 to 1
	MeasureMean        = "foreground_mean"       // grey level
)

// MaxPixels bounds the images that are judged.
const MaxPixels = 1 << 25

const mmPerInch = 25.4

// Analyse judges one finger: 8-bit pixels, ridges dark, at ppi pixels an inch. It reads img only, and may be called from
// several goroutines at once.
func (Basic) Analyse(img *image.Gray, ppi int) (Report, error) {
	if img == nil || img.Rect.Empty() {
		return Report{}, errors.New("analysing a finger: the image has no pixels")
	}
	if n := img.Rect.Dx() * img.Rect.Dy(); n > MaxPixels || img.Rect.Dx() > MaxPixels {
		return Report{}, fmt.Errorf("analysing a finger: %d pixels, at most %d are judged", n, MaxPixels)
	}
	if ppi < 100 || ppi > 4000 {
		return Report{}, fmt.Errorf("analysing a finger: a resolution of %d pixels an inch is not known", ppi)
	}
	size := max(16*ppi/500, 4)
	return judge(foreground(blocks(img, size)), float64(size)*mmPerInch/float64(ppi)), nil
}

// block is one square of the image.
type block struct {
	mean, deviation, certainty float64
}

// blocks measures the whole squares of an image.
func blocks(img *image.Gray, size int) []block {
	var all []block
	for y := 0; y+size <= img.Rect.Dy(); y += size {
		for x := 0; x+size <= img.Rect.Dx(); x += size {
			all = append(all, measure(img, x, y, size))
		}
	}
	return all
}

// measure takes mean, deviation and the orientation certainty of one square: 1 less the ratio of the eigenvalues of the
// gradients' covariance (ISO/IEC 29794-4:2024, orientation certainty level).
func measure(img *image.Gray, x, y, size int) block {
	var sum, squares, xx, yy, xy int
	for j := range size {
		at := (y+j)*img.Stride + x
		row := img.Pix[at : at+size]
		var above, below []uint8
		if j > 0 && j < size-1 {
			above, below = img.Pix[at-img.Stride:at-img.Stride+size], img.Pix[at+img.Stride:at+img.Stride+size]
		}
		for i, p := range row {
			sum += int(p)
			squares += int(p) * int(p)
			if above != nil && i > 0 && i < size-1 {
				gx, gy := int(row[i+1])-int(row[i-1]), int(below[i])-int(above[i])
				xx += gx * gx
				yy += gy * gy
				xy += gx * gy
			}
		}
	}
	n := float64(size * size)
	mean := float64(sum) / n
	return block{
		mean:      mean,
		deviation: math.Sqrt(max(float64(squares)/n-mean*mean, 0)),
		certainty: certainty(float64(xx), float64(yy), float64(xy)),
	}
}

func certainty(xx, yy, xy float64) float64 {
	root := math.Sqrt((xx-yy)*(xx-yy) + 4*xy*xy)
	largest := xx + yy + root
	if largest == 0 {
		return 0
	}
	return 1 - max(xx+yy-root, 0)/largest
}

// foreground keeps the squares that hold ridges: those that vary, compared with the liveliest tenth of the image. So a faint
// image has a foreground too, and an empty glass has none.
func foreground(all []block) []block {
	if len(all) == 0 {
		return nil
	}
	deviations := make([]float64, len(all))
	for i, b := range all {
		deviations[i] = b.deviation
	}
	slices.Sort(deviations)
	least := max(0.35*deviations[len(deviations)*9/10], 5)
	return slices.DeleteFunc(all, func(b block) bool { return b.deviation < least })
}

// judge turns the foreground into a score; side is the length of a square in millimetres.
func judge(ridges []block, side float64) Report {
	area := float64(len(ridges)) * side * side
	var mean, contrast, orientation float64
	for _, b := range ridges {
		n := float64(len(ridges))
		mean += b.mean / n
		contrast += b.deviation / n
		orientation += b.certainty / n
	}
	score := Best * ramp(area, 20, 200) * ramp(contrast, 4, 40) * ramp(orientation, 0.3, 0.95)
	r := Report{
		Quality: biometric.Quality{Score: int(math.Round(score)), Algorithm: Algorithm, Version: Version, Measures: map[string]float64{
			MeasureArea: area, MeasureContrast: contrast, MeasureOrientation: orientation, MeasureMean: mean,
		}},
		Empty: area < 10,
	}
	r.Hint = hint(area, contrast, orientation, mean)
	return r
}

// ramp is 0 up to low, 1 from high on, and straight between.
func ramp(v, low, high float64) float64 { return min(max((v-low)/(high-low), 0), 1) }

func hint(area, contrast, orientation, mean float64) biometric.Hint {
	switch {
	case area < 10:
		return biometric.HintPlace
	case area < 80:
		return biometric.HintCentre
	case mean > 205 || contrast < 15:
		return biometric.HintPressHarder
	case mean < 70:
		return biometric.HintPressLess
	case orientation < 0.6:
		return biometric.HintHoldStill
	}
	return biometric.HintNone
}
