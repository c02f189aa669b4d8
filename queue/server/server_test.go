package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"loket/kiosk/biometric"
	"loket/kiosk/identity"
	"loket/queue"
	"loket/queue/station"
	"loket/queue/store"
)

// authority issues certificates for tests.
type authority struct {
	t      testing.TB
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	serial int64
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.key, a.cert = a.sign(template)
	return a
}

func (a *authority) sign(template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

func (a *authority) issue(name, centre string, units ...string) *identity.Identity {
	a.t.Helper()
	key, cert := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: []string{centre}, OrganizationalUnit: units},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	})
	peer, err := identity.PeerOf(cert)
	if err != nil {
		a.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &identity.Identity{Peer: peer, Roots: roots, Signer: key,
		Certificate: tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}}
}

// centre is a queue that runs, with those who call it.
type centre struct {
	t         testing.TB
	authority *authority
	server    *Server
	url       string
	log       *lockedBuffer
	stop      func() error // ends the server and waits
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newCentre(t testing.TB) *centre { return newCentreWith(t, store.Options{}, nil) }

// newCentreWith has a listener for browsers too where one is given.
func newCentreWith(t testing.TB, o store.Options, browsers net.Listener) *centre {
	t.Helper()
	c := &centre{t: t, authority: newAuthority(t), log: &lockedBuffer{}}
	feed := &Feed{}
	o.Watch = feed.Event
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "queue.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.url = "https://" + listener.Addr().String()
	c.server = &Server{Store: st, Feed: feed, Identity: c.authority.issue("queue", "Centre", "queue"), Version: "test",
		Log: slog.New(slog.NewJSONHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if browsers != nil {
		c.server.Console = &Console{Listener: browsers, Certificate: c.server.Identity.Certificate}
	}
	c.server.Collectors()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.server.Run(ctx, listener) }()
	c.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-ended, st.Close())
	})
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *centre) client(id *identity.Identity) *station.Client {
	transport := &http.Transport{TLSClientConfig: id.Client(identity.RoleQueue), MaxIdleConnsPerHost: 4}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &station.Client{BaseURL: c.url, HTTP: &http.Client{Transport: transport}}
}

func (c *centre) as(name string, role identity.Role) *station.Client {
	return c.client(c.authority.issue(name, "Centre", string(role)))
}

func person(reference, name string) station.AppointmentPerson {
	return station.AppointmentPerson{Reference: reference, Name: name, BirthDate: "1990-02-01",
		Services: []station.AppointmentService{{Service: "residence-permit", Asked: []biometric.Modality{biometric.Face, biometric.Finger}, OnFile: []queue.OnFile{}}}}
}

func (c *centre) put(ref string, persons ...station.AppointmentPerson) station.Visit {
	c.t.Helper()
	v, err := c.as("appointments", identity.RoleAppointments).PutAppointment(c.t.Context(), ref, station.Appointment{Persons: persons})
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

const theSession = "se_aaaaaaaaaaaaaaaa"

var theRecord = strings.Repeat("ab", 32)

func TestFromAppointmentToReceiptAndNoNameOrCodeInTheLog(t *testing.T) {
	c := newCentre(t)
	v := c.put("family-77", person("V-1234567", "Ada Lovelace"))
	issued := v.Persons[0].Tickets[0]
	id := c.authority.issue("kiosk-1", "Centre", "kiosk")
	kiosk := c.client(id)
	link := &station.Link{URL: c.url, TLS: id.Client(identity.RoleQueue), Version: "test"}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { _ = link.Run(ctx) })
	connected(t, link)

	if _, err := kiosk.CheckIn(ctx, "0000000000"); !station.RefusedAs(err, station.ProblemUnknown) {
		t.Errorf("a wrong code: %v", err)
	}
	got, err := kiosk.CheckIn(ctx, string(issued.Code))
	if err != nil {
		t.Fatal(err)
	}
	want := station.Ticket{ID: issued.ID, Number: "A001", Service: "residence-permit", State: queue.Called, Attempt: 1, Station: "kiosk-1",
		Subject: station.Subject{Reference: "V-1234567", BirthDate: "1990-02-01", Initials: "A.L."},
		Asked:   []biometric.Modality{biometric.Face, biometric.Finger}, OnFile: []queue.OnFile{}, Changed: got.Changed}
	if !reflect.DeepEqual(got, want) {
		a, _ := json.Marshal(got)
		t.Errorf("the kiosk sees %s", a)
	}
	for _, e := range []station.Event{
		{Event: queue.EventStarted, Session: theSession, Attempt: 1, At: time.Now()},
		{Event: queue.EventCompleted, Session: theSession, Attempt: 1, Record: theRecord, At: time.Now()},
		{Event: queue.EventCompleted, Session: theSession, Attempt: 1, Record: theRecord, At: time.Now()},
	} {
		if effect, err := kiosk.Report(ctx, got.ID, e); err != nil || effect.Effect != queue.Applied {
			t.Fatalf("%s: %+v, %v", e.Event, effect, err)
		}
	}
	_, messages, stop := c.server.Feed.Subscribe()
	defer stop()
	err = link.Tell(station.Fact{Kind: station.FactReceipted, Ticket: got.ID, Session: theSession, Attempt: 1, Record: theRecord, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for m := range messages {
		if m.Event != nil && m.Event.Kind == station.FactReceipted {
			break
		}
	}
	for _, from := range []string{got.ID, theSession, theRecord} {
		chain, err := kiosk.Chain(ctx, from)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, f := range chain.Facts {
			kinds = append(kinds, f.Kind)
		}
		if want := []string{"issued", "checked-in", "started", "completed", "receipted"}; !reflect.DeepEqual(kinds, want) || chain.Ticket.State != queue.Done {
			t.Errorf("the chain from %s: %v, %s", from, kinds, chain.Ticket.State)
		}
	}
	again := c.put("family-77", person("V-1234567", "Ada Lovelace"))
	if again.ID != v.ID || again.Persons[0].Tickets[0].Record != theRecord || again.Persons[0].Tickets[0].Code != issued.Code {
		t.Error("the appointment put again is not the same with its record")
	}
	cancel()
	work.Wait()
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	log := c.log.String()
	for _, secret := range []string{"Ada", "Lovelace", "V-1234567", "1990-02", string(issued.Code), "0000000000", "family-77", "A.L."} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q: %s", secret, log)
		}
	}
	if !strings.Contains(log, got.ID) || !strings.Contains(log, "POST /v1/tickets/checkin") {
		t.Errorf("the log says nothing: %s", log)
	}
}

func connected(t *testing.T, l *station.Link) {
	t.Helper()
	for {
		up, changed := l.Connected()
		if up {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("the line never came up")
		}
	}
}

func TestEachRoleDoesOnlyItsOwn(t *testing.T) {
	c := newCentre(t)
	v := c.put("one", person("V-1", "Ada Lovelace"), person("V-2", "Bob"))
	ctx := t.Context()
	one, two := c.as("kiosk-1", identity.RoleKiosk), c.as("kiosk-2", identity.RoleKiosk)
	desk, partner := c.as("desk-1", identity.RoleDesk), c.as("appointments", identity.RoleAppointments)
	other := c.as("another", identity.RoleAppointments)
	mine, err := one.Call(ctx, station.Call{RequestID: "request-1"})
	if err != nil {
		t.Fatal(err)
	}
	forbidden := func(what string, err error) {
		t.Helper()
		if !station.RefusedAs(err, station.ProblemForbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	unknown := func(what string, err error) {
		t.Helper()
		if !station.RefusedAs(err, station.ProblemUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = one.PutAppointment(ctx, "x", station.Appointment{Persons: []station.AppointmentPerson{person("V-3", "C")}})
	forbidden("a kiosk puts an appointment", err)
	_, err = partner.Call(ctx, station.Call{RequestID: "request-1"})
	forbidden("an appointment system calls", err)
	_, err = partner.CheckIn(ctx, string(v.Persons[0].Tickets[0].Code))
	forbidden("an appointment system checks in", err)
	_, err = partner.Tickets(ctx)
	forbidden("an appointment system lists tickets", err)
	forbidden("a kiosk resumes its own entry", one.ResumeEntry(ctx, "kiosk-1", "staff"))
	_, err = two.Ticket(ctx, mine.ID)
	unknown("another kiosk looks at a ticket", err)
	_, err = two.Chain(ctx, mine.ID)
	unknown("another kiosk traces a ticket", err)
	_, err = two.Decide(ctx, mine.ID, station.Decision{Decision: queue.ActPark, Attendant: "staff"})
	unknown("another kiosk parks a ticket", err)
	_, err = other.Chain(ctx, mine.ID)
	unknown("another system traces a ticket", err)
	if _, err := partner.Chain(ctx, mine.ID); err != nil {
		t.Errorf("its own system traces a ticket: %v", err)
	}
	if seen, err := desk.Ticket(ctx, mine.ID); err != nil || seen.Subject.Name != "Ada Lovelace" {
		t.Errorf("the desk sees %q, %v", seen.Subject.Name, err)
	}
	if list, err := one.Tickets(ctx); err != nil || len(list) != 1 || list[0].ID != mine.ID || list[0].Subject.Name != "" {
		t.Errorf("the kiosk lists %v, %v", list, err)
	}
	if _, err := c.client(c.authority.issue("q", "Centre", "queue")).Health(ctx); err != nil {
		t.Errorf("health: %v", err)
	}
}

func TestWhoIsNotOfThisCentreIsRefused(t *testing.T) {
	c := newCentre(t)
	for name, id := range map[string]*identity.Identity{
		"another centre":  c.authority.issue("kiosk-1", "Elsewhere", "kiosk"),
		"a demonstration": c.authority.issue("kiosk-1", "Centre", "kiosk", "demo"),
	} {
		_, err := c.client(id).Tickets(t.Context())
		if !station.RefusedAs(err, station.ProblemForbidden) {
			t.Errorf("%s: %v", name, err)
		}
		link := &station.Link{URL: c.url, TLS: id.Client(identity.RoleQueue)}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_ = link.Run(ctx)
		if up, _ := link.Connected(); up || len(c.server.hub.Stations()) != 0 {
			t.Errorf("%s has a line", name)
		}
		cancel()
	}
	foreign := newAuthority(t).issue("kiosk-1", "Centre", "kiosk")
	foreign.Roots = c.authority.issue("x", "Centre", "kiosk").Roots
	if _, err := c.client(foreign).Tickets(t.Context()); err == nil || station.Refused(err) {
		t.Errorf("a certificate of another authority: %v", err)
	}
	bare := foreign.Client(identity.RoleQueue)
	bare.Certificates = nil
	if _, err := (&station.Client{BaseURL: c.url, HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: bare}}}).Tickets(t.Context()); err == nil {
		t.Error("no certificate: served")
	}
	old := c.authority.issue("kiosk-1", "Centre", "kiosk").Client(identity.RoleQueue)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, err := (&station.Client{BaseURL: c.url, HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: old}}}).Tickets(t.Context()); err == nil {
		t.Error("TLS 1.2: served")
	}
}

func TestTwentyStationsGetEachTicketOnce(t *testing.T) {
	c := newCentre(t)
	var persons []station.AppointmentPerson
	for i := range 40 {
		persons = append(persons, person(fmt.Sprint("V-", i), "Someone"))
	}
	c.put("group", persons...)
	var mu sync.Mutex
	got := map[string]string{}
	var work sync.WaitGroup
	for i := range 20 {
		kiosk := c.as(fmt.Sprint("kiosk-", i), identity.RoleKiosk)
		work.Go(func() {
			for n := range 3 {
				request := station.Call{RequestID: fmt.Sprint("request-", n)}
				ticket, err := kiosk.Call(t.Context(), request)
				if errors.Is(err, station.ErrNobody) {
					return
				}
				again, errAgain := kiosk.Call(t.Context(), request)
				if err != nil || errAgain != nil || again.ID != ticket.ID {
					t.Errorf("%v, %v", err, errAgain)
					return
				}
				mu.Lock()
				if other := got[ticket.ID]; other != "" {
					t.Errorf("ticket %s went to %s too", ticket.ID, other)
				}
				got[ticket.ID] = ticket.Station
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if len(got) != 40 {
		t.Errorf("%d of 40 were called", len(got))
	}
}

func TestFiveWrongCodesPauseAStationUntilADeskResumes(t *testing.T) {
	c := newCentre(t)
	code := string(c.put("one", person("V-1", "Ada")).Persons[0].Tickets[0].Code)
	kiosk, desk := c.as("kiosk-1", identity.RoleKiosk), c.as("desk-1", identity.RoleDesk)
	for n := range 5 {
		_, err := kiosk.CheckIn(t.Context(), "AAAAAAAAAA")
		if want := map[bool]string{false: station.ProblemUnknown, true: station.ProblemEntryPaused}[n == 4]; !station.RefusedAs(err, want) {
			t.Errorf("try %d: %v", n+1, err)
		}
	}
	_, err := kiosk.CheckIn(t.Context(), code)
	var refusal *station.Refusal
	if !errors.As(err, &refusal) || refusal.Problem.Status != http.StatusTooManyRequests || !refusal.Temporary() || refusal.Problem.Hint == "" {
		t.Errorf("the right code while paused: %v", err)
	}
	if err := desk.ResumeEntry(t.Context(), "kiosk-1", "staff-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := kiosk.CheckIn(t.Context(), code); err != nil {
		t.Errorf("after the desk resumed: %v", err)
	}
}

func TestADecisionReachesTheStationThatHasTheTicket(t *testing.T) {
	c := newCentre(t)
	c.put("one", person("V-1", "Ada"))
	id := c.authority.issue("kiosk-1", "Centre", "kiosk")
	kiosk, desk := c.client(id), c.as("desk-1", identity.RoleDesk)
	link := &station.Link{URL: c.url, TLS: id.Client(identity.RoleQueue)}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { _ = link.Run(ctx) })
	connected(t, link)
	ticket, err := kiosk.Call(ctx, station.Call{RequestID: "request-1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kiosk.Report(ctx, ticket.ID, station.Event{Event: queue.EventStarted, Session: theSession, Attempt: 1, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	_, err = desk.Decide(ctx, ticket.ID, station.Decision{Decision: queue.ActPark, Attendant: "staff-1"})
	if !station.RefusedAs(err, station.ProblemOutOfPlace) {
		t.Errorf("parking what is served: %v", err)
	}
	after, err := desk.Decide(ctx, ticket.ID, station.Decision{Decision: queue.ActRequeue, Attendant: "staff-1", Reason: "kiosk frozen"})
	if err != nil || after.State != queue.Waiting || after.Attempt != 2 {
		t.Fatalf("%v, %v", after, err)
	}
	command := <-link.Commands()
	if command.Verb() != "cancel" || command.Session() != theSession || command.Author != "staff-1" {
		t.Errorf("the station was told %+v", command)
	}
	if err := link.Answer(station.Answer{Command: command.ID, Done: true}); err != nil {
		t.Fatal(err)
	}
	late, err := kiosk.Report(ctx, ticket.ID, station.Event{Event: queue.EventCancelled, Session: theSession, Attempt: 1, At: time.Now()})
	if err != nil || late.Effect != queue.Stale {
		t.Errorf("the station's own report then: %+v, %v", late, err)
	}
}

func TestEndingClosesLinesAndAnswersNoMore(t *testing.T) {
	c := newCentre(t)
	id := c.authority.issue("kiosk-1", "Centre", "kiosk")
	link := &station.Link{URL: c.url, TLS: id.Client(identity.RoleQueue)}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { _ = link.Run(ctx) })
	connected(t, link)
	_, changed := link.Connected()
	_, messages, stop := c.server.Feed.Subscribe()
	defer stop()
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	<-changed
	for range messages { // it ends
	}
	if _, err := c.client(id).Health(ctx); err == nil || station.Refused(err) {
		t.Errorf("an ended queue answers: %v", err)
	}
}

// schemas reads docs/api/queued.yaml as JSON schemas.
func schemas(t *testing.T) func(name string) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile("../../docs/api/queued.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return schemasOf(t, data)
}

// schemasOf gives the schemas of an OpenAPI description.
func schemasOf(t *testing.T, data []byte) func(name string) *jsonschema.Schema {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(nullable(doc))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("api.json", tree); err != nil {
		t.Fatal(err)
	}
	return func(name string) *jsonschema.Schema {
		s, err := compiler.Compile("api.json#/components/schemas/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// nullable turns OpenAPI 3.0's nullable into JSON Schema's null type.
func nullable(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, m := range v {
			v[k] = nullable(m)
		}
		if v["nullable"] == true {
			v["type"] = []any{v["type"], "null"}
		}
	case []any:
		for i, m := range v {
			v[i] = nullable(m)
		}
	}
	return v
}

func TestAnswersAreAsTheAPISays(t *testing.T) {
	c := newCentre(t)
	schema := schemas(t)
	id := c.authority.issue("kiosk-1", "Centre", "kiosk")
	partner := c.authority.issue("appointments", "Centre", "appointments")
	raw := func(as *identity.Identity, method, path, body string) (int, string, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := c.client(as).HTTP.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header.Get("Content-Type"), data
	}
	valid := func(name string, data []byte) {
		t.Helper()
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema(name).Validate(v); err != nil {
			t.Errorf("%s: %v\n%s", name, err, data)
		}
	}
	good := `{"persons":[{"reference":"V-1","name":"Ada","birth_date":"1990-02-01","services":[{"service":"residence-permit","asked":null}]}]}`
	status, _, data := raw(partner, "PUT", "/v1/appointments/one", good)
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, data)
	}
	valid("Visit", data)
	if status, _, _ = raw(partner, "PUT", "/v1/appointments/one", good); status != http.StatusOK {
		t.Errorf("put again: %d", status)
	}
	status, _, data = raw(id, "POST", "/v1/calls", `{"request_id":"request-1"}`)
	if status != http.StatusOK || !bytes.Contains(data, []byte(`"on_file":null`)) || bytes.Contains(data, []byte("code")) {
		t.Errorf("%d %s", status, data)
	}
	valid("Ticket", data)
	var ticket station.Ticket
	if err := json.Unmarshal(data, &ticket); err != nil {
		t.Fatal(err)
	}
	if status, _, data = raw(id, "POST", "/v1/calls", `{"request_id":"request-2"}`); status != http.StatusNoContent || len(data) != 0 {
		t.Errorf("nobody waits: %d %s", status, data)
	}
	_, _, data = raw(id, "POST", "/v1/tickets/"+ticket.ID+"/events", `{"event":"started","session":"`+theSession+`","attempt":1,"at":"2026-03-02T09:00:00Z"}`)
	valid("Effect", data)
	_, _, data = raw(id, "GET", "/v1/chain/"+ticket.ID, "")
	valid("Chain", data)
	_, _, data = raw(id, "GET", "/v1/health", "")
	valid("Health", data)

	huge := `{"persons":[{"reference":"V-1","name":"` + strings.Repeat("x", maxBody) + `"}]}`
	for name, x := range map[string]struct {
		as                 *identity.Identity
		method, path, body string
		status             int
	}{
		"unknown member":   {id, "POST", "/v1/calls", `{"request_id":"request-3","me":"kiosk-2"}`, 400},
		"something after":  {id, "POST", "/v1/calls", `{"request_id":"request-3"}{}`, 400},
		"no JSON":          {id, "POST", "/v1/calls", `call`, 400},
		"wrong kind":       {id, "POST", "/v1/calls", `{"request_id":3}`, 400},
		"empty":            {id, "POST", "/v1/calls", ``, 400},
		"short request":    {id, "POST", "/v1/calls", `{"request_id":"1"}`, 422},
		"bad ticket":       {id, "POST", "/v1/calls", `{"request_id":"request-3","ticket":"1"}`, 422},
		"no such ticket":   {id, "POST", "/v1/calls", `{"request_id":"request-3","ticket":"tk_bbbbbbbbbbbbbbbb"}`, 404},
		"no event":         {id, "POST", "/v1/tickets/" + ticket.ID + "/events", `{"event":"exploded","attempt":1,"at":"2026-03-02T09:00:00Z"}`, 422},
		"no time":          {id, "POST", "/v1/tickets/" + ticket.ID + "/events", `{"event":"lost","attempt":1}`, 422},
		"event, no ticket": {id, "POST", "/v1/tickets/tk_bbbbbbbbbbbbbbbb/events", `{"event":"lost","attempt":1,"at":"2026-03-02T09:00:00Z"}`, 404},
		"no attendant":     {id, "POST", "/v1/tickets/" + ticket.ID + "/decisions", `{"decision":"park"}`, 422},
		"no such call":     {id, "GET", "/v2/anything", "", 404},
		"wrong method":     {id, "DELETE", "/v1/calls", "", 404},
		"too large":        {partner, "PUT", "/v1/appointments/one", huge, 413},
		"bad reference":    {partner, "PUT", "/v1/appointments/a%20b", good, 422},
		"unknown service":  {partner, "PUT", "/v1/appointments/two", strings.Replace(good, "residence-permit", "haircut", 1), 422},
		"control":          {partner, "PUT", "/v1/appointments/two", strings.Replace(good, `"name":"`, `"name":"\u001b[2J`, 1), 422},
		"turned writing":   {partner, "PUT", "/v1/appointments/two", strings.Replace(good, `"name":"`, `"name":"\u202e`, 1), 422},
		"nobody comes":     {partner, "PUT", "/v1/appointments/two", `{"persons":[]}`, 422},
		"no link upgrade":  {id, "GET", "/v1/station/link", "", 400},
	} {
		status, media, data := raw(x.as, x.method, x.path, x.body)
		if status != x.status {
			t.Errorf("%s: %d %s, want %d", name, status, data, x.status)
		}
		if name == "no link upgrade" {
			continue // the WebSocket library answers
		}
		valid("Problem", data)
		if media != "application/problem+json" || !bytes.Contains(data, []byte(`"hint":"`)) || bytes.Contains(data, []byte("Ada")) {
			t.Errorf("%s: %s %s", name, media, data)
		}
	}
}

func TestAViewThatFallsBehindIsCutOffAndOthersGoOn(t *testing.T) {
	f := &Feed{}
	from, slow, stopSlow := f.Subscribe()
	defer stopSlow()
	_, quick, stopQuick := f.Subscribe()
	for i := range maxBehind + 1 {
		f.Event(store.Event{Sequence: int64(i)})
		if m := <-quick; m.Sequence != from+uint64(i)+1 {
			t.Fatalf("message %d has sequence %d", i, m.Sequence)
		}
	}
	n := 0
	for range slow {
		n++
	}
	if n != maxBehind {
		t.Errorf("the slow view got %d", n)
	}
	stopQuick()
	if _, open := <-quick; open {
		t.Error("a stopped view is open")
	}
	f.Close()
	if _, late, _ := f.Subscribe(); !slices.Equal(drain(late), nil) {
		t.Error("a feed that ended gives messages")
	}
}

func drain(c <-chan Message) []uint64 {
	var got []uint64
	for m := range c {
		got = append(got, m.Sequence)
	}
	return got
}

func FuzzBodies(f *testing.F) {
	f.Add([]byte(`{"persons":[{"reference":"V-1","name":"Ada","birth_date":"1990-02-01","services":[{"service":"residence-permit","on_file":[{"modality":"finger","position":2,"date":"2025-01-01","source":"x"}]}]}]}`))
	f.Add([]byte(`{"at":"2026-01-01T00:00:00Z","persons":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "/", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		var a station.Appointment
		if err := read(nil, r, &a); err != nil {
			var refusal *station.Refusal
			if !errors.As(err, &refusal) || refusal.Problem.Status/100 != 4 || refusal.Problem.Hint == "" {
				t.Errorf("%v", err)
			}
			return
		}
		_ = checkAppointment("ref", a)
	})
}
