package cascade

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder is where Debian's opencv-data has its cascades.
const folder = "/usr/share/opencv4/"

func load(t testing.TB, name string) *Cascade {
	t.Helper()
	f, err := os.Open(folder + name)
	if err != nil {
		t.Skipf("no cascades to read: %v (hint: apt-get install opencv-data)", err)
	}
	defer f.Close()
	c, err := Read(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

func portrait(t testing.TB) *image.Gray {
	t.Helper()
	dir := os.Getenv("LOKET_FIXTURES")
	if dir == "" {
		t.Skip("LOKET_FIXTURES is not set: no portrait to look at")
	}
	f, err := os.Open(filepath.Join(dir, "faces", "astronaut.png"))
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	grey := image.NewGray(img.Bounds())
	draw.Draw(grey, grey.Rect, img, image.Point{}, draw.Src)
	return grey
}

// turned samples a picture turned by degrees about its middle and scaled.
func turned(src *image.Gray, degrees, scale float64) *image.Gray {
	b := src.Bounds()
	out := image.NewGray(image.Rect(0, 0, int(float64(b.Dx())*scale), int(float64(b.Dy())*scale)))
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			u, v := (float64(x)-float64(out.Rect.Dx())/2)/scale, (float64(y)-float64(out.Rect.Dy())/2)/scale
			p := image.Pt(int(cos*u-sin*v+float64(b.Dx())/2), int(sin*u+cos*v+float64(b.Dy())/2))
			if p.In(b) {
				out.SetGray(x, y, src.GrayAt(p.X, p.Y))
			}
		}
	}
	return out
}

// scene is bright and dark blobs, some of them arranged like eyes, brows and mouths.
func scene(seed uint32, w, h int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	next := func(n int) int { seed = seed*1664525 + 1013904223; return int(seed>>8) % n }
	for i := range img.Pix {
		img.Pix[i] = uint8(120 + next(9) + 60*(i%w)/w)
	}
	blob := func(x, y, rx, ry int, v uint8) {
		for j := max(y-ry, 0); j < min(y+ry, h); j++ {
			for i := max(x-rx, 0); i < min(x+rx, w); i++ {
				if (i-x)*(i-x)*ry*ry+(j-y)*(j-y)*rx*rx < rx*rx*ry*ry {
					img.SetGray(i, j, struct{ Y uint8 }{v})
				}
			}
		}
	}
	for range 8 {
		x, y, s := next(w), next(h), 12+next(h/6)
		blob(x, y, s, s*4/3, uint8(170+next(60)))
		for _, e := range []int{-1, 1} {
			blob(x+e*s*2/5, y-s/4, s/5+1, s/10+1, uint8(20+next(60)))
			blob(x+e*s*2/5, y-s/2, s/4+1, s/16+1, uint8(60+next(60)))
		}
		blob(x, y+s*3/5, s/3+1, s/9+1, uint8(70+next(50)))
		blob(x, y+s/5, s/9+1, s/4+1, uint8(200+next(40)))
	}
	return img
}

// oracle asks OpenCV for the rectangles in every picture, by one cascade.
func oracle(t *testing.T, name string, pictures []*image.Gray, step float64, neighbours int) [][]image.Rectangle {
	t.Helper()
	var in bytes.Buffer
	for _, p := range pictures {
		_ = binary.Write(&in, binary.LittleEndian, []uint32{uint32(p.Rect.Dx()), uint32(p.Rect.Dy())})
		in.Write(p.Pix)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/detect.py", folder+name, fmt.Sprint(step), fmt.Sprint(neighbours))
	cmd.Stdin = &in
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		if strings.Contains(complaint.String(), "No module named") {
			t.Skip("OpenCV is not here to compare with (hint: apt-get install python3-opencv)")
		}
		t.Fatalf("%v: %s", err, complaint.String())
	}
	found := make([][]image.Rectangle, len(pictures))
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var i, x, y, w, h int
		if _, err := fmt.Sscan(lines.Text(), &i, &x, &y, &w, &h); err != nil {
			t.Fatal(err)
		}
		found[i] = append(found[i], image.Rect(x, y, x+w, y+h))
	}
	return found
}

// differ counts rectangles of one list that the other has nothing within a pixel of.
func differ(a, b []image.Rectangle) (n int) {
	close := func(p, q int) bool { return max(p-q, q-p) <= 1 }
	for _, r := range a {
		if !slices.ContainsFunc(b, func(s image.Rectangle) bool {
			return close(r.Min.X, s.Min.X) && close(r.Min.Y, s.Min.Y) && close(r.Max.X, s.Max.X) && close(r.Max.Y, s.Max.Y)
		}) {
			n++
		}
	}
	return n
}

func compare(t *testing.T, pictures []*image.Gray) {
	for _, c := range []struct {
		name       string
		neighbours int
	}{
		{"lbpcascades/lbpcascade_frontalface_improved.xml", 3},
		{"lbpcascades/lbpcascade_frontalface.xml", 3},
		{"lbpcascades/lbpcascade_profileface.xml", 1},
		{"haarcascades/haarcascade_frontalface_alt2.xml", 3},
		{"haarcascades/haarcascade_frontalface_default.xml", 2},
		{"haarcascades/haarcascade_frontalface_alt_tree.xml", 1},
		{"haarcascades/haarcascade_eye.xml", 3},
		{"haarcascades/haarcascade_eye_tree_eyeglasses.xml", 3},
		{"haarcascades/haarcascade_lefteye_2splits.xml", 3},
		{"haarcascades/haarcascade_smile.xml", 3},
		{"haarcascades/haarcascade_frontalcatface_extended.xml", 1},
		{"haarcascades/haarcascade_licence_plate_rus_16stages.xml", 1},
	} {
		t.Run(filepath.Base(c.name), func(t *testing.T) {
			ours := load(t, c.name)
			theirs := oracle(t, c.name, pictures, 1.2, c.neighbours)
			raw := oracle(t, c.name, pictures, 1.2, 0)
			var d Detector
			sum := 0
			for i, p := range pictures {
				for _, way := range []struct {
					neighbours int
					want       []image.Rectangle
				}{{c.neighbours, theirs[i]}, {-1, raw[i]}} {
					var got []image.Rectangle
					for _, o := range d.Detect(ours, p, Options{Step: 1.2, Neighbours: way.neighbours}) {
						got = append(got, o.Rectangle)
					}
					sum += len(way.want)
					// rounding in another order may decide a window that lies on a threshold
					if more, fewer := differ(got, way.want), differ(way.want, got); more+fewer > len(way.want)/50 {
						t.Errorf("picture %d: %d rectangles, OpenCV has %d; %d are ours alone, %d theirs", i, len(got), len(way.want), more, fewer)
					}
				}
			}
			t.Logf("%d rectangles compared", sum)
		})
	}
}

func TestPortraitsGiveTheRectanglesOfOpenCV(t *testing.T) {
	t.Attr("fixtures", "faces")
	p := portrait(t)
	compare(t, []*image.Gray{p, turned(p, 10, 1), turned(p, -7, 1.3), turned(p, 3, 0.6)})
}

func TestScenesGiveTheRectanglesOfOpenCV(t *testing.T) {
	compare(t, []*image.Gray{scene(1, 320, 240), scene(2, 417, 333), scene(3, 640, 480)})
}
