package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"loket/kiosk/biometric"
	"loket/kiosk/identity"
	"loket/queue"
	"loket/queue/station"
	"loket/queue/store"
)

const password = "four words that differ"

// staffed is a centre with a console and its staff.
type staffed struct {
	*centre
	browsers string // URL
}

func newStaffed(t *testing.T) *staffed {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	municipal := queue.Service{ID: "registration", Name: "Registration", Prefix: "B", Organisation: "municipality"}
	c := &staffed{browsers: "https://" + listener.Addr().String(), centre: newCentreWith(t, store.Options{
		Services: []queue.Service{queue.ResidencePermit(), municipal}, Cost: store.Cost{Time: 1, Memory: 8, Lanes: 1}}, listener)}
	for login, role := range map[string]string{"officer": "immigration-officer@immigration-service", "clerk": "municipal-clerk@municipality",
		"attendant": "attendant", "attendant2": "attendant", "supervisor": "supervisor"} {
		m, err := queue.ParseMembership(role)
		if err == nil {
			_, err = c.server.Store.AddAccount(t.Context(), queue.Account{Login: login, Roles: []queue.Membership{m}}, password)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// browser is someone's browser.
type browser struct {
	*staffed
	http *http.Client
}

func (c *staffed) browser() *browser {
	c.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: c.server.Identity.Client(identity.RoleQueue)}
	transport.TLSClientConfig.Certificates = nil
	c.t.Cleanup(transport.CloseIdleConnections)
	return &browser{staffed: c, http: &http.Client{Jar: jar, Transport: transport}}
}

func (c *staffed) signedIn(login string) *browser {
	c.t.Helper()
	b := c.browser()
	if status, body := b.do("POST", "/api/session", map[string]string{"login": login, "password": password}); status != http.StatusOK {
		c.t.Fatalf("%s can't sign in: %d %s", login, status, body)
	}
	return b
}

func (b *browser) do(method, path string, body any, headers ...string) (int, string) {
	b.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.browsers+path, bytes.NewReader(data))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(out)
}

// dial asks for a live view as a page of that origin would.
func (b *browser) dial(origin string) (*websocket.Conn, *http.Response, error) {
	tls := b.http.Transport.(*http.Transport).TLSClientConfig
	d := websocket.Dialer{TLSClientConfig: tls, Jar: b.http.Jar}
	return d.DialContext(b.t.Context(), strings.Replace(b.browsers, "https", "wss", 1)+"/api/live", http.Header{"Origin": {origin}})
}

func (b *browser) view() *websocket.Conn {
	b.t.Helper()
	conn, _, err := b.dial(b.browsers)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return conn
}

// wait reads messages until one is as wanted.
func wait(t *testing.T, conn *websocket.Conn, wanted func(consoleMessage) bool) consoleMessage {
	t.Helper()
	for {
		var m consoleMessage
		if err := conn.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
		if wanted(m) {
			return m
		}
	}
}

func snapshot(m consoleMessage) bool { return m.Snapshot != nil }

func wants(service string, name string) station.AppointmentPerson {
	p := person("V-7654321", name)
	p.Services[0].Service = service
	return p
}

// follower is a station that does as it is told.
func (c *staffed) follower(name string, role identity.Role) *station.Link {
	c.t.Helper()
	id := c.authority.issue(name, "Centre", string(role))
	link := &station.Link{URL: c.url, TLS: id.Client(identity.RoleQueue), Version: "test"}
	client := c.client(id)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	c.t.Cleanup(func() { cancel(); work.Wait() })
	link.SetStatus(station.Status{Ready: true, At: time.Now()})
	work.Go(func() { _ = link.Run(ctx) })
	work.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case o := <-link.Commands():
				a := station.Answer{Command: o.ID, Done: true}
				if o.Call != nil {
					if _, err := client.Call(ctx, station.Call{RequestID: o.ID, Ticket: o.Call.Ticket}); err != nil {
						a.Done, a.Reason = false, err.Error()
					}
				}
				_ = link.Answer(a)
			}
		}
	})
	up, changed := link.Connected()
	for !up {
		<-changed
		up, changed = link.Connected()
	}
	return link
}

func (c *staffed) sit(link *station.Link, ticket string) {
	ledger := biometric.NewLedger()
	ledger[1].Reason = biometric.Owed
	if err := link.SetLedger(theSession, ticket, 1, ledger); err != nil {
		c.t.Fatal(err)
	}
	link.SetStatus(station.Status{At: time.Now(), Warnings: []station.Trouble{{Code: "booth-lamps", Text: "dark", Hint: "look at the lamps"}}, Session: &station.SessionStatus{ID: theSession, Ticket: ticket, Attempt: 1, State: "assistance",
		Help: true, Since: time.Now()}})
}

func TestWhoSeesAndDoesWhat(t *testing.T) {
	c := newStaffed(t)
	permit := c.put("permit", wants("residence-permit", "Ada Lovelace")).Persons[0].Tickets[0].ID
	parked := c.put("parked", wants("residence-permit", "Bao Nguyen")).Persons[0].Tickets[0].ID
	registration := c.put("registration", wants("registration", "Fatou Diop")).Persons[0].Tickets[0].ID
	link := c.follower("kiosk-1", identity.RoleKiosk)
	if _, err := c.as("kiosk-1", identity.RoleKiosk).Call(t.Context(), station.Call{RequestID: "request-1", Ticket: permit}); err != nil {
		t.Fatal(err)
	}
	c.sit(link, permit)
	order := func(member string) map[string]any {
		verbs := map[string]any{
			"except": map[string]any{"session": theSession, "exceptions": []any{map[string]any{"position": 2, "reason": "missing", "permanent": true, "attendant": "forged"}}},
			"resume": map[string]any{"session": theSession}, "lock": map[string]any{"locked": true}}
		return map[string]any{"id": "order-" + member + "-1", member: verbs[member]}
	}
	type table struct {
		tickets                           []string // that are seen
		names                             bool
		ledger                            bool
		park, clerks, assist, lock, entry int // statuses
	}
	for login, want := range map[string]table{
		"officer":    {[]string{permit, parked}, true, true, 200, 404, 200, 403, 403},
		"clerk":      {[]string{registration}, true, false, 404, 200, 404, 403, 403},
		"attendant":  {[]string{permit, parked, registration}, false, true, 200, 200, 200, 200, 204},
		"supervisor": {[]string{permit, parked, registration}, false, true, 200, 200, 200, 200, 204},
	} {
		b := c.signedIn(login)
		conn := b.view()
		s := wait(t, conn, snapshot).Snapshot
		for len(s.Stations) == 0 || s.Stations[0].Session == nil { // the station's word may be on its way
			s.Stations = []consoleStation{*wait(t, conn, func(m consoleMessage) bool { return m.Station != nil }).Station}
		}
		var seen []string
		names := false
		for _, k := range s.Tickets {
			seen = append(seen, k.ID)
			names = names || k.Name != "" || k.Reference != ""
		}
		slices.Sort(seen)
		slices.Sort(want.tickets)
		if !reflect.DeepEqual(seen, want.tickets) || names != want.names {
			t.Errorf("%s sees %v, names %v", login, seen, names)
		}
		at := s.Stations[0].Session
		if !at.Help || (at.Ledger != nil) != want.ledger || (at.Number != "") != want.ledger || at.Assist != want.ledger {
			t.Errorf("%s sees at the kiosk %+v", login, at)
		}
		got := want
		got.park, _ = b.do("POST", "/api/tickets/"+parked+"/decisions", map[string]string{"decision": "park"})
		if got.park == 200 {
			if status, body := b.do("POST", "/api/tickets/"+parked+"/undo", nil); status != 200 {
				t.Errorf("%s can't take it back: %d %s", login, status, body)
			}
		}
		got.clerks, _ = b.do("GET", "/api/chain/"+registration, nil)
		got.assist, _ = b.do("POST", "/api/stations/kiosk-1/commands", order("except"))
		got.lock, _ = b.do("POST", "/api/stations/kiosk-1/commands", order("lock"))
		got.entry, _ = b.do("POST", "/api/stations/kiosk-1/entry/resume", nil)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: parks, clerk's ticket, assists, locks, resumes entry: %+v, not %+v", login, got, want)
		}
	}
	_, chain := c.signedIn("supervisor").do("GET", "/api/chain/"+permit, nil)
	if !strings.Contains(chain, "except 2:missing:permanent") || strings.Contains(chain, "forged") || strings.Contains(chain, "Ada") {
		t.Errorf("the chain: %s", chain)
	}
}

func TestNobodyWhoIsNotSignedInSeesAnything(t *testing.T) {
	c := newStaffed(t)
	b := c.browser()
	for _, route := range []string{"GET /api/session", "DELETE /api/session", "GET /api/live", "GET /api/chain/tk_aaaaaaaaaaaaaaaa",
		"POST /api/tickets/tk_aaaaaaaaaaaaaaaa/decisions", "POST /api/tickets/tk_aaaaaaaaaaaaaaaa/undo", "POST /api/stations/x/commands",
		"POST /api/stations/x/entry/resume"} {
		method, path, _ := strings.Cut(route, " ")
		if status, body := b.do(method, path, nil); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", route, status, body)
		}
	}
	if status, _ := b.do("GET", "/api/other", nil); status != http.StatusNotFound {
		t.Errorf("a call that does not exist: %d", status)
	}
	if status, body := b.do("GET", "/", nil); status != http.StatusOK || !strings.Contains(body, "<html") {
		t.Errorf("the page: %d", status)
	}
}

func TestTwoConsolesCallTheSameTicketOneWinsTheOtherIsTold(t *testing.T) {
	c := newStaffed(t)
	id := c.put("one", person("V-1", "Ada Lovelace")).Persons[0].Tickets[0].ID
	c.follower("kiosk-1", identity.RoleKiosk)
	c.follower("kiosk-2", identity.RoleKiosk)
	bodies := make([]string, 2)
	statuses := make([]int, 2)
	var both sync.WaitGroup
	for i, login := range []string{"attendant", "attendant2"} {
		b := c.signedIn(login)
		both.Go(func() {
			statuses[i], bodies[i] = b.do("POST", fmt.Sprintf("/api/stations/kiosk-%d/commands", i+1),
				map[string]any{"id": "the-same-id", "call": map[string]string{"ticket": id}})
		})
	}
	both.Wait()
	v, err := c.server.Store.Ticket(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	winner, loser := 0, 1
	if v.Ticket.Station == "kiosk-2" {
		winner, loser = 1, 0
	}
	if statuses[winner] != 200 || statuses[loser] != 409 || !strings.Contains(bodies[loser], "already called at "+v.Ticket.Station) {
		t.Errorf("%s has it: %v %v", v.Ticket.Station, statuses, bodies)
	}
}

func TestWhatAnotherSiteSendsIsRefused(t *testing.T) {
	c := newStaffed(t)
	id := c.put("one", person("V-1", "Ada Lovelace")).Persons[0].Tickets[0].ID
	b := c.signedIn("attendant")
	decide := func(headers ...string) int {
		status, _ := b.do("POST", "/api/tickets/"+id+"/decisions", map[string]string{"decision": "park"}, headers...)
		return status
	}
	for name, headers := range map[string][]string{
		"origin":    {"Origin", "https://example.org"},
		"null":      {"Origin", "null"},
		"fetch":     {"Sec-Fetch-Site", "cross-site"},
		"same-site": {"Sec-Fetch-Site", "same-site"},
	} {
		if status := decide(headers...); status != http.StatusForbidden {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status := decide("Content-Type", "text/plain"); status != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d", status)
	}
	for _, origin := range []string{"https://example.org", "", "null"} {
		if conn, resp, err := b.dial(origin); err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("a live view for %q: %v", origin, err)
			if conn != nil {
				conn.Close()
			}
		}
	}
	if status := decide("Origin", b.browsers, "Sec-Fetch-Site", "same-origin"); status != http.StatusOK {
		t.Errorf("the console itself: %d", status)
	}
}

func TestThePageMayDoLittleAndTheCookieIsGuarded(t *testing.T) {
	c := newStaffed(t)
	b := c.browser()
	req, err := http.NewRequestWithContext(t.Context(), "POST", c.browsers+"/api/session", strings.NewReader(`{"login":"attendant","password":"`+password+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cookies := resp.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%v", cookies)
	}
	k := cookies[0]
	if !k.HttpOnly || !k.Secure || k.SameSite != http.SameSiteStrictMode || k.Path != "/" || k.Domain != "" || !strings.HasPrefix(k.Name, "__Host-") || len(k.Value) < 43 {
		t.Error("the cookie is not guarded")
	}
	csp := resp.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || resp.Header.Get("X-Content-Type-Options") != "nosniff" ||
		resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers: %v", resp.Header)
	}
}

func TestWrongPasswordsAreSlowedDownAndRightOnesNot(t *testing.T) {
	c := newStaffed(t)
	b := c.browser()
	try := func(password string) int {
		status, _ := b.do("POST", "/api/session", map[string]string{"login": "officer", "password": password})
		return status
	}
	for i := range 5 {
		if status := try("not the password"); status != http.StatusUnauthorized {
			t.Fatalf("wrong try %d: %d", i+1, status)
		}
	}
	if status := try(password); status != http.StatusTooManyRequests {
		t.Errorf("after five wrong tries: %d", status)
	}
	c.signedIn("attendant") // a colleague at the same address is not kept out
}

func TestTheThrottle(t *testing.T) {
	var th throttle
	now := time.Now()
	keys := tries("someone", "192.0.2.1")
	for i := range 5 {
		if _, wait := th.try(now, keys); wait != 0 {
			t.Fatalf("try %d waits %s", i+1, wait)
		}
	}
	last := time.Duration(0)
	for range 12 {
		_, wait := th.try(now, keys)
		if wait < last || wait == 0 || wait > longestWait {
			t.Fatalf("waits %s after %s", wait, last)
		}
		last = wait
		now = now.Add(wait)
		forget, again := th.try(now, keys)
		if again != 0 {
			t.Fatalf("after waiting it waits %s more", again)
		}
		_ = forget
	}
	if last != longestWait {
		t.Errorf("the longest wait was %s", last)
	}
	forget, _ := th.try(now.Add(longestWait), keys)
	forget()
	if _, wait := th.try(now.Add(longestWait), keys); wait != 0 {
		t.Errorf("after a right one it waits %s", wait)
	}
	for i := range 3 * maxTrials {
		th.try(now.Add(time.Duration(i)*time.Second), tries(fmt.Sprint("name", i), fmt.Sprint("address", i)))
	}
	if len(th.tries) > maxTrials+3 {
		t.Errorf("it remembers %d", len(th.tries))
	}
}

func TestALiveViewFollowsWithoutGapsAndEndsWithTheLogin(t *testing.T) {
	c := newStaffed(t)
	id := c.put("one", person("V-1", "Ada Lovelace")).Persons[0].Tickets[0].ID
	clerk, b := c.signedIn("clerk"), c.signedIn("attendant")
	blind, conn := clerk.view(), b.view()
	sequence := wait(t, conn, snapshot).Sequence
	hidden := wait(t, blind, snapshot).Sequence
	for _, act := range []string{"park", "recall", "cancel"} {
		if status, body := b.do("POST", "/api/tickets/"+id+"/decisions", map[string]string{"decision": act}); status != 200 {
			t.Fatalf("%s: %d %s", act, status, body)
		}
		m := wait(t, conn, func(consoleMessage) bool { return true })
		if sequence++; m.Sequence != sequence || m.Ticket == nil || m.Event.Kind != act {
			t.Errorf("%s: %+v", act, m)
		}
		m = wait(t, blind, func(consoleMessage) bool { return true })
		if hidden++; m.Sequence != hidden || m.Ticket != nil || m.Event != nil {
			t.Errorf("what the clerk does not see: %+v", m)
		}
	}
	if status, _ := b.do("DELETE", "/api/session", nil); status != http.StatusNoContent {
		t.Fatal(status)
	}
	_, _, err := conn.ReadMessage()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != closeSignedOut {
		t.Errorf("after signing out: %v", err)
	}
	if status, _ := b.do("GET", "/api/session", nil); status != http.StatusUnauthorized {
		t.Errorf("after signing out: %d", status)
	}
}

func TestOrdersThatComeTooLateOrForNobodyAreRefused(t *testing.T) {
	c := newStaffed(t)
	id := c.put("one", person("V-1", "Ada Lovelace")).Persons[0].Tickets[0].ID
	b := c.signedIn("attendant")
	c.follower("kiosk-1", identity.RoleKiosk)
	for name, x := range map[string]struct {
		station string
		body    map[string]any
		status  int
	}{
		"no such station": {"kiosk-9", map[string]any{"id": "order-0001", "call": map[string]any{"ticket": id}}, 404},
		"another session": {"kiosk-1", map[string]any{"id": "order-0002", "resume": map[string]any{"session": theSession}}, 409},
		"no id":           {"kiosk-1", map[string]any{"resume": map[string]any{"session": theSession}}, 422},
		"two verbs":       {"kiosk-1", map[string]any{"id": "order-0003", "resume": map[string]any{"session": theSession}, "lock": map[string]any{"locked": true}}, 422},
		"no verb":         {"kiosk-1", map[string]any{"id": "order-0004"}, 422},
		"unknown member":  {"kiosk-1", map[string]any{"id": "order-0005", "reboot": true}, 400},
		"author forged":   {"kiosk-1", map[string]any{"id": "order-0006", "author": "ac_aaaaaaaaaaaaaaaa", "lock": map[string]any{"locked": true}}, 400},
		"to nowhere":      {"kiosk-1", map[string]any{"id": "order-0007", "move": map[string]any{"session": theSession, "target": "kiosk-1"}}, 422},
	} {
		if status, body := b.do("POST", "/api/stations/"+x.station+"/commands", x.body); status != x.status {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, _ := b.do("POST", "/api/tickets/"+id+"/undo", nil); status != http.StatusConflict {
		t.Errorf("taking back what nobody decided: %d", status)
	}
}

func TestNoNameAndNoSecretOfStaffIsInTheLog(t *testing.T) {
	c := newStaffed(t)
	id := c.put("family-77", wants("residence-permit", "Ada Lovelace")).Persons[0].Tickets[0].ID
	b := c.signedIn("officer")
	wait(t, b.view(), snapshot)
	b.do("POST", "/api/session", map[string]string{"login": "officer", "password": "not the password"})
	b.do("POST", "/api/tickets/"+id+"/decisions", map[string]string{"decision": "park", "reason": "waits for Ada Lovelace"})
	b.do("GET", "/api/chain/"+id, nil)
	b.do("GET", "/api/chain/Ada%20Lovelace", nil)
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	log := c.log.String()
	secrets := []string{"Ada", "Lovelace", "V-7654321", "officer", password, "not the password", "family-77"}
	for _, k := range b.http.Jar.Cookies(mustURL(t, b.browsers)) {
		secrets = append(secrets, k.Value)
	}
	for _, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if !strings.Contains(log, `"account":"ac_`) || !strings.Contains(log, "POST /api/tickets/{id}/decisions") {
		t.Errorf("the log says nothing: %s", log)
	}
}

// consoleAPI reads docs/api/console.yaml.
func consoleAPI(t *testing.T) (routes []string, schema func(string) *jsonschema.Schema) {
	t.Helper()
	data, err := os.ReadFile("../../docs/api/console.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc["paths"].(map[string]any) {
		for method := range methods.(map[string]any) {
			routes = append(routes, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(routes)
	return routes, schemasOf(t, data)
}

func TestTheConsolesAPIIsAsDescribed(t *testing.T) {
	routes, schema := consoleAPI(t)
	source, err := os.ReadFile("console.go")
	if err != nil {
		t.Fatal(err)
	}
	var served []string
	for _, m := range regexp.MustCompile(`"((?:GET|POST|DELETE) /api/[^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		served = append(served, m[1])
	}
	slices.Sort(served)
	if !reflect.DeepEqual(routes, served) {
		t.Errorf("described are %v\nserved are %v", routes, served)
	}
	c := newStaffed(t)
	id := c.put("one", wants("residence-permit", "Ada Lovelace")).Persons[0].Tickets[0].ID
	link := c.follower("kiosk-1", identity.RoleKiosk)
	c.sit(link, id)
	b := c.signedIn("officer")
	valid := func(name, body string) {
		t.Helper()
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema(name).Validate(v); err != nil {
			t.Errorf("%s: %v\n%s", name, err, body)
		}
	}
	for _, x := range []struct{ method, path, body, schema string }{
		{"GET", "/api/session", "", "Session"},
		{"POST", "/api/tickets/" + id + "/decisions", `{"decision":"park"}`, "Ticket"},
		{"POST", "/api/tickets/" + id + "/undo", "null", "Ticket"},
		{"GET", "/api/chain/" + id, "", "Chain"},
		{"GET", "/api/chain/tk_aaaaaaaaaaaaaaaa", "", "Problem"},
	} {
		_, body := b.do(x.method, x.path, json.RawMessage(x.body+strings.Repeat("null", max(0, 1-len(x.body)))))
		valid(x.schema, body)
	}
	conn := b.view()
	_, data, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	valid("Message", string(data))
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
