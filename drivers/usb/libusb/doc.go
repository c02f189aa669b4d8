// Package libusb is the bus of the operating system: real devices, through the libusb and hidapi that
// github.com/karalabe/usb compiles into the program.
//
// The one idea: the module is taken unmodified. It exposes interrupt transfers and HID reports only, so the C functions
// that it carries are declared here once more as weak symbols, and the final link finds the module's (docs/decisions,
// "libusb through a bridge"). Every transfer is submitted, waited for in slices of 100 ms in which its context is looked
// at, and cancelled where that ended; a device is closed only after every transfer has returned. C never holds memory of
// Go's. Without cgo, or off Linux, the package has a [Bus] that finds nothing and says why.
package libusb
