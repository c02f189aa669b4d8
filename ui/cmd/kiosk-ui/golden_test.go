//go:build cgo && window

package main

import (
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"path/filepath"
	"testing"

	"gioui.org/gpu/headless"

	"loket/ui"
	"loket/ui/uitest"
	"loket/ui/uitest/golden"
)

var update = flag.Bool("update", false, "write the golden pictures")

// Every screen in the first language, and in every other, larger and in high contrast, those that differ most.
func TestEveryScreenLooksAsItDid(t *testing.T) {
	t.Setenv("EGL_PLATFORM", "surfaceless")
	var c cli
	screen, err := c.prepare()
	if err != nil {
		t.Skip(err)
	}
	window, err := headless.NewWindow(1280, 800)
	if err != nil {
		t.Skipf("nothing draws here: %v (hint: apt-get install libgl1-mesa-dri libegl1)", err)
	}
	defer window.Release()
	shown := map[ui.Picture]image.Image{ui.PictureFace: flat(color.RGBA{R: 90, G: 120, B: 150, A: 255}), ui.PictureGlass: flat(color.RGBA{R: 200, G: 200, B: 200, A: 255}),
		ui.PicturePad: signed(7)}
	p := painter{screen: screen, window: window, views: shown}
	list, err := uitest.Samples()
	if err != nil {
		t.Fatal(err)
	}
	telling := map[string]bool{"attract": true, "code": true, "confirm": true, "today": true, "fingers": true, "fingers.missing": true, "review.exceptions": true, "warning": true, "done": true}
	for _, x := range list {
		for i, l := range ui.Languages() {
			v := drawing{Language: l.Tag, Contrast: string(ui.ContrastStandard), Size: 1}
			if i > 0 {
				v.Contrast, v.Size = string(ui.ContrastHigh), 3
			}
			if i > 0 && !telling[x.Name] {
				continue
			}
			got, err := p.draw(x, v)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, filepath.Join("testdata", "golden", fmt.Sprintf("%s-%s.png", x.Name, l.Tag)), got, *update)
		}
	}
}

// flat stands for a live view.
func flat(c color.Color) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, 320, 180))
	draw.Draw(img, img.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	return img
}
