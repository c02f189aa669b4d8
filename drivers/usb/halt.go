package usb

import (
	"context"
	"errors"
	"fmt"
)

// ClearHalts clears the halts of endpoints. It returns [errors.ErrUnsupported] where the device's bus can't.
func ClearHalts(ctx context.Context, dev Device, endpoints ...uint8) error {
	r, ok := dev.(Resetter)
	if !ok {
		return fmt.Errorf("clearing halts: %w", errors.ErrUnsupported)
	}
	for _, e := range endpoints {
		if err := r.ClearHalt(ctx, e); err != nil {
			return fmt.Errorf("clearing the halt of endpoint %02x: %w", e, err)
		}
	}
	return nil
}
