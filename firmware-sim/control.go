package main

import (
	"context"
	_ "embed" // the page
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"time"

	"loket/firmware-sim/subject"
)

// control is the loopback API through which tests and demonstrations direct the person; docs/scenarios.md describes it.
type control struct {
	person *subject.Subject
	time   subject.Time
}

// serve answers until ctx ends.
func (c control) serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{Handler: local(c.routes()), ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }} // a wait ends with the program
	defer context.AfterFunc(ctx, func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(closing) != nil {
			_ = srv.Close()
		}
	})()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the control API: %w", err)
	}
	return nil
}

func (c control) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page)
	mux.HandleFunc("GET /v1/state", c.state)
	mux.HandleFunc("GET /v1/scenarios", func(w http.ResponseWriter, _ *http.Request) { answer(w, builtIns()) })
	mux.HandleFunc("POST /v1/events", c.event)
	mux.HandleFunc("POST /v1/scenario", c.start)
	mux.HandleFunc("DELETE /v1/scenario", func(w http.ResponseWriter, r *http.Request) {
		c.person.Stop()
		c.state(w, r)
	})
	mux.HandleFunc("POST /v1/step", c.step)
	return mux
}

//go:embed hand.html
var hand []byte

// page serves the page with which somebody plays the applicant's hand. It loads nothing from elsewhere.
func page(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(hand) // whoever asked may be gone
}

// local lets nothing through that a page in a browser could send: a Host or an Origin that is not this machine's loopback
// (DNS rebinding), and bodies that are no JSON (what a form can send).
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		u, err := url.Parse(origin)
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		switch {
		case !loopback(r.Host) || origin != "" && (err != nil || !loopback(u.Host)):
			refuse(w, http.StatusForbidden, errors.New("this API answers on loopback only (hint: use http://127.0.0.1 as host)"))
		case r.Method == http.MethodPost && kind != "application/json":
			refuse(w, http.StatusUnsupportedMediaType, errors.New("the body must be JSON (hint: Content-Type: application/json)"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c control) state(w http.ResponseWriter, _ *http.Request) { answer(w, c.person.State()) }

// event does one event and answers with the state after it.
func (c control) event(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Event string `json:"event"`
	}
	if !read(w, r, &body) {
		return
	}
	e, err := subject.ParseEvent(body.Event)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if err := c.person.Do(r.Context(), e); err != nil {
		refuse(w, http.StatusConflict, err)
		return
	}
	c.state(w, r)
}

// start plays a scenario: a built-in one by name, or a text.
func (c control) start(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name string `json:"name"`
		Text string `json:"text"`
	}
	if !read(w, r, &body) {
		return
	}
	var sc subject.Scenario
	var err error
	if body.Text != "" {
		sc, err = subject.Parse(body.Name, body.Text)
	} else if sc, err = builtIn(body.Name); errors.Is(err, fs.ErrNotExist) {
		refuse(w, http.StatusNotFound, fmt.Errorf("no scenario %q is built in (hint: GET /v1/scenarios lists them)", body.Name))
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	c.person.Start(sc)
	c.state(w, r)
}

// step moves the time of a program that was started with --stepped.
func (c control) step(w http.ResponseWriter, r *http.Request) {
	var body struct {
		By string `json:"by"`
	}
	if !read(w, r, &body) {
		return
	}
	stepped, ok := c.time.(*subject.Stepped)
	by, err := time.ParseDuration(body.By)
	switch {
	case !ok:
		refuse(w, http.StatusConflict, errors.New("time passes by itself here (hint: start firmware-sim with --stepped)"))
	case err != nil || by < 0:
		refuse(w, http.StatusBadRequest, fmt.Errorf("%q is no time to step (hint: {\"by\": \"500ms\"})", body.By))
	default:
		stepped.Step(by)
		c.state(w, r)
	}
}

// read decodes a small JSON body strictly; where it can't, the answer is given.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 2<<20))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.Decode(new(json.RawMessage)) != io.EOF {
		err = errors.New("more than one JSON value")
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("reading the body: %w (hint: docs/scenarios.md shows each request)", err))
		return false
	}
	return true
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}
