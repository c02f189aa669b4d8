package acquire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"math"
)

// encodePNG writes an 8-bit grey PNG, lossless, with its resolution (PNG, third edition, clause 11.3.4.3 pHYs).
func encodePNG(img *image.Gray, ppi int) ([]byte, error) {
	w := &scaleWriter{ppi: ppi, out: make([]byte, 0, len(img.Pix)+len(img.Pix)/8+img.Rect.Dy()+4096)}
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(w, img); err != nil {
		clear(w.out)
		return nil, fmt.Errorf("writing PNG: %w", err)
	}
	return w.out, nil
}

// headerEnd is where the first chunk may follow: signature (8 bytes) and IHDR (25).
const headerEnd = 33

// scaleWriter collects a PNG and puts a pHYs chunk behind its header. Its buffer is large enough for any image of the size that
// it was made for, so that no copy of pixels is left behind.
type scaleWriter struct {
	ppi int
	out []byte
}

func (w *scaleWriter) Write(p []byte) (int, error) {
	head := 0
	if len(w.out) < headerEnd {
		head = min(headerEnd-len(w.out), len(p))
		if w.out = append(w.out, p[:head]...); len(w.out) == headerEnd {
			w.out = appendScale(w.out, w.ppi)
		}
	}
	w.out = append(w.out, p[head:]...)
	return len(p), nil
}

// appendScale adds the pHYs chunk: pixels a metre in both directions.
func appendScale(out []byte, ppi int) []byte {
	perMetre := uint32(math.Round(float64(ppi) / 0.0254))
	chunk := []byte("pHYs")
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = append(chunk, 1)
	out = binary.BigEndian.AppendUint32(out, 9)
	out = append(out, chunk...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(chunk))
}
