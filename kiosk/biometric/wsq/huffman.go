package wsq

// Symbols (B.2.5, table 3). Those from 107 to 254 are values, those up to 100 runs of so many zeros.
const (
	symLongestRun = 100
	symPositive8  = 101 // a value of 8 bits follows
	symNegative8  = 102
	symPositive16 = 103
	symNegative16 = 104
	symZeros8     = 105 // a run of zeros whose length follows in 8 bits
	symZeros16    = 106
	symZeroValue  = 180 // what the symbol of a value is away from the value
	leastValue    = -73
	mostValue     = 74
)

// following is how many bits follow a symbol.
func following(symbol int) int {
	switch symbol {
	case symPositive8, symNegative8, symZeros8:
		return 8
	case symPositive16, symNegative16, symZeros16:
		return 16
	}
	return 0
}

// maxCode is the longest code, and quickBits what is looked up at once.
const (
	maxCode   = 16
	quickBits = 9
)

// codes are the codes of a Huffman table, as they are decoded.
type codes struct {
	counts [maxCode + 1]int // of codes of each length
	values []byte
	// made on first use:
	quick [1 << quickBits]uint16 // length and symbol by the next bits; 0: longer
	limit [maxCode + 1]uint32    // beyond the last code of each length
	from  [maxCode + 1]int       // what is added to a code to get its place among values
	ready bool
}

// maxTables is how many Huffman tables there may be at a time.
const maxTables = 8

// parseCodes reads the tables of one segment (B.2.4.2) into the places that they name. A table may take the place of another.
func parseCodes(f *fields, tables *[maxTables]*codes) error {
	for first := true; first || len(f.rest) > 0; first = false {
		id, c, total := f.u8(), &codes{}, 0
		for i, n := range f.take(maxCode) {
			c.counts[i+1] = int(n)
			total += int(n)
		}
		if id >= maxTables || total > 256 {
			return corrupt("a Huffman table %d of %d codes", id, total)
		}
		if c.values = f.take(total); f.short {
			break
		}
		tables[id] = c
	}
	return f.done()
}

// prepare numbers the codes. It refuses more codes of a length than there are.
func (c *codes) prepare() error {
	code, at := uint32(0), 0
	for n := 1; n <= maxCode; n++ {
		c.from[n] = at - int(code)
		if code+uint32(c.counts[n]) > 1<<n {
			return corrupt("a Huffman table with more codes of %d bits than there are", n)
		}
		for range c.counts[n] {
			if n <= quickBits {
				entry := uint16(n)<<8 | uint16(c.values[at])
				for i := range uint32(1) << (quickBits - n) {
					c.quick[code<<(quickBits-n)|i] = entry
				}
			}
			code, at = code+1, at+1
		}
		c.limit[n] = code
		code <<= 1
	}
	c.ready = true
	return nil
}

// bitReader reads the bits of a block. A byte ff is followed by a 0 that is none of them; anything else there is a marker, and
// nothing is read beyond it.
type bitReader struct {
	data  []byte
	at    int // of the next byte
	held  uint64
	count int  // of bits held
	ended bool // at stands at a marker, or at the end of the file
}

// fill holds 32 bits at least, if there are as many.
func (b *bitReader) fill() {
	for b.count <= 48 && !b.ended {
		if b.at >= len(b.data) {
			b.ended = true
			return
		}
		v := b.data[b.at]
		if v == 0xff {
			if b.at+1 >= len(b.data) || b.data[b.at+1] != 0 {
				b.ended = true
				return
			}
			b.at++
		}
		b.at++
		b.held, b.count = b.held<<8|uint64(v), b.count+8
	}
}

// number reads so many bits, 16 at most.
func (b *bitReader) number(n int) (int, error) {
	if b.count < n {
		if b.fill(); b.count < n {
			return 0, corrupt("a block ends within a number, at byte %d", b.at)
		}
	}
	b.count -= n
	return int(b.held>>b.count) & (1<<n - 1), nil
}

// symbol reads one code. It is not ok where no whole code is left before the next marker: what may stand there fills a byte up.
func (b *bitReader) symbol(c *codes) (symbol int, ok bool, err error) {
	if b.count < 32 {
		b.fill()
	}
	next := uint32(b.held<<(64-uint(b.count))>>(64-maxCode)) & (1<<maxCode - 1)
	if entry := c.quick[next>>(maxCode-quickBits)]; entry != 0 {
		n := int(entry >> 8)
		if n > b.count {
			return 0, false, nil
		}
		b.count -= n
		return int(entry & 0xff), true, nil
	}
	for n := quickBits + 1; n <= maxCode; n++ {
		if code := next >> (maxCode - n); code < c.limit[n] {
			if n > b.count {
				return 0, false, nil
			}
			b.count -= n
			return int(c.values[c.from[n]+int(code)]), true, nil
		}
	}
	if b.count < maxCode {
		return 0, false, nil
	}
	return 0, false, corrupt("bits that are no code, at byte %d", b.at)
}
