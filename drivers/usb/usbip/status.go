package usbip

import (
	"context"
	"errors"
	"fmt"

	"loket/drivers/usb"
)

// Linux's error numbers, which are the protocol's on every system.
const (
	errnoNOENT     int32 = 2
	errnoNODEV     int32 = 19
	errnoPIPE      int32 = 32
	errnoNOSYS     int32 = 38
	errnoPROTO     int32 = 71
	errnoOVERFLOW  int32 = 75
	errnoCONNRESET int32 = 104
	errnoSHUTDOWN  int32 = 108
	errnoTIMEDOUT  int32 = 110
	errnoREMOTEIO  int32 = 121
)

// ErrProtocol is what a transfer returns whose server broke the protocol. The connection is then closed.
var ErrProtocol = errors.New("usbip: the server broke the protocol")

// errUnlinked ends a transfer that was unlinked.
var errUnlinked = errors.New("usbip: transfer unlinked")

// errIsochronous refuses an isochronous transfer.
var errIsochronous = errors.New("usbip: isochronous transfers are not served")

// statusOf says an error of a gadget in the protocol's words.
func statusOf(err error) int32 {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, usb.ErrStall):
		return -errnoPIPE
	case errors.Is(err, usb.ErrGone):
		return -errnoSHUTDOWN
	case errors.Is(err, usb.ErrOverflow):
		return -errnoOVERFLOW
	case errors.Is(err, errIsochronous):
		return -errnoNOSYS
	}
	return -errnoPROTO
}

// errorOf is the other way round.
func errorOf(status int32) error {
	switch -status {
	case 0, errnoREMOTEIO: // a short transfer is none of the bus's business
		return nil
	case errnoPIPE:
		return usb.ErrStall
	case errnoNODEV, errnoSHUTDOWN:
		return usb.ErrGone
	case errnoOVERFLOW:
		return usb.ErrOverflow
	case errnoNOENT, errnoCONNRESET:
		return errUnlinked
	case errnoTIMEDOUT:
		return fmt.Errorf("the device gave no data: %w", context.DeadlineExceeded)
	}
	return fmt.Errorf("transfer failed on the bus (errno %d)", -status)
}
