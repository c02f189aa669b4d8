package main

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/plan"
	"loket/kiosk/record"
)

// criteriaOf gives the rules for a photograph of the policy that a record follows; none where that is no policy that this program
// brings along, digest and all.
func criteriaOf(m record.Manifest) []biometric.Criterion {
	p, err := plan.LoadPolicy(m.Policy.ID)
	if err != nil || p.Digest() != m.Policy.Digest || p.Face == nil {
		return nil
	}
	return p.Face.Criteria
}

// rules draws what was measured of the photograph beside the limits that it was held to.
func (c *canvas) rules(x, y float64, m record.Manifest) {
	c.label(x, y, "Photograph")
	q := faceQuality(m)
	if q == nil && absent(m, biometric.Face) == notAsked {
		c.text(x, y+38, regular, 15, muted, notAsked)
		return
	}
	if q == nil {
		c.text(x, y+38, regular, 15, muted, "nothing was measured")
		return
	}
	list := criteriaOf(m)
	if len(list) == 0 {
		c.text(x, y+38, regular, 15, muted, "held to a policy that is not known here")
	}
	var not []string
	at := y + 36
	for _, k := range list {
		v, ok := q.Measures[k.Name]
		if !ok {
			not = append(not, words(k.Name))
			continue
		}
		c.rule(x, at, k, v)
		at += 21
	}
	var notes []string
	if slices.ContainsFunc(list, func(k biometric.Criterion) bool { return !k.Mandatory }) {
		notes = append(notes, "What is grey is advice and refuses nobody.")
	}
	if len(not) > 0 {
		notes = append(notes, "Not measured: "+strings.Join(not, ", ")+".")
	}
	c.paragraph(x, at+10, rulesWidth, 13, strings.Join(notes, " "))
}

// unitOf is the unit of a criterion, behind its limits; most are ratios.
func unitOf(name string) string {
	return map[string]string{"image-width": " px", "image-height": " px", "eye-distance": " px", "roll": "°", "yaw": "°", "pitch": "°", "colour-space": " bits"}[name]
}

// rule draws a line: whether a criterion holds, its name, the value and the limits. Names of those that may fail are muted.
func (c *canvas) rule(x, y float64, k biometric.Criterion, v float64) {
	s, hue := lookOf(biometric.Captured), muted
	switch {
	case !k.Holds(v) && k.Mandatory:
		s = look{fill: red, ink: white, mark: "!"}
	case !k.Holds(v):
		s = look{fill: amber, ink: white, mark: "!"}
	}
	if k.Mandatory {
		hue = ink
	}
	c.box(x, y-11, 14, 14, 7, s.fill, nil)
	c.mark(point{x + 7, y - 4}, s, 9)
	c.text(x+22, y, regular, 14, hue, words(k.Name))
	c.right(x+rulesWidth-110, y, bold, 14, hue, measure(v))
	c.text(x+rulesWidth-98, y, regular, 13, muted, strings.NewReplacer(">=", "≥", "<=", "≤").Replace(k.Limits())+unitOf(k.Name))
}

// measure writes a value with as many decimals as say something.
func measure(v float64) string {
	decimals := 3
	if math.Abs(v) >= 10 {
		decimals = 1
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

func words(name string) string { return strings.ReplaceAll(name, "-", " ") }

// paragraph writes a text in lines of a width.
func (c *canvas) paragraph(x, y, w, size float64, s string) {
	text := ""
	for _, word := range strings.Fields(s) {
		if longer := strings.TrimSpace(text + " " + word); c.width(regular, size, longer) <= w {
			text = longer
			continue
		}
		c.text(x, y, regular, size, muted, text)
		y, text = y+size*1.4, word
	}
	c.text(x, y, regular, size, muted, text)
}

// assumedPPI is the scale of prints: nothing else fits enrolment, and a little more or less moves no minutia.
const assumedPPI = 500

// minutiae draws what a comparison would see of a print, faintly. A print in which nothing can be found gets nothing.
func (c *canvas) minutiae(img *image.Gray, at placed) {
	t, err := finger.Extract(img, assumedPPI)
	if err != nil {
		return
	}
	defer t.Wipe()
	pen := color.NRGBA{R: 0xC8, G: 0x1E, B: 0x5A, A: 0xB0}
	r := min(max(9*at.scale, 2), 4)
	for _, m := range t.Minutiae {
		p := point{at.x + float64(m.X)*at.scale, at.y + float64(m.Y)*at.scale}
		sin, cos := math.Sincos(m.Angle)
		c.stroke(pen, 1.4, point{p.x + r*cos, p.y - r*sin}, point{p.x + 3*r*cos, p.y - 3*r*sin})
		ring := arc(p.x, p.y, r, 0, 360)
		if m.Type == finger.RidgeEnding {
			inner := arc(p.x, p.y, r-1.4, 0, 360)
			slices.Reverse(inner)
			ring = append(ring, inner...)
		}
		c.polygon(pen, ring)
	}
}

// signature draws the signature, or says why there is none.
func (c *canvas) signature(x, y float64, f *opened) {
	c.label(x, y, "Signature")
	img, what := decoded(f, "signature.png")
	if img == nil {
		what = absent(f.Manifest, biometric.Signature)
	}
	c.pictureOr(written(img), what, x, y+14, 232, 118)
	if img == nil {
		return
	}
	c.text(x+248, y+34, regular, 14, muted, c.fit(regular, 14, fingerWidth-248, what))
	c.text(x+248, y+56, regular, 14, muted, c.fit(regular, 14, fingerWidth-248, writing(f.Manifest)))
	c.text(x+248, y+78, regular, 14, muted, c.fit(regular, 14, fingerWidth-248, "on "+penOf(f.Manifest)))
}

// written cuts a signature out of the area that it was written on, with a little around it.
func written(img image.Image) image.Image {
	grey, ok := img.(*image.Gray)
	if !ok {
		return img
	}
	var box image.Rectangle
	for y := grey.Rect.Min.Y; y < grey.Rect.Max.Y; y++ {
		for x := grey.Rect.Min.X; x < grey.Rect.Max.X; x++ {
			if grey.GrayAt(x, y).Y < 128 {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if box.Empty() {
		return img
	}
	return grey.SubImage(box.Inset(-box.Dx() / 20))
}

// outcomeOf is what came of a modality; ok is false where nothing was asked.
func outcomeOf(m record.Manifest, modality biometric.Modality) (o biometric.Outcome, ok bool) {
	i := slices.IndexFunc(m.Outcomes, func(o biometric.Outcome) bool { return o.Modality == modality })
	if i < 0 {
		return biometric.Outcome{}, false
	}
	return m.Outcomes[i], true
}

const notAsked = "not asked for"

// absent says why there is no photograph or signature.
func absent(m record.Manifest, modality biometric.Modality) string {
	o, asked := outcomeOf(m, modality)
	switch {
	case len(o.Excepted) > 0:
		return "excepted: " + lookOf(o.Excepted[0].Reason).name
	case asked:
		return "not captured"
	}
	return notAsked
}

// writing says how it was written.
func writing(m record.Manifest) string {
	o, _ := outcomeOf(m, biometric.Signature)
	if len(o.Findings) == 0 {
		return ""
	}
	q := o.Findings[0].Quality.Measures
	return fmt.Sprintf("%.0f strokes, %.1f s, %.0f mm", q["strokes"], q["seconds"], q["length_mm"])
}

// penOf names what it was written on.
func penOf(m record.Manifest) string {
	i := slices.IndexFunc(m.Devices, func(d record.DeviceInfo) bool { return d.Kind == "signature-pad" })
	if i < 0 {
		return "a device that is not named"
	}
	return cmp.Or(m.Devices[i].Model, m.Devices[i].Driver)
}
