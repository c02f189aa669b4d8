package cascade

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// What a cascade may be at most. OpenCV's largest has 2.7 MB, 8,500 features and windows of 64 pixels.
const (
	MaxBytes    = 8 << 20
	maxSide     = 256
	maxFeatures = 1 << 16
	maxNodes    = 1 << 18
)

// stageSlack is how far below its threshold a stage still passes: OpenCV's, against rounding in training.
const stageSlack = 1e-5

// storage is a file: one cascade in the format of OpenCV 2 and later, or one in the format before.
type storage struct {
	New *newCascade `xml:"cascade"`
	Old []oldStages `xml:",any"`
}

type newCascade struct {
	StageType   string `xml:"stageType"`
	FeatureType string `xml:"featureType"`
	Width       int    `xml:"width"`
	Height      int    `xml:"height"`
	Stages      []struct {
		Threshold float32 `xml:"stageThreshold"`
		Trees     []struct {
			Nodes  string `xml:"internalNodes"`
			Leaves string `xml:"leafValues"`
		} `xml:"weakClassifiers>_"`
	} `xml:"stages>_"`
	Features []feature `xml:"features>_"`
}

// feature is a Haar feature (Rects, Tilted) or a binary pattern (Rect).
type feature struct {
	Rect   string   `xml:"rect"`
	Rects  []string `xml:"rects>_"`
	Tilted int      `xml:"tilted"`
}

type oldStages struct {
	Type   string `xml:"type_id,attr"`
	Size   string `xml:"size"`
	Stages []struct {
		Threshold float32 `xml:"stage_threshold"`
		Trees     []struct {
			Nodes []oldNode `xml:"_"`
		} `xml:"trees>_"`
	} `xml:"stages>_"`
}

type oldNode struct {
	Feature   feature  `xml:"feature"`
	Threshold float32  `xml:"threshold"`
	LeftVal   *float32 `xml:"left_val"`
	RightVal  *float32 `xml:"right_val"`
	LeftNode  int32    `xml:"left_node"`
	RightNode int32    `xml:"right_node"`
}

// Read reads a cascade of at most [MaxBytes] in either of OpenCV's XML formats. What it returns can be evaluated without
// further checks: every feature lies within the window, and every tree ends.
func Read(r io.Reader) (*Cascade, error) {
	c, err := read(r)
	if err != nil {
		return nil, fmt.Errorf("reading a cascade: %w", err)
	}
	return c, nil
}

func read(r io.Reader) (*Cascade, error) {
	limited := &io.LimitedReader{R: r, N: MaxBytes + 1}
	var s storage
	err := xml.NewDecoder(limited).Decode(&s)
	switch {
	case limited.N == 0:
		return nil, fmt.Errorf("more than %d bytes", MaxBytes)
	case err != nil:
		return nil, err
	case s.New != nil:
		return fromNew(s.New)
	}
	for i := range s.Old {
		if s.Old[i].Type == "opencv-haar-classifier" {
			return fromOld(&s.Old[i])
		}
	}
	return nil, errors.New("no cascade in this file (hint: it must be one that OpenCV's CascadeClassifier loads)")
}

func fromNew(n *newCascade) (*Cascade, error) {
	c := &Cascade{Width: n.Width, Height: n.Height}
	switch {
	case n.StageType != "BOOST":
		return nil, fmt.Errorf("stages of type %.20q are not known", n.StageType)
	case n.FeatureType == "LBP":
		c.kind = kindLBP
	case n.FeatureType != "HAAR":
		return nil, fmt.Errorf("features of type %.20q are not known", n.FeatureType)
	}
	if err := c.checkSize(); err != nil {
		return nil, err
	}
	for _, f := range n.Features {
		if err := c.addFeature(f); err != nil {
			return nil, err
		}
	}
	for _, s := range n.Stages {
		first := len(c.trees)
		for _, t := range s.Trees {
			if err := c.addTree(t.Nodes, t.Leaves); err != nil {
				return nil, err
			}
		}
		c.endStage(first, s.Threshold)
	}
	return c, c.checkWhole()
}

func fromOld(o *oldStages) (*Cascade, error) {
	size, err := numbers[int](o.Size, 2, strconv.Atoi)
	if err != nil {
		return nil, fmt.Errorf("the window's size: %w", err)
	}
	c := &Cascade{Width: size[0], Height: size[1]}
	if err := c.checkSize(); err != nil {
		return nil, err
	}
	for _, s := range o.Stages {
		first := len(c.trees)
		for _, t := range s.Trees {
			if err := c.addOldTree(t.Nodes); err != nil {
				return nil, err
			}
		}
		c.endStage(first, s.Threshold)
	}
	return c, c.checkWhole()
}

func (c *Cascade) endStage(first int, threshold float32) {
	c.stages = append(c.stages, stage{first, len(c.trees), threshold - stageSlack})
	var least, most float32
	for i := len(c.trees) - 1; i >= first; i-- {
		t := &c.trees[i]
		t.least, t.most = least, most
		leaves := c.leaves[t.leaf:]
		if i+1 < len(c.trees) {
			leaves = c.leaves[t.leaf:c.trees[i+1].leaf]
		}
		least, most = least+slices.Min(leaves), most+slices.Max(leaves)
	}
}

func (c *Cascade) checkSize() error {
	if c.Width < 3 || c.Height < 3 || c.Width > maxSide || c.Height > maxSide {
		return fmt.Errorf("a window of %d x %d pixels (at least 3, at most %d)", c.Width, c.Height, maxSide)
	}
	return nil
}

func (c *Cascade) checkWhole() error {
	features := max(len(c.haar), len(c.lbp))
	if len(c.stages) == 0 || features == 0 {
		return errors.New("it has no stages or no features")
	}
	for _, n := range c.nodes {
		if n.feature < 0 || int(n.feature) >= features {
			return fmt.Errorf("feature %d of %d is asked for", n.feature, features)
		}
	}
	c.stumps = c.kind == kindLBP && len(c.nodes) == len(c.trees)
	return nil
}

func (c *Cascade) addFeature(f feature) error {
	if max(len(c.haar), len(c.lbp)) >= maxFeatures {
		return fmt.Errorf("more than %d features", maxFeatures)
	}
	if c.kind == kindLBP {
		v, err := numbers[int](f.Rect, 4, strconv.Atoi)
		if err != nil {
			return fmt.Errorf("a pattern: %w", err)
		}
		a := area{v[0], v[1], v[2], v[3]}
		if whole := (area{a.x, a.y, 3 * a.w, 3 * a.h}); !a.within(c.Width, c.Height) || !whole.within(c.Width, c.Height) {
			return errors.New("a pattern lies outside the window")
		}
		c.lbp = append(c.lbp, lbp{a})
		return nil
	}
	return c.addHaar(f)
}

func (c *Cascade) addHaar(f feature) error {
	if len(f.Rects) < 1 || len(f.Rects) > 3 {
		return fmt.Errorf("a feature of %d rectangles (1 to 3 are known)", len(f.Rects))
	}
	h := haar{tilted: f.Tilted != 0}
	for i, r := range f.Rects {
		v, err := numbers(r, 5, func(s string) (float64, error) { return strconv.ParseFloat(s, 32) })
		if err != nil {
			return fmt.Errorf("a feature: %w", err)
		}
		for _, side := range v[:4] {
			if side != float64(int16(side)) {
				return errors.New("a feature has no whole pixels")
			}
		}
		a := area{int(v[0]), int(v[1]), int(v[2]), int(v[3])}
		if h.tilted && !a.tiltedWithin(c.Width, c.Height) || !h.tilted && !a.within(c.Width, c.Height) {
			return errors.New("a feature lies outside the window")
		}
		h.areas[i], h.weights[i] = a, float32(v[4])
	}
	c.haar, c.tilted = append(c.haar, h), c.tilted || h.tilted
	return nil
}

// addTree adds a tree of the newer format: a node is left, right, feature, and a threshold or a set in eight words.
func (c *Cascade) addTree(nodes, leaves string) error {
	parse := func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }
	values, err := numbers(nodes, 0, parse)
	if err != nil {
		return fmt.Errorf("a tree's nodes: %w", err)
	}
	size := 4
	if c.kind == kindLBP {
		size = 11
	}
	if len(values) == 0 || len(values)%size != 0 {
		return fmt.Errorf("a tree's nodes are %d numbers, which is no multiple of %d", len(values), size)
	}
	t := tree{node: int32(len(c.nodes)), leaf: int32(len(c.leaves))}
	for ; len(values) > 0; values = values[size:] {
		n := node{left: int32(values[0]), right: int32(values[1]), feature: int32(values[2])}
		if c.kind == kindLBP {
			for i, word := range values[3:11] {
				n.set[i] = uint32(int32(word))
			}
		} else {
			n.threshold = float32(values[3])
		}
		c.nodes = append(c.nodes, n)
	}
	ends, err := numbers(leaves, 0, parse)
	if err != nil {
		return fmt.Errorf("a tree's leaves: %w", err)
	}
	for _, v := range ends {
		c.leaves = append(c.leaves, float32(v))
	}
	return c.endTree(t)
}

// addOldTree adds a tree of the older format, whose nodes hold their features and their leaves.
func (c *Cascade) addOldTree(nodes []oldNode) error {
	t := tree{node: int32(len(c.nodes)), leaf: int32(len(c.leaves))}
	leaf := func(v *float32, next int32) int32 {
		if v == nil {
			return next
		}
		c.leaves = append(c.leaves, *v)
		return -int32(len(c.leaves)-1) + t.leaf
	}
	for _, o := range nodes {
		if err := c.addFeature(o.Feature); err != nil {
			return err
		}
		if o.LeftVal == nil && o.LeftNode == 0 || o.RightVal == nil && o.RightNode == 0 {
			return errors.New("a tree's node leads nowhere")
		}
		n := node{feature: int32(len(c.haar) - 1), threshold: o.Threshold}
		n.left = leaf(o.LeftVal, o.LeftNode)
		n.right = leaf(o.RightVal, o.RightNode)
		c.nodes = append(c.nodes, n)
	}
	return c.endTree(t)
}

// endTree makes sure that a tree ends: a node leads to later nodes and to leaves only.
func (c *Cascade) endTree(t tree) error {
	nodes, leaves := c.nodes[t.node:], int32(len(c.leaves))-t.leaf
	if len(nodes) == 0 || len(c.nodes) > maxNodes || len(c.leaves) > 2*maxNodes {
		return fmt.Errorf("a tree without nodes, or more than %d nodes", maxNodes)
	}
	for i, n := range nodes {
		for _, next := range []int32{n.left, n.right} {
			if next > 0 && (next <= int32(i) || next >= int32(len(nodes))) || next <= 0 && -int64(next) >= int64(leaves) {
				return errors.New("a tree's node leads to one that is not there or comes earlier")
			}
		}
	}
	c.trees = append(c.trees, t)
	return nil
}

// numbers reads white-spaced numbers; want of them, or any count for 0.
func numbers[T any](s string, want int, parse func(string) (T, error)) ([]T, error) {
	words := strings.Fields(s)
	if want > 0 && len(words) != want {
		return nil, fmt.Errorf("%d numbers instead of %d", len(words), want)
	}
	out := make([]T, len(words))
	for i, w := range words {
		v, err := parse(w)
		if err != nil {
			return nil, fmt.Errorf("%.20q is no number", w)
		}
		out[i] = v
	}
	return out, nil
}
