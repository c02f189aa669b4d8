package drivers_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"loket/drivers"
)

func TestOneOperationRunsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := drivers.NewTurn()
		if err := turn.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		late, cancel := context.WithCancel(t.Context())
		given := make(chan error, 1)
		go func() { given <- turn.Take(late) }()
		synctest.Wait()
		cancel()
		if err := <-given; !errors.Is(err, context.Canceled) {
			t.Errorf("two operations have the turn: %v", err)
		}
		go func() { given <- turn.Take(t.Context()) }()
		synctest.Wait()
		turn.Give()
		if err := <-given; err != nil {
			t.Error(err)
		}
	})
}
