package central_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"loket/firmware-sim/stage"
	"loket/kiosk/central"
	"loket/kiosk/identity"
	"loket/kiosk/outbox"
	"loket/kiosk/record"
	"loket/kiosk/record/recordtest"
)

// service is a central with a PKI and a listener.
type service struct {
	*central.Central
	pki    *stage.PKI
	server *httptest.Server
	pinned []*ecdsa.PublicKey
	seal   record.AgeSealer
}

// serve starts a central of a production, or of a demonstration.
func serve(t testing.TB, demo bool) *service {
	t.Helper()
	pki, err := stage.NewPKI(t.TempDir(), "Test centre", demo)
	if err != nil {
		t.Fatal(err)
	}
	key := recordtest.Key(t)
	recipients, _ := recordtest.Recipients(t)
	s := &service{pki: pki, pinned: []*ecdsa.PublicKey{&key.PublicKey}, seal: record.AgeSealer{Recipients: recipients}}
	s.Central = &central.Central{Dir: t.TempDir(), Key: key, Log: slog.New(slog.DiscardHandler),
		Policies: map[string]string{recordtest.PolicyDigest: "nl-residence-permit"}, Now: func() time.Time { return recordtest.Created().Add(time.Minute) }}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewUnstartedServer(s.Central)
	s.server.TLS = s.who(t, "central", identity.RoleCentral).Server()
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

// who issues a certificate.
func (s *service) who(t testing.TB, name string, role identity.Role) *identity.Identity {
	t.Helper()
	if _, err := s.pki.Issue(name, role); err != nil {
		t.Fatal(err)
	}
	id, err := s.pki.Identity(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// kiosk is a station that talks to the service.
type kiosk struct {
	*identity.Identity
	s      *service
	client *http.Client
}

func (s *service) kiosk(t testing.TB, name string) *kiosk {
	t.Helper()
	id := s.who(t, name, identity.RoleKiosk)
	return &kiosk{Identity: id, s: s, client: client(t, id)}
}

func client(t testing.TB, id *identity.Identity) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: id.Client(identity.RoleCentral)}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// parcel is a sealed record with its docket.
type parcel struct {
	data   []byte
	docket record.Docket
	signed record.SignedDocket
}

// parcel seals record n; change may alter the docket before it is signed.
func (k *kiosk) parcel(t testing.TB, n int, change func(*record.Docket)) parcel {
	t.Helper()
	r := recordtest.Record(n, 5000, k.Signer)
	r.Manifest.Station, r.Manifest.Centre = k.Name, k.Centre
	var b bytes.Buffer
	if err := k.s.seal.Seal(&b, r); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	p := parcel{data: b.Bytes(), docket: r.Manifest.Docket(record.ID(hex.EncodeToString(sum[:])), int64(b.Len()), recordtest.Created())}
	if change != nil {
		change(&p.docket)
	}
	p.sign(t, k)
	return p
}

func (p *parcel) sign(t testing.TB, k *kiosk) {
	t.Helper()
	var err error
	if p.signed, err = p.docket.Sign(k.Signer); err != nil {
		t.Fatal(err)
	}
}

// answer is what the service said.
type answer struct {
	status  int
	code    string
	header  http.Header
	receipt record.SignedReceipt
}

func (k *kiosk) do(t testing.TB, method, path string, body []byte, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, k.s.server.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := k.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p central.Problem
	if json.Unmarshal(text, &p) == nil {
		a.code = p.Code
	}
	a.receipt.JSON, _ = base64.StdEncoding.DecodeString(resp.Header.Get("Loket-Receipt"))
	a.receipt.Sig, _ = base64.StdEncoding.DecodeString(resp.Header.Get("Loket-Receipt-Signature"))
	return a
}

func (k *kiosk) announce(t testing.TB, p parcel) answer {
	t.Helper()
	b64 := base64.StdEncoding.EncodeToString
	return k.do(t, "POST", "/v1/uploads/", nil, "Upload-Length", strconv.Itoa(len(p.data)),
		"Upload-Metadata", "docket "+b64(p.signed.JSON)+",docket-sig "+b64(p.signed.Sig))
}

func (k *kiosk) patch(t testing.TB, id record.ID, offset int, data []byte) answer {
	t.Helper()
	return k.do(t, "PATCH", "/v1/uploads/"+string(id), data, "Upload-Offset", strconv.Itoa(offset), "Content-Type", "application/offset+octet-stream")
}

// send announces and sends all of a parcel.
func (k *kiosk) send(t testing.TB, p parcel) answer {
	t.Helper()
	if a := k.announce(t, p); a.status >= 400 {
		return a
	}
	return k.patch(t, p.docket.Record, 0, p.data)
}

// files lists what the store keeps in one of its folders.
func (s *service) files(t testing.TB, folder string) []string {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(s.Dir, folder))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

// holds checks that the store holds p whole, and nothing of it elsewhere.
func (s *service) holds(t testing.TB, p parcel) {
	t.Helper()
	base := filepath.Join(s.Dir, "records", string(p.docket.Record))
	for suffix, want := range map[string][]byte{".age": p.data, ".docket.json": p.signed.JSON, ".docket.json.sig": p.signed.Sig} {
		if got, err := os.ReadFile(base + suffix); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what was sent: %v", suffix, err)
		}
	}
	var receipt record.SignedReceipt
	receipt.JSON, _ = os.ReadFile(base + ".receipt.json")
	receipt.Sig, _ = os.ReadFile(base + ".receipt.json.sig")
	if _, err := receipt.Verify(s.pinned, p.docket); err != nil {
		t.Error(err)
	}
	if left := s.files(t, "uploads"); len(left) != 0 {
		t.Errorf("uploads still holds %v", left)
	}
}

// empty checks that nothing was taken.
func (s *service) empty(t testing.TB) {
	t.Helper()
	if got := s.files(t, "records"); len(got) != 0 {
		t.Errorf("the store holds %v", got)
	}
}

func refusedAs(t testing.TB, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.code != code || len(a.receipt.JSON) != 0 {
		t.Errorf("answered %d %q with a receipt of %d bytes, want %d %q and none", a.status, a.code, len(a.receipt.JSON), status, code)
	}
}

// box opens an outbox for a station and puts record n into it.
func (k *kiosk) box(t testing.TB, dir string) *outbox.Outbox {
	t.Helper()
	o := &outbox.Outbox{Dir: dir, ReceiptKeys: k.s.pinned, Log: slog.New(slog.DiscardHandler)}
	if err := o.Open(); err != nil {
		t.Fatal(err)
	}
	return o
}

func (k *kiosk) put(t testing.TB, o *outbox.Outbox, n, size int) record.ID {
	t.Helper()
	r := recordtest.Record(n, size, k.Signer)
	r.Manifest.Station, r.Manifest.Centre = k.Name, k.Centre
	id, err := o.Put(func(w io.Writer) error { return k.s.seal.Seal(w, r) },
		func(id record.ID, size int64) (record.SignedDocket, error) {
			return r.Manifest.Docket(id, size, recordtest.Created()).Sign(k.Signer)
		})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (k *kiosk) pusher() *outbox.TusPusher {
	return &outbox.TusPusher{URL: k.s.server.URL, Client: k.client}
}

// deliver runs the outbox until it has delivered n records.
func deliver(t testing.TB, o *outbox.Outbox, p outbox.Pusher, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	left := n
	o.OnReceipt = func(record.SignedDocket, record.SignedReceipt) error {
		if left--; left == 0 {
			time.AfterFunc(0, cancel)
		}
		return nil
	}
	_ = o.Run(ctx, p)
	if left != 0 {
		t.Fatalf("%d of %d records were not delivered: %+v", left, n, o.List())
	}
}

func TestARecordGoesFromOutboxToReceiptAndIsGoneFromTheStation(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	o := k.box(t, t.TempDir())
	id := k.put(t, o, 1, 300_000)
	sealed, err := os.ReadFile(filepath.Join(o.Dir, string(id)+".age"))
	if err != nil {
		t.Fatal(err)
	}
	deliver(t, o, k.pusher(), 1)
	again := k.box(t, o.Dir)
	if list := again.List(); len(list) != 0 {
		t.Errorf("the outbox still holds %+v", list)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, string(id)+".age")); err == nil {
		t.Error("the sealed file is still at the station")
	}
	got, err := os.ReadFile(filepath.Join(s.Dir, "records", string(id)+".age"))
	if err != nil || !bytes.Equal(got, sealed) {
		t.Errorf("the store does not hold what was sealed: %v", err)
	}
	committed, err := again.Committed()
	if err != nil || len(committed) != 1 {
		t.Errorf("after a restart the station knows %d completed sessions, %v", len(committed), err)
	}
}

func TestTheSameRecordAgainGetsTheSameReceipt(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	p := k.parcel(t, 1, nil)
	first := k.send(t, p)
	if first.status != http.StatusNoContent {
		t.Fatalf("answered %d %s", first.status, first.code)
	}
	for what, a := range map[string]answer{
		"POST": k.announce(t, p), "PATCH": k.patch(t, p.docket.Record, 0, p.data),
		"HEAD": k.do(t, "HEAD", "/v1/uploads/"+string(p.docket.Record), nil), "GET": k.do(t, "GET", "/v1/receipts/"+string(p.docket.Record), nil),
	} {
		if a.status >= 300 || !bytes.Equal(a.receipt.JSON, first.receipt.JSON) || !bytes.Equal(a.receipt.Sig, first.receipt.Sig) {
			t.Errorf("%s answers %d %s with another receipt, or none", what, a.status, a.code)
		}
	}
	s.holds(t, p)
}

// cut lets a request body break off after some bytes, a number of times.
type cut struct {
	http.RoundTripper
	after   int64
	times   int
	offsets []string
}

func (c *cut) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPatch {
		c.offsets = append(c.offsets, r.Header.Get("Upload-Offset"))
		if c.times > 0 {
			c.times--
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, c.after), broken{}))
		}
	}
	return c.RoundTripper.RoundTrip(r)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAnUploadThatIsCutGoesOnWhereItStopped(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	line := &cut{RoundTripper: k.client.Transport, after: 100_000, times: 3}
	k.client.Transport = line
	o := k.box(t, t.TempDir())
	k.put(t, o, 1, 300_000)
	deliver(t, o, k.pusher(), 1)
	last, err := strconv.Atoi(line.offsets[len(line.offsets)-1])
	if err != nil || len(line.offsets) != 4 || last < 100_000 {
		t.Errorf("sent from offsets %v", line.offsets)
	}
	if got := s.files(t, "uploads"); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

func TestAWrongClientCertificateIsTurnedAway(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	p := k.parcel(t, 1, nil)

	queue := &kiosk{Identity: s.who(t, "queue", identity.RoleQueue), s: s}
	queue.client = client(t, queue.Identity)
	refusedAs(t, queue.announce(t, p), http.StatusForbidden, "role")

	other, err := stage.NewPKI(t.TempDir(), "Test centre", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Issue("kiosk-01", identity.RoleKiosk); err != nil {
		t.Fatal(err)
	}
	stranger, err := other.Identity("kiosk-01")
	if err != nil {
		t.Fatal(err)
	}
	config := k.Client(identity.RoleCentral)
	for name, certificates := range map[string][]tls.Certificate{"of another authority": {stranger.Certificate}, "that is missing": nil} {
		config.Certificates = certificates
		tr := &http.Transport{TLSClientConfig: config.Clone()}
		_, err := (&outbox.TusPusher{URL: s.server.URL, Client: &http.Client{Transport: tr}}).Push(t.Context(), p.signed, bytes.NewReader(p.data))
		if err == nil {
			t.Errorf("a certificate %s is good enough", name)
		}
		tr.CloseIdleConnections()
	}
	s.empty(t)
}

func TestAStationSendsNothingToAServerOfAnotherRole(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	s.server.TLS.Certificates[0] = s.who(t, "queue", identity.RoleQueue).Certificate
	p := k.parcel(t, 1, nil)
	if _, err := k.pusher().Push(t.Context(), p.signed, bytes.NewReader(p.data)); err == nil || !strings.Contains(err.Error(), "queue") {
		t.Errorf("error %v", err)
	}
}

func TestAFlippedBitIsRefusedAndTheRightBytesAreTakenAfterwards(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	p := k.parcel(t, 1, nil)
	spoilt := p
	spoilt.data = bytes.Clone(p.data)
	spoilt.data[len(spoilt.data)/2] ^= 4
	refusedAs(t, k.send(t, spoilt), http.StatusUnprocessableEntity, "bad-hash")
	s.empty(t)
	if a := k.send(t, p); a.status != http.StatusNoContent {
		t.Errorf("the right bytes are answered with %d %s", a.status, a.code)
	}
	s.holds(t, p)
}

func TestASealedFileThatRottedAtTheStationIsRefusedAndKept(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	o := k.box(t, t.TempDir())
	path := filepath.Join(o.Dir, string(k.put(t, o, 1, 5000))+".age")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[100] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx, k.pusher()) }()
	for ctx.Err() == nil && o.List()[0].State != outbox.Refused {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-ended
	if e := k.box(t, o.Dir).List(); len(e) != 1 || e[0].State != outbox.Refused || e[0].Code != outbox.CodeBadHash {
		t.Errorf("the outbox shows %+v", e)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
		t.Error("the file was touched")
	}
	s.empty(t)
}

func TestATruncatedUploadGetsNoReceipt(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	p := k.parcel(t, 1, nil)
	k.announce(t, p)
	if a := k.patch(t, p.docket.Record, 0, p.data[:len(p.data)-1]); a.status != http.StatusNoContent || len(a.receipt.JSON) != 0 {
		t.Errorf("answered %d with a receipt of %d bytes", a.status, len(a.receipt.JSON))
	}
	if a := k.do(t, "GET", "/v1/receipts/"+string(p.docket.Record), nil); a.status != http.StatusNotFound {
		t.Errorf("asked for the receipt: %d", a.status)
	}
	s.empty(t)
	short := p
	short.data = p.data[:len(p.data)-1]
	refusedAs(t, k.announce(t, short), http.StatusBadRequest, "size")
	if a := k.patch(t, p.docket.Record, len(p.data)-1, p.data[len(p.data)-1:]); len(a.receipt.JSON) == 0 {
		t.Errorf("the last byte is answered with %d %s", a.status, a.code)
	}
	s.holds(t, p)
}

func TestADocketThatWasReplayedByAnotherStationIsRefused(t *testing.T) {
	s := serve(t, false)
	k, thief := s.kiosk(t, "kiosk-01"), s.kiosk(t, "kiosk-02")
	p := k.parcel(t, 1, nil)
	refusedAs(t, thief.announce(t, p), http.StatusForbidden, "docket-signature")
	stolen := p
	stolen.sign(t, thief)
	refusedAs(t, thief.announce(t, stolen), http.StatusForbidden, "foreign-docket")
	s.empty(t)
}

func TestChunksInAnotherOrderAreRefused(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	p := k.parcel(t, 1, nil)
	k.announce(t, p)
	half := len(p.data) / 2
	if a := k.patch(t, p.docket.Record, half, p.data[half:]); a.status != http.StatusConflict {
		t.Errorf("the second half first: %d %s", a.status, a.code)
	}
	k.patch(t, p.docket.Record, 0, p.data[:half])
	if a := k.patch(t, p.docket.Record, 0, p.data[:half]); a.status != http.StatusConflict {
		t.Errorf("the first half twice: %d %s", a.status, a.code)
	}
	if a := k.patch(t, p.docket.Record, half, append(bytes.Clone(p.data[half:]), 1)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a byte too many: %d %s", a.status, a.code)
	}
	s.empty(t)
	if a := k.patch(t, p.docket.Record, half, p.data[half:]); len(a.receipt.JSON) == 0 {
		t.Errorf("in order: %d %s", a.status, a.code)
	}
	s.holds(t, p)
}

func TestTheUploadsOfOtherStationsAreInvisible(t *testing.T) {
	s := serve(t, false)
	k, other := s.kiosk(t, "kiosk-01"), s.kiosk(t, "kiosk-02")
	p := k.parcel(t, 1, nil)
	k.announce(t, p)
	k.patch(t, p.docket.Record, 0, p.data[:100])
	for what, a := range map[string]answer{
		"HEAD": other.do(t, "HEAD", "/v1/uploads/"+string(p.docket.Record), nil), "PATCH": other.patch(t, p.docket.Record, 100, p.data[100:]),
		"GET": other.do(t, "GET", "/v1/receipts/"+string(p.docket.Record), nil),
	} {
		if a.status != http.StatusNotFound {
			t.Errorf("%s of an upload in progress: %d", what, a.status)
		}
	}
	k.patch(t, p.docket.Record, 100, p.data[100:])
	s.holds(t, p)
	for _, path := range []string{"/v1/receipts/", "/v1/uploads/"} {
		if a := other.do(t, map[string]string{"/v1/receipts/": "GET", "/v1/uploads/": "HEAD"}[path], path+string(p.docket.Record), nil); a.status != http.StatusNotFound {
			t.Errorf("%s of a record in the store: %d", path, a.status)
		}
	}
}

func TestTheBytesOfAnotherRecordAreRefused(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	one, two := k.parcel(t, 1, nil), k.parcel(t, 2, nil)
	if len(one.data) != len(two.data) {
		t.Fatal("the test wants records of one size")
	}
	k.announce(t, one)
	refusedAs(t, k.patch(t, one.docket.Record, 0, two.data), http.StatusUnprocessableEntity, "bad-hash")
	s.empty(t)
}

func TestASimulatedRecordIsRefusedInProductionWhateverItsDeviceCallsItself(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	p := k.parcel(t, 1, func(d *record.Docket) { d.Simulated = true })
	refusedAs(t, k.send(t, p), http.StatusUnprocessableEntity, "simulated")

	r := recordtest.Record(2, 5000, k.Signer)
	r.Manifest.Devices[0].Simulated, r.Manifest.Devices[0].Serial = true, "0042"
	if err := k.s.seal.Seal(io.Discard, r); err == nil {
		t.Error("a renamed simulated device passes for a real one in the manifest")
	}
	r.Manifest.Simulated = true
	if d := r.Manifest.Docket(p.docket.Record, 1, recordtest.Created()); !d.Simulated {
		t.Error("the docket of a simulated record does not say so")
	}
	s.empty(t)
}

func TestADemonstrationsCertificateIsRefusedInProductionEvenByATrustedAuthority(t *testing.T) {
	s := serve(t, true) // its authority is a demonstration's, and AcceptSimulated is off
	k := s.kiosk(t, "kiosk-01")
	refusedAs(t, k.send(t, k.parcel(t, 1, nil)), http.StatusForbidden, "demo-certificate")
	s.AcceptSimulated = true
	if a := k.send(t, k.parcel(t, 2, func(d *record.Docket) { d.Simulated = true })); a.status != http.StatusNoContent {
		t.Errorf("a demonstration's own service answers %d %s", a.status, a.code)
	}
}

func TestADocketThatMustNotBeTakenIsRefusedWithItsReason(t *testing.T) {
	s := serve(t, false)
	s.MaxRecord = 1 << 20
	k := s.kiosk(t, "kiosk-01")
	for code, c := range map[string]struct {
		status int
		change func(*record.Docket)
	}{
		"unknown-policy": {422, func(d *record.Docket) { d.Policy.Digest = strings.Repeat("0", 64) }},
		"unknown-suite":  {422, func(d *record.Docket) { d.Suite = "rot13" }},
		"clock":          {422, func(d *record.Docket) { d.Time = d.Time.Add(time.Hour) }},
		"foreign-docket": {403, func(d *record.Docket) { d.Centre = "Another centre" }},
		"size":           {400, func(d *record.Docket) { d.Size++ }},
	} {
		refusedAs(t, k.announce(t, k.parcel(t, 1, c.change)), c.status, code)
	}
	refusedAs(t, k.announce(t, k.parcel(t, 1, func(d *record.Docket) { d.Policy.ID = "renamed" })), 422, "unknown-policy")
	refusedAs(t, k.announce(t, k.parcel(t, 1, func(d *record.Docket) { d.Time = time.Date(1970, 1, 1, 0, 0, 1, 0, time.UTC) })), 422, "clock")
	large := k.parcel(t, 1, func(d *record.Docket) { d.Size = 1<<20 + 1 })
	large.data = make([]byte, 1<<20+1)
	refusedAs(t, k.announce(t, large), http.StatusRequestEntityTooLarge, "too-large")
	refusedAs(t, k.do(t, "POST", "/v1/uploads/", nil, "Upload-Length", "1"), http.StatusBadRequest, "bad-docket")
	s.empty(t)
	if got := s.files(t, "uploads"); len(got) != 0 {
		t.Errorf("uploads holds %v", got)
	}
}

func TestASecondRecordForOneTicketAndServiceIsRefusedListedAndKept(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	first := k.parcel(t, 1, nil)
	second := k.parcel(t, 1, func(d *record.Docket) { d.Attempt = 2 })
	k.send(t, first)
	refusedAs(t, k.send(t, second), http.StatusConflict, "conflict")
	s.holds(t, first)
	list := s.files(t, "conflicts")
	if len(list) != 1 || list[0] != string(second.docket.Record)+".json" {
		t.Errorf("conflicts lists %v", list)
	}

	racing := []parcel{k.parcel(t, 3, nil), k.parcel(t, 3, func(d *record.Docket) { d.Attempt = 2 })}
	for _, p := range racing {
		k.announce(t, p) // both, before either has arrived
	}
	a, b := k.patch(t, racing[0].docket.Record, 0, racing[0].data), k.patch(t, racing[1].docket.Record, 0, racing[1].data)
	if a.status != http.StatusNoContent {
		t.Errorf("the first to arrive: %d %s", a.status, a.code)
	}
	refusedAs(t, b, http.StatusConflict, "conflict")
	s.holds(t, racing[0])
	if again := reopened(t, s); again.Open() != nil {
		t.Error("the store does not open again")
	} else {
		s.server.Config.Handler = again
		refusedAs(t, k.send(t, second), http.StatusConflict, "conflict")
	}
}

// reopened is the service as its next process finds it.
func reopened(t testing.TB, s *service) *central.Central {
	t.Helper()
	return &central.Central{Dir: s.Dir, Key: s.Key, Policies: s.Policies, Log: s.Log, Now: s.Now}
}

func TestTheSameRecordWithAnotherDocketIsRefused(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	p := k.parcel(t, 1, nil)
	other := p
	other.docket.Ticket = "tk_other"
	other.sign(t, k)
	k.announce(t, p)
	refusedAs(t, k.announce(t, other), http.StatusConflict, "docket-differs")
	k.patch(t, p.docket.Record, 0, p.data)
	refusedAs(t, k.announce(t, other), http.StatusConflict, "docket-differs")
	s.holds(t, p)
}

// arrive leaves an upload of which all bytes are on disk and nothing was made of them, as a kill before the hook does.
func arrive(t *testing.T, k *kiosk, p parcel) {
	t.Helper()
	k.announce(t, p)
	k.patch(t, p.docket.Record, 0, p.data[:10])
	for _, name := range k.s.files(t, "uploads") {
		if strings.HasSuffix(name, ".info") {
			continue
		}
		f, err := os.OpenFile(filepath.Join(k.s.Dir, "uploads", name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(p.data[10:]); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnUploadWhoseFinishWasMissedIsFinishedByAnyOfThreeWays(t *testing.T) {
	for way, finish := range map[string]func(k *kiosk, p parcel) answer{
		"the station announces it again": func(k *kiosk, p parcel) answer { return k.announce(t, p) },
		"the station asks how far it is": func(k *kiosk, p parcel) answer {
			return k.do(t, "HEAD", "/v1/uploads/"+string(p.docket.Record), nil)
		},
		"the service starts again": func(k *kiosk, p parcel) answer {
			again := reopened(t, k.s)
			if err := again.Open(); err != nil {
				t.Fatal(err)
			}
			k.s.holds(t, p)
			k.s.server.Config.Handler = again
			return k.do(t, "GET", "/v1/receipts/"+string(p.docket.Record), nil)
		},
	} {
		t.Run(way, func(t *testing.T) {
			s := serve(t, false)
			k := s.kiosk(t, "kiosk-01")
			p := k.parcel(t, 1, nil)
			arrive(t, k, p)
			a := finish(k, p)
			if _, err := a.receipt.Verify(s.pinned, p.docket); err != nil {
				t.Errorf("answered %d %s: %v", a.status, a.code, err)
			}
			s.holds(t, p)
		})
	}
}

func TestAReceiptThatACrashPreventedIsSignedAtTheNextStart(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	p := k.parcel(t, 1, nil)
	first := k.send(t, p).receipt.JSON
	base := filepath.Join(s.Dir, "records", string(p.docket.Record))
	for _, suffix := range []string{".receipt.json", ".receipt.json.sig"} {
		if err := os.Remove(base + suffix); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(base+".receipt.json.tmp", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := reopened(t, s).Open(); err != nil {
		t.Fatal(err)
	}
	s.holds(t, p)
	if got := s.files(t, "records"); len(got) != 5 {
		t.Errorf("the store holds %v", got)
	}
	if again, err := os.ReadFile(base + ".receipt.json"); err != nil || !bytes.Equal(again, first) {
		t.Errorf("the receipt says something else than the first: %s, %s", first, again)
	}
	if err := os.Truncate(base+".receipt.json", 7); err != nil { // as a power cut may leave it
		t.Fatal(err)
	}
	if a := k.announce(t, p); !bytes.Equal(a.receipt.JSON, first) {
		t.Errorf("a receipt that is not whole is answered with %d %s", a.status, a.receipt.JSON)
	}
}

func TestARecordWhoseDocketAPowerCutTookIsTakenAgain(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	p := k.parcel(t, 1, nil)
	k.send(t, p)
	base := filepath.Join(s.Dir, "records", string(p.docket.Record))
	for _, suffix := range []string{".docket.json", ".docket.json.sig", ".receipt.json", ".receipt.json.sig"} {
		if err := os.Remove(base + suffix); err != nil {
			t.Fatal(err)
		}
	}
	if a := k.send(t, p); a.status != http.StatusNoContent {
		t.Errorf("answered %d %s", a.status, a.code)
	}
	s.holds(t, p)
}

func TestAStationCanNotFillTheStoreWithBeginnings(t *testing.T) {
	s := serve(t, false)
	s.MaxPartial = 2
	k, other := s.kiosk(t, "kiosk-01"), s.kiosk(t, "kiosk-02")
	for n := range 2 {
		if a := k.announce(t, k.parcel(t, n, nil)); a.status != http.StatusCreated {
			t.Fatalf("answered %d %s", a.status, a.code)
		}
	}
	refusedAs(t, k.announce(t, k.parcel(t, 3, nil)), http.StatusTooManyRequests, "quota")
	if a := other.announce(t, other.parcel(t, 4, nil)); a.status != http.StatusCreated {
		t.Errorf("another station is answered %d %s", a.status, a.code)
	}
}

func TestWhatTusOffersBesidesIsNotOffered(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	p := k.parcel(t, 1, nil)
	k.announce(t, p)
	path := "/v1/uploads/" + string(p.docket.Record)
	for _, a := range []answer{
		k.do(t, "DELETE", path, nil), k.do(t, "GET", path, nil), k.do(t, "POST", path, nil, "X-HTTP-Method-Override", "DELETE"),
		k.do(t, "HEAD", "/v1/uploads/..%2f..%2frecords", nil), k.do(t, "GET", "/v1/receipts/..%2f..%2fx", nil),
	} {
		if a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotFound {
			t.Errorf("answered %d %s", a.status, a.code)
		}
	}
	if a := k.do(t, "HEAD", path, nil); a.status != http.StatusOK || a.header.Get("Upload-Offset") != "0" {
		t.Errorf("the upload is gone: %d", a.status)
	}
	if a := k.do(t, "OPTIONS", "/v1/uploads/", nil); a.header.Get("Tus-Extension") != "creation" {
		t.Errorf("offers %q", a.header.Get("Tus-Extension"))
	}
}

func TestACentralThatIsDownAndComesBackGetsTheRecordWithoutAHand(t *testing.T) {
	s := serve(t, false)
	k := s.kiosk(t, "kiosk-01")
	address := s.server.Listener.Addr().String()
	s.server.Close()
	o := k.box(t, t.TempDir())
	k.put(t, o, 1, 5000)
	failed := make(chan struct{})
	pusher := &watched{Pusher: k.pusher(), failed: failed}
	back := make(chan *httptest.Server)
	go func() {
		<-failed
		listener, err := net.Listen("tcp", address)
		if err != nil {
			panic(fmt.Sprintf("the port is gone: %v", err))
		}
		next := &httptest.Server{Listener: listener, TLS: s.server.TLS, Config: &http.Server{Handler: s.Central}}
		next.StartTLS()
		back <- next
	}()
	deliver(t, o, pusher, 1)
	(<-back).Close()
	if got := s.files(t, "records"); len(got) != 5 {
		t.Errorf("the store holds %v", got)
	}
}

// watched tells of the first push that fails.
type watched struct {
	outbox.Pusher
	failed chan struct{}
}

func (w *watched) Push(ctx context.Context, d record.SignedDocket, sealed io.ReadSeeker) (record.SignedReceipt, error) {
	r, err := w.Pusher.Push(ctx, d, sealed)
	if err != nil && w.failed != nil {
		close(w.failed)
		w.failed = nil
	}
	return r, err
}
