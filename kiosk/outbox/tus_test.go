package outbox

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"loket/kiosk/record"
)

// scripted answers requests from a list, one after the other.
type scripted struct {
	t     *testing.T
	steps []step
	seen  []string
}

type step struct {
	want   string // method and the end of the path
	status int
	header map[string]string
	body   string
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	s.seen = append(s.seen, r.Method)
	if len(s.steps) == 0 {
		s.t.Errorf("unexpected %s %s", r.Method, r.URL.Path)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	next := s.steps[0]
	s.steps = s.steps[1:]
	if got := r.Method + " " + r.Header.Get("Upload-Offset"); strings.TrimSpace(got) != next.want {
		s.t.Errorf("got %s, want %s", got, next.want)
	}
	for k, v := range next.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(next.status)
	_, _ = io.WriteString(w, next.body)
}

// pushThrough pushes a record of 23 bytes through the script.
func pushThrough(t *testing.T, steps func(receipt map[string]string) []step) (record.SignedReceipt, *scripted, error) {
	t.Helper()
	b := open(t, t.TempDir())
	id := b.mustPut(t, 1)
	e := b.entries[id]
	receipt, err := e.Docket.Receipt(b.service, e.Docket.Time)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	s := &scripted{t: t, steps: steps(map[string]string{
		ReceiptHeader: b64(receipt.JSON), ReceiptSigHeader: b64(receipt.Sig), "Upload-Offset": fmt.Sprint(e.Docket.Size),
	})}
	server := httptest.NewServer(s)
	defer server.Close()
	f, err := os.Open(b.path(id, sealedSuffix))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := (&TusPusher{URL: server.URL + "/"}).Push(t.Context(), e.signed, f)
	if len(s.steps) != 0 {
		t.Errorf("%d steps were not taken", len(s.steps))
	}
	return got, s, err
}

func TestAPushFollowsTheServiceWhereverItStands(t *testing.T) {
	at := func(n int) map[string]string { return map[string]string{"Upload-Offset": fmt.Sprint(n)} }
	for name, steps := range map[string]func(receipt map[string]string) []step{
		"all at once": func(r map[string]string) []step {
			return []step{{"POST", 201, nil, ""}, {"PATCH 0", 204, r, ""}}
		},
		"known and complete": func(r map[string]string) []step { return []step{{"POST", 200, r, ""}} },
		"known in part":      func(r map[string]string) []step { return []step{{"POST", 201, at(7), ""}, {"PATCH 7", 204, r, ""}} },
		"in two pieces": func(r map[string]string) []step {
			return []step{{"POST", 201, nil, ""}, {"PATCH 0", 204, at(9), ""}, {"PATCH 9", 204, r, ""}}
		},
		"another offset than thought": func(r map[string]string) []step {
			return []step{{"POST", 201, nil, ""}, {"PATCH 0", 409, nil, ""}, {"HEAD", 200, at(5), ""}, {"PATCH 5", 204, r, ""}}
		},
		"spoilt on the way": func(r map[string]string) []step {
			return []step{{"POST", 201, nil, ""}, {"PATCH 0", 460, nil, ""}, {"HEAD", 200, at(0), ""}, {"PATCH 0", 204, r, ""}}
		},
		"forgotten in between": func(r map[string]string) []step {
			return []step{{"POST", 201, nil, ""}, {"PATCH 0", 404, nil, ""}, {"POST", 201, nil, ""}, {"PATCH 0", 204, r, ""}}
		},
		"gone in between": func(r map[string]string) []step {
			return []step{{"POST", 201, nil, ""}, {"PATCH 0", 410, nil, ""}, {"POST", 201, nil, ""}, {"PATCH 0", 204, r, ""}}
		},
		"complete without a receipt": func(r map[string]string) []step {
			return []step{{"POST", 201, nil, ""}, {"PATCH 0", 204, at(23), ""}, {"GET", 200, r, ""}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			receipt, _, err := pushThrough(t, func(r map[string]string) []step {
				list := steps(r)
				for _, s := range list {
					if s.header["Upload-Offset"] == "23" {
						s.header["Upload-Offset"] = r["Upload-Offset"]
					}
				}
				return list
			})
			if err != nil || len(receipt.JSON) == 0 {
				t.Errorf("receipt of %d bytes, %v", len(receipt.JSON), err)
			}
		})
	}
}

func TestNoAnswerButAReceiptIsSuccess(t *testing.T) {
	problem := map[string]string{"Content-Type": "application/problem+json"}
	for name, c := range map[string]struct {
		step    step
		refused bool
	}{
		"a server error":                {step{"POST", 500, nil, "oops"}, false},
		"a server error, explained":     {step{"POST", 507, problem, `{"code":"storage-full","title":"full"}`}, false},
		"a page":                        {step{"POST", 200, map[string]string{"Content-Type": "text/html"}, "<h1>Welcome</h1>"}, false},
		"a redirect":                    {step{"POST", 307, map[string]string{"Location": "https://elsewhere.invalid/"}, ""}, false},
		"nothing there":                 {step{"POST", 404, nil, ""}, false},
		"too many":                      {step{"POST", 429, problem, `{"code":"quota","title":"too many"}`}, false},
		"locked":                        {step{"POST", 423, problem, `{"code":"locked","title":"locked"}`}, false},
		"a 403 of something in the way": {step{"POST", 403, nil, "proxy says no"}, false},
		"a problem without a code":      {step{"POST", 403, problem, `{"title":"no"}`}, false},
		"an offset that is none":        {step{"POST", 201, map[string]string{"Upload-Offset": "-3"}, ""}, false},
		"an offset past the end":        {step{"POST", 201, map[string]string{"Upload-Offset": "99999"}, ""}, false},
		"a judgement":                   {step{"POST", 422, problem, `{"code":"simulated","title":"no","hint":"none"}`}, true},
		"a conflict":                    {step{"POST", 409, problem, `{"code":"conflict","title":"no"}`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			steps := []step{c.step}
			if name == "a page" {
				steps = append(steps, step{"PATCH 0", 200, nil, "<h1>Welcome</h1>"})
			}
			_, _, err := pushThrough(t, func(map[string]string) []step { return steps })
			var refused *RefusedError
			if err == nil || errors.As(err, &refused) != c.refused {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAPushGivesUpOnAServiceThatGoesInCircles(t *testing.T) {
	_, s, err := pushThrough(t, func(map[string]string) []step {
		steps := []step{{"POST", 201, nil, ""}}
		for range maxRounds / 2 {
			steps = append(steps, step{"PATCH 0", 409, nil, ""}, step{"HEAD", 200, map[string]string{"Upload-Offset": "0"}, ""})
		}
		return append(steps, step{"PATCH 0", 409, nil, ""}, step{"HEAD", 200, map[string]string{"Upload-Offset": "0"}, ""}, step{"PATCH 0", 409, nil, ""}, step{"HEAD", 200, map[string]string{"Upload-Offset": "0"}, ""})
	})
	if err == nil || len(s.seen) > 1+2*maxRounds {
		t.Errorf("after %d requests: %v", len(s.seen), err)
	}
}

func TestAnAnswerThatNeverEndsIsNotReadToItsEnd(t *testing.T) {
	_, _, err := pushThrough(t, func(map[string]string) []step {
		return []step{{"POST", 500, nil, strings.Repeat("x", 4*maxReply)}}
	})
	if err == nil || len(err.Error()) > 1000 {
		t.Errorf("error %v", err)
	}
}

func TestAServiceThatTakesEverythingAndSaysNothingIsGivenUp(t *testing.T) {
	b := open(t, t.TempDir())
	id := b.mustPut(t, 1)
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-end }))
	defer server.Close()
	defer close(end)
	_, err := (&TusPusher{URL: server.URL, Stall: 20 * time.Millisecond}).Push(t.Context(), b.entries[id].signed, strings.NewReader(""))
	if !errors.Is(err, errStalled) || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("error %v", err)
	}
}
