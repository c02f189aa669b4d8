package record_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/ink"
	"loket/kiosk/biometric/wsq"
	"loket/kiosk/plan"
	"loket/kiosk/record"
	"loket/kiosk/record/ansinist"
	"loket/kiosk/record/iso19794"
	"loket/kiosk/record/iso39794"
	"loket/kiosk/record/recordtest"
)

func grey(w, h int, pixel func(x, y int) byte) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = pixel(i%w, i/w)
	}
	return m
}

func encodePNG(t *testing.T, m *image.Gray) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encodeWSQ(t *testing.T, m *image.Gray) []byte {
	t.Helper()
	done, err := wsq.EncodeRatio(m, wsq.Options{}, 10, 20)
	if err != nil {
		t.Fatal(err)
	}
	return done.Data
}

// ridges is no finger: rings around a point, with a period of nine pixels and a grain.
func ridges(x, y int) byte {
	r := math.Hypot(float64(x-60), float64(y-80))
	return byte(128 + 90*math.Sin(r*2*math.Pi/9) + float64((x*7919+y*104729)%31))
}

func black(_, _ int) byte { return 0 }

func intake(t *testing.T) (record.Manifest, []biometric.Sample) {
	t.Helper()
	m := recordtest.Manifest(1)
	q := biometric.Quality{Score: 61, Algorithm: "loket-basic", Version: "1"}
	for _, e := range []biometric.Entry{
		{Position: 1, Reason: biometric.Missing, Permanent: true}, {Position: 3, Reason: biometric.Missing}, {Position: 4, Reason: biometric.Bandaged},
		{Position: 5, Reason: biometric.Refused}, {Position: 6, Reason: biometric.AgeExempt}, {Position: 8, Reason: biometric.OnFile}} {
		if err := m.Ledger.Set(e); err != nil {
			t.Fatal(err)
		}
	}
	return m, []biometric.Sample{
		{Modality: biometric.Finger, Position: 7, MediaType: wsq.MediaType, Data: encodeWSQ(t, grey(120, 160, ridges)), PPI: 500, Quality: biometric.Quality{Score: 44, Algorithm: "site model", Version: "2"}},
		{Modality: biometric.Face, MediaType: "image/jpeg", Data: recordtest.JPEG(t, 48, 64), Quality: q},
		{Modality: biometric.Finger, Position: 2, MediaType: wsq.MediaType, Data: encodeWSQ(t, grey(140, 150, ridges)), PPI: 500, Quality: q},
		{Modality: biometric.Signature, MediaType: "image/png", Data: encodePNG(t, grey(12, 2, black))},
	}
}

// files builds all files of an intake.
func files(t *testing.T, m record.Manifest, samples []biometric.Sample) map[string][]byte {
	t.Helper()
	parts, err := record.Files(m, samples, []string{record.FileANSINIST, record.FileISO19794, record.FileISO39794})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, p := range parts {
		found[p.Name] = p.Data
	}
	return found
}

func TestTheANSINISTFileSaysWhatTheIntakeCameTo(t *testing.T) {
	m, samples := intake(t)
	f, err := ansinist.Parse(files(t, m, samples)["record.an2"])
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range f.Records {
		for _, x := range r.Fields {
			if x.Number != 1 && (r.Type != 14 || x.Number == 5 || x.Number > 10) {
				fmt.Fprintf(&b, "%d.%03d:%s\n", r.Type, x.Number, strings.NewReplacer("\x1e", " / ", "\x1f", ",").Replace(string(x.Value)))
			}
		}
	}
	want := `1.002:0502
1.003:1,9 / 2,00 / 10,01 / 14,02 / 14,03 / 14,04 / 14,05 / 14,06 / 14,07 / 8,08
1.004:ENROL
1.005:20260302
1.007:CENTRAL
1.008:kiosk-01
1.009:se_0000000000000001-1
1.011:00.00
1.012:00.00
1.013:LOKET,1
1.014:20260302093000Z
2.002:00
2.003:V0000000001
2.004:19900701
2.005:code-only
2.006:residence-permit
2.007:tk_0000000000000001
2.008:se_0000000000000001
2.009:1
2.010:Test centre
2.011:kiosk-01
2.012:nl-residence-permit,1,` + recordtest.PolicyDigest + `
2.013:Vw 2000, art. 106a
2.014:real
2.015:loket kioskd,test
2.016:1,missing,permanent / 2,captured,none / 3,missing,temporary / 4,bandaged,temporary / 5,refused,temporary / 6,age-exempt,temporary / 7,captured,none / 8,on-file,none / 9,not-owed,none / 10,not-owed,none
10.002:01
10.003:FACE
10.004:kiosk-01
10.005:20260302
10.006:48
10.007:64
10.008:0
10.009:1
10.010:1
10.011:JPEGB
10.012:SRGB
10.013:0
10.024:61,0000,2
10.038:quality measured by loket-basic 1
10.992:00
14.005:20260302
14.011:WSQ20
14.012:8
14.013:2
14.020:quality measured by loket-basic 1
14.024:2,61,0000,1
14.904:Maker,Model,A1
14.005:20260302
14.011:WSQ20
14.012:8
14.013:7
14.020:quality measured by site model 2
14.024:7,44,0000,65535
14.904:Maker,Model,A1
14.005:20260302
14.013:1
14.018:1,XX
14.005:20260302
14.013:3
14.018:3,UP
14.005:20260302
14.013:4
14.018:4,UP
14.005:20260302
14.013:5
14.018:5,UP
8.002:8
8.003:0
8.004:0
8.005:0
8.006:12
8.007:2
`
	if b.String() != want {
		t.Errorf("got\n%s", &b)
	}
	if last := f.Records[len(f.Records)-1].Image; !bytes.Equal(last, []byte{0xff, 0xf0, 0xff, 0xf0}) {
		t.Errorf("the signature is % x", last)
	}
}

func TestTheANSINISTFileHasTextsOfSevenBits(t *testing.T) {
	m, samples := intake(t)
	m.Centre, m.Policy.LegalBasis, m.Devices[0].Vendor, m.Station = "Château-d’Œx – 東", "§ 1", "Société", "kiosk-é"
	f, err := ansinist.Parse(files(t, m, samples)["record.an2"])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		record, number int
		value          string
	}{{0, 8, "kiosk-e"}, {1, 10, "Chateau-d'OEx - ?"}, {1, 13, "? 1"}, {2, 4, "kiosk-e"}, {3, 904, "Societe\x1fModel\x1fA1"}} {
		if x, _ := f.Records[want.record].Field(want.number); string(x.Value) != want.value {
			t.Errorf("field %d.%03d is %q", f.Records[want.record].Type, want.number, x.Value)
		}
	}
	if _, ok := f.Records[0].Field(15); ok {
		t.Error("1.015 DCS is there, which readers before 2011 refuse")
	}
}

func TestTheISOFilesHoldTheSamples(t *testing.T) {
	m, samples := intake(t)
	found := files(t, m, samples)
	face, err := iso19794.ParseFaces(found["face.iso19794"])
	if err != nil || !bytes.Equal(face[0].Image, samples[1].Data) || face[0].ColourSpace != 1 {
		t.Errorf("19794-5: %v", err)
	}
	fingers, err := iso19794.ParseFingers(found["fingers.iso19794"])
	if err != nil || len(fingers.Views) != 2 || fingers.Views[0].Position != 2 || fingers.Compression != iso19794.WSQ || !bytes.Equal(fingers.Views[1].Image, samples[0].Data) || fingers.Level != 30 {
		t.Errorf("19794-4: %v", err)
	}
	der, err := iso39794.ParseFaces(found["face.iso39794"])
	if err != nil || !bytes.Equal(der.Faces[0].Image, samples[1].Data) || !der.Faces[0].Captured.Equal(m.Created) {
		t.Errorf("39794-5: %v", err)
	}
	prints, err := iso39794.ParseFingers(found["fingers.iso39794"])
	if err != nil || len(prints.Fingers) != 2 || !bytes.Equal(prints.Fingers[0].Image, fingers.Views[0].Image) || prints.Fingers[0].PPI != 500 || !prints.Fingers[0].Lossy ||
		!prints.Fingers[0].Captured.Equal(m.Created.Add(-50*time.Second)) {
		t.Errorf("39794-4: %v", err)
	}
}

func TestADeviceIsFoundWithTheDriverBeforeItsIdentity(t *testing.T) {
	m, samples := intake(t)
	for named, want := range map[string]bool{"0001:0002:A1": true, "ptp 0001:0002:A1": true, "slap60 0001:0002:A1": false, "": false} {
		m.Attempts[0].Device = named
		f, err := ansinist.Parse(files(t, m, samples)["record.an2"])
		if err != nil {
			t.Fatal(err)
		}
		if x, ok := f.Records[3].Field(904); ok != want || ok && string(x.Value) != "Maker\x1fModel\x1fA1" {
			t.Errorf("%q: %t", named, ok)
		}
	}
}

func TestASignatureMayBeDrawnInColourOnNothing(t *testing.T) {
	m, samples := intake(t)
	drawn := image.NewNRGBA(image.Rect(0, 0, 12, 2))
	drawn.Set(3, 1, color.NRGBA{B: 200, A: 255})
	var b bytes.Buffer
	if err := png.Encode(&b, drawn); err != nil {
		t.Fatal(err)
	}
	samples[3].Data = b.Bytes()
	strokes := biometric.Sample{Modality: biometric.Signature, MediaType: "application/inkml+xml", Data: []byte("<ink/>")}
	f, err := ansinist.Parse(files(t, m, append(samples, strokes))["record.an2"])
	if err != nil {
		t.Fatal(err)
	}
	if last := f.Records[len(f.Records)-1].Image; !bytes.Equal(last, []byte{0, 0, 0x10, 0}) {
		t.Errorf("the signature is % x", last)
	}
}

func TestPrintsThatWereSealedWithoutLossAreSoEverywhere(t *testing.T) {
	m, samples := intake(t)
	lossless(t, samples, 0)
	lossless(t, samples, 2)
	found := files(t, m, samples)
	f, err := ansinist.Parse(found["record.an2"])
	if cga, _ := f.Records[3].Field(11); err != nil || string(cga.Value) != "PNG" || !bytes.Equal(f.Records[3].Image, samples[2].Data) {
		t.Errorf("%s, %v", cga.Value, err)
	}
	r, err := iso19794.ParseFingers(found["fingers.iso19794"])
	if err != nil || r.Compression != iso19794.PNG || !bytes.Equal(r.Views[1].Image, samples[0].Data) {
		t.Errorf("compression %d, %v", r.Compression, err)
	}
	d, err := iso39794.ParseFingers(found["fingers.iso39794"])
	if err != nil || d.Fingers[0].Lossy || !bytes.Equal(d.Fingers[0].Image, samples[2].Data) {
		t.Error(err)
	}
}

func TestWhereOnePrintIsCompressedAndAnotherIsNotISO19794HasPixels(t *testing.T) {
	m, samples := intake(t)
	lossless(t, samples, 0)
	found := files(t, m, samples)
	r, err := iso19794.ParseFingers(found["fingers.iso19794"])
	if err != nil || r.Compression != iso19794.Raw || !bytes.Equal(r.Views[1].Image, grey(120, 160, ridges).Pix) || len(r.Views[0].Image) != 140*150 {
		t.Errorf("compression %d, %v", r.Compression, err)
	}
	d, err := iso39794.ParseFingers(found["fingers.iso39794"])
	if err != nil || !d.Fingers[0].Lossy || d.Fingers[1].Lossy {
		t.Error(err)
	}
}

// lossless makes a print one that lost nothing.
func lossless(t *testing.T, samples []biometric.Sample, i int) {
	t.Helper()
	samples[i].MediaType, samples[i].Data = "image/png", encodePNG(t, grey(map[int]int{0: 120, 2: 140}[i], map[int]int{0: 160, 2: 150}[i], ridges))
}

func TestARecordCarriesItsFiles(t *testing.T) {
	m, samples := intake(t)
	m.Ledger = recordtest.Manifest(1).Ledger
	r := &record.Record{Manifest: m, Signer: recordtest.Key(t)}
	for _, s := range samples {
		part, err := record.PartOf(s)
		if err != nil {
			t.Fatal(err)
		}
		r.Parts = append(r.Parts, part)
	}
	built, err := record.Files(m, samples, []string{record.FileISO39794, record.FileANSINIST, record.FileISO19794})
	if err != nil {
		t.Fatal(err)
	}
	r.Parts = append(r.Parts, built...)
	recipients, identities := recordtest.Recipients(t)
	key := recordtest.Key(t)
	r.Signer = key
	var sealed bytes.Buffer
	if err := (record.AgeSealer{Recipients: recipients}).Seal(&sealed, r); err != nil {
		t.Fatal(err)
	}
	opened, err := record.Open(&sealed, identities, &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range opened.Manifest.Parts {
		names = append(names, p.Name)
	}
	want := []string{"face.jpg", "fingers/02.wsq", "fingers/07.wsq", "signature.png", "record.an2", "face.iso19794", "fingers.iso19794", "face.iso39794", "fingers.iso39794"}
	if !slices.Equal(names, want) {
		t.Errorf("%v", names)
	}
}

func TestAnIntakeWithoutSamplesHasNoISOFiles(t *testing.T) {
	m := recordtest.Manifest(1)
	m.Attempts, m.Outcomes, m.Ledger = nil, nil, biometric.NewLedger()
	found := files(t, m, nil)
	if len(found) != 1 || found["record.an2"] == nil {
		t.Errorf("%d files", len(found))
	}
}

func TestFilesThatCanNotBeBuiltAreNotSilentlyLeftOut(t *testing.T) {
	m, samples := intake(t)
	for name, change := range map[string]func() []string{
		"an unknown kind":       func() []string { return []string{"ansi-nist", "tiff"} },
		"a signature in colour": func() []string { samples[3].Data = samples[1].Data; return []string{"ansi-nist"} },
		"prints of two scales":  func() []string { samples[0].PPI = 1000; return []string{"iso-19794"} },
		"a print that is none":  func() []string { samples[0].Data = []byte("none"); return []string{"iso-39794"} },
	} {
		if parts, err := record.Files(m, samples, change()); err == nil || parts != nil {
			t.Errorf("%s: %d parts", name, len(parts))
		}
	}
}

func TestWipedFilesHoldNothing(t *testing.T) {
	m, samples := intake(t)
	parts, err := record.Files(m, samples, []string{record.FileANSINIST})
	if err != nil {
		t.Fatal(err)
	}
	record.WipeParts(parts)
	if !bytes.Equal(parts[0].Data, make([]byte, len(parts[0].Data))) {
		t.Error("something is left")
	}
	if bytes.Equal(samples[1].Data, make([]byte, len(samples[1].Data))) {
		t.Error("the samples were wiped too")
	}
}

func TestThePoliciesAskForFilesThatAreKnown(t *testing.T) {
	m, samples := intake(t)
	for _, id := range plan.Policies() {
		p, err := plan.LoadPolicy(id)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := record.Files(m, samples, p.Files)
		if err != nil || len(parts) == 0 && len(p.Files) > 0 {
			t.Errorf("%s: %d files, %v", id, len(parts), err)
		}
	}
}

// fileVectors is where the files of one intake stand, for whoever reads them by another program.
const fileVectors = "testdata/files/"

// TestTheVectorsAreWhatIsWritten builds the files again around the images that the vectors hold: whatever a codec of images does,
// the files are the same byte for byte.
func TestTheVectorsAreWhatIsWritten(t *testing.T) {
	m, samples := intake(t)
	m.Simulated = true
	if !*update {
		held, err := os.ReadFile(fileVectors + "record.an2")
		if err != nil {
			t.Fatal(err)
		}
		f, err := ansinist.Parse(held)
		if err != nil {
			t.Fatal(err)
		}
		samples[1].Data, samples[2].Data, samples[0].Data = f.Records[2].Image, f.Records[3].Image, f.Records[4].Image
	}
	for name, data := range files(t, m, samples) {
		if *update {
			if err := os.WriteFile(fileVectors+name, data, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, err := os.ReadFile(fileVectors + name); err != nil || !bytes.Equal(data, want) {
			t.Errorf("%s is written otherwise than the vector: %v (hint: go test ./kiosk/record -run Vectors -update)", name, err)
		}
	}
}

func TestASignatureIsAPictureAndStrokesAndItsTypeEightIsAtTheScaleOfTheStandard(t *testing.T) {
	m, samples := intake(t)
	k := ink.Ink{Width: 6000, Height: 2000, Strokes: []ink.Stroke{{{X: 500, Y: 1000}, {X: 5500, Y: 1000, T: 900}}}}
	samples[3] = biometric.Sample{Modality: biometric.Signature, MediaType: "image/png", Data: encodePNG(t, k.Draw()), PPI: ink.PPI}
	samples = append(samples, biometric.Sample{Modality: biometric.Signature, MediaType: ink.MediaType, Data: k.InkML()})
	f, err := ansinist.Parse(files(t, m, samples)["record.an2"])
	if err != nil {
		t.Fatal(err)
	}
	last := f.Records[len(f.Records)-1]
	width, _ := last.Int(6)
	height, _ := last.Int(7)
	if native, _ := last.Int(5); last.Type != 8 || native != 0 || width != 1182 || height != 395 { // 709 by 237 px at 300 ppi
		t.Fatalf("Type-%d, ISR %d, %d by %d", last.Type, native, width, height)
	}
	black := func(x, y int) bool { return last.Image[y*((width+7)/8)+x/8]&(0x80>>(x%8)) != 0 }
	at := func(hundredths int) int { return hundredths * 500 / 2540 }
	if !black(at(500), at(1000)) || !black(at(3000), at(1000)) || !black(at(5500), at(1000)) || black(at(300), at(1000)) || black(at(3000), at(900)) {
		t.Error("the line is not where it was written")
	}
}
