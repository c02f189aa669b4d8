//go:build cgo && window

package main

import (
	"encoding/json"
	"fmt"
	"image"
	"log/slog"
	"os"
	"time"

	"loket/ui"
)

// transcript writes down what the screen does, for tests and for whoever studies how people get through: a JSON object a line,
// synced with what is seen and heard. What is typed is not in it, nor is personal data: it is spoken into a headset alone, and with one
// there is no transcript.
type transcript struct {
	ui.Speaker
	file *os.File
	log  *slog.Logger
	last string
}

// note is one line of a transcript.
type note struct {
	At      time.Time         `json:"at"`
	Said    string            `json:"said,omitempty"`
	Tone    ui.Tone           `json:"tone,omitempty"`
	Page    string            `json:"page,omitempty"`
	State   string            `json:"state,omitempty"`   // of the session that is shown
	Session string            `json:"session,omitempty"` // its id
	Focused string            `json:"focused,omitempty"` // the target that Enter presses
	Targets map[string][4]int `json:"targets,omitempty"` // of what can be pressed: left, top, right, bottom, px
}

// transcribe begins a transcript of what a speaker says. Without a path there is none.
func transcribe(path string, speaker ui.Speaker, log *slog.Logger) (*transcript, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("beginning the transcript: %w", err)
	}
	return &transcript{Speaker: speaker, file: f, log: log}, nil
}

// Say writes a text down before it is said.
func (t *transcript) Say(language, text string) {
	if text != "" {
		t.write(note{Said: text})
	}
	t.Speaker.Say(language, text)
}

// Sound writes a tone down before it is played.
func (t *transcript) Sound(tone ui.Tone) {
	t.write(note{Tone: tone})
	t.Speaker.Sound(tone)
}

// drew writes down what can be seen now, where it differs from before.
func (t *transcript) drew(u *ui.UI) {
	n := note{Page: u.Page().ID, State: string(u.Local.State), Session: u.Local.Session, Targets: map[string][4]int{}}
	for _, x := range u.Targets() {
		n.Targets[x.ID] = corners(x.Rect)
		if x.Focused {
			n.Focused = x.ID
		}
	}
	if key := fmt.Sprint(n.Page, n.State, n.Session, n.Focused, n.Targets); key != t.last {
		t.last = key
		t.write(n)
	}
}

func corners(r image.Rectangle) [4]int { return [4]int{r.Min.X, r.Min.Y, r.Max.X, r.Max.Y} }

func (t *transcript) write(n note) {
	n.At = time.Now()
	if err := json.NewEncoder(t.file).Encode(n); err != nil {
		t.log.Warn("writing the transcript", "err", err)
	}
}
