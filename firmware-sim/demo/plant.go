package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"loket/firmware-sim/stage"
)

// plantCmd leaks on purpose, to show that the check finds it. It stands for a program of the centre and runs under the same
// strace; no program of the centre has such a thing in it.
type plantCmd struct {
	Kind string `arg:"" help:"What to do with the piece."`
	From string `arg:"" help:"File with a piece of a sample."`
	To   string `arg:"" help:"File to write it into."`
}

// planted is a kind of leak.
type planted struct {
	name    string
	what    string
	program string // whose place it takes
	sign    string // in what the check says of it
	to      func(run *observed) string
	piece   func(run *observed) []byte
	write   func(f *os.File, piece []byte) error
}

// plants are the kinds of leaks: each as small as must be found.
func plants() []planted {
	face := func(run *observed) []byte { return middle(run.opened[0].Parts[0].Data, window) }
	outbox := func(run *observed) string { return filepath.Join(run.centre.Dir, "kiosk", "outbox", rand26+".partial") }
	log := func(run *observed) string { return filepath.Join(run.centre.Dir, "logs", stage.Kioskd+".log") }
	return []planted{
		{"raw", "24 bytes of the portrait, over two writes", stage.Kioskd, "as it is into ", outbox, face, func(f *os.File, piece []byte) error {
			_, err := f.Write(piece[:window/2])
			_, err2 := f.Write(piece[window/2:])
			return errors.Join(err, err2)
		}},
		{"base64", "base64 of 18 bytes of a fingerprint in a database", stage.Kioskd, "in base64 into ",
			func(run *observed) string { return filepath.Join(run.centre.Dir, "kiosk", "journal.db-journal") },
			func(run *observed) []byte { return middle(run.opened[0].Parts[1].Data, 18) },
			func(f *os.File, piece []byte) error {
				_, err := f.WriteAt([]byte("{\"image\":\"xx"+base64.RawURLEncoding.EncodeToString(piece)+"\"}"), 8192)
				return err
			}},
		{"log", "hexadecimal digits of 12 bytes from a device in a log", stage.Kioskd, "in hexadecimal digits into ", log,
			func(run *observed) []byte { return middle(run.presented[longest(run.presented)], 12) },
			func(f *os.File, piece []byte) error {
				_, err := f.WriteString("level=DEBUG msg=frame data=" + hex.EncodeToString(piece) + "\n")
				return err
			}},
		{"temp", "a temporary file that is on no list", stage.Central, "upload-1234.tmp",
			func(run *observed) string { return filepath.Join(run.centre.Dir, "central", "upload-1234.tmp") }, face,
			func(f *os.File, piece []byte) error { return nil }},
		{"name", "an applicant's reference in a log", stage.Kioskd, "the reference of an applicant into ", log,
			func(run *observed) []byte { return []byte(run.opened[0].Manifest.Subject.Reference) },
			func(f *os.File, piece []byte) error {
				_, err := fmt.Fprintf(f, "level=INFO msg=\"session begins\" subject=%s\n", piece)
				return err
			}},
	}
}

// rand26 has the form of the name of a file that is being sealed.
const rand26 = "LEAKLEAKLEAKLEAKLEAKLEAKLE"

// middle cuts a telling piece of n bytes out of the middle of data, or what follows it.
func middle(data []byte, n int) []byte {
	for at := len(data) / 2; at+n <= len(data); at++ {
		if v := newVariety(data[at : at+n]); v.n >= distinct {
			return data[at : at+n]
		}
	}
	return data[:n]
}

func longest(list [][]byte) int {
	best := 0
	for i, data := range list {
		if len(data) > len(list[best]) {
			best = i
		}
	}
	return best
}

// plant adds a leak to the traces of a run.
func (run *observed) plant(ctx context.Context, name string) error {
	i := slices.IndexFunc(plants(), func(p planted) bool { return p.name == name })
	if i < 0 {
		return fmt.Errorf("planting a leak: there is no kind %q", name)
	}
	p := plants()[i]
	dir := filepath.Join(run.centre.Dir, "traces")
	trace, from := filepath.Join(dir, "planted-"+name+".strace"), filepath.Join(dir, "planted-"+name+".piece")
	if err := os.WriteFile(from, p.piece(run), 0o600); err != nil {
		return fmt.Errorf("planting a leak: %w", err)
	}
	command := append(underStrace(trace), filepath.Join(run.centre.Bin, "loket-demo"), "plant", name, from, p.to(run))
	if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("planting a leak: %w: %s", err, out)
	}
	run.traces = maps.Clone(run.traces)
	run.traces[p.program] = append(slices.Clone(run.traces[p.program]), trace)
	return run.flushed(ctx)
}

// Run writes the piece in the manner of its kind.
func (p *plantCmd) Run() error {
	i := slices.IndexFunc(plants(), func(x planted) bool { return x.name == p.Kind })
	if i < 0 {
		return fmt.Errorf("planting a leak: there is no kind %q", p.Kind)
	}
	piece, err := os.ReadFile(p.From)
	if err != nil {
		return fmt.Errorf("planting a leak: %w", err)
	}
	f, err := os.OpenFile(p.To, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("planting a leak: %w", err)
	}
	_, err = f.Seek(0, io.SeekEnd)
	return errors.Join(err, plants()[i].write(f, piece), f.Close())
}
