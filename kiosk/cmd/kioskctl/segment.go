package main

import (
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"strings"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/biometric/pgm"
)

type segmentCmd struct {
	imageFlags
	Kind   string   `help:"What lies there: right-four, left-four, thumbs or index-pair." enum:"right-four,left-four,thumbs,index-pair" required:"" placeholder:"KIND"`
	Absent []string `help:"Fingers that are known not to be there, by name: right-ring." placeholder:"NAME"`
	File   string   `arg:"" help:"An image of the whole slap: PGM, PNG or WSQ, 500 or 1000 pixels an inch." placeholder:"FILE"`
	Dir    string   `arg:"" help:"Where each finger is left as NN.pgm, NN its position. It is made where it is missing." placeholder:"DIR"`
}

// segmented is what scripts get.
type segmented struct {
	Kind       string       `json:"kind"`
	Hand       finger.Hand  `json:"hand"`
	WrongHand  bool         `json:"wrong_hand"`
	UpsideDown bool         `json:"upside_down"`
	TooMany    bool         `json:"too_many"`
	Angle      float64      `json:"angle"` // degrees, clockwise
	Confidence float64      `json:"confidence"`
	PPI        int          `json:"ppi"`
	Fingers    []fingertip  `json:"fingers"`
	Missing    []fingerName `json:"missing"`
}

type fingerName struct {
	Position biometric.FingerPosition `json:"position"`
	Name     string                   `json:"name"`
}

// fingertip is one finger; lengths are pixels of the slap.
type fingertip struct {
	fingerName
	File    string     `json:"file"`
	Width   int        `json:"width"`
	Height  int        `json:"height"`
	Angle   float64    `json:"angle"`
	Centre  [2]float64 `json:"centre"`
	Box     box        `json:"box"`
	Corners [4][2]int  `json:"corners"` // clockwise, from the left end of the tip's edge
}

type box struct {
	Left   int `json:"left"`
	Top    int `json:"top"`
	Right  int `json:"right"`  // the first column that is outside
	Bottom int `json:"bottom"` // the first row that is outside
}

// Run cuts the slap and writes the fingers.
func (s segmentCmd) Run(c *call) error {
	kind, err := biometric.ParseSlap(s.Kind)
	if err != nil {
		return err
	}
	absent, err := fingersNamed(s.Absent)
	if err != nil {
		return err
	}
	file, err := s.load(s.File)
	if err != nil {
		return err
	}
	found, err := finger.Segment(file.gray, file.PPI, kind, absent)
	if err != nil {
		return err
	}
	defer found.Wipe()
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("writing fingers: %w", err)
	}
	result := segmented{Kind: s.Kind, Hand: found.Hand, WrongHand: found.WrongHand, UpsideDown: found.UpsideDown, TooMany: found.TooMany,
		Angle: tenth(found.Angle), Confidence: math.Round(found.Confidence*1000) / 1000, PPI: file.PPI, Fingers: []fingertip{}, Missing: namesOf(found.Missing)}
	for _, f := range found.Fingers {
		written := describe(f, filepath.Join(s.Dir, fmt.Sprintf("%02d.pgm", int(f.Position))))
		if err := writeFinger(written.File, f.Image); err != nil {
			return err
		}
		result.Fingers = append(result.Fingers, written)
	}
	return c.print(result, func() { result.tell(c) })
}

func describe(f finger.Fingertip, path string) fingertip {
	t := fingertip{fingerName: fingerName{f.Position, f.Position.String()}, File: path,
		Width: f.Image.Rect.Dx(), Height: f.Image.Rect.Dy(), Angle: tenth(f.Angle),
		Centre: [2]float64{tenth(f.Centre[0]), tenth(f.Centre[1])},
		Box:    box{f.Box.Min.X, f.Box.Min.Y, f.Box.Max.X, f.Box.Max.Y}}
	for i, p := range f.Corners {
		t.Corners[i] = [2]int{p.X, p.Y}
	}
	return t
}

func writeFinger(path string, img *image.Gray) error {
	data := pgm.Encode(img)
	defer clear(data)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("writing a finger: %w", err)
	}
	return nil
}

func tenth(v float64) float64 { return math.Round(v*10) / 10 }

func fingersNamed(names []string) ([]biometric.FingerPosition, error) {
	var all []biometric.FingerPosition
	for _, name := range names {
		p, err := biometric.ParseFinger(name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func namesOf(positions []biometric.FingerPosition) []fingerName {
	names := []fingerName{}
	for _, p := range positions {
		names = append(names, fingerName{p, p.String()})
	}
	return names
}

// tell prints what a person reads.
func (s segmented) tell(c *call) {
	hand := map[finger.Hand]string{finger.HandRight: "right hand", finger.HandLeft: "left hand", finger.HandBoth: "both hands"}[s.Hand]
	fmt.Fprintf(c.out, "%s, turned by %.1f degrees\n", hand, s.Angle)
	for _, f := range s.Fingers {
		fmt.Fprintf(c.out, "%2d %-12s %4d x %4d px around (%.0f,%.0f), turned by %.1f degrees: %s\n",
			f.Position, f.Name, f.Width, f.Height, f.Centre[0], f.Centre[1], f.Angle, f.File)
	}
	for _, said := range s.remarks() {
		fmt.Fprintln(c.out, said)
	}
}

// remarks lists what is not as it was asked for.
func (s segmented) remarks() []string {
	var said []string
	if len(s.Missing) > 0 {
		var names []string
		for _, m := range s.Missing {
			names = append(names, m.Name)
		}
		said = append(said, "missing: "+strings.Join(names, ", "))
	}
	for _, r := range []struct {
		holds bool
		text  string
	}{{s.WrongHand, "wrong hand"}, {s.UpsideDown, "upside down"}, {s.TooMany, "too many fingers"}} {
		if r.holds {
			said = append(said, r.text)
		}
	}
	return said
}
