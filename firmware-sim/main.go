// Command firmware-sim stands in for the devices of a kiosk: fingerprint scanners, a portrait camera, a code reader and a signature pad over
// USB/IP, and a person who uses them.
//
// The one idea: whoever opens these devices can't tell that no hardware is there, except by what a simulated device can't
// hide. It listens on loopback only and belongs on desks and in demonstrations, never on a kiosk.
package main

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"loket/drivers/usb/usbip"
	"loket/firmware-sim/subject"
	"loket/firmware-sim/synth"
)

//go:embed scenarios/*.txt
var scenarios embed.FS

// flags are the command line.
type flags struct {
	Listen       string        `default:"127.0.0.1:3240" help:"Loopback address for USB/IP." placeholder:"HOST:PORT"`
	Control      string        `default:"127.0.0.1:3241" help:"Loopback address for the control API; empty for none." placeholder:"HOST:PORT"`
	PTPIP        string        `name:"ptpip" default:"${ptpip}" help:"Loopback address for the camera over PTP/IP; empty for none. Where another program has the default's port, there is none." placeholder:"HOST:PORT"`
	Scenario     string        `help:"Scenario to play: a file, or the name of a built-in one." placeholder:"FILE"`
	Photo        string        `help:"Portrait to hold before the lens: PNG, JPEG or PGM." placeholder:"FILE"`
	Fingers      string        `help:"Folder of fingerprints to put on the glass: PGM, PNG or JPEG, one finger a file." placeholder:"FOLDER"`
	Seed         uint64        `default:"1" help:"Which people come: the same seed, the same people."`
	Cache        string        `default:"${cache}" help:"Folder where what was drawn is kept; empty for none." placeholder:"FOLDER"`
	Reaction     time.Duration `default:"300ms" help:"How long the person takes to react."`
	Device       []string      `default:"slap60,ptp,hidcode" enum:"slap60,uru4000,nb1010,ptp,hidcode,hidpen" sep:"," help:"Devices to serve, in the order of their bus ids: ${enum}. The person uses the first fingerprint scanner." placeholder:"NAME,..."`
	NoPerson     bool          `help:"Nobody follows lamps and lens; only scenario and control API act."`
	Stepped      bool          `help:"Scenario and person wait for the control API to move the time."`
	SerialPrefix string        `default:"SIM-" help:"What serial numbers begin with."`
}

// ptpIPAddress is where photographic software looks for a camera.
const ptpIPAddress = "127.0.0.1:15740"

// usageError is a mistake on the command line: exit status 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the program; it returns its exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f, done, err := parse(args, stdout)
	if done {
		return 0
	}
	if err == nil {
		err = serve(ctx, f, stdout, stderr)
	}
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "firmware-sim:", err)
		return 2
	}
	fmt.Fprintln(stderr, "firmware-sim:", err)
	return 1
}

// parse reads the command line; done is true where help was all that was wanted.
func parse(args []string, stdout io.Writer) (f flags, done bool, err error) {
	cache := ""
	if dir, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(dir, "loket", "synth")
	}
	parser, err := kong.New(&f, kong.Name("firmware-sim"), kong.Vars{"cache": cache, "ptpip": ptpIPAddress}, kong.Writers(stdout, stdout),
		kong.Exit(func(int) { done = true }),
		kong.Description("Simulated devices for a kiosk: fingerprint scanners, a camera and a code reader over USB/IP, and a person who uses them. docs/scenarios.md describes scenarios and the control API."))
	if err != nil {
		return f, false, fmt.Errorf("preparing the command line: %w", err)
	}
	if _, err := parser.Parse(args); err != nil && !done {
		return f, false, usageError{fmt.Errorf("%w (hint: firmware-sim --help lists what there is)", err)}
	}
	return f, done, nil
}

// serve runs devices, person and control API until ctx ends.
func serve(ctx context.Context, f flags, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	opt, err := f.subject(log)
	if err != nil {
		return usageError{err}
	}
	devices, err := f.devices(&opt)
	if err != nil {
		return err
	}
	var script *subject.Scenario
	if f.Scenario != "" {
		sc, err := findScenario(f.Scenario)
		if err != nil {
			return usageError{err}
		}
		script = &sc
	}
	usbAt, err := listen(f.Listen, "--listen")
	if err != nil {
		return err
	}
	defer usbAt.Close()
	var controlAt net.Listener
	if f.Control != "" {
		if controlAt, err = listen(f.Control, "--control"); err != nil {
			return err
		}
		defer controlAt.Close()
	}
	ptpIPAt, err := f.listenPTPIP(opt, log)
	if err != nil {
		return err
	}
	if ptpIPAt != nil {
		defer ptpIPAt.Close()
	}
	server := usbip.NewServer(log)
	if err := plugIn(server, devices, &opt); err != nil {
		return err
	}
	person := subject.New(opt)
	if script != nil {
		person.Start(*script)
	}
	f.explain(stdout, usbAt, controlAt, ptpIPAt, opt, devices)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Serve(ctx, usbAt) })
	group.Go(func() error { return ended(person.Run(ctx)) })
	if ptpIPAt != nil {
		group.Go(func() error { return ended(opt.Camera.ServeIP(ctx, ptpIPAt)) })
	}
	if controlAt != nil {
		group.Go(func() error { return control{person: person, time: opt.Time}.serve(ctx, controlAt) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "firmware-sim: ended, everything is unplugged.")
	return nil
}

// ended takes the end of a context for what it is: no error.
func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// subject turns the command line into a person.
func (f flags) subject(log *slog.Logger) (subject.Options, error) {
	if f.Reaction < 0 {
		return subject.Options{}, fmt.Errorf("reading --reaction: %v is before the lamp (hint: a time such as 300ms)", f.Reaction)
	}
	if strings.ContainsFunc(f.SerialPrefix, func(r rune) bool { return r < ' ' || r > '~' }) || len(f.SerialPrefix) > 16 {
		return subject.Options{}, errors.New("reading --serial-prefix: more than 16 characters or others than plain ASCII (hint: SIM-)")
	}
	opt := subject.Options{Library: &synth.Library{Dir: f.Cache}, Seed: f.Seed, Reaction: f.Reaction, Alone: f.NoPerson, Log: log}
	if f.Reaction == 0 {
		opt.Reaction = -1
	}
	if f.Stepped {
		opt.Time = new(subject.Stepped)
	}
	if f.Photo != "" {
		photo, err := synth.LoadPhoto(f.Photo)
		if err != nil {
			return opt, err
		}
		opt.Photo = &photo
	}
	if f.Fingers != "" {
		files, err := synth.LoadFingers(f.Fingers)
		if err != nil {
			return opt, err
		}
		opt.Fingers = synth.AssignFingers(files)
	}
	return opt, nil
}

// findScenario reads a file, or a built-in scenario where there is no such file.
func findScenario(name string) (subject.Scenario, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if sc, err := builtIn(name); !errors.Is(err, fs.ErrNotExist) {
			return sc, err
		}
		return subject.Scenario{}, fmt.Errorf("reading scenario %s: no such file and none of that name is built in (hint: one of %s)",
			name, strings.Join(builtIns(), ", "))
	}
	if err != nil {
		return subject.Scenario{}, fmt.Errorf("reading scenario %s: %w (hint: name a text file)", name, err)
	}
	return subject.Parse(filepath.Base(name), string(text))
}

// builtIn reads a scenario that the program brings along.
func builtIn(name string) (subject.Scenario, error) {
	text, err := scenarios.ReadFile("scenarios/" + name + ".txt")
	if err != nil {
		return subject.Scenario{}, fmt.Errorf("reading scenario %q: %w", name, fs.ErrNotExist)
	}
	return subject.Parse(name, string(text))
}

// builtIns lists the scenarios that the program brings along.
func builtIns() (names []string) {
	entries, _ := scenarios.ReadDir("scenarios") // embedded: it is there
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".txt"))
	}
	return names
}

// listen opens a loopback port.
func listen(address, flag string) (net.Listener, error) {
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, usageError{fmt.Errorf("reading %s: %w (hint: an address such as 127.0.0.1:3240)", flag, err)}
	}
	if !at.IP.IsLoopback() {
		return nil, usageError{fmt.Errorf("reading %s: %s is not a loopback address (hint: whoever can connect owns the devices; use 127.0.0.1)", flag, address)}
	}
	ln, err := net.ListenTCP("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("opening the port of %s: %w (hint: another firmware-sim may be running; choose another port with %s)", flag, err, flag)
	}
	return ln, nil
}

// listenPTPIP opens the port for the camera over the network; nil for none. The default's port may be another program's: that
// is no error.
func (f flags) listenPTPIP(opt subject.Options, log *slog.Logger) (net.Listener, error) {
	if f.PTPIP == "" || slices.Contains(opt.Without, subject.Camera) {
		return nil, nil
	}
	ln, err := listen(f.PTPIP, "--ptpip")
	if f.PTPIP == ptpIPAddress && errors.Is(err, syscall.EADDRINUSE) {
		log.Info("no PTP/IP: another program has the port", "address", f.PTPIP)
		return nil, nil
	}
	return ln, err
}

// explain says what is served, to whoever started it.
func (f flags) explain(w io.Writer, usbAt, controlAt, ptpIPAt net.Listener, opt subject.Options, devices []served) {
	at := usbAt.Addr().(*net.TCPAddr)
	fmt.Fprintf(w, "firmware-sim serves simulated devices over USB/IP on %s:\n", at)
	for _, d := range devices {
		i := d.gadget.Info()
		fmt.Fprintf(w, "  %s  %-34s %04x:%04x  serial %s\n", d.busid, d.what, i.Vendor, i.Product, cmp.Or(i.Serial, "none"))
	}
	port := ""
	if at.Port != 3240 {
		port = fmt.Sprintf(" --tcp-port %d", at.Port)
	}
	fmt.Fprintf(w, "List them:   usbip%s list -r %s\n", port, at.IP)
	if controlAt != nil {
		fmt.Fprintf(w, "Control:     curl http://%s/v1/state   (docs/scenarios.md says what else)\n", controlAt.Addr())
	}
	if ptpIPAt != nil {
		at := ptpIPAt.Addr().(*net.TCPAddr)
		fmt.Fprintf(w, "Photograph:  gphoto2 --port ptpip:%s:%d:%d --capture-image-and-download   (while no kiosk has the camera)\n", at.IP, at.Port, at.Port)
	}
	fmt.Fprintf(w, "Person:      %s\n", f.person())
	f.explainFiles(w, opt)
	fmt.Fprintln(w, "End:         ctrl-c, or SIGTERM")
}

func (f flags) person() string {
	text := fmt.Sprintf("a cooperative one (seed %d) follows lamps and lens within %v", f.Seed, f.Reaction)
	if f.NoPerson {
		text = "nobody; only scenarios and the control API act"
	}
	if f.Scenario != "" {
		text += "; scenario " + f.Scenario
	}
	return text
}

// explainFiles says which file is which finger.
func (f flags) explainFiles(w io.Writer, opt subject.Options) {
	if opt.Photo != nil {
		fmt.Fprintf(w, "Photo:       %s\n", f.Photo)
	}
	if opt.Fingers == nil {
		return
	}
	var list []string
	for p := synth.RightThumb; p <= synth.LeftLittle; p++ {
		if file, ok := opt.Fingers[p]; ok {
			list = append(list, fmt.Sprintf("%s is %s", p, file.Name))
		}
	}
	fmt.Fprintf(w, "Fingers:     %s\n", cmp.Or(strings.Join(list, ", "), "none"))
}
