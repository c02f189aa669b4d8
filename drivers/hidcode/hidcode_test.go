package hidcode

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/driverstest"
	"loket/drivers/usb"
	"loket/drivers/usb/usbtest"
	sim "loket/firmware-sim/hidcode"
	"loket/kiosk/biometric"
	"loket/kiosk/mrz"
)

const passport = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10"
const card = "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<"

// long needs three reports of a scanner.
var long = strings.Repeat("K7Q2M9X4TB", 13)

func TestScannersPassTheSuite(t *testing.T) {
	suite(t, sim.Options{}, drivers.Image{Encoded: []byte(long), MediaType: "]Q1"})
}

func TestWedgesPassTheSuite(t *testing.T) {
	suite(t, sim.Options{Wedge: true}, drivers.Image{Encoded: []byte("K7Q2-m9X4<")})
}

func suite(t *testing.T, opt sim.Options, reference drivers.Image) {
	driverstest.Run(t, driverstest.Config{
		Driver: Driver(),
		New: func() driverstest.Subject {
			d := sim.New(opt)
			scan := func() {
				if err := d.Scan(string(reference.Encoded)); err != nil {
					t.Error(err)
				}
			}
			return driverstest.Subject{Gadget: d, Present: scan, Leave: func() {}}
		},
		Capture: func(ctx context.Context, dev drivers.Device) (drivers.Image, error) {
			c, err := dev.(drivers.CodeReader).Read(ctx)
			return drivers.Image{Encoded: []byte(c.Text), MediaType: c.Symbology}, err
		},
		Reference:  reference,
		NoChecksum: true,
		Silent:     true,
	})
}

// attach opens a reader in process.
func attach(t *testing.T, d usb.Gadget, opt Options) drivers.CodeReader {
	t.Helper()
	dev, err := open(t, d, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dev.Close() })
	return dev.(drivers.CodeReader)
}

func open(t *testing.T, d usb.Gadget, opt Options) (drivers.Device, error) {
	t.Helper()
	bus := usbtest.Attach(d)
	infos, err := bus.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	driver := New(opt)
	if !driver.Match(infos[0]) {
		t.Fatalf("no match for %+v", infos[0])
	}
	raw, err := bus.Open(t.Context(), infos[0].Identity())
	if err != nil {
		t.Fatal(err)
	}
	return driver.Open(t.Context(), raw)
}

// both runs a test on a scanner and on a wedge, with time of its own.
func both(t *testing.T, test func(t *testing.T, d *sim.Device, r drivers.CodeReader)) {
	for name, opt := range map[string]sim.Options{"scanner": {}, "wedge": {Wedge: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := sim.New(opt)
				r := attach(t, d, Options{})
				defer r.Close()
				test(t, d, r)
			})
		})
	}
}

func scan(t *testing.T, d *sim.Device, text string) {
	t.Helper()
	if err := d.Scan(text); err != nil {
		t.Fatal(err)
	}
}

func TestCodesAreRead(t *testing.T) {
	both(t, func(t *testing.T, d *sim.Device, r drivers.CodeReader) {
		for _, text := range []string{"K7Q2M9X4TB", "k7q2-m9x4 TB", `!@#$%^&*()_+{}|:"~<>?-=[]\;'` + "`,./", long[:56], long[:57], long, "aabbcc", "1", "  a "} {
			scan(t, d, text)
			c, err := r.Read(t.Context())
			if err != nil || c.Text != text || c.Document != nil || c.Misread != nil {
				t.Errorf("%q is read as %q, %v", text, c.Text, err)
			}
			if _, told := map[string]bool{"]Q1": true, "": true}[c.Symbology]; !told {
				t.Errorf("symbology %q", c.Symbology)
			}
		}
	})
}

func TestADocumentIsReadWhole(t *testing.T) {
	both(t, func(t *testing.T, d *sim.Device, r drivers.CodeReader) {
		for _, text := range []string{passport, card, strings.ReplaceAll(card, "\n", "")} {
			scan(t, d, text)
			c, err := r.Read(t.Context())
			if err != nil || c.Text != text || c.Misread != nil || c.Document == nil || c.Document.Primary != "ERIKSSON" || c.Document.Birth.Year != 1974 {
				t.Errorf("document: %v, %v", err, c.Misread)
			}
		}
		scan(t, d, strings.Replace(passport, "2C36", "2C37", 1))
		c, err := r.Read(t.Context())
		var wrong *mrz.Error
		if err != nil || c.Document != nil || !errors.As(c.Misread, &wrong) || wrong.Line != 2 || wrong.Field != "document number" {
			t.Errorf("a wrong check digit: %v, %v", err, c.Misread)
		}
	})
}

func TestWhatIsNoCodeIsRefusedAndTheNextIsRead(t *testing.T) {
	both(t, func(t *testing.T, d *sim.Device, r drivers.CodeReader) {
		lines := strings.Split(card, "\n")
		bad := []string{strings.Repeat("x", drivers.MaxCode+1), "a\tb", lines[0] + "\n" + lines[1] + "\nshort"}
		if r.Info().USB.Product == testScanner { // a wedge's lines are codes of their own
			bad = append(bad, "a\nb", "a\x1db", "\xff", "a\x00b", "\u0085")
		}
		for _, text := range bad {
			scan(t, d, text)
			scan(t, d, "after")
			var again *drivers.RetryError
			_, err := r.Read(t.Context())
			if !errors.As(err, &again) || again.Hint != biometric.HintShowAgain || drivers.Verdict(err) != "" {
				t.Errorf("%.20q gives %v", text, err)
			} else if strings.Contains(err.Error(), "xx") || strings.Contains(err.Error(), "UTO") {
				t.Errorf("an error holds the code: %v", err)
			}
			if c, err := r.Read(t.Context()); err != nil || c.Text != "after" {
				t.Errorf("after %.20q: %v", text, err)
			}
		}
	})
}

func TestNothingIsNoCode(t *testing.T) {
	both(t, func(t *testing.T, d *sim.Device, r drivers.CodeReader) {
		for _, text := range []string{"", "\n", "\n\n", "after\n"} {
			scan(t, d, text)
		}
		if c, err := r.Read(t.Context()); err != nil || c.Text != "after" {
			t.Errorf("%q, %v", c.Text, err)
		}
	})
}

func TestALineThatOnlyLooksLikeADocumentIsACode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sim.New(sim.Options{Wedge: true})
		r := attach(t, d, Options{})
		defer r.Close()
		line := strings.Split(card, "\n")[0]
		scan(t, d, line)
		if c, err := r.Read(t.Context()); err != nil || c.Text != line {
			t.Error(err)
		}
	})
}

func TestSilenceIsNoFaultUnlessACodeHasBegun(t *testing.T) {
	both(t, func(t *testing.T, d *sim.Device, r drivers.CodeReader) {
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		if _, err := r.Read(ctx); !errors.Is(err, context.DeadlineExceeded) || drivers.Verdict(err) != "" {
			t.Errorf("a day without codes: %v", err)
		}
		if r.Info().USB.Product == testWedge {
			d.Report([]byte{0, 0, 4, 0, 0, 0, 0, 0})
		} else {
			b := make([]byte, 64)
			copy(b, "\x02\x05]Q1abcde")
			b[63] = 1
			d.Report(b)
		}
		if _, err := r.Read(t.Context()); drivers.Verdict(err) != "hung" {
			t.Errorf("half a code: %v", err)
		}
		scan(t, d, "whole")
		if c, err := r.Read(t.Context()); err != nil || c.Text != "whole" {
			t.Errorf("after half a code: %v", err)
		}
	})
}

func TestNoHalfOfACodeIsTakenForAWhole(t *testing.T) {
	both(t, func(t *testing.T, d *sim.Device, r drivers.CodeReader) {
		send := []string{"\x02\x38]Q1" + strings.Repeat("a", 56) + "\x00\x00\x01", "\x02\x03]Q1aaa" + strings.Repeat("\x00", 56)}
		if r.Info().USB.Product == testWedge {
			send = []string{"\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x28\x00\x00\x00\x00\x00"}
		}
		for _, slow := range []time.Duration{10 * time.Millisecond, 45 * time.Millisecond} { // between the reports that come after the cancel
			d.Report([]byte(send[0]))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, func() {
				cancel()
				time.Sleep(slow)
				for rest := send[1]; rest != ""; rest = rest[min(len(rest), r.(*reader).codes.room()):] {
					d.Report([]byte(rest[:r.(*reader).codes.room()]))
				}
			})
			start := time.Now()
			if _, err := r.Read(ctx); !errors.Is(err, context.Canceled) || time.Since(start) > 270*time.Millisecond {
				t.Errorf("cancelled: %v after %v", err, time.Since(start))
			}
			time.Sleep(time.Second)
			scan(t, d, "whole")
			if c, err := r.Read(t.Context()); err != nil || c.Text != "whole" {
				t.Errorf("the next is %q, %v", c.Text, err)
			}
		}
	})
}

func TestAReaderThatEndsWithTabIsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := ParseModel("1209:0004/tab")
		if err != nil {
			t.Fatal(err)
		}
		d := sim.New(sim.Options{Wedge: true, Tab: true})
		r := attach(t, d, Options{Models: []Model{m}})
		defer r.Close()
		for _, text := range []string{"K7Q2", passport} {
			scan(t, d, text)
			if c, err := r.Read(t.Context()); err != nil || c.Text != text {
				t.Errorf("%v", err)
			}
		}
		r.Close()
		wrong := attach(t, d, Options{})
		defer wrong.Close()
		scan(t, d, "K7Q2")
		if _, err := wrong.Read(t.Context()); drivers.Verdict(err) != "hung" || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("a reader that ends codes with another key: %v", err)
		}
	})
}

func TestModelsAreReadStrictly(t *testing.T) {
	for text, want := range map[string]Model{"13ba:0018": {0x13ba, 0x18, Enter}, "13BA:0018/tab": {0x13ba, 0x18, Tab}, "1:2/enter": {1, 2, Enter}} {
		if got, err := ParseModel(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "13ba", "13ba:", "13ba:10000", "x:y", "1:2/", "1:2/space", "1:2:3"} {
		if _, err := ParseModel(text); err == nil || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAKeyboardIsNotTakenAway(t *testing.T) {
	keyboard := usb.Info{Vendor: 0x046d, Product: 0xc31c, Interfaces: []usb.Interface{{Class: 3, SubClass: 1, Protocol: 1}}}
	if Driver().Match(keyboard) {
		t.Error("somebody's keyboard was taken")
	}
	if !New(Options{Models: []Model{{Vendor: 0x046d, Product: 0xc31c}}}).Match(keyboard) {
		t.Error("a reader that the configuration names was not taken")
	}
	if !Driver().Match(usb.Info{Vendor: 0x0c2e, Interfaces: []usb.Interface{{Class: 3}}}) || Driver().Match(usb.Info{Vendor: 0x0c2e, Interfaces: []usb.Interface{{Class: 2}}}) {
		t.Error("a maker's reader goes by its HID interface")
	}
}

func TestReadmeHasItsHeadings(t *testing.T) { driverstest.Readme(t) }
