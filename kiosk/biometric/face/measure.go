package face

import (
	"image"
	"image/color"
	"math"
	"slices"
)

// colours reads a picture's colours, whatever they are stored as.
type colours struct{ img image.Image }

// at gives red, green and blue, 0 to 255, of the pixel nearest to a place.
func (c colours) at(p point) [3]float64 {
	b := c.img.Bounds()
	x := min(max(int(math.Round(p.x)), 0), b.Dx()-1) + b.Min.X
	y := min(max(int(math.Round(p.y)), 0), b.Dy()-1) + b.Min.Y
	if m, ok := c.img.(*image.YCbCr); ok {
		o := m.COffset(x, y)
		r, g, bl := color.YCbCrToRGB(m.Y[m.YOffset(x, y)], m.Cb[o], m.Cr[o])
		return [3]float64{float64(r), float64(g), float64(bl)}
	}
	r, g, bl, _ := c.img.At(x, y).RGBA()
	return [3]float64{float64(r >> 8), float64(g >> 8), float64(bl >> 8)}
}

// head is a grid laid along the eyes: its unit is the distance between them, its origin the middle between them.
type head struct {
	origin point
	unit   float64 // px
	angle  float64 // clockwise, radians
}

func headOf(eyes [2]point) head {
	d := eyes[1].sub(eyes[0])
	return head{eyes[0].middle(eyes[1]), math.Hypot(d.x, d.y), math.Atan2(d.y, d.x)}
}

// to brings a place on the head into the picture.
func (h head) to(x, y float64) point {
	sin, cos := math.Sincos(h.angle)
	return point{h.origin.x + h.unit*(cos*x-sin*y), h.origin.y + h.unit*(sin*x+cos*y)}
}

// box is a rectangle on the head, in its units.
type box struct{ left, top, right, bottom float64 }

// grid is how finely regions of a head are sampled: steps a unit.
const grid = 40

// each calls fn with the colours of a region, about grid times grid a unit of area.
func (h head) each(c colours, b box, fn func(x, y float64, rgb [3]float64)) {
	for y := b.top; y <= b.bottom; y += 1.0 / grid {
		for x := b.left; x <= b.right; x += 1.0 / grid {
			fn(x, y, c.at(h.to(x, y)))
		}
	}
}

func luma(c [3]float64) float64 { return 0.299*c[0] + 0.587*c[1] + 0.114*c[2] }

func brightest(c [3]float64) float64 { return max(c[0], c[1], c[2]) }

// cheeks calls fn with the colours of both cheeks.
func (h head) cheeks(c colours, fn func(rgb [3]float64)) {
	for _, side := range []float64{-0.47, 0.47} {
		h.each(c, box{side - 0.17, 0.35, side + 0.17, 0.75}, func(_, _ float64, rgb [3]float64) { fn(rgb) })
	}
}

// part is the value that a share of the values lies below. It sorts them.
func part(values []float64, share float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[int(share*float64(len(values)-1))]
}

// What an eye distance says of a head, on average: breadth without ears, and height from chin to crown.
const (
	headWidths  = 2.35
	headHeights = 3.6
)

// measure gives what can be measured in a picture of which a frame is what counts. What a criterion asks for and is not in it can't be.
func (f *finder) measure(img image.Image, faces []Face, view frame) map[string]float64 {
	m := map[string]float64{Faces: float64(len(faces)), ImageWidth: float64(view.width), ImageHeight: float64(view.height), ColourSpace: bits(img)}
	if len(faces) == 0 {
		return m
	}
	e := faces[0].Eyes
	h := headOf([2]point{{e[0].X, e[0].Y}, {e[1].X, e[1].Y}})
	m[Roll] = faces[0].Roll
	view.place(m, h)
	c := colours{img}
	f.light(m, c, h)
	m[Focus] = f.focus(h)
	m[EyesOpen] = faces[0].Open
	m[Saturation] = f.unnatural(c, h)
	m[MouthClosed] = mouth(c, h)
	if m[EyesOpen] >= 1 {
		m[Yaw] = f.yaw(h)
		if !c.colourless() {
			m[RedEye] = f.redEyes(c, h)
		}
	}
	m[Shadows], m[HotSpots] = f.skin(c, h)
	if v, ok := f.background(c, h, view); ok {
		m[Background] = v
	}
	return m
}

// place tells where a head lies in a frame, and how large it is there.
func (f frame) place(m map[string]float64, h head) {
	w, t, middle := float64(f.width), float64(f.height), f.from(h.origin)
	m[EyeDistance] = h.unit / f.step
	m[HeadWidth], m[HeadHeight] = headWidths*m[EyeDistance]/w, headHeights*m[EyeDistance]/t
	m[Horizontal], m[Vertical] = (middle.x+0.5)/w, (middle.y+0.5)/t
}

// light measures the face: how bright, how wide the range of its grey levels.
func (f *finder) light(m map[string]float64, c colours, h head) {
	levels, tops := f.samples[0][:0], f.samples[1][:0]
	h.each(c, box{-0.75, -0.4, 0.75, 1.5}, func(_, _ float64, rgb [3]float64) {
		levels, tops = append(levels, luma(rgb)), append(tops, brightest(rgb))
	})
	f.samples[0], f.samples[1] = levels, tops
	// Highlights count twice: they tell a dark picture from dark skin, most of all in the whites of the eyes, and the brightest channel
	// tells a dark picture from a tinted one.
	m[Exposure] = (part(levels, 0.5) + 2*max(part(tops, 0.98), f.whites(c, h))) / 3
	m[GreyDensity] = 0
	if most := part(levels, 0.98); most > 0 {
		m[GreyDensity] = 1 - part(levels, 0.02)/most
	}
}

// whites is how bright the whites of the eyes are, in the brightest channel of the brighter eye. Reflections are smaller than a twentieth.
func (f *finder) whites(c colours, h head) (level float64) {
	for _, side := range []float64{-0.5, 0.5} {
		tops := f.samples[2][:0]
		h.each(c, box{side - 0.22, -0.07, side + 0.22, 0.09}, func(_, _ float64, rgb [3]float64) { tops = append(tops, brightest(rgb)) })
		f.samples[2] = tops
		level = max(level, part(tops, 0.93))
	}
	return level
}

// focusApart is the eye distance, px, to which a larger face is brought before its sharpness is measured.
const focusApart = 120

// focus measures sharpness from the brows to the mouth.
func (f *finder) focus(h head) float64 {
	v := frame{middle: h.to(0, 0.5), angle: h.angle, step: max(1, h.unit/focusApart)}
	v.width, v.height = int(1.6*h.unit/v.step), int(2*h.unit/v.step)
	f.pyramid.sample(&f.patch, v)
	return sharpness(&f.patch)
}

// sharpness is the share of the slopes that smoothing would take away: near 1 for a crisp picture, less the more it is blurred,
// and the same for a dark and a bright one (after the no-reference blur of Crete and others, SPIE 6492, 2007).
func sharpness(img *image.Gray) float64 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	ratio := func(n, across, stride, step int) float64 {
		const reach = 4
		var all, lost float64
		for line := range across {
			for i := reach + 1; i < n-reach; i++ {
				at := func(k int) float64 { return float64(img.Pix[line*stride+k*step]) }
				d := math.Abs(at(i) - at(i-1))
				smooth := math.Abs(at(i+reach)-at(i-reach-1)) / (2*reach + 1)
				all += d
				lost += max(d-smooth, 0)
			}
		}
		if all == 0 {
			return 0
		}
		return lost / all
	}
	return min(ratio(w, h, img.Stride, 1), ratio(h, w, 1, img.Stride))
}
