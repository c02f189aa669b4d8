//go:build cgo && window

package ui

import (
	"flag"
	"image"
	"os"
	"testing"

	"gioui.org/gpu/headless"
	"gioui.org/layout"
	"gioui.org/op"

	"loket/ui/uitest/golden"
)

var update = flag.Bool("update", false, "write the golden pictures")

// A vowel of Hindi and those of a vocalised Arabic word stand at their letters, not beside them.
func TestMarksStandWhereTheyBelong(t *testing.T) {
	if err := os.Setenv("EGL_PLATFORM", "surfaceless"); err != nil {
		t.Fatal(err)
	}
	faces, err := LoadFonts(FontFolders()...)
	if err != nil {
		t.Skip(err)
	}
	window, err := headless.NewWindow(640, 320)
	if err != nil {
		t.Skipf("nothing draws here: %v (hint: apt-get install libgl1-mesa-dri libegl1)", err)
	}
	defer window.Release()
	theme, err := LoadTheme(nil)
	if err != nil {
		t.Fatal(err)
	}
	var ops op.Ops
	u := New(theme, nil, faces)
	gtx := layout.Context{Ops: &ops, Metric: Metric(image.Pt(designWidth, designHeight)), Constraints: layout.Exact(image.Pt(640, 320))}
	c := &canvas{Context: gtx, ui: u, colour: theme.Colours[ContrastStandard], w: 640, h: 320}
	c.ground(nil)
	c.label(box{20, 10, 600, 140}, style{size: 90, colour: c.colour.Text}, "कृपया", "")
	c.label(box{20, 160, 600, 140}, style{size: 90, colour: c.colour.Text}, "مُحَمَّدٌ", "")
	if err := window.Frame(&ops); err != nil {
		t.Fatal(err)
	}
	got := image.NewRGBA(image.Rect(0, 0, 640, 320))
	if err := window.Screenshot(got); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/marks.png", got, *update)
}
