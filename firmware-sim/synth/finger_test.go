package synth

import (
	"bytes"
	"image"
	"image/draw"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// shared keeps masters for all tests of this package, in memory alone.
var shared Library

func TestEveryClassGrowsOverTheWholeFrame(t *testing.T) {
	for _, class := range Classes() {
		f, err := ridges(Finger{Seed: 11, Class: class})
		if err != nil {
			t.Fatal(err)
		}
		var grown, crossings int
		for i, v := range f.v {
			if v > 0.5 || v < -0.5 {
				grown++
			}
			if i >= f.w && (v > 0) != (f.v[i-f.w] > 0) {
				crossings++
			}
		}
		if share := float64(grown) / float64(len(f.v)); share < 0.75 {
			t.Errorf("%s: only %.2f of the frame is ridge or valley", class, share)
		}
		if crossings < len(f.v)/20 || crossings > len(f.v)/3 {
			t.Errorf("%s: %d crossings down the columns are no ridges", class, crossings)
		}
	}
	if _, err := ridges(Finger{Class: "spiral"}); err == nil {
		t.Error("an unknown class grew")
	}
}

func TestAMasterComesBackFromTheCacheEvenWhereItIsDamaged(t *testing.T) {
	dir := t.TempDir()
	f := Finger{Seed: 5, Class: Whorl}
	first, err := (&Library{Dir: dir}).Master(f)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 1 {
		t.Fatalf("the cache holds %v", files)
	}
	if cached, ok := readMaster(files[0]); !ok || *cached != *first {
		t.Error("the cached master differs")
	}
	data, _ := os.ReadFile(files[0])
	data[1000] ^= 1
	if err := os.WriteFile(files[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, ok := readMaster(files[0]); ok {
		t.Error("a damaged file was taken for a master")
	}
	again, err := (&Library{Dir: dir}).Master(f)
	if err != nil || *again != *first {
		t.Errorf("the master did not grow again: %v", err)
	}
	if _, ok := readMaster(files[0]); !ok {
		t.Error("the damaged file was not replaced")
	}
}

func TestACacheThatCannotBeWrittenCostsNoFinger(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Library{Dir: filepath.Join(file, "below")}).Master(Finger{Class: Arch}); err != nil {
		t.Error(err)
	}
}

func master(t *testing.T, f Finger) *Master {
	t.Helper()
	m, err := shared.Master(f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ink(g *image.Gray) (sum int) {
	for _, v := range g.Pix {
		sum += 255 - int(v)
	}
	return sum
}

func TestAnImpressionFollowsFromItsNumbers(t *testing.T) {
	m := master(t, Finger{Seed: 1, Class: LeftLoop})
	one := m.Impress(Usual(2), 3)
	if one.Rect != image.Rect(0, 0, FingerWidth, FingerHeight) {
		t.Fatalf("it is %v", one.Rect)
	}
	if !bytes.Equal(one.Pix, m.Impress(Usual(2), 3).Pix) {
		t.Error("the same numbers give another picture")
	}
	if bytes.Equal(one.Pix, m.Impress(Usual(2), 4).Pix) {
		t.Error("another seed gives the same picture")
	}
	for _, corner := range []int{0, FingerWidth - 1, len(one.Pix) - 1} {
		if one.Pix[corner] != 255 {
			t.Error("the background is not white")
		}
	}
}

func TestDrySkinLeavesLessInkThanUsualAndWetSkinMore(t *testing.T) {
	m := master(t, Finger{Seed: 1, Class: LeftLoop})
	dry, usual, wet := ink(m.Impress(Dry(1), 1)), ink(m.Impress(Touch{Noise: 1}, 1)), ink(m.Impress(Wet(1), 1))
	if dry*10 > usual*8 || wet*10 < usual*12 {
		t.Errorf("ink: dry %d, usual %d, wet %d", dry, usual, wet)
	}
}

func TestThePeopleOfASeedHaveMostlyLoops(t *testing.T) {
	count := map[Class]int{}
	for who := range Person(200) {
		for p := RightThumb; p <= LeftLittle; p++ {
			count[who.Finger(p).Class]++
		}
	}
	loops := count[LeftLoop] + count[RightLoop]
	if loops < 1100 || loops > 1500 || count[Whorl] < 350 || count[Arch] == 0 || count[TentedArch] == 0 {
		t.Errorf("of 2000 fingers: %v", count)
	}
}

func TestTheTruthOfASlapHoldsAllOfItsInk(t *testing.T) {
	for _, s := range []Slap{
		{Fingers: []Position{LeftIndex, RightIndex}},
		{Fingers: []Position{RightIndex, RightMiddle, RightRing, RightLittle}, Rotation: 45},
		{Fingers: []Position{LeftIndex, LeftMiddle, LeftRing, LeftLittle}, UpsideDown: true},
		{Fingers: []Position{LeftThumb, RightThumb}},
		{},
	} {
		s.Who, s.Touch, s.Seed = 1, Usual(9), 8
		glass, placed, err := shared.Slap(s)
		if err != nil {
			t.Fatal(err)
		}
		if len(placed) != len(s.Fingers) || glass.Rect != image.Rect(0, 0, GlassWidth, GlassHeight) {
			t.Fatalf("%v: placed %v on %v", s.Fingers, placed, glass.Rect)
		}
		rest := *glass
		rest.Pix = slices.Clone(glass.Pix)
		for _, p := range placed {
			draw.Draw(&rest, p.Box.Inset(-14), image.White, image.Point{}, draw.Src)
		}
		if outside := ink(&rest); outside > 0 {
			t.Errorf("%v: ink of %d lies outside every box", s.Fingers, outside)
		}
		for _, p := range placed {
			if p.Box.Dx() < 200 || p.Box.Dy() < 250 || !p.Box.In(glass.Rect) {
				t.Errorf("%v lies in %v", p.Position, p.Box)
			}
		}
	}
}

func TestFingersLieInTheOrderOfTheHands(t *testing.T) {
	order := func(s Slap) (out []Position) {
		s.Who = 1
		_, placed, err := shared.Slap(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range placed {
			out = append(out, p.Position)
		}
		return out
	}
	right := []Position{RightLittle, RightIndex, RightRing, RightMiddle}
	for _, c := range []struct {
		slap Slap
		want []Position
	}{
		{Slap{Fingers: right}, []Position{RightIndex, RightMiddle, RightRing, RightLittle}},
		{Slap{Fingers: right, UpsideDown: true}, []Position{RightLittle, RightRing, RightMiddle, RightIndex}},
		{Slap{Fingers: []Position{RightIndex, LeftIndex}}, []Position{LeftIndex, RightIndex}},
		{Slap{Fingers: []Position{RightIndex, LeftIndex}, Instead: map[Position]Position{LeftIndex: RightIndex}},
			[]Position{RightIndex, RightIndex}},
	} {
		if got := order(c.slap); !slices.Equal(got, c.want) {
			t.Errorf("%v lie as %v", c.want, got)
		}
	}
}

func TestWhatDoesNotFitOnTheGlassIsRefused(t *testing.T) {
	for _, s := range []Slap{
		{Fingers: []Position{1, 2, 3, 4, 5}},
		{Fingers: []Position{11}},
		{Fingers: []Position{2}, Instead: map[Position]Position{2: 0}},
	} {
		if _, _, err := shared.Slap(s); err == nil {
			t.Errorf("%v was laid", s.Fingers)
		}
	}
}

func BenchmarkMaster(b *testing.B) {
	for b.Loop() {
		_, _ = ridges(Finger{Seed: 1, Class: Whorl})
	}
}

func BenchmarkImpression(b *testing.B) {
	m, err := shared.Master(Finger{Seed: 1, Class: Whorl})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.Impress(Usual(1), 1)
	}
}

func BenchmarkPortrait(b *testing.B) {
	for b.Loop() {
		Scene{Who: 1}.Render()
	}
}
