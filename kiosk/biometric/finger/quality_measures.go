package finger

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"strconv"
)

// The names of NFIQ 2 for measures that stand alone.
const (
	MeasureMean         = "Mu"                                    // grey level of the image
	MeasureBlockMean    = "MMB"                                   // mean of the means of its blocks
	MeasureRegionMean   = "ImgProcROIArea_Mean"                   // grey level where the finger lies
	MeasureCoherence    = "OrientationMap_ROIFilter_CoherenceRel" // mean over the blocks in which the finger lies, 0 to 1
	MeasureCoherenceSum = "OrientationMap_ROIFilter_CoherenceSum" // their sum
)

// Families are histograms over the blocks of an image: "FDA_Bin10_0" to "FDA_Bin10_9", "FDA_Bin10_Mean", "FDA_Bin10_StdDev".
const (
	FamilyPeriodicity   = "FDA"  // frequency domain analysis, 0 to 1
	FamilyClarity       = "LCS"  // local clarity score, 0 to 1
	FamilyCertainty     = "OCL"  // orientation certainty level, 0 to 1
	FamilyFlow          = "OF"   // orientation flow: how much it turns from block to block
	FamilyRidgeToValley = "RVUP" // ratio of the widths of ridges and valleys

	histogramInfix     = "_Bin10_"
	histogramMean      = "Mean"
	histogramDeviation = "StdDev"
)

// The names of NFIQ 2 for the measures that follow from minutiae.
const (
	MeasureMinutiae         = "FingerJetFX_MinutiaeCount"
	MeasureMinutiaeCentre   = "FingerJetFX_MinCount_COMMinRect200x200" // in 200 by 200 pixels about their middle
	MeasureMinutiaeOnGrey   = "FJFXPos_Mu_MinutiaeQuality_2"           // share with a block a little darker than the image
	MeasureMinutiaeOnRidges = "FJFXPos_OCL_MinutiaeQuality_80"         // share with an orientation certainty above 80 %
)

// Limits of NFIQ 2.
const (
	widest         = 800  // of an image without its frame, pixels
	highest        = 1000 // likewise
	nearWhite      = 250  // a row or column of the frame has a brighter mean
	leastSharpness = 0.1  // standard deviation of a foreground block, in that of the image
	leastBlocks    = 10   // of foreground
	leastTurn      = 4    // degrees between neighbouring blocks, that count
)

// MaxPixels bounds the images that are looked at, as they come; mostScaledPixels at 500 pixels an inch.
const (
	MaxPixels        = 1 << 25
	mostScaledPixels = 1 << 23
)

// bounded says what is wrong with the size of an image.
func bounded(img *image.Gray, ppi int) error {
	if img == nil || img.Rect.Empty() {
		return errors.New("the image has no pixels")
	}
	w, h := int64(img.Rect.Dx()), int64(img.Rect.Dy())
	if w > MaxPixels || h > MaxPixels || w*h > MaxPixels || w*usualPPI/int64(ppi)*(h*usualPPI/int64(ppi)) > mostScaledPixels {
		return fmt.Errorf("%d by %d pixels at %d an inch are too many (hint: cut the image into its fingers first)", w, h, ppi)
	}
	return nil
}

// ErrTooLittle says that an image holds too little of a finger for all measures to exist.
var ErrTooLittle = errors.New("there is too little of a finger to measure")

// histogram is how one family of measures is summed up: the upper ends of the first nine bins.
type histogram struct {
	family string
	ends   [9]float64
}

// histograms have the bins of NFIQ 2.
func histograms() [5]histogram {
	return [5]histogram{
		{FamilyPeriodicity, [9]float64{0.268, 0.304, 0.33, 0.355, 0.38, 0.407, 0.44, 0.50, 1}},
		{FamilyClarity, [9]float64{0, 0.70, 0.74, 0.77, 0.79, 0.81, 0.83, 0.85, 0.87}},
		{FamilyCertainty, [9]float64{0.337, 0.479, 0.579, 0.655, 0.716, 0.766, 0.81, 0.852, 0.898}},
		{FamilyFlow, [9]float64{0.01715, 0.035, 0.0557, 0.081, 0.115, 0.1718, 0.2569, 0.4758, 0.748}},
		{FamilyRidgeToValley, [9]float64{0.5, 0.667, 0.8, 1, 1.25, 1.5, 2, 24, 30}},
	}
}

// Measured is what can be seen in the image of one finger.
type Measured struct {
	Measures   map[string]float64 // by NFIQ 2's names
	Foreground int                // pixels where the finger lies
	Deviation  float64            // standard deviation of the grey levels
	Frame      image.Rectangle    // what was measured: the image without its near-white frame
}

// Measure takes the measures of ISO/IEC 29794-4:2024 that need no minutiae, in the way of NFIQ 2.3 and under its names: of an
// image with 500 pixels an inch, 8 bits, ridges dark. Its near-white frame is left out; what remains is at most 800 by 1000
// pixels. The error is [ErrTooLittle] where there is no finger, or not enough of it; then what could be measured is returned with
// it: everything but the histograms. Where the ridges of no block turn, which NFIQ 2 does not measure either, the flow is 0
// throughout. It reads img only, and may be called from several goroutines at once.
func Measure(img *image.Gray) (Measured, error) {
	if err := bounded(img, usualPPI); err != nil {
		return Measured{}, fmt.Errorf("measuring a finger: %w", err)
	}
	img = withoutFrame(img)
	if img.Rect.Dx() > widest || img.Rect.Dy() > highest {
		return Measured{}, fmt.Errorf("measuring a finger: %d by %d pixels without the frame, at most %d by %d are measured (hint: cut the image into its fingers first)",
			img.Rect.Dx(), img.Rect.Dy(), widest, highest)
	}
	m := Measured{Measures: make(map[string]float64, 72), Frame: img.Rect}
	m.greys(img)
	r := findRegion(img)
	m.region(img, r)
	for i, values := range families(img, m.Deviation) {
		h := histograms()[i]
		if !h.sum(values, m.Measures) && h.family != FamilyFlow {
			return m, fmt.Errorf("measuring a finger: %w (%s)", ErrTooLittle, h.family)
		}
	}
	return m, nil
}

// withoutFrame leaves out the rows and columns at the edges that are nearly white.
func withoutFrame(img *image.Gray) *image.Gray {
	size := img.Rect.Size()
	rows, columns := make([]int, size.Y), make([]int, size.X)
	for y := range rows {
		for x, v := range img.Pix[y*img.Stride:][:size.X] {
			rows[y] += int(v)
			columns[x] += int(v)
		}
	}
	top, bottom := printed(rows, size.X)
	left, right := printed(columns, size.Y)
	box := image.Rect(left, top, right, bottom).Add(img.Rect.Min)
	cut := *img
	cut.Pix = img.Pix[img.PixOffset(box.Min.X, box.Min.Y):]
	cut.Rect = box
	return &cut
}

// printed is the range between the first and the last sum of so many pixels that is not nearly white; all where each is.
func printed(sums []int, pixels int) (from, to int) {
	dark := func(sum int) bool { return sum <= nearWhite*pixels }
	from = slices.IndexFunc(sums, dark)
	if from < 0 {
		return 0, len(sums)
	}
	for to = len(sums); !dark(sums[to-1]); to-- {
	}
	return from, to
}

// greys takes mean and deviation of the image and the mean of its blocks.
func (m *Measured) greys(img *image.Gray) {
	s := sumsOf(img, img.Rect)
	m.Measures[MeasureMean], m.Deviation = s.mean(), s.deviation()
	all := blocks(img.Rect)
	means := 0.0
	for _, b := range all {
		means += sumsOf(img, b).mean() / float64(len(all))
	}
	m.Measures[MeasureBlockMean] = means
}

// region takes what is measured only where the finger lies.
func (m *Measured) region(img *image.Gray, r region) {
	m.Foreground = r.pixels
	m.Measures[MeasureRegionMean] = r.mean
	sum := 0.0
	for _, b := range r.blocks {
		sum += gradients(img, b).coherence()
	}
	m.Measures[MeasureCoherenceSum] = sum
	m.Measures[MeasureCoherence] = sum / float64(max(len(r.blocks), 1))
}

// sums are those of the grey levels in a part of an image.
type sums struct{ pixels, levels, squares int }

func sumsOf(img *image.Gray, r image.Rectangle) sums {
	s := sums{pixels: r.Dx() * r.Dy()}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for _, v := range img.Pix[img.PixOffset(r.Min.X, y):][:r.Dx()] {
			s.levels += int(v)
			s.squares += int(v) * int(v)
		}
	}
	return s
}

func (s sums) mean() float64 { return float64(s.levels) / float64(s.pixels) }

func (s sums) deviation() float64 {
	mean := s.mean()
	return math.Sqrt(max(float64(s.squares)/float64(s.pixels)-mean*mean, 0))
}

// families measures the blocks, in the order of [histograms].
func families(img *image.Gray, deviation float64) (values [5][]float64) {
	for _, b := range blocks(img.Rect) {
		if b.Dx() == blockSize && b.Dy() == blockSize {
			if level, ok := gradients(img, b).certainty(); ok {
				values[2] = append(values[2], level)
			}
		}
	}
	g := newGrid(img, deviation)
	values[3] = g.flow()
	if g.count() < leastBlocks {
		return values
	}
	var s slant
	for i, at := range g.corners {
		if !g.ridges[i] {
			continue
		}
		angle := g.angles[i]
		frame{angle: angle + math.Pi/2, border: blockMargin, lying: true}.turn(img, at.X, at.Y, &s)
		values[0] = append(values[0], s.periodicity())
		frame{angle: angle}.turn(img, at.X, at.Y, &s)
		values[1] = append(values[1], s.clarity())
		frame{angle: angle, border: blockMargin}.turn(img, at.X, at.Y, &s)
		values[4] = s.ratios(values[4])
	}
	return values
}

// grid is the image in blocks that keep a margin from its edges.
type grid struct {
	across  int
	corners []image.Point // of the squares that the blocks are in the middle of
	ridges  []bool        // whether a block is foreground
	angles  []float64     // see covariance.orientation
}

func newGrid(img *image.Gray, deviation float64) grid {
	sharp := sharpness(img, deviation)
	inner := img.Rect.Inset(blockMargin)
	g := grid{across: inner.Dx() / blockSize}
	for y := range inner.Dy() / blockSize {
		for x := range g.across {
			corner := img.Rect.Min.Add(image.Pt(x*blockSize, y*blockSize))
			block := image.Rect(blockMargin, blockMargin, blockMargin+blockSize, blockMargin+blockSize).Add(corner)
			g.corners = append(g.corners, corner)
			g.ridges = append(g.ridges, sharp(x, y) && sharp(x+1, y) && sharp(x, y+1) && sharp(x+1, y+1))
			g.angles = append(g.angles, gradients(img, block).orientation())
		}
	}
	return g
}

// sharpness tells which squares, counted from the image's corner, vary as ridges do.
func sharpness(img *image.Gray, deviation float64) func(x, y int) bool {
	all := blocks(img.Rect)
	list := make([]bool, len(all))
	for i, b := range all {
		list[i] = sumsOf(img, b).deviation() > leastSharpness*deviation
	}
	across := (img.Rect.Dx() + blockSize - 1) / blockSize
	return func(x, y int) bool { return list[y*across+x] }
}

func (g grid) count() (n int) {
	for _, r := range g.ridges {
		if r {
			n++
		}
	}
	return n
}

// flow measures how much the orientation turns from a block to its eight neighbours, of blocks that lie among foreground and where
// it turns by more than leastTurn.
func (g grid) flow() (values []float64) {
	const degree = math.Pi / 180
	for i := range g.corners {
		x, y := i%g.across, i/g.across
		if x == 0 || y == 0 || x == g.across-1 || i+g.across >= len(g.corners) {
			continue
		}
		inside, sum := true, 0.0
		for dy := -1; dy <= 1; dy++ {
			for dx := -1; dx <= 1; dx++ {
				j := i + dy*g.across + dx
				inside = inside && g.ridges[j]
				apart := math.Abs(g.angles[i] - g.angles[j])
				sum += min(apart, 2*math.Pi-apart)
			}
		}
		if turn := sum / 8; inside && turn > leastTurn*degree {
			values = append(values, (turn-leastTurn*degree)/((90-leastTurn)*degree))
		}
	}
	return values
}

// sum counts values in bins; false says that there are none, and all is 0.
func (h histogram) sum(values []float64, into map[string]float64) bool {
	var bins [len(h.ends) + 1]int
	total, squares := 0.0, 0.0
	for _, v := range values {
		bin := 0
		for bin < len(h.ends) && v >= h.ends[bin] {
			bin++
		}
		bins[bin]++
		total += v
		squares += v * v
	}
	name := h.family + histogramInfix
	for i, n := range bins {
		into[name+strconv.Itoa(i)] = float64(n)
	}
	n := float64(max(len(values), 1))
	into[name+histogramMean] = total / n
	into[name+histogramDeviation] = math.Sqrt(max(squares/n-total/n*(total/n), 0))
	return len(values) > 0
}
