package synth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"image"
	"image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	xdraw "golang.org/x/image/draw"
)

// The size of a portrait, and of the same scene in a live view.
const (
	PhotoWidth  = 1920
	PhotoHeight = 1080
	ViewWidth   = 1280
	ViewHeight  = 720
)

// Scene is what a camera sees. The zero value is person 0, sitting well before the lens: 170 px between the eyes, even
// light, eyes open, mouth shut.
type Scene struct {
	Who    Person
	Nobody bool // an empty booth

	Yaw, Pitch, Roll float64 // degrees: to the viewer's right, up, clockwise as seen
	EyesShut         float64 // 0 open to 1 shut
	MouthOpen        float64 // 0 shut to 1 wide open
	Distance         float64 // in usual distances; 0 means 1
	X, Y             float64 // how far off the usual place, in widths of the picture: right, down
	Light            float64 // in usual levels; 0 means 1
	LightFrom        float64 // degrees: where the main lamp stands, 0 in front, 90 at the viewer's right
	Out              [2]bool `json:",omitzero"` // the lamps at the left and the right of the picture that are out
	Blur             float64 // px, the standard deviation of what is out of focus
	Behind           bool    // a second person looks over a shoulder
	Seed             uint64  // of the picture's grain
}

// Portrait is a rendered scene and the truth about it.
type Portrait struct {
	Image *image.RGBA // PhotoWidth by PhotoHeight
	Faces []FaceAt    // nearest first
}

// FaceAt is where a face is in a portrait, in pixels.
type FaceAt struct {
	Eyes [2]image.Point  // the middles between the lids; the one at the left of the picture first
	Head image.Rectangle // of a head without hair
}

// View returns the portrait as the live view shows it: ViewWidth by ViewHeight.
func (p *Portrait) View() *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, ViewWidth, ViewHeight))
	xdraw.ApproxBiLinear.Scale(out, out.Rect, p.Image, p.Image.Rect, draw.Src, nil)
	return out
}

// Portrait returns the picture of a scene, from the cache where it was rendered before.
func (l *Library) Portrait(s Scene) (*Portrait, error) {
	if l.Dir == "" {
		return s.Render(), nil
	}
	name, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("rendering a scene: %w (hint: its numbers must be finite)", err)
	}
	h := fnv.New128a()
	_, _ = h.Write(name)
	path := filepath.Join(l.Dir, fmt.Sprintf("scene-%d-%x.png", sceneRecipe, h.Sum(nil)))
	if data, err := os.ReadFile(path); err == nil {
		img, err := png.Decode(bytes.NewReader(data))
		if rgba, ok := img.(*image.RGBA); err == nil && ok && rgba.Rect == image.Rect(0, 0, PhotoWidth, PhotoHeight) {
			return &Portrait{Image: rgba, Faces: s.truth()}, nil
		}
	}
	p := s.Render()
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&out, p.Image); err == nil {
		_ = writeWhole(path, out.Bytes()) // a cache: the next process renders it again
	}
	return p, nil
}

// sceneRecipe is part of a cached scene's name and changes with the recipe.
const sceneRecipe = 1

// sitter is one person before the lens.
type sitter struct {
	who              Person
	lens             lens
	head             turn
	eyesShut, mouth  float64
	yaw, pitch, roll float64
}

// usualDistance gives 170 px between eyes 63 mm apart.
const (
	usualDistance = 900 // mm from the lens to the middle of the head
	focal         = 170 * usualDistance / (2 * eyeX)
	mouthOpening  = 17   // mm, wide open
	eyeLine       = 0.42 // of the height of the picture
)

// sitters places everybody.
func (s Scene) sitters() []sitter {
	if s.Nobody {
		return nil
	}
	distance := s.Distance
	if !(distance > 0) {
		distance = 1
	}
	first := newSitter(s.Who, math.Max(distance, 0.35), s.X, s.Y, s.Yaw, s.Pitch, s.Roll)
	first.eyesShut, first.mouth = limit01(s.EyesShut), limit01(s.MouthOpen)
	if !s.Behind {
		return []sitter{first}
	}
	side := 0.27
	if s.X > 0.02 {
		side = -side
	}
	return []sitter{first, newSitter(s.Who+0x5eed, 1.35*math.Max(distance, 0.6), s.X+side, s.Y, 0, 0, 0)}
}

func limit01(v float64) float64 { return min(max(v, 0), 1) }

func newSitter(who Person, distance, x, y, yaw, pitch, roll float64) sitter {
	d := float32(usualDistance * distance)
	return sitter{who: who, yaw: yaw, pitch: pitch, roll: roll, head: newTurn(yaw, pitch, roll),
		lens: lens{focal: focal, cx: float32(PhotoWidth * (0.5 + x)), cy: float32(PhotoHeight*eyeLine + PhotoWidth*y), distance: d}}
}

// moveHead puts a point of the head where the pose puts it: the head turns on the neck.
func (s sitter) moveHead(p vec) vec {
	pivot := vec{0, -70, -25}
	return s.head.apply(p.sub(pivot)).add(pivot)
}

// moveJaw opens the mouth before the head is moved.
func (s sitter) moveJaw(p vec) vec {
	open := float32(mouthOpening * s.mouth)
	if open > 0 {
		lip := max(0, 1-square(p.x/26)) * smoothstep(mouthY, mouthY-3.2, p.y)
		lip *= lerp(0.7, 1, smoothstep(mouthY-30, mouthY-14, p.y))
		jaw := 0.7 * smoothstep(mouthY+5, mouthY-32, p.y)
		p.y -= open * max(lip, jaw) * smoothstep(0, 30, p.z)
	}
	return s.moveHead(p)
}

// truth is where the faces are.
func (s Scene) truth() []FaceAt {
	var out []FaceAt
	for _, who := range s.sitters() {
		at := func(p vec) image.Point {
			x, y, _ := who.lens.project(who.moveHead(p))
			return image.Pt(int(x+0.5), int(y+0.5))
		}
		f := FaceAt{Eyes: [2]image.Point{at(vec{-eyeX, 0.8, eyeZ}), at(vec{eyeX, 0.8, eyeZ})}}
		for _, p := range []vec{{-75, 20, 0}, {75, 20, 0}, {0, crownY, -10}, {0, chinY, 75}, {-50, 80, 40}, {50, 80, 40},
			{-40, -100, 50}, {40, -100, 50}} {
			q := at(p)
			f.Head = f.Head.Union(image.Rect(q.X, q.Y, q.X+1, q.Y+1))
		}
		out = append(out, f)
	}
	return out
}

// lamps are the lights of a scene.
func (s Scene) lamps() light {
	level := s.Light
	if !(level > 0) {
		level = 1
	}
	sin, cos := math.Sincos(radians(s.LightFrom - 24))
	return light{
		key: vec{float32(sin), 0.42, float32(cos)}.unit(), keyI: 0.8,
		fill: vec{0.55, 0.15, 0.85}.unit(), fillI: 0.22,
		sky: 0.3, ground: 0.14, level: float32(level),
	}
}

// meshes are the surfaces of a sitter.
func (s sitter) meshes(l light) []*mesh {
	look := s.who.look()
	l.eyesOpen, l.mouthOpen = float32(1-s.eyesShut), float32(mouthOpening*s.mouth)
	still := func(p vec) vec { return p.add(vec{0, 9, 0}) }
	skin := func(part string) skinPaint { return skinPaint{light: l, look: look, part: part} }
	out := []*mesh{
		newMesh(60, 50, body, still, s.lens, clothPaint{light: l, look: look}),
		newMesh(60, 30, neck, still, s.lens, skin("neck")),
		newMesh(300, 320, look.surface, s.moveJaw, s.lens, skin("head")),
	}
	if look.hair != Scarf {
		out = append(out, newMesh(40, 40, look.ear(-1), s.moveHead, s.lens, skin("ear")),
			newMesh(40, 40, look.ear(1), s.moveHead, s.lens, skin("ear")))
	}
	if look.hair != NoHair {
		p := hairPaint{light: l, look: look}
		out = append(out, newMesh(160, 160, p.hairSurface, s.moveHead, s.lens, p))
	}
	return out
}

// subpixels are where in a pixel it is sampled.
var subpixels = [4][2]float32{{0.125, 0.375}, {0.375, 0.875}, {0.625, 0.125}, {0.875, 0.625}}

// Render draws the scene. It uses every core and takes about a second on one.
func (s Scene) Render() *Portrait {
	lamps := s.lamps()
	var meshes []*mesh
	for _, who := range s.sitters() {
		meshes = append(meshes, who.meshes(lamps)...)
	}
	pixels := make([]vec, PhotoWidth*PhotoHeight)
	const rows = 60
	bands := make(chan int)
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			b := band{w: PhotoWidth, h: rows, hits: make([]hit, PhotoWidth*rows)}
			for b.top = range bands {
				b.render(pixels[b.top*PhotoWidth:][:PhotoWidth*rows], meshes, lamps)
			}
		})
	}
	for top := 0; top < PhotoHeight; top += rows {
		bands <- top
	}
	close(bands)
	wait.Wait()
	s.dim(pixels)
	if s.Blur > 0 {
		blurLight(pixels, math.Min(s.Blur, 60))
	}
	return &Portrait{Image: develop(pixels, lamps.level, s.Seed), Faces: s.truth()}
}

// render fills a band with light.
func (b *band) render(out []vec, meshes []*mesh, l light) {
	for _, sub := range subpixels {
		clear(b.hits)
		for _, m := range meshes {
			b.draw(m, 0.5-sub[0], 0.5-sub[1])
		}
		for i, h := range b.hits {
			c := wall(float32(i%b.w), float32(b.top+i/b.w))
			if h.paint != nil {
				c = h.paint.colour(h.rest, h.normal)
			}
			out[i] = out[i].add(c.times(0.25))
		}
	}
}

// wall is the plain back of the booth, a little lighter in the middle.
func wall(x, y float32) vec {
	dx, dy := (x-PhotoWidth/2)/PhotoWidth, (y-PhotoHeight*0.4)/PhotoWidth
	v := 0.56 - 0.22*(dx*dx+dy*dy)/0.25
	return vec{0.96 * v, v, 1.03 * v}
}

// dim takes away the light of lamps that are out. Each lights the wall beside it most; what is left then comes from the room.
func (s Scene) dim(pixels []vec) {
	if s.Out == [2]bool{} {
		return
	}
	const room = 0.1
	for i := range pixels {
		x, lit := float32(i%PhotoWidth)/PhotoWidth, float32(room)
		if !s.Out[0] {
			lit += (1 - room) * (1 - x)
		}
		if !s.Out[1] {
			lit += (1 - room) * x
		}
		pixels[i] = pixels[i].times(lit)
	}
}

// blurLight is a lens out of focus: a Gaussian, first along rows, then along columns.
func blurLight(pixels []vec, sigma float64) {
	radius := int(3*sigma + 1)
	weights := make([]float32, 2*radius+1)
	var sum float32
	for i := range weights {
		d := float64(i - radius)
		weights[i] = float32(math.Exp(-d * d / (2 * sigma * sigma)))
		sum += weights[i]
	}
	run := func(start, step, n int) {
		line := make([]vec, n)
		for i := range n {
			line[i] = pixels[start+i*step]
		}
		for i := range n {
			var acc vec
			for k, w := range weights {
				acc = acc.add(line[min(max(i+k-radius, 0), n-1)].times(w))
			}
			pixels[start+i*step] = acc.times(1 / sum)
		}
	}
	for y := range PhotoHeight {
		run(y*PhotoWidth, 1, PhotoWidth)
	}
	for x := range PhotoWidth {
		run(x, PhotoWidth, PhotoHeight)
	}
}

// develop turns light into sRGB with the grain of a sensor.
func develop(pixels []vec, level float32, seed uint64) *image.RGBA {
	var tone [4096]float32
	for i := range tone {
		v := float64(i) / float64(len(tone)-1)
		v = v * (1 + 0.12*v) / 1.12 // a soft shoulder
		if v <= 0.0031308 {
			tone[i] = float32(255 * 12.92 * v)
		} else {
			tone[i] = float32(255 * (1.055*math.Pow(v, 1/2.4) - 0.055))
		}
	}
	img := image.NewRGBA(image.Rect(0, 0, PhotoWidth, PhotoHeight))
	grain := mix(seed ^ 0x67726169)
	for i, c := range pixels {
		grain = mix(grain)
		g := float32(grain&0xff+grain>>8&0xff+grain>>16&0xff)/255 - 1.5
		for k, v := range [3]float32{c.x, c.y, c.z} {
			at := clamp(v*level*1.06, 0, 1) * float32(len(tone)-1)
			img.Pix[4*i+k] = uint8(clamp(tone[int(at)]+1.6*g, 0, 255))
		}
		img.Pix[4*i+3] = 255
	}
	return img
}
