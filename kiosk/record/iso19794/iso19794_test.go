package iso19794_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"loket/kiosk/record/iso19794"
	"loket/kiosk/record/picture"
	"loket/kiosk/record/recordtest"
)

func faces(t testing.TB) []iso19794.Face {
	return []iso19794.Face{{Gender: 2, Eyes: 3, Hair: 255, Properties: 0x11, Expression: 1, Pose: [3]byte{1, 2, 181}, Uncertainty: [3]byte{0, 1, 2},
		Points: []iso19794.Point{{1, 0xc1, 10, 20}, {1, 0xc2, 30, 20}}, Kind: 1, Width: 48, Height: 64, ColourSpace: 1, Source: 2, Device: 7, Image: recordtest.JPEG(t, 48, 64)},
		{Width: 8, Height: 8, Image: recordtest.JPEG(t, 8, 8)}}
}

func fingers(t testing.TB) iso19794.Fingers {
	return iso19794.Fingers{Level: 30, Unit: 1, ScanX: 500, ScanY: 500, ImageX: 500, ImageY: 500, Depth: 8, Compression: iso19794.PNG,
		Views: []iso19794.View{{Position: 2, Count: 2, Number: 1, Quality: iso19794.NoQuality, Width: 24, Height: 32, Image: recordtest.PNG(t, 24, 32)},
			{Position: 2, Count: 2, Number: 2, Quality: iso19794.NoQuality, Width: 20, Height: 30, Image: recordtest.PNG(t, 20, 30)},
			{Position: 7, Count: 1, Number: 1, Quality: iso19794.NoQuality, Impression: 1, Width: 20, Height: 30, Image: recordtest.PNG(t, 20, 30)}}}
}

func TestFacesComeBackAsTheyWere(t *testing.T) {
	data, err := iso19794.EncodeFaces(faces(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := iso19794.ParseFaces(data); err != nil || !reflect.DeepEqual(got, faces(t)) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFingersComeBackAsTheyWere(t *testing.T) {
	data, err := fingers(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := iso19794.ParseFingers(data); err != nil || !reflect.DeepEqual(got, fingers(t)) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFingersWithoutCompressionComeBackToo(t *testing.T) {
	for _, c := range []iso19794.Compression{iso19794.Raw, iso19794.Packed} {
		r := fingers(t)
		r.Compression, r.Views = c, []iso19794.View{{Position: 6, Count: 1, Number: 1, Quality: iso19794.NoQuality, Width: 5, Height: 4, Image: make([]byte, 20)}}
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := iso19794.ParseFingers(data); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestAFaceOfAnotherMakerIsRead(t *testing.T) {
	t.Attr("fixtures", "records")
	dir := os.Getenv("LOKET_FIXTURES")
	data, err := os.ReadFile(filepath.Join(dir, "records", "face01.iso2005"))
	if dir == "" || err != nil {
		t.Skip("LOKET_FIXTURES names no folder with records/face01.iso2005")
	}
	list, err := iso19794.ParseFaces(data)
	if err != nil {
		t.Fatal(err)
	}
	f := list[0]
	head, err := picture.Of(f.Image)
	want := iso19794.Face{Gender: 2, Eyes: 1, Hair: 6, Properties: 0x44d, Expression: 3, Pose: [3]byte{5, 10, 15}, Uncertainty: [3]byte{21, 26, 31},
		Points: []iso19794.Point{{1, 0x36, 95, 117}, {1, 0x35, 168, 109}, {1, 0x93, 139, 133}, {1, 0xb5, 136, 50}},
		Width:  280, Height: 320, ColourSpace: 1, Source: 2, Device: 0x4947, Image: f.Image}
	if len(list) != 1 || !reflect.DeepEqual(f, want) || err != nil || head.Coding != picture.JPEG {
		t.Errorf("%d faces, %v, %v", len(list), head, err)
	}
	if again, err := iso19794.EncodeFaces(list); err != nil || !bytes.Equal(again, data) {
		t.Errorf("it is not written as it was read: %v", err)
	}
}

func TestAQualityOfAnotherMakersPrintIsRead(t *testing.T) {
	good, err := fingers(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	r, err := iso19794.ParseFingers(at(good, 39, 80))
	if err != nil || r.Views[0].Quality != 80 {
		t.Errorf("%v", err)
	}
}

func at(data []byte, offset int, b ...byte) []byte {
	out := bytes.Clone(data)
	copy(out[offset:], b)
	return out
}

// half cuts the end off a record's first image and mends the record's length and the block's, which stand at two places.
func half(data []byte, total, block int) []byte {
	size := int(binary.BigEndian.Uint32(data[block:]))
	out := slices.Delete(bytes.Clone(data), block+size-20, block+size)
	binary.BigEndian.PutUint32(out[total:], uint32(len(out)))
	binary.BigEndian.PutUint32(out[block:], uint32(size-20))
	return out
}

func TestABrokenFaceRecordIsNamedWithItsClause(t *testing.T) {
	good, err := iso19794.EncodeFaces(faces(t)[:1])
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"another format":            {at(good, 0, 'F', 'I', 'R'), `format identifier at byte 0: it must be "FAC", and is "FIR" (clause 5.4)`},
		"the second edition":        {at(good, 4, '0', '3', '0'), `version number at byte 4: it must be "010", and is "030" (clause 5.4)`},
		"a byte more":               {append(bytes.Clone(good), 0), "length of record at byte 8"},
		"a byte less":               {good[:len(good)-1], "length of record at byte 8"},
		"no image":                  {at(good, 12, 0, 0), "number of facial images at byte 12: it must be a number from 1"},
		"an image too many":         {at(good, 12, 0, 2), "block length at byte"},
		"a short block":             {at(good, 14, 0, 0, 0, 32), "block length at byte 14"},
		"a long block":              {at(good, 14, 0, 9, 0, 0), "block length at byte 14"},
		"a gender of nobody":        {at(good, 20, 3), "gender at byte 20: 3 is not among the codes of this field (clause 5.5)"},
		"eyes":                      {at(good, 21, 8), "eye colour at byte 21"},
		"hair":                      {at(good, 22, 10), "hair colour at byte 22"},
		"properties that are none":  {at(good, 25, 0x10), "property mask at byte 23: bits are set"},
		"a reserved expression":     {at(good, 26, 0, 8), "expression at byte 26: 8 is reserved"},
		"an angle":                  {at(good, 28, 182), "pose angle yaw at byte 28"},
		"a point's kind":            {at(good, 34, 2), "feature point type at byte 34: 2 is not among the codes of this field (clause 5.6)"},
		"a reserved byte":           {at(good, 41, 1), "reserved field of a feature point at byte 40"},
		"a point outside":           {at(good, 36, 0, 48), "feature points at byte 50: one lies outside the image (clause 5.7)"},
		"a kind of image":           {at(good, 50, 4), "facial image type at byte 50"},
		"another coding":            {at(good, 51, 1), "image data type at byte 51: it says image/jp2, and the image is none (clause 5.8)"},
		"another width":             {at(good, 52, 0, 49), "width at byte 52: it must be the image's, 48 pixels, and is 49"},
		"another height":            {at(good, 54, 0, 65), "height at byte 54"},
		"grey that has colours":     {at(good, 56, 3), "image colour space at byte 56: it must be the image's, which has 3 components, and is 3"},
		"a reserved property":       {at(good, 23, 0x10), "property mask at byte 23: bits 11 to 23 are reserved"},
		"a reserved colour space":   {at(good, 56, 5), "image colour space at byte 56"},
		"a reserved source":         {at(good, 57, 8), "source type at byte 57"},
		"half an image":             {half(good, 8, 14), "image data at byte 62: the image must be whole, and is cut"},
		"a quality in this edition": {at(good, 60, 0, 50), "quality at byte 60: it must be 0, and is 50"},
	} {
		if _, err := iso19794.ParseFaces(c.data); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ISO/IEC 19794-5:2005") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABrokenFingerRecordIsNamedWithItsClause(t *testing.T) {
	good, err := fingers(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"another format":        {at(good, 0, 'F', 'M', 'R'), "format identifier at byte 0"},
		"the second edition":    {at(good, 4, '0', '2', '0'), "version number at byte 4"},
		"a byte more":           {append(bytes.Clone(good), 0), "record length at byte 8"},
		"INCITS 381":            {at(good, 16, 0, 0), "image acquisition level at byte 16: 0 is not in table 1 (hint: a record of INCITS 381-2004"},
		"no finger":             {at(good, 18, 0), "number of fingers or palms at byte 18"},
		"a unit":                {at(good, 19, 3), "scale units at byte 19"},
		"too fine":              {at(good, 20, 8, 0), "horizontal scan resolution at byte 20"},
		"finer than scanned":    {at(good, 24, 1, 0xf5), "horizontal image resolution at byte 24: it must be a number from 1 to 500, and is 501"},
		"no depth":              {at(good, 28, 0), "pixel depth at byte 28"},
		"a compression":         {at(good, 29, 6), "image compression algorithm at byte 29"},
		"another compression":   {at(good, 29, 2), "finger image data at byte 46: the record's compression is image/x-wsq"},
		"raw that is none":      {at(good, 29, 0), "finger image data at byte 46: an image that is not compressed"},
		"a reserved byte":       {at(good, 31, 1), "reserved field at byte 30"},
		"a short block":         {at(good, 32, 0, 0, 0, 14), "length of finger data block at byte 32"},
		"a position":            {at(good, 36, 11), "finger or palm position at byte 36: 11 is not among the codes of this field (clause 7.2)"},
		"no views":              {at(good, 37, 0), "count of views at byte 37"},
		"a view beyond":         {at(good, 38, 3), "view number at byte 38"},
		"a quality":             {at(good, 39, 101), "finger or palm image quality at byte 39: 101 is not among the codes"},
		"another depth":         {at(good, 28, 16), "pixel depth at byte 28: it must be the image's, 8 bits, and is 16"},
		"half an image":         {half(good, 10, 32), "finger image data at byte 46: the image must be whole, and is cut"},
		"an impression":         {at(good, 40, 10), "impression type at byte 40"},
		"another width":         {at(good, 41, 0, 25), "horizontal line length at byte 41: it must be the image's, 24 pixels, and is 25"},
		"another height":        {at(good, 43, 0, 33), "vertical line length at byte 43"},
		"a reserved byte later": {at(good, 45, 1), "reserved field of a view at byte 45"},
		"a view twice":          {bytes.Replace(good, []byte{2, 2, 2, 254}, []byte{2, 2, 1, 254}, 1), "view 1 of position 2 is there twice"},
		"a view missing":        {bytes.Replace(good, []byte{2, 2, 2, 254}, []byte{3, 2, 2, 254}, 1), "count of views"},
	} {
		if _, err := iso19794.ParseFingers(c.data); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ISO/IEC 19794-4:2005") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingIsWrittenThatTheReaderRefuses(t *testing.T) {
	bad := faces(t)
	bad[1].Image = recordtest.PNG(t, 8, 8)
	if data, err := iso19794.EncodeFaces(bad); err == nil || data != nil {
		t.Error("a PNG is written as a face")
	}
	if _, err := iso19794.EncodeFaces(nil); err == nil {
		t.Error("a record without a face is written")
	}
	r := fingers(t)
	r.Views[0].Width = 25
	if data, err := r.Encode(); err == nil || data != nil {
		t.Error("a wrong width is written")
	}
}

func TestImagesKeepThemselvesOutOfOutput(t *testing.T) {
	for _, v := range []any{faces(t)[0], fingers(t).Views[0]} {
		if s := fmt.Sprintf("%v %+v %#v", v, v, v); !strings.Contains(s, "redacted") || len(s) > 100 {
			t.Error(s)
		}
	}
}

func FuzzFaces(f *testing.F) {
	data, err := iso19794.EncodeFaces(faces(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := iso19794.ParseFaces(data)
		if err != nil {
			return
		}
		if again, err := iso19794.EncodeFaces(list); err != nil || !bytes.Equal(again, data) {
			t.Errorf("it is not written as it was read: %v", err)
		}
	})
}

func FuzzFingers(f *testing.F) {
	data, err := fingers(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := iso19794.ParseFingers(data)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("it is not written as it was read: %v", err)
		}
	})
}
