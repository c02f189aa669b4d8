package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/biometric"
)

type demoCmd struct {
	N        int    `name:"n" help:"How many people." default:"1"`
	Scenario string `help:"A scenario that the simulated people follow; a file, or the name of one in firmware-sim/scenarios." placeholder:"FILE"`
	Photo    string `help:"A photograph before the lens instead of a synthetic face." placeholder:"FILE"`
	Self     bool   `name:"self-service" help:"At a self-service kiosk; sessions end at a desk, which compares the fingers."`
	Pad      bool   `help:"People sign on a pad and not on the screen."`
	Fingers  string `help:"A folder with fingerprint images for the glass instead of synthetic fingers." placeholder:"FOLDER"`
}

// intakeLimit bounds one person's way through.
const intakeLimit = 90 * time.Second

// Run is `make demo`.
func (d *demoCmd) Run(ctx context.Context, c *cli) error {
	sim, err := d.sim()
	if err != nil {
		return err
	}
	began := time.Now()
	centre, err := stage.New(stage.Options{Dir: c.Out, Bin: c.Bin, Policy: d.policy(), Desk: d.Self, Sim: sim})
	if err != nil {
		return err
	}
	defer centre.KillAll()
	if err := centre.StartAll(ctx); err != nil {
		return err
	}
	fmt.Printf("centre up in %.1f s: %s\n", time.Since(began).Seconds(), centre.Describe())
	intakes, err := d.serve(ctx, centre)
	if err != nil {
		return fmt.Errorf("%w (hint: the logs are in %s)", err, filepath.Join(c.Out, "logs"))
	}
	if err := centre.StopAll(); err != nil {
		return err
	}
	if err := centre.Open(ctx, intakes); err != nil {
		return err
	}
	fmt.Printf("\n%d of %d people went from ticket to receipt; every record was opened and every signature verified.\n", len(intakes), d.N)
	fmt.Printf("  pictures  %s\n  records   %s\n  opened    %s\n", filepath.Join(c.Out, "contact-sheet.png"),
		filepath.Join(c.Out, "central", "records"), filepath.Join(c.Out, "opened"))
	return nil
}

// policy is the kiosk's.
func (d *demoCmd) policy() string {
	if d.Self {
		return "nl-residence-permit-self-service"
	}
	return "nl-residence-permit"
}

// sim gives firmware-sim's arguments.
func (d *demoCmd) sim() ([]string, error) {
	var args []string
	if d.Scenario != "" {
		args = append(args, "--scenario", d.Scenario)
	}
	if d.Pad {
		args = append(args, "--device", "slap60,ptp,hidcode,hidpen")
	}
	for flag, path := range map[string]string{"--photo": d.Photo, "--fingers": d.Fingers} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%s: %w (hint: paths count from the folder where you are)", flag, err)
		}
		args = append(args, flag, path)
	}
	return args, nil
}

// serve takes the people through, one after the other, with attendants beside them.
func (d *demoCmd) serve(ctx context.Context, centre *stage.Centre) ([]stage.Intake, error) {
	leave := staffed(ctx, centre, nil)
	defer leave()
	var intakes []stage.Intake
	for i := range d.N {
		if i > 0 {
			if err := centre.NextPerson(ctx); err != nil {
				return nil, err
			}
		}
		intake, err := one(ctx, centre, centre.NextReference(), i%2 == 1)
		if err != nil {
			return nil, fmt.Errorf("person %d of %d: %w", i+1, d.N, err)
		}
		intakes = append(intakes, intake)
	}
	return intakes, nil
}

// staffed puts an attendant beside each station until the returned function is called. code is for decisions at a desk; nil for
// none.
func staffed(ctx context.Context, centre *stage.Centre, code func(context.Context) (string, error)) (leave func()) {
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	attend := func(a stage.Attendant) { work.Go(func() { _ = a.Run(ctx) }) }
	if centre.Desk {
		attend(stage.Attendant{Kiosk: centre.Kiosk, Desk: stage.DeskName, Control: centre.Control()})
		attend(stage.Attendant{Kiosk: centre.Counter, Code: code, Control: centre.DeskControl()})
		work.Go(func() { _ = centre.Accompany(ctx) })
	} else {
		attend(stage.Attendant{Kiosk: centre.Kiosk, Control: centre.Control()})
	}
	return func() {
		stop()
		work.Wait()
	}
}

// one takes one person through and prints the chain.
func one(ctx context.Context, centre *stage.Centre, reference string, byCode bool) (stage.Intake, error) {
	ctx, cancel := context.WithTimeout(ctx, intakeLimit)
	defer cancel()
	ticket, err := centre.Ticket(ctx, reference, biometric.Signature)
	if err != nil {
		return stage.Intake{}, err
	}
	fmt.Printf("\n%s  ticket %s\n  ", ticket.Number, ticket.ID)
	intake, err := centre.Serve(ctx, ticket, byCode, func(state string) { fmt.Printf("%s > ", state) })
	if err != nil {
		fmt.Println()
		return intake, err
	}
	fmt.Printf("%s > receipted > purged\n", intake.End)
	fmt.Printf("  session %s\n  record  %s\n", intake.Session, intake.Record)
	fmt.Printf("  %.1f s, of which the person's %.1f s and the machine's %.2f s\n", intake.Took.Seconds(), intake.Person.Seconds(),
		(intake.Took - intake.Person).Seconds())
	return intake, nil
}
