package picture_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
	"testing"

	"loket/kiosk/record/picture"
)

// photograph is a small JPEG with its segments apart: the start, each segment, and the scan with all that follows.
func photograph(t testing.TB) (parts [][]byte) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for i := range 30 {
		img.Set(i, i, color.RGBA{uint8(9 * i), 200, 30, 255})
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	parts = append(parts, data[:2])
	for data = data[2:]; data[1] != 0xda; {
		size := 2 + int(data[2])<<8 + int(data[3])
		parts, data = append(parts, data[:size]), data[size:]
	}
	return append(parts, data)
}

func TestWhatStandsBetweenSegmentsIsDroppedAndThePictureStays(t *testing.T) {
	parts := photograph(t)
	whole := bytes.Join(parts, nil)
	for name, between := range map[string]string{"zeros": "\x00\x00\x00", "text": "made by", "a lone FF": "\xff\x00", "a restart": "\xff\xd3"} {
		for i := 1; i < len(parts); i++ {
			odd := bytes.Join(slices.Insert(slices.Clone(parts), i, []byte(between)), nil)
			if _, err := jpeg.Decode(bytes.NewReader(odd)); err != nil && between[0] == 0 {
				t.Fatalf("nobody would show it: %v", err)
			}
			given := bytes.Clone(odd)
			got := picture.Tidy(given)
			if !bytes.Equal(got, whole) {
				t.Errorf("%s before segment %d: %d bytes, not %d", name, i, len(got), len(whole))
			}
			if slices.Max(given[len(got):]) != 0 {
				t.Errorf("%s before segment %d: something is left at the end", name, i)
			}
		}
	}
}

func TestWhatIsAsItShouldBeIsLeftAlone(t *testing.T) {
	parts := photograph(t)
	filled := bytes.Join(slices.Insert(slices.Clone(parts), 2, []byte("\xff\xff")), nil) // fill bytes are allowed
	for name, data := range map[string][]byte{
		"a photograph": bytes.Join(parts, nil), "fill bytes": filled, "no image": []byte("GIF89a"), "nothing": {}, "a start": {0xff, 0xd8},
		"half a segment": bytes.Join(parts, nil)[:9],
	} {
		if got := picture.Tidy(bytes.Clone(data)); !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes of %d are left", name, len(got), len(data))
		}
	}
}

func FuzzTidy(f *testing.F) {
	parts := photograph(f)
	f.Add(bytes.Join(parts, nil))
	f.Add(bytes.Join(parts, []byte("odd")))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		got := picture.Tidy(data)
		if picture.Whole(before) && !bytes.Equal(got, before) || len(got) > len(before) || !bytes.Equal(picture.Tidy(bytes.Clone(got)), got) {
			t.Errorf("%x becomes %x", before, got)
		}
	})
}
