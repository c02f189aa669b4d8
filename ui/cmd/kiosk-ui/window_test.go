//go:build cgo && window

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image/color"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/session"
	"loket/ui/uitest"
	"loket/ui/uitest/golden"
)

// TestMain is also the program itself, for the tests that start it.
func TestMain(m *testing.M) {
	if os.Getenv("LOKET_TEST_KIOSK_UI") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// backend is a kioskd that a test drives.
type backend struct {
	api.Backend // what the screen does not use
	mu          sync.Mutex
	status      api.Status
	changed     chan struct{}
	did         chan api.Command
	seen        color.YCbCr // what the camera sees; the zero value flickers
}

func (b *backend) set(st *api.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = *st
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *backend) Status() (api.Status, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status, b.changed
}

func (b *backend) Do(_ context.Context, _ api.Caller, c api.Command) (api.Reply, error) {
	b.did <- c
	return api.Reply{}, nil
}

func (b *backend) Frames(ctx context.Context, fn func(api.Frame) error) error {
	frame := api.Frame{Modality: biometric.Face, Width: 1280, Height: 720, I420: make([]byte, 1280*720*3/2)}
	tick := time.NewTicker(33 * time.Millisecond) // a little more than 30 a second
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if st, _ := b.Status(); st.Session == nil || st.Session.State != session.Capturing {
				continue // as a daemon does: nobody looks while nothing is captured
			}
			frame.Sequence++
			b.look(&frame)
			if err := fn(frame); err != nil {
				return err
			}
		}
	}
}

// look fills a frame with what the camera sees.
func (b *backend) look(f *api.Frame) {
	const n = 1280 * 720
	b.mu.Lock()
	seen := b.seen
	b.mu.Unlock()
	if seen == (color.YCbCr{}) {
		seen = color.YCbCr{Y: byte(60 + 40*(f.Sequence%4)), Cb: 128, Cr: 128}
	}
	for i, plane := range [][]byte{f.I420[:n], f.I420[n : n+n/4], f.I420[n+n/4:]} {
		v := []byte{seen.Y, seen.Cb, seen.Cr}[i]
		for j := range plane {
			plane[j] = v
		}
	}
}

// display starts an X server of its own and gives its name.
func display(t testing.TB, more ...string) string {
	t.Helper()
	for _, tool := range []string{"Xvfb", "xdotool"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not here: the window is not tried (hint: apt-get install xvfb xdotool)", tool)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("Xvfb", append([]string{"-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp"}, more...)...)
	cmd.ExtraFiles = []*os.File{w}
	run(t, cmd)
	_ = w.Close()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb did not start: %v", err)
	}
	return ":" + line[:len(line)-1]
}

// run starts a program and ends it with the test.
func run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// scripted starts a daemon and the screen in front of it.
func scripted(t *testing.T) (*backend, func(args ...any)) {
	t.Helper()
	where := display(t)
	b, _ := before(t, where)
	return b, func(args ...any) {
		x := exec.Command("xdotool")
		for _, a := range args {
			x.Args = append(x.Args, fmt.Sprint(a))
		}
		x.Env, x.Stderr = append(os.Environ(), "DISPLAY="+where), io.Discard
		if err := x.Run(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("xdotool %v: %v", args, err)
		}
	}
}

// before starts a screen on a display before a daemon that a test drives.
func before(t testing.TB, where string) (*backend, *exec.Cmd) {
	t.Helper()
	dir, err := os.MkdirTemp("", "loket-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := api.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{changed: make(chan struct{}), did: make(chan api.Command, 8), status: api.Status{Ready: true}}
	server := &api.Server{Backend: b, Roles: func(uint32) []api.Role { return []api.Role{api.RoleScreen} }}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Run(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	cmd := exec.Command(os.Args[0], "--socket", socket, "--windowed", "--player", "")
	cmd.Env = append(os.Environ(), "DISPLAY="+where, "LOKET_TEST_KIOSK_UI=1")
	cmd.Stderr = t.Output()
	run(t, cmd)
	return b, cmd
}

// until does something again and again until the screen sends a command.
func until(t *testing.T, b *backend, try func()) api.Command {
	t.Helper()
	for range 60 {
		try()
		select {
		case c := <-b.did:
			return c
		case <-time.After(250 * time.Millisecond):
		}
	}
	t.Fatal("the screen sent nothing")
	return api.Command{}
}

func sample(t testing.TB, name string) *api.Status {
	t.Helper()
	list, err := uitest.Samples()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		if x.Name == name {
			return x.Status
		}
	}
	t.Fatalf("there is no sample %q", name)
	return nil
}

func TestATouchAndAKeyReachTheDaemonThroughARealWindow(t *testing.T) {
	b, do := scripted(t)
	b.set(sample(t, "called"))
	c := until(t, b, func() { do("mousemove", 900, 610, "click", 1) })
	if c.Event == nil || c.Event.Kind != session.Arrived {
		t.Errorf("a touch sent %+v", c)
	}
	b.set(sample(t, "review"))
	c = until(t, b, func() { do("key", "Tab", "key", "Return") })
	if c.Event == nil || c.Event.By != session.Screen {
		t.Errorf("keys sent %+v", c)
	}
	b.set(sample(t, "face"))
	for c.Event.Kind != session.Help { // what was pressed on the page before may come late
		c = until(t, b, func() { do("mousemove", 1130, 610, "click", 1) })
		if c.Event == nil {
			t.Fatalf("a touch beside the live view sent %+v", c)
		}
	}
}

func TestTheWindowLooksAsTheGoldenPictureWithTheLiveViewInIt(t *testing.T) {
	if *update {
		t.Skip("the golden picture is drawn without a window")
	}
	b, _, g, _, _ := watched(t)
	y, cb, cr := color.RGBToYCbCr(90, 120, 150)
	b.mu.Lock()
	b.seen = color.YCbCr{Y: y, Cb: cb, Cr: cr}
	b.mu.Unlock()
	b.set(sample(t, "face"))
	for n := 0; traces(g) > 0 && n < 400; n++ {
		time.Sleep(50 * time.Millisecond)
	}
	if n := traces(g); n > 0 {
		t.Errorf("within the oval %d pixels are not as the camera sees them", n)
	}
	golden.Check(t, filepath.Join("testdata", "golden", "face-nl.png"), g.picture(), false)
}

// traces counts the pixels within the oval of the face's page that are not (90,120,150).
func traces(g *glass) (n int) {
	for y := 230; y < 430; y++ {
		for x := 220; x < 380; x++ {
			v := g.at(x, y)
			for i, want := range []int{90, 120, 150} {
				if got := int(v >> (16 - 8*i) & 255); got < want-3 || got > want+3 {
					n++
					break
				}
			}
		}
	}
	return n
}
