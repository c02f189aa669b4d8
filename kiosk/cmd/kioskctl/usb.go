package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"loket/kiosk/api"
)

type recordCmd struct {
	Device string        `arg:"" help:"A device by its identity, serial number or kind."`
	Out    string        `help:"File to write, which must not exist; the output where left out." placeholder:"FILE"`
	For    time.Duration `default:"10m" help:"How long at the most, up to an hour."`
}

// Run writes a recording until ctrl-c.
func (r recordCmd) Run(c *call) error {
	if r.For <= 0 {
		return fmt.Errorf("recording for %v: this is no time (hint: --for 5m)", r.For)
	}
	st, err := c.client.Status(c.ctx)
	if err != nil {
		return err
	}
	list, err := chosen(st.Devices, r.Device)
	if err != nil {
		return err
	}
	if len(list) != 1 || r.Device == "" {
		return &api.Error{Code: "which-device", Text: fmt.Sprintf("%d devices are %q", len(list), r.Device), Hint: "name one by its identity: kioskctl devices lists them"}
	}
	out, done, err := r.open(c.out)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.notes, "recording %s; ctrl-c ends it\n", list[0].Identity)
	err = c.client.RecordUSB(c.ctx, api.RecordQuery{Device: list[0].Identity, For: r.For}, out)
	return errors.Join(err, done(err))
}

// open opens the file to write. done closes it, and removes it where nothing was written.
func (r recordCmd) open(stdout io.Writer) (out io.Writer, done func(error) error, err error) {
	if r.Out == "" {
		return stdout, func(error) error { return nil }, nil
	}
	f, err := os.OpenFile(r.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w (hint: name another file, or remove this one)", err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("writing the recording: %w", err)
	}
	return f, func(failed error) error {
		if at, err := f.Seek(0, io.SeekCurrent); failed != nil && err == nil && at == 0 {
			_ = os.Remove(r.Out)
		}
		return f.Close()
	}, nil
}
