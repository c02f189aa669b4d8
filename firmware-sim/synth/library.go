package synth

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
)

// Library keeps the master patterns of fingers, so that a finger grows once and is pressed on glass many times. The zero
// value keeps them in memory alone. Its methods may be called from several goroutines at once.
type Library struct {
	// Dir is where masters outlive the process; empty for nowhere. It is made where it is missing, and can be deleted at
	// any time. A file that is damaged or can't be written costs time, never a finger.
	Dir string

	mu      sync.Mutex
	masters map[Finger]func() (*Master, error)
}

// maxMasters bounds the memory of a library: about 30 MB.
const maxMasters = 128

// Master is the ridge pattern of a whole finger tip, before it touches anything.
type Master struct {
	ridges [FingerWidth * FingerHeight]int8 // 127 ridge, -127 valley
}

// Master returns the pattern of a finger. It takes about half a second the first time and is not to be changed.
func (l *Library) Master(f Finger) (*Master, error) {
	l.mu.Lock()
	get, ok := l.masters[f]
	if !ok {
		if l.masters == nil || len(l.masters) >= maxMasters {
			l.masters = map[Finger]func() (*Master, error){}
		}
		get = sync.OnceValues(func() (*Master, error) { return l.find(f) })
		l.masters[f] = get
	}
	l.mu.Unlock()
	return get()
}

// find reads a master from Dir or grows it and leaves it there.
func (l *Library) find(f Finger) (*Master, error) {
	path := filepath.Join(l.Dir, fmt.Sprintf("finger-%s-%016x.ridges", f.Class, f.Seed))
	if l.Dir != "" {
		if m, ok := readMaster(path); ok {
			return m, nil
		}
	}
	grown, err := ridges(f)
	if err != nil {
		return nil, err
	}
	m := new(Master)
	for i, v := range grown.v {
		m.ridges[i] = int8(v * 127)
	}
	if l.Dir != "" {
		_ = writeMaster(path, m) // a cache: the next process grows it again
	}
	return m, nil
}

// masterMagic begins a file of the cache; its number changes with the recipe.
const masterMagic = "loket ridges 1\n"

// readMaster reads one file of the cache: the magic, the pattern, its CRC-32 (little-endian). Anything else is no master.
func readMaster(path string) (*Master, bool) {
	data, err := os.ReadFile(path)
	m := new(Master)
	if err != nil || len(data) != len(masterMagic)+len(m.ridges)+4 || !bytes.HasPrefix(data, []byte(masterMagic)) {
		return nil, false
	}
	body, sum := data[:len(data)-4], data[len(data)-4:]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(sum) {
		return nil, false
	}
	for i, b := range body[len(masterMagic):] {
		m.ridges[i] = int8(b)
	}
	return m, true
}

// writeMaster leaves a whole file or none.
func writeMaster(path string, m *Master) error {
	data := []byte(masterMagic)
	for _, v := range m.ridges {
		data = append(data, byte(v))
	}
	data = binary.LittleEndian.AppendUint32(data, crc32.ChecksumIEEE(data))
	return writeWhole(path, data)
}

// writeWhole writes a file of the cache under another name first, so that no reader ever finds half of it.
func writeWhole(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the cache folder: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	return nil
}
