package ansinist

import (
	"slices"
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
	if c.record.Image == nil {
		return p.imageless(c)
	}
	name, _ := c.record.Field(11)
	depth, isNumber := c.record.Int(12)
	if !isNumber {
		space, _ := c.record.Field(12)
		depth = map[string]int{"GRAY": 8, "RGB": 24, "SRGB": 24}[string(space.Value)] // of others the size is not known
	}
	if err := p.compare(c.record, string(name.Value), 11, depth); err != nil {
		return err
	}
	if scale, ok := c.record.Int(8); c.record.Type == 14 && c.version >= V2011 && ok && scale > 0 {
		across, _ := c.record.Int(9)
		if down, _ := c.record.Int(10); down != across {
			return p.fail(10, "it must be 14.009 THPS, %d, where 14.008 SLC says that both are a scale", across)
		}
	}
	return p.colours(c.record)
}

// imageless says why a record has no image, or that it must have one.
func (p *parser) imageless(c scope) error {
	_, elsewhere := c.record.Field(994)
	_, missing := c.record.Field(18)
	_, damaged := c.record.Field(28)
	switch kind := c.record.Type; {
	case elsewhere && c.version >= V2013, kind == 14 && c.version >= V2007 && excused(c.record), (kind == 15 || kind == 19) && c.version >= V2011 && missing,
		kind == 17 && c.version >= V2011 && damaged:
		return nil
	case kind == 14 && c.version >= V2007:
		return p.fail(imageField, "an image is mandatory unless 14.018 AMP says why each finger of 14.013 FGP has none")
	}
	return p.fail(imageField, "it is mandatory")
}

// colours compares a face's colour space, or the bits of a print's pixel, with an image whose coding says them.
func (p *parser) colours(r Record) error {
	head, err := picture.Of(r.Image)
	if err != nil || head.Coding == picture.JPEG2000 { // of which each component may be of its own
		return nil
	}
	space, _ := r.Field(12)
	if depth, ok := r.Int(12); ok {
		if depth != head.Depth && depth != head.Depth*head.Components {
			return p.fail(12, "it must be the bits of a pixel of the image, %d, and is %d", head.Depth*head.Components, depth)
		}
		return nil
	}
	grey := head.Components < 3
	switch name := string(space.Value); {
	case name == "GRAY" && !grey:
		return p.fail(12, "it must be a colour space, since the image has %d components", head.Components)
	case slices.Contains([]string{"RGB", "SRGB", "YCC", "SYCC"}, name) && grey:
		return p.fail(12, "it must be GRAY, since the image has no colours")
	}
	return nil
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
	case len(r.Image) == 0:
		return p.fail(ImageField(r.Type), "it is mandatory and must not be empty")
	case err != nil || head.Coding != coding:
		return p.fail(nameField, "it must name the compression of the image, and the image is none of that")
	case head.Width != width:
		return p.fail(6, "it must be the width of the image, %d pixels, and is %d", head.Width, width)
	case head.Height != height:
		return p.fail(7, "it must be the height of the image, %d pixels, and is %d", head.Height, height)
	case !picture.Whole(r.Image):
		return p.fail(ImageField(r.Type), "the image must be whole, and is cut: its coding's end is not there")
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
