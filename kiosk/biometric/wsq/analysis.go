package wsq

// The right halves of the analysis filters of the FBI's parameter settings (part 3, table 1): symmetric, of 9 and 7 coefficients.
func analysisHalves() (low, high []float64) {
	return []float64{0.85269867900940344, 0.37740285561265380, -0.11062440441842342, -0.02384946501938000, 0.03782845550699546},
		[]float64{0.78848561640566439, -0.41809227322221221, -0.04068941760955844, 0.06453888262893845}
}

// symmetric makes a whole filter of odd length of its right half.
func symmetric(half []float64) []float32 {
	whole := make([]float32, 2*len(half)-1)
	for i, v := range half {
		whole[len(half)-1+i], whole[len(half)-1-i] = float32(v), float32(v)
	}
	return whole
}

// Where the filters begin, seen from the pair of samples that they make a sample of each half of.
const (
	analysisLow  = -4
	analysisHigh = -2
	analysisPad  = 4 // samples beyond the ends of a line
)

// splitter takes the plane apart, node by node.
type splitter struct {
	low, high      []float32
	pitch          int
	plane, scratch []float32
	lines          [][]float32 // of a node, from analysisPad before its first
	lanes          [2][]float32
	picked         [9][]float32
}

func newSplitter(plane []float32, width, height int) *splitter {
	s := &splitter{pitch: width, plane: plane, scratch: make([]float32, len(plane))}
	low, high := analysisHalves()
	s.low, s.high = symmetric(low), symmetric(high)
	s.lines = make([][]float32, height+2*analysisPad)
	for i := range s.lanes {
		s.lanes[i] = make([]float32, width/2+1+analysisPad)
	}
	return s
}

// split takes one node apart: its rows, into scratch, then its columns. Of the root, the quarter of noise is left as it was.
func (s *splitter) split(n node, root bool) {
	if n.w == 0 || n.h == 0 {
		return // a picture of a few pixels
	}
	first, second := halves(n.w, n.swapX)
	for y := n.y; y < n.y+n.h; y++ {
		at := y*s.pitch + n.x
		s.row(s.scratch[at:at+n.w], s.plane[at:at+n.w], n.swapX)
	}
	whole := first + second
	if root {
		whole = first
	}
	s.columns(n, whole)
}

// mirrored finds sample i of a line of n samples that goes on for ever, mirrored about its first and last.
func mirrored(i, n int) int {
	at, _ := edge{turned: 1}.at(i, n)
	return at
}

// row splits one line.
func (s *splitter) row(dst, src []float32, swap bool) {
	n := len(src)
	for i := range (n + 2*analysisPad + 1) / 2 {
		even, odd := 2*i-analysisPad, 2*i-analysisPad+1
		if even >= 0 && odd < n {
			s.lanes[0][i], s.lanes[1][i] = src[even], src[odd]
		} else {
			s.lanes[0][i], s.lanes[1][i] = src[mirrored(even, n)], src[mirrored(odd, n)]
		}
	}
	first, _ := halves(n, swap)
	low, high := dst[:first], dst[first:]
	if swap {
		low, high = high, low
	}
	s.pass(low, s.low, analysisLow)
	s.pass(high, s.high, analysisHigh)
}

// pass filters the line that lies in two lanes.
func (s *splitter) pass(dst, filter []float32, from int) {
	for i := range filter {
		at := from + analysisPad + i
		s.picked[i] = s.lanes[at&1][at/2:]
	}
	blend(dst, s.picked[:len(filter)], filter)
}

// columns splits all columns of a node at once; of high-pass rows only the first whole samples are made.
func (s *splitter) columns(n node, whole int) {
	for i := range n.h + 2*analysisPad {
		s.lines[i] = s.scratch[(n.y+mirrored(i-analysisPad, n.h))*s.pitch+n.x:][:n.w]
	}
	first, _ := halves(n.h, n.swapY)
	lowAt, highAt := n.y, n.y+first
	if n.swapY {
		lowAt, highAt = highAt, lowAt
	}
	for k := range n.h {
		if k%2 == 0 {
			at := (lowAt+k/2)*s.pitch + n.x
			blend(s.plane[at:at+n.w], s.lines[k+analysisPad+analysisLow:][:len(s.low)], s.low)
		} else {
			at := (highAt+k/2)*s.pitch + n.x
			blend(s.plane[at:at+whole], s.lines[k-1+analysisPad+analysisHigh:][:len(s.high)], s.high)
		}
	}
}
