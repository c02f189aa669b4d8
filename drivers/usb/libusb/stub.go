//go:build !(cgo && linux)

package libusb

import (
	"context"
	"errors"

	"loket/drivers/usb"
)

// Built reports whether this program was built with access to real devices.
const Built = false

// errNotBuilt is what every call returns.
var errNotBuilt = errors.New("using the kernel's USB: this program is built without it (hint: on Linux, install gcc and build with CGO_ENABLED=1)")

// Bus finds no devices: this program is built without access to them.
type Bus struct{}

// Devices returns an error that says why there are none.
func (*Bus) Devices(context.Context) ([]usb.Info, error) { return nil, errNotBuilt }

// Open returns an error that says why there is nothing to open.
func (*Bus) Open(context.Context, usb.Identity) (usb.Device, error) { return nil, errNotBuilt }
