package finger

import (
	"fmt"
	"image"
	"math"
	"slices"
	"testing"
)

// waves is a picture of stripes, so many pixels from one to the next.
func waves(width, height int, period float64, down bool) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			at := x
			if down {
				at = y
			}
			m.Pix[y*m.Stride+x] = uint8(math.Round(128 + 100*math.Sin(2*math.Pi*(float64(at)+0.5)/period)))
		}
	}
	return m
}

// swing is how far the middle of a picture goes from dark to bright.
func swing(m *image.Gray) int {
	least, most := 255, 0
	for y := m.Rect.Dy() / 4; y < m.Rect.Dy()*3/4; y++ {
		for x := m.Rect.Dx() / 4; x < m.Rect.Dx()*3/4; x++ {
			v := int(m.GrayAt(x, y).Y)
			least, most = min(least, v), max(most, v)
		}
	}
	return most - least
}

func TestRidgesStayAndWhatIsTooFineGoes(t *testing.T) {
	for _, down := range []bool{false, true} {
		for _, c := range []struct {
			from        int
			period      float64 // px of the finer image
			least, most int     // of 200
		}{
			{1000, 18, 196, 202},    // ridges, 0.46 mm from one to the next
			{1000, 7.3, 185, 202},   // pores and the like
			{1000, 3, 0, 10},        // finer than the coarser image can show: would come back as a pattern that is not there
			{1000, 2.2, 0, 3},       //
			{512, 9.2, 194, 202},    // ridges
			{2000, 36, 196, 202},    //
			{1999, 4.0001, 0, 3},    //
			{1000, 1000000, 0, 202}, // flat
		} {
			out := Resample(waves(600, 600, c.period, down), c.from, 500)
			if want := (600*500 + c.from/2) / c.from; out.Rect != image.Rect(0, 0, want, want) {
				t.Errorf("%d: %v", c.from, out.Rect)
			}
			if got := swing(out); got < c.least || got > c.most {
				t.Errorf("stripes of %v px at %d ppi swing by %d, not %d to %d", c.period, c.from, got, c.least, c.most)
			}
		}
	}
}

func TestResampledStripesLieWhereTheyLay(t *testing.T) {
	want := waves(400, 10, 9, false)
	got := Resample(waves(800, 20, 18, false), 1000, 500)
	for i, v := range got.Pix {
		if x := i % 400; x > 5 && x < 395 && math.Abs(float64(v)-float64(want.Pix[i])) > 4 {
			t.Fatalf("pixel %d is %d, not %d", x, v, want.Pix[i])
		}
	}
}

func TestFlatStaysFlatAndExtremesStayInBounds(t *testing.T) {
	for _, v := range []uint8{0, 1, 127, 254, 255} {
		m := image.NewGray(image.Rect(0, 0, 31, 17))
		for i := range m.Pix {
			m.Pix[i] = v
		}
		for _, from := range []int{506, 512, 777, 1000, 4000} {
			out := Resample(m, from, 500)
			if i := slices.IndexFunc(out.Pix, func(p uint8) bool { return p != v }); i >= 0 {
				t.Errorf("a flat %d at %d ppi has a %d", v, from, out.Pix[i])
			}
		}
	}
	edge := image.NewGray(image.Rect(0, 0, 200, 200))
	for i := range edge.Pix {
		edge.Pix[i] = uint8(255 * (i / 100 % 2))
	}
	out := Resample(edge, 1000, 500)
	if out.Pix[20] != 0 || out.Pix[80] != 255 {
		t.Errorf("beside an edge: %d", out.Pix[:100])
	}
}

func TestOnePixelIsResampled(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 1, 1))
	m.Pix[0] = 9
	if out := Resample(m, 4000, 500); len(out.Pix) != 1 || out.Pix[0] != 9 {
		t.Errorf("%v", out)
	}
}

func FuzzResample(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6}, uint8(2), uint16(1000))
	f.Add([]byte{255}, uint8(1), uint16(4000))
	f.Fuzz(func(t *testing.T, pix []byte, width uint8, from uint16) {
		w := int(width)
		ppi := max(int(from)%4000, 506)
		if w == 0 || len(pix) < w || len(pix) > 1<<14 {
			return
		}
		h := len(pix) / w
		m := &image.Gray{Pix: pix[:w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}
		out := Resample(m, ppi, 500)
		if out.Rect.Dx() > w || out.Rect.Dy() > h || out.Rect.Empty() {
			t.Error(fmt.Sprint(m.Rect, ppi, out.Rect))
		}
	})
}

func BenchmarkResample(b *testing.B) {
	m := waves(3200, 3000, 18, true)
	b.SetBytes(int64(len(m.Pix)))
	for b.Loop() {
		Resample(m, 1000, 500)
	}
}
