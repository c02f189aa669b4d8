package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/identity"
)

// write writes a configuration with a PKI of its own; change may alter its lines.
func write(t *testing.T, demo bool, change func(lines map[string]string)) string {
	t.Helper()
	dir := t.TempDir()
	pki, err := stage.NewPKI(filepath.Join(dir, "keys"), "Test centre", demo)
	check(t, err)
	for name, role := range map[string]identity.Role{"central": identity.RoleCentral, "kiosk-01": identity.RoleKiosk} {
		_, err = pki.Issue(name, role)
		check(t, err)
	}
	_, err = pki.Key("receipts")
	check(t, err)
	lines := map[string]string{
		"listen": "127.0.0.1:0", "certificate": pki.Path("central.crt"), "key": pki.Path("central.key"), "authority": pki.Path("ca.crt"),
		"receipt_key": pki.Path("receipts.key"), "store": filepath.Join(dir, "store"), "policies": "[nl-residence-permit]",
	}
	if change != nil {
		change(lines)
	}
	var text strings.Builder
	for key, value := range lines {
		fmt.Fprintf(&text, "%s: %s\n", key, value)
	}
	path := filepath.Join(dir, "central.yaml")
	check(t, os.WriteFile(path, []byte(text.String()), 0o600))
	return path
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open reads the configuration and what it names.
func open(path string) error {
	c, err := loadConfig(path)
	if err == nil {
		_, _, err = c.open(slog.New(slog.DiscardHandler))
	}
	return err
}

func TestEveryMistakeInTheConfigurationIsNamed(t *testing.T) {
	check(t, open(write(t, false, nil)))
	for says, change := range map[string]func(map[string]string){
		"recipt_key":       func(l map[string]string) { l["recipt_key"] = "x" },
		"authority":        func(l map[string]string) { delete(l, "authority") },
		"receipt_key":      func(l map[string]string) { l["receipt_key"] = "/nowhere" },
		"receipt key":      func(l map[string]string) { l["receipt_key"] = l["certificate"] },
		"listen":           func(l map[string]string) { l["listen"] = "here" },
		"max_record":       func(l map[string]string) { l["max_record"] = "-1" },
		"loopback":         func(l map[string]string) { l["metrics"] = "0.0.0.0:1" },
		"policies":         func(l map[string]string) { l["policies"] = "[]" },
		"not built in":     func(l map[string]string) { l["policies"] = "[made-up]" },
		"digest":           func(l map[string]string) { l["policies"] = "[made-up@12]" },
		"accept_simulated": func(l map[string]string) { l["accept_simulated"] = "true" },
		"role": func(l map[string]string) {
			l["certificate"], l["key"] = sibling(l, "kiosk-01.crt"), sibling(l, "kiosk-01.key")
		},
	} {
		if err := open(write(t, false, change)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want a word about %s, got %v", says, err)
		}
	}
	if err := open(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("no file: %v", err)
	}
}

func sibling(lines map[string]string, name string) string {
	return filepath.Join(filepath.Dir(lines["certificate"]), name)
}

func TestTheEnvironmentComesOnTop(t *testing.T) {
	t.Setenv("LOKET_CENTRAL_LISTEN", "127.0.0.1:4711")
	t.Setenv("LOKET_CENTRAL_CONFIG", "ignored")
	c, err := loadConfig(write(t, false, nil))
	if err != nil || c.Listen != "127.0.0.1:4711" {
		t.Errorf("listens on %s, %v", c.Listen, err)
	}
}

func TestTheExampleHasOnlyKeysThatThereAre(t *testing.T) {
	_, err := loadConfig("central.yaml")
	if err == nil || !strings.Contains(err.Error(), "/etc/loket/central.crt") {
		t.Errorf("the example fails for another reason than that its files are not here: %v", err)
	}
}

func TestTheServiceEndsWhenAskedAndServesItsMetrics(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	metrics := l.Addr().String()
	check(t, l.Close())
	c, err := loadConfig(write(t, true, func(l map[string]string) { l["accept_simulated"], l["metrics"] = "true", metrics }))
	check(t, err)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, c, slog.New(slog.DiscardHandler)) }()
	var text []byte
	for ctx.Err() == nil && !strings.Contains(string(text), "loket_central_received_bytes_total 0") {
		resp, err := http.Get("http://" + metrics)
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		text, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		check(t, err)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
