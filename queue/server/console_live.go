package server

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"loket/queue"
	"loket/queue/station"
	"loket/queue/store"
)

// Timing of live views.
const (
	viewPing    = 15 * time.Second
	viewSilence = 3 * viewPing
	viewWrite   = 10 * time.Second
	maxViews    = 8 // of one login
	// closeSignedOut tells the page that there is no use in dialling again.
	closeSignedOut = 4401
)

// views are the live views, to end those of a login. The zero value works.
type views struct {
	mu   sync.Mutex
	open map[string]map[*websocket.Conn]context.CancelFunc
}

func (v *views) add(login string, conn *websocket.Conn, cancel context.CancelFunc) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.open[login]) >= maxViews {
		return false
	}
	if v.open == nil {
		v.open = map[string]map[*websocket.Conn]context.CancelFunc{}
	}
	if v.open[login] == nil {
		v.open[login] = map[*websocket.Conn]context.CancelFunc{}
	}
	v.open[login][conn] = cancel
	return true
}

func (v *views) drop(login string, conn *websocket.Conn) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.open[login], conn)
	if len(v.open[login]) == 0 {
		delete(v.open, login)
	}
}

func (v *views) end(login string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, cancel := range v.open[login] {
		cancel()
	}
}

// live shows what happens for as long as the caller is signed in: a snapshot, then each change.
func (c *Console) live(w http.ResponseWriter, r *http.Request, who store.Login) {
	if origin, err := url.Parse(r.Header.Get("Origin")); err != nil || origin.Host == "" || origin.Host != r.Host {
		refuse(w, refusal(http.StatusForbidden, station.ProblemForbidden, "another site asks for a live view", "open the console itself"))
		return
	}
	c.work.Add(1)
	defer c.work.Done()
	header := http.Header{}
	if token := w.Header().Get("Set-Cookie"); token != "" {
		header.Set("Set-Cookie", token)
	}
	if a, ok := w.(*answer); ok {
		a.status, w = http.StatusSwitchingProtocols, a.ResponseWriter // which the view takes over
	}
	upgrader := websocket.Upgrader{HandshakeTimeout: viewWrite, CheckOrigin: func(*http.Request) bool { return true }} // checked above
	conn, err := upgrader.Upgrade(w, r, header)
	if err != nil {
		return // the caller was told
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(c.base)
	defer cancel()
	if !c.views.add(who.ID, conn, cancel) {
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseTryAgainLater, "too many views"), time.Now().Add(viewWrite))
		return
	}
	defer c.views.drop(who.ID, conn)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer cancel()
		listen(conn)
	})
	v := &view{Console: c, conn: conn, who: who}
	v.run(ctx)
	_ = conn.Close() // ends the reader
	reader.Wait()
}

// listen reads until the browser goes or says nothing. It has nothing to say but pongs.
func listen(conn *websocket.Conn) {
	conn.SetReadLimit(1 << 10)
	patience := func(string) error { return conn.SetReadDeadline(time.Now().Add(viewSilence)) }
	conn.SetPongHandler(patience)
	if patience("") != nil {
		return
	}
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
	}
}

// view is one live view.
type view struct {
	*Console
	conn *websocket.Conn
	who  store.Login
}

// run shows until ctx ends, the view falls behind or the login is over. The page dials again and begins with a snapshot.
func (v *view) run(ctx context.Context) {
	sequence, messages, stop := v.Feed.Subscribe()
	defer stop()
	if err := v.snapshot(ctx, sequence); err != nil {
		return
	}
	ticker := time.NewTicker(viewPing)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			v.bye(ctx)
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			err = v.show(ctx, m)
		case <-ticker.C:
			if err = v.stillIn(ctx); err == nil {
				err = v.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(viewWrite))
			}
		}
		if err != nil {
			v.bye(ctx)
			return
		}
	}
}

// stillIn reads the login again: it may be over, or its account have other roles.
func (v *view) stillIn(ctx context.Context) error {
	who, err := v.Store.LoginByID(ctx, v.who.ID)
	if err == nil {
		v.who = who
	}
	return err
}

// bye says whether there is use in dialling again.
func (v *view) bye(ctx context.Context) {
	code, why := websocket.CloseGoingAway, "dial again"
	if v.stillIn(context.WithoutCancel(ctx)) != nil {
		code, why = closeSignedOut, "signed out"
	}
	_ = v.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), time.Now().Add(viewWrite))
}

func (v *view) write(m consoleMessage) error {
	if err := v.conn.SetWriteDeadline(time.Now().Add(viewWrite)); err != nil {
		return err
	}
	return v.conn.WriteJSON(m)
}

// snapshot shows everything as it is.
func (v *view) snapshot(ctx context.Context, sequence uint64) error {
	snap, err := v.Store.Snapshot(ctx)
	if err != nil {
		return err
	}
	clashes, err := v.Store.Clashes(ctx)
	if err != nil {
		return err
	}
	out := &consoleSnapshot{Time: time.Now().UTC(), Stations: []consoleStation{}, Tickets: []consoleTicket{}}
	if out.Conflicts, err = v.conflictsFor(ctx, v.who.Account, clashes); err != nil {
		return err
	}
	for _, s := range v.hub.Stations() {
		st, err := v.stationFor(ctx, v.who.Account, s)
		if err != nil {
			return err
		}
		out.Stations = append(out.Stations, st)
	}
	for _, t := range snap.Tickets {
		if v.sees(v.who.Account, t.Ticket) {
			out.Tickets = append(out.Tickets, v.ticketFor(v.who.Account, t))
		}
	}
	return v.write(consoleMessage{Sequence: sequence, Snapshot: out})
}

// show shows one change. A ticket is shown as it is now, which may be later than the change.
func (v *view) show(ctx context.Context, m Message) error {
	out := consoleMessage{Sequence: m.Sequence}
	switch {
	case m.Station != nil:
		s, err := v.stationFor(ctx, v.who.Account, *m.Station)
		if err != nil {
			return err
		}
		out.Station = &s
	case m.Event.Ticket == "":
		if v.who.Account.MayAnywhere(queue.Locking) {
			out.Event = &consoleEvent{Kind: m.Event.Kind, At: m.Event.At, Station: m.Event.Station, Author: m.Event.Author}
		}
	default:
		t, err := v.Store.Ticket(ctx, m.Event.Ticket)
		if err != nil {
			return err
		}
		if v.sees(v.who.Account, t.Ticket) {
			shown := v.ticketFor(v.who.Account, t)
			out.Ticket = &shown
			out.Event = &consoleEvent{Kind: m.Event.Kind, At: m.Event.At, Station: m.Event.Station, Author: m.Event.Author}
		}
	}
	return v.write(out)
}
