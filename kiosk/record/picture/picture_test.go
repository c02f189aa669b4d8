package picture_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"loket/kiosk/record/picture"
)

func encoded(t testing.TB) map[picture.Head][]byte {
	t.Helper()
	var grey, colour, lossless bytes.Buffer
	g := image.NewGray(image.Rect(0, 0, 40, 30))
	c := image.NewRGBA(g.Rect)
	c.Set(1, 1, color.White)
	for _, err := range []error{jpeg.Encode(&grey, g, nil), jpeg.Encode(&colour, c, nil), png.Encode(&lossless, g)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	box := "\x00\x00\x00\x0cjP  \r\n\x87\n" + "\x00\x00\x00\x14ftypjp2 \x00\x00\x00\x00jp2 " +
		"\x00\x00\x00\x1ejp2h\x00\x00\x00\x16ihdr\x00\x00\x00\x1e\x00\x00\x00\x28\x00\x03\x07\x07\x00\x00"
	return map[picture.Head][]byte{
		{Coding: picture.JPEG, Width: 40, Height: 30, Depth: 8, Components: 1}:     grey.Bytes(),
		{Coding: picture.JPEG, Width: 40, Height: 30, Depth: 8, Components: 3}:     colour.Bytes(),
		{Coding: picture.PNG, Width: 40, Height: 30, Depth: 8, Components: 1}:      lossless.Bytes(),
		{Coding: picture.JPEG2000, Width: 40, Height: 30, Depth: 8, Components: 3}: []byte(box),
		{Coding: picture.WSQ, Width: 40, Height: 30, Depth: 8, Components: 1}: []byte("\xff\xa0\xff\xa8\x00\x04hi\xff\xa2\x00\x11\x00\xff" +
			"\x00\x1e\x00\x28\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
	}
}

func TestTheHeadOfEveryCodingIsRead(t *testing.T) {
	for want, data := range encoded(t) {
		if got, err := picture.Of(data); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
}

func TestABareCodestreamIsJPEG2000(t *testing.T) {
	siz := append([]byte("\xff\x4f\xff\x51\x00\x29\x00\x00"), make([]byte, 40)...)
	for i, v := range []uint32{50, 40, 10, 10} {
		binary.BigEndian.PutUint32(siz[8+4*i:], v)
	}
	siz[41], siz[42] = 3, 7
	want := picture.Head{Coding: picture.JPEG2000, Width: 40, Height: 30, Depth: 8, Components: 3}
	if got, err := picture.Of(siz); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatIsCutOrUnknownHasNoHead(t *testing.T) {
	for want, data := range encoded(t) {
		if _, err := picture.Of(data[:20]); err == nil {
			t.Errorf("20 bytes of %s have a head", want.Coding)
		}
	}
	for _, data := range []string{"", "GIF89a", "BM", "\xff", "\xff\xd8\xff\xd9"} {
		if h, err := picture.Of([]byte(data)); err == nil {
			t.Errorf("%q is %+v", data, h)
		}
	}
}

func TestAnImageThatWasCutIsNotWhole(t *testing.T) {
	ends := map[picture.Coding]string{picture.WSQ: "\xff\xa3\x00\x03\x00\x12\xff\x00\x34\xff\xa1", picture.JPEG2000: "\x00\x00\x00\x0ejp2c\xff\x4f\x12\x34\xff\xd9"}
	for h, data := range encoded(t) {
		data = append(data, ends[h.Coding]...)
		if !picture.Whole(data) {
			t.Errorf("a %s is cut", h.Coding)
		}
		for _, off := range []int{1, 2, 5} {
			if picture.Whole(data[:len(data)-off]) {
				t.Errorf("a %s without its last %d bytes is whole", h.Coding, off)
			}
		}
	}
	if picture.Whole([]byte("GIF89a")) {
		t.Error("what has no head is whole")
	}
}

func TestTheEndOfAThumbnailIsNotTheEndOfAPhotograph(t *testing.T) {
	for h, data := range encoded(t) {
		if h.Coding != picture.JPEG {
			continue
		}
		thumb := "\xff\xe1\x00\x06\xff\xd8\xff\xd9"
		cut := append(append([]byte(data[:2]), thumb...), data[2:len(data)-2]...)
		if picture.Whole(cut) {
			t.Errorf("%+v", h)
		}
	}
}

func TestTheFixturesHaveTheirSizes(t *testing.T) {
	t.Attr("fixtures", "records")
	dir := os.Getenv("LOKET_FIXTURES")
	data, err := os.ReadFile(filepath.Join(dir, "records", "valid1.1.an2"))
	if dir == "" || err != nil {
		t.Skip("LOKET_FIXTURES names no folder with records/valid1.1.an2")
	}
	at := bytes.Index(data, []byte("\xff\xa0\xff\xa2"))
	want := picture.Head{Coding: picture.WSQ, Width: 512, Height: 512, Depth: 8, Components: 1}
	if got, err := picture.Of(data[at:]); err != nil || got != want || !picture.Whole(data[at:]) {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzOf(f *testing.F) {
	for _, data := range encoded(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = picture.Whole(data)
		if h, err := picture.Of(data); err == nil && (h.Width < 1 || h.Height < 1 || h.Coding == "") {
			t.Errorf("%+v", h)
		}
	})
}
