package stage_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"loket/firmware-sim/stage"
	"loket/kiosk/api"
	"loket/kiosk/session"
)

// unattended gives a running centre in which nobody touches a screen.
func unattended(t *testing.T) (context.Context, *stage.Centre) {
	t.Helper()
	ctx, c := prepared(t, stage.Options{})
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, c, "the code reader", func(st api.Status) bool { return reader(st) == "leased" })
	return ctx, c
}

// reader is the state of the station's code reader.
func reader(st api.Status) string {
	for _, d := range st.Devices {
		if d.Kind == "code-reader" {
			return d.State
		}
	}
	return ""
}

// show shows something to the reader and returns what came of it.
func show(ctx context.Context, t *testing.T, c *stage.Centre, text string) *api.Error {
	t.Helper()
	before, err := c.Kiosk.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Event(ctx, "scan "+text); err != nil {
		t.Fatal(err)
	}
	var scan *api.Scan
	waitFor(ctx, t, c, "what comes of a code", func(st api.Status) bool {
		scan = st.LastScan
		return scan != nil && (before.LastScan == nil || scan.At != before.LastScan.At)
	})
	return scan.Refused
}

func TestAScannedCodeStartsASessionInConfirming(t *testing.T) {
	ctx, c := unattended(t)
	issued, other := ticket(ctx, t, c), ticket(ctx, t, c)
	if refused := show(ctx, t, c, string(issued.Code)); refused != nil {
		t.Fatal(refused)
	}
	st, err := c.Kiosk.Status(ctx)
	if err != nil || st.Session == nil || st.Session.State != session.Confirming || st.Session.Ticket != issued.ID || st.Confirm == nil {
		t.Fatalf("%v, %+v", err, st.Session)
	}
	if refused := show(ctx, t, c, string(other.Code)); refused == nil || refused.Code != "busy" {
		t.Errorf("a code beside a session: %v", refused)
	}
	attend(ctx, t, c, nil)
	waitFor(ctx, t, c, "the receipt", func(st api.Status) bool {
		return st.LastEnd != nil && st.LastEnd.Ticket == issued.ID && st.LastEnd.Record != "" && st.Session == nil && st.Outbox.Pending == 0
	})
	quiet(t, c, string(issued.Code), string(other.Code))
}

func TestWrongCodesAreCountedAndDocumentsAreNot(t *testing.T) {
	ctx, c := unattended(t)
	issued := ticket(ctx, t, c)
	const card = `"I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<"`
	for _, s := range []struct{ text, want string }{
		{card, "document"}, {strings.Replace(card, "D2", "D3", 1), "misread-document"}, {`"a\x09b"`, "unreadable"}, {strings.Repeat("7", 65), "no-code"},
		{"WRONGWRONG", "queue-refused"}, {"5901234123457", "queue-refused"}, {"WRONGWRONG", "queue-refused"}, {"WRONGWRONG", "queue-refused"},
		{"WRONGWRONG", "entry-paused"}, {string(issued.Code), "entry-paused"},
	} {
		if refused := show(ctx, t, c, s.text); refused == nil || refused.Code != s.want {
			t.Errorf("%.12s gives %v, want %s", s.text, refused, s.want)
		}
	}
	st, err := c.Kiosk.Status(ctx)
	if err != nil || st.Session != nil || !st.Ready {
		t.Errorf("%v, %+v", err, st)
	}
	quiet(t, c, string(issued.Code), "WRONGWRONG", "5901234123457", "ERIKSSON", "D23145890")
}

func TestACodeReaderThatWasUnpluggedReadsAgain(t *testing.T) {
	ctx, c := unattended(t)
	issued := ticket(ctx, t, c)
	for _, step := range []struct{ event, state string }{{"unplug reader", "unplugged"}, {"replug reader", "leased"}} {
		if err := c.Event(ctx, step.event); err != nil {
			t.Fatal(err)
		}
		waitFor(ctx, t, c, step.state, func(st api.Status) bool { return reader(st) == step.state && st.Ready })
	}
	if refused := show(ctx, t, c, string(issued.Code)); refused != nil {
		t.Error(refused)
	}
}

// quiet checks that no program wrote a secret to its log.
func quiet(t *testing.T, c *stage.Centre, secrets ...string) {
	t.Helper()
	for name, p := range c.Procs {
		log, err := os.ReadFile(p.Log)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if strings.Contains(string(log), secret) {
				t.Errorf("%s logged %q", name, secret)
			}
		}
	}
}
