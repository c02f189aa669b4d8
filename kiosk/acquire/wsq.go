package acquire

import (
	"errors"
	"fmt"
	"image"
	"math"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/wsq"
	"loket/kiosk/plan"
)

// FingerEncoder compresses the image of one finger as WSQ, by a rule. It only reads the image, and keeps nothing of it. An error
// that wraps [wsq.ErrRatio] says that the rule's ratio can't be had of this image.
type FingerEncoder interface {
	Compress(img *image.Gray, ppi int, rule plan.CompressionRule) ([]byte, biometric.Compression, error)
}

// wsqEncoder is our own encoder. It is not certified by the FBI.
type wsqEncoder struct{}

func (wsqEncoder) Compress(img *image.Gray, ppi int, rule plan.CompressionRule) ([]byte, biometric.Compression, error) {
	done, err := wsq.EncodeRatio(img, wsq.Options{Rate: rule.Rate, PPI: ppi}, rule.LeastRatio, rule.MostRatio)
	if err != nil {
		clear(done.Data)
		return nil, biometric.Compression{}, err
	}
	return done.Data, biometric.Compression{Algorithm: wsq.AlgorithmName, Version: wsq.Version,
		Rate: rounded(done.Rate, 1e4), Ratio: rounded(done.Ratio, 1e2)}, nil
}

// rounded keeps as many parts of one as it says.
func rounded(v, parts float64) float64 { return math.Round(v*parts) / parts }

// sample encodes what is kept of a finger: once, from the uncompressed image. Where the policy's ratio can't be had of an image
// it loses nothing instead.
func (c *capture) sample(s shot) (biometric.Sample, error) {
	sample := biometric.Sample{
		Modality: biometric.Finger, Position: s.position,
		Width: s.image.Rect.Dx(), Height: s.image.Rect.Dy(), PPI: s.ppi, Quality: s.quality,
	}
	rule, err := c.step.Compression, error(nil)
	if rule != nil {
		var done biometric.Compression
		sample.Data, done, err = c.encoder.Compress(s.image, s.ppi, *rule)
		sample.MediaType, sample.Compression = wsq.MediaType, &done
	}
	if rule == nil || errors.Is(err, wsq.ErrRatio) {
		sample.Data, err = encodePNG(s.image, s.ppi)
		sample.MediaType, sample.Compression = "image/png", nil
	}
	if err != nil {
		return biometric.Sample{}, fmt.Errorf("encoding %v: %w", s.position, err)
	}
	return sample, nil
}
