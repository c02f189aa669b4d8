// Package stage puts a whole centre on one machine: certificates, the queue, the central service, simulated devices and a
// kiosk, each as its own process on loopback.
//
// The one idea: what a demonstration, a torture run or a benchmark drives are the programs that ship, unmodified, with nothing
// between them but their own protocols.
package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/identity"
	"loket/kiosk/plan"
)

// Options say what kind of centre to put up. Zero values give a demonstration with a cooperative subject.
type Options struct {
	Dir      string // everything the centre writes; made anew
	Bin      string // where the programs are
	Policy   string
	Desk     bool                // a staffed desk beside the kiosk, with devices of its own
	Sim      []string            // further arguments of firmware-sim
	Env      map[string][]string // further environment of a program, by its name
	Station  map[string]any      // further keys of kioskd's configuration
	Queue    map[string]any      // further keys of queued's configuration
	Wrap     map[string][]string // a command that runs a program, by its name: strace and its arguments
	SimPort  int                 // USB/IP; any free port where zero
	BusPort  int                 // where the kiosk finds the devices, for something between the two; their own port where zero
	Reaction time.Duration       // of the simulated person; firmware-sim's own where zero
}

// Centre is a centre on one machine.
type Centre struct {
	Options
	PKI     *PKI
	Ports   Ports
	Procs   map[string]*Process
	Kiosk   *api.Client
	Counter *api.Client  // the desk's
	Partner *http.Client // may put appointments

	people int    // references given out
	socket string // the kiosk's
	desk   string // the desk's socket
	short  string // folder of the sockets, where the centre's own has too long a name for one
}

// Ports are the loopback ports of a centre's processes.
type Ports struct{ Queue, Browsers, Central, USB, Control, DeskUSB, DeskControl int }

// The processes of a centre, in the order in which they start. What follows a colon tells two of one program apart.
const (
	Central = "central"
	Queued  = "queued"
	Sim     = "firmware-sim"
	Kioskd  = "kioskd"
	DeskSim = "firmware-sim:desk"
	Deskd   = "kioskd:desk"
)

// program is the name of the file that a process runs.
func program(process string) string {
	name, _, _ := strings.Cut(process, ":")
	return name
}

// The stations of a centre. Where nothing runs at the desk, its certificate asks about tickets that were never at the kiosk.
const (
	StationName = "kiosk-01"
	DeskName    = "desk-01"
)

// DeskPolicy is the policy of the desk, which is supervised whatever the kiosk's is.
const DeskPolicy = "nl-residence-permit"

// processes lists what runs.
func (c *Centre) processes() []string {
	list := []string{Central, Queued, Sim, Kioskd}
	if c.Desk {
		list = append(list, DeskSim, Deskd)
	}
	return list
}

// New prepares folders, keys and configurations. Nothing runs yet.
func New(o Options) (*Centre, error) {
	if err := emptied(o.Dir); err != nil {
		return nil, err
	}
	c := &Centre{Options: o, Procs: map[string]*Process{}}
	for _, step := range []func() error{c.folders, c.place, c.keys, c.ports, c.configure} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("preparing the centre: %w", err)
		}
	}
	c.Kiosk, c.Counter = api.NewClient(c.socket), api.NewClient(c.desk)
	partner, err := c.PKI.Identity("partner")
	if err != nil {
		return nil, err
	}
	c.Partner = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: partner.Client(identity.RoleQueue)}}
	return c, nil
}

// emptied makes dir anew. It removes only what an earlier stage made.
func emptied(dir string) error {
	mark := filepath.Join(dir, ".stage")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("preparing the centre: %w", err)
	}
	if _, err := os.Stat(mark); len(entries) > 0 && err != nil {
		return fmt.Errorf("preparing the centre: %s holds other files (hint: name an empty folder)", dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("preparing the centre: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("preparing the centre: %w", err)
	}
	return os.WriteFile(mark, nil, 0o600)
}

func (c *Centre) folders() error {
	for _, d := range []string{"logs", "kiosk", "desk", "queue", "central", "keys", "etc"} {
		if err := os.MkdirAll(c.path(d), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// place finds a place for the sockets, whose paths must be short.
func (c *Centre) place() error {
	c.socket, c.desk = c.path("kiosk", "kioskd.sock"), c.path("desk", "kioskd.sock")
	if len(c.socket) < 100 {
		return nil
	}
	var err error
	if c.short, err = os.MkdirTemp("", "loket-"); err != nil {
		return err
	}
	c.socket, c.desk = filepath.Join(c.short, "kioskd.sock"), filepath.Join(c.short, "desk.sock")
	return nil
}

func (c *Centre) path(parts ...string) string {
	abs, err := filepath.Abs(filepath.Join(append([]string{c.Dir}, parts...)...))
	if err != nil {
		return filepath.Join(append([]string{c.Dir}, parts...)...)
	}
	return abs
}

func (c *Centre) keys() error {
	pki, err := NewPKI(c.path("keys"), "Demo centre", true)
	if err != nil {
		return err
	}
	c.PKI = pki
	if err := c.stationKeys(); err != nil {
		return err
	}
	for name, role := range map[string]identity.Role{DeskName: identity.RoleDesk, "queue": identity.RoleQueue,
		"central": identity.RoleCentral, "partner": identity.RoleAppointments} {
		if _, err := pki.Issue(name, role); err != nil {
			return err
		}
	}
	if _, err := pki.Key("receipts"); err != nil {
		return err
	}
	recipients, err := pki.Recipients("service", "escrow")
	if err != nil {
		return err
	}
	return os.WriteFile(pki.Path("recipients.txt"), recipients, 0o600)
}

// stationKeys gives the kiosk its certificate. An attendant stands beside it where its policy says so.
func (c *Centre) stationKeys() error {
	policy, err := plan.LoadPolicy(c.Policy)
	if err != nil {
		return err
	}
	var marks []string
	if policy.Supervised {
		marks = []string{identity.Supervised}
	}
	_, err = c.PKI.Issue(StationName, identity.RoleKiosk, marks...)
	return err
}

// ports reserves free ports. Another program can take one before ours does; it then says so and ends.
func (c *Centre) ports() error {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for _, p := range []*int{&c.Ports.Queue, &c.Ports.Browsers, &c.Ports.Central, &c.Ports.USB, &c.Ports.Control,
		&c.Ports.DeskUSB, &c.Ports.DeskControl} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		held = append(held, l)
		*p = l.Addr().(*net.TCPAddr).Port
	}
	if c.SimPort != 0 {
		c.Ports.USB = c.SimPort
	}
	return nil
}

// Start starts one program of the centre.
func (c *Centre) Start(name string) error {
	args := append(append([]string{}, c.Wrap[name]...), filepath.Join(c.Bin, program(name)))
	args = append(args, c.arguments(name)...)
	p, err := Start(c.path("logs"), name, c.Env[name], args[0], args[1:]...)
	if err != nil {
		return err
	}
	c.Procs[name] = p
	return nil
}

// StartAll starts everything and waits until the kiosk is ready for its first applicant.
func (c *Centre) StartAll(ctx context.Context) error {
	for _, name := range c.processes() {
		if err := c.Start(name); err != nil {
			return err
		}
	}
	return c.Ready(ctx)
}

// Ready waits until the kiosk, and the desk where there is one, say that they are.
func (c *Centre) Ready(ctx context.Context) error {
	if err := c.ready(ctx, Kioskd, c.Kiosk); err != nil || !c.Desk {
		return err
	}
	return c.ready(ctx, Deskd, c.Counter)
}

func (c *Centre) ready(ctx context.Context, process string, client *api.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	return c.Procs[process].Until(ctx, process, func(ctx context.Context) error {
		for _, p := range c.Procs {
			if err := p.Ended(); err != nil {
				return err
			}
		}
		st, err := client.Status(ctx)
		if err != nil {
			return err
		}
		if !st.Ready || !st.QueueLink {
			return fmt.Errorf("%s is not ready: %s", process, problems(st))
		}
		return nil
	})
}

func problems(st api.Status) string {
	var list []string
	if !st.QueueLink {
		list = append(list, "no line to the queue")
	}
	for _, p := range st.Problems {
		list = append(list, p.Text)
	}
	return strings.Join(list, "; ")
}

// StopAll asks every process to end, the stations first.
func (c *Centre) StopAll() error {
	var errs []error
	for _, name := range slices.Backward(c.processes()) {
		if p := c.Procs[name]; p != nil {
			errs = append(errs, p.Stop())
			delete(c.Procs, name)
		}
	}
	return errors.Join(errs...)
}

// KillAll ends what still runs and removes what lies outside the centre's folder.
func (c *Centre) KillAll() {
	for name, p := range c.Procs {
		p.Kill()
		delete(c.Procs, name)
	}
	if c.short != "" {
		_ = os.RemoveAll(c.short)
	}
}
