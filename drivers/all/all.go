// Package all lists the drivers that a station ships with.
//
// The one idea: the list is written out, so that what a program can open is read in one place.
package all

import (
	"loket/drivers"
	"loket/drivers/ptp"
	"loket/drivers/slap60"
)

// Drivers returns every driver; the first that matches a device opens it.
func Drivers() []drivers.Driver {
	return []drivers.Driver{slap60.Driver(), ptp.Driver()}
}
