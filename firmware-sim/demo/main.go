// Demo puts a whole centre on one machine and takes simulated people through it: for a first look, for a person who wants to
// play with it, and for the runs that try to break it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Out string `help:"Folder for all that the run leaves; made anew." default:"run/demo" placeholder:"FOLDER"`
	Bin string `help:"Folder of the programs." default:"bin" placeholder:"FOLDER"`

	Demo       demoCmd       `cmd:"" default:"withargs" help:"Take people from ticket to receipt, check what came of it, and end."`
	Run        runCmd        `cmd:"" help:"Keep the centre running for a person to play with."`
	Leak       leakCmd       `cmd:"" help:"Take people through under strace and look for their samples in everything that was written."`
	Measure    measureCmd    `cmd:"" help:"Print what a kiosk takes: idle, to be ready, and of an intake."`
	Plant      plantCmd      `cmd:"" hidden:"" help:"Leak on purpose; leak calls it."`
	TortureUSB tortureUSBCmd `cmd:"" name:"torture-usb" help:"Pull the devices' plugs in every phase of their use, and look for what grows."`
	Torture    tortureCmd    `cmd:"" help:"Kill every process at every step and at random, and compare what came of it (programs built with -tags failpoints)."`
}

func main() {
	var c cli
	parser, err := kong.New(&c, kong.Name("loket-demo"), kong.Description("A whole centre on one machine."), kong.UsageOnError())
	if err != nil {
		fail(err)
	}
	parsed, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(&c); err != nil {
		if ctx.Err() != nil {
			err = errors.New("stopped")
		}
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "loket-demo:", err)
	os.Exit(1)
}
