package central

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/tus/tusd/v2/pkg/handler"

	"loket/kiosk/record"
)

// Problem is an answer that explains itself: RFC 9457, with a code and what to do next. A 4xx is a judgement and will be the
// same tomorrow, but for 429; a 5xx is not.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code"`
	Hint   string `json:"hint,omitempty"`
}

// Error gives the title with its detail and hint.
func (p *Problem) Error() string {
	s := p.Code + ": " + p.Title
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	if p.Hint != "" {
		s += " (hint: " + p.Hint + ")"
	}
	return s
}

const problemType = "application/problem+json"

func refusal(status int, code, title, hint string) *Problem {
	return &Problem{Type: "about:blank", Status: status, Code: code, Title: title, Hint: hint}
}

func (p *Problem) with(format string, args ...any) *Problem {
	p.Detail = fmt.Sprintf(format, args...)
	return p
}

func problemFull() *Problem {
	return refusal(http.StatusInsufficientStorage, "storage-full", "the store has no room", "the station keeps the record and tries again")
}

// asProblem hides from a caller what is not theirs to mend.
func asProblem(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	if full(err) {
		return problemFull()
	}
	return refusal(http.StatusInternalServerError, "internal", "the service failed", "its log says why; the station tries again")
}

func (p *Problem) body() []byte {
	data, err := json.Marshal(p)
	if err != nil {
		return []byte("{}")
	}
	return data
}

// asTus gives a problem the form in which tusd passes it on.
func asTus(err error) error {
	p := asProblem(err)
	e := handler.NewError(p.Code, p.Title, p.Status)
	e.HTTPResponse.Body = string(p.body())
	e.HTTPResponse.Header = handler.HTTPHeader{"Content-Type": problemType}
	return e
}

func writeProblem(w http.ResponseWriter, err error) {
	p := asProblem(err)
	body := p.body()
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if p.Status == http.StatusTooManyRequests || p.Status >= 500 {
		w.Header().Set("Retry-After", "30")
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

// The headers that carry a receipt, in base64.
const (
	receiptHeader    = "Loket-Receipt"
	receiptSigHeader = "Loket-Receipt-Signature"
)

func receiptHeaders(r record.SignedReceipt) handler.HTTPHeader {
	b64 := base64.StdEncoding.EncodeToString
	return handler.HTTPHeader{receiptHeader: b64(r.JSON), receiptSigHeader: b64(r.Sig)}
}

func setReceipt(w http.ResponseWriter, r record.SignedReceipt) {
	for k, v := range receiptHeaders(r) {
		w.Header().Set(k, v)
	}
}
