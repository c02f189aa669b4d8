package finger

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"loket/kiosk/biometric"
)

// ModelFormat is what a model's file says that it is.
const ModelFormat = "loket-finger-quality-model/1"

// Algorithm and Version name our own estimate on the NFIQ 2 scale. It is no NFIQ 2 score.
const (
	Algorithm = "loket-nfiq2-estimate"
	Version   = "1"
)

// Bounds of a model's file.
const (
	MaxModelBytes = 128 << 20
	maxTerms      = 1000
	maxTrees      = 10_000
	maxNodes      = 2_000_000
	maxTermBytes  = 64 << 10
	maxName       = 64 // bytes of an algorithm's name or version
)

// Model scores a finger by its measures: an offset, plus weighted terms, plus the mean of regression trees, put through a link.
// docs/quality.md describes its file, which [ReadModel] reads.
type Model struct {
	Format    string  `json:"format"`
	Algorithm string  `json:"algorithm"`
	Version   string  `json:"version"`
	Offset    float64 `json:"offset,omitempty"`
	Terms     []Term  `json:"terms,omitempty"`
	Trees     []Tree  `json:"trees,omitempty"`
	Link      *Link   `json:"link,omitempty"`  // nil: the sum is the score
	Doubt     *Doubt  `json:"doubt,omitempty"` // nil: none

	minutiae bool // it needs one of OwnMeasures
}

// Term is one weighted quantity: a sum of measures, by a sum of measures if there are any.
type Term struct {
	Sum    []string `json:"sum"`
	Over   []string `json:"over,omitempty"`
	Low    float64  `json:"low"` // of the prints that the model was fitted on
	High   float64  `json:"high"`
	Reach  float64  `json:"reach,omitempty"` // how far beyond low and high the term goes on, in their difference; then it stays
	Weight float64  `json:"weight"`
	Amount bool     `json:"amount,omitempty"` // counts how much of a finger there is: see [Doubt]
}

// Tree is a list of nodes, the root first; each names later ones only.
type Tree []Node

// Node parts prints by one measure, or is a leaf if it names none.
type Node struct {
	Measure string  `json:"measure,omitempty"`
	Most    float64 `json:"most,omitempty"` // up to here, Then is next, above it Else
	Then    int     `json:"then,omitempty"`
	Else    int     `json:"else,omitempty"`
	Value   float64 `json:"value,omitempty"`
}

// Link bends the sum into 0 to 100: 50 at the centre, 73 a slope above it.
type Link struct {
	Centre float64 `json:"centre"`
	Slope  float64 `json:"slope"`
}

// Doubt draws a score down to what the model says on average where a print has more than those that it was fitted on: where its
// amounts lie beyond their ranges, in the mean and in the ranges' lengths, by more than Allowed. By Half more, half of what the
// score has above Towards is left.
type Doubt struct {
	Towards float64 `json:"towards"`
	Allowed float64 `json:"allowed"`
	Half    float64 `json:"half"`
}

// ReadModel reads a site's model. Everything in it is checked: unknown fields, unknown measures, ranges, and that trees have an
// end. It may not go by the name of our own estimate.
func ReadModel(r io.Reader) (*Model, error) {
	m, err := readModel(r)
	if err != nil {
		return nil, fmt.Errorf("reading a quality model: %w (hint: docs/quality.md describes the file)", err)
	}
	return m, nil
}

// LoadModel reads a site's model from a file; nil, which stands for our own estimate, for no path.
func LoadModel(path string) (*Model, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a quality model: %w", err)
	}
	defer f.Close()
	m, err := ReadModel(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func (m *Model) check() error {
	switch {
	case m.Format != ModelFormat:
		return fmt.Errorf("its format is %q and not %q", m.Format, ModelFormat)
	case !isName(m.Algorithm) || !isName(m.Version):
		return fmt.Errorf("algorithm and version need a name each, of at most %d printable characters", maxName)
	case len(m.Terms)+len(m.Trees) == 0:
		return errors.New("it has neither terms nor trees")
	case m.Link != nil && m.Link.Slope <= 0:
		return errors.New("the link's slope is not positive")
	case m.Doubt != nil && (m.Doubt.Allowed < 0 || m.Doubt.Half <= 0 || m.Doubt.Towards < 0 || m.Doubt.Towards > 100):
		return errors.New("doubt allows less than nothing, has no half, or leads out of 0 to 100")
	}
	known := map[string]bool{}
	for _, name := range MeasureNames() {
		known[name] = true
	}
	for i, t := range m.Terms {
		if err := t.check(known); err != nil {
			return fmt.Errorf("term %d: %w", i, err)
		}
	}
	for i, t := range m.Trees {
		if err := t.check(known); err != nil {
			return fmt.Errorf("tree %d: %w", i, err)
		}
	}
	return nil
}

func isName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (t Term) check(known map[string]bool) error {
	if len(t.Sum) == 0 || len(t.Sum)+len(t.Over) > len(known) {
		return errors.New("it sums up nothing, or a measure twice")
	}
	for _, names := range [][]string{t.Sum, t.Over} {
		for _, name := range names {
			if !known[name] {
				return fmt.Errorf("there is no measure %q", name)
			}
		}
	}
	if !(t.Low < t.High) || t.Reach < 0 {
		return errors.New("low does not lie below high, or reach below zero")
	}
	return nil
}

func (t Tree) check(known map[string]bool) error {
	if len(t) == 0 {
		return errors.New("it has no nodes")
	}
	for i, n := range t {
		if n.Measure == "" {
			if n.Then != 0 || n.Else != 0 || n.Most != 0 {
				return fmt.Errorf("node %d parts prints without naming a measure", i)
			}
			continue
		}
		switch {
		case !known[n.Measure]:
			return fmt.Errorf("node %d: there is no measure %q", i, n.Measure)
		case n.Then <= i || n.Then >= len(t) || n.Else <= i || n.Else >= len(t):
			return fmt.Errorf("node %d leads to %d and %d: each must come later", i, n.Then, n.Else)
		case n.Value != 0:
			return fmt.Errorf("node %d parts prints and has a value", i)
		}
	}
	return nil
}

// Score scores a finger. The result carries the measures. A measure that the model needs and that is missing is an error.
func (m *Model) Score(measures map[string]float64) (biometric.Quality, error) {
	sum, beyond, amounts := m.Offset, 0.0, 0
	for _, t := range m.Terms {
		v, err := t.quantity(measures)
		if err != nil {
			return biometric.Quality{}, err
		}
		length := t.High - t.Low
		sum += t.Weight * min(max(v, t.Low-t.Reach*length), t.High+t.Reach*length)
		if t.Amount {
			beyond += max(t.Low-v, v-t.High, 0) / length
			amounts++
		}
	}
	for _, t := range m.Trees {
		v, err := t.value(measures)
		if err != nil {
			return biometric.Quality{}, err
		}
		sum += v / float64(len(m.Trees))
	}
	if m.Link != nil {
		sum = 100 / (1 + math.Exp((m.Link.Centre-sum)/m.Link.Slope))
	}
	if m.Doubt != nil && amounts > 0 {
		sum = m.Doubt.draw(sum, beyond/float64(amounts))
	}
	if math.IsNaN(sum) {
		return biometric.Quality{}, fmt.Errorf("scoring with %s: the result is not a number", m.Algorithm)
	}
	return biometric.Quality{
		Score: int(math.Round(min(max(sum, 0), 100))), Algorithm: m.Algorithm, Version: m.Version, Measures: measures,
	}, nil
}

// needs reports whether the model looks at one of these measures.
func (m *Model) needs(names []string) bool {
	among := func(name string) bool { return slices.Contains(names, name) }
	for _, t := range m.Terms {
		if slices.ContainsFunc(t.Sum, among) || slices.ContainsFunc(t.Over, among) {
			return true
		}
	}
	return slices.ContainsFunc(m.Trees, func(t Tree) bool {
		return slices.ContainsFunc(t, func(n Node) bool { return among(n.Measure) })
	})
}

func (d Doubt) draw(score, beyond float64) float64 {
	return min(score, d.Towards+(score-d.Towards)/(1+max(beyond-d.Allowed, 0)/d.Half))
}

// quantity is the term's value before its weight; without anything to divide by it is zero.
func (t Term) quantity(measures map[string]float64) (float64, error) {
	sum, err := total(t.Sum, measures)
	if err != nil || len(t.Over) == 0 {
		return sum, err
	}
	over, err := total(t.Over, measures)
	if err != nil || over == 0 {
		return 0, err
	}
	return sum / over, nil
}

func total(names []string, measures map[string]float64) (sum float64, err error) {
	for _, name := range names {
		v, ok := measures[name]
		if !ok {
			return 0, fmt.Errorf("scoring: the model needs the measure %s, which was not taken", name)
		}
		sum += v
	}
	return sum, nil
}

func (t Tree) value(measures map[string]float64) (float64, error) {
	i := 0
	for t[i].Measure != "" {
		v, ok := measures[t[i].Measure]
		switch {
		case !ok:
			return 0, fmt.Errorf("scoring: the model needs the measure %s, which was not taken", t[i].Measure)
		case v <= t[i].Most:
			i = t[i].Then
		default:
			i = t[i].Else
		}
	}
	return t[i].Value, nil
}

// Families lists the histograms in NFIQ 2's order.
func Families() []string {
	return []string{FamilyPeriodicity, FamilyClarity, FamilyCertainty, FamilyFlow, FamilyRidgeToValley}
}

// MeasureNames lists NFIQ 2's names in the order of its files.
func MeasureNames() []string {
	var list []string
	for _, f := range Families() {
		switch f {
		case FamilyClarity:
			list = append(list, MeasureMinutiaeOnGrey, MeasureMinutiaeOnRidges, MeasureMinutiaeCentre, MeasureMinutiae, MeasureRegionMean)
		case FamilyCertainty:
			list = append(list, MeasureBlockMean, MeasureMean)
		case FamilyRidgeToValley:
			list = append(list, MeasureCoherence, MeasureCoherenceSum)
		}
		for i := range 10 {
			list = append(list, f+histogramInfix+strconv.Itoa(i))
		}
		list = append(list, f+histogramInfix+histogramMean, f+histogramInfix+histogramDeviation)
	}
	return list
}
