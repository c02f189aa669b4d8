// Package server is what queued says over the network: a listener for stations and one for browsers.
//
// The one idea: who calls is what the client certificate says, and what they may see and do follows from its role. Handlers
// read strict JSON, ask package store, and answer in the words of docs/api/queued.yaml, from which routes and types are
// generated; errors are problem details (RFC 9457) with the next step. The listener for browsers has its own idea: who calls is
// who signed in, what they may see and do follows from their roles in organisations, and docs/api/console.yaml has its words.
// Both share the store, the hub of stations and the feed of live events.
package server

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config api.cfg.yaml ../../docs/api/queued.yaml

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"loket/kiosk/identity"
	"loket/queue/station"
	"loket/queue/store"
)

// Limits of a call.
const (
	maxBody      = 1 << 20 // bytes
	maxHeader    = 16 << 10
	callLimit    = 10 * time.Second // for a handler
	headerLimit  = 5 * time.Second
	readLimit    = 15 * time.Second
	writeLimit   = 30 * time.Second
	idleLimit    = 2 * time.Minute
	closeLimit   = 5 * time.Second // for calls in progress when the service ends
	commandLimit = 30 * time.Second
)

// Server serves stations and systems that know appointments. Set the exported fields and call Run once.
type Server struct {
	Store    *store.Store
	Feed     *Feed // to which Store tells its events
	Identity *identity.Identity
	Log      *slog.Logger
	Version  string
	Console  *Console // for browsers; nil for none

	hub      station.Hub
	relay    relay
	codes    oneTimeCodes
	requests *prometheus.CounterVec
	work     sync.WaitGroup // commands on their way, live views
	base     context.Context
}

// Run serves stations on a plain listener, speaking TLS, and browsers where there is a listener for them, until ctx ends; then
// it lets calls in progress finish and closes the lines of stations. The listeners are closed.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	base, stop := context.WithCancel(context.WithoutCancel(ctx)) // calls in progress outlive ctx for a moment
	defer stop()
	s.prepare(base)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return s.serve(ctx, base, "stations", tls.NewListener(listener, s.Identity.Server()), s.handler())
	})
	if s.Console != nil {
		group.Go(func() error { return s.serve(ctx, base, "browsers", s.Console.listener(), s.browsers()) })
	}
	<-ctx.Done()
	var lines sync.WaitGroup
	lines.Go(s.hub.Close) // Shutdown leaves them open
	err := group.Wait()
	stop()
	lines.Wait()
	s.work.Wait()
	s.Feed.Close()
	return err
}

// serve answers calls on one listener until ctx ends, and lets those in progress finish.
func (s *Server) serve(ctx, base context.Context, who string, listener net.Listener, handler http.Handler) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerLimit,
		ReadTimeout:       readLimit,
		WriteTimeout:      writeLimit,
		IdleTimeout:       idleLimit,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving %s: %w", who, err)
	case <-ctx.Done():
	}
	deadline, cancel := context.WithTimeout(base, closeLimit)
	defer cancel()
	err := srv.Shutdown(deadline)
	if err != nil {
		err = errors.Join(fmt.Errorf("ending calls of %s in progress: %w", who, err), srv.Close())
	}
	<-served
	return err
}

// prepare makes the parts that handlers use.
func (s *Server) prepare(base context.Context) {
	s.base = base
	s.hub.Log = s.Log
	s.hub.Store = s.storeFact
	s.hub.Changed = s.Feed.Station
	if s.Console != nil {
		s.Console.prepare(s)
	}
	if s.requests == nil {
		s.requests = newRequests()
	}
}

func newRequests() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "loket_queue_requests_total", Help: "Calls that were answered."},
		[]string{"route", "status"})
}

// Collectors gives the metrics of the server. Call it before Run, or not at all.
func (s *Server) Collectors() []prometheus.Collector {
	s.requests = newRequests()
	stations := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "loket_queue_stations_connected", Help: "Stations whose line is up."}, func() float64 {
		n := 0
		for _, st := range s.hub.Stations() {
			if st.Connected {
				n++
			}
		}
		return float64(n)
	})
	return []prometheus.Collector{s.requests, stations}
}

// Hub gives the lines of stations, for those who send commands.
func (s *Server) Hub() *station.Hub { return &s.hub }

// storeFact keeps what a station tells of a record. One that can never be kept is dropped, or the station would tell it for ever.
func (s *Server) storeFact(ctx context.Context, name string, f station.Fact) error {
	err := s.Store.AddFact(ctx, name, store.Fact{Kind: f.Kind, Ticket: f.Ticket, Session: f.Session, Attempt: f.Attempt,
		Record: f.Record, Detail: f.Detail, At: f.At})
	if errors.Is(err, store.ErrUnknown) {
		s.Log.Warn("a fact was dropped", "station", name, "ticket", f.Ticket, "record", f.Record, "err", err)
		return nil
	}
	return err
}

// handler is the whole of the stations' listener.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	routes := HandlerWithOptions(&stations{s}, StdHTTPServerOptions{BaseRouter: mux, ErrorHandlerFunc: badParameter})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		_, route := mux.Handler(r)
		answer := &answer{ResponseWriter: w}
		peer, err := s.admit(r)
		switch {
		case err != nil:
			refuse(answer, err)
		case route == "":
			refuse(answer, refusal(http.StatusNotFound, "about:blank", "no such call", "docs/api/queued.yaml lists them"))
		default:
			ctx := context.WithValue(r.Context(), peerKey{}, peer)
			if route != linkRoute {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limitOf(route))
				defer cancel()
			}
			routes.ServeHTTP(answer, r.WithContext(ctx))
		}
		s.note(r, route, peer, answer, time.Since(started))
	})
}

const (
	linkRoute     = "GET /v1/station/link"
	handOverRoute = "PUT /v1/handovers/{handover}"
)

// limitOf is how long a call may take.
func limitOf(route string) time.Duration {
	if route == handOverRoute {
		return handoverLimit
	}
	return callLimit
}

// note counts and logs an answered call. Paths stay out of the log: they hold what a caller wrote.
func (s *Server) note(r *http.Request, route string, peer identity.Peer, a *answer, took time.Duration) {
	if route == "" {
		route = "none"
	}
	s.requests.WithLabelValues(route, strconv.Itoa(a.status)).Inc()
	level := slog.LevelDebug
	if a.status >= 400 {
		level = slog.LevelInfo
	}
	if a.status >= 500 {
		level = slog.LevelError
	}
	s.Log.Log(r.Context(), level, "call", "route", route, "status", a.status, "from", peer.Name, "role", peer.Role,
		"ms", took.Milliseconds(), "err", a.cause)
}

// answer remembers what was answered.
type answer struct {
	http.ResponseWriter
	status int
	cause  error // of a failure that the caller isn't told
}

// WriteHeader notes the status.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write notes the status that it implies.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// admit says who calls.
func (s *Server) admit(r *http.Request) (identity.Peer, error) {
	peer, err := identity.PeerFrom(r.TLS)
	if err != nil {
		return peer, refusal(http.StatusForbidden, station.ProblemForbidden, "the certificate does not say who calls", "docs/pki.md says what it needs")
	}
	own := s.Identity.Peer
	switch {
	case peer.Centre != own.Centre:
		return peer, refusal(http.StatusForbidden, station.ProblemForbidden, fmt.Sprintf("the certificate is of centre %q, this queue of %q", peer.Centre, own.Centre),
			"configure the station for its own centre")
	case peer.Demo && !own.Demo:
		return peer, refusal(http.StatusForbidden, station.ProblemForbidden, "the certificate is of a demonstration", "use one of this centre's authority")
	}
	return peer, nil
}

type peerKey struct{}

// caller gives who calls, where the role is one of those allowed.
func caller(r *http.Request, allowed ...identity.Role) (identity.Peer, error) {
	peer, _ := r.Context().Value(peerKey{}).(identity.Peer)
	for _, role := range allowed {
		if peer.Role == role {
			return peer, nil
		}
	}
	return peer, refusal(http.StatusForbidden, station.ProblemForbidden, fmt.Sprintf("a certificate of role %q can't do this", peer.Role),
		"docs/pki.md says which role may")
}

// asked says who calls, where the role is one of those allowed, and reads what they ask into body.
func asked(w http.ResponseWriter, r *http.Request, body any, allowed ...identity.Role) (identity.Peer, error) {
	peer, err := caller(r, allowed...)
	if err == nil {
		err = read(w, r, body)
	}
	return peer, err
}
