package wsq

import "math"

// edge says how a half goes on beyond its ends. The zero value mirrors about the first and the last sample.
type edge struct {
	doubleFirst, doubleLast bool    // mirrored between samples: the outermost one comes twice
	gap                     bool    // a zero lies between the last sample and its mirror image
	turned                  float32 // what a mirrored sample is multiplied by: 1 or -1
}

// at finds sample i of a line that goes on for ever in a half of n samples: which it is, and what it is multiplied by.
func (e edge) at(i, n int) (int, float32) {
	sign := float32(1)
	if n == 0 {
		return 0, 0
	}
	for i < 0 || i >= n {
		switch {
		case n == 1 && !e.doubleFirst && !e.doubleLast && !e.gap:
			return 0, 1
		case e.gap && i == n:
			return 0, 0
		case i < 0 && e.doubleFirst:
			i = -1 - i
		case i < 0:
			i = -i
		case e.gap:
			i = 2*n - i
		case e.doubleLast:
			i = 2*n - 1 - i
		default:
			i = 2*n - 2 - i
		}
		sign *= e.turned
	}
	return i, sign
}

// lowEdge and highEdge are those of the halves of a line of n samples (A.3: symmetric extension).
func (b *bank) lowEdge(n int) edge {
	return edge{doubleFirst: !b.odd, doubleLast: n%2 == 0, turned: 1}
}

func (b *bank) highEdge(n int) edge {
	if b.odd {
		return edge{doubleFirst: true, doubleLast: n%2 != 0, turned: 1}
	}
	return edge{doubleFirst: true, doubleLast: n%2 == 0, gap: n%2 != 0, turned: -1}
}

// joiner puts the plane together, node by node.
type joiner struct {
	bank           *bank
	pitch          int
	plane, scratch []float32 // of the same size

	low, high [][]float32 // lines of a node, from the first that is needed
	line      [2][]float32
	lanes     [2][]float32
	picked    [][]float32
	spare     int // how far beyond its ends a half is needed
}

func newJoiner(b *bank, plane []float32, width, height int) *joiner {
	longest := max(width, height)
	j := &joiner{bank: b, pitch: width, plane: plane, scratch: make([]float32, len(plane))}
	j.spare = max(len(b.low), len(b.high))/2 + 2
	j.low, j.high = make([][]float32, longest/2+1+2*j.spare), make([][]float32, longest/2+1+2*j.spare)
	for i := range 2 {
		j.line[i] = make([]float32, width/2+2*j.spare)
		j.lanes[i] = make([]float32, width/2+1)
	}
	j.picked = make([][]float32, 0, max(len(b.taps[0]), len(b.taps[1])))
	return j
}

// join puts one node together: first its columns, into scratch, then its rows.
func (j *joiner) join(n node, root bool) {
	j.columns(n, root)
	for y := n.y; y < n.y+n.h; y++ {
		at := y*j.pitch + n.x
		j.row(j.plane[at:at+n.w], j.scratch[at:at+n.w], n.swapX)
	}
}

// part lists the coefficients that make sample r of a line, and the sample of the halves, as listed, with which they begin.
func (b *bank) part(r int) (parity, first int) {
	if b.rising {
		return 1 - r&1, r / 2
	}
	return r & 1, (r + 1) / 2
}

// columns puts columns together. The root's last quarter is never coded: beyond its left edge only low-pass samples count.
func (j *joiner) columns(n node, root bool) {
	first, second := halves(n.h, n.swapY)
	lowAt, highAt, lows, highs := n.y, n.y+first, first, second
	if n.swapY {
		lowAt, highAt, lows, highs = n.y+first, n.y, second, first
	}
	j.lines(j.low, n, lowAt, lows, j.bank.firstLow(), j.bank.lowEdge(n.h))
	j.lines(j.high, n, highAt, highs, j.bank.firstHigh(), j.bank.highEdge(n.h))
	whole := n.w
	if root {
		whole, _ = halves(n.w, false)
	}
	for r := range n.h {
		parity, k := j.bank.part(r)
		taps, split := j.bank.taps[parity], j.bank.lows[parity]
		j.picked = append(append(j.picked[:0], j.low[k:k+split]...), j.high[k:k+len(taps)-split]...)
		dst := j.scratch[(n.y+r)*j.pitch+n.x:][:n.w]
		blend(dst[:whole], j.picked, taps)
		if whole < n.w {
			for i, line := range j.picked[:split] {
				j.picked[i] = line[whole:]
			}
			blend(dst[whole:], j.picked[:split], taps[:split])
		}
	}
}

// lines lists those of one half of a node's rows, first of them, as far as they may be needed.
func (j *joiner) lines(list [][]float32, n node, at, count, first int, e edge) {
	for i := range count + 2*j.spare {
		y, sign := e.at(first+i, count)
		switch sign {
		case 1:
			list[i] = j.plane[(at+y)*j.pitch+n.x:]
		case 0:
			list[i] = make([]float32, n.w)
		default:
			list[i] = turned(j.plane[(at+y)*j.pitch+n.x:][:n.w])
		}
	}
}

// turned is a line with every sign changed.
func turned(line []float32) []float32 {
	made := make([]float32, len(line))
	for i, v := range line {
		made[i] = -v
	}
	return made
}

// row puts one line together.
func (j *joiner) row(dst, src []float32, swap bool) {
	n := len(dst)
	first, _ := halves(n, swap)
	low, high := src[:first], src[first:]
	if swap {
		low, high = high, low
	}
	extend(j.line[0], low, j.bank.firstLow(), j.spare, j.bank.lowEdge(n))
	extend(j.line[1], high, j.bank.firstHigh(), j.spare, j.bank.highEdge(n))
	for r := range min(2, n) {
		parity, k := j.bank.part(r)
		taps, split := j.bank.taps[parity], j.bank.lows[parity]
		j.picked = j.picked[:0]
		for i := range split {
			j.picked = append(j.picked, j.line[0][k+i:])
		}
		for i := range len(taps) - split {
			j.picked = append(j.picked, j.line[1][k+i:])
		}
		blend(j.lanes[r][:(n+1-r)/2], j.picked, taps)
	}
	weave(dst, j.lanes[0], j.lanes[1])
}

// extend copies a half and what lies beyond its ends, from sample first (not above zero) on.
func extend(dst, half []float32, first, spare int, e edge) {
	copy(dst[-first:], half)
	for i := first; i < 0; i++ {
		dst[i-first] = pick(half, i, e)
	}
	for i := len(half); i < len(half)+spare; i++ {
		dst[i-first] = pick(half, i, e)
	}
}

func pick(half []float32, i int, e edge) float32 {
	at, sign := e.at(i, len(half))
	if sign == 0 {
		return 0
	}
	return half[at] * sign
}

// weave takes samples from two lines in turn, and leaves out what is next to nothing: no node is made of less than [leastPart].
func weave(dst, a, b []float32) {
	a, b = a[:(len(dst)+1)/2], b[:len(dst)/2]
	for i, v := range b {
		dst[2*i], dst[2*i+1] = counting(a[i]), counting(v)
	}
	if len(dst)%2 != 0 {
		dst[len(dst)-1] = counting(a[len(a)-1])
	}
}

// counting is v, or zero where v is nearer to it than [leastPart]. It compares magnitudes as whole numbers.
func counting(v float32) float32 {
	if math.Float32bits(v)<<1 < leastBits<<1 {
		return 0
	}
	return v
}

const leastBits = 0x2b8cbccc // of leastPart
