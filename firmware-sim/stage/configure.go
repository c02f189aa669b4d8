package stage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"loket/queue"
)

// configure writes the configurations of the programs.
func (c *Centre) configure() error {
	pem := func(name string) map[string]any {
		return map[string]any{"certificate": c.PKI.Path(name + ".crt"), "key": c.PKI.Path(name + ".key"), "authority": c.PKI.Path("ca.crt")}
	}
	kioskd := c.station(pem(StationName), "kiosk", c.socket, c.Policy, cmp.Or(c.BusPort, c.Ports.USB))
	maps.Copy(kioskd, c.Station)
	deskd := c.station(pem(DeskName), "desk", c.desk, DeskPolicy, c.Ports.DeskUSB)
	queued := pem("queue")
	queued["listen"], queued["database"] = fmt.Sprintf("127.0.0.1:%d", c.Ports.Queue), c.path("queue", "queue.db")
	queued["browsers"] = fmt.Sprintf("127.0.0.1:%d", c.Ports.Browsers)
	maps.Copy(queued, c.Queue)
	central := pem("central")
	for k, v := range map[string]any{
		"listen": fmt.Sprintf("127.0.0.1:%d", c.Ports.Central), "store": c.path("central"),
		"receipt_key": c.PKI.Path("receipts.key"), "accept_simulated": true,
		"policies": slices.Compact([]string{c.Policy, DeskPolicy}),
	} {
		central[k] = v
	}
	for name, config := range map[string]map[string]any{Kioskd: kioskd, Deskd: deskd, Queued: queued, Central: central} {
		data, err := json.MarshalIndent(config, "", "  ") // JSON is YAML
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.path("etc", name+".yaml"), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// station adds what a station needs to its certificate.
func (c *Centre) station(pem map[string]any, folder, socket, policy string, usb int) map[string]any {
	maps.Copy(pem, map[string]any{
		"data": c.path(folder), "socket": socket,
		"queue": c.url(c.Ports.Queue), "central": c.url(c.Ports.Central),
		"central_keys": []string{c.PKI.Path("receipts.pub")}, "recipients": c.PKI.Path("recipients.txt"),
		"day_start": "off", // somebody would sit down when the camera looks
		"policy":    policy, "buses": []string{fmt.Sprintf("usbip:127.0.0.1:%d", usb)},
		"screen_uids": []int{os.Getuid()}, "technician_uids": []int{os.Getuid()},
	})
	return pem
}

// arguments gives a process's command line. The same people stand at both simulators; a scenario plays at the kiosk alone.
func (c *Centre) arguments(name string) []string {
	config := []string{"--config", c.path("etc", name+".yaml")}
	switch name {
	case Deskd:
		return append(config, "--desk")
	case Sim:
		return c.simulator(c.Ports.USB, c.Ports.Control, c.Sim...)
	case DeskSim:
		return c.simulator(c.Ports.DeskUSB, c.Ports.DeskControl, append(withoutScenario(c.Sim), "--serial-prefix", "SIM-DESK-", "--ptpip", "")...)
	}
	return config
}

func (c *Centre) simulator(usb, control int, more ...string) []string {
	args := []string{"--listen", fmt.Sprintf("127.0.0.1:%d", usb), "--control", fmt.Sprintf("127.0.0.1:%d", control)}
	if c.Reaction != 0 {
		args = append(args, "--reaction", c.Reaction.String())
	}
	return append(args, more...)
}

func withoutScenario(args []string) []string {
	i := slices.Index(args, "--scenario")
	if i < 0 {
		return slices.Clone(args)
	}
	return slices.Delete(slices.Clone(args), i, min(i+2, len(args)))
}

// Stations is the address of the queue's listener for stations.
func (c *Centre) Stations() string { return c.url(c.Ports.Queue) }

// Socket is the kiosk's UNIX socket.
func (c *Centre) Socket() string { return c.socket }

// DeskSocket is the desk's UNIX socket.
func (c *Centre) DeskSocket() string { return c.desk }

// Control is the address of the simulated devices' control API.
func (c *Centre) Control() string { return controlAt(c.Ports.Control) }

// DeskControl is the same for the devices at the desk.
func (c *Centre) DeskControl() string { return controlAt(c.Ports.DeskControl) }

func controlAt(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }

// Console is the address of the staff's console.
func (c *Centre) Console() string { return c.url(c.Ports.Browsers) }

// Supervisor adds a supervisor's account for the console and returns its password.
func (c *Centre) Supervisor(ctx context.Context, login string) (string, error) {
	return c.Account(ctx, login, "supervisor")
}

// Account adds an account for the console and returns its password.
func (c *Centre) Account(ctx context.Context, login, role string) (string, error) {
	password := queue.NewID("pw")
	add := exec.CommandContext(ctx, filepath.Join(c.Bin, Queued), "account", "add", login, role, "--config", c.path("etc", Queued+".yaml"))
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		return "", fmt.Errorf("adding an account: %w\n%s", err, out)
	}
	return password, nil
}

// Describe says in one line where everything listens.
func (c *Centre) Describe() string {
	var list []string
	for _, x := range []struct {
		name string
		port int
	}{{Queued, c.Ports.Queue}, {Central, c.Ports.Central}, {Sim, c.Ports.USB}} {
		list = append(list, fmt.Sprintf("%s on 127.0.0.1:%d", x.name, x.port))
	}
	if c.Desk {
		return strings.Join(list, ", ") + ", " + Kioskd + " as " + StationName + " and as " + DeskName
	}
	return strings.Join(list, ", ") + ", " + Kioskd + " as " + StationName
}

// NextPerson lets another simulated person step up. It returns when they are drawn.
func (c *Centre) NextPerson(ctx context.Context) error { return c.Event(ctx, "next-person") }

// Event has the simulated person or a device do something: a line of a scenario, as docs/scenarios.md describes it.
func (c *Centre) Event(ctx context.Context, line string) error { return event(ctx, c.Control(), line) }

// DeskEvent does the same at the desk.
func (c *Centre) DeskEvent(ctx context.Context, line string) error {
	return event(ctx, c.DeskControl(), line)
}

func event(ctx context.Context, control, line string) error {
	doing, _, _ := strings.Cut(line, " ") // what follows may be a code
	return ask(ctx, control+"/v1/events", doing, map[string]string{"event": line})
}

// Play has the simulated person and devices follow a scenario that is built in, in place of the one before.
func (c *Centre) Play(ctx context.Context, scenario string) error {
	return ask(ctx, c.Control()+"/v1/scenario", scenario, map[string]string{"name": scenario})
}

// Step moves the time of devices that were started with --stepped.
func (c *Centre) Step(ctx context.Context, by time.Duration) error {
	return ask(ctx, c.Control()+"/v1/step", "time", map[string]string{"by": by.String()})
}

// ask posts a request to the control API of simulated devices.
func ask(ctx context.Context, address, doing string, request map[string]string) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("asking the simulated devices for %s: %w", doing, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("asking the simulated devices for %s: they answered %s", doing, resp.Status)
	}
	return nil
}

// Line is the line of its scenario that the simulated person is at; 0 before the first.
func (c *Centre) Line(ctx context.Context) (int, error) {
	s, err := state(ctx, c.Control())
	return s.Scenario.Line, err
}

// simState is what a simulator tells of its person.
type simState struct {
	Person            int    `json:"person"`
	Seed              uint64 `json:"seed"`
	HumanMilliseconds int64  `json:"human_ms"`
	Scenario          struct {
		Line int `json:"line"`
	} `json:"scenario"`
}

// state asks a simulator how its person is.
func state(ctx context.Context, control string) (simState, error) {
	var s simState
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, control+"/v1/state", nil)
	if err != nil {
		return s, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, fmt.Errorf("asking the simulated devices: %w", err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("asking the simulated devices: %w", err)
	}
	return s, nil
}

// PersonTime asks the simulated devices how long people have taken so far.
func (c *Centre) PersonTime(ctx context.Context) (time.Duration, error) {
	s, err := state(ctx, c.Control())
	took := time.Duration(s.HumanMilliseconds) * time.Millisecond
	if err != nil || !c.Desk {
		return took, err
	}
	s, err = state(ctx, c.DeskControl())
	return took + time.Duration(s.HumanMilliseconds)*time.Millisecond, err
}
