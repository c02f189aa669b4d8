package synth

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"

	xdraw "golang.org/x/image/draw"

	"loket/kiosk/biometric/pgm"
)

// Bounds of a picture that is read from a file.
const (
	maxFile   = 64 << 20 // bytes
	maxSide   = pgm.MaxSide
	maxPixels = pgm.MaxPixels
)

// Decode reads a picture in PNG, JPEG or PGM, told apart by its first bytes. Its size is bounded before memory is taken.
func Decode(data []byte) (image.Image, error) {
	decode, config := jpeg.Decode, jpeg.DecodeConfig
	switch {
	case pgm.Is(data):
		return pgm.Decode(data)
	case bytes.HasPrefix(data, []byte("\x89PNG")):
		decode, config = png.Decode, png.DecodeConfig
	case !isJPEG(data):
		return nil, errors.New("reading a picture: neither PNG, JPEG nor PGM (hint: convert it to PNG)")
	}
	c, err := config(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("reading a picture: %w", err)
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxSide || c.Height > maxSide || c.Width*c.Height > maxPixels {
		return nil, fmt.Errorf("reading a picture: %dx%d is too large (hint: scale it down below %d pixels)", c.Width, c.Height, maxPixels)
	}
	img, err := decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("reading a picture: %w", err)
	}
	return img, nil
}

func isJPEG(data []byte) bool { return bytes.HasPrefix(data, []byte{0xff, 0xd8, 0xff}) }

// readFile reads a file of bounded size.
func readFile(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxFile {
		return nil, fmt.Errorf("%s is no picture file of at most %d MiB", path, maxFile>>20)
	}
	return os.ReadFile(path)
}

// Photo is a portrait from a file, held before the lens.
type Photo struct {
	JPEG []byte      // a JPEG file byte for byte; anything else as one JPEG of quality 95 in its own size
	View image.Image // upright, for the live view
}

// LoadPhoto reads a portrait in PNG, JPEG or PGM.
func LoadPhoto(path string) (Photo, error) {
	data, err := readFile(path)
	if err != nil {
		return Photo{}, fmt.Errorf("loading the photo: %w (hint: name a PNG, JPEG or PGM file)", err)
	}
	img, err := Decode(data)
	if err != nil {
		return Photo{}, fmt.Errorf("loading the photo %s: %w", path, err)
	}
	if isJPEG(data) {
		return Photo{JPEG: data, View: upright(img, exifOrientation(data))}, nil
	}
	img = overWhite(img)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 95}); err != nil {
		return Photo{}, fmt.Errorf("loading the photo %s: %w", path, err)
	}
	return Photo{JPEG: out.Bytes(), View: img}, nil
}

// overWhite lays a picture on white where it is transparent. A grey picture stays grey.
func overWhite(img image.Image) image.Image {
	switch img := img.(type) {
	case *image.Gray:
		return img
	case *image.Gray16:
		out := image.NewGray(img.Rect.Sub(img.Rect.Min))
		draw.Draw(out, out.Rect, img, img.Rect.Min, draw.Src)
		return out
	}
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(out, out.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(out, out.Rect, img, b.Min, draw.Over)
	return out
}

// Letterbox scales a picture into w by h, as large as it fits, on neutral grey.
func Letterbox(img image.Image, w, h int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(out, out.Rect, image.NewUniform(color.Gray{Y: 0x90}), image.Point{}, draw.Src)
	b := img.Bounds()
	if b.Empty() {
		return out
	}
	fw, fh := w, max(1, b.Dy()*w/b.Dx())
	if fh > h {
		fw, fh = max(1, b.Dx()*h/b.Dy()), h
	}
	at := image.Rect(0, 0, fw, fh).Add(image.Pt((w-fw)/2, (h-fh)/2))
	xdraw.CatmullRom.Scale(out, at, img, b, draw.Over, nil)
	return out
}

// exifOrientation returns how a JPEG says that it is to be turned, 1 to 8 (Exif 2.32, tag 0112), and 1 where it doesn't.
func exifOrientation(data []byte) int {
	for at := 2; at+4 <= len(data) && data[at] == 0xff && data[at+1] != 0xda; {
		n := int(binary.BigEndian.Uint16(data[at+2:]))
		if n < 2 || at+2+n > len(data) {
			break
		}
		if body := data[at+4 : at+2+n]; data[at+1] == 0xe1 && bytes.HasPrefix(body, []byte("Exif\x00\x00")) {
			return tiffOrientation(body[6:])
		}
		at += 2 + n
	}
	return 1
}

// tiffOrientation looks the tag up in the first directory of a TIFF block.
func tiffOrientation(t []byte) int {
	if len(t) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	if t[0] == 'M' {
		order = binary.BigEndian
	}
	dir := order.Uint32(t[4:])
	if uint64(dir)+2 > uint64(len(t)) {
		return 1
	}
	entries := t[dir+2:]
	for range order.Uint16(t[dir:]) {
		if len(entries) < 12 {
			break
		}
		if v := int(order.Uint16(entries[8:])); order.Uint16(entries) == 0x0112 && v >= 1 && v <= 8 {
			return v
		}
		entries = entries[12:]
	}
	return 1
}

// upright undoes an Exif orientation.
func upright(img image.Image, orientation int) image.Image {
	if orientation == 1 {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	size := image.Rect(0, 0, w, h)
	if orientation >= 5 {
		size = image.Rect(0, 0, h, w)
	}
	out := image.NewRGBA(size)
	for y := range size.Dy() {
		for x := range size.Dx() {
			sx, sy := x, y
			if orientation >= 5 {
				sx, sy = y, x
			}
			switch orientation {
			case 2, 3, 7, 8:
				sx = w - 1 - sx
			}
			switch orientation {
			case 3, 4, 6, 7:
				sy = h - 1 - sy
			}
			out.Set(x, y, img.At(b.Min.X+sx, b.Min.Y+sy))
		}
	}
	return out
}

// FingerFile is a fingerprint from a file.
type FingerFile struct {
	Name  string // of the file
	Image *image.Gray
}

// LoadFinger reads a fingerprint in PGM, PNG or JPEG; a grey one comes out pixel for pixel.
func LoadFinger(path string) (FingerFile, error) {
	data, err := readFile(path)
	if err != nil {
		return FingerFile{}, fmt.Errorf("loading a finger: %w", err)
	}
	img, err := Decode(data)
	if err != nil {
		return FingerFile{}, fmt.Errorf("loading the finger %s: %w", path, err)
	}
	img = overWhite(img)
	gray, ok := img.(*image.Gray)
	if !ok {
		gray = image.NewGray(img.Bounds())
		draw.Draw(gray, gray.Rect, img, img.Bounds().Min, draw.Src)
	}
	if gray.Rect.Dx() > GlassWidth || gray.Rect.Dy() > GlassHeight {
		return FingerFile{}, fmt.Errorf("loading the finger %s: %dx%d px is larger than the glass, %dx%d (hint: cut it to one finger tip at %d ppi)",
			path, gray.Rect.Dx(), gray.Rect.Dy(), GlassWidth, GlassHeight, PPI)
	}
	return FingerFile{Name: filepath.Base(path), Image: gray}, nil
}

// LoadFingers reads the .pgm, .png, .jpg and .jpeg files of a folder in the order of their names and leaves every other
// file alone.
func LoadFingers(folder string) ([]FingerFile, error) {
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("loading fingers: %w (hint: name a folder of PGM, PNG or JPEG files)", err)
	}
	var out []FingerFile
	for _, e := range entries {
		ext := strings.ToLower(filepath.Ext(e.Name()))
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !slices.Contains([]string{".pgm", ".png", ".jpg", ".jpeg"}, ext) {
			continue
		}
		f, err := LoadFinger(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("loading fingers: %s holds no .pgm, .png or .jpg file (hint: name a folder with one image a finger)", folder)
	}
	return out, nil
}

// fileOrder is which finger a file stands for that is not named after one.
var fileOrder = []Position{RightIndex, LeftIndex, RightThumb, LeftThumb, RightMiddle, LeftMiddle, RightRing, LeftRing,
	RightLittle, LeftLittle}

// AssignFingers decides which file is which finger. A file that is named after a finger ("right-index.pgm",
// "left-thumb.png") is that one; the others are, in their order, the right and left index, thumb, middle, ring and little
// finger, as far as those are free. Files beyond ten are left over.
func AssignFingers(files []FingerFile) map[Position]FingerFile {
	out := map[Position]FingerFile{}
	var rest []FingerFile
	for _, f := range files {
		base := strings.ToLower(strings.TrimSuffix(f.Name, filepath.Ext(f.Name)))
		p, err := ParsePosition(base)
		if _, taken := out[p]; err != nil || taken {
			rest = append(rest, f)
			continue
		}
		out[p] = f
	}
	for _, p := range fileOrder {
		if _, taken := out[p]; !taken && len(rest) > 0 {
			out[p], rest = rest[0], rest[1:]
		}
	}
	return out
}

// PlaceFiles lays fingers from files on the glass, left to right as the hands lie, without touching a pixel of them. The
// boxes are the files' own frames.
func PlaceFiles(fingers map[Position]FingerFile) (*image.Gray, []Placed, error) {
	var slots []Position
	var width int
	for p, f := range fingers {
		slots = append(slots, p)
		width += f.Image.Rect.Dx()
	}
	slices.SortFunc(slots, func(a, b Position) int { return order(a) - order(b) })
	if width > GlassWidth {
		return nil, nil, fmt.Errorf("placing %d finger files: together they are %d px wide and the glass is %d (hint: present fewer fingers at once, or use narrower files)",
			len(slots), width, GlassWidth)
	}
	glass := newGlass(GlassWidth, GlassHeight)
	gap := (GlassWidth - width) / (len(slots) + 1)
	var placed []Placed
	x := gap
	for _, p := range slots {
		img := fingers[p].Image
		w, h := img.Rect.Dx(), img.Rect.Dy()
		if h > GlassHeight {
			return nil, nil, fmt.Errorf("placing %s: it is %d px high and the glass is %d (hint: cut it to the finger tip)", fingers[p].Name, h, GlassHeight)
		}
		box := image.Rect(0, 0, w, h).Add(image.Pt(x, (GlassHeight-h)/2))
		draw.Draw(glass, box, img, img.Rect.Min, draw.Src)
		placed = append(placed, Placed{Position: p, Box: box})
		x += w + gap
	}
	return glass, placed, nil
}
