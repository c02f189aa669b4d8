package console_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/identity"
	"loket/kiosk/session"
	"loket/queue"
	"loket/queue/station"
	"loket/ui/console"
)

// TestStaffWorkWithTheConsole runs test/console.mjs, which is staff at Chromium, against the programs that ship: a self-service
// kiosk and a desk with simulated devices, and two kiosks that only take calls.
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
	for i, name := range []string{"Ada Lovelace", "Amina Yusuf", "Bao Nguyen", "Carla de Vries", "Dmitri Ivanov", "Eun-ji Kim"} {
		c.appointment(i, name, queue.ResidencePermit().ID)
	}
	c.appointment(20, "Fatou Diop", "registration")
	cmd := exec.CommandContext(t.Context(), "node", "test/console.mjs")
	cmd.Env = append(os.Environ(), "CONSOLE="+c.Console(), "SHOTS="+shots, "CHROMIUM="+chromium, "PROFILE="+t.TempDir(), "DESK_HAND="+c.DeskControl())
	for login, role := range map[string]string{"officer": "immigration-officer@immigration-service", "clerk": "municipal-clerk@municipality",
		"attendant": "attendant", "attendant2": "attendant"} {
		password, err := c.Account(t.Context(), login, role)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "PASSWORD_"+login+"="+password)
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// centre is a whole centre with an applicant.
type centre struct {
	*stage.Centre
	t    *testing.T
	ctx  context.Context
	work sync.WaitGroup
}

func newCentre(t *testing.T) *centre {
	t.Helper()
	bin := t.TempDir()
	build := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "loket/kiosk/cmd/kioskd", "loket/kiosk/cmd/central", "loket/queue/cmd/queued", "loket/firmware-sim")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the programs: %v\n%s", err, out)
	}
	permit := queue.ResidencePermit()
	staged, err := stage.New(stage.Options{Dir: filepath.Join(t.TempDir(), "centre"), Bin: bin, Policy: "nl-residence-permit-self-service", Desk: true,
		Reaction: 300 * time.Millisecond, Queue: map[string]any{"call_early": "1h", "services": []map[string]string{
			{"id": permit.ID, "name": permit.Name, "prefix": permit.Prefix, "organisation": permit.Organisation},
			{"id": "registration", "name": "Registration with the municipality", "prefix": "B", "organisation": "municipality"}}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &centre{Centre: staged, t: t, ctx: ctx}
	t.Cleanup(func() {
		stop()
		c.work.Wait()
		staged.KillAll()
	})
	if err := staged.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kiosk-02", "kiosk-03"} {
		c.caller(name)
	}
	c.work.Go(func() { c.applicant(staged.Kiosk) })
	c.work.Go(func() { c.applicant(staged.Counter) })
	return c
}

func (c *centre) appointment(n int, name, service string) {
	c.t.Helper()
	_, err := c.Book(c.t.Context(), stage.Booking{Reference: fmt.Sprintf("V-%07d", 1234567+n), Name: name, Service: service,
		At: time.Now().Add(time.Duration(n) * time.Second)})
	if err != nil {
		c.t.Fatal(err)
	}
}

// applicant touches a station's screen as the person would: who comes to the fingers for the first time asks for help.
func (c *centre) applicant(at *api.Client) {
	asked := map[string]bool{}
	for c.ctx.Err() == nil {
		err := at.Watch(c.ctx, func(st api.Status) error {
			s := st.Session
			if s == nil {
				return nil
			}
			e := session.Event{By: session.Screen}
			switch step, _ := s.Current(); {
			case s.State == session.Called:
				e.Kind = session.Arrived
			case s.State == session.Confirming:
				e.Kind = session.Confirmed
			case s.State == session.Reviewing:
				e.Kind = session.Approved
			case s.State == session.Capturing && step.Modality == biometric.Finger && !asked[s.ID] && !st.Desk:
				e.Kind, asked[s.ID] = session.Help, true
			default:
				return nil
			}
			_, err := at.Do(c.ctx, api.Command{Event: &e, Session: s.ID})
			var refused *api.Error
			if errors.As(err, &refused) {
				return nil
			}
			return err
		})
		if err != nil && c.ctx.Err() == nil {
			c.t.Error(err)
			return
		}
	}
}

// caller is a station that takes calls, and nothing more.
func (c *centre) caller(name string) {
	c.t.Helper()
	if _, err := c.PKI.Issue(name, identity.RoleKiosk); err != nil {
		c.t.Fatal(err)
	}
	id, err := c.PKI.Identity(name)
	if err != nil {
		c.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: id.Client(identity.RoleQueue)}
	c.t.Cleanup(transport.CloseIdleConnections)
	client := &station.Client{BaseURL: c.Stations(), HTTP: &http.Client{Transport: transport}}
	link := &station.Link{URL: c.Stations(), TLS: id.Client(identity.RoleQueue), Version: "test"}
	link.SetStatus(station.Status{Ready: true, At: time.Now(), Warnings: []station.Trouble{{Code: "booth-sides", Text: "the sides differ by 40 %"}}})
	c.work.Go(func() { _ = link.Run(c.ctx) })
	c.work.Go(func() {
		for {
			select {
			case <-c.ctx.Done():
				return
			case o := <-link.Commands():
				answer := station.Answer{Command: o.ID, Done: true}
				switch {
				case o.Call != nil:
					if _, err := client.Call(c.ctx, station.Call{RequestID: o.ID, Ticket: o.Call.Ticket}); err != nil {
						answer.Done, answer.Reason = false, err.Error()
					}
				case o.Lock != nil:
					link.SetStatus(station.Status{Ready: !o.Lock.Locked, Locked: o.Lock.Locked, At: time.Now()})
				}
				_ = link.Answer(answer) // it came
			}
		}
	})
}
