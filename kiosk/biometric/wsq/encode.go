package wsq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math"
)

// Options say how a picture is encoded. The zero value works.
type Options struct {
	Rate float64 // bits a pixel to aim at; 0: 0.75, about 15:1 for a finger
	PPI  int     // pixels an inch, for the file's comment; 0: 500
}

// The usual settings, and the rates between which an encoder may aim.
const (
	UsualRate = 0.75
	UsualPPI  = 500
	leastRate = 0.01
	mostRate  = 8
)

// Encode writes a picture: 8 bits, black 0. It reads img only. A picture of n pixels takes 10n bytes of memory beside the result.
func Encode(img *image.Gray, o Options) ([]byte, error) {
	e, err := newEncoder(img, o)
	if err != nil {
		return nil, fmt.Errorf("encoding WSQ: %w", err)
	}
	defer e.wipe()
	return e.encode(e.options.Rate), nil
}

// Encoded is a file and how far it was compressed.
type Encoded struct {
	Data  []byte
	Rate  float64 // that was aimed at, bits a pixel
	Ratio float64 // that came of it: bytes of pixels for each byte of the file
}

// ErrRatio says that a picture can't be encoded at a ratio that was asked for: it has too little in it, or too much.
var ErrRatio = errors.New("no rate gives the ratio that is wanted")

// EncodeRatio writes a picture at a ratio between least and most to one (BSI TR-03121-3 v6.0 asks for 10 to 20). It begins with the
// rate of o and changes it as far as it must; the picture is taken apart once. With [ErrRatio] comes what is nearest.
func EncodeRatio(img *image.Gray, o Options, least, most float64) (Encoded, error) {
	if !(least > 0 && least < most) {
		return Encoded{}, fmt.Errorf("encoding WSQ: a ratio between %v and %v is none", least, most)
	}
	e, err := newEncoder(img, o)
	if err != nil {
		return Encoded{}, fmt.Errorf("encoding WSQ: %w", err)
	}
	defer e.wipe()
	low, high := leastRate, float64(mostRate)
	rate := e.options.Rate
	var got Encoded
	for round := 1; round <= mostRounds; round++ {
		got = e.encoded(rate)
		switch {
		case got.Ratio < least:
			high = rate
		case got.Ratio > most:
			low = rate
		default:
			return got, nil
		}
		if rate = math.Sqrt(low * high); round < mostRounds {
			clear(got.Data)
		}
	}
	return got, fmt.Errorf("encoding WSQ: %w: %.1f:1 is the nearest to %v:1 to %v:1", ErrRatio, got.Ratio, least, most)
}

// mostRounds narrow the rate down to one thousandth of itself.
const mostRounds = 14

func (e *encoder) encoded(rate float64) Encoded {
	data := e.encode(rate)
	return Encoded{Data: data, Rate: rate, Ratio: float64(e.width*e.height) / float64(len(data))}
}

// encoder holds a picture that was taken apart.
type encoder struct {
	options      Options
	layout       *layout
	width        int
	height       int
	shift, scale float32
	plane        []float32
	variances    [keptSubbands]float32
	binned       []int16
}

func newEncoder(img *image.Gray, o Options) (*encoder, error) {
	if img == nil || img.Rect.Empty() {
		return nil, errors.New("the picture has no pixels")
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if w > math.MaxUint16 || h > math.MaxUint16 || w*h > MaxPixels {
		return nil, fmt.Errorf("a picture of %d x %d is more than %d pixels, or than 65535 on a side (hint: cut it to the finger)", w, h, MaxPixels)
	}
	if o.Rate == 0 {
		o.Rate = UsualRate
	}
	if o.PPI == 0 {
		o.PPI = UsualPPI
	}
	if !(o.Rate >= leastRate && o.Rate <= mostRate) {
		return nil, fmt.Errorf("a rate of %v bits a pixel is not between %v and %v (hint: 0.75 is usual)", o.Rate, leastRate, mostRate)
	}
	e := &encoder{options: o, layout: layoutOf(w, h), width: w, height: h, plane: make([]float32, w*h), binned: make([]int16, w*h)}
	e.normalise(img)
	s := newSplitter(e.plane, w, h)
	for i, n := range e.layout.nodes {
		s.split(n, i == 0)
	}
	clear(s.scratch)
	e.variances = variances(e.layout, e.plane, w)
	return e, nil
}

func (e *encoder) wipe() {
	clear(e.plane)
	clear(e.binned)
}

// normalise fills the plane with samples about zero, 128 away from it at most.
func (e *encoder) normalise(img *image.Gray) {
	sum, least, most := 0, uint8(255), uint8(0)
	for y := range e.height {
		for _, p := range img.Pix[y*img.Stride:][:e.width] {
			sum, least, most = sum+int(p), min(least, p), max(most, p)
		}
	}
	e.shift = float32(sum) / float32(e.width*e.height)
	e.scale = max(e.shift-float32(least), float32(most)-e.shift) / 128
	if e.scale == 0 {
		e.scale = 1
	}
	var to [256]float32
	for v := range to {
		to[v] = (float32(v) - e.shift) / e.scale
	}
	for y := range e.height {
		line := e.plane[y*e.width:][:e.width]
		for x, p := range img.Pix[y*img.Stride:][:e.width] {
			line[x] = to[p]
		}
	}
}

// encode writes the file at one rate.
func (e *encoder) encode(rate float64) []byte {
	q := binsFor(e.variances, rate)
	blocks := quantise(e.binned, e.layout, e.plane, e.width, q)
	out := make([]byte, 0, headRoom)
	out = append(out, 0xff, markSOI)
	out = appendSegment(out, markCOM, e.nistcom(rate))
	out = appendSegment(out, markCOM, []byte(notCertified))
	out = appendSegment(out, markDTT, transformTable())
	out = appendSegment(out, markDQT, quantisationTable(q))
	out = appendSegment(out, markSOF, e.frameHeader())
	out = appendBlocks(out, 0, blocks[0])
	out = appendBlocks(out, 1, blocks[1], blocks[2])
	return append(out, 0xff, markEOI)
}

// headRoom is enough for everything but blocks and their tables.
const headRoom = 1 << 10

// notCertified is in every file.
const notCertified = "Encoded by loket wsq 1, which is not certified by the FBI."

// The names of the compression and of what comes of it, for a record's manifest.
const (
	AlgorithmName = "loket-wsq"
	Version       = "1"
	MediaType     = "image/x-wsq"
)

func appendSegment(out []byte, mark byte, body []byte) []byte {
	out = append(out, 0xff, mark)
	out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
	return append(out, body...)
}

// nistcom is the comment that readers of WSQ look for.
func (e *encoder) nistcom(rate float64) []byte {
	return fmt.Appendf(nil, "NIST_COM 9\nPIX_WIDTH %d\nPIX_HEIGHT %d\nPIX_DEPTH 8\nPPI %d\nLOSSY 1\nCOLORSPACE GRAY\nCOMPRESSION WSQ\nWSQ_BITRATE %f",
		e.width, e.height, e.options.PPI, rate)
}

// transformTable holds the right halves of the analysis filters.
func transformTable() []byte {
	low, high := analysisHalves()
	out := []byte{byte(2*len(low) - 1), byte(2*len(high) - 1)}
	for _, c := range append(low, high...) {
		negative := byte(0)
		if c < 0 {
			negative, c = 1, -c
		}
		power := byte(0)
		for c*10 < math.MaxUint32 {
			power, c = power+1, c*10
		}
		out = append(out, negative, power)
		out = binary.BigEndian.AppendUint32(out, uint32(math.Round(c)))
	}
	return out
}

// appendScaled writes a number in 16 bits and the power of ten that divides them; below zero and above 65535 there is none.
func appendScaled(out []byte, v float64) []byte {
	power := byte(0)
	for v > 0 && v*10 < math.MaxUint16 && power < math.MaxUint8 {
		power, v = power+1, v*10
	}
	out = append(out, power)
	return binary.BigEndian.AppendUint16(out, uint16(min(math.Round(v), math.MaxUint16)))
}

func quantisationTable(q *quantisers) []byte {
	out := appendScaled(nil, float64(q.centre))
	for i := range q.bin {
		out = appendScaled(out, float64(q.bin[i]))
		out = appendScaled(out, float64(q.zero[i]))
	}
	return out
}

// algorithmNumber is the FBI's second set of parameters. No implementation number was given to this encoder.
const algorithmNumber, softwareNumber = 2, 0

func (e *encoder) frameHeader() []byte {
	out := []byte{0, 255}
	out = binary.BigEndian.AppendUint16(out, uint16(e.height))
	out = binary.BigEndian.AppendUint16(out, uint16(e.width))
	out = appendScaled(out, float64(e.shift))
	out = appendScaled(out, float64(e.scale))
	return append(out, algorithmNumber, softwareNumber>>8, softwareNumber&0xff)
}

// roomFor makes room for so many bytes more, and overwrites what it leaves behind.
func roomFor(out []byte, n int) []byte {
	if cap(out)-len(out) >= n {
		return out
	}
	bigger := append(make([]byte, 0, len(out)+n), out...)
	clear(out)
	return bigger
}

// appendBlocks writes a Huffman table and the blocks that it is for.
func appendBlocks(out []byte, id byte, blocks ...[]int16) []byte {
	var counts [256]int
	for _, block := range blocks {
		symbols(block, func(s, _ int) { counts[s]++ })
	}
	perLength, listed := lengths(counts)
	codes := codesOf(perLength, listed)
	out = roomFor(out, tableRoom+len(blocks)*blockRoom+codedBits(counts, codes)/4) // a byte may need a second
	body := append([]byte{id}, perLength[:]...)
	out = appendSegment(out, markDHT, append(body, listed...))
	for _, block := range blocks {
		w := bitWriter{out: appendSegment(out, markSOB, []byte{id})}
		symbols(block, func(s, v int) {
			w.put(codes[s].code, codes[s].length)
			w.put(uint32(v), following(s))
		})
		w.flush()
		out = w.out
	}
	return out
}

// tableRoom is enough for a Huffman table, blockRoom for a block's header, its last byte and the end marker.
const (
	tableRoom = 320
	blockRoom = 16
)

// codedBits is how many bits so many symbols come to.
func codedBits(counts [256]int, of [256]code) (n int) {
	for s, count := range counts {
		n += count * (of[s].length + following(s))
	}
	return n
}

// code is what one symbol is written as.
type code struct {
	code   uint32
	length int
}

func codesOf(perLength [maxCode]byte, listed []byte) (of [256]code) {
	next, at := uint32(0), 0
	for i, n := range perLength {
		for range n {
			of[listed[at]] = code{next, i + 1}
			next, at = next+1, at+1
		}
		next <<= 1
	}
	return of
}
