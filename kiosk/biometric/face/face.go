// Package face judges photographs of faces.
//
// The one idea: an analyser takes the file as the camera made it and gives a score that names who measured, the measures behind
// it, what became of each criterion, and the one hint that would help the person most. [Analyser] finds faces and eyes and
// measures there; [Basic] judges the photograph, not the face in it. See docs/face.md.
package face

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math"

	"loket/kiosk/biometric"
)

// Want is what a photograph must reach beyond looking right. The zero value asks for nothing, as for a live view.
type Want struct {
	MinWidth  int // px
	MinHeight int // px
	Criteria  []biometric.Criterion
	Portrait  *Geometry // judge the portrait that would be cut out, not the whole picture; but the roll as it is seen, before it is mended
	Before    *Face     // in a live view: the face of the frame before, which is looked for where it was, and no other if it is there
	Frame     int       // of a live view, from 1: heads on one side are looked for at one angle a frame, in turn; 0 at all of them
}

// Report is what an analyser says of one photograph.
type Report struct {
	Quality biometric.Quality
	Hint    biometric.Hint // empty where there is nothing to do better
	Width   int            // px
	Height  int            // px
	Meets   bool           // what was wanted is reached
	Mend    bool           // something optional fails that the person could do better

	Faces      []Face      // the largest first; nil from an analyser that does not look for faces
	Judgements []Judgement // one for each criterion that was wanted, in that order
}

// Point is a place in a photograph, px from the middle of its upper left pixel.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Face is where a face lies.
type Face struct {
	Box  image.Rectangle // upright, from above the brows to the chin, of the width of the face
	Eyes [2]Point        // the middles of the irises (of shut eyes, about there), the one on the left of the picture first
	Roll float64         // degrees, clockwise as seen in the picture: atan2 of the line from the first eye to the second
	Open float64         // how much speaks for open eyes; below 1 too little
}

// Basic judges a JPEG by size, exposure, contrast, sharpness and colour. Its score is its own. It looks for no face, so most criteria
// are not available from it, and that keeps no photograph from being sufficient: it stands in where nothing better is there.
type Basic struct{}

// Algorithm and Version name the scores of [Basic].
const (
	Algorithm = "loket-basic"
	Version   = "1"
)

// The names of the measures of [Basic]. Grey levels run from 0 to 255 and are taken from the middle of the photograph.
const (
	MeasureBrightness = "brightness"
	MeasureContrast   = "contrast"  // standard deviation of the grey levels
	MeasureSharpness  = "sharpness" // steps between neighbours that one in a hundred exceeds, grey levels
	MeasureColour     = "colour"    // mean distance of the colour channels from grey
	MeasureBurnt      = "burnt"     // share of pixels at the upper end
	MeasureRatio      = "compression_ratio"
)

// MaxPixels bounds the photographs that are decoded.
const MaxPixels = 1 << 26

// Analyse judges a baseline or progressive JPEG. It reads data only, wipes what it decodes, and may be called from several
// goroutines at once. A file that is no such JPEG is an error, never a score.
func (Basic) Analyse(data []byte, want Want) (Report, error) {
	img, err := Decode(data)
	if err != nil {
		return Report{}, fmt.Errorf("analysing a photograph: %w", err)
	}
	defer Wipe(img)
	size := img.Bounds().Size()
	r := Report{Width: size.X, Height: size.Y, Meets: size.X >= want.MinWidth && size.Y >= want.MinHeight}
	m := measure(img)
	m[MeasureRatio] = float64(3*size.X*size.Y) / float64(len(data))
	score := 15 + 25*ramp(m[MeasureContrast], 5, 25) + 45*ramp(m[MeasureSharpness], 2, 10) + 15*ramp(m[MeasureColour], 1, 4)
	score *= 0.3 + 0.7*exposure(m)
	r.Quality = biometric.Quality{Score: int(math.Round(score)), Algorithm: Algorithm, Version: Version, Measures: m}
	r.Hint = hint(m)
	r.Judgements = judge(map[string]float64{ImageWidth: float64(size.X), ImageHeight: float64(size.Y), ColourSpace: bits(img)}, want.Criteria)
	return r, nil
}

// Decode reads a JPEG of at most [MaxPixels]. The caller wipes the image.
func Decode(data []byte) (image.Image, error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decoding the JPEG: %w", err)
	}
	if c.Width == 0 || c.Height == 0 || c.Width > MaxPixels/c.Height {
		return nil, fmt.Errorf("decoding the JPEG: %d x %d pixels are not accepted", c.Width, c.Height)
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decoding the JPEG: %w", err)
	}
	switch img.(type) {
	case *image.YCbCr, *image.Gray:
		return img, nil
	}
	Wipe(img)
	return nil, errors.New("decoding the JPEG: its colours are neither YCbCr nor grey")
}

// Wipe overwrites the pixels of an image that [Decode] or a scaler made.
func Wipe(img image.Image) {
	switch m := img.(type) {
	case *image.YCbCr:
		clear(m.Y)
		clear(m.Cb)
		clear(m.Cr)
	case *image.Gray:
		clear(m.Pix)
	case *image.RGBA:
		clear(m.Pix)
	case *image.CMYK:
		clear(m.Pix)
	case *image.NRGBA:
		clear(m.Pix)
	case *image.Paletted:
		clear(m.Pix)
	case *image.RGBA64:
		clear(m.Pix)
	case *image.NRGBA64:
		clear(m.Pix)
	case *image.Gray16:
		clear(m.Pix)
	}
}

// plane is one channel of a photograph.
type plane struct {
	pix           []uint8
	stride        int
	width, height int
}

func planes(img image.Image) (luma plane, chroma []plane) {
	b := img.Bounds()
	switch m := img.(type) {
	case *image.Gray:
		return plane{m.Pix, m.Stride, b.Dx(), b.Dy()}, nil
	case *image.YCbCr:
		w, h := m.CStride, 0
		if w > 0 {
			h = len(m.Cb) / w
		}
		return plane{m.Y, m.YStride, b.Dx(), b.Dy()}, []plane{{m.Cb, w, w, h}, {m.Cr, w, w, h}}
	}
	return plane{}, nil
}

// middle calls fn with rows of the middle three fifths, every step-th of them so that about 300 are read.
func (p plane) middle(fn func(row, next []uint8)) {
	left, right := p.width/5, p.width-p.width/5
	step := max(p.height/500, 1)
	for y := p.height / 5; y < p.height-p.height/5-1; y += step {
		at := y * p.stride
		fn(p.pix[at+left:at+right], p.pix[at+p.stride+left:at+p.stride+right])
	}
}

func measure(img image.Image) map[string]float64 {
	luma, chroma := planes(img)
	var levels, steps [256]int
	luma.middle(func(row, next []uint8) {
		for x := range len(row) - 1 {
			levels[row[x]]++
			steps[max(distance(row[x], row[x+1]), distance(row[x], next[x]))]++
		}
	})
	mean, deviation := moments(levels)
	return map[string]float64{
		MeasureBrightness: mean,
		MeasureContrast:   deviation,
		MeasureSharpness:  float64(quantile(steps, 0.99)),
		MeasureColour:     colour(chroma),
		MeasureBurnt:      share(levels[250:], levels),
	}
}

func distance(a, b uint8) int {
	if a > b {
		return int(a - b)
	}
	return int(b - a)
}

func moments(levels [256]int) (mean, deviation float64) {
	var n, sum, squares float64
	for v, c := range levels {
		n += float64(c)
		sum += float64(c) * float64(v)
		squares += float64(c) * float64(v) * float64(v)
	}
	if n == 0 {
		return 0, 0
	}
	mean = sum / n
	return mean, math.Sqrt(max(squares/n-mean*mean, 0))
}

func quantile(counts [256]int, q float64) int {
	total := 0
	for _, c := range counts {
		total += c
	}
	seen := 0
	for v, c := range counts {
		if seen += c; float64(seen) >= q*float64(total) {
			return v
		}
	}
	return 0
}

func share(part []int, whole [256]int) float64 {
	n, all := 0, 0
	for _, c := range part {
		n += c
	}
	for _, c := range whole {
		all += c
	}
	if all == 0 {
		return 0
	}
	return float64(n) / float64(all)
}

// colour is the mean distance from grey over both channels; 0 for a photograph without.
func colour(channels []plane) float64 {
	var n, sum float64
	for _, c := range channels {
		c.middle(func(row, _ []uint8) {
			for _, v := range row {
				sum += float64(distance(v, 128))
			}
			n += float64(len(row))
		})
	}
	if n == 0 {
		return 0
	}
	return sum / n
}

// exposure is 1 for a photograph neither dark nor bright nor burnt.
func exposure(m map[string]float64) float64 {
	light := min(ramp(m[MeasureBrightness], 25, 60), 1-ramp(m[MeasureBrightness], 210, 240))
	return light * (1 - ramp(m[MeasureBurnt], 0.3, 0.8))
}

// ramp is 0 up to low, 1 from high on, and straight between.
func ramp(v, low, high float64) float64 { return min(max((v-low)/(high-low), 0), 1) }

func hint(m map[string]float64) biometric.Hint {
	for _, h := range []struct {
		when bool
		hint biometric.Hint
	}{
		{m[MeasureBrightness] < 45, biometric.HintTooDark},
		{m[MeasureBrightness] > 220 || m[MeasureBurnt] > 0.5, biometric.HintTooBright},
		{m[MeasureContrast] < 8, biometric.HintNoFace},
		{m[MeasureSharpness] < 5, biometric.HintOutOfFocus},
	} {
		if h.when {
			return h.hint
		}
	}
	return biometric.HintNone
}
