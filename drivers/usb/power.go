package usb

import "context"

// PortPower is the power of a [Bus] whose hubs tell and switch the power of single ports (USB 2.0, clause 11.24.2). It is
// found by type assertion. A port whose hub can't gives [errors.ErrUnsupported].
type PortPower interface {
	// Powered reports whether a port has power. It has none where it is switched off, or where over-current switched it off.
	Powered(ctx context.Context, port string) (bool, error)
	// CyclePower switches a port off, waits until what hangs there is dark, and switches it on. The device enumerates anew.
	CyclePower(ctx context.Context, port string) error
}

// BusyError is an [ErrBusy] of a system that tells who holds the device.
type BusyError struct{ Holder string } // such as "gphoto2 (process 4711)"

// Error names the holder.
func (e *BusyError) Error() string { return ErrBusy.Error() + ": " + e.Holder }

// Unwrap says that it is an [ErrBusy].
func (e *BusyError) Unwrap() error { return ErrBusy }
