package main

import (
	"bytes"
	"fmt"
	"slices"
)

// The lengths of what is searched for: windows as they are, and the whole bytes that 24 characters of base64 or hexadecimal
// digits hold at any alignment. distinct is how many different bytes or characters make a window telling.
const (
	base64Bytes = 17
	hexBytes    = 11
	distinct    = 8
)

// haystack finds pieces of samples in what was written. It keeps eight bytes for each telling window that was written, and one
// bit in each of 16 for a quick no; samples only pass by, so their number and length cost no memory.
type haystack struct {
	texts  []text
	plain  *windows
	base64 *windows
	hex    *windows
}

// hit is a piece of a sample that was found. It does not hold the piece.
type hit struct {
	text     text
	coded    string // how it was written
	offset   int64  // in the file
	inSample int
}

func newHaystack(texts []text) *haystack {
	h := &haystack{texts: texts, plain: &windows{length: window}, base64: &windows{length: base64Bytes}, hex: &windows{length: hexBytes}}
	for _, t := range texts {
		h.plain.addTelling(t.data)
		h.base64.addCoded(t.data, base64Code())
		h.hex.addCoded(t.data, hexCode())
	}
	for _, w := range []*windows{h.plain, h.base64, h.hex} {
		w.seal()
	}
	return h
}

// search looks for pieces of one form of a sample, and gives the first of each coding.
func (h *haystack) search(sample []byte) []hit {
	var hits []hit
	for _, s := range []struct {
		coded string
		set   *windows
		find  func([]byte) (hit, bool)
	}{{"as it is", h.plain, h.findPlain}, {"in base64", h.base64, h.findBase64}, {"in hexadecimal digits", h.hex, h.findHex}} {
		s.set.each(sample, func(at int) bool {
			found, ok := s.find(sample[at : at+s.set.length])
			if ok {
				found.coded, found.inSample = s.coded, at
				hits = append(hits, found)
			}
			return !ok // a digest that only looks alike is passed over
		})
	}
	return hits
}

// findPlain holds a piece against the bytes that were written.
func (h *haystack) findPlain(piece []byte) (hit, bool) {
	for _, t := range h.texts {
		if i := bytes.Index(t.data, piece); i >= 0 {
			return hit{text: t, offset: t.at + int64(i)}, true
		}
	}
	return hit{}, false
}

func (h *haystack) findBase64(piece []byte) (hit, bool) { return h.findDecoded(piece, base64Code()) }

func (h *haystack) findHex(piece []byte) (hit, bool) { return h.findDecoded(piece, hexCode()) }

// findDecoded holds a piece against everything that was written in a coding.
func (h *haystack) findDecoded(piece []byte, c *coding) (hit, bool) {
	for _, t := range h.texts {
		for _, r := range runs(t.data, c) {
			for _, skip := range c.skips {
				if i := bytes.Index(c.decode(r, skip), piece); i >= 0 {
					at := bytes.Index(t.data, r) + (skip+8*i)/c.bits
					return hit{text: t, offset: t.at + int64(at)}, true
				}
			}
		}
	}
	return hit{}, false
}

// windows is a set of digests of windows of one length.
type windows struct {
	length  int
	digests []uint64
	filter  []uint64 // bits
	shift   uint     // of a digest, for its place in the filter
}

// radix is the base of the rolling digest, modulo 2^64.
const radix = 0x9e3779b97f4a7c15 | 1

// each calls fn with the place of each window of data whose digest is in the set, until fn returns false.
func (w *windows) each(data []byte, fn func(at int) bool) {
	if len(w.digests) == 0 || len(data) < w.length {
		return
	}
	// As roll, but with nothing called for a window that the filter does not know: this is where the time goes.
	digest, last := w.first(data)
	filter, shift, behind := w.filter, w.shift, data[w.length:]
	for at := 0; ; at++ {
		i := digest >> shift
		if filter[i/64]&(1<<(i%64)) != 0 && w.has(digest) && !fn(at) || at >= len(behind) {
			return
		}
		digest = digest*radix + uint64(behind[at]) + 1 - last*(uint64(data[at])+1)
	}
}

// first gives the digest of the first window, and what its first byte counts after another has come behind.
func (w *windows) first(data []byte) (digest, last uint64) {
	last = 1
	for _, b := range data[:w.length] {
		last *= radix
		digest = digest*radix + uint64(b) + 1
	}
	return digest, last
}

// roll calls fn with the digest of every window.
func (w *windows) roll(data []byte, fn func(at int, digest uint64) bool) {
	if len(data) < w.length {
		return
	}
	digest, last := w.first(data)
	for at := 0; ; at++ {
		if !fn(at, digest) || at+w.length >= len(data) {
			return
		}
		digest = digest*radix + uint64(data[at+w.length]) + 1 - last*(uint64(data[at])+1)
	}
}

// addTelling adds the windows of data that hold enough different bytes.
func (w *windows) addTelling(data []byte) {
	var seen variety
	w.roll(data, func(at int, digest uint64) bool {
		if at == 0 {
			seen = newVariety(data[:w.length])
		} else {
			seen.move(data[at-1], data[at+w.length-1])
		}
		if seen.n >= distinct {
			w.digests = append(w.digests, digest)
		}
		return true
	})
}

// addCoded adds the windows of what is written in a coding where enough different characters stand for them.
func (w *windows) addCoded(data []byte, c *coding) {
	for _, run := range runs(data, c) {
		for _, skip := range c.skips {
			w.roll(c.decode(run, skip), func(at int, digest uint64) bool {
				first := (skip + 8*at) / c.bits
				if v := newVariety(run[first:min(first+window, len(run))]); v.n >= distinct {
					w.digests = append(w.digests, digest)
				}
				return true
			})
		}
	}
}

// seal ends the adding and makes the set quick to ask.
func (w *windows) seal() {
	slices.Sort(w.digests)
	w.digests = slices.Clip(slices.Compact(w.digests))
	bits := uint(10)
	for bits < 30 && 1<<bits < 16*len(w.digests) {
		bits++
	}
	w.filter, w.shift = make([]uint64, 1<<(bits-6)), 64-bits
	for _, d := range w.digests {
		i := d >> w.shift
		w.filter[i/64] |= 1 << (i % 64)
	}
}

func (w *windows) has(digest uint64) bool {
	_, found := slices.BinarySearch(w.digests, digest)
	return found
}

// variety counts how many different bytes a window holds.
type variety struct {
	count [256]uint8
	n     int
}

func newVariety(data []byte) (v variety) {
	for _, b := range data {
		v.add(b)
	}
	return v
}

func (v *variety) add(b byte) {
	if v.count[b]++; v.count[b] == 1 {
		v.n++
	}
}

func (v *variety) move(out, in byte) {
	if v.count[out]--; v.count[out] == 0 {
		v.n--
	}
	v.add(in)
}

// coding is a way to write bytes with characters that hold some bits each.
type coding struct {
	digit func(byte) int // the value of a character, -1 for others
	bits  int
	skips []int // bits of the first character that can belong to a byte before
}

func base64Code() *coding { return &coding{sextet, 6, []int{0, 2, 4, 6}} }

func hexCode() *coding { return &coding{nibble, 4, []int{0, 4}} }

// decode gives the whole bytes that characters stand for when the first bits of them belong to a byte before.
func (c *coding) decode(run []byte, skip int) []byte {
	out := make([]byte, 0, len(run)*c.bits/8)
	pool, held := 0, -skip
	for _, b := range run {
		pool, held = pool<<c.bits|c.digit(b), held+c.bits
		if held >= 8 {
			held -= 8
			out = append(out, byte(pool>>held))
		}
		pool &= 1<<max(0, held) - 1
	}
	return out
}

// runs gives the longest pieces of data that are in a coding all through and no shorter than a window.
func runs(data []byte, c *coding) [][]byte {
	var list [][]byte
	start := 0
	for i := 0; i <= len(data); i++ {
		if i < len(data) && c.digit(data[i]) >= 0 {
			continue
		}
		if i-start >= window {
			list = append(list, data[start:i])
		}
		start = i + 1
	}
	return list
}

// sextet is the value of a base64 character in either alphabet.
func sextet(b byte) int {
	switch {
	case b >= 'A' && b <= 'Z':
		return int(b - 'A')
	case b >= 'a' && b <= 'z':
		return int(b-'a') + 26
	case b >= '0' && b <= '9':
		return int(b-'0') + 52
	case b == '+' || b == '-':
		return 62
	case b == '/' || b == '_':
		return 63
	}
	return -1
}

// nibble is the value of a hexadecimal digit.
func nibble(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}

// String says where a piece was found, and nothing of it.
func (h hit) String() string {
	where := fmt.Sprintf("%s, byte %d", h.text.path, h.offset)
	if !h.text.disk {
		where = "the connection " + h.text.path
	}
	return fmt.Sprintf("%s wrote %s into %s", h.text.program, h.coded, where)
}
