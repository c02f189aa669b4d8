package station

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"loket/kiosk/biometric"
)

// Timing of the line. The centre pings; whoever hears nothing for silence closes.
const (
	pingEvery  = 10 * time.Second
	silence    = 3 * pingEvery
	writeLimit = 10 * time.Second
	backOffMin = 200 * time.Millisecond
	backOffMax = 15 * time.Second
)

// Bounds of what a station keeps for the line.
const (
	maxFacts    = 1024 // facts not stored yet
	maxCommands = 256  // commands remembered with their answers
	remember    = time.Hour
)

// Link is the station's end of the line. Set the exported fields, then call Run once; all other methods may be called at any
// time from any goroutine and don't wait for the network. After every reconnection the centre gets the newest status, ledger
// and verdicts, and all facts that it has not stored.
type Link struct {
	URL     string      // queued's https URL
	TLS     *tls.Config // with the station's certificate
	Version string
	Log     *slog.Logger
	Now     func() time.Time // time.Now where nil

	dial func(ctx context.Context, network, address string) (net.Conn, error) // for tests

	once     sync.Once
	commands chan Command
	wake     chan struct{} // there is something to write

	mu        sync.Mutex
	epoch     string
	sequence  uint64
	status    pending[Status]
	ledger    pending[LedgerReport]
	verdicts  pending[Verdicts]
	key       pending[HandoverKey]
	facts     []fact
	answers   []Answer // to write
	known     map[string]*order
	connected bool
	changed   chan struct{}
}

// pending is the newest value of something, and whether the centre still lacks it.
type pending[T any] struct {
	value    *T
	sequence uint64
	due      bool
}

type fact struct {
	Fact
	sequence uint64
	sent     bool
}

// order is a command that came, with its answer once there is one.
type order struct {
	answer *Answer
	until  time.Time // by the station's clock
}

func (l *Link) init() {
	l.once.Do(func() {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		l.epoch = hex.EncodeToString(b[:])
		l.commands = make(chan Command)
		l.wake = make(chan struct{}, 1)
		l.known = map[string]*order{}
		l.changed = make(chan struct{})
		if l.Log == nil {
			l.Log = slog.New(slog.DiscardHandler)
		}
	})
}

// Commands gives the orders of the centre. Each comes once, before it expires, and is to be answered with [Link.Answer].
func (l *Link) Commands() <-chan Command {
	l.init()
	return l.commands
}

// Answer answers a command. Only the first answer counts.
func (l *Link) Answer(a Answer) error {
	l.init()
	l.mu.Lock()
	defer l.mu.Unlock()
	o, ok := l.known[a.Command]
	switch {
	case !ok:
		return fmt.Errorf("answering command %s: it never came", a.Command)
	case o.answer != nil:
		return fmt.Errorf("answering command %s: it is answered", a.Command)
	}
	l.answer(o, a)
	return nil
}

// answer notes an answer and has it written. The mutex is held.
func (l *Link) answer(o *order, a Answer) {
	a.Reason = cut(a.Reason, maxText)
	o.answer = &a
	l.answers = append(l.answers, a)
	l.stir()
}

// SetStatus replaces the status that the centre sees. Texts that are too long for the line are cut.
func (l *Link) SetStatus(s Status) { set(l, &l.status, s.fit()) }

// SetLedger replaces the ledger that the centre sees: of qualities the scores, without the measures behind them. A ledger that
// contradicts itself is an error.
func (l *Link) SetLedger(session, ticket string, attempt int, ledger biometric.Ledger) error {
	r := LedgerReport{Session: session, Ticket: ticket, Attempt: attempt, Ledger: scored(ledger)}
	if err := (Up{Ledger: &r}).check(); err != nil {
		return fmt.Errorf("setting the ledger: %w", err)
	}
	set(l, &l.ledger, r)
	return nil
}

// scored is a ledger without measures.
func scored(ledger biometric.Ledger) biometric.Ledger {
	for i, e := range ledger {
		if e.Quality != nil {
			quality := *e.Quality
			quality.Measures = nil
			ledger[i].Quality = &quality
		}
	}
	return ledger
}

// SetVerdicts replaces the device states that the centre sees. Texts that are too long for the line are cut.
func (l *Link) SetVerdicts(devices []DeviceVerdict) {
	set(l, &l.verdicts, Verdicts{Devices: devices}.fit())
}

// SetKey replaces the key to which other stations seal what they hand over to this one.
func (l *Link) SetKey(k HandoverKey) error {
	if err := (Up{Key: &k}).check(); err != nil {
		return fmt.Errorf("setting the key: %w", err)
	}
	set(l, &l.key, k)
	return nil
}

func set[T any](l *Link, p *pending[T], value T) {
	l.init()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sequence++
	*p = pending[T]{value: &value, sequence: l.sequence, due: true}
	l.stir()
}

// Tell repeats a fact to the centre until it is stored there. Beyond 1024 the oldest is dropped; the station's journal has it.
// A fact that is no fact (see [Fact]) is an error.
func (l *Link) Tell(f Fact) error {
	l.init()
	f.Detail = cut(f.Detail, maxText)
	if err := (Up{Fact: &f}).check(); err != nil {
		return fmt.Errorf("telling a fact: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sequence++
	l.facts = append(l.facts, fact{Fact: f, sequence: l.sequence})
	if len(l.facts) > maxFacts {
		l.Log.Warn("a fact was dropped: the queue did not take it for long", "record", l.facts[0].Record)
		l.facts = l.facts[1:]
	}
	l.stir()
	return nil
}

// Connected reports whether the line is up, and gives a channel that is closed when that changes.
func (l *Link) Connected() (bool, <-chan struct{}) {
	l.init()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connected, l.changed
}

func (l *Link) setConnected(up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.connected != up {
		l.connected = up
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// stir has the writer look.
func (l *Link) stir() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Link) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

// Run keeps the line up until ctx ends.
func (l *Link) Run(ctx context.Context) error {
	l.init()
	var work sync.WaitGroup
	defer work.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	arrived := make(chan due)
	work.Go(func() { l.dispatch(ctx, arrived) })
	for failures := 0; ctx.Err() == nil; failures++ {
		welcomed, err := l.connect(ctx, arrived)
		if ctx.Err() != nil {
			break
		}
		if welcomed {
			failures = 0
		}
		wait := backOff(failures, mathrand.Float64())
		l.Log.Warn("line to the queue is down", "err", err, "retry_in", wait.String())
		sleep(ctx, wait)
	}
	return ctx.Err()
}

// backOff doubles from 0.2 s to 15 s, less up to half by chance so that stations don't come all at once.
func backOff(failures int, chance float64) time.Duration {
	wait := backOffMax
	if failures < 10 {
		wait = min(backOffMin<<failures, backOffMax)
	}
	return wait - time.Duration(chance*float64(wait)/2)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// connect runs one line until it breaks.
func (l *Link) connect(ctx context.Context, arrived chan<- due) (welcomed bool, err error) {
	dialer := websocket.Dialer{TLSClientConfig: l.TLS, HandshakeTimeout: writeLimit, NetDialContext: l.dial}
	conn, resp, err := dialer.DialContext(ctx, lineURL(l.URL), nil)
	if err != nil {
		return false, l.dialError(resp, err)
	}
	line := newLine(conn)
	defer line.close()
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	work.Go(func() {
		<-ctx.Done()
		line.close()
	})
	if err := l.greet(line); err != nil {
		return false, err
	}
	l.setConnected(true)
	defer l.setConnected(false)
	l.Log.Info("line to the queue is up")
	l.resync()
	work.Go(func() {
		defer line.close()
		l.write(ctx, line)
	})
	return true, l.read(ctx, line, arrived)
}

func lineURL(base string) string {
	return "ws" + strings.TrimPrefix(strings.TrimSuffix(base, "/"), "http") + "/v1/station/link"
}

func (l *Link) dialError(resp *http.Response, err error) error {
	if resp == nil {
		return fmt.Errorf("connecting to the queue: %w", err)
	}
	defer resp.Body.Close()
	data, readErr := io.ReadAll(io.LimitReader(resp.Body, MaxMessage))
	if readErr != nil {
		return fmt.Errorf("connecting to the queue: %w", err)
	}
	return fmt.Errorf("connecting to the queue: %w", refusal(resp, data))
}

// greet says hello and waits for the welcome.
func (l *Link) greet(line *line) error {
	if err := line.send(Up{Sequence: l.at(), Hello: &Hello{Version: cut(l.Version, maxWord), Epoch: l.epoch}}); err != nil {
		return err
	}
	data, err := line.receive()
	if err != nil {
		return err
	}
	m, err := decodeDown(data)
	if err == nil && m.Welcome == nil {
		err = errors.New("reading the queue's message: it is no welcome")
	}
	return err
}

func (l *Link) at() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sequence
}

// resync makes everything that a new line lacks due.
func (l *Link) resync() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.due = l.status.value != nil
	l.ledger.due = l.ledger.value != nil
	l.verdicts.due = l.verdicts.value != nil
	l.key.due = l.key.value != nil
	for i := range l.facts {
		l.facts[i].sent = false
	}
	l.answers = nil // the centre repeats the commands that it has no answer to
	l.stir()
}

// write sends what is due until the line breaks.
func (l *Link) write(ctx context.Context, line *line) {
	for {
		for {
			m, ok := l.next()
			if !ok {
				break
			}
			if err := line.send(m); err != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
	}
}

// next takes the next message that is due: answers first.
func (l *Link) next() (Up, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.answers) > 0 {
		a := l.answers[0]
		l.answers = l.answers[1:]
		return Up{Sequence: l.sequence, Answer: &a}, true
	}
	switch {
	case l.key.due: // before a status that says that the station is free
		l.key.due = false
		return Up{Sequence: l.key.sequence, Key: l.key.value}, true
	case l.status.due:
		l.status.due = false
		return Up{Sequence: l.status.sequence, Status: l.status.value}, true
	case l.ledger.due:
		l.ledger.due = false
		return Up{Sequence: l.ledger.sequence, Ledger: l.ledger.value}, true
	case l.verdicts.due:
		l.verdicts.due = false
		return Up{Sequence: l.verdicts.sequence, Verdicts: l.verdicts.value}, true
	}
	for i := range l.facts {
		if f := &l.facts[i]; !f.sent {
			f.sent = true
			told := f.Fact
			return Up{Sequence: f.sequence, Fact: &told}, true
		}
	}
	return Up{}, false
}

// read takes in what the centre says until the line breaks.
func (l *Link) read(ctx context.Context, line *line, arrived chan<- due) error {
	for {
		data, err := line.receive()
		if err != nil {
			return err
		}
		m, err := decodeDown(data)
		if err != nil {
			return err
		}
		switch {
		case m.Stored != nil:
			l.stored(m.Stored.Sequence)
		case m.Command != nil:
			d, ok := l.take(*m.Command)
			if !ok {
				continue
			}
			select {
			case arrived <- d:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// stored forgets a fact that the centre has.
func (l *Link) stored(sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range l.facts {
		if f.sequence == sequence {
			l.facts = append(l.facts[:i:i], l.facts[i+1:]...)
			return
		}
	}
}

// due is a command with the time until which it counts, by the station's clock.
type due struct {
	Command
	until time.Time
}

// take decides whether a command goes to the daemon. A repeated one is answered as the first time.
func (l *Link) take(c Command) (due, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if o, ok := l.known[c.ID]; ok {
		if o.answer != nil {
			l.answers = append(l.answers, *o.answer)
			l.stir()
		}
		return due{}, false
	}
	l.forget(now)
	o := &order{until: now.Add(c.Expires.Sub(c.Sent))}
	if len(l.known) >= maxCommands {
		l.answers = append(l.answers, Answer{Command: c.ID, Reason: "too many commands at once"})
		l.stir()
		return due{}, false
	}
	l.known[c.ID] = o
	if !now.Before(o.until) {
		l.answer(o, Answer{Command: c.ID, Reason: "expired"})
		return due{}, false
	}
	return due{Command: c, until: o.until}, true
}

// forget drops commands that are long over.
func (l *Link) forget(now time.Time) {
	for id, o := range l.known {
		if now.Sub(o.until) > remember {
			delete(l.known, id)
		}
	}
}

// dispatch hands commands to the daemon in the order in which they came, and refuses those that expire before it takes them.
func (l *Link) dispatch(ctx context.Context, arrived <-chan due) {
	var waiting []due
	for {
		var out chan<- Command
		var head Command
		var expiry <-chan time.Time
		if len(waiting) > 0 {
			out, head = l.commands, waiting[0].Command
			expiry = time.After(waiting[0].until.Sub(l.now()))
		}
		select {
		case <-ctx.Done():
			return
		case d := <-arrived:
			waiting = append(waiting, d)
			continue
		case out <- head:
		case <-expiry:
			l.expire(head.ID)
		}
		waiting = waiting[1:]
	}
}

func (l *Link) expire(id string) {
	if err := l.Answer(Answer{Command: id, Reason: "expired"}); err != nil {
		l.Log.Debug("expired command", "err", err)
	}
}
