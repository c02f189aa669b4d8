package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"loket/firmware-sim/stage"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/wsq"
	"loket/kiosk/identity"
	"loket/kiosk/record"
	"loket/kiosk/record/recordtest"
)

var keep = flag.String("keep", "", "also write the contact sheet to this file")

// depot is a store of sealed records with all keys.
type depot struct {
	cli
	t       *testing.T
	station *identity.Identity
	receipt *ecdsa.PrivateKey
	seal    record.AgeSealer
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	dir := t.TempDir()
	pki, err := stage.NewPKI(filepath.Join(dir, "keys"), "Test centre", false)
	check(t, err)
	for name, role := range map[string]identity.Role{"kiosk-01": identity.RoleKiosk, "central": identity.RoleCentral} {
		_, err := pki.Issue(name, role)
		check(t, err)
	}
	id, err := pki.Identity("kiosk-01")
	check(t, err)
	receipt, err := pki.Key("receipts")
	check(t, err)
	text, err := pki.Recipients("service", "escrow")
	check(t, err)
	recipients, err := record.ParseRecipients(bytes.NewReader(text))
	check(t, err)
	d := &depot{t: t, station: id, receipt: receipt, seal: record.AgeSealer{Recipients: recipients}}
	d.cli = cli{Key: []string{pki.Path("service.age")}, Stations: []string{pki.Dir}, ReceiptKey: []string{pki.Path("receipts.pub")},
		Store: filepath.Join(dir, "records"), Out: filepath.Join(dir, "opened"), Sheet: filepath.Join(dir, "contact-sheet.png")}
	check(t, os.Mkdir(d.Store, 0o700))
	return d
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add seals a record into the store; change may alter its docket.
func (d *depot) add(r *record.Record, change func(*record.Docket)) record.ID {
	d.t.Helper()
	var b bytes.Buffer
	check(d.t, d.seal.Seal(&b, r))
	sum := sha256.Sum256(b.Bytes())
	docket := r.Manifest.Docket(record.ID(hex.EncodeToString(sum[:])), int64(b.Len()), r.Manifest.Created.Add(400*time.Millisecond))
	if change != nil {
		change(&docket)
	}
	signed, err := docket.Sign(d.station.Signer)
	check(d.t, err)
	receipt, err := docket.Receipt(d.receipt, docket.Time.Add(900*time.Millisecond))
	check(d.t, err)
	for suffix, data := range map[string][]byte{".age": b.Bytes(), ".docket.json": signed.JSON, ".docket.json.sig": signed.Sig,
		".receipt.json": receipt.JSON, ".receipt.json.sig": receipt.Sig} {
		check(d.t, os.WriteFile(filepath.Join(d.Store, string(docket.Record)+suffix), data, 0o600))
	}
	return docket.Record
}

// run opens the store.
func (d *depot) run() (status int, out, complaints string) {
	var stdout, stderr bytes.Buffer
	status = d.cli.run(&stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// intake makes a record that looks like one of an intake: with a portrait and prints from the fixtures where they are there.
func intake(t *testing.T, n int, key *identity.Identity, fingers ...biometric.FingerPosition) *record.Record {
	t.Helper()
	m := recordtest.Manifest(n)
	m.Created, m.Simulated = m.Created.Add(time.Duration(n)*time.Minute), n%2 == 1
	for i := range m.Ledger {
		m.Ledger[i] = biometric.Entry{Position: biometric.FingerPosition(i + 1), Reason: biometric.NotOwed}
	}
	r := &record.Record{Signer: key.Signer}
	r.Parts = append(r.Parts, record.Part{Name: "face.jpg", MediaType: "image/jpeg", Data: portrait(t)})
	for i, p := range fingers {
		q := biometric.Quality{Score: 38 + i*6, Algorithm: "loket-basic", Version: "1"}
		m.Ledger[p-1] = biometric.Entry{Position: p, Reason: biometric.Captured, Quality: &q}
		sample := biometric.Sample{Modality: biometric.Finger, Position: p, MediaType: "image/png", Data: print(t, i)}
		if n%2 == 0 {
			sample.MediaType, sample.Data = wsq.MediaType, compressed(t, sample.Data)
		}
		part, err := record.PartOf(sample)
		check(t, err)
		r.Parts = append(r.Parts, part)
	}
	m.Outcomes = append(m.Outcomes, biometric.Outcome{Step: "face", Modality: biometric.Face,
		Findings: []biometric.Finding{{Quality: biometric.Quality{Score: 71, Algorithm: "loket-basic", Version: "1"}}}})
	r.Manifest = m
	return r
}

func TestFilesForOtherSystemsAreListed(t *testing.T) {
	d := newDepot(t)
	r := intake(t, 1, d.station, biometric.RightIndex)
	samples := []biometric.Sample{{Modality: biometric.Face, MediaType: "image/jpeg", Data: r.Parts[0].Data},
		{Modality: biometric.Finger, Position: biometric.RightIndex, MediaType: "image/png", Data: r.Parts[1].Data, PPI: 500}}
	files, err := record.Files(r.Manifest, samples, []string{record.FileANSINIST, record.FileISO19794, record.FileISO39794})
	check(t, err)
	files[1].Data = []byte("FAC\x00 and nothing more")
	r.Parts = append(r.Parts, files...)
	id := d.add(r, nil)
	status, out, complaints := d.run()
	for _, want := range []string{"  record.an2  ANSI/NIST-ITL 1-2011 Update 2015, 4 records\n", "  face.iso19794  CAN'T BE READ: reading an ISO/IEC 19794-5:2005 record",
		"  fingers.iso19794  ISO/IEC 19794-4:2005, 1 finger\n", "  face.iso39794  ISO/IEC 39794-5:2019, 1 face\n", "  fingers.iso39794  ISO/IEC 39794-4:2019, 1 finger\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s%s", want, out, complaints)
		}
	}
	if written, err := os.ReadFile(filepath.Join(d.Out, string(id), "record.an2")); status != 0 || err != nil || !bytes.Equal(written, files[0].Data) {
		t.Errorf("status %d, %v", status, err)
	}
}

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(os.Getenv("LOKET_FIXTURES"), name))
	if err != nil {
		return nil
	}
	return data
}

func portrait(t *testing.T) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(fixture(t, "faces/astronaut.png")))
	if err != nil {
		img = wavy(480, 640)
	}
	var b bytes.Buffer
	check(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}))
	return b.Bytes()
}

func print(t *testing.T, n int) []byte {
	t.Helper()
	g := wavy(300, 400)
	if data := fixture(t, []string{"fingers/synthetic/f101_1.pgm", "fingers/synthetic/f102_1.pgm", "fingers/synthetic/f103_1.pgm"}[n%3]); data != nil {
		fields := bytes.Fields(data[:min(len(data), 64)])
		w, h := number(fields[1]), number(fields[2])
		g = image.NewGray(image.Rect(0, 0, w, h))
		copy(g.Pix, data[len(data)-w*h:])
	}
	var b bytes.Buffer
	check(t, png.Encode(&b, g))
	return b.Bytes()
}

// compressed makes WSQ of a PNG.
func compressed(t *testing.T, file []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(file))
	check(t, err)
	data, err := wsq.Encode(img.(*image.Gray), wsq.Options{})
	check(t, err)
	return data
}

func number(digits []byte) int {
	n := 0
	for _, d := range digits {
		n = n*10 + int(d-'0')
	}
	return n
}

func wavy(w, h int) *image.Gray {
	g := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			g.SetGray(x, y, color.Gray{Y: uint8((x*x + y*y) / 40)})
		}
	}
	return g
}

func TestEveryRecordOfAStoreIsOpenedCheckedAndDrawn(t *testing.T) {
	d := newDepot(t)
	two := d.add(intake(t, 1, d.station, biometric.RightIndex, biometric.LeftIndex), nil)
	ten := d.add(intake(t, 2, d.station, biometric.Fingers()...), nil)
	some := intake(t, 3, d.station, biometric.RightThumb, biometric.RightMiddle, biometric.LeftLittle, biometric.LeftRing)
	for p, reason := range map[int]biometric.Reason{2: biometric.Bandaged, 4: biometric.OnFile, 5: biometric.Missing, 6: biometric.Damaged,
		7: biometric.PoorQuality, 8: biometric.Refused} {
		some.Manifest.Ledger[p-1] = biometric.Entry{Position: biometric.FingerPosition(p), Reason: reason, Permanent: reason == biometric.Missing}
	}
	d.add(some, nil)
	status, out, complaints := d.run()
	if status != 0 || complaints != "" || strings.Count(out, "opened") != 3 {
		t.Errorf("status %d\n%s%s", status, out, complaints)
	}
	for id, parts := range map[record.ID]int{two: 2, ten: 10} {
		names, err := filepath.Glob(filepath.Join(d.Out, string(id), "fingers", "*.*"))
		if err != nil || len(names) != parts {
			t.Errorf("%d prints of %.12s, %v", len(names), id, err)
		}
	}
	manifest, err := os.ReadFile(filepath.Join(d.Out, string(two), "manifest.json"))
	check(t, err)
	sig, err := os.ReadFile(filepath.Join(d.Out, string(two), "manifest.sig"))
	check(t, err)
	check(t, identity.Verify(&d.station.Signer.(*ecdsa.PrivateKey).PublicKey, manifest, sig))
	sheet := d.sheet()
	if b := sheet.Bounds(); b.Dx() != pageWidth || b.Dy() < 3*cardHeight {
		t.Errorf("the sheet is %v", b)
	}
	if strings.Contains(out, "V000000000") {
		t.Error("a person's reference was printed")
	}
}

func (d *depot) sheet() image.Image {
	d.t.Helper()
	data, err := os.ReadFile(d.Sheet)
	check(d.t, err)
	if *keep != "" {
		check(d.t, os.WriteFile(*keep, data, 0o600))
	}
	img, err := png.Decode(bytes.NewReader(data))
	check(d.t, err)
	return img
}

func TestWhatDoesNotAgreeIsQuarantinedLoudly(t *testing.T) {
	flip := func(d *depot, id record.ID, suffix string) {
		path := filepath.Join(d.Store, string(id)+suffix)
		data, err := os.ReadFile(path)
		check(t, err)
		data[len(data)/2] ^= 1
		check(t, os.WriteFile(path, data, 0o600))
	}
	for name, c := range map[string]struct {
		docket func(*record.Docket)
		spoil  func(d *depot, id record.ID)
		says   string
	}{
		"a docket that speaks of another ticket":  {func(k *record.Docket) { k.Ticket = "tk_other" }, nil, "disagree"},
		"a docket that denies the simulation":     {func(k *record.Docket) { k.Simulated = false }, nil, "disagree"},
		"a docket of an unknown station":          {func(k *record.Docket) { k.Station = "kiosk-99" }, nil, "no certificate"},
		"a flipped bit in the record":             {nil, func(d *depot, id record.ID) { flip(d, id, ".age") }, "SHA-256"},
		"a flipped bit in the docket":             {nil, func(d *depot, id record.ID) { flip(d, id, ".docket.json") }, ""},
		"a flipped bit in the receipt":            {nil, func(d *depot, id record.ID) { flip(d, id, ".receipt.json") }, ""},
		"a receipt by a key that is not pinned":   {nil, func(d *depot, id record.ID) { d.forge(id) }, "not pinned"},
		"a receipt that is missing":               {nil, func(d *depot, id record.ID) { check(t, os.Remove(filepath.Join(d.Store, string(id)+".receipt.json"))) }, "receipt"},
		"a record whose manifest another signed":  {nil, func(d *depot, _ record.ID) { d.swapStation() }, "signature"},
		"a record for somebody else's keys alone": {nil, func(d *depot, _ record.ID) { d.otherKey() }, "identity"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDepot(t)
			d.t = t
			id := d.add(intake(t, 1, d.station, biometric.RightIndex), c.docket)
			if c.spoil != nil {
				c.spoil(d, id)
			}
			files, err := filepath.Glob(filepath.Join(d.Store, "*.age"))
			check(t, err)
			id = record.ID(strings.TrimSuffix(filepath.Base(files[0]), ".age"))
			status, _, complaints := d.run()
			if status != exitQuarantined || !strings.Contains(complaints, "ALARM") || !strings.Contains(complaints, c.says) {
				t.Errorf("status %d, %s", status, complaints)
			}
			if _, err := os.Stat(filepath.Join(d.Out, string(id))); err == nil {
				t.Error("the record was written all the same")
			}
			if _, err := os.Stat(filepath.Join(d.Out, "quarantine", string(id), "reason.txt")); err != nil {
				t.Error(err)
			}
			d.sheet()
		})
	}
}

// forge puts a receipt in place that another key signed.
func (d *depot) forge(id record.ID) {
	d.t.Helper()
	var signed record.SignedDocket
	var err error
	signed.JSON, err = os.ReadFile(filepath.Join(d.Store, string(id)+".docket.json"))
	check(d.t, err)
	docket, err := signed.Docket()
	check(d.t, err)
	receipt, err := docket.Receipt(recordtest.Key(d.t), docket.Time)
	check(d.t, err)
	check(d.t, os.WriteFile(filepath.Join(d.Store, string(id)+".receipt.json"), receipt.JSON, 0o600))
	check(d.t, os.WriteFile(filepath.Join(d.Store, string(id)+".receipt.json.sig"), receipt.Sig, 0o600))
}

// swapStation empties the store and adds a record whose docket the station signed, and whose manifest another did.
func (d *depot) swapStation() {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.Store, "*"))
	check(d.t, err)
	for _, f := range files {
		check(d.t, os.Remove(f))
	}
	r := intake(d.t, 1, d.station, biometric.RightIndex)
	r.Signer = recordtest.Key(d.t)
	d.add(r, nil)
}

func (d *depot) otherKey() {
	d.t.Helper()
	id, err := age.GenerateHybridIdentity()
	check(d.t, err)
	path := filepath.Join(d.t.TempDir(), "other.age")
	check(d.t, os.WriteFile(path, []byte(id.String()+"\n"), 0o600))
	d.Key = []string{path}
}

func TestManyRecordsTakeSeveralPages(t *testing.T) {
	d := newDepot(t)
	for n := range perPage + 1 {
		d.add(intake(t, n, d.station, biometric.RightIndex), nil)
	}
	if status, _, complaints := d.run(); status != 0 {
		t.Fatal(complaints)
	}
	for page, rows := range []int{perPage, 1} {
		data, err := os.ReadFile(pagePath(d.Sheet, page))
		check(t, err)
		conf, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil || conf.Height != headHeight+footHeight+rows*(cardHeight+gap) {
			t.Errorf("page %d is %d px high, %v", page+1, conf.Height, err)
		}
	}
}

func TestWhatWasFoundIsSaidAsJSONWithoutPersonalData(t *testing.T) {
	d := newDepot(t)
	d.add(intake(t, 1, d.station, biometric.RightIndex), nil)
	d.JSON = true
	_, out, _ := d.run()
	var found []opened
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 1 || len(found[0].Pseudonym) != 8 || found[0].Receipt == nil {
		t.Errorf("%v in %s", err, out)
	}
	s := recordtest.Manifest(1).Subject
	if strings.Contains(out, s.Reference) || strings.Contains(out, s.BirthDate) {
		t.Error("personal data was printed")
	}
}

func TestMistakesOfTheCallerAreNamed(t *testing.T) {
	d := newDepot(t)
	for name, spoil := range map[string]func(c *cli){
		"no stations": func(c *cli) { c.Stations = []string{t.TempDir()} },
		"a key that is none": func(c *cli) {
			c.Key = []string{filepath.Join(c.Stations[0], "ca.crt")}
		},
		"a receipt key that is none": func(c *cli) { c.ReceiptKey = c.Key },
	} {
		c := d.cli
		spoil(&c)
		if status := c.run(io.Discard, io.Discard); status != exitConfig {
			t.Errorf("%s: status %d", name, status)
		}
	}
}
