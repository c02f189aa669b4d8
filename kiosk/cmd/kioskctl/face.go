package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/face"
	"loket/kiosk/plan"
)

type faceCmd struct {
	Check faceCheckCmd `cmd:"" help:"Judge a photograph (PNG or JPEG) by a policy's criteria, without a daemon."`
}

type faceCheckCmd struct {
	Image    string `arg:"" type:"existingfile" help:"The photograph."`
	Policy   string `default:"nl-residence-permit" help:"The policy whose criteria hold." placeholder:"ID"`
	Cascades string `default:"/usr/share/opencv4" env:"LOKET_CASCADES" help:"Where OpenCV's cascades are: Debian's opencv-data." placeholder:"FOLDER"`
}

// photograph is what is said of one, for scripts.
type photograph struct {
	Faces     int            `json:"faces"`
	Box       *rectangle     `json:"box"`
	Eyes      []face.Point   `json:"eyes"` // the one on the left of the picture first
	Roll      *float64       `json:"roll"` // degrees, clockwise as seen
	Width     int            `json:"width"`
	Height    int            `json:"height"`
	Criteria  []criterion    `json:"criteria"`
	Score     int            `json:"score"`
	Algorithm string         `json:"algorithm"`
	Version   string         `json:"version"`
	Policy    string         `json:"policy"`
	Digest    string         `json:"digest"` // of the policy
	Meets     bool           `json:"meets"`  // every mandatory criterion
	Hint      biometric.Hint `json:"hint"`
}

type rectangle struct {
	X      int `json:"x"`
	Y      int `json:"y"`
	Width  int `json:"width"`
	Height int `json:"height"`
}

type criterion struct {
	Name      string            `json:"name"`
	Value     *float64          `json:"value"` // null where it is not available
	Threshold string            `json:"threshold"`
	Min       *float64          `json:"min,omitempty"`
	Max       *float64          `json:"max,omitempty"`
	Verdict   biometric.Verdict `json:"verdict"`
	Mandatory bool              `json:"mandatory"`
	Rough     bool              `json:"rough,omitempty"` // an estimate
	Hint      biometric.Hint    `json:"hint"`
}

// Run judges one file. It needs no daemon.
func (f faceCheckCmd) Run(c *call) error {
	policy, err := plan.LoadPolicy(f.Policy)
	if err != nil {
		return err
	}
	if policy.Face == nil {
		return fmt.Errorf("judging a photograph: policy %s captures no faces (hint: --policy names another)", f.Policy)
	}
	data, err := readPhotograph(f.Image)
	if err != nil {
		return err
	}
	analyser, err := face.Open(f.Cascades)
	if err != nil {
		return fmt.Errorf("judging a photograph: not available: %w", err)
	}
	report, err := analyser.Analyse(data, face.Want{Criteria: policy.Face.Criteria})
	if err != nil {
		return fmt.Errorf("judging %s: %w (hint: a PNG or a JPEG is wanted)", f.Image, err)
	}
	p := photographOf(report)
	p.Policy, p.Digest = policy.ID, policy.Digest()
	return c.print(p, func() { p.text(c.out) })
}

// readPhotograph reads a file of at most 64 MiB.
func readPhotograph(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the photograph: %w", err)
	}
	defer file.Close()
	const limit = 64 << 20
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && len(data) > limit {
		err = errors.New("it is larger than 64 MiB")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the photograph: %w", err)
	}
	return data, nil
}

func photographOf(r face.Report) photograph {
	p := photograph{Faces: len(r.Faces), Eyes: []face.Point{}, Width: r.Width, Height: r.Height, Criteria: []criterion{}, Score: r.Quality.Score,
		Algorithm: r.Quality.Algorithm, Version: r.Quality.Version, Meets: r.Meets, Hint: r.Hint}
	if len(r.Faces) > 0 {
		f := r.Faces[0]
		p.Box = &rectangle{f.Box.Min.X, f.Box.Min.Y, f.Box.Dx(), f.Box.Dy()}
		p.Eyes, p.Roll = f.Eyes[:], &f.Roll
	}
	for _, j := range r.Judgements {
		c := criterion{Name: j.Name, Threshold: j.Limits(), Min: j.Min, Max: j.Max, Verdict: j.Verdict, Mandatory: j.Mandatory, Rough: j.Rough, Hint: j.Hint}
		if j.Verdict != biometric.NotAvailable {
			c.Value = &j.Value
		}
		p.Criteria = append(p.Criteria, c)
	}
	return p
}

// text is what a person reads.
func (p photograph) text(out io.Writer) {
	fmt.Fprintf(out, "%d x %d px, faces: %d\n", p.Width, p.Height, p.Faces)
	if p.Box != nil {
		fmt.Fprintf(out, "face %d x %d px at (%d,%d), eyes at (%.1f,%.1f) and (%.1f,%.1f), roll %.1f degrees\n",
			p.Box.Width, p.Box.Height, p.Box.X, p.Box.Y, p.Eyes[0].X, p.Eyes[0].Y, p.Eyes[1].X, p.Eyes[1].Y, *p.Roll)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CRITERION\tVALUE\tLIMITS\tVERDICT\t\tHINT")
	for _, c := range p.Criteria {
		value, kind := "-", "optional"
		if c.Value != nil {
			value = fmt.Sprintf("%.4g", *c.Value)
		}
		if c.Rough {
			value = "about " + value
		}
		if c.Mandatory {
			kind = "mandatory"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Name, value, c.Threshold, c.Verdict, kind, c.Hint)
	}
	_ = w.Flush()
	fmt.Fprintf(out, "score %d of 100 by %s %s, policy %s\n", p.Score, p.Algorithm, p.Version, p.Policy)
}
