package kiosk

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"sync"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/face"
)

// previews hands the newest preview frame to the screen. A frame is decoded once, and only where a screen watches; a slow
// screen misses frames and delays nobody.
type previews struct {
	mu       sync.Mutex
	watchers int
	newest   *api.Frame // overwritten when the next one comes: whoever sends it copies it first
	changed  chan struct{}
	sequence uint64
}

func newPreviews() *previews { return &previews{changed: make(chan struct{})} }

// face offers one frame of a live view.
func (p *previews) face(encoded []byte) error {
	if !p.watched() {
		return nil
	}
	size, err := jpeg.DecodeConfig(bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("decoding a preview: %w", err)
	}
	if size.Width > api.MaxSide || size.Height > api.MaxSide {
		return fmt.Errorf("decoding a preview: %d x %d pixels are more than a screen takes", size.Width, size.Height)
	}
	img, err := jpeg.Decode(bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("decoding a preview: %w", err)
	}
	if f, ok := planesOf(img); ok {
		p.publish(f)
	}
	face.Wipe(img)
	return nil
}

// grey offers one preview of a scanner's glass or of a signature pad.
func (p *previews) grey(of biometric.Modality, img *image.Gray) {
	if img == nil || !p.watched() {
		return
	}
	w, h := img.Rect.Dx()&^1, img.Rect.Dy()&^1
	f := &api.Frame{Modality: of, Width: w, Height: h, I420: make([]byte, w*h*3/2)}
	for y := range h {
		copy(f.I420[y*w:(y+1)*w], img.Pix[y*img.Stride:])
	}
	for i := w * h; i < len(f.I420); i++ {
		f.I420[i] = 128 // no colour
	}
	p.publish(f)
}

// planesOf brings a JPEG of any subsampling into I420.
func planesOf(img image.Image) (*api.Frame, bool) {
	b := img.Bounds()
	w, h := b.Dx()&^1, b.Dy()&^1
	f := &api.Frame{Modality: biometric.Face, Width: w, Height: h, I420: make([]byte, w*h*3/2)}
	chroma := f.I420[w*h:]
	cb, cr := chroma[:w*h/4], chroma[w*h/4:]
	switch m := img.(type) {
	case *image.YCbCr:
		for y := range h {
			copy(f.I420[y*w:(y+1)*w], m.Y[m.YOffset(b.Min.X, b.Min.Y+y):])
		}
		for y := range h / 2 {
			for x := range w / 2 {
				o := m.COffset(b.Min.X+2*x, b.Min.Y+2*y)
				cb[y*w/2+x], cr[y*w/2+x] = m.Cb[o], m.Cr[o]
			}
		}
	case *image.Gray:
		for y := range h {
			copy(f.I420[y*w:(y+1)*w], m.Pix[m.PixOffset(b.Min.X, b.Min.Y+y):])
		}
		for i := range chroma {
			chroma[i] = 128
		}
	default:
		return nil, false
	}
	return f, true
}

func (p *previews) watched() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watchers > 0
}

func (p *previews) publish(f *api.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sequence++
	f.Sequence = p.sequence
	p.swap(f)
}

// clear forgets the newest frame when a capture is over.
func (p *previews) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swap(nil)
}

func (p *previews) swap(f *api.Frame) {
	if p.newest != nil {
		clear(p.newest.I420)
	}
	p.newest = f
	close(p.changed)
	p.changed = make(chan struct{})
}

// stream calls fn with each newest frame until ctx ends or fn fails.
func (p *previews) stream(ctx context.Context, fn func(api.Frame) error) error {
	p.watch(1)
	defer p.watch(-1)
	var own []byte
	defer func() { clear(own) }()
	for {
		p.mu.Lock()
		var f *api.Frame
		if p.newest != nil {
			own = append(own[:0], p.newest.I420...)
			copied := *p.newest
			copied.I420 = own
			f = &copied
		}
		changed := p.changed
		p.mu.Unlock()
		if f != nil {
			if err := fn(*f); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (p *previews) watch(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers += n
}
