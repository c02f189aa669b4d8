package wsq

import (
	"math"
	"testing"
)

// table writes a transform table of whole filters.
func table(low, high []float64) []byte {
	out := []byte{byte(len(low)), byte(len(high))}
	for _, f := range [][]float64{low, high} {
		for _, c := range f[len(f)/2:] {
			sign := byte(0)
			if c < 0 {
				sign, c = 1, -c
			}
			v := uint32(math.Round(c * 1e8))
			out = append(out, sign, 8, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
		}
	}
	return out
}

// take splits a line as the specification says, one sum after the other.
func take(line, low, high []float64, swap bool) []float64 {
	n := len(line)
	var lows, highs []float64
	at := func(i int) float64 {
		for i < 0 || i >= n {
			switch odd := len(low)%2 != 0; {
			case n == 1:
				i = 0
			case i < 0 && odd:
				i = -i
			case i < 0:
				i = -1 - i
			case odd:
				i = 2*n - 2 - i
			default:
				i = 2*n - 1 - i
			}
		}
		return line[i]
	}
	sum := func(f []float64, from int) (s float64) {
		for i, c := range f {
			s += c * at(from+i)
		}
		return s
	}
	for k := range n {
		switch {
		case k%2 == 0:
			lows = append(lows, sum(low, k-(len(low)-1)/2))
		case len(low)%2 != 0:
			highs = append(highs, sum(high, k-(len(high)-1)/2))
		default:
			highs = append(highs, -sum(high, k-1-(len(high)-1)/2))
		}
	}
	if swap {
		return append(highs, lows...)
	}
	return append(lows, highs...)
}

// banks are pairs of filters, whole, of odd and of even length.
func banks() map[string][2][]float64 {
	lows, highs := analysisHalves()
	grow := func(half []float64) (f []float64) {
		for _, v := range symmetric(half) {
			f = append(f, float64(v))
		}
		return f
	}
	times := func(f float64, of ...float64) []float64 {
		for i := range of {
			of[i] *= f
		}
		return of
	}
	r := math.Sqrt2
	return map[string][2][]float64{
		"9/7": {grow(lows), grow(highs)},
		"5/3": {times(r/8, -1, 2, 6, 2, -1), times(r/4, -1, 2, -1)},
		"2/2": {times(r/2, 1, 1), times(r/2, 1, -1)},
		"6/2": {times(r/16, -1, 1, 8, 8, 1, -1), times(r/2, 1, -1)},
		"2/6": {times(r/2, 1, 1), times(r/16, -1, -1, 8, -8, 1, 1)},
	}
}

func TestEveryFilterBankPutsTogetherWhatItTookApart(t *testing.T) {
	for name, f := range banks() {
		bank, err := parseBank(&fields{rest: table(f[0], f[1])})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for n := 1; n < 40; n++ {
			for _, swap := range []bool{false, true} {
				line := make([]float64, n)
				for i := range line {
					line[i] = 100 * math.Sin(float64(i*i))
				}
				split := take(line, f[0], f[1], swap)
				for _, down := range []bool{false, true} {
					w, h := n, 1
					if down {
						w, h = 1, n
					}
					plane := make([]float32, n)
					for i, v := range split {
						plane[i] = float32(v)
					}
					j := newJoiner(bank, plane, w, h)
					if down {
						j.columns(node{rect{0, 0, w, h}, false, swap}, false)
						plane = j.scratch
					} else {
						j.row(plane, append([]float32{}, plane...), swap)
					}
					for i, v := range plane {
						if math.Abs(float64(v)-line[i]) > 0.01 {
							t.Fatalf("%s, %d samples, swapped %v, down %v: sample %d is %v, not %v", name, n, swap, down, i, v, line[i])
						}
					}
				}
			}
		}
	}
}

func TestFiltersThatDoNotBelongTogetherAreRefused(t *testing.T) {
	for _, lengths := range [][2]int{{9, 9}, {9, 8}, {8, 6}, {0, 0}, {1, 3}, {255, 255}} {
		f := table(make([]float64, lengths[0]), make([]float64, lengths[1]))
		if _, err := parseBank(&fields{rest: f}); err == nil {
			t.Errorf("filters of %v", lengths)
		}
	}
}

func TestSubbandsCoverThePlane(t *testing.T) {
	for _, size := range [][2]int{{416, 560}, {255, 301}, {1, 1}, {17, 3}, {640, 480}, {37, 1000}} {
		l := layoutOf(size[0], size[1])
		seen := make([]int, size[0]*size[1])
		for _, r := range l.bands {
			for y := r.y; y < r.y+r.h; y++ {
				for x := r.x; x < r.x+r.w; x++ {
					seen[y*size[0]+x]++
				}
			}
		}
		for i, n := range seen {
			if n != 1 {
				t.Fatalf("%v: sample %d is in %d subbands", size, i, n)
			}
		}
	}
}
