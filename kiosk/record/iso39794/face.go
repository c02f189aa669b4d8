package iso39794

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"loket/kiosk/record/picture"
)

// Codes of a face image.
const (
	MRTD           = 0 // kind: for travel documents
	GeneralPurpose = 1
	RGB24          = 2 // colour space: 24-bit RGB
	rgb48          = 3
	yuv            = 4
	Grey8          = 5 // colour space: 8-bit grey
	grey16         = 6
)

// Face is one representation of a face. It redacts itself in logs.
type Face struct {
	ID          int       // representationId
	Image       []byte    // JPEG or JPEG 2000; when read also of a format that this package does not look into
	Format      int       // imageDataFormat: 2 JPEG, 3 and 4 JPEG 2000 lossy and lossless; when written it follows from Image
	Kind        int       // faceImageKind2D; -1: not said
	Width       int       // px; 0: not said
	Height      int       // px
	ColourSpace int       // -1: not said
	Captured    time.Time // zero: not said
	Other       []int     // tags of elements of the representation that were not looked into
}

// LogValue keeps the image out of logs.
func (f Face) LogValue() slog.Value { return slog.StringValue("face, redacted") }

// String keeps the image out of formatted output.
func (f Face) String() string { return f.LogValue().String() }

// GoString keeps the image out of %#v.
func (f Face) GoString() string { return f.String() }

// Faces is a face record.
type Faces struct {
	Version Version
	Faces   []Face
}

// faceFormats gives the coding of each code of an image's format; empty where this package does not look into it.
func faceFormats() map[int]picture.Coding {
	return map[int]picture.Coding{0: "", 1: "", 2: picture.JPEG, 3: picture.JPEG2000, 4: picture.JPEG2000, 5: picture.PNG, 6: "", 7: ""}
}

// EncodeFaces writes a face record of generation 3, 2019. Version and Other are passed over. A JPEG 2000 image is written as lossy.
func EncodeFaces(faces []Face) ([]byte, error) {
	var blocks []element
	for _, f := range faces {
		head, err := picture.Of(f.Image)
		if err != nil {
			return nil, fmt.Errorf("writing an %s record: %w", faceStandard, err)
		}
		blocks = append(blocks, f.element(head))
	}
	return record(FaceTag, blocks, func(data []byte) error {
		_, err := ParseFaces(data)
		return err
	})
}

func (f Face) element(head picture.Head) element {
	info := []element{code(0, map[picture.Coding]int{picture.JPEG: 2, picture.JPEG2000: 3, picture.PNG: 5}[head.Coding])}
	if f.Kind >= 0 {
		info = append(info, code(1, f.Kind))
	}
	info = append(info, group(7, number(0, head.Width), number(1, head.Height)))
	if f.ColourSpace >= 0 {
		info = append(info, code(9, f.ColourSpace))
	}
	image := group(1, group(0, group(0, octets(0, f.Image), group(1, info...))))
	block := element{tag: sequence, kids: []element{number(0, f.ID), image}}
	if !f.Captured.IsZero() {
		block.kids = append(block.kids, dateTime(2, f.Captured))
	}
	return block
}

// ParseFaces reads a face record. The images share data's bytes. The error is an [*Error] but for records that are too large.
func ParseFaces(data []byte) (Faces, error) {
	v, blocks, err := open(data, FaceTag, faceStandard, "FaceImageDataBlock")
	if err != nil {
		return Faces{}, err
	}
	r := Faces{Version: v}
	for _, b := range blocks {
		f, err := face(b)
		if err != nil {
			return Faces{}, err
		}
		if slices.ContainsFunc(r.Faces, func(x Face) bool { return x.ID == f.ID }) {
			return Faces{}, b.fail("its representationId, %d, must not be another representation's", f.ID)
		}
		r.Faces = append(r.Faces, f)
	}
	return r, nil
}

func face(b node) (Face, error) {
	m, err := b.members("representationId", "imageRepresentation", "captureDateTimeBlock", "qualityBlocks", "padDataBlock", "sessionId", "derivedFrom",
		"captureDeviceBlock", "identityMetadataBlock", "landmarkBlocks")
	if err != nil {
		return Face{}, err
	}
	f := Face{Other: m.others(0, 1, 2), Kind: -1, ColourSpace: -1}
	id, err := m.need(b, 0, primitive, "representationId")
	if err != nil {
		return Face{}, err
	}
	if f.ID, err = id.integer(0, 1<<32-1); err != nil {
		return Face{}, err
	}
	if at, ok := m[2]; ok {
		if f.Captured, err = at.dateTime(); err != nil {
			return Face{}, err
		}
	}
	image, err := m.need(b, 1, constructed, "imageRepresentation")
	if err != nil {
		return Face{}, err
	}
	return f, f.image2D(image)
}

// image2D reads an ImageRepresentation2DBlock through the two CHOICEs around it.
func (f *Face) image2D(n node) error {
	for _, name := range []string{"base", "imageRepresentation2DBlock"} {
		m, err := n.members(name)
		if err != nil {
			return err
		}
		child, ok := m[0]
		if !ok || len(m) != 1 {
			return n.fail("a two-dimensional image must be its one choice")
		}
		if n = child; n.form(constructed) != nil {
			return n.form(constructed)
		}
	}
	m, err := n.members("representationData2D", "imageInformation2DBlock", "captureDevice2DBlock")
	if err != nil {
		return err
	}
	data, err := m.need(n, 0, primitive, "representationData2D")
	if err != nil {
		return err
	}
	info, err := m.need(n, 1, constructed, "imageInformation2DBlock")
	if err != nil {
		return err
	}
	f.Image = data.body
	return f.information(info, data)
}

func (f *Face) information(n, data node) error {
	m, err := n.members("imageDataFormat", "faceImageKind2D", "postAcquisitionProcessingBlock", "lossyTransformationAttempts", "cameraToSubjectDistance",
		"sensorDiagonal", "lensFocalLength", "imageSizeBlock", "imageFaceMeasurementsBlock", "imageColourSpace", "referenceColourMappingBlock")
	if err != nil {
		return err
	}
	format, err := m.need(n, 0, constructed, "imageDataFormat")
	if err != nil {
		return err
	}
	if f.Format, err = format.code(0, 1, 2, 3, 4, 5, 6, 7); err != nil {
		return err
	}
	if kind, ok := m[1]; ok {
		if f.Kind, err = kind.code(MRTD, GeneralPurpose); err != nil {
			return err
		}
	}
	if space, ok := m[9]; ok {
		if f.ColourSpace, err = space.code(0, 1, 2, 3, 4, 5, 6); err != nil {
			return err
		}
	}
	head, err := data.compare(faceFormats()[f.Format])
	if err != nil {
		return err
	}
	if f.discoloured(head) {
		return m[9].fail("it must be the image's, which has %d components, and is %d", head.Components, f.ColourSpace)
	}
	if size, ok := m[7]; ok {
		return f.size(size, head)
	}
	return nil
}

// discoloured reports whether the colour space is none that the image can have; nothing is known of an image of another format.
func (f *Face) discoloured(head picture.Head) bool {
	switch f.ColourSpace {
	case Grey8, grey16:
		return head.Components > 1
	case RGB24, rgb48, yuv:
		return head.Components == 1
	}
	return false
}

func (f *Face) size(n node, head picture.Head) error {
	m, err := n.members("width", "height")
	if err != nil {
		return err
	}
	for i, x := range []struct {
		name string
		into *int
		want int
	}{{"width", &f.Width, head.Width}, {"height", &f.Height, head.Height}} {
		v, err := m.need(n, byte(i), primitive, x.name)
		if err != nil {
			return err
		}
		if *x.into, err = v.integer(0, 65535); err != nil {
			return err
		}
		if x.want != 0 && x.want != *x.into {
			return v.fail("it must be the image's, %d pixels, and is %d", x.want, *x.into)
		}
	}
	return nil
}
