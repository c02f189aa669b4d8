package subject

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"sync"

	"loket/firmware-sim/ptpcam"
	"loket/firmware-sim/synth"
)

// face follows the camera: a person sits down when it looks.
func (s *Subject) face(ctx context.Context) <-chan struct{} {
	told := s.opt.Camera.Changed()
	watching := s.opt.Camera.Watching()
	if s.note(Camera, watching) {
		if err := s.NextPerson(ctx); err != nil {
			s.fail("fetching the next person", err)
		}
	}
	if !s.asked(watching) || s.react(ctx) != nil {
		return told
	}
	told = s.opt.Camera.Changed()
	if !s.asked(s.opt.Camera.Watching()) {
		return nil
	}
	if err := s.sit(); err != nil {
		s.fail("sitting down", err)
		until(ctx, told)
	}
	return nil
}

// asked reports whether the camera looks at an empty seat that the person would take, and keeps the stopwatch.
func (s *Subject) asked(watching bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	vacant := watching && !s.sitting && !s.unplug[Camera]
	s.human.waits(Camera, vacant)
	return vacant && !s.away
}

// sit puts the person before the lens, in the present pose, unless they have left.
func (s *Subject) sit() error {
	s.seat.Lock()
	defer s.seat.Unlock()
	var pose synth.Scene
	var away bool
	s.look(func() { pose, away = s.pose, s.away })
	if away {
		return nil
	}
	scene, err := s.scene(s.who(), pose)
	if err != nil {
		return err
	}
	s.opt.Camera.Show(scene)
	s.update(func() {
		s.sitting = true
		s.human.waits(Camera, false)
	})
	return nil
}

// rise leaves the seat empty.
func (s *Subject) rise() error {
	s.seat.Lock()
	defer s.seat.Unlock()
	s.update(func() { s.sitting = false })
	return s.showBooth()
}

// empty shows the empty seat, where nobody sits yet.
func (s *Subject) empty() error {
	s.seat.Lock()
	defer s.seat.Unlock()
	var sitting bool
	s.look(func() { sitting = s.sitting })
	if sitting {
		return nil
	}
	return s.showBooth()
}

// showBooth shows the lens nobody. The seat is held.
func (s *Subject) showBooth() error {
	var out [2]bool
	s.look(func() { out = s.out })
	scene, err := s.render(synth.Scene{Nobody: true, Out: out})
	if err != nil {
		return err
	}
	s.opt.Camera.Show(scene)
	return nil
}

// scene is what the lens sees of a person.
func (s *Subject) scene(who synth.Person, pose synth.Scene) (ptpcam.Scene, error) {
	if s.opt.Photo != nil {
		return s.scenes.get(synth.Scene{}, func() (ptpcam.Scene, error) {
			view, err := encode(synth.Letterbox(s.opt.Photo.View, synth.ViewWidth, synth.ViewHeight), 90)
			return ptpcam.Scene{Still: s.opt.Photo.JPEG, Frames: [][]byte{view}}, err
		})
	}
	pose.Who = who
	s.look(func() { pose.Out = s.out })
	return s.render(pose)
}

// light switches lamps of the booth off and on, and shows what the lens sees then.
func (s *Subject) light(out [2]bool) error {
	var sitting bool
	s.update(func() {
		s.out = out
		sitting = s.sitting
	})
	if sitting {
		return s.sit()
	}
	return s.empty()
}

// render draws a scene and the frames of its live view, or takes them from before.
func (s *Subject) render(scene synth.Scene) (ptpcam.Scene, error) {
	return s.scenes.get(scene, func() (ptpcam.Scene, error) {
		p, err := s.opt.Library.Portrait(scene)
		if err != nil {
			return ptpcam.Scene{}, err
		}
		still, err := encode(p.Image, 95)
		if err != nil {
			return ptpcam.Scene{}, err
		}
		frames, err := sway(p.View(), scene.Nobody)
		return ptpcam.Scene{Still: still, Frames: frames}, err
	})
}

// sway makes a live view of a picture: nobody sits as still as a photograph.
func sway(view *image.RGBA, nobody bool) ([][]byte, error) {
	offsets := []image.Point{{0, 0}, {1, 0}, {1, 1}, {2, 1}, {1, 1}, {0, 1}, {-1, 0}, {-1, -1}}
	if nobody {
		offsets = offsets[:1]
	}
	var frames [][]byte
	moved := image.NewRGBA(view.Rect)
	for _, by := range offsets {
		draw.Draw(moved, moved.Rect, view, image.Point{}, draw.Src) // the edge stays where a shift leaves it bare
		draw.Draw(moved, moved.Rect.Add(by), view, image.Point{}, draw.Src)
		frame, err := encode(moved, 85)
		if err != nil {
			return nil, err
		}
		frames = append(frames, frame)
	}
	return frames, nil
}

func encode(img image.Image, quality int) ([]byte, error) {
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("encoding a picture: %w", err)
	}
	return out.Bytes(), nil
}

// sceneCache keeps the last few scenes: a person is drawn once for a live view and many photographs.
type sceneCache struct {
	mu    sync.Mutex
	keys  []synth.Scene // oldest first
	known map[synth.Scene]ptpcam.Scene
}

// get returns a scene and makes it where it is new. One is made at a time.
func (c *sceneCache) get(key synth.Scene, build func() (ptpcam.Scene, error)) (ptpcam.Scene, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.known[key]; ok {
		return s, nil
	}
	s, err := build()
	if err != nil {
		return s, err
	}
	if c.known == nil {
		c.known = map[synth.Scene]ptpcam.Scene{}
	}
	const most = 8
	if len(c.keys) >= most {
		delete(c.known, c.keys[0])
		c.keys = c.keys[1:]
	}
	c.keys, c.known[key] = append(c.keys, key), s
	return s, nil
}

// strike brings the person into a pose, on top of the poses before it, and shows it where they sit.
func (s *Subject) strike(pose Pose, degrees float64) error {
	if s.opt.Photo != nil && pose != Look {
		return errors.New("a photo can't change its pose (hint: leave the photo out)")
	}
	var sitting bool
	s.update(func() {
		s.away = false
		s.pose = posed(s.pose, pose, degrees)
		sitting = s.sitting || s.opt.Alone
	})
	if !sitting {
		return nil
	}
	return s.sit()
}

func posed(p synth.Scene, pose Pose, degrees float64) synth.Scene {
	switch pose {
	case Look:
		return synth.Scene{}
	case Turn:
		p.Yaw = degrees
	case Tilt:
		p.Roll = degrees
	case Nod:
		p.Pitch = degrees
	case EyesShut:
		p.EyesShut = 1
	case MouthOpen:
		p.MouthOpen = 0.9
	case TooFar:
		p.Distance = 2.2
	case TooClose:
		p.Distance = 0.5
	case OffCentre:
		p.X = 0.38
	case Dark:
		p.Light = 0.1
	case Bright:
		p.Light = 5
	case SideLight:
		p.LightFrom = 85
	case Blurred:
		p.Blur = 7
	case TwoPeople:
		p.Behind = true
	}
	return p
}
