package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"loket/kiosk/biometric/pgm"
	"loket/kiosk/biometric/wsq"
)

type wsqEncodeCmd struct {
	imageFlags
	Rate float64 `default:"0.75" help:"Bits a pixel to aim at; 0.75 is about 15:1."`
	In   string  `arg:"" help:"A finger image: PGM, PNG or WSQ." placeholder:"IN"`
	Out  string  `arg:"" help:"WSQ file to write." placeholder:"OUT"`
}

// encodedReport is what --json prints of a file that was encoded.
type encodedReport struct {
	Width      int     `json:"width"`
	Height     int     `json:"height"`
	PPI        int     `json:"ppi"`
	Resampled  int     `json:"resampled_from_ppi,omitempty"`
	Bytes      int     `json:"bytes"`
	Rate       float64 `json:"rate"`  // bits a pixel that were aimed at
	Ratio      float64 `json:"ratio"` // that came of it
	Recoded    bool    `json:"recoded"`
	Certified  bool    `json:"certified"`
	Algorithm  string  `json:"algorithm"`
	Version    string  `json:"version"`
	MediaType  string  `json:"media_type"`
	OutputFile string  `json:"file"`
}

// Run writes the file.
func (e wsqEncodeCmd) Run(c *call) error {
	file, err := e.load(e.In)
	if err != nil {
		return err
	}
	native := file.PPI
	gray, ppi := file.usual()
	data, err := wsq.Encode(gray, wsq.Options{Rate: e.Rate, PPI: ppi})
	if err != nil {
		return err
	}
	if err := writeBeside(e.In, e.Out, data); err != nil {
		return err
	}
	r := encodedReport{Width: gray.Rect.Dx(), Height: gray.Rect.Dy(), PPI: ppi, Bytes: len(data), Rate: e.Rate,
		Ratio: float64(len(gray.Pix)) / float64(len(data)), Recoded: file.Format == "wsq",
		Algorithm: wsq.AlgorithmName, Version: wsq.Version, MediaType: wsq.MediaType, OutputFile: e.Out}
	if ppi != native {
		r.Resampled = native
	}
	return c.print(r, func() { c.encoded(r) })
}

func (c *call) encoded(r encodedReport) {
	fmt.Fprintf(c.out, "%s: %d x %d px at %d ppi, %d bytes, %.1f:1\n", r.OutputFile, r.Width, r.Height, r.PPI, r.Bytes, r.Ratio)
	if r.Resampled != 0 {
		fmt.Fprintf(c.notes, "brought from %d to %d pixels an inch\n", r.Resampled, r.PPI)
	}
	if r.Recoded {
		fmt.Fprintln(c.notes, "the input was WSQ: this is a second loss")
	}
	fmt.Fprintln(c.notes, "the encoder is not certified by the FBI")
}

type wsqDecodeCmd struct {
	In  string `arg:"" help:"A WSQ file." placeholder:"IN"`
	Out string `arg:"" help:"PGM file to write." placeholder:"OUT"`
}

// decodedReport is what --json prints of a file that was decoded.
type decodedReport struct {
	Width      int      `json:"width"`
	Height     int      `json:"height"`
	PPI        int      `json:"ppi,omitempty"`
	Rate       float64  `json:"rate,omitempty"`
	Ratio      float64  `json:"ratio"`
	Encoder    uint8    `json:"encoder"`
	Software   uint16   `json:"software"`
	Comments   []string `json:"comments"`
	OutputFile string   `json:"file"`
}

// Run writes the file.
func (d wsqDecodeCmd) Run(c *call) error {
	data, err := readBounded(d.In, maxImageFile)
	if err != nil {
		return fmt.Errorf("reading %s: %w", d.In, err)
	}
	img, err := wsq.Decode(data)
	if err != nil {
		return fmt.Errorf("reading %s: %w", d.In, err)
	}
	if err := writeBeside(d.In, d.Out, pgm.Encode(img.Gray)); err != nil {
		return err
	}
	r := decodedReport{Width: img.Width, Height: img.Height, PPI: img.PPI, Rate: img.Rate, Encoder: img.Algorithm,
		Software: img.Software, Comments: append([]string{}, img.Comments...), OutputFile: d.Out,
		Ratio: float64(len(img.Gray.Pix)) / float64(len(data))}
	return c.print(r, func() {
		scale := "of no known scale"
		if r.PPI != 0 {
			scale = fmt.Sprintf("at %d ppi", r.PPI)
		}
		fmt.Fprintf(c.out, "%s: %d x %d px %s, was %.1f:1, encoder %d, software %d\n", r.OutputFile, r.Width, r.Height, scale, r.Ratio, r.Encoder, r.Software)
	})
}

// writeBeside writes a whole file, unless it is the input under whatever name. It leaves no half of one.
func writeBeside(in, out string, data []byte) error {
	if err := apart(in, out); err != nil {
		return fmt.Errorf("writing %s: %w", out, err)
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		return nil
	}
	if st, gone := os.Stat(out); gone == nil && st.Mode().IsRegular() {
		err = errors.Join(err, os.Remove(out))
	}
	return fmt.Errorf("writing: %w", err)
}

// apart refuses an output that is the input.
func apart(in, out string) error {
	from, err := os.Stat(in)
	if err != nil {
		return err
	}
	to, err := os.Stat(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case os.SameFile(from, to):
		return errors.New("it is the input (hint: name another file)")
	}
	return nil
}
