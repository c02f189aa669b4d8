package ansinist_test

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"loket/kiosk/biometric"
	"loket/kiosk/record/ansinist"
	"loket/kiosk/record/recordtest"
)

// drawn makes an intake with any texts, and any fingers with and without prints.
func drawn(t *rapid.T, print, face []byte) ansinist.Transaction {
	word := rapid.StringMatching(`[!-~]{1,20}`)
	x := ansinist.Transaction{Type: "ENROL", Destination: word.Draw(t, "destination"), Originator: word.Draw(t, "originator"), Control: word.Draw(t, "control"),
		Domain: [2]string{word.Draw(t, "domain"), word.Draw(t, "version")}}
	for i, items := range rapid.SliceOfN(rapid.SliceOfN(rapid.SliceOfN(rapid.String(), 1, 4), 1, 3), 0, 6).Draw(t, "texts") {
		x.Texts = append(x.Texts, ansinist.Items(i+3, items...))
	}
	if rapid.Bool().Draw(t, "a face") {
		x.Face = &ansinist.Face{Source: word.Draw(t, "source"), Image: face, Comment: rapid.String().Draw(t, "comment")}
	}
	score := rapid.Custom(func(t *rapid.T) ansinist.Score {
		return ansinist.Score{Value: rapid.IntRange(0, 100).Draw(t, "score"), Vendor: "0000", Product: rapid.IntRange(1, 65535).Draw(t, "product")}
	})
	for _, position := range rapid.SliceOfDistinct(rapid.IntRange(1, 10), func(n int) int { return n }).Draw(t, "fingers") {
		f := ansinist.Finger{Position: biometric.FingerPosition(position), Source: word.Draw(t, "source"), Device: ansinist.Device{Model: rapid.String().Draw(t, "model")}}
		if rapid.Bool().Draw(t, "a print") {
			f.Image, f.PPI = print, rapid.IntRange(0, 2000).Draw(t, "scale")
			f.Scores = []ansinist.FingerScore{{Position: f.Position, Score: score.Draw(t, "quality")}}
		} else {
			f.Missing = []ansinist.Missing{{Position: f.Position, Amputated: rapid.Bool().Draw(t, "amputated")}}
		}
		x.Fingers = append(x.Fingers, f)
	}
	return x
}

func TestWhateverAnIntakeSaysIsWrittenAndReadAgain(t *testing.T) {
	print, face := recordtest.PNG(t, 24, 32), recordtest.JPEG(t, 48, 64)
	rapid.Check(t, func(t *rapid.T) {
		x := drawn(t, print, face)
		data, err := x.Encode()
		if err != nil {
			t.Fatal(err)
		}
		f, err := ansinist.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if want := 2 + len(x.Fingers); x.Face != nil && len(f.Records) != want+1 || x.Face == nil && len(f.Records) != want {
			t.Fatalf("%d records", len(f.Records))
		}
		for i, text := range x.Texts {
			if got, ok := f.Records[1].Field(i + 3); !ok || !bytes.Equal(got.Value, text.Value) {
				t.Fatalf("text %d is %q, not %q", i, got.Value, text.Value)
			}
		}
		for i, finger := range x.Fingers {
			r := f.Records[len(f.Records)-len(x.Fingers)+i]
			if position, _ := r.Int(13); position != int(finger.Position) || !bytes.Equal(r.Image, finger.Image) {
				t.Fatalf("finger %d is another", i)
			}
		}
		if again, err := f.Encode(); err != nil || !slices.Equal(again, data) {
			t.Fatalf("it is not written as it was read: %v", err)
		}
	})
}
