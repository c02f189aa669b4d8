package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"loket/kiosk/api"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/ink"
	"loket/kiosk/session"
)

// daemon is a backend that a test drives.
type daemon struct {
	status  api.Status
	changed chan struct{}
	frames  []api.Frame
	did     chan api.Command
	by      string // who sent the last command
}

func (d *daemon) Status() (api.Status, <-chan struct{}) { return d.status, d.changed }

func (d *daemon) Do(_ context.Context, as api.Caller, c api.Command) (api.Reply, error) {
	if c.Start != nil {
		return api.Reply{}, &api.Error{Code: "queue-empty", Text: "nobody waits", Hint: "try again later"}
	}
	if c.Event != nil && !as.Is(api.RoleScreen) {
		return api.Reply{}, errors.New("not a screen")
	}
	d.by = as.Name()
	d.did <- c
	return api.Reply{Status: &d.status}, nil
}

func (d *daemon) Frames(_ context.Context, fn func(api.Frame) error) error {
	for _, f := range d.frames {
		if err := fn(f); err != nil {
			return err
		}
	}
	return nil
}

// RecordUSB writes three lines, the last of them when it is stopped.
func (d *daemon) RecordUSB(ctx context.Context, q api.RecordQuery, w io.Writer) error {
	if q.Device != "1209:0001/A" || q.For != time.Minute {
		return &api.Error{Code: "no-device", Text: "no such device", Hint: "plug it in"}
	}
	if _, err := io.WriteString(w, "first\nsecond\n"); err != nil {
		return err
	}
	for {
		select {
		case c := <-d.did:
			if c.StopRecording == nil || c.StopRecording.Device != q.Device {
				return fmt.Errorf("the daemon got %+v", c)
			}
			_, err := io.WriteString(w, "last\n")
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// serve runs a server for the backend and gives the caller's user id these roles.
func serve(t *testing.T, d *daemon, roles ...api.Role) *api.Client {
	t.Helper()
	socket := shortPath(t)
	l, err := api.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &api.Server{Backend: d, Roles: func(uid uint32) []api.Role {
		if uid == uint32(os.Getuid()) {
			return roles
		}
		return nil
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- server.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return api.NewClient(socket)
}

func newDaemon() *daemon {
	return &daemon{status: api.Status{Sequence: 7, Station: "kiosk-01"}, changed: make(chan struct{}), did: make(chan api.Command, 1)}
}

func TestATechnicianReadsTheStatusAndSendsCommands(t *testing.T) {
	d := newDaemon()
	c := serve(t, d, api.RoleTechnician, api.RoleScreen)
	st, err := c.Status(t.Context())
	if err != nil || st.Station != "kiosk-01" || st.Sequence != 7 {
		t.Fatalf("status %+v, %v", st, err)
	}
	want := session.Event{Kind: session.Approved, By: session.Screen}
	if _, err := c.Do(t.Context(), api.Command{Event: &want}); err != nil {
		t.Fatal(err)
	}
	if got := <-d.did; got.Event == nil || got.Event.Kind != session.Approved {
		t.Errorf("the daemon got %+v", got)
	}
	if want := fmt.Sprintf("uid-%d", os.Getuid()); d.by != want {
		t.Errorf("it came from %s, not from %s", d.by, want)
	}
}

func TestTheLongestSignatureIsTakenIn(t *testing.T) {
	d := newDaemon()
	c := serve(t, d, api.RoleScreen)
	k := ink.Ink{Width: ink.MaxSide, Height: ink.MaxSide}
	for range ink.MaxStrokes {
		s := make(ink.Stroke, ink.MaxPoints/ink.MaxStrokes)
		for i := range s {
			s[i] = ink.Point{X: ink.MaxSide, Y: ink.MaxSide, T: ink.MaxTime, Force: ink.MaxForce}
		}
		k.Strokes = append(k.Strokes, s)
	}
	if _, err := c.Do(t.Context(), api.Command{Session: "se_1", Sign: &api.Sign{Ink: &k}}); err != nil {
		t.Fatal(err)
	}
	if got := <-d.did; got.Sign == nil || len(got.Sign.Ink.Strokes) != ink.MaxStrokes {
		t.Error("the daemon got another one")
	}
}

func TestARefusalKeepsItsCodeAndHint(t *testing.T) {
	c := serve(t, newDaemon(), api.RoleTechnician)
	_, err := c.Do(t.Context(), api.Command{Start: &api.Start{Next: true}})
	var e *api.Error
	if !errors.As(err, &e) || e.Code != "queue-empty" || !strings.Contains(err.Error(), "hint: try again later") {
		t.Errorf("the refusal reads %v", err)
	}
}

func TestAUserWithoutARoleIsRefused(t *testing.T) {
	c := serve(t, newDaemon())
	_, err := c.Status(t.Context())
	var e *api.Error
	if !errors.As(err, &e) || e.Code != "forbidden" {
		t.Errorf("a stranger got %v", err)
	}
}

func TestFramesGoToTheScreenAlone(t *testing.T) {
	d := newDaemon()
	d.frames = []api.Frame{
		{Modality: biometric.Face, Sequence: 1, Width: 4, Height: 2, I420: bytes.Repeat([]byte{1}, 12)},
		{Modality: biometric.Finger, Sequence: 2, Width: 2, Height: 2, I420: bytes.Repeat([]byte{2}, 6)},
	}
	var got []api.Frame
	keep := func(f api.Frame) error {
		f.I420 = bytes.Clone(f.I420)
		got = append(got, f)
		return nil
	}
	_ = serve(t, d, api.RoleScreen).Frames(t.Context(), keep)
	if len(got) != 2 || got[1].Modality != biometric.Finger || !bytes.Equal(got[0].I420, d.frames[0].I420) {
		t.Errorf("the screen got %d frames: %+v", len(got), got)
	}
	err := serve(t, d, api.RoleTechnician).Frames(t.Context(), keep)
	var e *api.Error
	if !errors.As(err, &e) || e.Code != "forbidden" {
		t.Errorf("a technician got %v", err)
	}
}

// tape is where a recording goes; begun is closed at its first text.
type tape struct {
	strings.Builder
	begun chan struct{}
	once  sync.Once
}

func (t *tape) Write(b []byte) (int, error) {
	defer t.once.Do(func() { close(t.begun) })
	return t.Builder.Write(b)
}

func TestARecordingThatIsInterruptedComesToItsEnd(t *testing.T) {
	c := serve(t, newDaemon(), api.RoleTechnician)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := &tape{begun: make(chan struct{})}
	go func() {
		<-out.begun
		interrupt()
	}()
	if err := c.RecordUSB(ctx, api.RecordQuery{Device: "1209:0001/A", For: time.Minute}, out); err != nil || out.String() != "first\nsecond\nlast\n" {
		t.Errorf("the recording is %q, %v", out.String(), err)
	}
}

func TestOnlyTechniciansRecordAndOnlyWhatIsThere(t *testing.T) {
	var e *api.Error
	err := serve(t, newDaemon(), api.RoleTechnician).RecordUSB(t.Context(), api.RecordQuery{Device: "other"}, io.Discard)
	if !errors.As(err, &e) || e.Code != "no-device" || e.Hint == "" {
		t.Errorf("an unknown device gives %v", err)
	}
	err = serve(t, newDaemon(), api.RoleScreen).RecordUSB(t.Context(), api.RecordQuery{Device: "1209:0001/A", For: time.Minute}, io.Discard)
	if !errors.As(err, &e) || e.Code != "forbidden" {
		t.Errorf("a screen gets %v", err)
	}
}

func TestWatchingGivesEachNewStatus(t *testing.T) {
	d := newDaemon()
	c := serve(t, d, api.RoleScreen)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Watch(ctx, func(st api.Status) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("watching ended with %v", err)
	}
}

func TestNoDaemonIsSaidWithANextStep(t *testing.T) {
	_, err := api.NewClient(filepath.Join(t.TempDir(), "none")).Status(t.Context())
	var e *api.Error
	if !errors.As(err, &e) || e.Code != "unreachable" || e.Hint == "" {
		t.Errorf("without a daemon: %v", err)
	}
}

func TestALiveSocketIsNotTakenOverAndADeadOneIs(t *testing.T) {
	socket := shortPath(t)
	l, err := api.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Listen(socket); err == nil || !strings.Contains(err.Error(), "another daemon") {
		t.Errorf("a second daemon got %v", err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	again, err := api.Listen(socket)
	if err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	_ = again.Close()
}

func TestASocketPathThatIsTooLongIsSaidSo(t *testing.T) {
	_, err := api.Listen(filepath.Join(t.TempDir(), strings.Repeat("long", 30)))
	if err == nil || !strings.Contains(err.Error(), "shorter folder") {
		t.Errorf("a path that is too long gives %v", err)
	}
}

// shortPath gives a place for a socket: a test's own folder can have too long a name.
func shortPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "loket-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "sock")
}
