package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"loket/firmware-sim/stage"
	"loket/kiosk/biometric"
)

type runCmd struct {
	Supervised bool `help:"A supervised kiosk, whose sessions end there."`
}

// Run is `make run`.
func (r runCmd) Run(ctx context.Context, c *cli) error {
	people := demoCmd{Self: !r.Supervised}
	centre, err := stage.New(stage.Options{Dir: c.Out, Bin: c.Bin, Policy: people.policy(), Desk: true})
	if err != nil {
		return err
	}
	defer centre.KillAll()
	if err := centre.StartAll(ctx); err != nil {
		return err
	}
	password, err := centre.Supervisor(ctx, "supervisor")
	if err != nil {
		return err
	}
	staff, err := centre.SignIn(ctx, "supervisor", password)
	if err != nil {
		return err
	}
	ctl := fmt.Sprintf("%s --socket %s", filepath.Join(c.Bin, "kioskctl"), nearby(centre.Socket()))
	fmt.Printf("The centre is up: %s.\n\n", centre.Describe())
	for range 3 {
		t, err := centre.Ticket(ctx, centre.NextReference(), biometric.Signature)
		if err != nil {
			return err
		}
		fmt.Printf("  ticket %s waits: %s\n", t.Number, t.ID)
	}
	fmt.Printf(`
Try, in another terminal, from this folder:
  %[1]s status
  %[1]s session start --next     call whoever is next; the simulated person comes and an attendant taps
  %[1]s session show             the same with --socket %[7]s for the desk
  %[1]s outbox
  %[1]s trace ID                 with any id that you see

  bin/kiosk-ui --windowed --socket %[4]s   the applicant's screen, where there is a display
  %[5]s   the staff's console: supervisor, password %[6]s
  %[2]s   the applicant's hand at the kiosk; %[8]s at the desk

An attendant moves each session to the desk, where the fingers are compared. Logs: %[3]s.
Ctrl-C ends it.
`, ctl, centre.Control(), filepath.Join(c.Out, "logs"), nearby(centre.Socket()), centre.Console(), password, nearby(centre.DeskSocket()), centre.DeskControl())
	leave := staffed(ctx, centre, staff.Code)
	<-ctx.Done()
	fmt.Println("\nending…")
	leave()
	return centre.StopAll()
}

// nearby gives a path as it is from here, where that is shorter.
func nearby(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(here, path); err == nil && len(rel) < len(path) {
		return rel
	}
	return path
}
