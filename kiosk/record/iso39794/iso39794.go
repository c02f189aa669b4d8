// Package iso39794 writes and reads extensible biometric interchange records in DER: face image data, ISO/IEC 39794-5:2019
// ([APPLICATION 5]), and finger image data, ISO/IEC 39794-4:2019 ([APPLICATION 4]), over ISO/IEC 39794-1:2019 and the ASN.1 modules
// that ISO publishes with them. ICAO Doc 9303 moves travel documents to them.
//
// The one idea: the encoding is DER and nothing looser (ISO/IEC 8825-1): one octet string for one value. What a record holds beyond
// the elements that this package knows, by extension or by option, is checked for its form and reported by its tag.
package iso39794

import (
	"fmt"
	"slices"
	"time"

	"loket/kiosk/record/picture"
)

// MaxRecord bounds what is read and written, in bytes.
const MaxRecord = 64 << 20

// First octets of the two records.
const (
	FaceTag   = 0x65 // [APPLICATION 5], constructed
	FingerTag = 0x64 // [APPLICATION 4], constructed
)

const (
	faceStandard   = "ISO/IEC 39794-5:2019"
	fingerStandard = "ISO/IEC 39794-4:2019"
	generation     = 3
	year           = 2019
	maxBlocks      = 255 // representations in one record: a bound of ours
)

// Version is the generation of the standards and the year of the edition: 3 and 2019.
type Version struct{ Generation, Year int }

// open reads the outermost element and its version, and gives the representations.
func open(data []byte, tag byte, standard, name string) (Version, []node, error) {
	root := node{standard: standard, path: name}
	if len(data) > MaxRecord {
		return Version{}, nil, fmt.Errorf("reading an %s record: %d bytes, at most %d are allowed", standard, len(data), MaxRecord)
	}
	if more := behind(data); more > 0 {
		return Version{}, nil, root.fail("one element tagged [APPLICATION %d] must be all there is, and %d bytes follow it", tag&0x1f, more)
	}
	top, err := split(data, root)
	if err != nil {
		return Version{}, nil, err
	}
	if len(top) != 1 || top[0].tag != tag {
		return Version{}, nil, root.fail("one element tagged [APPLICATION %d] must be all there is", tag&0x1f)
	}
	root = top[0].named(node{}, name)
	f, err := root.members("versionBlock", "representationBlocks")
	if err != nil {
		return Version{}, nil, err
	}
	v, err := version(f, root)
	if err != nil {
		return Version{}, nil, err
	}
	list, err := f.need(root, 1, constructed, "representationBlocks")
	if err != nil {
		return Version{}, nil, err
	}
	blocks, err := list.sequences()
	return v, blocks, err
}

// behind counts the bytes that follow the first element; none where that has no length.
func behind(data []byte) int {
	if len(data) == 0 {
		return 0
	}
	head, size, _ := length(data[1:])
	if head == 0 {
		return 0
	}
	return len(data) - 1 - head - size
}

func version(f fields, root node) (Version, error) {
	block, err := f.need(root, 0, constructed, "versionBlock")
	if err != nil {
		return Version{}, err
	}
	m, err := block.members("generation", "year")
	if err != nil {
		return Version{}, err
	}
	var v Version
	for i, x := range []struct {
		name      string
		into      *int
		low, high int
	}{{"generation", &v.Generation, generation, generation}, {"year", &v.Year, year, 9999}} {
		n, err := m.need(block, byte(i), primitive, x.name)
		if err != nil {
			return Version{}, err
		}
		if *x.into, err = n.integer(x.low, x.high); err != nil {
			return Version{}, err
		}
	}
	return v, nil
}

// sequences reads a SEQUENCE OF SEQUENCE with one element at least.
func (n node) sequences() ([]node, error) {
	if err := n.form(constructed); err != nil {
		return nil, err
	}
	list, err := split(n.body, n)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > maxBlocks {
		return nil, n.fail("1 to %d elements must be there, and are %d", maxBlocks, len(list))
	}
	for i := range list {
		list[i] = list[i].named(n, fmt.Sprint(i+1))
		if list[i].tag != sequence {
			return nil, list[i].fail("it must be a SEQUENCE")
		}
	}
	return list, nil
}

// others lists the tags of members that are there and were not looked into.
func (f fields) others(known ...byte) []int {
	var list []int
	for tag := range f {
		if !slices.Contains(known, tag) {
			list = append(list, int(tag))
		}
	}
	slices.Sort(list)
	return list
}

// dateTime reads a DateTimeBlock, whose parts behind the year may be missing from the end. It is UTC.
func (n node) dateTime() (time.Time, error) {
	names := []string{"year", "month", "day", "hour", "minute", "second", "millisecond"}
	m, err := n.members(names...)
	if err != nil {
		return time.Time{}, err
	}
	v := [7]int{1: 1, 2: 1}
	for i, limit := range [][2]int{{0, 9999}, {1, 12}, {1, 31}, {0, 23}, {0, 59}, {0, 60}, {0, 999}} {
		part, ok := m[byte(i)]
		if !ok && i == 0 {
			return time.Time{}, n.fail("its year is mandatory")
		}
		if !ok {
			continue
		}
		if v[i], err = part.integer(limit[0], limit[1]); err != nil {
			return time.Time{}, err
		}
	}
	t := time.Date(v[0], time.Month(v[1]), v[2], v[3], v[4], v[5], v[6]*int(time.Millisecond), time.UTC)
	if t.Day() != v[2] && v[5] < 60 {
		return time.Time{}, n.fail("the month has no such day")
	}
	return t, nil
}

// dateTime writes a time, to the second.
func dateTime(tag byte, t time.Time) element {
	t = t.UTC()
	return group(tag, number(0, t.Year()), number(1, int(t.Month())), number(2, t.Day()), number(3, t.Hour()), number(4, t.Minute()), number(5, t.Second()))
}

// record writes the outermost element around its representations and asks the reader.
func record(tag byte, blocks []element, check func([]byte) error) ([]byte, error) {
	top := element{tag: tag, kids: []element{group(0, number(0, generation), number(1, year)), group(1, blocks...)}}
	if top.size() > MaxRecord {
		return nil, fmt.Errorf("writing a record: %d bytes, at most %d are allowed", top.size(), MaxRecord)
	}
	data := top.bytes()
	if err := check(data); err != nil {
		clear(data)
		return nil, fmt.Errorf("writing a record: %w", err)
	}
	return data, nil
}

// compare finds an image that is not what its format code says, or that is cut.
func (n node) compare(want picture.Coding) (picture.Head, error) {
	head, err := picture.Of(n.body)
	if want != "" && (err != nil || head.Coding != want) {
		return head, n.fail("its format code says %s, and the image is none", want)
	}
	if want != "" && !picture.Whole(n.body) {
		return head, n.fail("the image must be whole, and is cut: its coding's end is not there")
	}
	return head, nil
}
