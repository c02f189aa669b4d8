package face

import "math"

// The mouth is read from above to below in steps of 1/grid of the eye distance: how bright it is and how red, both as shares of what the
// cheeks are.
const (
	mouthTop    = 0.8 // in eye distances below the eyes
	mouthBottom = 1.55
	mouthHalf   = 0.2  // of what is read, to either side of the middle
	mouthInner  = 0.16 // from here
	mouthOuter  = 0.34 // to here are lips, but no nostrils
	mouthUsual  = 1.12 // where the mouth is mostly, and how far from there it may well be
	mouthSpread = 0.2
	lipsHalf    = 0.17 // from the middle of the mouth to the edges of the lips
	lipsMeet    = 2    // steps from there, within which the lips meet
	lipReach    = 6    // steps from where they meet to the middle of a lip at most
	lipSpan     = 8    // steps from the middle of one lip to that of the other: above them lies the shadow of the nose
)

// What bounds the inside of a mouth, in shares of the cheeks.
const (
	cavity   = 0.4  // brightness below which there is a gap, or only the line between the lips where that is thin
	lineDark = 0.75 // brightness of the line between closed lips, as a share of theirs
	lipPale  = 0.97 // brightness that lips stay below
	noLine   = 0.9  // brightness that nothing stays below where no line is seen: the lips are apart
	teeth    = 1.03 // brightness that no lip has
	lipDark  = 0.1  // by which the lips are darker than teeth
	lipRed   = 0.1  // by which they are redder
	pale     = 1.04 // redness that teeth stay below, and a shining lip does not
	leastLip = 0.45 // brightness of a lip, as against the line
	leastRed = 0.2  // redness of both lips together, in steps
)

// mouth estimates the gap between the lips as a share of the eye distance. A closed mouth shows one thin dark line, an open one
// a dark gap, or teeth: brighter and less red than the lips above and below.
func mouth(c colours, h head) float64 {
	bright, red := strip(c, h, 0, mouthHalf)
	middle := mouthMiddle(c, h)
	first, last := max(middle-lipsMeet, 0), min(middle+lipsMeet, len(bright)-1)
	darkest, shown := 1.0, 0
	for i := first; i <= last; i++ {
		darkest = min(darkest, bright[i])
		if isTeeth(bright, red, i) {
			shown++
		}
	}
	gap := darkRun(bright, first, last)
	switch {
	case darkest < cavity || hasLine(bright, middle):
		shown = 0 // a line or a gap lies between the lips
	case darkest > noLine:
		shown = max(shown, lipReach)
	case shown > 0:
		shown += 3 // their rims are mixed with the lips
	}
	return float64(max(gap, shown)) / grid
}

// mouthMiddle is the step about which the face is reddest towards the corners of the mouth; in a picture without colours, where
// brightness changes most from row to row.
func mouthMiddle(c colours, h head) int {
	bright, red := strip(c, h, mouthInner, mouthOuter)
	lips, change := make([]float64, len(red)), make([]float64, len(red))
	total := 0.0
	for i := range red {
		lips[i] = min(max(red[i]-1.03, 0), 0.3)
		total += lips[i]
		if i > 0 {
			change[i] = math.Abs(bright[i] - bright[i-1])
		}
	}
	if total < leastRed {
		lips = change
	}
	return heaviest(lips)
}

// heaviest is the centre of gravity of the part, as high as a mouth, that weighs most near where mouths are.
func heaviest(weights []float64) int {
	reach := steps(lipsHalf)
	best, most := 0, -1.0
	for middle := reach; middle+reach < len(weights); middle++ {
		sum, moment := 0.0, 0.0
		for i := middle - reach; i <= middle+reach; i++ {
			sum, moment = sum+weights[i], moment+weights[i]*float64(i)
		}
		off := (mouthTop + float64(middle)/grid - mouthUsual) / mouthSpread
		if weight := sum * math.Exp(-off*off/2); weight > most {
			best, most = int(moment/max(sum, 1e-9)+0.5), weight
		}
	}
	return best
}

func steps(length float64) int { return int(length*grid + 0.5) }

// darkRun is the length of the longest run of cavity that begins or ends between two steps.
func darkRun(bright []float64, first, last int) int {
	longest, run := 0, 0
	for i, v := range bright {
		if run++; v >= cavity {
			run = 0
		}
		if i >= first && i-run < last {
			longest = max(longest, run)
		}
	}
	return longest
}

// hasLine reports whether a thin dark line with a lip on either side lies about the middle of the mouth.
func hasLine(bright []float64, middle int) bool {
	const about, lip = 5, 2 // steps: from the middle to the line, and from there into the lips
	for i := max(middle-about, lip); i <= min(middle+about, len(bright)-1-lip); i++ {
		above, below := bright[i-lip], bright[i+lip]
		if bright[i] <= lineDark*min(above, below) && max(above, below) < lipPale {
			return true
		}
	}
	return false
}

// isTeeth reports whether what is read at a step is less red than a lip above and one below, or brighter than any skin.
func isTeeth(bright, red []float64, i int) bool {
	if bright[i] < 0.8 {
		return false
	}
	between := 0.0
	darkAbove, darkBelow := 9.0, 9.0
	for above := max(i-lipReach, 0); above < i; above++ {
		if bright[above] < leastLip {
			continue
		}
		darkAbove = min(darkAbove, bright[above])
		for below := i + 1; below <= min(above+lipSpan, i+lipReach, len(red)-1); below++ {
			if bright[below] >= leastLip {
				between = max(between, min(red[above], red[below])-red[i])
			}
		}
	}
	for below := i + 1; below <= min(i+lipReach, len(red)-1); below++ {
		if bright[below] >= leastLip {
			darkBelow = min(darkBelow, bright[below])
		}
	}
	return red[i] < pale && between >= lipRed || bright[i] >= teeth && bright[i]-max(darkAbove, darkBelow) >= lipDark
}

// strip reads brightness and redness down the mouth, between two distances to either side of the middle.
func strip(c colours, h head, from, to float64) (bright, red []float64) {
	cheeks, n := [3]float64{}, 0.0
	h.cheeks(c, func(rgb [3]float64) {
		for i, v := range rgb {
			cheeks[i] += v
		}
		n++
	})
	for i := range cheeks {
		cheeks[i] = cheeks[i]/n + 1
	}
	for y := mouthTop; y < mouthBottom; y += 1.0 / grid {
		var sum [3]float64
		n := 0.0
		add := func(_, _ float64, rgb [3]float64) {
			for i, v := range rgb {
				sum[i] += v
			}
			n++
		}
		h.each(c, box{-to, y, -from, y}, add)
		h.each(c, box{from, y, to, y}, add)
		for i := range sum {
			sum[i] = sum[i]/n + 1
		}
		bright = append(bright, luma(sum)/luma(cheeks))
		red = append(red, sum[0]/sum[1]/(cheeks[0]/cheeks[1]))
	}
	return bright, red
}
