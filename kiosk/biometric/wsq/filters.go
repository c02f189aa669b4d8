package wsq

// bank is a pair of filters that put two halves together again. All coefficients are what single precision makes of them.
type bank struct {
	low, high []float32
	odd       bool // the filters are of odd length: symmetric about a sample, else between two
	rising    bool // the first sample is made by the odd coefficients, else by the even ones
	// taps[p] are the coefficients that make the samples of one parity: low-pass ones, then high-pass ones from lows[p] on.
	taps [2][]float32
	lows [2]int
}

// maxFilter bounds the length of a filter: what a picture of a given size takes grows with it.
const maxFilter = 32

// bankOf makes the synthesis filters out of the right halves of the analysis filters, low-pass first, as a transform table gives
// them with their whole lengths (B.2.4.3).
func bankOf(low, high []float32, lowLength, highLength int) (*bank, error) {
	switch {
	case lowLength%2 != highLength%2 || (lowLength+highLength)%4 != 0:
		return nil, corrupt("filters of %d and %d coefficients don't belong together", lowLength, highLength)
	case lowLength < 2 || highLength < 2:
		return nil, corrupt("a filter of less than 2 coefficients")
	}
	b := &bank{odd: lowLength%2 != 0}
	if b.odd {
		b.high, b.low = mirror(low, lowLength, 1, 1), mirror(high, highLength, 1, 1)
		b.rising = (highLength-1)/2%2 != 0
	} else {
		b.high, b.low = mirror(low, lowLength, -1, -1), mirror(high, highLength, -1, 1)
		b.rising = highLength/2%2 != 0
	}
	for p := range b.taps {
		for i := p; i < len(b.low); i += 2 {
			b.taps[p] = append(b.taps[p], b.low[i])
		}
		b.lows[p] = len(b.taps[p])
		for i := p; i < len(b.high); i += 2 {
			b.taps[p] = append(b.taps[p], b.high[i])
		}
	}
	return b, nil
}

// mirror makes a whole filter of its right half, turning every other coefficient from the centre outwards: the half begins with
// sign, and the left one is the right one times parity.
func mirror(half []float32, length int, sign, parity float32) []float32 {
	whole := make([]float32, length)
	for i, v := range half {
		v *= sign
		whole[length/2+i] = v
		if at := (length-1)/2 - i; at != length/2+i {
			whole[at] = v * parity
		}
		sign = -sign
	}
	return whole
}

// firstLow and firstHigh are the samples of a half, counted from its first, with which the first pair of samples begins.
func (b *bank) firstLow() int {
	if b.odd {
		return -(len(b.low) - 1) / 4
	}
	return -len(b.low) / 4
}

func (b *bank) firstHigh() int {
	if b.odd {
		return -(len(b.high) + 1) / 4
	}
	return -len(b.high) / 4
}
