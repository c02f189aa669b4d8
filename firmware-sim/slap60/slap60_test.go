package slap60

import (
	"bytes"
	"context"
	"errors"
	"image"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers/driverstest"
	"loket/drivers/usb"
)

const document = "../../docs/protocols/slap60.md"

// number reads a field of a vector.
func number(t *testing.T, v driverstest.Vector, field string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(v.Fields[field], 10, 32)
	if err != nil {
		t.Fatalf("%s %s: %v", v.Kind, v.Fields["name"], err)
	}
	return uint32(n)
}

func resyncDevice(t *testing.T, d *Device, token uint16) []byte {
	t.Helper()
	b := make([]byte, 16)
	setup := usb.Setup{RequestType: 0xc1, Request: requestResync, Value: token, Length: 16}
	if n, err := d.Control(t.Context(), setup, b); n != 16 || err != nil {
		t.Fatalf("resync: %d, %v", n, err)
	}
	return b
}

// soon bounds a transfer that must not wait.
func soon(t *testing.T, d *Device, endpoint uint8, b []byte) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	n, err := d.Transfer(ctx, endpoint, b)
	if err != nil {
		t.Fatalf("endpoint %02x: %v", endpoint, err)
	}
	return b[:n]
}

func TestConversationOfTheDocumentIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Width: 64, Height: 64})
		buf := make([]byte, 1024)
		spoken := 0
		for _, v := range driverstest.Vectors(t, document) {
			var got []byte
			switch v.Kind {
			case "resync":
				got = resyncDevice(t, d, uint16(number(t, v, "token")))
			case "command":
				c, err := decodeCommand(v.Bytes)
				if err != nil || uint32(c.code) != number(t, v, "code") || c.counter != number(t, v, "counter") {
					t.Fatalf("%s: %+v, %v", v.Fields["name"], c, err)
				}
				got = soon(t, d, endpointCommand, v.Bytes)
			case "response":
				got = soon(t, d, endpointResponse, buf)
				if v.Fields["name"] == "ARM" {
					d.Present(smallHand())
				}
			case "event":
				if number(t, v, "kind") == uint32(eventCaptured) {
					time.Sleep(200 * time.Millisecond)
				}
				got = soon(t, d, endpointEvent, buf)
			default:
				continue
			}
			spoken++
			if !bytes.Equal(got, v.Bytes) {
				t.Fatalf("%s %s:\n% x, want\n% x", v.Kind, v.Fields["name"], got, v.Bytes)
			}
		}
		if spoken < 29 {
			t.Errorf("the document's conversation has %d parts", spoken)
		}
	})
}

// smallHand is the presentation of the document.
func smallHand() Presentation {
	m := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range m.Pix {
		m.Pix[i] = uint8(4*(i%64) + i/64)
	}
	return Presentation{Image: m, Fingers: []Contact{{Box: image.Rect(35, 6, 56, 38), PAD: 88}, {Box: image.Rect(5, 7, 25, 37), PAD: 91}}}
}

func TestDamagedCommandsOfTheDocumentHaltTheEndpoint(t *testing.T) {
	d := New(Options{})
	for _, v := range driverstest.Vectors(t, document) {
		if v.Kind != "damaged command" {
			continue
		}
		if _, err := d.Transfer(t.Context(), endpointCommand, v.Bytes); !errors.Is(err, usb.ErrStall) {
			t.Errorf("%s: %v", v.Fields["why"], err)
		}
	}
	if d.link.next != 1 || d.link.unread {
		t.Error("a damaged command was run")
	}
}

// host speaks to a scanner as a driver would, without being one.
type host struct {
	*testing.T
	d       *Device
	counter uint32
	buf     []byte
}

func newHost(t *testing.T, d *Device) *host {
	resyncDevice(t, d, 1)
	return &host{T: t, d: d, buf: make([]byte, 2048)}
}

func frame(code uint8, counter uint32, payload []byte) []byte {
	b := append([]byte{0x53, 0x36, version, code}, le.AppendUint32(le.AppendUint32(nil, counter), uint32(len(payload)))...)
	b = le.AppendUint32(b, castagnoli(b, payload))
	return append(b, payload...)
}

// send runs a command and returns its status and payload.
func (h *host) send(code uint8, payload ...byte) (status, []byte) {
	h.Helper()
	h.counter++
	soon(h.T, h.d, endpointCommand, frame(code, h.counter, payload))
	b := soon(h.T, h.d, endpointResponse, h.buf)
	return status(b[12]), b[responseSize : len(b)-4]
}

func (h *host) wants(want status, code uint8, payload ...byte) {
	h.Helper()
	if got, _ := h.send(code, payload...); got != want {
		h.Errorf("command %02x % x gives status %d, want %d", code, payload, got, want)
	}
}

func TestCommandsOutOfPlaceAreRefused(t *testing.T) {
	h := newHost(t, New(Options{Width: 64, Height: 64}))
	h.wants(statusUnknownCommand, 0x7f)
	h.wants(statusUnknownCommand, 0x00)
	h.wants(statusBadArgument, cmdIdentity, 1)
	h.wants(statusBadArgument, cmdGuide, 1)
	h.wants(statusBadArgument, cmdGuide, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	h.wants(statusBadArgument, cmdArm, 0, 0, 0, 0, 0, 0, 0, 0)
	h.wants(statusBadArgument, cmdArm, 5, 0, 31, 0, 0, 0, 0, 0)
	h.wants(statusBadArgument, cmdArm, 1, 0, 3, 0, 0, 0, 0, 0)
	h.wants(statusBadArgument, cmdArm, 1, 0, 0, 4, 0, 0, 0, 0)
	h.wants(statusWrongState, cmdImage)
	h.wants(statusWrongState, cmdFetch, make([]byte, 12)...)
	h.wants(statusWrongState, cmdDone, 0, 0, 0, 0)
	h.wants(statusOK, cmdArm, 1, 0, 1, 0, 0, 0, 0, 0)
	h.wants(statusWrongState, cmdArm, 1, 0, 1, 0, 0, 0, 0, 0)
	h.wants(statusWrongState, cmdSelfTest)
	h.wants(statusOK, cmdCancel)
	h.wants(statusOK, cmdCancel)
}

func TestFetchStaysWithinTheImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Width: 64, Height: 64})
		h := newHost(t, d)
		d.Present(smallHand())
		h.wants(statusOK, cmdArm, 2, 0, 3, 0, 0, 0, 0, 0)
		time.Sleep(time.Second)
		ask := func(number, offset, length uint32) []byte {
			return le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, number), offset), length)
		}
		for _, p := range [][]byte{ask(1, 0, 0), ask(1, 4096, 1), ask(1, 0, 4097), ask(1, 1<<32-1, 2), ask(1, 0, maxFetch+1), {1}} {
			h.wants(statusBadArgument, cmdFetch, p...)
		}
		h.wants(statusNoImage, cmdFetch, ask(2, 0, 1)...)
		h.wants(statusNoImage, cmdDone, 2, 0, 0, 0)
		h.wants(statusOK, cmdFetch, ask(1, 4095, 1)...)
		h.wants(statusOK, cmdDone, 1, 0, 0, 0)
	})
}

func TestRepeatedCommandIsAnsweredAgainAndNotRunAgain(t *testing.T) {
	h := newHost(t, New(Options{}))
	h.wants(statusOK, cmdArm, 1, 0, 1, 0, 0, 0, 0, 0)
	again := frame(cmdArm, 1, []byte{1, 0, 1, 0, 0, 0, 0, 0})
	for range 2 {
		soon(t, h.d, endpointCommand, again)
		if b := soon(t, h.d, endpointResponse, h.buf); status(b[12]) != statusOK {
			t.Errorf("the repeat gives status %d", b[12])
		}
	}
	soon(t, h.d, endpointCommand, frame(cmdStatus, 2, nil))
	if _, err := h.d.Transfer(t.Context(), endpointCommand, frame(cmdStatus, 3, nil)); !errors.Is(err, usb.ErrStall) {
		t.Errorf("a command before the last response was read: %v", err)
	}
}

func TestLongResponseEndsWithAShortPacket(t *testing.T) {
	d := New(Options{Width: 64, Height: 64})
	h := newHost(t, d)
	d.mu.Lock()
	d.link.answer = make([]byte, 2*packetSize)
	d.offer()
	d.mu.Unlock()
	var sizes []int
	for range 3 {
		sizes = append(sizes, len(soon(t, h.d, endpointResponse, make([]byte, packetSize))))
	}
	if !slices.Equal(sizes, []int{512, 512, 0}) || d.link.unread {
		t.Errorf("a response of 1024 bytes came as %v", sizes)
	}
	d.mu.Lock()
	d.offer()
	d.mu.Unlock()
	if n := len(soon(t, h.d, endpointResponse, make([]byte, 3*packetSize))); n != 1024 || d.link.unread {
		t.Errorf("in one transfer: %d bytes, and more to come: %v", n, d.link.unread)
	}
}

func TestEventsThatNobodyFetchesAreCounted(t *testing.T) {
	d := New(Options{Width: 64, Height: 64})
	newHost(t, d)
	for range 20 {
		d.Present(smallHand())
		d.Lift()
	}
	if len(d.link.events) != maxEvents || d.link.number != 40 || d.link.events[0].number != 25 {
		t.Errorf("%d events are kept, the last is %d", len(d.link.events), d.link.number)
	}
}

func TestFingersThatMoveAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Width: 64, Height: 64})
		h := newHost(t, d)
		h.wants(statusOK, cmdArm, 2, 0, 3, 0, 0, 0, 0, 0)
		for range 20 {
			d.Present(smallHand())
			time.Sleep(90 * time.Millisecond)
		}
		if g := d.Guidance(); !g.Armed || g.Lift {
			t.Errorf("moving fingers were captured: %+v", g)
		}
		time.Sleep(11 * time.Millisecond)
		if g := d.Guidance(); g.Armed || !g.Lift {
			t.Errorf("fingers that lie still were not captured: %+v", g)
		}
	})
}

func TestResyncLetsTheSameFingersBeCapturedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Width: 64, Height: 64})
		d.Present(smallHand())
		for range 2 {
			h := newHost(t, d)
			h.wants(statusOK, cmdArm, 2, 0, 3, 0, 0, 0, 0, 0)
			time.Sleep(101 * time.Millisecond)
			if !d.Guidance().Lift {
				t.Error("nothing was captured")
			}
		}
	})
}

func TestPersonFollowsTheGuidance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Width: 64, Height: 64})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { // a person
			defer close(done)
			for {
				changed := d.Changed()
				switch g := d.Guidance(); {
				case g.Lift:
					d.Lift()
				case g.Armed && slices.Equal(g.Fingers(), []uint8{2, 7}):
					d.Present(smallHand())
				}
				select {
				case <-changed:
				case <-ctx.Done():
					return
				}
			}
		}()
		h := newHost(t, d)
		h.wants(statusOK, cmdArm, 2, 0, 66, 0, 0, 0, 0, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		if st, payload := h.send(cmdImage); st != statusOK || payload[16] != 2 {
			t.Errorf("status %d, % x", st, payload)
		}
		if d.Guidance().Lift {
			t.Error("the person's fingers still lie there")
		}
		cancel()
		<-done
	})
}

func TestPicturesOfAnySizeAreTaken(t *testing.T) {
	d := New(Options{Width: 64, Height: 64})
	m := image.NewGray(image.Rect(-10, -10, 190, 20))
	d.Present(Presentation{Image: m, Fingers: []Contact{{Box: image.Rect(0, 0, 400, 400)}, {Box: image.Rect(500, 0, 510, 10)}}})
	if d.glass.GrayAt(63, 29).Y != 0 || d.glass.GrayAt(0, 30).Y != 255 {
		t.Error("the picture is not in the upper left corner")
	}
	if len(d.contacts) != 1 || d.contacts[0].Box != image.Rect(10, 10, 64, 64) {
		t.Errorf("fingers at %v", d.contacts)
	}
	d.Present(Presentation{Fingers: make([]Contact, 20)})
	if len(d.contacts) != 0 {
		t.Error("fingers without extent were seen")
	}
}

func FuzzDecodeCommand(f *testing.F) {
	for _, v := range driverstest.Vectors(f, document) {
		if v.Kind == "command" || v.Kind == "damaged command" {
			f.Add(v.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCommand(b)
		if err == nil && !bytes.Equal(frame(c.code, c.counter, c.payload), b) {
			t.Errorf("% x was read as %+v", b, c)
		}
	})
}

// FuzzScanner gives a scanner commands with right frames and anything in them.
func FuzzScanner(f *testing.F) {
	f.Add(cmdArm, []byte{2, 0, 66, 0, 100, 0, 0xb8, 0x0b}, cmdPreview, []byte{})
	f.Add(cmdGuide, make([]byte, 12), cmdFetch, make([]byte, 12))
	f.Fuzz(func(t *testing.T, first uint8, p []byte, second uint8, q []byte) {
		d := New(Options{Width: 64, Height: 64})
		d.Present(smallHand())
		for i, c := range []struct {
			code    uint8
			payload []byte
		}{{first, p}, {second, q}} {
			if len(c.payload) > maxPayload {
				return
			}
			soon(t, d, endpointCommand, frame(c.code, uint32(i+1), c.payload))
			b := soon(t, d, endpointResponse, make([]byte, 8192))
			if len(b) < responseSize+4 || int(le.Uint32(b[8:])) != len(b)-responseSize-4 {
				t.Fatalf("command %02x % x is answered with % x", c.code, c.payload, b)
			}
		}
		resyncDevice(t, d, 1)
	})
}
