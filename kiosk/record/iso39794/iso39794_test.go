package iso39794_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"loket/kiosk/record/iso39794"
	"loket/kiosk/record/recordtest"
)

func faces(t testing.TB) []iso39794.Face {
	return []iso39794.Face{{ID: 1, Image: recordtest.JPEG(t, 48, 64), Format: 2, Kind: iso39794.GeneralPurpose, Width: 48, Height: 64, ColourSpace: iso39794.RGB24,
		Captured: time.Date(2026, 3, 2, 9, 30, 5, 0, time.UTC)}}
}

func fingers(t testing.TB) []iso39794.Finger {
	return []iso39794.Finger{
		{Position: 2, Format: 4, Image: recordtest.PNG(t, 24, 32), PPI: 500, Captured: time.Date(2026, 3, 2, 9, 30, 5, 0, time.UTC)},
		{Position: 13, Impression: 0, Format: 4, Image: recordtest.PNG(t, 96, 32), PPI: 500, Missing: []iso39794.Missing{{5, iso39794.Amputated}, {4, iso39794.Bandaged}}},
	}
}

func TestFacesComeBackAsTheyWere(t *testing.T) {
	data, err := iso39794.EncodeFaces(faces(t))
	if err != nil {
		t.Fatal(err)
	}
	want := iso39794.Faces{Version: iso39794.Version{Generation: 3, Year: 2019}, Faces: faces(t)}
	if got, err := iso39794.ParseFaces(data); err != nil || !reflect.DeepEqual(got, want) || data[0] != iso39794.FaceTag {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFingersComeBackAsTheyWere(t *testing.T) {
	data, err := iso39794.EncodeFingers(fingers(t))
	if err != nil {
		t.Fatal(err)
	}
	want := iso39794.Fingers{Version: iso39794.Version{Generation: 3, Year: 2019}, Fingers: fingers(t)}
	if got, err := iso39794.ParseFingers(data); err != nil || !reflect.DeepEqual(got, want) || data[0] != iso39794.FingerTag {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOpenSSLReadsTheStructure(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not here: nobody else read the records (hint: apt-get install openssl)")
	}
	face, err := iso39794.EncodeFaces(faces(t))
	if err != nil {
		t.Fatal(err)
	}
	finger, err := iso39794.EncodeFingers(fingers(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		want []string
	}{
		"face":   {face, []string{"cons: appl [ 5 ]", "prim: cont [ 1 ]", "cons: SEQUENCE"}},
		"finger": {finger, []string{"cons: appl [ 4 ]", "cons: cont [ 13 ]"}},
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(openssl, "asn1parse", "-inform", "DER", "-in", file).CombinedOutput()
		if err != nil {
			t.Fatalf("openssl: %v\n%s", err, out)
		}
		for _, want := range c.want {
			if !bytes.Contains(out, []byte(want)) {
				t.Errorf("%s: %q is missing in\n%s", name, want, out)
			}
		}
	}
}

// small is a face record around an image that nobody looks into: format code 0.
const small = "\x65\x30" + "\xa0\x07\x80\x01\x03\x81\x02\x07\xe3" +
	"\xa1\x25\x30\x23\x80\x01\x01\xa1\x1e\xa0\x1c\xa0\x1a\x80\x03\x01\x02\x03\xa1\x13\xa0\x03\x80\x01\x00\xa1\x03\x80\x01\x01\xa7\x07\x80\x01\x08\x81\x02\x01\x00"

func TestASmallRecordWrittenByHandIsRead(t *testing.T) {
	got, err := iso39794.ParseFaces([]byte(small))
	want := iso39794.Face{ID: 1, Image: []byte{1, 2, 3}, Kind: 1, Width: 8, Height: 256, ColourSpace: -1}
	if err != nil || len(got.Faces) != 1 || !reflect.DeepEqual(got.Faces[0], want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOnlyDERIsRead(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"nothing":                    {"", "must be all there is"},
		"another tag":                {"\x30" + small[1:], "FaceImageDataBlock at byte 0: one element tagged [APPLICATION 5]"},
		"something behind it":        {small + "\x05\x00", "must be all there is, and 2 bytes follow it"},
		"a byte behind it":           {small + "\x00", "must be all there is, and 1 bytes follow it"},
		"a long form":                {"\x65\x81\x30" + small[2:], "not in the shortest form, which DER demands (ISO/IEC 8825-1, 10.1)"},
		"a longer form":              {"\x65\x82\x00\x30" + small[2:], "not in the shortest form"},
		"an indefinite length":       {"\x65\x80" + small[2:] + "\x00\x00", "indefinite, which DER does not allow"},
		"cut":                        {small[:20], "and 18 are left"},
		"a tag of several octets":    {strings.Replace(small, "\x80\x01\x03", "\x9f\x01\x03", 1), "a tag of more than one octet"},
		"an integer with a zero":     {strings.Replace(small, "\x65\x30\xa0\x07\x80\x01\x03\x81\x02", "\x65\x31\xa0\x08\x80\x02\x00\x03\x81\x02", 1), "generation at byte 4: an integer must have octets, and no more than it needs"},
		"an integer of nothing":      {strings.Replace(small, "\x65\x30\xa0\x07\x80\x01\x03", "\x65\x2f\xa0\x06\x80\x00", 1), "an integer must have octets"},
		"another generation":         {strings.Replace(small, "\x80\x01\x03", "\x80\x01\x02", 1), "FaceImageDataBlock.versionBlock.generation at byte 4: it must be 3, and is 2"},
		"an earlier year":            {strings.Replace(small, "\x07\xe3", "\x07\xe2", 1), "versionBlock.year"},
		"members in another order":   {strings.Replace(small, "\x80\x01\x03\x81\x02\x07\xe3", "\x81\x02\x07\xe3\x80\x01\x03", 1), "must stand in the order of the module, each once"},
		"a member twice":             {strings.Replace(small, "\x81\x02\x07\xe3", "\x80\x02\x07\xe3", 1), "must stand in the order of the module, each once"},
		"a version missing":          {strings.Replace(small, "\x65\x30\xa0\x07", "\x65\x30\xa2\x07", 1), "must stand in the order"},
		"a primitive for a sequence": {strings.Replace(small, "\xa7\x07", "\x87\x07", 1), "it has the wrong form"},
		"a universal tag":            {strings.Replace(small, "\x80\x01\x01\xa1", "\x02\x01\x01\xa1", 1), "a context-specific tag must stand here, not 0x02"},
		"a block that is none":       {strings.Replace(small, "\x30\x23", "\x31\x23", 1), "representationBlocks.1 at byte 13: it must be a SEQUENCE"},
		"no image":                   {strings.Replace(small, "\xa0\x1a\x80\x03", "\xa0\x1a\x83\x03", 1), "must stand in the order"},
		"a format of nobody":         {strings.Replace(small, "\xa0\x03\x80\x01\x00", "\xa0\x03\x80\x01\x08", 1), "imageDataFormat.code at byte 33: 8 is not among the codes of this element"},
		"a JPEG that is none":        {strings.Replace(small, "\xa0\x03\x80\x01\x00", "\xa0\x03\x80\x01\x02", 1), "representationData2D at byte 24: its format code says image/jpeg, and the image is none"},
		"elements without end":       {"\x65\x82\x20\x02" + strings.Repeat("\x80\x00", 4097), "FaceImageDataBlock at byte 0: more than 4096 elements"},
		"a choice that is cut":       {strings.Replace(small, "\xa1\x03\x80\x01\x01", "\xa1\x03\x80\x00\x80", 1), "it ends before its length"},
		"three dimensions":           {strings.Replace(small, "\xa0\x1c\xa0\x1a", "\xa0\x1c\xa1\x1a", 1), "a two-dimensional image must be its one choice"},
	} {
		if _, err := iso39794.ParseFaces([]byte(c.data)); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ISO/IEC 39794-5:2019") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsMoreIsCheckedForItsFormAndReported(t *testing.T) {
	more := "\x65\x39" + small[2:11] + "\xa1\x2e\x30\x2c" + small[15:] + "\xa4\x02\x30\x00\x9e\x03abc"
	got, err := iso39794.ParseFaces([]byte(more))
	if err != nil || !reflect.DeepEqual(got.Faces[0].Other, []int{4, 30}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := iso39794.ParseFaces([]byte(strings.Replace(more, "\xa4\x02\x30\x00", "\xa4\x02\x30\x80", 1))); err == nil {
		t.Error("what is not looked into may be no DER")
	}
}

func TestABrokenFingerRecordIsNamed(t *testing.T) {
	good, err := iso39794.EncodeFingers(fingers(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, to, want string }{
		"a position":      {"\xa0\x03\x80\x01\x02", "\xa0\x03\x80\x01\x0b", "representationBlocks.1.position.code"},
		"an impression":   {"\xa1\x03\x80\x01\x00", "\xa1\x03\x80\x01\x02", "representationBlocks.1.impression.code"},
		"another format":  {"\xa2\x03\x80\x01\x04", "\xa2\x03\x80\x01\x01", "imageData at byte"},
		"a month":         {"\x81\x01\x03\x82", "\x81\x01\x0d\x82", "captureDateTimeBlock.month"},
		"a day":           {"\x81\x01\x03\x82\x01\x02", "\x81\x01\x02\x82\x01\x1e", "the month has no such day"},
		"a unit":          {"\x80\x02\x01\xf4\x81\x01\x00", "\x80\x02\x01\xf4\x81\x01\x02", "spatialSamplingRateBlock.unitDimension"},
		"a boolean":       {"\x8b\x01\x00", "\x8b\x01\x01", "imageHasBeenLossilyCompressed at byte"},
		"a reason":        {"\xa1\x03\x80\x01\x02", "\xa1\x03\x80\x01\x07", "annotationBlocks.1.reason.code"},
		"no position":     {"\xa0\x03\x80\x01\x05", "\xa2\x03\x80\x01\x05", "must stand in the order"},
		"an empty choice": {"\xa0\x03\x80\x01\x02", "\x80\x03\x80\x01\x02", "it has the wrong form"},
	} {
		data := bytes.Replace(good, []byte(c.from), []byte(c.to), 1)
		if _, err := iso39794.ParseFingers(data); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ISO/IEC 39794-4:2019") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingIsWrittenThatTheReaderRefuses(t *testing.T) {
	for name, f := range map[string]iso39794.Finger{"a JPEG": {Position: 2, Image: recordtest.JPEG(t, 8, 8)}, "a position": {Position: 12, Image: recordtest.PNG(t, 8, 8)}, "no image": {Position: 2}} {
		if data, err := iso39794.EncodeFingers([]iso39794.Finger{f}); err == nil || data != nil {
			t.Errorf("%s is written", name)
		}
	}
	if _, err := iso39794.EncodeFaces(nil); err == nil {
		t.Error("a record without a face is written")
	}
}

func TestACutImageIsNamed(t *testing.T) {
	whole, cut := recordtest.JPEG(t, 48, 64), recordtest.JPEG(t, 48, 64)
	cut[len(cut)-1], cut[len(cut)-2] = 0, 0
	data, err := iso39794.EncodeFaces([]iso39794.Face{{ID: 1, Image: whole}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = iso39794.ParseFaces(bytes.Replace(data, whole, cut, 1))
	if err == nil || !strings.Contains(err.Error(), "representationData2D at byte") || !strings.Contains(err.Error(), "the image must be whole, and is cut") {
		t.Error(err)
	}
}

func TestAColourSpaceIsTheImages(t *testing.T) {
	_, err := iso39794.EncodeFaces([]iso39794.Face{{ID: 1, Image: recordtest.JPEG(t, 48, 64), ColourSpace: iso39794.Grey8}})
	if err == nil || !strings.Contains(err.Error(), "imageColourSpace at byte") || !strings.Contains(err.Error(), "which has 3 components, and is 5") {
		t.Error(err)
	}
}

func TestTwoRepresentationsHaveTwoNumbers(t *testing.T) {
	f := faces(t)
	f = append(f, f[0])
	if _, err := iso39794.EncodeFaces(f); err == nil || !strings.Contains(err.Error(), "must not be another representation's") {
		t.Error(err)
	}
}

func TestAFormatThatLosesSaysSo(t *testing.T) {
	data, err := iso39794.EncodeFingers([]iso39794.Finger{{Position: 2, Image: []byte(wsqHead)}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = iso39794.ParseFingers(bytes.Replace(data, []byte("\x8b\x01\xff"), []byte("\x8b\x01\x00"), 1))
	if err == nil || !strings.Contains(err.Error(), "imageHasBeenLossilyCompressed at byte") || !strings.Contains(err.Error(), "loses something") {
		t.Error(err)
	}
}

// wsqHead has the head and the end of a WSQ, and nothing between them.
const wsqHead = "\xff\xa0\xff\xa2\x00\x11\x00\xff\x00\x1e\x00\x28\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xa3\x00\x03\x00\xff\xa1"

func TestImagesKeepThemselvesOutOfOutput(t *testing.T) {
	for _, v := range []any{faces(t)[0], fingers(t)[0]} {
		if s := fmt.Sprintf("%v %+v %#v", v, v, v); !strings.Contains(s, "redacted") || len(s) > 100 {
			t.Error(s)
		}
	}
}

func FuzzFaces(f *testing.F) {
	data, err := iso39794.EncodeFaces(faces(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(small))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := iso39794.ParseFaces(data)
		if err != nil {
			return
		}
		for _, x := range r.Faces {
			if len(x.Image) > len(data) {
				t.Error("more comes out than goes in")
			}
		}
	})
}

func FuzzFingers(f *testing.F) {
	data, err := iso39794.EncodeFingers(fingers(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := iso39794.ParseFingers(data)
		if err != nil {
			return
		}
		for _, x := range r.Fingers {
			if len(x.Image) > len(data) {
				t.Error("more comes out than goes in")
			}
		}
	})
}
