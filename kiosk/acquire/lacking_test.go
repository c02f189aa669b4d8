package acquire

import (
	"fmt"
	"image"
	"strings"
	"testing"
	"time"

	"loket/drivers"
	"loket/firmware-sim/synth"
	"loket/kiosk/biometric"
	"loket/kiosk/plan"
)

// glanced is a slap as a scanner shows it live, at a tenth of its size.
func glanced(t *testing.T, library *synth.Library, fingers []synth.Position) *image.Gray {
	t.Helper()
	m, _, err := library.Slap(synth.Slap{Who: 3, Seed: 5, Touch: synth.Usual(5), Fingers: fingers})
	if err != nil {
		t.Fatal(err)
	}
	out := image.NewGray(image.Rect(0, 0, m.Rect.Dx()/10, m.Rect.Dy()/10))
	for i := range out.Pix {
		sum := 0
		for j := range 100 {
			sum += int(m.GrayAt(i%out.Stride*10+j%10, i/out.Stride*10+j/10).Y)
		}
		out.Pix[i] = uint8(sum / 100)
	}
	return out
}

func TestTheFingerThatIsMissingIsNamedUntilItLiesThere(t *testing.T) {
	library := &synth.Library{Dir: "../../build/fingers"}
	left := []synth.Position{synth.LeftLittle, synth.LeftRing, synth.LeftMiddle, synth.LeftIndex}
	three, two := glanced(t, library, left[1:]), glanced(t, library, left[2:])
	var told []string
	c := &capture{outer: t.Context(), ctx: t.Context(), now: time.Now, step: plan.Step{Want: biometric.LeftFour.Parts()}, wanted: biometric.LeftFour.Parts(),
		device: drivers.Info{Sensor: &drivers.Sensor{Width: 1600, Height: 1500, PPI: 500}}}
	c.watch = func(p Progress) { told = append(told, strings.TrimSpace(fmt.Sprint(p.Hint, " ", p.Which))) }
	say := func(times int, p drivers.Progress, want string) {
		t.Helper()
		told = nil
		for range times {
			c.guide(p)
		}
		if last := told[len(told)-1]; last != want {
			t.Errorf("the last of %d is %q, not %q", times, last, want)
		}
	}
	say(1, drivers.Progress{Hint: biometric.HintPlace}, "place []")
	say(2, drivers.Progress{Hint: biometric.HintFingerMissing, Fingers: 2, Preview: two}, "finger-missing []") // the hand comes down
	say(3, drivers.Progress{Hint: biometric.HintFingerMissing, Fingers: 3, Preview: three}, "finger-missing []")
	say(1, drivers.Progress{Hint: biometric.HintFingerMissing, Fingers: 3, Preview: three}, "finger-missing [left-little]")
	told = nil
	c.failed(biometric.Attempt{}, &drivers.RetryError{Hint: biometric.HintFingerMissing})
	if len(told) != 1 || told[0] != "finger-missing [left-little]" {
		t.Errorf("at the end of the attempt it is told %q", told)
	}
	say(1, drivers.Progress{Hint: biometric.HintPlace}, "finger-missing [left-little]") // the next attempt
	say(1, drivers.Progress{Hint: biometric.HintHoldStill, Fingers: 4}, "hold-still []")
	say(1, drivers.Progress{Hint: biometric.HintPlace}, "place []")
}
