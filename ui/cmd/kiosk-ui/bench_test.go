//go:build cgo && window

package main

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"loket/ui"
)

// glass is what an X server shows, read from its memory: no request to it disturbs what is measured.
type glass struct {
	memory []byte
	pixels int // where they begin
	line   int // bytes
}

// look opens the picture of a server that was started with -fbdir. It is an XWD file, version 7.
func look(tb testing.TB, dir string) *glass {
	tb.Helper()
	f, err := os.Open(filepath.Join(dir, "Xvfb_screen0"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = syscall.Munmap(m) })
	word := func(i int) int { return int(binary.BigEndian.Uint32(m[4*i:])) }
	return &glass{memory: m, pixels: word(0) + 12*word(19), line: word(12)}
}

// at gives the colour of a pixel as a number.
func (g *glass) at(x, y int) uint32 {
	return binary.LittleEndian.Uint32(g.memory[g.pixels+y*g.line+4*x:]) & 0xffffff
}

// picture copies what is shown.
func (g *glass) picture() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, 1280, 800))
	for y := range 800 {
		for x := range 1280 {
			v := g.at(x, y)
			img.SetRGBA(x, y, color.RGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 255})
		}
	}
	return img
}

// usage is what a process has used so far.
type usage struct {
	cpu time.Duration
	rss int // bytes
}

// clockTicks is sysconf(_SC_CLK_TCK) on Linux.
const clockTicks = 100

func used(tb testing.TB, pid int) usage {
	tb.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	f := strings.Fields(rest)
	number := func(i int) int {
		n, _ := strconv.Atoi(f[i])
		return n
	}
	return usage{cpu: time.Duration(number(11)+number(12)) * time.Second / clockTicks, rss: number(21) * os.Getpagesize()}
}

// hand presses without starting a program for each touch.
type hand struct {
	in  io.WriteCloser
	cmd *exec.Cmd
}

func newHand(tb testing.TB, where string) *hand {
	tb.Helper()
	cmd := exec.Command("xdotool", "-")
	cmd.Env = append(os.Environ(), "DISPLAY="+where)
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	run(tb, cmd)
	return &hand{in, cmd}
}

func (h *hand) do(format string, args ...any) { fmt.Fprintf(h.in, format+"\n", args...) }

// watched gives a screen whose glass can be read, before a scripted daemon.
func watched(tb testing.TB) (*backend, *exec.Cmd, *glass, *hand, time.Duration) {
	tb.Helper()
	dir := tb.TempDir()
	where := display(tb, "-fbdir", dir)
	g := look(tb, dir)
	began := time.Now()
	b, cmd := before(tb, where)
	for g.at(20, 20) == 0 {
		if time.Since(began) > time.Minute {
			tb.Fatal("the screen stayed black")
		}
		time.Sleep(time.Millisecond)
	}
	return b, cmd, g, newHand(tb, where), time.Since(began)
}

// share is how much of a core a process used in a while.
func share(tb testing.TB, pid int, while func()) float64 {
	tb.Helper()
	began, before := time.Now(), used(tb, pid)
	while()
	return 100 * (used(tb, pid).cpu - before.cpu).Seconds() / time.Since(began).Seconds()
}

// rate is how often a second a pixel changes in a while, from its first change to its last.
func (g *glass) rate(x, y int, d time.Duration) float64 {
	var first, last time.Time
	n, before := -1, g.at(x, y)
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(500 * time.Microsecond) {
		if now := g.at(x, y); now != before {
			n, before, last = n+1, now, time.Now()
			if n == 0 {
				first = last
			}
		}
	}
	if n < 1 {
		return 0
	}
	return float64(n) / last.Sub(first).Seconds()
}

// The live view at 30 frames a second, 1280x720 on 1280x800, drawn by Mesa's software renderer. What is decoded is not in it:
// kioskd does that once, see BenchmarkPreviewDecode in kiosk.
func BenchmarkScreen(b *testing.B) {
	if _, err := ui.LoadFonts(ui.FontFolders()...); err != nil {
		b.Skip(err)
	}
	backend, cmd, g, hand, first := watched(b)
	pid := cmd.Process.Pid
	time.Sleep(2 * time.Second) // what is drawn once has been drawn
	idle := share(b, pid, func() { time.Sleep(10 * time.Second) })

	backend.set(sample(b, "called"))
	time.Sleep(time.Second)
	go func() {
		for range backend.did {
		}
	}()
	var touches []time.Duration
	for range 15 {
		const x, y = 1100, 620 // on the button, beside its words
		hand.do("mousemove %d %d", x, y)
		time.Sleep(100 * time.Millisecond)
		before, began := g.at(x, y), time.Now()
		hand.do("mousedown 1")
		for g.at(x, y) == before && time.Since(began) < 2*time.Second {
			time.Sleep(200 * time.Microsecond)
		}
		touches = append(touches, time.Since(began))
		hand.do("mouseup 1")
		time.Sleep(300 * time.Millisecond)
	}
	slices.Sort(touches)

	backend.set(sample(b, "face"))
	time.Sleep(time.Second)
	var shown float64
	live := share(b, pid, func() { shown = g.rate(270, 330, 15*time.Second) })

	b.ReportMetric(0, "ns/op")
	b.ReportMetric(shown, "frames/s")
	b.ReportMetric(live, "%core-live")
	b.ReportMetric(idle, "%core-idle")
	b.ReportMetric(float64(touches[len(touches)/2].Microseconds())/1000, "ms-touch")
	b.ReportMetric(first.Seconds(), "s-first")
}

// Hasty fingers everywhere, for LOKET_SOAK (20 s where it is not set): the screen lives, and its memory stays.
func TestHastyFingersNeitherStopTheScreenNorMakeItGrow(t *testing.T) {
	whole, err := time.ParseDuration(os.Getenv("LOKET_SOAK"))
	if err != nil {
		whole = 20 * time.Second
	}
	backend, cmd, _, hand, _ := watched(t)
	go func() {
		for range backend.did {
		}
	}()
	names := []string{"attract", "called", "confirm", "today", "face", "fingers", "review", "done", "assistance", "warning", "code", "busy"}
	var settled usage
	random := rand.New(rand.NewPCG(1, 2))
	began := time.Now()
	for n := 0; time.Since(began) < whole; n++ {
		hand.do("mousemove %d %d click 1", random.IntN(1280), random.IntN(800))
		if n%7 == 0 {
			hand.do("key %s", []string{"Tab", "Return", "a", "7", "BackSpace", "Right"}[random.IntN(6)])
		}
		if n%12 == 0 {
			backend.set(sample(t, names[random.IntN(len(names))]))
		}
		if settled.rss == 0 && time.Since(began) > whole/4 {
			settled = used(t, cmd.Process.Pid)
		}
		time.Sleep(100 * time.Millisecond)
	}
	end := used(t, cmd.Process.Pid)
	t.Logf("%v of touches: %d MB after a quarter, %d MB at the end", whole, settled.rss>>20, end.rss>>20)
	if end.rss > settled.rss*5/4+16<<20 {
		t.Errorf("the screen grew from %d to %d MB", settled.rss>>20, end.rss>>20)
	}
}
