package synth

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The independent witness is OpenCV, from Debian's python3-opencv and opencv-data.
const (
	python   = "/usr/bin/python3"
	cascades = "/usr/share/opencv4/"
)

func TestOpenCVFindsTheFacesThatAreThere(t *testing.T) {
	if err := exec.Command(python, "-c", "import cv2").Run(); err != nil {
		t.Skip("skipped: OpenCV is not here to judge the faces (hint: apt-get install python3-opencv opencv-data)")
	}
	if _, err := os.Stat(cascades + "haarcascades"); err != nil {
		t.Skip("skipped: OpenCV's cascades are not here (hint: apt-get install opencv-data)")
	}
	var scenes []Scene
	for who := range Person(4) {
		scenes = append(scenes, Scene{Who: 7000 + who})
	}
	scenes = append(scenes, Scene{Who: 7000, Nobody: true}, Scene{Who: 7001, Behind: true})
	faces := []int{1, 1, 1, 1, 0, 2}
	var input bytes.Buffer
	var portraits []*Portrait
	for _, s := range scenes {
		p := s.Render()
		portraits = append(portraits, p)
		input.Write(grey(p.View()).Pix)
	}
	cmd := exec.Command(python, "testdata/detect.py", fmt.Sprint(ViewWidth), fmt.Sprint(ViewHeight), cascades)
	cmd.Stdin, cmd.Stderr = &input, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(scenes) {
		t.Fatalf("OpenCV judged %d of %d pictures", len(lines), len(scenes))
	}
	for i, line := range lines {
		var def, alt2, lbp int
		var eyes [4]int
		n, _ := fmt.Sscan(line, &def, &alt2, &lbp, &eyes[0], &eyes[1], &eyes[2], &eyes[3])
		if def != faces[i] || alt2 != faces[i] || lbp != faces[i] {
			t.Errorf("scene %d: want %d faces of each cascade, got %d %d %d", i, faces[i], def, alt2, lbp)
		}
		if faces[i] != 1 {
			continue
		}
		if n != 7 {
			t.Errorf("scene %d: eyes were not both found: %q", i, line)
			continue
		}
		for k, truth := range portraits[i].Faces[0].Eyes {
			got := image.Pt(eyes[2*k], eyes[2*k+1]).Sub(image.Pt(truth.X*2/3, truth.Y*2/3))
			if got.X*got.X+got.Y*got.Y > 10*10 {
				t.Errorf("scene %d: eye %d found %v away from where it is", i, k, got)
			}
		}
	}
}

func grey(img image.Image) *image.Gray {
	out := image.NewGray(img.Bounds())
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.Pix[y*out.Stride+x] = color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y
		}
	}
	return out
}

func TestTheSameSceneIsTheSamePictureDrawnOrFromTheCache(t *testing.T) {
	l := &Library{Dir: t.TempDir()}
	s := Scene{Who: 3, Yaw: 10, Blur: 2, Seed: 4}
	first, err := l.Portrait(s)
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Portrait(s)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Image.Pix, second.Image.Pix) || fmt.Sprint(first.Faces) != fmt.Sprint(second.Faces) {
		t.Error("the cached picture differs")
	}
	if !bytes.Equal(first.Image.Pix, s.Render().Image.Pix) {
		t.Error("two renderings differ")
	}
}

func TestAPoseMovesTheTruth(t *testing.T) {
	straight := Scene{}.truth()[0].Eyes
	if d := straight[1].X - straight[0].X; d < 165 || d > 195 || straight[0].Y != straight[1].Y {
		t.Errorf("straight ahead the eyes are at %v", straight)
	}
	if tilted := (Scene{Roll: 15}).truth()[0].Eyes; tilted[1].Y <= tilted[0].Y {
		t.Errorf("rolled clockwise, the right eye of the picture is not lower: %v", tilted)
	}
	if far := (Scene{Distance: 2}).truth()[0].Eyes; far[1].X-far[0].X > 100 {
		t.Errorf("twice as far, the eyes are still apart: %v", far)
	}
	if n := len(Scene{Nobody: true}.truth()); n != 0 {
		t.Errorf("an empty booth has %d faces", n)
	}
}

func TestALowLightMakesADarkPicture(t *testing.T) {
	mean := func(s Scene) (sum int) {
		img := s.Render().Image
		for i := 0; i < len(img.Pix); i += 4 {
			sum += int(img.Pix[i+1])
		}
		return sum / (len(img.Pix) / 4)
	}
	if usual, dark := mean(Scene{Nobody: true}), mean(Scene{Nobody: true, Light: 0.1}); dark > usual/2 {
		t.Errorf("dark scene has mean %d, the usual one %d", dark, usual)
	}
}
