package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// traced are the system calls by which bytes come onto a disk or into another file, and those that say in which order. A
// leading ? lets strace pass over those that a processor's Linux does not have.
const traced = "?open,?openat,?openat2,?creat,?rename,?renameat,?renameat2,?link,?linkat,?symlink,?symlinkat,?mknod,?mknodat," +
	"?unlink,?unlinkat,?mkdir,?mkdirat,?truncate,?ftruncate,?fallocate,?lseek,?write,?pwrite64,?writev,?pwritev," +
	"?pwritev2,?sendfile,?copy_file_range,?splice,?tee,?vmsplice,?sendto,?sendmsg,?sendmmsg,?mmap,?fsync,?fdatasync,?msync," +
	"?sync_file_range,?io_uring_setup,?memfd_create,?execve,?execveat"

// maxDump is the longest string that strace gives whole, maxLine the longest line that is read: four characters a byte.
const (
	maxDump = 16 << 20
	maxLine = 4*maxDump + 1<<16
)

// underStrace gives the command that runs a program and writes its system calls to a file. The program keeps its place as the
// child, so that signals reach it.
func underStrace(path string) []string {
	return []string{"strace", "-D", "-f", "--seccomp-bpf", "-yy", "-ttt", "-s", strconv.Itoa(maxDump), "-e", "signal=none", "-e", "trace=" + traced, "-o", path}
}

// straceWorks reports why nothing can be traced here.
func straceWorks(dir string) error {
	if _, err := exec.LookPath("strace"); err != nil {
		return fmt.Errorf("looking for strace: %w (hint: apt-get install strace)", err)
	}
	if out, err := exec.Command("strace", "-f", "-o", filepath.Join(dir, "probe.strace"), "true").CombinedOutput(); err != nil {
		return fmt.Errorf("trying strace: %w: %s (hint: this machine may not allow one process to trace another)", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// call is one system call of a trace. Its text is valid during the callback that gets it.
type call struct {
	name       string
	args       []string // as strace wrote them
	result     string   // likewise
	began      int      // line of the trace where it began
	ended      int      // line where it had ended: what began on a later line came after it
	at         float64  // seconds since some moment that all traces share
	unfinished bool     // the program ended during it
}

// number is what the call returned; false where it failed or never returned.
func (c call) number() (int64, bool) {
	word, _, _ := strings.Cut(c.result, " ")
	word, _, _ = strings.Cut(word, "<")
	n, err := strconv.ParseInt(word, 0, 64)
	if err != nil {
		u, uerr := strconv.ParseUint(word, 0, 64) // an address
		return int64(u), uerr == nil
	}
	return n, n >= 0
}

// arg is the i-th argument, empty where there is none.
func (c call) arg(i int) string {
	if i < len(c.args) {
		return c.args[i]
	}
	return ""
}

// readTrace calls fn with every call of a trace, in the order in which they ended. A trace that is not whole is an error: it
// proves nothing.
func readTrace(r io.Reader, fn func(call) error) error {
	t := tracer{open: map[string]call{}, texts: map[string]string{}, fn: fn}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<20), maxLine)
	for lines.Scan() {
		t.line++
		if err := t.read(lines.Text()); err != nil {
			return fmt.Errorf("reading line %d of a trace: %w", t.line, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading line %d of a trace: %w", t.line+1, err)
	}
	if t.main == "" || !t.over {
		return errors.New("reading a trace: it breaks off before the program ended")
	}
	for pid := range t.open {
		if err := t.end(pid, ") = ?"); err != nil {
			return fmt.Errorf("reading a trace: %w", err)
		}
	}
	return nil
}

// tracer reads the lines of one trace.
type tracer struct {
	line  int
	main  string // the program's own process
	over  bool   // its end was seen
	open  map[string]call
	texts map[string]string // of open calls
	fn    func(call) error
}

func (t *tracer) read(line string) error {
	pid, rest, ok := strings.Cut(line, " ")
	if _, err := strconv.ParseUint(pid, 10, 32); !ok || err != nil {
		return errors.New("it does not begin with a process")
	}
	stamp, rest, ok := strings.Cut(strings.TrimLeft(rest, " "), " ")
	at, err := strconv.ParseFloat(stamp, 64)
	if !ok || err != nil {
		return errors.New("it has no time")
	}
	if t.main == "" {
		t.main = pid
	}
	switch {
	case strings.HasPrefix(rest, "+++ "):
		t.over = t.over || pid == t.main && !strings.HasPrefix(rest, "+++ superseded")
		return nil
	case strings.HasPrefix(rest, "--- "):
		return nil
	case strings.HasPrefix(rest, "<... "):
		_, tail, ok := strings.Cut(rest, " resumed>")
		if _, was := t.open[pid]; !ok || !was {
			return errors.New("a call goes on that did not begin")
		}
		return t.end(pid, tail)
	}
	return t.begin(pid, rest, at)
}

func (t *tracer) begin(pid, text string, at float64) error {
	name, _, ok := strings.Cut(text, "(")
	if _, busy := t.open[pid]; busy || !ok || strings.ContainsAny(name, " \"<") {
		return errors.New("it is no system call")
	}
	c := call{name: name, began: t.line, at: at}
	if head, cut := strings.CutSuffix(text, " <unfinished ...>"); cut {
		t.open[pid], t.texts[pid] = c, head
		return nil
	}
	return t.give(c, strings.Replace(text, " <unfinished ...>) = ?", ") = ?", 1))
}

// end joins the two halves of a call that others came between.
func (t *tracer) end(pid, tail string) error {
	c, head := t.open[pid], t.texts[pid]
	delete(t.open, pid)
	delete(t.texts, pid)
	return t.give(c, head+strings.TrimPrefix(tail, " <unfinished ...>"))
}

func (t *tracer) give(c call, text string) error {
	c.ended = t.line
	rest := text[len(c.name)+1:]
	for {
		arg, tail, err := argument(rest)
		if err != nil {
			return fmt.Errorf("reading a %s: %w", c.name, err)
		}
		if arg != "" || len(c.args) > 0 || tail[0] == ',' {
			c.args = append(c.args, arg)
		}
		rest = tail[1:]
		if tail[0] == ')' {
			break
		}
	}
	result, ok := strings.CutPrefix(strings.TrimLeft(rest, " "), "= ")
	if !ok {
		return fmt.Errorf("reading a %s: it has no result", c.name)
	}
	c.result = strings.TrimSpace(result)
	c.unfinished = strings.HasPrefix(c.result, "?")
	return t.fn(c)
}

// argument splits off the first argument of a list; the rest begins with the comma or parenthesis that ends it.
func argument(list string) (arg, rest string, err error) {
	for i, depth := 0, 0; i < len(list); {
		switch b := list[i]; {
		case b == '"':
			n, err := quoted(list[i:])
			if err != nil {
				return "", "", err
			}
			i += n
			continue
		case b == '<':
			n := decoration(list[i:])
			if n == 0 {
				return "", "", errors.New("what a descriptor stands for does not end")
			}
			i += n
			continue
		case strings.HasPrefix(list[i:], "/*"):
			n := strings.Index(list[i:], "*/")
			if n < 0 {
				return "", "", errors.New("a remark does not end")
			}
			i += n + 2
			continue
		case (b == ',' || b == ')') && depth == 0:
			return strings.TrimSpace(list[:i]), list[i:], nil
		case b == '(' || b == '[' || b == '{':
			depth++
		case b == ')' || b == ']' || b == '}':
			depth--
		}
		i++
	}
	return "", "", errors.New("its arguments do not end")
}

// quoted gives the length of the string literal at the start of s, quotes included.
func quoted(s string) (int, error) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1, nil
		}
	}
	return 0, errors.New("a string does not end")
}

// decoration gives the length of what stands in angle brackets at the start of s: a path, in which strace escapes such
// brackets, or a socket, which has square ones around an arrow. A shift "<<" and the like is 1 long.
func decoration(s string) int {
	for i, depth := 0, 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			n, err := quoted(s[i:])
			if err != nil {
				return 0
			}
			i += n - 1
		case strings.HasPrefix(s[i:], "->"):
			i++
		case s[i] == '<':
			if i == 1 && s[0] == '<' {
				return 2
			}
			depth++
		case s[i] == '>':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// descriptor reads "5</path>" or "5<TCP:[a->b]>". The name is empty where strace knew none.
func descriptor(text string) (fd int64, name string, err error) {
	number, rest, decorated := strings.Cut(text, "<")
	if number == "AT_FDCWD" {
		number = "-100"
	}
	if fd, err = strconv.ParseInt(strings.TrimSpace(number), 10, 64); err != nil {
		return 0, "", fmt.Errorf("reading a descriptor: %w", err)
	}
	if !decorated {
		return fd, "", nil
	}
	n := decoration("<" + rest)
	if n < 2 {
		return 0, "", errors.New("reading a descriptor: its name does not end")
	}
	name = rest[:n-2]
	if device := strings.LastIndexByte(name, '<'); device > 0 && strings.HasSuffix(name, ">") {
		name = name[:device] // /dev/null<char 1:3>
	}
	plain, err := unescape(name)
	return fd, string(plain), err
}

// errCut is a string that strace did not give whole.
var errCut = errors.New("strace cut a string short")

// literal reads a string argument, of which strace must have given everything.
func literal(arg string) ([]byte, error) {
	if !strings.HasPrefix(arg, `"`) {
		return nil, fmt.Errorf("%w: it is %.20q", errCut, arg)
	}
	n, err := quoted(arg)
	if err != nil {
		return nil, err
	}
	if n != len(arg) {
		return nil, errCut
	}
	return unescape(arg[1 : n-1])
}

// unescape undoes strace's escapes, octal and hexadecimal.
func unescape(s string) ([]byte, error) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		b, n, err := escaped(s[i+1:])
		if err != nil {
			return nil, err
		}
		out = append(out, b)
		i += n
	}
	return out, nil
}

// escaped reads what follows a backslash and gives its length.
func escaped(s string) (b byte, n int, err error) {
	if s == "" {
		return 0, 0, errors.New("an escape does not end")
	}
	if i := strings.IndexByte(`nrtvf\"`, s[0]); i >= 0 {
		return "\n\r\t\v\f\\\""[i], 1, nil
	}
	if s[0] == 'x' {
		if len(s) < 3 {
			return 0, 0, errors.New("an escape does not end")
		}
		v, err := strconv.ParseUint(s[1:3], 16, 8)
		return byte(v), 3, err
	}
	for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
		n++
	}
	v, err := strconv.ParseUint(s[:n], 8, 8)
	return byte(v), n, err
}
