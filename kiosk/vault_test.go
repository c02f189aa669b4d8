package kiosk

import (
	"bytes"
	"testing"

	"loket/kiosk/biometric"
)

func printOf(p biometric.FingerPosition, data []byte) biometric.Sample {
	return biometric.Sample{Modality: biometric.Finger, Position: p, Data: data}
}

func (v *vault) count() (n int) {
	_ = v.use(func(all []biometric.Sample) error { n = len(all); return nil })
	return n
}

func TestTheVaultOverwritesWhatItGivesUp(t *testing.T) {
	var v vault
	first, second, other := []byte("first"), []byte("second"), []byte("other")
	v.add("fingers", []biometric.Sample{printOf(biometric.RightIndex, first), printOf(biometric.LeftIndex, other)})
	v.add("fingers", []biometric.Sample{printOf(biometric.RightIndex, second)})
	if !bytes.Equal(first, make([]byte, 5)) || v.count() != 2 {
		t.Errorf("a sample that was replaced reads %q and %d are held", first, v.count())
	}
	v.retain([]biometric.Outcome{{Step: "fingers", Captured: []biometric.FingerPosition{biometric.RightIndex}}})
	if !bytes.Equal(other, make([]byte, 5)) || v.count() != 1 {
		t.Errorf("a sample that no outcome holds reads %q and %d are held", other, v.count())
	}
	v.wipe()
	if !bytes.Equal(second, make([]byte, 6)) || v.count() != 0 {
		t.Errorf("after the end a sample reads %q and %d are held", second, v.count())
	}
}
