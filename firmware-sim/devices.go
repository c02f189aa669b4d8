package main

import (
	"errors"
	"fmt"
	"slices"

	"loket/drivers/usb"
	"loket/drivers/usb/usbip"
	"loket/firmware-sim/hidcode"
	"loket/firmware-sim/hidpen"
	"loket/firmware-sim/nb1010"
	"loket/firmware-sim/ptpcam"
	"loket/firmware-sim/slap60"
	"loket/firmware-sim/subject"
	"loket/firmware-sim/trouble"
	"loket/firmware-sim/uru4000"
)

// served is one device of the program.
type served struct {
	busid, what string
	is          subject.Device // what the person takes it for; empty for a further scanner, which nobody touches
	gadget      usb.Gadget
}

// devices makes the devices that were asked for, and hands them to the person.
func (f flags) devices(opt *subject.Options) ([]served, error) {
	var list []served
	for i, name := range f.Device {
		if slices.Contains(f.Device[:i], name) {
			return nil, usageError{fmt.Errorf("reading --device: %s is named twice (hint: one of each)", name)}
		}
		d := f.device(name, opt)
		d.busid = fmt.Sprintf("1-%d", i+1)
		list = append(list, d)
	}
	if len(list) == 0 {
		return nil, usageError{errors.New("reading --device: nothing is to be served (hint: --device slap60,ptp,hidcode)")}
	}
	f.stub(opt)
	return list, nil
}

// device makes one device.
func (f flags) device(name string, opt *subject.Options) served {
	var glass subject.Glass
	var d served
	switch name {
	case "ptp":
		opt.Camera = ptpcam.New(ptpcam.Options{Serial: f.SerialPrefix + "PTP-1"})
		return served{what: "portrait camera", is: subject.Camera, gadget: opt.Camera}
	case "hidcode":
		opt.Reader = hidcode.New(hidcode.Options{Serial: f.SerialPrefix + "CODE-1"})
		return served{what: "code reader", is: subject.Reader, gadget: opt.Reader}
	case "hidpen":
		opt.Pad = hidpen.New(hidpen.Options{Serial: f.SerialPrefix + "PEN-1"})
		return served{what: "signature pad", is: subject.Pad, gadget: opt.Pad}
	case "uru4000":
		g := uru4000.New(uru4000.Options{Serial: "{" + f.SerialPrefix + "URU4500-1}"})
		d, glass = served{what: "U.are.U 4500, one finger", gadget: g}, subject.ForFinger(g.Platen)
	case "nb1010":
		g := nb1010.New(nb1010.Options{})
		d, glass = served{what: "NB-1010-U, one finger", gadget: g}, subject.ForFinger(g.Platen)
	default:
		g := slap60.New(slap60.Options{Serial: f.SerialPrefix + "SLAP60-1"})
		d, glass = served{what: "fingerprint scanner, four fingers", gadget: g}, subject.ForHand(g)
	}
	if opt.Scanner == nil {
		opt.Scanner, d.is = glass, subject.Scanner
	}
	return d
}

// stub gives the person what is not served as something that is never plugged in.
func (f flags) stub(opt *subject.Options) {
	if opt.Scanner == nil {
		opt.Scanner = subject.ForHand(slap60.New(slap60.Options{}))
		opt.Without = append(opt.Without, subject.Scanner)
	}
	if opt.Camera == nil {
		opt.Camera = ptpcam.New(ptpcam.Options{})
		opt.Without = append(opt.Without, subject.Camera)
	}
}

// plugIn plugs devices in, where the person can pull them out.
func plugIn(server *usbip.Server, list []served, opt *subject.Options) error {
	opt.Plugs = map[subject.Device]subject.Plug{}
	for _, d := range list {
		g := trouble.New(d.gadget)
		if d.is != "" {
			opt.Plugs[d.is] = subject.Plug{
				Trouble: g,
				Unplug:  func() error { return server.Unexport(d.busid) },
				Replug:  func() error { return server.Export(d.busid, g) },
			}
		}
		if err := server.Export(d.busid, g); err != nil {
			return fmt.Errorf("plugging in the %s: %w", d.what, err)
		}
	}
	return nil
}
