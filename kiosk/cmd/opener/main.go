// Opener opens sealed records with the service's private key, checks all that can be checked, and draws a contact sheet. It
// runs where that key is, never at a station, and talks to nobody.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"
)

type cli struct {
	Key        []string         `help:"An age identity file of the service. May be repeated." required:"" type:"existingfile" placeholder:"FILE"`
	Stations   []string         `help:"Certificates of stations: PEM files, or folders of them (*.crt, *.pem)." required:"" type:"path" placeholder:"PATH"`
	ReceiptKey []string         `help:"A public key that signs receipts (PEM). Without any, receipts are not checked, which is said." type:"existingfile" placeholder:"FILE"`
	Store      string           `help:"The folder of sealed records with their dockets and receipts." required:"" type:"existingdir" placeholder:"FOLDER"`
	Out        string           `help:"Where to write the parts, a folder a record." required:"" type:"path" placeholder:"FOLDER"`
	Sheet      string           `help:"Where to draw the contact sheet (PNG); more pages get -2, -3 and so on." type:"path" placeholder:"FILE"`
	JSON       bool             `help:"Say what was found as JSON." name:"json"`
	Version    kong.VersionFlag `help:"Print the version."`
}

// Exit statuses.
const (
	exitFailed      = 1
	exitConfig      = 2
	exitQuarantined = 3
)

func main() {
	var c cli
	kong.Parse(&c, kong.Name("opener"), kong.Description("Opens sealed records and draws a contact sheet."), kong.Vars{"version": version()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	os.Exit(c.run(os.Stdout, os.Stderr))
}

// run opens the store and says what was found; it returns the exit status.
func (c *cli) run(out, complaints io.Writer) int {
	if err := noDumps(); err != nil {
		return complain(complaints, exitFailed, err)
	}
	o, err := newOpener(c)
	if err != nil {
		return complain(complaints, exitConfig, err)
	}
	found, err := o.openAll()
	defer wipe(found)
	if err != nil {
		return complain(complaints, exitFailed, err)
	}
	if c.Sheet != "" {
		if err := drawSheet(c.Sheet, found); err != nil {
			return complain(complaints, exitFailed, err)
		}
	}
	if err := report(out, found, c.JSON); err != nil {
		return complain(complaints, exitFailed, err)
	}
	return alarm(complaints, found, len(c.ReceiptKey) > 0)
}

func complain(w io.Writer, status int, err error) int {
	fmt.Fprintln(w, "opener:", err)
	return status
}

// report says what became of each record.
func report(out io.Writer, found []*opened, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(found)
	}
	for _, f := range found {
		state := fmt.Sprintf("opened, %d parts", len(f.Parts))
		if f.Trouble != "" {
			state = "QUARANTINED: " + f.Trouble
		}
		if _, err := fmt.Fprintf(out, "%.12s  %s  %s  %s\n", f.ID, f.Docket.Ticket, f.Docket.Session, state); err != nil {
			return err
		}
		for _, x := range f.Files {
			line := x.Holds
			if x.Trouble != "" {
				line = "CAN'T BE READ: " + x.Trouble
			}
			if _, err := fmt.Fprintf(out, "              %s  %s\n", x.Name, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// alarm makes sure that what is wrong is not overlooked.
func alarm(w io.Writer, found []*opened, receiptsChecked bool) int {
	if !receiptsChecked {
		fmt.Fprintln(w, "opener: receipts were not checked (hint: --receipt-key names the key that signs them)")
	}
	bad := 0
	for _, f := range found {
		if f.Trouble != "" {
			bad++
			fmt.Fprintf(w, "ALARM  record %s is quarantined: %s\n", f.ID, f.Trouble)
		}
	}
	if bad == 0 {
		return 0
	}
	fmt.Fprintf(w, "ALARM  %d of %d records are quarantined and were not written (hint: keep the store as it is and call whoever is responsible for security)\n", bad, len(found))
	return exitQuarantined
}

// noDumps keeps images out of core dumps.
func noDumps() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("switching core dumps off: %w", err)
	}
	return nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
