package face

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"

	"golang.org/x/image/draw"
)

// Fit bounds a photograph's file.
type Fit struct {
	MaxWidth  int // px
	MaxHeight int // px
	MaxBytes  int
}

// Fits reports whether a file of n bytes and that size is within the bounds.
func (f Fit) Fits(n, width, height int) bool {
	return n <= f.MaxBytes && width <= f.MaxWidth && height <= f.MaxHeight
}

// Shrink encodes a JPEG anew so that it fits: at most one further lossy pass, at the best quality that does. It never
// enlarges. The Exif segment is kept, since it may say which way is up. Data is left as it is; the caller wipes both.
func Shrink(data []byte, f Fit) (shrunk []byte, width, height int, err error) {
	img, err := Decode(data)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("shrinking a photograph: %w", err)
	}
	defer func() { Wipe(img) }()
	if scaled := scale(img, f); scaled != nil {
		Wipe(img)
		img = scaled
	}
	size, exif := img.Bounds().Size(), exifOf(data)
	for _, quality := range []int{92, 85, 75, 60, 45} {
		var out bytes.Buffer
		out.Grow(min(f.MaxBytes, 3*size.X*size.Y) + 1<<16)
		if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: quality}); err != nil {
			return nil, 0, 0, fmt.Errorf("shrinking a photograph: %w", err)
		}
		if out.Len()+len(exif) <= f.MaxBytes {
			return withExif(out.Bytes(), exif), size.X, size.Y, nil
		}
		clear(out.Bytes())
	}
	return nil, 0, 0, errors.New("shrinking a photograph: no quality makes it fit (hint: lower the camera's resolution)")
}

// scale brings an image within the bounds, or gives nil where it is.
func scale(img image.Image, f Fit) image.Image {
	size := img.Bounds().Size()
	factor := min(float64(f.MaxWidth)/float64(size.X), float64(f.MaxHeight)/float64(size.Y))
	if factor >= 1 {
		return nil
	}
	to := image.Rect(0, 0, max(int(float64(size.X)*factor), 1), max(int(float64(size.Y)*factor), 1))
	out := image.NewRGBA(to)
	draw.ApproxBiLinear.Scale(out, to, img, img.Bounds(), draw.Src, nil)
	return out
}

// exifOf finds the Exif segment of a JPEG, marker and length included; nil where there is none.
func exifOf(data []byte) []byte {
	for at := 2; at+4 <= len(data) && data[at] == 0xff && data[at+1] != 0xda; {
		end := at + 2 + int(binary.BigEndian.Uint16(data[at+2:]))
		if end > len(data) || end < at+4 {
			return nil
		}
		if data[at+1] == 0xe1 && bytes.HasPrefix(data[at+4:end], []byte("Exif\x00\x00")) {
			return data[at:end]
		}
		at = end
	}
	return nil
}

// withExif puts an Exif segment behind the start marker of a JPEG, and overwrites what it came from.
func withExif(jpeg, exif []byte) []byte {
	if exif == nil {
		return jpeg
	}
	defer clear(jpeg)
	out := make([]byte, 0, len(jpeg)+len(exif))
	return append(append(append(out, jpeg[:2]...), exif...), jpeg[2:]...)
}
