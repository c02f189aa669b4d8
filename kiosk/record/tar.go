package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A record's tar has one form: USTAR headers (POSIX.1-1988) with mode 0400, no owner and no time, each file padded with zeros
// to blocks of 512 bytes, two blocks of zeros at the end.
const (
	block    = 512
	sizeAt   = 124 // offset of the octal size in a header
	sizeEnd  = 136
	sumAt    = 148
	maxTries = 1 << 33 // what eleven octal digits can say
)

// header is the one header that an entry can have.
func header(name string, size int64) [block]byte {
	var h [block]byte
	copy(h[0:100], name)
	copy(h[100:], "0000400\x00")
	copy(h[108:], "0000000\x00")
	copy(h[116:], "0000000\x00")
	copy(h[sizeAt:], fmt.Sprintf("%011o\x00", size))
	copy(h[136:], "00000000000\x00")
	h[156] = '0'
	copy(h[257:], "ustar\x0000")
	copy(h[329:], "0000000\x00")
	copy(h[337:], "0000000\x00")
	copy(h[sumAt:], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[sumAt:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

// padding is how many zeros follow size bytes.
func padding(size int64) int64 { return -size & (block - 1) }

// tarWriter writes entries and keeps the first error.
type tarWriter struct {
	w   io.Writer
	err error
}

func (t *tarWriter) entry(name string, data []byte) {
	h := header(name, int64(len(data)))
	t.write(h[:])
	t.write(data)
	t.zeros(padding(int64(len(data))))
}

func (t *tarWriter) end() { t.zeros(2 * block) }

func (t *tarWriter) zeros(n int64) {
	var z [2 * block]byte
	t.write(z[:n])
}

func (t *tarWriter) write(b []byte) {
	if t.err == nil && len(b) > 0 {
		_, t.err = t.w.Write(b)
	}
}

// readEntry reads the entry that must come next, of exactly size bytes, or of up to limit where size is negative.
func readEntry(src io.Reader, name string, size, limit int64) ([]byte, error) {
	var h [block]byte
	if _, err := io.ReadFull(src, h[:]); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, short(err))
	}
	if size < 0 {
		size = octal(h[sizeAt : sizeEnd-1])
	}
	if size < 0 || size > limit {
		return nil, fmt.Errorf("reading %s: its size is wrong, at most %d bytes are allowed", name, limit)
	}
	if h != header(name, size) {
		return nil, fmt.Errorf("reading %s: another header stands in its place", name)
	}
	data := make([]byte, size+padding(size))
	if _, err := io.ReadFull(src, data); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, short(err))
	}
	if !zero(data[size:]) {
		return nil, fmt.Errorf("reading %s: something stands in its padding", name)
	}
	return data[:size:size], nil
}

// readEnd makes sure that the tar ends here and nothing follows.
func readEnd(src io.Reader) error {
	var z [2 * block]byte
	if _, err := io.ReadFull(src, z[:]); err != nil {
		return fmt.Errorf("reading the end: %w", short(err))
	}
	if !zero(z[:]) {
		return errors.New("reading the end: more entries follow than the manifest names")
	}
	if n, err := io.ReadFull(src, z[:1]); n != 0 || err != io.EOF {
		return fmt.Errorf("reading the end: something follows it: %w", errors.Join(err, errTrailing))
	}
	return nil
}

var errTrailing = errors.New("trailing bytes")

// octal reads eleven octal digits; -1 where they are none.
func octal(digits []byte) int64 {
	n := int64(0)
	for _, d := range digits {
		if d < '0' || d > '7' || n > maxTries {
			return -1
		}
		n = n<<3 | int64(d-'0')
	}
	return n
}

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// short tells an early end by its name.
func short(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
