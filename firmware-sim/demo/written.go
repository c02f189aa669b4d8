package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"loket/firmware-sim/stage"
)

// window is the length of a piece of a sample that must not be found, and what stays of one write for the next to join on.
const window = 24

// maxWritten bounds what is written in one checked run; searching it takes some twelve times as much memory.
const maxWritten = 64 << 20

// written is what programs wrote, as their traces tell.
type written struct {
	root     string // of the centre; rules are relative to it
	texts    []text
	size     int   // of all writes
	held     int64 // of all files
	opened   map[use]*tally
	findings []string
}

// text is a piece of what came into one file or connection: a write with what lay before and behind it.
type text struct {
	program string
	path    string
	at      int64 // of its first byte in the file
	disk    bool  // not a connection
	data    []byte
}

// use is a row of the table of what was opened by whom.
type use struct{ program, what string }

type tally struct{ opens, writes, bytes int }

// place is a place where a program may write.
type place struct {
	what string
	path *regexp.Regexp // relative to the centre's folder
}

// places is the short list. Everything else that is opened for writing is a finding.
func places(program string) []place {
	list := []place{{"log", regexp.MustCompile(`^logs/` + program + `\.log$`)}}
	const id, documents = `[0-9a-f]{64}`, `(\.docket\.json|\.receipt\.json)(\.sig)?`
	switch program {
	case stage.Kioskd, stage.Deskd:
		folder := "kiosk"
		if program == stage.Deskd {
			folder = "desk"
		}
		return append(list,
			place{"outbox", regexp.MustCompile(`^` + folder + `/outbox/([A-Z2-7]{26}\.partial|` + id + `(\.age|\.refused\.json|` + documents + `))$`)},
			place{"journal", regexp.MustCompile(`^` + folder + `/journal\.db(-wal|-shm|-journal)?$`)})
	case stage.Queued:
		return append(list, place{"queue's database", regexp.MustCompile(`^queue/queue\.db(-wal|-shm|-journal)?$`)})
	case stage.Central:
		return append(list,
			place{"store, uploads", regexp.MustCompile(`^central/uploads/[0-9a-f]{16}-` + id + `(\.info)?$`)},
			place{"store, records", regexp.MustCompile(`^central/records/` + id + `(\.age|` + documents + `(\.tmp)?)$`)},
			place{"store, conflicts", regexp.MustCompile(`^central/conflicts/` + id + `\.json(\.tmp)?$`)})
	}
	return list
}

// program is what one traced program did.
type program struct {
	*written
	name    string
	places  []place
	files   map[string]*content
	opens   map[int64]*description
	streams map[string][]byte // the last bytes of a connection
	steps   []step
}

// content is a file as it was written.
type content struct{ data []byte }

// description is an open file with its position.
type description struct {
	path   string
	at     int64
	append bool
}

func (w *written) program(name string) *program {
	return &program{written: w, name: name, places: places(name), files: map[string]*content{}, opens: map[int64]*description{}, streams: map[string][]byte{}}
}

func (p *program) find(format string, args ...any) {
	p.findings = append(p.findings, p.name+" "+fmt.Sprintf(format, args...))
}

// take takes in one call. An error means that the trace can't be understood, which is no proof of anything.
func (p *program) take(c call) error {
	_, ok := c.number()
	if !ok && !c.unfinished {
		return nil
	}
	err := p.dispatch(c)
	if err != nil {
		return fmt.Errorf("%s, line %d, %s: %w", p.name, c.ended, c.name, err)
	}
	return nil
}

func (p *program) dispatch(c call) error {
	switch c.name {
	case "open", "creat", "openat", "openat2":
		return p.openFile(c)
	case "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat":
		return p.name2(c)
	case "lseek", "ftruncate", "truncate":
		return p.position(c)
	case "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg":
		return p.write(c)
	case "sendfile", "splice", "copy_file_range", "tee", "vmsplice":
		return p.moved(c)
	case "mmap":
		return p.mapped(c)
	case "memfd_create", "io_uring_setup", "execveat":
		p.find("calls %s, behind which writes can't be seen", c.name)
	case "fsync", "fdatasync":
		_, path, err := descriptor(c.arg(0))
		if !c.unfinished {
			p.note("sync", c, path, 0)
		}
		return err
	case "unlink", "unlinkat":
		path, err := p.named(c, 0)
		p.note("delete", c, path, 0)
		return err
	case "execve":
		if c.began > 1 {
			p.find("starts another program: %s", c.arg(0))
		}
	}
	return nil
}

// openFile notes a file that is opened for writing, and its position.
func (p *program) openFile(c call) error {
	flags := map[string]string{"open": c.arg(1), "openat": c.arg(2), "openat2": c.arg(2), "creat": "O_WRONLY|O_CREAT|O_TRUNC"}[c.name]
	fd, path, err := descriptor(c.result)
	if c.unfinished {
		fd, err = -1, nil
		path, err = p.named(c, 0)
	}
	if err != nil {
		return err
	}
	p.note("open", c, path, 0)
	delete(p.opens, fd)
	if !strings.Contains(flags, "O_WRONLY") && !strings.Contains(flags, "O_RDWR") && !strings.Contains(flags, "O_CREAT") && !strings.Contains(flags, "O_TRUNC") {
		return nil
	}
	if path == "" {
		return errors.New("strace does not say which file it is")
	}
	if !strings.HasPrefix(path, "/dev/null") {
		p.seen(path, "opens").opens++
	}
	if strings.Contains(flags, "O_TRUNC") || p.files[path] == nil {
		p.files[path] = &content{}
	}
	p.opens[fd] = &description{path: path, append: strings.Contains(flags, "O_APPEND")}
	return nil
}

// named gives the path that a call names: at argument i, where the call has no folder before it.
func (p *program) named(c call, i int) (string, error) {
	folder := ""
	if strings.HasSuffix(strings.TrimRight(c.name, "2"), "at") {
		var err error
		if _, folder, err = descriptor(c.arg(2 * i)); err != nil {
			return "", err
		}
		i = 2*i + 1
	}
	path, err := literal(c.arg(i))
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(string(path)) {
		return filepath.Join(folder, string(path)), nil
	}
	return filepath.Clean(string(path)), nil
}

// name2 notes what gets a new name.
func (p *program) name2(c call) error {
	i := 1
	if strings.HasPrefix(c.name, "mknod") {
		i = 0
	}
	var to string
	var err error
	if c.name == "symlinkat" {
		_, folder, ferr := descriptor(c.arg(1))
		name, nerr := literal(c.arg(2))
		to, err = filepath.Join(folder, string(name)), errors.Join(ferr, nerr)
	} else {
		to, err = p.named(c, i)
	}
	if err != nil {
		return err
	}
	p.seen(to, "makes by "+c.name)
	if !strings.HasPrefix(c.name, "rename") {
		return nil
	}
	from, err := p.named(c, 0)
	if err != nil {
		return err
	}
	p.note("rename", c, from, 0).to = to
	if file := p.files[from]; file != nil {
		p.files[to] = file
		delete(p.files, from)
	}
	for _, d := range p.opens {
		if d.path == from {
			d.path = to
		}
	}
	return nil
}

// seen gives the row of the table for a path, and makes a path that is on no list a finding.
func (p *program) seen(path, does string) *tally {
	what := path
	rel, err := filepath.Rel(p.root, path)
	i := slices.IndexFunc(p.places, func(a place) bool { return err == nil && a.path.MatchString(rel) })
	if i >= 0 {
		what = p.places[i].what
	} else {
		if p.opened[use{p.name, "NOT ALLOWED " + path}] == nil {
			p.find("%s %s, which is not on the list", does, path)
		}
		what = "NOT ALLOWED " + path
	}
	row := p.opened[use{p.name, what}]
	if row == nil {
		row = &tally{}
		p.opened[use{p.name, what}] = row
	}
	return row
}

// position follows lseek and notes what truncate names.
func (p *program) position(c call) error {
	if c.name == "truncate" {
		path, err := p.named(c, 0)
		if err == nil {
			p.seen(path, "truncates")
		}
		return err
	}
	fd, path, err := descriptor(c.arg(0))
	if err != nil {
		return err
	}
	if c.name == "ftruncate" {
		p.seen(path, "truncates")
		return nil
	}
	if d, n := p.opens[fd], int64(0); d != nil {
		n, _ = c.number()
		d.at = n
	}
	return nil
}

// mapped notes files that can be written through memory, where no call shows it. Of those only the -shm files of SQLite may be.
func (p *program) mapped(c call) error {
	if !strings.Contains(c.arg(3), "MAP_SHARED") || strings.Contains(c.arg(3), "MAP_ANONYMOUS") {
		return nil
	}
	_, path, err := descriptor(c.arg(4))
	if err != nil {
		return err
	}
	if !strings.HasSuffix(path, ".db-shm") {
		p.find("maps %s into memory", path)
		return nil
	}
	p.seen(path, "maps")
	return nil
}

// moved notes bytes that the kernel moves unseen. Into a connection they are TLS or a record that is sealed already.
func (p *program) moved(c call) error {
	out := map[string]int{"sendfile": 0, "splice": 2, "copy_file_range": 2, "tee": 1, "vmsplice": 0}[c.name]
	_, path, err := descriptor(c.arg(out))
	if err == nil && !isConnection(path) {
		p.find("moves bytes by %s into %s, unseen", c.name, path)
	}
	return err
}

// isConnection tells by what strace calls a descriptor whether it is a socket and no file.
func isConnection(name string) bool {
	for _, kind := range []string{"TCP:[", "TCPv6:[", "UDP:[", "UDPv6:[", "UNIX-", "UNIX:[", "socket:[", "NETLINK:["} {
		if strings.HasPrefix(name, kind) {
			return true
		}
	}
	return false
}

// write takes in the bytes of a write.
func (p *program) write(c call) error {
	fd, path, err := descriptor(c.arg(0))
	if err != nil {
		return err
	}
	data, err := payload(c)
	if err != nil {
		return err
	}
	if n, ok := c.number(); ok && c.name != "sendmmsg" {
		if n > int64(len(data)) {
			return fmt.Errorf("%w: %d bytes were written and %d are here", errCut, n, len(data))
		}
		data = data[:n]
	}
	if p.size += len(data); p.size > maxWritten {
		return fmt.Errorf("more than %d MB were written, which is more than this check holds", maxWritten>>20)
	}
	switch {
	case isConnection(path) || strings.HasPrefix(path, "pipe:[") || strings.HasPrefix(path, "anon_inode:"):
		if !strings.HasPrefix(path, "UNIX") {
			p.note("send", c, path, len(data))
		}
		return p.sent(path, data)
	case path == "/dev/null":
		return nil
	case path == "":
		return errors.New("strace does not say which file it is")
	}
	return p.store(c, fd, path, data)
}

// payload gives the bytes of a write, all of them.
func payload(c call) ([]byte, error) {
	if c.name == "write" || c.name == "pwrite64" || c.name == "sendto" {
		data, err := literal(c.arg(1))
		if err != nil {
			return nil, err
		}
		if want, err := strconv.Atoi(c.arg(2)); err != nil || want != len(data) {
			return nil, fmt.Errorf("%w: %d of %s bytes are here", errCut, len(data), c.arg(2))
		}
		return data, nil
	}
	var all []byte
	parts := 0
	for rest := c.arg(1); ; parts++ {
		i := strings.Index(rest, "iov_base=")
		if i < 0 {
			break
		}
		rest = rest[i+len("iov_base="):]
		part, tail, err := vector(rest)
		if err != nil {
			return nil, err
		}
		all, rest = append(all, part...), tail
	}
	if want := c.arg(2); strings.Contains(c.name, "writev") && want != strconv.Itoa(parts) || parts == 0 && want != "0" {
		return nil, fmt.Errorf("%w: %d of its parts are here", errCut, parts)
	}
	return all, nil
}

// vector reads the string behind iov_base= and holds it against the length behind iov_len=.
func vector(s string) (data []byte, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		if strings.HasPrefix(s, "NULL, iov_len=0") {
			return nil, s, nil
		}
		return nil, "", errCut
	}
	n, err := quoted(s)
	if err != nil {
		return nil, "", err
	}
	if data, err = unescape(s[1 : n-1]); err != nil {
		return nil, "", err
	}
	length, ok := strings.CutPrefix(s[n:], ", iov_len=")
	if i := strings.IndexByte(length, '}'); !ok || i < 0 || length[:i] != strconv.Itoa(len(data)) {
		return nil, "", errCut
	}
	return data, s[n:], nil
}

// sent keeps what went into a connection, joined with what went before.
func (p *program) sent(name string, data []byte) error {
	before := p.streams[name]
	joined := slices.Concat(before, data)
	if !strings.HasPrefix(name, "UNIX") {
		p.texts = append(p.texts, text{program: p.name, path: name, data: joined})
	}
	p.streams[name] = slices.Clone(joined[max(0, len(joined)-window+1):])
	return nil
}

// store keeps what came into a file, joined with what lies around it there.
func (p *program) store(c call, fd int64, path string, data []byte) error {
	p.note("write", c, path, len(data))
	row := p.seen(path, "writes into")
	row.writes++
	row.bytes += len(data)
	file := p.files[path]
	if file == nil {
		file = &content{}
		p.files[path] = file
	}
	at, err := p.offset(c, fd, path, file)
	if err != nil {
		return err
	}
	end := at + int64(len(data))
	if grow := end - int64(len(file.data)); grow > 0 {
		if p.held += grow; p.held > maxWritten {
			return fmt.Errorf("the write ends at byte %d: the files are longer than this check holds", end)
		}
		file.data = append(file.data, make([]byte, grow)...)
	}
	copy(file.data[at:], data)
	from, to := max(0, at-window+1), min(int64(len(file.data)), end+window-1)
	p.texts = append(p.texts, text{program: p.name, path: path, at: from, disk: true, data: slices.Clone(file.data[from:to])})
	return nil
}

// offset says where in the file a write goes, and moves the position.
func (p *program) offset(c call, fd int64, path string, file *content) (int64, error) {
	if strings.HasPrefix(c.name, "pwrite") {
		at, err := strconv.ParseInt(c.arg(3), 10, 64)
		if err == nil && at < 0 {
			err = fmt.Errorf("it goes to byte %d", at)
		}
		return at, err
	}
	d := p.opens[fd]
	if d == nil && fd > 2 {
		return 0, errors.New("the file was opened unseen")
	}
	if d == nil { // handed down, to be appended to
		return int64(len(file.data)), nil
	}
	n, _ := c.number()
	if d.append {
		d.at = int64(len(file.data))
	}
	at := d.at
	d.at += n
	return at, nil
}
