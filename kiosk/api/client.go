package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"loket/kiosk/biometric"
)

// Client talks to the daemon behind a socket. The zero value with Socket set works.
type Client struct {
	Socket string

	http http.Client
}

// NewClient returns a client for the daemon that listens on socket. It connects when it is used.
func NewClient(socket string) *Client {
	c := &Client{Socket: socket}
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	return c
}

// Status asks for the present status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var st Status
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, &st)
	return st, err
}

// Do sends a command and waits for its answer.
func (c *Client) Do(ctx context.Context, cmd Command) (Reply, error) {
	var r Reply
	err := c.call(ctx, http.MethodPost, "/v1/commands", cmd, &r)
	return r, err
}

// Watch calls fn with the present status and then with each new one, until ctx ends, fn fails or the line breaks.
func (c *Client) Watch(ctx context.Context, fn func(Status) error) error {
	body, err := c.open(ctx, http.MethodGet, "/v1/status/watch", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	in := json.NewDecoder(body)
	for {
		var st Status
		if err := in.Decode(&st); err != nil {
			return lost(ctx, err)
		}
		if err := fn(st); err != nil {
			return err
		}
	}
}

// Frames calls fn with preview frames until ctx ends, fn fails or the line breaks. A frame is valid during the call.
func (c *Client) Frames(ctx context.Context, fn func(Frame) error) error {
	body, err := c.open(ctx, http.MethodGet, "/v1/frames", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	in := bufio.NewReaderSize(body, 64<<10)
	var f Frame
	for {
		if err := readFrame(in, &f); err != nil {
			return lost(ctx, err)
		}
		if err := fn(f); err != nil {
			return err
		}
	}
}

// recordingEnd is how long a recording may take to come to its end.
const recordingEnd = 3 * time.Second

// RecordUSB copies a recording of a device's USB traffic to w until it is over. When ctx ends, the recording is brought to its
// end, which is no error.
func (c *Client) RecordUSB(ctx context.Context, q RecordQuery, w io.Writer) error {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	values := url.Values{"device": {q.Device}}
	if q.For > 0 {
		values.Set("for", q.For.String())
	}
	body, err := c.open(own, http.MethodGet, "/v1/usb/record?"+values.Encode(), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	stop := context.AfterFunc(ctx, func() {
		last, done := context.WithTimeout(own, recordingEnd)
		defer done()
		_, _ = c.Do(last, Command{StopRecording: &q}) // where it has ended, the reading has too
		<-last.Done()
		cancel()
	})
	defer stop()
	if _, err = io.Copy(w, body); err != nil {
		return fmt.Errorf("reading the recording: %w", err)
	}
	return nil
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	body, err := c.open(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return nil
}

// open sends a request and returns the body of a good answer; any other answer is its error.
func (c *Client) open(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	var payload io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("writing the command: %w", err)
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://kioskd"+path, payload)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Error{Code: "unreachable", Text: fmt.Sprintf("no daemon answers on %s: %v", c.Socket, errors.Unwrap(err)),
			Hint: "is kioskd running, and may this user open its socket?"}
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	e := &Error{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxCommand)).Decode(e); err != nil || e.Text == "" {
		return nil, fmt.Errorf("asking the daemon: it answered %s", resp.Status)
	}
	return nil, e
}

func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("reading from the daemon: %w", err)
}

// readFrame reads the next frame into f and reuses its planes.
func readFrame(r io.Reader, f *Frame) error {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	m, ok := modalityOf(head[4])
	if string(head[:4]) != "FRM1" || !ok {
		return errors.New("reading a frame: no frame begins here")
	}
	f.Modality, f.Sequence = m, binary.BigEndian.Uint64(head[8:])
	f.Width, f.Height = int(binary.BigEndian.Uint16(head[16:])), int(binary.BigEndian.Uint16(head[18:]))
	if f.Width > MaxSide || f.Height > MaxSide || f.Width%2 != 0 || f.Height%2 != 0 {
		return fmt.Errorf("reading a frame: %dx%d is not a size that frames have", f.Width, f.Height)
	}
	size := f.Width * f.Height * 3 / 2
	if cap(f.I420) < size {
		f.I420 = make([]byte, size)
	}
	f.I420 = f.I420[:size]
	_, err := io.ReadFull(r, f.I420)
	return err
}

func modalityCode(m biometric.Modality) byte {
	if m == biometric.Face {
		return 1
	}
	return 2
}

func modalityOf(code byte) (biometric.Modality, bool) {
	switch code {
	case 1:
		return biometric.Face, true
	case 2:
		return biometric.Finger, true
	}
	return "", false
}
