package iso39794

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/record/picture"
)

// Formats that lose something (imageDataFormat).
const (
	formatWSQ = 1
	formatJP2 = 2
)

// Why a finger is not in an image (annotation).
const (
	Amputated     = 2
	UnableToPrint = 3
	Bandaged      = 4
)

// Finger is one representation of a finger, or of several at once. It redacts itself in logs.
type Finger struct {
	Position   biometric.FingerPosition // position
	Impression int                      // impression: 0 plain contact
	Format     int                      // imageDataFormat: 0 PGM, 1 WSQ, 2 and 3 JPEG 2000 lossy and lossless, 4 PNG; when written it follows from Image
	Image      []byte
	Captured   time.Time // zero: not said
	PPI        int       // pixels an inch; 0: not said
	PPCM       int       // pixels a centimetre, of a record that counts so; never written
	Lossy      bool      // imageHasBeenLossilyCompressed
	Missing    []Missing // annotationBlocks
	Other      []int     // tags of elements that were not looked into
}

// Missing is a finger that is not in an image, and why.
type Missing struct {
	Position biometric.FingerPosition
	Reason   int
}

// LogValue keeps the image out of logs.
func (f Finger) LogValue() slog.Value { return slog.StringValue("finger, redacted") }

// String keeps the image out of formatted output.
func (f Finger) String() string { return f.LogValue().String() }

// GoString keeps the image out of %#v.
func (f Finger) GoString() string { return f.String() }

// Fingers is a finger record.
type Fingers struct {
	Version Version
	Fingers []Finger
}

// positions lists the codes of a position: fingers, combinations, palms.
func positions() []int {
	var list []int
	for i := range 87 {
		if i <= 10 || i >= 13 && i <= 17 || i >= 20 && i <= 38 || i >= 40 && i <= 50 || i >= 81 {
			list = append(list, i)
		}
	}
	return list
}

// EncodeFingers writes a finger record of generation 3, 2019. Format, PPCM, Lossy and Other follow from the image or are passed over.
func EncodeFingers(fingers []Finger) ([]byte, error) {
	var blocks []element
	for _, f := range fingers {
		head, err := picture.Of(f.Image)
		if err == nil && head.Coding == picture.JPEG {
			err = errors.New("a finger is never a JPEG there")
		}
		if err != nil {
			return nil, fmt.Errorf("writing an %s record: %w", fingerStandard, err)
		}
		blocks = append(blocks, f.element(head))
	}
	return record(FingerTag, blocks, func(data []byte) error {
		_, err := ParseFingers(data)
		return err
	})
}

func (f Finger) element(head picture.Head) element {
	format := map[picture.Coding]int{picture.WSQ: 1, picture.JPEG2000: 2, picture.PNG: 4}[head.Coding]
	kids := []element{code(0, int(f.Position)), code(1, f.Impression), code(2, format), octets(3, f.Image)}
	if !f.Captured.IsZero() {
		kids = append(kids, dateTime(4, f.Captured))
	}
	if f.PPI > 0 {
		kids = append(kids, group(7, number(0, f.PPI), number(1, 0)))
	}
	kids = append(kids, flag(11, head.Coding != picture.PNG))
	var missing []element
	for _, m := range f.Missing {
		missing = append(missing, element{tag: sequence, kids: []element{code(0, int(m.Position)), code(1, m.Reason)}})
	}
	if len(missing) > 0 {
		kids = append(kids, group(13, missing...))
	}
	return element{tag: sequence, kids: kids}
}

// ParseFingers reads a finger record. The images share data's bytes. The error is an [*Error] but for records that are too large.
func ParseFingers(data []byte) (Fingers, error) {
	v, blocks, err := open(data, FingerTag, fingerStandard, "FingerImageDataBlock")
	if err != nil {
		return Fingers{}, err
	}
	r := Fingers{Version: v}
	for _, b := range blocks {
		f, err := finger(b)
		if err != nil {
			return Fingers{}, err
		}
		r.Fingers = append(r.Fingers, f)
	}
	return r, nil
}

func finger(b node) (Finger, error) {
	m, err := b.members("position", "impression", "imageDataFormat", "imageData", "captureDateTimeBlock", "captureDeviceBlock", "qualityBlocks",
		"spatialSamplingRateBlock", "positionComputedByCaptureSystem", "originalRotation", "imageRotatedToVertical", "imageHasBeenLossilyCompressed",
		"segmentationBlocks", "annotationBlocks", "pADDataBlock", "commentBlocks", "vendorSpecificDataBlocks")
	if err != nil {
		return Finger{}, err
	}
	f := Finger{Other: m.others(0, 1, 2, 3, 4, 7, 11, 13)}
	position := 0
	for i, x := range []struct {
		name    string
		into    *int
		allowed []int
	}{{"position", &position, positions()}, {"impression", &f.Impression, []int{0, 1, 4, 8, 24, 25, 28, 29, 41, 42}}, {"imageDataFormat", &f.Format, []int{0, 1, 2, 3, 4}}} {
		n, err := m.need(b, byte(i), constructed, x.name)
		if err != nil {
			return Finger{}, err
		}
		if *x.into, err = n.code(x.allowed...); err != nil {
			return Finger{}, err
		}
	}
	f.Position = biometric.FingerPosition(position)
	data, err := m.need(b, 3, primitive, "imageData")
	if err != nil {
		return Finger{}, err
	}
	f.Image = data.body
	if _, err := data.compare([]picture.Coding{"", picture.WSQ, picture.JPEG2000, picture.JPEG2000, picture.PNG}[f.Format]); err != nil {
		return Finger{}, err
	}
	return f, f.options(m)
}

func (f *Finger) options(m fields) (err error) {
	if at, ok := m[4]; ok {
		if f.Captured, err = at.dateTime(); err != nil {
			return err
		}
	}
	if rate, ok := m[7]; ok {
		if err = f.scale(rate); err != nil {
			return err
		}
	}
	if lossy, ok := m[11]; ok {
		if f.Lossy, err = lossy.boolean(); err != nil {
			return err
		}
		if !f.Lossy && (f.Format == formatWSQ || f.Format == formatJP2) {
			return lossy.fail("it must be true of a format that loses something")
		}
	}
	if list, ok := m[13]; ok {
		return f.annotations(list)
	}
	return nil
}

func (f *Finger) scale(n node) error {
	m, err := n.members("samplesPerUnit", "unitDimension")
	if err != nil {
		return err
	}
	var v [2]int
	for i, name := range []string{"samplesPerUnit", "unitDimension"} {
		x, err := m.need(n, byte(i), primitive, name)
		if err != nil {
			return err
		}
		if v[i], err = x.integer(0, []int{65535, 1}[i]); err != nil {
			return err
		}
	}
	if v[1] == 0 {
		f.PPI = v[0]
	} else {
		f.PPCM = v[0]
	}
	return nil
}

func (f *Finger) annotations(n node) error {
	list, err := n.sequences()
	if err != nil {
		return err
	}
	for _, b := range list {
		m, err := b.members("position", "reason")
		if err != nil {
			return err
		}
		position, err := m.need(b, 0, constructed, "position")
		if err != nil {
			return err
		}
		reason, err := m.need(b, 1, constructed, "reason")
		if err != nil {
			return err
		}
		p, err := position.code(positions()...)
		if err != nil {
			return err
		}
		r, err := reason.code(0, 1, 2, 3, 4, 5, 6)
		if err != nil {
			return err
		}
		f.Missing = append(f.Missing, Missing{biometric.FingerPosition(p), r})
	}
	return nil
}
