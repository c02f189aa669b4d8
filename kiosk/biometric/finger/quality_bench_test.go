package finger

import (
	"image"
	"syscall"
	"testing"
	"time"
)

// BenchmarkQuality judges the reference's images, as a station does and with minutiae, as NFIQ 2 does. xref is how many times as
// fast as NFIQ 2 that is, by the milliseconds that NFIQ 2 took for the same images on one core.
func BenchmarkQuality(b *testing.B) {
	var images []*image.Gray
	reference := 0.0
	for _, e := range expectations(b) {
		if e.ms > 0 {
			images = append(images, picture(b, e.file))
			reference += e.ms
		}
	}
	reference /= float64(len(images))
	for _, c := range []struct {
		name     string
		analyser Analyser
	}{{"estimate", Analyser{}}, {"with-minutiae", Analyser{Minutiae: true}}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			before, i := processor(b), 0
			for b.Loop() {
				if _, err := c.analyser.Analyse(images[i%len(images)], 500); err != nil {
					b.Fatal(err)
				}
				i++
			}
			ms := (processor(b) - before).Seconds() * 1000 / float64(b.N)
			b.ReportMetric(ms, "ms")
			b.ReportMetric(reference/ms, "xref")
		})
	}
}

// processor is the time that this process has had of its processors.
func processor(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
