package synth

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte("P5\n3 2\n255\n\x00\x80\xff\x07\x08\x09"))
	f.Add([]byte("P2 # plain\n3 2 255\n0 128 255 7 8 9"))
	var small bytes.Buffer
	_ = png.Encode(&small, image.NewGray(image.Rect(0, 0, 2, 2)))
	f.Add(small.Bytes())
	small = bytes.Buffer{}
	_ = jpeg.Encode(&small, image.NewGray(image.Rect(0, 0, 2, 2)), nil)
	f.Add(small.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		img, err := Decode(data)
		if err == nil && img.Bounds().Dx()*img.Bounds().Dy() > maxPixels {
			t.Errorf("%v is beyond the bound", img.Bounds())
		}
		if n := exifOrientation(data); n < 1 || n > 8 {
			t.Errorf("orientation %d", n)
		}
	})
}

// chart is a picture in which every corner differs.
func chart(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(255 * x / w), uint8(255 * y / h), 60, 255})
		}
	}
	return img
}

func encodeJPEG(t *testing.T, img image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func encodePNG(t *testing.T, img image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func write(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAJPEGPhotoStaysByteForByte(t *testing.T) {
	data := encodeJPEG(t, chart(60, 80))
	p, err := LoadPhoto(write(t, t.TempDir(), "me.jpg", data))
	if err != nil || !bytes.Equal(p.JPEG, data) || p.View.Bounds().Dx() != 60 {
		t.Errorf("got %d bytes of %d, %v", len(p.JPEG), len(data), err)
	}
}

func TestAPNGPhotoBecomesOneJPEGOfItsSize(t *testing.T) {
	for name, img := range map[string]image.Image{"colour": chart(61, 80), "grey": image.NewGray16(image.Rect(0, 0, 61, 80))} {
		p, err := LoadPhoto(write(t, t.TempDir(), "me.png", encodePNG(t, img)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := jpeg.DecodeConfig(bytes.NewReader(p.JPEG))
		if err != nil || got.Width != 61 || got.Height != 80 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAPhotoThatSaysHowItIsTurnedIsShownUpright(t *testing.T) {
	const w, h = 64, 48
	plain := encodeJPEG(t, chart(w, h))
	for orientation, corner := range map[int][2]bool{ // is the picture's corner at the left; at the top
		1: {true, true}, 2: {false, true}, 3: {false, false}, 4: {true, false},
		5: {true, true}, 6: {false, true}, 7: {false, false}, 8: {true, false},
	} {
		data := append([]byte{0xff, 0xd8}, exif(orientation)...)
		data = append(data, plain[2:]...)
		p, err := LoadPhoto(write(t, t.TempDir(), "turned.jpeg", data))
		if err != nil {
			t.Fatal(err)
		}
		b := p.View.Bounds()
		if turned := b.Dx() == h; turned != (orientation >= 5) {
			t.Errorf("orientation %d: shown as %v", orientation, b)
		}
		at := image.Pt(b.Max.X-1, b.Max.Y-1)
		if corner[0] {
			at.X = 0
		}
		if corner[1] {
			at.Y = 0
		}
		if r, g, _, _ := p.View.At(at.X, at.Y).RGBA(); r>>8 > 60 || g>>8 > 60 {
			t.Errorf("orientation %d: the first corner is not at %v", orientation, at)
		}
	}
}

// exif is an APP1 segment that holds the orientation alone.
func exif(orientation int) []byte {
	tiff := []byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
	tiff = append(tiff, 0, byte(orientation), 0, 0, 0, 0, 0, 0)
	seg := append([]byte("Exif\x00\x00"), tiff...)
	return append(binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(seg)+2)), seg...)
}

func TestLetterboxFitsAnyShape(t *testing.T) {
	for _, size := range []image.Point{{512, 512}, {4000, 10}, {10, 4000}, {1, 1}, {1280, 720}} {
		img := Letterbox(chart(size.X, size.Y), ViewWidth, ViewHeight)
		if img.Rect != image.Rect(0, 0, ViewWidth, ViewHeight) {
			t.Errorf("%v became %v", size, img.Rect)
		}
	}
}

func TestAFolderOfFingersLeavesOtherFilesAlone(t *testing.T) {
	dir := t.TempDir()
	finger := chart(40, 50)
	write(t, dir, "b.pgm", []byte("P5 3 2 255 \x01\x02\x03\x04\x05\x06"))
	write(t, dir, "a.PNG", encodePNG(t, finger))
	write(t, dir, "left-thumb.jpg", encodeJPEG(t, finger))
	for _, other := range []string{"x.wsq", "x.csv", "x.txt", "x.raw", ".hidden.png", "README"} {
		write(t, dir, other, []byte("no picture"))
	}
	files, err := LoadFingers(dir)
	if err != nil || len(files) != 3 || files[0].Name != "a.PNG" || files[1].Name != "b.pgm" {
		t.Fatalf("got %v, %v", files, err)
	}
	as := AssignFingers(files)
	if as[RightIndex].Name != "a.PNG" || as[LeftIndex].Name != "b.pgm" || as[LeftThumb].Name != "left-thumb.jpg" || len(as) != 3 {
		t.Errorf("assigned %v", as)
	}
	if _, err := LoadFingers(t.TempDir()); err == nil || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("an empty folder: %v", err)
	}
	write(t, dir, "c.pgm", []byte("P5 nonsense"))
	if _, err := LoadFingers(dir); err == nil || !strings.Contains(err.Error(), "c.pgm") {
		t.Errorf("a bad file: %v", err)
	}
}

func TestFilesLieOnTheGlassPixelForPixel(t *testing.T) {
	one, two := image.NewGray(image.Rect(0, 0, 416, 560)), image.NewGray(image.Rect(0, 0, 300, 400))
	for i := range one.Pix {
		one.Pix[i] = uint8(i * 7)
	}
	for i := range two.Pix {
		two.Pix[i] = uint8(i * 11)
	}
	glass, placed, err := PlaceFiles(map[Position]FingerFile{RightIndex: {Image: one}, LeftIndex: {Image: two}})
	if err != nil || len(placed) != 2 || placed[0].Position != LeftIndex {
		t.Fatal(placed, err)
	}
	for i, want := range []*image.Gray{two, one} {
		got := glass.SubImage(placed[i].Box).(*image.Gray)
		for y := range want.Rect.Dy() {
			if !bytes.Equal(got.Pix[y*got.Stride:][:want.Rect.Dx()], want.Pix[y*want.Stride:][:want.Rect.Dx()]) {
				t.Fatalf("row %d of %v differs", y, placed[i].Position)
			}
		}
	}
	wide := FingerFile{Image: image.NewGray(image.Rect(0, 0, 900, 400))}
	if _, _, err := PlaceFiles(map[Position]FingerFile{1: wide, 2: wide}); err == nil || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("too wide: %v", err)
	}
}

func TestFilesOfAnotherMaker(t *testing.T) {
	t.Attr("fixtures", "fingers/nist")
	dir := os.Getenv("LOKET_FIXTURES")
	if dir == "" {
		t.Skip("skipped: LOKET_FIXTURES names no folder of fixtures")
	}
	files, err := LoadFingers(filepath.Join(dir, "fingers/nist"))
	if err != nil || len(files) != 5 {
		t.Fatalf("%d fingers, %v", len(files), err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "fingers/nist", files[0].Name))
	if err != nil {
		t.Fatal(err)
	}
	if img := files[0].Image; !bytes.HasSuffix(raw, img.Pix) || img.Rect.Dx() != 416 {
		t.Error("a pixel changed on the way in")
	}
	p, err := LoadPhoto(filepath.Join(dir, "faces/astronaut.png"))
	if err != nil || p.View.Bounds().Dx() != 512 {
		t.Errorf("the portrait: %v", err)
	}
}
