package acquire

import (
	"bytes"
	"image"
	"image/jpeg"
	"slices"
	"testing"
	"time"

	"loket/kiosk/biometric"
	"loket/kiosk/plan"
	"loket/kiosk/record/picture"
)

// A desk and a record refuse a JPEG with anything between its segments. Whoever was photographed has gone by then.
func TestAPhotographWithBytesBetweenItsSegmentsIsKeptWithoutThem(t *testing.T) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewRGBA(image.Rect(0, 0, 90, 120)), nil); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	odd := slices.Insert(bytes.Clone(whole), 2, 0, 0, 'o', 'd', 'd')
	if picture.Whole(odd) {
		t.Fatal("nothing is odd")
	}
	a := Acquirer{Steady: time.Millisecond}
	step := plan.Step{ID: "face", Modality: biometric.Face, Rules: plan.Rules{Attempts: 1, AtLimit: plan.KeepBest}}
	r, err := a.Capture(t.Context(), step, &camera{shots: []taken{{data: odd}}}, nil)
	if err != nil || len(r.Samples) != 1 {
		t.Fatalf("%d samples, %v", len(r.Samples), err)
	}
	if !bytes.Equal(r.Samples[0].Data, whole) {
		t.Errorf("it has %d bytes, not %d", len(r.Samples[0].Data), len(whole))
	}
}
