package synth

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// The glass of an enrolment scanner, in pixels at PPI: 81 by 76 mm.
const (
	GlassWidth  = 1600
	GlassHeight = 1500
)

// Slap is one presentation of fingers on the glass.
type Slap struct {
	Who        Person
	Fingers    []Position // which lie there, in any order; up to four side by side fit
	Seed       uint64     // of this presentation: where exactly they lie
	Touch      Touch
	Rotation   float64 // degrees, clockwise, of the whole hand
	UpsideDown bool    // the hand comes from the far side

	// Instead says which finger in truth lies where another one belongs: the same finger shown twice, a wrong one.
	Instead map[Position]Position

	Lifelike *Lifelike // nil: four clean, even contacts in a row
}

// Placed is the truth about one finger on the glass.
type Placed struct {
	Position Position
	Box      image.Rectangle // px, of the contact
	Rotation float64         // degrees, clockwise; 0 points away from the person
}

// Names of the fingers, by position.
var names = [...]string{RightThumb: "right-thumb", RightIndex: "right-index", RightMiddle: "right-middle",
	RightRing: "right-ring", RightLittle: "right-little", LeftThumb: "left-thumb", LeftIndex: "left-index",
	LeftMiddle: "left-middle", LeftRing: "left-ring", LeftLittle: "left-little"}

// String gives "right-index".
func (p Position) String() string {
	if !p.Valid() {
		return fmt.Sprintf("position-%d", int(p))
	}
	return names[p]
}

// ParsePosition reads the name of a finger, "right-index".
func ParsePosition(name string) (Position, error) {
	if i := slices.Index(names[:], name); i > 0 {
		return Position(i), nil
	}
	return 0, fmt.Errorf("reading finger %q: no such finger (hint: one of %s)", name, strings.Join(names[1:], ", "))
}

// By digit, thumb to little finger: the width of a contact against an index finger's, how far it reaches down the glass
// beside its neighbours (px), and how it leans in a spread hand (degrees, right hand).
var (
	digitSize  = [5]float64{1.08, 1, 1.02, 1, 0.84}
	digitReach = [5]float64{150, 30, -45, 0, 125}
	digitLean  = [5]float64{-24, -6, -1, 3, 9}
)

// Slap presses fingers on the glass and returns the picture and the truth about it, left to right. The picture is the
// caller's to change.
func (l *Library) Slap(s Slap) (*image.Gray, []Placed, error) {
	where, err := s.lay()
	if err != nil {
		return nil, nil, err
	}
	glass := newGlass(GlassWidth, GlassHeight)
	var placed []Placed
	for _, at := range where {
		finger := at.slot
		if other, ok := s.Instead[finger]; ok {
			finger = other
		}
		m, err := l.Master(s.Who.Finger(finger))
		if err != nil {
			return nil, nil, err
		}
		box := m.press(glass, at, s.Touch)
		if at.phalanx {
			at.pressPhalanx(glass, s.Touch)
		}
		placed = append(placed, Placed{Position: finger, Box: box, Rotation: at.turn})
	}
	if s.Lifelike != nil {
		if err := s.Lifelike.soil(glass, where, l, s.Who, newRand(s.Seed, 'd')); err != nil {
			return nil, nil, err
		}
	}
	slices.SortStableFunc(placed, func(a, b Placed) int { return a.Box.Min.X + a.Box.Max.X - b.Box.Min.X - b.Box.Max.X })
	return glass, placed, nil
}

// order is where a finger stands from left to right when both hands lie palm down.
func order(p Position) int {
	if p.Right() {
		return 5 + p.digit()
	}
	return 4 - p.digit()
}

// lay finds a place on the glass for every finger.
func (s Slap) lay() ([]placing, error) {
	fingers := slices.Clone(s.Fingers)
	slices.SortFunc(fingers, func(a, b Position) int { return order(a) - order(b) })
	fingers = slices.Compact(fingers)
	for _, p := range fingers {
		if other, ok := s.Instead[p]; !p.Valid() || ok && !other.Valid() {
			return nil, fmt.Errorf("laying fingers on the glass: finger %d does not exist (hint: 1 to 10)", int(p))
		}
	}
	r := newRand(s.Seed, 'l')
	at := s.place(fingers, r)
	turnAll(at, s.Rotation+2*r.NormFloat64())
	if err := centre(at, 25*r.NormFloat64(), 25*r.NormFloat64()); err != nil {
		return nil, err
	}
	for i := range at {
		if s.UpsideDown {
			at[i].x, at[i].y, at[i].turn = GlassWidth-at[i].x, GlassHeight-at[i].y, at[i].turn+180
		}
	}
	return at, nil
}

// place puts fingers side by side around the origin, in order from left to right.
func (s Slap) place(fingers []Position, r *rand.Rand) []placing {
	if s.Lifelike != nil {
		return s.Lifelike.lay(fingers, r)
	}
	at := make([]placing, len(fingers))
	var x float64
	for i, p := range fingers {
		half := 172 * digitSize[p.digit()]
		if i > 0 {
			x += half + 6 + 10*r.Float64()
			if fingers[i-1].Right() != p.Right() {
				x += 90 + 60*r.Float64()
			}
			x += between(fingers[i-1], p)
		}
		lean := digitLean[p.digit()]
		if !p.Right() {
			lean = -lean
		}
		at[i] = placing{slot: p, x: x, y: digitReach[p.digit()] + 12*r.NormFloat64(), turn: 0.7*lean + 1.5*r.NormFloat64(),
			size: digitSize[p.digit()], seed: r.Uint64()}
		x += half
	}
	return at
}

// between is the room that fingers of a hand keep which are held up between two others (px).
func between(a, b Position) (room float64) {
	if a.Right() != b.Right() {
		return 0
	}
	for d := max(min(a.digit(), b.digit()), 1) + 1; d < max(a.digit(), b.digit()); d++ {
		room += 2*172*digitSize[d] + 11
	}
	return room
}

// turnAll turns a hand about the middle of its fingers.
func turnAll(at []placing, degrees float64) {
	var mx float64
	for _, p := range at {
		mx += p.x / float64(len(at))
	}
	sin, cos := math.Sincos(radians(degrees))
	for i, p := range at {
		at[i].x, at[i].y = (p.x-mx)*cos-p.y*sin, (p.x-mx)*sin+p.y*cos
		at[i].turn += degrees
	}
}

// centre moves fingers to the middle of the glass, and off it by dx, dy as far as there is room.
func centre(at []placing, dx, dy float64) error {
	loX, loY, hiX, hiY := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, p := range at {
		sin, cos := math.Sincos(radians(p.turn))
		w := p.size * (math.Hypot(172*cos, 235*p.length()*sin))
		h := p.size * (math.Hypot(172*sin, 235*p.length()*cos))
		loX, hiX = math.Min(loX, p.x-w), math.Max(hiX, p.x+w)
		loY, hiY = math.Min(loY, p.y-h), math.Max(hiY, p.y+h)
	}
	freeX, freeY := GlassWidth-(hiX-loX), GlassHeight-(hiY-loY)
	if len(at) > 0 && (freeX < 0 || freeY < 0) {
		return fmt.Errorf("laying %d fingers on the glass: they need %.0fx%.0f px and it has %dx%d (hint: present up to four fingers of a hand, or turn the hand less)",
			len(at), hiX-loX, hiY-loY, GlassWidth, GlassHeight)
	}
	moveX := freeX/2 - loX + limit(dx, freeX/2)
	moveY := freeY/2 - loY + limit(dy, freeY/2)
	for i := range at {
		at[i].x, at[i].y = at[i].x+moveX, at[i].y+moveY
	}
	return nil
}
