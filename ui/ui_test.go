package ui_test

import (
	"image"
	"strings"
	"testing"

	"gioui.org/font"
	"gioui.org/io/input"
	"gioui.org/io/semantic"
	"gioui.org/layout"
	"gioui.org/op"

	"loket/ui"
	"loket/ui/uitest"
)

// screen is a UI without a window.
type screen struct {
	*ui.UI
	router input.Router
	ops    op.Ops
	size   image.Point
}

func newScreen(t *testing.T, faces []font.FontFace) *screen {
	t.Helper()
	theme, err := ui.LoadTheme(nil)
	if err != nil {
		t.Fatal(err)
	}
	words, err := ui.NewWords()
	if err != nil {
		t.Fatal(err)
	}
	return &screen{UI: ui.New(theme, words, faces), size: image.Pt(1280, 800)}
}

func fonts(t *testing.T) []font.FontFace {
	t.Helper()
	faces, err := ui.LoadFonts(ui.FontFolders()...)
	if err != nil {
		t.Skip(err)
	}
	return faces
}

// show draws a sample and returns the nodes of its semantics tree.
func (s *screen) show(x uitest.Sample, c ui.Choice) []input.SemanticNode {
	s.Local = x.Local
	s.Local.Choice = c
	return s.frame(x)
}

func (s *screen) frame(x uitest.Sample) []input.SemanticNode {
	s.ops.Reset()
	gtx := layout.Context{Ops: &s.ops, Now: uitest.Now(), Metric: ui.Metric(s.size), Source: s.router.Source(), Constraints: layout.Exact(s.size)}
	s.Update(gtx, x.Status)
	s.Draw(gtx)
	s.router.Frame(&s.ops)
	return s.router.AppendSemantics(nil)
}

func samples(t *testing.T) []uitest.Sample {
	t.Helper()
	list, err := uitest.Samples()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// everywhere runs a test on every screen in every language at the given sizes.
func everywhere(t *testing.T, sizes []int, test func(t *testing.T, s *screen, x uitest.Sample, nodes []input.SemanticNode)) {
	faces := fonts(t)
	for _, l := range ui.Languages() {
		for _, size := range sizes {
			s := newScreen(t, faces)
			for _, x := range samples(t) {
				nodes := s.show(x, ui.Choice{Language: l.Tag, Size: size})
				t.Run(l.Tag+"/"+string(rune('1'+size))+"/"+x.Name, func(t *testing.T) { test(t, s, x, nodes) })
			}
		}
	}
}

func TestEverySampleShowsThePageOfItsName(t *testing.T) {
	everywhere(t, []int{0}, func(t *testing.T, s *screen, x uitest.Sample, _ []input.SemanticNode) {
		if id, _, _ := strings.Cut(x.Name, "."); s.Page().ID != id {
			t.Errorf("it shows %q", s.Page().ID)
		}
	})
}

func TestEveryTextFitsAndHasItsLetters(t *testing.T) {
	everywhere(t, []int{0, 1, 2}, func(t *testing.T, s *screen, _ uitest.Sample, _ []input.SemanticNode) {
		for _, f := range s.Faults() {
			t.Error(f)
		}
	})
}

func TestEveryScreenIsReadFromTitleToTools(t *testing.T) {
	everywhere(t, []int{0}, func(t *testing.T, s *screen, _ uitest.Sample, nodes []input.SemanticNode) {
		var read []string
		for _, n := range nodes {
			switch {
			case n.Desc.Class == semantic.Button && n.Desc.Label == "":
				t.Errorf("a button at %v has no name", n.Desc.Bounds)
			case n.Desc.Class == semantic.Button:
				read = append(read, "button "+n.Desc.Label)
			case n.Desc.Label != "":
				read = append(read, n.Desc.Label)
			}
		}
		p := s.Page()
		order := []string{p.Title}
		order = append(order, p.Private...)
		order = append(order, p.Lines...)
		if p.Primary != nil {
			order = append(order, "button "+p.Primary.Label)
		}
		for _, a := range append(p.Others, p.Tools...) {
			order = append(order, "button "+a.Label)
		}
		at := 0
		for _, want := range order {
			found := -1
			for i := at; i < len(read); i++ {
				if read[i] == want {
					found = i
					break
				}
			}
			if found < 0 {
				t.Fatalf("%q is not read after %q; all: %q", want, read[max(at-1, 0)], read)
			}
			at = found + 1
		}
	})
}
