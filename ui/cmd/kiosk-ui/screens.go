//go:build cgo && window

package main

import (
	"bufio"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gioui.org/gpu/headless"
	"gioui.org/io/input"
	"gioui.org/layout"
	"gioui.org/op"
	xdraw "golang.org/x/image/draw"

	"loket/firmware-sim/synth"
	"loket/kiosk/biometric/ink"
	"loket/ui"
	"loket/ui/uitest"
)

// drawing is one picture that was made.
type drawing struct {
	File, Name, Language string
	Contrast             string
	Size                 int
}

// Run draws every screen in every language, contrast and size. It asks for no display.
func (s *screensCmd) Run(c *cli) error {
	// Mesa reads this at its first call: no display is asked for.
	if err := os.Setenv("EGL_PLATFORM", "surfaceless"); err != nil {
		return err
	}
	screen, err := c.prepare()
	if err != nil {
		return err
	}
	samples, err := uitest.Samples()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Out, 0o755); err != nil {
		return fmt.Errorf("drawing screens: %w", err)
	}
	window, err := headless.NewWindow(1280, 800)
	if err != nil {
		return fmt.Errorf("drawing screens: %w (hint: apt-get install libgl1-mesa-dri libegl1)", err)
	}
	defer window.Release()
	shown, err := views()
	if err != nil {
		return err
	}
	p := painter{screen: screen, window: window, views: shown}
	var made []drawing
	for _, x := range samples {
		if !strings.HasPrefix(x.Name, s.Only) {
			continue
		}
		for _, v := range s.variants() {
			v.Name, v.File = x.Name, fmt.Sprintf("%s-%s-%s-%d.png", x.Name, v.Language, v.Contrast, v.Size)
			if err := p.paint(filepath.Join(s.Out, v.File), x, v); err != nil {
				return err
			}
			made = append(made, v)
		}
	}
	fmt.Printf("%d pictures, %d remarks; look at %s\n", len(made), p.remarks, filepath.Join(s.Out, "index.html"))
	return index(filepath.Join(s.Out, "index.html"), made)
}

// variants lists what each screen is drawn in.
func (s *screensCmd) variants() []drawing {
	var list []drawing
	for _, l := range ui.Languages() {
		if len(s.Language) > 0 && !slices.Contains(s.Language, l.Tag) {
			continue
		}
		for _, contrast := range []ui.Contrast{ui.ContrastStandard, ui.ContrastHigh} {
			for size := 1; size <= 3; size++ {
				if !s.Quick || contrast == ui.ContrastStandard && size == 1 {
					list = append(list, drawing{Language: l.Tag, Contrast: string(contrast), Size: size})
				}
			}
		}
	}
	return list
}

// painter draws one screen after the other.
type painter struct {
	screen  *ui.UI
	window  *headless.Window
	views   map[ui.Picture]image.Image
	router  input.Router
	ops     op.Ops
	remarks int
}

func (p *painter) paint(file string, x uitest.Sample, v drawing) error {
	whole, err := p.draw(x, v)
	if err != nil {
		return fmt.Errorf("drawing %s: %w", file, err)
	}
	for _, f := range p.screen.Faults() {
		p.remarks++
		fmt.Fprintf(os.Stderr, "%s: %s\n", filepath.Base(file), f)
	}
	return write(file, whole)
}

// draw draws a screen with what its device would show.
func (p *painter) draw(x uitest.Sample, v drawing) (*image.RGBA, error) {
	size := p.window.Size()
	p.screen.Local = x.Local
	p.screen.Local.Choice = ui.Choice{Language: v.Language, Size: v.Size - 1, High: v.Contrast == string(ui.ContrastHigh)}
	p.ops.Reset()
	gtx := layout.Context{Ops: &p.ops, Now: uitest.Now(), Metric: ui.Metric(size), Source: p.router.Source(), Constraints: layout.Exact(size)}
	p.screen.Update(gtx, x.Status)
	slot := p.screen.Draw(gtx)
	p.router.Frame(&p.ops)
	if err := p.window.Frame(&p.ops); err != nil {
		return nil, err
	}
	over := image.NewRGBA(image.Rectangle{Max: size})
	if err := p.window.Screenshot(over); err != nil {
		return nil, err
	}
	whole := image.NewRGBA(over.Rect)
	draw.Draw(whole, whole.Rect, image.NewUniform(color.Black), image.Point{}, draw.Src)
	if slot != nil {
		view := p.views[slot.Picture]
		xdraw.BiLinear.Scale(whole, slot.Rect, view, cover(view.Bounds(), slot.Rect), draw.Src, nil)
	}
	draw.Draw(whole, whole.Rect, over, image.Point{}, draw.Over)
	return whole, nil
}

// cover is the part in the middle of a view that fills a place of another shape.
func cover(view, place image.Rectangle) image.Rectangle {
	w, h := view.Dx(), view.Dx()*place.Dy()/place.Dx()
	if h > view.Dy() {
		w, h = view.Dy()*place.Dx()/place.Dy(), view.Dy()
	}
	at := image.Pt(view.Min.X+(view.Dx()-w)/2, view.Min.Y+(view.Dy()-h)/2)
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(w, h))}
}

// views are what the devices would show: people of the simulation.
func views() (map[ui.Picture]image.Image, error) {
	face := synth.Scene{Who: 7}.Render().View()
	mirrored := image.NewRGBA(face.Bounds())
	b := face.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			mirrored.Set(b.Max.X-1-(x-b.Min.X), y, face.At(x, y))
		}
	}
	var library synth.Library
	glass, _, err := library.Slap(synth.Slap{Who: 7, Fingers: []synth.Position{synth.LeftIndex, synth.RightIndex}, Touch: synth.Usual(1)})
	if err != nil {
		return nil, fmt.Errorf("pressing fingers on the glass: %w", err)
	}
	return map[ui.Picture]image.Image{ui.PictureFace: mirrored, ui.PictureGlass: glass, ui.PicturePad: signed(7)}, nil
}

// signed is what somebody wrote on a pad.
func signed(who synth.Person) image.Image {
	k := ink.Ink{Width: 100 * synth.ScribbleWidth, Height: 100 * synth.ScribbleHeight}
	for _, s := range who.Scribble() {
		var stroke ink.Stroke
		for _, p := range s {
			stroke = append(stroke, ink.Point{X: int(100 * p.X), Y: int(100 * p.Y), T: int(1000 * p.T), Force: int(1000 * p.Force)})
		}
		k.Strokes = append(k.Strokes, stroke)
	}
	return k.Draw()
}

func write(file string, img image.Image) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	e := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := e.Encode(out, img); err != nil {
		_ = f.Close()
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := out.Flush(); err != nil {
		_ = f.Close()
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return f.Close()
}

const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>loket: every screen</title>
<style>body{font:16px sans-serif;margin:2rem;background:#eee}figure{display:inline-block;margin:.5rem}img{width:400px;border:1px solid #888}</style>
<h1>Every screen</h1>
{{range .}}<figure><a href="{{.File}}"><img loading="lazy" src="{{.File}}" alt="{{.Name}} in {{.Language}}"></a>
<figcaption>{{.Name}} · {{.Language}} · {{.Contrast}} · size {{.Size}}</figcaption></figure>
{{end}}</html>
`

func index(file string, made []drawing) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := template.Must(template.New("index").Parse(page)).Execute(f, made); err != nil {
		_ = f.Close()
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return f.Close()
}
