package kiosk

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/draw"
	"image/jpeg"
	"sync"
	"testing"
	"time"

	"loket/drivers"
	"loket/firmware-sim/synth"
	"loket/kiosk/acquire"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/face"
	"loket/kiosk/plan"
)

func TestAPreviewIsOverwrittenWhenTheNextOneComes(t *testing.T) {
	p := newPreviews()
	p.watch(1)
	glass := image.NewGray(image.Rect(0, 0, 4, 2))
	for i := range glass.Pix {
		glass.Pix[i] = 200
	}
	p.grey(biometric.Finger, glass)
	first := p.newest.I420
	enough := errors.New("enough")
	err := p.stream(context.Background(), func(f api.Frame) error {
		p.grey(biometric.Finger, glass)
		if !bytes.Equal(first, make([]byte, len(first))) {
			t.Errorf("after the next frame the first reads %v", first)
		}
		if f.I420[0] != 200 {
			t.Error("a frame that is being sent was overwritten")
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Errorf("the stream ended with %v", err)
	}
	last := p.newest.I420
	p.clear()
	if !bytes.Equal(last, make([]byte, len(last))) {
		t.Error("after the capture the last frame is still there")
	}
}

// What a live view costs the daemon: one decoding a frame, however many look.
func BenchmarkPreviewDecode(b *testing.B) {
	var frame bytes.Buffer
	img := image.NewYCbCr(image.Rect(0, 0, 1280, 720), image.YCbCrSubsampleRatio422)
	for i := range img.Y {
		img.Y[i] = byte(i/1280/3 + i%97)
	}
	if err := jpeg.Encode(&frame, img, &jpeg.Options{Quality: 85}); err != nil {
		b.Fatal(err)
	}
	p := newPreviews()
	p.watch(1)
	for b.Loop() {
		if err := p.face(frame.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/frame")
}

// gaping is a camera with thirty frames a second of somebody whose mouth is open: no photograph is ever taken.
type gaping struct {
	drivers.Camera
	frames [][]byte
}

func (g *gaping) Info() drivers.Info { return drivers.Info{Kind: drivers.KindCamera} }

func (g *gaping) Frames(ctx context.Context, fn func(drivers.Frame) error) error {
	tick := time.NewTicker(33 * time.Millisecond) // a little more than 30 a second
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := fn(drivers.Frame{JPEG: g.frames[i%len(g.frames)]}); err != nil {
			return err
		}
	}
}

// counting is an analyser that counts.
type counting struct {
	*face.Analyser
	n int
}

func (c *counting) Analyse(jpeg []byte, want face.Want) (face.Report, error) {
	c.n++
	return c.Analyser.Analyse(jpeg, want)
}

// The live view of 1280x720 at 30 frames a second, decoded for a screen and judged beside that by the real analyser.
func BenchmarkPreviewBesideAnalysis(b *testing.B) {
	analyser, err := face.Open(face.Cascades)
	if err != nil {
		b.Skip(err)
	}
	camera := &gaping{}
	view := synth.Scene{Who: 7001, MouthOpen: 1}.Render().View()
	for x := range 4 {
		var frame bytes.Buffer
		moved := image.NewRGBA(view.Rect)
		draw.Draw(moved, moved.Rect, view, image.Pt(x, 0), draw.Src)
		if err := jpeg.Encode(&frame, moved, &jpeg.Options{Quality: 85}); err != nil {
			b.Fatal(err)
		}
		camera.frames = append(camera.frames, frame.Bytes())
	}
	policy, err := plan.LoadPolicy("nl-residence-permit")
	if err != nil {
		b.Fatal(err)
	}
	f := policy.Face
	step := plan.Step{ID: "face", Modality: biometric.Face, Rules: f.Rules, Threshold: f.Threshold, Image: &f.Image, Criteria: f.Criteria,
		Wait: &plan.FaceWait{MandatorySeconds: 60, OptionalSeconds: 60}}
	p, judge := newPreviews(), &counting{Analyser: analyser}
	acquirer := &acquire.Acquirer{Face: judge}
	const while = 6 * time.Second
	ctx, cancel := context.WithTimeout(b.Context(), while)
	defer cancel()
	var shown []time.Time
	var screen sync.WaitGroup
	screen.Go(func() {
		_ = p.stream(ctx, func(api.Frame) error {
			shown = append(shown, time.Now())
			return nil
		})
	})
	if _, err := acquirer.Capture(ctx, step, camera, func(g acquire.Progress) { _ = p.face(g.Frame) }); !errors.Is(err, context.DeadlineExceeded) {
		b.Fatalf("the capture ended with %v", err)
	}
	screen.Wait()
	gap := time.Duration(0)
	for i := range shown[1:] {
		gap = max(gap, shown[i+1].Sub(shown[i]))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(shown)-1)/shown[len(shown)-1].Sub(shown[0]).Seconds(), "frames/s")
	b.ReportMetric(float64(judge.n)/while.Seconds(), "judged/s")
	b.ReportMetric(float64(gap.Microseconds())/1000, "ms-gap")
}
