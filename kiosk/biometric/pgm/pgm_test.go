package pgm

import (
	"bytes"
	"image"
	"testing"
)

func TestGraymapsAreRead(t *testing.T) {
	want := []uint8{0, 128, 255, 7, 8, 9}
	for name, file := range map[string]string{
		"raw":         "P5\n3 2\n255\n\x00\x80\xff\x07\x08\x09",
		"commented":   "P5 # made by\n#another\n3\t2 #x\n255\n\x00\x80\xff\x07\x08\x09",
		"plain":       "P2\n3 2 255\n0 128 255\n7 8 # eight\n 9\n",
		"sixteen":     "P5 3 2 65535 " + "\x00\x00\x80\x80\xff\xff\x07\x07\x08\x08\x09\x09",
		"with a tail": "P5\n3 2\n255\n\x00\x80\xff\x07\x08\x09P5 more",
	} {
		img, err := Decode([]byte(file))
		if err != nil || img.Rect != image.Rect(0, 0, 3, 2) || !bytes.Equal(img.Pix, want) {
			t.Errorf("%s: %v, %v", name, img, err)
		}
	}
	for name, file := range map[string]string{
		"another format": "P6\n3 2\n255\n",
		"empty":          "",
		"cut header":     "P5 3",
		"cut pixels":     "P5 3 2 255 abc",
		"no width":       "P5 0 2 255 abc",
		"huge":           "P5 19999 19999 255 abc",
		"long number":    "P5 99999999999 2 255 abc",
		"deep":           "P5 1 1 65536 abc",
		"words":          "P2 2 1 255 one two",
		"few":            "P2 2 2 255 1 2 3",
	} {
		if _, err := Decode([]byte(file)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	img, err := Decode([]byte("P5 3 1 15 \x00\x0f\xff"))
	if err != nil || !bytes.Equal(img.Pix, []uint8{0, 255, 255}) {
		t.Errorf("a maximal value of 15: %v %v", img, err)
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	whole := image.NewGray(image.Rect(0, 0, 9, 7))
	for i := range whole.Pix {
		whole.Pix[i] = uint8(i * 5)
	}
	part := whole.SubImage(image.Rect(2, 3, 7, 6)).(*image.Gray)
	back, err := Decode(Encode(part))
	if err != nil || back.Rect != image.Rect(0, 0, 5, 3) || back.GrayAt(4, 2) != part.GrayAt(6, 5) || back.GrayAt(0, 0) != part.GrayAt(2, 3) {
		t.Errorf("%v, %v", back, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("P5\n3 2\n255\n\x00\x80\xff\x07\x08\x09"))
	f.Add([]byte("P2 # plain\n3 2 255\n0 128 255 7 8 9"))
	f.Fuzz(func(t *testing.T, data []byte) {
		img, err := Decode(data)
		if err != nil {
			return
		}
		if len(img.Pix) > MaxPixels || len(img.Pix) > len(data) {
			t.Errorf("%v from %d bytes", img.Rect, len(data))
		}
		if again, err := Decode(Encode(img)); err != nil || !bytes.Equal(again.Pix, img.Pix) {
			t.Errorf("%v is not what was written: %v", img.Rect, err)
		}
	})
}
