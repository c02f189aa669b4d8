package outbox

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"loket/kiosk/failpoint"
	"loket/kiosk/record"
)

// TusPusher sends records by tus 1.0 (https://tus.io/protocols/resumable-upload). The upload's id is the record's, so that a
// station that knows nothing of an earlier try finds it again. See docs/record.md, "Push and receipt".
type TusPusher struct {
	URL    string       // of the service: "https://central.example:8443"
	Client *http.Client // with the station's certificate
	// Stall is how long nothing may move before a try is given up; 30 seconds where zero.
	Stall time.Duration
}

// The headers that carry a receipt, in base64.
const (
	ReceiptHeader    = "Loket-Receipt"
	ReceiptSigHeader = "Loket-Receipt-Signature"
)

// The metadata of an upload, by tus' Upload-Metadata.
const (
	MetaDocket    = "docket"
	MetaDocketSig = "docket-sig"
)

const (
	tusVersion  = "1.0.0"
	stallLimit  = 30 * time.Second
	maxReply    = 64 << 10 // bytes read of any answer
	maxRounds   = 4        // how often one Push follows a service that has changed its mind
	statusBadCk = 460      // tus checksum extension: the bytes were spoilt on the way
)

// Push sends the record, from where an earlier try stopped, and returns the service's receipt.
func (t *TusPusher) Push(ctx context.Context, d record.SignedDocket, sealed io.ReadSeeker) (record.SignedReceipt, error) {
	docket, err := d.Docket()
	if err != nil {
		return record.SignedReceipt{}, err
	}
	p := &push{ctx: ctx, t: t, client: t.client(), docket: docket, signed: d, sealed: sealed}
	receipt, err := p.run()
	if err != nil {
		return record.SignedReceipt{}, fmt.Errorf("sending record %.12s: %w", docket.Record, err)
	}
	return receipt, nil
}

// client is the caller's, but follows no redirect: a record goes where it was meant to go or nowhere.
func (t *TusPusher) client() *http.Client {
	c := http.Client{}
	if t.Client != nil {
		c = *t.Client
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// push is one try to send one record.
type push struct {
	ctx    context.Context
	t      *TusPusher
	client *http.Client
	docket record.Docket
	signed record.SignedDocket
	sealed io.ReadSeeker
}

// errGone says that the service does not know the upload (any more).
var errGone = errors.New("the service does not know the upload")

// errMoved says that the service holds more or less of the upload than was thought.
var errMoved = errors.New("the service is at another offset")

func (p *push) run() (record.SignedReceipt, error) {
	offset, receipt, err := p.create()
	for range maxRounds {
		if err == nil && receipt == nil && offset < p.docket.Size {
			offset, receipt, err = p.patch(offset)
		}
		switch {
		case errors.Is(err, errGone):
			offset, receipt, err = p.create()
			continue
		case errors.Is(err, errMoved):
			offset, receipt, err = p.head()
			continue
		case err != nil:
			return record.SignedReceipt{}, err
		case receipt != nil:
			return *receipt, nil
		case offset == p.docket.Size:
			return p.fetch()
		}
	}
	return record.SignedReceipt{}, errors.Join(errors.New("the service keeps changing its mind about what it holds"), err)
}

// create announces the upload. A service that knows it already says how far it is.
func (p *push) create() (int64, *record.SignedReceipt, error) {
	req, err := p.request(http.MethodPost, "/v1/uploads/", nil)
	if err != nil {
		return 0, nil, err
	}
	b64 := base64.StdEncoding.EncodeToString
	req.Header.Set("Upload-Length", strconv.FormatInt(p.docket.Size, 10))
	req.Header.Set("Upload-Metadata", MetaDocket+" "+b64(p.signed.JSON)+","+MetaDocketSig+" "+b64(p.signed.Sig))
	resp, err := p.do(req)
	if err != nil {
		return 0, nil, err
	}
	if resp.status != http.StatusCreated && resp.status != http.StatusOK {
		return 0, nil, resp.unlessGone()
	}
	failpoint.Hit("push.created")
	offset := int64(0)
	if resp.header.Get("Upload-Offset") != "" {
		offset, err = resp.offset(p.docket.Size)
	}
	return offset, resp.receipt(), err
}

// patch sends everything from offset on.
func (p *push) patch(offset int64) (int64, *record.SignedReceipt, error) {
	if _, err := p.sealed.Seek(offset, io.SeekStart); err != nil {
		return 0, nil, err
	}
	body := io.LimitReader(p.sealed, p.docket.Size-offset)
	req, err := p.request(http.MethodPatch, p.path(), io.NopCloser(body))
	if err != nil {
		return 0, nil, err
	}
	req.ContentLength = p.docket.Size - offset
	req.Header.Set("Content-Type", "application/offset+octet-stream")
	req.Header.Set("Upload-Offset", strconv.FormatInt(offset, 10))
	resp, err := p.do(req)
	if err != nil {
		return 0, nil, err
	}
	switch resp.status {
	case http.StatusNoContent:
	case http.StatusConflict, statusBadCk:
		if refusal := resp.refusal(); refusal != nil {
			return 0, nil, refusal
		}
		return 0, nil, errMoved
	default:
		return 0, nil, resp.problem()
	}
	failpoint.Hit("push.sent")
	next, err := resp.offset(p.docket.Size)
	if err == nil && next <= offset {
		err = fmt.Errorf("the service took nothing (hint: see its log)")
	}
	return next, resp.receipt(), err
}

// head asks how far the upload is.
func (p *push) head() (int64, *record.SignedReceipt, error) {
	req, err := p.request(http.MethodHead, p.path(), nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := p.do(req)
	if err != nil {
		return 0, nil, err
	}
	if resp.status != http.StatusOK && resp.status != http.StatusNoContent {
		return 0, nil, resp.problem()
	}
	offset, err := resp.offset(p.docket.Size)
	return offset, resp.receipt(), err
}

// fetch asks for the receipt of an upload that is complete.
func (p *push) fetch() (record.SignedReceipt, error) {
	req, err := p.request(http.MethodGet, "/v1/receipts/"+string(p.docket.Record), nil)
	if err != nil {
		return record.SignedReceipt{}, err
	}
	resp, err := p.do(req)
	if err != nil {
		return record.SignedReceipt{}, err
	}
	receipt := resp.receipt()
	if resp.status != http.StatusOK || receipt == nil {
		return record.SignedReceipt{}, fmt.Errorf("the service holds the record and gives no receipt: %w", resp.unlessGone())
	}
	return *receipt, nil
}

func (p *push) path() string { return "/v1/uploads/" + string(p.docket.Record) }

func (p *push) request(method, path string, body io.ReadCloser) (*http.Request, error) {
	req, err := http.NewRequestWithContext(p.ctx, method, strings.TrimSuffix(p.t.URL, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Body = body
	}
	req.Header.Set("Tus-Resumable", tusVersion)
	return req, nil
}

// reply is an answer of the service with as much of its body as we read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// errStalled says that nothing moved for too long.
var errStalled = errors.New("nothing moves on the line to the service (hint: look at the network; the record is sent again)")

func (p *push) do(req *http.Request) (*reply, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	defer cancel(nil)
	alive := &alive{body: req.Body, limit: cmp.Or(p.t.Stall, stallLimit)}
	alive.timer = time.AfterFunc(alive.limit, func() { cancel(errStalled) })
	defer alive.timer.Stop()
	if req.Body != nil {
		req.Body = alive
	}
	resp, err := p.client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, stalled(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", stalled(ctx, err))
	}
	return &reply{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// stalled gives the cause of an end that was ours.
func stalled(ctx context.Context, err error) error {
	if context.Cause(ctx) == errStalled {
		return errStalled
	}
	return err
}

// alive is a request's body; each read of it shows that something moves.
type alive struct {
	body  io.ReadCloser
	timer *time.Timer
	limit time.Duration
}

func (a *alive) Read(b []byte) (int, error) {
	a.timer.Reset(a.limit)
	return a.body.Read(b)
}

func (a *alive) Close() error { return a.body.Close() }

// offset reads how much of the upload the service holds.
func (r *reply) offset(size int64) (int64, error) {
	n, err := strconv.ParseInt(r.header.Get("Upload-Offset"), 10, 64)
	if err != nil || n < 0 || n > size {
		return 0, errors.New("the service gives no usable offset (hint: is the address that of a tus service?)")
	}
	return n, nil
}

// receipt reads the receipt that an answer carries, if it does.
func (r *reply) receipt() *record.SignedReceipt {
	json, err1 := base64.StdEncoding.DecodeString(r.header.Get(ReceiptHeader))
	sig, err2 := base64.StdEncoding.DecodeString(r.header.Get(ReceiptSigHeader))
	if err1 != nil || err2 != nil || len(json) == 0 || len(sig) == 0 || len(json) > record.MaxDocket {
		return nil
	}
	return &record.SignedReceipt{JSON: json, Sig: sig}
}

// Problem is how a service explains an error: RFC 9457 with a code and what to do next.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code"`
	Hint   string `json:"hint,omitempty"`
}

// explained reads the problem that an answer carries, if it does.
func (r *reply) explained() (Problem, bool) {
	var p Problem
	kind, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil || kind != "application/problem+json" || json.Unmarshal(r.body, &p) != nil || p.Code == "" {
		return Problem{}, false
	}
	p.Title, p.Detail, p.Hint, p.Code = line(p.Title), line(p.Detail), line(p.Hint), line(p.Code)
	return p, true
}

// refusal is the judgement that an answer carries: only an explained error of ours to mend is one. "Too many" and "not now"
// are not.
func (r *reply) refusal() *RefusedError {
	p, ok := r.explained()
	if !ok || r.status < 400 || r.status >= 500 || temporary(r.status) {
		return nil
	}
	reason := p.Title
	if p.Detail != "" {
		reason += ": " + p.Detail
	}
	return &RefusedError{Code: p.Code, Reason: reason, Hint: p.Hint}
}

func temporary(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusGone, http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests, statusBadCk:
		return true
	}
	return false
}

// problem turns an answer that is not the one hoped for into an error.
func (r *reply) problem() error {
	if refusal := r.refusal(); refusal != nil {
		return refusal
	}
	if r.status == http.StatusNotFound || r.status == http.StatusGone {
		return errGone
	}
	return r.unlessGone()
}

// unlessGone is problem where there is no upload that could be gone.
func (r *reply) unlessGone() error {
	if refusal := r.refusal(); refusal != nil {
		return refusal
	}
	if p, ok := r.explained(); ok {
		return fmt.Errorf("the service answers %d %s: %s %s", r.status, p.Code, p.Title, p.Detail)
	}
	return fmt.Errorf("the service answers %d %s (hint: is the address right, and nothing in between that answers for it?)",
		r.status, http.StatusText(r.status))
}

// line keeps words of the service short and on one line.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), 300)]
}
