package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"loket/queue"
	"loket/queue/station"
	"loket/queue/store"
	"loket/ui/console"
)

// Console is the listener for browsers.
type Console struct {
	Listener    net.Listener // plain
	Certificate tls.Certificate

	*Server  // set by Run
	throttle throttle
	trying   chan struct{} // holds the right to try a password, which costs memory
	views    views
}

// maxTrying is how many passwords are tried at the same moment.
const maxTrying = 2

func (c *Console) prepare(s *Server) {
	c.Server = s
	c.trying = make(chan struct{}, maxTrying)
}

func (c *Console) listener() net.Listener {
	return tls.NewListener(c.Listener, &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{c.Certificate},
		NextProtos:   []string{"http/1.1"}, // WebSockets need it
	})
}

// member is a handler for someone who is signed in.
type member func(w http.ResponseWriter, r *http.Request, who store.Login)

const liveRoute = "GET /api/live"

// browsers is the whole of the browsers' listener.
func (s *Server) browsers() http.Handler {
	c := s.Console
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/session", c.signIn)
	for route, handle := range map[string]member{
		"GET /api/session":                       c.session,
		"DELETE /api/session":                    c.signOut,
		liveRoute:                                c.live,
		"GET /api/chain/{id}":                    c.chain,
		"POST /api/tickets/{id}/decisions":       c.decide,
		"POST /api/tickets/{id}/undo":            c.undo,
		"POST /api/stations/{name}/commands":     c.command,
		"POST /api/stations/{name}/entry/resume": c.resumeEntry,
		"POST /api/code":                         c.oneTimeCode,
	} {
		mux.HandleFunc(route, c.signedIn(handle))
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, refusal(http.StatusNotFound, "about:blank", "no such call", "docs/api/console.yaml lists them"))
	})
	mux.HandleFunc("/", files(console.Files()))
	guarded := http.NewCrossOriginProtection()
	guarded.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, refusal(http.StatusForbidden, station.ProblemForbidden, "another site sent this", "open the console itself"))
	}))
	inner := guarded.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		_, route := mux.Handler(r)
		a := &answer{ResponseWriter: w}
		protect(a.Header())
		if route != liveRoute {
			ctx, cancel := context.WithTimeout(r.Context(), writeLimit-time.Second)
			defer cancel()
			r = r.WithContext(ctx)
		}
		who := &caught{}
		inner.ServeHTTP(a, r.WithContext(context.WithValue(r.Context(), caught{}, who)))
		c.noteBrowser(r, route, who.account, a, time.Since(started))
	})
}

// caught is who a call turned out to be from, for the log.
type caught struct{ account string }

// noteBrowser counts and logs an answered call. Paths and names stay out of the log.
func (c *Console) noteBrowser(r *http.Request, route, account string, a *answer, took time.Duration) {
	c.requests.WithLabelValues(route, strconv.Itoa(a.status)).Inc()
	level := slog.LevelDebug
	if a.status >= 400 {
		level = slog.LevelInfo
	}
	if a.status >= 500 {
		level = slog.LevelError
	}
	c.Log.Log(r.Context(), level, "console call", "route", route, "status", a.status, "account", account, "ms", took.Milliseconds(), "err", a.cause)
}

// protect tells the browser what this page may do: load from here and nothing else.
func protect(h http.Header) {
	for name, value := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), microphone=(), geolocation=(), usb=(), payment=()",
		"Referrer-Policy":              "no-referrer",
		"Strict-Transport-Security":    "max-age=31536000",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
	} {
		h.Set(name, value)
	}
}

// files serves the console. Every path that is no file is the page itself, which knows where it is.
func files(from fs.FS) http.HandlerFunc {
	page, _ := console.Page()
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			refuse(w, refusal(http.StatusMethodNotAllowed, "about:blank", "pages are only read", "docs/api/console.yaml lists the calls"))
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		if strings.HasPrefix(name, "assets/") {
			asset(w, r, from, name)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		http.ServeFileFS(w, r, from, page)
	}
}

// asset serves a file whose name has a hash of its content, compressed where the build left it so.
func asset(w http.ResponseWriter, r *http.Request, from fs.FS, name string) {
	if info, err := fs.Stat(from, name); err != nil || info.IsDir() {
		refuse(w, refusal(http.StatusNotFound, "about:blank", "no such file", "load the page again"))
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	if _, err := fs.Stat(from, name+".gz"); err == nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
		h.Set("Content-Encoding", "gzip")
		name += ".gz"
	}
	http.ServeFileFS(w, r, from, name)
}

// cookie is the name of the browser's secret. The prefix makes browsers hold it to this host, TLS and the root path.
const cookie = "__Host-loket"

func setCookie(w http.ResponseWriter, token string, age int) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: token, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

// signedIn lets those through who are, and gives them another token now and then.
func (c *Console) signedIn(next member) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := c.caller(r)
		if err != nil {
			refuse(w, err)
			return
		}
		if seen, ok := r.Context().Value(caught{}).(*caught); ok {
			seen.account = who.Account.ID
		}
		if who.Token != "" {
			setCookie(w, who.Token, 0)
		}
		next(w, r, who)
	}
}

func (c *Console) caller(r *http.Request) (store.Login, error) {
	token, err := r.Cookie(cookie)
	if err != nil {
		return store.Login{}, signedOut()
	}
	who, err := c.Store.Login(r.Context(), token.Value)
	if errors.Is(err, store.ErrSignedOut) {
		return store.Login{}, signedOut()
	}
	return who, err
}

func signedOut() error {
	return refusal(http.StatusUnauthorized, problemSignIn, "nobody is signed in, or not any more", "sign in")
}

// The console's own types of problems.
const (
	problemSignIn  = "urn:loket:problem:sign-in"
	problemSlow    = "urn:loket:problem:slow-down"
	problemRefused = "urn:loket:problem:station-refused"
	problemNoLine  = "urn:loket:problem:no-line"
	problemUnsure  = "urn:loket:problem:no-answer"
	problemTooLate = "urn:loket:problem:too-late"
)

// signIn tries a name and a password.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Login    string `json:"login"`
		Password string `json:"password"`
	}
	err := read(w, r, &body)
	if err == nil {
		err = errors.Join(length("login", body.Login, 64), length("password", body.Password, 256))
	}
	if err != nil {
		refuse(w, err)
		return
	}
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	forget, wait := c.throttle.try(time.Now(), tries(body.Login, address))
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		refuse(w, refusal(http.StatusTooManyRequests, problemSlow, "too many wrong passwords", "wait "+wait.Round(time.Second).String()+", then try again"))
		return
	}
	who, err := c.trySignIn(r.Context(), body.Login, body.Password)
	if errors.Is(err, store.ErrSignIn) {
		c.Log.Warn("sign-in refused", "address", address)
		refuse(w, refusal(http.StatusUnauthorized, problemSignIn, "the name or the password is not right", "try again; a supervisor can have the password set anew"))
		return
	}
	if err != nil {
		refuse(w, err)
		return
	}
	forget()
	c.Log.Info("signed in", "account", who.Account)
	setCookie(w, who.Token, 0)
	reply(w, http.StatusOK, c.describe(who))
}

// trySignIn waits for its turn.
func (c *Console) trySignIn(ctx context.Context, login, password string) (store.Login, error) {
	select {
	case c.trying <- struct{}{}:
	case <-ctx.Done():
		return store.Login{}, ctx.Err()
	}
	defer func() { <-c.trying }()
	return c.Store.SignIn(ctx, login, password)
}

// session says who is signed in.
func (c *Console) session(w http.ResponseWriter, _ *http.Request, who store.Login) {
	reply(w, http.StatusOK, c.describe(who))
}

func (c *Console) describe(who store.Login) consoleSession {
	s := consoleSession{Account: who.Account.ID, Login: who.Account.Login, Roles: who.Account.Roles, Idle: who.Idle, Ends: who.Ends,
		Centre: c.Identity.Centre, Demo: c.Identity.Demo, Services: []consoleService{}, Locking: who.Account.MayAnywhere(queue.Locking),
		Assisting: who.Account.MayAnywhere(queue.Assisting)}
	for _, sv := range c.Store.Services() {
		if who.Account.May(queue.SeeTicket, sv.Organisation) {
			s.Services = append(s.Services, consoleService{ID: sv.ID, Name: sv.Name, Organisation: sv.Organisation})
		}
	}
	return s
}

// signOut ends the login, and its live views.
func (c *Console) signOut(w http.ResponseWriter, r *http.Request, who store.Login) {
	if err := c.Store.SignOut(r.Context(), who.ID); err != nil {
		refuse(w, err)
		return
	}
	c.views.end(who.ID)
	setCookie(w, "", -1)
	reply(w, http.StatusNoContent, nil)
}
