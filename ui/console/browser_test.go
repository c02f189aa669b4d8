package console_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/biometric"
	"loket/kiosk/identity"
	"loket/queue"
	"loket/queue/server"
	"loket/queue/station"
	"loket/queue/store"
	"loket/ui/console"
)

const password = "four words that differ"

// TestStaffWorkWithTheConsole runs test/console.mjs, which is staff at Chromium, against a queue with scripted stations.
func TestStaffWorkWithTheConsole(t *testing.T) {
	if os.Getenv("LOKET_CONSOLE") == "" {
		t.Skip("no browser is asked for (hint: make test-console)")
	}
	if _, built := console.Page(); !built {
		t.Skip("the console is not built: nodejs and npm are not here")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not here")
	}
	shots, err := filepath.Abs("../../run/console")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}
	c := newCentre(t)
	for _, name := range []string{"kiosk-01", "kiosk-02"} {
		c.station(name, identity.RoleKiosk)
	}
	c.station("desk-01", identity.RoleDesk)
	for i, name := range []string{"Ada Lovelace", "Amina Yusuf", "Bao Nguyen", "Carla de Vries", "Dmitri Ivanov", "Eun-ji Kim"} {
		c.appointment(i, name, "residence-permit")
	}
	c.appointment(20, "Fatou Diop", "registration")
	cmd := exec.CommandContext(t.Context(), "node", "test/console.mjs")
	cmd.Env = append(os.Environ(), "CONSOLE="+c.browsers, "PASSWORD="+password, "SHOTS="+shots, "CHROMIUM="+chromium, "PROFILE="+t.TempDir())
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// centre is a queue with its listeners, and the stations that follow a script.
type centre struct {
	t        *testing.T
	pki      *stage.PKI
	stations string // URL
	browsers string // URL
	ctx      context.Context
	work     sync.WaitGroup

	mu     sync.Mutex
	byName map[string]*actor
}

func newCentre(t *testing.T) *centre {
	t.Helper()
	dir := t.TempDir()
	pki, err := stage.NewPKI(filepath.Join(dir, "keys"), "Expatcentrum", true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &centre{t: t, pki: pki, ctx: ctx, byName: map[string]*actor{}}
	feed := &server.Feed{}
	municipal := queue.Service{ID: "registration", Name: "Registration with the municipality", Prefix: "B", Organisation: "municipality"}
	st, err := store.Open(ctx, filepath.Join(dir, "queue.db"), store.Options{Watch: feed.Event, Early: time.Hour,
		Services: []queue.Service{queue.ResidencePermit(), municipal}, Cost: store.Cost{Time: 1, Memory: 8 << 10, Lanes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for login, roles := range map[string]string{"officer": "immigration-officer@immigration-service", "clerk": "municipal-clerk@municipality",
		"attendant": "attendant", "attendant2": "attendant"} {
		m, err := queue.ParseMembership(roles)
		if err == nil {
			_, err = st.AddAccount(ctx, queue.Account{Login: login, Roles: []queue.Membership{m}}, password)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	id := c.identity("queue", identity.RoleQueue)
	forStations, browsers := listen(t), listen(t)
	c.stations, c.browsers = "https://"+forStations.Addr().String(), "https://"+browsers.Addr().String()
	srv := &server.Server{Store: st, Feed: feed, Identity: id, Version: "test", Log: slog.New(slog.DiscardHandler),
		Console: &server.Console{Listener: browsers, Certificate: id.Certificate}}
	srv.Collectors()
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx, forStations) }()
	t.Cleanup(func() {
		stop()
		c.work.Wait()
		if err := errors.Join(<-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (c *centre) identity(name string, role identity.Role) *identity.Identity {
	c.t.Helper()
	if _, err := c.pki.Issue(name, role); err != nil {
		c.t.Fatal(err)
	}
	id, err := c.pki.Identity(name)
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

func (c *centre) client(id *identity.Identity) *station.Client {
	transport := &http.Transport{TLSClientConfig: id.Client(identity.RoleQueue)}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &station.Client{BaseURL: c.stations, HTTP: &http.Client{Transport: transport}}
}

func (c *centre) appointment(n int, name, service string) {
	c.t.Helper()
	partner := c.client(c.identity(fmt.Sprintf("partner-%d", n), identity.RoleAppointments))
	_, err := partner.PutAppointment(c.t.Context(), fmt.Sprintf("visit-%d", n), station.Appointment{
		At: time.Now().Add(time.Duration(n) * time.Minute),
		Persons: []station.AppointmentPerson{{Reference: fmt.Sprintf("V-%07d", 1234567+n), Name: name, BirthDate: "1990-02-01",
			Services: []station.AppointmentService{{Service: service, Asked: []biometric.Modality{biometric.Face, biometric.Finger}, OnFile: []queue.OnFile{}}}}}})
	if err != nil {
		c.t.Fatal(err)
	}
}

// actor is a station that plays its part: whoever is called there asks for help at the fingers, and is done when helped.
type actor struct {
	*centre
	name   string
	link   *station.Link
	client *station.Client

	mu      sync.Mutex
	locked  bool
	sitting *station.SessionStatus
	ledger  biometric.Ledger
}

func (c *centre) station(name string, role identity.Role) {
	id := c.identity(name, role)
	a := &actor{centre: c, name: name, client: c.client(id), link: &station.Link{URL: c.stations, TLS: id.Client(identity.RoleQueue), Version: "test"}}
	c.mu.Lock()
	c.byName[name] = a
	c.mu.Unlock()
	a.show()
	a.link.SetVerdicts([]station.DeviceVerdict{{Identity: "scanner-1", Kind: "fingerprint-scanner", Model: "slap60", State: "ready", Simulated: true},
		{Identity: "camera-1", Kind: "camera", Model: "ptpcam", State: "ready", Simulated: true}})
	c.work.Go(func() { _ = a.link.Run(c.ctx) })
	c.work.Go(a.play)
}

func (a *actor) show() {
	s := station.Status{Ready: !a.locked && a.sitting == nil, Locked: a.locked, At: time.Now()}
	if a.sitting != nil {
		now := *a.sitting
		s.Session = &now
		if err := a.link.SetLedger(now.ID, now.Ticket, now.Attempt, a.ledger); err != nil {
			a.t.Error(err)
		}
	}
	a.link.SetStatus(s)
}

func (a *actor) play() {
	for {
		select {
		case <-a.ctx.Done():
			return
		case c := <-a.link.Commands():
			answer := station.Answer{Command: c.ID, Done: true}
			if err := a.obey(c); err != nil {
				answer.Done, answer.Reason = false, err.Error()
			}
			_ = a.link.Answer(answer) // it came
		}
	}
}

func (a *actor) obey(c station.Command) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.show()
	switch {
	case c.Lock != nil:
		a.locked = c.Lock.Locked
		return nil
	case c.Call != nil:
		return a.begin(c)
	case a.sitting == nil || a.sitting.ID != c.Session():
		return errors.New("another session is here")
	case c.Except != nil:
		for _, e := range c.Except.Exceptions {
			if err := a.ledger.Set(biometric.Entry{Position: e.Position, Reason: e.Reason, Permanent: e.Permanent}); err != nil {
				return err
			}
		}
		return nil
	case c.Resume != nil:
		return a.finish()
	case c.Move != nil:
		return a.move(c.Move.Target)
	case c.Cancel != nil:
		return a.end(queue.EventCancelled, func(e *station.Event) { e.Final = c.Cancel.Final })
	}
	return errors.New("this station can't")
}

func (a *actor) begin(c station.Command) error {
	if a.sitting != nil {
		return errors.New("a session is in progress here")
	}
	t, err := a.client.Call(a.ctx, station.Call{RequestID: c.ID, Ticket: c.Call.Ticket})
	if err != nil {
		return err
	}
	a.sitting = &station.SessionStatus{ID: queue.NewID("se"), Ticket: t.ID, Attempt: t.Attempt, State: "assistance", Step: "fingers", Help: true, Since: time.Now()}
	a.ledger = biometric.NewLedger()
	for _, p := range []biometric.FingerPosition{biometric.RightIndex, biometric.LeftIndex} {
		a.ledger[p-1].Reason = biometric.Owed
	}
	return a.report(queue.EventStarted, nil)
}

func (a *actor) report(kind queue.Kind, more func(*station.Event)) error {
	e := station.Event{Event: kind, Session: a.sitting.ID, Attempt: a.sitting.Attempt, At: time.Now()}
	if more != nil {
		more(&e)
	}
	_, err := a.client.Report(a.ctx, a.sitting.Ticket, e)
	return err
}

func (a *actor) end(kind queue.Kind, more func(*station.Event)) error {
	err := a.report(kind, more)
	a.sitting = nil
	return err
}

// finish captures what is owed, seals, and gets its receipt.
func (a *actor) finish() error {
	sum := sha256.Sum256([]byte(a.sitting.ID))
	record := hex.EncodeToString(sum[:])
	at := *a.sitting
	if err := a.end(queue.EventCompleted, func(e *station.Event) { e.Record = record }); err != nil {
		return err
	}
	for _, kind := range []string{station.FactSealed, station.FactReceipted, station.FactPurged} {
		if err := a.link.Tell(station.Fact{Kind: kind, Ticket: at.Ticket, Session: at.ID, Attempt: at.Attempt, Record: record, At: time.Now()}); err != nil {
			return err
		}
	}
	return nil
}

// move hands the session over.
func (a *actor) move(to string) error {
	a.centre.mu.Lock()
	target := a.byName[to]
	a.centre.mu.Unlock()
	if target == nil {
		return errors.New("no such station")
	}
	target.mu.Lock()
	defer target.mu.Unlock()
	if target.sitting != nil {
		return errors.New("the station is busy")
	}
	at, ledger := *a.sitting, a.ledger
	if err := a.end(queue.EventHandedOver, func(e *station.Event) { e.Target = to }); err != nil {
		return err
	}
	target.sitting, target.ledger = &at, ledger
	target.show()
	return nil
}
