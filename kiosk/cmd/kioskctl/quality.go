package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/finger"
)

type qualityCmd struct {
	imageFlags
	Model string   `help:"A model of the site, which takes the place of our own estimate (docs/quality.md)." placeholder:"FILE"`
	Files []string `arg:"" name:"file" help:"Images of one finger each: PGM, PNG or WSQ." placeholder:"FILE"`
}

// judged is what scripts get of one image: a score and what is behind it, or an error.
type judged struct {
	File      string             `json:"file"`
	Measures  map[string]float64 `json:"measures,omitempty"` // by NFIQ 2's names
	Own       []string           `json:"own,omitempty"`      // of these, what rests on our own minutiae
	Score     *int               `json:"score,omitempty"`    // 0 to 100
	Algorithm string             `json:"algorithm,omitempty"`
	Version   string             `json:"version,omitempty"`
	Hint      biometric.Hint     `json:"hint,omitempty"` // what would help most
	Error     string             `json:"error,omitempty"`
}

// Run judges every image; one that can't be judged keeps no other from it.
func (q qualityCmd) Run(c *call) error {
	model, err := finger.LoadModel(q.Model)
	if err != nil {
		return err
	}
	analyser := finger.Analyser{Model: model, Minutiae: true}
	all := make([]judged, 0, len(q.Files))
	for _, path := range q.Files {
		all = append(all, q.judge(analyser, path))
	}
	err = c.print(all, func() {
		for _, j := range all {
			j.write(c)
		}
	})
	failed := 0
	for _, j := range all {
		if j.Error != "" {
			failed++
		}
	}
	if err == nil && failed > 0 {
		return fmt.Errorf("judging fingers: %d of %d images were not judged", failed, len(all))
	}
	return err
}

func (q qualityCmd) judge(a finger.Analyser, path string) judged {
	report, err := q.analyse(a, path)
	if err != nil {
		return judged{File: path, Error: err.Error(), Hint: report.Hint}
	}
	got := report.Quality
	return judged{
		File: path, Measures: got.Measures, Own: finger.OwnMeasures(), Score: &got.Score,
		Algorithm: got.Algorithm, Version: got.Version, Hint: report.Hint,
	}
}

func (q qualityCmd) analyse(a finger.Analyser, path string) (finger.Report, error) {
	img, ppi, err := q.read(path)
	if err != nil {
		return finger.Report{}, err
	}
	defer clear(img.Pix)
	report, err := a.Analyse(img, ppi)
	switch {
	case err != nil:
		return report, err
	case report.Empty && report.Hint == biometric.HintPlace:
		return report, errors.New("there is no finger in the image")
	case report.Empty:
		return report, errors.New("there is too little of a finger to judge")
	}
	return report, nil
}

// write prints one image as a table: its score in words, then each family of measures on a line.
func (j judged) write(c *call) {
	if j.Error != "" {
		fmt.Fprintf(c.out, "%s: not judged: %s\n\n", j.File, j.Error)
		return
	}
	fmt.Fprintf(c.out, "%s: %d of 100, %s (%s %s)\n", j.File, *j.Score, inWords(*j.Score), j.Algorithm, j.Version)
	if j.Hint != "" {
		fmt.Fprintf(c.out, "  would help most: %s\n", j.Hint)
	}
	fmt.Fprintf(c.out, "  %-5s %8s %8s   %s\n", "", "mean", "sd", "blocks in ten bins, low to high")
	for _, f := range finger.Families() {
		name := f + "_Bin10_"
		fmt.Fprintf(c.out, "  %-5s %8.4f %8.4f  ", f, j.Measures[name+"Mean"], j.Measures[name+"StdDev"])
		for i := range 10 {
			fmt.Fprintf(c.out, " %4.0f", j.Measures[fmt.Sprint(name, i)])
		}
		fmt.Fprintln(c.out)
	}
	for _, name := range finger.MeasureNames() {
		if strings.Contains(name, "_Bin10_") {
			continue
		}
		own := ""
		if slices.Contains(j.Own, name) {
			own = "  (our own minutiae)"
		}
		fmt.Fprintf(c.out, "  %-40s %10.4f%s\n", name, j.Measures[name], own)
	}
	fmt.Fprintln(c.out)
}

// inWords is a score as people say it. 30 and 20 are thresholds of enrolment (BSI TR-03121-3 v6.0, volume 6).
func inWords(score int) string {
	switch {
	case score >= 70:
		return "very good"
	case score >= 45:
		return "good"
	case score >= 30:
		return "enough"
	case score >= 20:
		return "weak"
	}
	return "poor"
}
