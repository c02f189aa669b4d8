package finger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

func readModel(r io.Reader) (*Model, error) {
	limited := &io.LimitedReader{R: r, N: MaxModelBytes + 1}
	d := modelReader{Decoder: json.NewDecoder(limited), m: new(Model), seen: map[string]bool{}}
	d.DisallowUnknownFields()
	err := d.read()
	switch {
	case limited.N <= 0:
		return nil, fmt.Errorf("it has more than %d MiB", MaxModelBytes>>20)
	case err != nil:
		return nil, err
	case strings.HasPrefix(d.m.Algorithm, "loket-"):
		return nil, fmt.Errorf("%q is a name of our own", d.m.Algorithm)
	}
	d.m.minutiae = d.m.needs(OwnMeasures())
	return d.m, d.m.check()
}

// modelReader reads a model value by value, so that too many of them are refused before there is memory for them: a few bytes
// of JSON make a node that takes many.
type modelReader struct {
	*json.Decoder
	m     *Model
	seen  map[string]bool // members so far
	nodes int
}

func (d *modelReader) read() error {
	if err := d.delimiter('{'); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if err := d.member(key.(string)); err != nil { // a member's name is a string, or no token
			return err
		}
	}
	if err := d.delimiter('}'); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the model")
	}
	return nil
}

func (d *modelReader) member(name string) error {
	if d.seen[name] {
		return fmt.Errorf("it has %.40q twice", name)
	}
	d.seen[name] = true
	switch name {
	case "format":
		return d.Decode(&d.m.Format)
	case "algorithm":
		return d.Decode(&d.m.Algorithm)
	case "version":
		return d.Decode(&d.m.Version)
	case "offset":
		return d.Decode(&d.m.Offset)
	case "link":
		return d.Decode(&d.m.Link)
	case "doubt":
		return d.Decode(&d.m.Doubt)
	case "terms":
		return d.list(d.term)
	case "trees":
		return d.list(d.tree)
	}
	return fmt.Errorf("unknown field %.40q", name)
}

// list reads an array, one value at a time.
func (d *modelReader) list(value func() error) error {
	if err := d.delimiter('['); err != nil {
		return err
	}
	for d.More() {
		if err := value(); err != nil {
			return err
		}
	}
	return d.delimiter(']')
}

func (d *modelReader) delimiter(want json.Delim) error {
	t, err := d.Token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err == nil && t != want {
		return fmt.Errorf("%v stands where %v should", t, want)
	}
	return err
}

func (d *modelReader) term() error {
	if len(d.m.Terms) == maxTerms {
		return fmt.Errorf("it has more than %d terms", maxTerms)
	}
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return err
	}
	if len(raw) > maxTermBytes {
		return fmt.Errorf("term %d has more than %d bytes", len(d.m.Terms), maxTermBytes)
	}
	strict := json.NewDecoder(strings.NewReader(string(raw)))
	strict.DisallowUnknownFields()
	var t Term
	if err := strict.Decode(&t); err != nil {
		return err
	}
	d.m.Terms = append(d.m.Terms, t)
	return nil
}

func (d *modelReader) tree() error {
	if len(d.m.Trees) == maxTrees {
		return fmt.Errorf("it has more than %d trees", maxTrees)
	}
	var t Tree
	if err := d.list(func() error { return d.node(&t) }); err != nil {
		return fmt.Errorf("tree %d: %w", len(d.m.Trees), err)
	}
	d.m.Trees = append(d.m.Trees, t)
	return nil
}

func (d *modelReader) node(t *Tree) error {
	if d.nodes++; d.nodes > maxNodes {
		return fmt.Errorf("the model has more than %d nodes", maxNodes)
	}
	var n Node
	if err := d.Decode(&n); err != nil {
		return err
	}
	*t = append(*t, n)
	return nil
}
