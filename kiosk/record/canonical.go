package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// encode writes a document in its one form: fields in the order of the type, no space, no HTML escapes, one newline at the
// end.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// decode reads a document and refuses every other form of it: what is read must encode to the same bytes.
func decode(data []byte, limit int, v any) error {
	if len(data) > limit {
		return fmt.Errorf("%d bytes, at most %d are allowed", len(data), limit)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	again, err := encode(v)
	if err != nil {
		return err
	}
	defer clear(again)
	if !bytes.Equal(again, data) {
		return errors.New("it is not in its canonical form")
	}
	return nil
}

// stamp gives a time the form in which documents carry it: UTC, to the millisecond.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
