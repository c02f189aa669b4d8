package wsq

import (
	"image"
	"syscall"
	"testing"
	"time"
)

// slap is four fingers on a glass of 1600 x 1500 pixels.
func slap(t testing.TB) *image.Gray {
	t.Helper()
	glass := image.NewGray(image.Rect(0, 0, 1600, 1500))
	for i := range glass.Pix {
		glass.Pix[i] = 255
	}
	for n, name := range []string{"f101_1", "f102_1", "f103_1"} {
		finger := gray(t, "synthetic/"+name+".pgm")
		for _, top := range []int{100, 800} {
			for y := range finger.Rect.Dy() {
				copy(glass.Pix[(top+y)*1600+50+500*n:], finger.Pix[y*finger.Stride:][:finger.Rect.Dx()])
			}
		}
	}
	return glass
}

// cpu is what this process has taken of all cores.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure reports the milliseconds of one core that a call of fn takes, the collector's among them.
func measure(b *testing.B, pixels int, fn func() error) {
	b.Helper()
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		if err := fn(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(time.Millisecond)/float64(b.N), "ms")
	b.SetBytes(int64(pixels))
}

func benchmarkDecode(b *testing.B, img *image.Gray) {
	data := encoded(b, img, 0)
	measure(b, len(img.Pix), func() error { _, err := Decode(data); return err })
}

func benchmarkEncode(b *testing.B, img *image.Gray) {
	measure(b, len(img.Pix), func() error { _, err := Encode(img, Options{}); return err })
}

func BenchmarkWSQDecode(b *testing.B)     { benchmarkDecode(b, gray(b, "synthetic/f101_1.pgm")) }
func BenchmarkWSQEncode(b *testing.B)     { benchmarkEncode(b, gray(b, "synthetic/f101_1.pgm")) }
func BenchmarkWSQDecodeSlap(b *testing.B) { benchmarkDecode(b, slap(b)) }
func BenchmarkWSQEncodeSlap(b *testing.B) { benchmarkEncode(b, slap(b)) }
