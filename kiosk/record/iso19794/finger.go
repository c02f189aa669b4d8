package iso19794

import (
	"fmt"
	"log/slog"
	"slices"

	"loket/kiosk/biometric"
	"loket/kiosk/record/picture"
)

// Sizes of the headers of a finger record, in bytes.
const (
	fingerHeader = 32
	viewHeader   = 14
	pixelDepth   = 28 // where it stands
)

// NoQuality is what the quality of a view says that says nothing.
const NoQuality = 254

// Compression is how the images of a finger record are encoded.
type Compression byte

// The compressions. Bit packing saves nothing at 8 bits a pixel.
const (
	Raw      Compression = 0
	Packed   Compression = 1
	WSQ      Compression = 2
	JPEG     Compression = 3
	JPEG2000 Compression = 4
	PNG      Compression = 5
)

// Fingers is a finger record: images of one scanner, one scale and one compression.
type Fingers struct {
	Device      uint16 // the vendor's; 0: not said
	Level       uint16 // image acquisition level, table 1: 10, 20, 30, 31, 35, 40, 41
	Unit        byte   // 1: pixels an inch, 2: pixels a centimetre
	ScanX       uint16
	ScanY       uint16
	ImageX      uint16 // at most ScanX
	ImageY      uint16
	Depth       byte // bits a pixel
	Compression Compression
	Views       []View
}

// View is one image of a finger, or of several at once. It redacts itself in logs.
type View struct {
	Position   biometric.FingerPosition // 0 to 10, 13 to 15; 20 to 36 for palms
	Count      byte                     // views of this finger in the record
	Number     byte                     // of this view, from 1
	Quality    byte                     // 0 to 100, of an algorithm that the record has no place for, or NoQuality
	Impression byte                     // 0 live-scan plain
	Width      int                      // px
	Height     int                      // px
	Image      []byte
}

// LogValue keeps the image out of logs.
func (v View) LogValue() slog.Value { return slog.StringValue("finger, redacted") }

// String keeps the image out of formatted output.
func (v View) String() string { return v.LogValue().String() }

// GoString keeps the image out of %#v.
func (v View) GoString() string { return v.String() }

// Encode writes a finger record.
func (r Fingers) Encode() ([]byte, error) {
	size := fingerHeader
	for _, v := range r.Views {
		size += viewHeader + len(v.Image)
	}
	if size > MaxRecord || len(r.Views) > 255 {
		return nil, fmt.Errorf("writing an %s record: %d bytes and %d images, at most %d and 255 are allowed", fingerStandard, size, len(r.Views), MaxRecord)
	}
	out := append(append(make([]byte, 0, size), FingerFormat+version...), 0, 0)
	out = put16(put16(put32(out, size), r.Device), r.Level)
	out = append(out, byte(len(r.Views)), r.Unit)
	for _, n := range []uint16{r.ScanX, r.ScanY, r.ImageX, r.ImageY} {
		out = put16(out, n)
	}
	out = append(out, r.Depth, byte(r.Compression), 0, 0)
	for _, v := range r.Views {
		out = put32(out, viewHeader+len(v.Image))
		out = append(out, byte(v.Position), v.Count, v.Number, v.Quality, v.Impression)
		out = append(put16(put16(out, uint16(v.Width)), uint16(v.Height)), 0)
		out = append(out, v.Image...)
	}
	_, err := ParseFingers(out)
	return checked(out, err)
}

// ParseFingers reads a finger record. The images share data's bytes. The error is an [*Error] but for records that are too large.
func ParseFingers(data []byte) (Fingers, error) {
	if len(data) > MaxRecord {
		return Fingers{}, fmt.Errorf("reading an %s record: %d bytes, at most %d are allowed", fingerStandard, len(data), MaxRecord)
	}
	c := &cursor{standard: fingerStandard, clause: "7.1", data: data}
	r, count := c.fingerHeader()
	for range count {
		if c.err != nil {
			break
		}
		r.Views = append(r.Views, c.view(r))
	}
	if c.err == nil && c.at != len(data) {
		c.fail(c.at, "end of record", "%d bytes follow the last image", len(data)-c.at)
	}
	if c.err == nil {
		c.views(r.Views)
	}
	if c.err != nil {
		return Fingers{}, c.err
	}
	return r, nil
}

// fingerHeader reads the general record header. A record of INCITS 381-2004, which has four bytes more, shows in its length.
func (c *cursor) fingerHeader() (Fingers, int) {
	c.word("format identifier", FingerFormat)
	c.word("version number", version)
	if n := c.number(6, "record length", 0, 1<<48-1); c.err == nil && n != uint64(len(c.data)) {
		c.fail(8, "record length", "it must be the length of the whole record, %d bytes, and is %d", len(c.data), n)
	}
	r := Fingers{Device: c.short("capture device ID", 0, 65535), Level: c.short("image acquisition level", 0, 65535)}
	if c.err == nil && !slices.Contains([]uint16{10, 20, 30, 31, 35, 40, 41}, r.Level) {
		c.fail(c.at-2, "image acquisition level", "%d is not in table 1 (hint: a record of INCITS 381-2004 has a longer header)", r.Level)
	}
	count := int(c.byte("number of fingers or palms", 1, 255))
	r.Unit = c.byte("scale units", 1, 2)
	r.ScanX, r.ScanY = c.short("horizontal scan resolution", 1, 1010), c.short("vertical scan resolution", 1, 1010)
	r.ImageX, r.ImageY = c.short("horizontal image resolution", 1, r.ScanX), c.short("vertical image resolution", 1, r.ScanY)
	r.Depth = c.byte("pixel depth", 1, 16)
	r.Compression = Compression(c.byte("image compression algorithm", 0, 5))
	c.short("reserved field", 0, 0)
	return r, count
}

// view reads one finger image record.
func (c *cursor) view(r Fingers) View {
	c.clause = "7.2"
	start := c.at
	size := int(c.number(4, "length of finger data block", viewHeader+1, MaxRecord))
	v := View{Position: biometric.FingerPosition(c.code("finger or palm position", func(b byte) bool { return b <= 10 || b >= 13 && b <= 15 || b >= 20 && b <= 36 }))}
	v.Count = c.byte("count of views", 1, 255)
	v.Number = c.byte("view number", 1, max(v.Count, 1))
	v.Quality = c.code("finger or palm image quality", upTo(100, NoQuality))
	v.Impression = c.code("impression type", func(b byte) bool { return b <= 4 || b >= 7 && b <= 9 })
	v.Width, v.Height = int(c.short("horizontal line length", 1, 65535)), int(c.short("vertical line length", 1, 65535))
	c.byte("reserved field of a view", 0, 0)
	v.Image = c.take(max(start+size-c.at, 0), "finger image data")
	if c.err == nil {
		c.compare(start, r, v)
	}
	return v
}

// compare finds an image that is not what its header says.
func (c *cursor) compare(start int, r Fingers, v View) {
	coding, compressed := map[Compression]picture.Coding{WSQ: picture.WSQ, JPEG: picture.JPEG, JPEG2000: picture.JPEG2000, PNG: picture.PNG}[r.Compression]
	if !compressed {
		want := v.Width * v.Height * ((int(r.Depth) + 7) / 8)
		if r.Compression == Packed {
			want = (v.Width*v.Height*int(r.Depth) + 7) / 8
		}
		if len(v.Image) != want {
			c.fail(start+viewHeader, "finger image data", "an image that is not compressed must have as many bytes as its size and depth say, %d, and has %d", want, len(v.Image))
		}
		return
	}
	head, err := picture.Of(v.Image)
	switch {
	case err != nil || head.Coding != coding:
		c.fail(start+viewHeader, "finger image data", "the record's compression is %s, and the image is none", coding)
	case head.Width != v.Width:
		c.fail(start+9, "horizontal line length", "it must be the image's, %d pixels, and is %d", head.Width, v.Width)
	case head.Height != v.Height:
		c.fail(start+11, "vertical line length", "it must be the image's, %d pixels, and is %d", head.Height, v.Height)
	case coding != picture.JPEG2000 && int(r.Depth) != head.Depth*head.Components:
		c.fail(pixelDepth, "pixel depth", "it must be the image's, %d bits, and is %d", head.Depth*head.Components, r.Depth)
	case !picture.Whole(v.Image):
		c.fail(start+viewHeader, "finger image data", "the image must be whole, and is cut: its coding's end is not there")
	}
}

// views holds the counts of views to the views that are there.
func (c *cursor) views(list []View) {
	count := map[biometric.FingerPosition]int{}
	seen := map[[2]int]bool{}
	for _, v := range list {
		count[v.Position]++
		key := [2]int{int(v.Position), int(v.Number)}
		if seen[key] {
			c.fail(c.at, "view number", "view %d of position %d is there twice", v.Number, int(v.Position))
		}
		seen[key] = true
	}
	for _, v := range list {
		if int(v.Count) != count[v.Position] {
			c.fail(c.at, "count of views", "it says %d for position %d, and the record has %d", v.Count, int(v.Position), count[v.Position])
		}
	}
}
