package usbip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
)

// importer speaks the wire to a server byte by byte.
type importer struct {
	*testing.T
	net.Conn
	devid uint32
}

// dialEcho serves an echo gadget and imports it.
func dialEcho(t *testing.T, g usb.Gadget) *importer {
	t.Helper()
	_, addr := serve(t, g)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	rec, err := importDevice(conn, "1-1")
	if err != nil {
		t.Fatal(err)
	}
	return &importer{t, conn, rec.devid()}
}

func (i *importer) send(p pdu, data []byte) {
	p.devid = i.devid
	if _, err := i.Write(append(p.append(nil), data...)); err != nil {
		i.Errorf("writing message %d: %v", p.seq, err)
	}
}

// in submits an IN transfer; endpoint is a number without direction.
func (i *importer) in(seq uint32, endpoint uint8, size int) {
	i.send(pdu{command: cmdSubmit, seq: seq, in: true, endpoint: endpoint, length: size}, nil)
}

func (i *importer) out(seq uint32, endpoint uint8, data []byte) {
	i.send(pdu{command: cmdSubmit, seq: seq, endpoint: endpoint, length: len(data)}, data)
}

func (i *importer) unlink(seq, target uint32) {
	i.send(pdu{command: cmdUnlink, seq: seq, target: target}, nil)
}

// reply reads an answer; in says whether data follows it.
func (i *importer) reply(in func(seq uint32) bool) (pdu, []byte) {
	i.Helper()
	var buf [pduSize]byte
	if _, err := io.ReadFull(i, buf[:]); err != nil {
		i.Fatalf("reading an answer: %v", err)
	}
	p, err := decodePDU(buf[:])
	if err != nil {
		i.Fatal(err)
	}
	if p.command != retSubmit || !in(p.seq) {
		return p, nil
	}
	data := make([]byte, p.length)
	if _, err := io.ReadFull(i, data); err != nil {
		i.Fatalf("reading the data of answer %d: %v", p.seq, err)
	}
	return p, data
}

func always(uint32) bool { return true }
func never(uint32) bool  { return false }

// A kernel looks an answer's transfer up by its number: an answer to the transfer after that of its unlink makes it drop the
// whole device. So each unlink must be answered either -104, and the transfer not at all, or 0 after the transfer's answer.
func TestATransferAndItsUnlinkAreAnsweredInOneStep(t *testing.T) {
	i := dialEcho(t, usbtest.NewEcho("E1"))
	setup := pdu{command: cmdSubmit, seq: 1, setup: encodeSetup(usb.Setup{RequestType: 1, Request: usb.RequestSetInterface, Value: 1, Index: 1})}
	i.send(setup, nil)
	if p, _ := i.reply(never); p.status != 0 {
		t.Fatalf("SET_INTERFACE gives %d", p.status)
	}
	r := unlinkRace{importer: i, random: rand.New(rand.NewPCG(1, 2)), next: 2, transfers: map[uint32]transfer{}, unlinks: map[uint32]uint32{}}
	for range 4 {
		for kind := range r.kinds() {
			r.submit(kind)
		}
	}
	for r.unlinked < 5000 || r.late < 5000 {
		r.step()
	}
	t.Logf("%d unlinked, %d too late", r.unlinked, r.late)
}

// unlinkRace keeps transfers under way on several endpoints, so that answers wait for the connection most of the time, and
// unlinks the one that is answered next.
type unlinkRace struct {
	*importer
	random         *rand.Rand
	next           uint32
	transfers      map[uint32]transfer // submitted and not answered
	oldest         [4][]uint32         // by kind, not answered when last looked at
	unlinks        map[uint32]uint32   // not answered: unlink → transfer
	unlinked, late int
}

// transfer is one that the server has to answer.
type transfer struct {
	kind    int
	replied bool // RET_SUBMIT came; kept because its unlink is not answered
	asked   bool // its unlink was sent
}

// kinds are the transfers, one an endpoint.
func (r *unlinkRace) kinds() []pdu {
	return []pdu{
		{in: true, endpoint: 4, length: 4096},
		{endpoint: 4},
		{in: true, length: 2, setup: encodeSetup(usb.Setup{RequestType: 0x80, Length: 2})},
		{endpoint: 1},
	}
}

func (r *unlinkRace) submit(kind int) {
	p := r.kinds()[kind]
	p.command, p.seq = cmdSubmit, r.next
	r.next++
	r.transfers[p.seq] = transfer{kind: kind}
	r.oldest[kind] = append(r.oldest[kind], p.seq)
	r.send(p, nil)
}

// takeBack unlinks the transfer of that kind that is answered next.
func (r *unlinkRace) takeBack(kind int) {
	for len(r.oldest[kind]) > 0 {
		seq := r.oldest[kind][0]
		r.oldest[kind] = r.oldest[kind][1:]
		if x, ok := r.transfers[seq]; ok && !x.replied {
			x.asked = true
			r.transfers[seq] = x
			r.unlinks[r.next] = seq
			r.unlink(r.next, seq)
			r.next++
			return
		}
	}
}

// step takes one answer, checks it, and does the next thing.
func (r *unlinkRace) step() {
	r.Helper()
	p, _ := r.reply(func(seq uint32) bool { return r.transfers[seq].kind%2 == 0 })
	if p.command == retSubmit {
		x, ok := r.transfers[p.seq]
		if !ok || x.replied {
			r.Fatalf("transfer %d is answered after it was unlinked, or twice", p.seq)
		}
		x.replied = true
		r.transfers[p.seq] = x
		if !x.asked {
			delete(r.transfers, p.seq)
		}
		r.submit(x.kind)
		r.takeBack(r.random.IntN(4))
		return
	}
	seq := r.unlinks[p.seq]
	x, ok := r.transfers[seq]
	switch {
	case !ok:
		r.Fatalf("unlink %d is answered twice", p.seq)
	case p.status == 0 && !x.replied:
		r.Fatalf("unlink %d is answered as too late, before the answer of transfer %d", p.seq, seq)
	case p.status != 0 && x.replied:
		r.Fatalf("transfer %d is answered and unlinked", seq)
	case p.status == 0:
		r.late++
	default:
		r.unlinked++
		r.submit(x.kind)
	}
	delete(r.transfers, seq)
	delete(r.unlinks, p.seq)
}

// The race above needs luck to show on one run; this needs none.
func TestAnswersAreWrittenWhereTransfersLeaveThePendingSet(t *testing.T) {
	port, err := usb.NewPort(usbtest.NewEcho("E1"))
	if err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{Conn: there, t: t}
	ses := newSession(w, port, 7, func() { cancel(); there.Close() })
	w.ses = ses
	var session sync.WaitGroup
	session.Go(func() { _ = ses.run(ctx) })
	defer session.Wait()
	defer here.Close()
	_ = here.SetDeadline(time.Now().Add(10 * time.Second))
	i := &importer{t, here, 7}
	i.out(1, 1, []byte("x"))
	i.reply(never)
	i.in(2, 1, 512)
	i.reply(always)
	i.in(3, 1, 512)
	i.unlink(4, 3)
	i.reply(never)
	i.unlink(5, 1)
	i.reply(never)
	i.unlink(7, 6)
	i.in(6, 1, 512)
	i.reply(never)
}

// watched is a connection that checks how a session writes to it.
type watched struct {
	net.Conn
	t   *testing.T
	ses *session
}

func (w *watched) Write(b []byte) (int, error) {
	if w.ses.mu.TryLock() {
		w.ses.mu.Unlock()
		w.t.Error("an answer is written outside the critical section")
	}
	return w.Conn.Write(b)
}

// The kernel may send an unlink ahead of its own submit.
func TestAnUnlinkMayComeBeforeItsTransfer(t *testing.T) {
	e := usbtest.NewEcho("E1")
	i := dialEcho(t, e)
	i.out(1, 1, []byte("kept"))
	if p, _ := i.reply(never); p.seq != 1 || p.status != 0 {
		t.Fatalf("the first transfer gives %+v", p)
	}
	i.unlink(3, 2)
	i.in(2, 1, 512)
	if p, _ := i.reply(never); p.command != retUnlink || p.seq != 3 || p.status != -errnoCONNRESET {
		t.Fatalf("an unlink ahead of its transfer is answered %+v", p)
	}
	i.in(4, 1, 512)
	if p, data := i.reply(always); p.seq != 4 || string(data) != "kept" {
		t.Fatalf("after it comes %+v with %q: the unlinked transfer has run", p, data)
	}
	i.unlink(5, 4)
	if p, _ := i.reply(never); p.command != retUnlink || p.seq != 5 || p.status != 0 {
		t.Fatalf("an unlink after its transfer is answered %+v", p)
	}
}

func TestAnUnlinkBeforeTheFirstTransferAndAcrossTheWrapAround(t *testing.T) {
	i := dialEcho(t, usbtest.NewEcho("E1"))
	for _, seq := range []uint32{0xfffffff0, 0xffffffff, 2} {
		i.unlink(seq+2, seq)
		i.in(seq, 1, 512)
		if p, _ := i.reply(never); p.command != retUnlink || p.seq != seq+2 || p.status != -errnoCONNRESET {
			t.Fatalf("an unlink of %08x ahead of it is answered %+v", seq, p)
		}
	}
}

func TestAnUnlinkReachesTransfersThatWait(t *testing.T) {
	e := usbtest.NewEcho("E1")
	i := dialEcho(t, e)
	i.in(1, 1, 512)
	i.in(2, 1, 512)
	<-e.Started
	i.unlink(3, 2)
	i.unlink(4, 1)
	for _, seq := range []uint32{3, 4} {
		if p, _ := i.reply(never); p.seq != seq || p.status != -errnoCONNRESET {
			t.Errorf("unlink %d is answered %+v", seq, p)
		}
	}
	i.out(5, 1, []byte("x"))
	if p, _ := i.reply(never); p.seq != 5 || p.status != 0 || p.length != 1 {
		t.Errorf("the next transfer gives %+v", p)
	}
}

func TestAKernelsFlagsAreHonoured(t *testing.T) {
	i := dialEcho(t, usbtest.NewEcho("E1"))
	i.send(pdu{command: cmdSubmit, seq: 1, endpoint: 1, flags: flagZeroPacket, length: 512}, make([]byte, 512))
	i.reply(never)
	i.in(2, 1, 512)
	i.in(3, 1, 512)
	i.in(4, 1, 512) // the zero-length message that the flag made
	for _, want := range []int{512, 0, 0} {
		if p, _ := i.reply(always); p.length != want || p.status != 0 {
			t.Errorf("answer %d has %d bytes instead of %d, status %d", p.seq, p.length, want, p.status)
		}
	}
	i.out(5, 1, []byte("short"))
	i.reply(never)
	i.send(pdu{command: cmdSubmit, seq: 6, in: true, endpoint: 1, flags: flagShortNotOK, length: 512}, nil)
	if p, data := i.reply(always); p.status != -errnoREMOTEIO || string(data) != "short" {
		t.Errorf("a short transfer that must not be is answered %+v with %q", p, data)
	}
}

func TestIsochronousTransfersAreRefusedAndLeaveTheStreamInStep(t *testing.T) {
	i := dialEcho(t, usbtest.NewEcho("E1"))
	i.send(pdu{command: cmdSubmit, seq: 1, endpoint: 1, length: 8, packets: 2}, make([]byte, 8+2*isoSize))
	if p, _ := i.reply(never); p.seq != 1 || p.status != -errnoNOSYS {
		t.Errorf("it is answered %+v", p)
	}
	i.out(2, 1, []byte("x"))
	if p, _ := i.reply(never); p.seq != 2 || p.status != 0 {
		t.Errorf("the next transfer gives %+v", p)
	}
}

func TestTheServerCutsAPeerThatBreaksTheProtocol(t *testing.T) {
	submit := func(length int, devid uint32) []byte {
		return pdu{command: cmdSubmit, seq: 1, devid: devid, in: true, endpoint: 1, length: length}.append(nil)
	}
	for name, message := range map[string]func(devid uint32) []byte{
		"garbage":                  func(uint32) []byte { return bytes.Repeat([]byte{0xa5}, pduSize) },
		"a huge transfer":          func(d uint32) []byte { return submit(maxTransfer+1, d) },
		"another device's message": func(d uint32) []byte { return submit(8, d+1) },
		"a reply":                  func(d uint32) []byte { return pdu{command: retUnlink, devid: d}.append(nil) },
		"a number twice":           func(d uint32) []byte { return append(submit(8, d), submit(8, d)...) },
	} {
		i := dialEcho(t, usbtest.NewEcho("E1"))
		if _, err := i.Write(message(i.devid)); err != nil {
			t.Fatal(err)
		}
		if n, err := i.Read(make([]byte, pduSize)); err == nil {
			t.Errorf("%s is answered with %d bytes", name, n)
		}
	}
}

func TestTooMuchOutDataUnderWayIsRefused(t *testing.T) {
	g := &stuck{usbtest.NewEcho("E1")}
	i := dialEcho(t, g)
	var writer sync.WaitGroup
	defer writer.Wait()
	defer i.Close()
	writer.Go(func() {
		data := make([]byte, maxTransfer)
		for seq := range uint32(8) {
			if _, err := i.Write(append(pdu{command: cmdSubmit, seq: seq, devid: i.devid, endpoint: 1, length: len(data)}.append(nil), data...)); err != nil {
				return
			}
		}
	})
	if _, err := i.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading gives %v", err)
	}
}

// stuck is a gadget that takes no data.
type stuck struct{ *usbtest.Echo }

func (s *stuck) Transfer(ctx context.Context, _ uint8, _ []byte) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestTheServerListensOnLoopbackOnly(t *testing.T) {
	ln, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := NewServer(nil).Serve(t.Context(), ln); err == nil {
		t.Error("it serves every address")
	}
	if _, err := ln.Accept(); err == nil {
		t.Error("the refused listener is open")
	}
}

func TestExportRefusesWhatCanNotBe(t *testing.T) {
	s := NewServer(nil)
	if err := s.Export("1-1", usbtest.NewEcho("E1")); err != nil {
		t.Fatal(err)
	}
	for _, busid := range []string{"1-1", "", "1", "a-1", "1-", "1-1.", "1-1/2", "1-" + fmt.Sprintf("%030d", 1), "1-999"} {
		if err := s.Export(busid, usbtest.NewEcho("E2")); err == nil {
			t.Errorf("bus id %q is accepted", busid)
		}
	}
	if err := s.Export("1-2.3.4", usbtest.NewEcho("E3")); err != nil {
		t.Error(err)
	}
	if err := s.Unexport("1-9"); !errors.Is(err, usb.ErrNotFound) {
		t.Errorf("unplugging nothing gives %v", err)
	}
}

func FuzzServer(f *testing.F) {
	submit := pdu{command: cmdSubmit, seq: 1, in: true, length: 18, setup: encodeSetup(usb.Setup{RequestType: 0x80, Request: 6, Value: 0x100, Length: 18})}
	f.Add(submit.append(nil))
	f.Add(append(pdu{command: cmdUnlink, seq: 2, target: 1}.append(nil), submit.append(nil)...))
	f.Add(append(pdu{command: cmdSubmit, seq: 3, endpoint: 1, length: 4}.append(nil), "data"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		port, err := usb.NewPort(usbtest.NewEcho("E1"))
		if err != nil {
			t.Fatal(err)
		}
		here, there := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		ses := newSession(there, port, 0, func() { cancel(); there.Close() })
		var ends sync.WaitGroup
		ends.Go(func() { _ = ses.run(ctx) })
		ends.Go(func() { _, _ = io.Copy(io.Discard, here) })
		_, _ = here.Write(b)
		here.Close()
		ends.Wait()
	})
}
