package station

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// line is one WebSocket. One goroutine sends and one receives.
type line struct {
	conn *websocket.Conn
	once sync.Once
}

// newLine bounds what conn may read and puts off the end of patience with each ping or pong.
func newLine(conn *websocket.Conn) *line {
	conn.SetReadLimit(MaxMessage)
	conn.SetPongHandler(func(string) error { return conn.SetReadDeadline(time.Now().Add(silence)) })
	conn.SetPingHandler(func(data string) error {
		if err := conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(writeLimit)); err != nil {
			return err
		}
		return conn.SetReadDeadline(time.Now().Add(silence))
	})
	return &line{conn: conn}
}

func (l *line) close() { l.once.Do(func() { _ = l.conn.Close() }) } // the peer learns of it by silence at the latest

// send writes one message; after an error the line is dead.
func (l *line) send(m any) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(data) > MaxMessage {
		return fmt.Errorf("writing to the line: a message of %d bytes is too long", len(data))
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	if err := l.conn.WriteMessage(websocket.TextMessage, data); err != nil {
		return fmt.Errorf("writing to the line: %w", err)
	}
	return nil
}

// ping asks whether the peer is there. It may be called beside send.
func (l *line) ping() error {
	return l.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeLimit))
}

// receive reads one message.
func (l *line) receive() ([]byte, error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return nil, err
	}
	kind, data, err := l.conn.ReadMessage()
	if err != nil {
		return nil, fmt.Errorf("reading from the line: %w", err)
	}
	if kind != websocket.TextMessage {
		return nil, errors.New("reading from the line: a message that is not text")
	}
	return data, nil
}
