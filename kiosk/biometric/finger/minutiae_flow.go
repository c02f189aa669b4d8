package finger

import "math"

// The waves that are looked for: directions of the normal across ridges, over half a turn, and distances from ridge to
// ridge.
const (
	waveDirections = 16
	wavePeriods    = 5
	shortestPeriod = 3.0 // px at workPPI: 0.30 mm
	longestPeriod  = 6.6 // 0.67 mm
)

// The places at which they are looked for.
const (
	flowStep   = 4 // px at workPPI from place to place
	flowReach  = 8 // px of the window on each side
	flowSpread = 4 // px, standard deviation of the window
)

// flow says where ridges run and how far they lie apart, at places flowStep apart.
type flow struct {
	w, h   int
	places []place
}

// place is the wave at one place.
type place struct {
	cos, sin float32 // of twice the angle of the normal across the ridges, y downwards; shorter than 1 where unsure
	period   float32 // px from ridge to ridge; 0 where no ridges are
}

// spectrum is how strong each wave is at a place.
type spectrum [waveDirections * wavePeriods]float32

// newFlow measures where ridges run: the strongest waves in a window around each place, with those of the places around.
func newFlow(p prepared) flow {
	f := flow{w: (p.ridges.w + flowStep - 1) / flowStep, h: (p.ridges.h + flowStep - 1) / flowStep}
	f.places = make([]place, f.w*f.h)
	padded := p.ridges.padded(flowReach)
	defer clear(padded.v)
	bank := analysis()
	spectra := make([]spectrum, len(f.places))
	for i := range spectra {
		x, y := i%f.w*flowStep, i/f.w*flowStep
		if p.depth.v[y*p.ridges.w+x] > 0 {
			for j, w := range bank {
				re, im := w.response(padded, x, y)
				spectra[i][j] = re*re + im*im
			}
		}
	}
	smooth(spectra, f.w, f.h)
	for i, s := range spectra {
		f.places[i] = s.place()
	}
	clear(spectra)
	f.settle()
	return f
}

func (f flow) wipe() { clear(f.places) }

// padded returns p with a border of zeros.
func (p plane) padded(border int) plane {
	out := newPlane(p.w+2*border, p.h+2*border)
	for y := range p.h {
		copy(out.v[(y+border)*out.w+border:], p.v[y*p.w:][:p.w])
	}
	return out
}

// wavelet is one wave under a bell: what it is correlated with says how strong the wave is and where in its course.
type wavelet struct {
	side   int
	re, im []float32
}

// newWavelet makes the wave whose normal has the angle phi (y downwards), under a bell of standard deviations across and
// along the ridges. Its weights add up to 1, and it is blind to what is even.
func newWavelet(reach int, phi, period, across, along float64) wavelet {
	side := 2*reach + 1
	w := wavelet{side, make([]float32, side*side), make([]float32, side*side)}
	sin, cos := math.Sincos(phi)
	bell := make([]float64, side*side)
	var sum, even float64
	for i := range bell {
		x, y := float64(i%side-reach), float64(i/side-reach)
		u, v := x*cos+y*sin, y*cos-x*sin
		bell[i] = math.Exp(-u*u/(2*across*across) - v*v/(2*along*along))
		sum += bell[i]
		even += bell[i] * math.Cos(2*math.Pi*u/period)
	}
	for i, b := range bell {
		x, y := float64(i%side-reach), float64(i/side-reach)
		s, c := math.Sincos(2 * math.Pi * (x*cos + y*sin) / period)
		w.re[i] = float32(b / sum * (c - even/sum))
		w.im[i] = float32(-b / sum * s)
	}
	return w
}

// response correlates w with the square of p, which has a border, whose corner is at x, y.
func (w wavelet) response(p plane, x, y int) (re, im float32) {
	for row := range w.side {
		line := p.v[(y+row)*p.w+x:][:w.side]
		cos, sin := w.re[row*w.side:][:len(line)], w.im[row*w.side:][:len(line)]
		var a, b float32
		for i, v := range line {
			a += v * cos[i]
			b += v * sin[i]
		}
		re += a
		im += b
	}
	return re, im
}

// analysis makes the waves that are looked for, all periods of a direction together.
func analysis() []wavelet {
	bank := make([]wavelet, 0, waveDirections*wavePeriods)
	for d := range waveDirections {
		for i := range wavePeriods {
			bank = append(bank, newWavelet(flowReach, math.Pi*float64(d)/waveDirections, periodOf(i), flowSpread, flowSpread))
		}
	}
	return bank
}

// periodOf spreads the periods evenly on a logarithmic scale.
func periodOf(i int) float64 {
	return shortestPeriod * math.Pow(longestPeriod/shortestPeriod, float64(i)/(wavePeriods-1))
}

// smooth mixes each spectrum of w by h places with those of the places around it by a 5x5 binomial filter.
func smooth(spectra []spectrum, w, h int) {
	for y := range h {
		smoothLine(spectra[y*w:], w, 1)
	}
	for x := range w {
		smoothLine(spectra[x:], h, w)
	}
}

// smoothLine mixes n spectra, step apart.
func smoothLine(spectra []spectrum, n, step int) {
	line := make([]spectrum, n)
	for i := range line {
		for k, weight := range [5]float32{1, 4, 6, 4, 1} {
			if j := i + k - 2; j >= 0 && j < n {
				line[i].add(&spectra[j*step], weight/16)
			}
		}
	}
	for i := range line {
		spectra[i*step] = line[i]
	}
	clear(line)
}

func (s *spectrum) add(other *spectrum, weight float32) {
	for i, v := range other {
		s[i] += weight * v
	}
}

// place says which wave a spectrum amounts to. The strong count by their squares.
func (s *spectrum) place() place {
	var sum, cos, sin, logs float64
	for i, v := range s {
		power := float64(v) * float64(v)
		y, x := math.Sincos(2 * math.Pi * float64(i/wavePeriods) / waveDirections)
		sum += power
		cos += power * x
		sin += power * y
		logs += power * float64(i%wavePeriods)
	}
	if sum < 1e-12 {
		return place{}
	}
	return place{float32(cos / sum), float32(sin / sum),
		float32(shortestPeriod * math.Pow(longestPeriod/shortestPeriod, logs/sum/(wavePeriods-1)))}
}

// settle lets each place lean on its neighbours, the surer ones more: directions on the next ones, distances on many, since
// distances change slowly over a finger.
func (f *flow) settle() {
	next := make([]place, len(f.places))
	for i, p := range f.places {
		if p.period == 0 {
			continue
		}
		p.cos, p.sin = f.direction(i, 1)
		p.period = f.distance(i, 4)
		next[i] = p
	}
	clear(f.places)
	f.places = next
}

// direction is the mean direction of the places up to reach away from place i.
func (f *flow) direction(i, reach int) (cos, sin float32) {
	var sum float32
	f.around(i, reach, func(p place, weight float32) {
		sum += weight
		cos += weight * p.cos
		sin += weight * p.sin
	})
	return cos / sum, sin / sum
}

// distance is the mean distance from ridge to ridge of the places up to reach away from place i, by how sure they are.
func (f *flow) distance(i, reach int) float32 {
	var sum, periods float32
	f.around(i, reach, func(p place, weight float32) {
		sure := weight * (p.cos*p.cos + p.sin*p.sin + 1e-6)
		sum += sure
		periods += sure * p.period
	})
	return periods / sum
}

// around visits the places with ridges up to reach away from place i, those nearer with a larger weight.
func (f *flow) around(i, reach int, visit func(place, float32)) {
	x, y := i%f.w, i/f.w
	for v := max(y-reach, 0); v <= min(y+reach, f.h-1); v++ {
		for u := max(x-reach, 0); u <= min(x+reach, f.w-1); u++ {
			if p := f.places[v*f.w+u]; p.period > 0 {
				d := float64((u-x)*(u-x)+(v-y)*(v-y)) / float64(reach*reach)
				visit(p, float32(math.Exp(-d)))
			}
		}
	}
}

// at is the wave at a point, px: between the places around it.
func (f *flow) at(x, y float64) place {
	x, y = x/flowStep, y/flowStep
	ix, iy := int(x), int(y)
	tx, ty := float32(x-float64(ix)), float32(y-float64(iy))
	var out place
	var sum float32
	for j, weight := range [4]float32{(1 - tx) * (1 - ty), tx * (1 - ty), (1 - tx) * ty, tx * ty} {
		p := f.places[min(iy+j/2, f.h-1)*f.w+min(ix+j%2, f.w-1)]
		if p.period > 0 {
			sum += weight
			out.cos += weight * p.cos
			out.sin += weight * p.sin
			out.period += weight * p.period
		}
	}
	if sum > 0 {
		out.cos, out.sin, out.period = out.cos/sum, out.sin/sum, out.period/sum
	}
	return out
}

// normal is the unit vector across the ridges.
func (p place) normal() (x, y float64) {
	sin, cos := math.Sincos(math.Atan2(float64(p.sin), float64(p.cos)) / 2)
	return cos, sin
}
