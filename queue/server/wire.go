package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"loket/queue"
	"loket/queue/station"
	"loket/queue/store"
)

// problem makes an answer that is no success. kind is one of the station package's problem types.
func problem(status int, kind, detail, hint string) station.Problem {
	return station.Problem{Type: kind, Title: http.StatusText(status), Status: status, Detail: detail, Hint: hint}
}

func refusal(status int, kind, detail, hint string) error {
	return &station.Refusal{Problem: problem(status, kind, detail, hint)}
}

func invalid(detail string) error {
	return refusal(http.StatusUnprocessableEntity, station.ProblemInvalid, detail, "docs/api/queued.yaml describes the message")
}

// explain turns an error of the store or the rules into an answer. What is not foreseen becomes 500, and the caller isn't told
// more.
func explain(err error) *station.Refusal {
	var refused *station.Refusal
	var paused *store.PausedError
	as := func(status int, kind, detail, hint string) *station.Refusal {
		return &station.Refusal{Problem: problem(status, kind, detail, hint)}
	}
	text := err.Error()
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &paused):
		return as(http.StatusTooManyRequests, station.ProblemEntryPaused, text, "wait, or ask staff to let codes be entered again")
	case errors.Is(err, store.ErrUnknown):
		return as(http.StatusNotFound, station.ProblemUnknown, text, "check what was scanned or typed; staff can look the ticket up")
	case errors.Is(err, queue.ErrElsewhere):
		return as(http.StatusConflict, station.ProblemElsewhere, text, "go to the station where the ticket was called; staff can requeue it")
	case errors.Is(err, queue.ErrStale):
		return as(http.StatusConflict, station.ProblemStale, text, "end this session; ask for the station's tickets to see what is open")
	case errors.Is(err, queue.ErrOutOfPlace):
		return as(http.StatusConflict, station.ProblemOutOfPlace, text, "staff can see the ticket's state and decide")
	case errors.Is(err, store.ErrInvalid):
		return as(http.StatusUnprocessableEntity, station.ProblemInvalid, text, "correct the appointment and put it again")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return as(http.StatusServiceUnavailable, station.ProblemUnavailable, "the queue is too busy", "try again shortly")
	}
	return as(http.StatusInternalServerError, station.ProblemUnavailable, "the queue failed", "queued's log says why")
}

// refuse answers with a problem.
func refuse(w http.ResponseWriter, err error) {
	p := explain(err).Problem
	if a, ok := w.(*answer); ok && p.Status >= 500 {
		a.cause = err
	}
	var paused *store.PausedError
	if errors.As(err, &paused) {
		w.Header().Set("Retry-After", strconv.Itoa(int(queue.EntryPause/time.Second)))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	send(w, p.Status, p)
}

// reply answers with a value, or with nothing for nil.
func reply(w http.ResponseWriter, status int, value any) {
	if value == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	send(w, status, value)
}

func send(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	data, err := json.Marshal(value)
	if err != nil { // none of our types can't be written
		status, data = http.StatusInternalServerError, []byte("{}")
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a caller that is gone is told nothing
}

// badParameter answers to a path that can't be read.
func badParameter(w http.ResponseWriter, _ *http.Request, err error) {
	refuse(w, refusal(http.StatusBadRequest, station.ProblemInvalid, err.Error(), "docs/api/queued.yaml describes the call"))
}

// read reads one JSON value of known members from a call.
func read(w http.ResponseWriter, r *http.Request, into any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return refusal(http.StatusUnsupportedMediaType, station.ProblemInvalid, "the body is not application/json", "set Content-Type")
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, next := d.Token(); next != io.EOF {
			err = errors.New("something follows the value")
		}
	}
	var large *http.MaxBytesError
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return refusal(http.StatusRequestEntityTooLarge, station.ProblemInvalid, fmt.Sprintf("the body is larger than %d bytes", maxBody), "send less at once")
	case errors.As(err, &syntax):
		return badBody(fmt.Sprintf("the body is not JSON at byte %d", syntax.Offset))
	case errors.As(err, &mistyped):
		return badBody(fmt.Sprintf("member %q is of the wrong kind", mistyped.Field))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return badBody("the body ends too soon")
	}
	return badBody("the body has a member that is unknown, or of the wrong kind, or something follows it")
}

// badBody refuses a body. The parser's own words stay out: they can quote what the caller wrote.
func badBody(detail string) error {
	return refusal(http.StatusBadRequest, station.ProblemInvalid, detail, "docs/api/queued.yaml describes the message")
}

// text reports a text that is missing or too long, or that would change how what stands around it is shown: control characters,
// and those that override the direction of writing or embed another (UAX #9, section 2); its marks stay, names can need them.
func text(name, value string, most int) error {
	if strings.ContainsFunc(value, func(r rune) bool {
		return unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	}) {
		return invalid(name + " holds a control character")
	}
	return length(name, value, most)
}

// length reports a text that is missing or too long.
func length(name, text string, most int) error {
	if text == "" || len(text) > most {
		return invalid(fmt.Sprintf("%s needs 1 to %d bytes", name, most))
	}
	return nil
}
