package wsq

import "image"

// decoder is one run of [Decode].
type decoder struct {
	reader
	headerOnly bool
	head       Header
	frame      *frame
	bank       *bank
	quant      *quantisers
	tables     [maxTables]*codes
	out        *cursor // nil before the first block
}

// run reads segments up to the end of the picture, or up to its first block where only the header is asked for.
func (d *decoder) run() error {
	if mark, err := d.marker(); err != nil || mark != markSOI {
		return corrupt("it does not begin as WSQ does (hint: is it another format?)")
	}
	for {
		mark, err := d.marker()
		if err != nil {
			return err
		}
		if mark == markEOI || mark == markSOB && d.headerOnly {
			return d.complete()
		}
		f, err := d.segment(mark)
		if err == nil {
			err = d.take(f)
		}
		if err != nil {
			return err
		}
	}
}

// complete says what is missing at the end.
func (d *decoder) complete() error {
	switch {
	case d.frame == nil:
		return corrupt("it has no frame header")
	case d.headerOnly:
		return nil
	case d.bank == nil || d.quant == nil:
		return corrupt("it lacks a transform table or a quantisation table")
	case d.frame.work(d.bank) > maxWork:
		return d.tooMuch()
	}
	if d.out == nil {
		d.out = newCursor(d.frame, d.quant)
	}
	if d.out.left > 0 {
		return corrupt("%d coefficients are missing", d.out.left)
	}
	return nil
}

// take works on one segment.
func (d *decoder) take(f *fields) (err error) {
	switch f.mark {
	case markSOF:
		return d.takeFrame(f)
	case markDTT:
		d.bank, err = parseBank(f)
	case markDQT:
		if d.out != nil {
			return corrupt("a quantisation table within the picture")
		}
		d.quant, err = parseQuantisers(f)
	case markDHT:
		err = parseCodes(f, &d.tables)
	case markDRI: // restart markers are found without it
		f.u16()
		err = f.done()
	case markCOM:
		return d.head.comment(string(f.rest))
	case markSOB:
		id := f.u8()
		if err := f.done(); err != nil {
			return err
		}
		return d.block(id)
	default:
		return corrupt("an unknown segment ff%02x", f.mark)
	}
	return err
}

func (d *decoder) takeFrame(f *fields) (err error) {
	if d.frame != nil {
		return corrupt("a second frame header")
	}
	if d.frame, err = parseFrame(f); err != nil {
		return err
	}
	d.head.Width, d.head.Height = d.frame.width, d.frame.height
	d.head.Algorithm, d.head.Software = d.frame.algorithm, d.frame.software
	return nil
}

// block reads the coefficients of one block, with the codes of table id.
func (d *decoder) block(id byte) error {
	if id >= maxTables || d.tables[id] == nil {
		return corrupt("a block wants Huffman table %d, which is not there", id)
	}
	if d.frame == nil || d.quant == nil {
		return corrupt("a block stands before the frame header or the quantisation table")
	}
	if d.out == nil {
		if d.bank != nil && d.frame.work(d.bank) > maxWork {
			return d.tooMuch()
		}
		d.out = newCursor(d.frame, d.quant)
	}
	c := d.tables[id]
	if !c.ready {
		if err := c.prepare(); err != nil {
			return err
		}
	}
	b := &bitReader{data: d.data, at: d.at}
	for {
		if err := d.out.read(b, c); err != nil {
			return err
		}
		if d.at = b.at; !restarts(d.data[b.at:]) {
			return nil
		}
		*b = bitReader{data: d.data, at: b.at + 2}
	}
}

// work is how many products each of the two directions takes.
func (f *frame) work(b *bank) int { return f.width * f.height * (len(b.low) + len(b.high)) }

func (d *decoder) tooMuch() error {
	return corrupt("a picture of %d x %d with filters of %d and %d coefficients, which takes too long (hint: up to %d pixels with these)",
		d.frame.width, d.frame.height, len(d.bank.high), len(d.bank.low), maxWork/(len(d.bank.low)+len(d.bank.high)))
}

// restarts reports whether a restart marker comes next: codes begin anew at a whole byte.
func restarts(rest []byte) bool {
	return len(rest) >= 2 && rest[0] == 0xff && rest[1]&^7 == markRST
}

// cursor puts coefficients where they belong, subband by subband and row by row, at their true size.
type cursor struct {
	plane  []float32
	pitch  int
	layout *layout
	quant  *quantisers

	band int       // the current one
	row  int       // of it that comes next
	line []float32 // what is left of the current row
	left int       // coefficients still to come

	bin, zero float32 // of the current band: width, and half the width of the bin about zero
}

// newCursor takes the memory of a plane.
func newCursor(f *frame, q *quantisers) *cursor {
	c := &cursor{pitch: f.width, layout: layoutOf(f.width, f.height), quant: q, band: -1, plane: make([]float32, f.width*f.height)}
	for i, r := range c.layout.bands[:keptSubbands] {
		if q.bin[i] != 0 {
			c.left += r.w * r.h
		}
	}
	return c
}

// next turns to the next row that has anything. There must be one.
func (c *cursor) next() {
	for c.band < 0 || c.row >= c.layout.bands[c.band].h || c.layout.bands[c.band].w == 0 || c.quant.bin[c.band] == 0 {
		c.band, c.row = c.band+1, 0
		c.bin, c.zero = c.quant.bin[c.band], c.quant.zero[c.band]/2
	}
	r := c.layout.bands[c.band]
	c.line = c.plane[(r.y+c.row)*c.pitch+r.x:][:r.w]
	c.row++
}

// put takes one coefficient that is not zero to the middle of its bin, as C says.
func (c *cursor) put(v int) error {
	if c.left == 0 {
		return corrupt("more coefficients than the picture has")
	}
	if len(c.line) == 0 {
		c.next()
	}
	if v > 0 {
		c.line[0] = float32(c.bin*float32(float32(v)-c.quant.centre)) + c.zero
	} else {
		c.line[0] = float32(c.bin*float32(float32(v)+c.quant.centre)) - c.zero
	}
	c.line, c.left = c.line[1:], c.left-1
	return nil
}

// skip leaves coefficients at zero.
func (c *cursor) skip(n int) error {
	if n > c.left {
		return corrupt("more coefficients than the picture has")
	}
	c.left -= n
	for n > 0 {
		if len(c.line) == 0 {
			c.next()
		}
		some := min(n, len(c.line))
		c.line, n = c.line[some:], n-some
	}
	return nil
}

// read reads coefficients up to the next marker. Behind the last coefficient of a picture there is what fills a byte up.
func (c *cursor) read(b *bitReader, table *codes) error {
	for c.left > 0 {
		s, ok, err := b.symbol(table)
		if !ok {
			return err
		}
		if s > symZeros16 {
			if s == 0xff {
				return corrupt("a code for nothing, at byte %d", b.at)
			}
			if s == symZeroValue {
				err = c.skip(1)
			} else {
				err = c.put(s - symZeroValue)
			}
		} else {
			err = c.escape(s, b)
		}
		if err != nil {
			return err
		}
	}
	if b.fill(); !b.ended || b.count >= 8 {
		return corrupt("more coefficients than the picture has")
	}
	return nil
}

// escape works on a run of zeros, or on a value that follows its code.
func (c *cursor) escape(s int, b *bitReader) error {
	if s == 0 {
		return corrupt("a code for nothing, at byte %d", b.at)
	}
	if s <= symLongestRun {
		return c.skip(s)
	}
	v, err := b.number(following(s))
	switch {
	case err != nil:
		return err
	case s == symZeros8 || s == symZeros16:
		return c.skip(v)
	case v == 0:
		return c.skip(1)
	case s == symNegative8 || s == symNegative16:
		v = -v
	}
	return c.put(v)
}

// picture turns coefficients into pixels.
func (d *decoder) picture() *image.Gray {
	c := d.out
	j := newJoiner(d.bank, c.plane, d.frame.width, d.frame.height)
	for i := len(c.layout.nodes) - 1; i >= 0; i-- {
		j.join(c.layout.nodes[i], i == 0)
	}
	img := image.NewGray(image.Rect(0, 0, d.frame.width, d.frame.height))
	for i, v := range c.plane {
		img.Pix[i] = pixel(v, d.frame.scale, d.frame.shift)
	}
	clear(c.plane)
	clear(j.scratch)
	return img
}

// pixel brings a sample back to 0 to 255.
func pixel(v, scale, shift float32) uint8 {
	v = float32(v*scale) + shift
	v += 0.5
	switch {
	case !(v >= 0): // also what is no number
		return 0
	case v > 255:
		return 255
	}
	return uint8(v)
}
