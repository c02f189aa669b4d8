package wsq

// blend adds up lines: each sample of dst becomes the sum of the samples of src at its place, each times its coefficient. There
// are as many lines as coefficients, none shorter than dst. The sum is taken in the order of the lines, every product and every sum
// rounded to single precision: the conversions keep them from being fused.
func blend(dst []float32, src [][]float32, c []float32) {
	switch len(c) {
	case 3:
		blend3(dst, src, c)
	case 4:
		blend4(dst, src, c)
	case 7:
		blend7(dst, src, c)
	case 9:
		blend9(dst, src, c)
	default:
		blendAny(dst, src, c)
	}
}

func blendAny(dst []float32, src [][]float32, c []float32) {
	clear(dst)
	for j, f := range c {
		for i, v := range src[j][:len(dst)] {
			dst[i] += float32(v * f)
		}
	}
}

func blend3(dst []float32, src [][]float32, c []float32) {
	s0, s1, s2 := src[0][:len(dst)], src[1][:len(dst)], src[2][:len(dst)]
	c0, c1, c2 := c[0], c[1], c[2]
	for i := range dst {
		dst[i] = float32(float32(s0[i]*c0)+float32(s1[i]*c1)) + float32(s2[i]*c2)
	}
}

func blend4(dst []float32, src [][]float32, c []float32) {
	s0, s1, s2, s3 := src[0][:len(dst)], src[1][:len(dst)], src[2][:len(dst)], src[3][:len(dst)]
	c0, c1, c2, c3 := c[0], c[1], c[2], c[3]
	for i := range dst {
		dst[i] = float32(float32(float32(s0[i]*c0)+float32(s1[i]*c1))+float32(s2[i]*c2)) + float32(s3[i]*c3)
	}
}

func blend7(dst []float32, src [][]float32, c []float32) {
	s0, s1, s2, s3 := src[0][:len(dst)], src[1][:len(dst)], src[2][:len(dst)], src[3][:len(dst)]
	s4, s5, s6 := src[4][:len(dst)], src[5][:len(dst)], src[6][:len(dst)]
	c0, c1, c2, c3, c4, c5, c6 := c[0], c[1], c[2], c[3], c[4], c[5], c[6]
	for i := range dst {
		sum := float32(s0[i]*c0) + float32(s1[i]*c1)
		sum += float32(s2[i] * c2)
		sum += float32(s3[i] * c3)
		sum += float32(s4[i] * c4)
		sum += float32(s5[i] * c5)
		dst[i] = sum + float32(s6[i]*c6)
	}
}

func blend9(dst []float32, src [][]float32, c []float32) {
	s0, s1, s2, s3 := src[0][:len(dst)], src[1][:len(dst)], src[2][:len(dst)], src[3][:len(dst)]
	s4, s5, s6, s7 := src[4][:len(dst)], src[5][:len(dst)], src[6][:len(dst)], src[7][:len(dst)]
	s8 := src[8][:len(dst)]
	c0, c1, c2, c3, c4, c5, c6, c7, c8 := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]
	for i := range dst {
		sum := float32(s0[i]*c0) + float32(s1[i]*c1)
		sum += float32(s2[i] * c2)
		sum += float32(s3[i] * c3)
		sum += float32(s4[i] * c4)
		sum += float32(s5[i] * c5)
		sum += float32(s6[i] * c6)
		sum += float32(s7[i] * c7)
		dst[i] = sum + float32(s8[i]*c8)
	}
}
