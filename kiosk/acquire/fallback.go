package acquire

import (
	"slices"

	"loket/drivers"
	"loket/kiosk/biometric"
)

// fallBack goes through the fingers that may stand in for those of a group that are below their threshold, one by one and with
// attempts of their own, until one is sufficient. Where none is, the one with the highest value is kept, and of equals the
// first (BSI TR-03121-3 v6.0, volume 2: index, thumb, middle). What another finger stands in for is given up.
func (c *capture) fallBack(scanner drivers.FingerprintScanner, best slap, status biometric.Result) (slap, biometric.Result, error) {
	for i := range best {
		line := append([]biometric.FingerPosition{best[i].position}, c.step.Fallback[best[i].position]...)
		for _, other := range line[1:] {
			if best[i].enough {
				break
			}
			got, how, err := c.group(scanner, []biometric.FingerPosition{other})
			if how == biometric.Ended || how == biometric.Faulted || err != nil {
				got.wipe()
				return best, how, err
			}
			if len(got) == 1 && (got[0].enough || got[0].quality.Score > best[i].quality.Score) {
				best[i], got[0] = got[0], best[i]
			}
			got.wipe()
		}
		c.givenUp = append(c.givenUp, line[:slices.Index(line, best[i].position)]...)
	}
	if best.enough() {
		status = biometric.Accepted
	}
	return best, status, nil
}
