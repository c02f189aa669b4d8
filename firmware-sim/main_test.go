package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"loket/drivers"
	"loket/drivers/nb1010"
	"loket/drivers/slap60"
	"loket/drivers/uru4000"
	"loket/drivers/usb"
	"loket/drivers/usb/usbip"
	"loket/firmware-sim/subject"
	"loket/kiosk/biometric"
)

// program is a running firmware-sim.
type program struct {
	*testing.T
	usb, control string
	text         string // what it said until it was ready
	end          func() (status int)
	said         *bytes.Buffer // read it after end
}

// start runs the program on free ports with a small photo, and waits until it says where.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	photo := filepath.Join(t.TempDir(), "photo.pgm")
	if err := os.WriteFile(photo, append([]byte("P5 8 8 255 "), make([]byte, 64)...), 0o644); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--ptpip", "127.0.0.1:0", "--cache", "", "--photo", photo}, args...)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, args, in, &stderr)
		in.Close()
	}()
	p := &program{T: t, said: new(bytes.Buffer)}
	ports := regexp.MustCompile(`127\.0\.0\.1:\d+`)
	read := make(chan struct{})
	ready := make(chan string, 1)
	go func() {
		defer close(read)
		defer close(ready)
		var text strings.Builder
		buf := make([]byte, 1024)
		for {
			n, err := out.Read(buf)
			text.Write(buf[:n])
			p.said.Write(buf[:n])
			if strings.Contains(text.String(), "End:") {
				ready <- text.String()
				text.Reset()
			}
			if err != nil {
				return
			}
		}
	}()
	p.text = <-ready
	found := ports.FindAllString(p.text, 2)
	if len(found) != 2 {
		cancel()
		<-read
		t.Fatalf("it ended with %d and said %q %q", <-status, p.said, stderr.String())
	}
	p.usb, p.control = found[0], "http://"+found[1]
	p.end = func() int {
		cancel()
		<-read
		s := <-status
		status <- s
		return s
	}
	t.Cleanup(func() { p.end() })
	return p
}

// ask sends a request to the control API; a body is JSON.
func (p *program) ask(method, path, body string, change func(*http.Request)) (int, string) {
	p.Helper()
	req, err := http.NewRequestWithContext(p.Context(), method, p.control+path, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (p *program) state() (st subject.State) {
	p.Helper()
	if code, text := p.ask("GET", "/v1/state", "", nil); code != 200 || json.Unmarshal([]byte(text), &st) != nil {
		p.Fatalf("state: %d %s", code, text)
	}
	return st
}

func TestItServesOneOfEachDeviceAndEndsCleanly(t *testing.T) {
	p := start(t)
	bus := &usbip.Bus{Addr: p.usb}
	list, err := bus.Devices(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	for i, serial := range []string{"SIM-SLAP60-1", "SIM-PTP-1", "SIM-CODE-1"} {
		if list[i].Serial != serial || !list[i].Simulated() {
			t.Errorf("device %d: %+v", i, list[i])
		}
	}
	if status := p.end(); status != 0 {
		t.Errorf("it ended with %d", status)
	}
	for _, want := range []string{"usbip", "list -r", "SIM-SLAP60-1", "SIM-PTP-1", "SIM-CODE-1", "/v1/state", "SIGTERM", "ended"} {
		if !strings.Contains(p.said.String(), want) {
			t.Errorf("it did not say %q: %s", want, p.said)
		}
	}
}

func TestTheUSBIPToolListsTheDevices(t *testing.T) {
	tool, err := exec.LookPath("usbip")
	if err != nil {
		t.Skip("skipped: the usbip tool is not here (hint: apt-get install usbip)")
	}
	p := start(t)
	_, port, _ := net.SplitHostPort(p.usb)
	out, err := exec.Command(tool, "--tcp-port", port, "list", "-r", "127.0.0.1").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "06/01/01") || !strings.Contains(string(out), "1-1:") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestTheUSBIPToolListsEveryDeviceThatWasAskedFor(t *testing.T) {
	tool, err := exec.LookPath("usbip")
	if err != nil {
		t.Skip("skipped: the usbip tool is not here (hint: apt-get install usbip)")
	}
	p := start(t, "--device", "uru4000,nb1010,slap60,ptp,hidcode")
	_, port, _ := net.SplitHostPort(p.usb)
	out, err := exec.Command(tool, "--tcp-port", port, "list", "-r", "127.0.0.1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for i, id := range []string{"05ba:000a", "298d:1010", "1209:0001", "1209:0002", "1209:0003"} {
		if line := regexp.MustCompile(fmt.Sprintf(`(?m)^ +1-%d: .*\(%s\)$`, i+1, id)); !line.Match(out) {
			t.Errorf("no %s as 1-%d: %s", id, i+1, out)
		}
	}
}

func TestAPersonGivesAFingerToAReaderForOne(t *testing.T) {
	for name, driver := range map[string]drivers.Driver{"uru4000": uru4000.Driver(), "nb1010": nb1010.Driver()} {
		p := start(t, "--device", name, "--reaction", "1ms")
		bus := &usbip.Bus{Addr: p.usb}
		list, err := bus.Devices(t.Context())
		if err != nil || len(list) != 1 || !list[0].Simulated() {
			t.Fatalf("%v, %v", list, err)
		}
		dev, err := bus.Open(t.Context(), list[0].Identity())
		if err != nil {
			t.Fatal(err)
		}
		reader, err := driver.Open(t.Context(), dev)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range 2 { // lifted and laid down anew
			img, err := reader.(drivers.FingerprintScanner).Capture(ctx, []biometric.FingerPosition{biometric.RightIndex}, nil)
			if err != nil || !hasRidges(img.Gray) {
				t.Errorf("%s: %v, or nothing to be seen", name, err)
			}
		}
		if st := p.state(); st.Shown != 2 || st.Camera.Plugged || !st.Scanner.Plugged {
			t.Errorf("%s: the state: %+v", name, st)
		}
		if code, text := p.ask("POST", "/v1/events", `{"event": "replug camera"}`, nil); code != 409 {
			t.Errorf("a camera that is not served: %d %s", code, text)
		}
	}
}

// hasRidges reports whether much of a picture is dark and much is bright.
func hasRidges(m *image.Gray) bool {
	var dark, bright int
	for _, v := range m.Pix {
		switch {
		case v < 100:
			dark++
		case v > 180:
			bright++
		}
	}
	return dark > len(m.Pix)/5 && bright > len(m.Pix)/5
}

func TestAPersonGivesFingersOverUSBIP(t *testing.T) {
	p := start(t, "--serial-prefix", "X", "--reaction", "1ms")
	bus := &usbip.Bus{Addr: p.usb}
	dev, err := bus.Open(t.Context(), usb.Identity{Vendor: 0x1209, Product: 1, Serial: "XSLAP60-1"})
	if err != nil {
		t.Fatal(err)
	}
	scanner, err := slap60.Driver().Open(t.Context(), dev)
	if err != nil {
		t.Fatal(err)
	}
	defer scanner.Close()
	if !scanner.Info().Simulated {
		t.Error("a renamed serial number hides that it is simulated")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	img, err := scanner.(drivers.FingerprintScanner).Capture(ctx, []biometric.FingerPosition{biometric.RightIndex}, nil)
	if err != nil || len(img.Fingers) != 1 {
		t.Errorf("%d fingers, %v", len(img.Fingers), err)
	}
	if st := p.state(); st.Shown != 1 || st.HumanMS < 1 {
		t.Errorf("the state: %+v", st)
	}
}

func TestTheControlAPI(t *testing.T) {
	p := start(t, "--no-person", "--stepped", "--scenario", "dry-finger")
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"POST", "/v1/events", `{"event": "present right-index left-index"}`, 200, `"glass":["left-index","right-index"]`},
		{"POST", "/v1/events", `{"event": "lift"}`, 200, `"glass":[]`},
		{"POST", "/v1/events", `{"event": "unplug scanner"}`, 200, `"plugged":false`},
		{"POST", "/v1/events", `{"event": "replug scanner"}`, 200, `"plugged":true`},
		{"POST", "/v1/events", `{"event": "hang camera"}`, 200, `"trouble":"hang"`},
		{"POST", "/v1/events", `{"event": "recover camera"}`, 200, `"watching":false`},
		{"POST", "/v1/events", `{"event": "scan K7Q2M9X4TB"}`, 200, `"scanned":1`},
		{"POST", "/v1/events", `{"event": "scan \"I<UTO\\nERIKSSON\""}`, 200, `"scanned":2`},
		{"POST", "/v1/events", `{"event": "scan two words"}`, 400, "hint:"},
		{"POST", "/v1/events", `{"event": "unplug reader"}`, 200, `"reader":{"plugged":false,"scanned":2}`},
		{"POST", "/v1/events", `{"event": "scan K7Q2M9X4TB"}`, 409, "hint:"},
		{"POST", "/v1/events", `{"event": "replug reader"}`, 200, `"reader":{"plugged":true,"scanned":2}`},
		{"POST", "/v1/events", `{"event": "next-person"}`, 200, `"person":2`},
		{"POST", "/v1/events", `{"event": "person 7"}`, 200, `"person":7`},
		{"POST", "/v1/events", `{"event": "person"}`, 400, "hint:"},
		{"POST", "/v1/events", `{"event": "by-hand"}`, 200, `"by_hand":true`},
		{"POST", "/v1/events", `{"event": "by-itself"}`, 200, `"by_hand":false`},
		{"POST", "/v1/events", `{"event": "fly"}`, 400, "hint:"},
		{"POST", "/v1/events", `{"event": "turn"}`, 409, "photo"},
		{"POST", "/v1/events", `{"even": "lift"}`, 400, "hint:"},
		{"POST", "/v1/events", `{"event": "lift"} {}`, 400, "hint:"},
		{"GET", "/v1/scenarios", "", 200, `"unplug"`},
		{"POST", "/v1/scenario", `{"name": "unplug"}`, 200, `"running":true`},
		{"POST", "/v1/scenario", `{"name": "mine", "text": "wait 1s\nwet"}`, 200, `"name":"mine"`},
		{"POST", "/v1/step", `{"by": "1s"}`, 200, ""},
		{"POST", "/v1/step", `{"by": "soon"}`, 400, "hint:"},
		{"DELETE", "/v1/scenario", "", 200, `"running":false`},
		{"POST", "/v1/scenario", `{"name": "none such"}`, 404, "hint:"},
		{"POST", "/v1/scenario", `{"text": "fly"}`, 400, "line 1"},
		{"GET", "/v1/nothing", "", 404, ""},
	} {
		if code, text := p.ask(c.method, c.path, c.body, nil); code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, code, text)
		}
	}
	if _, text := p.ask("GET", "/v1/scenarios", "", nil); !strings.Contains(text, `"dry-finger"`) {
		t.Errorf("scenarios: %s", text)
	}
}

func TestThePageOfTheHandLoadsNothingFromElsewhere(t *testing.T) {
	p := start(t)
	code, text := p.ask("GET", "/", "", nil)
	if code != 200 || !strings.Contains(text, "<title>The applicant's hand</title>") {
		t.Fatalf("%d %.200s", code, text)
	}
	for _, sign := range []string{"http://", "https://", "src=", "@import", "url("} {
		if strings.Contains(text, sign) {
			t.Errorf("the page has %q", sign)
		}
	}
	// Everything that it can ask for is an event.
	for _, list := range regexp.MustCompile(`(?m)^  const (?:ways|poses) = \[(.*)\];$`).FindAllStringSubmatch(text, -1) {
		for _, word := range strings.Split(strings.ReplaceAll(list[1], `"`, ""), ", ") {
			if _, err := subject.ParseEvent(word); err != nil {
				t.Error(err)
			}
		}
	}
	if code, _ := p.ask("GET", "/", "", func(r *http.Request) { r.Host = "evil.example" }); code != 403 {
		t.Errorf("a rebound name gets the page: %d", code)
	}
}

func TestAWebPageCannotReachTheControlAPI(t *testing.T) {
	p := start(t)
	for name, c := range map[string]struct {
		change func(*http.Request)
		code   int
	}{
		"rebound name": {func(r *http.Request) { r.Host = "evil.example" }, 403},
		"rebound port": {func(r *http.Request) { r.Host = "evil.example:3241" }, 403},
		"foreign page": {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		"no origin":    {func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		"a form":       {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		"localhost":    {func(r *http.Request) { r.Host = "localhost:1" }, 200},
		"IPv6":         {func(r *http.Request) { r.Host = "[::1]:1" }, 200},
		"own page":     {func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:9") }, 200},
	} {
		if code, text := p.ask("POST", "/v1/events", `{"event": "lift"}`, c.change); code != c.code {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	if code, _ := p.ask("POST", "/v1/step", `{"by": "1s"}`, nil); code != 409 {
		t.Errorf("real time was stepped: %d", code)
	}
}

func TestAMistakeIsOneSentenceWithANextStep(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.txt")
	if err := os.WriteFile(bad, []byte("dry\nfly\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--bogus"}, {"extra"}, {"--listen", "0.0.0.0:0"}, {"--listen", "nonsense"}, {"--control", "8.8.8.8:1"}, {"--ptpip", "8.8.8.8:1"},
		{"--photo", bad}, {"--photo", "/none"}, {"--fingers", t.TempDir()}, {"--fingers", "/none"},
		{"--scenario", bad}, {"--scenario", "/none"}, {"--scenario", t.TempDir()}, {"--reaction", "-1s"}, {"--reaction", "soon"},
		{"--device", "toaster"}, {"--device", "slap60,slap60"}, {"--device", ""}, {"--serial-prefix", "a\nb"}, {"--seed", "-1"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), args, &stdout, &stderr)
		text := strings.TrimSuffix(stderr.String(), "\n")
		if status != 2 || !strings.Contains(text, "hint:") || strings.Contains(text, "\n") {
			t.Errorf("%v: %d, %q", args, status, text)
		}
	}
}

func TestATakenPortIsTold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"--listen", ln.Addr().String(), "--cache", ""}, &stdout, &stderr); status != 1 ||
		!strings.Contains(stderr.String(), "hint:") {
		t.Errorf("%d, %q", status, stderr.String())
	}
}

func TestTheCameraIsOnTheNetworkToo(t *testing.T) {
	p := start(t)
	address := regexp.MustCompile(`ptpip:127\.0\.0\.1:(\d+):`).FindStringSubmatch(p.text)
	if address == nil {
		t.Fatalf("it says\n%s", p.text)
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+address[1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("\x20\x00\x00\x00\x01\x00\x00\x00" + "0123456789abcdef" + "A\x00\x00\x00" + "\x00\x00\x01\x00")); err != nil {
		t.Fatal(err)
	}
	ack := make([]byte, 8)
	if _, err := io.ReadFull(conn, ack); err != nil || ack[4] != 2 {
		t.Errorf("a greeting is answered with % x, %v", ack, err)
	}
}

func TestHelpIsNoMistake(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"--help"}, &stdout, &stderr); status != 0 || !strings.Contains(stdout.String(), "--scenario") {
		t.Errorf("%d, %q %q", status, stdout.String(), stderr.String())
	}
}

func TestEveryBuiltInScenarioIsReadable(t *testing.T) {
	for _, name := range builtIns() {
		if _, err := builtIn(name); err != nil {
			t.Error(err)
		}
	}
}
