package record_test

import (
	"archive/tar"
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"loket/kiosk/biometric"
	"loket/kiosk/identity"
	"loket/kiosk/record"
	"loket/kiosk/record/recordtest"
)

// sealed seals record 1 of the test and gives what is needed to open it.
func sealed(t testing.TB) (ciphertext []byte, ids []age.Identity, key *ecdsa.PrivateKey) {
	t.Helper()
	key = recordtest.Key(t)
	recipients, ids := recordtest.Recipients(t)
	var b bytes.Buffer
	if err := (record.AgeSealer{Recipients: recipients}).Seal(&b, recordtest.Record(1, 3000, key)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), ids, key
}

func TestWhatIsSealedOpensForEachRecipientAlone(t *testing.T) {
	data, ids, key := sealed(t)
	for _, id := range ids {
		r, err := record.Open(bytes.NewReader(data), []age.Identity{id}, &key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		want := recordtest.Record(1, 3000, key)
		if len(r.Parts) != 3 || r.Manifest.Session != want.Manifest.Session || r.Manifest.Subject != want.Manifest.Subject {
			t.Errorf("opened %v with %d parts", r, len(r.Parts))
		}
		for i, p := range r.Parts {
			if p.Name != want.Parts[i].Name || !bytes.Equal(p.Data, want.Parts[i].Data) {
				t.Errorf("part %d is %s", i, p.Name)
			}
		}
	}
}

func TestTheSameRecordIsWrittenAsTheSameBytesWhateverTheOrderOfItsParts(t *testing.T) {
	key := recordtest.Key(t)
	first, second := recordtest.Record(1, 700, key), recordtest.Record(1, 700, key)
	second.Parts[0], second.Parts[2] = second.Parts[2], second.Parts[0]
	a, b := written(t, first), written(t, second)
	blank(t, a)
	blank(t, b)
	if !bytes.Equal(a, b) {
		t.Error("two forms of one record")
	}
}

// blank overwrites the signature, which is random.
func blank(t *testing.T, data []byte) {
	t.Helper()
	i := bytes.Index(data, []byte("manifest.sig"))
	if i < 0 {
		t.Fatal("no signature")
	}
	clear(data[i : i+1024])
}

func written(t testing.TB, r *record.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// entry is one file of a tar, as the standard library reads it.
type entry struct {
	*tar.Header
	data []byte
}

func entries(t *testing.T, data []byte) []entry {
	t.Helper()
	var list []entry
	for tr := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, entry{h, content})
	}
}

func TestAnyTarProgramReadsARecord(t *testing.T) {
	var names []string
	for _, e := range entries(t, written(t, recordtest.Record(1, 700, recordtest.Key(t)))) {
		if e.Format != tar.FormatUSTAR || e.Mode != 0o400 || e.Uid != 0 || e.Uname != "" || !e.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("header of %s: %+v", e.Name, e.Header)
		}
		names = append(names, e.Name)
	}
	want := "manifest.json manifest.sig face.jpg fingers/02.png fingers/07.png"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("entries %s, want %s", got, want)
	}
}

func TestTheStandardLibraryWritesTheSameTar(t *testing.T) {
	data := written(t, recordtest.Record(1, 700, recordtest.Key(t)))
	var again bytes.Buffer
	tw := tar.NewWriter(&again)
	for _, e := range entries(t, data) {
		clean := &tar.Header{Name: e.Name, Size: e.Size, Mode: e.Mode, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR, ModTime: time.Unix(0, 0)}
		if err := tw.WriteHeader(clean); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, again.Bytes()) {
		t.Error("our tar and the standard library's differ")
	}
}

func TestAnyFlippedBitIsFound(t *testing.T) {
	data, ids, key := sealed(t)
	for at := 0; at < len(data); at += 97 {
		spoilt := bytes.Clone(data)
		spoilt[at] ^= 1 << (at % 8)
		if _, err := record.Open(bytes.NewReader(spoilt), ids, &key.PublicKey); err == nil {
			t.Fatalf("bit %d of byte %d flipped, and the record opens", at%8, at)
		}
	}
}

func TestARecordThatIsCutShortOrGoesOnDoesNotOpen(t *testing.T) {
	data, ids, key := sealed(t)
	for _, cut := range []int{0, 1, 100, len(data) / 2, len(data) - 17, len(data) - 1} {
		if _, err := record.Open(bytes.NewReader(data[:cut]), ids, &key.PublicKey); err == nil {
			t.Errorf("%d of %d bytes, and the record opens", cut, len(data))
		}
	}
	if _, err := record.Open(bytes.NewReader(append(bytes.Clone(data), 0)), ids, &key.PublicKey); err == nil {
		t.Error("a byte follows, and the record opens")
	}
}

func TestARecordSignedByAnotherStationDoesNotOpen(t *testing.T) {
	data, ids, _ := sealed(t)
	other := recordtest.Key(t)
	if _, err := record.Open(bytes.NewReader(data), ids, &other.PublicKey); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("error %v", err)
	}
}

func TestARecordDoesNotOpenForStrangers(t *testing.T) {
	data, _, key := sealed(t)
	_, strangers := recordtest.Recipients(t)
	if _, err := record.Open(bytes.NewReader(data), strangers, &key.PublicKey); err == nil {
		t.Error("opened")
	}
}

// smuggled seals a tar of the test's own making.
func smuggled(t *testing.T, plain []byte) ([]byte, []age.Identity) {
	t.Helper()
	recipients, ids := recordtest.Recipients(t)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipients...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), ids
}

func TestATarThatIsNotTheOneFormOfARecordIsRefused(t *testing.T) {
	key := recordtest.Key(t)
	good := written(t, recordtest.Record(1, 700, key))
	face := bytes.Index(good, []byte("face.jpg"))
	second := bytes.Index(good, []byte("fingers/07.png"))
	for name, spoil := range map[string]func(b []byte) []byte{
		"a part of another name":    func(b []byte) []byte { copy(b[face:], "fake.jpg"); return b },
		"a path that climbs":        func(b []byte) []byte { copy(b[second:], "../../etc/x"); return b },
		"a changed part":            func(b []byte) []byte { b[face+600] ^= 1; return b },
		"something in the padding":  func(b []byte) []byte { b[face+512+701] = 1; return b },
		"another mode":              func(b []byte) []byte { b[face+106] = '7'; return b },
		"a size that is a bomb":     func(b []byte) []byte { copy(b[face+124:], "77777777777"); return b },
		"a manifest that is a bomb": func(b []byte) []byte { copy(b[124:], "77777777777"); return b },
		"a missing part":            func(b []byte) []byte { return append(b[:second], make([]byte, 1024)...) },
		"a part there twice":        func(b []byte) []byte { return append(b[:len(b)-1024], b[second:]...) },
		"an entry more":             func(b []byte) []byte { return append(b[:len(b)-1024], b[:2048]...) },
		"bytes after the end":       func(b []byte) []byte { return append(b, 0) },
		"no end":                    func(b []byte) []byte { return b[:len(b)-512] },
		"parts in another order":    func(b []byte) []byte { return swapped(b, second) },
		"no signature":              func(b []byte) []byte { return bytes.Replace(b, []byte("manifest.sig"), []byte("manifest.sog"), 1) },
		"nothing":                   func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			data, ids := smuggled(t, spoil(bytes.Clone(good)))
			if r, err := record.Open(bytes.NewReader(data), ids, &key.PublicKey); err == nil {
				t.Errorf("opened %v", r)
			}
		})
	}
	data, ids := smuggled(t, good)
	if _, err := record.Open(bytes.NewReader(data), ids, &key.PublicKey); err != nil {
		t.Errorf("the untouched tar: %v", err)
	}
}

// swapped exchanges the two fingers, which have the same length.
func swapped(b []byte, second int) []byte {
	first := bytes.Index(b, []byte("fingers/02.png"))
	n := second - first
	one, two := bytes.Clone(b[first:second]), bytes.Clone(b[second:second+n])
	copy(b[first:], two)
	copy(b[second:], one)
	return b
}

func TestAManifestThatContradictsItselfIsNotWritten(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*record.Record)
		says  string
	}{
		"a simulated device that the record denies": {func(r *record.Record) { r.Manifest.Devices[0].Simulated = true }, "simulated"},
		"a captured finger without an image":        {func(r *record.Record) { r.Parts = r.Parts[:2] }, "left-index"},
		"an image of a finger that was not captured": {func(r *record.Record) {
			r.Manifest.Ledger[1] = biometric.Entry{Position: 2, Reason: biometric.Bandaged}
		}, "right-index"},
		"a finger that is still owed":     {func(r *record.Record) { r.Manifest.Ledger[4].Reason = biometric.Owed }, "owed"},
		"two faces":                       {func(r *record.Record) { r.Parts = append(r.Parts, r.Parts[0]) }, "twice"},
		"one finger in two forms":         {twoForms, "twice"},
		"a part without bytes":            {func(r *record.Record) { r.Parts[0].Data = nil }, "0 bytes"},
		"a part of no known name":         {func(r *record.Record) { r.Parts[0].Name = "passport.pdf" }, "no place"},
		"a part of the wrong type":        {func(r *record.Record) { r.Parts[0].MediaType = "image/png" }, "image/jpeg"},
		"nobody's reference":              {func(r *record.Record) { r.Manifest.Subject.Reference = "" }, "reference"},
		"a date of birth that is none":    {func(r *record.Record) { r.Manifest.Subject.BirthDate = "1990-02-30" }, "birth"},
		"a policy without a digest":       {func(r *record.Record) { r.Manifest.Policy.Digest = "abc" }, "digest"},
		"a station with a line break":     {func(r *record.Record) { r.Manifest.Station = "a\nb" }, "station"},
		"no plan":                         {func(r *record.Record) { r.Manifest.Plan = nil }, "plan"},
		"attempt zero":                    {func(r *record.Record) { r.Manifest.Attempt = 0 }, "attempt"},
		"nobody who signs":                {func(r *record.Record) { r.Signer = nil }, "signs"},
		"a part that is larger than most": {func(r *record.Record) { r.Parts[0].Data = make([]byte, record.MaxPart+1) }, "allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := recordtest.Record(1, 10, recordtest.Key(t))
			c.spoil(r)
			if err := r.Write(io.Discard); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one about %q", err, c.says)
			}
		})
	}
}

func twoForms(r *record.Record) {
	r.Parts = append(r.Parts, record.Part{Name: "fingers/02.wsq", MediaType: "image/x-wsq", Data: []byte{1}})
}

func TestSealingNeedsTwoHybridRecipients(t *testing.T) {
	recipients, _ := recordtest.Recipients(t)
	classical, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string][]age.Recipient{
		"none":          nil,
		"one":           recipients[:1],
		"one twice":     {recipients[0], recipients[0]},
		"a classical":   {recipients[0], classical.Recipient()},
		"classical too": {recipients[0], recipients[1], classical.Recipient()},
	} {
		err := record.AgeSealer{Recipients: list}.Seal(io.Discard, recordtest.Record(1, 10, recordtest.Key(t)))
		if err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
	for name, text := range map[string]string{
		"one":       fmt.Sprintln(recipients[0]),
		"classical": fmt.Sprintln(recipients[0]) + fmt.Sprintln(classical.Recipient()),
		"words":     "not a recipient\n",
	} {
		if _, err := record.ParseRecipients(strings.NewReader(text)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	text := fmt.Sprintf("# service\n%s\n\n# escrow\n%s\n", recipients[0], recipients[1])
	if list, err := record.ParseRecipients(strings.NewReader(text)); err != nil || len(list) != 2 {
		t.Errorf("%d recipients, %v", len(list), err)
	}
}

func TestNothingOfAPersonReachesALog(t *testing.T) {
	r := recordtest.Record(1, 10, recordtest.Key(t))
	r.Parts[0].Data = []byte("SECRETSECRET")
	var b strings.Builder
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("x", "r", r, "m", r.Manifest, "s", r.Manifest.Subject, "p", r.Parts[0])
	}
	fmt.Fprintf(&b, "%v %+v %#v %s %v %+v %#v %v %+v %v", r, r, r, r, r.Manifest, r.Manifest, r.Manifest, r.Parts, r.Parts[0], r.Manifest.Subject)
	for _, secret := range []string{r.Manifest.Subject.Reference, r.Manifest.Subject.BirthDate, "SECRET", "83 69 67"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%q is in %s", secret, b.String())
		}
	}
}

func TestWipingOverwritesTheImages(t *testing.T) {
	r := recordtest.Record(1, 100, recordtest.Key(t))
	data := r.Parts[1].Data
	r.Wipe()
	if !bytes.Equal(data, make([]byte, 100)) || len(r.Parts) != 0 || r.Manifest.Session != "" {
		t.Error("something is left")
	}
}

func TestASampleFindsItsPlaceInARecord(t *testing.T) {
	for _, c := range []struct {
		sample biometric.Sample
		want   string
	}{
		{biometric.Sample{Modality: biometric.Face, MediaType: "image/jpeg"}, "face.jpg"},
		{biometric.Sample{Modality: biometric.Finger, Position: 7, MediaType: "image/png"}, "fingers/07.png"},
		{biometric.Sample{Modality: biometric.Finger, Position: 10, MediaType: "image/x-wsq"}, "fingers/10.wsq"},
		{biometric.Sample{Modality: biometric.Signature, MediaType: "image/png"}, "signature.png"},
		{biometric.Sample{Modality: biometric.Face, MediaType: "image/gif"}, ""},
	} {
		if p, err := record.PartOf(c.sample); p.Name != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v is %q, %v", c.sample, p.Name, err)
		}
	}
}

func docket() record.Docket {
	return recordtest.Manifest(1).Docket(record.ID(strings.Repeat("ab", 32)), 4711, recordtest.Created())
}

func TestADocketIsBelievedOnlyWithTheStationsSignature(t *testing.T) {
	key := recordtest.Key(t)
	signed, err := docket().Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := signed.Verify(&key.PublicKey); err != nil || d.Ticket != docket().Ticket {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := signed.Verify(&recordtest.Key(t).PublicKey); err == nil {
		t.Error("another station's key verifies it")
	}
	signed.JSON = bytes.Replace(signed.JSON, []byte(`"simulated":false`), []byte(`"simulated":true`), 1)
	if _, err := signed.Verify(&key.PublicKey); err == nil {
		t.Error("a changed docket verifies")
	}
}

func TestADocketHoldsNoPersonalData(t *testing.T) {
	signed, err := docket().Sign(recordtest.Key(t))
	if err != nil {
		t.Fatal(err)
	}
	s := recordtest.Manifest(1).Subject
	for _, secret := range []string{s.Reference, s.BirthDate} {
		if bytes.Contains(signed.JSON, []byte(secret)) {
			t.Errorf("%s is in %s", secret, signed.JSON)
		}
	}
}

func TestDocumentsAreReadInOneFormOnly(t *testing.T) {
	signed, err := docket().Sign(recordtest.Key(t))
	if err != nil {
		t.Fatal(err)
	}
	good := string(signed.JSON)
	for name, text := range map[string]string{
		"spaces":            strings.Replace(good, ":", ": ", 1),
		"an unknown field":  strings.Replace(good, "{", `{"x":1,`, 1),
		"a field twice":     strings.Replace(good, `"attempt":1`, `"attempt":1,"attempt":1`, 1),
		"another case":      strings.Replace(good, `"attempt"`, `"Attempt"`, 1),
		"another order":     strings.Replace(good, `"policy":{"id":"nl-residence-permit",`, `"policy":{`, 1),
		"no newline":        strings.TrimSpace(good),
		"more after it":     good + good,
		"a local time":      strings.Replace(good, `09:30:00Z`, `09:30:00+00:00`, 1),
		"another schema":    strings.Replace(good, "docket/1", "docket/2", 1),
		"a large document":  good + strings.Repeat(" ", record.MaxDocket),
		"an impossible id":  strings.Replace(good, "abab", "ABAB", 1),
		"a negative size":   strings.Replace(good, "4711", "-4711", 1),
		"bytes that are no": "\xff\xfe",
		"nothing":           "",
	} {
		if _, err := (record.SignedDocket{JSON: []byte(text)}).Docket(); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if _, err := signed.Docket(); err != nil {
		t.Error(err)
	}
}

func TestADisagreementOfDocketAndManifestIsNamed(t *testing.T) {
	m := recordtest.Manifest(1)
	if err := record.Agree(docket(), m); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(*record.Docket){
		"session":       func(d *record.Docket) { d.Session = "se_x" },
		"ticket":        func(d *record.Docket) { d.Ticket = "tk_x" },
		"attempt":       func(d *record.Docket) { d.Attempt = 2 },
		"service":       func(d *record.Docket) { d.Service = "other" },
		"station":       func(d *record.Docket) { d.Station = "kiosk-02" },
		"centre":        func(d *record.Docket) { d.Centre = "elsewhere" },
		"policy":        func(d *record.Docket) { d.Policy.ID = "other" },
		"policy digest": func(d *record.Docket) { d.Policy.Digest = strings.Repeat("0", 64) },
		"simulated":     func(d *record.Docket) { d.Simulated = true },
		"suite":         func(d *record.Docket) { d.Suite = "other" },
	} {
		d := docket()
		spoil(&d)
		if err := record.Agree(d, m); !errors.Is(err, record.ErrDisagree) || !strings.Contains(err.Error(), "the "+field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestAReceiptCountsOnlyIfAPinnedKeySignedItForThisRecord(t *testing.T) {
	key, d := recordtest.Key(t), docket()
	pinned := []*ecdsa.PublicKey{&recordtest.Key(t).PublicKey, &key.PublicKey}
	good, err := d.Receipt(key, recordtest.Created())
	if err != nil {
		t.Fatal(err)
	}
	if r, err := good.Verify(pinned, d); err != nil || r.Record != d.Record || !r.Custody.Equal(recordtest.Created()) {
		t.Fatalf("%+v, %v", r, err)
	}
	forged, err := d.Receipt(recordtest.Key(t), recordtest.Created())
	if err != nil {
		t.Fatal(err)
	}
	renamed := forged
	id, err := identity.KeyID(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	own, err := forged.Receipt()
	if err != nil {
		t.Fatal(err)
	}
	renamed.JSON = bytes.Replace(forged.JSON, []byte(own.KeyID), []byte(id), 1)
	other := d
	other.Record = record.ID(strings.Repeat("cd", 32))
	foreign, err := other.Receipt(key, recordtest.Created())
	if err != nil {
		t.Fatal(err)
	}
	late := good
	late.JSON = bytes.Replace(good.JSON, []byte("2026"), []byte("2027"), 1)
	for name, r := range map[string]record.SignedReceipt{
		"a key that is not pinned": forged, "a key that is pinned, named by another": renamed, "another record": foreign, "a changed time": late, "nothing": {},
	} {
		if _, err := r.Verify(pinned, d); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
}

func TestStockAgeAndOpensslReadARecord(t *testing.T) {
	data, ids, key := sealed(t)
	dir := t.TempDir()
	write(t, dir, "record.age", data)
	write(t, dir, "service.age", []byte(ids[0].(*age.HybridIdentity).String()+"\n"))
	write(t, dir, "station.pub", publicPEM(t, key))
	out := run(t, ".", "go", "tool", "age", "-d", "-i", filepath.Join(dir, "service.age"), filepath.Join(dir, "record.age"))
	write(t, dir, "record.tar", out)
	for _, want := range []string{"manifest.json", "manifest.sig"} {
		write(t, dir, want, member(t, out, want))
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not here: the signature was not checked by it (hint: apt-get install openssl)")
	}
	got := run(t, dir, "openssl", "dgst", "-sha256", "-verify", "station.pub", "-signature", "manifest.sig", "manifest.json")
	if !strings.Contains(string(got), "Verified OK") {
		t.Errorf("openssl says %s", got)
	}
}

// member reads one file of a tar.
func member(t *testing.T, data []byte, name string) []byte {
	t.Helper()
	for _, e := range entries(t, data) {
		if e.Name == name {
			return e.data
		}
	}
	t.Fatalf("%s is not in it", name)
	return nil
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	}
	return out
}

func publicPEM(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
