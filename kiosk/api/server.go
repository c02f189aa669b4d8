package api

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxCommand = 1 << 20 // bytes of a command: the longest signature has 0.9 MB
	frameHead  = 20      // bytes before the planes of a frame
	maxPath    = 107     // bytes of a socket's path: sun_path in unix(7)
)

// MaxSide is the most pixels that a side of a frame has.
const MaxSide = 4096

// Server answers on a UNIX socket. Roles gives the roles of a user id; no role means no answer.
type Server struct {
	Backend Backend
	Roles   func(uid uint32) []Role
}

type callerKey struct{}

// Listen opens the socket with mode 0660. A socket that a dead daemon left behind is replaced; a live one is an error.
func Listen(path string) (*net.UnixListener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("listening on %s: a socket's path has at most %d bytes (hint: put it into a shorter folder)", path, maxPath)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("listening on %s: another daemon answers there (hint: stop it first)", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	return l, nil
}

// Run serves l until ctx ends.
func (s *Server) Run(ctx context.Context, l *net.UnixListener) error {
	server := &http.Server{
		Handler:           s.handler(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       s.connContext,
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serving the socket: %w", err)
	case <-ctx.Done():
		_ = server.Close()
		<-done
		return ctx.Err()
	}
}

// connContext asks the kernel who is at the other end.
func (s *Server) connContext(ctx context.Context, c net.Conn) context.Context {
	uid, err := peerUID(c)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, callerKey{}, Caller{UID: uid, Roles: s.Roles(uid)})
}

func peerUID(c net.Conn) (uint32, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("asking who calls: not a UNIX socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return cred.Uid, nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/status/watch", s.watch)
	mux.HandleFunc("POST /v1/commands", s.command)
	mux.HandleFunc("GET /v1/frames", s.frames)
	mux.HandleFunc("GET /v1/usb/record", s.record)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(caller(r).Roles) == 0 {
			fail(w, http.StatusForbidden, &Error{Code: "forbidden", Text: "this user may not talk to the daemon",
				Hint: "run as the screen's or the technicians' user named in the daemon's configuration"})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func caller(r *http.Request) Caller {
	who, _ := r.Context().Value(callerKey{}).(Caller)
	return who
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	st, _ := s.Backend.Status()
	reply(w, st)
}

// watch streams one status a line, the present one first; a slow reader misses statuses, never the newest.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	for {
		st, changed := s.Backend.Status()
		if out.Encode(st) != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func (s *Server) command(w http.ResponseWriter, r *http.Request) {
	var c Command
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand))
	in.DisallowUnknownFields()
	if err := in.Decode(&c); err != nil {
		fail(w, http.StatusBadRequest, &Error{Code: "bad-command", Text: "the command could not be read: " + err.Error()})
		return
	}
	answer, err := s.Backend.Do(r.Context(), caller(r), c)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, answer)
}

// frames streams previews to the screen and to nobody else.
func (s *Server) frames(w http.ResponseWriter, r *http.Request) {
	if !caller(r).Is(RoleScreen) {
		fail(w, http.StatusForbidden, &Error{Code: "forbidden", Text: "frames go to the screen alone"})
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	flush := http.NewResponseController(w)
	_ = s.Backend.Frames(r.Context(), func(f Frame) error {
		if err := writeFrame(w, f); err != nil {
			return err
		}
		return flush.Flush()
	})
}

// record streams a recording of USB traffic to a technician, line by line.
func (s *Server) record(w http.ResponseWriter, r *http.Request) {
	if !caller(r).Is(RoleTechnician) {
		fail(w, http.StatusForbidden, &Error{Code: "forbidden", Text: "only technicians may record what runs over a device"})
		return
	}
	q := RecordQuery{Device: r.FormValue("device")}
	if s := r.FormValue("for"); s != "" {
		var err error
		if q.For, err = time.ParseDuration(s); err != nil || q.For <= 0 {
			fail(w, http.StatusBadRequest, &Error{Code: "bad-command", Text: fmt.Sprintf("%q is no time to record for", s)})
			return
		}
	}
	out := &lines{w: w}
	if err := s.Backend.RecordUSB(r.Context(), q, out); err != nil && !out.begun {
		refuse(w, err)
	}
}

// lines sends text as it comes.
type lines struct {
	w     http.ResponseWriter
	begun bool
}

func (l *lines) Write(b []byte) (int, error) {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	n, err := l.w.Write(b)
	if err == nil {
		err = http.NewResponseController(l.w).Flush()
	}
	return n, err
}

// refuse answers with an error of the backend.
func refuse(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Code: "failed", Text: err.Error()}
	}
	fail(w, http.StatusConflict, e)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, code int, e *Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(e)
}

// A frame on the wire: "FRM1", modality (1 face, 2 finger), three zero bytes, sequence, width and height in big-endian order
// (8, 2 and 2 bytes), then the planes.
func writeFrame(w io.Writer, f Frame) error {
	head := make([]byte, 0, frameHead)
	head = append(head, "FRM1"...)
	head = append(head, modalityCode(f.Modality), 0, 0, 0)
	head = binary.BigEndian.AppendUint64(head, f.Sequence)
	head = binary.BigEndian.AppendUint16(head, uint16(f.Width))
	head = binary.BigEndian.AppendUint16(head, uint16(f.Height))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(f.I420)
	return err
}
