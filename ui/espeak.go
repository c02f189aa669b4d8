package ui

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os/exec"
	"strings"
	"sync"
)

// Espeak speaks with espeak-ng, a process of its own for each text, whose sound another program plays. Run must be running.
// Texts reach it through standard input: they stand in no list of processes.
type Espeak struct {
	// Player plays a WAV from its standard input, as a command with arguments; empty for silence.
	Player []string
	Log    *slog.Logger

	once  sync.Once
	texts chan [2]string
	tones chan Tone
}

func (e *Espeak) init() {
	e.once.Do(func() { e.texts, e.tones = make(chan [2]string, 8), make(chan Tone, 8) })
}

// Say speaks a text instead of what is being said.
func (e *Espeak) Say(language, text string) {
	e.init()
	select {
	case e.texts <- [2]string{languageOf(language).Voice, text}:
	default: // many at once: the newest comes again with the next page
	}
}

// Hush stops what is being said.
func (e *Espeak) Hush() { e.Say("", "") }

// Sound plays a tone.
func (e *Espeak) Sound(t Tone) {
	e.init()
	select {
	case e.tones <- t:
	default:
	}
}

// Run speaks until ctx ends. A program that is missing is logged once, and the screen stays silent.
func (e *Espeak) Run(ctx context.Context) error {
	e.init()
	var work sync.WaitGroup
	defer work.Wait()
	stop := func() {}
	defer func() { stop() }()
	complained := false
	complain := make(chan error, 1)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-complain:
			if !complained {
				complained = true
				e.Log.Warn("speaking", "err", err)
			}
		case t := <-e.tones:
			work.Go(func() { e.report(ctx, complain, e.play(ctx, wav(t))) })
		case x := <-e.texts:
			stop()
			stop = e.say(ctx, &work, complain, x[0], x[1])
		}
	}
}

// say begins to speak and returns how to stop it.
func (e *Espeak) say(ctx context.Context, work *sync.WaitGroup, complain chan<- error, voice, text string) (stop func()) {
	if text == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	work.Go(func() {
		defer cancel()
		e.report(ctx, complain, e.speak(ctx, voice, text))
	})
	return cancel
}

func (e *Espeak) report(ctx context.Context, to chan<- error, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	select {
	case to <- err:
	default:
	}
}

func (e *Espeak) speak(ctx context.Context, voice, text string) error {
	cmd := exec.CommandContext(ctx, "espeak-ng", "-v", voice, "-s", "150", "--stdin", "--stdout")
	cmd.Stdin = strings.NewReader(text)
	sound, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("speaking: %w (hint: apt-get install espeak-ng)", err)
	} else if err != nil {
		return fmt.Errorf("speaking: %w", err)
	}
	return e.play(ctx, bytes.NewReader(sound))
}

func (e *Espeak) play(ctx context.Context, sound io.Reader) error {
	if len(e.Player) == 0 {
		return nil
	}
	cmd := exec.CommandContext(ctx, e.Player[0], e.Player[1:]...)
	cmd.Stdin = sound
	if err := cmd.Run(); errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("playing sound: %w (hint: apt-get install alsa-utils, or name another player)", err)
	} else if err != nil {
		return fmt.Errorf("playing sound with %s: %w", e.Player[0], err)
	}
	return nil
}

const sampleRate = 22050 // Hz

// wav renders a tone: mono, 16 bits. Rising means done, falling means put down, level means hold.
func wav(t Tone) io.Reader {
	notes := map[Tone][]float64{TonePlace: {660, 440}, ToneHold: {520}, ToneLift: {520, 780}, ToneWarning: {600, 600, 600}, ToneDone: {520, 660, 780}}[t]
	var samples []int16
	for _, f := range notes {
		n := sampleRate * 16 / 100
		for i := range n {
			edge := math.Min(1, math.Min(float64(i), float64(n-i))/400) // no click
			samples = append(samples, int16(9000*edge*math.Sin(2*math.Pi*f*float64(i)/sampleRate)))
		}
	}
	var out bytes.Buffer
	size := uint32(2 * len(samples))
	out.WriteString("RIFF")
	_ = binary.Write(&out, binary.LittleEndian, 36+size)
	out.WriteString("WAVEfmt ")
	for _, v := range []any{uint32(16), uint16(1), uint16(1), uint32(sampleRate), uint32(2 * sampleRate), uint16(2), uint16(16)} {
		_ = binary.Write(&out, binary.LittleEndian, v)
	}
	out.WriteString("data")
	_ = binary.Write(&out, binary.LittleEndian, size)
	_ = binary.Write(&out, binary.LittleEndian, samples)
	return &out
}
