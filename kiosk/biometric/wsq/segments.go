package wsq

import (
	"encoding/binary"
	"slices"
)

// Markers (B.1.1.3, table B.1). Each is the second byte behind ff.
const (
	markSOI = 0xa0 // start of image
	markEOI = 0xa1 // end of image
	markSOF = 0xa2 // start of frame
	markSOB = 0xa3 // start of block
	markDTT = 0xa4 // define transform table
	markDQT = 0xa5 // define quantisation table
	markDHT = 0xa6 // define Huffman tables
	markDRI = 0xa7 // define restart interval
	markCOM = 0xa8 // comment
	markRST = 0xb0 // restart, with a count modulo 8 in its last bits
)

// reader walks through a file.
type reader struct {
	data []byte
	at   int
}

// marker reads the next marker. Any number of bytes ff may stand before it.
func (r *reader) marker() (byte, error) {
	if len(r.data)-r.at < 2 {
		return 0, corrupt("it ends at byte %d, before its end marker", len(r.data))
	}
	if r.data[r.at] != 0xff {
		return 0, corrupt("no marker at byte %d", r.at)
	}
	for r.at < len(r.data) && r.data[r.at] == 0xff {
		r.at++
	}
	if r.at == len(r.data) {
		return 0, corrupt("it ends within a marker")
	}
	r.at++
	return r.data[r.at-1], nil
}

// segment reads the length that follows a marker, and gives what it measures.
func (r *reader) segment(mark byte) (*fields, error) {
	rest := r.data[r.at:]
	if len(rest) < 2 {
		return nil, corrupt("it ends within segment ff%02x", mark)
	}
	n := int(binary.BigEndian.Uint16(rest))
	if n < 2 || n > len(rest) {
		return nil, corrupt("segment ff%02x is %d bytes long where %d are left", mark, n, len(rest))
	}
	r.at += n
	return &fields{mark: mark, rest: rest[2:n]}, nil
}

// fields reads what stands in a segment. Once something is missing everything is zero, and done says so.
type fields struct {
	mark  byte
	rest  []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if len(f.rest) < n {
		f.short, f.rest = true, nil
		return make([]byte, n)
	}
	part := f.rest[:n]
	f.rest = f.rest[n:]
	return part
}

func (f *fields) u8() byte    { return f.take(1)[0] }
func (f *fields) u16() uint16 { return binary.BigEndian.Uint16(f.take(2)) }
func (f *fields) u32() uint32 { return binary.BigEndian.Uint32(f.take(4)) }

// scaled reads a power of ten and what it divides.
func (f *fields) scaled() float32 {
	power := f.u8()
	return unscale(float32(f.u16()), power)
}

// unscale divides by ten so many times; single precision rounds every time, and so does the reference.
func unscale(v float32, power byte) float32 {
	for ; power > 0 && v != 0; power-- {
		v /= 10
	}
	return v
}

// What is nearer to zero than these has no effect on a pixel, but arithmetic with it is a hundred times as slow on many machines
// once products of it leave the range of single precision.
const (
	leastBin  = 1e-6  // width
	leastTap  = 1e-8  // filter coefficient
	leastPart = 1e-12 // sample of a half
)

// negligible reports whether v is nearer to zero than least, and is not zero.
func negligible(v, least float32) bool { return v != 0 && v < least && v > -least }

// done says that a segment was too short or too long.
func (f *fields) done() error {
	if f.short || len(f.rest) > 0 {
		return corrupt("segment ff%02x has not the length that its contents need", f.mark)
	}
	return nil
}

// quantisers are the bin widths of a quantisation table (B.2.4.1).
type quantisers struct {
	centre    float32           // where in its bin a value lies: C
	bin, zero [subbands]float32 // Q and Z of each subband; a subband with a Q of 0 is not coded
}

func parseQuantisers(f *fields) (*quantisers, error) {
	q := &quantisers{centre: f.scaled()}
	for i := range q.bin {
		q.bin[i], q.zero[i] = f.scaled(), f.scaled()
		if negligible(q.bin[i], leastBin) || negligible(q.zero[i], leastBin) {
			return nil, corrupt("subband %d has bins of next to no width", i)
		}
	}
	return q, f.done()
}

// parseBank reads a transform table (B.2.4.3): both lengths, then the right halves, low-pass first.
func parseBank(f *fields) (*bank, error) {
	lowLength, highLength := int(f.u8()), int(f.u8())
	if lowLength > maxFilter || highLength > maxFilter {
		return nil, corrupt("filters of %d and %d coefficients, at most %d are read", lowLength, highLength, maxFilter)
	}
	low, high := parseHalf(f, lowLength), parseHalf(f, highLength)
	if err := f.done(); err != nil {
		return nil, err
	}
	for _, v := range slices.Concat(low, high) {
		if negligible(v, leastTap) {
			return nil, corrupt("a filter has a coefficient of next to nothing")
		}
	}
	return bankOf(low, high, lowLength, highLength)
}

func parseHalf(f *fields, length int) []float32 {
	half := make([]float32, (length+1)/2)
	for i := range half {
		negative, power := f.u8() != 0, f.u8()
		half[i] = unscale(float32(f.u32()), power)
		if negative {
			half[i] = -half[i]
		}
	}
	return half
}

// frame is what a frame header says (B.2.2).
type frame struct {
	width, height int
	shift, scale  float32
	algorithm     uint8
	software      uint16
}

func parseFrame(f *fields) (*frame, error) {
	f.u8() // black and white are 0 and 255 in every file; nothing depends on them
	f.u8()
	fr := &frame{height: int(f.u16()), width: int(f.u16())}
	fr.shift, fr.scale = f.scaled(), f.scaled()
	fr.algorithm, fr.software = f.u8(), f.u16()
	if err := f.done(); err != nil {
		return nil, err
	}
	if fr.width == 0 || fr.height == 0 || fr.width*fr.height > MaxPixels {
		return nil, corrupt("a picture of %d x %d, not of 1 to %d pixels", fr.width, fr.height, MaxPixels)
	}
	return fr, nil
}
