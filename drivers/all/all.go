// Package all lists the drivers that a station ships with.
//
// The one idea: the list is written out, so that what a program can open is read in one place.
package all

import (
	"loket/drivers"
	"loket/drivers/hidcode"
	"loket/drivers/hidpen"
	"loket/drivers/nb1010"
	"loket/drivers/ptp"
	"loket/drivers/slap60"
	"loket/drivers/uru4000"
)

// Options are what a station's configuration says to drivers. The zero value is every driver as it is.
type Options struct {
	CodeReaders []hidcode.Model // besides those of known makers
	Pads        []hidpen.Model  // signature pads
	URU4000     uru4000.Options
	PTP         ptp.Options
}

// Drivers returns every driver; the first that matches a device opens it.
func Drivers(o Options) []drivers.Driver {
	return []drivers.Driver{
		slap60.Driver(), uru4000.New(o.URU4000), nb1010.Driver(),
		o.PTP.Driver(),
		hidcode.New(hidcode.Options{Models: o.CodeReaders}),
		hidpen.New(hidpen.Options{Models: o.Pads}),
	}
}
