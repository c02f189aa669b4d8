package slap60

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
	"loket/kiosk/biometric"
)

const (
	previewEvery = time.Second / 15
	patience     = 3 * time.Second // with a wrong number of fingers
	missedLimit  = 15              // previews that may know of an event which does not come
	fetchSize    = 512 << 10       // bytes of an image fetched at once
)

// Capture waits for the wanted fingers and returns what lay on the glass. A wrong number of fingers that lies still for
// three seconds is a [*drivers.RetryError]; fingers that were captured already have to leave the glass first.
func (s *scanner) Capture(ctx context.Context, want []biometric.FingerPosition, watch func(drivers.Progress)) (drivers.Image, error) {
	mask, err := maskOf(want, s.id.fingers)
	if err != nil {
		return drivers.Image{}, err
	}
	if err := s.turn.Take(ctx); err != nil {
		return drivers.Image{}, err
	}
	defer s.leave()
	if watch == nil {
		watch = func(drivers.Progress) {}
	}
	img, err := s.run(ctx, waiting{scanner: s, mask: mask, count: len(want), watch: watch})
	if err != nil {
		img.Wipe()
		var retry *drivers.RetryError
		if !errors.As(err, &retry) {
			s.quit(ctx, err)
		}
		return drivers.Image{}, drivers.Fault(ctx, "capturing fingers", err)
	}
	return img, nil
}

// maskOf turns positions into the protocol's mask.
func maskOf(want []biometric.FingerPosition, most int) (uint16, error) {
	if len(want) == 0 || len(want) > most {
		return 0, fmt.Errorf("capturing %d fingers at once: the scanner takes 1 to %d", len(want), most)
	}
	var mask uint16
	for _, p := range want {
		if !p.Single() || mask&(1<<(p-1)) != 0 {
			return 0, fmt.Errorf("capturing %v: not a single finger, or wanted twice", p)
		}
		mask |= 1 << (p - 1)
	}
	return mask, nil
}

func (s *scanner) run(ctx context.Context, w waiting) (drivers.Image, error) {
	if err := s.resync(ctx); err != nil {
		return drivers.Image{}, err
	}
	if _, err := s.exchange(ctx, cmdGuide, encodeGuide(w.mask, lampPlace, toneAttention), 0); err != nil {
		return drivers.Image{}, err
	}
	number, err := w.wait(ctx)
	var retry *drivers.RetryError
	if errors.As(err, &retry) {
		if err := s.sendAway(ctx); err != nil {
			return drivers.Image{}, err
		}
	}
	if err != nil {
		return drivers.Image{}, err
	}
	if _, err := s.exchange(ctx, cmdGuide, encodeGuide(w.mask, lampGood, toneGood), 0); err != nil {
		return drivers.Image{}, err
	}
	return s.fetch(ctx, number)
}

// sendAway ends a capture of a wrong number of fingers.
func (s *scanner) sendAway(ctx context.Context) error {
	if _, err := s.exchange(ctx, cmdGuide, encodeGuide(0, 0, toneTryAgain), 0); err != nil {
		return err
	}
	_, err := s.exchange(ctx, cmdCancel, nil, 0)
	return err
}

// fetch reads the image that the scanner holds and takes it over.
func (s *scanner) fetch(ctx context.Context, number uint32) (img drivers.Image, err error) {
	r, err := s.exchange(ctx, cmdImage, nil, imageHead+maxFingersSeen*fingerSize)
	if err != nil {
		return img, err
	}
	pic, err := decodePicture(r.payload, s.id, s.detector)
	if err != nil {
		return img, err
	}
	if pic.number != number {
		return img, fmt.Errorf("fetching image %d: the scanner holds image %d", number, pic.number)
	}
	img = drivers.Image{Gray: image.NewGray(image.Rect(0, 0, s.id.width, s.id.height)), PPI: s.id.ppi, Fingers: pic.fingers, PAD: pic.pad}
	for at, pix := 0, img.Gray.Pix; at < len(pix); at += fetchSize {
		part := pix[at:min(at+fetchSize, len(pix))]
		r, err := s.exchange(ctx, cmdFetch, encodeFetch(number, at, len(part)), len(part))
		if err != nil {
			return img, err
		}
		if copy(part, r.payload) != len(part) {
			return img, fmt.Errorf("fetching %d bytes of an image: %d came", len(part), len(r.payload))
		}
	}
	if checksum(img.Gray.Pix) != pic.sum {
		return img, errors.New("fetching an image: wrong checksum over all pixels")
	}
	_, err = s.exchange(ctx, cmdDone, le.AppendUint32(nil, number), 0)
	return img, err
}

// waiting is a capture that waits for fingers.
type waiting struct {
	*scanner
	mask  uint16
	count int
	watch func(drivers.Progress)

	seen   uint16 // number of the last event that came
	behind int    // previews since then that knew of a later one
}

// sighting is an event, or why no more will come.
type sighting struct {
	event event
	err   error
}

// wait arms the scanner and returns the number of the image that it then took.
func (w *waiting) wait(ctx context.Context) (uint32, error) {
	ctx, cancel := context.WithCancel(ctx)
	var listener sync.WaitGroup
	defer listener.Wait()
	defer cancel()
	events := make(chan sighting)
	listener.Go(func() { w.listen(ctx, events) })
	arm := encodeArm(w.count, w.mask, 0, uint16(patience/time.Millisecond))
	if _, err := w.exchange(ctx, cmdArm, arm, 0); err != nil {
		return 0, err
	}
	ticker := time.NewTicker(previewEvery)
	defer ticker.Stop()
	for {
		if err := w.preview(ctx); err != nil {
			return 0, err
		}
		for tick := false; !tick; {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case s := <-events:
				if number, err := w.heed(s); err != nil || number != 0 {
					return number, err
				}
			case <-ticker.C:
				tick = true
			}
		}
	}
}

// listen passes on events until ctx ends, one can't be had, or one ends the wait.
func (w *waiting) listen(ctx context.Context, to chan<- sighting) {
	var buf [64]byte
	for last, stalled := uint16(0), false; ; last++ {
		n, err := w.dev.Transfer(ctx, endpointEvent, buf[:])
		if errors.Is(err, usb.ErrStall) && !stalled && usb.ClearHalts(ctx, w.dev, endpointEvent) == nil {
			stalled = true
			n, err = w.dev.Transfer(ctx, endpointEvent, buf[:])
		}
		var s sighting
		if err == nil {
			s.event, err = decodeEvent(buf[:n])
		}
		if err == nil && s.event.number != last+1 {
			err = fmt.Errorf("reading events: number %d follows %d", s.event.number, last)
		}
		s.err = err
		select {
		case to <- s:
		case <-ctx.Done():
			return
		}
		if err != nil || s.event.ends() {
			return
		}
	}
}

// heed returns the number of the image, if the event tells one.
func (w *waiting) heed(s sighting) (uint32, error) {
	if s.err != nil {
		return 0, s.err
	}
	w.seen, w.behind = s.event.number, 0
	switch s.event.kind {
	case eventOn, eventOff:
		return 0, nil
	case eventCaptured:
		if s.event.image == 0 {
			return 0, errors.New("reading events: an image without number")
		}
		w.watch(drivers.Progress{Hint: biometric.HintPresentationOK, Fingers: int(s.event.fingers)})
		return s.event.image, nil
	case eventWrong:
		if s.event.detail == tooFew {
			return 0, &drivers.RetryError{Hint: biometric.HintFingerMissing}
		}
		return 0, &drivers.RetryError{Hint: biometric.HintTooMany}
	case eventFault:
		return 0, statusError(6)
	}
	return 0, fmt.Errorf("reading events: unknown kind %02x", s.event.kind)
}

// preview shows the glass, and finds out whether events get lost.
func (w *waiting) preview(ctx context.Context) error {
	r, err := w.exchange(ctx, cmdPreview, nil, previewHead+w.id.previewW*w.id.previewH)
	if err != nil {
		return err
	}
	m, fingers, err := decodePreview(r.payload, w.id)
	if err != nil {
		return err
	}
	if r.state == stateIdle {
		return errors.New("waiting for fingers: the scanner forgot that it waits")
	}
	if r.events == w.seen {
		w.behind = 0
	} else if w.behind++; w.behind > missedLimit {
		return fmt.Errorf("waiting for event %d, which the scanner has: %w", r.events, context.DeadlineExceeded)
	}
	w.watch(drivers.Progress{Hint: w.hint(r.state, fingers), Fingers: fingers, Preview: m})
	return nil
}

// hint is what the subject should do now.
func (w *waiting) hint(state uint8, fingers int) biometric.Hint {
	switch {
	case state == stateCaptured:
		return biometric.HintPresentationOK
	case state == stateLift:
		return biometric.HintLiftNow
	case fingers == 0:
		return biometric.HintPlace
	case fingers < w.count:
		return biometric.HintFingerMissing
	case fingers > w.count:
		return biometric.HintTooMany
	}
	return biometric.HintHoldStill
}
