package synth

import "math"

// PenPoint is where a pen was while somebody signed.
type PenPoint struct {
	X, Y  float64 // millimetres, from the left and upper edges of a field of 80 by 40
	T     float64 // seconds
	Force float64 // 0 to 1
}

// The size of the field that [Person.Scribble] fills, in millimetres.
const (
	ScribbleWidth  = 80
	ScribbleHeight = 40
)

// Scribble is how somebody signs: strokes of loops that lean, a flourish below. It is the same each time.
func (who Person) Scribble() [][]PenPoint {
	r := newRand(uint64(who), 's')
	lean, size := 0.2+0.4*r.Float64(), 3+1.5*r.Float64()
	at, clock := 10+4*r.Float64(), 0.0
	var strokes [][]PenPoint
	for range 2 {
		loops := 2 + r.IntN(2)
		high := size * (2 + 1.5*r.Float64())
		var s []PenPoint
		const steps = 24
		for i := range loops*steps + 1 {
			turn := 2 * math.Pi * float64(i) / steps
			rise := high * (0.55 + 0.45*math.Exp(-turn/5)) * math.Sin(turn)
			x := at + size*0.55*turn/math.Pi + size*0.3*math.Cos(turn) + lean*rise
			s = append(s, PenPoint{X: x, Y: 20 - rise, T: clock, Force: 0.55 + 0.35*math.Sin(turn+1)})
			clock += 0.011
		}
		at = s[len(s)-1].X + 2
		clock += 0.15
		strokes = append(strokes, s)
	}
	return append(strokes, flourish(at, clock))
}

// flourish is the line below a name.
func flourish(end, clock float64) []PenPoint {
	var s []PenPoint
	for i := range 30 {
		t := float64(i) / 29
		s = append(s, PenPoint{X: 12 + (end-12)*t, Y: 31 - 3*math.Sin(math.Pi*t), T: clock + 0.3*t, Force: 0.4 + 0.4*math.Sin(math.Pi*t)})
	}
	return s
}
