package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"loket/drivers/usb"
	"loket/drivers/usb/usbip"
	"loket/firmware-sim/ptpcam"
)

func TestTheWiretapKeepsWhatADeviceSends(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	devices, tapped := listener(t), listener(t)
	server := usbip.NewServer(slog.New(slog.DiscardHandler))
	if err := server.Export("1-1", ptpcam.New(ptpcam.Options{Serial: "SIM-1"})); err != nil {
		t.Fatal(err)
	}
	serving, tapping := make(chan error, 1), make(chan error, 1)
	tap := &wiretap{}
	go func() { serving <- server.Serve(ctx, devices) }()
	go func() { tapping <- tap.run(ctx, tapped, func() string { return devices.Addr().String() }) }()

	got := deviceInfo(ctx, t, &usbip.Bus{Addr: tapped.Addr().String()})
	stop()
	if err := <-tapping; err != nil {
		t.Error(err)
	}
	<-serving
	if sent := tap.presented(); len(sent) != 1 || !bytes.Equal(sent[0], got) {
		t.Errorf("%d streams are kept; the device sent %d bytes", len(sent), len(got))
	}
}

// deviceInfo asks a still camera who it is (ISO 15740, 10.4.1) and gives all bytes that it answers with.
func deviceInfo(ctx context.Context, t *testing.T, bus usb.Bus) []byte {
	t.Helper()
	list, err := bus.Devices(ctx)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d devices: %v", len(list), err)
	}
	dev, err := bus.Open(ctx, list[0].Identity())
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if err := dev.Claim(0, 0); err != nil {
		t.Fatal(err)
	}
	in, out := endpoints(dev.Descriptors())
	if _, err := dev.Transfer(ctx, out, []byte{12, 0, 0, 0, 1, 0, 1, 0x10, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for !bytes.HasSuffix(all, []byte{12, 0, 0, 0, 3, 0, 1, 0x20, 0, 0, 0, 0}) {
		buf := make([]byte, 4096)
		n, err := dev.Transfer(ctx, in, buf)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, buf[:n]...)
	}
	return all
}

// endpoints finds the two bulk endpoints in descriptors.
func endpoints(desc []byte) (in, out uint8) {
	for len(desc) > 4 && int(desc[0]) <= len(desc) {
		if desc[1] == 5 && desc[3]&3 == 2 {
			if desc[2]&0x80 != 0 {
				in = desc[2]
			} else {
				out = desc[2]
			}
		}
		desc = desc[desc[0]:]
	}
	return in, out
}

func TestTheWiretapEndsWithAKioskThatGoes(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	tapped, devices := listener(t), listener(t)
	tapping := make(chan error, 1)
	go func() { tapping <- (&wiretap{}).run(ctx, tapped, func() string { return devices.Addr().String() }) }()
	conn, err := net.Dial("tcp", tapped.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	device, err := devices.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	_ = conn.Close()
	if n, err := device.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("the device's side stays open")
	}
	stop()
	if err := <-tapping; err != nil {
		t.Error(err)
	}
}

func TestMoreThanTheWiretapHoldsIsAnError(t *testing.T) {
	tap := &wiretap{size: maxPresented}
	c := &conversation{tap: tap, streams: map[uint32]*stream{}}
	if err := c.keep(1, strings.NewReader("a"), 1); err == nil {
		t.Error("it is kept")
	}
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestWhatTheWiretapDoesNotUnderstandIsAnError(t *testing.T) {
	import1 := append([]byte{1, 0x11, 0x80, 3, 0, 0, 0, 0}, make([]byte, busIDLength)...)
	imported := append([]byte{1, 0x11, 0, 3, 0, 0, 0, 0}, make([]byte, recordLength)...)
	head := func(command byte) []byte { return append([]byte{0, 0, 0, command}, make([]byte, headLength-4)...) }
	c := &conversation{tap: &wiretap{}, asked: map[uint32]uint32{}, streams: map[uint32]*stream{}}
	if err := c.commands(bytes.NewReader(append(import1, head(9)...)), io.Discard); !errors.Is(err, errLost) {
		t.Errorf("a command of an unknown kind gives %v", err)
	}
	if err := c.answers(bytes.NewReader(append(imported, head(retSubmit)...)), io.Discard); !errors.Is(err, errLost) {
		t.Errorf("an answer that nobody asked for gives %v", err)
	}
	for name, text := range map[string][]byte{"half a greeting": import1[:5], "another greeting": []byte("\x01\x11\x80\x05\x00\x00\x00\x00 and more"), "the end": import1} {
		var passed bytes.Buffer
		if err := broken(c.commands(bytes.NewReader(text), &passed)); err != nil {
			t.Errorf("%s gives %v", name, err)
		}
		if len(text) >= helloLength && passed.Len() != len(text) {
			t.Errorf("%s: %d of %d bytes are passed on", name, passed.Len(), len(text))
		}
	}
}
