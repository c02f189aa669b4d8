package drivers

import "context"

// Turn lets one operation run on a device at a time. Whoever has it may use what it guards.
type Turn struct{ token chan struct{} }

// NewTurn makes a turn that nobody has.
func NewTurn() Turn { return Turn{make(chan struct{}, 1)} }

// Take waits for the turn, or for the end of ctx, whose error it returns.
func (t Turn) Take(ctx context.Context) error {
	select {
	case t.token <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Give lets the next operation run.
func (t Turn) Give() { <-t.token }
