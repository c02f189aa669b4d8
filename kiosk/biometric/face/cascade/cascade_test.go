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
// The first list of each picture has what was joined, the second every hit.
func oracle(t *testing.T, name string, pictures []*image.Gray, step float64, neighbours int) [][2][]image.Rectangle {
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
	found := make([][2][]image.Rectangle, len(pictures))
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var i, way, x, y, w, h int
		if _, err := fmt.Sscan(lines.Text(), &i, &way, &x, &y, &w, &h); err != nil {
			t.Fatal(err)
		}
		found[i][way] = append(found[i][way], image.Rect(x, y, x+w, y+h))
	}
	return found
}

// differ counts rectangles of one list that the other lacks.
func differ(a, b []image.Rectangle) (n int) {
	for _, r := range a {
		if !slices.Contains(b, r) {
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
		{"haarcascades/haarcascade_frontalface_alt2.xml", 3},
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
			var d Detector
			sum := 0
			for i, p := range pictures {
				for _, way := range []struct {
					neighbours int
					want       []image.Rectangle
				}{{c.neighbours, theirs[i][0]}, {-1, theirs[i][1]}} {
					var got []image.Rectangle
					for _, o := range d.Detect(ours, p, Options{Step: 1.2, Neighbours: way.neighbours}) {
						got = append(got, o.Rectangle)
					}
					sum += len(way.want)
					if more, fewer := differ(got, way.want), differ(way.want, got); more+fewer > 0 {
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
	compare(t, []*image.Gray{turned(p, 0, 0.75), turned(p, 10, 0.6)})
}

func TestScenesGiveTheRectanglesOfOpenCV(t *testing.T) {
	compare(t, []*image.Gray{scene(1, 240, 200), scene(2, 317, 233), scene(103, 239, 181), scene(109, 317, 223)})
}

const newLBP = `<?xml version="1.0"?><opencv_storage><cascade type_id="opencv-cascade-classifier"><stageType>BOOST</stageType>
<featureType>LBP</featureType><height>9</height><width>9</width><stages><_><maxWeakCount>1</maxWeakCount><stageThreshold>0.5</stageThreshold>
<weakClassifiers><_><internalNodes>0 -1 0 -1 -1 -1 -1 -1 -1 -1 2147483647</internalNodes><leafValues>1. -1.</leafValues></_></weakClassifiers></_></stages>
<features><_><rect>0 0 3 3</rect></_></features></cascade></opencv_storage>`

const newHaar = `<opencv_storage><cascade type_id="opencv-cascade-classifier"><stageType>BOOST</stageType><featureType>HAAR</featureType>
<height>8</height><width>8</width><stages><_><stageThreshold>-1.</stageThreshold><weakClassifiers><_><internalNodes>0 1 0 0.1 -1 -2 1 0.2</internalNodes>
<leafValues>1. 0. -1.</leafValues></_></weakClassifiers></_></stages><features><_><rects><_>0 0 8 4 -1.</_><_>0 2 8 2 2.</_></rects></_>
<_><rects><_>4 0 3 3 -1.</_><_>4 1 1 1 3.</_></rects><tilted>1</tilted></_></features></cascade></opencv_storage>`

const oldHaar = `<opencv_storage><some_name type_id="opencv-haar-classifier"><size>6 6</size><stages><_><trees><_><_><feature><rects><_>0 0 6 4 -1.</_>
<_>0 2 6 2 2.</_></rects><tilted>0</tilted></feature><threshold>0.1</threshold><left_val>1.</left_val><right_node>1</right_node></_>
<_><feature><rects><_>0 0 4 6 -1.</_></rects><tilted>0</tilted></feature><threshold>0.1</threshold><left_val>0.5</left_val><right_val>-1.</right_val></_></_></trees>
<stage_threshold>0.</stage_threshold><parent>-1</parent><next>-1</next></_></stages></some_name></opencv_storage>`

func TestBothFormatsAreRead(t *testing.T) {
	for name, text := range map[string]string{"patterns": newLBP, "features": newHaar, "the older format": oldHaar} {
		c, err := Read(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var d Detector
		d.Detect(c, scene(4, 40, 30), Options{})
	}
}

func TestWhatIsNoCascadeIsRefusedWithAReason(t *testing.T) {
	for _, c := range []struct{ why, text, says string }{
		{"nothing", "", "EOF"},
		{"another file", "<opencv_storage><x/></opencv_storage>", "no cascade in this file"},
		{"outside", strings.Replace(newLBP, "0 0 3 3", "1 0 3 3", 1), "outside the window"},
		{"outside, tilted", strings.Replace(newHaar, "4 0 3 3", "2 0 3 3", 1), "outside the window"},
		{"overflow", strings.Replace(newLBP, "0 0 3 3", "0 0 4611686018427387904 3", 1), "outside the window"},
		{"overflow of a place", strings.Replace(newLBP, "0 0 3 3", "9223372036854775807 0 3 3", 1), "outside the window"},
		{"a loop", strings.Replace(newHaar, "0 1 0 0.1 -1 -2", "0 1 0 0.1 1 -2", 1), "comes earlier"},
		{"no such leaf", strings.Replace(newHaar, "0 1 0 0.1 -1 -2", "0 1 0 0.1 -1 -9", 1), "not there"},
		{"no such feature", strings.Replace(newHaar, "-1 -2 1 0.2", "-1 -2 7 0.2", 1), "feature 7 of 2"},
		{"a word", strings.Replace(newHaar, "0 2 8 2 2.", "0 2 8 two 2.", 1), `"two" is no number`},
		{"a huge window", strings.Replace(newLBP, "<width>9", "<width>99999", 1), "99999 x 9 pixels"},
		{"other features", strings.Replace(newLBP, "LBP", "HOG", 1), `type "HOG"`},
		{"a dead end", strings.Replace(oldHaar, "<right_node>1</right_node>", "", 1), "leads nowhere"},
		{"too long", newLBP[:200] + strings.Repeat(" ", MaxBytes), "more than"},
	} {
		if _, err := Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.why, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(newLBP))
	f.Add([]byte(newHaar))
	f.Add([]byte(oldHaar))
	picture := scene(5, 48, 40)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		var d Detector
		for _, o := range d.Detect(c, picture, Options{Step: 1.5, Neighbours: -1}) {
			if o.Dx() < c.Width || o.Dy() < c.Height || !o.In(picture.Rect) {
				t.Errorf("%v in a picture of %v", o, picture.Rect)
			}
		}
	})
}

func BenchmarkDetectFrame(b *testing.B) {
	c, picture := load(b, "lbpcascades/lbpcascade_frontalface_improved.xml"), scene(3, 640, 360)
	var d Detector
	for b.Loop() {
		d.Detect(c, picture, Options{Step: 1.2, MinSide: 36})
	}
}
