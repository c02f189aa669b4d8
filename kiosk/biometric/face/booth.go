package face

import (
	"fmt"
	"image"
	"math"
)

// BoothCheck is one thing that light and background must be before anybody is photographed.
type BoothCheck struct {
	Name   string
	Passed bool
	Detail string // what was measured, and where it fails what may be the matter
}

// The names of the checks.
const (
	CheckLamps      = "lamps"
	CheckSides      = "light from both sides"
	CheckBackground = "background"
)

// What an empty booth must look like, in grey levels of the live view and shares of their mean.
const (
	boothDark   = 70
	boothBright = 240
	boothSides  = 0.2  // difference of the left and the right third
	boothWall   = 0.15 // half the range of the tiles' means
)

// Booth judges a frame of the live view with nobody in it: whether the lamps are on, whether light comes from one side (a window, or a
// lamp that is out), and whether the background is even.
func Booth(jpeg []byte) ([]BoothCheck, error) {
	img, err := Decode(jpeg)
	if err != nil {
		return nil, fmt.Errorf("judging the light: %w", err)
	}
	defer Wipe(img)
	luma, _ := planes(img)
	if luma.width < 3*boothTiles || luma.height < 3*boothTiles {
		return nil, fmt.Errorf("judging the light: %d x %d pixels are too few", luma.width, luma.height)
	}
	tiles := luma.tiles()
	return []BoothCheck{lamps(tiles), sides(tiles), wall(tiles)}, nil
}

// boothTiles is how many tiles a picture is parted into each way.
const boothTiles = 12

// tiles gives the mean levels of boothTiles by boothTiles parts, row by row.
func (p plane) tiles() []float64 {
	var means []float64
	for row := range boothTiles {
		for column := range boothTiles {
			r := image.Rect(column*p.width/boothTiles, row*p.height/boothTiles, (column+1)*p.width/boothTiles, (row+1)*p.height/boothTiles)
			sum := 0
			for y := r.Min.Y; y < r.Max.Y; y++ {
				for _, v := range p.pix[y*p.stride:][r.Min.X:r.Max.X] {
					sum += int(v)
				}
			}
			means = append(means, float64(sum)/float64(r.Dx()*r.Dy()))
		}
	}
	return means
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(max(len(values), 1))
}

func lamps(tiles []float64) BoothCheck {
	c := BoothCheck{Name: CheckLamps}
	level := mean(tiles)
	switch {
	case level < boothDark:
		c.Detail = fmt.Sprintf("the picture is dark, grey level %.0f of 255: is a lamp out, or the lens covered?", level)
	case level > boothBright:
		c.Detail = fmt.Sprintf("the picture is too bright, grey level %.0f of 255: does the sun shine into the lens?", level)
	default:
		c.Passed, c.Detail = true, fmt.Sprintf("grey level %.0f of 255", level)
	}
	return c
}

func sides(tiles []float64) BoothCheck {
	var left, right []float64
	for i, v := range tiles {
		switch column := i % boothTiles; {
		case column < boothTiles/3:
			left = append(left, v)
		case column >= boothTiles-boothTiles/3:
			right = append(right, v)
		}
	}
	l, r := mean(left), mean(right)
	share := math.Abs(l-r) / max((l+r)/2, 1)
	c := BoothCheck{Name: CheckSides, Passed: share <= boothSides, Detail: fmt.Sprintf("the sides differ by %.0f %%", 100*share)}
	if !c.Passed {
		brighter := "left"
		if r > l {
			brighter = "right"
		}
		c.Detail += fmt.Sprintf(", the picture is brighter on its %s: is there light from a window, or a lamp out on the other side?", brighter)
	}
	return c
}

// wall judges the upper two thirds: below them a chair may stand.
func wall(tiles []float64) BoothCheck {
	upper := append([]float64(nil), tiles[:len(tiles)*2/3]...)
	low, high := part(upper, 0.05), part(upper, 0.95)
	share := (high - low) / max(high+low, 1)
	c := BoothCheck{Name: CheckBackground, Passed: share <= boothWall, Detail: fmt.Sprintf("uneven by %.0f %%", 100*share)}
	if !c.Passed {
		c.Detail += ": does something stand or hang behind the person's place, or is the wall lit in spots?"
	}
	return c
}
