// Package kiosk is the daemon of one station: it runs capture sessions on real things.
//
// The one idea: the session machine computes, the daemon enters. Samples lie in one vault until they are sealed and are
// overwritten at every end; a record is committed when the outbox says so, and whatever dies in between is told honestly to
// the queue at the next start.
package kiosk

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"loket/drivers"
	"loket/drivers/usb"
	"loket/drivers/usb/libusb"
	"loket/drivers/usb/usbip"
	"loket/kiosk/acquire"
	"loket/kiosk/api"
	"loket/kiosk/biometric/face"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/handover"
	"loket/kiosk/identity"
	"loket/kiosk/journal"
	"loket/kiosk/outbox"
	"loket/kiosk/plan"
	"loket/kiosk/record"
	"loket/queue/station"
)

// Daemon is a station's daemon. Set the exported fields and call Run once.
type Daemon struct {
	Config  Config
	Drivers []drivers.Driver
	Log     *slog.Logger
	Version string
	Desk    bool             // a staffed desk, which takes sessions over and verifies them
	Now     func() time.Time // time.Now where nil
	// Comparer verifies a kiosk's prints at a desk. Where nil, an attendant compares by eye.
	Comparer Comparer
	// Recorder begins a recording of USB traffic on w: messages of up to clear bytes as they are, longer ones by length and,
	// if digest says so, digest, and no more than limit characters. Nil where the program is built without.
	Recorder func(w io.Writer, clear int, digest bool, limit int64) Recording

	log      *slog.Logger
	identity *identity.Identity
	policy   plan.Policy
	registry *drivers.Registry
	acquirer *acquire.Acquirer
	sealer   record.Sealer
	outbox   *outbox.Outbox
	pusher   outbox.Pusher
	journal  *journal.Journal
	queue    *station.Client
	link     *station.Link
	previews *previews
	vault    vault
	offered  *handover.Key // at a desk; the mutex guards it
	started  time.Time
	reports  chan struct{} // there may be something to tell the queue
	ctx      context.Context
	work     sync.WaitGroup // captures and sealings

	capturing chan struct{} // holds a token while a capture runs

	mu         sync.Mutex
	cur        *running
	starting   bool // a ticket is being asked for
	testing    int  // devices that test themselves
	lastEnd    *api.End
	recordings map[string]Recording // of USB traffic, by the device's identity
	lastScan   *api.Scan
	sequence   uint64
	changed    chan struct{}
	reconciled bool       // the queue has been told of everything, and holds no ticket for a session that is not
	locked     bool       // by staff
	booth      *api.Booth // how it was found last; nil before
}

// Run runs the station until ctx ends. A session that is in progress then is lost with its captures, and the next start says
// so.
func (d *Daemon) Run(ctx context.Context) error {
	d.log = d.Log
	d.started, d.changed, d.reports = d.now(), make(chan struct{}), make(chan struct{}, 1)
	d.capturing = make(chan struct{}, 1)
	d.previews = newPreviews()
	listener, err := api.Listen(d.Config.Socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := d.open(); err != nil {
		return err
	}
	defer d.journal.Close()
	if err := d.recover(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	d.ctx = ctx
	server := &api.Server{Backend: d, Roles: d.roles}
	for _, service := range []func(context.Context) error{
		d.registry.Run,
		func(ctx context.Context) error { return d.outbox.Run(ctx, d.pusher) },
		d.link.Run,
		func(ctx context.Context) error { return server.Run(ctx, listener) },
		d.report,
		d.watch,
		d.show,
		d.obey,
		d.offerKeys,
		d.codes,
		d.dayStart,
		d.metrics,
		d.watchdog,
	} {
		group.Go(func() error { return service(ctx) })
	}
	d.log.Info("ready", "station", d.identity.Name, "centre", d.identity.Centre, "policy", d.policy.ID)
	err = group.Wait()
	d.work.Wait()
	d.vault.wipe()
	return err
}

// open reads what the configuration names. It touches no device and starts nothing.
func (d *Daemon) open() error {
	c := d.Config
	var err error
	if d.identity, err = identity.Load(c.Certificate, c.Key, c.Authority); err != nil {
		return err
	}
	if c.simulated() && !d.identity.Demo {
		return errors.New("opening the buses: a simulated bus needs a certificate of the demonstration's authority (hint: a production station lists the kernel's bus alone)")
	}
	if d.policy, err = plan.LoadPolicy(c.Policy); err != nil {
		return err
	}
	if err := d.checkPlace(); err != nil {
		return err
	}
	if d.sealer, err = sealer(c.Recipients); err != nil {
		return err
	}
	buses, err := buses(c.Buses)
	if err != nil {
		return err
	}
	d.registry = &drivers.Registry{Buses: buses, Drivers: d.Drivers, Log: d.log}
	model, err := finger.LoadModel(c.Quality)
	if err != nil {
		return fmt.Errorf("quality_model: %w", err)
	}
	d.acquirer = &acquire.Acquirer{Now: d.now, Finger: finger.Analyser{Model: model}, Face: d.faceAnalyser()}
	if err := d.openStores(); err != nil {
		return err
	}
	return d.openLines()
}

// faceAnalyser finds faces where OpenCV's cascades are. Where they are not, the photograph alone is judged: people still get through,
// and every record says that its criteria were not available.
func (d *Daemon) faceAnalyser() acquire.FaceAnalyser {
	a, err := face.Open(d.Config.Cascades)
	if err != nil {
		d.log.Warn("photographs are judged without looking for a face", "err", err)
		return face.Basic{}
	}
	return a
}

// checkPlace holds what the station was started as to its certificate and policy.
func (d *Daemon) checkPlace() error {
	role := d.identity.Role
	switch {
	case d.Desk && role != identity.RoleDesk:
		return fmt.Errorf("starting as a desk: the certificate is for %q (hint: docs/pki.md says how a desk gets one)", role)
	case !d.Desk && role == identity.RoleDesk:
		return errors.New("starting as a kiosk: the certificate is a desk's (hint: kioskd --desk)")
	case !d.Desk && d.identity.Supervised && !d.policy.Supervised:
		return fmt.Errorf("starting as a kiosk: under policy %s nobody stands beside it, and its certificate says that somebody does "+
			"(hint: have one issued without %q; docs/pki.md)", d.policy.ID, identity.Supervised)
	case d.Desk && d.policy.Verification != plan.VerifyNone:
		return fmt.Errorf("starting as a desk: under policy %s captures are verified at another desk (hint: choose a supervised policy)", d.policy.ID)
	}
	return nil
}

func sealer(path string) (record.Sealer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the recipients: %w", err)
	}
	defer f.Close()
	recipients, err := record.ParseRecipients(f)
	if err != nil {
		return nil, fmt.Errorf("reading the recipients %s: %w", path, err)
	}
	return record.AgeSealer{Recipients: recipients}, nil
}

// buses builds the buses that the configuration lists.
func buses(names []string) ([]usb.Bus, error) {
	var list []usb.Bus
	for _, name := range names {
		kind, address, _ := strings.Cut(name, ":")
		switch {
		case kind == "usbip":
			list = append(list, &usbip.Bus{Addr: address})
		case kind == "kernel" && libusb.Built:
			list = append(list, &libusb.Bus{})
		case kind == "kernel":
			_, err := new(libusb.Bus).Devices(context.Background())
			return nil, fmt.Errorf("opening the bus %q: %w", name, err)
		default:
			return nil, fmt.Errorf("opening the bus %q: there is none of that name (hint: kernel, usbip:ADDRESS)", name)
		}
	}
	return list, nil
}

func (d *Daemon) client(role identity.Role) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: d.identity.Client(role), MaxIdleConnsPerHost: 4}}
}

func (d *Daemon) data(name string) string { return filepath.Join(d.Config.Data, name) }

func (d *Daemon) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// roles are what the configuration gives a user id.
func (d *Daemon) roles(uid uint32) []api.Role {
	var roles []api.Role
	for role, uids := range map[api.Role][]int64{api.RoleScreen: d.Config.Screens, api.RoleTechnician: d.Config.Technicians} {
		if slices.Contains(uids, int64(uid)) {
			roles = append(roles, role)
		}
	}
	return roles
}

// openStores opens what the station keeps on disk.
func (d *Daemon) openStores() error {
	if err := os.MkdirAll(d.Config.Data, 0o700); err != nil {
		return fmt.Errorf("opening the data folder: %w", err)
	}
	var err error
	if d.journal, err = journal.Open(d.data("journal.db")); err != nil {
		return err
	}
	keys, err := receiptKeys(d.Config.CentralKeys)
	if err != nil {
		return errors.Join(err, d.journal.Close())
	}
	d.outbox = &outbox.Outbox{Dir: d.data("outbox"), ReceiptKeys: keys, OnReceipt: d.receipted, Log: d.log, Now: d.Now}
	return nil
}

func receiptKeys(files []string) ([]*ecdsa.PublicKey, error) {
	var keys []*ecdsa.PublicKey
	for _, file := range files {
		key, err := identity.LoadPublicKey(file)
		if err != nil {
			return nil, fmt.Errorf("reading central_keys: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// openLines prepares the calls to queue and central service. Nothing is dialled.
func (d *Daemon) openLines() error {
	d.queue = &station.Client{BaseURL: d.Config.Queue, HTTP: d.client(identity.RoleQueue)}
	d.link = &station.Link{URL: d.Config.Queue, TLS: d.identity.Client(identity.RoleQueue), Version: d.Version, Log: d.log}
	d.pusher = &outbox.TusPusher{URL: d.Config.Central, Client: d.client(identity.RoleCentral)}
	// The outbox ends purges that a crash cut short, and tells of them over the line.
	if err := d.outbox.Open(); err != nil {
		return errors.Join(err, d.journal.Close())
	}
	return nil
}
