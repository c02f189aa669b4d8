// Queued keeps the queue of a centre and serves its stations.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // a minimal system has none

	"github.com/alecthomas/kong"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"loket/kiosk/identity"
	"loket/queue/server"
	"loket/queue/store"
)

// Exit codes.
const (
	exitFailed        = 1
	exitConfiguration = 2
)

type cli struct {
	Config  string           `help:"The queue's configuration." default:"/etc/loket/queued.yaml" env:"LOKET_CONFIG" type:"path" placeholder:"FILE"`
	Check   bool             `help:"Check the configuration and the files that it names, then end."`
	Debug   bool             `help:"Log every call."`
	Version kong.VersionFlag `help:"Print the version."`

	Serve   struct{}       `cmd:"" default:"1" help:"Serve (what it does without a command)."`
	Account accountCommand `cmd:"" help:"The accounts of staff."`
}

func main() {
	var c cli
	chosen := kong.Parse(&c, kong.Name("queued"), kong.Description("Keeps the queue of a centre and serves its stations."),
		kong.Vars{"version": version()})
	level := slog.LevelInfo
	if c.Debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	q, err := configure(c.Config, log)
	if err != nil {
		log.Error("start failed", "err", err)
		os.Exit(exitConfiguration)
	}
	if strings.HasPrefix(chosen.Command(), "account ") {
		if err := q.accounts(chosen); err != nil {
			fmt.Fprintln(os.Stderr, "queued:", err)
			os.Exit(exitFailed)
		}
		return
	}
	if c.Check {
		log.Info("configuration is good", "service", q.identity.Name, "centre", q.identity.Centre)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := q.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		log.Error("ended", "err", err)
		os.Exit(exitFailed)
	}
	log.Info("ended")
}

// accounts carries out a command on accounts, beside a queued that serves or not.
func (q *queued) accounts(chosen *kong.Context) error {
	ctx := context.Background()
	opened, err := store.Open(ctx, q.config.Database, store.Options{Services: q.config.Services, Zone: q.zone})
	if err != nil {
		return fmt.Errorf("%w (hint: does the folder exist, and may you write there?)", err)
	}
	err = chosen.Run(&accounts{ctx: ctx, store: opened, in: os.Stdin, out: os.Stdout})
	return errors.Join(err, opened.Close())
}

// queued is the program with its configuration read.
type queued struct {
	config   config
	identity *identity.Identity
	browsers tls.Certificate
	zone     *time.Location
	log      *slog.Logger
}

func configure(path string, log *slog.Logger) (*queued, error) {
	c, err := load(path)
	if err != nil {
		return nil, err
	}
	id, err := identity.Load(c.Certificate, c.Key, c.Authority)
	if err != nil {
		return nil, err
	}
	if id.Role != identity.RoleQueue {
		return nil, fmt.Errorf("loading the certificate %s: its role is %q, not %q (hint: docs/pki.md)", c.Certificate, id.Role, identity.RoleQueue)
	}
	if left := id.Expiry(time.Now()); left <= 0 {
		return nil, fmt.Errorf("loading the certificate %s: it expired %s ago (hint: renew it)", c.Certificate, -left.Round(time.Minute))
	}
	browsers := id.Certificate
	if c.BrowserCert != "" {
		if browsers, err = tls.LoadX509KeyPair(c.BrowserCert, c.BrowserKey); err != nil {
			return nil, fmt.Errorf("loading the certificate for browsers: %w (hint: keys browsers_certificate and browsers_key)", err)
		}
	}
	zone, err := time.LoadLocation(c.Timezone)
	return &queued{config: c, identity: id, browsers: browsers, zone: zone, log: log}, err
}

// run serves until ctx ends.
func (q *queued) run(ctx context.Context) error {
	feed := &server.Feed{}
	queue, err := store.Open(ctx, q.config.Database, store.Options{Services: q.config.Services, Zone: q.zone, Early: q.config.CallEarly, Watch: feed.Event})
	if err != nil {
		return fmt.Errorf("%w (hint: does the folder exist, and may queued write there?)", err)
	}
	srv := &server.Server{Store: queue, Feed: feed, Identity: q.identity, Log: q.log, Version: version()}
	err = q.serve(ctx, srv, queue)
	return errors.Join(err, queue.Close())
}

// serve opens the listeners, says that it is ready, and runs until ctx ends.
func (q *queued) serve(ctx context.Context, srv *server.Server, queue *store.Store) error {
	var listen net.ListenConfig
	stations, err := listen.Listen(ctx, "tcp", q.config.Listen)
	if err != nil {
		return fmt.Errorf("listening for stations: %w (hint: key listen; is another queued running?)", err)
	}
	console := ""
	if q.config.Browsers != "" {
		browsers, err := listen.Listen(ctx, "tcp", q.config.Browsers)
		if err != nil {
			return errors.Join(fmt.Errorf("listening for browsers: %w (hint: key browsers)", err), stations.Close())
		}
		defer browsers.Close()
		srv.Console = &server.Console{Listener: browsers, Certificate: q.browsers}
		console = browsers.Addr().String()
	}
	group, ctx := errgroup.WithContext(ctx)
	if q.config.Metrics != "" {
		metrics, err := listen.Listen(ctx, "tcp", q.config.Metrics)
		if err != nil {
			return errors.Join(fmt.Errorf("listening for metrics: %w (hint: key metrics)", err), stations.Close())
		}
		handler := q.metrics(srv)
		group.Go(func() error { return serveMetrics(ctx, metrics, handler) })
	}
	group.Go(func() error { return srv.Run(ctx, stations) })
	group.Go(func() error { return q.watchdog(ctx, queue) })
	q.log.Info("ready", "listen", stations.Addr().String(), "browsers", console, "service", q.identity.Name, "centre", q.identity.Centre, "demo", q.identity.Demo)
	q.notify(daemon.SdNotifyReady)
	<-ctx.Done()
	q.notify(daemon.SdNotifyStopping)
	return group.Wait()
}

// notify tells systemd, where there is one.
func (q *queued) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		q.log.Warn("telling systemd", "state", state, "err", err)
	}
}

// watchdog feeds systemd's watchdog while the queue can be read.
func (q *queued) watchdog(ctx context.Context, queue *store.Store) error {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("reading the watchdog's time: %w (hint: WATCHDOG_USEC)", err)
	}
	if every == 0 {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(every / 3)
	defer ticker.Stop()
	for {
		if err := queue.Ping(ctx); err != nil && ctx.Err() == nil {
			q.log.Error("the queue can't be read; the watchdog is not fed", "err", err)
		} else {
			q.notify(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (q *queued) metrics(srv *server.Server) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(srv.Collectors()...)
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "loket_queue_certificate_seconds", Help: "How long the certificate is still valid."},
		func() float64 { return q.identity.Expiry(time.Now()).Seconds() }))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

func serveMetrics(ctx context.Context, listener net.Listener, handler http.Handler) error {
	srv := &http.Server{Handler: handler, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving metrics: %w", err)
	case <-ctx.Done():
		err := srv.Close()
		<-served
		return err
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
