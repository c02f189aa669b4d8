package face

// Where the lips meet is sought in a strip over the middle of the mouth, read from above to below in steps of 1/grid of the eye
// distance: how bright it is and how red, both as shares of what the cheeks are.
const (
	mouthTop    = 0.75 // in eye distances below the eyes
	mouthBottom = 1.4
	lipsTop     = 0.9 // where they may meet
	lipsBottom  = 1.25
	lipReach    = 7 // steps from where they meet to the middle of a lip at most
)

// What bounds the inside of a mouth, in shares of the cheeks.
const (
	cavity   = 0.4  // brightness below which there is a gap, or only the line between the lips where that is thin
	noLine   = 0.9  // brightness that nothing stays below where no line is seen: the lips are apart
	teeth    = 1.03 // brightness that no lip has
	lipDark  = 0.1  // by which the lips are darker than teeth
	lipRed   = 0.1  // by which they are redder
	leastLip = 0.45 // brightness of a lip, as against the line
)

// mouth estimates the gap between the lips as a share of the eye distance. A closed mouth shows one thin dark line, an open one
// a dark gap, or teeth: brighter and less red than the lips above and below.
func mouth(c colours, h head) float64 {
	bright, red := strip(c, h)
	first, last := steps(lipsTop-mouthTop), min(steps(lipsBottom-mouthTop), len(bright)-1)
	darkest := 1.0
	gap, run, shown := 0, 0, 0
	for i := first; i <= last; i++ {
		darkest = min(darkest, bright[i])
		if run++; bright[i] >= cavity {
			run = 0
		}
		gap = max(gap, run)
		if isTeeth(bright, red, i) {
			shown++
		}
	}
	switch {
	case darkest < cavity:
		shown = 0 // a line or a gap lies between the lips
	case darkest > noLine:
		shown = max(shown, lipReach)
	case shown > 0:
		shown += 2 // their rims are mixed with the lips
	}
	return float64(max(gap, shown)) / grid
}

func steps(length float64) int { return int(length*grid + 0.5) }

// isTeeth reports whether what is read at a step is less red than a lip above and one below, or brighter than any skin.
func isTeeth(bright, red []float64, i int) bool {
	if bright[i] < 0.8 {
		return false
	}
	var redAbove, redBelow float64
	darkAbove, darkBelow := 9.0, 9.0
	for k := 1; k <= lipReach; k++ {
		if j := i - k; j >= 0 && bright[j] >= leastLip {
			redAbove, darkAbove = max(redAbove, red[j]), min(darkAbove, bright[j])
		}
		if j := i + k; j < len(red) && bright[j] >= leastLip {
			redBelow, darkBelow = max(redBelow, red[j]), min(darkBelow, bright[j])
		}
	}
	return min(redAbove, redBelow)-red[i] >= lipRed ||
		bright[i] >= teeth && bright[i]-max(darkAbove, darkBelow) >= lipDark
}

// strip reads brightness and redness down the middle of the mouth.
func strip(c colours, h head) (bright, red []float64) {
	cheeks, n := [3]float64{}, 0.0
	for _, side := range []float64{-0.47, 0.47} {
		h.each(c, box{side - 0.17, 0.35, side + 0.17, 0.75}, func(_, _ float64, rgb [3]float64) {
			for i, v := range rgb {
				cheeks[i] += v
			}
			n++
		})
	}
	for i := range cheeks {
		cheeks[i] = cheeks[i]/n + 1
	}
	for y := mouthTop; y < mouthBottom; y += 1.0 / grid {
		var sum [3]float64
		n := 0.0
		h.each(c, box{-0.2, y, 0.2, y}, func(_, _ float64, rgb [3]float64) {
			for i, v := range rgb {
				sum[i] += v
			}
			n++
		})
		for i := range sum {
			sum[i] = sum[i]/n + 1
		}
		bright = append(bright, luma(sum)/luma(cheeks))
		red = append(red, sum[0]/sum[1]/(cheeks[0]/cheeks[1]))
	}
	return bright, red
}
