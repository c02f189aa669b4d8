package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"math"
	"os"

	"loket/kiosk/biometric/finger"
	"loket/kiosk/biometric/pgm"
	"loket/kiosk/biometric/wsq"
)

// Bounds of what is read from a file.
const (
	maxImageFile = 64 << 20 // bytes
	leastPPI     = 100
	mostPPI      = 4000
)

// What a finger image is judged and encoded at, and how far a scale may be from it and still be it (ANSI/NIST-ITL 1-2011,
// 7.7.6: within 1 %).
const (
	usualPPI     = 500
	tolerancePPI = 5
)

// imageFlags are the flags of every command that reads finger images.
type imageFlags struct {
	PPI int `name:"ppi" help:"Pixels an inch of the image, whatever its file says; 500 where neither does." placeholder:"N"`
}

// read reads a finger image: 8-bit pixels, ridges dark, from its corner (0,0), and its pixels an inch. What is finer than 500
// is brought to 500; what is coarser stays as it is.
func (f imageFlags) read(path string) (*image.Gray, int, error) {
	file, err := f.load(path)
	if err != nil {
		return nil, 0, err
	}
	gray, ppi := file.usual()
	return gray, ppi, nil
}

// load reads a finger image as it is.
func (f imageFlags) load(path string) (imageFile, error) {
	data, err := readBounded(path, maxImageFile)
	if err != nil {
		return imageFile{}, fmt.Errorf("reading %s: %w", path, err)
	}
	file, err := decodeImage(data)
	if err == nil {
		err = file.settle(f.PPI)
	}
	if err != nil {
		return imageFile{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return file, nil
}

// readBounded reads a regular file of so many bytes at most.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("it is larger than %d MiB", most>>20)
	}
	return data, nil
}

// imageFile is what stands in a file of a finger image. A PPI of 0 is not known.
type imageFile struct {
	Format string `json:"format"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	PPI    int    `json:"ppi"`
	From   string `json:"ppi_from"` // who says so: "file", "flag" or "assumed"

	gray *image.Gray
}

// usual is the image at 500 pixels an inch, or as it is where it is coarser.
func (f *imageFile) usual() (*image.Gray, int) {
	if f.PPI <= usualPPI+tolerancePPI {
		return f.gray, f.PPI
	}
	return finger.Resample(f.gray, f.PPI, usualPPI), usualPPI
}

// settle decides the scale: the flag's, else the file's, else 500.
func (f *imageFile) settle(flag int) error {
	f.Width, f.Height, f.From = f.gray.Rect.Dx(), f.gray.Rect.Dy(), "file"
	switch {
	case flag != 0:
		f.PPI, f.From = flag, "flag"
	case f.PPI == 0:
		f.PPI, f.From = usualPPI, "assumed"
	}
	if f.PPI < leastPPI || f.PPI > mostPPI {
		return fmt.Errorf("%d pixels an inch are not the scale of a finger image (hint: --ppi 500 says what it is)", f.PPI)
	}
	return nil
}

// decodeImage tells formats apart by their first bytes.
func decodeImage(data []byte) (imageFile, error) {
	switch {
	case pgm.Is(data):
		gray, err := pgm.Decode(data)
		return imageFile{Format: "pgm", gray: gray}, err
	case wsq.Is(data):
		img, err := wsq.Decode(data)
		return imageFile{Format: "wsq", gray: img.Gray, PPI: img.PPI}, err
	case bytes.HasPrefix(data, []byte(pngSignature)):
		gray, err := decodePNG(data)
		return imageFile{Format: "png", gray: gray, PPI: scaleOfPNG(data)}, err
	}
	return imageFile{}, errors.New("it is neither PGM, PNG nor WSQ (hint: convert it to one of these, 8 bit grey)")
}

const pngSignature = "\x89PNG\r\n\x1a\n"

// decodePNG reads an 8-bit PNG as grey. Its size is bounded before memory is taken.
func decodePNG(data []byte) (*image.Gray, error) {
	conf, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if conf.Width > pgm.MaxSide || conf.Height > pgm.MaxSide || conf.Width*conf.Height > pgm.MaxPixels {
		return nil, fmt.Errorf("%dx%d is more than %d pixels (hint: cut the image to the finger)", conf.Width, conf.Height, pgm.MaxPixels)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	switch img := img.(type) {
	case *image.Gray:
		return img, nil
	case *image.RGBA, *image.NRGBA, *image.Paletted:
		if img.(interface{ Opaque() bool }).Opaque() {
			gray := image.NewGray(img.Bounds())
			draw.Draw(gray, gray.Rect, img, gray.Rect.Min, draw.Src)
			return gray, nil
		}
	}
	return nil, errors.New("it is a PNG with transparency or 16 bits (hint: convert it to 8 bit grey)")
}

// scaleOfPNG is the pixels an inch of a PNG's pHYs chunk; 0 where it has none, in metres and square (PNG, third edition, 11.3.4.3).
func scaleOfPNG(data []byte) int {
	for rest := data[len(pngSignature):]; len(rest) >= 12; {
		n, kind := binary.BigEndian.Uint32(rest), string(rest[4:8])
		if uint64(n)+12 > uint64(len(rest)) || kind == "IDAT" {
			return 0
		}
		if body := rest[8 : 8+n]; kind == "pHYs" && n == 9 {
			x, y := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
			if body[8] != 1 || x != y {
				return 0
			}
			return int(math.Round(float64(x) * 0.0254))
		}
		rest = rest[12+n:]
	}
	return 0
}

type infoCmd struct {
	imageFlags
	File string `arg:"" help:"A finger image: PGM, PNG or WSQ." placeholder:"FILE"`
}

// Run prints what stands in the file.
func (i infoCmd) Run(c *call) error {
	file, err := i.load(i.File)
	if err != nil {
		return err
	}
	return c.print(file, func() {
		says := map[string]string{"file": "as the file says", "flag": "as --ppi says", "assumed": "assumed"}[file.From]
		fmt.Fprintf(c.out, "%s, %d x %d px, %d ppi (%s)\n", file.Format, file.Width, file.Height, file.PPI, says)
	})
}
