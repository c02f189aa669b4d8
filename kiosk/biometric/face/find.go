package face

import (
	"errors"
	"fmt"
	"image"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"loket/kiosk/biometric/face/cascade"
)

// ErrNoCascades says that the detector has nothing to detect with.
var ErrNoCascades = errors.New("no cascades for finding faces")

// The cascades that are used, by their places in OpenCV's data folder.
const (
	proposes = "lbpcascades/lbpcascade_frontalface_improved.xml"
	confirms = "haarcascades/haarcascade_frontalface_alt2.xml"
	openEyes = "haarcascades/haarcascade_eye.xml"
	anyEyes  = "haarcascades/haarcascade_eye_tree_eyeglasses.xml"
)

// cascades are read once and shared.
type cascades struct {
	first, second, openEye, anyEye *cascade.Cascade
}

func openCascades(folder string) (*cascades, error) {
	var c cascades
	for _, part := range []struct {
		name string
		to   **cascade.Cascade
	}{{proposes, &c.first}, {confirms, &c.second}, {openEyes, &c.openEye}, {anyEyes, &c.anyEye}} {
		f, err := os.Open(filepath.Join(folder, part.name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w (hint: apt-get install opencv-data, or name the folder that has lbpcascades and haarcascades)", ErrNoCascades, err)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoCascades, err)
		}
		*part.to, err = cascade.Read(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w (hint: apt-get install --reinstall opencv-data)", ErrNoCascades, part.name, err)
		}
	}
	return &c, nil
}

// found is one face: where its box lies, turned by an angle about its middle, and its eyes, the one on the left of the
// picture first.
type found struct {
	middle point
	side   float64 // of the box, px
	angle  float64 // clockwise, radians
	eyes   [2]point
	open   float64 // as Face has it
	sure   float64
}

// face is what others get to see: the box reaches from the forehead to the chin.
func (c found) face() Face {
	h := headOf(c.eyes)
	middle := h.to(0, 0.55)
	half := 1.05 * h.unit
	return Face{
		Box:  image.Rect(int(math.Round(middle.x-half)), int(math.Round(middle.y-half)), int(math.Round(middle.x+half)), int(math.Round(middle.y+half))),
		Eyes: [2]Point{{c.eyes[0].x, c.eyes[0].y}, {c.eyes[1].x, c.eyes[1].y}}, Roll: h.angle * 180 / math.Pi, Open: c.open,
	}
}

// finder looks for faces in one picture at a time, and keeps its memory for the next.
type finder struct {
	*cascades
	detector cascade.Detector
	pyramid  pyramid
	view     image.Gray // what is searched
	patch    image.Gray // one face
	grey     image.Gray // of a picture in other colours
	samples  [4][]float64
	votes    votes
}

func (f *finder) wipe() {
	f.detector.Wipe()
	f.pyramid.wipe()
	clear(f.view.Pix)
	clear(f.patch.Pix)
	clear(f.grey.Pix)
	for _, s := range f.samples {
		clear(s[:cap(s)])
	}
	f.votes.wipe()
}

// How the search is laid out.
const (
	searchSide = 300 // px of the shorter side of what is searched; the least face is as large as the cascade's window
	searchStep = 1.2
	leastHits  = 0 // more than so many are looked at
)

// turns are the angles that are tried, degrees, in rounds: the next only if the one before finds nobody.
func (w Want) turns() [][]float64 {
	rounds := [][]float64{{0}, {-15, 15}, {-28, 28}}
	if w.Frame == 0 {
		return rounds
	}
	aside := slices.Concat(rounds[1:]...)
	return [][]float64{{0}, {aside[w.Frame%len(aside)]}}
}

// find gives all faces, the largest first. A face that was in the picture before is looked for where it was, and then no other.
func (f *finder) find(luma plane, want Want) []found {
	f.pyramid.build(luma)
	if want.Before != nil {
		if c := want.Before.candidate(); f.confirm(&c) {
			return []found{c}
		}
	}
	for _, round := range want.turns() {
		var all []found
		for _, degrees := range round {
			all = append(all, f.look(luma, degrees*math.Pi/180)...)
		}
		if all = distinct(all); len(all) > 0 {
			return all
		}
	}
	return nil
}

// candidate is what the proposing cascade would make of a face.
func (f Face) candidate() found {
	h := headOf([2]point{{f.Eyes[0].X, f.Eyes[0].Y}, {f.Eyes[1].X, f.Eyes[1].Y}})
	return found{middle: h.to(0, (patchSide/2.0-eyeLine)/eyeApart), side: h.unit * patchBox / eyeApart, angle: h.angle}
}

// look searches the picture turned by an angle.
func (f *finder) look(luma plane, angle float64) []found {
	w, h := float64(luma.width), float64(luma.height)
	step := max(min(w, h)/searchSide, 1)
	sin, cos := math.Abs(math.Sin(angle)), math.Abs(math.Cos(angle))
	view := frame{middle: point{(w - 1) / 2, (h - 1) / 2}, angle: angle, step: step,
		width: int((w*cos + h*sin) / step), height: int((w*sin + h*cos) / step)}
	f.pyramid.sample(&f.view, view)
	stretch(&f.view)
	var out []found
	for _, o := range f.detector.Detect(f.first, &f.view, cascade.Options{Step: searchStep, Neighbours: leastHits, Middles: view.span(w, h), Coarse: true}) {
		middle := point{float64(o.Min.X+o.Max.X-1) / 2, float64(o.Min.Y+o.Max.Y-1) / 2}
		c := found{middle: view.to(middle), side: float64(o.Dx()) * step, angle: angle, sure: float64(o.Hits)}
		if f.confirm(&c) {
			out = append(out, c)
		}
	}
	return out
}

// span gives where a frame shows a picture of that size; nil for everywhere.
func (f frame) span(width, height float64) cascade.Span {
	if f.angle == 0 {
		return nil
	}
	return func(y float64) (from, to float64) {
		start, next := f.to(point{0, y}), f.to(point{1, y})
		step := next.sub(start)
		from, to = 0, float64(f.width)
		for _, side := range [2][3]float64{{start.x, step.x, width}, {start.y, step.y, height}} {
			enters, leaves := -side[0]/side[1], (side[2]-side[0])/side[1]
			from, to = max(from, min(enters, leaves)), min(to, max(enters, leaves))
		}
		return from, to
	}
}

// distinct drops faces that lie over a surer one, and puts the largest first.
func distinct(all []found) []found {
	slices.SortFunc(all, func(a, b found) int { return int(math.Copysign(1, b.sure-a.sure)) })
	var out []found
	for _, c := range all {
		if !slices.ContainsFunc(out, func(o found) bool { return o.middle.distance(c.middle) < max(o.side, c.side)*0.6 }) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b found) int { return int(math.Copysign(1, b.side-a.side)) })
	return out
}
