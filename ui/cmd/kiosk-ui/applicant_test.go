//go:build cgo && window

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/biometric"
	"loket/queue/station"
	"loket/ui"
)

// programs builds what stands behind the screen, once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "loket-bin-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "loket/kiosk/cmd/kioskd", "loket/kiosk/cmd/central",
		"loket/queue/cmd/queued", "loket/firmware-sim")
	if out, err := build.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return dir, nil
})

// applicant is a person before the real screen of a kiosk in a whole centre. They see and hear what the transcript of the
// screen tells, and press by xdotool.
type applicant struct {
	*stage.Centre
	t       *testing.T
	ctx     context.Context
	display string
	path    string // of the transcript
	script  *bufio.Reader
	part    []byte
	screen  *exec.Cmd
	page    note
	pages   []string // all that were shown, in order
	heard   []string
	ticket  station.IssuedTicket
}

// arrived puts up a centre and a screen, and gives somebody who has a ticket for it and takes their time at each device.
func arrived(t *testing.T, reaction time.Duration) *applicant {
	t.Helper()
	where := display(t)
	if _, err := ui.LoadFonts(ui.FontFolders()...); err != nil {
		t.Skip(err)
	}
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	t.Cleanup(cancel)
	c, err := stage.New(stage.Options{Dir: filepath.Join(t.TempDir(), "centre"), Bin: bin, Policy: "nl-residence-permit", Reaction: reaction})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.KillAll)
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	a := &applicant{Centre: c, t: t, ctx: ctx, display: where, path: filepath.Join(t.TempDir(), "transcript")}
	a.open()
	a.issue()
	return a
}

// issue gives the applicant a ticket for a photograph, fingers and what is named besides.
func (a *applicant) issue(also ...biometric.Modality) {
	a.t.Helper()
	var err error
	if a.ticket, err = a.Ticket(a.ctx, a.NextReference(), also...); err != nil {
		a.t.Fatal(err)
	}
}

// open starts the screen.
func (a *applicant) open() {
	a.t.Helper()
	a.screen = exec.Command(os.Args[0], "--socket", a.Socket(), "--windowed", "--player", "", "--transcript", a.path)
	a.screen.Env = append(os.Environ(), "DISPLAY="+a.display, "LOKET_TEST_KIOSK_UI=1")
	a.screen.Stderr = a.t.Output()
	run(a.t, a.screen)
}

// kill ends the screen without warning.
func (a *applicant) kill() {
	_ = a.screen.Process.Kill()
	_ = a.screen.Wait()
}

// notice reads what the transcript has gained.
func (a *applicant) notice() {
	a.t.Helper()
	if a.script == nil {
		f, err := os.Open(a.path)
		if errors.Is(err, fs.ErrNotExist) {
			return
		} else if err != nil {
			a.t.Fatal(err)
		}
		a.t.Cleanup(func() { _ = f.Close() })
		a.script = bufio.NewReader(f)
	}
	for {
		line, err := a.script.ReadBytes('\n')
		a.part = append(a.part, line...)
		if errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			a.t.Fatal(err)
		}
		var n note
		if err := json.Unmarshal(bytes.TrimSpace(a.part), &n); err != nil {
			a.t.Fatal(err)
		}
		a.part = nil
		if n.Said != "" {
			a.heard = append(a.heard, n.Said)
		}
		if n.Page != "" {
			if n.Page != a.page.Page {
				a.pages = append(a.pages, n.Page)
				a.picture(n.Page)
			}
			a.page = n
		}
	}
}

// until waits until something holds.
func (a *applicant) until(what string, ok func() bool) {
	a.t.Helper()
	for {
		if a.notice(); ok() {
			return
		}
		if a.ctx.Err() != nil {
			a.t.Fatalf("waiting for %s: the screen is %q in state %q; pages so far: %q", what, a.page.Page, a.page.State, a.pages)
		}
		select {
		case <-a.ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// on waits for one of some pages.
func (a *applicant) on(pages ...string) {
	a.t.Helper()
	a.until(strings.Join(pages, " or "), func() bool { return slices.Contains(pages, a.page.Page) })
}

func (a *applicant) xdo(args ...any) {
	a.t.Helper()
	x := exec.CommandContext(a.ctx, "xdotool")
	for _, v := range args {
		x.Args = append(x.Args, fmt.Sprint(v))
	}
	x.Env = append(os.Environ(), "DISPLAY="+a.display)
	if out, err := x.CombinedOutput(); err != nil {
		a.t.Fatalf("xdotool %v: %v: %s", args, err, out)
	}
}

// touch puts a finger on a target and waits for the screen's answer.
func (a *applicant) touch(id string) {
	a.t.Helper()
	a.until(id, func() bool { return a.page.Targets[id] != [4]int{} })
	before := fmt.Sprint(a.page)
	a.tap(id)
	a.until("an answer to "+id, func() bool { return fmt.Sprint(a.page) != before })
}

func (a *applicant) tap(id string) {
	a.t.Helper()
	r := a.page.Targets[id]
	a.xdo("mousemove", (r[0]+r[2])/2, (r[1]+r[3])/2, "click", 1)
}

// choose goes to a target by Tab and presses Enter. What is to be done next on a page has the focus by itself.
func (a *applicant) choose(id string) {
	a.t.Helper()
	page := a.page.Page
	for n := 0; !strings.HasSuffix(id, "-primary") && a.page.Focused != id; n++ {
		if n > 80 {
			a.t.Fatalf("%s was not reached by Tab on page %q", id, page)
		}
		was := a.page.Focused
		a.xdo("key", "Tab")
		a.until("the focus to move", func() bool { return a.page.Focused != was })
	}
	a.until("the focus on "+id, func() bool { return a.page.Focused == id })
	a.xdo("key", "Return")
	a.until("an answer to "+id, func() bool { return a.page.Page != page || a.page.Focused != id })
}

// keys types a code on a keyboard.
func (a *applicant) keys(code string) {
	a.t.Helper()
	for _, c := range strings.ToLower(code) {
		a.xdo("key", string(c))
	}
	a.until("the code to be whole", func() bool { return a.page.Focused == "code-primary" })
}

// taps types a code on the screen's own keyboard. The keys stay where they are: only the last changes what can be pressed.
func (a *applicant) taps(code string) {
	a.t.Helper()
	for _, c := range code {
		a.tap("key-" + string(c))
	}
	a.until("the code to be whole", func() bool { return a.page.Targets["code-primary"] != [4]int{} })
}

// sign writes with a finger in the field for signatures.
func (a *applicant) sign() {
	a.t.Helper()
	a.xdo("mousemove", 120, 380, "mousedown", 1)
	for x := 120; x <= 520; x += 20 {
		a.xdo("mousemove", x, 380+x/20%3*30)
	}
	a.xdo("mouseup", 1)
	a.until("a signature to be seen", func() bool { return a.page.Targets["signature-primary"] != [4]int{} })
}

// picture keeps what the screen shows in the folder that LOKET_PICTURES names, if any.
func (a *applicant) picture(page string) {
	if dir := os.Getenv("LOKET_PICTURES"); dir != "" {
		file := filepath.Join(dir, strings.ToLower(strings.TrimPrefix(a.t.Name(), "Test"))+"-"+page+".png")
		_ = exec.CommandContext(a.ctx, "import", "-display", a.display, "-window", "root", file).Run()
	}
}

// walk goes through a whole intake, from whatever page is shown to the last one; press is how buttons are pressed, and code
// how the code is typed. visit is called on each page that waits for the person.
func (a *applicant) walk(language string, press func(id string), code func(string), visit func(page string)) {
	a.t.Helper()
	does := map[string]string{"attract": "language-" + language, "code": "code-primary", "confirm": "confirm-primary", "today": "today-primary",
		"called": "called-primary", "signature": "signature-primary", "review": "review-primary"}
	for {
		waits := []string{"done"}
		for p := range does {
			waits = append(waits, p)
		}
		a.on(waits...)
		page := a.page.Page
		if visit != nil {
			visit(page)
		}
		if page == "done" {
			return
		}
		if page == "code" && a.page.Targets["code-primary"] == [4]int{} {
			code(string(a.ticket.Code))
		}
		if page == "signature" {
			a.sign()
		}
		press(does[page])
		a.until("the page after "+page, func() bool { return a.page.Page != page })
	}
}

// receipt waits until the chain of the ticket ends in a receipt.
func (a *applicant) receipt() {
	a.t.Helper()
	a.until("the receipt", func() bool {
		trace, err := a.Trace(a.ctx, a.ticket.ID)
		if err != nil || trace.Station == nil {
			return false
		}
		for _, s := range trace.Station.Sessions {
			if s.Receipt != nil {
				return true
			}
		}
		return false
	})
}
