package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"loket/firmware-sim/stage"
	"loket/kiosk/identity"
	"loket/queue/station"
)

// TestMain lets the test's own program be queued.
func TestMain(m *testing.M) {
	if os.Getenv("QUEUED_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command prepares queued with a configuration.
func command(t *testing.T, config string, env ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queued.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "--config", path)
	cmd.Env = append(append(os.Environ(), "QUEUED_TEST_MAIN=1"), env...)
	return cmd
}

// pki issues what a centre needs and gives queued's part of a configuration.
func pki(t *testing.T) (*stage.PKI, string) {
	t.Helper()
	p, err := stage.NewPKI(filepath.Join(t.TempDir(), "keys"), "Centre", true)
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]identity.Role{"queue": identity.RoleQueue, "kiosk-1": identity.RoleKiosk} {
		if _, err := p.Issue(name, role); err != nil {
			t.Fatal(err)
		}
	}
	return p, fmt.Sprintf("certificate: %s\nkey: %s\nauthority: %s\n", p.Path("queue.crt"), p.Path("queue.key"), p.Path("ca.crt"))
}

func TestItSaysReadyServesAndEndsOnSIGTERM(t *testing.T) {
	p, config := pki(t)
	database := filepath.Join(t.TempDir(), "queue.db")
	notify := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	cmd := command(t, config+"database: "+database+"\nmetrics: 127.0.0.1:0\n",
		"LOKET_QUEUED_LISTEN=127.0.0.1:0", "LOKET_QUEUED_ELSE=ignored", "NOTIFY_SOCKET="+notify, "WATCHDOG_USEC=30000000")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(stderr)
	address := ""
	for address == "" && log.Scan() {
		var line struct{ Msg, Listen string }
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("a line of the log is not JSON: %s", log.Text())
		}
		if line.Msg == "ready" {
			address = line.Listen
		}
	}
	id, err := p.Identity("kiosk-1")
	if err != nil {
		t.Fatal(err)
	}
	client := station.Client{BaseURL: "https://" + address, HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: id.Client(identity.RoleQueue)}}}
	if h, err := client.Health(t.Context()); err != nil || h.Status != "ok" {
		t.Errorf("health: %+v, %v", h, err)
	}
	if info, err := os.Stat(database); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the queue's file: %v, %v", info.Mode(), err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(stderr)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v: %s", err, rest)
	}
	told := ""
	buf := make([]byte, 100)
	for !strings.Contains(told, "STOPPING=1") {
		n, err := systemd.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		told += string(buf[:n]) + " "
	}
	if !strings.Contains(told, "READY=1") || !strings.Contains(told, "WATCHDOG=1") {
		t.Errorf("systemd was told %s", told)
	}
}

func TestAWrongConfigurationSaysWhatToDoAndExitsWithTwo(t *testing.T) {
	p, config := pki(t)
	kiosk := strings.ReplaceAll(config, "queue.", "kiosk-1.")
	for name, x := range map[string]struct{ config, says string }{
		"unknown key":         {config + "lissten: x\n", "lissten"},
		"no certificate":      {"key: x\nauthority: y\n", "certificate is missing"},
		"certificate missing": {strings.Replace(config, "queue.crt", "nothing.crt", 1), "hint"},
		"a kiosk's":           {kiosk, "role"},
		"bad address":         {config + "listen: here\n", "HOST:PORT"},
		"open metrics":        {config + "metrics: 0.0.0.0:9443\n", "loopback"},
		"bad timezone":        {config + "timezone: Mars/Olympus\n", "timezone"},
		"bad service":         {config + "services:\n  - id: x\n    prefix: AB\n    organisation: o\n", "prefix"},
		"same prefix":         {config + "services:\n  - {id: x, prefix: A, organisation: o}\n  - {id: y, prefix: A, organisation: o}\n", "another"},
		"not YAML":            {"{", "configuration"},
	} {
		out, err := command(t, x.config, "LOKET_QUEUED_DATABASE="+p.Path("queue.db")).CombinedOutput()
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != exitConfiguration || !strings.Contains(string(out), x.says) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

func TestWhatCannotBeOpenedSaysWhatToDo(t *testing.T) {
	_, config := pki(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, lines := range map[string]string{
		"no folder": "database: " + filepath.Join(t.TempDir(), "none", "queue.db"),
		"taken":     "database: " + filepath.Join(t.TempDir(), "queue.db") + "\nlisten: " + taken.Addr().String(),
	} {
		out, err := command(t, config+lines+"\n").CombinedOutput()
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != exitFailed || !strings.Contains(string(out), "hint") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

func TestTheExampleIsAGoodConfiguration(t *testing.T) {
	if _, err := load("queued.example.yaml"); err != nil {
		t.Error(err)
	}
}

func TestAccountsAreKeptFromTheCommandLine(t *testing.T) {
	_, config := pki(t)
	config += "database: " + filepath.Join(t.TempDir(), "queue.db") + "\n"
	run := func(input string, args ...string) (string, error) {
		t.Helper()
		cmd := command(t, config)
		cmd.Args = append(cmd.Args, args...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	id, err := run("four words that differ\n", "account", "add", "someone", "attendant", "municipal-clerk@municipality")
	if err != nil || !strings.HasPrefix(id, "ac_") {
		t.Fatalf("%v: %s", err, id)
	}
	if out, err := run("four other words now\n", "account", "password", "someone"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := run("", "account", "disable", "someone"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	want := strings.TrimSpace(id) + "\tsomeone\tdisabled\tattendant@centre municipal-clerk@municipality\n"
	if out, err := run("", "account", "list"); err != nil || out != want {
		t.Errorf("%v: %q", err, out)
	}
	for name, x := range map[string]struct{ input, role, says string }{
		"no password": {"", "attendant", "hint"}, "short": {"short\n", "attendant", "12"}, "no role": {"four words that differ\n", "king", "hint"}} {
		if out, err := run(x.input, "account", "add", "other", x.role); err == nil || !strings.Contains(out, x.says) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
