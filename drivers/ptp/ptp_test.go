package ptp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/driverstest"
	"loket/drivers/ptp"
	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
	"loket/firmware-sim/ptpcam"
)

// picture makes a JPEG with detail in it.
func picture(width, height int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			v := uint8((x*x/64+y*3)/4) + uint8(r.IntN(24))
			m.Set(x, y, color.RGBA{v, v / 2, 255 - v, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// pictures are made once: a still and three live view frames.
var pictures = sync.OnceValue(func() ptpcam.Scene {
	return ptpcam.Scene{
		Still:  picture(800, 600, 1),
		Frames: [][]byte{picture(1280, 720, 2), picture(1280, 720, 3), picture(1280, 720, 4)},
	}
})

func scene(t testing.TB) ptpcam.Scene {
	t.Helper()
	s := pictures()
	if len(s.Still) == 0 || len(s.Frames) != 3 {
		t.Fatal("no pictures")
	}
	return s
}

func camera(s ptpcam.Scene) *ptpcam.Device {
	d := ptpcam.New(ptpcam.Options{})
	d.Show(s)
	return d
}

// quick is a camera for tests that count transfers over a network: it wastes no time between them.
func quick(s ptpcam.Scene) *ptpcam.Device {
	d := ptpcam.New(ptpcam.Options{Exposure: 2 * time.Millisecond, Rate: 500})
	d.Show(s)
	return d
}

func open(t testing.TB, bus usb.Bus) drivers.Camera {
	t.Helper()
	return openAs(t, ptp.Driver(), bus)
}

var errEnough = errors.New("seen enough")

// look runs the live view for some frames and checks that each is one of the scene's.
func look(ctx context.Context, cam drivers.Camera, frames int, s ptpcam.Scene) error {
	err := cam.Frames(ctx, func(f drivers.Frame) error {
		known := false
		for _, want := range s.Frames {
			known = known || bytes.Equal(f.JPEG, want)
		}
		if !known {
			return fmt.Errorf("frame %d is none of the scene's: %w", f.Sequence, drivers.ErrCrashed)
		}
		if frames--; frames <= 0 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func TestSuite(t *testing.T) {
	s := scene(t)
	driverstest.Run(t, driverstest.Config{
		Driver: ptp.Driver(),
		New:    func() driverstest.Subject { return driverstest.Subject{Gadget: quick(s)} },
		Capture: func(ctx context.Context, dev drivers.Device) (drivers.Image, error) {
			if err := look(ctx, dev.(drivers.Camera), 2, s); err != nil {
				return drivers.Image{}, err
			}
			return dev.(drivers.Camera).Still(ctx)
		},
		Reference:  drivers.Image{Encoded: s.Still, MediaType: "image/jpeg"},
		NoChecksum: true,
	})
}

func TestNoPhotographStaysOnTheCamera(t *testing.T) {
	s := scene(t)
	synctest.Test(t, func(t *testing.T) {
		d := camera(s)
		cam := open(t, usbtest.Attach(d))
		if _, err := cam.Still(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := d.Stored(); n != 0 {
			t.Errorf("%d photographs are in the store after a capture", n)
		}
	})
}

func TestACameraTellsHowLargeItsPhotographsAre(t *testing.T) {
	s := scene(t)
	synctest.Test(t, func(t *testing.T) {
		cam := open(t, usbtest.Attach(camera(s)))
		if w, h, err := cam.(drivers.StillSizer).StillSize(t.Context()); err != nil || w != 800 || h != 600 {
			t.Errorf("%d x %d, %v", w, h, err)
		}
		document := openAs(t, ptp.Options{Document: 1}.Driver(), usbtest.Attach(camera(s)))
		if _, _, err := document.(drivers.StillSizer).StillSize(t.Context()); !errors.Is(err, errors.ErrUnsupported) || drivers.Verdict(err) != "" {
			t.Errorf("of a document: %v", err)
		}
	})
}

func TestLiveViewIsPaced(t *testing.T) {
	s := scene(t)
	synctest.Test(t, func(t *testing.T) {
		cam := open(t, usbtest.Attach(camera(s)))
		start := time.Now()
		if err := look(t.Context(), cam, 31, s); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 990*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("30 frames took %v", took)
		}
	})
}
