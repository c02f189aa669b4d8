package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Open opens the records of a centre that has ended, with a program of its own and the service's key: into opened/, and onto
// a contact sheet. Then it checks that each intake's record is there and that stock age lists its manifest first.
func (c *Centre) Open(ctx context.Context, intakes []Intake) error {
	opener := exec.CommandContext(ctx, filepath.Join(c.Bin, "opener"), "--key", c.PKI.Path("service.age"), "--stations", c.PKI.Dir,
		"--receipt-key", c.PKI.Path("receipts.pub"), "--store", c.path("central", "records"), "--out", c.path("opened"),
		"--sheet", c.path("contact-sheet.png"))
	if out, err := opener.CombinedOutput(); err != nil {
		return fmt.Errorf("opening the records: %w\n%s", err, out)
	}
	for _, i := range intakes {
		if _, err := os.Stat(c.path("opened", i.Record, "manifest.json")); err != nil {
			return fmt.Errorf("opening the records: %w", err)
		}
		if err := c.stockAge(ctx, c.path("central", "records", i.Record+".age")); err != nil {
			return fmt.Errorf("opening record %.12s with stock age: %w", i.Record, err)
		}
	}
	return nil
}

// stockAge lists a record as anybody could who holds the key: age -d -i KEY FILE | tar t
func (c *Centre) stockAge(ctx context.Context, path string) error {
	age := exec.CommandContext(ctx, filepath.Join(c.Bin, "age"), "-d", "-i", c.PKI.Path("service.age"), path)
	tar := exec.CommandContext(ctx, "tar", "t")
	var err error
	if tar.Stdin, err = age.StdoutPipe(); err != nil {
		return err
	}
	var list, complaints bytes.Buffer
	tar.Stdout, tar.Stderr, age.Stderr = &list, &complaints, &complaints
	if err := age.Start(); err != nil {
		return err
	}
	if err := errors.Join(tar.Run(), age.Wait()); err != nil {
		return fmt.Errorf("%w: %s", err, &complaints)
	}
	if !strings.HasPrefix(list.String(), "manifest.json\n") {
		return errors.New("manifest.json is not its first part")
	}
	return nil
}
