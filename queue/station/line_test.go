package station

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"loket/kiosk/biometric"
	"loket/kiosk/identity"
)

const (
	aTicket  = "tk_aaaaaaaaaaaaaaaa"
	aSession = "se_aaaaaaaaaaaaaaaa"
)

var aRecord = strings.Repeat("ab", 32)

// wire joins links to a hub by pipes, inside a bubble of synctest: no network, and time passes when all wait.
type wire struct {
	hub   *Hub
	conns chan net.Conn
	done  chan struct{}

	mu   sync.Mutex
	up   []net.Conn // the stations' ends
	dead bool       // no connection is made
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error   { close(w.done); return nil }
func (w *wire) Addr() net.Addr { return &net.UnixAddr{} }

func (w *wire) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	w.mu.Lock()
	dead := w.dead
	w.mu.Unlock()
	if dead {
		return nil, errors.New("no route")
	}
	here, there := net.Pipe()
	select {
	case w.conns <- there:
	case <-w.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = append(w.up, here)
	return here, nil
}

// cut breaks all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.up {
		_ = c.Close()
	}
	w.up = nil
}

func (w *wire) setDead(dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = dead
}

// bubble runs a test with a hub and a link that is up.
func bubble(t *testing.T, hub *Hub, test func(t *testing.T, w *wire, l *Link)) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{hub: hub, conns: make(chan net.Conn), done: make(chan struct{})}
		srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			hub.Serve(rw, r, identity.Peer{Name: r.URL.Query().Get("as") + "kiosk-1", Centre: "Demo centre", Role: identity.RoleKiosk})
		})}
		var work sync.WaitGroup
		work.Go(func() { _ = srv.Serve(w) })
		ctx, stop := context.WithCancel(t.Context())
		l := &Link{URL: "http://queue", Version: "v1", dial: w.dial}
		work.Go(func() {
			if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("run ended with %v", err)
			}
		})
		synctest.Wait()
		test(t, w, l)
		stop()
		hub.Close()
		_ = srv.Close()
		work.Wait()
	})
}

func (w *wire) state() StationState {
	list := w.hub.Stations()
	if len(list) == 0 {
		return StationState{}
	}
	return list[0]
}

func aStatus() Status {
	return Status{Ready: true, Session: &SessionStatus{ID: aSession, Ticket: aTicket, Attempt: 1, State: "capturing"}, At: time.Now()}
}

func TestTheCentreSeesTheNewestOfEverythingAlsoAfterALineBroke(t *testing.T) {
	bubble(t, &Hub{}, func(t *testing.T, w *wire, l *Link) {
		l.SetStatus(aStatus())
		l.SetVerdicts([]DeviceVerdict{{Identity: "cam", Kind: "camera", State: "ready"}})
		if err := l.SetLedger(aSession, aTicket, 1, biometric.NewLedger()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		st := w.state()
		if !st.Connected || st.Status == nil || st.Status.Session.State != "capturing" || st.Verdicts.Devices[0].Identity != "cam" || st.Ledger.Session != aSession {
			t.Fatalf("the centre sees %+v", st)
		}
		before := st.Sequence
		w.setDead(true)
		w.cut()
		synctest.Wait()
		if up, _ := l.Connected(); up || w.state().Connected {
			t.Error("a broken line counts as up")
		}
		changed := aStatus()
		changed.Session.State = "assistance"
		l.SetStatus(changed)
		time.Sleep(time.Minute) // of the bubble
		w.setDead(false)
		time.Sleep(backOffMax)
		synctest.Wait()
		st = w.state()
		if !st.Connected || st.Status.Session.State != "assistance" || st.Ledger == nil || st.Sequence <= before {
			t.Errorf("after the line came back the centre sees %+v", st)
		}
	})
}

func TestAFactIsToldUntilItIsStored(t *testing.T) {
	var mu sync.Mutex
	var stored []string
	fails := 2
	hub := &Hub{Store: func(_ context.Context, station string, f Fact) error {
		mu.Lock()
		defer mu.Unlock()
		if fails > 0 {
			fails--
			return errors.New("disk full")
		}
		stored = append(stored, station+" "+f.Kind)
		return nil
	}}
	bubble(t, hub, func(t *testing.T, _ *wire, l *Link) {
		for _, kind := range []string{FactSealed, FactReceipted, FactPurged} {
			if err := l.Tell(Fact{Kind: kind, Ticket: aTicket, Session: aSession, Attempt: 1, Record: aRecord}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"kiosk-1 sealed", "kiosk-1 receipted", "kiosk-1 purged"}; !reflect.DeepEqual(stored, want) {
			t.Errorf("stored %v, want %v", stored, want)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.facts) != 0 {
			t.Errorf("the station still keeps %d facts", len(l.facts))
		}
	})
}

func anOrder(id string, ttl time.Duration) Command {
	return Command{ID: id, Author: "staff-1", Expires: time.Now().Add(ttl), Resume: &SessionCommand{Session: aSession}}
}

type result struct {
	answer Answer
	err    error
}

func send(h *Hub, c Command) <-chan result {
	out := make(chan result, 1)
	go func() {
		a, err := h.Send(context.Background(), "kiosk-1", c)
		out <- result{a, err}
	}()
	return out
}

func TestACommandIsAnsweredOnce(t *testing.T) {
	bubble(t, &Hub{}, func(t *testing.T, w *wire, l *Link) {
		c := anOrder("cm-1", time.Minute)
		first := send(w.hub, c)
		got := <-l.Commands()
		if got.ID != "cm-1" || got.Verb() != "resume" || got.Session() != aSession {
			t.Fatalf("the station got %+v", got)
		}
		if err := l.Answer(Answer{Command: "cm-1", Reason: "not in assistance"}); err != nil {
			t.Fatal(err)
		}
		if err := l.Answer(Answer{Command: "cm-1", Done: true}); err == nil {
			t.Error("a second answer was taken")
		}
		if err := l.Answer(Answer{Command: "cm-2", Done: true}); err == nil {
			t.Error("an answer to no command was taken")
		}
		want := Answer{Command: "cm-1", Reason: "not in assistance"}
		if r := <-first; r.err != nil || r.answer != want {
			t.Errorf("answer %+v, %v", r.answer, r.err)
		}
		if r := <-send(w.hub, c); r.err != nil || r.answer != want {
			t.Errorf("repeated: %+v, %v", r.answer, r.err)
		}
	})
}

func TestARepeatedCommandReachesTheDaemonOnceOverManyLines(t *testing.T) {
	bubble(t, &Hub{}, func(t *testing.T, w *wire, l *Link) {
		answer := send(w.hub, anOrder("cm-1", 10*time.Minute))
		<-l.Commands()
		for range 3 {
			w.cut()
			time.Sleep(2 * backOffMax)
		}
		select {
		case c := <-l.Commands():
			t.Errorf("the daemon got %s twice", c.ID)
		default:
		}
		w.setDead(true)
		w.cut()
		synctest.Wait()
		if err := l.Answer(Answer{Command: "cm-1", Done: true}); err != nil {
			t.Fatal(err)
		}
		w.setDead(false)
		if r := <-answer; r.err != nil || !r.answer.Done {
			t.Errorf("an answer given while the line was down: %+v, %v", r.answer, r.err)
		}
	})
}

func TestACommandThatWaitsForALineIsDelivered(t *testing.T) {
	bubble(t, &Hub{}, func(t *testing.T, w *wire, l *Link) {
		w.setDead(true)
		w.cut()
		synctest.Wait()
		answer := send(w.hub, anOrder("cm-1", 10*time.Minute))
		time.Sleep(time.Minute)
		w.setDead(false)
		c := <-l.Commands()
		if err := l.Answer(Answer{Command: c.ID, Done: true}); err != nil {
			t.Fatal(err)
		}
		if r := <-answer; r.err != nil || !r.answer.Done {
			t.Errorf("%+v, %v", r.answer, r.err)
		}
	})
}

func TestAnExpiredCommandIsRefused(t *testing.T) {
	bubble(t, &Hub{}, func(t *testing.T, w *wire, l *Link) {
		answer := send(w.hub, anOrder("cm-1", 30*time.Second)) // and the daemon is busy meanwhile
		if r := <-answer; r.err != nil || r.answer.Done || r.answer.Reason != "expired" {
			t.Errorf("%+v, %v", r.answer, r.err)
		}
		select {
		case c := <-l.Commands():
			t.Errorf("the daemon got %s after it expired", c.ID)
		default:
		}
		if r := <-send(w.hub, anOrder("cm-2", -time.Second)); r.answer.Done || r.answer.Reason != "expired" {
			t.Errorf("sent too late: %+v, %v", r.answer, r.err)
		}
		w.setDead(true)
		w.cut()
		if r := <-send(w.hub, anOrder("cm-3", time.Minute)); !errors.Is(r.err, ErrNoAnswer) {
			t.Errorf("with no line: %+v, %v", r.answer, r.err)
		}
	})
}

func TestExpiryHoldsWhateverTheStationsClockSays(t *testing.T) {
	for _, skew := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		l := &Link{Now: func() time.Time { return time.Now().Add(skew) }}
		l.init()
		c := anOrder("cm-1", time.Minute)
		c.Sent = time.Now()
		if _, ok := l.take(c); !ok {
			t.Errorf("with a clock off by %s a command is refused", skew)
		}
		late := anOrder("cm-2", time.Minute)
		late.Sent = late.Expires
		if _, ok := l.take(late); ok {
			t.Errorf("with a clock off by %s an expired command is taken", skew)
		}
	}
}

func TestALaterLineTakesThePlaceOfTheEarlier(t *testing.T) {
	bubble(t, &Hub{}, func(t *testing.T, w *wire, l *Link) {
		other := &Link{URL: "http://queue", Version: "v2", dial: w.dial}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, err := other.connect(ctx, make(chan due))
		if err == nil {
			t.Error("the second line never ended")
		}
		time.Sleep(2 * backOffMax)
		synctest.Wait()
		if st := w.state(); !st.Connected || len(w.hub.Stations()) != 1 || len(w.hub.lines) != 1 {
			t.Errorf("%d lines for %+v", len(w.hub.lines), st)
		}
	})
}

func TestASilentPeerIsFoundFromEitherEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &Hub{}
		here, there := net.Pipe()
		w := &wire{conns: make(chan net.Conn, 1), done: make(chan struct{})}
		w.conns <- there
		srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			hub.Serve(rw, r, identity.Peer{Name: "kiosk-1"})
		})}
		var work sync.WaitGroup
		work.Go(func() { _ = srv.Serve(w) })
		dialer := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }}
		conn, resp, err := dialer.DialContext(t.Context(), "ws://queue/v1/station/link", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		line := newLine(conn)
		if err := line.send(Up{Hello: &Hello{Epoch: "e"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := line.receive(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !hub.Stations()[0].Connected {
			t.Fatal("the line is not up")
		}
		time.Sleep(silence + writeLimit) // this end neither reads nor writes
		synctest.Wait()
		if hub.Stations()[0].Connected {
			t.Error("the hub keeps the line of a peer that is gone")
		}
		line.close()
		_ = srv.Close()
		work.Wait()
	})
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		l := newLine(websocketOn(t, here, there))
		defer l.close()
		if _, err := l.receive(); err == nil {
			t.Error("the station waits for ever for a centre that is gone")
		}
	})
}

// websocketOn upgrades a pipe; nobody serves its other end afterwards.
func websocketOn(t *testing.T, here, there net.Conn) *websocket.Conn {
	t.Helper()
	w := &wire{conns: make(chan net.Conn, 1), done: make(chan struct{})}
	w.conns <- there
	upgraded := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer close(upgraded)
		if _, err := (&websocket.Upgrader{}).Upgrade(rw, r, nil); err != nil {
			t.Error(err)
		}
	})}
	var work sync.WaitGroup
	work.Go(func() { _ = srv.Serve(w) })
	dialer := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }}
	conn, resp, err := dialer.DialContext(t.Context(), "ws://queue/", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	<-upgraded
	_ = srv.Close()
	work.Wait()
	return conn
}

func TestAStationOfTheWrongSpeechLosesItsLine(t *testing.T) {
	bubble(t, &Hub{}, func(t *testing.T, w *wire, l *Link) {
		for name, text := range map[string]string{
			"no hello":      `{"sequence":1,"status":{"ready":true,"pending":0,"refused":0,"at":"2026-01-01T00:00:00Z"}}`,
			"unknown":       `{"sequence":1,"hello":{"version":"","epoch":"x"},"image":"AAAA"}`,
			"two at once":   `{"sequence":1,"hello":{"version":"","epoch":"x"},"fact":{}}`,
			"not JSON":      `hello`,
			"long":          `{"sequence":1,"hello":{"version":"` + strings.Repeat("x", maxWord+1) + `","epoch":"x"}}`,
			"beyond limits": `{"sequence":1,"hello":{"version":"` + strings.Repeat("x", MaxMessage) + `","epoch":"x"}}`,
		} {
			dialer := websocket.Dialer{NetDialContext: w.dial}
			conn, resp, err := dialer.DialContext(t.Context(), "ws://queue/?as=other-", nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			go func() { _ = conn.WriteMessage(websocket.TextMessage, []byte(text)) }()
			if _, _, err := conn.ReadMessage(); err == nil {
				t.Errorf("%s: the hub answered", name)
			}
			_ = conn.Close()
		}
		if up, _ := l.Connected(); !up {
			t.Error("another station's line went down with it")
		}
	})
}

func TestABrowserGetsNoLine(t *testing.T) {
	bubble(t, &Hub{}, func(t *testing.T, w *wire, _ *Link) {
		dialer := websocket.Dialer{NetDialContext: w.dial}
		_, resp, err := dialer.DialContext(t.Context(), "ws://queue/", http.Header{"Origin": {"https://elsewhere"}})
		if err == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("%v", err)
		}
		_ = resp.Body.Close()
	})
}

func TestStatusIsCutToTheSizeOfTheLine(t *testing.T) {
	bubble(t, &Hub{}, func(t *testing.T, w *wire, l *Link) {
		s := aStatus()
		for range 100 {
			s.Problems = append(s.Problems, Trouble{Code: "x", Text: strings.Repeat("é", 1000), Hint: strings.Repeat("y", 1000)})
			s.Warnings = s.Problems
		}
		l.SetStatus(s)
		devices := make([]DeviceVerdict, 100)
		for i := range devices {
			devices[i].Detail = strings.Repeat("z", 10000)
		}
		l.SetVerdicts(devices)
		synctest.Wait()
		if st := w.state(); !st.Connected || len(st.Status.Problems) != maxList || len(st.Status.Warnings) != maxList || len(st.Verdicts.Devices) != maxList {
			t.Errorf("the line did not bear it: %+v", st.Connected)
		}
		judged, measures := biometric.NewLedger(), map[string]float64{}
		for i := range 100 {
			measures[fmt.Sprint("m", i)] = 1
		}
		quality := biometric.Quality{Score: 71, Algorithm: "a", Version: "1", Measures: measures}
		judged[3].Reason, judged[3].Quality = biometric.Captured, &quality
		err := l.SetLedger(aSession, aTicket, 1, judged)
		synctest.Wait()
		if seen := w.state().Ledger; err != nil || seen == nil || seen.Ledger[3].Quality.Score != 71 || len(seen.Ledger[3].Quality.Measures) != 0 || len(quality.Measures) != 100 {
			t.Errorf("of a score with many measures the centre sees %+v, %v", seen, err)
		}
		bad := biometric.NewLedger()
		bad[3].Reason = "eaten"
		if l.SetLedger(aSession, aTicket, 1, bad) == nil || l.Tell(Fact{Kind: "rumour"}) == nil {
			t.Error("nonsense was taken")
		}
	})
}

func TestFactsThatNobodyTakesAreBounded(t *testing.T) {
	l := &Link{}
	for i := range maxFacts + 10 {
		if err := l.Tell(Fact{Kind: FactSealed, Ticket: aTicket, Attempt: 1, Record: fmt.Sprintf("%064x", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.facts) != maxFacts || l.facts[0].Record != fmt.Sprintf("%064x", 10) {
		t.Errorf("%d facts are kept", len(l.facts))
	}
}

func TestBackOffGrowsAndStaysBounded(t *testing.T) {
	last := time.Duration(0)
	for n := range 100 {
		most, least := backOff(n, 0), backOff(n, 1)
		if most < last || most > backOffMax || least != most/2 || least <= 0 {
			t.Errorf("failure %d: from %s to %s", n, least, most)
		}
		last = most
	}
}

func TestCommandsThatOrderNothingOrTwoThingsAreRefused(t *testing.T) {
	two := anOrder("cm-1", time.Minute)
	two.Lock = &LockStation{Locked: true}
	for name, c := range map[string]Command{
		"nothing":    {ID: "cm-1", Author: "a"},
		"two":        two,
		"no author":  {ID: "cm-1", Lock: &LockStation{}},
		"no id":      {Author: "a", Lock: &LockStation{}},
		"no session": {ID: "cm-1", Author: "a", Resume: &SessionCommand{}},
		"no target":  {ID: "cm-1", Author: "a", Move: &MoveSession{Session: aSession}},
		"bad ticket": {ID: "cm-1", Author: "a", Call: &CallTicket{Ticket: "1"}},
		"no finger":  {ID: "cm-1", Author: "a", Except: &ExceptFingers{Session: aSession}},
		"no reason":  {ID: "cm-1", Author: "a", Except: &ExceptFingers{Session: aSession, Exceptions: []biometric.Exception{{Position: 2}}}},
	} {
		if c.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	hub := &Hub{}
	if _, err := hub.Send(t.Context(), "nowhere", anOrder("cm-1", time.Minute)); !errors.Is(err, ErrNoStation) {
		t.Errorf("to a station that never was: %v", err)
	}
}

// No message has a member that could carry an image: no bytes, nothing untyped. A key for hand-overs is bytes, and too short.
func TestNoMessageCanCarryASample(t *testing.T) {
	if maxKey+maxWord+maxChain*maxCert > MaxMessage {
		t.Error("a key may be as long as a message")
	}
	seen := map[reflect.Type]bool{reflect.TypeFor[HandoverKey](): true}
	var walk func(path string, of reflect.Type)
	walk = func(path string, of reflect.Type) {
		if seen[of] || of == reflect.TypeFor[time.Time]() {
			return
		}
		seen[of] = true
		switch of.Kind() {
		case reflect.Struct:
			for i := range of.NumField() {
				walk(path+"."+of.Field(i).Name, of.Field(i).Type)
			}
		case reflect.Slice, reflect.Array, reflect.Pointer:
			walk(path+"[]", of.Elem())
		case reflect.Map:
			if of != reflect.TypeFor[map[string]float64]() {
				t.Errorf("%s is a %s", path, of)
			}
		case reflect.Interface, reflect.Uint8, reflect.Uint16, reflect.Uint32:
			t.Errorf("%s is a %s", path, of)
		}
	}
	walk("Up", reflect.TypeFor[Up]())
	walk("Down", reflect.TypeFor[Down]())
}

func FuzzUp(f *testing.F) {
	f.Add([]byte(`{"sequence":1,"hello":{"version":"v","epoch":"e"}}`))
	f.Add([]byte(`{"sequence":2,"fact":{"kind":"sealed","ticket":"` + aTicket + `","session":"` + aSession + `","attempt":1,"record":"` + aRecord + `","at":"2026-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"sequence":3,"answer":{"command":"c","done":true}}`))
	f.Add([]byte(`{"sequence":4,"verdicts":{"devices":[{"identity":"i","kind":"camera","state":"ready","since":"2026-01-01T00:00:00Z"}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeUp(data)
		if err != nil {
			return
		}
		if err := m.check(); err != nil {
			t.Errorf("taken and wrong: %v", err)
		}
		if len(data) > MaxMessage {
			t.Error("taken and too long")
		}
	})
}

func FuzzDown(f *testing.F) {
	f.Add([]byte(`{"welcome":{"station":"kiosk-1","time":"2026-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"stored":{"sequence":7}}`))
	f.Add([]byte(`{"command":{"id":"c","author":"a","expires":"2026-01-01T00:00:00Z","sent":"2026-01-01T00:00:00Z","except":{"session":"s","exceptions":[{"position":2,"reason":"bandaged","permanent":false,"attendant":"a"}]}}}`))
	f.Add([]byte(`{"command":{"id":"c","author":"a","call":{"ticket":"` + aTicket + `"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeDown(data)
		if err != nil {
			return
		}
		if err := m.check(); err != nil {
			t.Errorf("taken and wrong: %v", err)
		}
		if m.Command != nil && m.Command.Verb() == "" {
			t.Error("a command without a verb was taken")
		}
	})
}
