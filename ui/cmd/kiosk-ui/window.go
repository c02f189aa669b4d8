//go:build cgo && window

package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"gioui.org/f32"
	"gioui.org/gpu"
	"gioui.org/io/input"
	"gioui.org/io/key"
	"gioui.org/io/pointer"
	"gioui.org/layout"
	"gioui.org/op"
	"github.com/go-gl/gl/v3.1/gles2"
	"github.com/go-gl/glfw/v3.3/glfw"

	"loket/kiosk/api"
	"loket/ui"
)

// Run opens the screen and shows what kioskd says until the window is closed or a signal comes.
func (r *runCmd) Run(c *cli) error {
	runtime.LockOSThread() // the window and its OpenGL context belong to one thread
	screen, err := c.prepare()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	w, err := r.open(screen)
	if err != nil {
		return err
	}
	defer glfw.Terminate()
	defer w.release()
	voice := &ui.Espeak{Player: strings.Fields(r.Player), Log: log}
	w.narrator = &ui.Narrator{Speaker: voice, Headset: r.Headset}
	if w.script, err = transcribe(r.Script, voice, log); err != nil {
		return err
	}
	if w.script != nil {
		w.narrator.Speaker = w.script
	}
	w.line = newLine(r.Socket, log, glfw.PostEmptyEvent)
	var work sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer work.Wait()
	defer cancel()
	work.Go(func() { _ = voice.Run(ctx) })
	work.Go(func() { w.line.run(ctx) })
	screen.Do = func(cmd api.Command) { work.Go(func() { w.line.do(ctx, cmd) }) }
	return w.loop(ctx)
}

// window is the screen: Gio draws into a texture when something changed, the live view lies below it and changes by itself.
type window struct {
	*glfw.Window
	screen   *ui.UI
	narrator *ui.Narrator
	script   *transcript // nil: nobody wants one
	line     *line
	status   *api.Status // the newest; nil while no daemon answers
	gpu      gpu.GPU
	layers   *layers
	router   input.Router
	ops      op.Ops
	slot     *ui.Slot
	size     image.Point
	buttons  pointer.Buttons
	cursor   f32.Point
	dirty    bool
	started  time.Time
}

func (r *runCmd) open(screen *ui.UI) (*window, error) {
	if err := glfw.Init(); err != nil {
		return nil, fmt.Errorf("opening the screen: %w (hint: kiosk-ui needs an X server, see DISPLAY)", err)
	}
	glfw.WindowHint(glfw.ClientAPI, glfw.OpenGLESAPI)
	glfw.WindowHint(glfw.ContextVersionMajor, 3)
	glfw.WindowHint(glfw.ContextVersionMinor, 0)
	glfw.WindowHint(glfw.ContextCreationAPI, glfw.EGLContextAPI)
	width, height, monitor := 0, 0, (*glfw.Monitor)(nil)
	if _, err := fmt.Sscanf(r.Size, "%dx%d", &width, &height); err != nil {
		return nil, fmt.Errorf("opening the screen: %q is not of the form 1280x800", r.Size)
	}
	if m := glfw.GetPrimaryMonitor(); m != nil {
		if mode := m.GetVideoMode(); !r.Windowed && mode != nil {
			width, height, monitor = mode.Width, mode.Height, m
		}
		screen.PxPerMM = perMM(r.PxPerMM, m)
	}
	win, err := glfw.CreateWindow(width, height, "loket", monitor, nil)
	if err != nil {
		glfw.Terminate()
		return nil, fmt.Errorf("opening the screen: %w (hint: it needs OpenGL ES 3: apt-get install libgl1-mesa-dri libegl1)", err)
	}
	win.MakeContextCurrent()
	w := &window{Window: win, screen: screen, dirty: true, started: time.Now()}
	if err := w.start(); err != nil {
		win.Destroy()
		glfw.Terminate()
		return nil, fmt.Errorf("opening the screen: %w", err)
	}
	return w, nil
}

// perMM asks the monitor for its size where nobody gave it. A monitor that tells nonsense counts as unknown.
func perMM(given float64, m *glfw.Monitor) float64 {
	if given > 0 {
		return given
	}
	mode := m.GetVideoMode()
	if mm, _ := m.GetPhysicalSize(); mm > 0 && mode != nil {
		if v := float64(mode.Width) / float64(mm); v > 2 && v < 8 {
			return v
		}
	}
	return 0
}

func (w *window) start() error {
	if err := gles2.Init(); err != nil {
		return fmt.Errorf("finding OpenGL ES: %w", err)
	}
	glfw.SwapInterval(1)
	var err error
	if w.gpu, err = gpu.New(gpu.OpenGL{ES: true, Shared: true}); err != nil {
		return fmt.Errorf("starting Gio: %w", err)
	}
	if w.layers, err = newLayers(); err != nil {
		return err
	}
	w.listen()
	return nil
}

func (w *window) release() {
	w.gpu.Release()
	w.Destroy()
}

// listen takes in keys and touches.
func (w *window) listen() {
	w.SetKeyCallback(func(_ *glfw.Window, k glfw.Key, _ int, action glfw.Action, mods glfw.ModifierKey) {
		name, ok := keyName(k)
		if !ok {
			return
		}
		state := key.Press
		if action == glfw.Release {
			state = key.Release
		} else if action == glfw.Repeat && name != key.NameTab && name != key.NameDeleteBackward {
			return // holding a key down presses once
		}
		var m key.Modifiers
		if mods&glfw.ModShift != 0 {
			m = key.ModShift
		}
		if state == key.Press {
			w.narrator.Speaker.Hush()
		}
		w.screen.Key(&w.router, name, m, state)
		w.act()
	})
	w.SetMouseButtonCallback(func(_ *glfw.Window, b glfw.MouseButton, action glfw.Action, _ glfw.ModifierKey) {
		if b != glfw.MouseButton1 {
			return
		}
		kind := pointer.Press
		w.buttons = pointer.ButtonPrimary
		if action == glfw.Release {
			kind, w.buttons = pointer.Release, 0
		} else {
			w.narrator.Speaker.Hush()
		}
		w.point(kind)
	})
	w.SetCursorPosCallback(func(_ *glfw.Window, x, y float64) {
		w.cursor = f32.Pt(float32(x), float32(y))
		if w.buttons != 0 {
			w.point(pointer.Move)
		}
	})
	w.SetFramebufferSizeCallback(func(*glfw.Window, int, int) { w.dirty = true })
	w.SetRefreshCallback(func(*glfw.Window) { w.dirty = true })
}

// point hands on a touch. Its place is that of the last movement before it: the pointer's present one may be the next touch's.
func (w *window) point(kind pointer.Kind) {
	w.screen.Touch(&w.router, pointer.Event{Kind: kind, Source: pointer.Touch, Buttons: w.buttons, Position: w.cursor,
		Time: time.Since(w.started)})
	w.act()
}

// act carries out what was pressed at once, so that what is pressed between two drawings keeps its order.
func (w *window) act() {
	w.screen.Update(w.context(), w.status)
	w.dirty = true
}

// keyName gives Gio's name of the keys that the screens know.
func keyName(k glfw.Key) (key.Name, bool) {
	names := map[glfw.Key]key.Name{
		glfw.KeyTab: key.NameTab, glfw.KeyEnter: key.NameReturn, glfw.KeyKPEnter: key.NameReturn, glfw.KeySpace: key.NameSpace,
		glfw.KeyLeft: key.NameLeftArrow, glfw.KeyRight: key.NameRightArrow, glfw.KeyUp: key.NameUpArrow, glfw.KeyDown: key.NameDownArrow,
		glfw.KeyBackspace: key.NameDeleteBackward,
	}
	if n, ok := names[k]; ok {
		return n, true
	}
	switch {
	case k >= glfw.KeyA && k <= glfw.KeyZ:
		return key.Name(rune('A' + k - glfw.KeyA)), true
	case k >= glfw.Key0 && k <= glfw.Key9:
		return key.Name(rune('0' + k - glfw.Key0)), true
	case k >= glfw.KeyKP0 && k <= glfw.KeyKP9:
		return key.Name(rune('0' + k - glfw.KeyKP0)), true
	}
	return "", false
}

// loop draws what changed until the window is closed or ctx ends. Nothing happens while nothing changes; once a second it looks
// whether time has changed something.
func (w *window) loop(ctx context.Context) error {
	stop := context.AfterFunc(ctx, glfw.PostEmptyEvent)
	defer stop()
	for !w.ShouldClose() && ctx.Err() == nil {
		glfw.WaitEventsTimeout(0.5)
		if err := w.frame(); err != nil {
			return err
		}
	}
	return nil
}

// frame draws once, if anything changed.
func (w *window) frame() error {
	var answers []error
	var changed bool
	w.status, answers, changed = w.line.take()
	for _, err := range answers {
		w.screen.Answered(err)
	}
	gtx := w.context()
	before, slot := w.screen.Page(), w.slot
	local := w.screen.Local
	page := w.screen.Update(gtx, w.status)
	w.dirty = w.dirty || changed || len(answers) > 0 || local != w.screen.Local || page.ID != before.ID || page.ID == "warning"
	fresh := w.layers.view(w.line.frame(), slot)
	if !w.dirty && !fresh {
		return nil
	}
	if w.dirty {
		if err := w.draw(gtx); err != nil {
			return err
		}
	}
	w.layers.show(w.size, w.slot)
	w.SwapBuffers()
	if w.script != nil {
		w.script.drew(w.screen)
	}
	return nil
}

func (w *window) context() layout.Context {
	w.ops.Reset()
	width, height := w.GetFramebufferSize()
	w.size = image.Pt(width, height)
	return layout.Context{Ops: &w.ops, Now: time.Now(), Metric: ui.Metric(w.size), Source: w.router.Source(), Constraints: layout.Exact(w.size)}
}

// draw lets Gio draw the page into its texture. What the drawing itself set in motion (a focus that moved) is drawn at once.
func (w *window) draw(gtx layout.Context) error {
	w.dirty = false
	w.slot = w.screen.Draw(gtx)
	w.router.Frame(gtx.Ops)
	if _, again := w.router.WakeupTime(); again {
		w.dirty = true
		glfw.PostEmptyEvent()
	}
	if err := w.layers.drawing(w.size, func(target gpu.RenderTarget) error { return w.gpu.Frame(gtx.Ops, target, w.size) }); err != nil {
		return fmt.Errorf("drawing: %w", err)
	}
	w.narrator.Follow(w.screen, w.router.AppendSemantics(nil))
	return nil
}

// line is the connection to kioskd: it comes back by itself.
type line struct {
	client *api.Client
	log    *slog.Logger
	wake   func()

	mu      sync.Mutex
	status  *api.Status
	changed bool
	answers []error
	newest  *api.Frame
	spare   []byte
}

func newLine(socket string, log *slog.Logger, wake func()) *line {
	return &line{client: api.NewClient(socket), log: log, wake: wake}
}

// run watches status and frames until ctx ends.
func (l *line) run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { l.keep(ctx, "status", l.watch) })
	work.Go(func() { l.keep(ctx, "frames", l.frames) })
	work.Wait()
}

// keep calls fn again and again, with a pause; what went wrong is logged once until it works again.
func (l *line) keep(ctx context.Context, what string, fn func(context.Context) error) {
	last := ""
	for ctx.Err() == nil {
		err := fn(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			l.log.Warn("line to kioskd", "of", what, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (l *line) watch(ctx context.Context) error {
	err := l.client.Watch(ctx, func(st api.Status) error {
		l.set(&st)
		return nil
	})
	l.set(nil)
	return err
}

func (l *line) set(st *api.Status) {
	l.mu.Lock()
	l.changed = l.changed || st != nil || l.status != nil
	l.status = st
	l.mu.Unlock()
	l.wake()
}

func (l *line) frames(ctx context.Context) error {
	return l.client.Frames(ctx, func(f api.Frame) error {
		l.mu.Lock()
		pixels := append(l.spare[:0], f.I420...)
		l.spare = nil
		if l.newest != nil {
			l.spare = l.newest.I420 // nobody took it
		}
		f.I420 = pixels
		l.newest = &f
		l.mu.Unlock()
		l.wake()
		return nil
	})
}

// do sends a command.
func (l *line) do(ctx context.Context, c api.Command) {
	_, err := l.client.Do(ctx, c)
	var refused *api.Error
	if err != nil && !errors.As(err, &refused) {
		l.log.Warn("command", "err", err)
	}
	l.mu.Lock()
	l.answers = append(l.answers, err)
	l.mu.Unlock()
	l.wake()
}

// take gives the present status, the answers since the last call, and whether the status is new.
func (l *line) take() (st *api.Status, answers []error, changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	st, answers, changed = l.status, l.answers, l.changed
	l.answers, l.changed = nil, false
	return st, answers, changed
}

// frame gives the newest frame once; nil where there is no newer one.
func (l *line) frame() *api.Frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.newest
	l.newest = nil
	return f
}
