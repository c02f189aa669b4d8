package kiosk

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"testing"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
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
