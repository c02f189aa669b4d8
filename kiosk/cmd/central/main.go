// Central is the reference receiver of sealed records. It keeps them in a folder, signs receipts, and can open none of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"
)

type cli struct {
	Config  string           `help:"The service's configuration." default:"/etc/loket/central.yaml" env:"LOKET_CENTRAL_CONFIG" type:"path" placeholder:"FILE"`
	Check   bool             `help:"Check the configuration and end."`
	Debug   bool             `help:"Log in detail."`
	Version kong.VersionFlag `help:"Print the version."`
}

func main() {
	var c cli
	kong.Parse(&c, kong.Name("central"), kong.Description("Receives sealed records from stations and gives receipts."),
		kong.Vars{"version": version()})
	level := slog.LevelInfo
	if c.Debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	config, err := loadConfig(c.Config)
	if err != nil {
		log.Error("start failed", "err", err)
		os.Exit(2)
	}
	if c.Check {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, config, log); err != nil && !errors.Is(err, context.Canceled) {
		log.Error("ended", "err", err)
		os.Exit(1)
	}
	log.Info("ended")
}

// run serves until ctx ends.
func run(ctx context.Context, c config, log *slog.Logger) error {
	id, receiver, err := c.open(log)
	if err != nil {
		return err
	}
	counts := newCounts()
	receiver.Observe = counts.observe
	if err := receiver.Open(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w (hint: listen in the configuration names the address)", err)
	}
	server := &http.Server{
		Handler: receiver, TLSConfig: id.Server(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(ctx, server, func() error { return server.ServeTLS(listener, "", "") }) })
	if c.Metrics != "" {
		group.Go(func() error { return counts.serve(ctx, c.Metrics) })
	}
	log.Info("ready", "listen", listener.Addr().String(), "store", c.Store, "centre", id.Centre, "simulated", c.AcceptSimulated)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // no service manager is no error
	return group.Wait()
}

// serve runs a server until ctx ends, then lets requests that are under way finish for a few seconds.
func serve(ctx context.Context, server *http.Server, listen func() error) error {
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := server.Shutdown(wait)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // an upload that was cut is resumed
		}
		ended <- err
	}()
	if err := listen(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return errors.Join(<-ended, ctx.Err())
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
