package station

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"loket/queue"
)

// maxAnswer bounds what a client reads of an answer.
const maxAnswer = 4 << 20

// maxBundle bounds what it reads of a sealed bundle.
const maxBundle = 32 << 20

// DefaultTimeout bounds a call whose ctx has no earlier deadline.
const DefaultTimeout = 15 * time.Second

// Client calls the station API of docs/api/queued.yaml. Every call may be repeated after an error that is not a refusal.
type Client struct {
	BaseURL string // "https://queue.example:8443"
	HTTP    *http.Client
}

// ErrNobody is the error of a call when nobody waits.
var ErrNobody = errors.New("calling: nobody waits")

// The words of problem types that callers branch on: [Refusal.Is] compares them.
const (
	ProblemUnknown     = "urn:loket:problem:unknown"      // no such ticket, code or chain; or not for this caller
	ProblemOutOfPlace  = "urn:loket:problem:out-of-place" // not possible in the ticket's state
	ProblemElsewhere   = "urn:loket:problem:elsewhere"    // another station has the ticket
	ProblemStale       = "urn:loket:problem:stale"        // the ticket has moved on
	ProblemEntryPaused = "urn:loket:problem:entry-paused" // too many wrong codes
	ProblemForbidden   = "urn:loket:problem:forbidden"    // not with this certificate
	ProblemInvalid     = "urn:loket:problem:invalid"      // the message is wrong
	ProblemUnavailable = "urn:loket:problem:unavailable"  // the queue can't serve now
)

// Refusal is an answer of the queue that is no success. It is final unless [Refusal.Temporary].
type Refusal struct{ Problem Problem }

// Error gives the detail with its hint.
func (r *Refusal) Error() string {
	text := r.Problem.Detail
	if text == "" {
		text = r.Problem.Title
	}
	if r.Problem.Hint != "" {
		text += " (hint: " + r.Problem.Hint + ")"
	}
	return text
}

// Temporary reports whether the same call may succeed later.
func (r *Refusal) Temporary() bool {
	return r.Problem.Status >= 500 || r.Problem.Status == http.StatusTooManyRequests
}

// Refused reports whether err is a final answer of the queue: repeating the call gives the same.
func Refused(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && !r.Temporary()
}

// RefusedAs reports whether err is a refusal with that problem type.
func RefusedAs(err error, problem string) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Problem.Type == problem
}

// CheckIn asks for the ticket of a scanned code; it is called for this station then.
func (c *Client) CheckIn(ctx context.Context, code string) (Ticket, error) {
	var t Ticket
	_, err := c.do(ctx, http.MethodPost, "/v1/tickets/checkin", CheckIn{Code: queue.Code(code)}, &t)
	return t, wrap("checking in", err)
}

// Call calls the next ticket or a certain one. [ErrNobody] says that nobody waits.
func (c *Client) Call(ctx context.Context, call Call) (Ticket, error) {
	var t Ticket
	status, err := c.do(ctx, http.MethodPost, "/v1/calls", call, &t)
	if err == nil && status == http.StatusNoContent {
		return t, ErrNobody
	}
	return t, wrap("calling", err)
}

// Report reports the start or end of a session. An effect of stale or conflict counts as reported.
func (c *Client) Report(ctx context.Context, ticket string, e Event) (Effect, error) {
	var effect Effect
	_, err := c.do(ctx, http.MethodPost, "/v1/tickets/"+url.PathEscape(ticket)+"/events", e, &effect)
	return effect, wrap("reporting "+string(e.Event), err)
}

// Decide carries an attendant's decision on a ticket.
func (c *Client) Decide(ctx context.Context, ticket string, d Decision) (Ticket, error) {
	var t Ticket
	_, err := c.do(ctx, http.MethodPost, "/v1/tickets/"+url.PathEscape(ticket)+"/decisions", d, &t)
	return t, wrap("deciding", err)
}

// Ticket asks for one ticket.
func (c *Client) Ticket(ctx context.Context, id string) (Ticket, error) {
	var t Ticket
	_, err := c.do(ctx, http.MethodGet, "/v1/tickets/"+url.PathEscape(id), nil, &t)
	return t, wrap("asking for a ticket", err)
}

// Tickets asks for the tickets that this station was called for or serves.
func (c *Client) Tickets(ctx context.Context) ([]Ticket, error) {
	var ts []Ticket
	_, err := c.do(ctx, http.MethodGet, "/v1/station/tickets", nil, &ts)
	return ts, wrap("asking for this station's tickets", err)
}

// HandoverKey asks for the key to which a session for a station is sealed, as that station signed it.
func (c *Client) HandoverKey(ctx context.Context, station string) (HandoverKey, error) {
	var key HandoverKey
	_, err := c.do(ctx, http.MethodGet, "/v1/stations/"+url.PathEscape(station)+"/key", nil, &key)
	return key, wrap("asking for a key", err)
}

// HandOver sends a sealed bundle and waits until the target has the session or has not. An error that is no refusal leaves open
// where it is: [Client.Withdraw] tells.
func (c *Client) HandOver(ctx context.Context, handover string, p HandOverParams, sealed []byte) (HandoverEnd, error) {
	ctx, cancel := context.WithTimeout(ctx, handoverTimeout)
	defer cancel()
	var end HandoverEnd
	_, err := c.send(ctx, http.MethodPut, handoverPath(handover, p), "application/octet-stream", bytes.NewReader(sealed), &end)
	return end, wrap("handing over", err)
}

// handoverTimeout is longer than the queue takes.
const handoverTimeout = 30 * time.Second

func handoverPath(handover string, p HandOverParams) string {
	q := url.Values{"ticket": {p.Ticket}, "session": {p.Session}, "attempt": {strconv.Itoa(p.Attempt)}, "target": {p.Target}}
	return "/v1/handovers/" + url.PathEscape(handover) + "?" + q.Encode()
}

// Withdraw takes a hand-over back, or learns that it is done. Once it is answered, nobody accepts it any more.
func (c *Client) Withdraw(ctx context.Context, handover string, p HandOverParams) (HandoverEnd, error) {
	var end HandoverEnd
	_, err := c.do(ctx, http.MethodDelete, handoverPath(handover, p), nil, &end)
	return end, wrap("withdrawing a hand-over", err)
}

// Bundle fetches a sealed bundle that a command named; for desks.
func (c *Client) Bundle(ctx context.Context, handover string) ([]byte, error) {
	var sealed rawBody
	_, err := c.do(ctx, http.MethodGet, "/v1/handovers/"+url.PathEscape(handover), nil, &sealed)
	return sealed, wrap("fetching a hand-over", err)
}

// Accept takes the session of a bundle; for desks. After a refusal the ticket tells whether an earlier call did.
func (c *Client) Accept(ctx context.Context, handover string) (Ticket, error) {
	var t Ticket
	_, err := c.do(ctx, http.MethodPost, "/v1/handovers/"+url.PathEscape(handover)+"/accept", struct{}{}, &t)
	return t, wrap("accepting a hand-over", err)
}

// Identify asks who gave a one-time code of the console.
func (c *Client) Identify(ctx context.Context, code string) (string, error) {
	var a Attendant
	_, err := c.do(ctx, http.MethodPost, "/v1/attendants/identify", OneTimeCode{Code: queue.Code(code)}, &a)
	return a.Attendant, wrap("identifying an attendant", err)
}

// Chain asks for what the queue knows of a ticket, session or record.
func (c *Client) Chain(ctx context.Context, id string) (Chain, error) {
	var chain Chain
	_, err := c.do(ctx, http.MethodGet, "/v1/chain/"+url.PathEscape(id), nil, &chain)
	return chain, wrap("asking for a chain", err)
}

// ResumeEntry lets codes be entered again at a station; for desks.
func (c *Client) ResumeEntry(ctx context.Context, station, attendant string) error {
	_, err := c.do(ctx, http.MethodPost, "/v1/stations/"+url.PathEscape(station)+"/entry/resume", ResumeEntry{Attendant: attendant}, nil)
	return wrap("resuming code entry", err)
}

// PutAppointment makes an appointment be as described; for systems that know appointments.
func (c *Client) PutAppointment(ctx context.Context, ref string, a Appointment) (Visit, error) {
	var v Visit
	_, err := c.do(ctx, http.MethodPut, "/v1/appointments/"+url.PathEscape(ref), a, &v)
	return v, wrap("putting an appointment", err)
}

// Health asks whether the queue can serve.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var h Health
	_, err := c.do(ctx, http.MethodGet, "/v1/health", nil, &h)
	return h, wrap("asking for the queue's health", err)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// do sends one value and reads its answer into out.
func (c *Client) do(ctx context.Context, method, path string, in, out any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	if in == nil {
		return c.send(ctx, method, path, "", nil, out)
	}
	data, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	return c.send(ctx, method, path, "application/json", bytes.NewReader(data), out)
}

// rawBody takes an answer that is no JSON as it is.
type rawBody []byte

// send sends one request and reads its answer into out.
func (c *Client) send(ctx context.Context, method, path, media string, body io.Reader, out any) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.BaseURL+path, body)
	if err != nil {
		return 0, err
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, plain(err)
	}
	defer resp.Body.Close()
	limit := int64(maxAnswer)
	raw, isRaw := out.(*rawBody)
	if isRaw {
		limit = maxBundle
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	switch {
	case err != nil:
		return 0, fmt.Errorf("reading the queue's answer: %w", err)
	case resp.StatusCode >= 300:
		return resp.StatusCode, refusal(resp, data)
	case resp.StatusCode == http.StatusNoContent || out == nil:
		return resp.StatusCode, nil
	case isRaw:
		*raw = data
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return 0, fmt.Errorf("reading the queue's answer: %w", err)
	}
	return resp.StatusCode, nil
}

// plain takes the address out of a transport's error: an address can hold an id that is not for every log.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// refusal reads an answer that is no success, whoever gave it.
func refusal(resp *http.Response, data []byte) error {
	r := &Refusal{Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == "application/problem+json" {
		var p Problem
		if err := json.Unmarshal(data, &p); err == nil {
			r.Problem = p
			r.Problem.Status = resp.StatusCode
		}
	}
	return r
}

// LogValue gives what names no one.
func (t Ticket) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", t.ID), slog.String("number", t.Number), slog.String("state", string(t.State)), slog.Int("attempt", t.Attempt))
}

// String gives what names no one.
func (t Ticket) String() string { return fmt.Sprintf("ticket %s (%s)", t.ID, t.State) }

// GoString gives what names no one.
func (t Ticket) GoString() string { return t.String() }

// LogValue keeps the person out of logs.
func (Subject) LogValue() slog.Value { return slog.StringValue("subject, redacted") }

// String keeps the person out of formatted output.
func (s Subject) String() string { return s.LogValue().String() }

// GoString keeps the person out of %#v.
func (s Subject) GoString() string { return s.String() }

// LogValue keeps persons and codes out of logs.
func (v Visit) LogValue() slog.Value { return slog.StringValue("visit " + v.ID) }

// String keeps persons and codes out of formatted output.
func (v Visit) String() string { return v.LogValue().String() }

// GoString keeps persons and codes out of %#v.
func (v Visit) GoString() string { return v.String() }

// LogValue keeps persons out of logs.
func (Appointment) LogValue() slog.Value { return slog.StringValue("appointment, redacted") }

// String keeps persons out of formatted output.
func (a Appointment) String() string { return a.LogValue().String() }

// GoString keeps persons out of %#v.
func (a Appointment) GoString() string { return a.String() }
