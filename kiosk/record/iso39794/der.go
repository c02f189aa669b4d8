package iso39794

import (
	"fmt"
	"slices"
)

// Tags of the encoding, as they stand in the first octet (ISO/IEC 8825-1, 8.1.2). Both modules tag implicitly, by context.
const (
	sequence    = 0x30
	primitive   = 0x80 // context class
	constructed = 0xa0 // context class
)

// Bounds of ours: an element takes many times the memory of its two octets.
const (
	maxDepth    = 16 // of nested elements
	maxElements = 1 << 12
)

// Error is a rule that a record breaks.
type Error struct {
	Standard string
	Path     string // of the element, by the names of the ASN.1 module
	Offset   int    // of the element, in bytes
	Rule     string
}

// Error names the standard with its edition, the element and the rule.
func (e *Error) Error() string {
	return fmt.Sprintf("reading an %s record: %s at byte %d: %s", e.Standard, e.Path, e.Offset, e.Rule)
}

// node is one element.
type node struct {
	tag      byte
	body     []byte
	offset   int // of the tag in the record
	inside   int // of the body
	standard string
	path     string
}

func (n node) fail(rule string, args ...any) error {
	return &Error{n.standard, n.path, n.offset, fmt.Sprintf(rule, args...)}
}

// named gives the node its name under its parent.
func (n node) named(parent node, name string) node {
	n.path = name
	if parent.path != "" {
		n.path = parent.path + "." + name
	}
	return n
}

// split reads the elements that make up data. Only DER passes: definite lengths in their shortest form (ISO/IEC 8825-1, 10.1).
func split(data []byte, at node) ([]node, error) {
	var list []node
	for i := 0; i < len(data); {
		n := node{tag: data[i], offset: at.inside + i, standard: at.standard, path: at.path}
		if n.tag&0x1f == 0x1f {
			return nil, n.fail("a tag of more than one octet, which the module does not have")
		}
		head, size, rule := length(data[i+1:])
		if rule != "" {
			return nil, n.fail("%s", rule)
		}
		if size > len(data)-i-1-head {
			return nil, n.fail("it has %d bytes, and %d are left", size, len(data)-i-1-head)
		}
		if len(list) == maxElements {
			return nil, at.fail("more than %d elements", maxElements)
		}
		n.inside = n.offset + 1 + head
		n.body = data[i+1+head : i+1+head+size : i+1+head+size]
		list = append(list, n)
		i += 1 + head + size
	}
	return list, nil
}

// length reads length octets: how many there are and what they say.
func length(b []byte) (head, size int, rule string) {
	if len(b) == 0 {
		return 0, 0, "it ends before its length"
	}
	if b[0] < 0x80 {
		return 1, int(b[0]), ""
	}
	count := int(b[0] & 0x7f)
	switch {
	case count == 0:
		return 0, 0, "its length is indefinite, which DER does not allow (ISO/IEC 8825-1, 10.1)"
	case count > 4 || count > len(b)-1:
		return 0, 0, "its length is cut or beyond all bounds"
	}
	for _, x := range b[1 : 1+count] {
		size = size<<8 | int(x)
	}
	if b[1] == 0 || size < 0x80 {
		return 0, 0, "its length is not in the shortest form, which DER demands (ISO/IEC 8825-1, 10.1)"
	}
	return 1 + count, size, ""
}

// whole checks that what this reader does not look into is well formed all the way down.
func (n node) whole(depth int) error {
	if n.tag&0x20 == 0 {
		return nil
	}
	if depth == 0 {
		return n.fail("elements are nested too deeply")
	}
	list, err := split(n.body, n)
	if err != nil {
		return err
	}
	for _, child := range list {
		if err := child.whole(depth - 1); err != nil {
			return err
		}
	}
	return nil
}

// fields is what a SEQUENCE of tagged members holds, by tag.
type fields map[byte]node

// members reads a SEQUENCE whose members are tagged 0, 1, … in that order, with these names. One that has more names than are
// given may have been extended: members beyond are checked for their form and otherwise passed over.
func (n node) members(names ...string) (fields, error) {
	if err := n.form(constructed); err != nil {
		return nil, err
	}
	list, err := split(n.body, n)
	if err != nil {
		return nil, err
	}
	found := fields{}
	last := -1
	for _, m := range list {
		number := int(m.tag & 0x1f)
		name := fmt.Sprintf("[%d]", number)
		if number < len(names) {
			name = names[number]
		}
		m = m.named(n, name)
		if m.tag&0xc0 != primitive {
			return nil, m.fail("a context-specific tag must stand here, not %#02x", m.tag)
		}
		if number <= last {
			return nil, m.fail("members of a SEQUENCE must stand in the order of the module, each once (ISO/IEC 8825-1, 8.9)")
		}
		last = number
		if err := m.whole(maxDepth); err != nil {
			return nil, err
		}
		found[byte(number)] = m
	}
	return found, nil
}

// need finds a mandatory member of a form: primitive or constructed.
func (f fields) need(parent node, tag, form byte, name string) (node, error) {
	n, ok := f[tag]
	if !ok {
		return node{}, parent.named(parent, name).fail("it is mandatory")
	}
	return n, n.form(form)
}

func (n node) form(form byte) error {
	if n.tag&0x20 != form&0x20 {
		return n.fail("it has the wrong form: primitive for constructed, or the other way round")
	}
	return nil
}

// integer reads an INTEGER or ENUMERATED that must lie in a range (ISO/IEC 8825-1, 8.3).
func (n node) integer(low, high int) (int, error) {
	if err := n.form(primitive); err != nil {
		return 0, err
	}
	if len(n.body) == 0 || len(n.body) > 1 && (n.body[0] == 0 && n.body[1] < 0x80 || n.body[0] == 0xff && n.body[1] >= 0x80) {
		return 0, n.fail("an integer must have octets, and no more than it needs (ISO/IEC 8825-1, 8.3)")
	}
	v := 0
	if n.body[0] >= 0x80 {
		v = -1
	}
	if len(n.body) > 5 {
		return 0, n.fail("it must lie between %d and %d", low, high)
	}
	for _, b := range n.body {
		v = v<<8 | int(b)
	}
	switch {
	case low == high && v != low:
		return 0, n.fail("it must be %d, and is %d", low, v)
	case v < low || v > high:
		return 0, n.fail("it must lie between %d and %d, and is %d", low, high, v)
	}
	return v, nil
}

// boolean reads a BOOLEAN (ISO/IEC 8825-1, 11.1).
func (n node) boolean() (bool, error) {
	if err := n.form(primitive); err != nil {
		return false, err
	}
	if len(n.body) != 1 || n.body[0] != 0 && n.body[0] != 0xff {
		return false, n.fail("a boolean must be the octet 00 or FF (ISO/IEC 8825-1, 11.1)")
	}
	return n.body[0] == 0xff, nil
}

// code reads the CHOICE that both modules use for extensible codes: the code itself, or an extension with a fallback code.
func (n node) code(allowed ...int) (int, error) {
	if err := n.form(constructed); err != nil {
		return 0, err
	}
	list, err := split(n.body, n)
	if err != nil {
		return 0, err
	}
	if len(list) != 1 {
		return 0, n.fail("a CHOICE must hold one element")
	}
	choice := list[0].named(n, "code")
	if choice.tag == constructed|1 {
		f, err := choice.named(n, "extensionBlock").members("fallback")
		if err != nil {
			return 0, err
		}
		if choice, err = f.need(choice, 0, primitive, "fallback"); err != nil {
			return 0, err
		}
	} else if choice.tag != primitive {
		return 0, choice.fail("it must be a code or an extension")
	}
	v, err := choice.integer(0, 255)
	if err == nil && !slices.Contains(allowed, v) {
		err = choice.fail("%d is not among the codes of this element", v)
	}
	return v, err
}

// element is what is written.
type element struct {
	tag  byte
	body []byte
	kids []element
}

// size is the number of octets of the content.
func (e element) size() int {
	n := len(e.body)
	for _, k := range e.kids {
		n += 1 + lengthOctets(k.size()) + k.size()
	}
	return n
}

func lengthOctets(n int) int {
	octets := 1
	if n >= 0x80 {
		for ; n > 0; n >>= 8 {
			octets++
		}
	}
	return octets
}

// appendTo writes the element. Nothing is copied but into out.
func (e element) appendTo(out []byte) []byte {
	n := e.size()
	out = append(out, e.tag)
	if octets := lengthOctets(n); octets > 1 {
		out = append(out, 0x80|byte(octets-1))
		for i := octets - 2; i >= 0; i-- {
			out = append(out, byte(n>>(8*i)))
		}
	} else {
		out = append(out, byte(n))
	}
	out = append(out, e.body...)
	for _, k := range e.kids {
		out = k.appendTo(out)
	}
	return out
}

// bytes writes the element as a whole, into memory of exactly its size.
func (e element) bytes() []byte {
	return e.appendTo(make([]byte, 0, 1+lengthOctets(e.size())+e.size()))
}

// number makes an INTEGER or ENUMERATED of a number that is not negative.
func number(tag byte, v int) element {
	b := []byte{byte(v)}
	for v >>= 8; v > 0; v >>= 8 {
		b = append([]byte{byte(v)}, b...)
	}
	if b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	return element{tag: primitive | tag, body: b}
}

func octets(tag byte, b []byte) element { return element{tag: primitive | tag, body: b} }

func group(tag byte, kids ...element) element { return element{tag: constructed | tag, kids: kids} }

// code makes a CHOICE of a code.
func code(tag byte, v int) element { return group(tag, number(0, v)) }

func flag(tag byte, v bool) element {
	return element{tag: primitive | tag, body: []byte{map[bool]byte{true: 0xff}[v]}}
}
