//go:build cgo && linux

package libusb_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"os/exec"
	"sync"
	"testing"
	"time"

	"loket/drivers/usb"
	"loket/firmware-sim/nb1010"
	"loket/firmware-sim/platen"
	"loket/firmware-sim/synth"
	"loket/firmware-sim/uru4000"
)

// foreign captures one finger with libfprint from the kernel's device. It is a program of its own: no line of ours is in it.
func foreign(t *testing.T, driver string, g usb.Gadget, lies *platen.Platen) *image.Gray {
	t.Helper()
	witness, err := exec.LookPath("fprint-witness")
	if err != nil {
		t.Skip("fprint-witness is not here (hint: make test-foreign builds it with Debian's libfprint-2-dev)")
	}
	attach(t, g)
	var complaints bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var person sync.WaitGroup
	defer person.Wait()
	person.Go(func() { liftWhenAsked(ctx, lies) })
	defer cancel()
	cmd := exec.CommandContext(ctx, witness, driver)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("libfprint: %v\n%s", err, &complaints)
	}
	var width, height, most int
	if _, err := fmt.Fscanf(bytes.NewReader(out), "P5 %d %d %d\n", &width, &height, &most); err != nil || len(out) < width*height {
		t.Fatalf("libfprint gives %d bytes, %v", len(out), err)
	}
	return &image.Gray{Pix: out[len(out)-width*height:], Stride: width, Rect: image.Rect(0, 0, width, height)}
}

// liftWhenAsked takes the finger off as soon as the reader asks for it: some drivers end a capture only then.
func liftWhenAsked(ctx context.Context, lies *platen.Platen) {
	for {
		changed := lies.Changed()
		if lies.Guidance().Lift {
			lies.Lift()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// ridges is a finger that fills a sensor: libfprint takes no picture without one.
func ridges(t *testing.T) *image.Gray {
	t.Helper()
	master, err := new(synth.Library).Master(synth.Person(7).Finger(synth.RightIndex))
	if err != nil {
		t.Fatal(err)
	}
	return master.Impress(synth.Touch{}, 1)
}

// cut takes the middle of a picture.
func cut(m *image.Gray, width, height int) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, width, height))
	corner := m.Rect.Max.Sub(out.Rect.Max).Div(2)
	for y := range height {
		copy(out.Pix[y*width:][:width], m.Pix[m.PixOffset(corner.X, corner.Y+y):])
	}
	return out
}

// same checks that two pictures are one, pixel for pixel.
func same(t *testing.T, got, want *image.Gray) {
	t.Helper()
	if got.Rect != want.Rect {
		t.Fatalf("the pictures are %v and %v", got.Rect, want.Rect)
	}
	wrong := 0
	for i := range want.Pix {
		if got.Pix[i] != want.Pix[i] {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d pixels differ", wrong, len(want.Pix))
	}
}

func TestAForeignDriverCapturesWhatOurReadersShow(t *testing.T) {
	needKernel(t)
	finger := ridges(t)
	t.Run("NB-1010-U", func(t *testing.T) {
		d, shown := nb1010.New(nb1010.Options{}), cut(finger, nb1010.Width, nb1010.Height)
		d.Present(nb1010.Presentation{Image: shown})
		same(t, foreign(t, "nb1010", d, d.Platen), shown)
	})
	for name, key := range map[string]uint32{"U.are.U 4500": 0x2f6b1d47, "U.are.U 4500 with a key of the other kind": 0xdeadbeef} {
		t.Run(name, func(t *testing.T) {
			d, shown := uru4000.New(uru4000.Options{Key: key}), cut(finger, uru4000.Width, uru4000.Height)
			for y := range uru4000.Height {
				shown.Pix[y*uru4000.Width] = 255 // a pixel here can get lost on the way
			}
			d.Present(uru4000.Presentation{Image: shown})
			got := foreign(t, "uru4000", d, d.Platen)
			const absent = uru4000.Height - 1 - 122 // a row that is not sent shows the one below it
			copy(shown.Pix[absent*uru4000.Width:][:uru4000.Width], shown.Pix[(absent-1)*uru4000.Width:])
			same(t, got, shown)
		})
	}
}
