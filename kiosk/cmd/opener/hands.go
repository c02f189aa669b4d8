package main

import (
	"fmt"
	"strings"

	"loket/kiosk/biometric"
)

// look is how a state of a finger is shown: never by colour alone.
type look struct {
	fill hue
	ink  hue
	mark string // empty: a tick
	name string
}

func lookOf(r biometric.Reason) look {
	switch r {
	case biometric.Captured:
		return look{green, white, "", "captured"}
	case biometric.OnFile:
		return look{blue, white, "F", "on file"}
	case biometric.Missing:
		return look{red, white, "M", "missing"}
	case biometric.Bandaged:
		return look{amber, white, "B", "bandaged"}
	case biometric.Damaged:
		return look{amber, white, "D", "damaged"}
	case biometric.PoorQuality:
		return look{amber, white, "Q", "poor quality"}
	case biometric.AgeExempt:
		return look{violet, white, "A", "age-exempt"}
	case biometric.Refused:
		return look{red, white, "R", "refused"}
	}
	return look{faint, muted, "–", "not owed"}
}

// digit is where a finger is drawn in a hand of 200 by 250 px: from its root to its tip, of a left hand seen from the back.
type digit struct {
	root, tip point
	width     float64
}

func digits() []digit { // thumb, index, middle, ring, little
	return []digit{
		{point{142, 176}, point{188, 122}, 32}, {point{131, 118}, point{138, 38}, 30}, {point{98, 112}, point{98, 20}, 31},
		{point{65, 116}, point{57, 34}, 29}, {point{35, 130}, point{19, 66}, 26},
	}
}

// hand draws one hand with the states of its fingers. The right hand is the left one mirrored.
func (c *canvas) hand(x, y float64, l biometric.Ledger, right bool) {
	place := func(p point) point {
		if right {
			p.x = 208 - p.x
		}
		return point{x + p.x, y + p.y}
	}
	palm := rounded(22, 104, 124, 130, 46)
	for i := range palm {
		palm[i] = place(palm[i])
	}
	c.polygon(shade, palm)
	all := digits()
	for i, d := range all {
		c.polygon(shade, capsule(place(d.root), place(d.tip), d.width+6))
		p := biometric.FingerPosition(i + 6)
		if right {
			p = biometric.FingerPosition(i + 1)
		}
		c.fingertip(place(d.root), place(d.tip), d.width, lookOf(l[p-1].Reason))
	}
	name := "left hand"
	if right {
		name = "right hand"
	}
	middle := place(point{84, 0})
	c.centred(middle.x, y+180, bold, 15, muted, name)
}

// fingertip fills a finger with its state.
func (c *canvas) fingertip(root, tip point, width float64, s look) {
	from := point{root.x + (tip.x-root.x)*0.42, root.y + (tip.y-root.y)*0.42}
	c.polygon(s.fill, capsule(from, tip, width))
	c.mark(point{from.x + (tip.x-from.x)*0.75, from.y + (tip.y-from.y)*0.75}, s, 15)
}

// mark draws a state's letter or tick.
func (c *canvas) mark(at point, s look, size float64) {
	if s.mark != "" {
		c.centred(at.x, at.y+size*0.36, bold, size, s.ink, s.mark)
		return
	}
	k := size / 15
	c.stroke(s.ink, 2.6*k, point{at.x - 5.5*k, at.y + 0.5*k}, point{at.x - 1.5*k, at.y + 4.5*k}, point{at.x + 6*k, at.y - 4.5*k})
}

// ledger writes the ten fingers as two columns, the left hand's on the left.
func (c *canvas) ledger(x, y, w float64, l biometric.Ledger) {
	for i, e := range l {
		col, row := 1, i
		if !e.Position.Right() {
			col, row = 0, i-5
		}
		c.ledgerLine(x+float64(col)*w/2, y+float64(row)*47, w/2-14, e)
	}
}

func (c *canvas) ledgerLine(x, y, w float64, e biometric.Entry) {
	s := lookOf(e.Reason)
	c.box(x, y, 26, 26, 13, s.fill, nil)
	c.mark(point{x + 13, y + 13}, s, 14)
	name := strings.ReplaceAll(e.Position.String(), "-", " ")
	c.text(x+36, y+12, bold, 15, ink, fmt.Sprintf("%d  %s", int(e.Position), name))
	what := s.name
	if e.Reason.Excepting() {
		what += map[bool]string{true: ", permanent", false: ", temporary"}[e.Permanent]
	}
	if e.Quality != nil {
		what = fmt.Sprintf("%s, quality %d", what, e.Quality.Score)
	}
	c.text(x+36, y+30, regular, 14, muted, c.fit(regular, 14, w-36, what))
}
