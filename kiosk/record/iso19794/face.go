package iso19794

import (
	"fmt"
	"log/slog"

	"loket/kiosk/record/picture"
)

// Sizes of the blocks of a face record, in bytes.
const (
	faceHeader  = 14
	infoBlock   = 20
	pointBlock  = 8
	imageBlock  = 12
	maxFeatures = 65535
)

// Colour spaces of which the image shows whether they can be true.
const (
	rgb  = 1
	yuv  = 2
	grey = 3
)

// Face is one image of a face record with what is said of it. Zero values mean that nothing is said. It redacts itself in logs.
type Face struct {
	Gender      byte    // 1 male, 2 female, 255 unknown
	Eyes        byte    // colour: 1 black, 2 blue, 3 brown, 4 grey, 5 green, 6 multi-coloured, 7 pink, 255 other
	Hair        byte    // colour: 1 bald, 2 black, 3 blonde, 4 brown, 5 grey, 6 white, 7 red, 8 green, 9 blue, 255 other
	Properties  uint32  // 24 bits; bit 0 says that the others mean something
	Expression  uint16  // 1 neutral, 2 and 3 smiling, 4 eyebrows raised, 5 eyes away, 6 squinting, 7 frowning
	Pose        [3]byte // yaw, pitch, roll: 1 to 181
	Uncertainty [3]byte
	Points      []Point
	Kind        byte // 0 basic, 1 full frontal, 2 token frontal, 3 other
	Width       int  // px
	Height      int  // px
	ColourSpace byte // 1 24-bit RGB, 2 YUV 4:2:2, 3 8-bit grey, 4 other
	Source      byte // 1 to 3 a photograph, of which 2 by a digital camera; 4 to 6 a video frame; 7 unknown
	Device      uint16
	Quality     uint16 // in this edition always 0: not specified
	Image       []byte // JPEG or JPEG 2000
}

// Point is a feature point.
type Point struct {
	Kind byte // 1: MPEG-4 (ISO/IEC 14496-2, Annex C)
	Code byte // major and minor number, four bits each
	X, Y uint16
}

// LogValue keeps the image and what is said of the person out of logs.
func (f Face) LogValue() slog.Value { return slog.StringValue("face, redacted") }

// String keeps the image out of formatted output.
func (f Face) String() string { return f.LogValue().String() }

// GoString keeps the image out of %#v.
func (f Face) GoString() string { return f.String() }

// EncodeFaces writes a face record. Sizes in pixels are taken from the images; what Width and Height say is passed over.
func EncodeFaces(faces []Face) ([]byte, error) {
	size := faceHeader
	for _, f := range faces {
		size += infoBlock + pointBlock*len(f.Points) + imageBlock + len(f.Image)
	}
	if size > MaxRecord {
		return nil, fmt.Errorf("writing an %s record: %d bytes, at most %d are allowed", faceStandard, size, MaxRecord)
	}
	out := put16(put32(append(make([]byte, 0, size), FaceFormat+version...), size), uint16(len(faces)))
	for _, f := range faces {
		head, err := picture.Of(f.Image)
		if err != nil {
			return checked(out, err)
		}
		out = appendFace(out, f, head)
	}
	_, err := ParseFaces(out)
	return checked(out, err)
}

func appendFace(out []byte, f Face, head picture.Head) []byte {
	out = put32(out, infoBlock+pointBlock*len(f.Points)+imageBlock+len(f.Image))
	out = put16(out, uint16(len(f.Points)))
	out = append(out, f.Gender, f.Eyes, f.Hair, byte(f.Properties>>16), byte(f.Properties>>8), byte(f.Properties))
	out = append(append(put16(out, f.Expression), f.Pose[:]...), f.Uncertainty[:]...)
	for _, p := range f.Points {
		out = append(put16(put16(append(out, p.Kind, p.Code), p.X), p.Y), 0, 0)
	}
	coding := byte(0)
	if head.Coding == picture.JPEG2000 {
		coding = 1
	}
	out = put16(put16(append(out, f.Kind, coding), uint16(head.Width)), uint16(head.Height))
	out = put16(put16(append(out, f.ColourSpace, f.Source), f.Device), f.Quality)
	return append(out, f.Image...)
}

// ParseFaces reads a face record. The images share data's bytes. The error is an [*Error] but for records that are too large.
func ParseFaces(data []byte) ([]Face, error) {
	if len(data) > MaxRecord {
		return nil, fmt.Errorf("reading an %s record: %d bytes, at most %d are allowed", faceStandard, len(data), MaxRecord)
	}
	c := &cursor{standard: faceStandard, clause: "5.4", data: data}
	c.word("format identifier", FaceFormat)
	c.word("version number", version)
	if n := int(c.number(4, "length of record", 0, 1<<32-1)); c.err == nil && n != len(data) {
		c.fail(8, "length of record", "it must be the length of the whole record, %d bytes, and is %d", len(data), n)
	}
	count := int(c.short("number of facial images", 1, 65535))
	var faces []Face
	for range count {
		f := c.face()
		if c.err != nil {
			return nil, c.err
		}
		faces = append(faces, f)
	}
	if c.at != len(data) {
		c.fail(c.at, "end of record", "%d bytes follow the last image", len(data)-c.at)
	}
	return faces, c.err
}

// face reads one facial record data block.
func (c *cursor) face() Face {
	c.clause = "5.5"
	start := c.at
	size := int(c.number(4, "block length", infoBlock+imageBlock+1, 1<<32-1))
	if c.err == nil && size > len(c.data)-start {
		c.fail(start, "block length", "%d bytes, and %d are left", size, len(c.data)-start)
	}
	points := int(c.short("number of feature points", 0, maxFeatures))
	f := Face{Gender: c.code("gender", upTo(2, 255)), Eyes: c.code("eye colour", upTo(7, 255)), Hair: c.code("hair colour", upTo(9, 255))}
	f.Properties = uint32(c.number(3, "property mask", 0, 1<<24-1))
	if c.err == nil && f.Properties>>11 != 0 {
		c.fail(c.at-3, "property mask", "bits 11 to 23 are reserved and must be 0")
	}
	if c.err == nil && f.Properties&1 == 0 && f.Properties != 0 {
		c.fail(c.at-3, "property mask", "bits are set and bit 0, which says that they mean something, is not")
	}
	if f.Expression = c.short("expression", 0, 65535); c.err == nil && f.Expression > 7 && f.Expression < 0x8000 {
		c.fail(c.at-2, "expression", "%d is reserved", f.Expression)
	}
	for i, field := range []string{"pose angle yaw", "pose angle pitch", "pose angle roll"} {
		f.Pose[i] = c.byte(field, 0, 181)
	}
	for i := range f.Uncertainty {
		f.Uncertainty[i] = c.byte("pose angle uncertainty", 0, 181)
	}
	for range points {
		if c.err != nil {
			break
		}
		f.Points = append(f.Points, c.point())
	}
	c.image(&f, start+size)
	return f
}

func (c *cursor) point() Point {
	c.clause = "5.6"
	p := Point{Kind: c.code("feature point type", func(b byte) bool { return b == 1 }), Code: c.byte("feature point code", 0, 255),
		X: c.short("horizontal position", 0, 65535), Y: c.short("vertical position", 0, 65535)}
	c.short("reserved field of a feature point", 0, 0)
	return p
}

// image reads the image information block and the image, which ends where the block does.
func (c *cursor) image(f *Face, end int) {
	c.clause = "5.7"
	start := c.at
	f.Kind = c.code("facial image type", upTo(3))
	coding := c.code("image data type", upTo(1))
	f.Width, f.Height = int(c.short("width", 1, 65535)), int(c.short("height", 1, 65535))
	f.ColourSpace, f.Source = c.code("image colour space", orVendor(4)), c.code("source type", orVendor(7))
	f.Device, f.Quality = c.short("device type", 0, 65535), c.short("quality", 0, 0)
	for _, p := range f.Points {
		if c.err == nil && (int(p.X) >= f.Width || int(p.Y) >= f.Height) {
			c.fail(start, "feature points", "one lies outside the image")
		}
	}
	c.clause = "5.8"
	f.Image = c.take(max(end-c.at, 0), "image data")
	if c.err != nil {
		return
	}
	head, err := picture.Of(f.Image)
	switch want := []picture.Coding{picture.JPEG, picture.JPEG2000}[coding]; {
	case err != nil || head.Coding != want:
		c.fail(start+1, "image data type", "it says %s, and the image is none", want)
	case head.Width != f.Width:
		c.fail(start+2, "width", "it must be the image's, %d pixels, and is %d", head.Width, f.Width)
	case head.Height != f.Height:
		c.fail(start+4, "height", "it must be the image's, %d pixels, and is %d", head.Height, f.Height)
	case f.ColourSpace == grey && head.Components != 1, (f.ColourSpace == rgb || f.ColourSpace == yuv) && head.Components < 3:
		c.fail(start+6, "image colour space", "it must be the image's, which has %d components, and is %d", head.Components, f.ColourSpace)
	case !picture.Whole(f.Image):
		c.fail(start+imageBlock, "image data", "the image must be whole, and is cut: its coding's end is not there")
	}
}
