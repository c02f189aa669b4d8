package central

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/tus/tusd/v2/pkg/handler"
	"golang.org/x/sys/unix"
)

// running is the hash of the first n bytes of an upload, as far as they came to this process.
type running struct {
	hash hash.Hash
	n    int64
}

// upload is tusd's upload with its bytes hashed on the way to the file.
type upload struct {
	handler.Upload
	store *store
	id    string
}

// NewUpload makes the files of an upload, empty.
func (s *store) NewUpload(ctx context.Context, info handler.FileInfo) (handler.Upload, error) {
	u, err := s.FileStore.NewUpload(ctx, info)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.running[info.ID] = &running{hash: sha256.New()}
	s.mu.Unlock()
	return &upload{Upload: u, store: s, id: info.ID}, nil
}

// GetUpload finds an upload.
func (s *store) GetUpload(ctx context.Context, id string) (handler.Upload, error) {
	u, err := s.FileStore.GetUpload(ctx, id)
	if err != nil {
		return nil, err
	}
	return &upload{Upload: u, store: s, id: id}, nil
}

// WriteChunk appends to the file. tusd's lock makes sure that one chunk is written at a time.
func (u *upload) WriteChunk(ctx context.Context, offset int64, src io.Reader) (int64, error) {
	f, err := os.OpenFile(u.store.data(u.id), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, err
	}
	w := &appender{f: f, at: offset, hash: u.store.claim(u.id, offset)}
	n, err := w.from(src)
	err = errors.Join(err, f.Close())
	if err == nil && w.hash != nil {
		w.hash.n += n
		u.store.give(u.id, w.hash)
	}
	if err != nil && full(err) {
		err = asTus(problemFull())
	}
	return n, err
}

// appender writes to a file what comes from a line: while one piece is hashed and on its way to the disk, the next is read.
type appender struct {
	f    *os.File
	at   int64    // where the file ends
	hash *running // nil where the bytes before were not seen
}

// pieceSize is how much is read at a time.
const pieceSize = 256 << 10

// from writes all that src gives and says how much that was.
func (a *appender) from(src io.Reader) (int64, error) {
	var total int64
	buffers := [2][]byte{make([]byte, pieceSize), make([]byte, pieceSize)}
	var behind sync.WaitGroup
	var failed error // of the piece before; read after behind.Wait
	for i := 0; ; i ^= 1 {
		n, err := io.ReadFull(src, buffers[i])
		behind.Wait()
		if failed != nil {
			return total, failed
		}
		piece := buffers[i][:n]
		total += int64(n)
		behind.Go(func() { failed = a.write(piece) })
		if err != nil {
			behind.Wait()
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = nil
			}
			return total, errors.Join(err, failed)
		}
	}
}

// write appends a piece, hashes it and lets the disk begin with it.
func (a *appender) write(piece []byte) error {
	n, err := a.f.Write(piece)
	if err != nil {
		return err
	}
	_ = unix.SyncFileRange(int(a.f.Fd()), a.at, int64(n), unix.SYNC_FILE_RANGE_WRITE) // only a head start: the sync comes later
	a.at += int64(n)
	if a.hash != nil {
		a.hash.hash.Write(piece)
	}
	return nil
}

// claim takes the running hash of an upload if it stands at offset. Whoever fails to give it back leaves the upload to be
// read and hashed again.
func (s *store) claim(id string, offset int64) *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.running[id]
	delete(s.running, id)
	if h == nil || h.n != offset {
		return nil
	}
	return h
}

func (s *store) give(id string, h *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[id] = h
}

// digest gives the SHA-256 of the size bytes of an upload.
func (s *store) digest(id string, size int64) (string, error) {
	if h := s.claim(id, size); h != nil {
		return hex.EncodeToString(h.hash.Sum(nil)), nil
	}
	f, err := os.Open(s.data(id))
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (s *store) data(id string) string { return filepath.Join(s.Path, id) }

func (s *store) info(id string) string { return filepath.Join(s.Path, id+".info") }

// drop deletes an upload.
func (s *store) drop(id string) error {
	s.mu.Lock()
	delete(s.running, id)
	s.mu.Unlock()
	var errs []error
	for _, path := range []string{s.info(id), s.data(id)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
