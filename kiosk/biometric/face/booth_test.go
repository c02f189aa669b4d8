package face

import (
	"image"
	"image/color"
	"strings"
	"testing"
)

// booth is a wall whose grey level is a function of the place, from 0 to 1 each way.
func booth(level func(x, y float64) float64) image.Image {
	img := image.NewGray(image.Rect(0, 0, 640, 360))
	for y := range 360 {
		for x := range 640 {
			v := level(float64(x)/640, float64(y)/360)
			img.SetGray(x, y, color.Gray{uint8(min(max(v, 0), 255))})
		}
	}
	return img
}

func TestLightAndBackgroundAreJudgedInAnEmptyBooth(t *testing.T) {
	for _, c := range []struct {
		what  string
		level func(x, y float64) float64
		fails string // and what its detail says
	}{
		{"as it should be", func(x, y float64) float64 { return 190 - 20*(x-0.5)*(x-0.5) }, ""},
		{"all lamps out", func(x, y float64) float64 { return 30 }, "lamps: is a lamp out"},
		{"the sun in the lens", func(x, y float64) float64 { return 250 }, "lamps: sun"},
		{"a window on the left", func(x, y float64) float64 { return 220 - 60*x }, "light from both sides: brighter on its left"},
		{"the left lamp out", func(x, y float64) float64 { return 150 + 60*x }, "light from both sides: brighter on its right"},
		{"a coat on the wall", func(x, y float64) float64 {
			if x > 0.4 && x < 0.6 && y < 0.5 {
				return 60
			}
			return 190
		}, "background: hang behind"},
	} {
		checks, err := Booth(encode(t, booth(c.level), 90))
		if err != nil || len(checks) != 3 {
			t.Fatalf("%d checks, %v", len(checks), err)
		}
		name, says, _ := strings.Cut(c.fails, ": ")
		for _, check := range checks {
			if fails := check.Name == name; check.Passed == fails && !(check.Name == "background" && name == "light from both sides") || fails && !strings.Contains(check.Detail, says) {
				t.Errorf("%s: %s %v: %s", c.what, check.Name, check.Passed, check.Detail)
			}
		}
	}
	if _, err := Booth([]byte("no picture")); err == nil {
		t.Error("a few letters were judged")
	}
	if _, err := Booth(encode(t, image.NewGray(image.Rect(0, 0, 20, 20)), 90)); err == nil {
		t.Error("a stamp was judged")
	}
}
