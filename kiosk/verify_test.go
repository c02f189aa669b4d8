package kiosk

import (
	"bytes"
	"errors"
	"image"
	"testing"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/wsq"
)

func TestCompressedPrintsAreCompared(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 60, 50))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * i >> 4)
	}
	data, err := wsq.Encode(img, wsq.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := wsq.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := grey(biometric.Sample{MediaType: wsq.MediaType, Data: data})
	if err != nil || !bytes.Equal(got.Pix, want.Gray.Pix) {
		t.Errorf("the pixels are others: %v", err)
	}
	if _, err := grey(biometric.Sample{MediaType: wsq.MediaType, Data: data[:50]}); err == nil || errors.Is(err, errByEye) {
		t.Errorf("half a file: %v", err)
	}
	if _, err := grey(biometric.Sample{MediaType: "image/jp2", Data: data}); !errors.Is(err, errByEye) {
		t.Errorf("another format: %v", err)
	}
}
