package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const someID = "c67d0dcd976c075e40c0cc14bd1e32584fbe55314f7820af0af02db03facf823"

// watched reads the calls of a program of a centre in /run.
func watched(program string, lines ...string) (*written, error) {
	w := &written{root: "/run", opened: map[use]*tally{}}
	return w, readTrace(strings.NewReader(stamped(append([]string{`execve("/bin/x", ["x"], 0x1) = 0`}, lines...)...)), w.program(program).take)
}

func TestOnlyTheShortListIsOpenedForWriting(t *testing.T) {
	for _, x := range []struct {
		program, line string
		fine          bool
	}{
		{"kioskd", `openat(AT_FDCWD</>, "/run/kiosk/outbox/ABCDEFGHIJKLMNOPQRSTUVWXYZ.partial", O_WRONLY|O_CREAT, 0600) = 5</run/kiosk/outbox/ABCDEFGHIJKLMNOPQRSTUVWXYZ.partial>`, true},
		{"kioskd", `renameat(AT_FDCWD</run>, "kiosk/outbox/A.partial", AT_FDCWD</run>, "kiosk/outbox/` + someID + `.age") = 0`, true},
		{"kioskd", `renameat(AT_FDCWD</run>, "kiosk/outbox/A.partial", 7</tmp>, "a.png") = 0`, false},
		{"kioskd", `linkat(AT_FDCWD</run>, "a", AT_FDCWD</run>, "kiosk/outbox/a", 0) = 0`, false},
		{"kioskd", `symlinkat("/run/kiosk/journal.db", AT_FDCWD</tmp>, "x") = 0`, false},
		{"kioskd", `open("/run/kiosk/journal.db-wal", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 9</run/kiosk/journal.db-wal>`, true},
		{"kioskd", `open("/run/kiosk/journal.db-wal2", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 9</run/kiosk/journal.db-wal2>`, false},
		{"kioskd", `openat(AT_FDCWD</>, "/tmp/face.jpg", O_RDWR|O_CREAT|O_EXCL, 0600) = 5</tmp/face.jpg>`, false},
		{"kioskd", `openat(AT_FDCWD</>, "/etc/hosts", O_RDONLY|O_CLOEXEC) = 5</etc/hosts>`, true},
		{"kioskd", `openat(AT_FDCWD</>, "/tmp/face.jpg", O_RDWR) = -1 EACCES (Permission denied)`, true},
		{"kioskd", `creat("/dev/shm/x", 0600) = 5</dev/shm/x>`, false},
		{"kioskd", `openat(AT_FDCWD</>, "/dev/null", O_RDWR|O_CLOEXEC) = 5</dev/null<char 1:3>>`, true},
		{"kioskd", `mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_SHARED, 9</run/kiosk/journal.db-shm>, 0) = 0x7f81ad7c9000`, true},
		{"kioskd", `mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_SHARED, 9</run/kiosk/journal.db>, 0) = 0x7f81ad7c9000`, false},
		{"kioskd", `mmap(NULL, 32768, PROT_READ, MAP_PRIVATE, 9</bin/x>, 0) = 0x7f81ad7c9000`, true},
		{"kioskd", `write(1</run/logs/central.log>, "a", 1) = 1`, false},
		{"kioskd", `write(1</run/logs/kioskd.log>, "a", 1) = 1`, true},
		{"kioskd", `sendfile(8</run/kiosk/outbox/x>, 7<TCP:[a->b]>, NULL, 4096) = 4096`, false},
		{"kioskd", `sendfile(8<TCP:[a->b]>, 7</run/kiosk/outbox/x>, NULL, 4096) = 4096`, true},
		{"kioskd", `copy_file_range(7</a>, NULL, 8</b>, NULL, 4096, 0) = 4096`, false},
		{"kioskd", `io_uring_setup(8, {flags=0}) = 5<anon_inode:[io_uring]>`, false},
		{"kioskd", `memfd_create("x", MFD_CLOEXEC) = 5</memfd:x>`, false},
		{"kioskd", `execve("/bin/convert", ["convert"], 0x1) = 0`, false},
		{"queued", `open("/run/kiosk/journal.db", O_RDWR|O_CREAT, 0644) = 9</run/kiosk/journal.db>`, false},
		{"central", `openat(AT_FDCWD</>, "/run/central/records/` + someID + `.receipt.json.tmp", O_WRONLY|O_CREAT, 0600) = 5</run/central/records/` + someID + `.receipt.json.tmp>`, true},
		{"central", `openat(AT_FDCWD</>, "/run/central/records/` + someID + `.png", O_WRONLY|O_CREAT, 0600) = 5</run/central/records/` + someID + `.png>`, false},
	} {
		w, err := watched(x.program, x.line)
		if err != nil {
			t.Errorf("%s: %v", x.line, err)
		} else if fine := len(w.findings) == 0; fine != x.fine {
			t.Errorf("%s %s: findings are %q", x.program, x.line, w.findings)
		}
	}
}

func TestWhatCanNotBeSeenWholeIsAnError(t *testing.T) {
	for _, line := range []string{
		`write(1</run/logs/kioskd.log>, "abc"..., 4096) = 4096`,
		`write(1</run/logs/kioskd.log>, "abc", 4) = 4`,
		`write(1</run/logs/kioskd.log>, 0x7ffe12, 4) = 4`,
		`writev(1</run/logs/kioskd.log>, [{iov_base="abc"..., iov_len=9}], 1) = 9`,
		`writev(1</run/logs/kioskd.log>, [{iov_base="abc", iov_len=9}], 1) = 9`,
		`writev(1</run/logs/kioskd.log>, [{iov_base="abc", iov_len=3}, ...], 2) = 9`,
		`writev(1</run/logs/kioskd.log>, 0x7ffe12, 2) = 9`,
		`sendmsg(9<TCP:[a->b]>, 0x7ffe12, 0) = 9`,
	} {
		if _, err := watched("kioskd", line); !errors.Is(err, errCut) {
			t.Errorf("%s gives %v", line, err)
		}
	}
	for _, line := range []string{
		`write(9</run/kiosk/journal.db>, "abc", 3) = 3`, // opened unseen
		`write(9, "abc", 3) = 3`,
		`pwrite64(9</run/kiosk/journal.db>, "abc", 3, 99999999999) = 3`,
		`pwrite64(9</run/kiosk/journal.db>, "abc", 3, -1) = 3`,
	} {
		if _, err := watched("kioskd", line); err == nil {
			t.Errorf("%s is taken for whole", line)
		}
	}
}

func TestWindowsReachOverWritesThatMeet(t *testing.T) {
	const open = `open("/run/kiosk/journal.db", O_RDWR|O_CREAT, 0644) = 9</run/kiosk/journal.db>`
	const log = `write(1</run/logs/kioskd.log>, `
	for name, lines := range map[string][]string{
		"one after the other":    {open, `write(9</run/kiosk/journal.db>, "abcdefghijkl", 12) = 12`, `write(9</run/kiosk/journal.db>, "mnopqrstuvwxyz", 14) = 14`},
		"the second half first":  {open, `pwrite64(9</run/kiosk/journal.db>, "mnopqrstuvwxyz", 14, 1012) = 14`, `pwrite64(9</run/kiosk/journal.db>, "abcdefghijkl", 12, 1000) = 12`},
		"after lseek":            {open, `pwrite64(9</run/kiosk/journal.db>, "abcdefghijkl", 12, 50) = 12`, `lseek(9</run/kiosk/journal.db>, 62, SEEK_SET) = 62`, `write(9</run/kiosk/journal.db>, "mnopqrstuvwxyz", 14) = 14`},
		"in pieces of a vector":  {`writev(1</run/logs/kioskd.log>, [{iov_base="abcdefgh", iov_len=8}, {iov_base="ijklmnopqrstuvwxyz", iov_len=18}], 2) = 26`},
		"into a log":             {log + `"abcdefghijkl", 12) = 12`, log + `"mnopqrstuvwxyz", 14) = 14`},
		"a write that is short":  {log + `"abcdefghijklmnop", 16) = 12`, log + `"mnopqrstuvwxyz", 14) = 14`},
		"into a connection":      {`write(7<TCP:[a->b]>, "abcdefghijkl", 12) = 12`, `write(7<TCP:[a->b]>, "mnopqrstuvwxyz", 14) = 14`},
		"by two threads at once": {`write(1</run/logs/kioskd.log>, "abcdefghijkl", 12 <unfinished ...>`, `7 1795470484.5 <... write resumed>) = 12`, log + `"mnopqrstuvwxyz", 14) = 14`},
		"over a new name": {
			`open("/run/kiosk/outbox/ABCDEFGHIJKLMNOPQRSTUVWXYZ.partial", O_WRONLY|O_CREAT) = 5</run/kiosk/outbox/ABCDEFGHIJKLMNOPQRSTUVWXYZ.partial>`,
			`write(5</run/kiosk/outbox/ABCDEFGHIJKLMNOPQRSTUVWXYZ.partial>, "abcdefghijkl", 12) = 12`,
			`rename("/run/kiosk/outbox/ABCDEFGHIJKLMNOPQRSTUVWXYZ.partial", "/run/kiosk/outbox/` + someID + `.age") = 0`,
			`write(5</run/kiosk/outbox/` + someID + `.age>, "mnopqrstuvwxyz", 14) = 14`},
	} {
		w, err := watched("kioskd", lines...)
		if err != nil || len(w.findings) > 0 {
			t.Errorf("%s: %v %v", name, err, w.findings)
			continue
		}
		if len(newHaystack(w.texts).search([]byte("bcdefghijklmnopqrstuvwxy"))) != 1 {
			t.Errorf("%s: a window over both is not found", name)
		}
	}
}

func TestAWriteThatIsOverwrittenIsStillSeen(t *testing.T) {
	w, err := watched("kioskd", `open("/run/kiosk/journal.db-wal", O_RDWR|O_CREAT, 0644) = 9</run/kiosk/journal.db-wal>`,
		`pwrite64(9</run/kiosk/journal.db-wal>, "abcdefghijklmnopqrstuvwxyz", 26, 0) = 26`,
		`pwrite64(9</run/kiosk/journal.db-wal>, "`+strings.Repeat(".", 26)+`", 26, 0) = 26`)
	if err != nil || len(newHaystack(w.texts).search([]byte("abcdefghijklmnopqrstuvwxyz"))) != 1 {
		t.Errorf("it is not found: %v", err)
	}
}

func TestMoreThanTheCheckHoldsIsAnError(t *testing.T) {
	w := &written{root: "/run", opened: map[use]*tally{}, size: maxWritten}
	err := w.program("kioskd").take(call{name: "write", args: []string{"1</run/logs/kioskd.log>", `"a"`, "1"}, result: "1"})
	if err == nil || !strings.Contains(err.Error(), "more than this check holds") {
		t.Errorf("it gives %v", err)
	}
}

func TestSecretsAreFoundInWhatTheyMayNotBe(t *testing.T) {
	list := []secret{{"the reference", "V100000001"}}
	for _, x := range []struct {
		text  text
		found bool
	}{
		{text{program: "kioskd", path: "/run/kiosk/journal.db", disk: true, data: []byte("..V100000001..")}, true},
		{text{program: "central", path: "/run/logs/central.log", disk: true, data: []byte("56313030303030303031")}, true},
		{text{program: "central", path: "/run/central/uploads/x.info", disk: true, data: []byte("eyJyZWZlcmVuY2UiOiJWMTAwMDAwMDAxIn0=")}, true},
		{text{program: "queued", path: "/run/queue/queue.db", disk: true, data: []byte("V100000001")}, false},
		{text{program: "queued", path: "/run/logs/queued.log", disk: true, data: []byte("V100000001")}, true},
		{text{program: "kioskd", path: "TCP:[a->b]", data: []byte("V100000001")}, false},
		{text{program: "kioskd", path: "/run/logs/kioskd.log", disk: true, data: bytes.Repeat([]byte("V10000000"), 3)}, false},
	} {
		v := &verdict{written: &written{texts: []text{x.text}}}
		v.searchSecrets(list)
		if (len(v.found) > 0) != x.found {
			t.Errorf("in %s %s: %q", x.text.program, x.text.path, v.found)
		}
	}
}
