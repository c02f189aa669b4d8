package slap60

import (
	"context"
	"errors"
	"image"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/driverstest"
	"loket/drivers/usb/usbtest"
	sim "loket/firmware-sim/slap60"
	"loket/kiosk/biometric"
)

var indexFingers = []biometric.FingerPosition{biometric.LeftIndex, biometric.RightIndex}

// glass is a picture of the glass in which no two lines are alike.
func glass(width, height int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, width, height))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range m.Pix {
		m.Pix[i] = uint8(r.Uint32())
	}
	return m
}

// twoFingers lie on a glass of any size.
func twoFingers(width, height int) sim.Presentation {
	left := image.Rect(width/8, height/4, width*3/8, height*3/4)
	return sim.Presentation{Image: glass(width, height), Fingers: []sim.Contact{{Box: left.Add(image.Pt(width/2, 0)), PAD: 88}, {Box: left, PAD: 91}}}
}

func reference(p sim.Presentation) drivers.Image {
	pad := func(score int) biometric.PAD {
		return biometric.PAD{Result: biometric.PADPassed, Score: score, Algorithm: "slap60-sim-pad 1"}
	}
	return drivers.Image{Gray: p.Image, PPI: 500, PAD: pad(88), Fingers: []drivers.FingerBox{
		{Box: p.Fingers[1].Box, PAD: pad(91)}, {Box: p.Fingers[0].Box, PAD: pad(88)},
	}}
}

func TestDriverPassesTheSuite(t *testing.T) {
	const width, height = 640, 840 // more than one part to fetch
	hand := twoFingers(width, height)
	driverstest.Run(t, driverstest.Config{
		Driver: Driver(),
		New: func() driverstest.Subject {
			d := sim.New(sim.Options{Width: width, Height: height, Settle: 5 * time.Millisecond})
			return driverstest.Subject{Gadget: d, Present: func() { d.Lift(); d.Present(hand) }, Leave: d.Lift}
		},
		Capture: func(ctx context.Context, dev drivers.Device) (drivers.Image, error) {
			return dev.(drivers.FingerprintScanner).Capture(ctx, indexFingers, func(drivers.Progress) {})
		},
		Reference: reference(hand),
	})
}

// attach opens a scanner of the usual size in process.
func attach(t *testing.T) (*sim.Device, drivers.FingerprintScanner) {
	t.Helper()
	d := sim.New(sim.Options{})
	bus := usbtest.Attach(d)
	infos, err := bus.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := bus.Open(t.Context(), infos[0].Identity())
	if err != nil {
		t.Fatal(err)
	}
	dev, err := Driver().Open(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dev.Close() })
	return d, dev.(drivers.FingerprintScanner)
}

func TestWholeGlassIsCapturedBitForBit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dev := attach(t)
		defer dev.Close()
		hand := twoFingers(1600, 1500)
		d.Present(hand)
		img, err := dev.Capture(t.Context(), indexFingers, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := reference(hand)
		if !slices.Equal(img.Gray.Pix, want.Gray.Pix) || !slices.Equal(img.Fingers, want.Fingers) || img.PAD != want.PAD || img.PPI != 500 {
			t.Errorf("another image than the one that was presented: %v %v", img.Fingers, img.PAD)
		}
	})
}

// follow records hints and plays the person: it does what say returns for a hint, once for each change of hint.
func follow(hints *[]biometric.Hint, say map[biometric.Hint]func()) func(drivers.Progress) {
	return func(p drivers.Progress) {
		if n := len(*hints); n > 0 && (*hints)[n-1] == p.Hint {
			return
		}
		*hints = append(*hints, p.Hint)
		if act := say[p.Hint]; act != nil {
			act()
		}
	}
}

func TestSubjectIsGuided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dev := attach(t)
		defer dev.Close()
		both := twoFingers(1600, 1500)
		one, three := both, both
		one.Fingers = both.Fingers[:1]
		three.Fingers = append(slices.Clone(both.Fingers), sim.Contact{Box: image.Rect(0, 0, 90, 90)})
		var hints []biometric.Hint
		img, err := dev.Capture(t.Context(), indexFingers, follow(&hints, map[biometric.Hint]func(){
			biometric.HintPlace:         func() { d.Present(one) },
			biometric.HintFingerMissing: func() { d.Present(three) },
			biometric.HintTooMany:       func() { d.Present(both) },
		}))
		if err != nil {
			t.Fatal(err)
		}
		img.Wipe()
		want := []biometric.Hint{biometric.HintPlace, biometric.HintFingerMissing, biometric.HintTooMany, biometric.HintHoldStill, biometric.HintPresentationOK}
		if !slices.Equal(hints, want) {
			t.Errorf("hints %q, want %q", hints, want)
		}
	})
}

func TestLampsAskForTheWantedFingersAndThenForLifting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dev := attach(t)
		defer dev.Close()
		var waiting, after sim.Guidance
		_, err := dev.Capture(t.Context(), indexFingers, func(p drivers.Progress) {
			if p.Hint == biometric.HintPlace {
				waiting = d.Guidance()
				d.Present(twoFingers(1600, 1500))
			}
		})
		if after = d.Guidance(); err != nil {
			t.Fatal(err)
		}
		want := sim.Guidance{Armed: true, Wanted: 1<<1 | 1<<6, Tone: sim.ToneAttention}
		want.Lamps[1], want.Lamps[6] = sim.LampPlace, sim.LampPlace
		if waiting != want {
			t.Errorf("guidance while waiting is %+v, want %+v", waiting, want)
		}
		want = sim.Guidance{Lift: true, Tone: sim.ToneGood}
		want.Lamps[1], want.Lamps[6] = sim.LampGood, sim.LampGood
		if after != want {
			t.Errorf("guidance after the capture is %+v, want %+v", after, want)
		}
		d.Lift()
		if g := d.Guidance(); g != (sim.Guidance{Tone: sim.ToneGood}) {
			t.Errorf("guidance of an empty glass is %+v", g)
		}
	})
}

func TestWrongNumberOfFingersIsForTheSubjectToMend(t *testing.T) {
	both := twoFingers(1600, 1500)
	for hint, fingers := range map[biometric.Hint][]sim.Contact{
		biometric.HintFingerMissing: both.Fingers[:1],
		biometric.HintTooMany:       append(slices.Clone(both.Fingers), sim.Contact{Box: image.Rect(0, 0, 90, 90)}),
	} {
		synctest.Test(t, func(t *testing.T) {
			d, dev := attach(t)
			defer dev.Close()
			d.Present(sim.Presentation{Image: both.Image, Fingers: fingers})
			start := time.Now()
			_, err := dev.Capture(t.Context(), indexFingers, nil)
			var retry *drivers.RetryError
			if !errors.As(err, &retry) || retry.Hint != hint || drivers.Verdict(err) != "" {
				t.Errorf("%d fingers: %v", len(fingers), err)
			}
			if took := time.Since(start); took < patience {
				t.Errorf("the subject had only %v", took)
			}
			d.Present(both)
			if _, err := dev.Capture(t.Context(), indexFingers, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSameFingersAreNotCapturedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dev := attach(t)
		defer dev.Close()
		d.Present(twoFingers(1600, 1500))
		if _, err := dev.Capture(t.Context(), indexFingers, nil); err != nil {
			t.Fatal(err)
		}
		var hints []biometric.Hint
		_, err := dev.Capture(t.Context(), indexFingers, follow(&hints, map[biometric.Hint]func(){
			biometric.HintLiftNow: d.Lift,
			biometric.HintPlace:   func() { d.Present(twoFingers(1600, 1500)) },
		}))
		if err != nil || !slices.Equal(hints[:2], []biometric.Hint{biometric.HintLiftNow, biometric.HintPlace}) {
			t.Errorf("hints %q, %v", hints, err)
		}
	})
}

func TestPreviewComesTenTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dev := attach(t)
		defer dev.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		frames := 0
		_, err := dev.Capture(ctx, indexFingers, func(p drivers.Progress) {
			if p.Preview != nil && p.Preview.Rect == image.Rect(0, 0, 160, 150) {
				frames++
			}
		})
		if !errors.Is(err, context.DeadlineExceeded) || drivers.Verdict(err) != "" {
			t.Errorf("a capture that ran out of time: %v", err)
		}
		if frames < 10 {
			t.Errorf("%d frames in a second", frames)
		}
	})
}

func TestPresentationAttackIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dev := attach(t)
		defer dev.Close()
		hand := twoFingers(1600, 1500)
		for _, c := range []struct {
			scores  [2]int // right, left
			overall biometric.PADResult
			score   int
		}{{[2]int{0, 90}, biometric.PADNotAvailable, 0}, {[2]int{12, 90}, biometric.PADAlarm, 12}, {[2]int{0, 7}, biometric.PADAlarm, 7}} {
			hand.Fingers[0].PAD, hand.Fingers[1].PAD = c.scores[0], c.scores[1]
			d.Present(hand)
			img, err := dev.Capture(t.Context(), indexFingers, nil)
			if err != nil {
				t.Fatal(err)
			}
			if img.PAD.Result != c.overall || img.PAD.Score != c.score {
				t.Errorf("scores %v give %+v", c.scores, img.PAD)
			}
		}
	})
}

func TestFailedSelfTestNamesTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, dev := attach(t)
		defer dev.Close()
		d.Fail(2)
		result, err := dev.(drivers.SelfTester).SelfTest(t.Context())
		if err != nil || result.Passed || result.Checks[1] != (drivers.Test{Name: "sensor", Detail: "7 dead pixels"}) {
			t.Errorf("%+v, %v", result, err)
		}
		d.Present(twoFingers(1600, 1500))
		if _, err := dev.Capture(t.Context(), indexFingers, nil); drivers.Verdict(err) != "crashed" {
			t.Errorf("capturing with a broken sensor: %v", err)
		}
		d.Fail()
		if _, err := dev.Capture(t.Context(), indexFingers, nil); err != nil {
			t.Errorf("capturing with a mended sensor: %v", err)
		}
	})
}

func TestImpossibleWishesAreRefused(t *testing.T) {
	_, dev := attach(t)
	for _, want := range [][]biometric.FingerPosition{nil, {biometric.BothIndex}, {2, 2}, {1, 2, 3, 4, 5}, {0}, {-1}} {
		if _, err := dev.Capture(t.Context(), want, nil); err == nil || drivers.Verdict(err) != "" {
			t.Errorf("wanting %v: %v", want, err)
		}
	}
}
