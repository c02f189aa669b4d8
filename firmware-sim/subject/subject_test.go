package subject_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/ptp"
	scanner "loket/drivers/slap60"
	"loket/drivers/usb/usbtest"
	"loket/firmware-sim/platen"
	"loket/firmware-sim/ptpcam"
	"loket/firmware-sim/slap60"
	"loket/firmware-sim/subject"
	"loket/firmware-sim/synth"
	"loket/firmware-sim/trouble"
	"loket/kiosk/biometric"
)

// library is drawn once for all tests of this package.
var library synth.Library

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "synth")
	if err != nil {
		panic(err)
	}
	library.Dir = dir
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// rig is a person, two devices, and the drivers that ship.
type rig struct {
	*testing.T
	person  *subject.Subject
	scanner *slap60.Device
	camera  *ptpcam.Device
	bus     *usbtest.Bus
}

var indexPair = []biometric.FingerPosition{biometric.RightIndex, biometric.LeftIndex}

// withPerson runs f beside a person who holds up a small photo, which is quick, in fake time.
func withPerson(t *testing.T, opt subject.Options, f func(r *rig)) {
	if opt.Photo == nil {
		img := image.NewGray(image.Rect(0, 0, 64, 64))
		var file bytes.Buffer
		if err := jpeg.Encode(&file, img, nil); err != nil {
			t.Fatal(err)
		}
		opt.Photo = &synth.Photo{JPEG: file.Bytes(), View: img}
	}
	withFace(t, opt, f)
}

// withFace runs f beside a person with a face of their own.
func withFace(t *testing.T, opt subject.Options, f func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, scanner: slap60.New(slap60.Options{}), camera: ptpcam.New(ptpcam.Options{})}
		a, b := trouble.New(r.scanner), trouble.New(r.camera)
		r.bus = usbtest.Attach(a, b)
		opt.Scanner, opt.Camera, opt.Library = subject.ForHand(r.scanner), r.camera, &library
		opt.Plugs = map[subject.Device]subject.Plug{}
		for name, g := range map[subject.Device]*trouble.Gadget{subject.Scanner: a, subject.Camera: b} {
			opt.Plugs[name] = subject.Plug{Trouble: g,
				Unplug: func() error { r.bus.Unplug(g); return nil },
				Replug: func() error { r.bus.Plug(g); return nil }}
		}
		r.person = subject.New(opt)
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() {
			if err := r.person.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("the person ended with %v", err)
			}
		})
		f(r)
		cancel()
		wait.Wait()
	})
}

func (r *rig) open(d drivers.Driver) drivers.Device {
	r.Helper()
	list, err := r.bus.Devices(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	for _, info := range list {
		if !d.Match(info) {
			continue
		}
		dev, err := r.bus.Open(r.Context(), info.Identity())
		if err != nil {
			r.Fatal(err)
		}
		opened, err := d.Open(r.Context(), dev)
		if err != nil {
			r.Fatal(err)
		}
		return opened
	}
	r.Fatalf("no %s on the bus", d.Name)
	return nil
}

// capture captures once with a scanner that it opens for the purpose.
func (r *rig) capture(want []biometric.FingerPosition) (drivers.Image, error) {
	r.Helper()
	dev := r.open(scanner.Driver())
	defer dev.Close()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	return dev.(drivers.FingerprintScanner).Capture(ctx, want, nil)
}

// photograph takes a photograph after it has watched for a second.
func (r *rig) photograph() (drivers.Image, error) {
	r.Helper()
	dev := r.open(ptp.Driver())
	defer dev.Close()
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if err := dev.(drivers.Camera).Frames(ctx, func(drivers.Frame) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		return drivers.Image{}, err
	}
	return dev.(drivers.Camera).Still(r.Context())
}

func (r *rig) do(lines ...string) {
	r.Helper()
	for _, line := range lines {
		e, err := subject.ParseEvent(line)
		if err == nil {
			err = r.person.Do(r.Context(), e)
		}
		if err != nil {
			r.Errorf("%s: %v", line, err)
		}
	}
}

func dark(g *image.Gray) (n int) {
	for _, v := range g.Pix {
		if v < 128 {
			n++
		}
	}
	return n
}

func TestACooperativePersonGivesFingersAndAFace(t *testing.T) {
	withFace(t, subject.Options{Seed: 3}, func(r *rig) {
		shot, err := r.photograph()
		if err != nil {
			t.Fatal(err)
		}
		if c, err := jpeg.DecodeConfig(bytes.NewReader(shot.Encoded)); err != nil || c.Width != synth.PhotoWidth {
			t.Errorf("the photograph: %+v, %v", c, err)
		}
		first, err := r.capture(indexPair)
		if err != nil || len(first.Fingers) != 2 || dark(first.Gray) < 50000 || first.PAD.Result != biometric.PADPassed {
			t.Fatalf("%d fingers, %+v, %v", len(first.Fingers), first.PAD, err)
		}
		second, err := r.capture(indexPair)
		if err != nil || bytes.Equal(first.Gray.Pix, second.Gray.Pix) {
			t.Errorf("the second presentation is the first again, or %v", err)
		}
		time.Sleep(time.Second)
		st := r.person.State()
		if st.Person != 1 || st.Shown != 2 || len(st.Glass) != 0 || !st.Sitting {
			t.Errorf("in the end: %+v", st)
		}
	})
}

func TestThePersonsTimeIsCounted(t *testing.T) {
	withPerson(t, subject.Options{Reaction: 700 * time.Millisecond}, func(r *rig) {
		if _, err := r.capture(indexPair); err != nil {
			t.Fatal(err)
		}
		if h := r.person.Human(); h != 700*time.Millisecond {
			t.Errorf("the scanner waited %v for a person who takes 700ms", h)
		}
		if _, err := r.photograph(); err != nil {
			t.Fatal(err)
		}
		if h := r.person.Human(); h != 1400*time.Millisecond {
			t.Errorf("with the camera: %v", h)
		}
	})
}

func TestTooFewFingersAreMissedAndThenAllAreThere(t *testing.T) {
	withPerson(t, subject.Options{}, func(r *rig) {
		r.do("one-of-two")
		_, err := r.capture(indexPair)
		var retry *drivers.RetryError
		if !errors.As(err, &retry) || retry.Hint != biometric.HintFingerMissing {
			t.Fatalf("got %v", err)
		}
		if img, err := r.capture(indexPair); err != nil || len(img.Fingers) != 2 {
			t.Errorf("the second time: %d fingers, %v", len(img.Fingers), err)
		}
		r.do("three-of-four")
		four := []biometric.FingerPosition{2, 3, 4, 5}
		if _, err := r.capture(four); !errors.As(err, &retry) {
			t.Errorf("three of four: %v", err)
		}
		if img, err := r.capture(four); err != nil || len(img.Fingers) != 4 {
			t.Errorf("four of four: %d fingers, %v", len(img.Fingers), err)
		}
	})
}

func TestTheWaysOfAPresentation(t *testing.T) {
	withPerson(t, subject.Options{Seed: 9}, func(r *rig) {
		for line, want := range map[string][]string{
			"present right-index left-index":               {"left-index", "right-index"},
			"present right-index left-index wrong-finger":  {"left-index", "right-middle"},
			"present right-index left-index same-finger":   {"right-index", "right-index"},
			"present right-index right-middle wrong-hand":  {"left-middle", "left-index"},
			"present right-index right-middle upside-down": {"right-middle", "right-index"},
			"present right-index right-middle one-less":    {"right-index"},
			"present right-index one-more":                 {"right-index", "right-middle"},
		} {
			r.do(line)
			if got := r.person.State().Glass; !slices.Equal(got, want) {
				t.Errorf("%s: %v lie there, not %v", line, got, want)
			}
			r.do("lift")
		}
	})
}

func TestAnAttackIsCalledOne(t *testing.T) {
	withPerson(t, subject.Options{}, func(r *rig) {
		r.do("pad-alarm", "pad-none")
		for _, want := range []biometric.PADResult{biometric.PADAlarm, biometric.PADNotAvailable, biometric.PADPassed} {
			if img, err := r.capture(indexPair); err != nil || img.PAD.Result != want {
				t.Errorf("got %+v, %v, want %s", img.PAD, err, want)
			}
		}
	})
}

func TestDryFingersLeaveLessInk(t *testing.T) {
	withPerson(t, subject.Options{}, func(r *rig) {
		r.do("dry")
		dry, err := r.capture(indexPair)
		if err != nil {
			t.Fatal(err)
		}
		good, err := r.capture(indexPair)
		if err != nil || dark(dry.Gray)*10 > dark(good.Gray)*8 {
			t.Errorf("dry %d dark pixels, good %d, %v", dark(dry.Gray), dark(good.Gray), err)
		}
	})
}

func TestFilesComeThroughTheDevicesUntouched(t *testing.T) {
	one, two := image.NewGray(image.Rect(0, 0, 416, 560)), image.NewGray(image.Rect(0, 0, 300, 400))
	for i := range one.Pix {
		one.Pix[i] = uint8(i * 31 >> 3)
	}
	for i := range two.Pix {
		two.Pix[i] = uint8(i * 17 >> 2)
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, one, &jpeg.Options{Quality: 61}); err != nil {
		t.Fatal(err)
	}
	photo := synth.Photo{JPEG: file.Bytes(), View: one}
	opt := subject.Options{Photo: &photo, Fingers: map[synth.Position]synth.FingerFile{
		synth.RightIndex: {Name: "a.pgm", Image: one}, synth.LeftIndex: {Name: "b.pgm", Image: two}}}
	withPerson(t, opt, func(r *rig) {
		img, err := r.capture(indexPair)
		if err != nil || len(img.Fingers) != 2 {
			t.Fatalf("%d fingers, %v", len(img.Fingers), err)
		}
		for i, want := range []*image.Gray{two, one} {
			got := img.Gray.SubImage(img.Fingers[i].Box).(*image.Gray)
			if got.Rect.Size() != want.Rect.Size() {
				t.Fatalf("finger %d is %v", i, got.Rect)
			}
			for y := range want.Rect.Dy() {
				if !bytes.Equal(got.Pix[y*got.Stride:][:want.Rect.Dx()], want.Pix[y*want.Stride:][:want.Rect.Dx()]) {
					t.Fatalf("finger %d, row %d differs", i, y)
				}
			}
		}
		if e, _ := subject.ParseEvent("present left-little"); r.person.Do(r.Context(), e) == nil {
			t.Error("a finger without a file was presented")
		}
		if e, _ := subject.ParseEvent("present right-index dry"); r.person.Do(r.Context(), e) == nil {
			t.Error("a file became dry")
		}
		r.do("wrong-finger") // a middle finger, which no file stands for; then nothing until asked again
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		dev := r.open(scanner.Driver()).(drivers.FingerprintScanner)
		if _, err := dev.Capture(ctx, indexPair[:1], nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the finger without a file: %v", err)
		}
		if st := r.person.State(); st.Playing.Error == "" || len(st.Glass) != 0 {
			t.Errorf("it is not told: %+v", st)
		}
		dev.Close()
		if e, _ := subject.ParseEvent("turn"); r.person.Do(r.Context(), e) == nil {
			t.Error("a photo turned")
		}
		if shot, err := r.photograph(); err != nil || !bytes.Equal(shot.Encoded, photo.JPEG) {
			t.Errorf("the photograph has %d bytes, %v", len(shot.Encoded), err)
		}
	})
}

// scenario plays a built-in scenario.
func (r *rig) scenario(name string) {
	r.Helper()
	text, err := os.ReadFile("../scenarios/" + name + ".txt")
	if err != nil {
		r.Fatal(err)
	}
	sc, err := subject.Parse(name, string(text))
	if err != nil {
		r.Fatal(err)
	}
	r.person.Start(sc)
}

func TestEachFaultOfAScenarioHasItsOwnErrorAndPasses(t *testing.T) {
	for name, want := range map[string]error{"unplug": drivers.ErrUnplugged, "hang": drivers.ErrHung, "stall": drivers.ErrCrashed,
		"garbage": drivers.ErrCrashed} {
		t.Run(name, func(t *testing.T) {
			withPerson(t, subject.Options{}, func(r *rig) {
				r.scenario(name)
				if _, err := r.capture(indexPair); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
				time.Sleep(10 * time.Second)
				if st := r.person.State(); st.Playing.Running || st.Playing.Error != "" || !st.Scanner.Plugged || st.Scanner.Trouble != "" {
					t.Errorf("after the scenario: %+v", st)
				}
				if img, err := r.capture(indexPair); err != nil || len(img.Fingers) != 2 {
					t.Errorf("after the scenario: %d fingers, %v", len(img.Fingers), err)
				}
			})
		})
	}
}

func TestTheCameraComesBackWithThePersonBeforeIt(t *testing.T) {
	withPerson(t, subject.Options{}, func(r *rig) {
		r.scenario("unplug-camera")
		if _, err := r.photograph(); !errors.Is(err, drivers.ErrUnplugged) {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		if _, err := r.photograph(); err != nil {
			t.Error(err)
		}
	})
}

func TestFingersThatSlipAreCapturedWhenTheyLieStill(t *testing.T) {
	withPerson(t, subject.Options{}, func(r *rig) {
		r.scenario("moved-finger")
		if img, err := r.capture(indexPair); err != nil || len(img.Fingers) != 2 {
			t.Errorf("%d fingers, %v", len(img.Fingers), err)
		}
		if st := r.person.State(); st.Shown != 3 {
			t.Errorf("%d presentations", st.Shown)
		}
	})
}

func TestThePersonWalksAwayAndComesBack(t *testing.T) {
	withPerson(t, subject.Options{}, func(r *rig) {
		r.scenario("walks-away")
		if _, err := r.photograph(); err != nil {
			t.Fatal(err)
		}
		if st := r.person.State(); !st.Away || st.Sitting {
			t.Errorf("still there: %+v", st)
		}
		time.Sleep(4 * time.Second)
		if _, err := r.photograph(); err != nil {
			t.Fatal(err)
		}
		if st := r.person.State(); st.Away || !st.Sitting {
			t.Errorf("not back: %+v", st)
		}
	})
}

func TestPosesChangeWhatTheCameraSees(t *testing.T) {
	withFace(t, subject.Options{}, func(r *rig) {
		straight, err := r.photograph()
		if err != nil {
			t.Fatal(err)
		}
		r.do("turn 20", "eyes-shut")
		turned, err := r.photograph()
		if err != nil || bytes.Equal(straight.Encoded, turned.Encoded) {
			t.Errorf("nothing changed, or %v", err)
		}
		r.do("look")
		if again, err := r.photograph(); err != nil || !bytes.Equal(straight.Encoded, again.Encoded) {
			t.Errorf("look did not undo it, or %v", err)
		}
	})
}

func TestALampThatIsOutIsSeenWithAndWithoutThePerson(t *testing.T) {
	withFace(t, subject.Options{Alone: true}, func(r *rig) {
		sides := func() (left, right int) {
			img, err := r.photograph()
			if err != nil {
				t.Fatal(err)
			}
			seen, err := jpeg.Decode(bytes.NewReader(img.Encoded))
			if err != nil {
				t.Fatal(err)
			}
			luma := seen.(*image.YCbCr)
			w, h := luma.Rect.Dx(), luma.Rect.Dy()
			return int(luma.Y[luma.YOffset(w/10, h/10)]), int(luma.Y[luma.YOffset(w-w/10, h/10)])
		}
		r.do("lamp-out left")
		if left, right := sides(); right-left < 60 {
			t.Errorf("the left lamp is out, and the levels are %d and %d", left, right)
		}
		r.do("look")
		if left, right := sides(); right-left < 60 {
			t.Errorf("beside the person the levels are %d and %d", left, right)
		}
		r.do("lamp-out")
		if left, right := sides(); left > 100 || right > 100 {
			t.Errorf("no lamp is on, and the levels are %d and %d", left, right)
		}
		r.do("lamp-on")
		if left, right := sides(); max(left, right)-min(left, right) > 20 || left < 100 {
			t.Errorf("both lamps are on, and the levels are %d and %d", left, right)
		}
	})
}

func TestTheNextPersonIsAnotherOne(t *testing.T) {
	withFace(t, subject.Options{}, func(r *rig) {
		face, err := r.photograph()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.capture(indexPair); err != nil {
			t.Fatal(err)
		}
		if again, err := r.photograph(); err != nil || !bytes.Equal(face.Encoded, again.Encoded) {
			t.Errorf("another face at once, or %v", err)
		}
		if r.person.State().Person != 1 {
			t.Error("the next person came too early")
		}
		time.Sleep(11 * time.Second)
		if other, err := r.photograph(); err != nil || bytes.Equal(face.Encoded, other.Encoded) || r.person.State().Person != 2 {
			t.Errorf("the same face after a while, or %v", err)
		}
		r.do("next-person")
		if r.person.State().Person != 3 {
			t.Error("nobody came when called")
		}
	})
}

func TestASteppedPersonWaitsForItsTime(t *testing.T) {
	stepped := new(subject.Stepped)
	withPerson(t, subject.Options{Time: stepped, Reaction: 200 * time.Millisecond}, func(r *rig) {
		done := make(chan error, 1)
		go func() {
			_, err := r.capture(indexPair)
			done <- err
		}()
		time.Sleep(10 * time.Second)
		if st := r.person.State(); !st.Scanner.Armed || st.Shown != 0 {
			t.Errorf("before any step: %+v", st)
		}
		stepped.Step(150 * time.Millisecond)
		synctest.Wait()
		if r.person.State().Shown != 0 {
			t.Error("the person was too quick")
		}
		stepped.Step(50 * time.Millisecond)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestNobodyActsWhereNobodyIs(t *testing.T) {
	withPerson(t, subject.Options{Alone: true}, func(r *rig) {
		dev := r.open(scanner.Driver()).(drivers.FingerprintScanner)
		defer dev.Close()
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
		defer cancel()
		if _, err := dev.Capture(ctx, indexPair, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("somebody acted: %v", err)
		}
		sc, err := subject.Parse("alone", "wait armed\npresent right-index left-index\nwait lift\nlift\n")
		if err != nil {
			t.Fatal(err)
		}
		r.person.Start(sc)
		if _, err := dev.Capture(r.Context(), indexPair, nil); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if st := r.person.State(); len(st.Glass) != 0 || st.Playing.Running {
			t.Errorf("in the end: %+v", st)
		}
	})
}

func TestSomebodyElseMovesTheHandUntilItFollowsTheLampsAgain(t *testing.T) {
	withPerson(t, subject.Options{}, func(r *rig) {
		dev := r.open(scanner.Driver()).(drivers.FingerprintScanner)
		defer dev.Close()
		do := func(line string) {
			e, err := subject.ParseEvent(line)
			if err == nil {
				err = r.person.Do(r.Context(), e)
			}
			if err != nil {
				t.Error(err)
			}
		}
		do("by-hand")
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		if _, err := dev.Capture(ctx, indexPair, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("somebody acted: %v", err)
		}
		cancel()
		do("by-itself")
		if _, err := dev.Capture(r.Context(), indexPair, nil); err != nil {
			t.Error(err)
		}
		do("person 4")
		if st := r.person.State(); st.Person != 4 || st.ByHand {
			t.Errorf("then: %+v", st)
		}
	})
}

func TestAScenarioRepeatsAndCanBeReplaced(t *testing.T) {
	withPerson(t, subject.Options{Alone: true}, func(r *rig) {
		play := func(text string) {
			sc, err := subject.Parse("script", text)
			if err != nil {
				t.Fatal(err)
			}
			r.person.Start(sc)
		}
		play("dry\nwait 1s\nrepeat 2\n")
		time.Sleep(time.Minute)
		if st := r.person.State(); st.Next != 3 || st.Playing.Running {
			t.Errorf("after two repeats: %+v", st)
		}
		play("wait 1h\ndry\n")
		time.Sleep(time.Second)
		play("present right-index one-less\nwet\n")
		time.Sleep(time.Second)
		if st := r.person.State(); st.Next != 4 || st.Playing.Error == "" || st.Playing.Running {
			t.Errorf("after a replacement: %+v", st)
		}
		play("wait 1s\ndry\nrepeat\n")
		time.Sleep(10*time.Second + 500*time.Millisecond)
		r.person.Stop()
		time.Sleep(time.Minute)
		if st := r.person.State(); st.Next != 14 || st.Playing.Running {
			t.Errorf("after a stop: %+v", st)
		}
	})
}

func TestACableThatIsPutBackWhileItIsPulledIsIn(t *testing.T) {
	var person *subject.Subject
	var wait sync.WaitGroup
	plugged := true
	do := func(v subject.Verb) {
		if err := person.Do(t.Context(), subject.Event{Verb: v, Device: subject.Scanner}); err != nil {
			t.Error(err)
		}
	}
	plug := subject.Plug{
		Unplug: func() error {
			plugged = false
			begun := make(chan struct{})
			wait.Go(func() { close(begun); do(subject.VerbReplug) })
			<-begun
			runtime.Gosched() // the other may come as far as it can
			return nil
		},
		Replug: func() error { plugged = true; return nil },
	}
	person = subject.New(subject.Options{Scanner: subject.ForHand(slap60.New(slap60.Options{})), Camera: ptpcam.New(ptpcam.Options{}),
		Plugs: map[subject.Device]subject.Plug{subject.Scanner: plug}})
	do(subject.VerbUnplug)
	wait.Wait()
	if !plugged || !person.State().Scanner.Plugged {
		t.Error("the cable that was put back is out")
	}
}

func TestAReaderForOneFingerSeesTheFingerThatIsOffered(t *testing.T) {
	who := platen.New(384, 290, 512, func() {})
	person := subject.New(subject.Options{Scanner: subject.ForFinger(who), Camera: ptpcam.New(ptpcam.Options{}), Library: &library, Seed: 3, Alone: true})
	seen := func(line string) []byte {
		t.Helper()
		e, err := subject.ParseEvent(line)
		if err != nil {
			t.Fatal(err)
		}
		if err := person.Do(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		who.Lock()
		defer who.Unlock()
		if who.FingerHeld() == nil {
			return nil
		}
		return who.FingerHeld().Pix
	}
	good := seen("present right-index")
	if bytes.Equal(good, seen("present left-index")) || bytes.Equal(good, seen("present right-index upside-down")) {
		t.Error("another finger, or another way, shows the same")
	}
	if wet, dry := darkness(seen("present right-index wet")), darkness(seen("present right-index dry")); wet < darkness(good) || dry > darkness(good) {
		t.Errorf("wet %d, good %d, dry %d", wet, darkness(good), dry)
	}
	if seen("lift") != nil {
		t.Error("lift leaves something there")
	}
}

func darkness(pix []byte) (sum int) {
	for _, v := range pix {
		sum += 255 - int(v)
	}
	return sum
}
