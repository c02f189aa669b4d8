package ui

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"image/color"
	"math"
	"strconv"
)

//go:embed theme.json
var standardTheme []byte

// Theme is what a designer may change without touching code: colour, type and space as named tokens. Lengths and type sizes
// are in units of the screen's design space, 1280 by 800. Lists of sizes give one for each of the three text sizes.
type Theme struct {
	Colours  map[Contrast]Palette `json:"colours"`
	Type     Type                 `json:"type"`
	Space    Space                `json:"space"`
	TargetMM float64              `json:"target_mm"` // the smallest side of anything that is touched
}

// Contrast names one palette of a theme.
type Contrast string

// The palettes that every theme has.
const (
	ContrastStandard Contrast = "standard"
	ContrastHigh     Contrast = "high"
)

// Palette is the colours of one contrast.
type Palette struct {
	Ground      Colour `json:"ground"`  // of the screen
	Surface     Colour `json:"surface"` // of cards and plain buttons
	Text        Colour `json:"text"`
	Muted       Colour `json:"muted"` // text of less weight
	Line        Colour `json:"line"`  // borders of what can be pressed, outlines of drawings
	Primary     Colour `json:"primary"`
	OnPrimary   Colour `json:"on_primary"`
	Focus       Colour `json:"focus"`
	Good        Colour `json:"good"`
	OnGood      Colour `json:"on_good"`
	Attention   Colour `json:"attention"`
	OnAttention Colour `json:"on_attention"`
	Trouble     Colour `json:"trouble"`
	OnTrouble   Colour `json:"on_trouble"`
	Skin        Colour `json:"skin"`   // of a drawn hand
	Wanted      Colour `json:"wanted"` // of a finger to present
}

// Type is the type scale.
type Type struct {
	Title  [3]int `json:"title"`
	Body   [3]int `json:"body"`
	Small  [3]int `json:"small"`
	Button [3]int `json:"button"`
	Tool   [3]int `json:"tool"`
	Number [3]int `json:"number"`
}

// Space is the spacing scale.
type Space struct {
	Tight  int `json:"tight"`
	Gap    int `json:"gap"`
	Block  int `json:"block"`
	Edge   int `json:"edge"`
	Radius int `json:"radius"`
	Line   int `json:"line"`
	Ring   int `json:"ring"` // of the focus
}

// Colour is an opaque colour, "#154273".
type Colour color.NRGBA

// UnmarshalText reads "#RRGGBB".
func (c *Colour) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text[min(1, len(text)):]), 16, 32)
	if err != nil || len(text) != 7 || text[0] != '#' {
		return fmt.Errorf("reading colour %q: it is not of the form #RRGGBB", text)
	}
	*c = Colour{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 255}
	return nil
}

// LoadTheme reads a theme; nil gives loket's own. A theme that breaks a contrast rule is an error that names the pair.
func LoadTheme(data []byte) (Theme, error) {
	if data == nil {
		data = standardTheme
	}
	var t Theme
	if err := json.Unmarshal(data, &t); err != nil {
		return Theme{}, fmt.Errorf("reading the theme: %w", err)
	}
	if err := t.check(); err != nil {
		return Theme{}, fmt.Errorf("reading the theme: %w", err)
	}
	return t, nil
}

// pair is two colours that stand on each other, and the ratio that they need.
type pair struct {
	name     string
	on, over Colour
	atLeast  float64
}

// EN 301 549 V3.2.1, clauses 9.1.4.3 and 9.1.4.11 by way of WCAG 2.1: 4.5:1 for text, 3:1 for controls and drawings.
const (
	textRatio    = 4.5
	controlRatio = 3
)

func (p Palette) pairs() []pair {
	return []pair{
		{"text on ground", p.Text, p.Ground, textRatio},
		{"text on surface", p.Text, p.Surface, textRatio},
		{"text on skin", p.Text, p.Skin, textRatio},
		{"muted on ground", p.Muted, p.Ground, textRatio},
		{"muted on surface", p.Muted, p.Surface, textRatio},
		{"on_primary on primary", p.OnPrimary, p.Primary, textRatio},
		{"on_good on good", p.OnGood, p.Good, textRatio},
		{"on_attention on attention", p.OnAttention, p.Attention, textRatio},
		{"on_trouble on trouble", p.OnTrouble, p.Trouble, textRatio},
		{"line on ground", p.Line, p.Ground, controlRatio},
		{"line on surface", p.Line, p.Surface, controlRatio},
		{"line on skin", p.Line, p.Skin, controlRatio},
		{"primary on ground", p.Primary, p.Ground, controlRatio},
		{"focus on ground", p.Focus, p.Ground, controlRatio},
		{"good on ground", p.Good, p.Ground, controlRatio},
		{"attention on ground", p.Attention, p.Ground, controlRatio},
		{"trouble on ground", p.Trouble, p.Ground, controlRatio},
		{"wanted on ground", p.Wanted, p.Ground, controlRatio},
		{"wanted on skin", p.Wanted, p.Skin, controlRatio},
	}
}

func (t Theme) check() error {
	for _, c := range []Contrast{ContrastStandard, ContrastHigh} {
		p, ok := t.Colours[c]
		if !ok {
			return fmt.Errorf("it has no palette %q", c)
		}
		for _, x := range p.pairs() {
			if r := ratio(x.on, x.over); r < x.atLeast {
				return fmt.Errorf("palette %q: %s has a contrast of %.2f:1, %.1f:1 are needed", c, x.name, r, x.atLeast)
			}
		}
	}
	for _, s := range [][3]int{t.Type.Title, t.Type.Body, t.Type.Small, t.Type.Button, t.Type.Tool, t.Type.Number} {
		if s[0] <= 0 || s[1] <= s[0] || s[2] <= s[1] {
			return fmt.Errorf("its three sizes of text do not grow: %v", s)
		}
	}
	if t.TargetMM < 15 {
		return fmt.Errorf("targets of %.1f mm are too small, 15 mm are needed", t.TargetMM)
	}
	return nil
}

// ratio is the contrast of two colours by WCAG 2.1.
func ratio(a, b Colour) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(c Colour) float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}
