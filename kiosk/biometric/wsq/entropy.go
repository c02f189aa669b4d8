package wsq

import (
	"cmp"
	"slices"
)

// symbols turns coefficients into symbols, each with the number that follows it, or 0, and hands them out.
func symbols(block []int16, out func(symbol, follows int)) {
	zeros := 0
	for _, v := range block {
		if v == 0 {
			if zeros++; zeros == 1<<16-1 {
				run(zeros, out)
				zeros = 0
			}
			continue
		}
		if zeros > 0 {
			run(zeros, out)
			zeros = 0
		}
		value(int(v), out)
	}
	if zeros > 0 {
		run(zeros, out)
	}
}

func run(zeros int, out func(symbol, follows int)) {
	switch {
	case zeros <= symLongestRun:
		out(zeros, 0)
	case zeros < 1<<8:
		out(symZeros8, zeros)
	default:
		out(symZeros16, zeros)
	}
}

func value(v int, out func(symbol, follows int)) {
	switch {
	case v >= leastValue && v <= mostValue:
		out(v+symZeroValue, 0)
	case v > 0 && v < 1<<8:
		out(symPositive8, v)
	case v > 0:
		out(symPositive16, v)
	case v > -1<<8:
		out(symNegative8, -v)
	default:
		out(symNegative16, -v)
	}
}

// lengths finds the length of each symbol's code by how often it comes: Huffman's, none longer than 16 bits, none all ones
// (annex D.2). Symbols are listed by length, then by number.
func lengths(counts [256]int) (perLength [maxCode]byte, listed []byte) {
	size := huffmanSizes(counts)
	var n [64]int
	for s := range size[:256] {
		if size[s] > 0 {
			listed = append(listed, byte(s))
		}
	}
	slices.SortStableFunc(listed, func(a, b byte) int { return cmp.Compare(size[a], size[b]) })
	for _, s := range size {
		n[min(s, len(n)-1)]++
	}
	shorten(&n)
	for i := range perLength {
		perLength[i] = byte(n[i+1])
	}
	return perLength, listed
}

// reserved is a symbol that never comes and takes the code of ones.
const reserved = 256

// huffmanSizes merges the two rarest trees until one is left; of two equally rare ones that with the higher number goes first.
func huffmanSizes(counts [256]int) (size [257]int) {
	var weight [257]int
	var next [257]int // the symbols of a tree, chained; 0 ends it, so they are numbered from 1
	copy(weight[:], counts[:])
	weight[reserved] = 1
	for {
		a := rarest(&weight, -1)
		b := rarest(&weight, a)
		if b < 0 {
			return size
		}
		weight[a], weight[b] = weight[a]+weight[b], 0
		last := a
		for ; ; last = next[last] - 1 {
			size[last]++
			if next[last] == 0 {
				break
			}
		}
		next[last] = b + 1
		for at := b + 1; at != 0; at = next[at-1] {
			size[at-1]++
		}
	}
}

// rarest finds the least weight above zero but that of one; -1 for none.
func rarest(weight *[257]int, but int) int {
	found := -1
	for i, w := range weight {
		if w > 0 && i != but && (found < 0 || w <= weight[found]) {
			found = i
		}
	}
	return found
}

// shorten brings codes down to 16 bits: of two that are too long one takes the place of their common beginning, the other goes
// beside a shorter one. Then the reserved code, which is the longest, is taken out.
func shorten(n *[64]int) {
	for i := len(n) - 1; i > maxCode; i-- {
		for n[i] > 0 {
			j := i - 2
			for n[j] == 0 {
				j--
			}
			n[i] -= 2
			n[i-1]++
			n[j+1] += 2
			n[j]--
		}
	}
	for i := maxCode; i > 0; i-- {
		if n[i] > 0 {
			n[i]--
			return
		}
	}
}

// bitWriter writes the bits of a block.
type bitWriter struct {
	out   []byte
	held  uint64
	count int
}

func (w *bitWriter) put(v uint32, n int) {
	w.held, w.count = w.held<<n|uint64(v), w.count+n
	for w.count >= 8 {
		w.count -= 8
		b := byte(w.held >> w.count)
		if w.out = append(w.out, b); b == 0xff {
			w.out = append(w.out, 0)
		}
	}
}

// flush fills the last byte up with ones.
func (w *bitWriter) flush() {
	if w.count > 0 {
		w.put(1<<(8-w.count)-1, 8-w.count)
	}
}
