package face

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"slices"

	"loket/kiosk/biometric"
)

// Geometry is what a portrait's file must be: its size, and through the larger bounds its proportions.
type Geometry struct {
	Fit
	MinWidth  int // px
	MinHeight int
}

// Scaled is the geometry of the same portrait in a picture whose sides are a share of what they will be. For 0, which says that the share is
// not known, the smallest sizes count no more.
func (g Geometry) Scaled(part float64) Geometry {
	if part == 0 {
		g.MinWidth, g.MinHeight = 0, 0
		return g
	}
	scale := func(v int) int { return max(int(float64(v)*part), 1) }
	g.MaxWidth, g.MaxHeight, g.MinWidth, g.MinHeight = scale(g.MaxWidth), scale(g.MaxHeight), scale(g.MinWidth), scale(g.MinHeight)
	return g
}

// RoomError says that a portrait of the wanted geometry can't be cut out of a picture, and what the person can do.
type RoomError struct{ Hint biometric.Hint }

// Error is one sentence.
func (e *RoomError) Error() string {
	return fmt.Sprintf("the picture has no room for a portrait about this face (hint: %s)", e.Hint)
}

// How a portrait is laid about a head, best first: the head's share of its width, and how far down the eyes are. All lie within BSI
// TR-03121-3 v6.0's limits with something to spare.
func tightness() []float64 { return []float64{0.6, 0.57, 0.63, 0.54, 0.67, 0.72} }

func eyeHeights() []float64 { return []float64{0.42, 0.39, 0.45, 0.36, 0.33, 0.48} }

// lay places a portrait about a face: derotated, the eyes in its middle, as large as may be and never larger than the picture gives.
func (g Geometry) lay(size image.Point, f Face) (frame, error) {
	h := headOf([2]point{{f.Eyes[0].X, f.Eyes[0].Y}, {f.Eyes[1].X, f.Eyes[1].Y}})
	for _, tight := range tightness() {
		across := headWidths * h.unit / tight
		width := min(g.MaxWidth, int(across))
		height := width * g.MaxHeight / max(g.MaxWidth, 1)
		if width < g.MinWidth || height < g.MinHeight || width < 1 || height < 1 {
			continue
		}
		v := frame{angle: h.angle, step: across / float64(width), width: width, height: height}
		for _, down := range eyeHeights() {
			v.middle = h.to(0, (0.5-down)*float64(height)*v.step/h.unit)
			if v.inside(size) {
				return v, nil
			}
		}
	}
	return frame{}, &RoomError{Hint: h.room(size, g)}
}

// inside reports whether all of a frame lies within a picture.
func (f frame) inside(size image.Point) bool {
	for _, corner := range []point{{0, 0}, {float64(f.width - 1), 0}, {0, float64(f.height - 1)}, {float64(f.width - 1), float64(f.height - 1)}} {
		if p := f.to(corner); p.x < 0 || p.y < 0 || p.x > float64(size.X-1) || p.y > float64(size.Y-1) {
			return false
		}
	}
	return true
}

// room is what a person can do who stands so that no portrait fits.
func (h head) room(size image.Point, g Geometry) biometric.Hint {
	loosest, tightest := slices.Min(tightness()), slices.Max(tightness())
	switch {
	case headHeights*h.unit > 0.9*float64(size.Y) || headWidths*h.unit/tightest > float64(size.X):
		return biometric.HintStepBack
	case headWidths*h.unit/loosest < float64(g.MinWidth):
		return biometric.HintComeCloser
	}
	return biometric.HintMiddle
}

// Portrait cuts a portrait out of a JPEG: derotated, never enlarged, encoded once at the best quality that the bounds allow. Yaw
// and pitch stay as they are. Data is left as it is; the caller wipes both. A [*RoomError] says that it does not fit.
func Portrait(data []byte, f Face, g Geometry) (portrait []byte, width, height int, err error) {
	img, err := Decode(data)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("cutting out a portrait: %w", err)
	}
	defer Wipe(img)
	v, err := g.lay(img.Bounds().Size(), f)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("cutting out a portrait: %w", err)
	}
	cut := cut(img, v)
	defer Wipe(cut)
	portrait, err = encodeWithin(cut, g.MaxBytes)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("cutting out a portrait: %w", err)
	}
	return portrait, v.width, v.height, nil
}

// cut samples a picture as [Decode] gives it: brightness from the level of a pyramid that is fine enough, colours as they are stored.
func cut(img image.Image, v frame) image.Image {
	luma, chroma := planes(img)
	var p pyramid
	p.build(luma)
	defer p.wipe()
	var grey image.Gray
	p.sample(&grey, v)
	if chroma == nil {
		return &grey
	}
	out := &image.YCbCr{Y: grey.Pix, YStride: v.width, CStride: (v.width + 1) / 2, SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: grey.Rect}
	rows := (v.height + 1) / 2
	out.Cb, out.Cr = make([]uint8, out.CStride*rows), make([]uint8, out.CStride*rows)
	across, down := float64(luma.width)/float64(chroma[0].width), float64(luma.height)/float64(chroma[0].height)
	for y := range rows {
		for x := range out.CStride {
			at := v.to(point{2*float64(x) + 0.5, 2*float64(y) + 0.5})
			a, b := fixed((at.x+0.5)/across-0.5), fixed((at.y+0.5)/down-0.5)
			out.Cb[y*out.CStride+x], out.Cr[y*out.CStride+x] = chroma[0].between(a, b), chroma[1].between(a, b)
		}
	}
	return out
}

// encodeWithin encodes a JPEG at the highest quality that keeps it within a number of bytes. What it tried is overwritten.
func encodeWithin(img image.Image, limit int) ([]byte, error) {
	var best []byte
	for low, high := 30, 98; low <= high; {
		quality := (low + high) / 2
		var out bytes.Buffer
		size := img.Bounds().Size()
		out.Grow(size.X*size.Y/2 + 1<<14)
		if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: quality}); err != nil {
			return nil, err
		}
		if out.Len() > limit {
			clear(out.Bytes())
			high = quality - 1
			continue
		}
		clear(best)
		best, low = out.Bytes(), quality+1
	}
	if best == nil {
		return nil, errors.New("no quality makes it fit (hint: the policy's max_bytes is too small for its size)")
	}
	return best, nil
}
