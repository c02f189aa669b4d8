// Kioskd runs capture sessions on the devices of one station.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"

	"loket/drivers/all"
	"loket/drivers/hidcode"
	"loket/drivers/hidpen"
	"loket/drivers/usb/usbtest"
	"loket/kiosk"
)

type cli struct {
	Config  string           `help:"The station's configuration." default:"/etc/loket/kioskd.yaml" env:"LOKET_CONFIG" type:"path" placeholder:"FILE"`
	Desk    bool             `help:"Run as a staffed desk, which takes sessions over and verifies them. Its certificate must be a desk's."`
	Debug   bool             `help:"Log in detail."`
	Version kong.VersionFlag `help:"Print the version."`
}

func main() {
	var c cli
	kong.Parse(&c, kong.Name("kioskd"), kong.Description("Runs capture sessions on the devices of one station."),
		kong.Vars{"version": version()})
	level := slog.LevelInfo
	if c.Debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if err := noDumps(); err != nil {
		log.Error("start failed", "err", err)
		os.Exit(1)
	}
	config, err := kiosk.LoadConfig(c.Config)
	var options all.Options
	if err == nil {
		options.CodeReaders, err = models("code_readers", config.CodeReaders, hidcode.ParseModel)
	}
	if err == nil {
		options.Pads, err = models("signature_pads", config.SignaturePads, hidpen.ParseModel)
		options.URU4000.Seed, options.PTP.Document = config.DeviceTest.Seed, config.DeviceTest.Document
	}
	if err != nil {
		log.Error("start failed", "err", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	daemon := &kiosk.Daemon{Config: config, Drivers: all.Drivers(options), Log: log, Version: version(), Recorder: recorder,
		Desk: c.Desk, Comparer: kiosk.Minutiae{}}
	if err := daemon.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		log.Error("ended", "err", err)
		os.Exit(1)
	}
	log.Info("ended")
}

// recorder begins a recording of USB traffic.
func recorder(w io.Writer, clear int, digest bool, limit int64) kiosk.Recording {
	return usbtest.Record(w, usbtest.RecordOptions{Clear: clear, Digest: digest, Limit: limit})
}

// noDumps keeps samples out of core dumps and away from debuggers of other users.
func noDumps() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("switching core dumps off: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("switching core dumps off: %w", err)
	}
	return nil
}

// models reads the devices that the configuration names under a key.
func models[M any](key string, names []string, parse func(string) (M, error)) ([]M, error) {
	var list []M
	for _, name := range names {
		m, err := parse(name)
		if err != nil {
			return nil, fmt.Errorf("reading %s in the configuration: %w", key, err)
		}
		list = append(list, m)
	}
	return list, nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
