package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"loket/kiosk/biometric"
	inkml "loket/kiosk/biometric/ink"
	"loket/kiosk/plan"
	"loket/kiosk/record"
)

func TestValuesAreWrittenWithTheDecimalsThatSaySomething(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1: "1", 24: "24", 185.196: "185.2", -0.0249: "-0.025", 0.42: "0.42", 100: "100", 1200: "1200"} {
		if got := measure(v); got != want {
			t.Errorf("%v is written %s", v, got)
		}
	}
}

func TestLimitsAreShownOfThePolicyThatWasFollowedAlone(t *testing.T) {
	p, err := plan.LoadPolicy("nl-residence-permit")
	check(t, err)
	m := record.Manifest{Policy: record.PolicyRef{ID: p.ID, Digest: p.Digest()}}
	if len(criteriaOf(m)) != len(p.Face.Criteria) || len(p.Face.Criteria) == 0 {
		t.Errorf("%d criteria", len(criteriaOf(m)))
	}
	m.Policy.Digest = "another"
	if list := criteriaOf(m); list != nil {
		t.Errorf("limits of another policy are shown: %v", list)
	}
}

func TestARecordSaysWhyItHasNoSignature(t *testing.T) {
	signature := biometric.Outcome{Modality: biometric.Signature}
	excepted := signature
	excepted.Excepted = []biometric.Exception{{Reason: biometric.Bandaged}}
	for want, m := range map[string]record.Manifest{
		"not asked for":      {},
		"not captured":       {Outcomes: []biometric.Outcome{signature}},
		"excepted: bandaged": {Outcomes: []biometric.Outcome{excepted}},
	} {
		if got := absent(m, biometric.Signature); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// signed is a record of somebody who signed in a corner of a large pad.
func signed(t *testing.T, d *depot) *record.Record {
	t.Helper()
	r := intake(t, 1, d.station, biometric.RightIndex, biometric.LeftIndex)
	k := inkml.Ink{Width: 10000, Height: 5000, Strokes: []inkml.Stroke{{{X: 500, Y: 500}, {X: 2500, Y: 900, T: 400}}}}
	var file bytes.Buffer
	check(t, png.Encode(&file, k.Draw()))
	for _, s := range []biometric.Sample{
		{Modality: biometric.Signature, MediaType: "image/png", Data: file.Bytes()},
		{Modality: biometric.Signature, MediaType: inkml.MediaType, Data: k.InkML()},
	} {
		part, err := record.PartOf(s)
		check(t, err)
		r.Parts = append(r.Parts, part)
	}
	r.Manifest.Outcomes = append(r.Manifest.Outcomes, biometric.Outcome{Step: "signature", Modality: biometric.Signature,
		Findings: []biometric.Finding{{Quality: biometric.Quality{Score: 100, Measures: map[string]float64{"strokes": 1, "seconds": 0.4, "length_mm": 20.4}}}}})
	return r
}

// count counts the pixels of a part of a page that are of a colour, or nearly.
func count(page image.Image, part image.Rectangle, want color.Color) (n int) {
	r0, g0, b0, _ := want.RGBA()
	near := func(a, b uint32) bool { return max(a, b)-min(a, b) < 0x1800 }
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if r, g, b, _ := page.At(x, y).RGBA(); near(r, r0) && near(g, g0) && near(b, b0) {
				n++
			}
		}
	}
	return n
}

func TestASignatureIsDrawnLargeAndPrintsWithTheirMinutiae(t *testing.T) {
	d := newDepot(t)
	d.add(signed(t, d), nil)
	if status, out, complaints := d.run(); status != 0 {
		t.Fatalf("%s%s", out, complaints)
	}
	sheet := d.sheet()
	left, top := margin+inside+fingersAt, headHeight+84
	if n := count(sheet, image.Rect(left, top+432, left+232, top+552), color.Black); n < 500 {
		t.Errorf("the signature is %d dark pixels", n)
	}
	if n := count(sheet, image.Rect(left, top+18, left+fingerWidth, top+340), color.RGBA{R: 0xd8, G: 0x62, B: 0x8c, A: 0xff}); n == 0 {
		t.Error("no minutiae are drawn")
	}
}

func TestOfManyFingersEachHandHasARowWithThePlacesOfThoseThatAreNotThere(t *testing.T) {
	d := newDepot(t)
	r := intake(t, 1, d.station, 1, 3, 4, 6, 8, 9)
	check(t, r.Manifest.Ledger.Set(biometric.Entry{Position: biometric.RightIndex, Reason: biometric.Missing, Permanent: true}))
	d.add(r, nil)
	if status, out, complaints := d.run(); status != 0 {
		t.Fatalf("%s%s", out, complaints)
	}
	sheet := d.sheet()
	const w, h = (fingerWidth - 4*12) / 5, 116
	for n, empty := range map[int]bool{1: false, 2: true, 3: false, 6: false, 7: true, 9: false} {
		x, y := margin+inside+fingersAt+(n-1)%5*(w+12), headHeight+84+18+(n-1)/5*(h+46)
		frame := image.Rect(x+4, y+4, x+w-4, y+h-4)
		// White glass is nearly as faint, and a print may leave two thirds of it.
		if got := count(sheet, frame, faint); (got > frame.Dx()*frame.Dy()*4/5) != empty {
			t.Errorf("finger %d: %d of %d pixels are of an empty frame", n, got, frame.Dx()*frame.Dy())
		}
	}
}
