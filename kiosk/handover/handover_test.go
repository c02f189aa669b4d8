package handover

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/identity"
	"loket/kiosk/plan"
	"loket/kiosk/record"
	"loket/kiosk/session"
)

func now() time.Time { return time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC) }

// authority issues certificates of centres.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: now().AddDate(0, -1, 0), NotAfter: now().AddDate(0, 1, 0)}
	a.key, a.cert = a.sign(t, template)
	return a
}

func (a *authority) sign(t testing.TB, template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return key, cert
}

func (a *authority) issue(t testing.TB, name, centre string, units ...string) *identity.Identity {
	t.Helper()
	key, cert := a.sign(t, &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: now().AddDate(0, -1, 0), NotAfter: now().AddDate(0, 1, 0),
		Subject:  pkix.Name{CommonName: name, Organization: []string{centre}, OrganizationalUnit: units},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	peer, err := identity.PeerOf(cert)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &identity.Identity{Peer: peer, Roots: roots, Signer: key,
		Certificate: tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bundled makes a session with a face and two fingers that moves to desk-01.
func bundled(t testing.TB) *Bundle {
	t.Helper()
	policy, err := plan.LoadPolicy("nl-residence-permit")
	check(t, err)
	p, err := plan.Make(policy, plan.Subject{BirthDate: now().AddDate(-30, 0, 0), OnFile: []plan.OnFile{},
		Asked: []biometric.Modality{biometric.Face, biometric.Finger}}, now())
	check(t, err)
	s, err := session.New(session.Start{ID: "se_aaaaaaaaaaaaaaaa", Ticket: "tk_aaaaaaaaaaaaaaaa", Attempt: 1, Plan: p, State: session.Confirming, At: now()})
	check(t, err)
	b := &Bundle{ID: "ho_aaaaaaaaaaaaaaaa", Devices: []record.DeviceInfo{{Identity: "1209:5a60/SIM", Kind: "camera", Simulated: true}}}
	next := func(e session.Event) {
		e.At = now()
		s, err = s.Next(e)
		check(t, err)
	}
	next(session.Event{Kind: session.Confirmed, By: session.Screen})
	for step, ok := s.Current(); ok; step, ok = s.Current() {
		next(session.Event{Kind: session.Accepted, By: session.Device, Entry: s.Entry, Outcome: &biometric.Outcome{Step: step.ID, Modality: step.Modality, Captured: step.Want}})
		for _, f := range append([]biometric.FingerPosition{}, step.Want...) {
			b.add(step, f)
		}
		if step.Modality == biometric.Face {
			b.add(step, 0)
		}
	}
	next(session.Event{Kind: session.Help, By: session.Screen})
	next(session.Event{Kind: session.Moved, By: session.Attendant, Attendant: "at-1", Target: "desk-01"})
	b.Session = s
	return b
}

func (b *Bundle) add(step plan.Step, f biometric.FingerPosition) {
	media, form, done := "image/x-wsq", wsqForm, &biometric.Compression{Algorithm: "an encoder", Version: "7", Rate: 0.75, Ratio: 15.5}
	if step.Modality == biometric.Face {
		media, form, done = "image/jpeg", jpegForm, nil
	}
	b.Samples = append(b.Samples, Sample{step.ID, biometric.Sample{Modality: step.Modality, Position: f, MediaType: media, Compression: done,
		Data: fmt.Appendf(nil, form, fmt.Sprintf("the pixels of %s %d", step.Modality, f)), Width: 4, Height: 4}})
}

// Images of 4 x 4 pixels, but for what is coded.
const (
	wsqForm  = "\xff\xa0\xff\xa2\x00\x08\x00\xff\x00\x04\x00\x04\xff\xa3\x00\x03\x00%s\xff\xa1"
	jpegForm = "\xff\xd8\xff\xc0\x00\x0b\x08\x00\x04\x00\x04\x01\x01\x11\x00\xff\xda\x00\x02%s\xff\xd9"
)

func expected(b *Bundle) Expected {
	return Expected{ID: b.ID, From: "kiosk-01", Ticket: b.Session.Ticket, Session: b.Session.ID, Attempt: b.Session.Attempt}
}

// place is a kiosk and a desk of one centre, with a key that the desk offered.
type place struct {
	*authority
	kiosk, desk *identity.Identity
	key         *Key
	offer       Offer
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{authority: newAuthority(t)}
	p.kiosk, p.desk = p.issue(t, "kiosk-01", "Centre", "kiosk"), p.issue(t, "desk-01", "Centre", "desk")
	var err error
	p.key, err = NewKey()
	check(t, err)
	signed, err := p.key.Offer(p.desk, now())
	check(t, err)
	p.offer, err = signed.Verify(p.kiosk, "desk-01", now())
	check(t, err)
	return p
}

func TestASessionArrivesAsItWasSealed(t *testing.T) {
	p, b := newPlace(t), bundled(t)
	sealed, err := b.Bytes(p.kiosk, p.offer, now())
	check(t, err)
	for _, s := range b.Samples {
		if bytes.Contains(sealed, s.Data) {
			t.Errorf("a %s lies in the bundle in the clear", s.Modality)
		}
	}
	got, err := p.key.Open(sealed, p.desk, expected(b), now())
	check(t, err)
	want, err := json.Marshal(b.Session)
	check(t, err)
	if have, err := json.Marshal(got.Session); err != nil || !bytes.Equal(have, want) {
		t.Errorf("the session is another one: %v\n%s\n%s", err, have, want)
	}
	if len(got.Samples) != len(b.Samples) || len(got.Devices) != 1 {
		t.Fatalf("%d of %d samples came, and %d devices", len(got.Samples), len(b.Samples), len(got.Devices))
	}
	for i, s := range got.Samples {
		if !reflect.DeepEqual(s.Compression, b.Samples[i].Compression) || !bytes.Equal(s.Data, b.Samples[i].Data) || s.Step != b.Samples[i].Step || s.Position != b.Samples[i].Position {
			t.Errorf("sample %d is another one", i)
		}
	}
	got.Wipe()
	if got.Samples != nil {
		t.Error("samples are left after a wipe")
	}
}

func TestABundleForSomebodyElseIsRefused(t *testing.T) {
	p, b := newPlace(t), bundled(t)
	sealed, err := b.Bytes(p.kiosk, p.offer, now())
	check(t, err)
	other, err := NewKey()
	check(t, err)
	stranger := newAuthority(t)
	change := func(f func(*Expected)) Expected {
		e := expected(b)
		f(&e)
		return e
	}
	for name, c := range map[string]struct {
		key  *Key
		us   *identity.Identity
		want Expected
		says string
	}{
		"another key":        {other, p.desk, expected(b), "another key"},
		"another desk":       {p.key, p.issue(t, "desk-02", "Centre", "desk"), expected(b), "it is for"},
		"another centre":     {p.key, p.issue(t, "desk-01", "Elsewhere", "desk"), expected(b), "centre"},
		"another authority":  {p.key, stranger.issue(t, "desk-01", "Centre", "desk"), expected(b), "certificate"},
		"another hand-over":  {p.key, p.desk, change(func(e *Expected) { e.ID = "ho_bbbbbbbbbbbbbbbb" }), "another session"},
		"another sender":     {p.key, p.desk, change(func(e *Expected) { e.From = "kiosk-02" }), "not from"},
		"another session":    {p.key, p.desk, change(func(e *Expected) { e.Session = "se_bbbbbbbbbbbbbbbb" }), "another session"},
		"another attempt":    {p.key, p.desk, change(func(e *Expected) { e.Attempt = 2 }), "another session"},
		"another ticket":     {p.key, p.desk, change(func(e *Expected) { e.Ticket = "tk_bbbbbbbbbbbbbbbb" }), "another session"},
		"an expired sender":  {p.key, p.desk, expected(b), ""},
		"a key of its maker": {p.key, p.kiosk, expected(b), "it is for"},
	} {
		at := now()
		if name == "an expired sender" {
			at = now().AddDate(1, 0, 0)
		}
		got, err := c.key.Open(sealed, c.us, c.want, at)
		if err == nil || got != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABundleThatWasAlteredIsRefused(t *testing.T) {
	p, b := newPlace(t), bundled(t)
	sealed, err := b.Bytes(p.kiosk, p.offer, now())
	check(t, err)
	for at := 0; at < len(sealed); at += 97 {
		altered := bytes.Clone(sealed)
		altered[at] ^= 1
		if _, err := p.key.Open(altered, p.desk, expected(b), now()); err == nil {
			t.Fatalf("byte %d was changed and nobody noticed", at)
		}
	}
	for _, n := range []int{0, 1, len(sealed) / 2, len(sealed) - 1} {
		if _, err := p.key.Open(sealed[:n], p.desk, expected(b), now()); err == nil {
			t.Errorf("%d of %d bytes were taken for the whole", n, len(sealed))
		}
	}
	if _, err := p.key.Open(append(bytes.Clone(sealed), 0), p.desk, expected(b), now()); err == nil {
		t.Error("a byte was added and nobody noticed")
	}
}

func TestASealWithoutAStationsSignatureIsWorthNothing(t *testing.T) {
	p, b := newPlace(t), bundled(t)
	for name, by := range map[string]*identity.Identity{
		"the queue":           p.issue(t, "kiosk-01", "Centre", "queue"),
		"another authority":   newAuthority(t).issue(t, "kiosk-01", "Centre", "kiosk"),
		"another centre":      p.issue(t, "kiosk-01", "Elsewhere", "kiosk"),
		"a demonstration":     p.issue(t, "kiosk-01", "Centre", "kiosk", "demo"),
		"a stolen name":       p.issue(t, "kiosk-02", "Centre", "kiosk"),
		"a key without right": {Peer: p.kiosk.Peer, Certificate: p.kiosk.Certificate, Signer: p.desk.Signer},
	} {
		sealed, err := b.Bytes(by, p.offer, now())
		check(t, err)
		if _, err := p.key.Open(sealed, p.desk, expected(b), now()); err == nil {
			t.Errorf("%s signed a bundle that counts", name)
		}
	}
}

func TestAKeyThatSomebodyExchangedIsRefused(t *testing.T) {
	p := newPlace(t)
	signed := func(by *identity.Identity, at time.Time) SignedOffer {
		k, err := NewKey()
		check(t, err)
		o, err := k.Offer(by, at)
		check(t, err)
		return o
	}
	good := signed(p.desk, now())
	swapped := signed(p.issue(t, "desk-01", "Centre", "queue"), now())
	mixed := SignedOffer{JSON: swapped.JSON, Sig: swapped.Sig, Chain: good.Chain}
	for name, o := range map[string]SignedOffer{
		"the queue's own":      swapped,
		"under a desk's name":  mixed,
		"of another desk":      signed(p.issue(t, "desk-02", "Centre", "desk"), now()),
		"of a kiosk":           signed(p.issue(t, "desk-01", "Centre", "kiosk"), now()),
		"of another authority": signed(newAuthority(t).issue(t, "desk-01", "Centre", "desk"), now()),
		"of another centre":    signed(p.issue(t, "desk-01", "Elsewhere", "desk"), now()),
		"too old":              signed(p.desk, now().Add(-Fresh-time.Minute)),
		"of tomorrow":          signed(p.desk, now().Add(Ahead+time.Minute)),
		"without certificate":  {JSON: good.JSON, Sig: good.Sig},
		"nothing":              {},
	} {
		if _, err := o.Verify(p.kiosk, "desk-01", now()); err == nil {
			t.Errorf("a key %s was taken", name)
		}
	}
	if _, err := good.Verify(p.kiosk, "desk-01", now()); err != nil {
		t.Error(err)
	}
}

func TestNothingIsSealedThatContradictsItself(t *testing.T) {
	p := newPlace(t)
	for name, change := range map[string]func(*Bundle){
		"a session that goes on":   func(b *Bundle) { b.Session.End = "" },
		"another target":           func(b *Bundle) { b.Session.Target = "desk-02" },
		"a sample that is missing": func(b *Bundle) { b.Samples = b.Samples[1:] },
		"a sample twice":           func(b *Bundle) { b.Samples = append(b.Samples, b.Samples[0]) },
		"an empty sample":          func(b *Bundle) { b.Samples[0].Data = nil },
		"no id":                    func(b *Bundle) { b.ID = "" },
		"no ticket":                func(b *Bundle) { b.Session.Ticket = "" },
	} {
		b := bundled(t)
		change(b)
		if _, err := b.Bytes(p.kiosk, p.offer, now()); err == nil {
			t.Errorf("%s was sealed", name)
		}
	}
}

func TestASampleThatIsNotTheImageThatItShouldBeIsRefusedAlone(t *testing.T) {
	p := newPlace(t)
	const png = "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
	for name, data := range map[string]string{
		"a picture of ten thousand million pixels": png + "\x00\x01\x86\xa0\x00\x01\x86\xa0\x08\x00\x00\x00\x00CRC.",
		"another size than the header's":           png + "\x00\x00\x00\x05\x00\x00\x00\x04\x08\x00\x00\x00\x00CRC.",
		"sixteen bits a pixel":                     png + "\x00\x00\x00\x04\x00\x00\x00\x04\x10\x00\x00\x00\x00CRC.",
		"no end":                                   png + "\x00\x00\x00\x04\x00\x00\x00\x04\x08\x00\x00\x00\x00CRC.",
		"something else than the header says":      jpegForm,
		"no image":                                 "pixels",
	} {
		b := bundled(t)
		i := slices.IndexFunc(b.Samples, func(s Sample) bool { return s.Modality == biometric.Finger })
		b.Samples[i].Data, b.Samples[i].MediaType = []byte(data), "image/png"
		sealed, err := b.Bytes(p.kiosk, p.offer, now())
		check(t, err)
		got, err := p.key.Open(sealed, p.desk, expected(b), now())
		check(t, err)
		if got.Unreadable[b.Samples[i].Step] == nil || len(got.Unreadable) != 1 || len(got.Samples) != 1 || got.Samples[0].Modality != biometric.Face {
			t.Errorf("%s: %v, %d samples", name, got.Unreadable, len(got.Samples))
		}
	}
}

func TestABundleSaysWhichKindOfStationItComesFrom(t *testing.T) {
	p, b := newPlace(t), bundled(t)
	for name, c := range map[string]struct {
		units []string
		want  bool
	}{
		"a kiosk by itself":              {[]string{"kiosk"}, false},
		"a kiosk beside an attendant":    {[]string{"kiosk", "supervised"}, true},
		"a desk":                         {[]string{"desk"}, true},
		"a desk that is marked for once": {[]string{"supervised", "desk"}, true},
	} {
		sealed, err := b.Bytes(p.issue(t, "kiosk-01", "Centre", c.units...), p.offer, now())
		check(t, err)
		got, err := p.key.Open(sealed, p.desk, expected(b), now())
		if err != nil || got.From.Supervised != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestWhatAKioskCantHaveDoneIsRefused(t *testing.T) {
	p := newPlace(t)
	for name, change := range map[string]func(*Bundle){
		"a comparison":                func(b *Bundle) { b.Session.Comparisons = []biometric.Comparison{{Same: true}} },
		"a finger that nothing holds": func(b *Bundle) { b.Session.Ledger[9].Reason = biometric.Captured },
	} {
		b := bundled(t)
		change(b)
		sealed, err := b.Bytes(p.kiosk, p.offer, now())
		if err == nil {
			_, err = p.key.Open(sealed, p.desk, expected(b), now())
		}
		if err == nil {
			t.Errorf("%s was taken in", name)
		}
	}
}

func TestABundleShowsNothingInLogs(t *testing.T) {
	b := bundled(t)
	for _, text := range []string{fmt.Sprint(b), fmt.Sprintf("%+v", b), fmt.Sprintf("%#v", b), fmt.Sprint(b.Samples), b.LogValue().String()} {
		if strings.Contains(text, "pixels") || strings.Contains(text, fmt.Sprint([]byte("pixels"))) {
			t.Errorf("a sample shows: %s", text)
		}
	}
}

// plain gives the plain form of a bundle.
func plain(t testing.TB, p *place, b *Bundle) []byte {
	t.Helper()
	h := Header{Schema: Schema, ID: b.ID, Centre: "Centre", From: "kiosk-01", To: "desk-01", Key: p.key.ID(), Created: now(), Session: b.Session, Devices: b.Devices}
	for _, s := range b.Samples {
		h.Parts = append(h.Parts, describe(s))
	}
	header, err := json.Marshal(h)
	check(t, err)
	sig, err := identity.Sign(p.kiosk.Signer, header)
	check(t, err)
	var out bytes.Buffer
	check(t, write(&out, header, sig, p.kiosk.Chain(), b.Samples))
	return out.Bytes()
}

// Whatever a station with a certificate sends, it is refused or it is a session that can go on.
func FuzzBundle(f *testing.F) {
	p := newPlace(f)
	whole := plain(f, p, bundled(f))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{0, 0, 0, 2, '{', '}', 0, 0, 0, 1, 0, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := read(bytes.NewReader(data), func(header, _ []byte, _ [][]byte) (Header, error) {
			var h Header
			if err := decode(header, &h); err != nil {
				return h, err
			}
			return h, h.check()
		})
		if err != nil {
			return
		}
		defer b.Wipe()
		s, err := session.Continue(b.Session, session.Continuation{State: session.Assistance, Unwatched: true, At: now()})
		if err != nil {
			return
		}
		for _, kind := range []session.Kind{session.Resumed, session.Excepted, session.Cancel, session.Moved} {
			_, _ = s.Next(session.Event{Kind: kind, By: session.Attendant, Attendant: "at-1", At: now(), Target: "desk-02",
				Exceptions: []biometric.Exception{{Position: biometric.RightIndex, Reason: biometric.Missing}}})
		}
		s.Results()
	})
}

func FuzzOffer(f *testing.F) {
	p := newPlace(f)
	good, err := p.key.Offer(p.desk, now())
	check(f, err)
	f.Add(good.JSON, good.Sig, good.Chain[0])
	f.Add([]byte("{}"), []byte{0x30}, []byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, data, sig, der []byte) {
		o, err := SignedOffer{JSON: data, Sig: sig, Chain: [][]byte{der}}.Verify(p.kiosk, "desk-01", now())
		if err == nil && (o.Station != "desk-01" || !bytes.Equal(data, good.JSON)) {
			t.Error("an offer that nobody signed was taken")
		}
	})
}

func BenchmarkHandover(b *testing.B) {
	p, bundle := newPlace(b), bundled(b)
	for i := range bundle.Samples {
		bundle.Samples[i].Data = append(bundle.Samples[i].Data, make([]byte, 1<<20)...)
	}
	for b.Loop() {
		sealed, err := bundle.Bytes(p.kiosk, p.offer, now())
		check(b, err)
		got, err := p.key.Open(sealed, p.desk, expected(bundle), now())
		check(b, err)
		got.Wipe()
	}
}
