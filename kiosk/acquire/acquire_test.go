package acquire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"loket/drivers"
	"loket/drivers/usb"
	"loket/kiosk/biometric"
	"loket/kiosk/biometric/face"
	"loket/kiosk/biometric/finger"
	"loket/kiosk/plan"
)

// shown is one answer of a fake device: fingers with a score each, left to right, or an error.
type shown struct {
	scores []int // the score is written into the finger's first pixel
	who    []int // numbers that tell fingers apart, written into the second
	pad    biometric.PADResult
	seen   int // fingers that progress reports
	err    error
	after  time.Duration
	hold   bool // waits until ctx ends
}

// scanner shows one thing after the other, the last over and over, and remembers every image that it gave away.
type scanner struct {
	shows   []shown
	calls   int
	at      int // fingers it takes at once; 0: as many as wanted
	given   []*image.Gray
	wanted  [][]biometric.FingerPosition
	closed  bool
	onFirst func()
}

func (s *scanner) Info() drivers.Info {
	info := drivers.Info{Kind: drivers.KindFingerprint, Driver: "fake", USB: usb.Info{Vendor: 0x1209, Product: 1, Serial: "SIM-1"}}
	info.Sensor = &drivers.Sensor{Width: 1600, Height: 1500, PPI: 500, Fingers: s.at}
	return info
}

func (s *scanner) Close() error { s.closed = true; return nil }

const side = 64

func (s *scanner) Capture(ctx context.Context, want []biometric.FingerPosition, watch func(drivers.Progress)) (drivers.Image, error) {
	show := s.shows[min(s.calls, len(s.shows)-1)]
	s.calls++
	s.wanted = append(s.wanted, slices.Clone(want))
	if s.onFirst != nil && s.calls == 1 {
		s.onFirst()
	}
	if watch != nil {
		watch(drivers.Progress{Fingers: show.seen, Hint: biometric.HintHoldStill})
	}
	if show.hold {
		<-ctx.Done()
		return drivers.Image{}, ctx.Err()
	}
	select {
	case <-ctx.Done():
		return drivers.Image{}, ctx.Err()
	case <-time.After(show.after):
	}
	if show.err != nil {
		return drivers.Image{}, show.err
	}
	img := drivers.Image{Gray: image.NewGray(image.Rect(0, 0, 4*side, side)), PPI: 500, PAD: biometric.PAD{Result: show.pad, Score: 90}}
	for i := range img.Gray.Pix {
		img.Gray.Pix[i] = 200
	}
	for i, score := range show.scores {
		box := image.Rect(i*side, 0, (i+1)*side, side)
		img.Gray.Pix[i*side] = uint8(score)
		if i < len(show.who) {
			img.Gray.Pix[i*side+1] = uint8(show.who[i])
		}
		img.Fingers = append(img.Fingers, drivers.FingerBox{Box: box, PAD: biometric.PAD{Result: show.pad, Score: 80}})
	}
	s.given = append(s.given, img.Gray)
	return img, nil
}

// reader reads the score from the first pixel, and remembers every image that it was shown.
type reader struct{ seen []*image.Gray }

func (r *reader) Analyse(img *image.Gray, _ int) (finger.Report, error) {
	r.seen = append(r.seen, img)
	score := int(img.Pix[0])
	switch score {
	case 201:
		return finger.Report{Empty: true, Hint: biometric.HintPlace}, nil
	case 202:
		return finger.Report{}, errors.New("not judged")
	}
	return finger.Report{Quality: biometric.Quality{Score: score, Algorithm: "fake", Version: "1"}, Hint: biometric.HintTooDry}, nil
}

func index(a, b int) shown { return shown{scores: []int{a, b}, seen: 2, pad: biometric.PADPassed} }

func retrying(h biometric.Hint, seen int) shown {
	return shown{err: &drivers.RetryError{Hint: h}, seen: seen}
}

func step(t testing.TB, policy, id string) plan.Step {
	t.Helper()
	p, err := plan.LoadPolicy(policy)
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	made, err := plan.Make(p, plan.Subject{BirthDate: day.AddDate(-30, 0, 0)}, day)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(made.Steps, func(s plan.Step) bool { return s.ID == id })
	return made.Steps[i]
}

// supervised is the step of a station with an attendant, without fallback fingers.
func supervised(t testing.TB) plan.Step {
	s := step(t, "nl-residence-permit", "fingers")
	s.Fallback = nil
	return s
}

func selfService(t testing.TB) plan.Step {
	return step(t, "nl-residence-permit-self-service", "fingers")
}

// nothingLeft reports pixels that somebody could still read.
func nothingLeft(t testing.TB, s *scanner, r *reader) {
	t.Helper()
	for _, images := range [][]*image.Gray{s.given, r.seen} {
		for i, img := range images {
			if slices.ContainsFunc(img.Pix, func(p uint8) bool { return p != 0 }) {
				t.Errorf("image %d of %d was not overwritten", i+1, len(images))
			}
		}
	}
}

// run captures in a bubble whose clock stands still unless somebody waits.
func run(t *testing.T, st plan.Step, s *scanner) (r Result, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		analyser := &reader{}
		r, err = (&Acquirer{Finger: analyser}).Capture(t.Context(), st, s, nil)
		nothingLeft(t, s, analyser)
		tidy(t, r)
	})
	return r, err
}

// tidy checks what holds for every result.
func tidy(t *testing.T, r Result) {
	t.Helper()
	if len(r.Samples) != len(r.Outcome.Findings) {
		t.Errorf("%d samples, %d findings", len(r.Samples), len(r.Outcome.Findings))
	}
	for i, s := range r.Samples {
		if s.Modality == biometric.Finger && (r.Outcome.Captured[i] != s.Position || r.Outcome.Findings[i].Position != s.Position) {
			t.Errorf("sample %d is %v, the outcome says %v", i, s.Position, r.Outcome.Captured[i])
		}
	}
	for i, a := range r.Outcome.Attempts {
		if a.Number != i+1 || a.Step != r.Outcome.Step || a.Device != "fake 1209:0001/SIM-1" || a.Ended.Before(a.Started) || a.Result == "" || a.PAD.Result == "" {
			t.Errorf("attempt %d: %+v", i, a)
		}
	}
}

// scores of what is held, right index first; -1 for none.
func scores(r Result) [2]int {
	held := [2]int{-1, -1}
	for _, s := range r.Samples {
		held[map[biometric.FingerPosition]int{biometric.RightIndex: 0, biometric.LeftIndex: 1}[s.Position]] = s.Quality.Score
	}
	return held
}

// In the tables below a scanner shows the left index first: it lies to the left.
func TestSupervisedFingersFollowTheRules(t *testing.T) {
	alarm := index(60, 60)
	alarm.pad = biometric.PADAlarm
	for _, c := range []struct {
		name     string
		shows    []shown
		status   biometric.Result
		held     [2]int // right, left
		attempts int
		forced   bool
	}{
		{"both good at once", []shown{index(50, 60)}, biometric.Accepted, [2]int{60, 50}, 1, false},
		{"good at the third", []shown{index(10, 10), index(10, 20), index(30, 31)}, biometric.Accepted, [2]int{31, 30}, 3, false},
		{"never good: best of each is kept", []shown{index(10, 29), index(28, 5), index(3, 3)}, biometric.Accepted, [2]int{29, 28}, 3, true},
		{"good one by one: best of each", []shown{index(90, 5), index(5, 80), index(6, 6)}, biometric.Accepted, [2]int{80, 90}, 3, false},
		{"one capture with both good wins over better parts", []shown{index(90, 5), index(31, 32)}, biometric.Accepted, [2]int{32, 31}, 2, false},
		{"a wrong number of fingers counts where fingers lay there", []shown{retrying(biometric.HintFingerMissing, 1)}, biometric.Rejected, [2]int{-1, -1}, 3, false},
		{"a hint that only a touch can give counts", []shown{retrying(biometric.HintTooMany, 0)}, biometric.Rejected, [2]int{-1, -1}, 3, false},
		{"nothing presented does not count", []shown{retrying(biometric.HintPlace, 0), retrying(biometric.HintFingerMissing, 0), index(50, 50)}, biometric.Accepted, [2]int{50, 50}, 1, false},
		{"three fingers instead of two", []shown{{scores: []int{50, 50, 50}, seen: 3}, index(40, 41)}, biometric.Accepted, [2]int{41, 40}, 2, false},
		{"one finger instead of two, thrice", []shown{{scores: []int{50}, seen: 1}}, biometric.Rejected, [2]int{-1, -1}, 3, false},
		{"an empty box is no finger", []shown{index(201, 50), index(50, 201), index(201, 201)}, biometric.Rejected, [2]int{-1, -1}, 3, false},
		{"an alarm spoils its attempt only", []shown{alarm, index(50, 51)}, biometric.Accepted, [2]int{51, 50}, 2, false},
		{"alarms only", []shown{alarm}, biometric.Rejected, [2]int{-1, -1}, 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := run(t, supervised(t), &scanner{shows: c.shows})
			if err != nil || r.Status != c.status || scores(r) != c.held || len(r.Outcome.Attempts) != c.attempts || r.Outcome.Forced != c.forced {
				t.Errorf("%s %v, %d attempts, forced %v, %v", r.Status, scores(r), len(r.Outcome.Attempts), r.Outcome.Forced, err)
			}
		})
	}
}

func TestUnsupervisedFingersRunAgainstTheLimit(t *testing.T) {
	alarm := index(60, 60)
	alarm.pad = biometric.PADAlarm
	slow := func(a, b int) shown { s := index(a, b); s.after = 8 * time.Second; return s }
	reject := func(s *plan.Step) { s.Rules.AtLimit = plan.RejectBest }
	for _, c := range []struct {
		name     string
		change   func(*plan.Step)
		shows    []shown
		status   biometric.Result
		held     [2]int
		attempts int
		forced   bool
	}{
		{"good at once", nil, []shown{slow(50, 60)}, biometric.Accepted, [2]int{60, 50}, 1, false},
		{"more attempts than three", nil, []shown{index(1, 1), index(1, 1), index(1, 1), index(1, 1), index(40, 40)}, biometric.Accepted, [2]int{40, 40}, 5, false},
		{"the best at the limit", nil, []shown{slow(10, 20), slow(20, 10), slow(5, 5)}, biometric.Accepted, [2]int{20, 20}, 4, true},
		{"nothing at the limit", nil, []shown{{hold: true}}, biometric.Rejected, [2]int{-1, -1}, 0, false},
		{"only touches until the limit", nil, []shown{{hold: true, seen: 1}}, biometric.Rejected, [2]int{-1, -1}, 1, false},
		{"the policy rejects the best: what is good is handed over", reject, []shown{slow(10, 50)}, biometric.Rejected, [2]int{50, -1}, 4, false},
		{"an alarm ends it and leaves nothing", nil, []shown{index(10, 50), alarm, index(60, 60)}, biometric.Rejected, [2]int{-1, -1}, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := selfService(t)
			if c.change != nil {
				c.change(&st)
			}
			r, err := run(t, st, &scanner{shows: c.shows})
			if err != nil || r.Status != c.status || scores(r) != c.held || len(r.Outcome.Attempts) != c.attempts || r.Outcome.Forced != c.forced {
				t.Errorf("%s %v, %d attempts, forced %v, %v", r.Status, scores(r), len(r.Outcome.Attempts), r.Outcome.Forced, err)
			}
		})
	}
}

func TestAScannerForOneFingerTakesRightThenLeft(t *testing.T) {
	one := func(score int) shown { return shown{scores: []int{score}, seen: 1} }
	s := &scanner{at: 1, shows: []shown{one(10), one(40), one(50)}}
	r, err := run(t, supervised(t), s)
	if err != nil || r.Status != biometric.Accepted || scores(r) != [2]int{40, 50} || len(r.Outcome.Attempts) != 3 {
		t.Errorf("%s %v, %d attempts, %v", r.Status, scores(r), len(r.Outcome.Attempts), err)
	}
	if want := fmt.Sprint(s.wanted); want != "[[right-index] [right-index] [left-index]]" {
		t.Errorf("wanted were %s", want)
	}

	alarm := one(50)
	alarm.pad = biometric.PADAlarm
	r, err = run(t, selfService(t), &scanner{at: 1, shows: []shown{one(50), alarm}})
	if err != nil || r.Status != biometric.Rejected || len(r.Samples) != 0 {
		t.Errorf("after an alarm the first finger is still there: %s %v, %v", r.Status, scores(r), err)
	}
}

func TestSlapsAreComparedFingerByFinger(t *testing.T) {
	st := supervised(t)
	st.Best = plan.BestSlap
	st.Want = []biometric.FingerPosition{biometric.RightIndex, biometric.RightMiddle, biometric.RightRing, biometric.RightLittle}
	s := &scanner{shows: []shown{{scores: []int{20, 90, 90, 90}}, {scores: []int{25, 5, 5, 5}}, {scores: []int{25, 5, 6, 0}}}}
	r, err := run(t, st, s)
	if err != nil || len(r.Samples) != 4 || r.Samples[0].Quality.Score != 25 || r.Samples[2].Quality.Score != 6 || !r.Outcome.Forced {
		t.Errorf("%+v, %v", r.Outcome.Findings, err)
	}
	if rank(biometric.RightThumb) >= rank(biometric.LeftThumb) || rank(biometric.LeftIndex) >= rank(biometric.RightMiddle) || rank(biometric.LeftLittle) >= rank(biometric.RightThumb) {
		t.Error("the order of fingers is not index, middle, ring, little, thumb")
	}
}

func TestFingersAreNamedAsTheyLieOnTheGlass(t *testing.T) {
	st := supervised(t)
	for k := range st.Thresholds {
		st.Thresholds[k] = 0
	}
	for _, c := range []struct{ want, lying []biometric.FingerPosition }{
		{[]biometric.FingerPosition{2, 7}, []biometric.FingerPosition{7, 2}},
		{[]biometric.FingerPosition{1, 6}, []biometric.FingerPosition{6, 1}},
		{[]biometric.FingerPosition{2, 3, 4, 5}, []biometric.FingerPosition{2, 3, 4, 5}},
		{[]biometric.FingerPosition{7, 8, 9, 10}, []biometric.FingerPosition{10, 9, 8, 7}},
	} {
		st.Want = c.want
		show := shown{}
		for i := range c.lying {
			show.scores = append(show.scores, 10+i)
		}
		r, err := run(t, st, &scanner{shows: []shown{show}})
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range c.lying {
			j := slices.IndexFunc(r.Samples, func(s biometric.Sample) bool { return s.Position == f })
			if j < 0 || r.Samples[j].Quality.Score != 10+i {
				t.Errorf("of %v, %v is not the one at place %d", c.want, f, i)
			}
		}
		if !slices.Equal(r.Outcome.Captured, c.want) {
			t.Errorf("captured are %v, wanted %v", r.Outcome.Captured, c.want)
		}
	}
}

func TestAFaultKeepsAttemptsAndWhatIsGood(t *testing.T) {
	for _, fault := range []error{drivers.ErrUnplugged, drivers.ErrOff, drivers.ErrHung, drivers.ErrCrashed, drivers.ErrHeld} {
		broken := shown{err: fmt.Errorf("reading: %w", fault), seen: 2}
		r, err := run(t, supervised(t), &scanner{shows: []shown{index(10, 50), broken}})
		if !errors.Is(err, fault) || r.Status != biometric.Faulted || len(r.Outcome.Attempts) != 2 || scores(r) != [2]int{50, -1} {
			t.Errorf("%v: %s %v, %d attempts, %v", fault, r.Status, scores(r), len(r.Outcome.Attempts), err)
		}
		if last := r.Outcome.Attempts[1]; last.Result != biometric.Faulted {
			t.Errorf("the last attempt is %s", last.Result)
		}
	}
	hung := shown{err: fmt.Errorf("waiting: %w: %w", drivers.ErrHung, context.DeadlineExceeded)}
	if r, err := run(t, selfService(t), &scanner{shows: []shown{hung}}); r.Status != biometric.Faulted || !errors.Is(err, drivers.ErrHung) {
		t.Errorf("a device that hangs gives %s, %v", r.Status, err)
	}
	if r, err := run(t, supervised(t), &scanner{shows: []shown{index(202, 50)}}); r.Status != biometric.Faulted || !errors.Is(err, drivers.ErrCrashed) {
		t.Errorf("an image that can't be judged gives %s, %v", r.Status, err)
	}
}

func TestTheCallersEndComesPromptlyAndIsNoLimit(t *testing.T) {
	for _, st := range []plan.Step{supervised(t), selfService(t)} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s, analyser := &scanner{shows: []shown{index(10, 50), {hold: true}}}, &reader{}
			time.AfterFunc(5*time.Second, cancel)
			start := time.Now()
			r, err := (&Acquirer{Finger: analyser}).Capture(ctx, st, s, nil)
			if !errors.Is(err, context.Canceled) || r.Status != biometric.Ended || time.Since(start) != 5*time.Second {
				t.Errorf("%s after %v: %v", r.Status, time.Since(start), err)
			}
			if len(r.Outcome.Attempts) != 2 || r.Outcome.Attempts[1].Result != biometric.Ended || scores(r) != [2]int{50, -1} {
				t.Errorf("%+v", r.Outcome)
			}
			nothingLeft(t, s, analyser)
			r.Wipe()
		})
	}
}

func TestProgressNamesTheAttemptAndSpeaksAfterAFailedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		s := &scanner{shows: []shown{index(10, 50), retrying(biometric.HintTooMany, 3), index(50, 50)}}
		r, err := (&Acquirer{Finger: &reader{}}).Capture(t.Context(), supervised(t), s, func(p Progress) {
			said = append(said, fmt.Sprint(p.Attempt, " ", p.Hint))
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Wipe()
		if got := fmt.Sprint(said); got != "[1 hold-still 2 too-dry 2 hold-still 2 too-many-fingers 3 hold-still]" {
			t.Errorf("said was %s", got)
		}
	})
}

func TestAFingerIsSealedPixelForPixelWithItsScale(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 900, 700))
	for i := range gray.Pix {
		gray.Pix[i] = uint8(i*i>>7 ^ i)
	}
	box := image.Rect(100, 50, 516, 610)
	s := shot{position: biometric.RightIndex, image: crop(gray, box), ppi: 500}
	sample, err := (&capture{}).sample(s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := png.Decode(bytes.NewReader(sample.Data))
	if err != nil {
		t.Fatal(err)
	}
	m, ok := back.(*image.Gray)
	if !ok || m.Rect.Dx() != 416 || m.Rect.Dy() != 560 || sample.Width != 416 || sample.Height != 560 || sample.PPI != 500 {
		t.Fatalf("%T %v", back, back.Bounds())
	}
	for y := range 560 {
		if !bytes.Equal(m.Pix[y*m.Stride:y*m.Stride+416], gray.Pix[gray.PixOffset(100, 50+y):gray.PixOffset(516, 50+y)]) {
			t.Fatalf("row %d differs", y)
		}
	}
	at := bytes.Index(sample.Data, []byte("pHYs"))
	if at != 37 || binary.BigEndian.Uint32(sample.Data[at+4:]) != 19685 || sample.Data[at+12] != 1 {
		t.Errorf("pHYs at %d: %v", at, sample.Data[at:at+13])
	}
}

func TestTheEncoderNeverMovesPixelsToANewBuffer(t *testing.T) {
	noise := image.NewGray(image.Rect(0, 0, 800, 1000))
	seed := uint32(7)
	for i := range noise.Pix {
		seed = seed*1664525 + 1013904223
		noise.Pix[i] = uint8(seed >> 24)
	}
	for _, img := range []*image.Gray{noise, image.NewGray(image.Rect(0, 0, 1, 1)), image.NewGray(image.Rect(0, 0, 1, 3000))} {
		data, err := encodePNG(img, 500)
		if n := len(img.Pix); err != nil || cap(data) != n+n/8+4096+img.Rect.Dy() {
			t.Errorf("%v: capacity %d, %v", img.Rect, cap(data), err)
		}
	}
}

// camera shows frames and then a photograph; the last over and over.
type camera struct {
	shots  []taken
	frames [][]byte // the live view; nil: as the next photograph
	calls  int
	views  int
	given  [][]byte
}

type taken struct {
	data []byte
	pad  biometric.PADResult
	err  error
	view error
}

func (c *camera) Info() drivers.Info {
	return drivers.Info{Kind: drivers.KindCamera, Driver: "fake", USB: usb.Info{Vendor: 0x1209, Product: 1, Serial: "SIM-1"}}
}

func (c *camera) Close() error { return nil }

func (c *camera) next() taken { return c.shots[min(c.calls, len(c.shots)-1)] }

func (c *camera) Frames(ctx context.Context, fn func(drivers.Frame) error) error {
	if err := c.next().view; err != nil {
		return err
	}
	for i := uint64(1); ; i++ {
		frame := c.next().data
		if c.frames != nil {
			frame = c.frames[min(int(i-1), len(c.frames)-1)]
		}
		c.views++
		if err := fn(drivers.Frame{JPEG: frame, Sequence: i}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(33 * time.Millisecond):
		}
	}
}

func (c *camera) Still(ctx context.Context) (drivers.Image, error) {
	shot := c.next()
	c.calls++
	if shot.err != nil {
		return drivers.Image{}, shot.err
	}
	data := bytes.Clone(shot.data)
	c.given = append(c.given, data)
	return drivers.Image{Encoded: data, MediaType: "image/jpeg", PAD: biometric.PAD{Result: shot.pad}}, ctx.Err()
}

// judge reads the score from a file's first byte.
type judge struct{}

func (judge) Analyse(data []byte, want face.Want) (face.Report, error) {
	if len(data) == 0 || data[0] > 200 {
		return face.Report{}, errors.New("no photograph")
	}
	return face.Report{Quality: biometric.Quality{Score: int(data[0]), Algorithm: "fake", Version: "1"}, Width: 800, Height: 1000, Meets: data[1] == 1 || want.MinWidth == 0}, nil
}

func photoOf(score, id byte) taken { return taken{data: []byte{score, 1, id, 9, 9}} }

func photograph(t *testing.T, policy string, c *camera) (r Result, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r, err = (&Acquirer{Face: judge{}}).Capture(t.Context(), step(t, policy, "face"), c, nil)
		took = time.Since(start)
		tidy(t, r)
		for _, data := range c.given {
			held := len(r.Samples) == 1 && &r.Samples[0].Data[0] == &data[0]
			if !held && slices.ContainsFunc(data, func(b byte) bool { return b != 0 }) {
				t.Error("a photograph that is not handed over was not overwritten")
			}
		}
	})
	return r, took, err
}

func TestFacesFollowTheRules(t *testing.T) {
	small := taken{data: []byte{90, 0, 1, 9, 9}}
	alarm := taken{data: []byte{90, 1, 1, 9, 9}, pad: biometric.PADAlarm}
	retry := taken{err: &drivers.RetryError{Hint: biometric.HintNoFace}}
	const desk, kiosk = "nl-residence-permit", "nl-residence-permit-self-service"
	for _, c := range []struct {
		name, policy string
		shots        []taken
		status       biometric.Result
		id           byte // of the photograph that is kept
		attempts     int
		forced       bool
	}{
		{"good at once", desk, []taken{photoOf(80, 1)}, biometric.Accepted, 1, 1, false},
		{"good at the third", desk, []taken{photoOf(10, 1), photoOf(20, 2), photoOf(50, 3)}, biometric.Accepted, 3, 3, false},
		{"best of three, of equals the newest", desk, []taken{photoOf(40, 1), photoOf(40, 2), photoOf(10, 3)}, biometric.Accepted, 2, 3, true},
		{"too small thrice", desk, []taken{small}, biometric.Accepted, 1, 3, true},
		{"no face seen, then good", desk, []taken{retry, photoOf(70, 2)}, biometric.Accepted, 2, 2, false},
		{"no face thrice", desk, []taken{retry}, biometric.Rejected, 0, 3, false},
		{"an alarm spoils its attempt only", desk, []taken{alarm, photoOf(70, 2)}, biometric.Accepted, 2, 2, false},
		{"unsupervised: an alarm ends it and leaves nothing", kiosk, []taken{photoOf(20, 1), alarm, photoOf(70, 3)}, biometric.Rejected, 0, 2, false},
		{"unsupervised: more attempts than three", kiosk, []taken{photoOf(1, 1), photoOf(1, 2), photoOf(1, 3), photoOf(2, 4), photoOf(70, 5)}, biometric.Accepted, 5, 5, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _, err := photograph(t, c.policy, &camera{shots: c.shots})
			var id byte
			if len(r.Samples) == 1 {
				id = r.Samples[0].Data[2]
			}
			if err != nil || r.Status != c.status || id != c.id || len(r.Outcome.Attempts) != c.attempts || r.Outcome.Forced != c.forced {
				t.Errorf("%s, photograph %d, %d attempts, forced %v, %v", r.Status, id, len(r.Outcome.Attempts), r.Outcome.Forced, err)
			}
		})
	}
}

func TestAFileThatIsNoPhotographIsTheCamerasFault(t *testing.T) {
	r, _, err := photograph(t, "nl-residence-permit", &camera{shots: []taken{{data: []byte{250}}}, frames: [][]byte{{80, 1}}})
	if r.Status != biometric.Faulted || !errors.Is(err, drivers.ErrCrashed) || len(r.Outcome.Attempts) != 1 {
		t.Errorf("%s, %v", r.Status, err)
	}
	for _, broken := range []taken{{err: drivers.ErrUnplugged}, {view: drivers.ErrHung}} {
		r, _, err := photograph(t, "nl-residence-permit", &camera{shots: []taken{photoOf(10, 1), broken}})
		if r.Status != biometric.Faulted || drivers.Verdict(err) == "" || len(r.Outcome.Attempts) != 2 || len(r.Samples) != 0 {
			t.Errorf("%s, %v, %d samples", r.Status, err, len(r.Samples))
		}
	}
}

func TestThePhotographIsTakenOnceTheViewIsSteady(t *testing.T) {
	c := &camera{shots: []taken{photoOf(80, 1)}, frames: [][]byte{{80, 1}, {80, 1}, {10, 1}, {230}, {80, 1}}}
	_, took, err := photograph(t, "nl-residence-permit", c)
	if err != nil || c.views != 22 || took != 21*33*time.Millisecond {
		t.Errorf("%d frames, %v, %v", c.views, took, err)
	}
	c = &camera{shots: []taken{photoOf(80, 1)}, frames: [][]byte{{10, 1}}}
	r, took, err := photograph(t, "nl-residence-permit", c)
	if err != nil || r.Status != biometric.Accepted || took != 243*33*time.Millisecond { // the first frame after the policy's eight seconds
		t.Errorf("without a steady view: %s after %v, %v", r.Status, took, err)
	}
	c = &camera{shots: []taken{photoOf(10, 1)}}
	r, took, err = photograph(t, "nl-residence-permit-self-service", c)
	if err != nil || r.Status != biometric.Accepted || !r.Outcome.Forced || took != 30*time.Second {
		t.Errorf("at the limit: %s after %v, %v", r.Status, took, err)
	}
}

func realJPEG(t testing.TB, w, h, quality int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = uint8(90 + 60*math.Sin(float64(i)/91) + float64(i%4*9))
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAPhotographStaysAsTheCameraMadeItUnlessItIsTooLarge(t *testing.T) {
	data := realJPEG(t, 700, 900, 95)
	st := step(t, "nl-residence-permit", "face")
	for _, c := range []struct {
		limit int
		same  bool
	}{{len(data), true}, {len(data) - 1, false}} {
		limits := *st.Image
		limits.MaxBytes = c.limit
		st.Image = &limits
		synctest.Test(t, func(t *testing.T) {
			cam := &camera{shots: []taken{{data: data}}}
			r, err := (&Acquirer{}).Capture(t.Context(), st, cam, nil)
			if err != nil || len(r.Samples) != 1 {
				t.Fatal(r.Status, err)
			}
			s := r.Samples[0]
			noted := r.Outcome.Findings[0].Quality.Measures[MeasureReencoded] == 1
			if bytes.Equal(s.Data, data) != c.same || noted == c.same || len(s.Data) > c.limit || s.Width != 700 {
				t.Errorf("limit %d: %d bytes, noted %v", c.limit, len(s.Data), noted)
			}
			if !c.same && slices.Max(cam.given[0]) != 0 {
				t.Error("the camera's file was not overwritten")
			}
		})
	}
}

func TestAStepNeedsItsKindOfDevice(t *testing.T) {
	if _, err := (&Acquirer{}).Capture(t.Context(), supervised(t), &camera{}, nil); err == nil {
		t.Error("a camera took fingerprints")
	}
	if _, err := (&Acquirer{}).Capture(t.Context(), step(t, "nl-residence-permit", "signature"), &scanner{}, nil); err == nil {
		t.Error("a scanner took a signature")
	}
}

// BenchmarkTwoFingers crops, judges and encodes two fingers of a whole platen.
func BenchmarkTwoFingers(b *testing.B) {
	gray := image.NewGray(image.Rect(0, 0, 1600, 1500))
	for y := range 1500 {
		for x := range 1600 {
			gray.Pix[y*gray.Stride+x] = uint8(140 + 90*math.Sin((float64(x)*0.6+float64(y)*0.8)*2*math.Pi/9))
		}
	}
	c := &capture{step: supervised(b), finger: finger.Analyser{}}
	img := drivers.Image{Gray: gray, PPI: 500, Fingers: []drivers.FingerBox{{Box: image.Rect(200, 300, 616, 860)}, {Box: image.Rect(900, 300, 1316, 860)}}}
	for b.Loop() {
		got, _, err := c.split(img, c.step.Want, 0)
		if err != nil || len(got) != 2 {
			b.Fatal(err)
		}
		for _, s := range got {
			if _, err := (&capture{}).sample(s); err != nil {
				b.Fatal(err)
			}
		}
	}
}
