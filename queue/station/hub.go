package station

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"loket/kiosk/identity"
)

// maxOut is how many messages wait for a station that reads slowly. One more, and its line is closed.
const maxOut = 2 * maxCommands

// What callers of [Hub.Send] branch on.
var (
	ErrNoStation = errors.New("no such station has had a line here")
	ErrNoAnswer  = errors.New("the station did not answer before the command expired")
	errClosed    = errors.New("the queue is shutting down")
)

// Hub is the centre's end of all lines. Set the exported fields before the first call; the zero value works.
type Hub struct {
	Log *slog.Logger
	Now func() time.Time // time.Now where nil
	// Store keeps a fact that a station tells. After an error the line is closed, and the station tells it again. Calls for
	// one station come one after the other.
	Store func(ctx context.Context, station string, f Fact) error
	// Changed is called when something about a station changed, with no lock held. It must not wait.
	Changed func(StationState)

	mu       sync.Mutex
	stations map[string]*seat
	lines    map[*upline]bool
	closed   bool
	work     sync.WaitGroup
}

// StationState is what the hub knows of one station: the newest that it said, and whether its line is up.
type StationState struct {
	Name      string        `json:"name"`
	Role      identity.Role `json:"role"`
	Demo      bool          `json:"demo,omitempty"`
	Connected bool          `json:"connected"`
	Since     time.Time     `json:"since"` // of Connected
	Seen      time.Time     `json:"seen"`  // the last message
	Version   string        `json:"version"`
	Epoch     string        `json:"epoch"`
	Sequence  uint64        `json:"sequence"`
	Status    *Status       `json:"status,omitempty"`
	Ledger    *LedgerReport `json:"ledger,omitempty"`
	Verdicts  *Verdicts     `json:"verdicts,omitempty"`
	Key       *HandoverKey  `json:"key,omitempty"`
}

// seat is a station's place in the hub. It stays when the line goes.
type seat struct {
	state  StationState
	up     *upline // nil where there is no line
	orders map[string]*sent
}

// upline is a line with its bounded queue. The queue is never closed; the line is.
type upline struct {
	*line
	out chan Down
}

// sent is a command that was given to the hub.
type sent struct {
	command  Command
	answer   Answer
	answered chan struct{} // closed with answer
}

func (h *Hub) now() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}

func (h *Hub) log() *slog.Logger {
	if h.Log != nil {
		return h.Log
	}
	return slog.New(slog.DiscardHandler)
}

// Serve runs the line that a station asks for until it breaks. peer is who the station's certificate says that it is. An
// earlier line of the same station is closed.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, peer identity.Peer) {
	if !h.enter() {
		http.Error(w, errClosed.Error(), http.StatusServiceUnavailable)
		return
	}
	defer h.work.Done()
	upgrader := websocket.Upgrader{
		HandshakeTimeout: writeLimit,
		CheckOrigin:      func(r *http.Request) bool { return r.Header.Get("Origin") == "" }, // stations are no browsers
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		h.log().Warn("line refused", "station", peer.Name, "err", err)
		return
	}
	up := &upline{line: newLine(conn), out: make(chan Down, maxOut)}
	if !h.open(up) {
		return
	}
	defer h.shut(up)
	h.log().Info("line is up", "station", peer.Name)
	err = h.run(r.Context(), up, peer)
	h.log().Info("line is down", "station", peer.Name, "err", err)
}

func (h *Hub) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.work.Add(1)
	return true
}

// open notes a line, so that Close finds it.
func (h *Hub) open(up *upline) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		up.close()
		return false
	}
	if h.lines == nil {
		h.lines = map[*upline]bool{}
	}
	h.lines[up] = true
	return true
}

func (h *Hub) shut(up *upline) {
	up.close()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.lines, up)
}

// run takes the station's hello, then writes and reads until the line breaks.
func (h *Hub) run(ctx context.Context, up *upline, peer identity.Peer) error {
	data, err := up.receive()
	if err != nil {
		return err
	}
	m, err := decodeUp(data)
	if err == nil && m.Hello == nil {
		err = errors.New("reading a station's message: the first is no hello")
	}
	if err != nil {
		return err
	}
	if err := h.seat(up, peer, *m.Hello); err != nil {
		return err
	}
	defer h.leave(up, peer.Name)
	if err := up.send(Down{Welcome: &Welcome{Station: peer.Name, Time: h.now()}}); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var writer sync.WaitGroup
	defer writer.Wait()
	defer stop()
	writer.Go(func() {
		defer up.close()
		h.write(ctx, up)
	})
	return h.read(ctx, up, peer.Name)
}

// seat gives a station its new line, and repeats to it the commands that have no answer yet.
func (h *Hub) seat(up *upline, peer identity.Peer, hello Hello) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return errClosed
	}
	if h.stations == nil {
		h.stations = map[string]*seat{}
	}
	s := h.stations[peer.Name]
	if s == nil {
		s = &seat{orders: map[string]*sent{}}
		h.stations[peer.Name] = s
	}
	if s.up != nil {
		s.up.close()
	}
	s.up = up
	if s.state.Epoch != hello.Epoch {
		s.state = StationState{}
	}
	now := h.now()
	s.state.Name, s.state.Role, s.state.Demo, s.state.Version, s.state.Epoch = peer.Name, peer.Role, peer.Demo, hello.Version, hello.Epoch
	s.state.Connected, s.state.Since, s.state.Seen = true, now, now
	for _, o := range s.unanswered(now) {
		up.push(Down{Command: &o.command})
	}
	state := s.state
	h.mu.Unlock()
	h.tell(state)
	return nil
}

// unanswered lists the commands that still wait for their answer, the earliest to expire first.
func (s *seat) unanswered(now time.Time) []*sent {
	var list []*sent
	for _, o := range s.orders {
		if !o.over() && now.Before(o.command.Expires) {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b *sent) int { return a.command.Expires.Compare(b.command.Expires) })
	return list
}

func (o *sent) over() bool {
	select {
	case <-o.answered:
		return true
	default:
		return false
	}
}

// push queues a message, or closes the line of a station that does not read.
func (u *upline) push(m Down) {
	select {
	case u.out <- m:
	default:
		u.close()
	}
}

func (h *Hub) leave(up *upline, name string) {
	h.mu.Lock()
	s := h.stations[name]
	if s.up != up {
		h.mu.Unlock()
		return // a later line took over
	}
	s.up = nil
	s.state.Connected, s.state.Since = false, h.now()
	state := s.state
	h.mu.Unlock()
	h.tell(state)
}

func (h *Hub) tell(state StationState) {
	if h.Changed != nil {
		h.Changed(state)
	}
}

// write sends what is queued, and a ping now and then.
func (h *Hub) write(ctx context.Context, up *upline) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case m := <-up.out:
			err = up.send(h.stamp(m))
		case <-ticker.C:
			err = up.ping()
		}
		if err != nil {
			return
		}
	}
}

// stamp sets when a command is really sent.
func (h *Hub) stamp(m Down) Down {
	if m.Command != nil {
		c := *m.Command
		c.Sent = h.now()
		m.Command = &c
	}
	return m
}

// read takes in what a station says until the line breaks.
func (h *Hub) read(ctx context.Context, up *upline, name string) error {
	for {
		data, err := up.receive()
		if err != nil {
			return err
		}
		m, err := decodeUp(data)
		if err != nil {
			return err
		}
		if m.Fact != nil {
			if err := h.store(ctx, name, *m.Fact); err != nil {
				return err
			}
			up.push(Down{Stored: &Stored{Sequence: m.Sequence}})
			continue
		}
		if state, changed := h.note(up, name, m); changed {
			h.tell(state)
		}
	}
}

func (h *Hub) store(ctx context.Context, name string, f Fact) error {
	if h.Store == nil {
		return nil
	}
	if err := h.Store(ctx, name, f); err != nil {
		return fmt.Errorf("storing a fact of %s: %w", name, err)
	}
	return nil
}

// note keeps what a station said.
func (h *Hub) note(up *upline, name string, m Up) (StationState, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stations[name]
	if s.up != up {
		return StationState{}, false
	}
	s.state.Seen = h.now()
	s.state.Sequence = max(s.state.Sequence, m.Sequence)
	switch {
	case m.Status != nil:
		s.state.Status = m.Status
	case m.Ledger != nil:
		s.state.Ledger = m.Ledger
	case m.Verdicts != nil:
		s.state.Verdicts = m.Verdicts
	case m.Key != nil:
		s.state.Key = m.Key
	case m.Answer != nil:
		s.answer(*m.Answer)
		return StationState{}, false
	}
	return s.state, true
}

// answer settles a command. Only the first answer counts.
func (s *seat) answer(a Answer) {
	if o, ok := s.orders[a.Command]; ok && !o.over() {
		o.answer = a
		close(o.answered)
	}
}

// Send gives a command to a station and waits for its answer, over any number of lines. Repeated with the same id, it gives
// the first answer. [ErrNoAnswer] does not say that the station did nothing.
func (h *Hub) Send(ctx context.Context, station string, c Command) (Answer, error) {
	if err := c.Check(); err != nil {
		return Answer{}, err
	}
	o, err := h.order(station, c)
	if err != nil {
		return Answer{}, fmt.Errorf("sending %s to %s: %w", c.Verb(), station, err)
	}
	timer := time.NewTimer(o.command.Expires.Sub(h.now()) + writeLimit) // the answer may be on its way
	defer timer.Stop()
	select {
	case <-o.answered:
		return o.answer, nil
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	case <-timer.C:
		return Answer{}, fmt.Errorf("sending %s to %s: %w", c.Verb(), station, ErrNoAnswer)
	}
}

// order notes a command and queues it where the line is up, or finds the one with the same id.
func (h *Hub) order(station string, c Command) (*sent, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stations[station]
	switch {
	case h.closed:
		return nil, errClosed
	case s == nil:
		return nil, ErrNoStation
	}
	if o, ok := s.orders[c.ID]; ok {
		return o, nil
	}
	now := h.now()
	maps.DeleteFunc(s.orders, func(_ string, o *sent) bool { return now.Sub(o.command.Expires) > remember })
	if len(s.orders) >= maxCommands {
		return nil, errors.New("it has too many commands already")
	}
	o := &sent{command: c, answered: make(chan struct{})}
	s.orders[c.ID] = o
	if s.up != nil {
		s.up.push(Down{Command: &o.command})
	}
	return o, nil
}

// Stations lists what is known of every station that has had a line, by name.
func (h *Hub) Stations() []StationState {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]StationState, 0, len(h.stations))
	for _, s := range h.stations {
		list = append(list, s.state)
	}
	slices.SortFunc(list, func(a, b StationState) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Close ends all lines, takes no more, and waits until they are gone.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	for up := range h.lines {
		up.close()
	}
	h.mu.Unlock()
	h.work.Wait()
}
