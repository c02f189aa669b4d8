package ink

import (
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"strings"
	"testing"
)

// written is two strokes on 80 by 40 mm, with force or without.
func written(force int) Ink {
	k := Ink{Width: 8000, Height: 4000}
	t := 0
	for _, row := range []int{1000, 2500} {
		var s Stroke
		for x := 1000; x <= 6000; x += 100 {
			s = append(s, Point{X: x, Y: row + (x/100%10)*40, T: t, Force: force})
			t += 8
		}
		k.Strokes = append(k.Strokes, s)
		t += 200
	}
	return k
}

func TestASignatureIsDrawnWhereItWasWritten(t *testing.T) {
	img := written(0).Draw()
	if want := image.Rect(0, 0, 945, 473); img.Rect != want {
		t.Fatalf("80 by 40 mm are %v px at %d ppi, want %v", img.Rect, PPI, want)
	}
	dark := func(x, y int) bool { return img.GrayAt(x*PPI/hundredthsAnInch, y*PPI/hundredthsAnInch).Y < 64 }
	for _, s := range written(0).Strokes {
		for _, p := range s {
			if !dark(p.X, p.Y) {
				t.Fatalf("nothing is drawn at %v", p)
			}
		}
	}
	if dark(500, 500) || dark(3000, 3500) {
		t.Error("something is drawn where nothing was written")
	}
}

func TestMoreForceMakesABroaderLine(t *testing.T) {
	ink := func(k Ink) (n int) {
		for _, p := range k.Draw().Pix {
			n += 255 - int(p)
		}
		return n
	}
	if light, heavy := ink(written(100)), ink(written(1000)); heavy <= light {
		t.Errorf("light %d, heavy %d", light, heavy)
	}
}

func TestTheVectorHoldsEveryPoint(t *testing.T) {
	for _, force := range []int{0, 700} {
		k := written(force)
		var doc struct {
			Channels []struct {
				Name string `xml:"name,attr"`
			} `xml:"definitions>context>inkSource>traceFormat>channel"`
			Traces []string `xml:"trace"`
		}
		if err := xml.Unmarshal(k.InkML(), &doc); err != nil {
			t.Fatal(err)
		}
		if n := len(doc.Channels); n != 3 && force == 0 || n != 4 && force > 0 {
			t.Errorf("force %d: %d channels", force, n)
		}
		for i, s := range k.Strokes {
			points := strings.Split(doc.Traces[i], ", ")
			if len(points) != len(s) {
				t.Fatalf("stroke %d has %d points, %d were written", i, len(points), len(s))
			}
			var x, y, at int
			if _, err := fmt.Sscan(points[3], &x, &y, &at); err != nil || x != s[3].X || y != s[3].Y || at != s[3].T {
				t.Errorf("point %q, want %+v", points[3], s[3])
			}
		}
	}
}

func TestALongLineIsDrawnFromEndToEnd(t *testing.T) {
	k := Ink{Width: 30000, Height: 20000, Strokes: []Stroke{{{X: 500, Y: 500}, {X: 29000, Y: 17600, T: 8}, {X: 29000, Y: 500, T: 16}}}}
	img := k.Draw()
	for i := range 571 {
		x, y := 500+50*i, 500+30*i
		for name, at := range map[string]Point{"aslant": {X: x, Y: y}, "upright": {X: 29000, Y: y}} {
			if img.GrayAt(at.X*PPI/hundredthsAnInch, at.Y*PPI/hundredthsAnInch).Y > 64 {
				t.Fatalf("the line %s is not there at %v", name, at)
			}
		}
	}
}

func TestWhatIsNoSignatureSaysSo(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*Ink)
		empty  bool
	}{
		"nothing":         {func(k *Ink) { k.Strokes = nil }, true},
		"a dot":           {func(k *Ink) { k.Strokes = []Stroke{{{X: 100, Y: 100}}} }, true},
		"a slip":          {func(k *Ink) { k.Strokes = []Stroke{{{X: 100, Y: 100}, {X: 900, Y: 100, T: 5}}} }, true},
		"outside":         {func(k *Ink) { k.Strokes[0][3].X = 8001 }, false},
		"above":           {func(k *Ink) { k.Strokes[0][3].Y = -1 }, false},
		"back in time":    {func(k *Ink) { k.Strokes[1][0].T = 0 }, false},
		"too long":        {func(k *Ink) { k.Strokes[1][50].T = MaxTime + 1 }, false},
		"force":           {func(k *Ink) { k.Strokes[0][0].Force = MaxForce + 1 }, false},
		"no area":         {func(k *Ink) { k.Width = 0 }, false},
		"an endless area": {func(k *Ink) { k.Height = MaxSide + 1 }, false},
		"endless lines": {func(k *Ink) {
			s := make(Stroke, MaxPoints)
			for i := range s {
				s[i].X = i % 2 * k.Width
			}
			k.Strokes = []Stroke{s}
		}, false},
		"too many strokes": {func(k *Ink) { k.Strokes = make([]Stroke, MaxStrokes+1) }, false},
		"too many points":  {func(k *Ink) { k.Strokes = []Stroke{make(Stroke, MaxPoints+1)} }, false},
	} {
		k := written(0)
		x.change(&k)
		if err := k.Check(); err == nil || errors.Is(err, ErrEmpty) != x.empty {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := written(0).Check(); err != nil {
		t.Error(err)
	}
}

func TestASignatureRedactsItself(t *testing.T) {
	k := written(0)
	var out strings.Builder
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "ink", k)
	for _, s := range []string{out.String(), fmt.Sprint(k), fmt.Sprintf("%+v %#v", k, k)} {
		if strings.Contains(s, "1000") {
			t.Errorf("%q", s)
		}
	}
	strokes := k.Strokes[0]
	k.Wipe()
	if strokes[4] != (Point{}) || k.Strokes != nil {
		t.Error("it was not wiped")
	}
}
