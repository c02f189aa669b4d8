package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// stamped gives lines of calls the process and time that strace puts before them where they have none, and the end of the program.
func stamped(lines ...string) string {
	var b strings.Builder
	for i, line := range lines {
		if line[0] > '9' || line[0] < '0' {
			line = fmt.Sprintf("7     1795470484.%06d %s", i, line)
		}
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintln(&b, "7     1795470485.000000 +++ exited with 0 +++")
	return b.String()
}

func read(text string) ([]call, error) {
	var calls []call
	err := readTrace(strings.NewReader(text), func(c call) error {
		calls = append(calls, c)
		return nil
	})
	return calls, err
}

func TestEveryShapeOfALineIsRead(t *testing.T) {
	calls, err := read(`7 1.000000 execve("/bin/x", ["/bin/x"], 0x7ffd /* 35 vars */) = 0
7 1.000001 openat(AT_FDCWD</tmp>, "/tmp/a", O_WRONLY|O_CREAT|O_CLOEXEC, 0600) = 5</tmp/a>
7 1.000002 write(5</tmp/a>, "a\"b\\, c)\n\0\377\17", 12 <unfinished ...>
12    1.000003 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 6</tmp/a.db-shm>, 0) = 0x7f81ad7c9000
7 1.000004 <... write resumed>) = 12
12    1.000005 write(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "x", 1) = 1
12    1.000006 write(9<UNIX-STREAM:[2->3,"/tmp/k<s>.sock"]>, "y", 1) = -1 EPIPE (Broken pipe)
12    1.000007 sync() = 0
12    1.000008 fstat(1</dev/null<char 1:3>>, {st_mode=S_IFCHR|0666, st_rdev=makedev(0x1, 0x3), ...}) = 0
12    1.000009 futex(0x1, FUTEX_WAIT <unfinished ...>
12    1.000010 --- SIGURG {si_signo=SIGURG} ---
12    1.000011 <... futex resumed> <unfinished ...>) = ?
12    1.000012 +++ exited with 0 +++
7 1.000013 write(5</tmp/a>, "z", 1 <unfinished ...>) = ?
7 1.000014 +++ killed by SIGKILL +++
`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range calls {
		names = append(names, c.name)
	}
	if want := []string{"execve", "openat", "mmap", "write", "write", "write", "sync", "fstat", "futex", "write"}; !slices.Equal(names, want) {
		t.Fatalf("the calls are %v, not %v", names, want)
	}
	write := calls[3]
	data, err := literal(write.arg(1))
	if err != nil || string(data) != "a\"b\\, c)\n\x00\xff\x0f" || write.arg(2) != "12" || write.began != 3 || write.ended != 5 {
		t.Errorf("the call in two halves is %+v, its bytes %q, %v", write, data, err)
	}
	for i, want := range map[int]string{1: "/tmp", 3: "/tmp/a", 4: "TCP:[127.0.0.1:1->127.0.0.1:2]", 5: `UNIX-STREAM:[2->3,"/tmp/k<s>.sock"]`, 7: "/dev/null"} {
		if _, name, err := descriptor(calls[i].arg(0)); err != nil || name != want {
			t.Errorf("%s is on %q, not %q: %v", calls[i].name, name, want, err)
		}
	}
	if n, ok := calls[2].number(); !ok || n != 0x7f81ad7c9000 {
		t.Errorf("the mapping is at %#x", n)
	}
	if _, ok := calls[5].number(); ok {
		t.Error("a call that failed has a result")
	}
	if last := calls[9]; !last.unfinished || last.arg(1) != `"z"` {
		t.Errorf("the call that the end cut short is %+v", last)
	}
}

func TestATraceThatIsNotWholeProvesNothing(t *testing.T) {
	const began = "7 1.0 execve(\"/bin/x\", [], 0x1) = 0\n"
	for name, text := range map[string]string{
		"nothing":             "",
		"no end":              began,
		"another's end":       began + "8 1.0 +++ exited with 0 +++\n",
		"half a line":         began + "7 1.1 write(5</tmp/a>, \"abc",
		"no result":           began + "7 1.1 write(5</tmp/a>, \"abc\", 3)\n",
		"a half without head": began + "7 1.1 <... write resumed>) = 3\n",
		"two heads":           began + "7 1.1 write(1, \"a\", 1 <unfinished ...>\n7 1.2 write(1, \"a\", 1 <unfinished ...>\n",
		"no process":          began + "write(1, \"a\", 1) = 1\n",
		"no time":             began + "7 write(1, \"a\", 1) = 1\n",
		"a complaint":         began + "7 1.2 strace: something went wrong\n",
	} {
		if _, err := read(text); err == nil {
			t.Errorf("%s is taken for a whole trace", name)
		}
	}
}

func TestAStringThatIsCutIsAnError(t *testing.T) {
	for _, arg := range []string{`"abc"...`, "0x7ffe1234", "NULL", ""} {
		if _, err := literal(arg); !errors.Is(err, errCut) {
			t.Errorf("%s gives %v", arg, err)
		}
	}
	for _, text := range []string{`\8`, `\x1`, `\`, `\400`} {
		if _, err := unescape(text); err == nil {
			t.Errorf("the escape %s is read", text)
		}
	}
}

func FuzzTrace(f *testing.F) {
	f.Add(stamped(`openat(AT_FDCWD</tmp>, "a", O_WRONLY|O_CREAT, 0600) = 5</tmp/a>`, `pwrite64(5</tmp/a>, "\0\1a"..., 3, 4096) = 3`))
	f.Add(stamped(`writev(5<TCP:[a->b]>, [{iov_base="ab", iov_len=2}, {iov_base="c", iov_len=1}], 2 <unfinished ...>`, `7 1.5 <... writev resumed>) = 3`))
	f.Add(stamped(`renameat(AT_FDCWD</tmp>, "a", 4</tmp/b>, "c") = 0`, `mmap(NULL, 3, PROT_READ, MAP_SHARED, 5</x>, 0) = 0x7f`))
	f.Fuzz(func(t *testing.T, text string) {
		w := &written{root: "/tmp", opened: map[use]*tally{}}
		if err := readTrace(strings.NewReader(text), w.program("kioskd").take); err == nil && len(w.texts) > 0 {
			newHaystack(w.texts).search([]byte(text))
		}
	})
}
