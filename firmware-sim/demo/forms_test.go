package main

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"slices"
	"testing"

	"loket/kiosk/biometric/wsq"
	"loket/kiosk/record"
)

func picture(seed uint64, wide, high int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, wide, high))
	copy(img.Pix, noise(seed, len(img.Pix)))
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestEveryFormOfAPictureIsLookedFor(t *testing.T) {
	file := picture(1, 17, 9) // odd, so that planes are padded
	stream := slices.Concat([]byte("container \xff\xd8\xff\x00"), file, []byte("container"), file, picture(2, 16, 8), []byte{0xff, 0xd8, 0xff})
	sizes := map[string][]int{}
	err := eachForm([][]byte{stream}, nil, func(f form) { sizes[f.name] = append(sizes[f.name], len(f.data)) })
	if err != nil {
		t.Fatal(err)
	}
	const sent = "a picture that a device sent"
	for name, want := range map[string][]int{
		"what a device sent": {len(stream)}, sent + ", luma plane": {17 * 9, 16 * 8}, sent + ", blue chroma plane": {9 * 5, 8 * 4},
		sent + ", red chroma plane": {9 * 5, 8 * 4}, sent + ", RGB pixels": {3 * 17 * 9, 3 * 16 * 8}, sent + ", BGR pixels": {3 * 17 * 9, 3 * 16 * 8},
		sent + ", RGBA pixels": {4 * 17 * 9, 4 * 16 * 8}, sent + ", BGRA pixels": {4 * 17 * 9, 4 * 16 * 8},
	} {
		if !slices.Equal(sizes[name], want) {
			t.Errorf("%s has %v bytes, not %v", name, sizes[name], want)
		}
		delete(sizes, name)
	}
	if len(sizes) > 0 {
		t.Errorf("there is also %v", sizes)
	}
}

func TestOfAFileForOtherSystemsItsImagesAreLookedFor(t *testing.T) {
	for name, want := range map[string]int{"record.an2": 4, "face.iso19794": 1, "fingers.iso19794": 2, "face.iso39794": 1, "fingers.iso39794": 2} {
		data, err := os.ReadFile("../../kiosk/record/testdata/files/" + name)
		if err != nil {
			t.Fatal(err)
		}
		images, err := imagesOf(record.Part{Name: name, Data: data})
		if err != nil || len(images) != want {
			t.Errorf("%s: %d images, %v", name, len(images), err)
		}
		if _, err := imagesOf(record.Part{Name: name, Data: []byte("none")}); err == nil {
			t.Errorf("%s that is none has images", name)
		}
	}
	if images, err := imagesOf(record.Part{Name: "face.jpg", Data: []byte("x")}); err != nil || len(images) != 1 {
		t.Errorf("a photograph: %d images, %v", len(images), err)
	}
}

func TestPixelsOfAFingerAreItsGreyValues(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 3, 2))
	for i := range img.Pix {
		img.Pix[i] = uint8(40 * i)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	var names []string
	err := pixels("finger", b.Bytes(), func(f form) {
		names = append(names, f.name)
		if f.name == "finger, grey pixels" && !bytes.Equal(f.data, img.Pix) {
			t.Errorf("they are %v", f.data)
		}
	})
	if err != nil || len(names) != 5 {
		t.Errorf("the forms are %v: %v", names, err)
	}
}

func TestPixelsOfACompressedFingerAreWhatItShows(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 30, 20))
	file, err := wsq.Encode(img, wsq.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var shown []byte
	err = pixels("finger", file, func(f form) {
		if f.name == "finger, grey pixels" {
			shown = f.data
		}
	})
	if err != nil || !bytes.Equal(shown, img.Pix) {
		t.Errorf("%v: %v", shown, err)
	}
	if err := pixels("x", file[:40], func(form) {}); err == nil {
		t.Error("half a file passes")
	}
}

func TestAPictureWithoutAListOfFormsIsAnError(t *testing.T) {
	img := image.NewPaletted(image.Rect(0, 0, 3, 2), color.Palette{color.Black, color.White})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	if err := pixels("x", b.Bytes(), func(form) {}); err == nil {
		t.Error("a palette passes")
	}
	if err := pixels("x", []byte("\x89PNG"), func(form) {}); err == nil {
		t.Error("half a picture passes")
	}
}
