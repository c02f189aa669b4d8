package ink

import (
	"image"
	"math"

	"golang.org/x/image/vector"
)

// PPI is the resolution at which signatures are drawn.
const PPI = 300

const hundredthsAnInch = 2540

// pen is the width of a line, in hundredths of a millimetre: without force, and at the least and the most of it.
const (
	penPlain = 60
	penLight = 35
	penHeavy = 95
)

// Draw draws the strokes black on white at [PPI], cropped to nothing: the picture is the whole area. The caller wipes it.
func (k Ink) Draw() *image.Gray {
	w, h := int(math.Ceil(float64(px(k.Width)))), int(math.Ceil(float64(px(k.Height))))
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for _, s := range k.Strokes {
		for i, p := range s {
			Trace(img, s[max(i-1, 0)], p)
		}
	}
	return img
}

func px(v int) float32 { return float32(v) * PPI / hundredthsAnInch }

// longest is how much of a line is drawn at once, in hundredths of a millimetre: what drawing takes grows with the square of it.
const longest = 500

// Trace adds a piece of a stroke to a picture that [Ink.Draw] made.
func Trace(img *image.Gray, from, to Point) {
	dx, dy, dw := to.X-from.X, to.Y-from.Y, width(to)-width(from)
	n := 1 + max(dx, -dx, dy, -dy)/longest
	at := func(i int) (x, y, r float32) {
		return px(from.X + dx*i/n), px(from.Y + dy*i/n), px(width(from)+dw*i/n) / 2
	}
	x0, y0, r0 := at(0)
	for i := range n {
		x1, y1, r1 := at(i + 1)
		band(img, x0, y0, r0, x1, y1, r1)
		x0, y0, r0 = x1, y1, r1
	}
}

func width(p Point) int {
	if p.Force == 0 {
		return penPlain
	}
	return penLight + (penHeavy-penLight)*p.Force/MaxForce
}

// band blackens what lies between two discs, discs included.
func band(img *image.Gray, x0, y0, r0, x1, y1, r1 float32) {
	r := max(r0, r1) + 1
	box := image.Rect(int(min(x0, x1)-r), int(min(y0, y1)-r), int(max(x0, x1)+r)+1, int(max(y0, y1)+r)+1).Intersect(img.Rect)
	if box.Empty() {
		return
	}
	z := vector.NewRasterizer(box.Dx(), box.Dy())
	dx, dy := x1-x0, y1-y0
	angle := math.Atan2(float64(dy), float64(dx))
	ox, oy := float32(box.Min.X), float32(box.Min.Y)
	const corners = 16 // of each half disc
	for i := 0; i <= corners; i++ {
		a := angle + math.Pi/2 + math.Pi*float64(i)/corners
		at(z, i == 0, x0-ox, y0-oy, r0, a)
	}
	for i := 0; i <= corners; i++ {
		a := angle - math.Pi/2 + math.Pi*float64(i)/corners
		at(z, false, x1-ox, y1-oy, r1, a)
	}
	z.ClosePath()
	z.Draw(img, box, image.Black, image.Point{})
}

func at(z *vector.Rasterizer, first bool, x, y, r float32, a float64) {
	sin, cos := math.Sincos(a)
	x, y = x+r*float32(cos), y+r*float32(sin)
	if first {
		z.MoveTo(x, y)
		return
	}
	z.LineTo(x, y)
}
