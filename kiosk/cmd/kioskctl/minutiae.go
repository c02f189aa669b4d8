package main

import (
	"fmt"
	"math"

	"loket/kiosk/biometric/finger"
)

type minutiaeCmd struct {
	imageFlags
	File string `arg:"" help:"An image of one finger: PGM, PNG or WSQ." placeholder:"FILE"`
}

// minutia is a minutia in JSON.
type minutia struct {
	X       int                `json:"x"`
	Y       int                `json:"y"`
	Angle   float64            `json:"angle"` // degrees, anticlockwise from the positive x axis
	Type    finger.MinutiaType `json:"type"`
	Quality int                `json:"quality"`
}

// Run prints the minutiae of a finger, in pixels of the image as its file has them.
func (m minutiaeCmd) Run(c *call) error {
	t, err := extract(m.imageFlags, m.File)
	if err != nil {
		return err
	}
	defer t.Wipe()
	out := struct {
		Width    int       `json:"width"`
		Height   int       `json:"height"`
		PPI      int       `json:"ppi"`
		Count    int       `json:"count"`
		Minutiae []minutia `json:"minutiae"`
	}{t.Width, t.Height, t.PPI, len(t.Minutiae), make([]minutia, 0, len(t.Minutiae))}
	for _, v := range t.Minutiae {
		degrees := math.Round(v.Angle*1800/math.Pi) / 10
		out.Minutiae = append(out.Minutiae, minutia{v.X, v.Y, math.Mod(degrees, 360), v.Type, v.Quality})
	}
	return c.print(out, func() {
		fmt.Fprintf(c.out, "%d minutiae (x, y in px from the top left; degrees anticlockwise; type; quality):\n", out.Count)
		for _, v := range out.Minutiae {
			fmt.Fprintf(c.out, "%5d %5d %6.1f  %-12s %3d\n", v.X, v.Y, v.Angle, v.Type, v.Quality)
		}
	})
}

// extract reads an image and finds its minutiae.
func extract(f imageFlags, path string) (finger.Template, error) {
	file, err := f.load(path)
	if err != nil {
		return finger.Template{}, err
	}
	defer clear(file.gray.Pix)
	t, err := finger.Extract(file.gray, file.PPI)
	if err != nil {
		return finger.Template{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return t, nil
}

type compareCmd struct {
	imageFlags
	First  string `arg:"" help:"An image of one finger: PGM, PNG or WSQ." placeholder:"FILE"`
	Second string `arg:"" help:"The image to compare it with." placeholder:"FILE"`
}

// Run prints how alike two fingers are, and whether that makes them the same.
func (m compareCmd) Run(c *call) error {
	first, err := extract(m.imageFlags, m.First)
	if err != nil {
		return err
	}
	defer first.Wipe()
	second, err := extract(m.imageFlags, m.Second)
	if err != nil {
		return err
	}
	defer second.Wipe()
	score, err := finger.Compare(first, second)
	if err != nil {
		return err
	}
	out := struct {
		Score     float64 `json:"score"`
		Threshold float64 `json:"threshold"`
		Same      bool    `json:"same"`
	}{math.Round(score*10) / 10, finger.Threshold, finger.Same(score)}
	return c.print(out, func() {
		verdict := "not shown to be the same finger"
		if out.Same {
			verdict = "the same finger"
		}
		fmt.Fprintf(c.out, "%s: score %.1f, the same finger from %g on\n", verdict, out.Score, out.Threshold)
	})
}
