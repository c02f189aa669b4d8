package ansinist

import (
	"strings"

	"loket/kiosk/record/picture"
)

// codings gives the coding that a name in field CGA, or a code in a binary record's GCA, stands for. It is empty for images that
// are not compressed.
func codings(name string) (picture.Coding, bool) {
	switch {
	case name == "NONE" || name == "0":
		return "", true
	case strings.HasPrefix(name, "WSQ") || name == "1":
		return picture.WSQ, true
	case name == "JPEGB" || name == "JPEGL" || name == "2" || name == "3":
		return picture.JPEG, true
	case name == "JP2" || name == "JP2L" || name == "4" || name == "5":
		return picture.JPEG2000, true
	case name == "PNG" || name == "6":
		return picture.PNG, true
	}
	return "", false
}

// wholeImage compares a tagged record's fields with its image.
func (p *parser) wholeImage(c scope) error {
	name, _ := c.record.Field(11)
	depth, isNumber := c.record.Int(12)
	if !isNumber {
		space, _ := c.record.Field(12)
		depth = map[string]int{"GRAY": 8, "RGB": 24, "SRGB": 24}[string(space.Value)] // of others the size is not known
	}
	return p.compare(c.record, string(name.Value), 11, depth)
}

// wholeBinary compares a fixed header with its image.
func (p *parser) wholeBinary(r Record) error {
	name, _ := r.Field(8)
	return p.compare(r, string(name.Value), 8, 8)
}

// compare finds an image that is not what the fields say: its coding, its size in pixels, its size in bytes where it is not
// compressed.
func (p *parser) compare(r Record, name string, nameField, depth int) error {
	coding, known := codings(name)
	width, _ := r.Int(6)
	height, _ := r.Int(7)
	if !known { // an edition before 2007 may name others
		return nil
	}
	if coding == "" {
		if want := width * height * ((depth + 7) / 8); depth > 0 && want != len(r.Image) {
			return p.fail(ImageField(r.Type), "an image that is not compressed must have as many bytes as its size and depth say, %d, and has %d", want, len(r.Image))
		}
		return nil
	}
	head, err := picture.Of(r.Image)
	switch {
	case err != nil || head.Coding != coding:
		return p.fail(nameField, "it must name the compression of the image, and the image is none of that")
	case head.Width != width:
		return p.fail(6, "it must be the width of the image, %d pixels, and is %d", head.Width, width)
	case head.Height != height:
		return p.fail(7, "it must be the height of the image, %d pixels, and is %d", head.Height, height)
	}
	return nil
}

// wholeSignature checks what the representation of a signature asks for. An image that is not compressed has eight pixels a byte;
// NIST's own sample has one a byte, and is read too.
func (p *parser) wholeSignature(r Record) error {
	form, _ := r.Int(4)
	resolution, _ := r.Int(5)
	width, _ := r.Int(6)
	height, _ := r.Int(7)
	const vectors = 2
	switch {
	case form == vectors && (width != 0 || height != 0 || resolution != 0):
		return p.fail(4, "for vectors 8.005 ISR, 8.006 HLL and 8.007 VLL must be 0")
	case form == vectors && (len(r.Image) == 0 || len(r.Image)%5 != 0):
		return p.fail(8, "a vector must have five bytes, and %d are no multiple", len(r.Image))
	case form != vectors && (width == 0 || height == 0):
		return p.fail(6, "for an image 8.006 HLL and 8.007 VLL must not be 0")
	case form == 0 && len(r.Image) != (width+7)/8*height && len(r.Image) != (width*height+7)/8 && len(r.Image) != width*height:
		return p.fail(8, "an image that is not compressed must have eight pixels a byte, %d bytes, and has %d", (width+7)/8*height, len(r.Image))
	case len(r.Image) == 0:
		return p.fail(8, "it is mandatory")
	}
	return nil
}
