package api

import (
	"bytes"
	"testing"
)

func FuzzReadFrame(f *testing.F) {
	var good bytes.Buffer
	if err := writeFrame(&good, Frame{Modality: "face", Sequence: 3, Width: 2, Height: 2, I420: make([]byte, 6)}); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add([]byte("FRM1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var frame Frame
		if readFrame(bytes.NewReader(data), &frame) != nil {
			return
		}
		if len(frame.I420) != frame.Width*frame.Height*3/2 {
			t.Errorf("a frame of %dx%d has %d bytes", frame.Width, frame.Height, len(frame.I420))
		}
	})
}
