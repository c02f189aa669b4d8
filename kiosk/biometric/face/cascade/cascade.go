// Package cascade finds objects in grey pictures with boosted cascades.
//
// The one idea: [Read] takes a file in OpenCV's format, [Detector.Detect] evaluates it, and what comes out is what OpenCV's own
// detector finds. The method is that of Viola and Jones (CVPR 2001) with the tilted features of Lienhart and Maydt (ICIP 2002)
// and the multi-block local binary patterns of Liao and others (ICB 2007); the order of evaluation, the scales and the way in
// which hits are joined are those of OpenCV 4, so that a cascade behaves as it did where it was tuned.
package cascade

// Cascade is a trained detector. It is only read once it is made, and may serve several goroutines.
type Cascade struct {
	Width, Height int // of the window that it was trained on, px

	kind   kind
	tilted bool // some feature is
	stumps bool // every tree is a single pattern
	stages []stage
	trees  []tree
	nodes  []node
	leaves []float32
	haar   []haar
	lbp    []lbp
}

// kind is how the nodes of a cascade ask.
type kind int

const (
	kindHaar kind = iota // value below a threshold
	kindLBP              // pattern within a set
)

// stage is trees first to last-1, whose leaves must add up to the threshold.
type stage struct {
	first, last int
	threshold   float32
}

// tree is where its nodes and its leaves begin, and what the trees after it in its stage can add up to at least and at most.
type tree struct {
	node, leaf  int32
	least, most float32
}

// node asks one feature. left and right are nodes of the same tree when above 0, leaves when negated.
type node struct {
	feature     int32
	left, right int32
	threshold   float32
	set         [8]uint32 // the patterns that go left
}

// area is a rectangle within the window; of a tilted one x and y are its top corner.
type area struct{ x, y, w, h int }

// haar is two or three weighted rectangles.
type haar struct {
	areas   [3]area
	weights [3]float32
	tilted  bool
}

// lbp is the first of three by three blocks.
type lbp struct{ area }

// within reports whether an upright area lies within a window.
func (a area) within(w, h int) bool {
	return a.x >= 0 && a.y >= 0 && a.w > 0 && a.h > 0 && a.w <= w && a.h <= h && a.x <= w-a.w && a.y <= h-a.h
}

// tiltedWithin reports whether an area that is turned by 45 degrees about its top corner lies within a window.
func (a area) tiltedWithin(w, h int) bool {
	return a.y >= 0 && a.w > 0 && a.h > 0 && a.w <= w && a.h <= h && a.x-a.h >= 0 && a.x+a.w <= w && a.y+a.w+a.h <= h
}
