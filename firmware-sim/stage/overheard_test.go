package stage_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg" // what a record holds
	_ "image/png"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
	"loket/kiosk/identity"
	"loket/kiosk/record"
	"loket/kiosk/session"
)

// overheard is all that a queue could see and more: what stations and queue say to each other, with TLS taken off.
type overheard struct {
	mu   sync.Mutex
	said bytes.Buffer
}

func (o *overheard) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.Write(p)
}

// between stands between a station and the queue with the certificates of both, and gives the address that the station is to use.
func (o *overheard) between(t *testing.T, c *stage.Centre, station string) string {
	t.Helper()
	queue, err := c.PKI.Identity("queue")
	if err != nil {
		t.Fatal(err)
	}
	as, err := c.PKI.Identity(station)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", queue.Server())
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() {
		stop()
		_ = l.Close()
		work.Wait()
	})
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { o.relay(ctx, conn, fmt.Sprintf("127.0.0.1:%d", c.Ports.Queue), as) })
		}
	})
	return "https://" + l.Addr().String()
}

func (o *overheard) relay(ctx context.Context, station net.Conn, address string, as *identity.Identity) {
	defer station.Close()
	config := as.Client(identity.RoleQueue)
	config.ServerName = "127.0.0.1"
	queue, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return // the station tries again
	}
	defer queue.Close()
	defer context.AfterFunc(ctx, func() { _, _ = station.Close(), queue.Close() })()
	ended := make(chan struct{}, 2)
	for _, way := range []struct {
		to   io.Writer
		from io.Reader
	}{{queue, station}, {station, queue}} {
		go func() {
			_, _ = io.Copy(io.MultiWriter(way.to, o), way.from)
			_, _ = station.Close(), queue.Close()
			ended <- struct{}{}
		}()
	}
	<-ended
	<-ended
}

// piece is how long what is looked for is at least.
const piece = 24

// needles are pieces of everything that a record shows of a person: files and pixels, as they are, in base64 and in hexadecimal
// digits. Pieces that tell nothing are left out.
func needles(t *testing.T, r *record.Record) map[string]string {
	t.Helper()
	all := map[string]string{}
	add := func(what string, data []byte) {
		for at := 0; at+piece <= len(data); at += piece {
			if p := data[at : at+piece]; distinct(p) >= 8 {
				all[string(p)] = what
			}
		}
	}
	every := func(what string, data []byte) {
		add(what, data)
		add(what+" in hexadecimal digits", []byte(hex.EncodeToString(data)))
		for skip := range 3 {
			add(what+" in base64", []byte(base64.StdEncoding.EncodeToString(data[skip:])))
		}
	}
	for _, p := range r.Parts {
		every(p.Name, p.Data)
		img, _, err := image.Decode(bytes.NewReader(p.Data))
		if err != nil {
			continue // a part that is no picture
		}
		grey := image.NewGray(img.Bounds())
		draw.Draw(grey, grey.Rect, img, img.Bounds().Min, draw.Src)
		every("pixels of "+p.Name, grey.Pix)
	}
	if len(all) < 10000 {
		t.Fatalf("there are %d pieces to look for", len(all))
	}
	return all
}

func distinct(p []byte) int {
	seen := map[byte]bool{}
	for _, b := range p {
		seen[b] = true
	}
	return len(seen)
}

// find gives what of it stands in data.
func find(data []byte, needles map[string]string) map[string]int {
	found := map[string]int{}
	for at := 0; at+piece <= len(data); at++ {
		if what, ok := needles[string(data[at:at+piece])]; ok {
			found[what]++
		}
	}
	return found
}

// Whoever runs the queue, or listens behind its TLS, sees nothing of a sample while a session is handed over.
func TestNothingPlainLeavesAStationInAHandOver(t *testing.T) {
	ctx, c := prepared(t, stage.Options{Policy: selfService, Desk: true})
	heard := &overheard{}
	c.Env = map[string][]string{}
	for process, station := range map[string]string{stage.Kioskd: stage.StationName, stage.Deskd: stage.DeskName} {
		c.Env[process] = []string{"LOKET_KIOSKD_QUEUE=" + heard.between(t, c, station)}
	}
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	issued := reviewed(ctx, t, c)
	say(ctx, t, c.Kiosk, issued, session.Event{Kind: session.Approved, By: session.Screen})
	e := staffSay(session.Moved)
	e.Target = stage.DeskName
	say(ctx, t, c.Kiosk, issued, e)
	atDesk(ctx, t, c, nil)
	waitAt(ctx, t, c.Counter, "the delivery", func(st api.Status) bool {
		return st.LastEnd != nil && st.LastEnd.Record != "" && st.Outbox.Pending == 0
	})
	st, err := c.Counter.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := openRecord(t, c, stage.DeskName, st.LastEnd.Record)
	defer r.Wipe()
	look := needles(t, r)
	size := 0
	for _, p := range r.Parts {
		if p.Name == "face.jpg" || strings.HasPrefix(p.Name, "fingers/") {
			size += len(p.Data)
		}
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	said := heard.said.Bytes()
	if !bytes.Contains(said, []byte("PUT /v1/handovers/ho_")) || !bytes.Contains(said, []byte("age-encryption.org/v1")) || len(said) < 2*size {
		t.Fatalf("%d bytes were heard, %d of samples are in the record, and the hand-over was not among them", len(said), size)
	}
	if found := find(said, look); len(found) > 0 {
		t.Errorf("plain, between station and queue: %v", found)
	}
	// Had it been there, it would have been found.
	if found := find(append(bytes.Clone(said), r.Parts[0].Data[100:200]...), look); len(found) == 0 {
		t.Error("what was put there on purpose was not found")
	}
	t.Logf("%d pieces of samples are in none of %d bytes", len(look), len(said))
}
