// Kioskctl shows technicians and scripts what their station does, and starts, cancels and traces sessions.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"loket/kiosk/api"
)

// cli is the command line; one file a command.
type cli struct {
	Socket string `help:"The daemon's UNIX socket." default:"/run/loket/kioskd.sock" env:"LOKET_SOCKET" placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Print JSON for scripts."`

	Status   statusCmd   `cmd:"" help:"Show what the station does and what keeps it from working."`
	Devices  devicesCmd  `cmd:"" help:"Show every device with its state and, where something is wrong, the next step."`
	SelfTest selfTestCmd `cmd:"" help:"Have one device, or every device, test itself. Exits 1 where one fails."`
	Session  struct {
		Start  startCmd  `cmd:"" help:"Start a session for a ticket, or for whoever is next."`
		Show   showCmd   `cmd:"" help:"Show the session in progress."`
		Cancel cancelCmd `cmd:"" help:"Cancel the session in progress. Its captures are wiped."`

		Help      helpCmd      `cmd:"" help:"Step in: a capture in progress ends, and what was good is kept."`
		Resume    resumeCmd    `cmd:"" help:"Let the session go on where it stopped for help."`
		Except    exceptCmd    `cmd:"" help:"Take a finger out of what is owed, with a reason."`
		Move      moveCmd      `cmd:"" help:"Hand the session over to a desk, with what was captured."`
		Verify    verifyCmd    `cmd:"" help:"Show how far a desk's comparison with a kiosk's prints is. Exits 1 where none is in progress."`
		Accept    acceptCmd    `cmd:"" help:"Accept the best that the capture in progress has so far, with a reason."`
		Recapture recaptureCmd `cmd:"" help:"Have steps captured again although they are good, with a reason."`
		Override  overrideCmd  `cmd:"" help:"Let the session be sealed although its captures were not verified, with a reason."`
	} `cmd:"" help:"Work with sessions."`
	USB struct {
		Record recordCmd `cmd:"" help:"Write what runs over a device's USB cable as text, without samples. ctrl-c ends it."`
	} `cmd:"" name:"usb" help:"Look at USB traffic."`
	Outbox outboxCmd `cmd:"" help:"Show the sealed records that wait for their receipt."`
	Face   faceCmd   `cmd:"" help:"Look at photographs."`
	Trace  traceCmd  `cmd:"" help:"Show the chain from ticket to receipt, from any id in it."`
	Record struct {
		Show recordShowCmd `cmd:"" help:"Show what a file of a record holds: sizes and digests instead of images. Exits 1 where it breaks its format's rules."`
	} `cmd:"" help:"Look into files of records. No daemon is needed."`
	Finger struct {
		Info     infoCmd     `cmd:"" help:"Show the format, size and scale of a finger image."`
		Minutiae minutiaeCmd `cmd:"" help:"Count and list the minutiae of a finger."`
		Compare  compareCmd  `cmd:"" help:"Compare two fingers: how alike they are, and whether they are the same."`
		Quality  qualityCmd  `cmd:"" help:"Judge images of one finger each: NFIQ 2's measures and an estimate of its score. Exits 1 where one can't be judged."`
		Segment  segmentCmd  `cmd:"" help:"Cut a slap into its fingertips, and say which fingers they are, which are missing, which hand it is and what is up."`
	} `cmd:"" help:"Work on files of finger images: PGM, PNG or WSQ. No daemon is needed."`
	WSQ struct {
		Encode wsqEncodeCmd `cmd:"" help:"Compress a finger image."`
		Decode wsqDecodeCmd `cmd:"" help:"Write what a WSQ file shows as PGM."`
	} `cmd:"" name:"wsq" help:"Compress finger images and read compressed ones. No daemon is needed."`
}

// call is what every command gets: the daemon, and where its words go.
type call struct {
	ctx    context.Context
	client *api.Client
	out    io.Writer
	notes  io.Writer // for whoever watches, beside the output
	json   bool
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run parses and runs one command line. It returns 0, 1 where the daemon refused or failed, 2 where the words are off.
func run(args []string, stdout, stderr io.Writer) int {
	var c cli
	code := -1
	parser, err := kong.New(&c, kong.Name("kioskctl"), kong.Writers(stdout, stderr), kong.UsageOnError(),
		kong.Description("What a loket station does, for technicians and scripts."), kong.Exit(func(n int) { code = n }))
	if err != nil {
		fmt.Fprintln(stderr, "kioskctl:", err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code // --help was answered
	}
	if err != nil {
		fmt.Fprintf(stderr, "kioskctl: %v (hint: kioskctl --help lists the commands)\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = parsed.Run(&call{ctx: ctx, client: api.NewClient(c.Socket), out: stdout, notes: stderr, json: c.JSON})
	if err == nil {
		return 0
	}
	var e *api.Error
	var r *refusal
	switch {
	case c.JSON && errors.As(err, &e):
		_ = json.NewEncoder(stderr).Encode(e)
	case c.JSON && errors.As(err, &r):
		_ = json.NewEncoder(stderr).Encode(r)
	default:
		fmt.Fprintln(stderr, "kioskctl:", err)
	}
	return 1
}

// print writes v as JSON, or what human prints.
func (c *call) print(v any, human func()) error {
	if !c.json {
		human()
		return nil
	}
	out := json.NewEncoder(c.out)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// ask sends a query and decodes its result.
func (c *call) ask(cmd api.Command, result any) error {
	reply, err := c.client.Do(c.ctx, cmd)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(reply.Result, result); err != nil {
		return fmt.Errorf("reading the daemon's answer: %w (hint: are kioskctl and kioskd of the same version?)", err)
	}
	return nil
}
