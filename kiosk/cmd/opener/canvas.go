package main

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// hue is an opaque colour, 0xRRGGBB.
type hue uint32

// The colours of the sheet. Text on any of them has a contrast of 4.5:1 at least.
const (
	paper  hue = 0xF3F2EE
	white  hue = 0xFFFFFF
	ink    hue = 0x1B2230
	muted  hue = 0x565F70
	line   hue = 0xD5D8DE
	faint  hue = 0xEEF0F3
	green  hue = 0x1C6E48
	blue   hue = 0x24539C
	amber  hue = 0x9A5700
	red    hue = 0xA81E22
	violet hue = 0x5B468C
	shade  hue = 0xDDE0E6
)

// RGBA makes a hue a color.Color.
func (h hue) RGBA() (r, g, b, a uint32) {
	return color.RGBA{R: uint8(h >> 16), G: uint8(h >> 8), B: uint8(h), A: 0xFF}.RGBA()
}

// typeface is one of the fonts.
type typeface int

const (
	regular typeface = iota
	bold
	mono
)

// canvas draws on one page. Its errors can only come from the fonts and are kept.
type canvas struct {
	img   *image.RGBA
	fonts map[string]font.Face
	err   error
}

func newCanvas(w, h int) *canvas {
	c := &canvas{img: image.NewRGBA(image.Rect(0, 0, w, h)), fonts: map[string]font.Face{}}
	draw.Draw(c.img, c.img.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	return c
}

func (c *canvas) font(t typeface, size float64) font.Face {
	key := fmt.Sprint(t, size)
	if f := c.fonts[key]; f != nil {
		return f
	}
	data := map[typeface][]byte{regular: goregular.TTF, bold: gobold.TTF, mono: gomono.TTF}[t]
	parsed, err := opentype.Parse(data)
	if err == nil {
		var f font.Face
		if f, err = opentype.NewFace(parsed, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone}); err == nil {
			c.fonts[key] = f
			return f
		}
	}
	c.err = err
	return nil
}

// width measures a text.
func (c *canvas) width(t typeface, size float64, s string) float64 {
	f := c.font(t, size)
	if f == nil {
		return 0
	}
	return float64(font.MeasureString(f, s)) / 64
}

// text writes s with its baseline at y, from x to the right, and returns where it ends.
func (c *canvas) text(x, y float64, t typeface, size float64, ink color.Color, s string) float64 {
	f := c.font(t, size)
	if f == nil {
		return x
	}
	d := font.Drawer{Dst: c.img, Src: image.NewUniform(ink), Face: f, Dot: fixed.Point26_6{X: fixed.Int26_6(x * 64), Y: fixed.Int26_6(y * 64)}}
	d.DrawString(s)
	return float64(d.Dot.X) / 64
}

// centred writes s with its middle at x.
func (c *canvas) centred(x, y float64, t typeface, size float64, ink color.Color, s string) {
	c.text(x-c.width(t, size, s)/2, y, t, size, ink, s)
}

// right writes s so that it ends at x.
func (c *canvas) right(x, y float64, t typeface, size float64, ink color.Color, s string) {
	c.text(x-c.width(t, size, s), y, t, size, ink, s)
}

// fit shortens s until it is no wider than w.
func (c *canvas) fit(t typeface, size, w float64, s string) string {
	if c.width(t, size, s) <= w {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && c.width(t, size, string(runes)+"…") > w {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}

// point is a place on the page, in px.
type point struct{ x, y float64 }

// polygon fills the area that a closed line encloses.
func (c *canvas) polygon(fill color.Color, pts []point) {
	if len(pts) < 3 {
		return
	}
	minX, minY, maxX, maxY := bounds(pts)
	r := vector.NewRasterizer(maxX-minX, maxY-minY)
	at := func(p point) (float32, float32) { return float32(p.x - float64(minX)), float32(p.y - float64(minY)) }
	x, y := at(pts[0])
	r.MoveTo(x, y)
	for _, p := range pts[1:] {
		x, y := at(p)
		r.LineTo(x, y)
	}
	r.ClosePath()
	r.Draw(c.img, image.Rect(minX, minY, maxX, maxY), image.NewUniform(fill), image.Point{})
}

func bounds(pts []point) (minX, minY, maxX, maxY int) {
	lo, hi := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, p := range pts {
		lo = point{min(lo.x, p.x), min(lo.y, p.y)}
		hi = point{max(hi.x, p.x), max(hi.y, p.y)}
	}
	return int(math.Floor(lo.x)), int(math.Floor(lo.y)), int(math.Ceil(hi.x)) + 1, int(math.Ceil(hi.y)) + 1
}

// rounded gives a rectangle with round corners.
func rounded(x, y, w, h, r float64) []point {
	r = min(r, w/2, h/2)
	var pts []point
	for _, corner := range []struct{ cx, cy, from float64 }{
		{x + w - r, y + r, -90}, {x + w - r, y + h - r, 0}, {x + r, y + h - r, 90}, {x + r, y + r, 180},
	} {
		pts = append(pts, arc(corner.cx, corner.cy, r, corner.from, corner.from+90)...)
	}
	return pts
}

// arc gives points on a circle, between two angles in degrees.
func arc(cx, cy, r, from, to float64) []point {
	const steps = 16
	var pts []point
	for i := range steps + 1 {
		a := (from + (to-from)*float64(i)/steps) * math.Pi / 180
		pts = append(pts, point{cx + r*math.Cos(a), cy + r*math.Sin(a)})
	}
	return pts
}

// capsule gives a bar with round ends from a to b.
func capsule(a, b point, width float64) []point {
	angle := math.Atan2(b.y-a.y, b.x-a.x) * 180 / math.Pi
	return append(arc(b.x, b.y, width/2, angle-90, angle+90), arc(a.x, a.y, width/2, angle+90, angle+270)...)
}

// box fills a rounded rectangle, with a border where one is given.
func (c *canvas) box(x, y, w, h, r float64, fill, border color.Color) {
	if border != nil {
		c.polygon(border, rounded(x, y, w, h, r))
		x, y, w, h, r = x+1.5, y+1.5, w-3, h-3, r-1.5
	}
	c.polygon(fill, rounded(x, y, w, h, r))
}

// stroke draws a line with round ends through points.
func (c *canvas) stroke(ink color.Color, width float64, pts ...point) {
	for i := 1; i < len(pts); i++ {
		c.polygon(ink, capsule(pts[i-1], pts[i], width))
	}
}

// picture draws an image as large as it fits into a frame, in its proportions, on a plain ground.
func (c *canvas) picture(src image.Image, x, y, w, h float64) placed {
	c.box(x, y, w, h, 6, white, line)
	x, y, w, h = x+4, y+4, w-8, h-8
	b := src.Bounds()
	scale := min(w/float64(b.Dx()), h/float64(b.Dy()))
	iw, ih := float64(b.Dx())*scale, float64(b.Dy())*scale
	left, top := int(x+(w-iw)/2), int(y+(h-ih)/2)
	draw.CatmullRom.Scale(c.img, image.Rect(left, top, left+int(iw), top+int(ih)), src, b, draw.Over, nil)
	return placed{point{float64(left), float64(top)}, scale}
}

// placed is where an image lies on the page: its upper left corner, and px of the page for one of its own.
type placed struct {
	point
	scale float64
}
