package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"loket/firmware-sim/stage"
)

type runCmd struct{}

// Run is `make run`.
func (runCmd) Run(ctx context.Context, c *cli) error {
	centre, err := stage.New(stage.Options{Dir: c.Out, Bin: c.Bin, Policy: "nl-residence-permit"})
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
	ctl := fmt.Sprintf("%s --socket %s", filepath.Join(c.Bin, "kioskctl"), nearby(centre.Socket()))
	fmt.Printf("The centre is up: %s.\n\n", centre.Describe())
	for range 3 {
		t, err := centre.Ticket(ctx, centre.NextReference())
		if err != nil {
			return err
		}
		fmt.Printf("  ticket %s waits: %s\n", t.Number, t.ID)
	}
	fmt.Printf(`
Try, in another terminal, from this folder:
  %[1]s status
  %[1]s session start --next     call whoever is next; the simulated person comes and an attendant taps
  %[1]s session show
  %[1]s outbox
  %[1]s trace ID                 with any id that you see

  bin/kiosk-ui --windowed --socket %[4]s   the applicant's screen, where there is a display
  %[5]s   the staff's console: supervisor, password %[6]s

Simulated devices: %[2]s (docs/scenarios.md). Logs: %[3]s.
Ctrl-C ends it.
`, ctl, centre.Control(), filepath.Join(c.Out, "logs"), nearby(centre.Socket()), centre.Console(), password)
	attendant := &stage.Attendant{Kiosk: centre.Kiosk, Pseudonym: "attendant-1"}
	_ = attendant.Run(ctx)
	fmt.Println("\nending…")
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
