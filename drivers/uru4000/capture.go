package uru4000

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"loket/drivers"
	"loket/kiosk/biometric"
)

// Capture waits for a finger, takes its image, and returns it once the finger has left the reader.
func (r *reader) Capture(ctx context.Context, want []biometric.FingerPosition, watch func(drivers.Progress)) (drivers.Image, error) {
	if len(want) != 1 || !want[0].Single() {
		return drivers.Image{}, fmt.Errorf("capturing %v: the reader takes one single finger", want)
	}
	if err := r.turn.Take(ctx); err != nil {
		return drivers.Image{}, err
	}
	defer r.leave()
	if watch == nil {
		watch = func(drivers.Progress) {}
	}
	img, err := r.run(ctx, watch)
	if err != nil {
		img.Wipe()
		r.quit(ctx, err)
		return drivers.Image{}, drivers.Fault(ctx, "capturing a finger", err)
	}
	return img, nil
}

func (r *reader) run(ctx context.Context, watch func(drivers.Progress)) (img drivers.Image, err error) {
	reports, stop := r.listen(ctx)
	defer func() { _ = stop() }()
	if err := r.powerUp(ctx, reports); err != nil {
		return img, err
	}
	watch(drivers.Progress{Hint: biometric.HintPlace})
	if err := r.awaitFinger(ctx, reports, modeAwaitOn, reportOn); err != nil {
		return img, err
	}
	watch(drivers.Progress{Hint: biometric.HintHoldStill, Fingers: 1})
	b, err := r.expose(ctx)
	if err != nil {
		return img, err
	}
	img = drivers.Image{PPI: ppi, PAD: biometric.PAD{Result: biometric.PADNotAvailable}}
	if err := r.unscramble(ctx, b, &img); err != nil {
		return img, err
	}
	watch(drivers.Progress{Hint: biometric.HintLiftNow, Fingers: 1})
	if err := r.awaitFinger(ctx, reports, modeAwaitOff, reportOff); err != nil {
		return img, err
	}
	if err := r.write(ctx, registerMode, modeOff); err != nil {
		return img, err
	}
	if err := cmp.Or(stop(), ctx.Err()); err != nil {
		return img, err
	}
	watch(drivers.Progress{Hint: biometric.HintPresentationOK})
	return img, nil
}

// awaitFinger waits until a finger comes or leaves.
func (r *reader) awaitFinger(ctx context.Context, reports <-chan sighting, mode byte, report uint16) error {
	if err := r.write(ctx, registerMode, mode); err != nil {
		return err
	}
	return r.await(ctx, reports, report, 0, mode)
}

// expose takes an image. The transfer is asked for before the reader has it. The result is valid until the next exposure.
func (r *reader) expose(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, imageLimit)
	var (
		transfer sync.WaitGroup
		n        int
		err      error
	)
	transfer.Go(func() { n, err = r.transfer(ctx, endpointImage, r.buf) })
	refused := r.write(ctx, registerMode, modeCapture)
	if refused != nil {
		cancel()
	}
	transfer.Wait()
	cancel()
	if refused != nil {
		err = refused
	}
	if err != nil {
		return nil, fmt.Errorf("taking an image: %w", err)
	}
	return r.buf[:n], nil
}

// unscramble fetches the keys of an image and decodes it.
func (r *reader) unscramble(ctx context.Context, b []byte, img *drivers.Image) error {
	h, err := decodeHead(b)
	if err != nil {
		return err
	}
	var keys []uint32
	for _, number := range h.keys() {
		key, err := r.key(ctx, number)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	img.Gray, err = decodeImage(b, h, keys)
	return err
}

// key fetches the key with that number.
func (r *reader) key(ctx context.Context, number byte) (uint32, error) {
	seed := r.seed()
	if err := r.write(ctx, registerSeed, encodeSeed(number, seed)...); err != nil {
		return 0, err
	}
	b, err := r.read(ctx, registerKey, 4)
	if err != nil {
		return 0, err
	}
	return decodeKey(b, seed)
}

// sighting is a report, a silence, or why no more reports will come.
type sighting struct {
	report uint16 // 0: nothing came, for a while or because the transfer was taken back
	err    error
}

// listen starts to listen to reports. They come until stop is called or one can't be had; stop waits for the listener, and
// returns why it stopped before, if it did.
func (r *reader) listen(ctx context.Context) (reports <-chan sighting, stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	c := make(chan sighting, 32) // never so many at once: a report is asked for while others wait to be looked at
	var (
		listener sync.WaitGroup
		failure  error
	)
	listener.Go(func() {
		for {
			s := r.hear(ctx)
			if s.err != nil && !errors.Is(s.err, context.Canceled) {
				failure = s.err
			}
			select {
			case c <- s:
			case <-ctx.Done():
				return
			}
			if s.err != nil {
				return
			}
		}
	})
	return c, func() error { cancel(); listener.Wait(); return failure }
}

// hear waits for one report. A transfer that brings none for a while is taken back: another follows, so none gets lost for good.
func (r *reader) hear(ctx context.Context) sighting {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(silence, cancel).Stop()
	var b [reportSize]byte
	n, err := r.transfer(waiting, endpointReport, b[:])
	if err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() == nil {
			return sighting{}
		}
		return sighting{err: fmt.Errorf("reading reports: %w", err)}
	}
	if n == 0 {
		return sighting{} // taken back by somebody else
	}
	report, err := decodeReport(b[:n])
	return sighting{report: report, err: err}
}

// await waits for one kind of report and passes over others. Without a limit it waits as long as the reader, in that mode,
// shows that it still listens.
func (r *reader) await(ctx context.Context, reports <-chan sighting, report uint16, limit time.Duration, mode byte) error {
	var late <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case s := <-reports:
			if s.err != nil || s.report == report {
				return s.err
			}
			if s.report == 0 && limit == 0 {
				if err := r.remind(ctx, mode); err != nil {
					return err
				}
			}
		case <-late:
			return fmt.Errorf("waiting for report %04x: %w", report, context.DeadlineExceeded)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// remind finds out whether the reader still listens, and sets its mode again in case it has forgotten.
func (r *reader) remind(ctx context.Context, mode byte) error {
	status, err := r.status(ctx)
	if err != nil {
		return err
	}
	if status&standby != 0 {
		return fmt.Errorf("waiting for a finger: the reader says that it is on standby: %w", drivers.ErrOff)
	}
	return r.write(ctx, registerMode, mode)
}
