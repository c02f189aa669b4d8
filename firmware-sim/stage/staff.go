package stage

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"time"

	"loket/kiosk/identity"
)

// Staff is somebody who is signed in at the console.
type Staff struct {
	url  string
	http *http.Client
}

// SignIn signs somebody in at the console, as a browser would.
func (c *Centre) SignIn(ctx context.Context, login, password string) (*Staff, error) {
	roots, err := identity.LoadRoots(c.PKI.Path("ca.crt"))
	if err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	s := &Staff{url: c.Console(), http: &http.Client{Jar: jar, Timeout: 30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}}
	return s, s.post(ctx, "/api/session", map[string]string{"login": login, "password": password}, nil)
}

// Code asks the console for a one-time code.
func (s *Staff) Code(ctx context.Context) (string, error) {
	var answer struct {
		Code string `json:"code"`
	}
	err := s.post(ctx, "/api/code", nil, &answer)
	return answer.Code, err
}

// Order orders something of a station: the members of a command in docs/api/console.yaml.
func (s *Staff) Order(ctx context.Context, station string, order map[string]any) error {
	return s.post(ctx, "/api/stations/"+station+"/commands", order, nil)
}

func (s *Staff) post(ctx context.Context, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("asking the console: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("asking the console: %w", err)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("asking the console: %s: %s", resp.Status, data)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}
