package ansinist

import (
	"slices"
)

// covered lists the fingers of a finger position (table 8 of Update 2015), by their numbers 1 to 10; none for a position that says
// nothing of its fingers. Extra digits (16, 17) may lie in any image of several.
func covered(position int) []int {
	switch {
	case position >= 1 && position <= 10:
		return []int{position}
	case position == 11, position == 12: // plain thumbs
		return []int{1 + 5*(position-11)}
	}
	return map[int][]int{
		13: {2, 3, 4, 5}, 14: {7, 8, 9, 10}, 15: {1, 6},
		40: {2, 3}, 41: {3, 4}, 42: {4, 5}, 43: {7, 8}, 44: {8, 9}, 45: {9, 10}, 46: {2, 7},
		47: {2, 3, 4}, 48: {3, 4, 5}, 49: {7, 8, 9}, 50: {8, 9, 10},
		51: {2, 3, 4, 5}, 52: {7, 8, 9, 10}, 53: {1, 2, 3, 4, 5}, 54: {6, 7, 8, 9, 10},
	}[position]
}

// fingers lists what 14.013 FGP covers; none where a position of it says nothing of its fingers.
func (r Record) fingers() []int {
	f, _ := r.Field(13)
	var all []int
	for _, items := range f.Subfields() {
		n, _ := digits(items[0])
		some := covered(n)
		if len(some) == 0 {
			return nil
		}
		all = append(all, some...)
	}
	return all
}

// elsewhere reports whether a subfield is of a finger that the record's position does not cover.
func elsewhere(c scope, f Field) bool {
	here := c.record.fingers()
	if len(here) == 0 {
		return false
	}
	return slices.ContainsFunc(f.Subfields(), func(items []string) bool {
		n, _ := digits(items[0])
		return n >= 1 && n <= 10 && !slices.Contains(here, n)
	})
}

const notHere = "each finger must be one that 14.013 FGP covers"

// excused reports whether AMP has a line for each finger of a record, or for its position itself.
func excused(r Record) bool {
	f, ok := r.Field(18)
	if !ok {
		return false
	}
	var listed []int
	for _, items := range f.Subfields() {
		n, _ := digits(items[0])
		listed = append(listed, n)
	}
	if position, ok := r.Int(13); ok && slices.Contains(listed, position) {
		return true
	}
	here := r.fingers()
	return len(here) > 0 && !slices.ContainsFunc(here, func(finger int) bool { return !slices.Contains(listed, finger) })
}

// single reports whether s is the position of one finger: 1 to 10, or an extra one, 16 or 17.
func single(s string) bool {
	n, ok := digits(s)
	return ok && (n >= 1 && n <= 10 || n == 16 || n == 17)
}

// fingerPosition checks 14.013 FGP. Combinations and extra digits came with 2011, and with it one position a record; fingertips of a
// whole hand came with 2013.
func fingerPosition(c scope, f Field) string {
	if c.version >= V2011 && len(f.Subfields()) > 1 {
		return "it must be one position"
	}
	return list(func(c scope, f Field) string {
		n, ok := digits(f.Value)
		switch {
		case !ok || len(f.Value) == 0:
		case n <= 15 || n == 19, c.version >= V2011 && (n <= 18 || n >= 40 && n <= 50), c.version >= V2013 && n >= 51 && n <= 54:
			return ""
		}
		return "it must be a finger position: 0 to 15 or 19, since 2011 also 16 to 18 and 40 to 50, since 2013 also 51 to 54"
	})(c, f)
}

// palmPosition checks 15.013.
func palmPosition(_ scope, f Field) string {
	if n, ok := digits(f.Value); ok && (n >= 20 && n <= 38 || n >= 81 && n <= 86) {
		return ""
	}
	return "it must be a palm position: 20 to 38 or 81 to 86"
}

// ridgePosition checks 13.013: a latent print may be of any friction ridge.
func ridgePosition(_ scope, f Field) string {
	if n, ok := digits(f.Value); ok && len(f.Value) > 0 && n <= 86 && n != 39 && (n <= 54 || n >= 60) && n != 80 {
		return ""
	}
	return "it must be a friction ridge position: 0 to 38, 40 to 54, 60 to 79 or 81 to 86"
}
