package subject

import (
	"context"
	"sync"
	"time"
)

// Time is how a person waits.
type Time interface {
	// Wait returns after d, or with ctx.Err() when ctx ends first.
	Wait(ctx context.Context, d time.Duration) error
}

// Real time passes by itself.
type Real struct{}

// Wait waits.
func (Real) Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Stepped time stands still until it is moved. The zero value is at its beginning; several may wait at once.
type Stepped struct {
	mu      sync.Mutex
	now     time.Duration
	stepped chan struct{} // closed at the next step
}

// Step moves the time on by d.
func (s *Stepped) Step(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += max(d, 0)
	if s.stepped != nil {
		close(s.stepped)
		s.stepped = nil
	}
}

// Wait waits until the time was moved by d in all.
func (s *Stepped) Wait(ctx context.Context, d time.Duration) error {
	s.mu.Lock()
	until := s.now + d
	for s.now < until {
		if s.stepped == nil {
			s.stepped = make(chan struct{})
		}
		stepped := s.stepped
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stepped:
		}
		s.mu.Lock()
	}
	s.mu.Unlock()
	return ctx.Err()
}
