package wsq

// rect is a part of the plane that holds all subbands.
type rect struct{ x, y, w, h int }

// node is a part of the plane that is split into four, or is to be put together from four (A.2 of the specification, figure
// A.5). Where it came out of a high-pass filter its own halves are swapped, so that frequencies rise from left to right and
// from top to bottom.
type node struct {
	rect
	swapX, swapY bool
}

// halves splits a length: the low-pass half is the longer one. The first of the two is the one that lies first.
func halves(n int, swap bool) (first, second int) {
	if swap {
		return n / 2, n - n/2
	}
	return n - n/2, n / 2
}

// quarter is one of a node's four parts: 0 and 1 above, 2 and 3 below.
func (n node) quarter(i int) node {
	w0, w1 := halves(n.w, n.swapX)
	h0, h1 := halves(n.h, n.swapY)
	q := node{rect: rect{n.x, n.y, w0, h0}}
	if i&1 != 0 {
		q.x, q.w, q.swapX = n.x+w0, w1, true
	}
	if i&2 != 0 {
		q.y, q.h, q.swapY = n.y+h0, h1, true
	}
	return q
}

// How many subbands there are, how many of them an encoder may keep, and where the second and third block of them begin.
const (
	subbands     = 64
	keptSubbands = 60
	secondBlock  = 19
	thirdBlock   = 52
)

// layout is how the plane is split: nodes in the order in which they are split, and subbands in the order in which they are
// coded. The subbands from 60 on are what both filters took for noise; they are never kept.
type layout struct {
	nodes [20]node
	bands [subbands]rect
}

func layoutOf(width, height int) *layout {
	l := &layout{}
	root := node{rect: rect{0, 0, width, height}}
	l.nodes[0] = root
	low := root.quarter(0)
	outer := [3]node{low, root.quarter(1), root.quarter(2)}
	copy(l.nodes[1:], outer[:])
	at := 4
	for i := range 3 {
		inner := low.quarter(i)
		l.nodes[at] = inner
		at++
	}
	for i := range 3 {
		for j := range 4 {
			l.nodes[at] = low.quarter(i).quarter(j)
			at++
		}
	}
	l.nodes[19] = low.quarter(0).quarter(0).quarter(0)
	l.place(root)
	return l
}

// place numbers the subbands: the innermost four, then what is left of the low quarter, ring by ring.
func (l *layout) place(root node) {
	low := root.quarter(0)
	sixteen := func(at int, n node) {
		for i := range 16 {
			l.bands[at+i] = n.quarter(i / 4).quarter(i % 4).rect
		}
	}
	sixteen(48, root)
	sixteen(35, low.quarter(2))
	sixteen(19, low.quarter(1))
	l.bands[51] = low.quarter(3).rect
	sixteen(3, low.quarter(0))
	for i := range 4 {
		l.bands[i] = low.quarter(0).quarter(0).quarter(0).quarter(i).rect
	}
}
