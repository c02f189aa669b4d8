package face

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"sync"

	"loket/kiosk/biometric"
)

// Cascades is where Debian's opencv-data has its cascades.
const Cascades = "/usr/share/opencv4"

// DetectorAlgorithm and DetectorVersion name the scores and measures of [Analyser]. They are this project's own, and no
// measures of ISO/IEC 29794-5.
const (
	DetectorAlgorithm = "loket-face"
	DetectorVersion   = "1"
)

// Analyser finds faces and judges a photograph by criteria. It may be called from several goroutines at once.
type Analyser struct {
	cascades *cascades
	finders  sync.Pool
}

// Open reads the cascades from a folder like [Cascades]. [ErrNoCascades] says that they are not there.
func Open(folder string) (*Analyser, error) {
	c, err := openCascades(folder)
	if err != nil {
		return nil, fmt.Errorf("opening the face analyser: %w", err)
	}
	return &Analyser{cascades: c}, nil
}

// Analyse judges a JPEG of at most [MaxPixels], or a PNG of a quarter of that. It reads data only and overwrites what it decodes.
func (a *Analyser) Analyse(data []byte, want Want) (Report, error) {
	img, err := decode(data)
	if err != nil {
		return Report{}, fmt.Errorf("analysing a photograph: %w", err)
	}
	defer Wipe(img)
	r := a.Judge(img, want)
	r.Quality.Measures[MeasureRatio] = float64(3*r.Width*r.Height) / float64(len(data))
	return r, nil
}

// Judge judges a photograph that is decoded already. It only reads it.
func (a *Analyser) Judge(img image.Image, want Want) Report {
	f, _ := a.finders.Get().(*finder)
	if f == nil {
		f = &finder{}
	}
	f.cascades = a.cascades
	defer func() {
		f.wipe()
		a.finders.Put(f)
	}()
	size := img.Bounds().Size()
	r := Report{Width: size.X, Height: size.Y}
	for _, c := range f.find(f.luma(img), want) {
		r.Faces = append(r.Faces, c.face())
	}
	view, room := want.framing(size, r.Faces)
	m := f.measure(img, r.Faces, view)
	r.Judgements = judge(m, want.Criteria)
	r.Mend = mendable(r.Judgements)
	r.Hint = firstHint(r.Judgements)
	switch {
	case len(r.Faces) == 0:
		r.Hint = biometric.HintNoFace
	case len(r.Faces) > 1:
		r.Hint = biometric.HintSeveralFaces
	case room != nil:
		r.Hint = room.Hint
	}
	r.Meets = len(r.Faces) == 1 && room == nil && size.X >= want.MinWidth && size.Y >= want.MinHeight
	for _, j := range r.Judgements {
		r.Meets = r.Meets && (!j.Mandatory || j.Verdict == biometric.Pass)
	}
	r.Quality = biometric.Quality{Score: score(r.Judgements, len(r.Faces)), Algorithm: DetectorAlgorithm, Version: DetectorVersion, Measures: m}
	return r
}

// framing is the part of a picture that counts: the portrait that would be cut out of it, where there is room for one.
func (w Want) framing(size image.Point, faces []Face) (frame, *RoomError) {
	if w.Portrait == nil || len(faces) != 1 {
		return whole(size), nil
	}
	v, err := w.Portrait.lay(size, faces[0])
	var room *RoomError
	if errors.As(err, &room) {
		return whole(size), room
	}
	return v, nil
}

// whole is a frame of all of a picture.
func whole(size image.Point) frame {
	return frame{middle: point{float64(size.X-1) / 2, float64(size.Y-1) / 2}, step: 1, width: size.X, height: size.Y}
}

// luma gives the picture's grey levels: its own where it has them, else the finder's copy.
func (f *finder) luma(img image.Image) plane {
	switch m := img.(type) {
	case *image.YCbCr:
		return plane{m.Y[m.YOffset(m.Rect.Min.X, m.Rect.Min.Y):], m.YStride, m.Rect.Dx(), m.Rect.Dy()}
	case *image.Gray:
		return plane{m.Pix[m.PixOffset(m.Rect.Min.X, m.Rect.Min.Y):], m.Stride, m.Rect.Dx(), m.Rect.Dy()}
	}
	b := img.Bounds()
	if n := b.Dx() * b.Dy(); cap(f.grey.Pix) < n {
		f.grey.Pix = make([]uint8, n)
	} else {
		f.grey.Pix = f.grey.Pix[:n]
	}
	f.grey.Stride, f.grey.Rect = b.Dx(), image.Rect(0, 0, b.Dx(), b.Dy())
	draw.Draw(&f.grey, f.grey.Rect, img, b.Min, draw.Src)
	return plane{f.grey.Pix, f.grey.Stride, b.Dx(), b.Dy()}
}

// maxPNG bounds the pixels of a PNG, each of which may take eight bytes.
const maxPNG = MaxPixels / 4

// decode reads a JPEG or a PNG.
func decode(data []byte) (image.Image, error) {
	if !bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")) {
		return Decode(data)
	}
	c, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decoding the PNG: %w", err)
	}
	if c.Width == 0 || c.Height == 0 || c.Width > maxPNG/c.Height {
		return nil, fmt.Errorf("decoding the PNG: %d x %d pixels are not accepted", c.Width, c.Height)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decoding the PNG: %w", err)
	}
	if img.Bounds().Empty() {
		return nil, errors.New("decoding the PNG: it is empty")
	}
	return img, nil
}

// bits is how much colour a picture's pixels hold.
func bits(img image.Image) float64 {
	switch img.ColorModel() {
	case color.GrayModel, color.Gray16Model:
		return 8
	}
	return 24
}
