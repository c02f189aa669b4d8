package face

import "math"

// What departures from natural colours are as much as is natural: of the channels from each other, of skin from its band, and of skin
// towards blue.
const (
	castLimit = 0.115
	bandLimit = 0.03
	paleLimit = 0.02
	noColour  = 2 // the departure of a picture without colours
)

// unnatural tells how far the colours are from those of skin in neutral light. Two things are put together: how unequal the
// three channels are in what is brightest or in what is behind the head, whichever is more neutral, which is what a tint changes; and
// how far the cheeks lie from the narrow band of the chromaticities of human skin, light and dark.
func (f *finder) unnatural(c colours, h head) float64 {
	if c.colourless() {
		return noColour
	}
	whole := func(point) bool { return true }
	cast := min(apart(f.channels(c, whole, 0.99)), apart(f.channels(c, h.beside, 0.5))) / castLimit
	red, green, known := chromaticity(c, h)
	if !known {
		return cast
	}
	band := math.Abs(green-(0.325-0.35*max(red-0.42, 0))) / bandLimit
	pale := max(0.34-red, 0) / paleLimit
	return math.Sqrt(cast*cast + band*band + pale*pale)
}

// chromaticity gives the shares of red and green in the cheeks. It is not known where they are burnt out.
func chromaticity(c colours, h head) (red, green float64, known bool) {
	var sum [3]float64
	n, all := 0.0, 0.0
	h.cheeks(c, func(rgb [3]float64) {
		if all++; brightest(rgb) < 250 {
			for i, v := range rgb {
				sum[i] += v
			}
			n++
		}
	})
	total := max(sum[0]+sum[1]+sum[2], 1)
	return sum[0] / total, sum[1] / total, n >= all/10
}

// apart is how much the weakest channel is below the strongest, as a share; 1 where nothing is known of them.
func apart(channels [3]float64) float64 {
	return 1 - min(channels[0], channels[1], channels[2])/max(channels[0], channels[1], channels[2], 1)
}

// channels gives the level of each channel that a share of the places lies below.
func (f *finder) channels(c colours, counts func(point) bool, share float64) (level [3]float64) {
	for i := range level {
		f.samples[i] = f.samples[i][:0]
	}
	c.overall(func(p point) {
		if !counts(p) {
			return
		}
		for i, v := range c.at(p) {
			f.samples[i] = append(f.samples[i], v)
		}
	})
	for i := range level {
		level[i] = part(f.samples[i], share)
	}
	return level
}

// colourless reports whether the channels hardly differ anywhere.
func (c colours) colourless() bool {
	sum, n, most := 0.0, 0.0, 1.0
	c.overall(func(p point) {
		rgb := c.at(p)
		sum += brightest(rgb) - min(rgb[0], rgb[1], rgb[2])
		most = max(most, brightest(rgb))
		n++
	})
	return sum/n < most/100
}

// overall calls fn with places all over a picture, 128 along its longer side.
func (c colours) overall(fn func(point)) {
	size := c.img.Bounds().Size()
	step := max(float64(max(size.X, size.Y))/128, 1)
	for y := 0.0; y < float64(size.Y); y += step {
		for x := 0.0; x < float64(size.X); x += step {
			fn(point{x, y})
		}
	}
}

// beside reports whether a place in the picture is neither head nor shoulders.
func (h head) beside(p point) bool {
	sin, cos := math.Sincos(h.angle)
	d := p.sub(h.origin).times(1 / h.unit)
	u, v := cos*d.x+sin*d.y, cos*d.y-sin*d.x
	return v < 0.9 && (math.Abs(u) > 1.6 || v < -2.2)
}
